"""The one place that makes `(input, target, sample_weight)`."""

import keras
import tensorflow as tf
from keras_hub.models import CausalLMPreprocessor

from keras_vngpt.text.tokenizer import VnGPTTokenizer


@keras.saving.register_keras_serializable(package="keras_vngpt")
class VnGPTCausalLMPreprocessor(CausalLMPreprocessor):
    """Text, or requests with their responses, to `(input, target, sample_weight)`.

    | stage | input | target | weight 1 on |
    |---|---|---|---|
    | pre-train | `[BOS] A B C D` | `A B C D [EOS]` | `A` to `[EOS]` |
    | fine-tune | `[BOS] REQ [SEP] RES` | `[PAD]*len(REQ) [PAD] RES [EOS]` | `RES` to `[EOS]` |

    A conversation of several turns is its turns one after another. What is too long loses the
    oldest turns first, then the beginning of the request; a response is cut only where it does not
    fit by itself, and then it gets no `[EOS]`.

    Args:
        tokenizer: a `VnGPTTokenizer`.
        sequence_length: int, positions in a row.
        eos_weight: float, the weight of `[EOS]` in the loss; 0 leaves it out.
        **kwargs: as for `keras_hub.models.CausalLMPreprocessor`.

    Call arguments:
        x: str or [batch] strings for the first stage; for the second a dictionary of `"prompts"`
            and `"responses"`, each str, [batch] strings, or [batch, (turns)] lists of strings.
        sample_weight: optional, [batch] or [batch, sequence_length]; multiplies the weights.

    Returns:
        `({"token_ids", "padding_mask"}, target, sample_weight)`, each [batch, sequence_length]
        (without the batch dimension for a single string).

    Example:
        >>> preprocessor = VnGPTCausalLMPreprocessor(tokenizer, sequence_length=16)
        >>> x, y, w = preprocessor({"prompts": ["Bật đèn"], "responses": ["Đã bật đèn"]})
    """

    tokenizer_cls = VnGPTTokenizer
    backbone_cls = None  # set where the package is put together

    def __init__(self, tokenizer, sequence_length=1024, eos_weight=1.0, **kwargs):
        super().__init__(tokenizer, sequence_length=sequence_length, **kwargs)
        self.eos_weight = eos_weight

    def build(self, input_shape):
        self.built = True  # the rows are put together below: nothing to build

    def get_config(self):
        return {**super().get_config(), "eos_weight": self.eos_weight}

    def call(self, x, y=None, sample_weight=None, sequence_length=None):
        length = sequence_length or self.sequence_length
        turns, is_single = _as_turns(x)
        token_ids, target, weight, _ = self._documents(*turns, length)
        token_ids, target, weight = (
            t.to_tensor(shape=[None, length]) for t in (token_ids, target, weight)
        )
        # Never a [PAD] inside a document: a non-zero id is a token.
        padding_mask = tf.cast(token_ids != self.tokenizer.pad_token_id, "int32")
        if sample_weight is not None:
            given = tf.cast(sample_weight, weight.dtype)
            weight *= given if given.shape.rank == 2 else tf.reshape(given, [-1, 1])
        triple = ({"token_ids": token_ids, "padding_mask": padding_mask}, target, weight)
        return tf.nest.map_structure(lambda t: t[0], triple) if is_single else triple

    def documents(self, x, sequence_length=None):
        """The triples before padding, and what had to be cut.

        Args:
            x: as for the call, in batches.
            sequence_length: int, the longest triple; `None` cuts nothing.

        Returns:
            `(token_ids, target, sample_weight, cuts)`: ragged [batch, (positions)] tensors, and a
            dictionary of counts: requests and responses cut, turns dropped.
        """
        turns, _ = _as_turns(x)
        return self._documents(*turns, sequence_length or tf.int32.max // 2)

    @tf.function(reduce_retracing=True, autograph=False)
    def _documents(self, prompts, responses, length):
        """[batch, (turns)] strings to triples; `prompts` is `None` in the first stage."""
        special = self.tokenizer
        length = tf.cast(length, "int32")
        response = self.tokenizer(responses.flat_values)
        n_turns = response.nrows(out_type="int32")
        response_length = tf.cast(response.row_lengths(), "int32")
        overhead = 1 if prompts is None else 2  # [BOS], [SEP]
        fits = response_length <= length - overhead
        # Without [EOS] there is room for one token more: the last one is only ever a target.
        kept = tf.where(fits, response_length, length - overhead + 1)
        pieces = [(_column(n_turns, special.start_token_id), 0.0)]
        cut_requests = 0
        if prompts is not None:
            prompt = self.tokenizer(prompts.flat_values)
            prompt_length = tf.cast(prompt.row_lengths(), "int32")
            room = tf.maximum(length - overhead - kept, 0)
            cut_requests = tf.reduce_sum(tf.cast(prompt_length > room, "int32"))
            pieces += [
                (_slice(prompt, prompt_length - room, prompt_length), 0.0),
                (_column(n_turns, special.sep_token_id), 0.0),
            ]
        pieces += [
            (_slice(response, tf.zeros_like(kept), kept), 1.0),
            (
                tf.ragged.boolean_mask(_column(n_turns, special.end_token_id), fits[:, None]),
                self.eos_weight,
            ),
        ]
        ids = tf.concat([ids for ids, _ in pieces], axis=1)
        weight = tf.concat([tf.ones_like(ids, "float32") * w for ids, w in pieces], axis=1)

        # The oldest turns go until the rest fits; the last turn always does.
        turn_length = tf.cast(ids.row_lengths(), "int32")
        turn_end = tf.cumsum(turn_length)
        document_end = tf.gather(turn_end, responses.row_splits[1:] - 1)
        document_end = tf.gather(document_end, responses.value_rowids())
        keep = document_end - turn_end + turn_length <= length + 1
        kept_turns = tf.ragged.boolean_mask(
            responses.with_values(tf.range(n_turns)), responses.with_values(keep)
        )
        ids = tf.gather(ids, kept_turns).merge_dims(1, 2)
        weight = tf.gather(weight, kept_turns).merge_dims(1, 2)

        target, weight = ids[:, 1:], weight[:, 1:]
        target = tf.where(weight > 0.0, target, special.pad_token_id)
        cuts = {
            "requests cut": cut_requests,
            "responses cut": tf.reduce_sum(tf.cast(~fits, "int32")),
            "turns dropped": tf.reduce_sum(tf.cast(~keep, "int32")),
        }
        return ids[:, :-1], target, weight, cuts

    def generate_preprocess(self, x, sequence_length=None):
        """Prompts to padded ids: `[BOS] text`, or `[BOS] REQ [SEP]` for `{"prompts": ...}`.

        Args:
            x: as for the call; `"responses"` is not needed. A prompt that is too long loses its
                beginning.
            sequence_length: int, the padded length; `self.sequence_length` by default.

        Returns:
            A dictionary of `"token_ids"` and `"padding_mask"`, each [batch, sequence_length].
        """
        length = sequence_length or self.sequence_length
        is_request = isinstance(x, dict)
        texts = tf.reshape(tf.convert_to_tensor(x["prompts"] if is_request else x), [-1])
        token_ids = self._prompt_ids(texts, tf.constant(is_request), length)
        token_ids = token_ids.to_tensor(shape=[None, length])
        return {
            "token_ids": token_ids,
            "padding_mask": token_ids != self.tokenizer.pad_token_id,
        }

    @tf.function(reduce_retracing=True, autograph=False)
    def _prompt_ids(self, texts, is_request, length):
        ids = self.tokenizer(texts)
        n = ids.nrows(out_type="int32")
        size = tf.cast(ids.row_lengths(), "int32")
        room = tf.cast(length, "int32") - 1 - tf.cast(is_request, "int32")
        return tf.concat(
            [
                _column(n, self.tokenizer.start_token_id),
                _slice(ids, size - room, size),
                _column(n, self.tokenizer.sep_token_id)[:, : tf.cast(is_request, "int32")],
            ],
            axis=1,
        )

    def generate_postprocess(self, x):
        """Padded ids to strings, the control symbols left out."""
        ids, mask = tf.convert_to_tensor(x["token_ids"]), tf.cast(x["padding_mask"], "bool")
        for token_id in self.tokenizer.special_token_ids:
            mask &= ids != token_id
        texts = self._detokenize(tf.ragged.boolean_mask(ids, mask)).numpy()
        return [text.decode(errors="replace") for text in texts]

    @tf.function(reduce_retracing=True, autograph=False)
    def _detokenize(self, ids):
        return self.tokenizer.detokenize(ids)


def _as_turns(x):
    """The call's argument as [batch, (turns)] ragged strings: `((prompts, responses), single)`."""

    def ragged(strings):
        if not isinstance(strings, tf.RaggedTensor):
            make = tf.ragged.constant if _is_nested(strings) else tf.convert_to_tensor
            strings = make(strings)
        single = strings.shape.rank == 0
        strings = tf.reshape(strings, [1, 1]) if single else strings
        if strings.shape.rank == 1:
            strings = strings[:, tf.newaxis]
        if not isinstance(strings, tf.RaggedTensor):
            strings = tf.RaggedTensor.from_tensor(strings)
        return strings, single

    if not isinstance(x, dict):
        responses, single = ragged(x)
        return (None, responses), single
    if missing := {"prompts", "responses"} - set(x):
        raise ValueError(
            'Requests need both "prompts" and "responses". '
            f"Missing: {', '.join(sorted(missing))}. Received: x with keys {sorted(x)}"
        )
    responses, single = ragged(x["responses"])
    return (ragged(x["prompts"])[0], responses), single


def _is_nested(strings):
    return isinstance(strings, (list, tuple)) and any(isinstance(s, (list, tuple)) for s in strings)


def _column(rows, token_id):
    return tf.RaggedTensor.from_uniform_row_length(tf.fill([rows], token_id), 1)


def _slice(ragged, start, stop):
    """`row[start:stop]` of every row, starts and stops clipped to the row."""
    lengths = tf.cast(ragged.row_lengths(), "int32")
    start, stop = tf.clip_by_value(start, 0, lengths), tf.clip_by_value(stop, 0, lengths)
    indices = tf.ragged.range(start, tf.maximum(start, stop))
    return tf.gather(ragged, indices, batch_dims=1)
