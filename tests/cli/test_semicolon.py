"""What a user reads and gets on a disk that refuses a colon in the names of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from tests.command import mailarchive, plain_url
from tests.contract.test_maildir_layouts import refuse_colons
from tests.servers.demo_client import PASSWORD, USER, small_store

if TYPE_CHECKING:
    from pathlib import Path

NOTE = "this disk refuses a colon"


@pytest.mark.parametrize("format_", ["maildir", "mbox"])
def test_the_first_run_says_what_programs_will_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    """Once, and only where it is so: all is archived, found again and verified in any case."""
    refuse_colons(monkeypatch)
    with DemoServer(small_store()[0]) as server:
        words = ("backup", plain_url(server.imap_port, USER), "--to", tmp_path / "archive", "--format", format_)
        first = mailarchive(*words, password=PASSWORD)
        second = mailarchive("--json", *words, password=PASSWORD)
    assert first.code == second.code == 0
    assert (NOTE in first.err) == (format_ == "maildir")
    assert NOTE not in second.out + second.err
    assert (second.end["total"]["already"], second.end["total"]["archived"]) == (5, 0)
    assert mailarchive("verify", tmp_path / "archive").code == 0
    assert len(list(tmp_path.rglob("*;2,*"))) == (5 if format_ == "maildir" else 0)
    assert list(tmp_path.rglob("*:*")) == []
