"""The first sheet of an Excel workbook, row by row, as its cells are seen; by openpyxl."""

import datetime

from keras_vngpt.data.tables import table_records
from keras_vngpt.errors import needs_extra


def read_excel(path, faults, summary):
    """`(place, record)` of a row; arguments as for `read_records`."""
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        faults.append(needs_extra(path, error, "xlsx"))
        return
    summary.encoding = ""
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        first, *others = book.worksheets
        for sheet in others:
            summary.not_used[f"sheet {sheet.title}"] = "the first sheet alone is read"
        rows = first.iter_rows(values_only=True)
        numbered = ((n, list(map(_shown, cells))) for n, cells in enumerate(rows, 1))
        yield from table_records(path, numbered, faults, summary)
        book.close()
    except OSError:
        raise
    except Exception as error:  # whatever a damaged archive or its XML raises
        faults.append(f"{path}: not a valid Excel workbook ({str(error).splitlines()[0]})")


def _shown(value):
    """A cell as a person sees it: no ".0" behind a whole number, dates by day, month and year."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    if isinstance(value, datetime.datetime):
        return value.strftime("%d/%m/%Y %H:%M")
    if isinstance(value, datetime.date):
        return value.strftime("%d/%m/%Y")
    if isinstance(value, datetime.time):
        return value.strftime("%H:%M")
    return str(value)
