"""What the stateful test of orders and pools checks after each step, and how its rules do what they do."""

from collections import Counter

from hypothesis.stateful import RuleBasedStateMachine, invariant

from functions.composition import UseCases
from functions.inventory.holds import PoolShort
from functions.sales.orders import Method, Order
from functions.sales.states import OrderStateRefused
from shared.auth.permissions import Caller
from shared.kernel.errors import Contended, DependencyUnavailable
from shared.kernel.ids import OrderId
from tests.factories import catalog, sales
from tests.property.backroom import STOCK
from tests.property.oracle import ATTEMPTS_IN_TROUBLE_MAX, ENDED, Expected, Oracle
from tests.property.world import NONE, Ending, Mishap, World

POOLS = {"floor": 9, "guests": 4}
PRICES = {"floor": 1_500, "guests": 0}
QUIET_ROUNDS = 3  # an order expires, its money goes back, its places return
HOPS_MAX = 6


class Shopkeeping(RuleBasedStateMachine):
    """A world, the oracle that watches it, and what must always be true of both."""

    world: World
    oracle: Oracle

    # What is always true

    @invariant()
    def counters_are_the_sum_of_live_holds(self) -> None:
        """In every shard: nothing negative, nothing lost, and a hold for each place that is held or sold."""
        for pool in catalog.pools_of(self.world.event):
            for n in range(pool.shards):
                documents = self.world.documents("inventory", pool.partition(n))
                [shard] = [d.value for d in documents if d.value["kind"] == "shard"]
                live: Counter[str] = Counter()
                for hold in (d.value for d in documents if d.value["kind"] == "hold"):
                    live[hold["state"]] += hold["quantity"]
                assert min(shard["available"], shard["held"], shard["sold"]) >= 0
                assert shard["available"] + shard["held"] + shard["sold"] == shard["capacity"]
                assert (shard["held"], shard["sold"]) == (live["held"], live["sold"])

    @invariant()
    def pools_hold_what_the_orders_need(self) -> None:
        """Between what orders certainly have and what they could at most."""
        for pool, capacity in POOLS.items():
            available, held, sold = self._counters(pool)
            low, high = self.oracle.taken(pool)
            assert low <= held + sold <= high, f"{pool}: {held} held, {sold} sold, expected {low}–{high}"
            assert low <= capacity, "sold twice"
            assert available == capacity - held - sold

    @invariant()
    def tickets_and_money_are_what_the_state_says(self) -> None:
        """Tickets for paid orders only, one a place; money kept for paid orders only, once all is told."""
        for key, order in self.oracle.orders.items():
            documents = self.world.documents("orders", self._id(key))
            tickets = Counter(d.value["state"] for d in documents if d.value["kind"] == "ticket")
            assert tickets == order.tickets(), key
            low, high = order.balance_bounds()
            assert low <= self.world.provider.balance(self._id(key)) <= high, key
            if order.method == "card" and order.state == "paid" and order.total:
                assert order.paid_in, "paid without money"

    # How it all ends

    def come_to_rest(self) -> None:
        """Everything still under way arrives and the timers run: nothing is left held, owed or half done."""
        self._everything_arrives()
        self._messages_were_enough()
        for _ in range(QUIET_ROUNDS):
            self.world.pass_time(20)
            self._repair_orders(NONE)
            self._repair_holds(NONE)
            self._everything_arrives()
        for key, order in self.oracle.orders.items():
            assert order.state in ENDED, f"{key} is stuck in {order.state}"
            order.everything_was_done()
            kept = order.total if order.state == "paid" and order.method == "card" else 0
            assert self.world.provider.balance(self._id(key)) == kept
        for pool, capacity in POOLS.items():
            sold = self.oracle.sold_exactly(pool)
            assert self._counters(pool) == (capacity - sold, 0, sold)

    def _everything_arrives(self) -> None:
        for _ in range(HOPS_MAX):
            for key in self.oracle.orders:
                self.world.act(lambda _, room, key=key: room.relay(self._id(key)))  # type: ignore[misc]
            self.world.collect()
            if not self.world.waiting:
                return
            for index in sorted(self.world.waiting):
                self._deliver(index, NONE)
                self.pools_hold_what_the_orders_need()
        raise AssertionError("messages never end")

    def _messages_were_enough(self) -> None:
        """Where none was lost, an order that ended holds nothing and owes nothing, without any timer's help."""
        complete = [self._id(key) for key, order in self.oracle.orders.items() if not order.lost_something]
        ended = {order_id for order_id in complete if self.world.state_of(order_id) in ENDED}
        assert not [each for each in complete if self.world.state_of(each) == "refunding"]
        for pool in catalog.pools_of(self.world.event):
            for n in range(pool.shards):
                for document in self.world.documents("inventory", pool.partition(n)):
                    hold = document.value
                    assert hold.get("state") != "held" or hold["order_id"] not in ended, "an ended order holds"

    # How it is done

    def _repair_orders(self, mishap: Mishap) -> None:
        self.world.act(lambda cases, _: cases.repair.overdue_orders(self.world.now), mishap)
        for key, order in self.oracle.orders.items():
            goals = order.after_expiry(self.world.now) | ({"refunded"} if order.state == "refunding" else set())
            self._look(key, {order.state, *goals})

    def _repair_holds(self, mishap: Mishap) -> None:
        self.world.act(lambda cases, _: cases.repair.forgotten_holds(self.world.now), mishap)

    def _order_of(self, key: str, wish: dict[str, int], desk: bool) -> Expected:
        total = sum(PRICES[pool] * n for pool, n in wish.items())
        return self.oracle.orders.setdefault(key, Expected(wish, "desk" if desk else "card", total))

    def _id(self, key: str) -> OrderId:
        return sales.order_id(key, self._caller(self.oracle.orders[key]))

    def _caller(self, order: Expected) -> Caller:
        return catalog.owner() if order.method == "desk" else sales.buyer()

    def _known(self) -> bool:
        return bool(self.oracle.orders)

    def _pick(self, n: int, *states: str) -> str:
        """An order, mostly in one of `states`, for it is there that things happen."""
        fitting = [key for key, order in self.oracle.orders.items() if order.state in states]
        among = sorted(fitting if fitting and n % 5 else self.oracle.orders)
        return among[n % len(among)]

    async def _place(self, cases: UseCases, key: str, order: Expected) -> Order:
        caller = self._caller(order)
        quantities = {pool: n for pool, n in order.wants.items() if n}
        wanted = sales.wanted(
            self.world.event.event_id, quantities=quantities, method=Method(order.method), caller=caller
        )
        return await cases.placing.place(
            wanted, order_id=sales.order_id(key, caller), caller=caller, now=self.world.now
        )

    def _placed(self, order: Expected, ending: Ending[Order], mishap: Mishap, *, begins: bool) -> None:
        """What every request to place leaves behind, however it ended."""
        self._explained(ending, mishap)
        if not begins:
            return
        deadline = self.world.now + sales.DEADLINE
        if ending.done and not mishap.chaos:
            order.deadlines = [deadline]
        else:
            order.deadlines.append(deadline)
        if mishap.chaos:
            order.strays += ATTEMPTS_IN_TROUBLE_MAX
        elif not ending.done and ending.refusal is None:
            order.strays += 1

    def _after_placing(self, order: Expected, ending: Ending[Order], mishap: Mishap) -> set[str]:
        if ending.done:
            return {order.goal}
        if isinstance(ending.refusal, PoolShort) and not mishap.chaos:
            return {"refused"}
        return {order.state, "placing", "refused", order.goal}

    def _explained(self, ending: Ending[Order], mishap: Mishap) -> None:
        """A refusal is the product's answer, or follows from the mishap."""
        if ending.refusal is None or mishap.chaos:
            return
        if isinstance(ending.refusal, DependencyUnavailable):
            assert mishap.provider, "the provider was there"
            return
        assert not isinstance(ending.refusal, Contended), "nobody was in the way"

    def _deliver(self, index: int, mishap: Mishap) -> None:
        queue, message = self.world.post[index]
        key = self._key_of(index)
        order = self.oracle.orders[key]
        goals = {
            "PaymentReported": lambda: {order.after_payment()},
            "ExpireOrder": lambda: order.after_expiry(self.world.now),
            "OrderRefunding": lambda: {"refunded" if order.state == "refunding" else order.state},
        }.get(message.type, lambda: {order.state})()
        ending = self.world.act(lambda _, room: room.deliver(queue, message, now=self.world.now), mishap)
        if mishap.harmless:
            assert not isinstance(ending.refusal, OrderStateRefused)
        self._look(key, goals if mishap.harmless else {order.state, *goals})
        if ending.done and not mishap.chaos:
            self.world.waiting.discard(index)
            if queue == STOCK:
                order.stock_was_told(message.type)

    def _key_of(self, index: int) -> str:
        return next(key for key in self.oracle.orders if self._id(key) in self.world.post[index][1].id)

    def _look(self, key: str, possible: set[str]) -> None:
        order = self.oracle.orders[key]
        seen = self.world.state_of(self._id(key))
        assert seen in possible, f"{key} was {order.state} and is {seen}, expected {possible}"
        order.become(seen)

    def _counters(self, pool: str) -> tuple[int, int, int]:
        pool_id = catalog.pool_id(self.world.event.event_id, pool)
        found = next(each for each in catalog.pools_of(self.world.event) if each.pool_id == pool_id)
        shards = [
            d.value
            for n in range(found.shards)
            for d in self.world.documents("inventory", found.partition(n))
            if d.value["kind"] == "shard"
        ]
        return (
            sum(shard["available"] for shard in shards),
            sum(shard["held"] for shard in shards),
            sum(shard["sold"] for shard in shards),
        )
