"""Clocks that are wrong, and days that are odd: the whole program under libfaketime."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import plain_url, process, started, until
from tests.servers.proxy import Proxy
from tests.servers.secured import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.reader("faketime")

COUNT = 30
LONG = pytest.mark.long
TRUE = {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}
"""As with a clock that is set: what counts only seconds goes on."""


def letter(number: int, received: datetime, size: int = 0) -> bytes:
    """Make a message that says when it was sent."""
    head = received.strftime("Date: %a, %d %b %Y %H:%M:%S +0000\r\n").encode()
    return head + b"Subject: %d\r\n\r\n" % number + b"%06d\r\n" % number * (size // 8)


@pytest.fixture
def store() -> Store:
    """Give an account with thirty messages, half of them of three years ago and half of yesterday."""
    made = Store()
    box = made.add_account("kim", "secret", limit=50_000_000).mailbox("INBOX")
    for number in range(COUNT):
        received = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1 if number % 2 else 1100, hours=number)
        box.append(letter(number, received, 20_000), received)
    return made


@pytest.fixture
def server(store: Store) -> Iterator[DemoServer]:
    """Serve it."""
    with DemoServer(store) as running:
        yield running


def left(store: Store) -> int:
    """Count what is on the server."""
    return len(store.account("kim").mailbox("INBOX").messages())


def at(when: str) -> tuple[str, ...]:
    """Give the words that let a command believe it is another time: `+10y`, or `@2020-01-01 12:00:00` in its zone."""
    return ("faketime", "-f", when)


@pytest.mark.parametrize("when", ["@1970-01-02 00:00:00", pytest.param("+10y", marks=LONG)])
def test_f120_a_wrong_clock_stops_no_backup(server: DemoServer, tmp_path: Path, when: str) -> None:
    """0: all is archived under names of their own, and a run with the right clock finds it."""
    words = ("--json", "backup", plain_url(server.imap_port, "kim"), "--to", tmp_path / "a")
    for expected in (COUNT, 0):
        result = process(*words, before=at(when), environ=TRUE)
        assert (result.code, result.err) == (0, "")
        assert result.end["total"]["archived"] == expected
    result = process(*words)
    assert (result.code, result.end["total"]["already"]) == (0, COUNT)
    assert len(maildir.files(tmp_path / "a")) == COUNT


@pytest.mark.parametrize(
    ("when", "why"),
    [
        ("@2025-06-01 12:00:00", "2025-06-01, which is before this version was made"),
        pytest.param("-3d", "and the last run was on", marks=LONG),
        ("+10y", "days after the last run"),
    ],
)
def test_f120_a_wrong_clock_deletes_nothing(
    server: DemoServer, store: Store, tmp_path: Path, when: str, why: str
) -> None:
    """3, with what the clock says; such a run is no measure for the next, which deletes what is old and no more."""
    words = ("backup", plain_url(server.imap_port, "kim"), "--to", tmp_path / "a", "--older-than", "1y")
    assert process("-q", *words).code == 0
    deleting = ("--json", *words, "--delete", "--yes")
    result = process(*deleting, before=at(when), environ=TRUE)
    assert (result.code, left(store)) == (3, COUNT)
    (warned,) = (event["message"] for event in result.events if event["event"] == "warned")
    assert warned.startswith("nothing is deleted: the clock of this computer says ")
    assert why in warned
    result = process(*deleting)
    assert (result.code, result.err) == (0, "")
    assert (result.end["total"]["deleted"], left(store)) == (COUNT // 2, COUNT // 2)


def test_f120_a_day_that_was_typed_needs_no_clock(server: DemoServer, store: Store, tmp_path: Path) -> None:
    """With --before the cut-off does not come from the clock, so it holds nothing back."""
    day = (datetime.now(UTC) - timedelta(days=365)).strftime("%Y-%m-%d")
    words = ("backup", plain_url(server.imap_port, "kim"), "--to", tmp_path / "a", "--before", day)
    result = process(*words, "--delete", "--yes", before=at("+10y"), environ=TRUE)
    assert (result.code, result.err) == (0, "")
    assert left(store) == COUNT // 2


@pytest.mark.parametrize("when", ["-3000d", pytest.param("+50y", marks=LONG)])
def test_f120_no_certificate_is_good_at_a_wrong_time(store: Store, tmp_path: Path, when: str) -> None:
    """15, and the hint speaks of the clock; nothing was sent, and nothing made."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    now = datetime.now(UTC)
    leaf = authority.issue_cert("localhost", not_before=now - timedelta(days=9), not_after=now + timedelta(days=90))
    with DemoServer(store, ssl_context=serving(leaf)) as server:
        words = ("backup", f"imaps://kim@localhost:{server.imap_port}", "--ca-file", tmp_path / "ca.pem")
        result = process(*words, "--to", tmp_path / "a", before=at(when), environ=TRUE)
        assert (result.code, result.out) == (15, "")
        assert "nothing was sent" in result.err
        assert "clock" in result.err
        assert not (tmp_path / "a").exists()
        assert process("-q", *words, "--to", tmp_path / "a").code == 0


