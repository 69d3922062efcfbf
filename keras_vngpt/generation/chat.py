"""A conversation in the terminal."""

import sys

from keras_vngpt.generation.conversation import answer_conversations
from keras_vngpt.generation.generate import (
    check_texts,
    load_text_decoder,
    resolve_controls,
    with_system,
)

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
        **controls: temperature, top_k, top_p, min_p, repetition_penalty, seed; see `Controls`.

    Raises:
        Faults: a path with nothing to load, a control out of its range.
    """
    controls = resolve_controls(max_new_tokens, controls)
    check_texts([system])
    decoder = load_text_decoder(path)
    print(HELP)
    prompts, responses = [], []
    while True:
        try:
            prompt = input("\n> ").strip()
        except EOFError:
            prompt = ""
        if not sys.stdin.isatty():
            print(prompt)  # a transcript shows the questions too
        if not prompt:
            return
        if prompt == "/new" or not memory:
            prompts, responses = [], []
        if prompt == "/new":
            continue
        check_texts([prompt])
        prompts.append(prompt if prompts else with_system(system, prompt))
        turns = [(prompts, responses)]
        (answer,) = answer_conversations(decoder, turns, max_new_tokens, **controls)
        responses.append(answer)
        print(answer)
