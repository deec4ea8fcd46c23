"""A server that offers mailboxes with hostile names, from end to end, in both layouts of Maildirs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mailarchive.archives.flat import FlatNames
from mailarchive.archives.marker import parse
from mailarchive.archives.names import Names
from mailarchive.demo import mailbox_commands, names
from mailarchive.demo.server import DemoServer
from tests.command import mailarchive, plain_url
from tests.servers.demo_client import PASSWORD, USER, small_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailarchive.demo.store import Account

DAY = datetime(2020, 5, 17, 12, 30, tzinfo=UTC)
BROKEN = ("&Jjo", "&Jjo!", "&AGE-", "a&")
"""Names that stand on the wire as they are: modified UTF-7 that is cut off, or not in its one form."""
HOSTILE = (
    "../../x",
    "..",
    ".",
    "/etc/cron.d/x",
    "a//b",
    ".mailarchive/archive.toml",
    ".mailarchive",
    "nul\0byte",
    "new\nline",
    "escape\x1b[2J",
    "right\u202eto left",
    "CON",
    "con.txt",
    "end.",
    "end ",
    "x" * 300,
    "x" * 299 + "y",
    "日本" * 100,
    "/".join(["deep"] * 80),
    "Caf\u00e9",
    "Cafe\u0301",
    "Foo",
    "foo",
    "FOO/bar",
    "Foo/Bar",
    "cur",
    "new",
    "tmp",
    "a/cur",
    "INBOX/tmp",
    "dovecot-uidlist",
    "maildirfolder",
    "Maildir",
    "a.b",
    "a/b",
    "\u0101",
    "\u6901",
    "C:\\Windows",
    "a:b",
    "-rf",
    "2014",
    " blank",
    "~root",
    "%2e%2e",
    "%~0123456789abcdef",
    "*",
    *BROKEN,
)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    """Give an account with a message in each of those mailboxes."""
    encode, decode = names.encode, names.decode
    monkeypatch.setattr(names, "encode", lambda name: name.encode() if name in BROKEN else encode(name))
    monkeypatch.setattr(names, "decode", lambda wire: wire.decode() if wire.decode() in BROKEN else decode(wire))
    # Without the gaps above them, for the one above `/etc` has no name.
    monkeypatch.setattr(mailbox_commands, "parents", lambda _: [])
    _, made = small_store()
    for name in HOSTILE:
        box = made.find(name) or made._make(name, frozenset())
        box.append(body(name), DAY)
    return made


@pytest.fixture
def server(account: Account) -> Iterator[DemoServer]:
    """Serve it."""
    store, _ = small_store()
    store._accounts[USER] = account
    with DemoServer(store) as running:
        yield running


def body(name: str) -> bytes:
    """Make a message that tells the mailbox it is in."""
    return b"Message-ID: <%s@example.org>\r\nSubject: x\r\n\r\n" % name.encode("utf-8", "replace").hex().encode()


@pytest.mark.parametrize("layout", ["nested", "maildir++"])
def test_f052_each_mailbox_gets_its_own_folder_inside_the_archive(
    server: DemoServer, tmp_path: Path, layout: str
) -> None:
    """Every message arrives once, nothing is written beside the archive, and each name is read back."""
    archive = tmp_path / "mail" / "archive"
    words = (plain_url(server.imap_port, USER), "--to", archive, "--layout", layout)
    first = mailarchive("backup", *words, password=PASSWORD)
    assert (first.code, first.err) == (0, "")
    assert "\x1b[2J" not in first.out
    assert [path.name for path in tmp_path.iterdir()] == ["mail"]
    assert [path.name for path in (tmp_path / "mail").iterdir()] == ["archive"]
    found = {path.read_bytes(): path for path in archive.rglob("cur/*")}
    assert {body(name) for name in HOSTILE} <= found.keys()
    assert not any(path.is_symlink() for path in archive.rglob("*"))
    folders = introduced(archive)
    assert len(set(folders.values())) == len(folders) >= len(HOSTILE)
    assert len({folder.casefold() for folder in folders.values()}) == len(folders)
    marker = parse((archive / ".mailarchive" / "archive.toml").read_text(), "the marker")
    made = (FlatNames if layout == "maildir++" else Names)(lambda _: [], marker.names, lambda *_: None)
    for name in HOSTILE:
        assert found[body(name)].parent.parent == archive / folders[name]
        assert all(part.isprintable() and len(part.encode()) < 255 for part in folders[name].split("/"))
        assert made.mailbox(folders[name].split("/"), "/") == name


@pytest.mark.parametrize("layout", ["nested", "maildir++"])
def test_f052_the_next_run_finds_every_mailbox_again(server: DemoServer, tmp_path: Path, layout: str) -> None:
    """Nothing is fetched a second time, no folder is made, and all is read back whole."""
    archive = tmp_path / "archive"
    words = (plain_url(server.imap_port, USER), "--to", archive, "--layout", layout)
    assert mailarchive("backup", *words, password=PASSWORD).code == 0
    before = mail(archive)
    second = mailarchive("--json", "backup", *words, password=PASSWORD)
    assert second.code == 0
    assert second.end["total"]["archived"] == 0
    assert second.end["total"]["already"] >= len(HOSTILE)
    assert mail(archive) == before
    (archive / ".mailarchive" / "catalogue.sqlite").unlink()
    assert mailarchive("backup", *words, password=PASSWORD).code == 0
    assert mail(archive) == before
    assert mailarchive("verify", archive).code == 0


def mail(archive: Path) -> list[Path]:
    """Give everything in an archive but what we know of it."""
    return sorted(path for path in archive.rglob("*") if not path.is_relative_to(archive / ".mailarchive"))


def introduced(archive: Path) -> dict[str, str]:
    """Give the folder of each mailbox, as the manifest of the run tells it."""
    (manifest,) = (archive / ".mailarchive" / "runs").iterdir()
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    return {line["name"]: line["folder"] for line in lines if line.get("type") == "mailbox"}
