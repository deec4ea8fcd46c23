"""The scripted POP3 server does what its script says, and nothing else."""

from __future__ import annotations

import poplib
import socket
import threading

import pytest

from tests.servers.scripted_pop import CUT, QUIT, SIGN_IN, ScriptedPop, drop_after, multiline


def everything(server: ScriptedPop, octets: bytes = b"") -> bytes:
    """Send octets in a connection of their own, and read to its end."""
    with socket.create_connection((server.host, server.port), timeout=5) as sock:
        sock.sendall(octets)
        return b"".join(iter(lambda: sock.recv(4096), b""))


def test_a_session_with_poplib() -> None:
    """Pairs are used once, in any order; what does not fit is refused and noted."""
    letter = b"Subject: x\r\n\r\n.\r\n..dots\r\nend"
    script = [*SIGN_IN, (r"^RETR 1$", multiline(letter)), (r"^STAT$", b"+OK 1 30\r\n"), QUIT]
    with ScriptedPop([script]) as server:
        pop = poplib.POP3(server.host, server.port, timeout=5)
        assert "UIDL" in pop.capa()
        assert pop.user("me") == b"+OK"
        assert pop.pass_("a secret") == b"+OK"
        assert pop.stat() == (1, 30)
        assert pop.retr(1)[1] == [b"Subject: x", b"", b".", b"..dots", b"end"]
        with pytest.raises(poplib.error_proto, match="-ERR unexpected"):
            pop.retr(1)
        assert pop.quit() == b"+OK until next time"
    assert server.commands == [["CAPA", "USER me", "PASS a secret", "STAT", "RETR 1", "RETR 1", "QUIT"]]
    assert server.unexpected == ["RETR 1"]


def test_each_session_has_its_script_and_its_greeting() -> None:
    """One after the other; those too many get no script and the last greeting; an empty answer is none."""
    cut = (r"^NOOP$", CUT)
    sessions = [[(r"^A$", b"+OK 1\r\n"), cut], [(r"^A$", b""), (r"^B$", b"+OK 2\r\n" + CUT)], [(r"^A$", b"no\r\n")]]
    with ScriptedPop(sessions, greetings=[b"+OK one\r\n", b"+OK more\r\n"]) as server:
        assert everything(server, b"A\r\nNOOP\r\nlate\r\n") == b"+OK one\r\n+OK 1\r\n"
        assert everything(server, b"A\r\nB\r\n") == b"+OK more\r\n+OK 2\r\n"
        with socket.create_connection((server.host, server.port), timeout=5) as left_open:
            assert left_open.recv(100) == b"+OK more\r\n"
            with socket.create_connection((server.host, server.port), timeout=5) as further:
                further.sendall(b"A\r\n")
                lines = further.makefile("rb")
                assert [lines.readline(), lines.readline()] == [b"+OK more\r\n", b"-ERR unexpected\r\n"]
                lines.close()
    assert server.commands[1:] == [["A", "B"], [], ["A"]]
    assert server.commands[0][:2] == ["A", "NOOP"]
    assert server.unexpected == ["A"]


def test_a_greeting_may_end_the_connection() -> None:
    """Then no command is answered."""
    with ScriptedPop([[QUIT]], greetings=[b"-ERR [IN-USE] later\r\n" + CUT]) as server:
        assert everything(server) == b"-ERR [IN-USE] later\r\n"


def test_an_answer_that_is_dropped() -> None:
    """`drop_after` sends so many octets, whatever stands there."""
    answer = multiline(b"0123456789\r\n", b"10 octets")
    with ScriptedPop([[(r"^RETR", drop_after(answer, 17))]]) as server:
        assert everything(server, b"RETR 1\r\n") == b"+OK ready\r\n+OK 10 octets\r\n01"


@pytest.mark.parametrize(
    ("octets", "sent"),
    [
        (b"", b".\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\n", b"a\n\r\n.\r\n"),
        (b".\r\n.\r\n..\n.\r.\r\n", b"..\r\n..\r\n...\n.\r.\r\n.\r\n"),
    ],
)
def test_multiline(octets: bytes, sent: bytes) -> None:
    """Dots are doubled behind CRLF and at the beginning only."""
    assert multiline(octets) == b"+OK \r\n" + sent


def test_no_thread_is_left() -> None:
    """Also with a client that never closes."""
    before = threading.active_count()
    server = ScriptedPop([[]])
    with server:
        client = socket.create_connection((server.host, server.port), timeout=5)
        assert client.recv(100) == b"+OK ready\r\n"
    assert client.recv(100) == b""
    client.close()
    assert threading.active_count() == before
