"""The least that a durable archive costs in one thread of Python on this machine, step by step, beside our own run.

Law of this room: each step is done for all the mail, bare, without anything of ours around it; the steps are those that
no program can leave out which keeps a file, a digest, a line and a row of each message.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import re
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.corpus import SETS, letters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BATCH: Final = 500
FIELDS: Final = re.compile(rb"^(?:message-id|date|from):[^\r\n]*", re.IGNORECASE | re.MULTILINE)
ROW: Final = "CREATE TABLE row (id INTEGER PRIMARY KEY, uid INTEGER, digest BLOB, size INTEGER, place TEXT, date TEXT)"
INDEXES: Final = ("CREATE UNIQUE INDEX by_uid ON row (uid)", "CREATE INDEX by_digest ON row (digest)")


def timed(step: Callable[[], object], count: int) -> tuple[float, float]:
    """Do a step for all the mail; gives microseconds a message, of wall and of processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return (time.perf_counter() - wall) / count * 1e6, (time.process_time() - cpu) / count * 1e6


class Steps:
    """The steps over some mail, below a folder.

    Args:
        mail: Octets of each message.
        folder: Empty.
    """

    def __init__(self, mail: Sequence[bytes], folder: Path) -> None:
        self.mail = mail
        self.folder = folder
        self.digests: list[bytes] = []
        for name in ("tmp", "cur"):
            (folder / name).mkdir()

    def hash(self) -> None:
        """SHA-256."""
        self.digests = [hashlib.sha256(octets).digest() for octets in self.mail]

    def scan(self) -> None:
        """Find three fields of the header by one pattern."""
        for octets in self.mail:
            FIELDS.findall(octets, 0, octets.find(b"\r\n\r\n"))

    def create(self) -> None:
        """Create in `tmp`, write, set the time, close, and rename into `cur`; a sync of the disk for each batch."""
        folder = os.open(self.folder, os.O_RDONLY)
        tmp, cur = os.open("tmp", os.O_RDONLY, dir_fd=folder), os.open("cur", os.O_RDONLY, dir_fd=folder)
        sync = ctypes.CDLL(None, use_errno=True).syncfs
        for first in range(0, len(self.mail), BATCH):
            some = range(first, min(first + BATCH, len(self.mail)))
            for number in some:
                file = os.open(f"{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=tmp)
                os.write(file, self.mail[number])
                os.utime(file, (1e9, 1e9))
                os.close(file)
            sync(folder)
            for number in some:
                os.rename(f"{number}", f"{number}:2,S", src_dir_fd=tmp, dst_dir_fd=cur)
            os.fsync(cur)
        for descriptor in (tmp, cur, folder):
            os.close(descriptor)

    def tell(self) -> None:
        """One line of JSON a message; a sync for each batch."""
        with (self.folder / "manifest").open("wb", buffering=0) as file:
            for first in range(0, len(self.mail), BATCH):
                lines = [
                    json.dumps(
                        {"type": "archived", "uid": first + at, "digest": digest.hex(), "size": 4096, "flags": []}
                    )
                    for at, digest in enumerate(self.digests[first : first + BATCH])
                ]
                file.write("\n".join(lines).encode())
                os.fsync(file.fileno())

    def record(self) -> None:
        """One row with two indexes a message; a transaction for each batch, WAL, synchronous FULL."""
        with sqlite3.connect(self.folder / "catalogue", isolation_level=None) as db:
            for words in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", ROW, *INDEXES):
                db.execute(words)
            for first in range(0, len(self.mail), BATCH):
                rows = [
                    (first + at, digest, 4096, f"INBOX/cur/{first + at}:2,S", "2014-03-01T10:00:00+00:00")
                    for at, digest in enumerate(self.digests[first : first + BATCH])
                ]
                db.execute("BEGIN")
                db.executemany("INSERT INTO row (uid, digest, size, place, date) VALUES (?, ?, ?, ?, ?)", rows)
                db.execute("COMMIT")
        db.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the steps and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.floor", description=__doc__)
    parser.add_argument("--set", choices=[*SETS], default="M")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scratch", type=Path, help="where to write; else a temporary folder")
    asked = parser.parse_args(arguments)
    mail = [letter.octets for letter in letters(SETS[asked.set], asked.seed)]
    # Left lying, as everything that a benchmark writes: see README.md.
    steps = Steps(mail, Path(tempfile.mkdtemp(prefix="benchmarks-floor-", dir=asked.scratch)))
    lines = [f"{len(mail)} messages of {asked.set}", "", "| step | wall, µs | processor, µs |", "|---|--:|--:|"]
    whole = [0.0, 0.0]
    for step in (steps.hash, steps.scan, steps.create, steps.tell, steps.record):
        costs = timed(step, len(mail))
        whole = [whole[0] + costs[0], whole[1] + costs[1]]
        lines.append(f"| {(step.__doc__ or '').splitlines()[0]} | {costs[0]:.1f} | {costs[1]:.1f} |")
    lines.append(f"| all of it | {whole[0]:.1f} | {whole[1]:.1f} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
