"""Answers from the command line and from Python."""

import tensorflow as tf

from keras_vngpt.faults import Faults
from keras_vngpt.generation.loading import load_decoder
from keras_vngpt.generation.saved_model import ExportedDecoder


def generate(
    path: str,
    prompts: list[str],
    max_new_tokens: int | None = None,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    seed: int = 0,
):
    """Answer prompts with a run folder, or with an export alone.

        python -m keras_vngpt.generate runs/default "Bật quạt phòng ngủ lên mức 2"
        python -m keras_vngpt.generate runs/default/export/1 "Tắt đèn" --temperature 0.8

    Args:
        path: run folder, preset folder, or exported SavedModel
        prompts: one or more requests
        max_new_tokens: longest answer; nothing for as long as the model's rows
        temperature: 0 takes the likeliest token, more than 0 draws
        top_k: draw from this many likeliest tokens; 0 for all
        top_p: draw from the likeliest tokens that together have this probability
        min_p: draw from tokens with at least this share of the likeliest one's probability
        repetition_penalty: above 1, a token used c times is r^c times less likely
        seed: of the draw; the same seed gives the same answer

    Returns:
        list of str, one answer a prompt.

    Raises:
        Faults: a path with nothing to load, a control out of its range.

    Example:
        >>> generate("runs/default", ["Bật quạt phòng ngủ lên mức 2"])
        ['Đã bật quạt phòng ngủ lên mức 2']
    """
    controls = dict(
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
    )
    check_controls(**controls)
    decoder = load_text_decoder(path)
    if isinstance(prompts, str):
        prompts = [prompts]
    answers = decoder.generate(tf.constant(list(prompts), tf.string), **controls)
    return [answer.decode(errors="replace") for answer in answers.numpy()]


def load_text_decoder(path):
    """`load_decoder`, for a decoder that takes texts."""
    decoder = load_decoder(path)
    if isinstance(decoder, ExportedDecoder) and not decoder.has_text:
        raise Faults(f"{path}: was exported with --text false and takes only token ids")
    return decoder


def check_controls(
    max_new_tokens=None, temperature=0.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0, seed=0
):  # fmt: skip
    """Every control that is out of its range, as `Faults`."""
    rules = {
        "max_new_tokens: must be at least 1": max_new_tokens is None or max_new_tokens >= 1,
        "temperature: must be 0 or more": temperature >= 0,
        "top_k: must be 0 or more": top_k >= 0,
        "top_p: must be above 0, at most 1": 0 < top_p <= 1,
        "min_p: must be from 0 to 1": 0 <= min_p <= 1,
        "repetition_penalty: must be above 0": repetition_penalty > 0,
        "seed: must fit in 32 bits": -(2**31) <= seed < 2**31,
    }
    if faults := [message for message, holds in rules.items() if not holds]:
        raise Faults(faults)
