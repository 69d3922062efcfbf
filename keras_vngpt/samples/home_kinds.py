"""Each kind of request to a smart home: commands, two at once, taken back, talk, turns.

Each takes a generator of random numbers and the combinations that may occur.
"""

import json
from dataclasses import dataclass
from random import Random

from keras_vngpt.samples.home_language import (
    ACTIONS,
    DEVICE_NAMES,
    DEVICES,
    DONE,
    ROOM_NAMES,
    ROOMS,
    Spellings,
)
from keras_vngpt.samples.home_sentences import (
    TALK,
    Combination,
    answer_to,
    any_value,
    capitalized,
    core_of,
    device_name,
    entry_of,
    framed,
    help_words,
    named,
    one_of,
    plan_of,
    reason,
    sentence,
    snippet,
    surrounded,
)

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


def command(
    combination: Combination, rng: Random, value: Spellings = (), careful: bool = False
) -> Example:
    value = value or any_value(combination.action, rng)
    is_question = ACTIONS[combination.action].is_question
    request = framed(core_of(combination, rng, value), rng, is_question)
    answer = answer_to(combination, value)
    return Example(((sentence(request, rng, careful), answer),), combination.key)


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
        named(DEVICE_NAMES, combination.device, rng),
    )
    thing = combination.device
    if combination.action in ("bật", "tắt") and rng.random() < 0.3:
        device = rng.choice(("mọi thứ", "thiết bị", "đồ điện", "các thiết bị", "thứ", "đồ"))
        thing = "thiết bị"
    where = rng.choice(("trong nhà", "cả nhà", "", "", "", "các phòng", "toàn nhà", "ở nhà"))
    if rng.random() < 0.2:
        where = named(ROOM_NAMES, combination.room, rng)
        thing += f" {combination.room}"
    forms = (
        f"{verb}{{help}} {EVERY} {device} {where} (lại|đi|)",
        f"{verb}{{help}} {device} {where} hết (đi|lại|)",
        f"{EVERY} {device} {where} {verb}{{help}} (hết|đi|lại|hết đi)",
        f"{device} {where} {verb}{{help}} hết (đi|lại|)",
        f"{verb} (sạch|hết sạch|toàn bộ|tất) {device} {where}",
    )
    core = one_of(rng.choice(forms), rng, help=help_words(rng))
    answer = f"Đã {combination.action} tất cả {thing}"
    return Example(((sentence(framed(core, rng), rng), answer),), "every device")


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
    one, two = any_value(first.action, rng), any_value(second.action, rng)
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
        both = f"{device_name(first.device, rng)} {rng.choice(('và', 'với', 'cùng', ',', 'lẫn'))} "
        both += f"{device_name(second.device, rng)} {named(ROOM_NAMES, room, rng)}"
        core = (
            f"{first.action}{help_words(rng)} {both} {rng.choice(('', 'lên', 'đi', 'luôn', 'hết'))}"
        )
    elif draw < 0.4:  # the room once
        near = [c for c in allowed if c.room == first.room and c.action in DONE and c != first]
        second = rng.choice(near)
        two = any_value(second.action, rng)
        there = one_of(
            "(luôn|trong đó|ở đó|trong đấy|trong phòng|chỗ đó|ở đấy|trong đấy luôn)", rng
        )
        core = core_of(first, rng, one) + joined + f"{core_of(second, rng, two, '')} {there}"
    else:
        core = core_of(first, rng, one) + joined + core_of(second, rng, two)
    answer = f"{answer_to(first, one)}. {answer_to(second, two)}"
    core = " ".join(core.replace(" ,", ",").split())
    return Example(((sentence(framed(core, rng), rng), answer),), "two actions")


def _asked_back(combination: Combination, value: Spellings) -> str:
    return f"Bạn muốn {plan_of(combination, value, f'{combination.device} phòng nào')}?"


def _no_room(rng: Random, allowed: list[Combination]) -> Example:
    combination = rng.choice(allowed)
    value = any_value(combination.action, rng)
    is_question = ACTIONS[combination.action].is_question
    request = framed(core_of(combination, rng, value, ""), rng, is_question)
    if ACTIONS[combination.action].response.startswith(("Đã", "Sẽ", "Để")):
        answer = _asked_back(combination, value)
    else:  # it cannot be done in any room
        answer = answer_to(combination, value, combination.device)
    return Example(((sentence(request, rng), answer),), f"no room/{combination.action}")


def _no_device(rng: Random, allowed: list[Combination]) -> Example:
    verb = rng.choice(tuple(AT_ONCE))
    room = rng.choice(ROOMS) if rng.random() < 0.5 else ""
    where = f"{rng.choice(('', 'ở ', 'trong '))}{named(ROOM_NAMES, room, rng)}" if room else ""
    core = one_of(f"{verb}{{help}} {where} (lên|giùm|đi|cái|)", rng, help=help_words(rng))
    answer = f"Bạn muốn {verb} gì{f' ở {room}' if room else ''}?"
    return Example(((sentence(framed(core, rng), rng), answer),), "no device")


def _taken_back(rng: Random, allowed: list[Combination]) -> Example:
    combination = _done(rng, allowed)
    value = any_value(combination.action, rng)
    has_room = rng.random() < 0.75
    core = core_of(combination, rng, value, None if has_room else "")
    request = surrounded(one_of(rng.choice(TALK["negations"]), rng, core=core), rng)
    thing = f"{combination.device} {combination.room}" if has_room else combination.device
    answer = f"Vâng, tôi không {plan_of(combination, value, thing)}"
    return Example(((sentence(request, rng), answer),), "taken back")


