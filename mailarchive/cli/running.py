"""Runs a job on a target: opens the archive, the catalogue and the server, and closes them whatever happens."""

from __future__ import annotations

import secrets
import shlex
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mailarchive import __version__
from mailarchive.archives.opening import open_for_reading, open_for_writing
from mailarchive.backup import backup
from mailarchive.catalogue import SqliteCatalogue
from mailarchive.cli.background import Background
from mailarchive.cli.consent import Consent
from mailarchive.cli.fleet import Fleet, json_lines, summarize
from mailarchive.cli.interrupt import Interrupt
from mailarchive.cli.options import open_screen, show_traceback
from mailarchive.cli.proving import proof_of
from mailarchive.cli.zone import now
from mailarchive.errors import ArchiveError, BusyError, MailarchiveError, worst
from mailarchive.events import Waiting, Warned
from mailarchive.model import Run
from mailarchive.monitoring.watch import Watch
from mailarchive.prune import prune
from mailarchive.sources import Purpose, connect
from mailarchive.sources.patience import Patience
from mailarchive.sources.retry import PatientSource, signed_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from mailarchive.archives.opening import OpenArchive
    from mailarchive.cli.deleting import Removal
    from mailarchive.cli.options import Selection, Shared
    from mailarchive.cli.targets import Target
    from mailarchive.errors import ExitCode
    from mailarchive.events import Finished, RestoreFinished
    from mailarchive.job import Deletion
    from mailarchive.policy import Policy
    from mailarchive.ports import Archive, Catalogue, Source
    from mailarchive.screen import Screen
    from mailarchive.sources.imap import ImapSource
    from mailarchive.sources.pop import PopSource


_Thing = TypeVar("_Thing")


def each(
    things: Iterable[_Thing],
    work: Callable[[_Thing], ExitCode],
    screen: Screen,
    interrupt: Interrupt,
    shared: Shared,
    *,
    silent: type[MailarchiveError] | tuple[()] = (),
) -> list[ExitCode]:
    """Do the same with each thing until a signal comes; an error stops no other, and is told unless it is a silent one.

    Gives the code of each, and that of the signal.
    """
    codes: list[ExitCode] = []
    for thing in things:
        if interrupt.code is not None:
            codes.append(interrupt.code)
            break
        try:
            codes.append(work(thing))
        except MailarchiveError as error:
            show_traceback(error, shared)
            if not isinstance(error, silent):
                screen.error(error)
            codes.append(error.exit_code)
    return codes


def run_each(
    targets: Sequence[Target],
    work: Callable[[Target, Screen, Interrupt], ExitCode],
    shared: Shared,
    refused: Mapping[str, MailarchiveError] | None = None,
    watch: Watch | None = None,
    *,
    jobs: int = 1,
) -> int:
    """Do the same on each target; one that fails does not stop the others.

    Args:
        targets: What to work on.
        work: What to do on each.
        shared: What every command knows.
        refused: What stops a target before anything is done on it, by its name.
        watch: Tells others how it goes.
        jobs: On how many at a time; one after the other in this process, several each in its own.

    Returns:
        The most serious of their codes; that of a signal if one came.
    """
    watched = watch or Watch()

    def some(chosen: Sequence[Target], screen: Screen) -> list[ExitCode]:
        interrupt = Interrupt()

        def begun(target: Target, shown: Screen) -> ExitCode:
            if refused and target.name in refused:
                raise refused[target.name]
            return work(target, shown, interrupt)

        def one(target: Target) -> ExitCode:
            if len(targets) > 1 and (lines := json_lines(screen)) is not None:
                lines.account = target.name
            return watched.around(target.name, screen, lambda shown: begun(target, shown))

        # Under cron the next run comes by itself, and a mail about each overlap would be noise.
        codes = each(chosen, one, screen, interrupt, shared, silent=BusyError if shared.quiet else ())
        watched.end(screen)
        return codes + codes[-1:] * (len(chosen) - len(codes))  # those that a signal left out have its code

    with open_screen(shared) as screen:
        if jobs > 1 and len(targets) > 1:
            if (lines := json_lines(screen)) is not None:
                lines.begin()
            codes = Fleet(lambda target, its: some([target], its)[0], shared, jobs).run(targets)
        else:
            codes = some(targets, screen)
        if len(targets) != 1:
            summarize(targets, codes, shared, json_lines(screen))
    return int(worst(codes))


def run_backup(
    target: Target,
    selection: Selection,
    screen: Screen,
    interrupt: Interrupt,
    *,
    dry_run: bool,
    removal: Removal | None = None,
) -> ExitCode:
    """Back one target up and give the code of the run; without a `removal` nothing is deleted, whatever it says.

    Raises:
        MailarchiveError: The run could not begin.
    """
    task = _task("backup", target, selection, removal, screen=screen, interrupt=interrupt)
    return _work(backup, task, target, screen, interrupt, dry_run=dry_run)


