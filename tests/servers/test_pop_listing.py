"""What a maildrop is said to hold, and by which names: servers that refuse, lie and disagree (rows 75, 76, 81, 84)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from mailarchive.sources import pop_lines
from tests.contract.sources import (
    DELETE,
    OLD,
    backup,
    deleted,
    held,
    letter,
    letters,
    lines,
    session,
    sessions,
    total,
    verbs,
    warned,
)
from tests.servers.scripted_pop import CUT, ScriptedPop, multiline

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.servers.scripted_pop import Script

MAIL = letters(1, 2, 3)
ALL = sorted(MAIL.values())


def naming(*rows: str | bytes) -> tuple[str, bytes]:
    """Answer UIDL with these lines."""
    return (r"^UIDL$", lines(*rows))


UIDLS = {
    "refused": ((r"^UIDL$", b"-ERR no such command\r\n"), {1, 2, 3}),
    "empty": (naming(), {1, 2, 3}),
    "blank": (naming("1 ", "2", "3  "), {1, 2, 3}),
    "repeated": (naming("1 same", "2 same", "3 c"), {1, 2}),
    "70 characters": (naming("1 " + "x" * 70, "2 b", "3 c"), set[int]()),
    "71 characters": (naming("1 " + "x" * 71, "2 b", "3 c"), {1}),
    "300 characters": (naming("1 a", "2 " + "y" * 300, "3 c"), {2}),
    "a path": (naming("1 ../../../x", "2 /etc/passwd", "3 .."), set[int]()),
    "blanks inside": (naming("1 a b", "2 b", "3 c d e"), {1, 3}),
    "8-bit": (naming(b"1 \xe9\xe8", "2 b", b"3 c\x7f"), {1, 3}),
    "control characters": (naming(b"1 a\x1b[2J", b"2 b\x00", "3 c"), {1, 2}),
    "leading zeros": (naming("001 a", "02 b", "3 c"), set[int]()),
    "a number twice": (naming("1 a", "2 b", "3 c", "01 d"), {1}),
    "that of one which is not listed": (naming("1 a", "2 b", "3 c", "4 a"), {1}),
    "wrong way round": (naming("3 c", "1 a", "2 b"), set[int]()),
    "more blanks": (naming("1   a", "2 b", "3 c"), set[int]()),
    "quoted": (naming('1 "', "2 '", "3 %s"), set[int]()),
}


@pytest.mark.parametrize("case", UIDLS)
def test_f075_only_good_names_last(tmp_path: Path, case: str) -> None:
    """The others are fetched each time, found by their content, and the run says so; no name is ever a path."""
    answer, passing = UIDLS[case]
    with ScriptedPop([session(MAIL, answer), session(MAIL, answer)]) as server:
        first = backup(server, tmp_path / "a")
        again = backup(server, tmp_path / "a")
    assert (first.code, again.code) == (0, 0)
    assert (first.err, again.err) == ("", "")
    assert held(tmp_path / "a") == ALL
    assert {path.name for path in tmp_path.iterdir()} == {"a"}
    assert ("have no lasting name" in warned(first)) is bool(passing)
    fetched, fetched_again = (verbs(said, "RETR") for said in sessions(server))
    assert fetched == ["RETR 1", "RETR 2", "RETR 3"]
    assert fetched_again == [f"RETR {number}" for number in sorted(passing)]
    assert server.unexpected == []
    assert [said[-1] for said in sessions(server)] == ["QUIT", "QUIT"]


@pytest.mark.parametrize("case", UIDLS)
def test_f075_what_has_no_lasting_name_is_deleted_in_the_session_that_fetched_it(tmp_path: Path, case: str) -> None:
    """Whatever the names are: each DELE stands behind a RETR of the same session, and all goes in the end."""
    answer, passing = UIDLS[case]
    left = {uidl: octets for number, (uidl, octets) in enumerate(MAIL.items(), 1) if number not in passing}
    names = dict(enumerate(re.findall(rb"\r\n0*\d+ +([^\r]*)", answer[1]), 1)) if left else {}
    rest = {names[number].decode(): octets for number, octets in _numbered(MAIL) if number not in passing}
    script = [session(MAIL, answer)]
    if passing and left:
        script.append(session(rest))
    with ScriptedPop(script) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, total(result)["deleted"], total(result)["kept"]) == (0, 3, 0), result.out
    assert held(tmp_path / "a") == ALL
    for said in sessions(server):
        gone = [command.removeprefix("DELE ") for command in verbs(said, "DELE")]
        for number in gone:
            assert said.index(f"RETR {number}") < said.index(f"DELE {number}")
        assert said[-1] == "QUIT"
    assert sorted(verbs(sessions(server)[0], "DELE")) == [f"DELE {n}" for n in sorted(passing or {1, 2, 3})]


def _numbered(mail: Mapping[str, bytes]) -> list[tuple[int, bytes]]:
    return list(enumerate(mail.values(), 1))


def test_f075_names_of_one_session_are_not_used_in_the_next(tmp_path: Path) -> None:
    """What has no lasting name goes first, in the session that listed it; then the numbers have moved."""
    mail = {"a": letter(1), "same": letter(2), "b": letter(3), "other": letter(4, days=5), "c": letter(5)}
    twins = naming("1 a", "2 same", "3 b", "4 same", "5 c")
    script: list[Script] = [session({name: mail[name] for name in ("a", "b", "c")}), session(mail, twins)]
    left = {name: mail[name] for name in ("a", "b", "other", "c")}
    script.append(session(left, naming("1 a", "2 b", "3 same", "4 c")))
    with ScriptedPop(script) as server:
        assert backup(server, tmp_path / "a").code == 0
        result = backup(server, tmp_path / "a", *DELETE)
    passing, *lasting = deleted(result)
    assert (passing[0], lasting) == (" ", ["a", "b", "c"])
    said = sessions(server)
    assert verbs(said[1], "DELE", "RETR") == ["RETR 2", "DELE 2"]
    # A young one is not even fetched, and is not taken for its old namesake.
    assert verbs(said[2], "DELE", "RETR") == ["DELE 1", "DELE 2", "DELE 4"]
    assert result.code == 0
    assert held(tmp_path / "a") == sorted(mail[name] for name in ("a", "same", "b", "c"))


def test_two_equal_messages_without_names_are_both_deleted(tmp_path: Path) -> None:
    """One file; each placement has its own proof."""
    mail = {"x": letter(1), "y": letter(1), "z": letter(2)}
    with ScriptedPop([session(mail, (r"^UIDL$", b"-ERR\r\n"))]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, total(result)["deleted"]) == (0, 3)
    assert held(tmp_path / "a") == sorted({*mail.values()})


def test_f076_a_message_that_one_answer_does_not_know_is_not_lost(tmp_path: Path) -> None:
    """Without a size it waits for the next run; without a name it is fetched, and found again by content."""
    listed = (r"^LIST$", lines(*(f"{number} {len(octets)}" for number, octets in _numbered(MAIL)[:2])))
    named = naming("1 u1", "3 u3")
    with ScriptedPop([session(MAIL, listed), session(MAIL, named), session(MAIL)]) as server:
        for _ in range(2):
            result = backup(server, tmp_path / "a", *OLD)
            assert result.code == 0
        assert held(tmp_path / "a") == ALL
        backup(server, tmp_path / "a", *OLD)
    assert [verbs(said, "RETR") for said in sessions(server)] == [["RETR 1", "RETR 2"], ["RETR 2", "RETR 3"], []]


@pytest.mark.parametrize("size", ["1", "99999999", "0", "-5", "", "x", "99999999999999999999999"])
def test_sizes_that_lie_cost_a_second_fetch_and_nothing_else(tmp_path: Path, size: str) -> None:
    """Archived as it came; deleted after a second RETR gave the same octets."""
    listed = (r"^LIST$", lines(f"1 {size}", f"2 {len(MAIL['u2'])}", f"3 {size}".rstrip()))
    with ScriptedPop([session(MAIL, listed)]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, total(result)["deleted"]) == (0, 3), result.out
    assert held(tmp_path / "a") == ALL
    (said,) = sessions(server)
    assert sorted(verbs(said, "RETR")) == ["RETR 1", "RETR 1", "RETR 2", "RETR 3", "RETR 3"]
    assert max(said.index(f"DELE {number}") for number in (1, 2, 3)) < said.index("QUIT")


def test_other_octets_at_the_second_fetch_are_a_hold(tmp_path: Path) -> None:
    """What came first is kept, the message stays, and a human hears of it."""
    listed = (r"^LIST$", lines("1 7", f"2 {len(MAIL['u2'])}", f"3 {len(MAIL['u3'])}"))
    script = session(MAIL, listed, (r"^RETR 1$", multiline(MAIL["u1"])), (r"^RETR 1$", multiline(MAIL["u1"] + b"x")))
    with ScriptedPop([script]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (3, ["u2", "u3"])
    assert held(tmp_path / "a") == ALL
    assert "DELE 1" not in server.commands[0]


def test_f081_f084_order_and_numbers_may_change_between_sessions(tmp_path: Path) -> None:
    """The UIDL is the identity: what is known is not fetched again, and a new one in between is."""
    mail = letters(1, 2, 3, 4)
    mixed = {name: mail[name] for name in ("u3", "u4", "u1")}
    with ScriptedPop([session(letters(1, 2, 3)), session(mixed), session({"u4": mail["u4"]})]) as server:
        assert backup(server, tmp_path / "a").code == 0
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (0, ["u1", "u3", "u4"])
    said = sessions(server)
    assert verbs(said[1], "RETR", "DELE") == ["DELE 3", "DELE 1"]
    assert verbs(said[2], "RETR", "DELE") == ["RETR 1", "DELE 1"]
    assert held(tmp_path / "a") == sorted(mail.values())


def test_another_message_under_a_known_name_is_fetched_and_none_is_lost(tmp_path: Path) -> None:
    """Some servers give a UIDL twice in their life: another size is another message."""
    other = {"u1": letter(9, size=500)}
    with ScriptedPop([session(letters(1)), session(other), session(other)]) as server:
        assert backup(server, tmp_path / "a").code == 0
        assert backup(server, tmp_path / "a").code == 0
    assert held(tmp_path / "a") == sorted([letter(1), letter(9, size=500)])


def test_another_message_of_the_same_size_under_a_known_name_is_never_deleted(tmp_path: Path) -> None:
    """The look just before the deletion sees other header fields: alarm, and nothing goes."""
    mail = letters(1, 2)
    other = {"u1": letter(7), "u2": mail["u2"]}
    assert len(other["u1"]) == len(mail["u1"])
    with ScriptedPop([session(mail), session(other)]) as server:
        assert backup(server, tmp_path / "a").code == 0
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (3, [])
    assert verbs(server.commands[1], "DELE") == []


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ((r"^LIST$", b"-ERR [SYS/TEMP] try later\r\n"), 75),
        ((r"^LIST$", b"-ERR [IN-USE] busy\r\n"), 75),
        ((r"^LIST$", b"-ERR no\r\n"), 16),
        ((r"^LIST$", b"hello\r\n"), 16),
        ((r"^LIST$", b"+OK\r\n1 50\r\n2 5" + CUT), 15),
        ((r"^UIDL$", b"-ERR [SYS/TEMP] try later\r\n"), 75),
        ((r"^UIDL$", b"+OK\r\n1 u1\r\n2 u" + CUT), 15),
        ((r"^UIDL$", b"what?\r\n"), 16),
    ],
)
def test_a_list_that_does_not_come_ends_the_run(tmp_path: Path, first: tuple[str, bytes], code: int) -> None:
    """Nothing is archived or deleted on half of a list."""
    with ScriptedPop([session(MAIL, first)]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert result.code == code, result.out
    assert verbs(server.commands[0], "DELE", "RETR", "QUIT") == []


@pytest.mark.parametrize("command", ["LIST", "UIDL"])
def test_an_endless_list_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """At a number of lines, whatever they say; a line without end likewise."""
    monkeypatch.setattr(pop_lines, "LINES", 5000)
    endless = b"+OK\r\n" + b"".join(b"%d 77\r\n" % number for number in range(1, 6000))
    for answer in (endless, b"+OK\r\n1 " + b"x" * 70_000 + b"\r\n.\r\n"):
        with ScriptedPop([session(MAIL, (f"^{command}$", answer))]) as server:
            result = backup(server, tmp_path / "a", *DELETE)
        assert result.code == 16, result.out
        assert verbs(server.commands[0], "DELE", "RETR") == []


def test_an_empty_maildrop_is_nothing_to_do(tmp_path: Path) -> None:
    """And a maildrop that is suddenly empty is a note; the archive stays."""
    with ScriptedPop([session(MAIL), session({}), session({})]) as server:
        assert backup(server, tmp_path / "a").code == 0
        for words in (OLD, DELETE):
            assert backup(server, tmp_path / "a", *words).code == 0
    assert held(tmp_path / "a") == ALL
    assert [verbs(said, "RETR", "TOP", "DELE") for said in sessions(server)[1:]] == [[], []]


def test_one_message_whose_header_is_refused_does_not_hide_the_others(tmp_path: Path) -> None:
    """TOP is there, for CAPA says so: the young stay unfetched even if the first of all is refused."""
    mail = letters(1) | letters(2, 3, days=5)
    refused = [(r"^TOP 1 0$", b"-ERR cannot\r\n")] * 4
    with ScriptedPop([session(mail, *refused)]) as server:
        result = backup(server, tmp_path / "a", *OLD)
    assert result.code == 0
    assert held(tmp_path / "a") == [mail["u1"]]
    assert verbs(server.commands[0], "RETR") == ["RETR 1"]


def test_nothing_is_asked_that_is_known(tmp_path: Path) -> None:
    """Dates of what is not archived are asked once; the second run sends LIST, UIDL and QUIT."""
    mail = letters(1) | letters(2, 3, days=5)
    with ScriptedPop([session(mail), session(mail)]) as server:
        for _ in range(2):
            assert backup(server, tmp_path / "a", *OLD).code == 0
    assert sessions(server)[0] == ["LIST", "UIDL", "TOP 1 0", "TOP 2 0", "TOP 3 0", "RETR 1", "QUIT"]
    assert sessions(server)[1] == ["LIST", "UIDL", "QUIT"]


def test_a_dry_run_reads_and_changes_nothing(tmp_path: Path) -> None:
    """No RETR, no DELE, no archive."""
    with ScriptedPop([session(MAIL)]) as server:
        result = backup(server, tmp_path / "a", *OLD, "--dry-run")
    assert result.code == 0
    assert verbs(server.commands[0], "RETR", "DELE") == []
    assert not (tmp_path / "a").exists()
