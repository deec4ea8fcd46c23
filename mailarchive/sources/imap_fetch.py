"""Reads the answers to FETCH: facts of many messages, header blocks, and bodies as streams (RFC 9051 section 7.5.2).

The law of this room: an answer counts only if it carries the UID; a body goes through in pieces, never whole in
memory; the next command is on its way before the last one is drained; what was asked for and did not come is told,
with the reason, and never guessed. Servers answer in any order, any case, and with things nobody asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mailarchive.dates import parse_internal_date
from mailarchive.errors import LaterError, ProtocolError
from mailarchive.model import RECENT, UID, NotFetched, RemoteMessage
from mailarchive.sources import uid_set
from mailarchive.sources.imap_commands import LINE, Refused
from mailarchive.sources.imap_lexer import Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.sources.imap_commands import Commands
    from mailarchive.sources.imap_lexer import Lexer, Value

LITERAL_CAP = 1024**3
"""Octets of the largest message that is taken."""

FACTS = b"(UID FLAGS INTERNALDATE RFC822.SIZE)"
BODIES = b"(UID FLAGS INTERNALDATE BODY.PEEK[])"
HEADERS = b"(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM TO CC SUBJECT LIST-ID)]<0.65536>)"
IN_FLIGHT = 2
"""Commands on their way at a time."""

_FETCH = re.compile(rb"\* \d+ (?:UID)?FETCH \(", re.IGNORECASE)
_COMMON_FACTS = re.compile(
    rb'\* \d+ FETCH \(UID (\d{1,10}) FLAGS \(([^()"]*)\) INTERNALDATE "([^"]{26})" RFC822\.SIZE (\d{1,10})\)\r?\n\Z'
)
_COMMON_BODY = re.compile(
    rb'\* \d+ FETCH \(UID (\d{1,10}) FLAGS \(([^()"]*)\) INTERNALDATE "([^"]{26})" BODY\[\] \{(\d{1,10})\}\r?\n\Z'
)


@dataclass(slots=True)
class _Items:
    """What one FETCH answer has said so far."""

    uid: UID | None = None
    flags: frozenset[str] | None = None
    internal_date: bytes | None = None
    size: int | None = None
    body: Value = None
    has_body: bool = False
    header: bytes | None = None
    seen: set[bytes] = field(default_factory=set)

    def message(self) -> RemoteMessage:
        date = parse_internal_date(self.internal_date) if self.internal_date is not None else None
        return RemoteMessage(self.uid or UID(0), self.size, date, self.flags)


class Fact(NamedTuple):
    """One FETCH answer about a message; `whole` if it holds more than the flags that servers send unasked."""

    message: RemoteMessage
    whole: bool


def facts(commands: Commands, sets: Sequence[bytes]) -> Iterator[Fact]:
    """Ask for UID, FLAGS, INTERNALDATE and RFC822.SIZE of each set, and give every answer that carries a UID."""
    for line in _pipelined(commands, sets, FACTS):
        common = _COMMON_FACTS.match(line)
        if common:
            uid, flags, date, size = common.groups()
            message = RemoteMessage(_uid(uid), int(size), parse_internal_date(date), flag_set(flags))
            yield Fact(message, whole=True)
            continue
        items = _read_all(commands, line)
        if items is not None and items.uid is not None:
            yield Fact(items.message(), whole=bool(items.seen & {b"INTERNALDATE", b"RFC822.SIZE"}))


def headers(commands: Commands, uids: Sequence[int]) -> Iterator[tuple[UID, bytes]]:
    """Ask for the header fields that a selection may need; gives UID and header block."""
    wanted = set(uids)
    sets = [part for part, _ in uid_set.commands(uids, octets=LINE - len(HEADERS) - 32)]
    for line in _pipelined(commands, sets, HEADERS):
        items = _read_all(commands, line)
        if items is not None and items.uid in wanted and items.header is not None:
            wanted.discard(items.uid)
            yield items.uid, items.header


def _pipelined(commands: Commands, sets: Sequence[bytes], items: bytes) -> Iterator[bytes]:
    """Send a UID FETCH for each set, a few ahead, and give the untagged lines of all of them."""
    sent = 0
    for done in range(len(sets)):
        while sent < len(sets) and sent - done < IN_FLIGHT:
            commands.send(b"UID FETCH", sets[sent] + b" " + items)
            sent += 1
        yield from commands.answers()


def _read_all(commands: Commands, line: bytes) -> _Items | None:
    """Read a response whose literals are small; None if it is no FETCH answer."""
    if not _FETCH.match(line):
        commands.skip()
        return None
    items = _Items()
    for _ in _items(commands.lexer, items):
        # A body that nobody asked for: a server may not do that, and it is not kept.
        raise ProtocolError(f"{commands.wire.peer} sent a message that was not asked for")
    return items


def _items(lexer: Lexer, items: _Items) -> Iterator[Literal]:
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
            value = lexer.string(value)
        _take(lexer, items, name, value)
    lexer.at += 1


def _take(lexer: Lexer, items: _Items, name: bytes, value: Value) -> None:
    if name == b"UID" and isinstance(value, bytes):
        items.uid = _uid(value)
    elif name == b"FLAGS":
        if not isinstance(value, list):
            raise lexer.broken("flags that are no list")
        items.flags = flag_set(b" ".join(flag for flag in value if isinstance(flag, bytes)))
    elif name == b"INTERNALDATE" and isinstance(value, bytes):
        items.internal_date = value
    elif name == b"RFC822.SIZE":
        items.size = int(value) if isinstance(value, bytes) and value.isdigit() and len(value) < 20 else None
    elif name.startswith(b"BODY[HEADER.FIELDS"):
        items.header = value if isinstance(value, bytes) else b""


def _uid(digits: bytes) -> UID:
    number = int(digits) if digits.isdigit() and len(digits) <= 10 else 0
    if not 1 <= number <= uid_set.HIGHEST:
        raise ProtocolError("the server sent a UID that cannot be")
    return UID(number)


_flag_sets: dict[bytes, frozenset[str]] = {}


def flag_set(text: bytes) -> frozenset[str]:
    r"""Give flags and keywords as a set, system flags in the RFC's spelling, without `\Recent`."""
    known = _flag_sets.get(text)
    if known is None:
        flags = (_SYSTEM.get(flag.lower(), flag) for flag in text.decode("utf-8", "replace").split())
        known = frozenset(flag for flag in flags if flag != RECENT)
        if len(_flag_sets) < 10_000:
            _flag_sets[text] = known
    return known


