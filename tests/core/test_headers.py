"""Reading the header of a message from its first octets (`mailarchive.headers`)."""

from __future__ import annotations

import re
import time
import tracemalloc
from datetime import UTC, datetime
from encodings.aliases import aliases
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.headers import FIELD, HEAD, envelope, fields, hold, ident
from mailarchive.model import Envelope

if TYPE_CHECKING:
    from collections.abc import Callable

MAIL = (
    b"Received: from a by b; Sat, 1 Mar 2014 10:00:05 +0100\r\n"
    b"Message-ID: <4711.abc@example.org>\r\n"
    b"Date: Sat, 1 Mar 2014 10:00:00 +0100\r\n"
    b"From: =?utf-8?q?Anna_M=C3=BCller?= <anna@example.org>\r\n"
    b"To: bob@example.org,\r\n\tcarol@example.org\r\n"
    b"Cc: dave@example.org\r\n"
    b"Subject: =?iso-8859-1?Q?Gr=FC=DFe?= aus\r\n =?UTF-8?B?S8O2bG4=?=\r\n"
    b"List-Id: Debian users <debian-user.lists.debian.org>\r\n"
    b"\r\n"
    b"Subject: not a header\r\n\r\nFrom: not a header either\r\n"
)


def test_an_envelope_holds_the_decoded_fields() -> None:
    """Folded lines are joined, encoded words decoded, Cc goes with To, and the body is not looked at."""
    assert envelope(MAIL) == Envelope(
        date=datetime(2014, 3, 1, 9, tzinfo=UTC),
        from_="Anna Müller <anna@example.org>",
        to="bob@example.org,\tcarol@example.org, dave@example.org",
        subject="Grüße aus Köln",
        list_id="Debian users <debian-user.lists.debian.org>",
        ident=ident(MAIL),
    )


@pytest.mark.parametrize(
    ("head", "values"),
    [
        (b"Subject: a\r\n\r\nbody", [b"a"]),
        (b"Subject: a\n\nSubject: body", [b"a"]),
        (b"Subject: a", [b"a"]),
        (b"Subject: a\r", [b"a"]),
        (b"SUBJECT:a\nsubject : b\nSubject\t:\tc\t\n", [b"a", b"b", b"c"]),
        (b"Subject: a\r\n b\r\n\tc\r\n", [b"a b\tc"]),
        (b"Subject: a\n \n b\n", [b"a  b"]),
        (b"Subject:\r\n a\r\n", [b"a"]),
        (b"Subject:\r\n\r\n a", [b""]),
        (b"X-Subject: a\nSubjects: b\n Subject: c\n", []),
        (b"\r\nSubject: body", []),
        (b"\nSubject: body", []),
        (b"", []),
        (b"From anna@example.org Sat Mar  1 09:00:00 2014\nSubject: a\n\n", [b"a"]),
        (b"garbage\r\nSubject: a\r\n\r\n", [b"a"]),
        (b"Subject: a\rSubject: b\r\n", [b"a\rSubject: b"]),
        (b"Subject: a\0b\r\n", [b"a\0b"]),
        ("Subject: a\r\n\r\n".encode("utf-16"), []),
        (b"Subject: " + b"x" * 100_000, [b"x" * FIELD]),
        (b"X: y\r\n" * 20_000 + b"Subject: behind the first 64 KiB\r\n", []),
    ],
)
def test_the_values_of_a_field_are_read(head: bytes, values: list[bytes]) -> None:
    """Any case and line end, up to the first empty line, at most 8 KiB a field and 64 KiB in all."""
    assert fields(head, [b"Subject"]) == {b"subject": values}


def test_every_name_that_was_asked_for_has_a_list() -> None:
    """Names come back in small letters, with nothing where the field is missing."""
    assert fields(b"A: 1\nb: 2\nA: 3\n", [b"a", b"B", b"C.D"]) == {b"a": [b"1", b"3"], b"b": [b"2"], b"c.d": []}
    assert fields(b"A: 1\n", []) == {}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        ("schön".encode(), "schön"),
        (b"sch\xf6n", "schön"),
        (b"=?utf-8?Q?a?= =?utf-8?Q?b?=", "ab"),
        (b"=?utf-8?Q?a?= x =?utf-8?Q?b?= y", "a x b y"),
        (b"x =?utf-8?Q?a?=\r\n =?iso-8859-1?Q?=E4?=", "x aä"),
        (b"=?utf-8?B?w7?= =?utf-8?B?bw==?=", "\N{REPLACEMENT CHARACTER}o"),
        (b"=?utf-8?Q?=C3?= =?utf-8?Q?=B6?=", "ö"),
        (b"=?utf-8?B?w7Y?=", "ö"),
        (b"=?utf-8?B?w7Y=w7Y?=", "öö"),
        (b"=?utf-8?B?w?=", ""),
        (b"=?UTF-8*de?q?gr=C3=BC=C3=9Fe_an?=", "grüße an"),
        (b"=?gb2312?B?1tDOxA==?=", "中文"),
        (b"=?gb2312?B?6UY=?=", "\N{CJK UNIFIED IDEOGRAPH-9555}"),
        (b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?koi8-r?B?8NLJ18XU?=", "Привет"),
        (b"=?windows-1252?Q?=80?=", "€"),
        (b"=?utf-8?Q?=FF?=", "\N{REPLACEMENT CHARACTER}"),
        (b"=?nonsense?Q?a?=", "=?nonsense?Q?a?="),
        (b"=?punycode?Q?a?= =?idna?Q?a?=", "=?punycode?Q?a?= =?idna?Q?a?="),
        (b"=?utf-8?X?a?=", "=?utf-8?X?a?="),
        (b"=?utf-8?Q?a", "=?utf-8?Q?a"),
        (b"=?utf-8?Q??=", ""),
        (b"=?utf-8?Q?a b?=", "a b"),
    ],
)
def test_encoded_words_are_decoded_leniently(raw: bytes, text: str) -> None:
    """RFC 2047 as it is meant and as it is found: raw 8-bit text, split characters, unknown charsets."""
    assert envelope(b"Subject: " + raw + b"\r\n").subject == text


@pytest.mark.parametrize("charset", sorted(set(aliases) | set(aliases.values()) | {"unicode_escape", "undefined"}))
def test_no_codec_of_python_can_hurt(charset: str) -> None:
    """Every codec name in an encoded word gives text without an exception, a warning or a long wait."""
    begun = time.process_time()
    text = envelope(b"Subject: =?" + charset.encode() + b"?Q?" + b"=FF\\xz=1B$~{+" * 600 + b"?=").subject
    assert time.process_time() - begun < 2
    assert len(text) <= FIELD


@pytest.mark.parametrize(
    "value",
    [
        b"=?utf-8?Q?" + b"a" * 100_000,
        b"=?utf-8?Q?a?= " * 8000,
        b"=?" * 50_000,
        b"=?a?q?" * 20_000,
        b"(" * 100_000,
        b"\r\n " * 40_000,
        "é".encode() * 50_000,
    ],
)
def test_f125_a_field_of_100_kb_costs_little(value: bytes) -> None:
    """Time and memory stay small whatever the field holds."""
    head = b"Subject: " + value + b"\r\nFrom: " + value + b"\r\n\r\n"
    envelope(head)
    tracemalloc.start()
    begun = time.process_time()
    found = envelope(head)
    seconds = time.process_time() - begun
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 2
    assert peak < 8 * 1024 * 1024
    assert len(found.subject) <= FIELD


def test_a_cut_in_the_middle_of_a_character_does_not_turn_the_rest_into_latin_1() -> None:
    """A field is cut at 8 KiB, and half a character at its end is dropped."""
    assert envelope(b"Subject: x" + "é".encode() * 10_000).subject == "x" + "é" * 4095


