"""What is drawn has the distribution that the settings ask for."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import chisquare

from keras_vngpt.generation.config_tensors import DTYPES, TABLES, config_tensors
from keras_vngpt.generation.decoding_state import State
from keras_vngpt.generation.sampling import choose, draws, processed

DRAWS = 20_000
END = 7
LOGITS = np.log([0.30, 0.05, 0.20, 0.15, 0.02, 0.10, 0.10, 0.08])  # two are alike
PROMPT = [2, 5, 2]
ANSWER = [0, 3, 0]


@tf.function(jit_compile=True, autograph=False)
def chosen(logits, state, uniform, config):
    return choose(processed(logits, state, END + 1, config), uniform, END + 1, config)


def compiled(logits, state, uniform, config):
    """The choice among tokens that are all one more: 0 is the padding, and the likeliest here."""
    logits = tf.pad(tf.constant(logits, tf.float32), [[0, 0], [1, 0]], constant_values=99.0)
    return chosen(logits, state, uniform, config).numpy() - 1


@functools.cache
def numbers(seed, rows, steps):
    return draws(tf.fill([rows], seed), tf.range(rows), tf.constant(steps)).numpy()


def state_of(rows, prompt, answer, node=0, turn=0):
    """Rows with these tokens so far, and two columns more; `turn` columns have gone around."""
    tokens = np.roll([*(t + 1 for t in [*prompt, *answer]), 0, 0], turn)
    length = len(prompt) + len(answer)
    return State(
        tokens=tf.constant(np.tile(tokens, (rows, 1)), tf.int32),
        log_probabilities=tf.zeros([rows, len(tokens)]),
        lengths=tf.fill([rows], length),
        answered=tf.fill([rows], len(answer)),
        cache_position=tf.constant(length - 1 + turn),
        done=tf.fill([rows], False),
        node=tf.fill([rows], node),
        cache=(),
    )


def of_rows(rows, given, tables=()):
    """Settings as steps take them."""
    config = config_tensors(given, rows, 99)
    tables = {name: config[name] for name in TABLES} | dict(tables)
    for name in ("bad_words", "constraint_tokens"):
        tables[name] = tf.where(tables[name] < 0, -1, tables[name] + 1)
    return config | tables


def draw(logits, given, prompt=PROMPT, answer=ANSWER, tables=(), **place):
    """The next token of as many rows as there are logits, all with the same tokens so far."""
    rows = len(logits)
    state, uniform = state_of(rows, prompt, answer, **place), numbers(0, rows, 1)[:, 0]
    return compiled(logits, state, uniform, of_rows(rows, given, tables))


def intended(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0,
             presence_penalty=0.0, frequency_penalty=0.0):  # fmt: skip
    """The distribution as the settings are defined, by sorting."""
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
    "config",
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
def test_frequencies_are_those_of_the_intended_distribution(config):
    drawn = draw(np.tile(LOGITS, (DRAWS, 1)), {"temperature": 1.0, **config})
    counts, p = np.bincount(drawn, minlength=len(LOGITS)), intended(**config)
    assert counts[p == 0].sum() == 0
    if (p > 0).sum() > 1:
        assert chisquare(counts[p > 0], DRAWS * p[p > 0]).pvalue > 1e-3


def test_greedy_takes_the_likeliest_after_the_penalties():
    for penalty, token in ((1.2, 0), (1.3, 6)):  # 0 was used twice, 2 twice, 6 never
        logits = np.log([[0.3, 0.05, 0.2, 0.1, 0.02, 0.05, 0.18, 0.1]])
        assert draw(logits, {"repetition_penalty": penalty})[0] == token


def test_the_coldest_and_hottest_temperatures_are_defined():
    logits = np.array([[3.0, 1.0, -1e30, 2.0], [1e4, -1e4, 0.0, 1e4]])
    cold = draw(np.tile(logits, (100, 1)), {"temperature": 1e-38})
    assert set(cold[::2]) == {0} and set(cold[1::2]) <= {0, 3}
    assert set(draw(np.tile(logits[:1], (2000, 1)), {"temperature": 1e30})) >= {0, 1, 3}


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
        drawn = draw(
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
        assert draw(logits, {"min_new_tokens": least})[0] == token


def test_a_bad_word_is_not_finished():
    words = {"bad_words": tf.constant([[-1, -1, 4], [0, 3, 0], [-1, 3, 1], [-1, -1, -1]])}
    for answer, forbidden in (([0, 3], {4, 0, 1}), ([3], {4, 1}), ([3, 0], {4}), ([5, 3], {4, 1})):
        for turn in (0, 1, 2):
            drawn = draw(np.zeros((300, 8)), {"temperature": 1.0}, [6], answer, words, turn=turn)
            assert set(range(8)) - set(drawn) == forbidden


def test_a_bad_word_that_begins_before_the_row_does_not_count():
    """Columns of other rows, or of nothing, stand around a row that is shorter than the word."""
    words = {"bad_words": tf.constant([[0, 3, 1]])}
    drawn = draw(np.zeros((300, 8)), {"temperature": 1.0}, [], [3], words)
    assert 1 in drawn


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["repetition_penalty", "presence_penalty", "frequency_penalty"])
def test_a_penalty_that_is_no_number_changes_nothing(name, odd):
    logits = np.tile(LOGITS, (200, 1))
    np.testing.assert_array_equal(
        draw(logits, {"temperature": 1.0, name: odd}), draw(logits, {"temperature": 1.0})
    )


@pytest.mark.parametrize("min_p", [np.nan, 2.0])
def test_with_a_share_that_no_token_has_the_likeliest_comes(min_p):
    assert set(draw(np.tile(LOGITS, (200, 1)), {"temperature": 1.0, "min_p": min_p})) == {0}


@pytest.mark.parametrize("temperature", [0.0, 1.0, 1e30])
def test_nothing_comes_but_what_a_constraint_allows(temperature):
    tables = {
        "constraint_tokens": tf.constant([[2, 5, -1], [-1, 3, -1], [-1, -1, -1]]),
        "constraint_nodes": tf.constant([[1, 2, 0], [0, 0, 0], [0, 0, 0]]),
    }
    for node, allowed in ((0, {2, 5}), (1, {3}), (2, set(range(8)))):
        drawn = draw(
            np.tile(LOGITS, (500, 1)), {"temperature": temperature}, tables=tables, node=node
        )
        assert set(drawn) <= allowed
        assert temperature == 0.0 or temperature == 1e30 or set(drawn) == allowed
    banned = {"bad_words": tf.constant([[3]])}
    assert set(draw(np.zeros((9, 8)), {}, tables=tables | banned, node=1)) == {END}


def test_each_row_has_settings_of_its_own():
    given = [
        {"temperature": 1.0, "top_k": 3},
        {},
        {"temperature": 0.7, "min_p": 0.4, "presence_penalty": 2.0},
        {"no_repeat_ngram_size": 1},
        {"temperature": 1.3, "top_p": 0.5, "repetition_penalty": 1.4, "min_new_tokens": 9},
    ]
    together = {name: tf.stack([of_rows(1, each)[name][0] for each in given]) for name in DTYPES}
    logits, uniform = np.random.default_rng(0).normal(size=(5, 8)), numbers(3, 5, 1)[:, 0]
    state = state_of(5, PROMPT, ANSWER)
    mixed = compiled(logits, state, uniform, of_rows(5, {}) | together)
    for i, each in enumerate(given):
        one = logits[i : i + 1], state_of(1, PROMPT, ANSWER)
        assert mixed[i] == compiled(*one, uniform[i : i + 1], of_rows(1, each))[0]


def test_runs_are_found_where_the_columns_go_around():
    for turn in range(6):
        given = {"no_repeat_ngram_size": 3, "temperature": 1.0}
        drawn = draw(np.zeros((300, 8)), given, [5, 6, 1], [2, 5, 6], turn=turn)
        assert set(range(8)) - set(drawn) == {1}
