"""`export`: writes a run in an export format."""

from pathlib import Path

from keras_vngpt.console import Progress, import_tensorflow
from keras_vngpt.errors import UserError
from keras_vngpt.generation.generation_config import WEIGHTS, check_texts


def export(path: str, to: str | None = None, text: bool = True, weights: str = "float32"):
    """Write the SavedModel of a run: generation with TensorFlow alone.

        python -m keras_vngpt.export runs/default
        python -m keras_vngpt.export runs/default --to served/2 --text false
        python -m keras_vngpt.export runs/default --to small/1 --weights int8

    Args:
        path: run folder or preset folder
        to: folder of the SavedModel, replaced if there is one; nothing for export/1 of the run
        text: text signatures too (who loads it needs tensorflow_text); false for ids alone
        weights: float32, bfloat16, float16 or int8, a quarter of the size and the fastest for one

    Returns:
        Path of the SavedModel.

    Raises:
        UserError: a path with nothing to export, weights that it cannot have.

    Example:
        >>> export("runs/default", to="served/2")
    """
    if weights not in WEIGHTS:
        raise UserError(f"weights: one of {', '.join(WEIGHTS)}. Received: {weights}")
    with Progress("loading TensorFlow"):
        import_tensorflow()
    import tensorflow as tf

    from keras_vngpt.exporting.saved_model import save_generator
    from keras_vngpt.generation.loading import load_generator
    from keras_vngpt.generation.saved_model_generator import SavedModelGenerator

    try:
        generator = load_generator(path, weights)
    except UserError:
        raise
    except ValueError as error:  # weights that the model cannot have
        raise UserError(f"{path}: {error}") from None
    if isinstance(generator, SavedModelGenerator):
        raise UserError(f"{path}: is an export already. Give the run folder it came from")
    check_texts("to", [to or ""])
    to = Path(to).resolve() if to else Path(path) / "export" / "1"
    if (
        to.exists()
        and not (to / "saved_model.pb").is_file()
        and (to.is_file() or any(to.iterdir()))
    ):
        raise UserError(f"{to}: exists and is not a SavedModel. Take another --to")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with Progress(f"writing {to}"):
            save_generator(generator, to, text=text)
    except OSError as error:
        raise UserError(f"{to}: cannot be written ({error.strerror or error})") from None
    except tf.errors.OpError as error:  # TensorFlow writes the weights: a full disk
        raise UserError(f"{to}: cannot be written ({error.message.splitlines()[0]})") from None
    return to
