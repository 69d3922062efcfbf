"""Other phrasings of a question: orders, synonyms, forms of address, ways of typing."""

import itertools
import random
import re
from typing import NamedTuple

from keras_vngpt.augmentation.letters import folded, key, substitute, without_diacritics
from keras_vngpt.augmentation.names import Names
from keras_vngpt.augmentation.pair_cleaning import asks, is_order, sentences
from keras_vngpt.augmentation.phrase_book import PhraseBook
from keras_vngpt.augmentation.same_facts import same_numbers_and_names
from keras_vngpt.augmentation.user_files import read_lines, shipped

TRIES = 40  # in a row without a new phrasing, before a question is taken to have no more
FEW_WORDS = 2  # so few may have no diacritics by chance
CARELESS = 0.7  # share of what is typed in a hurry that has no capitals and no final mark

_I = re.compile(r"^(?:tôi|mình) (?=\w+ )")
_VERB = re.compile(r"\b(?:hay|không|chưa|được|có|là|cần|phải)\b|,")
# "Tôi muốn đổi vé, phí bao nhiêu": what is told before the question.
_TOLD = re.compile(r"(?:(?:tôi|mình|em|tớ|nhà mình|bé|con)\b[^,?]*,\s+)(?=\S)")


class Phrasing(NamedTuple):
    """A question in other words, and what was done to it.

    Args:
        text: str.
        style: "reworded" (other words or order), "noun" ("giá vé ạ"), the name of the tone that
            put it to someone ("polite", ...), "teencode" or "without diacritics".
    """

    text: str
    style: str


def reword(questions, n, seed=0, names=()):
    """Ask each question in other ways, neutral ones that fit any subject.

    Args:
        questions: list of str.
        n: int, phrasings of each; fewer where so many are not found.
        seed: int. The phrasings of a question depend on it and on the question, not on the others.
        names: iterable of str, names that keep their capitals in the middle of a sentence.

    Returns:
        list with a list of `Phrasing` for each question; all differ from the question and from
        one another in more than case and marks, and keep its numbers and names.

    Example:
        >>> reword(["Gửi xe máy bao nhiêu tiền?"], 2)
        [[Phrasing(text='Cho hỏi giá gửi xe máy.', style='noun'), ...]]
    """
    names = Names([*read_lines(*shipped("names")), *names])
    book = PhraseBook(shipped("templates"), shipped("synonyms"), names)
    rewording = Rewording(book, names)
    return [list(itertools.islice(rewording.phrasings(q, seed), n)) for q in questions]


class Rewording:
    """Rephrases questions.

    Args:
        book: `PhraseBook`.
        names: `Names`, which keep their capitals in the middle of a sentence.
        teencode: float, share that is typed in teencode.
        plain: float, share that is typed without diacritics.

    Example:
        >>> next(Rewording(book, names).phrasings("Chợ Bến Thành ở đâu?"))
        Phrasing(text='Dạ cho em hỏi chợ Bến Thành nằm chỗ nào ạ?', style='reworded')
    """

    def __init__(self, book, names, teencode=0.15, plain=0.15):
        self.book, self.names = book, names
        self.teencode, self.plain = teencode, plain

    def phrasings(self, question, seed=0):
        """Phrasings of a question, each once; they end where nothing new is found.

        Args:
            question: str, cleaned.
            seed: int.

        Yields:
            `Phrasing`.
        """
        draw = random.Random(f"{seed} {key(question)}")
        seen, n_tries = {key(question)}, 0
        for text, style in self._candidates(question, draw):
            n_tries += 1
            if text and same_numbers_and_names(text, question, self.names):
                phrasing = self._typed(text, style, draw)
                if key(phrasing.text) not in seen:
                    seen.add(key(phrasing.text))
                    n_tries = 0
                    yield phrasing
            if n_tries > TRIES:
                return

    def _candidates(self, question, draw):
        """`(text, style)` without end; no text where words do not go together."""
        question = question.strip()
        last = sentences(question)[-1]
        m = _TOLD.match(folded(last))
        is_told = bool(m) and asks(last[: m.end()].strip(" ,")) is False
        last = last[m.end() :] if is_told else last
        told = question[: len(question) - len(last)]
        clause, kind = self.clause(last), kind_of(last)
        is_plain = clause == without_diacritics(clause)
        if not key(clause) or (is_plain and len(clause.split()) > FEW_WORDS):
            return  # no Vietnamese, or typed so that it cannot be read
        bodies = [(clause, kind, "")]
        if kind == "question":
            bare = _I.sub("", clause)  # "tôi đổi vé được không" without who asks
            texts = {t: None for text in (bare, clause) for t in self.book.reordered(text)}
            bodies += [(t, kind, "reworded") for t in (bare, *texts) if t != clause]
            bodies += [(t, "noun", "noun") for t in self.book.reordered(bare, "noun")]
        while True:
            draw.shuffle(bodies)
            for body, kind, style in bodies:
                tones = self.book.frames[kind] or self.book.frames["question"]
                frame = draw.choice(draw.choice(tones))
                text = self.book.synonyms(body, draw)
                style = style or ("reworded" if text != body else frame.tone)
                before, text = (self._as_spoken_by(frame.me, t) for t in (told, text))
                filled = frame.filled(text)
                if is_told:  # "em muốn đổi vé, cho em hỏi phí bao nhiêu"
                    filled = filled[:1].lower() + filled[1:]
                is_apart = is_told and frame.before and not frame.before.startswith("Cho ")
                if is_apart or frame.clashes_with(before + text):
                    filled = ""
                yield before + filled if filled else "", style

    def _as_spoken_by(self, me, text):
        return substitute(self.book.self, text, lambda m: me) if me else text

    def clause(self, sentence):
        """A sentence without what a template brings: opening words, particles, capital, mark."""
        text, before = sentence.strip(" ?.!…"), None
        while text != before:
            before = text
            if (m := self.book.openers.match(folded(text))) and m.end() < len(text):
                text = text[m.end() :].strip(" ,:")
            m = self.book.closers.search(folded(text))
            if m and m.start() > 0 and all(end <= m.start() for _, end, _ in self.names.find(text)):
                text = text[: m.start()].strip(" ,:")
        return self.names.lowered(text)

    def _typed(self, text, style, draw):
        """A phrasing, some in teencode or without diacritics."""
        if draw.random() < self.teencode:
            hurried = self.book.teencode(text, draw, share=0.8)
            text, style = hurried, "teencode" if hurried != text else style
        if draw.random() < self.plain:
            text, style = without_diacritics(text), "without diacritics"
        if style in ("teencode", "without diacritics") and draw.random() < CARELESS:
            text = text.lower().rstrip("?.")
        return Phrasing(text, style)


def kind_of(sentence):
    """What templates a sentence may have: "question", "noun", "request" or "statement".

    Example:
        >>> kind_of("Tôi muốn đổi vé.")
        'statement'
    """
    if is_order(sentence):
        return "request"
    asking = asks(sentence)
    if asking is None and sentence.rstrip().endswith("?"):
        return "question" if _VERB.search(folded(sentence)) else "noun"
    return "question" if asking else "statement"
