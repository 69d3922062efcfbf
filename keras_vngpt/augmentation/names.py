"""Names that keep their capitals: from a gazetteer, and as the user's own file writes them."""

import re
import unicodedata
from collections import Counter

from keras_vngpt.augmentation.letters import any_of, folded, is_syllable

LONGEST = 4  # words of a name that is learned
_WORD = re.compile(r"[^\W\d_]+(?:[.\-][^\W\d_]+)*")


class Names:
    """A set of names, found in any case and tone placement.

    Args:
        names: iterable of str, written as they should be.

    Example:
        >>> Names(["Đà Lạt"]).restore("Chợ đà lạt ở đâu?")
        'Chợ Đà Lạt ở đâu?'
    """

    def __init__(self, names):
        names = [" ".join(unicodedata.normalize("NFC", name).split()) for name in names]
        self.names = {folded(name): name for name in names}
        longest_first = sorted(self.names, key=len, reverse=True)
        self.pattern = f"(?:{any_of(map(re.escape, longest_first))})"
        self._compiled = re.compile(rf"(?<!\w){self.pattern}(?!\w)")

    def find(self, text):
        """Every name in a text: a list of `(start, end, name)`."""
        return [(*m.span(), self.names[m[0]]) for m in self._compiled.finditer(folded(text))]

    def restore(self, text):
        """The text with its names' capitals; it loses none."""
        letters = list(text)
        for start, end, name in self.find(text):
            for i, letter in zip(range(start, end), name, strict=True):
                if letter.isupper():
                    letters[i] = letters[i].upper()
        return "".join(letters)

    def lowered(self, text):
        """The text with a small first letter, unless it begins with a name.

        Example:
            >>> Names([]).lowered("Gửi xe ở đâu"), Names([]).lowered("Fansipan ở đâu")
            ('gửi xe ở đâu', 'Fansipan ở đâu')
        """
        first, *others = re.findall(r"[^\W\d_]+", text)[:3] or [""]
        capitals = [word[0].isupper() for word in others]
        starts = [start for start, _, name in self.find(text) if name[0].isupper()]
        # "Văn Miếu", not "Chợ Bến Thành", nor "Vé Vinh" where Vinh is a name
        is_two = capitals[:1] == [True] and capitals[1:] != [True]
        is_name = 0 in starts or (is_two and len(first) + 1 not in starts)
        is_name |= not is_syllable(first) or (len(first) > 1 and not first[1:].islower())
        return text if is_name else text[:1].lower() + text[1:]

    def learned_from(self, texts):
        """These names and those that texts write with capitals inside a sentence.

        A name of several words is learned if it has its capitals at least as often as not, one of
        a single word only if it always has them.
        """
        capital, everywhere = Counter(), Counter()
        texts = [unicodedata.normalize("NFC", text) for text in texts]
        for text in texts:
            words = list(_WORD.finditer(text))
            is_capital = [
                m[0][0].isupper() and (len(m[0]) == 1 or not m[0].isupper()) for m in words
            ]
            if sum(is_capital) > max(2, 0.7 * len(words)):  # a headline tells nothing
                continue
            run = []
            for i, m in enumerate(words):
                before = text[: m.start()].rstrip(" ")[-1:]
                is_joined = bool(run) and text[words[i - 1].end() : m.start()] == " "
                is_inside = before.isalnum() or before in tuple(",–-(")
                if not (is_capital[i] and is_joined):
                    capital.update(_name(run))
                    run = []
                if is_capital[i] and (is_joined or is_inside):
                    run.append(m[0])
            capital.update(_name(run))
        for text in map(folded, texts):
            words = [m[0] for m in _WORD.finditer(text)]
            for n in range(1, LONGEST + 1):
                everywhere.update(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
        learned = []
        for name, count in capital.items():
            total = everywhere[folded(name)]
            n_words = len(name.split())
            if (n_words > 1 and count * 2 >= total) or (count > 1 and count == total):
                learned.append(name)
        return Names([*learned, *self.names.values()])


def _name(run):
    return [" ".join(run)] if 0 < len(run) <= LONGEST else []
