"""Large messages and large maildrops pass over POP3 in bounded memory (row 85)."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.model import UIDL
from mailarchive.sources import pop_drop
from mailarchive.sources.pop_drop import Drop, Pace
from mailarchive.sources.tls import dial
from tests import maildir
from tests.contract.sources import letters, pop_url, session
from tests.servers.scripted_pop import ScriptedPop
from tests.servers.test_memory import peak_of

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize(
    "line",
    [b"0123456789" * 6 + b"\r\n", pytest.param(b"." * 9 + b"\r\n", marks=pytest.mark.long), b"no end"],
    ids=["text", "dots", "no end"],
)
def test_a_message_of_60_mb_passes_in_less_than_100_mb(tmp_path: Path, line: bytes) -> None:
    """The whole process, interpreter included; lines of text, lines that begin with a dot, and a single line."""
    store = Store()
    account = store.add_account("kim", "secret")
    large = b"Subject: large\r\nFrom: a@example.org\r\n\r\n" + line * (60 * MIB // len(line))
    large += b"" if large.endswith(b"\r\n") else b"\r\n"
    account.mailbox("INBOX").append(large, datetime.now(UTC) - timedelta(days=900))
    with DemoServer(store) as server:
        peak = peak_of("backup", pop_url(server.pop_port, "kim"), "--to", tmp_path / "archive")
    (found,) = maildir.files(tmp_path / "archive")
    assert found.octets == large
    print(f"peak {peak / MIB:.1f} MiB")  # noqa: T201 - for the record
    assert peak < 100 * MIB


def test_f085_a_session_keeps_only_so_many_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is let go; what is asked for last is there."""
    monkeypatch.setattr(pop_drop, "HEADS", 1000)
    with ScriptedPop([session(letters(1, 2))]) as server:
        wire = dial(server.host, server.port)
        wire.readline()
        drop = Drop(wire, frozenset(), 1, Pace())
        for number in range(100):
            drop.remember(UIDL(f"x{number}"), b"A: %d\r\n" % number + b"B: " + b"b" * 200 + b"\r\n\r\nbody")
            drop.remember(UIDL(f"x{number}"), b"A: %d\r\n" % number + b"B: " + b"b" * 200 + b"\r\n\r\nbody")
            assert UIDL(f"x{number}") in drop.heads
            assert sum(map(len, drop.heads.values())) <= 1000
        assert list(drop.heads) == ["x96", "x97", "x98", "x99"]
        wire.close()
