"""Fetches bodies of messages as streams (RFC 9051 section 6.4.5).

The law of this room: a body goes through in pieces, never whole in memory; the next command is on its way before the
last one is drained; what was asked for and did not come is told, with the reason, and never guessed. Servers answer in
any order, and with things nobody asked for: those are read to their end, dropped, and noted as odd.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mailarchive.errors import AgainError, ProtocolError, SpoiltError
from mailarchive.model import UID, NotFetched, RemoteMessage
from mailarchive.sources import imap_compress, imap_usual, uid_set
from mailarchive.sources.imap_commands import LINE, Refused
from mailarchive.sources.imap_items import (
    FETCH,
    IMPOSSIBLE,
    IN_FLIGHT,
    Items,
    identity,
    read_all,
    read_items,
)
from mailarchive.sources.imap_lexer import Literal

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from mailarchive.sources.imap_commands import Commands
    from mailarchive.sources.imap_usual import Arrived

LITERAL_CAP = 1024**3
"""Octets of the largest message that is taken; a larger one stays on the server and is told."""
DRAIN_CAP = 4 * LITERAL_CAP
"""Octets of the largest literal that is read at all, to get at what stands behind it."""

WINDOW_OCTETS = 16 * 1024 * 1024
"""Octets, as they were announced, that one command asks for; a larger message is asked for alone."""
ROUND = 8000
"""Messages that are kept track of at a time."""

EMPTY = "the server sent an empty text for it"
TWICE = "the server sent a message twice"
UNASKED = "the server sent a message that was not asked for"


class Body:
    """One message that is arriving; see `ports.Incoming`."""

    __slots__ = ("_arrived", "_commands", "_expected", "_items", "_literal", "_rest", "_wire", "drained")

    def __init__(self, commands: Commands, items: Items, literal: Literal, rest: Iterator[Literal]) -> None:
        self._commands = commands
        self._wire = commands.wire
        self._items = items
        self._literal = literal
        self._rest = rest
        self._expected: dict[int, RemoteMessage] = {}
        self._arrived: set[int] = set()
        self.drained = False

    def expect(self, wanted: dict[int, RemoteMessage], arrived: set[int]) -> None:
        """Say what the listing knew, for what the answer leaves out, and which messages have come before."""
        self._expected = wanted
        self._arrived = arrived

    def chunks(self) -> Iterator[memoryview]:
        """Give the octets, and read the answer to its end behind them.

        Raises:
            AgainError: Only there the answer says that it is none that was wanted.
        """
        yield from self._octets()
        if self.doubt:
            raise AgainError(self.doubt)

    def drop(self) -> None:
        """Read it to its end without keeping it."""
        for _ in self._octets():
            pass

    def _octets(self) -> Iterator[memoryview]:
        """Read it to its end; what is none that was wanted is noted as odd, and counts like any other waste."""
        before = self._commands.bodies
        if not (self.doubt and self.is_named):
            self._commands.bodies += self._literal.size
        yield from self._wire.pieces(self._literal.size)
        self.finish()
        if self.doubt:
            self._commands.bodies = before
            self._commands.odd(self.doubt)

    def finish(self) -> None:
        """Read what stands behind the octets; called once they are drained."""
        if not self.drained:
            self.drained = True
            with _about(self._items):
                for _ in self._rest:
                    raise ProtocolError(f"{self._wire.peer} sent two bodies in one answer")

    @property
    def size(self) -> int:
        """Its octets, as the literal announces them."""
        return self._literal.size

    @property
    def too_large(self) -> bool:
        """Whether it is over the cap."""
        return self._literal.size > LITERAL_CAP

    @property
    def uid(self) -> UID | None:
        """The UID, as soon as the answer has given it."""
        return self._items.uid

    @property
    def is_named(self) -> bool:
        """Whether the answer has named a message already."""
        return self._items.uid is not None or self._items.impossible

    @property
    def doubt(self) -> str:
        """Why it is none that is wanted, as far as the answer has been read; empty if it is one."""
        uid = self._items.uid
        if self._items.impossible:
            return IMPOSSIBLE
        if uid is None or uid not in self._expected:
            return UNASKED
        return TWICE if uid in self._arrived else ""

    @property
    def message(self) -> RemoteMessage:
        """The facts of the answer, completed from the listing. Complete only after the chunks."""
        if self.doubt or self._items.uid is None:
            raise AgainError(self.doubt)
        listed = self._expected[self._items.uid]
        fresh = self._items.message()
        return RemoteMessage(
            listed.uid,
            listed.size,
            listed.internal_date if fresh.internal_date is None else fresh.internal_date,
            listed.flags if fresh.flags is None else fresh.flags,
            fresh.object_id or listed.object_id,
            listed.labels if fresh.labels is None else fresh.labels,
        )


def bodies(commands: Commands, messages: Sequence[RemoteMessage]) -> Iterator[Body | Arrived | NotFetched]:
    """Ask for the bodies of messages, in ascending order of UID, and give them as they come.

    Each message comes once, as a Body or as NotFetched; a command that fails is asked again in halves until the
    message that the server cannot give stands alone.

    Raises:
        SpoiltError: The answer for a message cannot be read, or announces more than `DRAIN_CAP`.
        LaterError: The server asks for patience.
    """
    for first in range(0, len(messages), ROUND):
        yield from _some(commands, messages[first : first + ROUND])


def _some(commands: Commands, messages: Sequence[RemoteMessage]) -> Iterator[Body | Arrived | NotFetched]:
    """Give the bodies of as many messages as can be kept track of."""
    fetching = _Fetching(commands, {int(message.uid): message for message in messages})
    parts = list(fetching.windows())
    lost: list[tuple[list[int], str]] = []
    sent = 0
    for done, part in enumerate(parts):
        imap_compress.consider(commands)
        while sent < len(parts) and sent - done < (1 if imap_compress.is_open(commands) else IN_FLIGHT):
            fetching.ask(parts[sent])
            sent += 1
        reason = yield from fetching.answer()
        if missing := fetching.missing(part):
            lost.append((missing, reason))
    for missing, reason in lost:
        # Some may have come late, in the answer to another command.
        if left := fetching.missing(missing):
            yield from fetching.again(left, reason)


class _Fetching:
    """What was asked for and what has arrived."""

    def __init__(self, commands: Commands, wanted: dict[int, RemoteMessage]) -> None:
        self.wanted = wanted
        self.arrived: set[int] = set()
        self.empty: set[int] = set()
        self.items = b"(UID FLAGS INTERNALDATE" + identity(commands) + b" BODY.PEEK[])"
        self._commands = commands

    def windows(self) -> Iterator[Sequence[int]]:
        """Cut what is wanted into the UIDs of single commands: short lines, and answers of bounded size."""
        uids = sorted(self.wanted)
        first, octets = 0, 0
        for index, uid in enumerate(uids):
            size = self.wanted[uid].size or 0
            if index > first and octets + size > WINDOW_OCTETS:
                yield from self._lines(uids[first:index])
                first, octets = index, 0
            octets += size
        yield from self._lines(uids[first:])

    def _lines(self, uids: Sequence[int]) -> Iterator[Sequence[int]]:
        for _, part in uid_set.commands(uids, octets=LINE - len(self.items) - 32):
            yield part

    def ask(self, uids: Sequence[int]) -> None:
        """Send the command for UIDs that fit on one line."""
        (one,) = uid_set.commands(uids, octets=LINE)
        self._commands.send(b"UID FETCH", one[0] + b" " + self.items)

    def missing(self, uids: Sequence[int]) -> list[int]:
        """Give those that have not come."""
        return [uid for uid in uids if uid not in self.arrived]

    def answer(self) -> Generator[Body | Arrived | NotFetched, None, str]:
        """Give what the answer to one command brings; returns the server's reason if it refused."""
        try:
            yield from self._arriving()
        except Refused as refused:
            if refused.patience:
                raise refused.error(self._commands.wire.peer, "the server refuses") from None
            return refused.said
        return ""

    def again(self, uids: list[int], reason: str, *, alone: bool = False) -> Iterator[Body | Arrived | NotFetched]:
        """Ask again for what did not come: after a refusal in halves; after an OK find out what is gone.

        `alone` says that only this one was asked for, and is refused: that is the end.
        """
        if not reason:
            yield from self._explained(uids)
            return
        if alone:
            self.arrived.update(uids)
            yield from (NotFetched(UID(uid), f"the server does not give it: {reason}") for uid in uids)
            return
        middle = len(uids) // 2
        for half in (uids[:middle], uids[middle:]):
            if not (left := self.missing(half)):
                continue
            self.ask(left)
            said = yield from self.answer()
            if lacking := self.missing(left):
                yield from self.again(lacking, said, alone=len(left) == 1)

    def _explained(self, uids: list[int]) -> Iterator[NotFetched]:
        """Say which of the missing messages another hand has removed, and which the server holds back."""
        still: set[int] = set()
        why = "the server lists it and gives no text for it"
        for part, _ in uid_set.commands(uids, octets=LINE - 32):
            self._commands.send(b"UID FETCH", part + b" (UID)")
            try:
                for line in self._commands.answers():
                    items = read_all(self._commands, line)
                    if items is not None and items.uid is not None:
                        still.add(items.uid)
                    elif items is not None and items.impossible:
                        # It may be any of them.
                        still.update(uids)
            except Refused as refused:
                if refused.patience:
                    raise refused.error(self._commands.wire.peer, "the server refuses") from None
                still.update(uids)
                why = f"the server gives no text for it, and does not say whether it is there: {refused.said}"
        self.arrived.update(uids)
        for uid in uids:
            if uid in still:
                yield NotFetched(UID(uid), EMPTY if uid in self.empty else why)
            else:
                yield NotFetched(UID(uid), "gone by another hand", gone=True)

    def _arriving(self) -> Iterator[Body | Arrived | NotFetched]:
        """Give the bodies in the answer to one command."""
        commands = self._commands
        lines = commands.answers()
        while True:
            while usual := imap_usual.body(commands, self.wanted, self.arrived, largest=LITERAL_CAP):
                yield usual
                if not usual.drained:
                    raise AssertionError("a body was not read to its end")
                self.arrived.add(int(usual.uid))
            line = next(lines, None)
            if line is None:
                return
            found = _careful(commands, line)
            if isinstance(found, Body):
                found = yield from self._body(found)
            if found is None or found.uid not in self.wanted or found.uid in self.arrived:
                continue
            if found.reason == EMPTY:
                # Dovecot says so of a message that another hand removes in this moment, so it is looked for again.
                self.empty.add(int(found.uid))
                continue
            self.arrived.add(int(found.uid))
            yield found

    def _body(self, body: Body) -> Generator[Body, None, NotFetched | None]:
        """Give a body if it is wanted; else read it to its end and return what is to be told of it."""
        body.expect(self.wanted, self.arrived)
        if not body.too_large and not (body.doubt and body.is_named):
            yield body
            if not body.drained:
                raise AssertionError("a body was not read to its end")
            if not body.doubt:
                self.arrived.add(int(body.message.uid))
            return None
        body.drop()
        if body.doubt or body.uid is None:
            return None
        return NotFetched(body.uid, "it is larger than 1 GiB")


