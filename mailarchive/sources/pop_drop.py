"""The maildrop of one POP3 session: what it holds, and its messages as they arrive (RFC 1939).

The law of this room: a message number means something in one session only, so every message is named by its UIDL, or,
where a server has none that lasts, by its content within the session that fetched it.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from array import array
from typing import TYPE_CHECKING, Final

from mailarchive import headers
from mailarchive.errors import AgainError, UnreachableError
from mailarchive.messages import NO_SIZE, Messages
from mailarchive.model import UIDL, RemoteMessage, is_lasting, transient
from mailarchive.sources.pop_lines import Declined, Lines
from mailarchive.sources.pop_names import Names, Numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.ports import Chunk
    from mailarchive.sources.wire import Wire

IN_FLIGHT: Final = 64
"""Commands on their way at a time, where the server takes more than one (RFC 2449 section 6.6)."""
IN_FLIGHT_OCTETS: Final = 4 * 1024 * 1024
"""Octets, as they were announced, that are asked for at a time; a larger message is asked for alone."""
LINE_END: Final = 2
"""Octets that a server adds to a message which does not end in a line end; LIST may not count them."""
SLACK: Final = 64 * 1024 * 1024
"""Octets that a message may have beyond four times what LIST says; a server that sends more sends without end."""
HEADS: Final = 8 * 1024 * 1024
"""Octets of headers that a session keeps; what is over is asked for again."""

_UIDL = re.compile(rb"(\d{1,10}) +([\x21-\x7e]{1,70})")
_UNUSABLE = re.compile(rb"(\d{1,10})(?:\s.*)?", re.DOTALL)
_SIZE = re.compile(rb"(\d{1,10})(?: +(\d{1,18}))?(?:\s.*)?", re.DOTALL)


class OutOfStepError(UnreachableError):
    """The server said nothing more although several answers were due; it may have lost commands sent ahead."""


class Pace:
    """How many commands a server gets ahead of its answers; what one session learns holds for those that follow.

    Answers bear no name. Were one left out, those behind it would be taken for each other's, and only the sizes of LIST
    would tell. So bodies are asked for one by one until one had the size announced, and for good once one had not.

    Attributes:
        exact: Whether bodies have the sizes announced; None before the first one.
        alone: Whether the server was out of step, and gets every command alone.
    """

    def __init__(self) -> None:
        self.exact: bool | None = None
        self.alone = False

    def depth(self, command: bytes, most: int) -> int:
        """Give how many of a command may be on their way, of a server that takes so many."""
        return 1 if self.alone or (command == b"RETR" and not self.exact) else most

    def compare(self, announced: int | None, size: int) -> bool:
        """Take down whether a body has the size announced for it."""
        if announced is None:
            return True
        same = announced in (size, size - LINE_END)
        self.exact = same and self.exact is not False
        return same


class Drop:
    """The maildrop as one session sees it.

    Args:
        wire: Signed in.
        offered: What the server says it can do; nothing if it does not say.
        session: A number that no other session of the source has.
        pace: Of the source.

    Attributes:
        numbers: The message number of each message by its UIDL, or by a name for this session only.
        heads: The first octets of what was retrieved in this session.
        probed: Messages whose header came in this session, which alone may be deleted in it.
        offered: What the server says it can do.
        certain: Whether LIST and UIDL agree and name everything for good, so that what is not there is gone.
        fetched: Whether anything was retrieved.
    """

    def __init__(self, wire: Wire, offered: frozenset[str], session: int, pace: Pace) -> None:
        self.lines = Lines(wire)
        self.offered = offered
        self.pace = pace
        self._most = IN_FLIGHT if "PIPELINING" in offered else 1
        self.has_top: bool | None = "TOP" in offered if offered else None
        self._sizes = array("I")
        self._odd_sizes: dict[int, int | None] = {}
        self.heads: dict[UIDL, bytes] = {}
        self.probed: set[UIDL] = set()
        self.certain = True
        self.fetched = False
        self._kept = 0
        self.numbers = self._read(session)

    def _read(self, session: int) -> Numbers:
        """Ask for sizes and names; a message without a size waits for the next session, one without a name has none."""
        self.lines.ask(b"LIST")
        for line in self.lines.listing():
            if found := _SIZE.fullmatch(line.strip()):
                number, size = int(found.group(1)), int(found.group(2)) if found.group(2) else None
                # One size after the other, as long as the numbers are those that they should be.
                is_next = number == len(self._sizes) + 1
                fits = size if size is not None and size < NO_SIZE else None
                if is_next:
                    self._sizes.append(fits or 0)
                if fits is None or not is_next:
                    self._odd_sizes[number] = size
                else:
                    self._odd_sizes.pop(number, None)
        following = range(1, len(self._sizes) + 1)
        others = [number for number in self._odd_sizes if number not in following]
        listed = sorted([*following, *others]) if others else following
        names = self._named()
        numbers = Numbers(names.of(listed), listed, session, names.twice(listed))
        # A server that names nothing at all has no names, whatever it calls that.
        self.certain = len(names) == len(listed) and all(map(names.__contains__, listed)) and numbers.lasting
        return numbers

    def listing(self) -> Messages:
        """Give every message, in the order of the numbers."""
        if self.numbers.lasting and not self._odd_sizes:
            return Messages.called(self.numbers.names, self._sizes)
        return Messages(RemoteMessage(uidl, self._size(number)) for uidl, number in self.numbers.pairs())

    def size(self, uidl: UIDL) -> int | None:
        """Give the octets of a message as LIST announces them; None where it says no number."""
        return self._size(self.numbers[uidl])

    def _size(self, number: int) -> int | None:
        if number in self._odd_sizes:
            return self._odd_sizes[number]
        return self._sizes[number - 1]

    def body(self, uidl: UIDL) -> Iterator[Chunk]:
        """Give the octets of the answer that is arriving for a message, up to what can be one."""
        announced = self.size(uidl)
        return self.lines.body(None if announced is None else 4 * announced + SLACK)

    def _named(self) -> Names:
        """Ask for the names; one that RFC 1939 does not allow is none, and so is one of two of the same message."""
        names = Names()
        try:
            self.lines.ask(b"UIDL")
        except Declined as declined:
            if refusal := declined.error(self.lines.wire.peer, "the server refuses"):
                raise refusal from None
            return names
        for line in self.lines.listing():
            if found := _UIDL.fullmatch(line):
                names.put(int(found.group(1)), UIDL(found.group(2).decode("ascii")))
            elif found := _UNUSABLE.fullmatch(line):
                names.put(int(found.group(1)), None)
        return names

    def asked(self, command: bytes, arguments: str, uidls: Sequence[UIDL]) -> Iterator[tuple[UIDL, str | None]]:
        """Send a command for each message, some ahead, and give each with why it was declined; None if it was not.

        The caller reads what stands behind the status line before it asks for the next one.

        Raises:
            OutOfStepError: The server is silent though it was sent more than one.
        """
        sent = 0
        numbers = array("Q", map(self.numbers.__getitem__, uidls))
        for done, uidl in enumerate(uidls):
            if sent - done <= self.pace.depth(command, self._most) // 2:
                some = [f"{number}{arguments}".encode("ascii") for number in self._ahead(command, numbers, done, sent)]
                sent += len(some)
                if some:
                    self.lines.send(command, *some)
            try:
                self.lines.status()
            except UnreachableError as error:
                if sent - done > 1 and isinstance(error.__context__, TimeoutError):
                    raise OutOfStepError(error.message, temporary=True) from None
                raise
            except Declined as declined:
                if refusal := declined.error(self.lines.wire.peer, "the server refuses"):
                    raise refusal from None
                yield uidl, declined.said
            else:
                yield uidl, None

    def _ahead(self, command: bytes, numbers: Sequence[int], done: int, sent: int) -> Sequence[int]:
        """Give those for which the command may be sent now; the answers from `done` up to `sent` are still due."""
        end = min(len(numbers), done + self.pace.depth(command, self._most))
        if command == b"RETR":
            octets = 0
            for index in range(done, end):
                size = self._size(numbers[index])
                octets += IN_FLIGHT_OCTETS if size is None else size
                if index > done and octets > IN_FLIGHT_OCTETS:
                    end = index
                    break
        return numbers[sent:end]

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

    __slots__ = ("_digest", "_drop", "_first", "_head", "_known", "_remember", "_rest", "_uidl", "doubted", "drained")

    def __init__(self, drop: Drop, uidl: UIDL, *, remember: bool) -> None:
        self._drop = drop
        self._uidl = uidl
        self._remember = remember
        self._head = b""
        # Only a message without a lasting name needs one here.
        self._digest = None if is_lasting(uidl) else hashlib.sha256()
        self._rest = drop.body(uidl)
        self._first = next(self._rest, b"")
        self._known: RemoteMessage | None = None
        self.drained = False
        self.doubted = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it; its end has then been read."""
        return not self._first

    def chunks(self) -> Iterator[Chunk]:
        """Give the octets.

        Raises:
            AgainError: They are not as many as was announced, while more answers are due: one may have been left out.
        """
        size = 0
        for piece in itertools.chain([self._first], self._rest):
            if size < headers.HEAD:
                self._head += piece[: headers.HEAD - size]
            if self._digest is not None:
                self._digest.update(piece)
            size += len(piece)
            yield piece
        drop = self._drop
        if not drop.pace.compare(drop.size(self._uidl), size) and drop.lines.waiting:
            self.doubted = True
            raise AgainError(f"{drop.lines.wire.peer} sent another size than it announced, and may be out of step")
        self.drained = True
        self._name()
        self._known = self.message

    def _name(self) -> None:
        """Name a message without a lasting UIDL by its content, so that the rest of the session finds it again."""
        drop = self._drop
        if self._digest is not None:
            copies = 0
            while (name := transient(f"{self._digest.hexdigest()}.{copies}")) in drop.numbers:
                copies += 1
            drop.numbers.rename(self._uidl, name)
            self._uidl = name
        if self._remember:
            drop.remember(self._uidl, self._head)

    @property
    def message(self) -> RemoteMessage:
        """What is known of it; its date is that of its topmost Received, else of its Date. After the chunks."""
        return self._known or RemoteMessage(self._uidl, self._drop.size(self._uidl), headers.arrival(self._head))
