"""Finds archived messages by the index and the catalogue; see `finding.Finder`.

The law of this room: it only reads. First the words are looked up, which gives the candidates, newest first; then, a
few hundred at a time, the catalogue is asked where they lie and what else is known of them. So the first answers of a
word that is everywhere come as quickly as those of a rare one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count, groupby, islice
from typing import TYPE_CHECKING, Any, Final

from mailarchive.catalogue import digest_of
from mailarchive.catalogue_runs import instant
from mailarchive.errors import UsageError
from mailarchive.finding import Found
from mailarchive.index.words import divided, expression
from mailarchive.model import UID, UIDL, Location
from mailarchive.policy import matches
from mailarchive.query import (
    AllOf,
    AnyOf,
    Attachment,
    Dated,
    Flag,
    Id,
    In,
    Not,
    Sized,
    Words,
    digest_prefix,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from mailarchive.index.store import Index
    from mailarchive.query import Query, Term

_AT_ONCE: Final = 500
_PAGE: Final = 5000

_MANY: Final = 2000
"""Answers of a word, after which it is quicker to go through all messages by date than to sort them."""

_NUMBERS = count()
"""Of temporary tables: somebody may still read another answer."""

_AMBIGUOUS: Final = 8
"""Candidates that an error names."""

_INSTANT = "coalesce(CAST(strftime('%s', p.internal_date) AS INTEGER), l.at)"
_COLUMNS = (
    "c.digest, m.name, p.location, c.size, p.internal_date, p.flags, l.subject, l.sender, l.recipients, l.attachments,"
    " p.uidvalidity, p.uid, p.origin, l.at"
)
_PLACES = (
    # CROSS tells SQLite to go this way, and not over all messages of a mailbox for each batch.
    "letter l CROSS JOIN known.content c ON c.digest = l.digest CROSS JOIN known.placement p ON p.content = c.id"
    " CROSS JOIN known.mailbox m ON m.id = p.mailbox"
)


class SqliteFinder:
    """Finds in one archive; see `finding.Finder`.

    Args:
        index: Open.
    """

    def __init__(self, index: Index) -> None:
        self._index = index

    def find(self, query: Query, *, limit: int | None = None, once: bool = False) -> Iterator[Found]:
        """Give what a query asks for, newest first."""
        return islice(self._found(query, once=once), limit)

    def resolve(self, prefix: str) -> Found:
        """Give the message whose digest begins with these digits."""
        digits = digest_prefix(prefix)
        with self._index.reading() as db:
            # What is archived counts, whether its words are known or not.
            found = db.execute(
                f"SELECT c.id, {_COLUMNS} FROM known.content c JOIN known.placement p ON p.content = c.id"  # noqa: S608 - ours
                " JOIN known.mailbox m ON m.id = p.mailbox LEFT JOIN letter l ON l.digest = c.digest"
                " WHERE c.digest BETWEEN ? AND ?",
                _range(digits),
            ).fetchmany(1000)
        matching = list(_arranged([row[0] for row in found], found, once=True))
        if not matching:
            raise UsageError(f"no message of the archive has the ID {digits}", hint="mailarchive search tells the IDs")
        if len(matching) > 1:
            ids = ", ".join(found.id[: len(digits) + 8] for found in matching[:_AMBIGUOUS])
            more = ", …" if len(matching) > _AMBIGUOUS else ""
            raise UsageError(f"several messages have the ID {digits}: {ids}{more}", hint="write more of its digits")
        return matching[0]

    def unread(self, query: Query) -> int:
        """Count the messages that may be answers and could not be read yet: they are not found."""
        return sum(1 for _ in self._index.waiting(*self.necessary(query)))

    def necessary(self, query: Query) -> tuple[str, list[object]]:
        """Give a condition for `Index.waiting` without which no message is an answer: all but the words of a query."""
        parts = query.root.parts if isinstance(query.root, AllOf) else (query.root,)
        simple = tuple(part for part in parts if isinstance(part, In | Sized | Id | Flag))
        with self._index.reading() as db:
            return _Conditions(db).of(AllOf(simple))

    def _found(self, query: Query, *, once: bool) -> Iterator[Found]:
        with self._index.reading() as db:
            words, rest = divided(query.root)
            conditions = _Conditions(db)
            condition, values = conditions.of(AllOf(tuple(rest)))
            for ids in _batches(_candidates(db, words, rest)):
                marks = ", ".join("?" * len(ids))
                rows = db.execute(
                    f"SELECT l.id, {_COLUMNS} FROM {_PLACES} WHERE l.id IN ({marks}) AND {condition}",  # noqa: S608 - ours
                    (*ids, *values),
                ).fetchall()
                yield from _arranged(ids, rows, once=once)


def _candidates(db: sqlite3.Connection, words: str, rest: list[Term]) -> Iterator[int]:
    """Give the numbers of messages that may be answers, newest first."""
    if words:
        hits = {number for (number,) in db.execute("SELECT rowid FROM words WHERE words MATCH ?", (words,))}
        if len(hits) > _MANY:
            return (number for number in _all(db) if number in hits)
        return _ordered(db, "l.id IN (SELECT rowid FROM words WHERE words MATCH ?)", (words,))
    if len(rest) == 1 and isinstance(rest[0], Id):
        return _ordered(db, "l.digest BETWEEN ? AND ?", _range(rest[0].prefix))
    return _all(db)


def _ordered(db: sqlite3.Connection, where: str, values: tuple[object, ...]) -> Iterator[int]:
    """Give the numbers of a few messages."""
    query = f"SELECT l.id FROM letter l WHERE {where} ORDER BY l.at DESC, l.id DESC"  # noqa: S608 - ours
    # All of them at once: a statement that stays open would keep others from writing.
    return iter([number for (number,) in db.execute(query, values).fetchall()])


def _all(db: sqlite3.Connection) -> Iterator[int]:
    """Give the numbers of all messages, a page at a time; what new ones push onto the next page is told once."""
    query = "SELECT id FROM letter ORDER BY at DESC, id DESC LIMIT ? OFFSET ?"
    offset, before = 0, frozenset[int]()
    while page := [number for (number,) in db.execute(query, (_PAGE, offset)).fetchall()]:
        yield from (number for number in page if number not in before)
        offset, before = offset + len(page), frozenset(page)


def _batches(numbers: Iterator[int]) -> Iterator[list[int]]:
    """Give them a few at first, and then many at a time."""
    size = 64
    while batch := list(islice(numbers, size)):
        yield batch
        size = _AT_ONCE


def _arranged(ids: list[int], rows: Iterable[tuple[Any, ...]], *, once: bool) -> Iterator[Found]:
    """Give the rows of some messages in the order of these, one of each message in each mailbox."""
    place = {number: index for index, number in enumerate(ids)}
    # The newest placement of a mailbox comes first: of the highest generation, the highest UID.
    ordered = sorted(
        rows, key=lambda row: (place[row[0]], row[2], -row[11], -row[12] if isinstance(row[12], int) else 0)
    )
    for _, of_one in groupby(ordered, key=lambda row: row[0]):
        for _, here in groupby(of_one, key=lambda row: row[2]):
            yield _value(next(here)[1:])
            if once:
                break


def _value(row: tuple[Any, ...]) -> Found:
    digest, mailbox, location, size, date, flags, subject, sender, recipients, attachments, *of, at = row
    generation, uid, origin = of
    return Found(
        digest=digest_of(digest),
        mailbox=mailbox,
        location=Location(location),
        size=size,
        internal_date=instant(date) or (datetime.fromtimestamp(at, UTC) if at is not None else None),
        flags=frozenset(flags.split()) if flags is not None else None,
        subject=subject or "",
        sender=sender or "",
        recipients=recipients or "",
        attachments=attachments if attachments is not None and attachments >= 0 else None,
        uidvalidity=generation or None,
        uid=UID(uid) if isinstance(uid, int) else UIDL(uid),
        origin=origin,
    )


def _range(prefix: str) -> tuple[object, object]:
    """Give the first and the last digest that begin with some digits."""
    return bytes.fromhex(prefix.ljust(64, "0")), bytes.fromhex(prefix.ljust(64, "f"))


class _Conditions:
    """Writes terms as conditions of SQL on a letter `l`, a placement `p` and a content `c`; values are bound."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def of(self, term: Term) -> tuple[str, list[object]]:
        """Give a condition and the values in it."""
        match term:
            case AllOf(parts) | AnyOf(parts):
                return self._joined(parts, " AND " if isinstance(term, AllOf) else " OR ")
            case Not(part):
                condition, values = self.of(part)
                return f"NOT ({condition})", values
            case Words():
                return self._words(term), []
            case In(pattern):
                return self._mailboxes(pattern)
            case Dated(before, after):
                bound = before or after
                assert bound is not None
                return f"coalesce({_INSTANT} {'<' if before else '>='} ?, 0)", [bound.timestamp()]
            case Sized(above, below):
                return ("c.size > ?", [above]) if above is not None else ("c.size < ?", [below])
            case Flag(flag, present):
                found = f"instr(' ' || p.flags || ' ', ?) {'>' if present else '='} 0"
                return f"coalesce({found}, 0)", [f" {flag} "]
            case Attachment():
                return "l.attachments > 0", []
            case Id(prefix):
                return "c.digest BETWEEN ? AND ?", list(_range(prefix))

    def _joined(self, parts: tuple[Term, ...], sign: str) -> tuple[str, list[object]]:
        if not parts:
            return "1", []
        found = [self.of(part) for part in parts]
        return f"({sign.join(condition for condition, _ in found)})", [value for _, more in found for value in more]

    def _words(self, term: Words) -> str:
        """Look words up once, for all the batches that ask for them."""
        name = f"temp.hit{next(_NUMBERS)}"
        self._db.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)")
        self._db.execute(
            f"INSERT INTO {name} SELECT rowid FROM words WHERE words MATCH ?",  # noqa: S608 - ours
            (expression(term),),
        )
        return f"l.id IN {name}"

    def _mailboxes(self, pattern: str) -> tuple[str, list[object]]:
        rows = self._db.execute("SELECT id, name FROM known.mailbox").fetchall()
        numbers = ", ".join(str(number) for number, name in rows if matches(pattern, name))
        return f"p.mailbox IN ({numbers})", []
