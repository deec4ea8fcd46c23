"""What finds archived mail (`finding.Finder`): by an index that is kept, and by one made for a single search."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailarchive.catalogue import SqliteCatalogue
from mailarchive.errors import ArchiveError, BusyError, MissingError, UsageError
from mailarchive.index import NAME, Index, SqliteFinder, fill, store
from mailarchive.index import finder as finder_module
from mailarchive.model import UID, UIDL, Digest, Location, Placement
from mailarchive.query import Field, Query, Words, parse
from mailarchive.reading import Letter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mailarchive.finding import Found
    from mailarchive.index import Waiting

ID = "a" * 32
NOW = datetime(2026, 11, 23, 8, 15, tzinfo=UTC)
SEEN, FLAGGED, ANSWERED = "\\Seen", "\\Flagged", "\\Answered"


class Mail:
    """Some messages in a catalogue, and an archive that gives their octets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalogue = folder / "catalogue.sqlite"
        self.octets: dict[Location, bytes] = {}
        self.reads = 0

    def put(
        self,
        mailbox: str,
        octets: bytes,
        date: datetime | None,
        flags: Sequence[str] | None = (),
        *,
        uid: UID | UIDL | None = None,
        uidvalidity: int = 7,
    ) -> Digest:
        """Archive a message."""
        digest = Digest("sha256:" + hashlib.sha256(octets).hexdigest())
        number = UID(len(self.octets) + 1) if uid is None else uid
        location = Location(f"{mailbox}/{uidvalidity}/{number}")
        self.octets[location] = octets
        row = Placement(
            mailbox,
            uidvalidity,
            number,
            digest,
            len(octets),
            location,
            date,
            None if flags is None else frozenset(flags),
        )
        with closing(SqliteCatalogue(self.catalogue, ID)) as catalogue:
            catalogue.record("r", [replace(row, origin="fetched")])
        return digest

    def read(self, location: Location) -> Iterator[bytes]:
        """Give a message; see `ports.Archive`."""
        self.reads += 1
        if location not in self.octets:
            raise MissingError(f"{location} is gone")
        yield self.octets[location]

    @contextmanager
    def finder(self, *, kept: bool = True) -> Iterator[SqliteFinder]:
        """Open an index and fill it."""
        path = self.folder / NAME if kept else None
        with closing(Index(path, self.catalogue, ID)) as index:
            fill(index, self, index.waiting(), stop=lambda: None)
            yield SqliteFinder(index)

    def ask(self, text: str, *, once: bool = False, limit: int | None = None, kept: bool = True) -> list[Found]:
        """Search."""
        with self.finder(kept=kept) as finder:
            return list(finder.find(parse(text, now=NOW), once=once, limit=limit))


def message(subject: str, sender: str, body: str, *more: str) -> bytes:
    """Make a message."""
    fields = (f"From: {sender}", "To: me@example.org", f"Subject: {subject}", *more, "Content-Type: text/plain")
    return ("\r\n".join(fields) + "\r\n\r\n" + body).encode()


ATTACHED = (
    b"From: Bruno <bruno@example.net>\r\nTo: me@example.org\r\nSubject: the plan\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee below\r\n"
    b'--b\r\nContent-Type: application/pdf; name="Grundriss 2014.pdf"\r\n\r\n%PDF secret\r\n--b--\r\n'
)


@pytest.fixture
def mail(tmp_path: Path) -> Mail:
    """Archive seven messages; the numbers in their subjects are those of the queries below."""
    made = Mail(tmp_path)
    day = datetime(2024, 3, 1, 12, tzinfo=timezone(timedelta(hours=1)))
    lists = ("List-Id: <debian-user.lists.example.org>", "Cc: Team <team@example.com>")
    made.put("INBOX", message("one invoice", "Anna Berg <anna@example.org>", "The final notice."), day, [SEEN])
    made.put(
        "INBOX", message("two Café", "anna@example.org", "notice, final; naïve"), day + timedelta(days=1), [FLAGGED]
    )
    made.put(
        "Lists/debian", message("three", "Chloé <chloe@example.com>", "upgrade to 12.5", *lists), day, [SEEN, ANSWERED]
    )
    made.put("日本", message("four 東京", "taro@example.jp", "明日の会議は十時です"), day - timedelta(days=800), None)
    made.put("Work", ATTACHED, day + timedelta(days=3), [SEEN])
    made.put("INBOX", message("six", "big@example.org", "x" * 3000), None, [SEEN])
    made.put("Archive", message("one invoice", "Anna Berg <anna@example.org>", "The final notice."), day, [SEEN])
    return made


