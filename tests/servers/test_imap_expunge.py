r"""How an order is carried out: the exact commands, and every lie and refusal of a server (`safety.md` D5 to D7)."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import AccountError, LaterError, MailboxError, ProtocolError, UnreachableError
from mailarchive.model import UID, ItemState, Mailbox, Method
from mailarchive.ports import ExpungeResult
from mailarchive.sources.imap import ImapSource
from mailarchive.sources.imap_expunge import NO_STORE, NOT_ALONE, NOT_REMOVED
from mailarchive.sources.imap_gate import Phase
from tests.servers.scripted import BOX, Scripted, ordered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.expunge import ExpungeOrder
    from mailarchive.sources.imap import WritableImapMailbox

UIDPLUS = ("IMAP4REV1", "UIDPLUS")
GMAIL = ("IMAP4REV1", "UIDPLUS", "MOVE", "X-GM-EXT-1")
GONE, IN_TRASH, MARKED, REFUSED = ItemState.GONE, ItemState.IN_TRASH, ItemState.MARKED, ItemState.REFUSED

Script = tuple[tuple[str, bytes], ...]
"""Each command as it must come, and its answer without the tagged OK."""

OK = b"TAG OK done\r\n"
SELECT: Script = (('SELECT "INBOX"', b"* 9 EXISTS\r\n* OK [UIDVALIDITY 77] x\r\n"),)
PUT: Script = (("UID STORE 7:8 +FLAGS.SILENT (\\Deleted)", b""),)
EXPUNGE: Script = (("UID EXPUNGE 7:8", b"* 5 EXPUNGE\r\n* 5 EXPUNGE\r\n"),)
MOVE: Script = (('UID MOVE 7:8 "Trash"', b"* OK [COPYUID 5 7:8 1:2] x\r\n* 5 EXPUNGE\r\n* 5 EXPUNGE\r\n"),)
COPY: Script = (('UID COPY 7:8 "Trash"', b"* OK [COPYUID 5 7:8 1:2] x\r\n"),)
STATUS: Script = (('STATUS "Trash" (UIDNEXT)', b'* STATUS "Trash" (UIDNEXT 40)\r\n'),)
INTO_TRASH: Script = (('SELECT "Trash"', b"* 3 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n"),)
FIND = "UID FETCH 40:4294967295 (UID X-GM-MSGID)"
IN_TRASH_NOW = b"* 1 FETCH (UID 40 X-GM-MSGID 999)\r\n* 2 FETCH (UID 41 X-GM-MSGID 107)\r\n"


def off(numbers: str) -> Script:
    """Take the mark off these."""
    return ((f"UID STORE {numbers} -FLAGS.SILENT (\\Deleted)", b""),)


def on(numbers: str) -> Script:
    """Put the mark on these."""
    return ((f"UID STORE {numbers} +FLAGS.SILENT (\\Deleted)", b""),)


def marked(*uids: int) -> Script:
    """Search for marks."""
    return (("UID SEARCH DELETED", b"* SEARCH" + b"".join(b" %d" % uid for uid in uids) + b"\r\n"),)


def look(there: dict[int, bytes] | None = None, numbers: str = "7:8") -> Script:
    """Look again; `there` is what is still there, with its flags."""
    answer = b"".join(b"* 1 FETCH (UID %d FLAGS (%s))\r\n" % each for each in (there or {}).items())
    return ((f"UID FETCH {numbers} (UID FLAGS)", answer),)


def says(script: Script, answer: bytes) -> Script:
    """Let the last command of a script be answered with this tagged line."""
    return (*script[:-1], (script[-1][0], script[-1][1] + b"TAG " + answer + b"\r\n"))


@contextmanager
def selected(script: Script, capability: Sequence[str] = UIDPLUS) -> Iterator[WritableImapMailbox]:
    """Open a mailbox for deleting on a server that must hear exactly this, in this order, and nothing after it."""
    script = SELECT + script
    pairs = [(f"^{re.escape(said)}$", answer if b"TAG" in answer else answer + OK) for said, answer in script]
    server = Scripted(pairs, capability=capability)
    try:
        with server, ImapSource(server.session, Phase.DELETING).select(BOX) as box:
            yield box
    finally:
        assert server.commands == [said for said, _ in script]


BOTH = {7: b"\\Deleted", 8: b"\\Seen \\Deleted"}
BARE = {7: b"", 8: b"\\Seen"}
LIMIT = (*UIDPLUS, "MOVE")
NO_ROOM = b"NO [OVERQUOTA] the trash is full"
ROOM_WORDS = "the trash takes no more ([OVERQUOTA] the trash is full); --delete-method expunge needs no room"


@dataclass(frozen=True)
class Case:
    """An order, what is said and answered, and the result."""

    order: ExpungeOrder
    script: Script
    result: ExpungeResult
    capability: Sequence[str] = field(default=UIDPLUS)


def both(state: ItemState, other: ItemState | None = None) -> dict[UID, ItemState]:
    """Give the states of 7 and 8."""
    return {UID(7): state, UID(8): other or state}


def result(
    state: ItemState, other: ItemState | None = None, *, reason: str = "", ignored: bool = False
) -> ExpungeResult:
    """Give a result without strangers."""
    return ExpungeResult(dict(both(state, other).items()), reason, ignored=ignored)


PLAIN = ordered(7, 8)
HALF = ordered(7, 8, was_deleted=[8])
BY_TRASH = ordered(7, 8, method=Method.TRASH)
BY_MARK = ordered(7, 8, method=Method.MARK)
ALONE = ordered(7, 8, method=Method.EXCLUSIVE, strangers=[3, 5])
ON_GMAIL = ordered(7, 8, method=Method.GMAIL)
LIFT = off("3,5")
BACK = on("3,5")
MINE = marked(7, 8)
BARE_EXPUNGE: Script = (("EXPUNGE", b"* 5 EXPUNGE\r\n* 5 EXPUNGE\r\n"),)
EMPTY_TRASH = (*on("41"), ("UID EXPUNGE 41", b"* 2 EXPUNGE\r\n"), *look(numbers="41"))
SHORT_TRASH: Script = (*STATUS, *MOVE, *look(), *INTO_TRASH)

WELL = {
    "expunge": Case(PLAIN, (*PUT, *marked(3, 7, 8), *EXPUNGE, *look(), *marked(3)), result(GONE)),
    "expunge, no strangers": Case(PLAIN, (*PUT, *MINE, *EXPUNGE, *look()), result(GONE)),
    "expunge, one marked before": Case(HALF, (*PUT, *MINE, *EXPUNGE, *look()), result(GONE)),
    "trash by MOVE": Case(BY_TRASH, (*MOVE, *look()), result(IN_TRASH), LIMIT),
    "trash by COPY": Case(BY_TRASH, (*COPY, *PUT, *MINE, *EXPUNGE, *look()), result(IN_TRASH)),
    "mark": Case(BY_MARK, (*PUT, *look(BOTH)), result(MARKED), ()),
    "exclusive": Case(ALONE, (*LIFT, *PUT, *MINE, *BARE_EXPUNGE, *BACK, *look()), result(GONE), ()),
    "exclusive, no strangers": Case(
        ordered(7, 8, method=Method.EXCLUSIVE), (*PUT, *MINE, *BARE_EXPUNGE, *look()), result(GONE), ()
    ),
    "gmail": Case(
        ON_GMAIL,
        (*SHORT_TRASH, (FIND, IN_TRASH_NOW), *EMPTY_TRASH, *SELECT),
        result(GONE, IN_TRASH),
        GMAIL,
    ),
}
"""Without any trouble; on Gmail one of two is not found in the trash again, and stays there."""

BADLY = {
    "STORE NO": Case(PLAIN, (*says(PUT, b"NO no"), *look(BARE)), result(REFUSED, reason="no")),
    "STORE BAD, half of it done": Case(
        PLAIN,
        (*says(PUT, b"BAD no"), *look({7: b"\\Deleted", 8: b""}), *off("7")),
        result(REFUSED, reason="no"),
    ),
    "STORE NO, and one was marked before": Case(
        HALF, (*says(PUT, b"NO no"), *look(BOTH), *off("7")), result(REFUSED, reason="no")
    ),
    "STORE NO, and one is gone": Case(
        PLAIN, (*says(PUT, b"NO [EXPUNGEISSUED] x"), *look({7: b""})), result(REFUSED, GONE, reason="[EXPUNGEISSUED] x")
    ),
    "STORE OK without effect": Case(
        PLAIN,
        (*PUT, *marked(), (EXPUNGE[0][0], b""), *look(BARE)),
        result(REFUSED, reason=NOT_REMOVED, ignored=True),
    ),
    "SEARCH NO": Case(
        PLAIN, (*PUT, *says(marked(), b"NO search"), *look(BOTH), *off("7:8")), result(REFUSED, reason="search")
    ),
    "UID EXPUNGE OK and nothing removed": Case(
        HALF,
        (*PUT, *MINE, (EXPUNGE[0][0], b""), *look(BOTH), *off("7")),
        result(REFUSED, reason=NOT_REMOVED, ignored=True),
    ),
    "UID EXPUNGE OK and one removed": Case(
        PLAIN,
        (*PUT, *MINE, *EXPUNGE, *look({8: b"\\Deleted"}), *off("8")),
        result(GONE, REFUSED, reason=NOT_REMOVED, ignored=True),
    ),
    "UID EXPUNGE NO": Case(
        PLAIN,
        (*PUT, *MINE, *says(((EXPUNGE[0][0], b""),), b"NO no"), *look(BOTH), *off("7:8")),
        result(REFUSED, reason="no", ignored=True),
    ),
    "UID EXPUNGE BAD, and done all the same": Case(
        PLAIN, (*PUT, *MINE, *says(EXPUNGE, b"BAD what?"), *look()), result(GONE)
    ),
    "UID EXPUNGE removes strangers": Case(
        PLAIN,
        (*PUT, *marked(3, 5, 7, 8), *EXPUNGE, *look(), *marked(), *look({5: b""}, "3,5")),
        replace(result(GONE), strangers=1),
    ),
    "strangers that lost their marks have not vanished": Case(
        PLAIN,
        (*PUT, *marked(3, 5, 7, 8), *EXPUNGE, *look(), *marked(5), *look({3: b"\\Seen"}, "3")),
        result(GONE),
    ),
    "UID EXPUNGE removes all but ours": Case(
        PLAIN,
        (*PUT, *marked(3, 7, 8), (EXPUNGE[0][0], b""), *look(BOTH), *marked(7, 8), *look({}, "3"), *off("7:8")),
        replace(result(REFUSED, reason=NOT_REMOVED, ignored=True), strangers=1),
    ),
    "another hand removes one while we look": Case(
        PLAIN,
        (*PUT, *MINE, *EXPUNGE, *says(look(BARE), b"NO [EXPUNGEISSUED] x"), ("NOOP", b"* 5 EXPUNGE\r\n"), *look()),
        result(GONE),
    ),
    "MARK: STORE NO": Case(BY_MARK, (*says(PUT, b"NO no"), *look(BARE)), result(REFUSED, reason="no"), ()),
    "MARK: STORE OK without effect": Case(
        BY_MARK,
        (*PUT, *look({7: b"\\Seen", 8: b"\\Deleted"})),
        result(REFUSED, MARKED, reason=NO_STORE, ignored=True),
        (),
    ),
    "MARK: one is gone": Case(BY_MARK, (*PUT, *look({7: b"\\Deleted"})), result(MARKED, GONE), ()),
    "MOVE NO [OVERQUOTA]": Case(
        BY_TRASH, (*says(((MOVE[0][0], b""),), NO_ROOM), *look(BARE)), result(REFUSED, reason=ROOM_WORDS), LIMIT
    ),
    "MOVE NO, half of it done": Case(
        BY_TRASH,
        (*says(((MOVE[0][0], b"* 5 EXPUNGE\r\n"),), b"NO x"), *look({8: b""})),
        result(IN_TRASH, REFUSED, reason="the trash takes nothing: x"),
        LIMIT,
    ),
    "MOVE OK that leaves some": Case(
        BY_TRASH, (*MOVE, *look({8: b""})), result(IN_TRASH, REFUSED, reason=NOT_REMOVED, ignored=True), LIMIT
    ),
    "COPY NO [OVERQUOTA]": Case(
        BY_TRASH, (*says(((COPY[0][0], b""),), NO_ROOM), *look(BARE)), result(REFUSED, reason=ROOM_WORDS)
    ),
    "COPY NO, and others mark what we have not": Case(
        BY_TRASH, (*says(COPY, b"NO x"), *look(BOTH)), result(REFUSED, reason="the trash takes nothing: x")
    ),
    "COPY OK, then STORE NO": Case(BY_TRASH, (*COPY, *says(PUT, b"NO x"), *look(BARE)), result(REFUSED, reason="x")),
    "COPY OK, then UID EXPUNGE without effect": Case(
        BY_TRASH,
        (*COPY, *PUT, *MINE, (EXPUNGE[0][0], b""), *look(BOTH), *off("7:8")),
        result(REFUSED, reason=NOT_REMOVED, ignored=True),
    ),
    "exclusive: lifting is refused": Case(
        ALONE, (*says(LIFT, b"NO x"), *BACK, *look(BARE)), result(REFUSED, reason="x", ignored=True), ()
    ),
    "exclusive: marking is refused": Case(
        ALONE,
        (*LIFT, *says(PUT, b"NO x"), *BACK, *look({7: b"\\Deleted", 8: b""}), *off("7")),
        result(REFUSED, reason="x", ignored=True),
        (),
    ),
    "exclusive: EXPUNGE is refused": Case(
        ALONE,
        (*LIFT, *PUT, *MINE, *says((("EXPUNGE", b""),), b"NO x"), *BACK, *look(BOTH), *off("7:8")),
        result(REFUSED, reason="x", ignored=True),
        (),
    ),
    "exclusive: EXPUNGE without effect": Case(
        ALONE,
        (*LIFT, *PUT, *MINE, ("EXPUNGE", b""), *BACK, *look(BOTH), *off("7:8")),
        result(REFUSED, reason=NOT_REMOVED, ignored=True),
        (),
    ),
    "exclusive: somebody marks another one meanwhile": Case(
        ALONE, (*LIFT, *PUT, *marked(7, 8, 9), *BACK, *look(BOTH), *off("7:8")), result(REFUSED, reason=NOT_ALONE), ()
    ),
    "exclusive: a stranger's mark does not come off": Case(
        ALONE, (*LIFT, *PUT, *marked(5, 7, 8), *BACK, *look(BOTH), *off("7:8")), result(REFUSED, reason=NOT_ALONE), ()
    ),
    "exclusive: ours do not get the mark": Case(
        ALONE, (*LIFT, *PUT, *marked(7), *BACK, *look(BARE)), result(REFUSED, reason=NOT_ALONE), ()
    ),
    "exclusive: the search is refused": Case(
        ALONE,
        (*LIFT, *PUT, *says(marked(), b"NO x"), *BACK, *look(BOTH), *off("7:8")),
        result(REFUSED, reason="x", ignored=True),
        (),
    ),
    "exclusive: the search is cut off": Case(
        ALONE,
        (*LIFT, *PUT, *says(MINE, b"OK [MESSAGELIMIT 1000 8] x"), *BACK, *look(BOTH), *off("7:8")),
        result(REFUSED, reason="the server does not tell all marks: [MESSAGELIMIT 1000 8] x", ignored=True),
        (),
    ),
    "exclusive: one was marked before": Case(
        ordered(7, 8, method=Method.EXCLUSIVE, strangers=[3, 5], was_deleted=[8]),
        (*LIFT, *PUT, *marked(7, 8, 9), *BACK, *look(BOTH), *off("7")),
        result(REFUSED, reason=NOT_ALONE),
        (),
    ),
    "exclusive: giving back fails": Case(
        ALONE,
        (*LIFT, *PUT, *MINE, *BARE_EXPUNGE, *says(BACK, b"NO x"), *look()),
        replace(result(GONE), lifted=frozenset({UID(3), UID(5)})),
        (),
    ),
    "gmail: MOVE NO": Case(
        ON_GMAIL,
        (*STATUS, *says(((MOVE[0][0], b""),), NO_ROOM), *look(BARE)),
        result(REFUSED, reason=ROOM_WORDS),
        GMAIL,
    ),
    "gmail: MOVE leaves one": Case(
        ON_GMAIL,
        (*STATUS, *MOVE, *look({8: b""}), *INTO_TRASH, (FIND, IN_TRASH_NOW), *EMPTY_TRASH, *SELECT),
        result(GONE, REFUSED, reason=NOT_REMOVED, ignored=True),
        GMAIL,
    ),
    "gmail: the trash does not open": Case(
        ON_GMAIL,
        (*STATUS, *MOVE, *look(), *says(((INTO_TRASH[0][0], b""),), b"NO x"), *SELECT),
        result(IN_TRASH),
        GMAIL,
    ),
    "gmail: nothing is in the trash": Case(
        ON_GMAIL, (*SHORT_TRASH, (FIND, b"* 1 FETCH (UID 40 X-GM-MSGID 999)\r\n"), *SELECT), result(IN_TRASH), GMAIL
    ),
    "gmail: the look into the trash is refused": Case(
        ON_GMAIL, (*SHORT_TRASH, *says(((FIND, b""),), b"NO x"), *SELECT), result(IN_TRASH), GMAIL
    ),
    "gmail: no marks in the trash": Case(
        ON_GMAIL, (*SHORT_TRASH, (FIND, IN_TRASH_NOW), *says(on("41"), b"NO x"), *SELECT), result(IN_TRASH), GMAIL
    ),
    "gmail: UID EXPUNGE is refused in the trash": Case(
        ON_GMAIL,
        (
            *SHORT_TRASH,
            *((FIND, IN_TRASH_NOW), *on("41"), *says((("UID EXPUNGE 41", b""),), b"NO x")),
            *(*look({41: b"\\Deleted"}, "41"), *off("41"), *SELECT),
        ),
        result(IN_TRASH),
        GMAIL,
    ),
}
"""What servers refuse, or say and do not do; nothing else is sent, and the mailbox is as it was."""

CASES = WELL | BADLY


def carried_out(case: Case, script: Script) -> ExpungeResult:
    """Carry the order of a case out on a server that must hear exactly this script."""
    with selected(script, case.capability) as box:
        return box.expunge(case.order)


@pytest.mark.parametrize("name", CASES)
def test_f032_f066_f067_f068_what_is_sent_and_what_came_of_it(name: str) -> None:
    """The commands on the wire in their order, and the states, the reason, the strangers."""
    assert carried_out(CASES[name], CASES[name].script) == CASES[name].result


NOISE = (
    b"* 7 FETCH (FLAGS (\\Deleted))\r\n* 2 FETCH (UID 99 FLAGS (\\Deleted \\Seen) MODSEQ (12))\r\n* 2 EXPUNGE\r\n"
    b"* 12 EXISTS\r\n* 0 RECENT\r\n* VANISHED 300:310\r\n* VANISHED (EARLIER) 1:4294967295\r\n* FLAGS (\\Deleted)\r\n"
    b"* OK [COPYUID 1 1:4294967295 *] (\r\n* OK [COPYUID\r\n* OK [APPENDUID x 0] y\r\n* NO [HIGHESTMODSEQ 7] {5}\r\n"
    b'* LIST () "/" {3}\r\nabc\r\n* 4 FETCH (X {2}\r\nhi UID 98)\r\n* OK\r\n* BAD (((\r\n* ID NIL\r\n'
)


@pytest.mark.parametrize("name", CASES)
def test_f040_f060_noise_between_any_two_lines_changes_nothing(name: str) -> None:
    """Unsolicited FETCH, EXPUNGE, EXISTS, VANISHED and malformed COPYUID before each answer."""
    case = CASES[name]
    assert carried_out(case, tuple((said, NOISE + answer) for said, answer in case.script)) == case.result


@pytest.mark.parametrize("name", WELL)
def test_after_a_lost_line_nothing_more_is_sent(name: str) -> None:
    """BYE, FIN and nonsense at each command: an error of the account, whatever was on its way."""
    case = WELL[name]
    for at in range(len(case.script)):
        said, answer = case.script[at]
        for end, error in (
            (b"* BYE TAG\r\n", UnreachableError),
            (b"<CUT>TAG", UnreachableError),
            (answer + b"TAG O<CUT>", UnreachableError),
            (b"* BYE [UNAVAILABLE] TAG throttled\r\n", LaterError),
            (b"what? TAG\r\n", ProtocolError),
            (answer + b"M99 OK TAG\r\n", ProtocolError),
        ):
            with pytest.raises(error):
                carried_out(case, (*case.script[:at], (said, end)))


@pytest.mark.parametrize("name", [name for name in WELL if "exclusive" not in name])
@pytest.mark.parametrize(
    "words", [b"NO [THROTTLED] slow", b"BAD Request is throttled. Suggested Backoff Time: 299961 ms"]
)
def test_a_server_that_asks_for_patience_hears_no_more(name: str, words: bytes) -> None:
    """At each command; what the marks came to, the next run settles."""
    case = WELL[name]
    for at in range(len(case.script)):
        if case.script[at] not in (SELECT[0], INTO_TRASH[0]):
            with pytest.raises(LaterError):
                carried_out(case, says(((*case.script[:at], (case.script[at][0], b""))), words))


@pytest.mark.parametrize("at", range(4))
def test_an_impatient_server_gets_the_marks_of_others_back_first(at: int) -> None:
    """Exclusive: lifted marks are not left behind."""
    steps = (*LIFT, *PUT, *MINE, ("EXPUNGE", b""))
    script = says((*steps[:at], (steps[at][0], b"")), b"NO [LIMIT] slow")
    # Before ours are put on, a mark is somebody else's.
    after = (*BACK, *look(BOTH), *(off("7:8") if at else ()))
    with pytest.raises(LaterError, match="slow"):
        carried_out(WELL["exclusive"], (*script, *after))


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("expunge", (*PUT, *MINE, *EXPUNGE, *says(look(), b"NO x"))),
        ("expunge", (*PUT, *MINE, *EXPUNGE, *look({8: b"\\Deleted"}), *says(off("8"), b"NO x"))),
        ("expunge", (*PUT, *marked(3, 7, 8), *EXPUNGE, *look(), *says(marked(), b"NO x"))),
        ("expunge", (*says(PUT, b"NO no"), *says(look(), b"NO x"))),
        ("expunge", (*says(PUT, b"NO no"), *look(BOTH), *says(off("7:8"), b"NO x"))),
        ("mark", (*PUT, *says(look(), b"BAD x"))),
        ("mark", (*PUT, *says(look(), b"NO [EXPUNGEISSUED] y"), ("NOOP", b""), *says(look(), b"NO [EXPUNGEISSUED] x"))),
        ("trash by MOVE", (*MOVE, *says(look(), b"NO x"))),
        ("trash by MOVE", (*says(MOVE, b"NO no"), *says(look(), b"NO x"))),
        ("trash by COPY", (*COPY, *PUT, *MINE, *EXPUNGE, *says(look(), b"NO x"))),
        ("exclusive", (*LIFT, *PUT, *MINE, *BARE_EXPUNGE, *BACK, *says(look(), b"NO x"))),
        ("gmail", (*STATUS, *MOVE, *says(look(), b"NO x"))),
        ("gmail", (*SHORT_TRASH, (FIND, IN_TRASH_NOW), *EMPTY_TRASH, *says(SELECT, b"NO x"))),
    ],
)
def test_where_a_refusal_hides_what_came_of_it_the_account_stops(name: str, script: Script) -> None:
    """A MailboxError would say that nothing is deleted; here something may be, and the next session looks."""
    with pytest.raises(AccountError, match=r"\bx\b"):
        carried_out(WELL[name], script)


def test_gmail_without_a_place_in_the_trash_is_left_as_it_is() -> None:
    """STATUS refused: nothing has been moved, and that is an error of this mailbox only."""
    with pytest.raises(MailboxError, match="x"):
        carried_out(WELL["gmail"], says(((STATUS[0][0], b""),), b"NO x"))


@pytest.mark.parametrize(
    "order",
    [
        ordered(7, box=Mailbox("Other", b"Other")),
        ordered(7, uidvalidity=78),
        ordered(7, box=Mailbox("INBOX", b"INBOX", personal=False)),
    ],
)
def test_an_order_for_another_mailbox_is_refused_before_anything_is_sent(order: ExpungeOrder) -> None:
    """Another name, another generation: a bug above, and not one octet."""
    with selected(()) as box, pytest.raises(AssertionError):
        box.expunge(order)


def test_a_mailbox_that_is_left_deletes_nothing() -> None:
    """Behind its block the session is reading again."""
    with selected(()) as box:
        pass
    for act in (lambda: box.expunge(PLAIN), lambda: box.mark([UID(7)], deleted=True)):
        with pytest.raises(AssertionError):
            act()
