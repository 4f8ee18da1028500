"""The catalog's lists page by page, and what is left of an event."""

import pytest

from tests.functions.browsing import all_of, listed
from tests.support.api import (
    Api,
    Json,
    Organiser,
    fields,
    refusal,
    soon,
    type_body,
)


def test_lists_go_by_date_from_page_to_page_without_loss_or_repeat(api: Api, house: Organiser) -> None:
    days = [17, 3, 25, 3, 11]
    times = {day: {"starts_at": f"2101-03-{day:02}T10:00:00Z", "ends_at": "2101-04-01T10:00:00Z"} for day in days}
    ids = {house.event(name=f"Day {day}", **times[day])["event_id"] for day in days}
    buyer = api.person()

    def look() -> list[Json] | None:
        found = listed(buyer, "events", limit=3)
        return found if ids <= {event["event_id"] for event in found} else None

    everything = soon(look, "five events in the public list")

    dates = [event["starts_at"] for event in everything]
    assert dates == sorted(dates)
    assert len({event["event_id"] for event in everything}) == len(everything)
    mine = [event["name"] for event in everything if event["event_id"] in ids]
    assert mine == ["Day 3", "Day 3", "Day 11", "Day 17", "Day 25"]
    own = listed(house.owner, f"organisers/{house.id}/events", limit=2)
    assert [event["name"] for event in own] == mine


def test_a_continuation_that_was_forged_damaged_or_given_elsewhere_is_refused(api: Api, house: Organiser) -> None:
    for _ in range(2):
        house.draft()
    all_of(house, 2)
    own = f"organisers/{house.id}/events"
    genuine = house.owner.get(own, limit=1).json()["continuation"]
    first = genuine[0]
    forged = ("A" if first != "A" else "B") + genuine[1:]

    for path, token in (
        (own, forged),
        (own, genuine[:-6]),
        (own, "x"),
        (own, "é"),
        ("events", genuine),
        ("tickets/mine", genuine),
        (f"organisers/{house.id}/venues", genuine),
    ):
        refused = house.owner.get(path, continuation=token)
        assert refusal(refused) == (400, "malformed"), (path, token)
        assert refused.json()["field"] == "continuation"
    assert refusal(house.owner.get(own, continuation="x" * 2_001)) == (400, "request-refused")
    assert len(house.owner.get(own, limit=1, continuation=genuine).json()["items"]) == 1


@pytest.mark.parametrize(
    ("params", "named"),
    [({"limit": 0}, "limit"), ({"limit": 101}, "limit"), ({"limit": "x"}, "limit"), ({"page": 2}, "page")],
)
def test_a_query_outside_the_rules_is_refused(api: Api, params: Json, named: str) -> None:
    assert fields(api.person().get("events", **params)) == [named]


def test_the_detail_follows_what_is_held_and_given_back(api: Api, house: Organiser) -> None:
    event = house.event(capacity=5)
    buyer = api.person()

    def left() -> tuple[int, int]:
        shown = buyer.get(f"events/{event['event_id']}").json()
        return shown["available"], shown["ticket_types"][0]["available"]

    order = buyer.order(event, 3).json()
    assert left() == (2, 2)
    buyer.post(f"orders/{order['order_id']}/cancel")
    soon(lambda: True if left() == (5, 5) else None, "three places back on sale")


def test_availability_is_told_for_each_pool(house: Organiser) -> None:
    event = house.event(
        pools=[{"name": "Hall", "capacity": 4}, {"name": "Balcony", "capacity": 2, "expected_demand": 500}],
        ticket_types=[type_body(), type_body(name="Up", pool="Balcony"), type_body(name="Child")],
    )

    house.operator.paid(event, 3)

    shown = house.owner.get(f"events/{event['event_id']}").json()
    assert [(t["name"], t["available"]) for t in shown["ticket_types"]] == [("Adult", 1), ("Up", 2), ("Child", 1)]
    assert (shown["capacity"], shown["available"]) == (6, 3)
