"""What a new model is told of its text before the first step: counted in one pass, in seconds."""

import math

import numpy as np

from keras_vngpt.data.pipeline import training_batches
from keras_vngpt.training.recipe.cooccurrence import start_embeddings
from keras_vngpt.training.recipe.ngrams import NGrams
from keras_vngpt.training.recipe.token_features import token_features

POSITIONS_COUNTED = 10_000_000  # at most, of the text


def count(stage, settings, model, rows, plan, mixture):
    """Start the embeddings of a new model from its text; count n-grams for its targets.

    Args:
        stage: "pretrain" or "finetune".
        settings: `Settings`.
        model: a new `VnGPTCausalLM`.
        rows: `Rows` to train on.
        plan: `Plan`.
        mixture: `Mixture` of the rows.

    Returns:
        `(features, ngrams)`: from `token_features`; `NGrams`, or `None` without soft targets.
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
        print("  embeddings      from what stands near what in the text")
        start_embeddings(model, *text, words=features[:, 0], seed=settings.seed)
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
