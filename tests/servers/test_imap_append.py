"""How a message is put on a server: the octets, and all that a server may answer (RFC 9051 section 6.3.12)."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import (
    ArchiveError,
    LaterError,
    MailarchiveError,
    MailboxError,
    MessageError,
    ProtocolError,
    UnreachableError,
)
from mailarchive.extras import Appending, CanAppend
from mailarchive.model import Mailbox
from mailarchive.sources.imap import ImapSource
from mailarchive.sources.imap_gate import Phase
from tests.servers.scripted import BOX, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.model import UID

GMAIL = ("IMAP4REV1", "UIDPLUS", "X-GM-EXT-1")
DATE = datetime(2014, 3, 1, 10, tzinfo=timezone(timedelta(hours=1)))
GO = b"+ go on\r\n"
DONE = b"TAG OK [APPENDUID 77 12] done\r\n"
RAW = b"Subject: x\r\n\r\nM2 EXPUNGE\r\n\0\xff)"


def message(raw: bytes = RAW, *flags: str, size: int | None = None, date: datetime | None = None) -> Appending:
    """Make a message that comes in pieces of seven octets."""

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(raw), 7):
            yield raw[start : start + 7]

    return Appending(len(raw) if size is None else size, chunks, frozenset(flags), date)


def labelled(*labels: str) -> Appending:
    """Make a message with labels."""
    return Appending(len(RAW), lambda: iter([RAW]), labels=frozenset(labels))


@contextmanager
def restoring(
    *script: tuple[str, bytes], capability: Sequence[str] = ("IMAP4REV1",)
) -> Iterator[tuple[Scripted, ImapSource]]:
    """Open a session for restoring; all of the script must be used, and nothing else be sent."""
    with Scripted(script, capability=capability) as server:
        yield server, ImapSource(server.session, Phase.RESTORING)
    assert server.unexpected == []
    assert server._script == []


def exactly(command: str) -> str:
    """Write a pattern for one command."""
    return f"^{re.escape(command)}$"


def line(*, flags: str = "", date: str = "", size: int = len(RAW), plus: str = "") -> str:
    """Write the one command that is expected, as a pattern."""
    middle = f' "{date}"' if date else ""
    return exactly(f'APPEND "INBOX" ({flags}){middle} {{{size}{plus}}}')


@pytest.mark.parametrize(
    ("capability", "size", "waits"),
    [
        (("LITERAL+",), 5000, False),
        (("LITERAL+",), 64 * 1024, False),
        (("LITERAL+",), 64 * 1024 + 1, True),
        (("LITERAL-",), 4096, False),
        (("LITERAL-",), 4097, True),
        ((), 1, True),
        ((), 0, True),
        (("LITERAL+",), 0, False),
    ],
)
def test_the_octets_go_out_as_they_are(capability: tuple[str, ...], size: int, waits: bool) -> None:
    """In one go where the server takes that, else after it has asked; large ones are asked for in any case."""
    raw = bytes(itertools.islice(itertools.cycle(range(256)), size))
    command = line(flags="$Forwarded \\Seen", date=" 1-Mar-2014 10:00:00 +0100", size=size, plus="" if waits else "+")
    script = [(command, GO), (command, DONE)] if waits else [(command, DONE)]
    with restoring(*script, capability=capability) as (server, source):
        assert isinstance(source, CanAppend)
        assert source.append(BOX, message(raw, "\\Seen", "$Forwarded", date=DATE)) == 12
    assert server.literals == [raw]


@pytest.mark.parametrize("said", [b"* ID NIL\r\nTAG OK done\r\n", b"TAG NO not now\r\n", b"TAG BAD what\r\n"])
def test_an_answer_that_does_not_matter_is_read_before_a_literal_is_announced(said: bytes) -> None:
    """That to ID, behind which the first command goes out at once."""
    with restoring(("^ID ", said), (line(), GO), (line(), DONE), capability=("ID",)) as (server, source):
        source.introduce()
        assert source.append(BOX, message()) == 12
    assert server.literals == [RAW]


REFUSALS = [
    (b"NO [TOOBIG] 50 MB at most", MessageError),
    (b"NO [CANNOT] odd", MessageError),
    (b"BAD what?", MessageError),
    (b"NO", MessageError),
    (b"NO [OVERQUOTA] full", MailboxError),
    (b"NO Quota exceeded (mailbox for user is full)", MailboxError),
    (b"NO [TRYCREATE] no such mailbox", MailboxError),
    (b"NO [NONEXISTENT] no such mailbox", MailboxError),
    (b"NO [THROTTLED] slow", LaterError),
    (b"BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds", LaterError),
]


@pytest.mark.parametrize(("answer", "error"), REFUSALS)
def test_a_refusal_before_the_literal_sends_nothing_of_it(answer: bytes, error: type[MailarchiveError]) -> None:
    """The line stays good: the next message goes out."""
    with restoring((line(), b"TAG " + answer + b"\r\n"), (line(size=2), GO), (line(size=2), DONE)) as (server, source):
        with pytest.raises(error) as raised:
            source.append(BOX, message())
        assert type(raised.value) is error
        assert source.append(BOX, message(b"hi")) == 12
    assert server.literals == [b"hi"]


@pytest.mark.parametrize("plus", ["", "+"])
@pytest.mark.parametrize(("answer", "error"), REFUSALS)
def test_a_refusal_after_the_literal_is_told_likewise(answer: bytes, error: type[MailarchiveError], plus: str) -> None:
    """With the server's words."""
    script = [(line(plus=plus), b"TAG " + answer + b"\r\n")]
    capability = ("LITERAL+",) if plus else ()
    with restoring(*([] if plus else [(line(), GO)]), *script, capability=capability) as (server, source):
        with pytest.raises(error) as raised:
            source.append(BOX, message())
        assert (answer[3:].decode().strip() or "without a reason") in str(raised.value)
    assert server.literals == [RAW]


