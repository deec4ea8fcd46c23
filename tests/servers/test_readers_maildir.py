"""An archive of Maildirs, made from a real Dovecot, opened by other programs (`archive-format.md` section 8).

Each program lists every message, with its flags and its date, in both layouts; and another Dovecot serves the archive
with the UIDs, the UIDVALIDITY and the keywords that the messages had on the first one.
"""

from __future__ import annotations

import mailbox
import os
import poplib
import shutil
import subprocess
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.command import mailarchive, plain_url
from tests.contract.sources import pop_url
from tests.corpus import Sample
from tests.readers import counted
from tests.servers.dovecot import NOBODY, Dovecot, dovecot_version
from tests.servers.witness import encode_mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import MakeUser
    from tests.servers.witness import Facts, Whole

pytestmark = pytest.mark.dovecot

NAMES = ("INBOX", "INBOX/below", "Work", "Work/Été 2014.a", "日本/東京", "a&b", "100%", "Many")
FLAGS = (
    (),
    ("\\Seen",),
    ("\\Seen", "\\Flagged"),
    ("\\Seen", "\\Answered", "$label1"),
    ("\\Draft", "Junk", "$label1"),
    ("\\Seen", "$Forwarded"),
)
LETTERS = {"\\Draft": "D", "\\Flagged": "F", "$Forwarded": "P", "\\Answered": "R", "\\Seen": "S"}
HIDDEN = {"k26", "k27"}
"""Keywords beyond the 26 that a mailbox has letters for."""


@dataclass
class Archived:
    """An archive, and what the server said of the messages in it.

    Attributes:
        facts: By mailbox and UID, without the second copy of equal octets.
        whole: Likewise, with the octets.
    """

    path: Path
    layout: str
    facts: dict[str, dict[int, Facts]]
    whole: dict[str, dict[int, Whole]]
    uidvalidity: dict[str, int]

    def folder(self, name: str) -> Path:
        """Give the folder of a mailbox, as archive-format.md section 2 says, by hand."""
        return self.path / self.below(name)

    def below(self, name: str) -> str:
        """Give it below the archive."""
        parts = [part.replace("%", "%25") for part in name.split("/")]
        if self.layout == "nested":
            return "/".join(parts)
        coded = "".join("." + encode_mailbox(part.replace(".", "%2E")) for part in parts)
        return "Maildir" if name == "INBOX" else f"Maildir/{coded}"

    def served(self, name: str) -> str:
        """Give the name under which Dovecot shows a mailbox."""
        escaped = name.replace("%", "%25")
        return escaped if self.layout == "nested" else escaped.replace(".", "%2E")

    def flags(self, name: str) -> list[str]:
        """Give the flag letters of each message, sorted."""
        flags = [each.flags for each in self.facts[name].values()]
        return sorted("".join(sorted(LETTERS[flag] for flag in each if flag in LETTERS)) for each in flags)

    def count(self, name: str, flag: str) -> int:
        """Count the messages with a flag."""
        return sum(flag in each.flags for each in self.facts[name].values())


def samples(name: str) -> list[Sample]:
    """Make the messages of a mailbox: a day each from 2013 on, at noon, with every flag; in Many a keyword each."""
    made = []
    for number in range(28 if name == "Many" else 12):
        date = datetime(2013, 12, 20, 12, tzinfo=UTC) + timedelta(days=number + NAMES.index(name))
        raw = (
            f"Message-ID: <{number}.{NAMES.index(name)}@example.org>\r\nFrom: a@example.org\r\nTo: b@example.org\r\n"
            f"Date: {date:%a, %d %b %Y %H:%M:%S +0000}\r\nSubject: number {number}\r\n\r\nFrom here on\r\n.\r\n"
        )
        flags = (f"k{number:02}",) if name == "Many" else FLAGS[number % len(FLAGS)]
        made.append(Sample(raw.encode(), date, flags, f"{name}-{number}"))
    return made


