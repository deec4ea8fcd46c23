"""Where the quota goes on the server: sizes and dates as it lists them, and a few headers for who sent it.

The law of this room: it only lists and asks for header fields, in mailboxes that are open for reading; it never asks
for a body, and it writes nowhere. What a protocol cannot tell is said, not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import chain
from typing import TYPE_CHECKING, Final

from mailarchive import dates, headers, plan
from mailarchive.errors import AccountError, ExitCode, MailboxError, UsageError, worst
from mailarchive.events import Listing, UsageFinished, Warned
from mailarchive.extras import CanNameSenders, HasAdvice, HasAlerts, HasQuota
from mailarchive.labels import Labels
from mailarchive.messages import NO_SIZE, Messages
from mailarchive.model import ALL, DRAFT, FLAGGED, INBOX, JUNK, SEEN, TRASH, Criteria, RemoteMessage, is_lasting
from mailarchive.policy import HeaderTests
from mailarchive.survey import ROWS, compare_names, refuse_impossible
from mailarchive.usage import Senders, Sums, address_of, sizes_of, to_cover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime, tzinfo

    from mailarchive.events import Report
    from mailarchive.model import UID, UIDL, Mailbox, MailboxStatus, Quota
    from mailarchive.policy import Policy
    from mailarchive.ports import Catalogue, OpenMailbox, Source, Stop
    from mailarchive.usage import Large

COVERED: Final = 0.9
"""The share of all octets whose senders are asked for."""
MOST_ASKED: Final = 10_000
"""Messages whose senders are asked for, at most, unless all are."""
VIEWS: Final = frozenset({ALL, "\\Flagged", "\\Important"})
"""Mailboxes whose messages lie in others, so that they take no room of their own (RFC 6154)."""
_YEARS: Final = {**{str(year): str(year) for year in range(1970, 2107)}, "later": "2107"}
"""The years that are told apart, each with the year in which it begins."""


class Heads(Enum):
    """Which headers are asked for: none, those of the largest messages, or all."""

    NONE = auto()
    LARGEST = auto()
    ALL = auto()


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be found out.

    Attributes:
        policy: Which mail counts; without a mailbox in it all count but mere views.
        backup: What a backup that deletes would take off the server, of what counts.
        ages: Names of ages with their cut-offs.
        zone: In which a year begins.
        heads: See there.
        account: What to call the account, its `server`, and in words the `selection`.
    """

    policy: Policy
    backup: Policy
    ages: Sequence[tuple[str, datetime]]
    zone: tzinfo
    heads: Heads = Heads.LARGEST
    account: str = ""
    server: str = ""
    selection: str = ""


@dataclass(slots=True)
class _Box:
    """A mailbox that was listed, the messages of it that count, and headers that had to be asked for at once."""

    mailbox: Mailbox
    status: MailboxStatus
    messages: Messages
    heads: Mapping[UID | UIDL, bytes]


def du(
    source: Source,
    catalogue: Catalogue | None,
    question: Question,
    *,
    report: Report,
    stop: Stop,
    clock: Callable[[], float],
) -> UsageFinished:
    """Look where the octets of an account are.

    Args:
        source: Signed in, for reading.
        catalogue: Of its archive, to be read only; None if there is none.
        question: What to find out.
        report: Hears of every step, last of all of what is returned.
        stop: Asked between mailboxes.
        clock: Seconds of a monotonic clock.

    Raises:
        UsageError: What was asked for cannot be on this server. Other errors as the source has them.
    """
    begun = clock()
    work = _Work(source, catalogue, question, report, stop)
    finished = replace(work.look(), seconds=clock() - begun)
    report(finished)
    return finished


