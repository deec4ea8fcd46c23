"""What every archive has beside its mail, whatever its format: its id, its manifests, its doubts.

The law of this room: the manifests lie in `.mailarchive/runs` and are read and written in `manifest.py` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailarchive.archives import manifest as manifests
from mailarchive.archives.manifest import RunManifest
from mailarchive.archives.marker import META

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mailarchive.archives.durable import Directory
    from mailarchive.archives.flat import FlatNames
    from mailarchive.archives.names import Names
    from mailarchive.model import Digest, Location, Mailbox


class Records:
    """The part of an archive that does not hang on its format; see `ports.Archive`.

    Args:
        root: The folder of the archive; the archive closes it.
        archive_id: From the marker.
        names: Turns mailbox names into folders, and back.
        run: Id of the run that writes.
        elsewhere: Says of octets where another copy is, in whichever mailbox, for linking.
    """

    def __init__(
        self,
        root: Directory,
        archive_id: str,
        names: Names | FlatNames,
        *,
        run: str,
        elsewhere: Callable[[Sequence[Digest]], Mapping[Digest, Location]],
    ) -> None:
        self.id = archive_id
        self.doubts: list[str] = []
        self.elsewhere = elsewhere
        self._root = root
        self._names = names
        self._run = run

    def folder(self, mailbox: Mailbox) -> str:
        """Give the folder of a mailbox relative to the archive, with `/` between its parts."""
        return "/".join(self._names.folder(mailbox.name, mailbox.delimiter))

    def mailbox_of(self, folder: tuple[str, ...], delimiter: str | None) -> str | None:
        """Give the full name of the mailbox of a folder; None if it is of none."""
        return self._names.mailbox(folder, delimiter)

    def secure(self) -> None:
        """Make everything that is there durable, whoever wrote it, so that reading it back reads the device."""
        self._root.sync_all()

    def free(self) -> int | None:
        """Give how many octets this user may still write here; None where the disk does not say."""
        return self._root.free()

    def runs(self) -> list[str]:
        """Give the ids of all runs that have left a manifest, in order."""
        meta = self._root.child(META)
        try:
            return manifests.ids(meta)
        finally:
            meta.close()

    def manifest(self, run: str) -> RunManifest:
        """Begin the manifest of a run."""
        meta = self._root.child(META)
        try:
            runs = meta.child("runs", create=True)
            try:
                return RunManifest(runs, run)
            except BaseException:
                runs.close()
                raise
        finally:
            meta.close()

    def told(self, run: str, bad: Callable[[str], None] | None = None) -> Iterator[dict[str, object]]:
        """Give the lines of the manifest of a run that was; a torn last line is left out."""
        meta = self._root.child(META)
        try:
            yield from manifests.told(meta, run, bad)
        finally:
            meta.close()

    def _doubt(self, names_durable: bool) -> None:
        """Take note of what a sync of a folder has told."""
        doubt = "this filesystem cannot make the names of files durable"
        if not names_durable and doubt not in self.doubts:
            self.doubts.append(doubt)
