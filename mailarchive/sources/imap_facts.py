"""Collects the facts of many messages, each once, in ascending order of UID.

The law of this room: facts that the server tells in ascending order go into columns at once; whatever comes in another
way, in part, late or twice, is looked at one by one. A message that is told in two ways is left out, and said.
"""

from __future__ import annotations

import heapq
import operator
from array import array
from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING

from mailarchive.dates import internal_instant
from mailarchive.errors import ProtocolError
from mailarchive.messages import NO_DATE, Messages
from mailarchive.sources import imap_usual
from mailarchive.sources.imap_items import facts, flag_set, usual_fact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailarchive.sources.imap_commands import Commands
    from mailarchive.sources.imap_items import Fact


class Collector:
    """What the answers to a listing say.

    Args:
        commands: Of the session.
        wanted: The UIDs that count, in ascending order; None for all.
        most: More messages than these are an error.

    Attributes:
        twice: UIDs that were told in two ways.
    """

    def __init__(self, commands: Commands, wanted: Sequence[int] | None, *, most: int) -> None:
        self.twice: set[int] = set()
        self._commands = commands
        self._wanted = None if wanted is None else array("I", wanted)
        self._most = most
        self._regular = Messages()
        self._last = 0
        self._place = 0
        self._others: dict[int, Fact] = {}

    def __len__(self) -> int:
        return len(self._regular) + len(self._others)

    def collect(self, sets: Sequence[bytes]) -> None:
        """Ask for the facts of these sets.

        Raises:
            Refused: The server does not tell some of them; what it tells has been collected.
            ProtocolError: It tells of more messages than there are.
        """
        for fact in facts(self._commands, sets, self._ahead):
            self._add(fact)

    def messages(self) -> Messages:
        """Give what was collected, without what was told in two ways."""
        if not self._others and not self.twice:
            return self._regular
        others = (self._others[uid].message for uid in sorted(self._others))
        merged = heapq.merge(self._regular, others, key=lambda message: int(message.uid))
        return Messages(message for message in merged if message.uid not in self.twice)

    def _ahead(self) -> None:
        """Take the answers of the usual shape that have arrived."""
        rows = imap_usual.facts(self._commands)
        if not rows:
            return
        uids = array("I", (int(row[0]) for row in rows))
        if self._takes_all(uids) and self._regular.extend(
            uids,
            (int(row[3]) for row in rows),
            (internal_instant(row[2]) or NO_DATE for row in rows),
            (flag_set(row[1]) for row in rows),
        ):
            self._last = uids[-1]
            self._check()
            return
        for row in rows:
            self._add(usual_fact(*row))

    def _takes_all(self, uids: array[int]) -> bool:
        """Tell whether each of these is wanted, and stands in order behind all that was told so far."""
        if self._others or uids[0] <= self._last or not all(map(operator.lt, uids, islice(uids, 1, None))):
            return False
        if self._wanted is None:
            return True
        place = self._place if self._wanted[self._place : self._place + 1] == uids[:1] else self._find(uids[0])
        self._place = place + len(uids)
        return self._wanted[place : self._place] == uids

    def _find(self, uid: int) -> int:
        return bisect_left(self._wanted or (), uid)

    def _is_wanted(self, uid: int) -> bool:
        return self._wanted is None or self._wanted[self._find(uid) : self._find(uid + 1)] == array("I", [uid])

    def _add(self, fact: Fact) -> None:
        """Take one answer; one of which only a part is told is unknown in the rest."""
        uid = int(fact.message.uid)
        if not self._is_wanted(uid):
            return
        if uid > self._last and fact.whole and uid not in self._others:
            self._regular.append(fact.message)
            self._last = uid
        elif (message := self._regular.find(uid)) is not None:
            if fact.whole and fact.message != message:
                self.twice.add(uid)
        else:
            before = self._others.get(uid)
            if before is None or not before.whole:
                self._others[uid] = fact
            elif fact.whole and fact.message != before.message:
                self.twice.add(uid)
        self._check()

    def _check(self) -> None:
        if len(self) > self._most:
            raise ProtocolError(f"{self._commands.wire.peer} lists more messages than there are")
