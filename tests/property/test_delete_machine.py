"""Any sequence of runs, kills, lies and other people's doings, in memory: P1, P2 and P3 hold at every instant."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mailarchive import batch, removal
from mailarchive.errors import DiskError, ExitCode
from mailarchive.model import DELETED, DRAFT, FLAGGED, UID, Capabilities, Method
from mailarchive.policy import Policy
from tests.jobs import CUT, old, run_backup, run_prune, run_undo, young
from tests.jobs import yes as agreed
from tests.memory import MemoryArchive, MemoryCatalogue, MemorySource, Steps, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailarchive.extras import Appending
    from mailarchive.model import Mailbox
    from tests.memory import MemoryMessage

BOXES = ["INBOX", "Work"]
KINDS = ["old", "old", "equal", "young", "flagged", "draft", "undated"]
CHANGES = ["store", "unmark", "expunge", "move", "append"]
METHODS = [Method.EXPUNGE, Method.EXPUNGE, Method.TRASH, Method.EXCLUSIVE]

boxes = st.sampled_from(BOXES)
picks = st.integers(0, 30)
Kill = tuple[int, bool] | tuple[str, int] | None
"""Where a run is killed: at a step by number, before or after it; before the nth step of a name; not at all."""
# A run of a few messages has some forty steps; those that change the server are the narrow ones.
kills = (
    st.none() | st.tuples(st.integers(0, 45), st.booleans()) | st.tuples(st.sampled_from(CHANGES), st.integers(1, 3))
)
disks = st.sampled_from(["", "", "", "", "add", "sync", "manifest"])


def hostile(does: Callable[..., None]) -> Callable[..., None]:
    """Keep a rule for the examples in which the server is hostile."""
    guarded: Callable[..., None] = precondition(lambda self: self.hostile)(does)
    return guarded


class Source(MemorySource):
    """Notes what was put back."""

    def __init__(self) -> None:
        super().__init__()
        self.back: set[bytes] = set()

    def append(self, mailbox: Mailbox, message: Appending) -> UID | None:
        """Take a message."""
        uid = super().append(mailbox, message)
        self.back.add(b"".join(bytes(chunk) for chunk in message.chunks()))
        return uid


class Deletions(RuleBasedStateMachine):
    """A server, an archive, and everybody who may touch them.

    What was delivered is either on the server, or in the archive, or somebody else removed it (`others`), or the test
    itself spoiled the only copy of it (`spoiled`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.source, self.archive, self.catalogue = Source(), MemoryArchive(), MemoryCatalogue()
        self.source.boxes = {"INBOX": {}, "Work": {}, "Trash": {}}
        self.source.special["Trash"] = frozenset({"\\Trash"})
        self.source.leaving = self.leaves
        self.delivered: list[bytes] = []
        self.others: set[bytes] = set()
        self.spoiled: set[bytes] = set()
        self.foreign: list[MemoryMessage] = []
        self.arrived: Counter[tuple[str, bytes]] = Counter()
        self.honest = True
        self.steady = True
        self.hostile = False
        self.runs = 0
        self.run = ""
        self.deleting_run = ""
        self.include_restored = False
        self.last_method = Method.EXPUNGE

    # The server and other people

    @initialize(hostile=st.booleans())
    def begin(self, hostile: bool) -> None:
        """Begin with some mail, on a server that may be hostile."""
        self.hostile = hostile
        for kind in ("old", "old", "young", "old"):
            self.deliver("INBOX", kind, 0)

    @rule(box=boxes, kind=st.sampled_from(KINDS), pick=picks)
    def deliver(self, box: str, kind: str, pick: int) -> None:
        """Deliver a message; many are of one day and of one size, so that only their headers tell them apart."""
        number = len(self.delivered) + 10
        message = young(number) if kind == "young" else old(number)
        message.internal_date = message.internal_date if kind == "young" else old(0).internal_date
        if kind == "equal" and self.delivered:
            message.octets = self.delivered[pick % len(self.delivered)]
        elif kind == "flagged":
            message.flags |= {FLAGGED}
        elif kind == "draft":
            message.flags |= {DRAFT}
        elif kind == "undated":
            message.internal_date = None
        self.delivered.append(message.octets)
        self.arrived[box, message.octets] += 1
        self.source.add(box, message)

    @rule(box=boxes, pick=picks)
    def flag(self, box: str, pick: int) -> None:
        r"""Flag a message, or take the flag off."""
        for _, message in self.some(box, pick):
            message.flags ^= {FLAGGED}

    @rule(box=boxes, pick=picks)
    def mark_by_another(self, box: str, pick: int) -> None:
        r"""Another client marks a message `\Deleted`; on one that our journal holds, theirs and ours look alike."""
        held = {(each.mailbox, row.uid) for each in self.catalogue.open_batches() for row, _ in each.items}
        for uid, message in self.some(box, pick):
            if DELETED not in message.flags and (box, uid) not in held:
                message.flags |= {DELETED}
                self.foreign.append(message)

    @rule(box=boxes, pick=picks, into=st.sampled_from([*BOXES, ""]))
    def remove_by_another(self, box: str, pick: int, into: str) -> None:
        """Another client expunges a message or moves it; one that carries a mark of ours must be safe already."""
        for uid, message in self.some(box, pick):
            if DELETED in message.flags and not self.is_foreign(message) and self.honest:
                assert message.octets in self.archive.durable.values(), "a mark of ours on an unproved message"
            del self.source.boxes[box][uid]
            if into:
                self.source.add(into, message)
                self.arrived[into, message.octets] += 1
                self.foreign += [message] if DELETED in message.flags else []
            else:
                self.others.add(message.octets)

    @hostile
    @rule(lie=st.sampled_from(["", "", "store", "expunge", "all"]))
    def lie(self, lie: str) -> None:
        """The server begins to lie, or ends it."""
        self.source.lies = {lie} - {""}
        self.honest = self.honest and not lie

    @hostile
    @rule(box=boxes, pick=picks, size=st.sampled_from([-1, 7, None]))
    def announce(self, box: str, pick: int, size: int | None) -> None:
        """The server announces another size."""
        for _, message in self.some(box, pick):
            message.size = size
            self.steady = False

    @hostile
    @rule(box=boxes)
    def renumber(self, box: str) -> None:
        """UIDVALIDITY changes, and all UIDs with it."""
        messages = list(self.source.boxes[box].values())
        self.source.uidvalidity[box] = (self.source.uidvalidity[box] or 0) + 1
        self.source.boxes[box] = {UID(number): message for number, message in enumerate(messages, 1)}
        self.source.next_uids[box] = len(messages) + 1
        self.honest = False

    @hostile
    @rule(box=boxes)
    def move_uids(self, box: str) -> None:
        """UIDs move under the same UIDVALIDITY."""
        uids = sorted(self.source.boxes[box])
        messages = [self.source.boxes[box][uid] for uid in uids]
        self.source.boxes[box] = dict(zip(uids, [*messages[1:], *messages[:1]], strict=True))
        self.honest = False

    # The archive

    @precondition(lambda self: self.archive.durable)
    @rule(pick=picks, how=st.sampled_from(["damaged", "lost"]))
    def spoil(self, pick: int, how: str) -> None:
        """A copy is damaged or lost; it is excused only if the server has the message no more."""
        place = sorted(self.archive.durable)[pick % len(self.archive.durable)]
        self.spoiled.add(self.archive.durable[place])
        self.spoiled -= self.on_server()
        if how == "damaged":
            self.archive.durable[place] = b"rotten " + self.archive.durable[place][7:]
        else:
            del self.archive.durable[place]

    # We

    @rule(kill=kills, disk=disks)
    def backup(self, kill: Kill, disk: str) -> None:
        """Back up, and delete nothing."""
        before = self.changes()
        self.go(run_backup, kill, disk)
        assert self.changes() == before, "a run that may not delete changed the server"

    @rule(kill=kills, disk=disks, method=st.sampled_from(METHODS), again=st.booleans())
    def backup_and_delete(self, kill: Kill, disk: str, method: Method, again: bool) -> None:
        """Back up and delete; `again`: with what was put back."""
        self.delete(run_backup, kill, disk, method, again=again)

    @rule(kill=kills, disk=disks, method=st.sampled_from(METHODS))
    def prune(self, kill: Kill, disk: str, method: Method) -> None:
        """Delete what is archived."""
        self.delete(run_prune, kill, disk, method)

    @precondition(lambda self: self.deleting_run in self.archive.manifests)
    @rule(kill=kills)
    def undo(self, kill: Kill) -> None:
        """Take the last run back that deleted."""
        self.go(run_undo, kill, "", of=self.deleting_run)

    def delete(self, job: Any, kill: Kill, disk: str, method: Method, *, again: bool = False) -> None:
        """Run a job that deletes."""
        self.include_restored = again
        self.last_method = method
        self.source.capabilities = Capabilities(move=True, uidplus=method is not Method.EXCLUSIVE)
        policy = Policy(before=CUT, keep_put_back=not again)
        done = self.go(job, kill, disk, policy=policy, deletion=agreed(method=method))
        self.deleting_run = self.run
        if done and self.honest and self.steady:
            left = [m for box in BOXES for m in self.source.boxes[box].values() if DELETED in m.flags]
            assert all(map(self.is_foreign, left)), "a mark of ours was left behind"

    def go(self, job: Any, kill: Kill, disk: str, **options: Any) -> bool:
        """Run a job, that is killed or meets a disk that fails; gives whether it ended well."""
        self.runs += 1
        self.run = f"run{self.runs}"
        steps = Steps(*kill) if kill is not None and isinstance(kill[0], int) else Steps()
        left = kill[1] if kill is not None and isinstance(kill[0], str) else 0

        def between(name: str) -> None:
            nonlocal left
            if kill is not None and name == kill[0]:
                left -= 1
                if not left:
                    raise Stopped(name)

        self.source.between = between
        self.source.steps = self.archive.steps = self.catalogue.steps = steps
        self.archive.read_cold.clear()
        if disk:
            setattr(self.archive, f"fail_{disk}", DiskError("full"))
        try:
            finished, _ = job(self.source, self.archive, self.catalogue, run=self.run, **options)
        except Stopped:
            return False
        finally:
            self.archive.discard()
            self.archive.fail_add = self.archive.fail_sync = self.archive.fail_manifest = None
        assert finished.exit_code is not ExitCode.BUG
        return bool(finished.exit_code in (ExitCode.DONE, ExitCode.PARTIAL))

    # What must hold

    def leaves(self, box: str, uid: UID, message: MemoryMessage) -> None:
        """Judge a removal by our command, at the moment of it (P1, P3)."""
        ours = any(
            (found.run, found.mailbox, found.uidvalidity) == (self.run, box, self.source.uidvalidity[box])
            and uid in found.proof
            for found in self.catalogue.batches.values()
        )
        if not ours:
            assert "all" in self.source.lies, "P3: a message that was not named is removed"
            self.others.add(message.octets)
            return
        read = [self.archive.durable.get(place) for place in self.archive.read_cold]
        assert message.octets in read, "P1: not in the archive, or not re-read in this run"
        assert message.internal_date is not None, "P3: no date"
        assert message.internal_date < CUT, "P3: young"
        assert not {FLAGGED, DRAFT} & message.flags, "P3: flagged, or a draft"
        assert self.include_restored or message.octets not in self.source.back, "put back, and deleted again"

    @invariant()
    def nothing_is_lost(self) -> None:
        """P2: archive, server and what others removed hold all that was delivered."""
        held = set(self.archive.durable.values()) | self.on_server() | self.others | self.spoiled
        assert set(self.delivered) <= held, "P2: a message is lost"

    @invariant()
    def nothing_is_doubled(self) -> None:
        """What comes back comes back once, while the server is steady enough to know it again."""
        if self.honest and self.steady:
            there = Counter((box, m.octets) for box in BOXES for m in self.source.boxes[box].values())
            assert there <= self.arrived, "a message is there twice"

    @invariant()
    def marks_of_others_stay(self) -> None:
        """A mark of another program is there, or the journal says that it is to be given back."""
        if not self.honest or not self.steady:
            return
        lifted = {(each.mailbox, uid) for each in self.catalogue.open_batches() for uid in each.lifted}
        for box in BOXES:
            for uid, message in self.source.boxes[box].items():
                if self.is_foreign(message):
                    assert DELETED in message.flags or (box, uid) in lifted, "a mark of another program is lost"

    def teardown(self) -> None:
        """With nobody in the way the tool comes to rest: nothing to fetch, nothing to delete, nothing open."""
        self.source.lies.clear()
        self.include_restored = False
        self.source.capabilities = Capabilities(move=True, uidplus=self.last_method is not Method.EXCLUSIVE)
        self.go(run_backup, ("expunge", 1 + len(self.delivered) % 2), "", deletion=agreed(method=self.last_method))
        self.settled_marks()
        for _ in range(4):
            self.go(run_backup, None, "", deletion=agreed())
        self.include_restored = False
        before = self.changes()
        self.source.fetched.clear()
        assert self.go(run_backup, None, "", deletion=agreed()) or self.spoiled_still()
        assert self.changes() == before
        assert self.source.fetched == []
        assert self.catalogue.open_batches() == []
        self.nothing_is_lost()

    def settled_marks(self) -> None:
        """A run that may delete and picks nothing leaves every mark as others made it."""
        before = [(m, m.flags) for box in BOXES for m in self.source.boxes[box].values()]
        for message, flags in before:
            message.flags = flags | {FLAGGED}
        self.delete(run_prune, None, "", Method.EXPUNGE)
        if self.honest and self.steady:
            self.marks_of_others_stay()
            assert self.catalogue.open_batches() == []
        for message, flags in before:
            message.flags = message.flags if FLAGGED in flags else message.flags - {FLAGGED}

    # Words

    def some(self, box: str, pick: int) -> Iterator[tuple[UID, MemoryMessage]]:
        """Pick one message of a mailbox, if there is any."""
        uids = sorted(self.source.boxes[box])
        if uids:
            yield uids[pick % len(uids)], self.source.boxes[box][uids[pick % len(uids)]]

    def on_server(self) -> set[bytes]:
        """Give the octets that are on the server."""
        return {message.octets for box in self.source.boxes.values() for message in box.values()}

    def is_foreign(self, message: MemoryMessage) -> bool:
        """Tell whether another client has marked it."""
        return any(message is each for each in self.foreign)

    def changes(self) -> str:
        """Show the server as it is."""
        return repr(sorted((name, sorted(box.items())) for name, box in self.source.boxes.items()))

    def spoiled_still(self) -> bool:
        """Tell whether a copy is damaged, which ends every run with 13."""
        return any(octets.startswith(b"rotten ") for octets in self.archive.durable.values())


Deletions.TestCase.settings = settings(
    max_examples=1200, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "BATCH_MESSAGES", 2)
    monkeypatch.setattr(removal, "BATCH", 2)


# Time enough to make a failure small.
TestDeletions = pytest.mark.timeout(400)(Deletions.TestCase)
