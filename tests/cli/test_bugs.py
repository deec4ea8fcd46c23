"""A bug in the middle of a run: one line, and what was deleted until then is proved and recorded."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive import batch, removal
from mailarchive.batch import Batch
from mailarchive.catalogue import SqliteCatalogue
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.examining import Examiner
from mailarchive.sources.imap_expunge import Expunger
from mailarchive.sources.wire import Wire
from tests import maildir
from tests.command import mailarchive, plain_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 12
OLD = ("--older-than", "1y")
SECRET = "canary-4711"


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "BATCH", 3)
    monkeypatch.setattr(batch, "BATCH_MESSAGES", 4)


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """Serve twelve old messages."""
    store = Store()
    box = store.add_account("kim", SECRET, limit=50_000_000).mailbox("INBOX")
    for number in range(COUNT):
        old = datetime.now(UTC).replace(microsecond=0) - timedelta(days=900 + number)
        head = old.strftime("Date: %a, %d %b %Y %H:%M:%S +0000\r\n") + f"Subject: canary-subject {number}\r\n"
        box.append(head.encode() + b"\r\nbody\r\n", old)
    with DemoServer(store) as running:
        yield running


def left(server: DemoServer) -> set[bytes]:
    """Give what is on the server."""
    return {message.raw for message in server.store.account("kim").mailbox("INBOX").messages()}


def strike(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, at: int, *, after: bool = False) -> None:
    """Let the n-th call of a method end in an error that nobody has thought of."""
    calls = 0
    original = getattr(owner, name)

    def struck(*args: Any, **more: Any) -> object:
        nonlocal calls
        calls += 1
        if calls == at and not after:
            raise ZeroDivisionError(SECRET)
        result = original(*args, **more)
        if calls == at:
            raise ZeroDivisionError(SECRET)
        return result

    monkeypatch.setattr(owner, name, struck)


def lines(archive: Path) -> list[dict[str, Any]]:
    """Give the lines of all manifests."""
    paths = sorted((archive / ".mailarchive" / "runs").iterdir())
    return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("owner", "name", "at", "after"),
    [
        (Batch, "add", 6, False),
        (Batch, "_write_manifest", 2, False),
        (SqliteCatalogue, "record", 2, False),
        (Examiner, "decide", 3, False),
        (removal._Ward, "_intend", 2, False),
        (removal._Ward, "_intend", 2, True),
        (Expunger, "carry_out", 2, True),
        (removal._Ward, "_record", 2, False),
        (SqliteCatalogue, "settle", 2, False),
        (removal._Ward, "_tell", 3, True),
        (Wire, "readline", 45, False),
    ],
)
def test_f140_a_bug_is_one_line_and_what_is_gone_is_proved(
    server: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, owner: type, name: str, at: int, after: bool
) -> None:
    """1 and a hint, without a traceback, a secret or a word of mail; the next run ends the work.

    What has left the server is in the archive, and a manifest has said so before: `undo` puts it back.
    """
    whole, archive = left(server), tmp_path / "a"
    words = ("backup", plain_url(server.imap_port, "kim"), "--to", archive, *OLD, "--delete", "--yes")
    with monkeypatch.context() as patch:
        strike(patch, owner, name, at, after=after)
        result = mailarchive(*words, password=SECRET)
    assert result.code == 1
    assert [line for line in result.err.splitlines() if "warning" not in line] == [
        "mailarchive: error: unexpected failure (ZeroDivisionError)",
        "hint: run it again with --debug and report what it says",
    ]
    assert "canary" not in result.out + result.err
    held = {each.octets for each in maildir.files(archive)}
    gone = whole - left(server)
    assert gone <= held
    told = {line["digest"] for line in lines(archive) if line.get("type") == "expunging"}
    files = {path for path in archive.rglob("cur/*") if path.read_bytes() in gone}
    assert all(any(digest.partition(":")[2].startswith(path.name.split(".")[1]) for digest in told) for path in files)
    print(f"{len(gone)} gone, {len(held)} held")  # noqa: T201 - for the record

    result = mailarchive("--json", *words, password=SECRET)
    assert result.code == 0, result.err
    assert (left(server), {each.octets for each in maildir.files(archive)}) == (set(), whole)
    assert len(maildir.files(archive)) == COUNT
    for run in sorted((archive / ".mailarchive" / "runs").iterdir()):
        if '"expunging"' in run.read_text(encoding="utf-8"):
            undone = mailarchive(
                "undo", run.stem, plain_url(server.imap_port, "kim"), "--archive", archive, password=SECRET
            )
            assert undone.code == 0, undone.err
    assert left(server) == whole


def test_f140_debug_shows_where_without_a_secret(
    server: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint leads to a traceback, with the password taken out."""
    strike(monkeypatch, removal._Ward, "_intend", 1)
    words = ("backup", plain_url(server.imap_port, "kim"), "--to", tmp_path / "a", *OLD, "--delete", "--yes")
    result = mailarchive("--debug", *words, password=SECRET)
    assert (result.code, len(left(server))) == (1, COUNT)
    assert "ZeroDivisionError: ***" in result.err
    assert "canary" not in result.out + result.err
