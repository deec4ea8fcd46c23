"""Whatever stands in files that others may have changed, it is read, or is an error of ours (row 128).

Law of this room: valid files are changed in a few octets, spliced and cut short. What comes out keeps what its type
promises, so that nothing behind it (the catalogue, the system) has to be afraid of it.
"""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailarchive import mbox_block, retold
from mailarchive.archives import manifest, marker, uidlist
from mailarchive.archives.durable import Directory
from mailarchive.archives.mbox_file import MboxFile
from mailarchive.archives.names import Names, Writing, escape_part, unescape_part
from mailarchive.errors import ArchiveError
from mailarchive.foreign import ForeignMessage
from mailarchive.imports import imap_backup, mbox
from mailarchive.imports.maildir import plus_name
from mailarchive.imports.marks import dovecot_keywords, of_file_name
from mailarchive.mbox_block import Facts
from mailarchive.model import UID
from mailarchive.tokens import Tokens
from tests.property.mutation import nearly, only_ours

if TYPE_CHECKING:
    from collections.abc import Iterator

WHEN = datetime(2014, 3, 1, 9, tzinfo=UTC)
FROM = b"From a@example.org Sat Mar  1 10:00:00 2014\n"
MANY = settings(max_examples=200)
LAST = 2**63


def ours(number: int, text: bytes) -> bytes:
    """Write a message as an archive of ours does."""
    facts = Facts(
        f"{number:064x}", len(text), crlf=True, ended=True, length=None, date=WHEN, uid=UID(number), uidvalidity=7
    )
    block = mbox_block.block(FROM, facts, base=mbox_block.new_base(7) if number == 1 else None, known=())
    return mbox_block.with_length(block, len(text)) + text + b"\n"


LETTER = b"From: a@example.org\nSubject: x\n\nhello\n"
MBOXES = [
    b"".join(ours(number, LETTER + b"%d\n" % number) for number in (1, 2, 3)),
    ours(1, LETTER) + FROM + LETTER + b"\n" + ours(2, b"") + b"\0" * 20,
    FROM + b"Status: RO\nX-Mozilla-Status: 0009\nX-Gmail-Labels: =?UTF-8?Q?a,b?=\n" + LETTER + b"\n" + FROM + LETTER,
]
TOKENS = [
    *(
        b"\n\nFrom ",
        b"From ",
        FROM,
        b"\n",
        b"\r\n",
        b"\n\n",
        b">From ",
        b"\0",
        b"X-Mailarchive: ",
        b"X-IMAPbase: 1 0000000001",
    ),
    *(
        b"; length=-5",
        b"; length=",
        b"; size=-1",
        b"; size=1_0",
        b"; size=99999999999999999999",
        b"; uid=0",
        b"; uid=-3",
    ),
    *(
        b"; uidvalidity=4294967296",
        b"; date=0001-01-01T00:00:00%2B14:00",
        b"; date=x",
        b"; eol=raw",
        b"; end=0",
        b"; uidl=%FF",
    ),
    *(
        b"; length=0000000000",
        b"; length=-000000300",
        b"=",
        b";",
        b"%",
        b"\xff",
        b"Status: R\n",
        b"X-UID: 9\n",
        b"\xc2\xb2",
    ),
]


