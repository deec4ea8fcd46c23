"""Every error of the tool, in one tree, and the exit codes they end in.

The law of this room: an error is named by how much it stops (a message, a mailbox, an account, an archive, the whole
call), says in one line what and where, and carries a hint of what to type next. Exceptions of libraries are mapped to
these at the edge of the adapter that meets them; nothing above an adapter catches anything else.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExitCode(IntEnum):
    """What a process ends with; the table of `--help`, the manual and the README."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:  # noqa: PYI034 - an enum member is made of its class
        """Keep the sentence that explains the code beside the code."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    DONE = 0, "done, also when there was nothing to do"
    BUG = 1, "unexpected failure (a bug)"
    USAGE = 2, "wrong usage"
    PARTIAL = 3, "done, but some messages failed or were held back for a reason a human should see"
    CONFIG = 10, "configuration missing or wrong"
    BUSY = 11, "another run holds this archive"
    SIGN_IN = 12, "sign-in refused"
    ARCHIVE = 13, "archive damaged or not found where it should be (disk not mounted)"
    DISK = 14, "disk full or disk error"
    UNREACHABLE = 15, "server unreachable, or TLS refused"
    PROTOCOL = 16, "the server broke the protocol"
    LATER = 75, "try again later: throttled, mailbox in use, over a transfer limit"
    HANGUP = 129, "interrupted by SIGHUP, after the current batch"
    INTERRUPT = 130, "interrupted by Ctrl-C, after the current batch"
    TERMINATE = 143, "interrupted by SIGTERM, after the current batch"


_BY_SERIOUSNESS = (
    ExitCode.BUG,
    ExitCode.ARCHIVE,
    ExitCode.DISK,
    ExitCode.CONFIG,
    ExitCode.USAGE,
    ExitCode.SIGN_IN,
    ExitCode.PROTOCOL,
    ExitCode.UNREACHABLE,
    ExitCode.BUSY,
    ExitCode.LATER,
    ExitCode.INTERRUPT,
    ExitCode.TERMINATE,
    ExitCode.HANGUP,
    ExitCode.PARTIAL,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the most serious of the codes of several accounts (`interface.md` section 8); DONE for none."""
    seen = set(codes)
    return next((code for code in _BY_SERIOUSNESS if code in seen), ExitCode.DONE)


class MailarchiveError(Exception):
    """Something went wrong that we understand.

    Args:
        message: One line that says what and where, without secrets or mail text. It may hold foreign text; who prints
            it makes it safe first.
        hint: What to type or look at next; empty when there is nothing to say.
        temporary: Whether the same attempt may work later without anything being changed.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.BUG

    def __init__(self, message: str, *, hint: str = "", temporary: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.temporary = temporary


class UsageError(MailarchiveError):
    """The command line asks for something that cannot be; nothing was done."""

    exit_code = ExitCode.USAGE


class ConfigError(MailarchiveError):
    """The configuration is missing or wrong; nothing was done."""

    exit_code = ExitCode.CONFIG


class MessageError(MailarchiveError):
    """One message could not be handled; the mailbox goes on."""

    exit_code = ExitCode.PARTIAL


class AgainError(MessageError):
    """What came for a message may be another's and must not be kept; who gave it gives the message once more."""


class MailboxError(MailarchiveError):
    """One mailbox could not be handled; the account goes on."""

    exit_code = ExitCode.PARTIAL


class RenumberedError(MailboxError):
    """The mailbox has another UIDVALIDITY than when it was opened before in the run: its UIDs mean something else."""

    def __init__(self) -> None:
        super().__init__("the server numbered this mailbox anew while it was read (UIDVALIDITY)")


class AccountError(MailarchiveError):
    """One account stops; other accounts go on."""

    exit_code = ExitCode.UNREACHABLE


class UnreachableError(AccountError):
    """The line to the server cannot be made, is dead, or is not to be trusted (TLS)."""

    exit_code = ExitCode.UNREACHABLE


