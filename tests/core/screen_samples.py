"""A small run as events, and streams to watch a screen with."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mailarchive
from mailarchive.errors import ExitCode
from mailarchive.events import (
    Archived,
    Deleting,
    Exported,
    ExportFinished,
    Exporting,
    Expunged,
    Failed,
    Fetching,
    Finished,
    Flaw,
    Gone,
    Held,
    Imported,
    ImportFinished,
    Importing,
    Kept,
    Listing,
    MailboxFinished,
    NotExported,
    NotImported,
    NotPutBack,
    Planned,
    PlannedMailbox,
    PutBack,
    ReindexFinished,
    Reindexing,
    RestoreFinished,
    Restoring,
    Settled,
    Started,
    UsageFinished,
    Verified,
    VerifyFinished,
    Verifying,
    Waiting,
    Warned,
)
from mailarchive.model import UID, UIDL, Digest, ItemState, Location, Quota
from mailarchive.tally import Intake, Outlet, Return, Tally
from mailarchive.usage import Freed, Large, Part, Usage

if TYPE_CHECKING:
    from mailarchive.events import (
        Event,
    )

CET = timezone(timedelta(hours=1))
RUN = "2026-11-23T081502Z-3f"
DIGEST = Digest("sha256:" + "0f" * 32)
TALLY = Tally(on_server=5, selected=3, already=1, archived=2, deleted=2, kept=1, failed=0, size=2048)
STARTED = Started(
    run=RUN,
    command="backup",
    account="home",
    server="imaps://imap.example.org",
    archive="/srv/mail/home",
    selection="older than 1y = before 2025-11-23 00:00 CET",
    cut_off=datetime(2025, 11, 23, tzinfo=CET),
)
FINISHED = Finished(
    run=RUN,
    archive="/srv/mail/home",
    mailboxes=(("INBOX", TALLY),),
    total=TALLY,
    exit_code=ExitCode.DONE,
    quota=Quota(1_840_000_000, 2_000_000_000),
    seconds=1.5,
    kept=(("flagged", 1),),
    quota_before=Quota(1_920_000_000, 2_000_000_000),
    deleting=True,
    method="expunge",
    undo=f"mailarchive undo {RUN}",
)
UNDO = "2026-11-24T070000Z-9c"
UNDO_STARTED = Started(
    run=UNDO,
    command="undo",
    account="home",
    server="imaps://imap.example.org",
    archive="/srv/mail/home",
    selection="",
)
RETURN = Return(wanted=5, put_back=3, there=1, failed=1, size=4096)
INTAKE = Intake(read=7, new=3, already=2, failed=2, size=4096)
RESTORED = RestoreFinished(
    run=UNDO,
    of=RUN,
    archive="/srv/mail/home",
    mailboxes=(("INBOX", RETURN),),
    total=RETURN,
    exit_code=ExitCode.PARTIAL,
    quota=Quota(1_840_000_000, 2_000_000_000),
    seconds=1.5,
)
DELETING_PLAN = Planned(
    (
        PlannedMailbox("INBOX", 12402, 9811, 9000, 811, 92_100_000, delete=9790, delete_size=1_100_000_000, keep=21),
        PlannedMailbox("Lists/debian", 3117, 3001, 0, 3001, 31_000_000, delete=3001, delete_size=106_000_000),
    ),
    deleting=True,
    method="expunge",
    kept=(("flagged", 18), ("sent after the cut-off", 3)),
    quota=Quota(1_920_000_000, 2_000_000_000),
)
PLANNED = Planned((PlannedMailbox("INBOX", on_server=5, selected=3, already=1, fetch=2, size=2048),))
FAILED_RUN = Finished(
    run=RUN,
    archive="/srv/mail/home",
    mailboxes=(("INBOX", Tally(on_server=5, selected=3, archived=2, failed=1, size=2048)),),
    total=Tally(on_server=5, selected=3, archived=2, failed=1, size=2048),
    exit_code=ExitCode.PARTIAL,
)
TALLY_JSON = {
    "on_server": 5,
    "selected": 3,
    "already": 1,
    "archived": 2,
    "deleted": 2,
    "kept": 1,
    "failed": 0,
    "size": 2048,
}

INTAKE_JSON = {"read": 7, "new": 3, "already": 2, "failed": 2, "size": 4096}
RETURN_JSON = {"wanted": 5, "put_back": 3, "there": 1, "failed": 1, "size": 4096, "left": 0}

RUN_EVENTS: list[tuple[Event, dict[str, Any]]] = [
    (
        STARTED,
        {
            "event": "started",
            "run": RUN,
            "command": "backup",
            "account": "home",
            "server": "imaps://imap.example.org",
            "archive": "/srv/mail/home",
            "selection": "older than 1y = before 2025-11-23 00:00 CET",
            "cut_off": "2025-11-23T00:00:00+01:00",
            "dry_run": False,
        },
    ),
    (Listing("INBOX", 1, 7), {"event": "listing", "mailbox": "INBOX", "done": 1, "total": 7}),
    (
        PLANNED,
        {
            "event": "planned",
            "mailboxes": [
                {
                    "mailbox": "INBOX",
                    "on_server": 5,
                    "selected": 3,
                    "already": 1,
                    "fetch": 2,
                    "size": 2048,
                    "delete": 0,
                    "delete_size": 0,
                    "keep": 0,
                }
            ],
            "deleting": False,
            "method": "",
            "kept": [],
            "quota": None,
            "held": "",
            "complete": True,
        },
    ),
    (Fetching("INBOX", 2, 2048), {"event": "fetching", "mailbox": "INBOX", "count": 2, "size": 2048}),
    (
        Archived("INBOX", UID(7), DIGEST, 1024),
        {"event": "archived", "mailbox": "INBOX", "uid": 7, "digest": DIGEST, "size": 1024, "already": False},
    ),
    (
        Failed("INBOX", UIDL("a~b"), "too large"),
        {"event": "failed", "mailbox": "INBOX", "uid": "a~b", "reason": "too large"},
    ),
    (
        Held("INBOX", UID(9), "empty"),
        {"event": "held", "mailbox": "INBOX", "uid": 9, "reason": "empty"},
    ),
    (
        Waiting("imap.example.org:993 closed the connection", 1.25),
        {"event": "waiting", "reason": "imap.example.org:993 closed the connection", "seconds": 1.25},
    ),
    (Gone("INBOX", 2), {"event": "gone", "mailbox": "INBOX", "count": 2}),
    (
        Settled(RUN, "INBOX", gone=1, back=2, abandoned=3),
        {"event": "settled", "run": RUN, "mailbox": "INBOX", "gone": 1, "back": 2, "open": 0, "abandoned": 3},
    ),
    (Deleting("INBOX", 3, 2048), {"event": "deleting", "mailbox": "INBOX", "count": 3, "size": 2048}),
    (
        Expunged("INBOX", UID(7), DIGEST, 1024, ItemState.IN_TRASH),
        {"event": "expunged", "mailbox": "INBOX", "uid": 7, "digest": DIGEST, "size": 1024, "state": "in trash"},
    ),
    (
        Kept("INBOX", UIDL("a~b"), "flagged", "since yesterday"),
        {"event": "kept", "mailbox": "INBOX", "uid": "a~b", "reason": "flagged", "detail": "since yesterday"},
    ),
    (Warned("slow"), {"event": "warned", "message": "slow", "mailbox": "", "serious": False}),
    (
        MailboxFinished("INBOX", TALLY),
        {"event": "mailbox_finished", "mailbox": "INBOX", "tally": TALLY_JSON},
    ),
    (
        FINISHED,
        {
            "event": "finished",
            "run": RUN,
            "archive": "/srv/mail/home",
            "mailboxes": [["INBOX", TALLY_JSON]],
            "total": TALLY_JSON,
            "exit_code": 0,
            "quota": {"used": 1_840_000_000, "limit": 2_000_000_000, "percent": 92.0},
            "seconds": 1.5,
            "error": "",
            "hint": "",
            "kept": [["flagged", 1]],
            "quota_before": {"used": 1_920_000_000, "limit": 2_000_000_000, "percent": 96.0},
            "deleting": True,
            "method": "expunge",
            "undo": f"mailarchive undo {RUN}",
        },
    ),
]
"""All that a run can say."""

OUTLET = Outlet(found=3, written=2, failed=1, size=18)
OUTLET_JSON = {"found": 3, "written": 2, "failed": 1, "size": 18}
EVERY_EVENT: list[tuple[Event, dict[str, Any]]] = [
    *RUN_EVENTS,
    (Restoring("INBOX", 5, 4096), {"event": "restoring", "mailbox": "INBOX", "count": 5, "size": 4096}),
    (
        PutBack("INBOX", DIGEST, 1024, already=True),
        {"event": "put_back", "mailbox": "INBOX", "digest": DIGEST, "size": 1024, "already": True},
    ),
    (
        NotPutBack("INBOX", DIGEST, "over quota"),
        {"event": "not_put_back", "mailbox": "INBOX", "digest": DIGEST, "reason": "over quota"},
    ),
    (
        RESTORED,
        {
            "event": "restore_finished",
            "run": UNDO,
            "of": RUN,
            "archive": "/srv/mail/home",
            "mailboxes": [["INBOX", RETURN_JSON]],
            "total": RETURN_JSON,
            "exit_code": 3,
            "quota": {"used": 1_840_000_000, "limit": 2_000_000_000, "percent": 92.0},
            "seconds": 1.5,
            "error": "",
            "hint": "",
        },
    ),
    (Importing("/old.mbox", 4000), {"event": "importing", "source": "/old.mbox", "size": 4000}),
    (
        Imported("INBOX", "/old.mbox", 17, DIGEST, 300, 310, already=True),
        {
            "event": "imported",
            "mailbox": "INBOX",
            "source": "/old.mbox",
            "offset": 17,
            "digest": DIGEST,
            "extent": 300,
            "size": 310,
            "already": True,
        },
    ),
    (
        NotImported("INBOX", "/a.eml", None, "it is empty"),
        {"event": "not_imported", "mailbox": "INBOX", "source": "/a.eml", "offset": None, "reason": "it is empty"},
    ),
    (
        ImportFinished(RUN, "/srv/mail", (("INBOX", INTAKE),), INTAKE, ExitCode.PARTIAL, (("in Trash", 2),), 1.5),
        {
            "event": "import_finished",
            "run": RUN,
            "archive": "/srv/mail",
            "mailboxes": [["INBOX", INTAKE_JSON]],
            "total": INTAKE_JSON,
            "exit_code": 3,
            "left_out": [["in Trash", 2]],
            "seconds": 1.5,
            "error": "",
            "hint": "",
        },
    ),
    (Exporting("eml", "/out"), {"event": "exporting", "form": "eml", "to": "/out"}),
    (
        Exported("INBOX", Digest("sha256:ab"), 9),
        {"event": "exported", "mailbox": "INBOX", "digest": "sha256:ab", "size": 9},
    ),
    (
        NotExported("INBOX", Digest("sha256:ab"), "it is damaged"),
        {"event": "not_exported", "mailbox": "INBOX", "digest": "sha256:ab", "reason": "it is damaged"},
    ),
    (
        ExportFinished("eml", "/out", (("INBOX", OUTLET),), OUTLET, 2, ExitCode.ARCHIVE, 1.5),
        {
            "event": "export_finished",
            "form": "eml",
            "to": "/out",
            "mailboxes": [["INBOX", OUTLET_JSON]],
            "total": OUTLET_JSON,
            "files": 2,
            "exit_code": 13,
            "seconds": 1.5,
            "error": "",
            "hint": "",
        },
    ),
    (Verifying("/srv/mail", 3, 4000), {"event": "verifying", "archive": "/srv/mail", "count": 3, "size": 4000}),
    (
        Verified(Location("INBOX/1.ab"), 0, Flaw.MISSING, "gone"),
        {"event": "verified", "location": "INBOX/1.ab", "size": 0, "flaw": "missing", "detail": "gone"},
    ),
    (
        VerifyFinished("/srv/mail", 3, 2, 4000, ((Flaw.DAMAGED, 1),), ExitCode.ARCHIVE, 1.5),
        {
            "event": "verify_finished",
            "archive": "/srv/mail",
            "held": 3,
            "read": 2,
            "size": 4000,
            "flaws": [["damaged", 1]],
            "exit_code": 13,
            "seconds": 1.5,
            "error": "",
            "hint": "",
        },
    ),
    (Reindexing("/srv/mail", 3), {"event": "reindexing", "archive": "/srv/mail", "count": 3}),
    (
        UsageFinished(
            "home",
            "imaps://imap.example.org",
            Usage(
                messages=3,
                size=4000,
                mailboxes=(Part("INBOX", 3, 4000),),
                asked=Part("", 1, 3000),
                largest=(Large("INBOX", UID(7), 3000, datetime(2014, 3, 1, 10, tzinfo=CET), "a@example.org", "x"),),
                ages=(Freed("1y", datetime(2025, 11, 23, tzinfo=CET), 2, 3500, 1, 3000),),
            ),
            ExitCode.DONE,
            quota=Quota(1, 8),
            seconds=1.5,
        ),
        {
            "event": "usage_finished",
            "account": "home",
            "server": "imaps://imap.example.org",
            "usage": {
                "messages": 3,
                "size": 4000,
                "mailboxes": [{"name": "INBOX", "messages": 3, "size": 4000}],
                "years": [],
                "sizes": [],
                "domains": [],
                "senders": [],
                "asked": {"name": "", "messages": 1, "size": 3000},
                "largest": [
                    {
                        "mailbox": "INBOX",
                        "uid": 7,
                        "size": 3000,
                        "date": "2014-03-01T10:00:00+01:00",
                        "sender": "a@example.org",
                        "subject": "x",
                    }
                ],
                "ages": [
                    {
                        "age": "1y",
                        "before": "2025-11-23T00:00:00+01:00",
                        "messages": 2,
                        "size": 3500,
                        "archived": 1,
                        "archived_size": 3000,
                    }
                ],
            },
            "exit_code": 0,
            "selection": "",
            "quota": {"used": 1, "limit": 8, "percent": 12.5},
            "labels": False,
            "unsaid": [],
            "complete": True,
            "seconds": 1.5,
        },
    ),
    (
        ReindexFinished("/srv/mail", 3, 4000, 2, 1, 1, 0, 1, 5, (), ExitCode.DONE, set_aside="old", seconds=1.5),
        {
            "event": "reindex_finished",
            "archive": "/srv/mail",
            "read": 3,
            "size": 4000,
            "placed": 2,
            "listed": 1,
            "expunged": 1,
            "unplaced": 0,
            "open": 1,
            "runs": 5,
            "flaws": [],
            "exit_code": 0,
            "complete": True,
            "set_aside": "old",
            "seconds": 1.5,
            "error": "",
            "hint": "",
        },
    ),
]

RESULT = f"""\
home · imaps://imap.example.org · older than 1y = before 2025-11-23 00:00 CET
  mailbox            on server   selected   already   archived   deleted   kept   failed       bytes
  INBOX                      5          3         1          2         2      1        0      2.0 kB
  total                      5          3         1          2         2      1        0      2.0 kB
  kept: 1 flagged
  quota: 1.92 GB of 2.00 GB (96 %)  →  1.84 GB of 2.00 GB (92 %)
  archive: /srv/mail/home   run: {RUN}   undo with: mailarchive undo {RUN}
"""


class Tty(io.StringIO):
    """A terminal without a descriptor; it is 80 cells wide then."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


EVIL = "[red]x[/nope]\x1b]0;owned\x07\u202e\x9b2J\r\ny"


def lines_of(out: io.StringIO) -> list[dict[str, Any]]:
    """Read JSON lines."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def shown(text: str) -> list[str]:
    """Say what stands on a terminal at the end: a carriage return goes back, and what follows overwrites."""
    rows = []
    for row in re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n"):
        cells: list[str] = []
        for part in row.split("\r"):
            cells[: len(part)] = part
        rows.append("".join(cells).rstrip())
    return rows


def child(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run code in a fresh interpreter that reports to pipes."""
    root = str(Path(mailarchive.__file__).parents[1])
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=inherited | {"PYTHONPATH": paths} | environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
