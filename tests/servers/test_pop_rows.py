"""Rows of the table of faults about POP3 that need a whole run, beside those in the files of their subject."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.contract.sources import (
    CAPA,
    DELETE,
    SIGN_IN,
    backup,
    deleted,
    held,
    letter,
    letters,
    pop_url,
    session,
    sessions,
    total,
    verbs,
)
from tests.servers.scripted_pop import ScriptedPop, multiline
from tests.servers.test_memory import peak_of

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024


@pytest.mark.parametrize("length", [2049, 10_000_000])
@pytest.mark.parametrize("fill", [b"x", b".", b"\r"], ids=["text", "dots", "CR"])
def test_f073_a_run_over_lines_that_are_too_long(tmp_path: Path, length: int, fill: bytes) -> None:
    """Archived octet by octet, proved, and deleted."""
    mail = {"long": letter(1) + fill * length + b"\r\n", "short": letter(2)}
    with ScriptedPop([session(mail)]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (0, ["long", "short"])
    assert held(tmp_path / "a") == sorted(mail.values())


@pytest.mark.parametrize(
    "text",
    [b".\n", b"a\n.\nb\n", b"..\r\n.\r\n...\r\n", b"a\rb\r\r\n", b"\r\n.\n\r\n", b"bare\nlines\nonly\n\r\n", b"\0\r\n"],
    ids=repr,
)
def test_f074_a_run_over_messages_that_confuse(tmp_path: Path, text: bytes) -> None:
    """Whatever stands before the end: these octets, and what is behind them is the next message."""
    text += b"" if text.endswith(b"\r\n") else b"\r\n"
    mail = {"odd": letter(1) + text, "next": letter(2)}
    with ScriptedPop([session(mail)]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, sorted(deleted(result))) == (0, ["next", "odd"])
    assert held(tmp_path / "a") == sorted(mail.values())


def test_f077_a_top_that_is_cut(tmp_path: Path) -> None:
    """In the middle of the header, as some servers do: judged by what came, archived whole, and deleted."""
    head, _, body = letter(1).partition(b"\r\n\r\n")
    large = head + b"".join(b"\r\nX-Filler-%d: %s" % (n, b"y" * 70) for n in range(600)) + b"\r\n\r\n" + body
    mail = {"large": large, "young": letter(2, days=9)}
    cut = [(r"^TOP 1 0$", multiline(large[:20_000]))] * 4
    with ScriptedPop([session(mail, *cut)]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (0, ["large"]), result.out
    assert held(tmp_path / "a") == [large]
    assert verbs(server.commands[0], "RETR", "DELE") == ["RETR 1", "DELE 1"]


def test_f078_a_run_goes_on_after_a_refused_message(tmp_path: Path) -> None:
    """Exit 3; the refused one stays, is named, and is taken by the next run."""
    mail = letters(1, 2, 3)
    refused = [(r"^RETR 2$", b"-ERR no such message\r\n")] * 2
    rest = {"u2": mail["u2"]}
    with ScriptedPop([session(mail, *refused), session(rest)]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
        assert (result.code, deleted(result), total(result)["failed"]) == (3, ["u1", "u3"], 1)
        assert [event["uid"] for event in result.events if event["event"] == "failed"] == ["u2"]
        again = backup(server, tmp_path / "a", *DELETE)
    assert (again.code, deleted(again)) == (0, ["u2"])
    assert held(tmp_path / "a") == sorted(mail.values())


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("[IN-USE] do you have another POP session running?", "another program holds the mailbox"),
        ("maildrop already locked", "another program holds the mailbox"),
        ("[LOGIN-DELAY] minimum time between mail checks violation", "pause between two sign-ins"),
    ],
)
def test_f082_a_run_that_is_not_let_in_now(tmp_path: Path, says: str, words: str) -> None:
    """Exit 75, one try, what the server says and what it means; nothing is made or touched."""
    script = [CAPA, SIGN_IN[0], (r"^PASS .", f"-ERR {says}\r\n".encode())]
    with ScriptedPop([script, script]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
        assert len(server.commands) == 1
    assert result.code == 75
    assert words in result.out
    assert not (tmp_path / "a").exists()


def test_f076_f084_what_moved_between_two_answers_waits(tmp_path: Path) -> None:
    """A message that came between LIST and UIDL is for the next run, whatever numbers the others have then."""
    mail = letters(1, 2, 3)
    late = {"u1": mail["u1"], "u9": letter(9), "u2": mail["u2"], "u3": mail["u3"]}
    more = (r"^UIDL$", b"+OK\r\n1 u1\r\n2 u2\r\n3 u3\r\n4 u9\r\n.\r\n")
    with ScriptedPop([session(mail, more), session(late), session({"u9": late["u9"]})]) as server:
        first = backup(server, tmp_path / "a")
        again = backup(server, tmp_path / "a", *DELETE)
    assert (first.code, total(first)["archived"]) == (0, 3)
    assert (again.code, total(again)["archived"], deleted(again)) == (0, 1, ["u1", "u2", "u3", "u9"])
    assert held(tmp_path / "a") == sorted(late.values())
    assert [verbs(each, "RETR", "DELE") for each in sessions(server)[1:]] == [
        ["DELE 1", "DELE 3", "DELE 4"],
        ["RETR 1", "DELE 1"],
    ]


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_f085_fifty_thousand_messages(tmp_path: Path) -> None:
    """The whole process in less than 160 MiB, and a second run that fetches nothing too."""
    store = Store()
    box = store.add_account("kim", "secret").mailbox("INBOX")
    for number in range(50_000):
        box.append(letter(number), datetime.now(UTC))
    with DemoServer(store) as server:
        peaks = [
            peak_of("backup", pop_url(server.pop_port, "kim"), "--to", tmp_path / "archive", timeout=400)
            for _ in range(2)
        ]
    print("peaks", *(f"{peak / MIB:.1f} MiB" for peak in peaks))  # noqa: T201 - for the record
    assert max(peaks) < 160 * MIB
    assert sum(1 for _ in (tmp_path / "archive").glob("INBOX/cur/*")) == 50_000
    assert maildir.left_overs(tmp_path / "archive") == []
