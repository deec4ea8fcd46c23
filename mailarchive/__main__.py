"""Where the program begins, as a command and as `python -m mailarchive`.

The law of this room: until there is somebody who tells an interrupt in one line, Ctrl-C ends the program without one.
"""

from __future__ import annotations

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and end the process with the right code."""
    # Whoever starts us may have switched the signal off.
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mailarchive.cli import main as command_line

    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line()


if __name__ == "__main__":
    main()
