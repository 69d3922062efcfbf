"""The controls of generation: names, ranges, defaults, and their tensors."""

import dataclasses
from typing import Annotated

import tensorflow as tf
from pydantic import Field

from keras_vngpt.arguments import settings


@settings
class Controls:
    """The default of each control changes nothing; all together are greedy decoding."""

    min_new_tokens: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """the answer does not end before it has this many tokens"""
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """0 takes the likeliest token, more than 0 draws"""
    top_k: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """draw from this many likeliest tokens; 0 for all"""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """draw from the likeliest tokens that together have this probability"""
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    """draw from tokens with at least this share of the likeliest one's probability"""
    repetition_penalty: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """above 1, a token that was used c times is r^c times less likely"""
    presence_penalty: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """taken from the logit of each token that the answer has already"""
    frequency_penalty: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """taken from the logit of a token as often as the answer has it already"""
    no_repeat_ngram_size: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """no run of this many tokens comes twice, the prompt counted; 0 allows all"""
    seed: Annotated[int, Field(ge=-(2**31), lt=2**31)] = 0
    """of the draw; the same seed gives the same answer"""


NAMES = tuple(field.name for field in dataclasses.fields(Controls))
SPECS = {
    field.name: tf.TensorSpec([], tf.int32 if isinstance(field.default, int) else tf.float32)
    for field in dataclasses.fields(Controls)
}


def as_tensors(given):
    """Controls as scalar tensors, defaults filled in.

    Args:
        given: dictionary of numbers.

    Returns:
        dictionary of scalar tensors, all of `NAMES`.

    Raises:
        ValueError: for a name that is no control.
    """
    if unknown := set(given) - set(NAMES):
        raise ValueError(
            f"The controls are {', '.join(NAMES)}. Received: {', '.join(sorted(unknown))}"
        )
    values = dataclasses.asdict(Controls()) | given
    return {name: tf.constant(values[name], spec.dtype) for name, spec in SPECS.items()}
