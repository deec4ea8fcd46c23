"""Names of files made of what strangers wrote."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mailarchive.exports import names
from tests.exports.shelf import Shelf


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Rechnung März", "Rechnung März"),
        ("", "unnamed"),
        (".", "unnamed"),
        ("..", "unnamed"),
        ("../../etc/passwd", "etc passwd"),
        ('a/b\\c:d*e?f"g<h>i|j', "a b c d e f g h i j"),
        ("  .hidden. ", "hidden"),
        ("a\x1b[31m\nb\0c", "a [31m b c"),
        ("fdp\u202egpj.exe", "fdp gpj.exe"),
        ("CON", "_CON"),
        ("lpt1.txt", "_lpt1.txt"),
        ("$(rm -rf ~)", "(rm -rf )"),
        ("-rf", "rf"),
        ("e\u0301te\u0301", "été"),
        ("\udce4", "unnamed"),
    ],
)
def test_a_part_of_a_path(text: str, name: str) -> None:
    """Readable, and taken by every system."""
    assert names.part(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("../../.bashrc", "bashrc"),
        ("/etc/passwd", "passwd"),
        ("C:\\Windows\\evil.exe", "evil.exe"),
        ("..", "unnamed"),
        ("a/", "unnamed"),
        (".tar", "tar"),
        ("x" * 300 + ".docx", "x" * 115 + ".docx"),
        ("ä" * 300 + ".docx", "ä" * 57 + ".docx"),
        ("a.b c", "a.b c"),
        ("aux.c", "_aux.c"),
        ("nul", "_nul"),
    ],
)
def test_the_name_that_a_sender_gave(text: str, name: str) -> None:
    """Its last part, with its ending."""
    assert names.file_name(text) == name


def test_f124_any_text_makes_a_name(seed: int) -> None:
    """One part of a path that every system takes, and so does a number in it."""
    draw = random.Random(seed)
    letters = "a.\\/ \0\n\x7f\x85\u202e\u2028\U0001f600é:*%$CONauxcomlpt19-_()" + "\ud800\uffff"
    for _ in range(3000):
        text = "".join(draw.choice(letters) for _ in range(draw.randrange(20)))
        for name in (names.part(text), names.file_name(text), names.numbered(names.file_name(text), 2)):
            assert name == name.strip(" ")
            assert 0 < len(name.encode("utf-8")) <= 143
            assert not name.startswith(".")
            assert not name.endswith(".")
            assert not set(name) & set('\\/:*?"<>|%#&;$`\0\n\x7f\x85\u202e\u2028')
            assert name.split(".")[0].lower() not in ("con", "aux", "com1", "lpt1", "nul", "prn"), ascii(text)


def test_the_name_of_a_message() -> None:
    """The day, the beginning of the subject, and the beginning of the digest."""
    found = Shelf().add(b"Subject: =?utf-8?q?Re:_../=C3=9Cber?=\r\n\r\n", date=datetime(2014, 3, 1, tzinfo=UTC))
    assert names.of_message(found) == f"2014-03-01 Re .. Über {found.id[:12]}"
    assert names.of_message(replace(found, subject="", internal_date=None)) == f"undated no subject {found.id[:12]}"


def test_folders_of_a_mailbox() -> None:
    """One for each part of its name."""
    assert names.folders(("Work", "..", "Été 2014", "", "con")) == ("Work", "_", "Été 2014", "_", "_con")
    assert len(names.folders(("a",) * 1000)) == 20