ONE, TWO, THREE, FOUR, PLAN, SIX = "one invoice", "two Café", "three", "four 東京", "the plan", "six"


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "for one search"])
@pytest.mark.parametrize(
    ("text", "subjects"),
    [
        ("", [PLAN, TWO, THREE, ONE, FOUR, SIX]),
        ("invoice", [ONE]),
        ("INVOICE", [ONE]),
        ("cafe", [TWO]),
        ("café naive", [TWO]),
        ("invoic", []),
        ("invoic*", [ONE]),
        ("final notice", [TWO, ONE]),
        ('"final notice"', [ONE]),
        ('"final, NOTICE!"', [ONE]),
        ("anna", [TWO, ONE]),
        ("from:anna", [TWO, ONE]),
        ("from:berg", [ONE]),
        ("from:anna@example.org", [TWO, ONE]),
        ("from:invoice", []),
        ("subject:anna", []),
        ("to:team", [THREE]),
        ("to:me", [PLAN, TWO, THREE, ONE, FOUR, SIX]),
        ("cc:team", [THREE]),
        ("cc:me", []),
        ("list:debian-user", [THREE]),
        ("12.5", [THREE]),
        ("filename:grundriss", [PLAN]),
        ("filename:pdf", [PLAN]),
        ("subject:grundriss", []),
        ("grundriss", [PLAN]),
        ("secret", []),
        ("has:attachment", [PLAN]),
        ("会議", [FOUR]),
        ("東京", [FOUR]),
        ("京東", []),
        ("in:INBOX", [TWO, ONE, SIX]),
        ("in:inbox", [TWO, ONE, SIX]),
        ("in:Lists/*", [THREE]),
        ("in:Nowhere", []),
        ("-in:INBOX", [PLAN, THREE, ONE, FOUR]),
        ("invoice -in:INBOX", [ONE]),
        ("is:unread", [TWO]),
        ("is:read", [PLAN, THREE, ONE, SIX]),
        ("-is:read", [TWO, FOUR]),
        ("is:flagged", [TWO]),
        ("is:answered", [THREE]),
        ("before:2023", [FOUR]),
        ("after:2024-03-02", [PLAN, TWO]),
        ("-after:2024-03-02", [THREE, ONE, FOUR, SIX]),
        ("older_than:4y", [FOUR]),
        ("newer_than:4y", [PLAN, TWO, THREE, ONE]),
        ("larger:2K", [SIX]),
        ("smaller:2K -larger:100", []),
        ("invoice OR cafe", [TWO, ONE]),
        ("invoice OR in:Work", [PLAN, ONE]),
        ("final -invoice", [TWO]),
        ("-final", [PLAN, THREE, FOUR, SIX]),
        ("-(final OR has:attachment)", [THREE, FOUR, SIX]),
        ("from:anna (invoice OR cafe) is:read", [ONE]),
        ("(final OR upgrade) (is:answered OR is:flagged)", [TWO, THREE]),
        ('"', None),
    ],
)
def test_a_query_finds_what_it_says(mail: Mail, text: str, subjects: list[str] | None, *, kept: bool) -> None:
    """Case and accents do not count, a word is a whole word, and the newest comes first."""
    if subjects is None:
        with pytest.raises(UsageError):
            mail.ask(text, kept=kept)
        return
    found = [each.subject for each in mail.ask(text, once=True, kept=kept)]
    same_day = {ONE, THREE}
    assert sorted(found) == sorted(subjects)
    assert [name for name in found if name not in same_day] == [name for name in subjects if name not in same_day]


def test_octets_are_found_in_each_mailbox_or_once(mail: Mail) -> None:
    """Each of the two copies; where one is wanted, one that the query allows."""
    assert sorted(each.mailbox for each in mail.ask("invoice")) == ["Archive", "INBOX"]
    assert len(mail.ask("invoice", once=True)) == 1
    assert [each.mailbox for each in mail.ask("invoice in:Arch*", once=True)] == ["Archive"]


