"""A hundred kilobytes of anything take a few megabytes to read, and a second at most (row 128).

Law of this room: each parser gets what is worst for it: one long word, many short ones, much nesting, no end.
"""

from __future__ import annotations

import contextlib
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from mailarchive import headers, mbox_block, mboxrd
from mailarchive.archives import uidlist
from mailarchive.discovery import autoconfig
from mailarchive.discovery.candidate import mail_address
from mailarchive.imports import imap_backup, lines, marks
from mailarchive.model import Criteria, MailboxStatus
from mailarchive.sources import imap, imap_expunge, imap_items, imap_list
from mailarchive.sources.pop_drop import Drop, Pace
from tests.property.mutation import MIB, commands_of, line_of, peak_of
from tests.property.test_fuzz_imap import BOX, fetched, session_of

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = 100_000
OK = b"M1 OK x\r\n"
NASTY = {
    "a long string": b'"' + b"a" * LONG + b'"',
    "a string of escapes": b'"' + b"\\a" * (LONG // 2) + b'"',
    "a string without end": b'"' + b"a" * LONG,
    "a long atom": b"a" * LONG,
    "many atoms": b"(" + b"a " * 25_000 + b")",
    "many lists": b"(" + b"()" * 25_000 + b")",
    "deep lists": b"(" * LONG,
    "many literals": b"(" + b"{1}\r\na" * 3000 + b")",
    "many numbers": b",".join(b"%d" % n for n in range(1, 15_000)),
    "a wide range": b"1:4294967295",
    "a long number": b"9" * LONG,
    "brackets": b"[" * LONG,
    "shifted": b'"' + b"&AOQ-" * (LONG // 5) + b'"',
    "blanks": b" " * LONG,
}


def _probed(text: bytes) -> object:
    return list(imap_items.sightings(commands_of(text), [1]))


def _listed(text: bytes) -> object:
    return imap_list.Lister(commands_of(text), MailboxStatus(5, 7, 6), "INBOX").listing(Criteria())


def _opened(text: bytes) -> object:
    with imap.ImapSource(session_of(text)).open(BOX) as box:
        return box.status


IMAP: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "bodies": (b"* 1 FETCH (UID 1 FLAGS %s BODY[] %s)\r\n", lambda text: list(fetched(commands_of(text)))),
    "probes": (b"* 1 FETCH (UID 1 X %s BODY[HEADER.FIELDS (DATE)] %s)\r\n", _probed),
    "listings": (b"* 1 FETCH (UID %s X-GM-LABELS %s)\r\n", _listed),
    "mailboxes": (b'* LIST %s "/" %s\r\n', lambda text: imap_list.mailboxes(commands_of(text, capability=frozenset()))),
    "namespaces": (b"* NAMESPACE %s %s\r\n", lambda text: imap_list.mailboxes(commands_of(text))),
    "hits": (b"* SEARCH %s %s\r\n", lambda text: imap_expunge.Marks(commands_of(text)).all(1000)),
    "counted hits": (b"* ESEARCH ALL %s COUNT %s\r\n", lambda text: imap_expunge.Marks(commands_of(text)).all(1000)),
    "quota": (b"* QUOTA %s (STORAGE %s)\r\n", lambda text: imap.ImapSource(session_of(text)).quota()),
    "opening": (b"* OK [PERMANENTFLAGS (%s)] %s\r\n", _opened),
}


@pytest.mark.parametrize("nasty", NASTY)
@pytest.mark.parametrize("parser", IMAP)
def test_f128_answers_over_imap(parser: str, nasty: str) -> None:
    """In both places where something foreign stands; the line with its buffer included."""
    answer, read = IMAP[parser]
    for text in (answer % (NASTY[nasty], b"()"), answer % (b"1", NASTY[nasty])):
        assert peak_of(lambda text=text: read(text + OK)) < 6 * MIB  # type: ignore[misc] # bound at once


@pytest.mark.parametrize("octet", [b"1", b"a", b" ", b".", b"\0"])
def test_f128_answers_over_pop3(octet: bytes) -> None:
    """Lists of sizes and of names; each line is short, or it is none."""
    answer = b"+OK\r\n" + octet * LONG + b"\r\n.\r\n"
    assert peak_of(lambda: Drop(line_of(answer + answer), frozenset(), 1, Pace())) < 2 * MIB
    many = b"+OK\r\n" + b"".join(b"%d %s\r\n" % (n, octet * 10) for n in range(3000)) + b".\r\n"
    assert peak_of(lambda: Drop(line_of(many + many), frozenset(), 1, Pace())) < 3 * MIB


HEADS = {
    "one long field": b"Subject: " + b"a" * 64_000,
    "encoded words": b"Subject: " + b"=?utf-8?B?4oKs?= " * 4000,
    "encoded words of one octet": b"From: " + b"=?utf-8?Q?a?=" * 5000,
    "many fields": b"From: a\r\n" * 7000,
    "comments": b"Received: " + b"(" * 30_000 + b";" + b")" * 30_000,
    "comments without end": b"Received: (" + b"\\a" * 30_000,
    "many comments": b"Received: " + b"(a)" * 20_000 + b";",
    "folded": b"Date: " + b"\r\n a" * 16_000,
    "addresses": b"From: " + b"(((a@b),<c>)" * 5000,
    "nothing but colons": b":" * 64_000,
    "boundaries": b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n\r\n" * 8000,
    "dates": b"Date: " + b"1 " * 400 + b"\r\n" + b"Received: ; 1 Jan 1\r\n" * 3000,
    "charsets": b"Subject: " + b"".join(b"=?utf-8-%d?Q?a?= " % n for n in range(3000)),
}


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("behind", [b"\r\n\r\nbody", b"x" * 5 * MIB], ids=["body", "on and on"])
def test_f128_headers_are_looked_at_up_to_64_kib(kind: str, behind: bytes) -> None:
    """Whatever follows: no field is longer than 8 KiB when it comes out, and what takes memory is small."""
    head = HEADS[kind] + behind
    found = headers.envelope(head)
    assert all(len(text) <= 2 * headers.FIELD for text in (found.from_, found.to, found.subject, found.list_id))
    for read in (headers.envelope, headers.arrival):
        assert peak_of(lambda read=read: read(head)) < 4 * MIB  # type: ignore[misc] # bound at once
    assert peak_of(lambda: headers.judged(head, len(head))) < 4 * MIB
    assert peak_of(lambda: headers.fields(head, [b"from", b"subject", b"received"])) < 4 * MIB


def test_f128_the_text_behind_64_kib_is_not_seen() -> None:
    """Not by any of the readers."""
    behind = (
        b"A: "
        + b"x" * (headers.HEAD - 5)
        + b"\r\nSubject: x\r\nDate: Sat, 1 Mar 2014 10:00:00 +0100\r\nFrom: a\r\n\r\n"
    )
    found = headers.envelope(behind)
    assert (found.subject, found.from_, found.date, found.ident) == ("", "", None, "")
    assert headers.arrival(behind) is None
    assert headers.judged(behind, len(behind)) == ("", "")
    assert headers.judged(behind[: headers.HEAD], len(behind)) == ("", "header too long")


FILES: dict[str, Callable[[bytes], object]] = {
    "the block of an mbox": mbox_block.parse,
    "its base": mbox_block.parse_base,
    "a part of it": mbox_block.is_part,
    "an mbox": lambda text: [len(piece) for piece in mboxrd.decode([text], crlf=True, ended=False)],
    "a list of UIDs": lambda text: uidlist.parse_uidlist(text.decode("latin-1")),
    "keywords": lambda text: uidlist.parse_keywords(text.decode("latin-1")),
    "a From line": lines.from_line,
    "lines of an mbox": lambda text: [len(piece) for piece in lines.restored([text], lines.QUOTED, crlf=True)],
    "labels": lambda text: marks.gmail_labels(text.decode("latin-1")[:8192]),
    "flags in a header": lambda text: marks.of_header(text[:65_536]),
    "an index of imap-backup": imap_backup.read_index,
    "a description of servers": lambda text: autoconfig.read(text[:100_000], mail_address("a@example.org"), "x"),
}
TEXTS = {
    "From lines": b"From a@b Sat Mar  1 10:00:00 2014\n" * 9000,
    "a long line": b"From " + b"a" * LONG,
    "blanks": b"From a" + b" " * LONG + b"2014",
    "fields": b"From a\n" + b"X-UID: 1\n" * 33_000,
    "our field": b"From a\nX-Mailarchive: " + b"a=b; " * 60_000 + b"\n",
    "quotes": b">" * LONG + b"From ",
    "keywords": b"From a\nX-IMAPbase: 1 0000000001" + b" a" * 30_000 + b"\nX-Mailarchive: x\n",
    "JSON": b"[" * LONG,
    "JSON objects": b'{"version":3,"uid_validity":1,"messages":[' + b"{}," * 50_000 + b"{}]}",
    "XML": b"<clientConfig>" + b"<a>" * 30_000,
    "XML text": b"<clientConfig><emailProvider>" + b"<domain>a</domain>" * 1000 + b"</emailProvider></clientConfig>",
    "a list": b"3 V1 N1\n" + b"1 :a\n" * 8000,
    "a list of many UIDs": b"3 V1 N1\n1 X" + b",".join(b"%d" % n for n in range(2, 40_000)) + b" :a\n",
    "labels": b"X-Gmail-Labels: " + b'"a"",' * 60_000,
    "NUL": b"\0" * LONG,
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("parser", FILES)
def test_f128_files(parser: str, text: str) -> None:
    """Of ours that others may have changed, and of other programs."""

    def read() -> None:
        with contextlib.suppress(autoconfig.NoDescriptionError):
            FILES[parser](TEXTS[text])

    tracemalloc.start()
    try:
        read()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB
