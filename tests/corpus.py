"""Made-up mail for tests: a seeded corpus like that of a real mailbox, and a short list of nasty messages.

Law of this room: the same seed gives the same octets on every machine and every Python; no clock, no real names, no
real addresses. Octets are written by hand, not by the email package, so that they are what they look like.
"""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAILBOXES = ("INBOX", "Work", "Work/Été 2014", "Lists/debian user", "日本/東京", "a&b", "100%")
"""Names that have to be coded, quoted, nested or escaped somewhere."""

_ZONES = tuple(timezone(timedelta(minutes=minutes)) for minutes in (0, 60, 120, -300, -480, 330, 345, 540, -210))
_PROSE = (
    "the invoice for our last order is attached please have a look before friday and tell me whether anything is "
    "missing because the customer asked twice already and we promised to answer this week thanks for your help with "
    "the garden party it was a pleasure to see everybody again after such a long winter"
)
_WORDS = tuple(_PROSE.split())
_GREEK = "Καλημέρα σας, στέλνω το συμβόλαιο. Привет из Томска! 明日の会議は十時です。 Çok teşekkürler, señor Grün."
_LATIN = "Schöne Grüße aus Köln, à bientôt, mañana será otro día."
_PEOPLE = (
    ("Ada Example", "ada@example.org"),
    ("Bruno Beispiel", "bruno@example.net"),
    ("Chloé Exemple", "chloe@example.com"),
    ("山田 太郎", "taro@example.jp"),
    ("", "noreply@shop.example"),
)
_KEYWORDS = ("$Forwarded", "NonJunk", "$label1", "work")
Sizes = Literal["mixed", "small", "tiny"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One message to put on a server.

    Attributes:
        raw: Its octets; lines end in CRLF unless the name says otherwise.
        internal_date: The INTERNALDATE to give it, aware, whole seconds.
        flags: Flags and keywords.
        name: What is special about it, for the ids of tests.
        imap_exact: False where Dovecot gives back other octets than it was given (NUL, lines without CRLF): what the
            server gives is then the message, and `raw` is only where it came from.
    """

    raw: bytes
    internal_date: datetime
    flags: tuple[str, ...] = ()
    name: str = ""
    imap_exact: bool = True


class _Draft(NamedTuple):
    """The header fields of a kind of message beyond the common ones, and its body."""

    fields: tuple[str, ...]
    body: bytes


def corpus(count: int, *, seed: int, now: datetime, years: float = 10, sizes: Sizes = "mixed") -> list[Sample]:
    r"""Return messages spread evenly over the years before an instant, in the order they came in, with few disorders.

    Every kind of `_KINDS` comes once in each dozen. No two are equal. None is `\Deleted`.

    Args:
        count: How many.
        seed: Chooses everything.
        now: The newest possible internal date, aware.
        years: The span, in years of 365.25 days.
        sizes: `tiny`, a mean of 1 kB; `small`, a mean of 3 kB; `mixed`, a mean of 30 kB and up to 1.5 MB.
    """
    if now.tzinfo is None:
        raise ValueError("now needs a zone")
    rng = random.Random(f"{seed}/{count}/{sizes}")
    span = years * 365.25 * 86400
    ages = sorted((rng.random() * span for _ in range(count)), reverse=True)
    for index in range(20, count, 37):
        ages[index], ages[index - 20] = ages[index - 20], ages[index]
    return [_sample(rng, seed, index, now - timedelta(seconds=age), sizes) for index, age in enumerate(ages)]


def spread(samples: Iterable[Sample], mailboxes: Sequence[str] = MAILBOXES) -> dict[str, list[Sample]]:
    """Deal the samples out: every second one to the first mailbox, the others in turn; every mailbox is a key."""
    dealt: dict[str, list[Sample]] = {mailbox: [] for mailbox in mailboxes}
    others = mailboxes[1:] or mailboxes
    for index, sample in enumerate(samples):
        mailbox = mailboxes[0] if index % 2 == 0 else others[index // 2 % len(others)]
        dealt[mailbox].append(sample)
    return dealt


def _sample(rng: random.Random, seed: int, index: int, instant: datetime, sizes: Sizes) -> Sample:
    name, kind = _KINDS[index % len(_KINDS)]
    local = instant.replace(microsecond=0).astimezone(rng.choice(_ZONES))
    draft = kind(rng, _size(rng, sizes))
    sender, receiver = rng.choice(_PEOPLE), rng.choice(_PEOPLE)
    fields = [
        f"Received: from mx.example by mail.example with ESMTP id {seed:x}.{index:x}; {_mail_date(local)}",
        f"Message-ID: <{seed}.{index}@corpus.example>",
        f"From: {_mailbox(*sender)}",
        f"To: {_mailbox(*receiver)}",
        *_date_field(rng, local),
        *draft.fields,
    ]
    if not any(field.startswith("Subject:") for field in fields):
        fields.append(f"Subject: {_phrase(rng, 5)} ({index})")
    raw = "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n" + draft.body
    return Sample(raw, local, _flags(rng), f"{name}-{index}")


def _size(rng: random.Random, sizes: Sizes) -> int:
    if sizes == "tiny":
        return rng.randint(20, 400)
    if sizes == "small":
        return rng.randint(200, 6_000)
    lowest, highest = rng.choices(
        ((500, 12_000), (10_000, 60_000), (60_000, 300_000), (1_000_000, 1_400_000)), weights=(75, 18, 6, 1)
    )[0]
    return rng.randint(lowest, highest)


def _flags(rng: random.Random) -> tuple[str, ...]:
    chances = (("\\Seen", 0.8), ("\\Answered", 0.2), ("\\Flagged", 0.05), *((word, 0.08) for word in _KEYWORDS))
    return tuple(flag for flag, chance in chances if rng.random() < chance)


def _mail_date(instant: datetime) -> str:
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{days[instant.weekday()]}, {instant.day} {months[instant.month - 1]} {instant:%Y %H:%M:%S %z}"


def _date_field(rng: random.Random, instant: datetime) -> tuple[str, ...]:
    chance = rng.random()
    if chance < 0.02:
        return ()
    if chance < 0.04:
        return ("Date: yesterday, about noon",)
    if chance < 0.05:
        return (f"Date: {_mail_date(instant + timedelta(days=36_525))}",)
    return (f"Date: {_mail_date(instant - timedelta(seconds=rng.randint(0, 90)))}",)


def _coded(text: str) -> str:
    return text if text.isascii() else f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="


def _mailbox(name: str, address: str) -> str:
    return f"{_coded(name)} <{address}>" if name else address


def _phrase(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(_WORDS, k=words))


def _lines(rng: random.Random, size: int) -> list[str]:
    """Return lines of words of about so many octets, CRLF counted."""
    stock = [_phrase(rng, rng.randint(6, 12)) for _ in range(min(60, size // 50 + 1))]
    lines, left = [], size
    while left > 0:
        lines.append(rng.choice(stock))
        left -= len(lines[-1]) + 2
    return lines


def _text(rng: random.Random, size: int) -> bytes:
    return "".join(f"{line}\r\n" for line in _lines(rng, size)).encode()


def _mixed_in(rng: random.Random, size: int, strange: Sequence[str]) -> bytes:
    """Return text of about so many octets with the strange lines spread in it."""
    lines = _lines(rng, size)
    for line in strange:
        lines.insert(rng.randint(0, len(lines)), line)
    return "".join(f"{line}\r\n" for line in lines).encode()


def _plain(rng: random.Random, size: int) -> _Draft:
    return _Draft(("Content-Type: text/plain; charset=us-ascii",), _text(rng, size))


def _eight_bit(rng: random.Random, size: int) -> _Draft:
    fields = ("MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit")
    return _Draft(fields, _mixed_in(rng, size, [_GREEK, _LATIN, _GREEK]))


def _latin(rng: random.Random, size: int) -> _Draft:
    fields = ("MIME-Version: 1.0", "Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: 8bit")
    return _Draft(fields, _mixed_in(rng, size, [_LATIN, _LATIN]).decode().encode("latin-1"))


def _html(rng: random.Random, size: int) -> _Draft:
    bound = f"=_alt_{rng.getrandbits(64):016x}"
    plain, rich = _text(rng, size // 3), _text(rng, size // 2)
    body = (
        f"This is MIME.\r\n--{bound}\r\nContent-Type: text/plain\r\n\r\n".encode()
        + plain
        + f"\r\n--{bound}\r\nContent-Type: text/html\r\n\r\n<html><body><p>".encode()
        + rich
        + f"</p></body></html>\r\n--{bound}--\r\n".encode()
    )
    return _Draft(("MIME-Version: 1.0", f'Content-Type: multipart/alternative; boundary="{bound}"'), body)


def _attachment(rng: random.Random, size: int) -> _Draft:
    bound = f"----=_part_{rng.getrandbits(64):016x}"
    coded = base64.encodebytes(rng.randbytes(size * 3 // 4)).replace(b"\n", b"\r\n")
    body = (
        f"--{bound}\r\nContent-Type: text/plain\r\n\r\n{_phrase(rng, 8)}\r\n"
        f"--{bound}\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n filename*=utf-8''Vertr%C3%A4ge.pdf\r\n\r\n".encode()
        + coded
        + f"--{bound}--\r\n".encode()
    )
    return _Draft(("MIME-Version: 1.0", f'Content-Type: multipart/mixed;\r\n boundary="{bound}"'), body)


def _long_line(rng: random.Random, size: int) -> _Draft:
    return _Draft(("X-Long: " + "x" * 990,), b" ".join([_text(rng, 200).rstrip(), b"y" * max(size, 1200)]) + b"\r\n")


def _dot_lines(rng: random.Random, size: int) -> _Draft:
    return _Draft((), b".\r\n..\r\n. \r\n" + _mixed_in(rng, size, [".", ".hidden", "...", ". ."]) + b".\r\n")


def _from_lines(rng: random.Random, size: int) -> _Draft:
    strange = ["From ada@example.org Sat Jan  3 01:05:34 1996", ">From quoted", ">>From twice", "From", " From here"]
    return _Draft((), b"From the first line on\r\n" + _mixed_in(rng, size, strange) + b"\r\nFrom the end\r\n")


def _no_body(rng: random.Random, _size: int) -> _Draft:
    return _Draft((f"X-Nothing: {rng.getrandbits(32)}",), b"")


def _no_final_newline(rng: random.Random, size: int) -> _Draft:
    return _Draft((), _text(rng, size) + b"the end")


def _raw_header(rng: random.Random, size: int) -> _Draft:
    return _Draft((f"Subject: {_LATIN} {rng.getrandbits(32)}", f"X-Raw: {_GREEK}"), _text(rng, size))


def _coded_header(rng: random.Random, size: int) -> _Draft:
    subject = f"Subject: {_coded(_LATIN)}\r\n {_coded(_GREEK)}\r\n\t{_phrase(rng, 3)}"
    return _Draft((subject, "List-Id: Debian users <debian-user.lists.example>"), _text(rng, size))


_KINDS: tuple[tuple[str, Callable[[random.Random, int], _Draft]], ...] = (
    ("plain", _plain),
    ("8bit", _eight_bit),
    ("attachment", _attachment),
    ("long-line", _long_line),
    ("dots", _dot_lines),
    ("from", _from_lines),
    ("no-body", _no_body),
    ("no-final-newline", _no_final_newline),
    ("raw-header", _raw_header),
    ("coded-header", _coded_header),
    ("latin", _latin),
    ("html", _html),
)

_HEAD = b"From: ada@example.org\r\nSubject: nasty\r\n"
_NASTY: tuple[tuple[str, bytes, bool], ...] = (
    ("one octet", b"x", True),
    ("one CRLF", b"\r\n", True),
    ("two CRLF", b"\r\n\r\n", True),
    ("one dot", b".\r\n", True),
    ("one bare CR", b"\r", False),
    ("one bare LF", b"\n", False),
    ("one NUL", b"\0", False),
    ("only a header", _HEAD, True),
    ("header without its last newline", _HEAD[:-2], True),
    ("header and empty line", _HEAD + b"\r\n", True),
    ("no header", b"\r\nbody alone\r\n", True),
    ("first line From", b"From ada@example.org Sat Jan  3 01:05:34 1996\r\n" + _HEAD + b"\r\nbody\r\n", True),
    ("first line quoted From", b">From ada@example.org Sat Jan  3 01:05:34 1996\r\n" + _HEAD + b"\r\nbody\r\n", True),
    ("bare CR in the body", _HEAD + b"\r\none\rtwo\rthree\r\n", True),
    ("bare CR at the end", _HEAD + b"\r\nbody\r", False),
    ("CR CR LF", _HEAD + b"\r\none\r\r\ntwo\r\n", False),
    ("bare LF throughout", (_HEAD + b"\r\none\r\ntwo\r\n").replace(b"\r\n", b"\n"), False),
    ("bare LF in the body", _HEAD + b"\r\none\ntwo\r\n", False),
    ("NUL in header and body", _HEAD + b"X-Nul: a\0b\r\n\r\none\0two\r\n", False),
    ("UTF-16 with its mark", "\ufeffSubject: hé\r\n\r\nwide\r\n".encode("utf-16-le"), False),
    ("every octet but NUL and line ends", _HEAD + b"\r\n" + bytes(set(range(256)) - {0, 10, 13}) + b"\r\n", True),
    ("control characters in the header", _HEAD + b"Subject: \x1b[2J\x1b]0;title\x07\x08\r\n\r\nbody\r\n", True),
    ("text that turns its direction", _HEAD + "Subject: \u202egpj.exe\u202c\r\n\r\nbody\r\n".encode(), True),
    ("invalid UTF-8", _HEAD + b"Subject: \xc3\x28 \xff\xfe\r\n\r\n\xc3\r\n", True),
    ("dates that are none", _HEAD + b"Date: Thu, 32 Foo 2014 25:61:61 +9999\r\n\r\nbody\r\n", True),
    ("two From and three Date fields", _HEAD + b"From: b@example.org\r\n" + b"Date: x\r\n" * 3 + b"\r\nbody\r\n", True),
    ("a header line without colon", _HEAD + b"this is no field\r\nX-After: yes\r\n\r\nbody\r\n", True),
    ("a header line of 100 kB", _HEAD + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\nbody\r\n", True),
    ("5000 header lines", _HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\nbody\r\n", True),
    ("lines like IMAP", _HEAD + b"\r\n)\r\nA1 OK FETCH completed\r\n* BYE\r\n{10}\r\n", True),
    ("lines like POP3", _HEAD + b"\r\n+OK\r\n-ERR no\r\n.\r\n..\r\n.\r\n", True),
    ("lines like mbox", _HEAD + b"\r\n\r\nFrom - Sat Jan  3 01:05:34 1996\r\n>From x\r\n", True),
    ("boundary that never ends", _HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n", True),
    ("empty lines only", b"\r\n" * 2000, True),
)


def nasty() -> list[Sample]:
    """Return messages that break careless programs, oldest first, a day apart, with odd zones and flags."""
    start = datetime(2012, 2, 20, 23, 59, 59, tzinfo=UTC)
    zones = (UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12)), timezone(timedelta(minutes=-210)))
    flags: tuple[tuple[str, ...], ...] = (
        (),
        ("\\Seen",),
        ("\\Draft",),
        ("\\Flagged", "$Junk"),
        ("a.b-c_d", "\\Answered"),
    )
    return [
        Sample(
            raw,
            (start + timedelta(days=index)).astimezone(zones[index % len(zones)]),
            flags[index % len(flags)],
            name,
            exact,
        )
        for index, (name, raw, exact) in enumerate(_NASTY)
    ]
