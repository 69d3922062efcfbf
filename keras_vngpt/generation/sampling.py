"""From logits to the next token, every control a tensor at run time."""

import tensorflow as tf


def next_token(logits, counts, step, controls):
    """Choose a token for each row.

    Args:
        logits: float tensor [batch, vocabulary].
        counts: int tensor [batch, vocabulary], how often each token was used.
        step: int tensor, tokens chosen so far.
        controls: dictionary of scalar tensors, those of `Controls`. A repetition penalty r makes
            p' = p / r^c of a token with the count c.

    Returns:
        int tensor [batch].

    References:
        - [Holtzman et al., 2019](https://arxiv.org/abs/1904.09751), top-p.
        - [Nguyen et al., 2024](https://arxiv.org/abs/2407.01082), min-p.
    """
    logits = tf.cast(logits, tf.float32)
    logits -= tf.cast(counts, tf.float32) * tf.math.log(controls["repetition_penalty"])
    return tf.cond(
        controls["temperature"] > 0.0,
        lambda: _sample(logits, step, controls),
        lambda: tf.argmax(logits, axis=-1, output_type=tf.int32),
    )


def _sample(logits, step, controls):
    logits /= controls["temperature"]
    ordered = tf.sort(logits, direction="DESCENDING")
    ranks = tf.range(tf.shape(ordered)[-1])
    probabilities = tf.nn.softmax(ordered)
    before = tf.cumsum(probabilities, axis=-1, exclusive=True)
    keep = (ranks < controls["top_k"]) | (controls["top_k"] <= 0)
    keep &= before < controls["top_p"]
    keep &= probabilities >= controls["min_p"] * probabilities[:, :1]
    keep |= ranks == 0
    lowest = tf.reduce_min(tf.where(keep, ordered, tf.float32.max), axis=-1, keepdims=True)
    # The Gumbel-max trick: the largest of logits plus Gumbel noise is a draw from their softmax.
    uniform = tf.random.stateless_uniform(
        tf.shape(logits), tf.stack([controls["seed"], step]), minval=1e-20
    )
    noisy = logits - tf.math.log(-tf.math.log(uniform))
    return tf.argmax(tf.where(logits >= lowest, noisy, -tf.float32.max), -1, output_type=tf.int32)
