"""A POP3 maildrop: one mailbox, locked while we are in it, without dates and flags (RFC 1939).

The law of this room: DELE goes out only for an order and counts only with the answer to QUIT; when that is lost, the
next session's UIDL decides. Anything else that goes wrong drops the line without QUIT, which undoes every DELE. The
lock is held no longer than a chunk of messages takes.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

from mailarchive import headers
from mailarchive.errors import LaterError, MailarchiveError, MailboxError, ProtocolError, UnreachableError
from mailarchive.model import (
    INBOX,
    POP_GENERATION,
    UIDL,
    Capabilities,
    ItemState,
    Mailbox,
    MailboxStatus,
    NotFetched,
    RemoteMessage,
    Sighting,
    is_lasting,
)
from mailarchive.ports import ExpungeResult
from mailarchive.sources.pop_drop import Drop, OutOfStepError, Pace, PopBody
from mailarchive.sources.pop_lines import Declined

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from types import TracebackType

    from mailarchive.expunge import ExpungeOrder
    from mailarchive.messages import Messages
    from mailarchive.model import UID, Criteria
    from mailarchive.sources.wire import Wire

CHUNK: Final = 50
"""Messages that are archived and deleted in one session; servers delete only at QUIT and drop long sessions."""
ROUND: Final = 2000
"""Messages whose names are in memory as texts while they are fetched."""
GOODBYE: Final = 5.0
"""Seconds in which a server may answer QUIT when nothing hangs on it."""
MOST_EMPTY: Final = 10
"""Messages without text after which a server is not asked for more."""
PASSED = "it has no lasting name, and the session that listed it is over; the next run fetches it"
RENAMED = "it is not listed any more under its name (UIDL), and others are that were not; the next run looks again"
UNSEEN = "the session in which they were looked at is over"
UNCONFIRMED = "the server did not confirm the deletion, and the messages are still there"


class PopSource:
    """One signed-in POP3 account; see `ports.Source`. Use it as a context manager.

    Args:
        connect: Connects and signs in, each time that a session is needed.
        may_delete: Whether DELE may ever be sent.
        quiet_end: Whether a session that has fetched ends without QUIT, because the server would take that for more
            than a goodbye (Gmail marks the messages as popped).
    """

    def __init__(
        self,
        connect: Callable[[], tuple[Wire, frozenset[str]]],
        *,
        may_delete: bool = False,
        quiet_end: bool = False,
    ) -> None:
        self.capabilities = Capabilities(flags=False, internal_date=False, search=False, uidplus=True, chunk=CHUNK)
        self.may_delete = may_delete
        self._connect = connect
        self._quiet_end = quiet_end
        self._drop: Drop | None = None
        self._sessions = 0
        self._pace = Pace()
        self._empty = 0
        self._confirmed = False
        self._listed: AbstractSet[UIDL] | None = None
        self._renamed: bool | None = None
        self.drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(polite=error is None)

    @property
    def advice(self) -> list[str]:
        """What a person should know of this server."""
        if not self._quiet_end:
            return []
        return ["over POP3, Gmail gives a part of the mail at a time and no labels; its IMAP is better for this"]

    def close(self, *, polite: bool = True) -> None:
        """End the session: with QUIT where nothing hangs on it, else by closing the line."""
        drop, self._drop = self._drop, None
        if drop is None:
            return
        if polite and not drop.lines.waiting and not (self._quiet_end and drop.fetched):
            drop.lines.wire.end_within(GOODBYE)
            with suppress(MailarchiveError, Declined):
                drop.quit()
        drop.lines.wire.close()

    def abandon(self) -> None:
        """Drop the line without QUIT, which undoes every DELE."""
        self.close(polite=False)

    def renew(self) -> None:
        """Drop the line without QUIT and sign in on a new one."""
        self.abandon()
        self.drop()

    def distrust(self) -> None:
        """Drop the line after an answer without text, which may have had more behind what looked like its end.

        A server that does not double the dot of a first line (Dovecot) ends the answer there, and what the sender wrote
        behind it would be taken for the answers that follow.

        Raises:
            ProtocolError: It has happened too often.
        """
        peer = self.drop().lines.wire.peer
        self.abandon()
        self._empty += 1
        if self._empty > MOST_EMPTY:
            raise ProtocolError(f"{peer} lists messages and gives no text for more than {MOST_EMPTY} of them")

    def slow_down(self) -> None:
        """Drop the line after answers that were out of step; from now on each command waits for the last answer."""
        self._pace.alone = True
        self.abandon()

    def drop(self) -> Drop:
        """Give the session, connecting anew if there is none."""
        if self._drop is None:
            wire, offered = self._connect()
            try:
                self._sessions += 1
                self._confirmed = False
                self._renamed = None
                self._drop = Drop(wire, offered, self._sessions, self._pace)
            except Declined as declined:
                wire.close()
                otherwise = ProtocolError(f"{wire.peer} does not list its messages: {declined.said}")
                raise declined.error(wire.peer, "the server refuses") or otherwise from None
            except BaseException:
                wire.close()
                raise
        return self._drop

    @property
    def announced(self) -> frozenset[str]:
        """What the server says it can do, in its own words and upper case."""
        return self.drop().offered

    def mailboxes(self) -> tuple[list[Mailbox], list[str]]:
        """Give the one mailbox that there is."""
        return [Mailbox(INBOX, b"INBOX")], []

    @contextmanager
    def open(self, mailbox: Mailbox) -> Iterator[PopMailbox]:
        """Open the maildrop; the session goes on from where it is."""
        assert mailbox.name == INBOX
        yield PopMailbox(self, writable=False)

    @contextmanager
    def select(self, mailbox: Mailbox) -> Iterator[PopMailbox]:
        """Open the maildrop for deleting, in the session that has just fetched."""
        assert mailbox.name == INBOX
        yield PopMailbox(self, writable=self.may_delete)

    def expunge(self, order: ExpungeOrder) -> ExpungeResult:
        """Send DELE for what the order names and this session has looked at, and QUIT; the session is over then."""
        drop = self._drop
        uidls = [UIDL(str(item.uid)) for item in order.items]
        # A number, and on some servers a UIDL, is another message's in another session.
        there = [uidl for uidl in uidls if drop is not None and uidl in drop.probed]
        states: dict[UID | UIDL, ItemState] = {
            uidl: ItemState.GONE if uidl in there else ItemState.ROLLED_BACK for uidl in uidls
        }
        said = "" if len(there) == len(uidls) else UNSEEN
        if drop is None or not there:
            return ExpungeResult(states, said)
        try:
            drop.lines.quiet()
            with drop.lines.deleting():
                for uidl, reason in drop.asked(b"DELE", "", there):
                    if reason is not None:
                        states[uidl] = ItemState.REFUSED
                        said = reason
            drop.lines.quiet()
        except BaseException:
            # Without QUIT nothing has happened.
            self.abandon()
            raise
        self._drop = None
        try:
            drop.quit()
        except (Declined, UnreachableError, LaterError):
            return self._settled(states)
        self._confirmed = True
        return ExpungeResult(states, said)

    def present(self, uidls: Sequence[UIDL]) -> Collection[UIDL]:
        """Give what is there, and what may be; nothing is after a QUIT that was answered."""
        if self._drop is None and self._confirmed:
            return ()
        drop = self.drop()
        return [uidl for uidl in uidls if uidl in drop.numbers or not drop.certain]

    def listed(self, numbers: Mapping[UIDL, int]) -> None:
        """Take down what the listing of this run holds, which its later sessions are compared with.

        Names that last stay what they are in a session.
        """
        if self._listed is None:
            self._listed = numbers.keys()

    def missing(self, uidl: UIDL) -> NotFetched:
        """Say what it means that a message of the listing is not in this session."""
        if not is_lasting(uidl):
            return NotFetched(uidl, PASSED)
        drop = self.drop()
        if self._renamed is None:
            self._renamed = self._listed is not None and not drop.numbers.keys() <= self._listed
        if self._renamed:
            return NotFetched(uidl, RENAMED)
        return NotFetched(uidl, "gone by another hand", gone=True)

    def _settled(self, states: dict[UID | UIDL, ItemState]) -> ExpungeResult:
        """Look in a new session what became of a QUIT that was not confirmed."""
        numbers = self.drop().numbers
        for uid in states:
            uidl = UIDL(str(uid))
            if uidl in numbers or not is_lasting(uidl):
                states[uid] = ItemState.ROLLED_BACK
        left = ItemState.ROLLED_BACK in states.values() or ItemState.REFUSED in states.values()
        return ExpungeResult(states, UNCONFIRMED if left else "")


class PopMailbox:
    """The maildrop, open; see `ports.WritableMailbox`."""

    def __init__(self, source: PopSource, *, writable: bool) -> None:
        self._source = source
        self.doubts: Sequence[str] = ()
        self.status = MailboxStatus(
            exists=len(source.drop().numbers),
            uidvalidity=POP_GENERATION,
            writable=writable,
            obstacle="" if writable else "it is open for reading",
        )

    def listing(self, criteria: Criteria) -> Messages:  # noqa: ARG002 - POP3 cannot narrow
        """Give every message, the oldest first; dates and flags the protocol cannot say."""
        drop = self._source.drop()
        self._source.listed(drop.numbers)
        return drop.listing()

    def headers(self, messages: Sequence[RemoteMessage]) -> Iterator[tuple[UID | UIDL, bytes]]:
        """Give the header of each message by TOP; nothing where the server has no TOP."""
        yield from self._tops([UIDL(str(message.uid)) for message in messages])

    def _tops(self, uidls: Sequence[UIDL]) -> Iterator[tuple[UIDL, bytes]]:
        """Ask for headers, after an answer without one in a new session."""
        waiting = list(uidls)
        while waiting:
            drop = self._source.drop()
            there = [uidl for uidl in waiting if uidl in drop.numbers]
            waiting = []
            done = 0
            try:
                for uidl, head in drop.tops(there):
                    done = there.index(uidl, done) + 1
                    if not head and drop.size(uidl) != 0:
                        self._source.distrust()
                        waiting = there[done:]
                        break
                    yield uidl, head
            except OutOfStepError:
                self._source.slow_down()
                waiting = there[done:]

    def probe(self, uids: Sequence[UID | UIDL]) -> Iterator[Sighting]:
        """Look at messages afresh: size and header; a server without TOP must give them whole.

        What was looked at may be deleted in this session, so an answer without text, after which the session is not
        to be trusted, ends the look.
        """
        drop = self._source.drop()
        wanted = [UIDL(str(uid)) for uid in uids if uid in drop.numbers]
        heads = {uidl: drop.heads[uidl] for uidl in wanted if uidl in drop.heads}
        try:
            for uidl, head in drop.tops([uidl for uidl in wanted if uidl not in heads]):
                if not head and drop.size(uidl) != 0:
                    self._source.distrust()
                    return
                heads[uidl] = head
        except OutOfStepError:
            self._source.slow_down()
            return
        seen = []
        for uidl in wanted:
            found = heads[uidl] if uidl in heads else drop.retrieved(uidl)
            if found == b"" and uidl not in heads:
                self._source.distrust()
                return
            if found:
                seen.append(Sighting(RemoteMessage(uidl, drop.size(uidl), headers.arrival(found)), found))
        drop.probed.update(UIDL(str(each.message.uid)) for each in seen)
        yield from seen

    def present(self, uids: Sequence[UID | UIDL]) -> Collection[UID | UIDL]:
        """Give what is listed, and where the list is not sure of it what may be; nothing after a QUIT answered."""
        return self._source.present([UIDL(str(uid)) for uid in uids])

    def matching(self, uids: Sequence[UID | UIDL], imap_search: str) -> Collection[UID | UIDL]:
        """POP3 cannot search."""
        assert imap_search is not None
        return uids

    def marked(self) -> frozenset[UID | UIDL]:
        """Nothing: POP3 has no marks that another program could see."""
        return frozenset()

    def mark(self, uids: Sequence[UID | UIDL], *, deleted: bool) -> None:
        """POP3 has no marks; there is nothing to give back."""

    def in_trash(self, object_ids: Collection[str], trash: Mailbox) -> dict[str, UID]:
        """POP3 has no trash."""
        assert object_ids is not None
        assert trash is not None
        return {}

    def expunge(self, order: ExpungeOrder) -> ExpungeResult:
        """Carry an order out."""
        if order.uidvalidity != self.status.uidvalidity:
            raise AssertionError("an order for another generation")
        if not self._source.may_delete:
            raise AssertionError("this session may not delete")
        return self._source.expunge(order)

    def fetch(self, messages: Sequence[RemoteMessage]) -> Iterator[PopBody | NotFetched]:
        """Give the bodies, in the order asked for."""
        for first in range(0, len(messages), ROUND):
            waiting: Sequence[UIDL] = [UIDL(str(message.uid)) for message in messages[first : first + ROUND]]
            while waiting:
                drop = self._source.drop()
                there = []
                for uidl in waiting:
                    if uidl in drop.numbers:
                        there.append(uidl)
                    else:
                        yield self._source.missing(uidl)
                waiting = yield from self._retrieved(drop, there)

    def _retrieved(self, drop: Drop, there: Sequence[UIDL]) -> Generator[PopBody | NotFetched, None, Sequence[UIDL]]:
        """Give what this session gives; returns those that another one must be asked for."""
        done = 0
        try:
            for done, (uidl, reason) in enumerate(drop.asked(b"RETR", "", there), 1):
                if reason is not None:
                    yield NotFetched(uidl, f"the server does not give it: {reason}")
                    continue
                drop.fetched = True
                body = PopBody(drop, uidl, remember=self._source.may_delete)
                if body.empty:
                    yield NotFetched(uidl, "the server lists it and gives no text for it")
                    if drop.size(uidl) != 0:
                        self._source.distrust()
                        return there[done:]
                    continue
                yield body
                if body.doubted:
                    self._source.slow_down()
                    return there[done - 1 :]
                if not body.drained:
                    # The rest of it would be taken for an answer.
                    self._source.abandon()
                    raise MailboxError("a message was left in the middle")
        except OutOfStepError:
            self._source.slow_down()
            return there[done:]
        return ()
