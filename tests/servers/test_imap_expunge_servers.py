r"""Deleting and putting back on real servers: one contract for Dovecot, the demo server, Gmail's imitation."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from mailarchive.address import Security, ServerAddress
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.errors import MailboxError
from mailarchive.expunge import Evidence, Guards, approve, choose
from mailarchive.extras import Appending
from mailarchive.model import UID, Digest, Envelope, ItemState, Location, Mailbox, Method, Placement
from mailarchive.policy import Policy
from mailarchive.ports import ExpungeResult
from mailarchive.sources import Purpose, connect
from mailarchive.sources.imap import ImapSource
from mailarchive.sources.tls import Trust
from tests.servers.dovecot import Dovecot
from tests.servers.dovecot_conf import capabilities_without
from tests.servers.gmail import ALL_MAIL, ENGLISH, INBOXED, GmailAccount, GmailServer
from tests.servers.witness import LOOPBACK, Witness, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mailarchive.model import Sighting
    from tests.conftest import MakeUser

GONE, IN_TRASH, MARKED, REFUSED = ItemState.GONE, ItemState.IN_TRASH, ItemState.MARKED, ItemState.REFUSED
OLD = datetime(2014, 3, 1, 10, tzinfo=timezone(timedelta(hours=1)))
CUT = datetime(2020, 1, 1, tzinfo=UTC)
DIGEST = Digest("sha256:" + "a" * 64)
SECRET = "secret"


@dataclass(frozen=True)
class Place:
    """One account on a server that runs: where, who, and the mailbox that is deleted in."""

    port: int
    user: str
    mailbox: str = "INBOX"
    gmail: GmailAccount | None = None

    def witness(self) -> Witness:
        """Sign in with a client of the standard library."""
        return Witness(self.port, self.user, SECRET)

    def source(self, purpose: Purpose) -> ImapSource:
        """Sign in with ours."""
        address = ServerAddress("imap", Security.NONE, LOOPBACK, self.port, self.user)
        source = connect(address, SECRET, Trust(), purpose=purpose)
        assert isinstance(source, ImapSource)
        return source

    def put(self, *messages: bytes) -> list[int]:
        """Put messages there and give their UIDs."""
        with self.witness() as witness:
            for raw in messages:
                status, said = witness.imap.append(quoted(self.mailbox), "(\\Seen kw)", OLD, raw)
                assert status == "OK", said
            return sorted(witness.facts(self.mailbox))


HIDDEN = {
    "demo": "",
    "demo without MOVE": "MOVE",
    "demo without UIDPLUS": "UIDPLUS",
    "demo with neither": "MOVE UIDPLUS",
}
PLACES = [pytest.param("dovecot", marks=pytest.mark.dovecot), *HIDDEN, "gmail"]


@contextmanager
def serving(name: str, request: pytest.FixtureRequest, limit: int | None = None) -> Iterator[Place]:
    """Give an empty account on one of the servers."""
    if name == "dovecot":
        make: MakeUser = request.getfixturevalue("dovecot_user")
        account = make(password=SECRET)
        yield Place(account.imap_port, account.user)
        return
    server: DemoServer
    if name == "gmail":
        gmail = GmailAccount("robin", SECRET)
        with GmailServer(gmail) as server:
            yield Place(server.imap_port, "robin", ENGLISH[ALL_MAIL], gmail)
        return
    store = Store()
    store.add_account("robin", SECRET, limit).create("Trash", ["\\Trash"])
    with DemoServer(store, hidden=frozenset(HIDDEN[name].split())) as server:
        yield Place(server.imap_port, "robin")


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Give an empty account on the server that the test is parametrised with."""
    with serving(request.param, request) as found:
        yield found


def letter(number: int) -> bytes:
    """Write a message of about 4 kB."""
    return f"Message-ID: <{number}@x>\r\nSubject: {number}\r\n\r\n".encode() + b"%d\r\n" % number * 1300