NOISE = b"* 5 EXISTS\r\n* 7 EXPUNGE\r\n* OK [ALERT] look\r\n* VANISHED 3\r\n* OK [APPENDUID 1 2] no\r\n"
NOISE += b'* LIST () "/" {3}\r\nabc\r\n* 4 FETCH (FLAGS ())\r\n'


def test_noise_and_many_vanished_messages_come_between() -> None:
    """What other clients do meanwhile is told before the invitation too."""
    many = NOISE + b"* 1 EXPUNGE\r\n" * 500
    with restoring((line(), many + GO), (line(), many + DONE)) as (server, source):
        assert source.append(BOX, message()) == 12
        assert source.alerts[0] == "look"
    assert server.literals == [RAW]


@pytest.mark.parametrize(
    ("code", "uid"),
    [
        (b"[APPENDUID 77 12] x", 12),
        (b"[appenduid 77 4294967295]", 4_294_967_295),
        (b"", None),
        (b"done", None),
        (b"[APPENDUID 77 0] x", None),
        (b"[APPENDUID 77 4294967296] x", None),
        (b"[APPENDUID 77 99999999999] x", None),
        (b"[APPENDUID 77] x", None),
        (b"[APPENDUID 77 1:4294967295] x", None),
        (b"[APPENDUID 77 12,13] x", None),
        (b"[APPENDUID x y] x", None),
        (b"[APPENDUID 77 -1] x", None),
    ],
)
def test_f060_the_uid_is_told_only_where_it_is_one(code: bytes, uid: UID | None) -> None:
    """APPENDUID missing, malformed or of several messages: the message is there, its UID is not known."""
    with restoring((line(), GO), (line(), b"TAG OK " + code + b"\r\n")) as (_, source):
        assert source.append(BOX, message()) == uid


@pytest.mark.parametrize(
    ("date", "written"),
    [
        (datetime(2014, 3, 1, 0, 5, 9, tzinfo=UTC), " 1-Mar-2014 00:05:09 +0000"),
        (
            datetime(2014, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=14))),
            "31-Dec-2014 23:59:59 +1400",
        ),
        (datetime(2014, 3, 1, tzinfo=timezone(-timedelta(hours=3, minutes=30))), " 1-Mar-2014 00:00:00 -0330"),
        (datetime(2014, 3, 1, tzinfo=timezone(timedelta(minutes=53, seconds=28))), "28-Feb-2014 23:06:32 +0000"),
        (datetime(2014, 3, 1, tzinfo=timezone(-timedelta(seconds=30))), " 1-Mar-2014 00:00:30 +0000"),
        (datetime(987, 6, 5, tzinfo=UTC), " 5-Jun-0987 00:00:00 +0000"),
        (datetime(9999, 12, 31, tzinfo=timezone(-timedelta(hours=23, minutes=59))), "31-Dec-9999 00:00:00 -2359"),
    ],
)
def test_the_date_keeps_its_zone(date: datetime, written: str) -> None:
    """Day and zone as they are; a zone with seconds, which no server takes, becomes UTC."""
    with restoring((line(date=written), GO), (line(date=written), DONE)) as (_, source):
        source.append(BOX, message(date=date))


