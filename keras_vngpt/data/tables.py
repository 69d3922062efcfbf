"""Rows of a table to records: its header, and what is empty around it."""

import unicodedata


def table_records(path, rows, faults, summary):
    """`(place, record)` of each row below the header; rows and columns without a word are counted.

    Args:
        path: Path.
        rows: iterable of `(number, fields)`, a list of str each.
        faults, summary: as for `read_records`.
    """
    names, nameless, first, stray = None, [], "", set()
    for number, fields in rows:
        if not any(map(str.strip, fields)):
            summary.passed_over["empty rows"] += 1
        elif names is None:
            names, first = _names(fields), fields[0].lstrip("\ufeff")
            nameless = [i for i, name in enumerate(names) if not name]
            named = [name for name in names if name]
            if len(set(named)) < len(named):
                faults.append(f"{path}:{number}: two columns have one name: {', '.join(named)}")
                return
        elif fields[0].lstrip("\ufeff") == first and _names(fields) == names:
            summary.passed_over["repeated headers"] += 1  # of files that were put together
        elif len(fields) != len(names) and not _ends_empty(fields, len(names)):
            faults.append(
                f"{path}:{number}: {len(fields)} fields where the header has {len(names)}. "
                'Put quotes around a text with commas: "a, b"'
            )
        else:
            record = dict(zip(names, fields, strict=False))
            if nameless:
                del record[""]
                stray.update(i for i in nameless if fields[i].strip())
            yield f"{path}:{number}", record
    if n_columns := len(nameless) - len(stray):
        summary.passed_over["empty columns"] += n_columns
    for column in sorted(stray):
        summary.not_used[f"column {column + 1}"] = "it has no name"


def _ends_empty(fields, n_columns):
    """Whether the fields beyond the columns of the header are there and empty."""
    return len(fields) > n_columns and not any(map(str.strip, fields[n_columns:]))


def _names(fields):
    return [column_name(field) for field in fields]


def column_name(text):
    """A name as every program would write it: in NFC, without spaces and marks around it."""
    return unicodedata.normalize("NFC", str(text)).strip("\ufeff\u200b").strip()
