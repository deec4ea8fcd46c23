"""Reads the few header fields that matter out of the first octets of a message (RFC 5322, RFC 2047).

The law of this room: whatever a sender wrote, it never raises, takes linear time and little memory, and looks at no
more than 64 KiB, of which a decoded field is at most 8 KiB. Bodies are never parsed. What it returns is still foreign
text: who prints it makes it safe first.
"""

from __future__ import annotations

import binascii
import codecs
import re
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from mailarchive.dates import parse_header_date
from mailarchive.model import Envelope

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

HEAD: Final = 64 * 1024
"""Octets of a message that are looked at."""

FIELD: Final = 8 * 1024
"""Octets of one field that are decoded."""

_GATE = 8 * 1024  # octets in which a message must show a header field
_PROBE = (b"message-id", b"date", b"from")
_JUDGED = frozenset((*_PROBE, b"subject"))
_RECEIVED = frozenset((b"received",))
_NAMES = (*_PROBE, b"to", b"cc", b"subject", b"list-id")

_ANY_FIELD = re.compile(rb"^[!-9;-~]+[ \t]*:", re.MULTILINE)
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_NOT_LETTERS = bytes(octet for octet in range(256) if not (chr(octet).isascii() and chr(octet).isalnum()))
_SMALL = bytes(range(256)).lower()

_WORD = re.compile(r"=\?([A-Za-z0-9_.:+-]{1,40})(?:\*[A-Za-z0-9-]{0,40})?\?([BbQq])\?([^?]*)\?=")
_CHARSET = re.compile(
    r"utf|ucs|us-?ascii|ascii|ansi|iso|latin|l[1-9]|windows|cp|ibm|koi8|big5|gb|hz|euc|ks|shift|sjis|s_jis|ms|mac|tis",
    re.IGNORECASE,
)
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949"}  # what mail so labelled is really written in

_COMMENT = re.compile(rb"\((?:[^()\\]++|\\.)*+\)", re.DOTALL)
_DEPTH = 4  # how deep comments are looked through for the date of a Received field

_EXCHANGE = re.compile(r'["\s]*microsoft exchange server\b', re.IGNORECASE)
_NOT_RETRIEVED = re.compile(r"\s*retrieval using the \w+ protocol failed\b", re.IGNORECASE)


def fields(head: bytes, names: Collection[bytes]) -> dict[bytes, list[bytes]]:
    """Give the raw values of some header fields, unfolded, without the blanks around them.

    Args:
        head: The first octets of a message, or a header block alone. A line ends in LF or CRLF; the header ends at the
            first empty line, or with the octets.
        names: Of the fields, in any case.

    Returns:
        For each name, in small letters, its values in order, each at most 8 KiB.
    """
    return {name: [value[:FIELD] for value in values] for name, values in _values(head, names).items()}


def envelope(head: bytes) -> Envelope:
    """Read what a selection and the identity probe may ask for; fields that are there twice are joined by commas.

    The date is that of the topmost Date field.
    """
    found = _values(head, _NAMES)
    return Envelope(
        date=next((parse_header_date(_text(value)) for value in found[b"date"]), None),
        from_=_joined(found[b"from"]),
        to=", ".join(filter(None, (_joined(found[b"to"]), _joined(found[b"cc"])))),
        subject=_joined(found[b"subject"]),
        list_id=_joined(found[b"list-id"]),
        ident=_ident(found),
    )


def arrival(head: bytes) -> datetime | None:
    """Give the date at which a message reached its mailbox: that of the topmost valid Received field, else of Date.

    For servers that do not say it (POP3). The fields below the topmost were written by others.
    """
    return received(head) or sent(head)


def received(head: bytes) -> datetime | None:
    """Give the date of the topmost valid Received field; None if there is none."""
    fields = _pattern(_RECEIVED).finditer(b"\n" + _block(head))
    return next(filter(None, (_stamp(_unfolded(field[2])) for field in fields)), None)


