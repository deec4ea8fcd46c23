"""The main job on the ports in memory (`mailarchive.backup`)."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive import batch
from mailarchive.errors import (
    ArchiveError,
    DiskError,
    ExitCode,
    LaterError,
    MailboxError,
    ProtocolError,
    UnreachableError,
    UsageError,
)
from mailarchive.events import Archived, Failed, Fetching, Finished, Gone, Held, Planned, Started, Warned
from mailarchive.model import UID, Quota
from mailarchive.policy import DateKind, HeaderTests, Policy
from mailarchive.tally import Tally
from tests.jobs import CUT, NOW, old, run_backup, text, yes, young
from tests.memory import MemoryArchive, MemoryCatalogue, MemoryMessage, MemorySource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mailarchive.events import Event
    from mailarchive.model import UIDL, Mailbox, RemoteMessage
    from tests.memory import MemoryMailbox


@pytest.fixture
def source() -> MemorySource:
    """Give a server with six old and two young messages in two mailboxes."""
    made = MemorySource()
    for number in range(4):
        made.add("INBOX", old(number))
    made.add("INBOX", young(100))
    for number in (10, 11):
        made.add("Work", old(number))
    made.add("Work", young(101))
    return made


def kinds(said: Sequence[Event]) -> list[str]:
    """Name the events."""
    return [type(event).__name__ for event in said]


def warnings(said: Sequence[Event]) -> list[str]:
    """Give the warnings."""
    return [event.message for event in said if isinstance(event, Warned)]


def test_the_old_is_archived_and_the_young_is_left(source: MemorySource) -> None:
    """Exactly what the policy picks is fetched, recorded, and told; the numbers add up."""
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    finished, said = run_backup(source, archive, catalogue)
    assert source.fetched == [("INBOX", UID(n)) for n in (1, 2, 3, 4)] + [("Work", UID(n)) for n in (1, 2)]
    assert sorted(archive.durable.values()) == sorted(text(n) for n in (0, 1, 2, 3, 10, 11))
    assert finished.exit_code is ExitCode.DONE
    assert dict(finished.mailboxes)["INBOX"] == Tally(5, 4, 0, 4, size=sum(len(text(n)) for n in range(4)))
    assert finished.total.selected == 6
    assert isinstance(said[0], Started)
    assert kinds(said).count("Archived") == 6
    assert kinds(said).index("Planned") < kinds(said).index("Fetching")


def test_the_second_run_fetches_nothing(source: MemorySource) -> None:
    """Incremental: everything is there already, and nothing is asked for."""
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    run_backup(source, archive, catalogue)
    source.fetched.clear()
    finished, said = run_backup(source, archive, catalogue, run="run2")
    assert source.fetched == []
    assert finished.total == replace(Tally(8, 6, 6))
    assert not any(isinstance(event, Fetching) for event in said)
    assert finished.exit_code is ExitCode.DONE


def test_a_dry_run_ends_with_the_plan(source: MemorySource) -> None:
    """The plan is told; no body is fetched, no manifest, no row, no run is made."""
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    finished, said = run_backup(source, archive, catalogue, dry_run=True)
    (plan,) = [event for event in said if isinstance(event, Planned)]
    assert [(box.mailbox, box.fetch) for box in plan.mailboxes] == [("INBOX", 4), ("Work", 2)]
    assert (source.fetched, archive.durable, archive.manifests, catalogue.runs) == ([], {}, {}, {})
    assert finished.exit_code is ExitCode.DONE


def test_the_bytes_are_durable_before_the_row_that_vouches_for_them(source: MemorySource) -> None:
    """In every batch: files, then the manifest, then the catalogue."""
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    catalogue.steps = archive.steps
    run_backup(source, archive, catalogue)
    steps = [step for step in archive.steps.log if step != "write"]
    begin = ["manifest sync", "commit"]
    assert steps == begin + ["commit"] + ["link"] * 4 + begin + ["link"] * 2 + begin + [
        "commit",
        "manifest sync",
        "commit",
    ]


def test_the_manifest_says_what_happened(source: MemorySource) -> None:
    """First the run, then the mailbox, each message with its digest, and the end."""
    archive = MemoryArchive()
    run_backup(source, archive, MemoryCatalogue())
    manifest = archive.manifests["run1"]
    assert manifest.closed
    assert manifest.durable[0]["manifest"] == 1
    assert manifest.durable[0]["cut_off"] == CUT
    types = [line.get("type") for line in manifest.durable[1:]]
    assert types == ["mailbox", *["archived"] * 4, "mailbox", *["archived"] * 2, "finished"]
    assert manifest.durable[-1]["counts"] == {"selected": 6, "already": 0, "archived": 6, "failed": 0}


def test_batches_are_bounded(source: MemorySource, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of so many messages, or of so many octets, is made durable before the next one is taken."""
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    monkeypatch.setattr(batch, "BATCH_MESSAGES", 3)
    run_backup(source, archive, catalogue)
    assert archive.steps.log.count("manifest sync") == 1 + 2 + 1 + 1
    monkeypatch.setattr(batch, "BATCH_OCTETS", 1)
    archive = MemoryArchive()
    run_backup(source, archive, MemoryCatalogue())
    assert archive.steps.log.count("manifest sync") == 1 + 6 + 1


