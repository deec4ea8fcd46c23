"""Signals that end a run: the first one after the current batch, the second one at once.

The law of this room: it only remembers; who works asks between two batches.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from mailarchive.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType
    from typing import Self

SIGNALS: Final = {
    signal.SIGINT: ExitCode.INTERRUPT,
    signal.SIGTERM: ExitCode.TERMINATE,
    signal.SIGHUP: ExitCode.HANGUP,
}


class Interrupted(KeyboardInterrupt):
    """A second signal: the program ends at once, with the code of the first one."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__()
        self.code = code


class Interrupt:
    """Catches the first signal, so that the current batch is finished; the second one stops at once."""

    def __init__(self) -> None:
        self.code: ExitCode | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            # A signal that whoever started us has switched off (nohup) stays off.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._caught)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let signals do what they did before, so that the first one ends a program that waits for a person at once.

        If that happens, or anything else is raised, they stay so: the run is over.
        """
        active = bool(self._before)
        self._let_go()
        yield
        if active:
            self.__enter__()

    def _let_go(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # it is what signal() gave us
        self._before.clear()

    def __call__(self) -> ExitCode | None:
        """Say which code to end with, if the run should end."""
        return self.code

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        if self.code is not None:
            raise Interrupted(self.code)
        self.code = SIGNALS[signal.Signals(number)]
