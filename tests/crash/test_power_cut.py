"""The power goes at a durable step of a run: what was vouched for, or has left the server, is whole on the disk.

The archive lies on a filesystem in a file. The program is killed at a step, and the file is copied at once: what the
system had only in memory is not in the copy, as after a power cut. Data is written back at will (`data=writeback`), so
that a name that was given before its octets were durable is a name of nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive import space
from mailarchive.archives.opening import open_for_reading
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Account, Store
from tests.command import mailarchive, plain_url, process
from tests.conftest import require_program
from tests.corpus import corpus
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

USER, PASSWORD = "kim", "secret"
CALLS = ("syncfs", "fsync", "fdatasync", "renameat2", "pwrite64")
INLINE = "tests.crash.inline"
KINDS = (("maildir", "ext4"), ("mbox", "ext4"), ("maildir", "ext2"))
"""On ext2 each file is synced by itself: it is none of those that one call can be trusted on."""


class Disk:
    """A filesystem in a file, and where it is mounted."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.image, self.mount = folder / "image", folder / "mnt"
        self.mount.mkdir(parents=True)

    def make(self) -> None:
        """Make it empty."""
        with self.image.open("wb") as file:
            file.truncate(48 * 1024 * 1024)
        subprocess.run([f"mkfs.{self.kind}", "-q", "-F", str(self.image)], check=True, capture_output=True)

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        """Mount it; gives the archive on it."""
        options = "loop,data=writeback" if self.kind == "ext4" else "loop"
        command = ["mount", "-t", self.kind, "-o", options, str(self.image), str(self.mount)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no loop mounts here: {done.stderr.strip()}")
        try:
            yield self.mount / "archive"
        finally:
            subprocess.run(["umount", str(self.mount)], check=True, capture_output=True)

    def check(self) -> None:
        """Do what a system does with it after a power cut."""
        done = subprocess.run(["e2fsck", "-f", "-y", str(self.image)], check=False, capture_output=True, text=True)
        assert done.returncode in {0, 1}, done.stdout


class Place:
    """A demo server with thirty old messages, which can be put back to its start."""

    def __init__(self, running: DemoServer) -> None:
        self.running = running
        self.url = plain_url(running.imap_port, USER)
        now = datetime.now(UTC) - timedelta(days=700)
        self.samples = corpus(30, seed=5, now=now, sizes="tiny")
        self.all = {hashlib.sha256(each.raw).hexdigest() for each in self.samples}

    def refill(self) -> None:
        """Serve all of them."""
        account = Account(USER, PASSWORD, 50_000_000)
        for sample in self.samples:
            account.mailbox("INBOX").append(sample.raw, sample.internal_date, frozenset(sample.flags))
        self.running.store.add(account)

    def gone(self) -> set[str]:
        """Give the digests of what has left."""
        box = self.running.store.account(USER).mailbox("INBOX")
        return self.all - {hashlib.sha256(message.raw).hexdigest() for message in box.messages()}


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
    deletion = ("--older-than", "1y", "--delete", "--yes", "--no-keep-flagged")
    return ("--json", "backup", place.url, "--to", archive, "--format", form, *deletion)


def archived(result: Result) -> set[str]:
    """Give the digests that a run told before it ended, its last line maybe cut short."""
    found = set()
    for line in result.out.splitlines():
        if line.endswith("}") and '"archived"' in line:
            event = json.loads(line)
            if event["event"] == "archived":
                found.add(event["digest"].removeprefix("sha256:"))
    return found


def whole(archive: Path) -> set[str]:
    """Give the digests of what an archive holds, by reading all of it."""
    opened = open_for_reading(archive) if archive.exists() else None
    if opened is None:
        return set()
    with opened:
        messages = (opened.mail.read(location) for _, location in opened.mail.scan())
        return {hashlib.sha256(b"".join(pieces)).hexdigest() for pieces in messages}


def vouched(archive: Path) -> set[str]:
    """Give the digests that the catalogue vouches for."""
    catalogue = archive / ".mailarchive" / "catalogue.sqlite"
    if not catalogue.exists():
        return set()
    with sqlite3.connect(catalogue) as db:
        try:
            rows = db.execute("SELECT c.digest FROM placement p JOIN content c ON c.id = p.content").fetchall()
        except sqlite3.OperationalError:
            rows = []
    db.close()
    return {digest.hex() for (digest,) in rows}


def points(total: int) -> list[int]:
    """Choose a few of so many steps: the first ones, some in between, the last ones."""
    return sorted(
        {*range(1, min(total, 3) + 1), *range(1, total + 1, max(1, total // 3)), *range(max(1, total - 1), total + 1)}
    )


@pytest.mark.parametrize(("form", "filesystem"), KINDS)
def test_what_was_vouched_for_is_whole_after_a_power_cut(
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
