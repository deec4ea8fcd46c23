"""The server that imitates Gmail, line by line, and the demo server with capabilities hidden."""

from __future__ import annotations

import imaplib
from typing import TYPE_CHECKING

import pytest

from mailarchive.demo.mailbox import FlagChange
from mailarchive.demo.server import DemoServer
from tests.servers.demo_client import DAY, PASSWORD, USER, Client, letter, small_store
from tests.servers.gmail import GERMAN, IMPORTANT, INBOXED, SENT, SPAM, STARRED, TRASH, GmailAccount, GmailServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE, TWO, THREE, FOUR = (letter(subject) for subject in ("one", "two", "three", "four"))


@pytest.fixture
def account() -> GmailAccount:
    """An account with `one` in INBOX and Work, `two` in INBOX, `three` in All Mail only and `four` in Trash."""
    account = GmailAccount(USER, PASSWORD, 1_000_000)
    account.create("Été")
    account.create("Lists/debian")
    account.add(ONE, INBOXED, "Work", flags=["\\Seen"], date=DAY)
    account.add(TWO, INBOXED)
    account.add(THREE)
    account.add(FOUR, TRASH)
    return account


@pytest.fixture
def server(account: GmailAccount) -> Iterator[GmailServer]:
    """The running server."""
    with GmailServer(account) as server:
        yield server


@pytest.fixture
def client(server: GmailServer) -> Iterator[Client]:
    """A client that has signed in."""
    with Client(server) as client:
        yield client


def opened(client: Client, name: str) -> Client:
    """Select a mailbox."""
    assert client.run(f'SELECT "{name}"').ok
    return client


def subjects(account: GmailAccount, name: str) -> list[str]:
    """Give the subjects that a mailbox shows, by UID."""
    return [message.raw.split(b"Subject: ")[1].split(b"\r\n")[0].decode() for message in account.shown(name).values()]


def test_what_it_announces_and_lists(client: Client, account: GmailAccount) -> None:
    r"""X-GM-EXT-1 is there, LITERAL+ is not; `[Gmail]` and gaps are `\Noselect`; each mailbox has its UIDVALIDITY."""
    capabilities = set(client.run("CAPABILITY").untagged[0].decode().split())
    wanted = "X-GM-EXT-1 UIDPLUS MOVE UNSELECT SPECIAL-USE QUOTA ID NAMESPACE ESEARCH"
    assert set(wanted.split()) <= capabilities
    assert "LITERAL+" not in capabilities
    assert set(client.run('LIST "" "*"').untagged) == {
        b'LIST () "/" "INBOX"',
        b'LIST () "/" "Work"',
        b'LIST () "/" "&AMk-t&AOk-"',
        b'LIST (\\Noselect) "/" "Lists"',
        b'LIST () "/" "Lists/debian"',
        b'LIST (\\Noselect) "/" "[Gmail]"',
        b'LIST (\\All) "/" "[Gmail]/All Mail"',
        b'LIST (\\Trash) "/" "[Gmail]/Trash"',
        b'LIST (\\Junk) "/" "[Gmail]/Spam"',
        b'LIST (\\Drafts) "/" "[Gmail]/Drafts"',
        b'LIST (\\Sent) "/" "[Gmail]/Sent Mail"',
        b'LIST (\\Flagged) "/" "[Gmail]/Starred"',
        b'LIST (\\Important) "/" "[Gmail]/Important"',
    }
    assert client.run('SELECT "[Gmail]"').tagged.startswith(b"NO [NONEXISTENT]")
    validities = [mailbox.uidvalidity for mailbox in account.mailboxes()]
    assert len(set(validities)) == len(validities)


def test_a_german_account() -> None:
    """The special names may be others, their attributes stay; the user can make nothing among them."""
    account = GmailAccount(USER, PASSWORD, special=GERMAN)
    account.add(ONE, TRASH)
    account.add(TWO, "\\draft")
    with GmailServer(account) as server, Client(server) as client:
        lines = client.run('LIST (SPECIAL-USE) "" "*"').untagged
        assert b'LIST (\\Trash) "/" "[Gmail]/Papierkorb"' in lines
        assert b'LIST (\\Drafts) "/" "[Gmail]/Entw&APw-rfe"' in lines
        assert client.run('CREATE "[Gmail]/Trash"').tagged.startswith(b"NO [CANNOT]")
    assert subjects(account, "[Gmail]/Papierkorb") == ["one"]
    assert subjects(account, "[Gmail]/Entwürfe") == ["two"]


