"""The `modern` decoder layer."""

import keras
from keras import ops


def rotary_angles(positions, head_dim, max_wavelength=10_000.0):
    """Cosines and sines of rotary position embeddings.

    Args:
        positions: int tensor [...].
        head_dim: int, even.
        max_wavelength: float.

    Returns:
        `(cos, sin)`, float32, each [..., 1, head_dim / 2].

    References:
        - [Su et al., 2021](https://arxiv.org/abs/2104.09864), equation 15.
    """
    exponents = ops.arange(0, head_dim, 2, dtype="float32") / head_dim
    angles = ops.cast(positions, "float32")[..., None, None] / ops.power(max_wavelength, exponents)
    return ops.cos(angles), ops.sin(angles)


def rotate(x, angles):
    """Turn [..., heads, head_dim] by its angles, [..., 1, head_dim / 2], the halves paired."""
    cos, sin = (ops.cast(a, x.dtype) for a in angles)
    first, second = ops.split(x, 2, axis=-1)
    return ops.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def attend(query, key, value, mask):
    """Scaled dot-product attention.

    Written out for processors, where it takes two thirds of the time of
    `keras.ops.dot_product_attention`; that one is asked where Keras may fuse it.

    Args:
        query: float tensor [batch, length, heads, head_dim].
        key, value: float tensors [batch, keys, heads, head_dim].
        mask: bool tensor [batch, length, keys]: who may look at whom.

    Returns:
        A tensor like `query`.
    """
    devices = [] if keras.config.backend() == "tensorflow" else keras.distribution.list_devices()
    if not all(device.startswith("cpu") for device in devices):
        return ops.dot_product_attention(query, key, value, mask=mask[:, None])
    query = ops.transpose(query * query.shape[-1] ** -0.5, (0, 2, 1, 3))
    key, value = ops.transpose(key, (0, 2, 3, 1)), ops.transpose(value, (0, 2, 1, 3))
    scores = ops.cast(ops.matmul(query, key), "float32")
    # Finite, so that a row that may look at nothing has no NaN.
    scores = scores + ops.where(mask, 0.0, -1e9)[:, None]
    shares = ops.cast(ops.softmax(scores, axis=-1), value.dtype)
    return ops.transpose(ops.matmul(shares, value), (0, 2, 1, 3))


