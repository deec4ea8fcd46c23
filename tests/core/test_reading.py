"""What can be read of a message, whatever a sender wrote (`mailarchive.reading`)."""

from __future__ import annotations

import base64
import io
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailarchive import reading
from mailarchive.reading import Letter, html, letter, texts
from mailarchive.reading.fields import value
from tests.corpus import corpus

if TYPE_CHECKING:
    from mailarchive.reading import Part

HEAD = (
    b"From: =?utf-8?q?Ch=C3=A9r=C3=A9?= <cher@example.org>\r\nTo: a@example.org\r\nCc: b@example.org\r\n"
    b"Subject: =?iso-8859-1?q?caf=E9?= =?iso-8859-1?q?_noir?=\r\nList-Id: <debian-user.lists.example.org>\r\n"
    b"Date: Sat, 1 Mar 2014 10:00:00 +0100\r\nMIME-Version: 1.0\r\n"
)


def mail(kind: str, body: bytes, encoding: str = "") -> bytes:
    """Make a message of one part."""
    coding = f"Content-Transfer-Encoding: {encoding}\r\n" if encoding else ""
    return HEAD + f"Content-Type: {kind}\r\n{coding}\r\n".encode() + body


def multipart(*parts: bytes, kind: str = "mixed", boundary: str = "b1", head: bytes = HEAD) -> bytes:
    """Make a message of several parts."""
    inner = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    opening = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\npreamble\r\n'.encode()
    return head + opening + inner + b"--" + boundary.encode() + b"--\r\nepilogue\r\n"


def test_a_message_is_told_by_its_fields_and_its_text() -> None:
    """Decoded, a line each; the date is aware."""
    assert reading.read(mail("text/plain; charset=utf-8", "Grüße".encode())) == Letter(
        sender="Chéré <cher@example.org>",
        to="a@example.org",
        cc="b@example.org",
        subject="café noir",
        list_id="<debian-user.lists.example.org>",
        date=datetime(2014, 3, 1, 9, tzinfo=UTC),
        body="Grüße",
    )


@pytest.mark.parametrize(
    ("kind", "body", "encoding", "text"),
    [
        ("text/plain", b"plain", "", "plain"),
        ("text/plain; charset=iso-8859-1", b"caf\xe9", "8bit", "café"),
        ("text/plain; charset=utf-8", b"caf=C3=A9=\r\n noir", "quoted-printable", "café noir"),
        ("text/plain; charset=utf-8", base64.b64encode("café noir".encode()), "BASE64", "café noir"),
        ("text/plain", "naïve".encode(), "8bit", "naïve"),
        ("text/plain", b"na\xefve \x80", "8bit", "naïve €"),
        ("text/plain; charset=us-ascii", b"na\xefve", "8bit", "naïve"),
        ("text/plain; charset=us-ascii", "naïve".encode(), "8bit", "naïve"),
        ("text/plain; charset=x-unknown-4711", "naïve".encode(), "8bit", "naïve"),
        ("text/plain; charset=punycode", b"abc", "", "abc"),
        ("text/plain; charset=rot13", b"abc", "", "abc"),
        ("text/plain; charset=utf-8", b"caf\xc3\xa9 \xe9t\xe9", "8bit", "café \ufffdt\ufffd"),
        ("text/plain; charset=utf-8", b"caf\xc3", "8bit", "caf"),
        ("text/plain; charset=utf-16", "hé".encode("utf-16"), "8bit", "hé"),
        ("text/plain; charset=shift_jis", "東京".encode("shift_jis"), "8bit", "東京"),
        ("text/plain; charset=gb2312", "東京".encode("gb18030"), "8bit", "東京"),
        ("text/plain", b"a=ZZb=", "quoted-printable", "a=ZZb"),
        ("text/plain", b"YWJ j!ZGVm\r\nZ2g=\r\naWo=", "base64", "abcdefghij"),
        ("text/plain", b"YWJjZ", "base64", "abc"),
        ("text/plain", b"====", "base64", ""),
        ("text/plain", b"begin 644 x\r\n#86)C\r\n`\r\nend\r\n", "x-uuencode", "abc"),
        ("text/plain", b"a\x00b", "", "a b"),
        ("text/plain", b"a\r\nb\rc", "", "a\nb\nc"),
        ("text/html", b"<p>Hello <b>you</b></p><style>p{}</style>&eacute;&#8364;&amp;", "", "Hello you\né€&"),
        ("", b"no type", "", "no type"),
        ("nonsense", b"no type", "", "no type"),
        ('text/plain; charset="utf-8"; format=flowed', "é".encode(), "", "é"),
    ],
)
def test_texts_are_decoded_as_well_as_can_be(kind: str, body: bytes, encoding: str, text: str) -> None:
    """The declared charset, else UTF-8, else Windows-1252; a broken encoding gives what can be had of it."""
    assert reading.read(mail(kind, body, encoding)).body == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", ""),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<ul><li>a<li>b</ul>", "a\nb"),
        ("a  \n\t b", "a b"),
        ("<SCRIPT type=x>var a = '<p>';</SCRIPT>b", "b"),
        ("<style>x", ""),
        ("<script>x</scriptx>y", ""),
        ("a<!-- no -- <p>no --> b", "a b"),
        ("a<!-- no", "a"),
        ("a<!doctype html><?xml x?>b", "ab"),
        ("<head><title>t</title></head>b", "b"),
        ("<head>b", "b"),
        ("<title>t</title>b", "b"),
        ("1 < 2 &lt; 3 & 4 &amp 5 &unknown;", "1 < 2 < 3 & 4 & 5 &unknown;"),
        ("&lt;script&gt;", "<script>"),
        ("a<b", "a"),
        ("<a href='https://example.org/?a=b'>link</a>", "link"),
        ("&#0;&#xd800;&#99999999999;", "\ufffd\ufffd\ufffd"),
        ("<p", ""),
        ("a<", "a<"),
    ],
)
def test_html_becomes_text(source: str, text: str) -> None:
    """Blocks on lines of their own, no scripts, styles, comments or heads, entities as what they mean."""
    assert html.plain(source) == text


