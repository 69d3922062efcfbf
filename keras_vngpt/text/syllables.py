"""What a Vietnamese syllable looks like."""

import re
import unicodedata

from keras_vngpt.text.normalization import TONES

_ONSET = "ngh|ng|nh|gh|gi|kh|ph|th|tr|ch|qu|[bcdđghklmnpqrstvx]"
_OPEN = (  # vowels at the end of a syllable
    "a|ai|ao|au|ay|â|âu|ây|e|eo|ê|êu|i|ia|iu|iêu|o|oa|oai|oao|oay|oe|oeo|oi|ô|ôi|ơ|ơi|u|ua|ui|uê|uơ|"
    "uôi|uy|uya|uyu|uây|ư|ưa|ưi|ưu|ươi|ươu|y|yêu"
)
_CLOSED = "a|ă|â|e|ê|i|iê|o|oa|oă|oe|oo|ô|ơ|u|uâ|uê|uô|uy|uyê|ư|ươ|y|yê"  # before a consonant
_SYLLABLE = re.compile(f"(?:{_ONSET})?(?:{_OPEN}|(?:{_CLOSED})(?:ch|nh|ng|[cmnpt]))")
_TONE_MARKS = frozenset(TONES.values())


def is_syllable(word):
    """Whether a word has the letters of a Vietnamese syllable, and one tone mark at most.

    Example:
        >>> is_syllable("nghiêng"), is_syllable("chuyÕn")
        (True, False)
    """
    letters = unicodedata.normalize("NFD", word.lower())
    bare = "".join(c for c in letters if c not in _TONE_MARKS)
    is_one = len(letters) - len(bare) <= 1
    return is_one and bool(_SYLLABLE.fullmatch(unicodedata.normalize("NFC", bare)))
