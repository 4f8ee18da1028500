"""The public list against an oracle that knows nothing of stores: filters, orders, pages and counts."""

import asyncio
import os
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from functions.catalog.events import Event
from functions.catalog.filtering import Facet
from functions.catalog.list_wire import FilterQuery, ListQuery
from functions.composition import UseCases, use_cases
from shared.kernel.ids import EventId, OrderId, derived_id
from shared.kernel.money import Money
from tests.factories import catalog
from tests.factories import settings as factory

ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "1"))
WORDS = [
    "Zürich", "ZURICH", "Zu\u0308rich", "Straße", "STRASSE", "straßen", "İzmir", "ızmir", "IZMIR", "Łódź", "lodz", "e",
    "FINE", "Ångström", "Ærø", "100%", "a_b", "O’Neil", "Ελλάς", "ΕΛΛΆΣ", "ёж", "中文字", "É", "ß", "½", "Đà", "-",
    "ﬁne", "?!", "हिन्दी", "हिन्दु", "संगीत", "मुंबई", "กรุงเทพฯ", "ดนตรี", "น้ำ", "นา",
]  # fmt: skip
# Vowels and nasals of the words above: marks to Unicode as accents are, but without them it is another word.
SIGNS_THAT_COUNT = "िीुें\u0e35\u0e4d"
MOMENTS = [datetime(2036, 1, 1, tzinfo=UTC) + timedelta(hours=hours) for hours in (0, 20, 743, 744, 745, 2_000, 9_000)]
PRICES = [0, 1, 1500, 99_999_999]
CURRENCIES = ["EUR", "CHF", "JPY"]


@dataclass(frozen=True)
class Given:
    """An event as it was made, and whether its places are gone."""

    event: Event
    published: bool
    sold_out: bool


def some_words(least: int, most: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(WORDS), min_size=least, max_size=most).map(" ".join)


@st.composite
def events(draw: st.DrawFn) -> Event:
    starts_at = draw(st.sampled_from(MOMENTS))
    currency = draw(st.sampled_from(CURRENCIES))
    prices = draw(st.lists(st.sampled_from(PRICES), min_size=1, max_size=2))
    made = catalog.event(pools={"floor": 1}, starts_at=starts_at)
    types = [
        made.ticket_types[0].model_copy(update={"price": Money(amount_minor=price, currency=currency)})
        for price in prices
    ]
    venue = made.venue.model_copy(
        update={
            "name": draw(some_words(1, 2)),
            "city": draw(some_words(1, 1)),
            "timezone": draw(st.sampled_from(["Pacific/Auckland", "America/Lima"])),
        }
    )
    return made.model_copy(
        update={
            "name": draw(some_words(1, 3)),
            "venue": venue,
            "organiser_name": draw(some_words(1, 1)),
            "category": draw(some_words(1, 1)),
            "description": draw(some_words(0, 4)),
            "ends_at": starts_at + draw(st.sampled_from([timedelta(hours=1), timedelta(days=40)])),
            "ticket_types": tuple(types),
        }
    )


@st.composite
def given_events(draw: st.DrawFn) -> list[Given]:
    made = draw(st.lists(st.tuples(events(), st.booleans(), st.booleans(), st.booleans()), max_size=8))
    return [
        Given(renamed(event, number), published or more, sold_out and (published or more))
        for number, (event, published, more, sold_out) in enumerate(made)
    ]


def renamed(event: Event, number: int) -> Event:
    """The event under ids of its own."""
    event_id = EventId(derived_id("evt", str(number)))
    (pool,) = event.pools
    pool = pool.model_copy(update={"pool_id": catalog.pool_id(event_id)})
    types = tuple(each.model_copy(update={"pool_id": pool.pool_id}) for each in event.ticket_types)
    return event.model_copy(update={"event_id": event_id, "pools": (pool,), "ticket_types": types})


@st.composite
def queries(draw: st.DrawFn) -> dict[str, str]:
    """What a client may send, mostly with few filters."""
    query: dict[str, str] = {}
    pieces = st.sampled_from([word[start:stop] for word in WORDS for start, stop in ((0, 9), (0, 3), (1, 3))])
    for name, value in {
        "q": st.lists(pieces, min_size=1, max_size=2).map(" ".join),
        "city": some_words(1, 1),
        "category": some_words(1, 1),
        "from": st.sampled_from(MOMENTS).map(datetime.isoformat),
        "until": st.sampled_from(MOMENTS).map(datetime.isoformat),
        "price_min": st.sampled_from(PRICES).map(str),
        "price_max": st.sampled_from(PRICES).map(str),
        "currency": st.sampled_from(CURRENCIES),
        "available": st.sampled_from(["true", "false"]),
        "sort": st.sampled_from(["date", "-date", "name", "-name", "price", "-price"]),
    }.items():
        if draw(st.integers(0, 3)) == 0:
            query[name] = draw(value)
    if "q" in query and not tokens(query["q"]):
        del query["q"]
    if "from" in query and "until" in query and query["until"] <= query["from"]:
        del query["until"]
    if "price_min" in query and "price_max" in query and int(query["price_max"]) < int(query["price_min"]):
        del query["price_max"]
    if {"price_min", "price_max"} & query.keys() or "price" in query.get("sort", ""):
        query.setdefault("currency", "EUR")
    return query


