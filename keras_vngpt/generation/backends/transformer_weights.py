"""The weights of a trained `modern` model as decoding wants them."""

import math

import numpy as np
import tensorflow as tf

TOGETHER = 8  # inputs that `Matrix._times_one` adds up in one pass: the fastest of 4 to 32


class Matrix(tf.Module):
    """Matrices that are multiplied from the right, one a layer, kept in few bytes.

    int8 has a scale for each output: the largest entry of its column is 127. Products are of
    float32 whatever the kind: what a smaller one saves is the reading of memory, which is what a
    decoding step waits for. The outputs stand in two halves, whose products XLA computes at the
    same time: for 8 rows it takes four fifths of the time of one product.

    Args:
        layers, inputs, outputs: int.
        kind: one of `WEIGHTS`.

    References:
        - [Dettmers et al., 2022](https://arxiv.org/abs/2208.07339), section 2.1, absmax, here with
          a constant for each column.
    """

    def __init__(self, layers, inputs, outputs, kind):
        super().__init__()
        self.outputs = outputs
        self.half = (outputs + 1) // 2  # an odd number of outputs has one more, of zeros
        shape = [layers, 2, inputs, self.half]
        self.values = tf.Variable(tf.zeros(shape, kind), trainable=False)
        self.scale = None
        if kind == "int8":
            self.scale = tf.Variable(tf.ones([layers, outputs]), trainable=False)

    def assign(self, array):
        """Take the values of a float32 array [layers, inputs, outputs]."""
        if self.scale is not None:
            scale = np.maximum(np.abs(array).max(axis=1), np.finfo("float32").tiny) / 127
            self.scale.assign(scale)
            array = np.round(array / scale[:, None])
        array = np.pad(array, [(0, 0), (0, 0), (0, 2 * self.half - self.outputs)])
        halves = np.stack(np.split(array, 2, axis=2), axis=1)
        self.values.assign(tf.cast(halves, self.values.dtype))

    def each(self):
        """For each layer what `times` takes: `(halves, scale)`. Outside of XLA it is no copy."""
        _, _, *shape = self.values.shape
        halves = tf.unstack(tf.reshape(self.values, [-1, *shape]))
        scales = [None] * (len(halves) // 2) if self.scale is None else tf.unstack(self.scale)
        return list(zip(zip(halves[::2], halves[1::2], strict=True), scales, strict=True))

    def times(self, x, layer):
        """A product with one layer.

        Args:
            x: float tensor [batch, inputs].
            layer: what `each` gave for it; or its number, an int tensor, for a batch of one.

        Returns:
            float tensor [batch, outputs].
        """
        if not isinstance(layer, tuple):
            return self._times_one(x, layer)
        halves, scale = layer
        y = tf.concat([x @ _floats(half) for half in halves], axis=1)[:, : self.outputs]
        return y if scale is None else y * scale

    def _times_one(self, x, layer):
        """Sums of scaled rows: XLA spreads them over cores, and reads a layer where it stands."""
        inputs = self.values.shape[2]
        together = math.gcd(inputs, TOGETHER)
        rest = inputs // together
        rows = tf.reshape(self.values, [-1, 2, rest, together, self.half])
        parts_of_x = tf.unstack(tf.reshape(x, [1, rest, together, 1]), axis=2)
        parts = zip(parts_of_x, tf.unstack(rows, axis=3), strict=True)
        y = tf.add_n([part_of_x * _floats(tf.gather(part, layer)) for part_of_x, part in parts])
        y = tf.reshape(tf.reduce_sum(y, axis=1), [1, 2 * self.half])[:, : self.outputs]
        return y if self.scale is None else y * self.scale[layer]

    def columns(self, indices):
        """int tensor [n] to the columns with these numbers, [n, inputs], of the first layer."""
        in_half = tf.gather(self.values[0], indices % self.half, axis=2)
        columns = _floats(tf.where(indices < self.half, in_half[0], in_half[1]))
        if self.scale is not None:
            columns *= tf.gather(self.scale[0], indices)
        return tf.transpose(columns)


class TransformerWeights(tf.Module):
    """All weights of a `modern` backbone, one matrix where several have the same input.

    Args:
        backbone: a `VnGPTBackbone`.
        kind: of the matrices, one of `WEIGHTS`; norms stay float32.
    """

    def __init__(self, backbone, kind="float32"):
        super().__init__()
        layers, wide = backbone.num_layers, backbone.intermediate_dim
        hidden, heads = backbone.hidden_dim, backbone.num_heads
        # The embedding is [hidden_dim, vocabulary_size]: the head reads all of it for each token.
        self.embedding = Matrix(1, hidden, backbone.vocabulary_size, kind)
        self.attention_norm = _vectors(layers, hidden)
        self.query_key_value = Matrix(layers, hidden, 3 * hidden, kind)
        self.query_key_norm = _vectors(layers, 2 * heads, hidden // heads)
        self.attention_output = Matrix(layers, hidden, hidden, kind)
        self.feedforward_norm = _vectors(layers, hidden)
        self.gate_up = Matrix(layers, hidden, 2 * wide, kind)
        self.down = Matrix(layers, wide, hidden, kind)
        self.final_norm = _vectors(1, hidden)
        self.assign(backbone)

    def matrices(self):
        """For each layer a dictionary of what `Matrix.each` gives."""
        every = {name: matrix.each() for name, matrix in self._of_layers(Matrix)}
        return [dict(zip(every, of, strict=True)) for of in zip(*every.values(), strict=True)]

    def vectors(self, layer):
        """The vectors of one layer, an int tensor, by their names."""
        return {name: vectors[layer] for name, vectors in self._of_layers(tf.Variable)}

    def in_place(self, layer):
        """The matrices of one layer as `Matrix.times` takes them for a batch of one."""
        return dict.fromkeys(dict(self._of_layers(Matrix)), layer)

    def head(self):
        """The embedding as the matrix from hidden states to logits."""
        return self.embedding.each()[0]

    def _of_layers(self, kind):
        named = [(name, value) for name, value in vars(self).items() if isinstance(value, kind)]
        return [(name, value) for name, value in named if name not in ("embedding", "final_norm")]

    def assign(self, backbone):
        """Take the values that the weights of the backbone have now."""

        def all_layers(*names):
            return np.stack(
                [
                    np.concatenate([_numpy(getattr(layer, name).kernel) for name in names], axis=1)
                    for layer in backbone.transformer_layers
                ]
            )

        def scales(name):
            return [_numpy(getattr(layer, name).scale) for layer in backbone.transformer_layers]

        # Scores are products of queries over the root of their size: here it costs nothing.
        _, twice_heads, head_dim = self.query_key_norm.shape
        both = np.stack([np.array(scales("query_norm")) * head_dim**-0.5, scales("key_norm")], 1)
        self.query_key_norm.assign(np.repeat(both, twice_heads // 2, axis=1))
        self.attention_norm.assign(scales("attention_norm"))
        self.feedforward_norm.assign(scales("feedforward_norm"))
        self.query_key_value.assign(all_layers("query", "key", "value"))
        self.attention_output.assign(all_layers("attention_output"))
        self.gate_up.assign(all_layers("gate", "up"))
        self.down.assign(all_layers("down"))
        self.embedding.assign(_numpy(backbone.token_embedding.embeddings).T[None])
        self.final_norm.assign(_numpy(backbone.final_norm.scale)[None])


def _vectors(layers, *shape):
    return tf.Variable(tf.ones([layers, *shape]), trainable=False)


def _numpy(variable):
    return variable.numpy().astype("float32")


def _floats(values):
    return tf.cast(values, tf.float32)
