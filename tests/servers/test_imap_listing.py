"""How mailboxes and messages are listed, from servers that answer oddly or lie (RFC 9051 sections 6.3.9, 6.4.4)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from mailarchive.errors import LaterError, MailboxError, ProtocolError, UnreachableError
from mailarchive.model import Criteria, Mailbox, MailboxStatus, Quota
from mailarchive.sources import imap_list, uid_set
from mailarchive.sources.imap import ImapSource
from mailarchive.sources.imap_commands import Commands
from tests.servers.scripted import Scripted

OK = b"TAG OK done\r\n"
CUT = datetime(2025, 11, 23, tzinfo=UTC)
BOX = Mailbox("INBOX", b"INBOX", "/")


def facts(*uids: int) -> bytes:
    """Write the listing of messages."""
    line = b'* %d FETCH (UID %d FLAGS () INTERNALDATE "01-Mar-2014 10:00:00 +0000" RFC822.SIZE 10)\r\n'
    return b"".join(line % (index + 1, uid) for index, uid in enumerate(uids))


def listed(server: Scripted, exists: int, criteria: Criteria | None = None) -> tuple[list[int], list[str]]:
    """List a mailbox; gives UIDs and doubts."""
    lister = imap_list.Lister(Commands(server.session), MailboxStatus(exists, 1), "INBOX")
    found = lister.listing(criteria or Criteria())
    return [int(message.uid) for message in found], lister.doubts


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (rb'(\HasNoChildren) "/" INBOX', Mailbox("INBOX", b"INBOX", "/")),
        (rb'() "/" inbox', Mailbox("INBOX", b"inbox", "/")),
        (
            rb'(\Trash) "." "INBOX.Papierkorb"',
            Mailbox("INBOX.Papierkorb", b"INBOX.Papierkorb", ".", frozenset({"\\Trash"})),
        ),
        (rb'(\noselect) "/" "[Gmail]"', Mailbox("[Gmail]", b"[Gmail]", "/", selectable=False)),
        (rb'(\NonExistent) "/" gone', Mailbox("gone", b"gone", "/", selectable=False)),
        (rb"() NIL flat", Mailbox("flat", b"flat", None)),
        (rb'() "/" "&AMk-t&AOk-"', Mailbox("Été", b"&AMk-t&AOk-", "/")),
        (rb'() "/" "a&-b"', Mailbox("a&b", b"a&-b", "/")),
        (rb'() "/" "bad&name"', Mailbox("bad&name", b"bad&name", "/")),
        (rb'() "/" "&AAAA-x"', Mailbox("&AAAA-x", b"&AAAA-x", "/")),
        ('() "/" "Été"'.encode(), Mailbox("Été", "Été".encode(), "/")),
        (b'() "/" "\xe9"', Mailbox("\\xe9", b"\xe9", "/")),
        (b'() "/" {7}\r\nlit\\"al', Mailbox('lit\\"al', b'lit\\"al', "/")),
        (rb'() "/" "quo\"te"', Mailbox('quo"te', b'quo"te', "/")),
        (rb'() "/" 2014', Mailbox("2014", b"2014", "/")),
        (rb'() "/" "x" ("CHILDINFO" ("SUBSCRIBED"))', Mailbox("x", b"x", "/")),
        (rb'() "/" "Other/anna/INBOX"', Mailbox("Other/anna/INBOX", b"Other/anna/INBOX", "/", personal=False)),
    ],
)
def test_a_line_of_the_list_is_read(line: bytes, expected: Mailbox) -> None:
    """Names in every form: quoted, literal, modified UTF-7, raw UTF-8, invalid; attributes in any case."""
    namespace = b'* NAMESPACE (("" "/")) (("Other/" "/")) (("Shared/" "/"))\r\n' + OK
    script = [("NAMESPACE", namespace), ("LIST", b"* LIST " + line + b"\r\n" + OK)]
    with Scripted(script, capability=["NAMESPACE"]) as server:
        found, unread = imap_list.mailboxes(Commands(server.session))
    assert (found, unread) == ([expected], [])


@pytest.mark.parametrize(
    "line", [b"* LIST junk\r\n", b'* LIST () "/"\r\n', b'* LIST () "/" ""\r\n', b'* LIST ( "/" x\r\n']
)
def test_a_line_that_cannot_be_read_costs_that_line(line: bytes) -> None:
    """It is told, and the others are listed."""
    good = b'* LIST () "/" good\r\n'
    with Scripted([("LIST", good + line + good.replace(b"good", b"more") + OK)], capability=[]) as server:
        found, unread = imap_list.mailboxes(Commands(server.session))
    assert [mailbox.name for mailbox in found] == ["good", "more"]
    assert len(unread) == 1


def test_too_many_mailboxes_and_too_long_names_have_caps() -> None:
    """A name of over 1,000 octets is skipped and told; over 10,000 mailboxes stop the account."""
    long = b'* LIST () "/" "' + b"x" * 1001 + b'"\r\n'
    with Scripted([("LIST", long + OK)], capability=[]) as server:
        assert imap_list.mailboxes(Commands(server.session)) == ([], ["a mailbox name of 1001 octets was skipped"])
    many = b"".join(b'* LIST () "/" b%d\r\n' % number for number in range(10_001))
    with Scripted([("LIST", many + OK)], capability=[]) as server, pytest.raises(ProtocolError, match="10000"):
        imap_list.mailboxes(Commands(server.session))


def test_special_use_is_asked_for_where_it_must_be() -> None:
    """RETURN (SPECIAL-USE) with LIST-EXTENDED, the plain form otherwise."""
    answer = b'* LIST (\\Junk) "/" Spam\r\n' + OK
    for capability, wanted in ((["LIST-EXTENDED", "SPECIAL-USE"], " RETURN (SPECIAL-USE)"), (["SPECIAL-USE"], "")):
        with Scripted([("LIST", answer)], capability=capability) as server:
            imap_list.mailboxes(Commands(server.session))
        assert server.commands == [f'LIST "" "*"{wanted}']


def test_without_a_narrowing_everything_is_listed_and_counted() -> None:
    """One window, no SEARCH; a count that is short of EXISTS is a doubt."""
    with Scripted([("UID FETCH 1:4294967295 ", facts(1, 2, 9) + OK)]) as server:
        assert listed(server, 3) == ([1, 2, 9], [])
    with Scripted([("UID FETCH 1:4294967295 ", facts(1, 2) + OK)]) as server:
        uids, doubts = listed(server, 3)
    assert uids == [1, 2]
    assert doubts == ["the server lists 2 of 3 messages"]


def test_an_empty_mailbox_is_not_asked_for_anything() -> None:
    """EXISTS 0."""
    with Scripted([]) as server:
        assert listed(server, 0) == ([], [])
        assert server.commands == []


NARROW = Criteria(received_before=CUT)


def test_a_search_narrows_by_two_days_more_than_asked() -> None:
    """The control question is answered right: BEFORE is sent two days late, and only its hits are listed."""
    script = [
        (r"UID SEARCH RETURN \(COUNT\) BEFORE 23-Nov-2025", b'* ESEARCH (TAG "x") UID COUNT 2\r\n' + OK),
        (r"UID SEARCH RETURN \(COUNT\) SINCE 23-Nov-2025", b'* ESEARCH (TAG "x") UID COUNT 1\r\n' + OK),
        (r"UID SEARCH RETURN \(ALL\) BEFORE 25-Nov-2025", b'* ESEARCH (TAG "x") UID ALL 1:2\r\n' + OK),
        (r"UID FETCH 1:2 ", facts(1, 2) + OK),
    ]
    with Scripted(script) as server:
        assert listed(server, 3, NARROW) == ([1, 2], [])
        assert server.unexpected == []


def test_a_search_that_does_not_add_up_is_not_used() -> None:
    """Domino finds nothing by age: 0 + 0 is not 3, so everything is listed."""
    none = b'* ESEARCH (TAG "x") UID COUNT 0\r\n' + OK
    with Scripted(
        [("COUNT.*BEFORE", none), ("COUNT.*SINCE", none), ("UID FETCH 1:4294967295 ", facts(1, 2, 3) + OK)]
    ) as server:
        assert listed(server, 3, NARROW) == ([1, 2, 3], [])


@pytest.mark.parametrize("answer", [b"TAG NO [SERVERBUG] SEARCH\r\n", b"TAG BAD unknown command\r\n"])
def test_a_server_that_cannot_search_is_listed(answer: bytes) -> None:
    """SEARCH refused: everything is listed instead."""
    with Scripted([("SEARCH", answer), ("UID FETCH 1:4294967295 ", facts(1, 2, 3) + OK)]) as server:
        assert listed(server, 3, NARROW) == ([1, 2, 3], [])


def test_without_esearch_every_line_of_the_answer_counts() -> None:
    """Several SEARCH lines are merged; an empty one, and none at all, are no hits."""
    script = [
        ("BEFORE 23-Nov", b"* SEARCH 1 2\r\n* SEARCH\r\n* SEARCH 5\r\n" + OK),
        ("SINCE 23-Nov", OK),
        ("BEFORE 25-Nov", b"* SEARCH 5 1\r\n* SEARCH 2\r\n" + OK),
        ("UID FETCH 1:2,5 ", facts(1, 2, 5) + OK),
    ]
    with Scripted(script, capability=["IMAP4REV1"]) as server:
        assert listed(server, 3, NARROW) == ([1, 2, 5], [])
        assert server.unexpected == []


def test_a_user_search_is_sent_as_one_key_and_trusted_alone() -> None:
    """--imap-search cannot be judged here: what the server finds is listed."""
    script = [
        (
            r"UID SEARCH RETURN \(ALL\) \(KEYWORD x OR SEEN FLAGGED\) BEFORE 25-Nov-2025",
            b"* ESEARCH UID ALL 2\r\n" + OK,
        ),
        (r"UID FETCH 2 ", facts(2) + OK),
    ]
    with Scripted(script) as server:
        criteria = Criteria(received_before=CUT, imap_search="KEYWORD x OR SEEN FLAGGED")
        assert listed(server, 3, criteria) == ([2], [])
    with Scripted([("SEARCH", b"TAG BAD no such key\r\n")]) as server, pytest.raises(MailboxError, match="no such key"):
        listed(server, 3, Criteria(imap_search="FOO"))


def test_a_large_mailbox_is_listed_in_windows_of_uids() -> None:
    """25,000 messages: the borders are asked for once, then three windows; MESSAGELIMIT makes them smaller."""
    script = [
        (r"UID SEARCH RETURN \(ALL\) 10001,20001$", b"* ESEARCH UID ALL 30000,60000\r\n" + OK),
        ("UID FETCH 1:29999 ", facts(1) + OK),
        ("UID FETCH 30000:59999 ", facts(30_000) + OK),
        ("UID FETCH 60000:4294967295 ", facts(60_000) + OK),
    ]
    with Scripted(script) as server:
        uids, _ = listed(server, 25_000)
        assert server.unexpected == []
    assert uids == [1, 30_000, 60_000]
    with Scripted([("SEARCH", b"* ESEARCH UID ALL 7\r\n" + OK)], capability=["ESEARCH", "MESSAGELIMIT=2"]) as server:
        with pytest.raises(MailboxError):
            listed(server, 3)
        assert server.commands[0].endswith(" 3")
        assert server.commands[1].startswith("UID FETCH 1:6 ")


def test_a_uid_with_two_faces_is_left_alone() -> None:
    """The same UID with different facts: told, and not fetched."""
    two = facts(1, 2) + facts(2).replace(b"SIZE 10", b"SIZE 11")
    with Scripted([("UID FETCH", two + OK)]) as server:
        uids, doubts = listed(server, 2)
    assert uids == [1]
    assert any("twice" in doubt for doubt in doubts)


@pytest.mark.parametrize("text", [b"0", b"*", b"1:*", b"a", b"", b"4294967296", b"1:4294967295", b"1,,2", b"-1"])
def test_a_set_that_cannot_be_is_a_protocol_error(text: bytes) -> None:
    """Ranges of billions do not grow in memory."""
    with pytest.raises(ProtocolError):
        uid_set.parse(text, most=1000)


def test_sets_are_compressed_and_cut() -> None:
    """Only UIDs that were asked for, in ranges, within octets and number; parsing gives them back."""
    uids = [1, 2, 3, 7, *range(100, 3000), 5000]
    parts = list(uid_set.commands(uids, octets=7000))
    assert [uid for _, part in parts for uid in part] == uids
    for text, part in parts:
        assert uid_set.parse(text, most=10_000) == list(part)
        assert len(part) <= 1000
    odd = list(range(1, 100_000, 2))
    parts = list(uid_set.commands(odd, octets=100))
    assert all(len(text) <= 100 for text, _ in parts)
    assert [uid for _, part in parts for uid in part] == odd
    assert list(uid_set.commands([], octets=100)) == []


EXAMINED = (
    b"* FLAGS (\\Seen)\r\n* 5 EXISTS\r\n* OK [UIDVALIDITY 77] ok\r\n* OK [UIDNEXT 9] {3}\r\n"
    b"* OK [HIGHESTMODSEQ 123]\r\n* OK [PERMANENTFLAGS ()] (unbalanced\r\nTAG OK [READ-ONLY] done\r\n"
)


def test_a_mailbox_is_opened_read_only() -> None:
    """EXAMINE with the name as the server sent it; what it says is read, odd texts included."""
    with Scripted([(re.escape('EXAMINE "a\\"b"'), EXAMINED)]) as server:
        with ImapSource(server.session).open(Mailbox('a"b', b'a"b')) as box:
            assert box.status == MailboxStatus(5, 77, 9, 123)
        assert server.unexpected == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"TAG NO no such mailbox\r\n", MailboxError),
        (b"TAG NO [INUSE] locked\r\n", LaterError),
        (b"* BYE away\r\n", UnreachableError),
        (b"<CUT>", UnreachableError),
    ],
)
def test_a_mailbox_that_does_not_open(answer: bytes, error: type[Exception]) -> None:
    """Its own error by what it stops."""
    with Scripted([("EXAMINE", answer)]) as server:
        opened = ImapSource(server.session).open(BOX)
        with pytest.raises(error), opened:
            pass


def test_a_mailbox_without_uidvalidity_can_be_read() -> None:
    """None is "the server does not say", also for 0; UIDNOTSTICKY is kept."""
    answer = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 0] x\r\n* NO [UIDNOTSTICKY] y\r\nTAG OK done\r\n"
    with Scripted([("EXAMINE", answer)]) as server, ImapSource(server.session).open(BOX) as box:
        assert box.status.uidvalidity is None
        assert not box.status.uids_stick


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            b'* QUOTAROOT INBOX "user"\r\n* QUOTA "user" (STORAGE 900 1000 MESSAGE 5 10)\r\n',
            Quota(900 * 1024, 1000 * 1024),
        ),
        (b"* QUOTA a (STORAGE 1 100)\r\n* QUOTA b (STORAGE 90 100)\r\n", Quota(90 * 1024, 100 * 1024)),
        (b"* QUOTAROOT INBOX\r\n", None),
        (b"* QUOTA a ()\r\n", None),
        (b"* QUOTA a (STORAGE x 10)\r\n", None),
        (b"* QUOTA a (STORAGE 5 0)\r\n", None),
    ],
)
def test_the_fullest_quota_counts(answer: bytes, expected: Quota | None) -> None:
    """STORAGE in units of 1024 octets; none where the server has none."""
    with Scripted([("GETQUOTAROOT", answer + OK)], capability=["QUOTA"]) as server:
        assert ImapSource(server.session).quota() == expected
    with Scripted([]) as server:
        assert ImapSource(server.session).quota() is None
        assert server.commands == []


def test_an_alert_is_kept_for_the_user() -> None:
    """ALERT may come in any answer."""
    with Scripted([("EXAMINE", b"* OK [ALERT] system goes down\r\n" + EXAMINED)]) as server:
        source = ImapSource(server.session)
        with source.open(BOX):
            pass
        assert source.alerts == ["system goes down"]
