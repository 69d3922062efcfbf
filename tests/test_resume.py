"""Nothing is lost: killed, interrupted, damaged, a full disk, figures that are not finite."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import keras
import numpy as np
import pytest
import yaml
from conftest import ROOT, SETTINGS, verb

import keras_vngpt
from keras_vngpt.errors import UserError
from keras_vngpt.files import write_checksums
from keras_vngpt.interruption import Interruption, Terminated
from keras_vngpt.training.checkpoint import read_state, write_state

TINY = {
    "skip": ["finetune", "evaluate", "export"],
    "model": {"num_layers": 1, "hidden_dim": 32, "intermediate_dim": 64},
    "tokenizer": {"vocabulary_size": 400},
    "pretrain": {
        **SETTINGS["pretrain"],
        "sequence_length": 32,
        "batch_size": 4,
        "dropout": 0.1,
        "checkpoint_minutes": 0,
        "prompts": [],
    },
}


@pytest.mark.slow
def test_a_run_killed_ten_times_ends_with_the_same_bits(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/kills.py", "--kills", "10", "--folder", tmp_path],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kills = {
        (stage, moment): int(n)
        for stage, moment, n in re.findall(r"\| (\w+), ([\w ]+) \| (\d+) \|", done.stdout)
    }
    assert sum(kills.values()) == 10
    assert {stage for stage, _ in kills} >= {"pretrain", "finetune"}
    assert any(moment == "while a state is written" for _, moment in kills)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run."""
    return keras_vngpt.fit(folder=str(tmp_path_factory.mktemp("whole")), name="run", **TINY)


def weights(run):
    path = run / "pretrain" if (run / "pretrain").is_dir() else run
    return keras_vngpt.VnGPTCausalLM.from_preset(str(path)).get_weights()


def same(a, b):
    return all(x.tobytes() == y.tobytes() for x, y in zip(weights(a), weights(b), strict=True))


@contextmanager
def training(folder, n_states=1):
    """A run in a process of its own, once it has saved so much; it is over after the context."""
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({**TINY, "folder": str(folder), "name": "run"}))
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_vngpt.fit", "--config", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 120
    states = folder / "run/work/pretrain/checkpoint"
    while len(list(states.glob("step-*"))) < n_states and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield process, path
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "number, status",
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_signal_saves_says_how_to_go_on_and_is_gone_on_from(tmp_path, whole, number, status):
    with training(tmp_path) as (process, path):
        process.send_signal(number)
        said = "".join(process.communicate(timeout=60))
    assert process.returncode == status, said
    assert "saved at step" in said and "The same command goes on from here" in said
    assert verb("fit", "--config", path).returncode == 0
    assert same(tmp_path / "run", whole)


