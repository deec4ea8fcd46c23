"""Writes that survive a power cut.

The law of this room: the only file that links, renames or unlinks in an archive, and with `tail.py`, which appends,
the only one that syncs. Everything is opened
relative to a directory's descriptor and without following links; an existing file is never replaced; a file whose
sync failed is lost and is never synced again; a name counts only when its directory is synced too.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import stat
import time
from functools import cache
from typing import TYPE_CHECKING, Final

from mailarchive.errors import ArchiveError, TakenError, os_error, sync_error

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from mailarchive.ports import Chunk

PIECE = 1024 * 1024
"""Octets read from a file at a time."""

STALE_LOCK: Final = 120
"""Seconds after which a lock beside a file of Dovecot's means nothing; Dovecot's own figure."""

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_NO_SUCH_RENAME = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}
_NO_DIRECTORY_SYNC = {errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP}
_RENAME_NOREPLACE: Final = 1


class Directory:
    """An open folder inside an archive; `path` is only for messages."""

    __slots__ = ("fd", "path")

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path

    @classmethod
    def at(cls, path: str) -> Directory:
        """Open the folder of an archive itself, which may be reached by a link."""
        try:
            return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), path)
        except OSError as error:
            raise os_error(error, path) from None

    def child(self, name: str, *, create: bool = False) -> Directory:
        """Open a folder in this one, made with mode 0700 if it is missing and `create` is set."""
        path = f"{self.path}/{name}"
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        created = False
        try:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=self.fd)
                    created = True
            fd = os.open(name, flags, dir_fd=self.fd)
            if created:
                os.fchmod(fd, 0o700)
        except OSError as error:
            raise os_error(error, path) from None
        return Directory(fd, path)

    def descend(self, parts: Iterable[str], synced: Callable[[bool], None] | None = None) -> Directory:
        """Open a folder by its parts, one descriptor at a time.

        With `synced`, what is missing is made and each folder on the way is synced; it hears whether the names are
        durable then.
        """
        directory = self.again()
        for part in parts:
            try:
                below = directory.child(part, create=synced is not None)
                if synced is not None:
                    synced(directory.sync())
            finally:
                directory.close()
            directory = below
        return directory

    def walk(
        self, is_mailbox: Callable[[Directory, Sequence[str]], bool], *, hidden: str, leave: Collection[str] = ()
    ) -> Iterator[tuple[str, ...]]:
        """Give the folders below that hold a mailbox, by their parts, parents first; one is open at a time.

        Args:
            is_mailbox: Told a folder and the names of the folders in it.
            hidden: A folder in this one that is left out.
            leave: Folders that are left out wherever they are.
        """
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            parts = waiting.pop()
            directory = self.descend(parts)
            try:
                names = directory.folders()
                found = bool(parts) and is_mailbox(directory, names)
            finally:
                directory.close()
            if found:
                yield parts
            below = [name for name in names if name not in leave and (parts or name != hidden)]
            waiting.extend((*parts, name) for name in reversed(below))

    def again(self) -> Directory:
        """Give a second handle of this folder, closed on its own."""
        return Directory(os.dup(self.fd), self.path)

    def names(self) -> list[str]:
        """Give the names in the folder, in no order."""
        return list(self.each_name())

    def each_name(self) -> Iterator[str]:
        """Give the names in the folder one by one, in no order, where there may be very many."""
        try:
            with os.scandir(self.fd) as entries:
                for entry in entries:
                    yield entry.name
        except OSError as error:
            raise os_error(error, self.path) from None

    def folders(self) -> list[str]:
        """Give the names of the folders in this folder, links left out, sorted."""
        try:
            with os.scandir(self.fd) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError as error:
            raise os_error(error, self.path) from None

    def has(self, name: str) -> bool:
        """Tell whether there is anything of this name."""
        return _status(self, name) is not None

    def size(self, name: str) -> int | None:
        """Give the octets of a regular file; None if there is none of this name."""
        found = _status(self, name)
        return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None

    def stamp(self, name: str) -> tuple[int, int, int] | None:
        """Give what changes when a regular file is another one or was written to; None if there is none."""
        found = _status(self, name)
        if found is None or not stat.S_ISREG(found.st_mode):
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def draft(self, name: str) -> Draft:
        """Create a file for writing that must not exist."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, 0o600, dir_fd=self.fd)
        except OSError as error:
            raise os_error(error, f"{self.path}/{name}") from None
        return Draft(self, name, fd)

    def read(self, name: str, *, cold: bool = False, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Give a regular file in pieces; with `cold` from the device rather than from memory where the system can.

        With `start` and `length`, only octets from there on, and so many at most.
        """
        path = f"{self.path}/{name}"
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.fd)
            try:
                found = os.fstat(fd)
                if not stat.S_ISREG(found.st_mode):
                    raise ArchiveError(f"{path} is no regular file")
                if cold and hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(fd, start, length or 0, os.POSIX_FADV_DONTNEED)
                end = None if length is None else start + length
                while end is None or start < end:
                    most = min(PIECE, max(found.st_size - start, 4096), PIECE if end is None else end - start)
                    if not (piece := os.pread(fd, most, start)):
                        break
                    yield piece
                    start += len(piece)
                    # It ends where it did when it was opened; no read need find out.
                    if start == found.st_size:
                        break
            finally:
                os.close(fd)
        except OSError as error:
            raise os_error(error, path) from None

    def link_or_move(self, name: str, target: Directory, new_name: str) -> None:
        """Give a file its final name, which must be free, and take the old one away."""
        try:
            try:
                _rename_without_replacing(self.fd, name, target.fd, new_name)
            except OSError as error:
                if error.errno not in _NO_SUCH_RENAME:
                    raise
                self._link_and_remove(name, target, new_name)
        except OSError as error:
            raise os_error(error, f"{target.path}/{new_name}") from None

    def _link_and_remove(self, name: str, target: Directory, new_name: str) -> None:
        try:
            os.link(name, new_name, src_dir_fd=self.fd, dst_dir_fd=target.fd, follow_symlinks=False)
        except OSError as error:
            # A disk that knows neither (exFAT by FUSE): only we give such names here, and we hold the lock.
            if error.errno not in _NO_LINKS or _status(target, new_name) is not None:
                raise
            os.rename(name, new_name, src_dir_fd=self.fd, dst_dir_fd=target.fd)
        else:
            os.unlink(name, dir_fd=self.fd)

    def link(self, name: str, target: Directory, new_name: str) -> bool:
        """Give a file a second name; False where the system has no links."""
        try:
            os.link(name, new_name, src_dir_fd=self.fd, dst_dir_fd=target.fd, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise os_error(error, f"{target.path}/{new_name}") from None
        return True

    def take_lock(self, name: str, lock: str) -> bool:
        """Make a lock of a file by a second name, or where there are no links an empty one; False if it is there."""
        try:
            if not self.link(name, self, lock):
                self.draft(lock).finish()
        except TakenError:
            return False
        return True

    def remove(self, name: str) -> None:
        """Remove a file of ours that holds nothing anybody needs; a missing one is no error."""
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise os_error(error, f"{self.path}/{name}") from None

    def sync_file(self, name: str) -> None:
        """Make the octets of a file durable that somebody else has written."""
        path = f"{self.path}/{name}"
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise os_error(error, path) from None

    def sync(self) -> bool:
        """Make the names in this folder durable; False where the system cannot sync a folder."""
        try:
            os.fsync(self.fd)
        except OSError as error:
            if error.errno in _NO_DIRECTORY_SYNC:
                return False
            raise os_error(error, self.path) from None
        return True

    def sync_all(self) -> None:
        """Make everything durable that is on the filesystem of this folder, whoever wrote it."""
        try:
            function = getattr(_libc(), "syncfs", None)
            if function is None:
                # A system without it syncs all it has.
                os.sync()
            elif function(self.fd):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        except OSError as error:
            raise sync_error(error, self.path) from None

    def free(self) -> int | None:
        """Give how many octets this user may still write on the disk of this folder; None if it does not say."""
        try:
            state = os.fstatvfs(self.fd)
        except OSError:
            return None
        # A disk without a size, as some in a network are, says nothing about room.
        return state.f_bavail * state.f_frsize if state.f_blocks else None

    def changed(self) -> int:
        """Give a number that changes when a name in this folder does."""
        try:
            return os.fstat(self.fd).st_mtime_ns
        except OSError as error:
            raise os_error(error, self.path) from None

    def modified(self, name: str) -> int | None:
        """Give when a file or folder was changed, in nanoseconds; None if there is none of this name."""
        found = _status(self, name)
        return found.st_mtime_ns if found is not None else None

    def touch(self, name: str) -> None:
        """Make a file of ours one that was changed now."""
        try:
            os.utime(name, dir_fd=self.fd, follow_symlinks=False)
        except OSError as error:
            raise os_error(error, f"{self.path}/{name}") from None

    def close(self) -> None:
        """Let the descriptor go."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            with contextlib.suppress(OSError):
                # A folder's descriptor holds nothing that could be lost.
                os.close(fd)


class Draft:
    """A file that is being written and has no final name yet; `linked` if it is one that is durable already."""

    __slots__ = ("_fd", "directory", "linked", "name")

    def __init__(self, directory: Directory, name: str, fd: int | None) -> None:
        self.directory = directory
        self.name = name
        self.linked = fd is None
        self._fd = -1 if fd is None else fd

    @property
    def path(self) -> str:
        """For messages."""
        return f"{self.directory.path}/{self.name}"

    def write(self, chunk: Chunk) -> None:
        """Append octets, all of them, however little the system takes at a time."""
        try:
            written = os.write(self._fd, chunk)
            if written < len(chunk):
                rest = memoryview(chunk)[written:]
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            raise os_error(error, self.path) from None

    def date(self, mtime: int | None = None, *, closed: bool = False) -> None:
        """Set the modification time, in seconds since 1970, and the mode unless that is known to be right."""
        try:
            if not closed:
                os.fchmod(self._fd, 0o600)
            if mtime is not None:
                os.utime(self._fd, (mtime, mtime))
        except OSError as error:
            raise os_error(error, self.path) from None

    def close(self, *, sync: bool) -> None:
        """Let the file go, its octets synced or not; after an error it is lost."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        try:
            try:
                if sync:
                    os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise sync_error(error, self.path) from None

    def finish(self) -> None:
        """Set the mode, sync and close; after an error the file is lost."""
        self.date()
        self.close(sync=True)

    def drop(self) -> None:
        """Close and remove the file; never fails, what cannot be removed is swept away by the next run."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1
        with contextlib.suppress(ArchiveError):
            self.directory.remove(self.name)


class AppendFile:
    """A new file of lines, synced when asked; for manifests."""

    def __init__(self, directory: Directory, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self.path = f"{directory.path}/{name}"
        try:
            self._fd = os.open(name, flags, 0o600, dir_fd=directory.fd)
        except OSError as error:
            raise os_error(error, self.path) from None
        self._directory: Directory | None = directory
        self._buffer: list[bytes] = []
        self._lost = False

    def write(self, line: bytes) -> None:
        """Append a line, which ends with LF."""
        self._buffer.append(line)

    def sync(self) -> None:
        """Make every line durable, and the first time the name too; after an error the file is lost."""
        if self._lost or self._fd < 0 or (not self._buffer and self._directory is None):
            return
        data = memoryview(b"".join(self._buffer))
        self._buffer.clear()
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            os.fsync(self._fd)
        except OSError as error:
            # The system may have dropped what it could not write, and the next sync would not say so.
            self._lost = True
            raise os_error(error, self.path) from None
        if self._directory is not None:
            self._directory.sync()
            self._directory = None

    def close(self) -> None:
        """Sync, make the file read-only and let it go."""
        if self._fd < 0:
            return
        try:
            self.sync()
        finally:
            fd, self._fd = self._fd, -1
            with contextlib.suppress(OSError):
                if not self._lost:
                    os.fchmod(fd, 0o400)
            with contextlib.suppress(OSError):
                # Synced before; nothing hangs on this any more.
                os.close(fd)


def replace(directory: Directory, name: str, content: bytes, *, mode: int = 0o600) -> None:
    """Write a small file of ours by rename, so that it is the old one or the new one, never a part."""
    draft = _drafted(directory, name, (content,), mode)
    try:
        os.replace(draft.name, name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
    except OSError as error:
        draft.drop()
        raise os_error(error, f"{directory.path}/{name}") from None
    directory.sync()


def replace_under_lock(directory: Directory, name: str, parts: Iterable[Chunk]) -> bool:
    """Write a file that Dovecot writes too, under its lock; False where somebody else holds that.

    The lock is a file `NAME.lock` that must not exist.
    """
    lock = f"{name}.lock"
    drop_left_over(directory, name)
    draft = _drafted(directory, name, parts, 0o600)
    try:
        if not directory.take_lock(draft.name, lock):
            draft.drop()
            return False
    except ArchiveError:
        draft.drop()
        raise
    try:
        os.replace(draft.name, name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
    except OSError as error:
        draft.drop()
        raise os_error(error, f"{directory.path}/{name}") from None
    finally:
        directory.remove(lock)
    directory.sync()
    return True


def drop_left_over(directory: Directory, name: str) -> None:
    """Remove the lock of a file if a killed run has left it, or if it is two minutes old and so means nothing."""
    held = _status(directory, f"{name}.lock")
    if held is None:
        return
    # Ours is a link of the file that it was held for.
    ours = [found for each in (name, f".{name}.new") if (found := _status(directory, each)) is not None]
    if any(os.path.samestat(held, each) for each in ours) or time.time() - held.st_mtime > STALE_LOCK:
        directory.remove(f"{name}.lock")


def _drafted(directory: Directory, name: str, parts: Iterable[Chunk], mode: int) -> Draft:
    """Write and sync a file beside the one that it is to replace."""
    temporary = f".{name}.new"
    directory.remove(temporary)
    draft = directory.draft(temporary)
    try:
        for part in parts:
            draft.write(part)
        draft.finish()
        os.chmod(temporary, mode, dir_fd=directory.fd)
    except OSError as error:
        draft.drop()
        raise os_error(error, f"{directory.path}/{name}") from None
    except ArchiveError:
        draft.drop()
        raise
    return draft


def _status(directory: Directory, name: str) -> os.stat_result | None:
    """Look at what has a name, links themselves; None if there is nothing."""
    try:
        return os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise os_error(error, f"{directory.path}/{name}") from None


def keep(directory: Directory, name: str, pieces: Iterable[bytes]) -> None:
    """Write a file that must not exist, and make it and its name durable."""
    draft = directory.draft(name)
    try:
        for piece in pieces:
            draft.write(piece)
        draft.finish()
    except ArchiveError:
        draft.drop()
        raise
    directory.sync()


def set_aside(directory: Directory, name: str, target: Directory) -> str:
    """Move a file to a folder of damaged ones under a free name; gives that name."""
    taken = set(target.names())
    new_name = name
    number = 1
    while new_name in taken:
        number += 1
        new_name = f"{name}.{number}"
    directory.link_or_move(name, target, new_name)
    directory.sync()
    target.sync()
    return new_name


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def makes_files_ours() -> bool:
    """Tell whether a file that is made with mode 0600 has it, whatever mask this process was started with."""
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - a path would cost more than the reading
            found = re.search(rb"^Umask:\s*([0-7]+)", status.read(), re.MULTILINE)
    except OSError:
        return False
    return found is not None and not int(found[1], 8) & 0o600


@cache
def _quick_libc() -> ctypes.PyDLL:
    """For calls that are over sooner than another thread could take its turn, and so do not let it."""
    return ctypes.PyDLL(None, use_errno=True)


def can_sync_together() -> bool:
    """Tell whether one call makes all files of a filesystem durable and says if one of them could not be (syncfs).

    Linux tells such errors from version 5.8 on.
    """
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    recent = version is not None and (int(version[1]), int(version[2])) >= (5, 8)
    return os.uname().sysname == "Linux" and recent and hasattr(_libc(), "syncfs")


def _rename_without_replacing(source_fd: int, name: str, target_fd: int, new_name: str) -> None:
    """Rename by renameat2(RENAME_NOREPLACE): one step where a link and a removal are two."""
    renameat2 = getattr(_quick_libc(), "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, "no rename that replaces nothing")
    if renameat2(source_fd, os.fsencode(name), target_fd, os.fsencode(new_name), _RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
