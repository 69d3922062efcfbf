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

    def call_with_cache(
        self, token_ids, cache, cache_update_index, attention_mask=None, positions=None
    ):
        """Logits for tokens whose predecessors are in the cache.

        Args:
            token_ids: int tensor [batch, length].
            cache: list of a tensor [batch, 2, keys, num_heads, head_dim] a layer.
            cache_update_index: int, the first column of the cache that these tokens fill.
            attention_mask: bool tensor [batch, length, keys]; by default every column of the
                cache up to the token's own.
            positions: int tensor [batch, length]; by default the columns.

        Returns:
            `(logits, hidden, cache)`: [batch, length, vocabulary_size], [batch, length,
            hidden_dim], and the new cache.
        """
        batch, length = ops.shape(token_ids)[0], ops.shape(token_ids)[1]
        columns = cache_update_index + ops.arange(length)
        if attention_mask is None:
            attention_mask = columns[:, None] >= ops.arange(ops.shape(cache[0])[2])[None, :]
            attention_mask = ops.repeat(attention_mask[None], batch, axis=0)
        if positions is None:
            positions = ops.repeat(columns[None], batch, axis=0)
        hidden, cache = self.backbone.decode(
            token_ids, attention_mask, positions, cache, cache_update_index
        )
        return self.backbone.token_embedding(hidden, reverse=True), hidden, cache

    def _build_cache(self, token_ids):
        """Hidden states and the cache of ids [batch, length]; the name is KerasHub's."""
        cache = self.backbone.empty_cache(*ops.shape(token_ids))
        _, hidden, cache = self.call_with_cache(token_ids, cache, 0)
        return hidden, cache

    def generate_step(self, inputs, stop_token_ids=None):
        """One batch through KerasHub's samplers; see `keras_hub.models.CausalLM.generate`."""
        token_ids, mask = inputs["token_ids"], ops.cast(inputs["padding_mask"], "bool")
        batch_size = ops.shape(token_ids)[0]
        hidden, cache = self._build_cache(token_ids)

        def next(prompt, cache, index):
            last = ops.slice(prompt, [0, index - 1], [batch_size, 1])
            logits, hidden, cache = self.call_with_cache(last, cache, index - 1)
            return logits[:, 0], hidden[:, 0], cache

        token_ids = self.sampler(
            next=next,
            prompt=token_ids,
            cache=cache,
            index=ops.min(ops.sum(ops.cast(mask, "int32"), axis=-1)),
            mask=mask,
            stop_token_ids=stop_token_ids,
            hidden_states=hidden,
            model=self,
        )
        if stop_token_ids is None:
            return {"token_ids": token_ids, "padding_mask": ops.ones_like(mask)}
        is_stop = ops.zeros_like(mask)
        for stop in stop_token_ids:
            is_stop = is_stop | (token_ids == stop)
        stops = ops.cast(is_stop & ~mask, "int32")
        return {
            "token_ids": token_ids,
            "padding_mask": ops.cumsum(stops, axis=-1) - stops == 0,
        }
