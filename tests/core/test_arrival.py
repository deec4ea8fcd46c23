"""The date at which a message reached its mailbox, read out of its header (POP3, `providers.md` section 10)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.headers import arrival

TOP = b"Received: from a by b; Sat, 1 Mar 2014 10:00:00 +0100\r\n"
BELOW = b"Received: from c by a; Mon, 3 Jan 2000 10:00:00 +0000\r\n"
DATE = b"Date: Tue, 5 Feb 2008 12:00:00 -0800\r\n"
AT_TOP = datetime(2014, 3, 1, 9, tzinfo=UTC)
BELOW_IT = datetime(2000, 1, 3, 10, tzinfo=UTC)
SENT = datetime(2008, 2, 5, 20, tzinfo=UTC)
END = b"\r\nbody\r\n"


@pytest.mark.parametrize(
    ("head", "date"),
    [
        (TOP + BELOW + DATE + END, AT_TOP),
        (DATE + TOP + BELOW + END, AT_TOP),
        (BELOW + TOP + END, BELOW_IT),
        (DATE + END, SENT),
        (DATE, SENT),
        (b"Subject: x\r\n" + END, None),
        (b"", None),
        (END, None),
        # Folded, in small letters, with a comment, with LF alone, with blanks before the colon.
        (b"received: from a\r\n\tby b (x; y)\r\n ; Sat,\r\n 1 Mar 2014 10:00:00 +0100\r\n" + END, AT_TOP),
        (b"RECEIVED : x; Sat, 1 Mar 2014 10:00:00 +0100\r\n" + END, AT_TOP),
        (b"Received: x; Sat, 1 Mar 2014 10:00:00 +0100 (CET)\r\n" + END, AT_TOP),
        ((TOP + DATE + END).replace(b"\r\n", b"\n"), AT_TOP),
        # What stands behind the header is text.
        (b"\r\n" + TOP + DATE, None),
        (b"Subject: x\r\n\r\n" + TOP + DATE, None),
        # Without a date in it, the next best.
        (b"Received: from a by b\r\n" + DATE + END, SENT),
        (b"Received: from a by b; soon\r\n" + DATE + END, SENT),
        (b"Received: x; Thu, 32 Foo 2014 25:61:61 +9999\r\n" + DATE + END, SENT),
        (b"Received: x;\r\n" + DATE + END, SENT),
        # A zone that nobody knows is no date.
        (b"Received: x; Sat, 1 Mar 2014 10:00:00\r\n" + DATE + END, SENT),
        (b"Date: Sat, 1 Mar 2014 10:00:00\r\n" + END, None),
        (b"Date: x\r\nDate: Tue, 5 Feb 2008 12:00:00 -0800\r\n" + END, None),
        # Another field whose name only begins so.
        (b"X-Received: x; Sat, 1 Mar 2014 10:00:00 +0100\r\n" + DATE + END, SENT),
        (b"Received-SPF: x; Sat, 1 Mar 2014 10:00:00 +0100\r\n" + DATE + END, SENT),
        (b"Delivery-Date: Sat, 1 Mar 2014 10:00:00 +0100\r\n" + DATE + END, SENT),
    ],
)
def test_the_topmost_received_else_the_date(head: bytes, date: datetime | None) -> None:
    """What is below was written by others."""
    assert arrival(head) == date


@pytest.mark.parametrize("comment", [b"(CET; winter)", b"(a;b;c)", rb"(\); x)", b"(one (two; deep) three)"])
def test_a_semicolon_in_a_comment_ends_nothing(comment: bytes) -> None:
    """RFC 5322 section 3.2.2: a comment may hold anything."""
    assert arrival(TOP.rstrip() + b" " + comment + b"\r\n" + BELOW + END) == AT_TOP


def test_the_zone_is_kept() -> None:
    """It is an instant, and it has the zone in which it was written."""
    found = arrival(DATE + END)
    assert found is not None
    assert found.tzinfo is not None
    assert found.astimezone(timezone(timedelta(hours=-8))).hour == 12


def test_a_field_of_any_length() -> None:
    """The date stands at its end; only the first 64 KiB of a message are looked at."""
    long = b"Received: from " + b"x" * 20_000 + b"; Sat, 1 Mar 2014 10:00:00 +0100\r\n"
    assert arrival(long + DATE + END) == AT_TOP
    assert arrival(b"X-Long: " + b"x" * 70_000 + b"\r\n" + TOP + END) is None
    assert arrival(b"X: y\r\n" * 5000 + TOP + END) == AT_TOP
    many = b"Received: x; no date\r\n" * 2500 + DATE + END
    assert arrival(many) == SENT


@given(st.binary(max_size=300))
def test_it_never_raises(octets: bytes) -> None:
    """Whatever a sender wrote."""
    for head in (octets, b"Received: x; " + octets + b"\r\n" + END, b"Date: " + octets + b"\r\n" + END):
        found = arrival(head)
        assert found is None or found.tzinfo is not None


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2090, 1, 1)), st.integers(-12 * 60, 14 * 60))  # noqa: DTZ001
def test_any_date_comes_back(naive: datetime, minutes: int) -> None:
    """To the second, in its zone."""
    date = naive.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    assert arrival(f"Received: a; {date:%a, %d %b %Y %H:%M:%S %z}\r\n".encode() + BELOW + END) == date
