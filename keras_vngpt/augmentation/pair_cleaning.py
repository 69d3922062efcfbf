"""Questions and answers as they should be written: no numbering, no stray signs, capitals."""

import re
import unicodedata

from keras_vngpt.data.cleaning import without_control

_NUMBERING = re.compile(
    r"^(?:\(?\d{1,3}\s*[.):](?:\s+(?=\S)|(?=[^\W\d_\"“'‘]))|\d{1,3}\s+[-–]\s+(?=[^\W\d_])"
    r"|[-–•*·▪]\s+|(?:câu hỏi|câu|hỏi|đáp|trả lời|question|answer)\s*\d*\s*[.:)]\s*(?=\S)"
    r"|[qa]\s*(?:\d*\s*:|\d+[.)])\s*(?=\S))",
    re.IGNORECASE,
)
# A list begins: its first mark belongs to it.
_LIST = re.compile(r"^(?:\(?1\s*[.):].*\b2\s*[.):]\s*\S|([-–•*·▪]).*\n\1)", re.DOTALL)
_QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "«": "»", "”": "”", "„": "“"}

# What asks, without what only looks like it ("đâu cũng", "gì đó", "khách sạn 5 sao").
_INDEFINITE = re.compile(
    r"\b(?:gì|đâu|nào|ai|bao giờ|sao|mấy)\s+(?:cũng|đó|đấy)\b"
    r"|\bbất (?:cứ|kỳ|kì)\b.*?\b(?:nào|gì|đâu|ai)\b|\b(?:không|chẳng) (?:có )?(?:gì|đâu|ai)\b"
    r"|\b(?:\d|một|hai|ba|bốn|năm|ngôi) sao\b",
)
_ASKING = re.compile(
    r"\b(?:gì|đâu|nào|bao nhiêu|bao lâu|bao xa|bao giờ|mấy|sao|ai|ra sao|hả|nhỉ|chăng)\b"
    r"|\bnên\b.*\bhay\b|\bhay\b.*\bhơn\b"
    r"|\b(?:không|chưa|à|chứ|ko)(?:\s+(?:ạ|vậy|nhỉ|thế|ta|em|anh|bạn))?$"
)
_UNSURE = re.compile(r"\b(?:muốn|cần) (?:biết|hỏi)\b|\b(?:không|chưa|chẳng) (?:biết|rõ)\b")
_ORDER = re.compile(
    r"(?:gợi ý|giới thiệu|so sánh|kể|liệt kê|hãy|giúp|tư vấn|giải thích|hướng dẫn|đề xuất|lập|xếp"
    r"|nêu|lên (?:lịch|kế hoạch)|cho (?:mình|tôi|em|tớ)? ?xin)\b"
)
# "Tư vấn da liễu vào ngày nào" asks, for all that it begins as an order does.
_ASKS_AFTER_ALL = re.compile(
    r"^(?!.*\bnên\b).*\b(?:ở đâu|mấy giờ|bao nhiêu(?: tiền)?|bao lâu|khi nào|bao giờ"
    r"|(?:ngày|tháng|lúc|giờ) nào)$"
)
_OPTIONAL_ORDER = re.compile(r"(?:chỉ|cho|tìm|viết|lên|bật|tắt|nhắc)\b")
_FIRST_PERSON = re.compile(r"(?:tôi|mình|em|tớ|chúng tôi|chúng mình|bọn mình|nhà mình)\b")


def clean(text, names):
    """Take away what does not belong to a text, and give its first letter and names capitals.

    Args:
        text: str.
        names: `Names`.

    Returns:
        str, NFC; a line stays a line.

    Example:
        >>> clean('3.  "chợ đà lạt mở cửa lúc 5 giờ ."', names)
        'Chợ Đà Lạt mở cửa lúc 5 giờ.'
    """
    text = unicodedata.normalize("NFC", without_control(text))
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(" ".join(x.split()) for x in text.splitlines()))
    text, before = text.strip(), None
    while text != before:
        before = text
        if not _LIST.match(text):
            text = _NUMBERING.sub("", text)
        text = _unquote(text)
    text = re.sub(r" +([,.;:!?…])(?=\s|$|[,.;:!?…])", r"\1", text)
    text = re.sub(r"([,;!?])(?=[^\W\d_])", r"\1 ", text)
    text = re.sub(r"([!?])[!?]*\1[!?]*|\?!|!\?", lambda m: "?" if "?" in m[0] else "!", text)
    text = re.sub(r"(?<!\.)\.\.(?!\.)|\.{4,}", lambda m: "." if len(m[0]) == 2 else "...", text)
    text = re.sub(r"[,;]+$", "", text.strip())
    letters = [c for c in text if c.isalpha()]
    if len(letters) > 6 and sum(c.isupper() for c in letters) > 0.8 * len(letters):
        text = text.lower()  # shouted
    text = re.sub(r"(?<=[^\W\d_]{2}[.!?] )[^\W\d_]", lambda m: m[0].upper(), names.restore(text))
    first = text.split(" ", 1)[0]
    if first[1:].islower() or len(first) < 2 or not first[:1].isalpha():  # "eSIM" stays
        text = text[:1].upper() + text[1:]
    return text


def clean_question(text, names):
    """A question, or an order, with the final mark that belongs to it.

    Example:
        >>> clean_question("2) huế có gì ngon", names)
        'Huế có gì ngon?'
    """
    text = clean(text, names)
    *_, last = sentences(text)
    asking = asks(last)
    bare = text.rstrip(" ?.!…\n") or text
    if asking:
        return bare + "?"
    if asking is False and text.endswith("?"):
        return bare + "."
    return text


def sentences(text):
    """The sentences of a text, each with its mark; "TP. Hồ Chí Minh" and "v.v." end none."""
    return re.split(r"(?<=\w\w[.!?…])(?<!\b[Tt][PpXxTt]\.) +(?=\S)|\n+", text)


def is_order(sentence):
    """Whether a sentence tells someone to do something: "Gợi ý món ngon ở Huế"."""
    text = sentence.lower().rstrip(" ?.!…")
    if re.search(r"\b(?:được|đc|có) (?:không|ko|chứ)\b", text) or _ASKS_AFTER_ALL.match(text):
        return False
    if _ORDER.match(text):
        return True
    return bool(_OPTIONAL_ORDER.match(text)) and not _ASKING.search(_INDEFINITE.sub(" ", text))


def asks(sentence):
    """Whether a question mark belongs to a sentence: True, False, or `None` where either may do."""
    text = sentence.lower().rstrip(" ?.!…")
    if is_order(sentence):
        return False
    if _UNSURE.search(text):
        return None
    if _ASKING.search(_INDEFINITE.sub(" ", text)):
        return True
    return False if _FIRST_PERSON.match(text) else None


def _unquote(text):
    """Without quotes around the whole, and without one that has no partner."""
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        inside = text[1:-1]
        if text[0] not in inside and text[-1] not in inside:
            return inside.strip()
    for quote in ('"', "“", "”"):
        partners = text.count("“") == text.count("”") if quote != '"' else text.count('"') % 2 == 0
        if not partners:
            text = text.removeprefix(quote).removesuffix(quote).strip()
    return text
