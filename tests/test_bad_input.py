"""Bad input and damage: one line that says what is wrong, exit status 2, nothing half-written."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from conftest import SETTINGS, verb

import keras_vngpt
from keras_vngpt.data.free_requests import read_free_requests
from keras_vngpt.errors import UserError


def line_of(*arguments, cwd):
    """The one line that a verb says about bad input; nothing else may be said or left."""
    before = sorted(p for p in cwd.rglob("*"))
    done = verb("fit", *arguments, cwd=cwd)
    assert done.returncode == 2, done.stdout + done.stderr
    assert sorted(p for p in cwd.rglob("*")) == before, "something was left"
    return done.stderr.strip()


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["--pretrain.data", "none.txt"], "none.txt: no such file, folder or glob"),
        (["--pretrain.data", "empty.txt"], "empty.txt: the file is empty"),
        (["--pretrain.data", "bad.txt"], "bad.txt:2: invalid UTF-8 (byte 0xff)"),
        (["--finetune.data", "bad.jsonl"], "bad.jsonl:17: not valid JSON"),
        (["--finetune.data", "bad.csv"], 'bad.csv:1: missing column: needs "request"'),
        (["--finetune.data", "hole.jsonl"], "hole.jsonl:2: empty response"),
        (["--pretrain.data", "short.txt"], "pretrain.data: the text is shorter than a row"),
        (["--tokenizer.vocabulary_size", "500000"], "tokenizer.vocabulary_size: 500000; this text"),
        (["--pretrain.epohcs", "3"], "pretrain.epohcs: unknown setting; did you mean"),
        (["--init", "."], ".: not a run folder: it has no config.yaml"),
        (["--config", "bad.yaml"], "bad.yaml:2: pretrain.batch: unknown setting"),
        (["--config", "none.yaml"], "none.yaml: cannot be read (No such file or directory)"),
        (["--skip", "pretrain", "finetune"], "skip: leaves nothing to train"),
        (["--stages", "pretrian"], "stages: must be 'pretrain' or 'finetune'"),
        (["--devices", "3"], "devices: must divide the rows that are computed at once, 16 in"),
        (["--finetune.epochs", "inf"], "finetune.epochs: must be"),
        (["--seed", str(2**80)], "seed: must be less than"),
        (
            ["--pretrain.gradient_accumulation_steps", "3"],
            "pretrain.gradient_accumulation_steps: must divide",
        ),
        (["--name", "a\nb"], "name: must be letters, digits"),
        (["--config", "list.yaml"], "list.yaml:1: needs settings as name: value"),
        (["--folder", "bad.txt"], "bad.txt"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, arguments, line, monkeypatch, capsys):
    good = '{"request": "a", "response": "b"}\n'
    (tmp_path / "empty.txt").touch()
    (tmp_path / "bad.txt").write_bytes(b"xin\n\xff\n")
    (tmp_path / "bad.jsonl").write_text(good * 16 + "{\n")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    (tmp_path / "hole.jsonl").write_text(good + '{"request": "a", "response": ""}\n')
    (tmp_path / "short.txt").write_text("Một hai ba.\n\nBốn năm.")
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "bad.yaml").write_text("pretrain:\n  batch: 3\n")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fit", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("keras_vngpt.fit", run_name="__main__", alter_sys=True)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.startswith(line) and said.count("\n") == 1, said
    assert sorted(tmp_path.rglob("*")) == before, "something was left"


def test_all_faults_of_a_configuration_are_listed_at_once(tmp_path):
    (tmp_path / "x.yaml").write_text("seed: one\nmodel: {preset: huge}\nfinetune:\n  epochs: 0\n")
    said = line_of("--config", "x.yaml", "--pretrain.batch_size", "-1", "--foo", "1", cwd=tmp_path)
    for start in (
        "foo: unknown setting",
        "x.yaml:1: seed: must be a valid integer",
        "x.yaml:2: model.preset: must be 'nano', 'tiny', 'small' or 'base'",
        "x.yaml:4: finetune.epochs: must be greater than 0",
        "pretrain.batch_size: must be greater than or equal to 1",
    ):
        assert any(line.startswith(start) for line in said.splitlines()), (start, said)


def test_a_folder_that_is_not_a_run_is_left_alone(tmp_path):
    (tmp_path / "runs" / "default").mkdir(parents=True)
    (tmp_path / "runs" / "default" / "thesis.txt").write_text("mine")
    assert "exists and is not a run folder" in line_of(cwd=tmp_path)
    for name, rest in (
        ("generate", ["a"]),
        ("chat", []),
        ("export", []),
        ("evaluate", ["--data", "x"]),
    ):
        done = verb(name, "runs/default", *rest, cwd=tmp_path)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr


def test_restart_throws_nothing_away_before_all_is_well(run, tmp_path):
    folder = tmp_path / "runs" / "default"
    shutil.copytree(run, folder)
    done = verb("fit", "--restart", "--finetune.data", "none.jsonl", cwd=tmp_path)
    assert done.returncode == 2 and (folder / "finetune" / "model.weights.h5").exists()
    done = verb("fit", "--restart", "--init", "runs/default", cwd=tmp_path)
    assert done.returncode == 2 and "would throw away" in done.stderr
    assert (folder / "finetune" / "model.weights.h5").exists()


def test_a_damaged_run_says_so_in_a_line(run, tmp_path):
    folder = tmp_path / "runs" / "default"
    shutil.copytree(run, folder)
    weights = folder / "finetune" / "model.weights.h5"
    weights.write_bytes(b"oops")
    done = verb("generate", folder, "a")
    assert done.returncode == 2 and "cannot be loaded" in done.stderr
    weights.unlink()  # the model of the stage before does not answer in its place
    done = verb("generate", folder, "a")
    assert done.returncode == 2 and "model.weights.h5 is missing" in done.stderr
    assert verb("generate", folder, "a", "--top_k").stderr == (
        "--top_k: expected one argument; see --help\n"
    )
    (folder / "config.yaml").write_text("a: [")
    done = verb("fit", cwd=tmp_path)
    assert done.returncode == 2 and "config.yaml: is damaged" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name, damage, told",
    [
        ("work/finetune/train/token_ids.npy", flip_a_bit, "train: is damaged"),
        ("work/finetune/train/target.npy", Path.unlink, "train: is damaged"),
        ("work/finetune/validation/sample_weight.npy", flip_a_bit, "validation: is damaged"),
        ("pretrain/model.weights.h5", flip_a_bit, "pretrain: is damaged"),
        ("pretrain/config.json", Path.unlink, "pretrain: is damaged"),
        ("pretrain", shutil.rmtree, "pretrain: is gone"),
        ("work/prompts.json", lambda path: path.write_text("{}"), "prompts.json: is damaged"),
        ("metrics.json", Path.unlink, "metrics.json: is damaged"),
        ("config.yaml", lambda path: path.write_text("{}"), "config.yaml: is damaged"),
    ],
)
def test_a_damaged_run_is_not_gone_on_with(run, tmp_path, name, damage, told):
    """Before the fine-tuning, and in whatever folder it stands now."""
    folder = tmp_path / "moved" / "small"
    shutil.copytree(run, folder)
    phases = json.loads((folder / "phases.json").read_text())
    phases["finetune"]["done"] = False
    (folder / "phases.json").write_text(json.dumps(phases))
    damage(folder / name)
    with pytest.raises(UserError, match=told) as caught:
        keras_vngpt.fit(folder=str(tmp_path / "moved"), name="small", **SETTINGS)
    assert len(caught.value.faults) == 1


def test_a_terminal_without_vietnamese_letters_shows_which_they_are():
    done = verb("generate", "--help", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert r"B\u1eadt qu\u1ea1t" in done.stdout


@pytest.mark.parametrize(
    "line, fault",
    [
        ('{"request": "Chào"}', ':1: needs "request" or "requests", and "accept"'),
        ('{"request": "Chào", "accept": "("}', ":1: missing ), unterminated subpattern"),
        ('{"requests": ["Chào", 3], "accept": "a"}', ":1: a request must be text"),
    ],
)
def test_a_free_request_needs_a_regular_expression(tmp_path, line, fault):
    path = tmp_path / "free.jsonl"
    path.write_text(line, "utf-8")
    with pytest.raises(UserError) as caught:
        read_free_requests([str(path)])
    assert caught.value.faults[0].startswith(f"{path}{fault}")
