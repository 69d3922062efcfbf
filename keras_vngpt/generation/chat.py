"""A conversation in the terminal."""

import sys

from keras_vngpt.errors import UserError
from keras_vngpt.generation.generate import load_text_generator
from keras_vngpt.generation.generation_config import check_texts, resolve_config

HELP = "An empty line or Ctrl-D ends the chat, /new begins a new conversation."


def chat(
    path: str,
    memory: bool | None = None,
    max_new_tokens: int | None = None,
    system: str | None = None,
    refuse_below: float | None = None,
    **config,
):
    """Talk to a run folder, or to an export alone, in the terminal.

        python -m keras_vngpt.chat runs/default
        python -m keras_vngpt.chat runs/default/export/1 --memory false --temperature 0.7

    Args:
        path: run folder, preset folder, or exported SavedModel
        memory: show the model the earlier turns too; by default where it learned conversations
        max_new_tokens: longest answer; nothing for as long as the model's rows
        system: text before the first request, instead of the training's; "" for none
        refuse_below: certainty, from 0 to 1, that an answer must have; less certain ones are
            refused; by default as calibrated at the end of fit. With one an answer comes at once
        **config: temperature, top_p, stop, regex and more; see `GenerationConfig`.

    Raises:
        UserError: a path with nothing to load, a setting out of its range.
    """
    config = resolve_config(max_new_tokens, config)
    check_texts("system", [system or ""])
    if config["num_beams"] > 1 or config["num_return_sequences"] > 1:
        raise UserError("num_beams, num_return_sequences: a chat has one answer, word by word")
    generator = load_text_generator(path)
    learned = generator.turns - 1
    earlier = _earlier_turns(learned, memory)
    print(_what_it_sees(learned, earlier), HELP)
    if generator.system and system is None:
        print(f'Before the first request: {generator.system!r} (--system "" for nothing)')
    below = generator.refusal.below if refuse_below is None else refuse_below
    turns = []  # (prompt, answer)
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
        if prompt == "/new":
            turns = []
            continue
        check_texts("prompt", [prompt])
        turns = turns[max(0, len(turns) - earlier) :]
        prompts, responses = [*(p for p, _ in turns), prompt], [a for _, a in turns]
        if below:  # whether an answer is given is known at its end
            asked = [(prompts, responses)], max_new_tokens, system, below
            pieces = generator.answer_conversations(*asked, **config)
        else:
            ids = generator.conversation_ids(prompts, responses, system)
            pieces = generator.stream(ids, max_new_tokens, **config)
        answer = ""
        for piece in pieces:
            answer += piece
            print(piece, end="", flush=True)
        print()
        turns.append((prompt, answer))


def _earlier_turns(learned, memory):
    """How many turns the model is shown before the request; no more than it learned, if any."""
    if memory is None:
        return learned
    return (learned or sys.maxsize) if memory else 0


def _what_it_sees(learned, earlier):
    sees = f"{earlier} earlier turn{'s' * (earlier > 1)}" if earlier else "each request alone"
    if earlier == sys.maxsize:
        sees = "all earlier turns"
    return f"The model sees {sees}{', as it learned to' * (earlier == learned)}."
