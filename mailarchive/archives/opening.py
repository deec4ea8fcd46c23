"""Opens an archive by its path, or makes it: the marker, the lock, the place.

The law of this room: one writer at a time, held by a lock that dies with the process; nothing is made in a folder that
holds something else; an archive that was here and shows no marker is never started anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import filelock

from mailarchive.address import parse_url
from mailarchive.archives import durable, place
from mailarchive.archives import marker as markers
from mailarchive.archives.durable import Directory, replace
from mailarchive.archives.flat import FlatNames
from mailarchive.archives.maildir import MaildirArchive
from mailarchive.archives.marker import META, Kind, Marker
from mailarchive.archives.names import Names
from mailarchive.errors import ArchiveError, BusyError, FullError, UsageError, os_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from mailarchive.archives.mbox import MboxArchive


OWNER = "lock.owner"
"""Says who holds the lock; the lock itself is in the kernel, so that a killed process leaves none."""


@dataclass(slots=True)
class OpenArchive:
    """An archive that this process may use; close it, or use it as a context manager.

    Attributes:
        catalogue: Where its catalogue lies. `network`: whether that is on a network filesystem.
    """

    path: Path
    marker: Marker
    mail: MaildirArchive | MboxArchive
    catalogue: Path
    network: bool
    _lock: filelock.BaseFileLock | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let everything go."""
        self.mail.close()
        if self._lock is not None:
            with contextlib.suppress(ArchiveError):
                meta = Directory.at(str(self.path / META))
                try:
                    meta.remove(OWNER)
                finally:
                    meta.close()
            self._lock.release()
            self._lock = None


def open_for_writing(
    path: Path,
    account: str,
    *,
    run: str,
    started: str,
    kind: Kind | None = None,
    wait: float = 0.0,
    remember: bool = True,
) -> OpenArchive:
    """Open an archive for a run that writes, making it if there is none.

    Args:
        path: The folder of the archive.
        account: The identity of the account, a URL without a secret.
        run: Id of the run.
        started: Its local start time, for the message to a second run.
        kind: The form that is asked for; None for any, and Maildirs in a new archive.
        wait: Seconds to wait for another run to end.
        remember: Whether the place is noted, so that its absence is an error later; not for temporary ones.

    Raises:
        ArchiveError: The folder is not an archive of this account, or of another kind, or not there although it was.
        BusyError: Another run holds it.
    """
    with _mapped(path):
        _make_folder(path)
        doubts = place.doubts(path)
        root = Directory.at(str(path))
        lock: filelock.BaseFileLock | None = None
        try:
            _refuse_foreign(root, path)
            meta = root.child(META, create=True)
            try:
                lock = _lock(path, meta, started, wait)
                marker = markers.read(meta) or _found(root, meta, path, account, kind or Kind())
            finally:
                meta.close()
            _check_account(path, marker, account)
            _check_kind(path, marker, kind)
            if remember:
                markers.remember(path, marker.id)
            opened = _opened(path, root, marker, run, doubts)
            opened._lock = lock  # noqa: SLF001 - the lock belongs to the value made here
            opened.mail.sweep()
        except BaseException:
            root.close()
            if lock is not None:
                lock.release()
            raise
        return opened


def open_for_reading(path: Path, account: str | None = None) -> OpenArchive | None:
    """Open an archive without changing anything; None if there is none yet at a place where one may be made."""
    with _mapped(path):
        if path.is_dir():
            # Before it is read, so that its owner is named and not only that it cannot be.
            place.owned(path)
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            _refuse_lost(path)
            _refuse_below_a_file(path)
            return None
        if not path.is_dir():
            raise ArchiveError(f"{path} is a file", hint="name a folder")
        root = Directory.at(str(path))
        try:
            _refuse_foreign(root, path)
            meta = root.child(META)
            try:
                marker = markers.read(meta)
            finally:
                meta.close()
            if marker is None:
                _refuse_lost(path)
                root.close()
                return None
            if account is not None:
                _check_account(path, marker, account)
            return _opened(path, root, marker, "", place.doubts(path))
        except BaseException:
            root.close()
            raise


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[None]:
    """Turn every OSError on the way into ours."""
    try:
        yield
    except OSError as error:
        raise os_error(error, str(error.filename or path)) from None


def _opened(path: Path, root: Directory, marker: Marker, run: str, doubts: list[str]) -> OpenArchive:
    def siblings(parts: tuple[str, ...]) -> list[str]:
        with _mapped(path):
            folder = path.joinpath(*parts)
            return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []

    def record(folder: str, name: str) -> None:
        marker.names[folder] = name
        if run:
            meta = root.child(META)
            try:
                markers.write(meta, marker)
            finally:
                meta.close()

    mail: MaildirArchive | MboxArchive
    if marker.format == "mbox":
        # Imported here: most archives are of the other format.
        from mailarchive.archives.mbox import MboxArchive

        mail = MboxArchive(root, marker.id, Names(siblings, marker.names, record, mbox=True), run=run)
    else:
        flat = marker.layout == "maildir++"
        mail = MaildirArchive(
            root,
            marker.id,
            FlatNames(siblings, marker.names, record) if flat else Names(siblings, marker.names, record),
            run=run,
            separator=marker.separator,
            flat=flat,
            created=marker.created_second,
            together=durable.can_sync_together() and place.filesystem(path) in place.SYNCED_TOGETHER,
        )
    mail.doubts.extend(doubts)
    return OpenArchive(path, marker, mail, path / META / "catalogue.sqlite", place.is_network(path))


