"""Requests in free words, each with a regular expression that accepts the right answers."""

import re

from keras_vngpt.data.file_summary import FileSummary
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
        for place, record in read_records(path, faults, FileSummary(path)):
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
