"""What an order's changes tell the rest: events derived from the order as it has become. Pure."""

from datetime import datetime
from typing import Any

from functions.sales.orders import Order
from shared.events.sales import (
    AttemptAbandoned,
    CancelledBy,
    ExpireOrder,
    HeldPart,
    OrderCancelled,
    OrderExpired,
    OrderPaid,
    OrderRefunded,
    OrderRefunding,
    OrderRefused,
    PaymentFailed,
    PoolLayout,
    RefundDelayed,
)


def expire_order(order: Order, now: datetime) -> ExpireOrder:
    """The command that ends the order at its deadline."""
    return ExpireOrder(
        id=f"{order.order_id}.expire.{order.attempt}",
        occurred_at=now,
        organiser_id=order.organiser_id,
        order_id=order.order_id,
    )


def order_paid(order: Order, now: datetime) -> OrderPaid:
    """Paid: sell what it holds, send its mail, count it."""
    return OrderPaid(
        **_facts(order, "paid", now), total=order.total, quantity=order.quantity, method=order.method.value
    )


def attempt_abandoned(order: Order, now: datetime) -> AttemptAbandoned:
    """The newest attempt took over: free what those before it may hold."""
    return AttemptAbandoned(**_facts(order, f"abandoned.{order.attempt}", now))


def order_refused(order: Order, now: datetime) -> OrderRefused:
    """Refused: free what earlier attempts may have left."""
    return OrderRefused(**_facts(order, f"refused.{order.attempt}", now))


def order_expired(order: Order, now: datetime) -> OrderExpired:
    """Expired: free what it holds, tell its buyer."""
    return OrderExpired(**_facts(order, "expired", now))


def order_cancelled(order: Order, now: datetime, *, by: CancelledBy = CancelledBy.NOBODY) -> OrderCancelled:
    """Cancelled: free what it holds, tell its buyer."""
    return OrderCancelled(**_facts(order, "cancelled", now), by=by)


def payment_failed(order: Order, now: datetime) -> PaymentFailed:
    """A payment failed: tell the buyer, who can try again."""
    return PaymentFailed(**_facts(order, "payment_failed", now))


def order_refunding(order: Order, now: datetime) -> OrderRefunding:
    """Refunding: give the money back."""
    return OrderRefunding(**_facts(order, "refunding", now))


def refund_delayed(order: Order, now: datetime) -> RefundDelayed:
    """The refund was refused: tell the buyer that it takes longer."""
    return RefundDelayed(**_facts(order, "refund_delayed", now))


def order_refunded(order: Order, now: datetime) -> OrderRefunded:
    """Refunded: restock, tell its buyer."""
    assert order.payment is not None, "a refunded order had a payment"
    return OrderRefunded(**_facts(order, "refunded", now), total=order.payment.amount)


def _facts(order: Order, what: str, now: datetime) -> dict[str, Any]:
    return {
        "id": f"{order.order_id}.{what}",
        "occurred_at": now,
        "organiser_id": order.organiser_id,
        "order_id": order.order_id,
        "event_id": order.event.event_id,
        "held": tuple(HeldPart(**part.model_dump()) for part in order.held),
        "abandoned_attempts": order.abandoned,
        "pools": tuple(PoolLayout(pool_id=pool.pool_id, shards=pool.shards) for pool in order.pools),
    }
