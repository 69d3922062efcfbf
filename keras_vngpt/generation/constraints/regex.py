"""A regular expression that answers must match, as an automaton over tokens."""

import importlib.util
import io
import re
import subprocess
import sys
import unicodedata
import warnings
from typing import NamedTuple

import numpy as np
import sentencepiece

from keras_vngpt.errors import UserError
from keras_vngpt.generation.constraints import byte_automaton
from keras_vngpt.generation.constraints.byte_automaton import END, NOWHERE, START
from keras_vngpt.text.normalization import normalization_rules

MAX_SECONDS, MAX_MEMORY = 20, 2**31  # that a pattern may take
MAX_STATES, MAX_ENTRIES = 2**16, 2**25  # of the arrays, each
MAX_COUNT = 1_000  # of {m,n}
SMALLER = "Take smaller counts, fewer alternatives or narrower classes"
RULES = normalization_rules()
REFUSED = {
    "anchor": r"has \A, \Z, \b, \B or a ^ within. It is the whole answer that matches",
    "reference": "has a back-reference, which no automaton can follow",
    "look": "looks ahead or behind, which no automaton can follow",
    "possessive": "has a possessive quantifier or an atomic group. Take the plain one",
}
# What is refused or rewritten. Escapes and classes of characters stay as they are, and so does a
# letter with a quantifier of its own: "òa?" is not "oà?".
PARTS = re.compile(
    r"(?P<anchor>\\[AZbB]|(?!\A)\^)|(?P<reference>\\[1-9]|\(\?P=)|(?P<look>\(\?<?[=!])"
    r"|(?P<possessive>[*+?}]\+|\(\?>)|\{(?P<count>\d*,?\d*)(?=\})"
    r"|\\.|\[\^?\]?(?:\\.|[^]\\])*\]"
    rf"|(?P<text>{'|'.join(sorted(RULES, key=len, reverse=True))})(?![*+?{{])",
    re.DOTALL,
)


class Constraint(NamedTuple):
    """Which tokens may come in each state, and the state after each; state 0 is the start."""

    tokens: np.ndarray  # int32 [states, width], ascending, padded with -1
    next_states: np.ndarray  # int32 [states, width], padded with 0


def vocabulary_of(proto):
    """What each token of a SentencePiece model adds to a text.

    Args:
        proto: bytes, the model.

    Returns:
        list of bytes; `b""` for a token that must not be in an answer.

    Example:
        >>> vocabulary_of(tokenizer.proto)[tokenizer.token_to_id("▁b")]
        b' b'
    """
    model = sentencepiece.SentencePieceProcessor(model_proto=proto)

    def added(i):
        if model.is_control(i) or model.is_unknown(i) or model.is_unused(i):
            return b""
        if not model.is_byte(i):
            return model.id_to_piece(i).replace("▁", " ").encode()
        # A space is always "▁": decoding would not take it from the start if it were a byte.
        return bytes([int(model.id_to_piece(i)[1:-1], 16)]).replace(b" ", b"")

    return [added(i) for i in range(model.get_piece_size())]


def regex_constraint(pattern, vocabulary, end):
    """The automaton of the answers that match a regular expression from first to last letter.

    The syntax is what Python's `re` and Rust's `regex` share: no look-around, back-reference or
    `\\b`. `\\w` and `\\d` are Unicode's ("[0-9]" is ASCII's), `.` is all but a new line.

    Tokens spell NFC with tone marks in the new place, and the text that users see has them in the
    tokenizer's own. So "hòa" and "hoà" in a pattern mean the same. That is so for letters side by
    side; a class of characters, or a letter with a quantifier of its own, is compared with what
    tokens spell: "hòa" is "ho[aà]" there, not "h[oò]a".

    Args:
        pattern: str.
        vocabulary: list of bytes, as `vocabulary_of` gives.
        end: int, the id of `[EOS]`: allowed where the answer matches, leading to the same state.

    Returns:
        A `Constraint`. The end can be reached from each of its states.

    Raises:
        UserError: the pattern is wrong, not supported, too large, or matches nothing.

    Example:
        >>> tokens, next_states = regex_constraint("(bật|tắt) đèn", vocabulary, end=4)

    References:
        - [Willard and Louf, 2023](https://arxiv.org/abs/2307.09702)
    """
    if importlib.util.find_spec("outlines_core") is None:
        raise UserError('regex: needs outlines-core. pip install "keras_vngpt[regex]"')
    table = _automaton_of_bytes(_inner_form(pattern))
    letters = [list(token) for token in vocabulary]
    letters[end] = [END]
    # The longest tokens first, so that those with an i-th letter are one slice.
    order = sorted((i for i, token in enumerate(letters) if token), key=lambda i: -len(letters[i]))
    columns = [
        np.array([letters[token][i] for token in order if len(letters[token]) > i])
        for i in range(len(letters[order[0]]))
    ]
    states, known, edges, width = [START], {START}, {}, 0
    for state in states:  # more come on the way
        here = np.full(len(order), state, np.int32)
        for column in columns:
            here[: len(column)] = table[here[: len(column)], column]
        reached = np.zeros(len(letters), np.int32)
        reached[order] = here
        tokens = np.flatnonzero(reached != NOWHERE).astype(np.int32)
        edges[state] = tokens, reached[tokens]
        new = set(reached[tokens].tolist()) - known
        known |= new
        states += sorted(new)
        width = max(width, len(tokens))
        if len(states) * width > MAX_ENTRIES:
            raise UserError(f"regex: makes more than {MAX_ENTRIES:,} entries. {SMALLER}")
        if len(states) > MAX_STATES:
            raise UserError(f"regex: makes more than {MAX_STATES:,} states. {SMALLER}")
    return _without_dead_ends(states, edges, table[:, END] != NOWHERE)


