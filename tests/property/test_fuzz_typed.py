"""Whatever people type, senders write and providers answer, it is read, or is an error of ours (row 128).

Law of this room: what comes out keeps what its type promises. Examples that are right are changed in a few letters.
"""

from __future__ import annotations

import contextlib
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailarchive import config, dates, headers
from mailarchive.address import Security, parse_url
from mailarchive.config_values import OAuthKeys
from mailarchive.discovery import autoconfig
from mailarchive.discovery.candidate import host_name, mail_address
from mailarchive.errors import ConfigError, UsageError
from mailarchive.oauth import Grant
from mailarchive.oauth.device import _read
from mailarchive.oauth.providers import provider_for
from mailarchive.sources import sasl
from mailarchive.tokens import Tokens, TokenStore
from tests.property.mutation import ADDRESS, nearly, only_ours

MANY = settings(max_examples=200)
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def texts(valid: list[str], tokens: list[str]) -> st.SearchStrategy[str]:
    """Give texts that are nearly right."""
    octets = nearly([each.encode() for each in valid], [each.encode("utf-8", "surrogatepass") for each in tokens])
    return octets.map(lambda each: each.decode("utf-8", "surrogateescape")) | st.text(max_size=50)


CONFIG = """archive = "~/Mail/archive"
[defaults]
older_than = "1y"
[account.home]
server = "imaps://imap.example.org"
user = "me@example.org"
password_command = "pass show mail/home"
mailboxes = ["*", "!Lists/*"]
delete = true
keep_flagged = true
min_copies_age = "1w"
max_delete = 500
[account.work]
server = "imaps://kim@imap.example.com:993"
oauth = { issuer = "https://id.example.org/realm", client_id = "x", scopes = ["mail"] }
[account.old]
server = "pops://pop.example.net"
user = "me"
format = "mbox"
[account.near]
server = "imap+tunnel:"
tunnel = ["ssh", "host"]
"""
KEYS = [
    *(
        "[account.x]\n",
        "server = ",
        '"',
        "'",
        "=",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "\\u0000",
        "\\ud800",
        "imaps://[",
        "true",
        "-1",
        "1e9",
    ),
    *(
        "9" * 30,
        "1979-05-27",
        "issuer = ",
        '"https://["',
        '"https://id:x@/"',
        "nan",
        "\0",
        "é",
        "[[account]]",
        "a.b.c = 1\n",
    ),
    *(
        "keyring = true\n",
        'ca_file = "\\u0000"\n',
        'archive = "~nobody/x"\n',
        "oauth = {}\n",
        'tunnel = ""\n',
        "[" * 2000,
        '"""',
    ),
]


@MANY
@given(texts([CONFIG], KEYS))
def test_f128_configurations(text: str) -> None:
    """Everything wrong is a ConfigError; what is right can be used."""
    octets = text.encode("utf-8", "surrogateescape")
    with contextlib.suppress(ConfigError):
        for name, account in config.checked(Path("config.toml"), octets, environ={"HOME": "/me"}).accounts.items():
            assert name == account.name
            assert account.archive.is_absolute()
            assert "\0" not in str(account.archive)
            if account.oauth is not None:
                with only_ours():
                    provider_for(account.oauth, account.address.protocol, {"x": None}.get)


AGES = ["1y", "18m", "1y6m", "2w", "90d", "500K", "10M", "2024", "2024-03", "2024-03-01", "90s", "1h30min"]
LETTERS = [
    "y",
    "m",
    "w",
    "d",
    "K",
    "-",
    ".",
    ",",
    " ",
    "9" * 30,
    "0",
    "²",
    "٣",
    "M",
    "min",
    "T",
    "Z",
    "+",
    "\0",
    "\ud800",
    "days",
]


@settings(max_examples=400)
@given(texts(AGES, LETTERS))
def test_f128_ages_dates_sizes_and_durations(text: str) -> None:
    """What is read is in its range, and what is not is said in one line."""
    for read in (dates.parse_age, dates.parse_date, dates.parse_size, dates.parse_duration):
        with contextlib.suppress(dates.DateSyntaxError):
            found = read(text)
            if isinstance(found, dates.Age):
                assert dates.cut_off(found, NOW) < NOW
            elif isinstance(found, dates.Period):
                assert found.start < found.end
                dates.start_of(text, UTC)
            else:
                assert 0 <= found <= 2**60


