"""What stands before a message in an mbox file: the separator line and our own fields (`archive-format.md` section 5).

The law of this room: pure. `X-Mailarchive` is always there and always the last of our fields; it tells how the octets
are got back and what they hash to. `X-IMAPbase` stands in the first message of a file only, and its number and the
blanks behind its keywords are all that is ever overwritten.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote

from mailarchive import headers
from mailarchive.model import ANSWERED, DRAFT, FLAGGED, SEEN, UID, UIDL

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


LIMIT: Final = 64 * 1024
"""Octets that a block has at most."""

ROOM: Final = 512
"""Octets for keywords in X-IMAPbase, the blanks that are still free included."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ADDRESS = re.compile(rb"<([!-;=?-~]{1,200})>|([!-;=?-~]{1,64}@[!-;=?-~]{1,190})")
_SENDER = re.compile(rb"[!-~]{1,255}")
_SYSTEM = {SEEN: "R", ANSWERED: "A", FLAGGED: "F", DRAFT: "T"}
_KEYWORD = re.compile(r"[!-~]{1,100}")
_LINE = re.compile(rb"([!-9;-~]+):[ \t]*([^\r\n]*)\r?\n")
_BASE = re.compile(rb"X-IMAPbase: (\d{1,10}) (\d{10})((?: [!-~]+)*)( *)\n")
_OCTETS = 2**63
_UIDS = 2**32
_FIELDS = (b"X-IMAPbase:", b"X-UID:", b"Status:", b"X-Status:", b"X-Keywords:", b"X-Mailarchive:")


class Facts(NamedTuple):
    """What a block says of its message.

    Attributes:
        digest: The 64 hex digits of the SHA-256.
        size: Octets of the message as it was received.
        crlf: See `mboxrd.encode`. `ended`: likewise.
        length: Octets as it stands in the file, without the empty line behind it; None if the block does not say.
        date: INTERNALDATE, aware; None if unknown.
        uid: A UID, or a UIDL; None if there was none.
        uidvalidity: None for a UIDL, and where there was none.
        flags: System flags and keywords as the fields for mail programs tell them.
        shown: The UID that X-UID says to mail programs; 0 for none.
    """

    digest: str
    size: int
    crlf: bool
    ended: bool
    length: int | None
    date: datetime | None
    uid: UID | UIDL | None
    uidvalidity: int | None
    flags: frozenset[str] = frozenset()
    shown: int = 0


class Base(NamedTuple):
    """X-IMAPbase as it stands in the first block of a file.

    Attributes:
        start: Where the number begins, in octets from the beginning of the block.
        number: The largest UID that was given.
        keywords: In their order.
        free: Blanks behind them.
    """

    uidvalidity: int
    start: int
    number: int
    keywords: tuple[str, ...]
    free: int

    def text(self) -> bytes:
        """Give the number and the keywords as they are written, always as long as they were."""
        words = "".join(f" {word}" for word in self.keywords)
        return f"{self.number:010}{words}".encode("ascii") + b" " * self.free

    def grown(self, number: int, keywords: Sequence[str]) -> Base:
        """Take note of a UID and of keywords, as far as there is room for these."""
        known, free = list(self.keywords), self.free
        for word in keywords:
            if word not in known and _KEYWORD.fullmatch(word) and len(word) + 1 < free:
                known.append(word)
                free -= len(word) + 1
        return self._replace(number=max(self.number, number), keywords=tuple(known), free=free)


def separator(head: bytes, date: datetime | None) -> bytes:
    """Give the line that begins a message: `From <sender> <asctime>`.

    Args:
        head: The first octets of the message; the sender is its Return-Path, else its From address.
        date: INTERNALDATE, aware.
    """
    found = headers.fields(head, (b"return-path", b"from"))
    sender = b"MAILER-DAEMON"
    for value in (*found[b"return-path"][:1], *found[b"from"][:1]):
        address = _ADDRESS.search(value)
        text = (address[1] or address[2]).strip(b"<>,;:\"'()") if address else b""
        if _SENDER.fullmatch(text):
            sender = text
            break
    when = in_utc(date) or datetime.fromtimestamp(0, UTC)
    day, month = _DAYS[when.weekday()], _MONTHS[when.month - 1]
    stamp = f"{day} {month} {when.day:2} {when:%H:%M:%S} {when.year:04}"
    return b"From " + sender + b" " + stamp.encode("ascii") + b"\n"


def in_utc(date: datetime | None) -> datetime | None:
    """Give an instant in UTC; None for none, and for one that is outside the calendar there."""
    try:
        return date.astimezone(UTC) if date is not None else None
    except OverflowError:
        return None


def new_base(uidvalidity: int) -> Base:
    """Give the X-IMAPbase of a new file."""
    return Base(uidvalidity, 0, 0, (), ROOM)


