"""Whatever an IMAP server answers, it is read, or is an error of ours, and nothing waits for ever (row 128).

Law of this room: what is read keeps what its type promises. Valid answers are changed in a few octets, spliced and cut
short, and come in pieces of any size.
"""

from __future__ import annotations

import imaplib
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailarchive.address import Security, ServerAddress
from mailarchive.errors import SignInError
from mailarchive.extras import Appending
from mailarchive.messages import Messages, Remembered
from mailarchive.model import (
    INBOX,
    SEEN,
    UID,
    Criteria,
    Mailbox,
    MailboxStatus,
    NotFetched,
    RemoteMessage,
)
from mailarchive.secret import Secret
from mailarchive.sources import imap, imap_append, imap_expunge, imap_fetch, imap_follow, imap_items, imap_list
from mailarchive.sources.imap_gate import Gate, Phase
from mailarchive.sources.imap_session import Session, _authenticate, _capability, _greet, enter
from tests.property.mutation import ADDRESS, CAPABILITY, CUTS, commands_of, line_of, nearly, only_ours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.sources.imap_commands import Commands

BOX = Mailbox(INBOX, b"INBOX")
TLS = ServerAddress("imap", Security.TLS, "imap.example.org", 993, "me")
WHEN = datetime(2014, 3, 1, 9, tzinfo=UTC)
DATE = b'INTERNALDATE "01-Mar-2014 10:00:00 +0100"'
TOKENS = [
    *(b"\r\n", b"* ", b"M1 OK x\r\n", b"M2 OK x\r\n", b"M1 NO [INUSE] x\r\n", b"* BYE x\r\n", b"+ go\r\n", b"(", b")"),
    *(b'"', b"\\", b"{3}\r\n", b"{0}\r\n", b"{99999999999999999999}\r\n", b"{5+}\r\n", b"~{4}\r\n", b"NIL", b" "),
    *(b"* 1 FETCH (", b"UID 1", b"UID 0", b"UID 4294967296", b"UID -1", b"FLAGS (", b"BODY[] ", b"RFC822.SIZE 5"),
    *(b"BODY[HEADER.FIELDS (DATE)] ", b"* 3 EXPUNGE\r\n", b"* 9 EXISTS\r\n", b"* SEARCH 1 2", b"* ESEARCH ", b"ALL "),
    *(b"1:4294967295", b"1_0", b"+1", b"*", b"COUNT 5", b"* LIST () ", b"&AAA-", b"&", b"\xff", b"\0", b"[", b"]"),
    *(
        b"* OK [UIDVALIDITY 7] x\r\n",
        b"* VANISHED 1:3\r\n",
        b"* QUOTA x (STORAGE 1 2)\r\n",
        b"X-GM-MSGID 5",
        b"EMAILID (M1)",
    ),
]
OK = b"M1 OK done\r\n"
MANY = settings(max_examples=250)


def body(uid: int, octets: bytes, flags: bytes = rb"\Seen kw") -> bytes:
    """Make the answer with a message."""
    head = b"* %d FETCH (UID %d FLAGS (%s) " % (uid, uid, flags) + DATE
    return head + b" BODY[] {%d}\r\n" % len(octets) + octets + b")\r\n"


def fact(uid: int) -> bytes:
    """Make the answer with the facts of a message."""
    return b"* %d FETCH (UID %d FLAGS () " % (uid, uid) + DATE + b" RFC822.SIZE 10 MODSEQ (5))\r\n"


