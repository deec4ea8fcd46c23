"""Mailbox names to folder names and back (`mailarchive.archives.names`)."""

from __future__ import annotations

import random
import unicodedata
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailarchive.archives.names import PART, PATH, Names, escape_part, unescape_part

if TYPE_CHECKING:
    from collections.abc import Iterable

NFC = "Caf\N{LATIN SMALL LETTER E WITH ACUTE}"
NFD = "Cafe\N{COMBINING ACUTE ACCENT}"


class Disk:
    """Folders as an archive has them, and the names its marker holds."""

    def __init__(self, *folders: str) -> None:
        self.folders: set[tuple[str, ...]] = set()
        self.names: dict[str, str] = {}
        for folder in folders:
            self.make(tuple(folder.split("/")))

    def make(self, folder: tuple[str, ...]) -> None:
        """Make a folder with its parents, and a Maildir in it."""
        for count in range(1, len(folder) + 1):
            self.folders.add(folder[:count])
        self.folders.update((*folder, sub) for sub in ("cur", "new", "tmp", "dovecot-uidlist"))

    def siblings(self, above: tuple[str, ...]) -> Iterable[str]:
        """Give what is in a folder."""
        return [folder[-1] for folder in self.folders if folder[:-1] == above]

    def open(self, *, mbox: bool = False) -> Names:
        """Begin a run."""
        return Names(self.siblings, self.names, self.names.__setitem__, mbox=mbox)


def folders(names: Iterable[str], *there: str, delimiter: str | None = "/") -> list[str]:
    """Give the folders of some mailboxes in an archive that holds some folders already."""
    opened = Disk(*there).open()
    return ["/".join(opened.folder(name, delimiter)) for name in names]


@pytest.mark.parametrize(
    ("part", "folder"),
    [
        ("Work", "Work"),
        ("Été 2014", "Été 2014"),
        ("日本語", "日本語"),
        ("❤️", "❤️"),
        ("-rf", "-rf"),
        ("4711", "4711"),
        (" leading blank", " leading blank"),
        ("", "%"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "%2E.%2E"),
        (".hidden", "%2Ehidden"),
        ("~user", "%7Euser"),
        ("a~b.c", "a~b.c"),
        ("end.", "end%2E"),
        ("end ", "end%20"),
        ("100%", "100%25"),
        ("%2E", "%252E"),
        ("a/b", "a%2Fb"),
        ("a\\b", "a%5Cb"),
        ('a:b*c?d"e<f>g|h', "a%3Ab%2Ac%3Fd%22e%3Cf%3Eg%7Ch"),
        ("a\0b\nc\x1b[2J", "a%00b%0Ac%1B[2J"),
        ("\x7f\x85\x9b", "%7F%C2%85%C2%9B"),
        ("a\u202eb\u200bc\u2028", "a%E2%80%AEb%E2%80%8Bc%E2%80%A8"),
        ("\udce9", "%ED%B3%A9"),
        ("cur", "%63ur"),
        ("New", "%4Eew"),
        ("TMP", "%54MP"),
        ("cur.x", "%63ur.x"),
        ("current", "current"),
        ("CON", "%43ON"),
        ("con.txt", "%63on.txt"),
        ("com1", "%63om1"),
        ("com10", "com10"),
        ("Lpt9.x.y", "%4Cpt9.x.y"),
        ("nul .x", "%6Eul .x"),
        ("dovecot-uidlist", "%64ovecot-uidlist"),
        ("dovecot-keywords", "%64ovecot-keywords"),
        ("dovecot.index.log", "%64ovecot.index.log"),
        ("dovecot-users", "dovecot-users"),
        (".mailarchive", "%2Emailarchive"),
        ("2014.mbox", "2014.mbox"),
    ],
)
def test_a_part_is_escaped_and_read_back(part: str, folder: str) -> None:
    """The table of the format: only what must be is escaped, as the hex digits of its UTF-8 octets."""
    assert escape_part(part) == folder
    assert unescape_part(folder) == part


