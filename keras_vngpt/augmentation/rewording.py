"""Other phrasings of a question: orders, synonyms, forms of address, ways of typing."""

import itertools
import random
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field

from keras_vngpt.augmentation.names import Names, compiled, fixed, folded, key
from keras_vngpt.augmentation.pair_cleaning import asks, is_order, sentences
from keras_vngpt.augmentation.user_files import Pattern, read_lines, read_yaml, shipped
from keras_vngpt.config import settings
from keras_vngpt.errors import UserError

TRIES = 40  # in a row without a new phrasing, before a question is taken to have no more
KINDS = ("question", "noun", "request", "statement")
TYPED_CARELESSLY = 0.7  # share of what is typed in a hurry that has no capitals and no final mark

_ANY_PART = re.compile(r"\{([a-z]+)\}")
_PERSON = re.compile(r"\b(?:bạn|anh|chị|cô|chú|bác|cậu|em|cháu|mình|tôi|tớ)\b")
# "Tôi muốn đổi vé, phí bao nhiêu": what is told before the question.
_TOLD = re.compile(r"(?:(?:tôi|mình|em|tớ|nhà mình|bé|con)\b[^,?]*,\s+)(?=\S)")
_SPEAKER = re.compile(  # "mình" that is the speaker, not the shop in "bên mình"
    r"(?:^|(?<=\bcho )|(?<=\bcủa )|(?<=\bgiúp )|(?<=\bnếu )|(?<=\bkhi )|(?<=\bđể )|(?<=\bthì ))"
)


@settings
class Tone:
    question: list[str] = field(default_factory=list)
    noun: list[str] = field(default_factory=list)
    request: list[str] = field(default_factory=list)
    statement: list[str] = field(default_factory=list)
    me: str = ""
    weight: Annotated[int, Field(ge=1, le=100)] = 1


@settings
class Templates:
    tones: dict[str, Tone] = field(default_factory=dict)
    openers: list[Pattern] = field(default_factory=list)
    closers: list[Pattern] = field(default_factory=list)
    self: list[str] = field(default_factory=list)


@settings
class Order:
    pattern: Annotated[list[Pattern], BeforeValidator(lambda p: [p] if isinstance(p, str) else p)]
    to: list[str]
    noun: list[str] = field(default_factory=list)


@settings
class Synonyms:
    synonyms: dict[str, list[str]] = field(default_factory=dict)
    parts: dict[str, Pattern] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    teencode: dict[str, list[str]] = field(default_factory=dict)


class Phrasing(NamedTuple):
    """A question in other words, and what was done to it.

    Args:
        text: str.
        style: "reworded" (other words or order), "noun" ("giá vé ạ"), the name of the tone that
            put it to someone ("polite", ...), "teencode" or "without diacritics".
    """

    text: str
    style: str


@dataclass(frozen=True)
class _Frame:
    before: str
    clause: str  # "clause" or "Clause"
    after: str
    tone: str
    me: str

    @property
    def persons(self):
        return set(_PERSON.findall(f"{self.before} {self.after}".lower())) - {self.me}


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
    rewording = Rewording(shipped("templates"), shipped("synonyms"), names)
    return [list(itertools.islice(rewording.phrasings(q, seed), n)) for q in questions]


