"""The page a buyer comes back to. It tells an order's state and nothing personal, since nobody is signed in there."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from functions.sales.states import OrderState

if TYPE_CHECKING:
    from jinja2 import Template

_WAITING: Final = ("We are waiting for your payment", "This page looks again every two seconds.")
_CANCELLED: Final = (
    "You have not paid yet",
    "Your places are held until the order's deadline. Go back to your order to pay.",
)
_TEXTS: Final = {
    OrderState.PAID: (
        "Thank you, see you there",
        "Your payment arrived. The tickets are on their way to your mailbox.",
    ),
    OrderState.EXPIRED: ("This order expired", "It was not paid in time, and its places are on sale again."),
    OrderState.CANCELLED: ("This order was cancelled", "Nothing was charged. You can order again any time."),
    OrderState.REFUNDING: (
        "Your payment is going back",
        "Its tickets, if there were any, are no longer valid.",
    ),
    OrderState.REFUNDED: ("Your payment went back", "Depending on your bank it takes some days to arrive."),
}
_UNKNOWN: Final = ("We do not know this order", "Look at the address you came with, or at your orders.")


def result_page(order_id: str, state: OrderState | None, *, cancelled: bool) -> bytes:
    """The page.

    :param state: None when there is no such order
    :param cancelled: the buyer turned back on the provider's page
    """
    waiting = state in {OrderState.PLACING, OrderState.PLACED} and not cancelled
    if state is None:
        title, text = _UNKNOWN
    elif state in _TEXTS:
        title, text = _TEXTS[state]
    else:
        title, text = _CANCELLED if cancelled else _WAITING
    shown = order_id if state is not None else ""
    return _template().render(title=title, text=text, order_id=shown, waiting=waiting).encode()


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader

    pages = Path(__file__).parent / "pages"
    return Environment(loader=FileSystemLoader(pages), autoescape=True).get_template("result.html")
