"""Kill the real program at the steps of a deletion over POP3; run again; and once more (K12, K13).

strace kills the process as it enters the n-th system call of a kind: a `sendto` is a command that does not go out any
more. The server is the demo server in this process, which can also kill its client as it hears a command; a DELE that
no QUIT follows is undone there, as it must be.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Account, Store
from mailarchive.demo.wire import HungUpError
from tests import maildir
from tests.command import mailarchive, process
from tests.conftest import require_program
from tests.contract.sources import DELETE, held, letter, pop_url, total
from tests.crash.threads import reached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result

pytestmark = pytest.mark.timeout(300)

USER, PASSWORD = "kim", "secret"
OLD = [letter(number) for number in range(53)]
"""A chunk and three more."""
YOUNG = [letter(number, days=9) for number in range(53, 56)]
LATER = ("fsync", "fdatasync", "pwrite64", "renameat2")
"""Calls that make something durable."""


class Place:
    """A demo server whose maildrop can be put back to its start, what it then holds, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.running = DemoServer(Store(), record=self._hear)
        self._victim: subprocess.Popen[bytes] | None = None
        self._last = ("", 0)
        self._obeys = True

    def _hear(self, line: bytes) -> None:
        self.heard.append(line.decode("latin-1"))
        word, count = self._last
        if self._victim is not None and [each.split(" ")[0] for each in self.heard].count(word) == count:
            self._victim.kill()
            self._victim.wait()
            self._victim = None
            if not self._obeys:
                raise HungUpError

    @property
    def url(self) -> str:
        """Give its address."""
        return pop_url(self.running.pop_port, USER)

    def refill(self) -> None:
        """Serve all messages anew."""
        account = Account(USER, PASSWORD, 50_000_000)
        for octets in [*OLD, *YOUNG]:
            account.mailbox("INBOX").append(octets, datetime.now(UTC))
        self.running.store.add(account)
        self.heard.clear()

    def look(self) -> list[bytes]:
        """Give what is in the maildrop, once no client is being served any more."""
        deadline = time.monotonic() + 10
        while self.running._maildrops._taken and time.monotonic() < deadline:
            time.sleep(0.002)
        assert not self.running._maildrops._taken
        port = self.running._pop
        assert port is not None
        while port._clients and time.monotonic() < deadline:
            time.sleep(0.002)
        return sorted(message.raw for message in self.running.store.account(USER).mailbox("INBOX").messages())

    def backup(self, archive: Path) -> Result:
        """Back up and delete, in this process."""
        self.heard.clear()
        return mailarchive("--json", "backup", self.url, "--to", archive, *DELETE, password=PASSWORD)

    def killed(self, call: str, number: int, archive: Path) -> None:
        """Run the command as a process and kill it at a point."""
        inject = ("-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}")
        strace = ("strace", "-f", "-qq", "-o", "/dev/null", *inject)
        result = process("backup", self.url, "--to", archive, *DELETE, password=PASSWORD, before=strace)
        assert result.code in {-9, 137}, (call, number, result)

    def killed_by(self, word: str, count: int, archive: Path, *, obeys: bool) -> None:
        """Kill the client as the n-th command of a kind is heard, and then obey that, or drop the line."""
        self._last, self._obeys = (word, count), obeys
        command = [sys.executable, "-m", "mailarchive", "backup", self.url, "--to", str(archive), *DELETE]
        environ = {**os.environ, "MAILARCHIVE_PASSWORD": PASSWORD}
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, env=environ, stdin=quiet, stdout=quiet, stderr=quiet) as child:
            self._victim = child
        assert child.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def traced() -> None:
    """Skip where processes cannot be traced."""
    require_program("strace")
    if subprocess.run(["strace", "-qq", "true"], capture_output=True, check=False).returncode:
        pytest.skip("ptrace is not allowed here")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Serve."""
    found = Place()
    with found.running:
        yield found


@pytest.fixture(scope="module")
def log(place: Place, traced: None, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Give the system calls of a run that nobody kills."""
    assert traced is None
    folder = tmp_path_factory.mktemp("counted")
    place.refill()
    calls = ",".join(("sendto", *LATER))
    strace = ("strace", "-f", "-qq", "-e", f"trace={calls}", "-o", str(folder / "log"))
    result = process("backup", place.url, "--to", folder / "a", *DELETE, password=PASSWORD, before=strace)
    assert result.code == 0, result.err
    assert place.look() == sorted(YOUNG)
    assert held(folder / "a") == sorted(OLD)
    return (folder / "log").read_text(errors="replace").splitlines()


