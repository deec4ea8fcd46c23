"""What is done around the work on each account of a backup, and after all of them.

The law of this room: the work is done once, whatever happens here, and its code or error goes on unchanged.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mailarchive.config_values import MonitorKeys
from mailarchive.errors import ExitCode, MailarchiveError
from mailarchive.events import Warned
from mailarchive.monitoring import failure, textfile
from mailarchive.monitoring.log import Logged
from mailarchive.monitoring.outcome import Observed
from mailarchive.screen.safe import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mailarchive.monitoring.outcome import Outcome
    from mailarchive.screen import Screen


@dataclass(frozen=True, slots=True)
class Watched:
    """What is to be done for one account.

    Attributes:
        keys: What the configuration says.
        textfile: The file of metrics; None for none.
    """

    account: str
    keys: MonitorKeys = field(default_factory=MonitorKeys)
    textfile: Path | None = None


class Watch:
    """Tells others how the work on accounts goes; several threads may work at once.

    Args:
        accounts: What is to be done for each, in the order of the work.
        environ: The environment variables, for the commands.
        command: The word of the command line, for the commands.
    """

    def __init__(
        self, accounts: Sequence[Watched] = (), environ: Mapping[str, str] | None = None, command: str = "backup"
    ) -> None:
        self._accounts = {each.account: each for each in accounts}
        self._environ = environ or {}
        self._command = command
        self._lock = threading.Lock()
        self._outcomes: list[Outcome] = []

    def around(self, account: str, screen: Screen, work: Callable[[Screen], ExitCode]) -> ExitCode:
        """Do the work on one account with what belongs before and after it.

        Args:
            account: Its name.
            screen: Where warnings go, and everything that the work says.
            work: Gets the screen to speak to.

        Raises:
            MailarchiveError: That of the work.
        """
        shown = screen.of(account) if isinstance(screen, Logged) else screen
        seen = Observed(shown)
        wanted = self._accounts.get(account, Watched(account))
        began = time.monotonic()

        def after(code: ExitCode) -> None:
            self._after(wanted, seen.outcome(account, code, at=time.time(), seconds=time.monotonic() - began), shown)

        self._ping(wanted, "start", shown)
        # A KeyboardInterrupt is a person who wants the end at once: nothing is told any more.
        try:
            code = work(seen)
        except MailarchiveError as error:
            seen.failure = error
            if isinstance(shown, Logged):
                shown.failed(error)
            # Where another run is on the archive, that run has the word.
            if error.exit_code is not ExitCode.BUSY:
                after(error.exit_code)
            raise
        except Exception:
            after(ExitCode.BUG)
            raise
        after(code)
        return code

    def end(self, screen: Screen) -> None:
        """Write the files of metrics, each once."""
        files: dict[Path, list[Outcome]] = {}
        for outcome in self._outcomes:
            path = self._accounts.get(outcome.account, Watched(outcome.account)).textfile
            if path is not None:
                files.setdefault(path, []).append(outcome)
        for path, outcomes in files.items():
            with _stopping_nothing(screen, "the metrics"):
                if problem := textfile.write(path, outcomes):
                    screen(Warned(f"the metrics in {path} could not be written: {problem}"))

    def _after(self, wanted: Watched, outcome: Outcome, screen: Screen) -> None:
        with self._lock:
            self._outcomes.append(outcome)
        self._ping(wanted, "" if outcome.code is ExitCode.DONE else str(int(outcome.code)), screen)
        line = wanted.keys.on_failure
        if line is None or outcome.code is ExitCode.DONE:
            return
        with _stopping_nothing(screen, "on_failure"):
            if problem := failure.told(line, self._environ, failure.variables(outcome, self._command)):
                screen(Warned(f"{safe(wanted.account)}: the command of on_failure: {problem}"))

    def _ping(self, wanted: Watched, word: str, screen: Screen) -> None:
        url = wanted.keys.ping_url
        if url is None:
            return
        # urllib brings ssl and http with it; only who pings pays for them.
        from mailarchive.monitoring import ping

        with _stopping_nothing(screen, "the ping"):
            if problem := ping.ping(ping.address(url, wanted.account, word)):
                screen(Warned(f"{safe(wanted.account)}: the ping to {urlsplit(url).hostname} failed: {problem}"))


@contextmanager
def _stopping_nothing(screen: Screen, what: str) -> Iterator[None]:
    """Make a warning of whatever goes wrong: not even a bug of ours here takes a backup's end away."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - see above
        screen(Warned(f"{what}: unexpected failure ({type(error).__name__})"))