def test_f125_ten_thousand_received_lines_are_passed_over() -> None:
    """What lies behind 64 KiB of trace fields is not seen; what lies before is."""
    trace = b"Received: from a.example.org by b.example.org; Sat, 1 Mar 2014 10:00:05 +0100\r\n" * 10_000
    assert envelope(b"Subject: a\r\n" + trace).subject == "a"
    assert envelope(trace + b"Subject: a\r\n").subject == ""
    assert hold(trace, len(trace)) == ""


def test_the_topmost_date_counts() -> None:
    """A second Date field is not looked at, and a bad first one is not replaced by it."""
    two = b"Date: Sat, 1 Mar 2014 10:00:00 +0000\nDate: Sun, 1 Mar 2015 10:00:00 +0000\n"
    assert envelope(two).date == datetime(2014, 3, 1, 10, tzinfo=UTC)
    assert envelope(b"Date: nonsense\n" + two).date is None
    assert envelope(b"From: a\n").date is None


def test_several_recipients_fields_are_joined() -> None:
    """To and Cc fields follow each other, each kind capped."""
    assert envelope(b"To: a\nCc: c\nTo: b\n").to == "a, b, c"
    long = b"".join(b"To: %05d@example.org\n" % number for number in range(2000))
    found = envelope(long + b"Cc: last\n").to
    assert found.endswith(", last")
    assert len(found) <= FIELD + 20


PROBE = re.compile(rb"(?im)^(?:message-id|date|from):.*(?:\n[ \t].*)*\n")


def probed(mail: bytes) -> bytes:
    """Give what a server answers to BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM)]."""
    return b"".join(PROBE.findall(mail.partition(b"\r\n\r\n")[0] + b"\r\n")) + b"\r\n"


@pytest.mark.parametrize(
    "change",
    [
        probed,
        lambda mail: b"".join(reversed(PROBE.findall(probed(mail)))) + b"\r\n",
        lambda mail: mail.replace(b"\r\n", b"\n"),
        lambda mail: mail.replace(b"anna@", b"\r\n\t anna@"),
        lambda mail: mail.replace(b"Message-ID:", b"MESSAGE-Id :"),
        lambda mail: mail.replace(b"Anna", b"\xc3\x84Anna\xff"),
        lambda mail: mail.replace(b"Anna", b"??Anna?"),
        lambda mail: mail.replace(b"Sat, 1 Mar", b"SAT, 1 mar"),
        lambda mail: mail.replace(b"Subject", b"X-Spam: no\r\nSubject"),
        lambda mail: mail.partition(b"\r\n\r\n")[0],
    ],
)
def test_the_ident_survives_what_servers_do(change: Callable[[bytes], bytes]) -> None:
    """The fields alone, in another order, refolded, with other line ends or with 8-bit octets replaced."""
    assert ident(change(MAIL)) == ident(MAIL)
    assert re.fullmatch("[0-9a-f]{32}", ident(MAIL))
    assert envelope(change(MAIL)).ident == ident(MAIL)


@pytest.mark.parametrize(
    "change",
    [
        lambda mail: mail.replace(b"4711", b"4712"),
        lambda mail: mail.replace(b"10:00:00", b"10:00:01"),
        lambda mail: mail.replace(b"anna@", b"eve@"),
        lambda mail: mail.replace(b"Message-ID: <4711.abc@example.org>\r\n", b""),
        lambda mail: b"From: eve@example.org\r\n" + mail,
    ],
)
def test_another_message_has_another_ident(change: Callable[[bytes], bytes]) -> None:
    """A different identifier, date or sender, one less or one more."""
    assert ident(change(MAIL)) != ident(MAIL)


def test_the_fields_of_an_ident_do_not_flow_into_each_other() -> None:
    """The same letters in another field make another ident."""
    assert ident(b"Date: a\nFrom: b\n") != ident(b"Date: b\nFrom: a\n")
    assert ident(b"Date: ab\n") != ident(b"Date: a\nDate: b\n")
    assert ident(b"Date: a\nFrom: b\n") != ident(b"Date: afromb\n")


def test_the_order_of_two_fields_of_one_name_does_not_count() -> None:
    """A server may give them in any order."""
    assert ident(b"From: a\nFrom: b\n") == ident(b"From: b\nFrom: a\n")


