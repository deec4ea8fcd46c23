"""A run that goes on after its line broke, after a server asked for patience, and within a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailarchive.cli import running
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.errors import LaterError, SignInError, UnreachableError
from mailarchive.secret import Secret
from mailarchive.sources import connect, patience
from mailarchive.sources.imap import ImapSource
from tests.command import mailarchive
from tests.servers.proxy import Proxy
from tests.servers.test_dead_lines import PASSWORD, PROTOCOLS, Place, cuts, hasty, letters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from tests.servers.proxy import Cut
    from tests.servers.test_dead_lines import Protocol

__all__ = ["hasty"]
DELETE = ("--delete", "--yes", "--older-than", "1y")


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoServer]:
    """Serve whoever is added."""
    with DemoServer(Store()) as server:
        yield server


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Have the patience of a user, and count the pauses instead of making them."""
    slept: list[float] = []
    for command in ("BACKUP", "PRUNE"):
        monkeypatch.delenv(f"MAILARCHIVE_{command}_MAX_WAIT")
    monkeypatch.setattr(patience.Patience, "_pause", lambda _, seconds: slept.append(seconds))
    return slept


@pytest.fixture
def place(demo: DemoServer, tmp_path: Path) -> Place:
    """Give three old messages, over IMAP."""
    return Place(demo, tmp_path / "a", "imap", letters(3))


def broken_once(demo: DemoServer, folder: Path, protocol: Protocol, side: str, *, cut: Cut, step: int) -> set[int]:
    """Cut the first line of a deleting run after each step of octets; gives the exit codes.

    All is done in that run, or else by the next one; nothing is lost and nothing is there twice.
    """
    place = Place(demo, folder / "whole", protocol, letters(3))
    with Proxy(place.port) as proxy:
        assert place.run(*DELETE, proxy=proxy) == 0
        octets = proxy.bytes_from_server if side == "server" else proxy.bytes_from_client
    codes = set()
    for at in cuts(octets, step):
        place = Place(demo, folder / str(at), protocol, letters(3))
        where: dict[str, Any] = {f"cut_{side}": at}
        with Proxy(place.port, cut=cut, cuts=1, **where) as proxy:
            code = place.run(*DELETE, proxy=proxy)
        codes.add(code)
        assert place.held() == place.samples, at
        assert place.left() == ([] if code == 0 else place.left()), at
        assert place.run(*DELETE) == 0, at
        assert (place.held(), place.left()) == (place.samples, []), at
    return codes


@PROTOCOLS
@pytest.mark.parametrize("cut", ["fin", "rst"])
@pytest.mark.parametrize("side", ["server", "client"])
def test_f004_f030_f079_a_line_that_breaks_once_is_taken_up_again(
    demo: DemoServer, tmp_path: Path, protocol: Protocol, side: str, cut: Cut
) -> None:
    """Wherever it breaks, in the sign-in, in a message or between STORE and EXPUNGE: all is done in the same run.

    Only a goodbye over POP3 that nobody answered is left for the next one to look at.
    """
    codes = broken_once(demo, tmp_path, protocol, side, cut=cut, step=97)
    assert codes <= ({0} if protocol == "imap" else {0, 3})


@pytest.mark.long
@pytest.mark.timeout(900)
@PROTOCOLS
def test_f004_f030_f079_a_line_that_breaks_once_at_very_many_moments(
    demo: DemoServer, tmp_path: Path, protocol: Protocol
) -> None:
    """Every seventh octet of the server."""
    codes = broken_once(demo, tmp_path, protocol, "server", cut="rst", step=7)
    assert codes <= ({0} if protocol == "imap" else {0, 3})


@PROTOCOLS
@pytest.mark.parametrize("cut", ["fin", "rst", "hang"])
@pytest.mark.usefixtures("hasty")
def test_f005_f006_f074_what_came_whole_is_not_fetched_again(
    demo: DemoServer, tmp_path: Path, protocol: Protocol, cut: Cut
) -> None:
    """A line that ends inside the third of six messages: the new one brings four, and all six are there, once.

    A POP3 server that does not know that the line is dead has the mailbox locked still: 75, and the next run goes on.
    """
    place = Place(demo, tmp_path / "a", protocol, letters(6, 100_000))
    with Proxy(place.port, cut_server=250_000, cut=cut, cuts=1) as proxy:
        code = place.run(proxy=proxy)
        if (protocol, cut) == ("pop", "hang"):
            assert (code, len(place.held())) == (75, 2)
            return
        assert code == 0
        first, second = (len(connection.server) for connection in proxy.connections)
    assert first == 250_000
    # A reset takes along what had arrived and was not read yet.
    assert 400_000 < second < (450_000 if cut != "rst" else 610_000)
    assert place.held() == place.samples


@PROTOCOLS
def test_f030_a_line_that_always_breaks_is_given_up(
    demo: DemoServer, tmp_path: Path, protocol: Protocol, pauses: list[float]
) -> None:
    """After three new attempts that brought nothing: 15; what has come is kept, and the next run goes on."""
    place = Place(demo, tmp_path / "a", protocol, letters(3, 100_000))
    with Proxy(place.port, cut_server=40_000, cuts=None) as proxy:
        assert place.run(proxy=proxy) == 15
        assert len(proxy.connections) == 4
    assert len(pauses) == 3
    assert pauses == sorted(pauses)
    assert place.run() == 0
    assert place.held() == place.samples


