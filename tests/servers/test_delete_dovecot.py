"""Deleting on a real Dovecot with a quota: what goes, what stays, what is sent, and all of it back again.

Each claim is checked with the witness, and the wire with a list of commands that is written here a second time, on
purpose.
"""

from __future__ import annotations

import random
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Self

import pytest

from tests import maildir
from tests.command import mailarchive, plain_url, process, start_of_day
from tests.conftest import require_program
from tests.corpus import MAILBOXES, Sample, corpus, spread
from tests.servers.dovecot import Dovecot
from tests.servers.proxy import Proxy
from tests.servers.witness import Whole, WitnessError, date_header, decode_mailbox, imap_date, touched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result
    from tests.servers.dovecot import Account
    from tests.servers.witness import Witness

pytestmark = pytest.mark.dovecot

Boxes = dict[str, dict[int, Whole]]
OLD = ("--older-than", "1y")
_ITEM = r"UID|FLAGS|INTERNALDATE|RFC822\.SIZE|BODY\.PEEK\[[^]]*\](<0\.\d+>)?"
READING = re.compile(
    r"\w+ (CAPABILITY|ID .*|AUTHENTICATE PLAIN|LOGIN .*|NAMESPACE|LOGOUT|NOOP|LIST .*|EXAMINE .*|GETQUOTAROOT .*"
    rf"|UID SEARCH .*|UID FETCH [\d:,]+ \(({_ITEM})( ({_ITEM}))*\))".encode()
)
DELETING = re.compile(rb'\w+ (SELECT ".*"|UID STORE [\d:,]+ [+-]FLAGS\.SILENT \(\\Deleted\)|UID EXPUNGE [\d:,]+)')
RESTORING = re.compile(rb'\w+ APPEND "[^"]*"(?: \([^()]*\) "[^"]+" \{\d+\+?\})+')
CHANGING = re.compile(rb"\w+ (UID )?(STORE|EXPUNGE|MOVE|COPY|APPEND|CREATE|DELETE|RENAME|SELECT|CLOSE)\b")


class Sorted(NamedTuple):
    """What must become of the messages of a server: `gone` once archived, `kept` though archived, `young` untouched."""

    gone: Boxes
    kept: Boxes
    young: Boxes

    @classmethod
    def of(cls, everything: Boxes, cut_off: datetime) -> Sorted:
        """Sort what is on a server by the rules of a plain `--older-than`."""
        parts = cls({}, {}, {})
        for mailbox, messages in everything.items():
            for uid, each in messages.items():
                sent = date_header(each.octets)
                sent_later = sent is not None and cut_off <= sent < datetime.now(UTC) + timedelta(days=2)
                stays = sent_later or each.flags & {"\\Flagged", "\\Draft"}
                part = parts.young if each.internal_date >= cut_off else parts.kept if stays else parts.gone
                part.setdefault(mailbox, {})[uid] = each
        return parts

    @property
    def archived(self) -> list[bytes]:
        """The octets that the archive must hold."""
        return sorted(each.octets for part in (self.gone, self.kept) for box in part.values() for each in box.values())

    @property
    def left(self) -> Boxes:
        """What the server must still hold."""
        names = self.kept.keys() | self.young.keys()
        return {name: self.kept.get(name, {}) | self.young.get(name, {}) for name in names}


def count(part: Boxes) -> int:
    """Count the messages of all mailboxes."""
    return sum(map(len, part.values()))


def without_uids(everything: Boxes) -> dict[str, list[tuple[bytes, list[str], datetime]]]:
    """Give what each mailbox holds, whatever its UIDs are."""
    return {
        name: sorted((each.octets, sorted(each.flags), each.internal_date) for each in messages.values())
        for name, messages in everything.items()
    }


def uids(part: Boxes) -> dict[str, set[int]]:
    """Give the UIDs of each mailbox."""
    return {name: set(messages) for name, messages in part.items()}


def held(archive: Path) -> list[bytes]:
    """Give the octets of every file of an archive."""
    return sorted(each.octets for each in maildir.files(archive))


def run(command: str, account: Account, archive: Path, *words: str, port: int | None = None, of: str = "") -> Result:
    """Run a command on an account of Dovecot without TLS, with --json; `of` is the run that `undo` takes back."""
    url = plain_url(port or account.imap_port, account.user)
    first = [of, url] if of else [url]
    place = "--to" if command == "backup" else "--archive"
    return mailarchive("--json", command, *first, place, archive, *words, password=account.password)


