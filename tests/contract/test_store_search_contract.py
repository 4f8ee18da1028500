"""What every store must do, in the words of `shared/store/port.py`: strings within strings, and counts by values."""

from collections import Counter

import pytest

from shared.store.port import (
    GROUPED_BY_MAX,
    GROUPS_MAX,
    ConditionFailed,
    ContinuationRefused,
    Count,
    Create,
    Json,
    OrderBy,
    Patch,
    Store,
    Where,
)
from tests.contract.harness import StoreUnderTest


@pytest.fixture
def store(under_test: StoreUnderTest) -> Store:
    return under_test.store


async def put(
    store: Store, id_: str, value: dict[str, Json], *, partition: str = "public", ttl: int | None = None
) -> None:
    await store.commit("listings", partition, [Create(id_, value, ttl)])


async def found(store: Store, *where: Where) -> list[str]:
    return [document.id for document in (await store.query("listings", "public", where=where)).documents]


TEXTS = {
    "a": "jazz at the quay",
    "b": "JAZZ",
    "c": "100% jazz_club",
    "d": "100 % jazzyclub",
    "e": "zürich",
    "f": "zurich",
    "g": "",
    "h": "a\\b'c\"d",
    "i": "naïve \U0001f3b7 sax",
    "j": 42,
    "k": None,
    "l": ["jazz"],
    "m": {"jazz": "jazz"},
    "n": True,
}


@pytest.mark.parametrize(
    ("word", "ids"),
    [
        ("jazz", ["a", "c", "d"]),
        ("JAZZ", ["b"]),
        ("100%", ["c"]),
        ("z_c", ["c"]),
        ("ü", ["e"]),
        ("zurich", ["f"]),
        ("\\b'c\"", ["h"]),
        ("\U0001f3b7", ["i"]),
        ("42", []),
        ("true", []),
        ("", ["a", "b", "c", "d", "e", "f", "g", "h", "i"]),
        ("no such thing", []),
    ],
)
async def test_contains_finds_a_string_within_strings_as_it_is_written(store: Store, word: str, ids: list[str]) -> None:
    for id_, text in TEXTS.items():
        await put(store, id_, {"text": text})
    await put(store, "o", {"other": "jazz"})

    assert await found(store, Where("text", "contains", word)) == ids


async def test_every_word_must_be_contained_and_pages_continue_only_for_the_same_words(store: Store) -> None:
    for number, text in enumerate(["red blue", "blue red green", "red", "blue", "green blue red"]):
        await put(store, f"d{number}", {"text": text, "at": 9 - number})
    where = [Where("text", "contains", "red"), Where("text", "contains", "blue")]
    order = OrderBy("at")

    first = await store.query("listings", "public", where=where, order_by=order, limit=2)
    second = await store.query(
        "listings", "public", where=where, order_by=order, limit=2, continuation=first.continuation
    )

    assert [d.id for d in (*first.documents, *second.documents)] == ["d4", "d1", "d0"]
    assert second.continuation is None
    for other in ([where[0]], [where[0], Where("text", "contains", "green")], [where[0], Where("text", "=", "blue")]):
        with pytest.raises(ContinuationRefused):
            await store.query(
                "listings", "public", where=other, order_by=order, limit=2, continuation=first.continuation
            )


async def test_a_patch_may_depend_on_a_string_within_a_string(store: Store) -> None:
    await put(store, "a", {"text": "red blue", "n": 0})

    await store.commit(
        "listings", "public", [Patch("a", increments={"n": 1}, conditions=[Where("text", "contains", "blue")])]
    )
    with pytest.raises(ConditionFailed):
        await store.commit(
            "listings", "public", [Patch("a", increments={"n": 1}, conditions=[Where("text", "contains", "Blue")])]
        )

    assert (await store.read("listings", "public", "a")).value["n"] == 1


