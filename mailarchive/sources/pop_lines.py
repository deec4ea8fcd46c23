"""Sends POP3 commands and reads their answers (RFC 1939, RFC 2449).

The law of this room: a multi-line answer ends at CRLF, a dot, CRLF and at nothing else; the dot that a server puts
before the dot of a line is taken off again; octets go through in pieces, never a whole message in memory, however long
its lines are. DELE leaves only while an order is carried out; what else must not be sent is an error of the caller.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from mailarchive.errors import LaterError, ProtocolError, SignInError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.errors import AccountError
    from mailarchive.ports import Chunk
    from mailarchive.sources.wire import Wire

LINE: Final = 64 * 1024
"""Octets of a status line, and of a line of a listing."""
LINES: Final = 1_000_000
"""Lines of one listing."""
END: Final = b".\r\n"
"""The line that ends a body."""
NEAR: Final = 4096
"""Octets that are searched for CRLF and a dot before the next dot is looked for alone."""

READING: Final = frozenset({b"CAPA", b"LIST", b"NOOP", b"QUIT", b"RETR", b"RSET", b"STAT", b"TOP", b"UIDL"})
_NUMBERED: Final = re.compile(rb"\d{1,10}(?: \d{1,10})?")
_DOTTED = re.compile(rb"\r\n\.")
_CODE = re.compile(r"\[([A-Z/-]{1,40})\]", re.IGNORECASE)
_IN_USE = re.compile(r"maildrop (?:is )?already locked|lock(?:ed)? by another|mailbox (?:is )?in use", re.IGNORECASE)


class Declined(Exception):  # noqa: N818 - a value between modules of this folder, mapped before it leaves it
    """A `-ERR`; `said` is the server's sentence without secrets, still foreign text."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said or "refused without a reason"
        found = _CODE.search(self.said)
        self.code = found.group(1).upper() if found else ""
        if not self.code and _IN_USE.search(self.said):
            self.code = "IN-USE"

    def error(self, peer: str, what: str) -> AccountError | None:
        """Make the error that ends the account, where the code asks for one (RFC 2449 section 8, RFC 3206)."""
        if self.code == "IN-USE":
            return LaterError(f"another program holds the mailbox on {peer}: {self.said}")
        if self.code == "LOGIN-DELAY":
            return LaterError(f"{peer} wants a pause between two sign-ins: {self.said}")
        if self.code == "SYS/TEMP":
            return LaterError(f"{peer} asks to wait: {self.said}")
        if self.code == "SYS/PERM":
            return ProtocolError(f"{what}: {self.said}")
        return SignInError(f"{what}: {self.said}") if self.code == "AUTH" else None


