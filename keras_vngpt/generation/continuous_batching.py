"""Rows that join a running batch and leave it: what a server needs between its steps."""

import tensorflow as tf

from keras_vngpt.generation.decoding_state import OF_ROWS
from keras_vngpt.generation.shapes import resized


def insert_rows(backend, state, new, rows):
    """Put prefilled rows into a running batch, in the place of others.

    All rows write into the same column, so the columns of the new rows are rolled until their
    newest tokens stand there; all else is of each row alone. Nothing is compiled for it.

    Args:
        backend: `CachedTransformer` or the like.
        state: `State` of the batch, [batch].
        new: `State` from `prefill`, [n]; columns that it has more than the batch are left out.
        rows: int tensor [n], the places of the new rows in the batch, none twice.

    Returns:
        `State` like `state`.

    Raises:
        tf.errors.InvalidArgumentError: the prompts have more columns than the batch.

    Example:
        4 columns, the newest token in column 2, and in column 0 of the new row `[a . . .]`: it is
        rolled by 2 to `[. . a .]`.
    """
    columns = tf.shape(state.tokens)[1]
    with tf.control_dependencies([
        tf.debugging.assert_less(
            new.cache_position, columns, "the new rows do not fit into the columns of the batch"
        )
    ]):  # fmt: skip
        shift = tf.math.floormod(state.cache_position - new.cache_position, columns)

    def rolled(each):
        return tf.roll(resized(each, [tf.shape(each)[0], columns]), shift, axis=1)

    new = new._replace(tokens=rolled(new.tokens), log_probabilities=rolled(new.log_probabilities))
    joined = {
        name: tf.tensor_scatter_nd_update(getattr(state, name), rows[:, None], getattr(new, name))
        for name in OF_ROWS
    }
    return state._replace(**joined, cache=backend.insert(state.cache, new.cache, rows, shift))


def remove_rows(state, rows):
    """Take rows out of a batch, finished or not: their places are free, and cost nothing.

    Args:
        state: `State`.
        rows: int tensor [n].

    Returns:
        `(state, token_ids, log_probabilities)`: the rows are done and empty; their answers so far,
        each [n, longest], padded with 0.
    """
    # The oldest column first.
    columns = tf.shape(state.tokens)[1]
    order = tf.math.floormod(state.cache_position + 1 + tf.range(columns), columns)
    tokens, log_probabilities = (
        tf.gather(tf.gather(each, rows), order, axis=1)
        for each in (state.tokens, state.log_probabilities)
    )
    # An answer is the last tokens of its row; behind its end stand zeros.
    answered = tf.gather(state.answered, rows)[:, None]
    from_the_end = tf.cumsum(tf.cast(tokens != 0, tf.int32), axis=1, reverse=True)
    first = tf.reduce_sum(tf.cast(from_the_end > answered, tf.int32), axis=1, keepdims=True)
    place = tf.range(tf.maximum(tf.reduce_max(answered), 0))
    column = tf.minimum(first + place, columns - 1)
    answers = (
        tf.where(place < answered, tf.gather(each, column, batch_dims=1), tf.zeros([], each.dtype))
        for each in (tokens, log_probabilities)
    )
    nothing = tf.zeros_like(rows)
    free = {"lengths": nothing, "answered": nothing, "node": nothing, "done": rows >= 0}
    free = {
        name: tf.tensor_scatter_nd_update(getattr(state, name), rows[:, None], value)
        for name, value in free.items()
    }
    return state._replace(**free), *answers