@keras.saving.register_keras_serializable(package="keras_vngpt")
class TransformerDecoder(keras.layers.Layer):
    """A decoder layer in the Qwen3 layout, with 2-D kernels.

    Pre-norm RMSNorm, rotary positions, RMSNorm on each head's query and key, SwiGLU, no biases.
    The two output projections start from zero, so that a fresh layer is the identity. Kernels are
    2-D so that Muon takes all of them.

    Args:
        num_heads: int.
        intermediate_dim: int, the width of the feed-forward part.
        dropout: float, on the outputs of both halves.
        epsilon: float, of the normalisations.
        gradient_checkpointing: bool, whether the backward pass computes the activations inside the
            layer again instead of keeping them: less memory, a third more time.
        kernel_initializer: for the projections that do not start from zero.
        **kwargs: as for `keras.layers.Layer`.

    Call arguments:
        x: float tensor [batch, length, hidden_dim].
        attention_mask: bool tensor [batch, length, keys]: who may look at whom.
        angles: the pair from `rotary_angles`, for the positions of `x`.
        cache: optional tensor [batch, 2, keys, num_heads, head_dim], keys and values so far.
        cache_update_index: int, the first column of the cache that `x` fills.

    Returns:
        A tensor like `x`; with a cache, the pair of that and the new cache.

    Example:
        >>> layer = TransformerDecoder(num_heads=4, intermediate_dim=704)
        >>> mask = keras.ops.tril(keras.ops.ones((1, 8, 8), "bool"))
        >>> angles = rotary_angles(keras.ops.arange(8)[None], head_dim=64)
        >>> layer(keras.ops.ones((1, 8, 256)), attention_mask=mask, angles=angles).shape
        TensorShape([1, 8, 256])

    References:
        - [Yang et al., 2025](https://arxiv.org/abs/2505.09388), the Qwen3 layout.
        - [Zhang and Sennrich, 2019](https://arxiv.org/abs/1910.07467), RMSNorm.
        - [Shazeer, 2020](https://arxiv.org/abs/2002.05202), SwiGLU.
    """

    def __init__(
        self,
        num_heads,
        intermediate_dim,
        dropout=0.0,
        epsilon=1e-6,
        gradient_checkpointing=False,
        kernel_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.epsilon = epsilon
        self.gradient_checkpointing = gradient_checkpointing
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or keras.initializers.RandomNormal(stddev=0.02)
        )

    def build(self, input_shape):
        hidden_dim = input_shape[-1]
        if hidden_dim % (2 * self.num_heads):
            raise ValueError(
                "The width of the layer must be an even multiple of its heads. "
                f"Received: hidden_dim={hidden_dim}, num_heads={self.num_heads}"
            )
        self.head_dim = hidden_dim // self.num_heads

        def norm(name, dim):
            layer = keras.layers.RMSNormalization(
                epsilon=self.epsilon, dtype=self.dtype_policy, name=name
            )
            layer.build((None, dim))
            return layer

        def dense(name, input_dim, units, initializer):
            layer = keras.layers.Dense(
                units,
                use_bias=False,
                kernel_initializer=initializer,
                dtype=self.dtype_policy,
                name=name,
            )
            layer.build((None, input_dim))
            return layer

        def fresh():
            return self.kernel_initializer.clone()

        self.attention_norm = norm("attention_norm", hidden_dim)
        self.query = dense("query", hidden_dim, hidden_dim, fresh())
        self.key = dense("key", hidden_dim, hidden_dim, fresh())
        self.value = dense("value", hidden_dim, hidden_dim, fresh())
        self.query_norm = norm("query_norm", self.head_dim)
        self.key_norm = norm("key_norm", self.head_dim)
        self.attention_output = dense("attention_output", hidden_dim, hidden_dim, "zeros")
        self.feedforward_norm = norm("feedforward_norm", hidden_dim)
        self.gate = dense("gate", hidden_dim, self.intermediate_dim, fresh())
        self.up = dense("up", hidden_dim, self.intermediate_dim, fresh())
        self.down = dense("down", self.intermediate_dim, hidden_dim, "zeros")
        self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)

    def call(self, x, attention_mask, angles, cache=None, cache_update_index=None, training=None):
        def attention(x):
            return self._attention(x, attention_mask, angles, cache, cache_update_index)

        feedforward = self._feedforward
        if self.gradient_checkpointing and training:
            # Dropout stays outside: made again, it would draw another seed.
            attention, feedforward = keras.remat(attention), keras.remat(feedforward)
        if cache is None:
            y = attention(x)
        else:
            y, cache = attention(x)
        x = x + self.dropout_layer(y, training=training)
        x = x + self.dropout_layer(feedforward(x), training=training)
        return x if cache is None else (x, cache)

    def _attention(self, x, attention_mask, angles, cache, cache_update_index):
        batch, length = ops.shape(x)[0], ops.shape(x)[1]

        def heads(y):
            return ops.reshape(y, (batch, length, self.num_heads, self.head_dim))

        x = self.attention_norm(x)
        query = rotate(self.query_norm(heads(self.query(x))), angles)
        key = rotate(self.key_norm(heads(self.key(x))), angles)
        value = heads(self.value(x))
        if cache is not None:
            update = ops.stack([key, value], axis=1)
            cache = ops.slice_update(cache, [0, 0, cache_update_index, 0, 0], update)
            key, value = cache[:, 0], cache[:, 1]
        y = attend(query, key, value, attention_mask)
        y = self.attention_output(ops.reshape(y, (batch, length, self.num_heads * self.head_dim)))
        return y if cache is None else (y, cache)

    def _feedforward(self, x):
        x = self.feedforward_norm(x)
        gate = ops.cast(self.gate(x), "float32")  # whose sigmoid is the faster one, and exact
        return self.down(ops.cast(ops.silu(gate), x.dtype) * self.up(x))

    def compute_output_spec(self, x, *args, cache=None, **kwargs):
        x = keras.KerasTensor(x.shape, self.compute_dtype)
        return x if cache is None else (x, keras.KerasTensor(cache.shape, cache.dtype))

    def get_config(self):
        names = "num_heads", "intermediate_dim", "dropout", "epsilon", "gradient_checkpointing"
        config = {**super().get_config(), **{name: getattr(self, name) for name in names}}
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {**config, "kernel_initializer": initializer}
