"""Mail of other programs: recognised by looking at it, and read (`archive-format.md` section 10).

The law of this room: sources are only read. Each folder and file is judged by what it holds, so one tree may hold
several kinds. Links inside a source are not followed. What is no mail is passed over; what may be mail and cannot be
read is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailarchive.errors import MessageError, UsageError
from mailarchive.foreign import NotRead, Origin
from mailarchive.imports import eml, imap_backup, mbox
from mailarchive.imports.files import reason
from mailarchive.imports.tree import Piece, is_mbox, named, stem, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailarchive.foreign import Foreign
    from mailarchive.imports.tree import Found

__all__ = ["Source", "look"]


class Source:
    """Everything of one path that looks like mail.

    Attributes:
        path: As it was given.
        size: Octets of it.
    """

    def __init__(self, path: Path, found: list[Found]) -> None:
        self.path = path
        self._found = found
        self.size = sum(each.size for each in found if isinstance(each, Piece))

    def messages(self) -> Iterator[Foreign]:
        """Give all its messages, and what cannot be read or is left out."""
        for each in self._found:
            if isinstance(each, Piece):
                yield from each.read(each.path, each.mailbox)
            else:
                yield each


def look(path: Path) -> Source:
    """Recognise what lies at a path; it may itself be a link, as the user has named it.

    Raises:
        UsageError: There is nothing, or nothing that looks like mail.
    """
    try:
        real = path.resolve(strict=True)
        top = named(path.absolute().name or real.name)
        found = list(tree(real, top) if real.is_dir() else _single(real, top))
    except (OSError, RuntimeError) as error:
        why = reason(error) if isinstance(error, OSError) else "a link that leads to itself"
        raise UsageError(f"{path}: {why}", hint="name a file or a folder with mail") from None
    if not any(isinstance(each, Piece | NotRead) for each in found):
        raise UsageError(
            f"{path}: nothing here looks like mail",
            hint="mbox files, Maildirs, folders of .eml files and the folders of imap-backup are known",
        )
    return Source(path, found)


def _single(path: Path, top: str) -> Iterator[Found]:
    """Recognise a file that the user has named."""
    index = path.with_suffix(imap_backup.INDEX)
    size = path.stat().st_size
    try:
        if path.suffix in (imap_backup.INDEX, imap_backup.MAIL) and index.is_file():
            yield Piece(imap_backup.messages, index, imap_backup.name_of(stem(top)), imap_backup.size_of(index))
        elif is_mbox(path):
            yield Piece(mbox.messages, path, stem(top), size)
        elif path.suffix.lower() == eml.ENDING:
            yield Piece(eml.messages, path, named(path.parent.name), size)
    except MessageError as error:
        yield NotRead(Origin(str(path)), stem(top), error.message)
