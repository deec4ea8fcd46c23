"""From an e-mail address to servers (`mailarchive.discovery`), without a network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive.address import Security
from mailarchive.config_values import PROVIDERS
from mailarchive.discovery import Way, autoconfig, known, look_up, mail_address, places
from mailarchive.discovery.autoconfig import MOST, NoDescriptionError
from mailarchive.discovery.https import NothingThereError
from mailarchive.discovery.presets import presets
from mailarchive.discovery.records import NoAnswerError, Service
from mailarchive.errors import UsageError

ME = mail_address("Me@example.org")
USUAL = "imaps://Me%40example.org@imap.example.org:993"


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("me@example.org", "me", "example.org"),
        (" Me@Example.ORG\n", "Me", "example.org"),
        ("a@b@example.org", "a@b", "example.org"),
        ("me@bücher.example", "me", "xn--bcher-kva.example"),
        ("jürgen@example.org.", "jürgen", "example.org"),
    ],
)
def test_an_address_is_read(text: str, local: str, domain: str) -> None:
    """The part before the last @ stays as it is, the domain becomes lower-case ASCII."""
    found = mail_address(text)
    assert (found.text, found.local, found.domain) == (text.strip(), local, domain)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "me",
        "@example.org",
        "me@",
        "me@localhost",
        "me@127.0.0.1",
        "me@[127.0.0.1]",
        "me@exa mple.org",
        "me@example.org/path",
        "me@example.org?x=1",
        "me@example.org#x",
        "me@example.org:443",
        "me@-example.org",
        "m\x1be@example.org",
        "m\re@example.org",
        "m\u202ee@example.org",
        "me@straße.example",
        f"{'m' * 250}@example.org",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Also what could steer a look-up elsewhere, or a terminal; the message is plain ASCII."""
    with pytest.raises(UsageError) as caught:
        mail_address(text)
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("text", "protocol", "url", "user", "way"),
    [
        ("me@gmail.com", "imap", "imaps://imap.gmail.com", "me@gmail.com", Way.APP_PASSWORD),
        ("me@GoogleMail.com", "pop", "pops://pop.gmail.com", "me@GoogleMail.com", Way.APP_PASSWORD),
        ("me@hotmail.de", "imap", "imaps://outlook.office365.com", "me@hotmail.de", Way.OAUTH),
        ("me@yahoo.co.uk", "imap", "imaps://imap.mail.yahoo.com", "me@yahoo.co.uk", Way.APP_PASSWORD),
        ("me@icloud.com", "imap", "imaps://imap.mail.me.com", "me", Way.APP_PASSWORD),
        ("me@web.de", "pop", "pops://pop3.web.de", "me", Way.PASSWORD),
        ("me@gmx.net", "imap", "imaps://imap.gmx.net", "me@gmx.net", Way.PASSWORD),
        ("me@fastmail.com", "imap", "imaps://imap.fastmail.com", "me@fastmail.com", Way.APP_PASSWORD),
        ("me@posteo.net", "imap", "imaps://posteo.de", "me@posteo.net", Way.PASSWORD),
        ("me@mailbox.org", "imap", "imaps://imap.mailbox.org", "me@mailbox.org", Way.PASSWORD),
        ("me@163.com", "imap", "imaps://imap.163.com", "me@163.com", Way.APP_PASSWORD),
        ("me@qq.com", "imap", "imaps://imap.qq.com", "me@qq.com", Way.APP_PASSWORD),
        ("me@proton.me", "imap", "imap://127.0.0.1:1143", "me@proton.me", Way.PASSWORD),
    ],
)
def test_providers_that_are_known(text: str, protocol: str, url: str, user: str, way: Way) -> None:
    """Server, user and the usual way in."""
    found = known(mail_address(text), "pop" if protocol == "pop" else "imap")
    assert found is not None
    assert (found.address.shown, found.address.user, found.ways[0]) == (url, user, way)


@pytest.mark.parametrize(
    ("text", "protocol"),
    [
        ("me@example.org", "imap"),
        ("me@yahoo.co.jp", "imap"),
        ("me@mail.gmail.com", "imap"),
        ("me@notgmail.com", "imap"),
        ("me@yahoo.evil.example", "imap"),
        ("me@icloud.com", "pop"),
    ],
)
def test_others_are_not_known(text: str, protocol: str) -> None:
    """No name is guessed from a similar one, and no server that does not speak the protocol."""
    assert known(mail_address(text), "pop" if protocol == "pop" else "imap") is None


