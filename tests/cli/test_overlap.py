"""Several runs on one archive at a time: one works, and a lock is never older than the process that holds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.archives.opening import open_for_writing
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import mailarchive, started
from tests.corpus import corpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 20
RUNS = 5


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """Serve twenty messages."""
    store = Store()
    box = store.add_account("kim", "secret").mailbox("INBOX")
    for sample in corpus(COUNT, seed=115, now=datetime.now(UTC) - timedelta(days=500), sizes="tiny"):
        box.append(sample.raw, sample.internal_date, sample.flags)
    with DemoServer(store) as running:
        yield running


class Gate:
    """An account whose password comes only when the test says so; each run that waits for it has told so."""

    def __init__(self, home: Path, server: DemoServer) -> None:
        self.archive = home / "mail" / "home"
        self.go, self._waiting = home / "go", home / "waiting"
        self._waiting.mkdir()
        wait = f"touch {self._waiting}/$$; while [ ! -e {self.go} ]; do sleep 0.02; done; echo secret"
        config = home / ".config" / "mailarchive" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(
            f'archive = "{home}/mail"\n[account.home]\nuser = "kim"\n'
            f'server = "imap+insecure://127.0.0.1:{server.imap_port}"\npassword_command = "{wait}"\n'
        )
        config.chmod(0o600)

    def wait_for(self, runs: int) -> None:
        """Wait until so many runs wait for the password."""
        while len(list(self._waiting.iterdir())) < runs:
            time.sleep(0.01)

    def open(self) -> None:
        """Give the password to all."""
        self.go.touch()

    def shut(self) -> None:
        """Give it to nobody any more."""
        self.go.unlink()
        for path in self._waiting.iterdir():
            path.unlink()


@pytest.fixture
def gate(server: DemoServer, home: Path) -> Iterator[Gate]:
    """Give an account whose archive is there, with one message in it."""
    made = Gate(home, server)
    made.open()
    assert mailarchive("-q", "backup", "--limit", "1").code == 0
    made.shut()
    yield made
    made.open()


def ended(children: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Wait for processes; gives code, stdout and stderr of each."""
    found = []
    for child in children:
        out, err = child.communicate(timeout=60)
        found.append((child.returncode, out, err))
    return found


def test_f115_of_five_runs_of_cron_one_works(gate: Gate) -> None:
    """The others end while it holds the archive, with 11 and not a word; without -q the one that works is named."""
    children = [started("-q", "backup") for _ in range(RUNS)]
    begun = time.monotonic()
    while sum(child.poll() is None for child in children) > 1:
        time.sleep(0.01)
    print(f"four had ended after {time.monotonic() - begun:.2f} s")  # noqa: T201 - for the record
    (working,) = (child for child in children if child.poll() is None)
    children.remove(working)
    assert ended(children) == [(11, "", "")] * (RUNS - 1)
    loud = started("backup")
    ((code, out, err),) = ended([loud])
    assert (code, out) == (11, "")
    assert f"(pid {working.pid} on " in err
    assert "hint: wait for it with --wait 10min" in err
    gate.open()
    assert ended([working]) == [(0, "", "")]
    assert len(maildir.files(gate.archive)) == COUNT


def test_f115_with_wait_it_goes_on_when_the_other_has_ended(gate: Gate, server: DemoServer) -> None:
    """0, and not before."""
    gate.open()
    held = open_for_writing(
        gate.archive, f"imap+insecure://kim@127.0.0.1:{server.imap_port}", run="first", started="07:04"
    )
    order: list[str] = []

    def end() -> None:
        order.append("the first has ended")
        held.close()

    timer = threading.Timer(0.5, end)
    timer.start()
    result = mailarchive("-q", "backup", "--wait", "10min")
    order.append("the second has ended")
    timer.join()
    assert (result.code, order) == (0, ["the first has ended", "the second has ended"])
    assert len(maildir.files(gate.archive)) == COUNT


