"""A whole run against a server whose answers are changed on the way ends, and deletes nothing unproved (row 128).

Law of this room: the server is the demo server, and honest; what reaches us of it is changed at places of the stream.
Afterwards the server is asked what it was told to do, and the archive what it holds.
"""

from __future__ import annotations

import hashlib
import json
import re
import select
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.errors import ExitCode
from mailarchive.sources import wire
from tests import maildir
from tests.command import mailarchive, plain_url
from tests.contract.sources import DELETE, pop_url
from tests.property.mutation import Change, changed
from tests.servers.witness import touched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.command import Result

NOW = datetime.now(UTC)
SILENCE = 0.1
"""Seconds after which a server that waits for us, as we for it, counts as silent."""
OURS = set(ExitCode) - {ExitCode.BUG}
TOKENS = [
    b"\r\n",
    b"* ",
    b"OK",
    b"NO",
    b"UID",
    b"FETCH",
    b"FLAGS",
    b"\\Flagged",
    b"0",
    b"9",
    b"{",
    b"}",
    b"(",
    b")",
    b'"',
    b".",
    b"+OK",
]
CHANGES = st.lists(
    st.builds(
        Change,
        st.sampled_from(["flip", "flip", "delete", "insert", "replace", "double"]),
        st.integers(0, 30) | st.integers(0, 5000) | st.integers(500, 5000),
        st.integers(0, 7) | st.integers(0, 60),
        st.sampled_from(TOKENS) | st.binary(max_size=3),
    ),
    min_size=1,
    max_size=4,
)


