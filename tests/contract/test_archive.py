"""What every archive promises (`ports.Archive`)."""

from __future__ import annotations

import hashlib
import tracemalloc
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.errors import ArchiveError, MissingError, UnreachableError
from mailarchive.model import UID, ItemState, Location, Mailbox, RemoteMessage
from tests.contract.archives import INBOX, SHELVES, Given, MemoryShelf, add, locations, octets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.archives import Shelf

WORK = Mailbox("Work", b"Work", "/")
WHEN = datetime(2014, 3, 1, 10, tzinfo=timezone(timedelta(hours=1)))
MESSAGE = RemoteMessage(UID(9), 8, WHEN, frozenset({"\\Seen"}))

NASTY = [
    b"x",
    b"Subject: a\r\n\r\nbody\r\n",
    b"Subject: a\n\nbare LF\n",
    b"a\r\r\n\rb",
    b"From me Sat Jan  1\r\n>From you\r\n.\r\n..\r\n",
    bytes(range(256)) * 20,
    b"\0" * 5000,
    b"no final newline",
    b"y" * 3_000_000,
]


@pytest.fixture(params=SHELVES)
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    """Give each archive in turn."""
    made = SHELVES[request.param](tmp_path / "archive")
    yield made
    made.close()


@pytest.mark.parametrize("message", NASTY, ids=range(len(NASTY)))
def test_bytes_out_are_bytes_in(shelf: Shelf, message: bytes) -> None:
    """Whatever the octets are, they come back unchanged, and digest and size are those of the octets."""
    archive = shelf.open()
    stored = add(archive, message)
    archive.sync()
    assert octets(archive, stored.location) == message
    assert stored.digest == f"sha256:{hashlib.sha256(message).hexdigest()}"
    assert stored.size == len(message)
    assert stored.head == message[: 64 * 1024]
    assert not stored.already


