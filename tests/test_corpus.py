"""Any source to rows: formats, mixtures, preparation that is killed, the pre-flight."""

import bz2
import csv
import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow_datasets as tfds
from conftest import ROOT, verb

from keras_vngpt import VnGPTCausalLMPreprocessor
from keras_vngpt.data.beam.prepare import prepare_rows
from keras_vngpt.data.dataset import Mixture, PackedDataset
from keras_vngpt.data.packing import concatenate_and_split
from keras_vngpt.data.pipeline import TURNS, training_batches
from keras_vngpt.data.readers import Columns, read_conversations, read_documents
from keras_vngpt.data.sources import find_sources
from keras_vngpt.data.tokenise_and_pack import prepare_conversations, prepare_documents
from keras_vngpt.errors import UserError
from keras_vngpt.runs.prepare import prepare, read_all
from keras_vngpt.runs.settings import resolve_settings
from keras_vngpt.text.tokenizer import load_tokenizer

TEXTS = ["Sáng nay trời mưa.\nCả nhà ở trong bếp.", "Chợ họp từ sớm.", 'Bà nói: "ăn đi", rồi cười.']
PAIRS = [("Bật đèn", "Đã bật đèn"), ("Mấy giờ, rồi?", 'Bây giờ là "năm" giờ'), ("a\nb", "c\td")]
LONG = "Buổi sáng trời mưa to, cả nhà ngồi trong bếp uống trà và nói chuyện về vụ mùa năm nay. "


def write_table(path, records):
    """Records as the file that the ending asks for."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
        return str(path)
    opener = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix, open)
    with opener(path, "wt", encoding="utf-8", newline="") as file:
        if ".jsonl" in path.name:
            file.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in records)
        else:
            delimiter = "\t" if ".tsv" in path.name else ","
            writer = csv.DictWriter(file, list(records[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(records)
    return str(path)


class Kitchen(tfds.core.GeneratorBasedBuilder):
    """Texts and requests as a TFDS data set."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {name: tfds.features.Text() for name in ("text", "request", "response")}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for i, (text, (request, response)) in enumerate(zip(TEXTS, PAIRS, strict=True)):
            yield i, {"text": text, "request": request, "response": response}


@pytest.fixture
def kitchen(tmp_path, monkeypatch):
    load = tfds.load
    monkeypatch.setattr(tfds, "load", lambda *a, **k: load(*a, data_dir=str(tmp_path), **k))
    Kitchen(data_dir=str(tmp_path)).download_and_prepare()
    return "tfds:kitchen"


@pytest.mark.parametrize(
    "name", "a.txt a.txt.gz a.jsonl a.jsonl.bz2 a.csv a.tsv a.parquet tfds".split()
)
def test_every_format_gives_the_same_rows_of_documents(name, tmp_path, tokenizer, kitchen):
    path = tmp_path / name
    if ".txt" in name:
        data = "\n\n".join(TEXTS).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    elif name != "tfds":
        write_table(path, [{"id": str(i), "text": text} for i, text in enumerate(TEXTS)])
    found = read_documents([kitchen if name == "tfds" else str(path)])
    assert sorted(found) == sorted(TEXTS)
    preprocessor = VnGPTCausalLMPreprocessor(tokenizer, 32)
    rows, expected = (prepare_documents(sorted(t), preprocessor).rows for t in (found, TEXTS))
    np.testing.assert_array_equal(rows["token_ids"], expected["token_ids"])


@pytest.mark.parametrize("name", "a.jsonl a.jsonl.gz a.csv a.csv.gz a.tsv a.parquet tfds".split())
def test_every_format_gives_the_same_rows_of_requests(name, tmp_path, tokenizer, kitchen):
    records = [{"request": request, "response": response} for request, response in PAIRS]
    path = kitchen if name == "tfds" else write_table(tmp_path / name, records)
    found = read_conversations([path])
    expected = read_conversations([write_table(tmp_path / "expected.jsonl", records)])
    preprocessor = VnGPTCausalLMPreprocessor(tokenizer, 32)
    found, expected = (
        prepare_conversations(sorted(c, key=lambda c: c.prompts), preprocessor).rows
        for c in (found, expected)
    )
    for name, column in expected.columns.items():
        np.testing.assert_array_equal(found[name], column)


