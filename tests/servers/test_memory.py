"""Large messages and large mailboxes pass in bounded memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import plain_url

if TYPE_CHECKING:
    from pathlib import Path

MEASURE = """
import json, pathlib, re, sys
from mailarchive.cli import run
code = run(sys.argv[1:])
# Not ru_maxrss, which begins with the size of the process that started this one.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())
print(json.dumps({"code": code, "peak": int(peak.group(1)) * 1024}), file=sys.stderr)
"""


def peak_of(url: str, archive: Path) -> int:
    """Run a backup as a process of its own; gives its peak memory in octets."""
    found = subprocess.run(
        [sys.executable, "-c", MEASURE, "backup", url, "--to", str(archive)],
        env={**os.environ, "MAILARCHIVE_PASSWORD": "secret"},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    told = json.loads(found.stderr.splitlines()[-1])
    assert told["code"] == 0, found.stderr
    return int(told["peak"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_a_message_of_60_mb_passes_in_less_than_100_mb(tmp_path: Path) -> None:
    """The whole process, interpreter included."""
    store = Store()
    account = store.add_account("kim", "secret")
    line = b"0123456789abcdef" * 4 + b"\r\n"
    large = b"Subject: large\r\nFrom: a@example.org\r\n\r\n" + line * (60 * 1024 * 1024 // len(line))
    account.mailbox("INBOX").append(large, datetime.now(UTC) - timedelta(days=900))
    with DemoServer(store) as server:
        peak = peak_of(plain_url(server.imap_port, "kim"), tmp_path / "archive")
    (found,) = maildir.files(tmp_path / "archive")
    assert found.octets == large
    print(f"peak {peak / 1024**2:.1f} MiB")  # noqa: T201 - for the record
    assert peak < 100 * 1024 * 1024
