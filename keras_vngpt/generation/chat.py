"""A conversation in the terminal."""

import json
import sys
from pathlib import Path
from shlex import quote

from keras_vngpt.errors import UserError
from keras_vngpt.generation.generate import load_text_generator, with_system
from keras_vngpt.generation.generation_config import check_texts, resolve_config

HELP = "An empty line or Ctrl-D ends the chat, /new begins a new conversation."


def chat(
    path: str,
    memory: bool = False,
    max_new_tokens: int | None = None,
    system: str = "",
    **config,
):
    """Talk to a run folder, or to an export alone, in the terminal.

        python -m keras_vngpt.chat runs/default
        python -m keras_vngpt.chat runs/default/export/1 --memory --temperature 0.7

    Args:
        path: run folder, preset folder, or exported SavedModel
        memory: show the model the earlier turns too, for models trained on conversations
        max_new_tokens: longest answer; nothing for as long as the model's rows
        system: text before the first request, for models trained with one (`augment` writes one)
        **config: temperature, top_p, stop, regex and more; see `GenerationConfig`.

    Raises:
        UserError: a path with nothing to load, a setting out of its range.
    """
    config = resolve_config(max_new_tokens, config)
    check_texts("system", [system])
    if config["num_beams"] > 1 or config["num_return_sequences"] > 1:
        raise UserError("num_beams, num_return_sequences: a chat has one answer, word by word")
    generator = load_text_generator(path)
    print(HELP)
    if (trained_with := _system_of(path)) and not system:
        print(f"Each request was trained with a text before it: --system {quote(trained_with)}")
    prompts, responses = [], []
    while True:
        try:
            prompt = input("\n> ").strip()
        except (EOFError, RuntimeError):  # its end, or no input at all
            prompt = ""
        except UnicodeDecodeError:
            raise UserError("prompt: not valid UTF-8") from None
        if not (sys.stdin and sys.stdin.isatty()):
            print(prompt)  # a transcript shows the questions too
        if not prompt:
            return
        if prompt == "/new" or not memory:
            prompts, responses = [], []
        if prompt == "/new":
            continue
        check_texts("prompt", [prompt])
        prompts.append(prompt if prompts else with_system(system, prompt))
        ids, answer = generator.conversation_ids(prompts, responses), ""
        for piece in generator.stream(ids, max_new_tokens, **config):
            answer += piece
            print(piece, end="", flush=True)
        print()
        responses.append(answer)


def _system_of(path):
    """The system text of all requests that a run was trained on, if there is one."""
    try:
        return json.loads(Path(path, "work", "prompts.json").read_text("utf-8"))["system"]
    except (OSError, ValueError, KeyError, TypeError):  # an export, a preset; only a hint
        return ""