class NoLineError(UnreachableError):
    """There is no line at all: nobody listens, no answer to the connection, no such host."""


class SignInError(AccountError):
    """The server refused the user or the password; never tried again in the same run (lock-out).

    A temporary one is a server that has let us in and gives nothing, which may mean something else.
    """

    exit_code = ExitCode.SIGN_IN


class ProtocolError(AccountError):
    """What the server says makes no sense."""

    exit_code = ExitCode.PROTOCOL


class SpoiltError(ProtocolError):
    """What came for one message makes no sense, and the line is of no more use; a new one may leave that message out.

    Attributes:
        uid: Of the message; None if the server has not told it.
    """

    def __init__(self, message: str, uid: int | str | None) -> None:
        super().__init__(f"{message}, for UID {uid}" if uid is not None else message)
        self.uid = uid


class LaterError(AccountError):
    """The server asks for patience (throttled, in use, over a limit).

    Args:
        after: Seconds that the server asks to wait; None if it does not say.
        final: Whether waiting is in vain in this run: a limit of the day, a budget of ours.
    """

    exit_code = ExitCode.LATER

    def __init__(self, message: str, *, hint: str = "", after: float | None = None, final: bool = False) -> None:
        super().__init__(message, hint=hint, temporary=True)
        self.after = after
        self.final = final


class ArchiveError(MailarchiveError):
    """The archive is not what, or not where, it should be; everything that uses it stops."""

    exit_code = ExitCode.ARCHIVE


class BusyError(ArchiveError):
    """Another run holds the archive."""

    exit_code = ExitCode.BUSY


class MissingError(ArchiveError):
    """A file or folder of the archive is not there."""


class TakenError(ArchiveError):
    """A name in the archive is taken."""


class DiskError(ArchiveError):
    """The disk is full or failed; what was synced before is safe, what came after was not recorded."""

    exit_code = ExitCode.DISK


class LimitError(DiskError):
    """The system gives this process no more of what it needs."""

    exit_code = ExitCode.BUG


class FullError(DiskError):
    """There is no space left."""


class NearlyFullError(FullError):
    """There is so little space left that nothing more was begun."""


class LostError(DiskError):
    """What was written could not be made durable and is lost; the same octets may be written to a new file."""


_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


def os_error(error: OSError, what: str) -> ArchiveError:
    """Turn an OSError over a file of the archive into ours, naming the path and the reason.

    A full, failing or read-only disk is a DiskError, a limit of this process a LimitError; a link, a missing folder or
    permission is an ArchiveError.
    """
    reason = error.strerror or type(error).__name__
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return ArchiveError(f"{what} is a link or no folder; links inside an archive are not followed")
    if error.errno in (errno.EACCES, errno.EPERM):
        return ArchiveError(f"no permission for {what}: {reason}")
    if error.errno == errno.ENOENT:
        return MissingError(f"{what} is gone", hint="is the disk mounted?")
    if error.errno == errno.EEXIST:
        return TakenError(f"{what} is there already")
    if error.errno == errno.ENAMETOOLONG:
        return ArchiveError(f"the name is too long: {what}")
    if error.errno in _NO_SPACE:
        return FullError(f"no space left for {what}", hint="free some space and run again; what was archived is safe")
    if error.errno in _NO_DESCRIPTORS:
        return LimitError(f"too many open files, at {what}", hint="raise the limit: ulimit -n 1024")
    return DiskError(f"the disk failed on {what}: {reason}")


def sync_error(error: OSError, what: str) -> ArchiveError:
    """Turn an OSError of a sync, or of a close, into ours, likewise.

    The system has then dropped what it could not write, and a second sync would not say so (`safety.md` section 3, W2).
    """
    if error.errno == errno.EIO:
        return LostError(f"the disk failed on {what}: {error.strerror or 'input/output error'}")
    return os_error(error, what)
