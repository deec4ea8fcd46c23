"""The manifest of a run: what it did, line by line, beside the mail (`archive-format.md` section 6).

The law of this room: append-only JSON lines, synced before the catalogue commits, read-only when the run is over.
No subject, no address and no text of a mail is in it.
"""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from mailarchive.archives.durable import AppendFile
from mailarchive.errors import ArchiveError, MissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mailarchive.archives.durable import Directory

LINE: Final = 1024 * 1024
"""Octets of a line that is read back, at most."""

RUN: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")
"""What an id of a run looks like; anything else could lead out of the folder."""


class RunManifest:
    """One file `runs/<run>.jsonl`; see `ports.Manifest`."""

    def __init__(self, runs: Directory, run: str) -> None:
        self._file = AppendFile(runs, f"{run}.jsonl")
        self._runs = runs
        self._second = 0

    def write(self, **fields: object) -> None:
        """Append one line; None values are left out.

        A line says at which second it was written, unless that is the one of the line before.
        """
        self._append(_known(fields), "{")

    def write_all(self, common: Mapping[str, object], rows: Iterable[dict[str, object]]) -> None:
        """Append a line for each row, which begins with what all of them have in common; rows hold no None."""
        begin = _ENCODER.encode(_known(common)).removesuffix("}") + ","
        for row in rows:
            self._append(row, begin)

    def _append(self, fields: dict[str, object], begin: str) -> None:
        second = int(time.time())
        if second != self._second:
            self._second = second
            fields = {**fields, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))}
        self._file.write(f"{begin}{_ENCODER.encode(fields)[1:]}\n".encode("ascii"))

    def sync(self) -> None:
        """Make every line written so far durable."""
        self._file.sync()

    def close(self) -> None:
        """Sync and make the file read-only."""
        try:
            self._file.close()
        finally:
            self._runs.close()


def ids(meta: Directory) -> list[str]:
    """Give the ids of all runs that have left a manifest, in order."""
    try:
        runs = meta.child("runs")
    except MissingError:
        return []
    try:
        found = (name.removesuffix(".jsonl") for name in runs.names() if name.endswith(".jsonl"))
        return sorted(run for run in found if RUN.fullmatch(run))
    finally:
        runs.close()


def told(meta: Directory, run: str, bad: Callable[[str], None] | None = None) -> Iterator[dict[str, object]]:
    """Give the lines of the manifest of a run; one at the end that cannot be read is a torn write and is left out.

    Args:
        meta: The folder that `runs` is in.
        run: The id of the run, maybe as a user typed it.
        bad: Called with a sentence for each other line that cannot be read or is longer than `LINE`, before those
            behind it are given; without it, the first such line is an error.

    Raises:
        MissingError: There is no such manifest.
        ArchiveError: It is a link, a line of it cannot be read, or one is longer than `LINE`.
    """
    name = f"{run}.jsonl"
    try:
        if not RUN.fullmatch(run):
            raise MissingError(f"{run} is no id of a run")
        runs = meta.child("runs")
    except MissingError:
        raise MissingError(f"there is no manifest of a run {run}") from None
    try:
        if not runs.has(name):
            raise MissingError(f"there is no manifest of a run {run}")
        path = f"{runs.path}/{name}"
        torn = 0
        for number, line in enumerate(_lines(runs.read(name), path, lenient=bad is not None), 1):
            if torn:
                sentence = f"{path}: line {torn} cannot be read"
                if bad is None:
                    raise ArchiveError(sentence)
                bad(sentence)
                torn = 0
            found = _parsed(line)
            if found is None:
                torn = number
            else:
                yield found
    finally:
        runs.close()


def _lines(pieces: Iterator[bytes], path: str, *, lenient: bool) -> Iterator[bytes]:
    """Part octets into lines; with `lenient`, one that is too long is given as an empty one, which is no line."""
    rest = b""
    too_long = False
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        if max(map(len, (*whole, rest))) > LINE and not lenient:
            raise ArchiveError(f"{path} has a line of more than {LINE} octets")
        for line in whole:
            yield b"" if too_long or len(line) > LINE else line
            too_long = False
        if len(rest) > LINE:
            too_long, rest = True, b""
    if rest or too_long:
        yield b"" if too_long else rest


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Read one line; None if it is no JSON object."""
    try:
        found = json.loads(line.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _known(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} does not belong in a manifest")


_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, allow_nan=False, default=_plain, separators=(",", ":"))
"""One for all lines: making it costs more than writing a line with it."""
