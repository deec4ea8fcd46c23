"""What is read back of a manifest on disk, whatever has become of the file (`archive-format.md` section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailarchive.archives.manifest import LINE
from mailarchive.archives.opening import open_for_reading
from mailarchive.errors import ArchiveError, MissingError
from tests.contract.archives import MaildirShelf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailarchive.ports import Archive

FIRST = {"manifest": 1}


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """Make an archive, closed, and give the folder of its manifests."""
    shelf = MaildirShelf(tmp_path / "archive")
    shelf.open()
    shelf.close()
    yield tmp_path / "archive" / ".mailarchive" / "runs"
    shelf.close()


@pytest.fixture
def archive(runs: Path) -> Iterator[Archive]:
    """Open that archive for reading."""
    opened = open_for_reading(runs.parents[1])
    assert opened is not None
    with opened:
        yield opened.mail


@pytest.mark.parametrize(
    "tail", [b"", b'{"type":"arch', b'{"type":"arch\n', b"\0\0\0\0", b"\xff\n", b"7\n", b"[" * 100_000, b'{"a":NaN}']
)
def test_a_torn_last_line_is_left_out(archive: Archive, runs: Path, tail: bytes) -> None:
    """What a power cut leaves of it."""
    (runs / "run1.jsonl").write_bytes(b'{"manifest":1}\n' + tail)
    assert list(archive.told("run1")) == [FIRST]


def test_a_last_line_that_only_lacks_its_end_is_told(archive: Archive, runs: Path) -> None:
    """An object that is complete is no torn one."""
    (runs / "run1.jsonl").write_bytes(b'{"manifest":1}')
    assert list(archive.told("run1")) == [FIRST]


@pytest.mark.parametrize("bad", [b"", b"garbage", b"[1]", b'{"type":"arch', b"\0\0"])
def test_a_bad_line_elsewhere_is_an_error(archive: Archive, runs: Path, bad: bytes) -> None:
    """It says which one; the lines before are told."""
    (runs / "run1.jsonl").write_bytes(b'{"manifest":1}\n' + bad + b'\n{"type":"finished"}\n')
    lines = archive.told("run1")
    assert next(lines) == FIRST
    with pytest.raises(ArchiveError, match="line 2"):
        next(lines)


@pytest.mark.parametrize("end", [b"", b"\n", b'\n{"type":"finished"}\n'])
def test_a_line_has_a_limit(archive: Archive, runs: Path, end: bytes) -> None:
    """One of exactly a mebibyte is read, a longer one is an error and not held in memory."""
    longest = b'{"a":"' + b"x" * (LINE - 8) + b'"}'
    (runs / "run1.jsonl").write_bytes(longest + end)
    assert len(list(archive.told("run1"))) >= 1
    (runs / "run1.jsonl").write_bytes(b'{"manifest":1}\n ' + longest + end)
    with pytest.raises(ArchiveError, match="more than"):
        list(archive.told("run1"))


def test_many_lines_are_told_in_their_order(archive: Archive, runs: Path) -> None:
    """Across the pieces in which the file is read."""
    lines = [b'{"number":%d,"pad":"%s"}' % (number, b"x" * (number % 977)) for number in range(10_000)]
    (runs / "run1.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    assert [line["number"] for line in archive.told("run1")] == list(range(10_000))


def test_f094_links_are_not_followed(archive: Archive, runs: Path, tmp_path: Path) -> None:
    """Neither in place of the manifest nor of their folder; a folder is no manifest either."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "run1.jsonl").write_bytes(b'{"manifest":1}\n')
    (runs / "run1.jsonl").symlink_to(tmp_path / "outside" / "run1.jsonl")
    (runs / "run2.jsonl").mkdir()
    for run in ("run1", "run2"):
        with pytest.raises(ArchiveError) as error:
            list(archive.told(run))
        assert not isinstance(error.value, MissingError)
    runs.rename(runs.with_name("old"))
    runs.symlink_to(tmp_path / "outside")
    with pytest.raises(ArchiveError, match="link"):
        list(archive.told("run1"))


def test_an_archive_without_manifests_has_none(archive: Archive, runs: Path) -> None:
    """The folder may be gone: the mail needs it not."""
    runs.rmdir()
    with pytest.raises(MissingError, match="no manifest"):
        list(archive.told("run1"))


def test_what_cannot_be_read_back_is_not_written(tmp_path: Path) -> None:
    """Octets and values without a JSON of their own are a mistake of ours."""
    shelf = MaildirShelf(tmp_path / "other")
    manifest = shelf.open().manifest("run1")
    for value in (b"octets", float("nan"), object()):
        with pytest.raises((TypeError, ValueError)):
            manifest.write(value=value)
    manifest.close()
    shelf.close()


@pytest.mark.parametrize("bad", [b"", b"garbage", b"[1]", b'{"type":"arch', b"\0\0", b"x" * (3 * LINE)])
@pytest.mark.parametrize("end", [b"", b'{"type":"arch'])
def test_bad_lines_can_be_passed_over(archive: Archive, runs: Path, bad: bytes, end: bytes) -> None:
    """Who asks for it hears of each before what stands behind it; a torn end is still no bad line."""
    lines = [b'{"manifest":1}', bad, b'{"a":2}', b'{"a":3}', bad, b'{"type":"finished"}', end]
    (runs / "run1.jsonl").write_bytes(b"\n".join(lines))
    heard: list[str | dict[str, object]] = []
    for line in archive.told("run1", heard.append):
        heard.append(dict(line))  # noqa: PERF401 - the sentences come in between
    assert [each if isinstance(each, dict) else each.partition("jsonl: ")[2] for each in heard] == [
        FIRST,
        "line 2 cannot be read",
        {"a": 2},
        {"a": 3},
        "line 5 cannot be read",
        {"type": "finished"},
    ]
