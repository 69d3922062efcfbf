"""Vietnamese requests to a smart home as people type them, and their answers, drawn from a grammar.

The assistant does what is asked, asks back where a room or a device is missing, says what it
cannot do, and never claims an action that nobody asked for. A request can be phrased, ordered and
typed in many ways but is answered in exactly one, so a model trained on the pairs can be measured
by exact match. The split holds out whole combinations of device, room and action: a test request
names three that training has shown only apart. Where the value decides the answer (10 degrees are
refused, 16 are set), training shows every value.

Run as a script to write ``home_train.jsonl.gz`` and ``home_test.jsonl`` beside this module.
"""

import gzip
import hashlib
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

from keras_vngpt.samples.home_kinds import KINDS, MORE, REFERENCE, Example, command
from keras_vngpt.samples.home_language import ACTIONS, DEVICES, LIMITED, ROOMS
from keras_vngpt.samples.home_sentences import Combination, combinations

HERE = Path(__file__).resolve().parent
TIMES_REFUSED = 2
LEAST_DONE, LEAST_REFUSED = 48, 140  # commands of a device and an action, in however many rooms
LEAST_PLACED = 72  # commands of a device in a room, of however many actions


def _key(example: Example) -> tuple[str, ...]:
    return tuple(text.lower() for text in example.prompts)


def generate(seed: int = 0, phrasings: int = 12) -> list[Example]:
    """Return ``phrasings`` commands of every combination, twice as many where it is refused.

    A device that is left with an action in few rooms, or in a room with few actions, has more of
    them there. What is held out is typed with care: it tests what was understood, not how well
    slips are read.

    The draws of a combination depend on the seed and on that combination alone, save that a
    text already taken is drawn again.
    """
    examples = {_key(REFERENCE): REFERENCE}
    held_out = held_out_combinations(seed)
    trained = [combination for combination in combinations() if combination not in held_out]
    shown = Counter((c.device, c.action) for c in trained)
    placed = Counter((c.device, c.room) for c in trained)
    for combination in combinations():
        rng = Random(f"{seed}/{combination.key}")
        is_refused = combination.action.startswith(("không", "quá"))
        missing = phrasings * (1 + is_refused)
        if combination not in held_out:
            least = LEAST_REFUSED if is_refused else LEAST_DONE
            least = math.ceil(least / shown[combination.device, combination.action])
            there = math.ceil(LEAST_PLACED / placed[combination.device, combination.room])
            missing = max(missing, least, there) - (combination.key == REFERENCE.combination)
        while missing > 0:
            example = command(combination, rng, careful=combination in held_out)
            missing -= examples.setdefault(_key(example), example) is example
    return list(examples.values())


def every_value(examples: Iterable[Example], seed: int = 0) -> list[Example]:
    """Return more examples for each value of each limited combination among ``examples``.

    A value that is refused is shown several times: in a room where it is never shown, a model would
    else rather do with it what is done with all the others.
    """
    known = {_key(example) for example in examples}
    more = {}
    for key in dict.fromkeys(example.combination for example in examples):
        combination = Combination(*key.split("/"))
        if combination.action not in LIMITED:
            continue
        rng = Random(f"{seed}/{key}/values")
        times = TIMES_REFUSED if combination.action.startswith("quá") else 1
        for value in (v for pool in ACTIONS[combination.action].values for v in pool * times):
            example = command(combination, rng, value)
            while _key(example) in known or _key(example) in more:
                example = command(combination, rng, value)
            more[_key(example)] = example
    return list(more.values())


def other_kinds(
    allowed: list[Combination], known: Iterable[Example], seed: int = 0
) -> list[Example]:
    """Return what is no plain command: asked back, declined, two at once, turns, talk."""
    answers = {_key(example): example.response for example in known}
    more = []
    for kind, n in MORE.items():
        rng = Random(f"{seed}/{kind}")
        made = 0
        for _ in range(20 * n):
            if made == n:
                break
            example = KINDS[kind](rng, allowed)
            if _key(example) not in answers:
                answers[_key(example)] = example.response
                more.append(example)
                made += 1
    return more


def _rank(combination: Combination, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}/{combination.key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _parts(combination: Combination) -> tuple[tuple[str, ...], ...]:
    device, room, action = combination
    return ("device", device), ("room", room), ("action", action), ("ability", device, action)


def held_out_combinations(seed: int = 0, share: float = 0.1) -> set[Combination]:
    """Return the combinations to test on; no sentence of them is trained on.

    Every device, room and action of them also occurs in training, and so does the device with
    that action (in another room): only so can a model know what it can do.
    """
    ranks = {combination: _rank(combination, seed) for combination in combinations()}
    left = Counter(part for combination in ranks for part in _parts(combination))
    held_out = set()
    for combination in sorted(ranks, key=ranks.__getitem__):
        if ranks[combination] >= share:
            break
        parts = _parts(combination)
        if combination.key != REFERENCE.combination and all(left[part] > 1 for part in parts):
            left.subtract(parts)
            held_out.add(combination)
    return held_out


def shipped(seed: int = 0) -> tuple[list[Example], list[Example]]:
    """Return the training and the test examples that ship."""
    held_out = held_out_combinations(seed)
    keys = {combination.key for combination in held_out}
    examples = generate(seed)
    train = [example for example in examples if example.combination not in keys]
    test = [example for example in examples if example.combination in keys]
    train += every_value(train, seed)
    allowed = [combination for combination in combinations() if combination not in held_out]
    return train + other_kinds(allowed, examples, seed), test


def _write_lines(path: Path, examples: list[Example]) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    lines = "".join(example.line() for example in examples).encode()
    is_packed = path.suffix == ".gz"  # without a time: the same lines make the same file
    temporary.write_bytes(gzip.compress(lines, mtime=0) if is_packed else lines)
    temporary.replace(path)


def write(folder: str | Path, seed: int = 0) -> None:
    """Write ``home_train.jsonl.gz``, in shuffled order, and ``home_test.jsonl`` into ``folder``."""
    train, test = shipped(seed)
    Random(seed).shuffle(train)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write_lines(folder / "home_train.jsonl.gz", train)
    _write_lines(folder / "home_test.jsonl", test)


def main() -> None:
    """Write the two files beside this module and print what they hold."""
    write(HERE)
    train, test = shipped()
    print(f"{len(DEVICES)} devices, {len(ROOMS)} rooms, {len(ACTIONS)} actions")
    print(f"{len(combinations())} combinations")
    print(f"{len(train)} training lines, {len(test)} test lines in {HERE}")


if __name__ == "__main__":
    main()
