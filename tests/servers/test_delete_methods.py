"""The ways by which mail leaves a server, its refusals, and what every option keeps; on a real Dovecot.

Other programs use the mailbox too: what they marked is not ours, whatever the method.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests import maildir
from tests.command import mailarchive, plain_url
from tests.conftest import require_program
from tests.corpus import Sample, corpus
from tests.servers.dovecot import Dovecot
from tests.servers.dovecot_conf import capabilities_without
from tests.servers.proxy import Proxy
from tests.servers.witness import WitnessError, touched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result
    from tests.conftest import MakeUser
    from tests.servers.dovecot import Account
    from tests.servers.witness import Whole

pytestmark = pytest.mark.dovecot

OLD = ("--older-than", "1y")
DELETE = (*OLD, "--delete", "--yes")
DELETED = "\\Deleted"
CHANGING = re.compile(rb"\w+ (UID )?(STORE|EXPUNGE|MOVE|COPY|APPEND|CREATE|DELETE|RENAME|SELECT|CLOSE|SUBSCRIBE)\b")
BARE_EXPUNGE = re.compile(rb"\w+ EXPUNGE")
PLAIN, FLAGGED, UNSEEN, YOUNG = 20, 4, 6, 8
OLD_ONES = PLAIN + FLAGGED + UNSEEN


@pytest.fixture(scope="module")
def bare() -> Iterator[Dovecot]:
    """Serve without UIDPLUS."""
    require_program("dovecot")
    with Dovecot(capability=capabilities_without("UIDPLUS")) as server:
        yield server


@pytest.fixture(scope="module")
def unmoving() -> Iterator[Dovecot]:
    """Serve without MOVE."""
    require_program("dovecot")
    with Dovecot(capability=capabilities_without("MOVE")) as server:
        yield server


def fill(account: Account, seed: int) -> Account:
    """Put 38 messages into INBOX: old, old and flagged, old and unread, young; in this order of UIDs from 1."""
    samples = corpus(OLD_ONES + YOUNG, seed=seed, now=datetime.now(UTC) - timedelta(days=600), sizes="small")
    flags = [("\\Seen",)] * PLAIN + [("\\Seen", "\\Flagged")] * FLAGGED + [()] * UNSEEN + [("\\Seen",)] * YOUNG
    start = datetime.now(UTC).replace(microsecond=0)
    dates = [start - timedelta(days=900 - n) for n in range(OLD_ONES)] + [start - timedelta(days=9)] * YOUNG
    account.append_many("INBOX", [Sample(s.raw, d, f) for s, d, f in zip(samples, dates, flags, strict=True)])
    return account


@pytest.fixture
def account(dovecot_user: MakeUser, seed: int) -> Account:
    """Give an account on a server that can do everything."""
    return fill(dovecot_user(), seed)


def run(account: Account, archive: Path, *words: str, port: int | None = None, command: str = "backup") -> Result:
    """Run a command on an account, with --json."""
    place = "--to" if command == "backup" else "--archive"
    url = plain_url(port or account.imap_port, account.user)
    return mailarchive("--json", command, url, place, archive, *words, password=account.password)


def of(kind: str, inbox: dict[int, Whole]) -> dict[int, Whole]:
    """Give the messages of one kind, by the UIDs that `fill` gave them."""
    ends = {"plain": PLAIN, "flagged": PLAIN + FLAGGED, "unseen": OLD_ONES, "young": OLD_ONES + YOUNG}
    starts = dict(zip(ends, (0, *ends.values()), strict=False))
    return {uid: each for uid, each in inbox.items() if starts[kind] < uid <= ends[kind]}


def octets(messages: dict[int, Whole]) -> list[bytes]:
    """Give the octets of messages."""
    return sorted(each.octets for each in messages.values())


def held(archive: Path) -> list[bytes]:
    """Give the octets of every file of an archive."""
    return sorted(each.octets for each in maildir.files(archive))


def strangers(account: Account) -> dict[int, Whole]:
    """Let another program mark two young and one flagged message as deleted, and give the mailbox as it is then."""
    with account.witness() as witness:
        witness.store("INBOX", (PLAIN + 1, OLD_ONES + 2, OLD_ONES + 5), f"+FLAGS ({DELETED})")
        return witness.whole("INBOX")


# Other programs' marks


@pytest.mark.parametrize("method", ["auto", "expunge", "trash"])
def test_f068_a_strangers_mark_is_not_ours(account: Account, tmp_path: Path, method: str) -> None:
    """What another program marked is still there, and still marked, also where it lies between ours."""
    before = strangers(account)
    result = run(account, tmp_path / "a", *DELETE, "--delete-method", method)
    assert (result.code, result.err) == (0, "")
    assert account.whole() == of("flagged", before) | of("young", before)
    assert result.end["total"]["deleted"] == PLAIN + UNSEEN


def test_f068_exclusive_lifts_the_marks_of_others_and_gives_them_back(bare: Dovecot, seed: int, tmp_path: Path) -> None:
    """Without UIDPLUS there is only the bare EXPUNGE: exactly one, while nothing but ours is marked."""
    account = fill(bare.add_user(f"exclusive-{seed}"), seed)
    before = strangers(account)
    with Proxy(account.imap_port) as proxy:
        result = run(account, tmp_path / "a", *DELETE, "--delete-method", "exclusive", port=proxy.port)
        commands = proxy.client_commands()
    assert (result.code, result.err) == (0, "")
    assert account.whole() == of("flagged", before) | of("young", before)
    assert held(tmp_path / "a") == octets({uid: each for uid, each in before.items() if uid <= OLD_ONES})
    assert [command for command in commands if b"EXPUNGE" in command and not BARE_EXPUNGE.fullmatch(command)] == []
    assert len([command for command in commands if BARE_EXPUNGE.fullmatch(command)]) == 1
    others = {PLAIN + 1, OLD_ONES + 2, OLD_ONES + 5}
    sets = touched(commands)["INBOX"]
    assert sets == {"-STORE": others, "+STORE": others | of("plain", before).keys() | of("unseen", before).keys()}
    again = run(account, tmp_path / "a", *DELETE, "--delete-method", "exclusive")
    assert (again.code, again.end["total"]["deleted"]) == (0, 0)
    assert account.whole() == of("flagged", before) | of("young", before)


# Methods


@pytest.mark.parametrize("words", [("--delete-method", "auto"), (), ("--delete-method", "expunge")])
def test_f132_without_uidplus_it_is_refused_before_anything_is_fetched(
    bare: Dovecot, seed: int, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Exit 2; the choices are named; no body was asked for, nothing archived, nothing changed."""
    account = fill(bare.add_user(f"refused-{seed}"), seed)
    before = account.whole()
    with Proxy(account.imap_port) as proxy:
        url = plain_url(proxy.port, account.user)
        result = mailarchive("backup", url, "--to", tmp_path / "a", *DELETE, *words, password=account.password)
        commands = proxy.client_commands()
    assert (result.code, result.out) == (2, "")
    assert "no UIDPLUS" in result.err
    assert "hint: choose --delete-method trash, mark, or exclusive if no other program uses the mailbox" in result.err
    assert not any(b"BODY" in command or b"SELECT" in command for command in commands)
    assert held(tmp_path / "a") == []
    assert account.whole() == before


