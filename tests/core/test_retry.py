"""What a run makes of a line that breaks in its middle, when it can go on on a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import ExitCode, LaterError, ProtocolError, SignInError, UnreachableError
from mailarchive.events import Expunged, Failed, Kept, Settled
from mailarchive.model import DELETED, UID, Method
from mailarchive.policy import HeaderTests, Policy
from mailarchive.sources.patience import Patience
from mailarchive.sources.retry import PatientSource
from tests.jobs import CUT, old, run_backup, run_prune, yes
from tests.memory import MemoryArchive, MemoryCatalogue, MemorySource, never

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mailarchive.errors import AccountError
    from mailarchive.events import Event, Finished
    from mailarchive.model import UIDL, RemoteMessage


def broken() -> UnreachableError:
    """Make the error of a line that broke."""
    return UnreachableError("the connection broke", temporary=True)


class Renewed(MemorySource):
    """A server in memory to which one can connect anew.

    Attributes:
        renewals: How often somebody did. `at_renewal`: called each time; what it raises is the answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.renewals = 0
        self.at_renewal: Callable[[], None] = lambda: None

    def renew(self) -> None:
        """Be there again."""
        self.renewals += 1
        self.at_renewal()

    def close(self, *, polite: bool = True) -> None:
        """Be left."""
        assert polite in (True, False)


class World:
    """A server with old mail in INBOX, an archive, and a run that does not give up at once."""

    def __init__(self, count: int = 5) -> None:
        self.server = Renewed()
        for number in range(count):
            self.server.add("INBOX", old(number))
        self.archive, self.catalogue = MemoryArchive(), MemoryCatalogue()
        self.pauses: list[float] = []
        self.events: list[Event] = []

    def run(self, job: Callable[..., tuple[Finished, list[Event]]] = run_backup, **options: object) -> Finished:
        """Run a job on a new session."""
        patience = Patience(
            60.0,
            stop=never,
            tell=lambda _, seconds: self.pauses.append(seconds),
            sleep=lambda _: None,
            chance=lambda: 0.0,
        )
        source = PatientSource(lambda: self.server, patience)
        finished, self.events = job(source, self.archive, self.catalogue, **options)
        return finished

    def left(self) -> list[UID]:
        """Name what is on the server."""
        return sorted(self.server.boxes["INBOX"])

    def marked(self) -> list[UID]:
        """Name what is marked on the server."""
        return [uid for uid, each in sorted(self.server.boxes["INBOX"].items()) if DELETED in each.flags]

    def held(self) -> list[bytes]:
        """Give what the archive gives back, in order."""
        rows = self.catalogue.rows("INBOX", 1, [UID(number) for number in range(1, 100)])
        return [
            b"".join(self.archive.read(row.location)) for _, row in sorted(rows.items(), key=lambda pair: str(pair[0]))
        ]


@pytest.fixture
def world() -> World:
    """Give five old messages."""
    return World()


def test_f005_a_message_that_breaks_off_comes_once(world: World) -> None:
    """The two before it are not asked for again, and nothing stands twice in the archive."""
    world.server.cut_after, world.server.cut_error = 2, broken()
    finished = world.run()
    assert (finished.exit_code, finished.total.archived, finished.total.failed) == (ExitCode.DONE, 5, 0)
    assert [uid for _, uid in world.server.fetched] == [1, 2, 3, 3, 4, 5]
    assert world.server.renewals == 1
    assert world.held() == [old(number).octets for number in range(5)]


