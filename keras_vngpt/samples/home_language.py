"""What can be said to a smart home: values, actions, rooms, devices and ways to ask for them."""

from dataclasses import dataclass
from typing import NamedTuple

# Values. A spelling tuple lists the ways to say one value; the answer uses the first.

Spellings = tuple[str, ...]
Pool = tuple[Spellings, ...]


def _levels(*levels: int) -> Pool:
    return tuple((f"mức {level}", f"số {level}") for level in levels)


def _degrees(*degrees: int) -> Pool:
    return tuple((f"{degree} độ", f"{degree} độ C") for degree in degrees)


def _percents(*percents: int) -> Pool:
    return tuple((f"{percent}%", f"{percent} phần trăm") for percent in percents)


def _clock(hour: int, minute: int, part: str) -> Spellings:
    if minute == 0:
        spellings = (f"{hour} giờ", f"{hour}h")
    else:
        spellings = (f"{hour} giờ {minute}", f"{hour}h{minute}")
    if minute == 30:
        spellings += (f"{hour} giờ rưỡi",)
    return tuple(f"lúc {spelling} {part}".rstrip() for spelling in spellings)


def _delay(amount: str, *synonyms: str) -> Spellings:
    spoken = (amount, *synonyms)
    return tuple(f"sau {span}" for span in spoken) + tuple(f"{span} nữa" for span in spoken)


DAY_PARTS = {
    "": range(5, 23),
    "sáng": range(5, 11),
    "trưa": range(11, 13),
    "chiều": range(1, 6),
    "tối": range(6, 11),
}
CLOCKS: Pool = tuple(
    _clock(hour, minute, part)
    for part, hours in DAY_PARTS.items()
    for hour in hours
    for minute in (0, 15, 30, 45)
)
DELAYS: Pool = (
    *(_delay(f"{minutes} phút") for minutes in (5, 10, 15, 20, 25, 40, 45)),
    _delay("30 phút", "nửa tiếng"),
    *(_delay(f"{hours} tiếng") for hours in range(1, 6)),
)
LEVELS = _levels(*range(1, 6))
TEMPERATURES = _degrees(*range(16, 31))
PERCENTS = _percents(*range(10, 101, 5))


# Actions. In a core, {help} is where "giúp tôi" and the like may stand inside the sentence.


@dataclass(frozen=True)
class Action:
    """The cores that ask for an action, and the one answer.

    ``cores`` fit every frame of their kind; ``openers`` only frames that they can begin.
    """

    response: str
    cores: tuple[str, ...]
    openers: tuple[str, ...] = ()
    values: tuple[Pool, ...] = ()
    is_question: bool = False


SWITCH_ON = ("bật{help} {thing}", "bật{help} {thing} lên")
SWITCH_OFF = ("tắt{help} {thing}",)
LIFT = ("kéo{help} {thing} lên", "nâng{help} {thing} lên")
LOWER = ("hạ{help} {thing} xuống", "kéo{help} {thing} xuống")
SET_LEVEL = (
    "chỉnh{help} {thing} lên {value}",
    "chỉnh{help} {thing} về {value}",
    "chuyển{help} {thing} sang {value}",
    "để {thing} {value}",
)
RUN_AT_LEVEL = (
    "bật{help} {thing} lên {value}",
    "bật{help} {thing} {value}",
    "cho {thing} chạy {value}",
    *SET_LEVEL,
)
SET_TEMPERATURE = (
    "đặt{help} {thing} {value}",
    "đặt{help} {thing} ở {value}",
    "chỉnh{help} {thing} về {value}",
    "chỉnh{help} nhiệt độ {thing} về {value}",
    "để {thing} {value}",
)
RUN_AT_TEMPERATURE = ("bật{help} {thing} {value}", *SET_TEMPERATURE)
SET_VOLUME = (
    "chỉnh{help} âm lượng {thing} về {value}",
    "đặt{help} âm lượng {thing} ở mức {value}",
    "để âm lượng {thing} {value}",
    "chỉnh{help} tiếng {thing} về {value}",
    "vặn{help} tiếng {thing} lên {value}",
)
SET_BRIGHTNESS = (
    "chỉnh{help} độ sáng {thing} về {value}",
    "chỉnh{help} độ sáng {thing} lên {value}",
    "đặt{help} độ sáng {thing} ở mức {value}",
    "để độ sáng {thing} {value}",
)
SHINE = (*SET_BRIGHTNESS, "để {thing} sáng {value}", "cho {thing} sáng {value}")


