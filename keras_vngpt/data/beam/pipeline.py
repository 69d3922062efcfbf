"""A corpus to rows on Apache Beam, on as many machines as there are."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from keras_vngpt.data.cleaning import Cleaner, bands, digest
from keras_vngpt.data.dataset import TRIPLE
from keras_vngpt.data.preprocessor import VnGPTCausalLMPreprocessor
from keras_vngpt.data.readers import Columns, stream_documents
from keras_vngpt.data.sources import Source
from keras_vngpt.data.splits import SIDES, side_of
from keras_vngpt.data.tokenise_and_pack import prepare_documents
from keras_vngpt.errors import UserError
from keras_vngpt.text.tokenizer import load_tokenizer


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
    """Rows of text as a TFDS data set, whose split "train" has no twin in the others.

    A row has the columns of a `PackedDataset`, and in `bytes` the size of the documents that begin
    in it: without it nobody could tell bits per byte.

    The rows are the same whatever the runner and the number of workers: a document belongs to a
    shard by its hash, and the documents of a shard stand in the order of their hashes.
    """

    VERSION = tfds.core.Version("1.1.0")

    def run(self, options):
        """Run the pipeline, unless its rows are there already.

        Args:
            options: Beam's `PipelineOptions`.
        """
        self.download_and_prepare(
            download_config=tfds.download.DownloadConfig(beam_options=options)
        )

    def _info(self):
        length = self.builder_config.sequence_length
        features = {
            name: tfds.features.Tensor(shape=(length,), dtype=_dtype(name)) for name in TRIPLE
        }
        features["bytes"] = np.int64
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

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
    preprocessor = _preprocessor(tokenizer, length)
    rows = prepare_documents(texts, preprocessor).rows
    begins_in = np.nonzero(rows["token_ids"] == preprocessor.tokenizer.start_token_id)[0]
    n_bytes = np.bincount(begins_in, [len(text.encode()) for text in texts], len(rows))
    for i in range(len(rows)):
        row = {name: rows[name][i].astype(_dtype(name)) for name in TRIPLE}
        yield f"{side} {shard} {i}", row | {"bytes": int(n_bytes[i])}


def _dtype(name):
    return np.float32 if name == "sample_weight" else np.int32


@functools.cache
def _cleaner():
    """The steps that look at one document at a time."""
    return Cleaner(exact=False, near=0)


@functools.cache
def _preprocessor(tokenizer, length):
    return VnGPTCausalLMPreprocessor(load_tokenizer(tokenizer), length)
