"""How documents become rows: as a stream, by best fit, or each by itself."""

import math

import numpy as np

from keras_vngpt.data.dataset import TRIPLE, PackedDataset


def concatenate_and_split(columns, sizes, length):
    """Documents one after another, cut into full rows: how text is packed.

    Args:
        columns: dictionary of 1-D arrays, each of all documents end to end: `token_ids`, `target`,
            `sample_weight`, and what else a task has.
        sizes: int array, positions of each document.
        length: int, positions in a row.

    Returns:
        `PackedDataset`; only the last row may have padding.
    """
    document = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    n_rows = -(-len(document) // length)

    def in_rows(column):
        return np.pad(column, (0, n_rows * length - len(column))).reshape(n_rows, length)

    document = in_rows(document)
    segments = np.where(document > 0, document - document[:, :1] + 1, 0)
    columns = {name: in_rows(column) for name, column in columns.items()}
    return _dataset(columns, segments)


def best_fit(columns, sizes, length, passes=1):
    """Whole documents in as few rows as best-fit decreasing finds: how requests are packed.

    Args:
        columns: as for `concatenate_and_split`.
        sizes: int array, positions of each document, each at most `length`.
        length: int, positions in a row.
        passes: int, how often each document is packed.

    Returns:
        `PackedDataset`.

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
    return _in_rows(columns, sizes, length, rows)


def one_a_row(columns, sizes, length, passes=1):
    """Each document in a row by itself, for models that cannot tell documents apart.

    Args:
        columns: as for `concatenate_and_split`.
        sizes: int array, positions of each document; a longer one goes on in the next row.
        length: int, positions in a row.
        passes: int, how often each document is packed.

    Returns:
        `PackedDataset`.
    """
    parts = [[min(length, size - start) for start in range(0, size, length)] for size in sizes]
    sizes = np.array([size for of_document in parts for size in of_document], int)
    return _in_rows(columns, sizes, length, [[i] for i in np.tile(np.arange(len(sizes)), passes)])


def _in_rows(columns, sizes, length, rows):
    """Rows, each a list of the documents in it, as a `PackedDataset`."""
    packed = {name: np.zeros((len(rows), length), c.dtype) for name, c in columns.items()}
    segments = np.zeros((len(rows), length), np.int64)
    ends = np.cumsum(sizes)
    for r, row in enumerate(rows):
        start = 0
        for segment, i in enumerate(row, 1):
            place = slice(start, start + sizes[i])
            for name, column in columns.items():
                packed[name][r, place] = column[ends[i] - sizes[i] : ends[i]]
            segments[r, place] = segment
            start = place.stop
    return _dataset(packed, segments)


def fill_with_replay(rows, text, weight, start_token_id):
    """Rows of requests with text where they would be empty.

    The text has segments of its own: what the documents of a row see is what they saw before.

    Args:
        rows: `PackedDataset`, with padding at the end of a row alone.
        text: `PackedDataset` of text; as much is taken as fits, from everywhere.
        weight: float, of its tokens in the loss.
        start_token_id: int, of `[BOS]`.

    Returns:
        `PackedDataset`.
    """
    used = np.count_nonzero(rows["segment_ids"], axis=1)
    gaps = rows.length - used
    is_gap = np.arange(rows.length) >= used[:, None]
    text = text.subsample(max(1, math.ceil(gaps.sum() / text.length)))
    is_first = text["token_ids"] == start_token_id
    is_first[:, 0] = True
    taken = np.flatnonzero(text["segment_ids"].ravel())  # the very last row may have padding
    taken = np.resize(taken, gaps.sum())  # from its beginning again where it is too short
    is_first = is_first.ravel()[taken]
    ends = np.cumsum(gaps)
    is_first[(ends - gaps)[gaps > 0]] = True
    # In a gap the documents are numbered from the last of the row on.
    document = np.cumsum(is_first)
    before = np.concatenate([[0], document])[ends - gaps]
    offset = rows["segment_ids"].max(axis=1) - before
    arrays = {
        "token_ids": text["token_ids"].ravel()[taken],
        "segment_ids": document + np.repeat(offset, gaps),
        "target": text["target"].ravel()[taken],
        "sample_weight": text["sample_weight"].ravel()[taken] * weight,
    }
    for name, values in arrays.items():
        array = np.array(rows[name], np.float32 if name == "sample_weight" else np.int64)
        array[is_gap] = values
        arrays[name] = array
    segment_ids = arrays.pop("segment_ids")
    others = {name: c for name, c in rows.columns.items() if name not in TRIPLE}
    return _dataset({**others, **arrays}, segment_ids)


def _dataset(columns, segment_ids):
    """The columns in the smallest types that hold them."""
    largest = max(columns[name].max(initial=0) for name in ("token_ids", "target"))
    wide = np.uint16 if largest < 2**16 else np.int32
    types = {"token_ids": wide, "target": wide, "sample_weight": np.float16}
    typed = {name: c.astype(types.get(name, c.dtype)) for name, c in columns.items()}
    return PackedDataset({**typed, "segment_ids": segment_ids.astype(np.uint16)})
