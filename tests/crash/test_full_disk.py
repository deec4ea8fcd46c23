"""Disks that are full, out of inodes, over quota or read-only, under whole runs that delete (rows 86 to 88, 92, 109).

The disks are real: a filesystem in memory of every size from almost nothing up, and filesystems in files. That an
archive in memory holds back every deletion is switched off here, so that a deletion has to be held back by the fault.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from mailarchive import batch, space
from mailarchive.archives import place as places
from mailarchive.batch import Batch
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import mailarchive
from tests.crash.disks import DELETE, PASSWORD, Disk, Place, in_memory, remount
from tests.crash.vouching import vouched, whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailarchive.ports import Incoming
    from tests.command import Result

pytestmark = pytest.mark.needs_root

KB = 1024


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Serve."""
    with DemoServer(Store()) as running:
        yield Place(running)


@pytest.fixture(autouse=True)
def _to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small disk be used to its end, by batches of five, and a deletion rest on one in memory."""
    monkeypatch.setattr(space, "ROOM", 0)
    monkeypatch.setattr(batch, "BATCH_MESSAGES", 5)
    monkeypatch.setattr(places, "VOLATILE", frozenset())


def run(place: Place, archive: Path, form: str = "maildir", *more: str) -> Result:
    """Archive and delete."""
    words: tuple[str | Path, ...] = ("--json", "backup", place.url, "--to", archive, "--format", form, *DELETE, *more)
    return mailarchive(*words, password=PASSWORD)


def check(place: Place, archive: Path) -> None:
    """Nothing half visible, nothing vouched for or gone that is not whole."""
    there = whole(archive)
    assert there <= place.all
    assert vouched(archive) <= there
    assert place.gone() <= there
    assert place.left() | there == place.all


def goes_on(place: Place, archive: Path, form: str) -> None:
    """With room, the next run ends it: each message once, nothing left over."""
    result = run(place, archive, form)
    assert (result.code, result.err) == (0, ""), result.out[-2000:]
    assert place.gone() == place.all == whole(archive)
    assert list(archive.rglob("tmp/*")) == []
    if form == "maildir":
        assert len(maildir.files(archive)) == len(place.all)


@pytest.mark.parametrize("form", ["maildir", "mbox"])
def test_f086_a_disk_of_any_size_that_is_too_small(place: Place, tmp_path: Path, form: str) -> None:
    """Exit 14 and the words of the table, up to the size that is enough; with more room each is brought to its end."""
    seen = set()
    for size in (*range(64 * KB, 400 * KB, 48 * KB), 2048 * KB):
        place.refill()
        with in_memory(tmp_path / f"{form}-{size}", f"size={size}") as disk:
            archive = disk / "archive"
            result = run(place, archive, form)
            check(place, archive)
            if result.code == 0:
                assert place.gone() == place.all
                seen.add("enough")
                continue
            assert result.code == 14, (size, result.out[-1000:], result.err)
            said = result.end["error"] if '"finished"' in result.out else result.out + result.err
            assert "no space left" in said or "the disk does not take the catalogue" in said, said
            if found := re.search(r"no space left on (\S+) \(\d MB free, 1 MB needed\); (.+)", said):
                count = result.end["total"]["archived"]
                assert found[1] == str(archive)
                what = f"{count} messages are safe, nothing after them was touched" if count else "nothing was touched"
                assert found[2] == what
                seen.add("some" if count else "none")
            remount(disk, "size=8m")
            goes_on(place, archive, form)
    assert seen == {"enough", "some", "none"}


@pytest.mark.parametrize("form", ["maildir", "mbox"])
def test_f087_a_disk_without_inodes(place: Place, tmp_path: Path, form: str) -> None:
    """As a full one, though there are octets enough."""
    codes = []
    for count in (*range(4, 16), 25, 80):
        place.refill()
        with in_memory(tmp_path / f"{form}-{count}", f"size=8m,nr_inodes={count}") as disk:
            archive = disk / "archive"
            result = run(place, archive, form)
            check(place, archive)
            codes.append(result.code)
            remount(disk, "nr_inodes=400")
            goes_on(place, archive, form)
    assert set(codes) == {0, 14}
    assert codes == sorted(codes, reverse=True)


def fill(disk: Path, leave: int) -> Path:
    """Write a file that leaves about so many octets of a disk, even to root; gives it."""
    path = disk / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (1024 * KB, KB):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
        os.fsync(file.fileno())
        file.truncate(path.stat().st_size - leave)
        os.fsync(file.fileno())
    return path


@pytest.mark.parametrize("form", ["maildir", "mbox"])
def test_f086_an_ext4_that_is_full(place: Place, tmp_path: Path, form: str) -> None:
    """On a disk whose blocks are given late: found out at the sync at the latest, and nothing of that batch goes."""
    disk = Disk(tmp_path, "ext4")
    disk.make()
    codes = []
    for leave in (0, 250 * KB, 2000 * KB):
        place.refill()
        with disk.mounted() as first:
            archive = first.with_name(f"{form}-{leave}")
            ballast = fill(disk.mount, leave)
            result = run(place, archive, form)
            check(place, archive)
            codes.append(result.code)
            ballast.unlink()
            goes_on(place, archive, form)
    assert set(codes) == {0, 14}
    assert (codes[0], codes[-1]) == (14, 0)


@pytest.mark.parametrize("form", ["maildir", "mbox"])
@pytest.mark.parametrize("after", [0, 3, 12])
def test_f092_a_disk_that_turns_read_only_in_the_middle(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, after: int
) -> None:
    """Exit 14 before the first message, in a batch or between two; nothing more leaves the server."""
    disk = Disk(tmp_path, "ext4")
    disk.make()
    place.refill()
    count = 0
    add = Batch.add

    def turning(self: Batch, incoming: Incoming) -> None:
        nonlocal count
        if count == after:
            disk.turn_read_only()
        count += 1
        add(self, incoming)

    with disk.mounted("errors=remount-ro") as archive:
        with monkeypatch.context() as patch:
            patch.setattr(Batch, "add", turning)
            result = run(place, archive, form)
        assert (result.code, place.gone()) == (14, set())
        check(place, archive)
    disk.check()
    with disk.mounted() as archive:
        check(place, archive)
        goes_on(place, archive, form)


@pytest.mark.parametrize("form", ["maildir", "mbox"])
def test_f109_a_disk_that_is_nearly_full(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Nothing is begun with less than 100 MB, a plan that is larger than what is free is told, and then it fits."""
    monkeypatch.undo()
    place.refill()
    with in_memory(tmp_path / form, "size=100m") as disk:
        (disk / "ballast").write_bytes(bytes(9 * 1024 * 1024))
        result = run(place, disk / "archive", form)
        assert (result.code, place.gone(), whole(disk / "archive")) == (14, set(), set())
        pattern = r"too little space left on \S+ \(9\d MB free, 1 MB needed, 100 MB must stay free\); (.+)"
        found = re.fullmatch(pattern, result.end["error"])
        assert found is not None
        assert found[1] == "nothing was touched"
        dry = run(place, disk / "archive", form, "--dry-run")
        # In memory, so nothing would be deleted.
        assert (dry.code, "nothing can be fetched" in dry.out) == (3, True)
        assert list((disk / "archive").rglob("*.jsonl")) == []
        (disk / "ballast").unlink()
        result = run(place, disk / "archive", form)
        assert (result.code, whole(disk / "archive")) == (3, place.all)
