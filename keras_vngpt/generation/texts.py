"""Between texts and the token ids of a decoder."""

import tensorflow as tf

from keras_vngpt.generation.constraints import vocabulary_of


class VnGPTTexts:
    """Texts of a `VnGPTCausalLM`.

    Args:
        preprocessor: `VnGPTCausalLMPreprocessor`.
        instruct: whether prompts are requests (`[BOS] REQ [SEP]`) or beginnings (`[BOS] text`).
    """

    def __init__(self, preprocessor, instruct=True):
        self._preprocessor = preprocessor
        self._tokenizer = preprocessor.tokenizer
        self._instruct = instruct
        self.end = self._tokenizer.end_token_id
        self.assets = self._tokenizer._sentence_piece  # what a SavedModel has to hold

    def prompt_ids(self, texts, room):
        """Prompts as ids, int tensor [batch, length], padded on the right with 0."""
        instruct = tf.constant(self._instruct)
        return self._preprocessor._prompt_ids(texts, instruct, room)

    def answer_ids(self, texts):
        """Texts as the ids of an answer, without `[EOS]`, padded like prompts."""
        return self._tokenizer(texts).to_tensor()

    def detokenize(self, token_ids):
        """Ids, padded with 0, as texts, control symbols left out."""
        special = self._tokenizer.special_token_ids
        is_text = tf.reduce_all([token_ids != i for i in special], axis=0)
        return self._tokenizer.detokenize(tf.ragged.boolean_mask(token_ids, is_text))

    def examples(self, texts, length):
        """`(token_ids, lengths, target, sample_weight)` of texts, the ids padded like prompts."""
        return self._preprocessor._first_stage(texts, length)

    def vocabulary(self):
        """The bytes of each token, string tensor [vocabulary_size]."""
        return tf.constant(vocabulary_of(self._tokenizer.proto))


class KerasHubTexts:
    """Texts of any other `keras_hub.models.CausalLM`, by its own preprocessor.

    The ids of the decoder are one more than those of the tokenizer: 0 is nothing in all decoders,
    and a token of many vocabularies ("!" of GPT-2).

    Args:
        preprocessor: `keras_hub.models.CausalLMPreprocessor`.
    """

    offset = 1

    def __init__(self, preprocessor):
        self._preprocessor = preprocessor
        self._tokenizer = self.assets = preprocessor.tokenizer
        self.end = self._tokenizer.end_token_id + self.offset

    def prompt_ids(self, texts, room):
        """As `VnGPTTexts.prompt_ids`."""
        ids, start = self._tokenizer(texts), self._tokenizer.start_token_id
        if start is not None and self._preprocessor.add_start_token:
            starts = tf.RaggedTensor.from_uniform_row_length(tf.fill([ids.nrows()], start), 1)
            room -= 1
            ids = tf.concat([starts, ids[:, -room:]], axis=1)
        return (ids[:, -room:] + self.offset).to_tensor()

    def answer_ids(self, texts):
        """As `VnGPTTexts.answer_ids`."""
        return (self._tokenizer(texts) + self.offset).to_tensor()

    def detokenize(self, token_ids):
        """As `VnGPTTexts.detokenize`."""
        special = [i + self.offset for i in self._tokenizer.special_token_ids if i is not None]
        is_text = tf.reduce_all([token_ids != i for i in (0, *special)], axis=0)
        return self._tokenizer.detokenize(tf.ragged.boolean_mask(token_ids, is_text) - self.offset)

    def examples(self, texts, length):
        """As `VnGPTTexts.examples`."""
        inputs, target, weight = self._preprocessor(texts, sequence_length=length)
        mask = tf.cast(inputs["padding_mask"], tf.int32)
        ids = (inputs["token_ids"] + self.offset) * mask
        return ids, tf.reduce_sum(mask, -1), target + self.offset, tf.cast(weight, tf.float32)

    def vocabulary(self):
        """Nothing: whether an answer begins with a space is not known of other tokenizers."""
        return tf.zeros([0], tf.string)