def block(line: bytes, facts: Facts, *, base: Base | None, known: Collection[str]) -> bytes:
    """Give the block of a message, with the places for `length` filled by `with_length`.

    Args:
        line: As `separator` made it.
        facts: What is to be said. `length` is not looked at.
        base: For the first message of a file of IMAP mail.
        known: The keywords that X-IMAPbase has.
    """
    lines = [line]
    if base is not None:
        lines.append(b"X-IMAPbase: %d " % base.uidvalidity + base.text() + b"\n")
    if facts.shown:
        lines.append(b"X-UID: %d\n" % facts.shown)
    letters = {_SYSTEM[flag] for flag in facts.flags if flag in _SYSTEM}
    lines.append(b"Status: RO\n" if "R" in letters else b"Status: O\n")
    state = "".join(letter for letter in "AFT" if letter in letters)
    if state:
        lines.append(f"X-Status: {state}\n".encode("ascii"))
    words = sorted(flag for flag in facts.flags if flag in known)
    if words:
        lines.append(f"X-Keywords: {' '.join(words)}\n".encode("ascii"))
    lines.append(_ours(facts))
    return b"".join(lines)


def with_length(text: bytes, length: int) -> bytes:
    """Fill in how many octets the message has in the file."""
    cut = text.rfind(b"; length=") + len(b"; length=")
    return text[:cut] + b"%010d" % length + text[cut + 10 :]


def _ours(facts: Facts) -> bytes:
    values: list[tuple[str, object]] = [
        ("sha256", facts.digest),
        ("size", facts.size),
        ("eol", "crlf" if facts.crlf else "raw"),
        ("end", int(facts.ended)),
        ("length", "0" * 10),
    ]
    if facts.date is not None:
        values.append(("date", facts.date.isoformat()))
    if isinstance(facts.uid, int):
        values.append(("uid", facts.uid))
        if facts.uidvalidity is not None:
            values.append(("uidvalidity", facts.uidvalidity))
    elif facts.uid is not None:
        values.append(("uidl", facts.uid))
    text = "; ".join(f"{key}={quote(str(value), safe=':+')}" for key, value in values)
    return f"X-Mailarchive: {text}\n".encode("ascii")


def parse(head: bytes) -> tuple[Facts, int] | None:
    """Read the block that some octets begin with.

    Returns:
        What it says, and its length in octets, where the message begins; None if there is no whole block of ours.
    """
    at = head.find(b"\n", 0, LIMIT) + 1
    if not head.startswith(b"From ") or not at:
        return None
    told: dict[bytes, str] = {}
    while found := _LINE.match(head, at, LIMIT):
        name, value, at = found[1].lower(), found[2].decode("latin-1"), found.end()
        if name == b"x-mailarchive":
            facts = _facts(value, told)
            return (facts, at) if facts is not None else None
        told[name] = value
    return None


def is_part(rest: bytes) -> bool:
    """Tell whether some octets at the end of a file can be the beginning of a block that was cut short."""
    line, *lines = rest.split(b"\n")
    return (line.startswith(b"From ") or b"From ".startswith(line)) and all(
        any(each.startswith(name) or name.startswith(each) for name in _FIELDS) for each in lines
    )


def parse_base(head: bytes) -> Base | None:
    """Read X-IMAPbase of the block that a file begins with."""
    found = _BASE.search(head[:LIMIT])
    end = head.find(b"\nX-Mailarchive:")
    if found is None or found.start() > end:
        return None
    words = tuple(found[3].decode("ascii").split())
    return Base(int(found[1]), found.start(2), int(found[2]), words, len(found[4]))


def _facts(value: str, told: dict[bytes, str]) -> Facts | None:
    letters = told.get(b"status", "") + told.get(b"x-status", "")
    words = told.get(b"x-keywords", "").split()
    shown = told.get(b"x-uid", "")
    pairs = dict(item.split("=", 1) for item in value.split("; ") if "=" in item)
    try:
        digest, size = pairs["sha256"], _number(pairs["size"])
        if not re.fullmatch(r"[0-9a-f]{64}", digest) or pairs["eol"] not in ("crlf", "raw"):
            return None
        date = datetime.fromisoformat(unquote(pairs["date"])) if "date" in pairs else None
        if date is not None and date.tzinfo is None:
            return None
        return Facts(
            digest=digest,
            size=size,
            crlf=pairs["eol"] == "crlf",
            ended=pairs.get("end", "1") == "1",
            length=_number(pairs["length"]) if "length" in pairs else None,
            date=date,
            uid=_uid(pairs),
            uidvalidity=_number(pairs["uidvalidity"], _UIDS) if "uidvalidity" in pairs else None,
            flags=frozenset((*(flag for flag, letter in _SYSTEM.items() if letter in letters), *words)),
            shown=int(shown) if re.fullmatch(r"[0-9]{1,10}", shown) else 0,
        )
    except (KeyError, ValueError):
        return None


def _number(text: str, end: int = _OCTETS) -> int:
    """Read a number below `end`; a negative length would lead back to what was read before. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) >= end:
        raise ValueError
    return int(text)


def _uid(pairs: dict[str, str]) -> UID | UIDL | None:
    if "uid" in pairs:
        return UID(_number(pairs["uid"], _UIDS))
    return UIDL(unquote(pairs["uidl"])) if "uidl" in pairs else None
