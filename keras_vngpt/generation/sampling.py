"""From logits to the next token, every control a tensor at run time."""

import tensorflow as tf

NEVER = -1e30  # the logit of a token that must not come; finite, so that nothing becomes NaN
FLOAT_BITS = 32


def draws(seed, batch, steps):
    """The numbers that decide what is drawn, made before the steps.

    A row's numbers depend on the seed and its place in the batch alone, not on its neighbours nor
    on how many steps there are.

    Args:
        seed: int tensor.
        batch, steps: int tensors.

    Returns:
        float tensor [batch, steps], uniform in [0, 1).
    """

    def of_row(row):
        return tf.random.stateless_uniform([steps], tf.stack([seed, row]))

    return tf.map_fn(of_row, tf.range(batch), fn_output_signature=tf.float32)


def is_plain(controls):
    """Whether controls, a dictionary of tensors, change nothing of greedy decoding."""
    neutral = {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    changes = [controls[name] != value for name, value in neutral.items()]
    names = "temperature", "no_repeat_ngram_size", "min_new_tokens"
    return ~tf.reduce_any(changes + [controls[name] > 0 for name in names])


def next_token(logits, tokens, is_prompt, is_answer, uniform, end, controls):
    """Choose a token for each row.

    Args:
        logits: float tensor [batch, vocabulary].
        tokens: int tensor [batch, columns], prompts and answers so far.
        is_prompt, is_answer: bool tensors like it, which of the columns hold a token of the row.
        uniform: float tensor [batch], from `draws`.
        end: int, `[EOS]`.
        controls: dictionary of tensors, those of `Controls`.

    Returns:
        int tensor [batch].
    """
    logits = _penalized(logits, tokens, is_prompt, is_answer, controls)
    logits = tf.cond(
        controls["no_repeat_ngram_size"] > 0,
        lambda: _without_repeated(logits, tokens, is_prompt | is_answer, controls),
        lambda: logits,
    )
    too_early = tf.reduce_sum(tf.cast(is_answer, tf.int32), -1) < controls["min_new_tokens"]
    is_end = tf.range(tf.shape(logits)[1]) == end
    logits = tf.where(too_early[:, None] & is_end, NEVER, logits)
    return tf.cond(
        controls["temperature"] > 0.0,
        lambda: _sample(logits, uniform, controls),
        lambda: tf.argmax(logits, axis=-1, output_type=tf.int32),
    )


def _penalized(logits, tokens, is_prompt, is_answer, controls):
    """Less of what was there: p / r^c, and OpenAI's penalties, which count answers alone."""
    repetition = tf.math.log(controls["repetition_penalty"])
    presence, frequency = controls["presence_penalty"], controls["frequency_penalty"]

    def penalized():
        size = tf.shape(logits)[1]
        answered = _counts(tokens, is_answer, size)
        used = _counts(tokens, is_prompt, size) + answered
        there = tf.cast(answered > 0, tf.float32)
        return logits - repetition * used - presence * there - frequency * answered

    is_asked = (repetition != 0.0) | (presence != 0.0) | (frequency != 0.0)
    return tf.cond(is_asked, penalized, lambda: logits)


def _counts(tokens, is_counted, vocabulary_size):
    """How often each token is there, float tensor [batch, vocabulary]."""
    batch, columns = tf.unstack(tf.shape(tokens))
    rows = tf.repeat(tf.range(batch)[:, None], columns, axis=1)
    return tf.scatter_nd(
        tf.stack([rows, tokens], -1), tf.cast(is_counted, tf.float32), [batch, vocabulary_size]
    )


def _without_repeated(logits, tokens, is_used, controls):
    """Without the tokens that would end a second copy of n tokens of the row."""
    n = controls["no_repeat_ngram_size"]
    last = tf.reduce_max(tf.where(is_used, tf.range(tf.shape(tokens)[1]), 0))

    def same_before(i, matches):
        """Whether the i-th token before a column is the i-th from the end of the row."""
        shifted = tf.roll(tokens, i, axis=1) == tf.gather(tokens, last - i + 1, axis=1)[:, None]
        return i + 1, matches & shifted & tf.roll(is_used, i, axis=1)

    columns = tf.range(tf.shape(tokens)[1])
    matches = is_used & (columns >= n - 1)
    _, matches = tf.while_loop(lambda i, _: i < n, same_before, (1, matches))
    return tf.where(_counts(tokens, matches, tf.shape(logits)[1]) > 0, NEVER, logits)


def _sample(logits, uniform, controls):
    """Temperature, top-k, top-p and min-p, in transformers' order, then a draw.

    References:
        - [Holtzman et al., 2019](https://arxiv.org/abs/1904.09751), top-p.
        - [Nguyen et al., 2024](https://arxiv.org/abs/2407.01082), min-p.
    """
    logits -= tf.reduce_max(logits, axis=-1, keepdims=True)
    logits /= controls["temperature"]
    size = tf.shape(logits)[1]
    weights = tf.exp(logits)
    top_k = tf.where(controls["top_k"] > 0, tf.minimum(controls["top_k"], size), size)
    # One more would be too many: a threshold that fewer than k are above.
    floor = _lowest(logits, lambda above: _sum(tf.ones_like(weights), above) < _float(top_k))
    weights = tf.where(logits >= floor, weights, 0.0)
    total = tf.reduce_sum(weights, axis=-1)
    floor = _lowest(logits, lambda above: _sum(weights, above) < controls["top_p"] * total)
    weights = tf.where((logits >= floor) | (logits == 0.0), weights, 0.0)
    weights = tf.where(weights >= controls["min_p"], weights, 0.0)
    # The first token with which the sum of the weights is beyond the number that was drawn.
    target = uniform * tf.reduce_sum(weights, axis=-1)
    columns = tf.range(size)

    def halve(low, high):
        middle = (low + high) // 2
        sums = tf.reduce_sum(tf.where(columns <= middle[:, None], weights, 0.0), axis=-1)
        beyond = sums > target
        return tf.where(beyond, low, middle + 1), tf.where(beyond, middle, high)

    zeros = tf.zeros_like(uniform, tf.int32)
    token, _ = tf.while_loop(
        lambda low, high: tf.reduce_any(low < high), halve, (zeros, zeros + size - 1)
    )
    return token


def _float(x):
    return tf.cast(x, tf.float32)


def _sum(values, is_counted):
    return tf.reduce_sum(tf.where(is_counted, values, 0.0), axis=-1)


def _lowest(logits, is_few):
    """The lowest threshold of each row so that `is_few(logits > threshold)`, without sorting.

    Args:
        logits: float tensor [batch, vocabulary], none above 0.
        is_few: from a bool tensor like it to a bool tensor [batch]; true for none.

    Returns:
        float tensor [batch, 1].
    """
    # The bits of floats up to 0, read as whole numbers, are the larger the lower the float is.
    highest, lowest = (tf.bitcast(tf.constant(x), tf.int32) for x in (-0.0, NEVER * 1e8))
    zeros = tf.zeros(tf.shape(logits)[:1], tf.int32)

    def halve(i, few, many):
        middle = few + (many - few) // 2
        above = logits > tf.bitcast(middle, tf.float32)[:, None]
        still_few = is_few(above)
        return i + 1, tf.where(still_few, middle, few), tf.where(still_few, many, middle)

    start = 0, zeros + highest, zeros + lowest
    few = tf.while_loop(lambda i, *_: i < FLOAT_BITS, halve, start)[1]
    return tf.bitcast(few, tf.float32)[:, None]
