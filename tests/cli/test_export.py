"""`mailarchive export` as a user types it."""

from __future__ import annotations

import mailbox
import subprocess
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from mailarchive.address import parse_url
from mailarchive.archives.opening import open_for_writing
from tests.command import mailarchive
from tests.exports.shelf import files_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

URL = "imap+insecure://me@127.0.0.1:9"


def letter(number: int) -> bytes:
    """Make a message."""
    head = f"From: Anna <anna{number}@example.org>\r\nSubject: \x1b[31mn{number}\r\n"
    head += "Date: Sat, 1 Mar 2014 10:00:00 +0100\r\n"
    return f"{head}\r\nword{number}\r\n".encode()


def archive_of(folder: Path, numbers: range) -> Path:
    """Make an archive with some letters in the mailbox `letters`."""
    open_for_writing(folder, parse_url(URL).identity, run="x", started="", remember=False).close()
    source = folder.parent / f"{folder.name}-letters" / "letters"
    source.mkdir(parents=True)
    for number in numbers:
        (source / f"{number}.eml").write_bytes(letter(number))
    done = mailarchive("import", source, "--archive", folder)
    assert (done.code, done.err) == (0, "")
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Make an archive with four letters."""
    return archive_of(tmp_path / "archive", range(4))


def test_what_a_query_finds_is_written(archive: Path, tmp_path: Path) -> None:
    """And told in a table; nothing of a sender steers the terminal, and the archive stays as it was."""
    result = mailarchive("export", "from:anna1", "--as", "eml", "--to", tmp_path / "out", "--archive", archive)
    assert (result.code, result.err) == (0, "")
    assert "\x1b" not in result.out
    ((name, octets),) = files_of(tmp_path / "out").items()
    assert octets == letter(1)
    assert name == f"letters/2014-03-01 [31mn1 {sha256(octets).hexdigest()[:12]}.eml"
    result = mailarchive("--json", "export", "--as", "mbox", "--to", tmp_path / "all", "--archive", archive)
    assert (result.code, result.end["files"], result.end["total"]["written"]) == (0, 1, 4)
    with closing(mailbox.mbox(tmp_path / "all" / "letters.mbox", create=False)) as box:
        assert len(box) == 4
    assert mailarchive("verify", archive).code == 0


@pytest.mark.parametrize("form", ["eml", "mbox", "thunderbird", "html", "attachments"])
def test_every_form_has_its_folder(archive: Path, tmp_path: Path, form: str) -> None:
    """With the right files in it."""
    result = mailarchive("export", "--as", form, "--to", tmp_path / "out", "--archive", archive)
    assert (result.code, result.err) == (0, "")
    expected = {
        "eml": 4,
        "mbox": 1,
        "thunderbird": 2,
        "html": 4 + len(["index.html", "style.css", "search.js", "messages.js", "months/2014-03.html"]),
        "attachments": 0,
    }
    assert len(files_of(tmp_path / "out")) == expected[form]


def test_several_archives_are_folders_in_one(archive: Path, tmp_path: Path) -> None:
    """And what both hold is written once where once is enough."""
    other = archive_of(tmp_path / "other", range(3, 6))
    words = ("--archive", archive, "--archive", other)
    assert mailarchive("export", "--as", "mbox", "--to", tmp_path / "out", *words).code == 0
    assert sorted(files_of(tmp_path / "out")) == ["archive/letters.mbox", "other/letters.mbox"]
    assert mailarchive("export", "--as", "html", "--to", tmp_path / "pages", *words).code == 0
    pages = [name for name in files_of(tmp_path / "pages") if name.startswith("messages/")]
    assert len(pages) == 6


def test_f135_a_place_that_is_taken_is_refused(archive: Path, tmp_path: Path) -> None:
    """Before anything is read: a folder with something in it, a place in the archive; and what cannot be read."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    for words, said in [
        (("--as", "eml", "--to", tmp_path / "out"), "is not empty"),
        (("--as", "eml", "--to", archive / "out"), "lies in the archive"),
        (("from:", "--as", "eml", "--to", tmp_path / "new"), "from:"),
        (("--as", "pst", "--to", tmp_path / "new"), "'pst' is not one of"),
        (("--as", "eml"), "Missing option '--to'"),
    ]:
        result = mailarchive("export", *words, "--archive", archive)
        assert (result.code, result.out) == (2, ""), words
        assert said in result.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    assert not (tmp_path / "new").exists()


def test_options_come_from_the_environment(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the names that they have on the command line."""
    for name, value in (("AS", "eml"), ("TO", tmp_path / "out"), ("ARCHIVE", archive)):
        monkeypatch.setenv(f"MAILARCHIVE_EXPORT_{name}", str(value))
    assert mailarchive("export").code == 0
    assert len(files_of(tmp_path / "out")) == 4


def test_nothing_found_leaves_nothing(archive: Path, tmp_path: Path) -> None:
    """And is no error."""
    result = mailarchive("export", "from:nobody", "--as", "eml", "--to", tmp_path / "out", "--archive", archive)
    assert (result.code, result.err) == (0, "")
    assert "nothing was found" in result.out
    assert not (tmp_path / "out").exists()


def test_a_damaged_message_is_named_and_left_out(archive: Path, tmp_path: Path) -> None:
    """With the code 13; the others are written."""
    file = next(path for path in (archive / "letters" / "cur").iterdir() if path.read_bytes() == letter(2))
    file.write_bytes(letter(2).replace(b"word2", b"forge"))
    result = mailarchive("export", "--as", "eml", "--to", tmp_path / "out", "--archive", archive)
    assert result.code == 13
    digits = sha256(letter(2)).hexdigest()[:12]
    assert result.err == f"mailarchive: not exported: letters {digits}: its copy in the archive is damaged\n"
    assert sorted(files_of(tmp_path / "out").values()) == [letter(0), letter(1), letter(3)]


def test_a_message_that_is_gone_is_told(archive: Path, tmp_path: Path) -> None:
    """Whether the index knows it, or it cannot be read for the index either; the others are written."""
    first, second = sorted((archive / "letters" / "cur").iterdir())[:2]
    first.unlink()
    result = mailarchive("export", "--as", "eml", "--to", tmp_path / "out", "--archive", archive)
    assert result.code == 3
    assert f"1 message in {archive} cannot be read and may be missing; mailarchive verify {archive}" in result.err
    assert len(files_of(tmp_path / "out")) == 3
    second.unlink()
    result = mailarchive("export", "--as", "eml", "--to", tmp_path / "again", "--archive", archive)
    assert result.code == 13
    assert "not exported: letters" in result.err
    assert len(files_of(tmp_path / "again")) == 2


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 64 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    done = subprocess.run(words, check=False, capture_output=True)
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.needs_root
@pytest.mark.parametrize("form", ["eml", "mbox", "thunderbird", "html"])
def test_a_full_disk_leaves_nothing(archive: Path, small: Path, form: str) -> None:
    """With the code 14, and the room is free again."""
    (small / "filler").write_bytes(b"x" * 60_000)
    source = archive.parent / "more" / "letters"
    source.mkdir(parents=True)
    (source / "large.eml").write_bytes(letter(9) + b"x" * 70_000)
    assert mailarchive("import", source, "--archive", archive).code == 0
    result = mailarchive("export", "--as", form, "--to", small / "out", "--archive", archive)
    assert result.code == 14
    assert "no space left" in result.err
    assert "nothing was exported" in result.err or form == "html"
    assert [path.name for path in small.iterdir()] == ["filler"]
