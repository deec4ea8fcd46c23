"""What the tests of parsers share: octets that are nearly right, lines that end, and what a parser may raise.

Law of this room: whatever is made here comes from Hypothesis alone, so that a failure comes again. A line gives its end
once; who goes on reading behind it would wait for ever. What is raised and is no error of ours is a failure.
"""

from __future__ import annotations

import re
import tracemalloc
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from mailarchive.address import Security, ServerAddress
from mailarchive.errors import MailarchiveError
from mailarchive.sources import wire
from mailarchive.sources.imap_commands import Commands, Refused
from mailarchive.sources.imap_session import Session
from mailarchive.sources.pop_lines import Declined
from tests.servers.pieces import Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MIB = 1024 * 1024
ADDRESS = ServerAddress("imap", Security.NONE, "127.0.0.1", 143, "me")
CAPABILITY = frozenset({"IMAP4REV1", "ESEARCH", "CONDSTORE", "UIDPLUS", "MOVE", "QUOTA", "NAMESPACE", "ACL"})


class Change(NamedTuple):
    """One change of some octets: at a place, over a length, with something instead."""

    kind: str
    place: int
    length: int
    octets: bytes


KINDS = ("flip", "delete", "insert", "replace", "double", "move", "end")


def changes(tokens: Sequence[bytes], most: int = 5) -> st.SearchStrategy[list[Change]]:
    """Give lists of changes, which put in these tokens, or any octets."""
    octets = st.sampled_from(list(tokens)) | st.binary(max_size=6)
    place = st.integers(0, 1 << 20)
    length = st.integers(0, 8) | st.integers(0, 200)
    return st.lists(st.builds(Change, st.sampled_from(KINDS), place, length, octets), max_size=most)


def changed(octets: bytes, what: Sequence[Change]) -> bytes:
    """Change octets."""
    for change in what:
        at = change.place % (len(octets) + 1)
        piece = octets[at : at + change.length]
        rest = octets[at + len(piece) :]
        if change.kind == "flip" and rest:
            octets = octets[:at] + piece + bytes([rest[0] ^ (1 << change.length % 8)]) + rest[1:]
        elif change.kind == "delete":
            octets = octets[:at] + rest
        elif change.kind == "insert":
            octets = octets[:at] + change.octets + piece + rest
        elif change.kind == "replace":
            octets = octets[:at] + change.octets + rest
        elif change.kind == "double":
            octets = octets[:at] + piece + piece + rest
        elif change.kind == "move":
            whole = octets[:at] + rest
            there = change.length * 31 % (len(whole) + 1)
            octets = whole[:there] + piece + whole[there:]
        elif change.kind == "end":
            octets = octets[:at]
    return octets


def _spliced(one: bytes, other: bytes, at: int) -> bytes:
    return one[: at % (len(one) + 1)] + other[at % (len(other) + 1) :]


def nearly(valid: Sequence[bytes], tokens: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Give octets that are one of these but for a few changes, two of them spliced, or tokens in a row."""
    one = st.sampled_from(list(valid))
    spliced = st.builds(
        lambda a, b, at: a[: at % (len(a) + 1)] + b[at % (len(b) + 1) :], one, one, st.integers(0, 9999)
    )
    mutated = st.builds(changed, one | one | spliced, changes(tokens))
    return (
        mutated | mutated | st.lists(st.sampled_from(list(tokens)) | st.binary(max_size=3), max_size=25).map(b"".join)
    )


CUTS = st.lists(st.integers(1, 40) | st.integers(40, 3000), min_size=1, max_size=4)


_TAGGED = re.compile(rb"^[A-Z]+\d+ (?:OK|NO|BAD)\b[^\n]*\n", re.MULTILINE)


class Ending(Cut):
    """A line that ends once, and on which nothing comes behind the answer to a command before the next one is sent."""

    ended = False

    def recv_into(self, view: memoryview) -> int:
        """Give the next piece."""
        assert not self.ended, "somebody reads behind the end of the line"
        answer = _TAGGED.search(self.octets)
        count = super().recv_into(view if answer is None else view[: answer.end()])
        self.ended = not count
        return count


def line_of(octets: bytes, sizes: Sequence[int] = (100_000,)) -> wire.Wire:
    """Make the line on which these octets come in pieces of these sizes."""
    return wire.Wire(Ending(octets, sizes), "test.example:143")  # type: ignore[arg-type] # it has all that a Wire asks of a socket


def commands_of(octets: bytes, sizes: Sequence[int] = (100_000,), capability: frozenset[str] = CAPABILITY) -> Commands:
    """Make the commands of a session whose server says this."""
    return Commands(Session(line_of(octets, sizes), ADDRESS, capability))


@contextmanager
def only_ours() -> Iterator[None]:
    """Let errors of ours pass, and what becomes one of them before it leaves a source."""
    with suppress(MailarchiveError, Refused, Declined):
        yield


def peak_of(does: Callable[[], object]) -> int:
    """Give the most octets that something had in memory beyond what was there before; errors of ours are no matter."""
    tracemalloc.start()
    try:
        with only_ours():
            does()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