_SYSTEM = {flag.lower(): flag for flag in ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "\\Recent")}


class Body:
    """One message that is arriving; see `ports.Incoming`."""

    __slots__ = ("_arrived", "_expected", "_items", "_literal", "_rest", "_wire", "drained")

    def __init__(self, commands: Commands, items: _Items, literal: Literal, rest: Iterator[Literal]) -> None:
        self._wire = commands.wire
        self._items = items
        self._literal = literal
        self._rest = rest
        self._expected: dict[int, RemoteMessage] = {}
        self._arrived: set[int] = set()
        self.drained = False

    def expect(self, wanted: dict[int, RemoteMessage], arrived: set[int]) -> Body:
        """Say what the listing knew, for what the answer leaves out, and which messages have come before."""
        self._expected = wanted
        self._arrived = arrived
        return self

    def chunks(self) -> Iterator[memoryview]:
        """Give the octets, and read the answer to its end behind them."""
        yield from self._wire.pieces(self._literal.size)
        self.finish()

    def finish(self) -> None:
        """Read what stands behind the octets; called once they are drained."""
        if not self.drained:
            self.drained = True
            for _ in self._rest:
                raise ProtocolError(f"{self._wire.peer} sent two bodies in one answer")

    @property
    def uid(self) -> UID | None:
        """The UID, as soon as the answer has given it."""
        return self._items.uid

    @property
    def message(self) -> RemoteMessage:
        """The facts of the answer, completed from the listing. Complete only after the chunks."""
        uid = self._items.uid
        if uid in self._arrived:
            raise ProtocolError(f"{self._wire.peer} sent UID {uid} twice")
        listed = self._expected.get(uid) if uid is not None else None
        if listed is None:
            raise ProtocolError(f"{self._wire.peer} sent a message that was not asked for")
        fresh = self._items.message()
        return RemoteMessage(
            listed.uid,
            listed.size,
            listed.internal_date if fresh.internal_date is None else fresh.internal_date,
            listed.flags if fresh.flags is None else fresh.flags,
        )


def bodies(commands: Commands, messages: Sequence[RemoteMessage]) -> Iterator[Body | NotFetched]:
    """Ask for the bodies of messages, in ascending order of UID, and give them as they come.

    Each message comes once, as a Body or as NotFetched; a command that fails is asked again in halves until the message
    that the server cannot give stands alone.

    Raises:
        ProtocolError: A body came twice, was not asked for, or is over `LITERAL_CAP`.
    """
    wanted = {int(message.uid): message for message in messages}
    uids = sorted(wanted)
    octets = LINE - len(BODIES) - 32
    parts = [list(part) for _, part in uid_set.commands(uids, octets=octets)]
    lost: list[tuple[list[int], str]] = []
    arrived: set[int] = set()
    sent = 0
    for done, part in enumerate(parts):
        while sent < len(parts) and sent - done < IN_FLIGHT:
            _ask(commands, parts[sent])
            sent += 1
        reason = ""
        try:
            yield from _arriving(commands, wanted, arrived)
        except Refused as refused:
            reason = _reason(commands, refused)
        missing = [uid for uid in part if uid not in arrived]
        if missing:
            lost.append((missing, reason))
    for missing, reason in lost:
        yield from _again(commands, wanted, missing, reason)