def carried_out(
    place: Place, asked: Method, uids: Sequence[int], meanwhile: Callable[[], object] = lambda: None
) -> ExpungeResult:
    """Delete as a run does: probe, decide, carry out; `meanwhile` happens after the decision."""
    with place.source(Purpose.DELETE) as source:
        boxes, _ = source.mailboxes()
        box = next(each for each in boxes if each.name == place.mailbox)
        with source.select(box) as opened:
            evidence = [
                proof(box, opened.status.uidvalidity, seen) for seen in opened.probe([UID(uid) for uid in uids])
            ]
            how = choose(asked, source.capabilities, boxes)
            policy = Policy(before=CUT)
            order, refused = approve(box, opened.status, evidence, policy, Guards(), how=how, marked=opened.marked())
            assert refused == ()
            assert order is not None
            meanwhile()
            result = opened.expunge(order)
            # The mailbox of the order is the one that is open.
            left = {int(seen.message.uid) for seen in opened.probe([UID(uid) for uid in uids])}
            assert left == {uid for uid, state in result.states.items() if not state.deleted}
    return result


def proof(box: Mailbox, uidvalidity: int | None, seen: Sighting) -> Evidence:
    """Give the evidence that a backup of this message would have left."""
    fresh = seen.message
    row = Placement(
        mailbox=box.name,
        uidvalidity=uidvalidity,
        uid=fresh.uid,
        digest=DIGEST,
        size=fresh.size or 0,
        location=Location("x"),
        internal_date=fresh.internal_date,
        flags=fresh.flags,
        size_announced=fresh.size,
        archived_at=CUT,
        object_id=fresh.object_id,
    )
    return Evidence(fresh.uid, row, DIGEST, fresh, Envelope())


ASKED = {
    "dovecot": {Method.EXPUNGE: GONE, Method.TRASH: IN_TRASH, Method.MARK: MARKED, Method.EXCLUSIVE: GONE},
    "demo": {Method.AUTO: GONE, Method.TRASH: IN_TRASH, Method.MARK: MARKED, Method.EXCLUSIVE: GONE},
    "demo without MOVE": {Method.EXPUNGE: GONE, Method.TRASH: IN_TRASH},
    "demo without UIDPLUS": {Method.TRASH: IN_TRASH, Method.MARK: MARKED, Method.EXCLUSIVE: GONE},
    "demo with neither": {Method.MARK: MARKED, Method.EXCLUSIVE: GONE},
    "gmail": {Method.AUTO: GONE, Method.EXPUNGE: GONE, Method.TRASH: IN_TRASH},
}
WAYS = [
    pytest.param(name, asked, state, marks=[pytest.mark.dovecot] if name == "dovecot" else [], id=f"{name}-{asked}")
    for name, ways in ASKED.items()
    for asked, state in ways.items()
]


@pytest.mark.parametrize(("place", "asked", "state"), WAYS, indirect=["place"])
def test_f068_exactly_the_ordered_messages_leave(place: Place, asked: Method, state: ItemState) -> None:
    """Those that another client has marked are still there, with their marks; all others are as they were."""
    letters = [letter(number) for number in range(9)]
    uids = place.put(*letters)
    ordered = [uids[1], uids[3], uids[4], uids[5], uids[8]]
    with place.witness() as other:
        other.imap.select(quoted(place.mailbox))
        # One of these is ordered too: it goes all the same.
        other.imap.uid("STORE", f"{uids[2]},{uids[3]},{uids[7]}", "+FLAGS.SILENT", "(\\Deleted)")
        with place.witness() as witness:
            before, octets = witness.facts(place.mailbox), witness.raw_messages(place.mailbox)
        result = carried_out(place, asked, ordered)
        other.imap.noop()
    assert result == ExpungeResult(dict.fromkeys(map(UID, ordered), state))
    staying = set(uids) if state is MARKED else set(uids) - set(ordered)
    with place.witness() as witness:
        after = witness.facts(place.mailbox)
        assert witness.raw_messages(place.mailbox) == {uid: octets[uid] for uid in staying}
        if state is IN_TRASH:
            trash = ENGLISH["\\Trash"] if place.gmail else "Trash"
            assert sorted(witness.raw_messages(trash).values()) == sorted(octets[uid] for uid in ordered)
    for uid in staying:
        more = {"\\Deleted"} if uid in ordered else set()
        assert after[uid] == before[uid]._replace(flags=before[uid].flags | more)


