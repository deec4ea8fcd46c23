"""Drives mail programs that want a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cli.terminal import at_a_terminal

if TYPE_CHECKING:
    from pathlib import Path


def counted(program: str, mailbox: Path, pattern: str, home: Path) -> int:
    """Have mutt or neomutt pipe each message that fits a pattern to a command that writes one line.

    Raises:
        BlockingIOError: Somebody has held the lock of the file for longer than it waits, five seconds.
    """
    count, settings = home / "count", home / "muttrc"
    count.write_text("")
    # Without this folder mutt asks whether to make it, and that question would eat the first keys.
    (home / "Mail").mkdir(exist_ok=True)
    settings.write_text(
        "set wait_key=no\nset pipe_split=yes\nset pipe_decode=no\n"
        f'push "<tag-pattern>{pattern}<enter><tag-prefix-cond><pipe-message>echo x >>{count}<enter><end-cond><exit>"\n'
    )
    environment = ("TERM=xterm", f"HOME={home}", "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TZ=UTC")
    command = ["env", "-i", *environment, program, "-n", "-F", str(settings), "-R", "-f", str(mailbox)]
    seen = at_a_terminal(command)
    if "Lock count exceeded" in seen.text:  # a question, which has eaten the keys
        raise BlockingIOError(seen.text)
    assert seen.code == 0
    return len(count.read_text().splitlines())
