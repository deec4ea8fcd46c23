"""How long a run waits for a server, and how often it tries again."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import (
    ExitCode,
    LaterError,
    NoLineError,
    ProtocolError,
    SignInError,
    SpoiltError,
    UnreachableError,
)
from mailarchive.sources import patience
from mailarchive.sources.patience import ASKED, ATTEMPTS, LOST, Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.errors import AccountError

BROKEN = UnreachableError("imap.example.org:993 closed the connection", temporary=True)
AWAY = NoLineError("cannot connect to imap.example.org:993: Connection refused", temporary=True)


class Clock:
    """Counts the seconds that are slept, and ends the run when it is told to."""

    def __init__(self, most: float = 60.0, *, stops_after: float = float("inf"), chance: float = 0.0) -> None:
        self.slept = 0.0
        self.told: list[tuple[str, float]] = []
        self._stops_after = stops_after
        self.patience = Patience(
            most,
            stop=self._stop,
            tell=lambda why, seconds: self.told.append((why, seconds)),
            sleep=self._sleep,
            chance=lambda: chance,
        )

    def _sleep(self, seconds: float) -> None:
        self.slept += seconds

    def _stop(self) -> ExitCode | None:
        return ExitCode.INTERRUPT if self.slept >= self._stops_after else None

    def until_it_gives_up(self, error: AccountError, *, first: bool = False) -> list[float]:
        """Wait for one error again and again; gives the pauses before it is raised."""
        with pytest.raises(type(error)) as caught:
            self.for_ever(error, first=first)
        assert caught.value is error
        return [seconds for _, seconds in self.told]

    def for_ever(self, error: AccountError, *, first: bool = False) -> None:
        """Wait again and again."""
        for _ in range(1000):
            self.patience.wait(error, first=first)
        pytest.fail("it never gives up")


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (BROKEN, [*LOST]),
        (AWAY, [*LOST]),
        (LaterError("throttled"), [*ASKED]),
        (LaterError("throttled", after=12.0), [12.0, 12.0, 12.0]),
        (LaterError("session expired", final=True), []),
        (UnreachableError("the certificate is not good; nothing was sent"), []),
        (SignInError("refused"), []),
        (SignInError("authenticated but not connected", temporary=True), [ASKED[0]]),
        (ProtocolError("nonsense"), []),
        (SpoiltError("a literal of 3 GB", 7), [*LOST]),
    ],
    ids=lambda value: str(value) if isinstance(value, Exception) else "",
)
def test_what_is_tried_again(error: AccountError, pauses: list[float]) -> None:
    """With growing pauses, three times at most; a password, a certificate and the limit of a day never."""
    assert Clock().until_it_gives_up(error) == pytest.approx(pauses)


@pytest.mark.parametrize(
    ("error", "pauses"),
    [(BROKEN, [LOST[0]]), (AWAY, []), (LaterError("too many connections"), [*ASKED]), (SignInError("no"), [])],
    ids=["broken", "away", "later", "refused"],
)
def test_f028_before_anything_is_done(error: AccountError, pauses: list[float]) -> None:
    """A server that is not there is told at once, a line that broke is tried once more, a busy server is waited for."""
    assert Clock().until_it_gives_up(error, first=True) == pytest.approx(pauses)


def test_f033_more_than_the_patience_is_not_waited_for() -> None:
    """Not one second of it; the hint says how much patience it would need."""
    clock = Clock(60.0)
    error = LaterError("throttled", after=299.961)
    assert clock.until_it_gives_up(error) == []
    assert (clock.slept, error.hint.split(" waits")[0]) == (0.0, "--max-wait 5min")
    clock = Clock(300.0)
    assert clock.until_it_gives_up(LaterError("throttled", after=299.961)) == pytest.approx([299.961])
    assert clock.slept == pytest.approx(300, abs=0.2)


def test_what_no_user_would_wait_for_has_no_hint() -> None:
    """A server can ask for any number of seconds."""
    error = LaterError("throttled", after=1e9)
    assert Clock().until_it_gives_up(error) == []
    assert error.hint == ""


def test_without_patience_there_is_no_second_attempt() -> None:
    """And nothing is told."""
    clock = Clock(0.0)
    assert clock.until_it_gives_up(BROKEN) == []
    assert clock.until_it_gives_up(LaterError("throttled", after=0.0)) == []


def test_what_is_achieved_makes_a_new_trouble_of_the_next_one() -> None:
    """A line that breaks every hour is taken up again each time, and the sum of the pauses begins anew."""
    clock = Clock(21.5)
    for _ in range(5):
        for _ in LOST:
            clock.patience.wait(BROKEN)
        clock.patience.achieved()
    assert clock.slept == pytest.approx(5 * sum(LOST), abs=3)


def test_a_run_does_not_come_back_for_ever() -> None:
    """However much it achieves between two attempts."""
    clock = Clock(1e9)

    def again() -> None:
        for _ in itertools.count():
            clock.patience.wait(BROKEN)
            clock.patience.achieved()

    with pytest.raises(UnreachableError):
        again()
    assert len(clock.told) == ATTEMPTS


@pytest.mark.parametrize("before", [True, False])
def test_f113_a_user_who_wants_to_end_does_not_wait(*, before: bool) -> None:
    """The first signal ends a pause within a tenth of a second, and no other begins."""
    clock = Clock(stops_after=0.0 if before else 2.0)
    with pytest.raises(UnreachableError):
        clock.for_ever(BROKEN)
    assert clock.slept <= 2.0 + patience.SLICE
    assert len(clock.told) == (0 if before else 2)


def test_a_part_of_each_pause_is_chance() -> None:
    """So that a thousand clients of a server that went down do not come back in one moment."""
    assert Clock(chance=1.0).until_it_gives_up(BROKEN)[0] == pytest.approx(LOST[0] * (1 + patience.JITTER))
    waits: Callable[[float], float] = lambda chance: Clock(chance=chance).until_it_gives_up(  # noqa: E731
        LaterError("throttled", after=10.0)
    )[0]
    assert 10.0 == waits(0.0) < waits(1.0) <= 10.0 + patience.JITTER
