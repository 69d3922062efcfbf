"""Vietnamese in letters that are not Unicode's, or in UTF-8 that was read as another encoding.

All of it is valid Unicode and no reader complains, but a model learns gibberish. A text is named
where taking it for the encoding makes Vietnamese syllables of most words that this changes, and of
many more than there are.

References:
    TCVN 5712:1993, in the layout of the ABC fonts (VN3); VNI for Windows; RFC 1456 (VIQR).
"""

import re
import unicodedata

from keras_vngpt.text.syllables import is_syllable

SAMPLE, FIRST = 2_000, 300  # characters that tell; that tell most texts as they should be
PROPER = 0.05  # letters of Vietnamese alone for each word: such a text is as it should be
MOST, GAIN, FEWEST = 0.75, 0.25, 3  # syllables of the words that change; more of all; more at all
_PROPER = re.compile("[ăđơưĂĐƠƯ\u1ea0-\u1ef9]")
_AROUND = " \n\t\"'“”‘’()[]{}<>,;:!?.…-–"

TCVN3 = dict(
    zip(
        "µ¸¶·¹¨»¾¼½Æ©ÇÊÈÉË®ÌÐÎÏÑªÒÕÓÔÖ×ÝØÜÞßãáâä«åèæçé¬êíëìîïóñòô\u00adõøö÷ùúýûüþ¡¢§£¤¥¦",
        "àáảãạăằắẳẵặâầấẩẫậđèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵĂÂĐÊÔƠƯ",
        strict=True,
    )
)
_VNI_TONES = dict(zip("ùøûõï", "\u0301\u0300\u0309\u0303\u0323", strict=True))
_VNI_HATS = dict(zip("áàåãä", "\u0301\u0300\u0309\u0303\u0323", strict=True)) | {"â": ""}
_VNI_BREVES = dict(zip("éèúüë", "\u0301\u0300\u0309\u0303\u0323", strict=True)) | {"ê": ""}
_VNI_ALONE = dict(zip("ôöñæóòî", "ơưđỉĩịỵ", strict=True))
_VIQR_HATS = {"(": "\u0306", "^": "\u0302", "+": "\u031b", "*": "\u031b", "": ""}
_VIQR_TONES = dict(zip("'`?~.", "\u0301\u0300\u0309\u0303\u0323", strict=True)) | {"": ""}
# A full stop or a question mark after a vowel is a tone, unless a sentence ends there.
_VIQR_END = r"""[.?](?:\.\.(?!\.)|["”’)\]]*(?:\s+[A-Z]|\s*\n|\s*$))"""
_VIQR = re.compile(
    rf"([aeiouyAEIOUY])([(^+*]?)((?:(?!{_VIQR_END})['`?~.])?)|(\bdd|\bDd|DD)|\\([.?'`~(^+*\\])"
)
_READ_AS = {"windows-1252": "cp1252", "windows-1254": "cp1254", "Mac Roman": "mac_roman"}
LOST = "\ufffd"  # stands in a mended text for a letter whose bytes are gone
_LOST_SPACE = re.compile(rb"(\xc3|\xc4|\xc6|\xe1[\xba\xbb]) (?![\x80-\xbf])")  # U+00A0 as a space


def legacy_encoding(text):
    """The name of the encoding that a text is in, instead of Unicode; "" for none.

    Args:
        text: str, a document, or several short texts together.

    Example:
        >>> legacy_encoding("ChÞ Mai chê chuyÕn xe cuèi trong c¨n bÕp nhá")
        'TCVN3 (ABC)'
    """
    first, sample = text[:FIRST], text[:SAMPLE]
    if len(_PROPER.findall(first)) > PROPER * (first.count(" ") + 1):
        return ""
    words = _words(sample)
    n_before, as_they_are = sum(map(is_syllable, words)), set(words)
    best, name = n_before + max(FEWEST, GAIN * len(words)) - 1e-9, ""
    for candidate in ("VIQR",) if sample.isascii() else MENDS:
        mended = _words(mend_encoding(sample, candidate))
        n_right = sum(map(is_syllable, mended))
        if n_right > best:
            changed = set(mended) - as_they_are  # each once: "a × b × c" is no Vietnamese
            if sum(map(is_syllable, changed)) >= max(FEWEST, MOST * len(changed)):
                best, name = n_right, candidate
    return name


def mend_encoding(text, name):
    """A text in Unicode; `LOST` stands for letters that an earlier program threw away.

    Args:
        text: str.
        name: str, from `legacy_encoding`.

    Example:
        >>> mend_encoding("Chò Mai chôø chuyeán xe", "VNI")
        'Chị Mai chờ chuyến xe'
    """
    return unicodedata.normalize("NFC", MENDS[name](text))


def _from_vni(text):
    marks = {**_VNI_TONES, **_VNI_HATS, **_VNI_BREVES}

    def letter(found):
        base, mark = found[1], found[2]
        low = mark.lower()
        base = {"ô": "ơ", "ö": "ư", "Ô": "Ơ", "Ö": "Ư"}.get(base, base)
        hat = "\u0302" if low in _VNI_HATS else "\u0306" if low in _VNI_BREVES else ""
        return base + hat + marks[low]

    pairs = f"([aeoAEO])([{''.join(_VNI_HATS)}{''.join(_VNI_HATS).upper()}])"
    pairs += f"|([aA])([{''.join(_VNI_BREVES)}{''.join(_VNI_BREVES).upper()}])"
    pairs += f"|([aeouyôöAEOUYÔÖ])([{''.join(_VNI_TONES)}{''.join(_VNI_TONES).upper()}])"
    out, at = [], 0
    for found in re.finditer(pairs, text):
        out.append(_alone(text[at : found.start()]))
        groups = [group for group in found.groups() if group]
        out.append(letter(("", *groups)))
        at = found.end()
    return "".join([*out, _alone(text[at:])])


def _alone(text):
    """Letters of VNI that are one character."""
    upper = {key.upper(): value.upper() for key, value in _VNI_ALONE.items()}
    return text.translate(str.maketrans(_VNI_ALONE | upper))


def _from_viqr(text):
    def letter(found):
        vowel, hat, tone, dd, escaped = found.groups()
        if dd or escaped:
            return escaped or ("đ" if dd == "dd" else "Đ")
        return vowel + _VIQR_HATS[hat] + _VIQR_TONES[tone]

    return _VIQR.sub(letter, text)


def _read_again(codec, times=1):
    """A function from UTF-8 that was read in another encoding to what it was."""

    def mend(text):
        for _ in range(times):
            data = b"".join(_byte(character, codec) for character in text)
            text = _LOST_SPACE.sub(rb"\1" + b"\xa0", data).decode("utf-8", errors="replace")
        return text

    return mend


def _byte(character, codec):
    try:
        return character.encode(codec)
    except UnicodeEncodeError:  # what the encoding does not have stays as its number
        number = ord(character)
        return bytes([number]) if number < 256 else character.encode()


MENDS = {
    "TCVN3 (ABC)": lambda text: text.translate(str.maketrans(TCVN3)),
    "VNI": _from_vni,
    "VIQR": _from_viqr,
    **{f"UTF-8 read as {name}": _read_again(codec) for name, codec in _READ_AS.items()},
    **{f"UTF-8 read as {n}, twice": _read_again(codec, 2) for n, codec in _READ_AS.items()},
}


def _words(text):
    """What stands between spaces and has a letter, without the punctuation around it."""
    words = (word.strip(_AROUND) for word in text.split())
    return [word for word in words if any(c.isalpha() for c in word)]
