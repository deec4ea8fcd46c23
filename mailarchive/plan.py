"""What a run will do, computed before it does anything.

The law of this room: pure; a listing, what the archive holds and a policy go in, a plan comes out. The plan that
`--dry-run` prints is the plan that runs.
"""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from mailarchive.events import Planned, PlannedMailbox
from mailarchive.messages import octets
from mailarchive.model import is_lasting
from mailarchive.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mailarchive.model import UID, UIDL, Mailbox, MailboxStatus, Quota, RemoteMessage
    from mailarchive.policy import Policy

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Listed:
    """The chosen messages of one mailbox, before any limit on the whole run.

    Attributes:
        fetch: Chosen and not archived, in ascending order of UID.
        already: Chosen and archived.
        stays: Why some of both will stay on the server as far as the listing tells; only for a run that may delete.
        unsure: Some of `already` of which other octets came than were announced; a second fetch is to confirm them.
        held: Why nothing of this mailbox may be deleted in this run; empty if nothing speaks against it.
    """

    mailbox: Mailbox
    status: MailboxStatus
    fetch: Sequence[RemoteMessage]
    already: Sequence[RemoteMessage]
    stays: Mapping[UID | UIDL, str] = field(default_factory=dict)
    unsure: Sequence[RemoteMessage] = ()
    held: str = ""

    def keeps(self, message: RemoteMessage) -> bool:
        """Tell whether a message will stay on the server, as far as is known."""
        return bool(self.held) or message.uid in self.stays


