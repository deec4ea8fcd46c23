"""How the work on one account ended, as monitoring tells it, and the screen that finds it out.

The law of this room: it only listens; every event and every error goes on to the screen behind it unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailarchive.errors import ExitCode
from mailarchive.events import Finished, Started
from mailarchive.screen.safe import safe
from mailarchive.secret import KNOWN

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from mailarchive.errors import MailarchiveError
    from mailarchive.events import Event, Planned
    from mailarchive.model import Quota
    from mailarchive.screen import Screen
    from mailarchive.tally import Tally

SUCCESSES = (ExitCode.DONE, ExitCode.PARTIAL)
"""The codes of a backup that came to its end, as `mailarchive status` counts them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the work on one account ended.

    Attributes:
        run: Its id; empty if it could not begin.
        error: One line, made safe; empty if there is nothing to say.
        at: Seconds since the epoch at its end. `seconds`: how long it took.
        total: What was done; None if it could not begin.
        quota: What the server said last; None if it did not say.
    """

    account: str
    code: ExitCode
    at: float
    seconds: float
    run: str = ""
    error: str = ""
    total: Tally | None = None
    quota: Quota | None = None


@dataclass(slots=True)
class Observed:
    """A screen that remembers what an outcome is made of.

    Attributes:
        screen: What shows it all.
        run: The id of the run.
        finished: How the run ended.
        failure: An error that was raised.
    """

    screen: Screen
    run: str = ""
    finished: Finished | None = None
    failure: MailarchiveError | None = None

    def __call__(self, event: Event) -> None:
        """Remember and show one event."""
        if isinstance(event, Started):
            self.run = event.run
        elif isinstance(event, Finished):
            self.finished = event
        self.screen(event)

    def error(self, err: MailarchiveError) -> None:
        """Show an error."""
        self.screen.error(err)

    def question(self, planned: Planned) -> None:
        """Show a plan before a question."""
        self.screen.question(planned)

    def close(self) -> None:
        """Take away what is not meant to stay."""
        self.screen.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def outcome(self, account: str, code: ExitCode, *, at: float, seconds: float) -> Outcome:
        """Sum up what was seen."""
        done = self.finished
        return Outcome(
            account,
            code,
            at,
            seconds,
            run=self.run,
            error=self._line(code),
            total=None if done is None else done.total,
            quota=None if done is None else done.quota,
        )

    def _line(self, code: ExitCode) -> str:
        said = self.failure.message if self.failure is not None else self.finished.error if self.finished else ""
        if not said and code is not ExitCode.DONE:
            said = code.meaning
        return safe(KNOWN.scrub(said), limit=500)
