"""Letters of Vietnamese: case, tone placement, diacritics, syllables; and patterns over them."""

import functools
import re
import unicodedata

from keras_vngpt.augmentation.user_files import NAME
from keras_vngpt.text.normalization import to_old_placement

_SYLLABLE = re.compile(
    r"(?:ngh|ng|nh|ch|gh|gi|kh|ph|qu|th|tr|[bcdghklmnpqrstvx])?[aeiouy]{1,3}(?:ng|nh|ch|[cmnpt])?"
)


@functools.lru_cache(4096)
def folded(text):
    """NFC text without case and in one tone placement, letter by letter in the same places."""
    lowered = text.lower()
    if len(lowered) != len(text):  # "İ" has two small letters
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return to_old_placement(lowered)


def key(text):
    """What two texts share that differ in case, marks and tone placement alone."""
    return " ".join(re.findall(r"\w+", folded(text)))


def without_diacritics(text):
    """As typed on a keyboard without Vietnamese: "Đà Lạt" becomes "Da Lat".

    Example:
        >>> without_diacritics("Chợ Đà Lạt ở đâu?")
        'Cho Da Lat o dau?'
    """
    text = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return unicodedata.normalize("NFC", "".join(c for c in text if not unicodedata.combining(c)))


def is_syllable(word):
    """Whether a word can be a Vietnamese syllable: "Lan" can, "Fansipan" cannot."""
    return bool(_SYLLABLE.fullmatch(without_diacritics(word.lower())))


def any_of(patterns):
    """A pattern that finds what one of some patterns finds; nothing where there are none."""
    return "|".join(f"(?:{p})" for p in patterns) or r"(?!)"


def compiled(pattern, names=None):
    """A regular expression that finds in `folded` text what a file's author means by a pattern.

    Args:
        pattern: str; `<name>` in it is any of the names.
        names: `Names`.
    """
    pattern = to_old_placement(unicodedata.normalize("NFC", pattern))
    if names:
        pattern = pattern.replace(NAME, names.pattern)
    return re.compile(pattern, re.IGNORECASE)


def substitute(pattern, text, choose):
    """`re.sub` on the folded text; where `choose` gives nothing, the text stays.

    Args:
        pattern: compiled, as by `compiled`.
        text: str.
        choose: function from a match to str or `None`.
    """
    parts, end = [], 0
    for m in pattern.finditer(folded(text)):
        if new := choose(m):
            is_capital = text[m.start()].isupper() and not new[0].isupper()
            parts += [text[end : m.start()], new[0].upper() + new[1:] if is_capital else new]
            end = m.end()
    return "".join([*parts, text[end:]])
