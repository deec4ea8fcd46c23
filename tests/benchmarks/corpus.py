"""Made-up mail for the benchmarks: four sets, each the same octets for the same seed, one message at a time.

Law of this room: no clock, no disk; a set is never held whole. Every message is unique, pure ASCII and all CRLF, so
that no program stumbles over it and every server gives back what it was given. The nasty mail is in `tests.corpus`.
"""

from __future__ import annotations

import base64
import random
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST = 1_262_304_000  # 2010-01-01
_YEARS = 10
_ATTACHED = 60_000  # octets from which on a message is mostly an attachment
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PROSE = (
    "the minutes of last week are attached please read them before monday because the board wants to decide about the "
    "new roof and whether the old one can be sold in parts to the neighbours who asked for it twice during the summer"
)
_WORDS = tuple(_PROSE.split())


class MailSet(NamedTuple):
    """What a set of mail is made of.

    Attributes:
        title: It in words.
        number: How many messages.
        mailboxes: They are dealt to these in turn.
        sizes: Ranges of octets of a message, the last one included.
        weights: How often each range is drawn.
    """

    title: str
    number: int
    mailboxes: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    weights: tuple[int, ...] = (1,)


class Letter(NamedTuple):
    """One message: its mailbox, its octets, and the second it was received, since 1970."""

    mailbox: str
    octets: bytes
    received: int


_ELEVEN = (
    *("INBOX", "Family", "Family/Photos", "Lists", "Lists/a", "Lists/b", "Lists/c", "Orders"),
    *("Work", "Work/2012", "Work/2013"),
)

SETS = {
    "S": MailSet(
        "2,000 of mixed sizes, with attachments",
        2_000,
        ("INBOX",),
        ((1_000, 8_000), (8_000, 60_000), (60_000, 900_000), (1_000_000, 3_000_000)),
        (141, 40, 17, 2),
    ),
    "M": MailSet("20,000 of about 4 KiB in 11 mailboxes", 20_000, _ELEVEN, ((1_200, 7_000),)),
    "L": MailSet("100,000 of 1 to 2 KiB in one mailbox", 100_000, ("INBOX",), ((1_024, 2_048),)),
    "H": MailSet("40 of 25 MiB", 40, ("INBOX",), ((25 * 2**20, 25 * 2**20 + 4_096),)),
}


def letters(mail: MailSet, seed: int) -> Iterator[Letter]:
    """Make the messages of a set, oldest first."""
    rng = random.Random(f"{seed}/{mail.number}/{mail.sizes}")
    stock = b"".join(b" ".join(rng.choice(_WORDS).encode() for _ in range(11)) + b"\r\n" for _ in range(1_000))
    step = _YEARS * 365 * 86_400 // mail.number
    for index in range(mail.number):
        lowest, highest = rng.choices(mail.sizes, mail.weights)[0]
        received = _FIRST + index * step + rng.randrange(step)
        octets = _message(rng, stock, f"{seed}.{index}", received, rng.randint(lowest, highest))
        yield Letter(mail.mailboxes[index % len(mail.mailboxes)], octets, received)


def _message(rng: random.Random, stock: bytes, ident: str, received: int, size: int) -> bytes:
    """Make a message of about so many octets."""
    date = _date(received)
    head = (
        f"Return-Path: <bounce-{ident}@lists.example.net>\r\n"
        f"Received: from mx.example.net (mx.example.net [192.0.2.{rng.randrange(256)}])\r\n"
        f"\tby mail.example.org with ESMTPS id {rng.getrandbits(64):016x}\r\n\tfor <kim@example.org>; {date}\r\n"
        f"Message-ID: <{rng.getrandbits(48):012x}.{ident}@example.net>\r\n"
        f"Date: {date}\r\nFrom: Ada Example <ada{rng.randrange(500)}@example.net>\r\nTo: Kim <kim@example.org>\r\n"
        f"Subject: {' '.join(rng.choices(_WORDS, k=5))} ({ident})\r\nMIME-Version: 1.0\r\n"
    ).encode()
    plain = b"Content-Type: text/plain; charset=us-ascii\r\n"
    if size < _ATTACHED:
        return head + plain + b"\r\n" + _text(rng, stock, size - len(head) - len(plain) - 2)
    bound = f"=_{rng.getrandbits(64):016x}"
    data = base64.encodebytes(rng.randbytes((size - 2_000) * 57 // 78)).replace(b"\n", b"\r\n")
    return b"".join(
        (
            head,
            f'Content-Type: multipart/mixed; boundary="{bound}"\r\n\r\n--{bound}\r\n'.encode(),
            plain + b"\r\n" + _text(rng, stock, 1_000),
            f"--{bound}\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
            'Content-Disposition: attachment; filename="minutes.pdf"\r\n\r\n'.encode(),
            data,
            f"--{bound}--\r\n".encode(),
        )
    )


def _text(rng: random.Random, stock: bytes, size: int) -> bytes:
    """Cut about so many octets of whole lines out of the stock."""
    size = max(size, 80)
    begin = stock.find(b"\r\n", rng.randrange(len(stock) // 4)) + 2
    return stock[begin : stock.find(b"\r\n", min(begin + size, len(stock) - 2)) + 2]


def _date(second: int) -> str:
    # By hand: the words of strftime are those of the locale.
    at = time.gmtime(second)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[at.tm_wday]
    month = _MONTHS[at.tm_mon - 1]
    return f"{day}, {at.tm_mday} {month} {at.tm_year} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} +0000"
