"""Finds one message in the archives and gives it: as text, as octets, or a part of it.

The law of this room: nothing of a message reaches a terminal as it is; a file is written only where none was, and its
name comes from the command line and never from the message.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

import click

from mailarchive import reading
from mailarchive.cli.finding import opened, places
from mailarchive.cli.options import show_traceback
from mailarchive.errors import DiskError, ExitCode, MailarchiveError, UsageError
from mailarchive.screen.jsonl import JsonLines
from mailarchive.screen.letters import message
from mailarchive.screen.plain import Sink, is_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from mailarchive.cli.finding import Opened, Place
    from mailarchive.cli.options import Shared
    from mailarchive.finding import Found
    from mailarchive.screen import Screen

_IN_MEMORY: Final = 8 * 1024 * 1024
"""Octets of a message that are held; a larger one is copied into a file that is mapped."""


def run_show(
    identity: str,
    accounts: tuple[str, ...],
    archives: tuple[str, ...],
    shared: Shared,
    environ: Mapping[str, str],
    *,
    screen: Screen,
    raw: bool,
    part: str | None,
    html: bool,
    to: Path | None,
) -> int:
    """Give one message in the form that is asked for; gives the exit code.

    Raises:
        MailarchiveError: There is no such message, or it cannot be given so.
    """
    if (raw or part is not None) and to is None and is_terminal(sys.stdout):
        what = "--raw" if raw else f"--part {part}"
        raise UsageError(
            "what strangers wrote could steer this terminal",
            hint=f"add --to FILE, or send it on: mailarchive show {identity} {what} | less",
        )
    with ExitStack() as stack:
        one, found = _resolved(stack, identity, places(accounts, archives, shared, environ), shared, screen)
        octets = stack.enter_context(_octets(one, found))
        if raw:
            _give(one.archive.mail.read(found.location), to)
        elif part is not None:
            _give(_part(octets, part), to)
        elif shared.json:
            JsonLines(sys.stdout).record("message", message(found, octets, html=html).fields(found))
        else:
            _page("\n".join(message(found, octets, html=html).lines(found)) + "\n")
    return int(ExitCode.DONE)


def _resolved(
    stack: ExitStack, identity: str, where: Iterable[Place], shared: Shared, screen: Screen
) -> tuple[Opened, Found]:
    """Find the message in one of the archives.

    Raises:
        UsageError: None has it, or there are several.
    """
    hits: list[tuple[Opened, Found]] = []
    missing: UsageError | None = None
    for place in where:
        try:
            one = stack.enter_context(opened(place, screen, lambda: None))
            hits.append((one, one.finder.resolve(identity)))
        except UsageError as error:
            if not error.message.startswith("no message"):
                raise
            missing = error
        except MailarchiveError as error:
            # Another archive may have it.
            show_traceback(error, shared)
            screen.error(error)
    if not hits:
        raise missing or UsageError(f"no archive could be looked into for {identity}")
    if len({found.digest for _, found in hits}) > 1:
        ids = ", ".join(found.id[:16] for _, found in hits)
        raise UsageError(f"several messages have the ID {identity}: {ids}", hint="write more of its digits")
    return hits[0]


@contextmanager
def _octets(one: Opened, found: Found) -> Iterator[reading.Octets]:
    """Give a message to be looked into, a large one without holding it."""
    pieces = one.archive.mail.read(found.location)
    if found.size <= _IN_MEMORY:
        yield b"".join(pieces)
        return
    with tempfile.TemporaryFile(prefix="mailarchive-") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped


def _part(octets: reading.Octets, number: str) -> Iterator[bytes]:
    parts = list(reading.parts(octets))
    for part in parts:
        if part.number == number:
            return reading.decoded(octets, part)
    known = ", ".join(part.number for part in parts[:20])
    raise UsageError(f"the message has no part {number!r}", hint=f"its parts are {known}")


def _give(pieces: Iterable[bytes], to: Path | None) -> None:
    """Write octets to stdout, or into a new file."""
    if to is None:
        with contextlib.suppress(BrokenPipeError):
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return
    try:
        descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{to} is there already; nothing was written", hint="name a new file") from None
    except OSError as error:
        raise UsageError(f"cannot write {to}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
    except BaseException as error:
        with contextlib.suppress(OSError):
            to.unlink()
        if isinstance(error, OSError):
            raise DiskError(f"cannot write {to}: {error.strerror}") from None
        raise


def _page(text: str) -> None:
    """Print a text, by the pager where there is a terminal."""
    if is_terminal(sys.stdout) and is_terminal(sys.stdin):
        click.echo_via_pager(text, color=False)
    else:
        Sink(sys.stdout).write(text)
