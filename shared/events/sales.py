"""What sales tells: the life of an order, and the command that ends one that nobody paid."""

from enum import StrEnum, unique

from pydantic import ConfigDict, Field

from shared.events.envelope import Event
from shared.kernel.ids import EventId, OrderId, PoolId
from shared.kernel.model import Model
from shared.kernel.money import Money


class HeldPart(Model):
    """Stock an order holds in one shard of a pool: what the stock consumer sells or frees."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pool_id: PoolId
    shard: int
    quantity: int
    attempt: int


class PoolLayout(Model):
    """A pool an order wanted, and over how many shards it is split."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pool_id: PoolId
    shards: int


class OrderEvent(Event):
    """What every event of an order says.

    :param held: stock the order holds, shard by shard
    :param abandoned_attempts: placing attempts whose holds nobody recorded (a crash, a repeated request): the stock
        consumer looks for them in every shard of `pools`
    """

    order_id: OrderId
    event_id: EventId
    held: tuple[HeldPart, ...] = ()
    abandoned_attempts: tuple[int, ...] = ()
    pools: tuple[PoolLayout, ...] = ()


class OrderPaid(OrderEvent):
    """The order is paid and its tickets exist.

    :param quantity: tickets in the order
    :param method: `card`, `desk` or `free`
    """

    total: Money
    quantity: int = Field(ge=1)
    method: str


class AttemptAbandoned(OrderEvent):
    """A placing attempt was taken over by the next: whatever it held, or may still hold, is to be freed."""


class OrderRefused(OrderEvent):
    """There was not enough stock."""


class OrderExpired(OrderEvent):
    """Nobody paid before the deadline."""


@unique
class CancelledBy(StrEnum):
    """Who called an order off; nobody did where it was never placed completely."""

    BUYER = "buyer"
    ORGANISER = "organiser"
    NOBODY = "nobody"


class OrderCancelled(OrderEvent):
    """The buyer or the organiser cancelled, or the order was never placed completely.

    :param by: `nobody` also in events from before it was told
    """

    by: CancelledBy = CancelledBy.NOBODY


class OrderRefunding(OrderEvent):
    """A payment has to go back; the tickets, if there were any, are void."""


class OrderRefunded(OrderEvent):
    """The payment went back.

    :param total: what was refunded
    """

    total: Money


class PaymentFailed(OrderEvent):
    """The buyer's bank refused the payment; the order still waits for another until its deadline."""


class RefundDelayed(OrderEvent):
    """The provider refused to give the money back; we go on asking, and a person has to look."""


class ExpireOrder(Event):
    """Command to the `expiries` queue, due at the order's deadline."""

    order_id: OrderId


class PaymentReported(Event):
    """What the payment provider told us, to the `payments` queue.

    :param session_id: the provider's checkout session
    :param payment_id: the provider's payment, once there is one
    :param paid: whether the money is ours; otherwise the payment failed
    """

    order_id: OrderId
    session_id: str
    payment_id: str
    paid: bool
    amount: Money
