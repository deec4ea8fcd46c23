"""Measures a program from outside: wall seconds of the whole process, processor seconds and peak memory of its tree.

Law of this room: what is measured is the process, from before its start until after its end, by wait4 in a process of
its own (`starter.py`); dirty pages that others left are written out first, so that nobody pays for them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_STARTER = Path(__file__).with_name("starter.py")
_QUOTED = 160


class Cost(NamedTuple):
    """What one run took: seconds of wall and of processor time, largest resident size of a process of it in octets."""

    wall: float
    cpu: float
    peak: int


class UnableError(Exception):
    """A program did not do the work; the text says what it did instead."""


def run(
    command: Sequence[str],
    environ: Mapping[str, str],
    *,
    user: int | None = None,
    patience: float,
    good: Sequence[int] = (0,),
) -> Cost:
    """Run a program to its end, as another user if one is given. Whether the work was done is for the caller to see.

    Raises:
        UnableError: It is missing, ended with a code that is not `good`, or took longer than `patience` seconds;
            it is killed then.
    """
    program = shutil.which(command[0], path=environ.get("PATH"))
    if program is None:
        raise UnableError(f"{command[0]} is not installed")
    os.sync()
    with tempfile.TemporaryFile() as log:
        starter = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_STARTER), "-" if user is None else str(user), program, *command[1:]],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        try:
            told, _ = starter.communicate(timeout=patience)
        except BaseException as stopped:
            # The group is the starter's own, so this reaches only what it has started.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(starter.pid, signal.SIGKILL)
            starter.communicate()
            if isinstance(stopped, subprocess.TimeoutExpired):
                raise UnableError(f"stopped after {patience:.0f} s") from None
            raise
        words = told.split()
        code = int(words[3]) if len(words) == 4 else starter.returncode
        if code not in good or len(words) != 4:
            log.seek(0)
            raise UnableError(f"exit {code}: {_last_words(log.read())}")
    return Cost(float(words[0]), float(words[1]), int(words[2]))


def _last_words(said: bytes) -> str:
    """Give the last line that a program said, cut, and without what would break a table or a terminal."""
    lines = [line for line in said.decode("ascii", "replace").splitlines() if line.strip()] or ["(nothing said)"]
    return "".join(char if char.isprintable() and char != "|" else "?" for char in lines[-1].strip()[:_QUOTED])
