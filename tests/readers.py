"""Drives mail programs that want a terminal."""

from __future__ import annotations

import os
import pty
import select
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


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


def counted(program: str, mailbox: Path, pattern: str, home: Path) -> int:
    """Have mutt or neomutt pipe each message that fits a pattern to a command that writes one line."""
    count, settings = home / "count", home / "muttrc"
    count.write_text("")
    # Without this folder mutt asks whether to make it, and that question would eat the first keys.
    (home / "Mail").mkdir(exist_ok=True)
    settings.write_text(
        "set wait_key=no\nset pipe_split=yes\nset pipe_decode=no\n"
        f'push "<tag-pattern>{pattern}<enter><tag-prefix-cond><pipe-message>echo x >>{count}<enter><end-cond><exit>"\n'
    )
    environment = {"TERM": "xterm", "HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}
    command = [program, "-n", "-F", str(settings), "-R", "-f", str(mailbox)]
    assert at_a_terminal(command, environment) == 0
    return len(count.read_text().splitlines())
