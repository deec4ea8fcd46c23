"""`mailarchive search`, `list` and `show`: what a user types and reads, and that nothing in mail steers a terminal."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailarchive.archives.opening import open_for_reading, open_for_writing
from mailarchive.cli import finding
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.errors import ExitCode
from mailarchive.index import store as index_store
from mailarchive.query import Query
from mailarchive.screen.plain import Plain
from tests.cli.terminal import at_a_terminal
from tests.command import mailarchive, plain_url

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "secret"
ESCAPE = "\x1b]0;owned\x07\u202etxt.exe"
INVOICE = (
    b"From: Anna Berg <anna@example.org>\r\nTo: kim@example.org\r\nSubject: Your invoice 4711\r\n"
    b"Date: Fri, 1 Mar 2024 10:00:00 +0000\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nPlease pay the final notice.\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    b'--b\r\nContent-Type: application/pdf; name="../../invoice.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    b"JVBERi0xLjQ=\r\n--b--\r\n"
)
HOSTILE = (
    b"From: \x1b[31mred <x@example.org>\r\nSubject: =?utf-8?b?G10wO293bmVkB+KArnR4dC5leGU=?= hostile\r\n"
    b"Date: Fri, 1 Mar 2024 11:00:00 +0000\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>click \x1b[2J &#27;]0;owned&#7; &#x202e;</p>"
    b"<script>steal()</script><img src='https://example.org/pixel'>\r\n"
    b"--b\r\nContent-Type: image/png; name*=utf-8''%1b%5b31m%e2%80%aegnp.exe\r\n\r\nx\r\n--b--\r\n"
)
PLAIN = b"From: bob@example.org\r\nSubject: number %d\r\nDate: Fri, 1 Mar 2024 12:00:00 +0000\r\n\r\nunremarkable\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    """Serve an invoice in two mailboxes, a hostile message, and sixty others."""
    mails = Store()
    account = mails.add_account("kim", PASSWORD)
    first = datetime(2024, 3, 1, 12, tzinfo=UTC)
    inbox, work = account.find("INBOX") or account.create("INBOX"), account.create("Work")
    inbox.append(INVOICE, first, ("\\Seen",))
    work.append(INVOICE, first, ("\\Flagged",))
    work.append(HOSTILE, first + timedelta(days=1), ())
    for number in range(60):
        inbox.append(PLAIN % number, first - timedelta(days=number + 1), ("\\Seen",))
    with DemoServer(mails) as running:
        yield running


@pytest.fixture(scope="module")
def made(server: DemoServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Back it up once."""
    folder = tmp_path_factory.mktemp("made") / "archive"
    assert mailarchive("-q", "backup", plain_url(server.imap_port, "kim"), "--to", folder).code == 0
    return folder


@pytest.fixture
def archive(made: Path, tmp_path: Path) -> Path:
    """Give a copy of the archive."""
    return Path(shutil.copytree(made, tmp_path / "archive", symlinks=True))


def index_of(archive: Path) -> Path:
    """Give the file of the index."""
    return archive / ".mailarchive" / "index.sqlite"


def ids(archive: Path, *words: str) -> list[str]:
    """Search for IDs."""
    result = mailarchive("search", "--ids", "--archive", archive, *words)
    assert (result.code, result.err) == (0, "" if result.out else "mailarchive: nothing found\n")
    return result.out.splitlines()


ID = hashlib.sha256(INVOICE).hexdigest()
BAD = hashlib.sha256(HOSTILE).hexdigest()


def test_a_backup_fills_the_index(archive: Path) -> None:
    """So the first search reads no mail any more."""
    for file in archive.glob("*/cur/*"):
        file.unlink()
    assert ids(archive, "final notice") == [ID]