def _careful(commands: Commands, line: bytes) -> Body | NotFetched | None:
    """Read an answer of any shape up to its body; None if it holds none."""
    if not FETCH.match(line):
        commands.skip()
        return None
    items = Items()
    rest = read_items(commands.lexer, items)
    with _about(items):
        literal = next(rest, None)
        if literal is not None and literal.size > DRAIN_CAP:
            raise ProtocolError(f"{commands.wire.peer} announced a message of {literal.size} octets")
        if literal is not None and literal.size:
            return Body(commands, items, literal, rest)
        for _ in rest:
            raise ProtocolError(f"{commands.wire.peer} sent two bodies in one answer")
    if items.impossible:
        commands.odd(IMPOSSIBLE)
    if not items.has_body or items.uid is None:
        return None
    if isinstance(items.body, bytes) and items.body:
        # RFC 9051 lets a server send a short body as a quoted string.
        return _Short(commands, items, items.body)
    return NotFetched(items.uid, EMPTY)


@contextmanager
def _about(items: Items) -> Iterator[None]:
    """Say of an answer that makes no sense which message it was for."""
    try:
        yield
    except ProtocolError as error:
        raise SpoiltError(error.message, items.uid) from None


class _Short(Body):
    """A body that came as a quoted string and is in memory already."""

    __slots__ = ("_text",)

    def __init__(self, commands: Commands, items: Items, octets: bytes) -> None:
        super().__init__(commands, items, Literal(len(octets)), iter(()))
        self._text = octets

    def _octets(self) -> Iterator[memoryview]:
        yield memoryview(self._text)
        self.finish()
        if self.doubt:
            self._commands.odd(self.doubt)
