"""The catalog over HTTP: organisers, venues, events from draft to cancellation, lists and details."""

from typing import Any

import pytest

from tests.functions.browsing import all_of, listed
from tests.support.api import (
    Api,
    Json,
    Organiser,
    new_key,
    problem,
    refusal,
    soon,
    venue_body,
)

UNKNOWN_VENUE = "ven_" + "a" * 26


def test_a_new_organiser_belongs_to_who_created_it(api: Api) -> None:
    clara = api.person("creator")

    created = clara.post("organisers", {"name": "Riverside"})

    organiser_id = created.json()["organiser_id"]
    assert (created.status_code, created.json()) == (201, {"organiser_id": organiser_id, "name": "Riverside"})
    assert clara.get("me").json()["memberships"] == {organiser_id: "owner"}


def test_a_plain_user_creates_no_organiser(api: Api) -> None:
    assert problem(api.person("user").post("organisers", {"name": "Riverside"})) == {
        "type": "urn:tessera:problem:permission-missing",
        "title": "Permission missing",
        "status": 403,
        "detail": "Your account may not do this; it needs “create-organiser”.",
        "needs": "create-organiser",
    }


def test_venues_are_listed_page_by_page(house: Organiser) -> None:
    more = [house.owner.post(f"organisers/{house.id}/venues", venue_body(name=f"V{n}")).json() for n in range(4)]

    found = listed(house.owner, f"organisers/{house.id}/venues", limit=2)

    assert sorted(found, key=lambda v: v["venue_id"]) == sorted([house.venue, *more], key=lambda v: v["venue_id"])


def test_a_draft_is_seen_by_its_organiser_and_nobody_else(api: Api, house: Organiser) -> None:
    draft = house.draft()

    assert draft == {
        "event_id": draft["event_id"],
        "organiser_id": house.id,
        "organiser_name": "Riverside",
        "state": "draft",
        "name": "Concert",
        "description": "",
        "category": "other",
        "image_url": "",
        "starts_at": "2100-05-01T18:00:00.000000Z",
        "ends_at": "2100-05-01T21:00:00.000000Z",
        "venue": house.venue,
        "ticket_types": [
            {
                "ticket_type_id": draft["ticket_types"][0]["ticket_type_id"],
                "name": "Adult",
                "price": {"amount_minor": 2500, "currency": "EUR"},
                "pool": "Hall",
                "maximum_per_order": 10,
            }
        ],
        "pools": [{"name": "Hall", "capacity": 10}],
        "capacity": 10,
        "version": 1,
    }
    assert house.creator.get(f"events/{draft['event_id']}").json() == draft
    for stranger in (api.person("user"), house.operator, api.organiser("Other").owner):
        assert refusal(stranger.get(f"events/{draft['event_id']}")) == (404, "not-found")
    assert [event["event_id"] for event in all_of(house, 1)] == [draft["event_id"]]
    assert draft["event_id"] not in [event["event_id"] for event in listed(house.owner, "events")]


def test_an_event_goes_from_draft_to_published_to_cancelled(api: Api, house: Organiser) -> None:
    buyer = api.person()
    draft = house.draft()
    path = f"events/{draft['event_id']}"

    published = house.creator.post(f"{path}/publish")

    ticket_type = {**draft["ticket_types"][0], "available": 10}
    on_sale = {**draft, "state": "published", "available": 10, "ticket_types": [ticket_type], "version": 2}
    assert (published.status_code, published.json()) == (200, on_sale)
    assert buyer.get(path).json() == on_sale

    def in_public_list() -> Json | None:
        return next((e for e in listed(buyer, "events") if e["event_id"] == draft["event_id"]), None)

    assert soon(in_public_list, "the event in the public list") == {
        "event_id": draft["event_id"],
        "organiser_id": house.id,
        "name": "Concert",
        "category": "other",
        "image_url": "",
        "venue": "Hall",
        "city": "Zurich",
        "timezone": "Europe/Zurich",
        "starts_at": "2100-05-01T18:00:00.000000Z",
        "ends_at": "2100-05-01T21:00:00.000000Z",
        "price_from": {"amount_minor": 2500, "currency": "EUR"},
        "state": "published",
        "sold_out": False,
    }

    cancelled = house.creator.post(f"{path}/cancel")

    assert (cancelled.status_code, cancelled.json()) == (200, {**on_sale, "state": "cancelled", "version": 3})
    soon(lambda: True if in_public_list() is None else None, "the event gone from the public list")
    assert buyer.get(path).json()["state"] == "cancelled"
    assert [event["state"] for event in all_of(house, 1)] == ["cancelled"]