def _timed(verb: str) -> Action:
    return Action(
        response=f"Sẽ {verb} {{thing}} {{value}}",
        cores=(
            f"{verb}{{help}} {{thing}} {{value}}",
            f"hẹn giờ {verb} {{thing}} {{value}}",
            f"hẹn {{value}} {verb} {{thing}}",
        ),
        openers=(
            f"{{value}} {verb}{{help}} {{thing}}",
            f"{{value}} thì {verb}{{help}} {{thing}}",
        ),
        values=(CLOCKS, DELAYS),
    )


def _question(response: str, *cores: str) -> Action:
    return Action(response=response, cores=cores, is_question=True)


def _state_question(on: str, off: str) -> Action:
    return _question(
        "Để tôi kiểm tra {thing}",
        f"{{thing}} đang {on} hay {off}",
        f"{{thing}} có đang {on} không",
        f"{{thing}} còn {on} không",
        f"{{thing}} {on} chưa",
        f"{{thing}} {off} chưa",
        f"đã {off} {{thing}} chưa",
    )


ACTIONS = {
    "bật": Action("Đã bật {thing}", SWITCH_ON),
    "tắt": Action("Đã tắt {thing}", SWITCH_OFF),
    "mở": Action("Đã mở {thing}", ("mở{help} {thing}", "mở{help} {thing} ra")),
    "đóng": Action("Đã đóng {thing}", ("đóng{help} {thing}", "đóng{help} {thing} lại")),
    "khóa": Action("Đã khóa {thing}", ("khóa{help} {thing}", "khóa{help} {thing} lại")),
    "mở khóa": Action("Đã mở khóa {thing}", ("mở khóa{help} {thing}",)),
    "kéo lên": Action("Đã kéo {thing} lên", (*LIFT, "cuốn{help} {thing} lên")),
    "hạ xuống": Action("Đã hạ {thing} xuống", LOWER),
    "bật mức": Action("Đã bật {thing} lên {value}", RUN_AT_LEVEL, values=(LEVELS,)),
    "đặt nhiệt độ": Action("Đã đặt {thing} ở {value}", RUN_AT_TEMPERATURE, values=(TEMPERATURES,)),
    "đặt nhiệt độ nước": Action(
        "Đã đặt {thing} ở {value}", RUN_AT_TEMPERATURE, values=(_degrees(*range(35, 66)),)
    ),
    "chỉnh âm lượng": Action(
        "Đã đặt âm lượng {thing} ở mức {value}", SET_VOLUME, values=(PERCENTS,)
    ),
    "chỉnh độ sáng": Action("Đã đặt độ sáng {thing} ở mức {value}", SHINE, values=(PERCENTS,)),
    "hẹn bật": _timed("bật"),
    "hẹn tắt": _timed("tắt"),
    "hẹn mở": _timed("mở"),
    "hẹn đóng": _timed("đóng"),
    "hỏi bật tắt": _state_question("bật", "tắt"),
    "hỏi đóng mở": _state_question("mở", "đóng"),
    "hỏi khóa": _question(
        "Để tôi kiểm tra khóa {thing}",
        "{thing} khóa chưa",
        "{thing} đã khóa chưa",
        "{thing} có khóa không",
        "đã khóa {thing} chưa",
    ),
    "hỏi mức": _question(
        "Để tôi xem mức của {thing}",
        "{thing} đang ở mức mấy",
        "{thing} đang để mức nào",
        "{thing} đang chạy số mấy",
        "{thing} đang bật mức mấy",
    ),
    "hỏi nhiệt độ": _question(
        "Để tôi xem nhiệt độ của {thing}",
        "{thing} đang để bao nhiêu độ",
        "{thing} đang để mấy độ",
        "nhiệt độ {thing} đang là bao nhiêu",
        "{thing} đang đặt ở mấy độ",
    ),
    "hỏi âm lượng": _question(
        "Để tôi xem âm lượng của {thing}",
        "âm lượng {thing} đang là bao nhiêu",
        "{thing} đang để âm lượng bao nhiêu",
        "tiếng {thing} đang để bao nhiêu phần trăm",
    ),
    "không bật tắt": Action("{thing} không bật tắt được", (*SWITCH_ON, *SWITCH_OFF)),
    "không đóng mở": Action(
        "{thing} không đóng mở được", ("mở{help} {thing} ra", "đóng{help} {thing} lại")
    ),
    "không nâng hạ": Action("{thing} không nâng hạ được", (*LIFT, *LOWER)),
    "không mức": Action("{thing} không chỉnh được mức", SET_LEVEL, values=(LEVELS,)),
    "không nhiệt độ": Action(
        "{thing} không đặt được nhiệt độ", SET_TEMPERATURE, values=(TEMPERATURES,)
    ),
    "không âm lượng": Action("{thing} không chỉnh được âm lượng", SET_VOLUME, values=(PERCENTS,)),
    "không độ sáng": Action("{thing} không chỉnh được độ sáng", SET_BRIGHTNESS, values=(PERCENTS,)),
    "quá mức": Action("{thing} chỉ có mức 1 đến 5", RUN_AT_LEVEL, values=(_levels(*range(6, 11)),)),
    "quá nhiệt độ": Action(
        "{thing} chỉ đặt được từ 16 đến 30 độ",
        RUN_AT_TEMPERATURE,
        values=(_degrees(*range(5, 16)), _degrees(*range(31, 46))),
    ),
    "quá nhiệt độ nước": Action(
        "{thing} chỉ đặt được từ 35 đến 65 độ",
        RUN_AT_TEMPERATURE,
        values=(_degrees(*range(20, 35)), _degrees(*range(66, 96))),
    ),
    "quá âm lượng": Action(
        "Âm lượng {thing} tối đa là 100%",
        SET_VOLUME,
        values=(_percents(*range(110, 201, 10)),),
    ),
}


