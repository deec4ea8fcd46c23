"""Large messages and large mailboxes pass in bounded memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import mailarchive, plain_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

MEASURE = """
import json, pathlib, re, sys
from mailarchive.cli import run
code = run(sys.argv[1:])
# Not ru_maxrss, which begins with the size of the process that started this one.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())
print(json.dumps({"code": code, "peak": int(peak.group(1)) * 1024}), file=sys.stderr)
"""


def peak_of(*words: str | Path, code: int = 0, timeout: float = 300) -> int:
    """Run a command, which must end with this code, as a process of its own; gives its peak memory in octets."""
    found = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, words)],
        env={**os.environ, "MAILARCHIVE_PASSWORD": "secret"},
        capture_output=True,
        text=True,
        check=True,
        timeout=timeout,
    )
    told = json.loads(found.stderr.splitlines()[-1])
    assert told["code"] == code, found.stderr
    return int(told["peak"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_f127_a_message_of_60_mb_passes_in_less_than_100_mb(tmp_path: Path) -> None:
    """The whole process, interpreter included."""
    store = Store()
    account = store.add_account("kim", "secret")
    line = b"0123456789abcdef" * 4 + b"\r\n"
    large = b"Subject: large\r\nFrom: a@example.org\r\n\r\n" + line * (60 * 1024 * 1024 // len(line))
    account.mailbox("INBOX").append(large, datetime.now(UTC) - timedelta(days=900))
    with DemoServer(store) as server:
        peak = peak_of("backup", plain_url(server.imap_port, "kim"), "--to", tmp_path / "archive")
    (found,) = maildir.files(tmp_path / "archive")
    assert found.octets == large
    print(f"peak {peak / 1024**2:.1f} MiB")  # noqa: T201 - for the record
    assert peak < 100 * 1024 * 1024


MILLION = 1_000_000
CAPABILITY = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR ESEARCH CONDSTORE\r\n"
EXAMINED = b"* %d EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT %d] x\r\n* OK [HIGHESTMODSEQ 9] x\r\n"


def facts(low: int, high: int) -> bytes:
    """Write the facts of messages, of many dates, sizes and flags."""
    line = b'* %d FETCH (UID %d FLAGS (%s) INTERNALDATE "%02d-Mar-%d %02d:%02d:%02d +0100" RFC822.SIZE %d)\r\n'
    return b"".join(
        line % (n, n, b"\\Seen" * (n % 2), n % 28 + 1, 2000 + n % 15, n % 24, n % 60, n % 59, n % 7000)
        for n in range(low, high + 1)
    )


def bodies(uids: bytes) -> bytes:
    """Write the messages of a set, no two of them alike."""
    line = b'* 1 FETCH (UID %d FLAGS (\\Seen) INTERNALDATE "01-Mar-2014 10:00:00 +0100" BODY[] {%d}\r\n%s)\r\n'
    made = []
    for part in uids.split(b","):
        low, _, high = part.partition(b":")
        for uid in range(int(low), int(high or low) + 1):
            text = b"Message-ID: <%d@example.org>\r\nFrom: a@example.org\r\n\r\nhello\r\n" % uid
            made.append(line % (uid, len(text), text))
    return b"".join(made)


def answer(command: bytes, total: int = MILLION) -> list[bytes]:
    """Say what a server with so many messages in INBOX answers."""
    if command.startswith(b"CAPABILITY"):
        return [CAPABILITY]
    if command.startswith(b"LIST"):
        return [b'* LIST () "/" INBOX\r\n']
    if command.startswith(b"EXAMINE"):
        return [EXAMINED % (total, total + 1)]
    if found := re.match(rb"UID SEARCH RETURN \(COUNT ALL\) ([\d,]+)$", command):
        return [b"* ESEARCH UID COUNT %d ALL %s\r\n" % (found[1].count(b",") + 1, found[1])]
    if b"HEADER" in command:
        uids = re.findall(rb"(\d+)(?::(\d+))?", command.split(b" ")[2])
        found_uids = [n for low, high in uids for n in range(int(low), int(high or low) + 1)]
        return [b"".join(b"* %d FETCH (UID %d BODY[HEADER.FIELDS (FROM)] NIL)\r\n" % (n, n) for n in found_uids)]
    if found := re.match(rb"UID FETCH ([\d:,]+) \(UID FLAGS INTERNALDATE BODY", command):
        return [bodies(found[1])]
    if found := re.match(rb"UID FETCH (\d+):(\d+) ", command):
        low, high = int(found[1]), min(int(found[2]), total)
        return [facts(first, min(first + 999, high)) for first in range(low, high + 1, 1000)]
    return []


def serve(server: socket.socket, answer: Callable[[bytes], Iterable[bytes]] = answer) -> None:
    """Answer the commands of one client."""
    client, _ = server.accept()
    with client, client.makefile("rb") as lines, contextlib.suppress(OSError):
        client.sendall(b"* OK hello\r\n")
        for line in lines:
            tag, _, command = line.strip().partition(b" ")
            for piece in answer(command):
                client.sendall(piece)
            client.sendall(tag + b" OK done\r\n")


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_f127_a_mailbox_of_a_million_messages_is_planned_in_less_than_100_mb(tmp_path: Path) -> None:
    """The whole process, interpreter included."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        url = plain_url(server.getsockname()[1], "kim")
        peak = peak_of("backup", url, "--to", tmp_path / "archive", "--dry-run")
        thread.join(10)
    print(f"peak {peak / 1024**2:.1f} MiB")  # noqa: T201 - for the record
    assert peak < 100 * 1024 * 1024


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_a_mailbox_of_a_million_messages_is_measured_in_less_than_100_mb() -> None:
    """`du`, the whole process, interpreter included; senders are asked for ten thousand messages."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        peak = peak_of("du", plain_url(server.getsockname()[1], "kim"))
        thread.join(10)
    print(f"peak {peak / 1024**2:.1f} MiB")  # noqa: T201 - for the record
    assert peak < 100 * 1024 * 1024


GIGABYTE = 1_000_000_000
FACT = b'1 FETCH (UID 1 FLAGS () INTERNALDATE "01-Mar-2014 10:00:00 +0000" RFC822.SIZE %d' % GIGABYTE


def gigabyte() -> Iterator[bytes]:
    """Make a message of a gigabyte, piece by piece."""
    head = b"Subject: large\r\nFrom: a@example.org\r\n\r\n"
    piece = (b"0123456789abcdef" * 4 + b"\r\n") * 15_000
    yield head
    left = GIGABYTE - len(head)
    while left:
        yield piece[:left]
        left -= min(left, len(piece))


def large(command: bytes) -> Iterator[bytes]:
    """Say what a server with a message of a gigabyte in INBOX answers."""
    if command.startswith(b"CAPABILITY"):
        yield CAPABILITY
    elif command.startswith(b"LIST"):
        yield b'* LIST () "/" INBOX\r\n'
    elif command.startswith(b"EXAMINE"):
        yield EXAMINED % (1, 2)
    elif command.startswith(b"UID SEARCH"):
        yield b"* ESEARCH UID COUNT 1 ALL 1\r\n"
    elif command.startswith(b"UID FETCH") and b"BODY.PEEK[]" in command:
        yield b"* " + FACT + b" BODY[] {%d}\r\n" % GIGABYTE
        yield from gigabyte()
        yield b")\r\n"
    elif command.startswith(b"UID FETCH"):
        yield b"* " + FACT + b")\r\n"


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_f127_a_message_of_a_gigabyte_passes_in_less_than_100_mb(tmp_path: Path) -> None:
    """The whole process, interpreter included; it is read back whole, and is not asked for again."""
    archive = tmp_path / "archive"
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = plain_url(server.getsockname()[1], "kim")
        peaks = []
        for _ in range(2):
            thread = threading.Thread(target=serve, args=(server, large), daemon=True)
            thread.start()
            peaks.append(peak_of("backup", url, "--to", archive))
            thread.join(10)
    (found,) = archive.rglob("cur/*")
    digest = hashlib.sha256()
    for piece in gigabyte():
        digest.update(piece)
    assert found.stat().st_size == GIGABYTE
    with found.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == digest.digest()
    checked = subprocess.run(
        [sys.executable, "-c", MEASURE, "verify", str(archive)], capture_output=True, text=True, check=True, timeout=100
    )
    told = json.loads(checked.stderr.splitlines()[-1])
    # pytest keeps the folders of its last runs.
    found.unlink()
    peaks.append(int(told["peak"]))
    print(f"peaks {[round(peak / 1024**2, 1) for peak in peaks]} MiB")  # noqa: T201 - for the record
    assert told["code"] == 0
    assert max(peaks) < 100 * 1024 * 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_f127_no_message_at_all(tmp_path: Path) -> None:
    """0, also where there is nothing to archive and nothing to delete; an archive is there, and is whole."""
    store = Store()
    store.add_account("kim", "secret")
    with DemoServer(store) as server:
        url = plain_url(server.imap_port, "kim")
        for words in ((), ("--older-than", "1y", "--delete", "--yes")):
            assert peak_of("backup", url, "--to", tmp_path / "archive", *words) < 100 * 1024 * 1024
    assert maildir.files(tmp_path / "archive") == []
    assert mailarchive("-q", "verify", tmp_path / "archive").code == 0


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_a_mailbox_of_fifty_thousand_messages_is_archived_in_less_than_70_mb(tmp_path: Path) -> None:
    """The whole process, with the list of UIDs at the end, which has a line for each of them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server, partial(answer, total=50_000)), daemon=True)
        thread.start()
        peak = peak_of("backup", plain_url(server.getsockname()[1], "kim"), "--to", tmp_path / "archive")
        thread.join(10)
    print(f"peak {peak / 1024**2:.1f} MiB")  # noqa: T201 - for the record
    listed = (tmp_path / "archive" / "INBOX" / "dovecot-uidlist").read_bytes()
    assert listed.count(b"\n") == 50_001
    assert peak < 70 * 1024 * 1024