def test_what_is_found_says_what_the_catalogue_says(mail: Mail) -> None:
    """Where it lies, when it came, what it was like; a text is one line."""
    (found,) = mail.ask("has:attachment")
    assert (found.mailbox, found.size, found.attachments) == ("Work", len(ATTACHED), 1)
    assert found.flags == frozenset({SEEN})
    assert found.internal_date == datetime(2024, 3, 4, 11, tzinfo=UTC)
    assert (found.subject, found.sender, found.recipients) == (
        "the plan",
        "Bruno <bruno@example.net>",
        "me@example.org",
    )
    assert (found.uidvalidity, found.uid, found.origin) == (7, 5, "fetched")
    assert b"".join(mail.read(found.location)) == ATTACHED
    assert found.id == hashlib.sha256(ATTACHED).hexdigest()


def test_the_newest_placement_of_a_mailbox_is_told(mail: Mail) -> None:
    """Of the highest generation, there the highest UID; and no mailbox is told twice."""
    octets = mail.octets[Location("Work/7/5")]
    for uidvalidity, uid in ((8, 3), (8, 11), (8, 2)):
        mail.put("Work", octets, NOW, uid=UID(uid), uidvalidity=uidvalidity)
    assert [(each.uidvalidity, each.uid) for each in mail.ask("grundriss")] == [(8, 11)]


def test_mail_without_a_date_of_receipt_has_that_of_its_header(tmp_path: Path) -> None:
    """And it is sorted and judged by that."""
    mail = Mail(tmp_path)
    mail.put("INBOX", message("old", "a@b", "x", "Date: Sat, 1 Mar 2014 10:00:00 +0000"), None, uid=UIDL("u1"))
    mail.put("INBOX", message("new", "a@b", "x"), NOW, uid=UIDL("u2"))
    assert [each.subject for each in mail.ask("")] == ["new", "old"]
    assert [each.internal_date for each in mail.ask("before:2015")] == [datetime(2014, 3, 1, 10, tzinfo=UTC)]


def test_a_limit_is_kept_and_answers_come_newest_first(tmp_path: Path) -> None:
    """Over more messages than are asked for at once."""
    mail = Mail(tmp_path)
    with closing(SqliteCatalogue(mail.catalogue, ID)):
        pass
    for number in range(130):
        mail.put("INBOX", message(f"n{number}", "a@b", "word"), NOW - timedelta(hours=(number * 37) % 130))
    dates = [each.internal_date for each in mail.ask("word")]
    assert len(dates) == 130
    assert all(one > other for one, other in pairwise(date for date in dates if date is not None))
    assert [each.internal_date for each in mail.ask("word", limit=3)] == dates[:3]


def test_an_id_is_found_by_its_first_digits(mail: Mail) -> None:
    """What is archived counts, indexed or not; a wrong one is an error that helps."""
    digits = hashlib.sha256(ATTACHED).hexdigest()
    with closing(Index(None, mail.catalogue, ID)) as index:
        finder = SqliteFinder(index)
        for prefix in (digits, digits[:4], f"sha256:{digits[:10].upper()}"):
            assert finder.resolve(prefix).id == digits
        with pytest.raises(UsageError, match="no message of the archive has the ID 00000000"):
            finder.resolve("00000000")
        with pytest.raises(UsageError, match="is no ID"):
            finder.resolve("../../etc")
    assert [each.id for each in mail.ask(f"id:{digits[:6]}")] == [digits]


def test_an_id_that_several_have_names_them(tmp_path: Path) -> None:
    """With enough digits to tell them apart."""
    mail = Mail(tmp_path)
    with closing(SqliteCatalogue(mail.catalogue, ID)) as catalogue:
        for tail in ("1", "2"):
            digest = Digest(f"sha256:abcd{tail}{'0' * 59}")
            catalogue.record("r", [Placement("I", 1, UID(int(tail)), digest, 1, Location(tail), NOW, frozenset())])
    with closing(Index(None, mail.catalogue, ID)) as index:
        with pytest.raises(UsageError, match="several messages have the ID abcd: abcd10000000, abcd20000000"):
            SqliteFinder(index).resolve("abcd")
        assert SqliteFinder(index).resolve("abcd2").uid == 2