@pytest.mark.parametrize("place", ["gmail"], indirect=True)
@pytest.mark.parametrize("asked", [Method.AUTO, Method.TRASH])
def test_on_gmail_the_labels_of_others_stay_and_the_quota_falls(place: Place, asked: Method) -> None:
    """What is removed leaves every label; what was in the trash before, even under equal octets, stays there."""
    account = place.gmail
    assert account is not None
    going = [account.add(letter(number), INBOXED, "Work") for number in range(3)]
    staying = [account.add(letter(number), INBOXED, "Work", "Été") for number in range(3, 6)]
    thrown = account.add(letter(0), "\\Trash")
    used, labels = account.used, [message.labels for message in staying]
    result = carried_out(place, asked, [message.uid(place.mailbox) for message in going])
    assert set(result.states.values()) == {GONE if asked is Method.AUTO else IN_TRASH}
    assert [message.labels for message in staying] == labels
    assert thrown.mailboxes == [ENGLISH["\\Trash"]]
    assert thrown.entries.popitem()[1].flags == frozenset()
    assert [message.gone for message in going] == [asked is Method.AUTO] * 3
    freed = sum(len(message.raw) for message in going)
    assert account.used == used - (freed if asked is Method.AUTO else 0)
    with place.source(Purpose.DELETE) as source:
        boxes, _ = source.mailboxes()
        trash = next(box for box in boxes if "\\Trash" in box.special_use)
        with source.select(next(box for box in boxes if box.name == place.mailbox)) as opened:
            found = opened.in_trash([str(message.msgid) for message in (*going, *staying)], trash)
            assert len(list(opened.probe([UID(message.uid(place.mailbox)) for message in staying]))) == 3
    left = [] if asked is Method.AUTO else going
    assert found == {str(message.msgid): message.uid(trash.name) for message in left}


@pytest.mark.parametrize(("place", "asked", "state"), WAYS, indirect=["place"])
def test_f047_what_another_hand_removes_meanwhile_is_gone(place: Place, asked: Method, state: ItemState) -> None:
    """It is told as gone or moved; the rest goes, or stays without a mark of ours."""
    uids = place.put(*(letter(number) for number in range(4)))

    def meanwhile() -> None:
        with place.witness() as other:
            other.imap.select(quoted(place.mailbox))
            if place.gmail:
                place.gmail.place(place.gmail.shown(place.mailbox)[uids[1]], place.gmail.labelled("\\Trash"))
            else:
                other.imap.uid("STORE", str(uids[1]), "+FLAGS.SILENT", "(\\Deleted)")
                other.imap.expunge()

    result = carried_out(place, asked, uids[:3], meanwhile)
    assert result.states[UID(uids[1])] in {GONE, IN_TRASH if place.gmail else state}
    assert {result.states[UID(uid)] for uid in (uids[0], uids[2])} <= {state, REFUSED}
    with place.witness() as witness:
        left = witness.facts(place.mailbox)
    assert {uids[3]} <= set(left) <= set(uids) - {uids[1]}
    assert all(("\\Deleted" in left[uid].flags) == (result.states.get(UID(uid)) is MARKED) for uid in left)


def full(result: ExpungeResult, place: Place, octets: dict[int, bytes]) -> None:
    """Check that the trash took nothing, that everything is as it was, and that the way out is told."""
    assert set(result.states.values()) == {REFUSED}
    assert "--delete-method expunge" in result.reason
    assert not result.ignored
    with place.witness() as witness:
        assert witness.raw_messages("INBOX") == octets
        assert all(facts.flags == {"\\Seen", "kw"} for facts in witness.facts("INBOX").values())
        assert witness.raw_messages("Trash") == {}


def test_f032_without_room_in_the_trash_everything_stays(request: pytest.FixtureRequest) -> None:
    """COPY over the quota of the demo server."""
    with serving("demo without MOVE", request, limit=20_000) as place:
        uids = place.put(*(letter(number) for number in range(3)))
        with place.witness() as witness:
            octets = witness.raw_messages("INBOX")
        full(carried_out(place, Method.TRASH, uids), place, octets)


