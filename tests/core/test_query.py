"""The grammar of queries (`mailarchive.query`)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailarchive.errors import UsageError
from mailarchive.model import ANSWERED, FLAGGED, SEEN
from mailarchive.query import (
    AllOf,
    AnyOf,
    Attachment,
    Dated,
    Field,
    Flag,
    Id,
    In,
    Not,
    Query,
    Sized,
    Words,
    digest_prefix,
    parse,
)

if TYPE_CHECKING:
    from mailarchive.query import Term

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 8, 15, tzinfo=BERLIN)
YEAR_AGO = datetime(2025, 11, 23, tzinfo=BERLIN)


def word(text: str, field: Field = Field.ANYWHERE, *, prefix: bool = False) -> Words:
    """Make a term of words."""
    return Words(field, text, prefix)


A, B, C = word("a"), word("b"), word("c")


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("", AllOf()),
        (" \t\n ", AllOf()),
        ("a", A),
        ("  a  ", A),
        ("a b", AllOf((A, B))),
        ("a AND b", AllOf((A, B))),
        ("a OR b", AnyOf((A, B))),
        ("a b OR c", AnyOf((AllOf((A, B)), C))),
        ("a OR b c", AnyOf((A, AllOf((B, C))))),
        ("a (b OR c)", AllOf((A, AnyOf((B, C))))),
        ("(a)", A),
        ("((a b))", AllOf((A, B))),
        ("a or b", AllOf((A, word("or"), B))),
        ('a "OR" b', AllOf((A, word("OR"), B))),
        ("-a", Not(A)),
        ("--a", A),
        ("NOT a", Not(A)),
        ("a -b", AllOf((A, Not(B)))),
        ("-(a OR b)", Not(AnyOf((A, B)))),
        ('-"a b"', Not(word("a b"))),
        ("-from:anna", Not(word("anna", Field.FROM))),
        ("e-mail", word("e-mail")),
        ('"a  b"', word("a  b")),
        ('"inv*"', word("inv*")),
        ("inv*", word("inv", prefix=True)),
        ("c*b", word("c*b")),
        ("c++*", word("c++*")),
        ("from:anna", word("anna", Field.FROM)),
        ("FROM:Anna", word("Anna", Field.FROM)),
        ('from:"Anna Berg"', word("Anna Berg", Field.FROM)),
        ("from:ann*", word("ann", Field.FROM, prefix=True)),
        ("to:a cc:b", AllOf((word("a", Field.TO), word("b", Field.CC)))),
        ("subject:a", word("a", Field.SUBJECT)),
        ("list:debian-user", word("debian-user", Field.LIST)),
        ("filename:pdf", word("pdf", Field.FILENAME)),
        ("from:anna@example.org", word("anna@example.org", Field.FROM)),
        ("subject:re:x", word("re:x", Field.SUBJECT)),
        ("http://example.org/", word("http://example.org/")),
        ("12:30", word("12:30")),
        ("in:INBOX", In("INBOX")),
        ('in:"My Lists/*"', In("My Lists/*")),
        ("-in:Lists/*", Not(In("Lists/*"))),
        ("older_than:1y", Dated(before=YEAR_AGO)),
        ("newer_than:1y", Dated(after=YEAR_AGO)),
        ("before:2024", Dated(before=datetime(2024, 1, 1, tzinfo=BERLIN))),
        ("after:2024-03-31", Dated(after=datetime(2024, 3, 31, tzinfo=BERLIN))),
        ("larger:5M", Sized(above=5 << 20)),
        ("smaller:500K", Sized(below=500 << 10)),
        ("has:attachment", Attachment()),
        ("is:flagged", Flag(FLAGGED)),
        ("is:unread", Flag(SEEN, present=False)),
        ("is:Read", Flag(SEEN)),
        ("is:answered", Flag(ANSWERED)),
        ("id:0aF3", Id("0af3")),
        ("id:sha256:0af3", Id("0af3")),
        ("Straße 東京", AllOf((word("Straße"), word("東京")))),
        (
            "from:anna older_than:1y has:attachment larger:5M invoice",
            AllOf(
                (word("anna", Field.FROM), Dated(before=YEAR_AGO), Attachment(), Sized(above=5 << 20), word("invoice"))
            ),
        ),
    ],
)
def test_a_query_is_read_by_one_strict_grammar(text: str, root: Term) -> None:
    """Side by side binds tighter than OR; a minus or NOT turns one term or group around; quotes make a phrase."""
    assert parse(text, now=NOW) == Query(text, root)


@pytest.mark.parametrize(
    ("text", "at", "trouble", "hint"),
    [
        ("a form:x", 3, "there is no field 'form:'", "did you mean 'from:'?"),
        ("older-than:1y", 1, "there is no field 'older-than:'", "did you mean 'older_than:'?"),
        ("folder:x", 1, "there is no field 'folder:'", "did you mean 'in:'?"),
        ("zebra:x", 1, "there is no field 'zebra:'", "put it into quotes, or use one of from:, to:"),
        ("from: anna", 6, "nothing stands after from:", "without a blank"),
        ("from:", 6, "nothing stands after from:", "without a blank"),
        ('a from:""', 8, "nothing stands after from:", "without a blank"),
        ("from:(a OR b)", 1, "from: takes one value", "write (from:a OR from:b)"),
        ("NOT:x", 1, "there is no field 'NOT:'", "quotes"),
        ("a OR", 3, "nothing stands after OR", '"OR"'),
        ("OR a", 1, "nothing stands before OR", '"OR"'),
        ("a OR OR b", 6, "nothing stands before OR", '"OR"'),
        ("(OR)", 2, "nothing stands before OR", '"OR"'),
        ("a AND", 3, "AND stands between two terms", '"AND"'),
        ("AND a", 1, "AND stands between two terms", '"AND"'),
        ("a AND AND b", 3, "AND stands between two terms", '"AND"'),
        ("a AND OR b", 3, "AND stands between two terms", '"AND"'),
        ("a NOT", 3, "nothing stands after NOT", "quotes"),
        ("-OR", 1, "nothing stands after -", "quotes"),
        ("a - b", 3, "'-' has no letter or digit to look for", ""),
        ("***", 1, "'***' has no letter or digit to look for", ""),
        ("from:@", 6, "'@' has no letter or digit to look for", ""),
        ('a "b c', 3, "this quote is not closed", 'add "'),
        ('a "', 3, "this quote is not closed", 'add "'),
        ('from:"b c', 6, "this quote is not closed", 'add "'),
        ("a (b", 3, "this parenthesis is not closed", "add )"),
        ("a b)", 4, "this parenthesis closes nothing", "leave it out"),
        ("a ()", 3, "there is nothing in these parentheses", "leave them out"),
        ("older_than:1", 12, "older_than: '1': a unit is missing", "use 30d, 8w, 6m or 1y"),
        ("before:1y", 8, "before: '1y': is an age", "ages go with older_than: and newer_than:"),
        ("before:03/04/2024", 8, "before: '03/04/2024': can be read two ways", "write 2024-04-03 or 2024-03-04"),
        ("larger:5mb", 8, "larger: '5mb': the units", "write 5M"),
        ("has:attachments", 5, "has: knows no 'attachments'", "write has:attachment"),
        ("is:starred", 4, "is: knows no 'starred'", "did you mean 'flagged'?"),
        ("is:xyz", 4, "is: knows no 'xyz'", "write one of flagged, unread, read, answered"),
        ("in:!Junk", 4, "in: takes no !", "write -in:Junk"),
        ("id:xyz", 4, "id: 'xyz': is no ID", "search --ids"),
        ("id:abc", 4, "id: 'abc': an ID has at least 4 digits", ""),
        ("a\udcff", 1, "this is no text", "UTF-8"),
        ("(" * 51 + "a" + ")" * 51, 51, "parentheses lie in one another at most 50 deep", ""),
        ("a " * 201, 401, "a query has at most 200 terms", ""),
    ],
)
def test_what_cannot_be_read_says_where_and_what_to_write(text: str, at: int, trouble: str, hint: str) -> None:
    """The message names the character, counted from 1, and nothing is guessed."""
    with pytest.raises(UsageError) as caught:
        parse(text, now=NOW)
    assert caught.value.message.startswith(f"the query, at character {at}: {trouble}")
    assert hint in caught.value.hint


def test_a_query_has_a_bounded_length() -> None:
    """No text of megabytes is even looked at."""
    with pytest.raises(UsageError, match="longer than 10000 characters"):
        parse("a" * 10_001, now=NOW)


@pytest.mark.parametrize("text", ["abcd", "sha256:ABCD", "0" * 64])
def test_an_id_is_the_beginning_of_a_digest(text: str) -> None:
    """The name of the hash may stand before it, and the case of letters does not count."""
    assert digest_prefix(text) == text.lower().removeprefix("sha256:")


def test_terms_are_given_in_order_without_what_joins_them() -> None:
    """Nothing of a nested query is left out."""
    query = parse("a -(b OR from:c) is:read", now=NOW)
    assert list(query.terms()) == [A, B, word("c", Field.FROM), Flag(SEEN)]
    assert parse("", now=NOW).everything
    assert not query.everything


PIECES = st.one_of(
    st.sampled_from(
        ["(", ")", "-", "OR", "AND", "NOT", '"', " ", "from:", "in:", "is:", "before:", "larger:", "id:", "*"]
    ),
    st.text(max_size=5),
)


@given(st.lists(PIECES, max_size=60).map("".join))
@example("(" * 5000)
@example("-" * 10_000)
@example('"' * 9_999)
@example("a OR " * 2_000)
@example(" " * 10_000)
@example("a:" * 5_000)
@example("-(" * 5_000)
def test_any_text_is_a_query_or_a_usage_error(text: str) -> None:
    """Nothing else ever comes out, and an error points into the text."""
    try:
        query = parse(text, now=NOW)
    except UsageError as error:
        found = error.message.removeprefix("the query, at character ").partition(":")[0]
        assert 1 <= int(found) <= len(text) + 1
    else:
        assert all(term.text for term in query.terms() if isinstance(term, Words))
