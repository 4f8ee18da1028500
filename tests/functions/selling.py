"""Looking at orders, as the tests of sales do."""

from tests.support.api import (
    Api,
    Json,
    Person,
    soon,
)


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
