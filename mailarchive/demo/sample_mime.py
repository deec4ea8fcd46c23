"""Puts the bytes of a well-formed message together (RFC 5322, 2045 and 2047), quickly.

The law of this room: the same arguments give the same bytes; lines end in CRLF; nothing is random here.
"""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from mailarchive.demo.sample_words import Person

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WORD = 42
"""Octets of text in one encoded word: base64 makes 56 of them, far from the 75 of RFC 2047."""


class Part(NamedTuple):
    """A body or a part of one: its Content fields, and its octets as they are sent."""

    fields: tuple[str, ...]
    octets: bytes


def encoded(text: str) -> str:
    """Write the text of a field, in encoded words where it is not ASCII (RFC 2047)."""
    if text.isascii():
        return text
    words, word = [], ""
    for sign in text:
        if len((word + sign).encode()) > _WORD:
            words.append(word)
            word = ""
        word += sign
    return "\r\n ".join(f"=?utf-8?B?{base64.b64encode(each.encode()).decode()}?=" for each in [*words, word])


def address(person: Person) -> str:
    """Write a mailbox of RFC 5322 section 3.4."""
    name = f'"{person.name}"' if "." in person.name else encoded(person.name)
    return f"{name} <{person.address}>"


def date(moment: datetime) -> str:
    """Write a date-time of RFC 5322 section 3.3."""
    minutes = (moment.utcoffset() or timedelta()) // timedelta(minutes=1)
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
    day = f"{_DAYS[moment.weekday()]}, {moment.day} {_MONTHS[moment.month - 1]} {moment.year:04}"
    return f"{day} {moment:%H:%M:%S} {zone}"


def text(words: str, *, subtype: str = "plain", charset: str = "utf-8") -> Part:
    """Make a text part: as it is where it is ASCII, quoted-printable where that is readable, else base64."""
    octets = words.encode(charset)
    kind = f"Content-Type: text/{subtype}; charset={charset}"
    if words.isascii():
        return Part((kind, "Content-Transfer-Encoding: 7bit"), octets.replace(b"\n", b"\r\n"))
    if sum(octet > 0x7E for octet in octets) * 4 < len(octets):
        printable = binascii.b2a_qp(octets, istext=True).replace(b"\n", b"\r\n")
        return Part((kind, "Content-Transfer-Encoding: quoted-printable"), printable)
    return Part((kind, "Content-Transfer-Encoding: base64"), _base64(octets.replace(b"\n", b"\r\n")))


def attachment(name: str, kind: str, octets: bytes) -> Part:
    """Make a part that is a file."""
    # RFC 2231 section 4: an encoded word may not stand in quotes.
    filename = f'filename="{name}"' if name.isascii() else f"filename*=utf-8''{quote(name)}"
    fields = (
        f"Content-Type: {kind}",
        f"Content-Disposition: attachment; {filename}",
        "Content-Transfer-Encoding: base64",
    )
    return Part(fields, _base64(octets))


def multipart(subtype: str, boundary: str, parts: Sequence[Part]) -> Part:
    """Put parts together (RFC 2046 section 5.1); the boundary must not occur in them."""
    mark = f"--{boundary}".encode()
    octets = b"".join(b"%s\r\n%s\r\n\r\n%s\r\n" % (mark, _block(part.fields), part.octets) for part in parts)
    return Part((f'Content-Type: multipart/{subtype}; boundary="{boundary}"',), octets + mark + b"--\r\n")


def message(fields: Iterable[str], body: Part) -> bytes:
    """Put header fields, each `Name: value`, and a body together."""
    return b"%s\r\n\r\n%s" % (_block([*fields, "MIME-Version: 1.0", *body.fields]), body.octets)


def _block(fields: Iterable[str]) -> bytes:
    return "\r\n".join(fields).encode("ascii")


def _base64(octets: bytes) -> bytes:
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")
