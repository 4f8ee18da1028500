"""The mails about what went wrong or went back: to whom, what they say, and the id that leads to it in the logs."""

import re
from collections.abc import Iterator

import httpx
import pytest

from local.layout import Ports
from local.stack import Stack
from tests.functions.selling import becomes, bought
from tests.support.api import Api, Json, Organiser, Person, new_key, order_body, soon, type_body

DECLINED = "4000000000000002"
ASKS_FIRST = "4000002760003184"
DECLINED_BY_THE_BUYERS_BANK = "4000000000009995"
ORDERS_MAX = 5
KINDS = ("confirmation", "payment-failed", "expired", "cancelled", "refunded", "refund-delayed")


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A Tessera whose orders live two seconds."""
    settings = {"TESSERA_ORDER_DEADLINE_SECONDS": "2"}
    with (
        Stack(tmp_path_factory.mktemp("hasty"), Ports.free(), settings=settings) as running,
        httpx.Client(base_url=running.url, timeout=30) as http,
    ):
        yield Api(running, http)


def ready_to_pay(house: Organiser, buyer: Person, quantity: int = 2) -> tuple[Json, str]:
    """An order and the page it is paid on; another order where the first has ended before its page was asked for."""
    event = house.event(name="Kraków <live>")
    refusals: list[str] = []
    while len(refusals) < ORDERS_MAX:
        order = buyer.order(event, quantity).json()
        opened = buyer.post(f"orders/{order['order_id']}/checkout")
        if opened.status_code != 409:
            return order, opened.json()["checkout_url"]
        refusals.append(opened.text)
    raise AssertionError(f"every order ended before its page was asked for: {refusals}")


def kinds(api: Api, order: Json) -> set[str]:
    """Which mails about an order there are."""
    return {kind for kind in KINDS if api.mails(order["order_id"], kind)}


def reference(mail: Json) -> str:
    """The correlation id in a mail: the same in its text and its HTML."""
    found = re.search(r"^Reference (\S+)$", mail["text"], re.MULTILINE)
    assert found is not None, mail["text"]
    assert found[1] in mail["html"]
    return found[1]


def answer_bank(api: Api, url: str, said: str) -> None:
    """Pay with a card whose bank asks first (3-D Secure), and answer it."""
    assert api.pay(url, ASKS_FIRST).headers["location"].endswith("/authenticate")
    page = f"{url}/authenticate"
    challenge = re.search(r'name="challenge" value="(\w+)"', httpx.get(page).text)
    assert challenge is not None
    assert httpx.post(page, data={"challenge": challenge[1], "answer": said}).status_code == 303


def logged(api: Api, mail: Json, event: str) -> Json:
    """The line of the log that the mail's reference leads to."""

    def look() -> Json | None:
        return next((line for line in api.logged(reference(mail)) if event in str(line)), None)

    return soon(look, f"{event} under {reference(mail)}")


def facts(mail: Json) -> tuple[str, list[str]]:
    """Subject and recipients."""
    return mail["subject"], mail["to"]


def test_a_declined_card_is_told_once_with_the_page_to_try_again_on(api: Api, house: Organiser) -> None:
    buyer = api.person(name="Uma <User>")
    order, url = ready_to_pay(house, buyer)

    assert api.pay(url, DECLINED).status_code == 402
    mail = api.mail(order, "payment-failed")

    assert facts(mail) == ("Your payment for Kraków <live> did not go through", [buyer.email])
    assert url in mail["text"]
    assert f'href="{url}"' in mail["html"]
    assert "Kraków &lt;live&gt;" in mail["html"]
    assert "2 × Adult: 50.00 EUR\nTotal: 50.00 EUR\n" in mail["text"]
    assert "Nothing was charged" in mail["text"]
    assert f"Order {order['order_id']}\n" in mail["text"]
    assert order["order_id"] in str(logged(api, mail, "payment_failed"))
    assert buyer.get(f"orders/{order['order_id']}").json() == {**order, "checkout_url": url}, (
        "its places are still held"
    )

    assert api.pay(url, DECLINED_BY_THE_BUYERS_BANK).status_code == 402
    assert api.pay(url).status_code == 303
    becomes(buyer, order, "paid")
    api.mail(order)
    assert len(api.mails(order["order_id"], "payment-failed")) == 1


def test_a_payment_the_buyer_does_not_confirm_with_the_bank_is_told_and_can_be_made_again(
    api: Api, house: Organiser
) -> None:
    buyer = api.person()
    order, url = ready_to_pay(house, buyer)

    answer_bank(api, url, "fail")
    mail = api.mail(order, "payment-failed")

    assert url in mail["text"]
    line = str(logged(api, mail, "payment_failed"))
    assert order["order_id"] in line
    assert "payment_intent_authentication_failure" in line
    assert kinds(api, order) == {"payment-failed"}
    answer_bank(api, url, "complete")
    becomes(buyer, order, "paid")
    api.mail(order)
    assert kinds(api, order) == {"payment-failed", "confirmation"}


