"""Deleting over POP3 from a server that refuses, lies and hangs up: what is sent, goes and stays (rows 77 to 84).

The scripted server says what each session hears; the demo server shows what is really gone.
"""

from __future__ import annotations

import functools
import poplib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive import backup as backup_job
from mailarchive.address import Security, ServerAddress
from mailarchive.archives.maildir import MaildirArchive
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.errors import DiskError
from mailarchive.sources import pop_drop, pop_session, tls, wire
from tests.command import mailarchive
from tests.contract.sources import (
    CAPA,
    DELETE,
    NO_TOP,
    OLD,
    backup,
    deleted,
    held,
    letter,
    letters,
    pop_url,
    session,
    sessions,
    stamp,
    total,
    verbs,
    warned,
)
from tests.servers.scripted_pop import CUT, ScriptedPop, drop_after, multiline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mailarchive.model import Mailbox, StoredMessage
    from mailarchive.ports import Incoming
    from mailarchive.secret import Secret
    from mailarchive.sources.tls import Trust
    from tests.servers.scripted_pop import Script

MAIL = letters(1, 2, 3)
ALL = sorted(MAIL.values())
WITHOUT = frozenset({"PIPELINING"})
PLACEHOLDER = (
    b"Received: from a by b; Sat, 1 Mar 2014 10:00:00 +0000\r\nDate: Sat, 1 Mar 2014 10:00:00 +0000\r\n"
    b"From: Microsoft Exchange Server\r\nSubject: Retrieval using the POP3 protocol failed\r\n\r\nno\r\n"
)
LATER = (
    letter(6)
    .replace(b"Date: ", b"X-Date: ")
    .replace(
        b"\r\nMessage-ID", b"\r\nDate: " + stamp(datetime.now(UTC) - timedelta(days=9)).encode() + b"\r\nMessage-ID"
    )
)


def demo(count: int, young: int = 0, *, large: int = -1, **options: Any) -> DemoServer:
    """Serve so many old and so many young messages, one of them large, not started yet."""
    store = Store()
    box = store.add_account("me", "secret").mailbox("INBOX")
    for number in range(count + young):
        size = 2_000_000 if number == large else 60
        box.append(letter(number, days=800 if number < count else 9, size=size), datetime.now(UTC))
    return DemoServer(store, **options)


def left(server: DemoServer) -> list[bytes]:
    """Give what is on the demo server."""
    return sorted(message.raw for message in server.store.account("me").mailbox("INBOX").messages())


def run(server: DemoServer, archive: Path, *words: str) -> Any:
    """Run a backup from the demo server over POP3, with --json."""
    return mailarchive("--json", "backup", pop_url(server.pop_port), "--to", archive, *words)


def by_session(commands: Sequence[bytes]) -> list[int]:
    """Count the DELE of each session."""
    counts: list[int] = []
    for command in commands:
        if command == b"LIST":
            counts.append(0)
        elif command.startswith(b"DELE "):
            counts[-1] += 1
    return counts


# What is ordered


