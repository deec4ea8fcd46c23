"""An archive of mbox files, made from a real Dovecot, opened by other programs (`archive-format.md` section 8)."""

from __future__ import annotations

import hashlib
import imaplib
import mailbox
import os
import re
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.archives.opening import open_for_reading
from tests.command import mailarchive, plain_url
from tests.corpus import MAILBOXES, corpus, nasty, spread
from tests.readers import counted
from tests.servers.dovecot import NOBODY, Dovecot, dovecot_version
from tests.servers.witness import encode_mailbox

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Result
    from tests.conftest import MakeUser
    from tests.servers.dovecot import Account
    from tests.servers.witness import Facts

pytestmark = pytest.mark.dovecot


@pytest.fixture
def filled(dovecot_user: MakeUser, seed: int) -> Account:
    """Give an account with 300 messages of ten years in seven mailboxes."""
    account = dovecot_user()
    with account.witness() as witness:
        samples = corpus(300, seed=seed, now=datetime.now(UTC), sizes="small")
        for name, messages in spread(samples, MAILBOXES).items():
            witness.append_many(name, messages)
    return account


def facts_of(account: Account) -> dict[str, dict[int, Facts]]:
    """Ask the server for what it says of all messages."""
    with account.witness() as witness:
        return {name: witness.facts(name) for name in MAILBOXES}


def backup(account: Account, archive: Path, *words: str) -> Result:
    """Back an account up into mbox files."""
    url = plain_url(account.imap_port, account.user)
    return mailarchive("backup", url, "--to", archive, "--format", "mbox", *words, password=account.password)


def folder_of(name: str) -> str:
    """Name the folder of a mailbox of the corpus, by hand."""
    return name.replace("%", "%25")


def years_of(facts: dict[int, Facts]) -> dict[int, list[int]]:
    """Give the UIDs of each year."""
    years: dict[int, list[int]] = {}
    for uid, each in facts.items():
        years.setdefault(each.internal_date.astimezone(UTC).year, []).append(uid)
    return years


def test_dovecot_serves_it_with_the_uids_and_keywords_of_the_first_server(filled: Account, tmp_path: Path) -> None:
    """Each year of each mailbox: count, UIDVALIDITY, UIDs, flags, keywords and dates are those of the server."""
    if dovecot_version() >= (2, 4):
        pytest.skip("the settings below are those of Dovecot 2.3")
    facts = facts_of(filled)
    with filled.witness() as witness:
        uidvalidity = {name: witness.uidvalidity(name) for name in MAILBOXES}
    assert backup(filled, tmp_path / "archive").code == 0
    served = filled.server.root / "served"
    shutil.copytree(tmp_path / "archive", served)
    if os.geteuid() == 0:
        for path in (served, *served.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    where = f"mail_location = mbox:{served}:INBOX={served}/INBOX:UTF-8:INDEX=MEMORY\nmbox_write_locks = fcntl\n"
    seen = 0
    with Dovecot(extra=where) as second, imaplib.IMAP4("127.0.0.1", second.imap_port) as imap:
        imap.login(second.user, second.password)
        for name in MAILBOXES:
            for year, uids in years_of(facts[name]).items():
                answer = imap.select(f'"{encode_mailbox(f"{folder_of(name)}/{year}.mbox")}"', readonly=True)
                assert answer == ("OK", [str(len(uids)).encode()]), (name, year)
                assert imap.response("UIDVALIDITY")[1] == [str(uidvalidity[name]).encode()]
                for line in imap.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE)")[1]:
                    found = re.search(rb'UID (\d+) FLAGS \(([^)]*)\) INTERNALDATE "([^"]*)"', line)
                    assert found is not None, line
                    expected = facts[name][int(found[1])]
                    assert set(found[2].decode().split()) - {"\\Recent"} == set(expected.flags) - {"\\Recent"}
                    shown = datetime.strptime(found[3].decode().strip(), "%d-%b-%Y %H:%M:%S %z")
                    assert shown == expected.internal_date
                    seen += 1
    assert seen == 300
    shutil.rmtree(served)


@pytest.mark.reader("mutt")
def test_mutt_lists_it_with_its_flags(filled: Account, tmp_path: Path, home: Path) -> None:
    """Every message of each file, and as many flagged and replied ones as there are."""
    facts = facts_of(filled)
    assert backup(filled, tmp_path / "archive").code == 0
    for name in MAILBOXES[:2]:
        for year, uids in years_of(facts[name]).items():
            flags = [facts[name][uid].flags for uid in uids]
            expected = {
                "~A": len(uids),
                "~F": sum("\\Flagged" in each for each in flags),
                "~Q": sum("\\Answered" in each for each in flags),
            }
            file = tmp_path / "archive" / folder_of(name) / f"{year}.mbox"
            assert {pattern: counted("mutt", file, pattern, home) for pattern in expected} == expected, file