def test_the_table_is_right_by_itself() -> None:
    """Every row gives an address with TLS; no domain stands there twice; where OAuth2 works, it is said whom to ask."""
    seen: set[str] = set()
    for preset in presets():
        assert not seen & {*preset.domains}
        seen |= {*preset.domains}
        assert preset.ways
        assert (Way.OAUTH in preset.ways) == (preset.provider in PROVIDERS)
        for protocol, url in (("imap", preset.imap), ("pop", preset.pop)):
            found = preset.candidate(ME, "pop" if protocol == "pop" else "imap", "x")
            assert (found is None) == (url is None)
            assert found is None or found.address.security is not Security.NONE


def description(servers: str, domain: str = "<domain>example.org</domain>", head: str = "") -> bytes:
    """Write a description."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<clientConfig version="1.1">'
        f'<emailProvider id="example.org">{domain}<displayName>Ex</displayName>{servers}</emailProvider></clientConfig>'
    ).encode()


def server(
    kind: str = "imap",
    *,
    host: str = "imap.example.org",
    port: str = "993",
    security: str = "SSL",
    user: str = "%EMAILADDRESS%",
    ways: tuple[str, ...] = ("password-cleartext",),
) -> str:
    """Write one server of a description."""
    words = "".join(f"<authentication>{way}</authentication>" for way in ways)
    return (
        f'<incomingServer type="{kind}"><hostname>{host}</hostname><port>{port}</port>'
        f"<socketType>{security}</socketType><username>{user}</username>{words}</incomingServer>"
    )


@pytest.mark.parametrize(
    ("entry", "identity", "ways"),
    [
        (server(), USUAL, (Way.PASSWORD,)),
        (server(user="%EMAILLOCALPART%"), "imaps://Me@imap.example.org:993", (Way.PASSWORD,)),
        (server(user="EX\\%EMAILLOCALPART%"), "imaps://EX%5CMe@imap.example.org:993", (Way.PASSWORD,)),
        (server(user="%EMAILLOCALPART%@%EMAILDOMAIN%"), USUAL, (Way.PASSWORD,)),
        (server(user=""), USUAL, (Way.PASSWORD,)),
        (server(user="admin"), USUAL, (Way.PASSWORD,)),
        (server(host="imap.%EMAILDOMAIN%"), USUAL, (Way.PASSWORD,)),
        (server(security="starttls", port=" 143 "), "imap://Me%40example.org@imap.example.org:143", (Way.PASSWORD,)),
        (server("pop3", port="995"), "pops://Me%40example.org@imap.example.org:995", (Way.PASSWORD,)),
        (server(ways=("OAuth2", "password-cleartext", "secret-handshake")), USUAL, (Way.OAUTH, Way.PASSWORD)),
        (server(ways=()), USUAL, ()),
    ],
)
def test_a_server_of_a_description(entry: str, identity: str, ways: tuple[Way, ...]) -> None:
    """Placeholders become the user's own; a user name without one is not taken over."""
    (found,) = autoconfig.read(description(entry), ME, "there")
    assert (found.address.identity, found.ways, found.source, found.doubts) == (identity, ways, "there", ())


@pytest.mark.parametrize(
    "entry",
    [
        server(security="plain"),
        server(security=""),
        server("smtp"),
        server("exchange"),
        server(port="0"),
        server(port="65536"),
        server(port="-1"),
        server(port="٩٩٣"),
        server(port=""),
        server(host=""),
        server(host="127.0.0.1"),
        server(host="[::1]"),
        server(host="a b.example.org"),
        server(host="imap.example.org/x"),
        server(host="evil@imap.example.org"),
        server(host="imap.example.org:25"),
        server(host="&#x9b;31mred.example.org"),
        server(host="imap\u202e.example.org"),
        server(user="%EMAILLOCALPART%\n* BYE"),
        "<outgoingServer type='smtp'><hostname>smtp.example.org</hostname></outgoingServer>",
        "",
    ],
)
def test_what_cannot_be_a_server_is_left_out(entry: str) -> None:
    """Clear text, strange hosts and ports, a user with a line break: the others of the description count."""
    found = autoconfig.read(description(entry + server(host="good.example.org")), ME, "there")
    assert [each.address.host for each in found] == ["good.example.org"]


