"""A source that tries again: it connects anew, opens the mailbox anew, and goes on where the line broke.

The law of this room: only reading is done again here. What came whole is not asked for again, and each message comes
once; a mailbox with another UIDVALIDITY is another mailbox. Nothing that changes the server is repeated: who deletes
is told, and looks first (`removal.py`).
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeAlias, TypeVar

from mailarchive.errors import (
    AccountError,
    AgainError,
    ExitCode,
    LaterError,
    ProtocolError,
    RenumberedError,
    SpoiltError,
)
from mailarchive.extras import CanAbandon, CanFollow, CanGlance, CanNameSenders, HasAdvice, HasAlerts, HasQuota
from mailarchive.model import NotFetched
from mailarchive.ports import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from mailarchive.messages import Messages, Remembered
    from mailarchive.model import (
        UID,
        UIDL,
        Capabilities,
        Criteria,
        Mailbox,
        MailboxStatus,
        Quota,
        RemoteMessage,
        Sighting,
    )
    from mailarchive.ports import Chunk, Incoming, OpenMailbox, WritableMailbox
    from mailarchive.sources.patience import Patience

    _Asking: TypeAlias = "Callable[[Sequence[RemoteMessage]], Iterator[tuple[UID | UIDL, bytes]]]"

_Value = TypeVar("_Value")

ROUND: Final = 20_000
"""Messages that are kept track of at a time."""
TOO_LARGE: Final = "it is larger than the transfer budget of the run (--max-bytes)"


class Renewable(Source, Protocol):
    """A source that can connect anew."""

    def renew(self) -> None:
        """Drop the line and sign in on a new one. Raises AccountError."""
        ...

    def close(self, *, polite: bool = True) -> None:
        """End the session."""
        ...


def signed_in(connect: Callable[[], _Value], patience: Patience) -> _Value:
    """Connect and sign in for the first time; a server that asks for patience is waited for."""
    while True:
        try:
            source = connect()
        except AccountError as error:
            patience.wait(error, first=True)
        else:
            patience.achieved()
            return source


class PatientSource:
    """A source on a line that may break; see `ports.Source` and `extras.CanRenew`. Use it as a context manager.

    Args:
        connect: Connects and signs in.
        patience: How long to wait, and how often to try.
        most: Octets of messages that may be fetched; None for any number.
    """

    def __init__(self, connect: Callable[[], Renewable], patience: Patience, most: int | None = None) -> None:
        self._patience = patience
        self._most = most
        self._spent = 0
        self._source = signed_in(connect, patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(polite=error is None)

    def close(self, *, polite: bool = True) -> None:
        """End the session."""
        self._source.close(polite=polite)

    @property
    def capabilities(self) -> Capabilities:
        """What this server can do."""
        return self._source.capabilities

    @property
    def alerts(self) -> Sequence[str]:
        """What the server wants a human to read, foreign text."""
        return self._source.alerts if isinstance(self._source, HasAlerts) else ()

    @property
    def advice(self) -> Sequence[str]:
        """What a human should know of this server."""
        return self._source.advice if isinstance(self._source, HasAdvice) else ()

    def abandon(self) -> None:
        """Drop the line without a goodbye, where a goodbye means something."""
        if isinstance(self._source, CanAbandon):
            self._source.abandon()

    def mailboxes(self) -> tuple[list[Mailbox], list[str]]:
        """List the mailboxes, and a sentence for each line that could not be read."""
        return self._asked(self._source.mailboxes)

    def quota(self) -> Quota | None:
        """Ask for the quota; None if the server has none, or does not say."""
        source = self._source
        return self._asked(source.quota) if isinstance(source, HasQuota) else None

    def glance(self, mailboxes: Sequence[Mailbox]) -> Mapping[str, MailboxStatus]:
        """Say how mailboxes stand without opening them; nothing where the server cannot."""
        source = self._source
        return self._asked(lambda: source.glance(mailboxes)) if isinstance(source, CanGlance) else {}

    def _asked(self, question: Callable[[], _Value]) -> _Value:
        answer = self.repeat(question)
        self.achieved()
        return answer

    @contextmanager
    def open(self, mailbox: Mailbox) -> Iterator[PatientMailbox]:
        """Open a mailbox for reading."""
        with ExitStack() as stack:
            box = self.enter(stack, lambda: self._source.open(mailbox))
            kind = FollowedMailbox if isinstance(box, CanFollow) else PatientMailbox
            yield kind(self, mailbox, box, stack)

    @contextmanager
    def select(self, mailbox: Mailbox) -> Iterator[WritableMailbox]:
        """Open a mailbox for deleting; only the opening is tried again."""
        with ExitStack() as stack:
            yield self.enter(stack, lambda: self._source.select(mailbox))

    def enter(self, stack: ExitStack, opened: Callable[[], AbstractContextManager[_Value]]) -> _Value:
        """Open something, again if need be."""
        return self.repeat(lambda: stack.enter_context(opened()))

    def repeat(self, work: Callable[[], _Value]) -> _Value:
        """Do something that changes nothing, again on a new line if need be."""
        while True:
            try:
                return work()
            except AccountError as error:
                self.renew(error)

    def achieved(self) -> None:
        """Hear that something came on this line."""
        self._patience.achieved()

    def renew(self, error: AccountError, *, achieved: bool = False) -> None:
        """Wait and sign in on a new line, or raise the error if that makes no sense.

        Args:
            error: What went wrong.
            achieved: Whether anything came of the last attempt.
        """
        if achieved:
            self._patience.achieved()
        while True:
            self._patience.wait(error)
            try:
                self._source.renew()
            except AccountError as another:
                error = another
            else:
                return

    def reopened(self, stack: ExitStack, mailbox: Mailbox) -> OpenMailbox:
        """Open a mailbox once more."""
        return self.enter(stack, lambda: self._source.open(mailbox))

    def affordable(self, messages: Sequence[RemoteMessage]) -> int:
        """Say how many of these, in their order, the budget allows."""
        if self._most is None:
            return len(messages)
        left = self._most - self._spent
        for index, message in enumerate(messages):
            size = message.size or 0
            if size <= self._most:
                left -= size
            if left < 0:
                return index
        return len(messages)

    def exceeding(self, messages: Sequence[RemoteMessage]) -> Sequence[RemoteMessage]:
        """Give those that are more than the budget each by itself."""
        most = self._most
        return () if most is None else [each for each in messages if (each.size or 0) > most]

    def spend(self, octets: int) -> None:
        """Count octets of messages that have come."""
        self._spent += octets
        self.achieved()


class PatientMailbox:
    """A mailbox on a line that may break, opened for reading; see `ports.OpenMailbox`."""

    def __init__(self, source: PatientSource, mailbox: Mailbox, box: OpenMailbox, stack: ExitStack) -> None:
        self._source = source
        self._mailbox = mailbox
        self._stack = stack
        self._doubts: list[str] = []
        self.box = box

    @property
    def status(self) -> MailboxStatus:
        """What the server said when it was opened last."""
        return self.box.status

    @property
    def doubts(self) -> Sequence[str]:
        """Why what was read is not to be trusted for a deletion."""
        return [*self._doubts, *self.box.doubts]

    def listing(self, criteria: Criteria) -> Sequence[RemoteMessage]:
        """List the messages; a listing that broke off is begun anew."""
        found = self.again(lambda: self.box.listing(criteria))
        self._source.achieved()
        return found

    def present(self, uids: Sequence[UID | UIDL]) -> Collection[UID | UIDL]:
        """Say which of these are there."""
        return self.again(lambda: self.box.present(uids))

    def headers(self, messages: Sequence[RemoteMessage]) -> Iterator[tuple[UID | UIDL, bytes]]:
        """Give header fields; after a line that broke, those that have not come."""
        return self._heads(messages, lambda: self.box.headers)

    def _heads(
        self, messages: Sequence[RemoteMessage], asking: Callable[[], _Asking]
    ) -> Iterator[tuple[UID | UIDL, bytes]]:
        done: set[UID | UIDL] = set()
        while True:
            some = [each for each in messages if each.uid not in done] if done else messages
            try:
                for uid, head in asking()(some):
                    done.add(uid)
                    yield uid, head
            except AccountError as error:
                self._reopen(error, achieved=bool(done))
            else:
                return

    def probe(self, uids: Sequence[UID | UIDL]) -> Iterator[Sighting]:
        """Look at messages afresh; a look that broke off is one from the beginning, so that it is of one moment."""
        yield from self.again(lambda: list(self.box.probe(uids)))

    def fetch(self, messages: Sequence[RemoteMessage]) -> Iterator[Incoming | NotFetched]:
        """Give the bodies, each once, as far as the budget goes.

        Raises:
            LaterError: The transfer budget is used up.
            AccountError: The line is dead, and the patience at its end.
            RenumberedError: It is another mailbox after a new sign-in.
        """
        for first in range(0, len(messages), ROUND):
            some = messages[first : first + ROUND]
            affordable = self._source.affordable(some)
            yield from self._some(some[:affordable])
            if affordable < len(some):
                what = "the transfer budget of this run (--max-bytes) is used up"
                raise LaterError(what, hint="the next run goes on there", final=True)

    def _some(self, messages: Sequence[RemoteMessage]) -> Iterator[Incoming | NotFetched]:
        done: set[UID | UIDL] = set()
        for message in self._source.exceeding(messages):
            done.add(message.uid)
            yield NotFetched(message.uid, TOO_LARGE)
        while True:
            try:
                yield from self._arriving(
                    [each for each in messages if each.uid not in done] if done else messages, done
                )
            except SpoiltError as error:
                yield self._given_up(error, done)
            except AccountError as error:
                self._reopen(error)
            else:
                return

    def _arriving(self, messages: Sequence[RemoteMessage], done: set[UID | UIDL]) -> Iterator[Incoming | NotFetched]:
        """Give what comes on this line, and note it in `done`."""
        for arrival in self.box.fetch(messages):
            if isinstance(arrival, NotFetched):
                done.add(arrival.uid)
                yield arrival
                continue
            guarded = _Guarded(arrival)
            yield guarded
            if guarded.trouble is not None:
                raise guarded.trouble
            if guarded.whole:
                done.add(arrival.message.uid)
                self._source.spend(guarded.octets)

    def _given_up(self, error: SpoiltError, done: set[UID | UIDL]) -> NotFetched:
        """Leave a message out in whose answer the server made no sense, and go on with the others on a new line."""
        uid = error.uid
        if uid is None or uid in done:
            raise error
        self._doubts.append(error.message)
        self._reopen(error)
        done.add(uid)  # type: ignore[arg-type] # the source that raised it gave it its own name
        return NotFetched(uid, error.message, code=ExitCode.PROTOCOL)  # type: ignore[arg-type] # likewise

    def again(self, work: Callable[[], _Value]) -> _Value:
        """Do something that changes nothing, again in the mailbox opened anew if need be."""
        while True:
            try:
                return work()
            except AccountError as error:
                self._reopen(error)

    def _reopen(self, error: AccountError, *, achieved: bool = False) -> None:
        """Open the mailbox on a new line, or raise the error; another generation of it is a RenumberedError."""
        before = self.box.status.uidvalidity
        self._doubts += self.box.doubts
        self._source.renew(error, achieved=achieved)
        self.box = self._source.reopened(self._stack, self._mailbox)
        if self.box.status.uidvalidity != before:
            raise RenumberedError


class FollowedMailbox(PatientMailbox):
    """One that can say what has changed in it, and who has sent what; see `CanFollow` and `CanNameSenders`."""

    def senders(self, messages: Sequence[RemoteMessage]) -> Iterator[tuple[UID | UIDL, bytes]]:
        """Give the field From; after a line that broke, of those that have not come."""
        return self._heads(messages, self._senders_of)

    def _senders_of(self) -> _Asking:
        return self.box.senders if isinstance(self.box, CanNameSenders) else self.box.headers

    @property
    def steady(self) -> bool:
        """Whether it can be followed from here on."""
        return isinstance(self.box, CanFollow) and self.box.steady

    def follow(self, before: Remembered) -> Messages | None:
        """Give all messages by what has changed; None if all of them must be listed."""
        return self.again(lambda: self.box.follow(before) if isinstance(self.box, CanFollow) else None)


class _Guarded:
    """A message that is arriving; a line that dies under it makes it one that comes again."""

    __slots__ = ("_incoming", "octets", "trouble", "whole")

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self.octets = 0
        self.trouble: AccountError | None = None
        self.whole = False

    @property
    def message(self) -> RemoteMessage:
        """What the server says of it."""
        return self._incoming.message

    def chunks(self) -> Iterator[Chunk]:
        """Give the octets."""
        try:
            for chunk in self._incoming.chunks():
                self.octets += len(chunk)
                yield chunk
        except AccountError as error:
            self.trouble = error
            if isinstance(error, ProtocolError) and not isinstance(error, SpoiltError):
                with suppress(ProtocolError):
                    self.trouble = SpoiltError(error.message, self._incoming.message.uid)
            raise AgainError(error.message) from None
        self.whole = True
