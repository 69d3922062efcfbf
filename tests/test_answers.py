"""Beams, stop strings, streams, constraints and prefixes, most of them from a SavedModel."""

import itertools
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_model, verb

import keras_vngpt
from keras_vngpt.faults import Faults
from keras_vngpt.generation.controls import PER_ROW, TABLES, as_tensors
from keras_vngpt.generation.decoder import Decoder
from keras_vngpt.generation.loading import load_decoder
from keras_vngpt.generation.saved_model import ExportedDecoder

PROMPTS = ["Bật quạt phòng ngủ lên mức 2", "tắt", "Kéo rèm phòng khách lên"]
END = 4


@pytest.fixture
def model(preprocessor):
    return make_model("modern", preprocessor)


@pytest.fixture
def decoder(model):
    return Decoder(model)


@pytest.fixture(scope="module")
def trained(run):
    """The decoder of a run, from its SavedModel."""
    return ExportedDecoder(run / "export" / "1")


def log_probabilities(model, rows):
    """Of each token of rows of equal length, by the model alone: [rows, length - 1]."""
    rows = np.array(rows)
    logits = model({"token_ids": rows, "padding_mask": np.ones_like(rows)})
    shares = tf.nn.log_softmax(logits[:, :-1]).numpy()
    return np.take_along_axis(shares, rows[:, 1:, None], axis=-1)[..., 0]


def beams_by_hand(model, prompt, beams, length, penalty, early):
    """Beam search without a cache: `(score, tokens)`, the best first."""
    running, answers = [(0.0, [])], []
    for step in range(1, length + 1):
        found = []
        for score, tokens in running:
            row = np.array([[*prompt, *tokens]])
            logits = model({"token_ids": row, "padding_mask": np.ones_like(row)})[0, -1]
            shares = tf.nn.log_softmax(logits).numpy()
            shares[0] = -np.inf  # the padding never comes
            best = np.argsort(-shares)[: 2 * beams]
            found += [(score + shares[i], [*tokens, int(i)]) for i in best]
        found = sorted(found, key=lambda each: -each[0])[: 2 * beams]
        ends = [(s, t) for s, t in found[:beams] if t[-1] == END or step == length]
        answers += [(s / step**penalty, t) for s, t in ends]
        answers = sorted(answers, key=lambda each: -each[0])[:beams]
        running = [(s, t) for s, t in found if t[-1] != END][:beams]
        if len(answers) == beams and (early or running[0][0] / step**penalty <= answers[-1][0]):
            break
    return answers


@pytest.mark.parametrize(
    "beams, penalty, early",
    [(2, 1.0, False), (4, 1.0, True), (3, 0.0, False), (5, 2.0, False)],
)
def test_beams_are_those_of_a_search_by_hand(decoder_kind, preprocessor, beams, penalty, early):
    model = make_model(decoder_kind, preprocessor)
    embedding = model.backbone.token_embedding.embeddings
    embedding.assign(embedding.numpy() * 3)
    decoder = Decoder(model)
    prompts = [[2, 17, 9, 3], [2, 30, 31, 32, 33, 3], [2, 8, 3]]
    ids = tf.ragged.constant(prompts, tf.int32).to_tensor()
    given = {"num_beams": beams, "length_penalty": penalty, "early_stopping": early}
    found, logprobs = decoder.generate_ids(
        ids, 7, logprobs=True, num_return_sequences=beams, **given
    )
    found = found.numpy().reshape([3, beams, -1])
    for prompt, rows, shares in zip(
        prompts, found, logprobs.numpy().reshape(found.shape), strict=True
    ):
        expected = beams_by_hand(model, prompt, beams, 7, penalty, early)
        assert [[i for i in row if i] for row in rows] == [tokens for _, tokens in expected]
        for share, (score, tokens) in zip(shares, expected, strict=True):
            assert share.sum() / len(tokens) ** penalty == pytest.approx(score, rel=1e-3)
    best = decoder.generate_ids(ids, 7, **given).numpy()
    np.testing.assert_array_equal(best, found[:, 0, : best.shape[1]])


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_beams_of_a_prompt_do_not_depend_on_its_neighbours(decoder, penalty):
    rng = np.random.default_rng(1)
    rows = [[2, *rng.integers(5, 99, n).tolist(), 3] for n in (3, 1, 9, 5, 2, 7)]
    given = {"num_beams": 3, "num_return_sequences": 3, "length_penalty": penalty}
    ids = tf.ragged.constant(rows, tf.int32).to_tensor()
    together = decoder.generate_ids(ids, 12, **given).numpy().reshape([6, 3, -1])
    for row, answers in zip(rows, together, strict=True):
        alone = decoder.generate_ids(tf.constant([row], tf.int32), 12, **given).numpy()
        np.testing.assert_array_equal(answers[:, : alone.shape[1]], alone)
        assert not answers[:, alone.shape[1] :].any()


