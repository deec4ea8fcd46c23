"""Archives that others have changed, swapped, opened to everybody or led elsewhere, under whole runs.

Rows 94 to 96, 98, 102 to 104, 106 and 108.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import threading
import tomllib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo import store
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import mailarchive, plain_url
from tests.corpus import corpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailarchive.demo.store import Account
    from tests.command import Result

COUNT = 12
DELETE = ("--older-than", "1y", "--delete", "--yes", "--no-keep-flagged")


@pytest.fixture
def server() -> Iterator[DemoServer]:
    """Serve twelve old messages to kim and as many others to bob."""
    accounts = Store()
    for seed, user in enumerate(("kim", "bob")):
        account = accounts.add_account(user, "secret")
        now = datetime.now(UTC) - timedelta(days=600)
        for sample in corpus(COUNT, seed=seed, now=now, sizes="tiny"):
            account.mailbox("INBOX").append(sample.raw, sample.internal_date, frozenset(sample.flags))
    with DemoServer(accounts) as running:
        yield running


def left(server: DemoServer, user: str = "kim") -> int:
    """Count what is on the server."""
    account: Account = server.store.account(user)
    return sum(len(account.mailbox(name).messages()) for name in ("INBOX",))


def run(server: DemoServer, archive: Path, *more: str, user: str = "kim", command: str = "backup") -> Result:
    """Run a command on an archive."""
    place = ("--to", archive) if command == "backup" else ("--archive", archive)
    return mailarchive("--json", command, plain_url(server.imap_port, user), *place, *more)


def warned(result: Result) -> str:
    """Give the warnings."""
    return "\n".join(event["message"] for event in result.events if event["event"] == "warned")


def some_file(archive: Path) -> Path:
    """Give one of the messages."""
    return sorted(archive.glob("INBOX/cur/*"))[3]


def snapshot(archive: Path) -> dict[str, bytes]:
    """Give everything that is in an archive but for its locks."""
    files = (path for path in sorted(archive.rglob("*")) if path.is_file() and not path.name.startswith("lock"))
    return {path.relative_to(archive).as_posix(): path.read_bytes() for path in files}


# Links


@pytest.mark.parametrize("place", ["INBOX", "INBOX/cur", "INBOX/tmp", ".mailarchive", ".mailarchive/runs"])
@pytest.mark.parametrize("words", [(), DELETE])
def test_f094_a_folder_that_has_become_a_link(
    server: DemoServer, tmp_path: Path, place: str, words: tuple[str, ...]
) -> None:
    """Exit 13; nothing is written or read where it leads, and nothing leaves the server."""
    archive = tmp_path / "archive"
    assert run(server, archive, "--limit", "5").code == 0
    outside = tmp_path / "outside"
    (archive / place).rename(outside)
    before = snapshot(outside)
    (archive / place).symlink_to(outside)
    result = run(server, archive, *words)
    assert (result.code, left(server)) == (13, COUNT)
    assert "link" in result.out
    assert snapshot(outside) == before


def test_f094_the_archive_itself_may_be_a_link(server: DemoServer, tmp_path: Path) -> None:
    """To where the user has put it."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "archive").symlink_to(tmp_path / "real")
    assert run(server, tmp_path / "archive", *DELETE).code == 0
    assert (left(server), len(maildir.files(tmp_path / "real"))) == (0, COUNT)


def test_f094_a_folder_that_becomes_a_link_during_the_run(server: DemoServer, tmp_path: Path) -> None:
    """A thread swaps the folders for links and back all the time: nothing is ever written outside."""
    archive, outside = tmp_path / "archive", tmp_path / "outside"
    for name in ("cur", "new", "tmp"):
        (outside / name).mkdir(parents=True)
    over = threading.Event()
    swaps = 0

    def race() -> None:
        nonlocal swaps
        inbox, hidden = archive / "INBOX", tmp_path / "hidden"
        while not over.is_set():
            try:
                inbox.rename(hidden)
                inbox.symlink_to(outside)
                swaps += 1
                inbox.unlink()
                hidden.rename(inbox)
            except OSError:
                if inbox.is_symlink():
                    inbox.unlink()
                if hidden.exists() and not inbox.exists():
                    hidden.rename(inbox)

    assert run(server, archive, "--limit", "1").code == 0
    racer = threading.Thread(target=race)
    racer.start()
    try:
        codes = {run(server, archive, "--limit", "1").code for _ in range(COUNT)}
    finally:
        over.set()
        racer.join()
    assert swaps > 10
    assert codes <= {0, 3, 13}
    assert [path for path in outside.rglob("*") if path.is_file()] == []
    if (tmp_path / "hidden").exists():
        shutil.rmtree(tmp_path / "hidden")
    assert run(server, archive, *DELETE).code in {0, 3}
    assert len(maildir.files(archive)) == COUNT