def test_parts_are_numbered_as_imap_numbers_them() -> None:
    """What holds others is not among them; a message inside is, before its own parts."""
    inner = multipart(
        b"\r\nin\r\n", b"Content-Type: image/png; name=x.png\r\n\r\n1", boundary="b2", head=b"Subject: s\r\n"
    )
    alternative = multipart(
        b"Content-Type: text/plain\r\n\r\nplain", b"Content-Type: text/html\r\n\r\n<p>rich", kind="alternative",
        boundary="b3", head=b"",
    )  # fmt: skip
    octets = multipart(
        alternative,
        b"Content-Type: message/rfc822\r\n\r\n" + inner,
        b"Content-Type: message/rfc822\r\n\r\nSubject: one\r\n\r\nsingle",
        b'Content-Type: application/pdf\r\nContent-Disposition: attachment; filename="a.pdf"\r\n\r\n%PDF',
    )
    found = [(part.number, part.kind, part.attached, octets[part.begin : part.end]) for part in reading.parts(octets)]
    assert [(number, kind, attached) for number, kind, attached, _ in found] == [
        ("1.1", "text/plain", False),
        ("1.2", "text/html", False),
        ("2", "message/rfc822", True),
        ("2.1", "text/plain", False),
        ("2.2", "image/png", True),
        ("3", "message/rfc822", True),
        ("3.1", "text/plain", False),
        ("4", "application/pdf", True),
    ]
    assert found[0][3] == b"plain"
    assert found[6][3] == b"single"
    assert found[7][3] == b"%PDF"
    told = reading.read(octets)
    assert (told.attachments, told.names) == (4, "x.png\na.pdf")
    assert told.body.split() == ["plain", "rich", "s", "in", "one", "single"]


