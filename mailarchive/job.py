"""What a job carries with it: who asked, the ports, the numbers, and what went wrong.

The law of this room: no decision is made here. Rows and codes only add up what the jobs have seen and told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailarchive.errors import ExitCode
from mailarchive.events import Tally, Warned

if TYPE_CHECKING:
    from mailarchive.events import Report
    from mailarchive.model import Run
    from mailarchive.policy import Policy
    from mailarchive.ports import Archive, Catalogue, Stop


@dataclass(slots=True)
class Work:
    """One run of a job on one account.

    Attributes:
        rows: The row of each mailbox that has been begun, by name.
        codes: What the run has to end with so far.
        not_reached: Messages to fetch in mailboxes that were begun, and that the run was stopped before.
        waiting: Messages to fetch in the mailboxes that have not been begun, by name.
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

    def warn(self, message: str, mailbox: str = "", *, serious: bool = True) -> None:
        """Tell a human something that stops nothing; a serious one makes the run end with 3."""
        if serious:
            self.codes.add(ExitCode.PARTIAL)
        self.report(Warned(message, mailbox, serious))

    def count(self, mailbox: str, **more: int) -> None:
        """Add to the row of a mailbox."""
        self.rows[mailbox] = self.rows[mailbox] + Tally(**more)
