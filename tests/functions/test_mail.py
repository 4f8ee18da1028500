"""The confirmation mail: to whom, what it says, and what hangs on it."""

import httpx
import pytest

from local.offline import code_is_genuine
from tests.functions.selling import wallet_of
from tests.support.api import Api, Json, Organiser, type_body, venue_body
from tests.support.qr import read_png

TEXT = """Your tickets for Concert <& Söhne>

Hello Uma Üser,

Thank you for your order. Show each ticket's QR code at the door, on your
phone or on paper. The pictures are attached, too.

{tickets}
Concert <& Söhne>
Saturday, 01 May 2100, 20:00 (Europe/Zurich)
Hall, Quay Street 12, Zurich

2 × Adult: 50.00 EUR
Total: 50.00 EUR

Sold by Riverside. Questions? Quote these, and we find
what happened:
Order {order_id}
Reference {reference}
"""


def pictures(api: Api, mail: Json) -> dict[str, str]:
    """File name → what its QR code says."""
    found = {part["filename"]: httpx.get(f"{api.stack.mailbox_url}{part['url']}") for part in mail["attachments"]}
    return {name: read_png(answer.content) for name, answer in found.items()}


def test_the_confirmation_goes_to_the_buyer_with_every_ticket(api: Api, house: Organiser) -> None:
    buyer = api.person(name="Uma Üser")
    event = house.event(name="Concert <& Söhne>")
    order = buyer.order(event, 2).json()
    api.pay(buyer.post(f"orders/{order['order_id']}/checkout").json()["checkout_url"])

    mail = api.mail(order)

    paid = buyer.get(f"orders/{order['order_id']}").json()
    numbers = [ticket["number"] for ticket in paid["tickets"]]
    headers = {name.lower(): value for name, value in mail["headers"]}
    assert {name: headers[name] for name in ("from", "to", "subject", "message-id", "auto-submitted")} == {
        "from": "Tessera <tickets@tessera.example>",
        "to": f"Uma Üser <{buyer.email}>",
        "subject": "Your tickets for Concert <& Söhne>",
        "message-id": f"<confirmation.{order['order_id']}@tessera.example>",
        "auto-submitted": "auto-generated",
    }
    tickets = "".join(f"{number}   Adult\n" for number in numbers)
    reference = mail["text"].rpartition("Reference ")[2].strip()
    assert mail["text"].rstrip("\n") == TEXT.format(
        tickets=tickets, order_id=order["order_id"], reference=reference
    ).rstrip("\n")
    assert "Concert &lt;&amp; Söhne&gt;" in mail["html"]
    assert all(number in mail["html"] for number in numbers)
    assert mail["html"].count('src="data:image/png;base64,') == 2, "the pictures stand in the HTML"
    assert {(part["filename"], part["content_type"]) for part in mail["attachments"]} == {
        (f"ticket-{number[:-2]}.png", "image/png") for number in numbers
    }
    keys = api.nobody.get("ticket-keys").json()["keys"]
    codes = {ticket["number"]: ticket["code"] for ticket in wallet_of(buyer, 2)}
    assert pictures(api, mail) == {f"ticket-{number[:-2]}.png": codes[number] for number in numbers}
    assert all(code_is_genuine(code, keys) for code in codes.values())


def test_a_desk_order_is_mailed_where_the_operator_says_and_nowhere_without_address(api: Api, house: Organiser) -> None:
    event = house.event()
    silent = house.operator.paid(event)
    dora = {"name": "Dora", "email": "dora@tessera.example"}
    told = house.operator.order(event, method="desk", buyer=dora).json()

    mail = api.mail(told)

    assert dict(mail["headers"])["To"] == "Dora <dora@tessera.example>"
    assert api.mails(silent["order_id"]) == []


@pytest.mark.parametrize("name", ["Line\r\nBcc: everybody@tessera.example", "Para\u2028graph", "Nul\0", ""])
def test_a_name_from_the_sign_in_service_that_fits_no_header_still_gets_its_mail(
    api: Api, house: Organiser, name: str
) -> None:
    buyer = api.person(overrides={"name": name})
    event = house.event(ticket_types=[type_body(price={"amount_minor": 0, "currency": "EUR"})])

    mail = api.mail(buyer.order(event).json())

    headers = [header for header, _ in mail["headers"]]
    assert buyer.email in dict(mail["headers"])["To"]
    assert "Bcc" not in headers
    assert mail["to"] == [buyer.email]


def test_an_order_mailed_once_is_not_mailed_again_by_a_repeated_request(api: Api, house: Organiser) -> None:
    event, buyer = house.event(ticket_types=[type_body(price={"amount_minor": 0, "currency": "EUR"})]), api.person()
    order = buyer.order(event, key="mail-2").json()
    api.mail(order)

    assert buyer.order(event, key="mail-2").json() == order

    other = buyer.order(event).json()
    api.mail(other)
    assert len(api.mails(order["order_id"])) == 1


def test_a_venue_without_address_leaves_no_gap(api: Api, house: Organiser) -> None:
    venue = house.owner.post(f"organisers/{house.id}/venues", venue_body(address="")).json()
    order = house.operator.order(
        house.event(venue_id=venue["venue_id"]), method="desk", buyer={"email": "dora@tessera.example"}
    ).json()

    mail = api.mail(order)

    assert "\nHall, Zurich\n\n1 × Adult" in mail["text"]
    assert "Hall, Zurich" in mail["html"]
