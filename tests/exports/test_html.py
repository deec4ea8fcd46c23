"""Pages: what is on them, what is let through of strangers' HTML, and what lies beside them."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from mailarchive.exports.cleaning import cleaner
from mailarchive.exports.html import Html
from mailarchive.exports.tidying import DEEPEST
from mailarchive.model import FLAGGED
from tests.corpus import corpus, nasty
from tests.exports import hostile
from tests.exports.shelf import Shelf, exported, files_of

if TYPE_CHECKING:
    from pathlib import Path

WHEN = datetime(2014, 3, 1, 10, tzinfo=UTC)


class Seen(HTMLParser):
    """Notes every element and attribute of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


def clean(html: str) -> str:
    """Clean some HTML; one picture is known."""
    made = cleaner()
    assert made is not None
    return made(html, lambda name: "x/logo.png" if name == "logo@x" else None)


@pytest.mark.parametrize(
    ("html", "left"),
    [
        ("<p>a<p>b", "<p>a</p><p>b</p>"),
        ("<b>a<i>b</b>c", "<b>a<i>b</i></b>c"),
        ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
        ("1 < 2 &amp; 3", "1 &lt; 2 &amp; 3"),
        ("<o:p>word</o:p>", "word"),
        ("<script>x</script>a", "a"),
        ("<style>x</style>a<script>b", "a"),
        ("<title>x</title><noscript><b>y</b></noscript>a", "a"),
        ("a<svg onload=x><script>y</script></svg>b", "ab"),
        ("<iframe>a", "a"),
        ("<!-- <b> -->a<!doctype x><?php ?>", "a"),
        ("a<!-- b", "a"),
        ("<form><input value=x><button>Go</button></form>", "Go"),
        ('<b style="position:fixed" class="x" id="y" onclick="z">a</b>', "<b>a</b>"),
        ('<img src="http://h/x.png" srcset="y 2x" alt="A" onerror="z">', '<img alt="A">'),
        ("<img src=//h/x.png><img src=x.png><img src='file:///x.png'>", "<img><img><img>"),
        ('<img src="cid:logo@x" width="40" height="4em">', '<img src="x/logo.png" width="40">'),
        ('<img src="cid:other@x">', "<img>"),
        ('<img src="data:image/png;base64,AAAA">', '<img src="data:image/png;base64,AAAA">'),
        ('<img src="data:image/svg+xml;base64,AAAA"><img src="data:text/html,x">', "<img><img>"),
        (
            '<table background="x"><tr><td colspan="2" bgcolor=y>a',
            '<table><tbody><tr><td colspan="2">a</td></tr></tbody></table>',
        ),
        ("<plaintext><b>a", "<b>a</b>"),
        ("<b" + " a=1" * 100 + ">x", "<b>x</b>"),
        ('<b title="a>b">x', '<b title="a&gt;b">x</b>'),
        ("<b title='x", "<b></b>"),
    ],
)
def test_what_is_let_through(html: str, left: str) -> None:
    """What is read, and nothing that runs, fetches, covers or sends."""
    assert clean(html) == left


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        " JaVaScRiPt:alert(1)",
        "java&#10;script:alert(1)",
        "java&Tab;script:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "//host/share",
        "\\\\host\\share",
        "../index.html",
        "x",
        "#top",
        "http:x",
        "https://h/\\x y",
    ],
)
def test_links_that_lead_nowhere_good(address: str) -> None:
    """Their text stays."""
    assert "href" not in clean(f'<a href="{address}">x</a>')


def test_a_link_waits_for_a_click_and_tells_nobody() -> None:
    """Of the web, or to a mail address."""
    found = clean('<a href="https://h/?a=1&amp;b=2" ping="https://h/p">x</a><a href="mailto:a@b">y</a>')
    assert re.findall(r'href="([^"]*)"', found) == ["https://h/?a=1&amp;b=2", "mailto:a@b"]
    assert found.count('rel="noopener noreferrer nofollow"') == 2
    assert "ping" not in found


TOWERS = ["<div>", "<table><tr><td>", "<b>", "<", "<a ", '<a "', "<a x='", "</div>", "<svg>", "<style", "<p><table>"]
TOWERS += ["<b><table><tr><td></b></table>", "<b><i><p></b>", "<b a=1>", "<iframe>x", "<!-- ", "<math><mi>"]