def test_each_message_once_and_where_it_is_shown(account: GmailAccount) -> None:
    """Labels are mailboxes; All Mail shows all but Trash and Spam; the quota counts each message once."""
    account.add(letter("five"), SPAM)
    assert subjects(account, "INBOX") == ["one", "two"]
    assert subjects(account, "Work") == ["one"]
    assert subjects(account, "[Gmail]/All Mail") == ["one", "two", "three"]
    assert subjects(account, "[Gmail]/Trash") == ["four"]
    assert subjects(account, "[Gmail]/Spam") == ["five"]
    assert account.used == sum(len(message.raw) for message in account.messages())
    one, *_, four, five = account.messages()
    assert one.labels == {INBOXED, "Work"}
    assert one.mailboxes == ["INBOX", "Work", "[Gmail]/All Mail"]
    assert (one.in_trash, four.in_trash, five.in_trash, five.in_spam) == (False, True, False, True)
    assert one.internal_date == DAY
    assert account.message(one.msgid) is one


def test_fetch_of_ids_and_labels(client: Client, account: GmailAccount) -> None:
    """Numbers have 64 bits, system labels a backslash in quotes, and the selected label is left out."""
    labels = INBOXED, STARRED, "Work", "Été", "Two words", 'Quo"te'
    account.add(THREE, *labels, msgid=2**64 - 1, thrid=2**63, flags=["\\Deleted"])
    everywhere = b'"Quo\\"te" "Two words" Work "\\\\Inbox" "\\\\Starred" &AMk-t&AOk-'
    answer = opened(client, "[Gmail]/All Mail").run("UID FETCH 4 (X-GM-MSGID X-GM-THRID X-GM-LABELS FLAGS)")
    assert answer.untagged == [
        b"4 FETCH (UID 4 X-GM-MSGID 18446744073709551615 X-GM-THRID 9223372036854775808 "
        b"X-GM-LABELS (%s) FLAGS (\\Flagged \\Recent))" % everywhere
    ]
    assert opened(client, "INBOX").run("FETCH 3 X-GM-LABELS").untagged == [
        b"3 FETCH (X-GM-LABELS (%s))" % everywhere.replace(b'"\\\\Inbox" ', b"")
    ]
    assert opened(client, "Work").run("FETCH 1 x-gm-labels").untagged == [b'1 FETCH (X-GM-LABELS ("\\\\Inbox"))']
    assert opened(client, "[Gmail]/Trash").run("FETCH 1 X-GM-LABELS").untagged == [b"1 FETCH (X-GM-LABELS ())"]
    assert client.run("FETCH 1 X-GM-RAW").tagged.startswith(b"BAD")


def test_search_by_ids_and_labels(client: Client, account: GmailAccount) -> None:
    """The three keys work, with others, and wherever the message is shown."""
    account.add(letter("late"), "Été", msgid=2**64 - 1, thrid=account.messages()[0].thrid)
    opened(client, "[Gmail]/All Mail")
    one = account.messages()[0]
    for keys, found in {
        f"X-GM-MSGID {2**64 - 1}": b" 4",
        f"X-GM-THRID {one.thrid}": b" 1 4",
        f"X-GM-THRID {one.thrid} NOT X-GM-MSGID {one.msgid}": b" 4",
        "X-GM-LABELS \\Inbox": b" 1 2",
        'X-GM-LABELS "\\\\Inbox" UNSEEN': b" 2",
        "X-GM-LABELS work": b" 1",
        "X-GM-LABELS &AMk-t&AOk-": b" 4",
        "X-GM-LABELS nothing": b"",
    }.items():
        assert client.run("UID SEARCH " + keys).untagged == [b"SEARCH" + found]
    assert client.run(f"UID SEARCH X-GM-MSGID {2**64}").tagged.startswith(b"BAD")
    assert client.run("UID SEARCH X-GM-MSGID").tagged.startswith(b"BAD")


