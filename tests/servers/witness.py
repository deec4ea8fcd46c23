r"""The independent witness: a small IMAP client of the standard library alone that seeds mailboxes and reads them back.

Law of this room: nothing here comes from the package under test or from the IMAP library it stands on, so that a bug
in either cannot hide itself. Reading uses EXAMINE and BODY.PEEK and changes nothing. One command at a time, except
`append_many`, which sends many messages in one MULTIAPPEND (RFC 3502) with non-synchronizing literals (RFC 7888).
"""

from __future__ import annotations

import base64
import binascii
import imaplib
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Sequence

LOOPBACK = "127.0.0.1"
_BATCH = 250
_TIMEOUT = 60
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LIST_LINE = re.compile(rb"\((?P<attributes>[^)]*)\) (?:NIL|\"(?:\\.|[^\"\\])*\") (?P<name>.*)", re.DOTALL)
_APPENDUID = re.compile(rb"\[APPENDUID \d+ (?P<uids>[\d:,]+)\]")
_FACTS = {
    "uid": re.compile(rb"UID (\d+)"),
    "flags": re.compile(rb"FLAGS \(([^)]*)\)"),
    "date": re.compile(rb'INTERNALDATE "([^"]+)"'),
    "size": re.compile(rb"RFC822\.SIZE (\d+)"),
}


class Seed(Protocol):
    """What `append_many` needs to know of a message; `tests.corpus.Sample` is one."""

    @property
    def raw(self) -> bytes:
        """The octets, with CRLF, at least one."""

    @property
    def internal_date(self) -> datetime:
        """The INTERNALDATE to give it, aware."""

    @property
    def flags(self) -> tuple[str, ...]:
        """Its flags and keywords."""


class Facts(NamedTuple):
    r"""Flags and keywords without `\Recent`, INTERNALDATE as an aware instant, RFC822.SIZE in octets."""

    flags: frozenset[str]
    internal_date: datetime
    size: int


class Whole(NamedTuple):
    r"""One message as the server gives it: octets, flags and keywords without `\Recent`, INTERNALDATE."""

    octets: bytes
    flags: frozenset[str]
    internal_date: datetime


class WitnessError(AssertionError):
    """The server answered something else than OK."""


def encode_mailbox(name: str) -> str:
    """Write a mailbox name in modified UTF-7 (RFC 3501 section 5.1.3)."""

    def block(match: re.Match[str]) -> str:
        if match[0] == "&":
            return "&-"
        return "&" + base64.b64encode(match[0].encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"

    return re.sub(r"&|[^\x20-\x7e]+", block, name)


def decode_mailbox(wire: str) -> str:
    """Read a mailbox name in modified UTF-7; `ValueError` where it is none."""

    def block(match: re.Match[str]) -> str:
        if not match[1]:
            return "&"
        coded = match[1].replace(",", "/")
        try:
            return base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True).decode("utf-16-be")
        except binascii.Error as error:
            raise ValueError(f"not modified UTF-7: {wire}") from error

    return re.sub(r"&([^-]*)-", block, wire)


def quoted(name: str) -> str:
    """Write a mailbox name as a quoted string for a command line."""
    return '"' + encode_mailbox(name).replace("\\", "\\\\").replace('"', '\\"') + '"'


def imap_date(instant: datetime) -> str:
    """Write an aware instant as the date-time of APPEND (RFC 9051 section 9), in its own zone."""
    if instant.tzinfo is None:
        raise ValueError("an internal date needs a zone")
    return f"{instant.day:02d}-{_MONTHS[instant.month - 1]}-{instant:%Y %H:%M:%S %z}"


def date_header(octets: bytes) -> datetime | None:
    """Read the topmost Date field of a message with the standard library; None where there is none that is one."""
    head = octets.partition(b"\r\n\r\n")[0]
    field = re.search(rb"^date:[ \t]*([^\r\n]*)", head, re.IGNORECASE | re.MULTILINE)
    try:
        date = parsedate_to_datetime(field[1].decode("latin-1")) if field else None
    except (ValueError, OverflowError):
        return None
    return date if date is None or date.tzinfo else date.replace(tzinfo=UTC)


def touched(commands: Iterable[bytes]) -> dict[str, dict[str, set[int]]]:
    """Read from the commands of one client which UIDs of which mailbox each changing command named.

    Gives for each mailbox, by its decoded name, the sets by command: `+STORE`, `-STORE`, `EXPUNGE`, `MOVE`, `COPY`.
    """
    found: dict[str, dict[str, set[int]]] = {}
    mailbox = ""
    for command in commands:
        if opened := re.match(rb"\S+ (?:SELECT|EXAMINE) (.*)", command):
            wire = re.sub(rb"\\(.)", rb"\1", opened[1].strip(b'"')).decode()
            mailbox = decode_mailbox(wire)
        elif named := re.match(rb"\S+ UID (STORE|EXPUNGE|MOVE|COPY) ([\d:,]+)(?: ([+-])FLAGS)?", command):
            word = ((named[3] or b"") + named[1]).decode()
            found.setdefault(mailbox, {}).setdefault(word, set()).update(_uid_set(named[2]))
    return found


