"""Each check of `doctor`, by tables of what was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailarchive import diagnosis
from mailarchive.archives.looking import ArchiveSeen, DiskSeen
from mailarchive.diagnosis import Finding, Level
from mailarchive.errors import ExitCode, LaterError, SignInError
from mailarchive.model import Capabilities, Mailbox, Quota
from mailarchive.sources.looking import Certificate

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
OK, WARNING, FAILED = Level.OK, Level.WARNING, Level.FAILED
DISK = DiskSeen("/mail", "ext4", 50_000_000_000, 100_000_000_000)
SEEN = ArchiveSeen("a" * 32, "maildir, nested", Path("/mail/.mailarchive/catalogue.sqlite"))
TRASH = Mailbox("Trash", b"Trash", special_use=frozenset({"\\Trash"}))
ALL = Mailbox("All", b"All", special_use=frozenset({"\\All"}))
IMAP = Capabilities(uidplus=True, move=True, quota=True)
POP = Capabilities(flags=False, internal_date=False, search=False, uidplus=True, chunk=50)


def worst_of(findings: list[Finding]) -> Finding:
    """Give the most serious of findings that are of one check."""
    assert len({finding.check for finding in findings}) == 1
    return max(findings, key=lambda finding: list(Level).index(finding.level))


@pytest.mark.parametrize(
    ("seen", "level", "said", "code"),
    [
        (DISK, OK, "50.00 GB free of 100.00 GB on ext4", 0),
        (replace(DISK, kind=""), OK, "on a filesystem of unknown kind", 0),
        (replace(DISK, free=999_999_999), WARNING, "little room", 0),
        (replace(DISK, free=49_999_999), FAILED, "no room", 14),
        (replace(DISK, writable=False), FAILED, "nothing can be written in /mail", 13),
        (
            replace(DISK, unsynced="the disk failed on /mail: I/O error"),
            FAILED,
            "cannot be synced (the disk failed",
            14,
        ),
        (replace(DISK, lasting=False), WARNING, "cannot sync a folder", 0),
        (replace(DISK, kind="nfs4", network=True), WARNING, "nfs4 is a network filesystem", 0),
        (replace(DISK, kind="cifs"), WARNING, "cifs refuses a colon", 0),
    ],
)
def test_disks(seen: DiskSeen, level: Level, said: str, code: int) -> None:
    """Room, kind, sync and rights; what would stop a backup has its code."""
    found = worst_of(diagnosis.disk(seen))
    assert (found.level, found.code) == (level, code)
    assert said in found.text
    assert bool(found.hint) is (level is FAILED or "room" in said)


def test_a_stick_refuses_colons_and_links() -> None:
    """Both are told, beside the room."""
    texts = [finding.text for finding in diagnosis.disk(replace(DISK, kind="vfat"))]
    assert [text.split()[0:3] for text in texts[1:]] == [["vfat", "refuses", "a"], ["vfat", "has", "no"]]


def test_doubts_about_a_place_hold_deletions_back() -> None:
    """Each with the command that ends it; a folder that is still to be made raises none."""
    assert diagnosis.permissions("/mail", None) == []
    assert [finding.level for finding in diagnosis.permissions("/mail", [])] == [OK]
    found = diagnosis.permissions("/m y", ["/m y is writable by others", "/m y is on a filesystem in memory"])
    assert [(finding.level, finding.hint) for finding in found] == [
        (WARNING, "chmod go-w '/m y'"),
        (WARNING, "choose a folder on a disk"),
    ]
    assert all("nothing is deleted because of that" in finding.text for finding in found)


def test_archives() -> None:
    """One that is new, one that is good, one in use, one with damage."""
    assert [finding.level for finding in diagnosis.archive("/mail", "home", None)] == [OK]
    good = diagnosis.archive("/mail", "home", SEEN)
    assert [(finding.check, finding.level) for finding in good] == [("archive", OK), ("lock", OK)]
    busy = diagnosis.archive(
        "/mail", "imaps://me@h --to /mail", replace(SEEN, holder="has been going since 07:04 (pid 4711 on h)")
    )
    assert busy[1] == Finding(
        "lock",
        WARNING,
        "a run has been going since 07:04 (pid 4711 on h)",
        "mailarchive backup imaps://me@h --to /mail --wait 10min",
    )
    (damaged,) = diagnosis.archive("/mail", "home", replace(SEEN, damaged=2))[2:]
    assert damaged == Finding(
        "damaged", WARNING, "2 things were found damaged and set aside", "ls -l /mail/.mailarchive/damaged"
    )


@pytest.mark.parametrize(("trouble", "level"), [("", OK), ("missing", WARNING), ("damaged", WARNING)])
def test_catalogues(trouble: str, level: Level) -> None:
    """One that cannot be used costs time, and no mail."""
    (found,) = diagnosis.catalogue("/mail", trouble)
    assert found.level is level
    assert found.hint == ("mailarchive reindex /mail" if trouble else "")


@pytest.mark.parametrize(
    ("now", "last", "level"),
    [
        (NOW, None, OK),
        (NOW, NOW - timedelta(days=1), OK),
        (NOW.replace(year=2001), None, WARNING),
        (NOW, NOW + timedelta(days=2), WARNING),
        (NOW, NOW - timedelta(days=500), WARNING),
    ],
)
def test_clocks(now: datetime, last: datetime | None, level: Level) -> None:
    """The same rule as before a deletion."""
    assert [finding.level for finding in diagnosis.clock(now, last)] == [level]


def test_names() -> None:
    """A host with many addresses shows some; an address has no name."""
    assert diagnosis.names("h", ["1.2.3.4", "::1"])[0].text == "h is 1.2.3.4, ::1"
    assert diagnosis.names("h", [str(n) for n in range(9)])[0].text == "h is 0, 1, 2, 3, ..."
    assert diagnosis.names("127.0.0.1", ["127.0.0.1"])[0].text == "127.0.0.1 is an address already"


@pytest.mark.parametrize(
    ("left", "level", "said"),
    [
        (timedelta(days=90, hours=1), OK, "good for 90 more days"),
        (timedelta(days=14, hours=1), OK, "good for 14 more days"),
        (timedelta(days=13, hours=23), WARNING, "good for 13 more days"),
        (timedelta(days=1, hours=1), WARNING, "good for 1 more day"),
    ],
)
def test_certificates(left: timedelta, level: Level, said: str) -> None:
    """One that ends within two weeks should have been renewed."""
    (found,) = diagnosis.certificate(Certificate("TLSv1.3", ("a.org", "b.org"), NOW + left), NOW)
    assert found.level is level
    assert found.text.startswith("TLSv1.3, for a.org, b.org, ")
    assert found.text.endswith(said)


def test_clear_text_and_pinned_certificates() -> None:
    """The one is told, of the other nothing is known but its fingerprint."""
    assert diagnosis.certificate(None, NOW)[0].level is WARNING
    assert diagnosis.certificate(Certificate("TLSv1.2"), NOW)[0].text == "TLSv1.2, the certificate of --fingerprint"


@pytest.mark.parametrize(
    ("announced", "can", "said"),
    [
        ({"UIDPLUS", "MOVE", "X"}, IMAP, "UIDPLUS MOVE; without ESEARCH"),
        ({"IMAP4REV2"}, IMAP, "UIDPLUS MOVE ESEARCH SPECIAL-USE; without CONDSTORE QUOTA LITERAL+ COMPRESS=DEFLATE ID"),
        (set(), IMAP, "none that matter here; without UIDPLUS"),
        ({"TOP", "UIDL", "PIPELINING", "STLS"}, POP, "UIDL TOP PIPELINING STLS"),
    ],
)
def test_capabilities(announced: set[str], can: Capabilities, said: str) -> None:
    """What matters here, there and not there, of each protocol."""
    (found,) = diagnosis.capabilities(announced, can)
    assert found.level is OK
    assert found.text.startswith(said)


@pytest.mark.parametrize(
    ("asked", "can", "delete", "level", "said"),
    [
        (None, IMAP, False, OK, "expunge: removes exactly what is proved, at once (only with --delete)"),
        ("trash", IMAP, True, OK, "trash: moves what is proved to the trash; no quota"),
        ("mark", IMAP, True, OK, "mark: only marks"),
        (None, POP, True, OK, "expunge: DELE of exactly what is proved, done at QUIT"),
        (None, replace(IMAP, uidplus=False), False, WARNING, "no UIDPLUS"),
        (None, replace(IMAP, uidplus=False), True, FAILED, "no UIDPLUS"),
        (None, replace(IMAP, labels=True), True, OK, "gmail: moves what is proved to the trash and removes"),
    ],
)
def test_ways_to_delete(asked: str | None, can: Capabilities, *, delete: bool, level: Level, said: str) -> None:
    """The same choice as a run makes; what it would refuse stops only an account that wants to delete."""
    (found,) = diagnosis.deletion(asked, can, [TRASH, ALL], delete=delete)
    assert (found.level, said in found.text) == (level, True)
    assert bool(found.hint) is (level is not OK)
    assert found.code == (ExitCode.USAGE if level is FAILED else ExitCode.DONE)


def test_quotas() -> None:
    """A full one has the command that frees it."""
    assert diagnosis.quota(None, "home")[0].level is OK
    assert diagnosis.quota(Quota(89, 100), "home")[0].level is OK
    (found,) = diagnosis.quota(Quota(95, 100), "home")
    assert found.level is WARNING
    assert found.hint == "mailarchive backup home --keep-under 90% --delete --dry-run"


def test_full_text_search() -> None:
    """Without it searches are slower, and that is all."""
    assert [diagnosis.full_text(there=there)[0].level for there in (True, False)] == [OK, WARNING]


def test_an_error_keeps_its_code_and_its_hint() -> None:
    """What a backup would end in is what doctor ends in."""
    found = diagnosis.failed("sign-in", SignInError("no", hint="yes"))
    assert found == Finding("sign-in", FAILED, "no", "yes", ExitCode.SIGN_IN)
    assert diagnosis.failed("x", LaterError("busy")).code is ExitCode.LATER
