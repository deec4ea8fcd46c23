"""What a script reads."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any, get_args

import pytest

import mailarchive
from mailarchive.errors import ConfigError, DiskError, ExitCode
from mailarchive.events import (
    Event,
    Finished,
    Gone,
    ImportFinished,
    Listing,
    ReindexFinished,
    RestoreFinished,
    VerifyFinished,
)
from mailarchive.screen.jsonl import JsonLines, plain_value
from mailarchive.tally import Intake, Return, Tally
from tests.core.screen_samples import (
    DELETING_PLAN,
    EVERY_EVENT,
    EVIL,
    RUN,
    STARTED,
    lines_of,
)


def test_every_event_is_in_the_schema() -> None:
    """The list below the imports has each event once, so a new one must be added there."""
    assert sorted(type(event).__name__ for event, _ in EVERY_EVENT) == sorted(kind.__name__ for kind in get_args(Event))


@pytest.mark.parametrize(("event", "line"), EVERY_EVENT, ids=lambda value: type(value).__name__)
def test_json_of_each_event(event: Event, line: dict[str, Any]) -> None:
    """Each event is one line with its fields, in the words and types of the schema."""
    out = io.StringIO()
    JsonLines(out)(event)
    schema, written = lines_of(out)
    assert schema == {
        "event": "schema",
        "version": 1,
        "program": "mailarchive",
        "program_version": mailarchive.__version__,
    }
    assert written == line
    assert next(iter(written)) == "event"


def test_json_schema_comes_first_and_once() -> None:
    """The first line names the schema, also when all that follows is an error."""
    out = io.StringIO()
    with JsonLines(out) as screen:
        screen.error(ConfigError("config.toml:9: unknown key", hint="did you mean 'user'?"))
        screen(STARTED)
    assert [line["event"] for line in lines_of(out)] == ["schema", "error", "started"]
    assert lines_of(out)[1] == {
        "event": "error",
        "message": "config.toml:9: unknown key",
        "hint": "did you mean 'user'?",
        "exit_code": 10,
        "temporary": False,
    }


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (Finished(RUN, "/srv", (), Tally(), ExitCode.DISK, error="no space left"), "finished"),
        (RestoreFinished(RUN, RUN, "/srv", (), Return(), ExitCode.DISK, error="no space left"), "restore_finished"),
        (ImportFinished(RUN, "/srv", (), Intake(), ExitCode.DISK, error="no space left"), "import_finished"),
        (VerifyFinished("/srv", 1, 0, 0, (), ExitCode.DISK, error="no space left"), "verify_finished"),
        (
            ReindexFinished("/srv", 1, 0, 0, 0, 0, 0, 0, 0, (), ExitCode.DISK, complete=False, error="no space left"),
            "reindex_finished",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_json_ends_with_the_finished_line(event: Event, name: str) -> None:
    """An error that the finished line has already told is not told again after it, and another one is."""
    out = io.StringIO()
    screen = JsonLines(out)
    screen(event)
    screen.error(DiskError("no space left"))
    assert [line["event"] for line in lines_of(out)] == ["schema", name]
    screen.error(DiskError("another disk"))
    assert [line["event"] for line in lines_of(out)] == ["schema", name, "error"]


def test_json_of_a_plan_that_deletes() -> None:
    """What a plan holds inside is in the line too: reasons with their numbers, the quota with its percent."""
    out = io.StringIO()
    screen = JsonLines(out)
    screen(DELETING_PLAN)
    screen.question(DELETING_PLAN)
    _, line = lines_of(out)
    assert line["mailboxes"][0] == {
        "mailbox": "INBOX",
        "on_server": 12402,
        "selected": 9811,
        "already": 9000,
        "fetch": 811,
        "size": 92_100_000,
        "delete": 9790,
        "delete_size": 1_100_000_000,
        "keep": 21,
    }
    assert (line["deleting"], line["method"], line["held"]) == (True, "expunge", "")
    assert line["kept"] == [["flagged", 18], ["sent after the cut-off", 3]]
    assert line["quota"] == {"used": 1_920_000_000, "limit": 2_000_000_000, "percent": 96.0}


def test_f124_json_carries_hostile_names_exactly_and_harmlessly() -> None:
    """Only printable ASCII leaves, and reading it gives the very name back, lone surrogates included."""
    out = io.StringIO()
    name = EVIL + "\x7f\x00\u2028日本\udcff"
    JsonLines(out)(Listing(name, 1, 1))
    assert re.fullmatch(r"[ -~\n]*", out.getvalue())
    assert out.getvalue().count("\n") == 2
    assert lines_of(out)[1]["mailbox"] == name


def test_json_values_without_a_rule() -> None:
    """Sets come sorted, and what JSON does not know comes as text instead of an exception."""
    assert plain_value(frozenset({"b", "a"})) == ["a", "b"]
    assert plain_value([ExitCode.BUSY, None, True, Path("/srv")]) == [11, None, True, "/srv"]


def test_json_lines_are_flushed() -> None:
    """A reader at the other end of a pipe sees each line at once."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream, os.fdopen(reading, "rb", buffering=0) as reader:
        JsonLines(stream)(Gone("INBOX", 1))
        assert reader.read(65536).count(b"\n") == 2
