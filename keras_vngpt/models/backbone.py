"""The stack of decoder layers between the embedding and the head."""

import keras
import keras_hub
from keras import ops

from keras_vngpt.models.transformer_decoder import TransformerDecoder, rotary_angles


@keras.saving.register_keras_serializable(package="keras_vngpt")
class VnGPTBackbone(keras_hub.models.Backbone):
    """A GPT decoder: token ids to hidden states.

    `padding_mask` may carry segment numbers, so that several documents share a row: 0 is padding,
    and a position attends to the earlier positions, and itself, that have its own number.

    Args:
        vocabulary_size: int.
        num_layers: int.
        num_heads: int.
        hidden_dim: int.
        intermediate_dim: int, the width of the feed-forward part.
        max_sequence_length: int, the longest row that the model is made for. `classic` cannot go
            beyond it, it has an embedding for each position.
        decoder: "modern" (`keras_vngpt.TransformerDecoder`) or "classic"
            (`keras_hub.layers.TransformerDecoder` with learned positions, GPT-2's layout).
        dropout: float.
        gradient_checkpointing: bool, `modern` alone: the backward pass computes the activations
            inside a layer again instead of keeping them.
        dtype: of computations and weights, as for `keras.layers.Layer`.
        **kwargs: as for `keras_hub.models.Backbone`.

    Example:
        >>> backbone = VnGPTBackbone(**PRESETS["nano"])
        >>> ids = keras.ops.array([[2, 7, 8, 9]])
        >>> backbone({"token_ids": ids, "padding_mask": keras.ops.ones_like(ids)}).shape
        TensorShape([1, 4, 128])
    """

    def __init__(
        self,
        vocabulary_size,
        num_layers,
        num_heads,
        hidden_dim,
        intermediate_dim,
        max_sequence_length=1024,
        decoder="modern",
        dropout=0.0,
        gradient_checkpointing=False,
        dtype=None,
        **kwargs,
    ):
        if decoder not in ("modern", "classic"):
            raise ValueError(
                f'`decoder` must be "modern" or "classic". Received: decoder={decoder}'
            )
        self.vocabulary_size = vocabulary_size
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.max_sequence_length = max_sequence_length
        self.decoder = decoder
        self.dropout = dropout
        self.gradient_checkpointing = gradient_checkpointing
        self.token_embedding = keras_hub.layers.ReversibleEmbedding(
            vocabulary_size,
            hidden_dim,
            tie_weights=True,
            embeddings_initializer=_initializer(),
            dtype=dtype,
            name="token_embedding",
        )
        self.position_embedding = None
        if decoder == "classic":
            self.position_embedding = keras_hub.layers.PositionEmbedding(
                max_sequence_length, initializer=_initializer(), dtype=dtype,
                name="position_embedding",
            )  # fmt: skip
        self.embedding_dropout = keras.layers.Dropout(
            dropout, dtype=dtype, name="embedding_dropout"
        )
        self.transformer_layers = [self._make_layer(i, dtype) for i in range(num_layers)]
        self.final_norm = (
            keras.layers.RMSNormalization(epsilon=1e-6, dtype=dtype, name="final_norm")
            if decoder == "modern"
            else keras.layers.LayerNormalization(epsilon=1e-5, dtype=dtype, name="final_norm")
        )

        token_ids = keras.Input((None,), dtype="int32", name="token_ids")
        padding_mask = keras.Input((None,), dtype="int32", name="padding_mask")
        attention_mask, positions = SegmentMask(name="segment_mask")(padding_mask)
        hidden, _ = self.decode(token_ids, attention_mask, positions)
        super().__init__(
            inputs={"token_ids": token_ids, "padding_mask": padding_mask},
            outputs=hidden,
            dtype=dtype,
            **kwargs,
        )

    def _make_layer(self, index, dtype):
        common = dict(
            num_heads=self.num_heads,
            intermediate_dim=self.intermediate_dim,
            dropout=self.dropout,
            kernel_initializer=_initializer(),
            dtype=dtype,
            name=f"transformer_layer_{index}",
        )
        if self.decoder == "modern":
            return TransformerDecoder(gradient_checkpointing=self.gradient_checkpointing, **common)
        return keras_hub.layers.TransformerDecoder(
            activation=keras.activations.gelu, normalize_first=True, **common
        )

    def decode(self, token_ids, attention_mask, positions, cache=None, cache_update_index=None):
        """The whole stack, with or without a cache.

        Args:
            token_ids: int tensor [batch, length].
            attention_mask: bool tensor [batch, length, keys].
            positions: int tensor [batch, length], the place of each token in its document.
            cache: optional list of a tensor [batch, 2, keys, num_heads, head_dim] a layer.
            cache_update_index: int, the first column of the cache that these tokens fill.

        Returns:
            `(hidden, cache)`: a float tensor [batch, length, hidden_dim], and the new cache.
        """
        x = self.token_embedding(token_ids)
        if self.decoder == "modern":
            angles = RotaryAngles(self.hidden_dim // self.num_heads)(positions)
            arguments = dict(attention_mask=attention_mask, angles=angles)
            cache_arguments = ("cache", "cache_update_index")
        else:
            x = x + self.position_embedding(x, positions=positions)
            arguments = dict(decoder_attention_mask=attention_mask, use_causal_mask=False)
            cache_arguments = ("self_attention_cache", "self_attention_cache_update_index")
        x = self.embedding_dropout(x)
        new_cache = []
        for i, layer in enumerate(self.transformer_layers):
            if cache is None:
                x = layer(x, **arguments)
            else:
                held = dict(zip(cache_arguments, (cache[i], cache_update_index), strict=True))
                x, layer_cache = layer(x, **arguments, **held)
                new_cache.append(layer_cache)
        return self.final_norm(x), new_cache

    def empty_cache(self, batch_size, length):
        """Zeros for `decode`: for each layer [batch, 2, length, num_heads, head_dim]."""
        shape = (batch_size, 2, length, self.num_heads, self.hidden_dim // self.num_heads)
        return [ops.zeros(shape, self.compute_dtype) for _ in self.transformer_layers]

    @classmethod
    def from_config(cls, config):
        """From what `get_config` gave, or gave before `recompute` had the name of the field."""
        config = dict(config)
        if "recompute" in config:
            config["gradient_checkpointing"] = config.pop("recompute")
        return super().from_config(config)

    def get_config(self):
        names = (
            "vocabulary_size num_layers num_heads hidden_dim intermediate_dim max_sequence_length "
            "decoder dropout gradient_checkpointing"
        )
        config = {**super().get_config(), **{name: getattr(self, name) for name in names.split()}}
        if any(getattr(layer, "quantization_mode", None) for layer in self._flatten_layers()):
            return config
        # KerasHub cannot load a preset whose policy is mixed: a preset says what its weights are.
        config["dtype"] = keras.dtype_policies.serialize(keras.DTypePolicy(self.variable_dtype))
        return config


@keras.saving.register_keras_serializable(package="keras_vngpt")
class SegmentMask(keras.layers.Layer):
    """Segment numbers [batch, length] to `(attention_mask, positions)`.

    The mask is [batch, length, length], true where query and key have the same non-zero number and
    the key is not later; the position of a token is how many of its document it may look back to.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, segment_ids):
        place = ops.arange(ops.shape(segment_ids)[1])
        query, key = segment_ids[:, :, None], segment_ids[:, None, :]
        mask = (query == key) & (query > 0) & (place[:, None] >= place[None, :])
        positions = ops.maximum(ops.sum(ops.cast(mask, "int32"), axis=-1) - 1, 0)
        return mask, positions

    def compute_output_spec(self, segment_ids):
        batch, length = segment_ids.shape
        return (
            keras.KerasTensor((batch, length, length), "bool"),
            keras.KerasTensor((batch, length), "int32"),
        )


@keras.saving.register_keras_serializable(package="keras_vngpt")
class RotaryAngles(keras.layers.Layer):
    """`rotary_angles` as a layer, so that all decoder layers share one computation."""

    def __init__(self, head_dim, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.head_dim = head_dim

    def call(self, positions):
        return rotary_angles(positions, self.head_dim)

    def get_config(self):
        return {**super().get_config(), "head_dim": self.head_dim}


def _initializer():
    return keras.initializers.RandomNormal(stddev=0.02)
