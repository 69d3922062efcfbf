"""One table in every form that programs write it: the same rows, or a line that says why not."""

import csv
import datetime
import io
import itertools
import unicodedata

import pytest

from keras_vngpt.data.cell_text import cell_text
from keras_vngpt.data.readers import read_conversations, read_documents
from keras_vngpt.data.records import Columns
from keras_vngpt.errors import UserError

ROWS = [
    ("Cửa hàng mở lúc mấy giờ?", "Cửa hàng mở lúc 7 giờ sáng, đóng lúc 9 giờ tối."),
    ("Địa chỉ ở đâu; có chỗ để xe không?", 'Số 5 "ngõ Hoa Sữa", có chỗ để xe.'),
    ("Có giao hàng tận nhà không?", "Có, trong bán kính 3 km\nphí 15.000 đồng."),
    ("Được đổi trả trong bao lâu?", "Được đổi trả trong 7 ngày."),
]
HEADERS = [("request", "response"), ("Câu hỏi", "Trả lời")]
DELIMITERS = {"commas": ",", "semicolons": ";", "tabs": "\t", "pipes": "|"}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1258"]
FORMS = ["NFC", "NFD"]

MOMENT = datetime.datetime(2024, 3, 5, 14, 7, 9)


def table(header, delimiter, form="NFC", end="\r\n"):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows([header, *ROWS])
    return unicodedata.normalize(form, text.getvalue())


def as_cp1258(text):
    """Vowels with their marks composed, tones behind them: the form that windows-1258 can write."""
    letters = unicodedata.normalize("NFD", text)
    tones = "\u0300\u0301\u0303\u0309\u0323"
    found = ""
    for letter in letters:
        both = unicodedata.normalize("NFC", found[-1:] + letter)
        found = found[:-1] + both if letter not in tones and len(both) == 1 else found + letter
    # a dot below stands before a circumflex in NFD: compose the two letters around it
    for dotted in ("a\u0323\u0302", "e\u0323\u0302", "o\u0323\u0302", "a\u0323\u0306"):
        for cased in (dotted, dotted[0].upper() + dotted[1:]):
            whole = unicodedata.normalize("NFC", cased[0] + cased[2]) + cased[1]
            found = found.replace(cased, whole)
    return found.encode("cp1258")


