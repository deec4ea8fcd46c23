"""Exported pages in a real browser: nothing that a sender wrote runs, and nothing is asked of any network."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive.exports.html import Html
from tests.exports import hostile
from tests.exports.browser import Listener, opened
from tests.exports.shelf import Shelf, exported

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.reader("chromium"), pytest.mark.long]

WHEN = datetime(2014, 3, 1, 10, tzinfo=UTC)


def export(folder: Path, host: str) -> Path:
    """Export a hostile message and a harmless one; gives the page of the first."""
    shelf = Shelf()
    bad = shelf.add(hostile.message(host), "</td><script>document.title='ran'</script>", date=WHEN)
    shelf.add(b"From: Anna <a@example.org>\r\nSubject: Harmless\r\n\r\nwords\r\n", date=WHEN)
    exported(shelf, folder, lambda into: Html(into, "<script>document.title='ran'</script>", "note"))
    return folder / "messages" / bad.id[:2] / f"{bad.id[:32]}.html"


def test_the_browser_would_run_and_fetch_it(tmp_path: Path, require: Callable[[str], str]) -> None:
    """What is tried does work where nobody cleans it: the listener and the browser are not deaf."""
    with Listener() as listener:
        page = tmp_path / "raw.html"
        page.write_text(hostile.PLAIN.format(host=listener.host), encoding="utf-8")
        document = opened(require("chromium"), page, tmp_path, listener)
    assert "<title>ran</title>" in document
    assert set(listener.beacons) == {"/beacon-img", "/beacon-script", "/beacon-css", "/beacon-name", "/beacon-frame"}


def test_f126_nothing_runs_and_nothing_is_fetched(tmp_path: Path, require: Callable[[str], str]) -> None:
    """On the page of the message, on that of its month, and on the first page."""
    with Listener() as listener:
        page = export(tmp_path / "out", listener.host)
        pages = [page, tmp_path / "out" / "months" / "2014-03.html", tmp_path / "out" / "index.html"]
        documents = [opened(require("chromium"), each, tmp_path, listener) for each in pages]
    assert listener.beacons == []
    for document in documents:
        assert "<title>ran</title>" not in document
        assert "color-scheme" not in document
    assert "<b>invoice</b>" in documents[0]
    assert "Harmless" in documents[1]
    assert 'class="can-search"' in documents[2]


def test_the_search_finds_and_shows_foreign_text_as_text(tmp_path: Path, require: Callable[[str], str]) -> None:
    """In the list of messages that lies beside the page."""
    with Listener() as listener:
        page = export(tmp_path / "out", listener.host)
        index = tmp_path / "out" / "index.html"
        asked = index.with_name("asked.html")
        asked.write_text(index.read_text("utf-8").replace('id="words"', 'id="words" value="INVOICE example.org"'))
        document = opened(require("chromium"), asked, tmp_path, listener)
    assert listener.beacons == []
    assert "<title>ran</title>" not in document
    found = re.findall(r'<td class="what"[^>]*><a href="([^"]*)">(.*?)</a>', document)
    assert [address for address, _ in found] == [page.relative_to(tmp_path / "out").as_posix()]
    assert found[0][1].startswith("&lt;/title&gt;&lt;script&gt;")
    assert '<p class="note">1 message</p>' in document
