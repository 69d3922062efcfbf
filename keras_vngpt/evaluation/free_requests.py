"""Requests in free words: right is every answer that a regular expression accepts."""

import re

from keras_vngpt.data.formats import read_records
from keras_vngpt.data.sources import find_sources
from keras_vngpt.errors import UserError


def read_free_requests(patterns):
    """Read requests, or conversations of several, each with the answers that are right.

    A record has `request`, or `requests` for the turns of a conversation, and `accept`, a regular
    expression for the last answer, from its beginning to its end. `kind` is free.

    Args:
        patterns: list of str, JSONL files, folders or globs.

    Returns:
        list of dictionaries: `requests` (list of str), `accept`, `kind`.

    Raises:
        UserError: every broken line, by file and line.

    Example:
        >>> read_free_requests(["samples:home_free.jsonl"])[0]["requests"]
    """
    items, faults = [], []
    for path in (p for s in find_sources(patterns, faults, (".jsonl",)) for p in s.paths):
        for place, record in read_records(path, faults):
            try:
                requests = record.get("requests") or [record["request"]]
                re.compile(accept := record["accept"])
                if not all(isinstance(text, str) and text.strip() for text in requests):
                    raise ValueError("a request must be text")
            except (KeyError, AttributeError, TypeError):
                faults.append(f'{place}: needs "request" or "requests", and "accept"')
            except (re.error, ValueError) as fault:
                faults.append(f"{place}: {fault}")
            else:
                kind = str(record.get("kind", ""))
                items.append({"requests": requests, "accept": accept, "kind": kind})
    if faults:
        raise UserError(faults)
    return items


def answer_free_requests(generator, items):
    """Let a model answer; what it said before is part of a conversation.

    Args:
        generator: a `TextGenerator`.
        items: as `read_free_requests` returns them.

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