# What is done or refused by its value alone.
LIMITED = (
    *("bật mức", "quá mức", "đặt nhiệt độ", "quá nhiệt độ", "đặt nhiệt độ nước"),
    *("quá nhiệt độ nước", "chỉnh âm lượng", "quá âm lượng"),
)


# The house: which actions are asked of each device, and in which rooms it stands.

PREPOSITIONS = {
    "phòng khách": "ở",
    "phòng ngủ": "ở",
    "phòng bếp": "ở",
    "phòng ăn": "ở",
    "phòng tắm": "ở",
    "phòng làm việc": "ở",
    "phòng trẻ em": "ở",
    "phòng giặt": "ở",
    "hành lang": "ngoài",
    "ban công": "ngoài",
    "sân trước": "ngoài",
    "sân thượng": "trên",
    "gara": "ở",
    "tầng hầm": "dưới",
}
ROOMS = tuple(PREPOSITIONS)


class Device(NamedTuple):
    """The rooms that a device stands in, and the actions that are asked of it there."""

    rooms: tuple[str, ...]
    actions: tuple[str, ...]


POWER = ("bật", "tắt", "hỏi bật tắt")
TIMER = ("hẹn bật", "hẹn tắt")
LEVEL = ("bật mức", "hỏi mức", "quá mức")
TEMPERATURE = ("đặt nhiệt độ", "hỏi nhiệt độ", "quá nhiệt độ")
VOLUME = ("chỉnh âm lượng", "hỏi âm lượng", "quá âm lượng")
OPENING = ("mở", "đóng", "hỏi đóng mở", "không bật tắt")
OPENING_TIMER = ("hẹn mở", "hẹn đóng")
LOCK = ("khóa", "mở khóa", "hỏi khóa")
ROLL = ("kéo lên", "hạ xuống")

