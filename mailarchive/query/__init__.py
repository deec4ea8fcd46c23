"""What the user looks for in the archive: the grammar of `search`, `list`, `export` and `restore`.

The law of this room: pure, without a clock. One strict grammar, and nothing is guessed: a query that cannot be read is
a UsageError that says where.
"""

from mailarchive.query.grammar import digest_prefix, parse
from mailarchive.query.terms import (
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
    Term,
    Words,
)

__all__ = [
    "AllOf",
    "AnyOf",
    "Attachment",
    "Dated",
    "Field",
    "Flag",
    "Id",
    "In",
    "Not",
    "Query",
    "Sized",
    "Term",
    "Words",
    "digest_prefix",
    "parse",
]
