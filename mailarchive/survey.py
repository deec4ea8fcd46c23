"""What is on the server, what of it is chosen, and what of that is archived: the plan of a run.

The law of this room: it only asks and compares. Each message is judged by the policy whatever the server narrowed, and
what has changed in a way that a human should know is told.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import islice, repeat
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive import headers, plan
from mailarchive.errors import MailboxError, UsageError
from mailarchive.events import Listing
from mailarchive.expunge import Refusal
from mailarchive.extras import CanFollow, CanGlance, HasQuota
from mailarchive.labels import Labels
from mailarchive.messages import Messages, Remembered
from mailarchive.model import DELETED, INBOX, JUNK, TRASH, Criteria, Method, is_lasting
from mailarchive.policy import DateKind, HeaderTests, Keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from mailarchive.job import Work
    from mailarchive.model import UID, UIDL, Capabilities, Envelope, Known, Mailbox, MailboxStatus, Quota, RemoteMessage
    from mailarchive.plan import Plan
    from mailarchive.policy import Policy
    from mailarchive.ports import OpenMailbox, Source


FRESH: Final = timedelta(days=7)
"""So long a listing is followed before all of it is asked for again: a server may be wrong about what has changed."""
FEW: Final = 3
"""Mailboxes below which it is not worth a question how they all stand."""
ROWS: Final = 2000
"""Messages of a mailbox whose rows are in memory at a time."""
_OTHERWISE: Final = bytes([1, *bytes(255)])
"""Makes of a mask the mask of all others."""
DATES: Final = 5000
"""Headers that are asked for between two commits of the dates in them."""


def quota_of(source: Source, work: Work) -> Quota | None:
    """Ask for the quota; None if the server does not tell it.

    Raises:
        UsageError: The selection needs one.
    """
    quota = source.quota() if isinstance(source, HasQuota) else None
    if quota is None and work.policy.keep_under is not None:
        raise UsageError("this server does not tell its quota, so --keep-under cannot be", hint="use --free SIZE")
    return quota


def survey(
    source: Source,
    work: Work,
    quota: Quota | None,
    mailboxes: Sequence[Mailbox],
    *,
    deleting: bool = False,
    fetching: bool = True,
) -> Plan:
    """List the chosen ones of all mailboxes of the server and make the plan.

    Args:
        source: Signed in.
        work: Of the run.
        quota: What the server says now.
        mailboxes: All of the server.
        deleting: Whether the run may delete: then it is told of each message why it will stay.
        fetching: Whether what is not archived belongs to the plan.

    Raises:
        UsageError: The selection names a mailbox that is not there, or asks for what this server cannot do.
        AccountError, ArchiveError: The line or the archive gave way.
    """
    refuse_impossible(work.policy, source.capabilities)
    before = work.catalogue.mailboxes()
    if not mailboxes and before:
        work.warn(f"the server lists no mailboxes, and there were {len(before)}; nothing was done")
        return plan.make([], work.policy)
    compare_names(work.policy, mailboxes, work.warn)
    work.labels = Labels.of(mailboxes, work.policy, labels=source.capabilities.labels)
    # Servers list in any order; people look for INBOX first and for the others by name.
    chosen = sorted(_chosen_of(mailboxes, work), key=lambda box: (box.name != INBOX, box.name.casefold()))
    listings = []
    known = [mailbox for mailbox in chosen if mailbox.name in before]
    glances = _glances(source, known, work) if not deleting and len(known) >= FEW else {}
    for number, mailbox in enumerate(chosen):
        if work.stop() is not None:
            break
        work.report(Listing(mailbox.name, number, len(chosen)))
        if (same := _unchanged(mailbox, glances, work)) is not None:
            closed = Closed(same.status)
            listings.append(_list(closed, mailbox, same.messages, work, deleting=False, fetching=fetching))
            continue
        try:
            with source.open(mailbox) as box:
                messages = _listed(box, mailbox, work, dated=source.capabilities.internal_date, deleting=deleting)
                listings.append(_list(box, mailbox, messages, work, deleting=deleting, fetching=fetching))
        except MailboxError as error:
            work.warn(error.message, mailbox.name)
    return plan.make(listings, work.policy, quota, deleting=deleting)


class Closed(NamedTuple):
    """A mailbox that need not be opened to be listed."""

    status: MailboxStatus
    doubts: tuple[str, ...] = ()


def _glances(source: Source, mailboxes: Sequence[Mailbox], work: Work) -> Mapping[str, MailboxStatus]:
    """Ask in one go how mailboxes stand, where what was remembered of them may do."""
    policy = work.policy
    if policy.needs_headers or policy.imap_search or work.labels is not None or not isinstance(source, CanGlance):
        return {}
    return source.glance(mailboxes)


def _unchanged(mailbox: Mailbox, glances: Mapping[str, MailboxStatus], work: Work) -> Remembered | None:
    """Give what is remembered of a mailbox if nothing has changed in it since; None if it must be opened."""
    status = glances.get(mailbox.name)
    before = _remembered(mailbox, work) if status is not None else None
    if status is None or before is None or not before.status.uids_stick:
        return None
    now = (status.exists, status.uidvalidity, status.uidnext, status.highestmodseq)
    then = (len(before.messages), before.status.uidvalidity, before.status.uidnext, before.status.highestmodseq)
    return before if now == then and None not in now else None


def _remembered(mailbox: Mailbox, work: Work) -> Remembered | None:
    """Give the last listing of a mailbox, as long as it is fresh enough to be followed."""
    before = work.catalogue.listing(mailbox.name)
    fresh = before is not None and timedelta(0) <= work.run.started - before.listed_at < FRESH
    return before if fresh else None


def _chosen_of(mailboxes: Sequence[Mailbox], work: Work) -> list[Mailbox]:
    """Give the mailboxes to be listed: where labels are mailboxes, the one that shows everything stands for all."""
    if work.labels is None:
        return [box for box in mailboxes if work.policy.chooses(box)]
    # Spam and trash do not show there, and only their exact name brings them in.
    apart = [box for box in mailboxes if box.special_use & {JUNK, TRASH} and work.policy.chooses(box)]
    return [work.labels.everything, *apart]


def refuse_impossible(policy: Policy, capabilities: Capabilities) -> None:
    """Refuse a selection by what this server cannot tell. Raises UsageError."""
    if policy.asks_for_flags and not capabilities.flags:
        raise UsageError("POP3 has no flags, so no message can be chosen by one")
    if policy.imap_search and not capabilities.search:
        raise UsageError("this server cannot search, so --imap-search cannot be")


def compare_names(policy: Policy, mailboxes: Sequence[Mailbox], warn: Callable[[str], None]) -> None:
    """Refuse a mailbox that the user typed and the server does not have; one from the configuration is a warning."""
    names = [mailbox.name for mailbox in mailboxes]
    for pattern in policy.missing(names):
        close = plan.nearest(pattern, names)
        hint = f"did you mean {close!r}?" if close else ""
        if policy.demand_mailboxes:
            raise UsageError(f"no mailbox {pattern!r} on the server", hint=hint)
        warn(f"no mailbox {pattern!r} on the server; {hint or 'it is left out'}")


def _list(
    box: OpenMailbox | Closed,
    mailbox: Mailbox,
    messages: Sequence[RemoteMessage],
    work: Work,
    *,
    deleting: bool,
    fetching: bool,
) -> plan.Listed:
    """Judge each message of a mailbox, and part what is archived from what is not."""
    chosen, envelopes = _chosen(box, mailbox, messages, work, deleting=deleting)
    for sentence in box.doubts:
        work.warn(sentence, mailbox.name)
    held = box.doubts[0] if box.doubts else ""
    if _compare(mailbox, box.status, work):
        held = held or "the server has numbered this mailbox anew"
    held_here, doubtful, lost, unproved = bytearray(), bytearray(), 0, 0
    stays: dict[UID | UIDL, str] = {}
    for message, known in _with_rows(chosen, mailbox, box.status, work, proved=deleting and fetching):
        row = known if known is not None and known.is_same(message) else None
        if row is not None and not work.archive.holds(row.location):
            lost += 1
            row = None
        held_here.append(row is not None)
        doubtful.append(row is not None and row.unsure and not row.hold)
        unproved += row is not None and not row.evidence
        if deleting and (why := _stays(message, envelopes.get(message.uid), row, work, fetching=fetching)):
            stays[message.uid] = why
    already, unsure = chosen.where(held_here), chosen.where(doubtful)
    fetch = chosen.where(held_here.translate(_OTHERWISE))
    if lost:
        what = "are no longer whole in the archive" + (" and are fetched again" if fetching else "")
        work.warn(f"{lost} archived messages {what}", mailbox.name, serious=not fetching)
    _tell_unproved(unproved if deleting else 0, mailbox, work)
    if fetch and not fetching:
        what = "are not archived and stay; `mailarchive backup` fetches them"
        work.warn(f"{len(fetch)} of the chosen messages {what}", mailbox.name, serious=False)
        fetch = Messages()
    return plan.Listed(mailbox, box.status, fetch, already, stays, unsure, held)


def _listed(box: OpenMailbox, mailbox: Mailbox, work: Work, *, dated: bool, deleting: bool) -> Sequence[RemoteMessage]:
    """List a mailbox; where the protocol says no dates, they are asked for once and remembered (POP3)."""
    criteria = work.policy.criteria()
    # A deletion is planned on what the server says in this run, and only the server can judge keys of its own.
    if isinstance(box, CanFollow) and box.steady and not deleting and not criteria.imap_search:
        return _followed(box, mailbox, work)
    messages = box.listing(criteria)
    if dated:
        return messages
    if lasting := sum(not is_lasting(message.uid) for message in messages):
        what = "have no lasting name on this server (UIDL): they are fetched each time, and compared by content"
        work.warn(f"{lasting} messages {what}", mailbox.name, serious=False)
    return _dated(box, mailbox, messages, work)


_Dates = dict["UID | UIDL", tuple["int | None", "datetime | None"]]
"""Size and date of messages by their names."""


def _dated(box: OpenMailbox, mailbox: Mailbox, messages: Sequence[RemoteMessage], work: Work) -> Messages:
    """Give messages their dates: from the archive, from what earlier runs asked for, or from their headers."""
    asked: _Dates = dict(work.catalogue.dates(mailbox.name))
    dated = Messages()
    unknown: list[RemoteMessage] = []
    foreign: set[UID | UIDL] = set()
    kept: _Dates = {}
    remembering = bool(asked) or work.policy.needs_dates
    for message, row in _rows(messages, mailbox, box.status, work):
        uid, size = message.uid, message.size
        archived = row is not None and (row.evidence or work.how is None)
        if remembering and not archived and is_lasting(uid):
            foreign.add(uid)
        known = (row.size, row.internal_date) if archived and row is not None and row.size == size else asked.get(uid)
        if known is None or known[0] != size:
            if work.policy.needs_dates:
                unknown.append(message)
        elif uid in foreign:
            kept[uid] = known
        dated.append(message._replace(internal_date=known[1] if known is not None and known[0] == size else None))
    fresh: dict[UID | UIDL, datetime | None] = {}
    # In parts, so that a line that dies in the middle of a long listing does not take all of it along.
    for first in range(0, max(1, len(unknown)), DATES):
        some = unknown[first : first + DATES]
        fresh.update((uid, headers.arrival(head)) for uid, head in (box.headers(some) if some else ()))
        kept |= {m.uid: (m.size, fresh[m.uid]) for m in some if m.uid in fresh and m.uid in foreign}
        if kept != asked:
            work.catalogue.remember_dates(mailbox.name, kept)
            asked = dict(kept)
    if not fresh:
        return dated
    return Messages(m._replace(internal_date=fresh[m.uid]) if m.uid in fresh else m for m in dated)


def _followed(box: OpenMailbox, mailbox: Mailbox, work: Work) -> Sequence[RemoteMessage]:
    """List a mailbox by what has changed since it was listed before, and remember it for the next time.

    All of it is listed, as what is too young for this run may be old enough for the next one.
    """
    assert isinstance(box, CanFollow)
    now = work.run.started
    before = _remembered(mailbox, work)
    if before is not None:
        messages = box.follow(before)
        if messages is not None:
            if messages is not before.messages:
                work.catalogue.remember_listing(mailbox.name, replace(before, status=box.status, messages=messages))
            return messages
    everything = box.listing(Criteria())
    if isinstance(everything, Messages) and everything.plain and not box.doubts:
        work.catalogue.remember_listing(mailbox.name, Remembered(box.status, now, everything))
    return everything


def _stays(message: RemoteMessage, envelope: Envelope | None, row: Known | None, work: Work, *, fetching: bool) -> str:
    """Say why a message will stay on the server, as far as is known now; empty if nothing speaks for it."""
    if row is not None and not row.evidence:
        return Refusal.NO_PROOF.value
    if row is not None and row.hold:
        return Refusal.HOLD.value
    if row is not None and row.unsure and not fetching:
        return Refusal.UNSURE.value
    if work.how is not None and work.how.method is Method.MARK and DELETED in (message.flags or ()):
        return Keep.MARKED.value
    policy = work.policy
    # Without its header fields a message is judged by the rest; the probe before the deletion brings them.
    loose = policy if envelope is not None else replace(policy, headers=HeaderTests(), date=DateKind.RECEIVED)
    excluded = work.labels.excluded(message) if work.labels is not None else ""
    why = loose.keeps(message, envelope, excluded=excluded, put_back=row is not None and row.put_back)
    if why is not None:
        return why.value
    fresh = row is None or row.archived_at is None or row.archived_at > (work.archived_before or row.archived_at)
    return Refusal.TOO_FRESH.value if work.archived_before is not None and fresh else ""


def _tell_unproved(count: int, mailbox: Mailbox, work: Work) -> None:
    if count:
        what = "are archived as far as a list says, and stay; `mailarchive backup --delete` fetches them again first"
        work.warn(f"{count} of the chosen messages {what}", mailbox.name, serious=False)


def _with_rows(
    messages: Iterable[RemoteMessage], mailbox: Mailbox, status: MailboxStatus, work: Work, *, proved: bool
) -> Iterator[tuple[RemoteMessage, Known | None]]:
    """Say what is archived of each message; nothing is known where a UID means nothing in the next session.

    With `proved`, what only a list speaks for is not known: nothing is deleted on its word, and a run that may delete
    fetches such a message again.
    """
    lasting = status.uidvalidity is not None and status.uids_stick
    if not lasting:
        why = "keeps no UIDs" if status.uidvalidity is not None else "gives no UIDVALIDITY"
        what = f"the server {why} here: everything is fetched each time, and compared by content"
        work.warn(what, mailbox.name, serious=False)
    for message, row in _rows(messages, mailbox, status, work) if lasting else zip(messages, repeat(None)):
        yield message, row if row is not None and (row.evidence or not proved) else None


def _rows(
    messages: Iterable[RemoteMessage], mailbox: Mailbox, status: MailboxStatus, work: Work
) -> Iterator[tuple[RemoteMessage, Known | None]]:
    """Give the row of each message, of a few at a time."""
    left = iter(messages)
    while some := list(islice(left, ROWS)):
        uids = [message.uid for message in some]
        first, last = uids[0], uids[-1]
        if isinstance(first, int) and isinstance(last, int):
            # In ascending order of UID, unlike the names of a maildrop.
            rows = work.catalogue.placements(mailbox.name, status.uidvalidity, within=(first, last))
        else:
            rows = work.catalogue.placements(mailbox.name, status.uidvalidity, among=uids)
        for message in some:
            yield message, rows.get(message.uid)


def _chosen(
    box: OpenMailbox | Closed, mailbox: Mailbox, messages: Sequence[RemoteMessage], work: Work, *, deleting: bool
) -> tuple[Messages, Mapping[UID | UIDL, Envelope]]:
    """Give the chosen messages, and the header fields of those that had to be judged by them."""
    policy = work.policy
    listed = messages if isinstance(messages, Messages) else Messages(messages)
    if work.labels is not None and mailbox == work.labels.everything:
        listed = listed.where(bytes(map(work.labels.selects, listed)))
    # Where only so much is to be deleted, what will stay must not take the place of what could go.
    counted = policy.limit is not None or policy.free is not None or policy.keep_under is not None
    # Headers cost a transfer: ask only for those of messages that everything else speaks for.
    loose = replace(policy, headers=HeaderTests()) if policy.needs_headers else policy
    if not loose.takes_all:
        listed = listed.where(bytes(map(loose.selects, listed)))
    if not policy.needs_headers and not (deleting and counted and policy.before is not None):
        return listed, {}
    assert not isinstance(box, Closed)
    envelopes = {uid: headers.envelope(head) for uid, head in box.headers(listed)}
    if lacking := len(listed) - len(envelopes):
        work.warn(f"the headers of {lacking} messages did not come; the next run looks at them again", mailbox.name)
    chosen = (policy.selects(message, envelopes.get(message.uid)) for message in listed)
    return listed.where(bytes(chosen)), envelopes


def _compare(mailbox: Mailbox, status: MailboxStatus, work: Work) -> bool:
    """Tell what has changed in a way that a human should know; gives whether the UIDs mean something else now."""
    before = work.catalogue.last_seen(mailbox.name)
    if before is None:
        return False
    if before.exists and not status.exists:
        work.warn(f"is empty now and held {before.exists} messages; the archive stays", mailbox.name, serious=False)
    if before.uidvalidity != status.uidvalidity:
        work.warn(
            "the server has numbered this mailbox anew (UIDVALIDITY); its messages are compared by content, and no"
            " second copies are made",
            mailbox.name,
            serious=False,
        )
        return True
    return False
