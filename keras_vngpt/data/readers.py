"""Files to documents and conversations, every fault named by file and line."""

import csv
import glob
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

from keras_vngpt.faults import Faults

MAX_FAULTS_SHOWN = 20
SAMPLES = Path(__file__).parents[1] / "samples"
COLUMN_NAMES = (("request", "response"), ("prompt", "completion"))


@dataclass(frozen=True)
class Conversation:
    """Requests with their responses, turn by turn.

    Args:
        prompts: tuple of str; a system text stands before the first, separated by a newline.
        responses: tuple of str, as many.
        source: "file:line".
        group: str, what a split keeps together; "" for the request by itself.
        system: str, the system text that the first prompt begins with, if any.
    """

    prompts: tuple
    responses: tuple
    source: str
    group: str = ""
    system: str = ""


def read_documents(patterns):
    """Read documents from text files: a blank line stands between two.

    Args:
        patterns: list of str, each a file, a folder (its `*.txt`, at any depth) or a glob.

    Returns:
        list of str.

    Raises:
        Faults: a pattern without files, an empty file, invalid UTF-8.

    Example:
        >>> documents = read_documents(["truyen/*.txt"])
    """
    documents, faults = [], []
    for path in _files(patterns, ("*.txt",), faults):
        if text := _text(path, faults):
            parts = (part.strip("\n") for part in re.split(r"\n[ \t]*\n", text))
            documents += [part for part in parts if part.strip()]
    _raise(faults)
    return documents


def read_conversations(patterns):
    """Read requests with their responses from JSONL and CSV files.

    A line of JSONL, or a row of CSV, has `request` and `response`, or `prompt` and `completion`; a
    line of JSONL may have `messages` instead, a list of `{"role", "content"}` with the roles
    system (first, optional), user and assistant in turn. Lines with the same `group` (optional)
    stay on one side of a split.

    Args:
        patterns: list of str, each a file, a folder (its `*.jsonl` and `*.csv`) or a glob.

    Returns:
        list of `Conversation`.

    Raises:
        Faults: every broken line of every file, by file and line.

    Example:
        >>> conversations = read_conversations(["hoi_dap.csv"])
    """
    conversations, faults = [], []
    for path in _files(patterns, ("*.jsonl", "*.csv"), faults):
        text = _text(path, faults)
        if not text:
            continue
        records = _csv_records if path.suffix.lower() == ".csv" else _jsonl_records
        n_before = len(conversations) + len(faults)
        for line, record in records(path, text, faults):
            try:
                prompts, responses, system = _turns(record)
                group = _group(record)
            except ValueError as fault:
                faults.append(f"{path}:{line}: {fault}")
            else:
                source = f"{path}:{line}"
                conversations.append(Conversation(prompts, responses, source, group, system))
        if len(conversations) + len(faults) == n_before:
            faults.append(f"{path}: no line with a request and a response")
    _raise(faults)
    return conversations


def locate(pattern):
    """The path that a user means: "samples:name" is a file that the package ships."""
    if pattern.startswith("samples:"):
        return SAMPLES / pattern.removeprefix("samples:")
    return Path(pattern)


def _files(patterns, suffixes, faults):
    for pattern in patterns:
        path = locate(pattern)
        if path.is_dir():
            found = sorted(p for suffix in suffixes for p in path.rglob(suffix))
            problem = f"no {' or '.join(suffixes)} file in this folder"
        elif path.is_file():
            found = [path]
        else:
            found = sorted(
                p for p in map(Path, glob.glob(str(path), recursive=True)) if p.is_file()
            )
            problem = "no such file, folder or glob"
        if not found:
            faults.append(f"{pattern}: {problem}")
        yield from found


def _text(path, faults):
    """The text of a file, line breaks as "\\n", or `None` with a fault noted."""
    try:
        data = path.read_bytes()
    except OSError as error:
        faults.append(f"{path}: cannot be read ({error.strerror})")
        return None
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.append(
            f"{path}:{line}: invalid UTF-8 (byte 0x{data[error.start]:02x}). Save the file as UTF-8"
        )
        return None
    if not any(character.isprintable() and character != " " for character in text):
        faults.append(f"{path}: the file is empty")
        return None
    return text


def _jsonl_records(path, text, faults):
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            yield line, json.loads(content)
        except json.JSONDecodeError as error:
            faults.append(f"{path}:{line}: not valid JSON ({error.msg}, column {error.colno})")
        except (ValueError, RecursionError) as error:  # a number too long, nested too deeply
            faults.append(f"{path}:{line}: not valid JSON ({error})")


def _csv_records(path, text, faults):
    reader = csv.DictReader(io.StringIO(text), strict=True)
    names = [(name or "").strip() for name in reader.fieldnames or []]
    if not any(set(pair) <= set(names) for pair in COLUMN_NAMES):
        expected = " or ".join(f'"{a}" and "{b}"' for a, b in COLUMN_NAMES)
        hint = ". Separate the columns by commas" if any(";" in name for name in names) else ""
        faults.append(f"{path}:1: missing column: needs {expected}, has {', '.join(names)}{hint}")
        return
    if len(set(names)) < len(names):
        faults.append(f"{path}:1: two columns have one name: {', '.join(names)}")
        return
    reader.fieldnames = names
    line = reader.line_num + 1
    try:
        for record in reader:
            n = len(names) + len(record.get(None) or ()) - list(record.values()).count(None)
            if n == len(names):
                yield line, record
            else:
                faults.append(
                    f"{path}:{line}: {n} fields where the header has {len(names)}. "
                    'Put quotes around a text with commas: "a, b"'
                )
            line = reader.line_num + 1
    except csv.Error as error:
        faults.append(f"{path}:{line}: not valid CSV ({error})")


def _turns(record):
    """One record as `(prompts, responses, system)`; a `ValueError` says what is wrong with it."""
    if not isinstance(record, dict):
        raise ValueError(f"needs an object with request and response, is {json.dumps(record)[:40]}")
    if "messages" in record:
        return _message_turns(record["messages"])
    for request, response in COLUMN_NAMES:
        if request in record and response in record:
            return (
                (_filled(record[request], request),),
                (_filled(record[response], response),),
                "",
            )
    raise ValueError(
        "missing column: needs request and response, prompt and completion, or messages; "
        f"has {', '.join(map(str, record)) or 'none'}"
    )


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
    contents[0] = f"{system}\n{contents[0]}" if system else contents[0]
    return tuple(contents[::2]), tuple(contents[1::2]), system


def _group(record):
    """What the record is kept together with; numbers are names too."""
    group = record.get("group")
    if isinstance(group, int):
        group = str(group)
    if group is None or group == "":  # an empty cell of a CSV
        return ""
    return _filled(group, "group")


def _filled(value, name):
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, is {json.dumps(value, default=str)[:40]}")
    if not value.strip():
        raise ValueError(f"empty {name}")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{name} is not valid Unicode: it has half a surrogate pair")
    return value.strip()


def _raise(faults):
    if len(faults) > MAX_FAULTS_SHOWN:
        hidden = len(faults) - MAX_FAULTS_SHOWN
        faults = [*faults[:MAX_FAULTS_SHOWN], f"... and {hidden} more faults"]
    if faults:
        raise Faults(faults)
