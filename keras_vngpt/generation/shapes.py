"""Rows of tokens padded and rounded up to powers of two: the shapes that are compiled."""

import tensorflow as tf

SMALLEST_TABLE = 8  # rows and columns


def used(token_ids):
    """How many of each row are tokens, not padding."""
    return tf.reduce_sum(tf.cast(token_ids != 0, tf.int32), axis=-1)


def longest_used(token_ids):
    """How many columns have a token, where padding is on the right; 0 of no rows."""
    return tf.maximum(tf.reduce_max(used(token_ids)), 0)


def to_the_right(token_ids, lengths, padding=0):
    """[batch, width] padded on the right to the same padded on the left."""
    columns = tf.range(tf.shape(token_ids)[1])
    source = columns - (tf.shape(token_ids)[1] - lengths[:, None])
    moved = tf.gather(token_ids, tf.maximum(source, 0), batch_dims=1)
    return tf.where(source >= 0, moved, padding)


def shortened(token_ids, room):
    """Prompts of at most `room` tokens, with a column at least, padded on the left; and lengths.

    One that is too long keeps its first token and its last.
    """
    whole = used(token_ids)
    lengths = tf.minimum(whole, room)
    width = tf.maximum(tf.reduce_max(lengths), 1)
    position = tf.range(width) - (width - lengths)[:, None]
    column = tf.where(position > 0, position + (whole - lengths)[:, None], 0)
    padded = tf.pad(token_ids, [[0, 0], [0, 1]])  # there may be no column at all
    return tf.where(position < 0, 0, tf.gather(padded, column, batch_dims=1)), lengths


def bucket(size, smallest):
    """The next power of two, of an int tensor of any shape."""
    powers = tf.constant([2**i for i in range(31)])
    place = tf.searchsorted(powers, tf.reshape(tf.maximum(size, smallest), [-1]))
    return tf.reshape(tf.gather(powers, place), tf.shape(size))


def in_bucket(table):
    """A table with a power of two of rows and of columns, so that few shapes are compiled."""
    more = bucket(tf.shape(table), SMALLEST_TABLE) - tf.shape(table)
    # Columns on the left, where token sequences are padded; edges of a node may stand anywhere.
    return tf.pad(table, more[:, None] * [[0, 1], [1, 0]], constant_values=-1)


def resized(tensor, shape):
    """A tensor cut or padded with zeros at the end of each axis, to `shape`, an int tensor."""
    kept = tf.slice(tensor, tf.zeros_like(shape), tf.minimum(tf.shape(tensor), shape))
    return tf.pad(kept, tf.stack([tf.zeros_like(shape), shape - tf.shape(kept)], axis=1))
