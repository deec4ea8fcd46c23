"""Where the events of a job become something to read: a terminal, plain text for cron and pipes, or JSON lines.

The law of this room: a screen takes events and gives nothing back, and nothing that happens to it stops a job. Every
foreign string passes `safe` before it is printed. What a script needs stands on stdout, everything else on stderr.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from mailarchive.screen.jsonl import JsonLines
from mailarchive.screen.plain import Plain, is_terminal

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, TextIO

    from mailarchive.errors import MailarchiveError
    from mailarchive.events import Event, Planned

__all__ = ["Screen", "choose"]


class Screen(Protocol):
    """Shows what a job does; itself the `Report` that a job calls."""

    def __call__(self, event: Event) -> None:
        """Show one event. Never raises because the output is gone."""
        ...

    def error(self, err: MailarchiveError) -> None:
        """Show an error and its hint, unless the run's last event has just said the same."""
        ...

    def question(self, planned: Planned) -> None:
        """Show a plan on stderr before the user is asked about it there, on a clean line."""
        ...

    def close(self) -> None:
        """Take away what is not meant to stay, such as a progress bar. The streams stay open."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


def choose(
    *, json: bool, quiet: bool, verbose: bool, color: bool | None, stdout: TextIO | None, stderr: TextIO | None
) -> Screen:
    """Take the screen that fits the streams and the options.

    Args:
        json: JSON lines on stdout and nothing else; `quiet` and `verbose` change nothing there.
        quiet: Nothing at all, unless something needs a human.
        verbose: A line on stderr for each mailbox too.
        color: False for no escape sequence at all, True for colours in any case, None to look at the streams and at
            NO_COLOR.
        stdout: For results; None where the process has none.
        stderr: For progress, warnings and errors; None where the process has none.
    """
    if json:
        return JsonLines(stdout)
    dumb = os.environ.get("TERM", "") in {"dumb", "unknown"}
    if quiet or dumb or not is_terminal(stderr):
        return Plain(stdout, stderr, quiet=quiet, verbose=verbose)
    # Only a terminal pays for importing rich.
    from mailarchive.screen.terminal import Terminal

    return Terminal(stdout, stderr, verbose=verbose, color=color)