def test_a_pipe_gets_lines_with_tabs(archive: Path) -> None:
    """Date, ID, octets, mailbox, sender, subject; all of them, each message once, nothing on stderr."""
    result = mailarchive("search", "invoice", "--archive", archive)
    (line,) = result.out.splitlines()
    date, short, size, mailbox, sender, subject = line.split("\t")
    assert (date, short, size) == ("2024-03-01 12:00+00:00", ID[:12], str(len(INVOICE)))
    assert mailbox in {"INBOX", "Work"}
    assert (sender, subject) == ("Anna Berg <anna@example.org>", "Your invoice 4711")
    assert (result.code, result.err) == (0, "")
    assert len(mailarchive("search", "number", "--archive", archive).out.splitlines()) == 60


def test_words_are_joined_and_a_minus_is_part_of_a_query(archive: Path) -> None:
    """No quotes are needed for it, and short options still are options."""
    assert ids(archive, "from:anna", "pay", "-unremarkable") == [ID]
    assert ids(archive, "-invoice", "-number", "in:Work") == [BAD]
    assert ids(archive, "-in:INBOX", "-hostile") == [ID]
    assert ids(archive, 'pay "final notice"', "OR", "hostile") == [BAD, ID]
    assert "Usage:" in mailarchive("search", "-h").out


def test_json_is_one_object_a_line(archive: Path) -> None:
    """The schema first; the exact texts, harmless as JSON."""
    result = mailarchive("search", "--json", "hostile", "--archive", archive)
    schema, found, end = result.events
    assert schema["event"] == "schema"
    assert (end["event"], end["found"]) == ("search_finished", 1)
    assert (found["event"], found["id"], found["mailbox"], found["flags"]) == ("found", BAD, "Work", [])
    assert found["subject"] == ESCAPE + " hostile"
    assert (found["size"], found["attachments"], found["date"]) == (len(HOSTILE), 1, "2024-03-02T12:00:00+00:00")
    assert result.out.isascii()


def test_a_list_has_each_message_in_each_mailbox(archive: Path) -> None:
    """Newest first, by a query or all."""
    everything = mailarchive("list", "--archive", archive).out.splitlines()
    assert len(everything) == 63
    assert [line.split("\t")[0] for line in everything] == sorted(
        (line.split("\t")[0] for line in everything), reverse=True
    )
    two = mailarchive("list", "invoice", "--json", "--archive", archive).events[1:-1]
    assert sorted((each["mailbox"], *each["flags"]) for each in two) == [("INBOX", "\\Seen"), ("Work", "\\Flagged")]
    assert len(mailarchive("list", "in:Work", "--limit", "1", "--archive", archive).out.splitlines()) == 1


@pytest.mark.parametrize("words", [("xyzzy",), ("in:Nowhere",), ("larger:1G",)])
def test_nothing_found_is_no_error(archive: Path, words: tuple[str, ...]) -> None:
    """It is said on stderr, and not at all with -q."""
    result = mailarchive("search", *words, "--archive", archive)
    assert (result.code, result.out, result.err) == (0, "", "mailarchive: nothing found\n")
    assert mailarchive("-q", "search", *words, "--archive", archive).err == ""


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("form:anna",), 2, "error: the query, at character 1: there is no field 'form:'\nhint: did you mean 'from:'?"),
        (("a", "(b"), 2, "at character 3: this parenthesis is not closed"),
        (("",), 2, "error: nothing to look for\nhint: mailarchive list shows everything"),
        ((), 2, "error: nothing to look for"),
        (("a", "--jsno"), 2, "No such option"),
    ],
)
def test_a_query_that_cannot_be_read_is_a_usage_error(
    archive: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    """One line that says where, and a hint; nothing is searched."""
    result = mailarchive("search", "--archive", archive, *words)
    assert (result.code, result.out) == (code, "")
    assert message in result.err


def test_an_archive_that_is_not_there_stops_no_other(archive: Path, tmp_path: Path) -> None:
    """What the other has is printed, and the code is that of the failure."""
    missing = tmp_path / "missing"
    result = mailarchive("search", "invoice", "--archive", missing, "--archive", archive)
    assert result.code == 13
    assert f"there is no archive in {missing}" in result.err
    assert "archive: INBOX" in result.out or "archive: Work" in result.out


def test_accounts_and_their_archives(archive: Path, home: Path) -> None:
    """All of them, or those that are named; the same octets in two archives are told once."""
    shutil.copytree(archive, home / "mail" / "one", symlinks=True)
    shutil.copytree(archive, home / "mail" / "two", symlinks=True)
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True)
    account = '[account.{}]\nserver = "imaps://imap.example.org"\nuser = "kim"\n'
    config.write_text(f'archive = "{home}/mail"\n' + account.format("one") + account.format("two"))
    config.chmod(0o600)
    assert len(mailarchive("search", "invoice").out.splitlines()) == 1
    assert len(mailarchive("list", "in:Work invoice").out.splitlines()) == 2
    assert "two: Work" in mailarchive("list", "in:Work invoice").out
    assert mailarchive("list", "invoice in:Work", "--account", "two").out.split("\t")[3] == "Work"
    assert mailarchive("search", "invoice", "--account", "tow").code == 10
    assert mailarchive("search", "invoice", "--account", "two", "--archive", archive).code == 2
    assert mailarchive("show", ID[:8]).out.startswith("From:    Anna Berg <anna@example.org>\n")


