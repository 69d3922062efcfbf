"""One file of any accepted format, or a TFDS data set, as a stream of records with their places."""

import json
import lzma
import zlib
from itertools import chain

from keras_vngpt.data.chat_formats import is_conversation
from keras_vngpt.data.delimited import read_delimited
from keras_vngpt.data.excel import read_excel
from keras_vngpt.data.parquet import read_parquet
from keras_vngpt.data.sources import DOCUMENTS, DUMPS, JSON, TEXT, TFDS, kind
from keras_vngpt.data.tables import table_records
from keras_vngpt.data.text_lines import lines
from keras_vngpt.data.wikipedia import read_wikipedia

FORMATS = {  # as people call them
    ".csv": "CSV", ".tsv": "TSV", ".xlsx": "Excel", ".parquet": "Parquet", TFDS: "TFDS",
    ".jsonl": "JSON lines", ".json": "JSON", ".xml": "MediaWiki dump",
}  # fmt: skip
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError)


def read_records(path, faults, summary):
    """The records of a file, one after another: memory holds one at a time.

    Args:
        path: Path of a file, by its ending: text (a blank line stands between two documents, each
            `{"text": ...}`), JSON, JSONL, CSV, TSV, Excel, Parquet, a Wikipedia dump (an article is
            one `{"text": ...}`); text files may be packed by gzip or bzip2. Or str, "tfds:NAME".
        faults: list, that gets a line for everything that is broken.
        summary: `FileSummary`, that gets what the file was taken for.

    Yields:
        `(place, record)`: "file:line" and a dictionary, or what else JSON held.

    Example:
        >>> for place, record in read_records(path, faults, FileSummary(path)): ...
    """
    summary.format = FORMATS.get(kind(path), "text")
    if str(path).startswith(TFDS):
        yield from _tfds(path, faults, summary)
        return
    tables = {".csv": read_delimited, ".tsv": read_delimited, ".xlsx": read_excel}
    readers = {".parquet": read_parquet, "": _text, **tables}
    readers |= dict.fromkeys(TEXT, _text) | dict.fromkeys(DUMPS, read_wikipedia)
    readers |= dict.fromkeys(JSON, _json)
    reader = readers.get(kind(path))
    if reader is None:
        faults.append(f"{path}: {kind(path)} files are not read, but {' '.join(DOCUMENTS)}")
        return
    try:
        found = reader(path, faults, summary)
        is_table = kind(path) in tables
        yield from table_records(path, found, faults, summary) if is_table else found
    except OSError as error:
        why = " ".join(str(error.strerror or error).split())  # of a library, over several lines
        faults.append(f"{path}: cannot be read ({why})")
    except _DAMAGED as error:
        faults.append(f"{path}: is damaged ({error})")


def _text(path, faults, summary):
    paragraph, start = [], 1
    for number, line in lines(path, faults, summary):
        if line.strip(" \t\n"):
            if not paragraph:
                start = number
            paragraph.append(line)
        elif paragraph:
            yield f"{path}:{start}", {"text": "".join(paragraph).strip("\n")}
            paragraph = []
    if paragraph:
        yield f"{path}:{start}", {"text": "".join(paragraph).strip("\n")}


def _json(path, faults, summary):
    """A record a line, which may be a list of messages; or one list of records."""
    numbered = lines(path, faults, summary)
    first = next(((number, line) for number, line in numbered if line.strip()), None)
    if first and _is_list(first[1]):
        yield from _list(path, first, numbered, faults)
        summary.assumed.append("one list of records")
        return
    for number, line in chain([first] if first else [], numbered):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            if number == first[0] and line.strip() == "{":
                faults.append(
                    f"{path}:{number}: not valid JSON: an object over several lines. Put each on a "
                    "line of its own, or all of them into one list"
                )
                return
            what = f"{error.msg}, column {error.colno}"
            faults.append(f"{path}:{number}: not valid JSON ({what})")
        except (ValueError, RecursionError) as error:  # a number too long, nested too deeply
            faults.append(f"{path}:{number}: not valid JSON ({error})")
        else:
            yield f"{path}:{number}", record


def _is_list(line):
    """Whether a first line begins a list of records, and is no list of messages by itself."""
    if not line.lstrip().startswith("["):
        return False
    try:
        return not is_conversation(json.loads(line))
    except (ValueError, RecursionError):
        return True


def _list(path, first, numbered, faults):
    start, text = first[0] - 1, first[1] + "".join(line for _, line in numbered)
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        place, what = f"{path}:{start + error.lineno}", f"{error.msg}, column {error.colno}"
        faults.append(f"{place}: not valid JSON ({what})")
    except (ValueError, RecursionError) as error:
        faults.append(f"{path}: not valid JSON ({error})")
    else:
        yield from ((f"{path}: record {n}", record) for n, record in enumerate(records, 1))


def _tfds(name, faults, summary):
    """Examples of a TFDS data set, "tfds:NAME" or "tfds:NAME/SPLIT" with "train" by default."""
    import tensorflow_datasets as tfds

    given = name.removeprefix(TFDS)
    given, _, split = given.partition("@")
    split = split or "train"
    try:
        data = tfds.load(given, split=split, shuffle_files=False)
    except Exception as error:  # whatever a builder, a download or a reader raises
        faults.append(f"{name}: cannot be loaded ({str(error).strip().splitlines()[0]})")
        return
    for number, example in enumerate(data.as_numpy_iterator(), 1):
        yield f"{name}:{number}", _decoded(example)


def _decoded(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, dict):
        return {key: _decoded(part) for key, part in value.items()}
    if hasattr(value, "tolist"):
        return _decoded(value.tolist())
    if isinstance(value, list):
        return [_decoded(part) for part in value]
    return value