@pytest.mark.parametrize("server", ["dovecot", "bare", "unmoving"])
def test_trash(server: str, request: pytest.FixtureRequest, seed: int, tmp_path: Path) -> None:
    """By MOVE, or by COPY and UID EXPUNGE: exactly the chosen ones are in the trash, with octets, flags and dates."""
    dovecot: Dovecot = request.getfixturevalue(server)
    account = fill(dovecot.add_user(f"trash-{server}-{seed}"), seed)
    (rubbish,) = account.append_many("Trash", corpus(1, seed=seed, now=datetime.now(UTC) - timedelta(days=999)))
    before, trash = account.whole(), account.whole("Trash")
    with Proxy(account.imap_port) as proxy:
        result = run(account, tmp_path / "a", *DELETE, "--delete-method", "trash", port=proxy.port)
        sets = touched(proxy.client_commands())["INBOX"]
    assert (result.code, result.err) == (0, "")
    leaving = of("plain", before) | of("unseen", before)
    if server == "unmoving":
        assert sets == {key: set(leaving) for key in ("COPY", "+STORE", "EXPUNGE")}
    else:
        assert sets == {"MOVE": set(leaving)}
    assert account.whole() == of("flagged", before) | of("young", before)
    after = account.whole("Trash")
    assert after.pop(rubbish) == trash[rubbish]
    assert sorted(map(repr, after.values())) == sorted(map(repr, leaving.values()))
    assert {event["state"] for event in result.events if event["event"] == "expunged"} == {"in trash"}
    again = run(account, tmp_path / "a", *DELETE, "--delete-method", "trash")
    assert (again.code, again.end["total"]["deleted"]) == (0, 0)
    undone = mailarchive(
        "--json", "undo", result.end["run"], plain_url(account.imap_port, account.user),
        "--archive", tmp_path / "a", password=account.password,
    )  # fmt: skip
    assert (undone.code, undone.end["total"]["put_back"]) == (0, len(leaving))
    assert sorted(map(repr, account.whole().values())) == sorted(map(repr, before.values()))


