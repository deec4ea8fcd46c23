"""The main job against a real Dovecot: what is archived, how, and what is never sent."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests import maildir
from tests.command import mailarchive, plain_url
from tests.corpus import MAILBOXES, corpus, nasty, spread
from tests.readers import counted
from tests.servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Result
    from tests.conftest import MakeUser
    from tests.servers.dovecot import Account, Dovecot

pytestmark = pytest.mark.dovecot

LETTERS = {"\\Draft": "D", "\\Flagged": "F", "$Forwarded": "P", "\\Answered": "R", "\\Seen": "S"}
READING = re.compile(
    rb'\w+ (CAPABILITY|ID \("name" "mailarchive" "version" "[\d.]+"\)|NAMESPACE|LOGOUT|NOOP|LIST .*|EXAMINE .*'
    rb"|GETQUOTAROOT .*|AUTHENTICATE PLAIN|LOGIN .*|STATUS .* \(MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ\)"
    rb"|UID SEARCH .*|UID FETCH [\d:,]+ \((UID|FLAGS|INTERNALDATE|RFC822\.SIZE|BODY\.PEEK\[[^]]*\](<0\.\d+>)?| )+\))",
    re.IGNORECASE,
)


def cut_off() -> datetime:
    """Give the instant of --older-than 1y, by another way than the program's."""
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    return today.replace(year=today.year - 1)


def backup(account: Account, archive: Path, *words: str, port: int | None = None) -> Result:
    """Back up an account of Dovecot without TLS."""
    url = plain_url(port or account.imap_port, account.user)
    return mailarchive("backup", url, "--to", archive, *words, password=account.password)


def assert_only_reading(proxy: Proxy) -> None:
    """Check every command against an allow list that is written here a second time, on purpose."""
    for command in proxy.client_commands():
        # The answer to a challenge of AUTHENTICATE is one base64 word.
        assert READING.fullmatch(command.strip()) or re.fullmatch(rb"[A-Za-z0-9+/=]+", command.strip()), command


@pytest.fixture(scope="module")
def filled(dovecot: Dovecot, request: pytest.FixtureRequest) -> Account:
    """Give an account with 2,000 messages of ten years in seven mailboxes, for tests that change nothing there."""
    return fill(dovecot.add_user("filled@example.org"), request.config.getoption("--seed"))


def fill(account: Account, seed: int) -> Account:
    """Fill an account."""
    samples = spread(corpus(2000, seed=seed, now=datetime.now(UTC), sizes="small"), MAILBOXES)
    with account.witness() as witness:
        for mailbox, messages in samples.items():
            witness.append_many(mailbox, messages)
    return account


def test_exactly_the_old_mail_arrives_byte_for_byte_and_nothing_changes(filled: Account, tmp_path: Path) -> None:
    """2,000 messages: those with INTERNALDATE before the cut-off, as the server gives them, with date and flags."""
    archive = tmp_path / "archive"
    with filled.witness() as witness:
        before = {name: witness.facts(name) for name in MAILBOXES}
        octets = {name: witness.raw_messages(name) for name in MAILBOXES}
    with Proxy(filled.imap_port) as proxy:
        result = backup(filled, archive, "--older-than", "1y", port=proxy.port)
        assert_only_reading(proxy)
    assert (result.code, result.err) == (0, "")
    expected = []
    for name in MAILBOXES:
        for uid, facts in before[name].items():
            if facts.internal_date < cut_off():
                flags = "".join(sorted(LETTERS[flag] for flag in facts.flags if flag in LETTERS))
                words = sorted(flag for flag in facts.flags if not flag.startswith("\\"))
                expected.append((name, octets[name][uid], int(facts.internal_date.timestamp()), flags, words))
    assert 1500 < len(expected) < 2000
    found = maildir.files(archive)
    assert any(each.keywords for each in found)
    assert sorted(
        (each.folder, each.octets, each.epoch, each.flags, sorted(each.keywords)) for each in found
    ) == sorted((folder_of(name), *rest) for name, *rest in expected)
    assert all(each.mtime == each.epoch for each in found)
    assert maildir.left_overs(archive) == []
    with filled.witness() as witness:
        assert {name: witness.facts(name) for name in MAILBOXES} == before
    assert f"{len(expected):,}".replace(",", " ") in result.out


