"""A SavedModel as others find it: its signatures, what compiles when, settings it refuses."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import PROMPTS, ROOT, verb

import keras_vngpt
from keras_vngpt.errors import UserError
from keras_vngpt.generation.config_tensors import config_tensors
from keras_vngpt.generation.earlier_exports import as_of_today
from keras_vngpt.generation.saved_model_generator import SavedModelGenerator


def test_settings_that_exclude_each_other_are_named(run, in_memory):
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
        next(in_memory.stream("a", num_beams=2))
    with pytest.raises(UserError, match="^num_beams: beams need the run folder"):
        keras_vngpt.generate(run / "export" / "1", ["a"], num_beams=2)


def test_settings_that_are_lists_in_the_terminal(run):
    shown = verb(
        "generate", run.folder, *PROMPTS[:2], "--choices", "Đã bật", "Đã tắt",
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
from keras_vngpt.generation.earlier_exports import as_of_today
from keras_vngpt.generation.saved_model_generator import SavedModelGenerator
generator = SavedModelGenerator(sys.argv[1])
generator.warm_up(batches=(1, 3), max_new_tokens=16)
print("warm", file=sys.stderr, flush=True)
generator.generate(["Bật đèn"], 16)
generator.generate(["Bật", "Tắt đèn", "Mở"], 16, temperature=0.5)
"""

