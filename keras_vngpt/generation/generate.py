"""Answers from the command line and from Python."""

import tensorflow as tf

from keras_vngpt.arguments import resolve
from keras_vngpt.faults import Faults
from keras_vngpt.generation.controls import Controls
from keras_vngpt.generation.loading import load_decoder
from keras_vngpt.generation.saved_model import ExportedDecoder


def generate(
    path: str,
    prompts: list[str],
    max_new_tokens: int | None = None,
    system: str = "",
    **controls,
):
    """Answer prompts with a run folder, or with an export alone.

        python -m keras_vngpt.generate runs/default "Bật quạt phòng ngủ lên mức 2"
        python -m keras_vngpt.generate runs/default/export/1 "Tắt đèn" --temperature 0.8

    Args:
        path: run folder, preset folder, or exported SavedModel
        prompts: one or more requests
        max_new_tokens: longest answer; nothing for as long as the model's rows
        system: text before each request, for models trained with one (`augment` writes one)
        **controls: temperature, top_k, top_p, min_p, repetition_penalty, seed; see `Controls`.

    Returns:
        list of str, one answer a prompt.

    Raises:
        Faults: a path with nothing to load, a control out of its range.

    Example:
        >>> generate("runs/default", ["Bật quạt phòng ngủ lên mức 2"])
        ['Đã bật quạt phòng ngủ lên mức 2']
    """
    controls = resolve_controls(max_new_tokens, controls)
    decoder = load_text_decoder(path)
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    check_texts([system, *prompts])
    prompts = [with_system(system, prompt) for prompt in prompts]
    answers = decoder.generate(tf.constant(prompts, tf.string), max_new_tokens, **controls)
    return [answer.decode(errors="replace") for answer in answers.numpy()]


def resolve_controls(max_new_tokens, controls):
    """The controls, complete and checked."""
    if max_new_tokens is not None and not 0 < max_new_tokens < 2**31:
        raise Faults(f"max_new_tokens: must be 1 or more, in 32 bits. Received: {max_new_tokens}")
    return resolve(Controls, ("", controls))


def with_system(system, prompt):
    """The first request of a conversation as training has it: after the system text, if any."""
    return f"{system}\n{prompt}" if system else prompt


def check_texts(texts):
    """Texts that are no Unicode, as a terminal hands on bytes that are no UTF-8, are `Faults`."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise Faults("prompts: not valid UTF-8") from None


def load_text_decoder(path):
    """`load_decoder`, for a decoder that takes texts."""
    decoder = load_decoder(path)
    if isinstance(decoder, ExportedDecoder) and not decoder.has_text:
        raise Faults(f"{path}: was exported with --text false and takes only token ids")
    return decoder
