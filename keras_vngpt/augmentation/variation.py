"""Other phrasings of a question: forms of address, synonyms, other orders, other ways of typing."""

import re
import unicodedata
from dataclasses import field

from keras_vngpt.augmentation.names import compiled, folded
from keras_vngpt.augmentation.pair_cleaning import is_order, sentences
from keras_vngpt.augmentation.user_files import Pattern, read_yaml
from keras_vngpt.config import settings
from keras_vngpt.errors import UserError

TRIES = 20  # per variant wanted, before a question is taken to have no more
PLAIN = "{Clause}?"


@settings
class Tone:
    question: list[str] = field(default_factory=list)
    request: list[str] = field(default_factory=list)
    me: str = ""


@settings
class Templates:
    tones: dict[str, Tone]
    openers: list[Pattern] = field(default_factory=list)
    closers: list[Pattern] = field(default_factory=list)
    self: list[str] = field(default_factory=list)


@settings
class Order:
    pattern: Pattern
    to: list[str]


@settings
class Synonyms:
    synonyms: dict[str, list[str]] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    teencode: dict[str, list[str]] = field(default_factory=dict)


class Variation:
    """Rephrases questions by templates and synonyms.

    Args:
        templates: str, file of `Templates`.
        synonyms: str, file of `Synonyms`.
        names: `Names`, which keep their capitals in the middle of a sentence.

    Raises:
        UserError: what is wrong with either file.

    Example:
        >>> variation = Variation("templates.yaml", "synonyms.yaml", names)
        >>> next(variation.variants("Chợ Bến Thành ở đâu?", random.Random(0)))
        'Dạ cho em hỏi chợ Bến Thành nằm ở đâu ạ?'
    """

    def __init__(self, templates, synonyms, names):
        self.names = names
        self.templates = read_yaml(templates, Templates)
        tones = self.templates.tones
        self.frames = {
            kind: [(text, tone.me) for tone in tones.values() for text in getattr(tone, kind)]
            for kind in ("question", "request")
        }
        faults = [
            f"{templates}: tones.{name}: {text!r} needs {{clause}} or {{Clause}} once"
            for name, tone in tones.items()
            for text in (*tone.question, *tone.request)
            if len(re.findall(r"\{[Cc]lause\}", text)) != 1
        ]
        if not self.frames["question"]:
            faults.append(f"{templates}: tones: needs at least one template under question")
        rules = read_yaml(synonyms, Synonyms)
        self.orders = []
        for order in rules.orders:
            pattern = compiled(order.pattern, names)
            for text in order.to:
                try:
                    text.format(**dict.fromkeys(pattern.groupindex, ""))
                except (KeyError, IndexError, ValueError):
                    faults.append(
                        f"{synonyms}: orders: {text!r} does not go with {order.pattern!r}"
                    )
            self.orders.append((pattern, order.to))
        if faults:
            raise UserError(faults)
        self.synonyms = _replacer(rules.synonyms)
        self.teencode = _replacer(rules.teencode)
        self.openers = compiled(rf"(?:{_any_of(self.templates.openers)})(?!\w)")
        self.closers = compiled(rf"(?<!\w)(?:{_any_of(self.templates.closers)})$")
        words = _any_of(map(re.escape, self.templates.self))
        self.self = compiled(
            rf"(?<!\w)(?<!một )(?<!bọn )(?<!nhà )(?<!chúng )(?<!tự )(?:{words})(?!\w)"
        )

    def variants(self, question, random):
        """Phrasings of a question, some of them repeated; without end, if there are any.

        Args:
            question: str, cleaned.
            random: `random.Random`.

        Yields:
            str.
        """
        *before, last = sentences(question)
        lead = "".join(sentence + " " for sentence in before)
        clause = self.clause(last)
        frames = self.frames["request" if is_order(last) else "question"] or [(PLAIN, "")]
        bodies = [clause, *self.reordered(clause)]
        is_fruitful = True
        while is_fruitful:
            is_fruitful = False
            random.shuffle(frames := list(frames))
            for text, me in frames:
                body = self.synonyms(random.choice(bodies), random)
                if me:
                    body = _substitute(self.self, body, lambda m, me=me: me)
                if filled := self._fill(text, body):
                    is_fruitful = True
                    yield lead + filled

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
        found = []
        for pattern, texts in self.orders:
            if m := pattern.fullmatch(folded(clause)):
                parts = {k: clause[slice(*m.span(k))] if m[k] else "" for k in pattern.groupindex}
                found += [text.format(**parts) for text in texts]
        return found

    def type_in_a_hurry(self, text, random):
        """Teencode for some of the words."""
        return self.teencode(text, random, share=0.8)

    def _fill(self, text, body):
        """A template with its clause, or nothing where the words would double ("thế nào thế")."""
        before, capital, after = re.split(r"(\{[Cc]lause\})", text)
        next_word = re.match(r"[^\W\d_]*", after.strip())[0].lower()
        if next_word and next_word in body.lower().split()[-2:]:
            return None
        return before + (body[:1].upper() + body[1:] if "C" in capital else body) + after


def without_diacritics(text):
    """As typed on a keyboard without Vietnamese: "Đà Lạt" becomes "Da Lat".

    Example:
        >>> without_diacritics("Chợ Đà Lạt ở đâu?")
        'Cho Da Lat o dau?'
    """
    text = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return unicodedata.normalize("NFC", "".join(c for c in text if not unicodedata.combining(c)))


def _any_of(patterns):
    return "|".join(f"(?:{p})" for p in patterns) or r"(?!)"


def _replacer(table):
    """A function that puts others in place of the table's phrases, the longest that fits."""
    others = {folded(phrase): list(texts) for phrase, texts in table.items()}
    longest_first = sorted(others, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{_any_of(map(re.escape, longest_first))})(?!\w)")

    def replace(text, random, share=0.5):
        def choose(m):
            return random.choice(others[m[0]]) if random.random() < share else None

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
