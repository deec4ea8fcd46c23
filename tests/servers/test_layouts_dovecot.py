"""The whole life of an archive in the layout Maildir++: archived, deleted, verified, and all of it put back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests import maildir
from tests.command import mailarchive, plain_url
from tests.corpus import MAILBOXES, corpus, spread

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeUser

pytestmark = pytest.mark.dovecot


def test_what_is_archived_flat_is_deleted_verified_and_put_back(
    dovecot_user: MakeUser, seed: int, tmp_path: Path
) -> None:
    """In every mailbox: the same octets, flags, keywords and dates as before."""
    account = dovecot_user()
    samples = spread(corpus(140, seed=seed, now=datetime.now(UTC) - timedelta(days=800), sizes="tiny"), MAILBOXES)
    with account.witness() as witness:
        for name, messages in samples.items():
            witness.append_many(name, messages)
        before = {name: sorted(map(plainly, witness.whole(name).values())) for name in MAILBOXES}
    archive = tmp_path / "archive"
    words = (plain_url(account.imap_port, account.user), "--to", archive)
    deleting = ("--delete", "--yes", "--no-keep-flagged", "--older-than", "1y")
    result = mailarchive("--json", "backup", *words, "--layout", "maildir++", *deleting, password=account.password)
    assert (result.code, result.end["total"]["deleted"]) == (0, 140)
    with account.witness() as witness:
        assert all(not witness.facts(name) for name in MAILBOXES)
    assert sum(map(len, maildir.by_folder(archive).values())) == 140
    assert mailarchive("verify", archive).code == 0
    undone = mailarchive("undo", result.end["run"], words[0], "--archive", archive, password=account.password)
    assert (undone.code, undone.err) == (0, "")
    with account.witness() as witness:
        assert {name: sorted(map(plainly, witness.whole(name).values())) for name in MAILBOXES} == before


def plainly(whole: tuple[bytes, frozenset[str], datetime]) -> tuple[bytes, list[str], datetime]:
    """Give a message in a form that can be sorted."""
    octets, flags, date = whole
    return octets, sorted(flags), date.astimezone(UTC)
