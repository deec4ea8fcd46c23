"""Runs the command as a user does: in this process for speed, or as a process of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from mailarchive.cli import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str
    peak: int = 0
    """Largest resident size in octets, of a process of its own."""


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
) -> Result:
    """Run the command line as a process of its own, `before` standing in front of it (strace, for instance)."""
    command = [*before, sys.executable, "-m", "mailarchive", *map(str, words)]
    environment = {**os.environ, "MAILARCHIVE_PASSWORD": password, **(environ or {})}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as child:
        out, err = child.communicate(timeout=timeout)
    return Result(child.returncode, out.decode(), err.decode())


def plain_url(port: int, user: str) -> str:
    """Make the URL of a server on this computer without TLS."""
    return f"imap+insecure://{quote(user, safe='')}@127.0.0.1:{port}"
