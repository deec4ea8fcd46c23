"""A disk that fails at one call, whichever it is, under whole runs that delete (rows 86, 88 to 91, 101).

The calls of this program fail inside of it, so that each can be chosen by its kind and its file; those of SQLite fail
under strace. What is checked is the same each time: nothing is half visible, nothing is vouched for or gone that is not
whole, the exit code is that of the table, and the next run brings all to its end.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import stat
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from mailarchive import batch, space
from mailarchive.archives import durable
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import maildir
from tests.command import mailarchive, process
from tests.crash.disks import DELETE, PASSWORD, Place
from tests.crash.threads import reached
from tests.crash.vouching import vouched, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.command import Result

DRAFT: Final = re.compile(r".*/tmp/[^/]+\.mailarchive|.*\.mbox")
"""The files that mail is written to."""
CALLS: Final = ("open", "mkdir", "write", "pwrite", "fsync", "syncfs", "close", "rename", "unlink", "link", "replace")
INLINE: Final = "tests.crash.inline"
FULL: Final = errno.ENOSPC


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Serve."""
    with DemoServer(Store()) as running:
        yield Place(running)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have several batches, each with more files than are synced one by one."""
    monkeypatch.setattr(batch, "BATCH_MESSAGES", 12)
    monkeypatch.setattr(space, "ROOM", 0)


@dataclass
class Fault:
    """Makes calls fail that touch an archive.

    Attributes:
        call: Of what kind. `number`: with which error.
        at: Which ones, counted from 1.
        only: What the path must be, where it is that of an open file.
        count: How many there were. `paths`: what each that failed was about.
        synced: Every file that a sync was asked for, in order.
    """

    archive: Path
    call: str
    number: int = errno.EIO
    at: frozenset[int] = frozenset()
    only: re.Pattern[str] = re.compile(".*")
    count: int = 0
    paths: list[str] = field(default_factory=list)
    synced: list[str] = field(default_factory=list)

    def hits(self, path: str) -> bool:
        """Tell whether a call about a path is to fail."""
        if not path.startswith(str(self.archive)) or not self.only.fullmatch(path):
            return False
        self.count += 1
        if self.count in self.at:
            self.paths.append(path)
            return True
        return False

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Stand between the program and the system."""
        fsync = os.fsync

        def synced(fd: int) -> None:
            path = path_of(fd)
            self.synced.append(path)
            if self.call == "fsync" and self.hits(path):
                raise self.error
            fsync(fd)

        patch.setattr(os, "fsync", synced)
        if self.call == "syncfs":
            patch.setattr(durable, "_libc", lambda: self)
        elif self.call == "rename":
            patch.setattr(durable, "_rename_without_replacing", self._wrapped(durable._rename_without_replacing))
        elif self.call != "fsync":
            patch.setattr(os, self.call, self._wrapped(getattr(os, self.call)))

    def syncfs(self, fd: int) -> int:
        """Stand in for the call of the system."""
        if not self.hits(path_of(fd)):
            os.sync()
            return 0
        ctypes.set_errno(self.number)
        return -1

    @property
    def error(self) -> OSError:
        """What a call that fails raises."""
        return OSError(self.number, os.strerror(self.number))

    def _wrapped(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *more: Any, **options: Any) -> Any:
            folder = options.get("dir_fd", options.get("src_dir_fd"))
            path = path_of(first) if isinstance(first, int) else os.fspath(first)
            if folder is not None:
                path = f"{path_of(folder)}/{path}"
            makes = self.call != "open" or bool(more and more[0] & os.O_CREAT)
            if makes and self.hits(str(path)):
                if self.call == "close":
                    # As in Linux, the file is closed all the same.
                    original(first)
                raise self.error
            return original(first, *more, **options)

        return call


