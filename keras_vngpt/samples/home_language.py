"""What can be said to a smart home: values, actions, rooms, devices and ways to ask for them."""

from dataclasses import dataclass
from typing import NamedTuple

# Values. A spelling tuple lists the ways to say one value; the answer uses the first.

Spellings = tuple[str, ...]
Pool = tuple[Spellings, ...]


def _levels(*levels: int) -> Pool:
    words = ("", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín", "mười")
    return tuple(
        tuple(f"{word} {n}" for n in (level, level, words[level]) for word in ("mức", "số", "nấc"))
        for level in levels
    )


def _degrees(*degrees: int) -> Pool:
    return tuple(
        (
            f"{degree} độ",
            f"{degree} độ",
            f"{degree} độ C",
            f"{degree}°C",
            f"{degree}độ",
            f"{degree} do",
        )
        for degree in degrees
    )


def _percents(*percents: int) -> Pool:
    return tuple((f"{percent}%", f"{percent} phần trăm", f"{percent} %") for percent in percents)


def _clock(hour: int, minute: int, part: str) -> Spellings:
    if minute == 0:
        spellings = (f"{hour} giờ", f"{hour}h", f"{hour}g", f"{hour} h")
    else:
        spellings = (f"{hour} giờ {minute}", f"{hour}h{minute}", f"{hour}:{minute}")
    if minute == 30:
        spellings += (f"{hour} giờ rưỡi", f"{hour}h rưỡi")
    return tuple(
        f"{at} {spelling} {part}".strip()
        for at in ("lúc", "", "vào", "đúng")
        for spelling in spellings
    )


def _delay(amount: str, *synonyms: str) -> Spellings:
    spoken = (amount, *synonyms)
    return tuple(
        form.format(span) for form in ("sau {}", "{} nữa", "trong {} nữa") for span in spoken
    )


DAY_PARTS = {
    "": range(5, 23),
    "sáng": range(5, 11),
    "trưa": range(11, 13),
    "chiều": range(1, 6),
    "tối": range(6, 11),
    "đêm": range(10, 13),
}
CLOCKS: Pool = tuple(
    _clock(hour, minute, part)
    for part, hours in DAY_PARTS.items()
    for hour in hours
    for minute in (0, 15, 30, 45)
)
DELAYS: Pool = (
    *(_delay(f"{n} phút", f"{n}p", f"{n}'", f"{n} p") for n in (2, 3, 5, 10, 15, 20, 25, 40, 45)),
    _delay("30 phút", "nửa tiếng", "30p", "nửa giờ"),
    *(_delay(f"{n} tiếng", f"{n} giờ", f"{n}h", f"{n} tiếng đồng hồ") for n in range(1, 6)),
)
LEVELS = _levels(*range(1, 6))
TEMPERATURES = _degrees(*range(16, 31))
PERCENTS = _percents(*range(10, 101, 5))


# Actions. In a core (a|b|) stands for one of them, or nothing; {thing} is a device with its room,
# and {help} the place for "giúp tôi" and the like.


@dataclass(frozen=True)
class Action:
    """The cores that ask for an action, and the one answer.

    ``terse`` are cores that name no verb; they are used where no other action of the device has
    such values.
    """

    response: str
    cores: tuple[str, ...]
    terse: tuple[str, ...] = ()
    values: tuple[Pool, ...] = ()
    is_question: bool = False


SWITCH_ON = (
    "(bật|mở|bật|khởi động){help} {thing}",
    "(bật|mở){help} {thing} lên",
    "bật lên{help} {thing}",
    "cho {thing} (chạy|hoạt động|bật lên)",
    "{thing} (thì|) (bật|mở){help} (lên|)",
)
SWITCH_OFF = (
    "tắt{help} {thing}",
    "(tắt|ngắt|tắt bớt){help} {thing}",
    "cho {thing} (tắt|nghỉ)",
    "{thing} (thì|) tắt{help} (đi|)",
)
OPEN = (
    "mở{help} {thing}",
    "mở{help} {thing} ra",
    "mở toang{help} {thing}",
    "{thing} (thì|) mở{help} (ra|)",
)
CLOSE = (
    "đóng{help} {thing}",
    "(đóng|khép){help} {thing} lại",
    "{thing} (thì|) đóng{help} (lại|)",
)
LIFT = (
    "(kéo|nâng|cuốn|cuộn){help} {thing} lên",
    "(kéo|nâng) lên{help} {thing}",
    "{thing} (kéo|nâng|cuốn){help} lên",
)
LOWER = (
    "(hạ|kéo|thả|buông){help} {thing} xuống",
    "(hạ|thả) xuống{help} {thing}",
    "{thing} (hạ|kéo|thả){help} xuống",
    "hạ{help} {thing}",
)
TO = "(lên|về|xuống|ở|sang|thành|còn|tới|)"
SET = "(chỉnh|để|đặt|cho|vặn|tăng|giảm|chuyển|hạ|nâng|điều chỉnh|set|kéo)"
SET_LEVEL = (
    f"{SET}{{help}} {{thing}} {TO} {{value}}",
    f"{{thing}} {SET}{{help}} {TO} {{value}}",
    f"{SET} (mức|tốc độ|số){{help}} {{thing}} {TO} {{value}}",
    "cho {thing} chạy {value}",
)
RUN_AT_LEVEL = (
    "(bật|mở){help} {thing} (lên|ở|) {value}",
    "{thing} (bật|chạy|mở){help} (lên|ở|) {value}",
    *SET_LEVEL,
)
SET_TEMPERATURE = (
    f"{SET}{{help}} {{thing}} {TO} {{value}}",
    f"{SET}{{help}} nhiệt độ {{thing}} {TO} {{value}}",
    f"{{thing}} {SET}{{help}} {TO} {{value}}",
    f"cho {{thing}} {TO} {{value}}",
)
RUN_AT_TEMPERATURE = (
    "(bật|mở){help} {thing} (lên|ở|) {value}",
    "{thing} (bật|chạy|mở){help} (lên|ở|) {value}",
    *SET_TEMPERATURE,
)
SET_VOLUME = (
    f"{SET}{{help}} (âm lượng|tiếng|volume) {{thing}} {TO} {{value}}",
    f"{SET}{{help}} (âm lượng|tiếng|volume) {{thing}} ở mức {{value}}",
    f"{{thing}} {SET}{{help}} (âm lượng|tiếng|volume) {TO} {{value}}",
    f"(âm lượng|tiếng) {{thing}} {SET}{{help}} {TO} {{value}}",
)
SOUND = (*SET_VOLUME, "{thing} (to|nhỏ|lớn|bé) (lên|xuống|tiếng) {value}")
SET_BRIGHTNESS = (
    f"{SET}{{help}} độ sáng {{thing}} {TO} {{value}}",
    f"{SET}{{help}} độ sáng {{thing}} ở mức {{value}}",
    f"độ sáng {{thing}} {SET}{{help}} {TO} {{value}}",
    f"{{thing}} {SET}{{help}} (độ sáng|sáng) {TO} {{value}}",
)
SHINE = (*SET_BRIGHTNESS, "(để|cho){help} {thing} sáng {value}", "{thing} sáng {value} (thôi|)")
PERCENT = (
    f"{SET}{{help}} {{thing}} {TO} {{value}}",
    "{thing} {value}",
    f"{{thing}} {TO} {{value}}",
)


def _timed(verb: str, *others: str) -> Action:
    verbs = "(" + "|".join((verb, verb, *others)) + ")"
    return Action(
        response=f"Sẽ {verb} {{thing}} {{value}}",
        cores=(
            f"{verbs}{{help}} {{thing}} {{value}}",
            f"(hẹn giờ|hẹn|cài giờ) {verbs}{{help}} {{thing}} {{value}}",
            f"(hẹn|đợi|chờ|canh|đến|) {{value}} (thì|rồi|là|hãy|hẵng|) {verbs}{{help}} {{thing}}",
            f"{{value}} {verbs}{{help}} {{thing}}",
            f"{{thing}} (thì|) {{value}} (hãy|hẵng|thì|rồi|) {verbs}{{help}}",
            f"{{thing}} {verbs}{{help}} {{value}}",
        ),
        values=(CLOCKS, DELAYS),
    )


def _question(response: str, *cores: str) -> Action:
    return Action(response=response, cores=cores, is_question=True)


def _state_question(on: str, off: str) -> Action:
    return _question(
        "Để tôi kiểm tra {thing}",
        f"{{thing}} (đang|) {on} hay {off}",
        f"{{thing}} (có đang|có|đang) {on} (không|ko)",
        f"{{thing}} còn {on} (không|hay {off} rồi|)",
        f"{{thing}} (đã|) ({on}|{off}) (chưa|rồi chưa|hay chưa)",
        f"(đã|) ({on}|{off}) {{thing}} chưa",
        f"(mình|tôi|nãy|ai|hồi nãy|sáng nay) (đã {on}|đã {off}|có {off}) {{thing}} chưa",
        f"(mình|tôi|nãy|ai|hồi nãy) có ({on}|{off}) {{thing}} không",
        f"có quên {off} {{thing}} không",
        "(tình trạng|trạng thái) {thing} (thế nào|sao rồi)",
        "{thing} (sao rồi|thế nào rồi)",
    )


ACTIONS = {
    "bật": Action("Đã bật {thing}", SWITCH_ON),
    "tắt": Action("Đã tắt {thing}", SWITCH_OFF),
    "mở": Action("Đã mở {thing}", OPEN),
    "đóng": Action("Đã đóng {thing}", CLOSE),
    "khóa": Action(
        "Đã khóa {thing}",
        ("(khóa|chốt){help} {thing}", "(khóa|chốt){help} {thing} lại", "{thing} khóa{help} (lại|)"),
    ),
    "mở khóa": Action(
        "Đã mở khóa {thing}",
        ("mở (khóa|chốt){help} {thing}", "{thing} mở khóa{help} (ra|)", "mở khóa cho {thing}"),
    ),
    "kéo lên": Action("Đã kéo {thing} lên", LIFT),
    "hạ xuống": Action("Đã hạ {thing} xuống", LOWER),
    "bật mức": Action(
        "Đã bật {thing} lên {value}",
        RUN_AT_LEVEL,
        ("{thing} {value}", "{thing} (lên|xuống) {value}"),
        values=(LEVELS,),
    ),
    "đặt nhiệt độ": Action(
        "Đã đặt {thing} ở {value}",
        RUN_AT_TEMPERATURE,
        ("{thing} {value}", "{thing} (lên|xuống) {value}"),
        values=(TEMPERATURES,),
    ),
    "đặt nhiệt độ nước": Action(
        "Đã đặt {thing} ở {value}",
        (*RUN_AT_TEMPERATURE, f"{SET}{{help}} nước (của|) {{thing}} {TO} {{value}}"),
        ("{thing} {value}",),
        values=(_degrees(*range(35, 66)),),
    ),
    "chỉnh âm lượng": Action(
        "Đã đặt âm lượng {thing} ở mức {value}", SOUND, PERCENT, values=(PERCENTS,)
    ),
    "chỉnh độ sáng": Action(
        "Đã đặt độ sáng {thing} ở mức {value}", SHINE, PERCENT, values=(PERCENTS,)
    ),
    "hẹn bật": _timed("bật", "mở", "cho chạy"),
    "hẹn tắt": _timed("tắt"),
    "hẹn mở": _timed("mở"),
    "hẹn đóng": _timed("đóng"),
    "hỏi bật tắt": _state_question("(bật|mở)", "tắt"),
    "hỏi đóng mở": _state_question("mở", "đóng"),
    "hỏi khóa": _question(
        "Để tôi kiểm tra khóa {thing}",
        "{thing} (đã|) khóa (chưa|rồi chưa|hay chưa)",
        "{thing} có (đang|) khóa không",
        "(đã|tôi|mình|) khóa {thing} chưa",
        "{thing} khóa hay mở khóa",
        "có quên khóa {thing} không",
    ),
    "hỏi mức": _question(
        "Để tôi xem mức của {thing}",
        "{thing} đang (ở|để|chạy|bật) (mức|số) (mấy|nào|bao nhiêu)",
        "{thing} (mức|số) mấy",
        "(mức|tốc độ) {thing} (đang|) là (bao nhiêu|mấy)",
    ),
    "hỏi nhiệt độ": _question(
        "Để tôi xem nhiệt độ của {thing}",
        "{thing} (đang|) (để|đặt|ở|đặt ở|) (bao nhiêu|mấy) độ",
        "nhiệt độ (của|) {thing} (đang|) (là|) (bao nhiêu|mấy)",
    ),
    "hỏi âm lượng": _question(
        "Để tôi xem âm lượng của {thing}",
        "(âm lượng|tiếng) {thing} (đang|) (là|để|) (bao nhiêu|mấy phần trăm|mấy)",
        "{thing} (đang|) (để|) (âm lượng|tiếng) (bao nhiêu|mấy|mấy phần trăm)",
    ),
    "không bật tắt": Action(
        "{thing} không bật tắt được", ("bật{help} {thing} (lên|)", *SWITCH_OFF)
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
        ("{thing} {value}",),
        values=(_degrees(*range(5, 16)), _degrees(*range(31, 46))),
    ),
    "quá nhiệt độ nước": Action(
        "{thing} chỉ đặt được từ 35 đến 65 độ",
        RUN_AT_TEMPERATURE,
        ("{thing} {value}",),
        values=(_degrees(*range(20, 35)), _degrees(*range(66, 96))),
    ),
    "quá âm lượng": Action(
        "Âm lượng {thing} tối đa là 100%",
        SOUND,
        values=(_percents(*range(110, 201, 10)),),
    ),
}
# Of these a sentence can name several, or leave the room out, or take it back.
DONE = tuple(name for name, action in ACTIONS.items() if action.response.startswith(("Đã", "Sẽ")))


# What is done or refused by its value alone.
LIMITED = (
    *("bật mức", "quá mức", "đặt nhiệt độ", "quá nhiệt độ", "đặt nhiệt độ nước"),
    *("quá nhiệt độ nước", "chỉnh âm lượng", "quá âm lượng"),
)


# The house: which actions are asked of each device, and in which rooms it stands.

# The ways to name a room; the answer uses the first.
ROOM_NAMES = {
    "phòng khách": ("phòng khách", "p.khách", "pk", "p khách", "phòng tiếp khách", "pkhach"),
    "phòng ngủ": ("phòng ngủ", "pn", "p.ngủ", "buồng ngủ", "p ngủ", "pngu"),
    "phòng bếp": ("phòng bếp", "bếp", "nhà bếp", "p.bếp", "dưới bếp", "p bếp"),
    "phòng ăn": ("phòng ăn", "p.ăn", "p ăn", "chỗ ăn cơm"),
    "phòng tắm": ("phòng tắm", "nhà tắm", "p.tắm", "p tắm", "toilet", "nhà vệ sinh", "wc"),
    "phòng làm việc": ("phòng làm việc", "p.làm việc", "plv", "p làm việc", "phòng việc"),
    "phòng trẻ em": (
        "phòng trẻ em",
        "p.trẻ em",
        "phòng bé",
        "phòng con",
        "phòng tụi nhỏ",
        "phòng trẻ",
    ),
    "phòng giặt": ("phòng giặt", "p.giặt", "phòng giặt đồ", "p giặt", "chỗ giặt đồ"),
    "hành lang": ("hành lang", "ngoài hành lang", "lối đi hành lang", "h.lang"),
    "ban công": ("ban công", "ngoài ban công", "bancong", "ngoài bancông"),
    "sân trước": ("sân trước", "ngoài sân trước", "trước sân", "sân trước nhà"),
    "sân thượng": ("sân thượng", "trên sân thượng", "tầng thượng", "trên tầng thượng"),
    "gara": ("gara", "ga ra", "nhà xe", "garage", "gara xe", "trong gara"),
    "tầng hầm": ("tầng hầm", "dưới tầng hầm", "hầm", "dưới hầm", "hầm nhà"),
}
ROOMS = tuple(ROOM_NAMES)
IN = ("ở", "trong", "ở trong", "bên", "của", "chỗ", "ngoài", "trên", "dưới")

# The ways to name a device, beside its name.
DEVICE_NAMES = {
    "đèn": ("bóng đèn", "điện"),
    "đèn ngủ": ("cái đèn ngủ",),
    "quạt": ("quạt máy", "quạt điện"),
    "quạt trần": ("cái quạt trần",),
    "quạt thông gió": ("quạt hút", "quạt hút mùi", "quạt thông hơi"),
    "máy lạnh": ("điều hòa", "đh", "điều hoà", "mlạnh", "đhoà", "máy điều hòa", "ml"),
    "máy sưởi": ("lò sưởi", "quạt sưởi", "sưởi"),
    "bình nóng lạnh": ("máy nước nóng", "nóng lạnh", "bình nước nóng", "bình nóng"),
    "máy lọc không khí": (
        "máy lọc",
        "lọc không khí",
        "máy lọc khí",
        "máy lọc kk",
        "máy lọc ko khí",
    ),
    "máy hút ẩm": ("hút ẩm", "máy hút ẩm"),
    "tivi": ("tv", "ti vi", "TV", "tivi", "TiVi"),
    "loa": ("cái loa", "loa"),
    "máy chiếu": ("projector", "máy chiếu phim"),
    "nồi cơm điện": ("nồi cơm", "nồi điện"),
    "máy giặt": ("máy giặt đồ", "mgiặt"),
    "robot hút bụi": ("robot", "máy hút bụi", "rô bốt hút bụi", "con robot", "robot lau nhà"),
    "camera": ("cam", "camera an ninh", "ca mê ra"),
    "vòi tưới": ("vòi nước tưới", "máy tưới", "hệ thống tưới", "vòi tưới cây"),
    "rèm": ("rèm cửa", "màn cửa", "cái rèm"),
    "cửa sổ": ("cửa sổ", "cánh cửa sổ"),
    "cửa": ("cánh cửa", "cửa ra vào"),
    "cửa cuốn": ("cửa cuốn", "cửa cuốn điện"),
    "cổng": ("cửa cổng", "cánh cổng"),
    "mái che": ("mái hiên", "bạt che", "mái che"),
    "màn chiếu": ("màn chiếu", "phông chiếu"),
}


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
        (*POWER, *TIMER, *LEVEL, "không nhiệt độ"),
    ),
    "quạt trần": Device(LIVING, (*POWER, *TIMER, *LEVEL, "không nâng hạ")),
    "quạt thông gió": Device(
        ("phòng bếp", "phòng tắm", "phòng giặt", "gara", "tầng hầm"),
        (*POWER, "hẹn tắt", *LEVEL, "không độ sáng"),
    ),
    "máy lạnh": Device(LIVING, (*POWER, *TIMER, *TEMPERATURE, "không âm lượng")),
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
        (*POWER, *TIMER, "không âm lượng"),
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
