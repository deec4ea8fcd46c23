r"""Backup, deletion and undo on a server that imitates Gmail, where a message exists once and mailboxes are labels.

What a mailbox shows is read by the witness, so labels are compared by the mailboxes that show a message.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests import maildir
from tests.command import mailarchive, plain_url, process
from tests.corpus import corpus
from tests.servers.gmail import (
    ALL_MAIL,
    DRAFT,
    ENGLISH,
    GERMAN,
    IMPORTANT,
    INBOXED,
    SENT,
    SPAM,
    STARRED,
    TRASH,
    GmailAccount,
    GmailServer,
)
from tests.servers.witness import Observed, Witness, touched

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.command import Result
    from tests.servers.witness import Whole

USER, PASSWORD = "robin", "s3cret"
OLD = ("--older-than", "1y")
DELETE = (*OLD, "--delete", "--yes")
LIMIT = 200_000
LABELS: tuple[list[str], ...] = (
    [INBOXED],
    [INBOXED, "Work"],
    ["Été/2014", "Work"],
    [],
    [SENT],
    [INBOXED, IMPORTANT, "Two words"],
    ["a&b"],
)
"""Of the messages that go, in turn."""

GOING, YOUNG = 21, 4


class Gmail(Observed):
    """A running imitation, the account of its one user, and what was put there."""

    def __init__(self, special: Mapping[str, str], seed: int) -> None:
        self.account = GmailAccount(USER, PASSWORD, LIMIT, special)
        self.server = GmailServer(self.account)
        self.special = special
        samples = iter(corpus(80, seed=seed, now=datetime.now(UTC) - timedelta(days=500), sizes="tiny"))
        old = datetime.now(UTC).replace(microsecond=0) - timedelta(days=800)
        young = old + timedelta(days=790)

        def add(*labels: str, date: datetime = old, flags: tuple[str, ...] = ("\\Seen",)) -> bytes:
            sample = next(samples)
            self.account.add(sample.raw, *labels, date=date, flags=flags)
            return sample.raw

        flags = [("\\Seen",), (), ("\\Seen", "\\Answered", "$label1")]
        self.going = [
            add(*LABELS[n % len(LABELS)], date=old + timedelta(days=n), flags=flags[n % 3]) for n in range(GOING)
        ]
        self.young = [add(*LABELS[n], date=young) for n in range(YOUNG)]
        self.starred = [add(INBOXED, flags=("\\Seen", "\\Flagged")), add("Work", STARRED)]
        self.draft = add(DRAFT, flags=("\\Draft",))
        self.trash = [add(TRASH), add(TRASH, date=young)]
        self.spam = [add(SPAM), add(SPAM, date=young)]

    def witness(self) -> Witness:
        """Return a signed-in client, to be used as a context manager."""
        return Witness(self.server.imap_port, USER, PASSWORD)

    def name(self, label: str) -> str:
        """Give the mailbox of a system label."""
        return self.special[label]

    def octets(self, mailbox: str) -> list[bytes]:
        """Give the octets that a mailbox shows."""
        return sorted(self.raw_messages(mailbox).values())

    def run(self, archive: Path, *words: str, command: str = "backup") -> Result:
        """Run a command with --json."""
        first = [words[0]] if command == "undo" else []
        place = "--to" if command == "backup" else "--archive"
        url = plain_url(self.server.imap_port, USER)
        return mailarchive("--json", command, *first, url, place, archive, *words[len(first) :], password=PASSWORD)


@pytest.fixture(params=["english", "german"])
def gmail(request: pytest.FixtureRequest, seed: int) -> Iterator[Gmail]:
    """Serve an account whose special mailboxes have English or German names."""
    made = Gmail({"english": ENGLISH, "german": GERMAN}[request.param], seed)
    with made.server:
        yield made


@pytest.fixture
def german(seed: int) -> Iterator[Gmail]:
    """Serve a German account."""
    made = Gmail(GERMAN, seed)
    with made.server:
        yield made


def without_uids(everything: dict[str, dict[int, Whole]]) -> dict[str, list[tuple[bytes, list[str], datetime]]]:
    """Give what each mailbox shows, whatever its UIDs are."""
    return {
        name: sorted((each.octets, sorted(each.flags), each.internal_date) for each in messages.values())
        for name, messages in everything.items()
    }


def manifest(archive: Path, run: str) -> list[dict[str, Any]]:
    """Give the lines of the manifest of a run."""
    text = (archive / ".mailarchive" / "runs" / f"{run}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_each_message_is_one_file_with_a_link_for_each_label(gmail: Gmail, tmp_path: Path) -> None:
    """One inode for each message, under every label that shows it; ids and labels are in the manifest."""
    archive = tmp_path / "a"
    before, commands = gmail.everything(), len(gmail.server.commands)
    shown = {name: {each.octets for each in messages.values()} for name, messages in before.items()}
    result = gmail.run(archive, *OLD)
    assert (result.code, result.err) == (0, "")
    assert not any(b"STORE" in line or b"SELECT" in line for line in gmail.server.commands[commands:])
    assert gmail.everything() == before
    chosen = {*gmail.going, *gmail.starred}
    skipped = {gmail.name(label) for label in (TRASH, SPAM, DRAFT)}
    expected = {(name, raw) for name, messages in shown.items() if name not in skipped for raw in messages & chosen}
    files = maildir.files(archive)
    assert {(each.folder, each.octets) for each in files} == expected
    assert len(files) == len(expected)
    assert len({each.inode for each in files}) == len(chosen)
    assert len({(each.inode, each.octets) for each in files}) == len(chosen)
    assert result.end["total"]["archived"] == len(chosen)

    lines = [line for line in manifest(archive, result.end["run"]) if line.get("type") == "archived"]
    assert len(lines) == len(chosen)
    everything = {message.raw: message for message in gmail.account.messages()}
    by_id = {str(everything[raw].msgid): everything[raw] for raw in chosen}
    assert {line["gm_msgid"] for line in lines} == set(by_id)
    for line in lines:
        assert line["size"] == len(by_id[line["gm_msgid"]].raw)
        assert len(line["labels"]) == len(by_id[line["gm_msgid"]].labels)
        assert ("\\Inbox" in line["labels"]) == (INBOXED in by_id[line["gm_msgid"]].labels)

    # The second run fetches nothing, and the archive is clean.
    commands = len(gmail.server.commands)
    again = gmail.run(archive, *OLD)
    assert (again.code, again.end["total"]["archived"], again.end["total"]["already"]) == (0, 0, len(chosen))
    assert not any(b"BODY" in line for line in gmail.server.commands[commands:])
    assert len(maildir.files(archive)) == len(expected)
    verified = mailarchive("verify", archive)
    assert (verified.code, verified.err) == (0, "")


def test_restore_brings_each_back_once_with_its_labels(gmail: Gmail, tmp_path: Path) -> None:
    """What the archive holds in several mailboxes is one message here; a second time there is nothing to do."""
    archive, before = tmp_path / "a", gmail.everything()
    assert gmail.run(archive, *DELETE).code == 0
    result = gmail.run(archive, command="restore")
    assert (result.code, result.err) == (0, "")
    total = result.end["total"]
    assert (total["put_back"], total["there"], total["failed"]) == (GOING, 2, 0)
    assert without_uids(gmail.everything()) == without_uids(before)
    result = gmail.run(archive, command="restore")
    assert (result.end["total"]["put_back"], result.end["total"]["there"]) == (0, GOING + 2)


def test_what_was_chosen_is_gone_for_good_and_undo_brings_it_back(gmail: Gmail, tmp_path: Path) -> None:
    """Out of every mailbox, and not into the trash, whose own mail stays; back with octets, flags, labels and dates."""
    archive, trash, spam = tmp_path / "a", gmail.name(TRASH), gmail.name(SPAM)
    before, quota = gmail.everything(), gmail.quota()
    commands = len(gmail.server.commands)
    result = gmail.run(archive, *DELETE)
    assert (result.code, result.err) == (0, "")
    after = gmail.everything()
    going = set(gmail.going)
    assert after == {
        name: left
        for name, messages in before.items()
        if (left := {uid: each for uid, each in messages.items() if each.octets not in going})
    }
    assert sorted(each.octets for each in after[trash].values()) == sorted(gmail.trash)
    assert sorted(each.octets for each in after[spam].values()) == sorted(gmail.spam)
    assert {each.octets for each in maildir.files(archive)} == {*going, *gmail.starred}
    total = result.end["total"]
    assert (total["deleted"], total["kept"], total["selected"]) == (GOING, 2, GOING + 2)
    assert dict(result.end["kept"]) == {"flagged": 2}
    assert (result.end["quota_before"]["used"], result.end["quota"]["used"]) == (quota[0], gmail.quota()[0])
    freed = sum(map(len, going))
    assert abs(quota[0] - gmail.quota()[0] - freed) <= 1024
    assert freed > 10_000
    sets = touched(gmail.server.commands[commands:])
    assert set(sets) == {gmail.name(ALL_MAIL), trash}
    assert set(sets[gmail.name(ALL_MAIL)]) == {"MOVE"}
    assert sets[trash]["+STORE"] == sets[trash]["EXPUNGE"]
    assert not sets[trash]["EXPUNGE"] & before[trash].keys()

    commands = len(gmail.server.commands)
    again = gmail.run(archive, *DELETE)
    assert (again.code, again.end["total"]["deleted"], again.end["total"]["archived"]) == (0, 0, 0)
    assert touched(gmail.server.commands[commands:]) == {}
    verified = mailarchive("verify", archive)
    assert (verified.code, verified.err) == (0, "")

    undone = gmail.run(archive, result.end["run"], command="undo")
    assert (undone.code, undone.err) == (0, "")
    assert undone.end["total"]["put_back"] == GOING
    assert without_uids(gmail.everything()) == without_uids(before)
    assert gmail.quota() == quota
    there = gmail.everything()
    undone = gmail.run(archive, result.end["run"], command="undo")
    assert (undone.code, undone.end["total"]["put_back"], undone.end["total"]["there"]) == (0, 0, GOING)
    assert gmail.everything() == there
    # It stays, also in a run that has to archive it under its new UIDs, and makes no second files.
    files = sorted((each.folder, each.octets, each.inode) for each in maildir.files(archive))
    kept = gmail.run(archive, *DELETE)
    assert (kept.code, kept.end["total"]["deleted"]) == (0, 0)
    assert dict(kept.end["kept"]) == {"flagged": 2, "put back": GOING}
    assert gmail.everything() == there
    assert sorted((each.folder, each.octets, each.inode) for each in maildir.files(archive)) == files
    gone = gmail.run(archive, *OLD, "--yes", "--include-restored", command="prune")
    assert (gone.code, gone.end["total"]["deleted"]) == (0, GOING)
    assert without_uids(gmail.everything()) == without_uids(after)
    assert mailarchive("verify", archive).code == 0


def test_a_message_that_an_excluded_label_also_shows_stays(german: Gmail, tmp_path: Path) -> None:
    """It would vanish from that label too. It is archived, and the result says why it stays."""
    before = german.everything()
    result = german.run(tmp_path / "a", *DELETE, "--mailbox", "*", "--mailbox", "!Work")
    assert (result.code, result.err) == (0, "")
    staying = {raw for n, raw in enumerate(german.going) if "Work" in LABELS[n % len(LABELS)]}
    assert len(staying) == 6
    going = set(german.going) - staying
    assert german.everything() == {
        name: left
        for name, messages in before.items()
        if (left := {uid: each for uid, each in messages.items() if each.octets not in going})
    }
    assert result.end["total"]["deleted"] == len(going)
    assert dict(result.end["kept"]) == {"also in a mailbox that is not selected": len(staying), "flagged": 1}
    # The second starred one is in Work alone: a star is no place.
    assert {each.octets for each in maildir.files(tmp_path / "a")} == {*german.going, german.starred[0]}


@pytest.mark.parametrize(("label", "words"), [(ALL_MAIL, "All Mail"), (TRASH, "Trash")])
def test_without_all_mail_or_trash_it_is_refused(
    german: Gmail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str, words: str
) -> None:
    """The user has unticked "Show in IMAP": exit 2 and where to tick it; nothing is fetched or changed."""
    before = german.everything()
    with monkeypatch.context() as patch:
        patch.delitem(german.account._mailboxes, GERMAN[label])
        url = plain_url(german.server.imap_port, USER)
        commands = len(german.server.commands)
        result = mailarchive("backup", url, "--to", tmp_path / "a", *DELETE, password=PASSWORD)
        assert not any(b"BODY" in line or b"SELECT" in line for line in german.server.commands[commands:])
    assert (result.code, result.out) == (2, "")
    assert f"Gmail does not show {words} over IMAP" in result.err
    assert "Show in IMAP" in result.err
    assert maildir.files(tmp_path / "a") == []
    assert german.everything() == before


@pytest.mark.parametrize("method", ["mark", "exclusive"])
def test_methods_that_depend_on_settings_are_refused(german: Gmail, tmp_path: Path, method: str) -> None:
    """Exit 2, and nothing is done."""
    before = german.everything()
    result = german.run(tmp_path / "a", *DELETE, "--delete-method", method)
    assert result.code == 2
    assert german.everything() == before


def test_to_the_trash(gmail: Gmail, tmp_path: Path) -> None:
    """It is in the trash with what was there before, out of every label, and the quota is as it was; undo copies it."""
    archive, trash = tmp_path / "a", gmail.name(TRASH)
    before, quota = gmail.everything(), gmail.quota()
    result = gmail.run(archive, *DELETE, "--delete-method", "trash")
    assert (result.code, result.err, result.end["total"]["deleted"]) == (0, "", GOING)
    assert gmail.octets(trash) == sorted([*gmail.going, *gmail.trash])
    assert gmail.quota() == quota
    after = gmail.everything()
    going = set(gmail.going)
    assert all(
        after.get(name, {}) == {uid: each for uid, each in messages.items() if each.octets not in going}
        for name, messages in before.items()
        if name != trash
    )
    again = gmail.run(archive, *DELETE, "--delete-method", "trash")
    assert (again.code, again.end["total"]["deleted"]) == (0, 0)
    undone = gmail.run(archive, result.end["run"], command="undo")
    assert (undone.code, undone.err) == (0, "")
    back = gmail.everything()
    assert {name: messages for name, messages in without_uids(back).items() if name != trash} == {
        name: messages for name, messages in without_uids(before).items() if name != trash
    }


# Killed in the middle (K14)


def sent(log: Path, first: str, last: str) -> range:
    """Give the numbers of the commands, as strace counts them, from the one before `first` to the last `last`."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if "sendto(" in line]
    begin = next(number for number, line in enumerate(lines, 1) if first in line)
    return range(begin - 1, max(number for number, line in enumerate(lines, 1) if last in line) + 1)


def killed(gmail: Gmail, number: int, *words: str | Path) -> None:
    """Run a command as a process, kill it when it has sent so many times, and wait until the server knows."""
    inject = ("-e", "trace=sendto", "-e", f"inject=sendto:signal=SIGKILL:when={number}")
    result = process(*words, password=PASSWORD, before=("strace", "-f", "-qq", "-o", "/dev/null", *inject))
    assert result.code in {-9, 137}, result
    port = gmail.server._imap
    assert port is not None
    while port._clients:
        time.sleep(0.002)


def traced(log: Path, *words: str | Path) -> None:
    """Run a command as a process to its end, and write down what it sends."""
    if subprocess.run(["strace", "-qq", "true"], capture_output=True, check=False).returncode:
        pytest.skip("ptrace is not allowed here")
    assert (
        process(*words, password=PASSWORD, before=("strace", "-f", "-qq", "-o", str(log), "-e", "trace=sendto")).code
        == 0
    )


@pytest.mark.reader("strace")
@pytest.mark.timeout(300)
def test_killed_between_the_trash_and_the_end_nothing_is_lost(seed: int, tmp_path: Path) -> None:
    """Each message is where it was, or archived and in the trash, which is told, or gone; undo brings it back."""
    counted = Gmail(GERMAN, seed)
    with counted.server:
        url = plain_url(counted.server.imap_port, USER)
        traced(tmp_path / "log", "backup", url, "--to", tmp_path / "counted", *DELETE)
    for number in sent(tmp_path / "log", "UID MOVE", "EXPUNGE"):
        gmail, archive = Gmail(GERMAN, seed), tmp_path / str(number)
        with gmail.server:
            url, trash = plain_url(gmail.server.imap_port, USER), gmail.name(TRASH)
            before = gmail.everything()
            killed(gmail, number, "backup", url, "--to", archive, *DELETE)
            files = {each.octets for each in maildir.files(archive)}
            there = gmail.everything()
            assert files >= set(gmail.going), number
            assert {name: boxes for name, boxes in there.items() if name not in (trash, gmail.name(ALL_MAIL))} in (
                {name: boxes for name, boxes in before.items() if name not in (trash, gmail.name(ALL_MAIL))},
                {
                    name: left
                    for name, boxes in before.items()
                    if name not in (trash, gmail.name(ALL_MAIL))
                    and (left := {uid: each for uid, each in boxes.items() if each.octets not in gmail.going})
                },
            ), number
            again = gmail.run(archive, *DELETE)
            after = gmail.everything()
            stuck = {each.octets for each in after[trash].values()} & {*gmail.going}
            warned = [event["message"] for event in again.events if event["event"] == "warned"]
            words = f"{len(stuck)} messages of an interrupted deletion are in the trash"
            words += ", and free no quota until it is emptied"
            assert (again.code, warned) == ((3, [words]) if stuck else (0, [])), number
            assert not {each.octets for name, boxes in after.items() if name != trash for each in boxes.values()} & {
                *gmail.going
            }, number
            assert {*gmail.trash} <= {each.octets for each in after[trash].values()} <= {*gmail.trash, *gmail.going}
            third = gmail.run(archive, *DELETE)
            told = {event["event"] for event in third.events}
            assert (third.code, told & {"archived", "expunged", "settled", "warned"}) == (0, set()), number
            for run in sorted((archive / ".mailarchive" / "runs").iterdir()):
                undone = gmail.run(archive, run.stem, command="undo")
                assert (undone.code, undone.err) == (0, ""), number
            back = without_uids(gmail.everything())
            assert {**back, trash: []} == {**without_uids(before), trash: []}, number


@pytest.mark.reader("strace")
def test_an_undo_that_is_killed_before_it_labels_is_finished_by_the_next(seed: int, tmp_path: Path) -> None:
    """Messages, labels, flags and dates are as they were, wherever it was killed; none is there twice."""
    counted = Gmail(GERMAN, seed)
    with counted.server:
        url, archive = plain_url(counted.server.imap_port, USER), tmp_path / "counted"
        end = counted.run(archive, *DELETE).end
        traced(tmp_path / "log", "undo", end["run"], url, "--archive", archive)
    for number in sent(tmp_path / "log", "APPEND", "APPEND")[:8]:
        gmail, archive = Gmail(GERMAN, seed), tmp_path / str(number)
        with gmail.server:
            url = plain_url(gmail.server.imap_port, USER)
            before = without_uids(gmail.everything())
            end = gmail.run(archive, *DELETE).end
            killed(gmail, number, "undo", end["run"], url, "--archive", archive)
            undone = gmail.run(archive, end["run"], command="undo")
            assert (undone.code, undone.err) == (0, ""), number
            assert without_uids(gmail.everything()) == before, number


def test_a_catalogue_that_is_made_anew_knows_messages_and_labels(gmail: Gmail, tmp_path: Path) -> None:
    """The same rows as before, also those of the links in the folders of labels; nothing is fetched, all can go."""
    archive = tmp_path / "a"
    assert gmail.run(archive, *OLD).code == 0
    catalogue = archive / ".mailarchive" / "catalogue.sqlite"

    def rows() -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(catalogue)) as db:
            return db.execute(
                "SELECT m.name, p.uidvalidity, p.uid, p.location, p.object_id, replace(p.origin, 'fetched', 'manifest')"
                " FROM placement p JOIN mailbox m ON m.id = p.mailbox ORDER BY 1, 2, 3"
            ).fetchall()

    before = rows()
    assert {row[-1] for row in before} == {"manifest", "label"}
    assert mailarchive("reindex", archive).code == 0
    assert rows() == before
    assert mailarchive("verify", archive).code == 0
    result = gmail.run(archive, *DELETE)
    assert (result.code, result.end["total"]["archived"], result.end["total"]["deleted"]) == (0, 0, GOING)
