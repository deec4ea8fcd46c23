"""Tells systemd, cron or launchd about jobs, and takes them away again.

The law of this room: a file without our mark is never written over or taken away; all are looked at before the first
is written. A crontab that cannot be read is not written.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mailarchive.errors import ConfigError, DiskError
from mailarchive.scheduling import cron, launchd, systemd
from mailarchive.scheduling.job import MARK
from mailarchive.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mailarchive.scheduling.job import Job

SYSTEMS: Final = ("systemd", "cron", "launchd")
_PATIENCE: Final = 30.0
_MOST: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Text:
    """A file that is to be, or lines of a crontab.

    Attributes:
        path: None for lines of the crontab.
    """

    path: Path | None
    text: str


@dataclass(slots=True)
class Done:
    """What was changed.

    Attributes:
        changed: What was written, or taken away.
        same: What was there already, as it should be.
        to_type: Commands for the user, because the system did not answer us.
    """

    changed: list[Text] = field(default_factory=list)
    same: list[Text] = field(default_factory=list)
    to_type: list[str] = field(default_factory=list)


def chosen(environ: Mapping[str, str], *, platform: str) -> str:
    """Say which of the three this computer has."""
    if platform == "darwin":
        return "launchd"
    if Path("/run/systemd/system").is_dir():
        return "systemd"
    return "cron" if shutil.which("crontab", path=environ.get("PATH")) else "systemd"


def folder(system: str, environ: Mapping[str, str]) -> Path:
    """Say where systemd or launchd looks for what a user wants of it."""
    home = Path(environ.get("HOME") or Path.home())
    if system == "launchd":
        return home / "Library" / "LaunchAgents"
    base = environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else home / ".config") / "systemd" / "user"


def texts(system: str, jobs: Sequence[Job], environ: Mapping[str, str]) -> list[Text]:
    """Give what the system is to be told."""
    if system == "cron":
        return [Text(None, cron.block(job)) for job in jobs]
    at = folder(system, environ)
    if system == "launchd":
        home = Path(environ.get("HOME") or Path.home())
        return [Text(at / f"{job.name}.plist", launchd.agent(job, home)) for job in jobs]
    pairs = ((job, kind) for job in jobs for kind in (systemd.service, systemd.timer))
    return [Text(at / f"{job.name}.{kind.__name__}", kind(job)) for job, kind in pairs]


def install(system: str, jobs: Sequence[Job], environ: Mapping[str, str]) -> Done:
    """Tell the system; what it knows already stays.

    Raises:
        ConfigError: A file is there that is not ours, or the crontab cannot be read.
        DiskError: A file cannot be written.
    """
    wanted = texts(system, jobs, environ)
    if system == "cron":
        before = _crontab(environ)
        after = cron.with_jobs(before, jobs)
        if after == before:
            return Done(same=wanted)
        _write_crontab(after, environ)
        return Done(changed=wanted)
    done = Done()
    for each in wanted:
        (done.same if _octets(each.path) == each.text.encode() else done.changed).append(each)
    try:
        for each in done.changed:
            assert each.path is not None
            each.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            write_whole(each.path, each.text.encode(), 0o644)
    except OSError as error:
        raise DiskError(f"cannot write {each.path}: {error.strerror}") from None
    done.to_type = _switch_on(system, [job.name for job in jobs], folder(system, environ), environ)
    return done


def remove(system: str, accounts: Sequence[str], environ: Mapping[str, str], *, dry_run: bool = False) -> Done:
    """Take away what we have told the system of these accounts, or all of it for no accounts.

    Raises:
        ConfigError: The crontab cannot be read. DiskError: A file cannot be taken away.
    """
    if system == "cron":
        before = _crontab(environ)
        after, gone = cron.without_jobs(before, accounts or None)
        if gone and not dry_run:
            _write_crontab(after, environ)
        return Done(changed=[Text(None, text) for text in gone])
    at = folder(system, environ)
    kinds = ("plist",) if system == "launchd" else ("timer", "service")
    found = [path for kind in kinds for path in sorted(at.glob(f"mailarchive-backup*.{kind}"))]
    names = {f"mailarchive-backup-{account}" for account in accounts}
    ours = [path for path in found if (not names or path.stem in names) and _is_ours(path)]
    done = Done(changed=[Text(path, "") for path in ours])
    if dry_run or not ours:
        return done
    done.to_type = _switch_off(system, ours, environ)
    try:
        for path in ours:
            path.unlink()
    except OSError as error:
        raise DiskError(f"cannot remove {path}: {error.strerror}") from None
    if system == "systemd":
        _answers(["systemctl", "--user", "daemon-reload"], environ)
    return done


def _octets(path: Path | None) -> bytes | None:
    """Read a file of ours; None for none. Raises ConfigError: it is not ours."""
    assert path is not None
    if not path.exists() and not path.is_symlink():
        return None
    if not _is_ours(path):
        raise ConfigError(
            f"{path} is there and was not written by mailarchive schedule; nothing was changed",
            hint="move it away, or keep it and leave --install out",
        )
    return path.read_bytes()


def _is_ours(path: Path) -> bool:
    """Tell whether a regular file bears our mark near its beginning; a link is somebody else's."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST:
            return False
        head = path.read_bytes()[:1000].decode("utf-8", "replace")
    except OSError:
        return False
    return MARK in head or MARK.replace("--", "") in head


