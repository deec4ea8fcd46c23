"""Where the octets of an account are: by mailbox, by year, by size, by sender; and what each age would free.

The law of this room: pure sums over what a server lists. In each division every message is counted once, so its parts
add up to the whole (but for mailboxes that are labels); nothing is kept for each message.
"""

from __future__ import annotations

import heapq
import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, Final

from mailarchive.messages import NO_DATE, NO_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from mailarchive.messages import Messages
    from mailarchive.model import UID, UIDL

UNDATED: Final = "no date"
UNSIZED: Final = "no size"
OTHERS: Final = "others"
NOBODY: Final = "no sender"
EARLY: Final = "before 1970"

CLASSES: Final = ((10 << 10, "10K"), (100 << 10, "100K"), (1 << 20, "1M"), (10 << 20, "10M"))
"""Where the classes of sizes end, in octets and in the words of `--larger-than`."""
LARGEST: Final = 20
"""Messages that are named."""
TOP: Final = 20
"""Senders that are named; all others are one part."""
_MOST_SENDERS: Final = 20_000
"""Addresses that are counted at a time, before those with the fewest octets become others."""
_LONGEST: Final = 320
"""Octets of an address (RFC 3696, erratum 1690); what is longer is none."""

_QUOTED = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_ANGLE = re.compile(rb"<([^<>]*+)>")
_WORD = re.compile(rb"[^\s,;<>()]++")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the mail; `name` may be foreign text."""

    name: str
    messages: int
    size: int


@dataclass(frozen=True, slots=True)
class Freed:
    """What archiving mail older than an age would take off the server.

    Attributes:
        age: As a user writes it. `before`: the instant that it means now.
        archived: How many of the messages are archived already, of `archived_size` octets; None if nobody knows.
    """

    age: str
    before: datetime
    messages: int
    size: int
    archived: int | None = None
    archived_size: int | None = None


@dataclass(frozen=True, slots=True)
class Large:
    """One of the largest messages; what its header says is foreign text, empty where it was not asked for."""

    mailbox: str
    uid: UID | UIDL
    size: int
    date: datetime | None
    sender: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Where the octets are.

    Attributes:
        messages: All of them, each once, of `size` octets as far as the server says.
        mailboxes: The largest first; where they are labels, one message may be in several.
        years: In order, in the zone of the user; only those with mail. `sizes` likewise.
        domains: Of the senders, the largest first. `senders`: their addresses. Both add up to `asked`.
        asked: The messages whose sender was asked for.
        largest: The largest messages, the largest first.
        ages: What archiving would free.
    """

    messages: int = 0
    size: int = 0
    mailboxes: tuple[Part, ...] = ()
    years: tuple[Part, ...] = ()
    sizes: tuple[Part, ...] = ()
    domains: tuple[Part, ...] = ()
    senders: tuple[Part, ...] = ()
    asked: Part = field(default_factory=lambda: Part("", 0, 0))
    largest: tuple[Large, ...] = ()
    ages: tuple[Freed, ...] = ()


