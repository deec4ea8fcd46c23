"""Whom we trust: certificates, versions, ciphers, and lines that are not what they should be (RFC 8314, RFC 6125)."""

from __future__ import annotations

import functools
import socket
import ssl
import warnings
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme

from mailarchive.address import Security, ServerAddress
from mailarchive.demo.server import DemoServer
from mailarchive.demo.store import Store
from mailarchive.errors import ConfigError, UnreachableError
from mailarchive.sources import connect, tls, wire
from mailarchive.sources.tls import Trust
from tests.command import mailarchive
from tests.servers.scripted_pop import ScriptedPop
from tests.servers.secured import Secured, fingerprint, self_signed, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Literal

    Protocol = Literal["imap", "pop"]

USER = "kim@example.org"
PASSWORD = "canary 4711"
BOTH = pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
PROTOCOLS = pytest.mark.parametrize("protocol", ["imap", "pop"])
IN_CLEAR = {b"CAPABILITY", b"STARTTLS", b"CAPA", b"STLS"}

CA = trustme.CA(organization_name="Good Authority")
OTHER = trustme.CA(organization_name="Virus Scanner")
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    """Write the certificate of the authority that the client trusts."""
    path = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(path))
    return path


def leaf_pem(leaf: trustme.LeafCert) -> bytes:
    """Give the certificate itself."""
    return leaf.cert_chain_pems[0].bytes()


def refused(
    context: ssl.SSLContext | None,
    trust: Trust,
    protocol: Protocol,
    security: Security,
    *,
    host: str = "localhost",
    instead: bytes = b"",
) -> UnreachableError:
    """Connect to a server that must not be trusted; gives the error, after a look at all that was sent."""
    with Secured(context, protocol=protocol, security=security, instead=instead) as server:
        address = ServerAddress(protocol, security, host, server.port, USER)
        with pytest.raises(UnreachableError) as caught:
            connect(address, PASSWORD, trust)
    assert server.inside == b""
    assert {line.rpartition(b" ")[2] for line in server.clear.splitlines()} <= IN_CLEAR
    assert (server.clear == b"") == (security is Security.TLS)
    assert caught.value.exit_code == 15
    assert "canary" not in f"{caught.value} {caught.value.hint}"
    return caught.value


# Row 9: certificates

YESTERDAY, TOMORROW, LONG_AGO = NOW - DAY, NOW + DAY, NOW - 30 * DAY
UNKNOWN = (
    "the certificate of localhost is not trusted (it is signed by Virus Scanner, an authority not known here); "
    "nothing was sent"
)
LEAVES: dict[str, tuple[Callable[[], trustme.LeafCert], str, str]] = {
    "expired": (
        lambda: CA.issue_cert("localhost", not_before=LONG_AGO, not_after=YESTERDAY),
        "localhost",
        f"the certificate of localhost expired on {YESTERDAY:%Y-%m-%d}; nothing was sent",
    ),
    "not yet valid": (
        lambda: CA.issue_cert("localhost", not_before=TOMORROW, not_after=TOMORROW + DAY),
        "localhost",
        f"the certificate of localhost is not valid before {TOMORROW:%Y-%m-%d}; nothing was sent",
    ),
    "wrong host": (
        lambda: CA.issue_cert("*.hosting.example", "other.example"),
        "localhost",
        "the certificate of localhost is for *.hosting.example, other.example; nothing was sent",
    ),
    "wrong address": (
        lambda: CA.issue_cert("127.0.0.2"),
        "127.0.0.1",
        "the certificate of 127.0.0.1 is for 127.0.0.2; nothing was sent",
    ),
    "wildcard for a TLD": (
        lambda: CA.issue_cert("*.test"),
        "mail.test",
        "the certificate of mail.test is for *.test; nothing was sent",
    ),
    "unknown authority": (
        lambda: OTHER.issue_cert("localhost"),
        "localhost",
        UNKNOWN,
    ),
}


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every name be that of this computer."""
    look = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *rest, **more: look("127.0.0.1", *rest, **more))


@pytest.mark.usefixtures("near")
@pytest.mark.parametrize("fault", LEAVES)
@PROTOCOLS
@BOTH
def test_f009_a_certificate_that_is_not_good(ca_file: Path, fault: str, protocol: Protocol, security: Security) -> None:
    """15, the exact reason, the fingerprint, and no credential on the wire."""
    make, host, message = LEAVES[fault]
    leaf = make()
    error = refused(serving(leaf), Trust(ca_file), protocol, security, host=host)
    assert error.message == message
    assert fingerprint(leaf_pem(leaf)) in error.hint
    assert ("clock" in error.hint) == (fault in ("expired", "not yet valid"))


@PROTOCOLS
@BOTH
def test_f009_a_certificate_that_signed_itself(tmp_path: Path, protocol: Protocol, security: Security) -> None:
    """Under the authorities of the system."""
    pem = self_signed(tmp_path, "localhost")
    error = refused(serving(pem), Trust(), protocol, security)
    assert error.message == "the certificate of localhost is not trusted (it is signed by itself); nothing was sent"
    assert fingerprint(pem) in error.hint


def test_f009_a_name_with_a_nul_and_an_escape(tmp_path: Path) -> None:
    """`localhost`, NUL, and more is another name; what it says cannot steer the terminal."""
    pem = self_signed(tmp_path, "localhost\0.evil\x1b[2J.example")
    error = refused(serving(pem), Trust(pem), "imap", Security.TLS)
    assert "is for localhost\0.evil" in error.message
    with Secured(serving(pem), protocol="imap", security=Security.TLS) as server:
        url = f"imaps://kim@localhost:{server.port}"
        result = mailarchive("backup", url, "--to", tmp_path / "a", "--ca-file", pem, password=PASSWORD)
    assert (result.code, server.inside) == (15, b"")
    assert "nothing was sent" in result.err
    assert fingerprint(pem) in result.err
    assert "\x1b" not in result.err
    assert "\0" not in result.err
    assert not (tmp_path / "a").exists()


def test_a_refusal_is_told_without_the_certificate_too(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenSSL does not show what it refused, the reason is told all the same."""
    monkeypatch.setattr("mailarchive.sources.certificate.getattr", lambda *_: None, raising=False)
    for name in ("expired", "wrong host", "unknown authority"):
        make, host, _ = LEAVES[name]
        error = refused(serving(make()), Trust(ca_file), "imap", Security.TLS, host=host)
        assert "the certificate of localhost is not" in error.message
        assert "nothing was sent" in error.message
        assert "  " not in error.message + error.hint


