r"""Rows 30 to 41 of the table of faults, and 59 to 65: a server that misbehaves while it is read.

Each test is a whole run, and looks at what is archived, what is on the server, what is said, and the exit code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.jobs import text
from tests.servers.misbehaving import (
    ALL,
    BODIES,
    DELETE,
    EVERYTHING,
    FACTS,
    NOW,
    OK,
    OLD,
    PROBE,
    WORK,
    YOUNG,
    Fault,
    Misbehaving,
    archived,
    between,
    instead,
    only,
    recovered,
    responses,
    texted,
    these,
    told,
    total,
    warnings,
    withheld,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INBOX = ("--mailbox", "INBOX", *DELETE)
SIZED = r"^UID FETCH .*RFC822\.SIZE"
DATED = r"^UID FETCH .*INTERNALDATE"


# Rows 30 to 35: refusals, and a server that goes away


@pytest.mark.parametrize("command", ["^EXAMINE", "^UID SEARCH", FACTS, BODIES])
def test_f030_bye_in_mid_command_costs_nothing_that_has_come(tmp_path: Path, command: str) -> None:
    """The run ends with the server's words, what came whole is archived, and the next run goes on there."""
    bye = Fault(command, lambda answer: b"".join(responses(answer)[:1]) + b"* BYE restarting\r\n<CUT>")
    with Misbehaving(bye) as server:
        result = server.run(tmp_path, *(("--older-than", "1y") if "SEARCH" in command else ()))
        assert result.code in (15, 75)
        assert "restarting" in result.end["error"]
        before = archived(tmp_path)
        assert (text(1) in before) == (command == BODIES)
        assert total(recovered(server, tmp_path))[0] == len(ALL) - len(before)


def test_f031_an_alert_is_shown_once_and_made_safe(tmp_path: Path) -> None:
    """It came in every answer, with a colour and a bell, and costs no exit code."""
    with Misbehaving(Fault(EVERYTHING, between(b"* OK [ALERT] \x1b[31mdown\x07 at noon\r\n"))) as server:
        result = server.run(tmp_path / "a")
        shown = server.run(tmp_path / "b", json=False)
    assert (result.code, shown.code) == (0, 0)
    assert archived(tmp_path / "a") == archived(tmp_path / "b") == these(*ALL)
    assert warnings(result) == ["the server says: \x1b[31mdown\x07 at noon"]
    assert (shown.out + shown.err).count("at noon") == 1
    assert not re.search(r"[\x07\x1b]", result.out + result.err + shown.out + shown.err)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("^AUTHENTICATE", between(b"* NO [ALERT] down at noon\r\n")),
        ("^AUTHENTICATE", instead(rb"(M?\w+ OK) ", rb"\1 [ALERT] down at noon ")),
        ('^EXAMINE "Work"', instead(rb"(M\d+ OK) ", rb"\1 [alert] down at noon ")),
    ],
    ids=["before the sign-in", "with the sign-in", "tagged"],
)
def test_f031_an_alert_may_come_with_any_answer(tmp_path: Path, command: str, says: Callable[[bytes], bytes]) -> None:
    """Also before the session is one, and on the line with the tag."""
    with Misbehaving(Fault(command, says)) as server:
        result = server.run(tmp_path)
    assert (result.code, archived(tmp_path)) == (0, these(*ALL))
    assert any("down at noon" in each for each in warnings(result))