class Rewording:
    """Rephrases questions by templates and synonyms.

    Args:
        templates: tuple of str, files of `Templates`; a later one adds to those before.
        synonyms: tuple of str, files of `Synonyms`; of a phrase in several the last one counts.
        names: `Names`, which keep their capitals in the middle of a sentence.
        teencode: float, share that is typed in teencode.
        without_diacritics: float, share that is typed without diacritics.

    Raises:
        UserError: what is wrong with the files.

    Example:
        >>> rewording = Rewording(("templates.yaml",), ("synonyms.yaml",), names)
        >>> next(rewording.phrasings("Chợ Bến Thành ở đâu?"))
        Phrasing(text='Dạ cho em hỏi chợ Bến Thành nằm chỗ nào ạ?', style='polite')
    """

    def __init__(self, templates, synonyms, names, teencode=0.15, without_diacritics=0.15):
        self.names = names
        self.share_teencode, self.share_plain = teencode, without_diacritics
        faults = []
        self._read_templates(templates, faults)
        self._read_synonyms(synonyms, faults)
        if faults:
            raise UserError(faults)

    def _read_templates(self, paths, faults):
        files = [(path, read_yaml(path, Templates)) for path in paths]
        self.frames = {kind: [] for kind in KINDS}
        for path, templates in files:
            for name, tone in templates.tones.items():
                for kind in KINDS:
                    frames = []
                    for text in getattr(tone, kind):
                        parts = re.split(r"\{([Cc]lause)\}", text)
                        if len(parts) == 3:
                            frames.append(_Frame(*parts, tone=name, me=tone.me))
                        else:
                            faults.append(
                                f"{path}: tones.{name}: {text!r} needs {{clause}} or {{Clause}} "
                                "once"
                            )
                    self.frames[kind] += [frames] * tone.weight if frames else []
        if not faults and not self.frames["question"]:
            faults.append(f"{paths[0]}: tones: needs at least one template under question")

        def all_of(name):
            return _any_of(pattern for _, file in files for pattern in getattr(file, name))

        self.openers = compiled(rf"(?:{all_of('openers')})(?!\w)")
        self.closers = compiled(rf"(?<!\w)(?:{all_of('closers')})$")
        words = _any_of(re.escape(word) for _, file in files for word in file.self)
        self.self = compiled(rf"{_SPEAKER.pattern}(?:{words})(?!\w)")

    def _read_synonyms(self, paths, faults):
        synonyms, teencode, parts, self.orders = {}, {}, {}, []
        files = [(path, read_yaml(path, Synonyms)) for path in paths]
        for _, file in files:
            synonyms |= {folded(phrase): others for phrase, others in file.synonyms.items()}
            teencode |= {folded(phrase): others for phrase, others in file.teencode.items()}
            parts |= file.parts

        def expand(pattern):
            return _ANY_PART.sub(
                lambda m: f"(?P<{m[1]}>{parts[m[1]]})" if m[1] in parts else m[0], pattern
            )

        for path, file in reversed(files):  # what is made for the subject comes first
            for order in file.orders:
                patterns = [compiled(expand(p), self.names) for p in order.pattern]
                for text in (*order.to, *order.noun):
                    for pattern in patterns:
                        try:
                            text.format(**dict.fromkeys(pattern.groupindex, ""))
                        except (KeyError, IndexError, ValueError):
                            faults.append(
                                f"{path}: orders: {text!r} does not go with {pattern.pattern!r}"
                            )
                            break
                self.orders.append((patterns, order))
        self.synonyms, self.teencode = _replacer(synonyms), _replacer(teencode)

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
        kept = fixed(question, self.names)
        for text, style in self._candidates(question, draw):
            n_tries += 1
            if fixed(text, self.names) == kept:
                phrasing = self._typed(text, style, draw)
                if key(phrasing.text) not in seen:
                    seen.add(key(phrasing.text))
                    n_tries = 0
                    yield phrasing
            if n_tries > TRIES:
                return

    def _candidates(self, question, draw):
        """`(text, style)`, some of them again and again, without end, if there are any."""
        *before, last = sentences(question)
        lead = "".join(sentence + " " for sentence in before)
        is_told = (m := _TOLD.match(folded(last))) and asks(last[: m.end()].strip(" ,")) is False
        if is_told:
            lead, last = lead + last[: m.end()], last[m.end() :]
        clause = self.clause(last)
        kind = kind_of(last)
        bodies = [(clause, kind, "")]
        if kind == "question":
            reordered = [text for text in self.reordered(clause) if text != clause]
            bodies += [(text, kind, "reworded") for text in reordered]
            bodies += [(text, "noun", "noun") for text in self.nouns(clause)]
        n_barren = 0
        while n_barren < TRIES:
            draw.shuffle(bodies)
            for body, kind, style in bodies:
                n_barren += 1
                frames = self.frames[kind] or (self.frames["question"] if kind != "noun" else [])
                if not frames:
                    continue
                frame = draw.choice(draw.choice(frames))
                text, told = self.synonyms(body, draw), lead
                style = style or ("reworded" if text != body else frame.tone)
                if frame.me:
                    text, told = (
                        _substitute(self.self, t, lambda m, me=frame.me: me) for t in (text, lead)
                    )
                others = set(_PERSON.findall(folded(lead + text))) - {frame.me}
                if frame.persons and others - frame.persons:
                    continue  # it speaks to or of someone else
                if is_told and not frame.before.startswith("Cho ") and frame.before:
                    continue
                if filled := self._fill(frame, text):
                    n_barren = 0
                    yield told + (_lowered(filled) if is_told else filled), style

    def clause(self, sentence):
        """A sentence without what a template brings: opening words, particles, capital, mark."""
        text, before = sentence.strip(" ?.!…"), None
        while text != before:
            before = text
            if (m := self.openers.match(folded(text))) and m.end() < len(text):
                text = text[m.end() :].strip(" ,:")
            m = self.closers.search(folded(text))
            if m and m.start() > 0 and all(end <= m.start() for _, end, _ in self.names.find(text)):
                text = text[: m.start()].strip(" ,:")
        first = text.split(" ", 1)[0]
        is_name = any(start == 0 and name[0].isupper() for start, _, name in self.names.find(text))
        if is_name or (len(first) > 1 and not first[1:].islower()):
            return text[:1].upper() + text[1:]
        return text[:1].lower() + text[1:]

    def reordered(self, clause):
        """What the first order that fits makes of a clause; a list."""
        return self._filled_orders(clause, "to")

    def nouns(self, clause):
        """What a clause asks for, named only: "giá vé" of "vé bao nhiêu tiền"; a list."""
        return self._filled_orders(clause, "noun")

    def _filled_orders(self, clause, name):
        for patterns, order in self.orders:
            for pattern in patterns:
                if m := pattern.fullmatch(folded(clause)):
                    parts = {
                        k: clause[slice(*m.span(k))] if m[k] else "" for k in pattern.groupindex
                    }
                    return [" ".join(t.format(**parts).split()) for t in getattr(order, name)]
        return []

    def _fill(self, frame, body):
        """A template with its clause, or nothing where the words would double ("thế nào thế")."""
        next_word = re.match(r"[^\W\d_]*", frame.after.strip())[0].lower()
        if next_word and next_word in body.lower().split()[-2:]:
            return None
        body = body[:1].upper() + body[1:] if frame.clause == "Clause" else body
        return frame.before + body + frame.after

    def _typed(self, text, style, draw):
        """A phrasing, some in teencode or without diacritics."""
        if draw.random() < self.share_teencode:
            hurried = self.teencode(text, draw, share=0.8)
            text, style = hurried, "teencode" if hurried != text else style
        if draw.random() < self.share_plain:
            text, style = without_diacritics(text), "without diacritics"
        if style in ("teencode", "without diacritics") and draw.random() < TYPED_CARELESSLY:
            text = text.lower().rstrip("?.")
        return Phrasing(text, style)


