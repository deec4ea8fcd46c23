"""What the files of a Maildir tell of its messages, for making a catalogue anew (`archive-format.md` section 7).

The law of this room: it reads names and the two lists of Dovecot, and no message. What another program may have written
is never called proven.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mailarchive.archives.box import NAME
from mailarchive.archives.uidlist import KEYWORDS, LETTERS, UIDLIST, parse_keywords, parse_uidlist, writable_uidl
from mailarchive.errors import ArchiveError, DiskError
from mailarchive.model import (
    ANSWERED,
    DRAFT,
    FLAGGED,
    FORWARDED,
    POP_GENERATION,
    SEEN,
    UID,
    UIDL,
    Location,
    Remnant,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailarchive.archives.box import Box
    from mailarchive.archives.uidlist import UidList

FLAG_LETTERS: Final = {DRAFT: "D", FLAGGED: "F", FORWARDED: "P", ANSWERED: "R", SEEN: "S"}

_FLAGS = {letter: flag for flag, letter in FLAG_LETTERS.items()}


def remains(box: Box, parts: tuple[str, ...]) -> Iterator[Remnant]:
    """Give what names and lists tell of each file of one Maildir, once for each UID that it has."""
    placed = _placed(parse_uidlist(_text(box, UIDLIST)))
    keywords = {LETTERS[place]: keyword for place, keyword in parse_keywords(_text(box, KEYWORDS)).items()}
    for _, name in sorted([*box.files.values(), *box.others.values()]):
        unique, letters = _parted(name)
        location = Location(f"{box.folder}/{unique}")
        flags = _flags(letters, keywords)
        for uidvalidity, uid in placed.get(unique) or [(None, None)]:
            yield Remnant(parts, location, flags, _date(unique), uid, uidvalidity)


def _placed(listed: UidList | None) -> Mapping[str, list[tuple[int | None, UID | UIDL | None]]]:
    """Give UIDVALIDITY and UID for the first part of each name."""
    found: dict[str, list[tuple[int | None, UID | UIDL | None]]] = {}
    for name, uids, uidl in listed.files if listed is not None else ():
        if listed is not None and writable_uidl(uidl):
            # Over POP3 the numbers are ours, and the UIDL is what the server knows it by.
            found[name] = [(POP_GENERATION, UIDL(uidl))]
        elif listed is not None:
            found[name] = [(listed.uidvalidity, UID(uid)) for uid in uids]
    return found


def _parted(name: str) -> tuple[str, str | None]:
    """Part a name into its first part and its letters; None for a name without any."""
    found = NAME.fullmatch(name)
    assert found is not None
    unique = found.group(1)
    rest = name[len(unique) :]
    return unique, rest[3:].partition(",")[0] if rest else None


def _flags(letters: str | None, keywords: Mapping[str, str]) -> frozenset[str] | None:
    if letters is None:
        return None
    known = (_FLAGS.get(letter) or keywords.get(letter) for letter in letters)
    return frozenset(flag for flag in known if flag)


def _date(unique: str) -> datetime | None:
    epoch = int(unique.partition(".")[0])
    try:
        return datetime.fromtimestamp(epoch, UTC) if epoch else None
    except (OverflowError, ValueError, OSError):
        return None


def _text(box: Box, name: str) -> str:
    """Read one of the lists; one that cannot be read says nothing."""
    try:
        return box.text(name)
    except DiskError:
        raise
    except ArchiveError:
        return ""
