"""Packed rows of named columns, on disk as memory-mapped arrays."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write, write_checksums

TRIPLE = ("token_ids", "segment_ids", "target", "sample_weight")


@dataclass(frozen=True)
class PackedDataset:
    """Rows of one length, one after another, as named columns.

    Every task has `token_ids` (the input), `segment_ids` (0 is padding; 1, 2, 3 the documents in
    the row), `target` and `sample_weight`, each [rows, length]. A task may bring more columns, each
    [rows, ...]: the training step finds them among its inputs under their names.

    Args:
        columns: dictionary from a name to an array.

    Example:
        >>> rows = PackedDataset.load("runs/default/work/pretrain/train")
        >>> rows["token_ids"].shape
        (2613, 128)
    """

    columns: dict

    def __getitem__(self, name):
        return self.columns[name]

    def __len__(self):
        return len(self["token_ids"])

    @property
    def length(self):
        """Positions in a row."""
        return self["token_ids"].shape[1]

    @property
    def tokens(self):
        """Number of positions that hold a token."""
        return sum(int(np.count_nonzero(part)) for part in _parts(self["segment_ids"]))

    @property
    def fill(self):
        """Share of the positions that hold a token."""
        return self.tokens / self["segment_ids"].size

    @property
    def weight(self):
        """The sum of all weights."""
        return sum(float(part.sum(dtype=np.float64)) for part in _parts(self["sample_weight"]))

    def subsample(self, most):
        """At most so many of the rows, picked evenly."""
        step = -(-len(self) // most)
        return PackedDataset({name: column[::step] for name, column in self.columns.items()})

    def save(self, folder):
        """Write the columns into `folder`, all or none."""
        with atomic_write(folder) as partial:
            partial.mkdir(parents=True)
            for name, column in self.columns.items():
                np.save(partial / f"{name}.npy", column)
            write_checksums(partial)

    @classmethod
    def load(cls, folder):
        """Map the columns of a folder that `save` wrote.

        Raises:
            UserError: one is missing or damaged.
        """
        paths = sorted(Path(folder).glob("*.npy"))
        try:
            columns = {path.stem: np.load(path, mmap_mode="r") for path in paths}
        except (OSError, ValueError, EOFError):
            columns = {}
        if not columns.keys() >= set(TRIPLE):
            raise UserError(f"{folder}: is damaged. --restart makes the run anew")
        return cls(columns)


@dataclass(frozen=True)
class Mixture:
    """Which rows come from which source, and how often each source has its turn.

    Args:
        rows: tuple of int, the rows of each source, one source after another.
        shares: tuple of float, how much of the training each source is.
    """

    rows: tuple
    shares: tuple

    @classmethod
    def load(cls, folder):
        """The mixture of the rows in a folder; `None` if they are all of one kind."""
        path = Path(folder) / "mixture.json"
        return cls(**json.loads(path.read_text())) if path.exists() else None


def join(shards, folder, mixture=None):
    """Write the rows of several folders as one, with one shard at a time in memory.

    Args:
        shards: list of folders that `PackedDataset.save` wrote, with rows of one length.
        folder: str or Path.
        mixture: optional `Mixture` of the rows.
    """
    with atomic_write(folder) as partial:
        partial.mkdir(parents=True)
        for name in PackedDataset.load(shards[0]).columns:
            paths = [Path(shard) / f"{name}.npy" for shard in shards]
            heads = [np.load(path, mmap_mode="r") for path in paths]
            dtype = np.result_type(*heads)
            header = {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": (sum(map(len, heads)), *heads[0].shape[1:]),
            }
            with open(partial / f"{name}.npy", "wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                for path in paths:  # read, not mapped: pages of a map stay in memory
                    np.load(path).astype(dtype).tofile(file)
        if mixture:
            (partial / "mixture.json").write_text(json.dumps(vars(mixture)))
        write_checksums(partial)


def _parts(array, rows=2**14):
    """An array that may not fit into memory, part by part."""
    return (array[start : start + rows] for start in range(0, len(array), rows))
