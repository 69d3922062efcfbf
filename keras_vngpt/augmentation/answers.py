"""Other wordings of an answer that say the same."""

import random
import re

from keras_vngpt.augmentation.letters import folded, key
from keras_vngpt.augmentation.same_facts import same_facts

TRIES = 40  # without a new wording, before an answer is taken to have no more

_OPENING = re.compile(r"(?:dạ|vâng|thưa (?:bạn|anh chị))\b[,:]?\s*(?=\S)")
_CLOSING = re.compile(r"\s+(?:ạ|nhé|nha|bạn nhé|nhé bạn)$")
_FIRST = re.compile(r".*?(?<=\w\w|\w[)%])[.!?…:](?=\s|$)|.+")


class Answers:
    """Words answers in other ways.

    Args:
        book: `PhraseBook`.
        names: `Names`.

    Example:
        >>> next(Answers(book, names).wordings("Vé khứ hồi giá 90.000 đồng."))
        'Dạ giá vé khứ hồi là 90.000 đồng ạ.'
    """

    def __init__(self, book, names):
        self.book, self.names = book, names

    def wordings(self, answer, seed=0):
        """Wordings of an answer, each once; all have its numbers, names and denials.

        Args:
            answer: str, cleaned.
            seed: int.

        Yields:
            str.
        """
        draw = random.Random(f"{seed} {key(answer)}")
        seen, n_tries = {key(answer)}, 0
        first = _FIRST.match(answer)[0]
        rest = answer[len(first) :]
        mark = re.search(r"[.!?…:\s]*$", first)[0]
        body = first[: len(first) - len(mark)]
        body = body[m.end() :] if (m := _OPENING.match(folded(body))) else body
        body = self.names.lowered(_CLOSING.sub("", body) if not rest else body)
        bodies = [body, *self.book.reordered(body, "answer")]
        while self.book.frames["answer"] and n_tries < TRIES:
            n_tries += 1
            frame = draw.choice(draw.choice(self.book.frames["answer"]))
            text, more = (self.book.answers(t, draw) for t in (draw.choice(bodies), rest))
            if frame.clashes_with(text + more) or (frame.after and not _may_end(more)):
                continue
            if rest:  # what closes a sentence closes the last one
                more = re.sub(r"[.!?…:\s]*$", lambda m, f=frame: f.after + m[0], more, count=1)
                filled = frame.filled(text).removesuffix(frame.after) + mark + more
            else:
                filled = frame.filled(text) + mark
            if key(filled) in seen or not same_facts(filled, answer, self.names):
                continue
            seen.add(key(filled))
            n_tries = 0
            yield filled


def _may_end(text):
    """Whether a particle may stand at the end: not after a list, a question or a particle."""
    last = text.rstrip()
    return (
        "\n" not in text
        and not last.endswith(("?", "!", ")", ":"))
        and not re.search(r"\b(?:ạ|nhé|nha)\W*$", last)
    )
