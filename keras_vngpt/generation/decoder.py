"""The decoder: a TensorFlow module that generates, and that a SavedModel is made of."""

import tensorflow as tf

from keras_vngpt.generation.cached_transformer import CachedTransformer
from keras_vngpt.generation.controls import SPECS, as_tensors
from keras_vngpt.generation.keras_hub_steps import Held, KerasHubSteps
from keras_vngpt.generation.sampling import draws, is_plain, next_token

IDS = tf.TensorSpec([None, None], tf.int32)
TEXTS = tf.TensorSpec([None], tf.string)
NEW_TOKENS = tf.TensorSpec([], tf.int32)


class Decoder(tf.Module):
    """Generates from a trained model: prompts into a cache, then a token for each row a step.

    Steps are compiled by XLA for few shapes: batches and lengths are rounded up to powers of two.
    What is added is skipped, not computed. A single prompt has a shape of its own, with products
    that are faster for it.

    Args:
        model: a `VnGPTCausalLM` with its preprocessor; the "classic" one goes through its own
            `call_with_cache`, and is slower.
        instruct: whether prompts are requests (`[BOS] REQ [SEP]`) or beginnings (`[BOS] text`).
        weights: how matrices are kept, "float32", "bfloat16", "float16" or "int8"; "modern" alone.

    Example:
        >>> decoder = Decoder(model)
        >>> decoder.generate(tf.constant(["Bật quạt phòng ngủ lên mức 2"]), 32)
    """

    def __init__(self, model, instruct=True, weights="float32"):
        super().__init__()
        backbone = model.backbone
        if backbone.decoder == "modern":
            self.steps = CachedTransformer(backbone, weights)
        elif weights == "float32":
            self.steps = KerasHubSteps(model)
        else:
            raise ValueError(
                f'`weights` of the classic decoder must be "float32". Received: weights={weights}'
            )
        self._backbone = Held(backbone)
        self._preprocessor = Held(model.preprocessor)
        self.instruct = instruct
        self.max_length = backbone.max_sequence_length
        self.sentencepiece = model.preprocessor.tokenizer._sentence_piece

    def refresh(self):
        """Take the weights that the model has now, after more training."""
        self.steps.refresh(self._backbone.it)

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
        ids = self._preprocessor.it._prompt_ids(
            prompts, tf.constant(self.instruct), self._prompt_room(max_new_tokens)
        )
        return self.detokenize(self.continue_ids(ids.to_tensor(), max_new_tokens, controls))

    @tf.function(autograph=False, input_signature=[TEXTS])
    def tokenize(self, prompts):
        """Prompts, string tensor [batch], to the ids that `generate_ids` takes."""
        instruct = tf.constant(self.instruct)
        return self._preprocessor.it._prompt_ids(prompts, instruct, self.max_length).to_tensor()

    @tf.function(autograph=False, input_signature=[IDS])
    def detokenize(self, token_ids):
        """int tensor [batch, length] to string tensor [batch], control symbols left out."""
        tokenizer = self._preprocessor.it.tokenizer
        is_text = tf.reduce_all([token_ids != i for i in tokenizer.special_token_ids], axis=0)
        return tokenizer.detokenize(tf.ragged.boolean_mask(token_ids, is_text))

    @tf.function(autograph=False, input_signature=[TEXTS])
    def score(self, texts):
        """How likely the model finds texts, `[EOS]` included.

        Args:
            texts: string tensor [batch].

        Returns:
            `(log_probability, token_count)`, float and int tensors [batch].
        """
        inputs, target, weight = self._preprocessor.it(texts, sequence_length=self.max_length)
        is_token = inputs["padding_mask"] > 0
        lengths = tf.reduce_sum(inputs["padding_mask"], axis=-1)
        logits = self.steps.logits(_to_the_right(inputs["token_ids"], lengths), lengths)
        target = tf.boolean_mask(target, is_token)
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
        nll = tf.RaggedTensor.from_row_lengths(nll * tf.boolean_mask(weight, is_token), lengths)
        return -tf.reduce_sum(nll, -1), tf.reduce_sum(tf.cast(weight > 0, tf.int32), -1)

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
        more_rows = _bucket(batch, 1) - batch
        prompts = tf.pad(ids.to_tensor(), [[0, more_rows], [0, 0]])
        prompts, lengths, cache = self._fill(prompts, max_new_tokens)
        width, capacity = tf.shape(prompts)[1], self._capacity(prompts, max_new_tokens)
        tokens = tf.pad(prompts, [[0, 0], [0, capacity - width]])
        shape = tf.shape(lengths)[0], _bucket(max_new_tokens, 1)
        uniform = tf.cond(
            controls["temperature"] > 0.0,
            lambda: draws(controls["seed"], *shape),
            lambda: tf.zeros(shape),
        )
        rest = width, cache, uniform, max_new_tokens

        def one(controls):
            return self._decode(tokens[0][None], lengths[0][None], *rest, controls, ())

        tokens = tf.cond(
            tf.equal(batch, 1),
            # What is asked for most, and first, compiles sooner without the controls in it.
            lambda: tf.cond(is_plain(controls), lambda: one(None), lambda: one(controls)),
            lambda: self._decode(tokens, lengths, *rest, controls, self.steps.shared()),
        )
        answers = tokens[:batch, width:]
        longest = tf.reduce_max(tf.reduce_sum(tf.cast(answers != 0, tf.int32), -1))
        return answers[:, : tf.maximum(longest, 0)]

    @tf.function(autograph=False, input_signature=[IDS, NEW_TOKENS])
    def prefill(self, token_ids, max_new_tokens):
        """Prompts into a cache, for who calls `decode_step` himself.

        Args:
            token_ids: int tensor [batch, length], padded on the right with 0, no row empty.
            max_new_tokens: int tensor, for how many steps there shall be room.

        Returns:
            A dictionary of what the first `decode_step` takes: `token_ids`, the last token of each
            prompt, int [batch]; `lengths`, int [batch]; `clock`, int; and the cache, `cache_0` and
            so on.
        """
        prompts, lengths, cache = self._fill(token_ids, max_new_tokens)
        first = {"token_ids": prompts[:, -1], "lengths": lengths}
        return {**first, "clock": tf.shape(prompts)[1] - 1, **named_cache(cache)}

    def decode_step(self, token_ids, lengths, clock, cache):
        """One token for each row.

        Args:
            token_ids: int tensor [batch].
            lengths: int tensor [batch], of each row with this token.
            clock: int tensor, one more than in the step before.
            cache: nest of tensors.

        Returns:
            `(logits, cache)`, logits float [batch, vocabulary_size].
        """
        step = tf.function(self.steps.step, jit_compile=True, autograph=False)

        def one():
            return step(token_ids[0][None], lengths[0][None], clock, cache, ())

        def many():
            return step(token_ids, lengths, clock, cache, self.steps.shared())

        if token_ids.shape[0] is not None:
            return one() if token_ids.shape[0] == 1 else many()
        return tf.cond(tf.equal(tf.shape(token_ids)[0], 1), one, many)

    @tf.function(autograph=False, input_signature=[IDS, NEW_TOKENS])
    def _fill(self, token_ids, max_new_tokens):
        """Prompts to `(prompts, lengths, cache)`: padded on the left, and the cache of them.

        The last token of each prompt is not in the cache, it is the first step's: so all new
        tokens come from steps.
        """
        lengths = tf.reduce_sum(tf.cast(token_ids != 0, tf.int32), axis=-1)
        no_column = tf.cast(tf.equal(tf.shape(token_ids)[1], 0), tf.int32)
        prompts = _to_the_right(tf.pad(token_ids, [[0, 0], [0, no_column]]), lengths)
        before = tf.maximum(lengths - 1, 0)
        capacity = self._capacity(prompts, max_new_tokens)
        return prompts, lengths, self.steps.prefill(prompts[:, :-1], before, capacity)

    def _capacity(self, prompts, max_new_tokens):
        return _bucket(tf.shape(prompts)[1] + max_new_tokens, self.steps.block)

    @tf.function(jit_compile=True, autograph=False)
    def _decode(self, tokens, lengths, clock, cache, uniform, max_new_tokens, controls, shared):
        """Steps until all rows have ended.

        Args:
            tokens: int tensor [batch, columns], prompts on the left, behind them 0.
            lengths: int tensor [batch], of the prompts.
            clock: int tensor, the column behind the prompts.
            cache: of the prompts without their last tokens.
            uniform: float tensor [batch, steps], from `draws`.
            controls: dictionary of tensors; `None` for the likeliest token.

        Returns:
            `tokens` with the answers.
        """
        end = self._preprocessor.it.tokenizer.end_token_id
        batch, columns = tf.shape(tokens)[0], tf.range(tf.shape(tokens)[1])
        start = clock
        is_prompt = (columns < start) & (columns >= start - lengths[:, None])

        def is_open(clock, done, *_):
            return (clock < start + max_new_tokens) & ~tf.reduce_all(done)

        def body(clock, done, lengths, tokens, cache):
            logits, cache = self.steps.step(
                tf.gather(tokens, clock - 1, axis=1), lengths, clock - 1, cache, shared
            )
            is_answer = tf.repeat(((columns >= start) & (columns < clock))[None], batch, axis=0)
            drawn = tf.gather(uniform, clock - start, axis=1)
            if controls is None:
                token = tf.argmax(logits, axis=-1, output_type=tf.int32)
            else:
                token = next_token(logits, tokens, is_prompt, is_answer, drawn, end, controls)
            token = tf.ensure_shape(tf.where(done, 0, token), done.shape)
            written = tf.where(columns == clock, token[:, None], tokens)
            tokens = tf.ensure_shape(written, tokens.shape)
            lengths += tf.cast(~done, tf.int32)
            done |= (token == end) | (lengths >= self.max_length)
            return clock + 1, done, lengths, tokens, cache

        return tf.while_loop(is_open, body, (clock, lengths == 0, lengths, tokens, cache))[3]


def named_cache(cache):
    """The tensors of a cache as a dictionary, `cache_0` and so on."""
    return {f"cache_{i}": tensor for i, tensor in enumerate(tf.nest.flatten(cache))}


def _to_the_right(token_ids, lengths):
    """[batch, width] padded on the right to the same padded on the left."""
    columns = tf.range(tf.shape(token_ids)[1])
    source = columns - (tf.shape(token_ids)[1] - lengths[:, None])
    moved = tf.gather(token_ids, tf.maximum(source, 0), batch_dims=1)
    return tf.where(source >= 0, moved, 0)


def _bucket(size, smallest):
    """The next power of two."""
    powers = 2 ** tf.range(31)
    return powers[tf.searchsorted(powers, [tf.maximum(size, smallest)])[0]]
