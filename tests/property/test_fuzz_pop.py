"""Whatever a POP3 server answers, it is read, or is an error of ours, and nothing waits for ever (row 128).

Law of this room: what is read keeps what its type promises. Valid sessions are changed in a few octets, spliced and cut
short, and come in pieces of any size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from mailarchive.address import Security, ServerAddress
from mailarchive.model import UIDL, Criteria, NotFetched, is_lasting
from mailarchive.secret import Secret
from mailarchive.sources.pop import PopSource
from mailarchive.sources.pop_session import _authenticate, _capabilities, _greeted
from tests.property.mutation import CUTS, line_of, nearly, only_ours
from tests.servers.scripted_pop import multiline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailarchive.sources.pop import PopMailbox
    from mailarchive.sources.wire import Wire

TLS = ServerAddress("pop", Security.TLS, "pop.example.org", 995, "me")
MANY = settings(max_examples=250)
TOKENS = [
    *(
        b"\r\n",
        b".\r\n",
        b"\r\n.\r\n",
        b".",
        b"..",
        b"+OK\r\n",
        b"-ERR\r\n",
        b"-ERR [IN-USE] x\r\n",
        b"-ERR [SYS/TEMP] x\r\n",
    ),
    *(
        b"1 5\r\n",
        b"2 x\r\n",
        b"9999999999 1\r\n",
        b"0 0\r\n",
        b"1 99999999999999999999\r\n",
        b"-1 -1\r\n",
        b"1 u1\r\n",
        b"+ ",
        b"\0",
    ),
    *(b"\xff", b" ", b"\n", b"\r", b"1_0 5\r\n", b"+ \r\n", b"SASL PLAIN XOAUTH2\r\n", b"\xc2\xb2 5\r\n"),
]
HEAD = b"Received: from a by b; Sat, 1 Mar 2014 10:00:00 +0100\r\nMessage-ID: <1@x>\r\n\r\n"
MAIL = [HEAD + b"hello\r\n", HEAD + b".dot\r\n..\r\n" * 20, b"x"]
LIST = multiline(b"".join(b"%d %d\r\n" % (n, len(mail)) for n, mail in enumerate(MAIL, 1)))
UIDL_ = multiline(b"1 u1\r\n2 u2\r\n3 u3\r\n")
TOPS = b"".join(multiline(mail.partition(b"\r\n\r\n")[0] + b"\r\n\r\n") for mail in MAIL)
BODIES = b"".join(map(multiline, MAIL))
SESSIONS = [
    LIST + UIDL_ + BODIES + b"+OK bye\r\n",
    LIST + UIDL_ + TOPS + b"+OK\r\n+OK\r\n+OK bye\r\n",
    LIST + b"-ERR no UIDL\r\n" + BODIES,
    LIST + multiline(b"1 u1\r\n2 u1\r\n3 " + b"u" * 80 + b"\r\n") + BODIES,
]


class Server:
    """Gives one session after another, all from one row of octets, a few of them."""

    def __init__(self, octets: bytes, sizes: Sequence[int]) -> None:
        self.octets, self.sizes, self.sessions = octets, sizes, 0

    def connect(self) -> tuple[Wire, frozenset[str]]:
        """Sign in, so to speak."""
        self.sessions += 1
        assert self.sessions < 30, "somebody connects for ever"
        offered = frozenset({"TOP", "UIDL", "PIPELINING"} if self.sessions % 2 else {"UIDL"})
        return line_of(self.octets, self.sizes), offered


@MANY
@given(nearly(SESSIONS, TOKENS), CUTS, st.booleans())
def test_f128_maildrops(octets: bytes, sizes: list[int], headers_too: bool) -> None:
    """Each message that was listed comes at most once, is told, or the reader raises; sizes are sizes."""
    with only_ours(), PopSource(Server(octets, sizes).connect) as source, source.open(source.mailboxes()[0][0]) as box:
        listed = box.listing(Criteria())
        names = [UIDL(str(message.uid)) for message in listed]
        assert len(set(names)) == len(names) == box.status.exists
        assert all(message.size is None or message.size >= 0 for message in listed)
        assert all(0x21 <= ord(sign) <= 0x7E for name in names if is_lasting(name) for sign in name)
        if headers_too:
            heads = list(box.headers(listed))
            assert {uid for uid, _ in heads} <= set(names)
            assert all(len(head) <= 64 * 1024 for _, head in heads)
        fetch(box, names)


def fetch(box: PopMailbox, names: Sequence[UIDL]) -> None:
    """Fetch everything."""
    seen: list[str] = []
    for arrival in box.fetch([message for message in box.listing(Criteria()) if message.uid in names]):
        if isinstance(arrival, NotFetched):
            seen.append(str(arrival.uid))
            continue
        octets = sum(len(chunk) for chunk in arrival.chunks())
        assert octets
        seen.append(str(arrival.message.uid))
        date = arrival.message.internal_date
        assert date is None or date.tzinfo is not None
    lasting = [name for name in seen if is_lasting(UIDL(name))]
    assert len(set(lasting)) == len(lasting)
    assert set(lasting) <= set(names)


SIGN_INS = [
    b"+OK hi\r\n" + multiline(b"TOP\r\nUIDL\r\nSASL PLAIN\r\n") + b"+ \r\n+OK in\r\n" + multiline(b"TOP\r\n"),
    b"+OK hi\r\n-ERR what\r\n+OK\r\n+OK in\r\n-ERR\r\n",
    b"+OK hi\r\n" + multiline(b"SASL XOAUTH2\r\n") + b"+ \r\n+ eyJ9\r\n-ERR [AUTH] no\r\n",
]


def signed_in(octets: bytes, sizes: Sequence[int], *, token: bool) -> frozenset[str]:
    """Sign in to a server that says this; gives what it can do."""
    wire = line_of(octets, sizes)
    _greeted(wire)
    _authenticate(wire, "me", Secret("secret", is_token=token), _capabilities(wire))
    return _capabilities(wire)


@MANY
@given(nearly(SIGN_INS, TOKENS), CUTS, st.booleans())
def test_f128_sign_ins_over_pop3(octets: bytes, sizes: list[int], token: bool) -> None:
    """In every way that there is."""
    with only_ours():
        assert all(name.isprintable() for name in signed_in(octets, sizes, token=token) if name.isascii())


def test_the_sessions_that_are_changed_can_be_read() -> None:
    """Else the tests above would change what is wrong already."""
    with PopSource(Server(SESSIONS[0], [7]).connect) as source, source.open(source.mailboxes()[0][0]) as box:
        arrived = [b"".join(map(bytes, each.chunks())) for each in box.fetch(box.listing(Criteria()))]  # type: ignore[union-attr] # all of them come
        assert arrived == [MAIL[0], MAIL[1], b"x\r\n"]
    with PopSource(Server(SESSIONS[1], [1000]).connect) as source, source.open(source.mailboxes()[0][0]) as box:
        assert len(list(box.headers(box.listing(Criteria())))) == 3
    assert signed_in(SIGN_INS[0], [3], token=False) == {"TOP"}
    assert signed_in(SIGN_INS[1], [3], token=False) == frozenset()
