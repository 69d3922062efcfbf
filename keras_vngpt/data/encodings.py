"""The encoding of a file from its beginning: read where it is certain, named where it is likely.

References:
    The Unicode Standard, section 23.8 (byte order mark); windows-1258:
    https://www.unicode.org/Public/MAPPINGS/VENDORS/MICSFT/WINDOWS/CP1258.TXT
"""

import codecs
import re
import unicodedata
from dataclasses import dataclass

from keras_vngpt.text.syllables import is_syllable

SAMPLE_BYTES = 2**20  # that tell the encoding
MOST_ZEROS = 0.15  # of the bytes of a text in UTF-8; UTF-16 has one for every ASCII character
CERTAIN = 0.9  # of the characters or words speak for an encoding
MOST_MARKED = 0.08  # of the letters of a Western European text
MOST_CONTROL = 0.05  # of the bytes of a text with damage, not of binary data
MARKS = (  # UTF-32 first: its mark begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
)
WIDE = {"utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32-le": "UTF-32", "utf-32-be": "UTF-32"}
ONE_BYTE = ("cp1258", "cp1252")
BINARY = {
    b"PK\x03\x04": "a ZIP archive, as .xlsx and .docx files are",
    b"\xd0\xcf\x11\xe0": "a document of old Office or one with a password",
    b"\x1f\x8b": "packed by gzip: name it .gz",
    b"BZh": "packed by bzip2: name it .bz2",
    b"\xfd7zXZ": "packed by xz: name it .xz",
    b"PAR1": "Parquet: name it .parquet",
    b"%PDF-": "a PDF document",
    b"SQLite format 3\0": "a database of SQLite",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"\x7fELF": "a program",
}
_CONTROL = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffd]")
_WORD = re.compile(r"[^\W\d_]+")
_WESTERN = frozenset("àáâãäåæçèéêëìíîïñòóôõöøùúûüßœ")
_SIGNS = frozenset("\u2018\u2019\u201c\u201d\u201e\u2013\u2014\u2026\u2022\u20ac\u2122\xa0©®°«»§£·")
_CAPITAL_WITHIN = re.compile("[a-zß-ÿ][À-Þ]")
# Legacy Vietnamese as windows-1252: letters of TCVN3 are signs within a word, tones of VNI are
# letters of their own behind a vowel.
_TCVN3 = re.compile(r"[a-zA-Z][\xa8-\xae\xb5-\xb9]|[\xa8-\xae\xb5-\xb9][a-zA-Z]")
_VNI = re.compile("[aeoöôuy][ùøûõïâêáàåãäéèúüë]", re.IGNORECASE)
LEGACY = {"TCVN3 (ABC)": _TCVN3, "VNI": _VNI}
LIKELY = 0.2  # of the letters beyond ASCII show it


@dataclass(frozen=True)
class Encoding:
    """How a file is decoded, or why it is not.

    Args:
        codec: str, Python's name of the encoding.
        name: str, its name for people.
        is_assumed: bool, whether no mark and no rule of UTF-8 says so.
        fault: str, why the file is not read; "" where it is.
    """

    codec: str = "utf-8-sig"
    name: str = "UTF-8"
    is_assumed: bool = False
    fault: str = ""

    @property
    def is_foreign(self):
        """Whether it is any other than UTF-8."""
        return self.codec != "utf-8-sig"


def encoding_of(sample):
    """The encoding of a file.

    UTF-8 is what remains where nothing else is certain: its reader names each line that breaks it.

    Args:
        sample: bytes, its first `SAMPLE_BYTES`.

    Returns:
        `Encoding`.

    Example:
        >>> encoding_of("câu hỏi;trả lời".encode("utf-16-le")).codec
        'utf-16-le'
    """
    for mark, codec, name in MARKS:
        if sample.startswith(mark):
            return Encoding(codec, name)
    for start, what in BINARY.items():
        if sample.startswith(start) and (0 in sample or not _is_utf8(sample)):
            return Encoding(fault=f"is not text but {what}")
    if sample.count(0) > MOST_ZEROS * len(sample):
        return _wide(sample)
    if _is_utf8(sample):
        return Encoding()
    return _legacy(sample)


def _is_utf8(sample):
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def _wide(sample):
    """UTF-16 or UTF-32 without a mark: the one order of bytes that makes Latin text."""
    for codec, name in WIDE.items():
        text = codecs.getincrementaldecoder(codec)("replace").decode(sample)
        n_latin = sum(c < "\u0370" or "\u1e00" <= c < "\u2100" for c in text)
        if not _CONTROL.search(text) and n_latin > CERTAIN * len(text):
            return Encoding(codec, name, is_assumed=True)
    if not sample.strip(b"\0"):
        return Encoding()  # an empty file, as those are after a loss of power
    return Encoding(fault="is not text: it has many zero bytes")


def _legacy(sample):
    """One byte a letter: certain where the words are Vietnamese, or Western European."""
    lines = [line for line in sample.splitlines() if not line.isascii()]
    if any(map(_is_utf8, lines)):
        return Encoding()  # UTF-8 with broken lines
    text = b"\n".join(lines)
    vietnamese = unicodedata.normalize("NFC", text.decode("cp1258", "replace"))
    if not _CONTROL.search(vietnamese) and _is_vietnamese(vietnamese):
        return Encoding("cp1258", "windows-1258", is_assumed=True)
    western = text.decode("cp1252", "replace")
    if _CONTROL.search(western):
        n_control = len(_CONTROL.findall(sample.decode("latin-1")))
        is_binary = n_control > MOST_CONTROL * len(sample)
        return Encoding(fault="is not text but binary data") if is_binary else Encoding()
    n_marked = sum(not c.isascii() for c in western)
    for name, signs in LEGACY.items():
        if n_marked > 1 and len(signs.findall(western)) > LIKELY * n_marked:
            return Encoding(fault=f"is not UTF-8 but probably {name}. Save the file as UTF-8")
    if _is_western(western, n_marked, sample.decode("cp1252", "replace")):
        return Encoding("cp1252", "windows-1252", is_assumed=True)
    return Encoding()


def _is_vietnamese(text):
    """Whether the words with marks are Vietnamese syllables, and some are no other language's."""
    words = [word for word in re.findall(r"(?:[^\W\d_]|[\u0300-\u0323])+", text)]
    words = [word for word in words if not word.isascii()]
    own = sum(not _WESTERN.issuperset(c for c in w.lower() if not c.isascii()) for w in words)
    return own > 0 and sum(map(is_syllable, words)) >= CERTAIN * len(words)


def _is_western(lines, n_marked, text):
    """Whether letters with marks are few, of Western Europe, and no capitals within a word."""
    is_known = all(c.isascii() or c in _SIGNS or c.lower() in _WESTERN for c in lines)
    n_letters = sum(map(len, _WORD.findall(text)))
    return is_known and n_marked <= MOST_MARKED * n_letters and not _CAPITAL_WITHIN.search(lines)
