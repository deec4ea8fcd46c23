"""The keys of SEARCH (RFC 3501 section 6.4.4) and its extended result (RFC 4731).

The law of this room: keys become one test on a message, and nothing is changed. Text is compared decoded and without
case; dates are compared as days, each in its own zone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailarchive.demo import anatomy
from mailarchive.demo.syntax import BadError, compact, contains

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from mailarchive.demo.mailbox import Message
    from mailarchive.demo.syntax import Arguments
    from mailarchive.demo.view import View

    Test = Callable[[int, Message], bool]

DEEPEST = 50
"""Most levels of parentheses, NOT and OR."""

RESULTS = (b"MIN", b"MAX", b"ALL", b"COUNT")

_FLAGS = {b"ANSWERED": "\\Answered", b"DELETED": "\\Deleted", b"DRAFT": "\\Draft", b"FLAGGED": "\\Flagged"}
_FLAGS |= {b"SEEN": "\\Seen"}
_FIELDS = (b"BCC", b"CC", b"FROM", b"SUBJECT", b"TO")


class CharsetError(Exception):
    """The charset is not known here."""


class Keys:
    r"""Reads the keys of one SEARCH command.

    Args:
        arguments: Standing at the first key, or at CHARSET.
        view: The selected mailbox, for `*` and for `\Recent`.
        more: The keys of this server that the RFC does not know.
    """

    def __init__(
        self, arguments: Arguments, view: View, more: Mapping[bytes, Callable[[Arguments, View], Test]]
    ) -> None:
        self._arguments = arguments
        self._view = view
        self._more = more
        self._depth = 0

    def program(self) -> Test:
        """Read the whole program.

        Raises:
            BadError: It breaks the grammar.
            CharsetError: It names a charset other than US-ASCII or UTF-8.
        """
        arguments = self._arguments
        if arguments.take(b"CHARSET "):
            if arguments.astring().upper() not in (b"UTF-8", b"US-ASCII"):
                raise CharsetError
            arguments.space()
        tests = [self._key()]
        while arguments.take(b" "):
            tests.append(self._key())
        arguments.end()
        return _every(tests)

    def _key(self) -> Test:
        self._depth += 1
        if self._depth > DEEPEST:
            raise BadError("too many levels of keys")
        try:
            return self._one_key()
        finally:
            self._depth -= 1

    def _one_key(self) -> Test:
        arguments = self._arguments
        if arguments.peek(b"("):
            tests = arguments.listing(self._key)
            if not tests:
                raise BadError("an empty pair of parentheses")
            return _every(tests)
        if arguments.at_sequence_set():
            return self._in_set(uid=False)
        word = arguments.word()
        if word in self._more:
            return self._more[word](arguments, self._view)
        for reader in (_flag_key, self._combined, self._by_flag, self._by_date, self._by_text):
            test = reader(word)
            if test is not None:
                return test
        raise BadError(f"{word.decode()} is no search key")

    def _combined(self, word: bytes) -> Test | None:
        if word == b"NOT":
            inner = self._next()
            return lambda number, message: not inner(number, message)
        if word == b"OR":
            one, other = self._next(), self._next()
            return lambda number, message: one(number, message) or other(number, message)
        if word == b"UID":
            self._arguments.space()
            return self._in_set(uid=True)
        if word in (b"LARGER", b"SMALLER"):
            self._arguments.space()
            octets = self._arguments.number()
            if word == b"LARGER":
                return lambda _, message: len(message.raw) > octets
            return lambda _, message: len(message.raw) < octets
        return None

    def _by_flag(self, word: bytes) -> Test | None:
        recent = self._view.is_recent
        if word == b"RECENT":
            return lambda _, message: recent(message)
        if word == b"OLD":
            return lambda _, message: not recent(message)
        if word == b"NEW":
            return lambda _, message: recent(message) and "\\Seen" not in message.flags
        if word in (b"KEYWORD", b"UNKEYWORD"):
            self._arguments.space()
            keyword = self._arguments.atom().decode().lower()
            wanted = word == b"KEYWORD"
            return lambda _, message: any(flag.lower() == keyword for flag in message.flags) is wanted
        return None

    def _by_date(self, word: bytes) -> Test | None:
        compare = _COMPARISONS.get(word.removeprefix(b"SENT"))
        if compare is None:
            return None
        self._arguments.space()
        day = self._arguments.date()
        if not word.startswith(b"SENT"):
            return lambda _, message: compare(message.internal_date.date(), day)

        def sent(_: int, message: Message) -> bool:
            found = anatomy.sent(message.raw)
            return found is not None and compare(found, day)

        return sent

    def _by_text(self, word: bytes) -> Test | None:
        if word == b"HEADER":
            self._arguments.space()
            return self._in_field(self._arguments.text().encode().lower())
        if word in _FIELDS:
            return self._in_field(word.lower())
        if word not in (b"BODY", b"TEXT"):
            return None
        needle = self._needle()

        def found(_: int, message: Message) -> bool:
            if needle in anatomy.text(message.raw).casefold():
                return True
            return word == b"TEXT" and needle in anatomy.header_text(message.raw).casefold()

        return found

    def _in_field(self, field: bytes) -> Test:
        needle = self._needle()
        return lambda _, message: any(needle in value.casefold() for value in anatomy.values(message.raw, field))

    def _needle(self) -> str:
        self._arguments.space()
        return self._arguments.text().casefold()

    def _next(self) -> Test:
        self._arguments.space()
        return self._key()

    def _in_set(self, *, uid: bool) -> Test:
        messages = self._view.messages
        highest = len(messages) if not uid else messages[-1].uid if messages else 0
        ranges = self._arguments.sequence_set().ranges(highest)
        return lambda number, message: contains(ranges, message.uid if uid else number)


def _flag_key(word: bytes) -> Test | None:
    if word == b"ALL":
        return lambda _, __: True
    if word in _FLAGS:
        return _has(_FLAGS[word], wanted=True)
    if word.startswith(b"UN") and word[2:] in _FLAGS:
        return _has(_FLAGS[word[2:]], wanted=False)
    return None


def _has(flag: str, *, wanted: bool) -> Test:
    return lambda _, message: (flag in message.flags) is wanted


def _before(found: date, day: date) -> bool:
    return found < day


def _since(found: date, day: date) -> bool:
    return found >= day


def _on(found: date, day: date) -> bool:
    return found == day


_COMPARISONS = {b"BEFORE": _before, b"SINCE": _since, b"ON": _on}


def _every(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda number, message: all(test(number, message) for test in tests)


def options(arguments: Arguments) -> list[bytes] | None:
    """Read `RETURN (...)` and the space behind it if it is there; an empty list means ALL (RFC 4731 section 3.1)."""
    if not arguments.take(b"RETURN "):
        return None
    asked = arguments.listing(arguments.word) or [b"ALL"]
    for option in asked:
        if option not in RESULTS:
            raise BadError(f"{option.decode()} is no search return option")
    arguments.space()
    return asked


def result(tag: bytes, found: Sequence[int], asked: Sequence[bytes] | None, *, uid: bool) -> bytes:
    """Write the answer: SEARCH, or ESEARCH where options were given."""
    if asked is None:
        return b"* SEARCH%s\r\n" % b"".join(b" %d" % number for number in found)
    parts = [b'* ESEARCH (TAG "%s")' % tag]
    if uid:
        parts.append(b"UID")
    for option in RESULTS:
        if option not in asked:
            continue
        if option == b"COUNT":
            parts.append(b"COUNT %d" % len(found))
        elif found:
            value = {b"MIN": b"%d" % found[0], b"MAX": b"%d" % found[-1]}.get(option) or compact(found)
            parts.append(option + b" " + value)
    return b" ".join(parts) + b"\r\n"
