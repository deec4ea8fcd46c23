"""Reads the items of FETCH answers: facts of many messages, and header blocks (RFC 9051 section 7.5.2).

The law of this room: an answer counts only if it carries the UID, in whatever order, case and company its items come,
and a UID that cannot be is none; an answer of the usual shape is recognised by one pattern; what is not a number or a
date is unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mailarchive.dates import parse_internal_date
from mailarchive.errors import MailarchiveError, ProtocolError
from mailarchive.model import FORWARDED, RECENT, UID, RemoteMessage, Sighting
from mailarchive.sources import uid_set
from mailarchive.sources.imap_commands import LINE, Refused
from mailarchive.sources.imap_lexer import Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mailarchive.sources.imap_commands import Commands
    from mailarchive.sources.imap_lexer import Lexer, Value

FLAGS_CAP = 64 * 1024
FACTS = b"UID FLAGS INTERNALDATE RFC822.SIZE"
_FIELDS = b"BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM TO CC SUBJECT LIST-ID)]<0.65536>"
HEADERS = b"(UID " + _FIELDS + b")"
SENDERS = b"(UID BODY.PEEK[HEADER.FIELDS (FROM)])"
GMAIL = "X-GM-EXT-1"
IN_FLIGHT = 2
"""Commands on their way at a time."""
IMPOSSIBLE = "the server names a UID that cannot be"

FETCH = re.compile(rb"\* \d+ (?:UID)?FETCH \(", re.IGNORECASE)


@dataclass(slots=True)
class Items:
    """What one FETCH answer has said so far; `impossible` if it names a UID that cannot be, so that it has none."""

    uid: UID | None = None
    impossible: bool = False
    flags: frozenset[str] | None = None
    internal_date: bytes | None = None
    size: int | None = None
    body: Value = None
    has_body: bool = False
    header: bytes | None = None
    object_id: str = ""
    labels: frozenset[str] | None = None
    seen: set[bytes] = field(default_factory=set)

    def message(self) -> RemoteMessage:
        """Give what is known."""
        date = parse_internal_date(self.internal_date) if self.internal_date is not None else None
        return RemoteMessage(self.uid or UID(0), self.size, date, self.flags, self.object_id, self.labels)


class Fact(NamedTuple):
    """One FETCH answer about a message; `whole` if it holds more than the flags that servers send unasked."""

    message: RemoteMessage
    whole: bool


def facts(
    commands: Commands,
    sets: Sequence[bytes],
    ahead: Callable[[], None] | None = None,
    *,
    since: int | None = None,
) -> Iterator[Fact]:
    """Ask for UID, FLAGS, INTERNALDATE and RFC822.SIZE of each set, and give every answer that carries a UID.

    `ahead` is called before each response is read, and may take some itself; see `Commands.answers`. With `since`, only
    for what has changed since that mod-sequence (RFC 7162 section 3.1.4).
    """
    items_wanted = b"(" + FACTS + (identity(commands) if GMAIL in commands.capability else b"") + b")"
    if since is not None:
        items_wanted += b" (CHANGEDSINCE %d)" % since
    for line in _pipelined(commands, sets, items_wanted, ahead):
        items = read_all(commands, line)
        if items is not None and items.uid is not None:
            yield Fact(items.message(), whole=bool(items.seen & {b"INTERNALDATE", b"RFC822.SIZE"}))


def usual_fact(uid: bytes, flags: bytes, date: bytes, size: bytes) -> Fact:
    """Make a fact of what `imap_usual.facts` takes."""
    return Fact(RemoteMessage(UID(int(uid)), int(size), parse_internal_date(date), flag_set(flags)), whole=True)


def identity(commands: Commands) -> bytes:
    """Give the items, each after a blank, that name a message for ever, where the server has such."""
    if GMAIL in commands.capability:
        return b" X-GM-MSGID X-GM-LABELS"
    return b" EMAILID" if "OBJECTID" in commands.capability else b""


def sightings(
    commands: Commands, uids: Sequence[int], usual: Callable[[], Sighting | None] = lambda: None
) -> Iterator[Sighting]:
    """Look at messages afresh: the identity probe of `safety.md` D2; one that is gone does not come.

    `usual` takes the next response if it is one that it knows (`imap_usual.sighting`).

    Raises:
        Refused: The server does not answer for some of them.
    """
    wanted = b"(" + FACTS + identity(commands) + b" " + _FIELDS + b")"
    sets = [part for part, _ in uid_set.commands(uids, octets=LINE - len(wanted) - 32)]
    taken: list[Sighting] = []

    def ahead() -> None:
        while (found := usual()) is not None:
            taken.append(found)

    try:
        for line in _pipelined(commands, sets, wanted, ahead):
            yield from taken
            taken.clear()
            items = read_all(commands, line)
            # Flags that a server sends unasked are no answer to the probe.
            if items is not None and items.uid is not None and items.header is not None:
                yield Sighting(items.message(), items.header)
    except (Refused, MailarchiveError):
        yield from taken
        raise
    yield from taken


def headers(commands: Commands, uids: Sequence[int], items: bytes = HEADERS) -> Iterator[tuple[UID, bytes]]:
    """Ask for the header fields that a selection may need, or for those of other items; gives UID and header block.

    Raises:
        MailboxError: The server refused some of them, after all others were given.
        LaterError: It asks for patience.
    """
    wanted = set(uids)
    sets = [part for part, _ in uid_set.commands(uids, octets=LINE - len(items) - 32)]
    try:
        for line in _pipelined(commands, sets, items):
            found = read_all(commands, line)
            if found is not None and found.uid in wanted and found.header is not None:
                wanted.discard(found.uid)
                yield found.uid, found.header
    except Refused as refused:
        raise refused.error(commands.wire.peer, "the server does not give the headers") from None


def _pipelined(
    commands: Commands, sets: Sequence[bytes], items: bytes, ahead: Callable[[], None] | None = None
) -> Iterator[bytes]:
    """Send a UID FETCH for each set, a few ahead, and give the untagged lines of all of them.

    Raises:
        Refused: One of them was refused; told only after the answers to all of them, which are good.
    """
    sent = 0
    refusal: Refused | None = None
    for done in range(len(sets)):
        while sent < len(sets) and sent - done < IN_FLIGHT:
            commands.send(b"UID FETCH", sets[sent] + b" " + items)
            sent += 1
        try:
            lines = commands.answers()
            if ahead is None:
                yield from lines
                continue
            ahead()
            for line in lines:
                yield line
                ahead()
        except Refused as refused:
            refusal = refusal or refused
            if refused.patience:
                commands.drain()
                break
    if refusal is not None:
        raise refusal


def read_all(commands: Commands, line: bytes) -> Items | None:
    """Read a response whose literals are small; None if it is no FETCH answer."""
    if not FETCH.match(line):
        commands.skip()
        return None
    items = Items()
    for _ in read_items(commands.lexer, items):
        # A body that nobody asked for: a server may not do that, and it is not kept.
        raise ProtocolError(f"{commands.wire.peer} sent a message that was not asked for")
    if items.impossible:
        commands.odd(IMPOSSIBLE)
    return items


def read_items(lexer: Lexer, items: Items) -> Iterator[Literal]:
    """Read the items of a FETCH answer; gives the body's literal, which must be drained before going on."""
    lexer.at = lexer.line.index(b"(") + 1
    while lexer.peek() != b")":
        name = lexer.name()
        items.seen.add(name)
        value = lexer.value()
        if name == b"BODY[]":
            items.has_body = True
            items.body = value
            if isinstance(value, Literal):
                yield value
                lexer.resume()
            continue
        if isinstance(value, Literal):
            # A server may ignore that only the beginning of a header was asked for.
            value = lexer.beginning(value) if name.startswith(b"BODY[HEADER.") else lexer.string(value)
        _take(lexer, items, name, value)
    lexer.at += 1


