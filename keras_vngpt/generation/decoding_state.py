"""What one step of decoding hands to the next."""

from typing import Any, NamedTuple

import tensorflow as tf

IDS = tf.TensorSpec([None, None], tf.int32)
TEXTS = tf.TensorSpec([None], tf.string)
NUMBER = tf.TensorSpec([], tf.int32)
ROWS = tf.TensorSpec([None], tf.int32)


class State(NamedTuple):
    """All that one step hands to the next.

    Columns go around: the one after the last is the first. All rows write into the same column, so
    a row that has joined later stands beside the others.

    Args:
        tokens: int tensor [batch, columns].
        log_probabilities: float tensor like it, of the tokens that were chosen, before the
            settings changed anything.
        lengths: int tensor [batch], tokens of each row.
        answered: int tensor [batch], how many of them are its answer.
        cache_position: int tensor, the column of the newest token, which is not in the cache yet;
            modulo the number of columns.
        done: bool tensor [batch], rows that have ended.
        node: int tensor [batch], where each row is in the automaton of a constraint.
        cache: nest of tensors, as the model's backend wants it.
    """

    tokens: Any
    log_probabilities: Any
    lengths: Any
    answered: Any
    cache_position: Any
    done: Any
    node: Any
    cache: Any

    def newest(self):
        """The token of each row that the next step takes, int tensor [batch]."""
        return tf.gather(self.tokens, self.cache_position % tf.shape(self.tokens)[1], axis=1)

    def ages(self):
        """How long ago each column was written, 0 for the newest, int tensor [columns]."""
        columns = tf.shape(self.tokens)[1]
        return tf.math.floormod(self.cache_position - tf.range(columns), columns)


OF_ROWS = tuple(name for name in State._fields if name not in ("cache_position", "cache"))


def with_token(state, token, log_probability):
    """The state with a token more in each row that is not done; `done` is as it was."""
    columns = tf.shape(state.tokens)[1]
    is_here = tf.range(columns) == (state.cache_position + 1) % columns

    def put(values, new):
        return tf.ensure_shape(tf.where(is_here, new[:, None], values), values.shape)

    more = tf.cast(~state.done, tf.int32)
    return state._replace(
        tokens=put(state.tokens, token),
        log_probabilities=put(state.log_probabilities, tf.where(state.done, 0.0, log_probability)),
        lengths=state.lengths + more,
        answered=state.answered + more,
        cache_position=state.cache_position + 1,
    )


def state_specs(cache_specs=()):
    """A `State` of `tf.TensorSpec`."""
    columns, rows = tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([None], tf.bool)
    return State(IDS, columns, ROWS, ROWS, NUMBER, rows, ROWS, cache_specs)


def named_cache(cache):
    """The tensors of a cache as a dictionary, `cache_0` and so on."""
    return {f"cache_{i}": tensor for i, tensor in enumerate(tf.nest.flatten(cache))}


def to_tensors(state):
    """A `State` as the named tensors of a signature."""
    named = {**state._asdict(), **named_cache(state.cache)}
    del named["cache"]
    return named


def from_tensors(named, cache_specs=None):
    """What `to_tensors` gave as a `State` again; without specs the cache is a tuple of tensors."""
    count = sum(name.removeprefix("cache_").isdigit() for name in named)
    cache = tuple(named[f"cache_{i}"] for i in range(count))
    if cache_specs is not None:
        cache = tf.nest.pack_sequence_as(cache_specs, cache)
    return State(*(named[name] for name in State._fields[:-1]), cache)


def nothing_of(specs):
    """A tensor for each of a dictionary of specs, without entries."""
    return {n: tf.zeros([size or 0 for size in s.shape], s.dtype) for n, s in specs.items()}