def test_mark_only_marks(account: Account, tmp_path: Path) -> None:
    """All messages are there, ours are marked, and the result says what is to be done; a second run changes nothing."""
    before = strangers(account)
    url = plain_url(account.imap_port, account.user)
    words = ("backup", url, "--to", tmp_path / "a", *DELETE, "--delete-method", "mark")
    result = mailarchive(*words, password=account.password)
    assert (result.code, result.err) == (0, "")
    assert "marked \\Deleted" in result.out
    assert "undo with" not in result.out
    ours = of("plain", before) | of("unseen", before)
    expected = {
        uid: each._replace(flags=each.flags | {DELETED}) if uid in ours else each for uid, each in before.items()
    }
    assert account.whole() == expected
    with Proxy(account.imap_port) as proxy:
        result = run(account, tmp_path / "a", *DELETE, "--delete-method", "mark", port=proxy.port)
        assert "-STORE" not in touched(proxy.client_commands()).get("INBOX", {})
    assert (result.code, result.end["total"]["deleted"], result.end["total"]["kept"]) == (0, 0, OLD_ONES)
    assert account.whole() == expected
    assert run(account, tmp_path / "a", *DELETE).end["total"]["deleted"] == len(ours)
    assert account.whole() == of("flagged", before) | of("young", before)


# A full account


def fill_up(account: Account) -> None:
    """Append young mail until the server takes no more."""
    for length in (1000, 300, 120):
        sample = Sample(b"Subject: x\r\nFrom: a@b\r\n\r\n" + b"y" * (length - 30) + b"\r\n", datetime.now(UTC))
        with account.witness() as witness, contextlib.suppress(WitnessError):
            while True:
                witness.append_many("INBOX", [sample])


