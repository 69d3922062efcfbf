"""The `modern` model for inference: fused weights, a cache in blocks, a token a step."""

import keras
import tensorflow as tf

from keras_vngpt.generation.weights import DecoderWeights

BLOCK = 64  # columns of the cache that a step reads together
NOWHERE = -1e9  # a score that has no share; finite, so that a row without tokens has no NaN


class CachedTransformer(tf.Module):
    """Prefill and decoding steps of a `modern` backbone.

    The cache is a pair: keys [num_layers, blocks, batch, num_heads, head_dim, 64] and values
    [num_layers, blocks, batch, num_heads, 64, head_dim], the columns in blocks of 64. All rows
    write their newest token into the same column, the clock, so that it is one write in place; a
    row's tokens stand in the columns before it, around the end to the beginning if need be. So
    rows of any length go together, and one can join when another has ended.

    Args:
        backbone: a `VnGPTBackbone` with `decoder="modern"`.
        kind: of the matrices, "float32", "bfloat16", "float16" or "int8".

    References:
        - [Milakov and Gimelshein, 2018](https://arxiv.org/abs/1805.02867), algorithm 3: softmax
          over blocks, without a pass for the largest score.
    """

    block = BLOCK
    cache_structure = (None, None)

    def __init__(self, backbone, kind="float32"):
        super().__init__()
        self.num_layers = backbone.num_layers
        self.num_heads = backbone.num_heads
        self.head_dim = backbone.hidden_dim // backbone.num_heads
        self.weights = DecoderWeights(backbone, kind)

    def refresh(self, backbone):
        """Take the weights of a backbone that was trained meanwhile."""
        self.weights.assign(backbone)

    def prefill(self, token_ids, lengths, capacity):
        """The cache of prompts; without XLA, so that each length is paid for as it is.

        Args:
            token_ids: int tensor [batch, width], padded on the left.
            lengths: int tensor [batch].
            capacity: int tensor, columns of the cache, a multiple of 64, at least the width.

        Returns:
            The cache; the prompts end in the column `width - 1`.
        """
        cache = []
        self._hidden(token_ids, lengths, cache.append)
        keys, values = (
            tf.stack([_in_blocks(x, capacity) for x in each]) for each in zip(*cache, strict=True)
        )
        return tf.linalg.matrix_transpose(keys), values

    def logits(self, token_ids, lengths):
        """Logits of all tokens, one row after another.

        Args:
            token_ids: int tensor [batch, width], padded on the left.
            lengths: int tensor [batch].

        Returns:
            float tensor [sum of lengths, vocabulary_size].
        """
        x = self._hidden(token_ids, lengths, lambda keys_values: None)
        return self._head(self._product(self.weights.matrices()), x)

    def shared(self):
        """What all steps of a batch share, made outside of XLA, where it is no copy."""
        return self.weights.matrices()

    def step(self, token_ids, lengths, clock, cache, matrices):
        """One token for each row, within XLA.

        A batch that is known to be one row, [1], goes a way of its own: products that are faster
        for it, and one loop over the layers, which is compiled once for all.

        Args:
            token_ids: int tensor [batch].
            lengths: int tensor [batch], of each row with this token.
            clock: int tensor, the column for it, modulo their number.
            cache: as `prefill` gives it.
            matrices: from `shared`.

        Returns:
            `(logits, cache)`: float tensor [batch, vocabulary_size], and the new cache.
        """
        keys, values = cache
        is_one = token_ids.shape[0] == 1
        product = self._product_of_one if is_one else self._product(matrices)
        shape = [self.num_layers, None, token_ids.shape[0], self.num_heads, None, None]
        keys, values = tf.ensure_shape(keys, shape), tf.ensure_shape(values, shape)
        blocks = tf.shape(keys)[1]
        clock = tf.math.floormod(clock, blocks * BLOCK)
        age = tf.math.floormod(clock - tf.range(blocks * BLOCK), blocks * BLOCK)
        age = tf.reshape(age, [blocks, 1, 1, BLOCK])
        hidden_scores = tf.where(age < lengths[:, None, None], 0.0, NOWHERE)
        longest = tf.reduce_max(lengths)
        place = clock // BLOCK, clock % BLOCK
        angles = self._angles(tf.maximum(lengths - 1, 0))

        def attend(query, keys, values, layer):
            def is_needed(i, *_):  # whether the youngest token of the block is in use
                return (i < blocks) & ((i - 1) * BLOCK + place[1] + 1 < longest)

            def body(i, largest, total, mean):
                here = tf.math.floormod(place[0] - i, blocks)
                scores = tf.reduce_sum(query[..., None] * _block(keys, layer, here), axis=2)
                scores += tf.gather(hidden_scores, here)
                new_largest = tf.maximum(largest, tf.reduce_max(scores, axis=-1))
                shares = tf.exp(scores - new_largest[..., None])
                shrink = tf.exp(largest - new_largest)
                total = total * shrink + tf.reduce_sum(shares, axis=-1)
                here = tf.reduce_sum(shares[..., None] * _block(values, layer, here), axis=2)
                return i + 1, new_largest, total, mean * shrink[..., None] + here

            zeros = tf.zeros_like(query)
            start = 0, zeros[..., 0] + NOWHERE, zeros[..., 0], zeros
            _, _, total, mean = tf.while_loop(is_needed, body, start)
            return mean / total[..., None]

        def one_layer(layer, x, keys, values):
            query, key, value = self._query_key_value(product, layer, x, angles)
            start, rest = [layer, place[0], 0, 0], [0, place[1]]
            keys = keras.ops.slice_update(keys, [*start, *rest], key[None, None, ..., None])
            values = keras.ops.slice_update(
                values, [*start, *rest[::-1]], value[None, None, :, :, None]
            )
            x = self._after_attention(product, layer, x, attend(query, keys, values, layer))
            return layer + 1, x, keys, values

        state = 0, self.weights.embedding.columns(token_ids), keys, values
        if is_one:
            state = tf.while_loop(lambda layer, *_: layer < self.num_layers, one_layer, state)
        else:
            for _ in range(self.num_layers):
                state = one_layer(*state)
        _, x, keys, values = state
        return self._head(product, x), (keys, values)

    def _hidden(self, token_ids, lengths, take_keys_values):
        """What the last layer gives, [sum of lengths, hidden_dim].

        The products are of tokens, not of padding.

        Args:
            take_keys_values: called with a pair of tensors [batch, width, num_heads, head_dim] for
                each layer.
        """
        batch, width = tf.unstack(tf.shape(token_ids))
        columns = tf.range(width)
        start = (width - lengths)[:, None]
        is_token = columns >= start
        # Where a token of the batch is among all tokens, and where each of those is in the batch.
        number = tf.cumsum(tf.reshape(tf.cast(is_token, tf.int32), [-1]), exclusive=True)
        number = tf.reshape(number, [batch, width])
        token_place = tf.where(is_token)
        angles = self._angles(tf.boolean_mask(columns - start, is_token))
        mask = is_token[:, None, :] & (columns[None, :] <= columns[:, None])
        hidden_scores = tf.where(mask, 0.0, NOWHERE)[:, None]
        number = tf.minimum(number, tf.maximum(tf.reduce_sum(lengths) - 1, 0))

        product = self._product(self.weights.matrices())
        x = self.weights.embedding.columns(tf.boolean_mask(token_ids, is_token))
        for layer in range(self.num_layers):
            query, key, value = (
                tf.gather(each, number) for each in self._query_key_value(product, layer, x, angles)
            )
            take_keys_values((key, value))
            scores = tf.einsum("bqhd,bkhd->bhqk", query, key) + hidden_scores
            mean = tf.einsum("bhqk,bkhd->bqhd", tf.nn.softmax(scores), value)
            x = self._after_attention(product, layer, x, tf.gather_nd(mean, token_place))
        return x

    def _product(self, matrices):
        def product(name, layer, x):
            return getattr(self.weights, name).times(x, matrices[name][layer])

        return product

    def _product_of_one(self, name, layer, x):
        return getattr(self.weights, name).times_one(x, layer)

    def _query_key_value(self, product, layer, x, angles):
        """Rotated query and key, and value, [tokens, num_heads, head_dim]; the query is scaled."""
        weights = self.weights
        x = product("query_key_value", layer, _norm(x, weights.attention_norm[layer]))
        x = tf.reshape(x, [-1, 3, self.num_heads, self.head_dim])
        query = _rotate(_norm(x[:, 0], weights.query_norm[layer]), angles) * self.head_dim**-0.5
        return query, _rotate(_norm(x[:, 1], weights.key_norm[layer]), angles), x[:, 2]

    def _after_attention(self, product, layer, x, mean):
        x += product("attention_output", layer, tf.reshape(mean, tf.shape(x)))
        gate_up = product("gate_up", layer, _norm(x, self.weights.feedforward_norm[layer]))
        gate, up = tf.split(gate_up, 2, axis=-1)
        return x + product("down", layer, tf.nn.silu(gate) * up)

    def _head(self, product, x):
        return product("embedding", 0, _norm(x, self.weights.final_norm[0]))

    def _angles(self, positions):
        exponents = tf.range(0, self.head_dim, 2, dtype=tf.float32) / self.head_dim
        angles = tf.cast(positions, tf.float32)[:, None, None] / 10_000.0**exponents
        return tf.cos(angles), tf.sin(angles)


def _norm(x, scale):
    return x * tf.math.rsqrt(tf.reduce_mean(x * x, axis=-1, keepdims=True) + 1e-6) * scale


def _rotate(x, angles):
    cos, sin = angles
    first, second = tf.split(x, 2, axis=-1)
    return tf.concat([first * cos - second * sin, second * cos + first * sin], axis=-1)


def _block(x, layer, block):
    """One block of one layer, of [layers, blocks, batch, num_heads, ...]."""
    size = tf.concat([[1, 1], tf.shape(x)[2:]], axis=0)
    part = tf.slice(x, [layer, block, 0, 0, 0, 0], size)
    part.set_shape([1, 1, *x.shape[2:]])
    return part[0, 0]


def _in_blocks(x, capacity):
    """[batch, width, num_heads, head_dim] to [blocks, batch, num_heads, 64, head_dim]."""
    batch, width, heads, head_dim = tf.unstack(tf.shape(x))
    x = tf.pad(x, [[0, 0], [0, capacity - width], [0, 0], [0, 0]])
    return tf.transpose(tf.reshape(x, [batch, -1, BLOCK, heads, head_dim]), [1, 0, 3, 2, 4])