def test_after_the_loss_of_the_catalogue_a_reindex_spares_the_server_all_bodies(
    dovecot_user: MakeUser, seed: int, tmp_path: Path
) -> None:
    """No body is asked for, no file changes, and a prune then deletes all of it after reading it back."""
    filled = fill(dovecot_user(), seed)
    archive = tmp_path / "archive"
    backup(filled, archive, "--older-than", "1y")
    before = {path: path.stat().st_mtime_ns for path in archive.rglob("*") if ".mailarchive" not in path.parts}
    for file in archive.glob(".mailarchive/catalogue.sqlite*"):
        file.unlink()
    assert mailarchive("reindex", archive).code == 0
    with Proxy(filled.imap_port) as proxy:
        result = backup(filled, archive, "--older-than", "1y", port=proxy.port)
        assert not any(b"BODY" in command for command in proxy.client_commands())
    assert (result.code, result.err) == (0, "")
    after = {path: path.stat().st_mtime_ns for path in archive.rglob("*") if ".mailarchive" not in path.parts}
    assert after == before
    url = plain_url(filled.imap_port, filled.user)
    words = ("prune", url, "--archive", archive, "--older-than", "1y", "--no-keep-flagged", "--yes")
    result = mailarchive("--json", *words, password=filled.password)
    total = result.end["total"]
    assert result.code in {0, 3}
    # What stays is what the rules of every deletion keep: drafts, and mail whose Date is younger.
    assert total["deleted"] > 0.9 * len([path for path in before if path.parent.name == "cur"])
    assert not any("list" in why for why, _ in result.end["kept"])


def folder_of(name: str) -> str:
    """Name the folder of a mailbox of the corpus, as archive-format.md section 2 says, by hand."""
    return name.replace("%", "%25")


def test_the_second_run_fetches_no_body_and_changes_no_file(filled: Account, tmp_path: Path) -> None:
    """Incremental, and nothing in the mailbox folders is touched."""
    archive = tmp_path / "archive"
    backup(filled, archive, "--older-than", "1y")
    before = {path: path.stat().st_mtime_ns for path in archive.rglob("*") if ".mailarchive" not in path.parts}
    with Proxy(filled.imap_port) as proxy:
        result = backup(filled, archive, "--older-than", "1y", port=proxy.port)
        assert not any(b"BODY" in command for command in proxy.client_commands())
    assert result.code == 0
    after = {path: path.stat().st_mtime_ns for path in archive.rglob("*") if ".mailarchive" not in path.parts}
    assert after == before


def test_a_dry_run_fetches_nothing_and_makes_nothing(filled: Account, tmp_path: Path) -> None:
    """The plan is printed; neither the server nor the disk is changed, with an archive and without one."""
    archive = tmp_path / "archive"
    with Proxy(filled.imap_port) as proxy:
        result = backup(filled, archive, "--older-than", "1y", "--dry-run", port=proxy.port)
        assert not any(b"BODY" in command for command in proxy.client_commands())
    assert result.code == 0
    assert "would archive" in result.out
    assert not archive.exists()
    backup(filled, archive, "--older-than", "5y")
    before = {path: path.stat().st_mtime_ns for path in archive.rglob("*")}
    assert backup(filled, archive, "--older-than", "1y", "--dry-run").code == 0
    assert {path: path.stat().st_mtime_ns for path in archive.rglob("*")} == before


