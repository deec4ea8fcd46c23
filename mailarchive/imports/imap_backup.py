"""What imap-backup keeps of a mailbox: `NAME.mbox`, and `NAME.imap` beside it, which says where each message stands.

The law of this room: the index is believed only as far as the file bears it out. From the first entry that does not
lie between From lines, and behind the last one (its issues 169 and 178), the file is read by From lines, and that is
told: the flags of what is found so are not known. Versions 3 and 3.1 of the index are read.

The writer made CRLF to LF, put `>` before every line but the first that begins with From, blank or not (its issue 224),
and ended each message with an empty line, which a message that ended in one already has from itself.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeGuard

from mailarchive.errors import MessageError
from mailarchive.foreign import ForeignMessage, NotRead, Origin, Remark, dated
from mailarchive.headers import HEAD
from mailarchive.imports import mbox
from mailarchive.imports.files import SourceFile
from mailarchive.imports.lines import QUOTED_LOOSELY, restored, writes_lf
from mailarchive.imports.marks import words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailarchive.foreign import Foreign
    from mailarchive.imports.mbox import Read, Span

INDEX: Final = ".imap"
MAIL: Final = ".mbox"

_VERSIONS = (3, 3.1)
_LARGEST = 64 * 1024 * 1024  # octets of an index
_ESCAPE = re.compile("%([0-9A-Fa-f]{1,6});")


class Entry(NamedTuple):
    """A message as the index tells of it; `flags` are its words."""

    uid: int
    offset: int
    length: int
    flags: tuple[str, ...]


class Index(NamedTuple):
    """The content of an index: the entries that can be read, in the order of the file."""

    uidvalidity: int
    entries: tuple[Entry, ...]


def name_of(part: str) -> str:
    """Read a part of a name: `%3a;` stands for a colon."""

    def letter(found: re.Match[str]) -> str:
        number = int(found[1], 16)
        return chr(number) if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else found[0]

    return _ESCAPE.sub(letter, part)


def size_of(index: Path) -> int:
    """Give the octets of the mail beside an index; 0 if there is none."""
    try:
        return index.with_suffix(MAIL).stat().st_size
    except OSError:
        return 0


def read_index(text: bytes) -> Index | None:
    """Read an index; None if it is none, or of a version that is not known here."""
    try:
        tree = json.loads(text.decode("utf-8"))
        if tree["version"] not in _VERSIONS:
            return None
        entries = [entry for each in tree["messages"] if (entry := _entry(each)) is not None]
        uidvalidity = tree["uid_validity"]
        if not _is_count(uidvalidity):
            return None
        return Index(uidvalidity, tuple(sorted(entries, key=lambda entry: entry.offset)))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _entry(each: object) -> Entry | None:
    if not isinstance(each, dict):
        return None
    uid, offset, length = (each.get(name) for name in ("uid", "offset", "length"))
    if not (_is_count(uid) and _is_count(offset) and _is_count(length)):
        return None
    flags = each.get("flags")
    return Entry(uid, offset, length, tuple(map(str, flags)) if isinstance(flags, list) else ())


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def messages(path: Path, mailbox: str) -> Iterator[Foreign]:
    """Give the messages of a mailbox; `path` is its `.imap` file."""
    shown = str(path)
    try:
        file = SourceFile(path)
        index = read_index(file.part(0, file.size)) if file.size <= _LARGEST else None
        if index is None:
            yield Remark(Origin(shown), "the index cannot be read; the flags of these messages are not known")
            index = Index(0, ())
        beside = path.with_suffix(MAIL)
        if not index.entries and not beside.exists():
            return
        shown = str(beside)
        source = SourceFile(beside)
        with source.reading() as read:
            yield from _messages(source, read, index, mailbox)
    except MessageError as error:
        yield NotRead(Origin(shown), mailbox, error.message)


def _messages(source: SourceFile, read: Read, index: Index, mailbox: str) -> Iterator[Foreign]:
    reached = 0
    for entry in index.entries:
        end = entry.offset + entry.length
        if entry.offset != reached or not entry.length or not _begins(read, reached):
            break
        if end > source.size or (end < source.size and not _begins(read, end)):
            break
        yield _message(source, read, _span(read, entry), mailbox, entry=entry, uidvalidity=index.uidvalidity)
        reached = end
    if reached >= source.size:
        return
    if index.entries:
        text = f"the index does not fit from octet {reached} on; the flags of what follows are not known"
        yield Remark(Origin(str(source.path), reached), text)
    if not _begins(read, reached):
        yield NotRead(Origin(str(source.path), reached), mailbox, "no message begins here")
        return
    for span in mbox.spans(read, reached, source.size, _added):
        yield _message(source, read, span, mailbox)


def _begins(read: Read, offset: int) -> bool:
    return read(offset, 5) == b"From "


def _span(read: Read, entry: Entry) -> Span:
    return mbox.span(read, entry.offset, entry.offset + entry.length, _added)


def _added(read: Read, start: int, end: int) -> int:
    """Count the octets that the writer put behind a message: an empty line, unless it had two of its own."""
    tail = read(max(start, end - 3), min(3, end - start))
    if tail == b"\n\n\n":
        return 0
    return mbox.separator(read, start, end)


def _message(
    source: SourceFile, read: Read, span: Span, mailbox: str, *, entry: Entry | None = None, uidvalidity: int = 0
) -> Foreign:
    origin = Origin(str(source.path), span.offset)
    head = read(span.start, min(HEAD, span.end - span.start))
    if not head:
        return NotRead(origin, mailbox, "it is empty")
    date, dated_by = dated(head, None, None)
    return ForeignMessage(
        origin=origin,
        mailbox=mailbox,
        extent=span.end - span.offset,
        chunks=partial(_octets, source, span, crlf=writes_lf(head)),
        flags=words(entry.flags) if entry is not None else None,
        date=date,
        dated_by=dated_by,
        notes={"source_uid": entry.uid, "source_uidvalidity": uidvalidity} if entry is not None else {},
    )


def _octets(source: SourceFile, span: Span, *, crlf: bool) -> Iterator[bytes]:
    """Give the octets as they were; the first line was never quoted."""
    return restored(source.pieces(span.start, span.end), QUOTED_LOOSELY, crlf=crlf, first_line=False)