URLS = [
    "imaps://me@imap.example.org:993",
    "imap+insecure://me@127.0.0.1:143",
    "pops://me%40x@[2001:db8::1]:995",
    "imap+tunnel://x",
]
SIGNS = [
    ":",
    "@",
    "/",
    "//",
    "%",
    "%41",
    "%FF",
    "%0A",
    "[",
    "]",
    "::",
    "#",
    "?",
    ".",
    "xn--",
    "ß",
    "。",
    "1.2.3.4",
    "0x7f",
    "\n",
    "\0",
    "\ud800",
]


@settings(max_examples=400)
@given(texts([*URLS, "me@example.org", "kim@exämple.org"], SIGNS), st.none() | st.text(max_size=5))
def test_f128_addresses(text: str, user: str | None) -> None:
    """An address is one that can be dialled, without a control character; nothing else leaves as anything else."""
    with contextlib.suppress(UsageError):
        found = parse_url(text, user=user)
        assert found.host.isascii()
        assert 1 <= found.port <= 65535
        assert not set(found.user) & set("\r\n\0")
        assert (
            found.security is not Security.NONE or found.host in ("localhost", "::1") or found.host.startswith("127.")
        )
        assert parse_url(found.identity, user=None) == found or found.security is Security.TUNNEL
    with contextlib.suppress(UsageError):
        domain = mail_address(text).domain
        assert domain.isascii()
        assert "." in domain
    host_name(text)


HEADS = [
    (
        b'Message-ID: <1@example.org>\r\nDate: Sat, 1 Mar 2014 10:00:00 +0100\r\nFrom: "A" <a@example.org>\r\n'
        b"To: b@c,\r\n d@e\r\n"
        b"Subject: =?utf-8?B?4oKs?= =?iso-8859-1?Q?=E4?=\r\nList-Id: <x.y>\r\nReceived: from a by b (c; d) (e(f)); "
        b"Sat, 1 Mar 2014 10:00:00 +0000\r\n\r\nbody"
    ),
    b"From: Microsoft Exchange Server\nSubject: Retrieval using the IMAP4 protocol failed\n\nx",
]
FIELDS = [
    *(
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b": ",
        b"=?utf-7?Q?+AGE-?=",
        b"=?punycode?B?eA?=",
        b"=?hex?Q?zz?=",
        b"=?idna?Q?a?=",
        b"=?utf-16?B?/w?=",
    ),
    *(
        b"=?x-mac?Q?=?=",
        b"=?utf-8*en?q?a?=",
        b"(",
        b")",
        b"\\",
        b";",
        b"Date: ",
        b"1 Jan 99999",
        b"+9999",
        b"-0000",
        b"\xff\xfe",
        b"\0",
    ),
    *(
        b"Received: ",
        b"0" * 40,
        b"=?rot13?Q?a?=",
        b"=?unicode_escape?Q?=5Cud800?=",
        b"=?utf-8?B?=?=",
        b"Feb 30",
        b"24:60:61",
        b"\xc2\xa0",
    ),
]


@settings(max_examples=400)
@given(nearly(HEADS, FIELDS))
def test_f128_headers(octets: bytes) -> None:
    """Nothing is raised; dates are aware and in their years, texts are texts, and not longer than they may be."""
    found = headers.envelope(octets)
    for date in (found.date, headers.arrival(octets), headers.received(octets), headers.sent(octets)):
        assert date is None or (date.tzinfo is not None and dates.FIRST_YEAR <= date.year <= dates.LAST_YEAR)
        assert date is None or date.timestamp()
    assert all(len(text) <= 4 * headers.FIELD for text in (found.from_, found.to, found.subject, found.list_id))
    assert headers.judged(octets, len(octets)) == (headers.ident(octets), headers.hold(octets, len(octets)))
    assert len(found.ident) in (0, 32)
    headers.decoded(octets)
    assert dates.parse_internal_date(octets[:30]) is None or dates.internal_instant(octets[:30]) is not None


XML = b"""<?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="example.org"><domain>example.org</domain>
<incomingServer type="imap"><hostname>imap.%EMAILDOMAIN%</hostname><port>993</port><socketType>SSL</socketType>
<username>%EMAILADDRESS%</username><authentication>OAuth2</authentication></incomingServer>
<incomingServer type="pop3"><hostname>pop.example.org</hostname><port>110</port><socketType>STARTTLS</socketType>
</incomingServer></emailProvider></clientConfig>"""
TAGS = [
    *(
        b"<a>",
        b"</a>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
        b"&b;",
        b"&#0;",
        b"&#55296;",
        b"<![CDATA[",
        b"]]>",
        b"<incomingServer type='imap'>",
    ),
    *(
        b"</incomingServer>",
        b"<emailProvider>",
        b'<?xml version="1.0" encoding="utf-7"?>',
        b"\xff\xfe",
        b"\0",
        b"<port>99999</port>",
        b"%EMAIL",
    ),
    *(b'encoding="utf-16"', b'encoding="x"', b"<hostname>", "²".encode(), b"xn--a.example", b"\xc3\x9f"),
]


