"""Where a password comes from: a command, a file, the environment, or a person.

The law of this room: a password lives in a `Secret` and nowhere else. It is in no message, no repr, no traceback and
no exception that another one hangs on; it is changed in nothing but one line end, and its variable is not passed on
to commands we start. What a command printed is never shown, not even when the command failed.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import selectors
import shlex
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn

from mailarchive.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

COMMAND_TIMEOUT: Final = 30.0
MAX_OCTETS: Final = 64 << 10
_SHOWN: Final = "***"


class Secret:
    """A text that shows itself only on request, and then as it is.

    It cannot be pickled or copied, and compares in constant time.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the text, to be handed to the sign-in and to nothing else."""
        return self._text

    def __repr__(self) -> str:
        return _SHOWN

    def __format__(self, spec: str) -> str:
        return format(_SHOWN, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (secret.reveal().encode("utf-8", "surrogatepass") for secret in (self, other))
        return hmac.compare_digest(mine, theirs)

    __hash__ = None  # type: ignore[assignment]  # no set and no key holds a secret

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is neither pickled nor copied")


@dataclass(frozen=True, slots=True)
class PasswordSources:
    """Where to look for a password, in the order of the attributes.

    Attributes:
        command: From the command line. A text for `/bin/sh -c`, or a command with its arguments, run without a shell.
        file: From the command line. Holds the password and nothing else, and is closed to other users.
        account: The account's name, which names its variable; None for a one-off, whose variable is
            `MAILARCHIVE_PASSWORD`.
        environ: The environment variables, also of the command.
        configured_command: `password_command` of the account. `configured_file`: its `password_file`.
        prompt: Asks a person without echo; None where nobody may be asked.
    """

    command: str | Sequence[str] | None = None
    file: Path | None = None
    account: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    configured_command: str | Sequence[str] | None = None
    configured_file: Path | None = None
    prompt: Callable[[], str] | None = None

    @property
    def variable(self) -> str:
        """The name of the environment variable that may hold the password."""
        if self.account is None:
            return "MAILARCHIVE_PASSWORD"
        return f"MAILARCHIVE_{re.sub('[^A-Z0-9]', '_', self.account.upper())}_PASSWORD"


def password_for(sources: PasswordSources, *, timeout: float = COMMAND_TIMEOUT) -> Secret:
    """Give the password from the first source that is there; a source that fails is an error, not a reason to go on.

    Args:
        sources: Where to look.
        timeout: Seconds that a command may take.

    Raises:
        ConfigError: No source is there, or the first one has no usable password.
    """
    who = f"{sources.account}: " if sources.account else ""
    if sources.command is not None:
        return _from_command(sources.command, sources.environ, timeout, who)
    if sources.file is not None:
        return _from_file(sources.file, who)
    if (given := sources.environ.get(sources.variable)) is not None:
        return _checked(given, f"{who}the variable {sources.variable}")
    if sources.configured_command is not None:
        return _from_command(sources.configured_command, sources.environ, timeout, who)
    if sources.configured_file is not None:
        return _from_file(sources.configured_file, who)
    if sources.prompt is not None:
        with contextlib.suppress(EOFError):
            return _checked(sources.prompt(), f"{who}the password typed in")
    ways = f"--password-command, --password-file or the variable {sources.variable}"
    raise ConfigError(
        f"{who}no password",
        hint=f"set password_command in the configuration, or use {ways}" if sources.account else f"use {ways}",
    )


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the environment for a command that we start: all but the variables that hold our passwords."""
    return {
        name: value
        for name, value in environ.items()
        if not (name.startswith("MAILARCHIVE_") and name.endswith("PASSWORD"))
    }


def _checked(given: str | bytes, what: str) -> Secret:
    """Take off one line end and refuse what no sign-in could send; no error is chained to one that holds the text."""
    text: str | None = None
    with contextlib.suppress(UnicodeError):
        data = given.encode() if isinstance(given, str) else given
        text = data.decode()
    if text is None:
        raise ConfigError(f"{what} is not UTF-8")
    text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not text:
        raise ConfigError(f"{what} is empty")
    if len(data) > MAX_OCTETS:
        raise ConfigError(f"{what} has more than {MAX_OCTETS >> 10} KiB; that is no password")
    if any(letter < " " or letter == "\x7f" for letter in text):
        raise ConfigError(
            f"{what} holds a control character or a second line", hint="a password is one line, and nothing else"
        )
    return Secret(text)


def _from_file(path: Path, who: str) -> Secret:
    try:
        # Without O_NONBLOCK the opening of a pipe would wait for its writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError(f"{who}the password file {path} is not a regular file")
            if mode & 0o066:
                raise ConfigError(
                    f"{who}the password file {path} is open to other users (mode {stat.S_IMODE(mode):04o})",
                    hint=f"chmod 600 {shlex.quote(str(path))}, and change the password if others use this computer",
                )
            data = file.read(MAX_OCTETS + 1)
    except OSError as error:
        raise ConfigError(f"{who}cannot read the password file {path}: {error.strerror}") from None
    return _checked(data, f"{who}the password file {path}")


def _from_command(command: str | Sequence[str], environ: Mapping[str, str], timeout: float, who: str) -> Secret:
    what = f"{who}the password command"
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    hint = "run the command yourself to see what it says"
    if not argv or not (command if isinstance(command, str) else argv[0]).strip():
        raise ConfigError(f"{what} is empty")
    # On a terminal the command stays in our session, so that gpg or pass can ask there; elsewhere it gets one of its
    # own, so that nothing of it outlives the time limit.
    alone = not _has_terminal()
    try:
        process = subprocess.Popen(  # noqa: S603 - running the user's own command is the purpose
            argv,
            stdin=None if sys.stdin is not None and sys.stdin.isatty() else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=child_environment(environ),
            start_new_session=alone,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds a NUL"
        raise ConfigError(f"{what} cannot be started: {reason}") from None
    with process:
        try:
            data = _output(process, time.monotonic() + timeout)
        finally:
            _end(process, alone=alone)
    if data is None:
        raise ConfigError(f"{what} did not end within {timeout:g} s", hint=hint)
    if len(data) > MAX_OCTETS:
        raise ConfigError(f"{what} printed more than {MAX_OCTETS >> 10} KiB; that is no password", hint=hint)
    if process.returncode < 0:
        raise ConfigError(f"{what} was ended by signal {-process.returncode}", hint=hint)
    if process.returncode:
        raise ConfigError(f"{what} ended with exit status {process.returncode}", hint=hint)
    return _checked(data, f"{what}'s output")


def _output(process: subprocess.Popen[bytes], deadline: float) -> bytes | None:
    """Read what a command prints until it has ended, or printed too much; None where time is up."""
    assert process.stdout is not None
    data = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            # A helper that the command left running may hold the pipe open for ever: the end of the command counts.
            ended = process.poll() is not None
            if selector.select(0 if ended else min(left, 0.1)):
                piece = os.read(process.stdout.fileno(), MAX_OCTETS)
                data += piece
                if len(data) > MAX_OCTETS:
                    return data
                if not piece:
                    break
            elif ended:
                return data
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None
    return data


def _end(process: subprocess.Popen[bytes], *, alone: bool) -> None:
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        if alone:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
