"""A decoder from whatever a user points at: an export, a preset or a run folder."""

from pathlib import Path

from keras_hub.models import CausalLM

from keras_vngpt.errors import UserError
from keras_vngpt.families import FAMILIES  # noqa: F401  registers our classes with Keras
from keras_vngpt.generation.decoder import Decoder
from keras_vngpt.generation.saved_model import ExportedDecoder

STAGES = ("finetune", "pretrain")  # the stage whose model answers comes first


def load_decoder(path, weights="float32"):
    """The decoder of a run folder, of a preset in one, or of an exported SavedModel.

    Args:
        path: str or Path.
        weights: how a `Decoder` keeps its matrices; an export has them as they are.

    Returns:
        `Decoder` or `ExportedDecoder`.

    Raises:
        UserError: where the folder is neither, or holds no trained model yet.

    Example:
        >>> load_decoder("runs/default").generate(["Tắt đèn phòng khách"])
    """
    path = Path(path)
    if (path / "saved_model.pb").is_file():
        return ExportedDecoder(path)
    if preset := find_preset(path):
        model = load_model(preset)
        return Decoder(model, instruct=preset.name != "pretrain", weights=weights)
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


def find_preset(path):
    """The folder of the last trained model in a run folder, or a preset itself; `None` if none.

    Raises:
        UserError: the weights of a trained model are gone.
    """
    path = Path(path)
    for folder in (path, *(path / stage for stage in STAGES)):
        if (folder / "model.weights.h5").is_file():
            return folder
        if (folder / "config.json").is_file():
            raise UserError(f"{folder}: cannot be loaded (model.weights.h5 is missing)")
    return None
