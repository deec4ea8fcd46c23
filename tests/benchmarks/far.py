"""Runs our own command as if the server were on another computer, so that COMPRESS is weighed on a line of loopback.

Law of this room: the command runs as it always does; `judged` only hides that the address is ours, and what was
measured on the line decides; `always` compresses whatever was measured.

    python -m tests.benchmarks.far judged|always ARGUMENT...
"""

from __future__ import annotations

import sys
from unittest import mock

from mailarchive.cli import run
from mailarchive.sources import pace


def main(how: str, arguments: list[str]) -> int:
    """Run the command; gives its exit code."""
    with (
        mock.patch.object(pace, "is_here", return_value=False),
        mock.patch.object(pace, "pays", pace.pays if how == "judged" else lambda *_: True),
    ):
        return run(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
