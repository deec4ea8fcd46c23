"""What every source promises (`ports.Source`), on real servers: IMAP and POP3, of Dovecot and of the demo server."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive import headers
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.errors import MailarchiveError
from mailarchive.extras import CanNameSenders
from mailarchive.model import UID, UIDL, Criteria, ItemState, NotFetched, RemoteMessage, in_order, is_lasting
from mailarchive.sources import Purpose
from tests.contract.sources import NOW, letter, on_demo, on_dovecot, order_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.expunge import ExpungeOrder
    from mailarchive.model import Mailbox
    from mailarchive.ports import OpenMailbox, Source
    from tests.conftest import MakeUser
    from tests.contract.sources import Rig

MAIL = [
    letter(0),
    letter(1, size=5),
    b"Date: Sat, 1 Mar 2014 10:00:00 +0100\r\nMessage-ID: <dots>\r\nSubject: number 2\r\n\r\n.\r\n..\r\n.x\r\n.\r\n",
    letter(3).replace(b"000003.", "ä☃\udcff".encode("utf-8", "surrogateescape")),
    letter(4, size=300_000),
    letter(5, days=20),
    letter(6).replace(b"\r\n\r\n", b"\r\nX-Long: " + b"x" * 5000 + b"\r\n\r\n" + b"y" * 5000 + b"\r\n", 1),
    letter(7),
]
_NAMES = itertools.count()


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoServer]:
    """Serve."""
    with DemoServer(Store()) as server:
        yield server


@pytest.fixture(
    params=[
        "imap-demo",
        "pop-demo",
        "imap-demo-patient",
        "pop-demo-patient",
        *(pytest.param(f"{p}-dovecot", marks=pytest.mark.dovecot) for p in ("imap", "pop")),
    ]
)
def empty(request: pytest.FixtureRequest, demo: DemoServer) -> Rig:
    """Give an account without mail on each server in turn."""
    protocol, server, *patient = request.param.split("-")
    if server == "demo":
        return replace(on_demo(protocol, demo, f"user{next(_NAMES)}"), patient=bool(patient))
    make: MakeUser = request.getfixturevalue("dovecot_user")
    return on_dovecot(protocol, make())


@pytest.fixture
def rig(empty: Rig) -> Rig:
    """Give an account with mail on each server in turn."""
    empty.fill(MAIL)
    return empty


def inbox(source: Source) -> Mailbox:
    """Find INBOX."""
    boxes, unread = source.mailboxes()
    assert unread == []
    (found,) = [box for box in boxes if box.name == "INBOX"]
    assert found.selectable
    return found


def listed(box: OpenMailbox, criteria: Criteria | None = None) -> list[RemoteMessage]:
    """List it, and check that each comes once and in order."""
    found = list(box.listing(criteria or Criteria()))
    assert len({message.uid for message in found}) == len(found)
    return found


def fetched(box: OpenMailbox, messages: Sequence[RemoteMessage]) -> dict[UID | UIDL, bytes]:
    """Fetch all of these, each once."""
    found: dict[UID | UIDL, bytes] = {}
    for arrival in box.fetch(messages):
        assert not isinstance(arrival, NotFetched)
        octets = b"".join(bytes(chunk) for chunk in arrival.chunks())
        assert arrival.message.uid not in found
        found[arrival.message.uid] = octets
    return found


def absent(source: Source) -> UID | UIDL:
    """Give the name of a message that was never there."""
    return UID(4_000_000_000) if source.capabilities.flags else UIDL("never.there")


def test_it_is_a_source_and_says_what_it_can(rig: Rig) -> None:
    """Before anything is asked; chunks are for POP3, whose sessions are short."""
    with rig.connect() as source:
        port: Source = source
        assert port.capabilities.uidplus
        is_pop = rig.protocol == "pop"
        assert (port.capabilities.flags, port.capabilities.internal_date) == (not is_pop, not is_pop)
        assert port.capabilities.chunk == (50 if is_pop else None)


def test_a_mailbox_opens_for_reading(rig: Rig) -> None:
    """With the number of its messages, a generation, and no leave to change anything."""
    with rig.connect(Purpose.DELETE) as source, source.open(inbox(source)) as box:
        assert (box.status.exists, box.status.writable, list(box.doubts)) == (len(MAIL), False, [])
        assert box.status.uidvalidity is not None
        assert box.status.uids_stick


def test_the_listing_has_each_message_once_and_in_order(rig: Rig) -> None:
    """Oldest first, with sizes; what the protocol cannot say is None."""
    with rig.connect() as source, source.open(inbox(source)) as box:
        found = listed(box)
        assert [message.size for message in found] == [len(octets) for octets in MAIL]
        assert all(is_lasting(message.uid) for message in found)
        assert all((message.flags is None) is (rig.protocol == "pop") for message in found)
        assert all((message.internal_date is None) is (rig.protocol == "pop") for message in found)
        assert [message.uid for message in listed(box)] == [message.uid for message in found]


def test_names_are_the_same_in_the_next_session(rig: Rig) -> None:
    """They are what a message is known by."""
    seen = []
    for _ in range(2):
        with rig.connect() as source, source.open(inbox(source)) as box:
            seen.append((box.status.uidvalidity, [message.uid for message in listed(box)]))
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("criteria", "least"),
    [
        (Criteria(received_before=NOW - timedelta(days=365)), {0, 1, 2, 3, 4, 6, 7}),
        (Criteria(received_from=NOW - timedelta(days=365)), {5}),
        (Criteria(larger_than=100_000), {4}),
        (Criteria(smaller_than=100_000), {0, 1, 2, 3, 5, 6, 7}),
        (Criteria(seen=True), set(range(8))),
        (Criteria(flagged=False), set(range(8))),
        (Criteria(received_before=NOW - timedelta(days=365), larger_than=100_000), {4}),
    ],
)
def test_narrowing_is_a_hint(rig: Rig, criteria: Criteria, least: set[int]) -> None:
    """At least what fits is listed."""
    with rig.connect() as source, source.open(inbox(source)) as box:
        everything = [message.uid for message in listed(box)]
        assert {everything[number] for number in least} <= {message.uid for message in listed(box, criteria)}


def test_headers_come_for_what_exists(rig: Rig) -> None:
    """Each once, with the fields that a selection may ask for, and without the body."""
    with rig.connect() as source, source.open(inbox(source)) as box:
        messages = listed(box)
        heads = list(box.headers([*messages, RemoteMessage(absent(source), 1)]))
        assert sorted(map(str, (uid for uid, _ in heads))) == sorted(str(message.uid) for message in messages)
        numbers = {message.uid: number for number, message in enumerate(messages)}
        for uid, head in heads:
            found = headers.envelope(head)
            assert found.subject == f"number {numbers[uid]}"
            assert found.ident == headers.ident(MAIL[numbers[uid]])
            assert len(head) <= 64 * 1024
            assert found.date is not None
            assert b"0000000000" not in head
        assert list(box.headers([])) == []


def test_senders_are_those_of_the_headers(rig: Rig) -> None:
    """Where they can be asked for alone, nothing else comes, and a message that is gone does not."""
    with rig.connect() as source, source.open(inbox(source)) as box:
        if not isinstance(box, CanNameSenders):
            return
        messages = listed(box)
        found = dict(box.senders([*messages, RemoteMessage(absent(source), 1)]))
        known = {uid: headers.envelope(head).from_ for uid, head in box.headers(messages)}
        assert {uid: headers.envelope(head).from_ for uid, head in found.items()} == known
        assert any(known.values())
        assert not any(headers.envelope(head).subject for head in found.values())
        assert list(box.senders([])) == []


def test_bodies_are_exactly_what_the_server_has(rig: Rig) -> None:
    """Each once, in pieces, also of some of them and in another order."""
    with rig.connect() as source, source.open(inbox(source)) as box:
        messages = listed(box)
        everything = fetched(box, messages)
        assert [everything[message.uid] for message in messages] == MAIL == rig.left()
        some = [messages[number] for number in (6, 0, 3)]
        assert fetched(box, some) == {message.uid: everything[message.uid] for message in some}
        assert fetched(box, []) == {}


def test_what_is_known_of_a_message_behind_its_bytes(rig: Rig) -> None:
    """Size, and a date: that of the server, or of the message where the protocol says none."""
    with rig.connect() as source, source.open(inbox(source)) as box:
        for arrival in box.fetch(listed(box)):
            assert not isinstance(arrival, NotFetched)
            octets = b"".join(bytes(chunk) for chunk in arrival.chunks())
            assert arrival.message.size == len(octets)
            date = headers.arrival(octets)
            assert date is not None
            assert arrival.message.internal_date == date


def test_what_is_gone_is_told(rig: Rig) -> None:
    """By name, once, and the others come."""
    with rig.connect() as source, source.open(inbox(source)) as box:
        messages = listed(box)
    rig.remove(1, 4)
    with rig.connect() as source, source.open(inbox(source)) as box:
        arrivals = []
        for arrival in box.fetch(messages):
            if isinstance(arrival, NotFetched):
                assert arrival.gone
                arrivals.append(arrival.uid)
            else:
                assert b"".join(bytes(chunk) for chunk in arrival.chunks())
                arrivals.append(arrival.message.uid)
        assert sorted(map(str, arrivals)) == sorted(str(message.uid) for message in messages)
        gone = {messages[1].uid, messages[4].uid}
        assert {uid for uid, _ in box.headers(messages)} == {message.uid for message in messages} - gone
        assert {sight.message.uid for sight in box.probe([message.uid for message in messages])}.isdisjoint(gone)
        assert gone.isdisjoint(message.uid for message in listed(box))


def test_a_probe_shows_what_is_there_now(rig: Rig) -> None:
    """The same identity as the whole message, and its date."""
    with rig.connect(Purpose.DELETE) as source, source.select(inbox(source)) as box:
        messages = listed(box)
        seen = {s.message.uid: s for s in box.probe([*(m.uid for m in messages), absent(source)])}
        assert in_order(seen) == in_order(message.uid for message in messages)
        for number, message in enumerate(messages):
            sight = seen[message.uid]
            assert sight.message.size == message.size
            assert sight.message.internal_date == headers.arrival(MAIL[number])
            assert headers.envelope(sight.head) == headers.envelope(MAIL[number])
        assert list(box.probe([])) == []
        assert list(box.present([absent(source)])) == []
        assert box.marked() == frozenset()


@pytest.mark.parametrize("fetching", [False, True], ids=["at once", "behind a fetch"])
def test_exactly_what_is_ordered_goes(rig: Rig, fetching: bool) -> None:
    """And is said to be gone; everything else is there, octet for octet."""
    with rig.connect(Purpose.DELETE) as source:
        mailbox = inbox(source)
        if fetching:
            with source.open(mailbox) as box:
                fetched(box, listed(box))
        with source.select(mailbox) as writable:
            assert writable.status.writable
            uids = [message.uid for message in listed(writable)]
            going = [uids[number] for number in (0, 3, 4, 7)]
            order = order_of(writable, mailbox, going, flagless=rig.protocol == "pop")
            result = writable.expunge(order)
            assert result.states == dict.fromkeys(going, ItemState.GONE)
            assert (result.reason, result.ignored, result.strangers) == ("", False, 0)
            assert list(writable.present(going)) == []
        with source.open(mailbox) as box:
            assert [message.uid for message in listed(box)] == [uids[number] for number in (1, 2, 5, 6)]
    assert rig.left() == [MAIL[number] for number in (1, 2, 5, 6)]


def test_a_session_that_only_looks_deletes_nothing(rig: Rig) -> None:
    """However it ends."""
    for purpose in Purpose.READ, Purpose.DELETE:
        source = rig.connect(purpose)
        with source, source.open(inbox(source)) as box:
            fetched(box, listed(box))
            list(box.headers(listed(box)))
    assert rig.left() == MAIL


def carry_out(source: Source, order: ExpungeOrder) -> None:
    """Open INBOX for deleting, if that can be, and delete."""
    with source.select(inbox(source)) as writable:
        writable.expunge(order)


def test_a_reading_session_cannot_delete(rig: Rig) -> None:
    """Not even with an order."""
    with rig.connect(Purpose.DELETE) as source, source.select(inbox(source)) as writable:
        uids = [message.uid for message in listed(writable)]
        order = order_of(writable, inbox(source), uids[:2], flagless=rig.protocol == "pop")
    source = rig.connect(Purpose.READ)
    with pytest.raises((AssertionError, MailarchiveError)), source:
        carry_out(source, order)
    source.close()
    assert rig.left() == MAIL


def test_an_order_for_another_generation_is_refused(rig: Rig) -> None:
    """Its names mean other messages."""
    with rig.connect(Purpose.DELETE) as source, source.select(inbox(source)) as writable:
        order = order_of(writable, inbox(source), [listed(writable)[0].uid], flagless=rig.protocol == "pop")
        object.__setattr__(order, "uidvalidity", 1 + order.uidvalidity)
        with pytest.raises((AssertionError, MailarchiveError)):
            writable.expunge(order)
    assert rig.left() == MAIL


def test_f127_an_empty_mailbox(empty: Rig) -> None:
    """Nothing of everything."""
    with empty.connect() as source, source.open(inbox(source)) as box:
        assert box.status.exists == 0
        assert (listed(box), list(box.headers([])), list(box.probe([]))) == ([], [], [])
