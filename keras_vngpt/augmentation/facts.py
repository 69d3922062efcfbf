"""Base knowledge that no pair may contradict: of whom is what said, and is it denied."""

import unicodedata
from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from keras_vngpt.augmentation.letters import compiled, folded, without_diacritics
from keras_vngpt.augmentation.names import Names
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


_PLACE = r"(?:thành phố|tp\.?|tỉnh|phố cổ|trung tâm|vịnh|đảo|núi|đỉnh|khu|chợ|chùa|cầu|hồ)"
# The words by which a text tells of whom it speaks, and whether it affirms; without diacritics too.
WORDS = {
    "sentence": r"[.!?…]+(?:\s|$)|\n",
    "clause": r"[;:]\s|,\s|\s[–-]\s|\b(?:nhưng|còn|mà|song|trong khi|vì|nên|rồi|sau đó)\b"
    r"|\bvà(?=\s<name>\s(?:ở|là|có|không|tuy|còn|thuộc|nằm|thì)\b)",
    # From a claim to the place that it is said of: "biển rất đẹp ở Đà Lạt".
    "link": rf"^(?:\s+(?:là|có|thì|quanh|nổi tiếng|đẹp|nhất|{_PLACE}))*\s*$"
    rf"|^(?:\s+\w+){{0,5}}\s+(?:ở|tại|của|trong|trên)(?:\s+{_PLACE})?\s*$",
    # A place after these is not the one that is spoken of.
    "aside": r"\b(?:từ|rời|khỏi|cách|gần|hơn|ngoài|thay vì|(?:so|khác)(?: với)?|không như)"
    rf"(?:\s{_PLACE})*\s*$",
    "product": r"\b(?:bún|phở|mì|bánh|món|quán|người|khách|cà phê|vé|xe|tour|cơm)(?: \w+)?\s*$",
    "not": r"\b(?:(?<!hàng )không(?! (?:chỉ|những|thiếu|khí|gian|xa|kém|ngờ|ngừng|riêng))"
    r"|chẳng(?! những)|chả|chưa|ko|hok|hông|(?<!ở )đâu(?= có| phải|\s*$)"
    r"|làm gì(?: mà)?(?= có|\s*$)|thiếu|ước|nếu|giá (?:mà|như)|(?<!lý )tưởng|nhầm)\b",
    "not after all": r"^\W*(?:là |thì )?(?:điều |chuyện |tin )?(?:\w+ )?(?:sai|bịa|vô lý|nhầm"
    r"|tin đồn|không (?:đúng|chính xác|(?:phải|có)(?=\W*$| vậy| thế| đâu)))\b|^\s*đâu\W*$",
    "asks": r"\b(?:không|chưa|ko|hok|hả|à|chứ|nhỉ|chăng)(?:\s(?:ạ|vậy|thế|em|anh|chị|bạn))*\W*$"
    r"|\bcó phải\b|\bhay(?! ho)\b",
    "yes": r"^\W*(?:(?:dạ|vâng)\W+)?(?:có(?! thể| lẽ)|đúng|vâng|phải(?=\W|$)|chính xác|ừ|tất nhiên"
    r"|đương nhiên|chắc chắn|dĩ nhiên)\b",
    "no": r"^\W*(?:(?:dạ|à|ồ)\W+)*(?:không(?! chỉ| những| thiếu)|chưa|rất tiếc|tiếc là|thật ra"
    r"|chẳng|nhầm|sai)\b",
}
COUNTRY = ("việt nam", "viet nam")  # "đẹp nhất Việt Nam" says nothing of Việt Nam
FEW_WORDS = 2  # so few may have no diacritics by chance