@PROTOCOLS
def test_f030_a_line_that_breaks_again_and_again_and_brings_something_each_time(
    demo: DemoServer, tmp_path: Path, protocol: Protocol, pauses: list[float]
) -> None:
    """Twelve messages over a line that carries one or two at a time: all of them, in one run."""
    place = Place(demo, tmp_path / "a", protocol, letters(12, 100_000))
    with Proxy(place.port, cut_server=220_000, cuts=None) as proxy:
        assert place.run(proxy=proxy) == 0
    assert 5 <= len(pauses) <= 13
    assert place.held() == place.samples


@PROTOCOLS
def test_without_patience_the_first_break_is_the_end(
    demo: DemoServer, tmp_path: Path, protocol: Protocol, pauses: list[float]
) -> None:
    """--max-wait 0s."""
    place = Place(demo, tmp_path / "a", protocol, letters(3, 100_000))
    with Proxy(place.port, cut_server=150_000, cuts=1) as proxy:
        assert place.run("--max-wait", "0s", proxy=proxy) == 15
    assert pauses == []


def failing(what: Callable[..., Any], *errors: Exception) -> Callable[..., Any]:
    """Make a function that raises these errors first, and then does its work."""
    left = list(errors)

    def work(*words: Any, **options: Any) -> Any:
        if left:
            raise left.pop(0)
        return what(*words, **options)

    return work


@PROTOCOLS
def test_f028_a_server_that_is_full_is_waited_for(
    demo: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: Protocol, pauses: list[float]
) -> None:
    """BYE at the sign-in, too many connections: with growing pauses, and then all is done. Lost at it: once more."""
    full = [LaterError("too many connections")] * 2
    lost = UnreachableError("the connection broke", temporary=True)
    place = Place(demo, tmp_path / "a", protocol, letters(3))
    monkeypatch.setattr(running, "connect", failing(connect, lost, *full))
    assert place.run() == 0
    assert len(pauses) == 3
    assert place.held() == place.samples


@PROTOCOLS
def test_f028_a_server_that_stays_full_is_for_later(
    demo: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: Protocol, pauses: list[float]
) -> None:
    """75 when the patience is at its end, and each pause was told."""
    place = Place(demo, tmp_path / "a", protocol, letters(3))
    monkeypatch.setattr(running, "connect", failing(connect, *[LaterError("too many connections")] * 9))
    assert place.run() == 75
    assert len(pauses) == 3


def test_f028_a_restore_waits_at_the_sign_in_too(
    place: Place, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """As long as --max-wait says."""
    assert place.run() == 0
    monkeypatch.delenv("MAILARCHIVE_RESTORE_MAX_WAIT")
    monkeypatch.setattr(running, "connect", failing(connect, LaterError("too many connections")))
    words = ("restore", place.url, "--archive", place.archive, "--dry-run")
    assert mailarchive(*words, password=PASSWORD).code == 0
    assert len(pauses) == 1


@PROTOCOLS
def test_f020_a_refused_sign_in_is_not_tried_again(
    demo: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: Protocol, pauses: list[float]
) -> None:
    """Whatever the patience: a second try could lock the account."""
    place = Place(demo, tmp_path / "a", protocol, letters(3))
    monkeypatch.setattr(running, "connect", failing(connect, SignInError("refused")))
    assert place.run() == 12
    assert pauses == []


@pytest.mark.parametrize(("times", "code"), [(1, 0), (2, 12)])
def test_f024_exchange_that_gives_nothing_is_tried_once_more(
    place: Place, monkeypatch: pytest.MonkeyPatch, pauses: list[float], times: int, code: int
) -> None:
    """After a pause and on a new line; then it is a refused sign-in."""
    error = SignInError("authenticated but not connected", temporary=True)
    monkeypatch.setattr(ImapSource, "mailboxes", failing(ImapSource.mailboxes, *[error] * times))
    assert place.run() == code
    assert len(pauses) == 1


def test_f025_a_token_that_ended_is_renewed_for_the_new_line(
    demo: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that the server ends because the token has: each sign-in asks for what proves it at that moment."""
    asked: list[str] = []

    class Tokens:
        """Gives another token each time, of which the server takes the password."""

        def current(self) -> Secret:
            asked.append("current")
            return Secret(PASSWORD)

        def renewed(self) -> Secret | None:
            return None

    place = Place(demo, tmp_path / "a", "imap", letters(3, 100_000))
    monkeypatch.setattr(running, "proof_of", lambda _: Tokens())
    with Proxy(place.port, cut_server=150_000, cuts=1) as proxy:
        assert place.run(proxy=proxy) == 0
    assert asked == ["current", "current"]
    assert place.held() == place.samples


@PROTOCOLS
def test_a_budget_ends_a_run_and_the_next_one_goes_on(demo: DemoServer, tmp_path: Path, protocol: Protocol) -> None:
    """--max-bytes: 75, never a message more than it allows, until all are there."""
    place = Place(demo, tmp_path / "a", protocol, letters(5, 100_000))
    held = []
    for _ in range(3):
        code = place.run("--max-bytes", "250K")
        held.append((code, len(place.held())))
    assert held == [(75, 2), (75, 4), (0, 5)]
    assert place.held() == place.samples


@PROTOCOLS
def test_a_message_larger_than_the_budget_is_told_and_stops_nothing(
    demo: DemoServer, tmp_path: Path, protocol: Protocol
) -> None:
    """3: it would not come in any run; the others do."""
    place = Place(demo, tmp_path / "a", protocol, [*letters(2, 1000), *letters(1, 50_000)])
    assert place.run("--max-bytes", "20K") == 3
    assert len(place.held()) == 2
    assert place.run() == 0
    assert place.held() == place.samples