@pytest.mark.parametrize("where", ["defaults", "account"])
def test_without_an_index_a_search_reads_the_archive(server: DemoServer, home: Path, where: str) -> None:
    """The same answers, and nothing is kept beside the mail, by a backup neither."""
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True)
    off = "index = false\n"
    config.write_text(
        f'archive = "{home}/mail"\n[defaults]\n{off if where == "defaults" else ""}[account.home]\n'
        f'server = "imap+insecure://127.0.0.1:{server.imap_port}"\nuser = "kim"\npassword_command = "echo secret"\n'
        f"{off if where == 'account' else ''}"
    )
    config.chmod(0o600)
    assert mailarchive("-q", "backup").code == 0
    assert mailarchive("search", "--ids", "final", "notice").out.split() == [ID]
    assert mailarchive("search", "--ids", "has:attachment", "in:Work").out.split() == [BAD, ID]
    assert mailarchive("search", "--ids", "from:anna", "is:flagged").out.split() == [ID]
    assert not index_of(home / "mail" / "home").exists()
    shown = mailarchive("config", "show", "--json").events
    assert next(each for each in shown if each.get("key") == "index")["value"] is False


def test_a_search_while_a_run_holds_the_archive(archive: Path) -> None:
    """It neither waits nor fails, and new mail is found too: the lock is for those who write mail."""
    index_of(archive).unlink()
    with open_for_reading(archive) as there:  # type: ignore[union-attr] # it is there
        account = there.marker.account
    with open_for_writing(archive, account, run="r", started="07:04", remember=False):
        assert ids(archive, "invoice") == [ID]
        assert mailarchive("show", ID, "--archive", archive).code == 0