@pytest.mark.parametrize(
    ("fields", "attached"),
    [
        (b"Content-Type: text/plain", False),
        (b"Content-Type: text/plain\r\nContent-Disposition: attachment", True),
        (b"Content-Type: text/plain; name=a.txt", True),
        (b"Content-Type: text/plain; name=a.txt\r\nContent-Disposition: inline", False),
        (b"Content-Type: image/png\r\nContent-ID: <x>", False),
        (b"Content-Type: image/png; name=x.png\r\nContent-ID: <x>\r\nContent-Disposition: inline", False),
        (b"Content-Type: image/png; name=x.png\r\nContent-Disposition: inline", True),
        (b"Content-Type: image/png\r\nContent-Disposition: attachment\r\nContent-ID: <x>", True),
        (b"Content-Type: application/pdf", True),
        (b"Content-Type: application/pdf\r\nContent-Disposition: inline", True),
        (b"Content-Type: application/pgp-signature; name=signature.asc", False),
    ],
)
def test_an_attachment_is_what_stands_apart_from_the_text(fields: bytes, attached: bool) -> None:
    """Pictures of the text and signatures are none, unless they say so themselves."""
    octets = multipart(b"\r\ntext", fields + b"\r\n\r\nx")
    assert reading.read(octets).attachments == int(attached)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (b'attachment; filename="a b.pdf"', "a b.pdf"),
        (b"attachment; filename=a.pdf; size=3", "a.pdf"),
        (b"attachment; filename*=utf-8''%e2%82%ac%20rates.pdf", "€ rates.pdf"),
        (b"attachment; filename*=utf-8'en'%e2%82%ac.pdf; filename=e.pdf", "€.pdf"),
        (b"attachment; filename*0*=iso-8859-1''caf%e9; filename*1=\" noir.pdf\"", "café noir.pdf"),
        (b'attachment; filename*1=b; filename*0="a"', "ab"),
        (b'attachment; filename="=?utf-8?q?caf=C3=A9.pdf?="', "café.pdf"),
        (b'attachment; filename="a\\"b"', 'a"b'),
        (b'attachment; filename="caf\xe9"', "café"),
        (b'attachment; filename="caf\xc3\xa9"', "café"),
        (b"attachment; filename*=utf-8''%zz%", "%zz%"),
        (b"attachment; filename*=nonsense", "nonsense"),
        (b'attachment; filename="open', "open"),
        (b"attachment; filename=", ""),
        (b"attachment" + b"; a=b" * 100 + b"; filename=late", ""),
        (b'attachment; filename="../../.bashrc"', "../../.bashrc"),
    ],
)
def test_names_of_attachments_are_decoded(field: bytes, name: str) -> None:
    """By RFC 2231 and, as many mailers do, RFC 2047; what they look like is for others to judge."""
    octets = multipart(b"Content-Type: application/x\r\nContent-Disposition: " + field + b"\r\n\r\nx")
    (part,) = reading.parts(octets)
    assert part.name == name


def test_a_boundary_counts_only_as_a_whole_line() -> None:
    """One that goes on, or stands inside a line, is text; what follows the last one is none."""
    octets = multipart(b"\r\nx--b1\r\n--b11\r\n --b1\r\ny", b"\r\nz")
    assert [octets[part.begin : part.end] for part in reading.parts(octets)] == [b"x--b1\r\n--b11\r\n --b1\r\ny", b"z"]
    unclosed = HEAD + b"Content-Type: multipart/mixed; boundary=q\r\n\r\n--q \r\n\r\none\n--q\n\ntwo"
    assert [unclosed[part.begin : part.end] for part in reading.parts(unclosed)] == [b"one", b"two"]
    without = HEAD + b"Content-Type: multipart/mixed\r\n\r\ntext"
    assert [part.kind for part in reading.parts(without)] == ["multipart/mixed"]


