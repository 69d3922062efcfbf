"""A decoder as a SavedModel, and a SavedModel as a decoder again."""

import tensorflow as tf

from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write, locked
from keras_vngpt.generation.answering import Answering
from keras_vngpt.generation.controls import (
    IDS,
    NUMBER,
    PER_ROW,
    ROWS,
    SPECS,
    STEP_SPECS,
    TABLES,
    TEXTS,
    as_tensors,
)
from keras_vngpt.generation.smaller_graph import shrink
from keras_vngpt.generation.state import dictionary_specs, named_cache

# The controls of the signatures `generate` and `generate_ids`, whose inputs are fixed: all inputs
# of a signature have to be given. Those whose names end in `_with` take every control.
FIRST_NAMES = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed")


def save_decoder(decoder, path, text=True):
    """Write a SavedModel that generates where only TensorFlow is installed.

    It is whole or not there, and what stood there stays until then.

    Args:
        decoder: a `Decoder`.
        path: str or Path, a folder; what stood there is replaced.
        text: whether to write the text signatures, which need tensorflow_text where the
            SavedModel is loaded; without them only ids go in and out.

    Raises:
        UserError: another process is writing it.

    Example:
        >>> save_decoder(Decoder(model), "runs/default/export/1")
    """
    with locked(path), atomic_write(path) as partial:
        exported = tf.Module()
        exported.weights = decoder.steps.variables  # functions are written with the signatures
        if text:
            exported.assets = decoder.assets
        tf.saved_model.save(exported, str(partial), signatures=_signatures(decoder, text))
        shrink(partial)


def _signatures(decoder, text):
    default, no_stop = as_tensors({})
    prefix, state = decoder.steps.prefix_specs, dictionary_specs(decoder.steps.cache_specs)
    cache = named_cache(decoder.steps.cache_specs)
    ids, texts = {"token_ids": IDS}, {"texts": TEXTS}
    prompts, length = {"prompts": TEXTS}, {"max_new_tokens": NUMBER}
    first_controls = {name: SPECS[name] for name in FIRST_NAMES}
    stop = {"stop": TEXTS} if text else {}

    def answered(given, *outputs):
        """The answers to what a signature was given, defaults for what it was not."""
        controls = {name: given.get(name, value) for name, value in default.items()}
        before = {name: given.get(name, value) for name, value in decoder.no_prefix().items()}
        most = given.get("max_new_tokens", tf.constant(decoder.max_length))
        to_texts = "prompts" in given
        prompts = given["prompts" if to_texts else "token_ids"]
        rest = most, controls, *([given["stop"]] if "stop" in given else []), before
        if "num_beams" in given:
            of_ids = decoder.answer if text else decoder.answer_without_texts
            out = (decoder.answer_texts if to_texts else of_ids)(prompts, *rest)
        else:
            out = (decoder.continue_texts if to_texts else decoder.continue_ids)(prompts, *rest)
        return {name: out[name] for name in outputs or out}

    def prefill(given):
        before = {name: given.get(name, value) for name, value in decoder.no_prefix().items()}
        return decoder.prefill(given["token_ids"], given["max_new_tokens"], before)

    def decode_step(given):
        held = [given[name] for name in cache]
        held = tf.nest.pack_sequence_as(decoder.steps.cache_specs, held)
        names = "token_ids", "lengths", "clock"
        logits, held = decoder.decode_step(*(given[name] for name in names), held)
        return {"logits": logits, **named_cache(held)}

    def decode_steps(given):
        state_given, controls = ({n: given[n] for n in names} for names in (state, STEP_SPECS))
        return decoder.decode_steps(state_given, given["count"], controls)

    def score(given):
        log_probability, token_count = decoder.score(given["texts"])
        return {"log_probability": log_probability, "token_count": token_count}

    def controls(_):
        return default | decoder.no_prefix() | ({"stop": no_stop} if text else {})

    def row_controls(given):
        of_rows = {name: tf.fill(given["rows"][None], default[name]) for name in PER_ROW}
        most = tf.fill(given["rows"][None], decoder.max_length)
        of_rows |= {"max_new_tokens": most, "row": tf.zeros_like(most)}
        return of_rows | {name: default[name] for name in TABLES}

    def vocabulary(_):
        return {"tokens": decoder.vocabulary(), "end": tf.constant(decoder.end)}

    def ids_alone(given):
        return answered(given, "token_ids")

    def responses_alone(given):
        return answered(given, "responses")

    signatures = {
        "serving_default": _signature(ids_alone, ids),
        "generate_ids": _signature(ids_alone, ids | length | first_controls),
        "generate_ids_with": _signature(answered, ids | length | SPECS | stop | prefix),
        "controls": _signature(controls, {}),
        "prefill": _signature(prefill, ids | length),
        "prefill_with": _signature(prefill, ids | length | prefix),
        "decode_step": _signature(
            decode_step, {"token_ids": ROWS, "lengths": ROWS, "clock": NUMBER, **cache}
        ),
        "decode_steps": _signature(decode_steps, state | {"count": NUMBER} | STEP_SPECS),
        "row_controls": _signature(row_controls, {"rows": NUMBER}),
        "prefix_cache": _signature(
            lambda given: decoder.prefix_of(given["prefix_ids"]), {"prefix_ids": ROWS}
        ),
    }
    if not text:
        return signatures
    return signatures | {
        "serving_default": _signature(responses_alone, prompts),
        "generate": _signature(responses_alone, prompts | length | first_controls),
        "generate_with": _signature(answered, prompts | length | SPECS | stop | prefix),
        "score": _signature(score, texts),
        "tokenize": _signature(lambda given: {"token_ids": decoder.tokenize(**given)}, prompts),
        "detokenize": _signature(lambda given: {"texts": decoder.detokenize(**given)}, ids),
        "answer_ids": _signature(lambda given: {"token_ids": decoder.answer_ids(**given)}, texts),
        "bad_words": _signature(lambda given: decoder.bad_words(**given), texts),
        "choices": _signature(lambda given: decoder.choices(**given), texts),
        "vocabulary": _signature(vocabulary, {}),
    }