def test_one_message_that_fails_stops_no_other(source: MemorySource) -> None:
    """It is told with the reason, counted, tried again by the next run, and the run ends with 3."""
    source.boxes["INBOX"][UID(2)].refuse = "NO [SERVERBUG]"
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    finished, said = run_backup(source, archive, catalogue)
    assert [event for event in said if isinstance(event, Failed)] == [Failed("INBOX", UID(2), "NO [SERVERBUG]")]
    assert finished.exit_code is ExitCode.PARTIAL
    assert (finished.total.archived, finished.total.failed) == (5, 1)
    source.boxes["INBOX"][UID(2)].refuse = ""
    finished, _ = run_backup(source, archive, catalogue, run="run2")
    assert (finished.total.archived, finished.exit_code) == (1, ExitCode.DONE)


def test_f047_a_message_that_went_meanwhile_is_no_failure(source: MemorySource) -> None:
    """Gone by another hand: it is not selected any more, and the run is fine."""
    source.gone_at_fetch.add(("INBOX", UID(2)))
    finished, said = run_backup(source, MemoryArchive(), MemoryCatalogue())
    assert Gone("INBOX", 1) in said
    assert (finished.total.selected, finished.total.archived, finished.exit_code) == (5, 5, ExitCode.DONE)


@pytest.mark.parametrize("error", [UnreachableError("dead"), LaterError("wait"), ProtocolError("odd")])
def test_what_came_whole_before_the_line_died_is_kept(source: MemorySource, error: Exception) -> None:
    """The batch so far is made durable, the rest is not reached, and the next run goes on there."""
    source.cut_after, source.cut_error = 2, error
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    finished, said = run_backup(source, archive, catalogue)
    assert len(archive.durable) == len(catalogue.table) == 2
    assert finished.exit_code is error.exit_code  # type: ignore[attr-defined] # all three have one
    assert "2 of 6 messages were archived" in finished.error
    assert kinds(said).count("Archived") == 2
    assert dict(finished.mailboxes)["INBOX"].adds_up(deleting=False)
    source.cut_after = None
    finished, _ = run_backup(source, archive, catalogue, run="run2")
    assert (finished.total.already, finished.total.archived, len(archive.durable)) == (2, 4, 6)


def test_a_mailbox_that_fails_in_the_middle_keeps_what_came_and_stops_no_other(source: MemorySource) -> None:
    """Two messages of INBOX are archived, the others failed, and Work is backed up."""
    source.cut_after, source.cut_error = 2, MailboxError("the mailbox is gone")
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    finished, said = run_backup(source, archive, catalogue)
    rows = dict(finished.mailboxes)
    assert (rows["INBOX"].archived, rows["INBOX"].failed) == (2, 2)
    assert rows["Work"].archived == 2
    assert len(archive.durable) == len(catalogue.table) == 4
    assert "the mailbox is gone" in warnings(said)
    assert finished.exit_code is ExitCode.PARTIAL


@pytest.mark.parametrize("where", ["add", "sync"])
def test_f086_a_disk_that_fails_vouches_for_nothing(source: MemorySource, where: str) -> None:
    """No row, no event for the batch; exit 14; the next run fetches it all."""
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    setattr(archive, f"fail_{where}", DiskError("no space left"))
    finished, said = run_backup(source, archive, catalogue)
    assert finished.exit_code is ExitCode.DISK
    assert (catalogue.table, archive.durable) == ({}, {})
    assert not any(isinstance(event, Archived) for event in said)
    setattr(archive, f"fail_{where}", None)
    finished, _ = run_backup(source, archive, catalogue, run="run2")
    assert finished.total.archived == 6