def run_prune(
    target: Target, selection: Selection, screen: Screen, interrupt: Interrupt, *, dry_run: bool, removal: Removal
) -> ExitCode:
    """Delete on the server of one target what its archive holds, and give the code of the run.

    Raises:
        MailarchiveError: The run could not begin.
    """
    # Who asks for a prune asks for a deletion, whatever else is said about it.
    removal = replace(removal, delete=True)
    task = _task("prune", target, selection, removal, screen=screen, interrupt=interrupt)
    assert task.deletion is not None
    return _work(prune, task, target, screen, interrupt, dry_run=dry_run, must_exist=True)


def _work(
    do: Callable[..., Finished],
    task: _Task,
    target: Target,
    screen: Screen,
    interrupt: Interrupt,
    *,
    dry_run: bool,
    must_exist: bool = False,
) -> ExitCode:
    """Do a job that lists, and may delete: a backup or a prune, which take the same."""

    def job(source: Source, archive: Archive, catalogue: Catalogue) -> Finished:
        with Background() as background:
            return do(
                source,
                archive,
                catalogue,
                policy=task.policy,
                run=task.run,
                report=screen,
                stop=interrupt,
                clock=time.monotonic,
                dry_run=dry_run,
                deletion=task.deletion,
                later=background,
            )

    purpose = Purpose.READ if dry_run or task.deletion is None else Purpose.DELETE
    return _carry_out(job, target, task.run, screen, interrupt, purpose=purpose, dry_run=dry_run, must_exist=must_exist)


def run_undo(target: Target, of: str, screen: Screen, interrupt: Interrupt, *, dry_run: bool) -> ExitCode:
    """Put back on the server of one target what the run `of` has deleted, and give the code of this run.

    Raises:
        MailarchiveError: The run could not begin.
    """
    from mailarchive.restore import undo

    run = make_run("undo", target, now(), f"what {of} deleted", None)

    def job(source: Source, archive: Archive, catalogue: Catalogue) -> RestoreFinished:
        return undo(
            source,
            archive,
            catalogue,
            of=of,
            run=run,
            report=screen,
            stop=interrupt,
            clock=time.monotonic,
            dry_run=dry_run,
        )

    purpose = Purpose.READ if dry_run else Purpose.RESTORE
    return _carry_out(
        job, target, run, screen, interrupt, purpose=purpose, dry_run=dry_run, must_exist=True, persevering=False
    )


class _Task(NamedTuple):
    """A run that is about to begin, with everything resolved against one look at the clock."""

    run: Run
    policy: Policy
    deletion: Deletion | None


def _task(
    command: str,
    target: Target,
    selection: Selection,
    removal: Removal | None,
    *,
    screen: Screen,
    interrupt: Interrupt,
) -> _Task:
    started = now()
    policy, words = selection.policy(started, target)
    deletion = None
    if removal is not None:
        policy = removal.applied(policy, target)
        asks = removal.asks and not removal.yes
        host = target.address.host
        consent = Consent(screen, interrupt, host=host, archives=command == "backup", asks=asks)
        deletion = removal.deletion(target, started, consent)
    return _Task(make_run(command, target, started, words, policy.before), policy.in_utc(), deletion)


def new_id(started: datetime) -> str:
    """Make the id of a run; ids sort by time."""
    return f"{started.astimezone(UTC).strftime('%Y-%m-%dT%H%M%SZ')}-{secrets.token_hex(3)}"


def make_run(command: str, target: Target, started: datetime, selection: str, cut_off: datetime | None) -> Run:
    """Give a run on a target its id."""
    number = new_id(started)
    return Run(
        id=number,
        command=command,
        version=__version__,
        account=target.name,
        server=target.address.shown,
        archive=str(target.archive),
        started=started,
        selection=selection,
        cut_off=cut_off,
        undo=shlex.join(target.undo(number)),
    )


