"""Keeps the file of metrics for the textfile collector of Prometheus.

The law of this room: the file changes as a whole, by rename; a file that we have not written is left alone; of two runs
that end at once, one waits for the other, and not for ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from mailarchive.monitoring.metrics import MARK, merged
from mailarchive.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mailarchive.monitoring.outcome import Outcome

_PATIENCE: Final = 5.0
_MOST: Final = 64 << 20


def write(path: Path, outcomes: Sequence[Outcome]) -> str:
    """Write how these accounts stand beside what the file says of others; gives what is wrong, or ""."""
    try:
        with _alone(path.parent):
            before = _before(path)
            if before is None:
                return "it is there and was not written by mailarchive; it was left as it is"
            # The collector is another user, and what stands here is no secret.
            write_whole(path, merged(before, outcomes).encode("utf-8", "backslashreplace"), 0o644)
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _before(path: Path) -> str | None:
    """Read what is there; "" for nothing, None for what is not ours."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            text = file.read(_MOST).decode("utf-8", "replace")
    except FileNotFoundError:
        # A link that leads nowhere is not ours either.
        return None if path.is_symlink() else ""
    return text if not text or text.startswith(f"{MARK}\n") else None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder itself, which leaves no file behind; where that is not to be had, go on without."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.05)
        yield
    finally:
        os.close(fd)