@pytest.mark.parametrize("command", ["MOVE", "COPY"])
def test_f032_a_full_account(seed: int, tmp_path: Path, command: str) -> None:
    """A trash that takes no copies keeps everything, with a hint; what needs no room works at 100 %."""
    hidden = () if command == "MOVE" else ("MOVE",)
    with Dovecot(quota="300K", capability=f"{capabilities_without(*hidden)} QUOTA") as server:
        account = fill(server.account, seed)
        fill_up(account)
        before, quota = account.everything(), account.quota()
        assert quota[0] > quota[1] * 0.99
        leaving = of("plain", before["INBOX"]) | of("unseen", before["INBOX"])
        result = run(account, tmp_path / "a", *DELETE, "--delete-method", "trash")
        assert len(held(tmp_path / "a")) == OLD_ONES
        if command == "MOVE":
            # Dovecot takes what stays under the same quota.
            assert (result.code, result.err) == (0, "")
            assert octets(account.whole("Trash")) == octets(leaving)
            assert account.quota() == quota
            return
        assert result.code == 3
        assert (result.end["total"]["deleted"], result.end["total"]["kept"]) == (0, OLD_ONES)
        (warning,) = [event["message"] for event in result.events if event["event"] == "warned"]
        assert warning.startswith("the trash takes no more ([OVERQUOTA] ")
        assert warning.endswith("; --delete-method expunge needs no room")
        assert account.everything() == before
        result = run(account, tmp_path / "a", *DELETE, "--delete-method", "expunge")
        assert (result.code, result.end["total"]["deleted"]) == (0, PLAIN + UNSEEN)
        assert account.whole() == {uid: each for uid, each in before["INBOX"].items() if uid not in leaving}
        assert result.end["quota"]["used"] == account.quota()[0] < quota[0]


# Options


@pytest.mark.parametrize(
    ("words", "stays", "why"),
    [
        ((), ("flagged",), {"flagged": FLAGGED}),
        (("--keep-unread",), ("flagged", "unseen"), {"flagged": FLAGGED, "unread": UNSEEN}),
        (("--no-keep-flagged",), (), {}),
        (("--no-keep-flagged", "--keep-unread"), ("unseen",), {"unread": UNSEEN}),
        (("--max-delete", str(PLAIN + UNSEEN)), ("flagged",), {"flagged": FLAGGED}),
        (
            ("--max-delete", str(PLAIN + UNSEEN - 1)),
            ("plain", "flagged", "unseen"),
            {"flagged": FLAGGED, "held back: the plan holds 26 deletions, more than --max-delete 25": PLAIN + UNSEEN},
        ),
        (
            ("--min-copies-age", "1d"),
            ("plain", "flagged", "unseen"),
            {"flagged": FLAGGED, "archived too recently": OLD_ONES - FLAGGED},
        ),
    ],
)
def test_what_each_option_keeps(
    account: Account, tmp_path: Path, words: tuple[str, ...], stays: tuple[str, ...], why: dict[str, int]
) -> None:
    """All old mail is archived whatever is kept; the reasons are counted, and the numbers add up."""
    before = account.whole()
    result = run(account, tmp_path / "a", *DELETE, *words)
    # A guard is for a human to see; what an option keeps is as it was asked for.
    assert result.code == (3 if "--max-delete" in words and "plain" in stays else 0)
    assert held(tmp_path / "a") == octets({uid: each for uid, each in before.items() if uid <= OLD_ONES})
    left = of("young", before)
    for kind in stays:
        left |= of(kind, before)
    assert account.whole() == left
    assert dict(result.end["kept"]) == why
    assert result.end["total"]["deleted"] == len(before) - len(left)
    assert result.end["total"]["kept"] == sum(why.values())


def test_a_copy_that_is_old_enough_is_one(account: Account, tmp_path: Path) -> None:
    """--min-copies-age counts from when a message was archived; here the catalogue is told that it was long ago."""
    before = account.whole()
    assert run(account, tmp_path / "a", *OLD).code == 0
    database = sqlite3.connect(tmp_path / "a" / ".mailarchive" / "catalogue.sqlite")
    with contextlib.closing(database), database:
        long_ago = (datetime.now(UTC) - timedelta(days=20)).isoformat()
        database.execute("UPDATE placement SET archived_at = ? WHERE uid % 2 = 0", [long_ago])
    result = run(account, tmp_path / "a", *OLD, "--yes", "--min-copies-age", "2w", command="prune")
    assert (result.code, result.err) == (0, "")
    leaving = {uid: each for uid, each in (of("plain", before) | of("unseen", before)).items() if uid % 2 == 0}
    assert account.whole() == {uid: each for uid, each in before.items() if uid not in leaving}


