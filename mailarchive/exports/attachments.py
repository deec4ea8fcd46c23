"""The files that messages carry, decoded.

The law of this room: a file gets the last part of the name that its sender gave it, made harmless, and a number where
that is taken; nothing is opened, unpacked or overwritten, and no more than a piece of it is held.
"""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING

from mailarchive.exports import names
from mailarchive.exports.octets import whole
from mailarchive.reading import decoded, parts

if TYPE_CHECKING:
    from mailarchive.outgoing import ExportFolder, Outgoing
    from mailarchive.reading import Part


class Attachments:
    """Folders by mailbox, with `<day> <name of the file>`; the time of a file is that of its message."""

    once = True

    def __init__(self, folder: ExportFolder) -> None:
        self._folder = folder

    def add(self, message: Outgoing) -> int:
        """Write what one message carries."""
        found = message.found
        place = names.folders(message.folder)
        day = f"{found.internal_date:%Y-%m-%d}" if found.internal_date is not None else "undated"
        written = 0
        with whole(message, self._folder) as octets:
            for part in parts(octets):
                if part.attached:
                    name = f"{day} {file_of(part)}"
                    self._folder.write(place, name, decoded(octets, part), when=found.internal_date)
                    written += 1
        return written

    def finish(self) -> None:
        """Nothing stands behind them."""


def file_of(part: Part) -> str:
    """Name the file of a part; one without a name is called by its number."""
    if part.is_message and not part.name:
        return f"message {part.number}.eml"
    if not part.name:
        return f"part {part.number}{mimetypes.guess_extension(part.kind, strict=True) or ''}"
    return names.file_name(part.name, instead=f"part {part.number}")
