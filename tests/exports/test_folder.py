"""The folder of an export: nothing that was there is touched, and nothing half done stands in its place."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import DiskError, UsageError
from mailarchive.exports.eml import Eml
from mailarchive.exports.folder import NewFolder
from tests.exports.shelf import Shelf, exported, files_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def listed(folder: Path) -> list[str]:
    """Give the names in a folder."""
    return sorted(path.name for path in folder.iterdir())


WHEN = datetime(2014, 3, 1, 9, tzinfo=UTC)


def test_it_stands_in_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    """Until then it is beside it, under a name that says so; files and folders are for their owner alone."""
    to = tmp_path / "out"
    old = os.umask(0)
    try:
        with NewFolder(to) as folder:
            assert folder.write(("a", "b"), "x.eml", [b"1", b"2"], when=WHEN) == "x.eml"
            assert folder.write(("a", "b"), "x.eml", [b"3"]) == "x (2).eml"
            assert folder.write((), "x", [b""]) == "x"
            assert folder.write((), "x", [b""]) == "x (2)"
            folder.append(("a",), "y.mbox", [b"4"])
            folder.append(("a",), "y.mbox", [b"5"])
            assert not to.exists()
            assert (tmp_path / "out.unfinished" / "a" / "b" / "x.eml").read_bytes() == b"12"
            folder.keep()
    finally:
        os.umask(old)
    assert files_of(to) == {"a/b/x.eml": b"12", "a/b/x (2).eml": b"3", "x": b"", "x (2)": b"", "a/y.mbox": b"45"}
    assert (to / "a/b/x.eml").stat().st_mtime == WHEN.timestamp()
    assert listed(tmp_path) == ["out"]


def test_an_empty_folder_that_is_there_is_filled(tmp_path: Path) -> None:
    """As an empty one that is missing."""
    (tmp_path / "out").mkdir()
    with NewFolder(tmp_path / "out") as folder:
        folder.write((), "x", [b"1"])
        folder.keep()
    assert files_of(tmp_path / "out") == {"x": b"1"}


def test_what_is_there_is_refused_and_stays(tmp_path: Path) -> None:
    """A folder with something in it, a file, a link, the rest of an export, a place that is nowhere."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_bytes(b"mine")
    (tmp_path / "file").write_bytes(b"file")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "cut.unfinished").mkdir()
    refusals = [("full", "is not empty"), ("file", "is a file"), ("link", "is a link"), ("cut", "cut short")]
    for name, words in [*refusals, ("no/where", "there is no folder")]:
        with pytest.raises(UsageError, match=words) as raised, NewFolder(tmp_path / name):
            pass
        assert raised.value.hint
    assert (tmp_path / "full" / "mine").read_bytes() == b"mine"
    assert listed(tmp_path) == ["cut.unfinished", "file", "full", "link"]


def test_what_came_there_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """The export is then given up."""
    with NewFolder(tmp_path / "out") as folder:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").write_bytes(b"mine")
        with pytest.raises(UsageError):
            folder.keep()
    assert listed(tmp_path) == ["out"]
    assert listed(tmp_path / "out") == ["mine"]


def test_pieces_that_end_early_leave_nothing(tmp_path: Path) -> None:
    """Neither of a new file nor at the end of an old one, and the export goes on."""

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise UsageError("no more")

    with NewFolder(tmp_path / "out") as folder:
        folder.append((), "box", [b"whole"])
        with pytest.raises(UsageError):
            folder.append((), "box", pieces())
        with pytest.raises(UsageError):
            folder.write((), "x", pieces())
        folder.append((), "box", [b" again"])
        folder.keep()
    assert files_of(tmp_path / "out") == {"box": b"whole again"}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\0"])
def test_a_name_that_leads_out_is_a_bug(tmp_path: Path, name: str) -> None:
    """Whoever made it; nothing is written."""
    with NewFolder(tmp_path / "out") as folder:
        for call in (lambda: folder.write((), name, []), lambda: folder.append((name,), "x", [])):
            with pytest.raises(AssertionError):
                call()


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    """With the code 14; what was written is taken away again."""

    def full() -> Iterator[bytes]:
        yield b"x"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskError, match="no space left"), NewFolder(tmp_path / "out") as folder:
        folder.write((), "x", full())
    assert listed(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from mailarchive.exports.folder import NewFolder
with NewFolder(Path(sys.argv[1])) as folder:
    folder.write((), "x", [b"1"])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_export_is_seen_to_be_unfinished(tmp_path: Path) -> None:
    """Nothing stands in its place, and the next one says what to do."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "out")], check=False)
    assert done.returncode == -9
    assert listed(tmp_path) == ["out.unfinished"]
    shelf = Shelf()
    shelf.add(b"Subject: x\r\n\r\n")
    with pytest.raises(UsageError) as raised:
        exported(shelf, tmp_path / "out", Eml)
    assert raised.value.hint == f"if none is running, take it away: rm -r {tmp_path}/out.unfinished"