def _not_there(rng: Random, allowed: list[Combination]) -> Example:
    combination = rng.choice(allowed)
    while not ACTIONS[combination.action].response.startswith(("Đã", "Sẽ", "Để")):
        combination = rng.choice(allowed)
    elsewhere = [room for room in ROOMS if room not in DEVICES[combination.device].rooms]
    if not elsewhere:
        return _not_there(rng, allowed)
    combination = combination._replace(room=rng.choice(elsewhere))
    is_question = ACTIONS[combination.action].is_question
    core = core_of(combination, rng, any_value(combination.action, rng))
    answer = capitalized(f"{combination.room} không có {combination.device}")
    return Example(((sentence(framed(core, rng, is_question), rng), answer),), "not there")


def _unlisted_device(rng: Random, allowed: list[Combination]) -> Example:
    name = one_of(entry_of(TALK["unlisted"]["devices"], rng), rng)
    room = named(ROOM_NAMES, rng.choice(ROOMS), rng)
    core = rng.choice(TALK["unlisted"]["cores"])
    core = one_of(core, rng, device=name, room=room, help=help_words(rng))
    request = sentence(framed(core, rng), rng)
    return Example(((request, TALK["not_mine"]),), "unlisted device")


def _unknown_ability(rng: Random, allowed: list[Combination]) -> Example:
    device = rng.choice(tuple(TALK["abilities"]))
    ability = one_of(entry_of(TALK["abilities"][device], rng), rng)
    thing = device_name(device, rng)
    if rng.random() < 0.7:
        thing += f" {named(ROOM_NAMES, rng.choice(DEVICES[device].rooms), rng)}"
    core = rng.choice((f"{thing} {ability}", f"cho {thing} {ability}", f"bảo {thing} {ability}"))
    request = sentence(framed(core, rng), rng)
    return Example(((request, TALK["not_able"]),), "unknown ability")


def _talk(rng: Random, allowed: list[Combination]) -> Example:
    answer = rng.choice(tuple(TALK["talk"]))
    request = one_of(rng.choice(TALK["talk"][answer]), rng)
    if rng.random() < 0.15:
        request = f"{one_of(entry_of(TALK['addresses'], rng), rng)} {request}"
    return Example(((sentence(request, rng), answer),), "talk")


def _another_world(rng: Random, allowed: list[Combination]) -> Example:
    request = one_of(rng.choice(TALK["world"]), rng, snippet=snippet(rng))
    if rng.random() < 0.3:
        request = f"{one_of(entry_of(TALK['addresses'], rng), rng)} {request}"
    if rng.random() < 0.1:
        request += f", {reason(rng)}"
    return Example(((sentence(request, rng), TALK["declined"]),), "another world")


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
    value = any_value(action, rng)
    is_question = ACTIONS[action].is_question
    asked = sentence(framed(core_of(combination, rng, value), rng, is_question), rng)
    turns = [(asked, answer_to(combination, value))]
    if kind == "again":
        other = combination._replace(action=OPPOSITES.get(action, ""))
        if other not in have:
            return _turns(rng, allowed)
        text = one_of(rng.choice(follow["again"]), rng, core=rng.choice(AT_ONCE[other.action]))
        turns.append((text, answer_to(other, ("",))))
    elif kind == "other room":
        others = [
            c for c in allowed if c.device == device and c.action == action and c.room != room
        ]
        if not others:
            return _turns(rng, allowed)
        other = rng.choice(others)
        room_name = named(ROOM_NAMES, other.room, rng)
        text = one_of(rng.choice(follow["other_room"]), rng, room=room_name)
        turns.append((text, answer_to(other, value)))
    elif kind == "other value":
        if len(ACTIONS[action].values) != 1:
            return _turns(rng, allowed)
        new = any_value(action, rng)
        text = one_of(rng.choice(follow["other_value"]), rng, value=rng.choice(new))
        turns.append((text, answer_to(combination, new)))
    elif kind == "room":
        asked = sentence(framed(core_of(combination, rng, value, ""), rng, is_question), rng)
        turns = [(asked, _asked_back(combination, value))]
        text = one_of(rng.choice(follow["room"]), rng, room=named(ROOM_NAMES, room, rng))
        turns.append((text, answer_to(combination, value)))
    elif kind == "what":
        if action not in AT_ONCE:
            return _turns(rng, allowed)
        where = named(ROOM_NAMES, room, rng)
        text = one_of(f"{action} giùm (cái|) (ở|trong|) {where} (đi|)", rng)
        turns = [(sentence(text, rng), f"Bạn muốn {action} gì ở {room}?")]
        text = one_of(rng.choice(follow["what"]), rng, device=named(DEVICE_NAMES, device, rng))
        turns.append((text, answer_to(combination, ("",))))
    else:  # another matter: what came before is not carried over
        make = rng.choice((_talk, _two_actions, _no_room, _another_world, _taken_back, None))
        new = command(rng.choice(allowed), rng) if make is None else make(rng, allowed)
        return Example((*turns, *new.turns), "turns")
    turns[-1] = (
        sentence(surrounded(text, rng) if rng.random() < 0.3 else text, rng),
        turns[-1][1],
    )
    if rng.random() < 0.25:
        first = _talk(rng, allowed) if rng.random() < 0.6 else command(rng.choice(allowed), rng)
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
