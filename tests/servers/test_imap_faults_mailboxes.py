r"""Rows 47 to 53 and 69 to 72 of the table of faults: mailboxes that go, that are odd, or that are somebody else's.

Each test is a whole run, and looks at what is archived, what is on the server, what is said, and the exit code.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from typing import TYPE_CHECKING

import pytest

from tests import maildir
from tests.command import mailarchive
from tests.jobs import text
from tests.servers.misbehaving import (
    ALL,
    BODIES,
    DELETE,
    FACTS,
    NOW,
    OK,
    OLD,
    PASSWORD,
    USER,
    WORK,
    YOUNG,
    Fault,
    Misbehaving,
    archived,
    recovered,
    these,
    told,
    total,
    warnings,
)

if TYPE_CHECKING:
    from pathlib import Path

OLDER = ("--older-than", "1y")
LONG_AGO = NOW.replace(year=2015)


def meanwhile(server: Misbehaving, pattern: str, act: str, *, after: int = 0) -> None:
    """Let another program do something just after a command was carried out."""

    def says(answer: bytes) -> bytes:
        if act == "vanish":
            server.inbox.expunge([message for message in server.inbox.messages() if message.uid in (2, 3)])
        elif act == "delete":
            server.account.delete("Work")
        else:
            server.account.rename("Work", "Elsewhere")
        return answer

    server.faults.append(Fault(pattern, says, after=after, times=1))


# Rows 47 and 48: what goes in mid run


@pytest.mark.parametrize("command", ["^UID SEARCH", FACTS, BODIES, '^SELECT "INBOX"', r"HEADER\.FIELDS", "^UID STORE"])
def test_f047_messages_that_another_hand_removes_are_no_failure(tmp_path: Path, command: str) -> None:
    """Whenever it is: the rest is archived and deleted, 0, and the numbers add up."""
    with Misbehaving() as server:
        meanwhile(server, command, "vanish")
        result = server.run(tmp_path, *DELETE)
        assert (result.code, warnings(result)) == (0, [])
        assert (server.holds(), server.holds("Work"), server.marked()) == ([5], [], [])
        assert archived(tmp_path) == these(*((1, 4) if command in ("^UID SEARCH", FACTS) else OLD), *WORK)
        assert total(result)[3] == 0


@pytest.mark.parametrize("act", ["delete", "rename"])
@pytest.mark.parametrize("at", ['^EXAMINE "INBOX"', '^EXAMINE "Zeta"', '^SELECT "INBOX"'])
def test_f048_a_mailbox_that_goes_in_mid_run_is_told(tmp_path: Path, at: str, act: str) -> None:
    """Before it is listed, or fetched, or after: its mail is not there to be archived, the others are done, 3."""
    with Misbehaving() as server:
        server.account.create("Zeta").append(text(70), LONG_AGO, ["\\Seen"])
        meanwhile(server, at, act)
        result = server.run(tmp_path, *DELETE)
        assert (result.code, server.holds(), server.holds("Zeta")) == (3, [5], [])
        assert any(each["mailbox"] == "Work" for each in told(result, "warned"))
        assert archived(tmp_path) == these(*OLD, 70)
        server.faults.clear()
        after = server.run(tmp_path, *OLDER)
        assert after.code == 0
        assert set(archived(tmp_path)) == set(these(*OLD, 70, *(WORK if act == "rename" else ())))


# Rows 49 to 51: mailboxes that are not there, or empty, or no mailboxes


def test_f049_no_mailboxes_where_there_were_some(tmp_path: Path) -> None:
    """A loud warning, 3; nothing is done, and nothing in the archive changes."""
    with Misbehaving() as server:
        for number in range(40):
            server.account.create(f"Box {number}")
        assert server.run(tmp_path).code == 0
        before = archived(tmp_path)
        server.faults = [Fault("^LIST", OK)]
        server.commands.clear()
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result)) == (3, (0, 0, 0, 0))
        assert warnings(result, serious=True) == ["the server lists no mailboxes, and there were 42; nothing was done"]
        assert not any(re.match("UID|SELECT|EXAMINE", command) for command in server.commands)
        assert archived(tmp_path) == before
        recovered(server, tmp_path)


def test_f050_a_mailbox_that_is_suddenly_empty(tmp_path: Path) -> None:
    """A note, 0, and the archive keeps all it has."""
    with Misbehaving() as server:
        assert server.run(tmp_path).code == 0
        server.inbox.expunge(server.inbox.messages())
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result)) == (0, (0, 2, 0, 0))
        assert [each for each in warnings(result) if "is empty now and held 5 messages" in each]
        assert archived(tmp_path) == these(*ALL)


def test_f051_names_that_hold_no_mail_are_passed_over(tmp_path: Path) -> None:
    r"""`\Noselect`, `\NonExistent` and `[Gmail]`: not opened, and not a word."""
    lines = b'* LIST (\\NoSelect) "/" "[Gmail]"\r\n* LIST (\\NonExistent) "/" old\r\n* LIST (\\noselect) NIL x\r\n'
    with Misbehaving(Fault("^LIST", lambda answer: lines + answer)) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result), warnings(result)) == (0, (6, 6, 0, 0), [])
        opened = {command for command in server.commands if command.startswith(("EXAMINE", "SELECT"))}
        assert opened == {f'{word} "{name}"' for word in ("EXAMINE", "SELECT") for name in ("INBOX", "Work")}


# Rows 52 and 53: lines of the list


@pytest.mark.parametrize(
    "line",
    [
        b"* LIST junk",
        b'* LIST () "/"',
        b"* LIST () {2}\r\n/x 5 (",
        b'* LIST () "/" "a\0b"',
        b'* LIST () "/" {3}\r\na\nb',
        b'* LIST () "/" "' + b"x" * 1001 + b'"',
        b"* LIST " + b"(" * 100_000,
    ],
    ids=["junk", "no name", "unbalanced", "NUL", "line break", "1001 octets", "nested"],
)
def test_f052_f053_a_line_of_the_list_that_cannot_be_read_costs_itself(tmp_path: Path, line: bytes) -> None:
    """It is skipped and told, all others are archived and emptied: 3."""
    with Misbehaving(Fault("^LIST", lambda answer: line + b"\r\n" + answer)) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result)) == (3, (6, 6, 0, 0))
        assert len(warnings(result, serious=True)) == 1
        assert "skipped" in warnings(result)[0]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (b"".join(b'* LIST () "/" b%d\r\n' % number for number in range(100_000)), "more than 10000 mailboxes"),
        (b'* LIST () "/" "' + b"x" * 1_000_000 + b'"\r\n', "a name of 1000000 octets"),
        (b'* LIST () "/" {1000000}\r\n' + b"x" * 1_000_000 + b"\r\n", "a literal of 1000000 octets"),
    ],
)
def test_f053_too_many_mailboxes_and_a_name_of_a_megabyte(tmp_path: Path, lines: bytes, what: str) -> None:
    """16, with what was too much; nothing was opened."""
    with Misbehaving(Fault("^LIST", lambda answer: lines + answer)) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, archived(tmp_path)) == (16, [])
        assert what in result.end["error"]
        assert server.holds() == [1, 2, 3, 4, 5]
        recovered(server, tmp_path)


# Row 69: flags


def test_f069_every_flag_is_kept(tmp_path: Path) -> None:
    """200 keywords, some that no RFC lets be: all in manifest and catalogue, in the name of the file the letters."""
    words = [f"$word{number}" for number in range(196)] + ["]odd[", "été", "a'b;c:2,d", "x" * 200]
    with Misbehaving() as server:
        server.inbox.append(text(70), LONG_AGO, ["\\Answered", "\\Seen", *words])
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result), server.holds()) == (0, (7, 7, 0, 0), [5])
    (found,) = [each for each in maildir.files(tmp_path) if each.octets == text(70)]
    assert found.flags == "RS"
    assert len(found.keywords) <= 26
    assert found.keywords <= set(words)
    wanted = {"\\Answered", "\\Seen", *words}
    lines = [json.loads(line) for path in tmp_path.rglob("*.jsonl") for line in path.read_text().splitlines()]
    assert {frozenset(line["flags"]) for line in lines if line.get("uid") == 6 and "flags" in line} == {
        frozenset(wanted)
    }
    with contextlib.closing(sqlite3.connect(tmp_path / ".mailarchive" / "catalogue.sqlite")) as catalogue:
        ((flags,),) = catalogue.execute("SELECT flags FROM placement WHERE uid = 6")
    assert set(flags.split(" ")) == wanted


# Row 70: SEARCH


@pytest.mark.parametrize(
    "says",
    [
        b"TAG BAD no such command\r\n",
        b"TAG NO [BADCHARSET (US-ASCII)] x\r\n",
        b"* SEARCH\r\n" + OK,
        OK,
        b"* ESEARCH UID COUNT 4 ALL 1\r\n" + OK,
        b"* SEARCH 1 2 3 4 5 6 7 8 9\r\n" + OK,
        b"* ESEARCH UID COUNT 1 ALL 5\r\n" + OK,
        b"* SEARCH" + b" 4" * 5000 + b"\r\n" + OK,
    ],
)
def test_f070_a_search_that_fails_or_lies_is_not_needed(tmp_path: Path, says: bytes) -> None:
    """Everything is listed and judged here: what is old is archived, and nothing else, 0."""
    with Misbehaving(Fault("^UID SEARCH", says)) as server:
        result = server.run(tmp_path, *OLDER)
        assert (result.code, archived(tmp_path)) == (0, these(*OLD, *WORK))
        assert server.holds() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("hidden", [(), ("ESEARCH",)])
def test_f070_with_very_many_hits(tmp_path: Path, hidden: tuple[str, ...]) -> None:
    """25,000 messages, a third of them old and each hit apart from the next: listed by windows, archived, 0."""
    with Misbehaving(hidden=hidden) as server:
        messages = server.account.create("Large")
        for number in range(25_000):
            messages.append(b"Subject: x\r\n\r\n", LONG_AGO if number % 3 == 0 else NOW)
        result = server.run(tmp_path, *OLDER, "--mailbox", "Large", "--dry-run")
        assert result.code == 0
        (planned,) = told(result, "planned")
        assert planned["mailboxes"][0]["selected"] == 8334
        windows = [command for command in server.commands if re.match(r"UID SEARCH .*UID \d+:\d+", command)]
        assert len(windows) == 6


# Rows 71 and 72: other people's mailboxes, and other hosts


NAMESPACE = b'* NAMESPACE (("" "/")) (("Other/" "/")) (("Shared/" "/"))\r\n' + OK


def test_f071_only_ones_own_mailboxes_unless_others_are_named(tmp_path: Path) -> None:
    """Those of others and of all are left alone; their full name brings them in; without NAMESPACE all do."""
    with Misbehaving(Fault("^NAMESPACE", NAMESPACE)) as server:
        for number, name in enumerate(("Other/anna/INBOX", "Shared/team"), 70):
            server.account.create(name).append(text(number), LONG_AGO)
        plain = server.run(tmp_path / "plain")
        assert (plain.code, archived(tmp_path / "plain")) == (0, these(*ALL))
        for pattern, wanted in (("Shared/*", ()), ("Shared/team", (71,))):
            named = server.run(tmp_path / str(len(wanted)), "--mailbox", pattern)
            assert (named.code, archived(tmp_path / str(len(wanted)))) == (0, these(*wanted))
        server.faults = [Fault("^NAMESPACE", b"TAG BAD no\r\n")]
        every = server.run(tmp_path / "every")
        assert (every.code, archived(tmp_path / "every")) == (0, these(*ALL, 70, 71))


def test_f072_the_host_belongs_to_the_account(tmp_path: Path) -> None:
    """Two hosts of one account show different mail: each has an archive of its own, and is kept out of the other's."""
    with Misbehaving() as one, Misbehaving() as two:
        two.inbox.expunge(two.inbox.messages()[:2])
        assert one.run(tmp_path / "one").code == 0
        url = f"imap+insecure://{USER}@localhost:{two.imap_port}"
        apart = mailarchive("backup", url, "--to", tmp_path / "two", password=PASSWORD)
        mixed = mailarchive("backup", url, "--to", tmp_path / "one", password=PASSWORD)
    assert (apart.code, archived(tmp_path / "two")) == (0, these(3, 4, *WORK, *YOUNG))
    assert (mixed.code, archived(tmp_path / "one")) == (13, these(*ALL))
    assert "is the archive of" in mixed.err
