"""A mailbox that was listed before is listed by what has changed in it (RFC 7162), and only where that adds up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.errors import LaterError, ProtocolError
from mailarchive.messages import Messages, Remembered
from mailarchive.model import UID, Criteria, Mailbox, MailboxStatus, RemoteMessage
from mailarchive.sources.imap import ImapMailbox, ImapSource
from mailarchive.sources.imap_commands import Commands
from tests.contract.sources import letter, on_dovecot
from tests.servers.scripted import Scripted

if TYPE_CHECKING:
    from tests.conftest import MakeUser
    from tests.contract.sources import Rig

OK = b"TAG OK done\r\n"
BOX = Mailbox("INBOX", b"INBOX", "/")
ABLE = ("CONDSTORE", "ESEARCH")
WHEN = datetime(2014, 3, 1, 10, tzinfo=UTC)
SEEN = frozenset({"\\Seen"})
OLD = MailboxStatus(3, 7, 10, 99)
LISTED = [RemoteMessage(UID(uid), 10, WHEN, frozenset()) for uid in (1, 4, 9)]
CHANGES = r"UID FETCH 1:4294967295 \(UID FLAGS INTERNALDATE RFC822.SIZE\) \(CHANGEDSINCE 99\)$"
THERE = r"UID SEARCH RETURN \(COUNT ALL\) ALL$"


def fact(uid: int, *, flags: bytes = b"", size: int = 10, modseq: bytes = b"") -> bytes:
    """Write the facts of one message."""
    line = b'* 1 FETCH (UID %d FLAGS (%s) INTERNALDATE "01-Mar-2014 10:00:00 +0000" RFC822.SIZE %d%s)\r\n'
    return line % (uid, flags, size, modseq)


def there(uids: bytes, count: int) -> bytes:
    """Write the answer to the question which messages are there."""
    return b'* ESEARCH (TAG "x") UID COUNT %d' % count + (b" ALL " + uids if count else b"") + b"\r\n" + OK


def followed(server: Scripted, status: MailboxStatus, before: MailboxStatus = OLD) -> list[RemoteMessage] | None:
    """Follow a mailbox that held three messages; None if all of it must be listed."""
    box = ImapMailbox(Commands(server.session), BOX, status)
    found = box.follow(Remembered(before, WHEN, Messages(LISTED)))
    assert server.unexpected == []
    assert not box._commands.busy
    return None if found is None else list(found)


def test_a_mailbox_in_which_nothing_has_changed_is_not_asked_for_anything() -> None:
    """UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ and the number of messages are what they were."""
    with Scripted([], capability=ABLE) as server:
        assert followed(server, OLD) == LISTED
        assert server.commands == []


def test_new_changed_and_removed_messages_are_found() -> None:
    """What is there is asked for; what has changed comes by its mod-sequence, and what is unknown by its UID."""
    script = [
        (THERE, there(b"1,9:11", 4)),
        (CHANGES, fact(1, flags=b"\\Seen", modseq=b" MODSEQ (101)") + fact(10) + OK),
        (r"UID FETCH 11 \(UID FLAGS INTERNALDATE RFC822.SIZE\)$", fact(11) + OK),
    ]
    with Scripted(script, capability=ABLE) as server:
        found = followed(server, replace(OLD, exists=4, uidnext=12, highestmodseq=120))
    new = [RemoteMessage(UID(uid), 10, WHEN, frozenset()) for uid in (10, 11)]
    assert found == [LISTED[0]._replace(flags=SEEN), LISTED[2], *new]


@pytest.mark.parametrize("exists", [2, 4])
def test_a_count_that_differs_is_enough(exists: int) -> None:
    """A server whose HIGHESTMODSEQ and UIDNEXT say that nothing has happened."""
    uids = {2: b"1,9", 4: b"1,4,5,9"}[exists]
    script = [(THERE, there(uids, exists)), *([(r"UID FETCH 5 ", fact(5) + OK)] if exists == 4 else [])]
    with Scripted(script, capability=ABLE) as server:
        found = followed(server, replace(OLD, exists=exists))
    assert found is not None
    assert [message.uid for message in found] == {2: [1, 9], 4: [1, 4, 5, 9]}[exists]


def test_an_empty_mailbox_is_followed() -> None:
    """Nothing of everything is asked for."""
    with Scripted([], capability=ABLE) as server:
        assert followed(server, replace(OLD, exists=0, highestmodseq=120)) == []
        assert server.commands == []


@pytest.mark.parametrize(
    "status",
    [
        replace(OLD, uidvalidity=8),
        replace(OLD, uidnext=9),
        replace(OLD, highestmodseq=98),
        replace(OLD, uidvalidity=None),
        replace(OLD, uidnext=None),
        replace(OLD, highestmodseq=None),
        replace(OLD, uids_stick=False),
    ],
)
def test_f044_numbers_that_do_not_fit_are_not_followed(status: MailboxStatus) -> None:
    """Another generation, numbers that run backwards, numbers that are missing: nothing is asked, all is listed."""
    with Scripted([], capability=ABLE) as server:
        assert followed(server, status) is None
        assert followed(server, OLD, replace(OLD, highestmodseq=None)) is None
        assert server.commands == []


@pytest.mark.parametrize("capability", [["ESEARCH"], ["CONDSTORE", "X-GM-EXT-1"]])
def test_a_server_that_cannot_tell_changes_is_not_followed(capability: list[str]) -> None:
    """Without CONDSTORE, and where labels change what is chosen."""
    with Scripted([], capability=capability) as server:
        assert followed(server, OLD) is None


NEWER = replace(OLD, exists=4, uidnext=11, highestmodseq=120)
FOUR = (THERE, there(b"1,4,9,10", 4))


@pytest.mark.parametrize(
    "script",
    [
        [(THERE, there(b"1,4,9", 3))],
        [(THERE, there(b"1,4,9,10", 5))],
        [(THERE, OK)],
        [(THERE, b"TAG NO [SERVERBUG] no\r\n")],
        [FOUR, (CHANGES, b"TAG BAD what\r\n")],
        [FOUR, (CHANGES, fact(10) + fact(10, size=11) + OK)],
        [FOUR, (CHANGES, OK), ("UID FETCH 10 ", OK)],
        [FOUR, (CHANGES, OK), ("UID FETCH 10 ", b"* 1 FETCH (UID 10 FLAGS ())\r\n" + OK)],
        [FOUR, (CHANGES, OK), ("UID FETCH 10 ", b"TAG NO no\r\n")],
    ],
    ids=["fewer", "miscounted", "silent", "no search", "no changes", "two faces", "no facts", "flags only", "refused"],
)
def test_answers_that_do_not_add_up_are_not_used(script: list[tuple[str, bytes]]) -> None:
    """Everything is to be listed, on a line that is in order."""
    with Scripted(script, capability=ABLE) as server:
        assert followed(server, NEWER) is None


def test_a_server_that_asks_for_patience_gets_it() -> None:
    """Throttled: later, and not listed in full instead."""
    no = b"TAG NO [THROTTLED] slow down\r\n"
    for script in ([(THERE, no)], [FOUR, (CHANGES, no)]):
        with Scripted(script, capability=ABLE) as server, pytest.raises(LaterError, match="slow down"):
            followed(server, NEWER)


def test_changes_without_end_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """More messages than there are."""
    monkeypatch.setattr("mailarchive.sources.imap_follow.WINDOW", 10)
    script = [FOUR, (CHANGES, b"".join(map(fact, range(1, 100))) + OK)]
    with Scripted(script, capability=ABLE) as server, pytest.raises(ProtocolError, match="more messages"):
        followed(server, NEWER)


def test_a_large_mailbox_is_followed_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no line is too long and no answer without end."""
    monkeypatch.setattr("mailarchive.sources.imap_follow.WINDOW", 3)
    script = [
        (r"\(COUNT ALL\) 4$", there(b"10", 1)),
        (r"UID 1:9 ALL$", there(b"1,4,9", 3)),
        (r"UID 10:4294967295 ALL$", there(b"10", 1)),
        (r"UID FETCH 1:9 .*CHANGEDSINCE 99", OK),
        (r"UID FETCH 10:4294967295 .*CHANGEDSINCE 99", fact(10) + OK),
    ]
    with Scripted(script, capability=ABLE) as server:
        found = followed(server, NEWER)
    assert found is not None
    assert [message.uid for message in found] == [1, 4, 9, 10]


