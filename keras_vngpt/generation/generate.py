"""Answers from the command line and from Python."""

import sys

from keras_vngpt.console import import_tensorflow
from keras_vngpt.errors import UserError
from keras_vngpt.generation.generation_config import check_texts, resolve_config


def generate(
    path: str,
    prompts: list[str],
    max_new_tokens: int | None = None,
    system: str | None = None,
    refuse_below: float | None = None,
    **config,
):
    """Answer prompts with a run folder, or with an export alone.

        python -m keras_vngpt.generate runs/default "Bật quạt phòng ngủ lên mức 2"
        python -m keras_vngpt.generate runs/default/export/1 "Tắt đèn" --temperature 0.8
        python -m keras_vngpt.generate runs/default "Tắt đèn" --choices "Đã tắt" "Không thể"

    Args:
        path: run folder, preset folder, or exported SavedModel
        prompts: one or more requests
        max_new_tokens: longest answer; nothing for as long as the model's rows
        system: text before each request, instead of the training's; "" for none
        refuse_below: certainty, from 0 to 1, that an answer must have; less certain ones are
            refused; by default as calibrated at the end of fit
        **config: temperature, top_p, stop, choices and more; see `GenerationConfig`.

    Returns:
        list of str, `num_return_sequences` answers a prompt.

    Raises:
        UserError: a path with nothing to load, a setting out of its range.

    Example:
        >>> generate("runs/default", ["Bật quạt phòng ngủ lên mức 2"])
        ['Đã bật quạt phòng ngủ lên mức 2']
    """
    config = resolve_config(max_new_tokens, config)
    generator = load_text_generator(path)
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    check_texts("prompts", [system or "", *prompts])
    answers = generator.generate(
        prompts, max_new_tokens, system=system, refuse_below=refuse_below, **config
    )
    return [answer.decode(errors="replace") for answer in answers.numpy()]


def load_text_generator(path):
    """`load_generator`, for one that takes texts; imports TensorFlow, which takes seconds."""
    if sys.stderr.isatty():
        print("Loading", path, "...", file=sys.stderr)
    import_tensorflow()
    from keras_vngpt.generation.loading import load_generator

    generator = load_generator(path)
    if not generator.has_text:
        raise UserError(f"{path}: was exported with --text false and takes only token ids")
    return generator