def _make_folder(path: Path) -> None:
    """Make the folder of an archive and what is missing above it, closed to others and durable."""
    if path.is_symlink() and not path.exists():
        raise ArchiveError(f"{path} is a link to {path.readlink()}, which is not there", hint="is the disk mounted?")
    if path.exists():
        if not path.is_dir():
            raise ArchiveError(f"{path} is a file", hint="name a folder")
        return
    _refuse_lost(path)
    _refuse_below_a_file(path)
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    directory = Directory.at(str(folder))
    try:
        directory.sync()
    finally:
        directory.close()


def _found(root: Directory, meta: Directory, path: Path, account: str, kind: Kind) -> Marker:
    """Make a new archive in an empty folder; what an interrupted start has left there does not count."""
    mail = any(name != META for name in root.names())
    # The catalogue and the manifests come after the marker, so an interrupted start has none.
    if mail or meta.has("catalogue.sqlite") or _has_runs(meta):
        raise ArchiveError(
            f"{path} has lost its marker {META}/{markers.NAME}", hint="restore it from a backup of the archive"
        )
    _refuse_lost(path)
    marker = Marker.new(account, kind, separator=_separator(meta))
    replace(meta, ".noindex", b"")
    meta.child("runs", create=True).close()
    markers.write(meta, marker)
    root.sync()
    _sync(path.resolve().parent)
    return marker


def _has_runs(meta: Directory) -> bool:
    if not meta.has("runs"):
        return False
    runs = meta.child("runs")
    try:
        return bool(runs.names())
    finally:
        runs.close()


def _separator(meta: Directory) -> str:
    """Find out whether a colon may stand in a file name here.

    Raises:
        ArchiveError: No file can be made here at all.
    """
    try:
        _try(meta, "a:b")
    except FullError:
        # The separator is for ever, and this says nothing about it.
        raise
    except ArchiveError:
        _try(meta, "a;b")
        # Once more, because it may have been the disk and not the name.
        with contextlib.suppress(ArchiveError):
            _try(meta, "a:b")
            return ":"
        return ";"
    return ":"


def _try(meta: Directory, name: str) -> None:
    """Make a file and remove it."""
    meta.remove(name)
    meta.draft(name).drop()


def _refuse_lost(path: Path) -> None:
    note = markers.remembered(path)
    if note is not None:
        what = "the folder is empty" if path.is_dir() else "the folder is gone"
        raise ArchiveError(
            f"archive {path} not found: {what}",
            hint=f"is the disk mounted? If you removed the archive on purpose, remove {note} too",
        )


def _refuse_below_a_file(path: Path) -> None:
    """Refuse a place that can never be made, before anybody is asked for a password."""
    above = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not above.is_dir():
        raise ArchiveError(f"{above} is a file, so {path} cannot be made", hint="name a folder")


def _refuse_foreign(root: Directory, path: Path) -> None:
    """Refuse a folder that holds other things, before anything is made in it."""
    if not root.has(META):
        _refuse_lost(path)
        if root.names():
            raise ArchiveError(f"{path} holds something else than an archive", hint="name an empty or a new folder")


def _check_account(path: Path, marker: Marker, account: str) -> None:
    """Refuse the archive of another login; user and host are the identity, port and protection are not."""
    try:
        there, here = parse_url(marker.account), parse_url(account)
        same = (there.user, there.host) == (here.user, here.host)
    except UsageError:
        same = marker.account == account
    if not same:
        raise ArchiveError(
            f"{path} is the archive of {marker.account}, not of {account}",
            hint="use another folder; after a rename of the host, edit account in .mailarchive/archive.toml",
        )


def _check_kind(path: Path, marker: Marker, kind: Kind | None) -> None:
    """Refuse an archive of another form than the one that is asked for: it cannot be changed."""
    if kind is not None and kind != marker.kind:
        raise ArchiveError(
            f"{path} is a {_named(marker.kind)} archive, not {_named(kind)}",
            hint="the form is fixed when an archive is made; use another folder",
        )


def _named(kind: Kind) -> str:
    return kind.format if kind.layout == "nested" else kind.layout


def _lock(path: Path, meta: Directory, started: str, wait: float) -> filelock.BaseFileLock:
    if (path / META / "lock").is_symlink():
        raise ArchiveError(f"{path / META / 'lock'} is a link; links inside an archive are not followed")
    lock = filelock.FileLock(path / META / "lock", timeout=wait, mode=0o600)
    try:
        lock.acquire()
    except filelock.Timeout:
        owner = _holder(path / META / OWNER)
        raise BusyError(f"a run on {path} {owner}", hint="wait for it with --wait 10min") from None
    except NotImplementedError:
        raise ArchiveError(f"the filesystem of {path} has no locks") from None
    text = json.dumps({"pid": os.getpid(), "host": os.uname().nodename, "started": started})
    try:
        replace(meta, OWNER, text.encode("ascii"))
    except BaseException:
        lock.release()
        raise
    return lock


def _holder(owner: Path) -> str:
    # The owner is written just after the lock is taken, so a second run may come in between.
    for _ in range(3):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(owner.read_text(encoding="utf-8"))
            return f"has been going since {found['started']} (pid {int(found['pid'])} on {found['host']})"
        time.sleep(0.05)
    return "is going"
