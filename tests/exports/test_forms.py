"""Messages in the forms of other programs: .eml files, mbox files, the folders of Thunderbird, attachments."""

from __future__ import annotations

import mailbox
import random
from base64 import encodebytes
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from mailarchive import imports
from mailarchive.digests import digested
from mailarchive.errors import DiskError, ExitCode
from mailarchive.events import NotExported
from mailarchive.exports.attachments import Attachments
from mailarchive.exports.eml import Eml
from mailarchive.exports.html import Html
from mailarchive.exports.mbox import Mbox
from mailarchive.exports.octets import IN_MEMORY
from mailarchive.exports.thunderbird import Thunderbird
from mailarchive.foreign import ForeignMessage
from mailarchive.model import ANSWERED, FLAGGED, SEEN
from tests.corpus import corpus, nasty
from tests.exports.shelf import Shelf, exported, files_of
from tests.jobs import of_type
from tests.readers import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mailarchive.outgoing import ExportFolder, Form

WHEN = datetime(2014, 3, 1, 10, tzinfo=UTC)
FORGED = (
    b"From: a@example.org\r\nSubject: x\r\nX-Mozilla-Status: 0009\r\nStatus: RD\r\nX-Mailarchive: sha256=0\r\n"
    b"\r\nHello\r\nFrom me\r\n>From you\r\n"
)


def page_by_page(folder: ExportFolder) -> Html:
    """Make pages."""
    return Html(folder, "title", "note")


@pytest.fixture
def shelf(seed: int) -> Shelf:
    """Keep odd and ordinary messages in three mailboxes, one of a server whose delimiter is a dot."""
    shelf = Shelf({"INBOX": "/", "Work.Été": "."})
    flags = [SEEN, ANSWERED, FLAGGED, "$Forwarded", "$label1"]
    draw = random.Random(seed)
    samples = [each.raw for each in corpus(60, seed=seed, now=WHEN, sizes="tiny")]
    for number, raw in enumerate([FORGED, *(each.raw for each in nasty() if each.raw), *samples]):
        date = WHEN + timedelta(hours=number) if number % 7 else None
        name = ("INBOX", "Work.Été", "Work/2014")[number % 3]
        shelf.add(raw, name, date=date, flags=draw.sample(flags, draw.randrange(5)))
    return shelf


def test_eml_files_are_the_octets(shelf: Shelf, tmp_path: Path) -> None:
    """One for each message, in folders by mailbox, with the time it was received."""
    finished, _ = exported(shelf, tmp_path / "out", Eml)
    files = files_of(tmp_path / "out")
    assert (finished.files, finished.total.written, finished.exit_code) == (len(files),) * 2 + (ExitCode.DONE,)
    assert sorted(sha256(raw).hexdigest() for raw in files.values()) == sorted(found.id for found in shelf.found)
    assert {name.rpartition("/")[0] for name in files} == {"INBOX", "Work/Été", "Work/2014"}
    for found in shelf.found:
        path = next(path for path in (tmp_path / "out").rglob("*.eml") if found.id[:12] in path.name)
        if found.internal_date is not None:
            assert path.stat().st_mtime == found.internal_date.timestamp()
            assert path.name.startswith(f"{found.internal_date:%Y-%m-%d} ")


def test_equal_octets_in_a_mailbox_twice_are_two_files(tmp_path: Path) -> None:
    """Nothing is overwritten."""
    shelf = Shelf()
    for _ in range(3):
        shelf.add(b"Subject: same\r\n\r\n")
    exported(shelf, tmp_path / "out", Eml)
    assert len(files_of(tmp_path / "out")) == 3


def test_mbox_files_give_the_octets_and_flags_back(shelf: Shelf, tmp_path: Path) -> None:
    """By our own import; and Python and mutt find as many messages in them."""
    finished, _ = exported(shelf, tmp_path / "out", Mbox)
    files = files_of(tmp_path / "out")
    assert sorted(files) == ["INBOX.mbox", "Work/2014.mbox", "Work/Été.mbox"]
    assert (finished.files, finished.exit_code) == (3, ExitCode.DONE)
    back = [each for each in imports.look(tmp_path / "out").messages() if isinstance(each, ForeignMessage)]
    expected = {(found.digest, found.internal_date, found.flags) for found in shelf.found}
    assert {(digested(each.chunks())[0], each.date, each.flags) for each in back} == expected
    assert len(back) == len(shelf.found)
    for name in files:
        wanted = [found for found in shelf.found if f"{found.mailbox.replace('.', '/')}.mbox" == name]
        with closing(mailbox.mbox(tmp_path / "out" / name, create=False)) as box:
            assert len(box) == len(wanted)
            for message, found in zip(box, wanted, strict=True):
                letters = set(message.get_flags())
                pairs = ((SEEN, "R"), (ANSWERED, "A"), (FLAGGED, "F"))
                assert letters - {"O"} == {letter for flag, letter in pairs if flag in (found.flags or ())}


