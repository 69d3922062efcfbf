"""The head and the loss in one, with the logits of a few positions at a time."""

from keras import ops

LOGITS = 2**21  # held at once, in float32: they stay in the cache of a processor


def chunked_cross_entropy(hidden, embeddings, target, weight, logits_at_once=LOGITS):
    """The weighted cross-entropy of a tied head, summed, without all logits at once.

    The gradients are computed together with the loss, chunk by chunk of the positions, so that
    nothing of the size [positions, vocabulary_size] is kept for the way back.

    Args:
        hidden: float tensor [positions, hidden_dim].
        embeddings: float tensor [vocabulary_size, hidden_dim].
        target: int tensor [positions].
        weight: float32 tensor [positions].
        logits_at_once: int, how many logits may exist at once.

    Returns:
        A float32 scalar: the sum over the positions of weight times nats.

    Example:
        >>> loss = chunked_cross_entropy(hidden, embeddings, target, weight / ops.sum(weight))

    References:
        - [Wijmans et al., 2024](https://arxiv.org/abs/2411.09009), section 3: why not to keep them.
    """
    dtype = hidden.dtype
    positions, vocabulary_size = hidden.shape[0], embeddings.shape[0]
    size = max(1, min(positions, logits_at_once // vocabulary_size))
    target = ops.cast(target, "int32")
    weight = ops.cast(weight, "float32")

    def part(hidden, embeddings, target, weight):
        logits = ops.cast(ops.matmul(hidden, ops.transpose(embeddings)), "float32")
        largest = ops.max(logits, axis=-1, keepdims=True)
        exponentials = ops.exp(logits - largest)
        total = ops.sum(exponentials, axis=-1, keepdims=True)
        of_target = ops.take_along_axis(logits, target[:, None], axis=-1)
        loss = ops.sum(weight[:, None] * (ops.log(total) + largest - of_target))
        # Softmax less one-hot: the target's entry is set, a one-hot matrix is never made.
        place = ops.stack([ops.arange(ops.shape(target)[0]), target], axis=-1)
        likelihood = ops.exp(of_target - largest) / total
        gradient = ops.scatter_update(
            exponentials * (weight[:, None] / total), place, weight * (likelihood[:, 0] - 1.0)
        )
        gradient = ops.cast(gradient, dtype)
        to_hidden = ops.matmul(gradient, embeddings)
        to_embeddings = ops.matmul(ops.transpose(gradient), hidden)
        return loss, to_hidden, ops.cast(to_embeddings, "float32")

    @ops.custom_gradient
    def total_loss(hidden, embeddings):
        loss, to_hidden, to_embeddings = 0.0, [], 0.0
        for start in range(0, positions, size):
            chunk = slice(start, min(start + size, positions))
            one, of_chunk, of_embeddings = part(
                hidden[chunk], embeddings, target[chunk], weight[chunk]
            )
            loss, to_embeddings = loss + one, to_embeddings + of_embeddings
            to_hidden.append(of_chunk)
        to_hidden = ops.concatenate(to_hidden)

        def gradient(*arguments, upstream=None):
            (upstream,) = arguments if upstream is None else (upstream,)
            scale = ops.cast(upstream, dtype)
            return to_hidden * scale, ops.cast(to_embeddings, dtype) * scale

        return loss, gradient

    return total_loss(hidden, embeddings)


def chunked_scores(hidden, embeddings, target, logits_at_once=LOGITS):
    """The nats of each target, and whether it is the likeliest token, without all logits at once.

    Args:
        hidden: float tensor [positions, hidden_dim].
        embeddings: float tensor [vocabulary_size, hidden_dim].
        target: int tensor [positions].
        logits_at_once: int, how many logits may exist at once.

    Returns:
        `(nats, is_likeliest)`: float32 and bool tensors [positions].
    """
    size = max(1, logits_at_once // embeddings.shape[0])
    nats, is_likeliest = [], []
    for start in range(0, hidden.shape[0], size):
        of_chunk = ops.cast(target[start : start + size], "int32")
        logits = ops.matmul(hidden[start : start + size], ops.transpose(embeddings))
        likelihood = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        nats.append(-ops.take_along_axis(likelihood, of_chunk[:, None], axis=-1)[:, 0])
        is_likeliest.append(ops.equal(ops.cast(ops.argmax(likelihood, axis=-1), "int32"), of_chunk))
    return ops.concatenate(nats), ops.concatenate(is_likeliest)
