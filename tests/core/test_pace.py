"""When deflate is put on a line: the rule, and whom it never concerns."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from mailarchive.sources.pace import ENOUGH, FIRST_FLIGHT, NEAR, PLENTY, SLOW, Stretch, is_here, pays, tells

MB = 1_000_000


def came(rate: float, round_trip: float, octets: int, *, pause: float = 1.0) -> Stretch:
    """Give the stretch that a line of this rate (octets a second) brings, TCP still getting up to speed."""
    flights = 1.0 + math.log2(1 + octets / FIRST_FLIGHT)
    return Stretch(octets, pause * flights * round_trip + octets / rate)


LINES = [
    # octets a second, seconds of a round trip, octets that came, does it pay
    (100_000, 0.050, 1 * MB, True),
    (1 * MB, 0.050, 1 * MB, True),
    (1 * MB, 0.050, 16 * MB, True),
    (1 * MB, 0.300, 16 * MB, True),
    (3 * MB, 0.020, 16 * MB, True),
    (1 * MB, 0.050, ENOUGH, False),  # the line's own 0.13 s could be a few late round trips
    (1 * MB, 0.010, ENOUGH, True),
    (1 * MB, 0.010, ENOUGH - 1, False),
    (5 * MB, 0.020, 16 * MB, False),
    (12 * MB, 0.020, 16 * MB, False),
    (100 * MB, 0.100, 1 * MB, False),  # far and quick: only the round trips took time
    (100 * MB, 0.300, 200_000, False),
    (100_000, 0.0019, 16 * MB, False),  # in the same building it is the server that is slow
    (100_000, math.inf, 16 * MB, False),  # nothing known of the round trip
]


@pytest.mark.parametrize(("rate", "round_trip", "octets", "expected"), LINES)
def test_deflate_pays_where_the_line_itself_is_slow(
    rate: float, round_trip: float, octets: int, *, expected: bool
) -> None:
    """Not where only the way is long, nothing is known, or the server is next door."""
    known = round_trip if math.isfinite(round_trip) else 0.05
    assert pays(round_trip, came(rate, known, octets)) is expected


@pytest.mark.parametrize("round_trip", [0.003, 0.02, 0.1, 0.5])
@pytest.mark.parametrize("octets", [ENOUGH, 1 * MB, 16 * MB])
def test_a_quick_line_with_late_round_trips_is_not_taken_for_a_slow_one(round_trip: float, octets: int) -> None:
    """A third more for each round trip than measured, at several times the rate of a slow line."""
    assert not pays(round_trip, came(4 * SLOW, round_trip, octets, pause=1.3))


@pytest.mark.parametrize("round_trip", [NEAR, 0.05])
def test_the_slower_the_line_the_more_it_pays(round_trip: float) -> None:
    """Once no, no for every quicker one."""
    rates = [10_000 * 1.5**n for n in range(25)]
    answers = [pays(round_trip, came(rate, round_trip, 4 * MB)) for rate in rates]
    assert answers[0]
    assert not answers[-1]
    assert all(slower or not quicker for slower, quicker in pairwise(answers))


@pytest.mark.parametrize("round_trip", [NEAR, 0.01, 0.05, 0.1, 0.2])
def test_an_answer_that_tells_is_long_enough_for_the_decision(round_trip: float) -> None:
    """As soon as no longer answer is waited for, half of a slow line's rate is enough for a yes."""
    telling = [2**power for power in range(10, 25) if tells(round_trip, Stretch(2**power, 0.0))]
    assert ENOUGH <= telling[0] <= PLENTY
    assert all(pays(round_trip, came(SLOW / 2.2, round_trip, octets)) for octets in telling)
    assert not tells(round_trip, Stretch(ENOUGH - 1, 9.0))


def test_the_listing_of_a_few_thousand_messages_tells_nothing_over_a_long_way() -> None:
    """190 kB at 2 MB/s and 50 ms: neither a yes, nor enough to stop looking."""
    assert not pays(0.05, came(2 * MB, 0.05, 190_000))
    assert not tells(0.05, Stretch(190_000, 0.5))


def test_nothing_that_came_at_once_pays() -> None:
    """An answer that had arrived before it was read."""
    assert not pays(0.05, Stretch(16 * MB, 0.0))
    assert not pays(0.05, Stretch(0, 0.0))


@pytest.mark.parametrize(
    ("address", "here"),
    [
        *[(address, True) for address in ("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "", "/run/socket")],
        *[(address, False) for address in ("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0", "10.0.0.1")],
    ],
)
def test_which_addresses_are_on_this_computer(address: str, *, here: bool) -> None:
    """Loopback of both versions, and sockets without an address."""
    assert is_here(address) is here
