"""`mailarchive import` as a user runs it: every kind of source, twice, killed, in a dry run, and a backup after it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests import foreign, maildir
from tests.command import mailarchive, plain_url
from tests.corpus import corpus
from tests.foreign import FROM, TAKEOUT, crlf, letter

if TYPE_CHECKING:
    from pathlib import Path

EPOCH = 1393664400
EVIL = "../../x\x1b]0;owned\x07\u202egnp.exe"


@pytest.fixture
def archive(home: Path) -> Path:
    """Configure one account; gives the folder of its archive, which is not there yet."""
    configure(home, "home")
    return home / "mail" / "home"


def configure(home: Path, *names: str, extra: str = "") -> None:
    """Write a configuration with some accounts on a server that does not exist; `extra` stands in the last."""
    path = home / ".config" / "mailarchive" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    server = 'server = "imaps://imap.example.org"'
    accounts = (f'[account.{name}]\n{server}\nuser = "{name}@example.org"\n' for name in names)
    path.write_text(f'archive = "{home}/mail"\n' + "".join(accounts) + extra)
    path.chmod(0o600)


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Remember every file with its octets and its time."""
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


def sources(folder: Path) -> tuple[Path, int]:
    """Make one of each kind; gives the folder and how many messages can be read."""
    foreign.imap_backup(folder / "ib", "INBOX", [(n, crlf(letter(n)), ["Seen", "$label1"]) for n in range(5)])
    put = [crlf(letter(20 + n, more=b"X-Gmail-Labels: Inbox,Work/Old\n")) for n in range(5)]
    put.append(crlf(letter(30, more=b"X-Gmail-Labels: Spam\n")))
    (folder / "All mail.mbox").write_bytes(foreign.mbox(put, TAKEOUT))
    foreign.maildir(folder / "Maildir", {f"cur/{EPOCH}.{n}:2,FS": letter(40 + n) for n in range(5)})
    foreign.maildir(folder / "Maildir" / ".Lists.debian", {f"new/{EPOCH}.{n}": letter(50 + n) for n in range(5)})
    (folder / "eml").mkdir()
    for n in range(5):
        (folder / "eml" / f"{n}.eml").write_bytes(letter(60 + n))
    return folder, 25


def test_every_kind_at_once_and_again(archive: Path, tmp_path: Path) -> None:
    """A folder with all of them; the second import finds everything there; the sources are as they were."""
    folder, count = sources(tmp_path)
    before = snapshot(folder)
    result = mailarchive("import", folder)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"home · imaps://imap.example.org · from {folder}\n")
    assert "left out: 1 in Spam or Trash" in result.out
    assert snapshot(folder) == before
    found = maildir.by_folder(archive)
    assert {name: len(octets) for name, octets in found.items()} == {
        "INBOX": 10,
        "Work/Old": 5,
        "Lists/debian": 5,
        "eml": 5,
        "ib/INBOX": 5,
    }
    assert found["ib/INBOX"] == sorted(crlf(letter(n)) for n in range(5))
    by_name = {each.octets: each for each in maildir.files(archive)}
    assert by_name[crlf(letter(40))].flags == "FS"
    assert by_name[crlf(letter(40))].epoch == EPOCH
    assert by_name[crlf(letter(0))].flags == "S"
    inodes = [{each.inode for each in maildir.files(archive) if each.folder == name} for name in ("INBOX", "Work/Old")]
    assert len(inodes[0] & inodes[1]) == 5
    end = mailarchive("--json", "import", folder).end
    assert end["total"] == {"read": count, "new": 0, "already": count, "failed": 0, "size": 0}
    assert end["left_out"] == [["in Spam or Trash", 1]]
    assert maildir.by_folder(archive) == found
    assert mailarchive("verify", "home").code == 0


