"""How long a run waits for a server, and how often it tries again.

The law of this room: it only decides and waits. A refused password, a certificate that is not good and a limit of the
day are never tried again; what makes sense to try again is tried a few times with growing pauses, and never beyond the
patience that the user gave.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

from mailarchive.errors import LaterError, NoLineError, SignInError, SpoiltError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.errors import AccountError
    from mailarchive.ports import Stop

LOST: Final = (1.0, 5.0, 15.0)
"""Seconds before each new attempt after a line that broke."""
ASKED: Final = (5.0, 15.0, 30.0)
"""Seconds before each new attempt after a server has asked for patience without saying how much."""
JITTER: Final = 0.2
"""The part of a pause that is left to chance, so that many clients do not come back at once."""
ATTEMPTS: Final = 100
"""New attempts in one run, whatever it achieves between them."""
DAY: Final = 86_400.0
"""Seconds; what a server asks beyond that is nothing to wait for."""
SLICE: Final = 0.1
"""Seconds between two looks whether the user wants the run to end."""


class Patience:
    """The patience of one run with one server.

    Args:
        most: Seconds that it may wait until something is achieved again; 0 for no second attempt at all.
        stop: Asked while it waits.
        tell: Hears before each pause what went wrong and how many seconds it takes.
        sleep: Waits for so many seconds.
        chance: Gives a number from 0 up to 1.
    """

    def __init__(
        self,
        most: float,
        *,
        stop: Stop,
        tell: Callable[[str, float], None],
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._most = most
        self._stop = stop
        self._tell = tell
        self._sleep = sleep
        self._chance = chance
        self._attempts = 0
        self._row = 0
        self._waited = 0.0

    def achieved(self) -> None:
        """Hear that something came of the last attempt: what follows is a new trouble."""
        self._row = 0
        self._waited = 0.0

    def wait(self, error: AccountError, *, first: bool = False) -> None:
        """Wait before another attempt, or raise the error if there is to be none.

        Args:
            error: What went wrong.
            first: Whether nothing has been done in the run yet: then a server that is not there is told at once.
        """
        pauses = _pauses(error, first=first)
        spent = self._row >= len(pauses) or self._attempts >= ATTEMPTS or not self._most
        if spent or self._stop() is not None:
            raise error
        pause = pauses[self._row] * (1 + JITTER * self._chance())
        if isinstance(error, LaterError) and error.after is not None:
            pause = error.after + JITTER * self._chance()
        if self._waited + pause > self._most:
            raise _beyond(error, pause)
        self._row += 1
        self._attempts += 1
        self._waited += pause
        self._tell(error.message, pause)
        self._pause(pause)
        if self._stop() is not None:
            raise error

    def _pause(self, seconds: float) -> None:
        """Sleep, as long as the user does not want the run to end."""
        while seconds > 0 and self._stop() is None:
            self._sleep(min(SLICE, seconds))
            seconds -= SLICE


def _pauses(error: AccountError, *, first: bool) -> tuple[float, ...]:
    """Give the pauses that an error is worth; none if a new attempt makes no sense."""
    if isinstance(error, LaterError):
        return () if error.final else ASKED
    if isinstance(error, UnreachableError) and error.temporary:
        if first:
            return () if isinstance(error, NoLineError) else LOST[:1]
        return LOST
    if isinstance(error, SignInError) and error.temporary:
        return ASKED[:1]
    return LOST if isinstance(error, SpoiltError) and error.uid is not None else ()


def _beyond(error: AccountError, pause: float) -> AccountError:
    """Say how long the patience would have to be."""
    if isinstance(error, LaterError) and error.after is not None and not error.hint and pause < DAY:
        minutes = int(pause // 60) + 1
        error.hint = f"--max-wait {minutes}min waits for it; the next run goes on there in any case"
    return error