@pytest.mark.parametrize("head", [b"", b"Subject: a\r\n\r\n", b"From:\r\nDate: ???\r\n\r\n", b"\r\nFrom: body\r\n"])
def test_without_the_three_fields_there_is_no_ident(head: bytes) -> None:
    """Missing fields, and fields without a letter or digit, identify nothing."""
    assert ident(head) == ""


EXCHANGE = (
    b'MIME-Version: 1.0\r\nContent-Type: text/plain; charset="us-ascii"\r\nFrom: Microsoft Exchange Server 2010\r\n'
    b"To: Bob <bob@example.com>\r\nSubject: Retrieval using the IMAP4 protocol failed for the following\r\n"
    b" message: 20004\r\n\r\nThe server couldn't retrieve the following message:\r\n"
)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (MAIL, ""),
        (b"Subject: header only", ""),
        (b"From a@b Sat Mar  1 09:00:00 2014\nSubject: a\n\n", ""),
        (b"X:\r\n\r\n", ""),
        (b"", "no header"),
        (b"\r\nSubject: body\r\n", "no header"),
        (b"just some text\r\nand more of it\r\n", "no header"),
        (b"\0" * 9000, "no header"),
        (b"x" * 8192 + b"\r\nSubject: too late\r\n", "no header"),
        ("Subject: a\r\n\r\n".encode("utf-16"), "no header"),
        (EXCHANGE, "placeholder"),
        (EXCHANGE.replace(b"IMAP4", b"POP3"), "placeholder"),
        (EXCHANGE.replace(b"Microsoft Exchange Server 2010", b'"Microsoft Exchange Server" <>'), "placeholder"),
        (EXCHANGE.replace(b"Server 2010", b"Server <postmaster@example.com>"), "placeholder"),
        (EXCHANGE.replace(b"Retrieval using the", b"=?utf-8?q?Der_Abruf_ist_fehlgeschlagen?="), "placeholder"),
        (EXCHANGE.replace(b"Microsoft Exchange Server 2010", b"Bob <bob@example.com>"), ""),
        (b"From: bob@example.com\r\nSubject: Fw: help\r\n\r\n" + EXCHANGE, ""),
        (
            b"From: Microsoft Exchange Server <news@example.com>\r\nSubject: Retrieval using IMAP4 explained\r\n",
            "",
        ),
        (b"From: Microsoft Exchange Serverless\r\nSubject: hello\r\n", ""),
    ],
)
def test_f038_f125_the_gate_holds_what_is_not_plausible(head: bytes, reason: str) -> None:
    """No header field in the first 8 KiB, or a note of Exchange in the place of the message; not mail about such."""
    assert hold(head, len(head)) == reason


def test_f125_a_message_without_octets_is_not_plausible() -> None:
    """Whatever the head says, nothing was received."""
    assert hold(MAIL, 0) == "no header"


LINES = st.lists(
    st.one_of(
        st.sampled_from([b"Subject:", b"From :", b"date: ", b" folded", b"\tx", b"", b"=?utf-8?B?", b"=?gb2312?q?=?="]),
        st.binary(max_size=30),
    )
)


@given(st.one_of(st.binary(max_size=3000), LINES.map(b"\r\n".join), LINES.map(b"\n".join)))
def test_f125_any_octets_are_read_without_an_exception(head: bytes) -> None:
    """Whatever was sent, each function gives a value of bounded size."""
    found = envelope(head)
    assert found.date is None or found.date.utcoffset() is not None
    assert found.ident == ident(head)
    assert hold(head, len(head)) in ("", "no header", "placeholder")
    assert all(len(value) <= FIELD for values in fields(head, [b"From", b"X"]).values() for value in values)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_what_comes_behind_the_header_changes_nothing(value: bytes, body: bytes) -> None:
    """Two messages with the same header block have the same envelope, ident and hold."""
    head = b"From: " + value.replace(b"\n", b"") + b"\r\nDate: x\r\n\r\n"
    assert envelope(head + body) == envelope(head)
    assert hold(head + body, HEAD) == hold(head, len(head))
