"""What the answers to a SEARCH say, in either of the two forms (RFC 9051 section 7.3.4, RFC 4731).

The law of this room: every line of an answer counts; what is no UID is none; more than there are messages is an error.
"""

from __future__ import annotations

import itertools
import operator
from array import array
from typing import TYPE_CHECKING

from mailarchive.errors import ProtocolError
from mailarchive.sources import uid_set

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mailarchive.sources.imap_commands import Commands
    from mailarchive.sources.imap_lexer import Lexer


class Hits:
    """What the answers to one SEARCH say: UIDs, and how many there are if the server counts."""

    def __init__(self, commands: Commands, most: int) -> None:
        self.uids = array("I")
        self.count: int | None = None
        self._commands = commands
        self._most = most

    @property
    def number(self) -> int:
        """How many messages were found."""
        return len(set(self.uids)) if self.count is None else self.count

    def take(self, lexer: Lexer, line: bytes) -> None:
        """Read one line."""
        kind = line[2:10].upper().split()[:1]
        if kind == [b"SEARCH"]:
            self._add(_number(word) for word in line[8:].split())
        elif kind == [b"ESEARCH"]:
            lexer.at = len(b"* ESEARCH")
            for name, value in itertools.pairwise(lexer.values()):
                if not isinstance(name, bytes) or not isinstance(value, bytes):
                    continue
                if name.upper() == b"ALL":
                    self._add(uid_set.parse(value, most=self._most))
                elif name.upper() == b"COUNT":
                    self.count = _number(value)
        else:
            self._commands.skip()

    def _add(self, uids: Iterable[int | None]) -> None:
        # A word that is no number is something like the MODSEQ behind the hits.
        self.uids.extend(uid for uid in uids if uid and uid <= uid_set.HIGHEST)
        if len(self.uids) > self._most:
            raise ProtocolError(f"{self._commands.wire.peer} finds more messages than there are")


def ascending(uids: array[int]) -> array[int]:
    """Put UIDs in order, each once."""
    if all(map(operator.lt, uids, itertools.islice(uids, 1, None))):
        return uids
    return array("I", sorted(set(uids)))


def _number(word: bytes) -> int | None:
    return int(word) if word.isdigit() and len(word) <= 10 else None
