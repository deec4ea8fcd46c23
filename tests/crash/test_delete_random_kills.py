"""Kill `backup --delete` against a real Dovecot at random moments, two hundred times.

After each kill everything is in the archive or on the server, and what was not chosen is on the server. An account is
used until a run has come to its end; then the end must be exact, and the next account begins with an archive that is
not there yet.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests import maildir
from tests.command import mailarchive, plain_url
from tests.conftest import require_program
from tests.corpus import Sample, corpus, spread
from tests.servers.dovecot import Dovecot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.dovecot import Account
    from tests.servers.witness import Whole

pytestmark = pytest.mark.dovecot

KILLS = 200
MESSAGES = 240
BOXES = ("INBOX", "Work/Été 2014", "a&b", "Lists", "日本")
DELETE = ("--older-than", "1y", "--delete", "--yes")
Boxes = dict[str, dict[int, "Whole"]]


class Stop(NamedTuple):
    """What a kill left: whether there was a catalogue, how much was archived, how much gone, how much marked."""

    catalogue: bool
    archived: int
    gone: int
    marked: int


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot]:
    """Serve accounts, on a server that nobody else uses."""
    require_program("dovecot")
    with Dovecot() as running:
        yield running


class Victim:
    """One account, its archive, and what must become of both."""

    def __init__(self, server: Dovecot, number: int, seed: int, archive: Path) -> None:
        self.account: Account = server.add_user(f"victim-{number}")
        self.archive = archive
        now = datetime.now(UTC).replace(microsecond=0)
        samples = corpus(MESSAGES, seed=seed + number, now=now - timedelta(days=700), sizes="tiny")
        young = {index for index in range(MESSAGES) if index % 9 == 4}
        samples = [
            Sample(sample.raw, now - timedelta(days=20) if index in young else sample.internal_date, sample.flags)
            for index, sample in enumerate(samples)
        ]
        with self.account.witness() as witness:
            for name, messages in spread(samples, BOXES).items():
                uids = witness.append_many(name, messages)
                witness.store(name, uids[4:20:5], "+FLAGS (\\Deleted)")
            self.start: Boxes = witness.everything()
        cut_off = now - timedelta(days=365)
        self.old = {
            (name, uid) for name, box in self.start.items() for uid, each in box.items() if each.internal_date < cut_off
        }
        self.going = {at for at in self.old if "\\Flagged" not in self.at(at).flags}

    def at(self, where: tuple[str, int]) -> Whole:
        """Give a message as it was at the start."""
        return self.start[where[0]][where[1]]

    def words(self) -> list[str]:
        """Give the words of the command."""
        url = plain_url(self.account.imap_port, self.account.user)
        return ["backup", url, "--to", str(self.archive), *DELETE]

    def process(self) -> subprocess.Popen[bytes]:
        """Start a run as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "mailarchive", *self.words()],
            env={**os.environ, "MAILARCHIVE_PASSWORD": "secret"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def check(self) -> Stop:
        """Demand that nothing is lost and nothing else was touched; gives how far the run had come."""
        # First the server, then the files: a session that is still working for the dead client cannot hide a loss.
        with self.account.witness() as witness:
            there = witness.everything()
        files = {each.octets for each in maildir.files(self.archive)} if self.archive.exists() else set()
        marked = gone = 0
        for name, box in self.start.items():
            for uid, each in box.items():
                left = there.get(name, {}).get(uid)
                if left is None:
                    assert (name, uid) in self.going, (name, uid, "was not chosen and is gone")
                    assert each.octets in files, (name, uid, "is lost")
                    gone += 1
                    continue
                assert left.octets == each.octets
                assert left.internal_date == each.internal_date
                assert left.flags - {"\\Deleted"} == each.flags - {"\\Deleted"}
                if left.flags != each.flags:
                    assert "\\Deleted" in left.flags, (name, uid, "lost a mark that was not ours")
                    assert (name, uid) in self.going, (name, uid, "was not chosen and is marked")
                    assert each.octets in files, (name, uid, "is marked and not archived")
                    marked += 1
        assert sum(map(len, there.values())) == MESSAGES - gone, "a message came from nowhere"
        return Stop((self.archive / ".mailarchive" / "catalogue.sqlite").exists(), len(files), gone, marked)

    def finish(self) -> None:
        """Run to the end, demand that it is exact and that nothing is there twice; then once more, doing nothing."""
        result = mailarchive("--json", *self.words())
        assert (result.code, result.err) == (0, ""), result.out
        left = {
            name: kept
            for name, box in self.start.items()
            if (kept := {uid: each for uid, each in box.items() if (name, uid) not in self.going})
        }
        assert self.account.everything() == left
        assert sorted(each.octets for each in maildir.files(self.archive)) == sorted(
            self.at(where).octets for where in self.old
        )
        assert maildir.left_overs(self.archive) == []
        again = mailarchive("--json", *self.words())
        told = {event["event"] for event in again.events} & {"archived", "expunged", "settled", "warned"}
        assert (again.code, told) == (0, set()), again.out
        assert mailarchive("verify", self.archive).code == 0


def killed(victim: Victim, rng: random.Random, longest: float, *, catalogue: bool) -> bool:
    """Kill a run after a random time, or just when its catalogue is being made; False if it had ended before."""
    with victim.process() as child:
        if catalogue:
            file = victim.archive / ".mailarchive" / "catalogue.sqlite"
            while not file.exists() and child.poll() is None:
                time.sleep(0.0005)
            time.sleep(rng.uniform(0, 0.02))
        else:
            time.sleep(rng.uniform(0.1, longest))
        child.kill()
    return child.returncode == -9


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_hundred_kills_lose_nothing(server: Dovecot, tmp_path: Path, seed: int) -> None:
    """At every moment archive and server together hold everything; at the end each message is where it belongs."""
    rng = random.Random(seed)
    first = Victim(server, 0, seed, tmp_path / "0")
    begun = time.monotonic()
    with first.process() as child:
        assert child.wait() == 0
    longest = time.monotonic() - begun
    assert first.check().gone == len(first.going)
    first.finish()

    stops: list[Stop] = []
    accounts = making = 0
    while len(stops) < KILLS:
        accounts += 1
        victim = Victim(server, accounts, seed, tmp_path / str(accounts))
        making_one = accounts % 2 == 1
        while len(stops) < KILLS:
            hit = killed(victim, rng, longest, catalogue=making_one)
            stop = victim.check()
            if not hit:
                break
            making += making_one
            making_one = False
            stops.append(stop)
            if stop.gone == len(victim.going) and rng.random() < 0.5:
                break
        victim.finish()
    took = time.monotonic() - begun
    phases = {
        "before the archive": sum(not stop.catalogue for stop in stops),
        "as the catalogue is made": making,
        "archiving": sum(stop.catalogue and not stop.gone and not stop.marked for stop in stops),
        "marked": sum(stop.marked > 0 for stop in stops),
        "some gone": sum(0 < stop.gone < 150 for stop in stops),
        "nearly or all gone": sum(stop.gone >= 150 for stop in stops),
    }
    print(f"{len(stops)} kills, {accounts} accounts, {took:.0f} s, a run takes {longest:.2f} s: {phases}")  # noqa: T201
    assert phases["as the catalogue is made"] > 3
    assert phases["archiving"] > 10
    assert phases["some gone"] > 10
