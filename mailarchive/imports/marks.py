r"""How other programs write down what a mail client knows of a message: flags, keywords, labels.

The law of this room: pure tables. `\Deleted` is no flag that is taken over; whether a message so marked is left out
stands here too. What is not known becomes a keyword if a server could have it as one, and else stays in the file only.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from mailarchive import headers
from mailarchive.foreign import flag
from mailarchive.model import ANSWERED, DRAFT, FLAGGED, FORWARDED, INBOX, SEEN, is_inbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SPAM_OR_TRASH: Final = "in Spam or Trash"
EXPUNGED: Final = "deleted in its mail program"

_MOST = 200  # flags of a message
_FIELDS = (b"status", b"x-status", b"x-keywords", b"x-mozilla-status", b"x-mozilla-keys")
_STATUS = {"R": SEEN}
_X_STATUS = {"R": SEEN, "A": ANSWERED, "F": FLAGGED, "T": DRAFT}
_MOZILLA = {0x0001: SEEN, 0x0002: ANSWERED, 0x0004: FLAGGED, 0x1000: FORWARDED}
_MOZILLA_EXPUNGED = 0x0008
_HEX = re.compile("[0-9A-Fa-f]{1,8}")

_MAILDIR = {"D": DRAFT, "F": FLAGGED, "P": FORWARDED, "R": ANSWERED, "S": SEEN}
_SUFFIX = re.compile(r"[:;!]2,([^:;!]*)")

_LABEL = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,]+))\s*(?:,|$)')
_UNWANTED = frozenset({"spam", "trash"})
_VIEWS = frozenset({"unread", "opened", "starred", "important"})
_CATEGORY = "category "
_KEYWORD = "imap_"
_ARCHIVED = "archived"


def of_header(head: bytes) -> tuple[frozenset[str] | None, str]:
    """Read what a program noted in the header itself: Status and X-Status, X-Keywords, and Thunderbird's fields.

    Returns:
        The flags, or None if there is no such field; and why the message is to be left out, empty if it is not.
    """
    values = headers.fields(head, _FIELDS)
    if not any(values.values()):
        return None, ""
    found = {name: b" ".join(each).decode("latin-1") for name, each in values.items()}
    flags = _letters(found[b"status"], _STATUS) | _letters(found[b"x-status"], _X_STATUS)
    flags |= words((found[b"x-keywords"] + " " + found[b"x-mozilla-keys"]).split())
    bits = int(found[b"x-mozilla-status"], 16) if _HEX.fullmatch(found[b"x-mozilla-status"]) else 0
    flags |= {name for bit, name in _MOZILLA.items() if bits & bit}
    return flags, EXPUNGED if bits & _MOZILLA_EXPUNGED else ""


def words(names: Iterable[str]) -> frozenset[str]:
    """Read flags and keywords as words, with or without a backslash (imap-backup writes none), as many as are sane."""
    return frozenset(filter(None, map(flag, islice(names, _MOST))))


def of_file_name(name: str, keywords: Mapping[str, str]) -> tuple[str, frozenset[str]]:
    """Read the name of a file of a Maildir: what stands before the flags, and the flags.

    `keywords` are those of the letters `a` to `z` (Dovecot). The sign before `2,` is `:`, or `;` or `!` where a
    filesystem refuses that.
    """
    found = _SUFFIX.search(name)
    if found is None:
        return name, frozenset()
    letters = found[1].partition(",")[0]
    return name[: found.start()], _letters(letters, _MAILDIR) | words(keywords.get(each, "") for each in letters)


def dovecot_keywords(text: str) -> dict[str, str]:
    """Read a file `dovecot-keywords`: a number from 0 to 25 and a keyword on each line; gives them by letter."""
    found = {}
    for line in text.splitlines():
        number, _, name = line.partition(" ")
        if re.fullmatch("[0-9]|1[0-9]|2[0-5]", number):
            found["abcdefghijklmnopqrstuvwxyz"[int(number)]] = name.strip()
    return found


class Labels(NamedTuple):
    """What the labels of a Gmail message mean.

    Attributes:
        names: As they are written. `mailboxes`: those of them that are places.
        left_out: Why the message is to be left out; empty if it is not.
    """

    names: tuple[str, ...]
    mailboxes: tuple[str, ...]
    flags: frozenset[str]
    left_out: str


def gmail_labels(value: str) -> Labels:
    r"""Read the decoded value of X-Gmail-Labels of Google Takeout: names with commas, some in quotes.

    Each label is a mailbox, but for what is a state or the opinion of Gmail: Unread, Opened, Starred, Important,
    categories, `IMAP_` before a keyword; and Archived where there is another place. Only the English names are known as
    such; a message without `Unread` is `\Seen`.
    """
    parts = (quoted.replace('""', '"') or plain.strip() for quoted, plain in _LABEL.findall(value))
    names = tuple(dict.fromkeys(filter(None, parts)))
    known = {name.lower() for name in names}
    flags = words(name[len(_KEYWORD) :] for name in names if name.lower().startswith(_KEYWORD))
    flags |= frozenset() if "unread" in known else {SEEN}
    flags |= {FLAGGED} if "starred" in known else frozenset()
    flags |= {DRAFT} if "drafts" in known else frozenset()
    places = [name for name in names if _is_place(name.lower())]
    if len(places) > 1:
        places = [name for name in places if name.lower() != _ARCHIVED]
    mailboxes = tuple(INBOX if is_inbox(name) else name for name in places)
    return Labels(names, mailboxes, flags, SPAM_OR_TRASH if known & _UNWANTED else "")


def _is_place(label: str) -> bool:
    return label not in _VIEWS and not label.startswith((_CATEGORY, _KEYWORD))


def _letters(text: str, table: Mapping[str, str]) -> frozenset[str]:
    return frozenset(table[letter] for letter in text if letter in table)
