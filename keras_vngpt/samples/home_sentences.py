"""A command to a smart home as a sentence of somebody, and its one answer."""

import re
from pathlib import Path
from random import Random
from typing import NamedTuple

import yaml

from keras_vngpt.samples.home_language import (
    ACTIONS,
    DEVICE_NAMES,
    DEVICES,
    IN,
    ROOM_NAMES,
    ROOMS,
    Spellings,
)
from keras_vngpt.samples.typing_noise import typed

HERE = Path(__file__).resolve().parent
TALK = yaml.safe_load((HERE / "home_talk.yaml").read_text("utf-8"))


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


def one_of(text: str, rng: Random, **parts: str) -> str:
    """One of the texts that a pattern with (a|b|) stands for, its {parts} filled in."""
    before = None
    while text != before:
        before = text
        text = re.sub(r"(?<!\\)\(([^()]*)\)", lambda m: rng.choice(m[1].split("|")), text)
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    text = re.sub(r"\{(\w+)\}", lambda m: one_of(entry_of(TALK["slots"][m[1]], rng), rng), text)
    return re.sub(r" +([,.?!])", r"\1", " ".join(text.replace("\\", "").split()))


def entry_of(listed: str, rng: Random) -> str:
    """An entry of a list that is written "a / b / c"."""
    return rng.choice(listed.split(" / ")).strip()


def capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def named(names: dict[str, Spellings], name: str, rng: Random, share: float = 0.4) -> str:
    return rng.choice(names[name]) if rng.random() < share else name


def device_name(name: str, rng: Random) -> str:
    classifier = rng.choice(("cái ", "con ", "cái ", "chiếc ")) if rng.random() < 0.2 else ""
    return classifier + named(DEVICE_NAMES, name, rng)


def help_words(rng: Random) -> str:
    return f" {entry_of(TALK['help'], rng)}" if rng.random() < 0.15 else ""


def any_value(action: str, rng: Random) -> Spellings:
    values = ACTIONS[action].values
    return rng.choice(rng.choice(values)) if values else ("",)


def core_of(
    combination: Combination, rng: Random, value: Spellings, room: str | None = None
) -> str:
    """What is asked, without a frame: "bật cái đèn ở phòng khách"; ``room`` "" names none."""
    action, device = ACTIONS[combination.action], combination.device
    cores = action.cores
    values = [
        name for name in DEVICES[device].actions if name in ("chỉnh âm lượng", "chỉnh độ sáng")
    ]
    if action.terse and len(values) < 2 and rng.random() < 0.25:
        cores = action.terse
    core, thing = rng.choice(cores), device_name(device, rng)
    if room is None:
        room = named(ROOM_NAMES, combination.room, rng)
        join = f" {rng.choice(IN)} " if rng.random() < 0.3 else " "
        place = rng.random()
        if place < 0.04:
            state = one_of(TALK["states"], rng)
            core = (
                f"{rng.choice(IN)} {room} {state}, {core}"
                if place < 0.03
                else f"{core}, {room} {state}"
            )
        elif place < 0.12:
            core = f"{rng.choice(('', '', 'ở ', 'trong ', 'bên '))}{room} (thì|,|có|) {core}"
        elif place < 0.24:
            core = f"{core} {rng.choice(IN)} {room}"
        else:
            thing += join + room
    elif room:
        thing += f" {room}"
    spelled = value[0] if rng.random() < 0.3 else rng.choice(value)
    return one_of(core, rng, thing=thing, value=spelled, help=help_words(rng))


def framed(core: str, rng: Random, is_question: bool = False) -> str:
    """A core as a sentence of somebody, perhaps with an address and a reason."""
    frame = rng.choice(TALK["questions" if is_question else "orders"])
    if rng.random() < 0.25:
        frame = "{core}"
    text = one_of(frame, rng, core=core, help=entry_of(TALK["help"], rng))
    return surrounded(text, rng)


def surrounded(text: str, rng: Random) -> str:
    """A sentence with what people say before and after it."""
    draw = rng.random()
    if draw < 0.30:
        why = reason(rng)
        comma = rng.choice((", ", ", ", " ", " nên ", ". "))
        text = why + comma + text if rng.random() < 0.5 else text + rng.choice((", ", " ")) + why
    if rng.random() < 0.25:
        text = one_of(entry_of(TALK["addresses"], rng), rng) + rng.choice((", ", " ", " ")) + text
    return text


def reason(rng: Random) -> str:
    if rng.random() < 0.15:  # any words at all
        return snippet(rng)
    return one_of(entry_of(TALK["reasons"], rng), rng)


def _snippets() -> list[str]:
    """Clauses of the prose that ships, without the words that commands are made of."""
    names = {
        *DEVICE_NAMES,
        *ROOMS,
        *"bếp sân hầm tắt bật mở đóng khóa không chưa đừng thôi".split(),
    }
    names |= set("khỏi chẳng sau giờ lúc sáng trưa chiều tối đêm phút tiếng hết".split())
    text = " ".join(path.read_text("utf-8") for path in sorted((HERE / "prose").glob("*.txt")))
    clauses = re.split(r"[.,:;!?…\n\"“”]+", text)
    return [
        clause
        for clause in dict.fromkeys(c.strip() for c in clauses)
        if 3 <= len(clause.split()) <= 9
        and not any(re.search(rf"(?<!\w){name}(?!\w)", clause.lower()) for name in names)
    ]


SNIPPETS = _snippets()


def snippet(rng: Random) -> str:
    return rng.choice(SNIPPETS)


def sentence(text: str, rng: Random, careful: bool = False) -> str:
    return typed(capitalized(text), rng, careful)


def answer_to(combination: Combination, value: Spellings, thing: str = "") -> str:
    thing = thing or f"{combination.device} {combination.room}"
    response = ACTIONS[combination.action].response
    return capitalized(response.format(thing=thing, value=value[0]))


def plan_of(combination: Combination, value: Spellings, thing: str) -> str:
    """What would be done: "bật đèn phòng khách"."""
    response = ACTIONS[combination.action].response.format(thing=thing, value=value[0])
    return re.sub(r"^(Đã|Sẽ|Để) ", "", response)
