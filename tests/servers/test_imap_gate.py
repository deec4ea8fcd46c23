r"""What may be sent in which phase, and whether a mailbox may be deleted in (`safety.md` sections 2 and 6)."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest

from mailarchive.errors import MailboxError, ProtocolError
from mailarchive.model import ItemState, Mailbox, MailboxStatus, Method
from mailarchive.sources import imap_gate
from mailarchive.sources.imap import ImapSource
from mailarchive.sources.imap_gate import Gate, Phase
from tests.servers.scripted import BOX, Scripted, ordered

if TYPE_CHECKING:
    from collections.abc import Iterator

READ, DELETE, RESTORE = Phase.READING, Phase.DELETING, Phase.RESTORING

ALLOWED = {
    b"CAPABILITY": (b"", {READ, DELETE, RESTORE}),
    b"COMPRESS": (b"DEFLATE", {READ, DELETE, RESTORE}),
    b"EXAMINE": (b'"INBOX"', {READ, DELETE, RESTORE}),
    b"GETQUOTAROOT": (b"INBOX", {READ, DELETE, RESTORE}),
    b"ID": (b'("name" "mailarchive" "version" "0.1.0")', {READ, DELETE, RESTORE}),
    b"LIST": (b'"" "*"', {READ, DELETE, RESTORE}),
    b"LOGOUT": (b"", {READ, DELETE, RESTORE}),
    b"MYRIGHTS": (b'"INBOX"', {READ, DELETE, RESTORE}),
    b"NAMESPACE": (b"", {READ, DELETE, RESTORE}),
    b"NOOP": (b"", {READ, DELETE, RESTORE}),
    b"STATUS": (b'"INBOX" (UIDNEXT)', {READ, DELETE, RESTORE}),
    b"UID FETCH": (b"1:* (UID BODY.PEEK[])", {READ, DELETE, RESTORE}),
    b"UID SEARCH": (b"DELETED", {READ, DELETE, RESTORE}),
    b"SELECT": (b'"INBOX"', {DELETE, RESTORE}),
    b"UID COPY": (b'1:3,7 "Trash"', {DELETE}),
    b"UID EXPUNGE": (b"1:3,7", {DELETE}),
    b"UID MOVE": (b'1:3,7 "a \\"b\\" \\\\c"', {DELETE}),
    b"APPEND": (b'"INBOX" ()', {RESTORE}),
    b"CREATE": (b'"Work"', {RESTORE}),
}

MARKING = (rb"7 +FLAGS.SILENT (\Deleted)", rb"1:3,7,4294967295 -FLAGS.SILENT (\Deleted)")
LABELLING = (rb'7 +X-GM-LABELS.SILENT ("Work")', rb'7 +X-GM-LABELS.SILENT ("\\Inbox" "a \"b\" (c)")')

NEVER = (
    *((name, b"") for name in (b"CLOSE", b"EXPUNGE", b"UNSELECT", b"IDLE", b"CHECK", b"uid expunge", b"")),
    *((name, b'"INBOX"') for name in (b"DELETE", b"RENAME", b"SUBSCRIBE", b"SETACL", b"SETMETADATA", b"LOGIN")),
    *((name, rb"1 +FLAGS.SILENT (\Deleted)") for name in (b"STORE", b"uid STORE", b"UID  STORE")),
    *((name, b"1:3") for name in (b"EXPUNGE", b"FETCH", b"SEARCH", b"SORT")),
    *((name, b'1:3 "Trash"') for name in (b"COPY", b"MOVE")),
    *((b"COMPRESS", arguments) for arguments in (b"", b"deflate", b"DEFLATE ", b"LZ4")),
)

ODD_SETS = (
    *(b"", b" ", b"*", b"1:*", b"*:7", b"7,*", b"0", b"1,0", b"1:", b":7", b",7", b"7,", b"1,,7", b"7:1", b"a", b"-1"),
    *(b"4294967296", b"99999999999", b"1:1001", b"1:4294967295", b"1:600,701:1101", b"$", b"1:3\r\nM9 EXPUNGE"),
)
STORES = (
    rb"7 FLAGS.SILENT (\Deleted)",
    rb"7 +FLAGS (\Deleted)",
    rb"7 -FLAGS (\Deleted)",
    rb"7 +flags.silent (\Deleted)",
    rb"7 +FLAGS.SILENT \Deleted",
    rb"7 +FLAGS.SILENT (\Seen)",
    rb"7 +FLAGS.SILENT (\Deleted \Seen)",
    rb"7 +FLAGS.SILENT ()",
    rb"7 (UNCHANGEDSINCE 1) +FLAGS.SILENT (\Deleted)",
    rb"7 -X-GM-LABELS.SILENT (\Deleted)",
    rb"7 X-GM-LABELS.SILENT (\Deleted)",
    rb"7 +FLAGS.SILENT (\Deleted) ",
)
LABELS = (
    rb'7 X-GM-LABELS.SILENT ("Work")',
    rb'7 -X-GM-LABELS.SILENT ("Work")',
    rb'7 +X-GM-LABELS ("Work")',
    rb'7,8 +X-GM-LABELS.SILENT ("Work")',
    rb'1:8 +X-GM-LABELS.SILENT ("Work")',
    rb"7 +X-GM-LABELS.SILENT ()",
    rb"7 +X-GM-LABELS.SILENT (Work)",
    rb'7 +X-GM-LABELS.SILENT ("Work"',
    rb'7 +X-GM-LABELS.SILENT ("Work" "unclosed)',
    rb'7 +X-GM-LABELS.SILENT ("\\Trash")',
    rb'7 +X-GM-LABELS.SILENT ("Work" "\\SPAM")',
)


@contextlib.contextmanager
def phase(which: Phase) -> Iterator[Gate]:
    """Give a gate in this phase, of a session that may reach no other but reading."""
    gate = Gate(which)
    with gate.enter(which):
        yield gate


def refused(gate: Gate, command: bytes, arguments: bytes) -> None:
    """Check that this does not pass."""
    with pytest.raises(AssertionError):
        gate.check(command, arguments)


@pytest.mark.parametrize("which", Phase)
def test_each_phase_lets_its_commands_through_and_no_other(which: Phase) -> None:
    """The table of `safety.md` section 2, written here a second time on purpose."""
    assert set(ALLOWED) | {b"UID STORE"} >= {*READ.value, *DELETE.value, *RESTORE.value}
    with phase(which) as gate:
        for command, (arguments, phases) in ALLOWED.items():
            if which in phases:
                gate.check(command, arguments)
            else:
                refused(gate, command, arguments)
        for arguments in MARKING + LABELLING:
            # What an undo takes back is a mark that we have put on.
            taken_off = which is RESTORE and b" -FLAGS" in arguments
            if taken_off or (which, arguments in MARKING) in ((DELETE, True), (RESTORE, False)):
                gate.check(b"UID STORE", arguments)
            else:
                refused(gate, b"UID STORE", arguments)


@pytest.mark.parametrize("which", Phase)
def test_what_never_passes(which: Phase) -> None:
    """CLOSE, DELETE, RENAME, a bare EXPUNGE, sequence numbers, any other spelling: in no phase."""
    with phase(which) as gate:
        for command, arguments in NEVER:
            refused(gate, command, arguments)
        for arguments in (*STORES, *LABELS):
            refused(gate, b"UID STORE", arguments)
        for numbers in ODD_SETS:
            refused(gate, b"UID EXPUNGE", numbers)
            refused(gate, b"UID STORE", numbers + rb" +FLAGS.SILENT (\Deleted)")
            refused(gate, b"UID STORE", numbers + rb' +X-GM-LABELS.SILENT ("Work")')
            refused(gate, b"UID COPY", numbers + b' "Trash"')
            refused(gate, b"UID MOVE", numbers + b' "Trash"')
        for target in (b"", b" Trash", b' "Trash', b' "Trash" "x"', b' ""Trash"', b" {5}\r\nTrash", b' "a\\"'):
            refused(gate, b"UID MOVE", b"7" + target)
            refused(gate, b"UID COPY", b"7" + target)


@pytest.mark.parametrize("which", Phase)
def test_a_line_break_or_a_nul_passes_nowhere(which: Phase) -> None:
    """Whatever name or key it hides in, it would be a second command."""
    with phase(which) as gate:
        for command in ALLOWED:
            for octet in (b"\r", b"\n", b"\0"):
                refused(gate, command, b'"a' + octet + b'M2 EXPUNGE"')


@pytest.mark.parametrize(
    "arguments", [b"1 BODY[]", b"1 (UID RFC822)", b"1 rfc822.text", b"1 body[TEXT]", b"", b" 1 (UID)"]
)
def test_no_fetch_marks_as_read_in_any_phase(arguments: bytes) -> None:
    """BODY without PEEK sets the flag that says so."""
    for which in Phase:
        with phase(which) as gate:
            refused(gate, b"UID FETCH", arguments)


def test_a_changing_command_stays_within_a_thousand_octets() -> None:
    """With its tag, command and line end (RFC 2683 section 3.2.1.5)."""
    with phase(DELETE) as gate:
        longest = ",".join(str(10**8 + 2 * each) for each in range(92)).encode()
        gate.check(b"UID STORE", longest + rb" +FLAGS.SILENT (\Deleted)")
        assert len(b"M1234567 UID STORE " + longest + rb" +FLAGS.SILENT (\Deleted)" + b"\r\n") < imap_gate.CHANGING_LINE
        for more in (b",1" * 30, b",1" * 500):
            refused(gate, b"UID STORE", longest + more + rb" +FLAGS.SILENT (\Deleted)")
            refused(gate, b"UID EXPUNGE", longest + more + b",1" * 20)
            refused(gate, b"UID MOVE", longest + more + b' "Trash"')


def test_one_bare_expunge_passes_its_opening_and_no_second() -> None:
    """Exactly one, without arguments, only while deleting, and none once the opening is closed."""
    with phase(DELETE) as gate:
        refused(gate, b"EXPUNGE", b"")
        with gate.one_expunge():
            refused(gate, b"EXPUNGE", b"7")
            refused(gate, b"CLOSE", b"")
            with gate.enter(READ):
                refused(gate, b"EXPUNGE", b"")
            gate.check(b"EXPUNGE", b"")
            refused(gate, b"EXPUNGE", b"")
        refused(gate, b"EXPUNGE", b"")
        with gate.one_expunge():
            pass
        refused(gate, b"EXPUNGE", b"")
        with contextlib.suppress(ValueError), gate.one_expunge():
            raise ValueError
        refused(gate, b"EXPUNGE", b"")


@pytest.mark.parametrize("which", [READ, RESTORE])
def test_only_deleting_opens_for_a_bare_expunge(which: Phase) -> None:
    """Elsewhere the opening itself fails."""
    with phase(which) as gate:
        with pytest.raises(AssertionError), gate.one_expunge():
            pytest.fail("it opened")
        refused(gate, b"EXPUNGE", b"")


def test_a_session_never_enters_more_than_it_was_opened_for() -> None:
    """Reading is all that a session of a backup can ever do; deleting and restoring are not the same session."""
    for most in Phase:
        for wanted in Phase:
            gate = Gate(most)
            if wanted in (READ, most):
                with gate.enter(wanted):
                    gate.check(b"NOOP", b"")
            else:
                with pytest.raises(AssertionError), gate.enter(wanted):
                    pytest.fail("it entered")
            refused(gate, b"SELECT", b'"INBOX"')


def test_a_phase_ends_with_its_block_whatever_happens_in_it() -> None:
    """After an error the session is reading again."""
    gate = Gate(DELETE)
    with contextlib.suppress(ValueError), gate.enter(DELETE):
        with gate.enter(DELETE):
            gate.check(b"UID EXPUNGE", b"7")
        gate.check(b"UID EXPUNGE", b"7")
        raise ValueError
    refused(gate, b"UID EXPUNGE", b"7")


def test_a_source_that_was_opened_for_reading_neither_selects_nor_makes_anything() -> None:
    """It fails before a single octet is sent; so does one for restoring."""
    for most in (READ, RESTORE):
        with Scripted([]) as server:
            source = ImapSource(server.session, most)
            with pytest.raises(AssertionError), source.select(BOX):
                pytest.fail("it was selected")
        assert server.commands == []
    for most in (READ, DELETE):
        with Scripted([]) as server:
            source = ImapSource(server.session, most)
            with pytest.raises(AssertionError):
                source.create("Work")
        assert server.commands == []


# What SELECT says

EXISTS = b"* 9 EXISTS\r\n"
VALID = b"* OK [UIDVALIDITY 77] x\r\n"
PERMANENT = b"* OK [PERMANENTFLAGS (\\Seen \\Deleted \\*)] x\r\n"
DONE = b"TAG OK [READ-WRITE] done\r\n"
GOOD = MailboxStatus(9, uidvalidity=77, writable=True)
NO_MARKS = "the server keeps no deleted marks in it"


def selected(answer: bytes, *more: tuple[str, bytes], acl: bool = False) -> MailboxStatus:
    """Give what is made of an answer to SELECT, and of one to MYRIGHTS."""
    capability = ("IMAP4REV1", "ACL") if acl else ("IMAP4REV1",)
    with Scripted([('SELECT "INBOX"', answer), *more], capability=capability) as server:
        with ImapSource(server.session, DELETE).select(BOX) as box:
            status = box.status
        assert server.unexpected == []
    return status


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (EXISTS + VALID + PERMANENT + DONE, GOOD),
        (EXISTS + VALID + PERMANENT + b"TAG OK\r\n", GOOD),
        (EXISTS + VALID + DONE, GOOD),
        (EXISTS + VALID + PERMANENT.lower() + DONE, GOOD),
        (
            EXISTS + VALID + PERMANENT + b"TAG OK [READ-ONLY] shared\r\n",
            MailboxStatus(9, uidvalidity=77, obstacle="the server opens it read-only"),
        ),
        (
            EXISTS + VALID + b"* OK [PERMANENTFLAGS ()] x\r\ntag ok [read-only] x\r\n".replace(b"tag", b"TAG"),
            MailboxStatus(9, uidvalidity=77, obstacle="the server opens it read-only"),
        ),
        (EXISTS + VALID + b"* OK [PERMANENTFLAGS ()] x\r\n" + DONE, MailboxStatus(9, 77, obstacle=NO_MARKS)),
        (
            EXISTS + VALID + b"* OK [PERMANENTFLAGS (\\Seen \\*)] x\r\n" + DONE,
            MailboxStatus(9, 77, obstacle=NO_MARKS),
        ),
        (
            EXISTS + VALID + b"* OK [PERMANENTFLAGS (\\DeletedToo Deleted)] x\r\n" + DONE,
            MailboxStatus(9, 77, obstacle=NO_MARKS),
        ),
        (EXISTS + VALID + b"* NO [UIDNOTSTICKY] x\r\n" + DONE, MailboxStatus(9, 77, writable=True, uids_stick=False)),
        (EXISTS + DONE, MailboxStatus(9, writable=True)),
        (EXISTS + b"* OK [UIDVALIDITY 0] x\r\n" + DONE, MailboxStatus(9, writable=True)),
        (EXISTS + b"* OK [UIDVALIDITY 4294967296] x\r\n" + DONE, MailboxStatus(9, writable=True)),
    ],
)
def test_f046_what_select_says_decides_whether_anything_may_be_deleted(answer: bytes, status: MailboxStatus) -> None:
    """Read-only, no marks, no UIDVALIDITY, UIDs that do not stick: each is told with its reason."""
    assert selected(answer) == status


@pytest.mark.parametrize("answer", [b"TAG NO no\r\n", b"TAG BAD no\r\n", VALID + DONE])
def test_a_mailbox_that_does_not_open_is_an_error_of_this_mailbox(answer: bytes) -> None:
    """SELECT refused, or without EXISTS."""
    with pytest.raises(MailboxError):
        selected(answer)


@pytest.mark.parametrize(
    ("rights", "enough"),
    [
        (b"lrswipkxtecda", True),
        (b"lrste", True),
        (b"lrswipcda", True),  # RFC 2086: `d` is all there is
        (b"lrswi", False),
        (b"lrs", False),
        (b'""', False),
        # RFC 4314 section 2.1.1: a server shows `d` with any of its parts.
        (b"lrstd", False),
        (b"lrsed", False),
        (b"lrswipkxcda", False),
        (b"lrst", False),
        (b"lrse", False),
    ],
)
def test_f046_without_the_rights_to_mark_and_to_expunge_nothing_is_deleted(rights: bytes, enough: bool) -> None:
    """Where there are access lists, MYRIGHTS needs `t` and `e`, or the `d` of RFC 2086."""
    answer = b'* 9 EXISTS\r\n* MYRIGHTS "INBOX" ' + rights + b"\r\nTAG OK done\r\n"
    status = selected(EXISTS + VALID + PERMANENT + DONE, ('^MYRIGHTS "INBOX"$', answer), acl=True)
    assert status.writable is enough
    assert status.obstacle == ("" if enough else "we have no right to delete in it")


@pytest.mark.parametrize("answer", [b"TAG NO not here\r\n", b"TAG OK done\r\n", b"* MYRIGHTS INBOX\r\nTAG OK done\r\n"])
def test_rights_that_are_not_told_are_no_obstacle(answer: bytes) -> None:
    """A server that announces ACL and does not answer; the STORE will tell."""
    assert selected(EXISTS + VALID + DONE, ("^MYRIGHTS", answer), acl=True) == GOOD


def test_rights_are_not_asked_for_where_nothing_could_be_deleted_anyway() -> None:
    """The obstacle that SELECT told stays."""
    status = selected(EXISTS + VALID + b"TAG OK [READ-ONLY] x\r\n", acl=True)
    assert status.obstacle == "the server opens it read-only"


def test_a_line_in_the_middle_of_an_answer_selects_nothing() -> None:
    """After a listing that was not read to its end, the line is good for nothing else."""
    with Scripted([("UID FETCH", b"* 1 FETCH (UID 7)\r\nTAG OK\r\n")]) as server:
        source = ImapSource(server.session, DELETE)
        source._commands.send(b"UID FETCH", b"7 (UID)")
        with pytest.raises(ProtocolError, match="middle"), source.select(BOX):
            pytest.fail("it was selected")
    assert server.commands == ["UID FETCH 7 (UID)"]


# Sets


@pytest.mark.parametrize("limit", [None, 100, 1])
@pytest.mark.parametrize("uids", [range(1, 2501), range(4_294_960_000, 4_294_964_000, 2)], ids=["one run", "all apart"])
@pytest.mark.parametrize("method", ["expunge", "trash", "copy", "mark", "exclusive"])
def test_no_changing_command_is_too_long(limit: int | None, uids: range, method: str) -> None:
    """At most 1,000 octets with tag and line end, at most 1,000 UIDs or MESSAGELIMIT, each UID once and no other."""
    uids = uids if limit != 1 else uids[:30]
    trash = Mailbox("t", b'a "quoted" \\ name ' * 4, special_use=frozenset({"\\Trash"}))
    order = ordered(*uids, method=Method.TRASH if method == "copy" else Method(method), trash=trash)
    capability = ("UIDPLUS", *(["MOVE"] if method == "trash" else []), *([f"MESSAGELIMIT={limit}"] if limit else []))
    hits = b"* SEARCH " + b" ".join(b"%d" % uid for uid in uids) + b"\r\n"
    shown = "".join(f"* 1 FETCH (UID {uid} FLAGS (\\Deleted))\r\n" for uid in uids).encode()
    opened = b"* %d EXISTS\r\n* OK [UIDVALIDITY 77] x\r\n" % len(uids)
    script = [("^SELECT", opened + DONE), ("^UID SEARCH", hits + DONE), ("^EXPUNGE", DONE)]
    script += [("^UID FETCH", (shown if method == "mark" else b"") + DONE)] * 3000
    script += [("^UID (STORE|COPY|MOVE|EXPUNGE)", DONE)] * 3000
    with Scripted(script, capability=capability) as server:
        with ImapSource(server.session, Phase.DELETING).select(BOX) as box:
            states = box.expunge(order).states
        assert server.unexpected == []
    assert set(states) == set(uids)
    assert ItemState.REFUSED not in states.values()
    sets: dict[str, list[int]] = {}
    for command in server.commands:
        if found := re.match(r"(UID (?:STORE|COPY|MOVE|EXPUNGE|FETCH)) ([\d:,]+)", command):
            named = numbers(found[2])
            assert len(named) <= (limit or 1000)
            assert found[1] == "UID FETCH" or len(command) + len("M123456 \r\n") <= 1000
            sets.setdefault(found[1], []).extend(named)
    changing = {"trash": {"UID MOVE"}, "copy": {"UID COPY", "UID STORE", "UID EXPUNGE"}, "mark": {"UID STORE"}}
    changing |= {"expunge": {"UID STORE", "UID EXPUNGE"}, "exclusive": {"UID STORE"}}
    assert sets == {name: list(uids) for name in {*changing[method], "UID FETCH"}}
    order_of = [command.split(" ")[1] for command in server.commands if command.startswith("UID ")]
    assert order_of == sorted(order_of, key=["COPY", "MOVE", "STORE", "SEARCH", "EXPUNGE", "FETCH"].index)


@pytest.mark.parametrize("refused", ["STORE", "COPY", "MOVE", "EXPUNGE"])
def test_after_a_refused_set_the_next_one_is_not_tried(refused: str) -> None:
    """The second of three sets is refused: the third stays untouched, and the first is what it has become."""
    uids = range(1, 2501)
    order = ordered(*uids, method=Method.TRASH if refused in ("COPY", "MOVE") else Method.EXPUNGE)
    there = "".join(f"* 1 FETCH (UID {uid} FLAGS (\\Deleted))\r\n" for uid in uids[1000:]).encode()
    script = [("^SELECT", EXISTS + VALID + DONE), ("^UID SEARCH", DONE), (rf"^UID {refused} 1:1000\b", DONE)]
    script += [(rf"^UID {refused} 1001:2000\b", b"TAG NO x\r\n"), ("^UID FETCH 1:", DONE)]
    script += [("^UID FETCH", there + DONE)] * 2 + [(r"^UID STORE \S+ -", DONE)] * 2
    script += [(r"^UID STORE \S+ \+", DONE)] * (3 if refused == "EXPUNGE" else 0)
    with Scripted(script, capability=("UIDPLUS", *(["MOVE"] if refused == "MOVE" else []))) as server:
        with ImapSource(server.session, DELETE).select(BOX) as box:
            result = box.expunge(order)
        assert server.unexpected == []
    assert "x" in result.reason
    assert {uid for uid, state in result.states.items() if state is ItemState.REFUSED} == set(uids[1000:])
    sent = [command for command in server.commands if command.startswith(f"UID {refused}") and "-FLAGS" not in command]
    assert len(sent) == 2
    lifted = [found[1] for command in server.commands if (found := re.match(r"UID STORE (\S+) -", command))]
    assert lifted == (["1001:2000", "2001:2500"] if refused in ("STORE", "EXPUNGE") else [])


def numbers(text: str) -> list[int]:
    """Read a set."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        found.extend(range(int(first), int(last or first) + 1))
    return found
