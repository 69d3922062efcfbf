"""How well a model predicts text, in bits per byte: independent of the tokenizer."""

import math

from keras_vngpt.console import Progress
from keras_vngpt.data.pipeline import evaluation_batches
from keras_vngpt.data.tokenise_and_pack import prepare_documents
from keras_vngpt.families import family_of
from keras_vngpt.generation.loading import load_model
from keras_vngpt.models.validation_scores import Scores

BATCH = 32


def bits_per_byte(preset, documents):
    """The loss of a model on documents, per byte of their UTF-8.

    Args:
        preset: folder of a KerasHub preset.
        documents: list of str.

    Returns:
        A dictionary: `bits_per_byte`, `bytes`, `tokens`.
    """
    model = load_model(preset)
    family, stock = family_of(model), model.preprocessor
    preprocessor = family.preprocessor(stock.tokenizer, stock.sequence_length, "text")
    prepared = prepare_documents(documents, preprocessor, family.takes_segments)
    nats = _nats_per_token(model, prepared.rows) * prepared.rows.weight
    return {
        "bits_per_byte": nats / prepared.scored_bytes / math.log(2),
        "bytes": prepared.scored_bytes,
        "tokens": int(prepared.rows.weight),
    }


def nats_per_token(preset, rows):
    """The loss of a model on rows, per scored token.

    Args:
        preset: folder of a KerasHub preset.
        rows: `PackedDataset`.
    """
    return _nats_per_token(load_model(preset), rows)


def _nats_per_token(model, rows):
    scores = Scores(model, family_of(model).head(model))
    with Progress(f"measuring {len(rows):,} rows of text"):
        return scores(evaluation_batches(rows, BATCH))[0]
