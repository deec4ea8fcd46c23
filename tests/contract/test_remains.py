"""What the files of an archive tell by themselves (`ports.Archive.remains`), and Dovecot's lists beside a Maildir."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from mailarchive.model import POP_GENERATION, UID, UIDL, Mailbox, Remnant, RemoteMessage, transient
from tests.contract.archives import INBOX, SHELVES, Given, MaildirShelf, add, locations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailarchive.model import Location
    from mailarchive.ports import Archive
    from tests.contract.archives import Shelf

WHEN = datetime(2014, 3, 1, 10, 0, 0, 999, tzinfo=timezone(timedelta(hours=1)))
SECOND = datetime(2014, 3, 1, 9, tzinfo=UTC)
FLAGS = frozenset({"\\Seen", "\\Flagged", "\\Answered", "\\Draft", "$Forwarded"})


@pytest.fixture(params=SHELVES)
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    """Give each archive in turn."""
    made = SHELVES[request.param](tmp_path / "archive")
    yield made
    made.close()


def test_every_message_is_told_with_its_folder(shelf: Shelf) -> None:
    """Those of a scan, each at least once, and none more."""
    archive = shelf.open()
    for mailbox in (INBOX, Mailbox("Work/Été", b"", "/")):
        for number in range(3):
            add(archive, b"message %d" % number, mailbox)
        archive.sync()
    told = list(archive.remains())
    assert sorted(each.location for each in told) == locations(archive)
    assert {archive.mailbox_of(each.folder, "/") for each in told} == {"INBOX", "Work/Été"}
    assert {(each.uid, each.uidvalidity, each.proven) for each in told} == {(None, None, False)}


def test_a_folder_is_of_a_mailbox(shelf: Shelf) -> None:
    """With the delimiter of the server."""
    archive = shelf.open()
    for mailbox in (INBOX, Mailbox("Work.2014", b"", ".")):
        assert archive.mailbox_of(tuple(archive.folder(mailbox).split("/")), ".") == mailbox.name


class Kept:
    """A Maildir with one message, and what is beside it."""

    def __init__(self, path: Path) -> None:
        self.shelf = MaildirShelf(path)
        self.archive: Archive = self.shelf.open()
        self.location: Location = add(self.archive, b"message", internal_date=WHEN, flags=FLAGS).location
        self.archive.sync()
        self.unique = self.location.rpartition("/")[2]
        self.folder = path / "INBOX"

    def told(self, uidlist: str | None = None, keywords: str | None = None) -> list[Remnant]:
        """Write the lists and open the archive again."""
        for name, text in (("dovecot-uidlist", uidlist), ("dovecot-keywords", keywords)):
            if text is not None:
                (self.folder / name).write_text(text)
        self.archive = self.shelf.open()
        return list(self.archive.remains())

    def rename(self, rest: str, sub: str = "cur") -> None:
        """Do what a mail program does."""
        file = next((self.folder / "cur").iterdir())
        file.rename(self.folder / sub / (self.unique + rest))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """Give one."""
    made = Kept(tmp_path / "archive")
    yield made
    made.shelf.close()


def test_a_name_tells_date_and_flags(kept: Kept) -> None:
    """To the second, in UTC."""
    assert kept.told() == [Remnant(("INBOX",), kept.location, FLAGS, SECOND)]


def test_a_name_without_a_date_tells_none(kept: Kept) -> None:
    """Epoch 0 is unknown."""
    kept.archive = kept.shelf.open()
    undated = add(kept.archive, b"undated").location
    kept.archive.sync()
    found = {each.location: each for each in kept.archive.remains()}
    assert (found[undated].internal_date, found[undated].flags) == (None, frozenset())


@pytest.mark.parametrize(
    ("rest", "flags"),
    [
        (":2,S", {"\\Seen"}),
        (":2,", set()),
        (":2,SabcZT", {"\\Seen", "$label1", "work"}),
        (":2,S,x", {"\\Seen"}),
        ("", None),
    ],
)
@pytest.mark.parametrize("sub", ["cur", "new"])
def test_what_a_mail_program_has_made_of_a_name_counts(kept: Kept, rest: str, flags: set[str] | None, sub: str) -> None:
    """Letters and keywords; a name without any says nothing of flags."""
    kept.rename(rest, sub)
    (found,) = kept.told(keywords="0 $label1\n1 work\n25 z\n26 no\nx y\n")
    assert found.flags == (None if flags is None else frozenset(flags))


@pytest.mark.parametrize(
    ("line", "uids"),
    [
        ("5 :{}", [5]),
        ("5 :{}:2,S", [5]),
        ("5 W140 X44,18 :{}", [5, 18, 44]),
        ("0 :{}", [None]),
        ("4294967296 :{}", [None]),
        ("x :{}", [None]),
        ("5 :another", [None]),
        ("5 {}", [None]),
        ("", [None]),
    ],
)
def test_a_list_names_uids(kept: Kept, line: str, uids: list[int | None]) -> None:
    """Each with the UIDVALIDITY of the list; what makes no sense is left out, and none is proven."""
    found = kept.told("3 V77 N900 G0123\n" + line.format(kept.unique) + "\n")
    assert [each.uid for each in found] == uids
    assert {each.uidvalidity for each in found} == ({77} if uids != [None] else {None})
    assert not any(each.proven for each in found)
    assert {each.location for each in found} == {kept.location}


@pytest.mark.parametrize("header", ["", "1 V77 N9", "3 N9", "3 V0 N9", "3 V77777777777 N9", "garbage"])
def test_a_list_without_its_header_says_nothing(kept: Kept, header: str) -> None:
    """No UIDVALIDITY, no UID."""
    assert [each.uid for each in kept.told(f"{header}\n5 :{kept.unique}\n")] == [None]


def test_a_list_of_pop3_names_the_uidl(kept: Kept) -> None:
    """And the one generation that a maildrop has."""
    (found,) = kept.told(f"3 V1393664400 N8\n7 Puidl-4711 :{kept.unique}\n")
    assert (found.uid, found.uidvalidity) == (UIDL("uidl-4711"), POP_GENERATION)


@pytest.mark.parametrize("name", ["dovecot-uidlist", "dovecot-keywords"])
def test_a_list_that_cannot_be_read_stops_nothing(kept: Kept, name: str, tmp_path: Path) -> None:
    """A link, a folder, or octets that are no text."""
    good = f"3 V77 N900\n5 :{kept.unique}\n"
    (tmp_path / "elsewhere").write_text(good)
    (kept.folder / name).unlink(missing_ok=True)
    (kept.folder / name).symlink_to(tmp_path / "elsewhere")
    assert [each.uid for each in kept.told()] == [None]
    (kept.folder / name).unlink()
    (kept.folder / name).mkdir()
    assert [each.uid for each in kept.told()] == [None]
    (kept.folder / name).rmdir()
    (kept.folder / name).write_bytes(b"\xff\0" * 100)
    assert [each.uid for each in kept.told()] == [None]
    assert [each.uid for each in kept.told(good)] == [UID(5)]


@pytest.fixture
def mbox(tmp_path: Path) -> Iterator[Shelf]:
    """Give an archive of mbox files."""
    made = SHELVES["mbox"](tmp_path / "archive")
    yield made
    made.close()


def test_a_block_tells_all_and_is_evidence(mbox: Shelf) -> None:
    """UID, UIDVALIDITY, flags, keywords, and the date with its zone."""
    archive = mbox.open()
    given = Given(b"message", WHEN.replace(microsecond=0), FLAGS | {"$label1"})
    stored = archive.add(INBOX, given, 77)
    archive.sync()
    (found,) = mbox.open().remains()
    expected = Remnant(("INBOX",), stored.location, FLAGS | {"$label1"}, given.internal_date, UID(1), 77)
    assert found == replace(expected, zoned=True, proven=True)
    assert found.internal_date is not None
    assert found.internal_date.utcoffset() == timedelta(hours=1)


@pytest.mark.parametrize(
    ("uid", "uidvalidity", "known"),
    [(UIDL("uidl-4711"), POP_GENERATION, True), (transient("x"), POP_GENERATION, False), (UID(5), None, False)],
)
def test_a_block_places_by_lasting_names_only(
    mbox: Shelf, uid: UID | UIDL, uidvalidity: int | None, known: bool
) -> None:
    """A UIDL, in the one generation of a maildrop; no name of one session, and no UID without UIDVALIDITY."""
    archive = mbox.open()
    given = Given(b"message")
    given.message = RemoteMessage(uid, 7)
    archive.add(INBOX, given, uidvalidity)
    archive.sync()
    (found,) = mbox.open().remains()
    assert (found.uid, found.uidvalidity) == ((uid, uidvalidity) if known else (None, None))
    assert found.proven is known
