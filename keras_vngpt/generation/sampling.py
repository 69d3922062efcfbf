"""From logits to the next token, every setting a tensor at run time."""

import tensorflow as tf

from keras_vngpt.generation.config_tensors import CONFIG_SPECS
from keras_vngpt.generation.decoding_state import NUMBER, state_specs

NEVER = -1e30  # the logit of a token that must not come; finite, so that nothing becomes NaN
FLOAT_BITS = 32
LOGITS = tf.TensorSpec([None, None], tf.float32)


def draws(seeds, rows, steps):
    """The numbers that decide what is drawn, made before the steps.

    A row's numbers depend on its seed and its number alone, not on its neighbours nor on how many
    steps there are.

    Args:
        seeds: int tensor [batch].
        rows: int tensor [batch], to tell rows of one seed apart.
        steps: int tensor.

    Returns:
        float tensor [batch, steps], uniform in [0, 1).
    """

    def of_row(seed):
        return tf.random.stateless_uniform([steps], seed)

    return tf.map_fn(of_row, tf.stack([seeds, rows], -1), fn_output_signature=tf.float32)


def is_plain(config):
    """Whether the settings, `CONFIG_SPECS`, change nothing of greedy decoding."""
    neutral = {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    changes = [tf.reduce_any(config[name] != value) for name, value in neutral.items()]
    names = "temperature", "no_repeat_ngram_size", "min_new_tokens"
    changes += [tf.reduce_any(config[name] > 0) for name in names]
    lists = config["bad_words"], config["constraint_tokens"]
    return ~tf.reduce_any(changes + [tf.reduce_any(each >= 0) for each in lists])


# Functions of their own, for any batch: they stand in a SavedModel once.
@tf.function(autograph=False, input_signature=[LOGITS, state_specs(), NUMBER, CONFIG_SPECS])
def processed(logits, state, end, config):
    """Logits after all settings that are not about drawing.

    Args:
        logits: float tensor [batch, vocabulary_size].
        state: `State` without the cache.
        end: int tensor, `[EOS]`.
        config: dictionary of tensors, those of `CONFIG_SPECS`: the numbers of `GenerationConfig`
            for each row, [batch]; `bad_words`, int [words, length], a token sequence each, padded
            on the left with -1; `constraint_tokens` and `constraint_nodes`, int [nodes, edges]:
            the tokens that may come in each node of an automaton, with -1 for padding, and the
            nodes that they lead to. A node without edges allows every token.

    Returns:
        float tensor like `logits`, `NEVER` where a token must not come.
    """
    ages = state.ages()
    is_used, is_answer = (ages < n[:, None] for n in (state.lengths, state.answered))
    logits = _penalized(logits, state.tokens, is_used, is_answer, config)
    logits = tf.cond(
        tf.reduce_any(config["no_repeat_ngram_size"] > 0),
        lambda: _without_repeated(logits, state, ages, is_used, config["no_repeat_ngram_size"]),
        lambda: logits,
    )
    logits = tf.cond(
        tf.reduce_any(config["bad_words"] >= 0),
        lambda: _without_bad_words(logits, state, ages, config["bad_words"]),
        lambda: logits,
    )
    logits = tf.cond(
        tf.reduce_any(config["constraint_tokens"] >= 0),
        lambda: _constrained(logits, state.node, config["constraint_tokens"]),
        lambda: logits,
    )
    too_early = state.answered < config["min_new_tokens"]
    is_end = tf.range(tf.shape(logits)[1]) == end
    return without_padding(tf.where(too_early[:, None] & is_end, NEVER, logits))


def without_padding(logits):
    """Logits with which token 0 cannot come: it would look like the end of an answer."""
    return tf.where(tf.range(tf.shape(logits)[1]) == 0, NEVER, logits)


@tf.function(
    autograph=False,
    input_signature=[LOGITS, tf.TensorSpec([None], tf.float32), NUMBER, CONFIG_SPECS],
)
def choose(logits, uniform, end, config):
    """A token for each row.

    Args:
        logits: float tensor [batch, vocabulary_size], from `processed`.
        uniform: float tensor [batch], of `draws`.
        end: int tensor, what is chosen where nothing is allowed.
        config: as for `processed`.

    Returns:
        int tensor [batch].
    """
    is_drawn = config["temperature"] > 0.0
    likeliest = tf.argmax(logits, axis=-1, output_type=tf.int32)
    token = tf.cond(
        tf.reduce_any(is_drawn),
        lambda: tf.where(is_drawn, _sample(logits, uniform, config), likeliest),
        lambda: likeliest,
    )
    return tf.where(tf.reduce_max(logits, axis=-1) > NEVER, token, end)


def next_node(node, token, config):
    """Where tokens lead in the automaton of a constraint; a token that it has not leads nowhere."""
    tokens = tf.gather(config["constraint_tokens"], node)
    nodes = tf.gather(config["constraint_nodes"], node)
    is_taken = tokens == token[:, None]
    moved = tf.reduce_sum(tf.where(is_taken, nodes, 0), axis=-1)
    return tf.ensure_shape(tf.where(tf.reduce_any(is_taken, axis=-1), moved, node), node.shape)


def _penalized(logits, tokens, is_used, is_answer, config):
    """Less of what was there: p / r^c, and OpenAI's penalties, which count answers alone."""
    repetition = tf.math.log(config["repetition_penalty"])
    penalties = repetition, config["presence_penalty"], config["frequency_penalty"]
    # One that is no number, or has no end, changes nothing.
    penalties = (
        tf.where(tf.math.is_finite(p), tf.clip_by_value(p, -1e9, 1e9), 0.0) for p in penalties
    )
    repetition, presence, frequency = penalties

    def penalized():
        size = tf.shape(logits)[1]
        answered = _counts(tokens, is_answer, size)
        used = _counts(tokens, is_used, size)
        there = tf.cast(answered > 0, tf.float32)
        lost = repetition[:, None] * used + presence[:, None] * there
        return logits - lost - frequency[:, None] * answered

    is_asked = (repetition != 0.0) | (presence != 0.0) | (frequency != 0.0)
    return tf.cond(tf.reduce_any(is_asked), penalized, lambda: logits)


def _counts(tokens, is_counted, vocabulary_size):
    """How often each token is there, float tensor [batch, vocabulary_size]."""
    batch, columns = tf.unstack(tf.shape(tokens))
    rows = tf.repeat(tf.range(batch)[:, None], columns, axis=1)
    return tf.scatter_nd(
        tf.stack([rows, tf.where(is_counted, tokens, 0)], -1),
        tf.cast(is_counted, tf.float32),
        [batch, vocabulary_size],
    )


def _without_repeated(logits, state, ages, is_used, n):
    """Without the tokens that would end a second copy of n tokens of the row."""
    columns = tf.shape(state.tokens)[1]
    n = tf.minimum(n, columns + 1)[:, None]
    # A column counts with the n - 1 before it, which must be tokens of the row too.
    matches = is_used & (ages + n - 1 < state.lengths[:, None]) & (n > 0)

    def same_before(i, matches):
        """Whether the i-th token before a column is the i-th from the end of the row."""
        shifted = tf.roll(state.tokens, i, axis=1) == _of_age(state.tokens, ages, i - 1)
        return i + 1, matches & (shifted | (i >= n))

    longest = tf.minimum(tf.reduce_max(n), columns)
    _, matches = tf.while_loop(lambda i, _: i < longest, same_before, (1, matches))
    return tf.where(_counts(state.tokens, matches, tf.shape(logits)[1]) > 0, NEVER, logits)


def _without_bad_words(logits, state, ages, words):
    """Without the last tokens of the sequences whose other tokens are the row's last."""
    rows, (length, size) = tf.shape(logits)[0], (tf.shape(words)[1], tf.shape(logits)[1])
    last = tf.repeat(words[:, -1][None], rows, axis=0)

    def same_before(i, matches):
        expected = tf.gather(words, length - 1 - i, axis=1)
        same = (_of_age(state.tokens, ages, i - 1) == expected) & (i <= state.lengths[:, None])
        return i + 1, matches & (same | (expected < 0))

    matches = (last >= 0) & (last < size)
    _, matches = tf.while_loop(lambda i, _: i < length, same_before, (1, matches))
    return tf.where(_counts(last, matches, size) > 0, NEVER, logits)


def _constrained(logits, node, edges):
    """With nothing but the tokens that a constraint has here."""
    tokens = tf.gather(edges, node)
    is_edge = tokens >= 0
    is_free = ~tf.reduce_any(is_edge, axis=-1)[:, None]
    return tf.where(is_free | (_counts(tokens, is_edge, tf.shape(logits)[1]) > 0), logits, NEVER)


def _of_age(tokens, ages, age):
    """The column of this age, int tensor [batch, 1]."""
    return tf.gather(tokens, tf.argmax(ages == age, output_type=tf.int32), axis=1)[:, None]


def _sample(logits, uniform, config):
    """Temperature, top-k, top-p and min-p, in transformers' order, then a draw.

    References:
        - [Holtzman et al., 2019](https://arxiv.org/abs/1904.09751), top-p.
        - [Nguyen et al., 2024](https://arxiv.org/abs/2407.01082), min-p.
    """
    is_allowed = logits > NEVER  # at the hottest temperatures too
    logits -= tf.reduce_max(logits, axis=-1, keepdims=True)
    temperature = config["temperature"][:, None]
    logits /= tf.where(temperature > 0.0, temperature, 1.0)
    size = tf.shape(logits)[1]
    weights = tf.where(is_allowed, tf.exp(logits), 0.0)
    top_k = tf.where(config["top_k"] > 0, tf.minimum(config["top_k"], size), size)
    # One more would be too many: a threshold that fewer than k are above.
    floor = _lowest(logits, lambda above: _sum(tf.ones_like(weights), above) < _float(top_k))
    weights = tf.where(logits >= floor, weights, 0.0)
    total = tf.reduce_sum(weights, axis=-1)
    floor = _lowest(logits, lambda above: _sum(weights, above) < config["top_p"] * total)
    weights = tf.where((logits >= floor) | (logits == 0.0), weights, 0.0)
    is_likely = (weights >= config["min_p"][:, None]) | (logits == 0.0)
    weights = tf.where(is_likely, weights, 0.0)
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
