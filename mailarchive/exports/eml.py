"""A file for each message: the octets as they were received.

The law of this room: nothing is added, and the digest of a file is that of the archive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailarchive.exports import names

if TYPE_CHECKING:
    from mailarchive.outgoing import ExportFolder, Outgoing


class Eml:
    """Folders by mailbox, with `<day> <subject> <digest>.eml`; the time of a file is INTERNALDATE."""

    once = False

    def __init__(self, folder: ExportFolder) -> None:
        self._folder = folder

    def add(self, message: Outgoing) -> int:
        """Write one message."""
        found = message.found
        place = names.folders(message.folder)
        self._folder.write(place, f"{names.of_message(found)}.eml", message.read(), when=found.internal_date)
        return 1

    def finish(self) -> None:
        """Nothing stands behind them."""
