"""The question before a deletion.

The law of this room: it is asked with the plan before the person's eyes, what was typed before it was asked is no
answer, and everything but a clear yes means no.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from mailarchive.errors import UsageError
from mailarchive.job import Answer
from mailarchive.model import Method
from mailarchive.screen.plain import Sink
from mailarchive.screen.safe import safe
from mailarchive.screen.words import format_size, messages

if TYPE_CHECKING:
    from mailarchive.cli.interrupt import Interrupt
    from mailarchive.events import Planned
    from mailarchive.screen import Screen

_DEEDS = {Method.TRASH.value: "Move {} to the trash", Method.MARK.value: "Mark {} as deleted"}
_UNANSWERED = "the question was not answered, and nothing was done"


class Consent:
    """Answers for the user: with what was said before, or by asking at the terminal.

    Args:
        screen: Shows the plan.
        interrupt: Is paused while the question stands, so that Ctrl-C ends the program at once.
        host: Whose mail it is.
        archives: Whether the run archives first, so that a no stops only its second half.
        asks: Whether to ask; otherwise a yes was given before.
    """

    def __init__(self, screen: Screen, interrupt: Interrupt, *, host: str, archives: bool, asks: bool) -> None:
        self._screen = screen
        self._interrupt = interrupt
        self._host = host
        self._archives = archives
        self._asks = asks

    def __call__(self, planned: Planned) -> Answer:
        """Give the answer to a plan.

        Raises:
            UsageError: The input ended before there was an answer.
        """
        if not self._asks or planned.delete == 0:
            return Answer.GIVEN
        if self._interrupt() is not None:
            return Answer.NO
        self._screen.question(planned)
        with self._interrupt.paused():
            agreed = ask(self.question(planned))
        if agreed:
            return Answer.SAID
        rest = "; the mail is archived all the same" if self._archives else ""
        Sink(sys.stderr).write(f"Nothing will be deleted{rest}.\n")
        return Answer.NO

    def question(self, planned: Planned) -> str:
        """Say in one sentence what a yes does, after what speaks against it."""
        what = f"{messages(planned.delete)} ({format_size(planned.delete_size)}) on {self._host}"
        deed = _DEEDS.get(planned.method, "Delete {}").format(what)
        when = " once they are archived and proved" if self._archives else ""
        if planned.held:
            return f"Attention: {safe(planned.held, limit=1000)}.\n{deed}{when} all the same?"
        return f"{deed}{when}?"


def ask(question: str) -> bool:
    """Ask on stderr and read the answer from stdin; an empty one is no.

    Raises:
        UsageError: The input ended.
    """
    out = Sink(sys.stderr)
    _forget_what_was_typed()
    while True:
        out.write(f"{question} [y/N] ")
        line = _line()
        if not line:
            out.write("\n")
            raise UsageError(_UNANSWERED, hint="answer y or n; with --yes nothing is asked")
        word = line.strip().casefold()
        if word in ("y", "yes"):
            return True
        if word in ("", "n", "no"):
            return False
        out.write("Please answer y or n.\n")


def _line() -> str:
    """Read a line, whatever its octets mean; empty at the end of the input."""
    try:
        return sys.stdin.buffer.readline().decode("utf-8", "replace")
    except (OSError, ValueError):  # the terminal is gone
        return ""


def _forget_what_was_typed() -> None:
    """Drop what was typed while the plan was made: it was meant for something else."""
    import termios

    with contextlib.suppress(OSError, ValueError, termios.error):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