@pytest.mark.parametrize("method", [Method.AUTO, Method.MARK, Method.EXCLUSIVE])
@pytest.mark.parametrize("step", ["store", "expunge", "unmark"])
def test_f004_a_deletion_that_breaks_off_is_looked_at_and_gone_on_with(world: World, step: str, method: Method) -> None:
    """On a new line our marks come off, all is proved anew, and what others have marked stays theirs."""
    stranger = world.server.add("INBOX", old(50, size=-1))
    world.server.boxes["INBOX"][stranger].flags |= {DELETED, "\\Flagged"}
    world.server.ended_at = {step: broken()}
    finished = world.run(deletion=yes(method=method))
    assert finished.exit_code in (ExitCode.DONE, ExitCode.PARTIAL)
    if method is not Method.MARK:
        assert world.left() == [stranger]
        assert (finished.total.deleted, finished.exit_code) == (5, ExitCode.DONE)
    assert stranger in world.marked()
    assert world.catalogue.open_batches() == []
    uids = [event.uid for event in world.events if isinstance(event, Expunged)]
    assert len(uids) == len(set(uids)) == finished.total.deleted
    again = world.run(deletion=yes(method=method), run="run2")
    assert (again.total.archived, world.marked()[-1]) == (0, stranger)


def test_f004_what_was_gone_when_the_line_broke_is_told_as_deleted(world: World) -> None:
    """The server had removed two of five: they count once, and the other three are proved and removed."""

    def between(step: str) -> None:
        box = world.server.boxes["INBOX"]
        if step == "expunge" and len(box) == 3 and not world.server.renewals:
            raise broken()

    world.server.between = between
    finished = world.run(deletion=yes())
    assert (finished.exit_code, finished.total.deleted, finished.total.kept) == (ExitCode.DONE, 5, 0)
    assert world.left() == []
    (settled,) = (event for event in world.events if isinstance(event, Settled))
    assert (settled.gone, settled.back, settled.open) == (2, 3, 0)
    lines = [line for line in world.archive.told("run1") if line.get("type") == "expunged"]
    assert sorted(int(str(line["uid"])) for line in lines) == [1, 2, 3, 4, 5]
    assert all("of" not in line or line["of"] is None for line in lines)


def test_f004_a_prune_goes_on_too(world: World) -> None:
    """As a backup does."""
    world.run()
    world.server.ended_at = {"expunge": broken()}
    finished = world.run(run_prune, run="run2")
    assert (finished.exit_code, finished.total.deleted, world.left()) == (ExitCode.DONE, 5, [])


def test_f043_a_mailbox_that_was_numbered_anew_meanwhile_is_left_alone(world: World) -> None:
    """What came is kept, nothing is deleted, and a human is told: 3."""

    def renumber() -> None:
        world.server.uidvalidity["INBOX"] = 2

    world.server.at_renewal = renumber
    world.server.cut_after, world.server.cut_error = 2, broken()
    finished = world.run(deletion=yes())
    assert (finished.exit_code, finished.total.archived, finished.total.deleted) == (ExitCode.PARTIAL, 2, 0)
    assert world.left() == [1, 2, 3, 4, 5]
    assert any("numbered this mailbox anew" in str(event) for event in world.events)


def test_f043_a_mailbox_that_was_numbered_anew_in_a_deletion_is_left_alone(world: World) -> None:
    """Nobody can say what became of the order, so it is kept as unknown, and nothing more is sent."""

    def renumber() -> None:
        world.server.uidvalidity["INBOX"] = 2

    world.server.at_renewal = renumber
    world.server.ended_at = {"expunge": broken()}
    finished = world.run(deletion=yes())
    assert (finished.exit_code, finished.total.deleted, finished.total.kept) == (ExitCode.PARTIAL, 0, 5)
    assert world.left() == [1, 2, 3, 4, 5]
    assert {event.uid for event in world.events if isinstance(event, Kept)} == {1, 2, 3, 4, 5}


def test_f042_uids_that_mean_others_after_the_break_are_not_deleted(world: World) -> None:
    """The proof is made anew, and the identity of each is a part of it."""

    def move() -> None:
        box = world.server.boxes["INBOX"]
        world.server.boxes["INBOX"] = {uid: box[UID(int(uid) % 5 + 1)] for uid in sorted(box)}

    world.server.at_renewal = move
    world.server.ended_at = {"store": broken()}
    finished = world.run(deletion=yes())
    assert world.left() == [1, 2, 3, 4, 5]
    assert (finished.exit_code, finished.total.deleted) == (ExitCode.PARTIAL, 0)