@pytest.mark.dovecot
def test_f032_without_room_in_the_trash_of_dovecot_everything_stays() -> None:
    """COPY over the quota of Dovecot, which has MOVE hidden."""
    with Dovecot(quota="20K", capability=capabilities_without("MOVE"), users={"user": SECRET}) as server:
        place = Place(server.imap_port, "user")
        uids = place.put(*(letter(number) for number in range(3)))
        with place.witness() as witness:
            octets = witness.raw_messages("INBOX")
        full(carried_out(place, Method.TRASH, uids), place, octets)


# Putting back


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_what_is_put_back_has_the_same_octets_flags_and_date(place: Place) -> None:
    r"""Small, odd and over 64 KiB; keywords and zones stay, `\Deleted` and what no server takes do not."""
    wanted = {
        letter(1): ({"\\Seen", "$Forwarded", "NonJunk"}, OLD),
        b"Subject: \xe4\xf6\xfc\r\n\r\nno end of line": (set(), datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)),
        letter(2) * 30: (
            {"\\Flagged", "\\Answered"},
            datetime(2019, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-11))),
        ),
        b"x: y\r\n\r\n{5}\r\nM9 EXPUNGE\r\n.\r\n": (
            {"\\Draft"},
            datetime(1999, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        ),
    }
    uids = {}
    with place.source(Purpose.RESTORE) as source:
        name = 'Zurück & "mehr"'
        box = source.create(name)
        for raw, (flags, date) in wanted.items():
            bad = {"\\Deleted", "\\Recent", "\\Odd", "a b", "é"}
            given = Appending(len(raw), lambda raw=raw: iter([raw[:10], raw[10:]]), frozenset(flags | bad), date)  # type: ignore[misc] # mypy cannot type a default of a lambda
            uids[raw] = source.append(box, given)
        uidplus = source.capabilities.uidplus
    with place.witness() as witness:
        octets, facts = witness.raw_messages(name), witness.facts(name)
    assert sorted(octets.values()) == sorted(wanted)
    for uid, raw in octets.items():
        flags, date = wanted[raw]
        assert facts[uid].flags == flags
        assert facts[uid].internal_date == date
        assert uids[raw] == (uid if uidplus else None)


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_what_cannot_be_put_back_is_told_and_the_session_goes_on(place: Place) -> None:
    """No such mailbox is an error of the mailbox; the next message arrives."""
    raw = letter(1)
    given = Appending(len(raw), lambda: iter([raw]))
    with place.source(Purpose.RESTORE) as source:
        with pytest.raises(MailboxError):
            source.append(Mailbox("Nowhere", b"Nowhere"), given)
        source.create("Work")
        with pytest.raises(MailboxError):
            source.create("Work")
        source.append(Mailbox("INBOX", b"INBOX"), given)
    with place.witness() as witness:
        assert list(witness.raw_messages("INBOX").values()) == [raw]


@pytest.mark.parametrize("place", ["gmail"], indirect=True)
def test_on_gmail_labels_come_back(place: Place) -> None:
    """Of the system and of the user, on one message that exists once."""
    account = place.gmail
    assert account is not None
    account.create("Été")
    raw = letter(1)
    labels = frozenset(
        {"\\Inbox", "&AMk-t&AOk-", 'a "b"', "\\Trash"} | {f"{number} {'x' * 50}" for number in range(40)}
    )
    with place.source(Purpose.RESTORE) as source:
        boxes, _ = source.mailboxes()
        box = next(each for each in boxes if each.name == place.mailbox)
        uid = source.append(box, Appending(len(raw), lambda: iter([raw]), frozenset({"\\Seen"}), OLD, labels))
    (message,) = account.messages()
    assert message.uid(place.mailbox) == uid
    assert message.labels == labels - {"\\Trash", "&AMk-t&AOk-"} | {"Été"}
    assert message.flags == {"\\Seen"}
    assert (message.raw, message.internal_date) == (raw, OLD)