# Whose authorities count


def store() -> Store:
    """Make an account."""
    found = Store()
    found.add_account(USER, PASSWORD)
    return found


def let_in(context: ssl.SSLContext, trust: Trust, security: Security, protocol: Protocol) -> None:
    """Sign in to the demo server."""
    which = {"ssl_context": context} if security is Security.TLS else {"starttls_context": context}
    with DemoServer(store(), **which) as server:  # type: ignore[arg-type] # one of two
        port = server.imap_port if protocol == "imap" else server.pop_port
        with connect(ServerAddress(protocol, security, "localhost", port, USER), PASSWORD, trust) as source:
            assert [box.name for box in source.mailboxes()[0]] == ["INBOX"]


@PROTOCOLS
@BOTH
def test_the_authorities_of_the_system_count_by_themselves(
    ca_file: Path, monkeypatch: pytest.MonkeyPatch, protocol: Protocol, security: Security
) -> None:
    """Here those of `SSL_CERT_FILE`, which is how OpenSSL is told of another place for them."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    let_in(serving(CA.issue_cert("localhost")), Trust(), security, protocol)


def test_a_file_of_authorities_stands_in_the_place_of_the_systems(
    ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system trusts does not count beside it."""
    other = tmp_path / "other.pem"
    OTHER.cert_pem.write_to_path(str(other))
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    error = refused(serving(OTHER.issue_cert("localhost")), Trust(ca_file), "imap", Security.TLS)
    assert "not trusted" in error.message
    let_in(serving(CA.issue_cert("localhost")), Trust(ca_file), Security.TLS, "imap")


@PROTOCOLS
@BOTH
def test_f019_a_scanner_in_the_middle(ca_file: Path, tmp_path: Path, protocol: Protocol, security: Security) -> None:
    """Its own authority signs for the right name: refused, until the user trusts it."""
    leaf = OTHER.issue_cert("localhost")
    error = refused(serving(leaf), Trust(ca_file), protocol, security)
    assert "signed by Virus Scanner, an authority not known here" in error.message
    assert fingerprint(leaf_pem(leaf)) in error.hint
    other = tmp_path / "other.pem"
    OTHER.cert_pem.write_to_path(str(other))
    let_in(serving(leaf), Trust(other), security, protocol)


