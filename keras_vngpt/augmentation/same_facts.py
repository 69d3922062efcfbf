"""Whether other words still say the same: numbers, names and denials, compared."""

import re

from keras_vngpt.augmentation.letters import folded

# A number with what it counts ("30 phút"), or one that is written out.
_NUMBER = re.compile(
    r"\d+(?:[.,:/]\d+)*(?:\s*(?!(?:đến|tới|và|hoặc|là|thì|cho|trở|để|nếu|ạ|nhé|nha|bạn)\b)[^\W\d_]+|\s*%)?"
    r"|\b(?:hai|ba|bốn|tư|năm|sáu|bảy|tám|chín|mười|mươi|trăm|nghìn|ngàn|triệu|tỷ|rưỡi|nửa)\b"
)
_DENIAL = re.compile(r"\b(?:không|chưa|đừng|chẳng|cấm|tránh|miễn phí|trừ)\b")
_WORD = re.compile(r"[^\W\d_]+")


def same_numbers_and_names(text, original, names):
    """Whether a question in other words still names the same things.

    Args:
        text, original: str.
        names: `Names`.

    Example:
        >>> same_numbers_and_names("Thuê 3 ngày ở Huế?", "Thuê 2 ngày ở Huế?", Names(["Huế"]))
        False
    """

    def named(text):
        found = {folded(name) for *_, name in names.find(text)}
        return found, sorted(re.findall(r"\d+", text))

    return named(text) == named(original)


def same_facts(text, original, names):
    """Whether a wording of an answer says neither more nor less than it, as far as words show it.

    Compared are the numbers, each with the word after it ("30 phút"), number words, names and
    other words with capitals, and how often something is denied.

    Args:
        text, original: str.
        names: `Names`.

    Example:
        >>> same_facts("Giá vé là 30.000 đồng.", "Vé 30.000 đồng.", Names([]))
        True
    """
    words, others = ({w.lower() for w in _WORD.findall(t)} for t in (text, original))
    return (
        _stated(text) == _stated(original)
        and same_numbers_and_names(text, original, names)
        and _capitals(text) <= others
        and _capitals(original) <= words
    )


def _stated(text):
    text = folded(text)
    return sorted(m[0] for m in _NUMBER.finditer(text)), len(_DENIAL.findall(text))


def _capitals(text):
    """Words with a capital where no sentence begins."""
    return {m[0].lower() for m in re.finditer(r"(?<=[\w,] )[^\W\d_]+", text) if m[0][0].isupper()}
