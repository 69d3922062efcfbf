"""What a corpus should not teach: steps that mend a document or take it out, each counted."""

import hashlib
import html
import re
import struct
import unicodedata
from collections import Counter
from dataclasses import dataclass

from keras_vngpt.text.legacy_encodings import LOST, legacy_encoding, mend_encoding

LEGACY = "letters that are not Unicode's"
NUM_PERM = 64  # hashes of a MinHash signature
SHINGLE = 5  # words that are compared as one
LANGUAGE_SAMPLE = 300  # characters that tell a language
WITH_LOSS = " with letters lost"  # cannot be mended
SHORT = 60  # letters; fewer do not tell a language

_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufffd]"
)
# Joins two emoji to one; anywhere else nobody sees it.
_EMOJI = "\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\ufe0f\U0001f000-\U0001faff"
_LONE_JOINER = re.compile(f"(?<![{_EMOJI}])\u200d|\u200d(?![{_EMOJI}])")
_TAGS = (
    "a abbr address article aside audio b big blockquote body br button caption center cite code "
    "col colgroup dd del details div dl dt em embed fieldset figcaption figure font footer form "
    "gallery h1 h2 h3 h4 h5 h6 head header hr html i iframe img input ins kbd label legend li link "
    "main mark math meta nav noscript nowiki object ol optgroup option p param picture pre q ref "
    "references s samp script section select small source span strike strong style sub summary sup "
    "svg table tbody td template textarea tfoot th thead time title tr tt u ul var video wbr"
)
# What has no value is an attribute only where HTML has such a one: "a <b và c> d" is no tag.
_ATTRIBUTE = (
    r"""\s+(?:[\w:.-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)"""
    r"|nowrap|disabled|checked|selected|hidden|async|defer|controls|required)"
)
_HTML = [
    (re.compile(r"<!--.*?-->", re.DOTALL), " "),
    (re.compile(r"<(script|style)\b.*?</\1>", re.DOTALL | re.IGNORECASE), " "),
    (re.compile(rf"</?(?:{_TAGS.replace(' ', '|')})(?:{_ATTRIBUTE})*\s*/?>", re.IGNORECASE), " "),
]
_MARKUP = [
    *_HTML,
    (re.compile(r"\{\{[^{}]*\}\}"), ""),
    (re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]"), r"\1"),
    (re.compile(r"'''?"), ""),
    (re.compile(r"^\s*={2,}\s*(.*?)\s*={2,}\s*$", re.MULTILINE), r"\1"),
    (re.compile(r"_(?:START|NEWLINE)_(?:ARTICLE|SECTION|PARAGRAPH)?_?"), "\n"),
]
_SPACES = re.compile(r"[ \t\u00a0]+")
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class Removed:
    """What a step took out so far.

    Args:
        documents: int.
        bytes: int, of UTF-8.
    """

    documents: int = 0
    bytes: int = 0


class Cleaner:
    """Mends a stream of documents, and leaves out what is no use.

    The steps, in order, are the keys of `removed`. A duplicate is left out, so that what is alike
    never stands on both sides of a split.

    Args:
        encoding: str, "fix" mends documents in letters that are not Unicode's, "say" leaves them
            out, "off" keeps them as they are.
        control: bool, control and invisible characters go.
        markup: bool, remains of HTML and wiki markup go.
        lines: bool, lines that a document repeats go.
        length: int, documents of fewer characters go.
        language: str, documents in another language go ("vi"); "" keeps all.
        exact: bool, documents that stood before, letter by letter, go.
        near: float, documents that share this part of their five-word sequences with an earlier
            one go, by the estimate of MinHash; 0 keeps them.

    Example:
        >>> cleaner = Cleaner()
        >>> documents = list(cleaner(["Trời <b>mưa</b>.", "Trời mưa."]))

    References:
        - [Broder, 1997](https://doi.org/10.1109/SEQUEN.1997.666900), MinHash.
        - [Lee et al., 2022](https://arxiv.org/abs/2107.06499), duplicates in training text.
    """

    def __init__(
        self, encoding="say", control=True, markup=True, lines=True, length=20, language="vi",
        exact=True, near=0.8,
    ):  # fmt: skip
        self._mends = {
            name: mend
            for name, mend, is_on in (
                (LEGACY, self._without_legacy, encoding != "off"),
                ("control characters", without_control, control),
                ("markup", without_markup, markup),
                ("repeated lines", without_repeated_lines, lines),
            )
            if is_on
        }
        self._drops = {
            name: drop
            for name, drop, is_on in (
                ("too short", lambda text: len(text) < length, length),
                ("other language", lambda text: is_foreign(text, language), language),
                ("duplicate", self._is_exact_duplicate, exact),
                ("near duplicate", self._is_near_duplicate, near),
            )
            if is_on
        }
        self.kept = Removed()
        self.removed = dict.fromkeys([*self._mends, *self._drops], Removed())
        self._near, self._seen, self._bands = near, set(), set()
        self._fixes, self.legacy = encoding == "fix", Counter()

    def __call__(self, documents):
        """The documents that stay, mended, one after another."""
        for text in documents:
            text = self.mend(text)
            reason = self._reason_to_drop(text)
            if reason:
                self.removed[reason] = _more(self.removed[reason], len(text.encode()))
            elif text:
                self.kept = _more(self.kept, len(text.encode()))
                yield text

    def mend(self, text):
        """A document without what the first steps take out of it; depends on nothing else."""
        for name, mend in self._mends.items():
            mended = mend(text)
            if mended is not text and (lost := len(text.encode()) - len(mended.encode())):
                self.removed[name] = _more(self.removed[name], lost, not mended)
            text = mended
        return text

    def held_out(self, documents):
        """Documents that are not trained on, mended; what is like them is left out from now on."""
        for text in map(self.mend, documents):
            copies = [
                drop(text)
                for drop in (self._is_exact_duplicate, self._is_near_duplicate)
                if drop in self._drops.values()
            ]
            if text and not any(copies):
                yield text

    def _without_legacy(self, text):
        """First of all: a soft hyphen is "ư" in TCVN3."""
        name = legacy_encoding(text)
        if not name:
            return text
        mended = mend_encoding(text, name) if self._fixes else ""
        if LOST in mended:
            name, mended = name + WITH_LOSS, ""
        self.legacy[name] += 1
        return mended

    def _reason_to_drop(self, text):
        return next((name for name, drop in self._drops.items() if text and drop(text)), None)

    def _is_exact_duplicate(self, text):
        return _was_in(self._seen, {digest(text)})

    def _is_near_duplicate(self, text):
        return _was_in(self._bands, bands(text, self._near))