def sent(log: list[str], command: str) -> list[int]:
    """Give which `sendto` carry this command, counted from 1."""
    lines = [line for line in log if " sendto(" in line]
    return [number for number, line in enumerate(lines, 1) if re.search(rf'"{command}\b', line)]


def of_kind(log: list[str], call: str, first: str, last: str) -> list[int]:
    """Give which calls of a kind lie between the first of one command and the last of another, counted from 1."""
    begin = next(at for at, line in enumerate(log) if f'"{first}' in line)
    end = max(at for at, line in enumerate(log) if f'"{last}' in line)
    places = reached(log, call)
    inside = [number for number, at in enumerate(places, 1) if begin < at]
    behind = [number for number, at in enumerate(places, 1) if end < at]
    return sorted({*inside[:1], *behind[:2], *inside[len(inside) // 2 :][:1], *inside[-1:]})


def intended(archive: Path) -> int:
    """Count the messages that a manifest said would be deleted."""
    lines = b"".join(path.read_bytes() for path in archive.glob(".mailarchive/runs/*.jsonl")).splitlines()
    return len({json.loads(line)["uidl"] for line in lines if b'"type":"expunging"' in line})


def converges(place: Place, archive: Path, call: str, number: int, *, obeys: bool = True) -> int:
    """Kill at a point, and demand the same end as without; the third run does nothing. Gives how many were gone."""
    point = (call, number)
    place.refill()
    if call.isupper():
        place.killed_by(call, number, archive, obeys=obeys)
    else:
        place.killed(call, number, archive)
    there = place.look()
    files = held(archive) if archive.exists() else []
    assert sorted({*there, *files}) == sorted([*OLD, *YOUNG]), point
    assert set(YOUNG) <= set(there), point
    gone = len(OLD) + len(YOUNG) - len(there)
    assert gone <= intended(archive), point
    result = place.backup(archive)
    assert (result.code, result.err) == (0, ""), (point, result.out)
    assert place.look() == sorted(YOUNG), point
    assert held(archive) == sorted(OLD), point
    assert maildir.left_overs(archive) == [], point
    fetched = [line for line in place.heard if line.startswith("RETR")]
    if call == "sendto" or call.isupper():
        # What was archived is deleted without being fetched again.
        assert len(fetched) == len(OLD) - len(files), point
    third = place.backup(archive)
    told = {event["event"] for event in third.events}
    assert (third.code, told & {"archived", "expunged", "settled", "warned"}) == (0, set()), (point, third.out)
    assert total(third)["deleted"] == 0, point
    assert {line.split(" ")[0] for line in place.heard} & {"RETR", "TOP", "DELE"} == set(), point
    assert place.look() == sorted(YOUNG), point
    return gone


def test_f079_f110_k12_killed_between_the_first_dele_and_quit(place: Place, log: list[str], tmp_path: Path) -> None:
    """Everything is back on the server, and the next run deletes it without RETR."""
    marks, quits = sent(log, "DELE"), sent(log, "QUIT")
    assert (len(marks), len(quits)) == (len(OLD), 2)
    for number in (marks[0], marks[1], marks[25], quits[0]):
        assert converges(place, tmp_path / str(number), "sendto", number) == 0
    for number in (marks[50], marks[51], quits[1]):
        assert converges(place, tmp_path / str(number), "sendto", number) == 50


@pytest.mark.parametrize("obeys", [True, False], ids=["gone", "back"])
def test_f080_f110_k13_killed_between_quit_and_its_answer(place: Place, tmp_path: Path, obeys: bool) -> None:
    """All of the chunk is gone, or all is back; nobody knows, and the list of the next session tells."""
    assert converges(place, tmp_path / "1", "QUIT", 1, obeys=obeys) == (50 if obeys else 0)
    assert converges(place, tmp_path / "2", "QUIT", 2, obeys=obeys) == (53 if obeys else 50)


def test_f110_killed_while_the_second_chunk_is_fetched(place: Place, log: list[str], tmp_path: Path) -> None:
    """In the sign-in, in the lists, and between two messages."""
    lists, fetches = sent(log, "LIST"), sent(log, "RETR")
    assert fetches[3] < lists[1] < fetches[-1]
    for number in (lists[1] - 1, lists[1] + 1, fetches[3], fetches[-1]):
        assert converges(place, tmp_path / str(number), "sendto", number) in {0, 50}


@pytest.mark.parametrize("call", LATER)
def test_f110_killed_while_something_becomes_durable(place: Place, log: list[str], tmp_path: Path, call: str) -> None:
    """Intent, result, manifest and catalogue: between DELE and the end of the run, and before it."""
    for number in of_kind(log, call, "RETR", "QUIT"):
        converges(place, tmp_path / str(number), call, number)
