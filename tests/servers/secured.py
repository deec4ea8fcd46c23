"""A server that puts TLS on the line as a test wants it, and remembers every octet that it was sent.

Law of this room: what comes before TLS and what comes inside it are kept apart, and nothing inside is ever answered: a
client that should have stopped shows by what it says.
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailarchive.address import Security

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO, Self

    import trustme

ANSWERS = {
    b"CAPABILITY": b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\nTAG OK done\r\n",
    b"STARTTLS": b"TAG OK begin\r\n",
    b"CAPA": b"+OK\r\nSTLS\r\nUSER\r\n.\r\n",
    b"STLS": b"+OK begin\r\n",
}
GREETINGS = {"imap": b"* OK ready\r\n", "pop": b"+OK ready\r\n"}


class Secured:
    """Takes one connection; a context manager.

    Args:
        context: Its side of TLS; None for a server that sends `instead` in the clear once the client has begun with
            TLS, and then hangs up.
        protocol: `imap` or `pop`.
        security: TLS from the first octet, or behind STARTTLS or STLS.
        instead: What comes in the place of TLS.

    Attributes:
        port: Where it listens.
        clear: What it was sent before TLS. `inside`: what it was sent in TLS.
        secured: Whether the handshake was finished.
    """

    def __init__(
        self, context: ssl.SSLContext | None, *, protocol: str, security: Security, instead: bytes = b""
    ) -> None:
        self.clear = self.inside = b""
        self.secured = False
        self._context, self._instead = context, instead
        self._protocol, self._security = protocol, security
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.join(5)
        self._listener.close()
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        self._listener.settimeout(5)
        with suppress(OSError):
            sock, _ = self._listener.accept()
            sock.settimeout(5)
            with sock:
                if self._security is Security.STARTTLS:
                    # Unbuffered, so that nothing of the handshake is taken.
                    with sock.makefile("rb", buffering=0) as lines:
                        self._agree(sock, lines)  # type: ignore[arg-type] # a raw stream reads lines too
                self._secure(sock)

    def _agree(self, sock: socket.socket, lines: BinaryIO) -> None:
        sock.sendall(GREETINGS[self._protocol])
        while line := lines.readline():
            self.clear += line
            tag, _, command = line.strip().rpartition(b" ")
            sock.sendall(ANSWERS[command].replace(b"TAG", tag))
            if command in (b"STARTTLS", b"STLS"):
                return

    def _secure(self, sock: socket.socket) -> None:
        if self._context is None:
            sock.recv(65536)
            sock.sendall(self._instead)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
            return
        with self._context.wrap_socket(sock, server_side=True) as line:
            self.secured = True
            while octets := line.recv(65536):
                self.inside += octets


def serving(certificate: trustme.LeafCert | Path) -> ssl.SSLContext:
    """Make the server's side of TLS from a certificate, or a file of key and certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if hasattr(certificate, "configure_cert"):
        certificate.configure_cert(context)
    else:
        context.load_cert_chain(certificate)
    return context


def self_signed(folder: Path, name: str) -> Path:
    """Make a certificate for a host name, however odd, that nobody but itself has signed; a file of both."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 4711)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(private + made.public_bytes(pem))
    return path


def fingerprint(pem: Path | bytes) -> str:
    """Give the SHA-256 of the first certificate in PEM, hex."""
    octets = pem if isinstance(pem, bytes) else pem.read_bytes()
    return x509.load_pem_x509_certificates(octets)[0].fingerprint(hashes.SHA256()).hex()
