"""Measures `du` beside a bare socket that asks for the same facts and drops them: whole processes, the same mail.

Law of this room: as `__main__.py`. Others may be at work on the machine, so the least of several runs is shown, in wall
and in processor seconds, and the two take turns.

    python -m tests.benchmarks.listing [--set L] [--runs 5] [--seed 1]
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.corpus import SETS
from tests.benchmarks.measure import run
from tests.benchmarks.server import fill, new_server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.measure import Cost
    from tests.benchmarks.server import Held
    from tests.servers.dovecot import Account

_DRAIN = str(Path(__file__).with_name("drain.py"))
RAW, START = "raw socket, drops all", "du of an empty account"


def commands(held: Held, empty: Account) -> dict[str, list[str]]:
    """Give what is measured, by its title; `empty` shows what our start and the sign-in take."""
    account = held.account
    du = [sys.executable, "-m", "mailarchive", "du", "--json"]
    host = f"127.0.0.1:{account.imap_port}"
    ours = [*du, f"imap+insecure://{account.user}@{host}"]
    raw = [sys.executable, "-I", "-S", _DRAIN, "facts", str(account.imap_port), account.user, "1"]
    return {
        RAW: [*raw, *held.mailboxes("imap")],
        START: [*du, f"imap+insecure://{empty.user}@{host}"],
        "du --no-senders": [*ours, "--no-senders"],
        "du": ours,
        "du --headers": [*ours, "--headers"],
    }


def table(costs: dict[str, list[Cost]], number: int) -> str:
    """Lay out the least of the runs of each program, and what each of so many messages adds to our processor time."""
    start = min(cost.cpu for cost in costs[START])
    wall = {name: min(cost.wall for cost in found) for name, found in costs.items()}
    lines = [
        "| program | wall, s | beside the socket | cpu, s | cpu behind the start, µs a message | peak, MiB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, found in costs.items():
        cpu, peak = min(cost.cpu for cost in found), max(cost.peak for cost in found)
        ratio = wall[name] / wall[RAW]
        each = "-" if name in (RAW, START) else f"{(cpu - start) / number * 1e6:.1f}"
        lines.append(f"| {name} | {wall[name]:.2f} | {ratio:.2f} | {cpu:.2f} | {each} | {peak / 2**20:.0f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.listing", description=__doc__)
    parser.add_argument("--set", choices=[*SETS], default="L", help="of mail (L)")
    parser.add_argument("--runs", type=int, default=5, help="rounds (5)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the mail (1)")
    asked = parser.parse_args(arguments)
    server = new_server()
    try:
        server.start()
        held, empty = fill(server, "listed", SETS[asked.set], asked.seed), server.add_user("empty")
        environ = {**os.environ, **dict.fromkeys(("BENCHMARK_PASSWORD", "MAILARCHIVE_PASSWORD"), held.account.password)}
        # The first answer of a new server is slow: it reads every file for its sizes, and remembers them.
        costs: dict[str, list[Cost]] = {}
        for number in range(asked.runs + 1):
            for name, command in commands(held, empty).items():
                cost = run(command, environ, patience=900)
                if number:
                    costs.setdefault(name, []).append(cost)
        print(f"{SETS[asked.set].title}; {asked.runs} rounds, seed {asked.seed}, load {os.getloadavg()[0]:.1f}\n")  # noqa: T201
        print(table(costs, SETS[asked.set].number))  # noqa: T201
    finally:
        server.close()


if __name__ == "__main__":
    main()
