"""Orders and pools together, by an oracle of its own: whatever is done, in whatever order, dying wherever it may."""

import asyncio
import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from functions.composition import UseCases
from functions.inventory.holds import PoolShort
from functions.sales.orders import Order
from shared.kernel.errors import Contended, KeyReused
from shared.payments.port import SessionStatus
from tests.factories import catalog
from tests.property.backroom import Backroom
from tests.property.oracle import Expected, Oracle
from tests.property.shopkeeping import POOLS, PRICES, Shopkeeping
from tests.property.world import NONE, Ending, Mishap, World

ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "1"))
KEYS = "abcdefgh"

mishaps = st.one_of(
    st.just(NONE),
    st.builds(Mishap, dies_at=st.integers(0, 3), after=st.booleans()),
    st.builds(Mishap, chaos=st.sampled_from(["throttled", "locked", "lost_answer", "lost_request", "stale_read"])),
    st.builds(Mishap, provider=st.sampled_from(["lost request", "lost answer"])),
)
# A checkout is: store the intent, ask the provider, store what it said.
checkout_mishaps = st.sampled_from(
    [
        NONE,
        Mishap(provider="lost answer"),
        Mishap(provider="lost request"),
        Mishap(dies_at=0, after=True),
        Mishap(dies_at=1),
        Mishap(chaos="lost_answer"),
    ]
)
wishes = st.fixed_dictionaries({"floor": st.integers(0, 6), "guests": st.integers(0, 2)}).filter(
    lambda wish: sum(wish.values()) > 0
)


class OrdersAndPools(Shopkeeping):
    """The rules are what people and machines do; the invariants hold after each."""

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

    @rule(
        key=st.sampled_from(KEYS),
        places=st.integers(1, 4),
        mishap=checkout_mishaps,
        reported=st.sampled_from([True, False, None]),
    )
    def buy_by_card(self, key: str, places: int, mishap: Mishap, reported: bool | None) -> None:
        """The ordinary way in one go, as far as it leads; None: up to the provider's page."""
        self.place(key, {"floor": places, "guests": 0}, False, NONE)
        self._open_checkout(key, mishap)
        self._open_checkout(key, NONE)
        if reported is not None:
            self._pay(key, reported)

    @rule(key=st.sampled_from(KEYS), places=st.integers(1, 3), desk=st.booleans(), dies_at=st.integers(0, 2))
    def place_after_dying(self, key: str, places: int, desk: bool, dies_at: int) -> None:
        """A process dies while it places the order; the buyer sends the request again."""
        self.place(key, {"floor": places, "guests": 0}, desk, Mishap(dies_at=dies_at, after=True))
        self.place(key, {"floor": places, "guests": 0}, desk, NONE)

    @rule(key=st.sampled_from(KEYS), places=st.integers(1, 3))
    def change_ones_mind_while_paying(self, key: str, places: int) -> None:
        """A payment is under way when the order is cancelled, and arrives after that."""
        self.place(key, {"floor": places, "guests": 0}, False, NONE)
        self._open_checkout(key, NONE)
        self._cancel(key, NONE)
        self._pay_too_late(key)

    @precondition(lambda self: self._known())
    @rule(n=st.integers(0, 99))
    def pay_too_late(self, n: int) -> None:
        """A payment was under way when its session was expired, and arrives."""
        self._pay_too_late(self._pick(n, "expired", "cancelled"))

    def _pay_too_late(self, key: str) -> None:
        order = self.oracle.orders[key]
        for session in self.world.provider.sessions_of(self._id(key)):
            if session.status is SessionStatus.EXPIRED and not order.paid_in:
                order.paid_in = order.paid_late = True
                paid = self.world.provider.pay(session.session_id, under_way=True)
                self.world.run(self.world.report(paid))
                self.world.collect()

    @precondition(lambda self: self._known())
    @rule(n=st.integers(0, 99), mishap=mishaps)
    def cancel(self, n: int, mishap: Mishap) -> None:
        """The buyer calls it off."""
        self._cancel(self._pick(n, "placed", "placing"), mishap)

    def _cancel(self, key: str, mishap: Mishap) -> None:
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
        self._refund(self._pick(n, "paid"), mishap)

    def _refund(self, key: str, mishap: Mishap) -> None:
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

    @precondition(lambda self: self._known())
    @rule(n=st.integers(0, 99), mishap=st.sampled_from([Mishap(dies_at=0), Mishap(provider="lost answer")]))
    def refund_to_the_end(self, n: int, mishap: Mishap) -> None:
        """The money goes back; the message that gives it back comes twice, once into trouble."""
        key = self._pick(n, "paid")
        self._refund(key, NONE)
        self.world.act(lambda _, room: room.relay(self._id(key)))
        for index in self.world.collect():
            if self.world.post[index][1].type == "OrderRefunding":
                self._deliver(index, mishap)
                self._deliver(index, NONE)

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

    @precondition(lambda self: self.world.waiting)
    @rule(n=st.integers(0, 99))
    def lose(self, n: int) -> None:
        """A message ends among the dead letters; the timers make good for it.

        Not for `OrderRefunded`, whose places stay sold until it is replayed, nor for a payment that came too late:
        only the provider knows of it, and its reports do not end.
        """
        waiting = sorted(self.world.waiting)
        index = waiting[n % len(waiting)]
        message = self.world.post[index][1]
        order = self.oracle.orders[self._key_of(index)]
        if message.type != "OrderRefunded" and not order.paid_late:
            self.world.waiting.discard(index)
            order.lost_something = True

    @rule(mishap=mishaps)
    def repair_orders(self, mishap: Mishap) -> None:
        """The timer for overdue orders."""
        self._repair_orders(mishap)

    @rule(mishap=mishaps)
    def repair_holds(self, mishap: Mishap) -> None:
        """The timer for forgotten holds."""
        self._repair_holds(mishap)

    @rule(minutes=st.sampled_from([1, 3, 16]))
    def time_passes(self, minutes: int) -> None:
        """The deadline is 15 minutes, the timers' grace 2."""
        self.world.pass_time(minutes)

    @rule(now=st.integers(0, 9))
    def sometimes_come_to_rest(self, now: int) -> None:
        """Life goes on after it."""
        if now == 9:
            self.come_to_rest()


OrdersAndPools.TestCase.settings = settings(
    max_examples=80 * ROUNDS,
    stateful_step_count=40,
    deadline=None,
    derandomize=ROUNDS == 1,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestOrdersAndPools = OrdersAndPools.TestCase