@pytest.mark.parametrize(
    "number, error", [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_waits_for_the_end_of_a_step_and_a_second_one_does_not(number, error):
    before = signal.getsignal(number)
    with Interruption() as interruption:
        signal.raise_signal(number)
        with pytest.raises(error) as raised:
            signal.raise_signal(number)
        assert raised.type is error
        with pytest.raises(error):
            interruption.check()
    assert signal.getsignal(number) is before


@pytest.mark.slow
def test_damaged_states_are_passed_over_and_so_many_are_kept(tmp_path, whole):
    with training(tmp_path, n_states=2) as (process, path):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    run, copy = tmp_path / "run", tmp_path / "copy"
    older, last = sorted(run.glob("work/pretrain/checkpoint/step-*"))
    shutil.copytree(run, copy)
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1  # one bit
    last.write_bytes(content)
    done = verb("fit", "--config", path)
    assert done.returncode == 0, done.stderr
    assert f"{last}: is damaged (its checksum is wrong); passed over" in done.stdout
    assert f"going on from step {int(older.stem.removeprefix('step-')):,} of" in done.stdout
    assert same(run, whole)
    shutil.rmtree(run)
    shutil.move(copy, run)
    older.write_bytes(older.read_bytes()[:-1])
    last.write_bytes(b"")
    done = verb("fit", "--config", path)
    assert done.returncode == 0 and done.stdout.count("passed over") == 2
    assert "no saved state is good: this task begins anew" in done.stdout
    assert same(run, whole)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int8", "uint32"])
def test_a_state_keeps_every_bit(tmp_path, dtype):
    values = np.random.default_rng(0).integers(0, 256, (3, 5, 4), dtype=np.uint8)
    values = values.view(np.uint8 if dtype == "int8" else np.uint16)  # any bits at all
    kept = keras.ops.convert_to_numpy(keras.ops.cast(values, dtype))
    variables = [keras.Variable(kept, dtype=dtype), keras.Variable(7, dtype="int32")]
    write_state(tmp_path / "a.state", variables, {"note": 0.1})
    (first, second), notes = read_state(tmp_path / "a.state")
    assert first.dtype == kept.dtype and first.tobytes() == kept.tobytes()
    assert second.shape == () and second == 7 and notes == {"note": 0.1}


def test_training_ends_where_the_figures_are_not_finite(tmp_path):
    divergent = {"learning_rate": 1e6, "weight_decay": 1e3, "warmup": 0, "epochs": 10}
    settings = {**TINY, "pretrain": {**TINY["pretrain"], **divergent}}
    line = (
        r"the gradients are not finite, \d+ steps in a row, the last one step \d+ \(learning rate "
        r"[\d.]+e\+0[56]\)\. .* try a smaller pretrain.learning_rate"
    )
    with pytest.raises(UserError, match=line):
        keras_vngpt.fit(folder=str(tmp_path), name="run", **settings)


def test_a_batch_that_is_not_finite_is_left_out_and_training_goes_on(tmp_path, monkeypatch, capsys):
    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("keras_vngpt.runs.phases.train_task", stop)
        keras_vngpt.fit(folder=str(tmp_path), name="run", **TINY)
    weight = np.load(tmp_path / "run/work/pretrain/train/sample_weight.npy", mmap_mode="r+")
    weight[500, 10] = np.inf
    write_checksums(tmp_path / "run/work/pretrain/train")
    run = keras_vngpt.fit(folder=str(tmp_path), name="run", **TINY)
    assert capsys.readouterr().out.count("gradients that are not finite; left out") == 1
    assert run.metrics["pretrain.bits_per_byte"] < 5
    assert "nan" not in (run / "history.csv").read_text()


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, whole):
    disk = tmp_path / "disk"
    disk.mkdir()
    size = ["-o", "size=64m"]
    if subprocess.run(
        ["mount", "-t", "tmpfs", *size, "tmpfs", disk], capture_output=True
    ).returncode:
        pytest.skip("a file system of its own cannot be mounted here")
    try:
        with training(disk) as (process, path):
            with open(disk / "filler", "wb") as filler:
                block = bytes(2**16)
                while True:
                    try:
                        os.write(filler.fileno(), block)
                    except OSError:
                        break
            said, fault = process.communicate(timeout=60)
        assert process.returncode == 2, said + fault
        # TensorFlow's own notices aside.
        (line,) = [t for t in fault.splitlines() if not re.match(r"[IWE]\d{4} ", t)]
        assert re.match(rf"{disk}: the disk is full, [\d.]+ MB are free. .* last checkpoint", line)
        (disk / "filler").unlink()
        done = verb("fit", "--config", path)
        assert done.returncode == 0 and "going on from step" in done.stdout, done.stderr
        assert same(disk / "run", whole)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_step_that_does_not_fit_into_memory_is_refused(tmp_path):
    wide = {**TINY["model"], "num_layers": 64, "intermediate_dim": 2**16}
    settings = {**TINY, "model": wide}
    settings["pretrain"] = {**TINY["pretrain"], "batch_size": 2**16}
    with pytest.raises(
        UserError, match=r"pretrain: a step needs about .* GB of memory, .* GB are fre"
    ):
        keras_vngpt.fit(folder=str(tmp_path), name="run", **settings)