@pytest.mark.parametrize(
    ("part", "folder"),
    [
        ("2014.mbox", "2014%2Embox"),
        ("2014.MBOX", "2014%2EMBOX"),
        ("2014.mbox.lock", "2014%2Embox.lock"),
        ("2014.mbox.x", "2014.mbox.x"),
    ],
)
def test_in_an_mbox_archive_the_names_of_our_files_are_reserved(part: str, folder: str) -> None:
    """A mailbox `2014.mbox` must not meet the file of that name."""
    assert escape_part(part, mbox=True) == folder
    assert unescape_part(folder) == part
    assert Disk().open(mbox=True).folder(part, "/") == (folder,)


@pytest.mark.parametrize("folder", ["100%", "%2e", "%GG", "%~0123456789abcdef", "%C3", "a%FFb", "\udce9", "%2"])
def test_what_escape_does_not_write_cannot_be_read_back(folder: str) -> None:
    """Half an escape, small hex digits, a cut, or octets that are no UTF-8."""
    assert unescape_part(folder) is None


@pytest.mark.parametrize(
    ("name", "delimiter", "folder"),
    [
        ("INBOX", "/", "INBOX"),
        ("inbox", "/", "INBOX"),
        ("Inbox", None, "INBOX"),
        ("INBOX/x", "/", "INBOX/x"),
        ("inbox/x", "/", "%69nbox/x"),
        ("x/inbox", "/", "x/inbox"),
        ("\N{LATIN SMALL LETTER DOTLESS I}nbox", "/", "%C4%B1nbox"),
        ("a.b", ".", "a/b"),
        ("a/b", ".", "a%2Fb"),
        ("a/b", None, "a%2Fb"),
        ("a\\b", "\\", "a/b"),
        ("../../x", "/", "%2E%2E/%2E%2E/x"),
        ("/abs", "/", "%/abs"),
        ("a/../b", "/", "a/%2E%2E/b"),
        ("a//b/", "/", "a/%/b/%"),
        ("", "/", "%"),
        ("a/cur", "/", "a/%63ur"),
        ("a/dovecot-uidlist", "/", "a/%64ovecot-uidlist"),
        (".mailarchive/runs", "/", "%2Emailarchive/runs"),
        ("&Jjo", "/", "&Jjo"),
    ],
)
def test_a_mailbox_gets_its_folder(name: str, delimiter: str | None, folder: str) -> None:
    """Split at the server's delimiter, one folder a part, INBOX in any case, never outside the archive."""
    assert folders([name], delimiter=delimiter) == [folder]
    assert folders([name], "INBOX", "a", delimiter=delimiter) == [folder]


@pytest.mark.parametrize(
    ("names", "there", "expected"),
    [
        (["Foo", "foo"], [], ["Foo", "%66oo"]),
        (["foo", "Foo"], [], ["foo", "%46oo"]),
        (["foo", "Foo"], ["Foo"], ["%66oo", "Foo"]),
        (["Foo", "foo", "FOO", "fOO"], [], ["Foo", "%66oo", "%46OO", "%66%4F%4F"]),
        (["2014 a", "2014 A"], [], ["2014 a", "2014 %41"]),
        ([".a", ".A"], [], ["%2Ea", "%2E%41"]),
        (["cur", "CUR"], [], ["%63ur", "%43UR"]),
        ([NFC, NFD], [], [NFC, "Cafe%CC%81"]),
        ([NFD, NFC], [], [NFD, "Caf%C3%A9"]),
        ([NFC, NFD.upper()], [], [NFC, "%43AFE\N{COMBINING ACUTE ACCENT}"]),
        (["1", "\N{CIRCLED DIGIT ONE}"], [], ["1", "%E2%91%A0"]),
        (["\N{CIRCLED DIGIT ONE}", "1"], [], ["\N{CIRCLED DIGIT ONE}", "%31"]),
        (["strasse", "stra\N{LATIN SMALL LETTER SHARP S}e"], [], ["strasse", "%73tra\N{LATIN SMALL LETTER SHARP S}e"]),
        (["\N{HEAVY BLACK HEART}", "\N{HEAVY BLACK HEART}\ufe0f"], [], ["\u2764", "%E2%9D%A4%EF%B8%8F"]),
        (["A/x", "a/x", "a/X"], [], ["A/x", "%61/x", "%61/%58"]),
        (["%66oo", "Foo", "foo"], [], ["%2566oo", "Foo", "%66oo"]),
    ],
)
def test_f100_names_that_a_filesystem_would_fold_are_kept_apart(
    names: list[str], there: list[str], expected: list[str]
) -> None:
    """Case and normal form: the older folder keeps the plain name, the other is escaped."""
    assert folders(names, *there) == expected


