"""The decoder: a TensorFlow module that generates, and that a SavedModel is made of."""

import tensorflow as tf

from keras_vngpt.generation.answering import Answering
from keras_vngpt.generation.beam_search import beam_search
from keras_vngpt.generation.cached_transformer import CachedTransformer
from keras_vngpt.generation.choices import automaton
from keras_vngpt.generation.controls import (
    IDS,
    MOST_ANSWERS,
    NUMBER,
    PER_ROW,
    ROWS,
    SPECS,
    STEP_SPECS,
    TABLES,
    TEXTS,
)
from keras_vngpt.generation.decoding import decode, log_probability
from keras_vngpt.generation.keras_hub_steps import Held, KerasHubSteps
from keras_vngpt.generation.rows import bucket, in_bucket, shortened, to_the_right, used
from keras_vngpt.generation.sampling import draws, is_plain
from keras_vngpt.generation.state import (
    State,
    as_dictionary,
    as_state,
    dictionary_specs,
    nothing_of,
)
from keras_vngpt.generation.stopping import CHUNK, cut, has_stopped
from keras_vngpt.generation.texts import KerasHubTexts, VnGPTTexts
from keras_vngpt.models.causal_lm import VnGPTCausalLM


class Decoder(tf.Module, Answering):
    """Generates from a trained model: prompts into a cache, then a token for each row a step.

    Steps are compiled by XLA for few shapes: batches and lengths are rounded up to powers of two.
    What is added is skipped, not computed. A single prompt has a shape of its own, with products
    that are faster for it.

    Args:
        model: a `VnGPTCausalLM` with its preprocessor, or any `keras_hub.models.CausalLM`. The
            "classic" decoder and other models go through their own `call_with_cache`, and are
            slower; the ids of other models are one more than those of their tokenizers.
        instruct: whether prompts are requests (`[BOS] REQ [SEP]`) or beginnings (`[BOS] text`).
        weights: how matrices are kept, "float32", "bfloat16", "float16" or "int8"; "modern" alone.

    Raises:
        ValueError: other `weights` for a model that cannot have them.

    Example:
        >>> decoder = Decoder(model)
        >>> decoder.generate(["Bật quạt phòng ngủ lên mức 2"], 32)
    """

    def __init__(self, model, instruct=True, weights="float32"):
        super().__init__()
        backbone, preprocessor = model.backbone, model.preprocessor
        is_ours = isinstance(model, VnGPTCausalLM)
        is_modern = is_ours and backbone.decoder == "modern"
        if not is_modern and weights != "float32":
            kind = "classic decoder" if is_ours else "models of KerasHub"
            raise ValueError(
                f'`weights` of the {kind} must be "float32". Received: weights={weights}'
            )
        texts = VnGPTTexts(preprocessor, instruct) if is_ours else KerasHubTexts(preprocessor)
        longest = getattr(backbone, "max_sequence_length", None)  # without one, what it saw
        self.max_length = longest or preprocessor.sequence_length
        self.steps = (
            CachedTransformer(backbone, weights)
            if is_modern
            else KerasHubSteps(model, self.max_length, 0 if is_ours else KerasHubTexts.offset)
        )
        self._backbone, self._texts = Held(backbone), Held(texts)
        self.end, self.assets = texts.end, texts.assets
        prefix, state = self.steps.prefix_specs, dictionary_specs(self.steps.cache_specs)
        self.answer_texts = _traced(self._answer_texts, TEXTS, NUMBER, SPECS, TEXTS, prefix)
        self.continue_texts = _traced(self._continue_texts, TEXTS, NUMBER, SPECS, prefix)
        self.answer = _traced(self._answer, IDS, NUMBER, SPECS, TEXTS, prefix)
        self.continue_ids = _traced(self._continue_ids, IDS, NUMBER, SPECS, prefix)
        self.answer_without_texts = _traced(self._answer_without_texts, IDS, NUMBER, SPECS, prefix)
        self.prefill = _traced(self._prefill, IDS, NUMBER, prefix)
        self.decode_steps = _traced(self._decode_steps, state, NUMBER, STEP_SPECS)

    def refresh(self):
        """Take the weights that the model has now, after more training."""
        self.steps.refresh(self._backbone.it)

    @tf.function(autograph=False, input_signature=[TEXTS])
    def tokenize(self, prompts):
        """Prompts, string tensor [batch], to the ids that `generate_ids` takes."""
        return self._texts.it.prompt_ids(prompts, tf.constant(self.max_length))

    @tf.function(autograph=False, input_signature=[IDS])
    def detokenize(self, token_ids):
        """int tensor [batch, length] to string tensor [batch], control symbols left out."""
        return self._texts.it.detokenize(token_ids)

    @tf.function(autograph=False, input_signature=[TEXTS])
    def answer_ids(self, texts):
        """Texts as the ids of an answer, without `[EOS]`, int tensor [batch, length]."""
        return self._texts.it.answer_ids(texts)

    @tf.function(autograph=False, input_signature=[TEXTS])
    def score(self, texts):
        """How likely the model finds texts, `[EOS]` included.

        Args:
            texts: string tensor [batch].

        Returns:
            `(log_probability, token_count)`, float and int tensors [batch].
        """
        token_ids, lengths, target, weight = self._texts.it.examples(texts, self.max_length)
        place = tf.where(tf.range(tf.shape(token_ids)[1]) < lengths[:, None])
        logits = self.steps.logits(to_the_right(token_ids, lengths), lengths)
        target = tf.gather_nd(target, place)
        log_probs = log_probability(logits, target) * tf.gather_nd(weight, place)
        total = tf.math.unsorted_segment_sum(log_probs, place[:, 0], tf.size(lengths))
        return total, tf.reduce_sum(tf.cast(weight > 0, tf.int32), -1)

    def _prompt_room(self, max_new_tokens):
        """The longest prompt: a longer one would leave no place for an answer."""
        return self.max_length - tf.minimum(max_new_tokens, self.max_length // 8)

    @tf.function(autograph=False, input_signature=[TEXTS])
    def bad_words(self, texts):
        """Texts as token sequences that must not come: the table of `Controls.bad_words`."""
        texts = tf.boolean_mask(texts, tf.strings.length(texts) > 0)
        # As they stand at the beginning or after a space, and as they stand after anything else.
        after_break = self.answer_ids("\n" + texts)[:, tf.shape(self.answer_ids(["\n"]))[1] :]
        alone = self.answer_ids(texts)
        width = tf.maximum(tf.shape(alone)[1], tf.shape(after_break)[1])
        both = (tf.pad(x, [[0, 0], [0, width - tf.shape(x)[1]]]) for x in (alone, after_break))
        both = tf.concat(list(both), axis=0)
        return {"bad_words": to_the_right(both, used(both), padding=-1)}

    @tf.function(autograph=False, input_signature=[TEXTS])
    def choices(self, texts):
        """Texts of which an answer is one: the tables of `Controls.choices`."""
        return automaton(self.answer_ids(texts), self.end)

    def vocabulary(self):
        """The bytes that each token stands for, string tensor [vocabulary_size]."""
        return self._texts.it.vocabulary()

    @tf.function(autograph=False, input_signature=[ROWS])
    def prefix_of(self, token_ids):
        """`prefix_cache` of tokens, int tensor [length]."""
        return self.steps.prefix(token_ids)

    def no_prefix(self):
        """A prefix of nothing."""
        return nothing_of(self.steps.prefix_specs)

    def _answer_texts(self, prompts, max_new_tokens, controls, stop, prefix):
        """`answer` to texts, string tensor [batch]."""
        ids = self._texts.it.prompt_ids(prompts, self._prompt_room(max_new_tokens))
        return self.answer(ids, max_new_tokens, controls, stop, prefix)

    def _continue_texts(self, prompts, max_new_tokens, controls, prefix):
        """The same without beams and stop strings: a smaller graph, an earlier first answer."""
        ids = self._texts.it.prompt_ids(prompts, self._prompt_room(max_new_tokens))
        out = self.continue_ids(ids, max_new_tokens, controls, prefix)
        return {"responses": self.detokenize(out["token_ids"]), **out}

    def _answer(self, token_ids, max_new_tokens, controls, stop, prefix):
        """`continue_ids` with beams, and texts, `responses`, that end before a stop string."""
        stop = tf.strings.unicode_transcode(stop, "UTF-8", "UTF-8")  # U+FFFD for what is none
        stop = tf.boolean_mask(stop, tf.strings.length(stop) > 0)
        beams = controls["num_beams"]
        out = self._answers(token_ids, max_new_tokens, controls, prefix, beams, stop)
        count = self._until_stop(out["token_ids"], stop)
        is_kept = tf.range(tf.shape(out["token_ids"])[1]) < count[:, None]
        out = {name: tf.where(is_kept, each, tf.zeros_like(each)) for name, each in out.items()}
        return {"responses": cut(self.detokenize(out["token_ids"]), stop), **out}

    def _until_stop(self, token_ids, stop):
        """The fewest tokens of each row whose text has a stop string; all where none has."""
        columns = tf.range(tf.shape(token_ids)[1])

        def halve(low, high):
            middle = (low + high) // 2
            texts = self.detokenize(tf.where(columns < middle[:, None], token_ids, 0))
            is_enough = has_stopped(texts, stop)
            return tf.where(is_enough, low, middle + 1), tf.where(is_enough, middle, high)

        none = tf.zeros(tf.shape(token_ids)[:1], tf.int32)
        all_ = none + tf.shape(token_ids)[1]
        return tf.cond(
            tf.size(stop) > 0,
            lambda: tf.while_loop(lambda low, high: tf.reduce_any(low < high), halve, (none, all_))[
                0
            ],
            lambda: all_,
        )

    def _continue_ids(self, token_ids, max_new_tokens, controls, prefix):
        """Answers to prompts, every argument a tensor; without beams.

        Args:
            token_ids: int tensor [batch, length], padded on the right with 0.
            max_new_tokens: int tensor.
            controls: dictionary of tensors, those of `SPECS`.
            prefix: from `prefix_cache`.

        Returns:
            A dictionary: `token_ids`, int [batch * num_return_sequences, new], padded with 0, and
            `log_probabilities`, float like it.
        """
        return self._answers(token_ids, max_new_tokens, controls, prefix)

    def _answer_without_texts(self, token_ids, max_new_tokens, controls, prefix):
        """`continue_ids` with beams."""
        return self._answers(token_ids, max_new_tokens, controls, prefix, controls["num_beams"])

    def _answers(self, token_ids, max_new_tokens, controls, prefix, beams=None, stop=None):
        """What nobody asks for, beams or stop strings, is not in the graph."""
        answers = tf.clip_by_value(controls["num_return_sequences"], 1, MOST_ANSWERS)
        of_prompt = answers
        if beams is not None:
            beams = tf.clip_by_value(beams, 1, MOST_ANSWERS)
            answers = tf.where(beams > 1, tf.minimum(answers, beams), answers)
            of_prompt = tf.maximum(beams, answers)
        batch = tf.shape(token_ids)[0]
        groups = bucket(batch, 1)
        prompts = tf.pad(token_ids, [[0, groups - batch], [0, 0]])
        prompts = tf.repeat(prompts, of_prompt, axis=0)
        state = self.prefill(prompts, max_new_tokens, prefix)
        rows, width = tf.shape(prompts)[:1], state["clock"] + 1
        step_controls = {
            **{name: tf.fill(rows, controls[name]) for name in PER_ROW},
            "max_new_tokens": tf.fill(rows, max_new_tokens),
            "row": tf.range(rows[0]),
            **{name: controls[name] for name in TABLES},
        }

        def sample():
            end = self._steps_until_stop(state, max_new_tokens, step_controls, stop)
            return end["tokens"], end["log_probabilities"]

        def search():
            penalties = controls["length_penalty"], controls["early_stopping"]
            of_beams = step_controls | {name: in_bucket(controls[name]) for name in TABLES}
            shared = self.steps.shared()
            found = self._search(state, tf.zeros([groups]), of_beams, penalties, shared)
            return tuple(tf.reshape(x[:, :answers], [groups * answers, -1]) for x in found)

        out = sample() if beams is None else tf.cond(beams > 1, search, sample)
        tokens, log_probs = (x[: batch * answers, width:] for x in out)
        longest = tf.maximum(tf.reduce_max(used(tokens)), 0)
        return {"token_ids": tokens[:, :longest], "log_probabilities": log_probs[:, :longest]}

    def _steps_until_stop(self, state, max_new_tokens, controls, stop):
        """Steps until all rows have ended; with stop strings texts are looked at now and then."""
        if stop is None:
            return self.decode_steps(state, max_new_tokens, controls)
        width = state["clock"] + 1
        count = tf.where(tf.size(stop) > 0, CHUNK, max_new_tokens)

        def more(state):
            state = self.decode_steps(state, count, controls)
            texts = tf.cond(
                tf.size(stop) > 0,
                lambda: self.detokenize(state["tokens"][:, width:]),
                lambda: tf.fill(tf.shape(state["done"]), ""),
            )
            return ({**state, "done": state["done"] | has_stopped(texts, stop)},)

        shapes = tf.nest.map_structure(lambda t: tf.TensorShape([None] * t.shape.rank), state)
        return tf.while_loop(
            lambda state: ~tf.reduce_all(state["done"]), more, (state,), shape_invariants=(shapes,)
        )[0]

    def _prefill(self, token_ids, max_new_tokens, prefix):
        """Prompts into a cache.

        The last token of each prompt is not in the cache, it is the first step's: so all new
        tokens come from steps.

        Args:
            token_ids: int tensor [batch, length], padded on the right with 0. A prompt that is too
                long loses its beginning.
            max_new_tokens: int tensor, for how many steps there shall be room.
            prefix: from `prefix_cache`.

        Returns:
            What the first `decode_step` or `decode_steps` takes: see `as_dictionary`.
        """
        max_new_tokens = tf.clip_by_value(max_new_tokens, 0, self.max_length)
        prompts, lengths = shortened(token_ids, self._prompt_room(max_new_tokens))
        width = tf.shape(prompts)[1]
        capacity = bucket(width + max_new_tokens, self.steps.block)
        before = tf.maximum(lengths - 1, 0)
        tokens = tf.pad(prompts, [[0, 0], [0, capacity - width]])
        state = State(
            tokens=tokens,
            log_probabilities=tf.zeros_like(tokens, tf.float32),
            lengths=lengths,
            answered=tf.zeros_like(lengths),
            clock=width - 1,
            done=tf.equal(lengths, 0),
            node=tf.zeros_like(lengths),
            cache=self.steps.prefill(prompts[:, :-1], before, capacity, prefix),
        )
        return as_dictionary(state)

    def _decode_steps(self, state, count, controls):
        """Steps for each row until it ends, a token a step.

        Args:
            state: dictionary, from `prefill` or an earlier call.
            count: int tensor, the most steps.
            controls: dictionary of tensors, those of `STEP_SPECS`.

        Returns:
            A dictionary like `state`.
        """
        state = as_state(state, self.steps.cache_specs)
        controls = controls | {name: in_bucket(controls[name]) for name in TABLES}
        limit = tf.minimum(controls["max_new_tokens"], self.max_length)
        rows, steps = tf.shape(limit)[0], bucket(tf.reduce_max(limit), 1)
        uniform = tf.cond(
            tf.reduce_any(controls["temperature"] > 0.0),
            lambda: draws(controls["seed"], controls["row"], steps),
            lambda: tf.zeros([rows, steps]),
        )
        of_rows = [name for name in State._fields if name not in ("clock", "cache")]

        def one(controls):
            first = {name: getattr(state, name)[0][None] for name in of_rows}
            rest = count, limit[0][None], uniform
            return self._decode(state._replace(**first), *rest, controls, ())

        state = tf.cond(
            tf.equal(rows, 1),
            # A greedy answer, asked for first and most, compiles sooner without the controls in it.
            lambda: tf.cond(is_plain(controls), lambda: one(None), lambda: one(controls)),
            lambda: self._decode(state, count, limit, uniform, controls, self.steps.shared()),
        )
        return as_dictionary(state)

    @tf.function(jit_compile=True, autograph=False)
    def _decode(self, state, count, limit, uniform, controls, shared):
        rest = uniform, controls, shared, self.end, self.max_length
        return decode(self.steps, state, count, limit, *rest)

    @tf.function(jit_compile=True, autograph=False)
    def _search(self, state, groups, controls, penalties, shared):
        limit = tf.minimum(controls["max_new_tokens"][0], self.max_length)
        rest = controls, penalties, shared, self.end, self.max_length
        return beam_search(
            self.steps, as_state(state, self.steps.cache_specs), groups, limit, *rest
        )

    def decode_step(self, token_ids, lengths, clock, cache):
        """One token for each row, for who chooses himself.

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


def _traced(function, *specs):
    return tf.function(function, autograph=False, input_signature=specs)