def test_store_of_labels(client: Client, account: GmailAccount) -> None:
    """Labels are added, removed and replaced; a new one is made, one that is not there is not made to be removed."""
    three = account.messages()[2]
    opened(client, "[Gmail]/All Mail")
    answer = client.run('UID STORE 3 +X-GM-LABELS (\\Inbox "\\\\Sent" New &AMk-t&AOk-)')
    assert answer.untagged == [b'3 FETCH (UID 3 X-GM-LABELS (New "\\\\Inbox" "\\\\Sent" &AMk-t&AOk-))']
    assert three.labels == {INBOXED, SENT, "New", "Été"}
    assert client.run("STORE 3 -X-GM-LABELS.SILENT (new2 \\Inbox)").untagged == []
    assert three.labels == {SENT, "New", "Été"}
    assert account.find("new2") is None
    assert client.run("STORE 3 X-GM-LABELS Work").untagged == [b"3 FETCH (X-GM-LABELS (Work))"]
    assert three.labels == {"Work"}
    assert client.run("STORE 3 X-GM-LABELS ()").ok
    assert three.labels == set()
    assert client.run("STORE 3 +X-GM-LABELS \\Nonsense").tagged.startswith(b"NO [CANNOT]")
    assert client.run("STORE 3 X-GM-NONSENSE (Work)").tagged.startswith(b"BAD")
    assert client.run("EXAMINE Work").ok
    assert client.run("STORE 1 +X-GM-LABELS New").tagged.startswith(b"NO [CANNOT]")


def test_store_of_labels_in_their_own_mailbox(client: Client, account: GmailAccount) -> None:
    r"""The selected label stays when all are replaced, and goes when it is named; `\Trash` puts a message there."""
    one, two, *_ = account.messages()
    opened(client, "INBOX")
    assert client.run("UID STORE 1 X-GM-LABELS (New)").untagged == [b"1 FETCH (UID 1 X-GM-LABELS (New))"]
    assert one.labels == {INBOXED, "New"}
    answer = client.run("UID STORE 1 -X-GM-LABELS (\\Inbox)")
    assert answer.untagged == [b"1 FETCH (UID 1 X-GM-LABELS (New))", b"1 EXPUNGE"]
    assert client.run("UID STORE 2 +X-GM-LABELS.SILENT (\\Trash)").untagged == [b"1 EXPUNGE"]
    assert two.mailboxes == ["[Gmail]/Trash"]


def test_flags_are_of_the_message_and_deleted_is_of_the_entry(server: GmailServer, account: GmailAccount) -> None:
    r"""What one mailbox changes is told in another; `\Flagged` is Starred, and UIDs of Starred are never used again."""
    one = account.messages()[0]
    with Client(server) as here, Client(server) as there:
        opened(here, "INBOX")
        opened(there, "Work")
        answer = here.run("UID STORE 1 +FLAGS (\\Deleted \\Flagged $Todo)")
        assert b"1 FETCH (UID 1 FLAGS ($Todo \\Deleted \\Flagged \\Seen \\Recent))" in answer.untagged
        answer = there.run("NOOP")
        assert b"1 FETCH (UID 1 FLAGS ($Todo \\Flagged \\Seen \\Recent))" in answer.untagged
        assert any(line.startswith(b"FLAGS ") and b"$Todo" in line for line in answer.untagged)
        assert one.flags == {"\\Flagged", "\\Seen", "$Todo"}
        assert one.labels == {INBOXED, "Work", STARRED}
        assert one.uid("[Gmail]/Starred") == 1
        opened(there, "[Gmail]/Starred")
        assert there.run("STORE 1 -FLAGS.SILENT \\Flagged").ok
        assert there.run("NOOP").untagged == [b"1 EXPUNGE"]
        assert here.run("NOOP").untagged == [b"1 FETCH (UID 1 FLAGS ($Todo \\Deleted \\Seen \\Recent))"]
        assert here.run("UID STORE 1 +X-GM-LABELS.SILENT (\\Starred)").ok
        assert one.uid("[Gmail]/Starred") == 2