def test_f048_one_mailbox_that_does_not_open_stops_no_other(source: MemorySource) -> None:
    """The others are backed up, and the run ends with 3."""
    source.broken_boxes["INBOX"] = MailboxError("the server does not open INBOX: no")
    finished, said = run_backup(source, MemoryArchive(), MemoryCatalogue())
    assert "the server does not open INBOX: no" in warnings(said)
    assert (finished.total.archived, finished.exit_code) == (2, ExitCode.PARTIAL)


def test_f043_a_renumbered_mailbox_gives_no_second_copies(source: MemorySource) -> None:
    """UIDVALIDITY changed: fetched again, found by digest, new placements, and a note."""
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    run_backup(source, archive, catalogue)
    source.uidvalidity["INBOX"] = 2
    finished, said = run_backup(source, archive, catalogue, run="run2")
    assert any("numbered this mailbox anew" in each for each in warnings(said))
    assert len(archive.durable) == 6
    assert finished.exit_code is ExitCode.DONE
    assert {row.uidvalidity for row in catalogue.table.values() if row.mailbox == "INBOX"} == {1, 2}


def test_f043_a_mailbox_renumbered_between_listing_and_fetch_is_left_for_the_next_run(source: MemorySource) -> None:
    """The UIDs of the plan mean nothing any more: nothing of this mailbox is fetched."""

    class Renumbering(MemorySource):
        """Changes UIDVALIDITY at each opening."""

        @contextmanager
        def open(self, mailbox: Mailbox) -> Iterator[MemoryMailbox]:
            """Open a mailbox under a new number."""
            self.uidvalidity["INBOX"] = (self.uidvalidity["INBOX"] or 0) + 1
            with super().open(mailbox) as box:
                yield box

    moving = Renumbering()
    moving.boxes = source.boxes
    finished, said = run_backup(moving, MemoryArchive(), MemoryCatalogue())
    assert ("INBOX", UID(1)) not in moving.fetched
    assert finished.exit_code is ExitCode.PARTIAL
    assert finished.total.failed == 4
    assert any("UIDVALIDITY" in each for each in warnings(said))


@pytest.mark.parametrize("how", ["moved", "no uidvalidity", "uids do not stick"])
def test_a_uid_that_means_another_message_now_hides_no_message(source: MemorySource, how: str) -> None:
    """UIDs that move under the same UIDVALIDITY, or that hold for one session only: the new message is archived."""
    if how == "no uidvalidity":
        source.uidvalidity["INBOX"] = source.uidvalidity["Work"] = None
    source.uids_stick = how != "uids do not stick"
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    run_backup(source, archive, catalogue)
    message = old(99) if how == "moved" else old(0)
    message.octets = text(99)
    source.boxes["INBOX"][UID(1)] = message
    finished, _ = run_backup(source, archive, catalogue, run="run2")
    assert text(99) in archive.durable.values()
    assert len(archive.durable) == 7
    assert finished.exit_code is ExitCode.DONE


def test_headers_that_do_not_come_are_told(source: MemorySource) -> None:
    """What a selection by header cannot judge is not left out in silence."""
    source.no_headers.add(UID(2))
    policy = Policy(before=CUT, headers=HeaderTests(subject="number"), mailboxes=("INBOX",))
    finished, said = run_backup(source, MemoryArchive(), MemoryCatalogue(), policy=policy)
    assert warnings(said) == ["the headers of 1 messages did not come; the next run looks at them again"]
    assert (finished.total.archived, finished.exit_code) == (3, ExitCode.PARTIAL)


def test_f103_a_file_that_the_user_removed_is_fetched_again(source: MemorySource) -> None:
    """The catalogue says archived, the archive does not hold it: fetched again, and said."""
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    run_backup(source, archive, catalogue)
    archive.durable.pop(next(iter(archive.durable)))
    finished, said = run_backup(source, archive, catalogue, run="run2")
    assert any("no longer whole in the archive" in each for each in warnings(said))
    assert (finished.total.archived, finished.total.already, finished.exit_code) == (1, 5, ExitCode.DONE)


