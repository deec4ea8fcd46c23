import pickle
import random

import pytest

from mailarchive.address import Security, ServerAddress, looks_like_url, parse_url
from mailarchive.errors import ExitCode, UsageError

CANARY = "s3cr3t"


def refused(text: str, *, user: str | None = None) -> UsageError:
    """Give the error that a text ends in."""
    with pytest.raises(UsageError) as caught:
        parse_url(text, user=user)
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize(
    ("text", "protocol", "security", "port"),
    [
        ("imaps://me@imap.example.org", "imap", Security.TLS, 993),
        ("pops://me@imap.example.org", "pop", Security.TLS, 995),
        ("imap://me@imap.example.org", "imap", Security.STARTTLS, 143),
        ("pop://me@imap.example.org", "pop", Security.STARTTLS, 110),
        ("imaps://me@imap.example.org:1993", "imap", Security.TLS, 1993),
        ("IMAPS://me@IMAP.Example.ORG.", "imap", Security.TLS, 993),
    ],
)
def test_each_scheme_has_its_protocol_protection_and_port(
    text: str, protocol: str, security: Security, port: int
) -> None:
    """A scheme says protocol and protection; a port may be given; case and a final dot do not matter."""
    address = parse_url(text)
    assert address == ServerAddress(address.protocol, security, "imap.example.org", port, "me")
    assert address.protocol == protocol


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "[::1]", "localhost", "LOCALHOST"])
@pytest.mark.parametrize("protocol", ["imap", "pop"])
def test_clear_text_is_allowed_on_this_computer(protocol: str, host: str) -> None:
    """Clear text may be asked for on a loopback address."""
    address = parse_url(f"{protocol}+insecure://me@{host}:1143")
    assert (address.protocol, address.security, address.port) == (protocol, Security.NONE, 1143)


@pytest.mark.parametrize(
    "host",
    [
        "imap.example.org",
        "127.0.0.1.example.org",
        "localhost.example.org",
        "128.0.0.1",
        "0.0.0.0",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::2]",
    ],
)
def test_f137_clear_text_is_refused_elsewhere(host: str) -> None:
    """Clear text to any host that is not loopback is refused, and the hint has the protected form."""
    error = refused(f"imap+insecure://me@{host}")
    assert "clear text" in error.message
    assert "imaps://" in error.hint
    assert error.exit_code is ExitCode.USAGE


def test_clear_text_is_refused_however_an_address_is_made() -> None:
    """Not even code can make an address that would send a password in clear over a network."""
    with pytest.raises(UsageError, match="clear text"):
        ServerAddress("imap", Security.NONE, "imap.example.org", 143, "me")


@pytest.mark.parametrize(
    "host", ["127.1", "0x7f.1", "0x7f000001", "2130706433", "1.2.3.4.5", "256.1.1.1", "127.0.0.01"]
)
def test_a_number_that_is_no_full_address_is_refused(host: str) -> None:
    """Short and hexadecimal forms of an IPv4 address, which resolvers read in different ways, are refused."""
    assert "IPv4" in refused(f"imaps://me@{host}").message


@pytest.mark.parametrize(
    ("text", "user", "host", "identity", "shown"),
    [
        (
            "imaps://me%40example.org@imap.example.org",
            "me@example.org",
            "imap.example.org",
            "imaps://me%40example.org@imap.example.org:993",
            "imaps://imap.example.org",
        ),
        ("pops://me@h.org:1995", "me", "h.org", "pops://me@h.org:1995", "pops://h.org:1995"),
        (
            "imap+insecure://a%2Fb%3A%20%C3%A4@127.0.0.1:143",
            "a/b: ä",
            "127.0.0.1",
            "imap+insecure://a%2Fb%3A%20%C3%A4@127.0.0.1:143",
            "imap+insecure://127.0.0.1",
        ),
        ("imaps://ä@[2001:DB8::0:1]:994", "ä", "2001:db8::1", "imaps://%C3%A4@[2001:db8::1]:994", None),
        ("imaps://DOM\\me@h.org", "DOM\\me", "h.org", "imaps://DOM%5Cme@h.org:993", "imaps://h.org"),
        ("imaps://me@Bücher.example", "me", "xn--bcher-kva.example", "imaps://me@xn--bcher-kva.example:993", None),
        ("imaps://me@xn--bcher-kva.example", "me", "xn--bcher-kva.example", None, "imaps://xn--bcher-kva.example"),
    ],
)
def test_identity_is_canonical_and_shown_has_no_user(
    text: str, user: str, host: str, identity: str | None, shown: str | None
) -> None:
    """`identity` has user and port and reads back as the same address; `shown` has neither user nor usual port."""
    address = parse_url(text)
    assert (address.user, address.host) == (user, host)
    assert identity in (None, address.identity)
    assert shown in (None, address.shown)
    assert "@" not in address.shown
    assert parse_url(address.identity) == address
    assert pickle.loads(pickle.dumps(address)) == address