def _ask(commands: Commands, uids: Sequence[int]) -> None:
    (one,) = uid_set.commands(uids, octets=LINE)
    commands.send(b"UID FETCH", one[0] + b" " + BODIES)


def _reason(commands: Commands, refused: Refused) -> str:
    """Give the server's reason for refusing a FETCH; a server that asks for patience is not asked again."""
    if refused.patience:
        raise LaterError(f"{commands.wire.peer} asks to wait: {refused.shown}")
    return refused.shown or "refused without a reason"


def _again(
    commands: Commands, wanted: dict[int, RemoteMessage], uids: list[int], reason: str
) -> Iterator[Body | NotFetched]:
    """Ask again for what did not come: after a refusal in halves; after an OK find out what is gone."""
    if not reason:
        yield from _explained(commands, uids)
        return
    if len(uids) == 1:
        yield NotFetched(UID(uids[0]), f"the server does not give it: {reason}")
        return
    middle = len(uids) // 2
    for half in (uids[:middle], uids[middle:]):
        arrived: set[int] = set()
        _ask(commands, half)
        said = ""
        try:
            yield from _arriving(commands, wanted, arrived)
        except Refused as refused:
            said = _reason(commands, refused)
        missing = [uid for uid in half if uid not in arrived]
        if missing:
            yield from _again(commands, wanted, missing, said)


def _explained(commands: Commands, uids: list[int]) -> Iterator[NotFetched]:
    """Say which of the missing messages have been removed by another hand, and which the server holds back."""
    still: set[int] = set()
    for part, _ in uid_set.commands(uids, octets=LINE - 32):
        commands.send(b"UID FETCH", part + b" (UID)")
        for line in commands.answers():
            items = _read_all(commands, line)
            if items is not None and items.uid is not None:
                still.add(items.uid)
    for uid in uids:
        if uid in still:
            yield NotFetched(UID(uid), "the server lists it and gives no text for it")
        else:
            yield NotFetched(UID(uid), "gone by another hand", gone=True)


def _arriving(commands: Commands, wanted: dict[int, RemoteMessage], arrived: set[int]) -> Iterator[Body | NotFetched]:
    """Give the bodies in the answer to one command."""
    for line in commands.answers():
        body = _common(commands, line) or _careful(commands, line)
        if body is None:
            continue
        if isinstance(body, NotFetched):
            if body.uid in wanted and body.uid not in arrived:
                arrived.add(body.uid)
                yield body
            continue
        yield body.expect(wanted, arrived)
        if not body.drained:
            raise AssertionError("a body was not read to its end")
        arrived.add(int(body.message.uid))


def _common(commands: Commands, line: bytes) -> Body | None:
    """Recognise the usual answer by one pattern."""
    found = _COMMON_BODY.match(line)
    if not found:
        return None
    uid, flags, date, size = found.groups()
    items = _Items(uid=_uid(uid), flags=flag_set(flags), internal_date=date, has_body=True)
    literal = Literal(int(size))
    if not literal.size:
        return None
    _check_size(commands, literal)
    commands.lexer.at = len(line)
    return Body(commands, items, literal, _tail(commands.lexer, items))


def _tail(lexer: Lexer, items: _Items) -> Iterator[Literal]:
    """Read what stands behind the literal of the usual answer: nearly always `)` alone."""
    lexer.resume()
    if lexer.line in (b")\r\n", b")\n"):
        lexer.at = 1
        return
    lexer.line = b"(" + lexer.line
    yield from _items(lexer, items)


def _careful(commands: Commands, line: bytes) -> Body | NotFetched | None:
    """Read an answer of any shape up to its body; None if it holds none."""
    if not _FETCH.match(line):
        commands.skip()
        return None
    items = _Items()
    rest = _items(commands.lexer, items)
    literal = next(rest, None)
    if literal is not None and literal.size:
        _check_size(commands, literal)
        return Body(commands, items, literal, rest)
    for _ in rest:
        raise ProtocolError(f"{commands.wire.peer} sent two bodies in one answer")
    if not items.has_body or items.uid is None:
        return None
    if isinstance(items.body, bytes) and items.body:
        # RFC 9051 lets a server send a short body as a quoted string.
        return _Short(commands, items, items.body)
    return NotFetched(items.uid, "the server sent an empty text for it")


def _check_size(commands: Commands, literal: Literal) -> None:
    if literal.size > LITERAL_CAP:
        raise ProtocolError(f"{commands.wire.peer} announced a message of {literal.size} octets, more than 1 GiB")


class _Short(Body):
    """A body that came as a quoted string and is in memory already."""

    __slots__ = ("_octets",)

    def __init__(self, commands: Commands, items: _Items, octets: bytes) -> None:
        super().__init__(commands, items, Literal(len(octets)), iter(()))
        self._octets = octets

    def chunks(self) -> Iterator[memoryview]:
        """Give the octets."""
        yield memoryview(self._octets)
        self.finish()
