"""Archived, deleted, and put back on a real Dovecot: on the same account, on an empty one, killed, and full."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests import maildir
from tests.command import mailarchive, plain_url
from tests.corpus import corpus, spread
from tests.servers.dovecot import Account, Dovecot
from tests.servers.dovecot_conf import capabilities_without

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result
    from tests.servers.witness import Whole

pytestmark = pytest.mark.dovecot

BOXES = ("INBOX", "Work", "Work/Été 2014")
OLD = ("--older-than", "30d", "--no-keep-flagged", "--delete", "--yes")
Shown = dict[str, list[tuple[bytes, list[str], datetime]]]


def shown(everything: dict[str, dict[int, Whole]]) -> Shown:
    """Give what each mailbox holds, whatever its UIDs are; empty mailboxes are left out."""
    return {
        name: sorted((each.octets, sorted(each.flags), each.internal_date) for each in messages.values())
        for name, messages in everything.items()
        if messages
    }


def user(server: Dovecot, name: str) -> Account:
    """Give an account."""
    return Account(server, name, "secret")


def url(account: Account) -> str:
    """Name an account."""
    return plain_url(account.imap_port, account.user)


def run(*words: str | Path) -> Result:
    """Run a command with --json; every account has the same password."""
    return mailarchive("--json", *words)


def total(result: Result) -> dict[str, int]:
    """Give the sums of a run that went well."""
    assert (result.code, result.err) == (0, ""), [e for e in result.events if e["event"] != "put_back"]
    sums: dict[str, int] = result.end["total"]
    return sums


@pytest.fixture(params=["together", "one by one"])
def server(request: pytest.FixtureRequest) -> Iterator[Dovecot]:
    """Serve two accounts, with and without MULTIAPPEND."""
    hidden = None if request.param == "together" else capabilities_without("MULTIAPPEND", "LITERAL+")
    with Dovecot(capability=hidden, users={"full": "secret", "empty": "secret"}) as made:
        yield made


def filled(server: Dovecot, seed: int, count: int = 120, name: str = "full") -> tuple[Account, Shown]:
    """Fill an account with old mail of all flags; gives what it shows."""
    account = user(server, name)
    samples = corpus(count, seed=seed, now=datetime.now(UTC) - timedelta(days=100), sizes="tiny")
    for mailbox, messages in spread(samples, list(BOXES)).items():
        account.append_many(mailbox, messages)
    account.append_many(BOXES[0], samples[:1])
    return account, shown(account.everything())


def test_an_empty_account_gets_everything_once(server: Dovecot, tmp_path: Path, seed: int) -> None:
    """The same octets, flags, keywords and dates; a second time nothing; and archived again it is the same archive."""
    account, before = filled(server, seed)
    archive = tmp_path / "a"
    assert total(run("backup", url(account), "--to", archive, *OLD))["deleted"] == 121
    assert shown(account.everything()) == {}
    empty = user(server, "empty")
    words = ("restore", "--archive", archive, "--account", url(empty))
    dry = total(run(*words, "--dry-run"))
    assert (dry["put_back"], shown(empty.everything())) == (120, {})
    sums = total(run(*words))
    assert (sums["wanted"], sums["put_back"], sums["there"]) == (120, 120, 0)
    once = {name: sorted(set(map(repr, messages))) for name, messages in before.items()}
    back = empty.everything()
    assert {name: sorted(map(repr, messages)) for name, messages in shown(back).items()} == once
    again = total(run(*words))
    assert (again["put_back"], again["there"]) == (0, 120)
    assert empty.everything() == back
    assert total(run("backup", url(empty), "--to", tmp_path / "b"))["archived"] == 120

    def facts(folder: Path) -> list[tuple[Any, ...]]:
        return sorted(
            (each.folder, each.octets, each.epoch, each.flags, sorted(each.keywords)) for each in maildir.files(folder)
        )

    assert facts(tmp_path / "b") == facts(archive)


def test_its_own_account_gets_what_a_query_finds(server: Dovecot, tmp_path: Path, seed: int) -> None:
    """What was never deleted is not doubled, what was put back is kept by the next run that deletes."""
    account, before = filled(server, seed, 30)
    archive = tmp_path / "a"
    assert total(run("backup", url(account), "--to", archive))["archived"] == 31
    assert total(run("prune", url(account), "--archive", archive, "--mailbox", "Work*", *OLD[:3], "--yes"))["deleted"]
    sums = total(run("restore", url(account), "in:Work", "--archive", archive))
    assert (sums["put_back"], sums["there"]) == (len(before["Work"]), 0)
    sums = total(run("restore", url(account), "--archive", archive))
    assert (sums["put_back"], sums["there"]) == (len(before[BOXES[2]]), 30 - len(before[BOXES[2]]))
    assert shown(account.everything()) == before
    result = run("backup", url(account), "--to", archive, *OLD)
    assert result.code == 0
    assert dict(result.end["kept"]) == {"put back": len(before["Work"]) + len(before[BOXES[2]])}


def test_one_mailbox_gets_it(server: Dovecot, tmp_path: Path, seed: int) -> None:
    """It is made, and each message is there once."""
    account, _ = filled(server, seed, 12)
    total(run("backup", url(account), "--to", tmp_path / "a"))
    words = ("restore", url(account), "--archive", tmp_path / "a", "--to-mailbox", "Zurück/all")
    assert total(run(*words))["put_back"] == 12
    assert total(run(*words))["put_back"] == 0
    assert len(account.whole("Zurück/all")) == 12


def test_another_account_keeps_what_it_got(server: Dovecot, tmp_path: Path, home: Path, seed: int) -> None:
    """It is remembered in the archive of that account, which is made; the first account is not concerned."""
    account, _ = filled(server, seed, 12)
    empty = user(server, "empty")
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True)
    tables = (
        f"[account.{each.user}]\nserver = '{url(each)}'\npassword_command = 'echo secret'\n"
        for each in (account, empty)
    )
    config.write_text(f"archive = '{tmp_path}/mail'\n{''.join(tables)}")
    config.chmod(0o600)
    total(run("backup", "full"))
    assert total(run("restore", "full", "in:Work", "--account", "empty"))["put_back"] == len(account.whole("Work"))
    assert (tmp_path / "mail" / "empty" / ".mailarchive").is_dir()
    result = run("backup", "empty", *OLD)
    assert dict(result.end["kept"]) == {"put back": len(account.whole("Work"))}
    assert total(run("backup", "full", *OLD))["deleted"] == 13
    words = {
        ("restore",): "what is to be put back?",
        ("restore", "in:INBOX"): "the mail of which account?",
        ("restore", "--archive", str(tmp_path / "mail" / "full")): "which server gets the mail?",
        ("restore", url(account), "--account", "empty"): "a URL and --account name two servers",
    }
    for command, said in words.items():
        result = mailarchive(*command)
        assert result.code == 2
        assert said in result.err


def test_killed_in_the_middle_it_is_run_again(server: Dovecot, tmp_path: Path, seed: int) -> None:
    """Nothing is there twice, and nothing is missing."""
    account, before = filled(server, seed, 120)
    archive, empty = tmp_path / "a", user(server, "empty")
    total(run("backup", url(account), "--to", archive))
    words = ("restore", "--archive", archive, "--account", url(empty))
    command = [sys.executable, "-m", "mailarchive", "--json", *map(str, words)]
    environment = {**os.environ, "MAILARCHIVE_PASSWORD": "secret"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, stdin=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        said = 0
        for line in child.stdout:
            said += json.loads(line)["event"] == "put_back"
            if said >= 20:
                break
        child.send_signal(signal.SIGKILL)
        child.stdout.read()
    assert child.returncode == -signal.SIGKILL
    there = sum(map(len, empty.everything().values()))
    assert 0 < there < 120
    sums = total(run(*words))
    assert (sums["there"], sums["put_back"]) == (there, 120 - there)
    once = {name: sorted(set(map(repr, messages))) for name, messages in before.items()}
    assert {name: sorted(map(repr, messages)) for name, messages in shown(empty.everything()).items()} == once


def test_a_full_account_is_filled_and_the_next_run_goes_on(tmp_path: Path, seed: int) -> None:
    """What there was no room for is told, and what is there is written down."""
    with Dovecot(quota="300K", users={"full": "secret"}) as small, Dovecot(users={"full": "secret"}) as large:
        account, before = filled(large, seed, 150)
        archive = tmp_path / "a"
        total(run("backup", url(account), "--to", archive))
        empty = user(small, "full")
        filler = corpus(1, seed=seed, now=datetime.now(UTC), sizes="tiny")[0]
        raw = filler.raw + b"x" * 78 * 2500 + b"\r\n"
        empty.append_many("Filler", [type(filler)(raw, filler.internal_date, ())])
        words = ("restore", "--archive", archive, "--account", url(empty))
        result = run(*words)
        assert result.code == 3
        sums = result.end["total"]
        assert sums["put_back"] > 0
        assert sums["failed"] > 0
        assert sums["put_back"] + sums["failed"] == sums["wanted"] == 150
        there = sum(len(messages) for name, messages in empty.everything().items() if name != "Filler")
        assert there == sums["put_back"]
        with empty.witness() as witness:
            witness.store("Filler", [1], "+FLAGS.SILENT (\\Deleted)")
            witness.expunge("Filler", [1])
        sums = total(run(*words))
        assert (sums["there"], sums["put_back"]) == (there, 150 - there)
        once = {name: sorted(set(map(repr, messages))) for name, messages in before.items()}
        assert {name: sorted(map(repr, messages)) for name, messages in shown(empty.everything()).items()} == once
