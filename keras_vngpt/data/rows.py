"""Fixed-length rows of packed triples, on disk as memory-mapped arrays."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_vngpt.faults import Faults
from keras_vngpt.whole import whole


@dataclass(frozen=True)
class Rows:
    """Packed triples, one row after another.

    Args:
        token_ids: int array [rows, length], the input.
        segment_ids: int array [rows, length]: 0 is padding, 1, 2, 3 the documents in the row.
        target: int array [rows, length].
        sample_weight: float array [rows, length].

    Example:
        >>> rows = Rows.load("runs/default/pretrain/rows/train")
    """

    token_ids: np.ndarray
    segment_ids: np.ndarray
    target: np.ndarray
    sample_weight: np.ndarray

    def __len__(self):
        return len(self.token_ids)

    @property
    def length(self):
        """Positions in a row."""
        return self.token_ids.shape[1]

    @property
    def fill(self):
        """Share of the positions that hold a token."""
        return float(np.mean(self.segment_ids > 0))

    @property
    def tokens(self):
        """Number of positions that hold a token."""
        return int(np.sum(self.segment_ids > 0))

    def save(self, folder):
        """Write the arrays into `folder`, all or none."""
        with whole(folder) as partial:
            partial.mkdir()
            for name, array in vars(self).items():
                np.save(partial / f"{name}.npy", array)

    @classmethod
    def load(cls, folder):
        """Map the arrays of a folder that `save` wrote.

        Raises:
            Faults: one is missing or damaged.
        """
        names = cls.__dataclass_fields__
        try:
            return cls(*(np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in names))
        except (OSError, ValueError, EOFError):
            raise Faults(f"{folder}: is damaged. --restart makes the run anew") from None


def flow(triples, length):
    """Documents one after another, cut into full rows: the packing of the first stage.

    Args:
        triples: list of `(token_ids, target, sample_weight)`, 1-D arrays of one document each.
        length: int, positions in a row.

    Returns:
        `Rows`; only the last row may have padding.
    """
    columns = [np.concatenate(column) for column in zip(*triples, strict=True)]
    document = np.repeat(np.arange(1, len(triples) + 1), [len(t[0]) for t in triples])
    n_rows = -(-len(document) // length)
    token_ids, target, weight, document = (
        np.pad(c, (0, n_rows * length - len(c))).reshape(n_rows, length)
        for c in (*columns, document)
    )
    segments = np.where(document > 0, document - document[:, :1] + 1, 0)
    return _as_rows(token_ids, segments, target, weight)


def best_fit(triples, length):
    """Whole documents in as few rows as best-fit decreasing finds: packing of the second stage.

    Args:
        triples: list of `(token_ids, target, sample_weight)`, each at most `length` long.
        length: int, positions in a row.

    Returns:
        `Rows`.

    References:
        - [Ding et al., 2024](https://arxiv.org/abs/2404.10830), best-fit packing.
    """
    rows, open_rows = [], [[] for _ in range(length + 1)]  # by the room that is left in them
    in_use = np.zeros(length + 1, bool)  # which rooms any open row has
    for i in np.argsort([-len(t[0]) for t in triples], kind="stable"):
        size = len(triples[i][0])
        room = size + int(np.argmax(in_use[size:]))  # the least that is enough, if any is
        if in_use[room]:
            row = open_rows[room].pop()
            in_use[room] = bool(open_rows[room])
        else:
            row, room = [], length
            rows.append(row)
        row.append(i)
        open_rows[room - size].append(row)
        in_use[room - size] = True
    shape = (len(rows), length)
    token_ids, segments, target = (np.zeros(shape, np.int64) for _ in range(3))
    weight = np.zeros(shape, np.float32)
    for r, row in enumerate(rows):
        start = 0
        for segment, i in enumerate(row, 1):
            place = slice(start, start + len(triples[i][0]))
            token_ids[r, place], target[r, place], weight[r, place] = triples[i]
            segments[r, place] = segment
            start = place.stop
    return _as_rows(token_ids, segments, target, weight)


def _as_rows(token_ids, segment_ids, target, sample_weight):
    wide = np.uint16 if token_ids.max() < 2**16 else np.int32
    return Rows(
        token_ids.astype(wide),
        segment_ids.astype(np.uint16),
        target.astype(wide),
        sample_weight.astype(np.float16),
    )
