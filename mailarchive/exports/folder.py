"""A new folder for an export: filled beside its place, and put there when it is whole.

The law of this room: nothing that was there is changed or overwritten. The place is missing or empty before, and whole
after; until then everything stands in a folder beside it whose name says that it is unfinished. Folders are for their
owner alone, and so are files. An export is a copy, so nothing is synced.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from mailarchive.errors import ArchiveError, UsageError, os_error
from mailarchive.exports import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from mailarchive.ports import Chunk

UNFINISHED: Final = ".unfinished"

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MORE = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_NAMES: Final = 100_000
_MOST_MADE: Final = 4096


class NewFolder:
    """The folder of one export; use it as a context manager. What is not kept is taken away again.

    Args:
        path: Where it is to be.

    Raises:
        UsageError: Something is there, or it cannot be made there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._work = path.with_name(path.name + UNFINISHED)
        self._made: set[tuple[str, ...]] = set()
        self._kept = False
        _refuse_used(path)

    def __enter__(self) -> Self:
        try:
            self._work.mkdir(mode=0o700)
            self._work.chmod(0o700)
        except FileExistsError:
            raise UsageError(
                f"{self._work} is there: an earlier export was cut short",
                hint=f"if none is running, take it away: rm -r {shlex.quote(str(self._work))}",
            ) from None
        except FileNotFoundError:
            raise UsageError(
                f"{self.path}: there is no folder {self.path.parent}",
                hint=f"mkdir -p {shlex.quote(str(self.path.parent))}",
            ) from None
        except OSError as error:
            raise os_error(error, str(self._work)) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._kept:
            shutil.rmtree(self._work, ignore_errors=True)

    def keep(self) -> None:
        """Put the folder in its place; DiskError if that cannot be, UsageError if something is there meanwhile."""
        _refuse_used(self.path)
        with _mapped(self.path):
            # An empty folder that is there is replaced, in one step; one that is not empty is refused by the system.
            self._work.rename(self.path)
        self._kept = True

    def write(self, folder: Sequence[str], name: str, pieces: Iterable[Chunk], *, when: datetime | None = None) -> str:
        """Write a new file; see `outgoing.ExportFolder`."""
        above = self._made_folder(folder)
        with _mapped(above / name):
            file, chosen = _new_file(above, name)
            path = above / chosen
            try:
                with os.fdopen(file, "wb") as stream:
                    for piece in pieces:
                        stream.write(piece)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            if when is not None:
                _date(path, when)
        return chosen

    def scratch(self) -> IO[bytes]:
        """Give a file without a name; see `outgoing.ExportFolder`."""
        with _mapped(self._work):
            return tempfile.TemporaryFile(dir=self._work)

    def append(self, folder: Sequence[str], name: str, pieces: Iterable[Chunk]) -> None:
        """Add to a file; see `outgoing.ExportFolder`."""
        above = self._made_folder(folder)
        with _mapped(above / name):
            # Without a buffer, out of which something could come after the cut.
            file = os.open(above / _checked(name), _MORE, 0o600)
            try:
                start = os.fstat(file).st_size
                try:
                    for piece in pieces:
                        _write(file, piece)
                except BaseException:
                    os.ftruncate(file, start)
                    raise
            finally:
                os.close(file)

    def _made_folder(self, parts: Sequence[str]) -> Path:
        path, done = self._work, tuple(parts)
        if done in self._made:
            return path.joinpath(*done)
        with _mapped(path.joinpath(*done)):
            for each in done:
                path /= _checked(each)
                path.mkdir(mode=0o700, exist_ok=True)
        if len(self._made) >= _MOST_MADE:
            self._made.clear()
        self._made.add(done)
        return path


def _refuse_used(path: Path) -> None:
    """Refuse a place where something is."""
    hint = "name a folder that is not there yet"
    if not path.name:
        raise UsageError(f"{path} cannot be the folder of an export", hint=hint)
    try:
        if path.is_symlink():
            raise UsageError(f"{path} is a link", hint=hint)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            what = "is not empty" if path.is_dir() else "is a file"
            raise UsageError(f"{path} {what}", hint=hint)
    except OSError as error:
        raise os_error(error, str(path)) from None


def _new_file(above: Path, name: str) -> tuple[int, str]:
    """Open a new file under a name, or under the next one that is free."""
    chosen = _checked(name)
    for number in range(2, _MOST_NAMES):
        try:
            return os.open(above / chosen, _NEW, 0o600), chosen
        except FileExistsError:
            chosen = _checked(names.numbered(name, number))
    raise ArchiveError(f"{above} has too many files called {name}")


def _write(file: int, piece: Chunk) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(file, rest) :]


def _date(path: Path, when: datetime) -> None:
    """Give a file its time; a filesystem that cannot say so early or late a one keeps its own."""
    try:
        os.utime(path, (when.timestamp(), when.timestamp()))
    except (OSError, OverflowError, ValueError):
        return


def _checked(name: str) -> str:
    """Let a name through; one that is none is a bug above."""
    if name in ("", ".", "..") or any(sign in name for sign in "/\\\0"):
        raise AssertionError("a name that could lead out of the export")
    return name


@contextmanager
def _mapped(path: Path) -> Iterator[None]:
    """Turn every OSError on the way into ours."""
    try:
        yield
    except OSError as error:
        raise os_error(error, str(error.filename or path)) from None
