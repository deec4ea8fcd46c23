"""Archiving and deleting over POP3 on a real Dovecot: two thousand messages, checked with a client that is not ours."""

from __future__ import annotations

import poplib
import re
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from tests import maildir
from tests.command import mailarchive, start_of_day
from tests.contract.sources import DELETE, SIGNING_IN, held, pop_url, total, warned
from tests.corpus import corpus, nasty
from tests.servers.proxy import Proxy
from tests.servers.witness import date_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from tests.conftest import MakeUser
    from tests.servers.dovecot import Account

pytestmark = [pytest.mark.dovecot, pytest.mark.timeout(300)]

NOW = datetime.now(UTC).replace(microsecond=0)
NASTY = [sample for sample in nasty() if not sample.raw.startswith(b".")]
"""Dovecot does not double a dot that is the first octet of a message, see below."""


@contextmanager
def witness(account: Account) -> Iterator[poplib.POP3]:
    """Sign in with the client of the standard library."""
    pop = poplib.POP3(account.host, account.pop3_port, timeout=60)
    pop.user(account.user)
    pop.pass_(account.password)
    try:
        yield pop
    finally:
        pop.close()


def retrieve(pop: poplib.POP3, number: int) -> bytes:
    """Retrieve a message with no more of poplib than its line: it takes bare CR and LF for line ends."""
    pop._putcmd(f"RETR {number}")  # type: ignore[attr-defined] # the stubs leave it out
    lines: BinaryIO = pop.file
    assert lines.readline().startswith(b"+OK")
    data = b"\r\n"
    while not data.endswith(b"\r\n.\r\n"):
        data += lines.readline()
    return b"\r\n".join(line.removeprefix(b".") for line in data[2:-3].split(b"\r\n"))


def everything(account: Account) -> dict[str, bytes]:
    """Give what is in the maildrop, by UIDL."""
    with witness(account) as pop:
        names = dict(re.findall(r"(\d+) (\S+)", "\n".join(line.decode() for line in pop.uidl()[1])))
        return {name: retrieve(pop, int(number)) for number, name in names.items()}


def received(octets: bytes) -> datetime | None:
    """Read the topmost Received field, else Date, with the standard library."""
    head = (b"\r\n" + octets).partition(b"\r\n\r\n")[0]
    field = re.search(rb"\r\nreceived:((?:[^\r\n]|\r\n[ \t])*)", head, re.IGNORECASE)
    if field is None:
        return date_header(octets)
    return parsedate_to_datetime(field[1].rpartition(b";")[2].decode().strip())


def is_young(octets: bytes, cut_off: datetime) -> bool:
    """Tell whether a message is not even to be archived."""
    date = received(octets)
    return date is not None and date >= cut_off


def goes(octets: bytes, cut_off: datetime) -> bool:
    """Tell whether a message is to be deleted: it was received before the cut-off, and its Date is not behind it."""
    date, sent = received(octets), date_header(octets)
    sent_later = sent is not None and cut_off <= sent < NOW + timedelta(days=2)
    return date is not None and date < cut_off and not sent_later


def test_two_thousand_messages_over_tls(dovecot_user: MakeUser, tmp_path: Path) -> None:
    """The old ones are archived octet for octet and then gone, the young ones stay, and nothing else is touched."""
    account = dovecot_user()
    account.append_many("INBOX", [*corpus(1967, seed=11, now=NOW, sizes="small"), *NASTY])
    before = everything(account)
    assert len(before) == 2000
    cut_off = start_of_day(years_ago=1)
    url = f"pops://{account.user.replace('@', '%40')}@localhost:{account.pop3s_port}"
    words = ("--json", "backup", url, "--to", tmp_path / "a", "--ca-file", account.ca_file, *DELETE)
    result = mailarchive(*words, password=account.password)
    # Some of the nasty ones have no header at all, and a human should see that.
    assert result.code == 3
    assert total(result)["failed"] == 0
    young = {name for name, octets in before.items() if is_young(octets, cut_off)}
    gone = {event["uid"] for event in result.events if event["event"] == "expunged"}
    after = everything(account)
    assert {name: before[name] for name in before.keys() - gone} == after
    assert set(held(tmp_path / "a")) == {octets for name, octets in before.items() if name not in young}
    wanted = {name for name, octets in before.items() if goes(octets, cut_off)}
    holds = {event["uid"] for event in result.events if event["event"] == "held"}
    assert gone == wanted - holds
    assert len(gone) > 1700
    assert len(young) > 150
    again = mailarchive(*words, password=account.password)
    assert (again.code, total(again)["archived"], total(again)["deleted"]) == (0, 0, 0), warned(again)
    assert everything(account) == after