@pytest.mark.parametrize(
    ("flags", "sent"),
    [
        ([], ""),
        (["\\Deleted", "\\Recent", "\\DELETED", "\\recent"], ""),
        (["\\Seen", "\\answered", "\\Flagged", "\\Draft"], "\\Draft \\Flagged \\Seen \\answered"),
        (["\\Important", "\\*", "\\", "\\XYZZY"], ""),
        (["$Forwarded", "NonJunk", "a.b-c_d", "$MDNSent"], "$Forwarded $MDNSent NonJunk a.b-c_d"),
        (["a b", "a(b", "a)", "a{1}", "a%", "a*", 'a"', "a\\b", "a]", "", "é", "a\r\nM2 EXPUNGE", "a\0", "ok"], "ok"),
    ],
)
def test_flags_that_no_server_takes_are_left_out(flags: list[str], sent: str) -> None:
    r"""Keywords must be atoms; of the system flags only those of the RFC, and never `\Deleted`."""
    with restoring((line(flags=sent), GO), (line(flags=sent), DONE)) as (_, source):
        source.append(BOX, message(RAW, *flags))


def break_off() -> Iterator[bytes]:
    """Give a few octets and fail, as a file does that is lost while it is read."""
    yield b"Subject"
    raise ArchiveError("the file is gone")


@pytest.mark.parametrize("plus", ["", "+"])
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (message(size=len(RAW) + 1), RAW),
        (message(size=len(RAW) - 1), RAW[: len(RAW) // 7 * 7]),
        (message(b"", size=4), b""),
        (Appending(len(RAW), break_off), b"Subject"),
    ],
)
def test_a_file_of_another_size_ends_the_line(given: Appending, sent: bytes, plus: str) -> None:
    """Shorter, longer or torn: not one octet follows, else the next command would become a part of the message."""
    command = line(size=given.size, plus=plus)
    script = [] if plus else [(command, GO)]
    with Scripted(script, capability=("LITERAL+",) if plus else ()) as server:
        source = ImapSource(server.session, Phase.RESTORING)
        with pytest.raises(ArchiveError):
            source.append(BOX, given)
        for again in (lambda: source.append(BOX, message()), lambda: source.create("x")):
            with pytest.raises(MailarchiveError):
                again()
        source.close()
    assert server.literals == [sent]
    assert server.unexpected == []
    assert len(server.commands) == 1
    assert server.commands[0].startswith("APPEND")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"* BYE TAG\r\n", UnreachableError),
        (b"* BYE [UNAVAILABLE] TAG\r\n", LaterError),
        (b"<CUT>TAG", UnreachableError),
        (b"TAG OK what for?\r\n", ProtocolError),
        (b"M99 OK TAG\r\n", ProtocolError),
        (b"hello TAG\r\n", ProtocolError),
    ],
)
@pytest.mark.parametrize("invited", [False, True])
def test_a_lost_line_is_an_error_of_the_account(answer: bytes, error: type[MailarchiveError], invited: bool) -> None:
    """Instead of the invitation or of the answer; nothing is sent after it."""
    if invited and answer.startswith(b"TAG OK"):
        return
    script = [(line(), GO), (line(), answer)] if invited else [(line(), answer)]
    with restoring(*script) as (server, source), pytest.raises(error):
        source.append(BOX, message())
    assert server.literals == ([RAW] if invited else [])
    assert len(server.commands) == 1


