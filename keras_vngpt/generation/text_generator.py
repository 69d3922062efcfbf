"""From prompts to answers, the same over a model in memory and over a SavedModel."""

import tensorflow as tf

from keras_vngpt.errors import UserError
from keras_vngpt.generation.config_tensors import SEARCH_SPECS, TABLES, config_tensors
from keras_vngpt.generation.constraints.regex import regex_constraint
from keras_vngpt.generation.generation_config import MOST_ANSWERS, complete
from keras_vngpt.generation.refusal import Refusal, certainty
from keras_vngpt.generation.shapes import bucket, longest_used
from keras_vngpt.generation.stopping import CHUNK, cut, has_stopped, settled, until_stop
from keras_vngpt.text.system_text import with_system

FIRST_STEPS = (1, 2, 4)  # of a stream: the first words come soon
STEPS = 8


class TextGenerator:
    """Generation for Python callers, over the tensor functions of one of two kinds.

    `ModelGenerator` has a model in memory, `SavedModelGenerator` an export. Both have `tokenize`,
    `detokenize`, `encode_response`, `tables`, `vocabulary`, `end`, `prefix_of`, `no_prefix`,
    `prefill`, `decode_steps` and `search`; all that is here is made of these.

    Attributes:
        has_text: bool, whether it takes texts, not only ids.
        system: str, the system text that the model was trained with, "" for none. Whatever takes
            a request as text puts it before the first; an argument `system` replaces it.
        turns: int, how long the conversations were that it was trained on.
        refusal: `Refusal`, what is said instead of answers that the model is not sure of.
    """

    has_text, system, turns, refusal = True, "", 1, Refusal()

    def generate(
        self, prompts, max_new_tokens=None, prefix=None, system=None, refuse_below=None, **config
    ):
        """Answer texts.

        Args:
            prompts: string tensor [batch], or list of str.
            max_new_tokens: int; by default what the model's length allows.
            prefix: from `prefix_cache`, of what prompts may begin with: computed once.
            system: str, instead of the model's own system text; "" for none.
            refuse_below: float, the certainty that an answer must have, instead of that of
                `refusal`; 0 gives every answer.
            **config: see `GenerationConfig`.

        Returns:
            string tensor [batch * num_return_sequences], the answers to one prompt side by side;
            bytes of UTF-8.

        Example:
            >>> generator.generate(["Tắt đèn"], 20, temperature=0.8, stop=["\\n"])
        """
        prompts = self.with_system(tf.constant(prompts, tf.string), system)
        token_ids = self.tokenize(prompts)
        tokens, log_probs, stop = self._answers(token_ids, max_new_tokens, prefix, config)
        texts = self.detokenize(tokens)
        texts = texts if stop is None else cut(texts, stop)
        return self.refusal(texts, log_probs, refuse_below)

    def generate_ids(self, token_ids, max_new_tokens=None, prefix=None, logprobs=False, **config):
        """Go on from token ids.

        Args:
            token_ids: int tensor [batch, length], padded on the right with 0. A prompt that is too
                long loses its beginning.
            max_new_tokens: int; by default what the model's length allows.
            prefix: from `prefix_cache`, of what prompts may begin with: computed once.
            logprobs: whether to return the log-probability of each token too: the model's own,
                before the settings change anything.
            **config: see `GenerationConfig`. With `stop` the last token is the one that completes
                it.

        Returns:
            int tensor [batch * num_return_sequences, new], `[EOS]` included where it came, padded
            with 0; with `logprobs`, a pair of it and a float tensor like it.

        Example:
            >>> ids, logprobs = generator.generate_ids([[2, 17, 5, 3]], 20, logprobs=True)
        """
        token_ids = tf.cast(token_ids, tf.int32)
        tokens, log_probs, _ = self._answers(token_ids, max_new_tokens, prefix, config)
        return (tokens, log_probs) if logprobs else tokens

    def _answers(self, token_ids, max_new_tokens, prefix, given):
        """Tokens, their log-probabilities, and the stop strings: by steps, or by a beam search."""
        values, stop = complete(given), self.stop_strings(given.get("stop"))
        for name in ("num_beams", "num_return_sequences"):
            values[name] = min(max(values[name], 1), MOST_ANSWERS)
        beams = values["num_beams"]
        if beams == 1:  # a search makes rows of its own
            token_ids = tf.repeat(token_ids, values["num_return_sequences"], axis=0)
        config = config_tensors(given, tf.shape(token_ids)[0], max_new_tokens, self)
        prefix = self._prefix(prefix)
        if beams > 1:
            search = {n: tf.constant(values[n], spec.dtype) for n, spec in SEARCH_SPECS.items()}
            found = self.search(token_ids, config, search, prefix)
        else:
            found = answer(self, token_ids, config, prefix, stop)
        if stop is not None:
            found = until_stop(*found, stop, self.detokenize)
        return *found, stop

    def with_system(self, prompts, system=None):
        """First requests, str or string tensor, after the system text: the model's by default."""
        return with_system(self.system if system is None else system, prompts)

    def stream(self, prompt, max_new_tokens=None, prefix=None, system=None, **config):
        """Answer one prompt, bit by bit.

        What has been given is not taken back: the last word is held until it is whole, since its
        tone mark may move and its last character may have bytes to come.

        Args:
            prompt: str, or a list of token ids as `conversation_ids` makes.
            max_new_tokens, prefix, system, **config: as for `generate`; one answer, not by beams.

        Yields:
            str; together they are what `generate` gives.

        Example:
            >>> for piece in generator.stream("Kể chuyện đi"):
            ...     print(piece, end="", flush=True)
        """
        values = complete(config)
        if values["num_beams"] > 1 or values["num_return_sequences"] > 1:
            raise ValueError("A stream is of one answer. Received: num_beams or "
                             "num_return_sequences above 1")  # fmt: skip
        if not isinstance(prompt, str) and (not prompt or isinstance(prompt[0], str)):
            raise ValueError(
                f"`prompt` must be a str, or a list of token ids. Received: prompt={prompt}"
            )
        if isinstance(prompt, str):
            ids = self.tokenize([self.with_system(prompt, system)])
        else:
            ids = tf.constant([prompt])
        tensors = config_tensors(config, 1, max_new_tokens, self)
        stop = self.stop_strings(values["stop"])
        stop = [] if stop is None else [s.decode() for s in stop.numpy()]
        state = self.prefill(ids, tensors["max_new_tokens"][0], self._prefix(prefix))
        start, shown = int(state.cache_position) + 1, 0
        for i in range(2**31):
            count = FIRST_STEPS[i] if i < len(FIRST_STEPS) else STEPS
            state = self.decode_steps(state, tf.constant(count), tensors)
            last = int(state.cache_position) + 1
            text = self._text(state, start, last)
            done = bool(state.done[0])
            if any(s in text for s in stop):
                # As `generate` ends: with the first token that completes a stop string.
                texts = (self._text(state, start, n) for n in range(last - count, last + 1))
                text, done = next(t for t in texts if any(s in t for s in stop)), True
                text = text[: min(text.index(s) for s in stop if s in text)]
            until = len(text) if done else settled(text, stop)
            if until > shown:
                yield text[shown:until]
                shown = until
            if done:
                return

    def _text(self, state, start, limit):
        tokens = state.tokens[:, start:limit]
        return self.detokenize(tokens).numpy()[0].decode(errors="replace")

    def conversation_ids(self, prompts, responses, system=None):
        """Token ids of a conversation that waits for its next response.

        Args:
            prompts: list of str, one more than responses.
            responses: list of str.
            system: as for `generate`; it stands before the first request alone.

        Returns:
            list of int: `[BOS] q1 [SEP] a1 [EOS] [BOS] q2 [SEP]`.

        Example:
            >>> generator.conversation_ids(["Chào bạn", "Bật đèn"], ["Chào bạn!"])
        """
        return self._ids_of([(prompts, responses)], system)[0]

    def _ids_of(self, conversations, system):
        """`conversation_ids` of several, tokenised at once."""
        prompts = [
            text
            for (first, *rest), _ in conversations
            for text in (self.with_system(first, system), *rest)
        ]
        responses = [text for _, texts in conversations for text in texts]

        def turns(ids):
            return ([i for i in turn if i] for turn in ids.numpy().tolist())

        requests = turns(self.tokenize(tf.constant(prompts)))
        answers = turns(self.encode_response(tf.constant(responses, tf.string)))
        end, found = int(self.end), []
        for _, texts in conversations:
            ids = []
            for _ in texts:
                ids += [*next(requests), *next(answers), end]
            found.append(ids + next(requests))
        return found

    def answer_conversations(
        self,
        conversations,
        max_new_tokens=None,
        system=None,
        refuse_below=None,
        certainties=False,
        **config,
    ):
        """The next response to each of a batch of conversations.

        Args:
            conversations: list of `(prompts, responses)`, prompts one more.
            max_new_tokens: int; by default what the model's length allows.
            system, refuse_below: as for `generate`.
            certainties: whether to return how sure the model is of each too, whether it was
                refused or not.
            **config: see `GenerationConfig`.

        Returns:
            list of str; with `certainties`, a pair of it and a list of float.
        """
        ids = tf.ragged.constant(self._ids_of(conversations, system), tf.int32).to_tensor()
        tokens, log_probs, stop = self._answers(ids, max_new_tokens, None, config)
        texts = self.detokenize(tokens)
        texts = texts if stop is None else cut(texts, stop)
        texts = self.refusal(texts, log_probs, refuse_below).numpy()
        texts = [text.decode(errors="replace") for text in texts]
        return (texts, certainty(log_probs).numpy().tolist()) if certainties else texts

    def warm_up(self, batches=(1,), max_new_tokens=None):
        """Compile what answers of these shapes need, so that the first user does not wait.

        Greedy and drawn answers, and for one prompt streams too; beams, and constraints of other
        sizes than a few choices, are compiled when they are first asked for.

        Args:
            batches: numbers of prompts; all numbers up to the next power of two are alike.
            max_new_tokens: int; by default what the model's length allows.

        Example:
            >>> SavedModelGenerator("runs/default/export/1").warm_up(batches=(1, 8))
        """
        for batch in batches:
            for config in ({}, {"temperature": 1.0}):
                if not self.has_text:
                    self.generate_ids(tf.ones([batch, 1]), max_new_tokens, **config)
                    continue
                self.generate([""] * batch, max_new_tokens, **config)
                if batch == 1:
                    next(self.stream("", max_new_tokens, **config), None)

    def prefix_cache(self, prompt):
        """What `prefix` of other functions is: how prompts begin, computed once.

        It never changes an answer: of prompts as much is taken from it as they have in common.

        Args:
            prompt: str, or a list of token ids.

        Returns:
            A dictionary of tensors.

        Example:
            >>> system = generator.prefix_cache(f"{generator.system}\\n")
        """
        ids = self.tokenize([prompt])[0] if isinstance(prompt, str) else prompt
        return self.prefix_of(tf.cast(tf.reshape(ids, [-1]), tf.int32))

    def _prefix(self, prefix):
        if isinstance(prefix, str):
            raise ValueError(f"`prefix` must come from `prefix_cache`. Received: prefix={prefix!r}")
        return prefix or self.no_prefix()

    def regex(self, pattern):
        """The tables of `GenerationConfig.regex`: what steps take for it.

        Raises:
            UserError: a pattern that cannot be, or a model with another tokenizer than ours.
        """
        vocabulary = self.vocabulary().numpy().tolist()
        if not vocabulary:
            raise UserError("regex: only for models with the tokenizer of keras_vngpt")
        tables = regex_constraint(pattern, vocabulary, int(self.end))
        names = "constraint_tokens", "constraint_nodes"
        return {name: tf.constant(table) for name, table in zip(names, tables, strict=True)}

    def stop_strings(self, texts):
        """Stop strings in the form that answers have, string tensor [n]; `None` for none.

        That is NFC, and tone marks where the model puts them.
        """
        texts = [text for text in texts or () if text]
        if not texts:
            return None
        # Only behind something does a space at the beginning survive.
        written = self.detokenize(self.encode_response("\n" + tf.constant(texts)))
        return tf.strings.substr(written, 1, -1)