def test_thunderbird_finds_folders_and_flags(shelf: Shelf, tmp_path: Path) -> None:
    """Below one folder; a forged status is not obeyed, and flags are in the fields that Thunderbird reads."""
    finished, _ = exported(shelf, tmp_path / "out", lambda folder: Thunderbird(folder, "my mail"))
    files = files_of(tmp_path / "out")
    top = "my mail.sbd"
    assert sorted(files) == [
        "my mail",
        f"{top}/INBOX",
        f"{top}/Work",
        f"{top}/Work.sbd/2014",
        f"{top}/Work.sbd/Été",
    ]
    assert files["my mail"] == files[f"{top}/Work"] == b""
    assert finished.files == len(files)
    assert not any(name.endswith(".msf") for name in files)
    first = files[f"{top}/INBOX"].split(b"\nFrom - ")[0].split(b"\n")
    assert first[0].startswith(b"From - ")
    bits = {SEEN: 1, ANSWERED: 2, FLAGGED: 4, "$Forwarded": 0x1000}
    flags = shelf.found[0].flags or frozenset()
    status = sum(bit for flag, bit in bits.items() if flag in flags)
    assert first[1:4] == [
        f"X-Mozilla-Status: {status:04x}".encode(),
        b"X-Mozilla-Status2: 00000000",
        b"X-Mozilla-Keys: " + (b"$label1" if "$label1" in flags else b"").ljust(80),
    ]
    assert b"X-Mailarchive-Was-X-Mozilla-Status: 0009" in first
    assert first[-4:-1] == [b"Hello", b">From me", b">>From you"]
    for name in ("INBOX", "Work.sbd/2014", "Work.sbd/Été"):
        wanted = [found for found in shelf.found if found.mailbox.replace(".", "/") == name.replace(".sbd", "")]
        with closing(mailbox.mbox(tmp_path / "out" / top / name, create=False)) as box:
            assert len(box) == len(wanted)


@pytest.mark.reader("mutt")
def test_mutt_finds_them_with_their_flags(shelf: Shelf, tmp_path: Path) -> None:
    """In an mbox file, and in a folder of Thunderbird as many messages."""
    exported(shelf, tmp_path / "mbox", Mbox)
    exported(shelf, tmp_path / "bird", lambda folder: Thunderbird(folder, "top"))
    flags = [found.flags or frozenset() for found in shelf.found if found.mailbox == "INBOX"]
    expected = {
        "~A": len(flags),
        "~F": sum(FLAGGED in each for each in flags),
        "~Q": sum(ANSWERED in each for each in flags),
    }
    for pattern, count in expected.items():
        assert counted("mutt", tmp_path / "mbox" / "INBOX.mbox", pattern, tmp_path) == count, pattern
    assert counted("mutt", tmp_path / "bird" / "top.sbd" / "INBOX", "~A", tmp_path) == len(flags)


ATTACHED = b"""From: a@example.org\r
Subject: files\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
\r
text\r
--b\r
Content-Type: application/pdf; name="../../etc/report.pdf"\r
Content-Disposition: attachment; filename="../../etc/report.pdf"\r
Content-Transfer-Encoding: base64\r
\r
aGVsbG8gd29ybGQ=\r
--b\r
Content-Disposition: attachment; filename="C:\\\\x\\\\report.pdf"\r
\r
second\r
--b\r
Content-Type: message/rfc822\r
\r
Subject: inside\r
\r
deep\r
--b\r
Content-Type: image/png\r
Content-Disposition: attachment\r
\r
png\r
--b--\r
"""


