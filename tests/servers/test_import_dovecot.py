"""Mail as a real Dovecot keeps it in Maildirs, imported, and then archived from the server."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests import maildir
from tests.command import mailarchive, plain_url
from tests.corpus import corpus, nasty, spread
from tests.servers.dovecot import Dovecot

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.dovecot

LETTERS = {"\\Draft": "D", "\\Flagged": "F", "$Forwarded": "P", "\\Answered": "R", "\\Seen": "S"}
NO_KEYWORDS = {"\\Recent"} | set(LETTERS) - {"$Forwarded"}
BOXES = ("INBOX", "Work", "Work/Été 2014")


def test_the_maildirs_of_dovecot(tmp_path: Path, seed: int) -> None:
    """Octets, flags, keywords and dates are those that it serves; the backup after it stores no octet twice.

    The one message that has no octets at all is named as a failure, by both.
    """
    samples = corpus(150, seed=seed, now=datetime.now(UTC) - timedelta(days=400), sizes="tiny")
    # Dovecot serves another octet in the place of a NUL that it holds.
    odd = [each for each in nasty() if b"\0" not in each.raw]
    with Dovecot(storage="maildir") as server:
        account = server.account
        for name, messages in spread([*odd, *samples], list(BOXES)).items():
            account.append_many(name, messages)
        served = {name: list(account.whole(name).values()) for name in BOXES}
        url = plain_url(account.imap_port, account.user)
        archive = tmp_path / "archive"
        words = ("backup", url, "--to", archive)
        assert mailarchive(*words, "--newer-than", "1d", password=account.password).code == 0
        result = mailarchive("--json", "import", server.root / "mail" / account.user / "mail", "--archive", archive)
        assert [each["reason"] for each in result.events if each["event"] == "not_imported"] == ["it is empty"]
        found = {(each.folder, each.octets): each for each in maildir.files(archive)}
        # Two that differ in line ends only are served alike, and kept once with the facts of either.
        facts = defaultdict(set)
        for name, box in served.items():
            for message in box:
                letters = "".join(sorted(LETTERS[flag] for flag in message.flags if flag in LETTERS))
                words_of_it = frozenset(message.flags) - NO_KEYWORDS
                facts[name, message.octets].add((int(message.internal_date.timestamp()), letters, words_of_it))
        for place, each in found.items():
            assert (each.epoch, each.flags, each.keywords) in facts[place]
        assert found.keys() == {(name, octets) for name, octets in facts if octets}
        end = mailarchive("--json", *words, password=account.password).end
        total = end["total"]
        assert (total["archived"], total["failed"], total["size"]) == (sum(map(len, served.values())) - 1, 1, 0)
