r"""Rows 32, 42 to 46, 60 and 66 to 68 of the table of faults: a server that misbehaves where mail is deleted.

Each test is a whole run, and looks at what is archived, what is on the server, what is said, and the exit code. What
has left the server stands in the archive, whatever the server said.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers.misbehaving import (
    ALL,
    DELETE,
    FACTS,
    NOW,
    OK,
    OLD,
    WORK,
    Fault,
    Misbehaving,
    archived,
    between,
    instead,
    recovered,
    these,
    told,
    total,
    warnings,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INBOX = ("--mailbox", "INBOX", *DELETE)
OPENING = "^(EXAMINE|SELECT)"
STAYED: tuple[list[int], list[int], list[int]] = ([1, 2, 3, 4, 5], [1, 2], [])


def stands(server: Misbehaving) -> tuple[list[int], list[int], list[int]]:
    """Give the UIDs of INBOX and of Work, and those of INBOX that are marked."""
    return server.holds(), server.holds("Work"), server.marked()


def without(code: bytes) -> Callable[[bytes], bytes]:
    """Leave a response code out."""
    return instead(rb"\* OK \[" + code + rb"[^\r]*\r\n", b"")


def reasons(kept: list[dict[str, Any]]) -> set[str]:
    """Give why messages were kept."""
    return {each["reason"] for each in kept}


# Row 32: the trash


@pytest.mark.parametrize("hidden", [(), ("MOVE",)])
def test_f032_without_room_in_the_trash_everything_stays(tmp_path: Path, hidden: tuple[str, ...]) -> None:
    """Over quota on MOVE or COPY: archived, kept without marks, 3, and the words name the way that needs no room."""
    with Misbehaving(Fault("^UID (MOVE|COPY)", b"TAG NO [OVERQUOTA] full\r\n"), hidden=hidden) as server:
        server.account.create("Trash", ["\\Trash"])
        result = server.run(tmp_path, *DELETE, "--delete-method", "trash")
        assert (result.code, total(result)) == (3, (6, 0, 6, 0))
        assert stands(server) == STAYED
        assert archived(tmp_path) == these(*OLD, *WORK)
        assert any("--delete-method expunge needs no room" in each for each in warnings(result))


# Rows 42 to 46: what SELECT says


def swapped(server: Misbehaving) -> None:
    """Let two messages change places under their UIDs."""
    first, second = server.inbox.messages()[:2]
    first.raw, second.raw = second.raw, first.raw


def test_f042_uids_that_have_moved_between_two_runs(tmp_path: Path) -> None:
    """The identity probe sees other messages under the UIDs of archived ones: an alarm, and nothing goes, 3."""
    with Misbehaving() as server:
        assert server.run(tmp_path).code == 0
        swapped(server)
        for command in ("backup", "prune"):
            words = [word for word in INBOX if command == "backup" or word != "--delete"]
            result = server.run(tmp_path, *words, command=command)
            assert result.code == 3
            assert total(result)[1:] == (0, 4, 0)
            assert any("shows other messages under the UIDs" in each for each in warnings(result))
            assert server.holds() == [1, 2, 3, 4, 5]
    assert archived(tmp_path) == these(*ALL)


@pytest.mark.parametrize("after", [0, 1])
def test_f042_uids_that_move_in_mid_run(tmp_path: Path, after: int) -> None:
    """Between the fetch and the second SELECT, or just before the look that is the last thing: as before."""
    with Misbehaving() as server:

        def swap(answer: bytes) -> bytes:
            swapped(server)
            return answer

        server.faults = [Fault('^SELECT "INBOX"' if not after else "SEARCH.* DELETED", swap, times=1)]
        result = server.run(tmp_path, *INBOX)
        assert (result.code, total(result)) == (3, (4, 0, 4, 0))
        assert any("shows other messages under the UIDs" in each for each in warnings(result))
        assert (server.holds(), server.marked()) == ([1, 2, 3, 4, 5], [])
        assert archived(tmp_path) == these(*OLD)


def test_f043_a_mailbox_numbered_anew_between_two_runs(tmp_path: Path) -> None:
    """Deleted and made again: no second copies, nothing goes in the run that sees it (3), all of it in the next."""
    with Misbehaving() as server:
        assert server.run(tmp_path).code == 0
        again = [message.raw for message in server.work.messages()]
        server.account.delete("Work")
        box = server.account.create("Work")
        for raw in reversed(again):
            box.append(raw, NOW.replace(year=2015), ["\\Seen"])
        plain = server.run(tmp_path)
        assert (plain.code, archived(tmp_path)) == (0, these(*ALL))
        server.account.delete("Work")
        box = server.account.create("Work")
        for raw in again:
            box.append(raw, NOW.replace(year=2015), ["\\Seen"])
        result = server.run(tmp_path, "--mailbox", "Work", *DELETE)
        assert (result.code, total(result)[1:]) == (3, (0, 2, 0))
        assert any("UIDVALIDITY" in each for each in warnings(result))
        assert server.holds("Work") == [1, 2]
        later = server.run(tmp_path, "--mailbox", "Work", *DELETE)
        assert (later.code, total(later)[1:], server.holds("Work")) == (0, (2, 0, 0), [])
    assert archived(tmp_path) == these(*ALL)


@pytest.mark.parametrize("after", [1, 2])
def test_f043_a_mailbox_numbered_anew_in_mid_run(tmp_path: Path, after: int) -> None:
    """Between the listing and the fetch, or before the deletion: told, nothing goes, and the next run puts it right."""
    renumbered = Fault('"INBOX"', instead(rb"\[UIDVALIDITY \d+\]", b"[UIDVALIDITY 77]"), after=after)
    with Misbehaving(renumbered) as server:
        result = server.run(tmp_path, *DELETE)
        assert result.code == 3
        assert any("UIDVALIDITY" in each for each in warnings(result, serious=True))
        assert (server.holds(), server.marked(), server.holds("Work")) == ([1, 2, 3, 4, 5], [], [])
        server.faults.clear()
        again = server.run(tmp_path, *DELETE)
        assert (again.code, server.holds()) == (0, [5])
        assert archived(tmp_path) == these(*OLD, *WORK)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (without(b"UIDVALIDITY"), "the server gives no UIDVALIDITY"),
        (instead(rb"UIDVALIDITY \d+", b"UIDVALIDITY 0"), "the server gives no UIDVALIDITY"),
        (lambda answer: b"* NO [UIDNOTSTICKY] x\r\n" + answer, "the server does not keep UIDs"),
    ],
)
def test_f044_f045_without_uids_that_last_nothing_goes(
    tmp_path: Path, says: Callable[[bytes], bytes], reason: str
) -> None:
    """All is archived, 0, also again and without second copies; a run that deletes says why it does not, 3."""
    with Misbehaving(Fault(OPENING, says)) as server:
        for _ in range(2):
            plain = server.run(tmp_path)
            assert (plain.code, archived(tmp_path)) == (0, these(*ALL))
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result)[1:]) == (3, (0, 6, 0))
        assert reasons(told(result, "kept")) == {reason}
        assert stands(server) == STAYED
        recovered(server, tmp_path)


def test_f044_without_uidnext_nothing_is_amiss(tmp_path: Path) -> None:
    """It is a help only."""
    with Misbehaving(Fault(OPENING, without(b"UIDNEXT"))) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result), stands(server)) == (0, (6, 6, 0, 0), ([5], [], []))


def test_f044_a_mod_sequence_that_goes_back_is_not_followed(tmp_path: Path) -> None:
    """As long as it stays nothing is asked for; where it is lower than before, everything is listed again."""
    with Misbehaving(also=["CONDSTORE"]) as server:
        asked = []
        for number in (b"9", b"9", b"5"):
            server.faults = [Fault(OPENING, between(b"* OK [HIGHESTMODSEQ " + number + b"] x\r\n"))]
            server.commands.clear()
            result = server.run(tmp_path)
            assert (result.code, archived(tmp_path)) == (0, these(*ALL))
            asked.append(sum(bool(re.search(FACTS, command)) for command in server.commands))
    assert asked == [2, 0, 2]


@pytest.mark.parametrize(
    ("says", "detail"),
    [
        (instead(rb"\[READ-WRITE\]", b"[READ-ONLY]"), "the server opens it read-only"),
        (instead(rb"\[PERMANENTFLAGS [^\]]*\]", b"[PERMANENTFLAGS ()]"), "the server keeps no deleted marks in it"),
        (
            instead(rb"\[PERMANENTFLAGS [^\]]*\]", rb"[PERMANENTFLAGS (\\Seen)]"),
            "the server keeps no deleted marks in it",
        ),
    ],
)
def test_f046_a_mailbox_in_which_nothing_can_be_deleted(
    tmp_path: Path, says: Callable[[bytes], bytes], detail: str
) -> None:
    """It is archived, left with the reason, and the next one is emptied: 3."""
    with Misbehaving(Fault('^SELECT "INBOX"', says)) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result)) == (3, (6, 2, 4, 0))
        kept = told(result, "kept")
        assert (reasons(kept), {each["detail"] for each in kept}) == ({"the mailbox is read-only"}, {detail})
        assert stands(server) == ([1, 2, 3, 4, 5], [], [])


# Row 60: response codes of UIDPLUS


CODES = (
    *(b"[COPYUID 1 1:4294967295 *]", b"[COPYUID 1 1:4294967295 1:4294967295]", b"[COPYUID", b"[APPENDUID x 0]"),
    *(b"[APPENDUID 1 4294967296]", b"[APPENDUID 1 1:4294967295]", b"[COPYUID 1 " + b"9" * 5000 + b" 1]"),
)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("hidden", [(), ("MOVE",)])
def test_f060_uids_of_copies_are_no_more_than_a_hint(tmp_path: Path, code: bytes, hidden: tuple[str, ...]) -> None:
    """Malformed, giant or unasked for, wherever a message is moved, removed or put back: 0, and all is right."""
    said = [
        Fault("^(UID MOVE|UID COPY|UID EXPUNGE|UID STORE)", lambda answer: b"* OK " + code + b" x\r\n" + answer),
        Fault("^APPEND", instead(rb" OK (\[APPENDUID [^\]]*\])?", b" OK " + code)),
    ]
    with Misbehaving(*said, hidden=hidden) as server:
        server.account.create("Trash", ["\\Trash"])
        moved = server.run(tmp_path, *INBOX, "--delete-method", "trash")
        assert (moved.code, total(moved)) == (0, (4, 4, 0, 0))
        assert (server.holds(), len(server.holds("Trash"))) == ([5], 4)
        removed = server.run(tmp_path, "--mailbox", "Work", *DELETE)
        assert (removed.code, total(removed), server.holds("Work")) == (0, (2, 2, 0, 0), [])
        back = server.run(tmp_path, command="undo", of=removed.end["run"])
        assert back.code == 0
        assert sorted(message.raw for message in server.work.messages()) == these(*WORK)
        again = server.run(tmp_path, command="undo", of=removed.end["run"])
        assert (again.code, len(server.holds("Work"))) == (0, 2)


# Rows 66 to 68: marks, and what is removed


@pytest.mark.parametrize("command", ["^UID STORE", "^UID EXPUNGE"])
def test_f066_f067_ok_and_nothing_done(tmp_path: Path, command: str) -> None:
    """The look afterwards finds them there: our marks come off, nothing more is deleted on this server, 3."""
    with Misbehaving(Fault(command, OK)) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result)) == (3, (6, 0, 6, 0))
        assert stands(server) == STAYED
        assert any("nothing more is deleted on it" in each for each in warnings(result))
        assert not any(said.startswith(("EXPUNGE", "CLOSE")) for said in server.commands)
        assert archived(tmp_path) == these(*OLD, *WORK)


@pytest.mark.parametrize("words", [b"BAD unknown command", b"NO not today"])
def test_f067_a_refused_uid_expunge_is_not_replaced_by_a_bare_one(tmp_path: Path, words: bytes) -> None:
    """Our marks come off, 3."""
    with Misbehaving(Fault("^UID EXPUNGE", b"TAG " + words + b"\r\n")) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result), stands(server)) == (3, (6, 0, 6, 0), STAYED)
        assert not any(said.startswith("EXPUNGE") for said in server.commands)


def test_f067_a_server_that_removes_what_others_have_marked(tmp_path: Path) -> None:
    """It expunges everything that is marked: all deletion on the account stops, 16."""
    with Misbehaving() as server:
        young = server.inbox.messages()[-1]
        young.flags |= {"\\Deleted"}

        def everything(answer: bytes) -> bytes:
            server.inbox.expunge([message for message in server.inbox.messages() if "\\Deleted" in message.flags])
            return answer

        server.faults = [Fault("^UID EXPUNGE", everything)]
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result)) == (16, (6, 4, 2, 0))
        assert (server.holds(), server.holds("Work")) == ([], [1, 2])
        assert any("removed messages that others had marked" in each for each in warnings(result))
        assert archived(tmp_path) == these(*OLD, *WORK)


def test_f068_marks_of_others_stay_what_they_are(tmp_path: Path) -> None:
    """A young message that another program has marked is there and marked after the run, 0."""
    with Misbehaving() as server:
        young = server.inbox.messages()[-1]
        young.flags |= {"\\Deleted"}
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result)) == (0, (6, 6, 0, 0))
        assert stands(server) == ([5], [], [5])
