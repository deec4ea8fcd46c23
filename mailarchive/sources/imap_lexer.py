"""Reads one IMAP response at a time, token by token, from the wire (RFC 9051 section 9, formal syntax).

The law of this room: tolerant of what servers do (any case, any blanks, any atom), strict in what could hurt: nesting,
literals and lines are capped, and a literal is either read into memory under a cap or left for the caller to stream.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from mailarchive.errors import ProtocolError

if TYPE_CHECKING:
    from mailarchive.sources.wire import Wire

DEPTH = 32
SMALL = 64 * 1024
"""Octets of the largest literal that is read into memory."""
DRAIN = 64 * 1024 * 1024
"""Octets of the largest literal of which the beginning is kept and the rest dropped."""
RESPONSE = 4 * 1024 * 1024
"""Octets of one response that are kept in memory, all its lines and literals together."""
VALUES = 20_000
"""Values in one response; each takes far more memory than it has octets."""

_LITERAL = re.compile(rb"~?\{(\d{1,20})\+?\}\r?\n\Z")
_ATOM = re.compile(rb'[^\s(){"]+')
# Possessive, as a way back for each octet would take a hundred octets of memory.
_QUOTED = re.compile(rb'"((?:[^"\\\r\n]++|\\.)*+)"')
_BLANKS = re.compile(rb" *")
_NAME = re.compile(rb"[A-Za-z0-9.\-_/$]+(?:\[[^\]\r\n]*\])?(?:<\d+>)?")


class Literal(NamedTuple):
    """A literal of `size` octets that stands next on the wire and has not been read."""

    size: int


Value: TypeAlias = "bytes | Literal | list[Value] | None"
"""An atom, number or string as bytes; NIL as None; a parenthesised list; or a literal still to be read."""


class OversizedError(ProtocolError):
    """A literal or a response is over its cap; what is left of it still stands on the wire."""


class Lexer:
    """The response that stands next on the wire; `line` is its current line and `at` the place in it."""

    __slots__ = ("_octets", "_values", "at", "line", "wire")

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.line = b""
        self.at = 0
        self._octets = 0
        self._values = 0

    def next(self) -> bytes:
        """Read the first line of the next response."""
        self._octets = self._values = 0
        self.resume()
        return self.line

    def resume(self) -> None:
        """Read the line that goes on behind a literal; the literal itself has been read."""
        self.line = self.wire.readline()
        self.at = 0
        self._count(len(self.line))

    def _count(self, octets: int) -> None:
        self._octets += octets
        if self._octets > RESPONSE:
            raise OversizedError(f"{self.wire.peer} sent a response of more than {RESPONSE} octets")

    def peek(self) -> bytes:
        """Give the next octet that is not a blank; empty at the end of the response."""
        octet = self.line[self.at : self.at + 1]
        if octet == b" " and (blanks := _BLANKS.match(self.line, self.at)):
            self.at = blanks.end()
            octet = self.line[self.at : self.at + 1]
        return b"" if octet in (b"\r", b"\n") else octet

    def expect(self, octet: bytes) -> None:
        """Step over one octet that must stand here."""
        if self.peek() != octet:
            raise self.broken(f"expected {octet.decode()!r}")
        self.at += 1

    def name(self) -> bytes:
        """Read the name of a FETCH item in upper case, such as `BODY[HEADER.FIELDS (DATE)]<0>`."""
        self.peek()
        found = _NAME.match(self.line, self.at)
        if not found:
            raise self.broken("expected the name of an item")
        self.at = found.end()
        return found.group().upper()

    def value(self, depth: int = 0) -> Value:
        """Read one value; at the top level a literal is left on the wire, in a list it is read."""
        octet = self.peek()
        self._values += 1
        if self._values > VALUES:
            raise self.broken(f"more than {VALUES} values")
        if octet == b'"':
            return self._quoted()
        if octet == b"(":
            return self._list(depth)
        literal = _LITERAL.match(self.line, self.at)
        if literal:
            self.at = len(self.line)
            size = Literal(int(literal.group(1)))
            return self.string(size) if depth else size
        found = _ATOM.match(self.line, self.at)
        if not found:
            raise self.broken("expected a value")
        self.at = found.end()
        return None if found.group().upper() == b"NIL" else found.group()

    def string(self, value: Value) -> bytes:
        """Give the octets of a value that is a string, reading a literal of at most `SMALL` octets."""
        if isinstance(value, Literal):
            if value.size > SMALL:
                raise OversizedError(
                    f"{self.wire.peer} sent a literal of {value.size} octets where a short one belongs"
                )
            self._count(value.size)
            octets = self.wire.read(value.size)
            self.resume()
            return octets
        if isinstance(value, bytes):
            return value
        raise self.broken("expected a string")

    def beginning(self, value: Value) -> bytes:
        """Give the first `SMALL` octets of a string, and drop the rest of it piece by piece."""
        if not isinstance(value, Literal) or value.size <= SMALL:
            return self.string(value)
        if value.size > DRAIN:
            raise OversizedError(f"{self.wire.peer} sent a literal of {value.size} octets where a short one belongs")
        head = self.wire.read(SMALL)
        for _ in self.wire.pieces(value.size - SMALL):
            pass
        self.resume()
        return head

    def values(self) -> list[Value]:
        """Read every value up to the end of the response, literals included."""
        found: list[Value] = []
        while self.peek():
            value = self.value()
            found.append(self.string(value) if isinstance(value, Literal) else value)
        return found

    def broken(self, what: str) -> ProtocolError:
        """Make the error for a response that makes no sense; none of its text is repeated, it may be mail."""
        return ProtocolError(f"{self.wire.peer} sent a response that cannot be read ({what} at octet {self.at})")

    def _quoted(self) -> bytes:
        found = _QUOTED.match(self.line, self.at)
        if not found:
            raise self.broken("expected the end of a quoted string")
        self.at = found.end()
        text = found.group(1)
        # Of two backslashes one is left, and of one none.
        return b"\\".join(part.replace(b"\\", b"") for part in text.split(b"\\\\")) if b"\\" in text else text

    def _list(self, depth: int) -> list[Value]:
        if depth >= DEPTH:
            raise self.broken(f"lists nested more than {DEPTH} deep")
        self.at += 1
        found: list[Value] = []
        while (octet := self.peek()) != b")":
            if not octet:
                raise self.broken("expected the end of a list")
            found.append(self.value(depth + 1))
        self.at += 1
        return found