def test_the_user_may_be_given_apart() -> None:
    """`--user` is taken as it is, without percent-decoding, and may repeat the one of the URL."""
    assert parse_url("imaps://imap.example.org", user="me%40@example.org").user == "me%40@example.org"
    assert parse_url("imaps://a%40b@imap.example.org", user="a@b").user == "a@b"
    assert "two user names" in refused("imaps://a@imap.example.org", user="b").message


@pytest.mark.parametrize("text", ["imaps://imap.example.org", "imaps://@imap.example.org"])
def test_a_missing_user_is_an_error(text: str) -> None:
    """Without a user name there is no sign-in; the hint shows both ways to give it."""
    error = refused(text)
    assert "user name is missing" in error.message
    assert "imaps://USER@imap.example.org" in error.hint
    assert "--user" in error.hint


@pytest.mark.parametrize(
    "text",
    [
        f"imaps://me:{CANARY}@imap.example.org",
        f"imaps://:{CANARY}@imap.example.org",
        f"imaps://me@example.org:{CANARY}@imap.example.org",
        f"imaps://me:{CANARY}/#?@imap.example.org",
        f"imaps://me:@{CANARY}@imap.example.org",
        f"imaps://me:{CANARY}\n@imap.example.org",
        f"imaps://me:{CANARY}@",
        f"imaps:me:{CANARY}@imap.example.org",
        f"https://me:{CANARY}@imap.example.org",
        f"me:{CANARY}@imap.example.org",
        f"me@example.org:{CANARY}@imap.example.org",
    ],
)
def test_f029_a_password_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    """A password in the URL is refused, whatever else is wrong, and no part of the error holds it."""
    error = refused(text)
    assert "password never stands" in error.message
    assert "--password-command" in error.hint
    assert CANARY not in f"{error!r} {error.message} {error.hint} {error.__context__!r}"


@pytest.mark.parametrize(
    "text", [f"imaps://me:{CANARY}", f"imap://me:{CANARY}/x", f"me:{CANARY}", f"imaps:me:{CANARY}"]
)
def test_what_may_be_a_password_without_a_host_is_not_repeated(text: str) -> None:
    """Who forgets the host and writes a password where the port belongs does not find it in the error."""
    error = refused(text)
    assert CANARY not in error.message + error.hint


@pytest.mark.parametrize(
    "text",
    [
        "imaps://me@imap.example.org\r\n",
        "imaps://me@imap.\nexample.org",
        "imaps://me\0@imap.example.org",
        "imaps://me%0d%0aA1 LOGOUT@imap.example.org",
        "imaps://me%00@imap.example.org",
        "imaps://me%C2%85@imap.example.org",
        "imaps://me%E2%80%A8@imap.example.org",
        "imaps://me\x7f@imap.example.org",
        "imaps://me\x1b[31m@imap.example.org",
        "imaps://me\udce4@imap.example.org",
        "\timaps://me@imap.example.org",
    ],
)
def test_f135_control_characters_are_refused(text: str) -> None:
    """Line breaks, NUL and other control characters are refused in every part and never shown raw."""
    error = refused(text)
    assert "control character" in error.message
    assert (error.message + error.hint).isprintable()


def test_f135_control_characters_are_refused_in_a_user_given_apart() -> None:
    """`--user` is held to the same rule, and so is an address made by code."""
    assert "control character" in refused("imaps://imap.example.org", user="me\r\nA1 LOGOUT").message
    with pytest.raises(UsageError, match="control character"):
        ServerAddress("imap", Security.TLS, "imap.example.org\n", 993, "me")


@pytest.mark.parametrize("port", ["0", "65536", "99999", "", "x", "-1", "+1", "1_0", "٣", "9" * 5000, "993:993"])
def test_f135_a_port_is_a_number_from_1_to_65535(port: str) -> None:
    """Other ports are refused."""
    text = refused(f"imaps://me@imap.example.org:{port}").message
    assert "port is not a number from 1 to 65535" in text or "IPv6" in text


def test_the_ends_of_the_port_range_are_ports() -> None:
    """1 and 65535 are ports; 0 and 65536 are not, even for code."""
    assert [parse_url(f"imaps://me@h.org:{port}").port for port in (1, 65535)] == [1, 65535]
    for port in (0, 65536):
        with pytest.raises(UsageError, match="port"):
            ServerAddress("imap", Security.TLS, "h.org", port, "me")


@pytest.mark.parametrize("tail", ["/", "/INBOX", "?x=1", "#x", ":993/"])
def test_path_query_and_fragment_are_refused(tail: str) -> None:
    """An address ends after host and port; the hint shows it without the rest."""
    error = refused(f"imaps://me@imap.example.org{tail}")
    assert "no path" in error.message
    assert "imaps://USER@imap.example.org" in error.hint


def test_a_slash_in_a_user_name_is_explained() -> None:
    """`DOMAIN/user` is not taken for a host; the hint names its encoded form."""
    assert "%2F" in refused("imaps://DOM/me@imap.example.org").hint


