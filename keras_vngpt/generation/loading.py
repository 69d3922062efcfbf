"""A text generator from whatever a user points at: an export, a preset or a run folder."""

import json
from pathlib import Path

from keras_hub.models import CausalLM

from keras_vngpt.config import read_yaml
from keras_vngpt.errors import UserError
from keras_vngpt.families import family_of
from keras_vngpt.families.keras_hub import PROMPT, PROMPT_FIELDS
from keras_vngpt.generation.model_generator import ModelGenerator
from keras_vngpt.generation.refusal import Refusal
from keras_vngpt.generation.saved_model_generator import SavedModelGenerator
from keras_vngpt.tasks import DEFAULT_STAGES, TASKS


def load_generator(path, weights="float32"):
    """The text generator of a run folder, of a preset in one, or of an exported SavedModel.

    Args:
        path: str or Path.
        weights: how a `ModelGenerator` keeps its matrices; an export has them as they are.

    Returns:
        `ModelGenerator` or `SavedModelGenerator`.

    Raises:
        UserError: where the folder is neither, or holds no trained model yet.

    Example:
        >>> load_generator("runs/default").generate(["Tắt đèn phòng khách"])
    """
    path = Path(path)
    if (path / "saved_model.pb").is_file():
        return SavedModelGenerator(path)
    if preset := find_preset(path):
        model = load_model(preset)
        generator = ModelGenerator(model, **prompt_form(preset, model), weights=weights)
        generator.refusal = Refusal.load(preset)
        return generator
    if (path / "config.yaml").is_file():
        raise UserError(
            f"{path}: has no trained model yet. The fit command that made it goes on with it"
        )
    if exports := sorted(path.glob("*/saved_model.pb"), key=lambda file: file.stat().st_mtime):
        raise UserError(f"{path}: holds an export. Give {exports[-1].parent}")
    what = "neither a run folder nor an export" if path.is_dir() else "no such folder"
    raise UserError(f"{path}: {what}. python -m keras_vngpt.fit makes a run folder")


def load_model(preset):
    """The model of a preset folder.

    Raises:
        UserError: it is damaged.
    """
    try:
        return CausalLM.from_preset(str(preset))
    except Exception as error:  # whatever a damaged file raises
        raise UserError(f"{preset}: cannot be loaded ({str(error).splitlines()[0]})") from None


def prompt_form(preset, model):
    """How the model of a preset is prompted, where its preprocessor does not say it.

    Our preprocessors of earlier versions do not: there the folder's name told the format, and a
    file of the run the system text. Those of KerasHub never do: `prompt.json` beside them does.

    Returns:
        A dictionary of some of `PROMPT_FIELDS`.

    Raises:
        UserError: a `prompt.json` that cannot be read, or says something else.
    """
    if family_of(model).name == "vngpt":
        form = json.loads((preset / "preprocessor.json").read_text("utf-8"))["config"]
        form = {name: form[name] for name in PROMPT_FIELDS if name in form}
        if "prompt_format" not in form:
            task = TASKS.get(preset.name)
            form["prompt_format"] = task.prompt_format if task else "request"
    else:
        form = _read_prompt_form(preset / PROMPT)
    if "system" not in form and form["prompt_format"] == "request":
        form["system"] = _system_of_earlier_run(preset.parent)
    return form


def _read_prompt_form(file):
    if not file.is_file():
        return {"prompt_format": "text"}
    try:
        form = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from None
    has_names = isinstance(form, dict) and form.keys() <= set(PROMPT_FIELDS)
    if not has_names or form.get("prompt_format") not in ("request", "text"):
        raise UserError(f'{file}: needs "prompt_format", "request" or "text", and a "separator"')
    return form


def _system_of_earlier_run(folder):
    """The system text that all requests of a run had, from where runs noted it once."""
    try:
        return json.loads((folder / "work" / "prompts.json").read_text("utf-8"))["system"]
    except (OSError, ValueError, KeyError, TypeError):  # a preset without its run
        return ""


def find_preset(path, first=()):
    """The folder of the last trained model in a run folder, or a preset itself; `None` if none.

    Args:
        path: str or Path.
        first: names of tasks, whose models come before the last one.

    Raises:
        UserError: the weights of a trained model are gone.
    """
    path, config = Path(path), Path(path, "config.yaml")
    stages = read_yaml(config).get("stages") if config.is_file() else None
    stages = reversed(stages or DEFAULT_STAGES)  # an earlier version did not note them
    for folder in (path, *(path / name for name in (*first, *stages))):
        if (folder / "model.weights.h5").is_file():
            return folder
        if (folder / "config.json").is_file():
            raise UserError(f"{folder}: cannot be loaded (model.weights.h5 is missing)")
    return None
