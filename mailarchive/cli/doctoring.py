"""Looks at accounts, one check after the other, and says what each has found.

The law of this room: nothing is changed, here or on a server; a check that fails stops only those that need what it
has found out; what is foreign is made safe before it is printed.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

from mailarchive import diagnosis
from mailarchive.address import looks_like_url
from mailarchive.archives import looking as disks
from mailarchive.catalogue import SqliteCatalogue
from mailarchive.catalogue_file import has_full_text
from mailarchive.cli.options import show_traceback
from mailarchive.cli.proving import proof_of
from mailarchive.cli.targets import targets
from mailarchive.cli.zone import now
from mailarchive.diagnosis import Finding, Level
from mailarchive.errors import ConfigError, ExitCode, MailarchiveError, worst
from mailarchive.extras import HasQuota
from mailarchive.screen.jsonl import JsonLines
from mailarchive.screen.plain import Sink
from mailarchive.screen.safe import safe
from mailarchive.secret import KNOWN
from mailarchive.sources import connect
from mailarchive.sources import looking as servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from mailarchive.archives.looking import ArchiveSeen
    from mailarchive.cli.options import Shared
    from mailarchive.cli.targets import Target

_SIGNS = {Level.OK: "✓", Level.WARNING: "!", Level.FAILED: "✗"}
_WIDTH = len("capabilities")
_LONG = 1000


def examine(accounts: tuple[str, ...], options: Mapping[str, Any], shared: Shared, environ: Mapping[str, str]) -> int:
    """Look at accounts, or at one server, and print what is found; gives the most serious code.

    Raises:
        UsageError: What is to be looked at cannot be told.
    """
    report = _Report(shared)
    report.title("")
    report.run("search", lambda: diagnosis.full_text(there=has_full_text()))
    has_archive = bool(options["archive"]) or not any(map(looks_like_url, accounts))
    try:
        # A server can be looked at without an archive, so the place of one is made up then and never looked at.
        chosen = targets(
            accounts,
            {**options, "archive": options["archive"] or (None if has_archive else ".")},
            shared,
            environ,
            place="archive",
        )
    except ConfigError as error:
        show_traceback(error, shared)
        report.add(diagnosis.failed("config", error))
        report.run("clock", lambda: diagnosis.clock(now(), None))
        return report.end()
    if chosen and not chosen[0].is_one_off:
        count = f"{len(chosen)} account{'' if len(chosen) == 1 else 's'}"
        report.add(diagnosis.fine("config", f"it can be read; looking at {count}"))
    for target in chosen:
        report.title(target.name, target.address.shown)
        _Examination(target, report, has_archive=has_archive).run()
    return report.end()


class _Report:
    """Prints findings as they come, and keeps their codes."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._codes: list[ExitCode] = []
        self._json = JsonLines(sys.stdout) if shared.json else None
        self._out = Sink(sys.stdout)
        self._account = self._pending = ""

    def title(self, account: str, server: str = "") -> None:
        """Begin with another account."""
        self._account = account
        self._pending = f"{safe(account)} · {safe(server)}" if account else "this computer"

    def run(self, check: str, work: Callable[[], Iterable[Finding]]) -> bool:
        """Do one check, print what it finds, and tell whether it came to its end."""
        try:
            for finding in work():
                self.add(finding)
        except MailarchiveError as error:
            show_traceback(error, self._shared)
            self.add(diagnosis.failed(check, error))
            return False
        except Exception as error:  # noqa: BLE001 - a bug in one check must not hide what the others find
            show_traceback(error, self._shared)
            text = f"unexpected failure ({type(error).__name__})"
            self.add(Finding(check, Level.FAILED, text, "run it again with --debug and report that", ExitCode.BUG))
            return False
        return True

    def add(self, finding: Finding) -> None:
        """Print a finding."""
        self._codes.append(finding.code)
        text, hint = KNOWN.scrub(finding.text), KNOWN.scrub(finding.hint)
        if self._json is not None:
            values = {"check": finding.check, "level": finding.level, "text": text, "hint": hint}
            self._json.record("check", {"account": self._account, **values, "exit_code": finding.code})
            return
        if self._shared.quiet and finding.level is Level.OK:
            return
        if self._pending:
            self._out.write(f"{self._pending}\n")
            self._pending = ""
        first, *more = [safe(line, limit=_LONG) for line in text.split("\n")]
        self._out.write(f"  {_SIGNS[finding.level]} {finding.check:{_WIDTH}}  {first}\n")
        for line in (*more, *([safe(hint, limit=_LONG)] if hint else [])):
            self._out.write(f"    {'':{_WIDTH}}  {line}\n")

    def end(self) -> int:
        """Give the most serious code, for a program in a line of its own."""
        code = worst(self._codes)
        if self._json is not None:
            self._json.record("doctor_finished", {"exit_code": code})
        return int(code)