# Modes


@pytest.mark.parametrize("where", ["archive", "parent"])
def test_f095_an_archive_where_others_may_write(server: DemoServer, tmp_path: Path, where: str) -> None:
    """A warning and 0; a run that is to delete deletes nothing and ends with 3."""
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o700)
    archive = parent / "archive"
    assert run(server, archive, "--limit", "2").code == 0
    open_one = archive if where == "archive" else parent
    open_one.chmod(0o777)
    result = run(server, archive)
    assert (result.code, warned(result)) == (0, f"{open_one} is writable by others")
    assert len(maildir.files(archive)) == COUNT
    for command in ("backup", "prune"):
        words = [word for word in DELETE if command == "backup" or word != "--delete"]
        result = run(server, archive, *words, command=command)
        assert (result.code, left(server)) == (3, COUNT)
        assert f"nothing is deleted: {open_one} is writable by others" in warned(result)
    open_one.chmod(0o700)
    assert (run(server, archive, *DELETE).code, left(server)) == (0, 0)


@pytest.mark.parametrize("form", ["maildir", "mbox"])
@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_f096_modes_are_ours_whatever_the_mask(server: DemoServer, tmp_path: Path, mask: int, form: str) -> None:
    """Folders 0700, files 0600, manifests that are closed 0400, mbox files between runs 0444."""
    before = os.umask(mask)
    try:
        assert run(server, tmp_path / "new" / "archive", *DELETE, "--format", form).code == 0
    finally:
        os.umask(before)
    assert left(server) == 0
    modes: dict[str, set[int]] = {}
    for path in (tmp_path / "new", *(tmp_path / "new").rglob("*")):
        kind = "folder" if path.is_dir() else path.suffix if path.suffix in {".jsonl", ".mbox"} else "file"
        modes.setdefault(kind, set()).add(stat.S_IMODE(path.stat().st_mode))
    wanted = {"folder": {0o700}, "file": {0o600}, ".jsonl": {0o400}}
    assert modes == wanted | ({".mbox": {0o444}} if form == "mbox" else {})


# Another archive


def test_f098_two_archives_that_were_swapped(server: DemoServer, tmp_path: Path) -> None:
    """Exit 13 for both, with both names; nothing is touched, and put back they work."""
    for user in ("kim", "bob"):
        assert run(server, tmp_path / user, user=user).code == 0
    (tmp_path / "kim").rename(tmp_path / "x")
    (tmp_path / "bob").rename(tmp_path / "kim")
    (tmp_path / "x").rename(tmp_path / "bob")
    before = {user: snapshot(tmp_path / user) for user in ("kim", "bob")}
    for user, other in (("kim", "bob"), ("bob", "kim")):
        for words in ((), DELETE, ("--dry-run",)):
            result = run(server, tmp_path / user, *words, user=user)
            assert (result.code, left(server, user)) == (13, COUNT)
            assert f"is the archive of imap+insecure://{other}@127.0.0.1" in result.out
        assert snapshot(tmp_path / user) == before[user]


def test_f098_f105_a_catalogue_of_another_archive(server: DemoServer, tmp_path: Path) -> None:
    """It is set aside: what it says of UIDs is of other messages. All is fetched and proved anew, and then goes."""
    for user in ("kim", "bob"):
        assert run(server, tmp_path / user, user=user).code == 0
    kim, bob = (tmp_path / user / ".mailarchive" / "catalogue.sqlite" for user in ("kim", "bob"))
    shutil.copyfile(bob, kim)
    result = run(server, tmp_path / "kim", *DELETE)
    assert (result.code, left(server), result.end["total"]["archived"]) == (0, 0, COUNT)
    assert "could not be used and was set aside" in warned(result)
    assert len(maildir.files(tmp_path / "kim")) == COUNT
    assert len(list(kim.parent.glob("catalogue.sqlite.set-aside-*"))) >= 1


def test_f106_an_archive_of_a_later_version(server: DemoServer, tmp_path: Path) -> None:
    """Exit 13 and nothing is touched, whatever is asked of it."""
    archive = tmp_path / "archive"
    assert run(server, archive, "--limit", "5").code == 0
    marker = archive / ".mailarchive" / "archive.toml"
    marker.write_text(marker.read_text().replace("version = 1", "version = 2"))
    before = snapshot(archive)
    for words in ((), DELETE, ("--dry-run",)):
        result = run(server, archive, *words)
        assert (result.code, left(server)) == (13, COUNT)
        assert "version" in result.out
    assert mailarchive("verify", archive).code == 13
    assert mailarchive("reindex", archive).code == 13
    assert snapshot(archive) == before