class Lines:
    """The commands of one POP3 session; answers come in the order of the commands.

    Attributes:
        waiting: How many answers, or rests of one, are still on their way.
    """

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.waiting = 0
        self._deleting = False

    @contextmanager
    def deleting(self) -> Iterator[None]:
        """Let DELE through for a while."""
        self._deleting = True
        try:
            yield
        finally:
            self._deleting = False

    def send(self, command: bytes, arguments: bytes = b"", *others: bytes) -> None:
        """Send one command of the signed-in session, and the same for other arguments right behind it."""
        if command not in READING and not (command == b"DELE" and self._deleting):
            raise AssertionError(f"{command.decode()} is not allowed now")
        every = (arguments, *others)
        if not all(_NUMBERED.fullmatch(each) for each in every if each):
            raise AssertionError("a POP3 command takes message numbers only")
        written = [command + (b" " + each if each else b"") + b"\r\n" for each in every]
        # What takes something away leaves alone, so that whatever stops us stops all behind it.
        for octets in [b"".join(written)] if command in READING else written:
            self.wire.send(octets)
        self.waiting += len(every)

    def status(self) -> bytes:
        """Read a status line; gives the text behind `+OK`. Raises Declined for `-ERR`."""
        line = self.wire.readline(LINE).rstrip(b"\r\n")
        self.waiting = max(0, self.waiting - 1)
        if line[:3].upper() == b"+OK":
            return line[3:].strip()
        if line[:4].upper() == b"-ERR":
            raise Declined(self.wire.words(line[4:].strip()))
        raise ProtocolError(f"{self.wire.peer} sent something that is no POP3 answer")

    def ask(self, command: bytes, arguments: bytes = b"") -> bytes:
        """Send a command and read its status line."""
        self.send(command, arguments)
        return self.status()

    def listing(self) -> Iterator[bytes]:
        """Give the lines of a multi-line answer that is made of short lines, without CRLF."""
        self.waiting += 1
        for _ in range(LINES):
            line = self.wire.readline(LINE).rstrip(b"\r\n")
            if line == b".":
                self.waiting -= 1
                return
            yield line.removeprefix(b".")
        raise ProtocolError(f"{self.wire.peer} lists without end")

    def body(self, most: int | None = None) -> Iterator[Chunk]:
        r"""Give the octets of a message in pieces, exactly as the server was given them, up to CRLF `.` CRLF.

        Each piece is valid until the next one is asked for. More than `most` octets, if that is given, raise
        ProtocolError: nothing else would end an answer that has no end.
        """
        self.waiting += 1
        over = self._begins()
        while not over:
            piece, over = self._piece()
            if most is not None and (most := most - len(piece)) < 0:
                raise ProtocolError(f"{self.wire.peer} sends a message without end")
            if over:
                self.waiting -= 1
            if piece:
                yield piece
            if not over:
                self.wire.more()

    def quiet(self) -> None:
        """Make sure that nothing has come that nobody asked for. Raises ProtocolError."""
        if self.waiting or self.wire.pending():
            raise ProtocolError(f"{self.wire.peer} sends more than it was asked for; nothing was deleted")

    def _begins(self) -> bool:
        """Read the first line of a body as far as it may begin with a dot; tells whether the body ends there.

        It is the beginning of a line though no CRLF of the message stands before it.
        """
        wire = self.wire
        while True:
            buffer, _, start, end = wire.arrived()
            begin = buffer[start : min(start + 3, end)]
            if len(begin) == len(END) or not END.startswith(begin):
                break
            wire.more()
        if begin == END:
            wire.forward(len(END))
            self.waiting -= 1
            return True
        if begin.startswith(b".."):
            wire.forward(1)
        return False

    def _piece(self) -> tuple[Chunk, bool]:
        """Take what has arrived of a body, without the dots that the server has put in; tells whether that is all."""
        buffer, view, start, end = self.wire.arrived()
        out: list[memoryview] = []
        begin = at = start
        while (at := _dotted(buffer, at, end)) >= 0:
            behind = buffer[at + 3 : min(at + 5, end)]
            if behind == b"\r\n":
                self.wire.forward(at + 5 - start)
                return _joined(out, view[begin : at + 2]), True
            if len(behind) < 2 and b"\r\n".startswith(behind):
                break
            at += 3
            # A dot that was not doubled is the message's own: Dovecot forgets to at its very first octet.
            if behind.startswith(b"."):
                out.append(view[begin : at - 1])
                begin = at
        keep = _unfinished(buffer, begin, end)
        self.wire.forward(keep - start)
        return _joined(out, view[begin:keep]), False


def _dotted(buffer: bytearray, at: int, end: int) -> int:
    """Give where from `at` on the next CRLF stands that a dot follows, or -1.

    A single octet is found much faster than three, so where dots are rare, as in base64, it looks for them alone.
    """
    while at < end:
        if found := _DOTTED.search(buffer, at, min(at + NEAR, end)):
            return found.start()
        dot = buffer.find(b".", at + NEAR, end)
        if dot < 0:
            return -1
        at = dot - 2
    return -1


def _joined(pieces: list[memoryview], last: memoryview) -> Chunk:
    return b"".join((*pieces, last)) if pieces else last


def _unfinished(buffer: bytearray, begin: int, end: int) -> int:
    r"""Say from where on what has arrived may be the beginning of CRLF `.` CRLF, and must wait for what follows."""
    for length in (4, 3, 2, 1):
        start = end - length
        if start >= begin and b"\r\n.\r".startswith(buffer[start:end]):
            return start
    return end
