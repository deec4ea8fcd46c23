r"""Labels as mailboxes: where a message shows itself on a server on which it exists once (Gmail, X-GM-EXT-1).

The law of this room: pure. Moving such a message to the trash takes it out of every mailbox, so one that also shows in
a mailbox which the selection leaves out must stay.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mailarchive.model import ALL, INBOX, Mailbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailarchive.model import RemoteMessage
    from mailarchive.policy import Policy

_SYSTEM: Final = {
    "\\sent": "\\Sent",
    "\\starred": "\\Flagged",
    "\\important": "\\Important",
    "\\draft": "\\Drafts",
    "\\drafts": "\\Drafts",
    "\\trash": "\\Trash",
    "\\spam": "\\Junk",
    "\\junk": "\\Junk",
}
_VIEWS: Final = frozenset({"\\Flagged", "\\Important"})
"""Mailboxes that show what a flag or the server's opinion is, and are no places that somebody put a message in."""


class Labels:
    """What the labels of an account mean.

    Attributes:
        everything: The mailbox that shows every message once.
    """

    def __init__(self, mailboxes: Sequence[Mailbox], policy: Policy) -> None:
        self.everything = next(box for box in mailboxes if ALL in box.special_use and box.selectable)
        self._policy = policy
        self._by_wire = {box.wire.decode("utf-8", "replace"): box for box in mailboxes}
        self._by_use = {use: box for box in mailboxes for use in box.special_use}
        self._inbox = next((box for box in mailboxes if box.name == INBOX), Mailbox(INBOX, b"INBOX"))

    @classmethod
    def of(cls, mailboxes: Sequence[Mailbox], policy: Policy, *, labels: bool) -> Labels | None:
        """Make them if the server has labels and shows the mailbox with everything; else None."""
        visible = any(ALL in box.special_use and box.selectable for box in mailboxes)
        return cls(mailboxes, policy) if labels and visible else None

    def places(self, message: RemoteMessage) -> list[Mailbox]:
        """Give the mailboxes that show a message beside the one with everything, by name."""
        found = {place.name: place for place in map(self._place, message.labels or ())}
        return [found[name] for name in sorted(found)]

    def selects(self, message: RemoteMessage) -> bool:
        """Tell whether one of its mailboxes is chosen; one without any is chosen as if it lay in one of its own.

        A mailbox that only shows what a flag or the server's opinion is counts if the user has named it.
        """
        places = self.places(message)
        if any(map(self._policy.chooses, places)):
            return True
        alone = all(place.special_use & _VIEWS for place in places)
        return alone and self._policy.chooses(replace(self.everything, special_use=frozenset()))

    def excluded(self, message: RemoteMessage) -> str:
        """Name a mailbox that shows the message and that the selection leaves out; empty if there is none."""
        for place in self.places(message):
            if place.special_use & _VIEWS:
                # Only if the user has excluded the view itself.
                if not self._policy.refuses(place):
                    continue
                return place.name
            if not self._policy.chooses(place):
                return place.name
        return ""

    def _place(self, label: str) -> Mailbox:
        lowered = label.lower()
        if lowered == "\\inbox":
            return self._inbox
        if lowered in _SYSTEM:
            use = _SYSTEM[lowered]
            return self._by_use.get(use) or Mailbox(label.lstrip("\\"), special_use=frozenset({use}))
        # A label that is not shown over IMAP is a mailbox all the same, of which nothing else is known.
        return self._by_wire.get(label) or Mailbox(label, label.encode("utf-8"), "/")