@pytest.mark.parametrize(
    "words",
    [
        b"TAG BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n",
        b"* BYE Session expired, please login again.\r\n<CUT>",
        b"TAG NO [LIMIT] UID FETCH Rate limit hit\r\n",
    ],
)
def test_f033_f034_f035_a_server_that_asks_for_patience_gets_it(tmp_path: Path, words: bytes) -> None:
    """75 with its words; what came before them is archived, and the next run goes on there."""
    with Misbehaving(Fault(BODIES, lambda answer: responses(answer)[0] + words)) as server:
        result = server.run(tmp_path, *DELETE)
        assert result.code == 75
        assert re.search("299961|please login again|Rate limit", result.end["error"])
        assert archived(tmp_path) == these(1)
        assert (server.holds(), server.marked()) == ([1, 2, 3, 4, 5], [])
        assert total(recovered(server, tmp_path))[0] == len(ALL) - 1


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("words", [b"NO [SERVERBUG] oops", b"NO [EXPUNGEISSUED] some messages could not be fetched"])
def test_f035_f065_one_message_that_is_refused_costs_itself(tmp_path: Path, words: bytes, *, alone: bool) -> None:
    """Asked for in halves until it stands alone, and once more; all others are archived and deleted, it stays: 3."""
    with Misbehaving() as server:
        for number in range(100, 160):
            server.inbox.append(text(number), NOW.replace(year=2015), ["\\Seen"])
        bad = 23
        server.faults = [Fault(BODIES, withheld(bad, words, alone=alone))]
        result = server.run(tmp_path, *INBOX)
        assert (result.code, total(result)) == (3, (63, 63, 0, 1))
        (failed,) = told(result, "failed")
        assert failed["uid"] == bad
        assert words[3:].decode() in failed["reason"]
        assert server.holds() == [5, bad]
        asked = [command for command in server.commands if re.search(BODIES, command)]
        assert 2 <= len(asked) <= 20
        assert sum(command.startswith(f"UID FETCH {bad} ") for command in asked) == 1
        server.faults.clear()
        after = server.run(tmp_path, *INBOX)
        assert (after.code, total(after)) == (0, (1, 1, 0, 0))


@pytest.mark.parametrize("words", [b"NO [SERVERBUG] oops", b"BAD what", b"NO some messages could not be fetched"])
def test_f035_f065_what_is_refused_once_comes_in_the_same_run(tmp_path: Path, words: bytes) -> None:
    """All of a command, or a single message in a mailbox of its own: asked for again, nothing is missing, 0."""
    with Misbehaving(Fault(BODIES, withheld(2, words), times=1)) as server:
        server.account.create("One").append(text(70), NOW.replace(year=2015))
        server.faults.append(Fault(r"^UID FETCH 1 .*BODY\.PEEK", b"TAG " + words + b"\r\n", times=1))
        result = server.run(tmp_path)
    assert (result.code, total(result)) == (0, (8, 0, 0, 0))
    assert archived(tmp_path) == these(*ALL, 70)


# Rows 36 to 38: messages that do not come


@pytest.mark.parametrize(
    "instead_of_it",
    [
        lambda _: b"",
        texted(b""),
        instead(rb"BODY\[\] .*(?=\)\r\n\Z)", b"BODY[] NIL"),
        instead(rb"BODY\[\] .*(?=\)\r\n\Z)", b'BODY[] ""'),
        instead(rb" BODY\[\] .*(?=\)\r\n\Z)", b""),
    ],
    ids=["nothing", "{0}", "NIL", "empty string", "no BODY"],
)
def test_f036_f037_what_is_no_message_is_not_archived(tmp_path: Path, instead_of_it: Callable[[bytes], bytes]) -> None:
    """OK and nothing, or an empty text, for one message: it is told and stays, all others are archived and deleted."""
    with Misbehaving(Fault(BODIES, only(2, instead_of_it))) as server:
        result = server.run(tmp_path, *INBOX)
        assert (result.code, total(result)) == (3, (3, 3, 0, 1))
        assert [each["uid"] for each in told(result, "failed")] == [2]
        assert archived(tmp_path) == these(1, 3, 4)
        assert server.holds() == [2, 5]
        server.faults.clear()
        assert total(server.run(tmp_path, *INBOX)) == (1, 1, 0, 0)
        assert archived(tmp_path) == these(*OLD)


PLACEHOLDER = (
    b'From: "Microsoft Exchange Server"\r\nTo: kim\r\nSubject: Retrieval using the IMAP4 protocol failed for the '
    b"following message: 2\r\n\r\nThe server couldn't retrieve the following message\r\n"
)


