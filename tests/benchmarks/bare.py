"""Marks and expunges all mail of an account from a bare socket, and reads every file of an archive once, from the disk.

The least that a deletion of proved messages can take. Law of this room: as `drain.py`. Exits with 1 where the server
did not do all of it.

    python -I -S bare.py PORT USER ARCHIVE MAILBOX...     (the password is in BENCHMARK_PASSWORD)
"""

from __future__ import annotations

import os
import socket
import sys


def delete(port: int, user: str, password: str, mailboxes: list[str]) -> bool:
    """Send all commands at once, and read the answers to their end; tells whether all of them were OK."""
    commands = [f'l LOGIN "{user}" "{password}"']
    for mailbox in mailboxes:
        commands += [f's SELECT "{mailbox}"', r"m UID STORE 1:* +FLAGS.SILENT (\Deleted)", "e UID EXPUNGE 1:*"]
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall("".join(f"{command}\r\n" for command in (*commands, "z LOGOUT")).encode())
        done = [words[:5] for words in line.makefile("rb") if words[:2] in (b"l ", b"s ", b"m ", b"e ", b"z ")]
    return len(done) == len(commands) + 1 and all(words[2:] == b"OK " for words in done)


def read(archive: str) -> int:
    """Read every file below `cur` once, from the disk as far as the system can; gives their number."""
    number = 0
    for folder, _, names in os.walk(archive):
        if not folder.endswith("/cur"):
            continue
        for name in names:
            file = os.open(f"{folder}/{name}", os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            while os.read(file, 1 << 20):
                pass
            os.close(file)
            number += 1
    return number


def main() -> int:
    """Run what the command line asks for."""
    port, user, archive, *mailboxes = sys.argv[1:]
    number = read(archive)
    done = delete(int(port), user, os.environ["BENCHMARK_PASSWORD"], mailboxes)
    print(f"{number} files were read")  # noqa: T201
    return 0 if done and number else 1


if __name__ == "__main__":
    raise SystemExit(main())
