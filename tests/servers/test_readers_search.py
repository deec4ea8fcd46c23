"""What a search finds, compared with what notmuch finds in the same archive."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests.command import mailarchive, plain_url
from tests.corpus import corpus, spread

if TYPE_CHECKING:
    from pathlib import Path

QUERIES = {
    "invoice": '"invoice"',
    '"garden party"': '"garden party"',
    "from:bruno": 'from:"bruno"',
    "from:ada@example.org winter": 'from:"ada@example.org" "winter"',
    "to:example.org customer": 'to:"example.org" "customer"',
    "subject:invoice": 'subject:"invoice"',
    "invoice -customer": '"invoice" not "customer"',
    "(garden OR friday) invoice": '("garden" or "friday") "invoice"',
    "in:Work is:unread": 'folder:"archive/Work" tag:unread',
    "is:flagged OR is:answered": "tag:flagged or tag:replied",
    "Καλημέρα -subject:Καλημέρα": '"Καλημέρα" not subject:"Καλημέρα"',
    "from:山田": 'from:"山田"',
}
"""Ours, and the same for notmuch; quotes keep it from looking for the stems of English words."""


@pytest.mark.reader("notmuch")
def test_a_search_finds_what_notmuch_finds(tmp_path: Path, home: Path, seed: int) -> None:
    """Twelve queries over mail of every kind: the same messages, and some for most of them."""
    archive = tmp_path / "mail" / "archive"
    store = Store()
    account = store.add_account("kim", "secret")
    samples = corpus(240, seed=seed, now=datetime.now(UTC) - timedelta(days=3), sizes="small")
    for name, messages in spread(samples, ["INBOX", "Work", "Lists"]).items():
        box = account.find(name) or account.create(name)
        for sample in messages:
            box.append(sample.raw, sample.internal_date, sample.flags)
    with DemoServer(store) as server:
        assert mailarchive("-q", "backup", plain_url(server.imap_port, "kim"), "--to", archive).code == 0
    config = home / ".notmuch-config"
    config.write_text(
        f"[database]\npath={archive.parent}\n[user]\nname=me\nprimary_email=me@example.org\n"
        "[new]\ntags=\nignore=.mailarchive;dovecot-uidlist;dovecot-keywords\n[maildir]\nsynchronize_flags=true\n"
    )
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "NOTMUCH_CONFIG": str(config), "LANG": "C.UTF-8"}
    subprocess.run(["notmuch", "new", "--quiet"], env=environment, check=True, capture_output=True, timeout=100)
    empty = []
    for ours, theirs in QUERIES.items():
        command = ["notmuch", "search", "--output=files", "--exclude=false", theirs]
        told = subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60).stdout.decode()
        expected = set(re.findall(r"\.([0-9a-f]{32})\.mailarchive,", told))
        found = {each[:32] for each in mailarchive("search", "--ids", ours, "--archive", archive).out.split()}
        assert found == expected, (ours, seed)
        empty += [] if found else [ours]
    assert len(empty) <= 2, (empty, seed)
