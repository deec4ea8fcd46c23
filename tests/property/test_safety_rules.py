"""Every safety rule has a test that goes red without it: rules are taken out of a copy of the package, one by one.

A rule is an exact piece of the source and what is put in its place. If the piece is not found any more, the test fails
with the name of the rule: rewrite the piece, never drop the rule.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "mailarchive"

EXPUNGE = "tests/core/test_expunge.py"
REMOVAL = "tests/core/test_removal.py"
FAULTS = "tests/core/test_removal_faults.py"
PROVING = "tests/core/test_proving.py"
RETRY = "tests/core/test_retry.py"
PRUNE = "tests/core/test_prune.py"
RECONCILE = "tests/core/test_reconcile.py"
RESTORE = "tests/core/test_restore.py"
REINDEX = "tests/core/test_reindex.py"
LOSSES = "tests/crash/test_reindex_points_memory.py"
CATALOGUE = "tests/contract/test_catalogue.py"
FOLLOW = "tests/core/test_follow.py"
LOST = "tests/core/test_lost_batch.py"


@dataclass(frozen=True)
class Rule:
    """A rule, what takes it away, and the tests that must notice."""

    name: str
    module: str
    without: tuple[tuple[str, str], ...]
    tests: str


def rule(name: str, module: str, old: str, new: str, tests: str) -> Rule:
    """Make a rule of one piece."""
    return Rule(name, module, ((old, new),), tests)


RULES = [
    # The evidence
    rule(
        "C1: a row of another UIDVALIDITY is no evidence",
        "expunge.py",
        "if row.uidvalidity != status.uidvalidity:",
        "if False:",
        EXPUNGE,
    ),
    rule(
        "C1: only a fetch or a manifest is evidence",
        "expunge.py",
        'if row.origin not in ("fetched", "manifest"):',
        "if False:",
        EXPUNGE,
    ),
    rule("C1: a held message stays", "expunge.py", "if row.hold:", "if False:", EXPUNGE),
    rule(
        "C1: a lying size needs a second fetch",
        "expunge.py",
        "!= row.size_announced and not row.confirmed",
        "< 0",
        EXPUNGE,
    ),
    rule(
        "C2: the copy must match",
        "expunge.py",
        "return None if each.read_back == row.digest else Refusal.DAMAGED",
        "return None",
        EXPUNGE,
    ),
    rule(
        "C2: the copy is read, not believed",
        "proving.py",
        "read_back(self._work.archive, row.location)[0]",
        "row.digest",
        REMOVAL,
    ),
    rule("C2: what is being read is waited for", "proving.py", "self._wait()\n        copies", "copies", PROVING),
    rule("C2: what was read long ago is read again", "proving.py", "> FRESH", "< 0", PROVING),
    rule(
        "C2: trouble holds what was read before",
        "examining.py",
        "if order is not None and self.trouble:",
        "if False:",
        PROVING,
    ),
    rule("C2: what is gone since is no copy", "proving.py", "in copies.proofs if not", "in () if not", PROVING),
    rule("C2: damage counts whatever else is said", "examining.py", "if copies.damaged:", "if False:", PROVING),
    rule("C3: read-only mailboxes are left", "expunge.py", "if not status.writable:", "if False:", EXPUNGE),
    rule("C3: UIDs that do not stay mean nothing", "expunge.py", "if not status.uids_stick:", "if False:", EXPUNGE),
    rule(
        "C4: Message-ID, Date and From are compared",
        "expunge.py",
        "and envelope.ident == placement.ident",
        "",
        EXPUNGE,
    ),
    rule(
        "C4: INTERNALDATE is compared", "expunge.py", "and fresh.internal_date == placement.internal_date", "", EXPUNGE
    ),
    rule("C4: ids are compared", "expunge.py", "and len(ids) <= 1", "", EXPUNGE),
    rule(
        "C4: one changed identity holds the mailbox",
        "expunge.py",
        "if Refusal.OTHER_MESSAGE in objections:",
        "if False:",
        EXPUNGE,
    ),
    rule(
        "C4: and holds what was not read back yet",
        "expunge.py",
        "reason in (None, Refusal.NOT_READ_BACK)",
        "reason is None",
        EXPUNGE,
    ),
    rule(
        "C4: and holds the batches that come",
        "removal.py",
        'elif held := self.remover.held or self.work.held.get(self.name, ""):',
        "elif held := self.remover.held:",
        FAULTS,
    ),
    rule("C5, C6: the policy is asked again", "expunge.py", "if keep is not None:", "if False:", EXPUNGE),
    rule("C7: a guard holds everything", "expunge.py", "if guards.held:", "if False:", EXPUNGE),
    rule("C7: a copy must be old enough", "expunge.py", "row.archived_at > guards.archived_before", "False", EXPUNGE),
    rule(
        "two answers for one UID keep it",
        "expunge.py",
        "Refusal.TWICE if seen[each.uid] > 1 else",
        "",
        EXPUNGE,
    ),
    rule(
        "Gmail: no deletion without an id",
        "expunge.py",
        "if how.method is Method.GMAIL and not fresh.object_id:",
        "if False:",
        EXPUNGE,
    ),
    rule(
        "exclusive: a marked candidate that stays is a stranger",
        "expunge.py",
        "frozenset(marked) - ordered",
        "frozenset(marked) - set(seen)",
        EXPUNGE,
    ),
    rule(
        "a deletion is planned on a listing of this run",
        "survey.py",
        "box.steady and not deleting and",
        "box.steady and",
        FOLLOW,
    ),
    rule(
        "all of a mailbox is listed once a week",
        "survey.py",
        "before.listed_at < FRESH",
        "before.listed_at < 1000 * FRESH",
        FOLLOW,
    ),
    rule(
        "a run that may delete opens every mailbox",
        "survey.py",
        "if not deleting and len(known) >= FEW",
        "if len(known) >= FEW",
        FOLLOW,
    ),
    rule("only four equal numbers say that nothing has changed", "survey.py", "now == then and", "", FOLLOW),
    # The order of things
    rule(
        "D4: the manifest is synced before the intent is committed",
        "removal.py",
        "manifest.sync()\n        return self.work",
        "return self.work",
        REMOVAL,
    ),
    Rule(
        "D4: the intent comes before the deletion",
        "removal.py",
        (
            ("number = self._intend(box, order)", "pass"),
            ("self._record(number, order,", "self._record(self._intend(box, order), order,"),
        ),
        REMOVAL,
    ),
    rule(
        "D7: silence is no absence",
        "removal.py",
        "set(box.present(deleted)) if deleted else set()",
        "set()",
        FAULTS,
    ),
    rule(
        "D8: what is gone is told though no disk takes it",
        "removal.py",
        "        finally:\n",
        "        except ZeroDivisionError:\n            pass\n        else:\n",
        FAULTS,
    ),
    rule(
        "D8: what a dead line leaves open is unknown",
        "removal.py",
        "if order is not None:\n            self.keep(order.uids, Refusal.UNKNOWN)",
        "if order is None:\n            self.keep([], Refusal.UNKNOWN)",
        FAULTS,
    ),
    rule("on a new line it looks first", "removal.py", "                broken = True", "                pass", RETRY),
    rule(
        "a mailbox numbered anew is another", "sources/retry.py", "uidvalidity != before", "uidvalidity is True", RETRY
    ),
    rule("a garbled answer holds", "sources/retry.py", "self._doubts.append(error.message)", "pass", RETRY),
    rule("W2: a disk that fails twice ends the run", "batch.py", "if work.lost:", "if False:", LOST),
    rule(
        "W2: what it lost is void", "batch.py", "self._drop()\n        self.void += again", "self.void += again", LOST
    ),
    # What stops a deletion
    rule("damage ends every deletion of the run", "examining.py", "self.trouble = DAMAGED", "pass", FAULTS),
    rule(
        "and the trouble of a batch is that of the run",
        "removal.py",
        "self.remover.held or examiner.trouble",
        "self.remover.held",
        FAULTS,
    ),
    Rule(
        "the look comes after all else that is asked",
        "examining.py",
        (
            ("        seen, twice = look(box, copies.uids)\n", ""),
            ("        marked = box", "        seen, twice = look(box, copies.uids)\n        marked = box"),
        ),
        REMOVAL,
    ),
    rule(
        "the alarm of the last look stops the mailbox",
        "examining.py",
        "self._alarm(refused)",
        "pass",
        FAULTS,
    ),
    rule("a held mailbox is left", "removal.py", " or part.held", "", PRUNE),
    rule(
        "the doubts of the archive hold",
        "removal.py",
        "self.held or guards.place(self.work.archive.doubts)",
        "self.held",
        PRUNE,
    ),
    rule("a server that ignores us is not trusted again", "removal.py", "elif result.ignored:", "elif False:", PRUNE),
    rule(
        "a server that removes others' mail is not trusted again",
        "removal.py",
        "if result.strangers:",
        "if False:",
        PRUNE,
    ),
    rule("nothing is deleted without a yes", "course.py", "or answer is Answer.NO", "", PRUNE),
    rule("--max-delete holds", "course.py", "guards.amount(the_plan.leaving, deletion.max_delete)", '""', PRUNE),
    rule(
        "a clock in doubt holds", "course.py", 'held or ("" if answer is Answer.SAID else self._doubt)', "held", PRUNE
    ),
    rule("a clock in doubt is not believed", "course.py", "if self._sane:", "if True:", PRUNE),
    rule("a dry run ends with the plan", "course.py", "if not self._dry_run:", "if True:", PRUNE),
    rule("a dry run settles nothing", "course.py", "if self._dry_run:", "if False:", RECONCILE),
    rule("a second fetch that differs is held", "backup.py", '"" if same else CHANGING', '""', REMOVAL),
    # What an earlier run left open
    rule("our marks come off", "reconcile.py", "box.mark(in_order(ours), deleted=False)", "pass", RECONCILE),
    rule("marks that were there before us stay", "reconcile.py", "and not was_deleted", "", RECONCILE),
    rule(
        "a renumbered mailbox is left alone",
        "reconcile.py",
        "if box.status.uidvalidity != batch.uidvalidity:",
        "if False:",
        RECONCILE,
    ),
    rule(
        "another message is left alone",
        "reconcile.py",
        "if not same_message(",
        "if not isinstance(None, object) and (",
        RECONCILE,
    ),
    rule("marks left behind stay open", "reconcile.py", "states[uid] = ItemState.INTENT", "pass", RECONCILE),
    rule("lifted marks are given back", "reconcile.py", "if batch.lifted:", "if False:", RECONCILE),
    # What is put back
    rule("a damaged copy is not sent", "returning.py", "if digest != each.digest:", "if False:", RESTORE),
    rule("what is there is not sent again", "returning.py", "idents[uid] == ident", "False", RESTORE),
    # What a catalogue that was made from files may say
    rule("a list is fetched again before a deletion", "survey.py", "(row.evidence or not proved)", "True", REINDEX),
    rule("a list alone deletes nothing", "survey.py", "if row is not None and not row.evidence:", "if False:", REINDEX),
    rule("no whole row is given of a list", "catalogue.py", "if row.origin in EVIDENCE}", "}", CATALOGUE),
    rule("no order names what only a list says", "catalogue.py", '" AND origin IN (?, ?)"', '" AND ? <> ?"', CATALOGUE),
    rule("a list makes no evidence", "reindex.py", 'if each.proven else "uidlist"', 'if True else "uidlist"', REINDEX),
    rule("a block does not say what was announced", "reindex.py", "None if each.proven else", "", REINDEX),
    rule("a manifest comes before a list", "reindex.py", "or each.uid in known", "", REINDEX),
    rule("damaged octets make no row", "reindex.py", "if flaw is not None:", "if False:", REINDEX),
    rule("octets that are nowhere make no row", "recital.py", "self.catalogue.forget(", "print(", REINDEX),
    rule(
        "the announced size is not made up",
        "recital.py",
        "size_announced=told.announced",
        "size_announced=told.size",
        REINDEX,
    ),
    rule("what was held is held", "recital.py", "hold=told.hold or", "hold=", REINDEX),
    rule("what looks wrong is held", "recital.py", "(copy.hold if copy is not None else", "(", REINDEX),
    rule("a second fetch counts for its octets", "recital.py", "and rows[uid].digest == each.digest", "", REINDEX),
    rule(
        "another archive is another server",
        "recital.py",
        "if of is not None and of !=",
        "if of is None and of !=",
        REINDEX,
    ),
    rule("a manifest with bad lines is not known", "recital.py", "self._catalogue.strike(", "print(", REINDEX),
    rule("what was put back is remembered", "recital.py", "self._catalogue.remember_put_back(", "print(", REINDEX),
    rule("open deletions are open", "recital.py", "self.catalogue.reopen(", "print(", REINDEX),
    rule("old holds are taken over", "reindex.py", "work.hold(holds)", "pass", REINDEX),
    rule("a stop completes nothing", "reindex.py", "if stop() is None:", "if True:", REINDEX),
    rule("lifted marks are in the manifest", "removal.py", 'type="lifted"', 'type="raised"', LOSSES),
    rule("what became of the rest is in the manifest", "reconcile.py", 'else "kept"', 'else "left"', RECONCILE),
    rule("marks that are back are in the manifest", "reconcile.py", 'type="given_back"', 'type="back"', RECONCILE),
]


FILES = sorted({each.tests for each in RULES})
Verdicts = dict[Rule | str, "Future[str]"]


def take_away(found: Rule, package: Path) -> None:
    """Take a rule out of a copy of the package."""
    place = package / found.module
    text = place.read_text("utf-8")
    for old, new in found.without:
        assert old in text, f"{found.name}: its piece is not in {found.module} any more"
        text = text.replace(old, new)
    place.write_text(text, "utf-8")


def judged(package: Path, tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests against a copy of the package, up to the first that fails."""
    paths = f"pythonpath={package.parent} {ROOT}"
    options = ["-x", "-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-o", paths]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-p", "no:cacheprovider", str(ROOT / tests)],
        cwd=package.parent,
        env={**os.environ, "PYTHONPATH": f"{package.parent}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdicts]:
    """Judge every chosen case once, in the order of the tests, as many at once as there are processors."""
    waiting = [item for item in request.session.items if isinstance(item, pytest.Function)]
    chosen = {item.callspec.params["case"] for item in waiting if "verdicts" in item.fixturenames}
    cases: list[Rule | str] = [*FILES, *RULES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {case: pool.submit(judge, case, tmp_path_factory.mktemp("rules")) for case in cases if case in chosen}


def judge(case: Rule | str, folder: Path) -> str:
    """Give what pytest says of a copy of the package, without one rule, or whole."""
    # With what Python has compiled of it.
    package = Path(shutil.copytree(PACKAGE, folder / "mailarchive"))
    if isinstance(case, Rule):
        take_away(case, package)
    result = judged(package, case.tests if isinstance(case, Rule) else case)
    return f"{result.returncode}\n{result.stdout}\n{result.stderr}"


@pytest.mark.parametrize("case", RULES, ids=lambda each: each.name)
def test_a_rule_stands_where_it_did(case: Rule) -> None:
    """A piece of code that has moved is found at once, and not only where all rules are tried."""
    text = (PACKAGE / case.module).read_text("utf-8")
    assert all(old in text for old, _ in case.without)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", FILES)
def test_with_all_rules_the_copy_is_sound(case: str, verdicts: Verdicts) -> None:
    """Else the tests below would prove nothing."""
    said = verdicts[case].result()
    assert said.startswith("0\n"), said


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", RULES, ids=lambda each: each.name)
def test_without_a_rule_a_test_goes_red(case: Rule, verdicts: Verdicts) -> None:
    """The tests fail, and they fail as tests: the package can still be imported."""
    said = verdicts[case].result()
    assert said.startswith("1\n"), f"no test notices that this is gone: {case.name}\n{said}"
    assert " failed" in said, said
    assert "SyntaxError" not in said, said
