"""Requests as people make them who have not read the question: words left out, exchanged, added."""

import re
from collections import Counter

from keras_vngpt.augmentation.letters import folded, without_diacritics
from keras_vngpt.augmentation.user_files import read_lines

LONGEST = 5  # words of a phrase of the thesaurus
TRIES = 8  # to find words that say which question is meant
LEAST_KEPT = 0.2  # share of the words of a question
EXCHANGED = 0.85  # of the phrases for which there are others
SHUFFLED, PLAIN = 0.4, 0.3  # of the requests: in another order, without diacritics
TALKATIVE, DISTRACTED = 0.4, 0.3  # with something told beside, with words of other worlds
NEAR = 0.4  # of the strange requests: with words of a question
MOST_ASIDE = 5  # words that have nothing to do with it
ALIKE = 0.6  # of what a text says is in a pair: the pair may be about it
MARKS = "", "", "?", "?", "."


class Thesaurus:
    """Phrases that may stand for each other.

    Args:
        pattern: str, a text file with a group of phrases on a line, separated by commas.

    Example:
        >>> thesaurus = Thesaurus("samples:thesaurus.txt")
        >>> thesaurus.parts("Gửi xe máy bao nhiêu tiền?")
        ['Gửi xe', 'máy', 'bao nhiêu tiền']
    """

    def __init__(self, pattern="samples:thesaurus.txt"):
        lines = [line.split(",") for line in read_lines(pattern)]
        self.groups = [[" ".join(p.split()) for p in phrases if p.strip()] for phrases in lines]
        self.groups_of = {}
        for number, group in enumerate(self.groups):
            for phrase in group:
                self.groups_of.setdefault(folded(phrase), []).append(number)

    def parts(self, text):
        """A text as phrases of the thesaurus, the longest that fit, and the words between them."""
        words, parts = re.findall(r"\w+(?:[.,/-]\w+)*", text), []
        while words:
            sizes = range(min(LONGEST, len(words)), 0, -1)
            n = next((n for n in sizes if folded(" ".join(words[:n])) in self.groups_of), 1)
            parts.append(" ".join(words[:n]))
            words = words[n:]
        return parts or [text]

    def meanings(self, parts):
        """A set with what phrases that may stand for each other have in common."""
        return {self.groups_of.get(folded(part), [folded(part)])[0] for part in parts}

    def other(self, part, random):
        """A phrase that may stand for this one; itself, if there is none."""
        numbers = self.groups_of.get(folded(part))
        return random.choice(self.groups[random.choice(numbers)]) if numbers else part


class RoughPhrasings:
    """Draws what might be asked by people who want one of a set of answers, or none of them.

    Args:
        pairs: list of `(question, answer)`.
        phrasings: list of lists of str, other phrasings of each question.
        thesaurus: `Thesaurus`.
    """

    def __init__(self, pairs, phrasings, thesaurus):
        self.thesaurus, self.asides = thesaurus, read_lines("samples:asides.txt")
        self.asked = [
            [thesaurus.parts(text) for text in (question, *others)]
            for (question, _), others in zip(pairs, phrasings, strict=True)
        ]
        answered = [thesaurus.parts(answer) for _, answer in pairs]
        self.meanings = [
            thesaurus.meanings([*asked[0], *answer])
            for asked, answer in zip(self.asked, answered, strict=True)
        ]
        count = Counter(meaning for of_pair in self.meanings for meaning in of_pair)
        # What no other pair speaks of says as much as the question does.
        self.telling = [
            [p for p in answer if all(count[m] == 1 for m in thesaurus.meanings([p]))]
            for answer in answered
        ]

    def strangers(self, texts):
        """The parts of those texts that no pair is about, a list of lists of str."""
        found = []
        for parts in map(self.thesaurus.parts, texts):
            said = self.thesaurus.meanings(parts)
            if all(len(said & known) <= ALIKE * len(said) for known in self.meanings):
                found.append(parts)
        return found or [*map(self.thesaurus.parts, texts)]

    def draw(self, number, strangers, random):
        """A request for the answer of a pair.

        Args:
            number: int, of the pair.
            strangers: from `strangers`; some requests have words of them in between.
            random: `random.Random`.

        Returns:
            str.
        """
        telling, own = self.telling[number], self.meanings[number]
        for _ in range(TRIES):
            share = random.uniform(LEAST_KEPT, 1.0)
            parts = [p for p in random.choice(self.asked[number]) if random.random() < share]
            parts += random.sample(telling, min(random.choice((0, 1, 2)), len(telling)))
            said = self.thesaurus.meanings(parts) & own
            if sum(said <= other for other in self.meanings) == 1:
                break
        else:
            parts = list(self.asked[number][0])
        if random.random() < DISTRACTED:
            put_in(parts, some_of(random.choice(strangers), random, MOST_ASIDE), random)
        return self._typed(parts, random)

    def draw_strange(self, strangers, random):
        """A request that no pair answers, though it may have words of one.

        Args:
            strangers: from `strangers`.
            random: `random.Random`.

        Returns:
            str.
        """
        parts = list(random.choice(strangers))
        if random.random() < NEAR:
            put_in(parts, some_of(random.choice(self.asked)[0], random, 2), random)
        return self._typed(parts, random)

    def _typed(self, parts, random):
        """Parts of a request as somebody puts and types them."""
        if random.random() < SHUFFLED:
            random.shuffle(parts)
        if random.random() < TALKATIVE:
            put_in(parts, random.choice(self.asides).split(), random)
        text = " ".join(
            self.thesaurus.other(part, random) if random.random() < EXCHANGED else part
            for part in parts
        )
        text = without_diacritics(text) if random.random() < PLAIN else text
        text = text.lower() if random.random() < 0.5 else text[:1].upper() + text[1:]
        return text + random.choice(MARKS)


def some_of(parts, random, most):
    """Up to so many parts that stand side by side."""
    start = random.randrange(len(parts))
    return parts[start : start + random.randint(1, most)]


def put_in(parts, more, random):
    """Put more parts between two others."""
    place = random.randint(0, len(parts))
    parts[place:place] = more
