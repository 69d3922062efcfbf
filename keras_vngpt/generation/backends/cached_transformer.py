"""The `modern` model for inference: fused weights, a cache in blocks, a token a step."""

import math

import keras
import tensorflow as tf
from tensorflow.compiler.tf2xla.python.xla import dynamic_slice

from keras_vngpt.generation.backends.transformer_weights import TransformerWeights
from keras_vngpt.generation.decoding_state import IDS, ROWS, nothing_of
from keras_vngpt.generation.shapes import resized
from keras_vngpt.models.transformer_decoder import rotary_angles, rotate

BLOCK = 64  # columns of the cache that a step reads together
PARTS = 4  # of a block that are added in one pass: the fastest of 1 to 16
NOWHERE = -1e9  # a score that has no share; finite, so that a row without tokens has no NaN


class CachedTransformer(tf.Module):
    """Prefill and decoding steps of a `modern` backbone.

    The cache is a pair: keys [num_layers, blocks, batch, num_heads, head_dim, 64] and values
    [num_layers, blocks, batch, num_heads, 64, head_dim], the columns in blocks of 64. All rows
    write their newest token into the same column, the cache position, so that it is one write in
    place; a row's tokens stand in the columns before it, around the end to the beginning if need
    be. So rows of any length go together, and one can join when another has ended.

    Args:
        backbone: a `VnGPTBackbone` with `decoder="modern"`.
        kind: of the matrices, "float32", "bfloat16", "float16" or "int8".

    References:
        - [Milakov and Gimelshein, 2018](https://arxiv.org/abs/1805.02867), algorithm 3: softmax
          over blocks, without a pass for the largest score.
    """

    block = BLOCK

    def __init__(self, backbone, kind="float32"):
        super().__init__()
        self.max_length = backbone.max_sequence_length  # of a row with its answer
        self.num_layers = backbone.num_layers
        self.num_heads = backbone.num_heads
        self.head_dim = backbone.hidden_dim // backbone.num_heads
        self.weights = TransformerWeights(backbone, kind)
        heads, dim = self.num_heads, self.head_dim
        # Looked up, for XLA makes sines anew in each layer and for each head.
        angles = rotary_angles(tf.range(backbone.max_sequence_length), dim)
        self._angles = tf.Variable(tf.stack(angles), trainable=False)
        self.cache_specs = tuple(
            tf.TensorSpec([self.num_layers, None, None, heads, *last], tf.float32)
            for last in ([dim, BLOCK], [BLOCK, dim])
        )
        tokens = tf.TensorSpec([self.num_layers, None, heads, dim], tf.float32)
        self.prefix_specs = {"prefix_ids": ROWS, "prefix_keys": tokens, "prefix_values": tokens}
        # One function for all that needs it: it stands in a SavedModel once.
        specs = IDS, ROWS, self.prefix_specs, tf.TensorSpec([], tf.bool)
        self._hidden = tf.function(self._all_layers, autograph=False, input_signature=specs)

    def refresh(self, backbone):
        """Take the weights of a backbone that was trained meanwhile."""
        self.weights.assign(backbone)

    def prefix(self, token_ids):
        """What `prefill` needs of tokens that prompts begin with, int tensor [length]."""
        nothing = nothing_of(self.prefix_specs)
        _, keys, values = self._hidden(token_ids[None], tf.shape(token_ids), nothing, True)
        return {"prefix_ids": token_ids, "prefix_keys": keys[:, 0], "prefix_values": values[:, 0]}

    def rows(self, cache, rows):
        """The cache of these rows, int tensor [n], instead of its own."""
        return tuple(tf.gather(each, rows, axis=2) for each in cache)

    def insert(self, cache, new, rows, shift):
        """A cache with new rows in places of its own.

        Args:
            cache, new: of any number of columns each, those of `new` cut or padded.
            rows: int tensor [n], the places in `cache` of the rows of `new`.
            shift: int tensor, by how many columns the new rows are rolled.

        Returns:
            The cache.
        """

        def joined(all_, new, axis):
            shape = tf.shape(new)
            shape = tf.tensor_scatter_nd_update(shape, [[1]], tf.shape(all_)[1:2])
            new = _rolled(resized(new, shape), shift, axis)
            place = tf.meshgrid(tf.range(shape[0]), tf.range(shape[1]), rows, indexing="ij")
            return tf.tensor_scatter_nd_update(all_, tf.stack(place, axis=-1), new)

        keys, values = (joined(*pair) for pair in zip(cache, new, (5, 4), strict=True))
        return keys, values

    def prefill(self, token_ids, lengths, capacity, prefix):
        """The cache of prompts; without XLA, so that each length is paid for as it is.

        Args:
            token_ids: int tensor [batch, width], padded on the left.
            lengths: int tensor [batch].
            capacity: int tensor, columns of the cache, a multiple of 64, at least the width.
            prefix: from `prefix`; how rows begin need not be computed where it is the same.

        Returns:
            The cache; the prompts end in the column `width - 1`.
        """
        _, keys, values = self._hidden(token_ids, lengths, prefix, True)
        keys, values = (_in_blocks(each, capacity) for each in (keys, values))
        return tf.linalg.matrix_transpose(keys), values

    def logits(self, token_ids, lengths):
        """Logits of all tokens, one row after another.

        Args:
            token_ids: int tensor [batch, width], padded on the left.
            lengths: int tensor [batch].

        Returns:
            float tensor [sum of lengths, vocabulary_size].
        """
        x, *_ = self._hidden(token_ids, lengths, nothing_of(self.prefix_specs), False)
        return self.weights.embedding.times(self._final_norm(x), self.weights.head())

    @tf.function(autograph=False)
    def shared(self):
        """What all steps of a batch share, made outside of XLA, where it is no copy."""
        return self.weights.matrices(), self.weights.head()

    def step(self, token_ids, lengths, cache_position, cache, shared):
        """One token for each row, within XLA.

        A batch that is known to be one row, [1], goes a way of its own: products that are faster
        for it, and one loop over the layers, which is compiled once for all.

        Args:
            token_ids: int tensor [batch].
            lengths: int tensor [batch], of each row with this token.
            cache_position: int tensor, the column for it, modulo their number.
            cache: as `prefill` gives it.
            shared: from `shared`; nothing of it is read for one row.

        Returns:
            `(logits, cache)`: float tensor [batch, vocabulary_size], and the new cache.
        """
        shape = [self.num_layers, None, token_ids.shape[0], self.num_heads, None, None]
        cache = (tf.ensure_shape(each, shape) for each in cache)
        return self._step(token_ids, lengths, cache_position, *cache, shared)

    @tf.function(autograph=False, reduce_retracing=True)
    def _step(self, token_ids, lengths, cache_position, keys, values, shared):
        """`step` as a function, for one row and for several: each is in a SavedModel once."""
        is_one = token_ids.shape[0] == 1
        columns = tf.shape(keys)[1] * BLOCK
        cache_position = tf.math.floormod(cache_position, columns)
        age = tf.math.floormod(cache_position - tf.range(columns), columns)
        age = tf.reshape(age, [-1, 1, 1, BLOCK])
        rest = {
            "angles": self._angles_at(tf.maximum(lengths - 1, 0)),
            "cache_position": cache_position,
            "longest": tf.reduce_max(lengths),
            "hidden_scores": tf.where(age < lengths[:, None, None], 0.0, NOWHERE),
        }

        def one_layer(layer, *state):
            matrices = self.weights.in_place(layer) if is_one else shared[0][layer]
            return layer + 1, *self._step_layer(tf.convert_to_tensor(layer), *state, matrices, rest)

        state = 0, self.weights.embedding.columns(token_ids), keys, values
        if is_one:
            state = tf.while_loop(lambda layer, *_: layer < self.num_layers, one_layer, state)
        else:
            for _ in range(self.num_layers):
                state = one_layer(*state)
        _, x, keys, values = state
        x, head = self._final_norm(x), self.weights.embedding
        return head.times(x, tf.constant(0) if is_one else shared[1]), (keys, values)

    @tf.function(autograph=False, reduce_retracing=True)
    def _step_layer(self, layer, x, keys, values, matrices, rest):
        """One layer of `step`; a function of its own stands in a SavedModel once."""
        weights = matrices | self.weights.vectors(layer)
        query, key, value = self._query_key_value(weights, x, rest["angles"])
        block, column = rest["cache_position"] // BLOCK, rest["cache_position"] % BLOCK
        start, end = [layer, block, 0, 0], [0, column]
        keys = keras.ops.slice_update(keys, [*start, *end], key[None, None, ..., None])
        values = keras.ops.slice_update(values, [*start, *end[::-1]], value[None, None, :, :, None])
        mean = self._attend(query, keys, values, layer, rest)
        return self._after_attention(weights, x, mean), keys, values

    def _attend(self, query, keys, values, layer, rest):
        """Attention of a new token for each row, [batch, num_heads, head_dim], block by block."""
        blocks = tf.shape(keys)[1]
        newest, in_newest = rest["cache_position"] // BLOCK, rest["cache_position"] % BLOCK

        def is_needed(i, *_):  # whether the youngest token of the block is in use
            return (i < blocks) & ((i - 1) * BLOCK + in_newest + 1 < rest["longest"])

        def body(i, largest, total, mean):
            here = tf.math.floormod(newest - i, blocks)
            scores = _times_block(query, keys, layer, here)
            scores += tf.gather(rest["hidden_scores"], here)
            new_largest = tf.maximum(largest, tf.reduce_max(scores, axis=-1))
            shares = tf.exp(scores - new_largest[..., None])
            shrink = tf.exp(largest - new_largest)
            total = total * shrink + tf.reduce_sum(shares, axis=-1)
            mean = mean * shrink[..., None] + _times_block(shares, values, layer, here)
            return i + 1, new_largest, total, mean

        zeros = tf.zeros_like(query)
        start = 0, zeros[..., 0] + NOWHERE, zeros[..., 0], zeros
        _, _, total, mean = tf.while_loop(is_needed, body, start)
        return mean / total[..., None]

    def _all_layers(self, token_ids, lengths, prefix, is_shared):
        """What the last layer gives, and the keys and values of all.

        The products are of tokens, not of padding; with `is_shared` those of how all rows begin are
        of the first row alone, and none of what the prefix has.

        Returns:
            `(x, keys, values)`: [tokens, hidden_dim], and twice [num_layers, batch, width,
            num_heads, head_dim].
        """
        batch, width = tf.unstack(tf.shape(token_ids))
        columns = tf.range(width)
        position = columns - (width - lengths)[:, None]
        is_token = position >= 0
        # The first row that has a token, none in an empty batch.
        is_first = (lengths > 0) & (tf.cumsum(tf.cast(lengths > 0, tf.int32)) == 1)

        def of_first(each):
            chosen = tf.reshape(is_first, [-1] + [1] * (each.shape.rank - 1))
            return tf.reduce_sum(tf.where(chosen, each, 0), axis=0)

        in_first = position + width - of_first(lengths)
        in_first = tf.clip_by_value(in_first, 0, tf.maximum(width - 1, 0))
        shared = _agreed(token_ids == tf.gather(of_first(token_ids), in_first), position, lengths)
        ids = tf.pad(prefix["prefix_ids"], [[0, 1]], constant_values=-1)
        ids = tf.gather(ids, tf.clip_by_value(position, 0, tf.size(ids) - 1))
        known = _agreed(token_ids == ids, position, lengths - 1)  # a row has a token of its own
        known = tf.minimum(known, tf.size(prefix["prefix_ids"]))
        known, shared = (tf.where(is_shared, n, 0) for n in (known, shared))
        is_new = (position >= known) & ((position >= shared) | is_first[:, None])
        # Where a token of the batch is among those of the prefix and all new ones, and where each
        # of the new ones is in the batch.
        place = tf.where(is_token & is_new)
        count = tf.shape(place, tf.int32)[0]
        number = tf.scatter_nd(place, known + tf.range(count), [batch, width])
        is_of_first = (position >= known) & (position < shared)
        number = tf.where(is_of_first, tf.gather(of_first(number), in_first), number)
        number = tf.where(is_token & (position < known), position, number)
        new_number = tf.maximum(number - known, 0)
        angles = self._angles_at(tf.gather_nd(position, place))
        mask = is_token[:, None, :] & (columns[None, :] <= columns[:, None])
        hidden_scores = tf.where(mask, 0.0, NOWHERE)[:, None]

        before = {name: prefix[f"prefix_{name}"][:, :known] for name in ("keys", "values")}
        rest = angles, number, new_number, hidden_scores, place, before
        x = self.weights.embedding.columns(tf.gather_nd(token_ids, place))
        cache = []
        # Layer by layer: a `while_loop` is a graph no smaller, and takes a tenth more time.
        for layer, matrices in enumerate(self.shared()[0]):
            x, *keys_values = self._hidden_layer(tf.constant(layer), x, matrices, rest)
            cache.append(keys_values)
        return x, *(tf.stack(each) for each in zip(*cache, strict=True))

    @tf.function(autograph=False, reduce_retracing=True)
    def _hidden_layer(self, layer, x, matrices, rest):
        """One layer of `_all_layers`: what it gives, and its keys and values."""
        angles, number, new_number, hidden_scores, place, before = rest
        weights = matrices | self.weights.vectors(layer)
        query, key, value = self._query_key_value(weights, x, angles)
        query = tf.gather(query, new_number)
        key = tf.gather(tf.concat([before["keys"][layer], key], axis=0), number)
        value = tf.gather(tf.concat([before["values"][layer], value], axis=0), number)
        scores = tf.einsum("bqhd,bkhd->bhqk", query, key) + hidden_scores
        mean = tf.einsum("bhqk,bkhd->bqhd", tf.nn.softmax(scores), value)
        x = self._after_attention(weights, x, tf.gather_nd(mean, place))
        return x, key, value

    def _angles_at(self, positions):
        """What `rotary_angles` gives for positions, int tensor [tokens]."""
        positions = tf.minimum(positions, self._angles.shape[1] - 1)  # no row goes beyond
        return tf.unstack(tf.gather(self._angles, positions, axis=1))

    def _product(self, name, weights, x):
        return getattr(self.weights, name).times(x, weights[name])

    def _query_key_value(self, weights, x, angles):
        """Rotated query and key, and value, [tokens, num_heads, head_dim]; the query is scaled."""
        x = self._product("query_key_value", weights, _norm(x, weights["attention_norm"]))
        x = tf.reshape(x, [-1, 3 * self.num_heads, self.head_dim])
        query_key, value = tf.split(x, [2 * self.num_heads, self.num_heads], axis=1)
        query_key = rotate(_norm(query_key, weights["query_key_norm"]), angles)
        return *tf.split(query_key, 2, axis=1), value

    def _after_attention(self, weights, x, mean):
        x += self._product("attention_output", weights, tf.reshape(mean, tf.shape(x)))
        gate_up = self._product("gate_up", weights, _norm(x, weights["feedforward_norm"]))
        gate, up = tf.split(gate_up, 2, axis=-1)
        return x + self._product("down", weights, gate * tf.sigmoid(gate) * up)

    def _final_norm(self, x):
        return _norm(x, self.weights.final_norm[0])