def path_of(fd: int) -> str:
    """Give the path of an open file; empty if it has none."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - a path would take the name apart
    except OSError:
        return ""


def run(place: Place, archive: Path, form: str, fault: Fault | None = None) -> Result:
    """Archive and delete, with a fault if there is one."""
    words = ("--json", "backup", place.url, "--to", str(archive), "--format", form, *DELETE)
    with pytest.MonkeyPatch.context() as patch:
        if fault is not None:
            fault.install(patch)
        return mailarchive(*words, password=PASSWORD)


def check(place: Place, archive: Path) -> None:
    """Nothing half visible, nothing vouched for or gone that is not whole."""
    there = whole(archive)
    assert there <= place.all
    assert vouched(archive) <= there
    assert place.gone() <= there


def goes_on(place: Place, archive: Path, form: str) -> None:
    """The next run ends it: each message once, nothing left over."""
    result = run(place, archive, form)
    assert (result.code, result.err) == (0, ""), result.out[-2000:]
    assert place.gone() == place.all == whole(archive)
    assert list(archive.rglob("tmp/*")) == []
    if form == "maildir":
        assert len(maildir.files(archive)) == len(place.all)


def points(total: int, first: int = 4, parts: int = 6) -> list[int]:
    """Choose a few of so many calls: the first ones, some in between, the last ones."""
    between = range(1, total + 1, max(1, total // parts))
    return sorted({*range(1, min(total, first) + 1), *between, *range(max(1, total - 1), total + 1)})


@pytest.mark.long
@pytest.mark.timeout(200)
@pytest.mark.parametrize("form", ["maildir", "mbox"])
@pytest.mark.parametrize(
    ("call", "number"),
    [(call, number) for call in CALLS for number in (FULL, errno.EIO)]
    + [(call, errno.EDQUOT) for call in ("write", "pwrite", "fsync", "close")],
    ids=str,
)
def test_f086_f088_f089_one_call_fails(place: Place, tmp_path: Path, call: str, form: str, number: int) -> None:
    """Exit 14, or 0 where nothing hangs on it or the messages were fetched again; the next run has nothing to mend."""
    counted = Fault(tmp_path / "counted", call)
    place.refill()
    assert run(place, tmp_path / "counted", form, counted).code == 0
    for at in points(counted.count) if counted.count else ():
        place.refill()
        archive = tmp_path / f"{call}-{at}"
        fault = Fault(archive, call, number, frozenset({at}))
        result = run(place, archive, form, fault)
        check(place, archive)
        assert result.code in {0, 14}, (at, fault.paths, result.out[-1000:], result.err)
        assert fault.paths, at
        if DRAFT.fullmatch(fault.paths[0]) and (call in {"write", "pwrite"} or (call, number) == ("fsync", FULL)):
            assert result.code == 14, (at, fault.paths, result.out[-1000:])
        goes_on(place, archive, form)


@pytest.mark.parametrize("call", ["fsync", "syncfs", "close"])
@pytest.mark.parametrize("at", [1, 2])
def test_f089_f091_what_is_lost_is_fetched_again_to_a_new_file(
    place: Place, tmp_path: Path, call: str, at: int
) -> None:
    """Exit 0, a word about it, no file is synced after it failed, and all of the mail leaves the server."""
    place.refill()
    archive = tmp_path / "archive"
    only = re.compile(r".*/tmp" if call == "syncfs" else r".*/tmp/[^/]+\.mailarchive")
    fault = Fault(archive, call, errno.EIO, frozenset({at}), only)
    result = run(place, archive, "maildir", fault)
    if not fault.count:
        pytest.skip("this disk is not synced by this call")
    assert (result.code, place.gone()) == (0, place.all)
    (said,) = [event["message"] for event in result.events if event["event"] == "warned"]
    assert re.fullmatch(r"the disk failed on \S+: Input/output error; \d+ messages? (is|are) fetched again", said)
    (failed,) = fault.paths
    if call != "syncfs":
        assert fault.synced.count(failed) <= 1
    assert whole(archive) == place.all
    assert len(maildir.files(archive)) == len(place.all)
    assert maildir.left_overs(archive) == []


@pytest.mark.parametrize("call", ["fsync", "syncfs", "close"])
@pytest.mark.parametrize("second", [2, 3])
def test_f089_f091_the_second_error_ends_the_run(place: Place, tmp_path: Path, call: str, second: int) -> None:
    """Exit 14, nothing of that batch leaves the server, and the next run takes it."""
    place.refill()
    archive = tmp_path / "archive"
    only = re.compile(r".*/tmp" if call == "syncfs" else r".*/tmp/[^/]+\.mailarchive")
    fault = Fault(archive, call, errno.EIO, frozenset({1, *range(second, 1000)}), only)
    result = run(place, archive, "maildir", fault)
    if not fault.count:
        pytest.skip("this disk is not synced by this call")
    assert (result.code, place.gone()) == (14, set())
    assert "the disk failed on" in result.end["error"]
    check(place, archive)
    goes_on(place, archive, "maildir")


@pytest.mark.parametrize("form", ["maildir", "mbox"])
def test_f090_writes_that_take_only_a_part(place: Place, tmp_path: Path, form: str) -> None:
    """Half of what is given, each time: completed, octet by octet the same."""
    place.refill()
    write, pwrite = os.write, os.pwrite
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", lambda fd, octets: write(fd, octets[: len(octets) // 2 + 1]))
        patch.setattr(os, "pwrite", lambda fd, octets, at: pwrite(fd, octets[: len(octets) // 2 + 1], at))
        result = run(place, tmp_path / "archive", form)
    assert (result.code, place.gone()) == (0, place.all)
    assert whole(tmp_path / "archive") == place.all


@pytest.mark.parametrize("form", ["maildir", "mbox"])
def test_f101_a_disk_that_cannot_sync_a_folder(place: Place, tmp_path: Path, form: str) -> None:
    """As some disks in a network: archived with 0 and a warning, and nothing is deleted: 3 where that was asked for."""
    place.refill()
    archive = tmp_path / "archive"
    fsync = os.fsync

    def files_only(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(fd)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", files_only)
        words = ("--json", "backup", place.url, "--to", archive, "--format", form)
        assert mailarchive(*words, "--limit", "9", password=PASSWORD).code == 0
        result = run(place, archive, form)
    assert (result.code, place.gone(), whole(archive)) == (3, set(), place.all)
    assert "cannot make the names of files durable" in result.out
    goes_on(place, archive, form)


@pytest.mark.parametrize(
    ("form", "call"),
    [("maildir", call) for call in ("open", "write", "fsync", "rename")]
    + [("mbox", call) for call in ("open", "write", "pwrite", "fsync")],
)
def test_f101_a_file_of_a_network_disk_that_is_stale(place: Place, tmp_path: Path, call: str, form: str) -> None:
    """ESTALE, once: exit 14 at most, nothing that is not whole has left the server, and the next run ends it."""
    place.refill()
    archive = tmp_path / "archive"
    fault = Fault(archive, call, errno.ESTALE, frozenset({6 if call == "open" else 3}))
    result = run(place, archive, form, fault)
    assert fault.paths
    assert result.code in {0, 14}
    check(place, archive)
    goes_on(place, archive, form)


def traced(place: Place, archive: Path, form: str, *strace: str) -> Result:
    """Archive and delete as a process of its own under strace."""
    words = ("--json", "backup", place.url, "--to", archive, "--format", form, *DELETE)
    return process(*words, password=PASSWORD, before=("strace", "-f", "-qq", *strace), module=INLINE)


@pytest.mark.long
@pytest.mark.reader("strace")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("form", ["maildir", "mbox"])
@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("fsync", "EIO"),
        ("fsync", "EINTR"),
        ("syncfs", "EIO"),
        ("fdatasync", "EIO"),
        ("fdatasync", "ENOSPC"),
        ("pwrite64", "EIO"),
        ("pwrite64", "ENOSPC"),
        ("pwrite64", "EDQUOT"),
        ("ftruncate", "EIO"),
        ("renameat2", "EIO"),
    ],
)
def test_f086_f088_f089_f090_one_call_of_the_whole_program_fails(
    place: Place, tmp_path: Path, form: str, call: str, number: str
) -> None:
    """The catalogue too: what SQLite does not get to the disk is not in it, and the next run has it from the files."""
    if subprocess.run(["strace", "-qq", "true"], capture_output=True, check=False).returncode:
        pytest.skip("ptrace is not allowed here")
    place.refill()
    log = tmp_path / "log"
    assert traced(place, tmp_path / "counted", form, "-o", str(log), "-e", f"trace={call}").code == 0
    total = len(reached(log.read_text(errors="replace").splitlines(), call))
    codes = set()
    for at in points(total, 2, 3) if total else ():
        place.refill()
        archive = tmp_path / f"{form}-{at}"
        inject = f"inject={call}:error={number}:when={at}"
        result = traced(place, archive, form, "-y", "-o", str(log), "-e", f"trace={call}", "-e", inject)
        check(place, archive)
        assert result.code in {0, 14}, (at, result.out[-1000:], result.err)
        codes.add(result.code)
        goes_on(place, archive, form)
    if total:
        print(call, number, form, total, codes)  # noqa: T201 - for the record
