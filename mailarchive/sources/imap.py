"""An IMAP account: its mailboxes, their listings, the messages, the quota.

The law of this room: reads with EXAMINE and BODY.PEEK; changes something only in `select` and `append`, and only if the
session was opened for it; every answer is read by us, in pieces; the session is one connection, and after an error on
the line it is closed and never used again.
"""

from __future__ import annotations

import contextlib
import re
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from mailarchive import __version__
from mailarchive.errors import MailarchiveError, MailboxError, ProtocolError
from mailarchive.model import Capabilities, MailboxStatus, Quota
from mailarchive.sources import (
    imap_append,
    imap_compress,
    imap_fetch,
    imap_follow,
    imap_glance,
    imap_items,
    imap_list,
    imap_usual,
)
from mailarchive.sources.imap_commands import Commands, Refused, quoted
from mailarchive.sources.imap_expunge import Expunger, Marks, find_ids
from mailarchive.sources.imap_gate import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from types import TracebackType

    from mailarchive.expunge import ExpungeOrder
    from mailarchive.extras import Appending
    from mailarchive.messages import Messages, Remembered
    from mailarchive.model import UID, UIDL, Criteria, Mailbox, NotFetched, RemoteMessage, Sighting
    from mailarchive.ports import ExpungeResult, Incoming
    from mailarchive.sources.imap_lexer import Lexer
    from mailarchive.sources.imap_session import Session

_CODE = re.compile(rb"\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d{1,19})\]|\[(UIDNOTSTICKY)\]", re.IGNORECASE)
GOODBYE = 5.0
"""Seconds in which a server may answer LOGOUT."""
MOST_MESSAGES = 50_000_000
"""Messages in one mailbox; a server that says more says nonsense."""
_PERMANENT = re.compile(rb"\[PERMANENTFLAGS \(([^)\r\n]*)\)", re.IGNORECASE)
_EXISTS = re.compile(rb"\* (\d{1,10}) EXISTS\b", re.IGNORECASE)