LIVING = ("phòng khách", "phòng ngủ", "phòng ăn", "phòng làm việc", "phòng trẻ em")
OUTDOORS = ("ban công", "sân trước", "sân thượng")

DEVICES = {
    "đèn": Device(ROOMS, (*POWER, *TIMER, "chỉnh độ sáng", "không âm lượng")),
    "đèn ngủ": Device(
        ("phòng ngủ", "phòng trẻ em", "hành lang"),
        (*POWER, *TIMER, "chỉnh độ sáng", "không nhiệt độ"),
    ),
    "quạt": Device(
        (*LIVING, "phòng bếp"),
        (*POWER, *TIMER, *LEVEL, "không nhiệt độ", "không đóng mở"),
    ),
    "quạt trần": Device(LIVING, (*POWER, *TIMER, *LEVEL, "không nâng hạ")),
    "quạt thông gió": Device(
        ("phòng bếp", "phòng tắm", "phòng giặt", "gara", "tầng hầm"),
        (*POWER, "hẹn tắt", *LEVEL, "không độ sáng"),
    ),
    "máy lạnh": Device(LIVING, (*POWER, *TIMER, *TEMPERATURE, "không âm lượng", "không đóng mở")),
    "máy sưởi": Device(
        ("phòng khách", "phòng ngủ", "phòng tắm", "phòng làm việc"),
        (*POWER, *TIMER, *TEMPERATURE, "không độ sáng"),
    ),
    "bình nóng lạnh": Device(
        ("phòng bếp", "phòng tắm", "phòng giặt"),
        (*POWER, *TIMER, "đặt nhiệt độ nước", "hỏi nhiệt độ", "quá nhiệt độ nước"),
    ),
    "máy lọc không khí": Device(LIVING, (*POWER, *TIMER, *LEVEL, "không nhiệt độ")),
    "máy hút ẩm": Device(
        ("phòng khách", "phòng ngủ", "phòng giặt", "tầng hầm"),
        (*POWER, "hẹn tắt", *LEVEL, "không nhiệt độ"),
    ),
    "tivi": Device(
        ("phòng khách", "phòng ngủ", "phòng bếp", "phòng ăn", "phòng trẻ em"),
        (*POWER, *TIMER, *VOLUME, "chỉnh độ sáng", "không nâng hạ"),
    ),
    "loa": Device(
        ("phòng khách", "phòng ngủ", "phòng bếp", "phòng tắm", "ban công", "sân thượng"),
        (*POWER, *TIMER, *VOLUME, "không độ sáng"),
    ),
    "máy chiếu": Device(
        ("phòng khách", "phòng ngủ", "phòng làm việc"),
        (*POWER, *VOLUME, "chỉnh độ sáng", "không nâng hạ"),
    ),
    "nồi cơm điện": Device(("phòng bếp", "phòng ăn"), (*POWER, *TIMER, "không âm lượng")),
    "máy giặt": Device(
        ("phòng tắm", "phòng giặt", "ban công", "sân thượng"),
        (*POWER, *TIMER, "không âm lượng", "không đóng mở"),
    ),
    "robot hút bụi": Device((*LIVING, "hành lang"), (*POWER, *TIMER, "không âm lượng")),
    "camera": Device(
        (*OUTDOORS, "phòng khách", "hành lang", "gara", "tầng hầm"),
        (*POWER, "không độ sáng"),
    ),
    "vòi tưới": Device(OUTDOORS, (*POWER, *TIMER, "không nhiệt độ")),
    "rèm": Device(
        (*LIVING, "phòng bếp", "phòng tắm", "ban công"),
        (*OPENING, *OPENING_TIMER, *ROLL, "không nhiệt độ", "không mức"),
    ),
    "cửa sổ": Device(
        (*LIVING, "phòng bếp", "phòng tắm", "phòng giặt"),
        (*OPENING, "khóa", "hỏi khóa", "không nâng hạ"),
    ),
    "cửa": Device(
        (*LIVING, "phòng bếp", "phòng tắm", "ban công", "tầng hầm"),
        (*OPENING, *LOCK, "không nâng hạ"),
    ),
    "cửa cuốn": Device(
        ("sân trước", "gara", "tầng hầm"),
        (*OPENING, *OPENING_TIMER, *LOCK, *ROLL),
    ),
    "cổng": Device(("sân trước", "gara"), (*OPENING, *OPENING_TIMER, *LOCK)),
    "mái che": Device(OUTDOORS, (*OPENING, *OPENING_TIMER, "không mức")),
    "màn chiếu": Device(
        ("phòng khách", "phòng ngủ", "phòng làm việc"),
        (*ROLL, "không bật tắt", "không âm lượng"),
    ),
}