def test_log_probabilities_are_the_models_own(model, decoder):
    prompts = np.array([[2, 17, 9, 3], [2, 30, 31, 3]])
    for given in ({}, {"temperature": 1.3, "top_k": 5, "seed": 4, "repetition_penalty": 1.3}):
        ids, logprobs = decoder.generate_ids(prompts, 6, logprobs=True, min_new_tokens=6, **given)
        expected = log_probabilities(model, np.concatenate([prompts, ids], axis=1))[:, 3:]
        np.testing.assert_allclose(logprobs, expected, rtol=1e-3, atol=1e-3)


def test_several_answers_to_a_prompt_differ_and_the_first_is_the_only_one(decoder):
    drawn = {"temperature": 1.5, "seed": 3}
    ids = decoder.tokenize(PROMPTS)
    rows = decoder.generate_ids(ids, 8, num_return_sequences=3, min_new_tokens=8, **drawn).numpy()
    assert rows.shape == (9, 8) and len(np.unique(rows, axis=0)) == 9
    alone = decoder.generate_ids(ids[:1], 8, min_new_tokens=8, **drawn).numpy()
    np.testing.assert_array_equal(rows[:1], alone)


def test_an_answer_ends_before_a_stop_string(trained):
    whole = [text.decode() for text in trained.generate(PROMPTS, 12).numpy()]
    assert all(len(text) > 6 for text in whole)
    for stop in (
        ["phòng"],
        [whole[0][3:6]],
        [whole[1][-2:], "?"],
        ["(", "."],
        ["hoà"],
        ["", "zzz"],
    ):
        written = [s.replace("hoà", "hòa") for s in stop if s]
        expected = [min((t.split(s)[0] for s in written), key=len) for t in whole]
        cut = [text.decode() for text in trained.generate(PROMPTS, 12, stop=stop).numpy()]
        assert cut == expected
        assert "".join(trained.stream(PROMPTS[0], 12, stop=stop)) == expected[0]


def test_steps_end_with_a_stop_string(trained):
    """Not only is the text cut: the tokens behind it were not computed, but for a few."""
    (whole,) = trained.generate(PROMPTS[:1], 60, min_new_tokens=60).numpy()
    stop = [whole.decode()[:4]]
    length, controls, stop, prefix = trained._given(60, None, {"stop": stop, "min_new_tokens": 60})
    out = trained.answer(trained.tokenize(PROMPTS[:1]), length, controls, stop, prefix)
    assert out["responses"].numpy()[0] == b"" and out["token_ids"].shape[1] < 60


def test_a_stream_gives_what_generate_gives_and_takes_nothing_back(trained):
    for given in ({}, {"temperature": 1.2, "seed": 1}, {"temperature": 2.0, "seed": 5}):
        for prompt in PROMPTS:
            pieces = list(trained.stream(prompt, 30, **given))
            assert "".join(pieces) == trained.generate([prompt], 30, **given).numpy()[0].decode()
            assert all(pieces)


def test_a_long_stream_comes_in_pieces(trained):
    """An answer may be a single word, and that comes whole; of 30 tokens none is."""
    for prompt in PROMPTS:
        assert len(list(trained.stream(prompt, 30, min_new_tokens=30, temperature=1.2))) > 1