def test_only_what_is_ordered_is_deleted(tmp_path: Path) -> None:
    """Not the young, not what bears no date or a younger Date, not what looks wrong."""
    mail = {
        "old": letter(1),
        "young": letter(2, days=9),
        "undated": letter(3, days=None),
        "placeholder": PLACEHOLDER,
        "later": LATER,
        "old too": letter(4),
    }
    mail = {name.replace(" ", "-"): octets for name, octets in mail.items()}
    with ScriptedPop([session(mail), session({name: mail[name] for name in mail if "old" not in name})]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
        again = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (3, ["old", "old-too"])
    assert (again.code, deleted(again), total(again)["archived"]) == (0, [], 0)
    assert held(tmp_path / "a") == sorted(octets for name, octets in mail.items() if name != "young")
    assert [verbs(said, "DELE", "QUIT") for said in sessions(server)] == [["DELE 1", "DELE 6", "QUIT"], ["QUIT"]]
    assert verbs(sessions(server)[1], "RETR") == []
    assert {kept["reason"] for kept in result.events if kept["event"] == "kept"} == {
        "no valid date",
        "looked wrong when it was archived",
        "sent after the cut-off",
    }


def test_a_run_that_may_not_delete_sends_no_dele(tmp_path: Path) -> None:
    """Whatever is old."""
    with ScriptedPop([session(MAIL), session(MAIL)]) as server:
        assert backup(server, tmp_path / "a", *OLD).code == 0
        assert backup(server, tmp_path / "a", *OLD, "--delete", "--yes", "--dry-run").code == 0
    assert verbs(server.commands[0] + server.commands[1], "DELE", "RSET") == []


def test_a_prune_deletes_without_fetching(tmp_path: Path) -> None:
    """What the archive holds, in sessions of at most fifty."""
    commands: list[bytes] = []
    with demo(120, record=commands.append) as server:
        assert run(server, tmp_path / "a").code == 0
        commands.clear()
        words = ("--json", "prune", pop_url(server.pop_port), "--archive", tmp_path / "a", *OLD, "--yes")
        result = mailarchive(*words)
        assert (result.code, total(result)["deleted"], left(server)) == (0, 120, [])
    assert by_session(commands) == [50, 50, 20]
    assert not any(command.startswith(b"RETR") for command in commands)


# Lines that break


@pytest.mark.parametrize(
    "broken",
    [
        (r"^DELE 1$", CUT),
        (r"^DELE 2$", b"+OK marked\r\n" + CUT),
        (r"^DELE 3$", b"+OK mar" + CUT),
        (r"^DELE 3$", b"hello\r\n"),
        (r"^DELE 2$", b"-ERR [SYS/TEMP] not now\r\n"),
    ],
)
def test_f079_nothing_is_gone_before_quit(tmp_path: Path, broken: tuple[str, bytes]) -> None:
    """The line is dropped without QUIT, and the next run deletes without fetching again."""
    with ScriptedPop([session(MAIL, broken), session(MAIL)]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
        again = backup(server, tmp_path / "a", *DELETE)
    assert result.code in {15, 16, 75}
    assert deleted(result) == []
    assert verbs(sessions(server)[0], "QUIT") == []
    assert (again.code, deleted(again)) == (0, ["u1", "u2", "u3"])
    (settled,) = [event for event in again.events if event["event"] == "settled"]
    assert (settled["gone"], settled["back"], settled["open"], settled["abandoned"]) == (0, 3, 0, 0)
    assert verbs(sessions(server)[1], "RETR", "DELE", "QUIT") == ["DELE 1", "DELE 2", "DELE 3", "QUIT"]
    assert held(tmp_path / "a") == ALL


UNCONFIRMED = {
    "refused": b"-ERR some deleted messages not removed\r\n",
    "refused for now": b"-ERR [SYS/TEMP] later\r\n",
    "cut": CUT,
    "cut in the middle": b"+O" + CUT,
    "silent": b"",
}


@pytest.mark.parametrize("answer", UNCONFIRMED)
@pytest.mark.parametrize("there", [(), (2,), (1, 2, 3)], ids=["all gone", "one there", "all there"])
def test_f080_the_next_list_decides_what_an_unconfirmed_quit_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, there: Sequence[int]
) -> None:
    """Absent is gone; present stays, is told, and goes in the next run without RETR."""
    monkeypatch.setattr(tls, "Wire", functools.partial(wire.Wire, timeout=0.3))
    rest = letters(*there)
    first = session(MAIL, (r"^QUIT$", UNCONFIRMED[answer]))
    with ScriptedPop([first, session(rest), session(rest)]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
        again = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (3 if there else 0, [name for name in MAIL if name not in rest])
    assert (total(result)["deleted"], total(result)["kept"]) == (3 - len(there), len(there))
    assert (again.code, deleted(again)) == (0, sorted(rest))
    said = sessions(server)
    assert verbs(said[1], "RETR", "DELE", "TOP") == []
    assert verbs(said[2], "RETR", "DELE") == [f"DELE {number}" for number in range(1, len(there) + 1)]
    assert held(tmp_path / "a") == ALL


@pytest.mark.parametrize("there", [(), (1, 3)], ids=["all gone", "two there"])
def test_f080_what_cannot_be_looked_at_now_is_settled_by_the_next_run(tmp_path: Path, there: Sequence[int]) -> None:
    """The maildrop is still locked by the session that was lost: 75, and nothing is said to be gone."""
    rest = letters(*there)
    sessions_ = [session(MAIL, (r"^QUIT$", CUT)), [], session(rest)]
    greetings = [b"+OK\r\n", b"-ERR [IN-USE] locked\r\n" + CUT, b"+OK\r\n"]
    with ScriptedPop(sessions_, greetings=greetings) as server:
        result = backup(server, tmp_path / "a", *DELETE)
        again = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (75, [])
    assert (again.code, deleted(again)) == (0, sorted(rest))
    (settled,) = [event for event in again.events if event["event"] == "settled"]
    assert (settled["gone"], settled["back"]) == (3 - len(there), len(there))
    assert verbs(sessions(server)[2], "RETR") == []


def test_f080_an_answer_to_quit_that_makes_no_sense_leaves_it_open(tmp_path: Path) -> None:
    """16, and the next run looks."""
    with ScriptedPop([session(MAIL, (r"^QUIT$", b"goodbye\r\n")), session({})]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
        again = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (16, [])
    (settled,) = [event for event in again.events if event["event"] == "settled"]
    assert (again.code, settled["gone"]) == (0, 3)


def test_what_has_no_lasting_name_is_never_said_to_be_gone_unseen(tmp_path: Path) -> None:
    """After a QUIT without an answer, no list can tell; the next run fetches, finds it by content and deletes."""
    refused = (r"^UIDL$", b"-ERR\r\n")
    script = [session(MAIL, refused, (r"^QUIT$", CUT)), session(MAIL, refused), session(MAIL, refused)]
    with ScriptedPop(script) as server:
        result = backup(server, tmp_path / "a", *DELETE)
        again = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (3, [])
    assert (again.code, total(again)["deleted"]) == (0, 3)
    assert held(tmp_path / "a") == ALL


# One message that is refused


def test_one_dele_that_is_refused_costs_that_one(tmp_path: Path) -> None:
    """The others go."""
    with ScriptedPop([session(MAIL, (r"^DELE 2$", b"-ERR not this one\r\n"))]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (3, ["u1", "u3"])
    assert "not this one" in warned(result)
    assert held(tmp_path / "a") == ALL


def test_f078_one_retr_that_is_refused_costs_that_one(tmp_path: Path) -> None:
    """It stays on the server, the others are archived and go; the next run tries it again."""
    refused = (r"^RETR 2$", b"-ERR corrupt\r\n")
    with ScriptedPop([session(MAIL, refused), session({"u2": MAIL["u2"]})]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
        assert held(tmp_path / "a") == sorted([MAIL["u1"], MAIL["u3"]])
        again = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result), total(result)["failed"]) == (3, ["u1", "u3"], 1)
    assert (again.code, deleted(again)) == (0, ["u2"])
    assert verbs(server.commands[0], "DELE") == ["DELE 1", "DELE 3"]


def test_a_message_without_text_is_kept(tmp_path: Path) -> None:
    """An OK with nothing behind it is no message, and the session is not trusted further; the others go."""
    script = session(MAIL, (r"^RETR 2$", b"+OK\r\n.\r\n"))
    with ScriptedPop([script, session(MAIL)]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result), total(result)["failed"]) == (3, ["u1", "u3"], 1)
    assert [verbs(said, "DELE", "QUIT") for said in sessions(server)] == [[], ["DELE 1", "DELE 3", "QUIT"]]


@pytest.mark.parametrize("command", ["RETR 1", "TOP 1 0"])
def test_text_behind_an_answer_that_ended_too_early_is_no_answer(tmp_path: Path, command: str) -> None:
    """A sender whose first line is a dot, not doubled by the server, cannot put octets in the place of another's."""
    forged = letter(7)
    assert len(forged) == len(MAIL["u2"])
    evil = b"+OK\r\n.\r\n+OK\r\n" + forged + b".\r\n"
    for capa in ((), ((r"^CAPA$", b"-ERR\r\n"),) * 2):
        archive = tmp_path / str(len(capa))
        script = [session(MAIL, *capa, (f"^{command}$", evil)) for _ in range(4)]
        with ScriptedPop(script) as server:
            backup(server, archive, *DELETE)
        assert set(held(archive)) <= set(ALL)
        assert {MAIL["u2"], MAIL["u3"]} <= set(held(archive))


def test_a_server_that_gives_no_text_is_not_asked_for_ever(tmp_path: Path) -> None:
    """It would be a sign-in for each message."""
    mail = letters(*range(1, 31))
    empty = [(r"^RETR \d+$", b"+OK\r\n.\r\n")] * 9
    with ScriptedPop([session(mail, *empty) for _ in range(30)]) as server:
        result = backup(server, tmp_path / "a")
    assert (result.code, held(tmp_path / "a")) == (16, [])
    assert len(server.commands) == 11


@pytest.mark.parametrize("octets", [0, 3, 6, 40, 200])
def test_f074_a_message_that_is_cut_off_is_not_kept(tmp_path: Path, octets: int) -> None:
    """What came whole before is archived; nothing is deleted; the next run goes on."""
    cut = (r"^RETR 2$", drop_after(multiline(MAIL["u2"]), octets))
    with ScriptedPop([session(MAIL, cut), session(MAIL), session(letters(2, 3))]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
        assert held(tmp_path / "a") == [MAIL["u1"]]
        again = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (15, [])
    assert verbs(server.commands[0], "DELE", "QUIT") == []
    assert (again.code, len(deleted(again)), held(tmp_path / "a")) == (0, 3, ALL)
    assert "RETR 1" not in server.commands[1]


def test_f074_a_message_that_never_ends_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare LF, dots inside and a lone `.` LF end nothing."""
    monkeypatch.setattr(tls, "Wire", functools.partial(wire.Wire, timeout=0.3))
    endless = b"+OK\r\n" + MAIL["u1"] + b"\n.\n.\r.\r\r\n.\n\n.\r\r\n"
    rest = [(r"^RETR [23]$", b"")] * 2
    with ScriptedPop([session(MAIL, (r"^RETR 1$", endless), *rest)]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result), held(tmp_path / "a")) == (15, [], [])
    assert verbs(server.commands[0], "DELE", "QUIT") == []


# Servers that lack something


def test_f077_without_top_a_message_is_fetched_and_then_judged(tmp_path: Path) -> None:
    """All is archived; what is old goes in the next session, after another RETR in the place of TOP."""
    mail = letters(1, 2) | letters(3, days=9)
    rest = {"u3": mail["u3"]}
    with ScriptedPop([session(mail, NO_TOP, NO_TOP), session(mail, NO_TOP, NO_TOP), session(rest, NO_TOP)]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
        assert (result.code, deleted(result)) == (0, [])
        again = backup(server, tmp_path / "a", *DELETE)
        third = backup(server, tmp_path / "a", *DELETE)
    assert (again.code, deleted(again)) == (0, ["u1", "u2"])
    assert (third.code, deleted(third)) == (0, [])
    assert held(tmp_path / "a") == sorted(mail.values())
    said = sessions(server)
    assert [verbs(each, "RETR", "TOP", "DELE") for each in said] == [
        ["RETR 1", "RETR 2", "RETR 3"],
        ["RETR 1", "RETR 2", "DELE 1", "DELE 2"],
        [],
    ]


def test_f077_a_server_that_refuses_top_is_asked_once(tmp_path: Path) -> None:
    """It told nothing of what it can do."""
    silent = [(r"^CAPA$", b"-ERR\r\n")] * 2
    refused = [(r"^TOP 1 0$", b"-ERR unknown command\r\n")]
    with ScriptedPop([session(MAIL, *silent, *refused)]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, held(tmp_path / "a")) == (0, ALL)
    assert verbs(server.commands[0], "TOP") == ["TOP 1 0"]


# The archive gives way


@pytest.mark.parametrize("step", ["write", "sync"])
def test_f086_a_full_disk_never_ends_in_quit_with_something_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """In the second chunk, in the middle of a message or behind all of them: 14, and what is not durable stays."""
    commands: list[bytes] = []
    real_add, real_seal = MaildirArchive.add, MaildirArchive.seal
    count = 0

    def add(
        self: MaildirArchive, mailbox: Mailbox, incoming: Incoming, uidvalidity: int | None = None
    ) -> StoredMessage:
        nonlocal count
        count += 1
        if count > 60 and step == "write":
            next(incoming.chunks())
            raise DiskError("no space left")
        return real_add(self, mailbox, incoming, uidvalidity)

    def seal(self: MaildirArchive) -> Callable[[], None]:
        commit = real_seal(self)

        def sync() -> None:
            if count > 60 and step == "sync":
                raise DiskError("the disk failed")
            commit()

        return sync

    with monkeypatch.context() as patch, demo(80, young=3, large=60, record=commands.append, hidden=WITHOUT) as server:
        patch.setattr(MaildirArchive, "add", add)
        patch.setattr(MaildirArchive, "seal", seal)
        before = left(server)
        result = run(server, tmp_path / "a", *DELETE)
        assert (result.code, total(result)["deleted"], len(left(server))) == (14, 50, 33)
        assert sorted({*left(server), *held(tmp_path / "a")}) == before
        assert by_session(commands) == [50, 0]
        # Behind whole messages there is none either: some servers remove at QUIT what was only retrieved.
        assert commands.count(b"QUIT") == 1
        patch.undo()
        again = run(server, tmp_path / "a", *DELETE)
        assert (again.code, total(again)["deleted"], len(left(server))) == (0, 30, 3)


def test_f075_many_messages_without_names_are_deleted_in_one_session(tmp_path: Path) -> None:
    """However many there are: their names end with it."""
    commands: list[bytes] = []
    with demo(520, record=commands.append, hidden=frozenset({"UIDL"})) as server:
        result = run(server, tmp_path / "a", *DELETE)
        assert (result.code, total(result)["deleted"], left(server)) == (0, 520, [])
        assert by_session(commands)[0] == 520


# Short sessions


def test_f083_chunks_hold_fifty_messages(tmp_path: Path) -> None:
    """Each is deleted before the next one is fetched, in a session of its own."""
    commands: list[bytes] = []
    with demo(120, young=4, record=commands.append) as server:
        result = run(server, tmp_path / "a", *DELETE)
        assert (result.code, total(result)["deleted"], len(left(server))) == (0, 120, 4)
        assert by_session(commands) == [50, 50, 20]
        words = [command.split(b" ")[0] for command in commands]
        assert words.count(b"RETR") == 120
        assert words.count(b"QUIT") == words.count(b"LIST")
        commands.clear()
        again = run(server, tmp_path / "a", *DELETE)
        assert (again.code, total(again)["deleted"], total(again)["archived"]) == (0, 0, 0)
        # Nothing that is known is asked again.
        assert [command for command in commands if command.startswith((b"RETR", b"TOP", b"DELE"))] == []
    assert len(held(tmp_path / "a")) == 120


def test_f083_chunks_end_after_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here at once: after ten messages the session deletes what it has and ends."""
    monkeypatch.setattr(backup_job, "SESSION", -1.0)
    commands: list[bytes] = []
    with demo(25, young=2, record=commands.append) as server:
        result = run(server, tmp_path / "a", *DELETE)
        assert (result.code, total(result)["deleted"], len(left(server))) == (0, 25, 2)
    assert by_session(commands) == [10, 10, 5]


def test_f082_another_program_takes_the_maildrop_between_two_chunks(tmp_path: Path) -> None:
    """75 with a plain sentence; the first chunk is gone for good, and the next run goes on."""
    mail = letters(*range(60))
    rest = dict(list(mail.items())[50:])
    sessions_: list[Script] = [session(mail), [], session(rest)]
    greetings = [b"+OK\r\n", b"-ERR maildrop already locked\r\n" + CUT, b"+OK\r\n"]
    with ScriptedPop(sessions_, greetings=greetings) as server:
        result = backup(server, tmp_path / "a", *DELETE)
        again = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, total(result)["deleted"]) == (75, 50)
    assert "another program holds the mailbox" in result.end["error"]
    assert (again.code, total(again)["deleted"]) == (0, 10)
    assert held(tmp_path / "a") == sorted(mail.values())


def test_f082_a_lock_of_another_session(tmp_path: Path) -> None:
    """On the demo server, for real; no archive is made."""
    with demo(2) as server:
        other = poplib.POP3(server.host, server.pop_port, timeout=5)
        other.user("me")
        other.pass_("secret")
        result = run(server, tmp_path / "a", *DELETE)
        assert (result.code, len(left(server))) == (75, 2)
        assert "another program holds the mailbox" in result.out
        assert not (tmp_path / "a").exists()
        other.quit()
        assert run(server, tmp_path / "a", *DELETE).code == 0


# Gmail


@pytest.mark.parametrize(("words", "end"), [((), []), (OLD, []), (DELETE, ["QUIT"]), ((*OLD, "--dry-run"), ["QUIT"])])
def test_gmail_hears_quit_only_where_something_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], end: list[str]
) -> None:
    """A QUIT after RETR would mark the messages as popped; a session that fetched nothing may say it."""
    real = pop_session.sign_in
    with ScriptedPop([session(MAIL, CAPA)]) as server:

        def here(address: ServerAddress, secret: Secret, trust: Trust) -> Any:
            assert address.host == "pop.gmail.com"
            return real(ServerAddress("pop", Security.NONE, "127.0.0.1", server.port, address.user), secret, trust)

        monkeypatch.setattr(pop_session, "sign_in", here)
        result = mailarchive("--json", "backup", "pops://me@pop.gmail.com", "--to", tmp_path / "a", *words)
    assert result.code == 0
    assert "Gmail" in warned(result)
    assert verbs(server.commands[0], "QUIT") == end
    assert bool(verbs(server.commands[0], "DELE")) is ("--delete" in words)


