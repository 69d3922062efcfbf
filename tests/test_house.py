"""The house: rooms import one way, tasks are named in one place, help comes without TensorFlow."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import keras_vngpt
from keras_vngpt.tasks import TASKS

PACKAGE = ROOT / "keras_vngpt"
FILES = sorted(PACKAGE.rglob("*.py"))
BASE = {"config", "console", "errors", "files", "interruption"}
MAY_IMPORT = {  # what each room may import beside the base and itself
    "text": set(),
    "data": {"text"},
    "augmentation": {"data", "text"},
    "models": set(),
    "families": {"models", "text", "data"},
    "tasks": {"families", "data", "augmentation", "text"},
    "generation": {"tasks", "families", "models", "text"},  # whose names a run's folders have
    "exporting": {"generation", "families", "models"},
    "training": {"tasks", "families", "data", "models", "text", "generation"},
    "evaluation": {"generation", "families", "data", "models", "text"},
    "samples": {"augmentation"},
}


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path):
    """The rooms of ours that a file imports, wherever in it."""
    names = [
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    ]
    return {name.split(".")[1] for name in names if name and name.startswith("keras_vngpt.")}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_stands_above_it(room):
    for path in sorted((PACKAGE / room).rglob("*.py")):
        beyond = imports_of(path) - MAY_IMPORT[room] - BASE - {room}
        assert not beyond, f"{path.relative_to(ROOT)} imports {beyond}"


def test_models_import_no_tensorflow():
    for path in (PACKAGE / "models").glob("*.py"):
        names = [n for n in ast.walk(parsed(path)) if isinstance(n, (ast.Import, ast.ImportFrom))]
        assert not any("tensorflow" in ast.unparse(name) for name in names), path


def docstrings(tree):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return {ast.get_docstring(n, clean=False) for n in ast.walk(tree) if isinstance(n, kinds)}


def test_no_task_is_named_outside_of_its_file():
    """The flags of their settings, and what people read in a docstring, aside."""
    found = []
    for path in FILES:
        if "tasks" in path.parts:
            continue
        tree = parsed(path)
        texts = docstrings(tree)
        found += [
            f"{path.relative_to(ROOT)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if node.value not in texts
            if any(name in node.value.replace(f"--{name}.", "") for name in TASKS)
        ]
    assert not found


def test_no_function_takes_more_than_seven_parameters():
    """Constructors and verbs, whose parameters are settings, aside."""
    verbs = {path.stem for path in PACKAGE.glob("*.py")} | {"prepare_rows"}
    found = []
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef) and node.name not in ("__init__", *verbs):
                names = [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]
                if len(set(names) - {"self", "cls"}) > 7:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert not found


def test_the_training_loop_fits_on_a_screen_and_a_half():
    from keras_vngpt.training.train import train

    code = inspect.getsource(train).replace(train.__doc__, "")
    assert len(code.splitlines()) <= 80


def test_public_names_need_no_tensorflow_until_they_are_used():
    code = (
        "import sys, keras_vngpt\n"
        "assert 'fit' in dir(keras_vngpt) and callable(keras_vngpt.fit)\n"
        "assert not {'tensorflow', 'keras', 'torch', 'jax'} & set(sys.modules)\n"
        "assert keras_vngpt.VnGPTBackbone and 'tensorflow' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("name", "augment fit preview generate chat evaluate export".split())
def test_help_teaches_and_needs_no_tensorflow(name):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{name}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('keras_vngpt.{name}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "assert not {'tensorflow', 'keras', 'pyarrow', 'matplotlib'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-X", "utf8", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert f"python -m keras_vngpt.{name}" in done.stdout and "Example" not in done.stdout
    assert callable(getattr(keras_vngpt, name))
    values = r"(?: (?:[A-Z]+|\[VALUE \.\.\.\]|\[true\|false\]|\S+\|\S+))?"
    default = r"\[(?!VALUE|true\|false)[^\]]*\]"
    assert re.findall(rf"^  (--[\w.]+){values}\s+{default}$", done.stdout, re.MULTILINE) == []


def test_every_file_begins_with_a_sentence_about_it():
    for path in FILES:
        if path.name != "__init__.py" or path.read_text(encoding="utf-8").strip():
            text = ast.get_docstring(parsed(path))
            assert text and text.split("\n")[0].endswith("."), Path(path)
