"""Placing orders over HTTP: by card, at the desk, for nothing; and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.functions.selling import becomes, left
from tests.support.api import (
    Api,
    Organiser,
    fields,
    new_key,
    problem,
    refusal,
    soon,
    type_body,
)

UNKNOWN_EVENT = "evt_" + "a" * 26
UNKNOWN_TYPE = "tty_" + "a" * 26


def test_a_card_order_is_placed_paid_and_has_its_tickets(api: Api, house: Organiser) -> None:
    event, buyer = house.event(), api.person(name="Uma User")

    answer = buyer.order(event, 2)

    placed = answer.json()
    assert (answer.status_code, placed) == (
        201,
        {
            "order_id": placed["order_id"],
            "state": "placed",
            "organiser_id": house.id,
            "event": {
                "event_id": event["event_id"],
                "organiser_id": house.id,
                "organiser_name": "Riverside",
                "name": "Concert",
                "starts_at": "2100-05-01T18:00:00.000000Z",
                "ends_at": "2100-05-01T21:00:00.000000Z",
                "venue": "Hall",
                "address": "Quay Street 12",
                "city": "Zurich",
                "timezone": "Europe/Zurich",
            },
            "method": "card",
            "lines": [
                {
                    "ticket_type_id": event["ticket_types"][0]["ticket_type_id"],
                    "name": "Adult",
                    "quantity": 2,
                    "unit": {"amount_minor": 2500, "currency": "EUR"},
                }
            ],
            "quantity": 2,
            "total": {"amount_minor": 5000, "currency": "EUR"},
            "buyer_name": "Uma User",
            "created_at": placed["created_at"],
            "deadline": placed["deadline"],
            "tickets": [],
        },
    )
    assert datetime.fromisoformat(placed["deadline"]) - datetime.fromisoformat(placed["created_at"]) == timedelta(
        minutes=15
    )
    assert left(buyer, event) == 8

    checkout = buyer.post(f"orders/{placed['order_id']}/checkout")
    again = buyer.post(f"orders/{placed['order_id']}/checkout")

    url = checkout.json()["checkout_url"]
    assert (checkout.status_code, checkout.json()) == (
        200,
        {"order_id": placed["order_id"], "checkout_url": url, "deadline": placed["deadline"]},
    )
    assert again.json() == checkout.json()
    assert buyer.get(f"orders/{placed['order_id']}").json() == {**placed, "checkout_url": url}

    back = api.pay(url)

    assert (back.status_code, back.headers["location"]) == (
        303,
        f"{api.stack.url}/api/checkout/result?order={placed['order_id']}&outcome=paid",
    )
    paid = becomes(buyer, placed, "paid")
    assert paid == {**placed, "state": "paid", "tickets": paid["tickets"]}
    assert [ticket["ticket_type"] for ticket in paid["tickets"]] == ["Adult", "Adult"]
    assert len({ticket["number"] for ticket in paid["tickets"]}) == 2


def test_a_declined_card_leaves_the_order_to_be_paid(api: Api, house: Organiser) -> None:
    event, buyer = house.event(), api.person()
    order = buyer.order(event).json()
    url = buyer.post(f"orders/{order['order_id']}/checkout").json()["checkout_url"]

    declined = api.pay(url, "4000000000000002")

    assert declined.status_code == 402
    assert buyer.get(f"orders/{order['order_id']}").json()["state"] == "placed"
    assert api.pay(url).status_code == 303
    becomes(buyer, order, "paid")


def test_a_desk_order_is_paid_at_once_and_has_its_tickets(house: Organiser) -> None:
    event = house.event()

    answer = house.operator.order(event, 2, method="desk", buyer={"name": "Dora Door"})

    order = answer.json()
    assert answer.status_code == 201
    assert (order["state"], order["method"], order["buyer_name"], len(order["tickets"])) == (
        "paid",
        "desk",
        "Dora Door",
        2,
    )
    assert left(house.owner, event) == 8


def test_a_free_order_is_paid_at_once_without_the_provider(api: Api, house: Organiser) -> None:
    event = house.event(ticket_types=[type_body(price={"amount_minor": 0, "currency": "EUR"})])
    buyer = api.person()

    order = buyer.order(event, 2).json()

    assert (order["state"], order["method"], len(order["tickets"])) == ("paid", "free", 2)
    assert order["total"] == {"amount_minor": 0, "currency": "EUR"}
    assert refusal(buyer.post(f"orders/{order['order_id']}/checkout")) == (409, "order-state-refused")


@pytest.mark.parametrize("method", ["card", "desk"])
def test_one_order_may_have_fifty_places_and_no_more(house: Organiser, method: str) -> None:
    event = house.event(capacity=200, ticket_types=[type_body(maximum_per_order=50)])

    most = house.operator.order(event, 50, method=method)
    too_many = house.operator.order(event, 51, method=method)
    none = house.operator.order(event, 0, method=method)

    assert (most.status_code, most.json()["quantity"]) == (201, 50)
    assert (fields(too_many), fields(none)) == (["lines.0.quantity"], ["lines.0.quantity"])
    assert left(house.owner, event) == 150


def test_lines_are_bounded_together(api: Api, house: Organiser) -> None:
    types = [type_body(name=f"T{n}", maximum_per_order=50) for n in range(3)]
    event, buyer = house.event(capacity=200, ticket_types=types), api.person()
    ids = [each["ticket_type_id"] for each in event["ticket_types"]]

    def lines(*pairs: tuple[str, Any]) -> httpx.Response:
        wanted = [{"ticket_type_id": id_, "quantity": quantity} for id_, quantity in pairs]
        return buyer.post("orders", {"event_id": event["event_id"], "lines": wanted}, key=new_key())

    assert fields(lines((ids[0], 25), (ids[1], 26))) == ["lines"]
    assert fields(lines((ids[0], 1), (ids[0], 1))) == ["lines"]
    assert fields(lines()) == ["lines"]
    assert fields(lines((ids[0], "2"))) == ["lines.0.quantity"]
    assert fields(lines((ids[0], 1.5))) == ["lines.0.quantity"]
    assert fields(lines(*[(ids[0], 1)] * 21)) == ["lines"]
    assert left(buyer, event) == 200
    order = lines((ids[0], 2), (ids[2], 3)).json()
    assert [(line["name"], line["quantity"]) for line in order["lines"]] == [("T0", 2), ("T2", 3)]
    assert (order["quantity"], order["total"]["amount_minor"], left(buyer, event)) == (5, 12_500, 195)


def test_more_than_the_ticket_types_maximum_is_refused(api: Api, house: Organiser) -> None:
    event, buyer = house.event(ticket_types=[type_body(maximum_per_order=4)]), api.person()

    refused = buyer.order(event, 5)

    assert problem(refused) == {
        "type": "urn:tessera:problem:too-many-of-type",
        "title": "Too many of type",
        "status": 400,
        "detail": "At most 4 of “Adult” an order.",
        "field": "quantity",
        "allowed": "1–4",
    }
    assert left(buyer, event) == 10


@pytest.mark.parametrize(
    ("window", "sold"),
    [
        ({"on_sale_from": 1}, False),
        ({"on_sale_until": -1}, False),
        ({"on_sale_from": -1, "on_sale_until": 1}, True),
    ],
)
def test_a_ticket_type_is_sold_within_its_window_only(
    api: Api, house: Organiser, window: dict[str, int], sold: bool
) -> None:
    moments = {name: (datetime.now(UTC) + timedelta(hours=hours)).isoformat() for name, hours in window.items()}
    event, buyer = house.event(ticket_types=[type_body(**moments)]), api.person()

    answer = buyer.order(event)

    if sold:
        assert answer.status_code == 201
    else:
        assert refusal(answer) == (409, "not-on-sale")
    assert left(buyer, event) == (9 if sold else 10)


def test_what_is_not_published_or_unknown_cannot_be_bought(api: Api, house: Organiser) -> None:
    draft, event, cancelled, buyer = house.draft(), house.event(), house.event(), api.person()
    house.owner.post(f"events/{cancelled['event_id']}/cancel")

    assert refusal(buyer.order(draft))[0] in {404, 409}
    assert refusal(buyer.order(cancelled)) == (409, "not-on-sale")
    assert refusal(buyer.order({**event, "event_id": UNKNOWN_EVENT})) == (404, "not-found")
    unknown = buyer.order({**event, "ticket_types": [{"ticket_type_id": UNKNOWN_TYPE}]})
    assert (refusal(unknown), unknown.json()["ticket_type_id"]) == ((404, "ticket-type-unknown"), UNKNOWN_TYPE)
    elsewhere = buyer.order({**event, "ticket_types": cancelled["ticket_types"]})
    assert refusal(elsewhere) == (404, "ticket-type-unknown")
    assert left(buyer, event) == 10


def test_when_not_enough_is_left_the_refusal_says_how_much_and_the_key_may_try_again(
    api: Api, house: Organiser
) -> None:
    event, first, second, key = house.event(capacity=5), api.person(), api.person(), new_key()
    order = first.order(event, 3).json()

    short = second.order(event, 4, key=key)

    members = problem(short)
    assert (members["status"], members["type"]) == (409, "urn:tessera:problem:pool-short")
    assert (members["left"], members["wanted"]) == (2, 4)
    assert left(second, event) == 2
    first.post(f"orders/{order['order_id']}/cancel")
    soon(lambda: True if left(second, event) == 5 else None, "all places back")

    def again() -> httpx.Response | None:
        answer = second.order(event, 4, key=key)  # a refusal is remembered for a quarter of a second
        return answer if answer.status_code == 201 else None

    assert soon(again, "the same key succeeding").json()["state"] == "placed"
    assert left(second, event) == 1


def test_tickets_are_mailed_to_nobody_but_the_buyers_own_address(api: Api, house: Organiser) -> None:
    event, uma = house.event(), api.person()

    refused = uma.order(event, buyer={"name": "You won", "email": "stranger@tessera.example"})

    assert refusal(refused) == (400, "request-refused")
    assert left(uma, event) == event["capacity"]


def test_a_draft_cannot_be_ordered_from_by_a_stranger_who_cannot_see_it(api: Api, house: Organiser) -> None:
    draft = house.draft()
    assert refusal(api.person().order(draft)) == (404, "not-found")
