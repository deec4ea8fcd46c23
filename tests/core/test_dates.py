"""Ages, dates, sizes and durations of people, and dates of mail (`mailarchive.dates`)."""

from __future__ import annotations

import re
import timeit
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailarchive.dates import (
    Age,
    DateSyntaxError,
    Period,
    back,
    cut_off,
    describe,
    parse_age,
    parse_date,
    parse_duration,
    parse_header_date,
    parse_internal_date,
    parse_size,
    start_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 8, 15, tzinfo=BERLIN)
AGES = "use 30d, 8w, 6m or 1y"
DATES = "use 2024, 2024-03 or 2024-03-01"
SIZES = "use 500K, 10M or 1G"
DURATIONS = "use 90s, 10min or 2h"


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("1y", Age(years=1)),
        ("18m", Age(months=18)),
        ("1y6m", Age(1, 6)),
        ("2w", Age(weeks=2)),
        ("90d", Age(days=90)),
        ("1y2m3w4d", Age(1, 2, 3, 4)),
        ("100y", Age(100)),
        ("01d", Age(days=1)),
    ],
)
def test_an_age_is_read(text: str, age: Age) -> None:
    """y, m, w and d in this order, each at most once."""
    assert parse_age(text) == age


@pytest.mark.parametrize(
    ("text", "complaint", "hint"),
    [
        ("1", "'1': a unit is missing", AGES),
        ("1M", "'1M': is that months?", "write 1m"),
        ("1y6M", "'1y6M': is that months?", "write 1y6m"),
        ("1Y", "'1Y': the units are small letters", "write 1y"),
        ("1h", "'1h': the smallest unit is a day", AGES),
        ("10min", "'10min': the smallest unit is a day", AGES),
        ("1year", "'1year': the units are y, m, w and d", "write 1y"),
        ("6 months", "'6 months': the units are y, m, w and d", "write 6m"),
        ("1 y", "'1 y': an age is written without blanks", "write 1y"),
        ("1y\n", "'1y\\n': an age is written without blanks", "write 1y"),
        ("1.5y", "'1.5y': an age has no decimals", "write 1y6m"),
        ("0,5y", "'0,5y': an age has no decimals", "write 6m"),
        ("1.3y", "'1.3y': an age has no decimals", AGES),
        ("-1y", "'-1y': an age has no sign", "write 1y"),
        ("6m1y", "'6m1y': the units stand in the order y, m, w, d", "write 1y6m"),
        ("1y1y", "'1y1y': is not an age", AGES),
        ("1y, 6m", "'1y, 6m': is not an age", AGES),
        ("", "'': an age is missing", AGES),
        (" ", "' ': an age is missing", AGES),
        ("0d", "'0d': zero is no age", "use 1d or more, or leave the option out"),
        ("1y0m", "'1y0m': zero is no age", "use 1d or more, or leave the option out"),
        ("5000y", "'5000y': too long ago for mail", "the longest age is 100y"),
        ("9" * 20 + "d", f"'{'9' * 20}d': too long ago for mail", "the longest age is 100y"),
        ("old", "'old': is not an age", AGES),
        ("\N{FULLWIDTH DIGIT ONE}y", "'\N{FULLWIDTH DIGIT ONE}y': is not an age", AGES),
        ("\x1b[2Jy", "'\\x1b[2Jy': is not an age", AGES),
    ],
)
def test_f129_what_is_no_age_is_refused_with_a_hint(text: str, complaint: str, hint: str) -> None:
    """The message quotes the text and says what is wrong, the hint says what to write; nothing is guessed."""
    with pytest.raises(DateSyntaxError) as caught:
        parse_age(text)
    assert (caught.value.message, caught.value.hint) == (complaint, hint)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024", date(2024, 1, 1), date(2025, 1, 1)),
        ("2024-02", date(2024, 2, 1), date(2024, 3, 1)),
        ("2024-12", date(2024, 12, 1), date(2025, 1, 1)),
        ("2024-02-29", date(2024, 2, 29), date(2024, 3, 1)),
        ("2023-12-31", date(2023, 12, 31), date(2024, 1, 1)),
        ("1970", date(1970, 1, 1), date(1971, 1, 1)),
        ("9998-12-31", date(9998, 12, 31), date(9999, 1, 1)),
    ],
)
def test_a_date_is_the_half_open_period_of_its_days(text: str, start: date, end: date) -> None:
    """A year, a month or a day, up to and without the end."""
    assert parse_date(text) == Period(start, end)


