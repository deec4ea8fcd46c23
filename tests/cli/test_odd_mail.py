"""Mail that breaks careless programs: it is archived as it is, and nothing of it steers, hides or is opened."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive import headers
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import mailarchive, plain_url, process
from tests.corpus import nasty

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Result

OLD = datetime.now(UTC).replace(microsecond=0) - timedelta(days=900)
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egpj.exe\u2066[red]\x85"
STEERING = "\x1b\x07\x9b\x85\u202e\u2066"
HEAD = b"From: ada@example.org\r\nDate: Sat, 1 Mar 2014 10:00:00 +0000\r\n"
LARGE = [
    HEAD + b"Subject: " + b"a" * 100_000 + b"\r\n\r\nbody\r\n",
    HEAD + b"Subject: " + b"=?utf-8?B?w6Q=?=\r\n " * 5_000 + b"x\r\n\r\nbody\r\n",
    b"Received: from a by b; Sat, 1 Mar 2014 10:00:00 +0000\r\n" * 10_000 + HEAD + b"\r\nbody\r\n",
    b"X-No-End: " + b"x" * 300_000,
    HEAD + b"Subject: " + "ä".encode("latin-1") * 500 + b"\r\n\r\nbody\r\n",
]


def serve(messages: list[bytes]) -> DemoServer:
    """Serve messages in INBOX."""
    store = Store()
    box = store.add_account("kim", "secret", limit=500_000_000).mailbox("INBOX")
    for message in messages:
        box.append(message, OLD, frozenset({"\\Seen"}))
    return DemoServer(store)


# Row 124


@pytest.fixture
def hostile() -> Iterator[DemoServer]:
    """Serve mail whose fields and whose mailbox hold what steers a terminal."""
    store = Store()
    account = store.add_account("kim", "secret", limit=50_000_000)
    box = account._make(EVIL, frozenset())
    for number in range(3):
        head = f"Subject: {EVIL} {number}\r\nFrom: {EVIL} <x@example.org>\r\nMessage-ID: <{number}{EVIL}@x>\r\n"
        date = OLD.strftime("Date: %a, %d %b %Y %H:%M:%S +0000\r\n")
        box.append((head + date).encode() + b"\r\nbody\r\n", OLD, frozenset({"\\Seen", "\\Flagged"} if number else ()))
    with DemoServer(store) as running:
        yield running


def assert_harmless(result: Result, *codes: int) -> None:
    """Nothing in what was said, tracebacks included, steers a terminal."""
    assert result.code in codes, (result.code, result.err)
    for text in (result.out, result.err):
        assert not set(text) & set(STEERING), text


@pytest.mark.parametrize("how", [(), ("-v",), ("--json",), ("--debug", "-v")])
def test_f124_nothing_of_a_message_steers_a_terminal(hostile: DemoServer, tmp_path: Path, how: tuple[str, ...]) -> None:
    """In tables, plans, lines for scripts, warnings and errors; in the manifests and names of files neither."""
    archive = tmp_path / "a"
    url = plain_url(hostile.imap_port, "kim")
    place = ("--to", archive, "--older-than", "1y")
    assert_harmless(mailarchive(*how, "backup", url, *place, "--dry-run"), 0)
    assert_harmless(mailarchive(*how, "backup", url, *place), 0)
    assert_harmless(mailarchive(*how, "backup", url, *place, "--mailbox", EVIL[:-1]), 2)
    deleted = mailarchive("--json", "backup", url, *place, "--delete", "--yes")
    assert_harmless(deleted, 0)
    assert deleted.end["total"]["deleted"] == 1
    assert_harmless(mailarchive(*how, "undo", deleted.end["run"], url, "--archive", archive), 0)
    for path in archive.rglob("*"):
        assert not set(str(path)) & set(STEERING)
        if path.suffix in {".jsonl", ".toml"}:
            assert not set(path.read_text(encoding="utf-8")) & set(STEERING), path
    (broken, *_) = archive.rglob("cur/*")
    broken.chmod(0o600)
    broken.write_bytes(b"broken")
    assert_harmless(mailarchive(*how, "verify", archive), 13)
    assert_harmless(mailarchive(*how, "backup", url, *place), 0, 3)
    assert_harmless(mailarchive(*how, "reindex", archive), 0, 3)
    assert_harmless(mailarchive(*how, "backup", url, "--to", tmp_path / EVIL), 0)
    assert_harmless(mailarchive(*how, "verify", tmp_path / EVIL / "not there"), 13)
    assert_harmless(mailarchive(*how, "--config", tmp_path / EVIL / "none.toml", "backup"), 10)


# Row 125


@pytest.mark.parametrize("form", ["maildir", "mbox"])
def test_f125_odd_messages_are_archived_exactly(tmp_path: Path, form: str) -> None:
    """Whatever header they have, or none; a deletion leaves those that have none, and says so."""
    odd = [*{sample.raw: None for sample in nasty()}, *LARGE]
    doubted = {raw for raw in odd if headers.hold(raw[: headers.HEAD], len(raw))}
    assert len(doubted) > 5
    with serve([*odd, b""]) as server:
        url = plain_url(server.imap_port, "kim")
        words = ("--to", tmp_path / "a", "--format", form, "--older-than", "1y", "--delete", "--yes")
        result = mailarchive("--json", "backup", url, *words)
        box = server.store.account("kim").mailbox("INBOX")
        left = {message.raw for message in box.messages()}
        assert result.code == 3, result.err
        assert left >= doubted | {b""}
        assert not left & {raw for raw in LARGE if raw not in doubted}
        again = mailarchive("--json", "backup", url, *words)
        assert again.end["total"]["archived"] == 0
    if form == "maildir":
        assert {each.octets for each in maildir.files(tmp_path / "a")} == set(odd)
    checked = mailarchive("--json", "verify", tmp_path / "a")
    assert checked.code == 0, checked.err
    assert len(result.events) > len(odd)


# Row 126


def bomb() -> bytes:
    """Make a small file that unpacks to 50 MB."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../../../tmp/zeros", b"\0" * 50_000_000)
    return packed.getvalue()


