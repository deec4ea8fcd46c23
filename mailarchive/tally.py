"""The numbers of a run, row by row.

The law of this room: they only add up. Whoever shows a row can tell whether its numbers fit each other.
"""

from __future__ import annotations

from dataclasses import dataclass


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
class Return:
    """The numbers of one mailbox, or of a whole run, that puts messages back.

    Attributes:
        wanted: Messages that the earlier run deleted.
        put_back: Of these, put back by this run, `size` octets in all.
        there: Of these, on the server before.
        failed: Of these, not put back.
        left: Of these, not reached before the run ended.
    """

    wanted: int = 0
    put_back: int = 0
    there: int = 0
    failed: int = 0
    size: int = 0
    left: int = 0

    @property
    def counts(self) -> tuple[int, ...]:
        """How many were wanted, and then what became of those that were reached."""
        return self.wanted, self.put_back, self.there, self.failed

    def __add__(self, other: Return) -> Return:
        """Add two rows, column by column."""
        return Return(
            self.wanted + other.wanted,
            self.put_back + other.put_back,
            self.there + other.there,
            self.failed + other.failed,
            self.size + other.size,
            self.left + other.left,
        )


@dataclass(frozen=True, slots=True)
class Outlet:
    """The numbers of one mailbox, or of a whole export.

    Attributes:
        found: Messages that were to be written.
        written: Of these, written, `size` octets of mail in all.
        failed: Of these, not written.
    """

    found: int = 0
    written: int = 0
    failed: int = 0
    size: int = 0

    @property
    def counts(self) -> tuple[int, ...]:
        """How many there were, and then what became of them."""
        return self.found, self.written, self.failed

    def __add__(self, other: Outlet) -> Outlet:
        """Add two rows, column by column."""
        return Outlet(
            self.found + other.found,
            self.written + other.written,
            self.failed + other.failed,
            self.size + other.size,
        )


@dataclass(frozen=True, slots=True)
class Intake:
    """The numbers of one mailbox, or of a whole run, that takes in mail of other programs.

    Attributes:
        read: Messages that the source holds, but for what is left out on purpose.
        new: Of these, taken into the archive by this run, `size` octets in all.
        already: Of these, in the archive before.
        failed: Of these, not taken in.
    """

    read: int = 0
    new: int = 0
    already: int = 0
    failed: int = 0
    size: int = 0

    @property
    def counts(self) -> tuple[int, ...]:
        """How many there were, and then what became of them."""
        return self.read, self.new, self.already, self.failed

    def __add__(self, other: Intake) -> Intake:
        """Add two rows, column by column."""
        return Intake(
            self.read + other.read,
            self.new + other.new,
            self.already + other.already,
            self.failed + other.failed,
            self.size + other.size,
        )

    @property
    def adds_up(self) -> bool:
        """Whether the numbers fit each other, as `archive-format.md` section 10 promises."""
        return self.read == self.new + self.already + self.failed
