"""Ages, dates, sizes and durations as people write them, and dates as mail carries them.

The law of this room: pure, without a clock and without the system's zone. What people write has one strict grammar and
nothing is guessed: in a tool that deletes mail, a guess is lost mail. What mail says is read or is None: unknown, and
unknown means keep.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from dateutil.relativedelta import relativedelta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import tzinfo

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 9998
"""Years outside are unknown dates; with the last one left out, no zone can push an instant over the edge."""

_LONGEST = 40  # characters of any age, date, size or duration
_OLDEST = 100  # years of an age
_LARGEST = 2**60  # octets of a size
_MOST_PATIENT = 366 * 86400  # seconds of a duration

_AGES = "use 30d, 8w, 6m or 1y"
_DATES = "use 2024, 2024-03 or 2024-03-01"
_SIZES = "use 500K, 10M or 1G"
_DURATIONS = "use 90s, 10min or 2h"

_AGE = re.compile(r"(?:([0-9]+)y)?(?:([0-9]+)m)?(?:([0-9]+)w)?(?:([0-9]+)d)?")
_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_SIZE = re.compile(r"([0-9]+)([KMGT]?)")
_DURATION = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)min)?(?:([0-9]+)s)?")
_DECIMAL = re.compile(r"([0-9]+)[.,]([0-9]+)([A-Za-z]+)")
_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905 - a list of twelve is longer
)


class DateSyntaxError(ValueError):
    """A text that is not an age, date, size or duration.

    Args:
        message: Begins with the text in quotes; the caller puts the name of the option in front.
        hint: What to write instead.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Age:
    """A span of calendar time, as `parse_age` reads it."""

    years: int = 0
    months: int = 0
    weeks: int = 0
    days: int = 0


class Period(NamedTuple):
    """The days from `start` up to, and without, `end`."""

    start: date
    end: date


def parse_age(text: str) -> Age:
    """Read `1y`, `18m` (months), `1y6m`, `2w` or `90d`: y, m, w, d in this order, each at most once, none of them zero.

    Raises:
        DateSyntaxError: It is anything else, or longer than 100 years.
    """
    found = _match(_AGE, text)
    if found is None:
        raise _not_an_age(text)
    numbers = [None if group is None else int(group) for group in found.groups()]
    if 0 in numbers:
        raise DateSyntaxError(f"{_shown(text)}: zero is no age", "use 1d or more, or leave the option out")
    years, months, weeks, days = (number or 0 for number in numbers)
    if years * 12 + months + (weeks * 7 + days) / 31 > _OLDEST * 12:
        raise DateSyntaxError(f"{_shown(text)}: too long ago for mail", f"the longest age is {_OLDEST}y")
    return Age(years, months, weeks, days)


def cut_off(age: Age, now: datetime) -> datetime:
    """Count back from the start of today: years and months by the calendar (29 February - 1y = 28 February), then days.

    Args:
        age: From `parse_age`.
        now: Aware. Its zone is the local zone; give a zone with rules, not today's offset, so that the offset is the
            one of that day.

    Returns:
        The start of that day, aware in the zone of `now`.
    """
    span = relativedelta(years=age.years, months=age.months, weeks=age.weeks, days=age.days)
    return _start(now.date() - span, now.tzinfo)


def back(text: str, now: datetime) -> datetime:
    """Count back from this moment, not from the start of today: by an age such as `2d`, or a duration such as `36h`.

    Raises:
        DateSyntaxError: It is neither.
    """
    if re.search(r"[0-9](?:h|min|s)$", text):
        return now - timedelta(seconds=parse_duration(text))
    age = parse_age(text)
    return now - relativedelta(years=age.years, months=age.months, weeks=age.weeks, days=age.days)


def parse_date(text: str) -> Period:
    """Read `2024`, `2024-03` or `2024-03-01` as the half-open period of its days.

    Raises:
        DateSyntaxError: It is anything else, a day that is not in the calendar, or not in the years 1970 to 9998.
    """
    found = _match(_DATE, text)
    if found is None:
        raise _not_a_date(text)
    year, month, day = (None if group is None else int(group) for group in found.groups())
    assert year is not None
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise DateSyntaxError(f"{_shown(text)}: the year is not from {FIRST_YEAR} to {LAST_YEAR}", _DATES)
    if month is None:
        return Period(date(year, 1, 1), date(year + 1, 1, 1))
    if not 1 <= month <= 12:
        raise DateSyntaxError(f"{_shown(text)}: there is no month {month}", "months go from 01 to 12")
    length = monthrange(year, month)[1]
    if day is None:
        return Period(date(year, month, 1), date(year, month, length) + timedelta(days=1))
    if day < 1:
        raise DateSyntaxError(f"{_shown(text)}: there is no day 0", "days go from 01")
    if day > length:
        raise DateSyntaxError(f"{_shown(text)}: {_MONTHS[month - 1]} {year} has {length} days")
    return Period(date(year, month, day), date(year, month, day) + timedelta(days=1))