# Names that mean another message


def test_nothing_is_deleted_in_a_session_that_has_not_looked_at_it(tmp_path: Path) -> None:
    """An answer without text ends the session in the middle of a look; in the next, `u1` is a letter never fetched."""
    top = r"^TOP 3 0$"
    head = MAIL["u3"].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    other = {"u1": letter(7)}
    assert len(other["u1"]) == len(MAIL["u1"])
    for looks in range(3):
        archive = tmp_path / str(looks)
        second = session(MAIL, *[(top, multiline(head))] * looks, (top, b"+OK\r\n.\r\n"))
        with ScriptedPop([session(MAIL), second, session(other), session(other)]) as server:
            assert backup(server, archive, *OLD).code == 0
            result = backup(server, archive, *DELETE)
            assert all(verbs(later, "DELE") == [] for later in sessions(server)[2:])
            reached = "DELE 1" in sessions(server)[1]
        assert (deleted(result) == sorted(MAIL)) is reached


def test_a_uidl_that_is_given_again_is_another_message(tmp_path: Path) -> None:
    """It is fetched and archived, though the size is the same and the first one went under that name."""
    mail = [{"1": letter(number)} for number in (1, 2, 3)]
    with ScriptedPop([session(each) for each in mail]) as server:
        for _ in mail:
            result = backup(server, tmp_path / "a", *DELETE)
            assert (result.code, deleted(result)) == (0, ["1"])
    assert held(tmp_path / "a") == ALL