def test_python_lists_it_with_its_flags(filled: Account, tmp_path: Path) -> None:
    """Count, flags and senders' dates of each file."""
    facts = facts_of(filled)
    assert backup(filled, tmp_path / "archive").code == 0
    letters = {"\\Seen": "R", "\\Flagged": "F", "\\Answered": "A", "\\Draft": "T"}
    for name in MAILBOXES:
        for year, uids in years_of(facts[name]).items():
            box = mailbox.mbox(tmp_path / "archive" / folder_of(name) / f"{year}.mbox", create=False)
            found = Counter("".join(sorted(each.get_flags())) for each in box)
            box.close()
            expected = (
                "".join(sorted("O" + "".join(letters.get(flag, "") for flag in f)))
                for f in (facts[name][uid].flags for uid in uids)
            )
            assert found == Counter(expected), (name, year)


def test_every_nasty_message_is_kept_bit_for_bit(dovecot_user: MakeUser, tmp_path: Path) -> None:
    """From lines, no final newline, bare CR, NUL, 8-bit, header only: the digests are those of the server's octets."""
    account = dovecot_user()
    with account.witness() as witness:
        uids = witness.append_many("INBOX", nasty())
        given = {octets for octets in witness.raw_messages("INBOX").values() if octets}
    assert len(uids) > 10
    for form in ("mbox", "maildir"):
        archive = tmp_path / form
        url = plain_url(account.imap_port, account.user)
        assert mailarchive("backup", url, "--to", archive, "--format", form).code in {0, 3}
        opened = open_for_reading(archive)
        assert opened is not None
        with opened:
            kept = [b"".join(opened.mail.read(location)) for _, location in opened.mail.scan()]
        assert sorted(map(sha, kept)) == sorted(map(sha, given))
        assert mailarchive("verify", archive).code == 0


def sha(octets: bytes) -> str:
    """Hash."""
    return hashlib.sha256(octets).hexdigest()


def test_the_second_run_fetches_nothing_and_changes_no_file(filled: Account, tmp_path: Path) -> None:
    """Incremental."""
    archive = tmp_path / "archive"
    backup(filled, archive)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in archive.rglob("*.mbox") if path.is_file()}
    result = backup(filled, archive)
    assert (result.code, result.err) == (0, "")
    assert re.search(r"total +300 +300 +300 +0 ", result.out)
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in archive.rglob("*.mbox") if p.is_file()} == before


def test_what_is_proved_in_mbox_files_may_be_deleted_and_comes_back(filled: Account, tmp_path: Path) -> None:
    """The proof reads the file and undoes the changes; undo puts the same octets, flags and dates back."""
    archive = tmp_path / "archive"
    with filled.witness() as witness:
        before = Counter(
            (name, sha(each.octets), each.internal_date, frozenset(each.flags) - {"\\Recent"})
            for name in MAILBOXES
            for each in witness.whole(name).values()
        )
    result = backup(filled, archive, "--older-than", "3y", "--delete", "--yes", "--no-keep-flagged")
    assert (result.code, result.err) == (0, "")
    run = re.search(r"mailarchive undo (\S+)", result.out)
    assert run is not None
    left = sum(len(each) for each in facts_of(filled).values())
    assert 50 < left < 250
    url = plain_url(filled.imap_port, filled.user)
    result = mailarchive("undo", run[1], url, "--archive", archive, password=filled.password)
    assert (result.code, result.err) == (0, "")
    with filled.witness() as witness:
        after = Counter(
            (name, sha(each.octets), each.internal_date, frozenset(each.flags) - {"\\Recent"})
            for name in MAILBOXES
            for each in witness.whole(name).values()
        )
    assert after == before


def test_nothing_is_deleted_on_an_archive_with_damage_until_a_backup_has_mended_it(
    filled: Account, tmp_path: Path
) -> None:
    """One octet of a file has changed: exit 13; the next backup takes that message again, and then it may go."""
    archive = tmp_path / "archive"
    backup(filled, archive)
    path = max((archive / "INBOX").glob("*.mbox"), key=lambda each: each.stat().st_size)
    text = path.read_bytes()
    at = text.index(b"\nSubject: ") + 10
    path.chmod(0o600)
    path.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
    assert mailarchive("verify", archive).code == 13
    url = plain_url(filled.imap_port, filled.user)
    before = facts_of(filled)
    words = ("prune", url, "--archive", archive, "--mailbox", "INBOX", "--older-than", "1d", "--yes")
    assert mailarchive(*words, password=filled.password).code == 13
    assert facts_of(filled) == before
    result = backup(filled, archive)
    assert (result.code, "a fresh one has taken its place" in result.err) == (3, True)
    assert mailarchive("verify", archive).code == 0
    assert mailarchive(*words, "--no-keep-flagged", password=filled.password).code == 0
    left = facts_of(filled)["INBOX"].values()
    assert all(each.internal_date > datetime.now(UTC) - timedelta(days=2) for each in left)
