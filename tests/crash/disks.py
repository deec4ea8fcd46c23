"""Real disks for tests: a filesystem in memory or in a file, and a server whose mail is to be put there.

Law of this room: what was mounted is unmounted; where the system cannot mount a kind of disk, the test says so.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from mailarchive.demo.store import Account
from tests.command import plain_url
from tests.conftest import require_program
from tests.corpus import corpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.demo.server import DemoServer

USER, PASSWORD = "kim", "secret"
DELETE: Final = ("--older-than", "1y", "--delete", "--yes", "--no-keep-flagged")
MB: Final = 1024 * 1024

_MAKE: Final = {
    "ext2": ("mkfs.ext2", "-q", "-F"),
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
    "vfat": ("mkfs.vfat",),
    "exfat": ("mkfs.exfat",),
}
_SIZES: Final = {"xfs": 304 * MB, "btrfs": 128 * MB}


class Disk:
    """A filesystem in a file, and where it is mounted."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.image, self.mount = folder / "image", folder / "mnt"
        self.mount.mkdir(parents=True)

    def make(self) -> None:
        """Make it empty."""
        program, *options = _MAKE[self.kind]
        with self.image.open("wb") as file:
            file.truncate(_SIZES.get(self.kind, 48 * MB))
        subprocess.run([require_program(program), *options, str(self.image)], check=True, capture_output=True)

    @contextmanager
    def mounted(self, more: str = "") -> Iterator[Path]:
        """Mount it, maybe with more options; gives the archive on it."""
        options = ",".join(filter(None, ["loop", "data=writeback" if self.kind == "ext4" else "", more]))
        with mounted(["mount", "-t", self.kind, "-o", options, str(self.image), str(self.mount)], self.mount) as place:
            yield place / "archive"

    def turn_read_only(self) -> None:
        """Have the system find an error in it, which turns it read-only though files are open (errors=remount-ro)."""
        number = self.mount.stat().st_dev
        device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve().name
        try:
            Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("test", encoding="ascii")
        except OSError as error:
            pytest.skip(f"no errors on demand here: {error}")

    def check(self) -> None:
        """Do what a system does with it after a power cut."""
        done = subprocess.run(["e2fsck", "-f", "-y", str(self.image)], check=False, capture_output=True, text=True)
        assert done.returncode in {0, 1}, done.stdout


@contextmanager
def mounted(command: list[str], place: Path) -> Iterator[Path]:
    """Run a command that mounts something; skips the test where that cannot be."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{' '.join(command[:3])} does not work here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        done = subprocess.run(["umount", str(place)], check=False, capture_output=True, text=True)
        held = [link for link in map(_target, Path("/proc/self/fd").iterdir()) if link.startswith(str(place))]
        if done.returncode:
            subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)
        assert not done.returncode, (done.stderr, held)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


@contextmanager
def in_memory(place: Path, options: str) -> Iterator[Path]:
    """Mount a tmpfs with options such as `size=64k`."""
    place.mkdir(parents=True)
    with mounted(["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "none", str(place)], place):
        yield place


def remount(place: Path, options: str) -> None:
    """Change the options of what is mounted at a place."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True, capture_output=True)


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

    def left(self) -> set[str]:
        """Give the digests of what is there."""
        box = self.running.store.account(USER).mailbox("INBOX")
        return {hashlib.sha256(message.raw).hexdigest() for message in box.messages()}

    def gone(self) -> set[str]:
        """Give the digests of what has left."""
        return self.all - self.left()