def test_f126_attachments_are_never_opened_and_name_no_file(tmp_path: Path) -> None:
    """Scripts, names that lead elsewhere, formulas and a packed bomb: octets in one file each, and nothing beside."""
    part = b"--b\r\nContent-Type: application/zip; name=../../evil\r\nContent-Disposition: attachment;"
    mixed = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\nSubject: =cmd|' /C calc'!A0\r\n\r\n"
    messages = [
        HEAD + b"Content-Type: text/html\r\nSubject: <script>x</script>\r\n\r\n<script>alert(1)</script>\r\n",
        mixed + part + b" filename=../../../evil.sh\r\n\r\nrm -rf\r\n--b--\r\n",
        mixed + part + b" filename=/etc/cron.d/evil\r\n\r\n" + bomb() + b"\r\n--b--\r\n",
    ]
    place = tmp_path / "deep" / "below" / "a"
    with serve(messages) as server:
        assert mailarchive("-q", "backup", plain_url(server.imap_port, "kim"), "--to", place).code == 0
    assert {each.octets for each in maildir.files(place)} == set(messages)
    assert mailarchive("-q", "verify", place).code == 0
    assert [path.name for path in tmp_path.rglob("*") if "evil" in path.name or "script" in path.name] == []
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


# Row 123


@pytest.mark.parametrize(
    "environ",
    [
        {"LANG": "fr_FR.UTF-8", "LC_ALL": "fr_FR.UTF-8", "LANGUAGE": "fr"},
        {"LANG": "fr", "LC_ALL": "", "LC_TIME": "fr_FR", "PYTHONUTF8": "0"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "20", "TERM": "dumb"},
        {"PYTHONIOENCODING": "ascii:strict", "COLUMNS": "1"},
    ],
)
def test_f123_any_locale_and_width_gives_the_same_archive(tmp_path: Path, environ: dict[str, str]) -> None:
    """Dates to the server are English, names of folders UTF-8, and no number is left out of the table."""
    store = Store()
    account = store.add_account("kim", "secret")
    for index, name in enumerate(("INBOX", "Entwürfe", "日本")):
        box = account.find(name) or account.create(name)
        box.append(HEAD + b"Subject: %d\r\n\r\n" % index, OLD, ())
    commands: list[bytes] = []
    with DemoServer(store, record=commands.append) as server:
        words = ("backup", plain_url(server.imap_port, "kim"), "--to", tmp_path / "a", "--older-than", "1y")
        result = process(*words, environ=environ)
    assert (result.code, result.err) == (0, "")
    assert sorted(maildir.by_folder(tmp_path / "a")) == ["Entwürfe", "INBOX", "日本"]
    assert "on server" in result.out
    assert "archived" in result.out
    searches = [command for command in commands if b"BEFORE" in command]
    months = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
    assert searches
    assert all(any(b"-%s-" % month in command for month in months) for command in searches)