BOMB = "<!DOCTYPE x [<!ENTITY a 'ha'>" + "".join(f"<!ENTITY a{n} '{'&a;' * 10}'>" for n in range(9)) + "]>"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not XML"),
        (b"<html><body>404</body></html>", "not a description of mail servers"),
        (b"<clientConfig", "not XML"),
        (b"\xff\xfe\x00", "not XML"),
        (b'<?xml version="1.0" encoding="no-such"?><clientConfig/>', "not XML"),
        (description(server(host="&a9;"), head=BOMB), "declares"),
        (description(server(host="&x;"), head="<!DOCTYPE c [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"), "declares"),
        (description(server(), head="<!DOCTYPE c SYSTEM 'https://evil.example/x.dtd'>"), "declares"),
        (description(server(host="&undeclared;")), "not XML"),
        (description("<a>" * 30 + "</a>" * 30), "nested too deeply"),
        (b"<clientConfig>" + b"<a>" * 15_000, "nested too deeply"),
        (description(server() * 21), "too many servers"),
        (description(" " * MOST), "more than 100 kB"),
    ],
)
def test_a_hostile_description_is_refused(data: bytes, why: str) -> None:
    """As a whole, before anything is expanded or fetched."""
    with pytest.raises(NoDescriptionError, match=why):
        autoconfig.read(data, ME, "there")


@given(st.data())
def test_no_octets_break_the_reader(data: st.DataObject) -> None:
    """A description with a piece cut out and another put in is refused, or names servers that can be connected to."""
    whole = description(server() + server("pop3", port="995"))
    at = data.draw(st.integers(0, len(whole)))
    piece = data.draw(st.one_of(st.binary(max_size=20), st.text(max_size=10).map(str.encode)))
    changed = whole[:at] + piece + whole[at + data.draw(st.integers(0, 30)) :]
    try:
        found = autoconfig.read(changed, ME, "there")
    except NoDescriptionError:
        return
    for each in found:
        assert each.address.security is not Security.NONE
        assert each.address.host.isascii()
        assert each.address.host.isprintable()


@pytest.mark.parametrize(
    ("domain", "doubts"),
    [
        ("<domain>example.org</domain>", ()),
        ("<domain>other.example</domain><domain>EXAMPLE.org</domain>", ()),
        ("", ()),
        ("<domain>%EMAILDOMAIN%</domain>", ()),
        ("<domain>other.example</domain>", ("it is a description of other.example, not of example.org",)),
    ],
)
def test_a_description_of_another_domain_is_doubted(domain: str, doubts: tuple[str, ...]) -> None:
    """Hosters serve theirs for the domains of their customers, so that it is no reason to refuse it."""
    (found,) = autoconfig.read(description(server(), domain), ME, "there")
    assert found.doubts == doubts


def test_a_server_in_another_domain_is_doubted() -> None:
    """The end of its name counts, not its beginning or a part of a word."""
    for host in ("imap.hoster.example", "example.org.hoster.example", "imap-example.org", "evilexample.org"):
        (found,) = autoconfig.read(description(server(host=host)), ME, "there")
        assert found.doubts == ("its name does not end in example.org",)


class Web:
    """Serves texts by address; everything else is not there."""

    def __init__(self, texts: dict[str, bytes] | None = None) -> None:
        self.texts = texts or {}
        self.asked: list[str] = []

    def get(self, url: str) -> bytes:
        """Give the text."""
        self.asked.append(url)
        if url not in self.texts:
            raise NothingThereError("there is no such host")
        return self.texts[url]


