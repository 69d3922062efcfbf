"""The settings of generation: names, ranges, defaults; no TensorFlow, for `--help` is quick."""

import dataclasses
from typing import Annotated

from pydantic import Field

from keras_vngpt.config import resolve, settings
from keras_vngpt.errors import UserError

WEIGHTS = ("float32", "bfloat16", "float16", "int8")  # how a generator can keep its matrices
MOST_ANSWERS = 64  # beams, or answers to one prompt
MOST_STOP = 10_000  # characters of all stop strings: what RE2 takes in its memory


@settings
class GenerationConfig:
    """The default of each setting changes nothing; all together are greedy decoding."""

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
    repetition_penalty: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] = 1.0
    """above 1, a token that was used c times is r^c times less likely"""
    presence_penalty: Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)] = 0.0
    """taken from the logit of each token that the answer has already"""
    frequency_penalty: Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)] = 0.0
    """taken from the logit of a token as often as the answer has it already"""
    no_repeat_ngram_size: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """no run of this many tokens comes twice, the prompt counted; 0 allows all"""
    seed: Annotated[int, Field(ge=-(2**31), lt=2**31)] = 0
    """of the draw; the same seed gives the same answer"""
    num_return_sequences: Annotated[int, Field(ge=1, le=MOST_ANSWERS)] = 1
    """answers to each prompt: drawn one by one, or the best of a beam search"""
    num_beams: Annotated[int, Field(ge=1, le=MOST_ANSWERS)] = 1
    """more than 1 looks for the likeliest whole answer, from this many beginnings at once"""
    length_penalty: Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)] = 1.0
    """beams are compared by log-probability over length to this power: above 0, longer answers"""
    early_stopping: bool = False
    """end a beam search with as many answers as beams, though a better one might come"""
    bad_words: list[str] = dataclasses.field(default_factory=list)
    """texts that must not come, in the tokens that the tokenizer writes them with"""
    stop: list[str] = dataclasses.field(default_factory=list)
    """texts before which the answer ends"""
    choices: list[str] = dataclasses.field(default_factory=list)
    """the answer is one of these"""
    regex: str = ""
    """the answer as a whole matches this regular expression"""


def complete(given):
    """Settings by name, as a dictionary with all of them.

    Raises:
        ValueError: for a name that is no setting.
    """
    defaults = dataclasses.asdict(GenerationConfig())
    if unknown := set(given) - set(defaults):
        raise ValueError(
            f"The settings are {', '.join(defaults)}. Received: {', '.join(sorted(unknown))}"
        )
    return defaults | given


def resolve_config(max_new_tokens, config):
    """Settings that a user gave, complete and checked.

    Raises:
        UserError: every wrong name and value, and settings that exclude each other.
    """
    faults = []
    if max_new_tokens is not None and not 0 < max_new_tokens < 2**31:
        faults.append(f"max_new_tokens: must be 1 or more, in 32 bits. Received: {max_new_tokens}")
    try:
        config = resolve(GenerationConfig, ("", config))
    except UserError as fault:
        raise UserError(faults + fault.faults) from None
    beams, answers = config["num_beams"], config["num_return_sequences"]
    is_drawn = config["temperature"] > 0
    if max_new_tokens is not None and config["min_new_tokens"] > max_new_tokens:
        faults.append(
            f"min_new_tokens: at most max_new_tokens, {max_new_tokens}. "
            f"Received: {config['min_new_tokens']}"
        )
    if beams > 1 and is_drawn:
        faults.append("num_beams: beams are not drawn: leave temperature at 0")
    if beams == 1 and answers > 1 and not is_drawn:
        faults.append("num_return_sequences: all would be alike: needs a temperature or num_beams")
    if 1 < beams < answers:
        faults.append(f"num_return_sequences: at most num_beams, {beams}. Received: {answers}")
    if (length := sum(map(len, config["stop"]))) > MOST_STOP:
        faults.append(f"stop: at most {MOST_STOP:,} characters together. Received: {length:,}")
    if config["choices"] and config["regex"]:
        faults.append("regex: choices are given too; give one of them")
    if faults:
        raise UserError(faults)
    texts = [*config["bad_words"], *config["stop"], *config["choices"], config["regex"]]
    check_texts("bad_words, stop, choices, regex", texts)
    return config


def check_texts(name, texts):
    """Refuse texts that are no Unicode, such as bytes from a terminal that are no UTF-8."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise UserError(f"{name}: not valid UTF-8") from None
