"""What the tests of sources share: letters with a known date, scripts of a POP3 server, and runs of the command.

Law of this room: a script answers what a plain server would; what is strange in it stands in the test that asks for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from mailarchive import headers
from mailarchive.address import Security, ServerAddress
from mailarchive.expunge import Evidence, Guards, approve
from mailarchive.model import Location, Placement
from mailarchive.policy import Policy
from mailarchive.sources import Purpose, connect
from mailarchive.sources.patience import Patience
from mailarchive.sources.retry import PatientSource
from mailarchive.sources.tls import Trust
from tests import maildir
from tests.command import mailarchive
from tests.contract.catalogues import DIGEST
from tests.servers.scripted_pop import QUIT, multiline
from tests.servers.witness import Witness, date_header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mailarchive.address import Protocol
    from mailarchive.demo.server import DemoServer
    from mailarchive.expunge import ExpungeOrder
    from mailarchive.model import UID, UIDL, Mailbox
    from mailarchive.ports import WritableMailbox
    from mailarchive.sources.imap import ImapSource
    from mailarchive.sources.pop import PopSource
    from tests.command import Result
    from tests.servers.dovecot import Account
    from tests.servers.scripted_pop import Script, ScriptedPop

NOW = datetime.now(UTC).replace(microsecond=0)
OLD = ("--older-than", "1y")
DELETE = (*OLD, "--delete", "--yes")
SIGNING_IN = re.compile(r"CAPA|USER .*|PASS .*|AUTH .*|[A-Za-z0-9+/=]{12,}")
CAPA = (r"^CAPA$", b"+OK\r\nTOP\r\nUIDL\r\nUSER\r\nRESP-CODES\r\nPIPELINING\r\n.\r\n")
NO_TOP = (r"^CAPA$", b"+OK\r\nUIDL\r\nUSER\r\nRESP-CODES\r\n.\r\n")
SIGN_IN = ((r"^USER .", b"+OK\r\n"), (r"^PASS .", b"+OK\r\n"))


def stamp(date: datetime) -> str:
    """Write a date as a header field has it."""
    return f"{date:%a, %d %b %Y %H:%M:%S %z}"


def letter(number: int, *, days: int | None = 800, size: int = 60) -> bytes:
    """Make a message that came so many days ago, or that bears no date at all."""
    lines = [f"Message-ID: <{number}@example.org>", "From: a@example.org", f"Subject: number {number}"]
    if days is not None:
        when = stamp(NOW - timedelta(days=days, minutes=number))
        lines = [f"Received: from a by b; {when}", f"Date: {when}", *lines]
    body = f"{number:06d}." * (size // 7 + 1)
    return ("\r\n".join([*lines, "", body]) + "\r\n").encode()


def letters(*numbers: int, days: int = 800) -> dict[str, bytes]:
    """Make messages by the UIDL of each."""
    return {f"u{number}": letter(number, days=days) for number in numbers}


def lines(*rows: str | bytes) -> bytes:
    """Give the answer that has these lines."""
    return b"+OK\r\n" + b"".join((row if isinstance(row, bytes) else row.encode()) + b"\r\n" for row in rows) + b".\r\n"


def session(mail: Mapping[str, bytes], *first: tuple[str, bytes], quits: bool = True) -> Script:
    """Give the script of a session over this maildrop; `first` is asked before the rest."""
    numbered = list(enumerate(mail.items(), 1))
    listed = (r"^LIST$", lines(*(f"{number} {len(octets)}" for number, (_, octets) in numbered)))
    named = (r"^UIDL$", lines(*(f"{number} {uidl}" for number, (uidl, _) in numbered)))
    script = [*first, CAPA, CAPA, *SIGN_IN, listed, named]
    for number, (_, octets) in numbered:
        head = octets.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        script += [(rf"^TOP {number} 0$", multiline(head))] * 4
        script += [(rf"^RETR {number}$", multiline(octets))] * 2
        script += [(rf"^DELE {number}$", b"+OK marked\r\n")]
    return [*script, QUIT] if quits else script


def pop_url(port: int, user: str = "me") -> str:
    """Make the URL of a POP3 server on this computer without TLS."""
    return f"pop+insecure://{user.replace('@', '%40')}@127.0.0.1:{port}"


def backup(server: ScriptedPop, archive: Path, *words: str, password: str = "secret") -> Result:
    """Run a backup from the scripted server, with --json."""
    return mailarchive("--json", "backup", pop_url(server.port), "--to", archive, *words, password=password)


def said(commands: Sequence[str]) -> list[str]:
    """Give what was said after the sign-in."""
    return [command for command in commands if not SIGNING_IN.fullmatch(command)]


def sessions(server: ScriptedPop) -> list[list[str]]:
    """Give what was said after the sign-in, session by session."""
    return [said(commands) for commands in server.commands]


def verbs(commands: Sequence[str], *wanted: str) -> list[str]:
    """Give the commands that begin with one of these words."""
    return [command for command in commands if command.split(" ")[0] in wanted]


def held(archive: Path) -> list[bytes]:
    """Give the octets of every file of an archive."""
    return sorted(each.octets for each in maildir.files(archive))


def total(result: Result) -> dict[str, int]:
    """Give the numbers at the end of a run."""
    numbers: dict[str, int] = result.end["total"]
    return numbers


def deleted(result: Result) -> list[str]:
    """Name the messages that a run says are gone."""
    return [event["uid"] for event in result.events if event["event"] == "expunged"]


def warned(result: Result) -> str:
    """Give all warnings of a run."""
    return "\n".join(event["message"] for event in result.events if event["event"] == "warned")


@dataclass(frozen=True)
class Rig:
    """A server with one account, and the protocol by which a source is to reach it.

    Attributes:
        protocol: `imap` or `pop`.
        port: Of that protocol, without TLS.
        witness: Signs in over IMAP, with a client that is not ours.
        fill: Puts messages into INBOX, each with the date of its Received field.
        patient: Whether the source tries again after a line that broke.
    """

    protocol: Protocol
    port: int
    user: str
    password: str
    witness: Callable[[], Witness]
    fill: Callable[[Sequence[bytes]], None]
    patient: bool = False

    def connect(self, purpose: Purpose = Purpose.READ) -> ImapSource | PopSource | PatientSource:
        """Sign in."""
        address = ServerAddress(self.protocol, Security.NONE, "127.0.0.1", self.port, self.user)
        if not self.patient:
            return connect(address, self.password, Trust(), purpose=purpose)
        patience = Patience(60.0, stop=lambda: None, tell=lambda *_: None)
        return PatientSource(lambda: connect(address, self.password, Trust(), purpose=purpose), patience)

    def left(self) -> list[bytes]:
        """Give the octets of all messages in INBOX, in order."""
        with self.witness() as witness:
            return list(witness.raw_messages("INBOX").values())

    def remove(self, *numbers: int) -> None:
        """Take messages away behind the back of the source; numbers begin with 0."""
        with self.witness() as witness:
            uids = list(witness.raw_messages("INBOX"))
            witness.expunge("INBOX", [uids[number] for number in numbers])


class Filled(NamedTuple):
    """A message as `append_many` takes it."""

    raw: bytes
    internal_date: datetime
    flags: tuple[str, ...] = ("\\Seen",)


def dated(octets: bytes) -> Filled:
    """Give a message the date at which it was received."""
    date = date_header(octets)
    assert date is not None
    return Filled(octets, date)


def on_dovecot(protocol: Protocol, account: Account) -> Rig:
    """Reach an account of Dovecot."""

    def fill(mail: Sequence[bytes]) -> None:
        account.append_many("INBOX", [dated(octets) for octets in mail])

    port = account.imap_port if protocol == "imap" else account.pop3_port
    return Rig(protocol, port, account.user, account.password, account.witness, fill)


def on_demo(protocol: Protocol, server: DemoServer, user: str) -> Rig:
    """Reach a new account of the demo server."""
    box = server.store.add_account(user, "secret").mailbox("INBOX")

    def fill(mail: Sequence[bytes]) -> None:
        for octets in mail:
            box.append(octets, dated(octets).internal_date, frozenset({"\\Seen"}))

    port = server.imap_port if protocol == "imap" else server.pop_port
    return Rig(protocol, port, user, "secret", lambda: Witness(server.imap_port, user, "secret"), fill)


def order_of(box: WritableMailbox, mailbox: Mailbox, uids: Sequence[UID | UIDL], *, flagless: bool) -> ExpungeOrder:
    """Order messages to be deleted, as every order is made: from a look at them, and a row that agrees."""
    evidence = []
    for sighting in box.probe(uids):
        seen = sighting.message
        row = Placement(
            mailbox=mailbox.name,
            uidvalidity=box.status.uidvalidity,
            uid=seen.uid,
            digest=DIGEST,
            size=seen.size or 0,
            location=Location("x"),
            internal_date=seen.internal_date,
            flags=seen.flags,
            size_announced=seen.size,
            ident=headers.ident(sighting.head),
            archived_at=NOW,
            object_id=seen.object_id,
        )
        evidence.append(Evidence(seen.uid, row, DIGEST, seen, headers.envelope(sighting.head)))
    policy = Policy(before=NOW - timedelta(days=365), flagless=flagless)
    order, refused = approve(mailbox, box.status, evidence, policy, Guards())
    assert refused == ()
    assert order is not None
    return order
