"""The smoke test's sale: a place sold at the desk and refunded, after which the stock is as before.

Whatever becomes of it, the place is given back: a sale that nobody answered is asked for again under its key, which is
either that sale or a new one, and then refunded.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tools.delivery.outcome import CheckFailed, Inconclusive, Report
from tools.delivery.shop import Json, NoAnswer, Shop, ShopRefused

_HOLDS: Final = frozenset({"placing", "placed", "paid"})  # its place, in the words of the API's states


def sale(shop: Shop, event_id: str, report: Report, *, seconds: float, poll: float) -> Json | None:
    """Sell and refund, and tell what was found; the order, if there was a sale.

    :param seconds: until the bus moved what a refund leads to; consumers may have to start
    :param poll: seconds between two looks
    """
    before = report.check("the event is on sale", lambda: _on_sale(shop, event_id))
    if before is None:
        return None
    trying = _Sale(shop, before, seconds, poll)
    order = report.check("sells at the desk", trying.sell)
    if order is not None and report.check("refunds", lambda: trying.refund(order)) is not None:
        report.check("stock is as before", trying.stock)
    elif trying.maybe_sold:
        report.check("gives its place back", trying.give_back, grave=False)
    return order


def _on_sale(shop: Shop, event_id: str) -> tuple[Json, str]:
    event = shop.get(f"events/{event_id}")
    if not event["available"]:
        raise Inconclusive(
            f"“{event['name']}” is sold out, so nothing was tried with it and nothing is known of selling; "
            "`python -m tools.delivery smoke-event` makes another: set TESSERA_SMOKE_EVENT to what it prints"
        )
    return event, f"“{event['name']}”, {event['available']} places left"


@dataclass(slots=True)
class _Sale:
    """One try to sell a place.

    :param before: the event as it was
    :param key: what the order follows from, however often it is asked for
    :param maybe_sold: whether a place may be sold and not refunded
    """

    shop: Shop
    before: Json
    seconds: float
    poll: float
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    maybe_sold: bool = False

    def sell(self) -> tuple[Json, str]:
        order = self._ask(self._body())
        if order["state"] != "paid":
            raise CheckFailed(f"the order {order['order_id']} is {order['state']}, and not paid")
        return order, f"order {order['order_id']}, correlation id {self.shop.correlation_id}"

    def _body(self) -> Json:
        wanted = next((each for each in self.before["ticket_types"] if each["available"]), None)
        if wanted is None:
            raise CheckFailed(f"no ticket type of “{self.before['name']}” is left")
        line = {"ticket_type_id": wanted["ticket_type_id"], "quantity": 1}
        return {"event_id": self.before["event_id"], "lines": [line], "method": "desk"}

    def _ask(self, body: dict[str, Any]) -> Json:
        self.maybe_sold = True
        try:
            return self.shop.post("orders", body, key=self.key)
        except NoAnswer:
            raise
        except ShopRefused:
            self.maybe_sold = False
            raise

    def refund(self, order: Json) -> tuple[bool, str]:
        path = f"orders/{order['order_id']}"
        self.shop.post(f"{path}/refund")
        state = self._until(lambda: str(self.shop.get(path)["state"]), lambda found: found == "refunded")
        if state != "refunded":
            raise CheckFailed(f"the order {order['order_id']} is still {state} after {self.seconds:.0f} s")
        return True, state

    def stock(self) -> tuple[int, str]:
        path, wanted = f"events/{self.before['event_id']}", self.before["available"]
        left = self._until(lambda: int(self.shop.get(path)["available"]), lambda found: found == wanted)
        if left != wanted:
            raise CheckFailed(f"{left} places are left, and there were {wanted} before")
        return left, f"{left} places left"

    def give_back(self) -> tuple[bool, str]:
        """Once the refund is taken on it goes its way, as soon as whatever holds it up is mended."""
        give_up = time.monotonic() + self.seconds
        while True:
            refused = False
            try:
                order = self._ask(self._body())
                if order["state"] == "paid":
                    order = self.shop.post(f"orders/{order['order_id']}/refund")
                trouble = f"the order {order['order_id']} is {order['state']}"
                if order["state"] not in _HOLDS:
                    return True, trouble
            except ShopRefused as error:
                trouble, refused = str(error), not isinstance(error, NoAnswer)
            if refused or time.monotonic() >= give_up:
                raise CheckFailed(f"a place may stay sold, by an order under the key {self.key}: {trouble}")
            time.sleep(self.poll)

    def _until[T](self, look: Callable[[], T], enough: Callable[[T], bool]) -> T:
        give_up = time.monotonic() + self.seconds
        while not enough(found := look()) and time.monotonic() < give_up:
            time.sleep(self.poll)
        return found
