"""Workbooks of Excel (.xlsx): the first sheet with a word on it, each cell as the user sees it."""

from itertools import zip_longest

from keras_vngpt.data.cell_text import cell_text
from keras_vngpt.data.text_lines import open_packed
from keras_vngpt.errors import needs_extra


def read_excel(path, faults, summary):
    """`(number, fields)` of each row, as `table_records` takes them; arguments as there."""
    summary.encoding = ""
    try:
        from openpyxl import load_workbook
    except ModuleNotFoundError as error:
        faults.append(needs_extra(path, error, "xlsx"))
        return
    try:
        with open_packed(path) as values, open_packed(path) as formulas:
            yield from _first_sheet(
                path,
                load_workbook(values, read_only=True, data_only=True),
                load_workbook(formulas, read_only=True),
                faults,
                summary,
            )
    except OSError:
        raise
    except Exception as error:  # whatever the reader raises of what is damaged within
        why = " ".join(str(error).split())[:80] or type(error).__name__
        faults.append(f"{path}: not a valid Excel workbook ({why})")


def _first_sheet(path, values, formulas, faults, summary):
    sheets = [sheet for sheet in values.worksheets if _is_filled(sheet)]
    if not sheets:
        faults.append(f"{path}: the file is empty")
        return
    first, *others = sheets
    if first is not values.worksheets[0]:
        summary.assumed.append(f"sheet {first.title}")
    for sheet in others:
        summary.not_used[f"sheet {sheet.title}"] = "the first sheet alone is read"
    yield from _rows(path, first, formulas[first.title], faults)


def _is_filled(sheet):
    sheet.reset_dimensions()  # some programs write them wrong
    return any(value is not None for row in sheet.iter_rows(values_only=True) for value in row)


def _rows(path, sheet, formulas, faults):
    """`(number, fields)` of each row: as many fields as the row before had at most."""
    formulas.reset_dimensions()
    width = 0
    pairs = zip_longest(sheet.iter_rows(), formulas.iter_rows(values_only=True), fillvalue=())
    for number, (cells, sources) in enumerate(pairs, 1):
        fields = [cell_text(cell.value, cell.number_format) for cell in cells]
        for field, source in zip(fields, sources, strict=False):
            if not field and isinstance(source, str) and source.startswith("="):
                faults.append(
                    f"{path}:{number}: a formula without its value. Open the workbook in Excel "
                    "and save it"
                )
                break
        width = max(width, len(fields))
        yield number, fields + [""] * (width - len(fields))
