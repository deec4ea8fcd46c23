"""The table of files answers as a dictionary does, and the list of UIDs is the same whichever way it is made."""

from __future__ import annotations

import tracemalloc
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from mailarchive.archives import numbering
from mailarchive.archives.filed import Filed
from mailarchive.model import UID, UIDL, Location, MailboxStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

# Some begin alike, as far as the table looks before it compares whole names.
DIGITS = [sha256(b"%d" % n).hexdigest()[:32] for n in range(12)] + ["0123456789" + f"{n:022x}" for n in range(6)]
DIGITS += [digits + "0" * 32 for digits in DIGITS[:3]]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "pop", "get"]),
        st.sampled_from(DIGITS),
        st.sampled_from(["cur", "new"]),
        st.sampled_from(["S", "", "Fa", "\udcff", "x" * 100]),
    ),
    max_size=60,
)
SECONDS = ["1393664400", "0", "007", "4294967295", "4294967296"]


def named(digits: str, flags: str = "S") -> str:
    """Make the name of a file, of the usual shape or not."""
    second = SECONDS[sum(map(ord, digits + flags)) % len(SECONDS)]
    return f"{second}.{digits}.mailarchive,S=100:2,{flags}"


@given(STEPS, STEPS)
def test_a_table_is_a_dictionary(first: list[tuple[str, str, str, str]], then: list[tuple[str, str, str, str]]) -> None:
    """Whatever is filled in, put, and taken out."""
    table = Filed()
    twice: list[tuple[str, str]] = []
    beside: dict[str, tuple[str, str]] = {}
    for _, digits, sub, flags in first:
        place = (sub, named(digits, flags))
        if beside.setdefault(digits, place) is not place:
            twice.append(place)
    found = table.fill((sub, named(digits, flags)) for _, digits, sub, flags in first)
    assert sorted(found) == sorted(twice)
    for step, digits, sub, flags in then:
        if step == "put":
            table.put([(sub, named(digits, flags))])
            beside[digits] = (sub, named(digits, flags))
        elif step == "pop" and digits in beside:
            assert table.pop(digits) == beside.pop(digits)
        assert table.get(digits) == beside.get(digits)
    assert [table.get(digits) for digits in DIGITS] == [beside.get(digits) for digits in DIGITS]
    assert sorted(table.values()) == sorted(beside.values())


def test_thirty_thousand_names_take_two_megabytes() -> None:
    """Put in while they come, as in a first backup."""
    tracemalloc.start()
    table = Filed()
    for number in range(30_000):
        digits = sha256(b"%d" % number).hexdigest()[:32]
        table.put([("cur", f"{1393664400 + number}.{digits}.mailarchive,S=100:2,S")])
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert table.get(sha256(b"77").hexdigest()[:32]) is not None
    assert held < 2_000_000
    assert peak < 3_000_000


class Present:
    """A mailbox whose files are these."""

    folder = "INBOX"

    others: tuple[()] = ()

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.files = self

    def __len__(self) -> int:
        return len(self.names)

    def has(self, unique: str) -> bool:
        """Tell whether a file is there."""
        return unique in self.names

    def place(self, unique: str) -> int | None:
        """Find a file."""
        return self.names.index(unique) if unique in self.names else None

    def unique(self, place: int) -> str:
        """Name a file."""
        return self.names[place]


ROWS = st.lists(st.tuples(st.integers(1, 30), st.sampled_from("abcdef")), max_size=12)


@given(ROWS, st.sets(st.sampled_from("abcdef")))
def test_a_first_list_of_uids_is_the_same_line_by_line(rows: list[tuple[int, str]], there: set[str]) -> None:
    """With UIDs that share a file, and files that are gone; what is in no order is not made so."""
    box: Any = Present(sorted(there))
    known = [(UID(uid), Location(f"INBOX/{name}")) for uid, name in sorted(dict(rows).items())]
    status, naming = MailboxStatus(5, 7, 12), numbering.Naming("a" * 32, 1)
    here = [(int(uid), place[6:]) for uid, place in known if place[6:] in there]
    made = numbering._of_uids(box, here, None, status, naming)
    first = numbering._first(box, known, status, naming)
    assert b"".join(first or ()) == (made.text().encode() if made.files else b"")
    if len(here) > 1:
        assert numbering._first(box, known[::-1], status, naming) is None


UIDLS = st.text("abu1\x7f ", max_size=5).map(UIDL)
NAMES = st.builds("{}.{}".format, st.integers(1, 3) | st.integers(9, 11) | st.integers(0, 2), st.sampled_from("ab"))


@given(st.dictionaries(UIDLS, NAMES, max_size=8), st.sets(NAMES, max_size=8))
def test_a_first_list_of_uidls_is_the_same_line_by_line(rows: dict[UIDL, str], gone: set[str]) -> None:
    """Each file has the number of its place by date, and its UIDL if that can be written."""
    box: Any = Present(sorted(set(rows.values()) - gone))
    naming = numbering.Naming("a" * 32, 5)
    here = [(str(uidl), name) for uidl, name in rows.items() if name not in gone]
    made = numbering._of_uidls(here, None, naming)
    first = numbering._first_of_uidls(box, [(uidl, Location(f"INBOX/{name}")) for uidl, name in rows.items()], naming)
    if first is not None:
        assert b"".join(first) == made.text().encode()
    else:
        names = [name for _, name in here]
        assert not names or len(names) > len(set(names)) or any(name.startswith("0") for name in names)