@pytest.fixture(params=["nested", "maildir++"])
def archived(request: pytest.FixtureRequest, dovecot_user: MakeUser, tmp_path: Path) -> Archived:
    """Back up an account with gaps in its UIDs, nested and foreign names, keywords, and a message twice."""
    account = dovecot_user()
    made = Archived(tmp_path / "mail" / "archive", request.param, {}, {}, {})
    with account.witness() as witness:
        for name in NAMES:
            filler = samples(name)[:3]
            first, *_ = messages = samples(name)
            uids = witness.append_many(name, [*filler, *messages, first])
            witness.expunge(name, uids[:3])
            made.facts[name], made.whole[name] = witness.facts(name), witness.whole(name)
            made.uidvalidity[name] = witness.uidvalidity(name)
            twice = made.facts[name].pop(uids[-1]), made.whole[name].pop(uids[-1])
            assert twice[1].octets == made.whole[name][uids[3]].octets
    url = plain_url(account.imap_port, account.user)
    result = mailarchive("backup", url, "--to", made.path, "--layout", request.param, password=account.password)
    assert (result.code, result.err) == (0, "")
    return made


def run(*command: str | Path, home: Path, stdin: bytes = b"", **environ: str) -> list[str]:
    """Run a mail program and give the lines it prints."""
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", **environ}
    done = subprocess.run(
        list(map(str, command)), input=stdin, capture_output=True, check=False, timeout=100, env=environment
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


def in_2013(archived: Archived, name: str) -> int:
    """Count the messages of a mailbox that came in 2013."""
    return sum(each.internal_date.year == 2013 for each in archived.facts[name].values())


@pytest.mark.parametrize("program", ["mutt", "neomutt"])
def test_mutt_lists_every_message(archived: Archived, program: str, home: Path, request: pytest.FixtureRequest) -> None:
    """Count, flags, and the date on which each was received."""
    request.getfixturevalue("require")(program)
    for name in ("INBOX", "Work/Été 2014.a"):
        expected = {
            "~A": len(archived.facts[name]),
            "~F": archived.count(name, "\\Flagged"),
            "~Q": archived.count(name, "\\Answered"),
            "~r 01/01/2013-31/12/2013": in_2013(archived, name),
        }
        found = {pattern: counted(program, archived.folder(name), pattern, home) for pattern in expected}
        assert found == expected


@pytest.mark.reader("mdirs", "mlist", "mscan")
def test_mblaze_lists_every_message(archived: Archived, home: Path) -> None:
    """In every folder, with its flags, and its date in a scan."""
    folders = run("mdirs", "-a", archived.path, home=home)
    assert set(folders) == {str(archived.folder(name)) for name in NAMES}
    for name in NAMES:
        folder = archived.folder(name)
        assert len(run("mlist", folder, home=home)) == len(archived.facts[name])
        for option, flag in (("-S", "\\Seen"), ("-F", "\\Flagged"), ("-R", "\\Answered"), ("-D", "\\Draft")):
            assert len(run("mlist", option, folder, home=home)) == archived.count(name, flag)
        listed = "\n".join(run("mlist", folder, home=home)).encode()
        scanned = run("mscan", "-f", "%10d", home=home, stdin=listed)
        days = sorted(f"{each.internal_date:%Y-%m-%d}" for each in archived.facts[name].values())
        assert sorted(line.strip() for line in scanned) == days


@pytest.mark.reader("notmuch")
def test_notmuch_finds_every_message(archived: Archived, home: Path) -> None:
    """In its folder, with its flags as tags, and by its date."""
    config = home / ".notmuch-config"
    config.write_text(
        f"[database]\npath={archived.path.parent}\n[user]\nname=me\nprimary_email=me@example.org\n"
        "[new]\ntags=\nignore=.mailarchive;dovecot-uidlist;dovecot-keywords\n[maildir]\nsynchronize_flags=true\n"
    )
    run("notmuch", "new", "--quiet", home=home, NOTMUCH_CONFIG=str(config))
    for name in NAMES:
        here = f'folder:"archive/{archived.below(name)}"'

        def count(terms: str, here: str = here) -> int:
            words = ("count", "--output=files", f"{here} {terms}")
            (line,) = run("notmuch", *words, home=home, NOTMUCH_CONFIG=str(config))
            return int(line)

        assert count("") == len(archived.facts[name])
        assert count("not tag:unread") == archived.count(name, "\\Seen")
        assert count("tag:flagged") == archived.count(name, "\\Flagged")
        assert count("tag:replied") == archived.count(name, "\\Answered")
        assert count("tag:passed") == archived.count(name, "$Forwarded")
        assert count("date:2013..2013") == in_2013(archived, name)


@pytest.mark.reader("mu")
def test_mu_finds_every_message(archived: Archived, home: Path) -> None:
    """In its folder, with its flags, and by its date; what is ours beside the mail is not looked at."""
    store = home / "mu"
    run("mu", "init", f"--muhome={store}", f"--maildir={archived.path.parent}", home=home)
    run("mu", "index", f"--muhome={store}", "--quiet", home=home)

    def find(terms: str) -> Counter[str]:
        words = ("find", f"--muhome={store}", terms, "--fields=m", "--format=plain")
        return Counter(run("mu", *words, home=home))

    def expected(chosen: Callable[[Facts], bool]) -> Counter[str]:
        return Counter(
            {
                f"/archive/{archived.below(name)}": number
                for name in NAMES
                if (number := sum(map(chosen, archived.facts[name].values())))
            }
        )

    assert find("") == expected(lambda _: True)
    assert find("flag:seen") == expected(lambda facts: "\\Seen" in facts.flags)
    assert find("flag:flagged") == expected(lambda facts: "\\Flagged" in facts.flags)
    assert find("flag:replied") == expected(lambda facts: "\\Answered" in facts.flags)
    assert find("flag:passed") == expected(lambda facts: "$Forwarded" in facts.flags)
    assert find("date:2013-01-01..2013-12-31") == expected(lambda facts: facts.internal_date.year == 2013)


def test_python_reads_every_message(archived: Archived) -> None:
    """`mailbox.Maildir`: octets, flags and dates."""
    for name in NAMES:
        box = mailbox.Maildir(str(archived.folder(name)), create=False)
        whole = archived.whole[name].values()
        assert sorted(box.get_bytes(key) for key in box.keys()) == sorted(each.octets for each in whole)  # noqa: SIM118 - iterating gives messages
        assert sorted("".join(filter(str.isupper, each.get_flags())) for each in box) == archived.flags(name)
        assert sorted(each.get_date() for each in box) == sorted(each.internal_date.timestamp() for each in whole)


@contextmanager
def served(archive: Path, layout: str, *, read_only: bool) -> Iterator[Dovecot]:
    """Serve a copy of an archive by another Dovecot, with the lines of archive-format.md section 8."""
    if dovecot_version() >= (2, 4):
        pytest.skip("the configuration of Dovecot 2.4 is another one")
    server = Dovecot()
    place = server.root / "mail" / "served"
    shutil.copytree(archive, place)
    for path in (place, *place.rglob("*")):
        if read_only:
            path.chmod(0o555 if path.is_dir() else 0o444)
        elif os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
    memory = ":INDEX=MEMORY" if read_only else ""
    nested = f"{place}:LAYOUT=fs:INBOX={place}/INBOX:UTF-8"
    server.extra = f"mail_location = maildir:{nested if layout == 'nested' else place / 'Maildir'}{memory}\n"
    with server:
        try:
            yield server
        finally:
            for path in (place, *place.rglob("*")):
                if read_only and path.is_dir():
                    path.chmod(0o755)


@pytest.mark.parametrize("read_only", [False, True], ids=["copy", "read-only"])
def test_dovecot_serves_the_archive_with_the_original_numbers(archived: Archived, read_only: bool) -> None:
    """Every mailbox and message: UID, UIDVALIDITY, octets, flags, keywords and INTERNALDATE; equal octets once.

    It finds nothing wrong with our files, and leaves them as they are; where it may write nothing it says so.
    """
    with served(archived.path, archived.layout, read_only=read_only) as server, server.witness() as witness:
        names = set(witness.mailboxes())
        for name in NAMES:
            shown = archived.served(name)
            assert shown in names
            found = witness.whole(shown)
            assert {uid: each.octets for uid, each in found.items()} == {
                uid: each.octets for uid, each in archived.whole[name].items()
            }
            assert {uid: each.flags for uid, each in found.items()} == {
                uid: each.flags - HIDDEN for uid, each in archived.whole[name].items()
            }
            assert {uid: each.internal_date for uid, each in found.items()} == {
                uid: each.internal_date for uid, each in archived.whole[name].items()
            }
            assert witness.uidvalidity(shown) == archived.uidvalidity[name]
            for file in ("dovecot-uidlist", "dovecot-keywords"):
                copy = server.root / "mail" / "served" / archived.below(name) / file
                assert copy.read_bytes() == (archived.folder(name) / file).read_bytes()
        errors = [line for line in server.log_text().splitlines() if "Error" in line or "Warning" in line]
        assert all(read_only and "dovecot-uidlist) failed: Permission denied" in line for line in errors)


def test_what_dovecot_writes_into_a_served_archive_is_respected(
    dovecot_user: MakeUser, tmp_path: Path, home: Path
) -> None:
    """A new flag, a new keyword and a new message by the served copy; then the next backup into that same copy."""
    account = dovecot_user()
    archive = home / "archive"
    url = plain_url(account.imap_port, account.user)
    with account.witness() as witness:
        *uids, twice = witness.append_many("Work", [*samples("Work"), samples("Work")[0]])
    assert mailarchive("backup", url, "--to", archive, password=account.password).code == 0
    with served(archive, "nested", read_only=False) as server:
        with server.witness() as local:
            local.store("Work", uids[:1], "+FLAGS (\\Flagged Later $label1)")
            (fresh, *gone) = local.append_many("Work", samples("INBOX"))
            local.expunge("Work", gone)
            changed = local.facts("Work")
        kept = (server.root / "mail" / "served" / "Work" / "dovecot-uidlist").read_text()
        # So many are gone that it has written the whole list anew, with what it does not know.
        assert len(kept.splitlines()) == 1 + len(changed)
        assert f"\n{uids[0]} X{twice} :" in kept
        shutil.copytree(server.root / "mail" / "served", tmp_path / "served")
    for path in (tmp_path / "served", *(tmp_path / "served").rglob("*")):
        if os.geteuid() == 0:
            os.chown(path, 0, 0)
    with account.witness() as witness:
        more = Sample(samples("Many")[1].raw, samples("Many")[1].internal_date, ("Newer", "later"))
        (added,) = witness.append_many("Work", [more])
    result = mailarchive("--json", "backup", url, "--to", tmp_path / "served", password=account.password)
    assert (result.code, result.end["total"]["archived"]) == (0, 1)
    assert added == fresh
    with served(tmp_path / "served", "nested", read_only=False) as server, server.witness() as local:
        found = local.facts("Work")
    assert {uid: found[uid].flags for uid in uids} == {uid: changed[uid].flags for uid in uids}
    assert found[added].flags == {"Newer", "Later"}
    assert len(found) == len(uids) + 2


def test_dovecot_gives_the_uidls_of_a_maildrop(dovecot_user: MakeUser, tmp_path: Path) -> None:
    """POP3 from end to end: the archive of a maildrop, served over POP3, shows the UIDLs that it was fetched by."""
    account = dovecot_user()
    with account.witness() as witness:
        uids = witness.append_many("INBOX", samples("Many")[:8])
        witness.expunge("INBOX", uids[2:4])
    before = uidls(account.pop3_port, account.user, account.password)
    assert len(before) == 6
    words = ("backup", pop_url(account.pop3_port, account.user), "--to", tmp_path / "archive")
    result = mailarchive(*words, password=account.password)
    assert (result.code, result.err) == (0, "")
    for _ in range(2):
        with served(tmp_path / "archive", "nested", read_only=False) as server:
            assert uidls(server.pop3_port, server.user, server.password) == before
        assert mailarchive(*words, password=account.password).code == 0


def uidls(port: int, user: str, password: str) -> list[bytes]:
    """Ask a POP3 server for its UIDLs."""
    pop = poplib.POP3("127.0.0.1", port, timeout=60)
    pop.user(user)
    pop.pass_(password)
    found = [line.split(b" ")[1] for line in pop.uidl()[1]]
    pop.quit()
    return found
