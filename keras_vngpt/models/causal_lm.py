"""The language model: the backbone and its tied head."""

import keras
import keras_hub
from keras import ops

from keras_vngpt.models.backbone import VnGPTBackbone


@keras.saving.register_keras_serializable(package="keras_vngpt")
class VnGPTCausalLM(keras_hub.models.CausalLM):
    """A GPT that predicts the next token, for training and generation.

    Args:
        backbone: a `VnGPTBackbone`.
        preprocessor: a `VnGPTCausalLMPreprocessor`, or `None` to work on triples and ids.
        **kwargs: as for `keras_hub.models.CausalLM`.

    Example:
        >>> model = VnGPTCausalLM.from_preset("runs/default/finetune")
        >>> model.compile(sampler="greedy")
        >>> model.generate({"prompts": ["Bật quạt phòng ngủ lên mức 2"]}, strip_prompt=True)
    """

    backbone_cls = VnGPTBackbone
    preprocessor_cls = None  # set where the package is put together
    generate_step = keras_hub.models.GPT2CausalLM.generate_step  # asks for the two methods below

    def __init__(self, backbone, preprocessor=None, **kwargs):
        self.backbone = backbone
        self.preprocessor = preprocessor
        hidden = backbone(backbone.input)
        logits = backbone.token_embedding(hidden, reverse=True)
        super().__init__(inputs=backbone.input, outputs=logits, **kwargs)

    def compile(self, optimizer="auto", loss="auto", **kwargs):
        """As `keras_hub.models.CausalLM.compile`; the loss divides by the weights alone."""
        if loss == "auto":
            loss = keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight"
            )
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def call_with_cache(self, token_ids, cache, cache_update_index):
        """Logits for tokens whose predecessors are in the cache.

        Args:
            token_ids: int tensor [batch, length].
            cache: list of a tensor [batch, 2, keys, num_heads, head_dim] a layer.
            cache_update_index: int, the first column of the cache that these tokens fill.

        Returns:
            `(logits, hidden, cache)`: [batch, length, vocabulary_size], [batch, length,
            hidden_dim], and the new cache.
        """
        batch, length = ops.shape(token_ids)[0], ops.shape(token_ids)[1]
        columns = cache_update_index + ops.arange(length)
        mask = columns[:, None] >= ops.arange(ops.shape(cache[0])[2])[None, :]
        hidden, cache = self.backbone.decode(
            token_ids,
            ops.repeat(mask[None], batch, axis=0),
            ops.repeat(columns[None], batch, axis=0),
            cache,
            cache_update_index,
        )
        return self.backbone.token_embedding(hidden, reverse=True), hidden, cache

    def _build_cache(self, token_ids):
        """Hidden states and the cache of ids [batch, length]; the name is KerasHub's."""
        cache = self.backbone.empty_cache(*ops.shape(token_ids))
        _, hidden, cache = self.call_with_cache(token_ids, cache, 0)
        return hidden, cache