def start_of(text: str, zone: tzinfo | None) -> datetime:
    """Give the instant at which a date begins in a zone.

    `--before X` takes the instants before it and `--after X` those at or after it, so that `--after 2023 --before 2024`
    is exactly the year 2023.

    Raises:
        DateSyntaxError: As `parse_date`.
    """
    return _start(parse_date(text).start, zone)


def _start(day: date, zone: tzinfo | None) -> datetime:
    """Give the start of a day: the first of two midnights; where a change of the clock leaves none out, its instant."""
    if zone is None:
        raise TypeError("a zone is needed: the time is naive")
    wall = datetime(day.year, day.month, day.day, tzinfo=zone)
    # By way of UTC, so that a midnight that the clock jumped over comes back as the time it was.
    return wall.astimezone(UTC).astimezone(zone)


def describe(instant: datetime) -> str:
    """Write an instant for people: `2025-11-23 00:00 CET`."""
    return f"{instant:%Y-%m-%d %H:%M} {instant.tzname() or ''}".rstrip()


def parse_size(text: str) -> int:
    """Read `500K`, `10M`, `1G`, `2T` (each 1024 times the one before) or a number of octets.

    Raises:
        DateSyntaxError: It is anything else, or more than 2**60.
    """
    found = _match(_SIZE, text)
    if found is None:
        raise _not_a_size(text)
    size = int(found[1]) << 10 * " KMGT".index(found[2] or " ")
    if size > _LARGEST:
        raise DateSyntaxError(f"{_shown(text)}: no mail is that large", _SIZES)
    return size


def parse_duration(text: str) -> float:
    """Read `90s`, `10min`, `2h` or `1h30min` as seconds; zero is one, a bare `m` is none: it means months.

    Raises:
        DateSyntaxError: It is anything else, or over 366 days.
    """
    found = _match(_DURATION, text)
    if found is None:
        raise _not_a_duration(text)
    hours, minutes, seconds = (int(group or 0) for group in found.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total > _MOST_PATIENT:
        raise DateSyntaxError(f"{_shown(text)}: too long to wait", f"use at most {_MOST_PATIENT // 3600}h")
    return float(total)


def _match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return pattern.fullmatch(text) if 0 < len(text) <= _LONGEST else None


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


class _Kind(NamedTuple):
    """What a text should have been: in words, with examples, its form, and its reader."""

    what: str
    examples: str
    form: re.Pattern[str]
    parse: Callable[[str], object]

    def reads(self, text: str) -> bool:
        # Only what has the form is parsed, else the search for a hint would begin anew.
        if _match(self.form, text) is None:
            return False
        try:
            self.parse(text)
        except DateSyntaxError:
            return False
        return True


def _refusal(text: str, kind: _Kind, rewritten: Iterable[tuple[str, str]]) -> DateSyntaxError:
    """Say what is wrong, and the first of the rewritten texts that could be read; else only that it cannot be."""
    if not text.strip():
        return DateSyntaxError(f"{_shown(text)}: {kind.what} is missing", kind.examples)
    if len(text) <= _LONGEST:
        for complaint, candidate in rewritten:
            if kind.reads(candidate):
                return DateSyntaxError(f"{_shown(text)}: {complaint}", f"write {candidate}")
    trouble = f"{kind.what} has no decimals" if _DECIMAL.fullmatch(text) else f"is not {kind.what}"
    return DateSyntaxError(f"{_shown(text)}: {trouble}", kind.examples)


def _not_an_age(text: str) -> DateSyntaxError:
    if re.fullmatch("[0-9]+", text):
        return DateSyntaxError(f"{_shown(text)}: a unit is missing", _AGES)
    plain = "".join(text.split())
    words = plain.lower()
    for pattern, unit in (("years?|yrs?", "y"), ("months?|mons?|mos?", "m"), ("weeks?|wks?", "w"), ("days?", "d")):
        words = re.sub(f"(?<=[0-9])(?:{pattern})(?![a-z])", unit, words)
    parts = re.findall("[0-9]+[ymwd]", plain) if len(text) <= _LONGEST else []
    in_order = "".join(sorted(parts, key=lambda part: "ymwd".index(part[-1])))
    if re.fullmatch("[0-9]+(?:h|hours?|hrs?|min|mins|minutes?|s|secs?|seconds?)", words):
        return DateSyntaxError(f"{_shown(text)}: the smallest unit is a day", _AGES)
    return _refusal(
        text,
        _Kind("an age", _AGES, _AGE, parse_age),
        [
            ("an age is written without blanks", plain),
            ("is that months?" if "M" in plain else "the units are small letters", plain.lower()),
            ("an age has no sign", plain.lstrip("+-\N{MINUS SIGN}")),
            ("the units are y, m, w and d", words),
            ("an age has no decimals", _without_decimals(plain, {"y": (12, "m"), "w": (7, "d")})),
            # Only a text that is nothing but such parts: what else it says must not be lost.
            ("the units stand in the order y, m, w, d", in_order if len(in_order) == len(plain) else ""),
        ],
    )


def _not_a_date(text: str) -> DateSyntaxError:
    kind = _Kind("a date", _DATES, _DATE, parse_date)
    plain = text.strip()
    if len(plain) <= _LONGEST:
        if _AGE.fullmatch(plain) and plain:
            return DateSyntaxError(f"{_shown(text)}: is an age", "ages go with --older-than and --newer-than")
        if re.fullmatch(r"[0-9]{1,2}([-/.])[0-9]{1,2}\1[0-9]{2}", plain):
            return DateSyntaxError(f"{_shown(text)}: can be read in several ways", _DATES)
    found = re.fullmatch(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4})", plain)
    readings = [f"{found[4]}-{found[m]:0>2}-{found[d]:0>2}" for m, d in ((3, 1), (1, 3))] if found else []
    valid = [reading for reading in dict.fromkeys(readings) if kind.reads(reading)]
    if len(valid) == 2:
        return DateSyntaxError(f"{_shown(text)}: can be read two ways", f"write {valid[0]} or {valid[1]}")
    rewritten = [("a date begins with the year", reading) for reading in valid]
    if found := re.fullmatch(r"([0-9]{4})([-/. ]?)([0-9]{1,2})(?:\2([0-9]{1,2}))?", plain):
        day = f"-{found[4]:0>2}" if found[4] else ""
        rewritten.append(("a date is written with hyphens and two digits", f"{found[1]}-{found[3]:0>2}{day}"))
    if found := re.fullmatch(r"([0-9]{1,2})[-/.]([0-9]{4})", plain):
        rewritten.append(("a date begins with the year", f"{found[2]}-{found[1]:0>2}"))
    if found := re.match(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]", plain):
        rewritten.append(("a date has no time of day", found[1]))
    return _refusal(text, kind, [("a date has no blanks", plain), *rewritten])


