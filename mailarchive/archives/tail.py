"""Appending to a file that mail programs open too, so that a power cut leaves it whole or cut where it was.

The law of this room: beside `durable.py` the only file that syncs, cuts or removes anything in an archive. What is
there is never changed but for a place that the caller names; octets are added at the end, under the locks that mail
programs keep to, and are durable before anybody may count on them. After an error the file ends where it ended before.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive.archives.durable import replace
from mailarchive.errors import ArchiveError, BusyError, MissingError, os_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from mailarchive.archives.durable import Directory

PATIENCE: Final = 30.0
"""Seconds to wait for a mail program that holds a file."""

READ_ONLY: Final = 0o444
"""Of a file between runs: mail programs open it read-only then, and leave it alone."""

_PIECE = 1024 * 1024
_OURS = "mailarchive "
_INTENT = "appending.json"


class Piece(NamedTuple):
    """Octets in the scratch file."""

    start: int
    length: int


class Scratch:
    """A file without a name that holds a batch until it is appended; nothing of it survives the process."""

    def __init__(self, directory: Directory, name: str) -> None:
        self._path = f"{directory.path}/{name}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        directory.remove(name)
        try:
            self.fd = os.open(name, flags, 0o600, dir_fd=directory.fd)
        except OSError as error:
            raise os_error(error, self._path) from None
        directory.remove(name)
        self.size = 0

    def write(self, octets: bytes) -> None:
        """Append octets."""
        self.put(octets, self.size)
        self.size += len(octets)

    def put(self, octets: bytes, at: int) -> None:
        """Write octets at a place."""
        try:
            _put(self.fd, octets, at)
        except OSError as error:
            raise os_error(error, self._path) from None

    def read(self, piece: Piece) -> Iterator[bytes]:
        """Give octets of it."""
        at, end = piece.start, piece.start + piece.length
        while at < end:
            octets = os.pread(self.fd, min(_PIECE, end - at), at)
            if not octets:
                raise ArchiveError(f"{self._path} is shorter than it was")
            yield octets
            at += len(octets)

    def cut(self, size: int = 0) -> None:
        """Forget what is behind a place; never fails."""
        self.size = size
        with contextlib.suppress(OSError):
            # On a disk that takes nothing any more; what is behind the size is written over, or gone with the file.
            os.ftruncate(self.fd, size)

    def close(self) -> None:
        """Let it go."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            with contextlib.suppress(OSError):
                # Nothing in it is needed any more.
                os.close(fd)


