"""A SavedModel as others find it: its signatures, what compiles when, controls it refuses."""

import os
import re
import subprocess
import sys

import pytest
import tensorflow as tf
from conftest import PROMPTS, verb

import keras_vngpt
from keras_vngpt.errors import UserError
from keras_vngpt.generation.loading import load_decoder
from keras_vngpt.generation.saved_model import ExportedDecoder


def test_controls_that_exclude_each_other_are_named(run):
    for given, told in (
        ({"num_beams": 3, "temperature": 1.0}, "num_beams: beams are not drawn"),
        ({"num_return_sequences": 3}, "num_return_sequences: all would be alike"),
        ({"num_return_sequences": 3, "num_beams": 2}, "num_return_sequences: at most num_beams, 2"),
        ({"regex": "a", "choices": ["a"]}, "regex: choices are given too"),
        ({"regex": "("}, "regex: "),
        ({"min_new_tokens": 9, "max_new_tokens": 3}, "min_new_tokens: at most max_new_tokens, 3"),
        ({"num_beams": 65}, "num_beams: "),
        ({"stop": ["y" * 10_001]}, "stop: at most 10,000 characters together"),
    ):
        with pytest.raises(UserError, match=f"^{re.escape(told)}"):
            keras_vngpt.generate(run, ["a"], **given)
    with pytest.raises(ValueError, match="A stream is of one answer"):
        next(load_decoder(run.folder).stream("a", num_beams=2))


def test_controls_that_are_lists_in_the_terminal(run):
    shown = verb(
        "generate", run / "export" / "1", *PROMPTS[:2], "--choices", "Đã bật", "Đã tắt",
        "--num_beams", "2", "--num_return_sequences", "2",
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert sorted(lines[:2]) == sorted(lines[2:]) == ["Đã bật", "Đã tắt"]
    refused = verb("generate", run.folder, "a", "--regex", "(")
    assert refused.returncode == 2 and refused.stderr.startswith("regex: ")
    assert len(refused.stderr.splitlines()) == 1
    swallowed = verb("generate", run.folder, "--stop", ".", "a")
    told = "prompts: needs a value, before lists such as --stop\n"
    assert swallowed.returncode == 2 and swallowed.stderr == told
    above = verb("generate", run / "export", "a")
    assert above.returncode == 2 and above.stderr.endswith(f"Give {run / 'export' / '1'}\n")


WARM = """
import sys
from keras_vngpt.generation.saved_model import ExportedDecoder
decoder = ExportedDecoder(sys.argv[1])
decoder.warm_up(batches=(1, 3), max_new_tokens=16)
print("warm", file=sys.stderr, flush=True)
decoder.generate(["Bật đèn"], 16)
decoder.generate(["Bật", "Tắt đèn", "Mở"], 16, temperature=0.5)
"""

STEPS = """
import sys
import tensorflow as tf
import tensorflow_text
signatures = tf.saved_model.load(sys.argv[1]).signatures
steps = []
for rows in (1, 3):
    prompts = tf.tile([[2, 5, 6]], [rows, 1])
    state = signatures["prefill"](token_ids=prompts, max_new_tokens=tf.constant(16))
    names = "token_ids", "lengths", "clock", *(name for name in state if "cache" in name)
    steps.append({name: state[name] for name in names})
def step(state):
    cache = signatures["decode_step"](**state)
    del cache["logits"]
    more = {name: state[name] + 1 for name in ("lengths", "clock")}
    return {"token_ids": state["token_ids"], **more, **cache}
steps = [step(state) for state in steps]
print("warm", file=sys.stderr, flush=True)
for _ in range(3):
    steps = [step(state) for state in steps]
"""


@pytest.mark.parametrize("program, shapes", [(WARM, 4), (STEPS, 2)])
def test_a_warm_decoder_compiles_nothing(run, program, shapes):
    log = {"TF_CPP_VMODULE": "device_compilation_profiler=1", "TF_CPP_MIN_LOG_LEVEL": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(run / "export" / "1")],
        capture_output=True, text=True, env={**os.environ, **log},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, _, after = done.stderr.partition("warm\n")
    assert before.count("Compiled ") >= shapes and "Compiled " not in after


def test_a_saved_model_explains_its_controls_to_who_has_tensorflow_alone(run):
    """The snippet of the README: all controls at their defaults, and what differs."""
    model = tf.saved_model.load(str(run / "export" / "1"))
    controls, call = model.signatures["controls"](), model.signatures["generate_with"]
    rest = {"prompts": tf.constant(PROMPTS), "max_new_tokens": tf.constant(12)}
    plain = keras_vngpt.generate(run, PROMPTS, max_new_tokens=12)
    assert [t.decode() for t in call(**rest, **controls)["responses"].numpy()] == plain
    controls |= model.signatures["choices"](texts=tf.constant(["Đã bật", "Đã tắt"]))
    answers = call(**rest, **controls)
    assert set(answers["responses"].numpy()) <= {"Đã bật".encode(), "Đã tắt".encode()}
    ids = model.signatures["tokenize"](prompts=tf.constant(PROMPTS))["token_ids"]
    state = model.signatures["prefill"](token_ids=ids, max_new_tokens=tf.constant(12))
    controls = model.signatures["row_controls"](rows=tf.constant(3))
    start = int(state["clock"]) + 1
    for _ in range(2):
        state = model.signatures["decode_steps"](**state, count=tf.constant(6), **controls)
    texts = model.signatures["detokenize"](token_ids=state["tokens"][:, start : start + 12])
    assert [t.decode() for t in texts["texts"].numpy()] == plain


def test_an_export_without_text_says_what_it_lacks(run, tmp_path):
    keras_vngpt.export(run, to=str(tmp_path / "1"), text=False)
    decoder = ExportedDecoder(tmp_path / "1")
    decoder.warm_up(max_new_tokens=4)
    assert decoder.generate_ids([[2, 7, 3]], 4, temperature=1.0).shape[0] == 1
    with pytest.raises(UserError, match="was exported with --text false and has no answer_ids"):
        decoder.generate_ids([[2, 7, 3]], 4, stop=["a"])
    with pytest.raises(UserError, match="was exported with --text false and has no choices"):
        decoder.generate_ids([[2, 7, 3]], 4, choices=["a"])


def test_empty_batches_of_every_signature(run):
    signatures = tf.saved_model.load(str(run / "export" / "1")).signatures
    none, texts = tf.zeros([0, 3], tf.int32), tf.zeros([0], tf.string)
    state = signatures["prefill"](token_ids=none, max_new_tokens=tf.constant(4))
    assert state["tokens"].shape[0] == 0
    of_rows = signatures["row_controls"](rows=tf.constant(0))
    state = signatures["decode_steps"](**state, count=tf.constant(2), **of_rows)
    assert state["tokens"].shape[0] == 0
    assert signatures["score"](texts=texts)["log_probability"].shape == (0,)
    assert signatures["choices"](texts=texts)["constraint_tokens"].shape == (1, 0)
    assert signatures["bad_words"](texts=texts)["bad_words"].shape[0] == 0
    controls = signatures["controls"]()
    for name in ("bad_words", "constraint_tokens", "constraint_nodes"):
        controls[name] = tf.zeros([0, 0], tf.int32)
    rest = {"max_new_tokens": tf.constant(4), **controls}
    assert signatures["generate_with"](prompts=texts, **rest)["responses"].shape == (0,)
    plain = signatures["generate_with"](prompts=tf.constant(PROMPTS), **rest)["responses"]
    expected = keras_vngpt.generate(run, PROMPTS, max_new_tokens=4)
    assert [text.decode() for text in plain.numpy()] == expected
