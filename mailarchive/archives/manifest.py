"""The manifest of a run: what it did, line by line, beside the mail (`archive-format.md` section 6).

The law of this room: append-only JSON lines, synced before the catalogue commits, read-only when the run is over.
No subject, no address and no text of a mail is in it.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from mailarchive.archives.durable import AppendFile

if TYPE_CHECKING:
    from mailarchive.archives.durable import Directory


class RunManifest:
    """One file `runs/<run>.jsonl`; see `ports.Manifest`."""

    def __init__(self, runs: Directory, run: str) -> None:
        self._file = AppendFile(runs, f"{run}.jsonl")
        self._runs = runs

    def write(self, **fields: object) -> None:
        """Append one line; None values are left out."""
        known = {name: value for name, value in fields.items() if value is not None}
        line = json.dumps(known, ensure_ascii=True, default=_plain, separators=(",", ":"))
        self._file.write(line.encode("ascii") + b"\n")

    def sync(self) -> None:
        """Make every line written so far durable."""
        self._file.sync()

    def close(self) -> None:
        """Sync and make the file read-only."""
        try:
            self._file.close()
        finally:
            self._runs.close()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset | tuple):
        return sorted(value) if isinstance(value, set | frozenset) else list(value)
    raise TypeError(f"{type(value).__name__} does not belong in a manifest")
