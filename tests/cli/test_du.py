"""`du`, as a user types it, on the built-in server: the real numbers, and that nothing is changed anywhere."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests.cli.terminal import mailarchive as at_a_terminal
from tests.cli.test_doctor import state
from tests.command import mailarchive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result

PRESENT = datetime.now(UTC).replace(microsecond=0)
OLD, MIDDLE, YOUNG = (PRESENT - timedelta(days=days) for days in (3000, 500, 10))
EVIL = "evil\x1b[31m\u202e&"
NAME = "<script>&amp;"
LIMIT = 1_000_000


def letter(size: int, sender: str, date: datetime, subject: str = "x") -> bytes:
    """Make a message of so many octets."""
    stamp = date.strftime("%a, %d %b %Y %H:%M:%S +0000")
    head = f"Received: from a by b; {stamp}\r\nFrom: {sender}\r\nDate: {stamp}\r\nSubject: {subject}\r\n\r\n".encode()
    return head + b"x" * (size - len(head) - 2) + b"\r\n"


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """Serve mail of three senders and three ages in four mailboxes."""
    store = Store()
    account = store.add_account("kim", "secret", limit=LIMIT)
    inbox, work = account.mailbox("INBOX"), account.create("Work")
    account.create(NAME)
    inbox.append(letter(20_000, "Anna <anna@example.org>", OLD, "the largest"), OLD)
    inbox.append(letter(5_000, "Anna <ANNA@example.org>", MIDDLE), MIDDLE)
    inbox.append(letter(3_000, "bob@example.net", OLD), OLD, frozenset({"\\Flagged"}))
    inbox.append(letter(1_000, "bob@example.net", YOUNG), YOUNG)
    work.append(letter(7_000, f"{EVIL} <x@{EVIL}.example>", YOUNG, f"<script>{EVIL}"), YOUNG)
    with DemoServer(store) as running:
        yield running


def url(server: DemoServer, scheme: str = "imap") -> str:
    """Give the address of the server."""
    return f"{scheme}+insecure://kim@127.0.0.1:{server.imap_port if scheme == 'imap' else server.pop_port}"


def told(result: Result) -> dict[str, Any]:
    """Give the last line of a run with --json, and check it on the way."""
    assert result.err == ""
    assert "\x1b" not in result.out
    end = result.end
    assert (end["event"], end["exit_code"]) == ("usage_finished", result.code)
    return end


def parts(rows: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Give the rows of a division by name."""
    return {row["name"]: (row["messages"], row["size"]) for row in rows}


def test_where_the_octets_are(server: DemoServer) -> None:
    """By mailbox, year, size and sender, the largest first, and what an age would free: flagged mail stays."""
    end = told(mailarchive("du", url(server), "--headers", "--json"))
    usage = end["usage"]
    assert (usage["messages"], usage["size"]) == (5, 36_000)
    assert parts(usage["mailboxes"]) == {"INBOX": (4, 29_000), "Work": (1, 7_000), NAME: (0, 0)}
    years = parts(usage["years"])
    assert years[str(OLD.astimezone().year)] == (2, 23_000)
    assert sum(size for _, size in years.values()) == 36_000
    assert parts(usage["sizes"]) == {"up to 10K": (4, 16_000), "10K to 100K": (1, 20_000)}
    assert parts(usage["senders"])["anna@example.org"] == (2, 25_000)
    assert parts(usage["domains"])["example.net"] == (2, 4_000)
    largest = usage["largest"][0]
    assert (largest["mailbox"], largest["size"], largest["subject"]) == ("INBOX", 20_000, "the largest")
    assert (largest["sender"], largest["date"]) == ("anna@example.org", OLD.isoformat())
    ages = {age["age"]: (age["messages"], age["size"], age["archived"]) for age in usage["ages"]}
    assert ages == {"6m": (2, 25_000, None), "1y": (2, 25_000, None), "2y": (1, 20_000, None), "5y": (1, 20_000, None)}
    assert end["quota"]["limit"] == LIMIT // 1024 * 1024


