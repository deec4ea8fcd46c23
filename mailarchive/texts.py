"""Many short texts in little memory: their octets one behind the other, and where each ends.

The law of this room: what goes in comes out equal, in the order in which it was put in.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from itertools import compress, groupby
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NONE: Final = b"\xff"
"""Stands for no text at all; no text has this octet in UTF-8."""
_ROWS: Final = 256
"""Rows in which a text may be found."""
_BITS: Final = 32
"""Bits of a number that say at which place a text is; those above are of its hash."""
_PLACES: Final = (1 << _BITS) - 1


class Texts:
    """A list of texts and of None."""

    __slots__ = ("_ends", "_octets")

    def __init__(self, texts: Iterable[str | None] = ()) -> None:
        self._octets = bytearray()
        self._ends = array("I", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str | None) -> None:
        """Put one at the end."""
        self._octets += _NONE if text is None else _octets(text)
        self._ends.append(len(self._octets))

    def is_at(self, index: int, octets: bytes) -> bool:
        """Tell whether a place has these octets."""
        return self._octets[self._ends[index] : self._ends[index + 1]] == octets

    def where(self, mask: bytes | bytearray) -> Texts:
        """Give those whose octet in the mask is not zero."""
        return Texts(map(self.__getitem__, compress(range(len(self)), mask)))

    def part(self, place: slice) -> Texts:
        """Give those of a slice."""
        return Texts(map(self.__getitem__, range(len(self))[place]))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[str | None]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: int) -> str | None:
        octets = self._octets[self._ends[index] : self._ends[index + 1]]
        return None if octets == _NONE else octets.decode("utf-8", "surrogatepass")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


class Places:
    """Where each of many texts stands in a list that does not change; None in it has no place.

    Attributes:
        texts: The list.
        twice: What stands in it more than once; its place is one of these.
        lacking: How many places have no text.
    """

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        self.twice: set[str] = set()
        self.lacking = 0
        rows: list[array[int]] = [array("Q") for _ in range(_ROWS)]
        for place, text in enumerate(texts):
            if text is None:
                self.lacking += 1
                continue
            key = _key(text)
            rows[key % _ROWS].append(key << _BITS | place)
        self._rows = [array("Q", sorted(row)) for row in rows]
        for row in self._rows:
            for _, same in groupby(row, key=_key_of):
                numbers = [*same]
                if len(numbers) > 1:
                    count = Counter(map(self._text, numbers))
                    self.twice.update(text for text, times in count.items() if text is not None and times > 1)

    def find(self, text: str) -> int | None:
        """Give the place of a text; None if it has none."""
        key = _key(text)
        row, octets = self._rows[key % _ROWS], _octets(text)
        for index in range(bisect_left(row, key << _BITS), len(row)):
            place = row[index] & _PLACES
            if row[index] >> _BITS != key:
                break
            if self.texts.is_at(place, octets):
                return place
        return None

    def _text(self, number: int) -> str | None:
        return self.texts[number & _PLACES]


def _key(text: str) -> int:
    """Give some bits of the hash: Python salts it, so nobody can choose many texts for which they are equal."""
    return hash(text) & _PLACES


def _key_of(number: int) -> int:
    return number >> _BITS
