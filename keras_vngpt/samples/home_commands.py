"""Vietnamese smart-home requests and their answers, drawn from a grammar.

A meaning is a combination of device, room and action, with a value where the action takes one.
It can be asked for in many ways (polite, plain or casual) but is answered in exactly one, so a
model trained on the pairs can be measured by exact match. The split holds out whole combinations:
a test request names a device, a room and an action that training has shown only apart. Where the
value decides the answer (10 degrees are refused, 16 are set), training shows every value.

Run as a script to write ``home_train.jsonl`` and ``home_test.jsonl`` beside this module.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from keras_vngpt.samples.home_language import (
    ACTIONS,
    DEVICES,
    LIMITED,
    PREPOSITIONS,
    REGISTERS,
    ROOMS,
    Spellings,
)


@dataclass(frozen=True)
class Example:
    """One request with its answer; ``combination`` reads "device/room/action"."""

    request: str
    response: str
    combination: str


REFERENCE = Example(
    request="Bật quạt phòng ngủ lên mức 2",
    response="Đã bật quạt phòng ngủ lên mức 2",
    combination="quạt/phòng ngủ/bật mức",
)


class Combination(NamedTuple):
    """What a request is about, its value aside."""

    device: str
    room: str
    action: str

    @property
    def key(self) -> str:
        """The combination as it stands in an example."""
        return "/".join(self)


def combinations() -> list[Combination]:
    """Return every combination that the house allows."""
    return [
        Combination(name, room, action)
        for name, device in DEVICES.items()
        for room in device.rooms
        for action in device.actions
    ]


def _capitalized(text: str) -> str:
    return text[0].upper() + text[1:]


def _written(text: str, style: str) -> str:
    if style == "lower":
        return text.rstrip("?").replace(",", "")
    if style == "stop" and not text.endswith("?"):
        text += "."
    return _capitalized(text)


def _draw(combination: Combination, rng: Random, value: Spellings = ()) -> Example:
    device, room, _ = combination
    action = ACTIONS[combination.action]
    register = rng.choice(REGISTERS)
    core = rng.choice(action.cores + action.openers)

    if action.is_question:
        frames = register.questions
    else:
        frames = register.orders if action.values else register.orders + register.brief
    if core in action.openers:
        frames = tuple(frame for frame in frames if frame.text.startswith("{core}"))
    frame = rng.choice(frames)

    thing = place = f"{device} {room}"
    if " ở " not in core and rng.random() < 0.2:
        place = f"{device} {PREPOSITIONS[room]} {room}"
    spellings = value or (rng.choice(rng.choice(action.values)) if action.values else ("",))
    core = core.format(
        thing=place, value=rng.choice(spellings), help=frame.help and f" {frame.help}"
    )
    return Example(
        request=_written(frame.text.format(core=core), rng.choice(register.styles)),
        response=_capitalized(action.response.format(thing=thing, value=spellings[0])),
        combination=combination.key,
    )


def generate(seed: int = 0, phrasings: int = 10) -> list[Example]:
    """Return ``phrasings`` examples of every combination, with no request text twice.

    The draws of a combination depend on the seed and on that combination alone, save that a
    text already taken is drawn again.
    """
    examples = {REFERENCE.request: REFERENCE}
    for combination in combinations():
        rng = Random(f"{seed}/{combination.key}")
        missing = phrasings - (combination.key == REFERENCE.combination)
        for _ in range(100 * phrasings):
            if missing <= 0:
                break
            example = _draw(combination, rng)
            known = examples.setdefault(example.request, example)
            assert known.response == example.response, f"two answers: {known} and {example}"
            missing -= known is example
        else:
            raise ValueError(f"{combination.key} has fewer than {phrasings} phrasings")
    return list(examples.values())


def every_value(examples: Iterable[Example], seed: int = 0) -> list[Example]:
    """Return one example more for each value of each limited combination among ``examples``."""
    examples = {example.request: example for example in examples}
    more = {}
    for key in dict.fromkeys(example.combination for example in examples.values()):
        combination = Combination(*key.split("/"))
        if combination.action not in LIMITED:
            continue
        rng = Random(f"{seed}/{key}/values")
        for value in (value for pool in ACTIONS[combination.action].values for value in pool):
            example = _draw(combination, rng, value)
            while example.request in examples or example.request in more:
                example = _draw(combination, rng, value)
            more[example.request] = example
    return list(more.values())


def _rank(combination: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}/{combination}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _parts(combination: str) -> tuple[tuple[str, ...], ...]:
    device, room, action = combination.split("/")
    return ("device", device), ("room", room), ("action", action), ("ability", device, action)


def split(
    examples: Iterable[Example], test_share: float = 0.1, seed: int = 0
) -> tuple[list[Example], list[Example]]:
    """Split into training and test examples by combination, never by sentence.

    Every device, room and action of a test combination also occurs in training, and so does
    the device with that action (in another room): only so can a model know what it can do.
    """
    examples = list(examples)
    ranks = {example.combination: _rank(example.combination, seed) for example in examples}
    left = Counter(part for combination in ranks for part in _parts(combination))
    held_out = set()
    for combination in sorted(ranks, key=ranks.__getitem__):
        if ranks[combination] >= test_share:
            break
        parts = _parts(combination)
        if combination != REFERENCE.combination and all(left[part] > 1 for part in parts):
            left.subtract(parts)
            held_out.add(combination)
    return (
        [example for example in examples if example.combination not in held_out],
        [example for example in examples if example.combination in held_out],
    )


def shipped(seed: int = 0) -> tuple[list[Example], list[Example]]:
    """Return the training and the test examples that ship."""
    train, test = split(generate(seed), seed=seed)
    return train + every_value(train, seed), test


def _write_lines(path: Path, examples: list[Example]) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    lines = (json.dumps(asdict(example), ensure_ascii=False) + "\n" for example in examples)
    temporary.write_text("".join(lines), encoding="utf-8", newline="\n")
    temporary.replace(path)


def write(folder: str | Path, seed: int = 0) -> None:
    """Write ``home_train.jsonl``, in shuffled order, and ``home_test.jsonl`` into ``folder``."""
    train, test = shipped(seed)
    Random(seed).shuffle(train)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write_lines(folder / "home_train.jsonl", train)
    _write_lines(folder / "home_test.jsonl", test)


def main() -> None:
    """Write the two files beside this module and print what they hold."""
    folder = Path(__file__).resolve().parent
    write(folder)
    train, test = shipped()
    print(f"{len(DEVICES)} devices, {len(ROOMS)} rooms, {len(ACTIONS)} actions")
    print(f"{len(combinations())} combinations")
    print(f"{len(train)} training lines, {len(test)} test lines in {folder}")


if __name__ == "__main__":
    main()
