"""How people type on a phone: without diacritics, in abbreviations, with slips of the finger."""

import re
from random import Random

from keras_vngpt.augmentation.letters import without_diacritics

SHORT_FORMS = {
    "không": ("ko", "k", "hok", "hông", "hong", "kh", "khum"),
    "được": ("dc", "đc", "đk", "duoc"),
    "gì": ("j", "gi", "zì"),
    "rồi": ("r", "rùi", "ròi", "rôi"),
    "vậy": ("z", "v", "zậy", "vầy"),
    "với": ("vs", "vơi", "zới"),
    "giùm": ("dùm", "zùm", "dum"),
    "tôi": ("t", "tui", "toi"),
    "mình": ("mik", "mk", "mìn"),
    "bạn": ("b", "bn"),
    "nhé": ("nhe", "nha", "nhá", "nhoa"),
    "giờ": ("h", "g", "giơ"),
    "bây giờ": ("bh", "bây h", "bi giờ"),
    "biết": ("bít", "bik"),
    "quá": ("wá", "qá", "wa"),
    "cái": ("cai", "kái"),
    "em": ("e", "iem"),
    "anh": ("a", "ank"),
    "chị": ("c", "chj"),
    "đi": ("ik", "đê", "di"),
    "phút": ("p", "ph", "phut"),
    "tiếng": ("tieng", "tiêng"),
    "cho": ("cko",),
    "này": ("nì", "nè"),
    "trong": ("trog", "trg"),
    "phòng": ("p", "phog", "phòg"),
    "thì": ("thi", "thỳ"),
    "người": ("ng", "ngừi"),
    "và": ("vs", "&"),
    "luôn": ("lun", "luôm"),
    "đang": ("đag", "dag"),
    "hôm nay": ("hnay", "hum nay"),
    "nữa": ("nx", "nửa"),
    "chưa": ("chưa", "chua", "chứa"),
}
_SHORT = re.compile(rf"(?<!\w)(?:{'|'.join(sorted(SHORT_FORMS, key=len, reverse=True))})(?!\w)")
_SOUNDS_ALIKE = (
    *(("gi", "d"), ("ch", "tr"), ("s", "x"), ("l", "n"), ("qu", "w"), ("ngh", "ng"), ("ph", "f")),
    *(
        ("c", "k"),
        ("ã", "ả"),
        ("ữ", "ử"),
        ("ẽ", "ẻ"),
        ("ỗ", "ổ"),
        ("ắ", "ă"),
        ("ậ", "â"),
        ("i", "y"),
    ),
)


def with_short_forms(text: str, rng: Random, share: float = 0.7) -> str:
    """Some of the words in the short forms of chats."""
    return _SHORT.sub(
        lambda m: rng.choice(SHORT_FORMS[m[0]]) if rng.random() < share else m[0], text
    )


def with_slips(text: str, rng: Random, slips: int = 1) -> str:
    """Letters left out, doubled or exchanged, a mark forgotten or a letter that sounds alike."""
    for _ in range(slips):
        words = text.split(" ")
        i = rng.randrange(len(words))
        word = words[i]
        if len(word) < 3 or not word.isalpha():
            continue
        at = rng.randrange(len(word) - 1)
        slip = rng.randrange(5)
        if slip == 0:
            word = word[:at] + word[at + 1 :]
        elif slip == 1:
            word = word[:at] + word[at] + word[at:]
        elif slip == 2:
            word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        elif slip == 3:
            word = without_diacritics(word)
        else:
            found = [pair for pair in _SOUNDS_ALIKE if pair[0] in word]
            if found:
                word = word.replace(*rng.choice(found), 1)
        words[i] = word
        text = " ".join(words)
    return text


def typed(text: str, rng: Random, careful: bool = False) -> str:
    """The text as one of many people would type it; who is careful leaves capitals out at most.

    Example:
        >>> typed("Bật đèn phòng khách nhé.", Random(1))
    """
    draw = rng.random() * (0.6 if careful else 1.0)
    if draw < 0.35:
        return text
    if draw < 0.61 or text[-1] == ")":
        return text.lower().rstrip("?.!").replace(",", "")
    if draw < 0.71:
        return with_short_forms(text.lower().rstrip("?."), rng)
    if draw < 0.77:
        return with_slips(text.lower(), rng)
    if draw < 0.78:
        return text.upper()
    text = without_diacritics(with_short_forms(text, rng, rng.choice((0.0, 0.0, 0.6))))
    if rng.random() < 0.1:
        text = with_slips(text, rng)
    return text.lower().replace(",", "") if rng.random() < 0.7 else text
