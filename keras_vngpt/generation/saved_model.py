"""A decoder as a SavedModel, and a SavedModel as a decoder again."""

import tensorflow as tf

from keras_vngpt.faults import Faults
from keras_vngpt.generation.controls import NAMES, SPECS, as_tensors
from keras_vngpt.generation.decoder import IDS, NEW_TOKENS, TEXTS
from keras_vngpt.whole import whole


def save_decoder(decoder, path, text=True):
    """Write a SavedModel that generates where only TensorFlow is installed.

    It is whole or not there.

    Args:
        decoder: a `Decoder`.
        path: str or Path, a folder; what stood there is replaced.
        text: whether to write the text signatures, which need tensorflow_text where the
            SavedModel is loaded; without them only ids go in and out.

    Example:
        >>> save_decoder(Decoder(model), "runs/default/export/1")
    """
    flat_specs = [NEW_TOKENS, *SPECS.values()]
    default = as_tensors({})
    all_tokens = tf.constant(decoder.max_length)

    def named(specs, names):
        return [tf.TensorSpec(s.shape, s.dtype, n) for s, n in zip(specs, names, strict=True)]

    def signature(function, specs, *names):
        return tf.function(function, autograph=False, input_signature=named(specs, names))

    control_names = ("max_new_tokens", *NAMES)

    def generate_ids(token_ids, max_new_tokens, *values):
        controls = dict(zip(NAMES, values, strict=True))
        return {"token_ids": decoder.continue_ids(token_ids, max_new_tokens, controls)}

    def generate(prompts, max_new_tokens, *values):
        controls = dict(zip(NAMES, values, strict=True))
        return {"responses": decoder.generate_texts(prompts, max_new_tokens, controls)}

    def score(texts):
        log_probability, token_count = decoder.score(texts)
        return {"log_probability": log_probability, "token_count": token_count}

    signatures = {
        "generate_ids": signature(generate_ids, [IDS, *flat_specs], "token_ids", *control_names)
    }
    exported = tf.Module()
    exported.steps = decoder.steps
    if text:
        exported.sentencepiece = decoder.sentencepiece
        signatures |= {
            "serving_default": signature(
                lambda prompts: {"responses": decoder.generate_texts(prompts, all_tokens, default)},
                [TEXTS],
                "prompts",
            ),
            "generate": signature(generate, [TEXTS, *flat_specs], "prompts", *control_names),
            "score": signature(score, [TEXTS], "texts"),
            "tokenize": signature(
                lambda prompts: {"token_ids": decoder.tokenize(prompts)}, [TEXTS], "prompts"
            ),
            "detokenize": signature(
                lambda token_ids: {"texts": decoder.detokenize(token_ids)}, [IDS], "token_ids"
            ),
        }
    else:
        signatures["serving_default"] = signature(
            lambda token_ids: {"token_ids": decoder.continue_ids(token_ids, all_tokens, default)},
            [IDS],
            "token_ids",
        )
    with whole(path) as partial:
        tf.saved_model.save(exported, str(partial), signatures=signatures)


class ExportedDecoder:
    """A SavedModel with the methods of `Decoder`, for terminals and services.

    Args:
        path: of the SavedModel.

    Raises:
        Faults: not a SavedModel of this project.

    Example:
        >>> ExportedDecoder("runs/default/export/1").generate(["Tắt đèn phòng khách"])
    """

    def __init__(self, path):
        import tensorflow_text  # noqa: F401  registers the operations that the model uses

        try:
            loaded = tf.saved_model.load(str(path))
        except Exception as error:  # whatever a damaged file raises
            raise Faults(f"{path}: cannot be loaded ({str(error).splitlines()[0]})") from None
        self._signatures = loaded.signatures
        self._loaded = loaded  # keeps the variables alive
        if "generate_ids" not in self._signatures:
            raise Faults(f"{path}: not an export of keras_vngpt: no signature generate_ids")

    @property
    def has_text(self):
        """Whether it takes texts, not only ids."""
        return "generate" in self._signatures

    def generate(self, prompts, max_new_tokens=None, **controls):
        """As `Decoder.generate`."""
        return self._call("generate", "responses", max_new_tokens, controls,
                          prompts=tf.constant(prompts, tf.string))  # fmt: skip

    def generate_ids(self, token_ids, max_new_tokens=None, **controls):
        """As `Decoder.generate_ids`."""
        return self._call("generate_ids", "token_ids", max_new_tokens, controls,
                          token_ids=tf.cast(token_ids, tf.int32))  # fmt: skip

    def tokenize(self, prompts):
        """As `Decoder.tokenize`."""
        return self._signatures["tokenize"](prompts=tf.constant(prompts))["token_ids"]

    def detokenize(self, token_ids):
        """As `Decoder.detokenize`."""
        return self._signatures["detokenize"](token_ids=tf.cast(token_ids, tf.int32))["texts"]

    def _call(self, name, output, max_new_tokens, controls, **inputs):
        values = as_tensors(controls)
        most = tf.int32.max if max_new_tokens is None else max_new_tokens
        return self._signatures[name](max_new_tokens=tf.constant(most), **inputs, **values)[output]
