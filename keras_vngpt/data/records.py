"""One record as what is learned from it: the text of a document, or the turns of a conversation."""

import functools
import json
import unicodedata
from dataclasses import dataclass

from keras_vngpt.data.chat_formats import LISTS, is_conversation, messages_of
from keras_vngpt.data.cleaning import without_control, without_html
from keras_vngpt.data.splits import SIDES
from keras_vngpt.text.normalization import canonical
from keras_vngpt.text.system_text import with_system, without_system

SHOWN = 12  # names of columns in a message
COLUMN_NAMES = (  # in one form, as `folded` makes it; the first pair that a record has counts
    ("request", "response"),
    ("prompt", "completion"),
    ("question", "answer"),
    ("instruction", "output"),  # of Alpaca
    ("instruction", "response"),  # of Dolly
    ("prompt", "response"),
    ("question", "response"),
    ("câu hỏi", "trả lời"),
    ("câu hỏi", "câu trả lời"),
    ("hỏi", "đáp"),
    ("hỏi", "trả lời"),
)
MORE_OF_REQUEST = {"instruction": ("input", "context")}  # what stands below an instruction
SYSTEM_NAMES = ("system", "system prompt")
BOOKKEEPING = {  # of which nobody expects that it is learned
    "", "id", "idx", "index", "no", "stt", "uuid", "group", "kind", "origin", "answer origin",
    "source", "split", "url", "link", "lang", "language", "category", "topic", "tags", "date",
    "created at", "updated at", "author", "title", "license", "combination", "model", "dataset",
}  # fmt: skip
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
        """The prompts in one spelling: what the tokenizer takes for the same is one request."""
        return tuple(map(canonical, self.prompts))


@dataclass(frozen=True)
class Columns:
    """The columns of a table, or the names of a JSON object, that hold what is learned.

    Args:
        text: of a document.
        request: of a request; by default "request" or "prompt".
        response: of a response; by default "response" or "completion".
        split: of the side that a record belongs to: "train", "validation" or "test".
        keep_html: bool, whether HTML in requests and responses is learned as it stands.
    """

    text: str = "text"
    request: str | None = None
    response: str | None = None
    split: str | None = None
    keep_html: bool = False


class MissingColumn(ValueError):
    """A record without the columns that are needed."""


@functools.lru_cache(4096)
def folded(name):
    """One form of the name of a column: case, form of Unicode, spaces and "_" tell none apart.

    Example:
        >>> folded(" Câu_hỏi")
        'câu hỏi'
    """
    return " ".join(unicodedata.normalize("NFC", str(name or "")).lower().replace("_", " ").split())


def text_of(record, name):
    """The text of a record; a `ValueError` says what is wrong with it."""
    found = _by_folded(record).get(folded(name)) if isinstance(record, dict) else None
    if found is None:
        has = _names(record) if isinstance(record, dict) else _excerpt(record)
        raise MissingColumn(f'needs text in "{name}", has {has}')
    if not isinstance(record[found], str):
        raise ValueError(f"{name} must be text, is {_excerpt(record[found])}")
    if _is_half(record[found]):
        raise ValueError(f"{name} is not valid Unicode: it has half a surrogate pair")
    return record[found]


def turns_of(record, columns, summary):
    """One record as `(prompts, responses, system)`; a `ValueError` says what is wrong with it.

    Args:
        record: dictionary, or a list of messages.
        columns: `Columns`.
        summary: `FileSummary`, that gets the columns that were taken and those that were not.
    """
    if is_conversation(record):
        record = {"messages": record}
    if not isinstance(record, dict):
        raise ValueError(f"needs an object with request and response, is {_excerpt(record)}")
    names = _by_folded(record)
    read = _read_pair if _pair(names, columns) else _read_messages
    system, contents, taken = read(record, names, columns, summary)
    for name in SYSTEM_NAMES:
        if name in names and not _is_empty(record[names[name]]):
            if system:
                raise ValueError(f"two system texts: {names[name]}, and the first message")
            system, taken["system"] = record[names[name]], names[name]
    summary.columns |= taken
    for name in names.keys() - {*map(folded, (*taken.values(), columns.split)), *BOOKKEEPING}:
        if not _is_empty(record[names[name]]):
            summary.not_used[names[name]] = "a column of which nothing is known"
    roles = ("user message", "assistant message")
    contents = [_said(t, roles[i % 2], columns, summary) for i, t in enumerate(contents)]
    system = system and _said(system, "system message", columns, summary)
    contents[0] = with_system(system, contents[0])
    return tuple(contents[::2]), tuple(contents[1::2]), system


def _read_pair(record, names, columns, summary):
    """`(system, contents, taken)` of a request and a response, texts or lists of messages."""
    pair = _pair(names, columns)
    taken, values = dict(zip(("request", "response"), pair, strict=True)), [record[n] for n in pair]
    if all(map(is_conversation, values)):
        return *messages_of(sum(values, []), summary.not_used), taken
    contents = [_filled(value, name) for value, name in zip(values, pair, strict=True)]
    for name in MORE_OF_REQUEST.get(folded(pair[0]), ()):
        if name in names and not _is_empty(record[names[name]]):
            contents[0] += "\n" + _filled(record[names[name]], names[name])
            taken[f"below the {pair[0]}"] = names[name]
    return "", contents, taken


def _read_messages(record, names, columns, summary):
    """`(system, contents, taken)` of a list of messages."""
    name = next((names[name] for name in LISTS if name in names), None)
    if name is None:
        needed = " or ".join(f'"{a}" and "{b}"' for a, b in _pairs(columns)[:3])
        has = _names(record)
        raise MissingColumn(f'missing column: needs {needed} or "messages"; has {has}')
    return *messages_of(record[name], summary.not_used), {"turns": name}


def _pairs(columns):
    if columns.request or columns.response:
        return ((columns.request or "request", columns.response or "response"),)
    return COLUMN_NAMES


def _pair(names, columns):
    """The names of request and response as they stand there; `None` for none."""
    pairs = (tuple(map(folded, pair)) for pair in _pairs(columns))
    return next(((names[a], names[b]) for a, b in pairs if a in names and b in names), None)


def _by_folded(record):
    """The names in a record by their folded form."""
    names = {folded(name): name for name in record}
    if len(names) < len(record):
        alike = [name for name in record if name not in names.values()]
        raise ValueError(f"two fields have one name: {alike[0]}, {names[folded(alike[0])]}")
    return names


def _said(text, name, columns, summary):
    """A text without HTML, if that is to go."""
    text = _filled(text, name)
    plain = text if columns.keep_html else without_html(text)
    if plain != text:
        summary.passed_over["texts' HTML markup"] += 1
    return _filled(plain, name)


def _is_empty(value):
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def group_of(record):
    """What the record is kept together with; numbers are names too."""
    names = _by_folded(record) if isinstance(record, dict) else {}
    group = record[names["group"]] if "group" in names else None
    if isinstance(group, int):
        group = str(group)
    if group is None or group == "":  # an empty cell of a CSV
        return ""
    return _filled(group, "group")


def side_of_record(record, columns):
    """The side of a split that a record belongs to; "" where no column says so."""
    if columns.split is None:
        return ""
    found = _by_folded(record).get(folded(columns.split)) if isinstance(record, dict) else None
    if found is None:
        raise MissingColumn(
            f'missing column: needs "{columns.split}" (train, validation or test); '
            f"has {_names(record)}"
        )
    side = record[found]
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