@pytest.mark.parametrize(
    ("text", "complaint", "hint"),
    [
        ("03/04/2024", "'03/04/2024': can be read two ways", "write 2024-04-03 or 2024-03-04"),
        ("3.4.2024", "'3.4.2024': can be read two ways", "write 2024-04-03 or 2024-03-04"),
        ("04/04/2024", "'04/04/2024': a date begins with the year", "write 2024-04-04"),
        ("25/04/2024", "'25/04/2024': a date begins with the year", "write 2024-04-25"),
        ("04/25/2024", "'04/25/2024': a date begins with the year", "write 2024-04-25"),
        ("31/31/2024", "'31/31/2024': is not a date", DATES),
        ("03/2024", "'03/2024': a date begins with the year", "write 2024-03"),
        ("03/04/24", "'03/04/24': can be read in several ways", DATES),
        ("2024-02-30", "'2024-02-30': February 2024 has 29 days", ""),
        ("2023-02-29", "'2023-02-29': February 2023 has 28 days", ""),
        ("2024-09-31", "'2024-09-31': September 2024 has 30 days", ""),
        ("2024-13", "'2024-13': there is no month 13", "months go from 01 to 12"),
        ("2024-00-01", "'2024-00-01': there is no month 0", "months go from 01 to 12"),
        ("2024-03-00", "'2024-03-00': there is no day 0", "days go from 01"),
        ("1969", "'1969': the year is not from 1970 to 9998", DATES),
        ("9999-01-01", "'9999-01-01': the year is not from 1970 to 9998", DATES),
        ("10000", "'10000': is not a date", DATES),
        ("20240301", "'20240301': a date is written with hyphens and two digits", "write 2024-03-01"),
        ("2024/3/1", "'2024/3/1': a date is written with hyphens and two digits", "write 2024-03-01"),
        ("2024-3", "'2024-3': a date is written with hyphens and two digits", "write 2024-03"),
        ("2024-03-01T10:00", "'2024-03-01T10:00': a date has no time of day", "write 2024-03-01"),
        (" 2024", "' 2024': a date has no blanks", "write 2024"),
        ("18m", "'18m': is an age", "ages go with --older-than and --newer-than"),
        ("10", "'10': is not a date", DATES),
        ("may", "'may': is not a date", DATES),
        ("yesterday", "'yesterday': is not a date", DATES),
        ("", "'': a date is missing", DATES),
    ],
)
def test_f129_what_is_no_date_is_refused_with_a_hint(text: str, complaint: str, hint: str) -> None:
    """A date that has two readings gets both as a hint and is never read as one of them."""
    with pytest.raises(DateSyntaxError) as caught:
        parse_date(text)
    assert (caught.value.message, caught.value.hint) == (complaint, hint)


@pytest.mark.parametrize(
    ("text", "octets"),
    [("0", 0), ("1234", 1234), ("500K", 512000), ("10M", 10 * 1024**2), ("1G", 1024**3), ("2T", 2 * 1024**4)],
)
def test_a_size_is_read_in_steps_of_1024(text: str, octets: int) -> None:
    """K, M, G and T, or a bare number of octets."""
    assert parse_size(text) == octets


