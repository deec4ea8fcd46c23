"""Header, fields and text of a message, however malformed it is.

The law of this room: bytes that are handed on are slices of the message, never rewritten; what is decoded is only
compared, never sent; no message makes it fail.
"""

from __future__ import annotations

import email
import re
from datetime import date
from email.errors import HeaderParseError, MessageError
from email.header import decode_header
from email.utils import parsedate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_EMPTY_LINE = re.compile(rb"\A\r?\n|\r?\n\r?\n")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*(?:\n|\Z)")


def split(raw: bytes) -> tuple[bytes, bytes]:
    """Give the header with the empty line behind it, and the body; all is header where there is no empty line."""
    found = _EMPTY_LINE.search(raw)
    end = found.end() if found else len(raw)
    return raw[:end], raw[end:]


def fields(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give the name in lower case and the whole octets of each field; lines that are no field are left out."""
    at = 0
    while at < len(header):
        found = _FIELD.match(header, at)
        if found:
            yield found[1].lower(), found[0]
            at = found.end()
        else:
            at = (header.find(b"\n", at) + 1) or len(header)


def values(raw: bytes, name: bytes) -> list[str]:
    """Give the values of all fields of a name (in lower case), unfolded and decoded (RFC 2047)."""
    return [decoded(field.partition(b":")[2]) for found, field in fields(split(raw)[0]) if found == name]


def header_text(raw: bytes) -> str:
    """Give all fields of the header, decoded, a line each."""
    return "\n".join(decoded(field) for _, field in fields(split(raw)[0]))


def decoded(value: bytes) -> str:
    """Decode the value of a field as well as can be."""
    text = _characters(re.sub(rb"\r?\n", b"", value)).strip()
    if "=?" not in text:
        return text
    try:
        parts = decode_header(text)
    except (HeaderParseError, ValueError):
        return text
    return "".join(_characters(part, charset) if isinstance(part, bytes) else part for part, charset in parts)


def sent(raw: bytes) -> date | None:
    """Give the day that the Date field names, in its own zone; None if there is none."""
    found = values(raw, b"date")
    try:
        parsed = parsedate(found[0]) if found else None
        return date(*parsed[:3]) if parsed else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def text(raw: bytes) -> str:
    """Give the text parts of a body, with their transfer encodings and charsets undone."""
    parts = []
    try:
        for part in email.message_from_bytes(raw).walk():
            if part.get_content_maintype() != "text":
                continue
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                parts.append(_characters(payload, part.get_content_charset()))
    except (MessageError, ValueError, LookupError):
        parts.append(_characters(split(raw)[1]))
    return "\n".join(parts)


def _characters(octets: bytes, charset: str | None = None) -> str:
    for name in (charset, "utf-8"):
        try:
            if name:
                return octets.decode(name)
        except (ValueError, LookupError):
            continue
    return octets.decode("latin-1")
