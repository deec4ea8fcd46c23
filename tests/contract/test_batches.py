"""How the files of a batch become durable: all by one call, or each by itself (`safety.md` section 3)."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailarchive.archives import durable
from mailarchive.archives.batches import FEW, Batch
from mailarchive.archives.durable import Directory
from mailarchive.errors import ArchiveError, DiskError
from tests.contract.archives import MaildirShelf, add, locations, octets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailarchive.ports import Archive


TOGETHER = pytest.mark.skipif("not durable.can_sync_together()", reason="no syncfs that tells errors here")


@pytest.fixture(params=[True, False], ids=["together", "each"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MaildirShelf]:
    """Give an archive that syncs in one way or the other."""
    monkeypatch.setattr("mailarchive.archives.opening.place.filesystem", lambda _: "ext4" if request.param else "nfs")
    made = MaildirShelf(tmp_path / "archive")
    yield made
    made.close()


def watch(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Note each call that makes something durable, and each name that is given."""
    log: list[tuple[str, str]] = []
    fsync, rename, sync_all = os.fsync, durable._rename_without_replacing, Directory.sync_all

    def watched_fsync(descriptor: int) -> None:
        log.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def watched_rename(folder: int, source: str, there: int, target: str) -> None:
        log.append(("rename", source))
        rename(folder, source, there, target)

    def watched_sync_all(directory: Directory) -> None:
        log.append(("syncfs", Path(directory.path).name))
        sync_all(directory)

    monkeypatch.setattr("os.fsync", watched_fsync)
    monkeypatch.setattr(durable, "_rename_without_replacing", watched_rename)
    monkeypatch.setattr(Directory, "sync_all", watched_sync_all)
    return log


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 50])
def test_octets_are_durable_before_any_name_is_given(
    shelf: MaildirShelf, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, count: int
) -> None:
    """Many files by one call where that may be, few or elsewhere each by itself; the folder of the names comes last."""
    archive = shelf.open()
    add(archive, b"the folder is there")
    archive.sync()
    log = watch(monkeypatch)
    for number in range(count):
        add(archive, b"%d" % number)
    archive.sync()
    names = [f"run1.{number}.mailarchive" for number in range(2, count + 2)]
    one_call = request.node.callspec.params["shelf"] and count > FEW
    synced = [("syncfs", "tmp")] if one_call else [("fsync", name) for name in names]
    assert log == [*synced, *(("rename", name) for name in names), ("fsync", "cur")]


