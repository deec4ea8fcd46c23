"""Drives mail programs that want a terminal."""

from __future__ import annotations

import os
import pty
import select
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def at_a_terminal(command: Sequence[str], environment: Mapping[str, str], *, seconds: float = 60) -> int:
    """Run a program at a pseudo-terminal, reading what it draws and typing nothing; gives its exit code.

    Raises:
        TimeoutError: It did not end by itself; it is killed then.
    """
    child, screen = pty.fork()
    if child == 0:
        os.execvpe(command[0], list(command), dict(environment))
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            if select.select([screen], [], [], 0.1)[0]:
                try:
                    if not os.read(screen, 65536):
                        break
                except OSError:
                    break
        else:
            os.kill(child, 9)
            raise TimeoutError(f"{command[0]} did not end")
    finally:
        os.close(screen)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