def assert_allowed(proxy: Proxy, *shapes: re.Pattern[bytes]) -> list[bytes]:
    """Check every command of every client against the lists, and the length of those that change something."""
    commands = proxy.client_commands()
    for command in commands:
        # The answer to a challenge of AUTHENTICATE is one base64 word.
        word = re.fullmatch(rb"[A-Za-z0-9+/=]+", command)
        assert word or any(shape.fullmatch(command) for shape in (READING, *shapes)), command
        # A literal ends a line, and what stands behind it begins another one (RFC 9051 section 4.3).
        longest = max(map(len, command.split(b"}")))
        assert longest + 3 <= 1000 or not CHANGING.match(command), command
    return commands


def assert_quota(line: object, octets: tuple[int, int]) -> None:
    """Compare what a run says of the quota with what the witness was told."""
    assert isinstance(line, dict)
    assert (line["used"], line["limit"]) == octets


def imported(number: int, received: datetime, sent: datetime) -> Sample:
    """Make a message whose Date header is younger than its INTERNALDATE."""
    head = f"Message-ID: <imported{number}@example.org>\r\nFrom: a@example.org\r\nSubject: imported {number}\r\n"
    stamp = re.sub(r"^0?(\d+)-(\w+)-(\d+) ", r"\1 \2 \3 ", imap_date(sent))
    return Sample(f"{head}Date: {stamp}\r\n\r\nbody\r\n".encode(), received, ("\\Seen",))


@pytest.fixture(scope="module")
def full() -> Iterator[Dovecot]:
    """Serve accounts with a quota."""
    require_program("dovecot")
    with Dovecot(quota="12M") as server:
        yield server


@pytest.fixture
def account(full: Dovecot, seed: int) -> Account:
    """Give an account with 2,000 messages of ten years in seven mailboxes, and some with two dates."""
    account = full.add_user(f"user-{seed}")
    now = datetime.now(UTC).replace(microsecond=0)
    boxes = spread(corpus(2000, seed=seed, now=now, sizes="small"), MAILBOXES)
    received = now - timedelta(days=900)
    boxes["Work"] += [imported(n, received, now - timedelta(days=20 + n)) for n in range(5)]
    boxes["Work"] += [imported(n, received, now + timedelta(days=400 + n)) for n in range(5, 9)]
    with account.witness() as witness:
        for mailbox, samples in boxes.items():
            witness.append_many(mailbox, samples)
    return account


