"""What a run intended to delete, as its manifest says (`archive-format.md` section 6).

The law of this room: a manifest is read like a letter from a stranger: every value is checked, and what cannot be read
is an error and not a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mailarchive.errors import ArchiveError
from mailarchive.model import UID, Digest, Location
from mailarchive.retold import number, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Lost:
    """A message that a run intended to delete, as its manifest says.

    Attributes:
        uid: None where it had only a UIDL; it can be put back over IMAP all the same.
        uidnext: The UID that the next message of the mailbox was to get then; what was put back since has no lower one.
        announced: The size that the server announced then.
    """

    mailbox: str
    uidvalidity: int
    uid: UID | None
    digest: Digest
    size: int
    location: Location
    internal_date: datetime | None
    flags: frozenset[str]
    labels: frozenset[str]
    uidnext: int
    announced: int | None


def lost(lines: Iterable[Mapping[str, object]]) -> list[Lost]:
    """Read the messages that a run intended to delete; whether it did is for the server to show.

    Left out are those that the server refused to let go. What was only marked may have gone since, and so may what was
    still there when a line had broken: a server can be at work on a goodbye that it could not answer any more (POP3).

    Raises:
        ArchiveError: A line cannot be read.
    """
    found: dict[tuple[object, ...], Lost] = {}
    for line in lines:
        key = (line.get("mailbox"), line.get("uidvalidity"), line.get("uid"), line.get("uidl"))
        if line.get("type") == "expunging":
            found[key] = _read(line)
        elif line.get("type") == "kept" and line.get("state") not in ("marked", "rolled_back"):
            found.pop(key, None)
    return list(found.values())


def _read(line: Mapping[str, object]) -> Lost:
    try:
        date = line.get("internal_date")
        return Lost(
            mailbox=text(line["mailbox"]),
            uidvalidity=number(line["uidvalidity"]),
            uid=UID(number(line["uid"])) if "uid" in line else None,
            digest=Digest(text(line["digest"])),
            size=number(line["size"]),
            location=Location(text(line["location"])),
            internal_date=datetime.fromisoformat(text(date)) if date is not None else None,
            flags=texts(line.get("flags")),
            labels=texts(line.get("labels")),
            uidnext=number(line.get("uidnext") or 1),
            announced=number(line["announced"]) if line.get("announced") is not None else None,
        )
    except (KeyError, TypeError, ValueError):
        raise ArchiveError("the manifest of that run cannot be read", hint="its format is not known here") from None
