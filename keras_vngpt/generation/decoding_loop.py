"""The loop of decoding: steps of a model, and a token chosen for each row a step."""

import tensorflow as tf

from keras_vngpt.generation.decoding_state import NUMBER, ROWS, state_specs, with_token
from keras_vngpt.generation.sampling import LOGITS, choose, next_node, processed, without_padding


def decode(backend, state, count, config, uniform, shared, end):
    """Steps until all rows have ended, within XLA.

    Args:
        backend: `CachedTransformer` or the like.
        state: `State`.
        count: int tensor, the most steps.
        config: dictionary of tensors, those of `CONFIG_SPECS`; for greedy decoding, which needs no
            others, `max_new_tokens` alone.
        uniform: float tensor [batch, steps], from `draws`; `None` for greedy decoding.
        shared: from `backend.shared`.
        end: int, `[EOS]`.

    Returns:
        `State`.
    """
    # A row neither goes beyond the positions of the model nor writes over its own beginning.
    longest = tf.minimum(backend.max_length, tf.shape(state.tokens)[1])

    def is_open(i, state):
        return (i < count) & ~tf.reduce_all(state.done)

    def body(i, state):
        tokens, cache = state.newest(), state.cache
        logits, cache = backend.step(tokens, state.lengths, state.cache_position, cache, shared)
        before = state._replace(cache=())
        if uniform is None:
            token, node = likeliest(logits), state.node
        else:
            place = tf.minimum(state.answered, tf.shape(uniform)[1] - 1)
            changed = processed(logits, before, end, config)
            token = choose(changed, tf.gather(uniform, place, batch_dims=1), end, config)
            node = next_node(state.node, token, config)
        after = _written(before, logits, token, node, config["max_new_tokens"], end, longest)
        # Whether there is one row is known here, and not in a function for any number.
        after = tf.nest.map_structure(
            lambda new, old: tf.ensure_shape(new, old.shape), after, before
        )
        return i + 1, after._replace(cache=cache)

    state = state._replace(done=state.done | (config["max_new_tokens"] <= state.answered))
    return tf.while_loop(is_open, body, (0, state))[1]


# Functions of their own, for any batch: they stand in a SavedModel once.
@tf.function(
    autograph=False, input_signature=[state_specs(), LOGITS, ROWS, ROWS, ROWS, NUMBER, NUMBER]
)
def _written(state, logits, token, node, limit, end, longest):
    """The state with the tokens that were chosen, rows that ended with them done."""
    token = tf.where(state.done, 0, token)
    state = with_token(state, token, log_probability(logits, token))
    is_over = (token == end) | (state.answered >= limit) | (state.lengths >= longest)
    return state._replace(done=state.done | is_over, node=node)


@tf.function(autograph=False, input_signature=[LOGITS])
def likeliest(logits):
    """The likeliest token of each row, int tensor [batch]."""
    return tf.argmax(without_padding(logits), axis=-1, output_type=tf.int32)


def log_probability(logits, token):
    """Of a token of each row, float tensor [batch], from logits [batch, vocabulary_size]."""
    return tf.gather(tf.nn.log_softmax(logits), token, batch_dims=1)
