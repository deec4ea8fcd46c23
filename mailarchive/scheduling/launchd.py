"""The agent of a job, for the launchd of a Mac.

The law of this room: pure.
"""

from __future__ import annotations

import plistlib
from typing import TYPE_CHECKING, Any

from mailarchive.scheduling.job import MARK

if TYPE_CHECKING:
    from pathlib import Path

    from mailarchive.scheduling.job import Job, When


def agent(job: Job, home: Path) -> str:
    """Give the text of the agent; what a run says, which is nothing where all is well, goes into a file of the home."""
    label = job.name
    values: dict[str, Any] = {
        "Label": label,
        "ProgramArguments": list(job.words),
        "EnvironmentVariables": dict(job.environ),
        "StartCalendarInterval": _interval(job.when),
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "StandardErrorPath": str(home / "Library" / "Logs" / f"{label}.log"),
    }
    head, sep, rest = plistlib.dumps(values, sort_keys=False).decode().partition("<plist")
    # Two hyphens end a comment.
    return f"{head}<!-- {MARK.replace('--', '')} -->\n{sep}{rest}"


def _interval(time: When) -> dict[str, int]:
    found = {"Minute": time.minute}
    if time.every != "hour":
        found["Hour"] = time.hour
    if time.every == "week":
        found["Weekday"] = (time.day + 1) % 7
    return found