def _take(lexer: Lexer, items: Items, name: bytes, value: Value) -> None:
    if name == b"UID" and isinstance(value, bytes):
        items.uid = read_uid(value)
        items.impossible = items.uid is None
    elif name == b"FLAGS":
        if not isinstance(value, list):
            raise lexer.broken("flags that are no list")
        text = b" ".join(flag for flag in value if isinstance(flag, bytes))
        if len(text) > FLAGS_CAP:
            raise lexer.broken(f"flags of more than {FLAGS_CAP} octets")
        items.flags = flag_set(text)
    elif name == b"INTERNALDATE" and isinstance(value, bytes):
        items.internal_date = value
    elif name == b"RFC822.SIZE":
        items.size = int(value) if isinstance(value, bytes) and value.isdigit() and len(value) <= 18 else None
    elif name.startswith(b"BODY[HEADER.FIELDS"):
        items.header = value if isinstance(value, bytes) else b""
    else:
        _take_identity(items, name, value)


def _take_identity(items: Items, name: bytes, value: Value) -> None:
    """Read what names a message for ever (RFC 8474, X-GM-EXT-1)."""
    if name == b"X-GM-MSGID" and isinstance(value, bytes) and value.isdigit():
        items.object_id = value.decode("ascii")
    elif name == b"EMAILID" and isinstance(value, list):
        items.object_id = b" ".join(part for part in value if isinstance(part, bytes)).decode("ascii", "replace")
    elif name == b"X-GM-LABELS" and isinstance(value, list):
        items.labels = frozenset(label.decode("utf-8", "replace") for label in value if isinstance(label, bytes))


def read_uid(digits: bytes) -> UID | None:
    """Read a UID; None if it cannot be one."""
    number = int(digits) if digits.isdigit() and len(digits) <= 10 else 0
    return UID(number) if 1 <= number <= uid_set.HIGHEST else None


_flag_sets: dict[bytes, frozenset[str]] = {}


def flag_set(text: bytes) -> frozenset[str]:
    r"""Give flags and keywords as a set, system flags in the RFC's spelling, without `\Recent`."""
    known = _flag_sets.get(text)
    if known is None:
        flags = (_SYSTEM.get(flag.lower(), flag) for flag in text.decode("utf-8", "replace").split())
        # NIL is no flag: where it stands in a list, it is nothing (RFC 9051 section 9).
        known = frozenset(flag for flag in flags if flag != RECENT and flag.upper() != "NIL")
        if len(_flag_sets) < 10_000 and len(text) < 200:
            _flag_sets[text] = known
    return known


_SYSTEM = {
    flag.lower(): flag for flag in ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "\\Recent", FORWARDED)
}
