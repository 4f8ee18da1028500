"""The page a buyer comes back to. It tells an order's state and nothing personal, since nobody is signed in there."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from functions.sales.orders import Order
from functions.sales.states import OPEN, OrderState
from shared.web.cards import card_template

_PAGE: Final = Path(__file__).parent / "pages" / "result.html"
LOOKS_MAX: Final = 60  # two minutes, far beyond the seconds a payment usually takes to be told
LOOK_SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class _Told:
    """What the page says.

    :param pay: the checkout's address, where the buyer may go to it
    :param looks: whether the page looks again by itself
    :param again: whether it offers to begin looking again
    """

    title: str
    text: str
    pay: str = ""
    looks: bool = False
    again: bool = False


_TEXTS: Final = {
    OrderState.REFUSED: _Told("This order has no places", "There were not enough left. Nothing was charged."),
    OrderState.PAID: _Told(
        "Thank you, see you there", "Your payment arrived. The tickets are on their way to your mailbox."
    ),
    OrderState.EXPIRED: _Told("This order expired", "It was not paid in time, and its places are on sale again."),
    OrderState.CANCELLED: _Told("This order was cancelled", "Nothing was charged. You can order again any time."),
    OrderState.REFUNDING: _Told("Your payment is going back", "Its tickets, if there were any, are no longer valid."),
    OrderState.REFUNDED: _Told("Your payment went back", "Depending on your bank it takes some days to arrive."),
    OrderState.PARTLY_REFUNDED: _Told(
        "A part of your payment went back", "Depending on your bank it takes some days to arrive."
    ),
}
assert _TEXTS.keys() | OPEN == set(OrderState), "every state has its words"
_UNKNOWN: Final = _Told("We do not know this order", "Look at the address you came with, or at your orders.")


def result_page(order: Order | None, *, cancelled: bool, look: int, now: datetime) -> bytes:
    """The page.

    :param order: None when there is no such order
    :param cancelled: the buyer turned back on the provider's page
    :param look: how often the page has looked again by itself, 0 to `LOOKS_MAX`
    """
    told = _UNKNOWN if order is None else _TEXTS.get(order.state) or _open(order, cancelled, look, now)
    return (
        card_template(_PAGE)
        .render(told=told, order_id=order.order_id if order else "", next_look=look + 1, seconds=LOOK_SECONDS)
        .encode()
    )


def _open(order: Order, cancelled: bool, look: int, now: datetime) -> _Told:
    deadline = order.deadline.astimezone(ZoneInfo(order.event.timezone))
    until = f"{deadline:%d %B %Y, %H:%M} ({order.event.timezone})"
    if not cancelled and look < LOOKS_MAX:
        return _Told(
            "We are waiting for your payment", f"This page looks again every {LOOK_SECONDS} seconds.", looks=True
        )
    if now >= order.deadline:
        return _Told(
            "The time to pay is over",
            f"This order could be paid until {until}. If you paid, your tickets, or your money, will come; "
            "if not, nothing is charged, and its places go back on sale.",
            again=True,
        )
    pay = order.checkout.url if order.state is OrderState.PLACED and order.checkout else ""
    how = "You can pay until then:" if pay else "Go back to your order to pay until then."
    if cancelled:
        return _Told("You have not paid yet", f"Your places are held until {until}. {how}", pay)
    return _Told(
        "We have not heard of your payment",
        "If you paid, do not pay again: your tickets will come by mail as soon as we hear of it. "
        f"If you did not pay, your places are held until {until}. {how}",
        pay,
        again=True,
    )
