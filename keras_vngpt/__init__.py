"""From Vietnamese text to a small GPT that answers, in Keras."""

from keras_vngpt.console import import_tensorflow

import_tensorflow()

from keras_vngpt.augmentation.augment import augment  # noqa: E402
from keras_vngpt.data.preprocessor import VnGPTCausalLMPreprocessor  # noqa: E402
from keras_vngpt.evaluation.evaluate import evaluate  # noqa: E402
from keras_vngpt.exporting.export import export  # noqa: E402
from keras_vngpt.generation.chat import chat  # noqa: E402
from keras_vngpt.generation.generate import generate  # noqa: E402
from keras_vngpt.models.backbone import VnGPTBackbone  # noqa: E402
from keras_vngpt.models.causal_lm import VnGPTCausalLM  # noqa: E402
from keras_vngpt.models.transformer_decoder import TransformerDecoder  # noqa: E402
from keras_vngpt.runs.fit import fit  # noqa: E402
from keras_vngpt.runs.preview import preview  # noqa: E402
from keras_vngpt.text.tokenizer import VnGPTTokenizer  # noqa: E402
from keras_vngpt.text.training import train_tokenizer  # noqa: E402

# KerasHub finds the parts of a preset by these; the rooms themselves do not import each other.
VnGPTTokenizer.backbone_cls = VnGPTBackbone
VnGPTCausalLMPreprocessor.backbone_cls = VnGPTBackbone
VnGPTCausalLM.preprocessor_cls = VnGPTCausalLMPreprocessor

__all__ = [
    "TransformerDecoder",
    "VnGPTBackbone",
    "VnGPTCausalLM",
    "VnGPTCausalLMPreprocessor",
    "VnGPTTokenizer",
    "augment",
    "chat",
    "evaluate",
    "export",
    "fit",
    "generate",
    "preview",
    "train_tokenizer",
]