def test_a_stream_has_whole_characters_where_tokens_are_bytes(preprocessor):
    """The letters of "hoàn thử 🙂 xong" as single bytes, one a token."""
    decoder = Decoder(make_model("modern", preprocessor))
    vocabulary = decoder.vocabulary().numpy().tolist()
    place = {piece: i for i, piece in enumerate(vocabulary) if len(piece) == 1}
    text = "hoàn thử 🙂 xong"
    ids = [place[bytes([byte])] for byte in text.encode()]
    edges = tf.constant([[i] for i in [*ids, END]])
    nodes = tf.constant([[min(n + 1, len(ids))] for n in range(len(ids) + 1)])
    tables = {"constraint_tokens": edges, "constraint_nodes": nodes}
    decoder.choices = lambda _: tables
    pieces = list(decoder.stream("a", 40, choices=["what it is, byte for byte"]))
    assert "".join(pieces) == text and len(pieces) >= 3
    assert all("\ufffd" not in piece for piece in pieces)


def test_an_answer_is_one_of_the_choices(trained):
    choices = ["Đã bật quạt", "Đã bật quạt phòng ngủ", "Đã tắt", "Không", "hoà bình", "?"]
    written = {choice.replace("hoà", "hòa") for choice in choices}
    for given in ({}, {"temperature": 3.0}, {"num_beams": 3}):
        answers = trained.generate(PROMPTS * 2, 20, choices=choices, **given).numpy()
        assert {text.decode() for text in answers} <= written
    given = {"temperature": 50.0, "num_return_sequences": 64}
    answers = trained.generate(PROMPTS[:1], 20, choices=choices, **given).numpy()
    assert {text.decode() for text in answers} == written
    for choice in choices:
        assert trained.generate(["a"], 20, choices=[choice]).numpy()[0].decode() in written


def test_the_choice_is_the_likeliest_one(model, decoder):
    """Beams over choices find the one that the model gives the highest probability."""
    choices = ["Đã bật quạt", "Đã tắt", "Không", "Bật đèn phòng khách"]
    tokens = [[i for i in row if i] for row in decoder.answer_ids(tf.constant(choices)).numpy()]
    prompt = [i for i in decoder.tokenize(["Bật"]).numpy()[0] if i]
    scores = [
        log_probabilities(model, [[*prompt, *t, END]])[0, len(prompt) - 1 :].sum() for t in tokens
    ]
    given = {"num_beams": 4, "length_penalty": 0.0, "num_return_sequences": 4}
    found = [t.decode() for t in decoder.generate(["Bật"], 20, choices=choices, **given).numpy()]
    assert found == [choices[i] for i in np.argsort(scores)[::-1]]


def test_an_answer_matches_the_regular_expression(trained):
    pattern = r"(bật|tắt) (đèn|quạt) số [0-9]{1,3}( hoà)?"
    written = pattern.replace("hoà", "hòa")
    for seed, given in itertools.product(range(4), ({"temperature": 2.0}, {"num_beams": 2})):
        for text in trained.generate(PROMPTS, 30, regex=pattern, seed=seed, **given).numpy():
            assert re.fullmatch(written, text.decode())
    assert re.fullmatch(written, "".join(trained.stream(PROMPTS[0], 30, regex=pattern)))


def test_bad_words_do_not_come(trained):
    (whole,) = trained.generate(PROMPTS[:1], 12).numpy()
    for word in whole.decode().split()[:3]:
        (other,) = trained.generate(PROMPTS[:1], 12, bad_words=[word, "zzz", ""]).numpy()
        assert word not in other.decode().split()
    (other,) = trained.generate(PROMPTS[:1], 12, bad_words=[" "]).numpy()
    assert other != b""


def test_a_prefix_changes_no_answer_whatever_it_is(trained):
    prompts = ["Bạn là trợ lý trong nhà.\n" + prompt for prompt in PROMPTS] + ["Bạn"]
    ids = trained.tokenize(prompts).numpy()
    plain = trained.generate_ids(ids, 8, min_new_tokens=8).numpy()
    begins = [*range(1, 9), ids.shape[1]]
    for n in begins:
        prefix = trained.prefix_cache(ids[0, :n])
        for rows in (ids, ids[:1], ids[1:3]):
            found = trained.generate_ids(rows, 8, min_new_tokens=8, prefix=prefix).numpy()
            expected = plain[[0]] if len(rows) == 1 else plain if len(rows) == 4 else plain[1:3]
            np.testing.assert_array_equal(found, expected)
    other = trained.prefix_cache([2, 9, 9, 9, 9])
    np.testing.assert_array_equal(
        trained.generate_ids(ids, 8, min_new_tokens=8, prefix=other).numpy(), plain
    )