def test_f126_attachments_are_files_with_names_of_their_own(tmp_path: Path) -> None:
    """Decoded; of a path only the last part; what has no name is called by its number."""
    shelf = Shelf()
    shelf.add(ATTACHED, "INBOX", date=WHEN)
    shelf.add(b"Subject: none\r\n\r\n", "INBOX", date=WHEN)
    finished, _ = exported(shelf, tmp_path / "out", Attachments)
    files = files_of(tmp_path / "out")
    assert files == {
        "INBOX/2014-03-01 report.pdf": b"hello world",
        "INBOX/2014-03-01 report (2).pdf": b"second",
        "INBOX/2014-03-01 message 4.eml": b"Subject: inside\r\n\r\ndeep",
        "INBOX/2014-03-01 part 5.png": b"png",
    }
    assert (finished.files, finished.total.written) == (4, 2)


@pytest.mark.parametrize("form", [Eml, Mbox, Attachments, lambda folder: Thunderbird(folder, "x"), page_by_page])
def test_dates_at_the_ends_of_the_calendar(tmp_path: Path, form: Callable[[ExportFolder], Form]) -> None:
    """Which are outside of it in another zone."""
    shelf = Shelf()
    zone = timezone(timedelta(hours=14))
    for date in (datetime(1, 1, 1, tzinfo=zone), datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=12)))):
        shelf.add(ATTACHED + f"{date}".encode(), date=date)
    shelf.add(ATTACHED, date=datetime(33, 4, 3, tzinfo=UTC))
    finished, _ = exported(shelf, tmp_path / "out", form)
    assert (finished.total.written, finished.exit_code, finished.error) == (3, ExitCode.DONE, "")


def test_a_large_attachment_is_not_held(tmp_path: Path) -> None:
    """A message that is too large for memory gives the same."""
    octets = random.Random(1).randbytes(IN_MEMORY)
    raw = ATTACHED.replace(b"aGVsbG8gd29ybGQ=", encodebytes(octets).replace(b"\n", b"\r\n"))
    assert len(raw) > IN_MEMORY
    shelf = Shelf()
    shelf.add(raw, date=WHEN)
    exported(shelf, tmp_path / "out", Attachments)
    assert files_of(tmp_path / "out")["INBOX/2014-03-01 report.pdf"] == octets


@pytest.mark.parametrize("form", [Eml, Mbox, Attachments, lambda folder: Thunderbird(folder, "x"), page_by_page])
def test_a_damaged_copy_is_told_and_not_written(tmp_path: Path, form: Callable[[ExportFolder], Form]) -> None:
    """The others are, and the code says that something is wrong."""
    shelf = Shelf()
    bad, gone = shelf.add(ATTACHED, date=WHEN), shelf.add(b"Subject: gone\r\n\r\n")
    shelf.add(ATTACHED + b"more", date=WHEN)
    shelf.octets[bad.digest] = ATTACHED.replace(b"second", b"forged")
    del shelf.octets[gone.digest]
    finished, said = exported(shelf, tmp_path / "out", form)
    assert (finished.total.found, finished.total.written, finished.total.failed) == (3, 1, 2)
    assert finished.exit_code is ExitCode.ARCHIVE
    assert [event.digest for event in of_type(said, NotExported)] == [bad.digest, gone.digest]
    assert not any(b"forged" in octets for octets in files_of(tmp_path / "out").values())


def test_a_full_disk_ends_it_and_leaves_nothing(shelf: Shelf, tmp_path: Path) -> None:
    """With 14."""

    class Full(Eml):
        def add(self, _: object) -> int:
            raise DiskError("no space left")

    finished, _ = exported(shelf, tmp_path / "out", Full)
    assert (finished.exit_code, finished.error) == (ExitCode.DISK, "no space left; nothing was exported")
    assert list(tmp_path.iterdir()) == []


def test_somebody_who_stops_it_leaves_nothing(shelf: Shelf, tmp_path: Path) -> None:
    """With the code of the signal."""
    asked = 0

    def stop() -> ExitCode | None:
        nonlocal asked
        asked += 1
        return ExitCode.INTERRUPT if asked > 3 else None

    finished, _ = exported(shelf, tmp_path / "out", Eml, stop=stop)
    assert (finished.exit_code, finished.total.written) == (ExitCode.INTERRUPT, 3)
    assert list(tmp_path.iterdir()) == []
