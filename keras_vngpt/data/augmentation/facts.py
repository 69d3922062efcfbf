"""Base knowledge that no pair may contradict: who is spoken of, what is said, and whether denied."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from keras_vngpt.arguments import settings
from keras_vngpt.data.augmentation.files import Pattern, read_yaml
from keras_vngpt.data.augmentation.names import Names, compiled, folded
from keras_vngpt.data.augmentation.variation import without_diacritics


@settings
class Fact:
    subject: Annotated[list[str], Field(min_length=1)]
    claim: str
    verdict: Literal["allowed", "forbidden"]
    patterns: Annotated[list[Pattern], Field(min_length=1)]
    within: Annotated[int, Field(ge=0)] | None = None


@settings
class FactsFile:
    facts: list[Fact] = field(default_factory=list)


# Where one thing said ends and the next begins; "rồi", "xuống": what follows is said of elsewhere.
_CLAUSE = r"[.!?…;:\n]+(?:\s|$)|,\s|\s[–-]\s|\b(?:nhưng|còn|mà|song|trong khi|vì|nên|rồi)\b"
_SENTENCE = r"[.!?…\n]"
_ELSEWHERE = r"\b(?:rồi|sau đó|xuống|sang)\b"
# A place after these is not the one that is spoken of.
_ASIDE = r"\b(?:từ|rời|khỏi|cách|gần|hơn|ngoài|thay vì|(?:so|khác)(?: hẳn)?(?: với)?|không (?:như|giống))$"
_TOGETHER = r"\s*(?:và|lẫn|cùng(?: với)?|cũng như|,)\s*(?:cả\s+|ở\s+)?"
_DENIED = (
    r"\b(?:(?<!hàng )không(?! (?:chỉ|những|thiếu|khí|gian|xa|trung|kém|ngờ|ngừng|phải chỉ|riêng|quá))"
    r"|chẳng(?! những)|chả|chưa|ko|kô|hok|hổng|hông|đâu có|đâu phải|nào có|làm gì(?: mà)? có|thiếu"
    r"|nếu|giá (?:mà|như)|ước|(?<!lý )tưởng|nhầm|lầm|đồn(?! điền))\b"
)
_DENIED_AFTER = (
    r"^\W*(?:(?:là|thì)\s)?(?:(?:điều|chuyện|thông tin|tin|ý)\s)?(?:\w+\s)?"
    r"(?:sai|không (?:đúng|phải|có|chính xác)|nhầm|lầm|bịa|vô lý|hiểu lầm|tin đồn)\b|^\s*đâu\W*$"
)
_LAST_PART = r"\b(?:và|cũng|lại|vẫn)\b"
_TYPE = r"thành phố|tp\.?|thị xã|tỉnh|xứ|phố cổ|trung tâm|vịnh|đảo|hòn|núi|đỉnh|khu|chợ|chùa|cầu|hồ"
_LINK = rf"^(?:\s+(?:ở|tại|của|là|có|thì|trong|trên|quanh|gần|nổi tiếng(?: với)?|{_TYPE}))*\s*$"
_LOOSE_LINK = rf"^(?:\s+\w+){{0,5}}\s+(?:ở|tại|của)(?:\s+(?:{_TYPE}))?\s*$"
_COMMAS = r"^(?!.*\b(?:còn|nhưng)\b)[^.!?;:\n]{0,60},\s*$"
_PRODUCT = (
    r"\b(?:bún|phở|mì|bánh|món|đặc sản|quán|nhà hàng|người|khách|cà phê|rượu|vé|xe|tour|hoa|nem|chè"
    r"|cơm|kiểu)(?: \w+)?$"
)
_AND = r"^\s*(?:và|cùng|lẫn)\b"
_WISH = r"\b(?:muốn|thích)\b"
_FRONTED = r"^\W*(?:nằm|tọa lạc|giáp|là|có|với|ở|bên|ven|sát|kề)\b"
_YES_NO = (
    r"\b(?:không|chưa|phải không|đúng không|ko|hok|hả|à|chứ|nhỉ|chăng)"
    r"(?:\s(?:ạ|vậy|thế|nhỉ|ta|em|anh|chị|bạn|cậu|mọi người))*\W*$|\bcó phải\b"
)
_YES = r"^\W*(?:dạ\W+|vâng\W+)?(?:có|đúng|vâng|phải|chính xác|ừ|tất nhiên|đương nhiên|chắc chắn|dĩ nhiên)\b"
_NO = (
    r"^\W*(?:dạ\W+|à\W+|ồ\W+)*(?:không(?! chỉ| những| thiếu)|chưa|rất tiếc|tiếc là|thật ra|thực ra"
    r"|chẳng|nhầm|sai)\b"
)


@dataclass
class Mention:
    """That a text says a forbidden claim of a subject, or denies it."""

    fact: Fact
    subject: str
    denied: bool
    asked: bool


class Facts:
    """Finds pairs that contradict base knowledge.

    A clause speaks of the place that follows the claim directly ("biển ở Đà Lạt"), else of the
    nearest one before it, else of the one that the text spoke of last. A denied claim is right, and
    one that a question asks ("có ... không?") counts only if the answer says yes.

    Args:
        path: str, file of `FactsFile`.
        places: iterable of str, what else may be spoken of.

    Raises:
        Faults: what is wrong with the file.

    Example:
        >>> facts = Facts("samples:travel_facts.yaml", ["Nha Trang"])
        >>> facts.contradiction("Biển Đà Lạt có đẹp không?", "Biển ở Đà Lạt rất đẹp.")
        'Đà Lạt: có biển'
    """

    def __init__(self, path, places=()):
        facts = read_yaml(path, FactsFile).facts
        places = {*places, *(name for fact in facts for name in fact.subject)}
        self.readers = [_Reader(facts, places, fold) for fold in (str, without_diacritics)]

    def contradiction(self, question, answer):
        """What a pair says against the facts: "subject: claim", or `None`.

        Args:
            question: str.
            answer: str.
        """
        question, answer = (folded(unicodedata.normalize("NFC", t)) for t in (question, answer))
        for reader in self.readers:
            texts = [reader.fold(question), reader.fold(answer)]
            if reader.fold is not str and texts != [question, answer]:
                continue  # typed with diacritics: the other reader sees more
            if found := reader.contradiction(*texts):
                return found
        return None


class _Reader:
    """Reads folded text, with or without diacritics."""

    def __init__(self, facts, places, fold):
        self.fold = fold
        self.places = Names(fold(place) for place in places)
        self.rules = [
            (
                fact,
                {folded(fold(name)): name for name in fact.subject},
                [self._compile(pattern) for pattern in fact.patterns],
            )
            for fact in facts
        ]
        self.expressions = {
            name: self._compile(pattern)
            for name, pattern in globals().items()
            if name.startswith("_") and name.isupper() and isinstance(pattern, str)
        }

    def _compile(self, pattern):
        return compiled(self.fold(unicodedata.normalize("NFC", pattern)), self.places)

    def contradiction(self, question, answer):
        said = self.mentions(question)
        topic = self._topic(question)
        answered = self.mentions(answer, topic)
        for mention in answered:
            if not mention.denied:
                return f"{mention.subject}: {mention.fact.claim}"
        is_yes = self._search("_YES", answer)
        is_no = self._search("_NO", answer)
        for mention in said:
            if mention.denied:
                continue
            is_denied = any(m.fact is mention.fact and m.denied for m in answered)
            if is_yes if mention.asked else not (is_no or is_denied):
                return f"{mention.subject}: {mention.fact.claim}"
        return None

    def mentions(self, text, topic=()):
        """Every forbidden claim in a text, with the subject that it is said of."""
        rules = [
            (fact, subjects, found)
            for fact, subjects, patterns in self.rules
            if fact.verdict == "forbidden"
            and (found := [m for p in patterns for m in p.finditer(text)])
        ]
        if not rules:
            return []
        places = self.places.find(text)
        mentions = []
        for fact, subjects, found in rules:
            for claim in found:
                spoken_of, start = self._spoken_of(text, claim, places, topic, fact.within)
                for place in spoken_of:
                    subject = subjects.get(folded(place))
                    if subject and not self._is_allowed(text, claim, folded(place)):
                        denied = self._is_denied(text, start, claim)
                        asked = self._is_asked(text, claim)
                        mentions.append(Mention(fact, subject, denied, asked))
        return mentions

    def _topic(self, text):
        """Whom the answer to a question speaks of, if it does not say."""
        named = [name for start, _, name in self.places.find(text)]
        return tuple(dict.fromkeys(named)) if len(set(named)) == 1 else ()

    def _spoken_of(self, text, claim, places, topic, within):
        """The places that a claim is said of, and where what is said of them begins."""
        outside = [p for p in places if p[1] <= claim.start() or p[0] >= claim.end()]
        begin = self._begin("_CLAUSE", text, claim.start())
        for start, _, name in outside:  # "biển ở Đà Lạt"
            if start >= claim.end() and self._search("_LINK", text[claim.end() : start]):
                return [name], begin
        before = [p for p in outside if p[1] <= claim.start()]
        here = [p for p in before if p[0] >= begin and not self._is_aside(text, p[0])]
        if here:
            start, end, name = here[-1]
            between = text[end : claim.start()]
            if self._search("_ELSEWHERE", between) or self._search("_WISH", between):
                return [], begin
            if within is not None and (
                len(between.split()) > within or self._search("_PRODUCT", text[:start].rstrip())
            ):
                return [], begin
            names = self._listed(text, before, here[-1], claim, within)
            if here[:-1] and self._search("_AND", between):  # "Đà Lạt có hồ Xuân Hương và biển"
                names.append(here[-2][2])
            return names, end
        if any(p[0] >= begin for p in before):  # "từ Đà Lạt đi ..."
            return [], begin
        is_fronted = self._search("_FRONTED", text[begin : claim.end()])
        for start, _, name in [p for p in outside if p[0] >= claim.end()][:1]:
            between = text[claim.end() : start]
            if is_fronted and self._search("_COMMAS", between):  # "nằm bên biển, Đà Lạt ..."
                return [name], begin
            if self._search("_LOOSE_LINK", between):  # "có biển rất đẹp ở Đà Lạt"
                return [name], begin
        sentence = self._begin("_SENTENCE", text, claim.start())
        if within is not None or self._search("_WISH", text[begin : claim.start()]):
            return [], begin
        if self._search("_ELSEWHERE", text[sentence : claim.start()]):
            return [], begin
        told = [p for p in before if not self._is_aside(text, p[0])]
        if not told:
            return list(topic), begin
        in_sentence = [p for p in told if p[0] >= sentence]
        is_relative = re.match(r"\W*nơi\b", text[begin : claim.start()])
        if in_sentence and not is_relative:
            first, last = in_sentence[0], in_sentence[-1]
            clause = self._begin("_CLAUSE", text, last[0])
            # Another place that began a clause of its own has taken over: "còn Nha Trang thì ...".
            taken = not text[clause : last[0]].strip(" ,") and clause > first[1]
            return ([last[2]] if taken else [first[2], last[2]]), begin
        return [told[-1][2]], begin

    def _listed(self, text, before, last, claim, within):
        """The places that are named together with the last: "Đà Lạt và Nha Trang đều ..."."""
        names, (start, end, name) = [name_of(last)], last
        together = within is None or re.search(self.fold(r"\b(?:đều|cùng)\b"), text[end : claim.start()])
        for s, e, n in reversed(before[: before.index(last)]):
            between = text[e:start]
            comma = "," in between and len(names) < 2
            if not together or comma or not self._full("_TOGETHER", between):
                break
            if self._is_aside(text, s):
                break
            names.append(n)
            start = s
        return names

    def _begin(self, name, text, end):
        """Where the clause or the sentence that holds a place begins."""
        begin = 0
        for m in self.expressions[name].finditer(text, 0, end):
            begin = m.end()
        return begin

    def _is_aside(self, text, start):
        words = re.sub(
            self.fold(rf"(?:\s(?:{_TYPE}))+$"), "", text[:start].rstrip()
        )
        return bool(self._search("_ASIDE", words))

    def _is_allowed(self, text, claim, place):
        return any(
            m.start() < claim.end() and claim.start() < m.end()
            for fact, subjects, patterns in self.rules
            if fact.verdict == "allowed" and place in subjects
            for pattern in patterns
            for m in pattern.finditer(text)
        )

    def _is_denied(self, text, start, claim):
        said = text[min(start, claim.start()) : claim.start()]
        begin = 0
        for m in self.expressions["_LAST_PART"].finditer(said):
            begin = m.end()
        clause = text[self._begin("_CLAUSE", text, claim.start()) : start]
        if self._search("_DENIED", said[begin:] + claim[0]):
            return True
        if re.search(self.fold(r"\b(?:nếu|(?<!lý )tưởng|đồn|nhầm|lầm|giá mà|giá như)\b"), clause):
            return True
        rest = re.split(r"[.!?;\n]", text[claim.end() :])[0]
        for _, end, _ in self.places.find(rest)[:1]:  # "biển ở Đà Lạt là không có"
            if self._search("_LINK", rest[: self.places.find(rest)[0][0]]):
                rest = rest[end:]
        return bool(self._search("_DENIED_AFTER", rest))

    def _is_asked(self, text, claim):
        rest = text[claim.end() :]
        end = re.search(r"[.!?;\n]", rest)
        sentence = text[self._begin("_SENTENCE", text, claim.start()) : claim.end()]
        sentence += rest[: end.start() if end else None]
        return bool(self._search("_YES_NO", sentence))

    def _search(self, name, text):
        return self.expressions[name].search(text)

    def _full(self, name, text):
        return self.expressions[name].fullmatch(text)


def name_of(place):
    """The name of a `(start, end, name)`."""
    return place[2]