def test_an_index_that_another_program_fills_is_searched_as_it_is(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is said what may be missing."""
    monkeypatch.setattr(index_store, "PATIENCE", 0.1)
    with closing(sqlite3.connect(index_of(archive), isolation_level=None)) as other:
        other.execute("DELETE FROM letter WHERE id IN (SELECT id FROM letter LIMIT 5)")
        other.execute("BEGIN IMMEDIATE")
        result = mailarchive("search", "number", "--archive", archive)
        other.execute("ROLLBACK")
    assert result.code == 0
    assert len(result.out.splitlines()) >= 55
    assert "another program is filling the index" in result.err
    assert "5 messages may be missing" in result.err


def test_a_lost_or_damaged_index_costs_only_time(archive: Path) -> None:
    """It is made anew without a word."""
    for octets in (None, b"", b"no database " * 1000):
        index_of(archive).unlink()
        if octets is not None:
            index_of(archive).write_bytes(octets)
        assert ids(archive, "invoice") == [ID]


def test_mail_is_found_after_a_reindex(archive: Path) -> None:
    """The index goes with the old catalogue and comes again."""
    assert mailarchive("-q", "reindex", archive).code == 0
    assert not index_of(archive).exists()
    assert ids(archive, "invoice") == [ID]
    assert index_of(archive).exists()


def test_a_lost_catalogue_is_said_with_what_to_type(archive: Path) -> None:
    """Nothing can be found without it."""
    (archive / ".mailarchive" / "catalogue.sqlite").unlink()
    result = mailarchive("search", "invoice", "--archive", archive)
    assert result.code == 13
    assert "hint: mailarchive reindex" in result.err


def test_verify_and_a_dry_run_do_not_mind_the_index(archive: Path, server: DemoServer) -> None:
    """It is nothing that belongs to the mail."""
    assert mailarchive("-q", "verify", archive).code == 0
    before = index_of(archive).read_bytes()
    url = plain_url(server.imap_port, "kim")
    assert mailarchive("-q", "backup", url, "--to", archive, "--dry-run").code == 0
    assert index_of(archive).read_bytes() == before


def test_an_index_that_cannot_be_filled_does_not_fail_a_backup(server: DemoServer, tmp_path: Path) -> None:
    """The mail is safe, and a remark says what is not done."""
    folder = tmp_path / "archive"
    url = plain_url(server.imap_port, "kim")
    assert mailarchive("-q", "backup", url, "--to", folder, "--mailbox", "Work").code == 0
    index_of(folder).unlink()
    index_of(folder).symlink_to(tmp_path / "elsewhere")
    result = mailarchive("backup", url, "--to", folder)
    assert result.code == 0
    assert "the new mail is not in the index yet" in result.err
    assert not (tmp_path / "elsewhere").exists()


def test_without_fts5_a_search_says_so_and_a_backup_does_not_mind(
    server: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a matter of the Python, which `doctor` looks at."""
    monkeypatch.setattr(finding, "has_full_text", lambda: False)
    folder = tmp_path / "archive"
    result = mailarchive("backup", plain_url(server.imap_port, "kim"), "--to", folder)
    assert (result.code, result.err) == (0, "")
    assert not index_of(folder).exists()
    result = mailarchive("search", "invoice", "--archive", folder)
    assert (result.code, result.out) == (2, "")
    assert "cannot search words" in result.err


def test_an_index_leaves_the_last_of_a_disk_to_mail(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not filled then, and a search says what may be missing."""
    index_of(archive).unlink()
    monkeypatch.setattr(finding, "SPARE", 2**62)
    result = mailarchive("search", "invoice", "--archive", archive)
    assert (result.code, result.out) == (0, "")
    assert "nearly full, so its index is not filled; 62 messages may be missing" in result.err


def test_a_terminal_sees_how_far_the_reading_is(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one line, which is taken away; elsewhere nothing is written."""

    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(finding, "_WORTH_TELLING", 10)
    for stream, shown in ((Tty(), True), (io.StringIO(), False)):
        index_of(archive).unlink(missing_ok=True)
        monkeypatch.setattr("sys.stderr", stream)
        with finding.opened(finding.Place("x", archive), Plain(None, None), lambda: None, query=Query()):
            pass
        assert ("reading mail for the index: 62 of 62" in stream.getvalue()) is shown
        assert stream.getvalue().endswith("\r\x1b[K") is shown


def test_in_an_archive_of_another_user_a_search_reads_the_mail(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index there is not touched, and none is made."""
    monkeypatch.setattr(finding, "_may_write", lambda _archive: False)
    before = index_of(archive).read_bytes()
    assert ids(archive, "invoice") == [ID]
    assert index_of(archive).read_bytes() == before
    index_of(archive).unlink()
    assert ids(archive, "invoice") == [ID]
    assert not index_of(archive).exists()


def test_an_interrupted_run_leaves_the_index_alone(archive: Path) -> None:
    """A signal is never answered by more work."""
    index_of(archive).unlink()
    finding.index_mail(finding.Place("x", archive), Plain(None, None), lambda: ExitCode.TERMINATE)
    assert not index_of(archive).exists()


def test_an_archive_of_mbox_files_is_searched_and_read(server: DemoServer, tmp_path: Path) -> None:
    """The octets are those that the server sent."""
    folder = tmp_path / "archive"
    url = plain_url(server.imap_port, "kim")
    assert mailarchive("-q", "backup", url, "--to", folder, "--format", "mbox").code == 0
    assert ids(folder, "final notice -in:INBOX") == [ID]
    assert mailarchive("show", ID[:9], "--raw", "--to", tmp_path / "out", "--archive", folder).code == 0
    assert (tmp_path / "out").read_bytes() == INVOICE


# Show


def test_a_message_is_shown_with_its_parts(archive: Path) -> None:
    """Headers, text, attachments, and how to get one."""
    result = mailarchive("show", ID[:12], "--archive", archive)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[:4] == [
        "From:    Anna Berg <anna@example.org>",
        "To:      kim@example.org",
        "Date:    Fri, 1 Mar 2024 10:00:00 +0000",
        "Subject: Your invoice 4711",
    ]
    assert lines[5:] == [
        f"ID:      {ID}",
        "",
        "Please pay the final notice.",
        "Grüße",
        "",
        "Attachments:",
        "  2    application/pdf  8 B  ../../invoice.pdf",
        f"To get one: mailarchive show {ID[:12]} --part 2 --to FILE",
    ]


def test_f124_nothing_in_a_message_steers_a_terminal(archive: Path) -> None:
    """No escape, control or bidi sign in a table, a message, an error or at a terminal; HTML is text."""
    outputs = [
        mailarchive(*words, "--archive", archive)
        for words in (
            ("search", "hostile"),
            ("list",),
            ("show", BAD),
            ("show", BAD, "--html"),
            ("show", BAD, "--json"),
            ("search", "\x1b[31m\u202e:x"),
            ("search", "in:\x1b[31m"),
        )
    ]
    terminal = at_a_terminal([sys.executable, "-m", "mailarchive", "search", "hostile", "--archive", str(archive)])
    for text in (*(result.out + result.err for result in outputs), terminal.text):
        assert not [letter for letter in text if letter in "\x1b\x07\u202e" or "\x7f" <= letter <= "\x9f"]
    assert "steal()" not in outputs[2].out
    assert "pixel" not in outputs[2].out
    assert "click" in outputs[2].out
    assert "owned" in terminal.text


def test_raw_gives_the_exact_octets(archive: Path, tmp_path: Path) -> None:
    """To a pipe, or into a new file that others cannot read."""
    command = [sys.executable, "-m", "mailarchive", "show", ID, "--raw", "--archive", str(archive)]
    assert subprocess.run(command, check=True, capture_output=True).stdout == INVOICE
    target = tmp_path / "mail.eml"
    assert mailarchive("show", ID, "--raw", "--to", target, "--archive", archive).code == 0
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (INVOICE, 0o600)


def test_a_part_is_decoded(archive: Path, tmp_path: Path) -> None:
    """By its number; an unknown one names those that there are."""
    target = tmp_path / "x.pdf"
    assert mailarchive("show", ID, "--part", "2", "--to", target, "--archive", archive).code == 0
    assert target.read_bytes() == b"%PDF-1.4"
    result = mailarchive("show", ID, "--part", "7", "--to", tmp_path / "y", "--archive", archive)
    assert result.code == 2
    assert "the message has no part '7'\nhint: its parts are 1, 2" in result.err
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "folder"])
def test_show_never_writes_over_anything(archive: Path, tmp_path: Path, kind: str) -> None:
    """What is there stays, and where a link leads nothing appears."""
    target, other = tmp_path / "target", tmp_path / "other"
    if kind == "file":
        target.write_bytes(b"mine")
    elif kind == "folder":
        target.mkdir()
    else:
        if kind == "link":
            other.write_bytes(b"mine")
        target.symlink_to(other)
    result = mailarchive("show", ID, "--raw", "--to", target, "--archive", archive)
    assert result.code == 2
    assert "is there already; nothing was written" in result.err
    assert kind in {"folder", "dangling link"} or (other if kind == "link" else target).read_bytes() == b"mine"
    assert kind != "dangling link" or not other.exists()


def test_raw_octets_do_not_go_to_a_terminal(archive: Path) -> None:
    """They are refused with what to type instead."""
    command = [sys.executable, "-m", "mailarchive", "show", BAD, "--archive", str(archive)]
    for words in (["--raw"], ["--part", "1"]):
        seen = at_a_terminal([*command, *words])
        assert seen.code == 2
        assert "could steer this terminal" in seen.text
        assert "\x1b[2J" not in seen.text


def test_a_terminal_shows_a_table_and_says_how_many_more(archive: Path) -> None:
    """The fifty newest, in columns that fit."""
    seen = at_a_terminal([sys.executable, "-m", "mailarchive", "list", "--archive", str(archive)])
    lines = seen.text.replace("\r", "").splitlines()
    assert len(lines) == 51
    assert lines[0].startswith("2024-03-02  ")
    assert lines[0].endswith(BAD[:12])
    assert all(len(line) <= 80 for line in lines)
    assert lines[50] == "and 13 more; --limit 0 shows all"


def test_a_terminal_shows_a_message_in_the_pager(archive: Path, tmp_path: Path) -> None:
    """That of the user."""
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat >{tmp_path}/paged\n")
    pager.chmod(0o700)
    command = [sys.executable, "-m", "mailarchive", "show", ID, "--archive", str(archive)]
    assert at_a_terminal(command, environment={"PAGER": str(pager)}).code == 0
    assert "Please pay the final notice." in (tmp_path / "paged").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ffffffffffff",), "no message of the archive has the ID ffffffffffff"),
        (("abc",), "an ID has at least 4 digits"),
        (("../../etc/passwd",), "is no ID"),
        ((ID, "--raw", "--html"), "do not go together"),
        ((ID, "--to", "x"), "--to goes with --raw or --part"),
    ],
)
def test_show_refuses_what_cannot_be(archive: Path, words: tuple[str, ...], message: str) -> None:
    """With exit code 2 and a line that says why."""
    result = mailarchive("show", *words, "--archive", archive)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_a_message_as_json(archive: Path) -> None:
    """For programs: headers in order, the text, the parts."""
    _, told = mailarchive("show", ID, "--json", "--archive", archive).events
    assert (told["event"], told["id"], told["text"]) == ("message", ID, "Please pay the final notice.\nGrüße")
    assert told["headers"][0] == {"name": "From", "value": "Anna Berg <anna@example.org>"}
    assert told["attachments"] == [{"part": "2", "type": "application/pdf", "size": 8, "name": "../../invoice.pdf"}]
    assert json.dumps(told).isascii()


@pytest.mark.needs_root
def test_an_archive_that_cannot_be_written_is_searched(archive: Path, tmp_path: Path) -> None:
    """On a read-only filesystem: in the catalogue and the index as they are, or by reading the mail."""
    place = tmp_path / "mounted"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip("no mounts here")
    try:
        for there in (True, False):
            if not there:
                index_of(archive).unlink()
            shutil.copytree(archive, place / str(there), symlinks=True)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        for there in (True, False):
            assert ids(place / str(there), "invoice") == [ID]
            assert mailarchive("show", ID, "--archive", place / str(there)).code == 0
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_backup_leaves_the_index_to_the_first_search(
    server: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """With --no-index, or the variable of it; a dry run and a prune never fill it."""
    folder = tmp_path / "archive"
    url = plain_url(server.imap_port, "kim")
    if how == "variable":
        monkeypatch.setenv("MAILARCHIVE_BACKUP_NO_INDEX", "1")
    assert mailarchive("-q", "backup", url, "--to", folder, *(["--no-index"] if how == "option" else [])).code == 0
    assert mailarchive("-q", "backup", url, "--to", folder, "--dry-run").code == 0
    assert mailarchive("-q", "prune", url, "--archive", folder, "--before", "1990", "--yes").code == 0
    assert not index_of(folder).exists()
    assert ids(folder, "invoice") == [ID]
    assert index_of(folder).exists()
