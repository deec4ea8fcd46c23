"""The way into a new account: how its password is given, what proves it now, and what is kept at the end.

The law of this room: nothing is kept before the whole account is, and what was kept is taken back if the account
cannot be written. A password that is typed here goes into the keyring or a file of its own, never into the
configuration.
"""

from __future__ import annotations

import contextlib
import shlex
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mailarchive import keychain
from mailarchive.cli.proving import store_of
from mailarchive.config_values import OAuthKeys
from mailarchive.config_writing import write_password
from mailarchive.credentials import PasswordSources, given_password, password_for
from mailarchive.discovery import Way
from mailarchive.errors import ConfigError, MailarchiveError, UsageError
from mailarchive.screen.words import tilde
from mailarchive.secret import checked
from mailarchive.tokens import TokenStore, state_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mailarchive.address import ServerAddress
    from mailarchive.cli.asking import Asker
    from mailarchive.cli.options import Shared
    from mailarchive.secret import Proof, Secret
    from mailarchive.tokens import Tokens

WAYS: Final = {
    "command": "a command prints the password: pass, gopass, secret-tool, ...",
    "keyring": "the keyring of the desktop keeps it",
    "file": "a file that only you can read holds it",
    "oauth": "sign in at the provider (OAuth2); no password",
    "ask": "nothing is kept: you are asked each time",
}
_FLAGS: Final = {
    "command": "password_command",
    "keyring": "keyring",
    "file": "password_file",
    "oauth": "oauth",
    "ask": "ask_password",
}
_NAMED: Final = "--password-command, --password-file, --keyring, --oauth or --ask-password"
_INSTEAD: Final = "use another way: a command or a file"