@pytest.mark.parametrize("step", [pytest.param("-3000d", marks=LONG), "+10y"])
def test_f120_a_clock_that_is_set_in_mid_run(server: DemoServer, store: Store, tmp_path: Path, step: str) -> None:
    """The run goes on as begun: timeouts count seconds, names stay unique, and what was old at its start goes."""
    lines = subprocess.run([*at("+0"), "env"], capture_output=True, text=True, check=True, timeout=60).stdout
    preload = next(line.partition("=")[2] for line in lines.splitlines() if line.startswith("LD_PRELOAD="))
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    environ = TRUE | {"LD_PRELOAD": preload, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    words = ("--to", tmp_path / "a", "--older-than", "1y", "--delete", "--yes")
    with (
        Proxy(server.imap_port, rate=400_000) as proxy,
        started("--json", "backup", plain_url(proxy.port, "kim"), *words, environ=environ) as child,
    ):
        until(child, '"fetching"')
        clock.write_text(f"{step}\n")
        out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    end = json.loads(out.splitlines()[-1])
    assert (end["total"]["archived"], end["total"]["deleted"], left(store)) == (COUNT // 2, COUNT // 2, COUNT // 2)
    assert len({each.octets for each in maildir.files(tmp_path / "a")}) == COUNT // 2
    again = process("--json", "backup", plain_url(server.imap_port, "kim"), *words)
    assert (again.code, again.err, again.end["total"]["deleted"]) == (0, "", 0)


@pytest.mark.parametrize(
    ("zone", "now", "age", "day"),
    [
        ("Europe/Berlin", "2026-03-29 03:30:00", "1d", "2026-03-28"),
        ("Europe/Berlin", "2026-10-25 02:30:00", "1d", "2026-10-24"),
        pytest.param("Europe/Berlin", "2026-10-26 00:00:01", "1d", "2026-10-25", marks=LONG),
        pytest.param("Europe/Berlin", "2026-07-01 12:00:00", "6m", "2026-01-01", marks=LONG),
        (None, "2026-07-01 12:00:00", "6m", "2026-01-01"),
        pytest.param("", "2026-07-01 12:00:00", "6m", "2026-01-01", marks=LONG),
        ("<+14>-14", "2026-06-01 00:30:00", "1m", "2026-05-01"),
        ("<-12>12", "2026-06-01 23:30:00", "1m", "2026-05-01"),
        pytest.param("UTC", "2028-02-29 12:00:00", "1y", "2027-02-28", marks=LONG),
        ("Europe/Berlin", "2028-02-29 23:00:00", "1y", "2027-02-28"),
    ],
)
def test_f121_one_cut_off(tmp_path: Path, zone: str | None, now: str, age: str, day: str) -> None:
    """A midnight of this zone: what came a second before it is archived, and what came with it is not.

    The same instant stands in what is shown and in the manifest.
    """
    environ = TRUE if zone is None else {**TRUE, "TZ": zone}
    without = ("env", "-u", "TZ") if zone is None else ("env",)
    asked = subprocess.run(
        [*without, *([f"TZ={zone}"] if zone is not None else []), "date", "-d", f"{day} 00:00:00", "+%s"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    cut_off = datetime.fromtimestamp(int(asked.stdout), UTC)
    store = Store()
    box = store.add_account("kim", "secret").mailbox("INBOX")
    for number, received in enumerate((cut_off - timedelta(seconds=1), cut_off)):
        box.append(letter(number, received), received)
    with DemoServer(store) as server:
        words = ("backup", plain_url(server.imap_port, "kim"), "--to", tmp_path / "a", "--older-than", age)
        result = process("--json", *words, before=(*without, *at(f"@{now}")), environ=environ)
    assert (result.code, result.err) == (0, "")
    (archived,) = maildir.files(tmp_path / "a")
    assert archived.epoch == cut_off.timestamp() - 1
    (manifest,) = (tmp_path / "a" / ".mailarchive" / "runs").iterdir()
    (shown,) = (event["cut_off"] for event in result.events if event["event"] == "started")
    noted = json.loads(manifest.read_text(encoding="utf-8").splitlines()[0])["cut_off"]
    assert datetime.fromisoformat(shown) == datetime.fromisoformat(noted) == cut_off