def without_control(text):
    """Without control characters and those that nobody sees.

    Line breaks and tabs stay, and so does what joins two emoji to one.
    """
    if not _CONTROL.search(text):
        return text
    if "\u200d" in text:
        text = _LONE_JOINER.sub("", text)
    return _CONTROL.sub(lambda found: found[0] if found[0] == "\u200d" else "", text)


def without_markup(text):
    """Without what HTML and wiki markup leave behind."""
    if not any(sign in text for sign in "<&{['=_"):
        return text
    return _without(_MARKUP, text)


def without_html(text):
    """Without tags and entities of HTML: what a form on the web leaves in an answer.

    Example:
        >>> without_html("gi&aacute; &lt; 5<br/>nghìn")
        'giá < 5 nghìn'
    """
    return _without(_HTML, text) if "<" in text or "&" in text else text


def _without(patterns, text):
    plain = html.unescape(text) if "&" in text else text
    for pattern, replacement in patterns:
        plain = pattern.sub(replacement, plain)
    if plain == text:
        return text
    lines = (_SPACES.sub(" ", line).strip() for line in plain.split("\n"))
    return "\n".join(line for line in lines if line)


def without_repeated_lines(text):
    """Each line of more than three words once."""
    if "\n" not in text:
        return text
    lines = text.split("\n")
    first = dict.fromkeys(line for line in lines if line.count(" ") > 2)
    if len(first) + sum(line.count(" ") <= 2 for line in lines) == len(lines):
        return text
    kept = []
    for line in lines:
        if line.count(" ") > 2:
            if line not in first:
                continue
            del first[line]
        kept.append(line)
    return "\n".join(kept)


def is_foreign(text, language="vi"):
    """Whether a text is in another language; a short one never is."""
    import py3langid

    start = text[: LANGUAGE_SAMPLE * 2].replace("\n", " ")[:LANGUAGE_SAMPLE]
    letters = sum(c.isalpha() for c in start)
    return letters >= SHORT and py3langid.classify(start)[0] != language


def digest(text):
    """A number that tells documents apart; of exact duplicates it is the same."""
    return int.from_bytes(hashlib.blake2b(_plain(text).encode(), digest_size=8).digest(), "big")


def bands(text, near):
    """The bands of the MinHash signature of a text: near duplicates have one in common.

    Args:
        text: str.
        near: float, the part of the five-word sequences from which on two texts are alike.

    Returns:
        set of int.
    """
    import rensa

    words = _WORDS.findall(_plain(text))
    last = max(1, len(words) - SHINGLE + 1)
    signature = rensa.RMinHash(num_perm=NUM_PERM, seed=1)
    signature.update([" ".join(words[i : i + SHINGLE]) for i in range(last)])
    hashes, n = signature.digest(), NUM_PERM // _n_bands(near)
    keys = (
        hashlib.blake2b(struct.pack(f"<B{n}I", i, *hashes[i * n : (i + 1) * n]), digest_size=8)
        for i in range(NUM_PERM // n)
    )
    return {int.from_bytes(key.digest(), "big") for key in keys}


def _was_in(seen, keys):
    """Whether one of the keys was seen before; if not, all are from now on."""
    if not seen.isdisjoint(keys):
        return True
    seen |= keys
    return False


def _plain(text):
    """A text without what tells no two documents apart: case, spaces, the form of Unicode."""
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def _n_bands(threshold):
    """The bands of a signature whose threshold, (1 / bands) ** (bands / NUM_PERM), is nearest."""
    powers = (2**i for i in range(1, NUM_PERM.bit_length()))
    return min(powers, key=lambda b: abs((1 / b) ** (b / NUM_PERM) - threshold))


def _more(removed, n_bytes, is_document=True):
    return Removed(removed.documents + bool(is_document), removed.bytes + n_bytes)


def print_legacy(name, legacy, encoding, flag):
    """Say what was not in Unicode.

    Args:
        name: str, the line begins with it.
        legacy: `Counter` of documents by the encoding that they are in.
        encoding: str, what was done: as for `Cleaner`.
        flag: str, that mends them.
    """
    for which, n in legacy.items():
        done = "mended" if encoding == "fix" else f"left out; {flag} mends them"
        if which.endswith(WITH_LOSS):
            done = "left out"
        print(f"{name}: {n:,} documents are in {which}, not in Unicode: {done}")