def test_f115_five_runs_that_all_find_no_archive(server: DemoServer, home: Path) -> None:
    """They make one: each message is in it once, and whoever came late has 11, or finds it done."""
    gate = Gate(home, server)
    children = [started("-q", "backup") for _ in range(RUNS)]
    gate.wait_for(RUNS)
    gate.open()
    ends = ended(children)
    assert {end[0] for end in ends} <= {0, 11}
    assert (0, "", "") in ends
    assert [end[1:] for end in ends] == [("", "")] * RUNS
    result = mailarchive("--json", "backup")
    assert (result.code, result.end["total"]["already"]) == (0, COUNT)
    assert len(maildir.files(gate.archive)) == COUNT


def test_f116_a_lock_that_a_reboot_has_left_is_none(gate: Gate) -> None:
    """The file is there, and says the number of a process that lives; nobody holds it, so nobody is waited for."""
    meta = gate.archive / ".mailarchive"
    owner = {"pid": os.getpid(), "host": os.uname().nodename, "started": "07:04"}
    (meta / "lock.owner").write_text(json.dumps(owner))
    (meta / "lock").touch()
    gate.open()
    assert mailarchive("-q", "backup").code == 0
    assert len(maildir.files(gate.archive)) == COUNT
    assert not (meta / "lock.owner").exists()


def test_f116_a_run_that_was_killed_leaves_no_lock(gate: Gate) -> None:
    """Its number may belong to another process by now."""
    killed = started("-q", "backup")
    gate.wait_for(1)
    killed.kill()
    assert killed.wait(60) == -9
    assert json.loads((gate.archive / ".mailarchive" / "lock.owner").read_text())["pid"] == killed.pid
    gate.open()
    assert ended([killed]) == [(-9, "", "")]
    assert mailarchive("-q", "backup").code == 0
    assert len(maildir.files(gate.archive)) == COUNT


TWO = """
import sys, threading
from mailarchive.cli import run
from mailarchive.archives.opening import open_for_writing
archive, account = sys.argv[1:]
with open_for_writing(__import__("pathlib").Path(archive), account, run="first", started="07:04"):
    code = run(["backup", "home"])
    again = run(["backup", "home", "--wait", "1s"])
print(code, again, run(["-q", "backup", "home"]))
"""


def test_f122_two_runs_in_one_process(gate: Gate, server: DemoServer) -> None:
    """The second finds the lock of the first, though the process is the same, and says its number."""
    gate.open()
    account = f"imap+insecure://kim@127.0.0.1:{server.imap_port}"
    words = [sys.executable, "-c", TWO, str(gate.archive), account]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "11 11 0"
    assert done.stderr.count("has been going since 07:04 (pid ") == 2
    assert len(maildir.files(gate.archive)) == COUNT


@pytest.mark.parametrize(
    "words",
    [
        ("backup",),
        ("backup", "--older-than", "1y", "--delete", "--yes"),
        ("prune", "--older-than", "1y", "--yes"),
        ("undo", "2026"),
        ("import", "MBOX"),
        ("reindex", "home"),
    ],
)
def test_f115_every_command_that_writes_takes_its_turn(gate: Gate, server: DemoServer, words: tuple[str, ...]) -> None:
    """11 while another run holds the archive, whatever it does; nothing is changed."""
    gate.open()
    box = gate.archive.parent.parent / "old.mbox"
    box.write_bytes(b"From a@b Sat Mar  1 09:00:00 2014\nSubject: x\n\nx\n")
    filled = [str(box) if word == "MBOX" else word for word in words]
    with open_for_writing(gate.archive, f"imap+insecure://kim@127.0.0.1:{server.imap_port}", run="r", started="07:04"):
        result = mailarchive(*filled)
        assert (result.code, result.out) == (11, ""), result.err
        assert "has been going since 07:04" in result.err
        assert mailarchive("verify", gate.archive).code == 0
    assert len(maildir.files(gate.archive)) == 1
