"""A command whose stdin and stdout speak IMAP, signed in already, such as `ssh HOST doveadm exec imap`.

The law of this room: the command gets none of our passwords and no terminal, so that Ctrl-C reaches only us; nothing
of it outlives the line; of what it says on stderr the last line is kept, for the error that tells why it has ended.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from mailarchive.errors import UnreachableError
from mailarchive.secret_command import child_environment
from mailarchive.sources.wire import TIMEOUT, Wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

GRACE: Final = 1.0
"""Seconds in which a command may end by itself once its line is closed."""
_TAIL: Final = 4096


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A command to be run.

    Attributes:
        command: A text for `/bin/sh -c`, or a command with its arguments, run without a shell.
        environ: The environment variables, of which it gets all but our passwords.
    """

    command: str | Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def open(self, peer: str, *, timeout: float = TIMEOUT) -> Tunnelled:
        """Start the command and give the line to it; `peer` names it for people. Raises UnreachableError."""
        argv = ["/bin/sh", "-c", self.command] if isinstance(self.command, str) else list(self.command)
        try:
            process = subprocess.Popen(  # noqa: S603 - running the user's own command is the purpose
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                stderr=subprocess.PIPE,
                env=child_environment(self.environ),
                start_new_session=True,
            )
        except OSError as error:
            raise UnreachableError(f"the tunnel of {peer} cannot be started: {error.strerror}") from None
        return Tunnelled(process, peer, timeout=timeout)


class _Pipes:
    """The two pipes of a command as the socket that a `Wire` wants; Dovecot's `imap` refuses to speak to a real one."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin, process.stdout
        self._timeout = TIMEOUT
        os.set_blocking(self._to.fileno(), False)

    def settimeout(self, seconds: float) -> None:
        """Set how long a single read or write may take."""
        self._timeout = seconds

    def fileno(self) -> int:
        """Give the end that is read from."""
        return self._from.fileno()

    def recv_into(self, buffer: memoryview) -> int:
        """Read what is there, waiting for it; 0 at the end."""
        self._wait(self._from.fileno(), select.POLLIN)
        return os.readv(self._from.fileno(), [buffer])

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Write everything."""
        left = memoryview(data)
        while left:
            self._wait(self._to.fileno(), select.POLLOUT)
            with contextlib.suppress(BlockingIOError):
                left = left[os.write(self._to.fileno(), left) :]

    def close(self) -> None:
        """Close both ends."""
        self._to.close()
        self._from.close()

    def _wait(self, fd: int, what: int) -> None:
        poll = select.poll()
        poll.register(fd, what)
        if not poll.poll(self._timeout * 1000):
            raise TimeoutError


class Tunnelled(Wire):
    """The line to a command; closing it ends the command and everything that it has started in its session."""

    def __init__(self, process: subprocess.Popen[bytes], peer: str, *, timeout: float) -> None:
        super().__init__(cast("socket.socket", _Pipes(process)), peer, timeout=timeout)
        self._process = process
        self._tail = b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def close(self) -> None:
        """Close the line and end the command; never fails, may be called twice."""
        super().close()
        self._stop()

    def _listen(self) -> None:
        """Keep the end of what the command says on stderr, until everybody has closed it."""
        assert self._process.stderr is not None
        with self._process.stderr as stderr, contextlib.suppress(OSError):
            while piece := os.read(stderr.fileno(), _TAIL):
                self._tail = (self._tail + piece)[-_TAIL:]

    def _stop(self) -> None:
        if self._process.returncode is not None:
            return
        # The command is not waited for before its group is ended: until then its number cannot belong to another one.
        self._listener.join(GRACE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _ended(self) -> UnreachableError:
        self._stop()
        status = self._process.returncode
        how = f" with exit status {status}" if status > 0 else ""
        lines = [line for line in self._tail.splitlines() if line.strip()]
        why = f": {self.words(lines[-1].strip())}" if lines else ""
        return UnreachableError(
            f"the tunnel of {self.peer} has ended{how}{why}",
            hint="run its command yourself to see what it says",
            temporary=True,
        )

    def _dead(self, error: OSError) -> UnreachableError:
        return super()._dead(error) if isinstance(error, TimeoutError) else self._ended()
