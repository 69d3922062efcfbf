"""What decoders have in common, from a model in memory and from a SavedModel."""

import tensorflow as tf

from keras_vngpt.errors import UserError
from keras_vngpt.generation.constraints import regex_constraint
from keras_vngpt.generation.controls import NUMBER, PER_ROW, TABLES, as_tensors
from keras_vngpt.generation.stopping import settled

FIRST_STEPS = (1, 2, 4)  # of a stream: the first words come soon
STEPS = 8


class Answering:
    """Generation for Python callers, over the tensor functions of a decoder.

    A decoder has `tokenize`, `detokenize`, `answer_ids`, `vocabulary`, `end`, and functions from
    tensors to dictionaries of tensors: `answer`, `answer_texts`, `answer_without_texts`,
    `prefill` and `decode_steps`.
    """

    has_text = True  # whether it takes texts, not only ids

    def generate(self, prompts, max_new_tokens=None, prefix=None, **controls):
        """Answer texts.

        Args:
            prompts: string tensor [batch], or list of str.
            max_new_tokens: int; by default what the model's length allows.
            prefix: from `prefix_cache`, of what prompts may begin with: computed once.
            **controls: see `Controls`.

        Returns:
            string tensor [batch * num_return_sequences], the answers to one prompt side by side;
            bytes of UTF-8.

        Example:
            >>> decoder.generate(["Tắt đèn"], 20, temperature=0.8, stop=["\\n"])
        """
        prompts = tf.constant(prompts, tf.string)
        return self.answer_texts(prompts, *self._given(max_new_tokens, prefix, controls))[
            "responses"
        ]

    def generate_ids(self, token_ids, max_new_tokens=None, prefix=None, logprobs=False, **controls):
        """Go on from token ids.

        Args:
            token_ids: int tensor [batch, length], padded on the right with 0. A prompt that is too
                long loses its beginning.
            max_new_tokens: int; by default what the model's length allows.
            prefix: from `prefix_cache`, of what prompts may begin with: computed once.
            logprobs: whether to return the log-probability of each token too: the model's own,
                before the controls change anything.
            **controls: see `Controls`. With `stop` the last token is the one that completes it.

        Returns:
            int tensor [batch * num_return_sequences, new], `[EOS]` included where it came, padded
            with 0; with `logprobs`, a pair of it and a float tensor like it.

        Example:
            >>> ids, logprobs = decoder.generate_ids([[2, 17, 5, 3]], 20, logprobs=True)
        """
        length, controls, stop, prefix = self._given(max_new_tokens, prefix, controls)
        token_ids = tf.cast(token_ids, tf.int32)
        out = (
            self.answer(token_ids, length, controls, stop, prefix)
            if tf.size(stop) > 0
            else self.answer_without_texts(token_ids, length, controls, prefix)
        )
        ids = out["token_ids"]
        return (ids, out["log_probabilities"]) if logprobs else ids

    def stream(self, prompt, max_new_tokens=None, prefix=None, **controls):
        """Answer one prompt, bit by bit.

        What has been given is not taken back: the last word is held until it is whole, since its
        tone mark may move and its last character may have bytes to come.

        Args:
            prompt: str, or a list of token ids as `conversation_ids` makes.
            max_new_tokens, prefix, **controls: as for `generate`; one answer, not by beams.

        Yields:
            str; together they are what `generate` gives.

        Example:
            >>> for piece in decoder.stream("Kể chuyện đi"):
            ...     print(piece, end="", flush=True)
        """
        length, tensors, stop, prefix = self._given(max_new_tokens, prefix, controls)
        if tensors["num_beams"] > 1 or tensors["num_return_sequences"] > 1:
            raise ValueError("A stream is of one answer. Received: num_beams or "
                             "num_return_sequences above 1")  # fmt: skip
        if not isinstance(prompt, str) and (not prompt or isinstance(prompt[0], str)):
            raise ValueError(
                f"`prompt` must be a str, or a list of token ids. Received: prompt={prompt}"
            )
        ids = self.tokenize([prompt]) if isinstance(prompt, str) else tf.constant([prompt])
        state = self.prefill(ids, length, prefix)
        stop = [s.decode() for s in stop.numpy() if s]
        of_rows = {name: tensors[name][None] for name in PER_ROW}
        of_rows |= {"max_new_tokens": length[None], "row": tf.constant([0])}
        controls = of_rows | {name: tensors[name] for name in TABLES}
        start, shown = int(state["clock"]) + 1, 0
        for i in range(2**31):
            count = FIRST_STEPS[i] if i < len(FIRST_STEPS) else STEPS
            state = self.decode_steps(state, tf.constant(count), controls)
            last = int(state["clock"]) + 1
            text = self._text(state, start, last)
            done = bool(state["done"][0])
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
        tokens = state["tokens"][:, start:limit]
        return self.detokenize(tokens).numpy()[0].decode(errors="replace")

    def warm_up(self, batches=(1,), max_new_tokens=None):
        """Compile what answers of these shapes need, so that the first user does not wait.

        Greedy and drawn answers, and for one prompt streams too; beams, and constraints of other
        sizes than a few choices, are compiled when they are first asked for.

        Args:
            batches: numbers of prompts; all numbers up to the next power of two are alike.
            max_new_tokens: int; by default what the model's length allows.

        Example:
            >>> ExportedDecoder("runs/default/export/1").warm_up(batches=(1, 8))
        """
        for batch in batches:
            for controls in ({}, {"temperature": 1.0}):
                if not self.has_text:
                    self.generate_ids(tf.ones([batch, 1]), max_new_tokens, **controls)
                    continue
                self.generate([""] * batch, max_new_tokens, **controls)
                if batch == 1:
                    next(self.stream("", max_new_tokens, **controls), None)

    def prefix_cache(self, prompt):
        """What `prefix` of other functions is: how prompts begin, computed once.

        It never changes an answer: of prompts as much is taken from it as they have in common.

        Args:
            prompt: str, or a list of token ids.

        Returns:
            A dictionary of tensors.

        Example:
            >>> system = decoder.prefix_cache("Bạn là trợ lý trong nhà.\\n")
        """
        ids = self.tokenize([prompt])[0] if isinstance(prompt, str) else prompt
        return self.prefix_of(tf.cast(tf.reshape(ids, [-1]), tf.int32))

    def regex(self, pattern):
        """The tables of `Controls.regex`: what steps take for it.

        Raises:
            UserError: a pattern that cannot be, or a model with another tokenizer than ours.
        """
        vocabulary = self.vocabulary().numpy().tolist()
        if not vocabulary:
            raise UserError("regex: only for models with the tokenizer of keras_vngpt")
        tables = regex_constraint(pattern, vocabulary, int(self.end))
        names = "constraint_tokens", "constraint_nodes"
        return {name: tf.constant(table) for name, table in zip(names, tables, strict=True)}

    def _given(self, max_new_tokens, prefix, controls):
        most = NUMBER.dtype.max if max_new_tokens is None else max_new_tokens
        controls, stop = as_tensors(controls, self)
        if isinstance(prefix, str):
            raise ValueError(f"`prefix` must come from `prefix_cache`. Received: prefix={prefix!r}")
        return tf.constant(most), controls, stop, prefix or self.no_prefix()
