"""Vietnamese normalisation: the rules compiled into the tokenizer, and the way back.

Inside, every syllable is NFC with the tone mark in its *new* place ("hoà", "thuỷ"): that direction
needs no context. On the way out, `TONE_PLACEMENT_RULES` put it in the *old* place ("hòa", "thủy").
"""

import itertools
import re
import unicodedata

VOWELS = "aăâeêioôơuưy"
TONES = {"grave": "\u0300", "acute": "\u0301", "hook": "\u0309", "tilde": "\u0303", "dot": "\u0323"}
NEW_PLACEMENT_PAIRS = ("oa", "oe", "uy")
LOOK_ALIKES = {  # of old code pages, of copying and pasting: letters, spaces, and what nobody sees
    "\u00d0": "Đ", "\u0189": "Đ", "\u00f0": "đ", "\u0256": "đ",
    **dict.fromkeys("\t\u00a0\u2007\u2009\u202f\u3000", " "),
    **dict.fromkeys("\u00ad\u200b\u200c\u200e\u200f\u2060\ufeff", ""),
}  # fmt: skip
# Unicode's own Vietnamese tone marks, which NFC takes for these.
TONE_MARKS = {"\u0300": "\u0340", "\u0301": "\u0341"}


def _nfc(text):
    return unicodedata.normalize("NFC", text)


def split_tone(syllable):
    """A syllable without its tone mark, and the name of the tone.

    Example:
        >>> split_tone("trường")
        ('trương', 'grave')
    """
    characters = unicodedata.normalize("NFD", syllable)
    tones = {mark: name for name, mark in TONES.items()}
    marks = [tones[c] for c in characters if c in tones]
    return _nfc("".join(c for c in characters if c not in tones)), marks[0] if marks else "level"


def _spellings(character):
    """Every way Unicode offers to write one letter: base and marks in any order, part composed."""
    base, *marks = unicodedata.normalize("NFD", character)
    spellings = set()
    for order in itertools.permutations(marks):
        for composed in range(len(order) + 1):
            head = _nfc(base + "".join(order[:composed]))
            spellings.add(head + "".join(order[composed:]))
    for mark, other in TONE_MARKS.items():
        spellings |= {spelling.replace(mark, other) for spelling in spellings}
    return {s for s in spellings if _nfc(s) == character}


def vietnamese_letters():
    """Every small Vietnamese letter beyond ASCII, composed: "à", "ậ", "đ", ..."""
    letters = "đ" + "".join(_nfc(v + t) for v in VOWELS for t in ("", *TONES.values()))
    return {c for c in letters if not c.isascii()}


def normalization_rules():
    """The rewriting rules of the tokenizer, as a dictionary from source to target string.

    SentencePiece applies the longest matching rule at each position, once, from left to right.

    Returns:
        dict of str to str: decomposed letters to composed ones, old tone placement to new,
        and the white space and invisible characters that carry no meaning.

    Example:
        >>> normalization_rules()["òa"]
        'oà'
    """
    rules = {"\r\n": "\n", "\r": "\n"}
    letters = [*VOWELS, *(_nfc(v + t) for v in VOWELS for t in TONES.values())]
    letters += [c for c in map(chr, range(0xC0, 0x180)) if c.islower()]  # the rest of Latin
    for letter in letters:
        for cased in (letter, letter.upper()):
            for spelling in _spellings(cased):
                rules[spelling] = cased
    for (first, second), tone in itertools.product(NEW_PLACEMENT_PAIRS, TONES.values()):
        for a, b in itertools.product((first, first.upper()), (second, second.upper())):
            for spelling in _spellings(_nfc(a + tone)):
                rules[spelling + b] = a + _nfc(b + tone)
    rules |= LOOK_ALIKES  # of which some are letters of other languages
    return {source: target for source, target in rules.items() if source != target}


def normalization_tsv():
    """The rules in SentencePiece's `normalization_rule_tsv` format: hexadecimal code points."""

    def points(text):
        return " ".join(f"{ord(c):X}" for c in text)

    rules = normalization_rules()
    return "".join(f"{points(s)}\t{points(t)}\n" for s, t in sorted(rules.items()))


def _tone_placement_rules():
    rules = []
    for (first, second), tone in itertools.product(NEW_PLACEMENT_PAIRS, TONES.values()):
        for a, b in ((first, second), (first.upper(), second), (first.upper(), second.upper())):
            # The marked vowel is not ASCII, so \B says "no ASCII letter follows": "hoàn" stays.
            rules.append((f"{a}{_nfc(b + tone)}\\B", _nfc(a + tone) + b))
            if first == "u":  # "quý": here u belongs to the consonant
                rules.append((f"([qQ]){_nfc(a + tone)}{b}", f"\\1{a}{_nfc(b + tone)}"))
    return tuple(rules)


# (pattern, replacement) pairs from new to old placement, the same in RE2 and in Python's `re`
# with `re.ASCII`.
TONE_PLACEMENT_RULES = _tone_placement_rules()
_LOOK_ALIKES = str.maketrans(LOOK_ALIKES)
_COMPILED_RULES = [(re.compile(p, re.ASCII), r) for p, r in TONE_PLACEMENT_RULES]


def to_old_placement(text):
    """Put tone marks in the old place: "hoà" becomes "hòa"; "hoàn" and "quý" stay.

    Args:
        text: str, NFC, tone marks in the new place.

    Returns:
        str.

    Example:
        >>> to_old_placement("Hoà mua quý phi thuỷ tinh.")
        'Hòa mua quý phi thủy tinh.'
    """
    for pattern, replacement in _COMPILED_RULES:
        text = pattern.sub(replacement, text)
    return text


_NEW = re.compile("|".join(p for p, _ in TONE_PLACEMENT_RULES if not p.startswith("(")), re.ASCII)
_OLD = re.compile(
    "|".join(
        rf"{_nfc(a + tone)}{b}(?![^\W\d_])"
        for (a, b), tone in itertools.product(NEW_PLACEMENT_PAIRS, TONES.values())
    ),
    re.IGNORECASE,
)


def prevailing_tone_placement(texts):
    """Which tone placement a text mostly uses.

    Args:
        texts: iterable of str.

    Returns:
        "old" or "new"; "old" for a text that never shows.

    Example:
        >>> prevailing_tone_placement(["hoà bình", "hoà nhã", "thủy"])
        'new'
    """
    old = new = 0
    for text in texts:
        text = unicodedata.normalize("NFC", text)
        old += len(_OLD.findall(text))
        new += sum(1 for m in _NEW.finditer(text) if text[m.start() - 1 : m.start()] not in "qQ")
    return "new" if new > old else "old"


def canonical(text):
    """One spelling for texts that a tokenizer takes for the same: NFC, old placement, trimmed.

    Splits, duplicates and exact match compare texts by it.

    Example:
        >>> canonical("thuỷ  ") == canonical("thủy")
        True
    """
    plain = text if text.isascii() else text.translate(_LOOK_ALIKES)
    return to_old_placement(unicodedata.normalize("NFC", plain)).strip()
