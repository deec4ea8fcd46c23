"""Tells a new catalogue what the manifests of all runs say, in the order in which they were written.

The law of this room: a manifest says where a message was, and the octets in the archive say whether it is there: a row
is made only for octets that are whole, wherever a mail program has moved them. A line that cannot be read is told and
passed over, and its run is not called known, so that no run that deletes passes over it too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from mailarchive import retold
from mailarchive.errors import ArchiveError, DiskError
from mailarchive.events import Flaw, Verified, Warned
from mailarchive.model import DELETED, UIDL, MailboxStatus, Method, Placement
from mailarchive.ports import OpenBatch
from mailarchive.retold import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence
    from datetime import datetime

    from mailarchive.model import UID, Digest, Location
    from mailarchive.ports import Archive, Stop
    from mailarchive.rebuilding import Copy, Rebuilding
    from mailarchive.retold import Key, Line, Shelf, Told

_T = TypeVar("_T")

BATCH: Final = 500
"""Lines that are looked up and committed together."""

_SECOND: Final = len("2026-11-23T081502Z")

MISSING: Final = "a manifest says that it was archived; the next backup fetches it again if the server still has it"


class _Intent(NamedTuple):
    """A deletion whose end no line has told yet."""

    run: str
    told: Told
    at: datetime | None


@dataclass(slots=True)
class Reciter:
    """Goes through all manifests of an archive.

    Attributes:
        tell: Hears of what is missing, and of what cannot be read.
        flawed: Where files are that were told to be damaged already.
        runs: How many manifests there were.
        open: How many deletions are open at the end.
        delimiter: Between the parts of mailbox names, as the manifests say.
    """

    archive: Archive
    catalogue: Rebuilding
    tell: Callable[[Verified | Warned], None]
    flawed: Container[Location]
    runs: int = 0
    open: int = 0
    delimiter: str | None = "/"
    _shelves: dict[str, Shelf] = field(default_factory=dict)
    _numbered: dict[str, int] = field(default_factory=dict)
    _intents: dict[Key, _Intent] = field(default_factory=dict)
    _lifted: dict[Key, tuple[str, str]] = field(default_factory=dict)
    _missing: set[Location] = field(default_factory=set)
    _sane: datetime | None = None

    def recite(self, stop: Stop) -> None:
        """Go through them in the order in which the runs began."""
        for run in self._in_order():
            if stop() is not None:
                return
            self.runs += 1
            _Run(self, run).recite()

    def name_of(self, folder: tuple[str, ...]) -> str | None:
        """Give the mailbox of a folder, as the manifests say or as the folder itself tells."""
        shelf = self._shelves.get("/".join(folder))
        return shelf.name if shelf is not None else self.archive.mailbox_of(folder, self.delimiter)

    def meet(self, shelf: Shelf) -> None:
        """Take note of a mailbox."""
        self._shelves[shelf.folder] = shelf
        self.delimiter = shelf.delimiter or self.delimiter
        if shelf.uidvalidity is not None:
            self._numbered[shelf.name] = shelf.uidvalidity

    def intend(self, intent: _Intent) -> None:
        """Take note of a deletion that was about to be made."""
        self._intents[intent.told.key] = intent

    def close(self, key: Key) -> None:
        """Take note of what became of it, whatever that is."""
        self._intents.pop(key, None)

    def lift(self, key: Key, run: str, fingerprint: str) -> None:
        """Take note that the mark of another program was taken off for a while."""
        self._lifted[key] = (run, fingerprint)

    def give_back(self, key: Key) -> None:
        """Take note that it was put on again."""
        self._lifted.pop(key, None)

    def trust(self, started: datetime | None) -> None:
        """Take note that the clock was right when a run began."""
        self._sane = started or self._sane

    def place(self, run: str, lines: Sequence[tuple[Told, datetime | None]]) -> None:
        """Commit where messages were, as far as their octets are there; one that is not has no row from now on."""
        copies = self.catalogue.copies({told.digest for told, _ in lines})
        rows: dict[Key, Placement] = {}
        for told, at in lines:
            found = copies.get(told.digest, ())
            copy = self._copy(told, found)
            if copy is None:
                rows.pop(told.key, None)
                self._miss(told)
                continue
            rows[told.key] = _placement(told, copy, at)
            if told.labelled:
                shown = self._by_labels(rows[told.key], copy, found)
                rows |= {(row.mailbox, row.uidvalidity, row.uid): row for row in shown}
        self.catalogue.record(run, list(rows.values()))
        for told, _ in lines:
            if told.key not in rows:
                mailbox, uidvalidity, uid = told.key
                self.catalogue.forget(mailbox, uidvalidity, [uid])

    def resume(self, own_run: str) -> None:
        """Commit the deletions that are open, as questions for the next run that looks at the server."""
        batches: dict[tuple[str, str, int, Method], list[_Intent]] = {}
        for intent in self._intents.values():
            mailbox, uidvalidity, _ = intent.told.key
            if uidvalidity is not None and intent.told.method is not None:
                batches.setdefault((intent.run, mailbox, uidvalidity, intent.told.method), []).append(intent)
        for (mailbox, uidvalidity, _), (run, _) in self._lifted.items():
            if uidvalidity is not None:
                batches.setdefault((run, mailbox, uidvalidity, Method.EXCLUSIVE), [])
        for (run, mailbox, uidvalidity, method), intents in batches.items():
            items = tuple(self._item(intent, own_run) for intent in intents)
            lifted = {
                uid: fingerprint
                for (name, generation, uid), (of, fingerprint) in self._lifted.items()
                if method is Method.EXCLUSIVE and (of, name, generation) == (run, mailbox, uidvalidity)
            }
            opened_at = next((intent.at for intent in intents if intent.at is not None), None)
            self.catalogue.reopen(
                OpenBatch(0, run, mailbox, uidvalidity, method, items, frozenset(lifted), lifted, opened_at)
            )
            self.open += len(items)

    def remember(self, own_run: str, sane: datetime | None) -> None:
        """Commit what the next run compares with: the mailboxes as they were numbered last, and the clock."""
        statuses = {
            name: MailboxStatus(self.catalogue.live(name, number), number) for name, number in self._numbered.items()
        }
        self.catalogue.saw(own_run, statuses)
        if (trusted := self._sane or sane) is not None:
            self.catalogue.trust_clock(trusted)

    def _in_order(self) -> list[str]:
        """Give the ids of all runs in order: an id tells the second, and the first line tells more."""
        runs = self.archive.runs()
        seconds = Counter(run[:_SECOND] for run in runs)
        begun = {run: self._begun(run) for run in runs if seconds[run[:_SECOND]] > 1}
        return sorted(runs, key=lambda run: (run[:_SECOND], begun.get(run, ""), run))

    def _begun(self, run: str) -> str:
        """Say when a run began, in a form that sorts; empty if its first line does not say."""
        try:
            first: Line = next(iter(self.archive.told(run, lambda _: None)), {})
            started = retold.instant(first, "started")
        except DiskError:
            raise
        except ArchiveError:
            return ""
        return started.astimezone(UTC).isoformat(timespec="microseconds") if started is not None else ""

    def _copy(self, told: Told, copies: Sequence[Copy]) -> Copy | None:
        """Choose a copy: where it was put, else in the same mailbox, else anywhere."""
        folder = told.location.rpartition("/")[0]
        there = next((copy for copy in copies if copy.location == told.location), None)
        beside = next((copy for copy in copies if copy.folder == folder), None)
        return there or beside or next(iter(copies), None)

    def _miss(self, told: Told) -> None:
        if told.location not in self.flawed and told.location not in self._missing:
            self._missing.add(told.location)
            self.tell(Verified(told.location, 0, Flaw.MISSING, MISSING))

    def _by_labels(self, row: Placement, own: Copy, copies: Sequence[Copy]) -> list[Placement]:
        """Give the rows of its links in the folders of labels, as `batch` makes them: no evidence, and no UID."""
        uid = UIDL(f"gm:{row.object_id or row.digest}")
        shown = []
        for copy in copies:
            shelf = self._shelves.get(copy.folder)
            if copy != own and shelf is not None and shelf.name not in self._numbered:
                changed = replace(row, mailbox=shelf.name, uidvalidity=None, uid=uid, location=copy.location)
                shown.append(replace(changed, origin="label"))
        return shown

    def _item(self, intent: _Intent, own_run: str) -> tuple[Placement, bool]:
        """Give a message of an open deletion; it has a row even if its copy is gone, so that it can be asked for."""
        told = intent.told
        mailbox, uidvalidity, uid = told.key
        row = self.catalogue.rows(mailbox, uidvalidity, [uid]).get(uid)
        if row is None:
            copies = self.catalogue.copies([told.digest]).get(told.digest, ())
            row = _placement(told, self._copy(told, copies), intent.at)
            self.catalogue.record(own_run, [row])
        return replace(row, digest=told.digest), DELETED in (told.flags or ())


class _Run:
    """Goes through the manifest of one run; what is of one kind is committed together, in the order of the lines."""

    def __init__(self, reciter: Reciter, run: str) -> None:
        self._reciter = reciter
        self._catalogue = reciter.catalogue
        self._run = run
        self._kind = ""
        self._waiting: list[Any] = []
        self._at: datetime | None = None
        self._started: datetime | None = None
        self._whole = True
        self._takers: dict[str, Callable[[Line], None]] = {
            "mailbox": lambda line: reciter.meet(retold.shelf(line)),
            "archived": lambda line: self._wait("archived", (retold.told(line), self._at)),
            "imported": lambda line: self._wait("archived", (retold.imported(line), self._at)),
            "compared": lambda line: self._wait("compared", _Comparison.of(line)),
            "returning": lambda line: self._wait("returning", (retold.digest(line), retold.words(line, "ident"))),
            "expunging": lambda line: reciter.intend(_Intent(run, retold.told(line), self._at)),
            "expunged": self._expunged,
            "kept": lambda line: reciter.close(retold.key(line)),
            "lifted": lambda line: reciter.lift(retold.key(line), run, retold.words(line, "fingerprint")),
            "given_back": lambda line: reciter.give_back(retold.key(line)),
            "finished": self._finished,
        }
        self._makers: dict[str, Callable[[list[Any]], None]] = {
            "archived": lambda some: reciter.place(run, some),
            "compared": self._compare,
            "returning": lambda some: self._catalogue.remember_put_back(run, some),
            "expunged": self._leave,
        }

    def recite(self) -> None:
        """Go through it to its end, as far as it can be read."""
        begun = False
        try:
            for line in self._reciter.archive.told(self._run, self._bad):
                if not begun:
                    begun = True
                    if not self._begin(line):
                        return
                try:
                    self._at = retold.instant(line, "at") or self._at
                    if (taker := self._takers.get(str(line.get("type")))) is not None:
                        taker(line)
                except UnreadableError as error:
                    self._bad(error.message)
            self._flush()
        except DiskError:
            raise
        except ArchiveError as error:
            self._bad(error.message)
            self._flush()
        if begun and not self._whole:
            self._catalogue.strike(self._run)

    def _begin(self, line: Line) -> bool:
        """Take the first line; gives whether the manifest is of this archive."""
        of = line.get("archive")
        if of is not None and of != self._reciter.archive.id:
            self._tell("is of another archive, and was left out")
            return False
        facts = {name: line[name] for name in ("command", "started", "selection", "cut_off") if name in line}
        self._catalogue.begin(self._run, {"command": "unknown", "started": "", **facts})
        self._started = retold.instant(line, "started")
        return True

    def _bad(self, sentence: str) -> None:
        self._whole = False
        # The second it was of is not known, so that of those behind it is not either.
        self._at = None
        self._tell(f"has a line that cannot be used, and the rest is: {sentence}")

    def _tell(self, what: str) -> None:
        self._reciter.tell(Warned(f"the manifest of run {self._run} {what}", serious=True))

    def _wait(self, kind: str, what: object) -> None:
        """Keep it until there are enough of its kind, or one of another kind comes."""
        if kind != self._kind or len(self._waiting) >= BATCH:
            self._flush()
        self._kind = kind
        self._waiting.append(what)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._makers[self._kind](waiting)

    def _expunged(self, line: Line) -> None:
        key = retold.key(line)
        self._reciter.close(key)
        self._wait("expunged", (key, self._at))

    def _leave(self, some: list[tuple[Key, datetime | None]]) -> None:
        for (mailbox, uidvalidity), uids in _by_mailbox((key, at) for key, at in some).items():
            self._catalogue.leave(mailbox, uidvalidity, uids)

    def _compare(self, some: list[_Comparison]) -> None:
        """Commit what second fetches showed, of those messages whose row is of the octets that were compared."""
        for (mailbox, uidvalidity), found in _by_mailbox((each.key, each) for each in some).items():
            rows = self._catalogue.rows(mailbox, uidvalidity, list(found))
            same = {uid: each.hold for uid, each in found.items() if uid in rows and rows[uid].digest == each.digest}
            self._catalogue.confirm(mailbox, uidvalidity, same)

    def _finished(self, line: Line) -> None:
        if line.get("sane") is True:
            self._reciter.trust(self._started)
        self._flush()
        facts = {name: line[name] for name in ("counts", "exit") if name in line} | {"ended": self._at}
        self._catalogue.finish(self._run, facts)


class _Comparison(NamedTuple):
    """What a second fetch of a message showed: why it must be held, empty if the octets were the same."""

    key: Key
    digest: Digest
    hold: str

    @classmethod
    def of(cls, line: Line) -> _Comparison:
        """Read a line `compared`."""
        return cls(retold.key(line), retold.digest(line), retold.words(line, "hold"))


def _by_mailbox(entries: Iterable[tuple[Key, _T]]) -> dict[tuple[str, int | None], dict[UID | UIDL, _T]]:
    """Part values by the generation of a mailbox; of one UID the last one counts."""
    found: dict[tuple[str, int | None], dict[UID | UIDL, _T]] = {}
    for (mailbox, uidvalidity, uid), value in entries:
        found.setdefault((mailbox, uidvalidity), {})[uid] = value
    return found


def _placement(told: Told, copy: Copy | None, at: datetime | None) -> Placement:
    """Make the row of a message; without a copy it is one that nothing is deleted for, and that can be asked for."""
    mailbox, uidvalidity, uid = told.key
    return Placement(
        mailbox=mailbox,
        uidvalidity=uidvalidity,
        uid=uid,
        digest=told.digest,
        size=copy.size if copy is not None else told.size,
        location=copy.location if copy is not None else told.location,
        internal_date=told.internal_date,
        flags=told.flags,
        # Where a line does not say what was announced, only a second fetch makes the message deletable.
        size_announced=told.announced,
        ident=copy.ident if copy is not None else told.ident or "",
        hold=told.hold or (copy.hold if copy is not None else ""),
        origin=told.origin,
        archived_at=at,
        object_id=told.object_id,
    )
