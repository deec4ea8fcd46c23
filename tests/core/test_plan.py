"""What a run will do (`mailarchive.plan`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.events import Tally
from mailarchive.model import UID, Mailbox, MailboxStatus, Quota, RemoteMessage
from mailarchive.plan import Listed, make, nearest
from mailarchive.policy import Policy

if TYPE_CHECKING:
    from mailarchive.plan import Plan

START = datetime(2020, 1, 1, tzinfo=UTC)


def message(uid: int, day: int | None, size: int | None = 100) -> RemoteMessage:
    """Make a message of a day."""
    return RemoteMessage(UID(uid), size, START + timedelta(days=day) if day is not None else None, frozenset())


def listed(name: str, fetch: list[RemoteMessage], already: list[RemoteMessage] | None = None) -> Listed:
    """Make the listing of a mailbox."""
    return Listed(Mailbox(name), MailboxStatus(50, 1), tuple(fetch), tuple(already or []))


def uids(plan: Plan) -> dict[str, tuple[list[int], list[int]]]:
    """Show a plan as UIDs to fetch and UIDs there already."""
    return {
        part.mailbox.name: ([int(m.uid) for m in part.fetch], [int(m.uid) for m in part.already])
        for part in plan.mailboxes
    }


A = listed("A", [message(1, 5), message(2, 1), message(3, None)], [message(9, 0)])
B = listed("B", [message(1, 2), message(2, 4)])


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(), {"A": ([1, 2, 3], [9]), "B": ([1, 2], [])}),
        (Policy(limit=1), {"A": ([2], [9]), "B": ([], [])}),
        (Policy(limit=3), {"A": ([2], [9]), "B": ([1, 2], [])}),
        (Policy(limit=99), {"A": ([1, 2, 3], [9]), "B": ([1, 2], [])}),
        (Policy(free=1), {"A": ([], [9]), "B": ([], [])}),
        (Policy(free=250), {"A": ([2], [9]), "B": ([1], [])}),
        (Policy(free=250, limit=1), {"A": ([2], [9]), "B": ([], [])}),
        (Policy(free=10_000), {"A": ([1, 2, 3], [9]), "B": ([1, 2], [])}),
    ],
)
def test_limits_take_the_oldest_of_all_mailboxes(
    policy: Policy, expected: dict[str, tuple[list[int], list[int]]]
) -> None:
    """--limit counts what is to be fetched; --free counts what is archived too; an unknown date comes last."""
    assert uids(make([A, B], policy)) == expected


@pytest.mark.parametrize(
    ("used", "percent", "chosen"),
    [(900, 100, 0), (900, 90, 1), (900, 80, 2), (900, 50, 5), (900, 91, 0), (100, 50, 0)],
)
def test_keep_under_takes_just_enough(used: int, percent: float, chosen: int) -> None:
    """The use would fall under the percentage, and not one message more is chosen."""
    plan = make([A, B], Policy(keep_under=percent), Quota(used, 1000))
    assert sum(len(part.fetch) + len(part.already) for part in plan.mailboxes) == chosen


def test_the_event_and_the_tally_tell_the_same() -> None:
    """Counts and octets of the plan, as the screen shows them."""
    plan = make([A], Policy())
    (shown,) = plan.event().mailboxes
    assert (shown.mailbox, shown.on_server, shown.selected, shown.already, shown.fetch, shown.size) == (
        "A",
        50,
        4,
        1,
        3,
        300,
    )
    assert plan.mailboxes[0].tally == Tally(on_server=50, selected=4, already=1)


def test_the_nearest_name_is_a_guess_worth_making() -> None:
    """A slip of the finger finds its name; something else finds nothing."""
    assert nearest("Foo", ["Food", "INBOX"]) == "Food"
    assert nearest("inbx", ["Food", "INBOX"]) == "INBOX"
    assert nearest("zzz", ["Food", "INBOX"]) == ""
