"""Gathers the evidence for a deletion: what the catalogue knows, what the server shows, what the disk gives back.

The law of this room: it looks, twice at the server and once at the disk, and decides nothing; `expunge.approve` does.
The second look is the last thing before the order, so that what changed while copies were read still counts. Silence
is never taken for a yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailarchive import expunge, headers
from mailarchive.errors import ArchiveError, ExitCode, MissingError
from mailarchive.expunge import Evidence, Refusal, Refused
from mailarchive.model import Method, in_order
from mailarchive.verify import read_back

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mailarchive.expunge import ExpungeOrder, Guards, How
    from mailarchive.job import Work
    from mailarchive.model import UID, UIDL, Digest, Envelope, Placement, Sighting
    from mailarchive.plan import MailboxPlan
    from mailarchive.ports import WritableMailbox

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

    def decide(self, uids: Sequence[UID | UIDL]) -> tuple[ExpungeOrder | None, Sequence[Refused]]:
        """Examine some candidates (D2, D3); gives the order, and each one that is not in it."""
        part, work = self._part, self._work
        self._envelopes.clear()
        rows = work.catalogue.rows(part.mailbox.name, part.status.uidvalidity, uids)
        # Only what nothing else speaks against is read back.
        _, _, refused = self._looked(uids, rows)
        self._alarm(refused)
        unproved = {each.uid for each in refused if each.reason is Refusal.NOT_READ_BACK}
        decided = list({each.uid: each for each in refused if each.uid not in unproved}.values())
        if not unproved:
            return None, decided
        proofs = self._read_back({uid: rows[uid] for uid in in_order(unproved)})
        order, refused = self._last_word(in_order(unproved), rows, proofs)
        self._alarm(refused)
        decided += list({each.uid: each for each in refused}.values())
        if damaged := [each.uid for each in refused if each.reason is Refusal.DAMAGED]:
            self._damage(damaged)
        if order is not None and self.trouble:
            # An archive with damage is no ground to delete anything on.
            decided += [Refused(uid, Refusal.GUARD, self.trouble) for uid in order.uids]
            return None, decided
        return order, decided

    def _looked(
        self, uids: Sequence[UID | UIDL], rows: Mapping[UID | UIDL, Placement]
    ) -> tuple[dict[UID | UIDL, Sighting], set[UID | UIDL], tuple[Refused, ...]]:
        """Look at messages, and once more at those that do not seem to be what they were; gives the objections too.

        Dovecot shows a message that another hand removes in this moment without its header.
        """
        seen, twice = look(self._box, uids)
        refused = self._objections(uids, rows, seen, twice)
        if others := [each.uid for each in refused if each.reason is Refusal.OTHER_MESSAGE]:
            again, more = look(self._box, others)
            seen = {uid: sighting for uid, sighting in seen.items() if uid not in others} | again
            twice |= more
            refused = self._objections(uids, rows, seen, twice)
        return seen, twice, refused

    def _last_word(
        self,
        uids: Sequence[UID | UIDL],
        rows: Mapping[UID | UIDL, Placement],
        proofs: Mapping[UID | UIDL, Digest],
    ) -> tuple[ExpungeOrder | None, tuple[Refused, ...]]:
        """Look once more, now that the copies are read, and decide."""
        box, policy = self._box, self._work.policy
        seen, twice, _ = self._looked(uids, rows)
        marked = box.marked()
        fingerprints: dict[UID | UIDL, str] = {}
        if self._how.method is Method.EXCLUSIVE:
            for sighting in box.probe(in_order(marked)):
                ident = self._envelope(sighting.head).ident
                fingerprints[sighting.message.uid] = expunge.fingerprint(sighting.message, ident)
        chosen = box.matching(uids, policy.imap_search) if policy.imap_search else uids
        return expunge.approve(
            self._part.mailbox,
            box.status,
            self._evidence(uids, rows, seen, twice, proofs=proofs, chosen=chosen),
            policy,
            self._limits,
            how=self._how,
            marked=marked,
            fingerprints=fingerprints,
        )

    def _objections(
        self,
        uids: Sequence[UID | UIDL],
        rows: Mapping[UID | UIDL, Placement],
        seen: Mapping[UID | UIDL, Sighting],
        twice: Collection[UID | UIDL],
    ) -> tuple[Refused, ...]:
        """Ask what speaks against each before any copy is read: nothing can be ordered yet."""
        evidence = self._evidence(uids, rows, seen, twice, proofs={}, chosen=uids)
        _, refused = expunge.approve(
            self._part.mailbox, self._box.status, evidence, self._work.policy, self._limits, how=self._how
        )
        return refused

    def _evidence(
        self,
        uids: Sequence[UID | UIDL],
        rows: Mapping[UID | UIDL, Placement],
        seen: Mapping[UID | UIDL, Sighting],
        twice: Collection[UID | UIDL],
        *,
        proofs: Mapping[UID | UIDL, Digest],
        chosen: Collection[UID | UIDL],
    ) -> list[Evidence]:
        """Put together what is known; one that was seen in two ways stands there twice."""
        found = []
        picked = set(chosen)
        for uid in uids:
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

    def _read_back(self, rows: Mapping[UID | UIDL, Placement]) -> dict[UID | UIDL, Digest]:
        """Read the archived copies from the device and hash them; what is not there, or cannot be read, has none."""
        name = self._part.mailbox.name
        proofs: dict[UID | UIDL, Digest] = {}
        for uid, row in rows.items():
            try:
                proofs[uid] = read_back(self._work.archive, row.location)[0]
            except MissingError:
                self._work.warn(f"the archived copy of UID {uid} is gone from the archive", name)
            except ArchiveError as error:
                self._work.codes.add(error.exit_code)
                self.trouble = f"an archived copy cannot be read: {error.message}"
                self._work.warn(self.trouble, name)
        return {} if self.trouble else proofs

    def _alarm(self, refused: Sequence[Refused]) -> None:
        """Stop the mailbox if its UIDs do not mean what they did, in this batch and in those that come."""
        name = self._part.mailbox.name
        if others := [each.uid for each in refused if each.reason is Refusal.OTHER_MESSAGE]:
            self._work.held[name] = OTHERS
            self._work.warn(f"{OTHERS}; nothing more is deleted here", name)
            # A UIDL that a server has given again: the next backup fetches what has it now.
            given_again = [uid for uid in others if isinstance(uid, str)]
            self._work.catalogue.forget(name, self._part.status.uidvalidity, given_again)

    def _damage(self, uids: Sequence[UID | UIDL]) -> None:
        """Stop all deletion of the run, and have the next backup fetch again what is damaged."""
        work, part = self._work, self._part
        work.codes.add(ExitCode.ARCHIVE)
        work.catalogue.forget(part.mailbox.name, part.status.uidvalidity, uids)
        self.trouble = DAMAGED
        work.warn(DAMAGED, part.mailbox.name)


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