class Facts:
    """Finds pairs that contradict base knowledge.

    A claim is said of the place that follows it directly ("biển ở Đà Lạt"), else of those before
    it in its clause, else of those that the clauses before it, or the question, speak of. A denied
    claim is right, and one that a question asks ("có ... không?") counts if the answer says yes.

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
        found = self.readers[0].contradiction(*texts)
        if not found and any(is_plain):
            found = self.readers[1].contradiction(*plain, *is_plain)
        return found


class _Reader:
    """Reads folded text, with or without diacritics."""

    def __init__(self, facts, places, fold):
        self.places = Names(fold(place) for place in places)
        self.rules = [
            (
                fact,
                {folded(fold(name)): name for name in fact.subject},
                [
                    compiled(fold(unicodedata.normalize("NFC", p)), self.places)
                    for p in fact.patterns
                ],
            )
            for fact in facts
        ]
        self.words = {name: compiled(fold(text), self.places) for name, text in WORDS.items()}

    def contradiction(self, question, answer, check_question=True, check_answer=True):
        """The first contradiction of a pair, or `None`; of the texts to be checked."""
        named = {name for *_, name in self.places.find(question)}
        answered = list(self._claims(answer, named if len(named) == 1 else set()))
        is_yes, is_no = self._has("yes", answer), self._has("no", answer)
        for fact, subject, is_denied, _ in answered if check_answer else ():
            if not is_denied:
                return f"{subject}: {fact.claim}"
        for fact, subject, is_denied, is_asked in self._claims(question) if check_question else ():
            is_denied |= any(f is fact and denied for f, _, denied, _ in answered)
            if not is_denied and (is_yes if is_asked else not is_no):
                return f"{subject}: {fact.claim}"
        return None

    def _claims(self, text, topic=frozenset()):
        """Every forbidden claim: `(fact, subject, is_denied, is_asked)`.

        Args:
            text: str, folded.
            topic: set of names that the text may speak of without naming them.
        """
        for sentence in self._split("sentence", text):
            clauses = self._split("clause", sentence)
            told = [{p[2] for p in self._places(clause) if not p[3]} for clause in clauses]
            # What begins a sentence without a name speaks of the first: "bên bờ biển, Đà Lạt ...".
            topic = topic or next(filter(None, told), topic)
            for clause, names in zip(clauses, told, strict=True):
                for fact, subjects, claim in self._found(clause):
                    of = self._spoken_of(clause, claim, topic, fact.within)
                    for name, subject in subjects.items():
                        # "vịnh Hạ Long" is Hạ Long too.
                        is_meant = any(f" {folded(n)}".endswith(f" {name}") for n in of)
                        if is_meant and not self._is_allowed(clause, claim, name):
                            is_asked = self._has("asks", sentence)
                            yield fact, subject, self._is_denied(clause, claim), is_asked
                topic = names or topic

    def _found(self, clause):
        for fact, subjects, patterns in self.rules:
            if fact.verdict == "forbidden":
                for pattern in patterns:
                    for claim in pattern.finditer(clause):
                        yield fact, subjects, claim

    def _places(self, clause):
        """`(start, end, name, is_aside)` of every place but the country."""
        return [
            (start, end, name, self._has("aside", clause[:start]))
            for start, end, name in self.places.find(clause)
            if folded(name) not in COUNTRY
        ]

    def _spoken_of(self, clause, claim, topic, within):
        """The names that a claim is said of: a set."""
        places = self._places(clause)
        after = [p for p in places if p[0] >= claim.end()]
        if after and self._has("link", clause[claim.end() : after[0][0]]):
            return {after[0][2]}
        before = [p for p in places if p[1] <= claim.start() and not p[3]]
        if within is not None:  # a claim of where something lies
            start, end, name, _ = (before or [(0, 0, "", False)])[-1]
            is_far = len(clause[end : claim.start()].split()) > within
            return set() if is_far or self._has("product", clause[:start]) else {name}
        return {p[2] for p in before} or (topic if not places else set())

    def _is_allowed(self, clause, claim, name):
        return any(
            m.start() < claim.end() and claim.start() < m.end()
            for fact, subjects, patterns in self.rules
            if fact.verdict == "allowed" and name in subjects
            for pattern in patterns
            for m in pattern.finditer(clause)
        )

    def _is_denied(self, clause, claim):
        """Whether words before the claim or after it deny it."""
        rest = clause[claim.end() :]
        for start, end, _ in self.places.find(rest)[:1]:
            if self._has("link", rest[:start]):  # "biển ở Đà Lạt là không có"
                rest = rest[end:]
        return self._has("not", clause[: claim.start()]) or self._has("not after all", rest)

    def _split(self, name, text):
        return [part for part in self.words[name].split(text) if part.strip()] or [""]

    def _has(self, name, text):
        return bool(self.words[name].search(text))
