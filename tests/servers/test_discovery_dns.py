"""Mail servers in DNS (`mailarchive.discovery.records`), from a name server on this computer."""

from __future__ import annotations

import socket
import sys
import threading
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from mailarchive.discovery import mail_address, records
from mailarchive.discovery.records import NoAnswerError, Resolver, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

ZONE = {
    ("_imaps._tcp.example.org.", "SRV"): ["10 1 993 imap.example.org.", "0 0 9930 first.hoster.example."],
    ("_imap._tcp.example.org.", "SRV"): ["0 0 0 ."],
    ("example.org.", "MX"): ["20 b.example.org.", "10 ASPMX.L.Google.com.", "0 ."],
    ("evil.example.", "MX"): ["0 e\\027vil.example.", "5 127.0.0.1."],
    ("empty.example.", "TXT"): ['"x"'],
}


def answered(data: bytes) -> bytes | None:
    """Answer a question from the zone; not at all for a name that begins with `mute`."""
    question = dns.message.from_wire(data)
    answer = dns.message.make_response(question)
    answer.flags |= dns.flags.RA
    (asked,) = question.question
    name, kind = asked.name.to_text().lower(), dns.rdatatype.to_text(asked.rdtype)
    if name.startswith("mute"):
        return None
    if (name, kind) in ZONE:
        answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", kind, *ZONE[name, kind]))
    elif name not in {each for each, _ in ZONE}:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer.to_wire()


@pytest.fixture(autouse=True)
def _name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Answer, and be the resolver of this computer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("127.0.0.1", 0))
        door.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    data, who = door.recvfrom(4096)
                except TimeoutError:
                    continue
                if (answer := answered(data)) is not None:
                    door.sendto(answer, who)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], door.getsockname()[1]
        monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
        monkeypatch.setattr(records, "_PATIENCE", 0.5)
        yield
        over.set()
        thread.join()


def test_services_are_read() -> None:
    """As they stand, and "no such service" is one that leads nowhere."""
    found = records.candidates(Resolver(), mail_address("me@example.org"), "imap")
    assert [each.address.shown for each in found] == ["imaps://first.hoster.example:9930", "imaps://imap.example.org"]
    assert Resolver().services("_imap._tcp.example.org") == [Service(0, 0, 0, ".")]


def test_exchangers_are_read_in_their_order() -> None:
    """Lower-case, and only what is a host name."""
    assert Resolver().exchangers("example.org") == ["aspmx.l.google.com", "b.example.org"]
    assert Resolver().exchangers("evil.example") == []


@pytest.mark.parametrize("name", ["empty.example", "nobody.example"])
def test_a_name_without_records_has_none(name: str) -> None:
    """Whether the name is there or not."""
    assert Resolver().services(name) == []
    assert Resolver().exchangers(name) == []


def test_a_name_server_that_is_silent() -> None:
    """One sentence, within the patience."""
    with pytest.raises(NoAnswerError, match="DNS does not answer"):
        Resolver().exchangers("mute.example")


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to type."""
    for name in ("dns", "dns.resolver", "dns.exception"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(NoAnswerError, match=r"pip install 'mailarchive\[dns\]'"):
        Resolver().exchangers("example.org")