class _Examination:
    """The checks of one account, in the order in which a backup would meet what they look at."""

    def __init__(self, target: Target, report: _Report, *, has_archive: bool) -> None:
        self._target = target
        self._report = report
        self._has_archive = has_archive
        self._archive: ArchiveSeen | None = None
        self._last_sane: datetime | None = None

    def run(self) -> None:
        """Do them all."""
        run, path = self._report.run, self._target.archive
        if self._has_archive:
            run("permissions", lambda: diagnosis.permissions(str(path), disks.doubts(path)))
            run("disk", lambda: diagnosis.disk(disks.disk(path)))
            if run("archive", self._look_at_archive) and self._archive is not None:
                run("catalogue", self._look_at_catalogue)
        run("clock", lambda: diagnosis.clock(now(), self._last_sane))
        if self._target.tunnel is not None or self._is_reached():
            run("tunnel" if self._target.tunnel is not None else "sign-in", self._sign_in)

    def _is_reached(self) -> bool:
        address, run = self._target.address, self._report.run

        def answers() -> Iterable[Finding]:
            servers.answers(address)
            return [diagnosis.fine("tcp", f"port {address.port} answers")]

        return (
            run("dns", lambda: diagnosis.names(address.host, servers.addresses(address.host, address.port)))
            and run("tcp", answers)
            and run("tls", lambda: diagnosis.certificate(servers.certificate(address, self._target.trust), now()))
        )

    def _look_at_archive(self) -> list[Finding]:
        target = self._target
        self._archive = disks.archive(target.archive, target.address.identity)
        return diagnosis.archive(str(target.archive), self._named, self._archive)

    def _look_at_catalogue(self) -> list[Finding]:
        """Read a copy of the catalogue, as a dry run does."""
        seen = self._archive
        assert seen is not None
        if seen.catalogue:
            return diagnosis.catalogue(str(self._target.archive), seen.catalogue)
        with SqliteCatalogue.snapshot(seen.database, seen.id) as catalogue:
            unusable = "damaged, or of another archive" if catalogue.set_aside is not None else ""
            self._last_sane = catalogue.sane_now()
        return diagnosis.catalogue(str(self._target.archive), unusable)

    def _sign_in(self) -> Iterable[Finding]:
        target, run = self._target, self._report.run
        with connect(target.address, proof_of(target), target.trust, tunnel=target.tunnel) as source:
            check = "sign-in" if target.tunnel is None else "tunnel"
            yield diagnosis.fine(check, f"{target.address.host} lets {target.address.user} in")
            can = source.capabilities
            run("capabilities", lambda: diagnosis.capabilities(source.announced, can))
            asked, delete = target.deletion.delete_method, bool(target.deletion.delete)
            run("deletion", lambda: diagnosis.deletion(asked, can, source.mailboxes()[0], delete=delete))
            if isinstance(source, HasQuota):
                run("quota", lambda: diagnosis.quota(source.quota(), self._named))

    @property
    def _named(self) -> str:
        """What is typed for the target behind `mailarchive backup`."""
        target = self._target
        if not target.is_one_off:
            return target.name
        place = str(target.archive) if self._has_archive else "DIR"
        return shlex.join((target.address.identity, "--to", place, *target.trusted))
