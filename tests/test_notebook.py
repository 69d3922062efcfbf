"""The notebooks run from top to bottom, and with the first the main job at its defaults.

`python tests/test_notebook.py` runs both and stores what they show.
"""

import os
import re
import sys
import tempfile
import zipfile
from types import SimpleNamespace

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

from keras_vngpt.runs.run import Run

NAMES = "quickstart", "own_data"
FIRST, LAST = 24, 16  # lines that are stored of a long output
MOST_BYTES = 20_000  # of an output that is stored


def path_of(name):
    return ROOT / "notebooks" / f"{name}.ipynb"


def read(name):
    return nbformat.read(path_of(name), as_version=4)


def executed(name, folder):
    """A notebook with its outputs, run in a folder."""
    notebook = read(name)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    where = {"metadata": {"path": folder}}
    # What was written over, such as a progress bar, is left out.
    NotebookClient(notebook, timeout=3600, resources=where, coalesce_streams=True).execute()
    return notebook


def store(name):
    """Run a notebook and keep what it shows, as a reader sees it in the end."""
    with tempfile.TemporaryDirectory() as folder:
        notebook = executed(name, folder)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
        if cell.cell_type == "code":
            cell.outputs = list(filter(None, map(_as_stored, cell.outputs)))
    nbformat.write(notebook, path_of(name))


def _as_stored(output):
    """An output, shortened; `None` for a whole page, and for warnings."""
    if output.output_type == "stream":
        if output.name != "stdout":
            return None
        lines = re.sub(r"\x1b\[\d*m", "", output.text).split("\n")  # without colours
        lines = [line.rstrip() for line in lines]
        if len(lines) > FIRST + LAST:
            lines = [*lines[:FIRST], "...", *lines[-LAST:]]
        output.text = "\n".join(lines)
    is_small = len(str(output)) <= MOST_BYTES
    return output if is_small else None


def said_by(name, folder, monkeypatch):
    """What a notebook prints, run in a folder."""
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))  # as it was, afterwards
    notebook = executed(name, folder)
    return "".join(
        output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )


@pytest.mark.slow
def test_the_notebook_runs_and_its_main_job_reaches_99_percent(tmp_path, monkeypatch):
    said = said_by("quickstart", tmp_path, monkeypatch)
    assert Run(tmp_path / "runs" / "quickstart").metrics["finetune.exact_match"] >= 0.99
    assert "Đã bật quạt phòng ngủ lên mức 2" in said
    assert (tmp_path / "quickstart.zip").is_file()


@pytest.mark.slow
def test_own_data_goes_from_a_csv_to_an_export_and_back(tmp_path, monkeypatch):
    said = said_by("own_data", tmp_path, monkeypatch)
    assert said.count("(giống)") == 3 and "(khác)" not in said
    assert "14 ngày" in said  # the answer to one of the questions in other words


@pytest.fixture
def find_project():
    """The function of the first cell that looks for the project to install."""
    (setup,) = (cell.source for cell in read("quickstart").cells if cell.id == "setup")
    imports, code = (
        setup.partition("\n\n\n")[0],
        re.search(r"def find_project.*?\n\n\n", setup, re.S),
    )
    names = {}
    exec(f"{imports}\n{code[0]}", names)
    return names["find_project"]


def test_the_first_cell_finds_the_project_beside_it_as_a_folder_or_a_zip(
    find_project, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert find_project() is None
    files = "setup.cfg", "keras_vngpt/__init__.py"
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as packed:
        packed.writestr("a.txt", "")
    with zipfile.ZipFile(tmp_path / "up.zip", "w") as packed:
        for name in files:
            packed.writestr(f"keras_vngpt-main/{name}", "")
    assert find_project() == tmp_path / "up.zip"
    for name in files:
        (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / name).touch()
    assert find_project() == tmp_path / "project"
    (tmp_path / "project" / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "project" / "notebooks")
    assert find_project() == tmp_path / "project"


def test_both_notebooks_are_set_up_alike():
    first, second = (
        [cell.source for cell in read(name).cells if cell.id in ("setup-text", "setup")]
        for name in NAMES
    )
    assert first == second


@pytest.mark.parametrize(
    "capability, dtype",
    [(None, "float32"), ((7, 5), "mixed_float16"), ((8, 0), "mixed_bfloat16")],
)
def test_the_first_cell_takes_the_precision_that_the_gpu_has(capability, dtype):
    """A T4 is of capability 7.5."""
    (setup,) = (cell.source for cell in read("quickstart").cells if cell.id == "setup")
    details = {"compute_capability": capability, "device_name": "T4"}
    experimental = SimpleNamespace(get_device_details=lambda gpu: details)
    gpus = [] if capability is None else ["gpu"]
    config = SimpleNamespace(list_physical_devices=lambda _: gpus, experimental=experimental)
    names = {"tf": SimpleNamespace(config=config)}
    exec(setup[setup.index("gpus =") :], names)
    assert names["dtype"] == dtype


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        store(name)
