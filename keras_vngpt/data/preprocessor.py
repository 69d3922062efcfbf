"""The one place that makes `(input, target, sample_weight)`."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras_hub.models import CausalLMPreprocessor

from keras_vngpt.text.system_text import with_system
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
        tokenizer: a `VnGPTTokenizer`; or another of KerasHub, with a `separator`. A tokenizer
            without a start token has rows without `[BOS]`.
        sequence_length: int, positions in a row.
        eos_weight: float, the weight of `[EOS]` in the loss; 0 leaves it out.
        prompt_format: what the model was trained on and is prompted with: "request"
            (`[BOS] REQ [SEP]`) or "text" (`[BOS] text`).
        separator: str, the text that stands for `[SEP]` where the tokenizer has none.
        system: str, the text before requests that the model was trained with. The call takes
            prompts as they are, with it; `generate_preprocess` puts it before them.
        turns: int, how long the conversations were that the model was trained on.
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

    def __init__(
        self,
        tokenizer,
        sequence_length=1024,
        eos_weight=1.0,
        prompt_format="request",
        separator=None,
        system="",
        turns=1,
        **kwargs,
    ):
        if prompt_format not in ("request", "text"):
            raise ValueError(
                '`prompt_format` must be "request" or "text". '
                f"Received: prompt_format={prompt_format}"
            )
        super().__init__(tokenizer, sequence_length=sequence_length, **kwargs)
        self.eos_weight = eos_weight
        self.prompt_format = prompt_format
        self.separator = separator
        self.system = system
        self.turns = turns

    def build(self, input_shape):
        self.built = True  # the rows are put together below: nothing to build

    def get_config(self):
        names = "eos_weight", "prompt_format", "separator", "system", "turns"
        return super().get_config() | {name: getattr(self, name) for name in names}

    @property
    def pad_token_id(self):
        """What rows are padded with; where a tokenizer has no `[PAD]`, segments alone tell it."""
        return self.tokenizer.pad_token_id or 0

    @functools.cached_property
    def control_ids(self):
        """The ids of `[BOS]`, `[SEP]` and `[EOS]`, a list of each."""
        special = self.tokenizer
        if self.separator is None:
            separator = [special.sep_token_id]
        else:
            with tf.init_scope():  # a graph may be the first to ask
                separator = [int(i) for i in np.ravel(special(self.separator))]
        start = [] if special.start_token_id is None else [special.start_token_id]
        return start, separator, [special.end_token_id]

    def call(self, x, y=None, sample_weight=None, sequence_length=None):
        length = sequence_length or self.sequence_length
        turns, is_single = _as_turns(x)
        ids = [None if texts is None else self._tokenize(texts) for texts in turns]
        token_ids, target, weight, _ = self.triples(*ids, length)
        padding_mask = tf.ones_like(token_ids, "int32").to_tensor(shape=[None, length])
        token_ids, target = (
            ids.to_tensor(self.pad_token_id, shape=[None, length]) for ids in (token_ids, target)
        )
        weight = weight.to_tensor(shape=[None, length])
        if sample_weight is not None:
            given = tf.cast(sample_weight, weight.dtype)
            weight *= given if given.shape.rank == 2 else tf.reshape(given, [-1, 1])
        triple = ({"token_ids": token_ids, "padding_mask": padding_mask}, target, weight)
        return tf.nest.map_structure(lambda t: t[0], triple) if is_single else triple

    @tf.function(reduce_retracing=True, autograph=False)
    def _tokenize(self, texts):
        """[batch, (turns)] strings to [batch, (turns), (ids)], in a graph."""
        return texts.with_values(self.tokenizer(texts.values))

    @tf.function(reduce_retracing=True, autograph=False)
    def triples(self, prompts, responses, length):
        """The triples of token ids, before padding, and what had to be cut.

        Args:
            prompts: ragged int tensor [batch, (turns), (ids)]; `None` in the first stage.
            responses: as `prompts`.
            length: int, the longest triple.

        Returns:
            `(token_ids, target, sample_weight, cuts)`: ragged [batch, (positions)] tensors, and a
            dictionary of counts: requests and responses cut, turns dropped.
        """
        length = tf.cast(length, "int64")
        start_ids, separator_ids, end_ids = self.control_ids
        if prompts is None:
            separator_ids = []
        requests = responses.with_values(responses.values[:, :0]) if prompts is None else prompts
        request, response = requests.values, responses.values
        overhead = len(start_ids) + len(separator_ids)  # [BOS], [SEP]
        fits = response.row_lengths() <= length - overhead
        # Without [EOS] there is room for one token more: the last one is only ever a target.
        kept = tf.where(fits, response.row_lengths(), length - overhead + 1)
        room = tf.maximum(length - overhead - kept, 0)

        # A turn is five pieces of one long array of all ids: [BOS] request [SEP] response [EOS].
        control = tf.constant([*start_ids, *separator_ids, *end_ids], request.values.dtype)
        ids = tf.concat([request.values, response.values, control], axis=0)
        weight = [
            tf.zeros_like(request.values, "float32"),
            tf.ones_like(response.values, "float32"),
            [*[0.0] * overhead, self.eos_weight],
        ]
        weight = tf.concat(weight, axis=0)
        first_response, n = tf.size(request.values, "int64"), tf.size(ids, "int64")
        request_size = tf.minimum(request.row_lengths(), room)
        pieces = [  # where it starts, how long it is
            (n - 1 - overhead, len(start_ids)),
            (request.row_limits() - request_size, request_size),
            (n - 1 - len(separator_ids), len(separator_ids)),
            (first_response + response.row_starts(), kept),
            (n - 1, tf.cast(fits, "int64")),
        ]
        start, size = (
            tf.stack([tf.broadcast_to(tf.cast(x, "int64"), tf.shape(kept)) for x in each], axis=1)
            for each in zip(*pieces, strict=True)
        )

        # The oldest turns go until the rest fits; the last turn always does.
        turn_size = tf.reduce_sum(size, axis=1)
        end = tf.cumsum(turn_size)
        document_end = tf.gather(end, responses.row_limits() - 1)
        document_end = tf.gather(document_end, responses.value_rowids())
        keep = document_end - end + turn_size <= length + 1
        size *= tf.cast(keep, "int64")[:, tf.newaxis]

        start, size = tf.reshape(start, [-1]), tf.reshape(size, [-1])
        ids, weight = (_slices(all_, start, start + size).values for all_ in (ids, weight))
        turn_size *= tf.cast(keep, "int64")
        document_size = tf.reduce_sum(responses.with_values(turn_size), axis=1)
        limit = tf.cumsum(document_size)
        start = limit - document_size
        token_ids = _slices(ids, start, limit - 1)
        weight = _slices(weight, start + 1, limit)
        target = _slices(ids, start + 1, limit)
        target = tf.where(weight > 0.0, target, self.pad_token_id)
        cuts = {
            "requests cut": tf.math.count_nonzero(request.row_lengths() > room),
            "responses cut": tf.math.count_nonzero(~fits),
            "turns dropped": tf.math.count_nonzero(~keep),
        }
        return token_ids, target, weight, cuts

    @tf.function(reduce_retracing=True, autograph=False)
    def _first_stage(self, texts, length):
        """What the call gives for texts, as wide as the longest, in a graph of few operations.

        Args:
            texts: string tensor [batch].
            length: int, the longest row.

        Returns:
            `(token_ids, lengths, target, sample_weight)`, [batch, width] and of `lengths` [batch].
        """
        special, ids = self.tokenizer, self.tokenizer(texts)
        size = tf.cast(ids.row_lengths(), "int32")[:, tf.newaxis]
        column = tf.range(tf.minimum(tf.maximum(tf.reduce_max(size), 0) + 1, length))
        padded = tf.pad(ids.to_tensor(), [[0, 0], [0, 1]])  # a place for [EOS], or for nothing
        last = special.end_token_id if self.eos_weight else special.pad_token_id
        target = tf.where(column < size, padded[:, : tf.size(column)], last)
        is_row = column <= size
        target = tf.where(is_row, target, special.pad_token_id)
        token_ids = tf.pad(target, [[0, 0], [1, 0]], constant_values=special.start_token_id)
        token_ids = tf.where(is_row, token_ids[:, :-1], special.pad_token_id)
        weight = tf.where(column < size, 1.0, self.eos_weight)
        lengths = tf.reduce_sum(tf.cast(is_row, "int32"), axis=-1)
        return token_ids, lengths, target, tf.where(is_row, weight, 0.0)

    def generate_preprocess(self, x, sequence_length=None):
        """Prompts to padded ids: `[BOS] text`, or `[BOS] REQ [SEP]` for `{"prompts": ...}`.

        Args:
            x: as for the call, but prompts without the system text: it comes before them here;
                `"responses"` is not needed. A prompt that is too long loses its beginning.
            sequence_length: int, the padded length; `self.sequence_length` by default.

        Returns:
            A dictionary of `"token_ids"` and `"padding_mask"`, each [batch, sequence_length].
        """
        length = sequence_length or self.sequence_length
        is_request = isinstance(x, dict)
        texts = tf.reshape(tf.convert_to_tensor(x["prompts"] if is_request else x), [-1])
        if is_request:
            texts = with_system(self.system, texts)
        token_ids = self._prompt_ids(texts, tf.constant(is_request), length)
        token_ids = tf.pad(token_ids, [[0, 0], [0, length - tf.shape(token_ids)[1]]])
        return {
            "token_ids": token_ids,
            "padding_mask": token_ids != self.tokenizer.pad_token_id,
        }

    @tf.function(reduce_retracing=True, autograph=False)
    def _prompt_ids(self, texts, is_request, length):
        """int tensor [batch, width], padded on the right with `[PAD]`, which is 0."""
        ids = self.tokenizer(texts)
        more = tf.cast(is_request, "int32")  # a place for [SEP]
        size = tf.cast(ids.row_lengths(), "int32")
        kept = tf.maximum(tf.minimum(size, tf.cast(length, "int32") - 1 - more), 0)[:, tf.newaxis]
        column = tf.range(tf.maximum(tf.reduce_max(kept), 0) + 1 + more)
        source = column - 1 + size[:, tf.newaxis] - kept
        is_text = (column > 0) & (column <= kept)
        padded = tf.pad(ids.to_tensor(), [[0, 0], [0, 1]])  # there may be no column at all
        token_ids = tf.gather(padded, tf.where(is_text, source, 0), batch_dims=1)
        special = tf.where(is_request & (column == kept + 1), self.tokenizer.sep_token_id, 0)
        special = tf.where(column == 0, self.tokenizer.start_token_id, special)
        return tf.where(is_text, token_ids, special)

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


def _slices(values, start, limit):
    """`values[start:limit]` for every start and limit: ragged [n, (positions)]."""
    positions = tf.ragged.range(start, limit)
    return positions.with_values(tf.gather(values, positions.values))
