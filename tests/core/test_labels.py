r"""Labels as mailboxes, in the names of a German account (`mailarchive.labels`)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailarchive.labels import Labels
from mailarchive.model import UID, Mailbox, RemoteMessage
from mailarchive.policy import Policy


def box(name: str, *use: str, wire: str = "") -> Mailbox:
    """Make a mailbox."""
    return Mailbox(name, (wire or name).encode(), "/", frozenset(use))


EVERYTHING = box("[Gmail]/Alle Nachrichten", "\\All")
BOXES = (
    box("INBOX"),
    Mailbox("[Gmail]", b"[Gmail]", "/", selectable=False),
    EVERYTHING,
    box("[Gmail]/Entwürfe", "\\Drafts", wire="[Gmail]/Entw&APw-rfe"),
    box("[Gmail]/Gesendet", "\\Sent"),
    box("[Gmail]/Markiert", "\\Flagged"),
    box("[Gmail]/Papierkorb", "\\Trash"),
    box("[Gmail]/Spam", "\\Junk"),
    box("[Gmail]/Wichtig", "\\Important"),
    box("Büro", wire="B&APw-ro"),
    box("Büro/2014", wire="B&APw-ro/2014"),
    box("Privat"),
)


def message(*labels: str) -> RemoteMessage:
    """Make a message that carries labels."""
    return RemoteMessage(UID(1), 10, None, frozenset(), "g1", frozenset(labels))


def labels(*patterns: str) -> Labels:
    """Make the labels for a selection of mailboxes."""
    made = Labels.of(BOXES, Policy(mailboxes=patterns), labels=True)
    assert made is not None
    return made


def test_they_need_a_server_that_has_them_and_shows_everything() -> None:
    """Else mailboxes are mailboxes."""
    assert Labels.of(BOXES, Policy(), labels=False) is None
    assert Labels.of(BOXES[:2], Policy(), labels=True) is None
    hidden = [replace(EVERYTHING, selectable=False), *BOXES[:2]]
    assert Labels.of(hidden, Policy(), labels=True) is None
    assert labels().everything == EVERYTHING


@pytest.mark.parametrize(
    ("given", "places"),
    [
        ((), []),
        (("\\Inbox",), ["INBOX"]),
        (("\\INBOX",), ["INBOX"]),
        (("B&APw-ro", "\\Sent"), ["Büro", "[Gmail]/Gesendet"]),
        (("B&APw-ro/2014",), ["Büro/2014"]),
        (("\\Starred", "\\Important"), ["[Gmail]/Markiert", "[Gmail]/Wichtig"]),
        (("\\Draft",), ["[Gmail]/Entwürfe"]),
        (("\\Drafts", "\\Draft"), ["[Gmail]/Entwürfe"]),
        (("\\Trash", "\\Spam"), ["[Gmail]/Papierkorb", "[Gmail]/Spam"]),
        (("\\Junk",), ["[Gmail]/Spam"]),
        (("Nicht gezeigt",), ["Nicht gezeigt"]),
        (("privat",), ["privat"]),
    ],
)
def test_a_label_is_the_mailbox_that_shows_it(given: tuple[str, ...], places: list[str]) -> None:
    """System labels by their attribute, whatever they are called here; others by the name on the wire; each once."""
    assert [place.name for place in labels().places(message(*given))] == sorted(places)


def test_labels_that_the_server_did_not_tell_are_no_places() -> None:
    """None is not an error here; the probe asks again."""
    assert labels().places(message()._replace(labels=None)) == []


def test_a_system_label_whose_mailbox_is_hidden_keeps_its_attribute() -> None:
    """Spam that is not shown over IMAP is still spam."""
    made = Labels.of([BOXES[0], EVERYTHING], Policy(), labels=True)
    assert made is not None
    (place,) = made.places(message("\\Spam"))
    assert place.special_use == {"\\Junk"}
    assert made.excluded(message("\\Spam")) == "Spam"


@pytest.mark.parametrize(
    ("patterns", "given", "selected", "excluded"),
    [
        ((), (), True, ""),
        ((), ("\\Inbox",), True, ""),
        ((), ("\\Inbox", "\\Starred", "\\Important"), True, ""),
        ((), ("\\Draft",), False, "[Gmail]/Entwürfe"),
        ((), ("Privat", "\\Trash"), True, "[Gmail]/Papierkorb"),
        ((), ("Nicht gezeigt",), True, ""),
        (("Büro",), ("B&APw-ro",), True, ""),
        (("Büro",), ("B&APw-ro", "\\Inbox"), True, "INBOX"),
        (("Büro",), ("B&APw-ro", "Nicht gezeigt"), True, "Nicht gezeigt"),
        (("Büro",), ("B&APw-ro/2014",), False, "Büro/2014"),
        (("Büro*",), ("B&APw-ro/2014",), True, ""),
        (("Büro",), (), False, ""),
        (("Büro",), ("B&APw-ro", "\\Starred", "\\Important"), True, ""),
        (("!Privat",), ("Privat", "\\Inbox"), True, "Privat"),
        (("!Privat",), ("Privat",), False, "Privat"),
        (("!Privat",), (), True, ""),
        (("![Gmail]/Wichtig",), ("\\Inbox", "\\Important"), True, "[Gmail]/Wichtig"),
        (("![Gmail]/Markiert",), ("\\Inbox", "\\Starred"), True, "[Gmail]/Markiert"),
        (("![Gmail]/Markiert",), ("\\Inbox", "\\Important"), True, ""),
        (("[Gmail]/Alle Nachrichten",), (), True, ""),
        (("![Gmail]*",), (), False, ""),
    ],
)
def test_one_chosen_label_selects_and_one_that_is_left_out_keeps(
    patterns: tuple[str, ...], given: tuple[str, ...], selected: bool, excluded: str
) -> None:
    r"""A message is archived if one of its mailboxes is chosen, and deleted only if none is left out.

    \Starred and \Important are views: nobody put the message there, so only their own exclusion keeps it.
    """
    made = labels(*patterns)
    assert made.selects(message(*given)) is selected
    assert made.excluded(message(*given)) == excluded
