"""One file of any accepted format, or a TFDS data set, as a stream of records with their places."""

import bz2
import csv
import gzip
import json
import lzma
import re
import zlib
from io import TextIOWrapper

from keras_vngpt.data.sources import DOCUMENTS, DUMPS, TEXT, TFDS, kind
from keras_vngpt.errors import needs_extra

csv.field_size_limit(2**31 - 1)  # a document may be a cell
MAX_BROKEN_LINES = 5  # that are named of one file
UTF16 = (b"\xff\xfe", b"\xfe\xff")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError)


def read_records(path, faults):
    """The records of a file, one after another: memory holds one at a time.

    Args:
        path: Path of a file, by its ending: text (a blank line stands between two documents, each
            `{"text": ...}`), JSONL, CSV, TSV, Parquet, a Wikipedia dump (an article is one
            `{"text": ...}`); text files may be packed by gzip or bzip2. Or str, "tfds:NAME".
        faults: list, that gets a line for everything that is broken.

    Yields:
        `(place, record)`: "file:line" and a dictionary, or what else JSON held.

    Example:
        >>> for place, record in read_records(Path("hoi_dap.csv"), faults): ...
    """
    if str(path).startswith(TFDS):
        yield from _tfds(path, faults)
        return
    readers = {".jsonl": _jsonl, ".csv": _csv, ".tsv": _csv, ".parquet": _parquet, "": _text}
    readers |= dict.fromkeys(TEXT, _text) | dict.fromkeys(DUMPS, _wikipedia)
    reader = readers.get(kind(path))
    if reader is None:
        faults.append(f"{path}: {kind(path)} files are not read, but {' '.join(DOCUMENTS)}")
        return
    try:
        yield from reader(path, faults)
    except OSError as error:
        why = " ".join(str(error.strerror or error).split())  # of a library, over several lines
        faults.append(f"{path}: cannot be read ({why})")
    except _DAMAGED as error:
        faults.append(f"{path}: is damaged ({error})")


def open_packed(path):
    """A binary file, unpacked as its ending says."""
    opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(path.suffix.lower(), open)
    return opener(path, "rb")


def _lines(path, faults):
    """`(number, line)` of a text file, every line that is not UTF-8 a fault."""
    is_empty, n_broken = True, 0
    with open_packed(path) as file:
        if file.read(2) in UTF16:
            faults.append(f"{path}:1: is UTF-16. Save the file as UTF-8")
            return
    with TextIOWrapper(open_packed(path), encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if not line.isascii() and (broken := _NOT_UTF8.search(line)):
                byte = ord(broken[0]) - 0xDC00
                fault = (
                    f"{path}:{number}: invalid UTF-8 (byte 0x{byte:02x}). Save the file as UTF-8"
                )
                faults += [fault] if n_broken < MAX_BROKEN_LINES else []
                n_broken += 1
                is_empty = False
                continue
            if is_empty:
                is_empty = not any(c.isprintable() and c != " " for c in line)
            yield number, "\n" if is_empty else line
    if n_broken > MAX_BROKEN_LINES:
        hidden = n_broken - MAX_BROKEN_LINES
        faults.append(f"{path}: invalid UTF-8 on {hidden} more lines")
    if is_empty:
        faults.append(f"{path}: the file is empty")


def _text(path, faults):
    lines, start = [], 1
    for number, line in _lines(path, faults):
        if line.strip(" \t\n"):
            if not lines:
                start = number
            lines.append(line)
        elif lines:
            yield f"{path}:{start}", {"text": "".join(lines).strip("\n")}
            lines = []
    if lines:
        yield f"{path}:{start}", {"text": "".join(lines).strip("\n")}


def _jsonl(path, faults):
    for number, line in _lines(path, faults):
        if not line.strip():
            continue
        is_list = False
        try:
            record = json.loads(line)
            is_list = isinstance(record, list) and record and isinstance(record[0], dict)
            if not is_list:
                yield f"{path}:{number}", record
        except json.JSONDecodeError as error:
            is_list = number == 1 and line.startswith("[")
            if not is_list:
                what = f"{error.msg}, column {error.colno}"
                faults.append(f"{path}:{number}: not valid JSON ({what})")
        except (ValueError, RecursionError) as error:  # a number too long, nested too deeply
            faults.append(f"{path}:{number}: not valid JSON ({error})")
        if is_list:
            faults.append(f"{path}:{number}: is a JSON list. Put each object on a line of its own")
            return


def _csv(path, faults):
    is_tsv = kind(path) == ".tsv"
    lines = (line for _, line in _lines(path, faults))
    reader = csv.reader(lines, strict=True, delimiter="\t" if is_tsv else ",")
    number, names = 1, None
    try:
        for fields in reader:
            line, number = number, reader.line_num + 1
            if not fields:
                continue
            if names is None:
                names = [name.strip() for name in fields]
                if len(set(names)) < len(names):
                    faults.append(f"{path}:1: two columns have one name: {', '.join(names)}")
                    return
            elif len(fields) != len(names):
                faults.append(
                    f"{path}:{line}: {len(fields)} fields where the header has {len(names)}. "
                    'Put quotes around a text with commas: "a, b"'
                )
            else:
                yield f"{path}:{line}", dict(zip(names, fields, strict=True))
    except csv.Error as error:
        faults.append(f"{path}:{number}: not valid CSV ({error})")


def _parquet(path, faults):
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            row = 0
            for batch in file.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    row += 1
                    yield f"{path}:{row}", record
            if not row:
                faults.append(f"{path}: the file is empty")
    except pa.ArrowException as error:
        faults.append(f"{path}: not valid Parquet ({str(error).splitlines()[0]})")


def _wikipedia(path, faults):
    """Articles of a MediaWiki dump, their markup taken off by mwparserfromhell."""
    try:
        import mwparserfromhell
        import mwxml
    except ModuleNotFoundError as error:
        faults.append(needs_extra(path, error, "wikipedia"))
        return
    n_articles = 0
    try:
        for page in mwxml.Dump.from_file(open_packed(path)):
            if page.namespace or page.redirect:
                continue
            for revision in page:
                code = mwparserfromhell.parse(revision.text or "")
                for table in code.filter_tags(matches=lambda tag: tag.tag in ("table", "ref")):
                    if table in code.nodes:
                        code.remove(table)
                text = re.sub(r"\s*\n\s*", "\n", code.strip_code()).strip()
                if text:
                    n_articles += 1
                    yield f"{path}:{page.title}", {"text": f"{page.title}\n{text}"}
    except (mwxml.errors.MalformedXML, ValueError, SyntaxError) as error:
        faults.append(f"{path}: not a valid MediaWiki dump ({str(error).splitlines()[0]})")
    else:
        if not n_articles:
            faults.append(f"{path}: no article in this dump")


def _tfds(name, faults):
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
