"""A running Tessera as its clients see it: people with tokens, an event on sale, orders placed and paid over HTTP."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import httpx

from local.layout import BusKind, Ports, StoreKind, stack_secrets
from local.stack import Stack
from shared.kernel.clock import utc_now

GOOD_CARD = "4242424242424242"
DECLINED_CARD = "4000000000000002"
TIMEOUT_SECONDS = 30.0
PATIENCE_SECONDS = 60.0  # normally well below one: only what never comes takes so long


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of the event, with one ticket type that draws from it.

    :param demand: orders a second expected, which decides the number of shards (one per 250)
    :param price: in cents
    """

    name: str
    capacity: int
    demand: int = 1
    price: int = 2500


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a token."""

    token: str
    email: str

    @property
    def headers(self) -> dict[str, str]:
        """What signs a request as theirs."""
        return {"authorization": f"Bearer {self.token}"}


@dataclass(slots=True)
class Shop:
    """One event on sale.

    :param types: ticket type ids by pool name
    """

    stack: Stack
    http: httpx.AsyncClient
    owner: Person
    operator: Person
    event: Mapping[str, Any] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)

    @classmethod
    async def open(cls, stack: Stack, http: httpx.AsyncClient, pools: Sequence[Pool]) -> Self:
        """Create an organiser and publish an event with `pools`."""
        owner, operator = await person(stack, http, "clara"), await person(stack, http, "oscar")
        shop = cls(stack, http, owner, operator)
        await shop._create(pools)
        return shop

    @property
    def api(self) -> str:
        """The API's base."""
        return f"{self.stack.url}/api"

    async def people(self, count: int, *, prefix: str = "buyer", **claims: Any) -> list[Person]:
        """`count` synthetic buyers.

        :param claims: claims to replace in their tokens; None leaves one out
        """
        wanted = {"count": count, "prefix": prefix, "overrides": claims}
        answer = await self.http.post(f"{self.stack.entra_url}/_emulator/tokens", json=wanted)
        found = answer.raise_for_status().json()["tokens"]
        return [Person(each["access_token"], each["email"]) for each in found]

    async def place(
        self, buyer: Person, quantities: Mapping[str, int], *, key: str = "", method: str = "card"
    ) -> httpx.Response:
        """Ask for an order of so many places of each pool."""
        lines = [{"ticket_type_id": self.types[pool], "quantity": number} for pool, number in quantities.items()]
        body = {"event_id": self.event["event_id"], "lines": lines, "method": method}
        headers = buyer.headers | {"idempotency-key": key or str(uuid.uuid4())}
        return await self.http.post(f"{self.api}/orders", json=body, headers=headers)

    async def placed(self, buyer: Person, quantities: Mapping[str, int], *, method: str = "card") -> dict[str, Any]:
        """An order that must succeed."""
        answer = await self.place(buyer, quantities, method=method)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        order: dict[str, Any] = answer.json()
        return order

    async def checkout(self, buyer: Person, order_id: str) -> httpx.Response:
        """Open the checkout."""
        return await self.http.post(f"{self.api}/orders/{order_id}/checkout", headers=buyer.headers, json={})

    async def ready_to_pay(self, buyer: Person, quantities: Mapping[str, int]) -> tuple[dict[str, Any], str]:
        """An order with its checkout open: the order and the page's address."""
        order = await self.placed(buyer, quantities)
        opened = await self.checkout(buyer, order["order_id"])
        assert opened.status_code == httpx.codes.OK, opened.text
        return order, str(opened.json()["checkout_url"])

    async def pay(self, page: str, card: str = GOOD_CARD) -> httpx.Response:
        """Type a card into the hosted page: 303 when paid, 402 declined, 410 no longer open."""
        form = {"card_number": card, "card_expiry": "12/34", "card_cvc": "123", "card_name": "Uma User"}
        return await self.http.post(page, data=form)

    async def cancel(self, buyer: Person, order_id: str) -> httpx.Response:
        """Call an order off."""
        return await self.http.post(f"{self.api}/orders/{order_id}/cancel", headers=buyer.headers, json={})

    async def refund(self, order_id: str) -> httpx.Response:
        """Give a paid order's money back, as the organiser's owner."""
        return await self.http.post(f"{self.api}/orders/{order_id}/refund", headers=self.owner.headers, json={})

    async def order(self, buyer: Person, order_id: str) -> dict[str, Any]:
        """An order as its buyer sees it."""
        answer = await self.http.get(f"{self.api}/orders/{order_id}", headers=buyer.headers)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    async def until(
        self, buyer: Person, order_id: str, state: str, *, seconds: float = PATIENCE_SECONDS
    ) -> dict[str, Any]:
        """The order, once it is in `state`.

        :raises TimeoutError: it is not after `seconds`
        """
        async with asyncio.timeout(seconds):
            while (found := await self.order(buyer, order_id))["state"] != state:  # noqa: ASYNC110 - another process makes it true
                await asyncio.sleep(0.05)
        return found

    async def stripe(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask the payment double's controls: GET, or POST with a body."""
        return await self._control(f"{self.stack.stripe_url}/_emulator/{path}", body)

    async def mailbox(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask the mailbox: GET, or POST with a body."""
        return await self._control(f"{self.stack.mailbox_url}/{path}", body)

    async def _control(self, url: str, body: Mapping[str, Any] | None) -> Any:
        answer = await (self.http.get(url) if body is None else self.http.post(url, json=dict(body)))
        return answer.raise_for_status().json()

    async def _create(self, pools: Sequence[Pool]) -> None:
        organiser = await self._post("organisers", {"name": "Riverside Concerts"})
        organiser_id = organiser["organiser_id"]
        me = await self.http.get(f"{self.api}/me", headers=self.operator.headers)
        member = f"{self.api}/organisers/{organiser_id}/members/{me.raise_for_status().json()['person_id']}"
        (await self.http.put(member, headers=self.owner.headers, json={"role": "operator"})).raise_for_status()
        venue = {"name": "Hall", "address": "Quay 1", "city": "Zurich", "country": "CH", "timezone": "Europe/Zurich"}
        venue_id = (await self._post(f"organisers/{organiser_id}/venues", venue))["venue_id"]
        starts = utc_now() + timedelta(days=30)
        created = await self._post(
            "events",
            {
                "organiser_id": organiser_id,
                "venue_id": venue_id,
                "name": "Hot",
                "starts_at": starts.isoformat(),
                "ends_at": (starts + timedelta(hours=3)).isoformat(),
                "pools": [{"name": p.name, "capacity": p.capacity, "expected_demand": p.demand} for p in pools],
                "ticket_types": [
                    {"name": p.name, "price": {"amount_minor": p.price, "currency": "EUR"}, "pool": p.name}
                    for p in pools
                ],
            },
        )
        self.event = await self._post(f"events/{created['event_id']}/publish", {})
        self.types = {each["name"]: each["ticket_type_id"] for each in self.event["ticket_types"]}

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        headers = self.owner.headers | {"idempotency-key": str(uuid.uuid4())}
        answer = await self.http.post(f"{self.api}/{path}", json=dict(body), headers=headers)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()


async def person(stack: Stack, http: httpx.AsyncClient, name: str) -> Person:
    """One of the seeded demo people."""
    email = f"{name}@tessera.example"
    answer = await http.post(f"{stack.entra_url}/_emulator/tokens", json={"email": email})
    return Person(answer.raise_for_status().json()["access_token"], email)


def stack_at(data: Path, *, deadline_seconds: int = 900, workers: int = 1, azure: bool = False) -> Stack:
    """A Tessera on free ports whose unpaid orders end after `deadline_seconds`; not started.

    :param azure: through Azure's SDKs, on the doubles of Cosmos DB and Service Bus
    """
    return Stack(
        data,
        Ports.free(),
        workers=workers,
        store=StoreKind.COSMOS if azure else StoreKind.EMBEDDED,
        bus=BusKind.SERVICEBUS if azure else BusKind.EMBEDDED,
        settings={"TESSERA_ORDER_DEADLINE_SECONDS": str(deadline_seconds)},
    )


@asynccontextmanager
async def opened(
    data: Path, pools: Sequence[Pool], *, deadline_seconds: int = 900, workers: int = 1, azure: bool = False
) -> AsyncIterator[Shop]:
    """A started Tessera with an event on sale; all of it ends with the block."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=50)
    with stack_at(data, deadline_seconds=deadline_seconds, workers=workers, azure=azure) as stack:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits) as http:
            yield await Shop.open(stack, http, pools)


def webhook_secret(stack: Stack) -> str:
    """What the payment double signs with."""
    return stack_secrets(stack.data)["stripe_webhook_secret"]
