"""A prune on the ports in memory: what holds it back, how messages leave, servers that lie (`mailarchive.prune`)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive import removal
from mailarchive.errors import ConfigError, ExitCode, MailboxError, UsageError
from mailarchive.events import Deleting, Expunged, Fetching, Kept, Planned
from mailarchive.job import Answer, Deletion
from mailarchive.model import DELETED, FLAGGED, UID, Capabilities, ItemState, Method
from mailarchive.policy import Policy
from tests.jobs import CUT, NOW, of_type, old, run_backup, run_prune, run_undo, there, warnings, yes, young
from tests.memory import MemoryArchive, MemoryCatalogue, MemorySource, Steps

if TYPE_CHECKING:
    from mailarchive.events import Event, Finished

Ports = tuple[MemorySource, MemoryArchive, MemoryCatalogue]
RELATIVE = Policy(before=CUT, relative=True)


@pytest.fixture
def ports() -> Ports:
    """Give a server with four old messages and a young one in INBOX and two old ones in Work, the old ones archived."""
    source, archive, catalogue = MemorySource(), MemoryArchive(), MemoryCatalogue()
    for number in range(4):
        source.add("INBOX", old(number))
    source.add("INBOX", young(100))
    for number in (10, 11):
        source.add("Work", old(number))
    run_backup(source, archive, catalogue, run="run0")
    source.fetched.clear()
    source.steps = Steps()
    return source, archive, catalogue


def reasons(said: list[Event]) -> set[str]:
    """Give why messages stayed."""
    return {event.reason for event in of_type(said, Kept)}


def untouched(source: MemorySource) -> bool:
    """Tell whether everything is there, and nothing was tried."""
    return (there(source), there(source, "Work"), source.steps.log) == ([1, 2, 3, 4, 5], [1, 2], [])


def sound(finished: Finished) -> None:
    """Check that the numbers add up, and that each that stayed has a reason."""
    assert all(row.adds_up(deleting=finished.deleting) for _, row in finished.mailboxes)
    assert sum(number for _, number in finished.kept) == finished.total.kept


def test_it_deletes_what_is_archived_and_fetches_nothing(ports: Ports) -> None:
    """A message that is chosen and not archived stays, and that is said."""
    source, _, _ = ports
    source.add("INBOX", old(50))
    finished, said = run_prune(*ports)
    assert (there(source), there(source, "Work"), source.fetched) == ([5, 6], [], [])
    assert of_type(said, Fetching) == []
    assert warnings(said) == ["1 of the chosen messages are not archived and stay; `mailarchive backup` fetches them"]
    assert (finished.total.selected, finished.total.deleted, finished.exit_code) == (6, 6, ExitCode.DONE)
    sound(finished)


def test_without_a_yes_nothing_is_deleted(ports: Ports) -> None:
    """The plan is shown, and no is no: exit 0."""
    plans: list[Planned] = []

    def no(planned: Planned) -> Answer:
        plans.append(planned)
        return Answer.NO

    finished, said = run_prune(*ports, deletion=Deletion(no))
    assert plans == of_type(said, Planned)
    assert plans[0].delete == 6
    assert untouched(ports[0])
    assert of_type(said, Deleting, Kept, Expunged) == []
    assert (finished.exit_code, finished.deleting, finished.method) == (ExitCode.DONE, False, "")
    sound(finished)


def test_a_backup_without_a_yes_archives(ports: Ports) -> None:
    """No to the deletion is no no to the archive."""
    ports[0].add("INBOX", old(50))
    finished, _ = run_backup(*ports, deletion=yes(Answer.NO))
    assert (finished.total.archived, finished.total.deleted, ports[0].steps.log) == (1, 0, ["chunk"])


def test_a_dry_run_changes_nothing(ports: Ports) -> None:
    """It asks for nothing, writes nothing, and shows the plan that would run."""
    source, archive, catalogue = ports
    archive.steps = catalogue.steps = source.steps

    def never_asked(_: Planned) -> Answer:
        raise AssertionError

    dry, said = run_prune(*ports, deletion=Deletion(never_asked), dry_run=True)
    assert untouched(source)
    assert set(archive.manifests) == set(catalogue.runs) == {"run0"}
    assert of_type(said, Deleting, Kept) == []
    assert dry.exit_code is ExitCode.DONE
    _, real = run_prune(*ports)
    assert of_type(said, Planned) == of_type(real, Planned)


@pytest.mark.parametrize(("most", "goes"), [(6, True), (5, False), (0, False)])
def test_a_plan_that_is_too_large_deletes_nothing_at_all(ports: Ports, most: int, goes: bool) -> None:
    """--max-delete: not the first five of six."""
    finished, said = run_prune(*ports, deletion=yes(Answer.SAID, max_delete=most))
    assert untouched(ports[0]) is not goes
    assert (finished.exit_code is ExitCode.DONE) is goes
    if not goes:
        assert "--max-delete" in of_type(said, Planned)[0].held
        assert finished.exit_code is ExitCode.PARTIAL
        assert finished.kept == ((f"held back: the plan holds 6 deletions, more than --max-delete {most}", 6),)
    sound(finished)


def test_a_copy_that_is_too_fresh_keeps_its_message(ports: Ports) -> None:
    """--min-copies-age: kept calmly; what was archived at or before the instant goes."""
    source, _, catalogue = ports
    key = ("INBOX", 1, UID(2))
    catalogue.table[key] = replace(catalogue.table[key], archived_at=NOW)
    before = NOW - timedelta(seconds=1)
    for other, row in catalogue.table.items():
        if other != key:
            catalogue.table[other] = replace(row, archived_at=before)
    finished, said = run_prune(*ports, deletion=yes(archived_before=before))
    assert there(source) == [2, 5]
    assert reasons(said) == {"archived too recently"}
    assert finished.exit_code is ExitCode.DONE
    sound(finished)


def test_what_this_run_archived_is_too_fresh_for_a_demanded_age() -> None:
    """An age of the copy cannot be reached in the run that makes it."""
    source, archive, catalogue = MemorySource(), MemoryArchive(), MemoryCatalogue()
    source.add("INBOX", old(1))
    deletion = yes(archived_before=datetime.now(UTC) - timedelta(days=1))
    finished, said = run_backup(source, archive, catalogue, deletion=deletion)
    assert (there(source), reasons(said), finished.total.kept) == ([1], {"archived too recently"}, 1)


LATER = NOW + timedelta(days=500)


@pytest.mark.parametrize(
    ("policy", "answer", "now", "result"),
    [
        (RELATIVE, Answer.GIVEN, NOW, (True, NOW)),
        (RELATIVE, Answer.GIVEN, LATER, (False, NOW)),
        (RELATIVE, Answer.SAID, LATER, (True, LATER)),
        (RELATIVE, Answer.NO, LATER, (False, NOW)),
        (RELATIVE, Answer.GIVEN, NOW - timedelta(days=2), (False, NOW)),
        (Policy(before=CUT), Answer.GIVEN, LATER, (True, NOW)),
        (Policy(before=CUT), Answer.SAID, LATER, (True, LATER)),
    ],
)
def test_a_clock_in_doubt_holds_back_what_counts_from_now(
    ports: Ports, policy: Policy, answer: Answer, now: datetime, result: tuple[bool, datetime]
) -> None:
    """Only a person who has seen the plan overrules it, and only that, or no doubt, moves what is believed."""
    source, _, catalogue = ports
    goes, trusted = result
    assert catalogue.trusted == NOW
    finished, said = run_prune(*ports, policy=policy, now=now, deletion=yes(answer))
    assert untouched(source) is not goes
    assert catalogue.trusted == trusted
    assert ("clock" in of_type(said, Planned)[0].held) is (policy.relative and now != NOW)
    held = not goes and answer is not Answer.NO
    assert (finished.exit_code is ExitCode.PARTIAL) is held
    sound(finished)


def test_a_clock_in_doubt_holds_back_what_hangs_on_the_age_of_copies(ports: Ports) -> None:
    """--min-copies-age counts from now, too."""
    finished, _ = run_prune(*ports, now=LATER, deletion=yes(archived_before=LATER))
    assert untouched(ports[0])
    assert finished.exit_code is ExitCode.PARTIAL


def test_a_clock_in_doubt_stops_no_backup(ports: Ports) -> None:
    """It archives, and does not believe the clock either."""
    ports[0].add("INBOX", old(50))
    finished, _ = run_backup(*ports, now=LATER, policy=RELATIVE)
    assert (finished.total.archived, finished.exit_code, ports[2].trusted) == (1, ExitCode.DONE, NOW)


def test_an_archive_that_is_not_to_be_trusted_holds(ports: Ports) -> None:
    """Its doubt is the reason; a yes of a person changes nothing."""
    ports[1].doubts.append("/archive is on tmpfs")
    finished, _ = run_prune(*ports, deletion=yes(Answer.SAID))
    assert untouched(ports[0])
    assert finished.kept == (("held back: /archive is on tmpfs", 6),)
    assert finished.exit_code is ExitCode.PARTIAL
    sound(finished)


def test_f101_a_doubt_that_comes_while_the_run_writes_holds_too(ports: Ports) -> None:
    """Where a directory cannot be synced is known only after the first batch."""
    source, archive, _ = ports
    source.add("INBOX", old(50))

    def consent(_: Planned) -> Answer:
        archive.doubts.append("folders cannot be synced here")
        return Answer.GIVEN

    finished, _ = run_backup(*ports, deletion=Deletion(consent))
    assert finished.kept == (("held back: folders cannot be synced here", 7),)
    assert there(source, "Work") == [1, 2]
    sound(finished)


def test_a_renumbered_mailbox_holds_once(ports: Ports) -> None:
    """No deletion in the run that sees it; the next one deletes."""
    source, _, _ = ports
    source.uidvalidity["INBOX"] = 2
    finished, _ = run_backup(*ports, deletion=yes())
    assert (there(source), there(source, "Work")) == ([1, 2, 3, 4, 5], [])
    assert finished.kept == (("held back: the server has numbered this mailbox anew", 4),)
    assert finished.exit_code is ExitCode.PARTIAL
    sound(finished)
    finished, _ = run_backup(*ports, run="run2", deletion=yes())
    assert (there(source), finished.exit_code) == ([5], ExitCode.DONE)


def test_a_mailbox_renumbered_after_the_listing_is_left(ports: Ports) -> None:
    """The numbers of the plan mean nothing any more."""
    source, _, _ = ports

    def consent(_: Planned) -> Answer:
        source.uidvalidity["INBOX"] = 2
        return Answer.GIVEN

    finished, said = run_prune(*ports, deletion=Deletion(consent))
    assert there(source) == [1, 2, 3, 4, 5]
    assert any("UIDVALIDITY" in each for each in warnings(said))
    assert finished.exit_code is ExitCode.PARTIAL
    sound(finished)


@pytest.mark.parametrize("what", ["doubts", "no uidvalidity", "uids do not stick", "read-only"])
def test_a_mailbox_that_is_not_to_be_trusted_keeps_all(ports: Ports, what: str) -> None:
    """Doubts of the listing, no UIDVALIDITY, UIDs that do not stay, read-only: archived, never deleted, exit 3."""
    source, _, _ = ports
    if what == "doubts":
        source.doubts = ["the server lists UID 3 twice"]
    elif what == "no uidvalidity":
        source.uidvalidity = {"INBOX": None, "Work": None}
    elif what == "uids do not stick":
        source.uids_stick = False
    else:
        source.readonly = {"INBOX", "Work"}
    for number in ("run1", "run2"):
        finished, said = run_backup(*ports, run=number, deletion=yes())
        assert (there(source), there(source, "Work")) == ([1, 2, 3, 4, 5], [1, 2])
        assert set(source.steps.log) <= {"chunk"}
        assert reasons(said)
        assert finished.exit_code is ExitCode.PARTIAL
        sound(finished)


@pytest.mark.parametrize(
    ("lie", "refusal"), [("store", ""), ("expunge", ""), ("", "store"), ("", "expunge")], ids=lambda word: word or "-"
)
def test_a_server_that_does_not_delete(ports: Ports, monkeypatch: pytest.MonkeyPatch, lie: str, refusal: str) -> None:
    """Our marks come off and all is told. One that says OK is not trusted again; one that says NO costs a mailbox."""
    monkeypatch.setattr(removal, "BATCH", 2)
    source, _, catalogue = ports
    source.lies = {lie} - {""}
    source.refusals = {refusal: "NO not here"} if refusal else {}
    finished, said = run_prune(*ports)
    assert (there(source), there(source, "Work")) == ([1, 2, 3, 4, 5], [1, 2])
    assert not any(DELETED in message.flags for box in source.boxes.values() for message in box.values())
    assert catalogue.open_batches() == []
    batches = [(batch.mailbox, set(batch.states.values())) for batch in catalogue.batches.values()]
    tried = [("INBOX", {ItemState.REFUSED})] + ([("Work", {ItemState.REFUSED})] if refusal else [])
    assert batches == tried
    assert of_type(said, Expunged) == []
    assert finished.exit_code is ExitCode.PARTIAL
    sound(finished)
    source.lies, source.refusals = set(), {}
    finished, _ = run_prune(*ports, run="run2")
    assert (there(source), finished.exit_code) == ([5], ExitCode.DONE)


def test_a_server_that_removes_the_messages_of_others(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    """All deletion on the account stops, and the run ends with 16."""
    monkeypatch.setattr(removal, "BATCH", 2)
    source, _, _ = ports
    source.boxes["INBOX"][UID(5)].flags |= {DELETED}
    source.lies = {"all"}
    finished, said = run_prune(*ports)
    assert there(source) == [3, 4]
    assert there(source, "Work") == [1, 2]
    assert finished.exit_code is ExitCode.PROTOCOL
    assert [event.uid for event in of_type(said, Expunged)] == [1, 2]
    assert any("marked, beside ours: 1; nothing more is deleted" in each for each in warnings(said))
    sound(finished)


def test_marks_of_others_are_left_as_they_are(ports: Ports) -> None:
    """A stranger that the selection does not pick stays and stays marked; one that it picks goes."""
    source, _, catalogue = ports
    for uid in (2, 5):
        source.boxes["INBOX"][UID(uid)].flags |= {DELETED}
    finished, _ = run_prune(*ports)
    assert there(source) == [5]
    assert DELETED in source.boxes["INBOX"][UID(5)].flags
    proof = catalogue.batches[1].proof
    assert [uid for uid, (_, was_deleted) in proof.items() if was_deleted] == [2]
    assert finished.exit_code is ExitCode.DONE


def test_by_trash_messages_go_into_the_trash(ports: Ports) -> None:
    """They leave their place and are whole in the trash, which this run does not select."""
    source, _, catalogue = ports
    source.add("Papierkorb", old(60))
    source.special["Papierkorb"] = frozenset({"\\Trash"})
    finished, said = run_prune(*ports, deletion=yes(method=Method.TRASH))
    assert (there(source), len(source.boxes["Papierkorb"])) == ([5], 7)
    assert {event.state for event in of_type(said, Expunged)} == {ItemState.IN_TRASH}
    assert (finished.total.deleted, finished.method, finished.exit_code) == (6, "trash", ExitCode.DONE)
    assert catalogue.open_batches() == []
    sound(finished)


def test_a_trash_that_is_full_costs_the_mailbox(ports: Ports) -> None:
    """The server's words reach the user, and all is kept."""
    source, _, _ = ports
    source.boxes["Trash"] = {}
    source.special["Trash"] = frozenset({"\\Trash"})
    source.refusals["move"] = "NO [OVERQUOTA]"
    finished, said = run_prune(*ports, deletion=yes(method=Method.TRASH))
    assert (there(source), there(source, "Work"), there(source, "Trash")) == ([1, 2, 3, 4, 5], [1, 2], [])
    assert warnings(said).count("NO [OVERQUOTA]") == 2
    assert finished.exit_code is ExitCode.PARTIAL
    sound(finished)


