"""Mailbox names to folders of a Maildir++ and back (`mailarchive.archives.flat`)."""

from __future__ import annotations

import random
import unicodedata
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailarchive.archives.flat import FlatNames, decode
from mailarchive.utf7 import encode
from tests.core.test_names import MAILBOXES, NFC, NFD

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 250
"""Octets of a folder's name; a filesystem takes 255."""


class Disk:
    """An archive in this layout, and the names that its marker holds."""

    def __init__(self, *folders: str) -> None:
        self.folders = set(folders)
        self.names: dict[str, str] = {}

    def siblings(self, above: tuple[str, ...]) -> Iterable[str]:
        """Give what is in the folder of INBOX; nothing else is asked for."""
        assert above == ("Maildir",)
        return ["cur", "new", "tmp", "dovecot-uidlist", *self.folders]

    def make(self, folder: tuple[str, ...]) -> None:
        """Make a folder."""
        self.folders.update(folder[1:])

    def open(self) -> FlatNames:
        """Begin a run."""
        return FlatNames(self.siblings, dict(self.names), self.names.__setitem__)


def folders(names: Iterable[str], *there: str, delimiter: str | None = "/") -> list[str]:
    """Give the folders of some mailboxes, without the one that they all lie in."""
    opened = Disk(*there).open()
    found = [opened.folder(name, delimiter) for name in names]
    assert all(folder[0] == "Maildir" for folder in found)
    return ["/".join(folder[1:]) for folder in found]


@pytest.mark.parametrize(
    ("name", "delimiter", "folder"),
    [
        ("INBOX", "/", ""),
        ("inbox", "/", ""),
        ("INBOX/x", "/", ".INBOX.x"),
        ("inbox/x", "/", ".%69nbox.x"),
        ("Work/2014", "/", ".Work.2014"),
        ("Work.2014", ".", ".Work.2014"),
        ("Work.2014", "/", ".Work%2E2014"),
        ("Work/2014", ".", ".Work%2F2014"),
        ("Été", "/", ".&AMk-t&AOk-"),
        ("日本/東京", "/", ".&ZeVnLA-.&Z3FOrA-"),
        ("a&b", "/", ".a&-b"),
        ("&Jjo", "/", ".&-Jjo"),
        ("&Jjo-&Jjo-", "/", ".&-Jjo-&-Jjo-"),
        ("100%", "/", ".100%25"),
        ("../../x", "/", ".%2E%2E.%2E%2E.x"),
        ("/etc/passwd", "/", ".%.etc.passwd"),
        ("a//b/", "/", ".a.%.b.%"),
        ("", "/", ".%"),
        (".", "/", ".%2E"),
        ("..", None, ".%2E%2E"),
        ("a\0b\nc\x1b[2J", "/", ".a%00b%0Ac%1B[2J"),
        ("a/cur", "/", ".a.%63ur"),
        ("CON", "/", ".%43ON"),
        ("end.", "/", ".end%2E"),
        ("end ", "/", ".end%20"),
        ("~user", "/", ".%7Euser"),
        ("a\\b", "/", ".a%5Cb"),
        ("a:b", "/", ".a%3Ab"),
        ("maildirfolder", "/", ".%6Daildirfolder"),
        ("\udce9", "/", ".%ED%B3%A9"),
        ("\U0001f600", "/", ".&2D3eAA-"),
        ("a\u202eb", "/", ".a%E2%80%AEb"),
    ],
)
def test_a_mailbox_gets_its_folder(name: str, delimiter: str | None, folder: str) -> None:
    """Flat, behind dots, in modified UTF-7; INBOX is the folder of all others; and the name is read back."""
    assert folders([name], delimiter=delimiter) == [folder]
    assert folders([name], folder, ".a", ".INBOX", delimiter=delimiter) == [folder]
    where = ("Maildir", folder) if folder else ("Maildir",)
    assert Disk().open().mailbox(where, delimiter) == ("INBOX" if name == "inbox" else name)


