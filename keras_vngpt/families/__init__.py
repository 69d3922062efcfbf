"""The kinds of models that everything else works with, one file each."""

from keras_vngpt.families.keras_hub import KerasHub
from keras_vngpt.families.vngpt import VnGPT

# The first one that knows a model has it: KerasHub's knows all, and stands last.
FAMILIES = {family.name: family for family in (VnGPT(), KerasHub())}


def family_of(model):
    """The family that a model is of.

    Args:
        model: a `keras_hub.models.CausalLM`.

    Returns:
        `ModelFamily`.
    """
    return next(family for family in FAMILIES.values() if family.matches_model(model))


def family_of_preset(folder):
    """The family of the model in a preset folder.

    Args:
        folder: Path of a KerasHub preset.

    Returns:
        `ModelFamily`.

    Raises:
        UserError: it holds no model.
    """
    return next(family for family in FAMILIES.values() if family.matches_preset(folder))
