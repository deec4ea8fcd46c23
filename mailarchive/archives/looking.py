"""Looks at an archive and its disk for somebody who wants to know whether all is well.

The law of this room: nothing is written, made, removed or locked. What could be found out only by trying is told from
the kind of the filesystem by whoever judges.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailarchive.archives import place
from mailarchive.archives.durable import Directory
from mailarchive.archives.marker import META
from mailarchive.archives.opening import OWNER, open_for_reading
from mailarchive.errors import ArchiveError, os_error

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class DiskSeen:
    """The disk of a folder, or of the nearest folder above that is there.

    Attributes:
        path: That folder.
        kind: Of the filesystem, such as `ext4`; empty where the system does not say.
        free: Octets that this user may still write. `size`: octets of the whole disk.
        writable: Whether this user may make something in the folder.
        network: Whether the disk is that of another computer.
        unsynced: Why the folder cannot be synced; empty if it can.
        lasting: Whether the system can sync the names in a folder at all.
    """

    path: str
    kind: str
    free: int
    size: int
    writable: bool = True
    network: bool = False
    unsynced: str = ""
    lasting: bool = True


@dataclass(frozen=True, slots=True)
class ArchiveSeen:
    """An archive.

    Attributes:
        id: Its own.
        kind: Format and layout in words.
        database: Where its catalogue is or would be.
        holder: Which run holds it, in words that follow "a run"; empty if none does.
        damaged: How many things were set aside as damaged.
        catalogue: What is wrong with the catalogue in a few words, `missing` if it is not there; empty if it is good.
    """

    id: str
    kind: str
    database: Path
    holder: str = ""
    damaged: int = 0
    catalogue: str = ""


def disk(path: Path) -> DiskSeen:
    """Look at the disk of a folder. Raises ArchiveError."""
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    try:
        state = os.statvfs(there)
    except OSError as error:
        raise os_error(error, str(there)) from None
    unsynced, lasting = "", True
    try:
        folder = Directory.at(str(there))
        try:
            lasting = folder.sync()
        finally:
            folder.close()
    except ArchiveError as error:
        unsynced = error.message
    return DiskSeen(
        path=str(there),
        kind=place.filesystem(there),
        free=state.f_bavail * state.f_frsize,
        size=state.f_blocks * state.f_frsize,
        writable=os.access(there, os.W_OK | os.X_OK),
        network=place.is_network(there),
        unsynced=unsynced,
        lasting=lasting,
    )


def doubts(path: Path) -> list[str] | None:
    """Say why a deletion must not rest on an archive at this place; None for one that is still to be made.

    Raises:
        ArchiveError: The folder belongs to another user, or cannot be looked at.
    """
    try:
        return place.doubts(path) if path.is_dir() else None
    except OSError as error:
        raise os_error(error, str(path)) from None


def archive(path: Path, account: str) -> ArchiveSeen | None:
    """Look at the archive of an account; None if it is still to be made. Raises ArchiveError."""
    found = open_for_reading(path, account)
    if found is None:
        return None
    with found:
        return ArchiveSeen(
            id=found.marker.id,
            kind=f"{found.marker.format}, {found.marker.layout}",
            database=found.catalogue,
            holder=_holder(path / META / OWNER),
            damaged=_count(path / META / "damaged"),
            catalogue="" if found.catalogue.exists() else "missing",
        )


def _holder(owner: Path) -> str:
    """Say who holds the lock, by the note that a run leaves beside it and the processes of this computer."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads(owner.read_text(encoding="utf-8"))
        pid, host, started = int(note["pid"]), str(note["host"]), str(note["started"])
        if host == os.uname().nodename and not _is_alive(pid):
            return ""
        return f"has been going since {started} (pid {pid} on {host})"
    return ""


def _is_alive(pid: int) -> bool:
    if pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _count(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise os_error(error, str(folder)) from None
