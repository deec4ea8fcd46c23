"""Ten years of mail for the demo server: the same for the same moment, nearly filling its quota.

The law of this room: everything follows from the seed and from `now`, no clock is read; most of the mail is older
than a year, every mailbox is in the order of time, and building it all takes a fraction of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Final

from mailarchive.demo import sample_letters as letters
from mailarchive.demo.sample_odd import odd_messages
from mailarchive.demo.store import Store
from mailarchive.model import ANSWERED, DRAFT, FLAGGED, FORWARDED, INBOX, SEEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.demo.store import Account

    Maker = Callable[[letters.Writer, datetime], bytes]

USER: Final = "demo"
SEED: Final = 20_160_229
YEARS: Final = 10
FULL: Final = 0.92
"""How much of the quota is used."""

DRAFTS: Final = "\\Drafts"
LABEL: Final = "$label1"
COPIED: Final = "Work/Projects"
"""Where some of the mail of INBOX is found a second time, the same bytes."""

_QUOTA_STEP = 100 * 1024
_SUMMER: Final = datetime(2019, 6, 24, tzinfo=UTC), datetime(2019, 9, 8, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plan:
    """One mailbox of the sample.

    Attributes:
        makers: Who writes the messages, each as often as it is named.
        oldest: Age in days of the oldest message. `newest`: of the newest.
        unseen: Share of messages nobody has read. `marked`: whether some are flagged, answered or labelled.
        fixed: The first and the last moment instead of the ages, where the last lies more than two years back.
    """

    name: str
    count: int
    makers: tuple[Maker, ...]
    special_use: tuple[str, ...] = ()
    oldest: float = 365.25 * YEARS
    newest: float = 0.1
    unseen: float = 0.04
    marked: bool = True
    fixed: tuple[datetime, datetime] | None = None


PLANS: Final = (
    Plan(
        INBOX,
        330,
        (letters.friendly, letters.friendly, letters.notice, letters.notice, letters.work, letters.with_photo),
    ),
    Plan("Drafts", 7, (letters.draft,), (DRAFTS,), oldest=900, unseen=0, marked=False),
    Plan("Family & Friends", 95, (letters.friendly, letters.friendly, letters.friendly, letters.with_photo)),
    Plan("Junk", 45, (letters.spam,), ("\\Junk",), oldest=120, unseen=0.8, marked=False),
    Plan("Lists/debian", 260, (letters.list_post,), unseen=0.25, marked=False),
    Plan("Sent", 130, (letters.sent, letters.sent, letters.sent_file), ("\\Sent",), unseen=0, marked=False),
    Plan("Trash", 28, (letters.notice, letters.friendly), ("\\Trash",), oldest=400, unseen=0.2, marked=False),
    Plan("Work", 60, (letters.work,)),
    Plan("Work/Projects", 90, (letters.work, letters.work, letters.with_document)),
    Plan("Été 2019", 40, (letters.french, letters.french_photo), oldest=2500, newest=2440, fixed=_SUMMER),
    Plan("日本", 36, (letters.japanese, letters.japanese, letters.japanese_photo), oldest=3000, newest=420),
)


def build_store(now: datetime, *, user: str = USER, password: str = USER) -> Store:
    """Build a store with one account that holds the sample.

    Args:
        now: The present moment, aware: the mail is that of the ten years before it.
        user: The name to sign in with.
        password: Its password.
    """
    store = Store()
    account = store.add_account(user, password)
    random = Random(SEED)
    now = now.astimezone(UTC).replace(microsecond=0)
    writer = letters.Writer(random)
    for plan in PLANS:
        _fill(account, plan, writer, now)
    account.limit = round(account.used / FULL / _QUOTA_STEP) * _QUOTA_STEP
    for mailbox in account.mailboxes():
        mailbox.recent_from = mailbox.uidnext
    return store


def _fill(account: Account, plan: Plan, writer: letters.Writer, now: datetime) -> None:
    mailbox = account.find(plan.name) or account.create(plan.name, plan.special_use)
    if plan.special_use:
        mailbox.special_use = frozenset(plan.special_use)
    random = writer.random
    oldest, newest = timedelta(days=plan.oldest), timedelta(days=plan.newest)
    if plan.fixed and now - plan.fixed[1] > timedelta(days=730):
        oldest, newest = (now - moment for moment in plan.fixed)
    arrivals: list[tuple[datetime, Maker | bytes]] = []
    for place in range(plan.count):
        # A little more mail in later years, as everywhere.
        age = newest + (oldest - newest) * random.random() ** 1.1
        arrivals.append(((now - age).replace(microsecond=0), plan.makers[place % len(plan.makers)]))
    if plan.name == INBOX:
        arrivals += [(odd.internal_date, odd.raw) for odd in odd_messages(now)]
    if plan.name == COPIED:
        arrivals += [(each.internal_date, each.raw) for each in account.mailbox(INBOX).messages()[10:260:25]]
    arrivals.sort(key=lambda arrival: arrival[0])
    for moment, what in arrivals:
        if isinstance(what, bytes):
            mailbox.append(what, moment, _flags(plan, random))
        else:
            mailbox.append(what(writer, moment), _on_server(moment, random), _flags(plan, random))


def _on_server(moment: datetime, random: Random) -> datetime:
    """Give the moment of arrival, a little after sending, on a clock with summer time as in the middle of Europe."""
    return (moment + timedelta(seconds=random.randrange(2, 50))).astimezone(letters.zone(moment))


def _flags(plan: Plan, random: Random) -> set[str]:
    flags = {SEEN} if random.random() >= plan.unseen else set()
    if DRAFTS in plan.special_use:
        flags.add(DRAFT)
    if plan.marked:
        for flag, share in ((ANSWERED, 0.12), (FLAGGED, 0.025), (FORWARDED, 0.03), (LABEL, 0.04)):
            if random.random() < share:
                flags.add(flag)
    return flags
