"""From Vietnamese text to a small GPT that answers, in Keras."""

import importlib
import os
import sys

from keras_vngpt.console import QuietImports

# Read when TensorFlow is imported, which only happens when it is used. By itself it takes oneDNN
# only on processors with instructions for neural networks; on others training takes twice as long.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":  # JAX sets this, where it comes first
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.meta_path.insert(0, QuietImports)

_PLACES = {
    "TransformerDecoder": "families.vngpt",
    "VnGPTBackbone": "families.vngpt",
    "VnGPTCausalLM": "families.vngpt",
    "VnGPTCausalLMPreprocessor": "families.vngpt",
    "VnGPTTokenizer": "families.vngpt",
    "augment": "augmentation.augment",
    "chat": "generation.chat",
    "evaluate": "evaluation.evaluate",
    "export": "exporting.export",
    "fit": "runs.fit",
    "generate": "generation.generate",
    "preview": "runs.preview",
    "train_tokenizer": "text.tokenizer_training",
}
__all__ = sorted(_PLACES)  # noqa: PLE0605


def __getattr__(name):
    """A public name, imported when it is first used (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = _PLACES[name]
    if place in ("families.vngpt", "text.tokenizer_training"):
        from keras_vngpt.console import import_tensorflow

        import_tensorflow()
    value = getattr(importlib.import_module(f"{__name__}.{place}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
