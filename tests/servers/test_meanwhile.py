"""Others at work on the mailboxes, or in the archive, while a run goes on."""

from __future__ import annotations

import random
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import mailarchive, plain_url, process, started
from tests.corpus import corpus
from tests.readers import counted
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeUser
    from tests.servers.dovecot import Account

OLD = ("--older-than", "1y", "--no-keep-flagged")
BOXES = ("INBOX", "Work", "Lists")


class Renaming:
    """A second client that renames mailboxes to and fro in a thread."""

    def __init__(self, account: Account, seed: int) -> None:
        self.account, self.rng = account, random.Random(seed)
        self.names = {"Work": "Work", "Lists": "Lists"}
        self.renamed = 0
        self.over = threading.Event()
        self.trouble: list[BaseException] = []
        self.thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join(10)
        assert self.trouble == []

    def _work(self) -> None:
        try:
            with self.account.witness() as witness:
                while not self.over.wait(self.rng.random() / 10):
                    box = self.rng.choice(sorted(self.names))
                    old, new = self.names[box], f"{box}-{self.renamed % 3}"
                    if old != new:
                        answer, _ = witness.imap.rename(old, new)
                        assert answer == "OK"
                        self.names[box] = new
                        self.renamed += 1
        except BaseException as error:  # noqa: BLE001 - the test shows it
            self.trouble.append(error)


@pytest.mark.dovecot
@pytest.mark.timeout(120)
@pytest.mark.parametrize("turn", [0, pytest.param(1, marks=pytest.mark.long)])
def test_f117_mailboxes_that_are_renamed_meanwhile(
    dovecot_user: MakeUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, turn: int
) -> None:
    """0 or 3; Dovecot hangs up on whoever has such a mailbox open, and the run goes on on a new line.

    Nothing young goes, nothing goes that is not archived, and a run that is left alone ends the work.
    """
    account, now = dovecot_user(f"renaming-{turn}-{seed}"), datetime.now(UTC)
    old = corpus(240, seed=seed, now=now - timedelta(days=800), sizes="tiny")
    young = [
        each for each in corpus(400, seed=seed + 1, now=now, sizes="tiny") if each.internal_date > now - timedelta(300)
    ]
    assert len(young) > 9
    for index, name in enumerate(BOXES):
        account.append_many(name, [*old[index::3], *young[index::3]])
    whole = {each.octets for box in account.everything().values() for each in box.values()}
    words = ("--to", tmp_path / "a", *OLD, "--delete", "--yes")
    monkeypatch.delenv("MAILARCHIVE_BACKUP_MAX_WAIT")
    with Proxy(account.imap_port, delay=0.03) as proxy, Renaming(account, seed) as other:
        result = process("backup", plain_url(proxy.port, account.user), *words)
    print(f"{other.renamed} times renamed; exit {result.code} {result.err}")  # noqa: T201 - for the record
    assert other.renamed > 0
    assert result.code in {0, 3}, result.err
    assert "Traceback" not in result.err
    there = {each.octets for box in account.everything().values() for each in box.values()}
    held = {each.octets for each in maildir.files(tmp_path / "a")}
    assert there | held == whole
    assert there >= {each.raw for each in young}
    alone = mailarchive("backup", plain_url(account.imap_port, account.user), *words)
    # What the renaming left open is told, and where the mailbox has another name now, it waits for the old one: 3.
    open_still = "left open there could not be settled: the server does not list this mailbox" in alone.err
    known = ("an interrupted deletion in", "left open there could not be settled")
    assert [line for line in alone.err.splitlines() if not any(words in line for words in known)] == []
    assert alone.code == (3 if open_still else 0)
    assert {each.octets for box in account.everything().values() for each in box.values()} == {
        each.raw for each in young
    }
    assert {each.octets for each in maildir.files(tmp_path / "a")} >= {each.raw for each in old}


def views(place: Path, home: Path) -> list[int]:
    """Give how many messages mutt sees; none where it lost patience with an append that took long."""
    try:
        return [counted("mutt", place, "~A", home)]
    except BlockingIOError:
        return []


@pytest.mark.reader("mutt")
@pytest.mark.parametrize("form", ["maildir", pytest.param("mbox", marks=pytest.mark.long)])
def test_f118_mutt_reads_the_archive_during_a_backup(tmp_path: Path, home: Path, form: str) -> None:
    """No error on either side: it sees more and more messages, all of them in the end, and disturbs nothing."""
    store = Store()
    box = store.add_account("kim", "secret").mailbox("INBOX")
    samples = corpus(1200, seed=118, now=datetime.now(UTC) - timedelta(days=500), sizes="tiny")
    for sample in samples:
        box.append(sample.raw, sample.internal_date.replace(year=2020, day=15), sample.flags)
    archive = tmp_path / "a"
    with DemoServer(store) as server:
        words = ("--to", archive, "--format", form)
        first = mailarchive("-q", "backup", plain_url(server.imap_port, "kim"), *words, "--limit", "5")
        assert first.code == 0
        place = archive / "INBOX" if form == "maildir" else next(iter(archive.rglob("*2020*.mbox*")))
        size = sum(len(sample.raw) for sample in samples)
        with (
            Proxy(server.imap_port, rate=size / 3) as proxy,
            started("backup", plain_url(proxy.port, "kim"), *words) as child,
        ):
            seen = views(place, home)
            while child.poll() is None:
                time.sleep(0.05)
                seen += views(place, home)
            out, err = child.communicate(timeout=60)
        assert (child.returncode, err) == (0, ""), out
    seen += views(place, home)
    print(f"mutt saw {seen}")  # noqa: T201 - for the record
    assert seen == sorted(seen)
    assert (seen[0] < len(samples), seen[-1]) == (True, len(samples))
    assert re.search("1 200 messages read back", mailarchive("verify", archive).out)
