"""Folders of .eml files: one message in each, as many programs export them.

The law of this room: a file is a message. The folders are mailboxes, but for those that are only numbers: years, months
and days are no places that somebody put a message in.
"""

from __future__ import annotations

import os
import re
from functools import partial
from typing import TYPE_CHECKING, Final

from mailarchive.errors import MessageError
from mailarchive.foreign import ForeignMessage, NotRead, Origin, dated
from mailarchive.headers import HEAD
from mailarchive.imports.files import SourceFile, reason
from mailarchive.imports.lines import writes_lf
from mailarchive.imports.maildir import octets
from mailarchive.imports.marks import of_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mailarchive.foreign import Foreign

ENDING: Final = ".eml"

_NUMBERS = re.compile(r"[0-9]{1,4}([-_.][0-9]{1,2}){0,2}")


def mailbox_of(parts: Sequence[str], top: str) -> str:
    """Name the mailbox of a folder by its parts below the source; `top` is the name of the source itself."""
    places = list(parts)
    while places and _NUMBERS.fullmatch(places[-1]):
        places.pop()
    return "/".join(places) or top


def messages(folder: Path, mailbox: str) -> Iterator[Foreign]:
    """Give the messages of a folder, in the order of their names, not those of the folders in it; or that of a file."""
    if folder.is_file():
        yield _message(folder, mailbox)
        return
    try:
        with os.scandir(folder) as entries:
            names = sorted(each.name for each in entries if _is_letter(each))
    except OSError as error:
        yield NotRead(Origin(str(folder)), mailbox, reason(error))
        return
    for name in names:
        yield _message(folder / name, mailbox)


def _message(path: Path, mailbox: str) -> Foreign:
    origin = Origin(str(path))
    try:
        source = SourceFile(path)
        head = source.part(0, HEAD)
    except MessageError as error:
        return NotRead(origin, mailbox, error.message)
    if not head:
        return NotRead(origin, mailbox, "it is empty")
    date, dated_by = dated(head, None, source.time)
    return ForeignMessage(
        origin=origin,
        mailbox=mailbox,
        extent=source.size,
        chunks=partial(octets, source, crlf=writes_lf(head)),
        flags=of_header(head)[0],
        date=date,
        dated_by=dated_by,
    )


def size_of(folder: Path) -> int:
    """Add up the octets of the messages of a folder."""
    with os.scandir(folder) as entries:
        return sum(each.stat(follow_symlinks=False).st_size for each in entries if _is_letter(each))


def _is_letter(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower().endswith(ENDING) and entry.is_file(follow_symlinks=False)
