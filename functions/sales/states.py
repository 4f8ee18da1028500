"""The life of an order: one table, and the one door that consults it (`Order._to`)."""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Final

from shared.kernel.errors import DomainError, Kind


@unique
class OrderState(StrEnum):
    """Where an order stands."""

    PLACING = "placing"
    PLACED = "placed"
    REFUSED = "refused"
    PAID = "paid"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    PARTLY_REFUNDED = "partly_refunded"


_S = OrderState
TRANSITIONS: Final[Mapping[OrderState, frozenset[OrderState]]] = {
    # A refusal is not remembered: the same key may try again, which is a new placing attempt.
    _S.PLACING: frozenset({_S.PLACING, _S.PLACED, _S.REFUSED, _S.CANCELLED}),
    _S.REFUSED: frozenset({_S.PLACING}),
    _S.PLACED: frozenset({_S.PAID, _S.EXPIRED, _S.CANCELLED, _S.REFUNDING}),
    # Money that arrives for an order that can no longer be paid goes back.
    _S.EXPIRED: frozenset({_S.REFUNDING}),
    _S.CANCELLED: frozenset({_S.REFUNDING}),
    _S.PAID: frozenset({_S.REFUNDING}),
    _S.REFUNDING: frozenset({_S.REFUNDED, _S.PARTLY_REFUNDED}),
    _S.PARTLY_REFUNDED: frozenset({_S.REFUNDING}),
    _S.REFUNDED: frozenset(),
}
assert TRANSITIONS.keys() == set(OrderState), "every state says where it can go"

OPEN: Final = frozenset({_S.PLACING, _S.PLACED})
# Money may still move, and its buyer still has to be told.
UNSETTLED: Final = OPEN | {_S.REFUNDING}


class OrderStateRefused(DomainError):
    """The order's state does not allow this; `state` says which it is in."""

    kind = Kind.CONFLICT
