"""Rows made on Apache Beam's local runner: pip install -e ".[beam]"."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from conftest import SETTINGS

import keras_vngpt
from keras_vngpt.data import splits
from keras_vngpt.data.beam import rows as beam_rows
from keras_vngpt.errors import UserError
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
    return folder, set(texts)


def prepared(corpus, to, options=()):
    folder = corpus[0]
    return beam_rows.prepare_rows(
        [str(folder / "*.txt")], str(folder / "tokenizer"), str(to), 32, 3, beam=list(options)
    )


def rows_of(folder, side):
    examples = tfds.builder_from_directory(folder).as_dataset(split=side).as_numpy_iterator()
    return sorted(
        tuple(map(tuple, (e[name].tolist() for name in beam_rows.COLUMNS))) for e in examples
    )


def test_rows_of_many_workers_are_the_rows_of_one_and_of_the_documents(corpus, tmp_path):
    one, two = prepared(corpus, tmp_path / "1"), prepared(corpus, tmp_path / "2", WORKERS)
    tokenizer = load_tokenizer(corpus[0] / "tokenizer")
    told = {}
    for side in ("train", "validation", "test"):
        rows = rows_of(one, side)
        assert rows == rows_of(two, side)
        assert {len(part) for row in rows for part in row} == {32}
        ids = np.concatenate([row[0] for row in rows])
        told[side] = sum(ids == tokenizer.start_token_id)
    assert sum(told.values()) == len(corpus[1])  # no copy, and nothing but the copies is gone
    assert abs(told["test"] - 40) < 25 and abs(told["validation"] - 40) < 25


def test_a_file_that_cannot_be_read_is_named(corpus, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "Trời mưa."}\n{"text"\n')
    with pytest.raises(UserError, match=r"bad.jsonl:2: not valid JSON"):
        beam_rows.prepare_rows([str(bad)], str(corpus[0] / "tokenizer"), str(tmp_path / "rows"))


def test_fit_trains_on_the_rows_with_their_tokenizer(corpus, tmp_path):
    folder = prepared(corpus, tmp_path / "rows")
    settings = {
        "pretrain": {**SETTINGS["pretrain"], "data": [f"rows:{folder}"], "sequence_length": 32},
        "model": SETTINGS["model"],
        "skip": ["finetune", "export"],
    }
    run = keras_vngpt.fit(folder=str(tmp_path / "runs"), name="rows", **settings)
    ids = np.load(run / "work" / "pretrain" / "train" / "token_ids.npy")
    assert sorted(map(tuple, ids.tolist())) == [row[0] for row in rows_of(folder, "train")]
    assert (run / "tokenizer/assets/tokenizer/vocabulary.spm").read_bytes() == (
        corpus[0] / "tokenizer/assets/tokenizer/vocabulary.spm"
    ).read_bytes()
    # Bits per byte are those of the texts themselves.
    side = rows_of(folder, "test")
    n_bytes = sum(
        len(text.encode()) for text in corpus[1] if splits.side_of(text, SHARES) == "test"
    )
    scored = sum(sum(row[3]) for row in side)
    bits_per_nat = run.metrics["pretrain.test_bits_per_nat"]
    assert bits_per_nat == pytest.approx(scored / n_bytes / np.log(2), rel=1e-6)
    with pytest.raises(UserError, match="pretrain.sequence_length: the rows of .* have 32 pos"):
        settings["pretrain"]["sequence_length"] = 64
        keras_vngpt.fit(folder=str(tmp_path / "runs"), name="other", **settings)


def test_a_folder_without_rows_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no rows that python -m keras_vngpt.data.beam prepared"):
        keras_vngpt.fit(
            folder=str(tmp_path / "runs"), **{"pretrain.data": [f"rows:{tmp_path}"]}, check=True
        )
