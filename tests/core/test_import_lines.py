"""Lines of an mbox: what separates messages, and what a message was before it was put among them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.imports.lines import LONGEST, QUOTED, QUOTED_LOOSELY, from_line, restored, writes_lf

MARCH = datetime(2014, 3, 1, 9, 0, 0, tzinfo=UTC)
EAST = timezone(timedelta(hours=1))
WEST = timezone(timedelta(hours=-5))


@pytest.mark.parametrize(
    ("line", "sender", "date", "zoned"),
    [
        (b"From a@example.org Sat Mar  1 09:00:00 2014\n", b"a@example.org", MARCH, False),
        (b"From a@example.org Sat Mar  1 09:00:00 2014\r\n", b"a@example.org", MARCH, False),
        (b"From a@example.org Sat Mar 01 09:00 2014", b"a@example.org", MARCH, False),
        (b"From - Sat Mar 01 09:00:00 2014\n", b"-", MARCH, False),
        (b"From ???@??? Sat Mar 01 09:00:00 2014\n", b"???@???", MARCH, False),
        (b"From MAILER-DAEMON Sat Mar  1 10:00:00 2014 +0100\n", b"MAILER-DAEMON", MARCH.astimezone(EAST), True),
        (b"From a@x Sat Mar  1 09:00:00 GMT 2014\n", b"a@x", MARCH, True),
        (b"From a@x Sat Mar  1 04:00:00 EST 2014\n", b"a@x", MARCH.astimezone(WEST), True),
        (b"From a@x Sat Mar  1 09:00:00 MET DST 2014\n", b"a@x", MARCH, False),
        (b"From 1545@xxx Sat Mar 01 09:00:00 +0000 2014\n", b"1545@xxx", MARCH, True),
        (b"From a@x Sat, 1 Mar 2014 10:00:00 +0100\n", b"a@x", MARCH.astimezone(EAST), True),
        (b'From "Anna B." <a@x> Sat Mar  1 09:00:00 2014\n', b'"Anna B." <a@x>', MARCH, False),
        (b"From a@x Sat Mar  1 09:00:00 2014 remote from host\n", b"a@x", MARCH, False),
        (b"From  Sat Mar  1 09:00:00 2014\n", b"", MARCH, False),
        (b"From a@x Sun Feb 30 09:00:00 2014\n", b"a@x", None, False),
    ],
)
def test_from_lines(line: bytes, sender: bytes, date: datetime | None, *, zoned: bool) -> None:
    """The forms that programs write, with what they say of sender and date."""
    found = from_line(line)
    assert found is not None
    assert found == (sender, date, zoned)
    assert date is None or (found.date is not None and found.date.utcoffset() == date.utcoffset())


@pytest.mark.parametrize(
    "line",
    [
        b"From here on everything is easy.\n",
        b"From me, Sat Mar\n",
        b"From Sat Mar  1 09:00:00 2014\n",
        b"From a@x Sat Mar  1 2014\n",
        b"From a@x Sat Mar  1 09:00:00 2014 and more\n",
        b">From a@x Sat Mar  1 09:00:00 2014\n",
        b"from a@x Sat Mar  1 09:00:00 2014\n",
        b"From: a@x Sat Mar  1 09:00:00 2014\n",
        b"From a@x Sam 01 09:00:00 2014\n",
        b"From " + b"a" * LONGEST + b" Sat Mar  1 09:00:00 2014\n",
        b"",
    ],
)
def test_lines_that_only_look_like_it(line: bytes) -> None:
    """Prose that begins with From, a header field, a line without a date."""
    assert from_line(line) is None


def test_a_line_that_tempts_a_regular_expression() -> None:
    """Blanks and days in any number are read in no time."""
    for line in (b"From " + b" " * 990, b"From " + b"Sat " * 240, b"From " + b"a Sat Mar  1 09:00:00 " * 44):
        assert from_line(line) is None


@pytest.mark.parametrize(
    ("stored", "strict", "loose"),
    [
        (b">From you\r\n", b"From you\r\n", b"From you\r\n"),
        (b">>From you\r\n", b">From you\r\n", b">From you\r\n"),
        (b">From: you\r\n", b">From: you\r\n", b"From: you\r\n"),
        (b"> From you\r\n", b"> From you\r\n", b"> From you\r\n"),
        (b"x >From you\r\n", b"x >From you\r\n", b"x >From you\r\n"),
        (b"a\r\n>From b\r\n>From c", b"a\r\nFrom b\r\nFrom c", b"a\r\nFrom b\r\nFrom c"),
        (b">>>\r\n", b">>>\r\n", b">>>\r\n"),
        (b"", b"", b""),
    ],
)
def test_unquoting(stored: bytes, strict: bytes, loose: bytes) -> None:
    """Exactly one > is taken, from lines that the writer had quoted."""
    assert b"".join(restored([stored], QUOTED, crlf=False)) == strict
    assert b"".join(restored([stored], QUOTED_LOOSELY, crlf=False)) == loose
    assert b"".join(restored([stored], None, crlf=False)) == stored


def test_a_first_line_that_was_never_quoted() -> None:
    """The writer of imap-backup quotes behind a line end only."""
    assert b"".join(restored([b">From a\n>From b\n"], QUOTED, crlf=False, first_line=False)) == b">From a\nFrom b\n"
    assert b"".join(restored([b">Fr", b"om a"], QUOTED, crlf=False, first_line=False)) == b">From a"


@pytest.mark.parametrize(
    ("stored", "made"),
    [
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\nb", b"a\r\nb"),
        (b"a\nb\r\nc\n", b"a\r\nb\r\nc\r\n"),
        (b"a\rb\n", b"a\rb\r\n"),
        (b"\n\n", b"\r\n\r\n"),
    ],
)
def test_line_ends(stored: bytes, made: bytes) -> None:
    """A bare LF becomes CRLF; one that is CRLF already, and a lone CR, stay."""
    assert b"".join(restored([stored], QUOTED, crlf=True)) == made


@pytest.mark.parametrize(
    ("head", "lf"), [(b"a\nb\r\n", True), (b"a\r\nb\n", False), (b"\nx", True), (b"a", False), (b"", False)]
)
def test_the_first_line_tells_what_the_store_writes(head: bytes, *, lf: bool) -> None:
    """Where there is no line end at all, nothing is changed."""
    assert writes_lf(head) is lf


LINES = st.lists(st.sampled_from([b"From ", b">From ", b">", b"From:", b"\r", b"\n", b"\r\n", b"x", b" "]), max_size=40)


@given(LINES.map(b"".join), st.lists(st.integers(1, 9), min_size=1, max_size=8), st.booleans(), st.booleans())
def test_pieces_make_no_difference(octets: bytes, cuts: list[int], crlf: bool, first: bool) -> None:
    """However the octets arrive, the same come out."""
    pieces, at, turn = [], 0, 0
    while at < len(octets):
        pieces.append(octets[at : at + cuts[turn % len(cuts)]])
        at += len(pieces[-1])
        turn += 1
    whole = b"".join(restored([octets], QUOTED, crlf=crlf, first_line=first))
    assert b"".join(restored(pieces, QUOTED, crlf=crlf, first_line=first)) == whole


@given(LINES.map(b"".join))
def test_mboxrd_comes_back(octets: bytes) -> None:
    """What a writer of mboxrd did is undone exactly; also where it made CRLF to LF."""
    quoted = re.sub(rb"(?m)^(>*From )", rb">\1", octets)
    assert b"".join(restored([quoted], QUOTED, crlf=False)) == octets
    plain = re.sub(rb"\r+", b"", octets)
    sent = plain.replace(b"\n", b"\r\n")
    assert b"".join(restored([re.sub(rb"(?m)^(>*From )", rb">\1", plain)], QUOTED, crlf=True)) == sent


def test_a_line_without_end_is_not_gathered() -> None:
    """A message of one line of 20 MB goes through in pieces."""
    piece = b"x" * 200_000
    longest = total = 0
    for part in restored((piece for _ in range(100)), QUOTED, crlf=True):
        longest, total = max(longest, len(part)), total + len(part)
    assert total == 20_000_000
    assert longest <= 300_000


def test_a_cut_between_cr_and_lf() -> None:
    """Where a long line is given on before its end, its CR waits for its LF."""
    line = b"x" * 70_000 + b"\r"
    assert b"".join(restored([line, b"\ny\n"], QUOTED, crlf=True)) == b"x" * 70_000 + b"\r\ny\r\n"
