"""Measures `prune` of proved messages beside a bare socket that deletes as many and one reading of as many files.

Law of this room: as `__main__.py`. Mail can be deleted once, so every round makes two accounts with the same mail, and
an archive of one of them, which both programs read; nothing of it is removed before the end.

    python -m tests.benchmarks.deleting [--set M] [--runs 3] [--seed 1]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks.corpus import SETS
from tests.benchmarks.measure import UnableError, run
from tests.benchmarks.peers import DRAIN, TOOLS, archive_arguments, environment
from tests.benchmarks.server import fill, new_server, reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.corpus import MailSet
    from tests.benchmarks.measure import Cost
    from tests.servers.dovecot import Dovecot

_BARE = str(Path(__file__).with_name("bare.py"))


class Round(NamedTuple):
    """What the two took."""

    ours: Cost
    bare: Cost


def play(server: Dovecot, mail: MailSet, number: int, seed: int, scratch: Path) -> Round:
    """Delete the same mail twice, each from an account of its own."""
    ours, theirs = (fill(server, f"d{number}{letter}", mail, seed) for letter in "ab")
    place = Path(tempfile.mkdtemp(dir=scratch))
    with reach(ours, "imap", 0) as target, reach(theirs, "imap", 0) as other:
        for each in (target, other):
            # So that the server has its indexes, and the machine has the mail in memory.
            run(TOOLS[DRAIN].pull["imap"](each, place), environment(each, place), patience=900)
        run(
            [sys.executable, "-m", "mailarchive", *archive_arguments(target, place)],
            environment(target, place),
            patience=900,
        )
        bare = [
            sys.executable,
            "-I",
            "-S",
            _BARE,
            str(other.port),
            other.user,
            str(place / "archive"),
            *other.mailboxes,
        ]
        least = run(bare, environment(other, place), patience=900)
        url = f"imap+insecure://{target.user}@127.0.0.1:{target.port}"
        words = ["-q", "prune", url, "--archive", str(place / "archive"), "--older-than", "1d", "--yes"]
        found = run([sys.executable, "-m", "mailarchive", *words], environment(target, place), patience=900)
    left = sum(
        len(files) for folder, _, files in os.walk(server.root / "mail" / target.user) if folder.endswith("/cur")
    )
    if left:
        raise UnableError(f"{left} messages were not deleted")
    return Round(found, least)


def table(rounds: Sequence[Round]) -> str:
    """Lay out the medians."""
    lines = ["| program | wall, s | beside the bare one | cpu, s | peak, MiB |", "|---|--:|--:|--:|--:|"]
    ratio = statistics.median(each.ours.wall / each.bare.wall for each in rounds)
    for title, costs, beside in (
        ("mailarchive prune", [each.ours for each in rounds], f"{ratio:.2f}"),
        ("raw socket, and the files read once", [each.bare for each in rounds], "1.00"),
    ):
        wall = statistics.median(cost.wall for cost in costs)
        cpu, peak = statistics.median(cost.cpu for cost in costs), max(cost.peak for cost in costs)
        lines.append(f"| {title} | {wall:.2f} | {beside} | {cpu:.2f} | {peak / 2**20:.0f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.deleting", description=__doc__)
    parser.add_argument("--set", choices=[*SETS], default="M", help="of mail (M)")
    parser.add_argument("--runs", type=int, default=3, help="rounds; the table has the medians (3)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the mail (1)")
    asked = parser.parse_args(arguments)
    # Left lying, as everything that a benchmark writes: see README.md.
    scratch = Path(tempfile.mkdtemp(prefix="benchmarks-deleting-"))
    server = new_server()
    try:
        server.start()
        rounds = [play(server, SETS[asked.set], number, asked.seed, scratch) for number in range(asked.runs)]
        load = os.getloadavg()[0]
        print(f"{SETS[asked.set].title}; {asked.runs} rounds, seed {asked.seed}, load {load:.1f}\n\n{table(rounds)}")  # noqa: T201
    finally:
        server.close()


if __name__ == "__main__":
    main()