def test_the_second_run_asks_for_nothing_that_is_known(dovecot_user: MakeUser, tmp_path: Path) -> None:
    """On the wire: no RETR, no TOP, no DELE; and the first one sends nothing that is not on the list."""
    account = dovecot_user()
    samples = corpus(150, seed=12, now=NOW, sizes="tiny")
    account.append_many("INBOX", samples)
    before = everything(account)
    with Proxy(account.pop3_port) as proxy:
        words = ("--json", "backup", pop_url(proxy.port, account.user), "--to", tmp_path / "a", *DELETE)
        first = mailarchive(*words, password=account.password)
        assert first.code == 0
        commands = [command.decode("latin-1") for command in proxy.client_commands()]
        count, sessions = len(commands), len(proxy.connections)
        again = mailarchive(*words, password=account.password)
        assert (again.code, total(again)["deleted"]) == (0, 0)
        rest = [command.decode("latin-1") for command in proxy.client_commands()][count:]
        trips = proxy.connections[sessions].round_trips
    said = [command for command in commands if not SIGNING_IN.fullmatch(command)]
    allowed = re.compile(r"LIST|UIDL|QUIT|TOP \d+ 0|RETR \d+|DELE \d+")
    assert [command for command in said if not allowed.fullmatch(command)] == []
    assert sum(command.startswith("DELE") for command in said) == total(first)["deleted"] > 100
    # One look at each header for its date; a second fetch only where the line end that ends the answer is not counted.
    assert sum(command.startswith("TOP") for command in said) == len(before)
    short = sum(not sample.raw.endswith(b"\r\n") for sample in samples)
    assert (
        total(first)["archived"]
        < sum(command.startswith("RETR") for command in said)
        <= total(first)["archived"] + short
    )
    assert [command for command in rest if not SIGNING_IN.fullmatch(command)] == ["LIST", "UIDL", "QUIT"]
    assert trips <= 8
    assert len(everything(account)) == len(before) - total(first)["deleted"]


def test_a_backup_that_may_not_delete(dovecot_user: MakeUser, tmp_path: Path) -> None:
    """Everything is archived once, and everything stays, in one session."""
    account = dovecot_user()
    account.append_many("INBOX", [*corpus(120, seed=13, now=NOW, sizes="tiny"), *NASTY])
    before = everything(account)
    with Proxy(account.pop3_port) as proxy:
        words = ("--json", "backup", pop_url(proxy.port, account.user), "--to", tmp_path / "a")
        for _ in range(2):
            assert mailarchive(*words, password=account.password).code in {0, 3}
        commands = proxy.client_commands()
        assert len(proxy.connections) == 2
    assert not any(command.startswith((b"DELE", b"RSET", b"TOP")) for command in commands)
    assert sum(command.startswith(b"RETR") for command in commands) == len(before)
    assert everything(account) == before
    assert set(held(tmp_path / "a")) == set(before.values())
    assert maildir.left_overs(tmp_path / "a") == []


def test_messages_that_begin_with_a_dot(dovecot_user: MakeUser, tmp_path: Path) -> None:
    """Dovecot does not double it: one that is all of the line ends the answer too early, and that message is kept."""
    account = dovecot_user()
    samples = corpus(12, seed=15, now=NOW - timedelta(days=500), sizes="tiny")
    odd = [replace(samples[0], raw=raw) for raw in (b".\r\n", b".x\r\n\r\ny\r\n")]
    account.append_many("INBOX", [*samples[:6], *odd, *samples[6:]])
    before = account.raw_messages()
    result = mailarchive(
        "--json", "backup", pop_url(account.pop3_port, account.user), "--to", tmp_path / "a", *DELETE, password="secret"
    )
    assert (result.code, total(result)["failed"], total(result)["deleted"]) == (3, 1, 12)
    whole = (octets if octets.endswith(b"\r\n") else octets + b"\r\n" for octets in before.values())
    assert held(tmp_path / "a") == sorted(octets for octets in whole if octets != b".\r\n")
    assert sorted(account.raw_messages().values()) == sorted(each.raw for each in odd)


@pytest.mark.parametrize("cut", ["fin", "rst"])
def test_f079_a_line_that_breaks_anywhere(dovecot_user: MakeUser, tmp_path: Path, cut: str) -> None:
    """In each run a little later; nothing is lost at any moment, and in the end all old mail is archived and gone."""
    account = dovecot_user()
    account.append_many("INBOX", corpus(70, seed=14, now=NOW - timedelta(days=500), sizes="tiny"))
    before = everything(account)
    codes = set()
    for place in (90, 1500, 5000, 9000, 14_000, 20_000, 27_000, 40_000, 60_000):
        with Proxy(account.pop3_port, cut_server=place, cut=cut) as proxy:  # type: ignore[arg-type] # one of two words
            url = pop_url(account.pop3_port, account.user)
            archive = tmp_path / "a"
            # The archive belongs to an account by its address, so the proxy has to be behind the same one.
            result = _through(proxy.port, account, url, archive)
        codes.add(result)
        left = everything(account)
        files = set(held(archive)) if archive.exists() else set[bytes]()
        assert left.items() <= before.items()
        assert {octets for name, octets in before.items() if name not in left} <= files
    assert mailarchive("--json", "backup", url, "--to", archive, *DELETE, password=account.password).code == 0
    assert everything(account) == {}
    assert held(archive) == sorted(before.values())
    assert codes <= {0, 15, 75}
    assert 15 in codes


def _through(port: int, account: Account, url: str, archive: Path) -> int:
    """Run with every connection going to another port."""
    from mailarchive.sources import pop_session, tls

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pop_session, "dial", lambda host, _: tls.dial(host, port))
        return mailarchive("--json", "backup", url, "--to", archive, *DELETE, password=account.password).code