EXAMINED = b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 10] x\r\n* OK [HIGHESTMODSEQ 99] x\r\n" + OK


@pytest.mark.parametrize(
    ("capability", "script", "steady"),
    [
        (ABLE, [(r'^EXAMINE "INBOX" \(CONDSTORE\)$', EXAMINED)], True),
        (["ESEARCH"], [(r'^EXAMINE "INBOX"$', EXAMINED)], False),
        (ABLE, [(r"\(CONDSTORE\)$", b"TAG BAD what\r\n"), (r'^EXAMINE "INBOX"$', EXAMINED)], True),
    ],
)
def test_a_server_is_asked_for_its_numbers(capability: Any, script: list[tuple[str, bytes]], steady: bool) -> None:
    """Where it says that it has them; one that then refuses opens the mailbox all the same."""
    with Scripted(script, capability=capability) as server:
        with ImapSource(server.session).open(BOX) as box:
            assert (box.status, box.steady) == (OLD, steady)
        assert server.unexpected == []


def look(rig: Rig, before: Remembered | None = None) -> tuple[Remembered, int]:
    """Open INBOX, follow it, and check that by a whole listing; gives what to remember, and the octets it took."""
    with rig.connect() as source:
        (inbox,) = [box for box in source.mailboxes()[0] if box.name == "INBOX"]
        with source.open(inbox) as box:
            assert isinstance(box, ImapMailbox)
            assert box.steady
            begun = box._commands.wire.received
            found = box.follow(before) if before is not None else None
            octets = box._commands.wire.received - begun
            everything = box.listing(Criteria())
            assert before is None or found is not None
            assert found is None or list(found) == list(everything)
            return Remembered(box.status, WHEN, everything if found is None else found), octets


@pytest.mark.dovecot
def test_a_mailbox_of_dovecot_is_followed_through_all_its_changes(dovecot_user: MakeUser) -> None:
    """Nothing, new mail, flags, removals, and all of them at once: as a whole listing shows it."""
    rig = on_dovecot("imap", dovecot_user())
    rig.fill([letter(number) for number in range(6)])
    before, _ = look(rig)
    assert look(rig, before)[1] == 0
    rig.fill([letter(7)])
    before, octets = look(rig, before)
    assert 0 < octets < 1000
    with rig.witness() as witness:
        witness.store("INBOX", [2, 3], "+FLAGS (\\Flagged kw)")
    before, _ = look(rig, before)
    assert before.messages[1].flags == frozenset({"\\Flagged", "\\Seen", "kw"})
    rig.remove(0, 4)
    before, _ = look(rig, before)
    with rig.witness() as witness:
        witness.store("INBOX", [3], "-FLAGS (\\Flagged)")
    rig.fill([letter(number) for number in (8, 9)])
    rig.remove(1)
    before, _ = look(rig, before)
    assert [message.uid for message in before.messages] == [2, 4, 6, 7, 8, 9]
    assert look(rig, before)[1] == 0
    rig.remove(*range(6))
    before, _ = look(rig, before)
    assert len(before.messages) == 0
