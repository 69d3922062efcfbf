"""Tables: delimited text and Parquet, row by row."""

import csv

from keras_vngpt.data.sources import kind
from keras_vngpt.data.text_lines import lines

csv.field_size_limit(2**31 - 1)  # a document may be a cell


def read_delimited(path, faults, summary):
    """`(place, record)` of a CSV or TSV file; arguments as for `read_records`."""
    is_tsv = kind(path) == ".tsv"
    text = (line for _, line in lines(path, faults, summary))
    reader = csv.reader(text, strict=True, delimiter="\t" if is_tsv else ",")
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


def read_parquet(path, faults, summary):
    """`(place, record)` of a Parquet file; arguments as for `read_records`."""
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
