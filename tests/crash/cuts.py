r"""Cuts the line of a deleting run after so many octets, on a real Dovecot; run as a program, many times at once.

Law of this room: a case begins with a mailbox, an archive and a user that nobody has seen before, and looks at files
only, Dovecot's and ours, once the server has ended every session. The first run is cut; the second and the third are
not. Fourteen messages are old and go, two are flagged, four are young, and one of these carries the mark of a
stranger. POP3 knows no flags: there the flagged ones go too, and Dovecot marks as seen what is fetched.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from unittest import mock

from mailarchive.archives import place
from tests import maildir
from tests.command import mailarchive
from tests.corpus import Sample
from tests.servers.dovecot import Dovecot
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.command import Result
    from tests.servers.dovecot import Account
    from tests.servers.proxy import Connection, Cut

    Protocol = Literal["imap", "pop"]
    Side = Literal["server", "client"]
    Mail = dict[bytes, frozenset[str]]
    """Octets of each message, and the letters of its flags and keywords."""

COUNT = 20
STRANGER = 12
YOUNG, FLAGGED = (3, 8, STRANGER, 17), (6, 15)
DELETE = ("--older-than", "1y", "--delete", "--yes")
ENDS = frozenset({0, 3, 15})
"""All done, in spite of the cut; something was left for the next run; the line is dead."""
_SETTLES = 10
_LOGGED_IN = re.compile(r"-login: .*Log(?:in|ged in): user=<([^>]+)>")
_LEFT = re.compile(r"(?:imap|pop3)\(([^)]+)\)[^ ]*: .*(?:Disconnected|Logged out|Connection closed)")
_NEVER_IN = re.compile(r"-login: .*(?:Disconnected|Aborted|Login aborted)")


class Case(NamedTuple):
    """Where and how a line is cut.

    Attributes:
        side: Whose octets are counted.
        octets: So many of them pass.
        cut: How the line ends.
        refuses: Whether the server takes no further connection of that run; else only the first is cut.
    """

    side: Side
    octets: int
    cut: Cut
    refuses: bool

    def proxy(self, port: int) -> Proxy:
        """Make the line to a server."""
        server, client = (self.octets if self.side == side else None for side in ("server", "client"))
        return Proxy(port, cut_server=server, cut_client=client, cut=self.cut, most=1 if self.refuses else None)


@dataclass
class Seen:
    """What the cuts did: exit codes of the first runs, how many found messages gone, marked, or archived but there."""

    cases: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    gone: int = 0
    marked: int = 0
    archived: int = 0


class _Sessions:
    """Reads the log of a Dovecot to know when nobody is served any more."""

    def __init__(self, log: Path) -> None:
        self._log = log.open(encoding="utf-8", errors="replace")
        self._inside: Counter[str] = Counter()
        self._outside = 0

    def close(self) -> None:
        self._log.close()

    def begin(self) -> None:
        """Forget what was."""
        self._read()
        self._inside.clear()
        self._outside = 0

    def wait(self, user: str, connections: int) -> None:
        """Wait until so many connections since `begin` have ended."""
        deadline = time.monotonic() + _SETTLES
        while not self._over(user, connections):
            assert time.monotonic() < deadline, (user, connections, self._inside, self._outside)
            time.sleep(0.001)

    def _over(self, user: str, connections: int) -> bool:
        self._read()
        logged_in, left = self._inside[f"+{user}"], self._inside[f"-{user}"]
        return logged_in == left and logged_in + self._outside >= connections

    def _read(self) -> None:
        while line := self._log.readline():
            if found := _LOGGED_IN.search(line):
                self._inside[f"+{found[1]}"] += 1
            elif found := _LEFT.search(line):
                self._inside[f"-{found[1]}"] += 1
            elif _NEVER_IN.search(line):
                self._outside += 1


class Post:
    """A Dovecot with a mailbox that each case gets a copy of."""

    def __init__(self, server: Dovecot, protocol: Protocol, folder: Path) -> None:
        self.server, self.protocol, self.folder = server, protocol, folder
        self.sessions = _Sessions(server.root / "dovecot.log")
        self._numbers = iter(range(1_000_000))
        now = datetime.now(UTC).replace(microsecond=0)
        samples = [self._sample(uid, now - timedelta(days=9 if uid in YOUNG else 700)) for uid in range(1, COUNT + 1)]
        account = server.add_user("template")
        account.append_many("INBOX", samples)
        with account.witness() as witness:
            witness.store("INBOX", [STRANGER], "+FLAGS (\\Deleted)")
        self.uids = {sample.raw: uid for uid, sample in enumerate(samples, 1)}
        self.start = self.look("template")
        assert self.start.keys() == self.uids.keys()
        stays = YOUNG + FLAGGED if protocol == "imap" else YOUNG
        self.going = {octets for octets, uid in self.uids.items() if uid not in stays}
        self.old = {octets for octets, uid in self.uids.items() if uid not in YOUNG}
        self.left = {octets: flags for octets, flags in self.start.items() if octets not in self.going}

    @staticmethod
    def _sample(uid: int, date: datetime) -> Sample:
        flags = {6: ("\\Flagged",), 7: ("\\Seen",), 8: ("\\Seen", "work"), 15: ("\\Seen", "\\Flagged", "$label1")}
        return Sample(
            b"Date: %b\r\nSubject: %d\r\n\r\nx%d\r\n" % (format_datetime(date).encode(), uid, uid),
            date,
            flags.get(uid, ()),
        )

    def fresh(self) -> Account:
        """Make a user with the mailbox as it was at the start."""
        account = self.server.add_user(f"case-{next(self._numbers)}")
        _copy(self.server.root / "mail" / "template", self.server.root / "mail" / account.user)
        return account

    def look(self, user: str) -> Mail:
        """Give what is in the INBOX of a user, whom nobody serves now."""
        found: Mail = {}
        for folder in ("cur", "new"):
            for path in (self.server.root / "mail" / user / "mail" / folder).iterdir():
                # Dovecot keeps lines without CR.
                octets = path.read_bytes().replace(b"\n", b"\r\n")
                assert octets not in found, path
                found[octets] = frozenset(path.name.partition(":2,")[2])
        return found

    def run(self, account: Account, archive: Path, case: Case | None = None) -> tuple[Result, list[Connection]]:
        """Archive and delete, and wait until the server is done with it."""
        port = account.imap_port if self.protocol == "imap" else account.pop3_port
        self.sessions.begin()
        with Proxy(port) if case is None else case.proxy(port) as proxy, _hasty():
            # An archive belongs to a user and a host, whatever the port.
            url = f"{self.protocol}+insecure://{account.user}@127.0.0.1:{proxy.port}"
            result = mailarchive("--json", "backup", url, "--to", archive, *DELETE)
            connections = proxy.connections
        self.sessions.wait(account.user, len(connections))
        assert "Traceback" not in result.err
        return result, connections

    def session(self) -> dict[Side, tuple[int, int]]:
        """Record a run without a cut; for each side, its octets, and those before the first change."""
        account, archive = self.fresh(), self.folder / "whole"
        result, connections = self.run(account, archive)
        assert (result.code, len(connections)) == (0, 1), result.out
        client, server = bytes(connections[0].client), bytes(connections[0].server)
        if self.protocol == "pop":
            before = client.index(b"DELE"), server.index(b"+OK Marked")
        else:
            change = re.search(rb"M(\d+) UID STORE", client)
            assert change is not None
            before = change.start(), server.index(b"\r\nM%d OK" % (int(change[1]) - 1))
        return {"client": (len(client), before[0]), "server": (len(server), before[1])}

    def try_out(self, case: Case, seen: Seen) -> None:
        """Cut a run, look, run again, look, and run a third time."""
        account = self.fresh()
        archive = self.folder / account.user
        result, _ = self.run(account, archive, case)
        there = self.look(account.user)
        held = self.held(archive)
        assert result.code in ENDS, (case, result)
        self.assert_nothing_is_lost(there, held, archive, case)
        if result.code == 0:
            self.assert_exact(account, archive, case)
        seen.cases += 1
        seen.codes[result.code] += 1
        seen.gone += len(there) < COUNT
        seen.marked += any("T" in there[octets] for octets in self.going & there.keys())
        seen.archived += bool(held & there.keys() & self.going)
        result, _ = self.run(account, archive)
        assert (result.code, result.err) == (0, ""), (case, result)
        self.assert_exact(account, archive, case)
        result, _ = self.run(account, archive)
        told = {event["event"] for event in result.events} & {"archived", "expunged", "settled", "warned"}
        assert (result.code, told) == (0, set()), (case, result)
        self.assert_exact(account, archive, case)
        shutil.rmtree(archive)
        shutil.rmtree(self.server.root / "mail" / account.user, ignore_errors=True)

    def held(self, archive: Path) -> set[bytes]:
        """Give what is in an archive, where nothing may be twice, and every file is what its name says."""
        if not archive.exists():
            return set()
        octets = [each.octets for each in maildir.files(archive)]
        assert len(octets) == len(set(octets)), archive
        return set(octets)

    def assert_nothing_is_lost(self, there: Mail, held: set[bytes], archive: Path, case: Case) -> None:
        """Each is on the server or whole in the archive; what was not chosen is as it was; what changed was intended.

        A mark of ours, too, is only on what is in the archive.
        """
        lines = b"".join(path.read_bytes() for path in archive.glob(".mailarchive/runs/*.jsonl")).splitlines()
        # The last line may be cut short.
        intended = {json.loads(line)["digest"] for line in lines if b'"type":"expunging"' in line and line[-1:] == b"}"}
        proved = {each for each in held & self.going if f"sha256:{sha256(each).hexdigest()}" in intended}
        assert held <= self.old, case
        assert there.keys() <= self.start.keys(), case
        for octets, flags in self.start.items():
            uid = self.uids[octets]
            if octets not in there:
                assert octets in proved, (case, uid, "is gone")
                continue
            changed = there[octets] ^ flags - self._ignored()
            assert changed <= {"T"} | self._ignored(), (case, uid, there[octets])
            assert "T" not in changed or octets in proved, (case, uid, "is marked")

    def assert_exact(self, account: Account, archive: Path, case: Case) -> None:
        """All that was to be archived is, once; all that was to go is gone; the rest is untouched."""
        there = self.look(account.user)
        assert there.keys() == self.left.keys(), (case, sorted(self.uids[each] for each in there))
        for octets, flags in self.left.items():
            assert there[octets] - self._ignored() == flags - self._ignored(), (case, self.uids[octets], there[octets])
        assert self.held(archive) == self.old, case
        assert maildir.left_overs(archive) == [], case

    def _ignored(self) -> frozenset[str]:
        return frozenset("S") if self.protocol == "pop" else frozenset()


@contextmanager
def _hasty() -> Iterator[None]:
    """Let whoever waits before trying again wait a moment only."""
    pause = time.sleep
    with mock.patch.object(time, "sleep", lambda seconds: pause(min(seconds, 0.001))):
        yield


def _copy(source: Path, target: Path) -> None:
    """Copy the mail of a user with its owner; Dovecot never writes to a message, so that a link will do."""
    target.mkdir()
    _own(source, target)
    for path in source.iterdir():
        if path.is_dir():
            _copy(path, target / path.name)
        elif source.name in {"cur", "new"}:
            (target / path.name).hardlink_to(path)
        else:
            shutil.copy2(path, target / path.name)
            _own(path, target / path.name)


def _own(source: Path, target: Path) -> None:
    if os.geteuid() == 0:
        status = source.stat()
        os.chown(target, status.st_uid, status.st_gid)


def cases(octets: dict[Side, tuple[int, int]], *, step: int, seed: int) -> list[Case]:
    """Choose the cuts: every n-th octet, and from the first change on the server on every one; each way in turn."""
    found = []
    for side, (total, before) in octets.items():
        coarse = range(1 + seed % step, before, step)
        found += [(side, number) for number in (*coarse, *range(before, total))]
    return [
        Case(side, number, "rst" if at % 2 else "fin", refuses=at // 2 % 2 == 1)
        for at, (side, number) in enumerate(found)
    ]


@contextmanager
def post(protocol: Protocol, folder: Path) -> Iterator[Post]:
    """Serve, with one file for each message; archives may lie in memory: what is cut is the line, not the power."""
    with mock.patch.object(place, "VOLATILE", frozenset()), Dovecot(storage="maildir") as server:
        found = Post(server, protocol, folder)
        try:
            yield found
        finally:
            found.sessions.close()


def main(protocol: str, folder: str, step: str, seed: str, share: str, shares: str) -> None:  # noqa: PLR0917 - words
    """Try out each n-th of all cases, and write what was seen."""
    seen = Seen()
    with post("imap" if protocol == "imap" else "pop", Path(folder)) as found:
        chosen = cases(found.session(), step=int(step), seed=int(seed))[int(share) :: int(shares)]
        random.Random(seed).shuffle(chosen)
        for case in chosen:
            found.try_out(case, seen)
    sys.stdout.write(json.dumps(vars(seen)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