@MANY
@given(nearly([XML], TAGS))
def test_f128_descriptions_of_servers(octets: bytes) -> None:
    """Every server that is found has TLS, a name and a port; all else is refused in words."""
    with contextlib.suppress(autoconfig.NoDescriptionError):
        for each in autoconfig.read(octets, mail_address("me@example.org"), "x"):
            assert each.address.security in (Security.TLS, Security.STARTTLS)
            assert each.address.host.isascii()
            assert 1 <= each.address.port <= 65535


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
NAMES = [
    "issuer",
    "token_endpoint",
    "device_authorization_endpoint",
    "authorization_endpoint",
    "verification_uri",
    "verification_url",
    "user_code",
    "device_code",
    "interval",
    "expires_in",
    "access_token",
    "refresh_token",
]
RIGHT = {
    "issuer": "https://id.example.org/realm",
    "token_endpoint": "https://id.example.org/t",
    "verification_uri": "https://id.example.org/d",
    "user_code": "ABCD",
    "device_code": "secret",
    "access_token": "a",
    "refresh_token": "r",
    "expires_in": 3600,
}
URLISH = st.sampled_from(
    ["https://[", "https://", "https://a:b@c/", "http://x/", "https://x/\n", "https://x:y/", "https://\u2100/"]
)
SAID = st.dictionaries(st.sampled_from(NAMES), VALUES | URLISH, max_size=4).map(lambda changes: {**RIGHT, **changes})


@MANY
@given(SAID | VALUES, nearly([b'{"status":"400"}'], [b"{", b"[" * 3000, b'"', b":", b"null", b"\xff"]))
def test_f128_answers_of_oauth2_providers(
    tmp_path_factory: pytest.TempPathFactory, answer: Any, challenge: bytes
) -> None:
    """A description of an issuer, a device code, tokens: each value may be of any type."""
    with only_ours():
        found = provider_for(OAuthKeys(issuer="https://id.example.org/realm"), "imap", lambda _: answer)
        assert found.token_url.startswith("https://")
    with only_ours():
        shown, _, interval, lifetime = _read(answer, "x")
        assert shown.url.startswith("https://")
        assert 1 <= interval <= 60
        assert 0 < lifetime <= 1800
    keys = OAuthKeys(issuer="https://id.example.org/realm", client_id="x")
    store = TokenStore(tmp_path_factory.getbasetemp() / "tokens", "home")
    if isinstance(answer, dict):
        with only_ours():
            Grant(keys, "home", ADDRESS, store, {}, clock=lambda: 1000.0)._keep(answer)
            kept = store.load()
            assert kept is not None
            assert kept.expires_at is None or not math.isnan(kept.expires_at)
            json.loads(kept.text())
    assert isinstance(sasl.status(challenge), str)


@pytest.mark.parametrize("key", ["interval", "expires_in"])
@pytest.mark.parametrize("number", [10**400, 1e308, float("inf"), float("nan"), -(10**400), True])
def test_f128_seconds_that_are_no_seconds(tmp_path: Path, key: str, number: float) -> None:
    """JSON knows numbers of any length."""
    _, _, interval, lifetime = _read({**RIGHT, key: number}, "x")
    assert 1 <= interval <= 60
    assert 0 < lifetime <= 1800
    store = TokenStore(tmp_path, "home")
    Grant(OAuthKeys(client_id="x"), "home", ADDRESS, store, {}, clock=lambda: 1000.0)._keep({**RIGHT, key: number})
    kept = store.load()
    assert kept is not None
    assert kept.expires_at is None or 1000 <= kept.expires_at < 10**9


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1", "NaN", "Infinity"])
def test_f128_kept_tokens_with_an_end_that_is_no_time(number: str) -> None:
    """Whoever wrote that, it is not taken for tokens."""
    text = '{"version": 1, "owner": "o", "access": "a", "refresh": null, "expires_at": %s}'
    assert Tokens.of(text % "5") is not None
    assert Tokens.of(text % number) is None


@pytest.mark.parametrize("issuer", ["https://[", "https://[::1", "https://x]/"])
def test_f128_an_issuer_that_is_no_address(issuer: str) -> None:
    """It is said, and nothing is asked."""
    with pytest.raises(ConfigError, match="the issuer is not an address"):
        provider_for(OAuthKeys(issuer=issuer), "imap", pytest.fail)
