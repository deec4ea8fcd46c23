"""The power goes at a durable step of a run: what was vouched for, or has left the server, is whole on the disk.

The archive lies on a filesystem in a file. The program is killed at a step, just after it was done, and the file is
copied at once: what the system had only in memory is not in the copy, as after a power cut. On ext4 data is written
back at will (`data=writeback`), so that a name that was given before its octets were durable is a name of nothing.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive import space
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Account, Store
from tests.command import mailarchive, plain_url, process
from tests.conftest import require_program
from tests.contract.sources import DELETE, pop_url
from tests.corpus import corpus
from tests.crash.test_delete_kill_points import spaced
from tests.crash.threads import reached
from tests.crash.vouching import vouched, whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result

pytestmark = [
    pytest.mark.long,
    pytest.mark.needs_root,
    pytest.mark.reader("strace"),
    pytest.mark.timeout(600),
]

USER, PASSWORD = "kim", "secret"
STEPS = {
    "syncfs": ("syncfs",),
    "fsync": ("fsync",),
    "fdatasync": ("fdatasync",),
    "name": ("renameat2", "renameat", "rename", "linkat"),
    "catalogue": ("pwrite64",),
}
"""The system calls of each kind of step; of the last only those on the catalogue."""
CALLS = [call for calls in STEPS.values() for call in calls]
LATE = {"syncfs": 2, "fsync": 4, "fdatasync": 12, "name": 3, "catalogue": 3}
"""Points of a kind of step after the manifest of the run is there, and one before that. A commit is an fdatasync."""
INLINE = "tests.crash.inline"
MAKE = {
    "ext2": (48, ("-q", "-F")),
    "ext4": (48, ("-q", "-F")),
    "xfs": (320, ("-q",)),
    "btrfs": (128, ("-q",)),
    "vfat": (48, ()),
}
"""For each filesystem its size in MiB, and how it is made."""
OPTIONS = {"ext4": ",data=writeback"}
CHECK = {"ext2": ("e2fsck", "-f", "-y"), "ext4": ("e2fsck", "-f", "-y"), "vfat": ("fsck.vfat", "-a")}
"""What a system does after a power cut; the others do it when they are mounted."""
KINDS = (
    ("imap", "maildir", "ext4"),
    ("imap", "mbox", "ext4"),
    ("imap", "maildir", "ext2"),
    ("imap", "maildir", "xfs"),
    ("imap", "maildir", "btrfs"),
    ("imap", "mbox", "btrfs"),
    ("imap", "maildir", "vfat"),
    ("imap", "mbox", "vfat"),
    ("pop", "maildir", "ext4"),
    ("pop", "mbox", "xfs"),
)
"""On ext2 each file is synced by itself: it is none of those that one call can be trusted on. vfat has no links, and no
colon in names.
"""


class Disk:
    """A filesystem in a file, and where it is mounted."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.image, self.mount = folder / "image", folder / "mnt"
        self.mount.mkdir(parents=True)

    def make(self) -> None:
        """Make it empty."""
        size, options = MAKE[self.kind]
        with self.image.open("wb") as file:
            file.truncate(size * 1024 * 1024)
        program = require_program(f"mkfs.{self.kind}")
        subprocess.run([program, *options, str(self.image)], check=True, capture_output=True)

    def copy(self, other: Disk) -> None:
        """Copy what is in the file now."""
        subprocess.run(["cp", "--sparse=always", str(self.image), str(other.image)], check=True, capture_output=True)

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        """Mount it; gives the archive on it."""
        options = f"loop{OPTIONS.get(self.kind, '')}"
        command = ["mount", "-t", self.kind, "-o", options, str(self.image), str(self.mount)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no loop mounts of {self.kind} here: {done.stderr.strip()}")
        try:
            yield self.mount / "archive"
        finally:
            subprocess.run(["umount", str(self.mount)], check=True, capture_output=True)

    def check(self) -> None:
        """Do what a system does with it after a power cut."""
        if self.kind in CHECK:
            command = [*CHECK[self.kind], str(self.image)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            assert done.returncode in {0, 1}, done.stdout


class Place:
    """A demo server with thirty old messages, which can be put back to its start."""

    def __init__(self, running: DemoServer) -> None:
        self.running = running
        now = datetime.now(UTC) - timedelta(days=700)
        samples = corpus(30, seed=5, now=now, sizes="tiny")
        # POP3 cannot give a message without an end of line (RFC 1939 section 3).
        self.samples = [replace(each, raw=each.raw.removesuffix(b"\r\n") + b"\r\n") for each in samples]
        self.all = {hashlib.sha256(each.raw).hexdigest() for each in self.samples}

    def refill(self) -> None:
        """Serve all of them."""
        account = Account(USER, PASSWORD, 50_000_000)
        for sample in self.samples:
            account.mailbox("INBOX").append(sample.raw, sample.internal_date, frozenset(sample.flags))
        self.running.store.add(account)

    def gone(self) -> set[str]:
        """Give the digests of what has left, once no client is being served any more."""
        deadline = time.monotonic() + 10
        ports = (self.running._imap, self.running._pop)
        while any(port is not None and port._clients for port in ports) and time.monotonic() < deadline:
            time.sleep(0.002)
        box = self.running.store.account(USER).mailbox("INBOX")
        return self.all - {hashlib.sha256(message.raw).hexdigest() for message in box.messages()}

    def words(self, protocol: str, archive: Path, form: str) -> tuple[str | Path, ...]:
        """Give the command: archive, and delete what is flagged too."""
        url, more = plain_url(self.running.imap_port, USER), ["--no-keep-flagged"]
        if protocol == "pop":
            url, more = pop_url(self.running.pop_port, USER), []
        return ("--json", "backup", url, "--to", archive, "--format", form, "--no-index", *DELETE, *more)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disks be as small as they are; a process of its own does it by `inline`."""
    monkeypatch.setattr(space, "ROOM", 0)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Serve."""
    with DemoServer(Store()) as running:
        yield Place(running)


def archived(result: Result) -> set[str]:
    """Give the digests that a run told before it ended, its last line maybe cut short."""
    found = set()
    for line in result.out.splitlines():
        if line.endswith("}") and '"archived"' in line:
            event = json.loads(line)
            if event["event"] == "archived":
                found.add(event["digest"].removeprefix("sha256:"))
    return found


def points(lines: list[str]) -> list[tuple[str, int]]:
    """Choose a few steps of each kind from the log of a whole run, evenly, with the first and the last one."""
    manifest = next(at for at, line in enumerate(lines) if "/.mailarchive/runs/" in line)
    found: list[tuple[str, int]] = []
    for kind, calls in STEPS.items():
        made = sorted(
            (at, call, number)
            for call in calls
            for number, at in enumerate(reached(lines, call), 1)
            if kind != "catalogue" or "catalogue.sqlite" in lines[at]
        )
        early = sum(at < manifest for at, _, _ in made)
        chosen = {*spaced(0, early - 1, 1), *spaced(early, len(made) - 1, LATE[kind])}
        found += [made[index][1:] for index in sorted(chosen)]
    return found


@pytest.mark.parametrize(("protocol", "form", "filesystem"), KINDS)
def test_f112_what_was_vouched_for_is_whole_after_a_power_cut(
    place: Place, memory: Path, protocol: str, form: str, filesystem: str
) -> None:
    """Told, in the catalogue, or gone from the server: its octets are there; and the next run ends it."""
    fresh, counted = Disk(memory / "fresh", filesystem), Disk(memory / "counted", filesystem)
    fresh.make()
    place.refill()
    log = memory / "log"
    strace = ("strace", "-f", "-qq", "-y", "-o", str(log), "-e", f"trace={','.join(CALLS)}")
    fresh.copy(counted)
    with counted.mounted() as archive:
        words = place.words(protocol, archive, form)
        result = process(*words, password=PASSWORD, before=strace, module=INLINE)
        assert result.code == 0, (result.out[-2000:], result.err)
        assert place.gone() == place.all == whole(archive)
    counted.image.unlink()
    chosen = points(log.read_text(errors="replace").splitlines())
    assert len(chosen) > 12
    seen = set()
    for call, number in chosen:
        place.refill()
        before, after = (Disk(memory / f"{call}-{number}-{name}", filesystem) for name in ("before", "after"))
        fresh.copy(before)
        kill = f"inject={call}:signal=SIGKILL:when={number}"
        inject = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", kill)
        with before.mounted() as archive:
            words = place.words(protocol, archive, form)
            result = process(*words, password=PASSWORD, before=inject, module=INLINE)
            before.copy(after)
        before.image.unlink()
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
            result = mailarchive(*place.words(protocol, archive, form), password=PASSWORD)
            assert (result.code, result.err) == (0, ""), (call, number, result.out[-2000:])
            assert place.gone() == place.all == whole(archive), (call, number)
        after.image.unlink()
    assert {(False, False), (True, False), (True, True)} <= seen
