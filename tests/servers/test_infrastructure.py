"""Proves the ground that other tests stand on: the real, private Dovecot and the witness that looks into it."""

from __future__ import annotations

import imaplib
import os
import poplib
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.corpus import MAILBOXES, Sample, corpus, nasty, spread
from tests.servers.dovecot import NOBODY, Dovecot, DovecotError
from tests.servers.dovecot_conf import SPECIAL_USE, Settings, capabilities_without, configuration
from tests.servers.witness import LOOPBACK, Witness, WitnessError, decode_mailbox, encode_mailbox, imap_date

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import MakeUser

NOW = datetime(2025, 11, 23, 12, tzinfo=UTC)
STRANGE_PASSWORD = "p ä:ß\"'\\{}%u$#&/日本+=;"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def other_dovecot() -> Iterator[Dovecot]:
    """Yield a server with a quota, without UIDPLUS and MOVE, with Maildir, and with strange users."""
    users = {"user name@example.org": STRANGE_PASSWORD, "Jürgen+x": "plain"}
    capability = capabilities_without("UIDPLUS", "MOVE") + " QUOTA"
    with Dovecot(capability=capability, quota="10M", storage="maildir", users=users) as server:
        yield server


@pytest.mark.dovecot
def test_seeded_messages_come_back_exactly(dovecot_user: MakeUser) -> None:
    """What is appended with octets, flags and dates is read back so, by UID and in order."""
    samples = corpus(200, seed=1, now=NOW)
    account = dovecot_user()
    uids = account.append_many("INBOX", samples)
    assert uids == list(range(1, 201))
    assert account.raw_messages("INBOX") == {uid: sample.raw for uid, sample in zip(uids, samples, strict=True)}
    facts = account.facts("INBOX")
    for uid, sample in zip(uids, samples, strict=True):
        assert facts[uid] == (frozenset(sample.flags), sample.internal_date, len(sample.raw)), sample.name


@pytest.mark.dovecot
def test_nasty_messages_change_only_where_they_say_so(dovecot_user: MakeUser) -> None:
    """Dovecot keeps a nasty message's octets exactly when `imap_exact` says so."""
    samples = nasty()
    account = dovecot_user()
    account.append_many("INBOX", samples)
    stored = account.raw_messages("INBOX")
    assert [(sample.name, sample.imap_exact) for sample in samples] == [
        (sample.name, raw == sample.raw) for sample, raw in zip(samples, stored.values(), strict=True)
    ]


@pytest.mark.dovecot
def test_strange_mailbox_names(dovecot_user: MakeUser) -> None:
    """Mailboxes with coded, quoted and nested names hold what was dealt to them, and special uses are announced."""
    account = dovecot_user()
    dealt = spread(corpus(60, seed=2, now=NOW, sizes="tiny"))
    for mailbox, samples in dealt.items():
        account.append_many(mailbox, samples)
    boxes = account.mailboxes()
    assert {*MAILBOXES, *SPECIAL_USE} <= boxes.keys()
    assert {name: use for name, use in SPECIAL_USE.items() if use in boxes[name]} == SPECIAL_USE
    for mailbox, samples in dealt.items():
        assert list(account.raw_messages(mailbox).values()) == [sample.raw for sample in samples], mailbox


@pytest.mark.dovecot
def test_users_do_not_see_each_other(dovecot_user: MakeUser) -> None:
    """A fresh user has an empty maildrop, whoever else has mail on the same server."""
    first, second = dovecot_user(), dovecot_user()
    first.append_many("Private", corpus(3, seed=3, now=NOW, sizes="tiny"))
    assert first.user != second.user
    assert second.mailboxes().keys() == {"INBOX", *SPECIAL_USE}
    assert second.raw_messages() == {}


