"""The tables of `du`: made safe, as wide as the terminal, with every number whole."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from mailarchive.errors import ExitCode
from mailarchive.events import UsageFinished
from mailarchive.model import UID, Quota
from mailarchive.screen.svg import drawing
from mailarchive.screen.usage import format_share, usage_lines
from mailarchive.screen.words import WIDE, cell_width
from mailarchive.usage import UNDATED, Freed, Large, Part, Usage

WHEN = datetime(2014, 3, 1, tzinfo=UTC)
EVIL = "x\x1b[31m\u202e\n<script>\"'&\x00\ufffe"
USAGE = Usage(
    messages=12_402,
    size=1_900_000_000,
    mailboxes=(Part("INBOX", 12_000, 1_500_000_000), Part("日本" * 40, 402, 400_000_000)),
    years=(Part("2014", 12_402, 1_900_000_000),),
    sizes=(Part("over 10M", 12_402, 1_900_000_000),),
    domains=(Part("example.org", 10, 10), Part("others", 2, 5)),
    senders=(Part("a@example.org", 12, 15),),
    asked=Part("", 12, 15),
    largest=(Large("INBOX", UID(1), 30_000_000, WHEN, "a@example.org", "Photos"), Large("x", UID(2), 5, None)),
    ages=(Freed("1y", WHEN, 9_811, 780_000_000, 9_000, 700_000_000),),
)
EVENT = UsageFinished(
    "home", "imaps://imap.example.org", USAGE, ExitCode.DONE, "all", Quota(1_920_000_000, 2_000_000_000)
)
NASTY = Usage(
    messages=1,
    size=1,
    mailboxes=(Part(EVIL, 1, 1),),
    years=(Part("2014", 1, 1),),
    domains=(Part(EVIL, 1, 1),),
    senders=(Part(EVIL, 1, 1),),
    asked=Part("", 1, 1),
    largest=(Large(EVIL, UID(1), 1, WHEN, EVIL, EVIL),),
)


def lines(event: UsageFinished = EVENT, width: int = WIDE, *, bar: bool = False, encoding: str = "utf-8") -> list[str]:
    """Write a result as text."""
    return [line.text for line in usage_lines(event, width=width, encoding=encoding, bar=bar)]


def test_every_number_stands_in_the_result() -> None:
    """With its share; what an age would free, with how much of it is archived."""
    text = "\n".join(lines())
    assert "home · imaps://imap.example.org · all" in text
    assert "12 402 messages, 1.90 GB; quota: 1.92 GB of 2.00 GB (96 %)" in text
    assert "of the 12 messages that hold <1 %; --headers asks for all" in text
    assert "30.0 MB  2014-03-01  INBOX  a@example.org  Photos" in text
    frees = "archiving what is older than 1y frees 780.0 MB (41 %), 9 811 messages; 700.0 MB of it is archived already"
    assert f"  {frees}" in text
    assert "█" not in text


@pytest.mark.parametrize("width", [200, 100, 80, 60, 46])
@pytest.mark.parametrize("bar", [False, True])
def test_a_narrow_terminal_cuts_names_and_no_numbers(width: int, bar: bool) -> None:
    """Bars go first."""
    found = lines(width=width, bar=bar)[1:]
    assert max(map(cell_width, found)) <= width
    row = next(line for line in found if line.startswith("  INBOX "))
    assert row.rstrip("█ ").endswith("12 000     1.50 GB   79 %")
    assert ("█" in row) is (bar and width > 80)


def test_foreign_texts_are_harmless() -> None:
    """In the table and in the picture, which is well-formed and has nothing but rectangles and texts."""
    event = UsageFinished(EVIL, EVIL, NASTY, ExitCode.DONE, EVIL, unsaid=(EVIL,))
    text = "".join(lines(event, bar=True)) + drawing([event])
    assert not {"\x1b", "\u202e", "\x00", "\ufffe"} & {*text}
    assert {element.tag.rpartition("}")[2] for element in ET.fromstring(drawing([event])).iter()} == {
        "svg",
        "rect",
        "text",
    }
    assert drawing([event]).count("<script") == 0
    assert "日" not in "".join(lines(encoding="ascii", bar=True))


def test_what_is_not_known_is_said_and_nothing_is_made_up() -> None:
    """No years and no ages where no message has a date; a look that was stopped is called a part."""
    usage = Usage(messages=2, size=3, years=(Part(UNDATED, 2, 3),), ages=(Freed("1y", WHEN, 0, 0),))
    text = "\n".join(lines(UsageFinished("h", "s", usage, ExitCode.DONE, unsaid=("the dates: x",), complete=False)))
    assert "older than" not in text
    assert UNDATED not in text
    assert "  not known: the dates: x" in text
    assert "  interrupted: this is only a part" in text


@pytest.mark.parametrize(
    ("size", "whole", "text"),
    [(0, 0, "0 %"), (0, 9, "0 %"), (1, 1000, "<1 %"), (5, 1000, "1 %"), (1, 2, "50 %"), (9, 9, "100 %")],
)
def test_a_share_is_rounded(size: int, whole: int, text: str) -> None:
    """What is not nothing never looks like nothing."""
    assert format_share(size, whole) == text


def test_accounts_stand_below_each_other_in_one_picture() -> None:
    """Of any number of rows, all inside of the picture."""
    usage = Usage(messages=1, size=1, mailboxes=tuple(Part(f"m{n}", 1, 1) for n in range(40)))
    tree = ET.fromstring(drawing([EVENT, UsageFinished("two", "s", usage, ExitCode.DONE)]))
    texts = [element.text for element in tree.iter() if element.tag.endswith("text")]
    assert "home · imaps://imap.example.org" in texts
    assert "two · s" in texts
    assert "and 25 more" in texts
    assert "of the 12 messages that hold <1 %" in texts
    assert max(int(element.get("y", "0")) for element in tree.iter()) < int(tree.get("height", "0"))