@pytest.mark.timeout(300)
def test_a_message_of_50_mb_takes_little_memory(shelf: Shelf) -> None:
    """Written and read back in pieces, From lines and all."""
    if isinstance(shelf, MemoryShelf):
        pytest.skip("everything is in memory there")
    archive = shelf.open()
    line = b"From the beginning of the line\r\n" + b"as long as lines are in the mail of many people\r\n" * 1000
    message = b"Subject: large\r\n\r\n" + line * (50 * 1024 * 1024 // len(line))
    tracemalloc.start()
    stored = archive.add(INBOX, Given(message, WHEN, piece=65536))
    archive.sync()
    digest = hashlib.sha256()
    for piece in archive.read(stored.location, cold=True):
        digest.update(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert stored.digest == f"sha256:{digest.hexdigest()}" == f"sha256:{hashlib.sha256(message).hexdigest()}"
    assert peak < 16 * 1024 * 1024


@given(message=st.binary(min_size=1, max_size=5000), piece=st.integers(min_value=1, max_value=700))
def test_bytes_out_are_bytes_in_however_they_come(
    tmp_path_factory: pytest.TempPathFactory, message: bytes, piece: int
) -> None:
    """Random octets in pieces of any size."""
    for name, make in SHELVES.items():
        shelf = make(tmp_path_factory.mktemp(name) / "archive")
        archive = shelf.open()
        stored = archive.add(INBOX, Given(message, piece=piece))
        archive.sync()
        assert octets(archive, stored.location) == message
        shelf.close()


def test_nothing_is_visible_before_sync(shelf: Shelf) -> None:
    """An added message is seen by nobody until the batch is durable."""
    archive = shelf.open()
    stored = add(archive, b"message")
    assert locations(archive) == []
    assert not archive.holds(stored.location)
    archive.sync()
    assert locations(archive) == [stored.location]
    assert archive.holds(stored.location)


def test_what_was_not_synced_is_gone_after_a_restart(shelf: Shelf) -> None:
    """Synced messages stay, others leave nothing behind."""
    archive = shelf.open()
    kept = add(archive, b"kept")
    archive.sync()
    add(archive, b"lost")
    archive = shelf.open()
    assert locations(archive) == [kept.location]
    assert octets(archive, kept.location) == b"kept"


@pytest.mark.parametrize("synced", [True, False])
def test_equal_bytes_are_kept_once(shelf: Shelf, synced: bool) -> None:
    """Adding the same octets again, in the same batch or later, finds the copy."""
    archive = shelf.open()
    first = add(archive, b"the same")
    if synced:
        archive.sync()
        archive = shelf.open()
    second = add(archive, b"the same")
    archive.sync()
    assert second.already
    assert second.location == first.location
    assert locations(archive) == [first.location]


def test_equal_bytes_in_two_mailboxes_are_two_messages(shelf: Shelf) -> None:
    """Each mailbox has its own copy, and each can be read."""
    archive = shelf.open()
    first = add(archive, b"the same")
    archive.sync()
    second = add(archive, b"the same", Mailbox("Work", b"Work", "/"))
    archive.sync()
    assert first.location != second.location
    assert octets(archive, second.location) == b"the same"
    assert len(locations(archive)) == 2


def test_a_message_that_does_not_come_to_its_end_is_never_there(shelf: Shelf) -> None:
    """The line dies within the octets: the error passes, the rest of the batch is kept."""
    archive = shelf.open()
    kept = add(archive, b"whole")
    with pytest.raises(UnreachableError):
        archive.add(INBOX, Given(b"half", error=UnreachableError("gone")))
    archive.sync()
    assert locations(archive) == [kept.location]


def test_discard_drops_the_batch_and_nothing_else(shelf: Shelf) -> None:
    """After a discard the archive goes on."""
    archive = shelf.open()
    first = add(archive, b"first")
    archive.sync()
    add(archive, b"dropped")
    archive.discard()
    archive.sync()
    again = add(archive, b"dropped")
    assert not again.already
    archive.sync()
    assert set(locations(archive)) == {first.location, again.location}


def test_what_is_not_there_is_not_held(shelf: Shelf) -> None:
    """A location of nothing is not held, and reading it is an ArchiveError."""
    archive = shelf.open()
    stored = add(archive, b"one")
    archive.sync()
    elsewhere = Location(f"Nowhere/{stored.location.rpartition('/')[2]}")
    assert not archive.holds(elsewhere)
    with pytest.raises(ArchiveError):
        octets(archive, elsewhere)


def test_a_durable_message_is_placed_into_another_mailbox_too(shelf: Shelf) -> None:
    """The same octets at another place, visible and counted after the next sync; the first stays where it was."""
    archive = shelf.open()
    first = add(archive, b"the same", internal_date=WHEN)
    archive.sync()
    second = archive.also(WORK, first, MESSAGE)
    assert (second.digest, second.size, second.already) == (first.digest, first.size, False)
    assert second.location != first.location
    assert locations(archive) == [first.location]
    archive.sync()
    assert locations(archive) == sorted([first.location, second.location])
    archive = shelf.open()
    assert archive.holds(second.location)
    assert [octets(archive, each.location) for each in (first, second)] == [b"the same"] * 2


@pytest.mark.parametrize("before", ["fetched", "placed", "placed and synced"])
def test_a_mailbox_that_holds_the_octets_is_given_no_second_copy(shelf: Shelf, before: str) -> None:
    """However they came there."""
    archive = shelf.open()
    if before == "fetched":
        there = add(archive, b"the same", WORK, internal_date=WHEN - timedelta(days=1))
        archive.sync()
    first = add(archive, b"the same", internal_date=WHEN)
    archive.sync()
    if before != "fetched":
        there = archive.also(WORK, first, MESSAGE)
    if before == "placed and synced":
        archive.sync()
    again = archive.also(WORK, first, MESSAGE)
    assert (again.already, again.location) == (True, there.location)
    archive.sync()
    assert locations(archive) == sorted([first.location, there.location])


def test_a_batch_of_fetched_and_of_placed_messages_is_one(shelf: Shelf) -> None:
    """One mailbox, one sync, and a discard drops both."""
    archive = shelf.open()
    first = add(archive, b"the same", internal_date=WHEN)
    archive.sync()
    for synced in (False, True):
        second, third = archive.also(WORK, first, MESSAGE), add(archive, b"another", WORK)
        if synced:
            archive.sync()
        else:
            archive.discard()
        assert archive.holds(second.location) is archive.holds(third.location) is synced


def test_what_is_not_there_cannot_be_placed(shelf: Shelf) -> None:
    """Never stored, or not yet durable: MissingError, and the batch goes on."""
    archive = shelf.open()
    first = add(archive, b"the same", internal_date=WHEN)
    archive.sync()
    gone = replace(first, location=Location(f"Nowhere/{first.location.rpartition('/')[2]}"))
    with pytest.raises(MissingError):
        archive.also(WORK, gone, MESSAGE)
    second = archive.also(WORK, first, MESSAGE)
    archive.sync()
    assert octets(archive, second.location) == b"the same"


def test_what_a_run_wrote_is_told_as_it_is_read_from_disk(shelf: Shelf) -> None:
    """Each synced line in its order: dates as text, sets in order, no None; what was not synced is not told."""
    archive = shelf.open()
    manifest = archive.manifest("2026-11-23T081502Z-3fa9c1")
    manifest.write(manifest=1, run="r", started=WHEN, cut_off=None)
    manifest.write(
        type="expunged",
        mailbox="Été \x1b[0m",
        uids=frozenset({UID(33), UID(2)}),
        flags=[frozenset({"b", "a"}), ("c", None)],
        states={ItemState.GONE: [ItemState.IN_TRASH]},
        already=True,
    )
    manifest.sync()
    manifest.write(type="lost")
    told = [{**line} for line in archive.told("2026-11-23T081502Z-3fa9c1")]
    for line in told:
        line.pop("at", None)
    assert told == [
        {"manifest": 1, "run": "r", "started": "2014-03-01T10:00:00+01:00"},
        {
            "type": "expunged",
            "mailbox": "Été \x1b[0m",
            "uids": [2, 33],
            "flags": [["a", "b"], ["c", None]],
            "states": {"gone": ["in trash"]},
            "already": True,
        },
    ]
    assert all(type(key) is str for line in told for key in line)
    manifest.close()
    assert list(archive.told("2026-11-23T081502Z-3fa9c1"))[2]["type"] == "lost"


@pytest.mark.parametrize(
    "run", ["run9", "", ".", "..", "../runs/run1", "/etc/passwd", "run1.jsonl", "run1\n", "é", "x" * 300]
)
def test_a_run_that_never_was_is_missing(shelf: Shelf, run: str) -> None:
    """Whatever a user types in the place of its id."""
    archive = shelf.open()
    archive.manifest("run1").close()
    assert list(archive.told("run1")) == []
    with pytest.raises(MissingError, match="no manifest"):
        list(archive.told(run))
