"""The lines of a text file, whatever its packing; what is not UTF-8 is named by its line."""

import bz2
import gzip
import lzma
import re
from io import TextIOWrapper

MAX_BROKEN_LINES = 5  # that are named of one file
UTF16 = (b"\xff\xfe", b"\xfe\xff")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


def open_packed(path):
    """A binary file, unpacked as its ending says."""
    opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(path.suffix.lower(), open)
    return opener(path, "rb")


def lines(path, faults, summary):
    """`(number, line)` of a text file, every line that is not UTF-8 a fault.

    Args:
        path: Path.
        faults: list, that gets a line for everything that is broken.
        summary: `FileSummary`, that gets the encoding.
    """
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