def test_a_failure_reported_after_the_payment_is_not_told(api: Api, house: Organiser) -> None:
    stripe = f"{api.stack.stripe_url}/_emulator"
    buyer = api.person()
    order, url = ready_to_pay(house, buyer)
    held_up = {"types": ["payment_intent.payment_failed"], "delay_seconds": 3_600}
    httpx.post(f"{stripe}/webhooks", json=held_up).raise_for_status()
    try:
        api.pay(url, DECLINED)
    finally:
        httpx.post(f"{stripe}/webhooks", json={}).raise_for_status()

    api.pay(url)
    becomes(buyer, order, "paid")
    api.mail(order)
    httpx.post(f"{stripe}/webhooks/release", json={}).raise_for_status()

    def reported() -> bool | None:
        lines = [entry for entry in api.logged(order["order_id"]) if "payment_failed" in str(entry)]
        return True if lines else None

    soon(reported, "the late report")
    later, later_url = ready_to_pay(house, buyer)
    api.pay(later_url, DECLINED)
    api.mail(later, "payment-failed")  # by the same queues, and reported after the late one
    assert kinds(api, order) == {"confirmation"}


@pytest.mark.parametrize(("who", "words"), [("buyer", "You cancelled"), ("organiser", "Riverside cancelled")])
def test_a_cancelled_order_is_told_with_who_did_it(api: Api, house: Organiser, who: str, words: str) -> None:
    buyer = api.person()
    order, _ = ready_to_pay(house, buyer)
    path = f"orders/{order['order_id']}/cancel"

    answer = (buyer if who == "buyer" else house.operator).post(path)
    mail = api.mail(order, "cancelled")

    assert answer.status_code == 200
    assert facts(mail) == ("Your order for Kraków <live> was cancelled", [buyer.email])
    assert f"{words} this order before it was paid." in mail["text"]
    assert reference(mail) == answer.headers["x-correlation-id"], "the id its caller saw"
    assert order["order_id"] in str(logged(api, mail, "order_closed"))
    assert kinds(api, order) == {"cancelled"}


def test_a_refund_is_told_with_what_goes_back_where(api: Api, house: Organiser) -> None:
    buyer, order = bought(api, house.event(), 2)
    api.mail(order)

    answer = house.operator.post(f"orders/{order['order_id']}/refund")
    mail = api.mail(order, "refunded")

    assert facts(mail) == ("Your refund for Concert", [buyer.email])
    assert "The tickets of this order are no longer valid" in mail["text"]
    assert "All of it, 50.00 EUR, goes back to the card" in mail["text"]
    assert mail["attachments"] == [], "void tickets are not sent"
    assert reference(mail) == answer.headers["x-correlation-id"]
    assert order["order_id"] in str(logged(api, mail, "order_refunded"))


@pytest.mark.parametrize(
    ("method", "minor", "words"),
    [("desk", 2500, "You paid 25.00 EUR at the desk, and Riverside gives it\nback"), ("card", 0, "had cost nothing")],
)
def test_a_refund_without_a_card_says_so(api: Api, house: Organiser, method: str, minor: int, words: str) -> None:
    event = house.event(ticket_types=[type_body(price={"amount_minor": minor, "currency": "EUR"})])
    dora = {"name": "Dora", "email": "dora@tessera.example"}
    wanted: Json = {"method": "desk", "buyer": dora} if method == "desk" else {}
    order = house.operator.post("orders", order_body(event, **wanted), key=new_key()).json()
    api.mail(order)

    house.owner.post(f"orders/{order['order_id']}/refund")

    assert words in api.mail(order, "refunded")["text"]


def test_who_has_no_address_is_told_nothing_and_nothing_fails(api: Api, house: Organiser) -> None:
    event = house.event()
    silent, told = house.operator.paid(event), house.operator.order(
        event, method="desk", buyer={"email": "dora@tessera.example"}
    ).json()  # fmt: skip

    for order in (silent, told):
        house.owner.post(f"orders/{order['order_id']}/refund")

    api.mail(told, "refunded")
    assert kinds(api, silent) == set()


def test_an_order_nobody_paid_is_told_that_it_expired(hasty: Api) -> None:
    buyer = hasty.person()
    order, url = ready_to_pay(hasty.organiser(), buyer)

    mail = hasty.mail(order, "expired")

    assert facts(mail) == ("Your order for Kraków <live> has expired", [buyer.email])
    assert "so its places have gone back on sale. Nothing was charged." in mail["text"]
    assert url not in mail["text"], "its page is closed"
    assert order["order_id"] in str(logged(hasty, mail, "order_closed"))
    assert kinds(hasty, order) == {"expired"}


def test_an_order_that_never_got_its_places_is_not_mailed(hasty: Api) -> None:
    house = hasty.organiser()
    event, buyer = house.event(capacity=1), hasty.person()
    short = buyer.order(event, 2)
    placed = buyer.order(event, 1).json()

    assert short.status_code == 409
    hasty.mail(placed, "expired")
    found = httpx.get(f"{hasty.stack.mailbox_url}/api/messages", params={"to": buyer.email}).json()["messages"]
    assert [mail["subject"] for mail in found] == ["Your order for Concert has expired"]
