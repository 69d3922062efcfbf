"""What the terminal shows: lines while long work goes on, and nothing of TensorFlow's own."""

import io
import json
import os
import re
import subprocess
import sys
import time

import pytest
import yaml
from conftest import ROOT, SETTINGS

from keras_vngpt import console
from keras_vngpt.console import Progress


class Screen(io.StringIO):
    """An output that somebody looks at."""

    def isatty(self):
        return True


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(console, "EVERY", 0.2)
    monkeypatch.setattr(console, "AT_ONCE", 0.05)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def test_in_a_pipe_long_work_is_told_line_by_line(hurried, capsys):
    said = ""

    def more():
        nonlocal said
        said += capsys.readouterr().out
        return said.count("\n") >= 2

    with Progress("answering", 40, "requests") as progress:
        progress.add(8)
        progress.note = "loss 2.5"
        wait_for(more)
    line = r"  answering: 8 of 40 requests, loss 2\.5, \d:\d\d, \d:\d\d left"
    assert all(re.fullmatch(line, each) for each in said.splitlines())


def test_short_work_says_nothing(hurried, capsys):
    with Progress("answering", 2, "requests") as progress:
        progress.add(2)
    assert capsys.readouterr().out == ""


def test_the_innermost_tells(hurried, capsys):
    told = []

    def last_is(what):
        told.extend(capsys.readouterr().out.splitlines())
        return told and told[-1].startswith(f"  {what}")

    with Progress("evaluate"):
        wait_for(lambda: last_is("evaluate, "))
        with Progress("answering", 2, "requests"):
            wait_for(lambda: last_is("answering: 0 of 2"))
            wait_for(lambda: last_is("answering: 0 of 2") and len(told) >= 4)
        wait_for(lambda: last_is("evaluate, "))
    names = [line.split()[0].strip(",:") for line in told]
    assert names == sorted(names[:-1], reverse=True) + ["evaluate"]


def test_on_a_screen_it_is_one_line_that_goes_away(hurried, monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    with Progress("answering", 40, "requests") as progress, Progress("no total"):
        pass
    with progress:
        wait_for(lambda: "0 of 40" in screen.getvalue())
    said = screen.getvalue()
    assert "\n" not in said and "no total" not in said
    assert said.endswith("\r") and not said.rstrip("\r").rpartition("\r")[2].strip()


def test_a_fault_ends_the_lines(hurried, capsys):
    with pytest.raises(ZeroDivisionError), Progress("dividing"):
        1 / 0  # noqa: B018
    assert not Progress.at_work
    time.sleep(0.5)
    assert capsys.readouterr().out == ""


def test_the_five_lines_of_the_readme_show_the_answer_alone(run):
    (block,) = re.findall(r"^```python\n(.*?saved_model\.load.*?)^```", read_readme(), re.S | re.M)
    code = block.replace("runs/default", str(run.folder))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.count("\n") == 1, done.stderr


def read_readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_run_in_a_pipe_has_a_line_at_least_every_15_seconds_and_no_notice(tmp_path):
    """The longest work of a small run is compiling: no loop of ours counts there."""
    settings = {"folder": str(tmp_path), "skip": ["finetune"], **SETTINGS}
    settings["pretrain"] = {**SETTINGS["pretrain"], "epochs": 6, "evaluations": 1}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(settings))
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_vngpt.fit", "--config", str(tmp_path / "a.yaml")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    times = [time.monotonic()]
    for _ in process.stdout:
        times.append(time.monotonic())
    assert process.wait() == 0 and process.stderr.read() == ""
    assert max(b - a for a, b in zip(times, times[1:], strict=False)) < 15


LEFT = {
    "keras.json: another backend": {"backend": "torch", "floatx": "float32"},
    "keras.json: another floatx": {"backend": "tensorflow", "floatx": "float16"},
    "TF_USE_LEGACY_KERAS": {},
}


@pytest.mark.parametrize("left", LEFT)
def test_what_another_project_left_in_the_environment_changes_nothing(tmp_path, left):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(LEFT[left]))
    code = (
        "import keras_vngpt; keras_vngpt.VnGPTBackbone; import keras\n"
        "assert (keras.config.backend(), keras.config.floatx()) == ('tensorflow', 'float32')\n"
        "assert keras.__version__.startswith('3.')\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    environment |= {"HOME": str(tmp_path), "TF_USE_LEGACY_KERAS": "01"["LEGACY" in left]}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ("passed over" in done.stderr) == (left != "keras.json: another backend"), done.stderr


def test_a_backend_that_keras_does_not_have_is_one_line(tmp_path):
    environment = os.environ | {"KERAS_BACKEND": "theano"}
    command = [sys.executable, "-m", "keras_vngpt.fit", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "KERAS_BACKEND=theano: no backend of Keras 3 that is installed" in done.stderr
