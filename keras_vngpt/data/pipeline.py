"""Rows to batches of triples: a tf.data pipeline whose order depends on seed and step alone."""

import numpy as np
import tensorflow as tf

from keras_vngpt.data.dataset import TRIPLE, Mixture
from keras_vngpt.data.sources import TURNS


def training_batches(rows, batch_size, seed, start, stop, mixture=None):
    """The batches of steps `start` to `stop`, the same however often training was interrupted.

    Every pass over the rows has a permutation of its own. In a mixture each source has its passes:
    a small one with a large share is read several times while a large one is read once.

    Args:
        rows: `PackedDataset`.
        batch_size: int, rows in a batch.
        seed: int.
        start: int, first step.
        stop: int, the step after the last.
        mixture: optional `Mixture` of the rows.

    Returns:
        `tf.data.Dataset` of `({"token_ids", "padding_mask"}, target, sample_weight)`, each
        [batch_size, length]; `padding_mask` holds the segment numbers. Other columns of the rows
        stand in the dictionary under their own names.

    Example:
        >>> model.fit(training_batches(rows, batch_size=32, seed=0, start=0, stop=1000))
    """
    mixture = mixture or Mixture((len(rows),), (1.0,))
    n_rows = tf.constant(mixture.rows, "int64")
    first_row = tf.cumsum(n_rows, exclusive=True)
    turns, rank, n_turns = map(tf.constant, _turns(mixture.shares, seed))

    def row(place):
        turn = place % TURNS
        source = turns[turn]
        place = (place // TURNS) * n_turns[source] + rank[turn]  # among those of its source
        n = n_rows[source]
        return first_row[source] + tf.random.experimental.index_shuffle(
            place % n, tf.stack([seed + source, place // n]), n - 1
        )

    places = tf.data.Dataset.range(start * batch_size, stop * batch_size)
    return _read(places.map(row).batch(batch_size), rows, batch_size)


def with_soft_share(batches, first, last, start, steps):
    """Batches that say which part of each target is soft: it falls in a line over the training.

    Args:
        batches: `tf.data.Dataset` of triples, of the steps from `start` on.
        first: float, the part at step 0.
        last: float, what it falls to at step `steps`.
        start: int, first step.
        steps: int, in all.

    Returns:
        `tf.data.Dataset`, as before; the input has a `soft_share` too, float [batch_size].

    Example:
        >>> with_soft_share(training_batches(rows, 32, 0, 0, 1000), 0.95, 0.12, 0, 1000)
    """

    def with_share(step, triple):
        x, target, weight = triple
        share = first + (last - first) * tf.cast(step / steps, "float32")
        return x | {"soft_share": tf.fill(weight.shape[:1], share)}, target, weight

    return tf.data.Dataset.zip(tf.data.Dataset.range(start, steps), batches).map(with_share)


def normalized(batches, parts=1):
    """Batches whose weights add up to 1, cut into parts whose losses average to the batch's.

    With weights like these the loss is a sum, and parts of a batch add up to the batch however
    unequal their weights are: on one device after another, or on several at once.

    Args:
        batches: `tf.data.Dataset` of triples. Weights may be negative: their sizes add up to 1.
        parts: int, that a batch is cut into; as many rows in each.

    Returns:
        `tf.data.Dataset`, as before; the weights of a batch add up to the number of parts.

    Example:
        >>> trainer.fit(normalized(training_batches(rows, 32, 0, 0, 1000), parts=4))
    """

    def of_one(x, target, weight):
        total = tf.reduce_sum(tf.abs(weight))
        return x, target, weight * (parts / tf.where(total > 0, total, 1.0))

    batches = batches.map(of_one, num_parallel_calls=2)
    if parts > 1:
        size = batches.element_spec[1].shape[0] // parts
        batches = batches.unbatch().batch(size, drop_remainder=True)
    return batches.prefetch(4)


def evaluation_batches(rows, batch_size):
    """Every row once, in order; the last batch may be smaller.

    Args:
        rows: `PackedDataset`.
        batch_size: int, rows in a batch.

    Returns:
        `tf.data.Dataset`, as `training_batches`.
    """
    return _read(tf.data.Dataset.range(len(rows)).batch(batch_size), rows, None)


def _turns(shares, seed):
    """Whose turn it is, which of its turns that is, and how many each source has."""
    ends = np.round(np.cumsum(shares) / np.sum(shares) * TURNS).astype(int)
    n_turns = np.diff(ends, prepend=0)
    turns = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(shares)), n_turns))
    rank = np.zeros(TURNS, np.int64)
    for source, n in enumerate(n_turns):
        rank[turns == source] = np.arange(n)
    return turns, rank, n_turns


def _read(places, rows, batch_size):
    """Triples of the rows in some places [batch]."""
    names = [*TRIPLE, *sorted(rows.columns.keys() - set(TRIPLE))]
    types = [np.int32 if rows[n].dtype.kind in "iu" else np.float32 for n in names]

    def gather(places):
        places = np.sort(places)  # a batch has no order: read the file forwards
        return [rows[name][places].astype(t) for name, t in zip(names, types, strict=True)]

    def triple(places):
        arrays = tf.numpy_function(gather, [places], types, stateful=False)
        for name, array in zip(names, arrays, strict=True):
            array.set_shape([batch_size, *rows[name].shape[1:]])
        columns = dict(zip(names, arrays, strict=True))
        target, weight = columns.pop("target"), columns.pop("sample_weight")
        return columns | {"padding_mask": columns.pop("segment_ids")}, target, weight

    # Nothing is left to tune, and the end of training would wait for the thread that does.
    options = tf.data.Options()
    options.autotune.enabled = False
    return places.map(triple, num_parallel_calls=2).prefetch(4).with_options(options)
