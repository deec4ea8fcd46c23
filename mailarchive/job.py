"""What a job carries with it: who asked, the ports, the numbers, and what went wrong.

The law of this room: no decision is made here. Rows and codes only add up what the jobs have seen and told.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from mailarchive.errors import ExitCode
from mailarchive.events import Warned
from mailarchive.model import Method
from mailarchive.ports import at_once
from mailarchive.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mailarchive.events import Planned, Report
    from mailarchive.expunge import How
    from mailarchive.labels import Labels
    from mailarchive.model import Placement, Run
    from mailarchive.policy import Policy
    from mailarchive.ports import Archive, Catalogue, Later, Stop


class Answer(Enum):
    """What the user says to a plan that deletes.

    `GIVEN` is a yes that was given before the plan was known (`--yes`, `delete = true`); `SAID` is the yes of a person
    who has seen it, which also overrules the guard of the clock.
    """

    NO = auto()
    GIVEN = auto()
    SAID = auto()


@dataclass(frozen=True, slots=True)
class Deletion:
    """What the user asked to be deleted, and how; the selection itself is the policy.

    Attributes:
        consent: Asked once, with the plan, before anything is fetched.
        method: As asked for. `from_config`: whether it was the configuration that asked.
        max_delete: Nothing is deleted if the plan holds more messages.
        archived_before: Only what was archived at or before this instant is deleted; None for any.
    """

    consent: Callable[[Planned], Answer]
    method: Method = Method.AUTO
    from_config: bool = False
    max_delete: int | None = None
    archived_before: datetime | None = None


@dataclass(slots=True)
class Work:
    """One run of a job on one account.

    Attributes:
        rows: The row of each mailbox that has been begun, by name.
        codes: What the run has to end with so far.
        not_reached: Messages to fetch in mailboxes that were begun, and that the run was stopped before.
        waiting: Messages to fetch in the mailboxes that have not been begun, by name.
        labels: What labels mean, on a server that has them.
        kept: Why messages stayed on the server although a deletion was asked for.
        held: Why nothing more may be deleted in a mailbox, by its name.
        stranded: Messages that an interrupted deletion has left in the trash (Gmail).
        how: How the run deletes; None if it does not.
        archived_before: Only what was archived at or before this instant is deleted; None for any.
        later: Where a batch is made durable, or copies are read back, while the server is busy.
        clock: Seconds of a monotonic clock.
        to_fetch: Octets that the plan fetches, as announced.
        lost: Whether the disk has failed under a batch in this run; the second time ends it.
    """

    run: Run
    archive: Archive
    catalogue: Catalogue
    policy: Policy
    report: Report
    stop: Stop
    rows: dict[str, Tally] = field(default_factory=dict)
    codes: set[ExitCode] = field(default_factory=set)
    not_reached: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    labels: Labels | None = None
    kept: Counter[str] = field(default_factory=Counter)
    held: dict[str, str] = field(default_factory=dict)
    stranded: list[Placement] = field(default_factory=list)
    how: How | None = None
    archived_before: datetime | None = None
    later: Later = at_once
    clock: Callable[[], float] = lambda: 0.0
    to_fetch: int = 0
    lost: bool = False

    def warn(self, message: str, mailbox: str = "", *, serious: bool = True) -> None:
        """Tell a human something that stops nothing; a serious one makes the run end with 3."""
        if serious:
            self.codes.add(ExitCode.PARTIAL)
        self.report(Warned(message, mailbox, serious))

    def count(self, mailbox: str, **more: int) -> None:
        """Add to the row of a mailbox."""
        self.rows[mailbox] = self.rows[mailbox] + Tally(**more)
