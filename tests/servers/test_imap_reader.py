"""What the FETCH reader makes of answers that no well-behaved server sends (RFC 9051 section 7.5.2)."""

from __future__ import annotations

import base64
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive.address import Security, ServerAddress
from mailarchive.errors import AgainError, LaterError, MailboxError, ProtocolError, SpoiltError, UnreachableError
from mailarchive.model import UID, NotFetched, RemoteMessage
from mailarchive.sources import imap_fetch, imap_items
from mailarchive.sources.imap import ImapSource
from mailarchive.sources.imap_commands import Commands, Refused
from mailarchive.sources.imap_gate import READING
from mailarchive.sources.imap_session import Session
from mailarchive.sources.wire import Wire
from tests.servers.scripted import Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.ports import Incoming

DATE = b"01-Mar-2014 10:00:00 +0100"
WHEN = datetime(2014, 3, 1, 9, tzinfo=UTC)
OK = b"TAG OK done\r\n"


def listed(*uids: int) -> list[RemoteMessage]:
    """Make the listing that a fetch begins from."""
    return [RemoteMessage(UID(uid), 5, WHEN, frozenset()) for uid in uids]


def fetched(server: Scripted, messages: Sequence[RemoteMessage]) -> dict[int, tuple[bytes, RemoteMessage] | NotFetched]:
    """Fetch everything; gives octets and facts, or the reason, by UID."""
    found: dict[int, tuple[bytes, RemoteMessage] | NotFetched] = {}
    for arrival in imap_fetch.bodies(Commands(server.session), messages):
        if isinstance(arrival, NotFetched):
            assert int(arrival.uid) not in found
            found[int(arrival.uid)] = arrival
        else:
            octets = b"".join(bytes(chunk) for chunk in arrival.chunks())
            assert int(arrival.message.uid) not in found
            found[int(arrival.message.uid)] = octets, arrival.message
    return found


USUAL = b'* 1 FETCH (UID 7 FLAGS (\\Seen) INTERNALDATE "' + DATE + b'" BODY[] {5}\r\nhello)\r\n'

SHAPES = {
    "the usual shape": USUAL,
    "body first, facts behind it": b'* 1 FETCH (BODY[] {5}\r\nhello UID 7 FLAGS (\\Seen) INTERNALDATE "'
    + DATE
    + b'")\r\n',
    "lower case": b'* 1 fetch (uid 7 flags (\\SEEN) internaldate "' + DATE + b'" body[] {5}\r\nhello)\r\n',
    "UIDFETCH of RFC 9586": b'* 7 UIDFETCH (UID 7 FLAGS (\\Seen) INTERNALDATE "' + DATE + b'" BODY[] {5}\r\nhello)\r\n',
    "items nobody asked for": b'* 1 FETCH (X-GM-MSGID 1 MODSEQ (9) UID 7 FLAGS (\\Seen) INTERNALDATE "'
    + DATE
    + b'" X-GM-LABELS ("\\\\Inbox" {3}\r\na b) BODY[] {5}\r\nhello)\r\n',
    "more items behind the usual shape": USUAL[:-3] + b" MODSEQ (12))\r\n",
    "a quoted body": b'* 1 FETCH (UID 7 FLAGS (\\Seen) INTERNALDATE "' + DATE + b'" BODY[] "hello")\r\n',
    "a non-synchronising literal mark": USUAL.replace(b"{5}", b"{5+}"),
    "LF alone at the ends of lines": USUAL.replace(b"\r\n", b"\n"),
    "noise around it": b"* 9 EXISTS\r\n* 1 FETCH (FLAGS (\\Flagged))\r\n* 3 EXPUNGE\r\n* OK still here (\r\n"
    + USUAL
    + b'* 0 RECENT\r\n* FLAGS (\\Seen)\r\n* LIST () "/" {3}\r\nabc\r\n* 2 FETCH (UID 99 FLAGS (\\Deleted))\r\n',
}


@pytest.mark.parametrize("name", SHAPES)
def test_f039_f040_every_shape_of_an_answer_gives_the_same_message(name: str) -> None:
    """Attributes in any order, case and company give the exact octets and the facts of their own UID."""
    with Scripted([("UID FETCH 7 ", SHAPES[name] + OK)]) as server:
        octets, message = fetched(server, listed(7))[7]  # type: ignore[misc] # a NotFetched would fail to unpack
    assert octets == b"hello"
    assert message.uid == 7
    assert message.flags == {"\\Seen"}
    assert message.internal_date == WHEN


