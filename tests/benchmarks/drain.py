"""Reads all mail of an account from a bare socket and drops it: the least time that a client of this server can take.

Law of this room: no import from the package under test or from the rest of the benchmarks, so that it starts at once;
every command is on the wire before the first answer is read. Exits with 1 where the server did not say all of it.

    python -I -S drain.py {imap|facts|pop3} PORT USER OCTETS [MAILBOX]...     (the password is in BENCHMARK_PASSWORD)

`facts` asks for what a listing needs, and for no mail.
"""

from __future__ import annotations

import os
import socket
import sys

_BUFFER = 256 * 1024
_ITEMS = {"imap": "UID FLAGS INTERNALDATE BODY.PEEK[]", "facts": "UID FLAGS INTERNALDATE RFC822.SIZE"}


def _imap(line: socket.socket, user: str, password: str, mailboxes: list[str], items: str) -> int:
    """Examine and fetch every mailbox; gives the octets that came."""
    commands = [f'a LOGIN "{user}" "{password}"']
    for mailbox in mailboxes:
        commands += [f'b EXAMINE "{mailbox}"', f"c UID FETCH 1:* ({items})"]
    line.sendall("".join(f"{command}\r\n" for command in (*commands, "z LOGOUT")).encode())
    return _read(line, b"z OK ")


def _pop3(line: socket.socket, user: str, password: str) -> int:
    """Retrieve every message; gives the octets that came."""
    import threading

    answers = line.makefile("rb")
    line.sendall(f"USER {user}\r\nPASS {password}\r\nSTAT\r\n".encode())
    said = [answers.readline() for _ in range(4)]
    number = int(said[-1].split()[1])
    orders = b"".join(b"RETR %d\r\n" % each for each in range(1, number + 1)) + b"QUIT\r\n"
    # All at once, from another thread: the server stops reading while its answers are not read.
    threading.Thread(target=line.sendall, args=(orders,), daemon=True).start()
    return _read(line, b"+OK Logging out")


def _read(line: socket.socket, farewell: bytes) -> int:
    """Read until the server hangs up; gives the octets, 0 if its last words were others."""
    buffer = bytearray(_BUFFER)
    view = memoryview(buffer)
    total, tail = 0, b""
    while size := line.recv_into(buffer):
        total += size
        tail = (tail + bytes(view[max(0, size - 200) : size]))[-200:]
    return total if farewell in tail else 0


def main() -> int:
    """Run what the command line asks for."""
    protocol, port, user, octets, *mailboxes = sys.argv[1:]
    password = os.environ["BENCHMARK_PASSWORD"]
    with socket.create_connection(("127.0.0.1", int(port))) as line:
        if protocol == "pop3":
            total = _pop3(line, user, password)
        else:
            total = _imap(line, user, password, mailboxes, _ITEMS[protocol])
    print(f"{total} octets came, {octets} are there")  # noqa: T201
    return 0 if total >= int(octets) else 1


if __name__ == "__main__":
    raise SystemExit(main())
