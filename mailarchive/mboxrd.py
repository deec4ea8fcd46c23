"""How a message stands in an mbox file, and back: three changes, each reversible (`archive-format.md` section 5).

The law of this room: pure, and bounded in memory whatever a message holds. Line ends become LF where all of them are
CRLF; every line `>*From ` gains one `>`; a field of the message's own header that mail programs would obey gains one
prefix. Undoing them in the other order gives the octets back, bit for bit.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PREFIX: Final = b"X-Mailarchive-Was-"
"""Stands before a field that other programs would obey."""

_OBEYED = (
    rb"(?:X-Mailarchive-Was-)*(?:Status|X-Status|X-Keywords|X-IMAP|X-IMAPbase|X-UID|X-UIDL|Content-Length"
    rb"|X-Mozilla-Status2?|X-Mozilla-Keys|X-Mailarchive)[ \t]*:"
)
_FROM = re.compile(rb"^(>*From )", re.MULTILINE)
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_FIELD = re.compile(rb"^(?=(?i:" + _OBEYED + rb"))", re.MULTILINE)
_PREFIXED = re.compile(rb"^" + PREFIX + rb"(?=(?i:" + _OBEYED + rb"))", re.MULTILINE)
_END = re.compile(rb"^\r?\n", re.MULTILINE)

# The beginnings of lines of which more must be seen before it is known what becomes of them.
_MAYBE_FROM = re.compile(rb">*(?:F(?:r(?:o(?:m)?)?)?)?\Z")
_MAYBE_FIELD = re.compile(rb"(?:\r|(?:X-Mailarchive-Was-)*[A-Za-z0-9-]{0,24}[ \t]*)\Z", re.IGNORECASE)
_QUOTES = 4096


class Lines:
    """What the lines of a message are like, told piece by piece.

    Attributes:
        is_crlf: Whether every LF follows a CR and no CR stands alone.
        is_ended: Whether the last line has its end; so has no line at all.
    """

    def __init__(self) -> None:
        self._cr = self._lf = self._crlf = 0
        self._last = b""

    def feed(self, piece: bytes) -> None:
        """Look at the next octets."""
        if not piece:
            return
        self._cr += piece.count(b"\r")
        self._lf += piece.count(b"\n")
        self._crlf += piece.count(b"\r\n") + (self._last == b"\r" and piece[:1] == b"\n")
        self._last = piece[-1:]

    @property
    def is_crlf(self) -> bool:
        """Tell it of all that was fed."""
        return self._cr == self._lf == self._crlf

    @property
    def is_ended(self) -> bool:
        """Tell it of all that was fed."""
        return self._last in (b"", b"\n")


def encode(pieces: Iterable[bytes], *, crlf: bool, ended: bool) -> Iterator[bytes]:
    """Give a message as it stands in the file.

    Args:
        pieces: Its octets.
        crlf: As `Lines.is_crlf` says of them; CRLF then becomes LF.
        ended: As `Lines.is_ended` says; a missing last line end is added.
    """
    yield from _changed(_as_lf(pieces) if crlf else pieces, _FIELD, PREFIX, _FROM, rb">\1")
    if not ended:
        yield b"\n"


def decode(pieces: Iterable[bytes], *, crlf: bool, ended: bool) -> Iterator[bytes]:
    """Give the octets of a message that `encode` wrote with the same arguments."""
    whole = pieces if ended else _without_last(pieces)
    for piece in _changed(whole, _PREFIXED, b"", _QUOTED, rb"\1"):
        yield piece.replace(b"\n", b"\r\n") if crlf else piece


def _as_lf(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        data = rest + piece
        rest = b"\r" if data.endswith(b"\r") else b""
        yield data[: len(data) - len(rest)].replace(b"\r\n", b"\n")
    if rest:
        yield rest


def _without_last(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out the last octet, which is the line end that was added."""
    rest = b""
    for piece in pieces:
        data = rest + piece
        yield data[:-1]
        rest = data[-1:]


def _changed(
    pieces: Iterable[bytes], field: re.Pattern[bytes], instead: bytes, line: re.Pattern[bytes], changed: bytes
) -> Iterator[bytes]:
    """Change the fields of the header, and everywhere the lines that look like the separator.

    A piece may end anywhere, so the beginning of a line is held back while it is not known what it is.
    """
    rest = b""
    in_header = at_start = True
    for piece in pieces:
        data, rest = rest + piece, b""
        if in_header:
            header, data, in_header = _header(data, at_start=at_start)
            if in_header:
                rest = _held(header, at_start=at_start, field=True)
            header = header[: len(header) - len(rest)]
            if header:
                yield _sub(line, changed, _sub(field, instead, header, at_start=at_start), at_start=at_start)
                at_start = header.endswith(b"\n")
            if in_header:
                begin, rest = _shortened(rest)
                if begin:
                    yield begin
                continue
        rest = _held(data, at_start=at_start, field=False)
        data = data[: len(data) - len(rest)]
        if data:
            yield _sub(line, changed, data, at_start=at_start) if b"From " in data else data
            at_start = data.endswith(b"\n")
        begin, rest = _shortened(rest)
        if begin:
            yield begin
    if rest:
        yield _sub(line, changed, _sub(field, instead, rest, at_start=at_start) if in_header else rest)


def _header(data: bytes, *, at_start: bool) -> tuple[bytes, bytes, bool]:
    """Part what belongs to the header from what follows; the flag says whether the header goes on."""
    begin = 0 if at_start else data.find(b"\n") + 1
    found = _END.search(data, begin) if at_start or begin else None
    if found is not None and found.start() and data[found.start() - 1 : found.start()] != b"\n":
        found = None
    return (data[: found.start()], data[found.start() :], False) if found else (data, b"", True)


def _held(data: bytes, *, at_start: bool, field: bool) -> bytes:
    """Give the beginning of the last line, if more of it must be seen."""
    cut = data.rfind(b"\n") + 1
    tail = data[cut:]
    if not tail or not (cut or at_start):
        return b""
    return tail if _MAYBE_FROM.match(tail) or (field and _MAYBE_FIELD.match(tail)) else b""


def _shortened(rest: bytes) -> tuple[bytes, bytes]:
    """Let go of a long run of `>`, but for the last: one more or less is the same at either end of them."""
    return (rest[:-1], b">") if len(rest) > _QUOTES and rest.endswith(b">") else (b"", rest)


def _sub(pattern: re.Pattern[bytes], instead: bytes, data: bytes, *, at_start: bool = True) -> bytes:
    """Change the lines of some octets; without `at_start` these begin within a line."""
    if at_start:
        return pattern.sub(instead, data)
    cut = data.find(b"\n") + 1
    return data[:cut] + pattern.sub(instead, data[cut:]) if cut else data
