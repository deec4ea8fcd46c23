"""Whether the disk of an archive has room for what a run is going to fetch.

The law of this room: pure; a disk that cannot say how much is free is taken to have enough, and the write that fails
says so then. Some room is left alone, because a disk that is full to the brim stops others too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailarchive.errors import NearlyFullError

if TYPE_CHECKING:
    from mailarchive.errors import FullError
    from mailarchive.job import Work

ROOM: Final = 100_000_000
"""Octets that no message may take: with less, nothing more is fetched."""

HINT: Final = "free some space and run again"


def look(work: Work, *, dry_run: bool) -> None:
    """Look before the start whether what is planned has room, and tell if it has not.

    Raises:
        NearlyFullError: There is so little that nothing is to be fetched.
    """
    free = work.archive.free()
    if free is None or not work.to_fetch:
        return
    if free < work.to_fetch:
        work.warn(
            f"{_sizes(free, work.to_fetch)} on {work.run.archive}: this run may not come to its end", serious=False
        )
    if not dry_run:
        demand(free)
    elif free < ROOM:
        work.warn(f"nothing can be fetched: {_in_mb(ROOM)} must stay free on {work.run.archive}", serious=False)


def demand(free: int | None) -> None:
    """Refuse to begin another batch where too little is free. Raises NearlyFullError."""
    if free is not None and free < ROOM:
        raise NearlyFullError("too little space left", hint=HINT)


def told(trouble: FullError, work: Work, archived: int, octets: int) -> tuple[str, str]:
    """Say that the disk is full, what is free and needed, and what that has cost; and what to do about it.

    Args:
        trouble: What ended the run.
        work: Of the run.
        archived: Messages that this run has archived.
        octets: Theirs.
    """
    needed = max(0, work.to_fetch - octets)
    free = work.archive.free()
    sizes = _sizes(free, needed)
    what, hint = "no space left", HINT
    if free is not None and free > needed + ROOM:
        hint = "there is room, so the inodes of the disk (df -i) or a quota may be used up"
    if isinstance(trouble, NearlyFullError):
        what, sizes = "too little space left", f"{sizes}, {_in_mb(ROOM)} must stay free"
    safe = f"{archived:,}".replace(",", " ") + (" message is" if archived == 1 else " messages are")
    cost = f"{safe} safe, nothing after them was touched" if archived else "nothing was touched"
    return f"{what} on {work.run.archive} ({sizes}); {cost}", hint


def _sizes(free: int | None, needed: int) -> str:
    parts = [] if free is None else [f"{_in_mb(free, up=False)} free"]
    return ", ".join([*parts, f"{_in_mb(needed)} needed"])


def _in_mb(octets: int, *, up: bool = True) -> str:
    """Write octets in whole MB, rounded so that nobody counts on what is not there."""
    number = -(-octets // 1_000_000) if up else octets // 1_000_000
    return f"{number:,} MB".replace(",", " ")
