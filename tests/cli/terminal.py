"""Sits at a pseudo-terminal: reads what a program draws there, and types answers to what it asks."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Answering = Callable[[str], str]

CTRL_C, CTRL_D = "\x03", "\x04"

# The leader of a new session gets the first terminal that it opens as its own, and with it Ctrl-C.
_SIT_DOWN = """\
import os, sys
line = os.open(sys.argv[1], os.O_RDWR)
for number in range(3):
    os.dup2(line, number)
os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class Seen:
    """How a program ended, and all that it drew."""

    code: int
    text: str


def at_a_terminal(
    command: Sequence[str],
    answers: Sequence[tuple[str, str | Answering]] = (),
    environment: Mapping[str, str] | None = None,
) -> Seen:
    """Run a program at a terminal, typing each answer as soon as the text before it has been drawn.

    An answer may be made of all that has been drawn by then.

    Raises:
        AssertionError: It did not ask all that, or did not end within a minute.
    """
    screen, line = pty.openpty()
    program = [sys.executable, "-c", _SIT_DOWN, os.ttyname(line), *command]
    environ = {**os.environ, "TERM": "xterm", **(environment or {})}
    nothing = subprocess.DEVNULL
    drawn, waiting, end = "", list(answers), time.monotonic() + 60
    with subprocess.Popen(
        program, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True, env=environ
    ) as child:
        try:
            while time.monotonic() < end:
                over = child.poll() is not None
                while select.select([screen], [], [], 0 if over else 0.05)[0]:
                    drawn += os.read(screen, 65536).decode("utf-8", "replace")
                if waiting and waiting[0][0] in drawn:
                    _, answer = waiting.pop(0)
                    os.write(screen, (answer if isinstance(answer, str) else answer(drawn)).encode())
                if over:
                    break
        finally:
            child.kill()
            os.close(line)
            os.close(screen)
    assert not waiting, f"never asked {waiting[0][0]!r}: {drawn}"
    assert time.monotonic() < end, drawn
    return Seen(child.returncode, drawn.replace("\r\n", "\n"))


def mailarchive(
    *words: object, answers: Sequence[tuple[str, str]] = (), password: str = "secret", **environ: str
) -> Seen:
    """Run the command line at a terminal, with the password in the environment."""
    command = [sys.executable, "-m", "mailarchive", *map(str, words)]
    return at_a_terminal(command, answers, {"MAILARCHIVE_PASSWORD": password, **environ})
