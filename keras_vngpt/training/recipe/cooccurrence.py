"""Embeddings to start from: how often tokens stand near each other in the text."""

import numpy as np
import scipy.sparse

WINDOW = 2  # tokens to each side; one at distance d counts 1 / d
STD = 0.06  # at 0.02, as usual, the first steps would overwrite them
SEEN_OFTEN = 100  # times that the text shows a token, on average
OF_OFTEN_SEEN = {"window": 3, "std": 0.08}  # with less text a wider window counts chance
SMOOTHING = 0.75  # power of the counts of the context
NOISE = 0.12  # of words, as a share of the standard deviation
NOISE_OF_OTHERS = 0.75  # digits stand near the same tokens and would begin nearly alike
OVERSAMPLING, ITERATIONS = 32, 6  # of the randomised decomposition


def start_embeddings(model, token_ids, segment_ids, words, seed=0):
    """Start the token embeddings of a new model from what stands near what in its text.

    Where the text shows each token about 100 times or more, the window is wider and the embeddings
    are larger.

    Args:
        model: a `CausalLM`.
        token_ids: int array [rows, length].
        segment_ids: int array [rows, length], the document of each position, 0 for padding.
        words: int array of the tokens that are words or parts of words.
        seed: int.

    Example:
        >>> start_embeddings(model, token_ids, segment_ids, words=token_features(tokenizer)[:, 0])
    """
    variable = model.backbone.token_embedding.embeddings
    is_seen_often = np.count_nonzero(segment_ids) >= SEEN_OFTEN * variable.shape[0]
    start = OF_OFTEN_SEEN if is_seen_often else {"window": WINDOW, "std": STD}
    embeddings = cooccurrence_embeddings(
        token_ids, segment_ids, *variable.shape, seed=seed, **start
    )
    variable.assign(add_noise(embeddings, words, seed, start["std"]))


def cooccurrence_embeddings(
    token_ids, segment_ids, vocabulary_size, hidden_dim, seed=0, window=WINDOW, std=STD
):
    """Embeddings from how often tokens stand near each other.

    The positive pointwise mutual information of tokens within a window, decomposed: `U sqrt(S)` of
    its largest eigenvalues, turned so that all dimensions are alike. It takes seconds and no step
    of training.

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
    """Embeddings with Gaussian noise: little for words, more for the rest.

    Args:
        embeddings: float array [tokens, hidden_dim], from `cooccurrence_embeddings`.
        words: int array of the tokens that are words or parts of words.
        seed: int.
        std: float, what the embeddings were made with.

    Returns:
        float32 array like `embeddings`, no row of it zero.
    """
    noise = np.full((len(embeddings), 1), NOISE_OF_OTHERS, "float32")
    noise[np.asarray(words, int)] = NOISE
    rng = np.random.default_rng((seed, 1))
    return embeddings + noise * std * rng.standard_normal(embeddings.shape, "float32")


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
    of_context = of_token**SMOOTHING
    counts = counts.tocoo()
    row, column = counts.coords
    share = of_context[column] / max(of_context.sum(), 1e-12)
    information = np.maximum(np.log(counts.data / (of_token[row] * share)), 0.0)
    information = scipy.sparse.csr_array((information, (row, column)), shape=counts.shape)
    return ((information + information.T) / 2).astype("float32")
