"""Finds the run that is to be taken back, by its id or the beginning of it, in the archives that are meant.

The law of this room: what the user typed is checked before it touches a path, and nothing is opened but the names of
the manifests and, to help after a slip, what they say about deletions.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.address import looks_like_url
from mailarchive.archives.marker import META
from mailarchive.archives.opening import open_for_reading
from mailarchive.errors import ArchiveError, UsageError, os_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mailarchive.cli.targets import Target

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_ENDING: Final = ".jsonl"
_WHOLE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z-[0-9a-f]+")
# Not the lines about what has gone: they are also written by a run that settles what an earlier one left open.
_DELETED: Final = b'"type":"expunging"'
_SHOWN: Final = 3
_LOOKED_INTO: Final = 1000  # manifests; who has more undoes one of the newest
_BLOCK: Final = 1 << 20


class _Found(NamedTuple):
    run: str
    target: Target


def refuse_swapped(run: str, server: str | None) -> None:
    """Refuse the account or URL before the run. What was typed is not repeated: it may hold a password."""
    if looks_like_url(run) or (server is not None and _WHOLE.fullmatch(server)):
        form = "RUN URL --archive DIR" if looks_like_url(run) else "RUN ACCOUNT"
        raise UsageError("the id of the run comes first, then the account or URL", hint=f"mailarchive undo {form}")


def find(run: str, targets: Sequence[Target]) -> tuple[Target, str]:
    """Find a run in the archives of the targets; gives where, and its whole id.

    Raises:
        UsageError: No run is called so, or several; or nothing can be put back on its server.
        ArchiveError: It was not found, and an archive could not be looked into or, of a one-off, is not there.
    """
    if not _RUN.fullmatch(run):
        raise UsageError(
            f"{run[:80]!a} cannot be the id of a run",
            hint="it looks like 2026-11-23T081502Z-3f or the beginning of that",
        )
    everything: list[_Found] = []
    trouble: ArchiveError | None = None
    for target in targets:
        try:
            everything += [_Found(name, target) for name in _runs(target)]
        except ArchiveError as error:
            trouble = trouble or error
    whole = [found for found in everything if found.run == run]
    matches = whole or [found for found in everything if found.run.startswith(run)]
    if len(matches) == 1:
        _refuse_pop(matches[0])
        return matches[0].target, matches[0].run
    if matches:
        raise _several(run, matches)
    if trouble is not None:
        raise trouble
    raise _none(run, targets, everything)


def _refuse_pop(found: _Found) -> None:
    if found.target.address.protocol == "pop":
        raise UsageError(
            f"{found.target.name}: POP3 takes no messages, so nothing can be put back over it",
            hint=f"name the IMAP server: mailarchive undo {found.run} imaps://USER@HOST --archive"
            f" {shlex.quote(str(found.target.archive))}",
        )


def _runs(target: Target) -> list[str]:
    """List the runs of one archive; none if there is no archive yet."""
    found = open_for_reading(target.archive, target.address.identity)
    if found is None and target.is_one_off:
        raise ArchiveError(f"there is no archive in {target.archive}", hint="mailarchive backup makes one")
    if found is None:
        return []
    found.close()
    folder = target.archive / META / "runs"
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise os_error(error, str(folder)) from None
    runs = [name.removesuffix(_ENDING) for name in names if name.endswith(_ENDING)]
    return [run for run in runs if _RUN.fullmatch(run)]


def _several(run: str, matches: list[_Found]) -> UsageError:
    newest = sorted({found.run for found in matches}, reverse=True)
    if len(newest) == 1:
        accounts = ", ".join(found.target.name for found in matches)
        return UsageError(f"{run} is a run of several accounts", hint=f"add one of their names: {accounts}")
    more = ", ..." if len(newest) > _SHOWN else ""
    best = dict.fromkeys([*(found.run for found in _deleting(matches)), *newest])
    shown = ", ".join(itertools.islice(best, _SHOWN))
    return UsageError(f"several runs begin with {run}", hint=f"write more of it: {shown}{more}")


def _none(run: str, targets: Sequence[Target], everything: list[_Found]) -> UsageError:
    places = ", ".join(str(target.archive) for target in targets)
    some = [found.run for found in _deleting(everything)]
    hint = f"the newest runs that deleted: {', '.join(some)}" if some else "no run there has deleted anything"
    return UsageError(f"there is no run {run} in {places}", hint=hint)


def _deleting(everything: list[_Found]) -> list[_Found]:
    """Give the newest runs that have deleted something, or have begun to."""
    newest = sorted(everything, key=lambda found: found.run, reverse=True)[:_LOOKED_INTO]

    def walk() -> Iterator[_Found]:
        for found in newest:
            if _has_deleted(found.target.archive / META / "runs" / f"{found.run}{_ENDING}"):
                yield found

    return list(itertools.islice(walk(), _SHOWN))


def _has_deleted(manifest: Path) -> bool:
    """Look for a line about a deletion; a manifest that cannot be read tells of none."""
    before = b""
    try:
        with os.fdopen(os.open(manifest, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            while block := file.read(_BLOCK):
                if _DELETED in before + block:
                    return True
                before = block[-32:]
    except OSError:
        return False
    return False