def test_a_large_message_is_not_kept_in_memory() -> None:
    """100 MB go through in pieces."""
    piece = b"x" * 65536
    size = 1600 * len(piece)
    given = Appending(size, lambda: itertools.repeat(piece, 1600))
    with restoring((line(size=size), GO), (line(size=size), DONE)) as (_, source):
        tracemalloc.start()
        source.append(BOX, given)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8 << 20


# Mailboxes


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("Work", '"Work"'),
        ("Été/2014", '"&AMk-t&AOk-/2014"'),
        ("a&b", '"a&-b"'),
        ('a "b" \\c', '"a \\"b\\" \\\\c"'),
        ("a\r\nM2 EXPUNGE", '"a&AA0ACg-M2 EXPUNGE"'),
        ("日本語", '"&ZeVnLIqe-"'),
    ],
)
def test_a_name_goes_out_in_modified_utf_7(name: str, wire: str) -> None:
    """Whatever is in it, it is one quoted string; what comes back can be appended to."""
    append = exactly(f"APPEND {wire} () {{{len(RAW)}}}")
    with restoring((exactly(f"CREATE {wire}"), b"TAG OK\r\n"), (append, GO), (append, DONE)) as (_, source):
        made = source.create(name)
        assert made.name == name
        assert source.append(made, message()) == 12


@pytest.mark.parametrize("name", ["a\ud800b", "\udcff"])
def test_a_name_that_cannot_be_written_is_refused_before_it_is_sent(name: str) -> None:
    """A surrogate on its own is no character."""
    with restoring() as (server, source), pytest.raises(MailboxError):
        source.create(name)
    assert server.commands == []


def test_a_mailbox_that_is_not_made_is_an_error_of_the_mailbox() -> None:
    """With the server's words; patience is heard."""
    script = [("^CREATE", b"TAG NO [ALREADYEXISTS] there\r\n"), ("^CREATE", b"TAG NO [LIMIT] slow\r\n")]
    with restoring(*script) as (_, source):
        with pytest.raises(MailboxError, match="there"):
            source.create("Work")
        with pytest.raises(LaterError, match="slow"):
            source.create("Work")


@pytest.mark.parametrize("most", [Phase.READING, Phase.DELETING])
def test_only_a_session_for_restoring_appends(most: Phase) -> None:
    """It fails before a single octet is sent."""
    with Scripted([]) as server, pytest.raises(AssertionError):
        ImapSource(server.session, most).append(BOX, message())
    assert server.commands == []


# Labels


def put(labels: str) -> str:
    """Write the command that gives labels."""
    return exactly(f"UID STORE 12 +X-GM-LABELS.SILENT ({labels})")


APPEND = ((line(), GO), (line(), DONE))
OPEN = ('^SELECT "INBOX"$', b"* 9 EXISTS\r\nTAG OK\r\n")


@pytest.mark.parametrize(
    ("labels", "sent"),
    [
        (["Work"], '"Work"'),
        (["\\Inbox", "\\Important", "a b"], '"\\\\Important" "\\\\Inbox" "a b"'),
        (['a "b"', "c\\d", "&AMk-t&AOk-"], '"&AMk-t&AOk-" "a \\"b\\"" "c\\\\d"'),
        (["\\Trash", "\\spam", "\\JUNK", "a\r\nM2 EXPUNGE", "a\0", "x" * 2000, "ok"], '"ok"'),
    ],
)
def test_labels_are_put_on_where_the_server_has_them(labels: list[str], sent: str) -> None:
    """After the message; a label that would take it away again, or that cannot be sent, is left out."""
    with restoring(*APPEND, OPEN, (put(sent), b"TAG OK\r\n"), capability=GMAIL) as (_, source):
        assert source.append(BOX, labelled(*labels)) == 12


def test_many_labels_are_put_on_by_several_commands() -> None:
    """None of them is longer than 1,000 octets, and none is empty."""
    labels = [f"{number:03d} {'ä'.encode('utf-7').decode()} {'x' * 60}" for number in range(100)]
    stores = [("^UID STORE 12 ", b"TAG OK\r\n")] * 12
    with Scripted([*APPEND, OPEN, *stores], capability=GMAIL) as server:
        assert ImapSource(server.session, Phase.RESTORING).append(BOX, labelled(*labels)) == 12
    assert server.unexpected == []
    sent = [command for command in server.commands if command.startswith("UID STORE")]
    assert all(len(command) < 980 for command in sent)
    assert [label for command in sent for label in re.findall(r'"([^"]*)"', command)] == labels


