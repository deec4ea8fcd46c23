"""Fields with parameters: Content-Type and Content-Disposition (RFC 2045 section 5.1, RFC 2183, RFC 2231).

The law of this room: lenient; what cannot be read is left out, and it never raises.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from mailarchive import headers

MOST: Final = 50
"""Parameters of one field that are looked at."""

_PARAMETER = re.compile(
    r";\s*([A-Za-z0-9!#$&+.^_`{|}~-]{1,60})(?:\*([0-9]{1,2}))?(\*)?\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"?|([^;]*))",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_KIND = re.compile(r"\s*([A-Za-z0-9!#$&+.^_-]{1,80})\s*(?:/\s*([A-Za-z0-9!#$&+.^_-]{1,80}))?")


def value(field: bytes) -> tuple[str, dict[str, str]]:
    """Read a field as its value in small letters, such as `text/plain`, and its parameters, names in small letters.

    Pieces of a parameter are put together, and what is percent-encoded with a charset is decoded (RFC 2231).
    """
    if not field:
        return "", {}
    text = _characters(field[: headers.FIELD])
    found = _KIND.match(text)
    kind = "/".join(filter(None, found.groups())).lower() if found else ""
    if ";" not in text:
        return kind, {}
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    for count, match in enumerate(_PARAMETER.finditer(text)):
        if count >= MOST:
            break
        name, number, extended, quoted, bare = match.groups()
        content = _ESCAPE.sub(r"\1", quoted) if quoted is not None else bare.strip()
        pieces.setdefault(name.lower(), []).append((int(number) if number else -1, bool(extended), content))
    return kind, {name: _joined(found) for name, found in pieces.items()}


def _joined(pieces: list[tuple[int, bool, str]]) -> str:
    """Put the pieces of one parameter together; a plain one stands behind one of RFC 2231."""
    better = [piece for piece in pieces if piece[1] or piece[0] >= 0]
    if not better:
        return pieces[0][2]
    ordered = sorted(better, key=lambda piece: piece[0])
    charset, octets = "", b""
    for index, (_, extended, content) in enumerate(ordered):
        rest = content
        if index == 0 and extended and content.count("'") >= 2:
            charset, _, rest = content.split("'", 2)
        octets += unquote_to_bytes(rest) if extended else rest.encode("utf-8", "replace")
    return in_charset(octets, charset)


def in_charset(octets: bytes, charset: str) -> str:
    """Decode octets by the charset that they are said to have, else as UTF-8, else as Windows-1252 (as the web does).

    A character that is cut off at the end is left out.
    """
    codec = headers.charset_codec(charset.strip().strip("\"'").lower()) if charset else ""
    if codec and codec != "utf-8":
        try:
            return octets.decode(codec)
        except (UnicodeError, ValueError):
            if codec == "ascii":
                codec = ""  # the most usual lie
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return octets[: error.start].decode("utf-8")
    if codec:
        return octets.decode(codec, "replace")
    try:
        return octets.decode("cp1252")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def file_name(disposition: dict[str, str], kind: dict[str, str]) -> str:
    """Give the name of an attachment out of the parameters of both fields; encoded words in it are decoded too.

    It may be a path of the sender's, or worse: who writes a file by it takes its last part and escapes that.
    """
    name = disposition.get("filename") or kind.get("name") or ""
    if "=?" in name:
        name = headers.decoded(name.encode("utf-8", "replace"))
    return name[:500]


def _characters(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")