def test_columns_have_the_names_that_the_user_says(tmp_path):
    path = write_table(tmp_path / "a.csv", [{"hỏi": "Bật đèn", "đáp": "Đã bật", "text": "x"}])
    (found,) = read_conversations([path], Columns(request="hỏi", response="đáp"))
    assert (found.prompts, found.responses) == (("Bật đèn",), ("Đã bật",))
    assert read_documents([path], column="đáp") == ["Đã bật"]


def test_messages_come_from_parquet_as_from_jsonl(tmp_path):
    turns = [("system", "s"), ("user", "hỏi"), ("assistant", "đáp")]
    record = {"messages": [{"role": role, "content": content} for role, content in turns]}
    found = [
        read_conversations([write_table(tmp_path / f"a.{kind}", [record])])[0]
        for kind in ("jsonl", "parquet")
    ]
    assert found[0].prompts == found[1].prompts == ("s\nhỏi",)


def test_tfds_by_its_own_mock():
    with tfds.testing.mock_data(num_examples=3):
        found = read_documents(["tfds:wiki40b/vi"])
    assert len(found) == 3 and all(isinstance(text, str) and text for text in found)


def test_a_column_parts_the_data_instead_of_the_shares(tmp_path):
    names = ["train", "Validation", "test", "dev", "training"]
    records = [
        {
            "text": f"{LONG} Câu chuyện thứ {i} kể về {i * 7919} con chim.",
            "request": f"Số {i} là gì?",
            "response": f"Là số {i}",
            "part": names[i % 5],
        }
        for i in range(100)
    ]
    table = write_table(tmp_path / "a.csv", records)
    settings = resolve_settings(
        None,
        {
            "pretrain": {"data": [table], "split_column": "part", "clean": {"near": 0}},
            "finetune": {"data": [table], "split_column": "part"},
            "tokenizer": {"vocabulary_size": 400},
            "folder": str(tmp_path / "runs"),
        },
    )[0]
    found, folders, figures = prepare(settings)
    assert {side: len(part) for side, part in found["finetune"].sides.items()} == {
        "train": 40, "validation": 40, "test": 20,
    }  # fmt: skip
    assert all(c.side == side for side, part in found["finetune"].sides.items() for c in part)
    assert figures["pretrain.documents"] == 40
    tokenizer = load_tokenizer(folders["tokenizer"])
    for side, own in (("train", {0, 4}), ("validation", {1, 3}), ("test", {2})):
        ids = PackedDataset.load(folders["pretrain"] / side)["token_ids"].ravel()
        told = tokenizer.detokenize(ids[ids >= 5].tolist())
        numbers = {int(n) for n in re.findall(r"thứ (\d+) kể", told)}
        assert numbers == {i for i in range(100) if i % 5 in own}, side


