"""What the tests of `augment` share: files of pairs, written and read, and the shipped names."""

import csv
import json
from pathlib import Path

from keras_vngpt.augmentation.names import Names
from keras_vngpt.augmentation.user_files import read_lines

GAZETTEER = read_lines("samples:travel_names.txt")
NAMES = Names(GAZETTEER)


def write_csv(path, pairs):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("request", "response"), *pairs])
    return str(path)


def lines_of(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def questions_of(path):
    return [line["messages"][-2]["content"] for line in lines_of(path)]
