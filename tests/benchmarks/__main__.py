"""Measures mailarchive beside its peers: whole processes, the same mail, one server, one run; prints Markdown.

Law of this room: options in, tables out; what is measured stands in the modules beside this one, and nothing here
asserts a time. Outputs are removed after the last round of the last cell, not before.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import profiled, table
from tests.benchmarks.corpus import SETS
from tests.benchmarks.peers import IF_NAMED, OURS, TOOLS
from tests.benchmarks.rounds import Cell, Rules, play, profile
from tests.benchmarks.server import fill, new_server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.server import Held

ALL = (
    *(Cell(name, "imap") for name in ("S", "M", "L", "H")),
    *(Cell(name, "imap", 25) for name in ("S", "M")),
    *(Cell(name, "pop3") for name in ("S", "L", "H")),
    Cell("S", "pop3", 25),
)


def cells(sets: Sequence[str], protocols: Sequence[str], delay: float | None, rate: float = 0) -> list[Cell]:
    """Give the cells that are asked for; where nothing is, all that have a goal."""
    if not sets and not protocols and delay is None and not rate:
        return list(ALL)
    pairs = [(name, protocol) for protocol in protocols or ("imap", "pop3") for name in sets or SETS]
    return [Cell(name, protocol, delay or 0, rate) for name, protocol in pairs]


def _words(known: Sequence[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        words = text.split(",")
        if unknown := [word for word in words if word not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(known)}")
        return words

    return read


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    usual = [name for name in TOOLS if name not in IF_NAMED]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--set", type=_words([*SETS]), default=[], help=f"some of {','.join(SETS)}")
    parser.add_argument("--protocol", type=_words(["imap", "pop3"]), default=[], help="imap or pop3 or both")
    parser.add_argument("--delay", type=float, metavar="MS", help="through a line with so many ms each way")
    parser.add_argument("--rate", type=float, default=0, metavar="MB", help="through a line of so many MB/s each way")
    parser.add_argument("--tools", type=_words([*TOOLS]), default=usual, help=f"some of {','.join(TOOLS)}")
    parser.add_argument("--runs", type=int, default=3, help="rounds; the table has the medians (3)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the mail (1)")
    parser.add_argument("--patience", type=float, default=900, metavar="S", help="stop a program after this (900)")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where the programs write; else a temporary folder")
    parser.add_argument(
        "--keep", action="store_true", help="leave all that was written: the next run then finds a quick disk"
    )
    parser.add_argument("--profile", type=Path, metavar="DIR", help="profile our own program once for each cell, too")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the tables."""
    asked = _options(arguments)
    scratch = Path(tempfile.mkdtemp(prefix="benchmarks-", dir=asked.scratch))
    scratch.chmod(0o755)
    _print(table.circumstances(asked.tools, scratch, asked.seed, asked.runs))
    held: dict[str, Held] = {}
    server = new_server()
    try:
        server.start()
        for cell in cells(asked.set, asked.protocol, asked.delay, asked.rate * 1e6):
            if cell.set not in held:
                held[cell.set] = fill(server, cell.set.lower(), SETS[cell.set], asked.seed)
            _measure(cell, held[cell.set], asked, Rules(asked.runs, scratch, asked.patience))
    finally:
        if asked.keep:
            server.stop()
            print(f"kept: {scratch} {server.root}", file=sys.stderr)  # noqa: T201
        else:
            server.close()
            shutil.rmtree(scratch, ignore_errors=True)


def _measure(cell: Cell, held: Held, asked: argparse.Namespace, rules: Rules) -> None:
    """Print the table of one cell, and the profile if one is asked for."""
    if asked.runs:
        octets = sum(held.octets[mailbox] for mailbox in held.mailboxes(cell.protocol))
        _print(table.lay_out(cell, play(cell, held, asked.tools, rules), octets))
        _print(f"Load afterwards: {os.getloadavg()[0]:.1f}\n")
    if asked.profile and OURS in asked.tools:
        asked.profile.mkdir(parents=True, exist_ok=True)
        file = asked.profile / f"{cell.set}-{cell.protocol}-{cell.delay:g}.pstats"
        profile(cell, held, rules, file)
        _print(f"{file}\n{profiled.busiest(str(file))}")


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