def test_f054_a_message_that_breaks_the_protocol_is_left_out(world: World) -> None:
    """The others come on a new line; 16 all the same, and nothing is deleted in that mailbox in this run."""
    world.server.cut_after, world.server.cut_error = 2, ProtocolError("a literal of 3 GB")
    finished = world.run(deletion=yes())
    assert (finished.exit_code, finished.total.archived, finished.total.failed) == (ExitCode.PROTOCOL, 4, 1)
    (failed,) = (event for event in world.events if isinstance(event, Failed))
    assert (failed.uid, failed.reason) == (3, "a literal of 3 GB, for UID 3")
    assert world.left() == [1, 2, 3, 4, 5]
    assert world.run(deletion=yes(), run="run2").exit_code == ExitCode.DONE
    assert world.left() == []


def test_f030_a_line_that_breaks_at_every_renewal_is_given_up(world: World) -> None:
    """After three: the code is that of the trouble, and what was archived is kept."""

    def refuse() -> None:
        raise broken()

    world.server.at_renewal = refuse
    world.server.cut_after, world.server.cut_error = 2, broken()
    finished = world.run(deletion=yes())
    assert (finished.exit_code, finished.total.archived) == (ExitCode.UNREACHABLE, 2)
    assert (world.server.renewals, world.pauses) == (3, [1.0, 5.0, 15.0])
    assert world.left() == [1, 2, 3, 4, 5]


def test_f004_a_deletion_whose_line_stays_dead_is_for_the_next_run(world: World) -> None:
    """15; what is open stays open, and the next run settles it."""

    def refuse() -> None:
        raise broken()

    world.server.at_renewal = refuse
    world.server.ended_at = {"expunge": broken()}
    finished = world.run(deletion=yes())
    assert (finished.exit_code, finished.total.deleted, finished.total.kept) == (ExitCode.UNREACHABLE, 0, 5)
    assert len(world.catalogue.open_batches()) == 1
    world.server.at_renewal = lambda: None
    assert world.run(deletion=yes(), run="run2").exit_code == ExitCode.DONE
    assert (world.left(), world.catalogue.open_batches()) == ([], [])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LaterError("Suggested Backoff Time", after=299.961), ExitCode.LATER),
        (LaterError("session expired", final=True), ExitCode.LATER),
        (SignInError("refused"), ExitCode.SIGN_IN),
        (UnreachableError("the certificate is for another host"), ExitCode.UNREACHABLE),
    ],
    ids=["backoff", "day", "password", "certificate"],
)
def test_f033_f034_what_makes_no_sense_to_try_again(world: World, error: AccountError, code: ExitCode) -> None:
    """Ends the run at once, with the progress kept."""
    world.server.cut_after, world.server.cut_error = 2, error
    finished = world.run()
    assert (finished.exit_code, finished.total.archived, world.server.renewals) == (code, 2, 0)
    assert "2 of 5 messages were archived; the next run goes on there" in finished.error
    assert world.run(run="run2").total.archived == 3


def test_f033_a_short_wait_is_waited(world: World) -> None:
    """So long as the server says, and the run ends with 0."""
    world.server.cut_after, world.server.cut_error = 2, LaterError("Suggested Backoff Time", after=12.5)
    assert world.run().exit_code == ExitCode.DONE
    assert world.pauses == [12.5]


def test_headers_that_came_are_not_asked_for_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A selection by header over a line that breaks in the middle of them."""
    from tests import memory

    plain = memory.MemoryMailbox.headers
    asked: list[int] = []

    def headers(box: memory.MemoryMailbox, messages: Sequence[RemoteMessage]) -> Iterator[tuple[UID | UIDL, bytes]]:
        for uid, head in plain(box, messages):
            if len(asked) == 2 and not world.server.renewals:
                raise broken()
            asked.append(int(uid))
            yield uid, head

    monkeypatch.setattr(memory.MemoryMailbox, "headers", headers)
    policy = Policy(before=CUT, headers=HeaderTests(subject="number"))
    assert world.run(policy=policy).total.archived == 5
    assert asked == [1, 2, 3, 4, 5]
