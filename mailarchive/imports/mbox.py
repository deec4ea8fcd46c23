"""Files of messages behind From lines: mbox in its variants, Thunderbird, Google Takeout.

The law of this room: a file of any size is read in pieces, and what is kept of a message is where it begins and ends. A
From line separates only with a date in a known form and an empty line before it. The date of one that names a zone is
the date of the message; one without a zone is local time of an unknown place, and counts after the header.
"""

from __future__ import annotations

import hashlib
import re
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive import headers, mbox_block, mboxrd
from mailarchive.errors import MessageError
from mailarchive.foreign import DateFrom, ForeignMessage, LeftOut, NotRead, Origin, dated
from mailarchive.headers import HEAD
from mailarchive.imports.files import SourceFile
from mailarchive.imports.lines import LONGEST, QUOTED, from_line, is_from_line, restored, writes_lf
from mailarchive.imports.marks import gmail_labels, of_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from mailarchive.foreign import Foreign
    from mailarchive.imports.lines import FromLine
    from mailarchive.mbox_block import Facts

    Read = Callable[[int, int], bytes]
    """Gives so many octets at an offset, fewer only at the end."""

DAMAGED: Final = "its octets are not those that were archived"
INTERNAL: Final = "notes of a mail server, no message"

_INTERNAL = b"DON'T DELETE THIS MESSAGE"
_YEAR = re.compile(r"(?:\d{4}|undated)(?:-\d+)?")
_DIGITS = 20  # of a number of Gmail
_BLOCK = 1024 * 1024
_MARK = b"\nFrom "
_BEFORE = 2  # octets before that mark which say whether the line above is empty
_END = re.compile(rb"\A\r?\n|\n\r?\n")
_FIELDS = (b"subject", b"x-gmail-labels", b"x-gm-thrid")


class Span(NamedTuple):
    """Where a message stands: its From line at `offset`, and its octets from `start` up to `end`."""

    offset: int
    start: int
    end: int
    line: bytes


def looks_like_mbox(beginning: bytes) -> bool:
    """Tell by its first octets whether a file is an mbox; a first From line may lack its date."""
    return beginning.startswith(b"From ") and b"\n" in beginning[:LONGEST]


def messages(path: Path, mailbox: str) -> Iterator[Foreign]:
    """Give the messages of an mbox file.

    Args:
        path: Of the file.
        mailbox: The mailbox of those without labels.
    """
    shown = str(path)
    try:
        source = SourceFile(path)
        with source.reading() as read:
            for each in spans(read, 0, source.size):
                head = read(each.start, min(HEAD, each.end - each.start))
                ours = mbox_block.parse(each.line + head)
                if ours is not None and ours[0].length is not None:
                    yield _our_message(source, each, *ours, mailbox)
                else:
                    yield _message(source, each, head, mailbox)
    except MessageError as error:
        yield NotRead(Origin(shown), mailbox, error.message)


def separator(read: Read, start: int, end: int) -> int:
    """Count the octets of the empty line at the end that is no part of the message.

    Where it is all that ends the header, the message has no body, and it is its own.
    """
    tail = read(max(start, end - 3), min(3, end - start))
    if start + len(tail) == end and tail in (b"\n", b"\r\n"):
        return len(tail)
    found = next((each for each in (b"\r\n", b"\n") if tail.endswith(b"\n" + each)), b"")
    if end - start > HEAD or _END.search(read(start, end - start - len(found))):
        return len(found)
    return 0


def spans(read: Read, begin: int, size: int, behind: Callable[[Read, int, int], int] = separator) -> Iterator[Span]:
    """Find the messages between two offsets of a file; at the first one stands a From line, whatever its date.

    `behind` counts the octets at the end of a message that are no part of it.
    """
    if begin >= size:
        return
    before = begin
    for offset in boundaries(read, begin, size):
        yield span(read, before, offset, behind)
        before = offset
    yield span(read, before, size, behind)