def test_f040_flags_without_a_uid_never_reach_another_message() -> None:
    """An unsolicited FETCH names a sequence number that equals a UID: its flags are dropped."""
    noise = b"* 7 FETCH (FLAGS (\\Deleted \\Flagged))\r\n"
    with Scripted([("UID FETCH", noise + USUAL + noise + OK)]) as server:
        _, message = fetched(server, listed(7))[7]  # type: ignore[misc] # as above
    assert message.flags == {"\\Seen"}


@pytest.mark.parametrize(
    "answer",
    [
        b"* 1 FETCH (UID 7 BODY[] NIL)\r\n",
        b"* 1 FETCH (UID 7 BODY[] {0}\r\n)\r\n",
        b'* 1 FETCH (UID 7 BODY[] "")\r\n',
        b"* 1 FETCH (BODY[] NIL UID 7)\r\n",
    ],
)
def test_f037_an_empty_body_is_not_a_message(answer: bytes) -> None:
    """NIL, an empty literal and an empty string are told as a failure, and nothing is stored."""
    with Scripted([("UID FETCH", answer + OK)]) as server:
        found = fetched(server, listed(7))[7]
    assert isinstance(found, NotFetched)
    assert not found.gone


def test_f036_an_ok_without_data_is_a_failure_if_the_message_is_still_there() -> None:
    """The server says OK and gives nothing: asked again by UID it still lists the message."""
    script = [(r"UID FETCH 7 \(UID FLAGS", OK), (r"UID FETCH 7 \(UID\)", b"* 1 FETCH (UID 7)\r\n" + OK)]
    with Scripted(script) as server:
        found = fetched(server, listed(7))[7]
    assert found == NotFetched(UID(7), "the server lists it and gives no text for it")


def test_f047_a_message_that_another_hand_removed_is_gone_and_no_failure() -> None:
    """The server says OK and gives nothing, and knows the UID no more."""
    with Scripted([(r"UID FETCH 7 \(UID FLAGS", OK), (r"UID FETCH 7 \(UID\)", OK)]) as server:
        found = fetched(server, listed(7))[7]
    assert isinstance(found, NotFetched)
    assert found.gone


def body(uid: int) -> bytes:
    """Write the usual answer for one UID."""
    return USUAL.replace(b"UID 7", b"UID %d" % uid)


def test_f035_f065_a_refused_batch_is_halved_until_the_bad_message_stands_alone() -> None:
    """One message that the server cannot give costs that message and no other."""
    no = b"TAG NO [SERVERBUG] cannot\r\n"
    script = [
        (r"UID FETCH 1:4 ", body(1) + no),
        (r"UID FETCH 2 ", body(2) + OK),
        (r"UID FETCH 3:4 ", no),
        (r"UID FETCH 3 ", no),
        (r"UID FETCH 4 ", body(4) + OK),
    ]
    with Scripted(script) as server:
        found = fetched(server, listed(1, 2, 3, 4))
        assert server.unexpected == []
    assert {uid for uid, each in found.items() if not isinstance(each, NotFetched)} == {1, 2, 4}
    assert isinstance(found[3], NotFetched)
    assert "SERVERBUG" in found[3].reason


def test_f033_a_server_that_asks_for_patience_is_not_asked_again() -> None:
    """A throttled FETCH ends the account for now; what came before has been given."""
    answer = body(1) + b"TAG BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n"
    with Scripted([("UID FETCH", answer)]) as server, pytest.raises(LaterError, match="299961"):
        fetched(server, listed(1, 2))


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (USUAL.replace(b"{5}", b"{5000000000}") + OK, "announced a message"),
        (b"* 1 FETCH (UID 7 X " + b"(" * 100_000 + b"\r\n" + OK, "nested"),
        (b"* 1 FETCH (UID 7 BODY[] {-1}\r\n" + OK, "read"),
        (b"* 1 FETCH (UID 7 BODY[] {99999999999999}\r\n" + OK, "announced a message"),
        (b"* 1 FETCH (UID 7 X-ODD {70000}\r\n" + OK, "literal"),
        (b"x" * (2 << 20) + b"\r\n", "line of more than"),
        (b"M99 OK done\r\n", "not asked"),
        (b"hello\r\n", "no IMAP response"),
    ],
)
def test_f054_f056_f058_f059_what_makes_no_sense_is_a_protocol_error(answer: bytes, what: str) -> None:
    """Giants, deep nesting, endless lines and wrong tags stop the account, with bounded memory."""
    with Scripted([("UID FETCH", answer)]) as server, pytest.raises(ProtocolError, match=what):
        fetched(server, listed(7))


