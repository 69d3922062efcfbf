"""The text generator of a model in memory, which a SavedModel is made of."""

from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from keras_vngpt.families import family_of
from keras_vngpt.generation.backends.cached_transformer import CachedTransformer
from keras_vngpt.generation.backends.keras_hub_cache import KerasHubCache, Untracked
from keras_vngpt.generation.beam_search import beam_search
from keras_vngpt.generation.config_tensors import CONFIG_SPECS, SEARCH_SPECS, TABLES
from keras_vngpt.generation.constraints.word_tables import bad_words_table, choices_tables
from keras_vngpt.generation.continuous_batching import insert_rows, remove_rows
from keras_vngpt.generation.decoding_loop import decode, log_probability
from keras_vngpt.generation.decoding_state import (
    IDS,
    NUMBER,
    OF_ROWS,
    ROWS,
    TEXTS,
    State,
    nothing_of,
    state_specs,
)
from keras_vngpt.generation.sampling import draws, is_plain
from keras_vngpt.generation.shapes import (
    bucket,
    in_bucket,
    longest_used,
    shortened,
    to_the_right,
)
from keras_vngpt.generation.text_codec import KerasHubTextCodec, VnGPTTextCodec
from keras_vngpt.generation.text_generator import TextGenerator


class Engine(NamedTuple):
    """What generation needs to know of a model family."""

    make_backend: Any  # from (model, max_length, weights)
    codec: Any


def vngpt_backend(model, max_length, weights):
    """Our "modern" layers have a cache of their own; the "classic" ones are KerasHub's."""
    if model.backbone.decoder == "modern":
        return CachedTransformer(model.backbone, weights)
    _check_float32(weights, "classic decoder")
    return KerasHubCache(model, max_length)


def keras_hub_backend(model, max_length, weights):
    _check_float32(weights, "models of KerasHub")
    return KerasHubCache(model, max_length, KerasHubTextCodec.offset)


def _check_float32(weights, kind):
    if weights != "float32":
        raise ValueError(f'`weights` of the {kind} must be "float32". Received: weights={weights}')


ENGINES = {
    "vngpt": Engine(vngpt_backend, VnGPTTextCodec),
    "keras_hub": Engine(keras_hub_backend, KerasHubTextCodec),
}


