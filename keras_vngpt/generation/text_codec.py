"""Between texts and the token ids of a generator; one class a model family."""

import tensorflow as tf

from keras_vngpt.generation.constraints.regex import vocabulary_of


class VnGPTTextCodec:
    """Texts of a `VnGPTCausalLM`.

    Args:
        preprocessor: `VnGPTCausalLMPreprocessor`.
        prompt_format: "request" for prompts that are requests (`[BOS] REQ [SEP]`), "text" for
            beginnings (`[BOS] text`).
        separator: of no use here: it is `[SEP]`.
    """

    prompt_format = "request"  # where nothing says another

    def __init__(self, preprocessor, prompt_format, separator=None):
        self._preprocessor = preprocessor
        self._tokenizer = preprocessor.tokenizer
        self._is_request = prompt_format == "request"
        self.end = self._tokenizer.end_token_id
        self.assets = self._tokenizer._sentence_piece  # what a SavedModel has to hold

    def prompt_ids(self, texts, room):
        """Prompts as ids, int tensor [batch, length], padded on the right with 0.

        One that is longer than `room` loses its beginning.
        """
        return self._preprocessor._prompt_ids(texts, tf.constant(self._is_request), room)

    def encode_response(self, texts):
        """Texts as the ids of an answer, without `[EOS]`, padded like prompts."""
        return self._tokenizer(texts).to_tensor()

    def detokenize(self, token_ids):
        """Ids, padded with 0, as texts, control symbols left out."""
        special = self._tokenizer.special_token_ids
        is_text = tf.reduce_all([token_ids != i for i in special], axis=0)
        texts = self._tokenizer.detokenize(tf.ragged.boolean_mask(token_ids, is_text))
        return whole_characters(texts)

    def examples(self, texts, length):
        """`(token_ids, lengths, target, sample_weight)` of texts, the ids padded like prompts."""
        return self._preprocessor._first_stage(texts, length)

    def vocabulary(self):
        """The bytes of each token, string tensor [vocabulary_size]."""
        return tf.constant(vocabulary_of(self._tokenizer.proto))


class KerasHubTextCodec:
    """Texts of any other `keras_hub.models.CausalLM`, by its own preprocessor.

    The ids of the generator are one more than those of the tokenizer: 0 is nothing in all
    generators, and a token of many vocabularies ("!" of GPT-2).

    Args:
        preprocessor: `keras_hub.models.CausalLMPreprocessor`.
        prompt_format: "request" for prompts that the separator follows, "text" for prompts as they
            are.
        separator: str, between a request and its response.
    """

    offset = 1
    prompt_format = "text"

    def __init__(self, preprocessor, prompt_format, separator="\n"):
        self._preprocessor = preprocessor
        self._tokenizer = self.assets = preprocessor.tokenizer
        self._separator = separator if prompt_format == "request" else ""
        self.end = self._tokenizer.end_token_id + self.offset

    def prompt_ids(self, texts, room):
        """As `VnGPTTextCodec.prompt_ids`."""
        ids, start = self._tokenizer(texts), self._tokenizer.start_token_id
        rows, before, after = ids.nrows(), [], []
        if start is not None and self._preprocessor.add_start_token:
            before = [start]
        if self._separator:
            after = self._tokenizer(tf.constant([self._separator]))[0]

        def in_each(row):
            return tf.RaggedTensor.from_tensor(tf.repeat(tf.cast(row, ids.dtype)[None], rows, 0))

        room -= tf.size(before) + tf.size(after)
        ids = tf.concat([in_each(before), ids[:, -room:], in_each(after)], axis=1)
        return (ids + self.offset).to_tensor()

    def encode_response(self, texts):
        """As `VnGPTTextCodec.encode_response`."""
        return (self._tokenizer(texts) + self.offset).to_tensor()

    def detokenize(self, token_ids):
        """As `VnGPTTextCodec.detokenize`."""
        special = [i + self.offset for i in self._tokenizer.special_token_ids if i is not None]
        is_text = tf.reduce_all([token_ids != i for i in (0, *special)], axis=0)
        ids = tf.ragged.boolean_mask(token_ids, is_text) - self.offset
        return whole_characters(self._tokenizer.detokenize(ids))

    def examples(self, texts, length):
        """As `VnGPTTextCodec.examples`."""
        inputs, target, weight = self._preprocessor(texts, sequence_length=length)
        mask = tf.cast(inputs["padding_mask"], tf.int32)
        ids = (inputs["token_ids"] + self.offset) * mask
        return ids, tf.reduce_sum(mask, -1), target + self.offset, tf.cast(weight, tf.float32)

    def vocabulary(self):
        """Nothing: whether an answer begins with a space is not known of other tokenizers."""
        return tf.zeros([0], tf.string)


def whole_characters(texts):
    """Texts without the bytes of a character at their end that is not there as a whole.

    An answer may end with `max_new_tokens` between two bytes of a character.

    Args:
        texts: string tensor [batch].

    Example:
        >>> whole_characters(tf.constant([b"\\xf0\\x9f\\x8e\\x89\\xf0\\x9f"])).numpy()[0].decode()
        '🎉'
    """
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")  # U+FFFD for no UTF-8
    return tf.strings.regex_replace(texts, "\ufffd+$", "")
