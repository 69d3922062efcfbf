"""A corpus to rows on Apache Beam, on as many machines as there are, and back for `fit`."""

import functools
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from pydantic import Field

from keras_vngpt.data.cleaning import Cleaner, bands, digest
from keras_vngpt.data.dataset import PackedDataset
from keras_vngpt.data.preprocessor import VnGPTCausalLMPreprocessor
from keras_vngpt.data.readers import Columns, find_documents, stream_documents
from keras_vngpt.data.sources import TFDS, Source
from keras_vngpt.data.splits import SIDES, side_of
from keras_vngpt.data.tokenise_and_pack import prepare_documents
from keras_vngpt.errors import UserError, needs_extra
from keras_vngpt.files import atomic_write
from keras_vngpt.text.tokenizer import load_tokenizer

Share = Annotated[float, Field(ge=0, lt=0.5)]
COLUMNS = ("token_ids", "segment_ids", "target", "sample_weight")


@dataclass
class RowsConfig(tfds.core.BuilderConfig):
    """What the rows are made of; every machine must see the paths.

    Args:
        paths: tuple of str, files of documents.
        tokenizer: str, folder of a tokenizer.
        sequence_length: int, positions in a row.
        shards: int, groups of documents that are packed together, each by one worker.
        shares: dictionary of the sides that are held out, as for `side_of`.
        near: float, as for `Cleaner`; 0 keeps near duplicates.
    """

    paths: tuple = ()
    tokenizer: str = ""
    sequence_length: int = 128
    shards: int = 1
    shares: dict = None
    near: float = 0.8


