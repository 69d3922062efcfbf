"""The lines of a text file, whatever its packing and encoding; what breaks it is named by line."""

import bz2
import gzip
import lzma
import re
import unicodedata
from io import TextIOWrapper

from keras_vngpt.data.encodings import ONE_BYTE, SAMPLE_BYTES, encoding_of

MAX_BROKEN_LINES = 5  # that are named of one file
ZEROS = "\0" * 8  # a block that was never written; one alone is a control character like others
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_REPLACED = re.compile("\ufffd")


def open_packed(path):
    """A binary file, unpacked as its ending says."""
    opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(path.suffix.lower(), open)
    return opener(path, "rb")


def lines(path, faults, summary):
    """`(number, line)` of a text file, every line that breaks its encoding a fault.

    Args:
        path: Path.
        faults: list, that gets a line for everything that is broken.
        summary: `FileSummary`, that gets the encoding.
    """
    with open_packed(path) as file:
        encoding = encoding_of(file.read(SAMPLE_BYTES))
    if encoding.fault:
        faults.append(f"{path}: {encoding.fault}")
        return
    summary.encoding = encoding.name
    if encoding.is_assumed:
        summary.assumed.append(f"encoding {encoding.name}")
    errors, broken = (
        ("replace", _REPLACED) if encoding.is_foreign else ("surrogateescape", _NOT_UTF8)
    )
    is_empty, n_broken = True, 0
    with TextIOWrapper(open_packed(path), encoding=encoding.codec, errors=errors) as file:
        for number, line in enumerate(_unified(file, encoding.codec), 1):
            if not line.isascii() and (found := broken.search(line)):
                byte = "" if encoding.is_foreign else f" (byte 0x{ord(found[0]) - 0xDC00:02x})"
                fault = f"{path}:{number}: invalid {encoding.name}{byte}. Save the file as UTF-8"
                faults += [fault] if n_broken < MAX_BROKEN_LINES else []
                n_broken += 1
                is_empty = False
                continue
            if ZEROS in line:
                faults += [f"{path}:{number}: a block of zero bytes; text is lost here"]
                continue
            if is_empty:
                is_empty = not any(c.isprintable() and c != " " for c in line)
            yield number, "\n" if is_empty else line
    if n_broken > MAX_BROKEN_LINES:
        hidden = n_broken - MAX_BROKEN_LINES
        faults.append(f"{path}: invalid {encoding.name} on {hidden} more lines")
    if is_empty:
        faults.append(f"{path}: the file is empty")


def _unified(file, codec):
    """The lines of windows-1258 in NFC, not in its own half-composed form; UTF-8 amid it broken."""
    return (_unified_line(line, codec) for line in file) if codec in ONE_BYTE else file


def _unified_line(line, codec):
    if line.isascii() or "\ufffd" in line:
        return line
    try:
        line.encode(codec).decode("utf-8")
    except UnicodeDecodeError:
        return unicodedata.normalize("NFC", line)
    return "\ufffd\n"
