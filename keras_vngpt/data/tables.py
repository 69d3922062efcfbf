"""Rows to records: the header, and what is empty around a table; Parquet, which has its own."""

import unicodedata


def table_records(path, rows, faults, summary):
    """`(place, record)` of each row below the header; rows and columns without a word are counted.

    Args:
        path: Path.
        rows: iterable of `(number, fields)`, a list of str each.
        faults, summary: as for `read_records`.
    """
    names, first, stray = None, "", set()
    for number, fields in rows:
        if not any(map(str.strip, fields)):
            summary.passed_over["empty rows"] += 1
        elif names is None:
            names, first = _names(fields), fields[0].lstrip("\ufeff")
            named = [name for name in names if name]
            if len(set(named)) < len(named):
                faults.append(f"{path}:{number}: two columns have one name: {', '.join(named)}")
                return
        elif fields[0].lstrip("\ufeff") == first and _names(fields) == names:
            summary.passed_over["repeated headers"] += 1  # of files that were put together
        elif len(fields) < len(names) or any(map(str.strip, fields[len(names) :])):
            faults.append(
                f"{path}:{number}: {len(fields)} fields where the header has {len(names)}. "
                'Put quotes around a text with commas: "a, b"'
            )
        else:
            stray.update(i for i, name in enumerate(names, 1) if not name and fields[i - 1].strip())
            yield (
                f"{path}:{number}",
                {name: field for name, field in zip(names, fields, strict=False) if name},
            )
    if n_columns := (names or []).count("") - len(stray):
        summary.passed_over["empty columns"] += n_columns
    for column in sorted(stray):
        summary.not_used[f"column {column}"] = "it has no name"


def _names(fields):
    return [column_name(field) for field in fields]


def column_name(text):
    """A name as every program would write it: in NFC, without spaces and marks around it."""
    return unicodedata.normalize("NFC", str(text)).strip("\ufeff\u200b").strip()
