"""The steps of `mailarchive init`, one after the other.

The law of this room: nothing is written before everything is known, tried and agreed to, so that Ctrl-C at any
question leaves nothing behind; what others said about a server is shown, made safe, and counts only after a yes.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mailarchive.address import parse_url
from mailarchive.archives.opening import open_for_reading
from mailarchive.cli.asking import Asker
from mailarchive.cli.looking import look
from mailarchive.cli.proposing import Proposer, absolute
from mailarchive.config import default_path
from mailarchive.config_text import NewAccount
from mailarchive.config_writing import Draft
from mailarchive.discovery import DIRECTORY, Way, known, look_up, mail_address
from mailarchive.discovery.autoconfig import MOST
from mailarchive.discovery.candidate import Candidate
from mailarchive.discovery.https import Https
from mailarchive.discovery.records import Resolver
from mailarchive.errors import ConfigError, ExitCode, MailarchiveError, UsageError
from mailarchive.screen.safe import safe
from mailarchive.screen.words import tilde
from mailarchive.sources import connect
from mailarchive.sources.tls import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mailarchive.cli.options import Shared
    from mailarchive.cli.proposing import Proposal
    from mailarchive.discovery import Found, MailAddress

_WAYS: Final = {
    Way.PASSWORD: "the password",
    Way.APP_PASSWORD: "an app password, made in the web settings",
    Way.OAUTH: "OAuth2, a sign-in at the provider",
}
_FORMS: Final = {
    "maildir": "a file for each message (Maildir)",
    "mbox": "a file for each mailbox and year (mbox)",
}


def initialise(options: Mapping[str, Any], shared: Shared, environ: Mapping[str, str]) -> int:
    """Set an account up; gives the exit code.

    Args:
        options: Those of the command.
        shared: What every command knows.
        environ: The environment variables.

    Raises:
        MailarchiveError: It cannot be done; nothing was written.
    """
    path = Path(shared.config) if shared.config else default_path(environ)
    asker = Asker(asks=not shared.no_input and sys.stdin is not None and sys.stdin.isatty())
    return _Wizard(options, shared, environ, Draft(path.absolute(), environ), asker).run()


@dataclass(frozen=True, slots=True)
class _Wizard:
    options: Mapping[str, Any]
    shared: Shared
    environ: Mapping[str, str]
    draft: Draft
    asker: Asker

    def run(self) -> int:
        """Go through the steps."""
        found, who = self._server()
        name = self._name(found, who)
        account, proposal = self._way_in(NewAccount(name, found.address), found)
        account = self._place(self._age(account))
        lines = "\n".join(f"  {safe(line, limit=1000)}" for line in account.lines())
        self.draft.text(account)
        self.asker.tell(f"\n{lines}\n")
        if not self.asker.yes(f"Write this into {self._shown(self.draft.path)}", "--no-input", usual=True):
            self.asker.tell("Nothing was written.")
            return ExitCode.DONE
        self._write(account, proposal)
        return self._first_look(account, proposal)

    # Which server

    def _server(self) -> tuple[Candidate, str]:
        """Give the server, and the address or user that an account can be named after."""
        given, user = self.options["server"], self.options["user"]
        if given is not None:
            address = self.options["address"]
            mail = mail_address(address).text if address else None
            found = Candidate(parse_url(given, user=user or (None if "@" in given else mail)), "--server")
            return found, mail or found.address.user
        mail_found = self.asker.value("Your e-mail address", "EMAIL", mail_address, given=self.options["address"])
        found = self._offered(mail_found) or self._typed(mail_found)
        if user is not None:
            found = replace(found, address=replace(found.address, user=user))
        return found, mail_found.text

    def _offered(self, mail: MailAddress) -> Candidate | None:
        """Find a server that a person agrees to."""
        protocol: Any = "pop" if self.options["pop"] else "imap"
        there = known(mail, protocol)
        if there is not None:
            self._show(there)
            return there if self.asker.yes("Use this server", "--server", usual=True) else None
        if not self._may_look_up(mail):
            return None
        found: Found = look_up(mail, protocol, Https(MOST), Resolver())
        for sentence in found.silent:
            self.asker.tell(f"  - {safe(sentence, limit=300)}")
        for candidate in found.candidates:
            if not self.asker.asks:
                url = candidate.address.shown
                raise UsageError(f"{candidate.source} names {url}, and nobody may be asked", hint=f"--server {url}")
            self._show(candidate)
            if self.asker.yes("Use this server", "--server", usual=not candidate.doubts):
                return candidate
        return None

    def _may_look_up(self, mail: MailAddress) -> bool:
        self.asker.tell(
            f"The server of {safe(mail.domain)} is not known here. To find it, autoconfig.{safe(mail.domain)} and"
            f" {safe(mail.domain)}\nwould be told your address, and {DIRECTORY} and DNS the domain."
        )
        given = self.options["lookup"]
        return self.asker.yes("Look it up there", "--lookup", given=given, usual=False)

    def _typed(self, mail: MailAddress) -> Candidate:
        scheme = "pops" if self.options["pop"] else "imaps"

        def read(text: str) -> Candidate:
            url = text if "://" in text else f"{scheme}://{text}"
            return Candidate(parse_url(url, user=None if "@" in url else mail.text), "typed")

        return self.asker.value(f"The server, such as {scheme}://mail.example.org", "--server", read, given=None)

    def _show(self, found: Candidate) -> None:
        rows = [
            ("server", f"{found.address.shown} ({found.source})"),
            ("user", found.address.user),
            *(("sign-in", _WAYS[way]) for way in found.ways),
            *(("note", note) for note in found.notes),
            *(("careful", doubt) for doubt in found.doubts),
        ]
        for head, text in rows:
            self.asker.tell(f"  {head:<8} {safe(text, limit=400)}")

    # What to call it, and how to get in

    def _name(self, found: Candidate, who: str) -> str:
        def fitting(name: str) -> str:
            if name in self.draft.config.accounts:
                raise ConfigError(f"{self.draft.path} has an account {name} already", hint="choose another: --name")
            self.draft.text(NewAccount(name, found.address))
            return name

        usual = _usual_name(who, found.address.host)
        if self.asker.asks:
            # A script that runs twice must hear that it did; a person is offered a name that is free.
            taken = self.draft.config.accounts
            usual = next(name for n in count(1) if (name := f"{usual}{n if n > 1 else ''}") not in taken)
        return self.asker.value("A name for the account", "--name", fitting, given=self.options["name"], usual=usual)

    def _way_in(self, account: NewAccount, found: Candidate) -> tuple[NewAccount, Proposal]:
        """Get in, or take a person's word that it will be possible; after a refusal another way may be tried."""
        options: dict[str, Any] = dict(self.options)
        if options["ca_file"]:
            account = replace(account, ca_file=self._shown(absolute(options["ca_file"])))
        while True:
            proposer = Proposer(self.asker, options, self.shared, self.environ, self.draft.path.parent)
            try:
                way = proposer.way(found.ways)
                proposal = proposer.proposal(way, account.name, account.address, found.provider)
                if options["test"] and proposal.proof is not None:
                    self._try(account, proposal)
                return replace(account, **proposal.keys), proposal
            except UsageError:
                raise
            except MailarchiveError as error:
                if not self.asker.asks:
                    raise
                self.asker.complain(error)
                if not self.asker.yes("Try once more, or in another way", "--no-test", usual=True):
                    raise
                for flag in ("password_command", "password_file", "keyring", "oauth", "ask_password", "token_command"):
                    options[flag] = None

    def _try(self, account: NewAccount, proposal: Proposal) -> None:
        assert proposal.proof is not None
        self.asker.tell(f"Signing in to {account.address.host} ...")
        trust = Trust(absolute(account.ca_file) if account.ca_file else None)
        with connect(account.address, proposal.proof, trust) as source:
            for line in look(source):
                self.asker.tell(line)

    # Which mail, and where to

    def _age(self, account: NewAccount) -> NewAccount:
        from mailarchive.dates import DateSyntaxError, parse_age

        def read(text: str) -> str | None:
            if text.casefold() == "all":
                return None
            try:
                parse_age(text)
            except DateSyntaxError as error:
                raise UsageError(f"--older-than {error.message}", hint=error.hint) from None
            return text

        usual = "1y" if self.asker.asks else "all"
        question = "Archive mail older than (1y, 18m for months, 90d; all)"
        age = self.asker.value(question, "--older-than", read, given=self.options["older_than"], usual=usual)
        return replace(account, older_than=age)

    def _place(self, account: NewAccount) -> NewAccount:
        usual = self.draft.config.archive / account.name

        def fitting(text: str) -> tuple[NewAccount, bool]:
            path = absolute(text)
            placed = account if path == usual else replace(account, archive=self._shown(path))
            self.draft.text(placed)
            there = open_for_reading(path, account.address.identity)
            if there is not None:
                there.close()
            return placed, there is not None

        shown = self._shown(usual)
        given = self.options["to"]
        placed, is_there = self.asker.value("The folder of the archive", "--to", fitting, given=given, usual=shown)
        form = self.options["format"]
        if form is None and not is_there and self.asker.asks:
            form = self.asker.choice("How to keep the mail", "--format", _FORMS, "maildir")
        return replace(placed, format=form)

    # The end

    def _write(self, account: NewAccount, proposal: Proposal) -> None:
        proposal.keep()
        try:
            self.draft.write(account)
        except BaseException:
            proposal.forget()
            raise
        if self.shared.json:
            event = {"event": "configured", "account": account.name, "config": str(self.draft.path)}
            click.echo(json.dumps(event))
        elif not self.shared.quiet:
            shown = safe(self._shown(self.draft.path), limit=1000)
            click.echo(f"{account.name}: {account.address.shown}, written into {shown}")

    def _first_look(self, account: NewAccount, proposal: Proposal) -> int:
        name = account.name
        if proposal.needs_login:
            self._next(f"mailarchive login {name}")
            return ExitCode.DONE
        question = "Show what a first backup would fetch (nothing is changed)"
        code = int(ExitCode.DONE)
        if self.asker.yes(question, "--dry-run", given=self.options["dry_run"], usual=self.asker.asks):
            code = self._dry_run(name, proposal)
        self._next(f"mailarchive backup {name}")
        return code

    def _dry_run(self, name: str, proposal: Proposal) -> int:
        from mailarchive.cli import running
        from mailarchive.cli.options import Selection
        from mailarchive.cli.targets import targets
        from mailarchive.credentials import PasswordSources

        environ = dict(self.environ)
        if proposal.typed is not None:
            environ[PasswordSources(account=name).variable] = proposal.typed.reveal()
        unsaid: dict[str, Any] = dict.fromkeys(
            ("to", "user", "password_command", "password_file", "ca_file", "fingerprint", "wait")
        )
        shared = replace(self.shared, config=str(self.draft.path))
        work: Callable[..., ExitCode] = lambda target, screen, interrupt: running.run_backup(  # noqa: E731
            target, Selection.of(), screen, interrupt, dry_run=True
        )
        return running.run_each(targets((name,), unsaid, shared, environ), work, shared)

    def _next(self, command: str) -> None:
        config = f" --config {shlex.quote(self.shared.config)}" if self.shared.config else ""
        if not (self.shared.quiet or self.shared.json):
            click.echo(f"next: {safe(command.replace('mailarchive', f'mailarchive{config}', 1), limit=1000)}")

    def _shown(self, path: Path) -> str:
        return tilde(str(path), self.environ.get("HOME", ""))


def _usual_name(who: str, host: str) -> str:
    """Make a name for an account: the first word of the domain of an address, or of the host."""
    domain = who.rpartition("@")[2] if "@" in who else host.removeprefix("imap.").removeprefix("pop.")
    word = re.sub("[^a-z0-9-]+", "", domain.partition(".")[0].lower()).strip("-")
    return word if word and not word.isdigit() else "mail"