@pytest.mark.timeout(300)
def test_delete_undo_and_delete_again(account: Account, tmp_path: Path) -> None:
    """Old mail goes and nothing else, to the octet of the quota; undo brings all of it back, once, and it stays."""
    archive = tmp_path / "archive"
    before, quota_before = account.everything(), account.quota()
    parts = Sorted.of(before, start_of_day(years_ago=1))
    assert count(parts.gone) > 1500
    assert count(parts.young) > 100
    assert len([each for each in parts.kept["Work"].values() if "\\Flagged" not in each.flags]) == 5

    with Proxy(account.imap_port) as proxy:
        result = run("backup", account, archive, *OLD, "--delete", "--yes", port=proxy.port)
        commands = assert_allowed(proxy, DELETING)
    assert (result.code, result.err) == (0, "")
    assert account.everything() == parts.left
    assert held(archive) == parts.archived
    named = touched(commands)
    assert {name: sets["+STORE"] for name, sets in named.items()} == uids(parts.gone)
    assert {name: sets["EXPUNGE"] for name, sets in named.items()} == uids(parts.gone)
    assert {word for sets in named.values() for word in sets} == {"+STORE", "EXPUNGE"}

    end = result.end
    total = end["total"]
    assert (total["deleted"], total["kept"]) == (count(parts.gone), count(parts.kept))
    assert total["selected"] == total["already"] + total["archived"] + total["failed"] == len(parts.archived)
    assert total["already"] + total["archived"] == total["deleted"] + total["kept"]
    assert dict(end["kept"]) == {"flagged": count(parts.kept) - 5, "sent after the cut-off": 5}
    assert_quota(end["quota_before"], quota_before)
    assert_quota(end["quota"], account.quota())
    assert account.quota()[0] < quota_before[0] / 3
    expunged = [event for event in result.events if event["event"] == "expunged"]
    assert {(event["mailbox"], event["uid"]) for event in expunged} == {
        (name, uid) for name, messages in parts.gone.items() for uid in messages
    }

    # The second run has nothing to do and changes nothing.
    with Proxy(account.imap_port) as proxy:
        again = run("backup", account, archive, *OLD, "--delete", "--yes", port=proxy.port)
        assert touched(assert_allowed(proxy, DELETING)) == {}
    assert (again.code, again.err, again.end["total"]["deleted"]) == (0, "", 0)
    assert account.everything() == parts.left
    assert held(archive) == parts.archived

    # All of it back, and only once.
    with Proxy(account.imap_port) as proxy:
        undone = run("undo", account, archive, of=end["run"], port=proxy.port)
        commands = assert_allowed(proxy, RESTORING)
    assert (undone.code, undone.err) == (0, "")
    appends = [command for command in commands if b" APPEND " in command]
    assert sum(command.count(b"}") for command in appends) == count(parts.gone)
    assert len(appends) < count(parts.gone) / 10
    assert without_uids(account.everything()) == without_uids(before)
    assert_quota(undone.end["quota"], account.quota())
    assert account.quota() == quota_before
    total = undone.end["total"]
    assert (total["wanted"], total["put_back"], total["there"], total["failed"]) == (
        count(parts.gone),
        count(parts.gone),
        0,
        0,
    )
    there = account.everything()
    with Proxy(account.imap_port) as proxy:
        twice = run("undo", account, archive, of=end["run"], port=proxy.port)
        assert_allowed(proxy)
    assert (twice.code, twice.end["total"]["put_back"], twice.end["total"]["there"]) == (0, 0, count(parts.gone))
    assert account.everything() == there

    # What was put back stays until it is said that it may go. It has to be archived under its new UIDs first.
    url, place = plain_url(account.imap_port, account.user), ("--archive", archive)
    files = held(archive)
    result = run("backup", account, archive, *OLD, "--delete", "--yes")
    assert (result.code, result.end["total"]["deleted"]) == (0, 0)
    assert dict(result.end["kept"])["put back"] == count(parts.gone)
    assert account.everything() == there
    assert held(archive) == files
    kept = mailarchive("prune", url, *place, *OLD, "--yes", password=account.password)
    assert (kept.code, kept.err) == (0, "")
    assert f"{count(parts.gone):,} put back".replace(",", " ") in kept.out
    assert account.everything() == there
    with Proxy(account.imap_port) as proxy:
        proxied = plain_url(proxy.port, account.user)
        gone = mailarchive("prune", proxied, *place, *OLD, "--yes", "--include-restored", password=account.password)
        commands = assert_allowed(proxy, DELETING)
    assert (gone.code, gone.err) == (0, "")
    assert not any(b"BODY.PEEK[]" in command for command in commands)
    assert without_uids(account.everything()) == without_uids(parts.left)
    assert f"  {size(quota_before[0])} of {size(quota_before[1])} (" in gone.out.replace("quota:", " ")
    assert f"→  {size(account.quota()[0])} of {size(quota_before[1])} (" in gone.out


def size(octets: int) -> str:
    """Write megabytes as the table does."""
    return f"{octets / 1e6:.1f} MB"


# Another client at work


class Restless:
    """A second client that flags, marks, moves, removes and appends in a thread, and remembers what it did.

    Attributes:
        flagged: For each message that it flagged, how many octets our client had sent when that was done.
        marked: Messages that it marked as deleted and left.
        removed: Octets of messages that it removed. `added`: that it appended.
    """

    def __init__(self, account: Account, start: Boxes, proxy: Proxy, seed: int) -> None:
        self.account, self.start, self.proxy = account, start, proxy
        self.rng = random.Random(seed)
        self.left = [(name, uid) for name, messages in start.items() for uid in messages]
        self.rng.shuffle(self.left)
        self.flagged: dict[tuple[str, int], int] = {}
        self.marked: set[tuple[str, int]] = set()
        self.removed: set[bytes] = set()
        self.added: list[bytes] = []
        self.over = threading.Event()
        self.trouble: list[BaseException] = []
        self.thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        assert self.trouble == []

    def _work(self) -> None:
        try:
            with self.account.witness() as witness:
                while not (self.proxy.connections or self.over.wait(0.001)):
                    pass
                while self.left and not self.over.wait(self.rng.random() / 300):
                    try:
                        self._act(witness, *self.left.pop())
                    except WitnessError as error:
                        # Ours was quicker.
                        if "EXPUNGEISSUED" not in str(error):
                            raise
        except BaseException as error:  # noqa: BLE001 - the test shows it
            self.trouble.append(error)

    def _act(self, witness: Witness, name: str, uid: int) -> None:
        octets = self.start[name][uid].octets
        match self.rng.choices(("flag", "mark", "move", "remove", "append"), weights=(5, 2, 1, 1, 1))[0]:
            case "flag":
                witness.store(name, [uid], "+FLAGS (\\Flagged)")
                self.flagged[name, uid] = sum(len(each.client) for each in self.proxy.connections)
            case "mark":
                witness.store(name, [uid], "+FLAGS (\\Deleted)")
                self.marked.add((name, uid))
            case "move":
                witness.move(name, [uid], "Elsewhere")
            case "remove":
                witness.expunge(name, [uid])
                self.removed.add(octets)
            case _:
                now = datetime.now(UTC).replace(microsecond=0)
                sample = imported(len(self.added), now, now)
                witness.append_many(name, [sample])
                self.added.append(sample.raw)


