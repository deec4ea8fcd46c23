"""Kill the real program at every durable step on a real disk; run again; and once more (K1 to K6 of `safety.md`).

strace counts the system calls that make things durable and kills the process at the n-th one, just after it was done
(a kill before a call is a kill after the one before it). The server is the demo server, in this process.
"""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import mailarchive, plain_url, process
from tests.corpus import corpus, spread
from tests.crash.threads import reached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER = "kim"
PASSWORD = "secret"
CALLS = ("fsync", "syncfs", "fdatasync", "renameat2", "unlinkat", "write", "pwrite64", "mkdirat")


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    """Serve 40 messages in three mailboxes, some of them twice."""
    store = Store()
    account = store.add_account(USER, PASSWORD)
    samples = corpus(36, seed=3, now=datetime.now(UTC) - timedelta(days=700), sizes="tiny")
    boxes = spread(samples, ["INBOX", "Work/Été 2014", "a&b"])
    boxes["INBOX"] += samples[3:5]
    boxes["a&b"] += samples[5:7]
    for name, messages in boxes.items():
        box = account.find(name) or account.create(name)
        for sample in messages:
            box.append(sample.raw, sample.internal_date, sample.flags)
    with DemoServer(store) as running:
        yield running


def backup(server: DemoServer, archive: Path, before: tuple[str, ...] = ()) -> int:
    """Run a backup as a process of its own; gives its exit code."""
    return process("backup", plain_url(server.imap_port, USER), "--to", archive, password=PASSWORD, before=before).code


@pytest.fixture(scope="module")
def whole(server: DemoServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """Give the archive of an uninterrupted run."""
    archive = tmp_path_factory.mktemp("whole") / "archive"
    assert mailarchive("backup", plain_url(server.imap_port, USER), "--to", archive, password=PASSWORD).code == 0
    return maildir.by_folder(archive)


def count(server: DemoServer, archive: Path, call: str) -> int:
    """Count at how many of its system calls a run can be stopped."""
    archive.parent.mkdir()
    log = archive.parent / f"{call}.log"
    backup(server, archive, ("strace", "-f", "-qq", "-e", f"trace={call}", "-o", str(log)))
    return len(reached(log.read_text(errors="replace").splitlines(), call))


def rows_without_files(archive: Path) -> list[str]:
    """Give the rows of the catalogue whose file is not there or does not have the digest of the row."""
    catalogue = archive / ".mailarchive" / "catalogue.sqlite"
    if not catalogue.exists() or not catalogue.stat().st_size:
        return []
    digests = {(each.folder, sha(each.octets)) for each in maildir.files(archive)}
    with sqlite3.connect(catalogue) as db:
        try:
            rows = db.execute(
                "SELECT p.location, c.digest FROM placement p JOIN content c ON c.id = p.content"
            ).fetchall()
        except sqlite3.OperationalError:
            rows = []
    db.close()
    return [location for location, digest in rows if (location.rpartition("/")[0], digest) not in digests]


def sha(octets: bytes) -> bytes:
    """Hash."""
    return hashlib.sha256(octets).digest()


@pytest.mark.reader("strace")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "call", [call if call == "syncfs" else pytest.param(call, marks=pytest.mark.long) for call in CALLS]
)
def test_f110_killed_after_any_durable_step_it_converges(
    server: DemoServer, whole: dict[str, list[bytes]], tmp_path: Path, call: str
) -> None:
    """The next run gives the archive of an uninterrupted one: no message missing, none twice, nothing left over."""
    probe = subprocess.run(["strace", "-qq", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("ptrace is not allowed here")
    total = count(server, tmp_path / "counted" / "archive", call)
    if not total:
        pytest.skip(f"{call} is not used")
    points = sorted({*range(1, min(total, 4) + 1), *range(1, total + 1, max(1, total // 5)), total})
    for number in points:
        archive = tmp_path / f"{call}-{number}" / "archive"
        archive.parent.mkdir()
        inject = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e")
        code = backup(server, archive, (*inject, f"inject={call}:signal=SIGKILL:when={number}"))
        assert code in {-9, 137}, (call, number, code)
        assert rows_without_files(archive) == [], (call, number)
        result = mailarchive("backup", plain_url(server.imap_port, USER), "--to", archive, password=PASSWORD)
        assert result.code == 0, (call, number, result.err)
        assert maildir.by_folder(archive) == whole, (call, number)
        assert maildir.left_overs(archive) == [], (call, number)
        result = mailarchive("--json", "backup", plain_url(server.imap_port, USER), "--to", archive, password=PASSWORD)
        assert '"event": "archived"' not in result.out.replace('":"', '": "'), (call, number)


@pytest.mark.timeout(300)
def test_f111_killed_at_random_moments_it_converges(
    server: DemoServer, whole: dict[str, list[bytes]], tmp_path: Path, seed: int
) -> None:
    """Twelve runs on one archive, each killed after a random time; then one to the end."""
    rng = random.Random(seed)
    archive = tmp_path / "archive"
    url = plain_url(server.imap_port, USER)
    for _ in range(12):
        with subprocess.Popen(
            [sys.executable, "-m", "mailarchive", "backup", url, "--to", str(archive)],
            env={**os.environ, "MAILARCHIVE_PASSWORD": PASSWORD},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as child:
            time.sleep(rng.uniform(0.2, 0.6))
            child.kill()
        assert rows_without_files(archive) == []
    assert mailarchive("backup", url, "--to", archive, password=PASSWORD).code == 0
    assert maildir.by_folder(archive) == whole
    assert maildir.left_overs(archive) == []
