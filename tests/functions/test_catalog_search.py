"""The public list filtered, sorted and counted, and what it says of events that are sold out."""

from typing import Any

import pytest

from tests.support.api import Api, Json, Organiser, Person, fields, refusal, soon, type_body, venue_body


class Town:
    """An organiser's events, told from those of other tests by a word that only they have."""

    def __init__(self, api: Api) -> None:
        self.mark = "xqzvortex"
        self.house = api.organiser(f"Bureau {self.mark} Ångström")
        self.reader = api.person()
        self.venues: dict[str, str] = {}
        for city in ("Zürich", "ZURICH", "Łódź"):
            body = venue_body(name=f"Hall of {city}", city=city, timezone="Pacific/Auckland")
            answer = self.house.owner.post(f"organisers/{self.house.id}/venues", body)
            assert answer.status_code == 201
            self.venues[city] = answer.json()["venue_id"]

    def event(self, name: str, city: str, month: int, price: int, currency: str = "EUR", **more: Any) -> Json:
        return self.house.event(
            name=name,
            venue_id=self.venues[city],
            starts_at=f"2102-{month:02}-10T18:00:00Z",
            ends_at=f"2102-{month:02}-12T18:00:00Z",
            ticket_types=[
                type_body(price={"amount_minor": price + 1000, "currency": currency}),
                type_body(name="Child", price={"amount_minor": price, "currency": currency}),
            ],
            **more,
        )

    def found(self, **params: Any) -> list[str]:
        """The names of this town's events that a query finds, in order."""
        page = self.reader.get("events", **{"q": self.mark, "limit": 100, **params})
        assert page.status_code == 200, page.text
        return [item["name"] for item in page.json()["items"]]


@pytest.fixture(scope="module")
def town(api: Api) -> Town:
    town = Town(api)
    town.event("Été indien", "Zürich", 5, 2000, category="Música", description="Kurt Weill & friends, 100% live")
    town.event("ete", "Łódź", 6, 500, category="musica")
    town.event("Straßenfest", "ZURICH", 7, 0, category="Food")
    town.event("Ålesund choir", "Zürich", 8, 3000, "CHF", category="MUSICA")
    town.house.draft(name="Not yet", venue_id=town.venues["Łódź"])
    soon(lambda: len(town.found()) == 4 or None, "four events in the list")
    return town


ALL = ["Été indien", "ete", "Straßenfest", "Ålesund choir"]


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({}, ALL),
        ({"q": "xqzvortex ETE"}, ALL[:2]),
        ({"q": "xqzvortex été INDIEN"}, ALL[:1]),
        ({"q": "xqzvortex strassenfest"}, ALL[2:3]),
        ({"q": "STRASSEN xqzvortex"}, ALL[2:3]),
        ({"q": "xqzvortex lodz"}, ["ete"]),
        ({"q": "xqzvortex weill, (friends)"}, ALL[:1]),
        ({"q": "xqzvortex 100%"}, ALL[:1]),
        ({"q": "xqzvortex angstrom alesund"}, ALL[3:]),
        ({"q": "xqzvortex ete strassenfest"}, []),
        ({"city": "zurich"}, ["Été indien", "Straßenfest", "Ålesund choir"]),
        ({"city": " ZÜRICH "}, ["Été indien", "Straßenfest", "Ålesund choir"]),
        ({"city": "Zur"}, []),
        ({"city": ""}, ALL),
        ({"category": "música"}, ["Été indien", "ete", "Ålesund choir"]),
        ({"category": "musica", "city": "lodz"}, ["ete"]),
        ({"from": "2102-06-12T18:00:00Z"}, ALL[2:]),
        ({"from": "2102-06-12T17:59:59Z"}, ALL[1:]),
        ({"until": "2102-06-10T18:00:00Z"}, ALL[:1]),
        ({"until": "2102-06-10T20:00:01+02:00"}, ALL[:2]),
        ({"from": "2102-06-11T00:00:00Z", "until": "2102-06-11T01:00:00Z"}, ["ete"]),
        ({"currency": "CHF"}, ALL[3:]),
        ({"currency": "EUR", "price_max": 500}, ["ete", "Straßenfest"]),
        ({"currency": "EUR", "price_min": 501}, ALL[:1]),
        ({"currency": "EUR", "price_min": 500, "price_max": 2000}, ALL[:2]),
        ({"sort": "-date"}, ALL[::-1]),
        ({"sort": "name"}, ["Ålesund choir", "ete", "Été indien", "Straßenfest"]),
        ({"sort": "-name"}, ["Straßenfest", "Été indien", "ete", "Ålesund choir"]),
        ({"sort": "price", "currency": "EUR"}, ["Straßenfest", "ete", "Été indien"]),
        ({"sort": "-price", "currency": "EUR"}, ["Été indien", "ete", "Straßenfest"]),
        ({"available": "true"}, ALL),
    ],
    ids=str,
)
def test_the_list_has_what_every_filter_lets_through(town: Town, params: Json, names: list[str]) -> None:
    assert town.found(**params) == names


