"""The notebook runs from top to bottom, and with it the main job at its defaults."""

import os

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

from keras_vngpt.runs.run import Run


@pytest.mark.slow
def test_the_notebook_runs_and_its_main_job_reaches_99_percent(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(ROOT / "notebooks" / "quickstart.ipynb", as_version=4)
    NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": tmp_path}}).execute()
    assert Run(tmp_path / "runs" / "quickstart").metrics["finetune.exact_match"] >= 0.99
    said = "".join(
        output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )
    assert "Đã bật quạt phòng ngủ lên mức 2" in said
