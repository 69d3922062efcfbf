"""Soft targets: what a trigram model counts, what it answers, and what a model learns from it."""

import random
from collections import Counter, defaultdict

import keras
import numpy as np
import pytest

from keras_vngpt.data.pipeline import with_soft_share
from keras_vngpt.models.backbone import VnGPTBackbone
from keras_vngpt.models.causal_lm import VnGPTCausalLM
from keras_vngpt.training.recipe.ngrams import AFTER_ONE, AFTER_TWO, DISCOUNT, FEWEST, NGrams
from keras_vngpt.training.trainer import Trainer


def by_hand(rows, segments):
    """Counts of what follows one token and two, of text that nothing else looks at."""
    after = defaultdict(Counter)
    for row, segment in zip(rows.tolist(), segments.tolist(), strict=True):
        for i in range(len(row) - 1):
            for n in (1, 2):
                places = range(i - n + 1, i + 2)
                if places[0] >= 0 and segment[i] and len({segment[p] for p in places}) == 1:
                    after[tuple(row[p] for p in places[:-1])][row[i + 1]] += 1
    return after


def likelihood(after, context):
    """The same by the formula: a dictionary from tokens to how likely they are."""
    if not context:
        return {}
    counts, shorter = after[context], likelihood(after, context[1:])
    if counts.total() < (FEWEST if len(context) == 2 else 1):
        return shorter
    rest = DISCOUNT * len(counts) / counts.total()
    found = Counter({token: rest * p for token, p in shorter.items()})
    for token, n in counts.items():
        found[token] += (n - DISCOUNT) / counts.total()
    return found


@pytest.fixture(scope="module")
def text():
    """Rows of tokens of which most are rare; documents end within a row, before padding too."""
    rng = np.random.default_rng(0)
    rows = np.minimum(rng.geometric(0.15, (60, 24)), 39)
    segments = np.cumsum(rng.random(rows.shape) < 0.1, axis=1) + 1
    segments[:, 20:] *= rng.integers(0, 2, (60, 1))
    return rows, segments


def test_successors_are_those_counted_by_hand(text):
    after = by_hand(*text)
    rng = np.random.default_rng(1)
    others = rng.integers(0, 45, (20, 24)), rng.integers(1, 3, (20, 24))  # with tokens never seen
    ngrams = NGrams(*text, vocabulary_size=50)
    n_pairs = 0
    for rows, segments in (text, others):
        ids, shares = map(np.asarray, ngrams.successors(rows, segments))
        found = np.zeros((rows.size, 50))
        np.add.at(found, (np.arange(rows.size)[:, None], ids), shares)
        for i, row in enumerate(found):
            r, c = divmod(i, rows.shape[1])
            inside = c > 0 and segments[r, c - 1] == segments[r, c]
            context = tuple(rows[r, c - 1 : c + 1]) if inside else (rows[r, c],)
            if segments[r, c]:
                n_pairs += len(context) == 2 and after[context].total() >= FEWEST
                expected = np.zeros(50)
                for token, p in likelihood(after, context).items():
                    expected[token] = p
                np.testing.assert_allclose(row, expected, atol=1e-6)
        assert found.sum(axis=1).max() < 1
    assert n_pairs > 300


@pytest.mark.parametrize(
    "context, most, columns",
    [([5], AFTER_ONE, slice(AFTER_TWO, None)), ([4, 5], AFTER_TWO, slice(0, AFTER_TWO))],
)
def test_the_likeliest_are_kept(context, most, columns):
    often = np.arange(300) % 7 + 1
    rows = np.concatenate([[[*context, 10 + t]] * n for t, n in enumerate(often)])
    ngrams = NGrams(rows, np.ones_like(rows), 400)
    found = ngrams.successors([context], np.ones((1, len(context))))
    ids, shares = (np.asarray(x)[-1, columns] for x in found)
    kept = ids[shares > 0] - 10
    assert len(kept) == most and often[kept].min() >= np.sort(often)[-most]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_text_with_nothing_to_count_says_nothing(length):
    rows = np.arange(length)[None]
    ngrams = NGrams(rows, np.ones_like(rows) * [1, 2, 3][:length], 10)
    _, shares = ngrams.successors(rows, np.ones_like(rows))
    assert not np.asarray(shares).any()


def test_the_part_falls_in_a_line_that_goes_on_from_any_step():
    import tensorflow as tf

    def parts(start, stop):
        batch = tf.zeros((4, 8), "int32"), tf.zeros((4, 8))
        triples = tf.data.Dataset.from_tensors(({"token_ids": batch[0]}, *batch)).repeat()
        batches = with_soft_share(triples.take(stop - start), 0.8, 0.1, start, 10)
        return np.stack([x["soft_share"] for x, _, _ in batches])

    whole = parts(0, 10)
    np.testing.assert_allclose(whole, np.tile(np.linspace(0.8, 0.1, 11)[:10, None], 4), rtol=1e-6)
    np.testing.assert_array_equal(parts(3, 7), whole[3:7])


def test_a_model_learns_what_followed_elsewhere():
    """It is trained on "5 6" alone, and counted was "5 7" as often."""
    counted = np.array([[5, 6], [5, 7]] * 500)
    ngrams = NGrams(counted, np.ones_like(counted), 16)
    x = {"token_ids": np.full((4, 1), 5), "padding_mask": np.ones((4, 1), "int32")}
    triples = np.full((4, 1), 6), np.full((4, 1), 0.25, "float32")

    def learned(share):
        random.seed(0)  # `set_random_seed` would end the life of the tokenizers of other tests
        backbone = VnGPTBackbone(16, num_layers=1, num_heads=1, hidden_dim=8, intermediate_dim=8)
        trainer = Trainer(VnGPTCausalLM(backbone), ngrams=ngrams)
        trainer.compile(optimizer=keras.optimizers.Adam(0.03), jit_compile=False)
        given = x | {"soft_share": np.full(4, share, "float32")}
        for _ in range(300):
            loss = trainer.train_on_batch(given, *triples)
        hidden = backbone(x)[0, 0]
        logits = keras.ops.matmul(backbone.token_embedding.embeddings, hidden)
        return np.asarray(keras.ops.softmax(logits)), float(loss)

    for share in (0.0, 0.5, 1.0):
        likely, loss = learned(share)
        assert likely[7] == pytest.approx(share / 2, abs=0.02)
        # What is shown is the loss of the token that came.
        assert loss == pytest.approx(-np.log(likely[6]), abs=0.02)
