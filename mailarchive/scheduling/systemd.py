"""The timer and the service of a job, for the systemd of a user.

The law of this room: pure. Every word is quoted as systemd.syntax(7) and systemd.service(5) want it; nothing that the
backup does not need is allowed to it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mailarchive.scheduling.job import DAYS, MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.scheduling.job import Job, When

_SLACK: Final = {"hour": "5min", "day": "30min", "week": "30min"}
"""So much later a run may start, so that not everybody asks a server at the same minute."""


def timer(job: Job) -> str:
    """Give the text of the timer."""
    return f"""\
# {MARK}
[Unit]
Description={job.words_for_people}

[Timer]
OnCalendar={calendar(job.when)}
RandomizedDelaySec={_SLACK[job.when.every]}
# A run that was missed, because the computer was off, comes when it is on again.
Persistent=true

[Install]
WantedBy=timers.target
"""


def service(job: Job) -> str:
    """Give the text of the service."""
    return "\n".join([*_service(job), ""])


def _service(job: Job) -> Iterator[str]:
    program, *arguments = job.words
    yield f"# {MARK}"
    yield "[Unit]"
    yield f"Description={job.words_for_people}"
    yield ""
    yield "[Service]"
    yield "Type=oneshot"
    # The path of the program is taken as it is, in its arguments a dollar is doubled.
    yield f"ExecStart={' '.join([_word(program), *(_word(word).replace('$', '$$') for word in arguments)])}"
    yield from (f"Environment={_word(f'{name}={value}')}" for name, value in job.environ)
    yield "# 11: another run is at it. 75: the server asks for patience. Either way the next run goes on by itself."
    yield "SuccessExitStatus=11 75"
    yield "Nice=10"
    yield "IOSchedulingClass=idle"
    for account in job.askers:
        yield f"# The password of {account}, if nothing else gives it: a file of mode 0600 with nothing but it."
        yield f"#LoadCredential=mailarchive.{account}.password:%h/.config/mailarchive/{account}.password"
    yield "NoNewPrivileges=yes"
    yield "LockPersonality=yes"
    yield "RestrictRealtime=yes"
    yield "RestrictSUIDSGID=yes"
    yield "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"
    yield "SystemCallArchitectures=native"
    yield "SystemCallFilter=@system-service"
    yield "SystemCallErrorNumber=EPERM"
    yield "# Where users get no namespaces, the service ends with 226/NAMESPACE: then leave out what follows."
    yield "ProtectSystem=strict"
    paths = [f"-{path}" for path in job.writable]
    if job.commands:
        yield "# The configuration names commands, such as one that prints a password: they may write in the home, too."
        yield f"ReadWritePaths={' '.join(['-%h', '-%t', '-/tmp', '-/var/tmp', *map(_word, paths)])}"
    else:
        yield "PrivateTmp=yes"
        yield f"ReadWritePaths={' '.join(map(_word, paths))}"


def calendar(time: When) -> str:
    """Give a time as systemd.time(7) wants it."""
    if time.every == "hour":
        return f"*-*-* *:{time.minute:02}:00"
    return f"{DAYS[time.day] + ' ' if time.every == 'week' else ''}*-*-* {time.hour:02}:{time.minute:02}:00"


def _word(text: str) -> str:
    """Quote a word; a percent sign would begin a specifier."""
    text = text.replace("%", "%%")
    if re.fullmatch(r"[A-Za-z0-9_./:=@%+,-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