def test_a_uidl_that_another_program_freed_is_looked_at_and_fetched_again(tmp_path: Path) -> None:
    """The run that finds it deletes nothing; the next backup archives what is under the name now."""
    with ScriptedPop([session({"1": letter(1)}), *[session({"1": letter(2)}) for _ in range(3)]]) as server:
        backup(server, tmp_path / "a", *OLD)
        found = backup(server, tmp_path / "a", *DELETE)
        assert (found.code, deleted(found)) == (3, [])
        assert backup(server, tmp_path / "a", *OLD).code == 0
    assert held(tmp_path / "a") == sorted([letter(1), letter(2)])


def test_a_server_that_names_its_messages_anew_is_told(tmp_path: Path) -> None:
    """What the second session does not know by its name is not said to be gone."""
    mail = letters(*range(1, 56))
    anew = {f"new{name}": octets for name, octets in list(mail.items())[50:]}
    with ScriptedPop([session(mail), session(anew)]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, len(deleted(result)), total(result)["failed"]) == (3, 50, 5)


def test_a_message_that_is_listed_and_not_shown_is_not_gone(tmp_path: Path) -> None:
    """After a QUIT without an answer, silence of TOP and RETR leaves open what became of it."""
    refused = [(rf"^(TOP|RETR) {number}\b.*$", b"-ERR busy\r\n") for number in (1, 2, 3)] * 4
    greetings = [b"+OK\r\n", b"-ERR [IN-USE] locked\r\n" + CUT, b"+OK\r\n"]
    for number, unable in enumerate((refused, [(r"^UIDL$", b"-ERR\r\n")])):
        archive = tmp_path / str(number)
        with ScriptedPop([session(MAIL, (r"^QUIT$", CUT)), [], session(MAIL, *unable)], greetings=greetings) as server:
            assert backup(server, archive, *DELETE).code == 75
            again = backup(server, archive, *OLD)
        assert sum(event["gone"] for event in again.events if event["event"] == "settled") == 0
        assert deleted(again) == []


def test_a_list_without_names_does_not_settle_a_quit(tmp_path: Path) -> None:
    """In the same run too: a message that was there under a name may be there without one."""
    with ScriptedPop([session(MAIL, (r"^QUIT$", CUT)), session(MAIL, (r"^UIDL$", b"-ERR\r\n"))]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result), total(result)["deleted"]) == (3, [], 0)


def test_an_answer_too_many_stops_before_dele(tmp_path: Path) -> None:
    """Nobody knows whose it is."""
    with ScriptedPop([session(MAIL, (r"^RETR 3$", multiline(MAIL["u3"]) + b"+OK\r\n"))]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (16, [])
    assert verbs(sessions(server)[0], "DELE", "QUIT") == []


@pytest.mark.parametrize("command", [r"^TOP 2 0$", r"^RETR 2$"])
def test_an_answer_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """It would run until the disk is full; much more than LIST says is no message."""
    monkeypatch.setattr(pop_drop, "SLACK", 10_000)
    endless = b"+OK\r\n" + b"X-Filler: on and on\r\n" * 20_000
    with ScriptedPop([session(MAIL, (command, endless))]) as server:
        result = backup(server, tmp_path / "a", *OLD)
    assert result.code == 16
    assert "without end" in result.out