def test_the_next_run_takes_what_has_become_old(filled: Account, tmp_path: Path) -> None:
    """First older than five years, then older than one: the union, and no message twice."""
    whole, steps = tmp_path / "whole", tmp_path / "steps"
    backup(filled, whole, "--older-than", "1y")
    for age in ("8y", "5y", "1y"):
        assert backup(filled, steps, "--older-than", age).code == 0
    assert maildir.by_folder(steps) == maildir.by_folder(whole)


def test_f043_a_mailbox_made_anew_gives_no_second_copies(dovecot_user: MakeUser, seed: int, tmp_path: Path) -> None:
    """UIDVALIDITY changes when the mailbox is deleted and created again: same files as before, and exit 0."""
    account = dovecot_user()
    samples = corpus(60, seed=seed, now=datetime.now(UTC) - timedelta(days=800), sizes="tiny")
    with account.witness() as witness:
        witness.append_many("Work", samples)
    archive = tmp_path / "archive"
    backup(account, archive)
    first = maildir.by_folder(archive)
    with account.witness() as witness:
        witness.imap.delete("Work")
        witness.append_many("Work", samples)
    result = backup(account, archive)
    assert result.code == 0
    assert maildir.by_folder(archive) == first


@pytest.mark.parametrize("sample", nasty(), ids=lambda sample: sample.name)
def test_f125_nasty_messages_arrive_as_the_server_gives_them(dovecot_user: MakeUser, tmp_path: Path, sample) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - Sample, as the corpus says
    """Bare CR, bare LF, NUL, 8-bit, no header, one octet: whatever Dovecot gives is what is kept."""
    account = dovecot_user()
    with account.witness() as witness:
        (uid,) = witness.append_many("INBOX", [sample])
        given = witness.raw_messages("INBOX")[uid]
    result = backup(account, tmp_path / "archive")
    if given:
        assert result.code in {0, 3}, result.err
        assert maildir.by_folder(tmp_path / "archive") == {"INBOX": [given]}
    else:
        # A single CR: Dovecot stores it and then gives nothing.
        assert result.code == 3
        assert "gives no text" in result.err or "empty text" in result.err
        assert maildir.by_folder(tmp_path / "archive") == {}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--mailbox", "Work"), {"Work"}),
        (("--mailbox", "Work*"), {"Work", "Work/Été 2014"}),
        (("--mailbox", "!Work*", "--mailbox", "!INBOX"), {"Lists/debian user", "日本/東京", "a&b", "100%25"}),
        (("--mailbox", "日本/東京"), {"日本/東京"}),
    ],
)
def test_mailboxes_are_chosen_by_their_decoded_names(
    filled: Account, tmp_path: Path, words: tuple[str, ...], wanted: set[str]
) -> None:
    """Patterns are matched on the names that people read."""
    assert backup(filled, tmp_path / "archive", *words).code == 0
    assert set(maildir.by_folder(tmp_path / "archive")) == wanted


