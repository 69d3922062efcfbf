"""Answers to requests in free words: right is what a regular expression accepts."""

import re


def answer_free_requests(generator, items):
    """Let a model answer; what it said before is part of a conversation.

    Args:
        generator: a `TextGenerator`.
        items: from `read_free_requests`.

    Returns:
        list of dictionaries: those of `items`, with `answer` and `correct`.

    Example:
        >>> answers = answer_free_requests(generator, items)
        >>> sum(a["correct"] for a in answers) / len(answers)
    """
    said = [[] for _ in items]
    for turn in range(max((len(item["requests"]) for item in items), default=0)):
        places = [i for i, item in enumerate(items) if turn < len(item["requests"])]
        conversations = [(items[i]["requests"][: turn + 1], said[i]) for i in places]
        for i, answer in zip(places, generator.answer_conversations(conversations), strict=True):
            said[i] = [*said[i], answer]
    return [
        {**item, "answer": answers[-1], "correct": bool(re.fullmatch(item["accept"], answers[-1]))}
        for item, answers in zip(items, said, strict=True)
    ]
