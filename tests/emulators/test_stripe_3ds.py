"""3-D Secure on the hosted page: the bank asks, once; what it hears decides, and the API tells the truth throughout."""

import asyncio
import re
from typing import Any

import httpx
import pytest
import stripe

from tests.emulators.processes import Emulator
from tests.emulators.purchases import open_session, pay, submit

ALWAYS = "4000 0027 6000 3184"
ALWAYS_THEN_INSUFFICIENT = "4000 0082 6000 3178"
PAID = "http://127.0.0.1:7071/paid?session="


async def asked(client: stripe.StripeClient, web: httpx.AsyncClient, number: str = ALWAYS) -> tuple[Any, str, str]:
    """A session whose bank asks: the session, the bank's page and its question."""
    session = await open_session(client)
    sent = await submit(web, session.url, card_number=number)
    assert (sent.status_code, sent.headers["location"]) == (303, f"/c/pay/{session.id}/authenticate")
    page = f"{session.url}/authenticate"
    return session, page, await question(web, page)


async def question(web: httpx.AsyncClient, page: str) -> str:
    """What the bank's page asks about."""
    shown = await web.get(page)
    assert shown.status_code == 200
    found = re.search(r'name="challenge" value="(\w+)"', shown.text)
    assert found is not None
    return found[1]


async def answer(web: httpx.AsyncClient, page: str, challenge: str, said: str) -> httpx.Response:
    """Press one of the two buttons."""
    return await web.post(page, data={"challenge": challenge, "answer": said})


async def now(client: stripe.StripeClient, session: Any) -> tuple[Any, Any]:
    """Session and payment intent."""
    found = await client.v1.checkout.sessions.retrieve_async(session.id, params={"expand": ["payment_intent"]})
    return found, found.payment_intent


async def events(client: stripe.StripeClient, intent: Any) -> list[str]:
    """The types of the events about a payment intent, oldest first."""
    listed = await client.v1.events.list_async(params={"limit": 100})
    about = [event for event in listed.data if event.data.object["id"] == intent.id]
    return [event.type.removeprefix("payment_intent.") for event in reversed(about)]


async def test_a_payment_waits_for_the_bank_and_succeeds_when_it_hears_yes(
    client: stripe.StripeClient, web: httpx.AsyncClient
) -> None:
    session, page, challenge = await asked(client, web)

    waiting, intent = await now(client, session)
    assert (waiting.status, waiting.payment_status) == ("open", "unpaid")
    assert (intent.status, intent.latest_charge) == ("requires_action", None)
    assert intent.next_action.redirect_to_url.url == page
    shown = await web.get(page)
    assert all(words in shown.text for words in ("EUR 56.50", "3184", "Uma User"))
    assert "<script" not in shown.text

    done = await answer(web, page, challenge, "complete")

    assert (done.status_code, done.headers["location"]) == (303, f"{PAID}{session.id}")
    complete, intent = await now(client, session)
    assert (complete.status, complete.payment_status) == ("complete", "paid")
    assert (intent.status, intent.amount_received, intent.next_action) == ("succeeded", 5650, None)
    assert await events(client, intent) == ["created", "requires_action", "succeeded"]


async def test_a_payment_fails_when_the_bank_hears_no_and_can_be_tried_again(
    client: stripe.StripeClient, web: httpx.AsyncClient
) -> None:
    session, page, challenge = await asked(client, web)

    failed = await answer(web, page, challenge, "fail")

    assert (failed.status_code, failed.headers["location"]) == (303, f"/c/pay/{session.id}")
    form = await web.get(session.url)
    assert "We are unable to authenticate your payment method." in form.text
    still, intent = await now(client, session)
    assert (still.status, still.payment_status) == ("open", "unpaid")
    assert (intent.status, intent.last_payment_error.code, intent.latest_charge, intent.next_action) == (
        "requires_payment_method", "payment_intent_authentication_failure", None, None,
    )  # fmt: skip
    failures = await client.v1.events.list_async(params={"type": "payment_intent.payment_failed", "limit": 1})
    told: Any = failures.data[0].data.object
    assert (told["id"], told["metadata"]["order_id"]) == (intent.id, "ord_1")

    again = await submit(web, session.url, card_number=ALWAYS)
    assert again.headers["location"].endswith("/authenticate")
    done = await answer(web, page, await question(web, page), "complete")
    assert done.headers["location"] == f"{PAID}{session.id}"
    _, intent = await now(client, session)
    assert (intent.status, intent.last_payment_error) == ("succeeded", None)


