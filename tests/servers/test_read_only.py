r"""A run that may not delete sends nothing that changes state, on every server there is here (P7 of `safety.md`).

The list is written here a second time, on purpose: EXAMINE, BODY.PEEK[], and what asks.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from tests.command import mailarchive
from tests.conftest import require_program
from tests.corpus import Sample, corpus, nasty
from tests.servers.dovecot import Dovecot
from tests.servers.dovecot_conf import capabilities_without
from tests.servers.gmail import GERMAN, INBOXED, STARRED, TRASH, GmailAccount, GmailServer
from tests.servers.proxy import Proxy
from tests.servers.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

USER, PASSWORD = "robin", "s3cret"
_ITEM = r"UID|FLAGS|INTERNALDATE|RFC822\.SIZE|X-GM-MSGID|X-GM-LABELS|BODY\.PEEK\[[^]]*\](<0\.\d+>)?"
READING = re.compile(
    r"\w+ (CAPABILITY|ID .*|AUTHENTICATE PLAIN( .*)?|LOGIN .*|NAMESPACE|LOGOUT|NOOP|LIST .*|EXAMINE .*|STATUS .*"
    rf"|GETQUOTAROOT .*|MYRIGHTS .*|UID SEARCH .*|UID FETCH [\d:,*]+ \(({_ITEM})( ({_ITEM}))*\))"
    # The answer to a challenge of AUTHENTICATE is one base64 word.
    r"|[A-Za-z0-9+/=]+"
)
COMMANDS = {
    "backup": ["backup"],
    "backup of some": ["backup", "--older-than", "1y", "--from", "example", "--date", "sent"],
    "backup --delete --dry-run": ["backup", "--older-than", "1y", "--delete", "--dry-run"],
    "verify --server": ["verify", "--server"],
    "prune --dry-run": ["prune", "--older-than", "1y", "--dry-run"],
}
SAMPLES = [*corpus(30, seed=4, now=datetime(2024, 1, 1, tzinfo=UTC), sizes="tiny"), *nasty()]
YOUNG = [Sample(b"Subject: young\r\nFrom: a@example.org\r\n\r\nx\r\n", datetime.now(UTC) - timedelta(days=3))]


class Subject(NamedTuple):
    """A server with mail: its port, who signs in, and how mail can be deleted on it."""

    port: int
    user: str
    password: str
    method: str = "auto"

    def everything(self) -> object:
        """Look at all mailboxes with the witness."""
        with Witness(self.port, self.user, self.password) as witness:
            return witness.everything(), {name: witness.uidvalidity(name) for name in witness.everything()}


@contextmanager
def _dovecot(**settings: str) -> Iterator[Subject]:
    require_program("dovecot")
    with Dovecot(**settings) as server:  # type: ignore[arg-type] # texts only
        server.account.append_many("INBOX", [*SAMPLES, *YOUNG])
        server.account.append_many("Lists/été", SAMPLES[:9])
        with server.witness() as witness:
            witness.store("INBOX", (2, 4), "+FLAGS (\\Deleted)")
        method = "mark" if "capability" in settings else "auto"
        yield Subject(server.imap_port, server.user, server.password, method)


@contextmanager
def _demo(*hidden: str) -> Iterator[Subject]:
    store = Store()
    account = store.add_account(USER, PASSWORD, 50_000_000)
    for sample in [*SAMPLES, *YOUNG]:
        account.mailbox("INBOX").append(sample.raw, sample.internal_date, sample.flags)
    with DemoServer(store, hidden=frozenset(hidden)) as server:
        yield Subject(server.imap_port, USER, PASSWORD, "exclusive" if hidden else "auto")


@contextmanager
def _gmail() -> Iterator[Subject]:
    account = GmailAccount(USER, PASSWORD, special=GERMAN)
    for number, sample in enumerate([*SAMPLES, *YOUNG]):
        labels = ([INBOXED], [INBOXED, "Work"], [], [STARRED], [TRASH])[number % 5]
        account.add(sample.raw, *labels, flags=sample.flags, date=sample.internal_date)
    with GmailServer(account) as server:
        yield Subject(server.imap_port, USER, PASSWORD)


SERVERS: dict[str, Callable[[], object]] = {
    "dovecot": _dovecot,
    "dovecot with a quota": lambda: _dovecot(quota="20M"),
    "dovecot as maildir": lambda: _dovecot(storage="maildir"),
    "dovecot without what is new": lambda: _dovecot(
        capability=capabilities_without("UIDPLUS", "MOVE", "ESEARCH", "LITERAL+", "SPECIAL-USE", "CONDSTORE", "QRESYNC")
    ),
    "demo": _demo,
    "demo without UIDPLUS": lambda: _demo("UIDPLUS", "ESEARCH", "QUOTA"),
    "gmail": _gmail,
}


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.dovecot] * name.startswith("dovecot")) for name in SERVERS]
)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """Serve mail of every kind, some of it flagged, unread, or marked by another program."""
    with SERVERS[request.param]() as made:  # type: ignore[attr-defined] # a context manager of Subject
        yield made


def configure(home: Path, port: int, subject: Subject) -> None:
    """Write a configuration with one account."""
    config = home / ".config" / "mailarchive" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(
        f'archive = "{home}/mail"\n[account.one]\nserver = "imap+insecure://127.0.0.1:{port}"\n'
        f'user = "{subject.user}"\npassword_command = "echo {subject.password}"\n'
        f'delete_method = "{subject.method}"\n'
    )
    config.chmod(0o600)


def test_no_command_changes_anything(subject: Subject, home: Path) -> None:
    """Neither what is sent nor what the server then holds, flags and UIDs included."""
    with Proxy(subject.port) as proxy:
        configure(home, proxy.port, subject)
        for name, words in COMMANDS.items():
            assert_only_reads(subject, proxy, name, words)
        assert any(b"BODY.PEEK[]" in command for command in proxy.client_commands())
        # Something has to be deleted before an undo has something to say.
        deleted = mailarchive("--json", "backup", "--older-than", "1y", "--delete", "--yes")
        assert deleted.code in {0, 3}, deleted.out
        assert deleted.end["total"]["deleted" if subject.method != "mark" else "kept"] > 20
        out = assert_only_reads(subject, proxy, "undo --dry-run", ["undo", deleted.end["run"], "--dry-run"])
        assert "nothing was changed" in out


def assert_only_reads(subject: Subject, proxy: Proxy, name: str, words: list[str]) -> str:
    """Run a command and look at what it sent and what it left; gives what it said."""
    before, sent = subject.everything(), len(proxy.client_commands())
    result = mailarchive(*words)
    assert result.code in {0, 3}, (name, result.err)
    commands = [command.decode("latin-1") for command in proxy.client_commands()[sent:]]
    assert commands, name
    assert [command for command in commands if not READING.fullmatch(command)] == [], name
    assert subject.everything() == before, name
    return result.out
