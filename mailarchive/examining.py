"""Gathers the evidence for a deletion: what the catalogue knows, what the server shows, what the disk gives back.

The law of this room: it looks and decides nothing; `expunge.approve` does. The look at the server is the last thing
before the order, so that what changed while copies were read still counts. Silence is never taken for a yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailarchive import expunge, headers
from mailarchive.errors import ExitCode
from mailarchive.expunge import Evidence, Refusal, Refused
from mailarchive.model import Method, in_order

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mailarchive.expunge import ExpungeOrder, Guards, How
    from mailarchive.job import Work
    from mailarchive.model import UID, UIDL, Envelope, Sighting
    from mailarchive.plan import MailboxPlan
    from mailarchive.ports import WritableMailbox
    from mailarchive.proving import Copies

OTHERS = "the server shows other messages under the UIDs of archived ones"
DAMAGED = "an archived copy does not match; the next backup fetches it again, and `mailarchive verify` lists the damage"


class Examiner:
    """Examines candidates of one open mailbox.

    Args:
        work: What the run carries; it hears of copies that are not what they should be.
        part: The plan of the mailbox.
        box: The mailbox, open for deleting.
        how: The method.
        limits: How old a copy must be.

    Attributes:
        trouble: Why nothing more may be deleted in this run, because of what was found on the disk; empty while all is
            well.
    """

    def __init__(self, work: Work, part: MailboxPlan, box: WritableMailbox, how: How, limits: Guards) -> None:
        self._work = work
        self._part = part
        self._box = box
        self._how = how
        self._limits = limits
        self.trouble = ""
        self._envelopes: dict[bytes, Envelope] = {}

    def decide(self, copies: Copies) -> tuple[ExpungeOrder | None, Sequence[Refused]]:
        """Examine a batch whose copies were read (D2, D3); gives the order, and each one that is not in it."""
        self._hear(copies)
        self._envelopes.clear()
        box, policy = self._box, self._work.policy
        marked = box.marked()
        fingerprints = self._fingerprints(marked) if self._how.method is Method.EXCLUSIVE else {}
        chosen = box.matching(copies.uids, policy.imap_search) if policy.imap_search else copies.uids

        def judged() -> tuple[ExpungeOrder | None, tuple[Refused, ...]]:
            return expunge.approve(
                self._part.mailbox,
                box.status,
                self._evidence(copies, seen, twice, chosen),
                policy,
                self._limits,
                how=self._how,
                marked=marked,
                fingerprints=fingerprints,
            )

        seen, twice = look(box, copies.uids)
        order, refused = judged()
        if others := [each.uid for each in refused if each.reason is Refusal.OTHER_MESSAGE]:
            # Dovecot shows a message that another hand removes in this moment without its header.
            again, more = look(box, others)
            seen = {uid: sighting for uid, sighting in seen.items() if uid not in others} | again
            twice |= more
            order, refused = judged()
        self._alarm(refused)
        if damaged := [uid for uid in copies.damaged if uid in seen]:
            # They are still there, so the next backup fetches them again.
            self._work.catalogue.forget(self._part.mailbox.name, self._part.status.uidvalidity, damaged)
        decided = list({each.uid: each for each in refused}.values())
        if order is not None and self.trouble:
            # An archive with damage is no ground to delete anything on.
            decided += [Refused(uid, Refusal.GUARD, self.trouble) for uid in order.uids]
            return None, decided
        return order, decided

    def _fingerprints(self, marked: Collection[UID | UIDL]) -> dict[UID | UIDL, str]:
        """Say what the marked messages are."""
        found: dict[UID | UIDL, str] = {}
        for sighting in self._box.probe(in_order(marked)):
            ident = self._envelope(sighting.head).ident
            found[sighting.message.uid] = expunge.fingerprint(sighting.message, ident)
        return found

    def _evidence(
        self,
        copies: Copies,
        seen: Mapping[UID | UIDL, Sighting],
        twice: Collection[UID | UIDL],
        chosen: Collection[UID | UIDL],
    ) -> list[Evidence]:
        """Put together what is known; one that was seen in two ways stands there twice."""
        found = []
        picked = set(chosen)
        rows, proofs = copies.rows, copies.proofs
        for uid in copies.uids:
            sighting = seen.get(uid)
            if sighting is None:
                one = Evidence(uid, rows.get(uid), proofs.get(uid), None, None)
            else:
                excluded, labelled = self._by_labels(sighting)
                one = Evidence(
                    uid,
                    rows.get(uid),
                    proofs.get(uid),
                    sighting.message,
                    self._envelope(sighting.head),
                    excluded,
                    chosen=labelled and uid in picked,
                )
            found += [one, one] if uid in twice else [one]
        return found

    def _envelope(self, head: bytes) -> Envelope:
        """Read header fields, once for all looks at a batch that have shown the same octets."""
        found = self._envelopes.get(head)
        if found is None:
            found = self._envelopes[head] = headers.envelope(head)
        return found

    def _by_labels(self, sighting: Sighting) -> tuple[str, bool]:
        """Say which excluded mailbox shows a message, and whether its labels choose it; unknown labels keep it."""
        labels = self._work.labels
        if labels is None or self._part.mailbox != labels.everything:
            return "", True
        if sighting.message.labels is None:
            return "its labels are unknown", True
        return labels.excluded(sighting.message), labels.selects(sighting.message)

    def _hear(self, copies: Copies) -> None:
        """Tell what is wrong with copies; damage stops all deletion of the run."""
        work, name = self._work, self._part.mailbox.name
        for uid in copies.missing:
            work.warn(f"the archived copy of UID {uid} is gone from the archive", name)
        if copies.error is not None:
            work.codes.add(copies.error.exit_code)
            self.trouble = f"an archived copy cannot be read: {copies.error.message}"
            work.warn(self.trouble, name)
        if copies.damaged:
            work.codes.add(ExitCode.ARCHIVE)
            self.trouble = DAMAGED
            work.warn(DAMAGED, name)

    def _alarm(self, refused: Sequence[Refused]) -> None:
        """Stop the mailbox if its UIDs do not mean what they did, in this batch and in those that come."""
        name = self._part.mailbox.name
        if others := [each.uid for each in refused if each.reason is Refusal.OTHER_MESSAGE]:
            self._work.held[name] = OTHERS
            self._work.warn(f"{OTHERS}; nothing more is deleted here", name)
            # A UIDL that a server has given again: the next backup fetches what has it now.
            given_again = [uid for uid in others if isinstance(uid, str)]
            self._work.catalogue.forget(name, self._part.status.uidvalidity, given_again)


def look(box: WritableMailbox, uids: Sequence[UID | UIDL]) -> tuple[dict[UID | UIDL, Sighting], set[UID | UIDL]]:
    """Probe messages; gives what was seen, and which were seen twice in two ways."""
    seen: dict[UID | UIDL, Sighting] = {}
    twice: set[UID | UIDL] = set()
    wanted = set(uids)
    for sighting in box.probe(uids):
        uid = sighting.message.uid
        if uid in wanted and seen.setdefault(uid, sighting) != sighting:
            twice.add(uid)
    return seen, twice