class Sums:
    """Adds up the messages of mailboxes.

    Args:
        years: Name and beginning of each year that is told apart, in order.
        ages: Name and cut-off of each age.
    """

    def __init__(self, years: Sequence[tuple[str, datetime]], ages: Sequence[tuple[str, datetime]]) -> None:
        self._years = [(name, int(begin.timestamp())) for name, begin in years]
        self._ages = list(ages)
        cuts = [int(cut.timestamp()) for _, cut in ages]
        self._bounds = sorted({*cuts, *(begin for _, begin in self._years)})
        # A slot is the time between two bounds; the last one holds what has no date.
        self._slots = [_Columns(len(self._bounds) + 2) for _ in range(4)]
        self._sizes = _Columns(len(CLASSES) + 2)
        self._mailboxes: dict[str, list[int]] = {}
        self._largest: list[tuple[int, int, str, int]] = []
        self._parts: list[Messages] = []
        self._knows_archive = False

    def add(
        self,
        mailbox: str,
        messages: Messages,
        *,
        going: bytes | bytearray | None = None,
        archived: bytes | bytearray | None = None,
        shown_in: Iterable[Sequence[str]] | None = None,
    ) -> None:
        """Add the messages of a mailbox.

        Args:
            mailbox: Its full name.
            messages: Each of them once over all calls.
            going: One octet for each: whether a backup that deletes would take it off the server; None for none.
            archived: Likewise: whether it is archived; None if nobody knows.
            shown_in: For each message the mailboxes that it counts for, where they are labels; else it is this one.
        """
        seconds, zones, sizes = _columns(messages)
        self._knows_archive = self._knows_archive or archived is not None
        number = len(self._parts)
        self._parts.append(messages)
        # Nothing in here is made for a message: this is what a million of them wait for.
        bounds, no_date, unsized = self._bounds, len(self._bounds) + 1, len(CLASSES) + 1
        slots, classes, ends = self._slots, self._sizes, [end for end, _ in CLASSES]
        floor = self._largest[0][0] if len(self._largest) == LARGEST else -1
        rows = zip(seconds, zones, sizes, going or repeat(0), archived or repeat(0), strict=False)
        for index, (second, zone, size, goes, there) in enumerate(rows):
            slot = bisect_right(bounds, second) if zone != NO_DATE[1] else no_date
            kind = unsized if size < 0 or size == NO_SIZE else bisect_left(ends, size)
            octets = 0 if kind == unsized else size
            columns = slots[goes + 2 * there]
            columns.messages[slot] += 1
            columns.octets[slot] += octets
            classes.messages[kind] += 1
            classes.octets[kind] += octets
            if octets > floor:
                floor = self._take_large((octets, -number, mailbox, index))
        self._show(mailbox, sizes, shown_in)

    def _show(self, mailbox: str, sizes: Sequence[int], shown_in: Iterable[Sequence[str]] | None) -> None:
        """Count messages for the mailboxes that show them."""
        if shown_in is None:
            row = self._mailboxes.setdefault(mailbox, [0, 0])
            row[0] += len(sizes)
            row[1] += sum(size for size in sizes if size != NO_SIZE and size >= 0)
            return
        for size, names in zip(sizes, shown_in, strict=True):
            for name in names:
                row = self._mailboxes.setdefault(name, [0, 0])
                row[0] += 1
                row[1] += max(0, size)

    def _take_large(self, found: tuple[int, int, str, int]) -> int:
        """Keep one of the largest; gives the size that the next one must surpass."""
        if len(self._largest) < LARGEST:
            heapq.heappush(self._largest, found)
        else:
            heapq.heappushpop(self._largest, found)
        return self._largest[0][0] if len(self._largest) == LARGEST else -1

    @property
    def largest(self) -> list[Large]:
        """The largest messages, the largest first, without what their headers say."""
        found = []
        for octets, number, mailbox, index in sorted(self._largest, key=lambda each: (-each[0], -each[1], each[3])):
            message = self._parts[-number][index]
            found.append(Large(mailbox, message.uid, octets, message.internal_date))
        return found

    def usage(self, senders: Senders | None = None, largest: Sequence[Large] | None = None) -> Usage:
        """Give what was added up, with what the headers said."""
        sizes = self._sizes
        mailboxes = (Part(name, *row) for name, row in self._mailboxes.items())
        people = senders or Senders()
        return Usage(
            messages=sum(sizes.messages),
            size=sum(sizes.octets),
            mailboxes=tuple(sorted(mailboxes, key=lambda part: (-part.size, -part.messages, part.name))),
            years=tuple(self._by_year()),
            sizes=tuple(
                Part(name, count, octets)
                for name, count, octets in zip(_class_names(), sizes.messages, sizes.octets, strict=True)
                if count
            ),
            domains=tuple(people.domains.parts()),
            senders=tuple(people.addresses.parts()),
            asked=Part("", people.messages, people.size),
            largest=tuple(self.largest if largest is None else largest),
            ages=tuple(self._freed(age, cut) for age, cut in self._ages),
        )

    def _by_year(self) -> Iterable[Part]:
        begins = [begin for _, begin in self._years]
        names = [EARLY, *(name for name, _ in self._years)]
        found: dict[str, list[int]] = {}
        for slot in range(len(self._bounds) + 2):
            # The slot begins at the bound before it.
            year = 0 if slot == 0 else bisect_right(begins, self._bounds[min(slot, len(self._bounds)) - 1])
            row = found.setdefault(UNDATED if slot > len(self._bounds) else names[year], [0, 0])
            row[0] += sum(columns.messages[slot] for columns in self._slots)
            row[1] += sum(columns.octets[slot] for columns in self._slots)
        return (Part(name, count, octets) for name, (count, octets) in found.items() if count)

    def _freed(self, age: str, cut: datetime) -> Freed:
        end = bisect_left(self._bounds, int(cut.timestamp())) + 1
        to_come, there = self._slots[1], self._slots[3]
        return Freed(
            age,
            cut,
            sum(to_come.messages[:end]) + sum(there.messages[:end]),
            sum(to_come.octets[:end]) + sum(there.octets[:end]),
            sum(there.messages[:end]) if self._knows_archive else None,
            sum(there.octets[:end]) if self._knows_archive else None,
        )


