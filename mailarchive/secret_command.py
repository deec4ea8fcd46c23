"""A secret that a command of the user's prints: a password, a token, a client's secret.

The law of this room: what the command printed is never shown, not even when it failed; it gets none of our passwords
in its environment, and nothing of it outlives its time.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from mailarchive.errors import ConfigError
from mailarchive.secret import MAX_OCTETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMAND_TIMEOUT: Final = 30.0


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the environment for a command that we start: all but the variables that hold our passwords."""
    return {
        name: value
        for name, value in environ.items()
        if not (name.startswith("MAILARCHIVE_") and name.endswith("PASSWORD"))
    }


def printed(
    command: str | Sequence[str],
    environ: Mapping[str, str],
    what: str,
    *,
    timeout: float = COMMAND_TIMEOUT,
    kind: str = "password",
) -> bytes:
    """Run a command and give what it prints, at most `MAX_OCTETS`.

    Args:
        command: A text for `/bin/sh -c`, or a command with its arguments, run without a shell.
        environ: The environment variables, of which it gets all but our passwords.
        what: What it is, for messages.
        timeout: Seconds that it may take.
        kind: What it should print, for messages.

    Raises:
        ConfigError: It cannot be started, fails, hangs or prints too much.
    """
    hint = "run the command yourself to see what it says"
    # On a terminal the command stays in our session, so that gpg or pass can ask there; elsewhere it gets one of its
    # own, so that nothing of it outlives the time limit.
    alone = not _has_terminal()
    with _started(command, environ, what, alone=alone) as process:
        try:
            data = _output(process, time.monotonic() + timeout)
        finally:
            _end(process, alone=alone)
    if data is None:
        raise ConfigError(f"{what} did not end within {timeout:g} s", hint=hint)
    if len(data) > MAX_OCTETS:
        raise ConfigError(f"{what} printed more than {MAX_OCTETS >> 10} KiB; that is no {kind}", hint=hint)
    if process.returncode < 0:
        raise ConfigError(f"{what} was ended by signal {-process.returncode}", hint=hint)
    if process.returncode:
        raise ConfigError(f"{what} ended with exit status {process.returncode}", hint=hint)
    return data


def _started(
    command: str | Sequence[str], environ: Mapping[str, str], what: str, *, alone: bool
) -> subprocess.Popen[bytes]:
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    if not argv or not (command if isinstance(command, str) else argv[0]).strip():
        raise ConfigError(f"{what} is empty")
    try:
        return subprocess.Popen(  # noqa: S603 - running the user's own command is the purpose
            argv,
            stdin=None if sys.stdin is not None and sys.stdin.isatty() else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=child_environment(environ),
            start_new_session=alone,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds a NUL"
        raise ConfigError(f"{what} cannot be started: {reason}") from None


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
