"""How names of mailboxes are divided (`mailarchive.hierarchy`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from mailarchive.hierarchy import Hierarchy
from tests.exports.shelf import Shelf

if TYPE_CHECKING:
    from mailarchive.ports import Archive


@pytest.fixture
def hierarchy() -> Hierarchy:
    """Know three mailboxes."""
    shelf = Shelf({"INBOX.Work.2014": ".", "Lists/debian.org": "/", "flat/name": None})
    return Hierarchy(cast("Archive", shelf))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("INBOX.Work.2014", ("INBOX", "Work", "2014")),
        ("Lists/debian.org", ("Lists", "debian.org")),
        ("flat/name", ("flat/name",)),
        ("un/known.name", ("un", "known.name")),
    ],
)
def test_a_name_is_cut_at_its_own_delimiter(hierarchy: Hierarchy, name: str, parts: tuple[str, ...]) -> None:
    """What no manifest speaks of, at a slash."""
    assert hierarchy.parts(name) == parts
    assert hierarchy.parts(name) == parts


@pytest.mark.parametrize(
    ("name", "delimiter", "there"),
    [
        ("Lists/debian.org", "/", "Lists/debian.org"),
        ("Lists/debian.org", ".", "Lists.debian_org"),
        ("INBOX.Work.2014", "/", "INBOX/Work/2014"),
        ("INBOX.Work.2014", None, "INBOX.Work.2014"),
        ("flat/name", "/", "flat/name"),
        ("flat/name", ".", "flat/name"),
    ],
)
def test_another_server_divides_in_its_own_way(
    hierarchy: Hierarchy, name: str, delimiter: str | None, there: str
) -> None:
    """The same mailboxes below the same ones."""
    assert hierarchy.elsewhere(name, delimiter) == there