def test_f038_odd_mail_is_archived_and_held(source: MemorySource) -> None:
    """A message without any header is kept like any other, never deletable, and told once with exit 3."""
    source.add("INBOX", MemoryMessage(b"no header at all\r\n" * 3, NOW.replace(year=2010)))
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    finished, said = run_backup(source, archive, catalogue)
    assert [(event.uid, event.mailbox) for event in said if isinstance(event, Held)] == [(6, "INBOX")]
    assert finished.exit_code is ExitCode.PARTIAL
    assert finished.total.archived == 7
    assert next(row for row in catalogue.table.values() if row.uid == 6 and row.mailbox == "INBOX").hold
    finished, _ = run_backup(source, archive, catalogue, run="run2")
    assert finished.exit_code is ExitCode.DONE


def test_f062_a_message_without_a_date_is_archived(source: MemorySource) -> None:
    """Unknown is not young: it is pulled, and later never deleted by age."""
    source.add("INBOX", MemoryMessage(text(50), None))
    finished, _ = run_backup(source, MemoryArchive(), MemoryCatalogue())
    assert finished.total.archived == 7


def test_f049_a_server_that_shows_no_mailboxes_is_not_believed(source: MemorySource) -> None:
    """Forty mailboxes yesterday, none today: a loud warning, nothing else."""
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    run_backup(source, archive, catalogue)
    source.boxes.clear()
    finished, said = run_backup(source, archive, catalogue, run="run2")
    assert any("lists no mailboxes" in each for each in warnings(said))
    assert finished.exit_code is ExitCode.PARTIAL
    assert len(archive.durable) == 6
    assert set(catalogue.seen) == {"INBOX", "Work"}


def test_a_mailbox_that_we_have_emptied_is_nothing_to_wonder_at(source: MemorySource) -> None:
    """The note is for what another hand has done."""
    source.boxes = {"INBOX": {UID(1): old(1), UID(2): old(2)}}
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    finished, _ = run_backup(source, archive, catalogue, deletion=yes())
    assert (finished.total.deleted, source.boxes["INBOX"]) == (2, {})
    _, said = run_backup(source, archive, catalogue, run="run2")
    assert [event for event in said if isinstance(event, Warned)] == []


def test_f050_a_mailbox_that_is_suddenly_empty_is_noted(source: MemorySource) -> None:
    """A note, no failure, and only once."""
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    run_backup(source, archive, catalogue)
    source.boxes["Work"].clear()
    finished, said = run_backup(source, archive, catalogue, run="run2")
    assert any("empty now" in each for each in warnings(said))
    assert finished.exit_code is ExitCode.DONE
    _, said = run_backup(source, archive, catalogue, run="run3")
    assert warnings(said) == []


def test_a_listing_that_is_not_to_be_trusted_is_told(source: MemorySource) -> None:
    """The doubts of the source reach the user, and the run ends with 3."""
    source.doubts = ["the server lists 3 of 5 messages"]
    finished, said = run_backup(source, MemoryArchive(), MemoryCatalogue())
    assert warnings(said).count("the server lists 3 of 5 messages") == 2
    assert finished.exit_code is ExitCode.PARTIAL


def test_f113_the_user_stops_the_run_and_the_batch_is_finished(source: MemorySource) -> None:
    """After two messages: these two are durable and recorded, and the code is that of the signal."""
    archive, catalogue = MemoryArchive(), MemoryCatalogue()

    def stop() -> ExitCode | None:
        return ExitCode.INTERRUPT if len(source.fetched) >= 2 else None

    finished, _ = run_backup(source, archive, catalogue, stop=stop)
    assert len(archive.durable) == len(catalogue.table) == 2
    assert finished.exit_code is ExitCode.INTERRUPT
    assert finished.error.startswith("interrupted; 2 of 6")
    finished, _ = run_backup(source, archive, catalogue, run="run2")
    assert (finished.total.already, finished.total.archived) == (2, 4)


@pytest.mark.parametrize(
    ("policy", "what"),
    [
        (Policy(mailboxes=("INBX",)), "no mailbox 'INBX'"),
        (Policy(keep_under=80), "quota"),
    ],
)
def test_a_selection_that_cannot_be_is_refused_before_anything(source: MemorySource, policy: Policy, what: str) -> None:
    """A mailbox that is not there, a quota that the server does not tell: usage, nothing done."""
    archive, catalogue = MemoryArchive(), MemoryCatalogue()
    with pytest.raises(UsageError, match=what) as error:
        run_backup(source, archive, catalogue, policy=policy)
    assert error.value.hint
    assert (source.fetched, catalogue.runs) == ([], {})


