"""How mailboxes and messages are listed, from servers that answer oddly or lie (RFC 9051 sections 6.3.9, 6.4.4)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from mailarchive.errors import LaterError, MailboxError, ProtocolError, SignInError, UnreachableError
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
def test_f051_f052_a_line_of_the_list_is_read(line: bytes, expected: Mailbox) -> None:
    """Names in every form: quoted, literal, modified UTF-7, raw UTF-8, invalid; attributes in any case."""
    namespace = b'* NAMESPACE (("" "/")) (("Other/" "/")) (("Shared/" "/"))\r\n' + OK
    script = [("NAMESPACE", namespace), ("LIST", b"* LIST " + line + b"\r\n" + OK)]
    with Scripted(script, capability=["NAMESPACE"]) as server:
        found, unread = imap_list.mailboxes(Commands(server.session))
    assert (found, unread) == ([expected], [])


@pytest.mark.parametrize(
    "line", [b"* LIST junk\r\n", b'* LIST () "/"\r\n', b'* LIST () "/" ""\r\n', b'* LIST ( "/" x\r\n']
)
def test_f052_a_line_that_cannot_be_read_costs_that_line(line: bytes) -> None:
    """It is told, and the others are listed."""
    good = b'* LIST () "/" good\r\n'
    with Scripted([("LIST", good + line + good.replace(b"good", b"more") + OK)], capability=[]) as server:
        found, unread = imap_list.mailboxes(Commands(server.session))
    assert [mailbox.name for mailbox in found] == ["good", "more"]
    assert len(unread) == 1


@pytest.mark.parametrize("order", [(0, 1, 0), (1, 0, 1)])
def test_f052_names_that_decode_alike_are_two_mailboxes_in_any_order(order: tuple[int, ...]) -> None:
    """`a&-b` is `a&b`; what is `a&b` on the wire carries its octets, whichever is listed first."""
    both = (b'* LIST () "/" "a&-b"\r\n', b'* LIST () "/" "a&b"\r\n')
    with Scripted([("LIST", b"".join(both[n] for n in order) + OK)], capability=[]) as server:
        found, unread = imap_list.mailboxes(Commands(server.session))
    assert {box.name: box.wire for box in found} == {"a&b": b"a&-b", "a&b [612662]": b"a&b"}
    assert unread == []


def test_f052_a_name_that_is_taken_costs_no_mailbox_in_silence() -> None:
    """A real mailbox is called like the one that would be made up: it stays, and the other is told."""
    lines = b'* LIST () "/" "a&-b"\r\n* LIST () "/" "a&b"\r\n* LIST () "/" "a&-b [612662]"\r\n'
    with Scripted([("LIST", lines + OK)], capability=[]) as server:
        found, unread = imap_list.mailboxes(Commands(server.session))
    assert {box.wire for box in found} == {b"a&-b", b"a&-b [612662]"}
    assert len(unread) == 1


@pytest.mark.parametrize("uidnext", [None, 25_001])
def test_f070_a_large_mailbox_whose_places_cannot_be_searched_is_narrowed_all_the_same(uidnext: int | None) -> None:
    """OK and no hits for the places of the borders: the UIDs are cut evenly, or not at all, and nothing is lost."""
    script = [
        (r"\(COUNT ALL\) 10001,20001$", OK),
        *[(r"COUNT ALL\).*BEFORE", found(count=0))] * (2 if uidnext else 0),
        (r"COUNT ALL\).*BEFORE", found(count=1, uids=b"3")),
        *[(r"COUNT\).*SINCE", found(count=0))] * (2 if uidnext else 0),
        (r"COUNT\).*SINCE", found(count=24_999)),
        (r"UID FETCH 3 ", facts(3) + OK),
    ]
    with Scripted(script) as server:
        lister = imap_list.Lister(Commands(server.session), MailboxStatus(25_000, 1, uidnext), "INBOX")
        assert [int(message.uid) for message in lister.listing(NARROW)] == [3]
        assert server.unexpected == []


@pytest.mark.parametrize("name", [b"{6}\r\na\r\nb c", b'"a\0b"', b"{3}\r\na\nb"])
def test_f052_a_name_that_no_command_can_carry_is_skipped_and_told(name: bytes) -> None:
    """CR, LF and NUL in the name of a mailbox."""
    line = b'* LIST () "/" ' + name + b'\r\n* LIST () "/" good\r\n'
    with Scripted([("LIST", line + OK)], capability=[]) as server:
        found, unread = imap_list.mailboxes(Commands(server.session))
    assert [box.name for box in found] == ["good"]
    assert len(unread) == 1


def test_f053_a_giant_name_stops_the_account_and_is_not_read_as_answers() -> None:
    """A literal of 100 kB that holds a tagged OK: the list does not end in it."""
    giant = b"x\r\nM1 OK done\r\n" + b"y" * 100_000
    answer = b'* LIST () "/" {%d}\r\n' % len(giant) + giant + b"\r\n" + OK
    with Scripted([("LIST", answer)], capability=[]) as server, pytest.raises(ProtocolError, match="literal"):
        imap_list.mailboxes(Commands(server.session))


def test_f071_the_longest_namespace_decides_whose_a_mailbox_is() -> None:
    """`user/me/` is one's own although `user/` is other people's."""
    namespace = b'* NAMESPACE (("user/me/" "/")) (("user/" "/")) NIL\r\n' + OK
    lines = b'* LIST () "/" user/me/Old\r\n* LIST () "/" user/anna\r\n'
    with Scripted([("NAMESPACE", namespace), ("LIST", lines + OK)], capability=["NAMESPACE"]) as server:
        found, _ = imap_list.mailboxes(Commands(server.session))
    assert [(box.name, box.personal) for box in found] == [("user/me/Old", True), ("user/anna", False)]


def test_f053_too_many_mailboxes_and_too_long_names_have_caps() -> None:
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
OLD_ONES = r"UID SEARCH RETURN \(COUNT ALL\) BEFORE 25-Nov-2025"
YOUNG_ONES = r"UID SEARCH RETURN \(COUNT\) SINCE 25-Nov-2025"


def found(*, count: int | None = None, uids: bytes = b"") -> bytes:
    """Write an ESEARCH answer."""
    parts = [b"COUNT %d" % count] if count is not None else []
    return b'* ESEARCH (TAG "x") UID ' + b" ".join([*parts, *([b"ALL " + uids] if uids else [])]) + b"\r\n" + OK


def test_a_search_narrows_by_two_days_more_than_asked() -> None:
    """What is older than two days behind the cut-off, and the count of all others, add up: only the hits are listed."""
    script = [
        (OLD_ONES, found(count=2, uids=b"1:2")),
        (YOUNG_ONES, found(count=1)),
        (r"UID FETCH 1:2 ", facts(1, 2) + OK),
    ]
    with Scripted(script) as server:
        assert listed(server, 3, NARROW) == ([1, 2], [])
        assert server.unexpected == []


def test_two_bounds_are_searched_and_counted_together() -> None:
    """From and before: what lies outside is counted by OR."""
    script = [
        (r"BEFORE 25-Nov-2025 SINCE 30-Dec-2019$", found(count=1, uids=b"2")),
        (r"COUNT\) OR SINCE 25-Nov-2025 BEFORE 30-Dec-2019$", found(count=2)),
        (r"UID FETCH 2 ", facts(2) + OK),
    ]
    with Scripted(script) as server:
        criteria = Criteria(received_before=CUT, received_from=datetime(2020, 1, 1, tzinfo=UTC))
        assert listed(server, 3, criteria) == ([2], [])
        assert server.unexpected == []


@pytest.mark.parametrize(
    ("old", "young"),
    [
        (found(count=0), found(count=0)),
        (found(count=2, uids=b"1"), found(count=1)),
        (found(uids=b"1"), found(count=1)),
        (found(count=2), found(count=1)),
        (OK, found(count=1)),
        (found(count=2, uids=b"1:2"), OK),
        (b"TAG NO [SERVERBUG] SEARCH\r\n", b""),
        (found(count=2, uids=b"1:2"), b"TAG BAD unknown\r\n"),
    ],
)
def test_f070_a_search_that_does_not_add_up_is_not_used(old: bytes, young: bytes) -> None:
    """Nothing found by age, a list that is cut off, no answer at all, a refusal: everything is listed instead."""
    script = [(OLD_ONES, old), (YOUNG_ONES, young), ("UID FETCH 1:4294967295 ", facts(1, 2, 3) + OK)]
    with Scripted(script) as server:
        assert listed(server, 3, NARROW) == ([1, 2, 3], [])


def test_f070_without_esearch_every_line_of_the_answer_counts() -> None:
    """Several SEARCH lines are merged; an empty one, and none at all, are no hits; words that are no UIDs are none."""
    script = [
        ("BEFORE 25-Nov", b"* SEARCH 1 2\r\n* SEARCH\r\n* SEARCH 5 0 99999999999 (MODSEQ 7)\r\n" + OK),
        ("SINCE 25-Nov", OK),
        ("UID FETCH 1:2,5 ", facts(1, 2, 5) + OK),
    ]
    with Scripted(script, capability=["IMAP4REV1"]) as server:
        assert listed(server, 3, NARROW) == ([1, 2, 5], [])
        assert server.unexpected == []


def test_words_of_an_answer_may_be_in_lower_case() -> None:
    """The syntax of IMAP knows no case."""
    script = [
        (OLD_ONES, b"* esearch uid count 2 all 1:2\r\n" + OK),
        (YOUNG_ONES, b"* eSearch uid count 1\r\n" + OK),
        (r"UID FETCH 1:2 ", facts(1, 2) + OK),
    ]
    with Scripted(script) as server:
        assert listed(server, 3, NARROW) == ([1, 2], [])


def test_a_user_search_is_sent_as_one_key_and_must_be_whole() -> None:
    """--imap-search cannot be judged here: what the server finds is listed, and half an answer is an error."""
    keys = r"\(KEYWORD x OR SEEN FLAGGED\) BEFORE 25-Nov-2025$"
    criteria = Criteria(received_before=CUT, imap_search="KEYWORD x OR SEEN FLAGGED")
    with Scripted([(keys, found(count=1, uids=b"2")), (r"UID FETCH 2 ", facts(2) + OK)]) as server:
        assert listed(server, 3, criteria) == ([2], [])
    for answer in (found(count=2, uids=b"2"), OK):
        with Scripted([(keys, answer)]) as server, pytest.raises(MailboxError, match="not whole"):
            listed(server, 3, criteria)
    with Scripted([("SEARCH", b"TAG BAD no such key\r\n")]) as server, pytest.raises(MailboxError, match="no such key"):
        listed(server, 3, Criteria(imap_search="FOO"))


def test_what_is_found_and_not_listed_is_unknown_and_not_left_out() -> None:
    """Facts that do not come, or come without date and size: the message is there, and the listing is doubted."""
    bare = b"* 3 FETCH (UID 3 FLAGS (\\Seen))\r\n"
    script = [
        (OLD_ONES, found(count=3, uids=b"1:3")),
        (YOUNG_ONES, found(count=0)),
        (r"UID FETCH 1:3 ", facts(1) + bare + OK),
    ]
    with Scripted(script) as server:
        lister = imap_list.Lister(Commands(server.session), MailboxStatus(3, 1), "INBOX")
        messages = lister.listing(NARROW)
    assert [(int(m.uid), m.internal_date is None) for m in messages] == [(1, False), (2, True), (3, True)]
    assert lister.doubts == ["the server finds 1 messages and does not list them"]


def test_f070_where_the_search_finds_what_is_not_there_everything_is_listed() -> None:
    """One and the same answer to both searches adds up by chance; what is listed whole is believed."""
    for answer, uids, doubts in (
        (facts(1, 2), [1, 2], []),
        (facts(2), [2, 5], ["the server finds 1 messages and does not list them", "the server lists 1 of 2 messages"]),
    ):
        script = [
            (OLD_ONES, found(count=1, uids=b"5")),
            (YOUNG_ONES, found(count=1, uids=b"5")),
            (r"UID FETCH 5 ", OK),
            ("UID FETCH 1:4294967295 ", answer + OK),
        ]
        with Scripted(script) as server:
            assert listed(server, 2, NARROW) == (uids, doubts)


def test_f047_what_is_told_to_be_gone_after_the_search_is_no_doubt() -> None:
    """One of two is removed between SEARCH and FETCH, and the server says so: nothing else is asked for."""
    script = [
        (OLD_ONES, found(count=2, uids=b"1:2")),
        (YOUNG_ONES, found(count=0)),
        (r"UID FETCH 1:2 ", facts(1) + b"* 2 EXPUNGE\r\n" + OK),
    ]
    with Scripted(script) as server:
        assert listed(server, 2, NARROW) == ([1, 2], [])
        assert server.unexpected == []


def test_a_refused_listing_keeps_what_came_and_reads_every_answer() -> None:
    """Two commands on the way, the first refused: the line stays in order, the missing are unknown and doubted."""
    uids = list(range(1, 1301))
    script = [
        (OLD_ONES, found(count=1300, uids=b"1:1300")),
        (YOUNG_ONES, found(count=0)),
        (r"UID FETCH 1:1000 ", facts(1) + b"TAG NO some messages could not be fetched\r\n"),
        (r"UID FETCH 1001:1300 ", facts(*range(1001, 1301)) + OK),
    ]
    with Scripted(script) as server:
        commands = Commands(server.session)
        lister = imap_list.Lister(commands, MailboxStatus(1300, 1), "INBOX")
        assert [int(message.uid) for message in lister.listing(NARROW)] == uids
        assert not commands.busy
    assert lister.doubts == ["the server finds 999 messages and does not list them"]


def ask(server: Scripted, what: str) -> None:
    """Make the program send a command of this kind."""
    if what == "LIST":
        imap_list.mailboxes(Commands(server.session))
    else:
        listed(server, 3, NARROW if what == "SEARCH" else None)


@pytest.mark.parametrize("what", ["SEARCH", "FETCH", "LIST"])
def test_f033_a_server_that_asks_for_patience_gets_it(what: str) -> None:
    """Throttled while listing: later, whichever command it was."""
    no = b"TAG NO [THROTTLED] slow down\r\n"
    with Scripted([(what, no)]) as server, pytest.raises(LaterError, match="slow down"):
        ask(server, what)


def test_f040_f047_messages_that_others_remove_meanwhile_are_no_doubt() -> None:
    """EXPUNGE is told in the middle: the mailbox holds one less."""
    gone = b"* 2 EXPUNGE\r\n"
    with Scripted([("UID FETCH 1:4294967295 ", facts(1) + gone + facts(3) + OK)]) as server:
        assert listed(server, 3) == ([1, 3], [])


def test_f070_a_large_mailbox_is_listed_in_windows_of_uids() -> None:
    """25,000 messages: the borders are asked for once, then three windows; MESSAGELIMIT makes them smaller."""
    script = [
        (r"UID SEARCH RETURN \(COUNT ALL\) 10001,20001$", found(count=2, uids=b"30000,60000")),
        ("UID FETCH 1:29999 ", facts(1) + OK),
        ("UID FETCH 30000:59999 ", facts(30_000) + OK),
        ("UID FETCH 60000:4294967295 ", facts(60_000) + OK),
    ]
    with Scripted(script) as server:
        uids, _ = listed(server, 25_000)
        assert server.unexpected == []
    assert uids == [1, 30_000, 60_000]
    script = [
        (r"\(COUNT ALL\) 3$", found(count=1, uids=b"7")),
        ("UID FETCH 1:6 ", facts(1, 2) + OK),
        ("UID FETCH 7:", facts(7) + OK),
    ]
    with Scripted(script, capability=["ESEARCH", "MESSAGELIMIT=2"]) as server:
        assert listed(server, 3) == ([1, 2, 7], [])


def test_f070_a_large_mailbox_on_a_server_that_cannot_search() -> None:
    """SEARCH refused: the UIDs are cut evenly, up to UIDNEXT."""
    script = [
        ("SEARCH", b"TAG NO no\r\n"),
        ("UID FETCH 1:10000 ", facts(5) + OK),
        ("UID FETCH 10001:", facts(10_002) + OK),
    ]
    with Scripted(script) as server:
        lister = imap_list.Lister(Commands(server.session), MailboxStatus(10_002, 1, 10_003), "INBOX")
        assert [int(message.uid) for message in lister.listing(Criteria())] == [5, 10_002]


@pytest.mark.parametrize(
    "answer",
    [
        b"* OK x\r\n" * 200_001,
        b"* SEARCH " + b"1 " * 30_000 + b"\r\n",
        b"* ESEARCH UID ALL 1:4294967295\r\n",
        b"* ESEARCH UID COUNT " + b"9" * 5000 + b" ALL " + b"9" * 5000 + b"\r\n",
        b"* LIST (" + b"{60000}\r\n" + b"x" * 60_000 + b" " * 10,
        b"* " + b"x" * (1 << 20) + b"\r\n",
    ],
    ids=["flood", "hits", "range", "digits", "literals", "line"],
)
def test_f056_f057_answers_without_end_have_an_end(answer: bytes) -> None:
    """Floods, giant numbers and ranges: an error of ours, in bounded memory."""
    with (
        Scripted([("SEARCH", answer + b"<CUT>")]) as server,
        pytest.raises((ProtocolError, UnreachableError, MailboxError)),
    ):
        listed(server, 3, Criteria(imap_search="ALL"))


def test_f041_a_uid_with_two_faces_is_left_alone() -> None:
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


@pytest.mark.parametrize("answer", [OK, b"* FLAGS ()\r\n" + OK, b"* 4294967295 EXISTS\r\n" + OK])
def test_a_mailbox_that_does_not_say_its_size_is_an_error(answer: bytes) -> None:
    """No EXISTS, or a senseless one, is not an empty mailbox."""
    with Scripted([("EXAMINE", answer)]) as server:
        opened = ImapSource(server.session).open(BOX)
        with pytest.raises(MailboxError, match="how many"), opened:
            pass


def test_f044_numbers_that_cannot_be_are_unknown() -> None:
    """UIDVALIDITY has 32 bits, a mod-sequence 63."""
    answer = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 9999999999] x\r\n* OK [HIGHESTMODSEQ 9999999999999999999] x\r\n" + OK
    with Scripted([("EXAMINE", answer)]) as server, ImapSource(server.session).open(BOX) as box:
        assert box.status == MailboxStatus(1)


def test_f024_exchange_that_lets_in_and_gives_nothing_is_a_refused_sign_in() -> None:
    """`User is authenticated but not connected`: exit 12 with both causes."""
    answer = b"TAG BAD User is authenticated but not connected.\r\n"
    with Scripted([("EXAMINE", answer)]) as server:
        opened = ImapSource(server.session).open(BOX)
        with pytest.raises(SignInError) as error, opened:
            pass
    assert "Exchange" in error.value.hint


def test_f044_f045_a_mailbox_without_uidvalidity_can_be_read() -> None:
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
        (b'* QUOTA "" (STORAGE 10 512\r\n', None),
    ],
)
def test_the_fullest_quota_counts(answer: bytes, expected: Quota | None) -> None:
    """STORAGE in units of 1024 octets; none where the server has none."""
    with Scripted([("GETQUOTAROOT", answer + OK)], capability=["QUOTA"]) as server:
        assert ImapSource(server.session).quota() == expected
    with Scripted([]) as server:
        assert ImapSource(server.session).quota() is None
        assert server.commands == []


def test_f031_an_alert_is_kept_for_the_user() -> None:
    """ALERT may come in any answer."""
    with Scripted([("EXAMINE", b"* OK [ALERT] system goes down\r\n" + EXAMINED)]) as server:
        source = ImapSource(server.session)
        with source.open(BOX):
            pass
        assert source.alerts == ["system goes down"]


def test_a_message_with_an_id_of_its_own_is_listed_once() -> None:
    """Gmail: labels and ids come along, and flags that are told again are no second message."""
    line = (
        b'* 1 FETCH (X-GM-MSGID %d X-GM-LABELS () UID %d RFC822.SIZE 10 INTERNALDATE "01-Mar-2014 10:00:00 +0000"'
        b" FLAGS ())\r\n"
    )
    again = b"* 1 FETCH (UID 2 FLAGS (\\Seen))\r\n"
    answer = b"".join(line % (uid + 70, uid) for uid in (1, 2, 5)) + again + line % (72, 2) + line % (99, 5)
    with Scripted([("UID FETCH", answer + OK)], capability=["X-GM-EXT-1"]) as server:
        lister = imap_list.Lister(Commands(server.session), MailboxStatus(3, 1), "INBOX")
        found = [(message.uid, message.object_id) for message in lister.listing(Criteria())]
    assert found == [(1, "71"), (2, "72")]
    assert any("twice" in doubt for doubt in lister.doubts)
