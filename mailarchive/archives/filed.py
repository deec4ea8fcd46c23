"""The names of the files of a mailbox by the digest in each, a hundred thousand in four megabytes.

The law of this room: what was put in comes out, whichever thread asks. A name of the usual shape is kept as the numbers
that it is made of, in columns, any other as it is; where a digest has its name is found in sorted rows of numbers.
"""

from __future__ import annotations

import re
import threading
from array import array
from bisect import bisect_left
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
_REST_BITS: Final = 4 * (_KEY - _ROWS)
_REST_ONES: Final = (1 << _REST_BITS) - 1
_SUBS: Final = ("", "cur", "new")
_NUMBERS: Final = {sub: number for number, sub in enumerate(_SUBS)}
FIRST: Final = r"([0-9]{1,12})\.([0-9a-f]{64}|[0-9a-f]{32})\.mailarchive,S=([0-9]{1,12})"
"""What a name of ours begins with: seconds, digits of the digest, octets."""
REST: Final = r"((?:[:;!]2,[^/]*)?)"
"""What may stand behind that: flags, which mail programs change."""
_NAME: Final = re.compile(FIRST + REST)
_USUAL: Final = re.compile(
    r"([1-3][0-9]{9}|[1-9][0-9]{0,8}|0)\.([0-9a-f]{32})\.mailarchive,S=(0|[1-9][0-9]{0,8})" + REST
)
"""Of such the numbers make the name again, and they fit."""
_DIGEST: Final = 16
"""Octets of the digest in a usual name."""
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

    def put(self, files: Iterable[tuple[str, str]]) -> None:
        """Take files of ours in, by folder and name, each in the place of another one of its digest."""
        with self._lock:
            for sub, name in files:
                self._take(sub, name, instead=True)

    def fill(self, files: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Take in those that are ours, by folder and name; gives those of them whose digest another one had before."""
        with self._lock:
            return [(sub, name) for sub, name in files if not self._take(sub, name)]

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

    def _take(self, sub: str, name: str, *, instead: bool = False) -> bool:
        """Take one in if it is ours; False if it was left out because of another one of the same digest."""
        usual = _USUAL.fullmatch(name)
        parts = usual or _NAME.fullmatch(name)
        if parts is None:
            return True
        second, digits, size, tail = parts.groups()
        row, key = self._row(digits)
        index = bisect_left(row, key)
        if index < len(row) and row[index] - key <= _PLACES:
            before = self._find(digits)
            if before is not None and not instead:
                return False
            if before is not None:
                self._subs[before] = 0
        row.insert(index, key | len(self._subs))
        number = self._tail_numbers.get(tail)
        if number is None and len(self._tail_texts) < _TAILS:
            number = self._tail_numbers[tail] = len(self._tail_texts)
            self._tail_texts.append(tail)
        if usual is None or number is None:
            self._odd[len(self._subs)] = name
            second, digits, size, number = "0", digits[:32], "0", 0
        self._subs.append(_NUMBERS[sub])
        self._seconds.append(int(second))
        self._digests += bytes.fromhex(digits)
        self._octets.append(int(size))
        self._tails.append(number)
        return True

    def _row(self, hexes: str) -> tuple[array[int], int]:
        """Give the row in which a digest is looked for, and the number that its places are added to."""
        begin = int(hexes[:_KEY], 16)
        return self._rows[begin >> _REST_BITS], (begin & _REST_ONES) << _PLACE

    def _find(self, hexes: str) -> int | None:
        row, key = self._row(hexes)
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
