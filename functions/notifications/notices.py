"""The mails there are: for which event, under which name, and whether it is still true when its turn has come.

A mail tells the order as it is when it is written, not as it was when the event happened: what no longer applies is not
sent, because a later mail tells the rest. Pure, given the order and its tickets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from functions.sales.orders import Order
from functions.sales.states import OrderState
from shared.events.envelope import Event
from shared.events.sales import (
    OrderCancelled,
    OrderExpired,
    OrderPaid,
    OrderRefunded,
    PaymentFailed,
    RefundDelayed,
)
from shared.kernel.ids import OrderId

type Applies = Callable[[Order, datetime], bool]
_BAD: Final = "#a8201a"
_GOOD: Final = "#8a2b3f"


@dataclass(frozen=True, slots=True)
class Notice:
    """A kind of mail.

    :param name: of its words in `mails/`, and the first part of its Message-ID: an order has at most one of each
    :param applies: whether it is true of the order now
    :param before: states an order can only have had before its event: who reads one of them reads an old version
    :param reads_tickets: it tells of the order's tickets
    :param colour: of its heading
    """

    name: str
    applies: Applies
    before: frozenset[OrderState]
    reads_tickets: bool = False
    colour: str = _GOOD

    def message_id(self, order_id: OrderId) -> str:
        """The Message-ID's local part: the same order's mail of this kind always has the same."""
        return f"{self.name}.{order_id}"


def _is(state: OrderState) -> Applies:
    return lambda order, _: order.state is state


def _had_places_and_is(state: OrderState) -> Applies:
    """An order that never got its places was refused while its buyer looked on."""
    return lambda order, _: order.state is state and bool(order.held)


def _can_still_be_paid(order: Order, now: datetime) -> bool:
    return order.state is OrderState.PLACED and now < order.deadline


def _of(event: type[Event], notice: Notice) -> tuple[str, Notice]:
    return event.type_name(), notice


_UNPLACED: Final = frozenset({OrderState.PLACING})
_OPEN: Final = frozenset({OrderState.PLACING, OrderState.PLACED})
_UNREFUNDED: Final = _OPEN | {OrderState.PAID, OrderState.EXPIRED, OrderState.CANCELLED}
CONFIRMATION: Final = Notice("confirmation", _is(OrderState.PAID), _OPEN, reads_tickets=True)
NOTICES: Final[Mapping[str, Notice]] = dict(
    [
        _of(OrderPaid, CONFIRMATION),
        _of(PaymentFailed, Notice("payment-failed", _can_still_be_paid, _UNPLACED, colour=_BAD)),
        _of(OrderExpired, Notice("expired", _had_places_and_is(OrderState.EXPIRED), _OPEN)),
        _of(OrderCancelled, Notice("cancelled", _had_places_and_is(OrderState.CANCELLED), _OPEN)),
        _of(
            OrderRefunded,
            Notice("refunded", _is(OrderState.REFUNDED), _UNREFUNDED | {OrderState.REFUNDING}, reads_tickets=True),
        ),
        _of(RefundDelayed, Notice("refund-delayed", _is(OrderState.REFUNDING), _UNREFUNDED, colour=_BAD)),
    ]
)
