"""Kill a reindex at every durable step on a real disk, and lose the catalogue of an interrupted deletion (K15).

strace kills the process at the n-th system call of a kind, just after it was done. The server is the demo server.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests.command import mailarchive, process
from tests.conftest import require_program
from tests.crash.test_delete_kill_points import DELETE, FLAGGED, SPLIT, YOUNG, Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.timeout(300), pytest.mark.reader("strace")]

CALLS = ("rename", "unlink", "fsync", "fdatasync", "pwrite64", "openat")


@pytest.fixture(scope="module", autouse=True)
def _strace() -> None:
    require_program("strace")
    if subprocess.run(["strace", "-qq", "true"], capture_output=True, check=False).returncode:
        pytest.skip("ptrace is not allowed here")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Serve twenty messages."""
    with DemoServer(Store(), dialect=SPLIT) as running:
        yield Place(running)


def state(archive: Path) -> str | bytes:
    """Say what the catalogue is: none, or all its rows."""
    catalogue = archive / ".mailarchive" / "catalogue.sqlite"
    if not catalogue.exists():
        return "none"
    db = sqlite3.connect(catalogue)
    try:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return repr(db.execute("SELECT uid, location, origin FROM placement ORDER BY uid").fetchall())
    finally:
        db.close()


@pytest.mark.long
def test_f110_killed_at_any_step_there_is_the_old_catalogue_or_the_new_one_or_none(
    place: Place, tmp_path: Path
) -> None:
    """And the next reindex ends it; after it nothing is fetched."""
    place.refill()
    archive = tmp_path / "archive"
    assert mailarchive("-q", "backup", place.url, "--to", archive).code == 0
    old = state(archive)
    log = tmp_path / "log"
    strace = ("strace", "-f", "-qq", "-e", f"trace={','.join(CALLS)}", "-o", str(log))
    assert process("reindex", archive, before=strace).code == 0
    new = state(archive)
    assert old != new
    lines = [line for line in log.read_text(errors="replace").splitlines() if "resumed" not in line]
    total = {call: sum(bool(re.match(rf"\d+ +{call}\(", line)) for line in lines) for call in CALLS}
    ours = [at for at, line in enumerate(lines) if "catalogue.sqlite" in line]
    seen = set()
    for call in CALLS:
        # Files are opened by the hundred before the first of ours; only those behind it are of interest.
        first = 1 + sum(bool(re.match(rf"\d+ +{call}\(", line)) for line in lines[: ours[0]])
        step = max(1, (total[call] - first) // 5)
        for number in sorted({*range(first, total[call] + 1, step), total[call]} - {0}):
            inject = ("-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}")
            killed = process("reindex", archive, before=("strace", "-f", "-qq", "-o", "/dev/null", *inject))
            assert killed.code in {-9, 137}, (call, number, killed)
            found = state(archive)
            assert found in {"none", old, new}, (call, number)
            seen.add(found)
            for aside in archive.glob(".mailarchive/*set-aside*"):
                aside.unlink()
    assert {"none", new} <= seen
    assert mailarchive("reindex", archive).code == 0
    assert state(archive) == new
    assert not list(archive.glob(".mailarchive/catalogue.sqlite.new*"))
    result = mailarchive("--json", "backup", place.url, "--to", archive)
    assert (result.code, result.end["total"]["archived"], result.end["total"]["already"]) == (0, 0, 20)


@pytest.mark.parametrize(("call", "when"), [("STORE", 1), ("STORE", 3), ("EXPUNGE", 1), ("EXPUNGE", 3)])
def test_f110_an_interrupted_deletion_whose_catalogue_is_lost_is_settled(
    place: Place, tmp_path: Path, call: str, when: int
) -> None:
    """Killed in the middle; catalogue deleted; reindex; the next run takes our marks off or goes on, and ends it."""
    place.refill()
    archive = tmp_path / "archive"
    assert mailarchive("-q", "backup", place.url, "--to", archive).code == 0
    words = ("prune", place.url, "--archive", archive, *DELETE[:2], "--yes")
    log = tmp_path / "log"
    whole = tmp_path / "whole"
    assert mailarchive("-q", "backup", place.url, "--to", whole).code == 0
    strace = ("strace", "-f", "-qq", "-s", "200", "-e", "trace=sendto", "-o", str(log))
    assert process("prune", place.url, "--archive", whole, *DELETE[:2], "--yes", before=strace).code == 0
    place.refill()
    sent = [line for line in log.read_text(errors="replace").splitlines() if "sendto(" in line]
    number = [at for at, line in enumerate(sent, 1) if f"UID {call} " in line][when - 1]
    place.killed("sendto", number, *words)
    for file in archive.glob(".mailarchive/catalogue.sqlite*"):
        file.unlink()
    result = mailarchive("--json", "reindex", archive)
    assert result.code == 0
    assert result.end["open"] > 0
    looking = mailarchive("--json", "backup", place.url, "--to", archive)
    assert looking.code in {0, 3}
    assert looking.end["total"]["archived"] == 0
    done = mailarchive("--json", *words)
    assert done.code == 0, done
    kinds = [each["event"] for each in (*looking.events, *done.events)]
    assert "settled" in kinds
    assert sorted(place.look()) == sorted(YOUNG + FLAGGED)
    assert {uid: place.look()[uid] for uid in YOUNG + FLAGGED} == {uid: place.start[uid] for uid in YOUNG + FLAGGED}
    again = mailarchive("--json", *words)
    assert (again.code, again.end["total"]["deleted"]) == (0, 0)
    manifests = {path.stem: path.read_text() for path in archive.glob(".mailarchive/runs/*.jsonl")}
    (killed_run,) = (run for run, text in manifests.items() if '"type":"finished"' not in text)
    for run in (killed_run, done.end["run"]):
        assert mailarchive("undo", run, place.url, "--archive", archive).code in {0, 3}
    assert len(place.look()) == 20
