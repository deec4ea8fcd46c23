"""`du` on a server in memory: what it asks for, and what becomes of what goes wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.du import Heads, Question, du
from mailarchive.errors import ExitCode, MailboxError, UnreachableError, UsageError
from mailarchive.events import Listing, Warned
from mailarchive.model import UID, Quota
from mailarchive.policy import HeaderTests, Policy
from tests.jobs import NOW, old, run_backup, young
from tests.memory import MemoryArchive, MemoryCatalogue, MemoryMessage, MemorySource, never

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.events import Event, UsageFinished
    from mailarchive.model import RemoteMessage

CUT = NOW - timedelta(days=365)


def look(
    source: MemorySource,
    catalogue: MemoryCatalogue | None = None,
    policy: Policy | None = None,
    *,
    backup: Policy | None = None,
    heads: Heads = Heads.LARGEST,
    stop: Callable[[], ExitCode | None] = never,
) -> tuple[UsageFinished, list[Event]]:
    """Look at a server; gives the end and all that was said."""
    said: list[Event] = []
    question = Question(policy or Policy(), backup or Policy(), [("1y", CUT)], UTC, heads, "home", "imaps://x", "all")
    finished = du(source, catalogue, question, report=said.append, stop=stop, clock=lambda: 0.0)
    assert said[-1] is finished
    return finished, said


def filled(**more: Any) -> MemorySource:
    """Make a server with five messages in two mailboxes."""
    source = MemorySource(**more)
    for number in range(3):
        source.add("INBOX", old(number))
    source.add("INBOX", young(3))
    source.add("Work", old(4))
    return source


def warned(said: list[Event]) -> list[str]:
    """Give what a human should know."""
    return [event.message for event in said if isinstance(event, Warned)]


def test_only_lists_and_headers_are_asked_for() -> None:
    """Nothing is fetched, whatever is in the mailboxes; names and selection come back as they were given."""
    source = filled(quota=Quota(5, 10))
    finished, said = look(source, heads=Heads.ALL)
    assert source.fetched == []
    assert (finished.account, finished.server, finished.selection) == ("home", "imaps://x", "all")
    assert (finished.usage.messages, finished.usage.asked.messages, finished.quota) == (5, 5, Quota(5, 10))
    assert [part.name for part in finished.usage.senders] == ["a@example.org"]
    steps = [(event.done, event.total) for event in said if isinstance(event, Listing)]
    assert steps == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_a_mailbox_that_cannot_be_opened_hides_no_other() -> None:
    """3, with its name."""
    source = filled()
    source.broken_boxes["INBOX"] = MailboxError("the server does not open INBOX: no")
    finished, said = look(source)
    assert (finished.exit_code, finished.usage.messages) == (ExitCode.PARTIAL, 1)
    assert "the server does not open INBOX: no" in warned(said)


def test_a_line_that_dies_ends_the_look() -> None:
    """As an error, not as numbers that are too small."""
    source = filled()
    source.broken_boxes["Work"] = UnreachableError("gone")
    with pytest.raises(UnreachableError):
        look(source)


def test_a_line_that_dies_over_the_senders_costs_only_those() -> None:
    """The sums are shown, with the code of the error."""
    source = filled()
    answers = iter([None, None])

    def stop() -> ExitCode | None:
        if next(answers, False) is False:
            source.broken_boxes["Work"] = UnreachableError("gone")
        return None

    finished, said = look(source, stop=stop)
    assert (finished.exit_code, finished.usage.messages) == (ExitCode.UNREACHABLE, 5)
    assert finished.usage.asked.messages < 5
    assert warned(said) == ["not every sender could be asked for: gone"]


def test_doubts_about_a_listing_are_told() -> None:
    """The numbers may be too small, so it ends with 3."""
    source = filled()
    source.doubts = ["the server lists 3 of 4 messages"]
    source.unread = ["a line of the list of mailboxes could not be read"]
    finished, said = look(source)
    assert finished.exit_code == ExitCode.PARTIAL
    assert {"the server lists 3 of 4 messages", source.unread[0]} <= {*warned(said)}


def test_a_year_that_is_far_away_is_later() -> None:
    """The years that are told apart end where the columns do."""
    source = MemorySource()
    for year in (2106, 2107, 2500):
        source.add("INBOX", replace(old(1), internal_date=datetime(year, 1, 1, tzinfo=UTC)))
    years = look(source)[0].usage.years
    assert [(part.name, part.messages) for part in years] == [("2106", 1), ("later", 2)]


def test_what_the_server_wants_a_human_to_read_is_told() -> None:
    """Once, and it is no failure."""
    source = filled()
    source.alerts = ["the disk is nearly full"] * 2
    finished, said = look(source)
    assert (finished.exit_code, warned(said)) == (ExitCode.DONE, ["the server says: the disk is nearly full"])


def test_a_look_that_is_stopped_says_so() -> None:
    """What was listed until then counts, with the code of the signal."""
    answers = iter([None, *[ExitCode.INTERRUPT] * 10])
    finished, _ = look(filled(), stop=lambda: next(answers))
    assert (finished.exit_code, finished.complete, finished.usage.messages) == (ExitCode.INTERRUPT, False, 4)


def test_a_mailbox_that_was_numbered_anew_meanwhile_is_not_asked_for_headers() -> None:
    """Its UIDs mean other messages now."""
    source = filled()
    real = source.open
    opened: list[str] = []

    def renumbering(mailbox: Any) -> Any:
        opened.append(mailbox.name)
        if opened.count("INBOX") == 2:
            source.uidvalidity["INBOX"] = 99
        return real(mailbox)

    source.open = renumbering  # type: ignore[method-assign] # another client is at work
    finished, _ = look(source, heads=Heads.ALL)
    assert (finished.usage.messages, finished.usage.asked.messages) == (5, 1)


def test_a_header_that_does_not_come_counts_for_nobody() -> None:
    """The message was there when it was listed, and counts in the sums."""
    source = filled()
    source.no_headers = {UID(1)}
    finished, _ = look(source, heads=Heads.ALL)
    assert (finished.usage.messages, finished.usage.asked.messages) == (5, 3)


def test_only_views_are_left_out() -> None:
    """Trash takes room; what a view shows lies elsewhere; what a backup leaves out is not freed."""
    source = filled()
    source.add("Trash", old(7))
    source.add("Starred", old(8))
    source.special = {"Trash": frozenset({"\\Trash"}), "Starred": frozenset({"\\Flagged"})}
    finished, _ = look(source)
    assert {part.name: part.messages for part in finished.usage.mailboxes} == {"INBOX": 4, "Work": 1, "Trash": 1}
    assert finished.usage.ages[0].messages == 4
    finished, _ = look(source, backup=Policy(mailboxes=("Work",)))
    assert finished.usage.ages[0].messages == 1


@pytest.mark.parametrize(
    ("backup", "messages"), [(Policy(), 4), (Policy(keep_flagged=False), 5), (Policy(keep_unread=True), 4)]
)
def test_what_stays_is_not_freed(backup: Policy, messages: int) -> None:
    """Flagged mail, drafts, and unread mail where the account says so."""
    source = filled()
    for flag in ("\\Flagged", "\\Draft"):
        source.add("INBOX", replace(old(10), flags=frozenset({flag})))
    finished, _ = look(source, backup=backup)
    assert finished.usage.ages[0].messages == messages


class Labelled(MemoryMessage):
    """A message of a server with labels, the same one under each."""

    def remote(self, uid: UID) -> RemoteMessage:
        """Show it with its id."""
        return super().remote(uid)._replace(object_id="M1", labels=frozenset({"\\Inbox", "Work"}))


def test_a_message_behind_two_labels_is_counted_once_where_no_mailbox_shows_everything() -> None:
    """By the id that it has under each (Gmail with All Mail hidden)."""
    source = MemorySource()
    source.capabilities = replace(source.capabilities, labels=True)
    octets, date = old(1).octets, old(1).internal_date
    for name in ("INBOX", "Work"):
        source.add(name, Labelled(octets, date))
    finished, _ = look(source)
    assert (finished.usage.messages, finished.usage.size) == (1, len(octets))


def test_what_is_archived_is_known_by_the_catalogue() -> None:
    """Of the generation that the server has now; a mailbox that was numbered anew has nothing archived."""
    source, archive, catalogue = filled(), MemoryArchive(), MemoryCatalogue()
    assert look(source)[0].usage.ages[0].archived is None
    assert look(source, catalogue)[0].usage.ages[0].archived == 0
    run_backup(source, archive, catalogue, policy=Policy(before=CUT))
    source.add("INBOX", old(20))
    freed = look(source, catalogue)[0].usage.ages[0]
    assert (freed.messages, freed.archived) == (5, 4)
    source.uidvalidity["INBOX"] = 2
    assert look(source, catalogue)[0].usage.ages[0].archived == 1
    source.uids_stick = False
    assert look(source, catalogue)[0].usage.ages[0].archived == 0


def test_a_selection_by_header_asks_once() -> None:
    """What came for the selection is not asked for again."""
    finished, _ = look(filled(), policy=Policy(headers=HeaderTests(subject="number 4")))
    assert (finished.usage.messages, finished.usage.asked.messages) == (1, 1)


def test_what_this_server_cannot_do_is_refused() -> None:
    """Before anything is listed."""
    with pytest.raises(UsageError, match="does not tell its quota"):
        look(filled(), policy=Policy(keep_under=50))
    with pytest.raises(UsageError, match="no mailbox 'Wrok'"):
        look(filled(), policy=Policy(mailboxes=("Wrok",)))


def test_only_the_oldest_count_where_that_is_asked_for() -> None:
    """Over all mailboxes together."""
    finished, _ = look(filled(), policy=Policy(limit=2))
    assert {part.name: part.messages for part in finished.usage.mailboxes} == {"INBOX": 1, "Work": 1}
