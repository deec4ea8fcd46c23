"""What a run will do, computed before it does anything.

The law of this room: pure; a listing, what the archive holds and a policy go in, a plan comes out. The plan that
`--dry-run` prints is the plan that runs.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mailarchive.events import Planned, PlannedMailbox, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mailarchive.model import Mailbox, MailboxStatus, Quota, RemoteMessage
    from mailarchive.policy import Policy

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Listed:
    """The chosen messages of one mailbox, before any limit on the whole run.

    Attributes:
        fetch: Chosen and not archived, in ascending order of UID.
        already: Chosen and archived.
    """

    mailbox: Mailbox
    status: MailboxStatus
    fetch: tuple[RemoteMessage, ...]
    already: tuple[RemoteMessage, ...]


@dataclass(frozen=True, slots=True)
class MailboxPlan(Listed):
    """What a run will do in one mailbox."""

    @property
    def size(self) -> int:
        """Octets to fetch, as far as the server announced them."""
        return sum(message.size or 0 for message in self.fetch)

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

    def event(self) -> Planned:
        """Describe the plan to the screen."""
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


def make(listings: Sequence[Listed], policy: Policy, quota: Quota | None = None) -> Plan:
    """Turn listings into the plan.

    `free` and `keep_under` choose among all selected messages, archived or not, because together they are what must
    go to reach the target. `limit` bounds the work of this run, so it counts only what is to be fetched: the next run
    goes on behind it.
    """
    room = _octets_to_choose(policy, quota)
    if room is not None:
        listings = list(_keep_only(listings, _first_octets(listings, room)))
    if policy.limit is not None:
        oldest = sorted(_candidates(listings, fetch_only=True))[: policy.limit]
        listings = list(_keep_only(listings, {key[1:] for key in oldest}, fetch_only=True))
    return Plan(tuple(MailboxPlan(part.mailbox, part.status, part.fetch, part.already) for part in listings))


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


def _candidates(listings: Sequence[Listed], *, fetch_only: bool = False) -> Iterator[tuple[datetime, int, int]]:
    """Give date, index of the mailbox, and index of the message in `fetch` followed by `already`."""
    for number, part in enumerate(listings):
        chosen = part.fetch if fetch_only else (*part.fetch, *part.already)
        for index, message in enumerate(chosen):
            yield message.internal_date or _NEVER, number, index


def _first_octets(listings: Sequence[Listed], room: int) -> set[tuple[int, int]]:
    """Take the oldest messages until their octets reach `room`."""
    taken: set[tuple[int, int]] = set()
    for _, number, index in sorted(_candidates(listings)):
        if room <= 0:
            break
        part = listings[number]
        message = part.fetch[index] if index < len(part.fetch) else part.already[index - len(part.fetch)]
        taken.add((number, index))
        room -= message.size or 0
    return taken


def _keep_only(
    listings: Iterable[Listed], taken: set[tuple[int, int]], *, fetch_only: bool = False
) -> Iterator[Listed]:
    for number, part in enumerate(listings):
        fetch = tuple(m for index, m in enumerate(part.fetch) if (number, index) in taken)
        behind = len(part.fetch)
        already = part.already
        if not fetch_only:
            already = tuple(m for index, m in enumerate(already, behind) if (number, index) in taken)
        yield Listed(part.mailbox, part.status, fetch, already)


def nearest(name: str, names: Sequence[str]) -> str:
    """Give the name that the user most likely meant; empty if none is close."""
    folded = {each.casefold(): each for each in names}
    close = difflib.get_close_matches(name.casefold(), list(folded), n=1)
    return folded[close[0]] if close else ""
