"""Runs a search over archives and prints what is found."""

from __future__ import annotations

import heapq
import math
import sys
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Final

from mailarchive.cli.finding import opened, places
from mailarchive.cli.interrupt import Interrupt
from mailarchive.cli.options import show_traceback
from mailarchive.cli.zone import now
from mailarchive.errors import MailarchiveError, worst
from mailarchive.query import parse
from mailarchive.screen.jsonl import JsonLines
from mailarchive.screen.letters import line, table
from mailarchive.screen.plain import Sink, columns, is_terminal
from mailarchive.screen.words import format_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mailarchive.cli.finding import Opened, Place
    from mailarchive.cli.options import Shared
    from mailarchive.errors import ExitCode
    from mailarchive.finding import Found
    from mailarchive.query import Query
    from mailarchive.screen import Screen

    _Row = tuple[Place, Found]

SCREENFUL: Final = 50
"""Messages that a terminal shows if nothing else is asked for."""

_COUNTED: Final = 1000
"""Messages behind the last one shown that are counted; more are called more."""


def run_search(
    text: str,
    accounts: tuple[str, ...],
    archives: tuple[str, ...],
    shared: Shared,
    environ: Mapping[str, str],
    *,
    screen: Screen,
    limit: int | None,
    ids: bool,
    once: bool,
) -> int:
    """Find and print; gives the exit code. An archive that cannot be searched stops no other.

    Args:
        text: The query as it was typed.
        accounts: Whose archives.
        archives: Folders instead.
        shared: What every command knows.
        environ: The environment variables.
        screen: For errors and remarks.
        limit: At most so many, 0 for all; None for what fits the stream.
        ids: Whether only IDs are wanted.
        once: Whether octets are told once, wherever they lie.

    Raises:
        UsageError: The query cannot be read.
        ConfigError: The configuration is missing or wrong.
    """
    query = parse(text, now=now())
    where = places(accounts, archives, shared, environ)
    interrupt = Interrupt()
    codes: list[ExitCode] = []
    with ExitStack() as stack:
        ready: list[Opened] = []
        with interrupt:
            for place in where:
                try:
                    one = opened(place, screen, interrupt, query=query, tell=not shared.quiet)
                    ready.append(stack.enter_context(one))
                except MailarchiveError as error:
                    show_traceback(error, shared)
                    screen.error(error)
                    codes.append(error.exit_code)
                if interrupt.code is not None:
                    return int(interrupt.code)
        found = _newest(ready, query, once=once)
        shown = _print(found, shared, limit=limit, ids=ids, named=len(where) > 1)
        if not shown and ready and not shared.quiet:
            many = f" in {len(ready)} archives" if len(ready) > 1 else ""
            Sink(sys.stderr).write(f"mailarchive: nothing found{many}\n")
    return int(worst(codes))


def _newest(ready: list[Opened], query: Query, *, once: bool) -> Iterator[_Row]:
    """Give what is found in all archives, newest first; the same octets once if so asked."""

    def of(one: Opened) -> Iterator[_Row]:
        return ((one.place, found) for found in one.finder.find(query, once=once))

    seen: set[str] = set()
    for row in heapq.merge(*map(of, ready), key=_age):
        if not once or row[1].digest not in seen:
            seen.add(row[1].digest)
            yield row


def _age(row: _Row) -> float:
    when = row[1].internal_date
    return -when.timestamp() if when is not None else math.inf


def _print(found: Iterator[_Row], shared: Shared, *, limit: int | None, ids: bool, named: bool) -> bool:
    """Print rows in the form that the stream and the options ask for; gives whether there were any."""
    terminal = is_terminal(sys.stdout)
    most = limit if limit is not None else SCREENFUL if terminal and not ids and not shared.json else 0
    rows = islice(found, most) if most else found
    if shared.json:
        return _as_json(rows)
    out = Sink(sys.stdout)
    any_found = False
    if ids:
        for _, each in rows:
            any_found = True
            out.write(f"{each.id}\n")
        return any_found
    if not terminal:
        for place, each in rows:
            any_found = True
            out.write(line(place.name if named else "", each) + "\n")
        return any_found
    page = [(place.name if named else "", each) for place, each in rows]
    for text in table(page, columns(sys.stdout), out.encoding):
        out.write(text + "\n")
    rest = sum(1 for _ in islice(found, _COUNTED + 1)) if most else 0
    if rest and not shared.quiet:
        count = f"more than {format_count(_COUNTED)}" if rest > _COUNTED else format_count(rest)
        Sink(sys.stderr).write(f"and {count} more; --limit 0 shows all\n")
    return bool(page)


def _as_json(rows: Iterable[_Row]) -> bool:
    screen = JsonLines(sys.stdout)
    count = 0
    for place, each in rows:
        count += 1
        screen.record("found", record(place, each))
    screen.record("search_finished", {"found": count})
    return count > 0


def record(place: Place, found: Found) -> dict[str, object]:
    """Give a message as the fields of a JSON line."""
    return {
        "id": found.id,
        "archive": place.folder,
        "mailbox": found.mailbox,
        "date": found.internal_date,
        "from": found.sender,
        "to": found.recipients,
        "subject": found.subject,
        "size": found.size,
        "flags": found.flags,
        "attachments": found.attachments,
        "uidvalidity": found.uidvalidity,
        "uid": found.uid,
        "location": found.location,
    }
