"""Opens archives to be searched, and has their indexes filled.

The law of this room: an archive is only read here, its lock is not taken, and a run that is going on is not in the
way. What cannot be kept beside the mail is made for this one search.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.archives.opening import open_for_reading
from mailarchive.catalogue_file import has_full_text
from mailarchive.errors import ArchiveError, BusyError, DiskError, ExitCode, MailarchiveError, UsageError
from mailarchive.events import Warned
from mailarchive.index import NAME, Index, SqliteFinder, fill
from mailarchive.query import Attachment, Field, Query, Words
from mailarchive.screen.jsonl import JsonLines
from mailarchive.screen.plain import Plain, Sink, is_terminal
from mailarchive.screen.words import format_count, messages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mailarchive.archives.opening import OpenArchive
    from mailarchive.cli.options import Shared
    from mailarchive.ports import Stop
    from mailarchive.screen import Screen

SPARE: Final = 200 * 1000 * 1000
"""Octets of a disk that an index leaves for mail."""

_WORTH_TELLING: Final = 500
"""Messages to be read before a search; fewer take no time that anybody notices."""


@dataclass(frozen=True, slots=True)
class Place:
    """An archive to be searched: what it is called, its folder, and whether an index is kept beside the mail."""

    name: str
    folder: Path
    index: bool = True


class Opened(NamedTuple):
    """An archive that is open, and what finds in it."""

    place: Place
    archive: OpenArchive
    finder: SqliteFinder


def places(accounts: Sequence[str], archives: Sequence[str], shared: Shared, environ: Mapping[str, str]) -> list[Place]:
    """Find the archives that are meant: folders, or those of accounts; of all accounts if nothing is named.

    Raises:
        UsageError: Accounts and folders are named together.
        ConfigError: The configuration is missing or wrong.
    """
    if archives:
        if accounts:
            raise UsageError("accounts and folders do not go together", hint="leave --account or --archive out")
        return [Place(Path(text).name, Path(text).expanduser().absolute()) for text in archives]
    from mailarchive.config import load

    config = load(Path(shared.config) if shared.config else None, environ=environ)
    return [Place(account.name, account.archive, account.index) for account in config.select(accounts)]


@contextmanager
def opened(
    place: Place, screen: Screen, stop: Stop, *, query: Query | None = None, tell: bool = True
) -> Iterator[Opened]:
    """Open an archive to find in it.

    Args:
        place: The archive.
        screen: Is told what a person should know of the search.
        stop: Ends the reading of what is not indexed yet; who calls this looks at it again.
        query: What will be asked; the index is filled as far as that needs. None fills nothing: only IDs can be found.
        tell: Whether a terminal shows how far the reading is.

    Raises:
        ArchiveError: There is no archive, or no catalogue in it.
        UsageError: This Python cannot search words.
    """
    if not has_full_text():
        raise UsageError(
            "the SQLite of this Python cannot search words", hint="use a Python whose SQLite has FTS5; doctor tells"
        )
    archive = open_for_reading(place.folder)
    if archive is None:
        raise ArchiveError(f"there is no archive in {place.folder}", hint="mailarchive backup makes one")
    with archive, contextlib.closing(_index(archive, place, lasting=query is not None)) as index:
        finder = SqliteFinder(index)
        if query is not None:
            _fill(index, archive, query, screen=screen, stop=stop, tell=tell)
        yield Opened(place, archive, finder)


def tell_unread(one: Opened, query: Query, screen: Screen) -> ExitCode:
    """Tell of mail that a query may mean and that was not read, for what must not leave any out; gives the code."""
    count = one.finder.unread(query)
    if not count:
        return ExitCode.DONE
    folder = shlex.quote(str(one.archive.path))
    screen(Warned(f"{messages(count)} in {folder} cannot be read and may be missing; mailarchive verify {folder}"))
    return ExitCode.PARTIAL


def index_mail(place: Place, screen: Screen, stop: Stop) -> None:
    """Take what a run has archived into the index; whatever goes wrong is a remark, for the mail is safe already."""
    if not place.index or stop() is not None or not has_full_text():
        return
    try:
        with opened(place, screen, stop, query=Query(), tell=type(screen) not in (Plain, JsonLines)):
            pass
    except MailarchiveError as error:
        screen(Warned(f"the new mail is not in the index yet: {error.message}", serious=False))


def _index(archive: OpenArchive, place: Place, *, lasting: bool) -> Index:
    """Open the index beside the mail; where none may be or can be, one that is gone afterwards."""
    path = archive.catalogue.with_name(NAME) if place.index and lasting and _may_write(archive) else None
    try:
        return Index(path, archive.catalogue, archive.marker.id, network=archive.network)
    except DiskError:
        if path is None:
            raise
        return Index(None, archive.catalogue, archive.marker.id)


def _fill(index: Index, archive: OpenArchive, query: Query, *, screen: Screen, stop: Stop, tell: bool) -> None:
    """Read what is not indexed yet: all of it for an index that is kept, else what the query cannot do without."""
    condition, values = ("1", []) if index.lasting else SqliteFinder(index).necessary(query)
    behind = index.behind(condition, values)
    if not behind:
        return
    if index.lasting and _is_full(archive.path):
        what = f"the disk of {archive.path} is nearly full, so its index is not filled"
        screen(Warned(f"{what}; {messages(behind)} may be missing", serious=False))
        return
    shown = _Shown(behind) if tell and behind >= _WORTH_TELLING else None
    try:
        fill(
            index,
            archive.mail,
            index.waiting(condition, values),
            stop=lambda: stop() or (index.lasting and _is_full(archive.path)) or None,
            progress=shown or (lambda _: None),
            body=index.lasting or _needs_texts(query),
        )
    except (BusyError, DiskError) as error:
        busy = isinstance(error, BusyError)
        why = f"another program is filling the index of {archive.path}" if busy else error.message
        screen(Warned(f"{why}; {messages(behind)} may be missing", serious=False))
    finally:
        if shown is not None:
            shown.clear()


def _needs_texts(query: Query) -> bool:
    """Tell whether headers alone cannot answer a query."""
    return any(
        isinstance(term, Attachment) or (isinstance(term, Words) and term.field in (Field.ANYWHERE, Field.FILENAME))
        for term in query.terms()
    )


def _may_write(archive: OpenArchive) -> bool:
    """Tell whether an index beside the mail is ours to write; on another user's archive it is not."""
    path = archive.catalogue.with_name(NAME)
    return os.access(path if path.exists() else path.parent, os.W_OK)


def _is_full(folder: Path) -> bool:
    """Tell whether a disk has no room for what can be done without."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize < SPARE


class _Shown:
    """One line on the terminal that says how far the reading is."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._sink = Sink(sys.stderr if is_terminal(sys.stderr) else None)

    def __call__(self, done: int) -> None:
        self._sink.write(f"\rreading mail for the index: {format_count(done)} of {format_count(self._total)}\x1b[K")

    def clear(self) -> None:
        """Take the line away."""
        self._sink.write("\r\x1b[K")