@pytest.mark.parametrize("command", ["EXPUNGE", "UID EXPUNGE 1:*", "CLOSE"])
@pytest.mark.parametrize("mailbox", ["INBOX", "Work", "[Gmail]/All Mail", "[Gmail]/Starred", "[Gmail]/Important"])
def test_expunge_of_a_label_frees_nothing(account: GmailAccount, mailbox: str, command: str) -> None:
    """The label goes, the message stays in All Mail under its UID, and the quota does not move."""
    one = account.messages()[0]
    account.relabel(one, FlagChange.ADD, [STARRED, IMPORTANT])
    used, labels = account.used, one.labels
    with GmailServer(account) as server, Client(server) as client, Client(server) as other:
        opened(client, mailbox)
        opened(other, mailbox)
        assert client.run("UID STORE 1 +FLAGS.SILENT (\\Deleted)").ok
        assert client.run(command).ok
        gone = b"1 EXPUNGE" in other.run("NOOP").untagged
    assert account.used == used
    assert one.uid("[Gmail]/All Mail") == 1
    assert gone is (mailbox != "[Gmail]/All Mail")
    assert len(labels - one.labels) == gone


@pytest.mark.parametrize("label", [TRASH, SPAM])
def test_expunge_in_trash_and_spam_is_for_good(account: GmailAccount, label: str) -> None:
    """Only what is named and marked goes, and the quota falls by it."""
    marked, kept = account.add(letter("marked"), label), account.add(letter("kept"), label)
    used, (name,) = account.used, marked.mailboxes
    with GmailServer(account) as server, Client(server) as client:
        opened(client, name)
        assert client.run(f"UID STORE {marked.uid(name)} +FLAGS.SILENT (\\Deleted)").ok
        assert client.run(f"UID EXPUNGE {kept.uid(name)}").untagged == []
        answer = client.run(f"UID EXPUNGE {marked.uid(name)}")
        assert len(answer.untagged) == 1
        assert answer.untagged[0].endswith(b" EXPUNGE")
    assert marked.gone
    assert not kept.gone
    assert marked not in account.messages()
    assert account.used == used - len(marked.raw)


@pytest.mark.parametrize("source", ["INBOX", "Work", "[Gmail]/All Mail"])
def test_move_to_trash(server: GmailServer, account: GmailAccount, source: str) -> None:
    """The message leaves All Mail and every label; COPYUID comes before the EXPUNGE, others hear of it too."""
    one = account.messages()[0]
    used = account.used
    with Client(server) as client, Client(server) as other:
        opened(client, source)
        opened(other, "INBOX")
        validity = account.mailbox("[Gmail]/Trash").uidvalidity
        answer = client.run('UID MOVE 1 "[Gmail]/Trash"')
        assert answer.untagged == [b"OK [COPYUID %d 1 2] moved" % validity, b"1 EXPUNGE"]
        assert other.run("NOOP").untagged == [b"1 EXPUNGE"]
    assert one.mailboxes == ["[Gmail]/Trash"]
    assert one.labels == set()
    assert account.used == used
    assert server.commands[-2:] == [b't3 UID MOVE 1 "[Gmail]/Trash"', b"t3 NOOP"]


def test_copy_to_trash_and_back(client: Client, account: GmailAccount) -> None:
    """A copy to Trash takes the message away as a move does; a move or copy out of Trash brings it back, starred."""
    one = account.messages()[0]
    account.flag(one, ["\\Flagged"])
    opened(client, "INBOX")
    answer = client.run('UID COPY 1 "[Gmail]/Trash"')
    assert answer.tagged.startswith(b"OK [COPYUID ")
    assert answer.untagged == [b"1 EXPUNGE"]
    assert one.mailboxes == ["[Gmail]/Trash"]
    opened(client, "[Gmail]/Trash")
    assert client.run('UID MOVE 2 "[Gmail]/Trash"').untagged[0].endswith(b" 2 2] moved")
    assert one.in_trash, "a move to where it is removes nothing"
    answer = client.run("UID MOVE 2 Work")
    assert answer.untagged == [b"OK [COPYUID %d 2 2] moved" % account.mailbox("Work").uidvalidity, b"2 EXPUNGE"]
    assert one.mailboxes == ["Work", "[Gmail]/All Mail", "[Gmail]/Starred"]
    four = account.messages()[3]
    assert client.run('UID COPY 1 "[Gmail]/All Mail"').untagged == [b"1 EXPUNGE"]
    assert four.mailboxes == ["[Gmail]/All Mail"]


