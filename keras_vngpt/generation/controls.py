"""The controls of generation: names, ranges, defaults, and their tensors."""

import dataclasses
from typing import Annotated

import tensorflow as tf
from pydantic import Field

from keras_vngpt.config import resolve, settings
from keras_vngpt.errors import UserError

MOST_ANSWERS = 64  # beams, or answers to one prompt
MOST_STOP = 10_000  # characters of all stop strings: what RE2 takes in its memory


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


NUMBERS = {
    field.name: {int: tf.int32, float: tf.float32, bool: tf.bool}[type(field.default)]
    for field in dataclasses.fields(Controls)
    if isinstance(field.default, int | float)
}
OF_SEARCH = ("num_return_sequences", "num_beams", "length_penalty", "early_stopping")
PER_ROW = tuple(name for name in NUMBERS if name not in OF_SEARCH)

IDS = tf.TensorSpec([None, None], tf.int32)
TEXTS = tf.TensorSpec([None], tf.string)
NUMBER = tf.TensorSpec([], tf.int32)
ROWS = tf.TensorSpec([None], tf.int32)
# Token sequences padded on the left with -1, and the automaton of a constraint: see `processed`.
TABLES = {"bad_words": IDS, "constraint_tokens": IDS, "constraint_nodes": IDS}
SPECS = {name: tf.TensorSpec([], dtype) for name, dtype in NUMBERS.items()} | TABLES
# What steps take: each row has controls of its own.
STEP_SPECS = {
    **{name: tf.TensorSpec([None], NUMBERS[name]) for name in PER_ROW},
    "max_new_tokens": ROWS,
    "row": ROWS,
    **TABLES,
}


def as_tensors(given, decoder=None):
    """Controls as tensors, defaults filled in.

    Args:
        given: dictionary, names as in `Controls`.
        decoder: what turns texts into token ids, where there are some.

    Returns:
        `(controls, stop)`: a dictionary of tensors, all of `SPECS`, and a string tensor.

    Raises:
        ValueError: for a name that is no control.
    """
    known = [field.name for field in dataclasses.fields(Controls)]
    if unknown := set(given) - set(known):
        raise ValueError(
            f"The controls are {', '.join(known)}. Received: {', '.join(sorted(unknown))}"
        )
    values = dataclasses.asdict(Controls()) | given
    controls = {name: tf.constant(values[name], dtype) for name, dtype in NUMBERS.items()}
    nothing = tf.fill([1, 1], -1)
    tables = dict.fromkeys(TABLES, nothing)
    if values["bad_words"]:
        tables |= decoder.bad_words(tf.constant(values["bad_words"]))
    if values["choices"]:
        tables |= decoder.choices(tf.constant(values["choices"]))
    if values["regex"]:
        tables |= decoder.regex(values["regex"])
    stop = tf.constant(values["stop"], tf.string)
    if values["stop"]:
        # In the form that answers have: NFC, and tone marks where the model puts them. Only behind
        # something does a space at the beginning survive.
        stop = decoder.detokenize(decoder.answer_ids("\n" + stop))
        stop = tf.strings.substr(stop, 1, -1)
    return {**controls, **tables}, stop


def resolve_controls(max_new_tokens, controls):
    """The controls, complete and checked.

    Raises:
        UserError: every wrong name and value, and controls that exclude each other.
    """
    faults = []
    if max_new_tokens is not None and not 0 < max_new_tokens < 2**31:
        faults.append(f"max_new_tokens: must be 1 or more, in 32 bits. Received: {max_new_tokens}")
    try:
        controls = resolve(Controls, ("", controls))
    except UserError as fault:
        raise UserError(faults + fault.faults) from None
    beams, answers = controls["num_beams"], controls["num_return_sequences"]
    is_drawn = controls["temperature"] > 0
    if max_new_tokens is not None and controls["min_new_tokens"] > max_new_tokens:
        faults.append(
            f"min_new_tokens: at most max_new_tokens, {max_new_tokens}. "
            f"Received: {controls['min_new_tokens']}"
        )
    if beams > 1 and is_drawn:
        faults.append("num_beams: beams are not drawn: leave temperature at 0")
    if beams == 1 and answers > 1 and not is_drawn:
        faults.append("num_return_sequences: all would be alike: needs a temperature or num_beams")
    if 1 < beams < answers:
        faults.append(f"num_return_sequences: at most num_beams, {beams}. Received: {answers}")
    if (length := sum(map(len, controls["stop"]))) > MOST_STOP:
        faults.append(f"stop: at most {MOST_STOP:,} characters together. Received: {length:,}")
    if controls["choices"] and controls["regex"]:
        faults.append("regex: choices are given too; give one of them")
    if faults:
        raise UserError(faults)
    texts = [*controls["bad_words"], *controls["stop"], *controls["choices"], controls["regex"]]
    check_texts("bad_words, stop, choices, regex", texts)
    return controls


def check_texts(name, texts):
    """Refuse texts that are no Unicode, such as bytes from a terminal that are no UTF-8."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise UserError(f"{name}: not valid UTF-8") from None
