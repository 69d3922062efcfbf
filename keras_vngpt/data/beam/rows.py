"""A corpus to rows on Apache Beam: the steps of `fit`, on as many machines as there are."""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from pydantic import Field

from keras_vngpt.data.cleaning import Cleaner, bands, digest
from keras_vngpt.data.examples import prepare_documents
from keras_vngpt.data.preprocessor import VnGPTCausalLMPreprocessor
from keras_vngpt.data.readers import Columns, find_documents, stream_documents
from keras_vngpt.data.sources import TFDS, Source
from keras_vngpt.data.splits import SIDES, side_of
from keras_vngpt.errors import UserError
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

    Needs `pip install apache-beam`.

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
        str, the folder to give to `served_batches`.

    Raises:
        UserError: nothing to read, no tokenizer, no Apache Beam.

    Example:
        >>> prepare_rows(["texts/"], "runs/mine/tokenizer", "rows", beam=["direct_num_workers=2"])
    """
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise UserError("apache-beam: is not installed. pip install apache-beam") from None
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
    return str(builder.data_path)


def served_batches(folder, batch_size, side="train", service=None, shuffle=2**14, seed=0):
    """Batches of rows that `prepare_rows` made, from a tf.data service where there is one.

    Args:
        folder: what `prepare_rows` returned.
        batch_size: int, rows in a batch.
        side: "train", "validation" or "test".
        service: str, the address of a dispatcher ("grpc://host:5050"): its workers read, and each
            row comes once whatever the number of trainers.
        shuffle: int, rows that are shuffled at a time.
        seed: int, of the order; a service gives out an epoch of each seed once.

    Returns:
        `tf.data.Dataset` of triples, as `training_batches`.

    Example:
        >>> model.fit(served_batches("rows/packed_rows/rows/1.0.0", 64, service="grpc://feed:5050"))
    """
    # A worker of a service sees a part of the rows only.
    reading = tfds.ReadConfig(assert_cardinality=service is None)
    rows = tfds.builder_from_directory(folder).as_dataset(split=side, read_config=reading)

    def triple(row):
        x = {"token_ids": row["token_ids"], "padding_mask": row["segment_ids"]}
        return x, row["target"], row["sample_weight"]

    batches = rows.shuffle(shuffle, seed).batch(batch_size, drop_remainder=True).map(triple)
    if service:
        batches = batches.apply(
            tf.data.experimental.service.distribute(
                "distributed_epoch", service, job_name=f"{folder} {side} {seed}"
            )
        )
    return batches.prefetch(tf.data.AUTOTUNE)


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
                name: getattr(rows, name)[i].astype(np.float32 if "weight" in name else np.int32)
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
