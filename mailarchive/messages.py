"""Many listed messages in little memory: columns of numbers instead of an object for each.

The law of this room: what goes in comes out equal, in the order in which it was put in. What does not fit into the
columns is kept as it is.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from itertools import compress, repeat
from typing import TYPE_CHECKING, Final, overload

from mailarchive.model import UID, UIDL, RemoteMessage
from mailarchive.texts import Texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mailarchive.model import MailboxStatus

NO_DATE: Final = (0, 1 << 14)
"""Stands for an unknown date where an instant is given as seconds of POSIX and minutes east of UTC."""
NO_SIZE: Final = 2**32 - 1
"""Stands for an unknown size in a column."""
_MINUTE: Final = timedelta(minutes=1)
_UIDS: Final = 2**32
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


class Messages(Sequence[RemoteMessage]):
    """A sequence of messages, 18 octets each, a UIDL apart; those with object ids or labels are kept as they are."""

    __slots__ = ("_flags", "_names", "_numbers", "_odd", "_seconds", "_sets", "_sizes", "_uids", "_zones")

    def __init__(self, messages: Iterable[RemoteMessage] = ()) -> None:
        self._uids = array("I")
        self._sizes = array("I")
        self._seconds = array("I")
        self._zones = array("h")
        self._flags = array("I")
        self._sets: list[frozenset[str] | None] = []
        self._numbers: dict[frozenset[str] | None, int] = {}
        self._odd: dict[int, RemoteMessage] = {}
        # As long as the columns from the first UIDL on; empty before.
        self._names = Texts()
        for message in messages:
            self.append(message)

    def append(self, message: RemoteMessage) -> None:
        """Put one message at the end."""
        uid, size, instant = message.uid, message.size, _instant(message.internal_date)
        name = None if isinstance(uid, int) else uid
        if name is not None or self._names:
            self._name_none(len(self._uids))
            self._names.append(name)
        if not isinstance(uid, int):
            uid = UID(0)
        elif not 0 < uid < _UIDS:
            uid, instant = UID(0), None
        odd = instant is None or message.labels is not None or message.object_id
        if odd or not (size is None or 0 <= size < NO_SIZE):
            self._odd[len(self._uids)] = message
            size = instant = None
        seconds, zone = instant or NO_DATE
        size = NO_SIZE if size is None else size
        self._uids.append(uid)
        self._sizes.append(size)
        self._seconds.append(seconds)
        self._zones.append(zone)
        number = self._numbers.get(message.flags)
        self._flags.append(self._number(message.flags) if number is None else number)

    @classmethod
    def called(cls, names: Texts, sizes: array[int]) -> Messages:
        """Give messages, for reading, of which only UIDL and size are known.

        Args:
            names: None of them is None. Neither is copied.
            sizes: Octets, each below `NO_SIZE`, as `array("I")`.
        """
        made = cls()
        count = len(sizes)
        made._names, made._sizes = names, sizes
        made._uids.extend(repeat(0, count))
        made._seconds.extend(repeat(NO_DATE[0], count))
        made._zones.extend(repeat(NO_DATE[1], count))
        made._flags.extend(repeat(made._number(None), count))
        return made

    def extend(
        self,
        uids: Iterable[int],
        sizes: Iterable[int],
        instants: Iterable[tuple[int, int]],
        flags: Iterable[frozenset[str] | None],
    ) -> bool:
        """Put messages at the end, given by columns of equal length; tell whether they fit, else none is put there.

        Args:
            uids: From 1 to 2**32 - 1.
            sizes: Octets, as announced, all known.
            instants: Seconds of POSIX and minutes east of UTC, or `NO_DATE`.
            flags: As `RemoteMessage` has them.
        """
        try:
            octets = array("I", sizes)
            seconds, zones = zip(*instants, strict=True)
            begins = array("I", seconds)
        except OverflowError:
            return False
        if NO_SIZE in octets:
            return False
        if self._names:
            self._name_none(len(self._uids) + len(octets))
        self._uids.extend(uids)
        self._sizes.extend(octets)
        self._seconds.extend(begins)
        self._zones.extend(zones)
        for each in flags:
            number = self._numbers.get(each)
            self._flags.append(self._number(each) if number is None else number)
        return True

    def _name_none(self, end: int) -> None:
        """Give no name to those that stand before a place and have none yet."""
        for _ in range(len(self._names), end):
            self._names.append(None)

    def _number(self, flags: frozenset[str] | None) -> int:
        """Give a set of flags that is new here its number."""
        self._numbers[flags] = len(self._sets)
        self._sets.append(flags)
        return self._numbers[flags]

    @property
    def plain(self) -> bool:
        """Whether all of them fit into the columns."""
        return not self._odd and not self._names

    def only(self, uids: Iterable[int]) -> Messages:
        """Give those whose UID is among these; both in ascending order of UID."""
        return self._where(self.among(uids))

    def among(self, uids: Iterable[int]) -> bytearray:
        """Say of each, by an octet, whether its UID is among these; both in ascending order of UID."""
        there = iter(uids)
        now = next(there, _UIDS)
        mask = bytearray()
        for uid in self._uids:
            while now < uid:
                now = next(there, _UIDS)
            mask.append(now == uid)
        return mask

    def where(self, mask: bytes | bytearray) -> Messages:
        """Give those whose octet in the mask is not zero, for reading; where those are all, no copy is made."""
        return self._where(mask) if 0 in mask or len(mask) != len(self) else self

    def _where(self, mask: bytes | bytearray) -> Messages:
        part = Messages()
        part._uids.extend(compress(self._uids, mask))
        part._sizes.extend(compress(self._sizes, mask))
        part._seconds.extend(compress(self._seconds, mask))
        part._zones.extend(compress(self._zones, mask))
        part._flags.extend(compress(self._flags, mask))
        part._names = self._names.where(mask)
        part._sets, part._numbers = self._sets, self._numbers
        if self._odd:
            places = enumerate(compress(range(len(self)), mask))
            part._odd = {new: self._odd[old] for new, old in places if old in self._odd}
        return part

    @property
    def uids(self) -> Sequence[int]:
        """Their UIDs; 0 where one is not from 1 to 2**32 - 1."""
        return self._uids

    @property
    def sizes(self) -> Sequence[int]:
        """Their sizes, `NO_SIZE` for an unknown one; good only where all of them are plain, as the next three are."""
        return self._sizes

    @property
    def seconds(self) -> Sequence[int]:
        """Seconds of POSIX at which they were received."""
        return self._seconds

    @property
    def zones(self) -> Sequence[int]:
        """Minutes east of UTC of their dates; that of `NO_DATE` where there is none."""
        return self._zones

    def flagged(self, flags: frozenset[str]) -> bytes:
        """Say of each, by an octet, whether it carries one of these flags."""
        carries = [bool(known and known & flags) for known in self._sets]
        return bytes(map(carries.__getitem__, self._flags))

    def packed(self) -> bytes:
        """Give all of it as octets to be kept; only if all of them are plain."""
        sets = [None if flags is None else sorted(flags) for flags in self._sets]
        columns = [zlib.compress(column, level=1) for column in self._columns]
        facts = {"order": sys.byteorder, "number": len(self), "sets": sets, "lengths": [len(each) for each in columns]}
        return b"".join([json.dumps(facts).encode(), b"\n", *columns])

    @classmethod
    def unpacked(cls, octets: bytes) -> Messages | None:
        """Read what `packed` gave, on this kind of computer; None if it is not that."""
        found = cls()
        place = octets.find(b"\n") + 1
        try:
            facts = json.loads(octets[:place])
            for flags in facts["sets"]:
                found._number(None if flags is None else frozenset(flags))
            for column, length in zip(found._columns, facts["lengths"], strict=True):
                column.frombytes(zlib.decompress(octets[place : place + length]))
                place += length
            fits = facts["order"] == sys.byteorder and place == len(octets)
            fits = fits and {len(column) for column in found._columns} == {facts["number"]}
        except (zlib.error, ValueError, KeyError, TypeError):
            return None
        return found if fits and max(found._flags, default=-1) < len(found._sets) else None

    @property
    def _columns(self) -> tuple[array[int], ...]:
        return self._uids, self._sizes, self._seconds, self._zones, self._flags

    @property
    def octets(self) -> int:
        """All their octets, as far as they are known."""
        known = sum(size for size in self._sizes if size != NO_SIZE)
        return known + sum(message.size or 0 for message in self._odd.values())

    def find(self, uid: int) -> RemoteMessage | None:
        """Find a message by its UID; only if all of them have one, and stand in ascending order of it."""
        at = bisect_left(self._uids, uid)
        return self[at] if at < len(self._uids) and self._uids[at] == uid else None

    def __len__(self) -> int:
        return len(self._uids)

    def __iter__(self) -> Iterator[RemoteMessage]:
        return map(self._at, range(len(self)))

    @overload
    def __getitem__(self, index: int) -> RemoteMessage: ...

    @overload
    def __getitem__(self, index: slice) -> Messages: ...

    def __getitem__(self, index: int | slice) -> RemoteMessage | Messages:
        if isinstance(index, slice):
            return self._part(index)
        return self._at(range(len(self))[index])

    def _at(self, index: int) -> RemoteMessage:
        if index in self._odd:
            return self._odd[index]
        size, zone = self._sizes[index], self._zones[index]
        date = None if zone == NO_DATE[1] else datetime.fromtimestamp(self._seconds[index], _zone(zone))
        name = self._names[index] if self._names else None
        return RemoteMessage(
            UID(self._uids[index]) if name is None else UIDL(name),
            None if size == NO_SIZE else size,
            date,
            self._sets[self._flags[index]],
        )

    def _part(self, place: slice) -> Messages:
        part = Messages()
        part._uids = self._uids[place]
        part._sizes = self._sizes[place]
        part._seconds = self._seconds[place]
        part._zones = self._zones[place]
        part._flags = self._flags[place]
        part._names = self._names.part(place)
        # Both only ever grow, and together.
        part._sets, part._numbers = self._sets, self._numbers
        if self._odd:
            places = enumerate(range(len(self))[place])
            part._odd = {new: self._odd[old] for new, old in places if old in self._odd}
        return part


@dataclass(frozen=True, slots=True)
class Remembered:
    """The whole listing of a mailbox, so that a later run asks for what has changed.

    Attributes:
        status: What the server said when it was opened for that listing.
        listed_at: When every message was asked for last; what was only followed since does not count.
        messages: All of them, plain, in ascending order of UID.
    """

    status: MailboxStatus
    listed_at: datetime
    messages: Messages


def octets(messages: Sequence[RemoteMessage]) -> int:
    """Add up the octets of messages, as far as they are known."""
    if isinstance(messages, Messages):
        return messages.octets
    return sum(message.size or 0 for message in messages)


_zones: dict[int, timezone] = {}


def _zone(minutes: int) -> timezone:
    zone = _zones.get(minutes)
    if zone is None:
        zone = _zones[minutes] = timezone(minutes * _MINUTE)
    return zone


def _instant(date: datetime | None) -> tuple[int, int] | None:
    """Give a date as numbers; None if it does not fit, or would come out as another one."""
    if date is None:
        return NO_DATE
    if type(date) is not datetime or date.microsecond or type(date.tzinfo) is not timezone:
        return None
    minutes, seconds = _minutes(date.tzinfo), (date - _EPOCH) // _SECOND
    return (seconds, minutes) if minutes is not None and 0 <= seconds < 2**32 else None


@lru_cache(maxsize=256)
def _minutes(zone: timezone) -> int | None:
    minutes, rest = divmod(zone.utcoffset(None), _MINUTE)
    return None if rest else minutes
