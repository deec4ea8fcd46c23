"""The folders of an archive of mbox files: which files are there, and what is in them.

The law of this room: it only reads. A folder is opened part by part, without following links, and never outside the
archive; a few are remembered, and among them always the one that is being written. A message is found by the digest
that its location names, in whichever file of its mailbox another program may have put it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.archives.marker import META
from mailarchive.archives.mbox_file import MboxFile
from mailarchive.errors import MissingError
from mailarchive.model import Location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailarchive.archives.durable import Directory
    from mailarchive.archives.mbox_file import Entry

FILE: Final = re.compile(r"(\d{4}|undated)(?:-(\d{1,6}))?\.mbox")
_LOCATION: Final = re.compile(r"(.+)/([^/]+\.mbox)@\d{1,15}\+\d{1,15}\.([0-9a-f]{64})", re.DOTALL)
_OPEN = 32


class Place(NamedTuple):
    """A location, taken apart; where in the file it is matters only for names to differ."""

    folder: str
    name: str
    digest: str


class _Folder(NamedTuple):
    """The files of a mailbox by name, and their folder."""

    directory: Directory
    files: dict[str, MboxFile]


class MboxFolders:
    """The files of one archive.

    Args:
        root: The folder of the archive; whoever made this object closes it.

    Attributes:
        limits: Where files end, by their paths, behind which nobody vouches for anything.
        writing: The folder that is being written, and stays open; None for none.
    """

    def __init__(self, root: Directory, limits: Mapping[str, int]) -> None:
        self._root = root
        self.limits = limits
        self.writing: str | None = None
        self._open: OrderedDict[str, _Folder] = OrderedDict()

    def find(self, location: Location) -> tuple[MboxFile, Entry] | None:
        """Find a message: in its file, or wherever in its mailbox a message of this digest is."""
        place = place_of(location)
        if place is None:
            return None
        folder = self._known(place.folder)
        file = folder.files.get(place.name) if folder is not None else None
        if file is not None:
            file.refresh()
            if (entry := file.entries.get(place.digest)) is not None:
                return file, entry
        for file in self.files(place.folder).values():
            if (entry := file.entries.get(place.digest)) is not None:
                return file, entry
        return None

    def files(self, folder: str) -> dict[str, MboxFile]:
        """Give the files of a mailbox by name, as they are now."""
        found = self._known(folder)
        if found is None:
            return {}
        self._look(folder, found)
        for file in found.files.values():
            file.refresh()
        return found.files

    def file(self, folder: str, name: str) -> MboxFile:
        """Give a file of a mailbox whose folder is there; it may be still to be made."""
        found = self._known(folder)
        assert found is not None
        return found.files.get(name) or MboxFile(found.directory, name)

    def messages(self) -> Iterator[tuple[tuple[str, ...], Location, MboxFile, Entry]]:
        """Give every message: the parts of its folder, its location, its file, and its place there."""
        for parts in self._root.walk(lambda here, _: any(map(FILE.fullmatch, here.names())), hidden=META):
            folder = "/".join(parts)
            for name, file in self.files(folder).items():
                for digest, entry in file.entries.items():
                    yield parts, location_of(folder, name, entry, digest), file, entry

    def directory(self, folder: str) -> Directory | None:
        """Open a folder; None if it is not there, or no mailbox can have it. The caller closes it."""
        parts = folder.split("/")
        if any(part in ("", ".", "..", META) for part in parts):
            return None
        try:
            return self._root.descend(parts)
        except MissingError:
            return None

    def forget(self, folder: str) -> None:
        """Let a folder go, to be looked at anew."""
        if (known := self._open.pop(folder, None)) is not None:
            known.directory.close()

    def close(self) -> None:
        """Let every folder go."""
        while self._open:
            self._open.popitem()[1].directory.close()

    def _known(self, folder: str) -> _Folder | None:
        """Give the files of a mailbox as they were when they were last looked at; None if it has no folder."""
        found = self._open.get(folder)
        if found is not None:
            self._open.move_to_end(folder)
            return found
        directory = self.directory(folder)
        if directory is None:
            return None
        found = self._open[folder] = _Folder(directory, {})
        self._look(folder, found)
        for old in list(self._open)[:-_OPEN]:
            if old != self.writing:
                self.forget(old)
        return found

    def _look(self, folder: str, found: _Folder) -> None:
        """Take note of files that were not there before."""
        new = (name for name in found.directory.names() if FILE.fullmatch(name) and name not in found.files)
        for name in sorted(new):
            found.files[name] = MboxFile(found.directory, name, self.limits.get(f"{folder}/{name}"))


def location_of(folder: str, name: str, entry: Entry, digest: str) -> Location:
    """Make the location of a message: the path of its file, its place there, and its digest."""
    return Location(f"{folder}/{name}@{entry.start}+{entry.length}.{digest}")


def place_of(location: Location) -> Place | None:
    """Take a location apart; None if it is none of ours."""
    found = _LOCATION.fullmatch(location)
    return Place(found[1], found[2], found[3]) if found else None
