"""From the octets of a part to what was meant: transfer encodings and charsets undone, HTML as text.

The law of this room: at most as much is decoded as was asked for, and broken encodings give what can be had of them.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mailarchive.reading.fields import in_charset
from mailarchive.reading.html import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.reading.parts import Octets, Part

_AT_ONCE: Final = 768 * 1024
"""Octets of content that are decoded in one step."""

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
_PADDING = re.compile(rb"=+")
_UU_BEGIN = re.compile(rb"\s*begin [0-7]{3,4} [^\n]*\n")
_UU = ("x-uuencode", "uuencode", "x-uue", "uue")


def decoded(octets: Octets, part: Part) -> Iterator[bytes]:
    """Give the content of a part with its transfer encoding undone, in pieces (RFC 2045 section 6)."""
    if part.encoding == "base64":
        return _from_base64(octets, part)
    if part.encoding == "quoted-printable":
        return _from_quoted(octets, part)
    if part.encoding in _UU:
        return _from_uu(octets, part)
    return _slices(octets, part)


def text(octets: Octets, part: Part, most: int) -> str:
    """Give the text of a part, HTML without its marks, from at most so many octets of content.

    Lines end in LF; there is no NUL in it.
    """
    pieces: list[bytes] = []
    room = most
    # No encoding makes four octets of one, so what is behind that is not even looked at.
    for piece in decoded(octets, replace(part, end=min(part.end, part.begin + 4 * most))):
        pieces.append(piece[:room])
        room -= len(pieces[-1])
        if room <= 0:
            break
    found = in_charset(b"".join(pieces), part.charset)
    if part.kind in ("text/html", "application/xhtml+xml"):
        found = plain(found)
    return found.replace("\r\n", "\n").replace("\r", "\n").replace("\0", " ")


def _slices(octets: Octets, part: Part) -> Iterator[bytes]:
    for begin in range(part.begin, part.end, _AT_ONCE):
        yield octets[begin : min(begin + _AT_ONCE, part.end)]


def _from_base64(octets: Octets, part: Part) -> Iterator[bytes]:
    """Undo base64; other characters are passed over, and padding ends a run, as some mailers go on after it."""
    rest = b""
    for piece in _slices(octets, part):
        *ended, last = _PADDING.split(_NOT_BASE64.sub(b"", piece))
        for run in ended:
            yield _whole(rest + run)
            rest = b""
        digits = rest + last
        rest = digits[len(digits) - len(digits) % 4 :]
        yield binascii.a2b_base64(digits[: len(digits) - len(rest)])
    yield _whole(rest)


def _whole(digits: bytes) -> bytes:
    """Decode base64 digits, as many as make whole octets."""
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def _from_quoted(octets: Octets, part: Part) -> Iterator[bytes]:
    """Undo quoted-printable line by line, many at a time: no escape goes over the end of a line."""
    begin = part.begin
    while begin < part.end:
        end = min(begin + _AT_ONCE, part.end)
        if end < part.end:
            line = octets.rfind(b"\n", begin, end)
            end = line + 1 if line >= begin else end
        yield binascii.a2b_qp(octets[begin:end])
        begin = end


def _from_uu(octets: Octets, part: Part) -> Iterator[bytes]:
    """Undo uuencode; a line that is none ends it."""
    head = _UU_BEGIN.match(octets[part.begin : min(part.begin + 1000, part.end)])
    at = part.begin + (head.end() if head else 0)
    while at < part.end:
        line = octets.find(b"\n", at, part.end)
        end = line if line >= 0 else part.end
        content = octets[at:end].rstrip(b"\r")
        if content in (b"end", b"", b"`") or len(content) > 200:
            return
        try:
            yield binascii.a2b_uu(content)
        except binascii.Error:
            return
        at = end + 1