def _not_a_size(text: str) -> DateSyntaxError:
    plain = "".join(text.split())
    steps = {"T": (1024, "G"), "G": (1024, "M"), "M": (1024, "K"), "K": (1024, "")}
    return _refusal(
        text,
        _Kind("a size", _SIZES, _SIZE, parse_size),
        [
            ("a size is written without blanks", plain),
            ("the units are large letters", plain.upper()),
            ("a size has no sign", plain.lstrip("+-\N{MINUS SIGN}")),
            ("the units are K, M, G and T", re.sub("(?:I?B|BYTES?|OCTETS?)$", "", plain.upper())),
            ("a size has no decimals", _without_decimals(plain, steps)),
        ],
    )


def _not_a_duration(text: str) -> DateSyntaxError:
    if re.fullmatch("[0-9]+", text):
        return DateSyntaxError(f"{_shown(text)}: a unit is missing", _DURATIONS)
    plain = "".join(text.split()).lower()
    words = plain
    for pattern, unit in (("hours?|hrs?", "h"), ("minutes?|mins?", "min"), ("seconds?|secs?", "s")):
        words = re.sub(f"(?<=[0-9])(?:{pattern})(?![a-z])", unit, words)
    days = re.fullmatch("([0-9]+)(?:d|days?)", plain) if len(text) <= _LONGEST else None
    return _refusal(
        text,
        _Kind("a duration", _DURATIONS, _DURATION, parse_duration),
        [
            ("a duration is written without blanks and large letters", plain),
            ("m means months", re.sub("(?<=[0-9])m(?![a-z])", "min", plain)),
            ("the units are h, min and s", words),
            ("the largest unit is an hour", f"{int(days[1]) * 24}h" if days else ""),
            ("a duration has no sign", plain.lstrip("+-\N{MINUS SIGN}")),
            ("a duration has no decimals", _without_decimals(plain, {"h": (60, "min"), "min": (60, "s")})),
        ],
    )


