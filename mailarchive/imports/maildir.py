"""One Maildir of another program: `cur` and `new`, whatever stands behind the flags of a name.

The law of this room: a file is a message, and its octets are what it holds, but for the line ends of a store that
writes LF. The time of a file counts as the date of its message unless the name says that it is too late: copying
changes the one and not the other. The names of a file of ours say what its octets are, so nothing of it is changed.
"""

from __future__ import annotations

import contextlib
import os
import re
from functools import partial
from typing import TYPE_CHECKING, Final

from mailarchive import utf7
from mailarchive.errors import MessageError
from mailarchive.foreign import ForeignMessage, NotRead, Origin, dated
from mailarchive.headers import HEAD
from mailarchive.imports.files import SourceFile, instant, reason
from mailarchive.imports.lines import restored, writes_lf
from mailarchive.imports.marks import dovecot_keywords, of_file_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from mailarchive.foreign import Foreign

SUBFOLDERS: Final = ("cur", "new")
KEYWORDS: Final = "dovecot-keywords"

_AGREES = 2 * 86400  # seconds
_KEYWORDS_SIZE = 64 * 1024
_OURS = re.compile(r"\d{1,12}\.[0-9a-f]{32,64}\.mailarchive,S=\d{1,12}")


def messages(folder: Path, mailbox: str) -> Iterator[Foreign]:
    """Give the messages of a Maildir, in the order of their names."""
    keywords = _keywords(folder / KEYWORDS)
    for sub in SUBFOLDERS:
        try:
            with os.scandir(folder / sub) as entries:
                names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
        except FileNotFoundError:
            continue
        except OSError as error:
            yield NotRead(Origin(str(folder / sub)), mailbox, reason(error))
            continue
        for name in names:
            yield _message(folder / sub / name, mailbox, keywords)


def size_of(folder: Path) -> int:
    """Add up the octets of the messages of a Maildir, as far as they can be looked at."""
    size = 0
    for sub in SUBFOLDERS:
        with contextlib.suppress(OSError), os.scandir(folder / sub) as entries:
            size += sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    return size


def _message(path: Path, mailbox: str, keywords: Mapping[str, str]) -> Foreign:
    origin = Origin(str(path))
    try:
        source = SourceFile(path)
        head = source.part(0, HEAD)
    except MessageError as error:
        return NotRead(origin, mailbox, error.message)
    if not head:
        return NotRead(origin, mailbox, "it is empty")
    unique, flags = of_file_name(path.name, keywords)
    date, dated_by = dated(head, agreed(unique, source.time), source.time)
    return ForeignMessage(
        origin=origin,
        mailbox=mailbox,
        extent=source.size,
        chunks=partial(octets, source, crlf=writes_lf(head) and not _OURS.fullmatch(unique)),
        flags=flags,
        date=date,
        dated_by=dated_by,
    )


def octets(source: SourceFile, *, crlf: bool) -> Iterator[bytes]:
    """Give the octets of a message that is a file of its own."""
    return restored(source.pieces(0, source.size), None, crlf=crlf)


def agreed(name: str, file_time: datetime | None) -> datetime | None:
    """Give the time of a file if its name agrees with it: the seconds since 1970 before its first dot.

    The name tells when the file was made, and a later time is that of a copy. An earlier one was set on purpose:
    servers do so with the INTERNALDATE of what a client has appended.
    """
    seconds = name.partition(".")[0]
    named = instant(int(seconds)) if re.fullmatch("[0-9]{1,12}", seconds) else None
    if named is None or file_time is None:
        return None
    return file_time if (file_time - named).total_seconds() <= _AGREES else None


def plus_name(folder: str) -> str:
    """Read the name of a folder of a Maildir++, such as `.Work.2014`: modified UTF-7, a dot before each part."""
    return "/".join(map(_part, folder.removeprefix(".").split(".")))


def _part(text: str) -> str:
    """Read modified UTF-7 (RFC 3501 section 5.1.3); what is none stays as it is."""
    try:
        return utf7.decode(text)
    except ValueError:
        return text


def _keywords(path: Path) -> dict[str, str]:
    try:
        return dovecot_keywords(SourceFile(path).part(0, _KEYWORDS_SIZE).decode("utf-8", "replace"))
    except MessageError:
        return {}