@pytest.mark.parametrize("sort", ["date", "-date", "name", "-name", "price", "-price"])
def test_filtered_pages_go_on_where_they_ended_in_every_order(town: Town, sort: str) -> None:
    params = {"q": town.mark, "currency": "EUR", "sort": sort}
    names: list[str] = []
    continuation: Json = {}
    while True:
        page = town.reader.get("events", limit=1, **params, **continuation).json()
        names += [item["name"] for item in page["items"]]
        if "continuation" not in page:
            break
        continuation = {"continuation": page["continuation"]}

    assert names == town.found(currency="EUR", sort=sort)


def test_a_continuation_belongs_to_its_filters_and_its_order(town: Town) -> None:
    params = {"q": town.mark, "city": "zurich", "limit": 1}
    token = town.reader.get("events", **params).json()["continuation"]

    assert town.reader.get("events", **{**params, "city": "ZÜRICH"}, continuation=token).status_code == 200
    for other in ({"city": "lodz"}, {"city": ""}, {"q": "xqzvortex e"}, {"sort": "name"}, {"sort": "-date"},
                  {"available": "true"}, {"currency": "EUR"}, {"from": "2100-01-01T00:00:00Z"}):  # fmt: skip
        refused = town.reader.get("events", **{**params, **other}, continuation=token)
        assert refusal(refused) == (400, "malformed"), other
        assert refused.json()["field"] == "continuation"


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"q": "x" * 101}, ("q", "at most 100 long")),
        ({"q": "?!"}, ("q", "1–8 words of letters or digits")),
        ({"q": "a b c d e f g h i"}, ("q", "at most 8 words")),
        ({"city": "x" * 201}, ("city", "at most 200 long")),
        ({"from": "tomorrow"}, ("from", "a moment with its offset")),
        ({"from": "2102-01-01"}, ("from", "a moment with its offset")),
        ({"from": "2102-01-01T00:00:00"}, ("from", "a moment with its offset")),
        ({"until": "0001-01-01T00:00:00Z"}, ("until", "2000-01-01 to before 2200-01-01")),
        ({"from": "2102-01-02T00:00:00Z", "until": "2102-01-02T00:00:00Z"}, ("until", "a later moment than `from`")),
        ({"price_min": -1, "currency": "EUR"}, ("price_min", "at least 0")),
        ({"price_min": "1.5", "currency": "EUR"}, ("price_min", "a whole number")),
        ({"price_max": 100_000_000, "currency": "EUR"}, ("price_max", "at most 99999999")),
        ({"price_min": 2, "price_max": 1, "currency": "EUR"}, ("price_max", "at least 2")),
        ({"price_max": 1}, ("currency", "an ISO 4217 code")),
        ({"price_max": 1, "currency": "XXX"}, ("currency", "AUD, BRL")),
        ({"sort": "price"}, ("sort", "`currency` beside it")),
        ({"sort": "newest"}, ("sort", "date, -date, name, -name, price or -price")),
        ({"available": "perhaps"}, ("available", "true or false")),
        ({"colour": "red"}, ("colour", "only documented fields")),
    ],
    ids=str,
)
def test_a_filter_outside_the_rules_is_refused_by_its_name(town: Town, params: Json, error: tuple[str, str]) -> None:
    refused = town.reader.get("events", **params)

    assert fields(refused) == [error[0]]
    (told,) = refused.json()["errors"]
    assert told["reason"]
    assert told["allowed"].startswith(error[1])
    if "sort" not in params:
        assert fields(town.reader.get("events/facets", **params)) == [error[0]]


