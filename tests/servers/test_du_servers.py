"""`du` on a real Dovecot with a quota, and on a server that imitates Gmail: the numbers are those of the witness."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.usage import address_of
from tests.command import mailarchive, plain_url, start_of_day
from tests.conftest import require_program
from tests.corpus import corpus, spread
from tests.servers.dovecot import Dovecot
from tests.servers.gmail import ALL_MAIL, DRAFT, ENGLISH, INBOXED, SPAM, STARRED, TRASH, GmailAccount, GmailServer
from tests.servers.proxy import Proxy
from tests.servers.test_delete_dovecot import READING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result

OLD = datetime.now(UTC).replace(microsecond=0) - timedelta(days=800)
YOUNG = OLD + timedelta(days=790)
FROM = re.compile(rb"^From:[ \t]*((?:[^\r\n]|\r?\n[ \t])*)", re.MULTILINE | re.IGNORECASE)


def usage_of(result: Result) -> dict[str, Any]:
    """Give what a run with --json found."""
    assert (result.code, result.err) == (0, ""), result.err
    found: dict[str, Any] = result.end["usage"]
    return found


def parts(rows: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Give the rows of a division by name."""
    return {row["name"]: (row["messages"], row["size"]) for row in rows}


@pytest.fixture
def full() -> Iterator[Dovecot]:
    """Run a Dovecot with a quota."""
    require_program("dovecot")
    with Dovecot(quota="50M") as server:
        yield server


@pytest.mark.dovecot
def test_the_numbers_are_those_of_the_server(full: Dovecot, seed: int) -> None:
    """Messages, octets, senders, quota and ages, counted by the witness; only reading commands, and nothing changed."""
    account = full.add_user("kim")
    with account.witness() as witness:
        for mailbox, samples in spread(corpus(120, seed=seed, now=datetime.now(UTC), sizes="small")).items():
            witness.append_many(mailbox, samples)
        before, quota = witness.everything(), witness.quota()
    with Proxy(account.imap_port) as line:
        result = mailarchive("du", plain_url(line.port, "kim"), "--json", "--headers", password=account.password)
        commands = line.client_commands()
    usage = usage_of(result)
    there = [(name, each) for name, box in before.items() for each in box.values()]
    assert usage["messages"] == len(there)
    assert usage["size"] == sum(len(each.octets) for _, each in there)
    for name, box in before.items():
        assert parts(usage["mailboxes"])[name] == (len(box), sum(len(each.octets) for each in box.values()))
    assert (result.end["quota"]["used"], result.end["quota"]["limit"]) == quota
    cut = start_of_day(years_ago=1)
    leaves = [
        len(each.octets)
        for name, each in there
        if name not in ("Trash", "Junk", "Drafts")
        and each.internal_date < cut
        and not each.flags & {"\\Flagged", "\\Draft"}
    ]
    age = next(age for age in usage["ages"] if age["age"] == "1y")
    assert (age["messages"], age["size"]) == (len(leaves), sum(leaves))
    people: Counter[str] = Counter()
    for _, each in there:
        found = FROM.search(each.octets.partition(b"\r\n\r\n")[0] + b"\r\n")
        people[address_of(re.sub(rb"\r?\n", b"", found[1])) if found else ""] += len(each.octets)
    name, size = people.most_common(1)[0]
    assert parts(usage["senders"])[name or "no sender"][1] == size
    with account.witness() as witness:
        assert witness.everything() == before
    assert any(b"(FROM)" in command for command in commands)
    for command in commands:
        # What is no command is the answer to a challenge of the sign-in.
        assert READING.fullmatch(command) or b" " not in command, command


@pytest.fixture
def gmail() -> Iterator[GmailServer]:
    """Serve messages with one label, with several, with none, in the trash and in spam."""
    account = GmailAccount("robin", "s3cret", 10_000_000, ENGLISH)
    samples = iter(corpus(9, seed=3, now=OLD, sizes="tiny"))
    for labels, date, flags in (
        ([INBOXED], OLD, ()),
        ([INBOXED, "Work"], OLD, ()),
        (["Work", "Two words"], OLD, ()),
        ([], OLD, ()),
        ([INBOXED, STARRED], OLD, ("\\Flagged",)),
        ([DRAFT], OLD, ("\\Draft",)),
        ([INBOXED], YOUNG, ()),
        ([TRASH], OLD, ()),
        ([SPAM], OLD, ()),
    ):
        account.add(next(samples).raw, *labels, date=date, flags=flags)
    with GmailServer(account) as server:
        yield server


def look(server: GmailServer, *words: str | Path) -> dict[str, Any]:
    """Look at the server."""
    return usage_of(mailarchive("du", plain_url(server.imap_port, "robin"), "--json", *words, password="s3cret"))


def test_a_message_with_many_labels_takes_room_once(gmail: GmailServer) -> None:
    """It counts for each of its mailboxes, and once for all; trash and spam take room too."""
    sizes = [len(message.raw) for message in gmail.account.messages()]
    usage = look(gmail)
    assert (usage["messages"], usage["size"]) == (9, sum(sizes))
    counts = {name: count for name, (count, _) in parts(usage["mailboxes"]).items()}
    assert counts == {
        "INBOX": 4,
        "Work": 2,
        "Two words": 1,
        ENGLISH[ALL_MAIL]: 1,
        ENGLISH[DRAFT]: 1,
        ENGLISH[TRASH]: 1,
        ENGLISH[SPAM]: 1,
    }
    assert sum(part["messages"] for part in usage["years"]) == 9
    # The starred one and the draft stay, the young one is not older, trash and spam are not taken.
    assert [(age["age"], age["messages"]) for age in usage["ages"]][1] == ("1y", 4)
    assert not any(b"STORE" in line or b"SELECT" in line for line in gmail.commands)


def test_a_label_chooses_its_messages(gmail: GmailServer) -> None:
    """Those that also show elsewhere are not freed by a backup of that label alone."""
    usage = look(gmail, "--mailbox", "Work")
    assert usage["messages"] == 2
    assert [(age["age"], age["messages"]) for age in usage["ages"]][1] == ("1y", 0)


def test_what_is_archived_of_an_account_with_labels(gmail: GmailServer, tmp_path: Path) -> None:
    """A message that is archived once is archived, whatever labels it has."""
    archive = tmp_path / "a"
    url = plain_url(gmail.imap_port, "robin")
    assert mailarchive("backup", "-q", url, "--to", archive, "--older-than", "1y", password="s3cret").code == 0
    age = next(age for age in look(gmail, "--archive", archive)["ages"] if age["age"] == "1y")
    assert (age["messages"], age["archived"]) == (4, 4)
