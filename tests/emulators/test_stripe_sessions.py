"""Checkout Sessions and the hosted page, driven by the real SDK and by a browser's requests."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from local.emulators.database import Database
from local.emulators.stripe.ledger import SCHEMA, Ledger
from tests.emulators.conftest import API_KEY, Sdk
from tests.emulators.processes import Emulator
from tests.emulators.purchases import open_session, paid, pay, submit


async def test_a_new_session_is_open_and_unpaid(client: stripe.StripeClient, stripe_emulator: Emulator) -> None:
    session = await open_session(client)

    again = await client.v1.checkout.sessions.retrieve_async(session.id, params={"expand": ["line_items"]})
    shown = (again.status, again.payment_status, again.amount_total, again.currency, again.payment_intent)
    assert shown == ("open", "unpaid", 5650, "eur", None)
    assert again.metadata is not None
    assert (again.client_reference_id, again.metadata.to_dict()) == ("ord_1", {"order_id": "ord_1"})
    assert again.url == f"{stripe_emulator.url}/c/pay/{session.id}"
    assert again.line_items is not None
    assert [(line.description, line.quantity, line.amount_total) for line in again.line_items.data] == [
        ("Stalls", 2, 5000),
        ("Programme", 1, 650),
    ]
    answer: Any = again.last_response
    assert answer.request_id.startswith("req_")


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"expires_at": int(time.time()) + 1700}, "expires_at", None),
        ({"expires_at": int(time.time()) + 86_400 + 7_200}, "expires_at", None),
        ({"discounts": [{"coupon": "x"}]}, "discounts", "parameter_unknown"),
        ({"payment_intent_data": {"surprise": "1"}}, "payment_intent_data[surprise]", "parameter_unknown"),
        ({"mode": "subscription"}, "mode", None),
        ({"line_items": []}, "line_items", "parameter_missing"),
        ({"success_url": "not a url"}, "success_url", "url_invalid"),
        ({"payment_method_types": ["sepa_debit"]}, "payment_method_types[0]", None),
        ({"metadata": {"k" * 41: "v"}}, f"metadata[{'k' * 41}]", None),
        ({"customer_email": "nobody"}, "customer_email", "email_invalid"),
        (
            {"line_items": [{"price_data": {"currency": "eur", "unit_amount": "ten", "product_data": {"name": "x"}}}]},
            "line_items[0][price_data][unit_amount]",
            "parameter_invalid_integer",
        ),
        (
            {"line_items": [{"price_data": {"currency": "eur", "unit_amount": 10, "product_data": {"name": "x"}}}]},
            None,
            "amount_too_small",
        ),
    ],
)
async def test_a_wrong_session_is_refused_in_stripes_words(
    client: stripe.StripeClient, changes: dict[str, Any], param: str | None, code: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await open_session(client, **changes)

    assert (refused.value.http_status, refused.value.param, refused.value.code) == (400, param, code)
    assert refused.value.request_id is not None


async def test_a_wrong_key_is_not_let_in(stripe_emulator: Emulator, web: httpx.AsyncClient, sdk: Sdk) -> None:
    with pytest.raises(stripe.AuthenticationError):
        await open_session(sdk(stripe_emulator, api_key="sk_test_wrong"))
    assert (await web.get(f"{stripe_emulator.url}/v1/events")).status_code == 401


async def test_what_does_not_exist_is_not_found(client: stripe.StripeClient, web: httpx.AsyncClient) -> None:
    for ask in (client.v1.checkout.sessions, client.v1.payment_intents, client.v1.refunds, client.v1.events):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await ask.retrieve_async("nothing_1")
        assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


async def test_paying_on_the_page_completes_the_session_and_leads_back_to_the_shop(
    client: stripe.StripeClient, web: httpx.AsyncClient
) -> None:
    session = await open_session(client)
    page = await web.get(session.url)
    assert page.status_code == 200
    for words in ("EUR 56.50", "Stalls", "Programme", 'name="card_number"', "http://127.0.0.1:7071/cancelled"):
        assert words in page.text

    answer = await submit(web, session.url)

    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"http://127.0.0.1:7071/paid?session={session.id}",
    )
    done = await client.v1.checkout.sessions.retrieve_async(session.id, params={"expand": ["payment_intent"]})
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    intent: Any = done.payment_intent
    shown = (intent.status, intent.amount_received, intent.currency, intent.metadata.to_dict())
    assert shown == ("succeeded", 5650, "eur", {"order_id": "ord_1"})
    assert (await client.v1.charges.retrieve_async(intent.latest_charge)).status == "succeeded"
    closed = await web.get(session.url or "")
    assert (closed.status_code, "Already paid" in closed.text) == (410, True)


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        ("4000000000000002", "generic_decline", "Your card was declined."),
        ("4000 0000 0000 9995", "insufficient_funds", "insufficient funds"),
    ],
)
async def test_a_declined_card_keeps_the_session_open_for_another(
    client: stripe.StripeClient, web: httpx.AsyncClient, number: str, code: str, words: str
) -> None:
    session = await open_session(client)

    page = await submit(web, session.url, card_number=number)

    assert (page.status_code, words in page.text) == (402, True)
    still = await client.v1.checkout.sessions.retrieve_async(session.id, params={"expand": ["payment_intent"]})
    assert (still.status, still.payment_status) == ("open", "unpaid")
    intent: Any = still.payment_intent
    assert (intent.status, intent.last_payment_error.decline_code) == ("requires_payment_method", code)
    failures = await client.v1.events.list_async(params={"type": "payment_intent.payment_failed", "limit": 1})
    assert failures.data[0].data.object["id"] == intent.id

    assert (await submit(web, session.url)).status_code == 303
    done = await client.v1.checkout.sessions.retrieve_async(session.id)
    assert (done.status, done.payment_intent) == ("complete", intent.id)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("card_number", "4242 4242 4242 4241", "Your card number is invalid."),
        ("card_expiry", "13 / 40", "expiration date is incomplete"),
        ("card_expiry", "01 / 20", "is in the past"),
        ("card_cvc", "12", "security code is incomplete"),
        ("card_name", " ", "Enter the name on the card."),
    ],
)
async def test_a_mistyped_card_is_told_beside_its_field_and_nothing_happens(
    client: stripe.StripeClient, web: httpx.AsyncClient, field: str, value: str, words: str
) -> None:
    session = await open_session(client)

    page = await submit(web, session.url, **{field: value})

    assert (page.status_code, words.replace("'", "&#39;") in page.text) == (422, True)
    assert f'aria-describedby="{field}_error"' in page.text
    still = await client.v1.checkout.sessions.retrieve_async(session.id)
    assert (still.status, still.payment_intent) == ("open", None)


async def test_an_expired_session_cannot_be_paid_and_says_so(
    client: stripe.StripeClient, stripe_emulator: Emulator, web: httpx.AsyncClient
) -> None:
    session = await open_session(client)

    expired = await client.v1.checkout.sessions.expire_async(session.id)

    assert (expired.status, expired.url) == ("expired", None)
    page = await submit(web, session.url)
    assert (page.status_code, "This payment page has expired" in page.text) == (410, True)
    assert (await pay(web, stripe_emulator, session.id)).status_code == 409
    unknown = await web.get(f"{stripe_emulator.url}/c/pay/cs_test_nothing")
    assert (unknown.status_code, "No such payment page" in unknown.text) == (404, True)


async def test_only_open_sessions_can_be_expired(
    client: stripe.StripeClient, stripe_emulator: Emulator, web: httpx.AsyncClient
) -> None:
    complete = await paid(client, web, stripe_emulator)

    with pytest.raises(stripe.InvalidRequestError, match="status of complete"):
        await client.v1.checkout.sessions.expire_async(complete.id)


async def test_a_session_expires_by_itself_when_its_time_is_up(
    tmp_path: Path, web: httpx.AsyncClient, sdk: Sdk
) -> None:
    with Emulator("stripe", tmp_path, "--api-key", API_KEY) as emulator:
        client = sdk(emulator)
        session = await open_session(client)
        later = await open_session(client, expires_at=int(time.time()) + 7200)

        await web.post(f"{emulator.url}/_emulator/clock", json={"advance_seconds": 1900})

        state = (await web.get(f"{emulator.url}/_emulator/state")).json()
        assert {s["id"]: s["status"] for s in state["sessions"]} == {session.id: "expired", later.id: "open"}
        events = await client.v1.events.list_async(params={"type": "checkout.session.expired"})
        assert [event.data.object["id"] for event in events.data] == [session.id]


async def test_of_paying_and_expiring_at_once_exactly_one_wins(
    client: stripe.StripeClient, stripe_emulator: Emulator, web: httpx.AsyncClient
) -> None:
    sessions = [await open_session(client) for _ in range(20)]

    async def expire(session_id: str) -> bool:
        try:
            await client.v1.checkout.sessions.expire_async(session_id)
        except stripe.InvalidRequestError:
            return False
        return True

    async def buy(session_id: str) -> bool:
        return (await pay(web, stripe_emulator, session_id)).status_code == 200

    async def race(place: int, session_id: str) -> tuple[bool, bool]:
        contestants = [buy(session_id), expire(session_id)]
        if place % 2:
            results = await asyncio.gather(*reversed(contestants))
            return results[1], results[0]
        results = await asyncio.gather(*contestants)
        return results[0], results[1]

    outcomes = await asyncio.gather(*(race(place, session.id) for place, session in enumerate(sessions)))

    assert all(bought != gone for bought, gone in outcomes), outcomes
    for session, (bought, _) in zip(sessions, outcomes, strict=True):
        found = await client.v1.checkout.sessions.retrieve_async(session.id)
        assert found.status == ("complete" if bought else "expired")


def test_one_who_read_open_before_the_other_decided_is_told_no(tmp_path: Path) -> None:
    database = Database(tmp_path / "ledger.sqlite", SCHEMA)
    ledger = Ledger(database)
    ledger.add({"id": "cs_1", "object": "checkout.session", "status": "open"})
    read_by_payer = ledger.find("checkout.session", "cs_1")
    read_by_expirer = ledger.find("checkout.session", "cs_1")
    assert read_by_payer is not None
    assert read_by_expirer is not None

    assert ledger.finish(read_by_expirer | {"status": "expired"}, before="open")
    assert not ledger.finish(read_by_payer | {"status": "complete"}, before="open")
    assert ledger.find("checkout.session", "cs_1") == read_by_expirer | {"status": "expired"}

    # Negative control: without the condition the late one would have won.
    ledger.save(read_by_payer | {"status": "complete"})
    assert ledger.find("checkout.session", "cs_1") == read_by_payer | {"status": "complete"}
    database.close()


async def test_lists_are_paged_and_filtered(
    client: stripe.StripeClient, stripe_emulator: Emulator, web: httpx.AsyncClient
) -> None:
    session = await paid(client, web, stripe_emulator)
    for _ in range(3):
        await open_session(client)

    found = await client.v1.checkout.sessions.list_async(params={"payment_intent": session.payment_intent})
    assert [one.id for one in found.data] == [session.id]
    first = await client.v1.checkout.sessions.list_async(params={"limit": 2})
    rest = await client.v1.checkout.sessions.list_async(params={"limit": 2, "starting_after": first.data[-1].id})
    assert first.has_more
    assert len({one.id for one in first.data + rest.data}) == 4


async def test_people_see_what_happened(
    client: stripe.StripeClient, stripe_emulator: Emulator, web: httpx.AsyncClient
) -> None:
    session = await paid(client, web, stripe_emulator)

    page = await web.get(stripe_emulator.url)

    assert session.id[:24] in page.text
    assert session.payment_intent in page.text
