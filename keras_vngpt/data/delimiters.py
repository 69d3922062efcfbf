"""What stands between the columns of a table: told by its first rows."""

import csv
import re
from itertools import islice

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
SAMPLE_LINES, SAMPLE_CHARACTERS = 100, 2**16
MOST_ROWS = 0.5  # at least have as many fields as the header, or it is not the delimiter
_TOLD = re.compile(r'\ufeff?\s*"?sep=([^"\r\n]|\t)"?[\s,;|]*', re.IGNORECASE)


def told_delimiter(line):
    """The delimiter of a first line "sep=;", as Excel writes and reads it; "" of any other.

    Args:
        line: str.

    Example:
        >>> told_delimiter("sep=;\\n")
        ';'
    """
    found = _TOLD.fullmatch(line)
    return found[1] if found else ""


def sniff_delimiter(first_lines, expected):
    """The delimiter that gives a header of two columns and rows of as many fields.

    Args:
        first_lines: list of str, with or without the end of the last row.
        expected: str, the delimiter that the ending of the file names; it stays unless another one
            fits better.

    Returns:
        str.

    Example:
        >>> sniff_delimiter(["request;response\\n", "a, b;c\\n"], ",")
        ';'
    """
    fits = {delimiter: _fit(first_lines, delimiter) for delimiter in (expected, *NAMES)}
    best = max(fits, key=fits.get)  # the first of equals
    return best if fits[best] >= MOST_ROWS else expected


def beginning(lines):
    """The first lines of a table, as many as tell its delimiter.

    Args:
        lines: iterator of str, that goes on behind them.
    """
    first, size = [], 0
    for line in islice(lines, SAMPLE_LINES):
        first.append(line)
        size += len(line)
        if size > SAMPLE_CHARACTERS:
            break
    return first


def _fit(first_lines, delimiter):
    """The share of the rows below the header that have as many fields; 0 for a header of one."""
    rows = []
    try:
        for fields in csv.reader(first_lines, strict=True, delimiter=delimiter):
            if any(map(str.strip, fields)):
                rows.append(len(fields))
    except csv.Error:  # the last row goes on, or quotes do not fit
        pass
    if not rows or rows[0] < 2:
        return 0.0
    header, *rest = rows
    return rest.count(header) / len(rest) if rest else 1.0
