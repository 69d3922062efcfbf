"""Embeddings to start from: what stands near what, and nothing across documents."""

import numpy as np

from keras_vngpt.training.cooccurrence import NOISE_OF_SIGNS, STD, cooccurrence_embeddings


def likeness(embeddings, a, b):
    a, b = embeddings[a], embeddings[b]
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_tokens_that_keep_the_same_company_begin_near_each_other():
    rng = np.random.default_rng(0)
    # 1 and 2 stand between 10 to 19, 3 and 4 between 20 to 29.
    rows = [
        [rng.integers(low, low + 10), rng.choice(pair), rng.integers(low, low + 10)]
        for low, pair in ((10, (1, 2)), (20, (3, 4)))
        for _ in range(2_000)
    ]
    of_rows = np.array(rows), np.ones((4_000, 3), int), 40, 64
    embeddings = cooccurrence_embeddings(*of_rows)
    assert embeddings.shape == (40, 64)
    assert abs(embeddings.std() / (STD * (1 + NOISE_OF_SIGNS**2) ** 0.5) - 1) < 0.1
    same = likeness(embeddings, 1, 2), likeness(embeddings, 3, 4)
    others = [likeness(embeddings, a, b) for a in (1, 2) for b in (3, 4)]
    assert min(same) > max(others) + 0.3
    np.testing.assert_array_equal(embeddings, cooccurrence_embeddings(*of_rows))
    # Of words more is known than of digits: those that keep one company are nearer.
    words = cooccurrence_embeddings(*of_rows, words=[1, 2])
    assert likeness(words, 1, 2) > likeness(embeddings, 1, 2) + 0.1
    assert likeness(words, 3, 4) == likeness(embeddings, 3, 4)


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
        assert np.isfinite(embeddings).all() and np.all(np.abs(embeddings).sum(axis=1) > 0)
