"""Looks at the place where an archive lies: whose it is, who may write there, what kind of disk it is on.

The law of this room: it only looks. What must not be is an ArchiveError; what may be, but is no ground for a deletion,
is a sentence.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mailarchive.errors import ArchiveError

NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph"})
SYNCED_TOGETHER = frozenset({"ext3", "ext4", "xfs", "btrfs", "f2fs"})
"""Filesystems on this machine of which one call tells whether all files are durable."""

VOLATILE = frozenset({"tmpfs", "ramfs"})


def owned(path: Path) -> os.stat_result:
    """Look at a folder. Raises ArchiveError if it belongs to another user."""
    folder = path.stat()
    if folder.st_uid != os.geteuid():
        raise ArchiveError(
            f"{path} belongs to another user (uid {folder.st_uid})", hint="run as that user, or choose another folder"
        )
    return folder


def doubts(path: Path) -> list[str]:
    """Say why a deletion must not rest on an archive at this place.

    Raises:
        ArchiveError: The folder belongs to another user.
    """
    found = []
    folder = owned(path)
    if _writable_by_others(folder):
        found.append(f"{path} is writable by others")
    parent = path.resolve().parent
    if _writable_by_others(parent.stat()):
        found.append(f"{parent} is writable by others")
    if filesystem(path) in VOLATILE:
        found.append(f"{path} is on a filesystem in memory and is gone with the next start of the machine")
    return found


def _writable_by_others(found: os.stat_result) -> bool:
    # In a sticky folder such as /tmp nobody can rename or remove what belongs to another.
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)) and not found.st_mode & stat.S_ISVTX


def filesystem(path: Path) -> str:
    """Give the type of the filesystem, such as `ext4`; empty where the system does not say."""
    try:
        table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    resolved = path.resolve()
    best, kind = -1, ""
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) < 7 or "-" not in fields[6:]:
            continue
        point = _unescape(fields[4])
        if resolved.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), fields[fields.index("-", 6) + 1]
    return kind


def is_network(path: Path) -> bool:
    """Tell whether the folder is on a network filesystem, where a WAL cannot be shared."""
    return filesystem(path) in NETWORK


def _unescape(text: str) -> str:
    for octal, letter in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(octal, letter)
    return text