BODIES = [
    b"".join(body(uid, b"From: a\r\n\r\nhello %d\r\n" % uid) for uid in range(1, 6)) + OK,
    b'* 1 FETCH (BODY[] "short" UID 1)\r\n* 2 FETCH (UID 2 BODY[] NIL)\r\n'
    b'* 3 FETCH (UID 3 X (a (b "c")) BODY[] {0}\r\n)\r\n' + OK,
    body(1, b"x" * 300) + b"M1 NO [SERVERBUG] x\r\n" + body(2, b"x") + b"M2 OK\r\n" + b"M3 NO x\r\nM4 OK\r\nM5 OK\r\n",
]
FACTS = [
    b"".join(map(fact, (1, 2, 3, 4, 5))) + OK,
    b"* 1 FETCH (UID 3 INTERNALDATE NIL FLAGS (NIL a) RFC822.SIZE -1)\r\n* 1 FETCH (FLAGS ())\r\n" + OK,
    b"* 1 FETCH (UID 1 X-GM-MSGID 12345 X-GM-LABELS (a {3}\r\nb c))\r\n* 2 FETCH (UID 2 EMAILID (M2))\r\n"
    + fact(2)
    + OK,
]
HEADERS = [
    b"* 1 FETCH (UID 1 FLAGS () BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM)]<0> {13}\r\nDate: x\r\n\r\nab)\r\n" + OK,
    b'* 2 FETCH (UID 2 BODY[HEADER.FIELDS (DATE)] "Date: x" X {2}\r\nab)\r\n* 3 FETCH (UID 3 BODY[HEADER] NIL)\r\n'
    + OK,
]
LISTS = [
    b'* LIST (\\HasNoChildren) "/" INBOX\r\n* LIST (\\Sent \\X) "/" "Se&AOQ-nt \\"x"\r\n* LIST () NIL {4}\r\na/b&\r\n'
    b'* LIST (\\NoSelect) "." Trash (CHILDINFO (a))\r\n' + OK,
    (
        b'* NAMESPACE (("" "/")) (("Other/" "/")) NIL\r\nM1 OK x\r\n'
        b'* LIST () "/" Other/x\r\n* LIST () "/" "&ZeVnLIqe-"\r\nM2 OK\r\n'
    ),
]
HITS = [
    b"* SEARCH 1 2 3 4 5 (MODSEQ 917)\r\n" + OK,
    b'* ESEARCH (TAG "M1") UID COUNT 5 ALL 1:3,4,5\r\n' + OK,
    b"* ESEARCH UID COUNT 0\r\n* SEARCH\r\n" + OK,
]
OPENED = [
    (
        b"* 5 EXISTS\r\n* FLAGS (a b)\r\n* OK [PERMANENTFLAGS (\\Deleted \\*)] x\r\n* OK [UIDVALIDITY 7] x\r\n"
        b"* OK [UIDNEXT 6] x\r\n* OK [HIGHESTMODSEQ 9] x\r\nM1 OK [READ-WRITE] done\r\n"
    ),
    b"* 0 EXISTS\r\n* OK [UIDNOTSTICKY] x\r\nM1 OK [READ-ONLY] x\r\nM2 OK x\r\n* 1 EXISTS\r\nM3 OK\r\n",
]
QUOTAS = [b'* QUOTAROOT INBOX ""\r\n* QUOTA "" (STORAGE 10 512 MESSAGE 5 {2}\r\n10)\r\n' + OK]
TAG = imaplib.Int2AP(4096)
"""What imaplib begins its tags with, where it draws this number."""
HELLO = b"* OK hi\r\n* CAPABILITY IMAP4rev1 %s\r\n" + TAG + b"0 OK x\r\n"
END = b"* CAPABILITY IMAP4rev1 QUOTA\r\nCAP OK x\r\n"
SIGN_INS = [
    HELLO % b"AUTH=PLAIN" + b"+ \r\n" + TAG + b"1 OK in\r\n" + END,
    HELLO % b"AUTH=XOAUTH2" + b"+ \r\n+ eyJzdGF0dXMiOiI0MDAifQ==\r\n" + TAG + b"1 NO [AUTHENTICATIONFAILED] no\r\n",
    HELLO % b"X" + b"* X {3}\r\nabc\r\n" + TAG + b"1 OK in\r\n" + END,
    b"* PREAUTH hi\r\n" + END,
    HELLO % b"AUTH=PLAIN" + b"+ \r\n" + TAG + b"1 NO b'no'\r\n",
]
WORDS = [
    *TOKENS,
    TAG,
    TAG + b"1 OK x\r\n",
    TAG + b"1 NO ",
    TAG + b"1 BAD ",
    TAG + b"0 OK x\r\n",
    b"CAP OK x\r\n",
    b"b'",
    b"+ ",
    b"=",
    b"[ALERT]",
]


def fetched(commands: Commands) -> Iterator[tuple[int, int]]:
    """Fetch five messages; gives the UID and the octets of each that comes, and checks what the reader promises."""
    wanted = [RemoteMessage(UID(uid), 20, WHEN, frozenset({SEEN})) for uid in range(1, 6)]
    seen: set[int] = set()
    for arrival in imap_fetch.bodies(commands, wanted):
        if isinstance(arrival, NotFetched):
            assert arrival.uid in range(1, 6)
            number = int(arrival.uid)
        else:
            octets = sum(len(chunk) for chunk in arrival.chunks())
            assert octets == arrival.size > 0
            message = arrival.message
            assert message.internal_date is None or message.internal_date.tzinfo is not None
            number = int(message.uid)
        # Each once, and only what was asked for.
        assert number in range(1, 6)
        assert number not in seen
        seen.add(number)
        yield number, 0
    assert seen == set(range(1, 6))


