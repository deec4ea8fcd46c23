"""Recognises at once, where they lie in the buffer, the answers that most servers give to FETCH (RFC 9051 7.5.2).

The law of this room: it only takes what the careful reader (`imap_items.py`, `imap_fetch.py`) would read as the same
values, octet for octet; whatever differs in one octet, or has not arrived whole, is left on the wire for that one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailarchive.dates import parse_internal_date
from mailarchive.model import UID, RemoteMessage, Sighting
from mailarchive.sources.imap_items import flag_set

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from mailarchive.sources.imap_commands import Commands
    from mailarchive.sources.wire import Whole

# A UID that is below 4,000,000,000 for sure, flags without a string, a list or a literal, and a date without an escape:
# there is one way to read these.
_HEAD = (
    rb"\* \d{1,10} FETCH \(UID ([1-9]\d{0,8}|[1-3]\d{9}) FLAGS \(([ !#-\x27*-z|}~]{0,2000})\)"
    rb' INTERNALDATE "([ 0-9A-Za-z:+-]{26})" '
)
_FACTS = _HEAD + rb"RFC822\.SIZE (\d{1,10})\)\r\n"
FACT = re.compile(_FACTS)
FACTS = re.compile(rb"(?:" + _FACTS + rb")++")
BODY = re.compile(_HEAD + rb"BODY\[\] \{([1-9]\d{0,9})\}\r\n")
PROBED = re.compile(
    _HEAD + rb"RFC822\.SIZE (\d{1,10}) BODY\[HEADER\.FIELDS \([A-Z -]{1,100}\)\]<0> \{([1-9]\d{0,3})\}\r\n"
)
TAIL = b")\r\n"


class Arrived:
    """One message that lies whole in the buffer; see `ports.Incoming`."""

    __slots__ = ("_commands", "_date", "_flags", "_listed", "_message", "_octets", "drained", "size", "uid")

    def __init__(self, commands: Commands, listed: RemoteMessage, whole: Whole) -> None:
        self._commands = commands
        self._listed = listed
        _, self._flags, self._date, _ = whole.groups
        self._octets = whole.literal
        self._message: RemoteMessage | None = None
        self.uid = listed.uid
        self.size = len(whole.literal)
        self.drained = False

    def chunks(self) -> Iterator[memoryview]:
        """Give the octets."""
        self._commands.bodies += self.size
        yield self._octets
        self.drained = True

    @property
    def message(self) -> RemoteMessage:
        """The facts of the answer, completed from the listing."""
        if self._message is None:
            listed = self._listed
            date = parse_internal_date(self._date) or listed.internal_date
            flags = flag_set(self._flags)
            self._message = RemoteMessage(listed.uid, listed.size, date, flags, listed.object_id, listed.labels)
        return self._message


def body(
    commands: Commands, wanted: Mapping[int, RemoteMessage], arrived: AbstractSet[int], *, largest: int
) -> Arrived | None:
    """Take the next response if it is a whole message of the usual shape, wanted, and none that has come before."""
    found = commands.wire.whole(BODY, TAIL)
    if found is None or len(found.literal) > largest:
        return None
    uid = int(found.groups[0])
    listed = wanted.get(uid)
    if listed is None or uid in arrived:
        return None
    commands.spend(1)
    commands.wire.forward(found.length)
    return Arrived(commands, listed, found)


def facts(commands: Commands) -> list[tuple[bytes, ...]]:
    """Take the next responses as long as they are facts of the usual shape: UID, flags, date and size of each."""
    found = commands.wire.run(FACTS, FACT)
    if found:
        commands.spend(len(found))
    return found


def sighting(commands: Commands) -> Sighting | None:
    """Take the next response if it is an answer to the identity probe of the usual shape."""
    found = commands.wire.whole(PROBED, TAIL)
    if found is None:
        return None
    uid, flags, date, size, _ = found.groups
    message = RemoteMessage(UID(int(uid)), int(size), parse_internal_date(date), flag_set(flags))
    head = bytes(found.literal)
    commands.spend(1)
    commands.wire.forward(found.length)
    return Sighting(message, head)