@pytest.mark.parametrize("labels", [[], ["\\Trash"]])
def test_without_labels_nothing_is_selected(labels: list[str]) -> None:
    """The message is there, and that is all."""
    with restoring(*APPEND, capability=GMAIL) as (_, source):
        assert source.append(BOX, labelled(*labels)) == 12


def test_labels_are_for_servers_that_have_them() -> None:
    """Elsewhere they are not tried; and without APPENDUID nobody knows what to put them on."""
    with restoring(*APPEND) as (_, source):
        assert source.append(BOX, labelled("Work")) == 12
    with restoring(APPEND[0], (line(), b"TAG OK done\r\n"), capability=GMAIL) as (_, source):
        assert source.append(BOX, labelled("Work")) is None


@pytest.mark.parametrize("refused", ["SELECT", "STORE"])
def test_labels_that_are_refused_are_told(refused: str) -> None:
    """The message is there again, so that a second attempt is not needed."""
    no = b"TAG NO x\r\n"
    script = [("^SELECT", no)] if refused == "SELECT" else [OPEN, (put('"Work"'), no)]
    with restoring(*APPEND, *script, capability=GMAIL) as (_, source), pytest.raises(MessageError, match="there again"):
        source.append(BOX, labelled("Work"))


def test_a_mailbox_of_an_odd_name_is_named_as_the_server_named_it() -> None:
    """Its octets go back as they came, quoted."""
    odd = Mailbox('a"b', b'a"b\\')
    command = r'^APPEND "a\\"b\\\\" \(\) \{'
    with restoring((command, GO), (command, DONE)) as (_, source):
        assert source.append(odd, message()) == 12


MANY = ("IMAP4REV1", "MULTIAPPEND", "LITERAL-", "UIDPLUS")
FIRST = f'APPEND "INBOX" (\\Seen) " 1-Mar-2014 10:00:00 +0100" {{{len(RAW)}+}}'


def test_several_go_out_by_one_command() -> None:
    """Each with its own flags and date; the large one is asked for, and each gets its UID."""
    large = b"Subject: y\r\n\r\n" + b"y" * 5000
    answer = b"TAG OK [APPENDUID 77 12:13,20] done\r\n"
    with restoring((exactly(FIRST), answer), capability=MANY) as (server, source):
        assert source.at_once > 1
        uids = source.append_many(BOX, [message(RAW, "\\Seen", date=DATE), message(large), message(b"z", "word")])
    assert uids == [12, 13, 20]
    assert server.literals == [RAW, large, b"z"]
    assert server.between == [f" () {{{len(large)}}}", " (word) {1+}"]


@pytest.mark.parametrize("told", ["12", "12:14", "12:99999", "0:1", "13,x"])
def test_uids_that_do_not_fit_are_no_uids(told: str) -> None:
    """They are nobody's."""
    answer = f"TAG OK [APPENDUID 77 {told}] done\r\n".encode()
    with restoring((r"^APPEND", answer), capability=MANY) as (_, source):
        assert source.append_many(BOX, [message(b"a"), message(b"b")]) == [None, None]


def test_a_refusal_amid_several_sends_nothing_more() -> None:
    """The line stays good: they can be sent one by one."""
    script = [(r"APPEND .*\{2\}$", b"TAG NO [CANNOT] odd\r\n"), (r"APPEND .*\{1\}$", GO), (r"APPEND .*\{1\}$", DONE)]
    with restoring(*script, capability=("IMAP4REV1", "MULTIAPPEND")) as (server, source):
        with pytest.raises(MessageError):
            source.append_many(BOX, [message(b"hi"), message(b"there")])
        assert source.append(BOX, message(b"x")) == 12
    assert server.literals == [b"x"]


def test_only_a_server_that_says_so_takes_several() -> None:
    """On Gmail each message needs its UID, for its labels."""
    for capability, most in ((MANY, 100), (("IMAP4REV1",), 1), ((*MANY, "X-GM-EXT-1"), 1)):
        with restoring(capability=capability) as (_, source):
            assert source.at_once == most
