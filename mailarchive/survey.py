"""What is on the server, what of it is chosen, and what of that is archived: the plan of a run.

The law of this room: it only asks and compares. Each message is judged by the policy whatever the server narrowed, and
what has changed in a way that a human should know is told.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mailarchive import headers, plan
from mailarchive.errors import MailboxError, UsageError
from mailarchive.events import Listing
from mailarchive.model import INBOX
from mailarchive.policy import HeaderTests
from mailarchive.ports import HasQuota

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailarchive.job import Work
    from mailarchive.model import UID, UIDL, Known, Mailbox, MailboxStatus, Quota, RemoteMessage
    from mailarchive.plan import Plan
    from mailarchive.ports import OpenMailbox, Source


def quota_of(source: Source, work: Work) -> Quota | None:
    """Ask for the quota; None if the server does not tell it.

    Raises:
        UsageError: The selection needs one.
    """
    quota = source.quota() if isinstance(source, HasQuota) else None
    if quota is None and work.policy.keep_under is not None:
        raise UsageError("this server does not tell its quota, so --keep-under cannot be", hint="use --free SIZE")
    return quota


def survey(source: Source, work: Work, quota: Quota | None) -> Plan:
    """List the chosen mailboxes and make the plan.

    Raises:
        UsageError: The selection names a mailbox that is not there, or asks for what this server cannot do.
        AccountError, ArchiveError: The line or the archive gave way.
    """
    if work.policy.imap_search and not source.capabilities.search:
        raise UsageError("this server cannot search, so --imap-search cannot be")
    mailboxes, unread = source.mailboxes()
    for sentence in unread:
        work.warn(sentence)
    before = work.catalogue.mailboxes()
    if not mailboxes and before:
        work.warn(f"the server lists no mailboxes, and there were {len(before)}; nothing was done")
        return plan.make([], work.policy)
    _compare_names(work, mailboxes)
    # Servers list in any order; people look for INBOX first and for the others by name.
    chosen = sorted(filter(work.policy.chooses, mailboxes), key=lambda box: (box.name != INBOX, box.name.casefold()))
    listings = []
    for number, mailbox in enumerate(chosen):
        if work.stop() is not None:
            break
        work.report(Listing(mailbox.name, number, len(chosen)))
        try:
            with source.open(mailbox) as box:
                listings.append(_list(box, mailbox, work))
        except MailboxError as error:
            work.warn(error.message, mailbox.name)
    return plan.make(listings, work.policy, quota)


def _compare_names(work: Work, mailboxes: list[Mailbox]) -> None:
    """Refuse a mailbox that the user typed and the server does not have; one from the configuration is a warning."""
    names = [mailbox.name for mailbox in mailboxes]
    for pattern in work.policy.missing(names):
        close = plan.nearest(pattern, names)
        hint = f"did you mean {close!r}?" if close else ""
        if work.policy.demand_mailboxes:
            raise UsageError(f"no mailbox {pattern!r} on the server", hint=hint)
        work.warn(f"no mailbox {pattern!r} on the server; {hint or 'it is left out'}")


def _list(box: OpenMailbox, mailbox: Mailbox, work: Work) -> plan.Listed:
    """List one mailbox, judge each message, and part what is archived from what is not."""
    messages = _chosen(box, mailbox, work)
    for sentence in box.doubts:
        work.warn(sentence, mailbox.name)
    _compare(mailbox, box.status, work)
    known = _known(mailbox, box.status, work)
    already, fetch, lost = [], [], 0
    for message in messages:
        row = known.get(message.uid)
        if row is None or not row.is_same(message):
            fetch.append(message)
        elif work.archive.holds(row.location):
            already.append(message)
        else:
            lost += 1
            fetch.append(message)
    if lost:
        what = "are no longer whole in the archive and are fetched again"
        work.warn(f"{lost} archived messages {what}", mailbox.name, serious=False)
    return plan.Listed(mailbox, box.status, tuple(fetch), tuple(already))


def _known(mailbox: Mailbox, status: MailboxStatus, work: Work) -> Mapping[UID | UIDL, Known]:
    """Say what is archived of a mailbox; nothing is known where a UID means nothing in the next session."""
    if status.uidvalidity is not None and status.uids_stick:
        return work.catalogue.placements(mailbox.name, status.uidvalidity)
    why = "keeps no UIDs" if status.uidvalidity is not None else "gives no UIDVALIDITY"
    work.warn(
        f"the server {why} here: everything is fetched each time, and compared by content", mailbox.name, serious=False
    )
    return {}


def _chosen(box: OpenMailbox, mailbox: Mailbox, work: Work) -> list[RemoteMessage]:
    policy = work.policy
    messages = box.listing(policy.criteria())
    if not policy.needs_headers:
        return [message for message in messages if policy.selects(message)]
    # Headers cost a transfer: ask only for those of messages that everything else speaks for.
    loose = replace(policy, headers=HeaderTests())
    candidates = [message for message in messages if loose.selects(message)]
    envelopes = {uid: headers.envelope(head) for uid, head in box.headers(candidates)}
    if lacking := len(candidates) - len(envelopes):
        work.warn(f"the headers of {lacking} messages did not come; the next run looks at them again", mailbox.name)
    return [message for message in candidates if policy.selects(message, envelopes.get(message.uid))]


def _compare(mailbox: Mailbox, status: MailboxStatus, work: Work) -> None:
    """Tell what has changed in a way that a human should know."""
    before = work.catalogue.last_seen(mailbox.name)
    if before is None:
        return
    if before.uidvalidity != status.uidvalidity:
        work.warn(
            "the server has numbered this mailbox anew (UIDVALIDITY); its messages are compared by content, and no"
            " second copies are made",
            mailbox.name,
            serious=False,
        )
    if before.exists and not status.exists:
        work.warn(f"is empty now and held {before.exists} messages; the archive stays", mailbox.name, serious=False)
