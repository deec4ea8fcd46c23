"""What a job tells the world while it works.

The law of this room: frozen values that go out and bring nothing back. A test can compare a list of them, the JSON
output is made of them field by field, and no algorithm waits for a screen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - the JSON output reads these types at run time
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from mailarchive.tally import Intake, Outlet, Return, Tally  # noqa: TC001 - the JSON output reads these types at run time

if TYPE_CHECKING:
    from mailarchive.errors import ExitCode
    from mailarchive.model import UID, UIDL, Digest, ItemState, Location, Quota
    from mailarchive.usage import Usage


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
    """What the plan holds for one mailbox.

    Attributes:
        fetch: Messages to be fetched, of `size` octets in all.
        delete: Messages to be deleted on the server, of `delete_size` octets in all, if the run may delete.
        keep: Chosen messages that stay on the server, if the run may delete.
    """

    mailbox: str
    on_server: int
    selected: int
    already: int
    fetch: int
    size: int
    delete: int = 0
    delete_size: int = 0
    keep: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of the whole run; `--dry-run` ends after it.

    Attributes:
        deleting: Whether the run was asked to delete.
        method: How, in a word of `--delete-method`; empty if it was not asked to.
        kept: Why chosen messages will stay on the server as far as the listing tells, and how many.
        quota: What the server says before the run; None if it does not say.
        held: Why nothing at all may be deleted in this run; empty if nothing speaks against it.
        complete: Whether all mailboxes were listed; False if the run was stopped before.
    """

    mailboxes: tuple[PlannedMailbox, ...]
    deleting: bool = False
    method: str = ""
    kept: tuple[tuple[str, int], ...] = ()
    quota: Quota | None = None
    held: str = ""
    complete: bool = True

    @property
    def delete(self) -> int:
        """How many messages the run would delete."""
        return sum(box.delete for box in self.mailboxes)

    @property
    def delete_size(self) -> int:
        """Their octets, as announced."""
        return sum(box.delete_size for box in self.mailboxes)


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
class Deleting:
    """The deletion in one mailbox begins: `count` candidates of `size` octets are proved, and then removed."""

    mailbox: str
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Expunged:
    """One message has left its place on the server; `state` says how: gone, or in the trash."""

    mailbox: str
    uid: UID | UIDL
    digest: Digest
    size: int
    state: ItemState


@dataclass(frozen=True, slots=True)
class Kept:
    """One message stays on the server although a deletion was asked for; `reason` says why."""

    mailbox: str
    uid: UID | UIDL
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """A deletion that an earlier run left open has been looked at.

    Attributes:
        run: The earlier run.
        gone: Messages that it did delete.
        back: Messages that are still there, with our marks taken off them.
        open: Messages that are still there and still carry our marks, because this run may not touch them.
        abandoned: Messages that were left alone, because the server numbers them anew or shows others.
    """

    run: str
    mailbox: str
    gone: int = 0
    back: int = 0
    open: int = 0
    abandoned: int = 0


@dataclass(frozen=True, slots=True)
class Restoring:
    """The messages of one mailbox are about to be put back: `count` of them, `size` octets in all."""

    mailbox: str
    count: int
    size: int


@dataclass(frozen=True, slots=True)
class PutBack:
    """One message is on the server again; `already` if it was there before this run."""

    mailbox: str
    digest: Digest
    size: int
    already: bool = False


@dataclass(frozen=True, slots=True)
class NotPutBack:
    """One message could not be put back."""

    mailbox: str
    digest: Digest
    reason: str


@dataclass(frozen=True, slots=True)
class RestoreFinished:
    """A run that puts messages back is over.

    Attributes:
        run: Its id.
        of: The run whose deletions it took back.
        mailboxes: One row for each mailbox, in the order of the manifest. `total`: their sum.
        quota: What the server says after the run; None if it does not say.
        error: One line if it was cut short, with `hint`.
    """

    run: str
    of: str
    archive: str
    mailboxes: tuple[tuple[str, Return], ...]
    total: Return
    exit_code: ExitCode
    quota: Quota | None = None
    seconds: float = 0.0
    error: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Importing:
    """A source of an import is about to be read; it takes `size` octets in all."""

    source: str
    size: int


@dataclass(frozen=True, slots=True)
class Imported:
    """One message of a source is in the archive and durable, or in a dry run would be.

    Attributes:
        source: The file. `offset`: where the message begins in it, if it holds several.
        extent: Octets that it takes there.
        size: Octets of the message itself.
        already: Whether the archive had it before.
    """

    mailbox: str
    source: str
    offset: int | None
    digest: Digest
    extent: int
    size: int
    already: bool = False


