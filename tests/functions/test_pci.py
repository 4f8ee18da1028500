"""A card number typed on the provider's page is in nothing that was written, here or by the payment double."""

import re
from pathlib import Path

import httpx
import pytest

from tests.functions.selling import becomes
from tests.support.api import Api, Organiser
from tests.support.leaks import contents

NUMBER = "5555555555554444"  # published test cards that no other test types in; the bank of the other one asks first
ASKS_FIRST = "4000000000003220"


def files_with(folder: Path, text: str) -> set[str]:
    """The names of files below `folder` that hold `text`."""
    return {path.name for path, content in contents(folder) if text.encode() in content}


@pytest.mark.parametrize("number", [NUMBER, ASKS_FIRST])
def test_a_card_number_is_nowhere_in_what_was_written(api: Api, house: Organiser, number: str) -> None:
    holder = f"Cardholder {number[-4:]}"
    event, buyer = house.event(), api.person(name=holder)
    order = buyer.order(event).json()
    url = buyer.post(f"orders/{order['order_id']}/checkout").json()["checkout_url"]

    grouped = " ".join(number[place : place + 4] for place in range(0, 16, 4))
    typed = {"card_number": grouped, "card_expiry": "12 / 34", "card_cvc": "123", "card_name": "C. Unmistakable"}
    back = httpx.post(url, data=typed)
    while_asked = files_with(api.stack.data, number) | files_with(api.stack.data, grouped)
    if number == ASKS_FIRST:
        confirm_with_bank(url)
    becomes(buyer, order, "paid")
    api.mails(order["order_id"])

    assert back.status_code == 303
    found = files_with(api.stack.data, holder)
    assert found & {"store.db", "store.db-wal"}, "this way of looking finds things"
    assert files_with(api.stack.data, "C. Unmistakable"), "it looks where the payment double writes"
    assert while_asked == set()
    assert files_with(api.stack.data, number) | files_with(api.stack.data, grouped) == set()


def confirm_with_bank(url: str) -> None:
    """Say yes on the page of the card's bank."""
    challenge = re.search(r'name="challenge" value="(\w+)"', httpx.get(f"{url}/authenticate").text)
    assert challenge is not None
    answer = {"challenge": challenge[1], "answer": "complete"}
    assert httpx.post(f"{url}/authenticate", data=answer).status_code == 303
