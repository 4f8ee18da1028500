"""Orders and pools together, by an oracle of its own: whatever is done, in whatever order, dying wherever it may."""

import asyncio
import os
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from functions.composition import UseCases
from functions.inventory.holds import PoolShort
from functions.sales.orders import Method, Order
from functions.sales.placing import KeyReused
from functions.sales.states import OrderStateRefused
from shared.auth.permissions import Caller
from shared.kernel.errors import Contended, DependencyUnavailable
from shared.kernel.ids import OrderId
from shared.payments.port import SessionStatus
from tests.factories import catalog, sales
from tests.property.backroom import STOCK, Backroom
from tests.property.oracle import ATTEMPTS_IN_TROUBLE_MAX, ENDED, Expected, Oracle
from tests.property.world import NONE, Ending, Mishap, World

ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "1"))
POOLS = {"floor": 9, "guests": 4}
PRICES = {"floor": 1_500, "guests": 0}
KEYS = "abcdefgh"
QUIET_ROUNDS_MAX = 12

mishaps = st.one_of(
    st.just(NONE),
    st.builds(Mishap, dies_at=st.integers(0, 3), after=st.booleans()),
    st.builds(Mishap, chaos=st.sampled_from(["throttled", "locked", "lost_answer", "lost_request", "stale_read"])),
    st.builds(Mishap, provider=st.sampled_from(["lost request", "lost answer"])),
)
wishes = st.fixed_dictionaries({"floor": st.integers(0, 4), "guests": st.integers(0, 2)}).filter(
    lambda wish: sum(wish.values()) > 0
)


