"""Commands sent ahead over POP3 (RFC 2449 6.6): how many, what a server that loses count costs, lines that break."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import AgainError, ProtocolError, UnreachableError
from mailarchive.model import UIDL, Mailbox, NotFetched, RemoteMessage
from mailarchive.sources import pop_drop
from mailarchive.sources.pop import PopSource
from mailarchive.sources.wire import Wire
from tests.contract.sources import DELETE, backup, deleted, held, letter, lines, session, sessions, verbs
from tests.servers.scripted_pop import ScriptedPop, drop_after, multiline

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tests.command import Result

INBOX = Mailbox("INBOX", b"INBOX")
AHEAD = frozenset({"PIPELINING", "TOP", "UIDL"})
MAIL = {f"u{number}": letter(number, size=60 + 7 * number) for number in range(1, 7)}
"""Each of another size, so that none can pass for another."""
SMALL = {f"u{number}": b"A: %d\r\n\r\n.%s\r\n" % (number, b"x" * number) for number in range(1, 6)}


class Line:
    """A socket with a server behind it that answers one command at each read.

    Args:
        mail: The maildrop, by UIDL.
        odd: Answers to single commands; an empty one is none at all.
        dead: Octets after which the server hangs up; without it, it is silent when nothing is left to say.

    Attributes:
        seen: The commands that came.
        ahead: The largest number of commands of each kind that waited for an answer at a time.
        said: How many octets have come from the server.
    """

    def __init__(
        self, mail: Mapping[str, bytes], odd: Mapping[str, bytes] | None = None, *, dead: int | None = None
    ) -> None:
        numbered = list(enumerate(mail.items(), 1))
        self._answers = {
            "QUIT": b"+OK\r\n",
            "LIST": multiline(b"".join(b"%d %d\r\n" % (n, len(octets)) for n, (_, octets) in numbered)),
            "UIDL": multiline(b"".join(b"%d %s\r\n" % (n, uidl.encode()) for n, (uidl, _) in numbered)),
        }
        for number, (_, octets) in numbered:
            self._answers[f"RETR {number}"] = multiline(octets)
            self._answers[f"TOP {number} 0"] = multiline(octets.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        self._answers |= odd or {}
        self._dead = dead
        self._due: deque[str] = deque()
        self._octets = b""
        self.seen: list[str] = []
        self.ahead: dict[str, int] = {}
        self.said = 0

    def settimeout(self, seconds: float) -> None:
        """Take it."""

    def close(self) -> None:
        """Close."""

    def sendall(self, data: bytes) -> None:
        """Hear commands, whole ones only."""
        commands = bytes(data).decode("ascii").split("\r\n")
        assert commands.pop() == ""
        self.seen += commands
        self._due += commands
        verb = commands[0].split(" ")[0]
        self.ahead[verb] = max(self.ahead.get(verb, 0), len(self._due))

    def recv_into(self, view: memoryview) -> int:
        """Give what is left of an answer, or the next one."""
        while not self._octets and self._due:
            self._octets = self._answers[self._due.popleft()]
        room = len(view) if self._dead is None else min(len(view), self._dead - self.said)
        if room and not self._octets:
            raise TimeoutError
        count = min(len(self._octets), room)
        view[:count], self._octets = self._octets[:count], self._octets[count:]
        self.said += count
        return count


def source_of(*sockets: Line, offered: frozenset[str] = AHEAD) -> PopSource:
    """Give a source that has these sockets, one after the other."""
    left = list(sockets)

    def connect() -> tuple[Wire, frozenset[str]]:
        sock: socket.socket = left.pop(0)  # type: ignore[assignment] # what Wire uses of one
        return Wire(sock, "test"), offered

    return PopSource(connect)


def fetched(source: PopSource, names: Iterable[str], into: dict[str, bytes]) -> list[NotFetched]:
    """Fetch messages into a dictionary as an archive would; gives those that were not."""
    failed = []
    with source.open(INBOX) as box:
        for arrival in box.fetch([RemoteMessage(UIDL(name)) for name in names]):
            if isinstance(arrival, NotFetched):
                failed.append(arrival)
                continue
            try:
                octets = b"".join(map(bytes, arrival.chunks()))
            except AgainError:
                continue
            name = str(arrival.message.uid)
            assert name not in into
            into[name] = octets
    return failed


def archived(result: Result) -> dict[str, str]:
    """Give the digest of each message that a run has archived."""
    return {event["uid"]: event["digest"] for event in result.events if event["event"] == "archived"}


def digests(mail: Mapping[str, bytes]) -> dict[str, str]:
    """Give the digest of each message."""
    return {name: f"sha256:{hashlib.sha256(octets).hexdigest()}" for name, octets in mail.items()}


# How many


def test_without_pipelining_each_command_waits_for_the_answer_to_the_last() -> None:
    """Whatever it is."""
    line, got = Line(MAIL), dict[str, bytes]()
    source = source_of(line, offered=AHEAD - {"PIPELINING"})
    with source.open(INBOX) as box:
        assert len(list(box.headers([RemoteMessage(UIDL(name)) for name in MAIL]))) == len(MAIL)
    assert fetched(source, MAIL, got) == []
    assert got == MAIL
    assert set(line.ahead.values()) == {1}
    assert line.seen == ["LIST", "UIDL", *(f"TOP {n} 0" for n in range(1, 7)), *(f"RETR {n}" for n in range(1, 7))]


def test_64_are_on_their_way_and_no_more() -> None:
    """Each asked for once, in order; the first alone, because its size tells whether sizes hold."""
    mail = {f"m{number}": b"A: %d\r\n\r\n" % number for number in range(1, 301)}
    line, got = Line(mail), dict[str, bytes]()
    source = source_of(line)
    with source.open(INBOX) as box:
        assert len(list(box.headers([RemoteMessage(UIDL(name)) for name in mail]))) == len(mail)
    assert fetched(source, mail, got) == []
    assert got == mail
    assert line.ahead == {"LIST": 1, "UIDL": 1, "TOP": 64, "RETR": 64}
    assert line.seen[-300:] == [f"RETR {number}" for number in range(1, 301)]


@pytest.mark.parametrize(("most", "ahead"), [(1, 1), (2 * 300, 2), (3 * 300, 3), (10_000, 5)])
def test_no_more_octets_are_asked_for_than_are_allowed(monkeypatch: pytest.MonkeyPatch, most: int, ahead: int) -> None:
    """As announced; a message that is larger comes alone."""
    monkeypatch.setattr(pop_drop, "IN_FLIGHT_OCTETS", most)
    mail = {f"u{number}": b"A: %d\r\n\r\n" % number + b"x" * 289 + b"\r\n" for number in range(1, 7)}
    line, got = Line(mail), dict[str, bytes]()
    assert {len(octets) for octets in mail.values()} == {299}
    assert fetched(source_of(line), mail, got) == []
    assert got == mail
    assert line.ahead["RETR"] == ahead


@pytest.mark.parametrize("row", ["1 7\r\n", "1\r\n"])
def test_where_sizes_lie_or_are_missing_bodies_come_one_by_one(row: str) -> None:
    """Nothing else would tell that an answer was left out; it costs no session and no message."""
    rest = "".join(f"{number} {7 if '7' in row else ''}".strip() + "\r\n" for number in range(2, 7))
    line, got = Line(MAIL, {"LIST": multiline((row + rest).encode())}), dict[str, bytes]()
    assert fetched(source_of(line), MAIL, got) == []
    assert got == MAIL
    assert line.ahead["RETR"] == 1


def test_a_line_end_that_the_server_has_added_is_no_lie() -> None:
    """A message without one gets it, and LIST may not count it."""
    mail = {name: octets.removesuffix(b"\r\n") for name, octets in MAIL.items()}
    line, got = Line(mail), dict[str, bytes]()
    assert fetched(source_of(line), mail, got) == []
    assert got == MAIL
    assert line.ahead["RETR"] == 5


# Servers that lose count


@pytest.mark.parametrize("lost", range(2, 6))
def test_an_answer_that_is_left_out_gives_no_message_the_octets_of_another(lost: int) -> None:
    """The size tells; from that message on, each is asked for alone in a new session."""
    odd, even, got = Line(MAIL, {f"RETR {lost}": b""}), Line(MAIL), dict[str, bytes]()
    assert fetched(source_of(odd, even), MAIL, got) == []
    assert got == MAIL
    assert odd.ahead["RETR"] == 5
    assert even.seen == ["LIST", "UIDL", *(f"RETR {number}" for number in range(lost, 7))]
    assert even.ahead["RETR"] == 1


@pytest.mark.parametrize("verb", ["TOP", "RETR"])
def test_commands_that_were_thrown_away_are_sent_again_one_by_one(verb: str) -> None:
    """A server that forgets what stood behind the command that it reads falls silent."""
    odd = Line(MAIL, {f"RETR {number}": b"" for number in range(3, 7)} | {f"TOP {n} 0": b"" for n in range(3, 7)})
    even, got = Line(MAIL), dict[str, bytes]()
    source = source_of(odd, even)
    if verb == "RETR":
        assert fetched(source, MAIL, got) == []
    else:
        with source.open(INBOX) as box:
            got = {str(name): head for name, head in box.headers([RemoteMessage(UIDL(name)) for name in MAIL])}
    whole = verb == "RETR"
    heads = {name: octets.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" for name, octets in MAIL.items()}
    assert got == (MAIL if whole else heads)
    assert odd.ahead[verb] == 5
    assert even.seen == ["LIST", "UIDL", *(f"{verb} {number}" + " 0" * (not whole) for number in range(3, 7))]
    assert even.ahead[verb] == 1


def test_a_server_that_is_silent_after_a_single_command_is_gone() -> None:
    """It is asked in no second session."""
    for offered, commands in ((AHEAD, ["RETR 1"]), (AHEAD - {"PIPELINING"}, ["RETR 1"])):
        line = Line(MAIL, {"RETR 1": b""})
        with pytest.raises(UnreachableError, match="silent"):
            fetched(source_of(line, offered=offered), MAIL, {})
        assert line.seen[2:] == commands


def test_what_is_no_answer_ends_the_run_in_the_middle_of_those_sent_ahead() -> None:
    """What came before it is whole."""
    got = dict[str, bytes]()
    with pytest.raises(ProtocolError, match="no POP3 answer"):
        fetched(source_of(Line(MAIL, {"RETR 4": b"hello\r\n"})), MAIL, got)
    assert got == {name: MAIL[name] for name in ("u1", "u2", "u3")}


@pytest.mark.parametrize("refused", range(1, 7))
def test_a_refusal_among_those_sent_ahead_is_that_of_its_message(refused: int) -> None:
    """And the others are who they are."""
    line, got = Line(MAIL, {f"RETR {refused}": b"-ERR number %d\r\n" % refused}), dict[str, bytes]()
    (failed,) = fetched(source_of(line), MAIL, got)
    assert (failed.uid, failed.gone) == (f"u{refused}", False)
    assert f"number {refused}" in failed.reason
    assert got == {name: octets for name, octets in MAIL.items() if name != f"u{refused}"}


# Lines that break


def test_a_line_that_dies_anywhere_costs_only_what_had_not_come_whole() -> None:
    """At each octet of what the server says; the next session gives the rest, and nothing twice."""
    whole = Line(SMALL)
    assert fetched(source_of(whole), SMALL, {}) == []
    listed = len(multiline(b"1 11\r\n" * 5)) + len(multiline(b"1 u1\r\n" * 5))
    ends = [listed]
    for octets in SMALL.values():
        ends.append(ends[-1] + len(multiline(octets)))
    assert whole.said == ends[-1]
    for dead in range(listed, whole.said):
        got = dict[str, bytes]()
        with pytest.raises(UnreachableError, match="closed the connection"):
            fetched(source_of(Line(SMALL, dead=dead)), SMALL, got)
        assert got == dict(list(SMALL.items())[: sum(end <= dead for end in ends[1:])])
        rest, again = [name for name in SMALL if name not in got], Line(SMALL)
        assert fetched(source_of(again), rest, got) == []
        assert again.seen[2:] == [f"RETR {name[1:]}" for name in rest]
        assert got == SMALL


@pytest.mark.parametrize("octets", [0, 4, 5, 60, 200])
@pytest.mark.parametrize("number", [2, 4, 6])
def test_a_run_whose_line_dies_keeps_what_came_whole_and_the_next_goes_on(
    tmp_path: Path, number: int, octets: int
) -> None:
    """In the archive, and in what the catalogue says of it."""
    cut = (f"^RETR {number}$", drop_after(multiline(MAIL[f"u{number}"]), octets))
    with ScriptedPop([session(MAIL, cut), session(MAIL)]) as server:
        first = backup(server, tmp_path / "a")
        before = dict(list(MAIL.items())[: number - 1])
        assert (first.code, held(tmp_path / "a")) == (15, sorted(before.values()))
        assert archived(first) == digests(before)
        again = backup(server, tmp_path / "a")
    assert (again.code, held(tmp_path / "a")) == (0, sorted(MAIL.values()))
    assert archived(first) | archived(again) == digests(MAIL)
    assert verbs(sessions(server)[1], "RETR") == [f"RETR {left}" for left in range(number, 7)]


@pytest.mark.parametrize("words", [(), DELETE], ids=["kept", "deleted"])
def test_a_run_over_a_server_that_leaves_an_answer_out_archives_each_message_under_its_name(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """What came out of step is in no file, and what is deleted was fetched alone."""
    with ScriptedPop([session(MAIL, (r"^RETR 3$", b"")), session(MAIL), session({})]) as server:
        result = backup(server, tmp_path / "a", *words)
    assert result.code == 0, result.out
    assert archived(result) == digests(MAIL)
    assert held(tmp_path / "a") == sorted(MAIL.values())
    first, second, *_ = sessions(server)
    assert verbs(first, "DELE", "QUIT") == []
    assert verbs(second, "RETR") == [f"RETR {number}" for number in range(3, 7)]
    assert verbs(second, "DELE") == [f"DELE {number}" for number in range(1, 7) if words]
    assert deleted(result) == (sorted(MAIL) if words else [])


def test_a_second_fetch_that_is_out_of_step_proves_nothing(tmp_path: Path) -> None:
    """Messages that had another size than announced are fetched twice; they come alone and are deleted."""
    listed = (r"^LIST$", lines(*(f"{number} 7" for number in range(1, 7))))
    with ScriptedPop([session(MAIL, listed), session({})]) as server:
        result = backup(server, tmp_path / "a", *DELETE)
    assert (result.code, deleted(result)) == (0, sorted(MAIL))
    assert verbs(sessions(server)[0], "RETR") == [f"RETR {number}" for number in range(1, 7)] * 2