def answer(generator, token_ids, config, prefix, stop=None):
    """From the ids of prompts to the ids of their answers; the walk of every signature too.

    Args:
        generator: a `TextGenerator`; its functions are called as they are, within a graph or not.
        token_ids: int tensor [batch, length], padded on the right with 0.
        config: dictionary of tensors, those of `CONFIG_SPECS`.
        prefix: from `prefix_cache`.
        stop: string tensor [n], none empty; `None` leaves it out of the graph. Steps end soon
            behind a stop string; `until_stop` ends there.

    Returns:
        `(token_ids, log_probabilities)`, int and float tensors [batch, new], padded with 0.
    """
    batch = tf.shape(token_ids)[0]
    more = bucket(batch, 1) - batch  # rows of nothing, so that few shapes are compiled
    token_ids = tf.pad(token_ids, [[0, more], [0, 0]])
    of_rows = config.keys() - TABLES
    padding = tf.stack([[0, more]])
    config = config | {name: tf.pad(config[name], padding) for name in of_rows}
    longest = tf.reduce_max(config["max_new_tokens"])
    state = generator.prefill(token_ids, longest, prefix)
    width = state.cache_position + 1
    state = _steps(generator, state, longest, config, stop)
    tokens, log_probs = (each[:batch, width:] for each in (state.tokens, state.log_probabilities))
    longest = longest_used(tokens)
    return tokens[:, :longest], log_probs[:, :longest]


def _steps(generator, state, count, config, stop):
    """Steps until all rows have ended; with stop strings texts are looked at now and then."""
    if stop is None:
        return generator.decode_steps(state, count, config)
    width, are_some = state.cache_position + 1, tf.size(stop) > 0
    count = tf.where(are_some, CHUNK, count)

    def more(state):
        state = generator.decode_steps(state, count, config)
        texts = tf.cond(
            are_some,
            lambda: generator.detokenize(state.tokens[:, width:]),
            lambda: tf.fill(tf.shape(state.done), ""),
        )
        return (state._replace(done=state.done | has_stopped(texts, stop)),)

    shapes = tf.nest.map_structure(lambda t: tf.TensorShape([None] * t.shape.rank), state)
    return tf.while_loop(
        lambda state: ~tf.reduce_all(state.done), more, (state,), shape_invariants=(shapes,)
    )[0]
