"""A server that stops, or is killed, and a run that is suspended: the line ends, and the next run settles it."""

from __future__ import annotations

import functools
import os
import signal
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.sources import tls
from mailarchive.sources.wire import Wire
from tests import maildir
from tests.command import mailarchive, plain_url, started, until
from tests.corpus import corpus
from tests.servers.dovecot import Dovecot
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.dovecot import Account

COUNT = 300
OLD = ("--older-than", "1y", "--delete", "--yes", "--no-keep-flagged")

pytestmark = pytest.mark.dovecot
MOMENTS = pytest.mark.parametrize(
    "word", [b"BODY.PEEK[])", pytest.param(b"+FLAGS.SILENT", marks=pytest.mark.long), b"UID EXPUNGE"]
)


@pytest.fixture
def server() -> Iterator[Dovecot]:
    """Start a Dovecot that may be stopped and killed."""
    with Dovecot(storage="maildir") as running:
        yield running


@pytest.fixture
def account(server: Dovecot, seed: int) -> Account:
    """Fill INBOX with old mail."""
    made = server.account
    made.append_many("INBOX", corpus(COUNT, seed=seed, now=datetime.now(UTC) - timedelta(days=800), sizes="tiny"))
    return made


def sign(server: Dovecot, number: signal.Signals) -> None:
    """Send a signal to every process of this server, and to no other."""
    assert server._process is not None
    os.killpg(server._process.pid, number)


@contextmanager
def at(proxy: Proxy, word: bytes, act: Callable[[], None]) -> Iterator[threading.Event]:
    """Do something when a client has sent a word to the server; gives what says whether that was done."""
    over, done = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.is_set():
            if any(word in connection.client for connection in proxy.connections):
                act()
                done.set()
                return
            time.sleep(0.0005)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join(10)


def held(archive: Path) -> list[bytes]:
    """Give what is in the archive."""
    return sorted(each.octets for each in maildir.files(archive)) if archive.exists() else []


def journal(archive: Path) -> tuple[int, set[str]]:
    """Count the deletions that are still open in the catalogue, and name the states of their messages."""
    with closing(sqlite3.connect(f"file:{archive}/.mailarchive/catalogue.sqlite?mode=ro", uri=True)) as catalogue:
        (batches,) = catalogue.execute("SELECT count(*) FROM expunge_batch WHERE closed_at IS NULL").fetchone()
        return batches, {state for (state,) in catalogue.execute("SELECT DISTINCT state FROM expunge_item")}


def assert_settled(account: Account, archive: Path, whole: list[bytes]) -> None:
    """Nothing is lost now; the next run settles what is open and ends the work, and the one after has nothing to do."""
    assert {*held(archive), *account.raw_messages().values()} == set(whole)
    words = ("--json", "backup", plain_url(account.imap_port, account.user), "--to", archive, *OLD)
    is_open, _ = journal(archive)
    result = mailarchive(*words)
    assert result.code == 0, result.err
    assert any(event["event"] == "settled" for event in result.events) is (is_open > 0)
    is_open, states = journal(archive)
    assert (is_open, states - {"gone", "rolled back"}) == (0, set())
    assert (held(archive), account.raw_messages()) == (whole, {})
    again = mailarchive(*words)
    assert (again.code, again.end["total"]["archived"], again.end["total"]["deleted"]) == (0, 0, 0)


@MOMENTS
def test_f114_a_server_that_stops(
    server: Dovecot, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: bytes
) -> None:
    """15 after the timeout, which is a minute for a user; what it does once it goes on is settled by the next run."""
    whole = sorted(account.raw_messages().values())
    monkeypatch.setattr(tls, "Wire", functools.partial(Wire, timeout=1.0))
    monkeypatch.setattr(tls, "CONNECT_TIMEOUT", 1.0)
    try:
        with Proxy(account.imap_port) as proxy, at(proxy, word, lambda: sign(server, signal.SIGSTOP)) as stopped:
            result = mailarchive("backup", plain_url(proxy.port, account.user), "--to", tmp_path / "a", *OLD)
            assert stopped.is_set()
    finally:
        sign(server, signal.SIGCONT)
    monkeypatch.undo()
    print(f"exit {result.code} {result.err}")  # noqa: T201 - whether it had answered before it was stopped differs
    assert result.code in {0, 15}
    assert "Traceback" not in result.err
    assert_settled(account, tmp_path / "a", whole)


# A Dovecot that was killed leaves locks, and takes them for dead only after two minutes.
@pytest.mark.timeout(300)
@MOMENTS
def test_f114_a_server_that_is_killed(server: Dovecot, account: Account, tmp_path: Path, word: bytes) -> None:
    """15, or 0 where it had done everything; it comes back with some of the messages gone, and none is lost."""
    whole = sorted(account.raw_messages().values())
    with Proxy(account.imap_port) as proxy, at(proxy, word, lambda: sign(server, signal.SIGKILL)) as killed:
        result = mailarchive("backup", plain_url(proxy.port, account.user), "--to", tmp_path / "a", *OLD)
        assert killed.is_set()
    server.stop()
    server.start()
    print(f"exit {result.code} {result.err}, {len(account.raw_messages())} left")  # noqa: T201 - for the record
    assert result.code in {0, 15}
    assert "Traceback" not in result.err
    assert_settled(account, tmp_path / "a", whole)


@pytest.mark.parametrize("how", ["gone", pytest.param("there", marks=pytest.mark.long)])
def test_f119_a_run_that_is_suspended_while_it_fetches(
    server: Dovecot, account: Account, tmp_path: Path, how: str
) -> None:
    """The server has hung up meanwhile, or has waited: 15 or 0 on waking, and every message once in the end."""
    whole = sorted(account.raw_messages().values())
    words = ("--to", tmp_path / "a", *OLD)
    with (
        Proxy(account.imap_port, delay=0.02, backlog=4096) as proxy,
        started("--json", "backup", plain_url(proxy.port, account.user), *words) as child,
    ):
        until(child, '"fetching"')
        child.send_signal(signal.SIGSTOP)
        if how == "gone":
            server.stop()
            server.start()
        else:
            time.sleep(1)
        child.send_signal(signal.SIGCONT)
        _, err = child.communicate(timeout=90)
    assert child.returncode in ({0, 15} if how == "gone" else {0}), err
    assert "Traceback" not in err
    assert_settled(account, tmp_path / "a", whole)