class _Columns:
    """Numbers of messages and of octets, side by side."""

    __slots__ = ("messages", "octets")

    def __init__(self, width: int) -> None:
        self.messages = [0] * width
        self.octets = [0] * width


class _Names:
    """Sums by a name that strangers choose, of which a bounded number is kept."""

    def __init__(self) -> None:
        self._rows: dict[str, list[int]] = {}
        self._others = [0, 0]

    def add(self, name: str, size: int) -> None:
        row = self._rows.get(name)
        if row is None:
            if len(self._rows) >= 2 * _MOST_SENDERS:
                self._thin()
            row = self._rows[name] = [0, 0]
        row[0] += 1
        row[1] += size

    def _thin(self) -> None:
        """Make others of the half with the fewest octets."""
        rows = sorted(self._rows.items(), key=lambda item: item[1][1], reverse=True)
        self._rows = dict(rows[:_MOST_SENDERS])
        for _, (count, octets) in rows[_MOST_SENDERS:]:
            self._others[0] += count
            self._others[1] += octets

    def parts(self) -> Iterable[Part]:
        """Give the largest, and all others as one."""
        rows = sorted(self._rows.items(), key=lambda item: (-item[1][1], -item[1][0], item[0]))
        yield from (Part(name or NOBODY, *row) for name, row in rows[:TOP])
        rest = [row for _, row in rows[TOP:]]
        count, octets = (sum(column) for column in zip(self._others, *rest, strict=True))
        if count:
            yield Part(OTHERS, count, octets)


class Senders:
    """Adds up who sent how much."""

    def __init__(self) -> None:
        self.addresses, self.domains = _Names(), _Names()
        self.messages = self.size = 0

    def add(self, address: str, size: int) -> None:
        """Count a message of a sender, empty if it has none."""
        self.messages += 1
        self.size += size
        self.addresses.add(address, size)
        self.domains.add(address.rpartition("@")[2], size)


@lru_cache(maxsize=4096)
def address_of(value: bytes) -> str:
    """Give the first address of the raw value of a From field, in small letters; empty if there is none.

    A text in quotes is no address, and neither is a name. It is foreign text still (RFC 5322 section 3.4).
    """
    bare = _QUOTED.sub(b"", value)
    words = [found[1].strip() for found in _ANGLE.finditer(bare)] or _WORD.findall(bare)
    address = next((word for word in words if b"@" in word.strip(b"@") and len(word) <= _LONGEST), b"")
    return address.decode("utf-8", "backslashreplace").lower().rstrip(".")


def to_cover(columns: Sequence[Sequence[int]], share: float, most: int) -> int:
    """Say from which size on messages must be looked at, so that these hold so much of all octets.

    Args:
        columns: Sizes; what is unknown is negative or `NO_SIZE`.
        share: From 0 to 1.
        most: No more messages than these, or than are as large as the smallest of them.
    """
    total = sum(sum(size for size in sizes if 0 <= size != NO_SIZE) for sizes in columns)
    largest = heapq.nlargest(most, (size for sizes in columns for size in sizes if 0 < size != NO_SIZE))
    wanted = total * share
    for size in largest:
        wanted -= size
        if wanted <= 0:
            return size
    return largest[-1] if largest else 1


def sizes_of(messages: Messages) -> Sequence[int]:
    """Give the sizes of messages; `NO_SIZE` or -1 where one is unknown."""
    return _columns(messages)[2]


def _columns(messages: Messages) -> tuple[Sequence[float], Sequence[int], Sequence[int]]:
    """Give seconds, zones and sizes of messages; -1 for a size that is unknown and does not stand in a column."""
    if messages.plain:
        return messages.seconds, messages.zones, messages.sizes
    rows = [(message.internal_date, message.size) for message in messages]
    return (
        [0 if date is None else date.timestamp() for date, _ in rows],
        [NO_DATE[1] if date is None else 0 for date, _ in rows],
        [-1 if size is None or size == NO_SIZE else size for _, size in rows],
    )


def _class_names() -> list[str]:
    ends = [name for _, name in CLASSES]
    between = [f"{low} to {high}" for low, high in pairwise(ends)]
    return [f"up to {ends[0]}", *between, f"over {ends[-1]}", UNSIZED]
