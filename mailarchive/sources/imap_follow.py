"""Lists a mailbox by what has changed in it since it was listed before (RFC 7162, CONDSTORE).

The law of this room: the numbers of the server are believed only where they agree with one another. Which messages are
there is asked for apart wherever anything has changed; a doubt of any kind ends in a listing of everything, and what is
deleted later is looked at afresh in any case.
"""

from __future__ import annotations

import heapq
from array import array
from typing import TYPE_CHECKING

from mailarchive.errors import MailboxError, ProtocolError
from mailarchive.messages import Messages
from mailarchive.sources import uid_set
from mailarchive.sources.imap_commands import LINE, Refused
from mailarchive.sources.imap_hits import ascending
from mailarchive.sources.imap_items import GMAIL, facts
from mailarchive.sources.imap_list import within

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailarchive.messages import Remembered
    from mailarchive.model import MailboxStatus, RemoteMessage
    from mailarchive.sources.imap_commands import Commands
    from mailarchive.sources.imap_list import Lister

WINDOW = 50_000
"""Messages of which it is asked at a time whether they are there; their UIDs fit on a line of `wire.LINE_CAP`."""
CONDSTORE = frozenset({"CONDSTORE", "QRESYNC"})


def is_able(commands: Commands) -> bool:
    """Tell whether the server can say what has changed. Labels of Gmail change what is chosen, and are not followed."""
    return bool(CONDSTORE & commands.capability) and GMAIL not in commands.capability


def is_steady(commands: Commands, status: MailboxStatus) -> bool:
    """Tell whether the server gives the numbers by which a mailbox is followed."""
    numbers = (status.uidvalidity, status.uidnext, status.highestmodseq)
    return is_able(commands) and status.uids_stick and None not in numbers


def follow(commands: Commands, status: MailboxStatus, lister: Lister, before: Remembered) -> Messages | None:
    """Give all messages of the open mailbox; None if everything must be listed.

    Raises:
        LaterError: The server asks for patience.
    """
    old = before.status
    if not is_steady(commands, status) or old.uidvalidity != status.uidvalidity:
        return None
    then, now = (old.uidnext, old.highestmodseq), (status.uidnext, status.highestmodseq)
    # Numbers that run backwards are those of another mailbox, or of one that was put back from a copy.
    if None in then or any(number < former for number, former in zip(now, then, strict=True)):  # type: ignore[operator] # none of them is None
        return None
    if now == then and status.exists == len(before.messages):
        return before.messages
    try:
        return _renewed(commands, status, lister, before)
    except MailboxError:
        return None
    except Refused as refused:
        if refused.patience:
            raise refused.error(commands.wire.peer, "the server refuses") from None
        return None


def _renewed(commands: Commands, status: MailboxStatus, lister: Lister, before: Remembered) -> Messages | None:
    """Ask which messages are there, and for the facts of those that are new or have changed."""
    windows = lister.windows(WINDOW) if status.exists else []
    there = _there(commands, status, lister, windows)
    if there is None:
        return None
    fresh: dict[int, RemoteMessage] = {}
    since = before.status.highestmodseq
    if status.highestmodseq != since and not _take(commands, status, windows, fresh, since=since):
        return None
    unknown = [uid for uid in _without(there, before.messages.only(there).uids) if uid not in fresh]
    if not _take(commands, status, [part for part, _ in uid_set.commands(unknown, octets=LINE - 200)], fresh):
        return None
    kept = before.messages.only(uid for uid in there if uid not in fresh)
    changed = [fresh[uid] for uid in there if uid in fresh]
    if changed and kept.uids and changed[0].uid < kept.uids[-1]:  # type: ignore[operator] # UIDs of IMAP are numbers
        kept = Messages(heapq.merge(kept, changed, key=lambda message: int(message.uid)))
    else:
        for message in changed:
            kept.append(message)
    return kept if len(kept) == len(there) and kept.plain else None


def _there(commands: Commands, status: MailboxStatus, lister: Lister, windows: Sequence[bytes]) -> Sequence[int] | None:
    """Ask for the UIDs of all messages; None if they are not as many as there should be."""
    uids = array("I")
    for window in windows:
        hits = lister.search(within(window, b"ALL"))
        if hits.count is not None and hits.count != len(set(hits.uids)):
            return None
        uids.extend(hits.uids)
    uids = ascending(uids)
    return uids if len(uids) == status.exists - commands.expunged else None


def _without(uids: Sequence[int], others: Sequence[int]) -> Iterator[int]:
    """Give those that are not among the others; both in ascending order, and the others are among them."""
    there = iter(others)
    now = next(there, 0)
    for uid in uids:
        if uid == now:
            now = next(there, 0)
        else:
            yield uid


def _take(
    commands: Commands,
    status: MailboxStatus,
    sets: Sequence[bytes],
    fresh: dict[int, RemoteMessage],
    *,
    since: int | None = None,
) -> bool:
    """Read facts, of changes or of whole sets; tell whether each message was told in one way only."""
    agree = True
    for fact in facts(commands, sets, since=since):
        # Flags alone are what a server sends unasked; they have a mod-sequence, by which the next run finds them.
        if fact.whole:
            agree = fresh.setdefault(int(fact.message.uid), fact.message) == fact.message and agree
        if len(fresh) > status.exists + WINDOW:
            raise ProtocolError(f"{commands.wire.peer} lists more messages than there are")
    return agree