@pytest.mark.parametrize(
    ("words", "test"),
    [
        (("--larger-than", "4K"), lambda facts, _: facts.size > 4096),
        (("--smaller-than", "2K"), lambda facts, _: facts.size < 2048),
        (("--flagged",), lambda facts, _: "\\Flagged" in facts.flags),
        (("--unseen",), lambda facts, _: "\\Seen" not in facts.flags),
        (("--before", "2020"), lambda facts, _: facts.internal_date < datetime(2020, 1, 1).astimezone()),
        (("--after", "2024-03"), lambda facts, _: facts.internal_date >= datetime(2024, 3, 1).astimezone()),
        (("--imap-search", "LARGER 3000 SEEN"), lambda f, _: f.size > 3000 and "\\Seen" in f.flags),
        (("--newer-than", "2y"), lambda facts, _: facts.internal_date >= cut_off().replace(year=cut_off().year - 1)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_each_selection_picks_what_it_says(
    filled: Account, tmp_path: Path, words: tuple[str, ...], test: Callable[..., bool]
) -> None:
    """By size, flag, date and raw search, compared with the facts that an independent client reads."""
    with filled.witness() as witness:
        facts, octets = witness.facts("INBOX"), witness.raw_messages("INBOX")
    expected = sorted(octets[uid] for uid, each in facts.items() if test(each, octets[uid]))
    assert 0 < len(expected) < len(octets)
    result = backup(filled, tmp_path / "archive", "--mailbox", "INBOX", *words)
    assert (result.code, result.err) == (0, "")
    assert maildir.by_folder(tmp_path / "archive") == {"INBOX": expected}


def test_limit_takes_the_oldest_first_and_the_next_run_goes_on(filled: Account, tmp_path: Path) -> None:
    """--limit 10, three times: the thirty oldest of all mailboxes."""
    with filled.witness() as witness:
        dates = [facts.internal_date for name in MAILBOXES for facts in witness.facts(name).values()]
    for _ in range(3):
        assert backup(filled, tmp_path / "archive", "--limit", "10").code == 0
    found = sorted(each.epoch for each in maildir.files(tmp_path / "archive"))
    assert found == sorted(int(date.timestamp()) for date in dates)[:30]


def test_over_tls_and_over_starttls_with_the_right_authority(
    dovecot: Dovecot, dovecot_user: MakeUser, tmp_path: Path
) -> None:
    """imaps:// and imap:// both work when the certificate is trusted."""
    account = dovecot_user()
    with account.witness() as witness:
        witness.append_many("INBOX", corpus(3, seed=1, now=datetime.now(UTC)))
    for number, (scheme, port) in enumerate((("imaps", account.imaps_port), ("imap", account.imap_port))):
        url = f"{scheme}://{quote(account.user, safe='')}@localhost:{port}"
        result = mailarchive("backup", url, "--to", tmp_path / str(number), "--ca-file", dovecot.ca_file)
        assert (result.code, result.err) == (0, "")
        assert len(maildir.files(tmp_path / str(number))) == 3


@pytest.mark.parametrize("scheme", ["imaps", "imap"])
def test_a_certificate_that_is_not_trusted_gets_no_password(
    dovecot_user: MakeUser, tmp_path: Path, scheme: str
) -> None:
    """Exit 15, the reason and a hint; on the wire there is no sign-in."""
    account = dovecot_user()
    port = account.imaps_port if scheme == "imaps" else account.imap_port
    with Proxy(port) as proxy:
        result = mailarchive(
            "backup", f"{scheme}://{quote(account.user, safe='')}@localhost:{proxy.port}", "--to", tmp_path / "a"
        )
        assert not any(b"AUTHENTICATE" in c or b"LOGIN" in c for c in proxy.client_commands())
    assert result.code == 15
    assert not (tmp_path / "a").exists()
    assert "certificate" in result.err
    assert "--fingerprint" in result.err


def test_a_pinned_certificate_is_enough_and_another_one_is_refused(
    dovecot: Dovecot, dovecot_user: MakeUser, tmp_path: Path
) -> None:
    """--fingerprint trusts exactly one certificate."""
    account = dovecot_user()
    fingerprint = served_fingerprint(account.imaps_port)
    url = f"imaps://{quote(account.user, safe='')}@localhost:{account.imaps_port}"
    assert mailarchive("backup", url, "--to", tmp_path / "a", "--fingerprint", fingerprint).code == 0
    wrong = fingerprint[:-1] + ("0" if fingerprint[-1] != "0" else "1")
    result = mailarchive("backup", url, "--to", tmp_path / "b", "--fingerprint", wrong)
    assert result.code == 15
    assert fingerprint in result.err
    assert dovecot.log_text().count(f"user=<{account.user}>") >= 1


def served_fingerprint(port: int) -> str:
    """Read the fingerprint of the certificate that a port serves."""
    import hashlib
    import ssl

    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("localhost", port)))).hexdigest()