@MANY
@given(nearly(MBOXES, TOKENS))
def test_f128_blocks_of_an_mbox(octets: bytes) -> None:
    """Numbers are those that a catalogue can hold, dates are aware, and a message begins within what was read."""
    found = mbox_block.parse(octets)
    base = mbox_block.parse_base(octets)
    assert base is None or 0 <= base.number < 10**10
    mbox_block.is_part(octets[:300])
    if found is None:
        return
    facts, at = found
    assert 0 < at <= min(len(octets), mbox_block.LIMIT)
    assert 0 <= facts.size < LAST
    assert facts.length is None or 0 <= facts.length < LAST
    assert facts.uidvalidity is None or 0 <= facts.uidvalidity < 2**32
    assert facts.uid is None or isinstance(facts.uid, str) or 0 <= facts.uid < 2**32
    assert facts.date is None or facts.date.tzinfo is not None
    if isinstance(facts.uid, str):
        facts.uid.encode("utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """Give a folder for the files of these tests."""
    place = Directory.at(str(tmp_path_factory.mktemp("fuzz")))
    yield place
    place.close()


def put(folder: Directory, name: str, octets: bytes) -> Path:
    """Write a file."""
    path = Path(folder.path, name)
    path.write_bytes(octets)
    return path


@MANY
@given(nearly(MBOXES, TOKENS))
def test_f128_mbox_files_of_an_archive(folder: Directory, octets: bytes) -> None:
    """What is found stands in the file, one behind the other, and can be read or is an error of ours."""
    put(folder, "2014.mbox", octets)
    file = MboxFile(folder, "2014.mbox")
    behind = 0
    for entry in sorted(file.entries.values()):
        assert behind <= entry.start <= entry.text < entry.start + entry.length <= file.size
        behind = entry.start + entry.length
        with only_ours():
            assert sum(map(len, file.read(entry))) <= 2 * len(octets)
    assert behind <= file.whole <= file.size
    file.is_rest_of_ours(file.whole)


@pytest.mark.parametrize("length", [-1, -1_000_000, 10**30, "back"])
def test_f128_a_message_of_negative_length_ends_no_search(folder: Directory, length: int | str) -> None:
    """It would lead back to its own beginning, and so on for ever."""
    facts = Facts("a" * 64, 5, crlf=True, ended=True, length=None, date=None, uid=None, uidvalidity=None)
    block = mbox_block.block(FROM, facts, base=None, known=())
    said = b"%010d" % (-len(block) - 1 if isinstance(length, str) else length)
    evil = block.replace(b"length=0000000000", b"length=" + said)
    for octets in (ours(1, LETTER) + evil + LETTER + b"\n", evil + LETTER + b"\n"):
        put(folder, "evil.mbox", octets)
        file = MboxFile(folder, "evil.mbox")
        assert file.foreign
        assert file.whole <= len(octets)
    assert mbox_block.parse(evil) is None


INDEX = json.dumps(
    {
        "version": 3,
        "uid_validity": 7,
        "messages": [
            {"uid": 1, "offset": 0, "length": len(FROM + LETTER) + 1, "flags": ["Seen", "\\Flagged"]},
            {"uid": 2, "offset": len(FROM + LETTER) + 1, "length": len(FROM + LETTER), "flags": ["a" * 300]},
        ],
    }
).encode()
JSON = [
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b'"',
    b"null",
    b"-1",
    b"1e999",
    b"9" * 30,
    b"true",
    b'"\\ud800"',
    b"NaN",
    b"0.5",
]


def read_all(path: Path, *, indexed: bool) -> None:
    """Read a file of another program to its end; what comes is less than there is, and sane."""
    reader = imap_backup.messages(path, "Box") if indexed else mbox.messages(path, "Box")
    size = path.with_suffix(".mbox").stat().st_size
    for count, each in enumerate(reader, 1):
        assert count <= size + 3
        if isinstance(each, ForeignMessage):
            assert 0 <= each.extent <= size
            assert each.date is None or each.date.tzinfo is not None
            assert all(flag and not set(flag) & set("\r\n\0 ") for flag in each.flags or ())
            with only_ours():
                assert sum(map(len, each.chunks())) <= 2 * size


@MANY
@given(nearly(MBOXES, TOKENS), nearly([INDEX], JSON))
def test_f128_mail_of_other_programs(folder: Directory, octets: bytes, index: bytes) -> None:
    """An mbox, and what imap-backup keeps beside one."""
    path = put(folder, "old.mbox", octets)
    read_all(path, indexed=False)
    read_all(put(folder, "old.imap", index), indexed=True)
    found = imap_backup.read_index(index)
    assert found is None or all(entry.offset >= 0 <= entry.length for entry in found.entries)


LINES = [
    {"type": "archived", "mailbox": "INBOX", "uidvalidity": 7, "uid": 5, "digest": "sha256:" + "a" * 64, "size": 5,
     "announced": 5, "internal_date": "2014-03-01T09:00:00+00:00", "flags": ["\\Seen"], "location": "INBOX/1.a"},
    {"type": "expunging", "mailbox": "INBOX", "uidl": "x", "digest": "sha256:" + "b" * 64, "size": 0, "location": "x",
     "method": "expunge", "gm_msgid": "5", "ident": "i"},
    {"type": "imported", "mailbox": "INBOX", "digest": "sha256:" + "c" * 64, "size": 1, "location": "x", "flags": []},
    {"type": "mailbox", "name": "INBOX", "folder": "INBOX", "delimiter": "/", "uidvalidity": 7},
]  # fmt: skip
MANIFEST = b"".join(json.dumps(line).encode() + b"\n" for line in LINES)


@MANY
@given(nearly([MANIFEST], [*JSON, b"\n", b"\0", b"[" * 5000, b"0001-01-01T00:00:00+23:59", b'"uid":0', b'"size":true']))
def test_f128_manifests(folder: Directory, octets: bytes) -> None:
    """A line is read, or told as one that makes no sense; numbers fit into a catalogue, texts into UTF-8."""
    Path(folder.path, "runs").mkdir(exist_ok=True)
    put(folder, "runs/run1.jsonl", octets)
    bad: list[str] = []
    for line in manifest.told(folder, "run1", bad.append):
        for read in (retold.told, retold.imported):
            with contextlib.suppress(retold.UnreadableError):
                told = read(line)
                assert 0 <= told.size < LAST
                assert told.announced is None or 0 <= told.announced < LAST
                assert told.internal_date is None or told.internal_date.tzinfo is not None
                assert told.digest.startswith("sha256:")
                json.dumps([told.key[0], told.location, *(told.flags or ())]).encode()
        for each in (retold.shelf, retold.key, retold.digest, lambda line: retold.instant(line, "at")):
            with contextlib.suppress(retold.UnreadableError):
                each(line)
    with only_ours():
        list(manifest.told(folder, "run1"))


UIDLISTS = [
    b"3 V7 N9 G" + b"a" * 32 + b"\n1 :1.%032d.mailarchive,S=5\n2 X3,4 Pabc :2.x:2,S\n7 W5 S6 :foreign\n" % 5,
    b"0 \\Seen\n1 work\n25 Zz\n",
]


@MANY
@given(
    nearly(
        UIDLISTS, [b"3 V", b" N", b"4294967295", b"4294967296", b" X", b",", b" P", b" :", b"\n", b"/", b"\xff", b"0 a"]
    )
)
def test_f128_lists_of_dovecot(octets: bytes) -> None:
    """No UID and no file comes twice, and what is written again is read as the same."""
    text = octets.decode("utf-8", "surrogateescape")
    found = uidlist.parse_uidlist(text)
    if found is not None:
        uids = [uid for file in found.files for uid in file.uids]
        assert len(uids) == len(set(uids))
        assert len({file.name for file in found.files}) == len(found.files)
        assert all(0 < uid <= uidlist.LAST for uid in uids)
        assert not any("/" in file.name or "\n" in file.name for file in found.files)
        assert uidlist.parse_uidlist(found.text()) == found
    assert set(uidlist.parse_keywords(text)) <= set(range(26))
    assert set(dovecot_keywords(text)) <= set(uidlist.LETTERS)
    table = uidlist.Keywords(text)
    assert set(table.letters(["work", "new", "a b"])) <= set(uidlist.LETTERS)
    of_file_name(text, {"a": text})
    plus_name(text)


PARTS = st.text(max_size=40) | st.sampled_from(
    ["", ".", "..", "cur", "CON.txt", "a" * 300, "ä" * 150, "%41", "\ud800", "x.mbox"]
)


@MANY
@given(st.lists(PARTS, min_size=1, max_size=6), st.sampled_from(["/", ".", None, "\0"]), st.booleans())
def test_f128_names_become_folders_inside(parts: list[str], delimiter: str | None, is_mbox: bool) -> None:
    """No name leads out of the archive or is too long for a filesystem, and a part is read back as it was."""
    known: dict[str, str] = {}
    names = Names(lambda _: (), known, known.__setitem__, mbox=is_mbox, writing=Writing(mbox=is_mbox))
    for folder in (names.folder((delimiter or "/").join(parts), delimiter), names.folder(parts[0], None)):
        assert all(part not in ("", ".", "..") and not set(part) & set("/\0\n") for part in folder)
        assert all(len(part.encode()) <= 200 for part in folder)
        assert len("/".join(folder).encode()) < 3300
        names.mailbox(folder, delimiter)
    for part in parts:
        assert unescape_part(escape_part(part, mbox=is_mbox)) == part
        unescape_part(part)


MARKER = marker.Marker.new("imaps://me@example.org:993", marker.KINDS[0], separator=":")
MARKER.names["INBOX/%~x"] = "INBOX/\ttab"
TOML = [
    b"[",
    b"]",
    b"=",
    b'"',
    b"\n",
    b"[[",
    b"{",
    b"1979-05-27",
    b"07:32:00",
    b"'",
    b"\\u0000",
    b"version = 2",
    b"[a]",
    b"[" * 3000,
]


@MANY
@given(nearly([MARKER.text().encode()], TOML))
def test_f128_markers_of_archives(octets: bytes) -> None:
    """It is one in which everything is what it should be, or none."""
    try:
        found = marker.parse(octets.decode("utf-8", "replace"), "archive.toml")
    except ArchiveError:
        return
    assert found.kind in marker.KINDS
    assert found.created_second
    assert all(isinstance(name, str) for name in (*found.names, *found.names.values()))


def test_f128_a_marker_that_is_nested_without_end() -> None:
    """It cannot be read, and that is said."""
    with pytest.raises(ArchiveError, match="cannot be read"):
        marker.parse("names = " + "[" * 100_000, "archive.toml")


@MANY
@given(
    nearly([json.dumps({"version": 1, "owner": "o", "access": "a", "refresh": "r", "expires_at": 5.0}).encode()], JSON)
)
def test_f128_tokens_that_were_kept(octets: bytes) -> None:
    """They can be used and written again, or are none."""
    found = Tokens.of(octets.decode("utf-8", "replace"))
    if found is not None:
        assert found.expires_at is None or found.expires_at - 5.0 < 1e309
        assert Tokens.of(found.text()) is not None