def test_a_split_column_that_is_not_there_or_says_nonsense_is_named(tmp_path):
    record = {"text": LONG, "request": "a", "response": "b", "part": "tr"}
    path = write_table(tmp_path / "a.jsonl", [record, {**record, "part": "test"}])
    done = verb(
        "fit", "--check", "--pretrain.data", path, "--pretrain.split_column", "part",
        "--finetune.data", path, "--finetune.split_column", "side", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert f'{path}:1: part must be train, validation or test, is "tr"' in done.stderr
    assert f'{path}:2: missing column: needs "side" (train, validation or test)' in done.stderr


def conversations_of(**finetune):
    given = {"finetune": finetune, "skip": ["pretrain"]}
    return read_all(resolve_settings(None, given)[0])["finetune"].sides


def test_what_is_tested_on_is_not_learned(tmp_path, capsys):
    records = [{"request": f"Hoà {i} là gì?", "response": f"Là {i}"} for i in range(40)]
    data = write_table(tmp_path / "a.jsonl", records)
    other = unicodedata.normalize("NFD", json.dumps(records[:8], ensure_ascii=False))
    test = write_table(tmp_path / "b.jsonl", json.loads(other))
    sides = conversations_of(data=[data], test_data=[test], validation_share=0)
    assert len(sides["test"]) == 8 and len(sides["train"]) == 32
    assert "8 requests stand on two sides" in capsys.readouterr().out
    with pytest.raises(UserError, match="of 40 examples none is left to train on"):
        conversations_of(data=[data], test_data=[data])


def test_a_column_that_leaves_a_side_out_leaves_it_to_the_shares(tmp_path, capsys):
    records = [{"request": f"Câu {i}", "response": "b", "split": "train"} for i in range(50)]
    sides = conversations_of(data=[write_table(tmp_path / "a.csv", records)], split_column="split")
    assert all(sides.values()) and "no line says test: 10% of the" in capsys.readouterr().out
    tests = [{**record, "split": "test"} for record in records]
    with pytest.raises(UserError, match="no line says train"):
        conversations_of(data=[write_table(tmp_path / "b.csv", tests)], split_column="split")
    odd = write_table(tmp_path / "c.jsonl", [{**records[0], "split": ["train"]}])
    with pytest.raises(UserError, match=r"c.jsonl:1: split must be train, validation or test"):
        conversations_of(data=[odd], split_column="split")


@pytest.mark.parametrize("replay, is_filled", [(None, False), (0, False), (0.5, True)])
def test_text_is_in_the_gaps_where_they_are_wide_or_it_is_asked_for(tmp_path, replay, is_filled):
    prose = Path(ROOT / "README.vi.md").read_text(encoding="utf-8")
    (tmp_path / "a.txt").write_text(prose, encoding="utf-8")
    long = [{"request": f"Số {i} " + "là " * 30, "response": f"Là {i}"} for i in range(100)]
    short = [{"request": "số " * (i % 9 + 1), "response": f"Là {i}"} for i in range(200)]
    for records, is_wide in ((long, True), (short, False)):
        data = write_table(tmp_path / f"{is_wide}.jsonl", records)
        given = {
            "pretrain": {"data": [f"{tmp_path}/a.txt"], "clean.near": 0, "sequence_length": 64},
            "finetune": {"data": [data], "replay": replay, "sequence_length": 64},
            "tokenizer": {"vocabulary_size": 500},
            "folder": str(tmp_path / "runs"),
        }
        figures = prepare(resolve_settings(None, given)[0])[2]
        expected = is_filled or (replay is None and is_wide)
        assert (figures["finetune.fill"] == 1) == expected, (is_wide, figures["finetune.fill"])


def test_a_mixture_may_be_parted_by_a_column(tmp_path):
    sides = ["train", "train", "test", "validation"]
    for name in "ab":
        records = [{"text": f"{LONG} {name} {i * 7919}.", "split": sides[i % 4]} for i in range(80)]
        write_table(tmp_path / f"{name}.jsonl", records)
    settings = resolve_settings(
        None,
        {
            "pretrain": {
                "data": [f"{tmp_path}/a.jsonl:0.75", f"{tmp_path}/b.jsonl:0.25"],
                "split_column": "split",
                "clean": {"near": 0},
            },
            "skip": ["finetune"],
            "tokenizer": {"vocabulary_size": 400},
            "folder": str(tmp_path / "runs"),
        },
    )[0]
    _, folders, figures = prepare(settings)
    assert Mixture.load(folders["pretrain"] / "train").shares == [0.75, 0.25]
    assert figures["pretrain.documents"] == 80


def test_sources_have_their_shares_whatever_their_sizes():
    ids = np.repeat(np.arange(100), 8)
    columns = {"token_ids": ids, "target": ids, "sample_weight": np.ones(800)}
    rows = concatenate_and_split(columns, np.full(100, 8), 8)
    mixture = Mixture((90, 10), (0.25, 0.75))  # the small one is read many times

    def drawn(start, stop):
        batches = training_batches(rows, 4, 7, start, stop, mixture)
        return [int(r) for x, *_ in batches for r in np.array(x["token_ids"])[:, 0]]

    order = drawn(0, TURNS // 4)
    small = [row for row in order if row >= 90]
    assert len(small) == TURNS * 0.75
    for start in range(0, len(small) - 10, 10):  # each pass over it sees all of it
        assert len(set(small[start : start + 10])) >= 8
    assert drawn(100, 140) == order[400:560]


def test_shares_are_read_from_the_pattern_and_all_or_none_have_one(tmp_path):
    (tmp_path / "a.txt").write_text("một")
    (tmp_path / "b.txt").write_text("hai")
    faults = []
    sources = find_sources([f"{tmp_path}/a.txt:0.7", f"{tmp_path}/b.txt:.3"], faults)
    assert [s.share for s in sources] == [0.7, 0.3] and not faults
    find_sources([f"{tmp_path}/a.txt:0.7", f"{tmp_path}/b.txt"], faults)
    assert "needs a share too" in faults[0]


@pytest.mark.parametrize(
    "name, content, fault",
    [
        ("a.jsonl", b'{"text": "a \\ud83d"}', ":1: text is not valid Unicode"),
        ("a.jsonl", b'{"text": 1}', ":1: text must be text, is 1"),
        ("a.jsonl", b'{"body": "x"}', ':1: needs text in "text", has body'),
        ("a.txt", b"PK\x03\x04\0\0", ": is not text but a ZIP archive"),
        ("a.txt.gz", gzip.compress(b"xin " * 99, mtime=0)[:20], ": is damaged"),
        ("a.parquet", b"xin", ": not valid Parquet"),
        ("a.docx", b"xin", ": .docx files are not read"),
    ],
)
def test_a_document_that_cannot_be_read_is_named(tmp_path, name, content, fault):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_documents([str(tmp_path / name)])
    assert caught.value.faults[0].startswith(str(tmp_path / name) + fault)


def test_a_source_that_cleaning_empties_is_no_part_of_a_mixture(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join(f"{LONG} {i}" * 3 for i in range(60)))
    (tmp_path / "b.txt").write_text("The weather was fine and they went to the market. " * 9)
    sources = ["a.txt:0.5", "b.txt:0.5"]
    done = verb("fit", "--check", "--skip", "finetune", "--pretrain.data", *sources, cwd=tmp_path)
    assert done.returncode == 2 and "b.txt: nothing is left of it" in done.stderr
    assert not (tmp_path / "runs").exists()


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_a_preparation_that_is_killed_ends_the_same_to_the_byte(tmp_path):
    words = Path(ROOT / "README.vi.md").read_text(encoding="utf-8").split()
    generator = random.Random(0)
    with open(tmp_path / "a.txt", "w", encoding="utf-8") as file:
        for _ in range(6000):
            file.write(" ".join(generator.choices(words, k=400)) + "\n\n")
    arguments = [
        "--check", "--skip", "finetune", "--pretrain.data", str(tmp_path / "a.txt"),
        "--pretrain.clean.language", "", "--tokenizer.vocabulary_size", "600",
    ]  # fmt: skip
    assert verb("fit", "--folder", tmp_path / "whole", *arguments).returncode == 0
    command = [sys.executable, "-m", "keras_vngpt.fit", "--folder", tmp_path / "killed", *arguments]
    # With the tokenizer there, with a shard there, and as the rows are joined.
    for sign in ("tokenizer-*", "pretrain-*/train-shards/00000", "pretrain-*/.partial-train"):
        process = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
        )
        while process.poll() is None and not [*(tmp_path / "killed" / ".prepared").glob(sign)]:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, f"over before {sign}"
    assert verb("fit", "--folder", tmp_path / "killed", *arguments).returncode == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.slow
def test_what_did_not_change_is_prepared_once(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n".join(LONG + str(i) for i in range(60)))
    arguments = ["--check", "--skip", "finetune", "--pretrain.data", "a.txt"]
    arguments += ["--pretrain.clean.near", "0", "--pretrain.sequence_length", "32"]
    assert "packing" in verb("fit", *arguments, cwd=tmp_path).stdout
    assert "unchanged" in verb("fit", *arguments, cwd=tmp_path).stdout
    expected = contents(tmp_path / "runs")
    for name, cut, told in (("target.npy", -1, "packing"), ("tokenizer.json", 50, "cannot be")):
        for damaged in tmp_path.rglob(name):
            damaged.write_bytes(damaged.read_bytes()[:cut] + b"\x7f")
        assert told in verb("fit", *arguments, cwd=tmp_path).stdout
        assert contents(tmp_path / "runs") == expected
    assert "packing" in verb("fit", *arguments[:-1], "16", cwd=tmp_path).stdout
    with open(tmp_path / "a.txt", "a") as file:
        file.write(" thêm")
    assert "packing" in verb("fit", *arguments, cwd=tmp_path).stdout


def test_the_check_finds_twenty_faults_in_three_files(tmp_path):
    good = '{"request": "a", "response": "b"}'
    lines = [good] * 40
    broken = {3: "{oops", 7: '["a"]', 9: '{"request": "a"}', 12: '{"request": "", "response": "b"}',
              15: '{"request": "a", "response": " "}', 18: '{"request": 1, "response": "b"}',
              22: '{"messages": []}', 25: '{"messages": [{"role": "user", "content": "a"}]}',
              30: "nothing", 33: '{"prompt": "a"}'}  # fmt: skip
    for number, line in broken.items():
        lines[number - 1] = line
    lines = [line.encode() for line in lines]
    lines[36] = b'{"request": "\xff", "response": "b"}'
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    rows = ["request,response"] + ["a,b"] * 20
    for number, row in {4: "a", 8: "a,b,c", 11: ",b", 16: "a,", 20: '" ",b'}.items():
        rows[number - 1] = row
    (tmp_path / "b.csv").write_text("\n".join(rows))
    text = [b"m\xe1\xbb\x99t hai"] * 30
    for number in (5, 12, 21, 28):
        text[number - 1] = b"h\xc3\x28ng"
    (tmp_path / "c.txt").write_bytes(b"\n".join(text))
    done = verb(
        "fit", "--check", "--pretrain.data", "c.txt", "--finetune.data", "a.jsonl", "b.csv",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2 and not (tmp_path / "runs").exists()
    planted = [f"c.txt:{n}" for n in (5, 12, 21, 28)]
    planted += [f"a.jsonl:{n}" for n in sorted([*broken, 37])]
    planted += [f"b.csv:{n}" for n in (4, 8, 11, 16, 20)]
    assert len(planted) == 20
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == planted


def test_a_pipeline_without_beam_is_a_fault_among_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("apache_beam", "apache_beam.options.pipeline_options"):  # loaded or not
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError) as caught:
        prepare_rows(["none.txt"], "nothing")
    text, tokenizer, beam = caught.value.faults
    assert text.startswith("none.txt: no such file") and tokenizer.startswith("nothing: cannot be")
    assert beam == 'data.beam: needs apache_beam. pip install "keras_vngpt[beam]"'
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "setting, value",
    [("test_data", ["a.txt"]), ("validation_data", ["a.txt"]), ("split_column", "split")],
)
def test_prepared_rows_are_not_split_again(tmp_path, setting, value):
    rows = tmp_path / "rows"
    (rows / "tokenizer").mkdir(parents=True)
    (rows / "dataset_info.json").touch()
    given = {"data": [f"rows:{rows}"], setting: value}
    settings, _ = resolve_settings(None, {"pretrain": given, "skip": ["finetune"]})
    with pytest.raises(UserError) as caught:
        read_all(settings)
    assert caught.value.faults == [f"pretrain.{setting}: the rows of {rows} are split already"]
