"""`doctor` on a real Dovecot: TLS in all its forms, capabilities, and that nothing is changed there."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.command import mailarchive
from tests.corpus import corpus

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeUser
    from tests.servers.dovecot import Account

pytestmark = pytest.mark.dovecot
NOW = datetime(2026, 11, 1, tzinfo=UTC)
SCHEMES = ["imaps", "imap", "pops", "pop"]


def look(account: Account, scheme: str, *words: str | Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Look at a server; gives the code and the last finding of each check."""
    ports = {"imaps": account.imaps_port, "imap": account.imap_port}
    port = ports.get(scheme) or (account.pop3s_port if scheme == "pops" else account.pop3_port)
    url = f"{scheme}://{quote(account.user, safe='')}@localhost:{port}"
    result = mailarchive("doctor", url, "--json", *words, password=account.password)
    return result.code, {event["check"]: event for event in result.events if event["event"] == "check"}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_way_to_a_server_is_looked_at(dovecot_user: MakeUser, scheme: str) -> None:
    """The certificate is read before the sign-in, by TLS from the first octet and by STARTTLS; no flag changes."""
    account = dovecot_user()
    account.append_many("INBOX", corpus(3, seed=3, now=NOW, sizes="tiny"))
    with account.witness() as witness:
        before = witness.everything()
    code, found = look(account, scheme, "--ca-file", account.ca_file)
    assert code == 0, found
    assert found["tls"]["text"].startswith("TLSv1.")
    assert ", for localhost, 127.0.0.1, good for " in found["tls"]["text"]
    assert found["sign-in"]["level"] == "ok"
    assert found["deletion"]["text"].startswith("expunge: ")
    if scheme.startswith("imap"):
        assert found["capabilities"]["text"].startswith("UIDPLUS MOVE ESEARCH CONDSTORE")
    with account.witness() as witness:
        assert witness.everything() == before


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_certificate_that_is_not_trusted_ends_the_look(dovecot_user: MakeUser, scheme: str) -> None:
    """15, with what can be done; no password is sent."""
    account = dovecot_user()
    code, found = look(account, scheme)
    assert (code, found["tls"]["level"]) == (15, "failed")
    assert "--ca-file" in found["tls"]["hint"]
    assert "sign-in" not in found


def test_a_tunnel_is_looked_at_without_name_port_and_certificate(dovecot_user: MakeUser, home: Path) -> None:
    """The command is started, and what speaks behind it is asked like any server."""
    account = dovecot_user()
    file = home / "c.toml"
    file.write_text(
        f"[account.t]\nserver = 'imap+tunnel:'\narchive = '{home}/mail'\n"
        f"tunnel = '''{shlex.join(account.imap_exec())}'''\n"
    )
    result = mailarchive("doctor", "--config", file, "--json", "--no-input")
    found = {event["check"]: event for event in result.events if event["event"] == "check"}
    assert result.code == 0, found
    assert found["tunnel"]["text"] == "t lets t in"
    assert not {"dns", "tcp", "tls", "sign-in"} & set(found)
    assert found["capabilities"]["text"].startswith("UIDPLUS")
