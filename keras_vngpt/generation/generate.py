"""Answers from the command line and from Python."""

import sys

import tensorflow as tf

from keras_vngpt.errors import UserError
from keras_vngpt.generation.controls import check_texts, resolve_controls
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
        python -m keras_vngpt.generate runs/default "Tắt đèn" --choices "Đã tắt" "Không thể"

    Args:
        path: run folder, preset folder, or exported SavedModel
        prompts: one or more requests
        max_new_tokens: longest answer; nothing for as long as the model's rows
        system: text before each request, for models trained with one (`augment` writes one)
        **controls: temperature, top_p, stop, choices, num_beams and more; see `Controls`.

    Returns:
        list of str, `num_return_sequences` answers a prompt.

    Raises:
        UserError: a path with nothing to load, a control out of its range.

    Example:
        >>> generate("runs/default", ["Bật quạt phòng ngủ lên mức 2"])
        ['Đã bật quạt phòng ngủ lên mức 2']
    """
    controls = resolve_controls(max_new_tokens, controls)
    decoder = load_text_decoder(path)
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    check_texts("prompts", [system, *prompts])
    prompts = [with_system(system, prompt) for prompt in prompts]
    answers = decoder.generate(tf.constant(prompts, tf.string), max_new_tokens, **controls)
    return [answer.decode(errors="replace") for answer in answers.numpy()]


def with_system(system, prompt):
    """The first request of a conversation as training has it: after the system text, if any."""
    return f"{system}\n{prompt}" if system else prompt


def load_text_decoder(path):
    """`load_decoder`, for a decoder that takes texts."""
    if sys.stderr.isatty():
        print("Loading", path, "...", file=sys.stderr)
    decoder = load_decoder(path)
    if isinstance(decoder, ExportedDecoder) and not decoder.has_text:
        raise UserError(f"{path}: was exported with --text false and takes only token ids")
    return decoder
