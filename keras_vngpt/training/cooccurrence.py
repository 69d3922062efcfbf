"""Embeddings to start from: tokens that keep the same company begin near each other."""

import numpy as np
import scipy.sparse

WINDOW = 2  # tokens to each side; one at distance d counts 1 / d
SMOOTHING = 0.75  # power of the counts of the company
STD = 0.04  # what it knows outlasts the first steps better than at 0.02
NOISE = 0.25  # as a share of STD
NOISE_OF_SIGNS = 0.75  # of what is no word: digits keep the same company and must be told apart
OVERSAMPLING, ITERATIONS = 32, 6  # of the randomised decomposition


def cooccurrence_embeddings(token_ids, segment_ids, vocabulary_size, hidden_dim, words=(), seed=0):
    """Embeddings from how often tokens stand near each other.

    The positive pointwise mutual information of tokens within a window, decomposed: `U sqrt(S)` of
    its largest eigenvalues, turned so that all dimensions are alike, with noise. Takes seconds,
    and no step of training.

    Args:
        token_ids: int array [rows, length].
        segment_ids: int array [rows, length], the document of each position, 0 for padding.
        vocabulary_size: int.
        hidden_dim: int.
        words: int array of the tokens that are words or parts of words.
        seed: int.

    Returns:
        float32 array [vocabulary_size, hidden_dim], with a standard deviation of about 0.04.

    Example:
        >>> embeddings = cooccurrence_embeddings(rows.token_ids, rows.segment_ids, 8192, 256)

    References:
        - [Levy and Goldberg, 2014](https://papers.nips.cc/paper/5477), section 3.3.
        - [Levy, Goldberg and Dagan, 2015](https://aclanthology.org/Q15-1016), sections 3.2, 3.3.
        - [Halko, Martinsson and Tropp, 2011](https://arxiv.org/abs/0909.4061), algorithm 4.4.
    """
    rng = np.random.default_rng(seed)
    information = _information(_counts(token_ids, segment_ids, vocabulary_size))
    basis = rng.standard_normal((vocabulary_size, hidden_dim + OVERSAMPLING), "float32")
    for _ in range(ITERATIONS):
        basis, _ = np.linalg.qr(information @ basis)
    values, vectors = np.linalg.eigh(basis.T @ (information @ basis))
    largest = np.argsort(-np.abs(values))[:hidden_dim]
    embeddings = np.zeros((vocabulary_size, hidden_dim), "float32")
    embeddings[:, : len(largest)] = (basis @ vectors[:, largest]) * np.abs(values[largest]) ** 0.5
    rotation, _ = np.linalg.qr(rng.standard_normal((hidden_dim, hidden_dim)))
    embeddings = embeddings @ rotation.astype("float32")
    embeddings *= STD / max(np.sqrt(np.mean(embeddings**2)), 1e-12)
    noise = np.full((vocabulary_size, 1), NOISE_OF_SIGNS, "float32")
    noise[np.asarray(words, int)] = NOISE
    return embeddings + noise * STD * rng.standard_normal(embeddings.shape, "float32")


def _counts(token_ids, segment_ids, vocabulary_size):
    """How often two tokens are near each other, [vocabulary_size, vocabulary_size], sparse."""
    counts = scipy.sparse.csr_array((vocabulary_size, vocabulary_size), dtype="float32")
    for distance in range(1, WINDOW + 1):
        is_together = (segment_ids[:, :-distance] == segment_ids[:, distance:]) & (
            segment_ids[:, distance:] > 0
        )
        first = token_ids[:, :-distance][is_together].astype("int32")
        second = token_ids[:, distance:][is_together].astype("int32")
        weight = np.full(len(first), 1 / distance, "float32")
        counts += scipy.sparse.csr_array((weight, (first, second)), shape=counts.shape)
    return counts + counts.T


def _information(counts):
    """Positive pointwise mutual information of counts, symmetric, sparse."""
    of_token = counts.sum(axis=1)
    of_company = of_token**SMOOTHING
    counts = counts.tocoo()
    row, column = counts.coords
    share = of_company[column] / max(of_company.sum(), 1e-12)
    information = np.maximum(np.log(counts.data / (of_token[row] * share)), 0.0)
    information = scipy.sparse.csr_array((information, (row, column)), shape=counts.shape)
    return ((information + information.T) / 2).astype("float32")
