"""Writes `dovecot-uidlist`: which UID a server gave to each file of a mailbox (`archive-format.md` section 4).

The law of this room: derived; a list that is lost or old costs nothing, and no message hangs on it. The catalogue
says what the server said, and wins; of the list that is there, what does not contradict it stays. A list that would
not change is not written.
"""

from __future__ import annotations

import heapq
from array import array
from itertools import groupby, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.archives import durable
from mailarchive.archives.box import NAME
from mailarchive.archives.uidlist import LAST, UIDLIST, Numbered, UidList, parse_uidlist, writable_uidl
from mailarchive.errors import BusyError
from mailarchive.texts import Texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mailarchive.archives.box import Box
    from mailarchive.archives.durable import Directory
    from mailarchive.model import UID, UIDL, Location, MailboxStatus
    from mailarchive.ports import Chunk


_SHARED: Final = 1000
"""Files with several UIDs in a list that is made line by line."""
_RUN: Final = 8192
"""Messages that are sorted at a time."""


class Naming(NamedTuple):
    """What the list of a mailbox is called by, beside what the server says.

    Attributes:
        guid: 32 hex digits that name the mailbox in this archive.
        created: UIDVALIDITY where the server has no UIDs (POP3): the second in which the archive was made.
    """

    guid: str
    created: int


def is_current(leaf: Directory) -> bool:
    """Tell whether a mailbox has a list and no file came to it since; quick, whatever is in it."""
    written, filled = leaf.modified(UIDLIST), leaf.modified("cur")
    return written is not None and filled is not None and written >= filled and not leaf.has(f"{UIDLIST}.lock")


def write(
    box: Box,
    leaf: Directory,
    status: MailboxStatus,
    rows: Callable[[], Iterable[tuple[UID | UIDL, Location]]],
    naming: Naming,
) -> None:
    """Write the list of a mailbox.

    Args:
        box: Its files.
        leaf: Its folder.
        status: What the server says of it.
        rows: Gives what the catalogue knows of the generation that it says, in ascending order of UID.
        naming: See there.

    Raises:
        ArchiveError: It could not be written. `BusyError`: another program holds it.
    """
    box.look_again()
    text = box.text(UIDLIST)
    first = None
    if not text:
        first = _first(box, rows(), status, naming) or _first_of_uidls(box, rows(), naming)
    if first is not None:
        _put(leaf, first)
        return
    here = [(uid, name) for uid, name in ((uid, _name(box, place)) for uid, place in rows()) if name]
    old = parse_uidlist(text)
    if any(isinstance(uid, str) for uid, _ in here):
        made = _of_uidls([(str(uid), name) for uid, name in here], old, naming)
    else:
        made = _of_uids(box, [(int(uid), name) for uid, name in here], old, status, naming)
    if not made.files and not text:
        return
    if made.text() == text:
        durable.drop_left_over(leaf, UIDLIST)
        leaf.touch(UIDLIST)
    else:
        _put(leaf, [made.text().encode("utf-8", "surrogateescape")])


def _put(leaf: Directory, parts: Iterable[Chunk]) -> None:
    if not durable.replace_under_lock(leaf, UIDLIST, parts):
        raise BusyError(f"another program holds {leaf.path}/{UIDLIST}.lock", hint="the next run writes the list")


def _first(
    box: Box, rows: Iterable[tuple[UID | UIDL, Location]], status: MailboxStatus, naming: Naming
) -> Iterable[bytes] | None:
    """Make the first list of an IMAP mailbox piece by piece, as there may be very many; None if it cannot be so."""
    seen = bytearray(len(box.files))
    uids, places = array("I"), array("I")
    more: dict[int, list[str]] = {}
    highest = 0
    for uid, location in rows:
        _, place = _placed(box, location)
        if not isinstance(uid, int) or uid < highest or len(more) > _SHARED:
            return None
        if place is None:
            continue
        if place < 0:
            return None
        highest = uid
        if seen[place]:
            more.setdefault(place, []).append(str(uid))
            continue
        seen[place] = 1
        uids.append(uid)
        places.append(place)
    if not uids or status.uidvalidity is None:
        return None
    empty = UidList(status.uidvalidity, min(max(highest + 1, status.uidnext or 1), LAST), naming.guid)
    further = {place: f" X{','.join(others)}" for place, others in more.items()}
    lines = (
        f"{uid}{further.get(place, '')} :{box.files.unique(place)}\n" for uid, place in zip(uids, places, strict=True)
    )
    return _pieces(empty, lines)