@pytest.mark.parametrize(
    ("text", "complaint", "hint"),
    [
        ("10Gb", "'10Gb': the units are K, M, G and T", "write 10G"),
        ("10 GB", "'10 GB': the units are K, M, G and T", "write 10G"),
        ("10MiB", "'10MiB': the units are K, M, G and T", "write 10M"),
        ("10m", "'10m': the units are large letters", "write 10M"),
        ("10 M", "'10 M': a size is written without blanks", "write 10M"),
        ("1.5G", "'1.5G': a size has no decimals", "write 1536M"),
        ("0.0001K", "'0.0001K': a size has no decimals", SIZES),
        ("-1", "'-1': a size has no sign", "write 1"),
        ("1,000", "'1,000': is not a size", SIZES),
        ("", "'': a size is missing", SIZES),
        ("9999999T", "'9999999T': no mail is that large", SIZES),
        ("\N{SUPERSCRIPT TWO}", "'\N{SUPERSCRIPT TWO}': is not a size", SIZES),
    ],
)
def test_f129_what_is_no_size_is_refused_with_a_hint(text: str, complaint: str, hint: str) -> None:
    """Bits, decimals, signs and blanks are not guessed at."""
    with pytest.raises(DateSyntaxError) as caught:
        parse_size(text)
    assert (caught.value.message, caught.value.hint) == (complaint, hint)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90.0), ("10min", 600.0), ("2h", 7200.0), ("1h30min", 5400.0), ("0s", 0.0)]
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    """h, min and s in this order, each at most once."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "complaint", "hint"),
    [
        ("10m", "'10m': m means months", "write 10min"),
        ("1h10m", "'1h10m': m means months", "write 1h10min"),
        ("90", "'90': a unit is missing", DURATIONS),
        ("2d", "'2d': the largest unit is an hour", "write 48h"),
        ("1.5h", "'1.5h': a duration has no decimals", "write 1h30min"),
        ("5 minutes", "'5 minutes': the units are h, min and s", "write 5min"),
        ("-1s", "'-1s': a duration has no sign", "write 1s"),
        ("9000h", "'9000h': too long to wait", "use at most 8784h"),
        ("500ms", "'500ms': is not a duration", DURATIONS),
        ("", "'': a duration is missing", DURATIONS),
    ],
)
def test_what_is_no_duration_is_refused_with_a_hint(text: str, complaint: str, hint: str) -> None:
    """A bare m is refused: it means months everywhere else."""
    with pytest.raises(DateSyntaxError) as caught:
        parse_duration(text)
    assert (caught.value.message, caught.value.hint) == (complaint, hint)


PARSERS: list[Callable[[str], object]] = [parse_age, parse_date, parse_size, parse_duration]
NEAR = st.text("0123456789ymwdYMWDhinsKMGTbB.,-+/ T", max_size=12)


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.one_of(st.text(), NEAR))
@example(text="9" * 5000)
@example(text="9" * 5000 + "y")
@example(text=" " * 5000 + "1")
@example(text="1/" * 5000)
def test_any_text_is_a_value_or_a_syntax_error(parse: Callable[[str], object], text: str) -> None:
    """No other exception, a short printable message, and a hint `write X` names something that can be read."""
    refused = None
    try:
        assert parse(text) is not None
    except DateSyntaxError as error:
        refused = error
    if refused is not None:
        assert refused.message.isprintable()
        assert len(refused.message) < 400
        if refused.hint.startswith("write "):
            assert all(parse(word) is not None for word in refused.hint.removeprefix("write ").split(" or "))


@pytest.mark.parametrize(
    ("age", "now", "expected"),
    [
        ("1y", NOW, "2025-11-23 00:00 CET"),
        ("5m", NOW, "2026-06-23 00:00 CEST"),
        ("1y", datetime(2024, 2, 29, 23, 59, tzinfo=UTC), "2023-02-28 00:00 UTC"),
        ("1m", datetime(2025, 3, 31, tzinfo=UTC), "2025-02-28 00:00 UTC"),
        ("1m1d", datetime(2025, 3, 31, tzinfo=UTC), "2025-02-27 00:00 UTC"),
        ("1d", datetime(2026, 1, 1, tzinfo=UTC), "2025-12-31 00:00 UTC"),
        ("2w", datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=14))), "2025-12-18 00:00 UTC+14:00"),
        ("100y", NOW, "1926-11-23 00:00 CET"),
    ],
)
def test_f121_the_cut_off_counts_back_from_the_start_of_today(age: str, now: datetime, expected: str) -> None:
    """Years and months by the calendar, in the offset of that day and not of today."""
    assert describe(cut_off(parse_age(age), now)) == expected


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        # The clock was put forward at midnight: the day begins at 01:00.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T01:00:00-02:00"),
        # The clock was put back at 01:00 to midnight: the first of the two midnights.
        ("America/Havana", "2024-11-03", "2024-11-03T00:00:00-04:00"),
        # The island left this day out.
        ("Pacific/Apia", "2011-12-30", "2011-12-31T00:00:00+14:00"),
        ("Europe/Berlin", "2024-03-31", "2024-03-31T00:00:00+01:00"),
        ("Europe/Berlin", "2024-04-01", "2024-04-01T00:00:00+02:00"),
    ],
)
def test_f121_a_midnight_that_is_missing_or_double_has_one_instant(zone: str, day: str, expected: str) -> None:
    """Where the clock changes at midnight, the start of the day is the first instant after it."""
    assert start_of(day, ZoneInfo(zone)).isoformat() == expected


def test_after_and_before_of_neighbouring_years_make_exactly_one_year() -> None:
    """The start of 2024 is the end of 2023, in the local zone."""
    assert start_of("2023", BERLIN) == datetime(2022, 12, 31, 23, tzinfo=UTC)
    assert start_of("2024", BERLIN) == datetime(2023, 12, 31, 23, tzinfo=UTC)


def test_a_naive_time_is_refused() -> None:
    """Without a zone there is no instant; that is our mistake and not the user's."""
    with pytest.raises(TypeError):
        cut_off(Age(1), NOW.replace(tzinfo=None))


