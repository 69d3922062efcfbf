"""Cached decoding, sampling, and the SavedModel in processes of its own."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_model, verb

import keras_vngpt
from keras_vngpt.errors import UserError
from keras_vngpt.exporting.saved_model import save_generator
from keras_vngpt.files import locked
from keras_vngpt.generation.config_tensors import config_tensors
from keras_vngpt.generation.decoding_state import from_tensors
from keras_vngpt.generation.loading import load_generator, prompt_form
from keras_vngpt.generation.model_generator import ModelGenerator

PROMPTS = [
    "Bật quạt phòng ngủ lên mức 2",
    "tắt",
    "Tôi ngồi ở đây từ sáng và chờ bạn đến mở cửa giúp tôi với nhé, được không nào?",
    "",
    "Kéo rèm phòng khách lên",
]


def naive(model, prompt, n):
    """Greedy decoding without a cache: the whole sequence again for each token."""
    inputs = model.preprocessor.generate_preprocess({"prompts": [prompt]}, sequence_length=64)
    ids = np.array(inputs["token_ids"])[:, : int(np.sum(inputs["padding_mask"]))]
    new = []
    while len(new) < n and 4 not in new:
        logits = model({"token_ids": ids, "padding_mask": np.ones_like(ids)})
        new.append(1 + int(np.argmax(logits[0, -1, 1:])))  # the padding never comes
        ids = np.append(ids, [[new[-1]]], axis=1)
    return new


def test_cached_decoding_equals_naive_decoding_for_a_ragged_batch(small, decoder_kind):
    model, generator = small(decoder_kind)
    ids = generator.generate_ids(generator.tokenize(tf.constant(PROMPTS)), 12).numpy().tolist()
    for prompt, row in zip(PROMPTS, ids, strict=True):
        assert [i for i in row if i] == naive(model, prompt, 12)


def test_a_row_ends_at_eos_and_at_the_longest_length(preprocessor):
    model = make_model("modern", preprocessor)
    generator = ModelGenerator(model)
    ids = generator.generate_ids(tf.constant([[2, 7, 8, 3]])).numpy()
    assert ids.shape[1] <= 64 - 4
    end = 4
    model.backbone.final_norm.scale.assign(model.backbone.final_norm.scale * 0)  # all logits alike
    generator.refresh()
    assert (generator.generate_ids(tf.constant([[2, 7, 3]]), 5).numpy() == 1).all()
    embedding = model.backbone.token_embedding.embeddings
    table = np.zeros(embedding.shape, "float32")
    table[end] = 1.0  # and now the end is the likeliest
    embedding.assign(table)
    model.backbone.final_norm.scale.assign(np.ones(32))
    generator.refresh()
    assert generator.generate_ids(tf.constant([[2, end, 3]]), 5).numpy().shape[1] in (0, 1)


def test_a_prompt_that_is_too_long_loses_its_beginning(generator):
    long = list(range(5, 205)) + [3]
    room = 64 - 8  # an eighth of the length is kept for the answer
    kept = [2, *long[-(room - 1) :]]
    a, b = (generator.generate_ids(tf.constant([ids]), 8) for ids in ([2, *long], kept))
    np.testing.assert_array_equal(a, b)


def test_an_empty_batch(generator):
    assert generator.generate_ids(tf.zeros([0, 3], tf.int32)).shape == (0, 0)


def test_equal_seeds_give_equal_texts_and_others_do_not(generator):
    def draw(seed):
        return generator.generate(["Chào"], 20, temperature=1.5, seed=seed).numpy().tolist()

    assert draw(1) == draw(1) != draw(2)


def test_conversation_ids_are_those_of_training(generator, preprocessor):
    trained, _, _ = preprocessor(
        {"prompts": [["Bật đèn", "Tắt đi"]], "responses": [["Đã bật", "?"]]}
    )
    trained = trained["token_ids"][0].numpy().tolist()
    ids = generator.conversation_ids(["Bật đèn", "Tắt đi"], ["Đã bật"])
    assert trained[: len(ids)] == ids


def test_answers_of_the_export_equal_those_of_generate(run):
    from_run = keras_vngpt.generate(run, PROMPTS)
    assert keras_vngpt.generate(run / "export" / "1", PROMPTS) == from_run
    drawn = {"temperature": 0.9, "top_p": 0.9, "seed": 3, "max_new_tokens": 9}
    assert keras_vngpt.generate(run / "export/1", PROMPTS, **drawn) == keras_vngpt.generate(
        run, PROMPTS, **drawn
    )


def test_bad_settings_are_listed_at_once(run):
    with pytest.raises(UserError) as caught:
        keras_vngpt.generate(run, ["a"], temperature=-1, top_p=2, seed=2**40, topk=1)
    assert [f.split(":")[0] for f in caught.value.faults] == [
        "topk", "temperature", "top_p", "seed",
    ]  # fmt: skip


ALONE = """
import sys
sys.modules.update(dict.fromkeys({blocked}))  # importing any of these is an ImportError now
import json
import tensorflow as tf
{imports}
model = tf.saved_model.load({path!r})
print(json.dumps({expression}))
"""


def isolated(path, blocked, imports, expression):
    """Load a SavedModel in a process that cannot import `blocked`."""
    code = ALONE.format(blocked=blocked, imports=imports, path=str(path), expression=expression)
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=path, env=env
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_export_answers_with_tensorflow_and_tensorflow_text_alone(run):
    answers = isolated(
        run / "export" / "1",
        {"keras_vngpt", "keras_hub", "keras_nlp", "sentencepiece"},  # tensorflow_text wants keras
        "import tensorflow_text",
        "[t.decode() for t in model.signatures['serving_default']"
        f"(prompts=tf.constant({PROMPTS!r}))['responses'].numpy()]",
    )
    assert answers == keras_vngpt.generate(run, PROMPTS)


@pytest.mark.slow
def test_export_without_text_needs_tensorflow_alone(run, trained, tmp_path):
    keras_vngpt.export(run, to=str(tmp_path / "ids"), text=False)
    ids = trained.tokenize(PROMPTS)
    answers = isolated(
        tmp_path / "ids",
        {"keras_vngpt", "keras", "keras_hub", "keras_nlp", "sentencepiece", "tensorflow_text"},
        "",
        "model.signatures['serving_default']"
        f"(token_ids=tf.constant({ids.numpy().tolist()}))['token_ids'].numpy().tolist()",
    )
    assert answers == trained.generate_ids(ids).numpy().tolist()
    with pytest.raises(UserError, match="takes only token ids"):
        keras_vngpt.generate(tmp_path / "ids", ["a"])


def test_weights_stand_on_disk_once(run):
    variables = run / "export" / "1" / "variables"
    size = sum(f.stat().st_size for f in variables.iterdir())
    # A model this small shows the file's own overhead; 16 KB of it is allowed for.
    assert size <= 1.1 * run.metrics["parameters"] * 4 + 16_384


def test_score_is_the_log_probability_of_the_text(run):
    exported = tf.saved_model.load(str(run / "export" / "1"))
    text = "Bật đèn phòng khách"
    out = exported.signatures["score"](texts=tf.constant([text, text + " đi"]))
    model = keras_vngpt.VnGPTCausalLM.from_preset(str(run / "finetune"))
    x, y, w = model.preprocessor([text])
    nll = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x)) * w
    assert float(out["log_probability"][0]) == pytest.approx(-float(tf.reduce_sum(nll)), rel=1e-4)
    assert int(out["token_count"][0]) == int(tf.reduce_sum(w))


@pytest.mark.slow
def test_generate_and_chat_in_the_terminal(run):
    shown = verb("generate", run / "export" / "1", *PROMPTS[:2])
    answers = keras_vngpt.generate(run, PROMPTS[:2])
    assert shown.returncode == 0 and shown.stdout.splitlines() == answers
    said = verb("chat", run.folder, text=f"{PROMPTS[0]}\n/new\n{PROMPTS[1]}\n\n")
    assert said.returncode == 0, said.stderr
    for prompt, answer in zip(PROMPTS, answers, strict=False):
        assert f"> {prompt}\n{answer}\n" in said.stdout
    told = verb("chat", run.folder, "--system", "Bạn là trợ lý.", text=f"{PROMPTS[0]}\n\n")
    (answer,) = keras_vngpt.generate(run, [f"Bạn là trợ lý.\n{PROMPTS[0]}"])
    assert keras_vngpt.generate(run, PROMPTS[:1], system="Bạn là trợ lý.") == [answer]
    assert f"> {PROMPTS[0]}\n{answer}\n" in told.stdout
    flags_first = verb("generate", run.folder, "--seed", "3", PROMPTS[0])
    assert flags_first.stdout.splitlines() == answers[:1], flags_first.stderr


def test_export_is_whole_or_not_there(run, tmp_path):
    target = tmp_path / "mine"
    target.mkdir()
    (target / "letter.txt").write_text("keep me")
    refused = verb("export", run.folder, "--to", target)
    assert refused.returncode == 2 and "not a SavedModel" in refused.stderr
    assert [f.name for f in target.iterdir()] == ["letter.txt"]
    with locked(tmp_path / "1"):
        refused = verb("export", run.folder, "--to", tmp_path / "1")
    assert refused.returncode == 2 and "another process is at work on it" in refused.stderr
    assert [f.name for f in tmp_path.iterdir()] == ["mine"]


def by_steps(signatures, token_ids, steps):
    """Greedy decoding with the signatures `prefill` and `decode_step`."""
    prefix = signatures["prefix_cache"](prefix_ids=tf.zeros([0], tf.int32))
    state = signatures["prefill"](
        token_ids=tf.constant(token_ids), max_new_tokens=tf.constant(steps), **prefix
    )
    newest = from_tensors(state).newest()
    names = "lengths", *(name for name in state if name.startswith("cache_"))
    state, tokens = {"token_ids": newest, **{name: state[name] for name in names}}, []
    for _ in range(steps):
        out = signatures["decode_step"](**state)
        tokens.append(1 + tf.argmax(out.pop("logits")[:, 1:], -1, output_type=tf.int32))
        more = {name: state[name] + 1 for name in ("lengths", "cache_position")}
        state = {"token_ids": tokens[-1], **more, **out}
    return tf.stack(tokens, axis=1).numpy()


@pytest.mark.parametrize("rows", [1, 3])
def test_prefill_and_decode_step_of_the_export_give_the_tokens_of_generate(
    decoder_kind, small, ids_signatures, rows
):
    _, generator = small(decoder_kind)
    ids = generator.tokenize(PROMPTS[:rows]).numpy()
    expected = generator.generate_ids(ids, 9, min_new_tokens=9).numpy()
    np.testing.assert_array_equal(
        by_steps(ids_signatures(decoder_kind), ids, 9)[:, :4], expected[:, :4]
    )


def test_columns_of_the_cache_are_used_again_and_each_row_sees_its_own(small):
    model, generator = small()
    rng = np.random.default_rng(0)
    texts = rng.integers(5, 600, [2, 80])
    n = 25  # the first row is another one after as many tokens; the cache has 64 columns
    state = generator.prefill(tf.constant([[2, 5], [2, 6]]), tf.constant(1), generator.no_prefix())
    cache, position = state.cache, 1
    step = tf.function(generator.decode_step, autograph=False)
    for start in range(0, 75, n):
        for i in range(start, start + n):
            lengths = tf.constant([i - start + 1, min(i + 1, 64)])
            tokens = tf.constant(texts[:, i], tf.int32)
            logits, cache = step(tokens, lengths, tf.constant(position), cache)
            position += 1
        alone = model({"token_ids": texts[:1, start : start + n], "padding_mask": np.ones((1, n))})
        np.testing.assert_allclose(logits[0], alone[0, -1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "weights, most",
    [
        pytest.param("bfloat16", 0.02, marks=pytest.mark.slow),
        pytest.param("float16", 0.003, marks=pytest.mark.slow),
        ("int8", 0.03),
    ],
)
def test_smaller_weights_give_nearly_the_same_scores(small, tmp_path, weights, most):
    model, exact = small()
    lossy = ModelGenerator(model, weights=weights)
    texts = tf.constant(PROMPTS)
    np.testing.assert_allclose(exact.score(texts)[0], lossy.score(texts)[0], rtol=most)
    sizes = []
    for generator in (exact, lossy):
        save_generator(generator, tmp_path / "1", text=False)
        sizes.append(sum(f.stat().st_size for f in (tmp_path / "1" / "variables").iterdir()))
    assert sizes[1] < sizes[0] / (3 if weights == "int8" else 1.7)


def test_greedy_tokens_equal_the_uncached_models_on_50_prompts(run, in_memory, requests):
    """The whole rows again for each token, in float32, beside the cache."""
    model = keras_vngpt.VnGPTCausalLM.from_preset(str(run / "finetune"))
    single = (c.prompts[0] for c in requests if len(c.prompts) == 1)
    # With ten tokens more they fit into the rows of the model.
    prompts = list(itertools.islice((text for text in single if len(text) < 50), 50))
    ids = in_memory.tokenize(prompts).numpy()
    new = in_memory.generate_ids(ids, 10, min_new_tokens=10).numpy()
    rows, lengths = np.pad(ids, [(0, 0), (0, 10)]), (ids > 0).sum(1)
    for i in range(10):
        logits = np.array(model({"token_ids": rows, "padding_mask": (rows > 0).astype(int)}))
        logits = logits[np.arange(50), lengths + i - 1]
        logits[:, [0, 4]] = -np.inf  # no padding, and no end before ten tokens
        np.testing.assert_array_equal(new[:, i], logits.argmax(-1))
        rows[np.arange(50), lengths + i] = new[:, i]


ODD_TEXTS = ["", " ", "a" * 100_000, "Bật đèn " * 12_500, "\x00\x01\x1b[31m\u202e", "\ufffd", "🙂"]
ODD_SETTINGS = [
    {"temperature": float("nan")},  # greedy: it is not more than 0
    {"temperature": float("inf"), "seed": 1},
    {"temperature": -1.0},
    {"temperature": 1.0, "top_k": 10**9},
    {"temperature": 1.0, "top_k": -3},
    {"temperature": 1.0, "top_p": 0.0},
    {"temperature": 1.0, "top_p": float("nan")},
    {"temperature": 1.0, "min_p": 7.0},
    {"repetition_penalty": 0.0},
    {"no_repeat_ngram_size": -1},
    {"no_repeat_ngram_size": 10**9},
    {"min_new_tokens": 10**9},
]


def test_odd_texts_have_answers(trained):
    """Whatever a SavedModel is given, each prompt has an answer, and the others are not harmed."""
    plain = PROMPTS[0]
    (by_itself,) = trained.generate([plain], 8).numpy()
    raw = {"prompts": tf.constant([plain]), "stop": tf.constant([b"\xff", b"\xc3("])}
    found = trained._call("generate_with", **raw, **config_tensors({}, 1, 8))
    assert found["responses"].numpy() == [by_itself]
    odd = [text.encode() for text in ODD_TEXTS] + [b"\xff\xfe B\xe1\xba", b"\xed\xa0\x80"]
    answers = trained.generate([plain, *odd], 8).numpy()
    assert answers[0] == by_itself
    for answer in answers:
        answer.decode()
    for text, answer in zip(odd, answers[1:], strict=True):
        assert trained.generate([text], 8).numpy()[0] == answer


@pytest.mark.parametrize("config", ODD_SETTINGS, ids=str)
def test_odd_settings_are_defined(trained, config):
    ids = trained.generate_ids(trained.tokenize(PROMPTS[:2]), 6, **config).numpy()
    assert ids.shape[0] == 2 and ids.shape[1] <= 6 and (ids >= 0).all()
    if not config.get("temperature", 0) > 0 and "temperature" in config:
        np.testing.assert_array_equal(ids, trained.generate_ids(trained.tokenize(PROMPTS[:2]), 6))


def test_lengths_and_batches_of_nothing(trained):
    for most in (0, -1, -(2**31)):
        assert trained.generate(PROMPTS[:2], most).numpy().tolist() == [b"", b""]
    assert trained.generate(tf.zeros([0], tf.string), 4).shape == (0,)
    assert trained.generate_ids(tf.zeros([2, 0], tf.int32), 4).shape == (2, 0)
    assert trained.generate_ids(tf.zeros([3, 4], tf.int32), 4).shape == (3, 0)
    beyond = trained.generate_ids([[2, 10**6, -5, 3]], 4)  # ids that are no tokens
    assert beyond.shape[0] == 1


@pytest.mark.slow
def test_the_longest_answer_of_a_model_with_learned_positions(preprocessor):
    """There is no position beyond the longest row, whatever the cache is rounded up to."""
    generator = ModelGenerator(make_model("classic", preprocessor, length=40))
    ids = generator.generate_ids([[2, 7, 8, 3]], min_new_tokens=100).numpy()
    assert ids.shape == (1, 36)


def test_a_prompt_of_one_token(small, decoder_kind):
    model, generator = small(decoder_kind)
    ids = generator.generate_ids([[2], [2]], 3, min_new_tokens=3).numpy()
    logits = model({"token_ids": np.array([[2]]), "padding_mask": np.ones((1, 1))})
    logits = np.array(logits)[0, 0]
    logits[[0, 4]] = -np.inf
    assert ids.shape == (2, 3) and (ids[:, 0] == logits.argmax()).all()


def test_smaller_weights_of_the_classic_decoder_are_refused_before_training(preprocessor, tmp_path):
    with pytest.raises(ValueError, match="Received: weights=int8"):
        ModelGenerator(make_model("classic", preprocessor), weights="int8")
    with pytest.raises(UserError, match=r"export\.weights: the classic decoder"):
        keras_vngpt.fit(
            folder=str(tmp_path), model={"decoder": "classic"}, export={"weights": "int8"}
        )
    assert not list(tmp_path.iterdir())


def test_a_preset_of_version_0_1_is_prompted_as_its_folders_name_says(small, tokenizer, tmp_path):
    model, _ = small()
    for name in ("pretrain", "finetune"):
        model.save_to_preset(str(tmp_path / name))
        file = tmp_path / name / "preprocessor.json"
        preprocessor = json.loads(file.read_text("utf-8"))
        preprocessor["config"].pop("prompt_format", None)
        file.write_text(json.dumps(preprocessor), "utf-8")
        generator = load_generator(tmp_path / name)  # its tf.function holds it weakly
        last = int(generator.tokenize(["a"])[0, -1])
        assert (last == tokenizer.sep_token_id) == (name == "finetune")
        preprocessor["config"]["prompt_format"] = "text"
        file.write_text(json.dumps(preprocessor), "utf-8")
        assert prompt_form(tmp_path / name, model)["prompt_format"] == "text"  # as it says
