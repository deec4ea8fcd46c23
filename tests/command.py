"""Runs the command as a user does: in this process for speed, or as a process of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mailarchive.cli import run

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str
    peak: int = 0
    """Largest resident size in octets, of a process of its own."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of a run with --json."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def end(self) -> dict[str, Any]:
        """The line with which a run with --json ended."""
        last = self.events[-1]
        assert "finished" in last["event"], last
        return last


def mailarchive(*words: str | Path, password: str = "secret") -> Result:
    """Run the command line in this process, with the password in the environment."""
    out, err = io.StringIO(), io.StringIO()
    os.environ["MAILARCHIVE_PASSWORD"] = password
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = run([str(word) for word in words])
    finally:
        del os.environ["MAILARCHIVE_PASSWORD"]
    return Result(code, out.getvalue(), err.getvalue())


def process(
    *words: str | Path,
    password: str = "secret",
    before: tuple[str, ...] = (),
    environ: Mapping[str, str] | None = None,
    timeout: float = 100,
    module: str = "mailarchive",
) -> Result:
    """Run the command line as a process of its own, `before` standing in front of it (strace, for instance)."""
    with started(*words, password=password, before=before, environ=environ, module=module) as child:
        out, err = child.communicate(timeout=timeout)
    return Result(child.returncode, out, err)


def started(
    *words: str | Path,
    password: str = "secret",
    before: tuple[str, ...] = (),
    environ: Mapping[str, str] | None = None,
    module: str = "mailarchive",
) -> subprocess.Popen[str]:
    """Start the command line as a process of its own, of which more is wanted than its end; see `process`."""
    return subprocess.Popen(
        [*before, sys.executable, "-m", module, *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "MAILARCHIVE_PASSWORD": password, **(environ or {})},
        encoding="utf-8",
    )


def until(child: subprocess.Popen[str], word: str) -> None:
    """Read what a process with --json prints, until a line holds a word."""
    assert child.stdout is not None
    assert any(word in line for line in child.stdout), f"it ended without {word}"


def wait_until_idle(pid: int) -> None:
    """Wait until a process sleeps and uses no time: it waits for somebody."""
    seen: list[tuple[str, ...]] = []
    while len(seen) < 5 or seen[-1][0] != "S" or len(set(seen[-5:])) > 1:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        seen.append((fields[0], fields[11], fields[12]))
        time.sleep(0.05)


def plain_url(port: int, user: str) -> str:
    """Make the URL of a server on this computer without TLS."""
    return f"imap+insecure://{quote(user, safe='')}@127.0.0.1:{port}"


def start_of_day(years_ago: int = 0, days_ago: int = 0) -> datetime:
    """Give the instant of `--older-than 1y` or `30d` by another way than the program's."""
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)
    leap = years_ago and (today.month, today.day) == (2, 29)
    return (
        (today.replace(day=28) if leap else today)
        .replace(year=today.year - years_ago)
        .replace(tzinfo=None)
        .astimezone()
    )