@pytest.mark.parametrize("extra", ['format = "mbox"', 'layout = "maildir++"'])
def test_every_kind_of_archive_takes_it(home: Path, tmp_path: Path, extra: str) -> None:
    """The dry run before, the import, again, the dry run after; and each copy is read back."""
    configure(home, "home", extra=extra)
    (tmp_path / "src").mkdir()
    folder, count = sources(tmp_path / "src")
    totals = [mailarchive("--json", "import", folder, *words).end["total"] for words in (["-n"], [], [], ["-n"])]
    assert totals[0] == totals[1]
    assert (totals[0]["new"], totals[0]["already"]) == (count, 0)
    assert totals[2] == totals[3] == {"read": count, "new": 0, "already": count, "failed": 0, "size": 0}
    verified = mailarchive("--json", "verify", "home").end
    assert (verified["read"], verified["flaws"]) == (count + 5, [])


def test_an_mbox_archive_notes_no_uid_for_it(home: Path, tmp_path: Path) -> None:
    """It has none, and what stands in the file is read as evidence when the catalogue is rebuilt."""
    configure(home, "home", extra='format = "mbox"')
    (tmp_path / "a.eml").write_bytes(letter(1))
    assert mailarchive("import", tmp_path / "a.eml", "--mailbox", "Old").code == 0
    content = (home / "mail" / "home" / "Old" / "2014.mbox").read_text()
    assert "X-Mailarchive: sha256=" in content
    assert "uid" not in content.lower()


def test_a_dry_run_changes_nothing(archive: Path, tmp_path: Path, home: Path) -> None:
    """Neither where there is no archive yet, nor in one, and it counts what the import then does."""
    (tmp_path / "src").mkdir()
    folder, _ = sources(tmp_path / "src")
    dry = mailarchive("--json", "import", "-n", folder).end
    assert not archive.exists()
    assert mailarchive("import", folder / "eml").code == 0
    before = snapshot(home / "mail")
    half = mailarchive("--json", "import", "--dry-run", folder).end
    assert snapshot(home / "mail") == before
    assert (dry["total"]["new"], half["total"]["new"], half["total"]["already"]) == (25, 20, 5)
    wet = mailarchive("--json", "import", folder).end
    assert wet["total"] == half["total"]
    assert wet["mailboxes"] == half["mailboxes"]
    shown = mailarchive("import", "-n", folder).out
    assert "would be new" in shown
    assert "nothing was changed" in shown


def test_failures_are_named_with_file_and_offset(archive: Path, tmp_path: Path) -> None:
    """One bad message costs itself only; exit 3, and the numbers add up."""
    content = foreign.mbox([letter(1)]) + FROM + b"\n" + foreign.mbox([letter(2)])
    path = tmp_path / "old.mbox"
    path.write_bytes(content)
    result = mailarchive("import", path)
    assert result.code == 3
    assert f"mailarchive: not imported: {path} at octet {len(foreign.mbox([letter(1)]))}: it is empty\n" in result.err
    assert len(maildir.files(archive)) == 2
    end = mailarchive("--json", "import", path).end
    assert end["total"] == {"read": 3, "new": 0, "already": 2, "failed": 1, "size": 0}


def test_which_archive(archive: Path, home: Path, tmp_path: Path) -> None:
    """An account may be left out where there is one; an archive in its place must be there."""
    path = tmp_path / "a.eml"
    path.write_bytes(letter(1))
    assert mailarchive("import", path, "--mailbox", "Old/Mail").code == 0
    assert list(maildir.by_folder(archive)) == ["Old/Mail"]
    result = mailarchive("import", path, "--archive", archive, "--mailbox", "inbox")
    assert result.code == 0
    assert result.out.startswith("home@example.org · imaps://imap.example.org")
    assert set(maildir.by_folder(archive)) == {"Old/Mail", "INBOX"}
    assert mailarchive("import", path, "--archive", tmp_path / "none").code == 13
    assert mailarchive("import", path, "--archive", archive, "--account", "home").code == 2
    assert mailarchive("import", tmp_path / "none").code == 2
    assert mailarchive("import", home / "mail").code == 2
    assert mailarchive("import", path, "--account", "hoem").code == 10
    configure(home, "home", "work")
    result = mailarchive("import", path)
    assert result.code == 2
    assert "--account NAME, one of: home, work" in result.err
    assert mailarchive("import", path, "--account", "work").code == 0
    assert (home / "mail" / "work" / tmp_path.name).is_dir()


