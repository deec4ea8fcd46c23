"""The screen of scripts: one JSON object a line on stdout, and nothing else there.

The law of this room: the events are the schema. A line is made from the fields of its dataclass, so a new event needs
no line here; what changes the meaning of a field raises `VERSION`. Control bytes and foreign letters leave as JSON
escapes, so a name is exact and still harmless on a terminal.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from mailarchive import __version__
from mailarchive.events import (
    ExportFinished,
    Finished,
    ImportFinished,
    ReindexFinished,
    RestoreFinished,
    VerifyFinished,
)
from mailarchive.model import Quota
from mailarchive.screen.plain import Sink
from mailarchive.secret import KNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self, TextIO

    from mailarchive.errors import MailarchiveError
    from mailarchive.events import Event, Planned

VERSION = 1
"""Of the schema, in the first line of every output."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def event_name(event: Event) -> str:
    """Give the name of an event in JSON: `MailboxFinished` is `mailbox_finished`."""
    return _HUMP.sub("_", type(event).__name__).lower()


def plain_value(value: object) -> Any:
    """Turn a value of the model into what JSON knows.

    Dataclasses and dictionaries become objects, sequences lists, sets sorted lists, datetimes ISO 8601 with offset, an
    exit code its number; a quota also gets its `percent`, rounded to one digit. Anything else becomes its text.
    """
    if isinstance(value, Enum):
        return plain_value(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [plain_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(plain_value(item) for item in value)
    if is_dataclass(value):
        made = {field.name: plain_value(getattr(value, field.name)) for field in fields(value)}
        return made | {"percent": round(value.percent, 1)} if isinstance(value, Quota) else made
    return str(value)


class JsonLines:
    """Writes every event, and every error, as one flushed line.

    Args:
        stdout: Where to.
        account: Whose lines they are, where several accounts run: each line then says so.
        begun: Whether the line about the schema is out already.
    """

    def __init__(self, stdout: TextIO | None, *, account: str | None = None, begun: bool = False) -> None:
        self.account = account
        self._sink = Sink(stdout)
        self._fresh = not begun
        self._said = ("", "")

    def __call__(self, event: Event) -> None:
        """Write one event."""
        ends = Finished | RestoreFinished | ImportFinished | ExportFinished | VerifyFinished | ReindexFinished
        if isinstance(event, ends) and event.error:
            self._said = (event.error, event.hint)
        self._write({"event": event_name(event)} | plain_value(event))

    def record(self, name: str, values: Mapping[str, object]) -> None:
        """Write a line that is no event of a job."""
        self._write({"event": name} | {key: plain_value(value) for key, value in values.items()})

    def error(self, err: MailarchiveError) -> None:
        """Write an error, unless the line that ends a run has just said the same."""
        if (err.message, err.hint) == self._said:
            return
        self._write(
            {
                "event": "error",
                "message": KNOWN.scrub(err.message),
                "hint": KNOWN.scrub(err.hint),
                "exit_code": int(err.exit_code),
                "temporary": err.temporary,
            }
        )

    def question(self, planned: Planned) -> None:
        """Nothing to show: the `planned` line is out already."""

    def close(self) -> None:
        """Nothing to take away: every line is out already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _write(self, line: dict[str, Any]) -> None:
        self.begin()
        if self.account is not None:
            line = {"event": line["event"], "account": self.account} | line
        self._put(line)

    def begin(self) -> None:
        """Write the line about the schema, if it is not out yet; every other line comes after it."""
        if self._fresh:
            self._fresh = False
            self._put({"event": "schema", "version": VERSION, "program": "mailarchive", "program_version": __version__})

    def _put(self, line: dict[str, Any]) -> None:
        self._sink.write(json.dumps(line, ensure_ascii=True) + "\n")