def kind_of(sentence):
    """What templates a sentence may have: "question", "request" or "statement".

    Example:
        >>> kind_of("Tôi muốn đổi vé.")
        'statement'
    """
    if is_order(sentence):
        return "request"
    asking = asks(sentence)
    if asking is None:
        asking = sentence.rstrip().endswith("?")
    return "question" if asking else "statement"


def without_diacritics(text):
    """As typed on a keyboard without Vietnamese: "Đà Lạt" becomes "Da Lat".

    Example:
        >>> without_diacritics("Chợ Đà Lạt ở đâu?")
        'Cho Da Lat o dau?'
    """
    text = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return unicodedata.normalize("NFC", "".join(c for c in text if not unicodedata.combining(c)))


def _lowered(text):
    return text[:1].lower() + text[1:]


def _any_of(patterns):
    return "|".join(f"(?:{p})" for p in patterns) or r"(?!)"


def _replacer(others):
    """A function that puts others in place of a table's phrases, the longest that fits."""
    longest_first = sorted(others, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{_any_of(map(re.escape, longest_first))})(?!\w)")

    def replace(text, draw, share=0.5):
        def choose(m):
            return draw.choice(others[m[0]]) if draw.random() < share else None

        return _substitute(pattern, text, choose)

    return replace


def _substitute(pattern, text, choose):
    """`re.sub` on the folded text; where `choose` gives nothing, the text stays."""
    parts, end = [], 0
    for m in pattern.finditer(folded(text)):
        if new := choose(m):
            is_capital = text[m.start()].isupper() and not new[0].isupper()
            parts += [text[end : m.start()], new[0].upper() + new[1:] if is_capital else new]
            end = m.end()
    return "".join([*parts, text[end:]])
