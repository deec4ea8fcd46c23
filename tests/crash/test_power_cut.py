"""The power goes at a durable step of a run: what was vouched for, or has left the server, is whole on the disk.

The archive lies on a filesystem in a file. The program is killed at a step, and the file is copied at once: what the
system had only in memory is not in the copy, as after a power cut. Data is written back at will (`data=writeback`), so
that a name that was given before its octets were durable is a name of nothing.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from mailarchive import space
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests.command import mailarchive, process
from tests.conftest import require_program
from tests.crash.disks import DELETE, PASSWORD, Disk, Place, vouched, whole
from tests.crash.threads import reached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result

pytestmark = [
    pytest.mark.long,
    pytest.mark.needs_root,
    pytest.mark.reader("strace", "mkfs.ext4"),
    pytest.mark.timeout(600),
]

CALLS = ("syncfs", "fsync", "fdatasync", "renameat2", "pwrite64")
INLINE = "tests.crash.inline"
KINDS = (("maildir", "ext4"), ("mbox", "ext4"), ("maildir", "ext2"))
"""On ext2 each file is synced by itself: it is none of those that one call can be trusted on."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a small disk be used to its end."""
    monkeypatch.setattr(space, "ROOM", 0)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Serve."""
    with DemoServer(Store()) as running:
        yield Place(running)


def words(place: Place, archive: Path, form: str) -> tuple[str | Path, ...]:
    """Give the command: archive, and delete what is flagged too."""
    return ("--json", "backup", place.url, "--to", archive, "--format", form, *DELETE)


def archived(result: Result) -> set[str]:
    """Give the digests that a run told before it ended, its last line maybe cut short."""
    found = set()
    for line in result.out.splitlines():
        if line.endswith("}") and '"archived"' in line:
            event = json.loads(line)
            if event["event"] == "archived":
                found.add(event["digest"].removeprefix("sha256:"))
    return found


def points(total: int) -> list[int]:
    """Choose a few of so many steps: the first ones, some in between, the last ones."""
    return sorted(
        {*range(1, min(total, 3) + 1), *range(1, total + 1, max(1, total // 3)), *range(max(1, total - 1), total + 1)}
    )


@pytest.mark.parametrize(("form", "filesystem"), KINDS)
def test_f112_what_was_vouched_for_is_whole_after_a_power_cut(
    place: Place, tmp_path: Path, form: str, filesystem: str
) -> None:
    """Told, in the catalogue, or gone from the server: its octets are there; and the next run ends it."""
    require_program("strace")
    fresh = Disk(tmp_path / "fresh", filesystem)
    fresh.make()
    place.refill()
    log = tmp_path / "log"
    strace = ("strace", "-f", "-qq", "-o", str(log), "-e", f"trace={','.join(CALLS)}")
    counted = Disk(tmp_path / "counted", filesystem)
    shutil.copyfile(fresh.image, counted.image)
    with counted.mounted() as archive:
        assert process(*words(place, archive, form), password=PASSWORD, before=strace, module=INLINE).code == 0
        assert place.gone() == place.all == whole(archive)
    lines = log.read_text(errors="replace").splitlines()
    used = {call: len(reached(lines, call)) for call in CALLS}
    assert used["fsync"] > 3
    seen = set()
    for call, number in [(each, number) for each in CALLS for number in points(used[each])]:
        place.refill()
        before, after = (Disk(tmp_path / f"{call}-{number}-{name}", filesystem) for name in ("before", "after"))
        shutil.copyfile(fresh.image, before.image)
        kill = f"inject={call}:signal=SIGKILL:when={number}"
        inject = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", kill)
        with before.mounted() as archive:
            result = process(*words(place, archive, form), password=PASSWORD, before=inject, module=INLINE)
            shutil.copyfile(before.image, after.image)
        assert result.code in {-9, 137}, (call, number, result)
        gone = place.gone()
        after.check()
        with after.mounted() as archive:
            there = whole(archive)
            assert there <= place.all, (call, number)
            assert archived(result) <= there, (call, number)
            assert vouched(archive) <= there, (call, number)
            assert gone <= there, (call, number)
            seen.add((bool(there), bool(gone)))
            result = mailarchive(*words(place, archive, form), password=PASSWORD)
            assert (result.code, result.err) == (0, ""), (call, number, result.out[-2000:])
            assert place.gone() == place.all == whole(archive), (call, number)
        for each in (before, after):
            each.image.unlink()
    assert {(False, False), (True, False), (True, True)} <= seen