def test_many_paths_are_named_in_few_words(archive: Path, tmp_path: Path) -> None:
    """All of them are read."""
    paths = [tmp_path / f"{number}.eml" for number in range(30)]
    for number, path in enumerate(paths):
        path.write_bytes(letter(number))
    result = mailarchive("import", *paths)
    assert result.code == 0
    assert result.out.splitlines()[0].endswith("4.eml and 25 more")
    assert len(maildir.files(archive)) == 30


def test_what_is_no_mail_makes_no_archive(archive: Path, tmp_path: Path) -> None:
    """A slip in the path leaves nothing behind."""
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    assert mailarchive("import", tmp_path / "x.png").code == 2
    assert not archive.exists()


def test_f124_hostile_names_reach_neither_terminal_nor_path(archive: Path, tmp_path: Path) -> None:
    """Of labels, folders and imap-backup: everything stays inside the archive, and can be told apart."""
    label = f"=?UTF-8?B?{__import__('base64').b64encode(EVIL.encode()).decode()}?="
    put = [crlf(letter(1, more=f"X-Gmail-Labels: {label}\n".encode()))]
    source = tmp_path / "src"
    source.mkdir()
    (source / "t\x1b.mbox").write_bytes(foreign.mbox(put, TAKEOUT))
    foreign.imap_backup(source, "a%1b;%2f;..%2f;..%2f;etc", [(1, crlf(letter(2)), [])])
    foreign.maildir(source / "CON\u202e", {f"cur/{EPOCH}.1:2,": letter(3)})
    outside = set(tmp_path.iterdir())
    for words in ((), ("--json",), ("-v",), ("-n",)):
        result = mailarchive(*words[:1], "import", source) if words != ("-n",) else mailarchive("import", "-n", source)
        assert result.code == 0
        texts = (result.out, result.err, *(p.read_text() for p in archive.rglob("*.jsonl")))
        assert not any(sign in text for text in texts for sign in "\x1b\x07\u202e")
    for path in archive.rglob("*"):
        assert not any(sign in str(path) for sign in "\x1b\x07\u202e"), path
    assert set(tmp_path.iterdir()) == outside
    assert len(maildir.files(archive)) == 3
    assert len(maildir.by_folder(archive)) == 3


def test_a_backup_finds_what_was_imported(home: Path, tmp_path: Path) -> None:
    """From imap-backup and from an mbox with LF: the server's octets are there, and are not stored twice."""
    store = Store()
    account = store.add_account("kim", "secret")
    samples = corpus(30, seed=3, now=datetime.now(UTC) - timedelta(days=500), sizes="tiny")
    box = account.find("INBOX")
    assert box is not None
    sent = [crlf(letter(number, b"From you\n")) for number in range(5)]
    sent += [sample.raw for sample in samples if sample.raw.endswith(b"\r\n") and not sample.raw.endswith(b"\n\r\n")]
    for octets in sent:
        box.append(octets, datetime(2014, 3, 1, tzinfo=UTC), frozenset())
    foreign.imap_backup(tmp_path / "ib", "INBOX", [(n, octets, []) for n, octets in enumerate(sent) if n % 2])
    (tmp_path / "INBOX").write_bytes(foreign.mbox(each.replace(b"\r\n", b"\n") for each in sent[::2]))
    with DemoServer(store) as server:
        url = plain_url(server.imap_port, "kim")
        target = home / "archive"
        assert mailarchive("backup", url, "--to", target, "--limit", "1").code == 0
        for source in (tmp_path / "ib", tmp_path / "INBOX"):
            assert mailarchive("import", source, "--archive", target).code == 0
        held = maildir.by_folder(target)
        assert held == {"INBOX": sorted(set(sent))}
        end = mailarchive("--json", "backup", url, "--to", target).end
        assert end["total"]["archived"] == len(sent) - 1
        assert end["total"]["size"] == 0
        assert maildir.by_folder(target) == held
        assert mailarchive("--json", "backup", url, "--to", target).end["total"]["archived"] == 0


