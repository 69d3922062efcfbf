"""A corpus of any size to rows: streamed, cleaned, split and packed, a shard at a time."""

import json
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from keras_vngpt.console import Progress
from keras_vngpt.data.dataset import Mixture, PackedDataset, join
from keras_vngpt.data.splits import SIDES
from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write

SHARD_BYTES = 2**23  # of text that is packed together
AT_ONCE = 2  # shards


def prepare_corpus(sources, read, clean, pack, folder, side_of, n_documents=None):
    """Tokenise and pack the documents of several sources, each side into a folder of its name.

    Memory holds a few shards, whatever the size of the corpus. A shard that an interrupted call
    wrote is taken as it stands, so the result is the same to the byte.

    Args:
        sources: list of `Source`.
        read: function from a `Source` to a stream of documents.
        clean: function from a stream of documents to those that stay; a `Cleaner`.
        pack: function from a list of documents to `Prepared`, as `prepare_documents`.
        folder: str or Path.
        side_of: function from a document to "train", "validation" or "test".
        n_documents: int, how many there are, for a progress bar.

    Returns:
        For each side that has any a dictionary: `documents`, `bytes` of text, `weight`, `tokens`.
    """
    folder = Path(folder)
    sides = {side: Side(folder / side, pack) for side in SIDES}
    progress = Progress("cleaning, tokenising and packing", n_documents, "documents")

    def counted(documents):
        for document in documents:
            yield document
            progress.add()

    with progress, ThreadPoolExecutor(AT_ONCE) as pool:
        for source in sources:
            for document in clean(counted(read(source))):
                sides[side_of(document)].add(document, pool)
            for side in sides.values():
                side.end_source(pool)
    is_mixture = any(source.share for source in sources)
    figures = {
        name: side.finish(sources if name == "train" and is_mixture else None)
        for name, side in sides.items()
    }
    return {name: of_side for name, of_side in figures.items() if of_side}


class Side:
    """The shards of one side of the split, written as they fill up."""

    def __init__(self, folder, pack):
        self.folder = folder
        self.pack = pack
        self.sources = []  # of each the number of its shards
        self._documents, self._size, self._n_shards = [], 0, 0
        self._running = deque()

    def add(self, document, pool):
        self._documents.append(document)
        self._size += len(document.encode())
        if self._size >= SHARD_BYTES:
            self._flush(pool)

    def end_source(self, pool):
        if self._documents:
            self._flush(pool)
        self.sources.append(self._n_shards - sum(self.sources))

    def _flush(self, pool):
        while len(self._running) >= AT_ONCE:
            self._running.popleft().result()
        self._running.append(
            pool.submit(write_shard, self._documents, self.pack, self._shard(self._n_shards))
        )
        self._documents, self._size = [], 0
        self._n_shards += 1

    def _shard(self, number):
        return self.folder.with_name(f"{self.folder.name}-shards") / f"{number:05d}"

    def finish(self, mixed):
        """Join the shards, of the sources of a mixture if they are mixed; the figures."""
        for future in self._running:
            future.result()
        shards = [self._shard(number) for number in range(self._n_shards)]
        figures = Counter()
        for shard in shards:
            figures.update(json.loads((shard / "figures.json").read_text()))
        mixture = None
        if mixed and shards:
            ends = [sum(self.sources[: i + 1]) for i in range(len(self.sources))]
            counts = [
                sum(len(PackedDataset.load(shard)) for shard in shards[end - n : end])
                for end, n in zip(ends, self.sources, strict=True)
            ]
            if not all(counts):
                nothing = mixed[counts.index(0)].name
                raise UserError(
                    f"{nothing}: nothing is left of it after cleaning. Leave it out of the mixture"
                )
            mixture = Mixture(tuple(counts), tuple(source.share for source in mixed))
        if shards:
            join(shards, self.folder, mixture)
        return dict(figures)


def write_shard(documents, pack, folder):
    """Tokenise and pack documents into a folder, if it is not there yet."""
    try:
        json.loads((folder / "figures.json").read_text())
        PackedDataset.load(folder)
        return
    except (OSError, ValueError):  # not there, or not whole
        pass
    prepared = pack(documents)
    figures = {
        "documents": len(documents),
        "bytes": prepared.scored_bytes,
        "weight": prepared.rows.weight,
        "tokens": prepared.rows.tokens,
    }
    with atomic_write(folder) as partial:
        prepared.rows.save(partial)
        (partial / "figures.json").write_text(json.dumps(figures))
