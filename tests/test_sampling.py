"""What is drawn has the distribution that the controls ask for."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import chisquare

from keras_vngpt.generation.controls import as_tensors
from keras_vngpt.generation.sampling import draws, next_token

DRAWS = 20_000
END = 7
LOGITS = np.log([0.30, 0.05, 0.20, 0.15, 0.02, 0.10, 0.10, 0.08])  # two are alike
PROMPT = [2, 5, 2]
ANSWER = [0, 3, 0]


compiled = tf.function(next_token, jit_compile=True, autograph=False)


@functools.cache
def numbers(seed, rows, steps):
    return draws(tf.constant(seed), tf.constant(rows), tf.constant(steps)).numpy()


def choose(logits, controls, prompt=PROMPT, answer=ANSWER):
    """The next token of as many rows as there are logits, all with the same tokens so far."""
    rows = len(logits)
    tokens = tf.constant(np.tile([*prompt, *answer, 0], (rows, 1)), tf.int32)
    column = tf.range(tokens.shape[1])[None] + tf.zeros([rows, 1], tf.int32)
    is_prompt = column < len(prompt)
    is_answer = ~is_prompt & (column < len(prompt) + len(answer))
    args = tf.constant(logits, tf.float32), tokens, is_prompt, is_answer, numbers(0, rows, 1)[:, 0]
    return compiled(*args, END, as_tensors(controls)).numpy()


def intended(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0,
             presence_penalty=0.0, frequency_penalty=0.0):  # fmt: skip
    """The distribution as the controls are defined, by sorting."""
    logits = LOGITS.copy()
    for token in range(len(logits)):
        answered = ANSWER.count(token)
        logits[token] -= np.log(repetition_penalty) * (answered + PROMPT.count(token))
        logits[token] -= presence_penalty * (answered > 0) + frequency_penalty * answered
    logits /= temperature
    order = sorted(range(len(logits)), key=lambda token: -logits[token])
    if top_k:
        order = [t for t in order if logits[t] >= logits[order[min(top_k, len(order)) - 1]]]
    kept = np.zeros(len(logits))
    kept[order] = np.exp(logits[order])
    kept /= kept.sum()
    nucleus = [t for t in order if kept[kept > kept[t]].sum() < top_p]
    p = np.where(np.isin(np.arange(len(kept)), nucleus), kept, 0)
    p[p < min_p * p.max()] = 0
    return p / p.sum()


@pytest.mark.parametrize(
    "controls",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 3.0},
        {"top_k": 1},
        {"top_k": 3},
        {"top_k": 5},  # the fifth and the sixth are alike: both
        {"top_k": 1000},
        {"top_p": 0.5},
        {"top_p": 0.9},
        {"top_p": 1e-6},
        {"min_p": 0.4},
        {"min_p": 1.0},
        {"repetition_penalty": 1.5},
        {"repetition_penalty": 0.8},
        {"presence_penalty": 1.0},
        {"frequency_penalty": 0.7},
        {"frequency_penalty": -0.7},
        {"temperature": 1.5, "top_k": 6, "top_p": 0.8, "min_p": 0.2, "repetition_penalty": 1.2},
    ],
)
def test_frequencies_are_those_of_the_intended_distribution(controls):
    drawn = choose(np.tile(LOGITS, (DRAWS, 1)), {"temperature": 1.0, **controls})
    counts, p = np.bincount(drawn, minlength=len(LOGITS)), intended(**controls)
    assert counts[p == 0].sum() == 0
    if (p > 0).sum() > 1:
        assert chisquare(counts[p > 0], DRAWS * p[p > 0]).pvalue > 1e-3


def test_greedy_takes_the_likeliest_after_the_penalties():
    for penalty, token in ((1.2, 0), (1.3, 6)):  # 0 was used twice, 2 twice, 6 never
        logits = np.log([[0.3, 0.05, 0.2, 0.1, 0.02, 0.05, 0.18, 0.1]])
        assert choose(logits, {"repetition_penalty": penalty})[0] == token


def test_the_coldest_and_hottest_temperatures_are_defined():
    logits = np.array([[3.0, 1.0, -1e30, 2.0], [1e4, -1e4, 0.0, 1e4]])
    cold = choose(np.tile(logits, (100, 1)), {"temperature": 1e-38})
    assert set(cold[::2]) == {0} and set(cold[1::2]) <= {0, 3}
    assert set(choose(np.tile(logits[:1], (2000, 1)), {"temperature": 1e30})) >= {0, 1, 3}


def test_numbers_of_a_row_depend_on_seed_and_row_alone():
    large = numbers(1, 8, 64)
    np.testing.assert_array_equal(numbers(1, 3, 64), large[:3])
    np.testing.assert_array_equal(numbers(1, 8, 7), large[:, :7])
    assert not (numbers(2, 8, 64) == large).any()
    assert len(np.unique(large)) > 0.99 * large.size and 0.4 < large.mean() < 0.6


@pytest.mark.parametrize("n", [1, 2, 3, 4, 50])
def test_no_run_of_n_tokens_comes_twice(n):
    rng = np.random.default_rng(n)
    for _ in range(20):
        so_far = rng.integers(0, 4, 12).tolist()
        seen = {tuple(so_far[i : i + n]) for i in range(len(so_far) - n + 1)}
        allowed = [t for t in range(8) if (*so_far[len(so_far) - n + 1 :], t) not in seen]
        drawn = choose(
            np.zeros((200, 8)),
            {"no_repeat_ngram_size": n, "temperature": 1.0},
            prompt=so_far[:5],
            answer=so_far[5:],
        )
        assert sorted(set(drawn)) == allowed


def test_the_end_does_not_come_before_it_may():
    logits = np.zeros((1, 8))
    logits[0, END] = 9
    for least, token in ((0, END), (3, END), (4, 0)):  # three tokens are there
        assert choose(logits, {"min_new_tokens": least})[0] == token
