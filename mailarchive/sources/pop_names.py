"""What the messages of a maildrop are called in one session (RFC 1939 section 7), a hundred thousand in few megabytes.

The law of this room: a name means one message or none. One that two messages have is no name, and a message without
one gets a name that no other session can find.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mailarchive.model import UIDL, transient
from mailarchive.texts import Places, Texts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence


NEAR: Final = 2500
"""Messages whose numbers are kept at hand, since each is asked for several times within a round."""


class Names:
    """What UIDL calls each message number; None for one without a name that can be used."""

    def __init__(self) -> None:
        self._usual = Texts()
        self._odd: dict[int, UIDL | None] = {}

    def put(self, number: int, name: UIDL | None) -> None:
        """Take down a name; a message that is given two has none."""
        if number not in self and number == len(self._usual) + 1:
            self._usual.append(name)
        else:
            self._odd[number] = name if number not in self or self.get(number) == name else None

    def get(self, number: int) -> UIDL | None:
        """Give the name of a number."""
        if number in self._odd:
            return self._odd[number]
        name = self._usual[number - 1] if 1 <= number <= len(self._usual) else None
        return None if name is None else UIDL(name)

    def of(self, numbers: Sequence[int]) -> Texts:
        """Give the names of numbers, in their order."""
        usual = not self._odd and numbers == range(1, len(self._usual) + 1)
        return self._usual if usual else Texts(map(self.get, numbers))

    def twice(self, numbers: Sequence[int]) -> Collection[str]:
        """Give the names that more than one message has, if others have names than those of these numbers."""
        if len(self) == len(numbers) and not self._odd:
            return ()
        others = (name for number, name in self._odd.items() if not 1 <= number <= len(self._usual))
        return Places(Texts([*map(self.get, range(1, len(self._usual) + 1)), *others])).twice

    def __contains__(self, number: int) -> bool:
        return 1 <= number <= len(self._usual) or number in self._odd

    def __len__(self) -> int:
        return len(self._usual) + sum(not 1 <= number <= len(self._usual) for number in self._odd)


class Numbers(Mapping[UIDL, int]):
    """The message number of each message by its UIDL, or by a name for this session only, in the order of the numbers.

    Args:
        names: What UIDL calls each message.
        numbers: Of the messages, ascending.
        session: A number that no other session of the source has.
        twice: Names that are none, beside those that are there twice.
    """

    def __init__(self, names: Texts, numbers: Sequence[int], session: int, twice: Collection[str] = ()) -> None:
        self._places = Places(names)
        self._places.twice.update(twice)
        self._numbers = numbers
        # In the next session the number may be another message's, so its name must not be found there.
        self._own: dict[UIDL, int] = {}
        twice = self._places.twice
        if twice or self._places.lacking:
            named = zip(numbers, names, strict=True)
            nameless = (number for number, name in named if name is None or name in twice)
            self._own = {transient(f"{session}.{number}"): number for number in nameless}
        self._near: dict[UIDL, int] = {}

    @property
    def lasting(self) -> bool:
        """Whether all of them are called so for good."""
        return not self._own

    @property
    def names(self) -> Texts:
        """What UIDL calls each message."""
        return self._places.texts

    def rename(self, name: UIDL, other: UIDL) -> None:
        """Call a message otherwise that has a name for this session only."""
        self._own[other] = self._own.pop(name)

    def __getitem__(self, name: UIDL) -> int:
        number = self._near.get(name)
        if number is None:
            if name in self._own:
                return self._own[name]
            place = None if name in self._places.twice else self._places.find(name)
            if place is None:
                raise KeyError(name)
            if len(self._near) >= NEAR:
                self._near.clear()
            number = self._near[name] = self._numbers[place]
        return number

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[UIDL]:
        return (name for name, _ in self.pairs())

    def pairs(self) -> Iterator[tuple[UIDL, int]]:
        """Give each name with its number."""
        own = {number: name for name, number in self._own.items()}
        for number, name in zip(self._numbers, self._places.texts, strict=True):
            if number in own:
                yield own[number], number
            elif name is not None:
                yield UIDL(name), number
