"""What several tests share: a tokenizer, small models, one trained run."""

import functools
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from filelock import FileLock

import keras_vngpt
from keras_vngpt import VnGPTBackbone, VnGPTCausalLM, VnGPTCausalLMPreprocessor
from keras_vngpt.data.readers import read_conversations, read_documents
from keras_vngpt.exporting.saved_model import save_generator
from keras_vngpt.generation.loading import load_generator
from keras_vngpt.generation.model_generator import ModelGenerator
from keras_vngpt.generation.saved_model_generator import SavedModelGenerator

signal.signal(signal.SIGINT, signal.default_int_handler)  # where the shell ignored it: `pytest &`

ROOT = Path(__file__).parents[1]
PROMPTS = ["Bật quạt phòng ngủ lên mức 2", "tắt", "Kéo rèm phòng khách lên"]
SIZES = dict(num_layers=2, num_heads=2, hidden_dim=32, intermediate_dim=64)
SETTINGS = {
    "model": {"num_layers": 2, "hidden_dim": 64, "intermediate_dim": 128},
    "tokenizer": {"vocabulary_size": 600},
    "pretrain": {"sequence_length": 64, "batch_size": 8, "epochs": 1, "evaluations": 2},
    "finetune": {"sequence_length": 64, "batch_size": 32, "epochs": 1, "evaluations": 2},
}


@pytest.fixture(scope="session")
def texts():
    return read_documents(["samples:prose"])


@pytest.fixture(scope="session")
def requests():
    return read_conversations(["samples:home_train.jsonl"])


@pytest.fixture(scope="session")
def tokenizer(texts):
    return keras_vngpt.train_tokenizer(texts, 600)


@pytest.fixture
def preprocessor(tokenizer):
    return VnGPTCausalLMPreprocessor(tokenizer, sequence_length=32)


@pytest.fixture(params=["modern", "classic"])
def decoder_kind(request):
    return request.param


@pytest.fixture
def model(decoder_kind, preprocessor):
    """A small model with random weights that are large enough to make a difference."""
    return make_model(decoder_kind, preprocessor)


def make_model(decoder_kind, preprocessor, seed=0, length=64):
    random.seed(seed)
    backbone = VnGPTBackbone(
        vocabulary_size=600, decoder=decoder_kind, max_sequence_length=length, **SIZES
    )
    model = VnGPTCausalLM(backbone, preprocessor)
    noise = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(weight.numpy() + noise.normal(size=weight.shape) * 0.1)
    return model


@pytest.fixture(scope="session")
def small(tokenizer):
    """Models of a kind and their generators: compiled once, for all tests that change nothing."""
    preprocessor = VnGPTCausalLMPreprocessor(tokenizer, sequence_length=32)

    @functools.cache
    def of_kind(decoder_kind="modern"):
        model = make_model(decoder_kind, preprocessor)
        return model, ModelGenerator(model)

    return of_kind


@pytest.fixture(scope="session")
def generator(small):
    return small()[1]


@pytest.fixture(scope="session")
def ids_signatures(small, tmp_path_factory):
    """The signatures of an export without texts of those generators, by their kind."""

    @functools.cache
    def of_kind(decoder_kind="modern"):
        path = tmp_path_factory.mktemp("ids") / decoder_kind
        save_generator(small(decoder_kind)[1], path, text=False)
        loaded = tf.saved_model.load(str(path))
        return {**loaded.signatures, "loaded": loaded}  # which keeps the variables alive

    return of_kind


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A whole run on the samples, as small as it gets; the first process to ask for it trains."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with FileLock(shared / "run.lock"):
        return keras_vngpt.fit(folder=str(shared / "runs"), name="small", **SETTINGS)


@pytest.fixture(scope="session")
def trained(run):
    """The generator of that run, from its SavedModel."""
    return SavedModelGenerator(run / "export" / "1")


@pytest.fixture(scope="session")
def in_memory(run):
    """The generator of that run, from its run folder."""
    return load_generator(run.folder)


def verb(name, *arguments, cwd=None, env=None, text=None):
    """Run a verb in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", f"keras_vngpt.{name}", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        input=text,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **(env or {})},
    )
