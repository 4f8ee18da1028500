"""Looking at orders, as the tests of sales do, and at what a store's files say."""

import json
import sqlite3
from contextlib import closing
from typing import Any

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


def wallet_of(person: Person, number: int) -> list[Json]:
    """The person's tickets, once there are `number`."""

    def look() -> list[Json] | None:
        found: list[Json] = person.get("tickets/mine", limit=100).json()["items"]
        return found if len(found) == number else None

    return soon(look, f"{number} tickets in the wallet")


def rows(api: Api, file: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """What a statement gives, executed on a database of the embedded adapters."""
    with closing(sqlite3.connect(api.stack.data / file, timeout=60)) as connection, connection:
        return connection.execute(sql, values).fetchall()


def shard(api: Api, event: Json) -> dict[str, int]:
    """The counters of an event's only pool."""
    sql = "SELECT body FROM documents WHERE container = 'inventory' AND id = 'shard'"
    found = [json.loads(body) for (body,) in rows(api, "store.db", sql)]
    [one] = [body for body in found if body["event_id"] == event["event_id"]]
    return {name: one[name] for name in ("available", "held", "sold")}
