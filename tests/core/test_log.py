"""The log of JSON lines."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.errors import SignInError
from mailarchive.events import Failed, Warned
from mailarchive.model import UID
from mailarchive.monitoring.log import LEFT_OUT, Log, Logged, harmless
from mailarchive.secret import Secret
from tests.core.screen_samples import EVERY_EVENT, EVIL, RUN, STARTED

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from mailarchive.errors import MailarchiveError
    from mailarchive.events import Event

NOW = datetime(2026, 11, 23, 8, 15, 2, 123456, tzinfo=UTC)


class Shown:
    """A screen that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.errors: list[MailarchiveError] = []

    def __call__(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    def error(self, err: MailarchiveError) -> None:
        """Keep an error."""
        self.errors.append(err)

    def question(self, planned: object) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Close nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def lines(path: Path) -> list[dict[str, Any]]:
    """Read a log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def logged(path: Path, screen: Shown) -> Logged:
    """Make a screen with a log whose clock stands still."""
    return Logged(screen, Log(path, lambda text: screen(Warned(text)), now=lambda: NOW))


def test_each_event_and_error_is_a_line_with_time_run_and_account(tmp_path: Path) -> None:
    """And goes on to the screen unchanged; the file is closed to others."""
    path, screen = tmp_path / "log", Shown()
    error = SignInError("no", hint="try again")
    with logged(path, screen) as log:
        log(STARTED)
        log(Failed("INBOX", UID(3), "empty"))
        log.error(error)
        log.error(error)
    assert [(line["event"], line["at"], line["run"], line["account"]) for line in lines(path)] == [
        (name, "2026-11-23T08:15:02.123+00:00", RUN, "home") for name in ("started", "failed", "error")
    ]
    assert lines(path)[1] | {"mailbox": "INBOX", "uid": 3, "reason": "empty"} == lines(path)[1]
    assert lines(path)[2] | {"message": "no", "hint": "try again", "exit_code": 12} == lines(path)[2]
    assert screen.events == [STARTED, Failed("INBOX", UID(3), "empty")]
    assert screen.errors == [error, error]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_lines_of_accounts_side_by_side_keep_their_own_run(tmp_path: Path) -> None:
    """One account's lines never carry the run of another."""
    path = tmp_path / "log"
    with logged(path, Shown()) as log:
        first, second = log.of("a"), log.of("home")
        second(STARTED)
        first(Warned("x"))
        second(Warned("y"))
    assert [(line["run"], line["account"]) for line in lines(path)] == [(RUN, "home"), ("", "a"), (RUN, "home")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("refused the sign-in of kim@example.org here", "refused the sign-in of *** here"),
        ("imaps://kim%40example.org@imap.example.org/", "imaps://***/"),
        ("/srv/mail/kim@example.org/INBOX", "/srv/mail/***/INBOX"),
        ("From: =?x?= <kim@example.org>, <b@c.d>", "From: =?x?= <***>, <***>"),
        ("canary-4711 and canary-4711", "*** and ***"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("@ alone, a @ b", "@ alone, a @ b"),
    ],
)
def test_addresses_secrets_and_controls_are_taken_out(text: str, expected: str) -> None:
    """Of every text, however deep it stands."""
    Secret("canary-4711")
    assert harmless(text) == expected
    assert harmless({"a": [{text: [text, 1, None]}]}) == {"a": [{expected: [expected, 1, None]}]}


def test_no_event_brings_an_address_what_was_looked_for_or_the_senders(tmp_path: Path) -> None:
    """Of all events that there are."""
    path = tmp_path / "log"
    with logged(path, Shown()) as log:
        for event, _ in EVERY_EVENT:
            log(event)
        log(Warned(EVIL + "me@example.org"))
    text = path.read_text()
    assert len(text.splitlines()) == len(EVERY_EVENT) + 1
    assert "@" not in text
    assert all(not LEFT_OUT & line.keys() for line in lines(path))
    assert {"selection", "undo", "usage"} == LEFT_OUT
    assert all(" " <= letter <= "~" for letter in text.replace("\n", ""))


@pytest.mark.parametrize("kind", ["folder", "absent", "pipe", "full"])
def test_a_log_that_cannot_be_written_warns_once_and_stops_nothing(tmp_path: Path, kind: str) -> None:
    """The screen hears everything all the same."""
    path = {"folder": tmp_path, "full": tmp_path.__class__("/dev/full")}.get(kind, tmp_path / "x" / "log")
    if kind == "pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    screen = Shown()
    with logged(path, screen) as log:
        log(STARTED)
        log(Warned("other"))
    warned = [event for event in screen.events if isinstance(event, Warned) and "cannot be written" in event.message]
    assert len(warned) == 1
    assert not warned[0].serious
    assert [event for event in screen.events if event not in warned] == [STARTED, Warned("other")]


def test_a_disk_that_fails_later_warns_once_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written stays."""
    path, screen = tmp_path / "log", Shown()
    log = logged(path, screen)
    log(STARTED)

    def full(_fd: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    for _ in range(3):
        log(Warned("other"))
    assert [event.message for event in screen.events if isinstance(event, Warned)].count("other") == 3
    assert len([e for e in screen.events if isinstance(e, Warned) and "No space left" in e.message]) == 1
    assert len(lines(path)) == 1


def test_each_call_opens_the_file_anew_and_adds(tmp_path: Path) -> None:
    """So it can be moved away in between."""
    path = tmp_path / "log"
    for _ in range(2):
        with logged(path, Shown()) as log:
            log(STARTED)
    assert len(lines(path)) == 2
    path.rename(tmp_path / "old")
    with logged(path, Shown()) as log:
        log(STARTED)
    assert len(lines(path)) == 1
