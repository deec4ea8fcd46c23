"""What every catalogue promises (`ports.Catalogue`)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from mailarchive import expunge
from mailarchive.catalogue import SqliteCatalogue
from mailarchive.errors import ArchiveError
from mailarchive.expunge import ExpungeOrder, How
from mailarchive.messages import Messages, Remembered
from mailarchive.model import (
    UID,
    UIDL,
    Digest,
    ItemState,
    Known,
    Location,
    Mailbox,
    MailboxStatus,
    Method,
    RemoteMessage,
    transient,
)
from tests.contract.catalogues import DIGEST, ID, OTHER, ROW, order
from tests.memory import MemoryCatalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailarchive.model import Placement
    from mailarchive.ports import Catalogue


@pytest.fixture(params=["sqlite", "memory"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalogue]:
    """Give each catalogue in turn, with a run begun."""
    if request.param == "memory":
        memory = MemoryCatalogue()
        memory.begin("run1", {"command": "backup", "started": "now"})
        yield memory
        return
    found = SqliteCatalogue(tmp_path / "catalogue.sqlite", ID)
    found.begin("run1", {"command": "backup", "started": "now"})
    yield found
    found.close()


def located(catalogue: Catalogue, uidvalidity: int | None) -> dict[UID | UIDL, Location]:
    """Give the locations of one generation of the mailbox."""
    return {uid: known.location for uid, known in catalogue.placements("Été", uidvalidity).items()}


def test_what_was_recorded_is_known(catalogue: Catalogue) -> None:
    """By mailbox and generation, and by digest."""
    catalogue.record("run1", [ROW, replace(ROW, uid=UID(1), location=Location("Été/2"))])
    assert located(catalogue, 7) == {4_294_967_295: "Été/1.abc", 1: "Été/2"}
    known = catalogue.placements("Été", 7)[ROW.uid]
    assert known.archived_at is not None
    assert known._replace(archived_at=None) == Known(
        ROW.location, 1200, ROW.internal_date, unsure=True, hold="placeholder", octets=1234
    )
    assert catalogue.locations([DIGEST])[DIGEST] in {"Été/1.abc", "Été/2"}
    assert catalogue.locations([Digest("sha256:" + "00" * 32)]) == {} == catalogue.locations([])


def test_a_part_of_a_mailbox_can_be_asked_for(catalogue: Catalogue) -> None:
    """From a first UID to a last one, both included; names that are no numbers are in no such part."""
    catalogue.record("run1", [replace(ROW, uid=UID(uid)) for uid in (1, 5, 6, 9)])
    catalogue.record("run1", [replace(ROW, uid=UIDL("7"))])
    assert set(catalogue.placements("Été", 7, within=(5, 8))) == {5, 6}
    assert set(catalogue.placements("Été", 7, within=(9, 9))) == {9}
    assert len(catalogue.placements("Été", 7)) == 5


def test_some_messages_of_a_mailbox_can_be_asked_for(catalogue: Catalogue) -> None:
    """Any number of them, by UID or by UIDL; those that are not archived are not among the answers."""
    catalogue.record("run1", [replace(ROW, uid=UIDL(f"u{number}")) for number in range(2500)])
    catalogue.record("run1", [replace(ROW, uid=UID(5))])
    wanted: list[UID | UIDL] = [*(UIDL(f"u{number}") for number in range(1, 4000, 2)), UID(5), UID(6)]
    found = catalogue.placements("Été", 7, among=wanted)
    assert set(found) == {*(f"u{number}" for number in range(1, 2500, 2)), 5}
    assert catalogue.placements("Été", 7, among=[]) == {}


LISTED = Remembered(
    MailboxStatus(2, 7, 10, 99),
    datetime(2026, 1, 1, tzinfo=UTC),
    Messages(
        [
            RemoteMessage(UID(1), 10, ROW.internal_date, frozenset({"\\Seen", "kw"})),
            RemoteMessage(UID(4_294_967_295), None, None, None),
        ]
    ),
)


def test_a_listing_is_remembered_by_mailbox(catalogue: Catalogue) -> None:
    """The last one, whole; that of another mailbox is another one."""
    assert catalogue.listing("Été") is None
    catalogue.remember_listing("Été", replace(LISTED, messages=Messages()))
    catalogue.remember_listing("Été", LISTED)
    found = catalogue.listing("Été")
    assert found is not None
    assert (found.status, found.listed_at) == (LISTED.status, LISTED.listed_at)
    assert [*found.messages] == [*LISTED.messages]
    assert str(found.messages[0].internal_date) == str(ROW.internal_date)
    assert catalogue.listing("Ete") is None
    # It is no row, and says nothing of what was archived or seen.
    assert dict(catalogue.placements("Été", 7)) == {}
    assert catalogue.last_seen("Été") is None


def test_generations_and_mailboxes_are_apart(catalogue: Catalogue) -> None:
    """The same UID under another UIDVALIDITY, or in another mailbox, is another message."""
    catalogue.record("run1", [ROW])
    assert dict(catalogue.placements("Été", 8)) == {}
    assert dict(catalogue.placements("Été", None)) == {}
    assert dict(catalogue.placements("Ete", 7)) == {}
    catalogue.record("run1", [replace(ROW, uidvalidity=None, uid=UIDL("a b"))])
    assert located(catalogue, None) == {"a b": "Été/1.abc"}


def test_a_uid_that_was_archived_again_has_the_new_location(catalogue: Catalogue) -> None:
    """The later row counts."""
    catalogue.record("run1", [ROW])
    catalogue.record("run1", [replace(ROW, location=Location("elsewhere"))])
    assert located(catalogue, 7) == {ROW.uid: "elsewhere"}


def test_the_last_sight_of_a_mailbox_is_remembered(catalogue: Catalogue) -> None:
    """Counts and numbers of the last run; a mailbox that only has rows was never seen."""
    catalogue.record("run1", [ROW])
    assert catalogue.last_seen("Été") is None
    assert list(catalogue.mailboxes()) == []
    catalogue.saw("run1", {"Été": MailboxStatus(5, 7, 6, 99), "b": MailboxStatus(0, None)})
    assert catalogue.last_seen("Été") == MailboxStatus(5, 7, 6, 99)
    assert catalogue.last_seen("b") == MailboxStatus(0, None)
    assert sorted(catalogue.mailboxes()) == ["b", "Été"]


def row(catalogue: Catalogue, uid: UID | UIDL = ROW.uid) -> Placement:
    """Give one row of the mailbox."""
    return catalogue.rows("Été", 7, [uid])[uid]


def test_whole_rows_come_back(catalogue: Catalogue) -> None:
    """Every field, of those messages that were asked for and are there; a row that names no time is of now."""
    begun = datetime.now(UTC).replace(microsecond=0)
    bare = replace(ROW, uid=UID(2), internal_date=None, flags=None, size_announced=None, hold="", confirmed=True)
    catalogue.record("run1", [ROW, bare, replace(ROW, uid=UID(3))])
    found = catalogue.rows("Été", 7, [ROW.uid, UID(2), UID(9)])
    assert set(found) == {ROW.uid, 2}
    assert [replace(found[each.uid], archived_at=None) for each in (ROW, bare)] == [ROW, bare]
    archived_at = found[ROW.uid].archived_at
    assert archived_at is not None
    assert begun <= archived_at <= datetime.now(UTC)
    assert dict(catalogue.rows("Été", 7, [])) == {}
    assert dict(catalogue.rows("Été", 8, [ROW.uid])) == {}
    assert dict(catalogue.rows("Ete", 7, [ROW.uid])) == {}


def test_more_rows_than_a_statement_takes(catalogue: Catalogue) -> None:
    """All of them come."""
    count = 3000
    catalogue.record("run1", [replace(ROW, uid=UID(number)) for number in range(1, count + 1)])
    assert len(catalogue.rows("Été", 7, [UID(number) for number in range(1, 2 * count)])) == count


@pytest.mark.parametrize(
    ("announced", "confirmed", "unsure"),
    [(1234, False, False), (1200, False, True), (None, False, True), (1200, True, False)],
)
def test_other_octets_than_announced_are_unsure(
    catalogue: Catalogue, announced: int | None, confirmed: bool, unsure: bool
) -> None:
    """Until a second fetch has confirmed them."""
    catalogue.record("run1", [replace(ROW, size_announced=announced, confirmed=confirmed)])
    assert catalogue.placements("Été", 7)[ROW.uid].unsure is unsure


def test_a_second_fetch_confirms_or_holds(catalogue: Catalogue) -> None:
    """The same octets: confirmed, and an older hold stays; others: held for that reason."""
    first, second, third = (replace(ROW, uid=UID(number), hold="") for number in (1, 2, 3))
    catalogue.record("run1", [ROW, first, second, third])
    catalogue.confirm("Été", 7, {ROW.uid: "", UID(1): "", UID(2): "it changes", UID(99): ""})
    assert (row(catalogue).confirmed, row(catalogue).hold) == (True, "placeholder")
    assert (row(catalogue, UID(1)).confirmed, row(catalogue, UID(1)).hold) == (True, "")
    assert (row(catalogue, UID(2)).confirmed, row(catalogue, UID(2)).hold) == (False, "it changes")
    assert (row(catalogue, UID(3)).confirmed, row(catalogue, UID(3)).hold) == (False, "")
    known = catalogue.placements("Été", 7)
    assert [known[UID(number)].unsure for number in (1, 2, 3)] == [False, True, True]
    assert [known[UID(number)].hold for number in (1, 2, 3)] == ["", "it changes", ""]


def test_the_age_of_a_copy_is_that_of_its_octets(catalogue: Catalogue) -> None:
    """The same octets again keep their age and their confirmation; others begin anew."""
    then, now = datetime(2020, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
    catalogue.record("run1", [replace(ROW, archived_at=then)])
    catalogue.confirm("Été", 7, {ROW.uid: ""})
    catalogue.record("run1", [replace(ROW, archived_at=now, size_announced=5)])
    assert (row(catalogue).archived_at, row(catalogue).confirmed, row(catalogue).size_announced) == (then, True, 5)
    catalogue.record("run1", [replace(ROW, archived_at=now, digest=OTHER)])
    assert (row(catalogue).archived_at, row(catalogue).confirmed) == (now, False)
    catalogue.record("run1", [replace(ROW, archived_at=then, digest=DIGEST, confirmed=True)])
    assert (row(catalogue).archived_at, row(catalogue).confirmed) == (then, True)


def test_fresh_octets_of_a_row_without_a_time_are_of_now(catalogue: Catalogue) -> None:
    """The time of the octets that were there before says nothing of them."""
    catalogue.record("run1", [replace(ROW, archived_at=datetime(2020, 1, 1, tzinfo=UTC))])
    catalogue.record("run1", [replace(ROW, digest=OTHER)])
    archived_at = row(catalogue).archived_at
    assert archived_at is not None
    assert datetime.now(UTC) - archived_at < timedelta(minutes=5)


def test_a_copy_behind_a_label_has_a_location_and_is_no_evidence(catalogue: Catalogue) -> None:
    """Rows that no message of a mailbox stands behind: located, and neither known nor given."""
    label = UIDL("gm:123")
    catalogue.record("run1", [replace(ROW, uid=label, uidvalidity=0, origin="label", location=Location("Label/1"))])
    assert dict(catalogue.placements("Été", 0)) == {}
    assert dict(catalogue.rows("Été", 0, [label])) == {}
    assert catalogue.located() == {Location("Label/1"): (DIGEST, 1234)}
    assert catalogue.locations([DIGEST]) == {DIGEST: "Label/1"}


@pytest.mark.parametrize(
    ("origin", "known", "evidence"),
    [("fetched", True, True), ("manifest", True, True), ("uidlist", True, False), ("import", False, False)],
)
def test_a_deletion_rests_on_evidence_only(catalogue: Catalogue, origin: str, known: bool, evidence: bool) -> None:
    """What only a list says is archived for a backup; no whole row is given of it, and no order names it."""
    row = replace(ROW, origin=origin)
    catalogue.record("run1", [row])
    found = catalogue.placements("Été", 7)
    assert {uid: each.evidence for uid, each in found.items()} == ({ROW.uid: evidence} if known else {})
    assert set(catalogue.rows("Été", 7, [ROW.uid])) == ({ROW.uid} if evidence else set())
    if evidence:
        catalogue.intend("run1", order(row))
    else:
        with pytest.raises(ArchiveError, match="does not hold"):
            catalogue.intend("run1", order(row))
    assert bool(catalogue.open_batches()) is evidence


def test_a_new_fetch_makes_evidence_of_it(catalogue: Catalogue) -> None:
    """The row is that of the fetch from then on."""
    catalogue.record("run1", [replace(ROW, origin="uidlist")])
    catalogue.record("run1", [ROW])
    assert catalogue.placements("Été", 7)[ROW.uid].evidence
    assert catalogue.rows("Été", 7, [ROW.uid])[ROW.uid].origin == "fetched"


@pytest.mark.parametrize(
    ("digest", "ident", "put_back"),
    [(DIGEST, "", True), (OTHER, "i", True), (OTHER, "", False), (OTHER, "other", False), (DIGEST, "other", True)],
)
def test_what_was_put_back_is_known_by_its_octets_or_its_ident(
    catalogue: Catalogue, digest: Digest, ident: str, put_back: bool
) -> None:
    """Whichever agrees; an unknown ident agrees with nothing."""
    catalogue.record("run1", [ROW, replace(ROW, uid=UID(1), ident="", digest=Digest("sha256:" + "ef" * 32))])
    assert not row(catalogue).put_back
    catalogue.remember_put_back("run1", [(digest, ident)])
    catalogue.remember_put_back("run1", [(digest, ident)])
    assert row(catalogue).put_back is put_back
    assert catalogue.placements("Été", 7)[ROW.uid].put_back is put_back
    assert not row(catalogue, UID(1)).put_back
    assert not catalogue.placements("Été", 7)[UID(1)].put_back


def test_an_intent_is_open_until_it_is_settled(catalogue: Catalogue) -> None:
    """Each item with its row and whether it was marked before; what is known is open no more."""
    rows = [replace(ROW, uid=UID(number)) for number in (1, 2, 3)]
    catalogue.record("run1", rows)
    assert list(catalogue.open_batches()) == []
    number = catalogue.intend("run1", order(*rows, marked=1, method=Method.TRASH))
    (batch,) = catalogue.open_batches()
    assert (batch.number, batch.run, batch.mailbox, batch.uidvalidity) == (number, "run1", "Été", 7)
    assert (batch.method, batch.lifted) == (Method.TRASH, frozenset())
    assert [(replace(found, archived_at=None), marked) for found, marked in batch.items] == [
        (rows[0], True),
        (rows[1], False),
        (rows[2], False),
    ]
    catalogue.settle(number, {UID(1): ItemState.GONE, UID(2): ItemState.INTENT})
    assert [found.uid for found, _ in catalogue.open_batches()[0].items] == [2, 3]
    catalogue.settle(number, {UID(1): ItemState.INTENT, UID(2): ItemState.REFUSED})
    assert [found.uid for found, _ in catalogue.open_batches()[0].items] == [3]
    catalogue.settle(number, {UID(3): ItemState.ABANDONED})
    assert list(catalogue.open_batches()) == []


def test_open_batches_come_in_their_order(catalogue: Catalogue) -> None:
    """The oldest first, each with its own items."""
    rows = [replace(ROW, uid=UID(number)) for number in (1, 2, 3)]
    other = replace(ROW, mailbox="Other")
    catalogue.record("run1", [*rows, other])
    numbers = [catalogue.intend("run1", order(each)) for each in (rows[2], other, rows[0])]
    assert numbers == sorted(set(numbers))
    catalogue.settle(numbers[0], {UID(3): ItemState.ROLLED_BACK})
    assert [(batch.number, batch.mailbox) for batch in catalogue.open_batches()] == [
        (numbers[1], "Other"),
        (numbers[2], "Été"),
    ]


def test_lifted_marks_keep_a_batch_open(catalogue: Catalogue) -> None:
    """Until each stranger has its mark again, whatever became of the messages."""
    catalogue.record("run1", [ROW])
    strangers: frozenset[UID | UIDL] = frozenset({UID(5), UID(6)})
    number = catalogue.intend("run1", order(ROW, method=Method.EXCLUSIVE, strangers=strangers))
    assert catalogue.open_batches()[0].lifted == strangers
    catalogue.settle(number, {ROW.uid: ItemState.GONE}, [UID(6)])
    (batch,) = catalogue.open_batches()
    assert batch.items == ()
    assert batch.lifted == {UID(5)}
    catalogue.settle(number, {}, [UID(5)])
    assert list(catalogue.open_batches()) == []


def test_an_open_item_names_the_octets_that_were_the_proof(catalogue: Catalogue) -> None:
    """Even if other octets were archived under its UID since; the rest is as it is now."""
    catalogue.record("run1", [ROW])
    catalogue.intend("run1", order(ROW))
    catalogue.record("run1", [replace(ROW, digest=OTHER, location=Location("Été/2"), size=99)])
    ((found, _),) = catalogue.open_batches()[0].items
    assert (found.digest, found.location, found.size) == (DIGEST, "Été/2", 99)


@pytest.mark.parametrize("wrong", ["no row", "other octets", "another generation"])
def test_nothing_is_intended_without_a_row_for_each_message(catalogue: Catalogue, wrong: str) -> None:
    """An order that the catalogue cannot vouch for is refused, all of it."""
    catalogue.record("run1", [ROW, replace(ROW, uid=UID(1))])
    strange = {
        "no row": replace(ROW, uid=UID(2)),
        "other octets": replace(ROW, uid=UID(1), digest=OTHER),
        "another generation": replace(ROW, uidvalidity=8),
    }[wrong]
    rows = [strange] if wrong == "another generation" else [ROW, strange]
    with pytest.raises(ArchiveError, match="does not hold"):
        catalogue.intend("run1", order(*rows))
    assert list(catalogue.open_batches()) == []


def test_the_clock_is_trusted_at_the_time_that_was_said_last(catalogue: Catalogue) -> None:
    """Also an earlier one: a human may have said that the clock was ahead."""
    assert catalogue.sane_now() is None
    for when in (datetime(2026, 1, 1, 12, 30, 5, 17, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)):
        catalogue.trust_clock(when)
        assert catalogue.sane_now() == when


Dates = dict[UID | UIDL, tuple[int | None, datetime | None]]


def test_dates_that_were_asked_for_apart_come_back(catalogue: Catalogue) -> None:
    """With their zones; unknown ones too, so that they are asked once; of each mailbox its own."""
    assert dict(catalogue.dates("INBOX")) == {}
    dates: Dates = {
        UIDL("a"): (10, datetime(2014, 3, 1, 10, tzinfo=timezone(timedelta(hours=-8)))),
        UIDL("../x y"): (None, datetime(1999, 1, 1, tzinfo=UTC)),
        UIDL('"é☃'): (0, None),
        UIDL("7"): (1, None),
    }
    catalogue.remember_dates("INBOX", dates)
    found = dict(catalogue.dates("INBOX"))
    assert found == dates
    assert all(isinstance(uid, str) for uid in found)
    date = found[UIDL("a")][1]
    assert date is not None
    assert date.utcoffset() == timedelta(hours=-8)
    assert dict(catalogue.dates("Other")) == {}


def test_dates_take_the_place_of_those_before(catalogue: Catalogue) -> None:
    """What is not named any more is forgotten, so that the list does not grow for ever."""
    catalogue.remember_dates("INBOX", {UIDL("a"): (1, None), UIDL("b"): (2, None)})
    catalogue.remember_dates("Other", {UIDL("a"): (9, None)})
    catalogue.remember_dates("INBOX", {UIDL("b"): (3, datetime(2020, 1, 1, tzinfo=UTC))})
    assert dict(catalogue.dates("INBOX")) == {"b": (3, datetime(2020, 1, 1, tzinfo=UTC))}
    assert dict(catalogue.dates("Other")) == {"a": (9, None)}
    catalogue.remember_dates("INBOX", {})
    assert dict(catalogue.dates("INBOX")) == {}


def test_dates_are_no_sight_of_a_mailbox_and_no_evidence(catalogue: Catalogue) -> None:
    """They say nothing of what is archived."""
    catalogue.remember_dates("Été", {UIDL("a"): (1, None)})
    assert catalogue.last_seen("Été") is None
    assert list(catalogue.mailboxes()) == []
    assert dict(catalogue.placements("Été", 1)) == {}
    assert dict(catalogue.rows("Été", 1, [UIDL("a")])) == {}


def test_what_is_forgotten_is_fetched_again(catalogue: Catalogue) -> None:
    """Exactly these of this generation; what an open intent needs stays until that is settled."""
    rows = [replace(ROW, uid=UID(number)) for number in (1, 2, 3)]
    other = replace(ROW, uid=UID(1), uidvalidity=8)
    catalogue.record("run1", [*rows, other, replace(ROW, uid=UID(1), mailbox="Other")])
    number = catalogue.intend("run1", order(rows[1]))
    catalogue.forget("Été", 7, [UID(1), UID(2), UID(99)])
    assert set(located(catalogue, 7)) == {2, 3}
    assert set(located(catalogue, 8)) == {1}
    assert set(catalogue.placements("Other", 7)) == {1}
    assert [found.uid for found, _ in catalogue.open_batches()[0].items] == [2]
    catalogue.settle(number, {UID(2): ItemState.ROLLED_BACK})
    catalogue.forget("Été", 7, [UID(2)])
    assert set(located(catalogue, 7)) == {3}
    catalogue.forget("Été", 7, [])
    assert set(located(catalogue, 7)) == {3}


def test_a_name_of_one_session_can_be_forgotten_like_any_other(catalogue: Catalogue) -> None:
    """It is a text, and a number that looks the same is another message."""
    catalogue.record("run1", [replace(ROW, uid=UIDL("5")), replace(ROW, uid=UID(5)), replace(ROW, uid=transient("5"))])
    assert set(located(catalogue, 7)) == {"5", 5, " 5"}
    catalogue.forget("Été", 7, [UIDL("5")])
    assert set(located(catalogue, 7)) == {5, " 5"}
    catalogue.forget("Été", 7, [transient("5")])
    assert set(located(catalogue, 7)) == {5}


def test_runs_that_have_begun_are_known(catalogue: Catalogue) -> None:
    """Whether or not they have ended."""
    assert set(catalogue.known_runs()) == {"run1"}
    catalogue.begin("run2", {"command": "prune", "started": "now"})
    assert set(catalogue.known_runs()) == {"run1", "run2"}
    catalogue.finish("run2", {"exit": 0})
    assert set(catalogue.known_runs()) == {"run1", "run2"}


def test_lifted_marks_come_with_what_they_were_on(catalogue: Catalogue) -> None:
    """So that no other message gets the mark; what is given back is named no more."""
    catalogue.record("run1", [ROW])
    strangers: frozenset[UID | UIDL] = frozenset({UID(5), UID(6)})
    wanted = ExpungeOrder(
        Mailbox("Été"),
        7,
        order(ROW).items,
        How(Method.EXCLUSIVE),
        strangers=strangers,
        fingerprints={UID(5): "10/2014-03-01/x", UID(6): "", UID(9): "no stranger"},
        seal=expunge._SEAL,
    )
    number = catalogue.intend("run1", wanted)
    (batch,) = catalogue.open_batches()
    assert batch.lifted == strangers
    assert dict(batch.fingerprints) == {5: "10/2014-03-01/x", 6: ""}
    catalogue.settle(number, {ROW.uid: ItemState.GONE}, [UID(6)])
    (batch,) = catalogue.open_batches()
    assert {uid: batch.fingerprints[uid] for uid in batch.lifted} == {5: "10/2014-03-01/x"}


def test_every_uid_that_was_archived_is_numbered(catalogue: Catalogue) -> None:
    """Of one generation, in order; also what was deleted, and never what only a list of UIDs or a label says."""
    rows = [replace(ROW, uid=UID(uid), location=Location(f"Été/{uid}")) for uid in (100, 7, 23)]
    others = [
        replace(ROW, uid=UID(1), origin="uidlist"),
        replace(ROW, uid=UID(2), uidvalidity=8),
        replace(ROW, uid=UID(3), mailbox="b"),
        replace(ROW, uidvalidity=None, uid=UIDL("gm:1"), origin="label"),
    ]
    catalogue.record("run1", [*rows, *others])
    catalogue.settle(catalogue.intend("run1", order(rows[0])), {rows[0].uid: ItemState.GONE})
    assert list(catalogue.numbered("Été", 7)) == [(7, "Été/7"), (23, "Été/23"), (100, "Été/100")]
    assert list(catalogue.numbered("Été", None)) == list(catalogue.numbered("Ete", 7)) == []
