"""Base knowledge that no pair may contradict: of whom is what said, and is it denied."""

import unicodedata
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from keras_vngpt.augmentation.names import Names, compiled, folded
from keras_vngpt.augmentation.rewording import without_diacritics
from keras_vngpt.augmentation.user_files import Pattern, read_yaml
from keras_vngpt.config import settings


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


_KINDS_OF_PLACE = (
    r"thành phố|tp\.?|thị xã|tỉnh|xứ|phố cổ|trung tâm|vịnh|đảo|hòn|núi|đỉnh|khu|chợ|chùa|cầu|hồ"
)
# The words by which a text tells of whom it speaks, and whether it affirms; without diacritics too.
WORDS = {
    "sentence": r"[.!?…]+(?:\s|$)|\n",
    "clause": r"[.!?…;:\n]+(?:\s|$)|,\s|\s[–-]\s"
    r"|\b(?:nhưng|còn|mà|song|trong khi|vì|nên|rồi)\b",
    # Up to the place that a claim is said of.
    "link": r"^(?:\s+(?:ở|tại|của|là|có|thì|trong|trên|quanh|gần|nổi tiếng(?: với)?|đẹp|nhất"
    r"|chính|hiện nay|hiện tại|bây giờ|" + _KINDS_OF_PLACE + r"))*\s*$",
    "loose link": rf"^(?:\s+\w+){{0,5}}\s+(?:ở|tại|của)(?:\s+(?:{_KINDS_OF_PLACE}))?\s*$",
    "begins a sentence": r"^\W*(?:nằm|tọa lạc|giáp|là|có|với|ở|bên|ven|sát|kề)\b",
    "comma": r"^(?!.*\b(?:còn|nhưng)\b)[^.!?;:\n]{0,60}(?:,|\bnên)\s*$",
    "together": r"\s*(?:và|lẫn|cùng(?: với)?|cũng như|,)\s*(?:cả\s+|ở\s+)?",
    "and": r"^\s*(?:và|cùng|lẫn)\b",
    "all": r"\b(?:đều|cùng)\b",
    "which is": r"^\W*(?:nơi|ngọn|hòn|đảo|núi|đỉnh|thành phố|thị xã|thị trấn|vùng|thủ đô)\b",
    "last part": r"\b(?:và|cũng|lại|vẫn)\b",
    # After these, a claim is not said of the place before them.
    "elsewhere": r"\b(?:rồi|sau đó|xuống|sang|muốn|thích)\b",
    "wish": r"\b(?:muốn|thích)\b",
    # A place after these is not the one that is spoken of.
    "aside": r"\b(?:từ|rời|khỏi|cách|gần|hơn|ngoài|thay vì|(?:so|khác)(?: hẳn)?(?: với)?"
    rf"|không (?:như|giống))(?:\s(?:{_KINDS_OF_PLACE}))*\s*$",
    "product": r"\b(?:bún|phở|mì|bánh|món|đặc sản|quán|nhà hàng|người|khách|cà phê|rượu|vé|xe|tour"
    r"|hoa|nem|chè|cơm|kiểu)(?: \w+)?\s*$",
    "not": r"\b(?:(?<!hàng )không"
    r"(?! (?:chỉ|những|thiếu|khí|gian|xa|trung|kém|ngờ|ngừng|phải chỉ|riêng|quá))"
    r"|chẳng(?! những)|chả|chưa|ko|kô|hok|hổng|hông|đâu có|đâu phải|nào có|làm gì(?: mà)? có"
    r"|(?<!không )thiếu|ước)\b",
    "not so": r"\b(?:nếu|giá (?:mà|như)|(?<!lý )tưởng|nhầm|lầm|đồn(?! điền))\b",
    "not after all": r"^\W*(?:(?:là|thì)\s)?(?:(?:điều|chuyện|thông tin|tin|ý)\s)?(?:\w+\s)?"
    r"(?:sai|không (?:đúng|chính xác|(?:phải|có)(?=\W*$| vậy| thế| đâu| sự thật))|nhầm|lầm|bịa"
    r"|vô lý|hiểu lầm|tin đồn)\b|^\s*đâu\W*$",
    "asks": r"\b(?:không|chưa|phải không|đúng không|ko|hok|hả|à|chứ|nhỉ|chăng)"
    r"(?:\s(?:ạ|vậy|thế|nhỉ|ta|em|anh|chị|bạn|cậu|mọi người))*\W*$|\bcó phải\b|\bhay(?! ho)\b",
    "yes": r"^\W*(?:dạ\W+|vâng\W+)?(?:có(?! thể| lẽ)|đúng|vâng|phải(?=\W*$|[,.!]| rồi| đó| ạ)"
    r"|chính xác|ừ|tất nhiên|đương nhiên|chắc chắn|dĩ nhiên)\b",
    "no": r"^\W*(?:dạ\W+|à\W+|ồ\W+)*(?:không(?! chỉ| những| thiếu)|chưa|rất tiếc|tiếc là|thật ra"
    r"|thực ra|chẳng|nhầm|sai)\b",
}
COUNTRY = ("việt nam", "viet nam")
FEW_WORDS = 2  # so few may have no diacritics by chance


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
        paths: list of str, files of `FactsFile`.
        places: iterable of str, what else may be spoken of.

    Raises:
        UserError: what is wrong with the file.

    Example:
        >>> facts = Facts(["samples:travel_facts.yaml"], ["Nha Trang"])
        >>> facts.contradiction("Biển Đà Lạt có đẹp không?", "Biển ở Đà Lạt rất đẹp.")
        'Đà Lạt: có biển'
    """

    def __init__(self, paths, places=()):
        facts = [fact for path in paths for fact in read_yaml(path, FactsFile).facts]
        places = {*places, *(name for fact in facts for name in fact.subject)}
        self.readers = [_Reader(facts, places, fold) for fold in (str, without_diacritics)]

    def contradiction(self, question, answer):
        """What a pair says against the facts: "subject: claim", or `None`.

        Args:
            question: str.
            answer: str.
        """
        texts = [folded(unicodedata.normalize("NFC", text)) for text in (question, answer)]
        plain = [without_diacritics(text) for text in texts]
        is_plain = [
            t == p and len(t.split()) > FEW_WORDS for t, p in zip(texts, plain, strict=True)
        ]
        as_typed, without = self.readers
        found = as_typed.contradiction(*texts)
        if not found and any(is_plain):
            found = without.contradiction(*plain, *is_plain)
        return found


class _Reader:
    """Reads folded text, with or without diacritics."""

    def __init__(self, facts, places, fold):
        def expression(pattern):
            return compiled(fold(unicodedata.normalize("NFC", pattern)), self.places)

        self.places = Names(fold(place) for place in places)
        self.rules = [
            (
                fact,
                {folded(fold(name)): name for name in fact.subject},
                [expression(pattern) for pattern in fact.patterns],
            )
            for fact in facts
        ]
        self.words = {name: expression(pattern) for name, pattern in WORDS.items()}

    def contradiction(self, question, answer, check_question=True, check_answer=True):
        """The first contradiction of a pair, or `None`; of the texts to be checked."""
        named = {name for *_, name in self.places.find(question)}
        answered = self.mentions(answer, named if len(named) == 1 else ())
        if check_answer:
            for mention in answered:
                if not mention.denied:
                    return f"{mention.subject}: {mention.fact.claim}"
        is_yes, is_no = self._has("yes", answer), self._has("no", answer)
        for mention in self.mentions(question) if check_question else ():
            is_denied = any(m.fact is mention.fact and m.denied for m in answered)
            if mention.denied or is_denied:
                continue
            if is_yes if mention.asked else not is_no:
                return f"{mention.subject}: {mention.fact.claim}"
        return None

    def mentions(self, text, topic=()):
        """Every forbidden claim in a text, with the subject that it is said of.

        Args:
            text: str, folded.
            topic: names that the text may speak of without naming them.
        """
        found = [
            (fact, subjects, claim)
            for fact, subjects, patterns in self.rules
            if fact.verdict == "forbidden"
            for pattern in patterns
            for claim in pattern.finditer(text)
        ]
        places = self.places.find(text) if found else []
        mentions = []
        for fact, subjects, claim in found:
            names, start = self._spoken_of(text, claim, places, topic, fact.within)
            for name, subject in subjects.items():
                # "vịnh Hạ Long" is Hạ Long too.
                is_meant = any(f" {folded(n)}".endswith(f" {name}") for n in names)
                if is_meant and not self._is_allowed(text, claim, name):
                    denied = self._is_denied(text, start, claim)
                    asked = self._has("asks", self._sentence(text, claim))
                    mentions.append(Mention(fact, subject, denied, asked))
        return mentions

    def _spoken_of(self, text, claim, places, topic, within):
        """The names that a claim is said of, and where what is said of them begins."""
        begin = self._begin("clause", text, claim.start())
        before = [p for p in places if p[1] <= claim.start()]
        # "đẹp nhất Việt Nam" does not say of Việt Nam that it is the finest.
        after = [p for p in places if p[0] >= claim.end() and folded(p[2]) not in COUNTRY]
        if after and self._has("link", text[claim.end() : after[0][0]]):
            return [after[0][2]], begin  # "biển ở Đà Lạt"
        told = [p for p in before if not self._has("aside", text[: p[0]])]
        here = [p for p in told if p[0] >= begin]
        if here:
            return self._of_clause(text, claim, before, here, within), here[-1][1]
        if any(p[0] >= begin for p in before):  # "từ Đà Lạt đi ..."
            return [], begin
        if after:
            between = text[claim.end() : after[0][0]]
            is_first = self._has("begins a sentence", text[begin : claim.end()])
            if self._has("loose link", between) or is_first and self._has("comma", between):
                return [after[0][2]], begin  # "có biển rất đẹp ở Đà Lạt", "bên biển, Đà Lạt ..."
        if within is not None or self._has("wish", text[begin : claim.start()]):
            return [], begin
        if before and self._has("which is", text[begin : claim.end()]):
            return [before[-1][2]], begin  # "cách Nha Trang 140 km, nơi có biển"
        return self._of_earlier(text, claim, begin, told, topic), begin

    def _of_clause(self, text, claim, before, here, within):
        """The names that a clause speaks of: the nearest, and those that stand together with it."""
        start, end, name = here[-1]
        between = text[end : claim.start()]
        if self._has("elsewhere", between):
            return []
        if within is not None and (
            len(between.split()) > within or self._has("product", text[:start])
        ):
            return []
        names = [name]
        if here[:-1] and self._has("and", between):  # "Đà Lạt có hồ Xuân Hương và biển"
            names.append(here[-2][2])
        if within is not None and not self._has("all", between):
            return names
        for s, e, other in reversed(before[: before.index(here[-1])]):  # "Đà Lạt và Nha Trang đều"
            joint = text[e:start]
            is_list = "," not in joint or len(names) > 1  # a comma alone lists nothing
            if not (is_list and self.words["together"].fullmatch(joint)):
                break
            if self._has("aside", text[:s]):
                break
            names.append(other)
            start = s
        return names

    def _of_earlier(self, text, claim, begin, told, topic):
        """The names that a clause without any speaks of: those told of before it."""
        sentence = self._begin("sentence", text, claim.start())
        if self._has("elsewhere", text[sentence:begin]):
            return []
        if not told:
            return list(topic)
        last = told[-1]
        in_sentence = [p for p in told if p[0] >= sentence]
        if not in_sentence:
            return [last[2]]
        first = in_sentence[0]
        clause = self._begin("clause", text, last[0])
        # A place that begins a clause of its own has taken over: "còn Nha Trang thì ...".
        has_taken_over = clause > first[1] and not text[clause : last[0]].strip(" ,")
        return [last[2]] if has_taken_over else [first[2], last[2]]

    def _is_allowed(self, text, claim, name):
        return any(
            m.start() < claim.end() and claim.start() < m.end()
            for fact, subjects, patterns in self.rules
            if fact.verdict == "allowed" and name in subjects
            for pattern in patterns
            for m in pattern.finditer(text)
        )

    def _is_denied(self, text, start, claim):
        """Whether words between subject and claim, around both, or after them deny it."""
        said = text[min(start, claim.start()) : claim.start()]
        said = said[self._begin("last part", said, len(said)) :]
        around = text[self._begin("clause", text, claim.start()) : claim.start()]
        if not self._has("not", claim[0]):  # "làm gì có biển" begins before the claim
            said += claim[0]
        if self._has("not", said) or self._has("not so", around):
            return True
        rest = text[claim.end() :]
        rest = rest[: m.start()] if (m := self.words["sentence"].search(rest)) else rest
        for place_start, place_end, _ in self.places.find(rest)[:1]:
            if self._has("link", rest[:place_start]):  # "biển ở Đà Lạt là không có"
                rest = rest[place_end:]
        return self._has("not after all", rest)

    def _sentence(self, text, claim):
        end = self.words["sentence"].search(text, claim.end())
        begin = self._begin("sentence", text, claim.start())
        return text[begin : end.start() if end else None]

    def _begin(self, name, text, end):
        """Where the last of such words before a place ends."""
        return max((m.end() for m in self.words[name].finditer(text, 0, end)), default=0)

    def _has(self, name, text):
        return bool(self.words[name].search(text))