def test_move_and_copy_between_labels(client: Client, account: GmailAccount) -> None:
    """A copy adds a label, a move changes it, a move to All Mail archives, and one out of All Mail only adds."""
    one, two, three, _ = account.messages()
    opened(client, "INBOX")
    assert client.run("UID COPY 2 Work").tagged.startswith(b"OK [COPYUID ")
    assert two.labels == {INBOXED, "Work"}
    assert client.run("UID MOVE 2 &AMk-t&AOk-").untagged[-1] == b"2 EXPUNGE"
    assert two.labels == {"Work", "Été"}
    answer = client.run('UID MOVE 1 "[Gmail]/All Mail"')
    validity = account.mailbox("[Gmail]/All Mail").uidvalidity
    assert answer.untagged == [b"OK [COPYUID %d 1 1] moved" % validity, b"1 EXPUNGE"]
    assert one.labels == {"Work"}
    opened(client, "[Gmail]/All Mail")
    assert not any(line.endswith(b"EXPUNGE") for line in client.run("UID MOVE 3 INBOX").untagged)
    assert three.labels == {INBOXED}
    assert client.run("UID COPY 3 Nowhere").tagged.startswith(b"NO [TRYCREATE]")


def test_append(client: Client, account: GmailAccount) -> None:
    """A new message is shown in All Mail too; one whose octets are there gets a label and no second message."""
    used, count = account.used, len(account.messages())
    raw = letter("new")

    def append(octets: bytes, where: bytes, more: bytes = b"") -> bytes:
        return client.run(b'APPEND "%s" %s{%d+}\r\n%s' % (where, more, len(octets), octets)).tagged

    validity = account.mailbox("Work").uidvalidity
    more = b'(\\Flagged \\Deleted) "17-May-2020 12:30:00 +0000" '
    assert append(raw, b"Work", more).startswith(b"OK [APPENDUID %d 2]" % validity)
    new = account.messages()[-1]
    assert new.labels == {"Work", STARRED}
    assert new.flags == {"\\Flagged"}
    assert new.internal_date == DAY
    assert "\\Deleted" in new.entries[account.labelled("Work")].flags
    assert account.used == used + len(raw)
    assert append(raw, b"Work").startswith(b"OK [APPENDUID %d 2]" % validity)
    assert append(raw, b"INBOX").startswith(b"OK [APPENDUID %d 3]" % account.mailbox("INBOX").uidvalidity)
    assert new.labels == {INBOXED, "Work", STARRED}
    assert append(letter("plain"), b"[Gmail]/All Mail").startswith(b"OK [APPENDUID ")
    assert account.messages()[-1].labels == set()
    assert append(FOUR, b"Work").startswith(b"OK [APPENDUID ")
    assert account.messages()[3].mailboxes == ["Work", "[Gmail]/All Mail"], "it came back from Trash"
    assert len(account.messages()) == count + 2
    assert append(b"x" * 1_000_000, b"Work").startswith(b"NO [OVERQUOTA]")
    assert len(account.messages()) == count + 2


def test_labels_are_made_renamed_and_deleted(client: Client, account: GmailAccount) -> None:
    """Messages outlive their labels; system mailboxes are neither renamed nor deleted."""
    one = account.messages()[0]
    assert client.run("RENAME Work Play/Hard").ok
    assert one.labels == {INBOXED, "Play/Hard"}
    assert b'LIST (\\Noselect) "/" "Play"' in client.run('LIST "" "*"').untagged
    assert client.run("DELETE Play/Hard").ok
    assert one.labels == {INBOXED}
    assert client.run("RENAME INBOX Old").ok
    assert one.labels == {"Old"}
    for refused in ('DELETE "[Gmail]/Trash"', 'RENAME "[Gmail]/Trash" Bin', 'RENAME "[Gmail]" G', 'CREATE "[Gmail]"'):
        assert client.run(refused).tagged.startswith(b"NO [CANNOT]")


