"""Writes a small text file as a whole, by rename, or not at all.

The law of this room: who reads the file meanwhile sees the old one or the new one, never a part; a draft is closed to
others, does not end like the file, and never stays behind. Nothing of an archive is written here.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """Put these octets into a file of this mode; a link that is there is replaced, not followed. Raises OSError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.replace(draft, path)  # noqa: PTH105 - the laws of rooms are tested by these names
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
