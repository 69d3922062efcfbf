"""What tokens stand near: embeddings to start from, and classes of tokens that are alike."""

import numpy as np
import scipy.sparse

WINDOW = 2  # tokens to each side; one at distance d counts 1 / d
SMOOTHING = 0.75  # power of the counts of the company
STD = 0.06  # what it knows outlasts the first steps better than at 0.02
NOISE = 0.12  # as a share of it
NOISE_OF_SIGNS = 0.75  # of what is no word: digits keep the same company and must be told apart
OVERSAMPLING, ITERATIONS = 32, 6  # of the randomised decomposition
TOKENS_PER_CLASS = (192, 24, 6)  # coarse classes, fine ones, and those of the nearest
ROUNDS = 12  # of k-means


def cooccurrence_embeddings(
    token_ids, segment_ids, vocabulary_size, hidden_dim, seed=0, window=WINDOW, std=STD
):
    """Embeddings from how often tokens stand near each other.

    The positive pointwise mutual information of tokens within a window, decomposed: `U sqrt(S)` of
    its largest eigenvalues, turned so that all dimensions are alike. Takes seconds, and no step of
    training.

    Args:
        token_ids: int array [rows, length].
        segment_ids: int array [rows, length], the document of each position, 0 for padding.
        vocabulary_size: int.
        hidden_dim: int.
        seed: int.
        window: int, tokens to each side that are near.
        std: float, the standard deviation of what is returned.

    Returns:
        float32 array [vocabulary_size, hidden_dim]; zeros for a token that stands near nothing.

    Example:
        >>> embeddings = cooccurrence_embeddings(rows.token_ids, rows.segment_ids, 8192, 256)

    References:
        - [Levy and Goldberg, 2014](https://papers.nips.cc/paper/5477), section 3.3.
        - [Levy, Goldberg and Dagan, 2015](https://aclanthology.org/Q15-1016), sections 3.2, 3.3.
        - [Halko, Martinsson and Tropp, 2011](https://arxiv.org/abs/0909.4061), algorithm 4.4.
    """
    rng = np.random.default_rng(seed)
    information = _information(_counts(token_ids, segment_ids, vocabulary_size, window))
    basis = rng.standard_normal((vocabulary_size, hidden_dim + OVERSAMPLING), "float32")
    for _ in range(ITERATIONS):
        basis, _ = np.linalg.qr(information @ basis)
    values, vectors = np.linalg.eigh(basis.T @ (information @ basis))
    largest = np.argsort(-np.abs(values))[:hidden_dim]
    embeddings = np.zeros((vocabulary_size, hidden_dim), "float32")
    embeddings[:, : len(largest)] = (basis @ vectors[:, largest]) * np.abs(values[largest]) ** 0.5
    rotation, _ = np.linalg.qr(rng.standard_normal((hidden_dim, hidden_dim)))
    embeddings = embeddings @ rotation.astype("float32")
    return embeddings * (std / max(np.sqrt(np.mean(embeddings**2)), 1e-12))


def add_noise(embeddings, words, seed=0, std=STD):
    """Embeddings with noise: little for words, more for the rest.

    Args:
        embeddings: float array [tokens, hidden_dim], from `cooccurrence_embeddings`.
        words: int array of the tokens that are words or parts of words.
        seed: int.
        std: float, what the embeddings were made with.

    Returns:
        float32 array like `embeddings`, no row of it zero.
    """
    noise = np.full((len(embeddings), 1), NOISE_OF_SIGNS, "float32")
    noise[np.asarray(words, int)] = NOISE
    rng = np.random.default_rng((seed, 1))
    return embeddings + noise * std * rng.standard_normal(embeddings.shape, "float32")


def company_classes(embeddings, counts, seed=0):
    """Classes of tokens that keep like company: features that they may share.

    K-means by direction, once with few classes, once with many, once with very many.

    Args:
        embeddings: float array [tokens, hidden_dim], from `cooccurrence_embeddings`.
        counts: int array [tokens], how often each is seen.
        seed: int.

    Returns:
        int32 array [pairs, 2] of a token and the number of a class of it; none for a token whose
        embedding is zero.

    Example:
        >>> classes = company_classes(embeddings, np.bincount(token_ids.ravel(), minlength=8192))

    References:
        - [Dhillon and Modha, 2001](https://doi.org/10.1023/A:1007612920971), section 3.
    """
    rng = np.random.default_rng((seed, 2))
    norms = np.linalg.norm(embeddings, axis=1)
    tokens = np.flatnonzero(norms > 1e-3 * norms.max(initial=0))
    directions = embeddings[tokens] / norms[tokens, None]
    weight = np.sqrt(np.asarray(counts)[tokens] + 1.0)
    pairs, first = [np.zeros((0, 2), "int32")], 0
    for size in TOKENS_PER_CLASS if len(tokens) else ():
        n_classes = -(-len(tokens) // size)
        chosen = rng.choice(len(tokens), n_classes, replace=False, p=weight / weight.sum())
        centres = directions[chosen]
        for _ in range(ROUNDS):
            of_token = np.argmax(directions @ centres.T, axis=1)
            place = (of_token, np.arange(len(tokens)))
            sums = scipy.sparse.csr_array((weight, place), (n_classes, len(tokens))) @ directions
            length = np.linalg.norm(sums, axis=1, keepdims=True)
            centres = np.where(length > 0, sums / np.maximum(length, 1e-12), centres)
        pairs.append(np.stack([tokens, first + of_token], axis=1).astype("int32"))
        first += n_classes
    return np.concatenate(pairs)


def _counts(token_ids, segment_ids, vocabulary_size, window):
    """How often two tokens are near each other, [vocabulary_size, vocabulary_size], sparse."""
    counts = scipy.sparse.csr_array((vocabulary_size, vocabulary_size), dtype="float32")
    for distance in range(1, window + 1):
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
