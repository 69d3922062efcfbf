"""One record as what is learned from it: the text of a document, or the turns of a conversation."""

import json
import unicodedata
from dataclasses import dataclass

from keras_vngpt.data.cleaning import without_control
from keras_vngpt.data.splits import SIDES
from keras_vngpt.text.system_text import with_system, without_system

SHOWN = 12  # names of columns in a message
COLUMN_NAMES = (("request", "response"), ("prompt", "completion"), ("question", "answer"))
SIDE_NAMES = {side: side for side in SIDES} | {
    "training": "train", "valid": "validation", "val": "validation", "dev": "validation"
}  # fmt: skip


@dataclass(frozen=True)
class Conversation:
    """Requests with their responses, turn by turn.

    Args:
        prompts: tuple of str; a system text stands before the first, separated by a newline.
        responses: tuple of str, as many.
        source: "file:line".
        group: str, what a split keeps together; "" for the request by itself.
        system: str, the system text that the first prompt begins with, if any.
        side: str, the side of a split that its column names, if there is one.
    """

    prompts: tuple
    responses: tuple
    source: str
    group: str = ""
    system: str = ""
    side: str = ""

    @property
    def key(self):
        """What a split hashes."""
        return self.group or self.asked[-1]

    @property
    def requests(self):
        """The prompts without the system text."""
        first, *rest = self.prompts
        return (without_system(self.system, first), *rest)

    @property
    def asked(self):
        """The prompts in one form of Unicode."""
        return tuple(unicodedata.normalize("NFC", prompt) for prompt in self.prompts)


@dataclass(frozen=True)
class Columns:
    """The columns of a table, or the names of a JSON object, that hold what is learned.

    Args:
        text: of a document.
        request: of a request; by default "request" or "prompt".
        response: of a response; by default "response" or "completion".
        split: of the side that a record belongs to: "train", "validation" or "test".
    """

    text: str = "text"
    request: str | None = None
    response: str | None = None
    split: str | None = None


class MissingColumn(ValueError):
    """A record without the columns that are needed."""


def text_of(record, name):
    """The text of a record; a `ValueError` says what is wrong with it."""
    if not isinstance(record, dict) or name not in record:
        has = _names(record) if isinstance(record, dict) else _excerpt(record)
        raise MissingColumn(f'needs text in "{name}", has {has}')
    if not isinstance(record[name], str):
        raise ValueError(f"{name} must be text, is {_excerpt(record[name])}")
    if _is_half(record[name]):
        raise ValueError(f"{name} is not valid Unicode: it has half a surrogate pair")
    return record[name]


def turns_of(record, columns):
    """One record as `(prompts, responses, system)`; a `ValueError` says what is wrong with it."""
    if not isinstance(record, dict):
        raise ValueError(f"needs an object with request and response, is {_excerpt(record)}")
    pairs = COLUMN_NAMES
    if columns.request or columns.response:
        pairs = ((columns.request or "request", columns.response or "response"),)
    for request, response in pairs:
        if request in record and response in record:
            return (
                (_filled(record[request], request),),
                (_filled(record[response], response),),
                "",
            )
    if "messages" in record:
        return _message_turns(record["messages"])
    needed = " or ".join(f'"{a}" and "{b}"' for a, b in pairs)
    raise MissingColumn(f'missing column: needs {needed} or "messages"; has {_names(record)}')


def _message_turns(messages):
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise ValueError("messages must be a list of objects with role and content")
    messages = list(messages)
    system = ""
    if messages and messages[0].get("role") == "system":
        system = _filled(messages.pop(0).get("content"), "system message")
    roles = [m.get("role") for m in messages]
    if not roles or roles != ["user", "assistant"] * (len(roles) // 2):
        raise ValueError(
            "messages must be user and assistant in turn, after an optional system; "
            f"roles are {', '.join(map(str, roles)) or 'none'}"
        )
    contents = [_filled(m.get("content"), f"{m['role']} message") for m in messages]
    contents[0] = with_system(system, contents[0])
    return tuple(contents[::2]), tuple(contents[1::2]), system


def group_of(record):
    """What the record is kept together with; numbers are names too."""
    group = record.get("group")
    if isinstance(group, int):
        group = str(group)
    if group is None or group == "":  # an empty cell of a CSV
        return ""
    return _filled(group, "group")


def side_of_record(record, columns):
    """The side of a split that a record belongs to; "" where no column says so."""
    if columns.split is None:
        return ""
    if columns.split not in record:
        raise MissingColumn(
            f'missing column: needs "{columns.split}" (train, validation or test); '
            f"has {_names(record)}"
        )
    side = record[columns.split]
    name = SIDE_NAMES.get(side.strip().lower()) if isinstance(side, str) else None
    if name is None:
        raise ValueError(f"{columns.split} must be train, validation or test, is {_excerpt(side)}")
    return name


def _filled(value, name):
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, is {_excerpt(value)}")
    if not without_control(value).strip():
        raise ValueError(f"empty {name}")
    if _is_half(value):
        raise ValueError(f"{name} is not valid Unicode: it has half a surrogate pair")
    return value.strip()


def _names(record):
    """The first names in a record, for a message."""
    names = [str(name) for name in record]
    more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return ", ".join([*names[:SHOWN], *more]) or "nothing"


def _is_half(text):
    """Whether there is half a surrogate pair in a text: JSON can spell it, UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _excerpt(value):
    return json.dumps(value, default=str, ensure_ascii=False)[:40]
