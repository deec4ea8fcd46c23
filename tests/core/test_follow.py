"""A run lists what has changed since the last one, and still chooses from everything."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.messages import Messages
from mailarchive.policy import HeaderTests, Policy
from tests.jobs import CUT, NOW, old, run_backup, run_prune, there, yes, young
from tests.memory import MemoryArchive, MemoryCatalogue, MemoryMailbox, MemoryMessage, MemorySource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.messages import Remembered
    from mailarchive.model import UID, Criteria, Mailbox, MailboxStatus

DAY = timedelta(days=1)


class SteadyMailbox(MemoryMailbox):
    """A mailbox that can be followed; it says how it was listed."""

    def __init__(self, source: SteadySource, name: str) -> None:
        super().__init__(source, name)
        self._steady = source
        self.steady = source.steady
        self.status = replace(self.status, highestmodseq=source.modseq)

    def listing(self, criteria: Criteria) -> Any:
        """List everything, or only what is wanted."""
        self._steady.asked.append("narrowed" if criteria.received_before else "listed")
        return Messages(super().listing(criteria))

    def follow(self, before: Remembered) -> Messages | None:
        """Give everything where that may be."""
        self._steady.asked.append("followed")
        if self._steady.unable:
            return None
        return before.messages if before.status == self.status else Messages(super().listing(None))  # type: ignore[arg-type] # it looks at no criteria


class SteadySource(MemorySource):
    """A server whose mailboxes can be followed.

    Attributes:
        asked: How the mailboxes were listed.
        unable: Whether it says of none what has changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.modseq = 1
        self.steady = True
        self.unable = False

    def add(self, mailbox: str, message: MemoryMessage, uid: int | None = None) -> UID:
        """Put a message on the server, which is a change."""
        self.modseq += 1
        return super().add(mailbox, message, uid)

    @contextmanager
    def open(self, mailbox: Mailbox) -> Iterator[SteadyMailbox]:
        """Open a mailbox."""
        yield SteadyMailbox(self, mailbox.name)


class World:
    """A server with two old messages, one that is old in two days, and a young one, backed up once."""

    def __init__(self) -> None:
        self.source, self.archive, self.catalogue = SteadySource(), MemoryArchive(), MemoryCatalogue()
        for message in (old(0), old(1), MemoryMessage(old(2).octets, CUT + 2 * DAY), young(3)):
            self.source.add("INBOX", message)
        self.run(0)

    def run(self, days: int, **options: Any) -> list[str]:
        """Back up so many days later; says how the mailbox was listed."""
        self.source.asked.clear()
        policy = options.pop("policy", Policy(before=CUT + days * DAY))
        ports = self.source, self.archive, self.catalogue
        run_backup(*ports, run=f"run{len(self.catalogue.runs)}", now=NOW + days * DAY, policy=policy, **options)
        return list(self.source.asked)

    @property
    def archived(self) -> set[int]:
        """The UIDs that are archived."""
        return {int(uid) for _, _, uid in self.catalogue.table}


def test_all_of_a_mailbox_is_listed_once_and_then_followed() -> None:
    """Without the young ones, the next run would have to ask for them."""
    world = World()
    assert world.source.asked == ["listed"]
    assert world.archived == {1, 2}
    assert world.run(1) == ["followed"]
    assert world.archived == {1, 2}


def test_what_has_become_old_is_archived_though_nothing_has_changed() -> None:
    """The server is not asked for it; it was remembered."""
    world = World()
    assert world.run(3) == ["followed"]
    assert world.archived == {1, 2, 3}


def test_what_is_new_is_archived_and_remembered() -> None:
    """And followed from there."""
    world = World()
    world.source.add("INBOX", old(5))
    assert world.run(1) == ["followed"]
    assert world.archived == {1, 2, 5}
    assert world.catalogue.listings["INBOX"].status.highestmodseq == world.source.modseq
    remembered = world.catalogue.listings["INBOX"]
    assert world.run(1) == ["followed"]
    assert world.catalogue.listings["INBOX"] is remembered


def test_what_is_no_longer_in_the_archive_is_fetched_again() -> None:
    """Though the server was not asked for it."""
    world = World()
    world.archive.durable.clear()
    world.source.fetched.clear()
    assert world.run(1) == ["followed"]
    assert [int(uid) for _, uid in world.source.fetched] == [1, 2]


def test_what_is_remembered_vouches_for_nothing() -> None:
    """Rows and files are lost, or a run was killed just after it listed: all of it is archived again."""
    world = World()
    world.catalogue.table.clear()
    world.archive.durable.clear()
    assert world.run(1) == ["followed"]
    assert world.archived == {1, 2}


@pytest.mark.parametrize(("days", "expected"), [(6, "followed"), (7, "listed"), (-1, "listed")])
def test_all_of_it_is_asked_for_once_a_week(days: int, expected: str) -> None:
    """A server may be wrong about what has changed; and a clock that went back says nothing of the time."""
    world = World()
    assert world.run(days) == [expected]
    assert world.catalogue.listings["INBOX"].listed_at == (NOW + days * DAY if expected == "listed" else NOW)


def test_a_mailbox_that_is_only_followed_grows_old() -> None:
    """Day by day, with changes every day: on the seventh all of it is listed."""
    world = World()
    asked = []
    for day in range(1, 9):
        world.source.add("INBOX", old(10 + day))
        asked += world.run(day)
    assert asked == [*["followed"] * 6, "listed", "followed"]


