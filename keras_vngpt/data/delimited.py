"""Delimited text (CSV, TSV), whatever stands between the columns, row by row."""

import csv
from itertools import chain

from keras_vngpt.data.delimiters import NAMES, beginning, sniff_delimiter, told_delimiter
from keras_vngpt.data.sources import kind
from keras_vngpt.data.text_lines import lines

MOST_CHARACTERS = 2**26  # of a cell, which may be a document; a quote that never closes is more
csv.field_size_limit(MOST_CHARACTERS)


def read_delimited(path, faults, summary):
    """`(line, fields)` of each row, as `table_records` takes them; arguments as there."""
    expected = "\t" if kind(path) == ".tsv" else ","
    text = (line for _, line in lines(path, faults, summary))
    first = beginning(text)
    told = told_delimiter(first[0]) if first else ""
    n_before = len(first[:1]) if told else 0
    first = first[n_before:]
    delimiter = summary.delimiter = told or sniff_delimiter(first, expected)
    if not told and delimiter != expected:
        summary.assumed.append(f"{NAMES[delimiter]} between columns")
    reader = csv.reader(chain(first, text), strict=True, delimiter=delimiter)
    number = n_before + 1
    try:
        for fields in reader:
            yield number, fields
            number = n_before + reader.line_num + 1
    except csv.Error as error:
        faults.append(f"{path}:{number}: not valid {summary.format} ({error})")
