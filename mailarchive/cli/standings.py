"""Gathers how archives stand, for `status`.

The law of this room: offline, and nothing is written, locked or asked for. One archive that cannot be looked at hides
no other.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mailarchive import dates, standing
from mailarchive.archives import history, looking
from mailarchive.archives.opening import open_for_reading
from mailarchive.catalogue_glance import glance
from mailarchive.cli.options import converted, show_traceback
from mailarchive.cli.zone import now
from mailarchive.errors import ArchiveError, BusyError, ExitCode, MailarchiveError, worst
from mailarchive.screen.jsonl import JsonLines
from mailarchive.screen.plain import Sink, columns, is_terminal
from mailarchive.screen.status import Row, status_lines
from mailarchive.secret import KNOWN
from mailarchive.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mailarchive.cli.options import Shared
    from mailarchive.screen.words import Line
    from mailarchive.standing import RunSeen


class _Place(NamedTuple):
    """An archive to look at; `identity` is None for one that is named by its folder, which must be there."""

    name: str
    path: Path
    server: str = ""
    identity: str | None = None


def show(
    accounts: tuple[str, ...],
    archives: tuple[str, ...],
    max_age: str | None,
    shared: Shared,
    environ: Mapping[str, str],
) -> int:
    """Print how archives stand; gives the most serious code.

    Raises:
        UsageError: The age cannot be read. `ConfigError`: the configuration is missing or wrong.
    """
    present = now()
    oldest = converted("--max-age", max_age, lambda text: dates.back(text, present))
    codes: list[ExitCode] = []
    rows: list[Row] = []
    json = JsonLines(sys.stdout) if shared.json else None
    for place in _places(accounts, archives, shared, environ):
        row, code = _looked_at(place, oldest, max_age or "", shared)
        rows.append(row)
        codes.append(code)
        if json is not None:
            json.record("status", _record(place, row, code))
    code = worst(codes)
    if json is not None:
        json.record("status_finished", {"exit_code": code})
    elif code is not ExitCode.DONE or not shared.quiet:
        _print(rows, present, shared)
    return int(code)


def _places(
    accounts: tuple[str, ...], archives: tuple[str, ...], shared: Shared, environ: Mapping[str, str]
) -> list[_Place]:
    """Find the archives that are meant: those that are named, else those of all accounts."""
    # The home of a user who is not there is no error of Python, but a folder without an archive.
    named = [_Place(text, Path(os.path.expanduser(text)).absolute()) for text in archives]  # noqa: PTH111
    if archives and not accounts:
        return named
    from mailarchive.config import load

    config = load(Path(shared.config) if shared.config else None, environ=environ)
    chosen = config.select(accounts)
    return [_Place(each.name, each.archive, each.address.shown, each.address.identity) for each in chosen] + named


def _looked_at(place: _Place, oldest: datetime | None, age: str, shared: Shared) -> tuple[Row, ExitCode]:
    try:
        found = _stand(place)
    except MailarchiveError as error:
        show_traceback(error, shared)
        return Row(place.name, Standing(), (), KNOWN.scrub(error.message), KNOWN.scrub(error.hint)), error.exit_code
    dues = tuple(standing.due(found, shlex.quote(str(place.path)), oldest=oldest, age=age))
    code = ExitCode.PARTIAL if any(due.serious for due in dues) else ExitCode.DONE
    return Row(place.name, found, dues), code


def _stand(place: _Place) -> Standing:
    """Look at one archive. Raises ArchiveError."""
    opened = open_for_reading(place.path, place.identity)
    if opened is None:
        if place.identity is None:
            raise ArchiveError(f"there is no archive in {place.path}", hint="mailarchive backup makes one")
        return Standing()
    with opened:
        identity = place.identity or opened.marker.account
        archive_id, database = opened.marker.id, opened.catalogue
    seen = looking.archive(place.path, identity)
    assert seen is not None
    last, success, heard = standing.of_runs(history.runs(place.path))
    lost, holdings = "", None
    if not database.exists():
        # A run makes it before anything else, so without a run there has never been one.
        lost = "is gone" if last is not None else ""
    else:
        try:
            holdings = glance(database, archive_id, busy=bool(seen.holder))
        except BusyError:
            # What it holds is not known now, and nothing is wrong with it.
            holdings = None
        except ArchiveError as error:
            lost = error.message
    return Standing(
        exists=True,
        kind=seen.kind,
        holdings=holdings,
        lost=lost,
        damaged=seen.damaged,
        holder=seen.holder,
        last=last,
        success=success,
        quota=heard.quota if heard is not None else None,
        quota_at=(heard.ended or heard.started) if heard is not None else None,
    )


def _record(place: _Place, row: Row, code: ExitCode) -> dict[str, Any]:
    """Give what a program reads about one archive."""
    stand = row.standing
    holdings = stand.holdings
    return {
        "account": row.name,
        "server": place.server,
        "archive": place.path,
        "exists": stand.exists,
        "kind": stand.kind,
        "messages": None if holdings is None else holdings.messages,
        "size": None if holdings is None else holdings.size,
        "held": None if holdings is None else holdings.held,
        "open_deletions": None if holdings is None else holdings.open,
        "damaged": stand.damaged,
        "running": stand.holder,
        "last_run": None if stand.last is None else _run(stand.last),
        "last_success": None if stand.success is None else _run(stand.success),
        "quota": stand.quota,
        "quota_at": stand.quota_at,
        "due": [asdict(due) for due in row.dues],
        "error": row.error,
        "hint": row.hint,
        "exit_code": code,
    }


def _run(run: RunSeen) -> dict[str, Any]:
    return {
        "run": run.id,
        "command": run.command,
        "started": run.started,
        "ended": run.ended,
        "exit_code": run.exit,
        "counts": dict(run.counts),
    }


def _print(rows: list[Row], present: datetime, shared: Shared) -> None:
    out = Sink(sys.stdout)

    def plain(line: Line) -> str:
        return line.text

    shown: Callable[[Line], str] = plain
    if not shared.no_color and is_terminal(sys.stdout):
        # Only a terminal pays for importing rich.
        from mailarchive.screen.terminal import paint, wants_color

        shown = partial(paint, color=wants_color(None, sys.stdout))
    for line in status_lines(rows, present, width=columns(sys.stdout), encoding=out.encoding):
        out.write(f"{shown(line)}\n")
