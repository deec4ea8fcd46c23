"""The names of the files of a mailbox by the digest in each, a hundred thousand in four megabytes.

The law of this room: what was put in comes out, whichever thread asks. A name of the usual shape is kept as the numbers
that it is made of, in columns, any other as it is; where a digest has its name is found in sorted rows of numbers.
"""

from __future__ import annotations

import re
import threading
from array import array
from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ROWS: Final = 2
"""Hex digits of a digest that say in which row it is found."""
_KEY: Final = _ROWS + 9
"""Hex digits behind which a number says no more of the digest."""
_PLACE: Final = 28
"""Bits of a number that say which name it is; those above are digits of the digest."""
_PLACES: Final = (1 << _PLACE) - 1
_SUBS: Final = ("", "cur", "new")
_USUAL: Final = re.compile(r"(0|[1-9][0-9]{0,9})\.([0-9a-f]{32})\.mailarchive,S=(0|[1-9][0-9]{0,9})([^/]{0,64})")
"""Seconds, digits of the digest, octets, and what mail programs may change."""
_DIGEST: Final = 16
"""Octets of the digest in a usual name."""
_WIDTH: Final = 1 << 32
_TAILS: Final = 1 << 16


class Filed:
    """A table of files: folder (`cur` or `new`) and name by the hex digits of a digest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._subs = bytearray()
            self._seconds = array("I")
            self._digests = bytearray()
            self._octets = array("I")
            self._tails = array("H")
            self._tail_texts: list[str] = []
            self._tail_numbers: dict[str, int] = {}
            self._odd: dict[int, str] = {}
            self._rows = [array("Q") for _ in range(16**_ROWS)]

    def get(self, hexes: str) -> tuple[str, str] | None:
        """Find the file of a digest."""
        with self._lock:
            place = self._find(hexes)
            return self._at(place) if place is not None else None

    def place(self, hexes: str) -> int | None:
        """Give the place of the file of a digest among all, below `len`; it stays the same until `clear`."""
        with self._lock:
            return self._find(hexes)

    def __len__(self) -> int:
        return len(self._subs)

    def put(self, files: Iterable[tuple[str, str, str]]) -> None:
        """Take files in, by digest, folder and name, each in the place of another one of its digest if there is one."""
        with self._lock:
            for hexes, sub, name in files:
                place = self._find(hexes)
                if place is not None:
                    self._subs[place] = 0
                self._append(hexes, sub, name)

    def fill(self, files: Iterable[tuple[str, str, str]]) -> list[tuple[str, str]]:
        """Take in many, by digest, folder and name; gives those that are left out, as others before had their digest.

        Nothing may be in the table yet.
        """
        with self._lock:
            twice = []
            for hexes, sub, name in files:
                if self._find(hexes) is None:
                    self._append(hexes, sub, name)
                else:
                    twice.append((sub, name))
            return twice

    def pop(self, hexes: str) -> tuple[str, str]:
        """Forget the file of a digest; gives it. Raises KeyError."""
        with self._lock:
            place = self._find(hexes)
            if place is None:
                raise KeyError(hexes)
            found = self._at(place)
            self._subs[place] = 0
            return found

    def values(self) -> Iterator[tuple[str, str]]:
        """Give every file, in no order that means anything."""
        for place in range(len(self._subs)):
            if self._subs[place]:
                yield self._at(place)

    def _append(self, hexes: str, sub: str, name: str) -> None:
        insort(self._row(hexes), _key(hexes) | len(self._subs))
        parts = _USUAL.fullmatch(name)
        second, digits, size, tail = parts.groups() if parts is not None else ("0", "", "0", "")
        seconds, octets = int(second), int(size)
        number = self._tail_numbers.get(tail)
        if number is None and len(self._tail_texts) < _TAILS:
            number = self._tail_numbers[tail] = len(self._tail_texts)
            self._tail_texts.append(tail)
        if not digits or number is None or seconds >= _WIDTH or octets >= _WIDTH:
            self._odd[len(self._subs)] = name
            seconds, digits, octets, number = 0, "00" * _DIGEST, 0, 0
        self._subs.append(_SUBS.index(sub))
        self._seconds.append(seconds)
        self._digests += bytes.fromhex(digits)
        self._octets.append(octets)
        self._tails.append(number)

    def _row(self, hexes: str) -> array[int]:
        return self._rows[int(hexes[:_ROWS], 16)]

    def _find(self, hexes: str) -> int | None:
        row, key = self._row(hexes), _key(hexes)
        for index in range(bisect_left(row, key), len(row)):
            place = row[index] - key
            if place > _PLACES:
                return None
            if self._subs[place] and self._hexes(place) == hexes:
                return place
        return None

    def _hexes(self, place: int) -> str:
        if place in self._odd:
            return self._odd[place].split(".", 2)[1]
        return self._digests[place * _DIGEST : (place + 1) * _DIGEST].hex()

    def unique(self, place: int) -> str:
        """Give the first part of a name, which mail programs do not change; empty for one of an unusual shape."""
        if place in self._odd:
            return ""
        return f"{self._seconds[place]}.{self._hexes(place)}.mailarchive,S={self._octets[place]}"

    def _at(self, place: int) -> tuple[str, str]:
        sub = _SUBS[self._subs[place]]
        if place in self._odd:
            return sub, self._odd[place]
        return sub, f"{self.unique(place)}{self._tail_texts[self._tails[place]]}"


def _key(hexes: str) -> int:
    """Give digits of a digest as the upper bits of a number."""
    return int(hexes[_ROWS:_KEY], 16) << _PLACE
