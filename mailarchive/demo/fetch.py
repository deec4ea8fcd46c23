r"""The data items of FETCH (RFC 3501 section 6.4.5).

The law of this room: the octets of a message leave as they are stored. `\Seen` is set only by an item that says so in
the RFC, and only through the caller. What this server does not offer (ENVELOPE, BODYSTRUCTURE, single MIME parts) is
refused in words, never answered with something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailarchive.demo import anatomy
from mailarchive.demo.syntax import BadError, internal_date, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mailarchive.demo.mailbox import Message
    from mailarchive.demo.syntax import Arguments
    from mailarchive.demo.view import View

_NAME = re.compile(rb"[A-Za-z0-9.-]+")
_BODY = re.compile(rb"BODY(\.PEEK)?\[", re.IGNORECASE)
_SECTION = re.compile(rb"(?:HEADER\.FIELDS(?:\.NOT)?|HEADER|TEXT|[0-9][A-Z0-9.]*)?", re.IGNORECASE)
_PARTIAL = re.compile(rb"<(\d{1,10})\.(\d{1,10})>")
_FIELD_NAME = re.compile(rb"[!-9;-~]+\Z")
_FAST = (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE")
_NOT_OFFERED = (b"ALL", b"FULL", b"ENVELOPE", b"BODY", b"BODYSTRUCTURE")


class NotOfferedError(Exception):
    """The item is part of IMAP, but not of this server."""


@dataclass(frozen=True, slots=True)
class Item:
    r"""One data item.

    Attributes:
        name: As it stands in the answer.
        value: Gives the value as it stands on the wire, in pieces.
        sets_seen: Whether reading it sets `\Seen`.
    """

    name: bytes
    value: Callable[[Message], Sequence[bytes]]
    sets_seen: bool = False


def items(arguments: Arguments, view: View, more: Mapping[bytes, Callable[[View], Item]], *, uid: bool) -> list[Item]:
    """Read the items of a FETCH command, and add UID where the command is UID FETCH.

    Args:
        arguments: Standing at the first item.
        view: The selected mailbox.
        more: The items of this server that the RFC does not know.
        uid: Whether the command is UID FETCH.

    Raises:
        BadError: They break the grammar.
        NotOfferedError: One of them is not offered here.
    """
    if arguments.take(b"FAST"):
        found = [_plain(name, view) for name in _FAST]
    else:
        found = arguments.items(lambda: _item(arguments, view, more))
    if uid and all(item.name != b"UID" for item in found):
        found.insert(0, _plain(b"UID", view))
    return found


def flags_item(view: View) -> Item:
    """Give the item FLAGS."""
    return Item(b"FLAGS", lambda message: (view.flags(message),))


def response(number: int, message: Message, wanted: Sequence[Item]) -> Iterator[bytes]:
    """Give the pieces of one FETCH response."""
    yield b"* %d FETCH (" % number
    for place, item in enumerate(wanted):
        yield b" " * bool(place) + item.name + b" "
        yield from item.value(message)
    yield b")\r\n"


def _item(arguments: Arguments, view: View, more: Mapping[bytes, Callable[[View], Item]]) -> Item:
    if arguments.peek(b"BODY[") or arguments.peek(b"BODY.PEEK["):
        return _body(arguments)
    name = arguments.match(_NAME, "a data item")[0].upper()
    if name in _NOT_OFFERED:
        raise NotOfferedError(name.decode())
    if name in more:
        return more[name](view)
    return _plain(name, view)


def _plain(name: bytes, view: View) -> Item:
    if name == b"FLAGS":
        return flags_item(view)
    if name == b"UID":
        return Item(name, lambda message: (b"%d" % message.uid,))
    if name == b"INTERNALDATE":
        return Item(name, lambda message: (internal_date(message.internal_date),))
    if name == b"RFC822.SIZE":
        return Item(name, lambda message: (b"%d" % len(message.raw),))
    if name == b"RFC822":
        return Item(name, lambda message: _literal(message.raw), sets_seen=True)
    if name == b"RFC822.HEADER":
        return Item(name, lambda message: _literal(anatomy.split(message.raw)[0]))
    if name == b"RFC822.TEXT":
        return Item(name, lambda message: _literal(anatomy.split(message.raw)[1]), sets_seen=True)
    raise BadError(f"{name.decode()} is no data item")


def _body(arguments: Arguments) -> Item:
    peek = arguments.match(_BODY, "a data item")[1] is not None
    section = arguments.match(_SECTION, "a section")[0].upper()
    if section[:1].isdigit():
        raise NotOfferedError("a single MIME part")
    shown = section
    if section.startswith(b"HEADER.FIELDS"):
        arguments.space()
        asked = arguments.listing(lambda: _field_name(arguments))
        if not asked:
            raise BadError("no field is named")
        shown += b" (%s)" % b" ".join(asked)
        part = _header_fields(frozenset(name.lower() for name in asked), without=section.endswith(b".NOT"))
    else:
        part = _PARTS[section]
    arguments.expect(b"]")
    name = b"BODY[%s]" % shown
    if not arguments.peek(b"<"):
        return Item(name, lambda message: _literal(part(message.raw)), sets_seen=not peek)
    first, most = map(int, arguments.match(_PARTIAL, "a partial range").groups())
    if not most:
        raise BadError("a partial range of nothing")
    return Item(
        b"%s<%d>" % (name, first),
        lambda message: _literal(part(message.raw)[first : first + most]),
        sets_seen=not peek,
    )


def _field_name(arguments: Arguments) -> bytes:
    name = arguments.astring()
    if not _FIELD_NAME.match(name):
        raise BadError("a field of that name cannot be")
    # Written back as an atom where it is one, so that a client finds what it asked for.
    return name.upper() if re.fullmatch(rb'[^(){%*"\\\]]+', name) else quoted(name.upper())


def _header_fields(asked: frozenset[bytes], *, without: bool) -> Callable[[bytes], bytes]:
    def part(raw: bytes) -> bytes:
        header = anatomy.split(raw)[0]
        return b"".join(field for name, field in anatomy.fields(header) if (name in asked) != without) + b"\r\n"

    return part


def _literal(octets: bytes) -> tuple[bytes, bytes]:
    return b"{%d}\r\n" % len(octets), octets


_PARTS: dict[bytes, Callable[[bytes], bytes]] = {
    b"": lambda raw: raw,
    b"HEADER": lambda raw: anatomy.split(raw)[0],
    b"TEXT": lambda raw: anatomy.split(raw)[1],
}
