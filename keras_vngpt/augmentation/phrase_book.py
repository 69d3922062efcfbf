"""What sentences are rephrased with: templates, synonyms and orders, read from their files."""

import re
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BeforeValidator, Field

from keras_vngpt.augmentation.letters import any_of, compiled, folded, substitute
from keras_vngpt.augmentation.user_files import Pattern, read_yaml
from keras_vngpt.config import settings
from keras_vngpt.errors import UserError

KINDS = ("question", "noun", "request", "statement", "answer")

_PART = re.compile(r"\{([a-z]+)\}")
_PARTICLES = {"chứ", "vậy", "thế", "nhỉ", "hả"}  # one of them at the end is enough
_PERSON = re.compile(r"\b(?:bạn|anh|chị|cô|chú|bác|cậu|em|cháu|mình|tôi|tớ)\b")
# Where "mình" is the speaker, and not the shop as in "bên mình".
_SPEAKS = "(?:^|" + "|".join(rf"(?<=\b{w} )" for w in "cho của giúp nếu khi để thì".split()) + ")"


@settings
class Tone:
    question: list[str] = field(default_factory=list)
    noun: list[str] = field(default_factory=list)
    request: list[str] = field(default_factory=list)
    statement: list[str] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    me: str = ""
    weight: Annotated[int, Field(ge=1, le=100)] = 1


@settings
class Templates:
    tones: dict[str, Tone]
    openers: list[Pattern] = field(default_factory=list)
    closers: list[Pattern] = field(default_factory=list)
    self: list[str] = field(default_factory=list)


@settings
class Order:
    pattern: Annotated[list[Pattern], BeforeValidator(lambda p: [p] if isinstance(p, str) else p)]
    to: list[str] = field(default_factory=list)
    noun: list[str] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)


@settings
class Synonyms:
    synonyms: dict[str, list[str]] = field(default_factory=dict)
    answers: dict[str, list[str]] = field(default_factory=dict)
    teencode: dict[str, list[str]] = field(default_factory=dict)
    parts: dict[str, Pattern] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)


@dataclass(frozen=True)
class Frame:
    """A template, cut where its clause stands.

    Args:
        before, after: str, its words.
        is_capital: bool, whether the clause begins with a capital.
        tone: str, what its tone is called.
        me: str, what the speaker calls himself in it.
    """

    before: str
    is_capital: bool
    after: str
    tone: str
    me: str

    def clashes_with(self, text):
        """Whether both speak to someone, or of someone: "bạn ơi, anh có nhận thẻ không"."""
        return all(persons(t) - {self.me} for t in (f"{self.before} {self.after}", text))

    def filled(self, body):
        """The template with a clause, or "" where words would double ("thế nào thế")."""
        words = re.findall(r"\w+", body.lower())
        next_word = re.match(r"[^\W\d_]*", self.after.strip())[0].lower()
        if (
            {words[-1], next_word} <= _PARTICLES
            or next_word in words[-2:]
            or words[0] in re.findall(r"\w+", self.before.lower())
        ):
            return ""
        return self.before + (body[:1].upper() + body[1:] if self.is_capital else body) + self.after


def persons(text):
    """The words of a text for those who speak and are spoken to: a set of str."""
    return set(_PERSON.findall(folded(text)))


class PhraseBook:
    """The phrases of some files.

    Args:
        templates: list of str, files of `Templates`; a later one adds to those before.
        synonyms: list of str, files of `Synonyms`; of a phrase in several the last one counts.
        names: `Names`.

    Raises:
        UserError: what is wrong with the files.

    Example:
        >>> book = PhraseBook(shipped("templates"), shipped("synonyms"), names)
        >>> book.reordered("gửi xe bao nhiêu tiền", "noun")
        ['giá gửi xe', 'giá tiền gửi xe']
    """

    def __init__(self, templates, synonyms, names):
        faults = []
        files = [(path, read_yaml(path, Templates)) for path in templates]
        self.frames = {kind: [] for kind in KINDS}
        for path, file in files:
            for name, tone in file.tones.items():
                for kind in KINDS:
                    frames = [
                        _frame(text, f"{path}: tones.{name}", name, tone.me, faults)
                        for text in getattr(tone, kind)
                    ]
                    self.frames[kind] += [frames] * tone.weight if frames else []
        if not faults and not self.frames["question"]:
            faults.append(f"{templates[0]}: tones: needs at least one template under question")
        openers, closers, me = (
            any_of(text for _, file in files for text in getattr(file, name))
            for name in ("openers", "closers", "self")
        )
        self.openers = compiled(rf"(?:{openers})(?!\w)")
        self.closers = compiled(rf"(?<!\w)(?:{closers})$")
        self.self = compiled(rf"{_SPEAKS}(?:{me})(?!\w)")

        files = [(path, read_yaml(path, Synonyms)) for path in synonyms]
        self.synonyms, self.answers, self.teencode = (
            _replacer({k: v for _, file in files for k, v in getattr(file, name).items()})
            for name in ("synonyms", "answers", "teencode")
        )
        parts = {name: text for _, file in files for name, text in file.parts.items()}
        self._orders = []
        for path, file in reversed(files):  # what is made for the subject comes first
            for order in file.orders:
                try:
                    patterns = [
                        compiled(_PART.sub(lambda m: _part(m, parts), text), names)
                        for text in order.pattern
                    ]
                except re.error as error:  # such as a part that stands in it twice
                    faults.append(f"{path}: orders: {order.pattern[0]!r}: {error}")
                    continue
                for text in (*order.to, *order.noun, *order.answer):
                    if not all(_goes_with(text, pattern) for pattern in patterns):
                        faults.append(
                            f"{path}: orders: {text!r} does not go with {order.pattern[0]!r}"
                        )
                self._orders.append((patterns, order))
        if faults:
            raise UserError(faults)

    def reordered(self, clause, name="to"):
        """What the first order that fits makes of a clause; a list of str.

        Args:
            clause: str.
            name: str, "to" (a question), "noun" (what it asks for, named only) or "answer".
        """
        for patterns, order in self._orders:
            texts = getattr(order, name)
            if bool(order.answer) != (name == "answer"):
                continue
            for pattern in patterns:
                if m := pattern.fullmatch(folded(clause)):
                    parts = {k: clause[slice(*m.span(k))] if m[k] else "" for k in m.groupdict()}
                    return [" ".join(text.format(**parts).split()) for text in texts]
        return []


def _frame(text, place, tone, me, faults):
    parts = re.split(r"\{([Cc]lause)\}", text)
    if len(parts) != 3:
        faults.append(f"{place}: {text!r} needs {{clause}} or {{Clause}} once")
        return None
    return Frame(parts[0], parts[1] == "Clause", parts[2], tone, me)


def _part(m, parts):
    return f"(?P<{m[1]}>{parts[m[1]]})" if m[1] in parts else m[0]


def _goes_with(text, pattern):
    try:
        text.format(**dict.fromkeys(pattern.groupindex, ""))
    except (KeyError, IndexError, ValueError):
        return False
    return True


def _replacer(table):
    """A function that puts others in place of a table's phrases, the longest that fits."""
    others = {folded(phrase): texts for phrase, texts in table.items()}
    longest_first = sorted(others, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{any_of(map(re.escape, longest_first))})(?!\w)")

    def replace(text, draw, share=0.5):
        def choose(m):
            return draw.choice(others[m[0]]) if draw.random() < share else None

        return substitute(pattern, text, choose)

    return replace
