"""Gathers the jobs that are to start by themselves, and prints, installs or removes them.

The law of this room: what a job needs of today's surroundings (the program, the configuration, variables) is written
out in it, because a timer starts with next to nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import mailarchive as package
from mailarchive.address import Security, looks_like_url
from mailarchive.config import default_path, load
from mailarchive.errors import ExitCode, UsageError
from mailarchive.scheduling import installing
from mailarchive.scheduling.job import Job, when
from mailarchive.screen.jsonl import JsonLines
from mailarchive.screen.plain import Sink
from mailarchive.screen.safe import safe
from mailarchive.tokens import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mailarchive.cli.options import Shared
    from mailarchive.config_values import Account, Config
    from mailarchive.scheduling.installing import Text

_HANDED_ON: Final = (
    "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "GNUPGHOME", "PASSWORD_STORE_DIR", "NETRC",
)  # fmt: skip
"""Variables, beside PATH, that decide where the program and the usual password commands look."""


def run(accounts: Sequence[str], options: Mapping[str, Any], shared: Shared, environ: Mapping[str, str]) -> int:
    """Print, install or remove schedules; gives the exit code. Raises MailarchiveError."""
    if options["install"] and options["remove"]:
        raise UsageError("--install and --remove contradict each other", hint="leave one of them out")
    if any(map(looks_like_url, accounts)):
        raise UsageError("a schedule is for accounts of the configuration", hint="mailarchive init adds one")
    system = options["system"] or installing.chosen(environ, platform=sys.platform)
    said = _Said(shared, system)
    if options["remove"]:
        done = installing.remove(system, accounts, environ, dry_run=options["dry_run"])
        said.each("would be removed" if options["dry_run"] else "removed", done.changed)
        if not done.changed:
            said.note("there is nothing of ours to remove")
        return said.end(done.to_type)
    config = load(Path(shared.config) if shared.config else default_path(environ), environ=environ)
    jobs = list(_jobs(accounts, options, config, shared=shared, environ=environ))
    for name in dict.fromkeys(name for job in jobs for name in job.askers):
        said.note(f'warning: {safe(name)}: nobody will be there to type the password; see the README, "Every day"')
    wanted = installing.texts(system, jobs, environ)
    if not options["install"]:
        said.texts(wanted)
        return int(ExitCode.DONE)
    if options["dry_run"]:
        said.texts(wanted)
        said.each("would be written", wanted)
        return int(ExitCode.DONE)
    done = installing.install(system, jobs, environ)
    said.each("written", done.changed)
    said.each("unchanged", done.same)
    if system == "systemd":
        said.note("so that it also runs while you are not signed in: loginctl enable-linger")
    return said.end(done.to_type)


class _Said:
    """Tells people and scripts what is to be, or was, done."""

    def __init__(self, shared: Shared, system: str) -> None:
        self._system = system
        self._quiet = shared.quiet
        self._json = JsonLines(sys.stdout) if shared.json else None
        self._out = Sink(sys.stdout)
        self._err = Sink(sys.stderr)

    def texts(self, wanted: Iterable[Text]) -> None:
        """Print what would be written, so that it can be copied; that of a crontab has no heading."""
        for number, each in enumerate(wanted):
            if self._json is not None:
                self._record("printed", each)
            elif each.path is None:
                self._out.write(each.text)
            else:
                self._out.write(f"{chr(10) if number else ''}# {each.path}\n{each.text}")

    def each(self, what: str, found: Iterable[Text]) -> None:
        """Say what was done with each file."""
        for each in found:
            if self._json is not None:
                self._record(what.replace(" ", "_"), each)
            elif not self._quiet:
                self._out.write(f"{what}: {safe(str(each.path or 'lines of the crontab'), limit=500)}\n")

    def note(self, text: str) -> None:
        """Say something to a person."""
        if self._json is None and not self._quiet:
            self._err.write(f"mailarchive: {text}\n")

    def end(self, to_type: Sequence[str]) -> int:
        """Say what is left to be typed, which is not silenced; gives the exit code."""
        if self._json is not None:
            self._json.record("schedule_finished", {"system": self._system, "to_type": list(to_type)})
        elif to_type:
            self._err.write(f"mailarchive: {to_type[0].split()[0]} does not answer here; type:\n")
            self._err.write("".join(f"  {safe(line, limit=500)}\n" for line in to_type))
        return int(ExitCode.PARTIAL if to_type else ExitCode.DONE)

    def _record(self, what: str, each: Text) -> None:
        assert self._json is not None
        self._json.record("schedule", {"system": self._system, "path": each.path, "text": each.text, "what": what})


def _jobs(
    accounts: Sequence[str],
    options: Mapping[str, Any],
    config: Config,
    *,
    shared: Shared,
    environ: Mapping[str, str],
) -> Iterable[Job]:
    """Make one job for each account, or one for all of them."""
    selected, file = config.select(accounts), config.path.absolute()
    log = Path(shared.log_file).expanduser().absolute() if shared.log_file else None
    logging = ("--log-file", str(log)) if log else ()
    words = (*program(sys.argv[0], environ), "--config", str(file), *logging, "backup", "-q")
    for name, covered in [(each.name, [each]) for each in selected] if accounts else [(None, selected)]:
        yield Job(
            name,
            (*words, "--no-input", *((name,) if name else ())),
            when(options["every"], options["at"], f"{file} {name}"),
            environ=tuple(_variables(environ, words)),
            writable=_writable(covered, config, log, environ, everything=name is None),
            commands=any(map(_names_commands, covered)),
            askers=tuple(each.name for each in covered if not _has_password(each, environ)),
        ).checked()


def program(said: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Say how to start this program from anywhere; links are kept, because they outlive an update.

    Args:
        said: The word by which it was started.
        environ: The environment variables.
    """
    path = environ.get("PATH")
    beside = os.path.join(os.path.dirname(sys.executable), "mailarchive")  # noqa: PTH118, PTH120 - no link is followed
    names = [said] if Path(said).name.startswith("mailarchive") else []
    for each in (*names, beside, "mailarchive"):
        found = shutil.which(each, path=path)
        if found is not None:
            return (os.path.abspath(found),)  # noqa: PTH100 - as above
    if said.endswith(".pyz") and Path(said).is_file():
        return (sys.executable, os.path.abspath(said))  # noqa: PTH100 - as above
    return (sys.executable, "-m", "mailarchive")


