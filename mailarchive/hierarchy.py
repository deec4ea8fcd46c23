"""How the names of mailboxes are divided, on the server that they were archived from and on another one.

The law of this room: delimiters stand in the manifests, of which as few as possible are read, the newest first; a name
is never cut anywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.ports import Archive


class Hierarchy:
    """The names of the mailboxes of one archive."""

    def __init__(self, archive: Archive) -> None:
        self._lines = _mailboxes(archive)
        self._known: dict[str, str | None] = {}

    def parts(self, name: str) -> tuple[str, ...]:
        """Cut a name at the delimiter of its server; at `/` where no manifest tells it."""
        while name not in self._known:
            found, delimiter = next(self._lines, (name, "/"))
            self._known.setdefault(found, delimiter)
        delimiter = self._known[name]
        return tuple(name.split(delimiter)) if delimiter else (name,)

    def elsewhere(self, name: str, delimiter: str | None) -> str:
        """Give the name that a mailbox gets on a server with another delimiter; within a part that becomes `_`."""
        parts = self.parts(name)
        if not delimiter or delimiter.join(parts) == name:
            return name
        return delimiter.join(part.replace(delimiter, "_") for part in parts)


def _mailboxes(archive: Archive) -> Iterator[tuple[str, str | None]]:
    """Give each mailbox that a manifest speaks of, and its delimiter, the newest first."""
    for run in reversed(archive.runs()):
        for line in archive.told(run, lambda _: None):
            name, delimiter = line.get("name"), line.get("delimiter")
            if line.get("type") == "mailbox" and isinstance(name, str):
                yield name, delimiter if isinstance(delimiter, str) and delimiter else None
