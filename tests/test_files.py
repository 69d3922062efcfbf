"""What is written is whole or not there, whatever happens to who writes it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write, locked

REPLACE = """
import os, signal, sys
from keras_vngpt.files import atomic_write

calls = []
def replace(*paths, replace=os.replace):
    calls.append(paths)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), int(sys.argv[3]))
    replace(*paths)
os.replace = replace
with atomic_write(sys.argv[1]) as partial:
    partial.mkdir()
    (partial / "new").write_text("new")
"""


def write(path, name):
    with atomic_write(path) as partial:
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
    with pytest.raises(KeyError), atomic_write(target):  # comes back even if the next one fails
        raise KeyError
    assert names(tmp_path) == ["export", "export/old"]
    write(target, "new")
    assert names(tmp_path) == ["export", "export/new"]


def test_two_do_not_write_to_one_place(tmp_path):
    with locked(tmp_path / "export"):
        command = "import sys, keras_vngpt.files as f\nwith f.locked(sys.argv[1]): print(1)"
        done = subprocess.run(
            [sys.executable, "-c", command, tmp_path / "export"],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
        )
    assert "another process is at work on it" in done.stderr and not done.stdout
    with locked(tmp_path / "export"), pytest.raises(UserError), locked(tmp_path / "export"):
        pass
