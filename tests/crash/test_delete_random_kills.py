"""Kill `backup --delete` of a thousand messages on a real Dovecot at random moments, over IMAP and over POP3.

After each kill everything is in the archive or on the server, and what was not chosen is on the server. The next run
begins where the killed one stopped, until one comes to its end; then the end must be exact, and the next account
begins with an archive that is not there yet. A kill waits for something on the line, so that the start of the program
takes none of them.
"""

from __future__ import annotations

import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mailarchive.archives import place
from tests import maildir
from tests.command import mailarchive
from tests.corpus import corpus, spread
from tests.crash.forks import Run, forks
from tests.crash.vouching import vouched
from tests.servers.dovecot import Dovecot
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Literal

    from tests.servers.dovecot import Account
    from tests.servers.witness import Whole

    Protocol = Literal["imap", "pop"]

pytestmark = pytest.mark.dovecot

KILLS = 250
MESSAGES = 1000
BOXES = ("INBOX", "Work/Été 2014", "a&b", "Lists", "日本")
DELETE = ("--older-than", "1y", "--delete", "--yes")
PROTOCOLS = pytest.mark.parametrize("protocol", ["imap", "pop"])
Boxes = dict[str, dict[int, "Whole"]]


class Stop(NamedTuple):
    """What a kill left: whether there was a catalogue, and how much was archived, waiting to go, gone, marked."""

    catalogue: bool
    archived: int
    waiting: int
    gone: int
    marked: int


@pytest.fixture
def server(memory: Path) -> Iterator[Dovecot]:
    """Serve accounts, on a server that nobody else uses."""
    assert memory.exists()
    with Dovecot() as running:
        yield running


