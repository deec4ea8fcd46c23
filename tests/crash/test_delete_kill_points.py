r"""Kill the real program at every step of a deletion and of an undo; run again; and once more (K7 to K11, K14b).

strace kills the process at the n-th system call of a kind, just after it was done: a `sendto` is a command to the
server, the others make something durable. The server is the demo server in this process; it takes commands of at most
four messages (MESSAGELIMIT, RFC 9738), so that there is a point in the middle of marking and of removing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mailarchive.demo.server import DIALECT, DemoServer
from mailarchive.demo.store import Account, Store
from tests import maildir
from tests.command import mailarchive, plain_url, process
from tests.conftest import require_program
from tests.corpus import corpus
from tests.crash.threads import reached
from tests.servers.witness import Witness, touched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result
    from tests.servers.witness import Whole

pytestmark = pytest.mark.timeout(300)

USER, PASSWORD = "kim", "secret"
CALLS = ("sendto", "fsync", "fdatasync", "pwrite64", "renameat2")
SPLIT = replace(DIALECT, capabilities=(*DIALECT.capabilities, "MESSAGELIMIT=4"))
STRANGER = 12
YOUNG, FLAGGED = (3, 8, STRANGER, 17), (6, 15)
GOING = [uid for uid in range(1, 21) if uid not in YOUNG + FLAGGED]
DELETE = ("--older-than", "1y", "--delete", "--yes")


class Points(NamedTuple):
    """How often each system call is made before the first change on the server, and in all."""

    before: dict[str, int]
    total: dict[str, int]

    def of(self, call: str, *, early: int, late: int) -> list[int]:
        """Choose so many points before the first change on the server and after it, the first and the last too."""
        first, last = self.before.get(call, 0), self.total.get(call, 0)
        return sorted({*spaced(1, first, early), *spaced(first + 1, last, late)})


def spaced(first: int, last: int, most: int) -> list[int]:
    """Choose at most so many numbers, evenly, with both ends."""
    if last < first or most < 1:
        return []
    if last - first < most:
        return list(range(first, last + 1))
    return [first + (last - first) * step // max(1, most - 1) for step in range(most)]


class Place:
    """A demo server whose account can be put back to its start, and what it then holds."""

    def __init__(self, running: DemoServer) -> None:
        self.running = running
        self.url = plain_url(running.imap_port, USER)
        now = datetime.now(UTC).replace(microsecond=0)
        self.young = now - timedelta(days=9)
        samples = corpus(20, seed=3, now=now - timedelta(days=700), sizes="tiny")
        self.samples = [(sample.raw, sample.internal_date, frozenset(sample.flags)) for sample in samples]
        self.refill()
        self.start = self.look()

    def refill(self, *, pruned: bool = False) -> None:
        """Serve twenty messages anew, of which four are young and two flagged; `pruned`, only those."""
        account = Account(USER, PASSWORD, 50_000_000)
        box = account.mailbox("INBOX")
        for uid, (raw, date, flags) in enumerate(self.samples, 1):
            kept = {"\\Flagged"} if uid in FLAGGED else {"\\Deleted"} if uid == STRANGER else set()
            box.append(raw, self.young if uid in YOUNG else date, flags - {"\\Flagged"} | kept)
        if pruned:
            box.expunge([message for message in box.messages() if message.uid in GOING])
        self.running.store.add(account)

    def look(self) -> dict[int, Whole]:
        """Give what is in INBOX, once no client is being served any more."""
        deadline = time.monotonic() + 10
        port = self.running._imap
        assert port is not None
        while port._clients and time.monotonic() < deadline:
            time.sleep(0.002)
        assert not port._clients
        with Witness(self.running.imap_port, USER, PASSWORD) as witness:
            return witness.whole("INBOX")

    def killed(self, call: str, number: int, *words: str | Path) -> None:
        """Run the command as a process and kill it at a point."""
        inject = ("-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}")
        strace = ("strace", "-f", "-qq", "-o", "/dev/null", *inject)
        result = process(*words, password=PASSWORD, before=strace)
        assert result.code in {-9, 137}, (call, number, result)

    def points(self, log: Path, change: str, *words: str | Path) -> Points:
        """Run the command to its end and count its system calls, before and after the first command of a kind."""
        strace = ("strace", "-f", "-qq", "-e", f"trace={','.join(CALLS)}", "-o", str(log))
        assert process(*words, password=PASSWORD, before=strace).code == 0
        lines = log.read_text(errors="replace").splitlines()
        first = next(at for at, line in enumerate(lines) if "sendto(" in line and change in line)
        before, total = ({call: len(reached(part, call)) for call in CALLS} for part in (lines[:first], lines))
        return Points(before, total)


@pytest.fixture(scope="module")
def traced() -> None:
    """Skip where processes cannot be traced."""
    require_program("strace")
    if subprocess.run(["strace", "-qq", "true"], capture_output=True, check=False).returncode:
        pytest.skip("ptrace is not allowed here")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Serve with everything."""
    with DemoServer(Store(), dialect=SPLIT) as running:
        yield Place(running)