def test_by_mark_messages_are_marked_and_counted_as_kept(ports: Ports) -> None:
    """Nothing leaves; no mark is taken off again; exit 0."""
    source, _, catalogue = ports
    source.capabilities = Capabilities()
    finished, said = run_prune(*ports, deletion=yes(method=Method.MARK))
    marked = {int(uid) for uid, message in source.boxes["INBOX"].items() if DELETED in message.flags}
    assert (there(source), marked) == ([1, 2, 3, 4, 5], {1, 2, 3, 4})
    assert reasons(said) == {"only marked"}
    assert (finished.total.deleted, finished.total.kept, finished.exit_code) == (0, 6, ExitCode.DONE)
    assert catalogue.open_batches() == []
    sound(finished)


def test_by_mark_the_second_run_has_nothing_to_do(ports: Ports) -> None:
    """A mark of whoever is enough."""
    source, _, _ = ports
    run_prune(*ports, deletion=yes(method=Method.MARK))
    source.steps = Steps()
    finished, said = run_prune(*ports, run="run2", deletion=yes(method=Method.MARK))
    assert (source.steps.log, reasons(said)) == ([], {"marked already"})
    assert finished.exit_code is ExitCode.DONE
    sound(finished)


@pytest.mark.parametrize("uidplus", [True, False])
def test_what_is_in_the_trash_cannot_be_moved_there(ports: Ports, uidplus: bool) -> None:
    """Named by the user, it is emptied for good, where the server can do exactly that."""
    source, _, _ = ports
    source.add("Trash", old(60))
    source.special["Trash"] = frozenset({"\\Trash"})
    source.capabilities = Capabilities(uidplus=uidplus, move=True)
    policy = Policy(before=CUT, mailboxes=("Trash",))
    finished, said = run_backup(*ports, policy=policy, deletion=yes(method=Method.TRASH))
    assert there(source, "Trash") == ([] if uidplus else [1])
    assert {event.state for event in of_type(said, Expunged)} == ({ItemState.GONE} if uidplus else set())
    assert finished.exit_code is (ExitCode.DONE if uidplus else ExitCode.PARTIAL)
    sound(finished)