def test_f089_a_sync_that_fails_makes_the_batch_void(shelf: MaildirShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 14; nothing of it is visible, nothing is left in `tmp`, and the same messages are taken again."""
    archive = shelf.open()
    kept = add(archive, b"kept")
    archive.sync()

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "failed")

    def fail_all(directory: Directory) -> None:
        raise DiskError(f"the disk failed on {directory.path}")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        patch.setattr(Directory, "sync_all", fail_all)
        with pytest.raises(DiskError):
            add_all(archive, 20)
        archive.discard()
    assert locations(archive) == [kept.location]
    assert list(shelf.path.rglob("tmp/*")) == []
    again = [add(archive, b"%d" % number) for number in range(20)]
    archive.sync()
    assert [octets(archive, each.location) for each in again] == [b"%d" % number for number in range(20)]


def add_all(archive: Archive, count: int) -> None:
    """Add a batch and sync it."""
    for number in range(count):
        add(archive, b"%d" % number)
    archive.sync()


@TOGETHER
def test_f089_an_error_of_the_one_call_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the system says."""

    class Libc:
        """A system whose disk fails."""

        @staticmethod
        def syncfs(_: int) -> int:
            """Fail."""
            import ctypes

            ctypes.set_errno(errno.EIO)
            return -1

    monkeypatch.setattr(durable, "_libc", Libc)
    directory = Directory.at(str(tmp_path))
    with pytest.raises(DiskError, match="the disk failed"):
        directory.sync_all()
    directory.close()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_f100_where_no_rename_refuses_to_replace_a_link_and_a_removal_do(
    shelf: MaildirShelf, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The same files, and a name that is taken is still an error."""

    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(durable, "_rename_without_replacing", refuse)
    archive = shelf.open()
    stored = [add(archive, b"%d" % each) for each in range(12)]
    archive.sync()
    assert locations(archive) == sorted(each.location for each in stored)
    assert list(shelf.path.rglob("tmp/*")) == []


def test_f100_where_there_are_neither_links_nor_such_a_rename(
    shelf: MaildirShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on exFAT by FUSE: a plain rename to a name that is free; one that is taken stays what it was."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, "no")

    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(durable, "_rename_without_replacing", refuse)
    monkeypatch.setattr("os.link", link)
    archive = shelf.open()
    stored = [add(archive, b"%d" % each) for each in range(12)]
    archive.sync()
    assert locations(archive) == sorted(each.location for each in stored)
    assert list(shelf.path.rglob("tmp/*")) == []
    folder = Directory.at(str(shelf.path.parent))
    for name in ("old", "new"):
        (shelf.path.parent / name).write_text(name)
    with pytest.raises(ArchiveError):
        folder.link_or_move("new", folder, "old")
    folder.close()
    assert [(shelf.path.parent / name).read_text() for name in ("old", "new")] == ["old", "new"]


@pytest.mark.parametrize("release", ["5.7.19", "4.19.0-21-amd64", "3.10", "strange"])
def test_an_old_system_syncs_each_file_by_itself(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    """Before Linux 5.8 the one call does not tell errors."""
    uname = os.uname()
    monkeypatch.setattr("os.uname", lambda: os.uname_result((uname[0], uname[1], release, uname[3], uname[4])))
    assert not durable.can_sync_together()


def test_the_next_batch_is_added_while_the_one_before_is_made_durable(shelf: MaildirShelf) -> None:
    """In another thread; a message that is in the sealed batch is found there, and each is whole at the end."""
    archive = shelf.open()
    first = [add(archive, b"%d of the first" % number) for number in range(100)]
    commit = archive.seal()
    done: list[str] = []

    def task() -> None:
        commit()
        done.append("done")

    thread = threading.Thread(target=task)
    thread.start()
    second = [add(archive, b"%d of the second" % number) for number in range(100)]
    again = [add(archive, b"%d of the first" % number) for number in range(100)]
    thread.join()
    assert done == ["done"]
    assert all(each.already for each in again)
    assert [each.location for each in again] == [each.location for each in first]
    assert {each.location for each in first} == set(locations(archive))
    archive.sync()
    assert {each.location for each in (*first, *second)} == set(locations(archive))


def test_what_is_sealed_counts_only_when_it_was_made_durable(shelf: MaildirShelf) -> None:
    """Until then it is not visible, and a crash leaves nothing of it."""
    archive = shelf.open()
    stored = add(archive, b"one")
    archive.seal()
    assert locations(archive) == []
    assert not archive.holds(stored.location)
    archive = shelf.open()
    assert locations(archive) == []


def test_a_batch_has_no_more_than_a_few_files_open(tmp_path: Path) -> None:
    """However many they are."""
    tmp, cur = tmp_path / "tmp", tmp_path / "cur"
    tmp.mkdir()
    cur.mkdir()
    batch = Batch(Directory.at(str(tmp)), Directory.at(str(cur)), together=True)
    before = len(list(Path("/proc/self/fd").iterdir()))
    most = 0
    for number in range(FEW * 3):
        draft = batch.draft(str(number))
        draft.write(b"x")
        batch.keep(draft, str(number), None)
        most = max(most, len(list(Path("/proc/self/fd").iterdir())) - before)
    assert most == FEW
    batch.commit()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert sorted(int(each.name) for each in cur.iterdir()) == list(range(FEW * 3))
