"""Lists of messages and one message as text (`mailarchive.screen.letters`)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mailarchive.finding import Found
from mailarchive.model import Digest, Location
from mailarchive.screen.letters import line, message, person, table
from mailarchive.screen.words import cell_width

FOUND = Found(
    digest=Digest("sha256:" + "3f2a9c41b07d" + "0" * 52),
    mailbox="Lists/debian user",
    location=Location("x"),
    size=1_234_567,
    internal_date=datetime(2024, 3, 1, 12, tzinfo=UTC),
    flags=frozenset(),
    subject="Minutes of the meeting of last Monday, and what came of them",
    sender='"Anna Berg" <anna@example.org>',
)
HOSTILE = replace(FOUND, subject="\x1b[2J\u202e東京\t\n", sender="\x9b31m <x@y>", mailbox="\x07", internal_date=None)


WIDE = "2024-03-01  Anna Berg               Minutes of the meeting of last Monday, an…  Lists/debian us…    1.2 MB  "


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (120, f"{WIDE}3f2a9c41b07d"),
        (80, "2024-03-01  Anna Berg               Minutes of the meet…    1.2 MB  3f2a9c41b07d"),
        (60, "2024-03-01  Minutes of the meeting …    1.2 MB  3f2a9c41b07d"),
        (46, "2024-03-01  Minutes of the meet…  3f2a9c41b07d"),
        (20, "2024-03-01  …  3f2a9c41b07d"),
    ],
)
def test_a_table_fits_its_width(width: int, text: str) -> None:
    """What has no room is cut, then left out; date, subject and ID stay."""
    (shown,) = table([("", FOUND)], width)
    assert shown == text
    assert cell_width(shown) <= max(width, 27)


@pytest.mark.parametrize("width", [20, 46, 60, 80, 120, 400])
def test_f124_a_table_holds_nothing_that_steers_a_terminal(width: int) -> None:
    """Escapes are shown as such, wide letters count twice, and columns stay in line."""
    lines = table([("home", HOSTILE), ("", FOUND), ("", replace(FOUND, subject="", sender=""))], width)
    assert all(text.isprintable() and "\u202e" not in text for text in lines)
    assert len({cell_width(text) for text in lines}) == 1


def test_a_line_for_programs_has_six_fields() -> None:
    """Uncut; a tab in a text cannot make a seventh."""
    assert line("home", FOUND).split("\t") == [
        "2024-03-01 12:00+00:00",
        "3f2a9c41b07d",
        "1234567",
        "home: Lists/debian user",
        '"Anna Berg" <anna@example.org>',
        FOUND.subject,
    ]
    fields = line("", HOSTILE).split("\t")
    assert (len(fields), fields[0]) == (6, "-")
    assert all(field.isprintable() for field in fields)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ('"Anna Berg" <anna@example.org>', "Anna Berg"),
        ("anna@example.org", "anna@example.org"),
        ("<anna@example.org>", "anna@example.org"),
        ("a@b, c@d", "a@b, c@d"),
        ("", ""),
        ("<", ""),
    ],
)
def test_a_sender_is_shown_by_name(field: str, name: str) -> None:
    """By the address where there is none."""
    assert person(field) == name


BOTH = (
    b"Subject: s\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
    b"--b\r\n\r\n%s\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>rich</p>\r\n--b--\r\n"
)


@pytest.mark.parametrize(
    ("octets", "html", "text"),
    [
        (BOTH % b"plain", False, "plain"),
        (BOTH % b"plain", True, "rich"),
        (BOTH % b" \r\n", False, "rich"),
        (b"Subject: s\r\n\r\nplain", True, ""),
        (b"", False, ""),
    ],
)
def test_the_plain_text_is_shown_and_html_where_there_is_none(octets: bytes, text: str, *, html: bool) -> None:
    """Or where it is asked for."""
    assert message(FOUND, octets, html=html).text == text


def test_a_long_text_is_cut_and_says_so() -> None:
    """With the command that gives all of it; a message inside is told by a line."""
    lines = message(FOUND, b"Subject: s\r\n\r\n" + b"x\r\n" * 3_000_000).lines(FOUND)
    assert lines[-1] == "… cut here; all of it: mailarchive show 3f2a9c41b07d --raw --to FILE"
    inside = b"Content-Type: message/rfc822\r\n\r\nFrom: \x1b\r\nSubject: inner\r\n\r\ntext\x1b"
    shown = message(FOUND, inside).lines(FOUND)
    assert "--- message 1: \\x1b: inner" in shown
    assert "text\\x1b" in shown
