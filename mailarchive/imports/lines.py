r"""Lines of an mbox: which of them separate messages, and what a message was before it was put among them.

The law of this room: pure, and in memory that does not grow with the message. A From line is one only with a date in
a known form; of a quoted one exactly one `>` is taken. A message whose first line ends in a bare LF lay in a store that
writes LF: SMTP and IMAP know only CRLF (RFC 5321 section 2.3.8), so each bare LF becomes CRLF and a later backup finds
the same octets. A message that has CRLF keeps its octets as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.dates import parse_header_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

LONGEST: Final = 1000
"""Octets of a From line, at most."""

QUOTED: Final = re.compile(rb"^>(>*From )", re.MULTILINE)
"""A quoted From line of mboxo and mboxrd."""

QUOTED_LOOSELY: Final = re.compile(rb"^>(>*From)", re.MULTILINE)
"""The same of imap-backup, which quotes every line that begins with From."""

_HELD = 64 * 1024  # octets of a line that are held back; a longer run of > than that is left as it is
_BARE = re.compile(rb"(?<!\r)\n")

_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},?"
_MONTH = rb"Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_TIME = rb"\d{1,2}:\d\d(?::\d\d)?"
_ZONE = rb"[+-]\d{4}|[A-Z]{1,5}(?: DST)?"
_FROM = re.compile(
    rb"From (?P<sender>[^\r\n]*?) +" + _DAY + rb" +(?:"
    # asctime, with a zone before the year (Takeout) or behind it
    rb"(?P<month>" + _MONTH + rb") +(?P<day>\d{1,2}) +(?P<time>" + _TIME + rb")(?: +(?P<zone>" + _ZONE + rb"))?"
    rb" +(?P<year>\d{4})(?: +(?P<zone_behind>" + _ZONE + rb"))?"
    # RFC 5322
    rb"|(?P<day_2>\d{1,2}) +(?P<month_2>" + _MONTH + rb")[a-z]{0,6} +(?P<year_2>\d{4}) +(?P<time_2>" + _TIME + rb")"
    rb"(?: +(?P<zone_2>" + _ZONE + rb"))?"
    rb")(?: +remote from [^\r\n]*)?[ \t]*\r?\n?"
)


class FromLine(NamedTuple):
    """What a From line says.

    Attributes:
        date: Taken as UTC where the line names no zone that is known; None for a day that is not.
        zoned: Whether it names one.
    """

    sender: bytes
    date: datetime | None
    zoned: bool


def is_from_line(line: bytes) -> bool:
    """Tell whether a line is a From line."""
    return _matched(line) is not None


def _matched(line: bytes) -> re.Match[bytes] | None:
    return _FROM.fullmatch(line) if line.startswith(b"From ") and len(line) <= LONGEST else None


def from_line(line: bytes) -> FromLine | None:
    """Read a From line; None if it is none."""
    found = _matched(line)
    if found is None:
        return None

    def part(name: str) -> str:
        return (found[name] or found[f"{name}_2"] or b"").decode("ascii")

    zone = part("zone") or (found["zone_behind"] or b"").decode("ascii")
    when = f"{part('day')} {part('month')} {part('year')} {part('time')}"
    date = parse_header_date(f"{when} {zone}") if zone else None
    return FromLine(found["sender"], date or parse_header_date(f"{when} +0000"), zoned=date is not None)


def writes_lf(head: bytes) -> bool:
    """Tell by the first octets of a message whether its store writes LF: its first line ends in a bare one."""
    end = head.find(b"\n")
    return end >= 0 and head[end - 1 : end] != b"\r"


def restored(
    pieces: Iterable[bytes], quoted: re.Pattern[bytes] | None, *, crlf: bool, first_line: bool = True
) -> Iterator[bytes]:
    """Give the octets of a message as they were before they were put into a file.

    Args:
        pieces: What stands in the file.
        quoted: Which lines lose their first octet; None for none.
        crlf: Whether each bare LF becomes CRLF.
        first_line: Whether the first line may be a quoted one too.
    """
    rest = b""
    fresh = first_line
    for piece in pieces:
        rest += piece
        end = rest.rfind(b"\n") + 1
        if not end:
            if len(rest) < _HELD:
                continue
            end = len(rest) - rest.endswith(b"\r")
        yield _block(rest[:end], quoted, crlf=crlf, fresh=fresh)
        fresh = rest[end - 1 : end] == b"\n"
        rest = rest[end:]
    if rest:
        yield _block(rest, quoted, crlf=crlf, fresh=fresh)


def _block(block: bytes, quoted: re.Pattern[bytes] | None, *, crlf: bool, fresh: bool) -> bytes:
    """Treat whole lines; the first is only the end of one if it is not `fresh`."""
    if quoted is not None and b">" in block:
        begin = 0 if fresh else block.find(b"\n") + 1 or len(block)
        block = block[:begin] + quoted.sub(rb"\1", block[begin:])
    if not crlf:
        return block
    return _BARE.sub(b"\r\n", block) if b"\r" in block else block.replace(b"\n", b"\r\n")