class _Work:
    """One look at one account."""

    def __init__(
        self, source: Source, catalogue: Catalogue | None, question: Question, report: Report, stop: Stop
    ) -> None:
        self._source = source
        self._catalogue = catalogue
        self._question = question
        self._report = report
        self._stop = stop
        self._codes: set[ExitCode] = set()
        self._labels: Labels | None = None
        self._unsaid: list[str] = []

    def look(self) -> UsageFinished:
        policy, can = self._question.policy, self._source.capabilities
        refuse_impossible(policy, can)
        quota = self._source.quota() if isinstance(self._source, HasQuota) else None
        if quota is None and policy.keep_under is not None:
            raise UsageError("this server does not tell its quota, so --keep-under cannot be", hint="use --free SIZE")
        mailboxes, unread = self._source.mailboxes()
        for sentence in unread:
            self._warn(sentence)
        compare_names(policy, mailboxes, self._warn)
        self._labels = Labels.of(mailboxes, policy, labels=can.labels)
        boxes = self._limited(self._listed(mailboxes), quota)
        sums = self._sums(boxes, mailboxes)
        senders, largest = self._people(boxes, sums)
        self._tell_alerts()
        stopped = self._stop()
        if stopped is not None:
            self._codes.add(stopped)
        return UsageFinished(
            account=self._question.account,
            server=self._question.server,
            selection=self._question.selection,
            usage=sums.usage(senders, largest),
            exit_code=worst(self._codes),
            quota=quota,
            labels=can.labels,
            unsaid=tuple(self._unsaid),
            complete=stopped is None,
        )

    def _warn(self, message: str, mailbox: str = "") -> None:
        self._codes.add(ExitCode.PARTIAL)
        self._report(Warned(message, mailbox, serious=True))

    def _tell_alerts(self) -> None:
        """Tell what there is to say of this server, and what it wants a human to read, each sentence once."""
        for sentence in self._source.advice if isinstance(self._source, HasAdvice) else ():
            self._report(Warned(sentence))
        for alert in dict.fromkeys(self._source.alerts if isinstance(self._source, HasAlerts) else ()):
            self._report(Warned(f"the server says: {alert}"))

    # Listing

    def _listed(self, mailboxes: Sequence[Mailbox]) -> list[_Box]:
        chosen = sorted(self._chosen(mailboxes), key=lambda box: (box.name != INBOX, box.name.casefold()))
        steps = len(chosen) * (1 if self._question.heads is Heads.NONE else 2)
        boxes = []
        seen: set[str] = set()
        for number, mailbox in enumerate(chosen):
            if self._stop() is not None:
                break
            self._report(Listing(mailbox.name, number, steps))
            try:
                with self._source.open(mailbox) as box:
                    messages, heads = self._messages(box, mailbox)
                    for sentence in box.doubts:
                        self._warn(sentence, mailbox.name)
                    boxes.append(_Box(mailbox, box.status, self._once(messages, seen), heads))
            except MailboxError as error:
                self._warn(error.message, mailbox.name)
        return boxes

    def _chosen(self, mailboxes: Sequence[Mailbox]) -> list[Mailbox]:
        """Give the mailboxes that take room, or those of them that were named."""
        policy = self._question.policy
        there = [box for box in mailboxes if box.selectable and box.personal and not policy.refuses(box)]
        if self._labels is not None:
            # Spam and trash do not show where everything else does, and take room all the same.
            apart = [box for box in there if box.special_use & {JUNK, TRASH}]
            named = [box for box in apart if not _names_any(policy) or policy.chooses(box)]
            return [self._labels.everything, *named]
        if _names_any(policy):
            return [box for box in mailboxes if policy.chooses(box)]
        return [box for box in there if not box.special_use & VIEWS]

    def _once(self, messages: Messages, seen: set[str]) -> Messages:
        """Leave out what another label has shown, on a server that does not show everything in one mailbox."""
        if not self._source.capabilities.labels or self._labels is not None:
            return messages
        mask = bytearray()
        for message in messages:
            mask.append(message.object_id not in seen)
            seen.add(message.object_id)
        return messages.where(mask)

    def _messages(self, box: OpenMailbox, mailbox: Mailbox) -> tuple[Messages, Mapping[UID | UIDL, bytes]]:
        """List what counts of a mailbox; also gives headers, if it had to be judged by them."""
        policy = self._question.policy
        listed = box.listing(policy.criteria())
        heads: dict[UID | UIDL, bytes] = {}
        if not self._source.capabilities.internal_date:
            listed, heads = self._dated(box, mailbox, listed)
        if self._labels is not None and mailbox == self._labels.everything and _names_any(policy):
            listed = [message for message in listed if self._labels.selects(message)]
        if policy.criteria() != Criteria() or policy.needs_headers:
            loose = replace(policy, headers=HeaderTests())
            listed = [message for message in listed if loose.selects(message)]
        if policy.needs_headers:
            heads.update(box.headers([message for message in listed if message.uid not in heads]))
            listed = [m for m in listed if m.uid in heads and policy.selects(m, headers.envelope(heads[m.uid]))]
        return listed if isinstance(listed, Messages) else Messages(listed), heads

    def _dated(
        self, box: OpenMailbox, mailbox: Mailbox, listed: Sequence[RemoteMessage]
    ) -> tuple[list[RemoteMessage], dict[UID | UIDL, bytes]]:
        """Give the messages with their dates, as far as they were asked for once, or are now (POP3)."""
        found: dict[UID | UIDL, tuple[int | None, datetime | None]] = {}
        if self._catalogue is not None:
            rows = self._catalogue.placements(mailbox.name, box.status.uidvalidity)
            found.update((uid, (row.size, row.internal_date)) for uid, row in rows.items())
            found.update(self._catalogue.dates(mailbox.name))
        known = {m.uid: found[m.uid][1] for m in listed if m.uid in found and found[m.uid][0] == m.size}
        every = self._question.heads is Heads.ALL
        ask = listed if every else [m for m in listed if m.uid not in known and self._question.policy.needs_dates]
        heads = dict(box.headers(ask)) if ask else {}
        known.update((uid, headers.arrival(head)) for uid, head in heads.items())
        if lacking := sum(message.uid not in known for message in listed):
            self._unsaid.append(f"the dates of {lacking} messages: POP3 does not list them; --headers asks for each")
        if not every:
            self._unsaid.append("the senders: POP3 does not list them; --headers asks for each")
        return [message._replace(internal_date=known.get(message.uid)) for message in listed], heads

    def _limited(self, boxes: list[_Box], quota: Quota | None) -> list[_Box]:
        """Take only the oldest of all that counts, where that was asked for."""
        policy = self._question.policy
        if policy.limit is None and policy.free is None and policy.keep_under is None:
            return boxes
        parts = [plan.Listed(box.mailbox, box.status, box.messages, ()) for box in boxes]
        taken = plan.make(parts, policy, quota).mailboxes
        return [replace(box, messages=Messages(part.fetch)) for box, part in zip(boxes, taken, strict=True)]

    # Sums

    def _sums(self, boxes: Sequence[_Box], mailboxes: Sequence[Mailbox]) -> Sums:
        zone = self._question.zone
        sums = Sums([(name, dates.start_of(year, zone)) for name, year in _YEARS.items()], self._question.ages)
        labels = Labels.of(mailboxes, self._question.backup, labels=self._source.capabilities.labels)
        for box in boxes:
            everything = labels is not None and box.mailbox == labels.everything
            sums.add(
                box.mailbox.name,
                box.messages,
                going=self._going(box, labels if everything else None),
                archived=self._archived(box),
                shown_in=_places(box, labels) if labels is not None and everything else None,
            )
        return sums

    def _going(self, box: _Box, labels: Labels | None) -> bytes | None:
        """Say of each message whether a backup that deletes would take it off the server, as far as a list tells."""
        backup = self._question.backup
        if labels is None and not backup.chooses(box.mailbox):
            return None
        stays = box.messages.flagged(frozenset({DRAFT, FLAGGED} if backup.keep_flagged else {DRAFT}))
        going = bytes(not stay for stay in stays)
        if backup.keep_unread and self._source.capabilities.flags:
            seen = box.messages.flagged(frozenset({SEEN}))
            going = bytes(map(min, going, seen))
        if labels is None:
            return going
        shown = (labels.selects(m) and not labels.excluded(m) for m in box.messages)
        return bytes(goes and show for goes, show in zip(going, shown, strict=True))

    def _archived(self, box: _Box) -> bytes | bytearray | None:
        """Say of each message whether the archive has it; None without an archive."""
        catalogue, status = self._catalogue, box.status
        if catalogue is None:
            return None
        if status.uidvalidity is None or not status.uids_stick:
            return bytes(len(box.messages))
        if self._source.capabilities.flags:
            return box.messages.among(int(uid) for uid, _ in catalogue.numbered(box.mailbox.name, status.uidvalidity))
        rows = catalogue.placements(box.mailbox.name, status.uidvalidity)
        return bytes(is_lasting(m.uid) and m.uid in rows and rows[m.uid].size == m.size for m in box.messages)

    # Headers

    def _people(self, boxes: Sequence[_Box], sums: Sums) -> tuple[Senders, list[Large]]:
        """Ask who sent the messages that matter most, and what the largest are about."""
        senders, named = Senders(), sums.largest
        heads = self._question.heads
        if heads is Heads.NONE or (not self._source.capabilities.internal_date and heads is not Heads.ALL):
            return senders, named
        every = heads is Heads.ALL
        floor = 0 if every else to_cover([sizes_of(box.messages) for box in boxes], COVERED, MOST_ASKED)
        left = sum(len(box.messages) for box in boxes) if every else MOST_ASKED
        for number, box in enumerate(boxes):
            if self._stop() is not None:
                break
            large = [each for each in named if each.mailbox == box.mailbox.name]
            mask = bytes(every or (size >= floor and size != NO_SIZE) for size in sizes_of(box.messages))
            asked = box.messages.where(mask)[:left]
            left -= len(asked)
            if not asked and not large:
                continue
            self._report(Listing(box.mailbox.name, len(boxes) + number, 2 * len(boxes)))
            try:
                with self._source.open(box.mailbox) as opened:
                    if opened.status.uidvalidity == box.status.uidvalidity:
                        _ask_senders(opened, box, asked, senders)
                        named = _describe(opened, box, large, named)
            except MailboxError as error:
                self._warn(error.message, box.mailbox.name)
            except AccountError as error:
                # The sums are whole without it, and too good to be lost with the line.
                self._warn(f"not every sender could be asked for: {error.message}", box.mailbox.name)
                self._codes.add(error.exit_code)
                break
        return senders, named