def body_first(uid: bytes, text: bytes = b"{5}\r\nhello") -> bytes:
    """Write an answer in which the UID stands behind the body."""
    return b"* 1 FETCH (BODY[] " + text + b" UID " + uid + b")\r\n"


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (body(7), "the server sent a message twice"),
        (body_first(b"7"), "the server sent a message twice"),
        (body_first(b"7", b'"hello"'), "the server sent a message twice"),
        (body(9), "the server sent a message that was not asked for"),
        (body_first(b"9"), "the server sent a message that was not asked for"),
        (body_first(b"9", b'"hello"'), "the server sent a message that was not asked for"),
        (b"* 1 FETCH (BODY[] {5}\r\nhello)\r\n", "the server sent a message that was not asked for"),
        *(
            (shape, "the server names a UID that cannot be")
            for uid in (b"0", b"4294967296", b"-1", b"x")
            for shape in (USUAL.replace(b"UID 7", b"UID " + uid), body_first(uid), body_first(uid, b'"hello"'))
        ),
        (b"* 1 FETCH (UID 0 BODY[] NIL)\r\n", "the server names a UID that cannot be"),
    ],
)
def test_f040_f041_a_body_that_is_none_that_was_wanted_is_dropped_and_doubted(answer: bytes, what: str) -> None:
    """It is read to its end and kept nowhere; the others come, and the mailbox is not to be trusted."""
    with Scripted([("UID FETCH", body(7) + answer + body(8) + OK)]) as server:
        commands = Commands(server.session)
        uids = []
        for arrival in imap_fetch.bodies(commands, listed(7, 8)):
            assert not isinstance(arrival, NotFetched)
            try:
                octets = b"".join(bytes(chunk) for chunk in arrival.chunks())
            except AgainError:
                continue
            uids.append(int(arrival.message.uid))
            assert octets == b"hello"
        assert not commands.busy
    assert uids == [7, 8]
    assert commands.oddities == [what]


def test_f041_a_message_without_a_uid_that_can_be_is_not_gone() -> None:
    """No body came for 7, and the question whether it is there is answered with UID 0: it is there."""
    script = [
        (r"UID FETCH 7 \(UID FLAGS", USUAL.replace(b"UID 7", b"UID 0") + OK),
        (r"UID FETCH 7 \(UID\)", b"* 1 FETCH (UID 0)\r\n" + OK),
    ]
    with Scripted(script) as server:
        found = fetched(server, listed(7))[7]
    assert isinstance(found, NotFetched)
    assert not found.gone


@pytest.mark.parametrize("together", [True, False])
def test_f035_a_message_that_is_refused_is_asked_for_once_more_alone(*, together: bool) -> None:
    """SERVERBUG, whether the others came with it or it was asked for alone: the second time it comes."""
    no = b"TAG NO [SERVERBUG] try again\r\n"
    script = [("UID FETCH 6:7 " if together else "UID FETCH 7 ", (body(6) if together else b"") + no)]
    with Scripted([*script, ("UID FETCH 7 ", body(7) + OK)]) as server:
        found = fetched(server, listed(*((6, 7) if together else (7,))))
        assert server.unexpected == []
    assert not any(isinstance(each, NotFetched) for each in found.values())


@pytest.mark.parametrize(
    "answer",
    [
        USUAL.replace(b"{5}", b"{5000000000}"),
        USUAL.replace(b"{5}", b"{-1}"),
        USUAL.replace(b"{5}", b"{3}"),
        USUAL.replace(b"{5}", b"{9}"),
    ],
    ids=["giant", "negative", "too short", "too long"],
)
def test_f054_f055_the_error_names_the_message(answer: bytes) -> None:
    """The line is of no more use, and a human and the next session can tell which message it was."""
    with Scripted([("UID FETCH", body(6) + answer + OK)]) as server:
        with pytest.raises(SpoiltError, match="for UID 7") as error:
            fetched(server, listed(6, 7))
        assert error.value.uid == 7