def test_what_a_prefix_holds_is_not_computed(decoder):
    """A cache that is wrong shows in the answer: so it is read, not computed again."""
    ids = decoder.tokenize(["Bạn là trợ lý trong nhà.\nBật"]).numpy()
    prefix = decoder.prefix_cache(ids[0, :6])
    wrong = {**prefix, "prefix_values": prefix["prefix_values"] * -3.0}
    one, other = (
        decoder.generate_ids(ids, 8, min_new_tokens=8, prefix=p, logprobs=True)[1].numpy()
        for p in (prefix, wrong)
    )
    assert np.abs(one - other).max() > 0.01


def test_rows_that_begin_alike_answer_as_alone(decoder):
    rng = np.random.default_rng(0)
    start = [2, *rng.integers(5, 99, 9)]
    rows = [[*start, *rng.integers(5, 99, n)] for n in (0, 1, 3, 7)] + [start[:4], [2]]
    ids = tf.ragged.constant([list(map(int, row)) for row in rows], tf.int32).to_tensor()
    together = decoder.generate_ids(ids, 6, min_new_tokens=6).numpy()
    for row, answer in zip(rows, together, strict=True):
        alone = decoder.generate_ids(tf.constant([row], tf.int32), 6, min_new_tokens=6)
        np.testing.assert_array_equal(alone[0], answer)


def test_rows_of_one_batch_have_controls_of_their_own(trained):
    """What a service needs: requests with different controls go together."""
    given = [{}, {"temperature": 1.4, "seed": 7, "top_p": 0.9}, {"repetition_penalty": 1.5}]
    each = [as_tensors(controls)[0] for controls in given]
    controls = {name: tf.stack([one[name] for one in each]) for name in PER_ROW}
    lengths = tf.constant([9, 5, 7])
    controls |= {"max_new_tokens": lengths, "row": tf.zeros([3], tf.int32)}
    controls |= {name: each[0][name] for name in TABLES}
    state = trained.prefill(trained.tokenize(PROMPTS), tf.constant(9), trained.no_prefix())
    start = int(state["clock"]) + 1
    while not np.all(state["done"]):
        state = trained.decode_steps(state, tf.constant(2), controls)
    for i, row in enumerate(state["tokens"].numpy()[:, start:]):
        alone = trained.generate_ids(trained.tokenize(PROMPTS[i : i + 1]), lengths[i], **given[i])
        assert [t for t in row if t] == [t for t in alone.numpy()[0] if t]


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
        with pytest.raises(Faults, match=f"^{re.escape(told)}"):
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
    with pytest.raises(Faults, match="was exported with --text false and has no answer_ids"):
        decoder.generate_ids([[2, 7, 3]], 4, stop=["a"])
    with pytest.raises(Faults, match="was exported with --text false and has no choices"):
        decoder.generate_ids([[2, 7, 3]], 4, choices=["a"])


def test_nothing_stands_behind_the_end_of_an_answer(trained):
    """Tokens and log-probabilities of a row are the same alone and beside longer answers."""
    for given in ({}, {"temperature": 0.9, "seed": 2}, {"stop": ["o", "n"]}):
        ids = trained.tokenize(PROMPTS)
        rows, shares = (x.numpy() for x in trained.generate_ids(ids, 30, logprobs=True, **given))
        assert ((rows == 0) == (shares == 0)).all()
        alone, own = (
            x.numpy()[0] for x in trained.generate_ids(ids[:1], 30, logprobs=True, **given)
        )
        n = len(alone)
        np.testing.assert_array_equal(rows[0, :n], alone)
        np.testing.assert_allclose(shares[0, :n], own, rtol=1e-3, atol=1e-4)
        assert not rows[0, n:].any()


def test_the_last_token_of_a_stopped_answer_completes_the_stop_string(trained):
    ids = trained.tokenize(PROMPTS)
    for stop in (["ng"], ["t", "q"], ["không có"]):
        for row in trained.generate_ids(ids, 20, stop=stop).numpy():
            tokens = [i for i in row if i]
            whole, before = (
                trained.detokenize([each]).numpy()[0].decode() for each in (tokens, tokens[:-1])
            )
            assert not any(s in before for s in stop)
            assert any(s in whole for s in stop) or len(tokens) == 20 or tokens[-1] == END


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
