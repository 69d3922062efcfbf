"""The rows that a pipeline wrote, as `fit` reads them."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from keras_vngpt.data.dataset import TRIPLE, PackedDataset, join
from keras_vngpt.errors import UserError
from keras_vngpt.text.tokenizer import load_tokenizer

AT_ONCE = 2**14  # rows in memory


def load_rows(folder, to):
    """Write the rows that `prepare_rows` made as a `PackedDataset` for each side.

    Args:
        folder: str or Path, what `prepare_rows` returned.
        to: Path; each side gets a folder of its name.

    Returns:
        Dictionary by side of `documents`, `bytes` (of the scored text), `weight` and `tokens`.

    Raises:
        UserError: no such rows, or damaged ones.
    """
    start = load_tokenizer(Path(folder) / "tokenizer").start_token_id
    try:
        builder = tfds.builder_from_directory(str(folder))
        sides = [side for side, info in builder.info.splits.items() if info.num_examples]
    except Exception as error:  # whatever a damaged description raises
        raise _damaged(folder, error) from None
    return {side: _save(_batches(builder, side, folder), start, to / side) for side in sides}


def _batches(builder, side, folder):
    """The rows of a side, many at a time, file after file."""
    reading = tfds.ReadConfig(interleave_cycle_length=1)
    try:
        rows = builder.as_dataset(split=side, shuffle_files=False, read_config=reading)
        yield from rows.batch(AT_ONCE).as_numpy_iterator()
    except Exception as error:  # whatever a damaged or missing file raises
        raise _damaged(folder, error) from None


def _damaged(folder, error):
    problem = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(f"{folder}: the rows are damaged ({problem})")


def _save(batches, start_token_id, folder):
    """Write batches as one `PackedDataset`; their figures."""
    parts, figures = folder.with_name(f"{folder.name}-parts"), Counter()
    for number, batch in enumerate(batches):
        rows = PackedDataset({name: _narrow(name, batch[name]) for name in TRIPLE})
        figures.update(
            documents=int(np.sum(rows["token_ids"] == start_token_id)),
            bytes=int(batch["bytes"].sum()),
            weight=rows.weight,
            tokens=rows.tokens,
        )
        rows.save(parts / f"{number:05d}")
    join(sorted(parts.iterdir()), folder)
    shutil.rmtree(parts)
    return dict(figures)


def _narrow(name, column):
    """A column in the type that takes least room."""
    if name == "sample_weight":
        return column.astype(np.float16)
    return column.astype(np.uint16 if column.max() < 2**16 else np.int32)
