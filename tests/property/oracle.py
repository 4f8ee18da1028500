"""What must be true of orders and pools, said once more, in other words, from what was done and answered alone.

It knows no code of the product: states are words, stock is bounds, money is a number. `may_become` is the whole life of
an order as this test understands the design; where something died half-way, more than one state is possible until it is
looked at, and stock that nobody may know of widens the bounds until the order's end has been carried through.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

OPEN = frozenset({"placing", "placed"})
ENDED = frozenset({"nothing", "refused", "paid", "expired", "cancelled", "refunded"})
GIVES_BACK = frozenset({"nothing", "refused", "expired", "cancelled", "refunded"})
ATTEMPTS_IN_TROUBLE_MAX = 8  # one request whose answers are lost may begin so many


@dataclass
class Expected:
    """One order.

    :param wants: places by pool
    :param strays: how often its quantities may be held besides, unknown to the order
    :param freed: its end gave back whatever it held
    :param was_paid: it had tickets once
    :param paid_in: the provider took the money
    :param paid_late: it did so after we had closed the session
    :param lost_something: a message about it will never arrive
    :param deadlines: since an attempt may have died, the deadline is between the earliest and the latest
    """

    wants: Mapping[str, int]
    method: str
    total: int
    state: str = "nothing"
    strays: int = 0
    freed: bool = False
    was_paid: bool = False
    paid_in: bool = False
    paid_late: bool = False
    lost_something: bool = False
    deadlines: list[datetime] = field(default_factory=list)

    @property
    def quantity(self) -> int:
        """Places in all."""
        return sum(self.wants.values())

    @property
    def goal(self) -> str:
        """What placing it leads to."""
        return "placed" if self.method == "card" and self.total else "paid"

    def bounds(self, pool: str) -> tuple[int, int]:
        """The least and the most it may have of a pool, held or sold."""
        quantity = self.wants.get(pool, 0)
        stray = quantity * self.strays
        if self.state in {"placed", "paid"} or (self.state == "refunding" and self.was_paid):
            return quantity, quantity + stray
        if self.state in {"expired", "cancelled", "refunding", "refunded"} and not self.freed:
            return 0, quantity + stray
        return 0, stray

    def balance_bounds(self) -> tuple[int, int]:
        """The least and the most the provider may have of its money, paid less refunded."""
        if self.method != "card" or not self.paid_in or self.state == "refunded":
            return 0, 0
        return (0 if self.state == "refunding" else self.total), self.total

    def after_expiry(self, now: datetime) -> set[str]:
        """What it may be once its expiry was carried out at `now`."""
        if self.state not in OPEN or now < min(self.deadlines):
            return {self.state}
        ended = self.after_closing("expired" if self.state == "placed" else "cancelled")
        return {ended} if now >= max(self.deadlines) else {ended, self.state}

    def after_closing(self, closed: str) -> str:
        """What closing it leads to: paid, if the buyer was faster."""
        return "paid" if self.state == "placed" and self.paid_in else closed

    def after_payment(self) -> str:
        """What it is once it was told of its payment."""
        if self.state == "placed":
            return "paid"
        return "refunding" if self.state in {"expired", "cancelled"} else self.state

    def become(self, state: str) -> None:
        """Seen in `state`, which was possible."""
        if state == self.state:
            return
        self.freed = self.freed and state not in {"placed", "paid"}
        self.was_paid = self.was_paid or state == "paid"
        self.state = state

    def tickets(self) -> dict[str, int]:
        """How many tickets it has, by their state."""
        if self.state == "paid":
            return {"valid": self.quantity}
        return {"void": self.quantity} if self.was_paid else {}

    def stock_was_told(self, type_name: str) -> None:
        """The stock consumer got through an event of this order."""
        if self.state in OPEN or self.state == "refused":
            return  # the event is of an earlier attempt; what newer ones left is not known
        if type_name in {"OrderExpired", "OrderCancelled", "OrderRefunded"}:
            self.freed = True
        if type_name in {"OrderPaid", "OrderExpired", "OrderCancelled", "OrderRefunded"}:
            self.strays = 0

    def everything_was_done(self) -> None:
        """Nothing is owed to or by anybody."""
        self.strays = 0
        self.freed = self.state in GIVES_BACK


@dataclass
class Oracle:
    """All orders and the pools they draw from.

    :param capacities: by pool
    """

    capacities: Mapping[str, int]
    orders: dict[str, Expected] = field(default_factory=dict)

    def taken(self, pool: str) -> tuple[int, int]:
        """The least and the most that may be held or sold of a pool."""
        bounds = [order.bounds(pool) for order in self.orders.values()]
        return sum(low for low, _ in bounds), sum(high for _, high in bounds)

    def may_fit(self, order: Expected) -> bool:
        """Whether the order could get all it wants."""
        return all(self.taken(pool)[0] + n <= self.capacities[pool] for pool, n in order.wants.items())

    def must_fit(self, order: Expected) -> bool:
        """Whether there is certainly enough for it."""
        return all(self.taken(pool)[1] + n <= self.capacities[pool] for pool, n in order.wants.items())

    def sold_exactly(self, pool: str) -> int:
        """What is sold of a pool once everything was done."""
        return sum(order.wants.get(pool, 0) for order in self.orders.values() if order.state == "paid")