def counted(values: list[Json]) -> list[tuple[str, int]]:
    return [(value["value"], value["count"]) for value in values]


def test_facets_count_what_another_choice_would_give(town: Town) -> None:
    everything = town.reader.get("events/facets", q=town.mark).json()
    narrowed = town.reader.get("events/facets", q=town.mark, city="lodz", category="musica").json()

    assert everything["total"] == 4
    assert counted(everything["cities"]) == [("Zürich", 3), ("Łódź", 1)]
    assert [count for _, count in counted(everything["categories"])] == [3, 1]
    assert counted(everything["months"]) == [("2102-05", 1), ("2102-06", 1), ("2102-07", 1), ("2102-08", 1)]
    assert counted(everything["currencies"]) == [("EUR", 3), ("CHF", 1)]
    assert narrowed["total"] == 1
    assert counted(narrowed["cities"]) == [("Zürich", 2), ("Łódź", 1)]
    assert len(counted(narrowed["categories"])) == 1
    assert counted(narrowed["months"]) == [("2102-06", 1)]
    assert counted(narrowed["currencies"]) == [("EUR", 1)]


def test_a_facets_value_is_a_filter(town: Town) -> None:
    facets = town.reader.get("events/facets", q=town.mark).json()

    for param, facet in (("city", "cities"), ("category", "categories"), ("currency", "currencies")):
        for value, count in counted(facets[facet]):
            assert len(town.found(**{param: value})) == count


def test_what_a_listing_is_found_by_is_not_shown(town: Town) -> None:
    (shown,) = town.reader.get("events", q=f"{town.mark} indien").json()["items"]

    assert set(shown) == {
        "event_id", "organiser_id", "name", "category", "image_url", "venue", "city", "timezone", "starts_at",
        "ends_at", "price_from", "state", "sold_out",
    }  # fmt: skip


def test_the_list_says_when_an_event_is_sold_out_and_when_it_is_on_sale_again(api: Api, house: Organiser) -> None:
    event = house.event(
        name="Small plimsoll hall",
        pools=[{"name": "Hall", "capacity": 2}, {"name": "Box", "capacity": 1}, {"name": "Press", "capacity": 5}],
        ticket_types=[type_body(), type_body(name="Box", pool="Box")],
    )
    buyer = api.person()

    def sold_out_in(person: Person, path: str, **params: str) -> bool | None:
        for item in person.get(path, **params).json()["items"]:
            if item["event_id"] == event["event_id"]:
                return bool(item["sold_out"])
        return None

    def seen(value: bool) -> bool | None:
        public = sold_out_in(buyer, "events", q="plimsoll") is value
        return (public and sold_out_in(house.owner, f"organisers/{house.id}/events") is value) or None

    soon(lambda: seen(False), "the event on sale in both lists")
    box = {"event_id": event["event_id"], "lines": [{"ticket_type_id": event["ticket_types"][1]["ticket_type_id"],
                                                     "quantity": 1}]}  # fmt: skip
    order = buyer.post("orders", box, key="the-last-box-of-plimsoll").json()
    house.operator.paid(event, 2)
    soon(lambda: seen(True), "the event sold out in both lists")
    assert buyer.get("events", q="plimsoll", available="true").json()["items"] == []
    assert buyer.get("events/facets", q="plimsoll", available="true").json()["total"] == 0

    buyer.post(f"orders/{order['order_id']}/cancel")
    soon(lambda: seen(False), "the event on sale again in both lists")
    assert [item["name"] for item in buyer.get("events", q="plimsoll", available="true").json()["items"]] == [
        "Small plimsoll hall"
    ]
