"""What events and venues may be: each rule, by the name of its field."""

import pytest

from tests.functions.browsing import listed
from tests.support.api import (
    Api,
    Json,
    Organiser,
    fields,
    refusal,
    type_body,
    venue_body,
)


def priced(amount_minor: float, currency: str = "EUR") -> Json:
    return type_body(price={"amount_minor": amount_minor, "currency": currency})


BAD_EVENTS: list[tuple[Json, list[str]]] = [
    ({"name": ""}, ["name"]),
    ({"name": " "}, ["name"]),
    ({"name": "x" * 201}, ["name"]),
    ({"name": 5}, ["name"]),
    ({"name": "Two\nlines"}, ["name"]),
    ({"name": "Two\u2028lines"}, ["name"]),
    ({"name": "Nul\0"}, ["name"]),
    ({"description": "x" * 10_001}, ["description"]),
    ({"category": ""}, ["category"]),
    ({"category": "x" * 51}, ["category"]),
    ({"image_url": "javascript:alert(1)"}, ["image_url"]),
    ({"image_url": "https://e/" + "x" * 1_000}, ["image_url"]),
    ({"venue_id": "nonsense"}, ["venue_id"]),
    ({"organiser_id": "nonsense"}, ["organiser_id"]),
    ({"starts_at": "2100-05-01T18:00:00"}, ["starts_at"]),
    ({"starts_at": "soon"}, ["starts_at"]),
    ({"starts_at": "0001-01-01T00:00:00+14:00"}, ["starts_at"]),
    ({"starts_at": "0999-01-01T00:00:00Z"}, ["starts_at"]),
    ({"ends_at": "9999-12-31T23:59:59-14:00"}, ["ends_at"]),
    ({"ends_at": "2100-05-01T18:00:00Z"}, [""]),
    ({"pools": []}, ["pools"]),
    ({"pools": [{"name": "Hall", "capacity": 0}]}, ["pools.0.capacity"]),
    ({"pools": [{"name": "Hall", "capacity": 1_000_001}]}, ["pools.0.capacity"]),
    ({"pools": [{"name": "Hall", "capacity": "10"}]}, ["pools.0.capacity"]),
    ({"pools": [{"name": "Hall", "capacity": 1, "expected_demand": 0}]}, ["pools.0.expected_demand"]),
    ({"pools": [{"name": "Hall", "capacity": 1}] * 2}, [""]),
    ({"pools": [{"name": f"P{n}", "capacity": 1} for n in range(21)]}, ["pools"]),
    ({"ticket_types": []}, ["ticket_types"]),
    ({"ticket_types": [type_body()] * 51}, ["ticket_types"]),
    ({"ticket_types": [type_body(pool="Elsewhere")]}, [""]),
    ({"ticket_types": [priced(-1)]}, ["ticket_types.0.price.amount_minor"]),
    ({"ticket_types": [priced(1.5)]}, ["ticket_types.0.price.amount_minor"]),
    ({"ticket_types": [priced(100_000_000)]}, ["ticket_types.0.price.amount_minor"]),
    ({"ticket_types": [priced(1, "eur")]}, ["ticket_types.0.price.currency"]),
    ({"ticket_types": [type_body(), priced(1, "CHF")]}, [""]),
    ({"ticket_types": [type_body(maximum_per_order=0)]}, ["ticket_types.0.maximum_per_order"]),
    ({"ticket_types": [type_body(maximum_per_order=51)]}, ["ticket_types.0.maximum_per_order"]),
    (
        {"ticket_types": [type_body(on_sale_from="2100-01-02T00:00:00Z", on_sale_until="2100-01-01T00:00:00Z")]},
        ["ticket_types.0"],
    ),
    ({"colour": "red"}, ["colour"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "named"), BAD_EVENTS, ids=[str(changes)[:60] for changes, _ in BAD_EVENTS])
def test_an_event_outside_the_rules_is_refused_by_the_name_of_its_field(
    shared_house: Organiser, changes: Json, named: list[str]
) -> None:
    refused = shared_house.owner.post("events", shared_house.event_body(**changes))

    assert fields(refused) == named


def test_refused_events_left_nothing_behind(shared_house: Organiser) -> None:
    assert listed(shared_house.owner, f"organisers/{shared_house.id}/events") == []


@pytest.fixture(scope="module")
def shared_house(api: Api) -> Organiser:
    return api.organiser("Refusing")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": ""}, ["name"]),
        ({"address": "x" * 501}, ["address"]),
        ({"address": "a\nb"}, ["address"]),
        ({"city": ""}, ["city"]),
        ({"country": "Switzerland"}, ["country"]),
        ({"timezone": "Europe/Atlantis"}, ["timezone"]),
        ({"seats": 5}, ["seats"]),
    ],
)
def test_a_venue_outside_the_rules_is_refused(shared_house: Organiser, changes: Json, named: list[str]) -> None:
    path = f"organisers/{shared_house.id}/venues"

    assert fields(shared_house.owner.post(path, venue_body(**changes))) == named
    assert listed(shared_house.owner, path) == [shared_house.venue]


def test_an_event_that_is_over_is_not_published(api: Api, house: Organiser) -> None:
    draft = house.draft(starts_at="2020-01-01T20:00:00Z", ends_at="2020-01-01T22:00:00Z")

    refused = house.owner.post(f"events/{draft['event_id']}/publish")

    assert refusal(refused) == (409, "event-over")
    assert house.owner.get(f"events/{draft['event_id']}").json()["state"] == "draft"
