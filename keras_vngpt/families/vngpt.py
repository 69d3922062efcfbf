"""Our own models: a `VnGPTBackbone` with its SentencePiece tokenizer."""

from keras_vngpt.data.preprocessor import VnGPTCausalLMPreprocessor
from keras_vngpt.errors import UserError
from keras_vngpt.families.family import ModelFamily, preset_config
from keras_vngpt.models.backbone import VnGPTBackbone
from keras_vngpt.models.causal_lm import VnGPTCausalLM
from keras_vngpt.models.sizes import architecture
from keras_vngpt.models.transformer_decoder import TransformerDecoder
from keras_vngpt.text.tokenizer import VnGPTTokenizer

__all__ = [
    "TransformerDecoder", "VnGPT", "VnGPTBackbone", "VnGPTCausalLM", "VnGPTCausalLMPreprocessor",
    "VnGPTTokenizer",
]  # fmt: skip

# KerasHub finds the parts of a preset by these; the rooms below do not import each other.
VnGPTTokenizer.backbone_cls = VnGPTBackbone
VnGPTCausalLMPreprocessor.backbone_cls = VnGPTBackbone
VnGPTCausalLM.preprocessor_cls = VnGPTCausalLMPreprocessor


class VnGPT(ModelFamily):
    """The family that `fit` builds where it does not start from another model."""

    name = "vngpt"
    takes_segments = True

    def matches_model(self, model):
        return isinstance(model, VnGPTCausalLM)

    def matches_preset(self, folder):
        return preset_config(folder).get("class_name") == VnGPTBackbone.__name__

    def build(self, model_settings, preprocessor, **settings):
        """A new model.

        Args:
            model_settings: `ModelSettings`.
            preprocessor: from `preprocessor`; the vocabulary is its tokenizer's.
            **settings: as for `load`.
        """
        sizes = architecture(model_settings)
        sizes["vocabulary_size"] = preprocessor.tokenizer.vocabulary_size()
        backbone = VnGPTBackbone(**sizes, decoder=model_settings.decoder, **settings)
        return VnGPTCausalLM(backbone, preprocessor)

    def load(self, folder, preprocessor, **settings):
        config = preset_config(folder)["config"]
        if config["decoder"] == "classic":  # its positions are weights
            wanted, longest = settings["max_sequence_length"], config["max_sequence_length"]
            settings["max_sequence_length"] = longest
            if longest < wanted:
                raise UserError(
                    f"sequence_length: {wanted}; the classic decoder of {folder} has positions for "
                    f"{longest}"
                )
        backbone = VnGPTBackbone.from_preset(str(folder), **settings)
        return VnGPTCausalLM(backbone, preprocessor)