def test_f108_a_long_part_is_cut_and_its_name_recorded() -> None:
    """Over 200 octets: cut, `%~`, 16 digits of the hash of the whole name, and the true name goes to the marker."""
    disk = Disk()
    name = "Lists/" + "é" * 150
    folder = disk.open().folder(name, "/")
    digits = sha256(name.encode()).hexdigest()[:16]
    assert folder == ("Lists", "é" * 91 + "%~" + digits)
    assert len(folder[1].encode()) == PART
    assert disk.names == {"/".join(folder): name}
    assert disk.open().mailbox(folder, "/") == name


def test_a_mailbox_below_a_cut_one_lies_in_its_folder() -> None:
    """The cut folder of a parent is that of the parent mailbox, whichever of the two came first."""
    parent = "x" * 201
    for names in ([parent, f"{parent}/child"], [f"{parent}/child", parent]):
        disk = Disk()
        opened = disk.open()
        found = {name: opened.folder(name, "/") for name in names}
        assert found[f"{parent}/child"] == (*found[parent], "child")
        assert list(disk.names.values()) == [parent]
        assert disk.open().mailbox(found[f"{parent}/child"], "/") == f"{parent}/child"


def test_a_long_part_is_not_cut_in_an_escape() -> None:
    """An escape or a character is never cut in two."""
    for count in range(10):
        cut = folders(["y" * count + ":" * 200])[0].split("%~")[0]
        assert unescape_part(cut) == "y" * count + ":" * ((182 - count) // 3)


def test_f108_a_deep_mailbox_is_shortened() -> None:
    """What goes beyond the longest path becomes one part with a hash, and the true name is recorded."""
    disk = Disk()
    opened = disk.open()
    names = ["/".join(["z" * 180] * depth) for depth in range(1, 40)]
    found = {name: opened.folder(name, "/") for name in names}
    assert len(set(found.values())) == len(names)
    assert all(len("/".join(folder).encode()) <= PATH + PART for folder in found.values())
    assert all(disk.open().mailbox(folder, "/") == name for name, folder in found.items())
    assert [disk.open().folder(name, "/") for name in names] == list(found.values())


def test_colliding_hashes_get_longer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where 16 digits are taken by another mailbox, all 64 are written."""

    class Weak:
        def __init__(self, data: bytes) -> None:
            self._digest = sha256(data).hexdigest()

        def hexdigest(self) -> str:
            return "0" * 16 + self._digest[16:]

    monkeypatch.setattr("mailarchive.archives.names.sha256", Weak)
    disk = Disk()
    names = ["w" * 300, "w" * 301]
    found = [disk.open().folder(name, "/") for name in names]
    assert found[0] != found[1]
    assert len(found[1][0].rpartition("%~")[2]) == 64
    assert [disk.open().mailbox(folder, "/") for folder in found] == names


def test_a_recorded_name_can_be_written_as_toml() -> None:
    """A lone surrogate, which no file can hold, is recorded as a question mark, once."""
    disk = Disk()
    calls: list[tuple[str, str]] = []

    def record(folder: str, true: str) -> None:
        calls.append((folder, true))
        disk.names[folder] = true

    name = "\udce9" + "v" * 300
    for _ in range(2):
        disk.make(Names(disk.siblings, disk.names, record).folder(name, "/"))
    assert [true for _, true in calls] == ["?" + "v" * 300]


def test_two_delimiters_on_one_server_do_not_mix_mailboxes() -> None:
    """`a.b` of one namespace and `a/b` of another have folders of their own."""
    disk = Disk()
    opened = disk.open()
    one, two = opened.folder("a/b", "/"), opened.folder("a.b", ".")
    assert one == ("a", "b")
    assert two[1].startswith("b%~")
    disk.make(one)
    disk.make(two)
    again = disk.open()
    assert (again.folder("a.b", "."), again.folder("a/b", "/")) == (two, one)


@pytest.mark.parametrize(
    ("folder", "delimiter", "name"),
    [
        (("INBOX",), "/", "INBOX"),
        (("a", "%63ur"), ".", "a.cur"),
        (("%66oo",), None, "foo"),
        (("a%2Fb",), None, "a/b"),
        (("a", "%"), "/", "a/"),
        (("a", "100%"), "/", None),
        (("b%~0123456789abcdef",), "/", None),
    ],
)
def test_a_folder_is_read_back(folder: tuple[str, ...], delimiter: str | None, name: str | None) -> None:
    """The same table backwards; a folder that no mailbox can have has no name."""
    assert Disk().open().mailbox(folder, delimiter) == name


def test_the_disk_is_asked_once_for_a_folder() -> None:
    """Ten thousand mailboxes side by side do not list their parent ten thousand times."""
    asked = []
    disk = Disk("Lists")

    def siblings(above: tuple[str, ...]) -> Iterable[str]:
        asked.append(above)
        return disk.siblings(above)

    opened = Names(siblings, {}, disk.names.__setitem__)
    for number in range(100):
        opened.folder(f"Lists/{number}", "/")
    assert sorted(asked) == [(), ("Lists",)]


LETTERS = st.one_of(
    st.sampled_from(
        [*"aAbBkK%/\\:. ~-19", "ß", "ẞ", "ss", "\u0131", "İ", "\u212a", "é", "e\u0301", "①", "\u202e", "\x1b", "\ufe0f"]
    ),
    st.characters(),
)
WORDS = st.sampled_from(["cur", "Cur", "new", "TMP", "con", "CON", "inbox", "INBOX", "Foo", "foo", "%66oo", "..", "%"])
PARTS = st.one_of(WORDS, st.lists(LETTERS, max_size=6).map("".join), st.text(max_size=4).map(lambda text: text * 70))
MAILBOXES = st.lists(st.lists(PARTS, min_size=1, max_size=4).map("/".join), max_size=8, unique=True)


def folded(folder: tuple[str, ...]) -> str:
    """Give a folder as macOS or Windows would compare it."""
    return unicodedata.normalize("NFC", "/".join(folder).casefold())


@given(MAILBOXES, st.sampled_from(["/", ".", None]), st.randoms(use_true_random=False))
@example(["aK", "a\u212a", "AK"], "/", random.Random(1))
def test_any_set_of_mailboxes_has_distinct_lasting_folders(
    names: list[str], delimiter: str | None, order: random.Random
) -> None:
    """Distinct even where case and form are folded, inside the archive, readable back, and the same in every run."""
    disk = Disk()
    opened = disk.open()
    wanted = {"INBOX" if name.isascii() and name.upper() == "INBOX" else name for name in names}
    found = {name: opened.folder(name, delimiter) for name in sorted(wanted)}
    assert len({folded(folder) for folder in found.values()}) == len(wanted)
    for name, folder in found.items():
        check_parts(folder)
        assert disk.open().mailbox(folder, delimiter) in (name, name.encode("utf-8", "replace").decode())
        disk.make(folder)
    again = disk.open()
    shuffled = sorted(wanted, reverse=True)
    order.shuffle(shuffled)
    assert {name: again.folder(name, delimiter) for name in shuffled} == found


def check_parts(folder: tuple[str, ...]) -> None:
    """Check what a server must never be able to make of a path."""
    assert folder
    assert len("/".join(folder).encode()) <= PATH + PART
    for part in folder:
        assert part not in ("", ".", "..", "cur", "new", "tmp", ".mailarchive", "dovecot-uidlist")
        assert 0 < len(part.encode()) <= PART
        assert not set('/\\\0:*?"<>|') & set(part)
        assert part[0] not in ".~"
        assert part[-1] not in ". "
        assert not {unicodedata.category(letter) for letter in part} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text(st.characters()))
def test_every_part_is_read_back(part: str) -> None:
    """Escaping is reversible for whatever a server may send."""
    assert unescape_part(escape_part(part)) == part
    assert unescape_part(escape_part(part, mbox=True)) == part


@given(st.text("%0123456789ABCDEFabcdef~é./", max_size=12))
def test_two_parts_never_share_a_folder(folder: str) -> None:
    """What can be read back is read back as one part only, which is written as itself or with fewer escapes."""
    part = unescape_part(folder)
    if part is not None:
        assert unescape_part(escape_part(part)) == part