@pytest.mark.parametrize(
    ("names", "there", "expected"),
    [
        (["Foo", "foo"], [], [".Foo", ".%66oo"]),
        (["foo", "Foo"], [".Foo"], [".%66oo", ".Foo"]),
        (["A/x", "a/x", "a/X"], [], [".A.x", ".%61.x", ".%61.%58"]),
        ([NFC, NFD], [], [".Caf&AOk-", ".Cafe%CC%81"]),
        ([NFD, NFC], [], [".Cafe&AwE-", ".Caf%C3%A9"]),
        (["\u0101", "\u6901"], [], [".&AQE-", ".%E6%A4%81"]),
        (["\u6901", "\u0101"], [], [".&aQE-", ".%C4%81"]),
        (["\u0101"], [".&aqe-"], [".%C4%81"]),
        (["foo"], [".FOO", ".Foo.bar"], [".%66oo"]),
        (["foo.x", "foo/x"], [], [".foo%2Ex", ".foo.x"]),
    ],
)
def test_names_that_a_filesystem_would_fold_are_kept_apart(
    names: list[str], there: list[str], expected: list[str]
) -> None:
    """Case and normal form of the name, and the case of its letters in modified UTF-7."""
    assert folders(names, *there) == expected


@pytest.mark.parametrize(
    "folder",
    [
        ("INBOX",),
        ("Maildir", "cur"),
        ("Maildir", ".INBOX"),
        ("Maildir", "."),
        ("Maildir", ".a..b"),
        ("Maildir", ".&AOk"),
        ("Maildir", ".é"),
        ("Maildir", ".a&b"),
        ("Maildir", ".&AGE-"),
        ("Maildir", ".x%~0123456789abcdef"),
        ("Maildir", ".a", "b"),
        (".a",),
    ],
)
def test_what_we_do_not_write_is_no_mailbox(folder: tuple[str, ...]) -> None:
    """Modified UTF-7 that is broken or not in its one form, a cut name that is not recorded, other folders."""
    assert Disk().open().mailbox(folder, "/") is None


@pytest.mark.parametrize("name", ["x" * 161, "日" * 61, ":" * 300, "a/" * 100 + "b", "/".join(["é" * 20] * 5)])
def test_a_long_name_is_cut_and_recorded(name: str) -> None:
    """By the folder that it has; found again in every run."""
    disk = Disk()
    folder = disk.open().folder(name, "/")
    assert len(folder[1].encode()) <= LONGEST
    assert folder[1].endswith(f"%~{sha256(name.encode()).hexdigest()[:16]}")
    assert disk.names == {"/".join(folder): name}
    disk.make(folder)
    assert disk.open().folder(name, "/") == folder
    assert disk.open().mailbox(folder, "/") == name


def test_a_mailbox_below_a_cut_one_begins_like_it() -> None:
    """Whichever of the two came first."""
    parent = "y" * 170
    for names in ([parent, f"{parent}/child"], [f"{parent}/child", parent]):
        disk = Disk()
        opened = disk.open()
        found = {name: opened.folder(name, "/") for name in names}
        assert found[f"{parent}/child"][1] == f"{found[parent][1]}.child"
        assert disk.open().mailbox(found[f"{parent}/child"], "/") == f"{parent}/child"


@given(MAILBOXES, st.sampled_from(["/", ".", None]), st.randoms(use_true_random=False))
@example(["\u0101", "\u6901"], "/", random.Random(1))
@example(["a.b", "a/b"], "/", random.Random(1))
def test_any_set_of_mailboxes_has_distinct_lasting_folders(
    names: list[str], delimiter: str | None, order: random.Random
) -> None:
    """Distinct even where case is folded, inside the archive, readable back, and the same in every run."""
    disk = Disk()
    opened = disk.open()
    wanted = {"INBOX" if name.isascii() and name.upper() == "INBOX" else name for name in names}
    found = {name: opened.folder(name, delimiter) for name in sorted(wanted)}
    assert len({"/".join(folder).casefold() for folder in found.values()}) == len(wanted)
    for name, folder in found.items():
        check(folder)
        assert disk.open().mailbox(folder, delimiter) in (name, name.encode("utf-8", "replace").decode())
        disk.make(folder)
    again = disk.open()
    shuffled = sorted(wanted, reverse=True)
    order.shuffle(shuffled)
    assert {name: again.folder(name, delimiter) for name in shuffled} == found


def check(folder: tuple[str, ...]) -> None:
    """Check what a server must never be able to make of a path."""
    assert folder[0] == "Maildir"
    assert len(folder) in (1, 2)
    for name in folder[1:]:
        assert name.isascii()
        assert name.isprintable()
        assert len(name) <= LONGEST
        assert name.startswith(".")
        assert all(part and part[-1] != " " and part[0] != "~" for part in name[1:].split("."))
        assert not set('/\\:*?"<>|') & set(name)


@given(st.text())
def test_modified_utf_7_is_read_back(text: str) -> None:
    """RFC 3501 section 5.1.3; one text has one form."""
    assert decode(encode(text)) == text
    assert encode(text).isascii()
    assert unicodedata.normalize("NFC", encode(text)) == encode(text)
