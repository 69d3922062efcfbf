"""The text of a cell of Excel, as its number format shows it.

References:
    ECMA-376, part 1, section 18.8.31 (number formats).
"""

import datetime
import decimal
import re

LOCAL_DATE = "mm-dd-yy"  # format 14, which Excel shows as the user's country writes a date
_LITERAL = re.compile(r'\[[^\]]*\]|"[^"]*"|\\.|_.|\*.')
_DATE_PART = re.compile(r"AM/PM|y+|m+|d+|h+|s+|.", re.IGNORECASE)
_DATE_CODES = {"yyyy": "%Y", "yy": "%y", "mmmm": "%B", "mmm": "%b", "dddd": "%A", "ddd": "%a"}


def cell_text(value, number_format="General"):
    """A cell as text.

    Args:
        value: what openpyxl reads: `None`, str, bool, int, float, a date, a time, a duration.
        number_format: str, "0.00", "dd/mm/yyyy".

    Example:
        >>> cell_text(0.125, "0.0%")
        '12.5%'
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return _date(value, number_format)
    return _number(value, number_format)


def _number(value, number_format):
    pattern = _LITERAL.sub("", number_format.split(";")[0])
    found = re.fullmatch(r"(0+)(\.0+)?(%?)", re.sub("[#, ]", "", pattern))
    if not found or abs(value) >= 1e15:  # General, text, fractions, powers of ten
        return f"{value:.15g}" if abs(value) < 1e15 else f"{value:.0f}"
    digits, places, percent = len(found[1]), len(found[2] or ""), found[3]
    exact = decimal.Decimal(f"{value:.15g}") * (100 if percent else 1)
    # Excel rounds halves away from zero
    exact = exact.quantize(decimal.Decimal(10) ** -max(places - 1, 0), decimal.ROUND_HALF_UP)
    layout = "," if "," in pattern else f"0{digits + places + (exact < 0)}"
    return f"{exact:{layout}f}{percent}"


def _date(value, number_format):
    """A date or a time; in the form of Vietnam where the form is the country's."""
    pattern = _LITERAL.sub("", number_format.split(";")[0])
    if pattern == LOCAL_DATE:
        pattern = "dd/mm/yyyy"
    if not re.search("[ymdhs]", pattern, re.IGNORECASE):
        return str(value)
    parts = _DATE_PART.findall(pattern)
    has_half_days = any(part.upper() == "AM/PM" for part in parts)
    shown, is_time = [], False
    for index, part in enumerate(parts):
        code = part.lower()
        following = "".join(parts[index + 1 :]).lower().lstrip(":. ")
        if code in ("m", "mm") and (is_time or following.startswith("s")):
            number = value.minute
        elif code in _DATE_CODES:
            shown.append(value.strftime(_DATE_CODES[code]))
            continue
        elif code == "am/pm":
            shown.append("AM" if value.hour < 12 else "PM")
            continue
        elif code[0] not in "ymdhs":
            shown.append(part)
            continue
        else:
            number = _part(value, code[0], has_half_days)
        is_time = code[0] in "hs" or (is_time and code[0] != "m")
        shown.append(f"{number:0{min(len(part), 2)}}")
    return "".join(shown)


def _part(value, letter, has_half_days):
    if letter == "h":
        return (value.hour + 11) % 12 + 1 if has_half_days else value.hour
    return getattr(value, {"y": "year", "m": "month", "d": "day", "s": "second"}[letter])
