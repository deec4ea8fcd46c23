"""Stops a process at every step of appending to mbox files, and looks at what it left; run as a program of its own.

A fork is killed just before its n-th call that changes the disk, or in the middle of it where that is a write. What
was reported durable before must be whole, what is there must be right, and the same run once more must end with each
message once. Writes the number of stops.
"""

from __future__ import annotations

import contextlib
import mailbox
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mailarchive import mbox_block
from mailarchive.archives.marker import Kind
from mailarchive.archives.opening import open_for_writing
from mailarchive.model import UID, Mailbox, RemoteMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACCOUNT = "imaps://me@imap.example.org:993"
CALLS = ("open", "pwrite", "write", "fsync", "ftruncate", "link", "unlink", "replace", "rename", "mkdir", "fchmod")
WRITES = ("pwrite", "write")
INBOX = Mailbox("INBOX", b"INBOX", "/")
WORK = Mailbox("Work/Été", b"", "/")


class Message:
    """A message that arrives."""

    def __init__(self, number: int) -> None:
        date = datetime(2013 + number % 2, 3, number + 1, tzinfo=UTC)
        flags = frozenset({"\\Seen", f"word{number}"})
        self.octets = b"Subject: %d\r\n\r\nFrom here\r\n" % number + b"x" * (number * 3000)
        self.message = RemoteMessage(UID(number + 1), len(self.octets), date, flags)

    def chunks(self) -> Iterator[bytes]:
        """Give the octets."""
        yield self.octets


BATCHES = [(INBOX, (0, 1, 2)), (INBOX, (3, 4)), (WORK, (5, 6))]
MESSAGES = {number: Message(number) for _, numbers in BATCHES for number in numbers}


def write(path: Path, durable: Callable[[int], object]) -> None:
    """Do the whole run, telling of each message when it is durable."""
    with open_for_writing(path, ACCOUNT, run="run", started="", kind=Kind("mbox"), remember=False) as opened:
        for box, numbers in BATCHES:
            for number in numbers:
                opened.mail.add(box, MESSAGES[number], 77)
            opened.mail.sync()
            for number in numbers:
                durable(number)


def stop_at(number: int, *, torn: bool) -> None:
    """Have this process end at its n-th call that changes the disk."""
    count = 0

    def stopping(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal count
            flags = arguments[1] if name == "open" else os.O_CREAT
            if isinstance(flags, int) and flags & (os.O_CREAT | os.O_TRUNC):
                count += 1
                if count == number:
                    if torn and name in WRITES:
                        octets = memoryview(arguments[1])  # type: ignore[arg-type] # the second argument of a write
                        original(arguments[0], octets[: len(octets) // 2], *arguments[2:])
                    os._exit(99)
            return original(*arguments, **options)

        return call

    for name in CALLS:
        setattr(os, name, stopping(name, getattr(os, name)))


def stopped(path: Path, number: int, *, torn: bool) -> tuple[bool, set[int]]:
    """Run until a step; tells whether it was stopped there, and what was durable."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        with contextlib.suppress(BaseException):
            tell = os.write
            stop_at(number, torn=torn)
            write(path, lambda each: tell(writing, bytes([each])))
            code = 0
        os._exit(code)
    os.close(writing)
    with open(reading, "rb") as told:  # noqa: PTH123 - a descriptor
        durable = set(told.read())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 99}, (number, torn, code)
    return code == 99, durable


def look(path: Path) -> list[bytes]:
    """Read every message that a reader of the archive sees, each of them right."""
    with open_for_writing(path, ACCOUNT, run="look", started="", kind=Kind("mbox"), remember=False) as opened:
        found = [b"".join(opened.mail.read(location)) for _, location in opened.mail.scan()]
    assert set(found) <= {each.octets for each in MESSAGES.values()}
    return found


def check_files(path: Path) -> None:
    """Look at the files as another program does."""
    count = 0
    for file in path.rglob("*.mbox"):
        box = mailbox.mbox(file, create=False)
        count += len(box)
        shown = [int(each["X-UID"]) for each in box if each["X-UID"]]
        words = {word for each in box for word in (each["X-Keywords"] or "").split()}
        box.close()
        base = mbox_block.parse_base(file.read_bytes())
        assert base is not None
        assert base.number >= max(shown)
        assert words <= set(base.keywords)
        assert file.stat().st_mode & 0o777 == 0o444
    assert count == len(MESSAGES), count
    rest = {each.name for each in path.rglob("*") if each.is_file()} - {"archive.toml", ".noindex", "lock"}
    assert {name for name in rest if not name.endswith(".mbox")} == set(), rest


def main(folder: Path) -> int:
    """Stop at every step; gives their number."""
    stops = 0
    for torn in (False, True):
        number = 0
        going = True
        while going:
            number += 1
            path = folder / f"{number}-{torn}"
            going, durable = stopped(path, number, torn=torn)
            stops += going
            if path.exists():
                before = look(path)
                missing = {each for each in durable if MESSAGES[each].octets not in before}
                assert not missing, (number, torn, missing)
            write(path, lambda _: None)
            assert sorted(look(path)) == sorted(each.octets for each in MESSAGES.values()), (number, torn)
            check_files(path)
            shutil.rmtree(path)
    return stops


if __name__ == "__main__":
    sys.stdout.write(f"{main(Path(sys.argv[1]))}\n")