def _without_decimals(text: str, smaller: dict[str, tuple[int, str]]) -> str:
    """Write `1.5y` as `1y6m`, and `1.5G`, which has one unit only, as `1536M`; empty where that is not exact."""
    found = _DECIMAL.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None or found[3] not in smaller:
        return ""
    factor, unit = smaller[found[3]]
    amount, rest = divmod(int(found[1] + found[2]) * factor, 10 ** len(found[2]))
    if rest or not amount:
        return ""
    whole, part = (amount // factor, amount % factor) if found[3] in ("y", "h") else (0, amount)
    return (f"{whole}{found[3]}" if whole else "") + (f"{part}{unit}" if part else "")


_MONTH_NUMBERS = {name[:3].upper().encode(): number for number, name in enumerate(_MONTHS, 1)}
_MINUTES = {f" {hour:02}:{minute:02}:".encode(): (hour, minute) for hour in range(24) for minute in range(60)}
_SECONDS = {f"{second:02} ".encode(): second for second in range(60)}
_EPOCH = date(1970, 1, 1).toordinal()
_TIME_ZONE = re.compile(rb"([+-])([0-9]{2})([0-5][0-9])")
_USUAL = re.compile(
    r" *(?:[A-Za-z]{3}, )?([0-9]{1,2}) ([A-Za-z]{3}) ([0-9]{4})"
    r" ([0-2][0-9]:[0-5][0-9]:[0-5][0-9] (?!-0000)[+-][0-9]{4})(?: \([A-Z]{1,5}\))? *"
)
_DAY = re.compile(rb"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4})")


def parse_internal_date(text: bytes) -> datetime | None:
    """Read a date-time of RFC 9051 section 9 without its quotes, such as ` 7-Jul-1996 02:44:25 -0700`.

    Returns:
        An aware datetime, or None if it is not one: a day that is not, a leap second, a year outside 1970 to 9998, a
        zone outside -1200 to +1400. It never raises.
    """
    if len(text) != 26:
        text = text.strip().rjust(26)
    # Slices and tables, and nothing that is built twice for a day: this runs once for every message of a mailbox.
    day, minute, second = _internal_day(text[:11]), _MINUTES.get(text[11:18]), _SECONDS.get(text[18:21])
    zone = _zone(text[21:])
    if day is None or minute is None or second is None or zone is None:
        return None
    return datetime(day[0], day[1], day[2], minute[0], minute[1], second, 0, zone)


def internal_instant(text: bytes) -> tuple[int, int] | None:
    """Read the same as `parse_internal_date` as seconds of POSIX and minutes east of UTC, without making an object."""
    if len(text) != 26:
        text = text.strip().rjust(26)
    begin, minute, second = _internal_midnight(text[:11]), _MINUTES.get(text[11:18]), _SECONDS.get(text[18:21])
    east = _minutes_east(text[21:])
    if begin is None or minute is None or second is None or east is None:
        return None
    return begin + minute[0] * 3600 + minute[1] * 60 + second - east * 60, east


@lru_cache(maxsize=4096)
def _internal_midnight(text: bytes) -> int | None:
    """Give the beginning of a day in UTC."""
    day = _internal_day(text)
    return (date(*day).toordinal() - _EPOCH) * 86400 if day is not None else None


@lru_cache(maxsize=256)
def _minutes_east(text: bytes) -> int | None:
    zone = _zone(text)
    return zone.utcoffset(None) // timedelta(minutes=1) if zone is not None else None


@lru_cache(maxsize=4096)
def _internal_day(text: bytes) -> tuple[int, int, int] | None:
    found = _DAY.fullmatch(text)
    if found is None:
        return None
    day, month, year = int(found[1]), _MONTH_NUMBERS.get(found[2].upper(), 0), int(found[3])
    if not (month and FIRST_YEAR <= year <= LAST_YEAR and 1 <= day <= monthrange(year, month)[1]):
        return None
    return year, month, day


@lru_cache(maxsize=256)
def _zone(text: bytes) -> timezone | None:
    found = _TIME_ZONE.fullmatch(text)
    if found is None:
        return None
    offset = timedelta(hours=int(found[2]), minutes=int(found[3])) * (-1 if found[1] == b"-" else 1)
    return timezone(offset) if _is_zone(offset) else None


def _is_zone(offset: timedelta | None) -> bool:
    return offset is not None and timedelta(hours=-12) <= offset <= timedelta(hours=14)


def parse_header_date(text: str) -> datetime | None:
    """Read the value of a Date field (RFC 5322 section 3.3), with the usual mistakes.

    Returns:
        An aware datetime, or None if it is not a date, names no zone that is known (`-0000` is UTC), or lies outside
        the years and zones of `parse_internal_date`. It never raises.
    """
    if len(text) > 1000:
        return None
    # As nearly all mail has it, and a fraction of the time.
    if usual := _USUAL.fullmatch(text):
        moment = parse_internal_date(f"{usual[1]:>2}-{usual[2]}-{usual[3]} {usual[4]}".encode("ascii"))
        if moment is not None:
            return moment
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            if "-0000" not in text.split():
                return None
            moment = moment.replace(tzinfo=UTC)
        return moment if FIRST_YEAR <= moment.year <= LAST_YEAR and _is_zone(moment.utcoffset()) else None
    except Exception:  # noqa: BLE001 - whatever a sender makes that parser do, the date is unknown
        return None