@pytest.mark.dovecot
def test_seeding_and_reading_are_quick(dovecot_user: MakeUser) -> None:
    """2,000 messages are on the server and read back within ten seconds, on a slow machine too."""
    samples = corpus(2000, seed=4, now=NOW, sizes="small")
    account = dovecot_user()
    began = time.perf_counter()
    uids = account.append_many("INBOX", samples)
    assert list(account.raw_messages("INBOX").values()) == [sample.raw for sample in samples]
    assert list(account.facts("INBOX")) == uids == list(range(1, 2001))
    assert time.perf_counter() - began < 10


@pytest.mark.dovecot
def test_tls_port_is_verified_with_the_ca(dovecot: Dovecot) -> None:
    """The IMAPS certificate is good for `localhost` under the CA of `ca_file`, and under no other."""
    with Witness(
        dovecot.imaps_port, dovecot.user, dovecot.password, tls=ssl.create_default_context(cafile=dovecot.ca_file)
    ) as witness:
        assert "INBOX" in witness.mailboxes()
    with pytest.raises(ssl.SSLCertVerificationError):
        Witness(dovecot.imaps_port, dovecot.user, dovecot.password, tls=ssl.create_default_context())


@pytest.mark.dovecot
def test_starttls_is_offered_and_works(dovecot: Dovecot) -> None:
    """The plain port offers STARTTLS, and TLS after it is verified."""
    with imaplib.IMAP4(LOOPBACK, dovecot.imap_port, timeout=30) as imap:
        assert "STARTTLS" in imap.capabilities
        imap.starttls(ssl.create_default_context(cafile=dovecot.ca_file))
        assert imap.login(dovecot.user, dovecot.password)[0] == "OK"


@pytest.mark.dovecot
def test_pop3_in_plain_text_and_over_tls(dovecot_user: MakeUser) -> None:
    """POP3 gives the same message in plain text, after STLS and over implicit TLS."""
    account = dovecot_user()
    account.append_many("INBOX", corpus(1, seed=5, now=NOW, sizes="tiny"))
    (raw,) = account.raw_messages().values()
    context = ssl.create_default_context(cafile=account.ca_file)
    upgraded = poplib.POP3(account.host, account.pop3_port, timeout=30)
    upgraded.stls(context)
    lines = [
        poplib.POP3(account.host, account.pop3_port, timeout=30),
        upgraded,
        poplib.POP3_SSL(account.host, account.pop3s_port, context=context, timeout=30),
    ]
    for pop in lines:
        pop.user(account.user)
        pop.pass_(account.password)
        assert b"\r\n".join(pop.retr(1)[1]) + b"\r\n" == raw
        pop.quit()


@pytest.mark.dovecot
def test_strange_user_and_password(other_dovecot: Dovecot) -> None:
    """A password of quotes, backslashes, colons, spaces and other alphabets signs in, and a wrong one is refused."""
    assert other_dovecot.password == STRANGE_PASSWORD
    assert "INBOX" in other_dovecot.mailboxes()
    with Witness(other_dovecot.imap_port, "Jürgen+x", "plain") as witness:
        assert "INBOX" in witness.mailboxes()
    began = time.perf_counter()
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        Witness(other_dovecot.imap_port, other_dovecot.user, STRANGE_PASSWORD + "!")
    assert time.perf_counter() - began < 1.5, "failures are not slowed down"


@pytest.mark.dovecot
def test_capability_is_hidden_and_maildir_used(other_dovecot: Dovecot) -> None:
    """Hidden extensions are announced neither before nor after signing in; the mail lies in a Maildir."""
    with other_dovecot.witness() as witness:
        before = set(witness.imap.capabilities)
        after = set(witness.imap.capability()[1][0].decode().split())
    assert not {"UIDPLUS", "MOVE"} & (before | after)
    assert {"QUOTA", "IDLE", "LITERAL+"} <= after
    other_dovecot.append_many("INBOX", corpus(2, seed=15, now=NOW, sizes="tiny"))
    assert len(list((other_dovecot.root / "mail" / other_dovecot.user / "mail" / "cur").iterdir())) == 2