def boundaries(read: Read, begin: int, size: int) -> Iterator[int]:
    """Give the offset of each From line behind `begin` that separates two messages."""
    position = begin
    while position < size:
        base = max(begin, position - _BEFORE)
        data = read(base, min(_BLOCK + _BEFORE + LONGEST + len(_MARK), size - base))
        at = data.find(_MARK)
        while at >= 0 and base + at < position + _BLOCK:
            if base + at >= position and data[max(0, at - _BEFORE) : at].endswith((b"\n", b"\n\r")):
                end = data.find(b"\n", at + 1, at + 2 + LONGEST)
                if end >= 0 and is_from_line(data[at + 1 : end + 1]):
                    yield base + at + 1
            at = data.find(_MARK, at + 1)
        position += _BLOCK


def span(read: Read, offset: int, end: int, behind: Callable[[Read, int, int], int] = separator) -> Span:
    """Cut off the From line at an offset, and what was put behind the message."""
    line = read(offset, min(HEAD, end - offset)).partition(b"\n")[0]
    start = min(end, offset + len(line) + 1)
    return Span(offset, start, end - behind(read, start, end), line + b"\n")


def _message(source: SourceFile, place: Span, head: bytes, mailbox: str) -> Foreign:
    origin = Origin(str(source.path), place.offset)
    if not head:
        return NotRead(origin, mailbox, "it is empty")
    found = headers.fields(head, _FIELDS)
    if any(subject.startswith(_INTERNAL) for subject in found[b"subject"]):
        return LeftOut(origin, INTERNAL)
    flags, left_out = of_header(head)
    also: tuple[str, ...] = ()
    notes: dict[str, object] = {}
    line = from_line(place.line)
    if found[b"x-gmail-labels"]:
        labels = gmail_labels(headers.decoded(found[b"x-gmail-labels"][0]))
        mailbox, *others = labels.mailboxes or (mailbox,)
        also, flags, left_out = tuple(others), labels.flags | (flags or frozenset()), labels.left_out
        notes = _gmail_notes(line, labels.names, found[b"x-gm-thrid"])
    if left_out:
        return LeftOut(origin, left_out)
    date, dated_by = _date(head, line)
    return ForeignMessage(
        origin=origin,
        mailbox=mailbox,
        extent=place.end - place.offset,
        chunks=partial(octets, source, place, crlf=writes_lf(head)),
        also=also,
        flags=flags,
        date=date,
        dated_by=dated_by,
        notes=notes,
    )


def octets(source: SourceFile, place: Span, *, crlf: bool) -> Iterator[bytes]:
    """Give the octets of a message as they were before they were put into the file."""
    return restored(source.pieces(place.start, place.end), QUOTED, crlf=crlf)


def _our_message(source: SourceFile, place: Span, facts: Facts, text: int, mailbox: str) -> Foreign:
    """Give a message of an archive of ours, bit for bit (`archive-format.md` section 5)."""
    start = place.offset + text
    # The folder is the mailbox, and the file only a year of it.
    folder, _, year = mailbox.rpartition("/")
    return ForeignMessage(
        origin=Origin(str(source.path), place.offset),
        mailbox=folder if folder and _YEAR.fullmatch(year) else mailbox,
        extent=place.end - place.offset,
        chunks=partial(_exact, source, start, start + (facts.length or 0), facts),
        flags=facts.flags,
        date=facts.date,
        dated_by=DateFrom.METADATA if facts.date is not None else DateFrom.UNKNOWN,
    )


def _exact(source: SourceFile, start: int, end: int, facts: Facts) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in mboxrd.decode(source.pieces(start, end), crlf=facts.crlf, ended=facts.ended):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != facts.digest:
        raise MessageError(DAMAGED)


def _date(head: bytes, line: FromLine | None) -> tuple[datetime | None, DateFrom]:
    metadata = line.date if line is not None and line.zoned else None
    date, dated_by = dated(head, metadata, None)
    if date is None and line is not None and line.date is not None:
        return line.date, DateFrom.FROM_LINE
    return date, dated_by


def _gmail_notes(line: FromLine | None, labels: tuple[str, ...], threads: list[bytes]) -> dict[str, object]:
    """Give what Takeout says beside the labels: the ids of the message and of its thread."""
    number = line.sender.partition(b"@")[0] if line is not None else b""
    notes: dict[str, object] = {"labels": labels}
    for name, value in (("gm_msgid", number), ("gm_thrid", threads[0] if threads else b"")):
        if value.isdigit() and len(value) <= _DIGITS:
            notes[name] = value.decode("ascii")
    return notes
