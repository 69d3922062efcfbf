"""Answers test requests and compares each answer with the expected response."""

import keras

from keras_vngpt.console import verbosity
from keras_vngpt.text.normalization import canonical

BATCH = 64


def exact_match(generator, conversations):
    """Answer the last request of every conversation, greedily, and compare.

    Two texts are equal if they are after `canonical`: the placement of tone marks does not count.

    Args:
        generator: a `TextGenerator`.
        conversations: list of `Conversation`.

    Returns:
        list of dictionaries: `request`, `expected`, `answer`, `correct`.

    Example:
        >>> answers = exact_match(generator, conversations)
        >>> sum(a["correct"] for a in answers) / len(answers)
    """
    # Alike lengths together: a batch is padded to its longest prompt.
    order = sorted(range(len(conversations)), key=lambda i: sum(map(len, conversations[i].prompts)))
    answers = [None] * len(conversations)
    bar = keras.utils.Progbar(len(conversations), verbose=verbosity(), unit_name="request")
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        batch = [conversations[i] for i in places]
        texts = generator.answer_conversations([(c.prompts, c.responses[:-1]) for c in batch])
        for i, c, text in zip(places, batch, texts, strict=True):
            answers[i] = {
                "request": c.prompts[-1],
                "expected": c.responses[-1],
                "answer": text,
                "correct": canonical(text) == canonical(c.responses[-1]),
            }
        bar.update(start + len(batch))
    return answers
