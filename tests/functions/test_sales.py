"""Sales over HTTP: placing, paying, looking, cancelling, refunding; by card, at the desk, for nothing."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from local.stack import Ports, Stack
from tests.support.api import (
    Api,
    Json,
    Organiser,
    Person,
    fields,
    new_key,
    order_body,
    problem,
    refusal,
    soon,
    type_body,
)

UNKNOWN_EVENT = "evt_" + "a" * 26
UNKNOWN_TYPE = "tty_" + "a" * 26
UNKNOWN_ORDER = "ord_" + "a" * 26


def left(person: Person, event: Json) -> int:
    """Places on sale just now."""
    found: int = person.get(f"events/{event['event_id']}").json()["available"]
    return found


def becomes(person: Person, order: Json, state: str) -> Json:
    """The order, once it is in `state`."""

    def look() -> Json | None:
        found: Json = person.get(f"orders/{order['order_id']}").json()
        return found if found["state"] == state else None

    return soon(look, f"an order that is {state}")


def bought(api: Api, event: Json, quantity: int = 1) -> tuple[Person, Json]:
    """Somebody with an order paid by card."""
    buyer = api.person()
    order = buyer.order(event, quantity).json()
    api.pay(buyer.post(f"orders/{order['order_id']}/checkout").json()["checkout_url"])
    return buyer, becomes(buyer, order, "paid")


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

    assert fields(lines((ids[0], 25), (ids[1], 26))) == [""]
    assert fields(lines((ids[0], 1), (ids[0], 1))) == [""]
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


@pytest.mark.parametrize("key", [None, "", "x" * 129, "two words"])
def test_an_order_without_a_proper_key_is_refused(api: Api, house: Organiser, key: str | None) -> None:
    event, buyer = house.event(), api.person()

    refused = buyer.post("orders", order_body(event), key=key)

    assert problem(refused) == {
        "type": "urn:tessera:problem:malformed",
        "title": "Malformed",
        "status": 400,
        "detail": "Send an Idempotency-Key header: a value you make up once per order, e.g. a UUID.",
        "field": "Idempotency-Key",
        "allowed": "1–128 visible ASCII characters",
    }
    assert left(buyer, event) == 10


def test_the_same_key_is_one_order_in_sequence_and_at_once_and_refuses_another_body(api: Api, house: Organiser) -> None:
    event, buyer, key = house.event(), api.person(), new_key()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: buyer.order(event, 2, key=key), range(8)))
    answers.append(buyer.order(event, 2, key=key))

    assert {answer.status_code for answer in answers} == {201}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert problem(buyer.order(event, 3, key=key)) == {
        "type": "urn:tessera:problem:key-reused",
        "title": "Key reused",
        "status": 422,
        "detail": "This Idempotency-Key was used for another order; make up a new one.",
        "field": "Idempotency-Key",
    }
    assert buyer.get(f"orders/{answers[0].json()['order_id']}").json() == answers[0].json()
    assert left(buyer, event) == 8
    assert api.person().order(event, 1, key=key).json()["order_id"] != answers[0].json()["order_id"]


def test_a_repeat_after_the_sale_ended_still_gets_its_order(api: Api, house: Organiser) -> None:
    event, buyer, key = house.event(), api.person(), new_key()
    order = buyer.order(event, key=key).json()
    house.owner.post(f"events/{event['event_id']}/cancel")

    assert buyer.order(event, key=key).json() == order
    assert refusal(buyer.order(event, 2, key=key)) == (422, "key-reused")


def test_only_the_organisers_own_people_sell_at_the_desk(api: Api, house: Organiser) -> None:
    event, other = house.event(), api.organiser("Other")

    for stranger in (api.person(), api.person("operator"), house.creator, other.operator, other.owner):
        assert problem(stranger.order(event, method="desk")) == {
            "type": "urn:tessera:problem:permission-missing",
            "title": "Permission missing",
            "status": 403,
            "detail": "Only the organiser's own people sell at the desk.",
            "needs": "sell-at-desk",
        }
    assert left(house.owner, event) == 10


@pytest.mark.parametrize(
    "buyer",
    [
        {"email": "nobody"},
        {"email": "a b@example.org"},
        {"email": "a,b@example.org"},
        {"email": "<a>@example.org"},
        {"email": "ä@example.org"},
        {"email": "a@" + "x" * 300},
        {"name": "x" * 201},
        {"name": "Bcc:\r\nsomebody"},
        {"phone": "1"},
    ],
)
def test_a_buyer_no_mail_could_reach_is_refused(api: Api, house: Organiser, buyer: Json) -> None:
    event, uma = house.event(), api.person()

    assert fields(uma.order(event, buyer=buyer)) == [f"buyer.{next(iter(buyer))}"]
    assert left(uma, event) == 10


def test_an_order_is_shown_to_its_buyer_and_the_organiser_and_nobody_else(api: Api, house: Organiser) -> None:
    buyer = api.person()
    order = buyer.order(house.event()).json()
    path = f"orders/{order['order_id']}"

    for allowed in (buyer, house.owner, house.creator, house.operator, api.person("admin")):
        assert allowed.get(path).json() == order
    for stranger in (api.person(), api.person("operator"), api.person("creator"), api.organiser("Other").operator):
        for answer in (stranger.get(path), stranger.post(f"{path}/cancel"), stranger.post(f"{path}/checkout")):
            assert problem(answer) == {
                "type": "urn:tessera:problem:not-found",
                "title": "Not found",
                "status": 404,
                "detail": f"There is no order {order['order_id']}.",
            }
    assert refusal(buyer.get(f"orders/{UNKNOWN_ORDER}")) == (404, "not-found")
    assert buyer.get(path).json() == order


def test_a_cancelled_order_gives_its_places_back_and_takes_no_payment(api: Api, house: Organiser) -> None:
    event, buyer = house.event(), api.person()
    order = buyer.order(event, 3).json()
    path = f"orders/{order['order_id']}"
    url = buyer.post(f"{path}/checkout").json()["checkout_url"]

    cancelled = buyer.post(f"{path}/cancel")

    assert (cancelled.status_code, cancelled.json()) == (200, {**order, "state": "cancelled"})
    assert buyer.post(f"{path}/cancel").json() == cancelled.json()
    assert refusal(buyer.post(f"{path}/checkout")) == (409, "order-state-refused")
    assert api.pay(url).status_code == 410
    soon(lambda: True if left(buyer, event) == 10 else None, "three places back")
    assert buyer.get(path).json() == cancelled.json()


def test_a_paid_order_cannot_be_cancelled_nor_paid_again(api: Api, house: Organiser) -> None:
    event = house.event()
    buyer, paid = bought(api, event)
    path = f"orders/{paid['order_id']}"

    for answer in (buyer.post(f"{path}/cancel"), buyer.post(f"{path}/checkout")):
        assert refusal(answer) == (409, "order-state-refused")
        assert answer.json()["state"] == "paid"
    assert buyer.get(path).json() == paid


def test_a_refund_voids_the_tickets_returns_the_money_and_restocks(api: Api, house: Organiser) -> None:
    event = house.event()
    buyer, paid = bought(api, event, 2)
    path = f"orders/{paid['order_id']}"
    assert refusal(buyer.post(f"{path}/refund")) == (403, "permission-missing")
    assert buyer.get(path).json() == paid

    answer = house.operator.post(f"{path}/refund")

    assert (answer.status_code, answer.json()["state"]) in {(200, "refunding"), (200, "refunded")}
    refunded = becomes(buyer, paid, "refunded")
    assert refunded == {**paid, "state": "refunded", "tickets": [], "refunded_at": refunded["refunded_at"]}
    assert house.operator.post(f"{path}/refund").json() == refunded
    soon(lambda: True if left(buyer, event) == 10 else None, "two places back")

    def void() -> list[str] | None:
        found = [ticket["state"] for ticket in buyer.get("tickets/mine").json()["items"]]
        return found if "valid" not in found else None

    assert soon(void, "void tickets in the wallet") == ["void", "void"]
    state = httpx.get(f"{api.stack.stripe_url}/_emulator/state").json()
    [session] = [s for s in state["sessions"] if s["metadata"].get("order_id") == paid["order_id"]]
    [refund] = [r for r in state["refunds"] if r["payment_intent"] == session["payment_intent"]]
    assert (refund["amount"], refund["status"]) == (5000, "succeeded")


@pytest.mark.parametrize("state", ["placed", "cancelled"])
def test_what_is_not_paid_cannot_be_refunded(api: Api, house: Organiser, state: str) -> None:
    buyer = api.person()
    order = buyer.order(house.event()).json()
    if state == "cancelled":
        buyer.post(f"orders/{order['order_id']}/cancel")

    refused = house.owner.post(f"orders/{order['order_id']}/refund")

    assert (refusal(refused), refused.json()["state"]) == ((409, "order-state-refused"), state)
    assert buyer.get(f"orders/{order['order_id']}").json()["state"] == state


def test_a_payment_the_provider_will_not_take_is_refused_and_the_order_stays(api: Api, house: Organiser) -> None:
    event = house.event(ticket_types=[type_body(price={"amount_minor": 1, "currency": "EUR"})])
    buyer = api.person()
    order = buyer.order(event).json()

    refused = buyer.post(f"orders/{order['order_id']}/checkout")

    assert refusal(refused) == (409, "payment-impossible")
    assert buyer.get(f"orders/{order['order_id']}").json() == order


def test_an_order_dearer_than_can_be_paid_at_once_is_refused(api: Api, house: Organiser) -> None:
    event, buyer = (
        house.event(ticket_types=[type_body(price={"amount_minor": 99_999_999, "currency": "EUR"})]),
        api.person(),
    )

    assert refusal(buyer.order(event, 2)) == (400, "malformed")
    assert left(buyer, event) == 10


@pytest.mark.parametrize(
    ("signature", "body"),
    [("", b"{}"), ("t=1,v1=00", b"{}"), ("nonsense", b"\xff"), ("t=9999999999,v1=" + "0" * 64, b'{"id": "evt_1"}')],
)
def test_a_webhook_that_is_not_the_providers_is_refused(api: Api, signature: str, body: bytes) -> None:
    answer = api.nobody.ask("POST", "payments/stripe", content=body, headers={"stripe-signature": signature})

    assert (refusal(answer), answer.json()["field"]) == ((400, "webhook-refused"), "Stripe-Signature")


# --- the page a buyer comes back to


def page(api: Api, order_id: str, outcome: str = "paid") -> str:
    answer = api.nobody.get("checkout/result", order=order_id, outcome=outcome)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return answer.text


def title(html: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", html)
    assert found is not None
    return found[1]


def test_the_result_page_tells_each_state_and_nothing_personal(api: Api, house: Organiser) -> None:
    event, buyer = house.event(), api.person(name="Uma Secret")
    order = buyer.order(event).json()
    order_id = order["order_id"]

    assert title(page(api, order_id)) == "We are waiting for your payment"
    assert 'http-equiv="refresh"' in page(api, order_id)
    assert title(page(api, order_id, "cancelled")) == "You have not paid yet"
    assert 'http-equiv="refresh"' not in page(api, order_id, "cancelled")
    api.pay(buyer.post(f"orders/{order_id}/checkout").json()["checkout_url"])
    becomes(buyer, order, "paid")
    assert title(page(api, order_id)) == "Thank you, see you there"
    house.owner.post(f"orders/{order_id}/refund")
    becomes(buyer, order, "refunded")
    assert title(page(api, order_id)) == "Your payment went back"
    called_off = buyer.order(event).json()["order_id"]
    buyer.post(f"orders/{called_off}/cancel")
    assert title(page(api, called_off)) == "This order was cancelled"
    for unknown in (UNKNOWN_ORDER, "<script>alert(1)</script>", ""):
        html = page(api, unknown)
        assert title(html) == "We do not know this order"
        assert "<script" not in html
    assert "Secret" not in page(api, order_id)
    assert buyer.email not in page(api, order_id)
    assert fields(api.nobody.get("checkout/result", outcome="won")) == ["outcome"]


# --- a Tessera whose orders live two seconds


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> Iterator[Api]:
    settings = {"TESSERA_ORDER_DEADLINE_SECONDS": "2", "TESSERA_ANONYMOUS_BROWSING": "true"}
    with (
        Stack(tmp_path_factory.mktemp("hasty"), Ports.free(), settings=settings) as running,
        httpx.Client(base_url=running.url, timeout=30) as http,
    ):
        yield Api(running, http)


def test_orders_nobody_paid_expire_and_their_places_are_sold_again(hasty: Api) -> None:
    house = hasty.organiser()
    event, buyer = house.event(capacity=4), hasty.person()
    bare = buyer.order(event, 2).json()
    opened = buyer.order(event, 2).json()
    url = buyer.post(f"orders/{opened['order_id']}/checkout").json()["checkout_url"]
    assert left(buyer, event) == 0

    assert becomes(buyer, bare, "expired") == {**bare, "state": "expired"}
    assert becomes(buyer, opened, "expired") == {**opened, "state": "expired"}

    soon(lambda: True if left(buyer, event) == 4 else None, "four places back")
    assert hasty.pay(url).status_code == 410
    for order in (bare, opened):
        path = f"orders/{order['order_id']}"
        assert refusal(buyer.post(f"{path}/checkout")) == (409, "order-state-refused")
        assert refusal(buyer.post(f"{path}/cancel")) == (409, "order-state-refused")
    assert title(page(hasty, bare["order_id"])) == "This order expired"
    assert buyer.order(event, 4).json()["state"] == "placed"


def test_with_anonymous_browsing_nobody_may_look_and_still_not_buy(hasty: Api, api: Api) -> None:
    event = hasty.organiser().event()

    shown = hasty.nobody.get(f"events/{event['event_id']}")

    assert (shown.status_code, shown.json()) == (200, event)
    assert hasty.nobody.get("events").status_code == 200
    assert refusal(hasty.nobody.order(event)) == (401, "token-refused")
    assert refusal(hasty.bearer("nonsense").get("events")) == (401, "token-refused")
    assert refusal(hasty.nobody.get("me")) == (401, "token-refused")
    for path in ("events", f"events/{event['event_id']}"):
        assert refusal(api.nobody.get(path)) == (401, "token-refused")
