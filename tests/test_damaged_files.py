"""Files that were damaged on their way: a line that names the cause, no silent loss."""

import csv
import gzip
import io
import json
import random
import re
import tracemalloc

import pytest

from keras_vngpt.data.readers import read_conversations
from keras_vngpt.data.records import Columns
from keras_vngpt.errors import UserError

ROWS = [
    (f"Mã hỏi-{i:03} ở đâu?", f'Ở kệ "số {i}", tầng {i % 3}; xem đáp-{i:03} và phụ lục.')
    for i in range(1, 41)
]
SEEN = re.compile(r"(?:hỏi|đáp)-\d{3}")
FIRST_BYTES = {
    "image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "zip": b"PK\x03\x04\x14\0\x06\0",
    "office": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0",
    "program": b"\x7fELF\x02\x01\x01\0",
    "parquet": b"PAR1\x15\x04\x15",
    "noise": b"",
}


def as_csv(rows, delimiter=",", header=("request", "response")):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def as_jsonl(rows):
    objects = [{"request": a, "response": b} for a, b in rows]
    return "\n".join(json.dumps(o, ensure_ascii=False) for o in objects).encode()


def as_json(rows):
    objects = [{"request": a, "response": b} for a, b in rows]
    return json.dumps(objects, ensure_ascii=False, indent=1).encode()


def as_xlsx(rows):
    openpyxl = pytest.importorskip("openpyxl")
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in [("request", "response"), *rows]:
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def as_parquet(rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    requests, responses = zip(*rows, strict=True)
    pq.write_table(pa.table({"request": requests, "response": responses}), file)
    return file.getvalue()


WRITERS = {
    "csv": as_csv,
    "tsv": lambda rows: as_csv(rows, "\t"),
    "semicolons.csv": lambda rows: as_csv(rows, ";"),
    "utf16.csv": lambda rows: as_csv(rows).decode().encode("utf-16"),
    "jsonl": as_jsonl,
    "json": as_json,
    "csv.gz": lambda rows: gzip.compress(as_csv(rows), mtime=0),
    "xlsx": as_xlsx,
    "parquet": as_parquet,
}
IS_TEXT = ("csv", "tsv", "semicolons.csv", "jsonl", "json")


def cut(data, rng):
    return data[: rng.randrange(1, len(data))]


def with_flipped_bits(data, rng):
    data = bytearray(data)
    for _ in range(20):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def with_zeros(data, rng):
    start = rng.randrange(len(data))
    return data[:start] + bytes(min(512, len(data) - start)) + data[start + 512 :]


def without_the_middle(data, rng):
    a, b = sorted(rng.sample(range(len(data)), 2))
    return data[:a] + data[b:]


def with_the_end_in_latin_1(data, rng):
    return (
        data[: len(data) // 2]
        + "và ở cửa hàng là đúng\n".encode("latin-1", "replace")
        + (data[len(data) // 2 :])
    )


def with_the_end_in_utf_16(data, rng):
    lines = data.splitlines(keepends=True)
    half = len(lines) // 2
    return b"".join(lines[:half]) + b"".join(lines[half:]).decode().encode("utf-16-le")


def twice(data, rng):
    return data + data


def with_lines_shuffled(data, rng):
    lines = data.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines)


def with_lone_returns(data, rng):
    return data.replace(b"\n", b"\r")


def with_quotes_escaped_by_backslash(data, rng):
    return data.replace(b'""', b'\\"')


def with_a_quote_more(data, rng):
    at = rng.randrange(len(data))
    return data[:at] + b'"' + data[at:]


def with_a_delimiter_more(data, rng):
    at = rng.randrange(len(data))
    return data[:at] + b",;\t"[at % 3 : at % 3 + 1] + data[at:]


DAMAGES = [cut, with_flipped_bits, with_zeros, without_the_middle, twice]
TEXT_DAMAGES = [
    with_the_end_in_latin_1, with_the_end_in_utf_16, with_lines_shuffled, with_lone_returns,
    with_quotes_escaped_by_backslash, with_a_quote_more, with_a_delimiter_more,
]  # fmt: skip


def damaged_files():
    """`(name, bytes)` of 200 files and more, the same in every run."""
    rng = random.Random(21)
    for ending, write in WRITERS.items():
        data = write(ROWS)
        for damage in [*DAMAGES, *(TEXT_DAMAGES if ending in IS_TEXT else [])]:
            for i in range(2):
                yield f"{damage.__name__}-{i}.{ending}", damage(data, rng)
        for kind, start in FIRST_BYTES.items():
            yield f"{kind}.{ending}", start + rng.randbytes(3000)
        yield f"empty.{ending}", b""
        yield f"spaces.{ending}", b" \n\t\n\xef\xbb\xbf \n"


def strange_tables():
    """`(name, bytes)` of tables that are whole and wrong."""
    yield "other_columns.csv", as_csv(ROWS, header=("ask", "reply"))
    yield "same_columns.csv", as_csv(ROWS, header=("request", "request"))
    yield "no_header.csv", as_csv(ROWS[1:], header=ROWS[0])
    yield "header_alone.csv", as_csv([])
    yield "header_twice.csv", as_csv([*ROWS, ("request", "response"), *ROWS])
    yield "without_answers.csv", as_csv([(a, "") for a, _ in ROWS])
    yield "third_field.csv", as_csv([(*row, "thêm") for row in ROWS])
    yield "html.csv", b"<html><body><table><tr><td>request</td></tr></table></body></html>"
    yield "numbers.json", b"[1, 2, 3]"
    yield "deep.json", b"[" * 100_000
    yield "nulls.jsonl", b'{"request": null, "response": null}\n' * 3


FILES = dict([*damaged_files(), *strange_tables()])


def test_there_are_two_hundred():
    assert len(FILES) >= 200


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_or_read_whole(tmp_path, name):
    path, summaries = tmp_path / name, {}
    path.write_bytes(FILES[name])
    try:
        found = read_conversations([str(path)], Columns(), summaries)
    except UserError as error:
        assert all(fault.startswith(str(path)) and "\n" not in fault for fault in error.faults)
        assert all(len(fault) < len(str(path)) + 300 for fault in error.faults), error.faults
        return
    texts = [text for c in found for text in (*c.prompts, *c.responses)]
    assert not any("\0" in text or text in ("request", "response") for text in texts)
    read = {mark for text in texts for mark in SEEN.findall(text)}
    if name.endswith(("xlsx", "parquet", "gz")):
        stands = {mark for row in ROWS for text in row for mark in SEEN.findall(text)}
    else:
        encoding = "utf-16" if "utf16" in name else "utf-8"
        stands = set(SEEN.findall(FILES[name].decode(encoding, "replace")))
    assert stands <= read or summaries[path].passed_over or summaries[path].not_used


def test_a_quote_that_never_closes_does_not_take_the_file_into_memory(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'request,response\nmot,"hai\n' + b"ba,bon nam sau bay tam\n" * 1_000_000)
    limit = csv.field_size_limit(2**20)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"a\.csv:2: not valid CSV .*limit"):
            read_conversations([str(path)])
        assert tracemalloc.get_traced_memory()[1] < 2**24  # the file has 22 MB
    finally:
        tracemalloc.stop()
        csv.field_size_limit(limit)