@pytest.mark.parametrize("password", ['p"\\q r', "umläut-öß", "émoji😀", "x" * 300, " leading and trailing "])
def test_passwords_of_every_kind_sign_in(dovecot_user: MakeUser, tmp_path: Path, password: str) -> None:
    """Quotes, backslashes, blanks, umlauts, emoji, length."""
    account = dovecot_user(None, password)
    assert backup(account, tmp_path / "a").code == 0


def test_a_wrong_password_is_refused_once_and_never_repeated(dovecot_user: MakeUser, tmp_path: Path) -> None:
    """Exit 12, one attempt, the server's words, no password anywhere."""
    account = dovecot_user(None, "right")
    with Proxy(account.imap_port) as proxy:
        url = plain_url(proxy.port, account.user)
        result = mailarchive("--debug", "backup", url, "--to", tmp_path / "a", password="canary-4711")
        attempts = [c for c in proxy.client_commands() if b"AUTHENTICATE" in c or b"LOGIN" in c]
    assert result.code == 12
    assert len(attempts) == 1
    assert "refused the sign-in" in result.err
    assert "canary" not in result.out + result.err


def test_f134_a_mailbox_that_is_not_there_gets_a_guess(filled: Account, tmp_path: Path) -> None:
    """Exit 2 with the nearest name."""
    result = backup(filled, tmp_path / "a", "--mailbox", "Wrok")
    assert result.code == 2
    assert "no mailbox 'Wrok'" in result.err
    assert "did you mean 'Work'?" in result.err


@pytest.mark.reader("mutt")
def test_mutt_lists_the_archive_with_its_flags(filled: Account, tmp_path: Path, home: Path) -> None:
    """Mutt, at a terminal, finds every message of each mailbox, and as many flagged and replied ones as there are."""
    archive = tmp_path / "archive"
    backup(filled, archive)
    found = maildir.files(archive)
    for folder in sorted({each.folder for each in found}):
        here = [each for each in found if each.folder == folder]
        expected = {
            "~A": len(here),
            "~F": sum("F" in each.flags for each in here),
            "~Q": sum("R" in each.flags for each in here),
        }
        assert {pattern: counted("mutt", archive / folder, pattern, home) for pattern in expected} == expected


@pytest.mark.reader("mlist", "mscan")
def test_mblaze_lists_the_archive(filled: Account, tmp_path: Path) -> None:
    """Mblaze lists every message and reads its subject line."""
    archive = tmp_path / "archive"
    backup(filled, archive)
    for folder, messages in maildir.by_folder(archive).items():
        listed = subprocess.run(["mlist", f"{archive}/{folder}"], capture_output=True, check=True, timeout=60)
        assert len(listed.stdout.splitlines()) == len(messages)
        scanned = subprocess.run(["mscan"], input=listed.stdout, capture_output=True, check=True, timeout=60)
        assert len(scanned.stdout.splitlines()) == len(messages)


@pytest.mark.reader("notmuch")
def test_notmuch_indexes_the_archive(filled: Account, tmp_path: Path, home: Path) -> None:
    """Notmuch finds every message in its folder."""
    archive = tmp_path / "mail" / "archive"
    backup(filled, archive)
    config = home / ".notmuch-config"
    config.parent.mkdir(exist_ok=True)
    config.write_text(
        f"[database]\npath={tmp_path / 'mail'}\n[user]\nname=me\nprimary_email=me@example.org\n"
        "[new]\ntags=new\nignore=.mailarchive;dovecot-uidlist;dovecot-keywords\n[maildir]\nsynchronize_flags=false\n"
    )
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "NOTMUCH_CONFIG": str(config), "LANG": "C.UTF-8"}
    subprocess.run(["notmuch", "new", "--quiet"], env=environment, check=True, capture_output=True, timeout=100)
    for folder, messages in maildir.by_folder(archive).items():
        counted = subprocess.run(
            ["notmuch", "count", "--output=files", "--exclude=false", f'folder:"archive/{folder}"'],
            env=environment,
            check=True,
            capture_output=True,
            timeout=60,
        )
        assert int(counted.stdout) == len(messages), folder