@dataclass(frozen=True, slots=True)
class NotImported:
    """One message of a source, or a file of it, could not be taken in."""

    mailbox: str
    source: str
    offset: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class ImportFinished:
    """A run that takes in mail of other programs is over.

    Attributes:
        mailboxes: One row for each mailbox, in the order in which they were met. `total`: their sum.
        left_out: Why messages were left out on purpose, and how many; they are in no row.
        error: One line if it was cut short, with `hint`.
    """

    run: str
    archive: str
    mailboxes: tuple[tuple[str, Intake], ...]
    total: Intake
    exit_code: ExitCode
    left_out: tuple[tuple[str, int], ...] = ()
    seconds: float = 0.0
    error: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The server asks for patience, or the line broke: after some seconds the run tries again."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Exporting:
    """An export begins: in which form, and where to."""

    form: str
    to: str


@dataclass(frozen=True, slots=True)
class Exported:
    """One message was written."""

    mailbox: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class NotExported:
    """One message could not be written."""

    mailbox: str
    digest: Digest
    reason: str


@dataclass(frozen=True, slots=True)
class ExportFinished:
    """An export is over.

    Attributes:
        mailboxes: One row for each mailbox, in the order in which they were met. `total`: their sum.
        files: How many were written.
        error: One line if it was cut short, with `hint`; then nothing is left of it.
    """

    form: str
    to: str
    mailboxes: tuple[tuple[str, Outlet], ...]
    total: Outlet
    files: int
    exit_code: ExitCode
    seconds: float = 0.0
    error: str = ""
    hint: str = ""


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
        kept: Why messages stayed on the server although a deletion was asked for, and how many.
        quota_before: What the server said before; None if it did not say, or if nothing was to be deleted.
        deleting: Whether the run was asked to delete, and was allowed to.
        method: How it deleted, in a word of `--delete-method`; empty if it did not.
        undo: The command that puts back what was deleted; empty if nothing was.
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
    kept: tuple[tuple[str, int], ...] = ()
    quota_before: Quota | None = None
    deleting: bool = False
    method: str = ""
    undo: str = ""


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


@dataclass(frozen=True, slots=True)
class Reindexing:
    """The messages of an archive are about to be read, `count` of them, to make its catalogue anew."""

    archive: str
    count: int


@dataclass(frozen=True, slots=True)
class ReindexFinished:
    """A catalogue was made from the files, or was not.

    Attributes:
        read: Messages that were read, of `size` octets in all.
        placed: Places on the server that manifests vouch for. `listed`: that only a list beside the mail names.
        expunged: Those of both whose message has left the server by our hand.
        unplaced: Files of which nothing says where they were.
        open: Messages whose deletion was begun, and nobody knows the end of; the next run looks.
        runs: Manifests that were read.
        flaws: What is wrong with messages, and with how many, in the order of `Flaw`, none that is 0.
        complete: Whether the catalogue is a new one; else it is as it was.
        set_aside: The name under which the old one is kept; empty for none.
        error: One line if it was cut short, with `hint`.
    """

    archive: str
    read: int
    size: int
    placed: int
    listed: int
    expunged: int
    unplaced: int
    open: int
    runs: int
    flaws: tuple[tuple[Flaw, int], ...]
    exit_code: ExitCode
    complete: bool = True
    set_aside: str = ""
    seconds: float = 0.0
    error: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class UsageFinished:
    """A look at where the octets of an account are is over.

    Attributes:
        account: Name from the configuration, or the user for a one-off. `server`: the URL without any secret.
        selection: Which mail counts, in words; empty for all.
        quota: What the server says; None if it does not say.
        labels: Whether mailboxes are labels, so that a message may count for several of them.
        unsaid: What the protocol does not tell, in sentences.
        complete: Whether all mailboxes were looked at; False if it was stopped before.
    """

    account: str
    server: str
    usage: Usage
    exit_code: ExitCode
    selection: str = ""
    quota: Quota | None = None
    labels: bool = False
    unsaid: tuple[str, ...] = ()
    complete: bool = True
    seconds: float = 0.0


Event: TypeAlias = (
    Started
    | Listing
    | Planned
    | Fetching
    | Archived
    | Failed
    | Held
    | Gone
    | Deleting
    | Expunged
    | Kept
    | Settled
    | Restoring
    | PutBack
    | NotPutBack
    | RestoreFinished
    | Importing
    | Imported
    | NotImported
    | ImportFinished
    | Waiting
    | Exporting
    | Exported
    | NotExported
    | ExportFinished
    | Warned
    | MailboxFinished
    | Finished
    | Verifying
    | Verified
    | VerifyFinished
    | Reindexing
    | ReindexFinished
    | UsageFinished
)

Report: TypeAlias = Callable[[Event], None]