def _ask_senders(opened: OpenMailbox, box: _Box, asked: Messages, senders: Senders) -> None:
    """Count who sent messages, by headers that are known or are asked for; one that is gone meanwhile is left out."""
    for first in range(0, len(asked), ROWS):
        some = asked[first : first + ROWS]
        sizes = {message.uid: message.size or 0 for message in some}
        unknown = [message for message in some if message.uid not in box.heads]
        ask = opened.senders if isinstance(opened, CanNameSenders) else opened.headers
        heads = chain(((uid, box.heads[uid]) for uid in sizes if uid in box.heads), ask(unknown) if unknown else ())
        for uid, head in heads:
            senders.add(_sender(head), sizes[uid])


def _describe(opened: OpenMailbox, box: _Box, large: Sequence[Large], named: Sequence[Large]) -> list[Large]:
    """Say of some of the largest messages who sent them, and about what."""
    wanted = [RemoteMessage(each.uid) for each in large]
    unknown = [message for message in wanted if message.uid not in box.heads]
    heads = {**box.heads, **dict(opened.headers(unknown) if unknown else ())}
    found = []
    for each in named:
        head = heads.get(each.uid) if each in large else None
        if head is None:
            found.append(each)
            continue
        envelope = headers.envelope(head)
        found.append(replace(each, sender=_sender(head) or envelope.from_, subject=envelope.subject))
    return found


def _sender(head: bytes) -> str:
    return address_of(next(iter(headers.fields(head, (b"from",))[b"from"]), b""))


def _places(box: _Box, labels: Labels) -> Iterator[Sequence[str]]:
    """Give the mailboxes that show each message; those without any count for the one with everything."""
    for message in box.messages:
        yield [place.name for place in labels.places(message) if not place.special_use & VIEWS] or [box.mailbox.name]


def _names_any(policy: Policy) -> bool:
    return any(not pattern.startswith("!") for pattern in policy.mailboxes)