def rows_of(path, files=None):
    found = read_conversations([str(path)], Columns(), files)
    return [
        tuple(unicodedata.normalize("NFC", text) for text in (c.prompts[0], c.responses[0]))
        for c in found
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("header", HEADERS, ids=["names", "tên"])
def test_one_table_in_every_form_gives_the_same_rows(tmp_path, header, delimiter, encoding, form):
    text = table(header, DELIMITERS[delimiter], form)
    data = as_cp1258(text) if encoding == "cp1258" else text.encode(encoding)
    path, files = tmp_path / "hoi.csv", {}
    path.write_bytes(data)
    expected = [tuple(t.replace("\n", "\n") for t in row) for row in ROWS]
    assert rows_of(path, files) == expected
    line = files[path].line
    assert (delimiter in line) == (delimiter != "commas"), line
    has_mark = encoding in ("utf-16", "utf-32")
    assert ("encoding" in line) == (not has_mark and not encoding.startswith("utf-8")), line


@pytest.mark.parametrize("told, name", [*itertools.product([",", ";", "\t"], ["a.csv", "a.tsv"])])
def test_a_first_line_that_says_the_delimiter_is_believed(tmp_path, told, name):
    path = tmp_path / name
    path.write_text(f"sep={told}\r\n" + table(HEADERS[1], told), encoding="utf-8")
    assert rows_of(path) == ROWS


def test_empty_rows_and_columns_are_passed_over_and_counted(tmp_path):
    lines = ["Câu hỏi,Trả lời,,", *(f"Hỏi {i}?,Đáp {i},," for i in range(3)), *[",,,"] * 5]
    path, files = tmp_path / "a.csv", {}
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert rows_of(path, files) == [(f"Hỏi {i}?", f"Đáp {i}") for i in range(3)]
    assert files[path].passed_over == {"empty rows": 5, "empty columns": 2}


def test_a_workbook_is_read_as_its_cells_are_seen(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["Câu hỏi", "Trả lời", None])
    for answer in (5, 7.0, 0.5, datetime.date(2026, 2, 1), "7 giờ"):
        book.active.append([f"Hỏi {answer}?", answer])
    book.active.append([None, None])
    book.active["B5"].number_format = "dd/mm/yyyy"
    book.active["B4"].number_format = "0%"
    book.create_sheet("Sheet2")
    book.create_sheet("Ghi chú").append(["không học"])
    book.save(tmp_path / "a.xlsx")
    files = {}
    found = rows_of(tmp_path / "a.xlsx", files)
    assert [answer for _, answer in found] == ["5", "7", "50%", "01/02/2026", "7 giờ"]
    assert files[tmp_path / "a.xlsx"].not_used == {"sheet Ghi chú": "the first sheet alone is read"}


def test_a_formula_whose_value_no_program_has_stored_is_named(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["Câu hỏi", "Trả lời"])
    book.active.append(["Giá?", "=5*3"])
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(UserError, match=r"a\.xlsx:2: a formula without its value"):
        rows_of(tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    "value, form, shown",
    [
        (3.0, "General", "3"),
        (0.1 + 0.2, "General", "0.3"),
        (1234567.891, "#,##0.00", "1,234,567.89"),
        (901234567, "0000000000", "0901234567"),
        (12.5, '#,##0 "đ"', "13"),
        (-3.5, "0.00;[Red]-0.00", "-3.50"),
        (True, "General", "TRUE"),
        (MOMENT, "dd/mm/yyyy", "05/03/2024"),
        (MOMENT, "mm-dd-yy", "05/03/2024"),
        (MOMENT, "[$-409]h:mm AM/PM", "2:07 PM"),
        (MOMENT, "yyyy-mm-dd hh:mm:ss", "2024-03-05 14:07:09"),
        (MOMENT.time(), "h:mm", "14:07"),
    ],
)
def test_a_cell_is_read_as_its_format_shows_it(value, form, shown):
    assert cell_text(value, form) == shown


@pytest.mark.parametrize(
    "text",
    [
        "request,response\nWhat is “café”?,It’s a place — très agréable\n",
        "request;response\nWo ist die Straße?;Sie ist gegenüber, hinter der Brücke\n",
    ],
)
def test_western_text_is_read_as_windows_1252_and_said(tmp_path, text):
    path, files = tmp_path / "a.csv", {}
    path.write_bytes(text.encode("cp1252"))
    told = csv.reader(text.splitlines()[1:], delimiter=";" if ";" in text else ",")
    assert rows_of(path, files) == [tuple(row) for row in told]
    assert "encoding windows-1252" in files[path].line


def test_one_column_with_a_semicolon_in_its_name_stays_one(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("nội dung; văn bản\nMột dòng.\n", encoding="utf-8")
    assert read_documents([str(path)], "nội dung; văn bản") == ["Một dòng."]


def test_a_workbook_without_its_reader_names_the_extra(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"a\.xlsx: needs openpyxl. .*keras_vngpt\[xlsx\]"):
        rows_of(tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    "content, fault",
    [
        (b"\x00" * 4000, "the file is empty|zero bytes"),
        (b"PK\x03\x04\x14\x00\x06\x00", "ZIP archive, as .xlsx"),
        (bytes(range(256)) * 20, "not text|invalid UTF-8"),
        ("Cöûa haøng môû cöûa luùc 7 giôø saùng\n".encode("cp1252") * 9, "probably VNI"),
        ("request,response\nà,b\n".encode() + b"\xe0\xff,b\n", ":3: invalid UTF-8"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, content, fault):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=fault):
        rows_of(tmp_path / "a.csv")


def test_a_cell_of_ten_megabytes_and_a_hundred_thousand_empty_rows_are_read(tmp_path):
    path, files = tmp_path / "a.csv", {}
    long = "dài " * 2_500_000
    path.write_text(f"request,response\nHỏi?,{long}\n" + ",\n" * 100_000, encoding="utf-8")
    ((_, answer),) = rows_of(path, files)
    assert answer == long.strip() and files[path].passed_over["empty rows"] == 100_000
