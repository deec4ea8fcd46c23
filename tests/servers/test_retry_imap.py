"""Rows 30 to 35, 54 and 55 of the table of faults, with the patience of a user: what a run goes on after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailarchive.sources import patience
from mailarchive.sources.patience import ASKED
from tests.servers.misbehaving import (
    BODIES,
    DELETE,
    OLD,
    WORK,
    Fault,
    Misbehaving,
    archived,
    instead,
    only,
    recovered,
    responses,
    these,
    told,
    total,
)

if TYPE_CHECKING:
    from pathlib import Path

GONE = len(OLD) + len(WORK)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Have the patience of a user, and count the pauses instead of making them."""
    slept: list[float] = []
    monkeypatch.delenv("MAILARCHIVE_BACKUP_MAX_WAIT")
    monkeypatch.setattr(patience.Patience, "_pause", lambda _, seconds: slept.append(seconds))
    return slept


def after_one(words: bytes) -> Fault:
    """Say this, once, in the place of what follows the first body."""
    return Fault(BODIES, lambda answer: responses(answer)[0] + words, times=1)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (b"* BYE see you\r\n", patience.LOST[0]),
        (b"TAG BAD Request is throttled. Suggested Backoff Time: 12000 milliseconds\r\n", 12.0),
        (b"TAG NO [THROTTLED] slowly\r\n", ASKED[0]),
        (b"TAG NO [LIMIT] UID FETCH Rate limit hit\r\n", ASKED[0]),
        (b"TAG NO [INUSE] somebody else is here\r\n", ASKED[0]),
    ],
    ids=["BYE", "backoff", "throttled", "limit", "in use"],
)
def test_f030_f033_f035_a_pause_and_the_run_goes_on(
    tmp_path: Path, pauses: list[float], words: bytes, seconds: float
) -> None:
    """As long as the server says, or a few seconds: 0, all archived once, and all that was picked deleted."""
    with Misbehaving(after_one(words)) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result)) == (0, (GONE, GONE, 0, 0))
        assert archived(tmp_path) == these(*OLD, *WORK)
        assert (server.holds(), server.holds("Work")) == ([5], [])
    (pause,) = pauses
    assert seconds <= pause <= seconds * 1.2
    (waiting,) = told(result, "waiting")
    assert waiting["seconds"] == pause
    fetched = [command for command in server.commands if "BODY.PEEK[]" in command]
    assert len(fetched) == 3
    assert fetched[1].startswith("UID FETCH 2")


@pytest.mark.parametrize(
    "words",
    [
        b"TAG BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n",
        b"* BYE Session expired, please login again.\r\n",
        b"TAG NO [ALERT] Account exceeded command or bandwidth limits. (Failure)\r\n",
    ],
    ids=["five minutes", "the day is over", "bandwidth"],
)
def test_f033_f034_what_is_too_long_is_not_waited_for(tmp_path: Path, pauses: list[float], words: bytes) -> None:
    """75 at once; nothing is deleted, and the next run goes on there."""
    with Misbehaving(after_one(words)) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, pauses) == (75, [])
        assert "messages were archived; the next run goes on there" in result.end["error"]
        assert (server.holds(), server.marked()) == ([1, 2, 3, 4, 5], [])
        recovered(server, tmp_path)


def test_f035_a_limit_that_stays_ends_the_run(tmp_path: Path, pauses: list[float]) -> None:
    """75 after three pauses; what came is kept."""
    with Misbehaving(Fault(BODIES, b"TAG NO [LIMIT] UID FETCH Rate limit hit\r\n")) as server:
        assert server.run(tmp_path, *DELETE).code == 75
        assert len(pauses) == 3
        recovered(server, tmp_path)


@pytest.mark.parametrize("size", [b"{3000000000000}", b"{-1}", b"{7}"], ids=["giant", "negative", "short"])
def test_f054_f055_the_others_come_on_a_new_line(tmp_path: Path, size: bytes) -> None:
    """16 for one in each of two mailboxes, which stays; all others are archived, and nothing is deleted there."""
    with Misbehaving(Fault(BODIES, only(2, instead(rb"\{\d+\}", size)))) as server:
        result = server.run(tmp_path, *DELETE)
        assert result.code == 16
        assert archived(tmp_path) == these(*(number for number in (*OLD, *WORK) if number not in (OLD[1], WORK[1])))
        assert [(each["mailbox"], each["uid"]) for each in told(result, "failed")] == [("INBOX", 2), ("Work", 2)]
        assert (server.holds(), server.marked(), server.marked("Work")) == ([1, 2, 3, 4, 5], [], [])
        assert total(result) == (GONE - 2, 0, GONE - 2, 2)
        recovered(server, tmp_path)
