"""How orders are looked at and how they end: cancelled, refunded, expired; and the page their buyers come back to."""

import re
from collections.abc import Iterator

import httpx
import pytest

from functions.sales.result_page import LOOKS_MAX
from local.layout import Ports
from local.stack import Stack
from tests.functions.selling import becomes, bought, left, wallet_of
from tests.support.api import (
    Api,
    Json,
    Organiser,
    Person,
    fields,
    problem,
    refusal,
    soon,
    type_body,
)

UNKNOWN_ORDER = "ord_" + "a" * 26
TRIES_MAX = 5


def test_an_order_is_shown_to_its_buyer_and_the_organiser_and_nobody_else(api: Api, house: Organiser) -> None:
    buyer = api.person()
    order = buyer.order(house.event()).json()
    path = f"orders/{order['order_id']}"

    for allowed in (buyer, house.owner, house.creator, house.operator, api.person("admin")):
        assert allowed.get(path).json() == order
    for stranger in (api.person(), api.person("creator"), api.organiser("Other").operator):
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

    def void() -> bool | None:
        return [ticket["state"] for ticket in wallet_of(buyer, 2)] == ["void", "void"] or None

    soon(void, "void tickets in the wallet")
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


def page(api: Api, order_id: str, outcome: str = "paid", look: int = 0) -> str:
    answer = api.nobody.get("checkout/result", order=order_id, outcome=outcome, look=look)
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
    checkout_url = buyer.post(f"orders/{order_id}/checkout").json()["checkout_url"]
    assert f'href="{checkout_url}"' in page(api, order_id, "cancelled")
    assert "(Europe/Zurich)" in page(api, order_id, "cancelled")
    assert title(page(api, order_id, look=LOOKS_MAX)) == "We have not heard of your payment"
    assert fields(api.nobody.get("checkout/result", look=LOOKS_MAX + 1)) == ["look"]
    api.pay(checkout_url)
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


def sold_out(house: Organiser, buyer: Person) -> tuple[Json, Json, Json, str]:
    """An event all of whose places two orders hold, the second with its page; another if one ended before we looked."""
    for _ in range(TRIES_MAX):
        event = house.event(capacity=4)
        bare, opened = (buyer.order(event, 2).json() for _ in range(2))
        page_of = buyer.post(f"orders/{opened['order_id']}/checkout")
        if (page_of.status_code, left(buyer, event)) == (200, 0):
            return event, bare, opened, page_of.json()["checkout_url"]
        assert becomes(buyer, bare, "expired")["state"] == "expired"
    raise AssertionError(f"{TRIES_MAX} times an order ended before it was looked at")


def test_orders_nobody_paid_expire_and_their_places_are_sold_again(hasty: Api) -> None:
    buyer = hasty.person()
    event, bare, opened, url = sold_out(hasty.organiser(), buyer)

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


def test_with_anonymous_browsing_a_draft_that_its_member_saw_is_shown_to_nobody_else(hasty: Api) -> None:
    house = hasty.organiser()
    event, draft = house.event(), house.draft()
    shown = {each["event_id"]: f"events/{each['event_id']}" for each in (event, draft)}
    own, public = shown[draft["event_id"]], shown[event["event_id"]]

    for _ in range(2):  # whoever asks again finds what the cache kept
        assert house.owner.get(own).json() == draft
        assert refusal(hasty.nobody.get(own)) == (404, "not-found")
        assert hasty.nobody.get(public).json() == event
        assert "draft" not in hasty.nobody.get("events", limit=100).text
    assert house.owner.get(own).json() == draft


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
