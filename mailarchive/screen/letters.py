"""Lists of archived messages, and one message, as lines of text.

The law of this room: pure functions; every text in here was written by strangers and passes `safe`, line by line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive import headers, reading
from mailarchive.screen.safe import safe
from mailarchive.screen.words import cell_width, cut, encodable, format_size, pad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailarchive.finding import Found
    from mailarchive.reading import Octets, Part

DIGITS: Final = 12
"""Of an ID, as many as a list shows."""

_DATE = 10
_SIZE = 8
_FROM = 22
_MAILBOX = 16
_SUBJECT = 20
"""Cells of a subject that there should be, before other columns are left out."""

_HEADERS: Final = ("From", "To", "Cc", "Date", "Subject", "Reply-To", "List-Id")
_TEXT: Final = 4 * 1024 * 1024
"""Characters of text that are shown."""

_LINE: Final = 20_000
"""Characters of one line of a text."""


def table(rows: Sequence[tuple[str, Found]], width: int, encoding: str = "utf-8") -> list[str]:
    """Lay messages out in columns: date, sender, subject, mailbox, size, ID. What has no room is cut or left out.

    Args:
        rows: The name of the archive, shown before the mailbox if it is not empty, and the message.
        width: Cells of a line.
        encoding: That the lines will be written in.
    """
    room = width - _DATE - DIGITS - 4
    size = room - _SIZE - 2 >= _SUBJECT
    room -= _SIZE + 2 if size else 0
    sender = room - _FROM - 2 >= _SUBJECT
    room -= _FROM + 2 if sender else 0
    mailbox = room - _MAILBOX - 2 >= _SUBJECT
    room -= _MAILBOX + 2 if mailbox else 0
    lines = []
    for name, found in rows:
        cells = [
            _day(found),
            *([_cell(person(found.sender), _FROM, encoding)] if sender else ()),
            _cell(found.subject or "(no subject)", max(room, 1), encoding),
            *([_cell(_where(name, found), _MAILBOX, encoding)] if mailbox else ()),
            *([format_size(found.size).rjust(_SIZE)] if size else ()),
            found.id[:DIGITS],
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def line(name: str, found: Found) -> str:
    """Give a message as one line for other programs, uncut: date, ID, octets, mailbox, sender, subject, with tabs."""
    when = found.internal_date.isoformat(sep=" ", timespec="minutes") if found.internal_date else "-"
    texts = (safe(text, limit=500) for text in (_where(name, found), found.sender, found.subject))
    return "\t".join((when, found.id[:DIGITS], str(found.size), *texts))


def person(field: str) -> str:
    """Give the name of the first sender in a From field; the address where it has none."""
    name, found, rest = field.partition("<")
    shown = name.strip().strip('"').strip()
    return shown or (rest.partition(">")[0] if found else field)


def texts(text: str) -> list[str]:
    """Give a text as harmless lines."""
    return [safe(each.expandtabs(), limit=_LINE) for each in text.splitlines()]


def _where(name: str, found: Found) -> str:
    return f"{name}: {found.mailbox}" if name else found.mailbox


def _day(found: Found) -> str:
    return f"{found.internal_date:%Y-%m-%d}" if found.internal_date is not None else "-".ljust(_DATE)


def _cell(text: str, cells: int, encoding: str) -> str:
    shown = cut(encodable(safe(text), encoding), cells)
    return pad(shown, cells) if cell_width(shown) < cells else shown


@dataclass(frozen=True, slots=True)
class Header:
    """A field of a header, decoded."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Attached:
    """What is apart from the text: number of the part, kind, decoded octets, name."""

    part: str
    type: str
    size: int
    name: str


class Shown(NamedTuple):
    """A message to be read by a person.

    Attributes:
        headers: Some fields.
        text: What it says; messages inside it with a line of their own before them.
        attachments: What is apart from the text.
        cut: Whether the text is longer than what is here.
    """

    headers: tuple[Header, ...]
    text: str
    attachments: tuple[Attached, ...]
    cut: bool

    def lines(self, found: Found) -> list[str]:
        """Give it as harmless lines."""
        wide = max(len(field.name) for field in self.headers)
        lines = [f"{field.name + ':':{wide + 1}} {safe(field.value, limit=2000)}" for field in self.headers]
        lines += ["", *texts(self.text)]
        if self.cut:
            lines.append(f"… cut here; all of it: mailarchive show {found.id[:DIGITS]} --raw --to FILE")
        if self.attachments:
            lines += ["", "Attachments:"]
            lines += [
                f"  {each.part:4} {safe(each.type, limit=80)}  {format_size(each.size)}  {safe(each.name)}".rstrip()
                for each in self.attachments
            ]
            first = self.attachments[0].part
            lines.append(f"To get one: mailarchive show {found.id[:DIGITS]} --part {first} --to FILE")
        return lines

    def fields(self, found: Found) -> dict[str, object]:
        """Give it as the fields of a JSON line."""
        return {
            "id": found.id,
            "mailbox": found.mailbox,
            "size": found.size,
            "flags": found.flags,
            "headers": self.headers,
            "text": self.text,
            "text_cut": self.cut,
            "attachments": self.attachments,
        }


def message(found: Found, octets: Octets, *, html: bool = False) -> Shown:
    """Take from a message what a person reads: its plain text if it has one, else its HTML as text."""
    head = headers.fields(octets[: headers.HEAD], [name.encode() for name in _HEADERS])
    shown = [(name, ", ".join(map(headers.decoded, head[name.lower().encode()]))) for name in _HEADERS]
    here = [("Mailbox", found.mailbox), ("ID", found.id)]
    parts = list(reading.parts(octets))
    text, is_cut = _text(octets, parts, html=html)
    return Shown(
        tuple(Header(name, value) for name, value in (*shown, *here) if value),
        text,
        tuple(
            Attached(part.number, part.kind, sum(map(len, reading.decoded(octets, part))), part.name)
            for part in parts
            if part.attached or (part.kind.startswith("image/") and not part.is_message)
        ),
        is_cut,
    )


def _text(octets: Octets, parts: list[Part], *, html: bool) -> tuple[str, bool]:
    plain = [part for part in parts if part.kind == "text/plain" and not part.attached]
    rich = [part for part in parts if part.kind == "text/html" and not part.attached]
    wanted = rich if html else plain
    found = _texts(octets, parts, wanted)
    if not found[0].strip() and not html:
        found = _texts(octets, parts, rich)
    return found


def _texts(octets: Octets, parts: list[Part], wanted: list[Part]) -> tuple[str, bool]:
    pieces: list[str] = []
    room, is_cut = _TEXT, False
    for part in parts:
        if part.is_message and wanted:
            letter = reading.read(octets[part.begin : min(part.begin + headers.HEAD, part.end)], body=False)
            pieces.append(f"--- message {part.number}: {letter.sender}: {letter.subject}")
        elif part in wanted:
            if part.end - part.begin > room and sum(map(len, reading.decoded(octets, part))) > room:
                is_cut = True
            pieces.append(reading.text(octets, part, room).strip("\n"))
            room = max(0, room - len(pieces[-1]))
    return "\n\n".join(pieces), is_cut
