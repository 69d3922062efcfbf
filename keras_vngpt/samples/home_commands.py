"""Vietnamese requests to a smart home as people type them, and their answers, drawn from a grammar.

The assistant does what is asked, asks back where a room or a device is missing, says what it
cannot do, and never claims an action that nobody asked for. A request can be phrased, ordered and
typed in many ways but is answered in exactly one, so a model trained on the pairs can be measured
by exact match. The split holds out whole combinations of device, room and action: a test request
names three that training has shown only apart. Where the value decides the answer (10 degrees are
refused, 16 are set), training shows every value.

Run as a script to write ``home_train.jsonl`` and ``home_test.jsonl`` beside this module.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

import yaml

from keras_vngpt.samples.home_language import (
    ACTIONS,
    DEVICE_NAMES,
    DEVICES,
    DONE,
    IN,
    LIMITED,
    ROOM_NAMES,
    ROOMS,
    Spellings,
)
from keras_vngpt.samples.typing_noise import typed

HERE = Path(__file__).resolve().parent
TALK = yaml.safe_load((HERE / "home_talk.yaml").read_text("utf-8"))
TIMES_REFUSED = 2
LEAST_DONE, LEAST_REFUSED = 48, 140  # commands of a device and an action, in however many rooms
LEAST_PLACED = 72  # commands of a device in a room, of however many actions
# How many examples of each kind there are beside the plain commands.
MORE = {
    "every device": 800,
    "two actions": 1800,
    "no room": 2000,
    "no device": 250,
    "taken back": 1600,
    "not there": 900,
    "unlisted device": 900,
    "unknown ability": 700,
    "talk": 1300,
    "another world": 2000,
    "turns": 2000,
}


@dataclass(frozen=True)
class Example:
    """A conversation, the last answer of which counts.

    ``combination`` reads "device/room/action", or names another kind of request.
    """

    turns: tuple[tuple[str, str], ...]
    combination: str

    @property
    def request(self) -> str:
        """What is asked last."""
        return self.turns[-1][0]

    @property
    def response(self) -> str:
        """The last answer."""
        return self.turns[-1][1]

    @property
    def prompts(self) -> tuple[str, ...]:
        """All that the answer depends on."""
        return tuple(text for turn in self.turns for text in turn)[:-1]

    def line(self) -> str:
        """The example as a line of JSON."""
        if len(self.turns) == 1:
            record = {"request": self.request, "response": self.response}
        else:
            roles = "user", "assistant"
            record = {
                "messages": [
                    {"role": role, "content": text}
                    for turn in self.turns
                    for role, text in zip(roles, turn, strict=True)
                ]
            }
        return json.dumps({**record, "combination": self.combination}, ensure_ascii=False) + "\n"


REFERENCE = Example(
    turns=(("Bật quạt phòng ngủ lên mức 2", "Đã bật quạt phòng ngủ lên mức 2"),),
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


# Words.


def _some(text: str, rng: Random, **parts: str) -> str:
    """One of the texts that a pattern with (a|b|) stands for, its {parts} filled in."""
    before = None
    while text != before:
        before = text
        text = re.sub(r"(?<!\\)\(([^()]*)\)", lambda m: rng.choice(m[1].split("|")), text)
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    text = re.sub(r"\{(\w+)\}", lambda m: _some(_one(TALK["slots"][m[1]], rng), rng), text)
    return re.sub(r" +([,.?!])", r"\1", " ".join(text.replace("\\", "").split()))


def _one(listed: str, rng: Random) -> str:
    """An entry of a list that is written "a / b / c"."""
    return rng.choice(listed.split(" / ")).strip()


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _named(names: dict[str, Spellings], name: str, rng: Random, share: float = 0.4) -> str:
    return rng.choice(names[name]) if rng.random() < share else name


def _device(name: str, rng: Random) -> str:
    classifier = rng.choice(("cái ", "con ", "cái ", "chiếc ")) if rng.random() < 0.2 else ""
    return classifier + _named(DEVICE_NAMES, name, rng)


def _help(rng: Random) -> str:
    return f" {_one(TALK['help'], rng)}" if rng.random() < 0.15 else ""


def _value(action: str, rng: Random) -> Spellings:
    values = ACTIONS[action].values
    return rng.choice(rng.choice(values)) if values else ("",)


def _core(combination: Combination, rng: Random, value: Spellings, room: str | None = None) -> str:
    """What is asked, without a frame: "bật cái đèn ở phòng khách"; ``room`` "" names none."""
    action, device = ACTIONS[combination.action], combination.device
    cores = action.cores
    values = [
        name for name in DEVICES[device].actions if name in ("chỉnh âm lượng", "chỉnh độ sáng")
    ]
    if action.terse and len(values) < 2 and rng.random() < 0.25:
        cores = action.terse
    core, thing = rng.choice(cores), _device(device, rng)
    if room is None:
        room = _named(ROOM_NAMES, combination.room, rng)
        join = f" {rng.choice(IN)} " if rng.random() < 0.3 else " "
        place = rng.random()
        if place < 0.04:
            state = _some(TALK["states"], rng)
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
    return _some(core, rng, thing=thing, value=spelled, help=_help(rng))


def _framed(core: str, rng: Random, is_question: bool = False) -> str:
    """A core as a sentence of somebody, perhaps with an address and a reason."""
    frame = rng.choice(TALK["questions" if is_question else "orders"])
    if rng.random() < 0.25:
        frame = "{core}"
    text = _some(frame, rng, core=core, help=_one(TALK["help"], rng))
    return _surrounded(text, rng)


def _surrounded(text: str, rng: Random) -> str:
    """A sentence with what people say before and after it."""
    draw = rng.random()
    if draw < 0.30:
        reason = _reason(rng)
        comma = rng.choice((", ", ", ", " ", " nên ", ". "))
        text = (
            reason + comma + text if rng.random() < 0.5 else text + rng.choice((", ", " ")) + reason
        )
    if rng.random() < 0.25:
        text = _some(_one(TALK["addresses"], rng), rng) + rng.choice((", ", " ", " ")) + text
    return text


def _reason(rng: Random) -> str:
    if rng.random() < 0.15:  # any words at all
        return _snippet(rng)
    return _some(_one(TALK["reasons"], rng), rng)


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


def _snippet(rng: Random) -> str:
    return rng.choice(SNIPPETS)


def _sentence(text: str, rng: Random, careful: bool = False) -> str:
    return typed(_capitalized(text), rng, careful)


def _answer(combination: Combination, value: Spellings, thing: str = "") -> str:
    thing = thing or f"{combination.device} {combination.room}"
    response = ACTIONS[combination.action].response
    return _capitalized(response.format(thing=thing, value=value[0]))


def _plan(combination: Combination, value: Spellings, thing: str) -> str:
    """What would be done: "bật đèn phòng khách"."""
    response = ACTIONS[combination.action].response.format(thing=thing, value=value[0])
    return re.sub(r"^(Đã|Sẽ|Để) ", "", response)


# Kinds of requests. Each takes a generator of random numbers and the combinations that may occur.


def _command(
    combination: Combination, rng: Random, value: Spellings = (), careful: bool = False
) -> Example:
    value = value or _value(combination.action, rng)
    is_question = ACTIONS[combination.action].is_question
    request = _framed(_core(combination, rng, value), rng, is_question)
    answer = _answer(combination, value)
    return Example(((_sentence(request, rng, careful), answer),), combination.key)


def _done(rng: Random, allowed: list[Combination]) -> Combination:
    while True:
        combination = rng.choice(allowed)
        if combination.action in DONE:
            return combination


EVERY = "(hết|tất cả|toàn bộ|tất cả các|hết cả|mọi|hết mấy cái|mấy cái|các)"
AT_ONCE = {
    "bật": ("bật", "bật", "mở"),
    "tắt": ("tắt", "tắt", "ngắt"),
    "mở": ("mở",),
    "đóng": ("đóng", "đóng", "khép"),
    "khóa": ("khóa", "chốt"),
}


def _every_device(rng: Random, allowed: list[Combination]) -> Example:
    combination = _done(rng, allowed)
    while combination.action not in AT_ONCE:
        combination = _done(rng, allowed)
    verb, device = (
        rng.choice(AT_ONCE[combination.action]),
        _named(DEVICE_NAMES, combination.device, rng),
    )
    thing = combination.device
    if combination.action in ("bật", "tắt") and rng.random() < 0.3:
        device = rng.choice(("mọi thứ", "thiết bị", "đồ điện", "các thiết bị", "thứ", "đồ"))
        thing = "thiết bị"
    where = rng.choice(("trong nhà", "cả nhà", "", "", "", "các phòng", "toàn nhà", "ở nhà"))
    if rng.random() < 0.2:
        where = _named(ROOM_NAMES, combination.room, rng)
        thing += f" {combination.room}"
    forms = (
        f"{verb}{{help}} {EVERY} {device} {where} (lại|đi|)",
        f"{verb}{{help}} {device} {where} hết (đi|lại|)",
        f"{EVERY} {device} {where} {verb}{{help}} (hết|đi|lại|hết đi)",
        f"{device} {where} {verb}{{help}} hết (đi|lại|)",
        f"{verb} (sạch|hết sạch|toàn bộ|tất) {device} {where}",
    )
    core = _some(rng.choice(forms), rng, help=_help(rng))
    answer = f"Đã {combination.action} tất cả {thing}"
    return Example(((_sentence(_framed(core, rng), rng), answer),), "every device")


def _two_actions(rng: Random, allowed: list[Combination]) -> Example:
    first, second = _done(rng, allowed), _done(rng, allowed)
    joined = rng.choice(
        (
            ", ",
            " rồi ",
            " xong ",
            " và ",
            " với ",
            ", xong thì ",
            " sau đó ",
            " đồng thời ",
            ", còn ",
        )
        + (" rồi thì ", ", rồi ", " xong rồi ", " tiện thể ", ", ", " & ", ", nhân tiện ", ". ")
    )
    one, two = _value(first.action, rng), _value(second.action, rng)
    draw = rng.random()
    if draw < 0.25:  # two devices of a room, one verb
        room = rng.choice(ROOMS)
        near = [c for c in allowed if c.room == room and c.action in ("bật", "tắt")]
        if len(near) < 2:
            return _two_actions(rng, allowed)
        first = rng.choice(near)
        others = [c for c in near if c.action == first.action and c.device != first.device]
        if not others:
            return _two_actions(rng, allowed)
        second, one, two = rng.choice(others), ("",), ("",)
        both = f"{_device(first.device, rng)} {rng.choice(('và', 'với', 'cùng', ',', 'lẫn'))} "
        both += f"{_device(second.device, rng)} {_named(ROOM_NAMES, room, rng)}"
        core = f"{first.action}{_help(rng)} {both} {rng.choice(('', 'lên', 'đi', 'luôn', 'hết'))}"
    elif draw < 0.4:  # the room once
        near = [c for c in allowed if c.room == first.room and c.action in DONE and c != first]
        second = rng.choice(near)
        two = _value(second.action, rng)
        there = _some("(luôn|trong đó|ở đó|trong đấy|trong phòng|chỗ đó|ở đấy|trong đấy luôn)", rng)
        core = _core(first, rng, one) + joined + f"{_core(second, rng, two, '')} {there}"
    else:
        core = _core(first, rng, one) + joined + _core(second, rng, two)
    answer = f"{_answer(first, one)}. {_answer(second, two)}"
    core = " ".join(core.replace(" ,", ",").split())
    return Example(((_sentence(_framed(core, rng), rng), answer),), "two actions")


def _asked_back(combination: Combination, value: Spellings) -> str:
    return f"Bạn muốn {_plan(combination, value, f'{combination.device} phòng nào')}?"


def _no_room(rng: Random, allowed: list[Combination]) -> Example:
    combination = rng.choice(allowed)
    value = _value(combination.action, rng)
    is_question = ACTIONS[combination.action].is_question
    request = _framed(_core(combination, rng, value, ""), rng, is_question)
    if ACTIONS[combination.action].response.startswith(("Đã", "Sẽ", "Để")):
        answer = _asked_back(combination, value)
    else:  # it cannot be done in any room
        answer = _answer(combination, value, combination.device)
    return Example(((_sentence(request, rng), answer),), f"no room/{combination.action}")


def _no_device(rng: Random, allowed: list[Combination]) -> Example:
    verb = rng.choice(tuple(AT_ONCE))
    room = rng.choice(ROOMS) if rng.random() < 0.5 else ""
    where = f"{rng.choice(('', 'ở ', 'trong '))}{_named(ROOM_NAMES, room, rng)}" if room else ""
    core = _some(f"{verb}{{help}} {where} (lên|giùm|đi|cái|)", rng, help=_help(rng))
    answer = f"Bạn muốn {verb} gì{f' ở {room}' if room else ''}?"
    return Example(((_sentence(_framed(core, rng), rng), answer),), "no device")


def _taken_back(rng: Random, allowed: list[Combination]) -> Example:
    combination = _done(rng, allowed)
    value = _value(combination.action, rng)
    has_room = rng.random() < 0.75
    core = _core(combination, rng, value, None if has_room else "")
    request = _surrounded(_some(rng.choice(TALK["negations"]), rng, core=core), rng)
    thing = f"{combination.device} {combination.room}" if has_room else combination.device
    answer = f"Vâng, tôi không {_plan(combination, value, thing)}"
    return Example(((_sentence(request, rng), answer),), "taken back")


def _not_there(rng: Random, allowed: list[Combination]) -> Example:
    combination = rng.choice(allowed)
    while not ACTIONS[combination.action].response.startswith(("Đã", "Sẽ", "Để")):
        combination = rng.choice(allowed)
    elsewhere = [room for room in ROOMS if room not in DEVICES[combination.device].rooms]
    if not elsewhere:
        return _not_there(rng, allowed)
    combination = combination._replace(room=rng.choice(elsewhere))
    is_question = ACTIONS[combination.action].is_question
    core = _core(combination, rng, _value(combination.action, rng))
    answer = _capitalized(f"{combination.room} không có {combination.device}")
    return Example(((_sentence(_framed(core, rng, is_question), rng), answer),), "not there")


def _unlisted_device(rng: Random, allowed: list[Combination]) -> Example:
    name = _some(_one(TALK["unlisted"]["devices"], rng), rng)
    room = _named(ROOM_NAMES, rng.choice(ROOMS), rng)
    core = rng.choice(TALK["unlisted"]["cores"])
    core = _some(core, rng, device=name, room=room, help=_help(rng))
    request = _sentence(_framed(core, rng), rng)
    return Example(((request, TALK["not_mine"]),), "unlisted device")


def _unknown_ability(rng: Random, allowed: list[Combination]) -> Example:
    device = rng.choice(tuple(TALK["abilities"]))
    ability = _some(_one(TALK["abilities"][device], rng), rng)
    thing = _device(device, rng)
    if rng.random() < 0.7:
        thing += f" {_named(ROOM_NAMES, rng.choice(DEVICES[device].rooms), rng)}"
    core = rng.choice((f"{thing} {ability}", f"cho {thing} {ability}", f"bảo {thing} {ability}"))
    request = _sentence(_framed(core, rng), rng)
    return Example(((request, TALK["not_able"]),), "unknown ability")


def _talk(rng: Random, allowed: list[Combination]) -> Example:
    answer = rng.choice(tuple(TALK["talk"]))
    request = _some(rng.choice(TALK["talk"][answer]), rng)
    if rng.random() < 0.15:
        request = f"{_some(_one(TALK['addresses'], rng), rng)} {request}"
    return Example(((_sentence(request, rng), answer),), "talk")


def _another_world(rng: Random, allowed: list[Combination]) -> Example:
    request = _some(rng.choice(TALK["world"]), rng, snippet=_snippet(rng))
    if rng.random() < 0.3:
        request = f"{_some(_one(TALK['addresses'], rng), rng)} {request}"
    if rng.random() < 0.1:
        request += f", {_reason(rng)}"
    return Example(((_sentence(request, rng), TALK["declined"]),), "another world")


OPPOSITES = {"bật": "tắt", "tắt": "bật", "mở": "đóng", "đóng": "mở"}


def _turns(rng: Random, allowed: list[Combination]) -> Example:
    """Two or three turns; the last one needs those before."""
    kind = rng.choice(
        ("again", "other room", "other room", "other value", "room", "room", "what", "new")
    )
    follow = TALK["follow_ups"]
    have = set(allowed)
    combination = rng.choice(allowed)
    while not ACTIONS[combination.action].response.startswith(("Đã", "Sẽ", "Để")):
        combination = rng.choice(allowed)
    device, room, action = combination
    value = _value(action, rng)
    is_question = ACTIONS[action].is_question
    asked = _sentence(_framed(_core(combination, rng, value), rng, is_question), rng)
    turns = [(asked, _answer(combination, value))]
    if kind == "again":
        other = combination._replace(action=OPPOSITES.get(action, ""))
        if other not in have:
            return _turns(rng, allowed)
        text = _some(rng.choice(follow["again"]), rng, core=rng.choice(AT_ONCE[other.action]))
        turns.append((text, _answer(other, ("",))))
    elif kind == "other room":
        others = [
            c for c in allowed if c.device == device and c.action == action and c.room != room
        ]
        if not others:
            return _turns(rng, allowed)
        other = rng.choice(others)
        named = _named(ROOM_NAMES, other.room, rng)
        text = _some(rng.choice(follow["other_room"]), rng, room=named)
        turns.append((text, _answer(other, value)))
    elif kind == "other value":
        if len(ACTIONS[action].values) != 1:
            return _turns(rng, allowed)
        new = _value(action, rng)
        text = _some(rng.choice(follow["other_value"]), rng, value=rng.choice(new))
        turns.append((text, _answer(combination, new)))
    elif kind == "room":
        asked = _sentence(_framed(_core(combination, rng, value, ""), rng, is_question), rng)
        turns = [(asked, _asked_back(combination, value))]
        text = _some(rng.choice(follow["room"]), rng, room=_named(ROOM_NAMES, room, rng))
        turns.append((text, _answer(combination, value)))
    elif kind == "what":
        if action not in AT_ONCE:
            return _turns(rng, allowed)
        where = _named(ROOM_NAMES, room, rng)
        text = _some(f"{action} giùm (cái|) (ở|trong|) {where} (đi|)", rng)
        turns = [(_sentence(text, rng), f"Bạn muốn {action} gì ở {room}?")]
        text = _some(rng.choice(follow["what"]), rng, device=_named(DEVICE_NAMES, device, rng))
        turns.append((text, _answer(combination, ("",))))
    else:  # another matter: what came before is not carried over
        make = rng.choice((_talk, _two_actions, _no_room, _another_world, _taken_back, None))
        new = _command(rng.choice(allowed), rng) if make is None else make(rng, allowed)
        return Example((*turns, *new.turns), "turns")
    turns[-1] = (
        _sentence(_surrounded(text, rng) if rng.random() < 0.3 else text, rng),
        turns[-1][1],
    )
    if rng.random() < 0.25:
        first = _talk(rng, allowed) if rng.random() < 0.6 else _command(rng.choice(allowed), rng)
        turns.insert(0, first.turns[0])
    return Example(tuple(turns), "turns")


KINDS = {
    "every device": _every_device,
    "two actions": _two_actions,
    "no room": _no_room,
    "no device": _no_device,
    "taken back": _taken_back,
    "not there": _not_there,
    "unlisted device": _unlisted_device,
    "unknown ability": _unknown_ability,
    "talk": _talk,
    "another world": _another_world,
    "turns": _turns,
}


# Sets.


def _key(example: Example) -> tuple[str, ...]:
    return tuple(text.lower() for text in example.prompts)


def generate(seed: int = 0, phrasings: int = 12) -> list[Example]:
    """Return ``phrasings`` commands of every combination, twice as many where it is refused.

    A device that is left with an action in few rooms, or in a room with few actions, has more of
    them there. What is held out is
    typed with care: it tests what was understood, not how well slips are read.

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
            example = _command(combination, rng, careful=combination in held_out)
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
            example = _command(combination, rng, value)
            while _key(example) in known or _key(example) in more:
                example = _command(combination, rng, value)
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
    text = "".join(example.line() for example in examples)
    temporary.write_text(text, encoding="utf-8", newline="\n")
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
    write(HERE)
    train, test = shipped()
    print(f"{len(DEVICES)} devices, {len(ROOMS)} rooms, {len(ACTIONS)} actions")
    print(f"{len(combinations())} combinations")
    print(f"{len(train)} training lines, {len(test)} test lines in {HERE}")


if __name__ == "__main__":
    main()
