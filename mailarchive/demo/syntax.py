"""Reads the arguments of an IMAP command and writes strings and dates back (RFC 3501 section 9).

The law of this room: what the grammar does not allow is refused as BAD with one sentence, never guessed at; nothing
here knows what a command means.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, TypeVar

from mailarchive.demo import names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
Ranges = list[tuple[int, int]]
"""Inclusive, rising, not touching."""

SYSTEM_FLAGS = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")
HIGHEST = 2**32 - 1
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_ATOM = re.compile(rb'[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
_ASTRING = re.compile(rb'[^\x00-\x20(){%*"\\\x7f-\xff]+')
_PATTERN = re.compile(rb'[^\x00-\x20(){"\\\x7f-\xff]+')
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{\d+\+?\}\r\n")
_NUMBER = re.compile(rb"\d{1,10}(?!\d)")
_SET = re.compile(rb"(?:\d+|\*)(?::(?:\d+|\*))?(?:,(?:\d+|\*)(?::(?:\d+|\*))?)*")
_FLAG = re.compile(rb'\\?[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
_DATE = re.compile(rb"(\d{1,2})-([A-Za-z]{3})-(\d{4})")
_DATE_TIME = re.compile(rb"([ \d]\d)-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_SPELLING = {flag.lower(): flag for flag in SYSTEM_FLAGS}


class BadError(Exception):
    """The command breaks the grammar or comes at the wrong time: a tagged BAD."""


class SequenceSet:
    """A sequence-set of RFC 3501 section 9, of numbers or UIDs."""

    def __init__(self, text: bytes) -> None:
        self._pairs: list[tuple[int | None, int | None]] = []
        for part in text.split(b","):
            first, _, last = part.partition(b":")
            self._pairs.append((_bound(first), _bound(last or first)))

    def ranges(self, largest: int) -> Ranges:
        """Give the ranges with `*` as the largest number in use; an empty mailbox has no `*`."""
        found: Ranges = []
        for first, last in sorted(self._between(largest)):
            if found and first <= found[-1][1] + 1:
                found[-1] = (found[-1][0], max(last, found[-1][1]))
            else:
                found.append((first, last))
        return found

    def _between(self, largest: int) -> Ranges:
        pairs = ((largest if a is None else a, largest if b is None else b) for a, b in self._pairs)
        return [(min(pair), max(pair)) for pair in pairs if max(pair)]


def contains(ranges: Ranges, number: int) -> bool:
    """Tell whether a number lies in one of the ranges."""
    at = bisect_right(ranges, (number, HIGHEST)) - 1
    return at >= 0 and number <= ranges[at][1]


def _bound(text: bytes) -> int | None:
    if text == b"*":
        return None
    if len(text) > 10 or not 1 <= int(text) <= HIGHEST:
        raise BadError("a number of the set cannot be")
    return int(text)


class Arguments:
    """The arguments of one command, read from left to right; every method raises BadError where it finds others.

    Args:
        text: The command with each literal as its marker `{n}` and CRLF, without the CRLF at its end.
        literals: The octets of the literals.
    """

    def __init__(self, text: bytes, literals: Sequence[bytes] = ()) -> None:
        self._text = text
        self._at = 0
        self._literals = iter(literals)

    def peek(self, token: bytes) -> bool:
        """Tell whether a token comes next, in any case."""
        return self._text[self._at : self._at + len(token)].upper() == token

    def take(self, token: bytes) -> bool:
        """Step over a token if it comes next."""
        found = self.peek(token)
        if found:
            self._at += len(token)
        return found

    def expect(self, token: bytes) -> None:
        """Step over a token."""
        if not self.take(token):
            raise BadError(f"{token.decode()!r} is missing")

    def space(self) -> None:
        """Step over one space."""
        if not self.take(b" "):
            raise BadError("an argument is missing")

    def end(self) -> None:
        """Make sure that nothing is left."""
        if self._at != len(self._text):
            raise BadError("more arguments than there may be")

    def match(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        """Step over what a pattern finds here."""
        found = pattern.match(self._text, self._at)
        if not found:
            raise BadError(f"{what} is missing or malformed")
        self._at = found.end()
        return found

    def atom(self) -> bytes:
        """Read an atom."""
        return self.match(_ATOM, "an atom")[0]

    def word(self) -> bytes:
        """Read an atom that is a keyword of the protocol, in upper case."""
        return self.atom().upper()

    def string(self) -> bytes:
        """Read a quoted string or a literal."""
        if self.peek(b"{"):
            return self.literal()
        return re.sub(rb"\\(.)", rb"\1", self.match(_QUOTED, "a string")[1])

    def astring(self) -> bytes:
        """Read an atom or a string."""
        return self.string() if self._at_string() else self.match(_ASTRING, "a string")[0]

    def literal(self) -> bytes:
        """Read a literal."""
        self.match(_LITERAL, "a literal")
        return next(self._literals)

    def text(self) -> str:
        """Read an astring as UTF-8."""
        try:
            return self.astring().decode()
        except UnicodeDecodeError:
            raise BadError("a string is not valid UTF-8") from None

    def mailbox(self) -> str:
        """Read a mailbox name."""
        try:
            return names.decode(self.astring())
        except ValueError:
            raise BadError("a mailbox name is not valid modified UTF-7") from None

    def pattern(self) -> bytes:
        """Read a mailbox name that may hold wildcards, as it came."""
        return self.string() if self._at_string() else self.match(_PATTERN, "a mailbox pattern")[0]

    def number(self) -> int:
        """Read a number of 32 bits."""
        value = int(self.match(_NUMBER, "a number")[0])
        if value > HIGHEST:
            raise BadError("a number is too large")
        return value

    def sequence_set(self) -> SequenceSet:
        """Read a sequence-set."""
        return SequenceSet(self.match(_SET, "a sequence set")[0])

    def at_sequence_set(self) -> bool:
        """Tell whether a sequence-set comes next."""
        return self._text[self._at : self._at + 1] in b"0123456789*" and self._at < len(self._text)

    def flag(self) -> str:
        r"""Read a flag or a keyword; `\Recent` and made-up system flags are refused."""
        flag = self.match(_FLAG, "a flag")[0].decode()
        if not flag.startswith("\\"):
            return flag
        if flag.lower() not in _SPELLING:
            raise BadError(f"{flag} cannot be set")
        return _SPELLING[flag.lower()]

    def listing(self, item: Callable[[], T]) -> list[T]:
        """Read a parenthesised list, which may be empty."""
        self.expect(b"(")
        return [] if self.take(b")") else self._rest(item, b")")

    def items(self, item: Callable[[], T]) -> list[T]:
        """Read one item, or a parenthesised list of at least one."""
        return self._rest(item, b")") if self.take(b"(") else [item()]

    def date(self) -> date:
        """Read the date of a SEARCH key, quoted or not."""
        quote = b'"' if self.take(b'"') else b""
        day, month, year = self.match(_DATE, "a date").groups()
        self.expect(quote)
        try:
            return date(int(year), _month(month), int(day))
        except ValueError:
            raise BadError("there is no such day") from None

    def date_time(self) -> datetime:
        """Read a date-time of APPEND, aware."""
        self.expect(b'"')
        found = self.match(_DATE_TIME, "a date-time").groups()
        self.expect(b'"')
        day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found
        zone = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        try:
            tz = timezone(-zone if sign == b"-" else zone)
            return datetime(int(year), _month(month), int(day), int(hour), int(minute), int(second), tzinfo=tz)
        except ValueError:
            raise BadError("there is no such moment") from None

    def _at_string(self) -> bool:
        return self.peek(b'"') or self.peek(b"{")

    def _rest(self, item: Callable[[], T], end: bytes) -> list[T]:
        found = [item()]
        while not self.take(end):
            self.space()
            found.append(item())
        return found


def _month(name: bytes) -> int:
    return MONTHS.index(name.decode().capitalize()) + 1


def quoted(text: bytes) -> bytes:
    """Write a string: quoted where it can be, else as a literal."""
    if len(text) > 1000 or re.search(rb"[\x00\r\n\x80-\xff]", text):
        return b"{%d}\r\n%s" % (len(text), text)
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def internal_date(moment: datetime) -> bytes:
    """Write a date-time, with the zone that it has."""
    offset = moment.utcoffset() or timedelta()
    minutes = abs(offset) // timedelta(minutes=1)
    zone = f"{'-' if offset < timedelta() else '+'}{minutes // 60:02}{minutes % 60:02}"
    return f'"{moment.day:2}-{MONTHS[moment.month - 1]}-{moment.year:04} {moment:%H:%M:%S} {zone}"'.encode()


def compact(numbers: Sequence[int]) -> bytes:
    """Write numbers as a sequence-set; those that follow each other become ranges. Keeps the order given."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return b",".join(b"%d" % first if first == last else b"%d:%d" % (first, last) for first, last in ranges)