def _instant(text: str) -> datetime:
    day, month, rest = text.strip().split("-", 2)
    return datetime.strptime(f"{int(day):02d} {_MONTHS.index(month) + 1:02d} {rest}", "%d %m %Y %H:%M:%S %z")


def _uid_set(text: bytes) -> Iterator[int]:
    for part in text.split(b","):
        first, _, last = part.partition(b":")
        yield from range(int(first), int(last or first) + 1)


class Witness:
    """One signed-in connection; use it as a context manager.

    Args:
        port: Port on the loopback.
        user: Name, in any characters.
        password: Secret, in any characters.
        tls: Context for implicit TLS; None speaks plain text.
        tls_name: The name that the certificate must carry.
    """

    def __init__(
        self, port: int, user: str, password: str, *, tls: ssl.SSLContext | None = None, tls_name: str = "localhost"
    ) -> None:
        self.imap: imaplib.IMAP4
        if tls is None:
            self.imap = imaplib.IMAP4(LOOPBACK, port, timeout=_TIMEOUT)
        else:
            self.imap = imaplib.IMAP4_SSL(tls_name, port, ssl_context=tls, timeout=_TIMEOUT)
        self._tags = 0
        try:
            self.imap.authenticate("PLAIN", lambda _challenge: f"\0{user}\0{password}".encode())
        except BaseException:
            self.imap.shutdown()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Log out and close the line, whatever state it is in."""
        try:
            self.imap.logout()
        except (imaplib.IMAP4.error, OSError):
            self.imap.shutdown()

    def mailboxes(self) -> dict[str, frozenset[str]]:
        r"""Return every mailbox by its decoded name, with the attributes of LIST, such as `\Trash`."""
        found = {}
        for line in self._ok(self.imap.list()):
            if line is None:
                continue
            head, literal = line if isinstance(line, tuple) else (line, None)
            match = _LIST_LINE.fullmatch(head)
            if match is None:
                if head:
                    raise WitnessError(f"LIST: {head!r}")
                continue
            wire = match["name"] if literal is None else literal
            if literal is None and wire.startswith(b'"'):
                wire = re.sub(rb"\\(.)", rb"\1", wire[1:-1])
            found[decode_mailbox(wire.decode())] = frozenset(match["attributes"].decode().split())
        return found

    def append_many(self, mailbox: str, messages: Iterable[Seed]) -> list[int]:
        """Append the messages in order, the mailbox being made when it is not there, and return their UIDs."""
        self.imap.create(quoted(mailbox))
        pending = iter(messages)
        uids: list[int] = []
        while batch := list(islice(pending, _BATCH)):
            uids += self._multiappend(mailbox, batch)
        return uids

    def raw_messages(self, mailbox: str) -> dict[int, bytes]:
        """Return the octets of every message by UID, as the server sends them."""
        found = {}
        for line in self._fetch(mailbox, "(UID BODY.PEEK[])"):
            if isinstance(line, tuple):
                found[_uid(line[0])] = line[1]
        return found

    def facts(self, mailbox: str) -> dict[int, Facts]:
        """Return flags, INTERNALDATE and RFC822.SIZE of every message by UID."""
        found = {}
        for line in self._fetch(mailbox, "(UID FLAGS INTERNALDATE RFC822.SIZE)"):
            if not isinstance(line, bytes):
                raise WitnessError(f"FETCH of facts: {line!r}")
            parts = {name: _required(pattern, line) for name, pattern in _FACTS.items()}
            flags = frozenset(parts["flags"].split()) - {"\\Recent"}
            found[int(parts["uid"])] = Facts(flags, _instant(parts["date"]), int(parts["size"]))
        return found

    def whole(self, mailbox: str) -> dict[int, Whole]:
        """Return every message by UID."""
        octets, facts = self.raw_messages(mailbox), self.facts(mailbox)
        return {uid: Whole(octets.get(uid, b""), each.flags, each.internal_date) for uid, each in facts.items()}

    def everything(self) -> dict[str, dict[int, Whole]]:
        """Return every message of every mailbox that can be opened and is not empty."""
        names = (name for name, attributes in self.mailboxes().items() if "\\Noselect" not in attributes)
        return {name: messages for name in names if (messages := self.whole(name))}

    def store(self, mailbox: str, uids: Iterable[int], change: str) -> None:
        r"""Change flags, for instance by `+FLAGS (\Deleted)`."""
        self._change(mailbox, "STORE", ",".join(map(str, uids)), change)

    def expunge(self, mailbox: str, uids: Iterable[int]) -> None:
        """Remove exactly these messages."""
        numbers = ",".join(map(str, uids))
        self._change(mailbox, "STORE", numbers, "+FLAGS (\\Deleted)")
        self._change(mailbox, "EXPUNGE", numbers)

    def copy(self, mailbox: str, uids: Iterable[int], target: str) -> None:
        """Copy messages to another mailbox."""
        self._change(mailbox, "COPY", ",".join(map(str, uids)), quoted(target))

    def move(self, mailbox: str, uids: Iterable[int], target: str) -> None:
        """Move messages to another mailbox."""
        self._change(mailbox, "MOVE", ",".join(map(str, uids)), quoted(target))

    def uidvalidity(self, mailbox: str) -> int:
        """Return UIDVALIDITY of the mailbox."""
        answer = self._ok(self.imap.status(quoted(mailbox), "(UIDVALIDITY)"))
        return int(_required(re.compile(rb"UIDVALIDITY (\d+)\)$"), answer[0]))

    def quota(self, mailbox: str = "INBOX") -> tuple[int, int]:
        """Return use and limit of STORAGE in octets for the root of a mailbox (RFC 9208 section 4.2.2)."""
        _roots, answers = self._ok(self.imap.getquotaroot(quoted(mailbox)))
        match = re.search(rb"STORAGE (\d+) (\d+)", answers[0])
        if match is None:
            raise WitnessError(f"no STORAGE quota: {answers!r}")
        return int(match[1]) * 1024, int(match[2]) * 1024

    def _fetch(self, mailbox: str, items: str) -> Iterator[bytes | tuple[bytes, bytes]]:
        exists = self._ok(self.imap.select(quoted(mailbox), readonly=True))
        count = int(exists[0])
        for first in range(1, count + 1, _BATCH):
            yield from self._ok(self.imap.fetch(f"{first}:{min(first + _BATCH - 1, count)}", items))

    def _change(self, mailbox: str, *words: str) -> None:
        self._ok(self.imap.select(quoted(mailbox)))
        self._ok(self.imap.uid(*words))

    def _multiappend(self, mailbox: str, batch: Sequence[Seed]) -> list[int]:
        self._tags += 1
        tag = f"W{self._tags}".encode()
        out = bytearray(tag + b" APPEND " + quoted(mailbox).encode())
        for message in batch:
            date, size = imap_date(message.internal_date), len(message.raw)
            out += f' ({" ".join(message.flags)}) "{date}" {{{size}+}}\r\n'.encode() + message.raw
        self.imap.send(out + b"\r\n")
        while not (line := self.imap.readline()).startswith(tag + b" "):
            if not line:
                raise WitnessError("the server hung up during APPEND")
        match = _APPENDUID.search(line)
        if not line.startswith(tag + b" OK ") or match is None:
            raise WitnessError(f"APPEND to {mailbox}: {line!r}")
        return list(_uid_set(match["uids"]))

    @staticmethod
    def _ok(answer: tuple[str, Any]) -> Any:
        kind, data = answer
        if kind != "OK":
            raise WitnessError(f"{kind} {data!r}")
        return data


class Observed:
    """What a test may do to the mail of one user: each call signs in, acts and signs out."""

    __slots__ = ()

    def witness(self) -> Witness:
        """Return a signed-in client, to be used as a context manager."""
        raise NotImplementedError

    def append_many(self, mailbox: str, messages: Iterable[Seed]) -> list[int]:
        """See `Witness.append_many`."""
        with self.witness() as witness:
            return witness.append_many(mailbox, messages)

    def raw_messages(self, mailbox: str = "INBOX") -> dict[int, bytes]:
        """See `Witness.raw_messages`."""
        with self.witness() as witness:
            return witness.raw_messages(mailbox)

    def facts(self, mailbox: str = "INBOX") -> dict[int, Facts]:
        """See `Witness.facts`."""
        with self.witness() as witness:
            return witness.facts(mailbox)

    def whole(self, mailbox: str = "INBOX") -> dict[int, Whole]:
        """See `Witness.whole`."""
        with self.witness() as witness:
            return witness.whole(mailbox)

    def everything(self) -> dict[str, dict[int, Whole]]:
        """See `Witness.everything`."""
        with self.witness() as witness:
            return witness.everything()

    def mailboxes(self) -> dict[str, frozenset[str]]:
        """See `Witness.mailboxes`."""
        with self.witness() as witness:
            return witness.mailboxes()

    def quota(self) -> tuple[int, int]:
        """See `Witness.quota`."""
        with self.witness() as witness:
            return witness.quota()


def _uid(line: bytes) -> int:
    return int(_required(_FACTS["uid"], line))


def _required(pattern: re.Pattern[bytes], line: bytes) -> str:
    match = pattern.search(line)
    if match is None:
        raise WitnessError(f"{pattern.pattern!r} not in {line!r}")
    return match[1].decode()
