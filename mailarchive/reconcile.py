r"""Settles what a run intended to delete and nobody knows the end of (`safety.md` section 9).

The law of this room: the server shows how far it came. What is gone was deleted; what is still there loses our mark,
and only the present selection may delete it. An old run's authority is never used again. Strangers' marks that were
lifted are given back before anything else. A run that may not delete only looks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from mailarchive import headers
from mailarchive.errors import ExitCode, MailboxError
from mailarchive.events import Settled
from mailarchive.expunge import fingerprint, same_message, trash_of
from mailarchive.model import DELETED, ItemState, Method, in_order, is_lasting, named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mailarchive.job import Work
    from mailarchive.model import UID, UIDL, Mailbox, Placement, Sighting
    from mailarchive.ports import Manifest, OpenBatch, OpenMailbox, Source, WritableMailbox


PATIENCE: Final = timedelta(days=30)
"""How long a mailbox that the server does not list may come back."""


def settle(
    source: Source,
    work: Work,
    batches: Sequence[OpenBatch],
    mailboxes: Sequence[Mailbox],
    manifest: Manifest,
    *,
    may_delete: bool,
) -> dict[UID | UIDL, ItemState]:
    """Look at every open batch and close it, as far as this run may.

    Returns:
        What became of each message; those of a batch that could not be looked at are left out.
    """
    named = {mailbox.name: mailbox for mailbox in mailboxes}
    states: dict[UID | UIDL, ItemState] = {}
    for batch in batches:
        mailbox = named.get(batch.mailbox)
        if mailbox is None or not mailbox.selectable:
            _missing(work, manifest, batch)
            continue
        try:
            if may_delete:
                with source.select(mailbox) as writable:
                    states |= _writing(writable, work, manifest, batch, mailboxes)
            else:
                with source.open(mailbox) as box:
                    states |= _looking(box, work, manifest, batch)
        except MailboxError as error:
            work.warn(f"what run {batch.run} left open could not be settled: {error.message}", batch.mailbox)
    return states


def _missing(work: Work, manifest: Manifest, batch: OpenBatch) -> None:
    """Wait for a mailbox that the server does not list; after a while it is taken to be gone for good."""
    age = work.run.started - batch.opened_at if batch.opened_at is not None else None
    if age is not None and age > PATIENCE:
        states = _all(batch, ItemState.ABANDONED)
        _close(work, manifest, batch, states, reason="the mailbox is gone", given_back=batch.lifted)
        return
    what = "the server does not list this mailbox now; the next run looks again"
    work.warn(f"what run {batch.run} left open there could not be settled: {what}", batch.mailbox)


def _all(batch: OpenBatch, state: ItemState) -> dict[UID | UIDL, ItemState]:
    return {row.uid: state for row, _ in batch.items}


def _writing(
    box: WritableMailbox, work: Work, manifest: Manifest, batch: OpenBatch, mailboxes: Sequence[Mailbox]
) -> Mapping[UID | UIDL, ItemState]:
    """Settle a batch in a run that may delete: our marks come off, those of strangers go back."""
    if box.status.uidvalidity != batch.uidvalidity:
        reason = "the server has numbered the mailbox anew"
        return _close(work, manifest, batch, _all(batch, ItemState.ABANDONED), reason=reason, given_back=batch.lifted)
    if batch.lifted:
        _give_back(box, work, manifest, batch)
        batch = replace(batch, lifted=frozenset())
    states, marked = _states(box, batch)
    ours = [uid for uid in marked if states[uid] is ItemState.ROLLED_BACK]
    if ours:
        box.mark(in_order(ours), deleted=False)
    trash = trash_of(mailboxes)
    if batch.method is Method.GMAIL and trash is not None:
        ids = {row.object_id: row.uid for row, _ in batch.items if states[row.uid] is ItemState.GONE}
        for object_id in box.in_trash(ids.keys() - {""}, trash):
            states[ids[object_id]] = ItemState.IN_TRASH
        work.stranded += [row for row, _ in batch.items if states[row.uid] is ItemState.IN_TRASH]
    return _close(work, manifest, batch, states)


def _give_back(box: WritableMailbox, work: Work, manifest: Manifest, batch: OpenBatch) -> None:
    """Put the marks of strangers on again, each on the message that had it and on no other."""
    same = []
    for sighting in box.probe(in_order(batch.lifted)):
        message = sighting.message
        if message.uid in batch.lifted:
            found = fingerprint(message, headers.envelope(sighting.head).ident)
            if batch.fingerprints.get(message.uid) == found:
                same.append(message.uid)
            else:
                what = "now shows another message, which is not marked"
                work.warn(
                    f"UID {message.uid}, whose mark of another program was to be given back, {what}", batch.mailbox
                )
    if same:
        box.mark(in_order(same), deleted=True)
    _write_given_back(manifest, batch, batch.lifted)
    manifest.sync()
    work.catalogue.settle(batch.number, {}, batch.lifted)


def _write_given_back(manifest: Manifest, batch: OpenBatch, uids: Iterable[UID | UIDL]) -> None:
    for uid in in_order(uids):
        manifest.write(type="given_back", mailbox=batch.mailbox, uidvalidity=batch.uidvalidity, **named(uid))


def _looking(box: OpenMailbox, work: Work, manifest: Manifest, batch: OpenBatch) -> Mapping[UID | UIDL, ItemState]:
    """Settle what is gone, in a run that may not delete; marks that were left behind stay open, and are told."""
    if box.status.uidvalidity != batch.uidvalidity:
        reason = "the server has numbered the mailbox anew"
        return _close(work, manifest, batch, _all(batch, ItemState.ABANDONED), reason=reason)
    states, marked = _states(box, batch)
    for uid in marked:
        if states[uid] is ItemState.ROLLED_BACK:
            states[uid] = ItemState.INTENT
    if batch.method is Method.GMAIL:
        # Whether it is in the trash still is for a run that may look there and go on.
        states = {uid: ItemState.INTENT if state is ItemState.GONE else state for uid, state in states.items()}
    return _close(work, manifest, batch, states)


def _states(box: OpenMailbox, batch: OpenBatch) -> tuple[dict[UID | UIDL, ItemState], set[UID | UIDL]]:
    """Say of each message what became of it, and which of those that are there carry a mark of ours."""
    rows = {row.uid: (row, was_deleted) for row, was_deleted in batch.items}
    gone = ItemState.IN_TRASH if batch.method is Method.TRASH else ItemState.GONE
    # A name that meant something in one session only says nothing about what is there now.
    states = {uid: gone if is_lasting(uid) else ItemState.ABANDONED for uid in rows}
    marked: set[UID | UIDL] = set()
    if not rows:
        return states, marked
    for sighting in _seen(box, {uid: row for uid, (row, _) in rows.items()}):
        message = sighting.message
        row, was_deleted = rows[message.uid]
        if not same_message(row, message, headers.envelope(sighting.head)):
            states[message.uid] = ItemState.ABANDONED
            continue
        states[message.uid] = ItemState.ROLLED_BACK
        if DELETED in (message.flags or ()) and not was_deleted:
            marked.add(message.uid)
    absent = [uid for uid, state in states.items() if state.deleted]
    # Silence is no absence: what did not show itself is asked for in another way, and if it is there, it stays open.
    for uid in box.present(absent) if absent else ():
        states[uid] = ItemState.INTENT
    if batch.method is Method.MARK:
        # The mark was all that this method is for, and it may have been somebody's answer to it that removed it.
        states = {
            uid: ItemState.MARKED if uid in marked and state is ItemState.ROLLED_BACK else state
            for uid, state in states.items()
        }
        marked = set()
    return states, marked


def _seen(box: OpenMailbox, rows: Mapping[UID | UIDL, Placement]) -> Iterator[Sighting]:
    """Look at messages, and once more at those that do not seem to be what they were (see `examining`)."""
    doubtful = []
    for sighting in box.probe(in_order(rows)):
        uid = sighting.message.uid
        if uid in rows and not same_message(rows[uid], sighting.message, headers.envelope(sighting.head)):
            doubtful.append(uid)
        elif uid in rows:
            yield sighting
    if doubtful:
        yield from (sighting for sighting in box.probe(doubtful) if sighting.message.uid in doubtful)


def _close(
    work: Work,
    manifest: Manifest,
    batch: OpenBatch,
    states: Mapping[UID | UIDL, ItemState],
    *,
    reason: str = "",
    given_back: frozenset[UID | UIDL] = frozenset(),
) -> Mapping[UID | UIDL, ItemState]:
    """Record what came of a batch, and tell it; gives the states again."""
    of = batch.run if batch.run != work.run.id else None
    for row, _ in batch.items:
        state = states[row.uid]
        if state is not ItemState.INTENT:
            manifest.write(
                type="expunged" if state.deleted else "kept",
                of=of,
                mailbox=batch.mailbox,
                uidvalidity=batch.uidvalidity,
                **named(row.uid),
                digest=row.digest,
                method=batch.method.value,
                state=None if state.deleted else state.value,
            )
    _write_given_back(manifest, batch, given_back)
    manifest.sync()
    work.catalogue.settle(batch.number, states, given_back)
    counts = [list(states.values()).count(state) for state in ItemState]
    number = dict(zip(ItemState, counts, strict=True))
    told = Settled(
        run=batch.run,
        mailbox=batch.mailbox,
        gone=number[ItemState.GONE] + number[ItemState.IN_TRASH],
        back=number[ItemState.ROLLED_BACK] + number[ItemState.MARKED],
        open=number[ItemState.INTENT],
        abandoned=number[ItemState.ABANDONED],
    )
    work.report(told)
    if told.open or told.abandoned:
        work.codes.add(ExitCode.PARTIAL)
    if waiting := batch.lifted - given_back:
        what = "marks of other programs are to be given back; `mailarchive prune` does that"
        work.warn(f"{len(waiting)} {what}", batch.mailbox)
    if reason:
        work.warn(f"{reason}, so what run {batch.run} left open there cannot be settled", batch.mailbox)
    return states