@pytest.mark.parametrize("content", [None, b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_of_authorities_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    """10, naming it; nothing was sent."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with Secured(serving(CA.issue_cert("localhost")), protocol="imap", security=Security.TLS) as server:
        address = ServerAddress("imap", Security.TLS, "localhost", server.port, USER)
        with pytest.raises(ConfigError, match=r"ca\.pem"):
            connect(address, PASSWORD, Trust(path))
    assert server.inside == b""


# Row 15: one certificate


@PROTOCOLS
@BOTH
def test_f015_another_certificate_than_the_pinned_one(ca_file: Path, protocol: Protocol, security: Security) -> None:
    """15 with both fingerprints, though an authority vouches for it, and not an octet after the handshake."""
    leaf = CA.issue_cert("localhost")
    pinned = fingerprint(leaf_pem(CA.issue_cert("localhost")))
    error = refused(serving(leaf), Trust(ca_file, pinned), protocol, security)
    assert pinned in error.message
    assert fingerprint(leaf_pem(leaf)) in error.message


@pytest.mark.parametrize(
    "form", [str.upper, lambda text: f"SHA256:{text}", lambda text: " ".join((text[:32], text[32:]))]
)
def test_the_pinned_certificate_is_enough(tmp_path: Path, form: Callable[[str], str]) -> None:
    """For another name, and signed by itself; the fingerprint may be written in any usual way."""
    pem = self_signed(tmp_path, "other.example")
    let_in(serving(pem), Trust(fingerprint=form(fingerprint(pem))), Security.TLS, "imap")


# Row 14: versions and ciphers


def old(version: ssl.TLSVersion) -> ssl.SSLContext:
    """Make a server that knows nothing newer."""
    context = serving(CA.issue_cert("localhost", key_type=trustme.KeyType.RSA))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def weak(ciphers: str) -> ssl.SSLContext:
    """Make a server that has TLS 1.2 with nothing but these ciphers."""
    context = serving(CA.issue_cert("localhost", key_type=trustme.KeyType.RSA))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    return context


def careless(ca_file: Path) -> ssl.SSLContext:
    """Make a client that takes everything, to see that the server works."""
    context = ssl.create_default_context(cafile=str(ca_file))
    context.set_ciphers("ALL:eNULL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context


WEAK: dict[str, tuple[Callable[[], ssl.SSLContext], str]] = {
    "TLS 1.0": (lambda: old(ssl.TLSVersion.TLSv1), "offers no TLS 1.2 or newer"),
    "TLS 1.1": (lambda: old(ssl.TLSVersion.TLSv1_1), "offers no TLS 1.2 or newer"),
    "no encryption": (lambda: weak("eNULL"), "takes none of our ciphers"),
    "no forward secrecy": (lambda: weak("AES128-SHA"), "takes none of our ciphers"),
}


@pytest.mark.parametrize("fault", WEAK)
@PROTOCOLS
@BOTH
def test_f014_nothing_older_than_tls_1_2_and_no_weak_cipher(
    ca_file: Path, fault: str, protocol: Protocol, security: Security
) -> None:
    """Refused with a right certificate, and with a pinned one."""
    make, message = WEAK[fault]
    with Secured(make(), protocol="imap", security=Security.TLS) as server:
        line = socket.create_connection(("127.0.0.1", server.port))
        careless(ca_file).wrap_socket(line, server_hostname="localhost").close()
    assert server.secured
    for trust in (Trust(ca_file), Trust(fingerprint="0" * 64)):
        error = refused(make(), trust, protocol, security)
        assert message in error.message
        assert "nothing was sent" in error.message


def test_tls_1_2_is_taken(ca_file: Path) -> None:
    """With the usual ciphers."""
    context = serving(CA.issue_cert("localhost"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    let_in(context, Trust(ca_file), Security.TLS, "imap")


# Row 13, and ports that speak something else


@pytest.mark.parametrize("said", [b"* PREAUTH welcome\r\n", b"+OK welcome, give me your password\r\n", b"x" * 6000])
@PROTOCOLS
def test_f013_clear_text_in_the_place_of_tls(protocol: Protocol, said: bytes) -> None:
    """STARTTLS was answered with OK: 15, and nothing is read as an answer."""
    error = refused(None, Trust(), protocol, Security.STARTTLS, instead=said)
    assert "answers with something that is not TLS; nothing was sent" in error.message


@PROTOCOLS
@BOTH
def test_f004_a_line_that_ends_in_the_handshake(protocol: Protocol, security: Security) -> None:
    """15, and the same may work later."""
    error = refused(None, Trust(), protocol, security)
    assert "hung up in the TLS handshake" in error.message
    assert error.temporary


def test_tls_to_a_port_that_has_none() -> None:
    """Says so, and where to look."""
    with ScriptedPop([]) as server, pytest.raises(UnreachableError) as caught:
        connect(ServerAddress("pop", Security.TLS, "127.0.0.1", server.port, USER), PASSWORD, Trust())
    assert caught.value.message.startswith(f"127.0.0.1:{server.port} answers with something that is not TLS")
    assert "port" in caught.value.hint


@PROTOCOLS
@pytest.mark.parametrize("security", [Security.STARTTLS, Security.NONE])
def test_a_port_that_wants_tls_from_the_first_octet(
    monkeypatch: pytest.MonkeyPatch, protocol: Protocol, security: Security
) -> None:
    """Such a server waits for us, as we do for it: the silence is explained."""
    monkeypatch.setattr(tls, "Wire", functools.partial(wire.Wire, timeout=0.3))
    context = serving(CA.issue_cert("localhost"))
    with Secured(context, protocol=protocol, security=Security.TLS) as server:
        address = ServerAddress(protocol, security, "127.0.0.1", server.port, USER)
        with pytest.raises(UnreachableError, match="silent") as caught:
            connect(address, PASSWORD, Trust())
    assert "TLS from the first octet" in caught.value.hint
    assert (server.clear, server.inside) == (b"", b"")
