"""Signals, and streams that are closed: what was begun is finished, and nothing about it is lost or shown in a page."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import mailarchive, plain_url, process, started, until, wait_until_idle
from tests.corpus import corpus
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

BOXES = ("INBOX", "Lists", "Work")
COUNT = 60
OLD = ("--older-than", "1y")


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """Serve sixty old messages in three mailboxes."""
    store = Store()
    account = store.add_account("kim", "secret", limit=50_000_000)
    now = datetime.now(UTC)
    for index, sample in enumerate(corpus(COUNT, seed=113, now=now - timedelta(days=500), sizes="small")):
        name = BOXES[index % len(BOXES)]
        box = account.find(name) or account.create(name)
        head = now - timedelta(days=600 + index)
        # Without a date of its own, which could be a younger one.
        raw = head.strftime("Date: %a, %d %b %Y %H:%M:%S +0000\r\n").encode() + b"X-%d: x\r\n" % index + sample.raw
        box.append(raw, head, ())
    with DemoServer(store) as running:
        yield running


def left(server: DemoServer) -> list[bytes]:
    """Give what is on the server."""
    account = server.store.account("kim")
    return sorted(message.raw for name in BOXES for message in account.mailbox(name).messages())


def held(archive: Path) -> list[bytes]:
    """Give what is in the archive."""
    return sorted(each.octets for each in maildir.files(archive))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="whether it waits is read from /proc")
@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (signal.SIGINT, signal.SIGINT, 130),
        (signal.SIGTERM, signal.SIGINT, 143),
        (signal.SIGHUP, signal.SIGTERM, 129),
    ],
)
def test_f113_the_second_signal_ends_it_at_once(
    server: DemoServer, tmp_path: Path, first: signal.Signals, second: signal.Signals, code: int
) -> None:
    """The server is silent in the middle of a body: the first one waits for it, the second for nothing.

    The code is that of the first; nothing half is left, and the next run ends the work.
    """
    whole = left(server)
    with (
        Proxy(server.imap_port, cut_server=30_000, cut="hang", cuts=None) as proxy,
        started("--json", "backup", plain_url(proxy.port, "kim"), "--to", tmp_path / "a") as child,
    ):
        until(child, '"fetching"')
        while not any(connection.cut for connection in proxy.connections):
            time.sleep(0.01)
        wait_until_idle(child.pid)
        child.send_signal(first)
        time.sleep(0.3)
        assert child.poll() is None
        child.send_signal(second)
        # A server may be silent for a minute, so this would not be the end of it by itself.
        _, err = child.communicate(timeout=30)
    assert (child.returncode, "Traceback" in err) == (code, False)
    assert "mailarchive: error: interrupted" in err
    assert set(held(tmp_path / "a")) < set(whole)
    assert mailarchive("-q", "backup", plain_url(server.imap_port, "kim"), "--to", tmp_path / "a").code == 0
    assert held(tmp_path / "a") == left(server) == whole
    assert maildir.left_overs(tmp_path / "a") == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_f113_a_signal_while_it_deletes(server: DemoServer, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """The batch is finished and recorded: what is gone is archived, and the numbers of the run are those of the server.

    The next run has nothing to settle and ends the work.
    """
    whole = left(server)
    words = ("--to", tmp_path / "a", *OLD, "--delete", "--yes")
    with (
        Proxy(server.imap_port, delay=0.04) as proxy,
        started("--json", "backup", plain_url(proxy.port, "kim"), *words) as child,
    ):
        until(child, '"expunged"')
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, "Traceback" in err) == (code, False)
    end = json.loads(out.splitlines()[-1])
    gone = len(whole) - len(left(server))
    assert 0 < gone == end["total"]["deleted"] < COUNT
    assert {*held(tmp_path / "a"), *left(server)} == set(whole)
    result = mailarchive("--json", "backup", plain_url(server.imap_port, "kim"), *words)
    assert (result.code, result.err) == (0, "")
    assert not any(event["event"] == "settled" for event in result.events)
    assert (held(tmp_path / "a"), left(server)) == (whole, [])


EARLY = """
import os, runpy, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)

wanted = sys.argv.pop(1)
sys.meta_path.insert(0, Finder())
runpy.run_module("mailarchive", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("module", "code", "said"),
    [
        ("mailarchive.cli", -signal.SIGINT, ""),
        ("mailarchive.errors", -signal.SIGINT, ""),
        ("mailarchive.cli.running", 130, "\nmailarchive: error: interrupted\n"),
        ("mailarchive.cli.targets", 130, "\nmailarchive: error: interrupted\n"),
    ],
)
def test_f113_ctrl_c_while_the_program_is_loaded(tmp_path: Path, module: str, code: int, said: str) -> None:
    """No traceback, wherever it comes; what ends by the signal itself is 130 in a shell."""
    words = [sys.executable, "-c", EARLY, module, "backup", "imap+insecure://me@127.0.0.1:9", "--to", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


@pytest.mark.parametrize(
    ("closed", "how"),
    [
        (">&-", ()),
        (">&-", ("--json",)),
        ("2>&-", ()),
        ("<&- >&- 2>&-", ()),
        (">/dev/full 2>/dev/full", ()),
        (">/dev/full 2>/dev/full", ("--json",)),
    ],
)
def test_f113_streams_that_are_closed_from_the_start(
    server: DemoServer, tmp_path: Path, closed: str, how: tuple[str, ...]
) -> None:
    """Files get the numbers of the closed streams, and nothing but mail gets into them; what goes is proved."""
    if "/dev/full" in closed and not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    whole = left(server)
    words = ("backup", plain_url(server.imap_port, "kim"), "--to", tmp_path / "a", *OLD, "--delete", "--yes")
    result = process(*how, *words, before=("/bin/sh", "-c", f'exec "$@" {closed}', "sh"))
    assert result.code == 0, result.err
    assert "Traceback" not in result.err
    assert (held(tmp_path / "a"), left(server)) == (whole, [])
    assert mailarchive("verify", tmp_path / "a").code == 0