class Dns:
    """Answers from tables."""

    def __init__(
        self, services: dict[str, list[Service]] | None = None, exchangers: tuple[str, ...] = (), *, mute: bool = False
    ) -> None:
        self.table, self.mail, self.mute = services or {}, exchangers, mute
        self.asked: list[str] = []

    def services(self, name: str) -> list[Service]:
        """Give the records."""
        self.asked.append(name)
        return self.table.get(name, [])

    def exchangers(self, domain: str) -> list[str]:
        """Give the exchangers."""
        self.asked.append(domain)
        if self.mute:
            raise NoAnswerError("DNS does not answer")
        return [*self.mail]


def test_each_place_is_asked_in_its_order() -> None:
    """The domain's own hosts get the address, Thunderbird's directory and DNS the domain."""
    web, dns = Web(), Dns()
    found = look_up(mail_address("jü+x@bücher.example"), "imap", web, dns)
    who = "emailaddress=j%C3%BC%2Bx%40b%C3%BCcher.example"
    assert web.asked == [
        f"https://autoconfig.xn--bcher-kva.example/mail/config-v1.1.xml?{who}",
        f"https://xn--bcher-kva.example/.well-known/autoconfig/mail/config-v1.1.xml?{who}",
        "https://autoconfig.thunderbird.net/v1.1/xn--bcher-kva.example",
    ]
    assert dns.asked == [
        "xn--bcher-kva.example",
        "_imaps._tcp.xn--bcher-kva.example",
        "_imap._tcp.xn--bcher-kva.example",
    ]
    assert found.candidates == ()
    assert found.silent == (
        "https://autoconfig.xn--bcher-kva.example/mail/config-v1.1.xml: there is no such host",
        "https://xn--bcher-kva.example/.well-known/autoconfig/mail/config-v1.1.xml: there is no such host",
        "https://autoconfig.thunderbird.net/v1.1/xn--bcher-kva.example: there is no such host",
        "DNS names no server",
    )


@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_first_place_that_knows_a_server_is_the_last_asked(at: int) -> None:
    """What cannot be read, or has no server of the protocol, is passed over with a reason."""
    urls = places(ME)
    texts = {urls[0]: b"<html/>", urls[1]: description(server("pop3", port="995")), urls[at]: description(server())}
    web, dns = Web(texts), Dns()
    found = look_up(ME, "imap", web, dns)
    assert [each.address.host for each in found.candidates] == ["imap.example.org"]
    assert web.asked == [*urls[: at + 1]]
    assert dns.asked == []
    reasons = ("not a description of mail servers", "it names no server with TLS")
    assert [each.partition("xml: ")[2] for each in found.silent] == [*reasons[:at]]


def test_services_in_dns_are_ordered_and_doubted() -> None:
    """TLS from the first octet leads, then priority, then weight; "." is none, nor is a strange name."""
    table = {
        "_imaps._tcp.example.org": [
            Service(10, 0, 993, "c.example.org."),
            Service(5, 1, 994, "b.example.org."),
            Service(5, 9, 993, "a.hoster.example."),
            Service(0, 0, 0, "."),
            Service(0, 0, 993, "127.0.0.1"),
            Service(0, 0, 993, "e\x1bvil.example.org"),
            Service(0, 0, 0, "zero.example.org."),
        ],
        "_imap._tcp.example.org": [Service(0, 0, 143, "d.example.org.")],
    }
    found = look_up(ME, "imap", Web(), Dns(table)).candidates
    assert [each.address.shown for each in found][-1] == "imap://d.example.org"
    assert all("nobody has signed this answer" in each.doubts for each in found)
    for each in found:
        assert ("its name does not end in example.org" in each.doubts) == each.address.host.endswith("hoster.example")


def test_an_own_domain_at_a_provider_is_known_by_its_exchanger() -> None:
    """The server comes from the table, not from DNS."""
    (found,) = look_up(ME, "imap", Web(), Dns(exchangers=("aspmx.l.google.com",))).candidates
    assert found.address.identity == "imaps://Me%40example.org@imap.gmail.com:993"
    assert "aspmx.l.google.com" in found.source
    assert look_up(ME, "imap", Web(), Dns(exchangers=("google.com.evil.example",))).candidates == ()


def test_dns_that_cannot_be_asked_is_one_sentence() -> None:
    """As where the extra is not installed."""
    found = look_up(ME, "imap", Web(), Dns(mute=True))
    assert found.candidates == ()
    assert found.silent[-1] == "DNS does not answer"
