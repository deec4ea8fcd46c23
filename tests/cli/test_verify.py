"""`mailarchive verify`: what is whole, what is damaged, and that nothing is changed."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import mailarchive, plain_url
from tests.corpus import corpus, spread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "secret"
COUNT = 40


@pytest.fixture(scope="module")
def server() -> Iterator[DemoServer]:
    """Serve forty messages in two mailboxes."""
    store = Store()
    account = store.add_account("kim", PASSWORD)
    samples = corpus(COUNT, seed=8, now=datetime.now(UTC) - timedelta(days=500), sizes="tiny")
    for name, messages in spread(samples, ["INBOX", "Work"]).items():
        box = account.find(name) or account.create(name)
        for sample in messages:
            box.append(sample.raw, sample.internal_date, sample.flags)
    with DemoServer(store) as running:
        yield running


@pytest.fixture
def archive(server: DemoServer, tmp_path: Path) -> Path:
    """Give an archive of it."""
    folder = tmp_path / "archive"
    assert mailarchive("-q", "backup", plain_url(server.imap_port, "kim"), "--to", folder).code == 0
    return folder


def snapshot(archive: Path) -> dict[str, tuple[bytes, int]]:
    """Remember every file with its octets and its time."""
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in archive.rglob("*") if p.is_file()}


def some(archive: Path, number: int = 0) -> Path:
    """Give one message of INBOX."""
    return sorted((archive / "INBOX" / "cur").iterdir())[number]


def flaws(archive: Path, *words: str) -> tuple[int, dict[str, int]]:
    """Verify; gives the exit code, and how many there are of each kind."""
    before = snapshot(archive)
    result = mailarchive("--json", "verify", archive, *words)
    assert snapshot(archive) == before
    last = json.loads(result.out.splitlines()[-1])
    assert last["event"] == "verify_finished"
    return result.code, dict(last["flaws"])


def test_a_whole_archive_is_whole(archive: Path) -> None:
    """Every message is read back, and said to be as it was archived."""
    before = snapshot(archive)
    result = mailarchive("verify", archive)
    assert (result.code, result.err) == (0, "")
    assert f"{COUNT} messages read back" in result.out
    assert "all as they were archived" in result.out
    assert snapshot(archive) == before
    assert mailarchive("-q", "verify", archive).out == ""


@pytest.mark.parametrize("how", ["flip", "truncate", "append", "empty"])
def test_f102_a_changed_message_is_found_and_named(archive: Path, how: str) -> None:
    """One bit, a missing end, a line more, nothing left: exit 13, and the file is named."""
    file = some(archive)
    octets = bytearray(file.read_bytes())
    if how == "flip":
        octets[len(octets) // 2] ^= 1
    changed = {"flip": octets, "truncate": octets[:-1], "append": octets + b"x", "empty": bytearray()}
    file.write_bytes(changed[how])
    assert flaws(archive) == (13, {"damaged": 1})
    result = mailarchive("-q", "verify", archive)
    assert result.code == 13
    assert f"damaged: INBOX/{file.name.partition(':')[0]}" in result.err


def test_a_removed_message_is_missing(archive: Path) -> None:
    """A row without a file."""
    some(archive).unlink()
    assert flaws(archive) == (13, {"missing": 1})


def test_f104_a_message_that_a_mail_program_moved_is_found(archive: Path) -> None:
    """In another folder, and with other flags: it is whole, and so is the archive."""
    file = some(archive)
    file.rename(archive / "Work" / "cur" / (file.name + "T"))
    assert flaws(archive) == (0, {"moved": 1, "not in the catalogue": 1})
    some(archive, 1).rename(some(archive, 1).with_name(some(archive, 1).name + "F"))
    assert flaws(archive) == (0, {"moved": 1, "not in the catalogue": 1})


@pytest.mark.parametrize("epoch", ["1", "9999999999"])
def test_a_copy_under_another_date_hides_neither_file(archive: Path, epoch: str) -> None:
    """Both are read; damage of either is found."""
    file = some(archive)
    copy = file.with_name(epoch + "." + file.name.partition(".")[2])
    shutil.copy(file, copy)
    assert flaws(archive) == (0, {"not in the catalogue": 1})
    octets = file.read_bytes()
    file.write_bytes(octets[::-1])
    assert flaws(archive) == (13, {"damaged": 1, "not in the catalogue": 1})
    file.write_bytes(octets)
    copy.write_bytes(octets[::-1])
    assert flaws(archive) == (13, {"damaged": 1})


def test_a_file_that_the_catalogue_does_not_know_is_compared_with_its_name(archive: Path) -> None:
    """Without the catalogue all can still be checked; a changed one does not fit its name."""
    (archive / ".mailarchive" / "catalogue.sqlite").unlink()
    assert flaws(archive) == (3, {"not in the catalogue": COUNT})
    some(archive).write_bytes(b"other")
    assert flaws(archive) == (13, {"damaged": 1, "not in the catalogue": COUNT - 1})


@pytest.mark.parametrize("how", ["gone", "garbage"])
def test_without_its_catalogue_an_archive_is_never_called_whole(archive: Path, how: str) -> None:
    """A missing message cannot be noticed then: it is said, and the code is not 0."""
    catalogue = archive / ".mailarchive" / "catalogue.sqlite"
    if how == "gone":
        catalogue.unlink()
    else:
        catalogue.write_bytes(b"garbage" * 1000)
    some(archive).unlink()
    result = mailarchive("verify", archive)
    assert result.code == 3
    assert "one that is missing cannot be noticed" in result.err


def test_f094_a_link_in_place_of_a_message_is_not_read(archive: Path, tmp_path: Path) -> None:
    """It could lead anywhere."""
    file = some(archive)
    (tmp_path / "elsewhere").write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    code, found = flaws(archive)
    assert code == 13
    assert found == {"unreadable": 1}


def test_a_sample_says_that_it_is_one(archive: Path) -> None:
    """10 % of forty are four."""
    result = mailarchive("verify", archive, "--sample", "10%")
    assert result.code == 0
    assert f"4 of {COUNT} messages read back" in result.out


@pytest.mark.parametrize("sample", ["0", "101", "x", "-5%", ""])
def test_a_sample_that_cannot_be_is_refused(archive: Path, sample: str) -> None:
    """Exit 2 with a hint."""
    result = mailarchive("verify", archive, "--sample", sample)
    assert result.code == 2
    assert "--sample 5%" in result.err


def test_no_archive_is_exit_13_and_nothing_is_made(tmp_path: Path) -> None:
    """A folder that is not there, that is empty, or that holds something else."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter").write_text("mine")
    for name in ("none", "empty", "other"):
        assert mailarchive("verify", "--archive", tmp_path / name).code == 13
    assert not (tmp_path / "none").exists()
    assert list((tmp_path / "empty").iterdir()) == []


def test_accounts_are_verified_by_name_and_with_their_server(server: DemoServer, home: Path, tmp_path: Path) -> None:
    """--server shows what is there and not archived, and fetches nothing."""
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'archive = "{tmp_path}/mail"\n[defaults]\nolder_than = "5y"\n[account.home]\n'
        f'server = "imap+insecure://127.0.0.1:{server.imap_port}"\nuser = "kim"\npassword_command = "echo secret"\n'
    )
    config.chmod(0o600)
    assert mailarchive("-q", "backup").code == 0
    some_of_them = len(maildir.files(tmp_path / "mail" / "home"))
    assert 0 < some_of_them < COUNT
    result = mailarchive("verify", "home", "--server")
    assert (result.code, result.err) == (0, "")
    assert f"{some_of_them} messages read back" in result.out
    assert f"would archive {COUNT - some_of_them} messages" in result.out
    assert len(maildir.files(tmp_path / "mail" / "home")) == some_of_them
    assert mailarchive("verify", "nobody").code == 10
    shutil.rmtree(tmp_path / "mail" / "home")
    assert mailarchive("verify").code == 13
