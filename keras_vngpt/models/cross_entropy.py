"""The head and the loss in one, with the logits of a few positions at a time."""

from keras import ops

LOGITS = 2**21  # held at once, in float32: they stay in the cache of a processor
FEWEST = 256  # positions at once, however large the vocabulary is


def positions_at_once(vocabulary_size):
    """How many positions have their logits at once."""
    return max(FEWEST, LOGITS // vocabulary_size)


def as_it_is(function):
    """A function as it is: for a backend that compiles everything anyway."""
    return function


def chunked_cross_entropy(
    hidden, embeddings, target, weight, soft=None, soft_cap=None, fuse=as_it_is
):
    """The weighted cross-entropy of a tied head, summed, without all logits at once.

    The gradients are computed together with the loss, chunk by chunk of the positions, so that
    nothing of the size [positions, vocabulary_size] is kept for the way back. Positions that carry
    no weight, such as those of requests, come last, and their chunks are not computed.

    With soft targets the gradients are those of the cross-entropy to a distribution, of which each
    target has what the others leave; the loss that is returned stays that of the targets alone,
    which can be compared with any other.

    Args:
        hidden: float tensor [positions, hidden_dim].
        embeddings: float tensor [vocabulary_size, hidden_dim].
        target: int tensor [positions].
        weight: float32 tensor [positions].
        soft: optional `(ids, shares)`, int and float32 tensors [positions, others]: tokens that
            have a part of the target, and which; a token may be there several times.
        soft_cap: optional float, of the logits: they are `cap * tanh(logits / cap)`.
        fuse: function that gives a function of element-wise operations back as one that takes
            less time, such as `keras_vngpt.training.xla.fused`.

    Returns:
        A float32 scalar: the sum over the positions of weight times nats.

    Example:
        >>> loss = chunked_cross_entropy(hidden, embeddings, target, weight / ops.sum(weight))

    References:
        - [Wijmans et al., 2024](https://arxiv.org/abs/2411.09009), section 3: why not to keep them.
        - [Hinton et al., 2015](https://arxiv.org/abs/1503.02531), section 2: soft targets.
    """
    dtype = hidden.dtype
    positions = hidden.shape[0]
    size = positions_at_once(embeddings.shape[0])
    target = ops.cast(target, "int32")
    weight = ops.cast(weight, "float32")
    # Gradients are kept relative to the largest weight: those of 1/2048 would be 0 in float16.
    largest_weight = ops.maximum(ops.max(ops.abs(weight)), 1e-30)
    weight = weight / largest_weight

    softmax = fuse(loss_of_logits)
    index = ops.arange(positions)
    order = ops.argsort(ops.where(weight != 0, index, index + positions))
    target, weight = ops.take(target, order), ops.take(weight, order)
    soft = soft and [ops.take(x, order, axis=0) for x in soft]

    @ops.custom_gradient
    def total_loss(hidden, embeddings):
        loss, to_hidden = ops.zeros((), "float32"), []
        to_embeddings = ops.zeros(embeddings.shape, "float32")
        rows = ops.take(hidden, order, axis=0)
        for start in range(0, positions, size):
            chunk = slice(start, min(start + size, positions))

            def with_chunk(chunk=chunk, loss=loss, to_embeddings=to_embeddings):
                x, y = rows[chunk], target[chunk]
                logits = ops.matmul(x, ops.transpose(embeddings))
                moved = soft and moved_shares(y, *(part[chunk] for part in soft), logits.shape[1])
                nats, to_logits = softmax(logits, y, weight[chunk], moved, soft_cap)
                of_chunk = ops.cast(ops.matmul(ops.transpose(to_logits), x), "float32")
                return loss + nats, to_embeddings + of_chunk, ops.matmul(to_logits, embeddings)

            def without(chunk=chunk, loss=loss, to_embeddings=to_embeddings):
                return loss, to_embeddings, ops.zeros_like(rows[chunk])

            has_weight = ops.any(weight[chunk] != 0)
            loss, to_embeddings, of_hidden = ops.cond(has_weight, with_chunk, without)
            to_hidden.append(of_hidden)
        to_hidden = ops.take(ops.concatenate(to_hidden), ops.argsort(order), axis=0)

        def gradient(*arguments, upstream=None):
            (upstream,) = arguments if upstream is None else (upstream,)
            scale = ops.cast(upstream, "float32") * largest_weight
            scaled = (ops.cast(x, "float32") * scale for x in (to_hidden, to_embeddings))
            return tuple(ops.cast(x, dtype) for x in scaled)

        return loss * largest_weight, gradient

    return total_loss(hidden, embeddings)


def moved_shares(target, ids, shares, vocabulary_size):
    """What soft targets add to one-hot ones, float32 [positions, vocabulary_size]; a row sums to 0.

    Args:
        target: int32 tensor [positions].
        ids: int tensor [positions, others].
        shares: float32 tensor [positions, others].
        vocabulary_size: int.
    """
    columns = ops.concatenate([ops.cast(ids, "int32"), target[:, None]], axis=1)
    rows = ops.broadcast_to(ops.arange(target.shape[0], dtype="int32")[:, None], columns.shape)
    values = ops.concatenate([shares, -ops.sum(shares, axis=1, keepdims=True)], axis=1)
    places = ops.reshape(ops.stack([rows, columns], axis=-1), (-1, 2))
    return ops.scatter(places, ops.reshape(values, (-1,)), (target.shape[0], vocabulary_size))


def loss_of_logits(logits, target, weight, moved=None, soft_cap=None):
    """The weighted cross-entropy of logits, summed, and its gradient.

    Args:
        logits: float tensor [positions, vocabulary_size].
        target: int tensor [positions].
        weight: float32 tensor [positions].
        moved: optional, from `moved_shares`: then the gradient is to soft targets.
        soft_cap: optional float, of the logits.

    Returns:
        `(nats, to_logits)`: a float32 scalar, and a tensor like `logits`.
    """
    dtype = logits.dtype
    logits = capped(ops.cast(logits, "float32"), soft_cap)
    largest = ops.max(logits, axis=-1, keepdims=True)
    exponentials = ops.exp(logits - largest)
    total = ops.sum(exponentials, axis=-1, keepdims=True)
    of_target = ops.take_along_axis(logits, target[:, None], axis=-1)
    loss = ops.sum(weight[:, None] * (ops.log(total) + largest - of_target))
    # Softmax less one-hot; the target's entry by itself, before anything is rounded.
    is_target = ops.equal(ops.arange(logits.shape[-1])[None], target[:, None])
    at_target = weight[:, None] * (ops.exp(of_target - largest) / total - 1.0)
    gradient = ops.where(is_target, at_target, exponentials * (weight[:, None] / total))
    if moved is not None:
        gradient = gradient - weight[:, None] * moved
    if soft_cap:  # d cap tanh(x / cap) / dx
        gradient = gradient * (1.0 - ops.square(logits / soft_cap))
    return loss, ops.cast(gradient, dtype)


def chunked_scores(hidden, embeddings, target, soft_cap=None):
    """The nats of each target, and whether it is the likeliest token, without all logits at once.

    Args:
        hidden: float tensor [positions, hidden_dim].
        embeddings: float tensor [vocabulary_size, hidden_dim].
        target: int tensor [positions].
        soft_cap: optional float, of the logits.

    Returns:
        `(nats, is_likeliest)`: float32 and bool tensors [positions].
    """
    size = positions_at_once(embeddings.shape[0])
    nats, is_likeliest = [], []
    for start in range(0, hidden.shape[0], size):
        of_chunk = ops.cast(target[start : start + size], "int32")
        logits = ops.matmul(hidden[start : start + size], ops.transpose(embeddings))
        likelihood = ops.log_softmax(capped(ops.cast(logits, "float32"), soft_cap), axis=-1)
        nats.append(-ops.take_along_axis(likelihood, of_chunk[:, None], axis=-1)[:, 0])
        is_likeliest.append(ops.equal(ops.cast(ops.argmax(likelihood, axis=-1), "int32"), of_chunk))
    return ops.concatenate(nats), ops.concatenate(is_likeliest)


def capped(logits, soft_cap):
    """Logits within a soft cap, if there is one.

    References:
        - [Gemma Team, 2024](https://arxiv.org/abs/2408.00118), section 2: `cap * tanh(x / cap)`.
    """
    return soft_cap * ops.tanh(logits / soft_cap) if soft_cap else logits
