"""Packed texts and names of a maildrop against plain lists and dictionaries (`texts`, `sources.pop_names`)."""

from __future__ import annotations

from array import array
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailarchive import texts
from mailarchive.messages import NO_SIZE, Messages
from mailarchive.model import UIDL, RemoteMessage, transient
from mailarchive.sources.pop_names import Names, Numbers
from mailarchive.texts import Places, Texts

FEW = st.sampled_from(["a", "b", "ab", "aa", "c" * 70])
ANY = st.none() | FEW | st.text()
NAME = FEW.map(UIDL)
NUMBERS = st.lists(st.integers(0, 9))


@given(st.lists(ANY), st.data())
def test_texts_are_a_list(given_texts: list[str | None], data: st.DataObject) -> None:
    """Whole, one by one, by a slice and by a mask."""
    packed = Texts(given_texts)
    assert (list(packed), len(packed)) == (given_texts, len(given_texts))
    assert [packed[index] for index in range(len(packed))] == given_texts
    place = data.draw(st.slices(len(given_texts)))
    assert list(packed.part(place)) == given_texts[place]
    mask = data.draw(st.lists(st.booleans(), min_size=len(given_texts), max_size=len(given_texts)))
    assert list(packed.where(bytes(mask))) == [text for text, one in zip(given_texts, mask, strict=True) if one]


@pytest.mark.parametrize("same", [False, True])
@given(st.lists(st.none() | FEW), ANY)
def test_a_place_is_where_the_text_is(same: bool, given_texts: list[str | None], other: str | None) -> None:
    """Also where all have one hash; and what stands there twice is known."""
    with pytest.MonkeyPatch.context() as patch:
        if same:
            patch.setattr(texts, "_key", lambda _: 7)
        places = Places(Texts(given_texts))
        count = Counter(text for text in given_texts if text is not None)
        assert places.twice == {text for text, times in count.items() if times > 1}
        assert places.lacking == given_texts.count(None)
        for text in {*count, *([] if other is None else [other])}:
            place = places.find(text)
            assert (place is None) is (text not in count)
            assert place is None or given_texts[place] == text


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | NAME)), NUMBERS)
def test_names_are_what_uidl_said_of_each_number(lines: list[tuple[int, UIDL | None]], asked: list[int]) -> None:
    """A message that is given two different names has none, whatever the order of the lines."""
    names, model = Names(), dict[int, UIDL | None]()
    for number, name in lines:
        names.put(number, name)
        model[number] = name if model.get(number, name) == name else None
    assert len(names) == len(model)
    assert [number for number in range(11) if number in names] == sorted(model)
    assert list(names.of(asked)) == [model.get(number) for number in asked]
    twice = {name for name, times in Counter(model.values()).items() if name is not None and times > 1}
    listed = sorted(set(asked))
    shown = Counter(names.of(listed))
    assert twice == {*names.twice(listed), *(name for name in twice if shown[name] > 1)}
    usual = range(1, len(model) + 1)
    assert list(names.of(usual)) == [model.get(number) for number in usual]


@given(st.dictionaries(st.integers(1, 99), st.none() | NAME))
def test_each_message_has_one_name(names: dict[int, UIDL | None]) -> None:
    """Its own, or if it has none, or shares it, one for this session; in the order of the numbers."""
    listed = sorted(names)
    count = Counter(names.values())
    model = {
        name if name is not None and count[name] == 1 else transient(f"3.{number}"): number
        for number, name in sorted(names.items())
    }
    numbers = Numbers(Texts(names[number] for number in listed), listed, 3)
    assert list(numbers.items()) == list(numbers.pairs()) == list(model.items())
    assert numbers == model
    assert numbers.keys() <= model.keys()
    assert numbers.lasting is all(not name.startswith(" ") for name in model)
    for name in (*names.values(), UIDL("z"), transient("3.0")):
        assert name is None or (name in numbers) is (name in model)
    for name in [name for name in model if name.startswith(" ")]:
        numbers.rename(name, transient(f"x{name}"))
        assert name not in numbers
        assert numbers[transient(f"x{name}")] == model[name]
    assert len(numbers) == len(model)


@given(st.lists(st.tuples(NAME, st.integers(0, NO_SIZE - 1))))
def test_messages_that_are_only_called_are_as_those_put_in_one_by_one(pairs: list[tuple[UIDL, int]]) -> None:
    """Whole, in parts, and chosen by a mask."""
    made = Messages.called(Texts(name for name, _ in pairs), array("I", [size for _, size in pairs]))
    one_by_one = [RemoteMessage(name, size) for name, size in pairs]
    assert list(made) == list(Messages(one_by_one)) == one_by_one
    assert list(made[1::2]) == list(made.where(bytes(index % 2 for index in range(len(pairs))))) == one_by_one[1::2]