ZONES = st.one_of(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Asia/Kathmandu", "UTC"]).map(ZoneInfo),
    st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
NUMBERS = st.tuples(*[st.integers(0, 12)] * 4).filter(any)
NOWS = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - the zone is drawn apart


@given(moment=NOWS, zone=ZONES, numbers=NUMBERS, more=st.tuples(*[st.integers(0, 3)] * 4))
def test_a_cut_off_is_an_earlier_midnight_and_monotonic(
    moment: datetime, zone: ZoneInfo | timezone, numbers: tuple[int, ...], more: tuple[int, ...]
) -> None:
    """It is a local midnight of an earlier day, keeps the zone, and an age with larger numbers reaches further back."""
    now = moment.replace(tzinfo=zone)
    found = cut_off(Age(*numbers), now)
    assert (found.hour, found.minute, found.second, found.microsecond) == (0, 0, 0, 0)
    assert found.tzinfo is zone
    assert found.date() < now.date()
    assert found < now
    assert cut_off(Age(*(one + other for one, other in zip(numbers, more, strict=True))), now) <= found


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"17-Jul-1996 02:44:25 -0700", "1996-07-17T02:44:25-07:00"),
        (b" 7-Jul-1996 02:44:25 -0700", "1996-07-07T02:44:25-07:00"),
        (b"7-Jul-1996 02:44:25 -0700", "1996-07-07T02:44:25-07:00"),
        (b"07-JUL-1996 23:59:59 +1400", "1996-07-07T23:59:59+14:00"),
        (b"01-Jan-1970 00:00:00 +0000", "1970-01-01T00:00:00+00:00"),
        (b"31-Dec-9998 00:00:00 -1200", "9998-12-31T00:00:00-12:00"),
        (b"29-Feb-2024 00:00:00 +0530", "2024-02-29T00:00:00+05:30"),
    ],
)
def test_an_internal_date_is_read(octets: bytes, expected: str) -> None:
    """The date-time of RFC 9051, with its zone, and with a one-digit day in both spellings."""
    found = parse_internal_date(octets)
    assert found is not None
    assert found.isoformat() == expected


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"garbage",
        b"17-Jul-0001 02:44:25 +0000",
        b"17-Jul-1969 02:44:25 +0000",
        b"17-Jul-9999 02:44:25 +0000",
        b"17-Jul-1996 02:44:60 +0000",
        b"17-Jul-1996 02:60:00 +0000",
        b"17-Jul-1996 24:00:00 +0000",
        b"17-Jul-1996 02:44:25 +1401",
        b"17-Jul-1996 02:44:25 -1201",
        b"17-Jul-1996 02:44:25 +0060",
        b"17-Jul-1996 02:44:25 GMT  ",
        b"17-Jul-1996 02:44:25      ",
        b"17-Xyz-1996 02:44:25 +0000",
        b"30-Feb-1996 02:44:25 +0000",
        b"00-Jan-1996 02:44:25 +0000",
        b"17-Jul-1996T02:44:25 +0000",
        b"17-Jul-1996 02.44.25 +0000",
        b"17-Jul-96 02:44:25 +0000",
        b"17-Jul-1996 02:44:25 +0000 x",
        b"\xb9\xb2-Jul-1996 02:44:25 +0000",
    ],
)
def test_f062_what_is_no_internal_date_is_unknown(octets: bytes) -> None:
    """A date that is not, a leap second, an impossible year or zone: unknown, and unknown means keep."""
    assert parse_internal_date(octets) is None


@given(st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31)), st.integers(-720, 840))  # noqa: DTZ001 - zone apart
def test_every_internal_date_comes_back(moment: datetime, minutes: int) -> None:
    """What is written in the form of the RFC is read as the same instant."""
    moment = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[moment.month * 3 - 3 : moment.month * 3]
    text = f"{moment.day:2}-{month}-{moment.year:04} {moment:%H:%M:%S %z}"
    found = parse_internal_date(text.encode())
    assert found == moment
    assert found is not None
    assert found.utcoffset() == moment.utcoffset()


