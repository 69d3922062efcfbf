"""What Vietnamese text itself tells a model about its tokens, beside the loss.

Three things, each measured in benchmarks/README.md: embeddings that start from which tokens stand
near each other, tokens that learn from those with the same syllable, and targets that are shared
with what followed the same two tokens elsewhere.
"""

import math
from dataclasses import dataclass

import numpy as np

from keras_vngpt.data.pipeline import training_batches, with_soft_share
from keras_vngpt.text.tokenizer import VnGPTTokenizer
from keras_vngpt.training.recipe.cooccurrence import start_embeddings
from keras_vngpt.training.recipe.ngrams import NGrams
from keras_vngpt.training.recipe.token_features import token_features

POSITIONS_COUNTED = 10_000_000  # at most, of the text
LAST_SOFT_SHARE = 0.2  # of the first, at the end
OFTEN = 3  # passes over a text from which on targets are not shared


@dataclass(frozen=True)
class Recipe:
    """What the training loop takes from it.

    Args:
        token_features: optional int array [pairs, 2] of a token and a feature that it shares.
        ngrams: optional `NGrams`.
        soft_share: float, the part of the targets that is shared at first.
    """

    token_features: np.ndarray | None = None
    ngrams: NGrams | None = None
    soft_share: float = 0.0

    def with_soft_share(self, batches, start, steps):
        """Batches that say which part of each target is shared, if any is."""
        if not self.ngrams:
            return batches
        last = self.soft_share * LAST_SOFT_SHARE
        return with_soft_share(batches, self.soft_share, last, start, steps)


def make_recipe(model, task, data, plan, settings, is_new):
    """Count the text of a new model; give it embeddings that know which tokens stand together.

    Args:
        model: a KerasHub `CausalLM`.
        task: `Task`.
        data: `TaskData`.
        plan: `Plan`.
        settings: `FitSettings`.
        is_new: bool, whether nothing was trained yet.

    Returns:
        `Recipe`; an empty one for a model with a tokenizer of another kind.
    """
    tokenizer = model.preprocessor.tokenizer
    if not isinstance(tokenizer, VnGPTTokenizer):
        return Recipe()
    features = token_features(tokenizer)
    kept = features if settings.model.token_features else None
    if not is_new:
        return Recipe(kept)
    share = getattr(settings, task.name).soft_targets
    if share is None:
        share = 1.0 if plan.passes < OFTEN else 0.0
    starts = settings.model.embeddings == "cooccurrence"
    text = _first_pass(data, plan, settings.seed) if share or starts else None
    if starts:
        print("  embeddings      from which tokens stand near each other in the text")
        start_embeddings(model, *text, words=features[:, 0], seed=settings.seed)
    if not share:
        return Recipe(kept)
    print(f"  targets         at first {share:.0%} of each is what followed elsewhere")
    return Recipe(kept, NGrams(*text, model.backbone.vocabulary_size), share)


def _first_pass(data, plan, seed):
    """Token ids and segment ids of one pass over the rows, or of a large part of it.

    They are counted also where training will not come that far.
    """
    one_pass = math.ceil(plan.rows / plan.batch_size)
    steps = min(one_pass, math.ceil(POSITIONS_COUNTED / (plan.batch_size * plan.length)))
    batches = training_batches(data.train, plan.batch_size, seed, 0, steps, data.mixture)
    inputs = [(x["token_ids"], x["padding_mask"]) for x, _, _ in batches.as_numpy_iterator()]
    return tuple(map(np.concatenate, zip(*inputs, strict=True)))
