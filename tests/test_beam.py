"""Rows made on Apache Beam's local runner: pip install -e ".[beam]"."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from conftest import SETTINGS

import keras_vngpt
from keras_vngpt.data.beam import load
from keras_vngpt.data.beam.load import load_rows
from keras_vngpt.data.beam.prepare import prepare_rows
from keras_vngpt.data.dataset import TRIPLE, PackedDataset
from keras_vngpt.data.find_texts import PreparedRows
from keras_vngpt.data.prepared_rows import Context
from keras_vngpt.data.splits import SIDES, side_of
from keras_vngpt.errors import UserError
from keras_vngpt.tasks import TASKS
from keras_vngpt.text.tokenizer import load_tokenizer

pytest.importorskip("apache_beam", reason="pip install -e .[beam]")
pytestmark = pytest.mark.slow  # pipelines in processes of their own

TOPICS = "sáng trưa chiều tối mưa nắng gió bão chợ nhà bếp vườn sông núi".split()
SHARES = {"test": 0.1, "validation": 0.1}
WORKERS = ["direct_num_workers=2", "direct_running_mode=multi_processing"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, tokenizer):
    """Files of 400 documents, with 40 copies and 40 that are nearly copies."""
    folder = tmp_path_factory.mktemp("corpus")
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(TOPICS, 60)) + "." for _ in range(400)]
    given = [*texts, *texts[:40], *(text + " Thêm." for text in texts[40:80])]
    for i in range(3):
        (folder / f"{i}.txt").write_text("\n\n".join(given[i::3]), encoding="utf-8")
    tokenizer.save_to_preset(str(folder / "tokenizer"))
    return folder, given


def prepared(corpus, to, options=(), near=0.8):
    folder = corpus[0]
    return prepare_rows(
        [str(folder / "*.txt")], str(folder / "tokenizer"), str(to), 32, 3, near=near,
        beam=list(options),
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows(corpus, tmp_path_factory):
    """The folder of the rows of all documents but the copies."""
    return prepared(corpus, tmp_path_factory.mktemp("rows"), near=0)


@pytest.fixture
def copied(rows, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(rows, tmp_path / "copied")


def rows_of(folder, side):
    examples = tfds.builder_from_directory(folder).as_dataset(split=side).as_numpy_iterator()
    return sorted(tuple(tuple(e[name].tolist()) for name in TRIPLE) for e in examples)


def test_rows_of_many_workers_are_the_rows_of_one_and_of_the_documents(corpus, tmp_path):
    one, two = prepared(corpus, tmp_path / "1"), prepared(corpus, tmp_path / "2", WORKERS)
    tokenizer = load_tokenizer(corpus[0] / "tokenizer")
    told = {}
    for side in SIDES:
        of_one = rows_of(one, side)
        assert of_one == rows_of(two, side)
        assert {len(part) for row in of_one for part in row} == {32}
        ids = np.concatenate([row[0] for row in of_one])
        told[side] = sum(ids == tokenizer.start_token_id)
    assert sum(told.values()) == 400  # no copy, and nothing but the copies is gone
    assert abs(told["test"] - 40) < 25 and abs(told["validation"] - 40) < 25


@pytest.mark.parametrize("options", [(), WORKERS], ids=["one process", "two"])
def test_a_file_that_cannot_be_read_is_named(corpus, tmp_path, options):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "Trời mưa."}\n{"text"\n')
    given = [str(bad)], str(corpus[0] / "tokenizer"), str(tmp_path / "rows")
    with pytest.raises(UserError) as caught:
        prepare_rows(*given, beam=list(options))
    (line,) = caught.value.faults
    assert line.startswith(f"{bad}:2: not valid JSON") and "running" not in line


def test_loaded_rows_are_those_on_disk_and_know_the_bytes_of_their_texts(
    corpus, rows, tmp_path, monkeypatch
):
    monkeypatch.setattr(load, "AT_ONCE", 7)  # never all in memory
    figures = load_rows(rows, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(SIDES)
    for side in SIDES:
        loaded = PackedDataset.load(tmp_path / side)
        columns = [loaded[name].tolist() for name in TRIPLE]
        assert sorted(tuple(map(tuple, row)) for row in zip(*columns, strict=True)) == (
            rows_of(rows, side)
        )
        texts = [text for text in set(corpus[1]) if side_of(text, SHARES) == side]
        assert figures[side] == {
            "documents": len(texts),
            "bytes": sum(len(text.encode()) for text in texts),
            "weight": loaded.weight,
            "tokens": loaded.tokens,
        }


@pytest.fixture(scope="module")
def settings(rows):
    return {
        "pretrain": {**SETTINGS["pretrain"], "data": [f"rows:{rows}"], "sequence_length": 32},
        "skip": ["finetune", "export"],
    }


@pytest.fixture(scope="module")
def run_on_rows(settings, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("runs"))
    return keras_vngpt.fit(folder=folder, name="rows", model=SETTINGS["model"], **settings)


def test_fit_trains_on_the_rows_with_their_tokenizer(corpus, rows, run_on_rows):
    ids = np.load(run_on_rows / "work" / "pretrain" / "train" / "token_ids.npy")
    assert sorted(map(tuple, ids.tolist())) == [row[0] for row in rows_of(rows, "train")]
    proto = "tokenizer/assets/tokenizer/vocabulary.spm"
    assert (run_on_rows / proto).read_bytes() == (corpus[0] / proto).read_bytes()
    assert 0 < run_on_rows.metrics["pretrain.bits_per_byte"] < 8


def test_rows_of_another_length_are_refused(settings, run_on_rows):
    settings = {**settings, "pretrain": {**settings["pretrain"], "sequence_length": 64}}
    with pytest.raises(UserError, match="pretrain.sequence_length: the rows of .* have 32 pos"):
        keras_vngpt.fit(folder=str(run_on_rows.folder.parent), name="other", **settings)


def test_rows_of_another_tokenizer_than_that_of_the_model_are_refused(
    settings, run_on_rows, copied, tmp_path
):
    shutil.rmtree(copied / "tokenizer")
    keras_vngpt.train_tokenizer(TOPICS * 9, 300).save_to_preset(str(copied / "tokenizer"))
    settings = {**settings, "pretrain": {**settings["pretrain"], "data": [f"rows:{copied}"]}}
    with pytest.raises(UserError) as caught:
        keras_vngpt.fit(init=str(run_on_rows.folder), folder=str(tmp_path / "runs"), **settings)
    line = f"{copied}/tokenizer: is not the tokenizer of {run_on_rows.folder}"
    assert caught.value.faults == [line]


def test_a_model_that_cannot_tell_documents_apart_gets_no_packed_rows(rows, tmp_path):
    context = Context(tokenizer=None, packs=False)
    with pytest.raises(UserError, match="documents share its rows"):
        TASKS["pretrain"].pack(PreparedRows(Path(rows)), None, None, tmp_path, context)


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    "name, damage, fault",
    [
        ("*-train.tfrecord*", cut, "the rows are damaged"),
        ("*-test.tfrecord*", lambda path: path.unlink(), "the rows are damaged"),
        ("dataset_info.json", lambda path: path.write_text("{"), "the rows are damaged"),
        ("features.json", lambda path: path.unlink(), "the rows are damaged"),
        ("tokenizer/tokenizer.json", lambda path: path.unlink(), "cannot be loaded"),
    ],
)
def test_damaged_rows_are_one_line(copied, tmp_path, name, damage, fault):
    for path in copied.glob(name):
        damage(path)
    with pytest.raises(UserError) as caught:
        load_rows(copied, tmp_path / "loaded")
    (line,) = caught.value.faults
    assert line.startswith(str(copied)) and fault in line and "\n" not in line


def test_a_folder_without_rows_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no rows that python -m keras_vngpt.data.beam prepared"):
        keras_vngpt.fit(
            folder=str(tmp_path / "runs"), **{"pretrain.data": [f"rows:{tmp_path}"]}, check=True
        )