# Registers: how a core is said.


class Frame(NamedTuple):
    """A sentence around a core; ``help`` goes inside the core, where it has a place for it."""

    text: str
    help: str = ""


@dataclass(frozen=True)
class Register:
    """The frames and the ways of writing of one tone; ``brief`` takes only cores with no value."""

    orders: tuple[Frame, ...]
    brief: tuple[Frame, ...]
    questions: tuple[Frame, ...]
    styles: tuple[str, ...]


REGISTERS = (
    Register(
        orders=(
            Frame("{core} giúp tôi với ạ"),
            Frame("{core} giúp tôi nhé"),
            Frame("{core} với ạ", "giúp tôi"),
            Frame("{core} ạ", "giúp mình"),
            Frame("{core} được không ạ?"),
            Frame("làm ơn {core}"),
            Frame("làm ơn {core} giúp tôi"),
            Frame("vui lòng {core}"),
            Frame("nhờ bạn {core} giúp tôi"),
            Frame("phiền bạn {core} giúp tôi với"),
            Frame("bạn {core} giúp tôi nhé"),
            Frame("bạn có thể {core} được không ạ?"),
        ),
        brief=(),
        questions=(
            Frame("{core} ạ?"),
            Frame("cho tôi hỏi {core} ạ?"),
            Frame("bạn ơi, {core} ạ?"),
            Frame("xem giúp tôi {core} với ạ"),
            Frame("làm ơn xem giúp {core}"),
            Frame("bạn kiểm tra giúp tôi xem {core} nhé"),
        ),
        styles=("capital", "stop", "lower"),
    ),
    Register(
        orders=(
            Frame("{core}"),
            Frame("{core}", "giúp tôi"),
            Frame("{core}", "cho tôi"),
            Frame("{core} cho tôi"),
            Frame("hãy {core}"),
            Frame("tôi muốn {core}"),
            Frame("tôi cần {core}"),
        ),
        brief=(),
        questions=(
            Frame("{core}?"),
            Frame("xem thử {core}"),
            Frame("kiểm tra xem {core}"),
            Frame("cho tôi biết {core}"),
            Frame("tôi muốn biết {core}"),
        ),
        styles=("capital", "stop", "lower"),
    ),
    Register(
        orders=(
            Frame("{core} đi"),
            Frame("{core} nhé"),
            Frame("{core} nha"),
            Frame("{core} giùm mình nha"),
            Frame("{core} hộ mình cái"),
            Frame("{core} nhé", "hộ mình"),
            Frame("{core} nha", "giùm mình"),
            Frame("{core} đi", "giùm cái"),
            Frame("ê {core} đi"),
            Frame("ê {core} giùm cái"),
            Frame("này, {core} hộ cái"),
        ),
        brief=(
            Frame("ê {core} cái"),
            Frame("{core} cái nào"),
            Frame("{core} với"),
        ),
        questions=(
            Frame("{core} vậy?"),
            Frame("{core} thế?"),
            Frame("{core} nhỉ?"),
            Frame("ê {core}?"),
            Frame("ê {core} vậy?"),
            Frame("xem giùm mình {core} với"),
        ),
        styles=("capital", "lower", "lower"),
    ),
)
