"""Figures of a trained model on data of the user's choice."""

import math
from pathlib import Path

import numpy as np

from keras_vngpt.config import flatten, read_yaml
from keras_vngpt.data.examples import prepare_documents
from keras_vngpt.data.pipeline import evaluation_batches
from keras_vngpt.data.preprocessor import VnGPTCausalLMPreprocessor
from keras_vngpt.data.readers import COLUMN_HINTS, Columns, read_conversations, read_documents
from keras_vngpt.errors import UserError, with_hints
from keras_vngpt.evaluation.exact_match import exact_match
from keras_vngpt.generation.generate import load_text_generator
from keras_vngpt.generation.loading import find_preset
from keras_vngpt.models.causal_lm import VnGPTCausalLM
from keras_vngpt.models.scores import Scores

BATCH = 32


def evaluate(
    path: str,
    data: list[str] | None = None,
    text: list[str] | None = None,
    request_column: str | None = None,
    response_column: str | None = None,
    text_column: str | None = None,
):
    """Measure a model: exact match on requests, bits per byte on text.

        python -m keras_vngpt.evaluate runs/default --data my_test.jsonl
        python -m keras_vngpt.evaluate runs/default/pretrain --text news.txt

    Args:
        path: run folder, preset folder, or (for `data`) exported SavedModel
        data: JSONL or CSV files with requests and the expected responses
        text: text files; a blank line stands between two documents
        request_column: its name in `data`; by default as the run was trained with
        response_column: its name in `data`; by default as the run was trained with
        text_column: its name in tables of `text`; by default as the run was trained with

    Returns:
        dictionary with `exact_match` and `requests`, or `bits_per_byte`, `bytes` and `tokens`.

    Raises:
        UserError: a path with nothing to load, broken data, nothing to measure on.

    Example:
        >>> evaluate("runs/default", data=["my_test.jsonl"])["exact_match"]
    """
    if not data and not text:
        raise UserError("evaluate: needs --data, requests with responses, or --text, plain text")
    preset = find_preset(path)
    generator = load_text_generator(path)
    if text and preset is None:
        raise UserError(f"{path}: bits per byte need a run folder or a preset, not an export")
    figures = {}
    columns = _columns(path, text=text_column, request=request_column, response=response_column)
    conversations = _read(data, columns) if data else []
    documents = read_documents(text, columns.text) if text else []
    if conversations:
        answers = exact_match(generator, conversations)
        figures["exact_match"] = float(np.mean([a["correct"] for a in answers]))
        figures["requests"] = len(answers)
    if documents:
        preprocessor = VnGPTCausalLMPreprocessor.from_preset(str(preset))
        prepared = prepare_documents(documents, preprocessor)
        figures["bytes"] = prepared.scored_bytes
        figures["tokens"] = int(prepared.rows.weight)
        nats = nats_per_token(preset, prepared.rows) * figures["tokens"]
        figures["bits_per_byte"] = nats / figures["bytes"] / math.log(2)
    return figures


def _columns(path, **names):
    """The columns that are named, and for the others those of the run."""
    config = Path(path, "config.yaml")
    of_run = flatten(read_yaml(config)) if config.is_file() else {}
    stages = {"text": "pretrain", "request": "finetune", "response": "finetune"}
    found = {n: names[n] or of_run.get(f"{stages[n]}.{n}_column") for n in names}
    return Columns(**{name: column for name, column in found.items() if column})


def _read(data, columns):
    try:
        return read_conversations(data, columns)
    except UserError as fault:
        raise UserError(with_hints(fault.faults, COLUMN_HINTS)) from None


def nats_per_token(preset, rows):
    """The loss of a model on rows, per scored token.

    Args:
        preset: folder of a KerasHub preset.
        rows: `Rows`.
    """
    model = VnGPTCausalLM.from_preset(str(preset))
    return Scores(model)(evaluation_batches(rows, BATCH))[0]
