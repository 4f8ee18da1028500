"""A card number typed on the provider's page is in nothing that was written, here or by the payment double."""

from pathlib import Path

import httpx

from tests.functions.selling import becomes
from tests.support.api import Api, Organiser

NUMBER = "5555555555554444"  # a published test card that no other test types in


def files_with(folder: Path, text: str) -> set[str]:
    """The names of files below `folder` that hold `text`."""
    return {path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()}


def test_a_card_number_is_nowhere_in_what_was_written(api: Api, house: Organiser) -> None:
    event, buyer = house.event(), api.person(name="Cardholder Unmistakable")
    order = buyer.order(event).json()
    url = buyer.post(f"orders/{order['order_id']}/checkout").json()["checkout_url"]

    grouped = " ".join(NUMBER[place : place + 4] for place in range(0, 16, 4))
    typed = {"card_number": grouped, "card_expiry": "12 / 34", "card_cvc": "123", "card_name": "C. Unmistakable"}
    back = httpx.post(url, data=typed)
    becomes(buyer, order, "paid")
    api.mails(order["order_id"])

    assert back.status_code == 303
    found = files_with(api.stack.data, "Cardholder Unmistakable")
    assert found & {"store.db", "store.db-wal"}, "this way of looking finds things"
    assert files_with(api.stack.data, NUMBER) | files_with(api.stack.data, grouped) == set()