def _inner_form(pattern):
    """The pattern as the tokens spell its text; faults that can be named are raised here."""
    try:
        with warnings.catch_warnings():
            # "[a--b]", "[a&&b]" and "[[a]": plain letters to `re`, operations to `regex`.
            warnings.simplefilter("error", FutureWarning)
            re.compile(pattern)
    except (re.error, FutureWarning, OverflowError, RecursionError) as error:
        raise UserError(f"regex: {' '.join(str(error).split())}") from None

    def rewritten(part):
        if part.lastgroup in REFUSED:
            raise UserError(f"regex: {REFUSED[part.lastgroup]}")
        if max((int(n) for n in (part["count"] or "").split(",") if n), default=0) > MAX_COUNT:
            raise UserError(f"regex: counts to more than {MAX_COUNT:,}: {part[0]}}}")
        return part[0] if part["text"] is None else RULES[part["text"]]

    return PARTS.sub(rewritten, unicodedata.normalize("NFC", pattern)).removeprefix("^")


def _automaton_of_bytes(pattern):
    """`byte_automaton.automaton`, which knows no limits, in a process that has some."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", byte_automaton.__file__, str(MAX_MEMORY)],
            input=pattern.encode(errors="surrogatepass"),
            capture_output=True,
            timeout=MAX_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"regex: takes more than {MAX_SECONDS} seconds. {SMALLER}") from None
    if done.returncode == byte_automaton.NO_MATCH:
        raise UserError("regex: nothing matches it, or a part of it")
    if done.returncode == byte_automaton.NOT_SUPPORTED:
        raise UserError(
            r"regex: is not supported. There are no {,n}, (?#...), (?(1)...), \N{...}, (?a), "
            "octal numbers, or escapes of letters that need none"
        )
    if done.returncode:
        raise UserError(f"regex: takes more than {MAX_MEMORY // 2**20:,} MB. {SMALLER}")
    return np.load(io.BytesIO(done.stdout))


def _without_dead_ends(states, edges, is_useful):
    """The arrays of a `Constraint`, without the states from which the end cannot be reached.

    Args:
        states: list of states, the start first.
        edges: dictionary from state to two arrays, the tokens and the state after each.
        is_useful: bool array, which states may end; changed.
    """
    after = {state: np.unique(edges[state][1]) for state in states}
    has_changed = True
    while has_changed:
        has_changed = False
        for state in reversed(states):
            if not is_useful[state] and is_useful[after[state]].any():
                is_useful[state] = has_changed = True
    if not is_useful[START]:
        raise UserError("regex: no answer of this vocabulary's tokens matches")
    kept = [state for state in states if is_useful[state]]
    number = np.zeros(len(is_useful), np.int32)
    number[kept] = np.arange(len(kept))
    rows = [[each[is_useful[edges[state][1]]] for each in edges[state]] for state in kept]
    tokens = np.full([len(kept), max(len(row) for row, _ in rows)], -1, np.int32)
    next_states = np.zeros_like(tokens)
    for i, (row, reached) in enumerate(rows):
        tokens[i, : len(row)] = row
        next_states[i, : len(row)] = number[reached]
    return Constraint(tokens, next_states)
