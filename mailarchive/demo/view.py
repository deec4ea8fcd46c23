r"""What one session sees of its selected mailbox: sequence numbers, `\Recent`, and what it has not been told yet.

The law of this room (RFC 3501 section 7.4.1): a sequence number changes only when an EXPUNGE is announced, and that
happens only when the session says that it may. A message that is gone but not announced keeps its number, and its
bytes can still be read (RFC 2180 section 4.1.3).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from mailarchive.demo.syntax import SYSTEM_FLAGS, BadError

if TYPE_CHECKING:
    from mailarchive.demo.mailbox import Mailbox, Message
    from mailarchive.demo.syntax import SequenceSet

Numbered = tuple[int, "Message"]
"""A sequence number of this view and its message."""


class View:
    """A selected mailbox; a `mailbox.Listener`.

    Attributes:
        writable: False after EXAMINE.
        messages: Those announced, by sequence number less one.
    """

    def __init__(self, mailbox: Mailbox, *, writable: bool) -> None:
        self.mailbox = mailbox
        self.writable = writable
        self._lock = mailbox.account.lock
        self._new: list[Message] = []
        self._flagged: dict[Message, None] = {}
        self._shrunk = False
        with self._lock:
            self.messages, recent_from = mailbox.attach(self)
            self._uids = [message.uid for message in self.messages]
            self._recent = {uid for uid in self._uids if uid >= recent_from}
            self._keywords = mailbox.keywords

    def close(self) -> None:
        """Hear nothing more of the mailbox."""
        self.mailbox.detach(self)

    def appended(self, message: Message, *, recent: bool) -> None:
        """Note a new message."""
        self._new.append(message)
        if recent:
            self._recent.add(message.uid)

    def expunged(self, message: Message) -> None:  # noqa: ARG002 - the message itself says that it is gone
        """Note that a message is gone."""
        self._shrunk = True

    def flagged(self, message: Message) -> None:
        """Note that the flags of a message are others now."""
        self._flagged[message] = None

    def select(self, numbers: SequenceSet, *, uid: bool) -> list[Numbered]:
        """Give the messages of a set by rising number.

        By UID, those that are not there are passed over (RFC 3501 section 6.4.8), those that are gone but not yet
        announced too. By number, they are given.

        Raises:
            BadError: A sequence number is larger than the mailbox.
        """
        with self._lock:
            return self._by_uid(numbers) if uid else self._by_number(numbers)

    def flags(self, message: Message) -> bytes:
        r"""Write the flags of a message, with `\Recent` if it is so here."""
        flags = sorted(message.flags)
        if message.uid in self._recent:
            flags.append("\\Recent")
        return b"(%s)" % " ".join(flags).encode()

    def is_recent(self, message: Message) -> bool:
        r"""Tell whether a message is `\Recent` in this session."""
        return message.uid in self._recent

    def told(self, message: Message) -> None:
        """Note that the client has just been given the flags of a message."""
        self._flagged.pop(message, None)

    def size_lines(self) -> list[bytes]:
        """Give EXISTS and RECENT."""
        recent = len(self._recent.intersection(self._uids)) if self._recent else 0
        return [b"* %d EXISTS\r\n" % len(self.messages), b"* %d RECENT\r\n" % recent]

    def flags_line(self) -> bytes:
        """Give the FLAGS response: all that are in use or may be."""
        self._keywords = self.mailbox.keywords
        return b"* FLAGS (%s)\r\n" % " ".join(SYSTEM_FLAGS + self._keywords).encode()

    def announce(self, *, expunges: bool) -> list[bytes]:
        """Give the untagged responses for all that has changed since the last time.

        Args:
            expunges: Whether EXPUNGE may be among them; if not, those wait.
        """
        with self._lock:
            lines = []
            if self._keywords != self.mailbox.keywords:
                lines.append(self.flags_line())
            if expunges and self._shrunk:
                lines += self._announce_expunged()
            arrived = [message for message in self._new if not message.expunged]
            self._new.clear()
            if arrived:
                self.messages += arrived
                self._uids += [message.uid for message in arrived]
                lines += self.size_lines()
            lines += [self._flags_response(message) for message in self._flagged if not message.expunged]
            self._flagged.clear()
            return lines

    def _announce_expunged(self) -> list[bytes]:
        # From the highest number down, so that no announced number moves those still to come.
        lines = [
            b"* %d EXPUNGE\r\n" % number
            for number in range(len(self.messages), 0, -1)
            if self.messages[number - 1].expunged
        ]
        self.messages = [message for message in self.messages if not message.expunged]
        self._uids = [message.uid for message in self.messages]
        self._shrunk = False
        return lines

    def _flags_response(self, message: Message) -> bytes:
        number = bisect_left(self._uids, message.uid) + 1
        return b"* %d FETCH (UID %d FLAGS %s)\r\n" % (number, message.uid, self.flags(message))

    def _by_uid(self, numbers: SequenceSet) -> list[Numbered]:
        found: list[Numbered] = []
        for first, last in numbers.ranges(self._uids[-1] if self._uids else 0):
            start = bisect_left(self._uids, first)
            end = bisect_right(self._uids, last, start)
            found += enumerate(self.messages[start:end], start + 1)
        return [each for each in found if not each[1].expunged]

    def _by_number(self, numbers: SequenceSet) -> list[Numbered]:
        found: list[Numbered] = []
        ranges = numbers.ranges(len(self.messages))
        if not ranges or ranges[0][0] < 1 or ranges[-1][1] > len(self.messages):
            raise BadError("there is no message of that number")
        for first, last in ranges:
            found += enumerate(self.messages[first - 1 : last], first)
        return found
