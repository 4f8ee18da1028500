"""Insights over HTTP: each event of a sale once, latest first, by name, page by page."""

from collections import Counter

import pytest

from tests.support.api import Api, Json, Organiser, fields, refusal, soon


def recorded(api: Api, house: Organiser, *, limit: int = 200, **query: str) -> list[Json]:
    """All recorded events of an organiser, page by page."""
    items: list[Json] = []
    continuation: dict[str, str] = {}
    while True:
        answer = api.insights.get("insights/events", organiser_id=house.id, limit=limit, **query, **continuation)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        items += page["items"]
        if "continuation" not in page:
            return items
        continuation = {"continuation": page["continuation"]}


def recorded_soon(api: Api, house: Organiser, name: str, number: int) -> list[Json]:
    """The events of that name, once there are `number`."""

    def look() -> list[Json] | None:
        found = recorded(api, house, name=name)
        return found if len(found) >= number else None

    return soon(look, f"{number} x {name}")


def test_a_purchase_is_one_event_with_ids_and_amounts_and_nothing_personal(api: Api, house: Organiser) -> None:
    event = house.event()
    answer = house.operator.order(event, 2, method="desk", buyer={"name": "Dora", "email": "dora@tessera.example"})
    order = answer.json()

    [item] = recorded_soon(api, house, "OrderPaid", 1)

    payload = item["payload"]
    assert item == {
        "event_id": f"{order['order_id']}.paid",
        "name": "OrderPaid",
        "created_at": order["created_at"],
        "payload": payload,
    }
    assert {**payload, "held": [], "pools": []} == {
        "id": f"{order['order_id']}.paid",
        "type": "OrderPaid",
        "version": 1,
        "occurred_at": order["created_at"],
        "organiser_id": house.id,
        "order_id": order["order_id"],
        "event_id": event["event_id"],
        "held": [],
        "abandoned_attempts": [],
        "pools": [],
        "total": {"amount_minor": 5000, "currency": "EUR"},
        "quantity": 2,
        "method": "desk",
    }
    assert sum(part["quantity"] for part in payload["held"]) == 2
    assert "dora" not in str(item).lower()


def test_events_are_recorded_once_latest_first_page_by_page_and_by_name(api: Api, house: Organiser) -> None:
    event = house.event(capacity=50)
    orders = [house.operator.paid(event)["order_id"] for _ in range(5)]
    house.operator.post(f"orders/{orders[0]}/refund")
    recorded_soon(api, house, "OrderRefunded", 1)
    recorded_soon(api, house, "OrderPaid", 5)
    recorded_soon(api, house, "EventPublished", 1)

    everything = recorded(api, house)

    assert recorded(api, house, limit=2) == everything
    assert Counter(item["event_id"] for item in everything).most_common(1)[0][1] == 1
    moments = [item["created_at"] for item in everything]
    assert moments == sorted(moments, reverse=True)
    paid = [item["payload"]["order_id"] for item in recorded(api, house, name="OrderPaid", limit=2)]
    assert paid == orders[::-1]
    assert recorded(api, house, name="OrderLost") == []


def test_another_organisers_events_are_not_among_them(api: Api, house: Organiser) -> None:
    other = api.organiser("Other")
    other.operator.paid(other.event())
    recorded_soon(api, other, "OrderPaid", 1)

    assert {item["payload"]["organiser_id"] for item in recorded(api, other)} == {other.id}
    assert recorded(api, house, name="OrderPaid") == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({}, "organiser_id"),
        ({"organiser_id": "x"}, "organiser_id"),
        ({"organiser_id": "org_" + "a" * 26, "limit": 201}, "limit"),
        ({"organiser_id": "org_" + "a" * 26, "name": "x" * 65}, "name"),
        ({"organiser_id": "org_" + "a" * 26, "since": "now"}, "since"),
    ],
)
def test_a_question_outside_the_rules_is_refused(api: Api, query: Json, named: str) -> None:
    assert fields(api.insights.get("insights/events", **query)) == [named]


def test_a_forged_continuation_is_refused(api: Api, house: Organiser) -> None:
    refused = api.insights.get("insights/events", organiser_id=house.id, continuation="forged")

    assert (refusal(refused), refused.json()["field"]) == ((400, "malformed"), "continuation")
