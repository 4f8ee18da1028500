"""An on-sale: buyers who order, pay, decline, walk away, send twice and lose their connection; and who remember."""

import asyncio
import random
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.faults.books import Answers, read_books
from tests.faults.databases import unfinished
from tests.faults.oracle import contradictions
from tests.faults.shop import DECLINED_CARD, GOOD_CARD, Person, Shop

ASKED_AGAIN_MAX: Final = 60
AGAIN_SECONDS: Final = 0.15
ENOUGH_SECONDS_MAX: Final = 120.0  # normally none: how long a sale may go on until enough was bought in it
IMPATIENCE: Final = 0.1  # how likely a client gives up whenever its connection breaks
PROPER: Final = frozenset(
    {200, 201, 303, 402, 404, 409, 410, 503}
)  # 404 and 410: the double's page of a closed session
_NEVER = httpx.Response(0)


@dataclass(slots=True)
class OnSale:
    """The buyers of one shop and what they were told.

    :param deadline_seconds: after which unpaid orders end: some buyers pay at that very moment
    """

    shop: Shop
    deadline_seconds: float
    chance: random.Random
    answers: Answers = field(default_factory=Answers)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def buy_until_stopped(self, buyer: Person, pause_seconds: float) -> None:
        """One order after the other."""
        while not self.stopping.is_set():
            kind = self.chance.random()
            await (self._at_the_desk() if kind < 0.15 else self._by_card(buyer))
            await asyncio.sleep(self.chance.uniform(0, 2 * pause_seconds))

    async def enough(self, least: int) -> None:
        """Return once `least` orders are paid for good, as many paid on the page, and one was left unpaid.

        :raises TimeoutError: not within `ENOUGH_SECONDS_MAX`
        """
        told = self.answers
        async with asyncio.timeout(ENOUGH_SECONDS_MAX):
            while min(len(told.seen_paid - told.refund_asked), len(told.paid_pages)) < least or not told.left_unpaid:  # noqa: ASYNC110 - the buyers' own tasks make it true
                await asyncio.sleep(0.05)

    async def rush_until_stopped(self, buyer: Person) -> None:
        """Order after order, paying none: what a kill finds half placed is mostly theirs, often for nobody any more."""
        while not self.stopping.is_set():
            await self._place(buyer, method="card")

    async def _at_the_desk(self) -> None:
        order = await self._place(self.shop.operator, method="desk")
        if order is not None:
            self.answers.seen_paid.add(order["order_id"])

    async def _by_card(self, buyer: Person) -> None:
        order = await self._place(buyer, method="card")
        fate = self.chance.random()
        if order is None:
            return
        order_id = order["order_id"]
        if fate < 0.1:
            self.answers.left_unpaid.add(order_id)
            return
        if fate < 0.18:
            await self._cancel(buyer, order_id)
            return
        opened = await self._insist(lambda: self.shop.checkout(buyer, order_id))
        if opened.status_code != httpx.codes.OK or fate < 0.25:
            return
        if fate < 0.32:  # at the very moment of expiry
            await asyncio.sleep(self.deadline_seconds * self.chance.uniform(0.9, 1.1))
        page = str(opened.json()["checkout_url"])
        if fate > 0.9:
            await self._insist(lambda: self.shop.pay(page, DECLINED_CARD))
            if fate > 0.95:
                return
        paid = await self._insist(lambda: self.shop.pay(page, GOOD_CARD))
        if paid.status_code == httpx.codes.SEE_OTHER:
            self.answers.paid_pages.add(order_id)
            await self._look(buyer, order_id)

    async def _place(self, buyer: Person, *, method: str) -> dict[str, Any] | None:
        key, wanted = str(uuid.uuid4()), self._wanted()
        self.answers.keys[buyer.email] += 1

        async def ask() -> httpx.Response:
            return await self.shop.place(buyer, wanted, key=key, method=method)

        if self.chance.random() < 0.1:  # an impatient client: twice at once
            first, second = await asyncio.gather(self._insist(ask), self._insist(ask))
            for answer in (first, second):
                self._keep(key, answer)
            return self._keep(key, first)
        return self._keep(key, await self._insist(ask))

    def _wanted(self) -> Mapping[str, int]:
        pools = list(self.shop.types)
        chosen = pools if self.chance.random() < 0.2 else [self.chance.choice(pools)]
        return {pool: self.chance.choice((1, 1, 2, 2, 3, 4)) for pool in chosen}

    def _keep(self, key: str, answer: httpx.Response) -> dict[str, Any] | None:
        if answer.status_code != httpx.codes.CREATED:
            self.answers.refused += answer.status_code == httpx.codes.CONFLICT
            return None
        order: dict[str, Any] = answer.json()
        self.answers.orders[order["order_id"]] = order
        self.answers.orders_of_keys.setdefault(key, set()).add(order["order_id"])
        if order["state"] == "paid":
            self.answers.seen_paid.add(order["order_id"])
        return order if order["state"] in {"placed", "paid"} else None

    async def _cancel(self, buyer: Person, order_id: str) -> None:
        answer = await self._insist(lambda: self.shop.cancel(buyer, order_id))
        if answer.status_code == httpx.codes.OK:
            self.answers.cancelled.add(order_id)

    async def _look(self, buyer: Person, order_id: str) -> None:
        """Some look once whether it is paid by now, and some of those want their money back."""
        if self.chance.random() < 0.5:
            return
        await asyncio.sleep(0.2)
        url = f"{self.shop.api}/orders/{order_id}"
        answer = await self._insist(lambda: self.shop.http.get(url, headers=buyer.headers))
        if answer.status_code != httpx.codes.OK or answer.json()["state"] != "paid":
            return
        self.answers.seen_paid.add(order_id)
        if self.chance.random() < 0.15:
            # Noted before the answer: one that was lost may have been a yes.
            self.answers.refund_asked.add(order_id)
            refund = await self._insist(lambda: self.shop.refund(order_id))
            if refund.status_code == httpx.codes.OK:
                self.answers.refund_promised.add(order_id)

    async def _insist(self, ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        """Ask until there is an answer, as a patient client with a bad line does; some lose patience."""
        for _ in range(ASKED_AGAIN_MAX):
            try:
                answer = await ask()
            except httpx.TransportError:
                self.answers.interrupted += 1
                if self.chance.random() < IMPATIENCE:
                    return _NEVER
            else:
                if answer.status_code not in PROPER:
                    self.answers.errors.append(f"{answer.request.url.path}: {answer.status_code} {answer.text[:200]}")
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return answer
            await asyncio.sleep(AGAIN_SECONDS)
        return _NEVER


@asynccontextmanager
async def on_sale(
    shop: Shop,
    *,
    buyers: int,
    deadline_seconds: float,
    seed: int,
    pause_seconds: float = 0.1,
    rushers: int = 0,
    least: int = 1,
) -> AsyncIterator[OnSale]:
    """Buyers at work while the block runs; at its end each finishes what it is at.

    :param least: how many orders are bought at least, however slow the machine: see `OnSale.enough`
    """
    sale = OnSale(shop, deadline_seconds, random.Random(seed))
    silent = buyers // 2
    # Half have no address in their token, so that mails do not make the most of the load.
    people = await shop.people(buyers - silent) + await shop.people(silent, prefix="silent", email=None)
    async with asyncio.TaskGroup() as group:
        for each in people:
            group.create_task(sale.buy_until_stopped(each, pause_seconds))
        for each in await shop.people(rushers, prefix="rusher") if rushers else []:
            group.create_task(sale.rush_until_stopped(each))
        try:
            yield sale
            await sale.enough(least)
        finally:
            sale.stopping.set()


async def settled(shop: Shop, *, seconds: float) -> float:
    """Wait until nothing moves any more; how long that took.

    :raises TimeoutError: something still moves after `seconds`; the message says what
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    told = await _told(shop)
    while True:
        left, before = unfinished(shop.stack.data), told
        told = await _told(shop)
        # What moves may begin at the provider, whose webhooks then lie in neither store nor bus: so none is on its way
        # before nor after the two were looked at, and no new one was begun meanwhile.
        if not left and not told["pending"] and told == before:
            return loop.time() - began
        if loop.time() - began > seconds:
            raise TimeoutError(f"after {seconds:.0f} s still on its way: {left}, webhooks {told}")
        await asyncio.sleep(0.2)


async def _told(shop: Shop) -> dict[str, int]:
    """How many of the provider's webhooks are in each state."""
    found: dict[str, int] = (await shop.stripe("webhooks"))["deliveries"]
    return found


async def reconciled(shop: Shop, sale: OnSale, *, seconds: float, expected: str = "") -> Counter[str]:
    """Let everything settle within `seconds`, see that nobody's books contradict another's; how the orders ended.

    :param expected: a regular expression: what the host may log as an error, as a whole line of `Books.errors`
    """
    took = await settled(shop, seconds=seconds)
    books = await read_books(shop, sale.answers)
    logged = Counter(error for error in books.errors if expected and re.fullmatch(expected, error))
    books.errors = [error for error in books.errors if error not in logged]
    states = Counter(order["state"] for order in books.orders.values())
    print(
        f"orders {dict(states)}, payments {len(books.intents)}, refunds {len(books.refunds)}, mails "
        f"{books.mails.total()} ({books.mails.total() - len(books.mails)} second copies), connections lost "
        f"{sale.answers.interrupted}, refused {sale.answers.refused}, settled in {took:.1f} s, "
        f"errors as expected {dict(logged)}"
    )
    found = contradictions(books)
    assert not found, found[:10]
    return states
