"""The parts of a message, found without recursion (RFC 2046).

The law of this room: a part is a stretch of the message's octets and nothing is copied. A message of a thousand nested
parts costs no more than one of twenty: what lies deeper, or comes after the thousandth part, is one part that is not
looked into.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from mailarchive import headers
from mailarchive.reading import fields

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

Octets: TypeAlias = "bytes | mmap.mmap"
"""A message: in memory, or a file that is mapped."""

MOST: Final = 1000
"""Parts of a message."""

DEEPEST: Final = 20
"""Multiparts and messages inside one another."""

HEADER: Final = 16 * 1024
"""Octets of the header of one part that are looked at; the message's own may have 64 KiB."""

_NAMES = (b"content-type", b"content-disposition", b"content-transfer-encoding", b"content-id")
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
_END = re.compile(rb"\A\r?\n|\n\r?\n")
_LINE_END = re.compile(rb"[ \t]*(?:\r?\n|\Z)")


@dataclass(frozen=True, slots=True)
class Part:
    """One part that holds no others, or is not looked into; or a message inside the message.

    Attributes:
        number: `2` or `2.1`, as IMAP counts them (RFC 9051 section 6.4.5.1); a message in one part is `1`.
        kind: Such as `text/plain`, in small letters.
        charset: As it is declared; empty if it is not.
        encoding: The transfer encoding, in small letters.
        name: Of the file, decoded; empty if it has none. Foreign: never a path.
        attached: Whether it is to be shown apart from the text.
        begin: Where its content begins in the message. `end`: where it ends.
        header: Where its own header begins; for a message inside, that of the part which holds it.
    """

    number: str
    kind: str
    charset: str = ""
    encoding: str = ""
    name: str = ""
    attached: bool = False
    begin: int = 0
    end: int = 0
    header: int = 0

    @property
    def is_message(self) -> bool:
        """Whether it is a message inside the message."""
        return self.kind in ("message/rfc822", "message/global")


class _Open(NamedTuple):
    """A part that is still to be looked at; `whole` is that it is a message, and `number` that of what holds it."""

    number: str
    whole: bool
    header: int
    end: int
    depth: int
    default: str
    head: int


def parts(octets: Octets) -> Iterator[Part]:
    """Give the parts of a message in their order, without what only holds others together.

    A message inside comes before its own parts.
    """
    waiting = [_Open("", True, 0, len(octets), 0, "text/plain", headers.HEAD)]
    seen = 0
    while waiting and seen < MOST:
        here = waiting.pop()
        part, boundary = _described(octets, here)
        inside: list[_Open] = []
        if here.depth < DEEPEST:
            if part.kind.startswith("multipart/") and boundary:
                inside = _divided(octets, part, boundary, here)
            elif part.is_message and part.encoding in ("", "7bit", "8bit", "binary"):
                inside = [_Open(part.number, True, part.begin, part.end, here.depth + 1, "text/plain", HEADER)]
        if part.is_message or not inside:
            seen += 1
            yield part
        waiting.extend(reversed(inside))


def body_at(octets: Octets, header: int, end: int, most: int) -> int:
    """Give where the content behind a header begins; the end if the header does not end in so many octets."""
    if octets[header : header + 1] == b"\n":
        return min(header + 1, end)
    if octets[header : header + 2] == b"\r\n":
        return min(header + 2, end)
    found = _END.search(octets[header : min(end, header + most)])
    return min(header + found.end(), end) if found else end


def _described(octets: Octets, here: _Open) -> tuple[Part, bytes]:
    """Read the header of a part; gives also its boundary, if it has one."""
    begin = body_at(octets, here.header, here.end, here.head)
    found = headers.fields(octets[here.header : min(begin, here.header + here.head)], _NAMES)
    first = {name: values[0] for name, values in found.items() if values}
    kind, more = fields.value(first.get(b"content-type", b""))
    disposition, named = fields.value(first.get(b"content-disposition", b""))
    if "/" not in kind:
        kind = here.default
    multipart = kind.startswith("multipart/")
    name = "" if multipart else fields.file_name(named, more)
    part = Part(
        number=(f"{here.number}.1" if here.number else "1") if here.whole and not multipart else here.number,
        kind=kind,
        charset=more.get("charset", ""),
        encoding=fields.value(first.get(b"content-transfer-encoding", b""))[0],
        name=name,
        attached=not multipart and _is_attached(kind, disposition, name, embedded=b"content-id" in first),
        begin=begin,
        end=here.end,
        header=here.header,
    )
    return part, more.get("boundary", "").encode("utf-8", "replace")[:200] if multipart else b""


def _is_attached(kind: str, disposition: str, name: str, *, embedded: bool) -> bool:
    """Tell whether a part is to be shown apart: it says so, or it is no text and no picture of the text."""
    if disposition == "attachment":
        return True
    if kind in _SIGNATURES:
        return False
    if kind.startswith("text/"):
        return bool(name) and disposition != "inline"
    if kind.startswith("image/"):
        return not embedded and (bool(name) or disposition != "inline")
    return True


def _divided(octets: Octets, part: Part, boundary: bytes, here: _Open) -> list[_Open]:
    """Cut a multipart at its boundary; an empty list if that does not stand in it."""
    default = "message/rfc822" if part.kind == "multipart/digest" else "text/plain"
    delimiter = b"--" + boundary
    found: list[_Open] = []
    open_at = -1
    at = part.begin - 1 if part.begin and octets[part.begin - 1 : part.begin] == b"\n" else part.begin
    while len(found) < MOST:
        line = octets.find(b"\n" + delimiter, at, part.end)
        if line < 0:
            break
        behind = line + 1 + len(delimiter)
        last = octets[behind : behind + 2] == b"--"
        ends = _LINE_END.match(octets[behind : min(behind + 200, part.end)])
        if not last and ends is None:
            at = behind
            continue
        if open_at >= 0:
            found.append(_child(here, found, open_at, _before(octets, open_at, line), default))
            open_at = -1
        if last or ends is None:
            break
        open_at = behind + ends.end()
        # The line end of one delimiter may be that before the next.
        at = max(open_at - 1, behind)
    if open_at >= 0 and len(found) < MOST:
        found.append(_child(here, found, open_at, part.end, default))
    return found


def _child(here: _Open, found: list[_Open], begin: int, end: int, default: str) -> _Open:
    number = f"{here.number}.{len(found) + 1}" if here.number else str(len(found) + 1)
    return _Open(number, False, min(begin, end), end, here.depth + 1, default, HEADER)


def _before(octets: Octets, begin: int, line: int) -> int:
    """Give the end of a part: the line end before a delimiter belongs to that."""
    end = line - 1 if octets[line - 1 : line] == b"\r" else line
    return max(begin, end)