# What a query may hold


WORDS = ("invoice", "cafe", "final", "notice", "anna", "plan", "upgrade", "nowhere")
SPECIAL = st.text(alphabet="ab\"*^()-+:{}[]~,.;'\\%_\0\u0301é東AND OR NOT NEAR", min_size=1, max_size=12)
ATOMS = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(
        ['"final notice"', "from:anna", "subject:cafe", "in:INBOX", "is:read", "has:attachment", "larger:1K"]
    ),
    st.builds(lambda text: '"' + text.replace('"', "") + 'x"', SPECIAL),
    SPECIAL,
)
QUERIES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        inner.map(lambda text: f"-({text})"),
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: "(" + " OR ".join(parts) + ")"),
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: "(" + " ".join(parts) + ")"),
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteFinder]:
    """Give a finder in a few messages."""
    made = Mail(tmp_path_factory.mktemp("mail"))
    made.put("INBOX", message("one invoice", "anna@example.org", "final notice"), NOW, [SEEN])
    made.put("INBOX", message("two cafe", "anna@example.org", "notice final"), NOW, [])
    made.put("Work", ATTACHED, NOW, [SEEN])
    made.put("Work", message("big", "x@example.org", "upgrade" + " x" * 2000), NOW, None)
    with made.finder() as finder:
        yield finder


@settings(max_examples=300)
@given(text=QUERIES)
@example(text='"a" OR rowid:1')
@example(text='subject:"x\'); DROP TABLE letter; --"')
@example(text="x" + " OR y" * 150)
@example(text="(" * 40 + "x OR y" + " z)" * 40)
@example(text=" ".join(f"-(a{n} OR (b{n} c{n}))" for n in range(40)))
def test_no_query_is_an_error_of_the_engine(ready: SqliteFinder, text: str) -> None:
    """It is a UsageError of the grammar, or it has answers; and a query and its opposite have all messages together."""
    try:
        asked, opposite = parse(text, now=NOW), parse(f"-({text})", now=NOW)
    except UsageError:
        return
    every = {each.digest for each in ready.find(parse("", now=NOW))}
    yes = {each.digest for each in ready.find(asked)}
    no = {each.digest for each in ready.find(opposite)}
    assert (yes | no, yes & no) == (every, set())


Tree = tuple[str, "tuple[Tree, ...] | str"]
SIMPLE = ("invoice", "final", "anna", "plan", "from:anna", "in:INBOX", "is:read", "has:attachment", '"final notice"')
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.sampled_from(SIMPLE).map(lambda text: ("atom", text)),
    lambda inner: st.one_of(
        inner.map(lambda tree: ("not", (tree,))),
        st.lists(inner, min_size=2, max_size=4).map(lambda trees: ("or", tuple(trees))),
        st.lists(inner, min_size=2, max_size=4).map(lambda trees: ("and", tuple(trees))),
    ),
    max_leaves=20,
)


def written(tree: Tree) -> str:
    """Write a tree as a query."""
    kind, inner = tree
    if isinstance(inner, str):
        return inner
    parts = [written(each) for each in inner]
    return f"-({parts[0]})" if kind == "not" else "(" + (" OR " if kind == "or" else " ").join(parts) + ")"


def worked_out(tree: Tree, atoms: dict[str, frozenset[str]], every: frozenset[str]) -> frozenset[str]:
    """Work out by sets what a tree finds."""
    kind, inner = tree
    if isinstance(inner, str):
        return atoms[inner]
    parts = [worked_out(each, atoms, every) for each in inner]
    if kind == "not":
        return every - parts[0]
    return frozenset.union(*parts) if kind == "or" else frozenset.intersection(*parts)


def found_ids(finder: SqliteFinder, text: str) -> frozenset[str]:
    """Search."""
    return frozenset(each.id for each in finder.find(parse(text, now=NOW)))


@pytest.fixture(scope="module")
def atoms(ready: SqliteFinder) -> dict[str, frozenset[str]]:
    """Give what each single term finds, and all under the empty one."""
    return {text: found_ids(ready, text) for text in ("", *SIMPLE)}