def test_f054_a_message_over_the_cap_is_told_and_the_others_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read to its end in pieces and not kept."""
    monkeypatch.setattr(imap_fetch, "LITERAL_CAP", 4)
    small = body(8).replace(b"{5}\r\nhello", b"{2}\r\nhi")
    with Scripted([("UID FETCH", body(7) + small + OK)]) as server:
        found = fetched(server, listed(7, 8))
    assert found[7] == NotFetched(UID(7), "it is larger than 1 GiB")
    assert found[8][0] == b"hi"  # type: ignore[index] # a NotFetched would fail


def test_f065_a_message_that_comes_early_in_the_retry_comes_once() -> None:
    """The answer to the first half brings the second one too: it is not asked for again, and counts once."""
    no = b"TAG NO cannot\r\n"
    script = [(r"UID FETCH 1:2 ", no), (r"UID FETCH 1 ", body(1) + body(2) + OK)]
    with Scripted(script) as server:
        found = fetched(server, listed(1, 2))
        assert server.unexpected == []
    assert set(found) == {1, 2}


def test_f036_a_server_that_refuses_even_the_question_loses_no_run() -> None:
    """OK without data, then NO to the question whether it is there: a failure of that message."""
    script = [(r"UID FETCH 7 \(UID FLAGS", OK), (r"UID FETCH 7 \(UID\)", b"TAG NO no\r\n")]
    with Scripted(script) as server:
        found = fetched(server, listed(7))[7]
    assert isinstance(found, NotFetched)
    assert not found.gone


def test_headers_are_cut_where_the_server_does_not_and_refusals_are_mapped() -> None:
    """A header block of 100 kB is kept to 64 KiB; NO is an error of the mailbox after the others were given."""
    block = b"Subject: " + b"x" * 100_000 + b"\r\n\r\n"
    answer = b"* 1 FETCH (UID 7 BODY[HEADER.FIELDS (SUBJECT)]<0> {%d}\r\n" % len(block) + block + b")\r\n"
    with Scripted([("UID FETCH", answer + OK)]) as server:
        ((uid, head),) = imap_items.headers(Commands(server.session), [7])
    assert (uid, len(head)) == (7, 65536)
    with Scripted([("UID FETCH", answer + b"TAG NO not all\r\n")]) as server:
        given = imap_items.headers(Commands(server.session), [7, 8])
        assert next(given)[0] == 7
        with pytest.raises(MailboxError, match="not all"):
            next(given)


def test_the_password_is_taken_out_of_every_word_of_the_server() -> None:
    """A server that repeats it, raw or in base64, in a refusal, a BYE or an ALERT."""
    secret = "canary-4711"
    coded = base64.b64encode(secret.encode())
    alert = b"* OK [ALERT] " + coded + b" " + secret.encode() + b"\r\n"
    with Scripted([("UID FETCH", alert + b"TAG NO " + secret.encode() + b"\r\n")]) as server:
        server.session.wire.keep_secret(secret)
        commands = Commands(server.session)
        with pytest.raises(Refused) as error:
            list(imap_items.facts(commands, [b"1:5"]))
    shown = str(error.value) + error.value.said + "".join(commands.alerts)
    assert secret not in shown
    assert coded.decode() not in shown


def test_f054_a_header_literal_without_end_is_refused_before_it_is_read() -> None:
    """A size of twenty digits where a short header belongs."""
    answer = b"* 1 FETCH (UID 7 BODY[HEADER.FIELDS (SUBJECT)]<0> {99999999999999999999}\r\nx"
    with Scripted([("UID FETCH", answer)]) as server, pytest.raises(ProtocolError, match="literal"):
        list(imap_items.headers(Commands(server.session), [7]))


def test_f057_bodies_that_come_again_and_again_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Duplicates count against the budget of the answer, and are noted once."""
    monkeypatch.setattr("mailarchive.sources.imap_commands.OCTETS", 1_000_000)
    with Scripted([("UID FETCH", body(7) * 20_000 + OK)]) as server:
        commands = Commands(server.session)
        with pytest.raises(ProtocolError, match="without end"):
            consume(imap_fetch.bodies(commands, listed(7, 8)))
    assert commands.oddities == ["the server sent a message twice"]


def consume(arrivals: Iterator[Incoming | NotFetched]) -> None:
    """Read every body to its end."""
    for arrival in arrivals:
        if not isinstance(arrival, NotFetched):
            list(arrival.chunks())