NESTED = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1000))
BOMB = io.BytesIO()
with zipfile.ZipFile(BOMB, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("zeros", bytes(20_000_000))

HOSTILE = {
    "a thousand nested multiparts": HEAD + NESTED + b"\r\ndeep",
    "a thousand nested messages": HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 1000,
    "one boundary for all": HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 2000,
    "100 000 parts": multipart(*[b"\r\nx"] * 100_000),
    "100 KB of encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 7500 + b"\r\n\r\nx",
    "500 parentheses": b"From: " + b"(" * 500 + b"\r\nDate: " + b"(" * 5000 + b"\r\n\r\nx",
    "10 000 parameters": mail("text/plain" + "; a=b" * 10_000, b"x"),
    "10 000 quotes": mail("text/plain; a=" + '"\\' * 10_000, b"x"),
    "open comments": mail("text/html", b"<!--" * 250_000),
    "open tags": mail("text/html", b"<a " * 300_000),
    "open scripts": mail("text/html", b"<script>" * 100_000),
    "open templates": mail("text/html", b"<template>" * 100_000),
    "open heads": mail("text/html", b"<head><svg><title>" * 50_000),
    "entities": mail("text/html", b"&" * 500_000 + b"&#" * 100_000),
    "a megabyte in one line": mail("text/plain", b"x" * 1_000_000, "quoted-printable"),
    "padding only": mail("text/plain", b"A=" * 300_000, "base64"),
    "blanks only": mail("text/html", b" \t\xa0" * 300_000),
    "no header end": b"a: b\r\n" * 200_000,
    "no header": b"\r\n\r\n" + b"x" * 100,
    "nothing": b"",
    "a line without end": b"Subject:" + b" " * 1_000_000,
    "folds": b"Subject: x" + b"\r\n " * 300_000 + b"\r\n\r\n",
    "utf-16": "Subject: x\r\n\r\ny".encode("utf-16"),
    "first line From": b"From x\r\n" + HEAD + b"\r\nx",
    "zip bomb": multipart(
        b"Content-Type: application/zip; name=z.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(BOMB.getvalue())
    ),
}


@pytest.mark.parametrize("octets", HOSTILE.values(), ids=HOSTILE.keys())
def test_f126_hostile_mail_costs_little_and_never_raises(octets: bytes) -> None:
    """Whatever is nested, repeated or left open: caps hold, and nothing is opened or unpacked."""
    told = reading.read(octets)
    assert len(told.body) <= letter.TEXT + 1000
    assert len(told.subject) <= 8 * 1024
    found = list(reading.parts(octets))
    assert len(found) <= 1000
    assert all(part.number.count(".") <= 20 for part in found)
    assert sum(len(piece) for part in found[:20] for piece in reading.decoded(octets, part)) <= len(octets) * 20


def test_f126_a_slip_in_one_reader_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A RecursionError over the parts: the header still counts, and what was read of the text before."""
    original = texts.text
    calls: list[Part] = []

    def slip(octets: bytes, part: Part, most: int) -> str:
        calls.append(part)
        if len(calls) == 2:
            raise RecursionError
        return original(octets, part, most)

    monkeypatch.setattr(texts, "text", slip)
    told = reading.read(multipart(b"\r\nfirst", b"\r\nsecond"))
    assert (told.subject, told.body) == ("café noir", "first")


@given(st.binary(max_size=300), st.sampled_from(["text/plain", "text/html", "multipart/mixed; boundary=b", ""]))
@example(b"--b\r\n--b--", "multipart/mixed; boundary=b")
@example(b"--b", "multipart/mixed; boundary=b")
@example(b"\n--b\n\n--b", "multipart/mixed; boundary=b")
def test_any_octets_can_be_read(octets: bytes, kind: str) -> None:
    """No octets make a reader raise, and parts lie inside the message."""
    for whole in (octets, mail(kind, octets), mail(kind, octets, "base64"), mail(kind, octets, "quoted-printable")):
        for part in reading.parts(whole):
            assert 0 <= part.begin <= part.end <= len(whole)
            assert isinstance(reading.text(whole, part, 1000), str)
        reading.read(whole)


@given(st.binary(max_size=200))
def test_any_field_can_be_read(octets: bytes) -> None:
    """Parameters of any octets are texts."""
    kind, parameters = value(octets)
    assert all(isinstance(text, str) for text in (kind, *parameters.values()))


@given(st.binary(max_size=400), st.integers(1, 90))
def test_base64_in_any_lines_is_what_it_was(octets: bytes, width: int) -> None:
    """However it is cut into lines."""
    coded = base64.b64encode(octets).decode()
    lines = "\r\n".join(coded[at : at + width] for at in range(0, len(coded), width)).encode()
    whole = mail("application/x", lines, "base64")
    (part,) = reading.parts(whole)
    assert b"".join(reading.decoded(whole, part)) == octets


def test_the_corpus_is_read() -> None:
    """Made-up mail of every kind has a subject or a text."""
    for sample in corpus(120, seed=3, now=datetime(2024, 1, 1, tzinfo=UTC), sizes="small"):
        told = reading.read(sample.raw)
        assert told.subject or told.body, sample.name


def test_only_the_header_is_read_where_that_is_enough() -> None:
    """Then nothing is said of attachments."""
    told = reading.read(multipart(b"\r\ntext"), body=False)
    assert (told.subject, told.body, told.attachments) == ("café noir", "", -1)