@pytest.mark.dovecot
def test_quota_is_reported_and_kept(other_dovecot: Dovecot) -> None:
    """STORAGE use grows with the mail, and what exceeds the limit is refused."""
    account = other_dovecot.add_user("full")
    assert account.quota() == (0, 10 * 1024 * 1024)
    kilobytes = [Sample(b"Subject: x\r\n\r\n" + b"x" * 998 + b"\r\n", NOW)] * 100
    account.append_many("INBOX", kilobytes)
    used, limit = account.quota()
    assert 100_000 <= used <= 110_000
    with pytest.raises(WitnessError, match="OVERQUOTA"):
        account.append_many("INBOX", [Sample(b"x" * limit, NOW)])


@pytest.mark.dovecot
def test_tunnel_speaks_imap_without_signing_in(dovecot_user: MakeUser) -> None:
    """The command of `imap_exec` greets with PREAUTH and shows the user's mail."""
    account = dovecot_user("tunnel user")
    account.append_many("INBOX", corpus(2, seed=6, now=NOW, sizes="tiny"))
    done = subprocess.run(
        account.imap_exec(), input=b"a EXAMINE INBOX\r\nb LOGOUT\r\n", capture_output=True, check=True, timeout=30
    )
    assert done.stdout.startswith(b"* PREAUTH ")
    assert b"* 2 EXISTS" in done.stdout
    assert b"b OK" in done.stdout


@pytest.mark.dovecot
def test_doveadm_asks_this_server(dovecot_user: MakeUser, dovecot: Dovecot) -> None:
    """`doveadm` runs with the private configuration, and its failure carries what it said."""
    account = dovecot_user()
    account.append_many("Été", corpus(4, seed=7, now=NOW, sizes="tiny"))
    assert "messages=4" in dovecot.doveadm("mailbox", "status", "-u", account.user, "messages", "Été")
    with pytest.raises(DovecotError, match="doesn't exist"):
        dovecot.doveadm("mailbox", "list", "-u", "nobody-of-that-name")


@pytest.mark.dovecot
def test_stop_ends_every_process_and_keeps_the_mail() -> None:
    """After `stop` no process is left, not even a stuck one; the next `start` has the same ports, mail and UIDs."""
    with Dovecot() as server:
        uids = server.append_many("INBOX", corpus(5, seed=8, now=NOW, sizes="tiny"))
        session = server.witness()
        group = int((server.root / "run" / "master.pid").read_text())
        os.kill(_members(group)["imap"], signal.SIGSTOP)
        port = server.imap_port
        server.stop()
        session.imap.shutdown()
        assert _members(group) == {}
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, port), timeout=5).close()
        server.start()
        assert server.imap_port == port
        assert list(server.raw_messages()) == uids
        root = server.root
    assert not root.exists()


