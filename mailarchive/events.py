"""What a job tells the world while it works.

The law of this room: frozen values that go out and bring nothing back. A test can compare a list of them, the JSON
output is made of them field by field, and no algorithm waits for a screen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - the JSON output reads these types at run time
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from mailarchive.errors import ExitCode
    from mailarchive.model import UID, UIDL, Digest, Location, Quota


@dataclass(frozen=True, slots=True)
class Tally:
    """The numbers of one mailbox, or of a whole run; one row of the result table.

    Attributes:
        on_server: Messages in the mailbox.
        selected: Picked by the selection and not gone since.
        already: Of these, in the archive before this run.
        archived: Of these, archived by this run.
        failed: Of these, not archived.
        deleted: Removed from the server by this run.
        kept: Archived and left on the server although a deletion was asked for.
        size: Octets archived by this run.
    """

    on_server: int = 0
    selected: int = 0
    already: int = 0
    archived: int = 0
    deleted: int = 0
    kept: int = 0
    failed: int = 0
    size: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Add two rows, column by column."""
        return Tally(
            self.on_server + other.on_server,
            self.selected + other.selected,
            self.already + other.already,
            self.archived + other.archived,
            self.deleted + other.deleted,
            self.kept + other.kept,
            self.failed + other.failed,
            self.size + other.size,
        )

    def adds_up(self, *, deleting: bool) -> bool:
        """Tell whether the numbers fit each other, as `interface.md` section 7 promises."""
        if self.selected != self.already + self.archived + self.failed:
            return False
        return not deleting or self.already + self.archived == self.deleted + self.kept


@dataclass(frozen=True, slots=True)
class Started:
    """A run begins.

    Attributes:
        run: Its id, as in the manifest.
        account: Name from the configuration, or the user for a one-off.
        server: The URL without any secret.
        archive: The folder.
        selection: The selection in words, with the resolved instant; empty for "everything".
    """

    run: str
    command: str
    account: str
    server: str
    archive: str
    selection: str
    cut_off: datetime | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A mailbox is being listed; `done` of `total` mailboxes are."""

    mailbox: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class PlannedMailbox:
    """What the plan holds for one mailbox; `fetch` messages of `size` octets in all are to be fetched."""

    mailbox: str
    on_server: int
    selected: int
    already: int
    fetch: int
    size: int


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of the whole run; `--dry-run` ends after it."""

    mailboxes: tuple[PlannedMailbox, ...]


@dataclass(frozen=True, slots=True)
class Fetching:
    """The bodies of one mailbox begin to arrive: `count` messages, `size` octets as announced."""

    mailbox: str
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Archived:
    """One message is in the archive and durable, and the catalogue knows it."""

    mailbox: str
    uid: UID | UIDL
    digest: Digest
    size: int
    already: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """One message could not be archived; it stays on the server and is tried again by the next run."""

    mailbox: str
    uid: UID | UIDL
    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """One message was archived but looks wrong, so it will never be deleted."""

    mailbox: str
    uid: UID | UIDL
    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Messages that were listed have been removed since, by another hand."""

    mailbox: str
    count: int


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a human should know that stops nothing; `serious` makes the run end with 3."""

    message: str
    mailbox: str = ""
    serious: bool = False


@dataclass(frozen=True, slots=True)
class MailboxFinished:
    """One mailbox is done."""

    mailbox: str
    tally: Tally


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over.

    Attributes:
        mailboxes: One row for each mailbox with something to say, in the order of the plan.
        total: Their sum.
        exit_code: What the process ends with if this was all.
        quota: What the server says after the run; None if it does not say.
        seconds: Wall time.
        error: One line if the run was cut short, with `hint`.
    """

    run: str
    archive: str
    mailboxes: tuple[tuple[str, Tally], ...]
    total: Tally
    exit_code: ExitCode
    quota: Quota | None = None
    seconds: float = 0.0
    error: str = ""
    hint: str = ""
    kept: tuple[tuple[str, int], ...] = field(default=())


class Flaw(StrEnum):
    """What is wrong with a message of an archive; the words that the user reads."""

    DAMAGED = "damaged"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    MOVED = "moved"
    UNKNOWN = "not in the catalogue"

    @property
    def serious(self) -> bool:
        """Whether the archive does not hold what it should; a moved or an unknown file is whole."""
        return self in (Flaw.DAMAGED, Flaw.MISSING, Flaw.UNREADABLE)


@dataclass(frozen=True, slots=True)
class Verifying:
    """The messages of an archive are about to be read back: `count` of them, `size` octets as far as known."""

    archive: str
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Verified:
    """One message was read back; `flaw` is None if it is what it should be."""

    location: Location
    size: int
    flaw: Flaw | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class VerifyFinished:
    """The verification is over.

    Attributes:
        held: Messages in the archive, files and rows together.
        read: How many of them were read back, `size` octets in all.
        flaws: How many of each kind, in the order of `Flaw`, none that is 0.
        error: One line if it was cut short, with `hint`.
    """

    archive: str
    held: int
    read: int
    size: int
    flaws: tuple[tuple[Flaw, int], ...]
    exit_code: ExitCode
    seconds: float = 0.0
    error: str = ""
    hint: str = ""


Event: TypeAlias = (
    Started
    | Listing
    | Planned
    | Fetching
    | Archived
    | Failed
    | Held
    | Gone
    | Warned
    | MailboxFinished
    | Finished
    | Verifying
    | Verified
    | VerifyFinished
)

Report: TypeAlias = Callable[[Event], None]
