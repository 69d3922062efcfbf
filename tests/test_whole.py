"""What is written is whole or not there, whatever happens to who writes it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keras_vngpt.faults import Faults
from keras_vngpt.whole import alone, whole

REPLACE = """
import os, signal, sys
from keras_vngpt.whole import whole

calls = []
def replace(*paths, replace=os.replace):
    calls.append(paths)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), int(sys.argv[3]))
    replace(*paths)
os.replace = replace
with whole(sys.argv[1]) as partial:
    partial.mkdir()
    (partial / "new").write_text("new")
"""


def write(path, name):
    with whole(path) as partial:
        partial.mkdir()
        (partial / name).write_text(name)


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_folder_is_never_lost_while_another_takes_its_place(tmp_path, sent, call):
    target = tmp_path / "export"
    write(target, "old")
    command = [sys.executable, "-c", REPLACE, target, str(call), str(int(sent))]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True)
    assert done.returncode != 0
    if sent == signal.SIGINT:
        assert names(tmp_path) == ["export", "export/old"]
    with pytest.raises(KeyError), whole(target):  # comes back even if the next one fails
        raise KeyError
    assert names(tmp_path) == ["export", "export/old"]
    write(target, "new")
    assert names(tmp_path) == ["export", "export/new"]


def test_two_do_not_write_to_one_place(tmp_path):
    with alone(tmp_path / "export"):
        command = (
            "import sys\nfrom keras_vngpt.whole import alone\nwith alone(sys.argv[1]): print('in')"
        )
        done = subprocess.run(
            [sys.executable, "-c", command, tmp_path / "export"],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
        )
    assert "another process is at work on it" in done.stderr and not done.stdout
    with alone(tmp_path / "export"), pytest.raises(Faults), alone(tmp_path / "export"):
        pass
