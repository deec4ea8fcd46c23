"""What a run will do (`mailarchive.plan`)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.model import UID, UIDL, Mailbox, MailboxStatus, Quota, RemoteMessage, transient
from mailarchive.plan import Listed, make, nearest
from mailarchive.policy import Policy
from mailarchive.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailarchive.plan import Plan

START = datetime(2020, 1, 1, tzinfo=UTC)


def message(uid: int, day: int | None, size: int | None = 100) -> RemoteMessage:
    """Make a message of a day."""
    return RemoteMessage(UID(uid), size, START + timedelta(days=day) if day is not None else None, frozenset())


def listed(
    name: str,
    fetch: list[RemoteMessage],
    already: list[RemoteMessage] | None = None,
    stays: Mapping[int, str] | None = None,
    **facts: Any,
) -> Listed:
    """Make the listing of a mailbox."""
    why: dict[UID | UIDL, str] = {UID(uid): text for uid, text in (stays or {}).items()}
    return Listed(Mailbox(name), MailboxStatus(50, 1), tuple(fetch), tuple(already or []), why, **facts)


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


OLDEST = [message(9, 0), message(8, 3)]
STAYING = listed("A", [message(1, 5), message(2, 1)], OLDEST, {9: "flagged", 1: "a draft"})
"""Of four messages the oldest and the youngest stay."""
HELD = listed("H", [message(1, 0)], [message(2, 0)], held="numbered anew")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(limit=1), {"A": ([2], [9]), "B": ([], [])}),
        (Policy(limit=2), {"A": ([2], [9]), "B": ([1], [])}),
        (Policy(limit=3), {"A": ([2], [9, 8]), "B": ([1], [])}),
        (Policy(free=100), {"A": ([2], [9]), "B": ([], [])}),
        (Policy(free=101), {"A": ([2], [9]), "B": ([1], [])}),
        (Policy(free=250, limit=2), {"A": ([2], [9]), "B": ([1], [])}),
        (Policy(free=10_000), {"A": ([1, 2], [9, 8]), "B": ([1, 2], [])}),
    ],
)
def test_in_a_run_that_deletes_what_stays_frees_nothing(
    policy: Policy, expected: dict[str, tuple[list[int], list[int]]]
) -> None:
    """--limit counts what is fetched or deleted; --free what really goes, and what stays on the way is archived too."""
    assert uids(make([STAYING, B], policy, deleting=True)) == expected


def test_a_held_mailbox_frees_nothing_and_is_archived() -> None:
    """Its messages count as work only where they are fetched."""
    assert uids(make([HELD, B], Policy(free=100), deleting=True)) == {"H": ([1], [2]), "B": ([1], [])}
    assert uids(make([HELD, B], Policy(limit=1), deleting=True)) == {"H": ([1], [2]), "B": ([], [])}


@pytest.mark.parametrize(("percent", "gone"), [(95, 0), (90, 1), (80, 2), (70, 3)])
def test_keep_under_counts_what_goes(percent: float, gone: int) -> None:
    """What stays does not bring the use down."""
    plan = make([STAYING, B], Policy(keep_under=percent), Quota(900, 1000), deleting=True)
    assert plan.leaving == gone


def test_the_greater_of_two_targets_counts() -> None:
    """--free 250 asks for three messages, --keep-under 90 for one."""
    plan = make([B, STAYING], Policy(free=250, keep_under=90), Quota(900, 1000), deleting=True)
    assert plan.leaving == 3


def test_an_unknown_size_frees_nothing() -> None:
    """The server did not say how large it is."""
    plan = make([listed("A", [message(1, 0, None), message(2, 1)])], Policy(free=1), deleting=True)
    assert uids(plan) == {"A": ([1, 2], [])}


def test_the_plan_of_a_deletion_says_what_goes_and_why_the_rest_stays() -> None:
    """Each chosen message is deleted or kept, and each that is kept has its reason counted."""
    plan = make([STAYING, HELD, B], Policy(), deleting=True)
    told = plan.deletion("auto", held="the clock", quota=Quota(1, 2), doubted=True)
    assert [(box.mailbox, box.selected, box.delete, box.delete_size, box.keep) for box in told.mailboxes] == [
        ("A", 4, 2, 200, 2),
        ("H", 2, 0, 0, 2),
        ("B", 2, 2, 200, 0),
    ]
    assert dict(told.kept) == {"flagged": 1, "a draft": 1, "numbered anew": 2}
    assert told.kept[0] == ("numbered anew", 2)
    assert (told.delete, told.delete_size, plan.leaving) == (4, 400, 4)
    assert (told.deleting, told.method, told.held, told.quota) == (True, "auto", "the clock", Quota(1, 2))
    held = plan.deletion("auto", held="the amount")
    assert (held.delete, held.delete_size, held.held) == (0, 0, "the amount")
    plain = plan.event()
    assert (plain.deleting, plain.delete, plain.kept) == (False, 0, ())


def test_a_limit_leaves_no_second_fetch_of_what_it_leaves_out() -> None:
    """What is to be confirmed belongs to what the plan holds."""
    part = listed("A", [], OLDEST, unsure=tuple(OLDEST))
    plan = make([part], Policy(limit=1), deleting=True)
    assert [int(m.uid) for m in plan.mailboxes[0].unsure] == [9]


def test_a_plan_is_cut_into_pieces_for_short_sessions() -> None:
    """What has no lasting name comes first and whole, then what is archived, then the rest, at most so many each."""
    passing = tuple(RemoteMessage(transient(str(n)), 100) for n in range(5))
    lasting = tuple(RemoteMessage(UIDL(f"n{n}"), 100) for n in range(5))
    already = tuple(RemoteMessage(UIDL(f"a{n}"), 100) for n in range(3))
    whole = Listed(Mailbox("INBOX"), MailboxStatus(13, 1), (*lasting[:2], *passing, *lasting[2:]), already)
    (part,) = make([replace(whole, unsure=already[2:])], Policy()).mailboxes
    pieces = list(part.pieces(2))
    assert [[m.uid for m in piece.fetch] for piece in pieces] == [
        [m.uid for m in passing],
        *([], []),
        *(["n0", "n1"], ["n2", "n3"], ["n4"]),
    ]
    assert [[m.uid for m in piece.already] for piece in pieces] == [[], ["a0", "a1"], ["a2"], [], [], []]
    assert [len(piece.unsure) for piece in pieces] == [0, 0, 1, 0, 0, 0]
    assert list(part.pieces(None)) == [part]