def test_only_the_senders_that_matter_are_asked_for(server: DemoServer) -> None:
    """Those of the fewest messages that hold nine tenths; with --no-senders none, and no header at all."""
    usage = told(mailarchive("du", url(server), "--json"))["usage"]
    assert (usage["asked"]["messages"], usage["asked"]["size"]) == (4, 35_000)
    usage = told(mailarchive("du", url(server), "--json", "--no-senders"))["usage"]
    assert (usage["senders"], usage["asked"]["messages"], usage["largest"][0]["subject"]) == ([], 0, "")
    result = mailarchive("du", url(server), "--no-senders", "--headers")
    assert (result.code, "contradict each other" in result.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "messages", "size"),
    [
        (("--older-than", "1y"), 3, 28_000),
        (("--mailbox", "INBOX"), 4, 29_000),
        (("--mailbox", "!INBOX"), 1, 7_000),
        (("--larger-than", "4K"), 3, 32_000),
        (("--from", "bob@"), 2, 4_000),
        (("--flagged",), 1, 3_000),
        (("--limit", "2"), 2, 23_000),
        (("--imap-search", "LARGER 10000"), 1, 20_000),
        (("--date", "sent", "--before", str(MIDDLE.year)), 2, 23_000),
    ],
)
def test_the_selection_is_that_of_a_backup(
    server: DemoServer, words: tuple[str, ...], messages: int, size: int
) -> None:
    """The same options choose the same mail."""
    usage = told(mailarchive("du", url(server), "--json", *words))["usage"]
    assert (usage["messages"], usage["size"]) == (messages, size)


def test_what_is_archived_is_told_apart(server: DemoServer, tmp_path: Path) -> None:
    """By the catalogue, of which a copy is read; nothing is changed here or there, not a date."""
    archive = tmp_path / "a"
    assert mailarchive("backup", "-q", url(server), "--to", archive, "--older-than", "5y").code == 0
    before = state(archive)
    flags = [message.flags for message in server.store.account("kim").mailbox("INBOX").messages()]
    ages = told(mailarchive("du", url(server), "--json", "--archive", archive))["usage"]["ages"]
    assert [(age["age"], age["archived"], age["archived_size"]) for age in ages][:2] == [
        ("6m", 1, 20_000),
        ("1y", 1, 20_000),
    ]
    assert state(archive) == before
    assert [message.flags for message in server.store.account("kim").mailbox("INBOX").messages()] == flags
    text = mailarchive("du", url(server), "--archive", archive).out
    assert "archiving what is older than 1y frees 25.0 kB (69 %), 2 messages; 20.0 kB of it is archived already" in text


def test_an_archive_that_is_away_hides_nothing_else(server: DemoServer, tmp_path: Path) -> None:
    """It is said, and ends with 0: the server was looked at."""
    archive = tmp_path / "a"
    assert mailarchive("backup", "-q", url(server), "--to", archive).code == 0
    archive.rename(tmp_path / "elsewhere")
    result = mailarchive("du", url(server), "--archive", archive)
    assert (result.code, "5 messages, 36.0 kB" in result.out) == (0, True)
    assert "what is archived is not known: archive" in result.err


def test_pop_tells_sizes_and_says_what_it_does_not_tell(server: DemoServer) -> None:
    """Years and senders only for --headers; then by the message's own date."""
    end = told(mailarchive("du", url(server, "pop"), "--json"))
    assert (end["usage"]["messages"], end["usage"]["size"], end["usage"]["senders"]) == (4, 29_000, [])
    assert [sentence.split(":")[0] for sentence in end["unsaid"]] == ["the dates of 4 messages", "the senders"]
    text = mailarchive("du", url(server, "pop")).out
    assert "older than" not in text
    assert "not known: the senders: POP3 does not list them; --headers asks for each" in text
    end = told(mailarchive("du", url(server, "pop"), "--json", "--headers"))
    assert parts(end["usage"]["senders"])["anna@example.org"] == (2, 25_000)
    assert (end["unsaid"], end["usage"]["ages"][1]["size"]) == ([], 28_000)
    assert told(mailarchive("du", url(server, "pop"), "--json", "--older-than", "5y"))["usage"]["messages"] == 2
    assert mailarchive("du", url(server, "pop"), "--flagged").code == 2