@pytest.fixture
def program(memory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """Give the program, imported."""
    assert memory.exists()
    monkeypatch.setenv("MAILARCHIVE_PASSWORD", "secret")
    monkeypatch.setattr(place, "VOLATILE", frozenset())
    with forks() as found:
        yield found


class Victim:
    """One account, its archive, and what must become of both. On POP3 all is in INBOX, and flags decide nothing."""

    def __init__(
        self, server: Dovecot, protocol: Protocol, name: str, seed: int, archive: Path, *, messages: int
    ) -> None:
        self.account: Account = server.add_user(name)
        self.protocol, self.archive = protocol, archive
        self.port = self.account.imap_port if protocol == "imap" else self.account.pop3_port
        now = datetime.now(UTC).replace(microsecond=0)
        young = corpus(messages // 9, seed=seed, now=now - timedelta(days=3), years=0.1, sizes="tiny")
        old = corpus(messages - len(young), seed=seed + 1, now=now - timedelta(days=700), sizes="tiny")
        # POP3 cannot give a message without an end of line (RFC 1939 section 3).
        samples = [replace(each, raw=each.raw.removesuffix(b"\r\n") + b"\r\n") for each in (*young, *old)]
        random.Random(seed).shuffle(samples)
        with self.account.witness() as witness:
            for box, some in spread(samples, BOXES if protocol == "imap" else BOXES[:1]).items():
                uids = witness.append_many(box, some)
                witness.store(box, uids[4:20:5], "+FLAGS (\\Deleted)")
            self.start: Boxes = witness.everything()
        cut_off = now - timedelta(days=365)
        self.old = {
            (box, uid) for box, some in self.start.items() for uid, each in some.items() if each.internal_date < cut_off
        }
        self.going = {at for at in self.old if protocol == "pop" or "\\Flagged" not in self.at(at).flags}
        self.left = len(self.going)

    def at(self, where: tuple[str, int]) -> Whole:
        """Give a message as it was at the start."""
        return self.start[where[0]][where[1]]

    def words(self, port: int) -> list[str]:
        """Give the words of the command, on a way to the server: an archive belongs to a user and a host."""
        url = f"{self.protocol}+insecure://{self.account.user}@127.0.0.1:{port}"
        return ["backup", url, "--to", str(self.archive), *DELETE]

    def run(self) -> int:
        """Run to the end, here; gives the octets of the server."""
        with Proxy(self.port) as proxy:
            result = mailarchive("--json", *self.words(proxy.port))
            assert (result.code, result.err) == (0, ""), result.out[-4000:]
            return proxy.bytes_from_server

    def check(self) -> Stop:
        """Demand that nothing is lost and nothing else was touched; gives how far the run had come."""
        # First the server, then the files: a session that is still working for the dead client cannot hide a loss.
        with self.account.witness() as witness:
            there = witness.everything()
        found = maildir.files(self.archive) if self.archive.exists() else []
        files = {each.octets for each in found}
        assert len(found) == len(files), "archived twice"
        assert vouched(self.archive) <= {sha256(octets).hexdigest() for octets in files}, "recorded and not there"
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
                ours = self._flags(left) ^ self._flags(each)
                assert ours <= {"\\Deleted"}, (name, uid)
                if ours:
                    assert "\\Deleted" in left.flags, (name, uid, "lost a mark that was not ours")
                    assert (name, uid) in self.going, (name, uid, "was not chosen and is marked")
                    assert each.octets in files, (name, uid, "is marked and not archived")
                    marked += 1
        assert sum(map(len, there.values())) == sum(map(len, self.start.values())) - gone, "came from nowhere"
        self.left = len(self.going) - gone
        catalogue = (self.archive / ".mailarchive" / "catalogue.sqlite").exists()
        waiting = sum(self.at(where).octets in files for where in self.going) - gone
        return Stop(catalogue, len(files), waiting, gone, marked)

    def _flags(self, message: Whole) -> frozenset[str]:
        # Dovecot marks as seen what POP3 fetches.
        return message.flags - {"\\Seen"} if self.protocol == "pop" else message.flags

    def finish(self) -> None:
        """Run to the end, demand that it is exact and that nothing is there twice; then once more, doing nothing."""
        self.run()
        assert self.check().gone == len(self.going)
        there = self.account.everything()
        assert {(box, uid): self._flags(each) for box, some in there.items() for uid, each in some.items()} == {
            (box, uid): self._flags(each)
            for box, some in self.start.items()
            for uid, each in some.items()
            if (box, uid) not in self.going
        }
        assert sorted(each.octets for each in maildir.files(self.archive)) == sorted(
            self.at(where).octets for where in self.old
        )
        assert maildir.left_overs(self.archive) == []
        again = mailarchive("--json", *self.words(self.port))
        # That a mailbox has become empty is told once, whoever emptied it.
        events = (event for event in again.events if "is empty now" not in event.get("message", ""))
        told = {event["event"] for event in events} & {"archived", "expunged", "settled", "warned"}
        assert (again.code, told) == (0, set()), again.out[-4000:]
        assert mailarchive("verify", self.archive).code == 0


class Moments:
    """Chooses when a run is killed: a while after the server spoke, after some octets of it, or as something changes.

    Args:
        octets: Those of the server in a run that nobody kills.
        seconds: What it takes.
    """

    def __init__(self, rng: random.Random, protocol: Protocol, octets: int, seconds: float) -> None:
        self._rng, self._octets, self._seconds = rng, octets, seconds
        self._changes = (b" UID STORE ", b" UID EXPUNGE ") if protocol == "imap" else (b"DELE ", b"QUIT")

    def choose(self, share: float) -> tuple[Callable[[Proxy], bool], float]:
        """Give what has to happen on the line, and the seconds after that; the share is what a run has still to do."""
        rng, share = self._rng, 0.1 + 0.9 * share
        kind = rng.randrange(3)
        if kind == 0:
            return lambda proxy: proxy.bytes_from_server > 0, share * self._seconds * rng.random() ** 2
        if kind == 1:
            octets = share * self._octets * rng.random() ** 2
            return lambda proxy: proxy.bytes_from_server >= octets, rng.uniform(0, 0.01)
        word = rng.choice(self._changes)
        return lambda proxy: any(word in connection.client for connection in proxy.connections), rng.uniform(0, 0.01)


def killed(
    program: subprocess.Popen[str], victim: Victim, moment: Callable[[Proxy], bool], pause: float, *, making: bool
) -> bool:
    """Kill a run so long after a moment, or as its catalogue is being made; False if it had ended before."""
    catalogue = victim.archive / ".mailarchive" / "catalogue.sqlite"
    with Proxy(victim.port) as proxy:
        run = Run(program, victim.words(proxy.port))
        while not (catalogue.exists() if making else moment(proxy)) and not run.ended(0.0005):
            pass
        if not run.ended(pause):
            run.kill()
        code = run.reap()
    assert code in {-9, 0}, code
    return code == -9


def kill_many(
    program: subprocess.Popen[str],
    server: Dovecot,
    protocol: Protocol,
    folder: Path,
    seed: int,
    *,
    kills: int,
    messages: int,
) -> list[Stop]:
    """Kill so many runs; gives what each left."""
    rng = random.Random(seed)

    def victim(number: int) -> Victim:
        return Victim(
            server, protocol, f"{protocol}-{kills}-{number}", seed + 2 * number, folder / str(number), messages=messages
        )

    whole = victim(0)
    begun = time.monotonic()
    octets = whole.run()
    moments = Moments(rng, protocol, octets, time.monotonic() - begun)
    stops: list[Stop] = []
    accounts = 0
    while len(stops) < kills:
        accounts += 1
        current = victim(accounts)
        making = accounts % 3 == 0
        while len(stops) < kills:
            moment, pause = moments.choose(current.left / len(current.going))
            hit = killed(program, current, moment, pause, making=making)
            making = False
            stop = current.check()
            if not hit:
                break
            stops.append(stop)
        current.finish()
    took = time.monotonic() - begun
    print(f"{len(stops)} kills, {accounts} accounts, {took:.0f} s, {phases(stops)}")  # noqa: T201
    return stops


def phases(stops: list[Stop]) -> dict[str, int]:
    """Count how far the killed runs had come."""
    return {
        "before the catalogue": sum(not stop.catalogue for stop in stops),
        "nothing archived": sum(stop.catalogue and not stop.archived for stop in stops),
        "archived and not gone": sum(stop.waiting > 0 for stop in stops),
        "marked": sum(stop.marked > 0 for stop in stops),
        "some gone": sum(stop.gone > 0 for stop in stops),
    }


@PROTOCOLS
def test_f111_a_few_kills_lose_nothing(
    program: subprocess.Popen[str], server: Dovecot, memory: Path, seed: int, protocol: Protocol
) -> None:
    """As below."""
    stops = kill_many(program, server, protocol, memory, seed, kills=4, messages=60)
    assert any(stop.archived for stop in stops)


@pytest.mark.long
@pytest.mark.timeout(1800)
@PROTOCOLS
def test_f111_two_hundred_and_fifty_kills_lose_nothing(
    program: subprocess.Popen[str], server: Dovecot, memory: Path, seed: int, protocol: Protocol
) -> None:
    """At every moment archive and server together hold everything; at the end each message is where it belongs."""
    seen = phases(kill_many(program, server, protocol, memory, seed, kills=KILLS, messages=MESSAGES))
    assert seen["archived and not gone"] > 10
    assert seen["some gone"] > 10