def test_f038_a_placeholder_is_archived_and_held(tmp_path: Path) -> None:
    """It stands in the archive and stays on the server: 3 in the run that finds it, later it only counts as kept."""
    with Misbehaving(Fault(BODIES, only(2, texted(PLACEHOLDER)))) as server:
        result = server.run(tmp_path, *INBOX)
        assert (result.code, total(result)) == (3, (4, 3, 1, 0))
        assert [(each["uid"], each["reason"]) for each in told(result, "held")] == [(2, "placeholder")]
        assert archived(tmp_path) == sorted([*these(1, 3, 4), PLACEHOLDER])
        later = server.run(tmp_path, *INBOX)
        assert (later.code, total(later)) == (0, (0, 0, 1, 0))
        assert server.holds() == [2, 5]


# Rows 39 to 41: answers of other shapes, that nobody asked for, and under wrong names


def turned(answer: bytes) -> bytes:
    """Put the items of each FETCH answer in another order, in small letters, with others between them."""
    shape = re.compile(rb'(\* \d+) FETCH \(UID (\d+) FLAGS (\([^)]*\)) INTERNALDATE ("[^"]*") (.*)\)\r\n\Z', re.DOTALL)
    more = rb'\1 fetch (modseq (12) \5 x-odd ("a b" {2}\r\n)( nil) internaldate \4 flags \3 uid \2)' + b"\r\n"
    return b"".join(shape.sub(more, each) for each in responses(answer))


def test_f039_items_in_any_order_case_and_company(tmp_path: Path) -> None:
    """The run is as good as any: everything is archived, and what was chosen is deleted."""
    with Misbehaving(Fault("^UID FETCH", turned)) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result)) == (0, (6, 6, 0, 0))
        assert archived(tmp_path) == these(*OLD, *WORK)
        assert (server.holds(), server.holds("Work")) == ([5], [])


QUIET = (
    b"* 2 FETCH (FLAGS (\\Flagged \\Deleted))\r\n* 7 FETCH (UID 5 FLAGS (\\Seen))\r\n* 0 RECENT\r\n* OK\r\n"
    b"* FLAGS (\\Seen \\Deleted)\r\n* VANISHED (EARLIER) 300:310\r\n* NO (((\r\n* OK [APPENDUID x 0] {5}\r\n"
)
LOUD = QUIET + b'* 90 EXPUNGE\r\n* 12 EXISTS\r\n* LIST () "/" {3}\r\nabc\r\n* SEARCHES 4\r\n* 4 FETCH (X {2}\r\nhi)\r\n'


def test_f040_noise_before_the_sign_in_is_no_answer(tmp_path: Path) -> None:
    """What belongs behind it is not taken for anything there."""
    early = QUIET.partition(b"* OK [APPENDUID")[0]
    with Misbehaving(Fault("^(CAPABILITY|AUTHENTICATE)", between(early))) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result), warnings(result)) == (0, (6, 6, 0, 0), [])


def test_f040_noise_between_any_two_lines_is_no_answer(tmp_path: Path) -> None:
    """FETCH, EXISTS, EXPUNGE, RECENT and FLAGS before each line: everything is archived, what was chosen is deleted."""
    noise = [Fault("^(EXAMINE|SELECT|LIST)", between(QUIET)), Fault(EVERYTHING, between(LOUD))]
    with Misbehaving(*noise) as server:
        result = server.run(tmp_path, *INBOX)
        assert (result.code, total(result), warnings(result)) == (0, (4, 4, 0, 0), [])
        assert (archived(tmp_path), server.holds()) == (these(*OLD), [5])