def test_patience_is_heard_in_the_question_after_a_missing_body() -> None:
    """THROTTLED where the program asks whether a message is still there: later, not failed."""
    script = [(r"UID FETCH 7 \(UID FLAGS", OK), (r"UID FETCH 7 \(UID\)", b"TAG NO [THROTTLED] slow\r\n")]
    with Scripted(script) as server, pytest.raises(LaterError, match="slow"):
        fetched(server, listed(7))


def test_a_secret_at_the_cut_of_a_long_sentence_does_not_begin_to_show() -> None:
    """Secrets are taken out before a sentence is shortened."""
    with Scripted([]) as server:
        wire = server.session.wire
        wire.keep_secret("canary-secret")
        assert "canary" not in wire.words(b"x" * 990 + b" canary-secret")


def test_a_server_that_does_not_say_goodbye_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever arrives after LOGOUT, the session ends in time."""
    monkeypatch.setattr("mailarchive.sources.imap.GOODBYE", 0.3)
    stop = threading.Event()
    ours, theirs = socket.socketpair()
    address = ServerAddress("imap", Security.NONE, "127.0.0.1", 143, "me")

    def drip() -> None:
        theirs.recv(1000)
        with suppress(OSError):
            theirs.sendall(b"* FOO {200000000}\r\n")
            while not stop.wait(0.02):
                theirs.sendall(b"x" * 100)

    thread = threading.Thread(target=drip)
    thread.start()
    begun = time.monotonic()
    ImapSource(Session(Wire(ours, "test.example:143"), address, frozenset())).close()
    assert time.monotonic() - begun < 5
    stop.set()
    thread.join()
    theirs.close()


def test_a_line_that_dies_within_a_literal_gives_no_message() -> None:
    """FIN inside the octets: the consumer sees an error, never a short message."""
    cut = USUAL.replace(b"{5}\r\nhello", b"{5}\r\nhel<CUT>")
    with Scripted([("UID FETCH", cut)]) as server, pytest.raises(UnreachableError):
        fetched(server, listed(7))


def test_f030_f034_bye_ends_the_session_and_a_throttling_bye_asks_for_patience() -> None:
    """BYE in the middle: unreachable, or later where the text says so."""
    with Scripted([("UID FETCH", b"* BYE restarting\r\n")]) as server, pytest.raises(UnreachableError, match="restart"):
        fetched(server, listed(7))
    bye = b"* BYE Session expired, please login again.\r\n"
    with Scripted([("UID FETCH", bye)]) as server, pytest.raises(LaterError):
        fetched(server, listed(7))


def test_large_sets_are_cut_into_short_lines_and_the_next_command_is_sent_ahead() -> None:
    """20,000 odd UIDs: every line is under 8 kB, and the second one is on the wire before the first is answered."""
    uids = list(range(1, 40_001, 2))
    with Scripted([(r"UID FETCH", b"".join(body(uid) for uid in [1]) + OK)] * 1) as server:
        commands = Commands(server.session)
        arrivals = imap_fetch.bodies(commands, listed(*uids))
        first = next(arrivals)
        assert not isinstance(first, NotFetched)
        assert b"".join(bytes(chunk) for chunk in first.chunks()) == b"hello"
        assert commands._number == 2
    assert all(len(command) < 8000 for command in server.commands)


def test_a_command_that_changes_anything_cannot_be_sent() -> None:
    """The allow list of a reading session holds whatever a bug above asks for."""
    forbidden = (
        b"STORE",
        b"UID STORE",
        b"EXPUNGE",
        b"UID EXPUNGE",
        b"CLOSE",
        b"DELETE",
        b"SELECT",
        b"UID MOVE",
        b"APPEND",
    )
    with Scripted([]) as server:
        commands = Commands(server.session)
        for command in forbidden:
            assert command not in READING
            with pytest.raises(AssertionError):
                commands.send(command, b"1")
        for arguments in (b"1 BODY[]", b"1 (UID RFC822)", b"1 RFC822.TEXT", b"", b" 1 (UID)", b"1\r\nM2 EXPUNGE"):
            with pytest.raises(AssertionError):
                commands.send(b"UID FETCH", arguments)
        assert server.commands == []


def test_f065_a_refusal_keeps_the_data_that_came_before_it() -> None:
    """A tagged NO after good FETCH data does not take the data away."""
    with Scripted([("UID FETCH 7 ", USUAL + b"TAG NO some messages could not be fetched\r\n")]) as server:
        assert fetched(server, listed(7))[7][0] == b"hello"  # type: ignore[index] # a NotFetched would fail


def test_f040_f061_f062_f069_facts_count_only_with_a_uid_and_doubles_are_told() -> None:
    """The listing reader takes the careful path for odd shapes and drops answers without a UID."""
    answer = (
        b'* 1 FETCH (UID 1 FLAGS () INTERNALDATE "' + DATE + b'" RFC822.SIZE 10)\r\n'
        b'* 2 FETCH (RFC822.SIZE NIL UID 2 INTERNALDATE "32-Foo-2014 10:00:00 +0100" FLAGS (\\Seen ]odd))\r\n'
        b"* 3 FETCH (FLAGS (\\Seen) RFC822.SIZE 3)\r\n"
        b"* 4 FETCH (UID 4 FLAGS (\\Flagged))\r\n"
        b"* 5 FETCH (UID 5 RFC822.SIZE -1)\r\n"
    )
    with Scripted([("UID FETCH", answer + OK)]) as server:
        found = {fact.message.uid: fact for fact in imap_items.facts(Commands(server.session), [b"1:5"])}
    assert found[UID(1)].message == RemoteMessage(UID(1), 10, WHEN, frozenset())
    assert found[UID(2)].message == RemoteMessage(UID(2), None, None, frozenset({"\\Seen", "]odd"}))
    assert not found[UID(4)].whole
    assert found[UID(5)].message.size is None
    assert set(found) == {1, 2, 4, 5}


def test_a_refused_listing_raises_refused() -> None:
    """The caller of the listing reader hears the server's words."""
    with Scripted([("UID FETCH", b"TAG NO not now\r\n")]) as server, pytest.raises(Refused):
        list(imap_items.facts(Commands(server.session), [b"1:5"]))


