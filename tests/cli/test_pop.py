"""`backup`, `prune` and `undo` over POP3 as a user runs them, and what this protocol cannot do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.cli.resolved import OLD, deletion_of
from tests.command import mailarchive
from tests.corpus import corpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.resolved import Resolved

ALL, YOUNG = 12, 3
URL = "pop+insecure://me@127.0.0.1:9"


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """Serve twelve messages in INBOX, three of them young, and one mailbox that POP3 does not show."""
    store = Store()
    account = store.add_account("kim", "secret", limit=50_000_000)
    for index, sample in enumerate(corpus(ALL, seed=9, now=datetime.now(UTC) - timedelta(days=500), sizes="tiny")):
        date = datetime.now(UTC) - timedelta(days=5 if index >= ALL - YOUNG else 600 + index)
        _, _, body = sample.raw.partition(b"\r\n\r\n")
        stamp = date.strftime("%a, %d %b %Y %H:%M:%S +0000")
        head = f"Received: from x by y; {stamp}\r\nDate: {stamp}\r\nMessage-ID: <{index}@example.org>\r\n\r\n"
        account.mailbox("INBOX").append(head.encode() + body.removesuffix(b"\r\n") + b"\r\n", date)
    account.create("Foo").append(b"Subject: x\r\n\r\ny\r\n", datetime.now(UTC) - timedelta(days=900))
    with DemoServer(store) as running_server:
        yield running_server


def url(server: DemoServer) -> str:
    """Give the address of the server."""
    return f"pop+insecure://kim@127.0.0.1:{server.pop_port}"


def left(server: DemoServer) -> int:
    """Count what is in INBOX."""
    return len(server.store.account("kim").mailbox("INBOX").messages())


def configure(home: Path, server: str, keys: str = "") -> Path:
    """Write a configuration with the account `home`; gives its archive."""
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'archive = "{home}/mail"\n[defaults]\n{keys}\n[account.home]\nserver = "{server}"\n'
        "password_command = 'echo secret'\n"
    )
    config.chmod(0o600)
    return home / "mail" / "home"


def test_a_backup_that_deletes_and_a_prune(server: DemoServer, tmp_path: Path) -> None:
    """Old mail goes, young mail stays, and no word of an undo that cannot be."""
    archive = tmp_path / "a"
    result = mailarchive("backup", url(server), "--to", archive, *OLD, "--limit", "4", "--delete", "--yes")
    assert (result.code, result.err) == (0, "")
    assert (left(server), len(maildir.files(archive))) == (ALL - 4, 4)
    assert "undo with" not in result.out
    assert mailarchive("-q", "backup", url(server), "--to", archive, *OLD).code == 0
    assert left(server) == ALL - 4
    result = mailarchive("--json", "prune", url(server), "--archive", archive, *OLD, "--yes")
    assert (result.code, result.err) == (0, "")
    assert (left(server), len(maildir.files(archive))) == (YOUNG, ALL - YOUNG)
    assert (result.end["total"]["deleted"], result.end["undo"]) == (ALL - YOUNG - 4, "")
    assert len(server.store.account("kim").mailbox("Foo").messages()) == 1


def test_an_account_whose_defaults_speak_of_flags(server: DemoServer, home: Path) -> None:
    """What is said of all accounts keeps nothing back where there are no flags."""
    archive = configure(home, url(server), "older_than = '1y'\ndelete = true\nkeep_flagged = true\nkeep_unread = true")
    assert mailarchive("-q", "backup").code == 0
    assert (left(server), len(maildir.files(archive))) == (YOUNG, ALL - YOUNG)


@pytest.mark.parametrize("scheme", ["pop+insecure", "pop", "pops"])
@pytest.mark.parametrize("option", ["--keep-flagged", "--keep-unread"])
@pytest.mark.parametrize("command", [("backup", "--delete"), ("prune",)])
def test_f136_a_rule_about_flags_that_is_typed_is_refused(
    runs: list[Resolved], home: Path, scheme: str, option: str, command: tuple[str, ...]
) -> None:
    """Exit 2 before anything is connected: who types it counts on it. Its opposite asks for nothing."""
    configure(home, URL.replace("pop+insecure", scheme))
    result = mailarchive(*command, *OLD, "--yes", option)
    assert (result.code, result.out, runs) == (2, "", [])
    assert f"error: home: POP3 has no flags, so {option} has nothing to act on\n" in result.err
    assert mailarchive(*command, *OLD, "--yes", option.replace("--", "--no-")).code == 0
    deletion_of(runs)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--seen"], "POP3 has no flags, so no message can be chosen by one"),
        (["--unseen"], "POP3 has no flags, so no message can be chosen by one"),
        (["--flagged"], "POP3 has no flags, so no message can be chosen by one"),
        (["--unflagged"], "POP3 has no flags, so no message can be chosen by one"),
        (["--imap-search", "ALL"], "--imap-search cannot be"),
        (["--mailbox", "Foo"], "no mailbox 'Foo' on the server"),
        (["--keep-under", "80"], "this server does not tell its quota, so --keep-under cannot be"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--delete", "--yes")])
def test_f136_what_the_protocol_cannot_say_is_refused(
    server: DemoServer, tmp_path: Path, words: list[str], what: str, more: tuple[str, ...]
) -> None:
    """Exit 2; nothing is archived and nothing deleted."""
    result = mailarchive("backup", url(server), "--to", tmp_path / "a", *words, *more)
    assert (result.code, left(server)) == (2, ALL)
    assert what in result.err
    assert maildir.files(tmp_path / "a") == []


def test_f134_a_mailbox_of_the_configuration_that_pop_does_not_show_is_a_warning(
    server: DemoServer, home: Path
) -> None:
    """Exit 3, and INBOX is archived all the same."""
    archive = configure(home, url(server), "mailboxes = ['INBOX', 'Foo']")
    result = mailarchive("-q", "backup")
    assert result.code == 3
    assert "no mailbox 'Foo' on the server" in result.err
    assert len(maildir.files(archive)) == ALL


def test_an_undo_over_pop_is_refused_and_over_imap_it_works(server: DemoServer, tmp_path: Path) -> None:
    """As the hint says."""
    place: tuple[str | Path, ...] = ("--archive", tmp_path / "a")
    result = mailarchive("--json", "backup", url(server), "--to", tmp_path / "a", *OLD, "--delete", "--yes")
    assert (result.code, left(server)) == (0, YOUNG)
    refused = mailarchive("undo", result.end["run"], url(server), *place)
    assert (refused.code, refused.out) == (2, "")
    assert "hint: name the IMAP server: mailarchive undo" in refused.err
    imap = f"imap+insecure://kim@127.0.0.1:{server.imap_port}"
    assert mailarchive("-q", "undo", result.end["run"], imap, *place).code == 0
    assert left(server) == ALL


def test_after_the_loss_of_the_catalogue_a_reindex_spares_all_bodies(server: DemoServer, tmp_path: Path) -> None:
    """By UIDL; and what was deleted then stays known as deleted, so that its UIDL may be given again."""
    archive = tmp_path / "a"
    assert mailarchive("-q", "backup", url(server), "--to", archive).code == 0

    def reindexed() -> dict[str, Any]:
        for file in archive.glob(".mailarchive/catalogue.sqlite*"):
            file.unlink()
        result = mailarchive("--json", "reindex", archive)
        assert result.code == 0
        return result.end

    assert reindexed()["placed"] == ALL
    again = mailarchive("--json", "backup", url(server), "--to", archive)
    assert (again.code, again.end["total"]["archived"], again.end["total"]["already"]) == (0, 0, ALL)
    prune = mailarchive("--json", "prune", url(server), "--archive", archive, "--older-than", "1y", "--yes")
    assert (prune.code, prune.end["total"]["deleted"], left(server)) == (0, ALL - YOUNG, YOUNG)
    end = reindexed()
    assert (end["placed"], end["expunged"], end["open"]) == (ALL, ALL - YOUNG, 0)
    again = mailarchive("--json", "backup", url(server), "--to", archive)
    assert (again.code, again.end["total"]["archived"], again.end["total"]["already"]) == (0, 0, YOUNG)
