"""The text generator of a SavedModel."""

import tensorflow as tf

from keras_vngpt.errors import UserError
from keras_vngpt.generation.decoding_state import from_tensors, nothing_of, to_tensors
from keras_vngpt.generation.earlier_exports import as_of_today
from keras_vngpt.generation.refusal import Refusal
from keras_vngpt.generation.text_generator import TextGenerator

NO_TEXTS = tf.zeros([0], tf.string)


class SavedModelGenerator(TextGenerator):
    """A SavedModel with the methods of `ModelGenerator`, for terminals and services.

    Args:
        path: of the SavedModel.

    Raises:
        UserError: not a SavedModel of this project.

    Example:
        >>> SavedModelGenerator("runs/default/export/1").generate(["Tắt đèn phòng khách"])
    """

    def __init__(self, path):
        import tensorflow_text  # noqa: F401  registers the operations that the model uses

        try:
            loaded = tf.saved_model.load(str(path))
        except Exception as error:  # whatever a damaged file raises
            raise UserError(f"{path}: cannot be loaded ({str(error).splitlines()[0]})") from None
        self._path, self._loaded = path, loaded  # which keeps the variables alive
        self._signatures = as_of_today(loaded.signatures)
        if "decode_steps" not in self._signatures:
            raise UserError(
                f"{path}: not an export of this version of keras_vngpt: no signature "
                "decode_steps. Export the run again"
            )
        if "conversation" in self._signatures:  # an earlier export does not say what it learned
            learned = self._call("conversation", prompts=tf.constant([""]), responses=NO_TEXTS)
            self.system, self.turns = learned["system"].numpy().decode(), int(learned["turns"])
            if "refuse_below" in learned:
                sentence = learned["refusal"].numpy().decode()
                self.refusal = Refusal(float(learned["refuse_below"]), sentence)

    def _call(self, name, **inputs):
        if name not in self._signatures:
            raise UserError(f"{self._path}: was exported with --text false and has no {name}")
        return self._signatures[name](**inputs)

    @property
    def has_text(self):
        """Whether it takes texts, not only ids."""
        return "generate" in self._signatures

    def tokenize(self, prompts):
        """As `ModelGenerator.tokenize`."""
        return self._call("tokenize", prompts=tf.constant(prompts))["token_ids"]

    def detokenize(self, token_ids):
        """As `ModelGenerator.detokenize`."""
        return self._call("detokenize", token_ids=tf.cast(token_ids, tf.int32))["texts"]

    def encode_response(self, texts):
        """As `ModelGenerator.encode_response`."""
        return self._call("encode_response", texts=texts)["token_ids"]

    def tables(self, bad_words, choices):
        """As `ModelGenerator.tables`."""
        return self._call("tables", bad_words=bad_words, choices=choices)

    def vocabulary(self):
        """As `ModelGenerator.vocabulary`."""
        return self._call("vocabulary")["tokens"]

    @property
    def end(self):
        """The id of `[EOS]`."""
        return int(self._call("vocabulary")["end"])

    def prefix_of(self, token_ids):
        """As `ModelGenerator.prefix_of`."""
        return self._call("prefix_cache", prefix_ids=token_ids)

    def no_prefix(self):
        """As `ModelGenerator.no_prefix`."""
        _, inputs = self._signatures["prefill"].structured_input_signature
        return nothing_of({n: spec for n, spec in inputs.items() if n.startswith("prefix_")})

    def prefill(self, token_ids, max_new_tokens, prefix):
        """As `ModelGenerator.prefill`."""
        inputs = {"token_ids": token_ids, "max_new_tokens": max_new_tokens, **prefix}
        return from_tensors(self._call("prefill", **inputs))

    def decode_steps(self, state, count, config):
        """As `ModelGenerator.decode_steps`."""
        return from_tensors(self._call("decode_steps", **to_tensors(state), count=count, **config))

    def insert(self, state, new, rows):
        """As `ModelGenerator.insert`."""
        new = {f"new_{name}": tensor for name, tensor in to_tensors(new).items()}
        return from_tensors(self._call("insert", **to_tensors(state), **new, rows=rows))

    def remove(self, state, rows):
        """As `ModelGenerator.remove`."""
        out = self._call("remove", **to_tensors(state), rows=rows)
        return from_tensors(out), out["answer_ids"], out["answer_log_probabilities"]

    def search(self, token_ids, config, search, prefix):
        """An export has no beams."""
        raise UserError(f"num_beams: beams need the run folder, {self._path} is an export")
