"""The pairs of a set: each question once, none against the facts, those that belong together."""

from collections import Counter
from dataclasses import dataclass

from keras_vngpt.augmentation.letters import key


@dataclass(frozen=True)
class Pair:
    """A question with its answer.

    Args:
        question: str.
        answer: str.
        system: str.
        group: int, shared with whatever must stay on one side of a split.
        origin: str, of the question: "original", "template" or "language model".
        source: str, "file:line" of the original.
        answer_origin: str, of the answer.
        original_answer: str, what `answer` is a wording of.
    """

    question: str
    answer: str
    system: str
    group: int
    origin: str
    source: str
    answer_origin: str = "original"
    original_answer: str = ""


class PairSet:
    """Pairs, and those that were left out.

    Args:
        facts: `Facts`, that no pair may contradict.
    """

    def __init__(self, facts):
        self.facts = facts
        self.pairs, self.rejected, self.dropped = [], [], Counter()
        self.labels = {}  # what a group is called; by default its first question
        self._asked = {}  # the pair of each question, by the question's key
        self._joined = {}  # a group, and the one that it has become part of

    def add(self, pair):
        """Take a pair if its question is new and it contradicts no fact; whether it was taken."""
        name = key(pair.question)
        if first := self._asked.get(name):
            # The same phrasing of two questions: they are one, and no split may part them.
            self._join(pair.group, first.group)
            if pair.origin == "original" and key(pair.answer) != key(first.answer):
                self.rejected.append((pair, f"another answer than in {first.source}"))
            elif pair.origin != "template":
                self.dropped[f"{pair.origin}: a copy"] += 1
            return False
        if name == key(pair.answer):
            self.dropped[f"{pair.origin}: a copy of its answer"] += 1
            return False
        if contradiction := self.facts.contradiction(pair.question, pair.answer):
            if pair.origin != "template":  # another variant takes its place
                self.rejected.append((pair, contradiction))
            return False
        self._asked[name] = pair
        self.pairs.append(pair)
        return True

    def originals(self):
        """The pairs of the file: a list."""
        return [pair for pair in self.pairs if pair.origin == "original"]

    def lines(self, kinds):
        """The pairs as dictionaries, with what they belong to.

        Args:
            kinds: `Kinds`.
        """
        labels = [
            self.labels.setdefault(self._root(pair.group), pair.question) for pair in self.pairs
        ]
        kind_of = {}
        for pair, label in zip(self.pairs, labels, strict=True):
            kind_of.setdefault(label, kinds.of(pair.question))
        return [
            {
                "request": pair.question,
                "response": pair.answer,
                "system": pair.system,
                "group": label,
                "kind": kind_of[label],
                "origin": pair.origin,
                "answer_origin": pair.answer_origin,
                **({"original_answer": pair.original_answer} if pair.original_answer else {}),
            }
            for pair, label in zip(self.pairs, labels, strict=True)
        ]

    def _join(self, group, other):
        first, second = sorted((self._root(group), self._root(other)))
        if first != second:
            self._joined[second] = first

    def _root(self, group):
        while group in self._joined:
            group = self._joined[group]
        return group
