"""A process of an on-sale: buyers, or the clerk who moves their stock and watches every counter.

`tests/property/test_on_sale.py` starts several over one store. A process says `ready`; each line on its input is then a
round to take part in, answered by one line. The guards are taken out here, by composition, for the negative controls.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from functions.composition import Adapters, UseCases, use_cases
from functions.inventory import bus as inventory_bus
from functions.inventory.holds import PoolShort
from functions.inventory.pools import Pool
from functions.sales.orders import Method
from functions.sales.repository import ORDERS
from local.host.cosmos_feed import CosmosFeed
from shared.kernel.clock import utc_now
from shared.kernel.errors import DomainError
from shared.kernel.ids import EventId, OrderId
from shared.store.cosmos import CosmosStore
from shared.store.cosmos_account import CosmosAccount
from shared.store.embedded import EmbeddedStore
from shared.store.port import ChangeFeed, Store
from shared.topology import topology
from tests.doubles.host import queue_function
from tests.doubles.mailbag import Mailbag
from tests.doubles.stores import Gateless, Unguarded
from tests.factories import catalog, sales
from tests.factories import settings as factory

CLERK = "clerk"
LOOK_SECONDS = 0.004


@dataclass(frozen=True)
class Round:
    """What a line on the input asks for.

    :param pools: of the event, for the clerk to watch
    :param wants: quantity by order key, for buyers
    :param without: `conditions` or `gate`, taken out of the store
    """

    event_id: EventId
    pools: list[Pool]
    wants: dict[str, int]
    without: str = ""

    def line(self) -> str:
        """As it is written to a process."""
        pools = [pool.model_dump() for pool in self.pools]
        return json.dumps({"event_id": self.event_id, "pools": pools, "wants": self.wants, "without": self.without})

    def over(self, data: Path) -> Path:
        """The file that says the sale is over."""
        return data / f"{self.event_id}.over"

    @classmethod
    def of(cls, line: str) -> "Round":
        """As a process reads it."""
        read = json.loads(line)
        return cls(**{**read, "pools": [Pool(**pool) for pool in read["pools"]]})


def say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Account:
    """A Cosmos DB account; processes find it in a file of their data directory, if the sale is to be on one."""

    endpoint: str
    key: str

    def keep(self, data: Path) -> None:
        """Write it down."""
        (data / "account.json").write_text(json.dumps({"endpoint": self.endpoint, "key": self.key}))

    @classmethod
    def of(cls, data: Path) -> "Account | None":
        """The one that was written down."""
        path = data / "account.json"
        return cls(**json.loads(path.read_text())) if path.exists() else None

    def connection(self) -> CosmosAccount:
        """A connection, not yet open."""
        return CosmosAccount(self.endpoint, self.key, topology().database)


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[tuple[Store, ChangeFeed]]:
    """The store of a sale with its feed: a file, or Cosmos DB through the SDK."""
    secret, account = factory.SIGNING_SECRET.encode(), Account.of(data)
    if account is None:
        embedded = EmbeddedStore(data / "store.db", topology(), secret)
        yield embedded, embedded
        embedded.close()
        return
    store = CosmosStore(account.connection(), topology(), secret)
    feed = CosmosFeed(account.connection(), store)
    yield store, feed
    await feed.close()
    await store.close()


def within[T](opening: AbstractAsyncContextManager[T], runner: asyncio.Runner, stack: ExitStack) -> T:
    """What `opening` gives, open on the runner's loop until the stack unwinds."""

    async def enter() -> T:
        return await opening.__aenter__()

    async def leave() -> None:
        await opening.__aexit__(None, None, None)

    found = runner.run(enter())
    stack.callback(lambda: runner.run(leave()))
    return found


def stand_on(data: Path, store: Store, without: str, stack: ExitStack) -> Adapters:
    """The product's adapters, less the guard the round does without."""
    choices: dict[str, Store] = {"": store, "conditions": Unguarded(store), "gate": Gateless(store)}
    return stack.enter_context(factory.adapters(data, store=choices[without], bus=Mailbag()))


async def buy(cases: UseCases, this: Round) -> dict[str, str]:
    """Everybody buys at once, at the desk; the outcome by key: `paid`, or the refusal's name."""

    async def one(key: str, quantity: int) -> str:
        wanted = sales.wanted(this.event_id, quantities={"floor": quantity}, method=Method.DESK)
        try:
            order = await cases.placing.place(wanted, order_id=order_of(key), caller=catalog.owner(), now=utc_now())
        except PoolShort:
            return PoolShort.code()
        except DomainError as error:
            return error.code()
        return order.state.value

    outcomes = await asyncio.gather(*(one(key, quantity) for key, quantity in this.wants.items()))
    return dict(zip(this.wants, outcomes, strict=True))


def order_of(key: str) -> OrderId:
    """The order a key leads to."""
    return sales.order_id(key, catalog.owner())


class Clerk:
    """Moves what was told about orders to the stock consumer, and looks at every shard in between.

    :param over: a file that appears once every buyer is done
    """

    def __init__(self, cases: UseCases, adapters: Adapters, feed: ChangeFeed, over: Path) -> None:
        assert isinstance(adapters.bus, Mailbag)
        self._relay = cases.relay
        self._store = adapters.store
        self._feed = feed
        self._bag = adapters.bus
        self._over = over
        self._move_stock = queue_function(inventory_bus.consumer(cases.holds, adapters.bus))
        self._looks = 0
        self._violations: list[str] = []

    async def watch(self, pools: Sequence[Pool]) -> dict[str, object]:
        """Until it is over and nothing is left to move."""
        while True:
            over = self._over.exists()
            await self._look(pools)
            moved = await self._move()
            if over and not moved:
                break
            await asyncio.sleep(LOOK_SECONDS)
        await self._look(pools)
        return {"looks": self._looks, "violations": self._violations}

    async def _look(self, pools: Sequence[Pool]) -> None:
        for pool in pools:
            for shard in range(pool.shards):
                value = (await self._store.read("inventory", pool.partition(shard), "shard")).value
                available, held, sold = value["available"], value["held"], value["sold"]
                self._looks += 1
                if min(available, held, sold) < 0 or available + held + sold != value["capacity"]:
                    self._violations.append(f"{shard}: {available} + {held} + {sold} of {value['capacity']}")

    async def _move(self) -> bool:
        await self._feed.acquire(ORDERS, CLERK, owner=CLERK, seconds=60)
        batch = await self._feed.changes(ORDERS, CLERK, owner=CLERK, limit=50)
        if batch is None:
            return False
        await self._relay.send(ORDERS, batch.documents)
        for message in self._bag.take(inventory_bus.QUEUE):
            await self._move_stock(message)
        self._bag.queues.clear()  # mails and statistics are not this test's
        await self._feed.advance(ORDERS, CLERK, owner=CLERK, position=batch.position)
        return True


def main() -> None:
    """Take part in rounds until the input ends."""
    task, path, _name = sys.argv[1:4]
    data = Path(path)
    with asyncio.Runner() as runner, ExitStack() as stack:
        store, feed = within(opened(data), runner, stack)
        say("ready")
        for line in sys.stdin:
            if line.strip() == "go":
                continue
            this = Round.of(line)
            adapters = stand_on(data, store, this.without, stack)
            cases = use_cases(factory.settings(data), adapters)
            if task == CLERK:
                clerk = Clerk(cases, adapters, feed, this.over(data))
                say(runner.run(clerk.watch(this.pools)))
            else:
                say(runner.run(buy(cases, this)))


if __name__ == "__main__":
    main()