@pytest.mark.parametrize("scheme", ["https", "http", "HTTPS"])
def test_f135_a_web_address_is_refused_with_a_hint(scheme: str) -> None:
    """A web address as server is refused, and the hint says what is wanted."""
    error = refused(f"{scheme}://mail.example.org/inbox")
    assert "web address" in error.message
    assert "imaps://USER@HOST" in error.hint


def test_an_unknown_scheme_is_refused_with_the_known_ones() -> None:
    """Another scheme is refused, and the hint lists ours."""
    error = refused("smtp://me@mail.example.org")
    assert "'smtp'" in error.message
    assert "imaps, pops, imap, pop" in error.hint


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("imap.example.org", "imaps://USER@imap.example.org"),
        ("imap.example.org:993", "imaps://USER@imap.example.org"),
        ("me@imap.example.org", "imaps://me@imap.example.org"),
        ("me@imap.example.org", "imaps://me%40imap.example.org@HOST"),
        ("me@example.org@imap.example.org:994", "imaps://me%40example.org@imap.example.org:994"),
        ("imaps:me@imap.example.org", "imaps://me@imap.example.org"),
        ("//imap.example.org", "imaps://USER@HOST"),
        ("", "imaps://USER@HOST"),
    ],
)
def test_a_missing_scheme_is_shown_in_its_full_form(text: str, form: str) -> None:
    """Without a scheme the hint gives the full form with what is already known."""
    error = refused(text)
    assert "is missing" in error.message
    assert form in error.hint


def test_two_at_signs_get_the_encoded_form() -> None:
    """A raw @ in the user name is refused with the encoded form of the same address."""
    error = refused("imaps://me@example.org@imap.example.org:994")
    assert "imaps://me%40example.org@imap.example.org:994" in error.hint
    assert "--user" in error.hint
    assert parse_url("imaps://me%40example.org@imap.example.org:994").user == "me@example.org"


@pytest.mark.parametrize("name", ["m%zz", "m%", "m%4", "m%ff", "%ED%A0%80"])
def test_wrong_percent_encoding_is_refused(name: str) -> None:
    """A user name that cannot be decoded is refused instead of being changed."""
    assert "percent-encoded" in refused(f"imaps://{name}@imap.example.org").message


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "a..b",
        ".a",
        "-a.org",
        "a-.org",
        "a b.org",
        "a_b$.org",
        "a" * 64 + ".org",
        "a." * 130 + "org",
        "bücher..org",
        "ü" * 63 + ".org",
    ],
)
def test_f135_a_host_that_is_no_name_is_refused(host: str) -> None:
    """Host names have labels of 1 to 63 letters, digits, hyphens and underscores."""
    assert "is not a host name" in refused(f"imaps://me@{host}").message


@pytest.mark.parametrize(
    "host", ["straße.example", "\uff1127.0.0.1", "\u017fs.example", "ex\u00adample.org", "\uff41.example"]
)
def test_a_host_name_that_the_codec_would_change_is_refused(host: str) -> None:
    """An international name that IDNA 2003 turns into another name is refused: the password would go elsewhere."""
    assert "xn--" in refused(f"imaps://me@{host}").hint


@pytest.mark.parametrize(
    "host", ["2001:db8::1", "::1", "[::1", "[::1]x", "[]", "[127.0.0.1]", "[fe80::1%eth0]", "[::g]"]
)
def test_ipv6_stands_in_brackets(host: str) -> None:
    """An IPv6 address without brackets, with a zone, or which is none, is refused."""
    assert "IPv6" in refused(f"imaps://me@{host}").message


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("imaps://me@h", True),
        ("https://h", True),
        ("imap+insecure://h", True),
        ("home", False),
        ("from:anna", False),
        ("me@example.org", False),
        ("://x", False),
        ("", False),
    ],
)
def test_a_url_is_told_from_an_account_and_a_query(text: str, is_one: bool) -> None:
    """Only what has a scheme and two slashes is meant as a URL."""
    assert looks_like_url(text) is is_one


def test_any_text_gives_an_address_or_a_usage_error() -> None:
    """Random text never ends in another exception, and what parses is stable (seed 7)."""
    rng = random.Random(7)
    parts = ["imaps://", "imap+insecure://", "me", "@", ":", "[::1]", "%41", "%", "127.0.0.1", "a.org", "993", "ü", "/"]
    parts += ["\udce4", "xn--", ".", "\n", "[", "]", "::", "%C3", "\u202e"]
    good, errors = 0, []
    for _ in range(20_000):
        text = rng.choice(["", "imaps://", "imaps://me@"]) + "".join(rng.choices(parts, k=rng.randint(1, 5)))
        try:
            address = parse_url(text)
        except UsageError as error:
            errors.append(error)
            continue
        good += 1
        assert parse_url(address.identity) == address, text
    assert good > 200
    assert [error for error in errors if not (error.message + error.hint).isprintable()] == []