@dataclass(frozen=True, slots=True)
class MailboxPlan(Listed):
    """What a run will do in one mailbox."""

    @property
    def size(self) -> int:
        """Octets to fetch, as far as the server announced them."""
        return octets(self.fetch)

    @property
    def leaving(self) -> list[RemoteMessage]:
        """The messages that a deletion would be tried on."""
        return [message for message in chain(self.fetch, self.already) if not self.keeps(message)]

    def pieces(self, most: int | None) -> Iterator[MailboxPlan]:
        """Cut the plan so that each part holds at most so many messages that have a lasting name; None: whole."""
        if most is None:
            yield self
            return
        # What has no lasting name must be fetched and deleted in one session, the first, in which it was listed.
        passing = tuple(message for message in self.fetch if not is_lasting(message.uid))
        lasting = tuple(message for message in self.fetch if is_lasting(message.uid))
        if passing:
            yield replace(self, fetch=passing, already=(), unsure=())
        for first in range(0, len(self.already), most):
            already = self.already[first : first + most]
            unsure = tuple(message for message in self.unsure if message in already)
            yield replace(self, fetch=(), already=already, unsure=unsure)
        for first in range(0, len(lasting), most):
            yield replace(self, fetch=lasting[first : first + most], already=(), unsure=())

    @property
    def tally(self) -> Tally:
        """The row of the result table before anything is fetched."""
        return Tally(
            on_server=self.status.exists,
            selected=len(self.fetch) + len(self.already),
            already=len(self.already),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do, mailbox by mailbox, in the order of the server's list."""

    mailboxes: tuple[MailboxPlan, ...]

    @property
    def leaving(self) -> int:
        """How many messages a deletion would be tried on."""
        return sum(len(part.leaving) for part in self.mailboxes)

    def event(self) -> Planned:
        """Describe the plan to the screen, as that of a run that does not delete."""
        return Planned(
            tuple(
                PlannedMailbox(
                    mailbox=part.mailbox.name,
                    on_server=part.status.exists,
                    selected=len(part.fetch) + len(part.already),
                    already=len(part.already),
                    fetch=len(part.fetch),
                    size=part.size,
                )
                for part in self.mailboxes
            )
        )

    def deletion(self, method: str, *, held: str = "", quota: Quota | None = None, doubted: bool = False) -> Planned:
        """Describe the plan of a run that deletes.

        Args:
            method: How, in the user's word.
            held: Why nothing may be deleted; empty if nothing speaks against it.
            quota: What the server says now.
            doubted: Whether a person may overrule what holds it, so that the numbers still count.
        """
        plain = self.event()
        boxes = []
        kept: Counter[str] = Counter()
        for shown, part in zip(plain.mailboxes, self.mailboxes, strict=True):
            leaving = part.leaving if not held or doubted else []
            size = sum(message.size or 0 for message in leaving)
            boxes.append(replace(shown, delete=len(leaving), delete_size=size, keep=shown.selected - len(leaving)))
            kept.update(part.held or part.stays[m.uid] for m in chain(part.fetch, part.already) if part.keeps(m))
        return Planned(
            tuple(boxes), deleting=True, method=method, kept=tuple(kept.most_common()), quota=quota, held=held
        )


def make(listings: Sequence[Listed], policy: Policy, quota: Quota | None = None, *, deleting: bool = False) -> Plan:
    """Turn listings into the plan.

    `free` and `keep_under` choose among all selected messages, archived or not, because together they are what must
    go to reach the target; what will stay on the server does not count towards it. `limit` bounds the work of this
    run: it counts what is to be fetched, and where the run may delete, what is to be deleted; the next run goes on
    behind it.
    """
    room = _octets_to_choose(policy, quota)
    if room is not None:
        listings = list(_keep_only(listings, _first_octets(listings, room), _is_chosen))
    if policy.limit is not None:
        counts = _is_work if deleting else _is_fetched
        oldest = sorted(_candidates(listings, counts))[: policy.limit]
        listings = list(_keep_only(listings, {key[1:] for key in oldest}, counts))
    return Plan(
        tuple(
            MailboxPlan(each.mailbox, each.status, each.fetch, each.already, each.stays, each.unsure, each.held)
            for each in listings
        )
    )


def _octets_to_choose(policy: Policy, quota: Quota | None) -> int | None:
    """Say how many octets must be chosen, by `free` or `keep_under`, whichever is more; None for all."""
    targets = []
    if policy.free is not None:
        targets.append(policy.free)
    if policy.keep_under is not None and quota is not None:
        # The use must come to lie under the percentage, hence the one octet more.
        targets.append(max(0, quota.used - int(quota.limit * policy.keep_under / 100) + 1))
        if quota.percent < policy.keep_under:
            targets[-1] = 0
    return max(targets) if targets else None


Counts: TypeAlias = "Callable[[Listed, int, RemoteMessage], bool]"
"""Whether a limit counts a message, by its index in `fetch` followed by `already`."""


def _is_chosen(_part: Listed, _index: int, _message: RemoteMessage) -> bool:
    return True


def _is_fetched(part: Listed, index: int, _message: RemoteMessage) -> bool:
    return index < len(part.fetch)


def _is_work(part: Listed, index: int, message: RemoteMessage) -> bool:
    return index < len(part.fetch) or not part.keeps(message)


def _candidates(listings: Sequence[Listed], counts: Counts) -> Iterator[tuple[datetime, int, int]]:
    """Give date, index of the mailbox, and index of the message in `fetch` followed by `already`."""
    for number, part in enumerate(listings):
        for index, message in enumerate(chain(part.fetch, part.already)):
            if counts(part, index, message):
                yield message.internal_date or _NEVER, number, index


def _first_octets(listings: Sequence[Listed], room: int) -> set[tuple[int, int]]:
    """Take the oldest messages until their octets reach `room`."""
    taken: set[tuple[int, int]] = set()
    for _, number, index in sorted(_candidates(listings, _is_chosen)):
        if room <= 0:
            break
        part = listings[number]
        message = part.fetch[index] if index < len(part.fetch) else part.already[index - len(part.fetch)]
        taken.add((number, index))
        if not part.keeps(message):
            room -= message.size or 0
    return taken


def _keep_only(listings: Iterable[Listed], taken: set[tuple[int, int]], counts: Counts) -> Iterator[Listed]:
    """Leave out what counts and was not taken."""
    for number, part in enumerate(listings):
        left = {
            index
            for index, message in enumerate(chain(part.fetch, part.already))
            if (number, index) in taken or not counts(part, index, message)
        }
        fetch = tuple(m for index, m in enumerate(part.fetch) if index in left)
        already = tuple(m for index, m in enumerate(part.already, len(part.fetch)) if index in left)
        there = {message.uid for message in already}
        unsure = tuple(message for message in part.unsure if message.uid in there)
        yield Listed(part.mailbox, part.status, fetch, already, part.stays, unsure, part.held)


def nearest(name: str, names: Sequence[str]) -> str:
    """Give the name that the user most likely meant; empty if none is close."""
    folded = {each.casefold(): each for each in names}
    close = difflib.get_close_matches(name.casefold(), list(folded), n=1)
    return folded[close[0]] if close else ""