@settings(max_examples=200)
@given(tree=TREES)
def test_terms_are_joined_as_sets_are(ready: SqliteFinder, atoms: dict[str, frozenset[str]], tree: Tree) -> None:
    """Whatever lies in whatever: the same as by set algebra over what the single terms find."""
    assert found_ids(ready, written(tree)) == worked_out(tree, atoms, atoms[""])


@pytest.mark.parametrize("text", ['x" OR "notice', 'nowhere"', '"', 'invoice" NOT "x', "subject : invoice"])
def test_a_word_that_holds_quotes_is_a_word_all_the_same(ready: SqliteFinder, text: str) -> None:
    """The grammar gives none such; whoever else makes a query is not trusted for that."""
    assert list(ready.find(Query(text, Words(Field.ANYWHERE, text)))) == []


# The file


def test_a_message_is_read_once(mail: Mail) -> None:
    """The next search opens no file; new mail alone is read then, and equal octets never again."""
    mail.ask("invoice")
    assert mail.reads == 6
    mail.ask("invoice")
    assert mail.reads == 6
    mail.put("Work", message("seven", "a@b", "new"), NOW)
    mail.put("Else", ATTACHED, NOW)
    assert [each.subject for each in mail.ask("new")] == ["seven"]
    assert mail.reads == 7


def test_the_index_is_closed_to_others_and_leaves_nothing_beside_it(mail: Mail) -> None:
    """0600, and the catalogue is not changed by being searched."""
    before = mail.catalogue.read_bytes()
    mail.ask("invoice")
    assert sorted(path.name for path in mail.folder.iterdir()) == ["catalogue.sqlite", NAME]
    assert (mail.folder / NAME).stat().st_mode & 0o777 == 0o600
    assert mail.catalogue.read_bytes() == before


def test_an_index_for_one_search_leaves_nothing(mail: Mail) -> None:
    """Not even a file."""
    assert mail.ask("invoice", kept=False)
    assert [path.name for path in mail.folder.iterdir()] == ["catalogue.sqlite"]


def test_a_message_that_cannot_be_read_costs_itself_only(mail: Mail) -> None:
    """It is looked for again another time."""
    location = Location("INBOX/7/2")
    octets = mail.octets.pop(location)
    assert [each.subject for each in mail.ask("final", once=True)] == [ONE]
    mail.octets[location] = octets
    assert len(mail.ask("final", once=True)) == 2


@pytest.mark.parametrize("wrong", ["garbage", "other archive", "other version", "a database of others", "empty"])
def test_an_index_that_is_not_ours_is_made_anew(mail: Mail, wrong: str, tmp_path: Path) -> None:
    """It is derived: nothing of it is asked for, and nothing of it is kept."""
    path = mail.folder / NAME
    if wrong == "garbage":
        path.write_bytes(b"this is no database\n" * 500)
    elif wrong == "empty":
        path.write_bytes(b"")
    elif wrong == "other archive":
        other = Mail(tmp_path / "other")
        other.folder.mkdir()
        with closing(SqliteCatalogue(other.catalogue, "b" * 32)):
            pass
        Index(path, other.catalogue, "b" * 32).close()
    else:
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE theirs (x)")
            db.execute("PRAGMA user_version = 99")
            db.commit()
    assert [each.subject for each in mail.ask("grundriss")] == [PLAN]
    assert mail.reads == 6


