"""Archives on disks that are not there, forget, know no links, or belong to somebody else, and small processes.

Rows 93, 97, 99, 100 and 107, each by whole runs on real disks.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailarchive import space
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import mailarchive, process
from tests.conftest import require_program
from tests.crash.disks import DELETE, PASSWORD, Disk, Place, mounted
from tests.crash.vouching import whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.command import Result

root = pytest.mark.needs_root
NOBODY = 65534


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Serve."""
    with DemoServer(Store()) as running:
        yield Place(running)


@pytest.fixture(autouse=True)
def _small(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small disk be used to its end, and have all mail on the server."""
    monkeypatch.setattr(space, "ROOM", 0)
    place.refill()


def run(place: Place, archive: Path, *more: str) -> Result:
    """Run a backup; with `DELETE` it deletes."""
    return mailarchive("--json", "backup", place.url, "--to", archive, "--no-index", *more, password=PASSWORD)


def warned(result: Result) -> list[str]:
    """Give the warnings."""
    return [event["message"] for event in result.events if event["event"] == "warned"]


@root
def test_f093_an_archive_of_another_user(place: Place, tmp_path: Path) -> None:
    """Root refuses it too: exit 13, and the path and its owner are named; nothing is fetched."""
    archive = tmp_path / "archive"
    assert run(place, archive, "--limit", "3").code == 0
    before = maildir.files(archive)
    os.chown(archive, NOBODY, NOBODY)
    for words in ((), DELETE, ("--dry-run",)):
        result = run(place, archive, *words)
        assert (result.code, place.gone()) == (13, set())
        assert f"{archive} belongs to another user (uid {NOBODY})" in result.out
        assert "run as that user" in result.out
    assert maildir.files(archive) == before


@root
@pytest.mark.parametrize("mode", [0o700, 0o500])
def test_f093_a_folder_that_may_not_be_used(place: Place, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    """Somebody else's, or one's own without the right to write: exit 13, the path is named, and whose it is."""
    # Everything that a run loads is loaded by root, who can read it.
    with tempfile.TemporaryDirectory() as outside:
        assert run(place, Path(outside) / "first", *DELETE).code == 0
    place.refill()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home, archive = Path(folder) / "home", Path(folder) / "archive"
        home.mkdir()
        os.chown(home, NOBODY, NOBODY)
        archive.mkdir(mode=mode)
        if mode == 0o500:
            os.chown(archive, NOBODY, NOBODY)
        for variable in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
            monkeypatch.setenv(variable, str(home))
        os.seteuid(NOBODY)
        try:
            result = run(place, archive, *DELETE)
        finally:
            os.seteuid(0)
        assert (result.code, place.gone()) == (13, set()), result.err
        what = f"{archive} belongs to another user (uid 0)" if mode == 0o700 else f"no permission for {archive}"
        assert what in result.out
        assert list(archive.iterdir()) == []


@root
@pytest.mark.parametrize("below", ["", "mail/home"])
def test_f097_a_disk_that_is_not_mounted(place: Place, tmp_path: Path, below: str) -> None:
    """An empty mount point, or nothing in it: exit 13, a hint, and no new archive; mounted again, all goes on."""
    disk = Disk(tmp_path, "ext4")
    disk.make()
    with disk.mounted():
        # Where the disk is the archive, nothing else may be in it.
        for entry in disk.mount.iterdir():
            entry.rmdir()
        archive = disk.mount / below
        assert run(place, archive, *DELETE, "--limit", "9").code == 0
    for words in ((), DELETE, ("--dry-run",)):
        result = run(place, archive, *words)
        assert (result.code, len(place.gone())) == (13, 9)
        assert f"archive {archive} not found: the folder is {'gone' if below else 'empty'}" in result.out
        assert "is the disk mounted?" in result.out
    assert list(disk.mount.iterdir()) == []
    with disk.mounted():
        assert run(place, archive, *DELETE).code == 0
        assert whole(archive) == place.all == place.gone()


@root
@pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
def test_f099_an_archive_in_memory(place: Place, tmp_path: Path, kind: str) -> None:
    """A warning each time; archived with 0, and nothing is deleted: 3 where that was asked for."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(["mount", "-t", kind, "none", str(disk)], disk):
        archive = disk / "archive"
        result = run(place, archive)
        assert (result.code, whole(archive)) == (0, place.all)
        doubt = f"{archive} is on a filesystem in memory and is gone with the next start of the machine"
        assert warned(result) == [doubt]
        result = run(place, archive, *DELETE)
        assert (result.code, place.gone()) == (3, set())
        assert warned(result) == [doubt, f"nothing is deleted: {doubt}"]
        assert mailarchive("prune", place.url, "--archive", archive, *DELETE[:2], "--yes", password=PASSWORD).code == 3
        assert place.gone() == set()


@contextmanager
def closed(disk: Disk) -> Iterator[Path]:
    """Mount a disk so that others may not write to it, whatever its kind; gives the archive on it."""
    if disk.kind != "exfat":
        options = "loop,umask=077" if disk.kind == "vfat" else "loop"
        with mounted(["mount", "-t", disk.kind, "-o", options, str(disk.image), str(disk.mount)], disk.mount):
            yield disk.mount / "archive"
        return
    program = require_program("mount.exfat-fuse")
    done = subprocess.run(["losetup", "-f", "--show", str(disk.image)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no loop devices here: {done.stderr.strip()}")
    device = done.stdout.strip()
    try:
        with mounted([program, "-o", "umask=077", device, str(disk.mount)], disk.mount):
            yield disk.mount / "archive"
    finally:
        subprocess.run(["losetup", "-d", device], capture_output=True, check=False)


@root
@pytest.mark.timeout(120)
@pytest.mark.parametrize("form", ["maildir", "mbox"])
@pytest.mark.parametrize("kind", ["exfat", "vfat", "xfs", "btrfs"])
def test_f100_a_disk_without_links_or_colons(place: Place, tmp_path: Path, kind: str, form: str) -> None:
    """Names that it would fold or refuse are kept apart; what is archived leaves the server, and comes back whole."""
    account = place.running.store.account("kim")
    sample = place.samples[0]
    for name in ("Foo", "foo", "CON", "a:b"):
        if account.find(name) is None:
            box = account.create(name)
            box.append(sample.raw, sample.internal_date, frozenset())
    disk = Disk(tmp_path, kind)
    disk.make()
    with closed(disk) as archive:
        result = run(place, archive, *DELETE, "--format", form)
        assert result.code == 0, (result.out[-2000:], result.err)
        assert (place.gone(), whole(archive)) == (place.all, place.all)
        assert result.end["total"]["deleted"] == 34
        colon = kind in {"xfs", "btrfs"}
        if form == "maildir":
            names = [path.name for path in archive.rglob("cur/*")]
            assert len(names) == 34
            assert all((":2," if colon else ";2,") in name for name in names)
            assert any("no flags" in said or "colon" in said for said in warned(result)) is not colon
        folders = {path.name for path in archive.iterdir()} - {".mailarchive"}
        assert len({folder.casefold() for folder in folders}) == len(folders) == 5
        again = run(place, archive, "--format", form)
        assert (again.code, again.end["total"]["archived"]) == (0, 0)
        assert mailarchive("-q", "verify", archive).code == 0


LITTLE = ("prlimit", "--nofile=64", f"--as={256 * 1024 * 1024}")


@pytest.mark.reader("prlimit")
@pytest.mark.parametrize("form", ["maildir", "mbox"])
def test_f107_sixty_four_descriptors_and_256_mib(place: Place, tmp_path: Path, form: str) -> None:
    """Are enough."""
    words = ("backup", place.url, "--to", tmp_path / "archive", "--format", form, *DELETE)
    result = process(*words, password=PASSWORD, before=LITTLE)
    assert (result.code, place.gone(), whole(tmp_path / "archive")) == (0, place.all, place.all), result.err


@pytest.mark.reader("prlimit")
@pytest.mark.parametrize("limit", [13, 16])
def test_f107_with_less_the_limit_is_named(place: Place, tmp_path: Path, limit: int) -> None:
    """Exit 1, one line and what to type; nothing is lost, and with more it goes on."""
    words = ("-q", "backup", place.url, "--to", tmp_path / "archive", *DELETE)
    result = process(*words, password=PASSWORD, before=("prlimit", f"--nofile={limit}"))
    assert (result.code, place.gone()) == (1, set())
    assert re.search("error: too many open files, at .*\nhint: raise the limit: ulimit -n 1024\n", result.err)
    assert "Traceback" not in result.err
    assert process(*words, password=PASSWORD).code == 0
    assert place.gone() == whole(tmp_path / "archive") == place.all
