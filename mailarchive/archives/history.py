"""How the runs of an archive ended: the first and the last line of each manifest, and nothing between.

The law of this room: nothing is written or locked; what cannot be read is not known, and hides no other run.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from mailarchive.archives import manifest as manifests
from mailarchive.archives.durable import Directory
from mailarchive.archives.marker import META
from mailarchive.errors import ArchiveError
from mailarchive.model import Quota
from mailarchive.standing import RunSeen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_END: Final = 64 * 1024
"""Octets at either end of a manifest that are read."""
_SECOND: Final = len("2026-11-23T081502Z")
_BEFORE: Final = 1024 * 1024
"""Octets before the end in which the second of the last line is looked for."""
_AT: Final = re.compile(rb'"at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"')


def runs(archive: Path) -> Iterator[RunSeen]:
    """Give the runs of an archive, the latest first. Raises ArchiveError."""
    meta = Directory.at(str(archive / META))
    try:
        # An id names the second only; what began in the same one is told apart by its first line.
        for _, together in groupby(reversed(manifests.ids(meta)), key=lambda run: run[:_SECOND]):
            yield from sorted((_seen(meta, run) for run in together), key=_begin, reverse=True)
    finally:
        meta.close()


def _begin(run: RunSeen) -> float:
    return 0.0 if run.started is None else run.started.timestamp()


def _seen(meta: Directory, run: str) -> RunSeen:
    try:
        head, tail, before = _ends(meta, f"{run}.jsonl")
    except ArchiveError:
        head = tail = before = b""
    first = _parsed(head.partition(b"\n")[0]) or {}
    # What stands behind the last line break is torn.
    last = _parsed(tail.rpartition(b"\n")[0].rpartition(b"\n")[2]) or {}
    last = last if last.get("type") == "finished" else {}
    code = last.get("exit")
    started = _instant(first.get("started"))
    # A line says its second only where that is not the one of the line before.
    stamps = _AT.findall(before + tail) if last else []
    return RunSeen(
        id=run,
        command=str(first.get("command", "run")),
        started=started,
        ended=(_instant(stamps[-1].decode("ascii", "replace")) if stamps else started) if last else None,
        exit=code if isinstance(code, int) else None,
        counts=_counts(last.get("counts")),
        quota=_quota(last.get("quota_after")),
    )


def _ends(meta: Directory, name: str) -> tuple[bytes, bytes, bytes]:
    """Give the beginning of a manifest, its end, and, where that names no second, what stands before the end."""
    folder = meta.child("runs")
    try:
        size = folder.size(name) or 0
        head = b"".join(folder.read(name, length=_END))
        begin = max(0, size - _END)
        tail = b"".join(folder.read(name, start=begin, length=_END))
        earlier = max(0, begin - _BEFORE)
        before = b"" if _AT.search(tail) else b"".join(folder.read(name, start=earlier, length=begin - earlier))
    finally:
        folder.close()
    return head, tail, before


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _instant(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found


def _counts(found: object) -> Mapping[str, int]:
    if not isinstance(found, dict):
        return {}
    return {name: number for name, number in found.items() if isinstance(number, int)}


def _quota(found: object) -> Quota | None:
    match found:
        case [int(used), int(limit)] if limit > 0:
            return Quota(used, limit)
    return None
