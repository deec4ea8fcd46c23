"""Runs a job on a target: opens the archive, the catalogue and the server, and closes them whatever happens."""

from __future__ import annotations

import secrets
import signal
import time
from contextlib import ExitStack
from datetime import UTC
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar

from mailarchive import __version__
from mailarchive.archives.opening import open_for_reading, open_for_writing
from mailarchive.backup import backup
from mailarchive.catalogue import SqliteCatalogue
from mailarchive.cli.zone import now
from mailarchive.credentials import password_for
from mailarchive.errors import ExitCode
from mailarchive.events import Warned
from mailarchive.model import Run
from mailarchive.sources import connect

if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Self

    from mailarchive.archives.opening import OpenArchive
    from mailarchive.cli.options import Selection
    from mailarchive.cli.targets import Target
    from mailarchive.ports import Archive, Catalogue
    from mailarchive.screen import Screen


class Interrupted(KeyboardInterrupt):
    """A second signal: the program ends at once, with the code of the first one."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__()
        self.code = code


class Interrupt:
    """Catches the first signal, so that the current batch is finished; the second one stops at once."""

    _CODES: ClassVar = {
        signal.SIGINT: ExitCode.INTERRUPT,
        signal.SIGTERM: ExitCode.TERMINATE,
        signal.SIGHUP: ExitCode.HANGUP,
    }

    def __init__(self) -> None:
        self.code: ExitCode | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in self._CODES:
            # A signal that whoever started us has switched off (nohup) stays off.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._caught)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # it is what signal() gave us

    def __call__(self) -> ExitCode | None:
        """Say which code to end with, if the run should end."""
        return self.code

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        if self.code is not None:
            raise Interrupted(self.code)
        self.code = self._CODES[signal.Signals(number)]


def run_backup(
    target: Target, selection: Selection, screen: Screen, interrupt: Interrupt, *, dry_run: bool
) -> ExitCode:
    """Back one target up and give the code of the run.

    Raises:
        MailarchiveError: The run could not begin.
    """
    started = now()
    policy, words = selection.policy(started, older_than=target.older_than, mailboxes=target.mailboxes)
    run = Run(
        id=f"{started.astimezone(UTC).strftime('%Y-%m-%dT%H%M%SZ')}-{secrets.token_hex(3)}",
        command="backup",
        version=__version__,
        account=target.name,
        server=target.address.shown,
        archive=str(target.archive),
        started=started,
        selection=words,
        cut_off=policy.before,
    )
    with ExitStack() as stack:
        # A new archive is made only after the sign-in, so that a slip in the address leaves nothing behind; one that
        # is there is locked before, so that a second run ends at once.
        is_new = _check(target)
        places = None if is_new or dry_run else _places(stack, target, run, screen, dry_run=dry_run)
        password = password_for(target.password)
        source = stack.enter_context(connect(target.address, password.reveal(), target.trust))
        archive, catalogue = places or _places(stack, target, run, screen, dry_run=dry_run)
        # Only now: a Ctrl-C at the password prompt or while connecting ends the program at once.
        with interrupt:
            finished = backup(
                source,
                archive,
                catalogue,
                policy=policy,
                run=run,
                report=screen,
                stop=interrupt,
                clock=time.monotonic,
                dry_run=dry_run,
            )
    return finished.exit_code


def _check(target: Target) -> bool:
    """Look at the archive without touching it; gives whether it is still to be made."""
    found = open_for_reading(target.archive, target.address.identity)
    if found is None:
        return True
    found.close()
    return False


def _places(stack: ExitStack, target: Target, run: Run, screen: Screen, *, dry_run: bool) -> tuple[Archive, Catalogue]:
    """Open the archive and its catalogue, for writing or, in a dry run, without touching them."""
    identity = target.address.identity
    if dry_run:
        found = open_for_reading(target.archive, identity)
        if found is None:
            # Nothing is there yet, so the plan is made against an empty archive somewhere else.
            empty = Path(stack.enter_context(TemporaryDirectory(prefix="mailarchive-")))
            found = open_for_writing(empty, identity, run=run.id, started="", remember=False)
        stack.enter_context(found)
        catalogue = stack.enter_context(SqliteCatalogue.snapshot(found.catalogue, found.marker.id))
        if catalogue.set_aside is not None:
            screen(Warned("the catalogue cannot be used; the plan is made as if nothing were archived"))
        return found.mail, catalogue
    started = run.started.strftime("%H:%M")
    opened = open_for_writing(
        target.archive, identity, run=run.id, started=started, wait=target.wait, remember=target.remember
    )
    stack.enter_context(opened)
    return opened.mail, _catalogue(stack, opened, screen)


def _catalogue(stack: ExitStack, opened: OpenArchive, screen: Screen) -> SqliteCatalogue:
    catalogue = SqliteCatalogue(opened.catalogue, opened.marker.id, network=opened.network)
    stack.callback(catalogue.close)
    if catalogue.set_aside is not None:
        screen(
            Warned(
                f"the catalogue could not be used and was set aside as {catalogue.set_aside.name}; a new one is made,"
                " and everything is compared with the server again"
            )
        )
    opened.mail.elsewhere = catalogue.location
    return catalogue