def _first_of_uidls(box: Box, rows: Iterable[tuple[UID | UIDL, Location]], naming: Naming) -> Iterable[bytes] | None:
    """Make the first list of a maildrop likewise; None where two UIDLs share a file."""
    seen = bytearray(len(box.files))
    order, places = array("Q"), array("I")
    uidls = Texts()
    for uidl, location in rows:
        name, place = _placed(box, location)
        if isinstance(uidl, int):
            return None
        if place is None:
            continue
        if place < 0 or seen[place] or name.startswith("0"):
            return None
        seen[place] = 1
        order.append(int(name.partition(".")[0]) << 32 | len(places))
        places.append(place)
        uidls.append(uidl if writable_uidl(uidl) else None)
    if not places:
        return None

    def lines() -> Iterator[str]:
        number = 0
        runs = [array("Q", sorted(order[at : at + _RUN])) for at in range(0, len(order), _RUN)]
        for _, together in groupby(heapq.merge(*runs), key=lambda key: key >> 32):
            indexes = (key & 0xFFFFFFFF for key in together)
            for name, index in sorted((box.files.unique(places[index]), index) for index in indexes):
                number += 1
                known = uidls[index]
                yield f"{number}{f' P{known}' if known else ''} :{name}\n"

    return _pieces(UidList(naming.created, len(places) + 1, naming.guid), lines())


def _pieces(empty: UidList, lines: Iterator[str]) -> Iterator[bytes]:
    """Give the text of a list, a thousand lines at a time."""
    yield empty.text().encode()
    while some := list(islice(lines, 1000)):
        yield "".join(some).encode()


def _placed(box: Box, location: Location) -> tuple[str, int | None]:
    """Give the name of a file up to the separator, and its place among those that are there; None if it is not."""
    folder, _, unique = location.rpartition("/")
    return unique, box.place(unique) if folder == box.folder else None


def _name(box: Box, location: Location) -> str:
    """Give the name of a file that is there, up to the separator; empty if it is gone or elsewhere."""
    folder, _, unique = location.rpartition("/")
    return unique if folder == box.folder and box.has(unique) else ""


def _of_uids(
    box: Box, here: list[tuple[int, str]], old: UidList | None, status: MailboxStatus, naming: Naming
) -> UidList:
    """Make the list of an IMAP mailbox; further UIDs of equal octets stand with the first."""
    assert status.uidvalidity is not None
    same = old if old is not None and old.uidvalidity == status.uidvalidity else None
    files: dict[str, set[int]] = {}
    for uid, name in here:
        files.setdefault(name, set()).add(uid)
    taken = {uid for uid, _ in here}
    for file in same.files if same is not None else ():
        left = set(file.uids) - taken
        # Of a file that is not ours nothing is known here, and Dovecot itself drops what is gone.
        if left and (NAME.fullmatch(file.name) is None or box.has(file.name)):
            files.setdefault(file.name, set()).update(left)
    highest = max((max(uids) for uids in files.values()), default=0)
    uidnext = max(highest + 1, status.uidnext or 1, same.uidnext if same is not None else 1)
    numbered = sorted((tuple(sorted(uids)), name) for name, uids in files.items())
    return UidList(
        status.uidvalidity, min(uidnext, LAST), naming.guid, tuple(Numbered(name, uids) for uids, name in numbered)
    )


def _of_uidls(here: list[tuple[str, str]], old: UidList | None, naming: Naming) -> UidList:
    """Make the list of a maildrop: a file keeps its number for ever, and a new one gets the next, by its date."""
    same = old if old is not None and old.uidvalidity == naming.created else None
    numbers = {file.name: file.uids for file in same.files} if same is not None else {}
    uidnext = same.uidnext if same is not None else 1
    uidls: dict[str, str] = {}
    for uidl, name in here:
        if writable_uidl(uidl) or name not in uidls:
            uidls[name] = uidl
    for name in sorted(uidls.keys() - numbers.keys(), key=lambda name: (int(name.partition(".")[0]), name)):
        numbers[name] = (uidnext,)
        uidnext += 1
    kept = {file.name: file.uidl for file in same.files} if same is not None else {}
    files = sorted((uids, name) for name, uids in numbers.items())
    return UidList(
        naming.created,
        uidnext,
        naming.guid,
        tuple(Numbered(name, uids, uidls.get(name, kept.get(name, ""))) for uids, name in files),
    )
