"""`doctor`, as a user types it, on the built-in server: every check, whatever the one before has found."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mailarchive.archives import looking, place
from mailarchive.cli import doctoring
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests.cli.test_login import CANARY, MAIL, configure
from tests.command import mailarchive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.vault import Vault

ALL = [
    "search",
    "config",
    "permissions",
    "disk",
    "archive",
    "lock",
    "catalogue",
    "clock",
    "dns",
    "tcp",
    "tls",
    "sign-in",
    "capabilities",
    "deletion",
    "quota",
]


@pytest.fixture
def server(vault: Vault) -> Iterator[DemoServer]:
    """Serve one message to kim, whose password nobody may find."""
    vault.secrets.append(CANARY)
    store = Store()
    store.add_account("kim", CANARY, limit=50_000_000).mailbox("INBOX").append(MAIL, datetime.now(UTC))
    with DemoServer(store) as running:
        yield running


@pytest.fixture
def account(server: DemoServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Configure the account `home`, back it up once, and give its archive."""
    configure(home, server.imap_port)
    monkeypatch.setenv("MAILARCHIVE_HOME_PASSWORD", CANARY)
    assert mailarchive("backup", "-q").code == 0
    return home / "mail"


def checks(*words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run doctor with --json; gives the code and the most serious finding of each check."""
    result = mailarchive("doctor", "--json", "--no-input", *words)
    assert result.err == ""
    assert result.events[-1] == {"event": "doctor_finished", "exit_code": result.code}
    order = ["ok", "warning", "failed"]
    found: dict[str, dict[str, Any]] = {}
    for event in result.events[1:-1]:
        before = found.get(event["check"])
        if before is None or order.index(event["level"]) > order.index(before["level"]):
            found[event["check"]] = event
    return result.code, found


def state(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Give what every file below a folder holds, when it was changed, and what every folder holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        data = path.read_bytes() if path.is_file() else repr(sorted(path.iterdir())).encode()
        found[str(path)] = (hashlib.sha256(data).hexdigest(), path.stat().st_mtime_ns, path.stat().st_mode)
    return found


def test_a_healthy_account_passes_every_check_and_nothing_is_changed(
    account: Path, server: DemoServer, home: Path
) -> None:
    """A line for each, exit code 0, and not an octet or a date is different afterwards."""
    assert account.is_dir()
    before = state(home)
    result = mailarchive("doctor")
    assert (result.code, result.err) == (0, "")
    lines = [line.split(maxsplit=2) for line in result.out.splitlines() if line[:3] in ("  ✓", "  !", "  ✗")]
    assert [line[1] for line in lines] == ALL
    assert [line[1] for line in lines if line[0] == "!"] in (["tls"], ["permissions", "tls"])
    assert f"home · imap+insecure://127.0.0.1:{server.imap_port}" in result.out
    assert state(home) == before


def test_a_wrong_password_stops_only_what_comes_after(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """12, with everything that can be known without it."""
    assert account.is_dir()
    monkeypatch.setenv("MAILARCHIVE_HOME_PASSWORD", "no-" + CANARY)
    code, found = checks()
    assert code == 12
    assert list(found) == ALL[: ALL.index("sign-in") + 1]
    assert found["sign-in"]["exit_code"] == 12
    assert CANARY not in json.dumps(found)


def test_a_closed_port_leaves_the_archive_to_be_looked_at(account: Path, server: DemoServer, home: Path) -> None:
    """15, and no sign-in is tried."""
    assert account.is_dir()
    file = home / ".config" / "mailarchive" / "config.toml"
    file.write_text(file.read_text().replace(str(server.imap_port), "9"))
    code, found = checks("home")
    assert (code, found["tcp"]["level"]) == (15, "failed")
    assert list(found) == ALL[: ALL.index("tcp") + 1]


def test_an_archive_of_somebody_else_does_not_hide_the_server(account: Path) -> None:
    """13, and the sign-in is tried all the same."""
    marker = account / ".mailarchive" / "archive.toml"
    marker.write_text(marker.read_text().replace("kim@", "eve@"))
    code, found = checks()
    assert code == 13
    assert "is the archive of" in found["archive"]["text"]
    assert "catalogue" not in found
    assert found["quota"]["level"] == "ok"


def test_a_lost_archive_is_not_called_new(account: Path) -> None:
    """13, as a backup would end."""
    account.rename(account.with_name("elsewhere"))
    code, found = checks()
    assert code == 13
    assert "is the disk mounted?" in found["archive"]["hint"]


def test_a_run_that_is_going_is_named(account: Path) -> None:
    """By the note beside the lock; that of a process which is gone says nothing."""
    owner = account / ".mailarchive" / "lock.owner"
    note = {"pid": os.getpid(), "host": os.uname().nodename, "started": "07:04"}
    owner.write_text(json.dumps(note))
    code, found = checks()
    assert (code, found["lock"]["level"]) == (0, "warning")
    assert found["lock"]["text"] == f"a run has been going since 07:04 (pid {os.getpid()} on {note['host']})"
    assert found["lock"]["hint"] == "mailarchive backup home --wait 10min"
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    owner.write_text(json.dumps(note | {"pid": gone.pid}))
    assert checks()[1]["lock"]["level"] == "ok"
    for odd in ("", "[]", '{"pid": "x"}', '{"pid": -1, "host": "' + os.uname().nodename + '", "started": ""}'):
        owner.write_text(odd)
        assert checks()[1]["lock"]["level"] == "ok"


@pytest.mark.parametrize("octets", [b"no database, " * 1000, None])
def test_a_catalogue_that_cannot_be_used_is_left_where_it_is(account: Path, octets: bytes | None) -> None:
    """A warning with the command that makes a new one; the file is the user's until then."""
    catalogue = account / ".mailarchive" / "catalogue.sqlite"
    catalogue.unlink()
    if octets is not None:
        catalogue.write_bytes(octets)
    code, found = checks()
    assert (code, found["catalogue"]["level"]) == (0, "warning")
    assert found["catalogue"]["hint"] == f"mailarchive reindex {account}"
    assert catalogue.exists() is (octets is not None)
    assert octets is None or catalogue.read_bytes() == octets


def test_damage_that_was_set_aside_is_counted(account: Path) -> None:
    """And stops nothing."""
    folder = account / ".mailarchive" / "damaged"
    folder.mkdir()
    (folder / "x").write_text("y")
    code, found = checks()
    assert (code, found["damaged"]["level"]) == (0, "warning")


def test_a_configuration_that_is_wrong_leaves_what_needs_none(home: Path) -> None:
    """10, every complaint on a line of its own."""
    configure(home, 1143, 'pasword_command = "x"\nolder_than = "1"')
    code, found = checks()
    assert code == 10
    assert list(found) == ["search", "config", "clock"]
    result = mailarchive("doctor")
    assert result.code == 10
    assert sum("config.toml:" in line for line in result.out.splitlines()) == 2


def test_the_most_serious_code_of_all_accounts_wins(account: Path, home: Path) -> None:
    """One that fails does not stop the others."""
    assert account.is_dir()
    file = home / ".config" / "mailarchive" / "config.toml"
    file.write_text(
        f'[account.lost]\nserver = "imap+insecure://kim@127.0.0.1:9"\narchive = "{home}/lost"\n' + file.read_text()
    )
    result = mailarchive("doctor", "--json")
    assert result.code == 15
    ends = [(event["account"], event["check"]) for event in result.events if event["event"] == "check"]
    assert ("lost", "tcp") in ends
    assert ("home", "quota") in ends
    assert mailarchive("doctor", "home").code == 0
    assert mailarchive("doctor", "hme").code == 10


def test_f140_a_bug_in_one_check_does_not_hide_the_others(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1, told in one line."""
    assert account.is_dir()

    def broken(_path: Path) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(looking, "disk", broken)
    code, found = checks()
    assert code == 1
    assert found["disk"]["text"] == "unexpected failure (ZeroDivisionError)"
    assert [check for check in ALL if check not in found] == []


def test_a_disk_that_fails_is_told(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the code of a disk error; the kind is what the system says."""
    assert account.is_dir()

    def fails(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    monkeypatch.setattr(place, "filesystem", lambda _path: "vfat")
    code, found = checks()
    assert (code, found["disk"]["level"]) == (14, "failed")
    assert "cannot be synced" in found["disk"]["text"]


def test_without_fts5_searching_is_missing_and_nothing_else(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning."""
    assert account.is_dir()
    monkeypatch.setattr(doctoring, "has_full_text", lambda: False)
    code, found = checks()
    assert (code, found["search"]["level"]) == (0, "warning")


def test_a_url_needs_no_archive(server: DemoServer, tmp_path: Path) -> None:
    """Then only the server is looked at; with one, that too. Nothing is made where it would be."""
    url = f"imap+insecure://kim@127.0.0.1:{server.imap_port}"
    result = mailarchive("doctor", url, "--json", password=CANARY)
    assert result.code == 0
    names = [event["check"] for event in result.events if event["event"] == "check"]
    assert names == ["search", *ALL[ALL.index("clock") :]]
    place = tmp_path / "new"
    result = mailarchive("doctor", url, "--json", "--archive", place, password=CANARY)
    archive = next(event for event in result.events if event.get("check") == "archive")
    assert archive["text"] == f"{place} is not there yet; the first backup makes it"
    assert not place.exists()


def test_pop_has_no_quota_and_is_looked_at_like_imap(server: DemoServer) -> None:
    """What it can do is told in its own words."""
    result = mailarchive("doctor", f"pop+insecure://kim@127.0.0.1:{server.pop_port}", "--json", password=CANARY)
    assert result.code == 0
    found = {event["check"]: event for event in result.events if event["event"] == "check"}
    assert "quota" not in found
    assert found["capabilities"]["text"].startswith("UIDL TOP")
    assert found["deletion"]["text"].startswith("expunge: DELE of exactly what is proved")


def test_what_others_say_is_made_safe(home: Path) -> None:
    """No escape sequence reaches the terminal; with -q only what needs a human does; exit code 15."""
    file = home / "c.toml"
    file.write_text("[account.t]\nserver = 'imap+tunnel:'\ntunnel = '''printf '\\033[31mred\\n' >&2; exit 3'''\n")
    result = mailarchive("doctor", "-q", "--config", file)
    assert result.code == 15
    assert r"the tunnel of t has ended with exit status 3: \x1b[31mred" in result.out
    assert "\x1b" not in result.out
    assert "✓" not in result.out


def test_a_password_that_somebody_repeats_is_not_shown(account: Path, home: Path) -> None:
    """What this call has held is taken out of what another program says; the fixture looks for it too."""
    assert account.is_dir()
    file = home / ".config" / "mailarchive" / "config.toml"
    says = "".join(f"printf %s {part!r} >&2; " for part in (CANARY[:6], CANARY[6:]))
    file.write_text(f'{file.read_text()}\n[account.t]\nserver = "imap+tunnel:"\ntunnel = "{says} exit 3"\n')
    for words in ((), ("--json",)):
        result = mailarchive("doctor", *words)
        assert result.code == 15
        assert "exit status 3: ***" in result.out
