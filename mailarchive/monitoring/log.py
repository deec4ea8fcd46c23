"""A log of JSON lines: every event and every error with its time, its run and its account.

The law of this room: lines are only added, each in one write, and the file is opened anew by each call of the program,
so that it can be moved away in between. No secret, subject or address stands in it. What cannot be written is said
once, and nothing stops for it.
"""

from __future__ import annotations

import json
import os
import re
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mailarchive.events import Started, Warned
from mailarchive.screen.jsonl import event_name, plain_value
from mailarchive.screen.safe import safe
from mailarchive.secret import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from mailarchive.errors import MailarchiveError
    from mailarchive.events import Event, Planned
    from mailarchive.screen import Screen

LEFT_OUT: Final = frozenset({"selection", "undo", "usage"})
"""Fields that hold what the user looks for, a user's name on a server, or senders."""
_PART: Final = r"[^\s<>\"'@/\\:=,;()\[\]{}|]+"
_ADDRESS: Final = re.compile(rf"{_PART}(?:@|%40){_PART}")
_LONGEST: Final = 1000


def harmless(value: Any) -> Any:
    """Give a value of JSON without secrets, addresses and control characters."""
    if isinstance(value, str):
        text = safe(KNOWN.scrub(value), limit=_LONGEST)
        # Where there is no address the search for one would take its time.
        return _ADDRESS.sub("***", text) if "@" in text or "%40" in text else text
    if isinstance(value, list):
        return [harmless(item) for item in value]
    if isinstance(value, dict):
        return {harmless(key): harmless(item) for key, item in value.items() if key not in LEFT_OUT}
    return value


class Log:
    """The file, opened for adding; silent where it cannot be, after one warning."""

    def __init__(self, path: Path, warn: Callable[[str], None], *, now: Callable[[], datetime] | None = None) -> None:
        self._path = path
        self._warn = warn
        self._now = now or (lambda: datetime.now(UTC))
        self._lock = threading.Lock()
        self._told: list[MailarchiveError] = []
        self._fd: int | None = None
        try:
            self._fd = _opened(path)
        except OSError as error:
            self._give_up(error)

    def event(self, event: Event, *, run: str, account: str) -> None:
        """Add the line of an event."""
        self._add({"event": event_name(event)} | plain_value(event), run, account)

    def error(self, error: MailarchiveError, *, run: str = "", account: str = "") -> None:
        """Add the line of an error, once for each error."""
        if any(error is each for each in self._told):
            return
        self._told.append(error)
        said = {"event": "error", "message": error.message, "hint": error.hint, "exit_code": int(error.exit_code)}
        self._add(said, run, account)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _add(self, values: Mapping[str, Any], run: str, account: str) -> None:
        at = self._now().astimezone(UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "run": run, "account": account} | {key: each for key, each in values.items() if each != ""}
        data = json.dumps(harmless(line), ensure_ascii=True).encode() + b"\n"
        try:
            with self._lock:
                while data and self._fd is not None:
                    data = data[os.write(self._fd, data) :]
        except OSError as error:
            self.close()
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._warn(f"the log {self._path} cannot be written: {error.strerror or error}")


def _opened(path: Path) -> int:
    # Without O_NONBLOCK the opening of a pipe would wait for its reader.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    fd = os.open(path, flags, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError("it is no regular file")
    return fd


class Logged:
    """A screen that also writes the log."""

    def __init__(self, screen: Screen, log: Log) -> None:
        self._screen = screen
        self._log = log
        self._run = ""
        self._account = ""

    @classmethod
    def to(cls, path: str, screen: Screen) -> Logged:
        """Make one that writes to a file; a relative path is relative to where the program was started."""
        return cls(screen, Log(Path(path).expanduser(), lambda text: screen(Warned(text))))

    def of(self, account: str) -> Logged:
        """Make one for the work on one account, which may go on beside others."""
        apart = Logged(self._screen, self._log)
        apart._account = account
        return apart

    @property
    def shown(self) -> Screen:
        """The screen behind the log."""
        return self._screen

    def __call__(self, event: Event) -> None:
        """Log and show one event."""
        if isinstance(event, Started):
            self._run, self._account = event.run, event.account
        self._log.event(event, run=self._run, account=self._account)
        self._screen(event)

    def failed(self, err: MailarchiveError) -> None:
        """Log an error that another hand shows, or nobody."""
        self._log.error(err, run=self._run, account=self._account)

    def error(self, err: MailarchiveError) -> None:
        """Log and show an error."""
        self.failed(err)
        self._screen.error(err)

    def question(self, planned: Planned) -> None:
        """Show a plan before a question."""
        self._screen.question(planned)

    def close(self) -> None:
        """Take away what is not meant to stay."""
        self._screen.close()

    def __enter__(self) -> Self:
        self._screen.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._log.close()
        self._screen.__exit__(kind, error, trace)