@pytest.fixture(scope="module")
def bare() -> Iterator[Place]:
    """Serve without UIDPLUS."""
    with DemoServer(Store(), dialect=SPLIT, hidden=frozenset({"UIDPLUS"})) as running:
        yield Place(running)


def backup(place: Place, archive: Path, *more: str) -> Result:
    """Back up and delete, in this process."""
    return mailarchive("--json", "backup", place.url, "--to", archive, *DELETE, *more, password=PASSWORD)


def held(archive: Path) -> list[bytes]:
    """Give the octets of every file of an archive."""
    return sorted(each.octets for each in maildir.files(archive))


def intended(archive: Path) -> set[int]:
    """Give the messages that a manifest said would be deleted."""
    lines = b"".join(path.read_bytes() for path in archive.glob(".mailarchive/runs/*.jsonl")).splitlines()
    return {json.loads(line)["uid"] for line in lines if b'"type":"expunging"' in line}


def assert_nothing_is_lost(place: Place, archive: Path, there: dict[int, Whole], point: object) -> None:
    """Every message is on the server as it was, or in the archive; what was not chosen is on the server.

    What is gone or carries a mark of ours was written down before, so that an undo finds it.
    """
    files, written = set(held(archive)), intended(archive)
    for uid, each in place.start.items():
        left = there.get(uid)
        assert left is not None or (uid in written and uid in GOING and each.octets in files), (point, uid)
        if left is not None:
            assert left.octets == each.octets, (point, uid)
            # A mark of ours is on proved messages only.
            if "\\Deleted" in left.flags - each.flags:
                assert uid in GOING, (point, uid)
                assert uid in written, (point, uid)
                assert each.octets in files, (point, uid)


def converges(
    place: Place, archive: Path, points: list[tuple[str, int]], *more: str, lifts: bool = False
) -> list[dict[int, Whole]]:
    """Kill at each point, and demand the same end as without; the third run does nothing. Gives what each stop left."""
    seen = []
    left = {uid: each for uid, each in place.start.items() if uid not in GOING}
    for call, number in points:
        point = (call, number)
        folder = archive / f"{call}-{number}"
        place.refill()
        place.killed(call, number, "backup", place.url, "--to", folder, *DELETE, *more)
        there = place.look()
        seen.append(there)
        assert_nothing_is_lost(place, folder, there, point)
        assert lifts or "\\Deleted" in there[STRANGER].flags, point
        result = backup(place, folder, *more)
        assert (result.code, result.err) == (0, ""), (point, result.out)
        assert place.look() == left, point
        assert held(folder) == sorted(each.octets for uid, each in place.start.items() if uid not in YOUNG), point
        assert maildir.left_overs(folder) == [], point
        again = backup(place, folder, *more)
        told = {event["event"] for event in again.events}
        assert (again.code, told & {"archived", "expunged", "settled", "warned"}) == (0, set()), (point, again.out)
        assert place.look() == left, point
    return seen


def marked(there: dict[int, Whole]) -> int:
    """Count the messages of ours that carry a mark."""
    return sum("\\Deleted" in each.flags for uid, each in there.items() if uid in GOING)


@pytest.mark.parametrize(
    ("call", "early", "late"),
    [
        pytest.param("sendto", 2, 30, marks=pytest.mark.long),
        ("fsync", 2, 4),
        pytest.param("fdatasync", 2, 6, marks=pytest.mark.long),
        pytest.param("pwrite64", 3, 9, marks=pytest.mark.long),
        ("renameat2", 2, 0),
    ],
)
@pytest.mark.usefixtures("traced")
def test_f110_a_deletion_that_is_killed_converges(
    place: Place, tmp_path: Path, call: str, early: int, late: int
) -> None:
    """Archive and server together hold everything at every stop, and the next run ends as if nothing had been."""
    place.refill()
    words = ("backup", place.url, "--to", tmp_path / "counted", *DELETE)
    points = place.points(tmp_path / "log", "SELECT", *words).of(call, early=early, late=late)
    assert points
    seen = converges(place, tmp_path, [(call, number) for number in points])
    if call == "sendto":
        # Nothing, a part and all of it marked; a part and all of it gone, the rest still marked.
        assert {(marked(there), 20 - len(there)) for there in seen} >= {(0, 0), (8, 0), (14, 0), (6, 8), (0, 14)}