@pytest.mark.parametrize(
    ("before", "ask", "state"),
    [([], "cancel", "draft"), (["publish", "cancel"], "publish", "cancelled")],
)
def test_an_event_refuses_what_its_state_does_not_allow(
    house: Organiser, before: list[str], ask: str, state: str
) -> None:
    path = f"events/{house.draft()['event_id']}"
    for step in before:
        assert house.owner.post(f"{path}/{step}").status_code == 200
    unchanged = house.owner.get(path).json()

    refused = house.owner.post(f"{path}/{ask}")

    allowed, done = ("draft", "published") if ask == "publish" else ("published", "cancelled")
    assert problem(refused) == {
        "type": "urn:tessera:problem:event-state-refused",
        "title": "Event state refused",
        "status": 409,
        "detail": f"An event that is {state} cannot be {done}.",
        "state": state,
        "allowed": allowed,
    }
    assert house.owner.get(path).json() == unchanged


@pytest.mark.parametrize("before", [["publish"], ["publish", "cancel"]])
def test_asked_again_an_event_is_given_as_it_is(house: Organiser, before: list[str]) -> None:
    """As a client does whose first answer was lost."""
    path = f"events/{house.draft()['event_id']}"
    answers = [house.owner.post(f"{path}/{step}") for step in before]

    again = house.owner.post(f"{path}/{before[-1]}")

    assert (again.status_code, again.json()) == (200, answers[-1].json())


def test_a_draft_is_replaced_whole_and_a_published_event_no_more(house: Organiser) -> None:
    draft = house.draft()
    path = f"events/{draft['event_id']}"
    details = house.event_body(name="Opera", capacity=20, description="New")
    del details["organiser_id"]

    changed = house.creator.put(path, details)

    assert changed.status_code == 200
    types = changed.json()["ticket_types"]
    assert changed.json() == {
        **draft, "name": "Opera", "description": "New", "capacity": 20, "version": 2, "ticket_types": types,
        "pools": [{"name": "Hall", "capacity": 20}],
    }  # fmt: skip
    published = house.owner.post(f"{path}/publish").json()
    assert published["available"] == 20
    assert refusal(house.owner.put(path, {**details, "name": "Musical"})) == (409, "event-state-refused")
    assert house.owner.get(path).json() == published


def test_an_event_at_an_unknown_or_foreign_venue_or_organiser_is_refused(api: Api, house: Organiser) -> None:
    other = api.organiser("Other")

    for changes in ({"venue_id": UNKNOWN_VENUE}, {"venue_id": other.venue["venue_id"]}, {"organiser_id": other.id}):
        assert refusal(house.owner.post("events", house.event_body(**changes))) == (404, "not-found")
    assert listed(house.owner, f"organisers/{house.id}/events") == []
    assert listed(other.owner, f"organisers/{other.id}/events") == []


@pytest.mark.parametrize(
    "malformed", ["x", "evt_short", "EVT_" + "a" * 26, "evt_" + "a" * 27, "%00", "..%2f..", "ord_" + "a" * 26]
)
def test_a_malformed_or_unknown_id_is_a_thing_that_does_not_exist(api: Api, malformed: str) -> None:
    assert refusal(api.person().get(f"events/{malformed}"))[0] == 404
    assert refusal(api.person("admin").post(f"events/{malformed}/publish"))[0] == 404


def test_the_same_key_creates_once_and_another_body_under_it_is_refused(house: Organiser) -> None:
    owner = house.owner
    for path, body, other in (
        ("organisers", {"name": "Second"}, {"name": "Third"}),
        (f"organisers/{house.id}/venues", venue_body(), venue_body(name="Other")),
        ("events", house.event_body(), house.event_body(name="Other")),
    ):
        key = new_key()

        first, again, reused = (
            owner.post(path, body, key=key),
            owner.post(path, body, key=key),
            owner.post(path, other, key=key),
        )

        assert (again.status_code, again.json()) == (201, first.json())
        assert refusal(reused) == (422, "key-reused")
        assert reused.json()["existing_id"] in first.json().values()
        assert owner.post(path, body, key=key).json() == first.json()
    assert len(all_of(house, 1)) == 1
    assert fields_of_key(owner.post("organisers", {"name": "A"}, key="two words")) == "Idempotency-Key"
    assert fields_of_key(owner.post("organisers", {"name": "A"}, key="x" * 129)) == "Idempotency-Key"


def fields_of_key(answer: Any) -> Any:
    assert refusal(answer) == (400, "malformed")
    return answer.json()["field"]


def test_an_owner_who_was_removed_does_not_come_back_by_repeating_the_creation(api: Api) -> None:
    first, second, key = api.person("creator"), api.person("user"), new_key()
    organiser_id = first.post("organisers", {"name": "Sold"}, key=key).json()["organiser_id"]
    members = f"organisers/{organiser_id}/members"
    assert api.person("admin").put(f"{members}/{second.id}", {"role": "owner"}).status_code == 200
    assert second.delete(f"{members}/{first.id}").status_code == 204

    first.post("organisers", {"name": "Sold"}, key=key)

    assert first.get("me").json()["memberships"] == {}
    assert refusal(first.get(f"organisers/{organiser_id}/venues")) == (403, "permission-missing")
