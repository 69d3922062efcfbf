"""A conversation in the terminal."""

import json
import sys
from pathlib import Path
from shlex import quote

from keras_vngpt.errors import UserError
from keras_vngpt.generation.controls import check_texts, resolve_controls
from keras_vngpt.generation.conversation import conversation_ids
from keras_vngpt.generation.generate import load_text_decoder, with_system

HELP = "An empty line or Ctrl-D ends the chat, /new begins a new conversation."


def chat(
    path: str,
    memory: bool = False,
    max_new_tokens: int | None = None,
    system: str = "",
    **controls,
):
    """Talk to a run folder, or to an export alone, in the terminal.

        python -m keras_vngpt.chat runs/default
        python -m keras_vngpt.chat runs/default/export/1 --memory --temperature 0.7

    Args:
        path: run folder, preset folder, or exported SavedModel
        memory: show the model the earlier turns too, for models trained on conversations
        max_new_tokens: longest answer; nothing for as long as the model's rows
        system: text before the first request, for models trained with one (`augment` writes one)
        **controls: temperature, top_p, stop, regex and more; see `Controls`.

    Raises:
        UserError: a path with nothing to load, a control out of its range.
    """
    controls = resolve_controls(max_new_tokens, controls)
    check_texts("system", [system])
    if controls["num_beams"] > 1 or controls["num_return_sequences"] > 1:
        raise UserError("num_beams, num_return_sequences: a chat has one answer, word by word")
    decoder = load_text_decoder(path)
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
        ids, answer = conversation_ids(decoder, prompts, responses), ""
        for piece in decoder.stream(ids, max_new_tokens, **controls):
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
