"""Telling a server which program this is (RFC 2971)."""

from __future__ import annotations

import getpass
import re
import socket

import pytest

from mailarchive import __version__
from mailarchive.address import Security, ServerAddress
from mailarchive.errors import UnreachableError
from mailarchive.sources import connect
from mailarchive.sources.imap import ImapSource
from mailarchive.sources.imap_gate import Gate
from mailarchive.sources.tls import Trust
from tests.servers.scripted import Scripted
from tests.servers.test_sign_in import GREETING, PLAIN, Talker

ABLE = ("IMAP4REV1", "ID")


def test_a_server_that_offers_id_is_told_name_and_version() -> None:
    """And nothing else: neither user nor computer; whatever it answers is read to its end and dropped."""
    answer = b'* ID ("name" "Dovecot" "note" {4}\r\nTAG)"x" NIL)\r\nTAG OK done\r\n'
    with Scripted([("^ID ", answer), ("^NOOP$", b"TAG OK\r\n")], capability=ABLE) as server:
        source = ImapSource(server.session)
        source.introduce()
        source.close()
    assert server.commands == [f'ID ("name" "mailarchive" "version" "{__version__}")', "LOGOUT"]
    assert server.unexpected == []
    for word in (getpass.getuser(), socket.gethostname()):
        assert not re.search(rf"\b{re.escape(word)}\b", server.commands[0])


def test_a_server_that_does_not_offer_it_is_told_nothing() -> None:
    """A command that it does not know would only confuse it."""
    with Scripted([], capability=("IMAP4REV1",)) as server:
        ImapSource(server.session).introduce()
    assert server.commands == []


def test_a_refusal_stops_nothing() -> None:
    """Only the opening of a mailbox shows whether the server minds."""
    with Scripted([("^ID ", b"TAG NO not now\r\n")], capability=ABLE) as server:
        source = ImapSource(server.session)
        source.introduce()
        source.close()
    assert server.commands[1:] == ["LOGOUT"]


def test_it_is_said_after_the_sign_in_and_before_anything_else() -> None:
    """A server that hangs up over it is unreachable, as soon as anything is asked of it."""
    able = b"* CAPABILITY IMAP4rev1 ID\r\nTAG OK done\r\n"
    answers = [PLAIN, b"+ \r\n", b"TAG OK in\r\n", able]
    with Talker(GREETING, [*answers, b"* BYE we do not like you\r\n"]) as server:
        address = ServerAddress("imap", Security.NONE, "127.0.0.1", server.port, "kim")
        with (
            pytest.raises(UnreachableError, match="we do not like you"),
            connect(address, "secret", Trust()) as source,
        ):
            source.mailboxes()
    assert b' ID ("name" "mailarchive"' in server.heard[-1]
    assert not any(b" ID " in line for line in server.heard[:-1])


@pytest.mark.parametrize(
    "arguments",
    [b"NIL", b'("name" "mailarchive")', b'("name" "mailarchive" "version" "1" "os" "Linux")', b'("user" "kim")', b""],
)
def test_the_gate_lets_no_other_id_through(arguments: bytes) -> None:
    """What a bug above might add stays here."""
    with pytest.raises(AssertionError, match="ID that says more"):
        Gate().check(b"ID", arguments)