def _nothing() -> None:
    """Keep nothing."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """How one gets in.

    Attributes:
        keys: What the account says of it, as `NewAccount` has it.
        proof: What proves it now; None where nothing is tried.
        keep: Keeps what was typed, at the end. `forget`: takes that back.
        typed: The password, where the next run would ask for it once more.
        needs_login: Whether a person has to sign in at the provider first.
    """

    keys: dict[str, Any]
    proof: Proof | None
    keep: Callable[[], None] = _nothing
    forget: Callable[[], None] = _nothing
    typed: Secret | None = field(default=None, repr=False)
    needs_login: bool = False


class Proposer:
    """Asks how to get in.

    Args:
        asker: Asks.
        options: What the command line says.
        shared: What every command knows.
        environ: The environment variables.
        folder: That of the configuration.
    """

    def __init__(
        self, asker: Asker, options: Mapping[str, Any], shared: Shared, environ: Mapping[str, str], folder: Path
    ) -> None:
        # Without a try and without a person the secret is left to be put there another day.
        self._tries, self._leaves = options["test"], not options["test"] and not asker.asks
        self._home, self._folder = environ.get("HOME", ""), folder
        self._asker, self._options, self._shared, self._environ = asker, options, shared, environ

    def way(self, usual: tuple[Way, ...]) -> str:
        """Give the word of the way that the command line names, or a person chooses.

        Args:
            usual: What the server takes, the usual one first; empty where nobody knows.
        """
        said = [word for word, flag in _FLAGS.items() if self._options[flag]]
        if self._options["token_command"] and "oauth" not in said:
            said.append("oauth")
        if len(said) > 1:
            raise UsageError("there are several ways to sign in at once", hint=f"give only one of {_NAMED}")
        if said:
            return said[0]
        if not self._asker.asks:
            raise UsageError("how to sign in is missing, and nobody may be asked", hint=f"give one of {_NAMED}")
        first = "oauth" if usual[:1] == (Way.OAUTH,) else "command"
        return self._asker.choice("Where does the password come from", _NAMED, WAYS, first)

    def proposal(self, way: str, name: str, address: ServerAddress, provider: str | None) -> Proposal:
        """Get everything that a way needs; nothing is kept yet.

        Args:
            way: A word of `WAYS`.
            name: Of the account.
            address: Server and user.
            provider: Whom OAuth2 is likely to ask.

        Raises:
            MailarchiveError: It cannot be had.
        """
        match way:
            case "command":
                return self._command(name)
            case "keyring":
                return self._keyring(name, address)
            case "file":
                return self._file(name, address)
            case "oauth":
                return self._oauth(name, address, provider)
        typed = self._typed(name, address) if self._tries else None
        return Proposal({}, typed, typed=typed)

    def _command(self, name: str) -> Proposal:
        given = self._options["password_command"]
        command = self._asker.value("The command that prints the password", "--password-command", _line, given=given)
        sources = PasswordSources(account=name, environ=self._environ, configured_command=command)
        return Proposal({"password_command": command}, password_for(sources) if self._tries else None)

    def _keyring(self, name: str, address: ServerAddress) -> Proposal:
        who = f"{name}: "
        if self._leaves:
            return Proposal({"keyring": True}, None)
        there = keychain.read(name, who, _INSTEAD)
        if there is not None:
            return Proposal({"keyring": True}, checked(there, f"{who}the password in the keyring"))
        typed = self._typed(name, address)
        return Proposal(
            {"keyring": True},
            typed,
            lambda: keychain.write(name, typed.reveal(), who, _INSTEAD),
            lambda: _ignored(keychain.remove, name, who, _INSTEAD),
        )

    def _file(self, name: str, address: ServerAddress) -> Proposal:
        usual = tilde(str(self._folder / f"{name}.password"), self._home)
        given = self._options["password_file"]
        path = self._asker.value("The file for it", "--password-file", absolute, given=given, usual=usual)
        keys = {"password_file": tilde(str(path), self._home)}
        if self._leaves:
            return Proposal(keys, None)
        if path.exists():
            return Proposal(keys, password_for(PasswordSources(account=name, configured_file=path)))
        typed = self._typed(name, address)
        return Proposal(keys, typed, lambda: write_password(path, typed), lambda: path.unlink(missing_ok=True))

    def _typed(self, name: str, address: ServerAddress) -> Secret:
        """Get the password from the account's variable or from a person, each time anew after a refusal."""
        sources = PasswordSources(account=name, environ=self._environ)
        given = given_password(sources)
        if given is not None:
            return given
        question = f"Password of {address.user} on {address.host}"
        instead = f"give it in the variable {sources.variable}"
        return checked(self._asker.secret(question, instead), "the password typed in")

    def _oauth(self, name: str, address: ServerAddress, provider: str | None) -> Proposal:
        keys = self._oauth_keys(provider)
        if keys.token_command is not None:
            from mailarchive.oauth import HelperToken

            return Proposal({"oauth": keys}, HelperToken(keys.token_command, name, self._environ))
        if not self._asker.asks:
            return Proposal({"oauth": keys}, None, needs_login=True)
        from mailarchive.cli.signing_in import ask_person
        from mailarchive.oauth import Grant

        held = _Held(state_folder(self._environ) / "tokens", name)
        grant = Grant(keys, name, address, held, self._environ)
        ask_person(grant, name, self._shared, self._environ, device=self._options["device"])
        there = store_of(name, self._environ, keyring=False)
        return Proposal({"oauth": keys}, grant, held.keep, lambda: _ignored(there.forget))

    def _oauth_keys(self, provider: str | None) -> OAuthKeys:
        said, ask = self._options, self._asker.value
        if said["token_command"]:
            return OAuthKeys(token_command=said["token_command"])
        given = said["oauth"]
        word = ask("Whom to ask, google, microsoft or a name of yours", "--oauth", _line, given=given, usual=provider)
        issuer = said["issuer"]
        if word not in ("google", "microsoft"):
            issuer = ask("The address of the issuer, https://...", "--issuer", _line, given=issuer)
        client = ask(
            "Your client id there (README, 'Google and Microsoft')", "--client-id", _line, given=said["client_id"]
        )
        secret = said["client_secret_command"]
        if word == "google" and secret is None and self._asker.asks:
            question = "A command that prints the client's secret, if it has one"
            secret = ask(question, "--client-secret-command", str.strip, given=None, usual="")
        return OAuthKeys(
            provider=word,
            client_id=client,
            client_secret_command=secret or None,
            issuer=issuer,
            scopes=tuple(said["scope"]),
        )


class _Held(TokenStore):
    """Holds the tokens in memory until they are to be kept."""

    _tokens: Tokens | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock nothing: nobody else knows of them."""
        yield

    def load(self) -> Tokens | None:
        """Give what is held."""
        return self._tokens

    def save(self, tokens: Tokens) -> None:
        """Hold these."""
        self._tokens = tokens

    def keep(self) -> None:
        """Put them where runs look for them."""
        assert self._tokens is not None
        with super().locked():
            super().save(self._tokens)


def absolute(text: str) -> Path:
    """Make a path of what was typed: `~` is a home, and what is relative lies in the current folder."""
    if not text.strip():
        raise UsageError("the path is empty")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise UsageError(f"{shlex.quote(text)}: the home folder of that user is not known") from None


def _line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ConfigError("it is empty, or holds a control character")
    return text.strip()


def _ignored(function: Callable[..., object], *arguments: object) -> None:
    """Take something back as far as possible; the error that made it necessary is the one to tell."""
    with contextlib.suppress(MailarchiveError):
        function(*arguments)
