"""The cached decoder: a TensorFlow module that generates, and that a SavedModel is made of."""

import tensorflow as tf

from keras_vngpt.generation.controls import SPECS, as_tensors
from keras_vngpt.generation.sampling import next_token

SMALLEST_BUCKET = 16
IDS = tf.TensorSpec([None, None], tf.int32)
TEXTS = tf.TensorSpec([None], tf.string)
NEW_TOKENS = tf.TensorSpec([], tf.int32)


class Decoder(tf.Module):
    """Generates from a trained model, with a cache, compiled by XLA.

    A prompt is padded to the next power of two, not to the maximum, so that few shapes are
    compiled and each prompt is paid for at about its own length. Every row keeps its own positions:
    padding between a short prompt and its answer is masked, and counts for nothing.

    Args:
        model: a `VnGPTCausalLM` with its preprocessor.
        instruct: whether prompts are requests (`[BOS] REQ [SEP]`) or beginnings (`[BOS] text`).

    Example:
        >>> decoder = Decoder(model)
        >>> decoder.generate(tf.constant(["Bật quạt phòng ngủ lên mức 2"]), 32)
    """

    def __init__(self, model, instruct=True):
        super().__init__()
        self._model = _Untracked(model)
        self._preprocessor = _Untracked(model.preprocessor)
        self.instruct = instruct
        self.max_length = model.backbone.max_sequence_length
        # What a SavedModel has to hold: each weight once, and SentencePiece's model.
        self.weights = [weight.value for weight in model.weights]
        self.sentencepiece = model.preprocessor.tokenizer._sentence_piece

    def generate(self, prompts, max_new_tokens=None, **controls):
        """Answer texts.

        Args:
            prompts: string tensor [batch], or list of str.
            max_new_tokens: int; by default what the model's length allows.
            **controls: see `Controls`.

        Returns:
            string tensor [batch].
        """
        return self.generate_texts(
            tf.constant(prompts, tf.string), self._length(max_new_tokens), as_tensors(controls)
        )

    def generate_ids(self, token_ids, max_new_tokens=None, **controls):
        """Go on from token ids.

        Args:
            token_ids: int tensor [batch, length], padded on the right with 0. A prompt that is too
                long loses its beginning.
            max_new_tokens: int; by default what the model's length allows.
            **controls: see `Controls`.

        Returns:
            int tensor [batch, new], `[EOS]` included where it came, padded with 0.
        """
        return self.continue_ids(
            tf.cast(token_ids, tf.int32), self._length(max_new_tokens), as_tensors(controls)
        )

    def _length(self, max_new_tokens):
        return tf.constant(self.max_length if max_new_tokens is None else max_new_tokens)

    @tf.function(autograph=False, input_signature=[TEXTS, NEW_TOKENS, SPECS])
    def generate_texts(self, prompts, max_new_tokens, controls):
        """`generate` with every argument a tensor."""
        ids = self._preprocessor._prompt_ids(
            prompts, tf.constant(self.instruct), self._prompt_room(max_new_tokens)
        )
        return self.detokenize(self.continue_ids(ids.to_tensor(), max_new_tokens, controls))

    @tf.function(autograph=False, input_signature=[TEXTS])
    def tokenize(self, prompts):
        """Prompts, string tensor [batch], to the ids that `generate_ids` takes."""
        ids = self._preprocessor._prompt_ids(prompts, tf.constant(self.instruct), self.max_length)
        return ids.to_tensor()

    @tf.function(autograph=False, input_signature=[IDS])
    def detokenize(self, token_ids):
        """int tensor [batch, length] to string tensor [batch], control symbols left out."""
        special = self._preprocessor.tokenizer.special_token_ids
        is_text = tf.reduce_all([token_ids != token_id for token_id in special], axis=0)
        return self._preprocessor.tokenizer.detokenize(tf.ragged.boolean_mask(token_ids, is_text))

    @tf.function(autograph=False, input_signature=[TEXTS])
    def score(self, texts):
        """How likely the model finds texts, `[EOS]` included.

        Args:
            texts: string tensor [batch].

        Returns:
            `(log_probability, token_count)`, float and int tensors [batch].
        """
        inputs, target, weight = self._preprocessor(texts, sequence_length=self.max_length)
        logits = tf.cast(self._model(inputs, training=False), tf.float32)
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
        return -tf.reduce_sum(nll * weight, -1), tf.reduce_sum(tf.cast(weight > 0, tf.int32), -1)

    def _prompt_room(self, max_new_tokens):
        """The longest prompt: a longer one would leave no place for an answer."""
        return self.max_length - tf.minimum(max_new_tokens, self.max_length // 8)

    @tf.function(autograph=False, input_signature=[IDS, NEW_TOKENS, SPECS])
    def continue_ids(self, token_ids, max_new_tokens, controls):
        """`generate_ids` with every argument a tensor."""
        max_new_tokens = tf.clip_by_value(max_new_tokens, 0, self.max_length)
        ids = tf.RaggedTensor.from_tensor(token_ids, padding=0)
        room = self._prompt_room(max_new_tokens)
        ids = tf.concat([ids[:, :1], ids[:, 1:][:, -(room - 1) :]], axis=1)
        batch = tf.shape(token_ids)[0]
        lengths = tf.pad(tf.cast(ids.row_lengths(), tf.int32), [[0, _bucket(batch, 1) - batch]])
        width = _bucket(tf.cast(ids.bounding_shape(1), tf.int32))
        prompts = ids.to_tensor(shape=[None, None])
        prompts = tf.pad(
            prompts, [[0, tf.shape(lengths)[0] - batch], [0, width - tf.shape(prompts)[1]]]
        )
        answers = tf.zeros([tf.shape(lengths)[0], _bucket(max_new_tokens)], tf.int32)
        answers = self._decode(prompts, lengths, answers, max_new_tokens, controls)[:batch]
        longest = tf.reduce_max(tf.reduce_sum(tf.cast(answers != 0, tf.int32), -1))
        return answers[:, : tf.maximum(longest, 0)]

    @tf.function(
        jit_compile=True,
        autograph=False,
        input_signature=[IDS, tf.TensorSpec([None], tf.int32), IDS, NEW_TOKENS, SPECS],
    )
    def _decode(self, prompts, lengths, answers, max_new_tokens, controls):
        """Prefill, then one token a step; `answers` comes as zeros, its shape is the room."""
        backbone = self._model.backbone
        end = self._preprocessor.tokenizer.end_token_id
        batch, width = tf.shape(prompts)[0], tf.shape(prompts)[1]
        columns = tf.range(width + tf.shape(answers)[1])
        is_prompt = columns[None, :] < lengths[:, None]

        causal = columns[None, :] <= tf.range(width)[:, None]
        hidden, cache = backbone.decode(
            prompts,
            is_prompt[:, None, :] & causal[None],
            tf.tile(tf.range(width)[None], [batch, 1]),
            backbone.empty_cache(batch, tf.shape(columns)[0]),
            0,
        )
        last = tf.gather(hidden, tf.maximum(lengths - 1, 0), batch_dims=1)
        rows = tf.range(batch)
        counts = _counts(prompts, is_prompt[:, :width], backbone.vocabulary_size)

        def is_open(step, done, *_):
            return (step < max_new_tokens) & ~tf.reduce_all(done)

        def body(step, done, last, counts, answers, cache):
            logits = backbone.token_embedding(last, reverse=True)
            token = next_token(logits, counts, step, controls)
            token = tf.where(done, 0, token)
            answers = _put(answers, token, step)
            counts = tf.tensor_scatter_nd_add(
                counts, tf.stack([rows, token], 1), tf.cast(~done, tf.int32)
            )
            done |= (token == end) | (lengths + step + 1 >= self.max_length)
            seen = is_prompt | ((columns >= width) & (columns <= width + step))[None]
            hidden, cache = backbone.decode(
                token[:, None], seen[:, None], (lengths + step)[:, None], cache, width + step
            )
            return step + 1, done, hidden[:, 0], counts, answers, cache

        state = (0, lengths == 0, last, counts, answers, cache)
        return tf.while_loop(is_open, body, state)[4]


class _Untracked:
    """Holds a Keras object so that a `tf.Module` neither tracks nor saves it."""

    def __init__(self, held):
        self._held = held

    def __getattr__(self, name):
        return getattr(self._held, name)

    def __call__(self, *args, **kwargs):
        return self._held(*args, **kwargs)


def _bucket(size, smallest=SMALLEST_BUCKET):
    """The next power of two."""
    powers = 2 ** tf.range(31)
    return powers[tf.searchsorted(powers, [tf.maximum(size, smallest)])[0]]


def _put(answers, token, step):
    column = tf.range(tf.shape(answers)[1])[None] == step
    return tf.where(column, token[:, None], answers)


def _counts(token_ids, is_used, vocabulary_size):
    rows = tf.tile(tf.range(tf.shape(token_ids)[0])[:, None], [1, tf.shape(token_ids)[1]])
    return tf.scatter_nd(
        tf.stack([rows, token_ids], -1),
        tf.cast(is_used, tf.int32),
        [tf.shape(token_ids)[0], vocabulary_size],
    )
