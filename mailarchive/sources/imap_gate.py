r"""What may be sent to an IMAP server after sign-in, by the phase of the work (`safety.md` section 2).

The law of this room: reading changes nothing; deleting may mark `\Deleted`, move, copy, and expunge by UID, nothing
else; restoring may append, make mailboxes and give labels. A bare EXPUNGE leaves only through the one opening of
`exclusive`. CLOSE, DELETE, RENAME, sequence numbers and empty sets never leave, whatever a bug above asks for.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Final

from mailarchive.sources import uid_set

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANGING_LINE = 1000
"""Octets of a command that changes something, its tag included (RFC 2683 section 3.2.1.5)."""

READING: Final = frozenset(
    {
        b"CAPABILITY",
        b"COMPRESS",
        b"EXAMINE",
        b"GETQUOTAROOT",
        b"ID",
        b"LIST",
        b"LOGOUT",
        b"MYRIGHTS",
        b"NAMESPACE",
        b"NOOP",
        b"STATUS",
        b"UID FETCH",
        b"UID SEARCH",
    }
)
"""What a run that may not delete sends after sign-in."""

DELETING: Final = READING | {b"SELECT", b"UID COPY", b"UID EXPUNGE", b"UID MOVE", b"UID STORE"}
RESTORING: Final = READING | {b"APPEND", b"CREATE", b"SELECT", b"UID STORE"}

_SET = rb"\d{1,10}(?::\d{1,10})?(?:,\d{1,10}(?::\d{1,10})?)*"
_QUOTED = rb'"(?:[^"\\]|\\.)*"'
_SHAPES: Final = {
    b"UID COPY": re.compile(_SET + b" " + _QUOTED),
    b"UID EXPUNGE": re.compile(_SET),
    b"UID MOVE": re.compile(_SET + b" " + _QUOTED),
}
_OURSELVES = re.compile(rb'\("name" "mailarchive" "version" "[0-9a-z.+]{1,40}"\)')
"""What ID may say: our name and version, and nothing about the user or the computer."""
_MARKS = re.compile(_SET + rb" [+-]FLAGS\.SILENT \(\\Deleted\)")
_UNMARK = re.compile(_SET + rb" -FLAGS\.SILENT \(\\Deleted\)")
_LABELS = re.compile(rb"\d{1,10} \+X-GM-LABELS\.SILENT \(" + _QUOTED + rb"(?: " + _QUOTED + rb")*\)")
AWAY = re.compile(rb'"\\\\(?:TRASH|SPAM|JUNK)"', re.IGNORECASE)
"""Labels that take a message away from where it is."""
_PLAIN_BODY = re.compile(rb"BODY\[|RFC822(?!\.SIZE)|RFC822\.(TEXT|HEADER)", re.IGNORECASE)


class Phase(Enum):
    """What a session is doing, and the most that it may ever do."""

    READING = READING
    DELETING = DELETING
    RESTORING = RESTORING


class Gate:
    """Lets commands through, or fails: a command that is stopped here is a bug above.

    Args:
        most: The most that this session may ever do; it begins with reading.
    """

    def __init__(self, most: Phase = Phase.READING) -> None:
        self._most = most
        self._phase = Phase.READING
        self._openings = 0

    @contextmanager
    def enter(self, phase: Phase) -> Iterator[None]:
        """Be in a phase for a while."""
        if phase not in (Phase.READING, self._most):
            raise AssertionError(f"this session may not be {phase.name.lower()}")
        before, self._phase = self._phase, phase
        try:
            yield
        finally:
            self._phase = before

    @contextmanager
    def one_expunge(self) -> Iterator[None]:
        """Let a single bare EXPUNGE through: the step of `exclusive`, and no other."""
        if self._phase is not Phase.DELETING:
            raise AssertionError("EXPUNGE belongs to deleting")
        self._openings = 1
        try:
            yield
        finally:
            self._openings = 0

    def check(self, command: bytes, arguments: bytes) -> None:
        """Refuse what may not be sent now; raises AssertionError."""
        if command == b"EXPUNGE" and self._openings and self._phase is Phase.DELETING and not arguments:
            self._openings -= 1
            return
        if command not in self._phase.value:
            raise AssertionError(f"{command.decode()} is not allowed while {self._phase.name.lower()}")
        if b"\r" in arguments or b"\n" in arguments or b"\0" in arguments:
            raise AssertionError("a line break in the arguments of a command")
        if command == b"ID" and not _OURSELVES.fullmatch(arguments):
            raise AssertionError("an ID that says more than our name and version")
        if command == b"COMPRESS" and arguments != b"DEFLATE":
            raise AssertionError("COMPRESS with anything but DEFLATE")
        if command == b"UID FETCH" and _PLAIN_BODY.search(arguments.replace(b"BODY.PEEK[", b"")):
            raise AssertionError("a FETCH that would mark messages as read")
        if command.startswith(b"UID ") and (not arguments or arguments.startswith(b" ")):
            raise AssertionError("a UID command without a set")
        self._check_change(command, arguments)

    def _check_change(self, command: bytes, arguments: bytes) -> None:
        """Refuse a command that changes messages in any other way than the phase is for."""
        shape = _SHAPES.get(command)
        if command == b"UID STORE":
            shape = _MARKS if self._phase is Phase.DELETING else _UNMARK if b"X-GM" not in arguments else _LABELS
        if shape is None:
            return
        if not shape.fullmatch(arguments):
            raise AssertionError(f"{command.decode()} of a shape that is not allowed while {self._phase.name.lower()}")
        if len(arguments) > CHANGING_LINE - 40:
            raise AssertionError(f"{command.decode()} of more than {CHANGING_LINE} octets")
        if shape is _LABELS and AWAY.search(arguments):
            raise AssertionError("a label that takes the message away")
        if not 1 <= _named(arguments.partition(b" ")[0]) <= uid_set.MOST:
            raise AssertionError(f"{command.decode()} of UIDs that cannot be, or of more than {uid_set.MOST}")


def _named(numbers: bytes) -> int:
    """Count the UIDs of a set; 0 if one of them cannot be, or a range runs backwards."""
    named = 0
    for part in numbers.split(b","):
        first, _, last = part.partition(b":")
        low, high = int(first), int(last or first)
        if not 1 <= low <= high <= uid_set.HIGHEST:
            return 0
        named += high - low + 1
    return named
