"""What the tests of the Catalogue port share: a row, and orders to delete."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from mailarchive import expunge
from mailarchive.expunge import ExpungeOrder, How, OrderItem
from mailarchive.model import DELETED, UID, Digest, Location, Mailbox, Method, Placement, RemoteMessage

if TYPE_CHECKING:
    from mailarchive.model import UIDL

ID = "a" * 32
DIGEST = Digest("sha256:" + "ab" * 32)
OTHER = Digest("sha256:" + "cd" * 32)
ROW = Placement(
    mailbox="Été",
    uidvalidity=7,
    uid=UID(4_294_967_295),
    digest=DIGEST,
    size=1234,
    location=Location("Été/1.abc"),
    internal_date=datetime(2014, 3, 1, 10, tzinfo=timezone(timedelta(hours=-8))),
    flags=frozenset({"\\Seen", "$label1"}),
    size_announced=1200,
    ident="i",
    hold="placeholder",
    object_id="M1",
)


def order(
    *rows: Placement, marked: int = 0, method: Method = Method.EXPUNGE, strangers: frozenset[UID | UIDL] = frozenset()
) -> ExpungeOrder:
    """Give leave to delete messages; the first `marked` of them carried the mark before."""
    items = []
    for number, row in enumerate(rows):
        flags = frozenset({DELETED}) if number < marked else frozenset[str]()
        fresh = RemoteMessage(row.uid, row.size_announced, row.internal_date, flags)
        items.append(OrderItem(row.uid, row.digest, row.size, row.location, fresh, row.ident))
    return ExpungeOrder(
        Mailbox(rows[0].mailbox),
        rows[0].uidvalidity or 0,
        tuple(items),
        How(method),
        strangers=strangers,
        seal=expunge._SEAL,
    )
