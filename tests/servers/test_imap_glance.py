"""How mailboxes stand is asked without opening them, and only an answer that is whole and about them counts."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import LaterError, ProtocolError
from mailarchive.model import Mailbox, MailboxStatus
from mailarchive.sources.imap import ImapSource
from tests.command import mailarchive, plain_url
from tests.corpus import corpus
from tests.servers.proxy import Proxy
from tests.servers.scripted import Scripted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeUser

OK = b"TAG OK done\r\n"
ABLE = ("CONDSTORE",)
BOXES = [Mailbox(name, name.encode(), "/") for name in ("INBOX", "Été", 'a "b"')]
NUMBERS = b"(MESSAGES 3 UIDNEXT 10 UIDVALIDITY 7 HIGHESTMODSEQ 99)"
STANDS = MailboxStatus(3, 7, 10, 99)
ASKED = r"\(MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ\)$"


def glanced(script: list[tuple[str, bytes]], boxes: list[Mailbox], able: tuple[str, ...] = ABLE) -> object:
    """Ask for the status of mailboxes."""
    with Scripted(script, capability=able) as server:
        found = ImapSource(server.session).glance(boxes)
        assert server.unexpected == []
    return found


def test_the_numbers_of_each_mailbox_come_by_its_name() -> None:
    """In any order of the items and any case; quoted, as a literal, and INBOX in any spelling."""
    script = [
        (r'STATUS "INBOX" ' + ASKED, b"* STATUS inbox " + NUMBERS + b"\r\n" + OK),
        (r'STATUS "Été" ' + ASKED, b"* 4 EXISTS\r\n* status {5}\r\n" + "Été".encode() + b" " + NUMBERS + b"\r\n" + OK),
        (
            r'STATUS "a \\"b\\"" ' + ASKED,
            b'* STATUS "a \\"b\\"" (HighestModSeq 99 uidvalidity 7 UIDNEXT 10 MESSAGES 3 X y)\r\n' + OK,
        ),
    ]
    assert glanced(script, BOXES) == {mailbox.name: STANDS for mailbox in BOXES}


@pytest.mark.parametrize(
    "answer",
    [
        b"TAG NO no such mailbox\r\n",
        b"TAG BAD what\r\n",
        OK,
        b"* STATUS other " + NUMBERS + b"\r\n" + OK,
        b"* STATUS x (MESSAGES 3 UIDNEXT 10 UIDVALIDITY 7)\r\n" + OK,
        b"* STATUS x (MESSAGES 3 UIDNEXT 10 UIDVALIDITY 7 HIGHESTMODSEQ 0)\r\n" + OK,
        b"* STATUS x (MESSAGES -3 UIDNEXT 10 UIDVALIDITY 7 HIGHESTMODSEQ 9)\r\n" + OK,
        b"* STATUS x (MESSAGES 3 UIDNEXT 10 UIDVALIDITY 0 HIGHESTMODSEQ 9)\r\n" + OK,
        b"* STATUS x (MESSAGES (3) UIDNEXT 10 UIDVALIDITY 7 HIGHESTMODSEQ 9)\r\n" + OK,
        b"* STATUS x NIL\r\n" + OK,
        b"* STATUS x (MESSAGES\r\n" + OK,
        b"* STATUS x " + NUMBERS + b"\r\nTAG NO after all\r\n",
    ],
)
def test_a_mailbox_without_a_whole_answer_is_left_out(answer: bytes) -> None:
    """And the answers behind it are read as ever."""
    boxes = [Mailbox("x", b"x", "/"), Mailbox("y", b"y", "/")]
    script = [('STATUS "x"', answer), ('STATUS "y"', b"* STATUS y " + NUMBERS + b"\r\n" + OK)]
    assert glanced(script, boxes) == {"y": STANDS}


def test_many_mailboxes_are_asked_for_without_waiting_for_each() -> None:
    """More than go out at a time."""
    boxes = [Mailbox(f"b{number}", b"b%d" % number, "/") for number in range(100)]
    script = [(f'STATUS "{box.name}"', b"* STATUS " + box.wire + b" " + NUMBERS + b"\r\n" + OK) for box in boxes]
    assert glanced(script, boxes) == {box.name: STANDS for box in boxes}


def test_a_server_without_mod_sequences_is_not_asked() -> None:
    """Nor one where labels are mailboxes: there is nothing to compare with."""
    assert glanced([], BOXES, ("ESEARCH",)) == {}
    assert glanced([], BOXES, ("CONDSTORE", "X-GM-EXT-1")) == {}


def test_a_server_that_asks_for_patience_is_waited_for() -> None:
    """All that was asked has been answered by then, so that the line is in order."""
    script = [(f'STATUS "{name}"', b"TAG NO [THROTTLED] slow\r\n") for name in "xyz"]
    with Scripted(script, capability=ABLE) as server:
        source = ImapSource(server.session)
        with pytest.raises(LaterError):
            source.glance([Mailbox(name, name.encode(), "/") for name in "xyz"])
        assert not source._commands.busy


def test_a_line_that_makes_no_sense_ends_the_session() -> None:
    """As everywhere."""
    with pytest.raises(ProtocolError):
        glanced([('STATUS "x"', b"nonsense\r\n")], [Mailbox("x", b"x", "/")])


@pytest.mark.dovecot
def test_a_run_without_new_mail_opens_no_mailbox(dovecot_user: MakeUser, tmp_path: Path, seed: int) -> None:
    """On Dovecot; one that has changed is opened, and it alone."""
    account = dovecot_user()
    archive = tmp_path / "archive"

    samples = iter(corpus(9, seed=seed, now=datetime.now(UTC), sizes="tiny"))

    def put(name: str, number: int) -> None:
        with account.witness() as witness:
            witness.append_many(name, islice(samples, number))

    def opened() -> tuple[int, list[bytes]]:
        with Proxy(account.imap_port) as proxy:
            url = plain_url(proxy.port, account.user)
            result = mailarchive("backup", url, "--to", archive, "--json", password=account.password)
            assert result.code == 0, result.err
            asked = [command.split(b" ", 2) for command in proxy.client_commands() if b" EXAMINE " in command]
        return result.end["total"]["archived"], sorted({words[2].split(b" (")[0].strip() for words in asked})

    for name in ("INBOX", "A", "B", "C.D"):
        put(name, 2)
    assert opened()[0] == 8
    assert opened() == (0, [])
    put("B", 1)
    assert opened() == (1, [b'"B"'])
    assert opened() == (0, [])