class Held:
    """A file that is locked for appending: by a dotlock and by fcntl, as mail programs do it.

    Args:
        directory: Its folder.
        name: It is made if it is missing.
        owner: Id of the archive, so that a lock of a run that was killed is known as ours.
        patience: Seconds to wait for others.

    Raises:
        BusyError: A mail program holds it.
    """

    def __init__(self, directory: Directory, name: str, owner: str, *, patience: float = PATIENCE) -> None:
        self._directory = directory
        self._name = name
        self.path = f"{directory.path}/{name}"
        self.fd = -1
        end = time.monotonic() + patience
        self._dotlock(owner, end)
        try:
            self.is_new = self._open()
            self._lock(end)
        except BaseException:
            self.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def begins(self, length: int) -> bytes:
        """Give the first octets by the descriptor that holds the lock: closing another one would end it."""
        return os.pread(self.fd, length, 0)

    def _dotlock(self, owner: str, end: float) -> None:
        directory, lock = self._directory, f"{self._name}.lock"
        # Linked, so that it is never there without saying whose it is.
        temporary = f".{lock}.{owner[:8]}"
        directory.remove(temporary)
        draft = directory.draft(temporary)
        try:
            draft.write(f"{_OURS}{owner} {os.getpid()}\n".encode("ascii"))
            # Durable before it has its name: an empty lock after a power cut would be anybody's.
            draft.finish()
            while not directory.take_lock(draft.name, lock):
                if self._is_ours(lock, owner):
                    # Whoever holds the archive is the only one that can have made it, and that is us now.
                    directory.remove(lock)
                elif time.monotonic() > end:
                    raise BusyError(
                        f"a mail program holds {self.path}", hint=f"close it, or remove {self.path}.lock if it is old"
                    )
                else:
                    time.sleep(0.05)
        finally:
            draft.drop()

    def _is_ours(self, lock: str, owner: str) -> bool:
        with contextlib.suppress(ArchiveError):
            return b"".join(self._directory.read(lock)).startswith(f"{_OURS}{owner} ".encode("ascii"))
        return False

    def _open(self) -> bool:
        directory, name = self._directory, self._name
        there = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            try:
                fd = os.open(name, os.O_RDONLY | there, dir_fd=directory.fd)
            except FileNotFoundError:
                self.fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | there, 0o600, dir_fd=directory.fd)
                os.fchmod(self.fd, 0o600)
                return True
            try:
                before = os.fstat(fd)
                if not stat.S_ISREG(before.st_mode):
                    raise ArchiveError(f"{self.path} is no regular file")
                os.fchmod(fd, 0o600)
                self.fd = os.open(name, os.O_RDWR | there, dir_fd=directory.fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise os_error(error, self.path) from None
        if not os.path.samestat(before, os.fstat(self.fd)):
            raise ArchiveError(f"{self.path} was changed by another program just now")
        return False

    def _lock(self, end: float) -> None:
        while True:
            try:
                fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise os_error(error, self.path) from None
                if time.monotonic() > end:
                    raise BusyError(f"a mail program holds {self.path}", hint="close it and run again") from None
                time.sleep(0.05)
            else:
                return

    @property
    def size(self) -> int:
        """Octets in the file."""
        return os.fstat(self.fd).st_size

    def expect(self, size: int) -> None:
        """Refuse a file that is not as long as it was: somebody has written to it before it was locked."""
        if self.size != size:
            raise ArchiveError(f"another program has written to {self.path} just now", hint="close it, and run again")

    def append(self, scratch: Scratch, pieces: Sequence[Piece]) -> None:
        """Add octets at the end and make them, and the name of a new file, durable; all of them or none."""
        end = self.size
        try:
            at = end
            for piece in pieces:
                for octets in scratch.read(piece):
                    at = _put(self.fd, octets, at)
            os.fsync(self.fd)
            if self.is_new:
                self._directory.sync()
        except OSError as error:
            self._take_back(end)
            raise os_error(error, self.path) from None
        except ArchiveError:
            self._take_back(end)
            raise
        self.is_new = False

    def overwrite(self, octets: bytes, at: int) -> None:
        """Write octets in the place of as many that are there, and make them durable."""
        try:
            _put(self.fd, octets, at)
            os.fsync(self.fd)
        except OSError as error:
            raise os_error(error, self.path) from None

    def cut(self, end: int) -> None:
        """Take away what is behind a place, for good."""
        try:
            os.ftruncate(self.fd, end)
            os.fsync(self.fd)
        except OSError as error:
            raise os_error(error, self.path) from None

    def sync(self) -> None:
        """Make what is there durable, whoever wrote it."""
        try:
            os.fsync(self.fd)
        except OSError as error:
            raise os_error(error, self.path) from None
        self._directory.sync()

    def release(self) -> None:
        """Let go of the locks; the file is read-only again."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            with contextlib.suppress(OSError):
                # A file that stays writable is as whole as one that is not.
                os.fchmod(fd, READ_ONLY)
            with contextlib.suppress(OSError):
                # Synced before; nothing hangs on this.
                os.close(fd)
        self._directory.remove(f"{self._name}.lock")

    def _take_back(self, end: int) -> None:
        with contextlib.suppress(OSError):
            # What cannot be cut now is cut by the next run, which knows from the intent where the file ended.
            os.ftruncate(self.fd, end)


def _put(fd: int, octets: bytes, at: int) -> int:
    """Write octets at a place, all of them, however little the system takes at a time; gives the place behind them."""
    rest = memoryview(octets)
    while rest:
        written = os.pwrite(fd, rest, at)
        rest, at = rest[written:], at + written
    return at


def intend(meta: Directory, ends: dict[str, int]) -> None:
    """Write down, durably and before anything is appended, where each file ends; by its path in the archive."""
    replace(meta, _INTENT, json.dumps(ends, ensure_ascii=True).encode("ascii"))


def intended(meta: Directory) -> dict[str, int]:
    """Give what was appended to when a run was cut short, and where it ended; nothing after a run that was not."""
    try:
        found = json.loads(b"".join(meta.read(_INTENT)))
    except MissingError:
        return {}
    except ValueError:
        raise ArchiveError(f"{meta.path}/{_INTENT} cannot be read", hint="remove it, then mailarchive verify") from None
    if not isinstance(found, dict) or not all(type(end) is int and end >= 0 for end in found.values()):
        raise ArchiveError(f"{meta.path}/{_INTENT} cannot be read", hint="remove it, then mailarchive verify")
    return found


def done(meta: Directory) -> None:
    """Forget the intent: everything is durable. One that comes back after a power cut does no harm."""
    meta.remove(_INTENT)
