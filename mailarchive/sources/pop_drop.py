"""The maildrop of one POP3 session: what it holds, and its messages as they arrive (RFC 1939).

The law of this room: a message number means something in one session only, so every message is named by its UIDL, or,
where a server has none that lasts, by its content within the session that fetched it.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from typing import TYPE_CHECKING, Final

from mailarchive import headers
from mailarchive.model import UIDL, RemoteMessage, is_lasting, transient
from mailarchive.sources.pop_lines import Declined, Lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.sources.wire import Wire

IN_FLIGHT: Final = 8
"""Commands on their way at a time, where the server takes more than one (RFC 2449 section 6.6)."""
SLACK: Final = 64 * 1024 * 1024
"""Octets that a message may have beyond four times what LIST says; a server that sends more sends without end."""
HEADS: Final = 8 * 1024 * 1024
"""Octets of headers that a session keeps; what is over is asked for again."""

_UIDL = re.compile(rb"(\d{1,10}) +([\x21-\x7e]{1,70})")
_UNUSABLE = re.compile(rb"(\d{1,10})(?:\s.*)?", re.DOTALL)
_SIZE = re.compile(rb"(\d{1,10})(?: +(\d{1,18}))?(?:\s.*)?", re.DOTALL)


class Drop:
    """The maildrop as one session sees it.

    Args:
        wire: Signed in.
        offered: What the server says it can do; nothing if it does not say.
        session: A number that no other session of the source has.

    Attributes:
        numbers: The message number of each message by its UIDL, or by a name for this session only.
        sizes: As LIST announces them, in octets; None where it says no number.
        heads: The first octets of what was retrieved in this session.
        probed: Messages whose header came in this session, which alone may be deleted in it.
        offered: What the server says it can do.
        certain: Whether LIST and UIDL agree and name everything for good, so that what is not there is gone.
        fetched: Whether anything was retrieved.
    """

    def __init__(self, wire: Wire, offered: frozenset[str], session: int) -> None:
        self.lines = Lines(wire)
        self.offered = offered
        self.ahead = IN_FLIGHT if "PIPELINING" in offered else 1
        self.has_top: bool | None = "TOP" in offered if offered else None
        self.numbers: dict[UIDL, int] = {}
        self.sizes: dict[UIDL, int | None] = {}
        self.heads: dict[UIDL, bytes] = {}
        self.probed: set[UIDL] = set()
        self.certain = True
        self.fetched = False
        self._kept = 0
        self._read(session)

    def _read(self, session: int) -> None:
        """Ask for sizes and names; a message without a size waits for the next session, one without a name has none."""
        sizes: dict[int, int | None] = {}
        self.lines.ask(b"LIST")
        for line in self.lines.listing():
            if found := _SIZE.fullmatch(line.strip()):
                sizes[int(found.group(1))] = int(found.group(2)) if found.group(2) else None
        # A server that names nothing at all has no names, whatever it calls that.
        names = self._named() or dict.fromkeys(sizes)
        counts: dict[UIDL, int] = {}
        for name in names.values():
            if name is not None:
                counts[name] = counts.get(name, 0) + 1
        for number in sorted(sizes):
            name = names.get(number)
            # In the next session the number may be another message's, so its name must not be found there.
            uidl = name if name is not None and counts[name] == 1 else transient(f"{session}.{number}")
            self.numbers[uidl] = number
            self.sizes[uidl] = sizes[number]
        self.certain = names.keys() == sizes.keys() and all(map(is_lasting, self.numbers))

    def body(self, uidl: UIDL) -> Iterator[bytes]:
        """Give the octets of the answer that is arriving for a message, up to what can be one."""
        announced = self.sizes[uidl]
        return self.lines.body(None if announced is None else 4 * announced + SLACK)

    def _named(self) -> dict[int, UIDL | None]:
        """Ask for the names; one that RFC 1939 does not allow is none, and so is one of two of the same message."""
        names: dict[int, UIDL | None] = {}
        try:
            self.lines.ask(b"UIDL")
        except Declined as declined:
            if refusal := declined.error(self.lines.wire.peer, "the server refuses"):
                raise refusal from None
            return names
        for line in self.lines.listing():
            if found := _UIDL.fullmatch(line):
                number, name = int(found.group(1)), UIDL(found.group(2).decode("ascii"))
                names[number] = name if names.get(number, name) == name else None
            elif found := _UNUSABLE.fullmatch(line):
                names[int(found.group(1))] = None
        return names

    def asked(self, command: bytes, arguments: str, uidls: Sequence[UIDL]) -> Iterator[tuple[UIDL, str | None]]:
        """Send a command for each message, some ahead, and give each with why it was declined; None if it was not.

        The caller reads what stands behind the status line before it asks for the next one.
        """
        sent = 0
        for done, uidl in enumerate(uidls):
            while sent < len(uidls) and sent - done < self.ahead:
                number = self.numbers[uidls[sent]]
                self.lines.send(command, f"{number}{arguments}".encode("ascii"))
                sent += 1
            try:
                self.lines.status()
            except Declined as declined:
                if refusal := declined.error(self.lines.wire.peer, "the server refuses"):
                    raise refusal from None
                yield uidl, declined.said
            else:
                yield uidl, None

    def tops(self, uidls: Sequence[UIDL]) -> Iterator[tuple[UIDL, bytes]]:
        """Give the header of each message, at most 64 KiB of it; nothing from a server that knows no TOP."""
        # The first one goes out alone: its answer tells whether the server knows the command at all.
        for some in (uidls[:1], uidls[1:]):
            if self.has_top is False:
                return
            for uidl, reason in self.asked(b"TOP", " 0", some):
                self.has_top = self.has_top or reason is None
                if reason is None:
                    yield uidl, self._head(uidl)

    def retrieved(self, uidl: UIDL) -> bytes | None:
        """Retrieve a message for its head alone; None if the server declines."""
        for _, reason in self.asked(b"RETR", "", [uidl]):
            if reason is not None:
                return None
            self.fetched = True
            self.remember(uidl, self._head(uidl))
        return self.heads[uidl]

    def remember(self, uidl: UIDL, head: bytes) -> None:
        """Keep the header of a message that was retrieved, so that the probe of this session need not ask for it."""
        self._kept -= len(self.heads.pop(uidl, b""))
        self.heads[uidl] = head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head else b""
        self._kept += len(self.heads[uidl])
        while self._kept > HEADS:
            self._kept -= len(self.heads.pop(next(iter(self.heads))))

    def _head(self, uidl: UIDL) -> bytes:
        head = b""
        for piece in self.body(uidl):
            if len(head) < headers.HEAD:
                head += piece[: headers.HEAD - len(head)]
        return head

    def quit(self) -> None:
        """Say QUIT, upon which the server does what DELE has asked for. Raises Declined, UnreachableError."""
        try:
            self.lines.ask(b"QUIT")
        finally:
            self.lines.wire.close()


class PopBody:
    """One message that is arriving; see `ports.Incoming`."""

    __slots__ = ("_digest", "_drop", "_first", "_head", "_known", "_remember", "_rest", "_uidl", "drained")

    def __init__(self, drop: Drop, uidl: UIDL, *, remember: bool) -> None:
        self._drop = drop
        self._uidl = uidl
        self._remember = remember
        self._head = b""
        self._digest = hashlib.sha256()
        self._rest = drop.body(uidl)
        self._first = next(self._rest, b"")
        self._known: RemoteMessage | None = None
        self.drained = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it; its end has then been read."""
        return not self._first

    def chunks(self) -> Iterator[bytes]:
        """Give the octets."""
        for piece in itertools.chain([self._first], self._rest):
            if len(self._head) < headers.HEAD:
                self._head += piece[: headers.HEAD - len(self._head)]
            self._digest.update(piece)
            yield piece
        self.drained = True
        self._name()
        self._known = self.message

    def _name(self) -> None:
        """Name a message without a lasting UIDL by its content, so that the rest of the session finds it again."""
        drop = self._drop
        if not is_lasting(self._uidl):
            number, announced = drop.numbers.pop(self._uidl), drop.sizes.pop(self._uidl)
            copies = 0
            while (name := transient(f"{self._digest.hexdigest()}.{copies}")) in drop.numbers:
                copies += 1
            self._uidl = name
            drop.numbers[name], drop.sizes[name] = number, announced
        if self._remember:
            drop.remember(self._uidl, self._head)

    @property
    def message(self) -> RemoteMessage:
        """What is known of it; its date is that of its topmost Received, else of its Date. After the chunks."""
        return self._known or RemoteMessage(self._uidl, self._drop.sizes[self._uidl], headers.arrival(self._head))
