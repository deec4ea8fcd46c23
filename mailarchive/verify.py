"""Reads an archive back and compares every message with the digest that was recorded for it.

The law of this room: it only reads. Nothing is repaired, moved or removed, on disk or elsewhere; what is wrong is told,
each message with its reason, and a sample says that it was one.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

from mailarchive.digests import digested
from mailarchive.errors import ArchiveError, ExitCode, MissingError, worst
from mailarchive.events import Flaw, Verified, VerifyFinished, Verifying, Warned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mailarchive.events import Report
    from mailarchive.model import Digest, Location
    from mailarchive.ports import Archive, Catalogue, Stop


def verify(
    archive: Archive,
    catalogue: Catalogue,
    *,
    name: str,
    report: Report,
    stop: Stop,
    clock: Callable[[], float],
    pick: Callable[[Sequence[Location]], Sequence[Location]] = lambda everything: everything,
    lost: str = "",
) -> VerifyFinished:
    """Read messages back and compare them.

    Args:
        archive: Open for reading.
        catalogue: Of that archive. A message that it does not know is compared with what its location tells.
        name: What the archive is called in the report.
        report: Hears of each message, last of all of the `VerifyFinished` that is returned.
        stop: Asked between messages.
        clock: Seconds of a monotonic clock.
        pick: Chooses which of all locations are read, for a sample.
        lost: Why the catalogue does not say what should be there; a missing message then cannot be noticed.
    """
    begun = clock()
    if lost:
        report(Warned(lost, serious=True))
    # The files first: a run that is going may add some, and its rows come after its files.
    present = {location for _, location in archive.scan()}
    rows = catalogue.located()
    everything = sorted(present | set(rows))
    chosen = pick(everything)
    report(Verifying(name, len(chosen), sum(rows[location][1] for location in chosen if location in rows)))
    moved = {archive.hint(location): location for location in present if location not in rows}
    flaws: Counter[Flaw] = Counter()
    read = size = 0
    trouble: ArchiveError | None = None
    for location in chosen:
        if stop() is not None:
            break
        try:
            found = _look(archive, location, rows, moved)
        except ArchiveError as error:
            trouble = error
            break
        read += 1
        size += found.size
        if found.flaw is not None:
            flaws[found.flaw] += 1
        report(found)
    finished = VerifyFinished(
        archive=name,
        held=len(everything),
        read=read,
        size=size,
        flaws=tuple((flaw, flaws[flaw]) for flaw in Flaw if flaws[flaw]),
        exit_code=_code(flaws, trouble, stop(), lost=bool(lost)),
        seconds=clock() - begun,
        error=trouble.message if trouble is not None else "" if stop() is None else "interrupted",
        hint=trouble.hint if trouble is not None else "",
    )
    report(finished)
    return finished


def _code(flaws: Counter[Flaw], trouble: ArchiveError | None, stopped: ExitCode | None, *, lost: bool) -> ExitCode:
    codes = [ExitCode.ARCHIVE] if any(flaw.serious for flaw in flaws) else []
    codes += [ExitCode.PARTIAL] if lost else []
    codes += [trouble.exit_code] if trouble is not None else []
    codes += [stopped] if stopped is not None else []
    return worst(codes)


def _look(
    archive: Archive,
    location: Location,
    rows: Mapping[Location, tuple[Digest, int]],
    moved: Mapping[str, Location],
) -> Verified:
    """Read one message back, and say what is wrong with it."""
    expected = rows.get(location)
    try:
        found, size = read_back(archive, location)
    except MissingError:
        return _missing(archive, location, expected, moved)
    except ArchiveError as error:
        return Verified(location, 0, Flaw.UNREADABLE, error.message)
    if expected is not None:
        if found == expected[0]:
            return Verified(location, size)
        detail = (
            f"{size} octets, {expected[1]} were archived" if size != expected[1] else "other octets of the same size"
        )
        return Verified(location, size, Flaw.DAMAGED, detail)
    if found.startswith(archive.hint(location)):
        return Verified(location, size, Flaw.UNKNOWN, "whole; the next backup that meets it takes it up")
    return Verified(location, size, Flaw.DAMAGED, "the octets do not fit the name")


def _missing(
    archive: Archive, location: Location, expected: tuple[Digest, int] | None, moved: Mapping[str, Location]
) -> Verified:
    """Say where a message went that is not in its place: it may have been moved by a mail program."""
    there = moved.get(archive.hint(location))
    if there is not None and expected is not None:
        # One that cannot be read is told at its own place.
        with contextlib.suppress(ArchiveError):
            if read_back(archive, there)[0] == expected[0]:
                return Verified(location, 0, Flaw.MOVED, f"it is at {there} now")
    return Verified(location, 0, Flaw.MISSING, "the next backup fetches it again if the server still has it")


def read_back(archive: Archive, location: Location) -> tuple[Digest, int]:
    """Read a message from the device; gives its digest and its octets. Raises ArchiveError if it cannot be read."""
    return digested(archive.read(location, cold=True))