class OrdersAndPools(RuleBasedStateMachine):
    """The rules are what people and machines do; the invariants hold after each."""

    world: World
    oracle: Oracle

    @initialize(shards=st.sampled_from([1, 3]), seed=st.integers(0, 1_000))
    def open_shop(self, shards: int, seed: int) -> None:
        """An event with few places."""
        self.world = World(pools=POOLS, prices=PRICES, shards=shards, seed=seed)
        self.oracle = Oracle(POOLS)

    def teardown(self) -> None:
        """Whatever happened, it can be brought to rest."""
        if hasattr(self, "world"):
            try:
                self.come_to_rest()
            finally:
                self.world.close()

    # What buyers do

    @rule(key=st.sampled_from(KEYS), wish=wishes, desk=st.booleans(), mishap=mishaps)
    def place(self, key: str, wish: dict[str, int], desk: bool, mishap: Mishap) -> None:
        """A new order, or the same request again if there is one with the key."""
        order = self._order_of(key, wish, desk)
        fits, certain = self.oracle.may_fit(order), self.oracle.must_fit(order)
        begins = order.state in {"nothing", "refused", "placing"}
        ending = self.world.act(lambda cases, _: self._place(cases, key, order), mishap)
        self._placed(order, ending, mishap, begins=begins)
        if begins and ending.done:
            assert fits, "placed what cannot be there"
        if begins and isinstance(ending.refusal, PoolShort) and mishap.harmless:
            assert not certain, "refused what is certainly there"
        self._look(key, self._after_placing(order, ending, mishap) if begins else {order.state})

    @rule(key=st.sampled_from(KEYS), wish=wishes, desk=st.booleans())
    def place_twice_at_once(self, key: str, wish: dict[str, int], desk: bool) -> None:
        """Two equal requests at the same moment."""
        order = self._order_of(key, wish, desk)
        begins = order.state in {"nothing", "refused", "placing"}
        order.strays += begins

        async def both(cases: UseCases, _: Backroom) -> list[Order | BaseException]:
            tries = (self._place(cases, key, order) for _ in range(2))
            return await asyncio.gather(*tries, return_exceptions=True)

        answers = self.world.act(both).value or []
        self._placed(order, Ending(done=True), NONE, begins=begins)
        for answer in answers:
            assert isinstance(answer, Order | PoolShort | Contended), repr(answer)
        self._look(key, {order.goal, "refused"} if begins else {order.state})
        given = {answer.state.value for answer in answers if isinstance(answer, Order)}
        assert given <= {order.state}, "two answers for one order"

    @precondition(lambda self: self._known())
    @rule(n=st.integers(0, 99), wish=wishes)
    def place_something_else_under_a_known_key(self, n: int, wish: dict[str, int]) -> None:
        """The same key, another body: refused, and nothing changes."""
        key = self._pick(n)
        order = self.oracle.orders[key]
        other = Expected(wish, order.method, 0)
        if wish == order.wants or order.state == "nothing":
            return
        ending = self.world.act(lambda cases, _: self._place(cases, key, other))
        assert isinstance(ending.refusal, KeyReused)
        self._look(key, {order.state})

    @precondition(lambda self: self._known())
    @rule(n=st.integers(0, 99), mishap=mishaps)
    def open_checkout(self, n: int, mishap: Mishap) -> None:
        """The buyer wants to pay."""
        self._open_checkout(self._pick(n, "placed"), mishap)

    def _open_checkout(self, key: str, mishap: Mishap) -> None:
        order = self.oracle.orders[key]
        ending = self.world.act(
            lambda cases, _: cases.checkouts.open(self._id(key), caller=self._caller(order), now=self.world.now),
            mishap,
        )
        if ending.done:
            assert order.goal == "placed"
            assert order.state == "placed" or mishap.chaos == "stale_read"
        self._look(key, {order.state})

    @precondition(lambda self: self._known())
    @rule(n=st.integers(0, 99), reported=st.booleans())
    def pay(self, n: int, reported: bool) -> None:
        """The buyer pays on the provider's page, which reports it, or whose report is lost for ever."""
        self._pay(self._pick(n, "placed", "expired", "cancelled"), reported)

    def _pay(self, key: str, reported: bool) -> None:
        for session in self.world.provider.sessions_of(self._id(key)):
            if session.status is SessionStatus.OPEN:
                paid = self.world.provider.pay(session.session_id)
                assert not self.oracle.orders[key].paid_in, "paid twice"
                self.oracle.orders[key].paid_in = True
                if reported:
                    self.world.run(self.world.report(paid))
                    self.world.collect()

    @rule(key=st.sampled_from(KEYS), places=st.integers(1, 3), mishap=mishaps, reported=st.booleans())
    def buy_by_card(self, key: str, places: int, mishap: Mishap, reported: bool) -> None:
        """The ordinary way in one go, as far as it leads."""
        self.place(key, {"floor": places, "guests": 0}, False, NONE)
        self._open_checkout(key, mishap)
        self._open_checkout(key, NONE)
        self._pay(key, reported)

    @precondition(lambda self: self._known())
    @rule(n=st.integers(0, 99), mishap=mishaps)
    def cancel(self, n: int, mishap: Mishap) -> None:
        """The buyer calls it off."""
        key = self._pick(n, "placed", "placing")
        order = self.oracle.orders[key]
        goal = order.after_closing("cancelled") if order.state in {"placing", "placed"} else order.state
        ending = self.world.act(
            lambda cases, _: cases.settlement.cancel(self._id(key), caller=self._caller(order), now=self.world.now),
            mishap,
        )
        self._explained(ending, mishap)
        if mishap.harmless and order.state != "nothing":
            assert ending.done == (goal == "cancelled")
        self._look(key, {goal} if mishap.harmless else {order.state, goal})

    @precondition(lambda self: self._known())
    @rule(n=st.integers(0, 99), mishap=mishaps)
    def refund(self, n: int, mishap: Mishap) -> None:
        """The organiser gives the money back."""
        key = self._pick(n, "paid")
        order = self.oracle.orders[key]
        goal = "refunding" if order.state == "paid" else order.state
        ending = self.world.act(
            lambda cases, _: cases.settlement.refund(self._id(key), caller=catalog.owner(), now=self.world.now),
            mishap,
        )
        self._explained(ending, mishap)
        if mishap.harmless and order.state != "nothing":
            assert ending.done == (goal in {"refunding", "refunded"})
        self._look(key, {goal} if mishap.harmless else {order.state, goal})

    # What machines do

    @precondition(lambda self: self._known())
    @rule(n=st.integers(0, 99), mishap=mishaps)
    def relay(self, n: int, mishap: Mishap) -> None:
        """An order's outbox is sent, perhaps not deleted."""
        for key in list(self.oracle.orders) if n % 2 else [self._pick(n)]:
            self.world.act(lambda _, room, key=key: room.relay(self._id(key)), mishap)  # type: ignore[misc]
        self.world.collect()

    @precondition(lambda self: self.world.post)
    @rule(n=st.integers(0, 999), mishap=mishaps)
    def deliver(self, n: int, mishap: Mishap) -> None:
        """Any message there ever was, early, late, again; every other time one that is new."""
        post = self.world.post
        index = n % len(post) if n % 2 else len(post) - 1 - n // 2 % min(len(post), 4)
        self._deliver(index, mishap)

    @rule(mishap=mishaps)
    def repair_orders(self, mishap: Mishap) -> None:
        """The timer for overdue orders."""
        self.world.act(lambda cases, _: cases.repair.overdue_orders(self.world.now), mishap)
        for key, order in self.oracle.orders.items():
            goals = order.after_expiry(self.world.now) | ({"refunded"} if order.state == "refunding" else set())
            self._look(key, {order.state, *goals})

    @rule(mishap=mishaps)
    def repair_holds(self, mishap: Mishap) -> None:
        """The timer for forgotten holds."""
        self.world.act(lambda cases, _: cases.repair.forgotten_holds(self.world.now), mishap)

    @rule(minutes=st.sampled_from([1, 3, 16]))
    def time_passes(self, minutes: int) -> None:
        """The deadline is 15 minutes, the timers' grace 2."""
        self.world.pass_time(minutes)

    @rule(now=st.integers(0, 9))
    def sometimes_come_to_rest(self, now: int) -> None:
        """Life goes on after it."""
        if now == 9:
            self.come_to_rest()

    def come_to_rest(self) -> None:
        """Everything still under way arrives and the timers run: nothing is left held, owed or half done."""
        quiet = 0
        for _ in range(QUIET_ROUNDS_MAX):
            for key in self.oracle.orders:
                self.world.act(lambda _, room, key=key: room.relay(self._id(key)))  # type: ignore[misc]
            fresh = self.world.collect()
            for index in fresh:
                self._deliver(index, NONE)
            self.world.pass_time(20)
            self.repair_orders(NONE)
            self.repair_holds(NONE)
            quiet = 0 if fresh else quiet + 1
            if quiet == 2:
                break
        assert quiet == 2, "messages never end"
        for key, order in self.oracle.orders.items():
            assert order.state in ENDED, f"{key} is stuck in {order.state}"
            order.everything_was_done()
        for pool, capacity in POOLS.items():
            sold = self.oracle.sold_exactly(pool)
            assert self._counters(pool) == (capacity - sold, 0, sold)
        for key, order in self.oracle.orders.items():
            kept = order.total if order.state == "paid" and order.method == "card" else 0
            assert self.world.provider.balance(self._id(key)) == kept

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

    # How it is done

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
        key = next(key for key in self.oracle.orders if self._id(key) in message.id)
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
        if queue == STOCK and ending.done and not mishap.chaos:
            order.stock_was_told(message.type)

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


OrdersAndPools.TestCase.settings = settings(
    max_examples=30 * ROUNDS,
    stateful_step_count=40,
    deadline=None,
    derandomize=ROUNDS == 1,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestOrdersAndPools = OrdersAndPools.TestCase