@pytest.mark.parametrize("uid", [b"0", b"4294967296", b"1"])
@pytest.mark.parametrize("command", [FACTS, BODIES])
def test_f041_a_message_under_a_uid_that_cannot_be(tmp_path: Path, command: str, uid: bytes) -> None:
    """0, too large, or that of another one: the rest is archived, nothing of the mailbox is deleted, 3."""
    with Misbehaving(Fault(command, instead(rb"\(UID 2 ", b"(UID " + uid + b" "))) as server:
        result = server.run(tmp_path, *INBOX)
        assert result.code == 3
        assert warnings(result, serious=True)
        assert (server.holds(), server.marked()) == ([1, 2, 3, 4, 5], [])
        assert set(these(3, 4)) <= set(archived(tmp_path)) <= set(these(*OLD))
        assert (text(2) in archived(tmp_path)) == (command == FACTS)
        recovered(server, tmp_path)


@pytest.mark.parametrize("uid", [b"0", b"1", b"9"])
def test_f041_a_wrong_uid_behind_the_octets_leaves_nothing_of_them(tmp_path: Path, uid: bytes) -> None:
    """Only when they have been read it shows that they are not wanted: they are not in the archive, the rest is."""
    said = Fault(BODIES, only(2, instead(rb"\(UID 2 (.*)\)\r\n\Z", rb"(\1 UID " + uid + rb")\r\n")))
    with Misbehaving(said) as server:
        result = server.run(tmp_path, *INBOX)
        assert (result.code, total(result)) == (3, (3, 0, 3, 1))
        assert archived(tmp_path) == these(1, 3, 4)
        assert server.holds() == [1, 2, 3, 4, 5]
        recovered(server, tmp_path)


def test_f041_only_the_mailbox_with_the_odd_answer_is_held(tmp_path: Path) -> None:
    """The mailbox behind it is emptied as ever."""
    strange = Fault(FACTS, lambda answer: b"* 9 FETCH (UID 0 RFC822.SIZE 5)\r\n" + answer, times=1)
    with Misbehaving(strange) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result)) == (3, (6, 2, 4, 0))
        assert (server.holds(), server.holds("Work")) == ([1, 2, 3, 4, 5], [])


def test_f041_any_order_of_uids_will_do(tmp_path: Path) -> None:
    """The last first."""
    with Misbehaving(Fault("^UID FETCH", lambda a: b"".join([*responses(a)[-2::-1], responses(a)[-1]]))) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result)) == (0, (6, 6, 0, 0))
        assert archived(tmp_path) == these(*OLD, *WORK)


# Row 59: tags


def ahead(answer: bytes) -> bytes:
    """Answer the next command too."""
    return re.sub(rb"M(\d+) OK[^\r]*\r\n\Z", lambda m: m[0] + b"M%d OK done\r\n" % (int(m[1]) + 1), answer)


@pytest.mark.parametrize(
    "says",
    [instead(rb"M\d+ OK[^\r]*\r\n\Z", b"M999 OK done\r\n"), lambda answer: answer + OK, ahead, lambda _: b"hello\r\n"],
    ids=["wrong", "twice", "too early", "no answer"],
)
@pytest.mark.parametrize("command", ["^EXAMINE", FACTS, BODIES, "^SELECT", PROBE, "^UID STORE", "^UID EXPUNGE"])
def test_f059_a_tag_out_of_place_ends_the_run(tmp_path: Path, command: str, says: Callable[[bytes], bytes]) -> None:
    """16, and nothing is lost: what has left the server is archived."""
    with Misbehaving(Fault(command, says, times=1)) as server:
        result = server.run(tmp_path, *DELETE)
        assert result.code == 16
        gone = {1, 2, 3, 4, 5} - set(server.holds())
        assert not gone or command == "^UID EXPUNGE"
        assert set(these(*gone)) <= set(archived(tmp_path))
        server.faults.clear()
        after = server.run(tmp_path, *DELETE)
        assert (after.code, server.holds(), server.holds("Work")) == (0, [5], [])
        assert archived(tmp_path) == these(*OLD, *WORK)


def test_f059_ok_without_a_word_is_one(tmp_path: Path) -> None:
    """Nothing stands behind it, not even a blank."""
    with Misbehaving(Fault(EVERYTHING, instead(rb"(M\d+ OK)[^\r]*\r\n\Z", rb"\1" + b"\r\n"))) as server:
        result = server.run(tmp_path, *DELETE)
        assert (result.code, total(result), server.holds()) == (0, (6, 6, 0, 0), [5])


