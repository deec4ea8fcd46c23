"""Lays out what was measured as Markdown: medians, ratios, and what it was measured on.

Law of this room: text from figures; a ratio is the median over the rounds of the ratio within each round, so that what
else the machine did in a round falls out. A program that did not do the work has its reason in place of figures.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.corpus import SETS
from tests.benchmarks.peers import BASELINES, DRAIN, TOOLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.measure import Cost
    from tests.benchmarks.rounds import Cell, Outcome

_NONE = "-"


def ratio(these: Sequence[Cost], those: Sequence[Cost]) -> str:
    """Give the median of the ratios of wall time, round by round; `-` where there is nothing beside which to stand."""
    pairs = [this.wall / that.wall for this, that in zip(these, those, strict=False) if that.wall]
    return f"{median(pairs):.2f}" if pairs else _NONE


def lay_out(cell: Cell, outcomes: dict[str, Outcome], octets: int) -> str:
    """Make the table of one cell."""
    peer = BASELINES[cell.protocol]
    line = f"through {cell.delay:g} ms each way" if cell.delay else "loopback"
    line += f" at {cell.rate / 1e6:g} MB/s" if cell.rate else ""
    lines = [f"### {cell.set} over {cell.protocol.upper()}, {line}: {SETS[cell.set].title}, {octets / 1e6:.0f} MB", ""]
    lines.append(
        f"| program | first pull, s | min-max | beside {peer} | beside drain | cpu, s | peak, MiB "
        f"| no change, s | beside {peer} | no change peak, MiB |"
    )
    lines.append("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, outcome in outcomes.items():
        cells = [outcome.why, *[""] * 8] if outcome.why else _figures(outcome, outcomes.get(peer), outcomes.get(DRAIN))
        lines.append(f"| {' | '.join((TOOLS[name].title, *cells))} |")
    return "\n".join(lines) + "\n"


def _figures(this: Outcome, peer: Outcome | None, drain: Outcome | None) -> list[str]:
    walls = [cost.wall for cost in this.first]
    again = [cost.wall for cost in this.again]
    return [
        f"{median(walls):.2f}",
        f"{min(walls):.2f}-{max(walls):.2f}",
        ratio(this.first, peer.first) if peer else _NONE,
        ratio(this.first, drain.first) if drain else _NONE,
        f"{median(cost.cpu for cost in this.first):.2f}",
        _mib(this.first),
        f"{median(again):.2f}" if again else _NONE,
        ratio(this.again, peer.again) if peer else _NONE,
        _mib(this.again),
    ]


def _mib(costs: Sequence[Cost]) -> str:
    return f"{max(cost.peak for cost in costs) / 2**20:.0f}" if costs else _NONE


def circumstances(tools: Sequence[str], scratch: Path, seed: int, runs: int) -> str:
    """Say when, on what, and with which versions it is measured."""
    now = datetime.now(UTC)
    load = os.getloadavg()[0]
    machine = (
        f"{now:%Y-%m-%d}, {platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores, "
        f"{_filesystem(scratch)}, Python {platform.python_version()}, Dovecot {_version(('dovecot', '--version'))} "
        f"with Maildir, no TLS; seed {seed}, {runs} rounds, load at the start {load:.1f}"
    )
    versions = ", ".join(f"{name} {_version(TOOLS[name].version)}" for name in tools if TOOLS[name].version)
    return f"{machine}\n\n{versions}\n"


def _filesystem(place: Path) -> str:
    """Name the filesystem that a folder is on; an ext4 without journal, as in small machines, syncs otherwise."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return "an unknown filesystem"
    above = {str(place.resolve()), *map(str, place.resolve().parents)}
    device, _, kind, *_ = max((words for words in mounts if words[1] in above), key=lambda words: len(words[1]))
    journal = Path("/sys/fs/ext4", Path(device).name, "journal_task")
    bare = kind == "ext4" and journal.exists() and journal.read_text(encoding="ascii").strip() == "<none>"
    return f"{kind} without journal" if bare else kind


def _version(command: Sequence[str]) -> str:
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True, env={**os.environ, "PATH": path})
    except OSError:
        return "(not installed)"
    found = re.search(r"\d+\.\d+[\w.-]*", done.stdout + done.stderr)
    return found[0] if found else "?"