def _variables(environ: Mapping[str, str], words: Sequence[str]) -> Iterable[tuple[str, str]]:
    folders = [part for part in environ.get("PATH", "").split(":") if part.startswith("/") and Path(part).is_dir()]
    if folders:
        yield "PATH", ":".join(dict.fromkeys(folders))
    yield from ((name, environ[name]) for name in _HANDED_ON if environ.get(name))
    source = Path(package.__file__).parent.parent
    if words[1:2] == ("-m",) and not source.is_relative_to(sys.prefix):
        yield "PYTHONPATH", str(source)  # a checkout that is not installed is found only from its own folder


def _writable(
    accounts: Iterable[Account], config: Config, log: Path | None, environ: Mapping[str, str], *, everything: bool
) -> tuple[Path, ...]:
    """Give the folders that a backup writes to; for one that is still to be made, the one that will hold it."""
    places = [config.archive] if everything else []
    for account in accounts:
        places.append(account.archive)
        if account.monitoring.textfile is not None:
            places.append(account.monitoring.textfile.parent)
    places += [state_folder(environ), *([log.parent] if log else [])]
    found = dict.fromkeys(next(each for each in (path, *path.parents) if each.exists()) for path in places)
    return tuple(path for path in found if not any(other in path.parents for other in found))


def _names_commands(account: Account) -> bool:
    tokens = account.oauth is not None and (account.oauth.token_command or account.oauth.client_secret_command)
    return bool(account.password_command or account.tunnel or tokens or account.monitoring.on_failure)


def _has_password(account: Account, environ: Mapping[str, str]) -> bool:
    """Tell whether a place is known from which a timer gets the password; netrc is only looked for."""
    if account.address.security is Security.TUNNEL or account.keyring or account.oauth is not None:
        return True
    if account.password_command or account.password_file:
        return True
    return Path(environ.get("NETRC") or f"{environ.get('HOME', '')}/.netrc").is_file()