@pytest.mark.parametrize("value", [1, True])
async def test_only_strings_are_contained(store: Store, value: int | bool) -> None:
    with pytest.raises(ValueError, match="contained"):
        await store.query("listings", "public", where=[Where("text", "contains", value)])


async def test_documents_of_a_partition_are_counted_by_values_the_most_frequent_first(store: Store) -> None:
    rows = [("Bern", "music"), ("Zug", "music"), ("Bern", "art"), ("Bern", "music"), ("Aarau", "art")]
    for number, (city, kind) in enumerate(rows):
        await put(store, f"d{number}", {"city": city, "type": kind, "n": number})
        await put(store, f"d{number}", {"city": city, "type": kind, "n": number}, partition="other")
    await store.commit("events", "public", [Create("elsewhere", {"city": "Bern", "type": "art"})])

    by_city = await store.counts_by("listings", "public", by=["city"])
    by_both = await store.counts_by("listings", "public", by=["type", "city"])
    few = await store.counts_by("listings", "public", by=["city"], where=[Where("n", ">=", 2), Where("n", "<", 4)])

    assert list(by_city) == [Count(("Bern",), 3), Count(("Aarau",), 1), Count(("Zug",), 1)]
    assert list(by_both) == [
        Count(("music", "Bern"), 2),
        Count(("art", "Aarau"), 1),
        Count(("art", "Bern"), 1),
        Count(("music", "Zug"), 1),
    ]
    assert list(few) == [Count(("Bern",), 2)]
    assert list(await store.counts_by("listings", "empty", by=["city"])) == []


async def test_only_living_documents_with_strings_are_counted(under_test: StoreUnderTest, store: Store) -> None:
    for number, city in enumerate([5, None, True, ["Bern"], {"Bern": 1}, "Bern", "", "5"]):
        await put(store, f"d{number}", {"city": city, "type": "music"})
    await put(store, "lacks", {"type": "music"})
    await put(store, "over", {"city": "Zug", "type": "music"}, ttl=10)
    await under_test.pass_time(11)

    assert list(await store.counts_by("listings", "public", by=["city"])) == [
        Count(("",), 1),
        Count(("5",), 1),
        Count(("Bern",), 1),
    ]
    assert sum(count.number for count in await store.counts_by("listings", "public", by=["type", "city"])) == 3


async def test_spellings_are_counted_apart(store: Store) -> None:
    for number, city in enumerate(["Zürich", "Zurich", "ZURICH", "Zürich", "Zu\u0308rich"]):
        await put(store, f"d{number}", {"city": city})

    counted = {count.values[0]: count.number for count in await store.counts_by("listings", "public", by=["city"])}

    assert counted == Counter({"Zürich": 2, "Zurich": 1, "ZURICH": 1, "Zu\u0308rich": 1})


async def test_counts_have_a_bound_and_the_small_ones_are_left_out(store: Store) -> None:
    for start in range(0, GROUPS_MAX + 5, 100):
        await store.commit(
            "listings",
            "public",
            [Create(f"d{n}", {"city": f"c{n:05}"}) for n in range(start, min(start + 100, GROUPS_MAX + 5))],
        )
    await put(store, "last", {"city": f"c{GROUPS_MAX + 4:05}"})

    counted = await store.counts_by("listings", "public", by=["city"])

    assert len(counted) == GROUPS_MAX
    assert counted[0] == Count((f"c{GROUPS_MAX + 4:05}",), 2)
    assert counted[-1] == Count((f"c{GROUPS_MAX - 2:05}",), 1)


@pytest.mark.parametrize("by", [[], ["a"] * 2, ["a", "b", "c", "d"], ["a.b"], ["x') OR 1=1 --"]])
async def test_one_groups_by_a_few_plain_properties(store: Store, by: list[str]) -> None:
    assert GROUPED_BY_MAX == 3
    with pytest.raises(ValueError, match=r"propert"):
        await store.counts_by("listings", "public", by=by)
