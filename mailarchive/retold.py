"""Reads the lines of a manifest that say where a message was (`archive-format.md` section 6).

The law of this room: a manifest is read like a letter from a stranger: every value is checked, and what cannot be read
is an error and not a guess. Fields that are not known are passed over, for later versions only add.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from mailarchive.errors import ArchiveError
from mailarchive.model import UID, UIDL, Digest, Location, Method

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Line: TypeAlias = "Mapping[str, object]"

Key: TypeAlias = "tuple[str, int | None, UID | UIDL]"
"""Mailbox, UIDVALIDITY, and UID or UIDL."""

_T = TypeVar("_T")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MOST = 2**63


class UnreadableError(ArchiveError):
    """A line of a manifest does not say what one of its kind must say."""


class Told(NamedTuple):
    """What a line says of a message that was archived, or that was about to be deleted.

    Attributes:
        announced: The size that the server announced; None if the line does not say.
        ident: None if the line does not say.
        labelled: Whether it came from a server where labels are mailboxes (Gmail).
        method: How it was about to be deleted; only of such a line.
        origin: See `Placement.origin`.
    """

    key: Key
    digest: Digest
    size: int
    location: Location
    announced: int | None
    internal_date: datetime | None
    flags: frozenset[str] | None
    object_id: str
    hold: str
    ident: str | None
    labelled: bool
    method: Method | None = None
    origin: str = "manifest"


class Shelf(NamedTuple):
    """What a line says of a mailbox: its folder is `/` between the parts."""

    name: str
    folder: str
    delimiter: str | None
    uidvalidity: int | None


def told(line: Line) -> Told:
    """Read a line `archived` or `expunging`. Raises UnreadableError if it cannot be."""
    return _read(_told, line)


def imported(line: Line) -> Told:
    """Read a line `imported`: it names no UID, and says nothing of a server. Raises UnreadableError likewise."""
    return _read(_imported, line)


def key(line: Line) -> Key:
    """Read which message any line is about. Raises UnreadableError likewise."""
    return _read(_key, line)


def digest(line: Line) -> Digest:
    """Read the digest of a line. Raises UnreadableError likewise."""
    return _read(lambda line: _digest(line["digest"]), line)


def words(line: Line, name: str) -> str:
    """Read a text of a line, empty where there is none. Raises UnreadableError likewise."""
    return _read(lambda line: text(line.get(name, "")), line)


def shelf(line: Line) -> Shelf:
    """Read a line `mailbox`. Raises UnreadableError likewise."""
    return _read(
        lambda line: Shelf(
            text(line["name"]),
            text(line["folder"]),
            text(line["delimiter"]) if "delimiter" in line else None,
            _maybe(line, "uidvalidity"),
        ),
        line,
    )


def instant(line: Line, name: str) -> datetime | None:
    """Read an instant of a line; None if it has none. Raises UnreadableError likewise."""
    return _read(lambda line: _date(line, name), line)


def text(value: object) -> str:
    """Check that a value is a text that can be kept. Raises TypeError or ValueError if it is not."""
    if not isinstance(value, str):
        raise TypeError
    value.encode("utf-8")
    return value


def number(value: object) -> int:
    """Check that a value is a number that a catalogue can hold. Raises TypeError or ValueError if it is not."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    if not 0 <= value < _MOST:
        raise ValueError
    return value


def texts(value: object) -> frozenset[str]:
    """Check that a value is a list of texts; anything but a list is none. Raises TypeError or ValueError."""
    return frozenset(text(each) for each in value) if isinstance(value, list) else frozenset()


def _read(reader: Callable[[Line], _T], line: Line) -> _T:
    try:
        return reader(line)
    except (KeyError, TypeError, ValueError):
        kind = line.get("type")
        what = f"a line {kind!r}" if isinstance(kind, str) else "a line"
        raise UnreadableError(f"{what} makes no sense") from None


def _imported(line: Line) -> Told:
    digest = _digest(line["digest"])
    return Told(
        key=(text(line["mailbox"]), None, UIDL(f"import:{digest}")),
        digest=digest,
        size=number(line["size"]),
        location=Location(text(line["location"])),
        announced=None,
        internal_date=_date(line, "internal_date"),
        flags=texts(line["flags"]) if "flags" in line else None,
        object_id="",
        hold="",
        ident=None,
        labelled=False,
        origin="import",
    )


def _told(line: Line) -> Told:
    labelled = "gm_msgid" in line
    object_id = next((text(line[name]) for name in ("gm_msgid", "emailid", "object_id") if name in line), "")
    return Told(
        key=_key(line),
        digest=_digest(line["digest"]),
        size=number(line["size"]),
        location=Location(text(line["location"])),
        announced=_maybe(line, "announced"),
        internal_date=_date(line, "internal_date"),
        flags=texts(line["flags"]) if "flags" in line else None,
        object_id=object_id,
        hold=text(line.get("hold", "")),
        ident=text(line["ident"]) if "ident" in line else None,
        labelled=labelled,
        method=Method(text(line["method"])) if "method" in line else None,
    )


def _key(line: Line) -> Key:
    mailbox, uidvalidity = text(line["mailbox"]), _maybe(line, "uidvalidity")
    if "uid" in line:
        return mailbox, uidvalidity, UID(number(line["uid"]))
    return mailbox, uidvalidity, UIDL(text(line["uidl"]))


def _digest(value: object) -> Digest:
    if not _DIGEST.fullmatch(text(value)):
        raise ValueError
    return Digest(text(value))


def _maybe(line: Line, name: str) -> int | None:
    return number(line[name]) if line.get(name) is not None else None


def _date(line: Line, name: str) -> datetime | None:
    if line.get(name) is None:
        return None
    found = datetime.fromisoformat(text(line[name]))
    if found.tzinfo is None:
        raise ValueError
    return found