async def test_a_card_can_still_be_declined_after_the_bank_heard_yes(
    client: stripe.StripeClient, web: httpx.AsyncClient
) -> None:
    session, page, challenge = await asked(client, web, ALWAYS_THEN_INSUFFICIENT)

    declined = await answer(web, page, challenge, "complete")

    assert declined.headers["location"] == f"/c/pay/{session.id}"
    assert "insufficient funds" in (await web.get(session.url)).text
    still, intent = await now(client, session)
    assert (still.status, intent.status) == ("open", "requires_payment_method")
    assert intent.last_payment_error.decline_code == "insufficient_funds"


@pytest.mark.parametrize("said", ["complete", "fail"])
async def test_an_answer_given_twice_happens_once(
    client: stripe.StripeClient, web: httpx.AsyncClient, said: str
) -> None:
    session, page, challenge = await asked(client, web)

    both = await asyncio.gather(*(answer(web, page, challenge, said) for _ in range(2)))
    late = await answer(web, page, challenge, said)

    assert len({one.headers["location"] for one in (*both, late)}) == 1
    _, intent = await now(client, session)
    outcome = "succeeded" if said == "complete" else "payment_failed"
    assert await events(client, intent) == ["created", "requires_action", outcome]


async def test_reloading_asks_the_same_and_a_yes_after_a_no_changes_nothing(
    client: stripe.StripeClient, web: httpx.AsyncClient
) -> None:
    session, page, challenge = await asked(client, web)
    assert await question(web, page) == challenge

    await answer(web, page, challenge, "fail")
    late = await answer(web, page, challenge, "complete")

    assert late.headers["location"] == f"/c/pay/{session.id}"
    assert (await web.get(page)).headers["location"] == f"/c/pay/{session.id}"
    still, intent = await now(client, session)
    assert (still.status, intent.status) == ("open", "requires_payment_method")


async def test_another_card_makes_the_open_question_void(client: stripe.StripeClient, web: httpx.AsyncClient) -> None:
    session, page, first = await asked(client, web)
    await submit(web, session.url, card_number=ALWAYS)
    second = await question(web, page)
    assert second != first

    await answer(web, page, first, "complete")
    assert (await now(client, session))[0].status == "open"
    await submit(web, session.url, card_number="4000000000000002")
    await answer(web, page, second, "complete")
    assert (await now(client, session))[0].status == "open"

    assert (await submit(web, session.url)).headers["location"] == f"{PAID}{session.id}"
    assert (await answer(web, page, second, "fail")).headers["location"] == f"{PAID}{session.id}"
    assert (await now(client, session))[1].status == "succeeded"


@pytest.mark.parametrize("said", ["complete", "fail"])
async def test_a_session_that_expired_while_the_bank_asked_takes_no_payment(
    client: stripe.StripeClient, web: httpx.AsyncClient, said: str
) -> None:
    session, page, challenge = await asked(client, web)
    await client.v1.checkout.sessions.expire_async(session.id)

    for closed in (await answer(web, page, challenge, said), await web.get(page)):
        assert (closed.status_code, "This payment page has expired" in closed.text) == (410, True)

    expired, intent = await now(client, session)
    assert (expired.status, intent.status, intent.next_action) == ("expired", "canceled", None)
    assert await events(client, intent) == ["created", "requires_action", "canceled"]


async def test_the_controls_say_that_the_bank_asks_first_and_strangers_find_no_page(
    client: stripe.StripeClient, stripe_emulator: Emulator, web: httpx.AsyncClient
) -> None:
    session = await open_session(client)

    waits = await pay(web, stripe_emulator, session.id, ALWAYS)

    assert (waits.status_code, waits.json()["paid"]) == (202, False)
    page = f"{session.url}/authenticate"
    assert (await answer(web, page, await question(web, page), "perhaps")).status_code == 400
    assert (await now(client, session))[1].status == "requires_action"
    nowhere = f"{stripe_emulator.url}/c/pay/cs_test_nothing/authenticate"
    assert {(await web.get(nowhere)).status_code, (await answer(web, nowhere, "x", "fail")).status_code} == {404}
