"""Servers: one module for each protocol, opened by address."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

from mailarchive.address import Security
from mailarchive.errors import SignInError, UsageError
from mailarchive.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailarchive.address import ServerAddress
    from mailarchive.secret import Proof
    from mailarchive.sources.imap import ImapSource
    from mailarchive.sources.imap_session import Session
    from mailarchive.sources.pop import PopSource
    from mailarchive.sources.tls import Trust
    from mailarchive.sources.tunnel import Tunnel

_Session = TypeVar("_Session")


class Purpose(Enum):
    """The most that a session may ever do on the server, whatever a bug asks for."""

    READ = auto()
    DELETE = auto()
    RESTORE = auto()


def connect(
    address: ServerAddress,
    proof: Proof | str,
    trust: Trust,
    *,
    purpose: Purpose = Purpose.READ,
    tunnel: Tunnel | None = None,
) -> ImapSource | PopSource:
    """Connect and sign in.

    Args:
        address: Where, and who.
        proof: What proves it, asked for each session; a text is a password.
        trust: Whose certificates count.
        purpose: The most that may be done.
        tunnel: The command to speak to; it goes with the address of a tunnel, and needs neither proof nor trust.

    Raises:
        UsageError: The purpose cannot be on this server, or a tunnel has no command.
        AccountError: Unreachable, not trusted, sign-in refused, or to be tried later.
    """
    proof = Secret(proof) if isinstance(proof, str) else proof
    if address.protocol == "pop":
        return _connect_pop(address, proof, trust, purpose)
    # Imported here, because `--help` must not wait for ssl and imapclient.
    from mailarchive.sources.imap import ImapSource
    from mailarchive.sources.imap_gate import Phase
    from mailarchive.sources.imap_session import enter, sign_in

    phases = {Purpose.READ: Phase.READING, Purpose.DELETE: Phase.DELETING, Purpose.RESTORE: Phase.RESTORING}
    if tunnel is None and address.security is Security.TUNNEL:
        raise UsageError("the command of a tunnel stands in the configuration", hint="name the account")

    def begin() -> Session:
        if tunnel is not None:
            return enter(tunnel.open(address.host), address)
        return _let_in(lambda secret: sign_in(address, secret, trust), proof)

    session = begin()
    source = ImapSource(session, phases[purpose], begin)
    try:
        source.introduce()
    except BaseException:
        session.wire.close()
        raise
    return source


def _connect_pop(address: ServerAddress, proof: Proof, trust: Trust, purpose: Purpose) -> PopSource:
    if purpose is Purpose.RESTORE:
        raise UsageError("POP3 takes no messages, so nothing can be put back over it", hint="name the IMAP server")
    from mailarchive.sources.pop import PopSource
    from mailarchive.sources.pop_session import sign_in

    return PopSource(
        lambda: _let_in(lambda secret: sign_in(address, secret, trust), proof),
        may_delete=purpose is Purpose.DELETE,
        quiet_end=address.host.endswith((".gmail.com", ".googlemail.com")),
    )


def _let_in(sign_in: Callable[[Secret], _Session], proof: Proof) -> _Session:
    """Sign in; a token that is refused is renewed once, a password is never sent again (lock-out)."""
    secret = proof.current()
    try:
        return sign_in(secret)
    except SignInError:
        fresh = proof.renewed()
        if fresh is None:
            raise
    return sign_in(fresh)