def test_f134_a_mailbox_of_the_configuration_that_is_gone_stops_no_other(source: MemorySource) -> None:
    """From the configuration it is a warning with the nearest name, and exit 3."""
    policy = Policy(mailboxes=("INBX", "Work"), demand_mailboxes=False)
    finished, said = run_backup(source, MemoryArchive(), MemoryCatalogue(), policy=policy)
    assert warnings(said) == ["no mailbox 'INBX' on the server; did you mean 'INBOX'?"]
    assert (finished.exit_code, finished.total.archived) == (ExitCode.PARTIAL, 3)


def test_a_place_that_is_not_to_be_trusted_is_told(source: MemorySource) -> None:
    """Archived all the same, with a warning."""
    archive = MemoryArchive()
    archive.doubts = ["/archive is writable by others"]
    finished, said = run_backup(source, archive, MemoryCatalogue())
    assert warnings(said) == archive.doubts
    assert (finished.exit_code, finished.total.archived) == (ExitCode.DONE, 6)


def test_header_tests_ask_for_headers_only_where_the_rest_fits(source: MemorySource) -> None:
    """--subject: headers of old messages are read, those of young ones are not."""
    asked: list[int] = []

    class Watching(MemorySource):
        """Notes whose headers are asked for."""

        @contextmanager
        def open(self, mailbox: Mailbox) -> Iterator[MemoryMailbox]:
            """Open a mailbox and watch it."""
            with super().open(mailbox) as box:
                headers = box.headers

                def watched(messages: Sequence[RemoteMessage]) -> Iterator[tuple[UID | UIDL, bytes]]:
                    asked.extend(int(message.uid) for message in messages)
                    return headers(messages)

                box.headers = watched  # type: ignore[method-assign] # to watch it is the point
                yield box

    watching = Watching()
    watching.boxes = source.boxes
    policy = Policy(before=CUT, headers=HeaderTests(subject="NUMBER 1"), mailboxes=("INBOX", "Work"))
    finished, _ = run_backup(watching, MemoryArchive(), MemoryCatalogue(), policy=policy)
    assert asked == [1, 2, 3, 4, 1, 2]
    assert finished.total.archived == 3


def test_by_date_sent_the_date_header_decides(source: MemorySource) -> None:
    """Mail that was moved in yesterday with a Date of 2014 is old by --date sent."""
    policy = Policy(before=datetime(2015, 1, 1, tzinfo=UTC), date=DateKind.SENT, sane_until=NOW)
    finished, _ = run_backup(source, MemoryArchive(), MemoryCatalogue(), policy=policy)
    assert finished.total.archived == 8


def test_the_quota_is_told_at_the_end() -> None:
    """What the server says reaches the result."""
    source = MemorySource(quota=Quota(90, 100))
    source.add("INBOX", old(1))
    finished, _ = run_backup(source, MemoryArchive(), MemoryCatalogue())
    assert finished.quota == Quota(90, 100)


def test_f031_what_the_server_wants_read_is_told_once(source: MemorySource) -> None:
    """ALERT: a warning, once for each text."""
    source.alerts = ["we move on Sunday", "we move on Sunday"]
    finished, said = run_backup(source, MemoryArchive(), MemoryCatalogue())
    assert warnings(said) == ["the server says: we move on Sunday"]
    assert finished.exit_code is ExitCode.DONE


def test_f086_a_disk_that_fails_at_the_very_end_is_told(source: MemorySource) -> None:
    """The messages are safe, and the run does not say that all is well."""

    class Failing(MemoryCatalogue):
        """Cannot end a run."""

        def finish(self, run: str, facts: Mapping[str, object]) -> None:
            """Fail."""
            assert run in self.runs
            assert facts
            raise ArchiveError("the disk is gone")

    archive, catalogue = MemoryArchive(), Failing()
    finished, said = run_backup(source, archive, catalogue)
    assert isinstance(said[-1], Finished)
    assert (finished.exit_code, finished.error) == (ExitCode.ARCHIVE, "the disk is gone")
    assert len(catalogue.table) == 6