STEPS = """
import sys
import tensorflow as tf
import tensorflow_text
signatures = tf.saved_model.load(sys.argv[1]).signatures
steps = []
nothing = signatures["prefix_cache"](prefix_ids=tf.zeros([0], tf.int32))
for rows in (1, 3):
    prompts = tf.tile([[2, 5, 6]], [rows, 1])
    state = signatures["prefill"](token_ids=prompts, max_new_tokens=tf.constant(16), **nothing)
    names = "lengths", *(name for name in state if name.startswith("cache_"))
    steps.append({"token_ids": prompts[:, -1], **{name: state[name] for name in names}})
def step(state):
    cache = signatures["decode_step"](**state)
    del cache["logits"]
    more = {name: state[name] + 1 for name in ("lengths", "cache_position")}
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


def test_a_saved_model_explains_its_settings_to_who_has_tensorflow_alone(run, trained):
    """The snippet of the README: all settings at their defaults, and what differs."""
    model = tf.saved_model.load(str(run / "export" / "1"))
    plain = keras_vngpt.generate(run, PROMPTS, max_new_tokens=12)
    config = model.signatures["generation_config"](rows=tf.constant(3))
    config["max_new_tokens"] = tf.constant([12, 12, 12])
    given = {"prompts": tf.constant(PROMPTS), "stop": tf.zeros([0], tf.string)}
    call = model.signatures["generate_with"]
    found = call(**given, **config)
    assert [t.decode() for t in found["responses"].numpy()] == plain
    stopped = call(**given | {"stop": tf.constant(["n"])}, **config)["responses"].numpy()
    assert [t.decode() for t in stopped] == [text.split("n")[0] for text in plain]
    ids = model.signatures["tokenize"](prompts=given["prompts"])["token_ids"]
    tokens, shares = trained.generate_ids(ids, 12, logprobs=True)
    np.testing.assert_array_equal(found["token_ids"], tokens)
    np.testing.assert_allclose(found["log_probabilities"], shares, rtol=1e-4)
    words = {"bad_words": tf.zeros([0], tf.string), "choices": tf.constant(["Đã bật", "Đã tắt"])}
    answers = call(**given, **config | model.signatures["tables"](**words))["responses"]
    assert set(answers.numpy()) <= {"Đã bật".encode(), "Đã tắt".encode()}
    nothing = model.signatures["prefix_cache"](prefix_ids=tf.zeros([0], tf.int32))
    state = model.signatures["prefill"](token_ids=ids, max_new_tokens=tf.constant(12), **nothing)
    start = int(state["cache_position"]) + 1
    for _ in range(2):
        state = model.signatures["decode_steps"](**state, count=tf.constant(6), **config)
    texts = model.signatures["detokenize"](token_ids=state["tokens"][:, start : start + 12])
    assert [t.decode() for t in texts["texts"].numpy()] == plain


def test_an_export_without_text_says_what_it_lacks(run, tmp_path):
    keras_vngpt.export(run, to=str(tmp_path / "1"), text=False)
    generator = SavedModelGenerator(tmp_path / "1")
    generator.warm_up(max_new_tokens=4)
    assert generator.generate_ids([[2, 7, 3]], 4, temperature=1.0).shape[0] == 1
    with pytest.raises(
        UserError, match="was exported with --text false and has no encode_response"
    ):
        generator.generate_ids([[2, 7, 3]], 4, stop=["a"])
    with pytest.raises(UserError, match="was exported with --text false and has no tables"):
        generator.generate_ids([[2, 7, 3]], 4, choices=["a"])


def test_a_saved_model_has_few_signatures_and_all_that_were_promised(trained):
    names = {name for name in trained._signatures if not name.startswith("__")}
    assert names >= {"serving_default", "generate", "generate_ids", "score"} and len(names) <= 18


LIGHT = """
import sys, types
package = types.ModuleType("keras_vngpt")
package.__path__ = [sys.argv[1]]
sys.modules["keras_vngpt"] = package  # whatever the package itself imports
import keras_vngpt.exporting.export, keras_vngpt.generation.chat, keras_vngpt.generation.generate
heavy = {"tensorflow", "keras", "keras_hub", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_the_verbs_are_imported_without_tensorflow():
    package = ROOT / "keras_vngpt"
    done = subprocess.run([sys.executable, "-c", LIGHT, package], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_export_of_version_0_1_answers_as_one_of_today(trained):
    """Its signatures, from those of today under the names that they had."""
    today = trained._signatures

    class Earlier:
        def __init__(self, name, given, taken=()):
            self.signature, self.given, self.taken = today[name], given, taken
            self.structured_input_signature = self.signature.structured_input_signature

        def __call__(self, **inputs):
            inputs = {self.given.get(name, name): value for name, value in inputs.items()}
            for name in self.taken:
                del inputs[name]
            old = {new: old for old, new in self.given.items()}
            return {old.get(n, n): value for n, value in self.signature(**inputs).items()}

    none = tf.zeros([0], tf.string)
    state = {"clock": "cache_position"}
    earlier = {name: today[name] for name in ("tokenize", "detokenize", "generate", "vocabulary")}
    earlier |= {
        "row_controls": None,
        "answer_ids": today["encode_response"],
        "prefill_with": Earlier("prefill", state),
        "prefill": None,
        "decode_steps": Earlier("decode_steps", state, ["token_ids"]),
        "bad_words": lambda texts: {
            "bad_words": today["tables"](bad_words=texts, choices=none)["bad_words"]
        },
        "choices": lambda texts: {
            name: table
            for name, table in today["tables"](bad_words=none, choices=texts).items()
            if name != "bad_words"
        },
    }
    generator = object.__new__(SavedModelGenerator)
    generator._path, generator._signatures = "old/1", as_of_today(earlier)
    for given in ({}, {"temperature": 1.0}, {"choices": ["Đã bật", "Đã tắt"]}, {"stop": ["ng"]}):
        expected = trained.generate(PROMPTS, 12, **given).numpy().tolist()
        assert generator.generate(PROMPTS, 12, **given).numpy().tolist() == expected
    assert (
        "".join(generator.stream(PROMPTS[0], 12))
        == trained.generate(PROMPTS[:1], 12)[0].numpy().decode()
    )
    with pytest.raises(UserError, match="old/1: .*no insert"):
        generator.insert(*[generator.prefill([[2]], 4, generator.no_prefix())] * 2, [0])


def test_empty_batches_of_every_signature(run):
    signatures = tf.saved_model.load(str(run / "export" / "1")).signatures
    none, texts = tf.zeros([0, 3], tf.int32), tf.zeros([0], tf.string)
    nothing = signatures["prefix_cache"](prefix_ids=none[:, 0])
    state = signatures["prefill"](token_ids=none, max_new_tokens=tf.constant(4), **nothing)
    assert state["tokens"].shape[0] == 0
    config = signatures["generation_config"](rows=tf.constant(0))
    state = signatures["decode_steps"](**state, count=tf.constant(2), **config)
    assert state["tokens"].shape[0] == 0
    out = signatures["remove"](**state, rows=none[:, 0])
    assert out["answer_ids"].shape[0] == 0
    new = {f"new_{name}": tensor for name, tensor in state.items()}
    assert signatures["insert"](**state, **new, rows=none[:, 0])["tokens"].shape[0] == 0
    assert signatures["score"](texts=texts)["log_probability"].shape == (0,)
    tables = signatures["tables"](bad_words=texts, choices=texts)
    assert tables["constraint_tokens"].shape == (1, 0) and tables["bad_words"].shape[0] == 0
    config |= {name: tf.zeros([0, 0], tf.int32) for name in tables}
    rest = {"prompts": texts, "stop": texts, **config}
    assert signatures["generate_with"](**rest)["responses"].shape == (0,)
    rest |= config_tensors({}, 3, 4) | {"prompts": tf.constant(PROMPTS)}
    rest |= {name: tf.zeros([0, 0], tf.int32) for name in tables}
    plain = signatures["generate_with"](**rest)["responses"]
    expected = keras_vngpt.generate(run, PROMPTS, max_new_tokens=4)
    assert [text.decode() for text in plain.numpy()] == expected
