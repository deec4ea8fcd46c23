"""The odd messages of the sample: what real mailboxes hold and no standard allows.

The law of this room: each has one thing wrong with it, which its Message-ID names; every one of them must come through
a backup octet for octet.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from mailarchive.demo.sample_mime import date

if TYPE_CHECKING:
    from datetime import datetime


class Odd(NamedTuple):
    """One odd message: what is wrong with it, its octets, and when the server got it."""

    name: str
    raw: bytes
    internal_date: datetime


def odd_messages(now: datetime) -> list[Odd]:
    """Give all odd messages, the oldest first; each is received more than a year before `now`."""
    makers = (
        ("8-bit-header", _8_bit_header),
        ("no-date", _no_date),
        ("bare-lf", _bare_lf),
        ("no-final-newline", _no_final_newline),
        ("from-line", _from_line),
        ("long-line", _long_line),
        ("future-date", _future_date),
        ("no-subject", _no_subject),
        ("no-date-that-parses", _no_real_date),
        ("dots", _dots),
        ("mixed-line-ends", _mixed_line_ends),
        ("no-body", _no_body),
        ("header-only", _header_only),
        ("unknown-charset", _unknown_charset),
    )
    found = []
    for place, (name, maker) in enumerate(makers):
        moment = (now - timedelta(days=3200 - 150 * place, hours=place)).replace(microsecond=0)
        found.append(Odd(name, maker(f"Message-ID: <{name}@odd.example.org>\r\n".encode(), moment), moment))
    return found


def _head(ident: bytes, moment: datetime, subject: bytes) -> bytes:
    return b"From: Old Program <old@odd.example.org>\r\nTo: robin@example.org\r\nSubject: %s\r\nDate: %s\r\n%s" % (
        subject,
        date(moment).encode(),
        ident,
    )


def _8_bit_header(ident: bytes, moment: datetime) -> bytes:
    head = _head(ident, moment, "Grüße aus Köln".encode("latin-1"))
    return head + b"\r\nK\xf6ln is 8-bit text, and nothing says in which charset.\r\n"


def _no_date(ident: bytes, _: datetime) -> bytes:
    return b"From: scanner@example.com\r\nTo: robin@example.org\r\nSubject: Scan\r\n" + ident + b"\r\nOne page.\r\n"


def _bare_lf(ident: bytes, moment: datetime) -> bytes:
    return (_head(ident, moment, b"Unix line ends") + b"\r\nline one\r\n\r\nline two\r\n").replace(b"\r\n", b"\n")


def _no_final_newline(ident: bytes, moment: datetime) -> bytes:
    return _head(ident, moment, b"The last line does not end") + b"\r\nno line end follows this full stop."


def _from_line(ident: bytes, moment: datetime) -> bytes:
    body = (
        b"From here it is a short walk.\r\n>From there too.\r\n\r\nFrom robin@example.org Mon Jan  1 00:00:00 2018\r\n"
    )
    return _head(ident, moment, b"The way to the lake") + b"\r\n" + body


def _long_line(ident: bytes, moment: datetime) -> bytes:
    return _head(ident, moment, b"One very long line") + b"\r\n" + b"0123456789abcdef" * 2048 + b"\r\n"


def _future_date(ident: bytes, moment: datetime) -> bytes:
    return _head(ident, moment + timedelta(days=365 * 30), b"Sent by a clock that was wrong") + b"\r\nTick tock.\r\n"


def _no_subject(ident: bytes, moment: datetime) -> bytes:
    return b"From: tom@example.net\r\nDate: %s\r\n%s\r\nForgot the subject again.\r\n" % (date(moment).encode(), ident)


def _no_real_date(ident: bytes, _: datetime) -> bytes:
    head = b"From: fax@example.com\r\nSubject: Fax\r\nDate: yesterday, around noon\r\n"
    return head + ident + b"\r\nA fax.\r\n"


def _dots(ident: bytes, moment: datetime) -> bytes:
    return _head(ident, moment, b"Dots") + b"\r\n.\r\n..\r\n.hidden file\r\n.\r\n"


def _mixed_line_ends(ident: bytes, moment: datetime) -> bytes:
    return _head(ident, moment, b"Every line another end") + b"\r\ncrlf\r\nlf\ncr\rcrcrlf\r\r\nend\r\n"


def _no_body(ident: bytes, moment: datetime) -> bytes:
    return _head(ident, moment, b"Nothing to say") + b"\r\n"


def _header_only(ident: bytes, moment: datetime) -> bytes:
    return _head(ident, moment, b"No empty line behind the header")


def _unknown_charset(ident: bytes, moment: datetime) -> bytes:
    fields = (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=x-unheard-of\r\nContent-Transfer-Encoding: 8bit\r\n"
    )
    return _head(ident, moment, b"=?x-unheard-of?Q?=C3=A9?=") + fields + b"\r\n\xc3\xa9 or something else\r\n"
