"""Looks at an archive on disk from outside, by nothing but the documented format."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"(\d+)\.([0-9a-f]{32,64})\.mailarchive,S=(\d+):2,([A-Z]*)([a-z]*)")


@dataclass(frozen=True)
class Found:
    """One file."""

    folder: str
    octets: bytes
    epoch: int
    flags: str
    mtime: float
    inode: int
    keywords: frozenset[str] = frozenset()


def files(archive: Path) -> list[Found]:
    """Give every message, and check that its name tells the truth."""
    found = []
    for path in sorted(archive.rglob("*")):
        if path.parent.name not in {"cur", "new"} or path.parent.parent == archive:
            continue
        parts = _NAME.fullmatch(path.name)
        assert parts is not None, path
        octets = path.read_bytes()
        assert hashlib.sha256(octets).hexdigest().startswith(parts.group(2)), path
        assert len(octets) == int(parts.group(3)), path
        folder = path.parent.parent.relative_to(archive).as_posix()
        status = path.stat()
        words = keywords(path.parent.parent)
        named = frozenset(words[letter] for letter in parts.group(5))
        found.append(Found(folder, octets, int(parts.group(1)), parts.group(4), status.st_mtime, status.st_ino, named))
    return found


def keywords(folder: Path) -> dict[str, str]:
    """Give the keyword of each letter in a mailbox, as `dovecot-keywords` tells it."""
    table = folder / "dovecot-keywords"
    lines = [line.split(" ") for line in table.read_text().splitlines()] if table.exists() else []
    return {"abcdefghijklmnopqrstuvwxyz"[int(number)]: word for number, word in lines}


def by_folder(archive: Path) -> dict[str, list[bytes]]:
    """Give the octets in each folder, sorted."""
    boxes: dict[str, list[bytes]] = {}
    for each in files(archive):
        boxes.setdefault(each.folder, []).append(each.octets)
    return {folder: sorted(octets) for folder, octets in boxes.items()}


def left_overs(archive: Path) -> list[Path]:
    """Give what lies in any tmp folder."""
    return list(archive.rglob("tmp/*"))