@pytest.mark.parametrize("command", ["backup", "prune"])
def test_a_dry_run_changes_nothing_and_only_reads(account: Account, tmp_path: Path, command: str) -> None:
    """Neither the server nor the disk; the plan names what the run then deletes."""
    archive = tmp_path / "a"
    delete = ("--delete",) if command == "backup" else ()
    if command == "prune":
        assert run(account, archive, *OLD).code == 0
    before = account.everything()
    files = {path: (path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in tmp_path.rglob("*")}
    with Proxy(account.imap_port) as proxy:
        result = run(account, archive, *OLD, *delete, "--dry-run", port=proxy.port, command=command)
        commands = proxy.client_commands()
    assert (result.code, result.err) == (0, "")
    assert [line for line in commands if CHANGING.match(line) or b"BODY" in line] == []
    assert account.everything() == before
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in tmp_path.rglob("*")} == files
    (planned,) = [event for event in result.events if event["event"] == "planned"]
    assert sum(box["delete"] for box in planned["mailboxes"]) == PLAIN + UNSEEN
    result = run(account, archive, *OLD, *delete, "--yes", command=command)
    assert (result.code, result.end["total"]["deleted"]) == (0, PLAIN + UNSEEN)


def test_free_takes_the_oldest_until_it_is_enough(account: Account, tmp_path: Path) -> None:
    """The server here tells no quota, and none is needed; flagged mail does not count, and no message more goes."""
    before = account.whole()
    result = run(account, tmp_path / "a", "--free", "20K", "--delete", "--yes")
    assert (result.code, result.err) == (0, "")
    by_age = sorted(of("plain", before) | of("unseen", before), key=lambda uid: before[uid].internal_date)
    gone = sorted(before.keys() - account.whole().keys(), key=lambda uid: before[uid].internal_date)
    assert gone == by_age[: len(gone)]
    sizes = [len(before[uid].octets) for uid in gone]
    assert sum(sizes) - sizes[-1] < 20 * 1024 <= sum(sizes)
    assert account.whole() == {uid: each for uid, each in before.items() if uid not in gone}


def test_keep_under_needs_a_quota(account: Account, tmp_path: Path) -> None:
    """Exit 2 before anything is fetched, and the way out."""
    before = account.whole()
    url = plain_url(account.imap_port, account.user)
    words = ("backup", url, "--to", tmp_path / "a", "--keep-under", "50", "--delete", "--yes")
    result = mailarchive(*words, password=account.password)
    assert (result.code, result.out) == (2, "")
    assert "this server does not tell its quota, so --keep-under cannot be" in result.err
    assert "hint: use --free SIZE" in result.err
    assert held(tmp_path / "a") == []
    assert account.whole() == before


def test_keep_under_stops_where_the_server_says_it_is_enough(seed: int, tmp_path: Path) -> None:
    """The use falls under the percentage, and would not have without the last message; the next run does nothing."""
    with Dovecot(quota="160K") as server:
        account = fill(server.account, seed)
        before, (used, limit) = account.whole(), account.quota()
        percent = 100 * used // limit - 15
        assert percent > 30
        words = ("--keep-under", str(percent), "--delete", "--yes")
        result = run(account, tmp_path / "a", *words)
        assert (result.code, result.err) == (0, "")
        after = account.whole()
        gone = sorted(before.keys() - after.keys(), key=lambda uid: before[uid].internal_date)
        by_age = sorted(of("plain", before) | of("unseen", before), key=lambda uid: before[uid].internal_date)
        assert gone == by_age[: len(gone)]
        assert 3 <= len(gone) < PLAIN
        assert account.quota()[0] < limit * percent / 100
        # The figures of the server are in whole units of 1,024 octets.
        assert account.quota()[0] + len(before[gone[-1]].octets) + 1024 >= limit * percent / 100
        assert result.end["quota"]["used"] == account.quota()[0]
        again = run(account, tmp_path / "a", *words)
        assert (again.code, again.end["total"]["deleted"], again.end["total"]["selected"]) == (0, 0, 0)
        assert account.whole() == after
