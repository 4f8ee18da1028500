"""A past: a store that already holds a great many old orders, so that a cost which grows with history shows.

One card order is really sold, to learn what documents an order leaves behind; those are written again and again,
straight into the file of a stopped store, under ids of their own: a thousand an event, ten a person, all of it over.
"""

import random
import re
import sqlite3
import uuid
from base64 import b32encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from bench.figures import buy
from bench.shop import Shop
from functions.admission.tickets import number_of
from local.stack import Stack
from shared.kernel.ids import OrderId

ORDERS_PER_EVENT: Final = 1_000
ORDERS_PER_PERSON: Final = 10
EVENTS_PER_ORGANISER: Final = 10
DOCUMENTS_PER_ORDER: Final = (
    6  # the order, its ticket and its copy in the wallet, its hold, its line in analytics, its mail
)
_CHUNK: Final = 20_000
_PRIMARY: Final = ("events", "insights", "inventory", "listings", "mail", "orders", "wallets")
_INSERT: Final = """
INSERT INTO documents (container, partition, id, body, ttl_seconds, expires_at, seq, created_at, changed_at)
VALUES (?, ?, ?, ?, ?, unixepoch() + ?, ?, unixepoch(), unixepoch())
"""
type Names = dict[str, str]
type Row = tuple[str | int | None, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A document of the order that was really sold; partition, id and body with placeholders for ids."""

    container: str
    texts: tuple[str, str, str]
    ttl_seconds: int | None
    an_order: bool

    def filled(self, names: Names) -> Row:
        """The document of another order or event."""
        return (self.container, *(text % names for text in self.texts), self.ttl_seconds, self.ttl_seconds)


async def write_history(stack: Stack, orders: int, progress: Callable[[int], None]) -> None:
    """Fill the data folder of a stack that is not running.

    :param orders: how many, rounded up to whole events
    :param progress: told the number of documents after each chunk
    """
    templates = await _templates(stack)
    names = _names(-(-orders // ORDERS_PER_EVENT))
    with closing(sqlite3.connect(stack.data / "store.db", isolation_level=None)) as store:
        store.execute("PRAGMA synchronous = OFF")
        (seq,) = store.execute("SELECT value FROM sequence").fetchone()
        rows, written = _rows(templates, names), 0
        while chunk := [row for _, row in zip(range(_CHUNK), rows, strict=False)]:
            store.execute("BEGIN")
            store.executemany(_INSERT, [(*row, seq + place) for place, row in enumerate(chunk, start=1)])
            store.execute("COMMIT")
            seq, written = seq + len(chunk), written + len(chunk)
            progress(written)
        # All of it was relayed and listed long ago.
        store.execute("UPDATE sequence SET value = ?", (seq,))
        store.execute("UPDATE leases SET position = ?", (seq,))
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _templates(stack: Stack) -> list[Template]:
    with stack:
        shop = await Shop.open(stack)
        try:
            event = await shop.event(ORDERS_PER_EVENT)
            order = await buy(shop, event, 0, uuid.uuid4().hex)
            await shop.quiet()
        finally:
            await shop.close()
    with closing(sqlite3.connect(stack.data / "store.db")) as store:
        found = store.execute(
            f"SELECT container, partition, id, body, ttl_seconds FROM documents "  # noqa: S608 - names of our own
            f"WHERE container IN {_PRIMARY} AND (partition <> 'public') AND (body LIKE ? OR body LIKE ?)",
            (f"%{order['order_id']}%", f"%{event.event_id}%"),
        ).fetchall()
    whole = "\n".join(row[3] for row in found)
    replaced = {
        order["order_id"]: "%(order)s",
        event.event_id: "%(event)s",
        event.ticket_type_id: "%(type)s",
        order["tickets"][0]["number"]: "%(number)s",
        order["organiser_id"]: "%(organiser)s",
        re.search(r"pol_[a-z2-7]{26}", whole)[0]: "%(pool)s",  # type: ignore[index]  # every event has a pool
        re.search(r'"placed_by":"(\w+)"', whole)[1]: "%(person)s",  # type: ignore[index]  # every order has a buyer
        "2030-01-01": "2025-01-01",
        '"unaudited":true': '"unaudited":null',
        f'"available":{ORDERS_PER_EVENT - 1},"held":0,"sold":1': f'"available":0,"held":0,"sold":{ORDERS_PER_EVENT}',
    }
    return [
        Template(container, (_marked(partition, replaced), _marked(id_, replaced), _marked(body, replaced)),
                 ttl_seconds, an_order=order["order_id"] in body)
        for container, partition, id_, body, ttl_seconds in found
    ]  # fmt: skip


def _marked(text: str, replaced: dict[str, str]) -> str:
    text = text.replace("%", "%%")
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


def _names(events: int) -> list[list[Names]]:
    """The ids of every order, by event, in the order of the primary key: that is how they are written fastest."""
    chance = random.Random(1)

    def ids(prefix: str, number: int) -> list[str]:
        return sorted(
            f"{prefix}_{b32encode(chance.randbytes(17)).decode().lower()[:26]}" for _ in range(number)
        )  # fmt: skip

    total = events * ORDERS_PER_EVENT
    organisers = ids("org", -(-events // EVENTS_PER_ORGANISER))
    people, orders = ids("per", -(-total // ORDERS_PER_PERSON)), ids("ord", total)
    by_event = zip(ids("evt", events), ids("pol", events), ids("tty", events), strict=True)
    return [
        [
            {
                "organiser": organisers[number // EVENTS_PER_ORGANISER],
                "event": event,
                "pool": pool,
                "type": type_,
                "order": orders[place],
                "person": people[place // ORDERS_PER_PERSON],
                "number": number_of(OrderId(orders[place]), 1),
            }
            for place in range(number * ORDERS_PER_EVENT, (number + 1) * ORDERS_PER_EVENT)
        ]
        for number, (event, pool, type_) in enumerate(by_event)
    ]


def _rows(templates: list[Template], names: list[list[Names]]) -> Iterator[Row]:
    for container in _PRIMARY:
        of_events = [each for each in templates if each.container == container and not each.an_order]
        of_orders = [each for each in templates if each.container == container and each.an_order]
        for event in names:
            yield from (template.filled(event[0]) for template in of_events)
            yield from (template.filled(order) for order in event for template in of_orders)