class Tampered:
    """Changes what a line receives; the places count over all lines of a run."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = sorted(changes, key=lambda change: change.place)
        self.received = 0
        self.waiting: dict[wire.Wire, bytes] = {}
        self.applied = 0
        self.real = wire.Wire._receive

    def receive(self, line: wire.Wire, room: memoryview) -> int:
        """Take the place of `Wire._receive`."""
        while not self.waiting.get(line):
            if not select.select([line.sock], [], [], SILENCE if self.changes or self.applied else 10)[0]:
                try:
                    raise TimeoutError
                except TimeoutError as error:
                    raise line._dead(error) from None
            count = self.real(line, room)
            self.waiting[line] = self.tampered(bytes(room[:count]))
        octets = self.waiting[line]
        count = min(len(octets), len(room))
        room[:count], self.waiting[line] = octets[:count], octets[count:]
        return count

    def tampered(self, octets: bytes) -> bytes:
        """Change what falls into the next octets of the stream."""
        here = []
        end = self.received + len(octets)
        while self.changes and self.changes[0].place < end:
            change = self.changes.pop(0)
            here.append(change._replace(place=max(0, change.place - self.received)))
        self.received = end
        self.applied += len(here)
        return changed(octets, list(reversed(here)))


def letter(number: int, days: int) -> bytes:
    """Make a message."""
    when = f"{NOW - timedelta(days=days):%a, %d %b %Y %H:%M:%S +0000}"
    head = f"Received: from a by b; {when}\r\nMessage-ID: <{number}@example.org>\r\nDate: {when}\r\nFrom: a@example.org"
    return f"{head}\r\nSubject: number {number}\r\n\r\n{'x' * number * 20}\r\n".encode()


OLD = {number: letter(number, 900 + number) for number in range(1, 7)}
YOUNG = {number: letter(number, 20) for number in (7, 8)}


class Running:
    """A server, whose one account is filled anew for each run, and what it was told."""

    def __init__(self) -> None:
        self.store = Store()
        self.commands: list[bytes] = []
        self.runs = 0

    def fill(self) -> str:
        """Make an account; gives its user."""
        self.runs += 1
        user = f"kim{self.runs}"
        self.commands.clear()
        inbox = self.store.add_account(user, "secret").mailbox("INBOX")
        for number, octets in {**OLD, **YOUNG}.items():
            inbox.append(octets, NOW - timedelta(days=20 if number in YOUNG else 900 + number), frozenset({"\\Seen"}))
        return user

    def left(self, user: str) -> dict[int, bytes]:
        """Give the messages that are still there."""
        return {message.uid: message.raw for message in self.store.account(user).mailbox("INBOX").messages()}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Running, DemoServer]]:
    """Serve."""
    made = Running()
    with DemoServer(made.store, record=made.commands.append) as server:
        yield made, server


@contextmanager
def tampering(changes: Sequence[Change]) -> Iterator[Tampered]:
    """Change what all lines receive."""
    tampered = Tampered(changes)

    def receive(line: wire.Wire, room: memoryview) -> int:
        return tampered.receive(line, room)

    with mock.patch.object(wire.Wire, "_receive", receive):
        yield tampered


def told(archive: Path) -> list[dict[str, object]]:
    """Give all lines of all manifests."""
    return [
        json.loads(line)
        for file in archive.glob(".mailarchive/runs/*.jsonl")
        for line in file.read_bytes().splitlines()
    ]


def check(result: Result, archive: Path, gone: set[int], named: set[object], key: str) -> None:
    """Check that what was touched is proved: by a line in the manifest, and the digest of a file that is there."""
    assert result.code in OURS, result.err
    assert "Traceback" not in result.err
    held = maildir.files(archive) if archive.exists() else []
    lines = told(archive) if archive.exists() else []
    proved = {line[key]: line["digest"] for line in lines if line.get("type") == "expunging"}
    assert named <= set(proved), "a message was touched that no manifest names"
    assert len(gone) <= len(named)
    digests = {f"sha256:{hashlib.sha256(found.octets).hexdigest()}" for found in held}
    assert {proved[name] for name in named} <= digests, "a message was touched of which no file is there"
    assert not gone & set(YOUNG), "a young message is gone"


LOOSE = [HealthCheck.function_scoped_fixture]


def imap_run(
    running: tuple[Running, DemoServer], archive: Path, changes: Sequence[Change]
) -> tuple[Result, set[int], Tampered]:
    """Back up and delete over IMAP."""
    made, server = running
    user = made.fill()
    # Another one for each run: where an archive was before, none is begun anew.
    archive /= user
    with tampering(changes) as tampered:
        result = mailarchive("--json", "backup", plain_url(server.imap_port, user), "--to", archive, *DELETE)
    gone = {*OLD, *YOUNG} - set(made.left(user))
    uids = {uid for sets in touched(made.commands).values() for uids in sets.values() for uid in uids}
    check(result, archive, gone, set(uids), "uid")
    assert gone <= uids
    assert not any(re.match(rb"\S+ (EXPUNGE|CLOSE|DELETE)\b", command) for command in made.commands)
    return result, gone, tampered


@given(CHANGES)
@settings(max_examples=40, suppress_health_check=LOOSE)
def test_f128_a_run_over_imap_whose_answers_are_changed(
    running: tuple[Running, DemoServer], tmp_path: Path, changes: list[Change]
) -> None:
    """It ends with one of our exit codes, and what was marked or removed is proved."""
    imap_run(running, tmp_path / "archive", changes)


@pytest.mark.long
@pytest.mark.timeout(600)
@given(CHANGES)
@settings(max_examples=500, suppress_health_check=LOOSE)
def test_f128_very_many_runs_over_imap(
    running: tuple[Running, DemoServer], tmp_path: Path, changes: list[Change]
) -> None:
    """As above."""
    imap_run(running, tmp_path / "archive", changes)


def pop_run(
    running: tuple[Running, DemoServer], archive: Path, changes: Sequence[Change]
) -> tuple[Result, set[int], Tampered]:
    """Back up and delete over POP3."""
    made, server = running
    user = made.fill()
    # Another one for each run: where an archive was before, none is begun anew.
    archive /= user
    with tampering(changes) as tampered:
        result = mailarchive("--json", "backup", pop_url(server.pop_port, user), "--to", archive, *DELETE)
    gone = {*OLD, *YOUNG} - set(made.left(user))
    names = {line["uidl"] for line in told(archive) if line.get("type") == "expunging"} if archive.exists() else set()
    check(result, archive, gone, names, "uidl")
    # Of several sessions, in each of which the numbers begin anew.
    deleted = [command for command in made.commands if command.startswith(b"DELE ")]
    assert len(gone) <= len(deleted)
    return result, gone, tampered


@given(CHANGES)
@settings(max_examples=40, suppress_health_check=LOOSE)
def test_f128_a_run_over_pop3_whose_answers_are_changed(
    running: tuple[Running, DemoServer], tmp_path: Path, changes: list[Change]
) -> None:
    """It ends with one of our exit codes, and what was removed is proved."""
    pop_run(running, tmp_path / "archive", changes)


@pytest.mark.long
@pytest.mark.timeout(600)
@given(CHANGES)
@settings(max_examples=500, suppress_health_check=LOOSE)
def test_f128_very_many_runs_over_pop3(
    running: tuple[Running, DemoServer], tmp_path: Path, changes: list[Change]
) -> None:
    """As above."""
    pop_run(running, tmp_path / "archive", changes)


@pytest.mark.parametrize("run", [imap_run, pop_run])
def test_without_a_change_the_old_messages_go(running: tuple[Running, DemoServer], tmp_path: Path, run: object) -> None:
    """Else the tests above would prove nothing; and what is received is longer than the places that are changed."""
    assert callable(run)
    result, gone, tampered = run(running, tmp_path / "archive", [])
    assert (result.code, gone) == (ExitCode.DONE, set(OLD))
    assert tampered.received > 3500
    _, gone, tampered = run(running, tmp_path / "archive", [Change("flip", 0, 0, b"")])
    assert (gone, tampered.applied) == (set(), 1)