def sent(head: bytes) -> datetime | None:
    """Give the date of the topmost Date field; None if that is none."""
    return next((parse_header_date(_text(value)) for value in _values(head, (b"date",))[b"date"]), None)


def decoded(value: bytes) -> str:
    """Decode the raw value of a field (RFC 2047), leniently; it is foreign text still."""
    return _text(value)


def _stamp(received: bytes) -> datetime | None:
    """Read the date of a Received field: what stands behind its last semicolon that is not inside a comment."""
    for _ in range(_DEPTH):
        _, semicolon, stamp = received.rpartition(b";")
        date = parse_header_date(_text(stamp)) if semicolon else None
        if date is not None or b"(" not in received:
            return date
        received = _COMMENT.sub(b" ", received)
    return None


def ident(head: bytes) -> str:
    """Give 32 hex digits of the SHA-256 over Message-ID, Date and From, or nothing if all three are missing or empty.

    Only their ASCII letters and digits count, in small letters, so that it is the same for the whole message and for
    the answer to `BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM)]`: servers change the order of the fields, their
    folding, and 8-bit characters. A field behind the first 64 KiB is not seen: such a message differs from the answer.
    """
    return _ident(_values(head, _PROBE))


def hold(head: bytes, size: int) -> str:
    """Say why a message is not plausible enough ever to be deleted from the server (`safety.md` section 4).

    Args:
        head: Its first octets.
        size: The number of all its octets.

    Returns:
        Nothing if it is plausible. `no header` if the first 8 KiB hold no header field. `header too long` if it does
        not end within `head`, where that is full. `placeholder` for what Exchange sends in the place of a message that
        it cannot convert: a note from itself about a failed retrieval.
    """
    return judged(head, size)[1]


def judged(head: bytes, size: int) -> tuple[str, str]:
    """Give both `ident` and `hold` of a message, for the price of one look at its header."""
    # Once for every message that is fetched, so nothing is unfolded or copied that nobody asks for.
    block = _block(head)
    found = _folded(block, _JUDGED)
    ident = _ident(found)
    if not size or not (_ANY_FIELD.match(block, 0, _GATE) or _ANY_FIELD.search(_block(head[:_GATE]))):
        return ident, "no header"
    if size > len(head) >= HEAD and len(block) == len(head):
        # The probe of a deletion sees all of a header, so what is behind this end would look like another message.
        return ident, "header too long"
    return ident, "placeholder" if _is_placeholder(found) else ""


def _is_placeholder(found: dict[bytes, list[bytes]]) -> bool:
    senders = found.get(b"from", ())
    # Most senders need not be decoded, nor even unfolded, to see that they are somebody else.
    if not any(b"=?" in each or not each.isascii() or b"microsoft" in each.lower() for each in senders):
        return False
    sender = _joined([_unfolded(value) for value in senders])
    # The note is translated, so a sender of that name without any address is enough. Mail about such a note, or with
    # one inside, comes from somebody else.
    if not _EXCHANGE.match(sender):
        return False
    subjects = [_unfolded(value) for value in found.get(b"subject", ())]
    return "@" not in sender or bool(_NOT_RETRIEVED.match(_joined(subjects)))


def _block(head: bytes) -> bytes:
    """Give the header without the empty line that ends it; all of it if there is none."""
    if head.startswith((b"\n", b"\r\n")):
        return b""
    end = head.find(b"\n\r\n", 0, HEAD)
    bare = head.find(b"\n\n", 0, end + 1 if end >= 0 else HEAD)
    end = bare if bare >= 0 else end
    return head[:end] if end >= 0 else head[:HEAD]


@lru_cache(maxsize=16)
def _pattern(names: frozenset[bytes]) -> re.Pattern[bytes]:
    """Give what finds fields in a header that begins with LF: a literal is searched for quicker than a line's start."""
    known = b"|".join(re.escape(name) for name in sorted(names))
    initials = re.escape(b"".join(sorted({name[:1] for name in names})))
    pattern = rb"\n(?=[" + initials + rb"])(" + known + rb")[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)"
    return re.compile(pattern, re.IGNORECASE)