def bare(text: str) -> str:
    """`text` without case and accents, taken apart character by character."""
    out = []
    for character in text:
        decomposed = unicodedata.decomposition(character)
        if decomposed:
            out.append(bare("".join(chr(int(code, 16)) for code in decomposed.split() if not code.startswith("<"))))
            continue
        name = unicodedata.name(character, "")
        stroke = re.fullmatch(r"LATIN (?:SMALL|CAPITAL) LETTER (?:DOTLESS )?(\w+)(?: WITH STROKE)?", name)
        if character in SIGNS_THAT_COUNT or unicodedata.category(character) not in {"Mn", "Cf"}:
            out.append(stroke.group(1).lower().replace("sharp", "") if stroke else character.casefold())
    return " ".join("".join(out).split())


def tokens(text: str) -> list[str]:
    """Runs of letters with their signs, digits and underscores."""
    return "".join(c if c.isalnum() or c == "_" or c in SIGNS_THAT_COUNT else " " for c in bare(text)).split()


class Oracle:
    """The list as plain Python has it."""

    def __init__(self, made: Sequence[Given]) -> None:
        self._made = made

    def found(self, query: dict[str, str]) -> list[str]:
        """The ids in order."""
        by, descending = query.get("sort", "date").lstrip("-"), query.get("sort", "").startswith("-")
        key = {"date": lambda e: e.starts_at, "name": lambda e: bare(e.name), "price": cheapest}[by]
        wanted = [given.event for given in self._made if self._wanted(given, query)]
        return [e.event_id for e in sorted(wanted, key=lambda e: (key(e), e.event_id), reverse=descending)]

    def facet(self, query: dict[str, str], *, without: set[str], of: Any) -> Counter[str]:
        """How many events have which value, filtered but for some filters."""
        rest = {name: value for name, value in query.items() if name not in without}
        return Counter(of(given.event) for given in self._made if self._wanted(given, rest))

    def _wanted(self, given: Given, query: dict[str, str]) -> bool:
        event = given.event
        texts = (
            event.name,
            event.venue.name,
            event.venue.city,
            event.organiser_name,
            event.category,
            event.description,
        )
        held = tokens(" ".join(texts))
        price = cheapest(event)
        return all(
            (
                given.published,
                all(any(part in word for word in held) for part in tokens(query.get("q", ""))),
                "city" not in query or bare(event.venue.city) == bare(query["city"]),
                "category" not in query or bare(event.category) == bare(query["category"]),
                "from" not in query or event.ends_at > datetime.fromisoformat(query["from"]),
                "until" not in query or event.starts_at < datetime.fromisoformat(query["until"]),
                price >= int(query.get("price_min", 0)),
                price <= int(query.get("price_max", 10**9)),
                query.get("currency", event.ticket_types[0].price.currency) == event.ticket_types[0].price.currency,
                query.get("available") != "true" or not given.sold_out,
            )
        )


def cheapest(event: Event) -> int:
    return min(each.price.amount_minor for each in event.ticket_types)


def month(event: Event) -> str:
    at_venue = event.starts_at.astimezone(ZoneInfo(event.venue.timezone))
    return f"{at_venue.year}-{at_venue.month:02}"


async def put_on(cases: UseCases, given: Given) -> None:
    if not given.published:
        await cases.relisting.relist([given.event], now=catalog.NOW)
        return
    event = given.event.published([1])
    (pool,) = catalog.pools_of(event)
    await cases.holds.open(pool, 1)
    await cases.relisting.relist([event], now=catalog.NOW)
    if given.sold_out:
        await cases.holds.hold(order_id=OrderId(event.event_id), attempt=1, demands=[(pool, 1)], now=catalog.NOW)
        await cases.relisting.relist([event], now=catalog.NOW)


async def pages(cases: UseCases, query: dict[str, str], limit: int) -> list[str]:
    parsed = ListQuery.model_validate_strings(query)
    found: list[str] = []
    continuation = None
    while True:
        page = await cases.browsing.public_list(
            filters=parsed.filters(), sort=parsed.sort, limit=limit, continuation=continuation
        )
        found += [document.id for document in page.documents]
        continuation = page.continuation
        if continuation is None:
            return found


@settings(
    max_examples=60 * ROUNDS,
    deadline=None,
    derandomize=ROUNDS == 1,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@example([Given(renamed(catalog.event(name="हिन्दी", pools={"floor": 1}), 0), True, False)], [{"q": "हिन्दु"}], 1)
@given(given_events(), st.lists(queries(), min_size=4, max_size=8), st.integers(1, 4))
def test_the_list_and_its_counts_are_what_an_oracle_says(
    made: list[Given], asked: list[dict[str, str]], limit: int
) -> None:
    async def compare() -> None:
        cases = use_cases(factory.settings(Path(folder)), adapters)
        oracle = Oracle(made)
        for each in made:
            await put_on(cases, each)
        for query in asked:
            assert await pages(cases, query, limit) == oracle.found(query), query
            filters = {name: value for name, value in query.items() if name != "sort"}
            facets = await cases.browsing.facets(FilterQuery.model_validate_strings(filters).filters())
            told = {
                facet: Counter({bare(value.value): value.count for value in values})
                for facet, values in facets.values.items()
            }
            prices = {"price_min", "price_max", "currency"}
            assert facets.total == len(oracle.found(query))
            assert told == {
                Facet.CITY: oracle.facet(filters, without={"city"}, of=lambda e: bare(e.venue.city)),
                Facet.CATEGORY: oracle.facet(filters, without={"category"}, of=lambda e: bare(e.category)),
                Facet.MONTH: oracle.facet(filters, without={"from", "until"}, of=month),
                Facet.CURRENCY: oracle.facet(
                    filters, without=prices, of=lambda e: bare(e.ticket_types[0].price.currency)
                ),
            }

    with tempfile.TemporaryDirectory() as folder, factory.adapters(Path(folder)) as adapters:
        asyncio.run(compare())