@pytest.mark.long
@pytest.mark.usefixtures("traced")
def test_f110_marks_that_were_left_behind_come_off(place: Place, tmp_path: Path) -> None:
    """A run that may not delete says that they are there; one that may takes them off, whatever it chooses itself."""
    place.refill()
    words = ("backup", place.url, "--to", tmp_path / "counted", *DELETE)
    points = place.points(tmp_path / "log", "SELECT", *words).of("sendto", early=0, late=30)
    partly = 0
    for number in points:
        archive = tmp_path / str(number)
        place.refill()
        place.killed("sendto", number, "backup", place.url, "--to", archive, *DELETE)
        there = place.look()
        if not (marked(there) and len(there) < 20):
            continue
        partly += 1
        result = mailarchive("--json", "backup", place.url, "--to", archive, "--older-than", "1y", password=PASSWORD)
        (settled,) = [event for event in result.events if event["event"] == "settled"]
        assert (result.code, settled["open"], settled["gone"]) == (3, marked(there), 20 - len(there))
        assert place.look() == there
        words = ("backup", place.url, "--to", archive, "--older-than", "40y", "--delete", "--yes")
        result = mailarchive("--json", *words, password=PASSWORD)
        assert (result.code, result.err) == (0, "")
        assert place.look() == {uid: each for uid, each in place.start.items() if uid in there}
        if partly == 2:
            return
    assert partly


@pytest.mark.long
@pytest.mark.usefixtures("traced")
def test_f110_exclusive_that_is_killed_gives_the_marks_of_others_back(bare: Place, tmp_path: Path) -> None:
    """Also where they were lifted when it was killed (K14b)."""
    bare.refill()
    more = ("--delete-method", "exclusive")
    words = ("backup", bare.url, "--to", tmp_path / "counted", *DELETE, *more)
    points = bare.points(tmp_path / "log", "SELECT", *words)
    chosen = [("sendto", number) for number in points.of("sendto", early=0, late=30)]
    chosen += [("fdatasync", number) for number in points.of("fdatasync", early=0, late=5)]
    seen = converges(bare, tmp_path, chosen, *more, lifts=True)
    lifted = [there for there in seen if "\\Deleted" not in there[STRANGER].flags]
    assert {(marked(there), 20 - len(there)) for there in lifted} >= {(0, 0), (8, 0), (14, 0), (0, 14)}


def test_the_commands_are_split(tmp_path: Path) -> None:
    """The points lie in the middle of marking and of removing, or this test would prove little."""
    commands: list[bytes] = []
    with DemoServer(Store(), dialect=SPLIT, record=commands.append) as running:
        assert backup(Place(running), tmp_path / "a").code == 0
    assert touched(commands)["INBOX"] == {"+STORE": set(GOING), "EXPUNGE": set(GOING)}
    assert sum(b" UID EXPUNGE " in command for command in commands) >= 4


@pytest.mark.long
@pytest.mark.usefixtures("traced")
def test_f110_an_undo_that_is_killed_converges(place: Place, tmp_path: Path) -> None:
    """No message is missing after the next undo, and none is there twice, at any moment."""
    pruned = tmp_path / "pruned"
    place.refill()
    result = backup(place, pruned)
    assert result.code == 0
    words = ("undo", result.end["run"], place.url, "--archive")
    place.refill(pruned=True)
    shutil.copytree(pruned, tmp_path / "counted", symlinks=True)
    points = place.points(tmp_path / "log", "APPEND", *words, tmp_path / "counted")
    whole = sorted(map(repr, place.look().values()))
    assert whole == sorted(repr(each) for each in place.start.values())
    chosen = [("sendto", number) for number in points.of("sendto", early=1, late=9)]
    chosen += [(call, number) for call in ("fsync", "fdatasync") for number in points.of(call, early=1, late=2)]
    for point in chosen:
        archive = tmp_path / f"{point[0]}-{point[1]}"
        shutil.copytree(pruned, archive, symlinks=True)
        place.refill(pruned=True)
        place.killed(*point, *words, archive)
        there = [repr(each) for each in place.look().values()]
        assert len(set(there)) == len(there), point
        assert set(there) <= set(whole), point
        result = mailarchive("--json", *words, archive, password=PASSWORD)
        assert (result.code, result.err) == (0, ""), (point, result.out)
        assert result.end["total"]["put_back"] + result.end["total"]["there"] == len(GOING), point
        assert result.end["total"]["put_back"] == len(whole) - len(there), point
        assert sorted(map(repr, place.look().values())) == whole, point
        again = mailarchive("--json", *words, archive, password=PASSWORD)
        assert (again.code, again.end["total"]["put_back"]) == (0, 0), point
        kept = backup(place, archive)
        assert (kept.code, kept.end["total"]["deleted"]) == (0, 0), point
        assert sorted(map(repr, place.look().values())) == whole, point
