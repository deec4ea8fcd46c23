r"""What a look at a mailbox tells before and after a deletion: probe, marks, trash (`safety.md` D2 and section 9)."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import LaterError, MailboxError, ProtocolError, UnreachableError
from mailarchive.model import UID, Mailbox, RemoteMessage, Sighting
from mailarchive.sources.imap import ImapSource
from mailarchive.sources.imap_commands import Commands
from mailarchive.sources.imap_expunge import Marks
from mailarchive.sources.imap_gate import Phase
from tests.servers.scripted import BOX, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.errors import MailarchiveError
    from mailarchive.sources.imap import WritableImapMailbox

OLD = datetime(2014, 3, 1, 10, tzinfo=timezone(timedelta(hours=1)))
GMAIL = ("IMAP4REV1", "X-GM-EXT-1")
OK = b"TAG OK done\r\n"
SELECT = ('^SELECT "INBOX"', b"* 9 EXISTS\r\n* OK [UIDVALIDITY 77] x\r\n" + OK)
HEAD = b"From: a@b\r\n\r\n"
PEEK = "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM TO CC SUBJECT LIST-ID)]<0.65536>"
FACTS = b'UID 7 FLAGS (\\seen kw) INTERNALDATE " 1-Mar-2014 10:00:00 +0100" RFC822.SIZE 100'
HEADER = b"BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM TO CC SUBJECT LIST-ID)]<0> {13}\r\n" + HEAD
SEEN = RemoteMessage(UID(7), 100, OLD, frozenset({"\\Seen", "kw"}))


@contextmanager
def selected(
    *script: tuple[str, bytes], capability: Sequence[str] = ()
) -> Iterator[tuple[Scripted, WritableImapMailbox]]:
    """Open a mailbox for deleting."""
    with Scripted([SELECT, *script], capability=capability) as server:
        with ImapSource(server.session, Phase.DELETING).select(BOX) as box:
            yield server, box
        assert server.unexpected == []


def looked(answer: bytes, *capability: str) -> list[Sighting]:
    """Give what is seen of the messages 7 and 8 in an answer."""
    with selected(("^UID FETCH 7:8 ", answer), capability=capability) as (_, box):
        return list(box.probe([UID(8), UID(7)]))


@pytest.mark.parametrize(
    ("capability", "more"),
    [
        ((), ""),
        (("OBJECTID",), " EMAILID"),
        (GMAIL, " X-GM-MSGID X-GM-LABELS"),
        ((*GMAIL, "OBJECTID"), " X-GM-MSGID X-GM-LABELS"),
    ],
)
def test_a_probe_asks_for_what_names_a_message(capability: Sequence[str], more: str) -> None:
    """One FETCH, without marking anything as read."""
    asked = f"UID FETCH 7 (UID FLAGS INTERNALDATE RFC822.SIZE{more} {PEEK})"
    with selected((f"^{re.escape(asked)}$", OK), capability=capability) as (_, box):
        assert list(box.probe([UID(7)])) == []
        assert list(box.probe([])) == []


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (b"* 1 FETCH (" + FACTS + b" " + HEADER + b")\r\n", [Sighting(SEEN, HEAD)]),
        (b"* 1 fetch (" + HEADER.lower().replace(HEAD.lower(), HEAD) + b" " + FACTS + b")\r\n", [Sighting(SEEN, HEAD)]),
        (b"* 1 FETCH (" + FACTS + b' BODY[HEADER.FIELDS (DATE)] "From: a@b")\r\n', [Sighting(SEEN, b"From: a@b")]),
        (b"* 1 FETCH (" + FACTS + b" BODY[HEADER.FIELDS (DATE)] NIL)\r\n", [Sighting(SEEN, b"")]),
        (b"* 1 FETCH (" + FACTS + b")\r\n", []),
        (b"* 1 FETCH (UID 7 FLAGS (\\Flagged))\r\n* 2 EXPUNGE\r\n", []),
        (b"* 7 FETCH (FLAGS () " + HEADER + b")\r\n", []),
        (b"* 1 FETCH (UID 7 " + HEADER + b")\r\n", [Sighting(RemoteMessage(UID(7)), HEAD)]),
        ((b"* 1 FETCH (" + FACTS + b" " + HEADER + b")\r\n") * 2, [Sighting(SEEN, HEAD)] * 2),
        (
            b"* 1 FETCH (" + FACTS + b" EMAILID (M6d99ac3275bb4e) " + HEADER + b")\r\n",
            [Sighting(SEEN._replace(object_id="M6d99ac3275bb4e"), HEAD)],
        ),
        (b"* 1 FETCH (" + FACTS + b" EMAILID NIL " + HEADER + b")\r\n", [Sighting(SEEN, HEAD)]),
        (
            b'* 1 FETCH (X-GM-MSGID 1278455344230334865 X-GM-LABELS (Work \\Sent "\\\\Inbox" "a \\"b\\"" {3}\r\nc)d '
            b'"&AMk-t&AOk-" NIL) ' + FACTS + b" " + HEADER + b")\r\n",
            [
                Sighting(
                    SEEN._replace(
                        object_id="1278455344230334865",
                        labels=frozenset({"Work", "\\Sent", "\\Inbox", 'a "b"', "c)d", "&AMk-t&AOk-"}),
                    ),
                    HEAD,
                )
            ],
        ),
        (
            b"* 1 FETCH (X-GM-MSGID odd X-GM-LABELS () " + FACTS + b" " + HEADER + b")\r\n",
            [Sighting(SEEN._replace(labels=frozenset()), HEAD)],
        ),
    ],
)
def test_a_probe_reads_every_shape_and_counts_only_whole_answers(answer: bytes, seen: list[Sighting]) -> None:
    """Any order and case; flags sent unasked, and an answer without a UID or without the fields, are no sighting."""
    assert looked(answer + OK, *GMAIL) == seen


def test_a_probe_that_is_refused_says_so_after_what_came() -> None:
    """NO is an error of the mailbox, patience one of the account."""
    answer = b"* 1 FETCH (" + FACTS + b" " + HEADER + b")\r\n"
    with selected(("^UID FETCH", answer + b"TAG NO not all\r\n")) as (_, box):
        seen = iter(box.probe([UID(7), UID(8)]))
        assert next(seen) == Sighting(SEEN, HEAD)
        with pytest.raises(MailboxError, match="not all"):
            next(seen)
    with pytest.raises(LaterError):
        looked(b"TAG NO [THROTTLED] x\r\n")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"* SEARCH 3 5 4294967295\r\n" + OK, {3, 5, 4294967295}),
        (b"* SEARCH\r\n" + OK, set()),
        (OK, set()),
        (b"* 9 EXPUNGE\r\n* search 3\r\n* SEARCH 5 (MODSEQ 12)\r\n* 3 EXISTS\r\n" + OK, {3, 5}),
        (b'* ESEARCH (TAG "M2") UID ALL 3:5,9 COUNT 4\r\n' + OK, {3, 4, 5, 9}),
        (b"* SEARCH 0 4294967296\r\n" + OK, set()),
        (b"* SEARCH" + b" 7" * 1010 + b"\r\n" + OK, ProtocolError),
        (b"* ESEARCH UID ALL 1:4294967295\r\n" + OK, ProtocolError),
        (b"TAG NO no\r\n", MailboxError),
        (b"TAG NO [INUSE] no\r\n", LaterError),
    ],
)
def test_the_marks_of_everybody_are_found(answer: bytes, found: set[int] | type[MailarchiveError]) -> None:
    """By one search, in either form; more than there are messages is nonsense."""
    with selected(("^UID SEARCH DELETED$", answer)) as (_, box):
        if isinstance(found, set):
            assert box.marked() == found
        else:
            with pytest.raises(found):
                box.marked()


def test_f070_marks_on_200_000_messages_are_told_in_ranges() -> None:
    """As a list of numbers they would be a line that is over every cap; without ESEARCH there is only that list."""
    everyone = b'* ESEARCH (TAG "x") UID ALL 1:200000\r\n' + OK
    with Scripted([(r"^UID SEARCH RETURN \(ALL\) DELETED$", everyone)], capability=["ESEARCH"]) as server:
        assert Marks(Commands(server.session)).all(201_000) == set(range(1, 200_001))
    with Scripted([("^UID SEARCH DELETED$", b"* SEARCH 3 5\r\n" + OK)], capability=[]) as server:
        assert Marks(Commands(server.session)).all(201_000) == {3, 5}


def test_marks_are_put_on_and_taken_off_for_giving_them_back() -> None:
    """By UID, in one command; a refusal is an error of the mailbox, nothing to do sends nothing."""
    script = [("^UID STORE 3:5,9 \\+F", OK), ("^UID STORE 9 -F", OK), ("^UID STORE 9 -F", b"TAG NO x\r\n")]
    with selected(*script) as (server, box):
        box.mark([UID(9), UID(3), UID(4), UID(5), UID(9)], deleted=True)
        box.mark([UID(9)], deleted=False)
        box.mark([], deleted=True)
        with pytest.raises(MailboxError, match="x"):
            box.mark([UID(9)], deleted=False)
    assert len(server.commands) == 4


TRASH = Mailbox("Bin", b"Bin")
FOUND = b"* 1 FETCH (UID 4 X-GM-MSGID 107)\r\n* 2 FETCH (UID 5 X-GM-MSGID 108)\r\n* 3 FETCH (X-GM-MSGID 109)\r\n"


@pytest.mark.parametrize(
    ("into", "answer", "back", "found"),
    [
        (OK, FOUND + OK, True, {"107": 4}),
        (OK, OK, True, {}),
        (b"TAG NO x\r\n", None, True, MailboxError),
        (OK, b"TAG NO x\r\n", True, MailboxError),
        (OK, b"* BYE TAG\r\n", False, UnreachableError),
        (b"<CUT>TAG", None, False, UnreachableError),
        (OK, b"what TAG\r\n", False, ProtocolError),
    ],
)
def test_the_trash_is_looked_through_by_ids(
    into: bytes, answer: bytes | None, back: bool, found: dict[str, int] | type[MailarchiveError]
) -> None:
    """Afterwards the mailbox is open again, but after an error on the line nothing more is sent."""
    again = ('^SELECT "INBOX"', SELECT[1].replace(b"9 EXISTS", b"8 EXISTS"))
    script = [('^SELECT "Bin"', b"* 3 EXISTS\r\n" + into), ("X-GM-MSGID", answer or b""), again]
    expected = [
        "SELECT",
        "SELECT",
        *(["UID FETCH 1:4294967295 (UID X-GM-MSGID)"] if answer else []),
        *["SELECT"] * back,
    ]
    with selected(*script, capability=GMAIL) as (server, box):
        if isinstance(found, dict):
            assert box.in_trash({"107", "109"}, TRASH) == found
        else:
            with pytest.raises(found):
                box.in_trash({"107", "109"}, TRASH)
        assert box.status.exists == (8 if back else 9)
    assert [command.partition(' "')[0] for command in server.commands] == expected
