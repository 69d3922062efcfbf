"""Beams, log-probabilities and prefixes of a small model with random weights."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import PROMPTS, make_model

from keras_vngpt.generation.model_generator import ModelGenerator

END = 4


@pytest.fixture
def model(small):
    return small()[0]


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
    generator = ModelGenerator(model)
    prompts = [[2, 17, 9, 3], [2, 30, 31, 32, 33, 3], [2, 8, 3]]
    ids = tf.ragged.constant(prompts, tf.int32).to_tensor()
    given = {"num_beams": beams, "length_penalty": penalty, "early_stopping": early}
    found, logprobs = generator.generate_ids(
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
    best = generator.generate_ids(ids, 7, **given).numpy()
    np.testing.assert_array_equal(best, found[:, 0, : best.shape[1]])


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_beams_of_a_prompt_do_not_depend_on_its_neighbours(generator, penalty):
    rng = np.random.default_rng(1)
    rows = [[2, *rng.integers(5, 99, n).tolist(), 3] for n in (3, 1, 9, 5, 2, 7)]
    given = {"num_beams": 3, "num_return_sequences": 3, "length_penalty": penalty}
    ids = tf.ragged.constant(rows, tf.int32).to_tensor()
    together = generator.generate_ids(ids, 12, **given).numpy().reshape([6, 3, -1])
    for row, answers in zip(rows, together, strict=True):
        alone = generator.generate_ids(tf.constant([row], tf.int32), 12, **given).numpy()
        np.testing.assert_array_equal(answers[:, : alone.shape[1]], alone)
        assert not answers[:, alone.shape[1] :].any()


def test_log_probabilities_are_the_models_own(model, generator):
    prompts = np.array([[2, 17, 9, 3], [2, 30, 31, 3]])
    for given in ({}, {"temperature": 1.3, "top_k": 5, "seed": 4, "repetition_penalty": 1.3}):
        ids, logprobs = generator.generate_ids(prompts, 6, logprobs=True, min_new_tokens=6, **given)
        expected = log_probabilities(model, np.concatenate([prompts, ids], axis=1))[:, 3:]
        np.testing.assert_allclose(logprobs, expected, rtol=1e-3, atol=1e-3)


def test_several_answers_to_a_prompt_differ_and_the_first_is_the_only_one(generator):
    drawn = {"temperature": 1.5, "seed": 3}
    ids = generator.tokenize(PROMPTS)
    rows = generator.generate_ids(ids, 8, num_return_sequences=3, min_new_tokens=8, **drawn).numpy()
    assert rows.shape == (9, 8) and len(np.unique(rows, axis=0)) == 9
    alone = generator.generate_ids(ids[:1], 8, min_new_tokens=8, **drawn).numpy()
    np.testing.assert_array_equal(rows[:1], alone)


def test_the_choice_is_the_likeliest_one(model, generator):
    """Beams over choices find the one that the model gives the highest probability."""
    choices = ["Đã bật quạt", "Đã tắt", "Không", "Bật đèn phòng khách"]
    tokens = [
        [i for i in row if i] for row in generator.encode_response(tf.constant(choices)).numpy()
    ]
    prompt = [i for i in generator.tokenize(["Bật"]).numpy()[0] if i]
    scores = [
        log_probabilities(model, [[*prompt, *t, END]])[0, len(prompt) - 1 :].sum() for t in tokens
    ]
    given = {"num_beams": 4, "length_penalty": 0.0, "num_return_sequences": 4}
    found = [t.decode() for t in generator.generate(["Bật"], 20, choices=choices, **given).numpy()]
    assert found == [choices[i] for i in np.argsort(scores)[::-1]]


def test_what_a_prefix_holds_is_not_computed(generator):
    """A cache that is wrong shows in the answer: so it is read, not computed again."""
    ids = generator.tokenize(["Bạn là trợ lý trong nhà.\nBật"]).numpy()
    prefix = generator.prefix_cache(ids[0, :6])
    wrong = {**prefix, "prefix_values": prefix["prefix_values"] * -3.0}
    one, other = (
        generator.generate_ids(ids, 8, min_new_tokens=8, prefix=p, logprobs=True)[1].numpy()
        for p in (prefix, wrong)
    )
    assert np.abs(one - other).max() > 0.01


def test_rows_that_begin_alike_answer_as_alone(generator):
    rng = np.random.default_rng(0)
    start = [2, *rng.integers(5, 99, 9)]
    rows = [[*start, *rng.integers(5, 99, n)] for n in (0, 1, 3, 7)] + [start[:4], [2]]
    ids = tf.ragged.constant([list(map(int, row)) for row in rows], tf.int32).to_tensor()
    together = generator.generate_ids(ids, 6, min_new_tokens=6).numpy()
    for row, answer in zip(rows, together, strict=True):
        alone = generator.generate_ids(tf.constant([row], tf.int32), 6, min_new_tokens=6)
        np.testing.assert_array_equal(alone[0], answer)
