"""The lines of jobs in a crontab, between marks, and everything else in it as it was.

The law of this room: pure. A line needs nothing of its surroundings but a shell.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from mailarchive.errors import ConfigError, UsageError
from mailarchive.scheduling.job import MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mailarchive.scheduling.job import Job

_ALL: Final = "*"
_LONGEST: Final = 990
"""Octets of a command; some crons cut it off after 1000."""
_SHORT_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_BEGIN: Final = re.compile(r"# >>> mailarchive schedule (\S+): .*")
_END: Final = re.compile(r"# <<< mailarchive schedule (\S+)")


def line(job: Job) -> str:
    """Give the line of a job; crontab(5) makes a line break of a percent sign that is not escaped.

    Raises:
        UsageError: It is too long, also with a short PATH.
    """
    time = job.when
    hour = "*" if time.every == "hour" else str(time.hour)
    day = str((time.day + 1) % 7) if time.every == "week" else "*"
    command = _command(job, dict(job.environ))
    if len(command.encode("utf-8", "surrogateescape")) > _LONGEST and any(name == "PATH" for name, _ in job.environ):
        command = _command(job, {**dict(job.environ), "PATH": _SHORT_PATH})
    if len(command.encode("utf-8", "surrogateescape")) > _LONGEST:
        raise UsageError(
            f"the line for cron is longer than {_LONGEST} octets", hint="--system systemd has no such limit"
        )
    return f"{time.minute} {hour} * * {day} {command}"


def _command(job: Job, environ: Mapping[str, str]) -> str:
    words = [*(f"{name}={shlex.quote(value)}" for name, value in environ.items()), shlex.join(job.words)]
    return " ".join(words).replace("%", r"\%")


def block(job: Job) -> str:
    """Give the lines of a job with the marks around them."""
    name = job.account or _ALL
    return f"# >>> mailarchive schedule {name}: {MARK}\n{line(job)}\n# <<< mailarchive schedule {name}\n"


def with_jobs(before: str, jobs: Iterable[Job]) -> str:
    """Give a crontab with these jobs, each in the place of its earlier lines, a new one at the end.

    Raises:
        ConfigError: A mark has lost its other half.
    """
    blocks = {job.account or _ALL: block(job) for job in jobs}
    parts = [blocks.pop(name, text) if name else text for name, text in _parts(before)]
    text = "".join(parts)
    if blocks and text and not text.endswith("\n"):
        text += "\n"
    return text + "".join(blocks.values())


def without_jobs(before: str, accounts: Iterable[str] | None) -> tuple[str, list[str]]:
    """Give a crontab without the jobs of these accounts, or without any for None, and what was taken away."""
    wanted = None if accounts is None else set(accounts)
    kept, gone = "", []
    for name, text in _parts(before):
        if name and (wanted is None or name in wanted):
            gone.append(text)
        else:
            kept += text
    return kept, gone


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Give pieces that add up to the text: ("", foreign lines) and (name, lines between marks and the marks)."""
    name, held = "", ""
    for each in text.splitlines(keepends=True):
        begin, end = _BEGIN.fullmatch(each.rstrip("\n")), _END.fullmatch(each.rstrip("\n"))
        if (begin and name) or (end and end[1] != name):
            break
        if begin:
            yield "", held
            name, held = begin[1], ""
        held += each
        if end:
            yield name, held
            name, held = "", ""
    else:
        if not name:
            yield "", held
            return
    raise ConfigError(
        f"the crontab has a mark of `mailarchive schedule {name or _ALL}` without its other half; nothing was changed",
        hint="crontab -e, and take the mark away with what belongs to it",
    )
