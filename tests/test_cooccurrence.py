"""Embeddings to start from: what stands near the same tokens is alike, and documents are apart."""

import numpy as np
import pytest
from conftest import make_model

from keras_vngpt.training.recipe.cooccurrence import (
    NOISE,
    OF_OFTEN_SEEN,
    SEEN_OFTEN,
    STD,
    add_noise,
    cooccurrence_embeddings,
    start_embeddings,
)


def cosine(embeddings, a, b):
    a, b = embeddings[a], embeddings[b]
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def two_contexts():
    """1 and 2 stand between 10 to 19, 3 and 4 between 20 to 29; 0 and the rest nowhere."""
    rng = np.random.default_rng(0)
    return np.array(
        [
            [rng.integers(low, low + 10), rng.choice(pair), rng.integers(low, low + 10)]
            for low, pair in ((10, (1, 2)), (20, (3, 4)))
            for _ in range(2_000)
        ]
    )


def test_tokens_that_stand_near_the_same_ones_begin_near_each_other():
    rows = two_contexts()
    embeddings = cooccurrence_embeddings(rows, np.ones_like(rows), 40, 64)
    assert embeddings.shape == (40, 64) and abs(embeddings.std() / STD - 1) < 0.1
    same = cosine(embeddings, 1, 2), cosine(embeddings, 3, 4)
    others = [cosine(embeddings, a, b) for a in (1, 2) for b in (3, 4)]
    assert min(same) > max(others) + 0.3
    again = cooccurrence_embeddings(rows, np.ones_like(rows), 40, 64)
    np.testing.assert_array_equal(embeddings, again)
    # Words stay nearer to each other than digits, which must not begin alike.
    noisy = add_noise(embeddings, [1, 2])
    assert cosine(noisy, 1, 2) > cosine(noisy, 3, 4) + 0.1


@pytest.mark.slow
def test_a_start_is_larger_and_looks_further_where_tokens_are_seen_often(preprocessor):
    model = make_model("modern", preprocessor)
    variable = model.backbone.token_embedding.embeddings
    rows = np.random.default_rng(0).integers(0, 600, (SEEN_OFTEN * 600 // 50, 50))
    words = np.arange(600)

    def start(ids):
        start_embeddings(model, ids, np.ones_like(ids), words, seed=0)
        return variable.numpy()

    def expected(ids, **start):
        embeddings = cooccurrence_embeddings(ids, np.ones_like(ids), *variable.shape, **start)
        return add_noise(embeddings, words, std=start.get("std", STD))

    np.testing.assert_array_equal(start(rows), expected(rows, **OF_OFTEN_SEEN))
    np.testing.assert_array_equal(start(rows[1:]), expected(rows[1:]))
    assert abs(start(rows).std() / OF_OFTEN_SEEN["std"] / (1 + NOISE**2) ** 0.5 - 1) < 0.01


def test_a_window_of_three_sees_three_tokens_far():
    rows = np.random.default_rng(0).integers(0, 20, (500, 4))

    def embeddings(rows, window):
        return cooccurrence_embeddings(rows, np.ones_like(rows), 20, 8, window=window)

    np.testing.assert_array_equal(embeddings(rows[:, :3], 2), embeddings(rows[:, :3], 3))
    assert not np.allclose(embeddings(rows, 2), embeddings(rows, 3))


def test_neighbours_of_another_document_or_padding_are_not_counted():
    rng = np.random.default_rng(0)
    a, b, other = rng.integers(5, 20, (3, 500, 4))
    ids = np.concatenate([a, b, other], axis=1)
    segments = np.repeat([[1] * 4 + [2] * 4 + [0] * 4], 500, axis=0)
    alone = np.concatenate([a, b])
    np.testing.assert_allclose(
        cooccurrence_embeddings(ids, segments, 20, 8),
        cooccurrence_embeddings(alone, np.ones_like(alone), 20, 8),
        atol=1e-6,
    )


def test_tokens_that_were_never_seen_and_wide_models_have_embeddings_too():
    for ids, segments in (([[1, 2, 3]], [[1, 1, 0]]), ([[1, 2, 3]], [[0, 0, 0]])):
        embeddings = cooccurrence_embeddings(np.array(ids), np.array(segments), 10, 64)
        embeddings = add_noise(embeddings, [])
        assert np.isfinite(embeddings).all() and np.all(np.abs(embeddings).sum(axis=1) > 0)
