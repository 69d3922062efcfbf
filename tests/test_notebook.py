"""The notebooks run from top to bottom, and with the first the main job at its defaults."""

import os
import re
import zipfile

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

from keras_vngpt.runs.run import Run

NAMES = "quickstart", "own_data"


def read(name):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def said_by(name, folder, monkeypatch):
    """What a notebook prints, run in a folder."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = read(name)
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": folder}}).execute()
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