@MANY
@given(nearly(BODIES, TOKENS), CUTS)
def test_f128_bodies_of_messages(octets: bytes, sizes: list[int]) -> None:
    """Each message that was asked for comes once, with as many octets as were announced, or the reader raises."""
    with only_ours():
        list(fetched(commands_of(octets, sizes)))


def sane(messages: Sequence[RemoteMessage]) -> None:
    """Check what a listing promises: ascending UIDs that can be, each once, dates that are aware."""
    uids = [int(message.uid) for message in messages]
    assert uids == sorted(set(uids))
    assert all(1 <= uid < 2**32 for uid in uids)
    assert all(message.size is None or message.size >= 0 for message in messages)
    assert all(message.internal_date is None or message.internal_date.tzinfo for message in messages)
    assert all(SEEN not in flags or "\\seen" not in flags for message in messages if (flags := message.flags))


@MANY
@given(nearly([*FACTS, *HITS], TOKENS), CUTS, st.sampled_from(["", "SEEN", "before"]), st.sampled_from([5, 20_000]))
def test_f128_listings(octets: bytes, sizes: list[int], how: str, exists: int) -> None:
    """Of everything, of what a user searches, and narrowed by date."""
    criteria = Criteria(received_before=WHEN) if how == "before" else Criteria(imap_search=how)
    lister = imap_list.Lister(commands_of(octets, sizes), MailboxStatus(exists, 7, 30_000), "INBOX")
    with only_ours():
        messages = lister.listing(criteria)
        sane(messages)
        assert len(messages) <= exists + imap_list.WINDOW


@MANY
@given(nearly([*FACTS, *HITS], TOKENS), CUTS)
def test_f128_what_has_changed(octets: bytes, sizes: list[int]) -> None:
    """A mailbox that is followed is as sane as one that is listed, and as large as it should be."""
    commands = commands_of(octets, sizes)
    known = Messages(RemoteMessage(UID(uid), 10, WHEN, frozenset()) for uid in (1, 2, 4))
    status = MailboxStatus(5, 7, 6, highestmodseq=9)
    lister = imap_list.Lister(commands, status, "INBOX")
    before = Remembered(MailboxStatus(3, 7, 5, highestmodseq=8), WHEN, known)
    with only_ours():
        messages = imap_follow.follow(commands, status, lister, before)
        if messages is not None:
            sane(messages)
            assert len(messages) == 5 - commands.expunged


@MANY
@given(nearly([*HEADERS, *FACTS], TOKENS), CUTS)
def test_f128_headers_and_probes(octets: bytes, sizes: list[int]) -> None:
    """Headers are those of messages that were asked for, each once, and no longer than they may be."""
    with only_ours():
        given_ = list(imap_items.headers(commands_of(octets, sizes), [1, 2, 3]))
        assert len(given_) == len({uid for uid, _ in given_})
        assert all(uid in (1, 2, 3) and len(head) <= 64 * 1024 for uid, head in given_)
    with only_ours():
        for sighting in imap_items.sightings(commands_of(octets, sizes), [1, 2, 3]):
            assert 1 <= int(sighting.message.uid) < 2**32


@MANY
@given(nearly(LISTS, TOKENS), CUTS)
def test_f128_names_of_mailboxes(octets: bytes, sizes: list[int]) -> None:
    """Every name is there once, and can be sent back to the server."""
    with only_ours():
        boxes, unread = imap_list.mailboxes(commands_of(octets, sizes))
        assert len({box.name for box in boxes}) == len(boxes)
        assert not any(octet in box.wire for box in boxes for octet in b"\r\n\0")
        assert all(box.wire and box.name for box in boxes)
        assert all(isinstance(sentence, str) for sentence in unread)


@MANY
@given(nearly(HITS, TOKENS), CUTS)
def test_f128_answers_to_searches(octets: bytes, sizes: list[int]) -> None:
    """Only what was asked about is found; marks are UIDs that can be."""
    with only_ours():
        assert set(imap_list.found(commands_of(octets, sizes), [1, 2, 3], b"")) <= {1, 2, 3}
    with only_ours():
        marked = imap_expunge.Marks(commands_of(octets, sizes)).all(1000)
        assert all(1 <= int(uid) < 2**32 for uid in marked)
        assert len(marked) <= 1000


