"""Starts the user's command when a backup has failed.

The law of this room: the command gets what happened in variables, made safe, and none of our passwords; nothing of it
outlives its time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Final

from mailarchive.secret_command import child_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailarchive.monitoring.outcome import Outcome

PATIENCE: Final = 60.0


def variables(outcome: Outcome, command: str) -> dict[str, str]:
    """Give the variables that say what happened; none of them holds a control character."""
    return {
        "MAILARCHIVE_COMMAND": command,
        "MAILARCHIVE_ACCOUNT": outcome.account,
        "MAILARCHIVE_EXIT_CODE": str(int(outcome.code)),
        "MAILARCHIVE_ERROR": outcome.error,
        "MAILARCHIVE_RUN": outcome.run,
    }


def told(shell_line: str, environ: Mapping[str, str], said: Mapping[str, str], *, patience: float = PATIENCE) -> str:
    """Run a line by `/bin/sh -c`; gives what is wrong, or "" if it ended well.

    Its stderr is ours, as with the commands that print passwords; its stdout is nobody's, because ours may be read by
    a program.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - running the user's own command is the purpose
            ["/bin/sh", "-c", shell_line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**child_environment(environ), **said},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"it cannot be started: {getattr(error, 'strerror', None) or type(error).__name__}"
    try:
        code = process.wait(patience)
    except subprocess.TimeoutExpired:
        return f"it did not end within {patience:g} s"
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code < 0:
        return f"it was ended by signal {-code}"
    return f"it ended with exit status {code}" if code else ""
