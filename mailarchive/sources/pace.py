"""Whether a line is so slow that deflate pays, judged by what was measured on it (RFC 4978).

The law of this room: pure numbers in, a decision out. In doubt a line is quick, because a server that deflates may
send no more than it can deflate, whatever the line would take. One that is slow for another reason than its line
loses at most `SLOW` / 26 MB/s, the rate of Dovecot's deflate, by a wrong yes: a sixth of its time.
"""

from __future__ import annotations

import ipaddress
import math
from typing import NamedTuple

NEAR = 0.002
"""Seconds of a round trip below which a server stands in the same building, where the line is not what is slow."""
ENOUGH = 128 * 1024
"""Octets of an answer that tell a rate; a shorter one is over before TCP is at full speed."""
PLENTY = 8 * 1024 * 1024
"""Octets of an answer after which no longer one is waited for."""
SLOW = 4 * 1024 * 1024
"""Octets a second below which deflate pays."""
FIRST_FLIGHT = 10 * 1460
"""Octets that TCP sends in the first round trip of an answer (RFC 6928); then twice as many in each."""
JITTER = 1.5
"""How much longer than the measured one a round trip may be without being taken for a slow line."""


class Stretch(NamedTuple):
    """What came between two commands: `octets`, and the `seconds` that were spent waiting for them."""

    octets: int
    seconds: float


def tells(round_trip: float, stretch: Stretch) -> bool:
    """Tell whether so much has come that a line at half of `SLOW` would have shown itself, whatever else took time."""
    return stretch.octets >= PLENTY or (
        stretch.octets >= ENOUGH and stretch.octets / SLOW >= _waiting(round_trip, stretch.octets)
    )


def pays(round_trip: float, stretch: Stretch) -> bool:
    """Tell whether deflate pays on a line.

    Args:
        round_trip: Seconds from a short question to its answer; infinite if it is not known.
        stretch: The longest answer so far.
    """
    if round_trip < NEAR or stretch.octets < ENOUGH:
        return False
    return stretch.seconds > _waiting(round_trip, stretch.octets) + stretch.octets / SLOW


def _waiting(round_trip: float, octets: int) -> float:
    """Give the seconds that an answer may take on a line of any rate, until TCP is at full speed."""
    return JITTER * round_trip * (1 + math.log2(1 + octets / FIRST_FLIGHT))


def is_here(host: object) -> bool:
    """Tell whether an address is on this computer; what is no IP address is a socket of this computer."""
    try:
        address = ipaddress.ip_address(str(host))
    except ValueError:
        return True
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