@MANY
@given(nearly([*OPENED, *QUOTAS], TOKENS), CUTS, st.booleans())
def test_f128_opening_a_mailbox_and_its_quota(octets: bytes, sizes: list[int], writable: bool) -> None:
    """Numbers are in their ranges, and a mailbox that is opened to read is never writable."""
    source = imap.ImapSource(session_of(octets, sizes), Phase.DELETING)
    with only_ours(), (source.select if writable else source.open)(BOX) as box:
        status = box.status
        assert 0 <= status.exists <= imap.MOST_MESSAGES
        assert status.writable <= writable
        assert all(each is None or 0 < each < 2**32 for each in (status.uidvalidity, status.uidnext))
        assert status.highestmodseq is None or 0 < status.highestmodseq < 2**63
    source = imap.ImapSource(session_of(octets, sizes))
    with only_ours():
        quota = source.quota()
        assert quota is None or quota.limit > 0 <= quota.used


def session_of(octets: bytes, sizes: Sequence[int] = (100_000,)) -> Session:
    """Make a session whose server says this."""
    return Session(line_of(octets, sizes), ADDRESS, CAPABILITY)


@MANY
@given(
    nearly(
        [b"+ go\r\nM1 OK [APPENDUID 7 5] x\r\nM2 OK\r\n", b"M1 NO [OVERQUOTA] x\r\n", b"M1 OK [APPENDUID 7 0]\r\n"],
        TOKENS,
    ),
    CUTS,
)
def test_f128_answers_to_append(octets: bytes, sizes: list[int]) -> None:
    """A UID is one that can be, or is not known."""
    commands = commands_of(octets, sizes)
    commands.gate = Gate(Phase.RESTORING)
    with only_ours():
        uid = imap_append.append(commands, BOX, Appending(4, lambda: iter([b"text"]), frozenset({SEEN}), WHEN))
        assert uid is None or 1 <= int(uid) < 2**32


@MANY
@given(nearly(SIGN_INS, WORDS), CUTS, st.booleans())
def test_f128_sign_ins(octets: bytes, sizes: list[int], token: bool) -> None:
    """What imaplib and imapclient make of them is an error of ours, too."""
    with only_ours():
        assert signed_in(octets, sizes, token=token)
    with only_ours():
        assert enter(line_of(octets, sizes), TLS).capability


@pytest.mark.parametrize(
    "words", [b"b''" + b"-" * 60_000 + b"1", b"b''" + b"+-" * 30_000 + b"1"], ids=["minus", "plus"]
)
def test_f128_a_refusal_that_looks_like_python(words: bytes) -> None:
    """The sentence of a server is read as Python shows octets, and as nothing else that Python can read."""
    octets = HELLO % b"AUTH=PLAIN" + b"+ \r\n" + TAG + b"1 NO " + words + b"\r\n"
    with pytest.raises(SignInError):
        signed_in(octets, [100_000])


def signed_in(octets: bytes, sizes: Sequence[int], *, token: bool = False) -> frozenset[str]:
    """Sign in to a server that says this; gives what it can do."""
    with mock.patch.object(random, "randint", return_value=4096):
        wire = line_of(octets, sizes)
        client = _greet(wire)
        _authenticate(wire, client, TLS, Secret("secret", is_token=token))
        return _capability(wire)


def test_the_answers_that_are_changed_can_be_read() -> None:
    """Else the tests above would change what is wrong already."""
    assert all(len(list(fetched(commands_of(octets)))) == 5 for octets in BODIES[:1])
    lister = imap_list.Lister(commands_of(FACTS[0]), MailboxStatus(5, 7, 6), INBOX)
    assert (len(lister.listing(Criteria())), lister.doubts) == (5, [])
    assert [uid for uid, _ in imap_items.headers(commands_of(HEADERS[0]), [1])] == [1]
    assert [uid for uid, _ in imap_items.headers(commands_of(HEADERS[1]), [2])] == [2]
    capability = CAPABILITY - {"NAMESPACE"}
    assert len(imap_list.mailboxes(commands_of(LISTS[0], capability=capability))[0]) == 4
    assert len(imap_list.mailboxes(commands_of(LISTS[1]))[0]) == 2
    assert len(imap_list.found(commands_of(HITS[0]), [1, 2, 3], b"")) == 3
    assert len(imap_list.found(commands_of(HITS[1]), [1, 2, 3], b"")) == 3
    with imap.ImapSource(session_of(OPENED[0])).open(BOX) as box:
        assert box.steady
    quota = imap.ImapSource(session_of(QUOTAS[0])).quota()
    assert quota is not None
    assert quota.used == 10 * 1024
    assert signed_in(SIGN_INS[0], [1000]) == signed_in(SIGN_INS[2], [7]) == {"IMAP4REV1", "QUOTA"}
    with pytest.raises(SignInError, match="400"):
        signed_in(SIGN_INS[1], [1000], token=True)
    assert enter(line_of(SIGN_INS[3]), TLS).capability
