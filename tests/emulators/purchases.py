"""Boring purchases for tests of the Stripe emulator."""

import time
from typing import Any

import httpx
import stripe

from tests.emulators.processes import Emulator

GOOD_CARD = "4242 4242 4242 4242"


def session_params(**changes: Any) -> Any:
    """Parameters of a session: two tickets and a programme, EUR 56.50."""
    return {
        "mode": "payment",
        "payment_method_types": ["card"],
        "line_items": [_line("Stalls", 2500, 2), _line("Programme", 650, 1)],
        "client_reference_id": "ord_1",
        "metadata": {"order_id": "ord_1"},
        "payment_intent_data": {"metadata": {"order_id": "ord_1"}},
        "expires_at": int(time.time()) + 1860,
        "success_url": "http://127.0.0.1:7071/paid?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://127.0.0.1:7071/cancelled",
        "customer_email": "uma@tessera.example",
    } | changes


async def open_session(client: stripe.StripeClient, *, key: str | None = None, **changes: Any) -> Any:
    """A fresh session."""
    options: Any = {} if key is None else {"idempotency_key": key}
    return await client.v1.checkout.sessions.create_async(params=session_params(**changes), options=options)


async def pay(web: httpx.AsyncClient, emulator: Emulator, session_id: str, number: str = GOOD_CARD) -> httpx.Response:
    """Pay by the control endpoint."""
    return await web.post(f"{emulator.url}/_emulator/sessions/{session_id}/pay", json={"number": number})


async def submit(web: httpx.AsyncClient, url: str, **fields: str) -> httpx.Response:
    """Send the hosted page's form."""
    form = {"card_number": GOOD_CARD, "card_expiry": "12 / 40", "card_cvc": "123", "card_name": "Uma User"} | fields
    return await web.post(url, data=form)


async def paid(client: stripe.StripeClient, web: httpx.AsyncClient, emulator: Emulator) -> Any:
    """A session already paid."""
    session = await open_session(client)
    assert (await pay(web, emulator, session.id)).status_code == 200
    return await client.v1.checkout.sessions.retrieve_async(session.id)


def _line(name: str, amount: int, quantity: int) -> dict[str, Any]:
    price = {"currency": "EUR", "unit_amount": amount, "product_data": {"name": name}}
    return {"price_data": price, "quantity": quantity}