def test_the_quota_on_the_wire(client: Client, account: GmailAccount) -> None:
    """GETQUOTAROOT gives what is used of the limit; labels cost nothing."""
    account.add(b"x" * 100_000, INBOXED, "Work", IMPORTANT)
    assert client.run("GETQUOTAROOT INBOX").untagged == [
        b'QUOTAROOT "INBOX" ""',
        b'QUOTA "" (STORAGE %d 976)' % -(-account.used // 1024),
    ]


def test_an_independent_client(server: GmailServer, account: GmailAccount) -> None:
    """Imaplib empties Trash."""
    with imaplib.IMAP4(server.host, server.imap_port) as imap:
        imap.login(USER, PASSWORD)
        assert imap.select('"[Gmail]/Trash"') == ("OK", [b"1"])
        assert imap.uid("STORE", "1", "+FLAGS.SILENT", "(\\Deleted)")[0] == "OK"
        assert imap.uid("EXPUNGE", "1")[0] == "OK"
    assert len(account.messages()) == 3


@pytest.mark.parametrize("gmail", [False, True])
def test_hidden_uidplus(account: GmailAccount, gmail: bool) -> None:
    """Without UIDPLUS there is no UID EXPUNGE and no code that gives UIDs; all else is as it was."""
    hidden = frozenset({"UIDPLUS"})
    with (
        GmailServer(account, hidden=hidden) if gmail else DemoServer(small_store()[0], hidden=hidden) as server,
        Client(server) as client,
    ):
        assert b" UIDPLUS" not in client.run("CAPABILITY").untagged[0]
        assert b" MOVE " in client.run("CAPABILITY").untagged[0]
        assert client.run("CREATE There").ok
        opened(client, "INBOX")
        assert client.run("UID EXPUNGE 1").tagged.startswith(b"BAD")
        assert client.run("UID COPY 1 There").tagged == b"OK COPY completed"
        assert client.run("UID MOVE 1 There").untagged == [b"OK moved", b"1 EXPUNGE"]
        assert client.run("APPEND INBOX {3+}\r\nabc").tagged == b"OK APPEND completed"
        assert client.run("EXPUNGE").ok


@pytest.mark.parametrize(
    ("hidden", "refused"),
    [
        ("MOVE", "UID MOVE 1 INBOX"),
        ("MOVE", "MOVE 1 INBOX"),
        ("QUOTA", "GETQUOTAROOT INBOX"),
        ("QUOTA", 'GETQUOTA ""'),
        ("UNSELECT", "UNSELECT"),
        ("ID", "ID NIL"),
        ("NAMESPACE", "NAMESPACE"),
    ],
)
def test_a_hidden_capability_takes_its_commands_with_it(hidden: str, refused: str) -> None:
    """They are BAD, and the capability is not announced, nor are its variants."""
    with DemoServer(small_store()[0], hidden=frozenset({hidden})) as server, Client(server) as client:
        capabilities = client.run("CAPABILITY").untagged[0].decode().split()
        assert not any(each.partition("=")[0] == hidden for each in capabilities)
        opened(client, "INBOX")
        assert client.run(refused).tagged.startswith(b"BAD")
        assert client.run("UID EXPUNGE 1").ok
    with DemoServer(small_store()[0]) as server, Client(server) as client:
        opened(client, "INBOX")
        assert client.run(refused).ok


def test_hidden_literal_plus_is_only_not_announced() -> None:
    """The other capabilities stay in their order."""
    with DemoServer(small_store()[0], hidden=frozenset({"LITERAL+", "ESEARCH"})) as server, Client(server) as client:
        assert client.run("CAPABILITY").untagged == [
            b"CAPABILITY IMAP4rev1 SASL-IR ID NAMESPACE UIDPLUS MOVE UNSELECT SPECIAL-USE QUOTA QUOTA=RES-STORAGE"
        ]
        assert client.run("SELECT {5+}\r\nINBOX").ok
