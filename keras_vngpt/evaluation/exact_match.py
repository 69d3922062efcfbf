"""Answers test requests and compares each answer with the expected response."""

from keras_vngpt.console import Progress
from keras_vngpt.text.normalization import canonical
from keras_vngpt.text.system_text import with_system

BATCH = 64


def exact_match(generator, conversations, system=None, refuse_below=None):
    """Answer the last request of every conversation, greedily, and compare.

    Two texts are equal if they are after `canonical`: the placement of tone marks does not count.

    Args:
        generator: a `TextGenerator`.
        conversations: list of `Conversation`.
        system: str, the system text of all of them; `None` for the one that each has, or else the
            model's.
        refuse_below: float, the certainty that an answer must have; `None` for the model's own.

    Returns:
        list of dictionaries: `request`, `expected`, `answer`, `correct`, `certainty`.

    Example:
        >>> answers = exact_match(generator, conversations)
        >>> sum(a["correct"] for a in answers) / len(answers)
    """
    # Alike lengths together: a batch is padded to its longest prompt.
    order = sorted(range(len(conversations)), key=lambda i: sum(map(len, conversations[i].prompts)))
    answers = [None] * len(conversations)
    with Progress("answering", len(conversations), "requests") as progress:
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            batch = [conversations[i] for i in places]
            turns = [(_prompts(c, generator, system), c.responses[:-1]) for c in batch]
            found = generator.answer_conversations(  # the system text is in them
                turns, system="", refuse_below=refuse_below, certainties=True
            )
            for i, c, text, certainty in zip(places, batch, *found, strict=True):
                answers[i] = {
                    "request": c.requests[-1],
                    "expected": c.responses[-1],
                    "answer": text,
                    "correct": canonical(text) == canonical(c.responses[-1]),
                    "certainty": round(certainty, 4),
                }
            progress.add(len(batch))
    return answers


def _prompts(conversation, generator, system):
    if system is None:
        system = conversation.system or generator.system
    first, *rest = conversation.requests
    return [with_system(system, first), *rest]
