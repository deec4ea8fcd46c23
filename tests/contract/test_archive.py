"""What every archive promises (`ports.Archive`)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.errors import ArchiveError, UnreachableError
from mailarchive.model import Location, Mailbox
from tests.contract.archives import INBOX, SHELVES, Given, add, locations, octets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.archives import Shelf

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
    elsewhere = Location(stored.location.replace("INBOX", "Nowhere"))
    assert not archive.holds(elsewhere)
    with pytest.raises(ArchiveError):
        octets(archive, elsewhere)