# Files that were changed


def test_f102_a_file_that_changed_after_it_was_verified(server: DemoServer, tmp_path: Path) -> None:
    """`verify` names it (13), a deletion stops (13), and the next backup sets it aside and fetches it again (3)."""
    archive = tmp_path / "archive"
    assert run(server, archive).code == 0
    path = some_file(archive)
    octets = bytearray(path.read_bytes())
    octets[-3] ^= 1
    status = path.stat()
    path.write_bytes(octets)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    result = mailarchive("verify", archive)
    assert result.code == 13
    assert path.name.partition(":")[0] in result.out + result.err
    result = run(server, archive, *DELETE)
    assert (result.code, left(server)) == (13, COUNT)
    assert path.read_bytes() == octets
    result = run(server, archive)
    assert (result.code, result.end["total"]["archived"]) == (3, 1)
    assert "did not match; a fresh one has taken its place" in warned(result)
    (aside,) = (archive / ".mailarchive" / "damaged").iterdir()
    assert aside.read_bytes() == octets
    assert len(maildir.files(archive)) == COUNT
    assert mailarchive("-q", "verify", archive).code == 0
    assert (run(server, archive, *DELETE).code, left(server)) == (0, 0)


def test_f103_flags_that_a_reader_has_set_and_files_that_the_user_removed(server: DemoServer, tmp_path: Path) -> None:
    """Found by the first part of their names; what is gone is said and fetched again, and all leaves the server."""
    archive = tmp_path / "archive"
    assert run(server, archive).code == 0
    first, second, third, *_ = sorted(archive.glob("INBOX/cur/*"))
    first.rename(f"{first}FS" if not first.name.endswith("S") else f"{first.as_posix()[:-1]}FS")
    second.unlink()
    third.rename(archive / "INBOX" / "new" / third.name.partition(":")[0])
    result = run(server, archive)
    assert (result.code, result.end["total"]["archived"]) == (0, 1)
    assert warned(result) == "1 archived messages are no longer whole in the archive and are fetched again"
    assert (run(server, archive, *DELETE).code, left(server)) == (0, 0)
    octets = {hashlib.sha256(path.read_bytes()).hexdigest() for path in archive.glob("INBOX/[cn]*/*")}
    assert len(octets) == len(list(archive.glob("INBOX/[cn]*/*"))) == COUNT


def test_f103_a_file_that_was_removed_keeps_its_message_from_being_pruned(server: DemoServer, tmp_path: Path) -> None:
    """It is not deletable, and that is said; the others go."""
    archive = tmp_path / "archive"
    assert run(server, archive).code == 0
    some_file(archive).unlink()
    result = run(server, archive, "--older-than", "1y", "--yes", "--no-keep-flagged", command="prune")
    assert (result.code, left(server)) == (3, 1)
    assert "no longer whole in the archive" in warned(result)


def test_f104_a_file_that_a_reader_has_moved(server: DemoServer, tmp_path: Path) -> None:
    """`verify` finds it by its digest and has nothing to complain of; a backup fetches it to its place again."""
    archive = tmp_path / "archive"
    assert run(server, archive).code == 0
    path = some_file(archive)
    for name in ("cur", "new", "tmp"):
        (archive / "Kept" / name).mkdir(parents=True)
    path.rename(archive / "Kept" / "cur" / path.name)
    result = mailarchive("--json", "verify", archive)
    assert result.code == 0
    assert "moved" in result.out
    result = run(server, archive, *DELETE)
    assert (result.code, left(server)) == (0, 0)
    assert len(maildir.files(archive)) == COUNT + 1


def test_f108_a_mailbox_with_a_long_and_deep_name(
    server: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part is cut, with a hash, and the true name is in the marker; archived, verified, found again, deleted."""
    monkeypatch.setattr(store, "LONGEST_NAME", 10_000)
    # A server can say a name of a thousand octets at most; more is left out with a warning.
    name = "/".join(["Ä" * 110, *[":" * 4] * 120])
    account = server.store.account("kim")
    account.create(name).append(b"Subject: deep\r\n\r\nbody\r\n", datetime.now(UTC) - timedelta(days=700))
    archive = tmp_path / "archive"
    assert run(server, archive).code == 0
    marker = tomllib.loads((archive / ".mailarchive" / "archive.toml").read_text())
    assert "Ä" * 110 in marker["names"].values()
    again = run(server, archive)
    assert (again.code, again.end["total"]["archived"]) == (0, 0)
    assert mailarchive("-q", "verify", archive).code == 0
    assert run(server, archive, *DELETE).code == 0
    assert (left(server), len(account.mailbox(name).messages())) == (0, 0)