class PackedRows(tfds.core.GeneratorBasedBuilder):
    """Rows of the first stage as a TFDS data set, whose split "train" has no twin in the others.

    The rows are the same whatever the runner and the number of workers: a document belongs to a
    shard by its hash, and the documents of a shard stand in the order of their hashes.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        length = (self.builder_config.sequence_length,)
        kinds = dict.fromkeys(COLUMNS, np.int32) | {"sample_weight": np.float32}
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    name: tfds.features.Tensor(shape=length, dtype=kind)
                    for name, kind in kinds.items()
                }
            ),
        )

    def _split_generators(self, dl_manager, pipeline):
        beam = tfds.core.lazy_imports.apache_beam
        config = self.builder_config
        documents = (
            pipeline
            | beam.Create(config.paths)
            | beam.Reshuffle()
            | beam.FlatMap(_read)
            | beam.FlatMap(_clean)
            | beam.WithKeys(digest)
            | "duplicates" >> beam.CombinePerKey(min)
        )
        if config.near:
            twins = (
                documents
                | beam.FlatMap(_bands, config.near)
                | "alike" >> beam.GroupByKey()
                | beam.FlatMap(lambda group: [(twin, None) for twin in sorted(set(group[1]))[1:]])
            )
            documents = (
                {"texts": documents, "twins": twins}
                | "near duplicates" >> beam.CoGroupByKey()
                | beam.FlatMap(
                    lambda group: [] if group[1]["twins"] else [(group[0], group[1]["texts"][0])]
                )
            )
        shards = (
            documents
            | beam.Map(_place, config.shares, config.shards)
            | "shards" >> beam.GroupByKey()
        )
        return {
            side: self._generate_examples(shards, side)
            for side in SIDES
            if side == "train" or config.shares.get(side)
        }

    def _generate_examples(self, shards, side):
        beam = tfds.core.lazy_imports.apache_beam
        config = self.builder_config
        return (
            shards
            | f"of {side}" >> beam.Filter(lambda group: group[0][0] == side)
            | f"pack {side}" >> beam.FlatMap(_pack, config.tokenizer, config.sequence_length)
        )


def prepare_rows(
    data: list[str],
    tokenizer: str = "runs/default/tokenizer",
    to: str = "rows",
    sequence_length: Annotated[int, Field(ge=8, le=2**16)] = 128,
    shards: Annotated[int, Field(ge=1)] = 16,
    validation_share: Share = 0.1,
    test_share: Share = 0.1,
    near: Annotated[float, Field(ge=0, lt=1)] = 0.8,
    beam: list[str] | None = None,
):
    """Clean, split, tokenise and pack documents by an Apache Beam pipeline.

    Needs `pip install "keras_vngpt[beam]"`.

        python -m keras_vngpt.data.beam texts/ --tokenizer runs/mine/tokenizer --to rows

    Args:
        data: files, folders and globs of documents, as for `fit`, that every worker sees
        tokenizer: folder of a tokenizer, as a run has one
        to: folder of the TFDS data set
        sequence_length: positions in a row
        shards: groups of documents that are packed together; about 8 MB of text each is good
        validation_share: share of the documents to validate on
        test_share: share of the documents for the final figures
        near: leave out documents that share this part with another one (MinHash); 0 keeps them
        beam: options of the pipeline, NAME=VALUE; by default the local runner, in this process

    Returns:
        str, the folder to give to `fit`: `--pretrain.data rows:FOLDER`.

    Raises:
        UserError: nothing to read, no tokenizer, no Apache Beam.

    Example:
        >>> prepare_rows(["texts/"], "runs/mine/tokenizer", "rows", beam=["direct_num_workers=2"])
    """
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ModuleNotFoundError as error:
        raise UserError(needs_extra("data.beam", error, "beam")) from None
    faults = []
    sources = find_documents(data, faults)
    faults += [f"{s.name}: is read by one machine only" for s in sources if s.name.startswith(TFDS)]
    if faults:
        raise UserError(faults)
    load_tokenizer(tokenizer)
    made_of = {
        "paths": tuple(str(Path(path).resolve()) for s in sources for path in s.paths),
        "tokenizer": str(Path(tokenizer).resolve()),
        "sequence_length": sequence_length,
        "shards": shards,
        "shares": {"test": test_share, "validation": validation_share},
        "near": near,
    }
    contents = [Path(path).read_bytes() for path in sorted(Path(tokenizer).rglob("*.spm"))]
    files = [Path(path).stat() for path in made_of["paths"]]
    files = [(file.st_size, file.st_mtime_ns) for file in files]
    name = hashlib.blake2b(repr([made_of, contents, files]).encode(), digest_size=8).hexdigest()
    builder = PackedRows(config=RowsConfig(name=name, **made_of), data_dir=str(to))
    try:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(
                beam_options=PipelineOptions([f"--{option}" for option in beam or ()])
            )
        )
    except (UserError, ValueError) as error:  # of the text, or of the options of the pipeline
        raise UserError(str(error).splitlines()[0]) from None
    with atomic_write(Path(builder.data_path) / "tokenizer") as partial:  # `fit` must use the same
        shutil.copytree(tokenizer, partial)
    return str(builder.data_path)


def load_rows(folder, to):
    """Write the rows that `prepare_rows` made as a `PackedDataset` for each side.

    Args:
        folder: what `prepare_rows` returned.
        to: Path; each side gets a folder of its name.

    Returns:
        Dictionary by side of `documents`, `bytes` (of the scored text), `weight` and `tokens`.

    Raises:
        UserError: no such rows, or damaged ones.
    """
    try:
        builder = tfds.builder_from_directory(str(folder))
        tokenizer = load_tokenizer(Path(folder) / "tokenizer")
        figures = {}
        for side, info in builder.info.splits.items():
            if info.num_examples:
                rows = _packed(builder, side, info.num_examples)
                rows.save(Path(to) / side)
                figures[side] = _figures(rows, tokenizer)
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        problem = str(error).strip().splitlines()[0]
        raise UserError(f"{folder}: not rows that Beam prepared ({problem})") from None
    return figures


def _packed(builder, side, n_rows):
    """The rows of a side, in the order of their numbers."""
    read = builder.as_dataset(split=side, shuffle_files=False).batch(2**12)
    length = builder.info.features["token_ids"].shape[0]
    types = dict.fromkeys(COLUMNS, np.uint16) | {"sample_weight": np.float16}
    wide = dict.fromkeys(("token_ids", "target"), np.int32)
    columns = {n: np.empty((n_rows, length), t) for n, t in {**types, **wide}.items()}
    start = 0
    for batch in read.as_numpy_iterator():
        stop = start + len(batch["token_ids"])
        for name, column in columns.items():
            column[start:stop] = batch[name]
        start = stop
    return PackedDataset(columns)


def _figures(rows, tokenizer):
    """What `write_figures` wants to know; a token has the bytes of its piece."""
    pieces = [tokenizer.id_to_token(i) for i in range(tokenizer.vocabulary_size())]
    sizes = np.array([_size(piece) for piece in pieces])
    sizes[list(tokenizer.special_token_ids)] = 0
    documents = int(np.sum(rows["token_ids"] == tokenizer.start_token_id))
    scored = np.where(rows["sample_weight"] > 0, sizes[rows["target"]], 0)
    return {
        "documents": documents,
        "bytes": int(scored.sum()) - documents,  # a space before each, which is not in the text
        "weight": rows.weight,
        "tokens": rows.tokens,
    }


def _size(piece):
    is_byte = re.fullmatch("<0x[0-9A-F]{2}>", piece)
    return 1 if is_byte else len(piece.replace("▁", " ").encode())


def _read(path):
    faults = []
    yield from stream_documents(Source(path, (Path(path),)), faults, Columns())
    if faults:
        raise UserError(faults)


def _clean(text):
    return _cleaner()([text])


def _bands(document, near):
    return [(band, document[0]) for band in bands(document[1], near)]


def _place(document, shares, shards):
    """((side, shard), document)"""
    key, text = document
    return (side_of(text, shares), key % shards), document


def _pack(group, tokenizer, length):
    (side, shard), documents = group
    texts = [text for _, text in sorted(documents)]
    rows = prepare_documents(texts, _preprocessor(tokenizer, length)).rows
    for i in range(len(rows)):
        yield (
            f"{side} {shard} {i}",
            {
                name: rows[name][i].astype(np.float32 if "weight" in name else np.int32)
                for name in COLUMNS
            },
        )


@functools.cache
def _cleaner():
    """The steps that look at one document at a time."""
    return Cleaner(exact=False, near=0)


@functools.cache
def _preprocessor(tokenizer, length):
    return VnGPTCausalLMPreprocessor(load_tokenizer(tokenizer), length)