def test_an_internal_date_costs_little() -> None:
    """Reading one takes some microseconds at most: there is one for every message of a mailbox."""
    text = b"17-Jul-1996 02:44:25 -0700"
    assert min(timeit.repeat(lambda: parse_internal_date(text), number=2000, repeat=5)) / 2000 < 10e-6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sat, 01 Mar 2014 10:00:00 +0100", "2014-03-01T10:00:00+01:00"),
        ("1 Mar 2014 10:00 EST (a comment)", "2014-03-01T10:00:00-05:00"),
        ("Sat, 1 Mar 2014 10:00:00 GMT", "2014-03-01T10:00:00+00:00"),
        ("Sat, 1 Mar 2014 10:00:00 -0000", "2014-03-01T10:00:00+00:00"),
        ("Sat, 1 Mar 14 10:00:00 +0000", "2014-03-01T10:00:00+00:00"),
    ],
)
def test_a_header_date_is_read(text: str, expected: str) -> None:
    """Old and sloppy forms too, if they name a zone."""
    found = parse_header_date(text)
    assert found is not None
    assert found.isoformat() == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "Sat, 1 Mar 2014 10:00:00",
        "Sat, 1 Mar 2014 10:00:00 XYZ",
        "Sat, 1 Mar 1967 10:00:00 +0000",
        "Sat, 1 Mar 9999 10:00:00 +0000",
        "Sat, 1 Mar 2014 10:00:60 +0000",
        "Sat, 31 Feb 2014 10:00:00 +0000",
        "Sat, 1 Mar 2014 10:00:00 +9999",
        "Sat, 1 Mar 2014 10:00:00 +1500",
        "Sat, 1 Mar 2014 10:00:00 +0000" + " (x)" * 1000,
    ],
)
def test_what_is_no_header_date_is_unknown(text: str) -> None:
    """No zone, an impossible one, an impossible day or year: unknown."""
    assert parse_header_date(text) is None


@given(st.one_of(st.text(), st.text("0123456789 :+-,JanFebMrGMT()", max_size=40)))
def test_a_header_date_never_raises(text: str) -> None:
    """Any text gives an aware instant of a sane year, or None."""
    found = parse_header_date(text)
    assert found is None or (found.utcoffset() is not None and 1970 <= found.year <= 9998)


@given(st.one_of(st.binary(), st.text("0123456789 :+-JanFebMr", min_size=20, max_size=27).map(str.encode)))
def test_an_internal_date_never_raises(octets: bytes) -> None:
    """Any octets give an aware instant of a sane year, or None."""
    found = parse_internal_date(octets)
    assert found is None or (found.utcoffset() is not None and 1970 <= found.year <= 9998)


@given(
    st.tuples(
        st.sampled_from(["", "Fri, ", "Xyz, ", " "]),
        st.integers(0, 32),
        st.sampled_from(["Jan", "feb", "DEC", "Foo"]),
        st.integers(1969, 2100),
        st.tuples(st.integers(0, 24), st.integers(0, 60), st.integers(0, 60)),
        st.sampled_from(["+0000", "-0000", "+1400", "-1201", "+0599", "+0560", "-0730", "0100"]),
        st.sampled_from(["", " ", " (CET)", " (a comment)"]),
    )
)
def test_a_header_date_of_the_usual_shape_is_read_as_any_other(
    parts: tuple[str, int, str, int, tuple[int, int, int], str, str],
) -> None:
    """The quick way gives what the parser of the standard library gives, or leaves it to that."""
    before, day, month, year, (hour, minute, second), zone, behind = parts
    text = f"{before}{day} {month} {year} {hour:02}:{minute:02}:{second:02} {zone}{behind}"
    with mock.patch("mailarchive.dates._USUAL", re.compile("(?!)")):
        slow = parse_header_date(text)
    assert parse_header_date(text) == slow


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("36h", datetime(2026, 3, 30, 3, 4, 5, tzinfo=UTC)),
        ("1h30min", datetime(2026, 3, 31, 13, 34, 5, tzinfo=UTC)),
        ("0s", datetime(2026, 3, 31, 15, 4, 5, tzinfo=UTC)),
        ("2d", datetime(2026, 3, 29, 15, 4, 5, tzinfo=UTC)),
        ("1w", datetime(2026, 3, 24, 15, 4, 5, tzinfo=UTC)),
        ("1m", datetime(2026, 2, 28, 15, 4, 5, tzinfo=UTC)),
        ("1y1d", datetime(2025, 3, 30, 15, 4, 5, tzinfo=UTC)),
    ],
)
def test_an_age_counted_back_from_this_moment(text: str, instant: datetime) -> None:
    """To the second, by an age or by a duration."""
    assert back(text, datetime(2026, 3, 31, 15, 4, 5, tzinfo=UTC)) == instant


@pytest.mark.parametrize("text", ["", "2", "x", "1M", "0d", "-1d", "2d3h", "h", "99999h"])
def test_what_is_neither_an_age_nor_a_duration(text: str) -> None:
    """Is refused with the wording of either."""
    with pytest.raises(DateSyntaxError):
        back(text, datetime(2026, 3, 31, tzinfo=UTC))
