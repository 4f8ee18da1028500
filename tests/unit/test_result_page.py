"""What the page a buyer comes back to says while nothing is paid."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from functions.sales.orders import Checkout, Order
from functions.sales.result_page import LOOKS_MAX, result_page
from functions.sales.states import OrderState
from tests.factories import catalog, sales

NOW = catalog.NOW
DEADLINE = NOW + sales.DEADLINE
PAGE = "https://pay.example/c/1?a=b&c=d"


def order(*, state: OrderState = OrderState.PLACED, url: str = PAGE) -> Order:
    """A card order, with its checkout at `url`."""
    checkout = Checkout(site="https://tickets.example", begun_at=NOW, expires_at=DEADLINE, url=url)
    return sales.order(now=NOW).model_copy(update={"state": state, "checkout": checkout})


def shown(given: Order, *, cancelled: bool = False, look: int = 0, now: datetime = NOW) -> tuple[str, str, list[str]]:
    """Its title, its words, and where its links lead."""
    html = result_page(given, cancelled=cancelled, look=look, now=now).decode()
    title, text = re.findall(r"<h1>(.*?)</h1>\s*<p>(.*?)</p>", html)[0]
    return title, text, [link.replace("&amp;", "&") for link in re.findall(r'href="(.*?)"', html)]


def refresh(given: Order, *, look: int) -> list[str]:
    """Where the page goes by itself."""
    html = result_page(given, cancelled=False, look=look, now=NOW).decode()
    return [url.replace("&amp;", "&") for url in re.findall(r'http-equiv="refresh" content="(.*?)"', html)]


def test_who_turned_back_is_told_until_when_at_the_venue_and_led_to_the_checkout() -> None:
    there = DEADLINE.astimezone(ZoneInfo("Europe/Brussels"))
    title, text, links = shown(order(), cancelled=True)

    assert title == "You have not paid yet"
    assert there.utcoffset() != timedelta(0)
    assert f"until {there:%d %B %Y, %H:%M} (Europe/Brussels)" in text
    assert links == [PAGE]


def test_after_the_deadline_the_page_says_so_and_leads_nowhere_to_pay() -> None:
    for cancelled in (True, False):
        title, text, links = shown(order(), now=DEADLINE, cancelled=cancelled, look=LOOKS_MAX)
        assert title == "The time to pay is over"
        assert "(Europe/Brussels)" in text
        assert PAGE not in links
    assert shown(order(), cancelled=True, now=DEADLINE - timedelta(seconds=1))[0] == "You have not paid yet"


def test_an_order_without_a_checkout_has_no_link_to_one() -> None:
    title, text, links = shown(order(url=""), cancelled=True)

    assert (title, links) == ("You have not paid yet", [])
    assert "Go back to your order" in text


def test_the_page_looks_again_a_bounded_number_of_times_and_then_says_what_to_do() -> None:
    order_id = order().order_id

    assert refresh(order(), look=0) == [f"2;url=?order={order_id}&outcome=paid&look=1"]
    assert refresh(order(), look=LOOKS_MAX - 1) == [f"2;url=?order={order_id}&outcome=paid&look={LOOKS_MAX}"]
    assert refresh(order(), look=LOOKS_MAX) == []
    title, text, links = shown(order(), look=LOOKS_MAX)
    assert title == "We have not heard of your payment"
    assert "do not pay again" in text
    assert links == [PAGE, f"?order={order_id}&outcome=paid"]


@pytest.mark.parametrize("state", sorted(set(OrderState) - {OrderState.PLACED}))
def test_only_a_placed_order_leads_to_its_checkout(state: OrderState) -> None:
    for cancelled in (True, False):
        assert PAGE not in shown(order(state=state), cancelled=cancelled, look=LOOKS_MAX)[2]