def probes(stream: bytes) -> dict[tuple[str, int], int]:
    """Find where in the octets of our client each message was last looked at before a deletion."""
    found: dict[tuple[str, int], int] = {}
    mailbox = ""
    at = 0
    for line in stream.split(b"\r\n"):
        if opened := re.fullmatch(rb'\w+ (SELECT|EXAMINE) "(.*)"', line):
            mailbox = decode_mailbox(opened[2].decode()) if opened[1] == b"SELECT" else ""
        named = re.match(rb"\w+ UID FETCH ([\d:,]+) \(.*BODY\.PEEK\[HEADER", line)
        if mailbox and named:
            for part in named[1].split(b","):
                low, _, high = part.partition(b":")
                found.update({(mailbox, uid): at for uid in range(int(low), int(high or low) + 1)})
        at += len(line) + 2
    return found


@pytest.mark.timeout(120)
@pytest.mark.parametrize("turn", range(3))
def test_f117_another_client_at_work_loses_nothing(full: Dovecot, tmp_path: Path, seed: int, turn: int) -> None:
    """Nothing young, nothing flagged before it was looked at, nothing that is not archived; and its marks stay."""
    account, archive = full.add_user(f"busy-{turn}-{seed}"), tmp_path / "archive"
    now = datetime.now(UTC).replace(microsecond=0)
    samples = corpus(1200, seed=seed, now=now, sizes="tiny")
    account.append_many("Elsewhere", samples[:1])
    for name, some in spread(samples[1:], ("INBOX", "Work", "a&b")).items():
        account.append_many(name, some)
    cut_off, start = start_of_day(years_ago=1), account.everything()
    elsewhere = start.pop("Elsewhere")
    words = ("--to", archive, *OLD, "--delete", "--yes", "--mailbox", "!Elsewhere", "--mailbox", "*")
    with Proxy(account.imap_port, delay=0.002 * turn) as proxy:
        with Restless(account, start, proxy, seed) as other:
            result = process("backup", plain_url(proxy.port, account.user), *words, password=account.password)
        commands = assert_allowed(proxy, DELETING)
        looked = probes(bytes(proxy.connections[0].client))
    # 16: it removed what it had marked just when we removed ours, which looks as if the server had done that.
    assert result.code == 0 or (result.code == 16 and "others had marked" in result.err), result.err
    after, files = account.everything(), set(held(archive))
    there = {each.octets for box in after.values() for each in box.values()}
    assert there >= set(other.added)
    elsewhere_now = {each.octets for each in after.pop("Elsewhere").values()}
    assert elsewhere_now >= {each.octets for each in elsewhere.values()}
    ours = Sorted.of(start, cut_off).gone
    ordered = {(name, uid) for name, sets in touched(commands).items() for uid in sets.get("EXPUNGE", ())}
    went = 0
    for name, messages in start.items():
        for uid, each in messages.items():
            if uid in after.get(name, {}):
                left = after[name][uid].flags
                assert "\\Deleted" not in left or (name, uid) in other.marked, (name, uid, "carries a mark of ours")
                assert "\\Deleted" in left or (name, uid) not in other.marked, (name, uid, "lost a mark of another")
            elif each.octets not in other.removed | elsewhere_now:
                went += 1
                assert each.octets in files, (name, uid, "is lost")
                assert (name, uid) in ordered, (name, uid, "vanished without an order")
                assert uid in ours[name], (name, uid, "was not chosen")
                told = other.flagged.get((name, uid))
                assert told is None or told >= looked[name, uid], (name, uid, "was flagged before we looked")
    kept = sum(at[1] in after.get(at[0], {}) for at in other.flagged if at[1] in ours[at[0]])
    flags = f"{len(other.flagged)} flagged by the other, of which {kept} old ones stayed"
    print(f"{went} deleted, {flags}; exit {result.code} {result.err}")  # noqa: T201
    assert went > 100
    assert kept > 10

    # Left alone, the next run finishes the work and no more.
    parts = Sorted.of(after, cut_off)
    result = run("backup", account, archive, *words[2:])
    assert (result.code, result.err) == (0, "")
    final = account.everything()
    final.pop("Elsewhere")
    assert final == parts.left
