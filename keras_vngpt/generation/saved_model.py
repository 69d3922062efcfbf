"""A decoder as a SavedModel, and a SavedModel as a decoder again."""

import tensorflow as tf

from keras_vngpt.faults import Faults
from keras_vngpt.generation.controls import NAMES, SPECS, as_tensors
from keras_vngpt.generation.decoder import IDS, NEW_TOKENS, TEXTS, named_cache
from keras_vngpt.whole import whole

# The controls of the signatures `generate` and `generate_ids`, whose inputs are fixed: all inputs
# of a signature have to be given. Those whose names end in `_with` take every control.
FIRST_NAMES = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed")
ROWS = tf.TensorSpec([None], tf.int32)


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
    default = as_tensors({})
    all_tokens = tf.constant(decoder.max_length)

    def signature(function, **specs):
        specs = [tf.TensorSpec(s.shape, s.dtype, name) for name, s in specs.items()]
        return tf.function(function, autograph=False, input_signature=specs)

    def with_controls(function, output, names, **prompts):
        """The signature of a function of prompts, new tokens and controls."""

        def call(prompts, max_new_tokens, *values):
            controls = default | dict(zip(names, values, strict=True))
            return {output: function(prompts, max_new_tokens, controls)}

        controls = {name: SPECS[name] for name in names}
        return signature(call, **prompts, max_new_tokens=NEW_TOKENS, **controls)

    def score(texts):
        log_probability, token_count = decoder.score(texts)
        return {"log_probability": log_probability, "token_count": token_count}

    ids, cache = {"token_ids": IDS}, decoder.prefill.get_concrete_function().structured_outputs
    cache = {n: tf.TensorSpec(s.shape, s.dtype) for n, s in cache.items() if n.startswith("cache")}

    def decode_step(token_ids, lengths, clock, *flat):
        held = tf.nest.pack_sequence_as(decoder.steps.cache_structure, flat)
        logits, held = decoder.decode_step(token_ids, lengths, clock, held)
        return {"logits": logits, **named_cache(held)}

    signatures = {
        "generate_ids": with_controls(decoder.continue_ids, "token_ids", FIRST_NAMES, **ids),
        "generate_ids_with": with_controls(decoder.continue_ids, "token_ids", NAMES, **ids),
        "prefill": signature(decoder.prefill.python_function, **ids, max_new_tokens=NEW_TOKENS),
        "decode_step": signature(
            decode_step, token_ids=ROWS, lengths=ROWS, clock=NEW_TOKENS, **cache
        ),
    }
    exported = tf.Module()
    exported.weights = decoder.steps.variables  # its functions would be written once more
    if text:
        exported.sentencepiece = decoder.sentencepiece
        texts = {"prompts": TEXTS}
        signatures |= {
            "serving_default": signature(
                lambda prompts: {"responses": decoder.generate_texts(prompts, all_tokens, default)},
                **texts,
            ),
            "generate": with_controls(decoder.generate_texts, "responses", FIRST_NAMES, **texts),
            "generate_with": with_controls(decoder.generate_texts, "responses", NAMES, **texts),
            "score": signature(score, texts=TEXTS),
            "tokenize": signature(
                lambda prompts: {"token_ids": decoder.tokenize(prompts)}, **texts
            ),
            "detokenize": signature(
                lambda token_ids: {"texts": decoder.detokenize(token_ids)}, **ids
            ),
        }
    else:
        signatures["serving_default"] = signature(
            lambda token_ids: {"token_ids": decoder.continue_ids(token_ids, all_tokens, default)},
            **ids,
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
        if "generate_ids_with" not in self._signatures:
            raise Faults(
                f"{path}: not an export of this version of keras_vngpt: no signature "
                "generate_ids_with. Export the run again"
            )

    @property
    def has_text(self):
        """Whether it takes texts, not only ids."""
        return "generate" in self._signatures

    def generate(self, prompts, max_new_tokens=None, **controls):
        """As `Decoder.generate`."""
        return self._call("generate_with", "responses", max_new_tokens, controls,
                          prompts=tf.constant(prompts, tf.string))  # fmt: skip

    def generate_ids(self, token_ids, max_new_tokens=None, **controls):
        """As `Decoder.generate_ids`."""
        return self._call("generate_ids_with", "token_ids", max_new_tokens, controls,
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
