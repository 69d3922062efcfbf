"""Requests as hurried people might type them: words left out, exchanged, moved and added."""

import re
from collections import Counter

from keras_vngpt.augmentation.names import folded
from keras_vngpt.augmentation.user_files import read_lines
from keras_vngpt.augmentation.rewording import without_diacritics

LONGEST = 5  # words of a phrase of the thesaurus
TRIES = 8
OPENINGS = (
    "cho em hỏi", "dạ", "alo", "chào shop", "ad ơi", "em ơi", "anh chị ơi", "mình hỏi chút", "cho hỏi", "bạn ơi",
    "hi", "xin chào", "tui muốn hỏi", "dạ cho con hỏi", "bên mình", "ở đây", "chỗ mình", "nhờ tư vấn", "làm ơn cho biết",
)  # fmt: skip
CLOSINGS = (
    "ạ", "vậy", "nhỉ", "thế", "vậy ạ", "hả", "nha", "v", "với", "đó", "á", "hen", "vậy shop", "không biết", "giúp em với",
    "cảm ơn", "vậy em", "vậy chị", "ta",
)  # fmt: skip
ASIDES = (
    "em", "mình", "tui", "nhà em", "con", "thì", "mà", "cái", "là", "luôn", "nữa", "rồi", "đang", "định", "hôm qua",
    "chị", "anh", "cũng", "thôi", "giờ", "lỡ", "đi", "có", "này", "kia", "cho", "được", "bị", "nè", "chắc", "hình như", "ai",
)  # fmt: skip
TYPED = {
    "không": ("k", "ko", "hông", "hong"), "được": ("dc", "đc"), "gì": ("j", "gi"), "vậy": ("v", "z", "dậy"), "với": ("vs",),
    "rồi": ("r", "rùi"), "nhiêu": ("nhiu",), "mình": ("mik", "mk"), "em": ("e",), "anh": ("a",), "chị": ("c", "chj"),
    "bây giờ": ("bh",), "biết": ("bit", "bít"), "người": ("ng",), "ngày": ("ngayf",), "cũng": ("cg",), "vào": ("vô", "zô"),
    "giờ": ("h",), "bao": ("bn",), "muốn": ("mún",), "tôi": ("tui", "t"), "nhé": ("nhá",), "này": ("nè",), "khi": ("khj",),
}  # fmt: skip


class Thesaurus:
    """Phrases that may stand for each other.

    Args:
        pattern: str, a text file with a group of phrases on a line, separated by commas.

    Example:
        >>> Thesaurus("samples:thesaurus.txt").others("ô tô")
    """

    def __init__(self, pattern):
        self.groups = [
            [" ".join(phrase.split()) for phrase in line.split(",") if phrase.strip()]
            for line in read_lines(pattern)
        ]
        self.groups_of = {}
        for number, group in enumerate(self.groups):
            for phrase in group:
                self.groups_of.setdefault(folded(phrase), []).append(number)

    def parts(self, text):
        """A text as phrases of the thesaurus, the longest that fit, and the words between them."""
        words, found, i = re.findall(r"\w+(?:[.,/-]\w+)*", text), [], 0
        while i < len(words):
            for n in range(min(LONGEST, len(words) - i), 0, -1):
                phrase = " ".join(words[i : i + n])
                if n == 1 or folded(phrase) in self.groups_of:
                    break
            found.append(phrase)
            i += n
        return found

    def meaning(self, phrase):
        """What phrases that may stand for each other have in common."""
        numbers = self.groups_of.get(folded(phrase))
        return numbers[0] if numbers else folded(phrase)

    def other(self, phrase, random):
        """A phrase that may stand for this one; itself, if there is none."""
        numbers = self.groups_of.get(folded(phrase))
        return random.choice(self.groups[random.choice(numbers)]) if numbers else phrase


class RoughPhrasings:
    """Draws from what might be asked by people who want one of a set of answers.

    Args:
        pairs: list of `(question, answer)`.
        thesaurus: `Thesaurus`.
    """

    def __init__(self, pairs, thesaurus):
        self.thesaurus = thesaurus
        self.asked = [thesaurus.parts(question) for question, _ in pairs]
        answered = [thesaurus.parts(answer) for _, answer in pairs]
        meanings = [
            {thesaurus.meaning(part) for part in (*q, *a)}
            for q, a in zip(self.asked, answered, strict=True)
        ]
        frequency = Counter(meaning for of_pair in meanings for meaning in of_pair)
        # What only this answer speaks of says as much as its question does.
        self.only = [[p for p in a if frequency[thesaurus.meaning(p)] == 1] for a in answered]
        self.meanings = meanings

    def draw(self, number, random):
        """A phrasing of a question.

        Args:
            number: int, of the pair.
            random: `random.Random`.

        Returns:
            str.
        """
        for _ in range(TRIES):
            share = random.uniform(0.3, 1.0)
            parts = [p for p in self.asked[number] if random.random() < share]
            n_more = random.choice((0, 0, 0, 1, 1, 2))
            parts += random.sample(self.only[number], min(n_more, len(self.only[number])))
            said = {self.thesaurus.meaning(part) for part in parts}
            if sum(said <= other for other in self.meanings) == 1:
                break
        else:
            parts = list(self.asked[number])
        if random.random() < 0.4:
            random.shuffle(parts)
        parts = [self.thesaurus.other(p, random) if random.random() < 0.5 else p for p in parts]
        return rough(parts, random)


def rough(parts, random):
    """Parts of a request as somebody types them in a hurry.

    Args:
        parts: list of str.
        random: `random.Random`.

    Returns:
        str.
    """
    parts = list(parts)
    for _ in range(random.choice((0, 0, 0, 1, 2, 3))):
        parts.insert(random.randrange(len(parts) + 1), random.choice(ASIDES))
    if random.random() < 0.4:
        parts.insert(0, random.choice(OPENINGS))
    if random.random() < 0.4:
        parts.append(random.choice(CLOSINGS))
    words = " ".join(parts).split()
    if random.random() < 0.2:
        words = [random.choice(TYPED[w]) if w in TYPED and random.random() < 0.7 else w for w in words]
    text = " ".join(words)
    if random.random() < 0.3:
        text = without_diacritics(text)
    text = text.lower() if random.random() < 0.5 else text[:1].upper() + text[1:]
    return text + random.choice(("", "", "?", "?", "."))