class ModelGenerator(tf.Module, TextGenerator):
    """Generates from a model: prompts into a cache, then a token for each row a step.

    Steps are compiled by XLA for few shapes: batches and lengths are rounded up to powers of two.
    What is added is skipped, not computed. A single prompt has a shape of its own, with products
    that are faster for it.

    Args:
        model: a `VnGPTCausalLM` with its preprocessor, or any `keras_hub.models.CausalLM`. The
            "classic" decoder and other models go through their own `call_with_cache`, and are
            slower; the ids of other models are one more than those of their tokenizers.
        prompt_format: "request" where a separator follows a prompt, "text" where the answer goes on
            from it; `None` for what the preprocessor says.
        separator: str, of models whose tokenizer has no `[SEP]`.
        weights: how matrices are kept, "float32", "bfloat16", "float16" or "int8"; "modern" alone.
        system, turns: as `TextGenerator` has them; `None` for what the preprocessor says.

    Raises:
        ValueError: other `weights` for a model that cannot have them.

    Example:
        >>> generator = ModelGenerator(model)
        >>> generator.generate(["Bật quạt phòng ngủ lên mức 2"], 32)
    """

    def __init__(
        self,
        model,
        prompt_format=None,
        separator="\n",
        weights="float32",
        system=None,
        turns=None,
    ):
        super().__init__()
        engine, preprocessor = ENGINES[family_of(model).name], model.preprocessor
        longest = getattr(model.backbone, "max_sequence_length", None)  # else what it saw
        self.max_length = longest or preprocessor.sequence_length
        self.backend = engine.make_backend(model, self.max_length, weights)
        default = getattr(preprocessor, "prompt_format", engine.codec.prompt_format)
        codec = engine.codec(preprocessor, prompt_format or default, separator)
        self.system = getattr(preprocessor, "system", "") if system is None else system
        self.turns = turns or getattr(preprocessor, "turns", 1)
        self._backbone, self._codec = Untracked(model.backbone), Untracked(codec)
        self.end, self.assets = codec.end, codec.assets
        prefix, state = self.backend.prefix_specs, state_specs(self.backend.cache_specs)
        self.prefill = _traced(self._prefill, IDS, NUMBER, prefix)
        self.decode_steps = _traced(self._decode_steps, state, NUMBER, CONFIG_SPECS)
        self.search = _traced(self._search, IDS, CONFIG_SPECS, SEARCH_SPECS, prefix)
        self.insert = _traced(partial(insert_rows, self.backend), state, state, ROWS)
        self.remove = _traced(remove_rows, state, ROWS)

    def refresh(self):
        """Take the weights that the model has now, after more training."""
        self.backend.refresh(self._backbone.it)

    @tf.function(autograph=False, input_signature=[TEXTS])
    def tokenize(self, prompts):
        """Prompts, string tensor [batch], to the ids that `generate_ids` takes."""
        return self._codec.it.prompt_ids(prompts, tf.constant(self.max_length))

    @tf.function(autograph=False, input_signature=[IDS])
    def detokenize(self, token_ids):
        """int tensor [batch, length] to string tensor [batch], control symbols left out."""
        return self._codec.it.detokenize(token_ids)

    @tf.function(autograph=False, input_signature=[TEXTS])
    def encode_response(self, texts):
        """Texts as the ids of an answer, without `[EOS]`, int tensor [batch, length]."""
        return self._codec.it.encode_response(texts)

    @tf.function(autograph=False, input_signature=[TEXTS, TEXTS])
    def tables(self, bad_words, choices):
        """Texts that must not come, and texts of which the answer is one, as tables of settings.

        Args:
            bad_words, choices: string tensors [n]; n may be 0.

        Returns:
            A dictionary of int tensors: what `bad_words`, `constraint_tokens` and
            `constraint_nodes` of `CONFIG_SPECS` are.
        """
        forbidden = bad_words_table(bad_words, self.encode_response)
        return {"bad_words": forbidden, **choices_tables(self.encode_response(choices), self.end)}

    def vocabulary(self):
        """The bytes that each token stands for, string tensor [vocabulary_size]."""
        return self._codec.it.vocabulary()

    @tf.function(autograph=False, input_signature=[TEXTS])
    def score(self, texts):
        """How likely the model finds texts, `[EOS]` included.

        Args:
            texts: string tensor [batch].

        Returns:
            `(log_probability, token_count)`, float and int tensors [batch].
        """
        token_ids, lengths, target, weight = self._codec.it.examples(texts, self.max_length)
        place = tf.where(tf.range(tf.shape(token_ids)[1]) < lengths[:, None])
        logits = self.backend.logits(to_the_right(token_ids, lengths), lengths)
        target = tf.gather_nd(target, place)
        log_probs = log_probability(logits, target) * tf.gather_nd(weight, place)
        total = tf.math.unsorted_segment_sum(log_probs, place[:, 0], tf.size(lengths))
        return total, tf.reduce_sum(tf.cast(weight > 0, tf.int32), -1)

    @tf.function(autograph=False, input_signature=[ROWS])
    def prefix_of(self, token_ids):
        """`prefix_cache` of tokens, int tensor [length]."""
        return self.backend.prefix(token_ids)

    def no_prefix(self):
        """A prefix of nothing."""
        return nothing_of(self.backend.prefix_specs)

    def _prefill(self, token_ids, max_new_tokens, prefix):
        """Prompts into a cache.

        The last token of each prompt is not in the cache, it is the first step's: so all new
        tokens come from steps.

        Args:
            token_ids: int tensor [batch, length], padded on the right with 0. A prompt that is too
                long loses its beginning: an eighth of the model's length is kept for the answer.
            max_new_tokens: int tensor, for how many steps there shall be room.
            prefix: from `prefix_cache`.

        Returns:
            `State`, what the first `decode_steps` takes.
        """
        max_new_tokens = tf.clip_by_value(max_new_tokens, 0, self.max_length)
        room = self.max_length - tf.minimum(max_new_tokens, self.max_length // 8)
        prompts, lengths = shortened(token_ids, room)
        width = tf.shape(prompts)[1]
        capacity = bucket(width + max_new_tokens, self.backend.block)
        before = tf.maximum(lengths - 1, 0)
        tokens = tf.pad(prompts, [[0, 0], [0, capacity - width]])
        return State(
            tokens=tokens,
            log_probabilities=tf.zeros_like(tokens, tf.float32),
            lengths=lengths,
            answered=tf.zeros_like(lengths),
            cache_position=width - 1,
            done=tf.equal(lengths, 0),
            node=tf.zeros_like(lengths),
            cache=self.backend.prefill(prompts[:, :-1], before, capacity, prefix),
        )

    def _decode_steps(self, state, count, config):
        """Steps for each row until it ends, a token a step.

        Args:
            state: `State`, from `prefill` or an earlier call.
            count: int tensor, the most steps.
            config: dictionary of tensors, those of `CONFIG_SPECS`.

        Returns:
            `State`.
        """
        limit = tf.minimum(config["max_new_tokens"], self.max_length)
        config = config | {name: in_bucket(config[name]) for name in TABLES}
        config["max_new_tokens"] = limit
        rows, steps = tf.shape(limit)[0], bucket(tf.reduce_max(limit), 1)
        uniform = tf.cond(
            tf.reduce_any(config["temperature"] > 0.0),
            lambda: draws(config["seed"], config["row"], steps),
            lambda: tf.zeros([rows, steps]),
        )

        def one(config, uniform):
            first = {name: _of_one_row(getattr(state, name)) for name in OF_ROWS}
            config = config | {"max_new_tokens": _of_one_row(limit)}
            return self._decode(state._replace(**first), count, config, uniform, ())

        return tf.cond(
            tf.equal(rows, 1),
            # A greedy answer, asked for first and most, compiles sooner without settings in it.
            lambda: tf.cond(is_plain(config), lambda: one({}, None), lambda: one(config, uniform)),
            lambda: self._decode(state, count, config, uniform, self.backend.shared()),
        )

    @tf.function(jit_compile=True, autograph=False)
    def _decode(self, state, count, config, uniform, shared):
        return decode(self.backend, state, count, config, uniform, shared, self.end)

    def decode_step(self, token_ids, lengths, cache_position, cache):
        """One token for each row, for who chooses himself.

        Args:
            token_ids: int tensor [batch].
            lengths: int tensor [batch], of each row with this token.
            cache_position: int tensor, one more than in the step before.
            cache: nest of tensors.

        Returns:
            `(logits, cache)`, logits float [batch, vocabulary_size].
        """
        step = tf.function(self.backend.step, jit_compile=True, autograph=False)

        def one():
            return step(*map(_of_one_row, (token_ids, lengths)), cache_position, cache, ())

        def many():
            return step(token_ids, lengths, cache_position, cache, self.backend.shared())

        if token_ids.shape[0] is not None:
            return one() if token_ids.shape[0] == 1 else many()
        return tf.cond(tf.equal(tf.shape(token_ids)[0], 1), one, many)

    def _search(self, token_ids, config, search, prefix):
        """The best answers of a beam search, those to one prompt side by side.

        Args:
            token_ids: int tensor [batch, length], padded on the right with 0.
            config: dictionary of tensors, those of `CONFIG_SPECS`.
            search: dictionary of tensors, those of `SEARCH_SPECS`.
            prefix: from `prefix_cache`.

        Returns:
            `(token_ids, log_probabilities)`, int and float tensors [batch * answers, new].
        """
        beams = search["num_beams"]
        answers = tf.minimum(search["num_return_sequences"], beams)
        batch = tf.shape(token_ids)[0]
        groups = bucket(batch, 1)

        def of_beams(each):
            rest = [[0, 0]] * (each.shape.rank - 1)
            return tf.repeat(tf.pad(each, [[0, groups - batch], *rest]), beams, axis=0)

        config = config | {name: of_beams(config[name]) for name in config.keys() - TABLES}
        config |= {name: in_bucket(config[name]) for name in TABLES}
        config["max_new_tokens"] = tf.minimum(config["max_new_tokens"], self.max_length)
        state = self.prefill(of_beams(token_ids), config["max_new_tokens"][0], prefix)
        penalties = search["length_penalty"], search["early_stopping"]
        rest = state, tf.zeros([groups]), config, penalties, self.backend.shared()
        width = state.cache_position + 1
        tokens, log_probs = (
            tf.reshape(each[:batch, :answers, width:], [batch * answers, -1])
            for each in self._search_compiled(*rest)
        )
        longest = longest_used(tokens)
        return tokens[:, :longest], log_probs[:, :longest]

    @tf.function(jit_compile=True, autograph=False)
    def _search_compiled(self, state, groups, config, penalties, shared):
        return beam_search(self.backend, state, groups, config, penalties, shared, self.end)


def _of_one_row(tensor):
    """The same, known to be of one row when it is compiled; a check would run where it is not."""
    return tensor[0][None]


def _traced(function, *specs):
    return tf.function(function, autograph=False, input_signature=specs)