def _values(head: bytes, names: Collection[bytes]) -> dict[bytes, list[bytes]]:
    return _found(_block(head), frozenset(name.lower() for name in names))


def _found(block: bytes, wanted: frozenset[bytes]) -> dict[bytes, list[bytes]]:
    """Give the values of fields, by their names in small letters, of a header without its empty line."""
    folded = _folded(block, wanted) if wanted else {}
    return {name: [_unfolded(value) for value in folded.get(name, ())] for name in wanted}


def _folded(block: bytes, wanted: frozenset[bytes]) -> dict[bytes, list[bytes]]:
    """Give the values as they stand in the header, of those fields that it has."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in _pattern(wanted).findall(b"\n" + block):
        found.setdefault(name.lower(), []).append(value)
    return found


def _unfolded(value: bytes) -> bytes:
    return (_FOLD.sub(b"", value) if b"\n" in value else value).strip(b" \t\r\n")


def _ident(found: dict[bytes, list[bytes]]) -> str:
    """Sum up the values of the probe, folded or not."""
    text = b""
    for name in _PROBE:
        for letters in sorted([value.translate(_SMALL, _NOT_LETTERS) for value in found.get(name, ())]):
            if letters:
                text += b"%b:%b\n" % (name, letters)
    return sha256(text).hexdigest()[:32] if text else ""


def _joined(values: list[bytes]) -> str:
    texts: list[str] = []
    room = FIELD
    for value in values:
        if room <= 0:
            break
        texts.append(_text(value)[:room])
        room -= len(texts[-1]) + 2
    return ", ".join(filter(None, texts))


def _text(value: bytes) -> str:
    """Decode a value: encoded words (RFC 2047), leniently; raw 8-bit text as UTF-8, else as Latin-1."""
    cut = value[:FIELD]
    if cut.isascii() and b"=?" not in cut:
        return cut.decode("ascii")
    try:
        text, _ = codecs.utf_8_decode(cut, "strict", len(cut) == len(value))
    except UnicodeDecodeError:
        text = cut.decode("latin-1")
    # Neighbours of one charset are decoded as one: mailers cut them in the middle of a character.
    runs: list[tuple[str, bytes]] = []
    pieces: list[str] = []
    done = 0
    for word in _WORD.finditer(text):
        codec = charset_codec(word[1].lower())
        if not codec:
            continue
        octets = _octets(word[2], word[3])
        gap = text[done : word.start()]
        if not runs or gap.strip():
            pieces += [_flush(runs), gap]
        if runs and runs[-1][0] == codec:
            octets = runs.pop()[1] + octets
        runs.append((codec, octets))
        done = word.end()
    return "".join([*pieces, _flush(runs), text[done:]])


def _flush(runs: list[tuple[str, bytes]]) -> str:
    text = "".join(octets.decode(codec, "replace") for codec, octets in runs)
    runs.clear()
    return text


def _octets(encoding: str, text: str) -> bytes:
    """Undo the B or Q encoding, whatever it is worth."""
    raw = text.encode("utf-8", "replace")
    if encoding in "Qq":
        return binascii.a2b_qp(raw, header=True)
    # Some mailers end a piece in padding and go on.
    return b"".join(binascii.a2b_base64(_padded(piece)) for piece in raw.split(b"="))


def _padded(text: bytes) -> bytes:
    """Give the base64 digits alone, as many as make whole octets."""
    digits = re.sub(rb"[^A-Za-z0-9+/]", b"", text)
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    return digits + b"=" * (-len(digits) % 4)


@lru_cache(maxsize=256)
def charset_codec(charset: str) -> str:
    """Give the codec of a charset; empty for an unknown one, and for codecs that are no charsets of mail.

    Python also has codecs that take quadratic time (punycode, idna), warn or raise on their own terms.
    """
    if not _CHARSET.match(charset):
        return ""
    try:
        name = codecs.lookup(charset).name
        b"".decode(name)
    except (LookupError, ValueError):
        return ""
    return _WIDER.get(name, name)
