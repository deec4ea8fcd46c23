"""What the user asked for: which messages are chosen, and which of the chosen stay on the server whatever is asked.

The law of this room: every message is judged here, on what the server said of it, even if the server was asked to
narrow the listing. An unknown date, size or flag never makes a message deletable: it is archived, and it stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC
from enum import StrEnum
from typing import TYPE_CHECKING

from mailarchive.model import DRAFT, FLAGGED, SEEN, Criteria, is_inbox

if TYPE_CHECKING:
    from datetime import datetime

    from mailarchive.model import Envelope, Mailbox, RemoteMessage

SKIPPED_USES = frozenset({"\\Junk", "\\Trash", "\\Drafts", "\\All", "\\Flagged", "\\Important"})
"""Mailboxes with these attributes (RFC 6154) are left out unless a pattern names them exactly.

The last two are views: what they show lies in other mailboxes.
"""


class DateKind(StrEnum):
    """Which date of a message counts."""

    RECEIVED = "received"
    SENT = "sent"


class Keep(StrEnum):
    """Why a chosen message stays on the server; the words that the user reads."""

    FLAGGED = "flagged"
    UNREAD = "unread"
    DRAFT = "a draft"
    SENT_LATER = "sent after the cut-off"
    NO_DATE = "no valid date"
    NO_FLAGS = "flags unknown"
    NO_SIZE = "size unknown"
    NOT_SELECTED = "no longer selected"
    OTHER_LABEL = "also in a mailbox that is not selected"
    PUT_BACK = "put back"
    MARKED = "marked already"
    ENOUGH = "enough was freed"


@dataclass(frozen=True, slots=True)
class HeaderTests:
    """Texts that header fields must contain, case-insensitive; empty means no test."""

    from_: str = ""
    to: str = ""
    subject: str = ""
    list_id: str = ""

    def __bool__(self) -> bool:
        """Tell whether there is any test."""
        return bool(self.from_ or self.to or self.subject or self.list_id)

    def match(self, envelope: Envelope) -> bool:
        """Tell whether every test finds its text."""
        pairs = (
            (self.from_, envelope.from_),
            (self.to, envelope.to),
            (self.subject, envelope.subject),
            (self.list_id, envelope.list_id),
        )
        return all(wanted.casefold() in found.casefold() for wanted, found in pairs)


@dataclass(frozen=True, slots=True)
class Policy:
    """The selection of a run, resolved: instants instead of ages.

    Attributes:
        before: The cut-off: a chosen message is dated strictly before this aware instant.
        after: A chosen message is dated at or after this aware instant.
        date: Which date counts for both.
        sane_until: A Date header at or after this instant is not believed (two days from now).
        mailboxes: Patterns on the full name; a leading `!` excludes; `*` and `?` are the only wildcards.
        demand_mailboxes: Whether a plain name among them that the server does not have is an error of the user.
        larger_than: Chosen messages have more octets. `smaller_than`: fewer.
        headers: What header fields must contain.
        seen: True, only seen ones; False, only unseen ones; None, all. `flagged` likewise.
        imap_search: Raw SEARCH keys, judged by the server alone.
        limit: At most so many messages are fetched by the run, oldest first.
        free: Choose the oldest until their sizes add up to so many octets.
        keep_under: Choose the oldest until the quota use would fall under so many percent.
        keep_flagged: Flagged messages stay. `keep_unread`: unseen ones stay. `keep_put_back`: those stay that were put
            back after a deletion.
        flagless: Whether the protocol has no flags at all, so that no rule about them has anything to act on (POP3).
        relative: Whether the cut-off counts from now, so that a wrong clock chooses wrong messages.
    """

    before: datetime | None = None
    after: datetime | None = None
    date: DateKind = DateKind.RECEIVED
    sane_until: datetime | None = None
    mailboxes: tuple[str, ...] = ()
    demand_mailboxes: bool = True
    larger_than: int | None = None
    smaller_than: int | None = None
    headers: HeaderTests = HeaderTests()
    seen: bool | None = None
    flagged: bool | None = None
    imap_search: str = ""
    limit: int | None = None
    free: int | None = None
    keep_under: float | None = None
    keep_flagged: bool = True
    keep_unread: bool = False
    keep_put_back: bool = True
    flagless: bool = False
    relative: bool = False

    def in_utc(self) -> Policy:
        """Give the same with all instants in UTC: each comparison with one in the local zone asks the system for it."""
        before, after, sane = (when and when.astimezone(UTC) for when in (self.before, self.after, self.sane_until))
        return replace(self, before=before, after=after, sane_until=sane)

    @property
    def needs_dates(self) -> bool:
        """Whether a message can be judged only with the date at which it was received."""
        return self.date is DateKind.RECEIVED and bool(self.before or self.after)

    @property
    def asks_for_flags(self) -> bool:
        """Whether the selection itself is by flag."""
        return self.seen is not None or self.flagged is not None

    @property
    def needs_headers(self) -> bool:
        """Whether a message can be judged only with its header fields."""
        return bool(self.headers) or (self.date is DateKind.SENT and bool(self.before or self.after))

    @property
    def takes_all(self) -> bool:
        """Whether every message of a mailbox is chosen, whatever is known of it."""
        bounds = (self.before, self.after, self.larger_than, self.smaller_than, self.seen, self.flagged)
        return not self.headers and all(bound is None for bound in bounds)

    def criteria(self) -> Criteria:
        """Say what a source may narrow its listing by."""
        received = self.date is DateKind.RECEIVED
        return Criteria(
            received_before=self.before if received else None,
            received_from=self.after if received else None,
            larger_than=self.larger_than,
            smaller_than=self.smaller_than,
            seen=self.seen,
            flagged=self.flagged,
            imap_search=self.imap_search,
        )

    def date_of(self, message: RemoteMessage, envelope: Envelope | None) -> datetime | None:
        """Give the date that counts; None if there is none that can be believed."""
        if self.date is DateKind.RECEIVED:
            return message.internal_date
        sent = envelope.date if envelope else None
        if sent is not None and self.sane_until is not None and sent >= self.sane_until:
            return None
        return sent

    def selects(self, message: RemoteMessage, envelope: Envelope | None = None) -> bool:
        """Tell whether the message is to be archived; what is unknown about it does not speak against it."""
        when = self.date_of(message, envelope)
        if when is not None:
            if self.before is not None and when >= self.before:
                return False
            if self.after is not None and when < self.after:
                return False
        if message.size is not None:
            if self.larger_than is not None and message.size <= self.larger_than:
                return False
            if self.smaller_than is not None and message.size >= self.smaller_than:
                return False
        if message.flags is not None:
            if self.seen is not None and (SEEN in message.flags) != self.seen:
                return False
            if self.flagged is not None and (FLAGGED in message.flags) != self.flagged:
                return False
        return not self.headers or (envelope is not None and self.headers.match(envelope))

    def keeps(
        self, message: RemoteMessage, envelope: Envelope | None, *, excluded: str = "", put_back: bool = False
    ) -> Keep | None:
        """Say why a message must stay on the server, judged on fresh facts; None if nothing speaks for that.

        `envelope` must hold the fields of the identity probe; without it the sending date is unknown, and only then
        is the rule of the younger of two dates not applied. `excluded` is a mailbox outside the selection that shows
        the same message; `put_back` tells that the message was put back after a deletion.
        """
        if not self.selects(message, envelope):
            return Keep.NOT_SELECTED
        if excluded:
            return Keep.OTHER_LABEL
        if put_back and self.keep_put_back:
            return Keep.PUT_BACK
        if (self.before or self.after) and self.date_of(message, envelope) is None:
            return Keep.NO_DATE
        if self._sent_later(envelope):
            return Keep.SENT_LATER
        if message.size is None and (self.larger_than is not None or self.smaller_than is not None):
            return Keep.NO_SIZE
        return self._keeps_by_flags(message.flags)

    def _sent_later(self, envelope: Envelope | None) -> bool:
        """Tell whether the Date header is younger than the cut-off and not in the future."""
        if self.before is None or envelope is None or envelope.date is None:
            return False
        believable = self.sane_until is None or envelope.date < self.sane_until
        return envelope.date >= self.before and believable

    def _keeps_by_flags(self, flags: frozenset[str] | None) -> Keep | None:
        if flags is None:
            return None if self.flagless else Keep.NO_FLAGS
        if self.keep_flagged and FLAGGED in flags:
            return Keep.FLAGGED
        if self.keep_unread and SEEN not in flags:
            return Keep.UNREAD
        return Keep.DRAFT if DRAFT in flags else None

    def chooses(self, mailbox: Mailbox) -> bool:
        """Tell whether a mailbox takes part.

        A pattern with a wildcard does not bring in Junk, Trash, Drafts, All Mail or another user's mailboxes: only
        their exact name does.
        """
        if not mailbox.selectable or self.refuses(mailbox):
            return False
        wanted = [pattern for pattern in self.mailboxes if not pattern.startswith("!")]
        if any(same_name(pattern, mailbox.name) for pattern in wanted):
            return True
        if mailbox.special_use & SKIPPED_USES or not mailbox.personal:
            return False
        return not wanted or any(matches(pattern, mailbox.name) for pattern in wanted)

    def refuses(self, mailbox: Mailbox) -> bool:
        """Tell whether a pattern with a leading `!` leaves this mailbox out."""
        return any(matches(pattern[1:], mailbox.name) for pattern in self.mailboxes if pattern.startswith("!"))

    def missing(self, names: list[str]) -> list[str]:
        """Give the patterns without a wildcard that no mailbox of the server answers to."""
        plain = [p for p in self.mailboxes if not p.startswith("!") and not ("*" in p or "?" in p)]
        return [pattern for pattern in plain if not any(same_name(pattern, name) for name in names)]


def same_name(one: str, other: str) -> bool:
    """Compare mailbox names: INBOX in any case, all others exactly."""
    return one == other or (is_inbox(one) and is_inbox(other))


def matches(pattern: str, name: str) -> bool:
    """Match a full mailbox name: `*` any text (the delimiter too), `?` one character, all else stands for itself."""
    if same_name(pattern, name):
        return True
    # Two pointers with one point of return: linear memory, no regular expression that a pattern could blow up.
    at = star = mark = -1
    at, position = 0, 0
    while position < len(name):
        if at < len(pattern) and pattern[at] == "*":
            star, mark = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", name[position]):
            at += 1
            position += 1
        elif star >= 0:
            mark += 1
            at, position = star + 1, mark
        else:
            return False
    return all(letter == "*" for letter in pattern[at:])