def _members(group: int) -> dict[str, int]:
    """Return the living processes of a process group, by name (proc(5), `/proc/pid/stat`)."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            head, _, tail = (entry / "stat").read_text().rpartition(") ")
            state, _parent, pgid = tail.split()[:3]
            if pgid == str(group) and state != "Z":
                found[head.partition("(")[2]] = int(entry.name)
    return found


@pytest.mark.dovecot
def test_a_server_that_cannot_start_says_why() -> None:
    """A broken configuration fails at once, with Dovecot's complaint and the configuration in the text."""
    began = time.perf_counter()
    with pytest.raises(DovecotError, match="no_such_setting") as caught, Dovecot(extra="no_such_setting = yes"):
        pass
    assert "base_dir = " in str(caught.value)
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize("user", ["", "..", "a/b", "a:b", "a\nb"])
def test_impossible_users_are_refused_and_leave_nothing(
    user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that Dovecot could not look up, or that leads out of the folder, is refused before anything starts."""
    monkeypatch.setattr("tests.servers.dovecot._short_temp", lambda: str(tmp_path))
    with pytest.raises(ValueError, match="cannot be called"):
        Dovecot(users={user: "secret"})
    with pytest.raises(ValueError, match="control characters"):
        Dovecot(users={"user": "\t"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.dovecot
@pytest.mark.needs_root
def test_a_normal_user_can_run_it(require: Callable[[str], str]) -> None:
    """The same class serves mail when it runs as a user without rights."""
    as_nobody = [require("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    environment = {**os.environ, "HOME": "/", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    probe = [*as_nobody, sys.executable, "-c", "import tests.servers.dovecot"]
    if subprocess.run(probe, cwd="/", env=environment, capture_output=True, check=False).returncode:
        pytest.skip("this checkout or its Python is closed to other users")
    script = """
        import datetime, os
        from tests.servers.dovecot import Dovecot
        from tests.corpus import corpus
        with Dovecot() as server:
            samples = corpus(3, seed=9, now=datetime.datetime.now(datetime.UTC), sizes="tiny")
            server.append_many("INBOX", samples)
            print(os.geteuid(), list(server.raw_messages().values()) == [sample.raw for sample in samples])
    """
    done = subprocess.run(
        [*as_nobody, sys.executable, "-c", textwrap.dedent(script)],
        cwd="/",
        env=environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == [str(NOBODY).encode(), b"True"], done.stderr.decode()


@pytest.mark.parametrize("version", [(2, 3), (2, 4)], ids=["2.3", "2.4"])
@pytest.mark.parametrize("run_as", [None, ("me", "us")], ids=["root", "user"])
def test_configuration_speaks_the_language_of_the_version(
    tmp_path: Path, version: tuple[int, int], run_as: tuple[str, str] | None
) -> None:
    """Version 2.4 gets its two version lines first and none of the settings it refuses; 2.3 gets none of 2.4's."""
    ports = {"imap": 1, "imaps": 2, "pop3": 3, "pop3s": 4}
    settings = Settings(tmp_path, ports, (1, 2), run_as, "sdbox", "IMAP4rev1", "10M", "# the end")
    text = configuration(settings, version)
    old = ("disable_plaintext_auth", "ssl_cert =", "mail_location", "service_count", "plugin {", "args =", "%u")
    new = ("dovecot_config_version", "auth_allow_cleartext", "ssl_server_cert_file", "mail_driver", "%{user}")
    wanted, unwanted = (new, old) if version == (2, 4) else (old, new)
    assert [word for word in wanted if word not in text] == []
    assert [word for word in unwanted if word in text] == []
    assert text.startswith("dovecot_config_version") == (version == (2, 4))
    assert ("chroot =" in text) == ("default_login_user = me" in text) == (run_as is not None)
    assert text.count("{") == text.count("}")
    assert text.endswith("# the end\n")


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("INBOX", "INBOX"),
        ("a&b", "a&-b"),
        ("Été 2014", "&AMk-t&AOk- 2014"),
        ("日本/東京", "&ZeVnLA-/&Z3FOrA-"),
        ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ("😀", "&2D3eAA-"),
    ],
)
def test_mailbox_names_in_modified_utf7(name: str, wire: str) -> None:
    """Names are coded as RFC 3501 section 5.1.3 says, and back."""
    assert encode_mailbox(name) == wire
    assert decode_mailbox(wire) == name


def test_internal_date_is_written_in_its_own_zone() -> None:
    """APPEND carries the instant with its zone; an instant without one is refused."""
    assert imap_date(datetime(2014, 2, 3, 4, 5, 6, tzinfo=timezone(-timedelta(minutes=210)))) == (
        "03-Feb-2014 04:05:06 -0330"
    )
    with pytest.raises(ValueError, match="zone"):
        imap_date(datetime(2014, 2, 3))  # noqa: DTZ001 - the case under test