def test_nothing_imported_lets_a_message_be_deleted(home: Path, tmp_path: Path) -> None:
    """A prune of what was only imported deletes nothing: the server's message was never fetched."""
    store = Store()
    account = store.add_account("kim", "secret")
    box = account.find("INBOX")
    assert box is not None
    for number in range(3):
        box.append(crlf(letter(number)), datetime(2014, 3, 1, tzinfo=UTC), frozenset())
    (tmp_path / "INBOX").write_bytes(foreign.mbox(letter(number) for number in range(3)))
    with DemoServer(store) as server:
        url = plain_url(server.imap_port, "kim")
        target = home / "archive"
        assert mailarchive("backup", url, "--to", target, "--mailbox", "INBOX", "--limit", "1").code == 0
        assert mailarchive("import", tmp_path / "INBOX", "--archive", target).code == 0
        result = mailarchive("--json", "prune", url, "--archive", target, "--mailbox", "INBOX", "--yes")
        assert result.end["total"]["deleted"] <= 1
    assert len(box.messages()) >= 2


def test_killed_in_the_middle_and_again(archive: Path, tmp_path: Path) -> None:
    """Kill -9 at some moments: nothing is doubled, nothing is lost, and the archive is whole."""
    path = tmp_path / "old.mbox"
    path.write_bytes(foreign.mbox(letter(number, b"x" * 3000 + b"\n") for number in range(600)))
    for enough in (1, 300, 550):
        command = [sys.executable, "-m", "mailarchive", "--json", "import", str(path)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            deadline = time.monotonic() + 60
            while child.poll() is None and written(archive) < enough and time.monotonic() < deadline:
                time.sleep(0.002)
            child.kill()
            assert child.wait() == -signal.SIGKILL
    end = mailarchive("--json", "import", path).end
    assert end["total"]["read"] == end["total"]["new"] + end["total"]["already"] == 600
    assert end["total"]["new"] > 0
    assert len(maildir.files(archive)) == 600
    assert maildir.left_overs(archive) == []
    assert mailarchive("verify", "home").code == 0
    assert mailarchive("--json", "import", path).end["total"]["already"] == 600


def written(archive: Path) -> int:
    """Count what has been written so far, durable or not."""
    return sum(len(list((archive / "old" / sub).glob("*"))) for sub in ("cur", "tmp"))


def test_f113_a_signal_finishes_the_batch(archive: Path, tmp_path: Path) -> None:
    """Ctrl-C: exit 130, what was taken counts, and the next run brings the rest."""
    path = tmp_path / "old.mbox"
    path.write_bytes(foreign.mbox(letter(number, b"x" * 3000 + b"\n") for number in range(600)))
    command = [sys.executable, "-m", "mailarchive", "--json", "import", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if json.loads(line)["event"] == "imported":
                break
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=60)
    end = json.loads(out.splitlines()[-1])
    assert child.returncode == end["exit_code"] == 130
    assert end["error"].startswith("interrupted")
    assert 0 < end["total"]["new"] == len(maildir.files(archive)) < 600
    assert mailarchive("import", path).code == 0
    assert len(maildir.files(archive)) == 600


@pytest.mark.long
def test_a_large_mbox_takes_little_memory(archive: Path, tmp_path: Path) -> None:
    """200 MB of letters, and one of 60 MB among them."""
    path = tmp_path / "large.mbox"
    body = b"some words of a letter that is as long as others\n" * 2000
    with path.open("wb") as file:
        for number in range(2_000):
            file.write(foreign.mbox([letter(number, body)]))
        file.write(foreign.mbox([letter(2_000, b"y" * 76 + b"\n" + b"z" * 60_000_000 + b"\n")]))
    assert path.stat().st_size > 250_000_000
    small = tmp_path / "small.mbox"
    small.write_bytes(foreign.mbox([letter(1)]))
    least = peak_of("import", str(small), "--mailbox", "small")
    most = peak_of("import", str(path))
    assert len(maildir.files(archive)) == 2_002
    assert most - least < 40_000_000, (least, most)


def peak_of(*words: str) -> int:
    """Run the command in a process of its own; gives its largest resident size in octets."""
    code = (
        "import resource, sys; from mailarchive.cli import run; code = run(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=True, timeout=110)
    return int(done.stderr.split()[-1])
