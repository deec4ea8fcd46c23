"""Hostile text on the way to a terminal or a log (`mailarchive.screen.safe`)."""

from __future__ import annotations

import json
import time
import unicodedata
from base64 import b64encode
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.screen.safe import safe, safe_bytes
from mailarchive.scrub import MASK, Scrubber, scrub

ANYTHING = st.text(st.characters())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("INBOX/Été 2014", "INBOX/Été 2014"),
        ("日本語 Ελληνικά עברית العربية", "日本語 Ελληνικά עברית العربية"),
        ("fiancée e\N{COMBINING ACUTE ACCENT}", "fiancée e\N{COMBINING ACUTE ACCENT}"),
        ("हिन्दी ภาษาไทย", "हिन्दी ภาษาไทย"),
        ("😀 👍🏽 ❤️ 🇩🇪", "😀 👍🏽 ❤️ 🇩🇪"),
        ("👩\u200d💻", "👩💻"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u062e\u0648\u0627\u0647\u0645"),
        ("", ""),
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("a\tb\r\nc\x7f\x00", r"a\tb\r\nc\x7f\x00"),
        ("safe\u202efdp.exe\u2066\u200f\u061c", r"safe\u202efdp.exe\u2066\u200f\u061c"),
        ("a\u200bb\ufeff\u00ad\u2060", r"a\u200bb\ufeff\xad\u2060"),
        ("line\u2028para\u2029", r"line\u2028para\u2029"),
        ("\udce9\ud83d", r"\udce9\ud83d"),
        ("\ue000\U000f0000\u0378\uffff", r"\ue000\U000f0000\u0378\uffff"),
        ("\U000e0041\U000e0100\ufe00", r"\U000e0041\U000e0100\ufe00"),
        ("no\u00a0break\u3000wide\u2009thin", "no break wide thin"),
        ("\u3164\u115f\uffa0x\u034f", r"\u3164\u115f\uffa0x\u034f"),
        ("\N{COMBINING ACUTE ACCENT}x \N{COMBINING ACUTE ACCENT}", r"\u0301x \u0301"),
        ("z" + "\N{COMBINING ACUTE ACCENT}" * 6, "z" + "\N{COMBINING ACUTE ACCENT}" * 4 + r"\u0301\u0301"),
        ("[link=http://evil]x[/link]", "[link=http://evil]x[/link]"),
    ],
)
def test_f124_what_is_shown(text: str, shown: str) -> None:
    """Ordinary writing stays as it is; what steers, hides or reorders becomes a visible escape."""
    assert safe(text) == shown


@given(ANYTHING, st.integers(1, 40))
def test_f124_any_text_becomes_one_short_harmless_line(text: str, limit: int) -> None:
    """Only printable characters, never longer than asked; a text that is cut says so."""
    shown = safe(text, limit=limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    assert not {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} & {unicodedata.category(letter) for letter in shown}
    assert shown == safe(text, limit=10**9) or shown.endswith("…")
    shown.encode("utf-8")


@given(st.text(st.characters(categories=["Lu", "Ll", "Lo", "Nd", "Po", "So"], max_codepoint=0x10FF)))
def test_ordinary_text_is_not_touched(text: str) -> None:
    """Letters, digits and signs come through, but for the few letters that cannot be seen."""
    if not {"\u115f", "\u1160"} & set(text):
        assert safe(text, limit=10**9) == text


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("abcdef", 1, "…"),
        ("abc\x1bdef", 6, "abc…"),
        ("abc\x1b", 7, r"abc\x1b"),
        ("abc\x1b", 6, "abc…"),
        ("日本語", 2, "日…"),
    ],
)
def test_a_long_text_is_cut_between_characters(text: str, limit: int, shown: str) -> None:
    """The ellipsis is the last of at most `limit` characters, and no escape is cut in two."""
    assert safe(text, limit=limit) == shown


def test_a_huge_text_costs_no_more_than_what_is_shown() -> None:
    """Ten million characters are cut at once."""
    text = "\x1b" * 10_000_000
    begun = time.perf_counter()
    assert len(safe(text)) <= 200
    assert time.perf_counter() - begun < 0.5


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain", "plain"),
        ("Été".encode(), "Été"),
        (b"\xc9t\xe9", r"\xc9t\xe9"),
        (b"\x1b[31m\xff\x00", r"\x1b[31m\xff\x00"),
        ("ä".encode() + b"\xff", r"ä\xff"),
        ("\u202e".encode(), r"\u202e"),
    ],
)
def test_octets_are_shown_as_text_or_as_octets(data: bytes, shown: str) -> None:
    """What is UTF-8 is text, every other octet is written in hex."""
    assert safe_bytes(data) == shown


@given(st.binary(), st.integers(1, 40))
def test_f124_any_octets_become_one_harmless_line(data: bytes, limit: int) -> None:
    """Octets are as harmless as text."""
    shown = safe_bytes(data, limit=limit)
    assert shown.isprintable()
    assert len(shown) <= limit


SECRET = "Pä\"ss\\wort /+%&'x"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        quote_plus(SECRET),
        quote(SECRET, safe="").lower().replace("p", "P", 1),
        b64encode(SECRET.encode()).decode(),
        b64encode(SECRET.encode()).decode().rstrip("="),
        repr(SECRET)[1:-1],
        ascii(SECRET)[1:-1],
        repr(SECRET.encode())[2:-1],
        json.dumps(SECRET)[1:-1],
        SECRET.replace("\\", "\\\\").replace('"', '\\"'),
    ],
)
def test_a_secret_is_taken_out_in_every_form(form: str) -> None:
    """Raw, quoted for Python, JSON and IMAP, percent-encoded, and in base64."""
    text = f"A1 LOGIN bob {form}, refused {form}"
    assert scrub(text, [SECRET]) == f"A1 LOGIN bob {MASK}, refused {MASK}"


def test_overlapping_secrets_leave_nothing() -> None:
    """Where one secret begins inside another, all of both is taken out."""
    assert scrub("<abcdefgh>", ["abcdef", "defgh"]) == "<***>"
    assert scrub("<abcabcabc>", ["abcabc"]) == "<***>"
    assert scrub("<abcdabcd>", ["abcd"]) == "<***>"
    assert scrub("abcd", ["abcd"]) == "***"
    assert scrub("abcd-abcd", ["abcd"]) == "***-***"


def test_a_very_short_secret_is_taken_out_where_it_stands_alone() -> None:
    """A password `a` must not take every word apart, which would also show where it was."""
    assert scrub("LOGIN bob a at an apple", ["a"]) == "LOGIN bob *** at an apple"
    assert scrub("a", ["a"]) == "***"


def test_no_secret_is_no_change() -> None:
    """An empty secret is none; text without a secret stays as it is."""
    assert scrub("text", ["", "other"]) == "text"
    assert scrub("", ["other"]) == ""


def test_a_scrubber_learns_and_does_not_tell() -> None:
    """Secrets may be added later, and its repr shows none of them."""
    scrubber = Scrubber(["first-one"])
    scrubber.add("second-one")
    assert scrubber.scrub("first-one second-one third") == "*** *** third"
    assert "one" not in repr(scrubber)


@given(st.text(min_size=4), st.text(), st.text())
def test_no_secret_ever_survives(secret: str, before: str, after: str) -> None:
    """Whatever stands around it, a secret is not in what is left, unless it is in what stands around the mask."""
    shown = scrub(before + secret + after, [secret])
    for kept in shown.split(MASK):
        assert secret not in kept
    assert MASK in shown
