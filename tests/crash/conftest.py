"""A place for what may be killed but not lose its power."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = Path("/dev/shm")
ROOM = 1 << 30
"""Octets that must be free there; in a container there may be few."""


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder in memory, where there is one, and let servers and state lie there too.

    It is for tests that need no disk: what a killed program wrote, the system has. A deletion must not rest on an
    archive in memory, so such a test has to take that guard away (`place.VOLATILE`).
    """
    roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    base = MEMORY if roomy else tmp_path
    with tempfile.TemporaryDirectory(dir=base, prefix="mail-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # the mail of a server belongs to another user
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setenv("XDG_STATE_HOME", f"{folder}/state")
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(folder)
