"""One cell of the table: a set over a protocol through a line, pulled by every program in turn, round after round.

Law of this room: every round pulls into a fresh folder, and nothing is removed here, because a filesystem is slow where
something was just deleted. A time counts only if the program then has every message; one that has not, is not asked
again and keeps its reason.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks import measure
from tests.benchmarks.peers import DRAIN, OURS, TOOLS, archive_arguments, environment
from tests.benchmarks.server import reach
from tests.servers.dovecot import NOBODY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.peers import Target, Tool
    from tests.benchmarks.server import Held

_SPARE = 2 * 2**30


class Cell(NamedTuple):
    """What one table is about: a set, `imap` or `pop3`, milliseconds of delay each way, octets a second (0: any)."""

    set: str
    protocol: str
    delay: float = 0
    rate: float = 0


@dataclass
class Outcome:
    """What a program took in each round, the first pull and the run without new mail; or why it has no place here."""

    first: list[measure.Cost] = field(default_factory=list)
    again: list[measure.Cost] = field(default_factory=list)
    why: str = ""


class Rules(NamedTuple):
    """How to measure: how many rounds, below which folder, seconds after which a program is stopped."""

    runs: int
    scratch: Path
    patience: float


def play(cell: Cell, held: Held, tools: Sequence[str], rules: Rules) -> dict[str, Outcome]:
    """Measure one cell; each program that speaks its protocol is a key, in the order of `tools`."""
    outcomes = {name: Outcome() for name in tools if cell.protocol in TOOLS[name].pull}
    for name, outcome in outcomes.items():
        outcome.why = "not installed" if TOOLS[name].missing() else ""
    with reach(held, cell.protocol, 0) as near:
        # So that the server has its indexes and the machine has the mail in memory, for the first as for the last.
        _pull(TOOLS[DRAIN], near, held, rules)
    with reach(held, cell.protocol, cell.delay / 1000, cell.rate) as target:
        for number in range(rules.runs):
            for name, outcome in outcomes.items():
                if outcome.why:
                    continue
                try:
                    first, again = _pull(TOOLS[name], target, held, rules)
                except measure.UnableError as why:
                    outcome.why = str(why)
                    _say(cell, f"round {number + 1}: {name}: {why}")
                    continue
                outcome.first.append(first)
                outcome.again += [again] if again else []
                _say(cell, f"round {number + 1}: {name} {first.wall:.2f} s, {first.peak / 2**20:.0f} MiB")
    return outcomes


def profile(cell: Cell, held: Held, rules: Rules, into: Path) -> None:
    """Pull once more with our own program under the profiler of Python, which writes to a file; it is not measured."""
    with reach(held, cell.protocol, cell.delay / 1000, cell.rate) as target:
        place = Path(tempfile.mkdtemp(prefix="profile-", dir=rules.scratch))
        words = [str(into.absolute()), *archive_arguments(target, place)]
        command = [sys.executable, "-m", "tests.benchmarks.profiled", *words]
        measure.run(command, environment(target, place), patience=10 * rules.patience)


def stored(place: Path) -> int:
    """Count the messages in all Maildirs below a folder."""
    return sum(
        len(files)
        for folder, _, files in os.walk(place)
        if os.path.basename(folder) in {"cur", "new"}  # noqa: PTH119
    )


def differences(archive: Path, held: Held, mailboxes: Sequence[str]) -> int:
    """Count the messages that the server has and our archive has not, octet for octet, or the other way round."""
    wrong = 0
    for mailbox in mailboxes:
        found = {hashlib.sha256(path.read_bytes()).digest() for path in (archive / mailbox / "cur").glob("*")}
        wrong += len(found ^ held.digests[mailbox])
    return wrong


def _pull(tool: Tool, target: Target, held: Held, rules: Rules) -> tuple[measure.Cost, measure.Cost | None]:
    """Pull into a new folder, and again if that means something; both must leave every message there."""
    if shutil.disk_usage(rules.scratch).free < 2 * target.octets + _SPARE:
        raise measure.UnableError("no room on the disk")
    place = Path(tempfile.mkdtemp(dir=rules.scratch))
    first = _run(tool, target, place, rules)
    _check(tool, target, held, place)
    if target.protocol not in tool.again:
        return first, None
    again = _run(tool, target, place, rules)
    _check(tool, target, held, place)
    return first, again


def _run(tool: Tool, target: Target, place: Path, rules: Rules) -> measure.Cost:
    command = tool.pull[target.protocol](target, place)
    user = None if tool.as_root or os.geteuid() else NOBODY
    if user is not None:
        for path in (place, *place.glob("*"), *place.glob("box/*")):
            os.chown(path, user, user)
    return measure.run(command, environment(target, place), user=user, patience=rules.patience, good=tool.good)


def _check(tool: Tool, target: Target, held: Held, place: Path) -> None:
    if not tool.stores:
        return
    wanted = sum(len(held.digests[name]) for name in target.mailboxes)
    found = stored(place)
    if found != wanted:
        raise measure.UnableError(f"stored {found} of {wanted} messages")
    if tool.title == OURS and (wrong := differences(place / "archive", held, target.mailboxes)):
        raise measure.UnableError(f"{wrong} messages differ from those on the server")


def _say(cell: Cell, text: str) -> None:
    print(f"{cell.set} {cell.protocol} {cell.delay:g} ms: {text}", file=sys.stderr, flush=True)  # noqa: T201