class ImapSource:
    """One signed-in IMAP account; see `ports.Source`. Use it as a context manager: it logs out.

    Args:
        session: Signed in.
        most: The most that may be done in it.
        connect: Signs in anew; without it, a line that broke is the end.
    """

    def __init__(
        self, session: Session, most: Phase = Phase.READING, connect: Callable[[], Session] | None = None
    ) -> None:
        self._most = most
        self._connect = connect
        self._alerts: list[str] = []
        self._begin(session)

    def _begin(self, session: Session) -> None:
        self._session = session
        self._commands = Commands(session, self._most)
        capability = session.capability
        self.capabilities = Capabilities(
            uidplus=bool({"UIDPLUS", "IMAP4REV2"} & capability),
            move=bool({"MOVE", "IMAP4REV2"} & capability),
            quota="QUOTA" in capability,
            labels=imap_items.GMAIL in capability,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(polite=error is None)

    def close(self, *, polite: bool = True) -> None:
        """End the session: with LOGOUT where the line is in order, else by closing it."""
        if polite and not self._commands.busy:
            # A server that fails to say goodbye has lost us nothing.
            with contextlib.suppress(MailarchiveError, Refused):
                self._commands.send(b"LOGOUT")
                self._session.wire.end_within(GOODBYE)
                for _ in self._commands.answers(most=100):
                    self._commands.skip()
        self._session.wire.close()

    def renew(self) -> None:
        """Drop the line and sign in on a new one; mailboxes that are open are so no longer."""
        assert self._connect is not None
        self._alerts = self.alerts
        self.close(polite=False)
        self._begin(self._connect())
        self.introduce()
        # What comes next may open a mailbox at once.
        self._commands.heed()

    def introduce(self) -> None:
        """Tell a server that asks for it which program this is (RFC 2971), and nothing else.

        NetEase (163.com, 126.com) lets nobody open a mailbox who has not.
        """
        if "ID" in self.announced:
            self._commands.mention(b"ID", b'("name" "mailarchive" "version" "%s")' % __version__.encode("ascii"))

    @property
    def announced(self) -> frozenset[str]:
        """What the server says it can do, in its own words and upper case."""
        return self._session.capability

    @property
    def alerts(self) -> list[str]:
        """What the server wants a human to read (RFC 9051 section 7.1), foreign text."""
        return [*self._alerts, *self._commands.alerts]

    def mailboxes(self) -> tuple[list[Mailbox], list[str]]:
        """List the mailboxes, and a sentence for each line that could not be read."""
        return imap_list.mailboxes(self._commands)

    def glance(self, mailboxes: Sequence[Mailbox]) -> dict[str, MailboxStatus]:
        """Say how mailboxes stand without opening them."""
        return imap_glance.glance(self._commands, mailboxes)

    @contextmanager
    def open(self, mailbox: Mailbox) -> Iterator[ImapMailbox]:
        """Open a mailbox by EXAMINE."""
        if self._commands.busy:
            raise ProtocolError("the line was left in the middle of an answer")
        imap_compress.consider(self._commands)
        yield ImapMailbox(self._commands, mailbox, _examine(self._commands, mailbox))

    @contextmanager
    def select(self, mailbox: Mailbox) -> Iterator[WritableImapMailbox]:
        """Open a mailbox by SELECT, for deleting; it is left by opening another one or by LOGOUT, never by CLOSE."""
        if self._commands.busy:
            raise ProtocolError("the line was left in the middle of an answer")
        with self._commands.gate.enter(Phase.DELETING):
            status = _open(self._commands, mailbox, b"SELECT")
            yield WritableImapMailbox(self._commands, mailbox, _with_rights(self._commands, mailbox, status), self)

    def create(self, name: str) -> Mailbox:
        """Make a mailbox."""
        return imap_append.create(self._commands, name)

    def label(self, mailbox: Mailbox, uid: UID, labels: frozenset[str]) -> None:
        """Put labels on a message (X-GM-EXT-1)."""
        imap_append.label(self._commands, mailbox, uid, labels)

    def unmark(self, mailbox: Mailbox, uids: Sequence[UID | UIDL]) -> None:
        r"""Take `\Deleted` off messages that we marked once."""
        imap_append.unmark(self._commands, mailbox, sorted(int(uid) for uid in uids))

    def append(self, mailbox: Mailbox, message: Appending) -> UID | None:
        """Put a message into a mailbox; gives its UID where the server tells it."""
        return imap_append.append(self._commands, mailbox, message)

    @property
    def at_once(self) -> int:
        """Say how many messages one APPEND takes."""
        return imap_append.at_once(self._commands)

    def append_many(self, mailbox: Mailbox, messages: Sequence[Appending]) -> list[UID | None]:
        """Put messages into a mailbox, all or none; gives their UIDs where the server tells them."""
        return imap_append.append_many(self._commands, mailbox, messages)

    def quota(self) -> Quota | None:
        """Ask for the STORAGE quota of INBOX, the root that is fullest (RFC 9208); None without one."""
        if not self.capabilities.quota:
            return None
        found: list[Quota] = []

        def take(_: Lexer, line: bytes) -> None:
            if line[2:8].upper() != b"QUOTA ":
                self._commands.skip()
                return
            # A quota that cannot be read is one that is not known; it stops no backup.
            match self._commands.values(b"* QUOTA "):
                case [_, [*resources]]:
                    found.extend(_storage(resources))

        try:
            self._commands.run(b"GETQUOTAROOT", b"INBOX", take)
        except Refused:
            return None
        return max(found, key=lambda quota: quota.percent, default=None)


def _storage(resources: Sequence[object]) -> Iterator[Quota]:
    """Read triples of name, use and limit; STORAGE counts units of 1024 octets."""
    for name, used, limit in zip(resources[::3], resources[1::3], resources[2::3], strict=False):
        if isinstance(name, bytes) and isinstance(used, bytes) and isinstance(limit, bytes):
            digits = used.isdigit() and limit.isdigit() and len(used) < 20 and len(limit) < 20
            if name.upper() == b"STORAGE" and digits and int(limit):
                yield Quota(int(used) * 1024, int(limit) * 1024)


def _examine(commands: Commands, mailbox: Mailbox) -> MailboxStatus:
    """Open a mailbox by EXAMINE; where the server can say what has changed, it is asked to (RFC 7162 section 3.1.8)."""
    if imap_follow.is_able(commands):
        with contextlib.suppress(MailboxError):
            return _open(commands, mailbox, b"EXAMINE", b" (CONDSTORE)")
    return _open(commands, mailbox, b"EXAMINE")


def _open(commands: Commands, mailbox: Mailbox, command: bytes, parameters: bytes = b"") -> MailboxStatus:
    """Open a mailbox by EXAMINE or SELECT and read what the server says of it."""
    exists: int | None = None
    codes: dict[str, int] = {}
    permanent: bytes | None = None
    commands.expunged = 0
    commands.oddities.clear()
    commands.send(command, quoted(mailbox.wire) + parameters)
    try:
        for line in commands.answers():
            if found := _EXISTS.match(line):
                exists = int(found.group(1))
            for name, number, sticky in _CODE.findall(line):
                codes[(name or sticky).decode().upper()] = int(number or 1)
            if flags := _PERMANENT.search(line):
                permanent = flags.group(1)
            commands.skip()
    except Refused as refused:
        raise refused.error(commands.wire.peer, f"the server does not open {mailbox.name}") from None
    if exists is None or exists > MOST_MESSAGES:
        raise MailboxError(f"the server does not say how many messages are in {mailbox.name}")
    obstacle = ""
    if command == b"SELECT":
        obstacle = "the server opens it read-only" if b"[READ-ONLY]" in commands.completed.upper() else ""
        if permanent is not None and b"\\deleted" not in permanent.lower().split():
            obstacle = obstacle or "the server keeps no deleted marks in it"
    return MailboxStatus(
        exists=exists,
        writable=command == b"SELECT" and not obstacle,
        obstacle=obstacle,
        # 0 is no UIDVALIDITY (RFC 9051 section 9, nz-number), and what does not fit its 32 bits is none either.
        uidvalidity=_within(codes.get("UIDVALIDITY"), 2**32),
        uidnext=_within(codes.get("UIDNEXT"), 2**32),
        highestmodseq=_within(codes.get("HIGHESTMODSEQ"), 2**63),
        uids_stick="UIDNOTSTICKY" not in codes,
    )


def _with_rights(commands: Commands, mailbox: Mailbox, status: MailboxStatus) -> MailboxStatus:
    """Ask whether we may mark (`t`) and expunge (`e`) here, where the server has access lists (RFC 4314)."""
    if "ACL" not in commands.capability or not status.writable:
        return status
    rights: list[bytes] = []

    def take(lexer: Lexer, line: bytes) -> None:
        if not line[2:].upper().startswith(b"MYRIGHTS "):
            commands.skip()
            return
        lexer.at = len(b"* MYRIGHTS ")
        rights.extend(value for value in lexer.values()[1:2] if isinstance(value, bytes))

    try:
        commands.run(b"MYRIGHTS", quoted(mailbox.wire), take)
    except Refused:
        return status
    # A server of RFC 2086 says `d` for both; a newer one says `d` beside any of its parts (RFC 4314 section 2.1.1).
    given = {*rights[0]} if rights else {*b"te"}
    enough = {*b"te"} <= given or (b"d"[0] in given and not given & {*b"tex"})
    return status if enough else replace(status, writable=False, obstacle="we have no right to delete in it")


def _within(number: int | None, end: int) -> int | None:
    return number if number is not None and 0 < number < end else None


class ImapMailbox:
    """One mailbox, opened for reading; see `ports.OpenMailbox`."""

    def __init__(self, commands: Commands, mailbox: Mailbox, status: MailboxStatus) -> None:
        self.status = status
        self._commands = commands
        self._lister = imap_list.Lister(commands, status, mailbox.name)

    @property
    def doubts(self) -> list[str]:
        """Why what was read is not to be trusted for a deletion."""
        return [*self._lister.doubts, *self._commands.oddities]

    def listing(self, criteria: Criteria) -> Messages:
        """Give at least every message that fits, in ascending order of UID, each once."""
        return self._lister.listing(criteria)

    @property
    def steady(self) -> bool:
        """Whether it can be followed from here on."""
        return imap_follow.is_steady(self._commands, self.status)

    def follow(self, before: Remembered) -> Messages | None:
        """Give all messages by what has changed; None if all of them must be listed."""
        return imap_follow.follow(self._commands, self.status, self._lister, before)

    def headers(self, messages: Sequence[RemoteMessage]) -> Iterator[tuple[UID, bytes]]:
        """Give the header fields that a selection may need."""
        return imap_items.headers(self._commands, sorted(int(message.uid) for message in messages))

    def senders(self, messages: Sequence[RemoteMessage]) -> Iterator[tuple[UID, bytes]]:
        """Give the field From alone, which many servers have at hand."""
        return imap_items.headers(self._commands, sorted(int(message.uid) for message in messages), imap_items.SENDERS)

    def fetch(self, messages: Sequence[RemoteMessage]) -> Iterator[Incoming | NotFetched]:
        """Give the bodies; what does not come is told with the reason."""
        return imap_fetch.bodies(self._commands, messages)

    def probe(self, uids: Sequence[UID | UIDL]) -> Iterator[Sighting]:
        """Look at messages afresh."""
        with self._answered("the server does not say what it holds now"):
            usual = partial(imap_usual.sighting, self._commands)
            yield from imap_items.sightings(self._commands, sorted(int(uid) for uid in uids), usual)

    def marked(self) -> frozenset[UID | UIDL]:
        r"""Give every message that carries `\Deleted`."""
        with self._answered("the server does not say which messages are marked"):
            return frozenset(Marks(self._commands).all(self.status.exists + 1000))

    def present(self, uids: Sequence[UID | UIDL]) -> frozenset[UID | UIDL]:
        """Say which of these are there by UID SEARCH; a server that does not search says nothing against the look."""
        try:
            return frozenset(imap_list.found(self._commands, sorted(int(uid) for uid in uids), b""))
        except Refused:
            return frozenset()

    def matching(self, uids: Sequence[UID | UIDL], imap_search: str) -> frozenset[UID | UIDL]:
        """Say which of these the user's own SEARCH keys find now."""
        with self._answered("the server cannot search"):
            keys = b"(" + imap_search.encode("utf-8") + b")"
            return frozenset(imap_list.found(self._commands, sorted(int(uid) for uid in uids), keys))

    @contextmanager
    def _answered(self, otherwise: str) -> Iterator[None]:
        try:
            yield
        except Refused as refused:
            raise refused.error(self._commands.wire.peer, otherwise) from None


class WritableImapMailbox(ImapMailbox):
    """One mailbox, opened by SELECT; see `ports.WritableMailbox`."""

    def __init__(self, commands: Commands, mailbox: Mailbox, status: MailboxStatus, source: ImapSource) -> None:
        super().__init__(commands, mailbox, status)
        self._mailbox = mailbox
        self._source = source

    def mark(self, uids: Sequence[UID | UIDL], *, deleted: bool) -> None:
        r"""Put `\Deleted` on messages, or take it off."""
        with self._answered("the server does not change marks"):
            Marks(self._commands).put((int(uid) for uid in uids), deleted=deleted)

    def expunge(self, order: ExpungeOrder) -> ExpungeResult:
        """Carry an order out, in this mailbox and this generation of it only."""
        if (order.mailbox, order.uidvalidity) != (self._mailbox, self.status.uidvalidity):
            raise AssertionError("an order for another mailbox, or for another generation of it")
        can_move = self._source.capabilities.move
        return Expunger(self._commands, order, self.status.exists, can_move=can_move, reopen=self._reopen).carry_out()

    def in_trash(self, object_ids: Collection[str], trash: Mailbox) -> dict[str, UID]:
        """Find messages in the trash by the ids that they keep; this mailbox is open again afterwards."""
        try:
            self._reopen(trash)
            with self._answered("the server does not say what is in the trash"):
                found = find_ids(self._commands, object_ids, 1)
        except MailboxError:
            # Only here: after an error on the line nothing more is sent.
            self._reopen(self._mailbox)
            raise
        self._reopen(self._mailbox)
        return found

    def _reopen(self, mailbox: Mailbox) -> None:
        status = _open(self._commands, mailbox, b"SELECT")
        if mailbox == self._mailbox:
            self.status = _with_rights(self._commands, mailbox, status)
