"""Prefill and decoding steps of any KerasHub causal language model, row by row."""

import tensorflow as tf

from keras_vngpt.generation.sampling import NEVER
from keras_vngpt.generation.shapes import resized


class Untracked:
    """A Keras object that a `tf.Module` shall neither track nor save."""

    def __init__(self, it):
        self.it = it


class KerasHubCache(tf.Module):
    """The interface of `CachedTransformer` over a model's own `call_with_cache`.

    KerasHub's caches have one place for all rows of a batch; so that rows of any length go
    together, each is a batch of its own here. Right for every model, and slow.

    Args:
        model: a `keras_hub.models.CausalLM`.
        max_length: int, of a row.
        offset: int, by how much token ids are more than the model's.
    """

    block = 16  # few lengths are compiled

    def __init__(self, model, max_length, offset=0):
        super().__init__()
        self._model = Untracked(model)
        self.max_length = max_length  # there may be no positions beyond it
        self.offset = offset
        # Models differ in the nest of tensors that is their cache.
        _, cache = model._build_cache(tf.zeros([1, 1], tf.int32))
        self._cache_types = tf.nest.map_structure(lambda t: t.dtype, cache)
        self.cache_specs = tf.nest.map_structure(
            lambda t: tf.TensorSpec([None] * t.shape.rank, t.dtype), cache
        )
        self.prefix_specs = {"prefix_ids": tf.TensorSpec([None], tf.int32)}
        self.weights = [weight.value for weight in model.weights]  # what a SavedModel has to hold

    def refresh(self, backbone):
        """The model's own weights are in use: there is nothing to take."""

    def prefix(self, token_ids):
        """As `CachedTransformer.prefix`, but nothing is kept: every prompt is computed whole."""
        return {"prefix_ids": token_ids}

    def rows(self, cache, rows):
        """As `CachedTransformer.rows`."""
        return tf.nest.map_structure(lambda each: tf.gather(each, rows), cache)

    def insert(self, cache, new, rows, shift):
        """As `CachedTransformer.insert`; rows place their tokens by length: nothing is rolled."""

        def joined(all_, new):
            shape = tf.concat([tf.shape(new)[:1], tf.shape(all_)[1:]], axis=0)
            return tf.tensor_scatter_nd_update(all_, rows[:, None], resized(new, shape))

        return tf.nest.map_structure(joined, cache, new)

    def prefill(self, token_ids, lengths, capacity, prefix):
        """As `CachedTransformer.prefill`; the cache is whatever nest of tensors the model has."""
        columns, width = tf.range(tf.minimum(capacity, self.max_length)), tf.shape(token_ids)[1]
        source = tf.minimum(columns + (width - lengths)[:, None], width)
        from_the_left = tf.gather(tf.pad(token_ids, [[0, 0], [0, 1]]), source, batch_dims=1)
        # What is behind the end of a prompt is written over before anything looks at it.
        return tf.map_fn(
            lambda row: _without_batch(self._model.it._build_cache(row[None])[1]),
            self._of_model(from_the_left),
            fn_output_signature=self._cache_types,
        )

    def logits(self, token_ids, lengths):
        """As `CachedTransformer.logits`."""
        columns = tf.range(tf.shape(token_ids)[1])
        is_token = columns < lengths[:, None]
        start = tf.shape(token_ids)[1] - lengths[:, None]
        ids = tf.gather(token_ids, tf.minimum(columns + start, columns[-1:]), batch_dims=1)
        inputs = {"token_ids": self._of_model(ids), "padding_mask": tf.cast(is_token, tf.int32)}
        logits = self._model.it(inputs, training=False)
        return self._logits(tf.boolean_mask(logits, is_token))

    def _of_model(self, token_ids):
        return tf.maximum(token_ids - self.offset, 0)

    def _logits(self, logits):
        """Logits of the model, [n, vocabulary_size], as those of the decoder's ids."""
        logits = tf.cast(logits, tf.float32)
        return tf.pad(logits, [[0, 0], [self.offset, 0]], constant_values=NEVER)

    def shared(self):
        """Nothing: the steps read the model's variables."""
        return ()

    def step(self, token_ids, lengths, cache_position, cache, shared):
        """As `CachedTransformer.step`; a row's place in its cache is its length."""

        def one(row):
            token_id, length, cache = row
            cache = tf.nest.map_structure(lambda t: t[None], cache)
            place = tf.maximum(length - 1, 0)
            token_ids = self._of_model(token_id)[None, None]
            logits, _, cache = self._model.it.call_with_cache(token_ids, cache, place)
            return self._logits(logits[0])[0], _without_batch(cache)

        types = tf.float32, self._cache_types
        return tf.map_fn(one, (token_ids, lengths, cache), fn_output_signature=types)


def _without_batch(nest):
    return tf.nest.map_structure(lambda tensor: tensor[0], nest)
