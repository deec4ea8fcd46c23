"""One message as a reader of mail would tell of it, for the index and for lists.

The law of this room: a slip over one message is caught here, and it is then told by what could be read.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mailarchive import headers
from mailarchive.dates import parse_header_date
from mailarchive.reading import texts
from mailarchive.reading.parts import parts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from mailarchive.reading.parts import Octets, Part

TEXT: Final = 256 * 1024
"""Octets of text, decoded, that are taken from one message, and characters that are kept."""

NAMES: Final = 8 * 1024
"""Characters of names of attachments."""

_SHOWN = (b"from", b"to", b"cc", b"subject", b"list-id", b"date")


@dataclass(slots=True)
class Letter:
    """What can be read of a message; every text is foreign, each field at most 8 KiB.

    Attributes:
        date: Of its topmost Date field, aware; None if there is none.
        attachments: How many it has, and `names` their names, a line each; -1 where only the header was read.
        body: Its texts, at most 256 Ki characters; of a message inside also the sender and the subject.
    """

    sender: str = ""
    to: str = ""
    cc: str = ""
    subject: str = ""
    list_id: str = ""
    date: datetime | None = None
    attachments: int = 0
    names: str = ""
    body: str = ""


def read(octets: Octets, *, body: bool = True, date: bool = True) -> Letter:
    """Read a message, or its first octets; without `body` its header only, without `date` not when. It never raises."""
    letter = Letter(attachments=0 if body else -1)
    # Whatever a sender makes these readers do, including what nobody has thought of, the others still count.
    with contextlib.suppress(Exception):
        _read_header(octets[: headers.HEAD], letter, date=date)
    if body:
        with contextlib.suppress(Exception):
            _read_parts(octets, letter)
    return letter


def _read_header(head: bytes, letter: Letter, *, date: bool) -> None:
    found = headers.fields(head, _SHOWN)
    letter.sender = _joined(found[b"from"])
    letter.to = _joined(found[b"to"])
    letter.cc = _joined(found[b"cc"])
    letter.subject = _joined(found[b"subject"])
    letter.list_id = _joined(found[b"list-id"])
    if date:
        letter.date = next((parse_header_date(headers.decoded(value)) for value in found[b"date"]), None)


def _read_parts(octets: Octets, letter: Letter) -> None:
    found: list[str] = []
    names: list[str] = []
    room = TEXT
    try:
        for part in parts(octets):
            letter.attachments += part.attached
            if part.name:
                names.append(part.name)
            if room <= 0 or not _is_readable(part):
                continue
            text = _inside(octets, part) if part.is_message else texts.text(octets, part, room)[:room]
            found.append(text)
            room -= len(text) + 1
    finally:
        letter.names = "\n".join(names)[:NAMES]
        letter.body = "\n".join(found)


def _is_readable(part: Part) -> bool:
    return part.is_message or (part.kind in ("text/plain", "text/html") and not part.attached)


def _inside(octets: Octets, part: Part) -> str:
    """Give who wrote a message inside, and about what."""
    head = octets[part.begin : min(part.begin + headers.HEAD, part.end)]
    found = headers.fields(head, (b"from", b"subject"))
    return "\n".join((_joined(found[b"from"]), _joined(found[b"subject"])))


def _joined(values: Iterable[bytes]) -> str:
    return ", ".join(filter(None, map(headers.decoded, values)))[: headers.FIELD]