def test_a_link_in_the_place_of_the_index_is_not_followed(mail: Mail, tmp_path: Path) -> None:
    """It could lead to a file of anybody."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"theirs")
    (mail.folder / NAME).symlink_to(victim)
    with pytest.raises(ArchiveError, match="is a link"):
        Index(mail.folder / NAME, mail.catalogue, ID)
    assert victim.read_bytes() == b"theirs"


def test_a_catalogue_of_an_earlier_version_is_searched_as_it_is(mail: Mail) -> None:
    """Only a backup brings it to the schema of today."""
    with closing(sqlite3.connect(mail.catalogue)) as db:
        db.execute("DROP TABLE listing")
        db.execute("PRAGMA user_version = 2")
        db.commit()
    assert [each.subject for each in mail.ask("grundriss")] == [PLAN]
    with closing(sqlite3.connect(mail.catalogue)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)


@pytest.mark.parametrize("wrong", ["later", "other archive", "gone", "no catalogue"])
def test_a_catalogue_that_cannot_be_used_is_an_error_with_a_hint(mail: Mail, wrong: str) -> None:
    """It is not touched."""
    if wrong == "gone":
        mail.catalogue.unlink()
    elif wrong == "no catalogue":
        mail.catalogue.write_bytes(b"no database at all\n" * 100)
    elif wrong == "later":
        with closing(sqlite3.connect(mail.catalogue)) as db:
            db.execute("PRAGMA user_version = 99")
            db.commit()
    before = mail.catalogue.read_bytes() if mail.catalogue.exists() else b""
    with pytest.raises(ArchiveError) as caught:
        Index(None, mail.catalogue, ID if wrong != "other archive" else "b" * 32)
    assert caught.value.hint
    assert (mail.catalogue.read_bytes() if mail.catalogue.exists() else b"") == before


def test_a_search_and_a_run_that_writes_do_not_wait_for_each_other(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue is open and in the middle of a transaction; what was committed before is found."""
    monkeypatch.setattr(store, "PATIENCE", 0.1)
    with closing(sqlite3.connect(mail.catalogue, isolation_level=None, timeout=0.1)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE placement SET flags = ''")
        assert [each.subject for each in mail.ask("is:flagged")] == [TWO]
        writer.execute("ROLLBACK")
        mail.put("INBOX", message("seven", "a@b", "new"), NOW)
        with closing(Index(mail.folder / NAME, mail.catalogue, ID)) as index:

            def watched() -> Iterator[tuple[Waiting, Letter]]:
                for each in index.waiting():
                    yield each, Letter(subject="seven")
                writer.execute("BEGIN IMMEDIATE")  # in the middle of the transaction of the index
                writer.execute("ROLLBACK")

            index.add(watched())
            assert index.db.execute("SELECT count(*) FROM letter").fetchone() == (7,)


def test_two_that_fill_at_once_take_each_message_in_once(mail: Mail) -> None:
    """The second leaves alone what the first has taken in meanwhile."""
    path = mail.folder / NAME
    with closing(Index(path, mail.catalogue, ID)) as one, closing(Index(path, mail.catalogue, ID)) as other:
        waiting = list(one.waiting())
        assert fill(other, mail, other.waiting(), stop=lambda: None) == 6
        fill(one, mail, waiting, stop=lambda: None)
        with one.reading() as db:
            assert db.execute("SELECT count(*) FROM letter").fetchone() == (6,)
        assert [each.subject for each in SqliteFinder(one).find(parse("grundriss", now=NOW))] == [PLAN]


def test_an_index_that_another_process_fills_is_busy(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and reading goes on."""
    monkeypatch.setattr(store, "PATIENCE", 0.1)
    path = mail.folder / NAME
    with (
        closing(Index(path, mail.catalogue, ID)) as index,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyError, match="another program"):
            fill(index, mail, index.waiting(), stop=lambda: None)
        assert list(SqliteFinder(index).find(parse("invoice", now=NOW))) == []
        other.execute("ROLLBACK")


def test_filling_stops_when_it_is_told_and_keeps_what_it_has(mail: Mail) -> None:
    """After the message that is being read; the rest waits."""
    with closing(Index(mail.folder / NAME, mail.catalogue, ID)) as index:
        answers = iter([None, None, "stop"])
        assert fill(index, mail, index.waiting(), stop=lambda: next(answers)) == 3
        assert index.behind() == 3
        told: list[int] = []
        assert fill(index, mail, index.waiting(), stop=lambda: None, progress=told.append) == 3
        assert told[-1] == 3
        assert index.behind() == 0


def test_f125_a_message_that_breaks_its_reader_is_indexed_by_what_was_readable(tmp_path: Path) -> None:
    """Nested a thousandfold, with lone surrogates, NUL, and a megabyte of a word."""
    mail = Mail(tmp_path)
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1000))
    mail.put("I", b"Subject: deep thought\r\n" + deep, NOW)
    mail.put("I", b"Subject: =?utf-7?q?+2AA-?= surrogate\r\n\r\nx", NOW)
    mail.put("I", b"Subject: nul\r\n\r\nbefore\0after", NOW)
    mail.put("I", b"Subject: long\r\n\r\n" + b"x" * 1_000_000 + b" end", NOW)
    mail.put("I", b"", NOW)
    for text, subject in (("thought", "deep thought"), ("surrogate", "surrogate"), ("after", "nul"), ("long", "long")):
        (found,) = mail.ask(text)
        assert subject in found.subject
    assert len(mail.ask("")) == 5


def test_a_search_in_a_thread_beside_a_writer_sees_whole_messages(mail: Mail) -> None:
    """Answers come while another thread takes in more, and each has its subject."""
    with mail.finder():
        pass
    failed: list[BaseException] = []

    def search() -> None:
        try:
            for _ in range(20):
                with closing(Index(mail.folder / NAME, mail.catalogue, ID)) as index:
                    for each in SqliteFinder(index).find(parse("final OR w", now=NOW)):
                        assert each.subject
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            failed.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    for number in range(10):
        mail.put("INBOX", message(f"w{number}", "a@b", "w"), NOW)
        with mail.finder():
            pass
    thread.join()
    assert failed == []
    assert len(mail.ask("w")) == 10


def test_a_look_begins_where_the_last_one_ended(mail: Mail) -> None:
    """What is indexed is not looked at again, and what cannot be read is not forgotten."""
    lost = Location("INBOX/7/2")
    octets = mail.octets.pop(lost)
    with mail.finder() as finder:
        index = finder._index
        assert (index.behind(), index._reached()) == (1, 1)
        mail.octets[lost] = octets
        assert fill(index, mail, index.waiting(), stop=lambda: None) == 1
        assert (index.behind(), index._reached()) == (0, 6)
        mail.put("Work", message("seven", "a@b", "new"), NOW)
        assert index.behind() == 1


@pytest.mark.parametrize("how", ["anew", "renumbered"])
def test_another_catalogue_is_looked_at_from_its_beginning(mail: Mail, how: str) -> None:
    """Whose numbers mean other messages, also if it lies in the same place."""
    mail.ask("invoice")
    extra = message("seven", "a@b", "new")
    if how == "renumbered":
        with closing(sqlite3.connect(mail.catalogue)) as db:
            db.execute("PRAGMA foreign_keys = OFF")
            db.execute("UPDATE content SET id = id + 100")
            db.execute("UPDATE placement SET content = content + 100")
            db.commit()
        mail.put("Work", extra, NOW)
        with closing(sqlite3.connect(mail.catalogue)) as db:
            db.execute("PRAGMA foreign_keys = OFF")
            (number,) = db.execute("SELECT max(id) FROM content").fetchone()
            db.execute("UPDATE content SET id = 2 WHERE id = ?", (number,))
            db.execute("UPDATE placement SET content = 2 WHERE content = ?", (number,))
            db.commit()
    else:
        mail.catalogue.rename(mail.folder / "aside")
        mail.put("Work", extra, NOW)
        for location in [place for place in mail.octets if place.startswith(("INBOX", "Work", "Lists"))]:
            mail.put(location.partition("/")[0], mail.octets[location], NOW)
    assert [each.subject for each in mail.ask("new")] == ["seven"]
    assert len(mail.ask("grundriss", once=True)) == 1


def test_pages_are_taken_in_one_after_the_other(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message once, however many there are."""
    monkeypatch.setattr(store, "_PAGE", 2)
    assert len(mail.ask("", once=True)) == 6
    assert mail.reads == 6


@pytest.mark.parametrize(
    "text", ["final", "anna OR upgrade", "to:me -invoice", "", "in:INBOX", "-final", "final in:INBOX"]
)
def test_common_words_are_looked_up_another_way_with_the_same_answers(
    mail: Mail, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """By going through all messages by date, a page at a time."""
    before = [(each.id, each.mailbox) for each in mail.ask(text)]
    monkeypatch.setattr(finder_module, "_MANY", 0)
    monkeypatch.setattr(finder_module, "_PAGE", 2)
    assert [(each.id, each.mailbox) for each in mail.ask(text)] == before
    assert before