def _carry_out(
    job: Callable[[Source, Archive, Catalogue], Finished | RestoreFinished],
    target: Target,
    run: Run,
    screen: Screen,
    interrupt: Interrupt,
    *,
    purpose: Purpose,
    dry_run: bool,
    must_exist: bool = False,
    persevering: bool = True,
) -> ExitCode:
    """Open archive, catalogue and server, do the job, and close them whatever happens.

    Args:
        job: Gets them open.
        target: What to open.
        run: Who and when.
        screen: For warnings.
        interrupt: Is active during the job.
        purpose: What the session may be used for.
        dry_run: Whether the archive is only looked at.
        must_exist: Whether an archive that is not there yet is an error.
        persevering: Whether a new line is tried after one that broke, once the sign-in is done.
    """
    with ExitStack() as stack:
        # A new archive is made only after the sign-in, so that a slip in the address leaves nothing behind; one that
        # is there is locked before, so that a second run ends at once.
        is_new = is_absent(target)
        if is_new and must_exist:
            raise ArchiveError(f"there is no archive in {target.archive}", hint="mailarchive backup makes one")
        places = None if is_new or dry_run else open_places(stack, target, run, screen, dry_run=dry_run)
        source = stack.enter_context(connected(target, purpose, screen, interrupt, persevering=persevering))
        archive, catalogue = places or open_places(stack, target, run, screen, dry_run=dry_run)
        # Only now: a Ctrl-C at the password prompt or while connecting ends the program at once.
        with interrupt:
            finished = job(source, archive, catalogue)
    if run.command == "backup" and target.index and not dry_run:
        from mailarchive.cli.finding import Place, index_mail

        # The run is over and everything is closed, so nothing of it waits for this or can suffer from it.
        with interrupt:
            index_mail(Place(target.name, target.archive), screen, interrupt)
    return finished.exit_code


def connected(
    target: Target, purpose: Purpose, screen: Screen, interrupt: Interrupt, *, persevering: bool = True
) -> AbstractContextManager[Source]:
    """Sign in; what only reads, or looks before it goes on, can do so again after a line that broke."""

    def begin() -> ImapSource | PopSource:
        return connect(target.address, proof_of(target), target.trust, purpose=purpose, tunnel=target.tunnel)

    patience = Patience(target.max_wait, stop=interrupt, tell=lambda why, seconds: screen(Waiting(why, seconds)))
    if not persevering:
        return signed_in(begin, patience)
    return PatientSource(begin, patience, target.max_bytes)


def is_absent(target: Target) -> bool:
    """Look at the archive without touching it; gives whether it is still to be made."""
    found = open_for_reading(target.archive, target.address.identity)
    if found is None:
        return True
    found.close()
    return False


def open_places(
    stack: ExitStack, target: Target, run: Run, screen: Screen, *, dry_run: bool
) -> tuple[Archive, Catalogue]:
    """Open the archive and its catalogue, for writing or, in a dry run, without touching them."""
    identity = target.address.identity
    if dry_run:
        found = open_for_reading(target.archive, identity)
        if found is None:
            # Nothing is there yet, so the plan is made against an empty archive somewhere else.
            empty = Path(stack.enter_context(TemporaryDirectory(prefix="mailarchive-")))
            found = open_for_writing(empty, identity, run=run.id, started="", kind=target.kind, remember=False)
        stack.enter_context(found)
        gone = not found.catalogue.exists() and bool(found.mail.runs())
        catalogue = stack.enter_context(SqliteCatalogue.snapshot(found.catalogue, found.marker.id))
        if catalogue.set_aside is not None or gone:
            what = "is gone" if gone else "cannot be used"
            screen(Warned(f"the catalogue {what}; the plan is made as if nothing were archived; {_advice(found)}"))
        return found.mail, catalogue
    started = run.started.strftime("%H:%M")
    opened = open_for_writing(
        target.archive,
        identity,
        run=run.id,
        started=started,
        kind=target.kind,
        wait=target.wait,
        remember=target.remember,
    )
    stack.enter_context(opened)
    return opened.mail, _catalogue(stack, opened, screen)


def _catalogue(stack: ExitStack, opened: OpenArchive, screen: Screen) -> SqliteCatalogue:
    is_new = not opened.catalogue.exists()
    gone = is_new and bool(opened.mail.runs())
    if is_new and not gone and opened.marker.format == "maildir" and opened.marker.separator == ";":
        screen(
            Warned(
                "this disk refuses a colon in the names of files, so mutt and Dovecot will show no flags of what is"
                " archived here; with --format mbox, in another folder, they do",
                serious=False,
            )
        )
    catalogue = SqliteCatalogue(opened.catalogue, opened.marker.id, network=opened.network)
    stack.callback(catalogue.close)
    if catalogue.set_aside is not None or gone:
        aside = catalogue.set_aside
        what = f"could not be used and was set aside as {aside.name}" if aside is not None else "is gone"
        new = "a new one is made, and everything is compared with the server again"
        screen(Warned(f"the catalogue {what}; {new}; {_advice(opened)}"))
    opened.mail.elsewhere = catalogue.locations
    return catalogue


def _advice(opened: OpenArchive) -> str:
    """Say what spares a server all of that."""
    return f"hint: mailarchive reindex {shlex.quote(str(opened.path))} makes it from the files instead"