def _signature(function, specs):
    """A function of a dictionary as one of tensors with these names."""
    specs = {name: tf.TensorSpec(s.shape, s.dtype, name) for name, s in specs.items()}

    def call(*values):
        return function(dict(zip(specs, values, strict=True)))

    return tf.function(call, autograph=False, input_signature=list(specs.values()))


class ExportedDecoder(Answering):
    """A SavedModel with the methods of `Decoder`, for terminals and services.

    Args:
        path: of the SavedModel.

    Raises:
        UserError: not a SavedModel of this project.

    Example:
        >>> ExportedDecoder("runs/default/export/1").generate(["Tắt đèn phòng khách"])
    """

    def __init__(self, path):
        import tensorflow_text  # noqa: F401  registers the operations that the model uses

        try:
            loaded = tf.saved_model.load(str(path))
        except Exception as error:  # whatever a damaged file raises
            raise UserError(f"{path}: cannot be loaded ({str(error).splitlines()[0]})") from None
        self._path, self._signatures = path, loaded.signatures
        self._loaded = loaded  # keeps the variables alive
        if "decode_steps" not in self._signatures:
            raise UserError(
                f"{path}: not an export of this version of keras_vngpt: no signature "
                "decode_steps. Export the run again"
            )

    def _call(self, name, **inputs):
        if name not in self._signatures:
            raise UserError(f"{self._path}: was exported with --text false and has no {name}")
        return self._signatures[name](**inputs)

    @property
    def has_text(self):
        """Whether it takes texts, not only ids."""
        return "generate" in self._signatures

    def tokenize(self, prompts):
        """As `Decoder.tokenize`."""
        return self._call("tokenize", prompts=tf.constant(prompts))["token_ids"]

    def detokenize(self, token_ids):
        """As `Decoder.detokenize`."""
        return self._call("detokenize", token_ids=tf.cast(token_ids, tf.int32))["texts"]

    def answer_ids(self, texts):
        """As `Decoder.answer_ids`."""
        return self._call("answer_ids", texts=texts)["token_ids"]

    def bad_words(self, texts):
        """As `Decoder.bad_words`."""
        return self._call("bad_words", texts=texts)

    def choices(self, texts):
        """As `Decoder.choices`."""
        return self._call("choices", texts=texts)

    def vocabulary(self):
        """As `Decoder.vocabulary`."""
        return self._call("vocabulary")["tokens"]

    @property
    def end(self):
        """The id of `[EOS]`."""
        return int(self._call("vocabulary")["end"])

    def prefix_of(self, token_ids):
        """As `Decoder.prefix_of`."""
        return self._call("prefix_cache", prefix_ids=token_ids)

    def no_prefix(self):
        """As `Decoder.no_prefix`."""
        default = self._call("controls")
        return {name: value for name, value in default.items() if name.startswith("prefix")}

    def answer_texts(self, prompts, max_new_tokens, controls, stop, prefix):
        """As `Decoder.answer_texts`."""
        inputs = {"prompts": prompts, "max_new_tokens": max_new_tokens, "stop": stop}
        return self._call("generate_with", **inputs, **controls, **prefix)

    def answer(self, token_ids, max_new_tokens, controls, stop, prefix):
        """As `Decoder.answer`."""
        inputs = {"token_ids": token_ids, "max_new_tokens": max_new_tokens}
        inputs |= {"stop": stop} if self.has_text else {}
        return self._call("generate_ids_with", **inputs, **controls, **prefix)

    def answer_without_texts(self, token_ids, max_new_tokens, controls, prefix):
        """As `Decoder.answer_without_texts`."""
        no_stop = tf.zeros([0], tf.string)
        return self.answer(token_ids, max_new_tokens, controls, no_stop, prefix)

    def prefill(self, token_ids, max_new_tokens, prefix):
        """As `Decoder.prefill`."""
        inputs = {"token_ids": token_ids, "max_new_tokens": max_new_tokens}
        return self._call("prefill_with", **inputs, **prefix)

    def decode_steps(self, state, count, controls):
        """As `Decoder.decode_steps`."""
        return self._call("decode_steps", **state, count=count, **controls)