def _agreed(is_same, position, ends):
    """How many tokens all rows begin with for which `is_same` holds, at most `ends` of any row."""
    others = tf.where((position >= 0) & ~is_same, position, tf.int32.max)
    ends = tf.where(ends > 0, ends, tf.int32.max)
    return tf.minimum(tf.reduce_min(others), tf.reduce_min(ends))


def _norm(x, scale):
    return x * tf.math.rsqrt(tf.reduce_mean(x * x, axis=-1, keepdims=True) + 1e-6) * scale


def _times_block(x, cache, layer, block):
    """A product of [batch, num_heads, inputs] with one block of one layer of keys or values.

    Of a batch, parts are added in one pass: of all products XLA writes to memory only these sums.
    A row alone is faster without. For `tf.slice` the place would have to be known at compile time:
    each column of the cache would be compiled anew.
    """
    shape = tf.shape(cache)
    inputs = x.shape[-1]
    parts = 1 if x.shape[0] == 1 else math.gcd(inputs, PARTS)
    width = inputs // parts
    size = tf.concat([[1, 1], shape[2:4], [width], shape[5:]], axis=0)
    starts = [[0, 0, 0, 0, i * width, 0] for i in range(parts)]
    starts = tf.unstack(starts + tf.stack([layer, block, 0, 0, 0, 0]))
    parts_of_x = tf.split(x[None, None, ..., None], parts, axis=4)
    pairs = zip(parts_of_x, starts, strict=True)
    y = tf.add_n([part_of_x * dynamic_slice(cache, start, size) for part_of_x, start in pairs])
    return tf.reduce_sum(y[0, 0], axis=2)


def _rolled(x, shift, axis):
    """Blocks along axis 1, and columns in them along `axis`, rolled as if they were one axis."""
    blocks, columns = shift // BLOCK, shift % BLOCK
    here = tf.roll(x, [blocks, columns], axis=[1, axis])
    from_before = tf.roll(x, [blocks + 1, columns], axis=[1, axis])
    is_here = tf.range(BLOCK) >= columns
    is_here = tf.reshape(is_here, [-1] + [1] * (x.shape.rank - 1 - axis))
    return tf.where(is_here, here, from_before)


def _in_blocks(x, capacity):
    """Keys or values as `_hidden` gives them to [layers, blocks, batch, heads, 64, head_dim]."""
    layers, batch, width, heads, head_dim = tf.unstack(tf.shape(x))
    x = tf.pad(x, [[0, 0], [0, 0], [0, capacity - width], [0, 0], [0, 0]])
    x = tf.reshape(x, [layers, batch, -1, BLOCK, heads, head_dim])
    return tf.transpose(x, [0, 2, 1, 4, 3, 5])
