"""Numbers and names as text."""

from __future__ import annotations

import pytest

from mailarchive.model import Quota
from mailarchive.screen.words import (
    cell_width,
    cut,
    encodable,
    fold,
    format_count,
    format_size,
    messages,
    pad,
    percent,
    quota_bar,
    quota_line,
    tilde,
)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1049, "1.0 kB"),
        (1050, "1.1 kB"),
        (92_100_000, "92.1 MB"),
        (123_100_000, "123.1 MB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (999_950_000, "1.00 GB"),
        (1_920_000_000, "1.92 GB"),
        (1_005_000_000, "1.01 GB"),
        (50_300_000_000_000, "50.30 TB"),
        (12_345_000_000_000_000_000, "12345.00 PB"),
    ],
)
def test_size(octets: int, text: str) -> None:
    """A size is decimal, in the largest unit that gives at least 1, and never reads 1000 of one."""
    assert format_size(octets) == text


@pytest.mark.parametrize(("n", "text"), [(0, "0"), (999, "999"), (12402, "12 402"), (1234567, "1 234 567")])
def test_count(n: int, text: str) -> None:
    """Thousands stand apart by a plain blank, which every locale can print."""
    assert format_count(n) == text


def test_messages_are_counted_in_words() -> None:
    """One message is not "1 messages"."""
    assert [messages(n) for n in (0, 1, 9811)] == ["0 messages", "1 message", "9 811 messages"]


@pytest.mark.parametrize(
    ("used", "limit", "text"),
    [
        (1_920_000_000, 2_000_000_000, "1.92 GB of 2.00 GB (96 %)"),
        (714_000_000, 2_000_000_000, "0.71 GB of 2.00 GB (36 %)"),
        (300_000, 15_000_000_000, "300.0 kB of 15.00 GB (0 %)"),
        (0, 1_000_000, "0 B of 1.0 MB (0 %)"),
        (1_999_999_999, 2_000_000_000, "2.00 GB of 2.00 GB (99 %)"),
        (2_000_000_000, 2_000_000_000, "2.00 GB of 2.00 GB (100 %)"),
        (2_100_000_000, 2_000_000_000, "2.10 GB of 2.00 GB (105 %)"),
        (5, 0, "5 B of 0 B (0 %)"),
    ],
)
def test_quota(used: int, limit: int, text: str) -> None:
    """Both numbers share the limit's unit, half a percent rounds up, and 100 % means that the limit is reached."""
    assert quota_line(Quota(used, limit)) == text


@pytest.mark.parametrize(
    ("used", "bar"),
    [(0, "░░░░░░░░░░"), (92, "█████████░"), (99, "█████████░"), (100, "██████████"), (250, "██████████")],
)
def test_quota_bar(used: int, bar: str) -> None:
    """A full bar means a full account, and an overfull one does not burst it."""
    assert quota_bar(Quota(used, 100)) == bar
    assert percent(Quota(used, 100)) == used


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("", 0),
        ("INBOX", 5),
        ("Entwürfe", 8),
        ("Entwu\N{COMBINING DIAERESIS}rfe", 8),
        ("日本語", 6),
        ("ﾒｰﾙ", 3),
        ("📮 post", 7),
        ("a\N{ZERO WIDTH JOINER}b", 2),
    ],
)
def test_cells(text: str, cells: int) -> None:
    """East Asian wide letters and emoji take two cells, what combines or joins takes none."""
    assert cell_width(text) == cells


@pytest.mark.parametrize(
    ("text", "cells", "cut_text"),
    [
        ("INBOX", 5, "INBOX"),
        ("INBOX", 4, "INB…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("e\N{COMBINING ACUTE ACCENT}tudes", 2, "e\N{COMBINING ACUTE ACCENT}…"),
        ("INBOX", 1, "…"),
        ("INBOX", 0, ""),
        ("INBOX", -3, ""),
        ("", 0, ""),
    ],
)
def test_cut(text: str, cells: int, cut_text: str) -> None:
    """A name is cut between letters, never inside a wide or a combined one."""
    assert cut(text, cells) == cut_text
    assert cell_width(cut(text, cells)) <= max(cells, 0)


def test_pad_counts_cells() -> None:
    """Padding fills cells, not characters."""
    assert pad("日本", 6) == "日本  "


@pytest.mark.parametrize(
    ("path", "home", "text"),
    [
        ("/home/me/Mail", "/home/me", "~/Mail"),
        ("/home/me/Mail", "/home/me/", "~/Mail"),
        ("/home/me", "/home/me", "~"),
        ("/home/mele/Mail", "/home/me", "/home/mele/Mail"),
        ("/srv/Mail", "/", "/srv/Mail"),
        ("/srv/Mail", "", "/srv/Mail"),
    ],
)
def test_tilde(path: str, home: str, text: str) -> None:
    """Only what really lies below the home directory is written with a tilde."""
    assert tilde(path, home) == text


@pytest.mark.parametrize(
    ("text", "encoding", "written"),
    [
        ("a · b → c…", "utf-8", "a · b → c…"),
        ("a · b → c…", "ascii", "a - b -> c~"),
        ("█░ é", "ascii", "#. \\xe9"),
        ("é 日", "latin-1", "é \\u65e5"),
        ("\udcff", "utf-8", "\\udcff"),
    ],
)
def test_encodable(text: str, encoding: str, written: str) -> None:
    """What an encoding cannot write becomes plainer signs or escapes, and then it can be written."""
    assert encodable(text, encoding) == written
    assert written.encode(encoding)


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (100, ["  kept: 1 234 flagged, 3 drafts, 日本語"]),
        (39, ["  kept: 1 234 flagged, 3 drafts, 日本語"]),
        (38, ["  kept: 1 234 flagged, 3 drafts,", "    日本語"]),
        (24, ["  kept: 1 234 flagged,", "    3 drafts, 日本語"]),
        (1, ["  kept: 1 234 flagged,", "    3 drafts,", "    日本語"]),
    ],
)
def test_fold(width: int, lines: list[str]) -> None:
    """A line breaks between phrases only, counted in cells, and what goes on is indented further."""
    folded = fold(["kept: 1 234 flagged,", "3 drafts,", "日本語"], width, "warn")
    assert [line.text for line in folded] == lines
    assert {line.role for line in folded} == {"warn"}
