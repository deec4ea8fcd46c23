"""The three changes that a message undergoes in an mbox file are undone exactly, whatever its octets and its pieces."""

from __future__ import annotations

import mailbox
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.mboxrd import Lines, decode, encode

if TYPE_CHECKING:
    from pathlib import Path

WORDS = (
    b"From ",
    b">",
    b">>From ",
    b"\n",
    b"\r\n",
    b"\r",
    b"\n\n",
    b"\r\n\r\n",
    b"Fro",
    b"m ",
    b"Status",
    b"x-status: ",
    b"X-Mailarchive-Was-",
    b"x-mailarchive-was-",
    b"X-Mailarchive:",
    b"X-UID",
    b"X-IMAPbase\t",
    b":",
    b" ",
    b"a",
    b"\0",
    b"\xff",
)
MESSAGES = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(WORDS), max_size=20).map(b"".join))
CUTS = st.integers(min_value=1, max_value=9)


def pieces(octets: bytes, size: int) -> list[bytes]:
    """Cut octets into pieces."""
    return [octets[at : at + size] for at in range(0, len(octets), size)]


def lines_of(octets: bytes, size: int) -> Lines:
    """Look at octets in pieces."""
    lines = Lines()
    for piece in pieces(octets, size):
        lines.feed(piece)
    return lines


@given(message=MESSAGES, one=CUTS, two=CUTS, three=CUTS)
def test_what_is_written_is_read_back_bit_for_bit(message: bytes, one: int, two: int, three: int) -> None:
    """In whatever pieces it is looked at, written and read."""
    lines = lines_of(message, one)
    crlf, ended = lines.is_crlf, lines.is_ended
    written = b"".join(encode(pieces(message, two), crlf=crlf, ended=ended))
    assert written == b"".join(encode([message], crlf=crlf, ended=ended))
    assert b"".join(decode(pieces(written, three), crlf=crlf, ended=ended)) == message


@given(message=MESSAGES)
def test_nothing_in_a_message_is_taken_for_ours(message: bytes) -> None:
    """No line is a separator, every message ends a line, and no field of its header is one that is obeyed."""
    lines = lines_of(message, 1000)
    written = b"".join(encode([message], crlf=lines.is_crlf, ended=lines.is_ended))
    assert not re.search(rb"^From ", written, re.MULTILINE)
    assert written[-1:] in (b"", b"\n")
    header = re.split(rb"^\r?\n", written, maxsplit=1, flags=re.MULTILINE)[0]
    obeyed = rb"^(?:X?-?Status|X-Keywords|X-IMAP(?:base)?|X-UIDL?|Content-Length|X-Mailarchive)[ \t]*:"
    assert not re.search(obeyed, header, re.MULTILINE | re.IGNORECASE)


@given(message=MESSAGES, size=CUTS)
def test_line_ends_are_judged_by_all_of_them(message: bytes, size: int) -> None:
    """CRLF only if each CR and each LF is half of one."""
    rest = message.replace(b"\r\n", b"")
    assert lines_of(message, size).is_crlf == (b"\r" not in rest and b"\n" not in rest)


@pytest.mark.parametrize(
    ("message", "written"),
    [
        (b"", b""),
        (b"a", b"a\n"),
        (b"a\r\nFrom b\r\n", b"a\n>From b\n"),
        (b"a\n\n>From b\n>>From c\n >From d\n", b"a\n\n>>From b\n>>>From c\n >From d\n"),
        (b"From: x\n\nFrom\n", b"From: x\n\nFrom\n"),
        (b"a\r\r\n", b"a\r\r\n"),
        (b"a\nb\r", b"a\nb\r\n"),
        (b"Status: RO\r\n\r\nStatus: x\r\n", b"X-Mailarchive-Was-Status: RO\n\nStatus: x\n"),
        (b"x-uid :3\nA: b\n status: c\n", b"X-Mailarchive-Was-x-uid :3\nA: b\n status: c\n"),
        (b"X-Mailarchive-Was-Status: 1\n", b"X-Mailarchive-Was-X-Mailarchive-Was-Status: 1\n"),
        (b"X-Mailarchive-Was-Else: 1\n", b"X-Mailarchive-Was-Else: 1\n"),
        (b"X-Mozilla-Status2: 0\n", b"X-Mailarchive-Was-X-Mozilla-Status2: 0\n"),
        (b"X-Statuses: 0\n", b"X-Statuses: 0\n"),
    ],
)
def test_each_change_alone(message: bytes, written: bytes) -> None:
    """The table of the format."""
    lines = lines_of(message, 1000)
    assert b"".join(encode([message], crlf=lines.is_crlf, ended=lines.is_ended)) == written


@pytest.mark.parametrize("message", [b">" * 3_000_000 + b"From x", b"a" * 3_000_000, b"\n" * 300_000 + b">From "])
def test_long_runs_are_held_back_in_no_memory(message: bytes) -> None:
    """What is kept between two pieces stays small, and what comes out is right all the same."""
    lines = lines_of(message, 65536)
    out = list(encode(pieces(message, 65536), crlf=lines.is_crlf, ended=lines.is_ended))
    assert max(map(len, out)) < 200_000
    assert b"".join(decode(pieces(b"".join(out), 65536), crlf=lines.is_crlf, ended=lines.is_ended)) == message


@given(messages=st.lists(MESSAGES.filter(bool), min_size=1, max_size=5))
def test_python_reads_as_many_messages(tmp_path_factory: pytest.TempPathFactory, messages: list[bytes]) -> None:
    """Another reader of the format sees each message apart."""
    path: Path = tmp_path_factory.mktemp("mbox") / "x.mbox"
    with path.open("wb") as file:
        for message in messages:
            lines = lines_of(message, 1000)
            text = b"".join(encode([message], crlf=lines.is_crlf, ended=lines.is_ended))
            file.write(b"From a@example.org Sat Mar  1 09:00:00 2014\nStatus: O\n" + text + b"\n")
    box = mailbox.mbox(path, create=False)
    try:
        assert len(box) == len(messages)
    finally:
        box.close()