# Rows 61 to 64: sizes, dates and octets


@pytest.mark.parametrize("size", [b" RFC822.SIZE 9", b" RFC822.SIZE NIL", b" RFC822.SIZE -1", b""])
def test_f061_a_size_that_lies_needs_a_second_fetch_before_a_deletion(tmp_path: Path, size: bytes) -> None:
    """Archived at once; a run that deletes fetches it once more, and the same octets are enough."""
    with Misbehaving(Fault(SIZED, instead(rb" RFC822\.SIZE \d+", size))) as server:
        plain = server.run(tmp_path, "--mailbox", "INBOX")
        assert (plain.code, total(plain)) == (0, (5, 0, 0, 0))
        assert archived(tmp_path) == these(*OLD, *YOUNG)
        assert sum(bool(re.search(BODIES, command)) for command in server.commands) == 1
        result = server.run(tmp_path, *INBOX)
        assert (result.code, total(result), server.holds()) == (0, (0, 4, 0, 0), [5])
        assert sum(bool(re.search(BODIES, command)) for command in server.commands) == 2


def test_f061_f064_octets_that_change_are_held(tmp_path: Path) -> None:
    """The second fetch that its size makes necessary gives others: the first copy is kept, and the message stays."""
    lies = Fault(SIZED, only(2, instead(rb"RFC822\.SIZE \d+", b"RFC822.SIZE 9")))
    with Misbehaving(Fault(BODIES, only(2, instead(b"xxx", b"yyy")), after=1), lies) as server:
        result = server.run(tmp_path, *INBOX)
        assert (result.code, total(result)) == (3, (4, 3, 1, 0))
        assert [each["uid"] for each in told(result, "held")] == [2]
        assert server.holds() == [2, 5]
        assert archived(tmp_path) == these(*OLD)
        later = server.run(tmp_path, *INBOX)
        assert (later.code, total(later)) == (0, (0, 0, 1, 0))


@pytest.mark.parametrize(
    "date",
    [
        b"",
        b" INTERNALDATE NIL",
        b' INTERNALDATE "01-Jan-0001 00:00:00 +0000"',
        b' INTERNALDATE "31-Dec-9999 23:59:59 -1200"',
        b' INTERNALDATE "01-Mar-2014 10:00:00 +2500"',
        b' INTERNALDATE "30-Jun-2012 23:59:60 +0000"',
        b' INTERNALDATE "01-Foo-2014 10:00:00 +0000"',
        b' INTERNALDATE "31-Feb-2014 10:00:00 +0000"',
        b' INTERNALDATE "1"',
    ],
)
def test_f062_a_date_that_is_none_is_not_old(tmp_path: Path, date: bytes) -> None:
    """The message is archived and kept, and a human need not look."""
    with Misbehaving(Fault(DATED, only(2, instead(rb' INTERNALDATE "[^"]*"', date)))) as server:
        result = server.run(tmp_path, *INBOX)
        assert (result.code, total(result)) == (0, (4, 3, 1, 0))
        assert [(each["uid"], each["reason"]) for each in told(result, "kept")] == [(2, "no valid date")]
        assert (server.holds(), archived(tmp_path)) == ([2, 5], these(*OLD))


def test_f063_a_header_that_is_not_told_as_it_is_in_the_body(tmp_path: Path) -> None:
    """Letters beyond ASCII become question marks, the fields another order and folding: still the same message."""
    odd = text(60).replace(b"From: a@", "From: Jörg <j@".encode())
    with Misbehaving(Fault(PROBE, instead("ö".encode(), b"??"))) as server:
        server.inbox.append(odd, NOW.replace(year=2015), ["\\Seen"])
        result = server.run(tmp_path, *INBOX)
        assert (result.code, total(result), server.holds()) == (0, (5, 5, 0, 0), [5])
        assert odd in archived(tmp_path)
