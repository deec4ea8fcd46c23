"""An archive in memory for what only reads one, and exports made from it."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, cast

from mailarchive.errors import ArchiveError
from mailarchive.export import export
from mailarchive.exports.folder import NewFolder
from mailarchive.finding import Found
from mailarchive.model import Digest, Location
from mailarchive.reading import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from mailarchive.errors import ExitCode
    from mailarchive.events import Event, ExportFinished
    from mailarchive.outgoing import ExportFolder, Form
    from mailarchive.ports import Archive


class Shelf:
    """Keeps messages by their digest, each found in one mailbox or more, in the order in which they came."""

    def __init__(self, delimiters: Mapping[str, str | None] | None = None) -> None:
        self.octets: dict[str, bytes] = {}
        self.found: list[Found] = []
        self._delimiters = delimiters or {}

    def add(
        self, raw: bytes, mailbox: str = "INBOX", *, date: datetime | None = None, flags: Iterable[str] | None = ()
    ) -> Found:
        """Keep a message."""
        digest = Digest(f"sha256:{sha256(raw).hexdigest()}")
        letter = read(raw)
        self.octets[digest] = raw
        self.found.append(
            Found(
                digest,
                mailbox,
                Location(digest),
                len(raw),
                date,
                None if flags is None else frozenset(flags),
                letter.subject,
                letter.sender,
                f"{letter.to}, {letter.cc}",
                letter.attachments,
            )
        )
        return self.found[-1]

    def read(self, location: Location, *, cold: bool = False) -> Iterator[bytes]:
        """Give the octets in pieces of 1,000."""
        assert not cold
        if location not in self.octets:
            raise ArchiveError("its copy is gone")
        raw = self.octets[location]
        yield from (raw[begin : begin + 1000] for begin in range(0, len(raw), 1000))

    def runs(self) -> list[str]:
        """One run has seen all mailboxes."""
        return ["run1"] if self._delimiters else []

    def told(self, run: str, bad: Callable[[str], None]) -> Iterator[dict[str, object]]:
        """Say how the names of mailboxes are divided."""
        assert run
        del bad
        for name, delimiter in self._delimiters.items():
            yield {"type": "mailbox", "name": name, "delimiter": delimiter}


def exported(
    shelf: Shelf,
    to: Path,
    form: Callable[[ExportFolder], Form],
    *,
    stop: Callable[[], ExitCode | None] = lambda: None,
) -> tuple[ExportFinished, list[Event]]:
    """Export all of a shelf, as the command does; gives the end and all that was said."""
    said: list[Event] = []
    with NewFolder(to) as folder:
        finished = export(
            [("", cast("Archive", shelf), shelf.found)],
            form(folder),
            name="form",
            to=str(to),
            report=said.append,
            stop=stop,
            clock=lambda: 0.0,
        )
        if not finished.error:
            folder.keep()
    assert said[-1] is finished
    return finished, said


def files_of(folder: Path) -> dict[str, bytes]:
    """Give every file below a folder by its path, and check that folders and files are their owner's alone."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found
