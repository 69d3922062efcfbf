"""Fixed-length rows of packed triples, on disk as memory-mapped arrays."""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write, write_checksums


@dataclass(frozen=True)
class Rows:
    """Packed triples, one row after another.

    Args:
        token_ids: int array [rows, length], the input.
        segment_ids: int array [rows, length]: 0 is padding, 1, 2, 3 the documents in the row.
        target: int array [rows, length].
        sample_weight: float array [rows, length].

    Example:
        >>> rows = Rows.load("runs/default/work/pretrain/train")
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
    def tokens(self):
        """Number of positions that hold a token."""
        return sum(int(np.count_nonzero(part)) for part in _parts(self.segment_ids))

    @property
    def fill(self):
        """Share of the positions that hold a token."""
        return self.tokens / self.segment_ids.size

    @property
    def weight(self):
        """The sum of all weights."""
        return sum(float(part.sum(dtype=np.float64)) for part in _parts(self.sample_weight))

    def subsample(self, most):
        """At most so many of the rows, picked evenly."""
        step = -(-len(self) // most)
        return Rows(*(getattr(self, field.name)[::step] for field in fields(self)))

    def save(self, folder):
        """Write the arrays into `folder`, all or none."""
        with atomic_write(folder) as partial:
            partial.mkdir(parents=True)
            for field in fields(self):
                np.save(partial / f"{field.name}.npy", getattr(self, field.name))
            write_checksums(partial)

    @classmethod
    def load(cls, folder):
        """Map the arrays of a folder that `save` wrote.

        Raises:
            UserError: one is missing or damaged.
        """
        names = [field.name for field in fields(cls)]
        try:
            return cls(*(np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in names))
        except (OSError, ValueError, EOFError):
            raise UserError(f"{folder}: is damaged. --restart makes the run anew") from None


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
    """Write the rows of several folders as one, all or nothing, a shard at a time in memory.

    Args:
        shards: list of folders that `Rows.save` wrote, with rows of one length.
        folder: str or Path.
        mixture: optional `Mixture` of the rows.
    """
    with atomic_write(folder) as partial:
        partial.mkdir(parents=True)
        for field in fields(Rows):
            paths = [Path(shard) / f"{field.name}.npy" for shard in shards]
            heads = [np.load(path, mmap_mode="r") for path in paths]
            dtype = np.result_type(*heads)
            header = {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": (sum(map(len, heads)), heads[0].shape[1]),
            }
            with open(partial / f"{field.name}.npy", "wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                for path in paths:  # read, not mapped: pages of a map stay in memory
                    np.load(path).astype(dtype).tofile(file)
        if mixture:
            (partial / "mixture.json").write_text(json.dumps(vars(mixture)))
        write_checksums(partial)


def flow(columns, sizes, length):
    """Documents one after another, cut into full rows: the packing of the first stage.

    Args:
        columns: `(token_ids, target, sample_weight)`, 1-D arrays of all documents end to end.
        sizes: int array, positions of each document.
        length: int, positions in a row.

    Returns:
        `Rows`; only the last row may have padding.
    """
    document = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    n_rows = -(-len(document) // length)
    token_ids, target, weight, document = (
        np.pad(c, (0, n_rows * length - len(c))).reshape(n_rows, length)
        for c in (*columns, document)
    )
    segments = np.where(document > 0, document - document[:, :1] + 1, 0)
    return _as_rows(token_ids, segments, target, weight)


def best_fit(columns, sizes, length, passes=1):
    """Whole documents in as few rows as best-fit decreasing finds: packing of the second stage.

    Args:
        columns: `(token_ids, target, sample_weight)`, 1-D arrays of all documents end to end.
        sizes: int array, positions of each document, each at most `length`.
        length: int, positions in a row.
        passes: int, how often each document is packed.

    Returns:
        `Rows`.

    References:
        - [Ding et al., 2024](https://arxiv.org/abs/2404.10830), best-fit packing.
    """
    rows, open_rows = [], [[] for _ in range(length + 1)]  # by the room that is left in them
    in_use = np.zeros(length + 1, bool)  # which rooms any open row has
    for i in np.repeat(np.argsort(-np.asarray(sizes), kind="stable"), passes):
        size = sizes[i]
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
    ends = np.cumsum(sizes)
    for r, row in enumerate(rows):
        start = 0
        for segment, i in enumerate(row, 1):
            place = slice(start, start + sizes[i])
            taken = slice(ends[i] - sizes[i], ends[i])
            for to, column in zip((token_ids, target, weight), columns, strict=True):
                to[r, place] = column[taken]
            segments[r, place] = segment
            start = place.stop
    return _as_rows(token_ids, segments, target, weight)


def fill_gaps(rows, text, weight, start_token_id):
    """Rows of the second stage with text of the first where they would be empty.

    The text has segments of its own: what the documents of a row see is what they saw before.

    Args:
        rows: `Rows`, with padding at the end of a row alone.
        text: `Rows` of the first stage; as much is taken as fits, from everywhere.
        weight: float, of its tokens in the loss.
        start_token_id: int, of `[BOS]`.

    Returns:
        `Rows`.
    """
    used = np.count_nonzero(rows.segment_ids, axis=1)
    gaps = rows.length - used
    is_gap = np.arange(rows.length) >= used[:, None]
    text = text.subsample(max(1, math.ceil(gaps.sum() / text.length)))
    is_first = text.token_ids == start_token_id
    is_first[:, 0] = True
    taken = np.flatnonzero(text.segment_ids.ravel())  # the very last row may have padding
    taken = np.resize(taken, gaps.sum())  # from its beginning again where it is too short
    is_first = is_first.ravel()[taken]
    ends = np.cumsum(gaps)
    is_first[(ends - gaps)[gaps > 0]] = True
    # In a gap the documents are numbered from the last of the row on.
    document = np.cumsum(is_first)
    before = np.concatenate([[0], document])[ends - gaps]
    offset = rows.segment_ids.max(axis=1) - before
    arrays = {
        "token_ids": text.token_ids.ravel()[taken],
        "segment_ids": document + np.repeat(offset, gaps),
        "target": text.target.ravel()[taken],
        "sample_weight": text.sample_weight.ravel()[taken] * weight,
    }
    for name, values in arrays.items():
        array = np.array(getattr(rows, name), np.float32 if name == "sample_weight" else np.int64)
        array[is_gap] = values
        arrays[name] = array
    return _as_rows(**arrays)


def _as_rows(token_ids, segment_ids, target, sample_weight):
    wide = np.uint16 if token_ids.size == 0 or token_ids.max() < 2**16 else np.int32
    return Rows(
        token_ids.astype(wide),
        segment_ids.astype(np.uint16),
        target.astype(wide),
        sample_weight.astype(np.float16),
    )


def _parts(array, rows=2**14):
    """An array that may not fit into memory, part by part."""
    return (array[start : start + rows] for start in range(0, len(array), rows))