def test_what_cannot_be_followed_is_listed() -> None:
    """And remembered anew."""
    world = World()
    world.source.unable = True
    world.source.add("INBOX", old(5))
    assert world.run(1) == ["followed", "listed"]
    assert world.archived == {1, 2, 5}
    assert len(world.catalogue.listings["INBOX"].messages) == 5


def test_a_listing_that_is_doubted_is_not_remembered() -> None:
    """The next run lists again."""
    world = World()
    world.catalogue.listings.clear()
    world.source.doubts = ["the server lists 3 of 4 messages"]
    world.run(1)
    assert world.catalogue.listings == {}


def test_a_run_that_deletes_asks_for_everything() -> None:
    """What is to be deleted is planned on what the server says now."""
    world = World()
    assert world.run(1, deletion=yes()) == ["narrowed"]
    assert there(world.source) == [3, 4]
    world.source.asked.clear()
    run_prune(world.source, world.archive, world.catalogue, run="prune1")
    assert "followed" not in world.source.asked


def test_keys_of_the_user_are_judged_by_the_server() -> None:
    """--imap-search cannot be answered from memory, nor can a mailbox that is not steady."""
    world = World()
    assert world.run(1, policy=Policy(imap_search="KEYWORD x")) == ["listed"]
    world.source.steady = False
    assert world.run(1) == ["narrowed"]


class OpenSource(SteadySource):
    """A server that says how its mailboxes stand without opening them."""

    def __init__(self) -> None:
        super().__init__()
        self.glanced: list[str] = []

    def glance(self, mailboxes: Sequence[Mailbox]) -> dict[str, MailboxStatus]:
        """Say how they stand."""
        self.glanced += [mailbox.name for mailbox in mailboxes]
        return {mailbox.name: SteadyMailbox(self, mailbox.name).status for mailbox in mailboxes}


class Wide(World):
    """Three mailboxes of such a server, backed up once."""

    source: OpenSource

    def __init__(self) -> None:
        self.source, self.archive, self.catalogue = OpenSource(), MemoryArchive(), MemoryCatalogue()
        for number, name in enumerate(("INBOX", "A", "B")):
            self.source.add(name, old(number))
        self.run(0)
        self.source.glanced.clear()


def test_mailboxes_in_which_nothing_has_changed_are_not_opened() -> None:
    """All are asked for in one go; what is remembered of them is chosen from as ever."""
    world = Wide()
    assert world.run(1) == []
    assert sorted(world.source.glanced) == ["A", "B", "INBOX"]
    assert len(world.catalogue.table) == 3


def test_a_mailbox_in_which_something_has_changed_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """By any of its four numbers, or where the server says nothing of it."""
    for change in ({"exists": 2}, {"uidvalidity": 9}, {"uidnext": 99}, {"highestmodseq": 99}, {"uidnext": None}, None):
        world = Wide()
        plain = OpenSource.glance

        def glance(self: OpenSource, some: Sequence[Mailbox], change: Any = change, plain: Any = plain) -> Any:
            found = plain(self, some)
            if change is None:
                del found["A"]
            else:
                found["A"] = replace(found["A"], **change)
            return found

        with monkeypatch.context() as patch:
            patch.setattr(OpenSource, "glance", glance)
            assert world.run(1) == ["followed"]


def test_a_message_that_is_no_longer_in_the_archive_is_fetched_from_a_mailbox_that_was_not_opened() -> None:
    """It is opened to fetch it."""
    world = Wide()
    lost = next(iter(world.archive.durable))
    del world.archive.durable[lost]
    world.source.fetched.clear()
    assert world.run(1) == []
    assert len(world.source.fetched) == 1
    assert lost in world.archive.durable


@pytest.mark.parametrize("headers", [False, True])
def test_mailboxes_are_opened_where_a_glance_is_not_enough(headers: bool) -> None:
    """Where a header field is asked for, or the last listing is a week old."""
    world = Wide()
    policy = Policy(before=CUT, headers=HeaderTests(subject="x")) if headers else Policy(before=CUT + 8 * DAY)
    assert world.run(0 if headers else 8, policy=policy) == ["followed" if headers else "listed"] * 3


def test_a_run_that_may_delete_opens_every_mailbox() -> None:
    """It rests on what the server says in this run."""
    world = Wide()
    world.run(0, deletion=yes())
    assert world.source.glanced == []
    assert there(world.source) == []


class AskedInParts(MemoryCatalogue):
    """A catalogue that takes down which rows it is asked for at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[tuple[int, int] | None] = []

    def placements(self, mailbox: str, uidvalidity: int | None, **some: Any) -> Any:
        """Say what is archived."""
        self.parts.append(some.get("within"))
        return super().placements(mailbox, uidvalidity, **some)


def test_the_rows_of_a_mailbox_are_asked_for_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a large mailbox takes no more memory; what falls on an edge is neither lost nor double."""
    monkeypatch.setattr("mailarchive.survey.ROWS", 3)
    source, archive, catalogue = MemorySource(), MemoryArchive(), AskedInParts()
    for uid in (1, 2, 4, 5, 9, 12, 13):
        source.add("INBOX", old(uid), uid)
    assert run_backup(source, archive, catalogue)[0].total.archived == 7
    catalogue.parts.clear()
    source.add("INBOX", old(20), 20)
    del archive.durable[next(iter(archive.durable))]
    finished, _ = run_backup(source, archive, catalogue, run="run2")
    assert (finished.total.already, finished.total.archived) == (6, 2)
    assert catalogue.parts == [(1, 4), (5, 12), (13, 20)]