@pytest.mark.parametrize("piece", TOWERS)
def test_towers_cost_no_more_than_their_length(piece: str) -> None:
    """Half a megabyte of nested or broken elements; a tree of them would take minutes and a deep stack."""
    found = clean(piece * (500_000 // len(piece)))
    depth = deepest = 0
    for close in re.findall(r"<(/?)(?!img|br|hr)[a-z]", found):
        depth += -1 if close else 1
        deepest = max(deepest, depth)
    # A table gets a body that nobody wrote.
    assert deepest <= 1.5 * DEEPEST


def pages_of(tmp_path: Path, shelf: Shelf) -> dict[str, str]:
    """Export a shelf; gives each page, and checks what every page says that a browser may do."""
    exported(shelf, tmp_path / "out", lambda folder: Html(folder, "Mail of <home>", "all & everything"))
    pages = {name: octets.decode() for name, octets in files_of(tmp_path / "out").items() if name.endswith(".html")}
    for name, page in pages.items():
        scripts = "script-src 'self'; " if name == "index.html" else ""
        policy = (
            f"default-src 'none'; img-src 'self' data:; style-src 'self'; {scripts}base-uri 'none'; form-action 'none'"
        )
        seen = Seen(page)
        assert ("meta", "content", policy) in seen.attributes
        assert seen.tags.index("meta") < seen.tags.index("link")
        assert [tag for tag in seen.tags if tag == "script"] == (["script"] if name == "index.html" else [])
        assert not {"iframe", "form", "object", "embed", "base", "style", "svg"} & set(seen.tags)
        assert not [each for each in seen.attributes if each[1].startswith("on") or each[1] in ("style", "srcset")]
    return pages


def test_f126_hostile_mail_is_text(tmp_path: Path) -> None:
    """In the title, the headers, the lists and the names of files, and nothing remote is left."""
    shelf = Shelf()
    found = shelf.add(hostile.message("tracker.example"), "<script>x</script>", date=WHEN)
    pages = pages_of(tmp_path, shelf)
    page = pages[f"messages/{found.id[:2]}/{found.id[:32]}.html"]
    assert "&lt;script&gt;document.title=" in page
    assert "beacon" not in page.partition("<details>")[0].replace("example.org/good", "")
    files = files_of(tmp_path / "out")
    place = f"files/{found.id[:2]}/{found.id[:32]}"
    beside = {name.removeprefix(f"{place}/"): octets for name, octets in files.items() if name.startswith(place)}
    assert sorted(beside) == ["evil.svg.txt", "logo.png", "open me.html.txt", "script.exe"]
    assert beside["logo.png"] == hostile.PNG
    assert f'src="../../{place}/logo.png"' in page
    rows = json.loads(files["messages.js"].decode().removeprefix("var messages = ").replace(",\n];", "]"))
    assert [(row[1], row[4], row[5]) for row in rows] == [("2014-03-01", "<script>x</script>", found.attachments)]


def test_an_index_by_year_and_month(tmp_path: Path) -> None:
    """And a list of what has no date."""
    shelf = Shelf()
    for number, date in enumerate([datetime(2015, 1, 2, tzinfo=UTC), WHEN, WHEN, None]):
        head = (
            b"From: Anna <a@example.org>\r\nTo: Bob <b@x>\r\nCc: =?utf-8?q?C=C3=A9?= <c@x>\r\nSubject: n%d\r\n" % number
        )
        shelf.add(head + b"\r\nword\r\n", date=date, flags=[FLAGGED])
    pages = pages_of(tmp_path, shelf)
    assert sorted(name for name in pages if "/" not in name or name.startswith("months/")) == [
        "index.html",
        "months/2014-03.html",
        "months/2015-01.html",
        "months/undated.html",
    ]
    index = pages["index.html"]
    assert "Mail of &lt;home&gt;" in index
    assert "all &amp; everything" in index
    assert re.findall(r'href="(months/[^"]*)">(\d+)', index) == [
        ("months/2015-01.html", "1"),
        ("months/2014-03.html", "2"),
        ("months/undated.html", "1"),
    ]
    for name, page in pages.items():
        for address in re.findall(r'(?:href|src)="([^"]*)"', page):
            target = (tmp_path / "out" / name).parent / address
            assert target.resolve().is_file(), (name, address)
    message = next(page for page in pages.values() if '<h1 dir="auto">n1' in page)
    assert '<pre class="text" dir="auto">word\n</pre>' in message
    assert '<dt>To</dt><dd dir="auto">Bob &lt;b@x&gt;</dd>\n<dt>Cc</dt><dd dir="auto">Cé &lt;c@x&gt;</dd>' in message
    assert '<dt>Flags</dt><dd dir="auto">unread, flagged</dd>' in message


def test_without_nh3_it_is_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain text of an alternative, or that of the HTML."""
    monkeypatch.setitem(sys.modules, "nh3", None)
    both, alone = EmailMessage(), EmailMessage()
    both.set_content("plain words")
    both.add_alternative("<p>rich words</p>", subtype="html")
    alone.set_content("<p>only <b>rich</b> words</p>", subtype="html")
    shelf = Shelf()
    for each in (both, alone):
        shelf.add(each.as_bytes(), date=WHEN)
    pages = "".join(pages_of(tmp_path, shelf).values())
    assert "plain words" in pages
    assert "rich words</p>" not in pages
    assert "only rich words" in pages


def test_any_mail_makes_a_page(tmp_path: Path, seed: int) -> None:
    """Also broken mail; each message has one."""
    shelf = Shelf()
    for each in (*nasty(), *corpus(40, seed=seed, now=WHEN, sizes="tiny")):
        shelf.add(each.raw, "Été/\u202e<b>", date=each.internal_date)
    pages = pages_of(tmp_path, shelf)
    ids = {found.id[:32] for found in shelf.found}
    assert {name.rpartition("/")[2][:32] for name in pages if name.startswith("messages/")} >= ids
    assert not any("\u202e" in page for name, page in pages.items() if name.startswith("months/"))