def test_flags_have_one_spelling() -> None:
    r"""System flags and $Forwarded, which has a letter of its own in an archive; other keywords stay as they came."""
    assert imap_items.flag_set(b"\\SEEN $FORWARDED $Label1 \\recent") == {"\\Seen", "$Forwarded", "$Label1"}


def test_commands_ask_for_so_many_octets_and_two_are_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are put together by the size that was announced; one that is larger is asked for alone."""
    monkeypatch.setattr(imap_fetch, "WINDOW_OCTETS", 10)
    listing = [RemoteMessage(UID(uid), size) for uid, size in enumerate([5, 5, 5, None, 99, 5, 4], 1)]
    script = [
        (rf"UID FETCH {uids} ", b"".join(body(uid) for uid in found) + OK)
        for uids, found in (("1:2", (1, 2)), ("3:4", (3, 4)), ("5", (5,)), ("6:7", (6, 7)))
    ]
    with Scripted(script) as server:
        commands = Commands(server.session)
        sent = []
        for arrival in imap_fetch.bodies(commands, listing):
            assert not isinstance(arrival, NotFetched)
            assert list(arrival.chunks())
            sent.append(commands._number)
        assert server.unexpected == []
    assert sent == [2, 2, 3, 3, 4, 4, 4]


def test_a_message_that_comes_late_comes_once() -> None:
    """The answer to a command lacks it, and the answer to the next one brings it: no failure, and no question."""
    uids = list(range(1, 1002))
    answers = [b"".join(body(uid) for uid in uids[:999]) + OK, body(1000) + body(1001) + OK]
    with Scripted([("UID FETCH 1:1000 ", answers[0]), ("UID FETCH 1001 ", answers[1])]) as server:
        found = fetched(server, listed(*uids))
        assert server.unexpected == []
    assert not any(isinstance(each, NotFetched) for each in found.values())
    assert list(found) == uids


def test_more_messages_than_are_kept_track_of_come_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Round after round, each message once."""
    monkeypatch.setattr(imap_fetch, "ROUND", 2)
    script = [
        ("UID FETCH 1:2 ", body(1) + body(2) + OK),
        ("UID FETCH 3:4 ", body(3) + OK),
        (r"UID FETCH 4 \(UID\)", OK),
        ("UID FETCH 5 ", body(5) + OK),
    ]
    with Scripted(script) as server:
        found = fetched(server, listed(1, 2, 3, 4, 5))
        assert server.unexpected == []
    assert [uid for uid, each in found.items() if isinstance(each, NotFetched)] == [4]
    assert set(found) == {1, 2, 3, 4, 5}