def test_exclusive_lifts_the_marks_of_strangers_and_gives_them_back(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Committed before they are lifted; a marked candidate that may not go is a stranger too."""
    monkeypatch.setattr(removal, "BATCH", 2)
    source, _, catalogue = ports
    source.capabilities = Capabilities()
    source.boxes["INBOX"][UID(5)].flags |= {DELETED}
    source.boxes["INBOX"][UID(3)].flags |= {DELETED, FLAGGED}
    lifted: list[set[int]] = []
    source.between = lambda step: lifted.append({int(uid) for uid in catalogue.batches[1].lifted}) if step else None
    finished, _ = run_prune(*ports, deletion=yes(method=Method.EXCLUSIVE))
    assert lifted[0] == {3, 5}
    assert (there(source), there(source, "Work")) == ([3, 5], [])
    assert all(DELETED in source.boxes["INBOX"][UID(uid)].flags for uid in (3, 5))
    assert catalogue.open_batches() == []
    assert (finished.total.deleted, finished.exit_code) == (5, ExitCode.DONE)
    sound(finished)


def test_exclusive_stops_where_it_is_not_alone(ports: Ports) -> None:
    """Another client marks a message meanwhile: nothing is removed, and every mark is as it was."""
    source, _, _ = ports
    source.capabilities = Capabilities()

    def other(step: str) -> None:
        if step == "store":
            source.boxes["INBOX"][UID(5)].flags |= {DELETED}

    source.between = other
    finished, _ = run_prune(*ports, deletion=yes(method=Method.EXCLUSIVE))
    marked = {int(uid) for uid, message in source.boxes["INBOX"].items() if DELETED in message.flags}
    assert (there(source), marked) == ([1, 2, 3, 4, 5], {5})
    assert finished.exit_code is ExitCode.PARTIAL
    sound(finished)


@pytest.mark.parametrize(
    ("from_config", "error", "hint"),
    [(False, UsageError, "--delete-method mark"), (True, ConfigError, "set delete_method to mark")],
)
def test_a_method_that_cannot_be_is_refused_before_anything(
    ports: Ports, from_config: bool, error: type[UsageError | ConfigError], hint: str
) -> None:
    """By the code of who asked for it, and with the words to write there."""
    source, archive, _ = ports
    source.capabilities = Capabilities()
    with pytest.raises(error) as raised:
        run_prune(*ports, deletion=yes(from_config=from_config))
    assert hint in raised.value.hint
    assert untouched(source)
    assert set(archive.manifests) == {"run0"}


def test_what_was_put_back_stays_until_it_is_asked_for(ports: Ports) -> None:
    """A cron job does not undo an undo; --include-restored does."""
    source, _, _ = ports
    run_prune(*ports)
    run_undo(*ports)
    finished, said = run_backup(*ports, run="run2", deletion=yes())
    assert (len(there(source)), len(there(source, "Work"))) == (5, 2)
    assert reasons(said) == {"put back"}
    assert (finished.kept, finished.exit_code) == ((("put back", 6),), ExitCode.DONE)
    _, said = run_prune(*ports, run="run3", deletion=yes())
    assert of_type(said, Planned)[0].kept == (("put back", 6),)
    finished, _ = run_prune(*ports, run="run4", policy=Policy(before=CUT, keep_put_back=False))
    assert (there(source), there(source, "Work")) == ([5], [])
    sound(finished)


def test_a_limit_takes_the_oldest_and_the_next_run_goes_on(ports: Ports) -> None:
    """--limit 4: four now, two then."""
    policy: dict[str, Any] = {"before": CUT, "limit": 4}
    finished, _ = run_prune(*ports, policy=Policy(**policy))
    assert finished.total.deleted == 4
    finished, _ = run_prune(*ports, run="run2", policy=Policy(**policy))
    assert (finished.total.deleted, there(ports[0])) == (2, [5])


def test_a_mailbox_error_of_the_probe_costs_one_mailbox(ports: Ports) -> None:
    """Kept, told, and the next mailbox is done."""
    source, _, _ = ports
    source.ended_at["store"] = MailboxError("the mailbox is locked")
    finished, said = run_prune(*ports)
    assert (there(source), there(source, "Work")) == ([1, 2, 3, 4, 5], [])
    assert reasons(said) == {"unknown, the next run looks"}
    assert "the mailbox is locked" in warnings(said)
    assert finished.exit_code is ExitCode.PARTIAL
    sound(finished)
