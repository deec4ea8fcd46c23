"""Mail of other programs as values: what an import is given, whatever it lay in.

The law of this room: pure. A foreign message says where it lies and what its source knows of it, and its octets are
read only when they are asked for. What cannot be read, or is left out on purpose, is a value too: one bad message never
ends an import, and none is passed over in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping  # noqa: TC003 - a dataclass reads its types at run time
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - likewise
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from mailarchive import headers
from mailarchive.model import ANSWERED, DELETED, DRAFT, FLAGGED, RECENT, SEEN

_ATOM: Final = re.compile(r"[^\x00-\x20\x7f-\U0010ffff(){%*\"\\\]]{1,200}")
_SYSTEM: Final = {flag[1:].lower(): flag for flag in (SEEN, ANSWERED, FLAGGED, DRAFT, DELETED, RECENT)}


class DateFrom(StrEnum):
    """How the date of a foreign message was found; the words of the manifest."""

    METADATA = "metadata"
    RECEIVED = "received"
    DATE = "date"
    FROM_LINE = "from line"
    FILE = "file time"
    UNKNOWN = "unknown"


class Origin(NamedTuple):
    """Where a message lies: a file, and the octet that it begins at where the file holds several."""

    path: str
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class ForeignMessage:
    r"""One message of another program.

    Attributes:
        mailbox: Full name of the mailbox it belongs to, `/` between its parts.
        also: Names of the other mailboxes that show it (Gmail labels).
        flags: Flags and keywords, never `\\Deleted` or `\\Recent`; None where the source does not say.
        date: When it was received, aware; None if nothing tells. `dated_by`: how that was found.
        extent: Octets that it takes in its source.
        chunks: Gives the octets of the message itself, as often as it is called. Raises MessageError if they cannot be
            read, or if the file has changed since.
        notes: What else the source knows, for the manifest.
    """

    origin: Origin
    mailbox: str
    extent: int
    chunks: Callable[[], Iterator[bytes]] = field(repr=False, compare=False)
    also: tuple[str, ...] = ()
    flags: frozenset[str] | None = None
    date: datetime | None = None
    dated_by: DateFrom = DateFrom.UNKNOWN
    notes: Mapping[str, object] = field(default_factory=dict)


class NotRead(NamedTuple):
    """A message that cannot be read, or a file of which it is not known how many it holds."""

    origin: Origin
    mailbox: str
    reason: str


class LeftOut(NamedTuple):
    """Something that is left out on purpose; equal reasons are counted together."""

    origin: Origin
    reason: str


class Remark(NamedTuple):
    """Something about a source that a human should know."""

    origin: Origin
    text: str


Foreign: TypeAlias = "ForeignMessage | NotRead | LeftOut | Remark"


def dated(head: bytes, metadata: datetime | None, file_time: datetime | None) -> tuple[datetime | None, DateFrom]:
    """Find the date of a message: what its source says, the topmost Received, Date, the time of its file.

    Args:
        head: Its first octets.
        metadata: What the source says, aware; None if it does not say.
        file_time: Of the file, aware; None if that tells nothing of this message.
    """
    if metadata is not None:
        return metadata, DateFrom.METADATA
    if (when := headers.received(head)) is not None:
        return when, DateFrom.RECEIVED
    if (when := headers.sent(head)) is not None:
        return when, DateFrom.DATE
    return file_time, DateFrom.UNKNOWN if file_time is None else DateFrom.FILE


def flag(word: str) -> str | None:
    r"""Read a flag or keyword, with or without its backslash (RFC 9051 section 2.3.2).

    None for `\\Deleted` and `\\Recent`, which are no part of a message, and for what no server could have as a keyword.
    """
    known = _SYSTEM.get(word.removeprefix("\\").lower())
    if known is not None:
        return None if known in (DELETED, RECENT) else known
    return word if _ATOM.fullmatch(word) else None


def text(raw: bytes) -> str:
    """Read a name that may be in any charset: as UTF-8, else as Latin-1, so that it is always writable."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
