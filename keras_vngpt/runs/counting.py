"""What a new model is told of its text before the first step: counted in one pass, in seconds."""

import math

import numpy as np

from keras_vngpt.data.pipeline import training_batches
from keras_vngpt.errors import UserError
from keras_vngpt.files import atomic_write
from keras_vngpt.training.recipe.token_features import token_features
from keras_vngpt.training.recipe.cooccurrence import (
    STD,
    WINDOW,
    add_noise,
    company_classes,
    cooccurrence_embeddings,
)
from keras_vngpt.training.recipe.ngrams import NGrams

POSITIONS_COUNTED = 10_000_000  # at most, of the text
SEEN_OFTEN = 100  # times that a token is seen, on average
OF_OFTEN_SEEN = {"window": 3, "std": 0.08}  # with less text what stands further off is chance


def count(stage, run, settings, model, rows, plan, mixture):
    """Start the embeddings of a new model from its text; count n-grams for its targets.

    Args:
        stage: "pretrain" or "finetune".
        run: `Run`, in which the features are kept for a run that goes on.
        settings: `Settings`.
        model: a new `VnGPTCausalLM`.
        rows: `Rows` to train on.
        plan: `Plan`.
        mixture: `Mixture` of the rows.

    Returns:
        `(features, ngrams)`: from `token_features`, with classes of company where these were
        counted; `NGrams`, or `None` without soft targets.
    """
    features, ngrams = token_features(model.preprocessor.tokenizer), None
    soft_targets = getattr(getattr(settings, stage), "soft_targets", 0.0)
    wants_embeddings = settings.model.embeddings == "cooccurrence"
    if not soft_targets and not wants_embeddings:
        return features, ngrams
    text = first_pass(rows, plan, settings.seed, mixture)
    if soft_targets:
        print(f"  targets         at first {soft_targets:.0%} of each what followed elsewhere")
        ngrams = NGrams(*text, model.backbone.vocabulary_size)
    if wants_embeddings:
        classes = start_embeddings(model, *text, features[:, 0], settings.seed)
        kept = run / "work" / stage / "token_features.npy"
        if not kept.exists():  # a run that goes on must have the same, to the last bit
            with atomic_write(kept, durable=True) as path, open(path, "wb") as file:
                np.save(file, joined(features, classes))
        try:
            features = np.load(kept)
        except (OSError, ValueError, EOFError):
            raise UserError(f"{kept}: is damaged. --restart makes the run anew") from None
    return features, ngrams


def first_pass(rows, plan, seed, mixture):
    """Token ids and segment ids of one pass over the rows, or of a large part of it.

    They are counted also where training will not come that far.
    """
    of_step = plan.batch_size * plan.length
    one_pass = math.ceil(plan.rows / plan.batch_size)
    steps = min(one_pass, math.ceil(POSITIONS_COUNTED / of_step))
    batches = training_batches(rows, plan.batch_size, seed, 0, steps, mixture)
    inputs = [(x["token_ids"], x["padding_mask"]) for x, _, _ in batches.as_numpy_iterator()]
    return tuple(map(np.concatenate, zip(*inputs, strict=True)))


def start_embeddings(model, token_ids, segment_ids, words, seed):
    """Give a new model embeddings that know a text.

    Returns:
        The classes of its tokens, from `company_classes`.
    """
    print("  embeddings      from what stands near what in the text")
    variable = model.backbone.token_embedding.embeddings
    is_seen_often = np.count_nonzero(segment_ids) >= SEEN_OFTEN * variable.shape[0]
    start = OF_OFTEN_SEEN if is_seen_often else {"window": WINDOW, "std": STD}
    embeddings = cooccurrence_embeddings(
        token_ids, segment_ids, *variable.shape, seed=seed, **start
    )
    variable.assign(add_noise(embeddings, words, seed, start["std"]))
    counts = np.bincount(token_ids[segment_ids > 0], minlength=len(embeddings))
    return company_classes(embeddings, counts, seed)


def joined(features, classes):
    """The features of tokens and their classes, numbered on, in order."""
    classes = classes + [0, features[:, 1].max(initial=-1) + 1]
    pairs = np.concatenate([features, classes]).astype("int32")
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
