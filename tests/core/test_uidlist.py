"""`dovecot-uidlist` and `dovecot-keywords` as text (`archive-format.md` section 4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.archives.uidlist import LAST, Keywords, Numbered, UidList, parse_keywords, parse_uidlist

GUID = "3a1cf30aaeec036bb16b000083ecc375"
FIRST = "1393664400.093205eaebd68fd9184915d1265a6d96.mailarchive,S=136"
SECOND = "1393664401.fb3e44c19c3da6673309b1bd3ec61812.mailarchive,S=136"
TEXT = f"3 V1234567 N900 G{GUID}\n5 :{FIRST}\n17 X18,44 :{SECOND}\n"
LIST = UidList(1234567, 900, GUID, (Numbered(FIRST, (5,)), Numbered(SECOND, (17, 18, 44))))


def test_the_example_of_the_format_is_written_and_read() -> None:
    """Header with V, N and G; one line a file; further UIDs in X."""
    assert LIST.text() == TEXT
    assert parse_uidlist(TEXT) == LIST


def test_a_uidl_stands_in_p_if_it_can() -> None:
    """RFC 1939 section 7: 1 to 70 characters from 0x21 to 0x7E; others have a line without it."""
    files = (Numbered("a", (1,), "uidl-4711:x"), Numbered("b", (2,), "two words"), Numbered("c", (3,), "x" * 71))
    text = UidList(5, 4, "", files).text()
    assert text == "3 V5 N4\n1 Puidl-4711:x :a\n2 :b\n3 :c\n"
    found = parse_uidlist(text)
    assert found is not None
    assert [file.uidl for file in found.files] == ["uidl-4711:x", "", ""]


@pytest.mark.parametrize(
    "text",
    ["", "\n", "1 1234 5\n", "3\n", "3 V12\n", "3 N12\n", "3 V0 N1\n", "3 V-1 N1\n", "3 Vx N1\n", "3 V99999999999 N1"],
)
def test_what_is_no_list_is_none(text: str) -> None:
    """Empty, of another version, or without the two numbers of the header."""
    assert parse_uidlist(text) is None


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("7 W140 S136 Gabc Pu :x", [Numbered("x", (7,), "u")]),
        ("7 :x:2,FSa", [Numbered("x", (7,))]),
        ("7 :x;2,FSa", [Numbered("x", (7,))]),
        ("7 :a:b", [Numbered("a:b", (7,))]),
        ("7 x", []),
        ("7 :", []),
        ("7 :../x", []),
        ("0 :x", []),
        ("4294967296 :x", []),
        ("x :x", []),
        ("7 X8,0 :x", []),
        ("7 X :x", []),
        ("7 :x\n8 :x", [Numbered("x", (7,))]),
        ("7 :x\n7 :y", [Numbered("x", (7,))]),
        ("7 X9 :x\n9 :y", [Numbered("x", (7, 9))]),
        ("9 :x\n7 :y", [Numbered("y", (7,)), Numbered("x", (9,))]),
    ],
)
def test_what_others_write_is_read_as_far_as_it_makes_sense(line: str, files: list[Numbered]) -> None:
    """Unknown extensions are skipped, names end before the flags; nonsense and second mentions are left out."""
    found = parse_uidlist(f"3 V1 N5\n{line}\n")
    assert found is not None
    assert list(found.files) == files
    assert found.uidnext == max([5, *(uid + 1 for file in files for uid in file.uids)])


NAMES = st.text("abc0123456789.=:; ", min_size=1, max_size=12).map(lambda text: f"m{text}m")
UIDS = st.lists(st.integers(1, LAST - 1), min_size=1, max_size=30, unique=True)


@given(UIDS, st.lists(NAMES, min_size=1, max_size=10, unique=True))
def test_every_list_is_read_back(uids: list[int], names: list[str]) -> None:
    """Text and value are one."""
    shares: dict[str, list[int]] = {}
    for at, uid in enumerate(uids):
        shares.setdefault(names[at % len(names)], []).append(uid)
    files = sorted((Numbered(name, tuple(sorted(share))) for name, share in shares.items()), key=lambda file: file.uids)
    made = UidList(9, max(uids) + 1, GUID, tuple(files))
    assert parse_uidlist(made.text()) == made


@given(st.text())
def test_any_text_is_read_without_a_failure(text: str) -> None:
    """Nothing of the mail hangs on these files."""
    parse_keywords(text)
    found = parse_uidlist(f"3 V1 N1\n{text}")
    assert found is not None
    assert parse_uidlist(found.text()) == found


def test_keywords_get_letters_in_order_of_first_sight() -> None:
    """Never renumbered; the same keyword in another case has the same letter; flags have none here."""
    table = Keywords("")
    assert table.letters({"\\Seen", "\\Deleted"}) == ""
    assert not table.grown
    assert table.letters({"Junk", "$label1"}) == "ab"
    assert table.letters({"JUNK", "zeta", "Alpha"}) == "bcd"
    assert table.text == "0 $label1\n1 Junk\n2 Alpha\n3 zeta\n"
    again = Keywords(table.text)
    assert again.letters({"zeta", "new"}) == "de"
    assert again.text == table.text + "4 new\n"


def test_the_27th_keyword_has_no_letter() -> None:
    """It stands in the manifest only."""
    table = Keywords("")
    assert table.letters({f"k{number:02}" for number in range(28)}) == "abcdefghijklmnopqrstuvwxyz"
    assert len(parse_keywords(table.text)) == 26
    assert table.letters({"k27", "k25"}) == "z"


@pytest.mark.parametrize("flag", ["two words", "a\nb", "a(b", "a%", 'a"b', "odd]", "é", "", "x" * 251])
def test_what_is_no_atom_has_no_letter(flag: str) -> None:
    """RFC 9051 section 9; it would break the file, or the answer of whoever serves the archive."""
    table = Keywords("")
    assert table.letters({flag}) == ""
    assert table.text == ""


def test_what_others_have_written_is_kept() -> None:
    """Numbers with gaps, no last line end, lines that make no sense: new keywords come behind, the rest stays."""
    table = Keywords("3 Work\nnonsense\n5 work\n7 odd]")
    assert table.letters({"work", "new"}) == "di"
    assert table.text == "3 Work\nnonsense\n5 work\n7 odd]\n8 new\n"


def test_a_letter_without_a_line_is_not_given_again() -> None:
    """The file was lost, and names still carry `b`: the next keyword is `c`."""
    assert Keywords("", "bS").letters({"new"}) == "c"
    assert parse_keywords("26 no\n-1 no\n1\n2 \n25 last\n25 twice") == {25: "last"}