def test_pop_remembers_dates_that_a_backup_asked_for(server: DemoServer, tmp_path: Path) -> None:
    """They stand in the catalogue, so nothing is asked for again."""
    archive = tmp_path / "a"
    assert mailarchive("backup", "-q", url(server, "pop"), "--to", archive, "--older-than", "5y").code == 0
    end = told(mailarchive("du", url(server, "pop"), "--json", "--archive", archive))
    assert [sentence.split(":")[0] for sentence in end["unsaid"]] == ["the senders"]
    assert [(age["size"], age["archived"]) for age in end["usage"]["ages"][:2]] == [(28_000, 2), (28_000, 2)]


def test_what_strangers_write_is_harmless(server: DemoServer, tmp_path: Path) -> None:
    """In the table, in JSON and in the picture, which has no script and is well-formed."""
    picture = tmp_path / "u.svg"
    result = mailarchive("du", url(server), "--svg", picture)
    assert result.code == 0
    assert r"x@evil\x1b[31m\u202e" in result.out
    assert not {"\x1b", "\u202e"} & {*result.out}
    text = picture.read_text()
    tree = ET.fromstring(text)
    assert not {"\x1b", "\u202e"} & {*text}
    assert {element.tag.rpartition("}")[2] for element in tree.iter()} == {"svg", "rect", "text"}
    names = {name for element in tree.iter() for name in element.attrib}
    assert not [name for name in names if "href" in name or name.startswith("on")]
    texts = {element.text for element in tree.iter()}
    assert {r"x@evil\x1b[31m\u202e&.example", NAME} <= texts
    assert picture.stat().st_mode & 0o777 == 0o600


def test_the_picture_replaces_a_file_and_nothing_else(server: DemoServer, tmp_path: Path) -> None:
    """A link is not written through, and nobody is connected to for a place that cannot be."""
    picture, secret, link = tmp_path / "u.svg", tmp_path / "secret", tmp_path / "link.svg"
    picture.write_text("old " * 10_000)
    secret.write_text("precious")
    link.symlink_to(secret)
    assert mailarchive("du", "-q", url(server), "--svg", picture).code == 0
    assert picture.read_text().startswith("<?xml")
    assert "old old" not in picture.read_text()
    for wrong in (link, tmp_path, tmp_path / "no" / "u.svg", "~nobody-here/u.svg"):
        result = mailarchive("du", "imap+insecure://kim@127.0.0.1:9", "--svg", wrong)
        assert (result.code, result.out) == (2, "")
    assert secret.read_text() == "precious"


def test_a_mailbox_that_is_not_there_is_named(server: DemoServer) -> None:
    """As in a backup."""
    result = mailarchive("du", url(server), "--mailbox", "Wrok")
    assert (result.code, "did you mean 'Work'?" in result.err) == (2, True)


def test_an_account_shows_all_of_its_mail(server: DemoServer, home: Path) -> None:
    """Its age and its mailboxes choose nothing here, and say what would be freed."""
    file = home / ".config" / "mailarchive" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        f'[account.home]\nserver = "{url(server)}"\narchive = "{home}/mail"\nolder_than = "18m"\n'
        "mailboxes = ['Work']\nkeep_flagged = false\npassword_command = 'echo secret'\n"
    )
    usage = told(mailarchive("du", "--json"))["usage"]
    assert usage["messages"] == 5
    assert [(age["age"], age["size"]) for age in usage["ages"]] == [(age, 0) for age in ("6m", "1y", "18m", "2y", "5y")]
    file.write_text(file.read_text().replace("['Work']", "['*']"))
    assert {age["age"]: age["size"] for age in told(mailarchive("du", "--json"))["usage"]["ages"]}["5y"] == 23_000


def test_a_terminal_gets_bars_and_a_pipe_none(server: DemoServer) -> None:
    """The same rows either way; -q says nothing."""
    seen = at_a_terminal("du", url(server), COLUMNS="100", NO_COLOR="1")
    assert seen.code == 0
    row = next(line for line in seen.text.splitlines() if line.startswith("  INBOX  "))
    assert re.search(r" 4 +29\.0 kB +81 %  █+$", row)
    piped = mailarchive("du", url(server))
    assert "█" not in piped.out
    assert row.split("  █")[0] in piped.out
    quiet = mailarchive("-q", "du", url(server))
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_a_wrong_password_ends_with_its_code(server: DemoServer) -> None:
    """12, as everywhere; the line of the error is the last one of --json."""
    result = mailarchive("du", url(server), "--json", password="wrong")
    assert (result.code, json.loads(result.out.splitlines()[-1])["event"]) == (12, "error")