def _switch_on(system: str, names: Sequence[str], at: Path, environ: Mapping[str, str]) -> list[str]:
    """Let the system know; gives what the user has to type instead, if it does not answer."""
    if system == "systemd":
        commands = [["systemctl", "--user", "daemon-reload"]]
        commands += [["systemctl", "--user", "enable", "--now", f"{name}.timer"] for name in names]
    else:
        session = f"gui/{os.getuid()}"
        for name in names:  # it may not be there yet, and says so
            _answers(["launchctl", "bootout", f"{session}/{name}"], environ)
        commands = [["launchctl", "bootstrap", session, str(at / f"{name}.plist")] for name in names]
    return _typed(commands, environ)


def _switch_off(system: str, paths: Sequence[Path], environ: Mapping[str, str]) -> list[str]:
    if system == "launchd":
        return _typed([["launchctl", "bootout", f"gui/{os.getuid()}/{path.stem}"] for path in paths], environ)
    timers = [path for path in paths if path.suffix == ".timer"]
    answer = _typed([["systemctl", "--user", "disable", "--now", path.name] for path in timers], environ)
    for path in timers if answer else ():
        # Nobody answered, so the link by which it was enabled is still there.
        link = path.parent / "timers.target.wants" / path.name
        if link.is_symlink() and link.resolve() == path.resolve():
            link.unlink()
    return []


def _typed(commands: Sequence[Sequence[str]], environ: Mapping[str, str]) -> list[str]:
    """Run commands; gives those from the first that did not work on, as a user types them."""
    import shlex

    for number, command in enumerate(commands):
        if not _answers(command, environ):
            return [shlex.join(each) for each in commands[number:]]
    return []


def _answers(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    found = _run(command, environ)
    return found is not None and found.returncode == 0


def _run(
    command: Sequence[str], environ: Mapping[str, str], data: bytes = b""
) -> subprocess.CompletedProcess[bytes] | None:
    program = shutil.which(command[0], path=environ.get("PATH"))
    if program is None:
        return None
    try:
        return subprocess.run(  # noqa: S603 - systemctl, crontab or launchctl with words of ours
            [program, *command[1:]],
            input=data,
            capture_output=True,
            env={**environ, "LC_ALL": "C"},
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _crontab(environ: Mapping[str, str]) -> str:
    found = _run(["crontab", "-l"], environ)
    if found is None:
        raise ConfigError("there is no program crontab here, or it does not answer", hint="--system systemd, maybe")
    if found.returncode and b"no crontab for" not in found.stderr:
        raise ConfigError("crontab -l failed, so nothing was changed", hint="run it yourself to see what it says")
    return "" if found.returncode else found.stdout.decode("utf-8", "surrogateescape")


def _write_crontab(text: str, environ: Mapping[str, str]) -> None:
    found = _run(["crontab", "-"], environ, text.encode("utf-8", "surrogateescape"))
    if found is None or found.returncode:
        raise ConfigError("crontab did not take the new lines; the old ones are in force", hint="crontab -l shows them")
