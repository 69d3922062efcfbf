"""A folder of prepared rows and its figures; what packing depends on; what a task trains on."""

import json
import math
from dataclasses import dataclass

from keras_vngpt.data.dataset import Mixture, PackedDataset
from keras_vngpt.files import atomic_write, checksums_match

PREFIXES = {"train": "", "validation": "validation_", "test": "test_"}  # of their figures


@dataclass(frozen=True)
class Context:
    """What packing a task's data depends on beside the data.

    Args:
        tokenizer: what tells the tokenizer apart from others, for a fingerprint.
        packs: bool, whether documents may share a row.
        text: optional `PackedDataset`, rows of text that the model was trained on before.
        text_name: what tells these rows apart from others, for a fingerprint.
    """

    tokenizer: object
    packs: bool = True
    text: PackedDataset | None = None
    text_name: str | None = None


def write_figures(folder, counts, n_items, scored, more=()):
    """Write what `metrics.json` will say of the rows; with it the folder is complete.

    Args:
        folder: Path, with a `PackedDataset` for each side.
        counts: "documents" or "requests".
        n_items: int, how many of them are trained on.
        scored: dictionary by side of `bytes` (of the text that carries weight), `weight`, `tokens`.
        more: dictionary of further figures.
    """
    rows, of_train = PackedDataset.load(folder / "train"), scored["train"]
    figures = {
        counts: n_items,
        "fill": of_train["tokens"] / rows["token_ids"].size,
        "sequence_length": rows.length,
        "weighted_share": of_train["weight"] / of_train["tokens"],
        **{name.replace(" ", "_"): n for name, n in dict(more).items()},
    }
    for side, prefix in PREFIXES.items():
        if (folder / side).exists():
            figures[f"{prefix}rows"] = len(PackedDataset.load(folder / side))
        if side in scored and side != "train":
            # From nats per scored token to bits per byte of the scored text.
            per_byte = scored[side]["weight"] / max(1, scored[side]["bytes"])
            figures[f"{prefix}bits_per_nat"] = per_byte / math.log(2)
    with atomic_write(folder / "figures.json", durable=True) as partial:
        partial.write_text(json.dumps(figures), encoding="utf-8")


def read_figures(folder):
    """What `write_figures` wrote."""
    return json.loads((folder / "figures.json").read_text(encoding="utf-8"))


def is_complete(folder, *also):
    """Whether the rows in a folder are as its figures say, and other files of JSON are there."""
    try:
        figures = read_figures(folder)
        for name in also:
            json.loads((folder / name).read_text(encoding="utf-8"))
        return all(
            checksums_match(folder / side)
            and len(PackedDataset.load(folder / side)) == figures[f"{prefix}rows"]
            for side, prefix in PREFIXES.items()
            if side != "test" or f"{prefix}rows" in figures
        )
    except (OSError, ValueError, KeyError):
        return False


@dataclass(frozen=True)
class TaskData:
    """What a task trains on, out of the folder of a run.

    Args:
        train: `PackedDataset`.
        validation: `PackedDataset`.
        mixture: optional `Mixture` of the rows to train on.
        passes: int, how often each text is in them.
        epochs: float, passes over them where no setting says how many.
        bits_per_nat: float, from the loss in validation to bits per byte.
        prompts: list of str, what the model is asked at each evaluation.
    """

    train: PackedDataset
    validation: PackedDataset
    mixture: Mixture | None = None
    passes: int = 1
    epochs: float = 20
    bits_per_nat: float = math.nan
    prompts: tuple = ()
