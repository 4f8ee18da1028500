"""Payments by Stripe Checkout, through Stripe's own SDK; the only file that knows Stripe.

The SDK costs a third of a second to import, so it is imported with the first call. Of its transports we use aiohttp's:
with httpx a request cost 2.1 ms of CPU here, with aiohttp 0.5.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.kernel.money import Money
from shared.payments.port import (
    PaymentsRefused,
    PaymentsUnavailable,
    Session,
    SessionRequest,
    SessionStatus,
    SignatureRefused,
)

if TYPE_CHECKING:
    import stripe

TIMEOUT_SECONDS: Final = 20.0
NETWORK_RETRIES_MAX: Final = 2
WEBHOOK_TOLERANCE_SECONDS: Final = 300  # Stripe's own default: https://docs.stripe.com/webhooks#replay-attacks
WEBHOOK_EVENTS: Final = frozenset({"checkout.session.completed"})
_GONE_BACK: Final = "charge_already_refunded"


class StripePayments:
    """Stripe.

    :param api_key: secret key
    :param api_base: `https://api.stripe.com`, or the local double
    :param webhook_secret: what webhooks are signed with
    """

    def __init__(self, *, api_key: str, api_base: str, webhook_secret: str) -> None:
        self._api_key = api_key
        self._api_base = api_base
        self._webhook_secret = webhook_secret

    @cached_property
    def _client(self) -> stripe.StripeClient:
        import aiohttp
        import stripe

        return stripe.StripeClient(
            self._api_key,
            base_addresses={"api": self._api_base},
            http_client=stripe.AIOHTTPClient(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)),
            max_network_retries=NETWORK_RETRIES_MAX,
        )

    async def open_session(self, request: SessionRequest) -> Session:
        """See `Payments.open_session`."""
        params: Any = {
            "mode": "payment",
            "payment_method_types": ["card"],
            "line_items": [
                {
                    "quantity": line.quantity,
                    "price_data": {
                        "currency": line.unit.currency.lower(),
                        "unit_amount": line.unit.amount_minor,
                        "product_data": {"name": line.name},
                    },
                }
                for line in request.lines
            ],
            "client_reference_id": request.order_id,
            "metadata": dict(request.metadata),
            "payment_intent_data": {"metadata": dict(request.metadata)},
            "expires_at": int(request.expires_at.timestamp()),
            "success_url": request.success_url,
            "cancel_url": request.cancel_url,
        }
        if request.email:
            params["customer_email"] = request.email
        sessions = self._client.v1.checkout.sessions
        made = await _asked(lambda: sessions.create_async(params=params, options={"idempotency_key": request.key}))
        return _session(made.to_dict())

    async def session(self, session_id: str) -> Session:
        """See `Payments.session`."""
        sessions = self._client.v1.checkout.sessions
        return _session((await _asked(lambda: sessions.retrieve_async(session_id))).to_dict())

    async def expire_session(self, session_id: str) -> Session:
        """See `Payments.expire_session`."""
        sessions = self._client.v1.checkout.sessions
        try:
            return _session((await _asked(lambda: sessions.expire_async(session_id))).to_dict())
        except PaymentsRefused:  # only an open session can be expired: it is complete or expired already
            return await self.session(session_id)

    async def refund(self, payment_id: str, *, amount: Money, key: str) -> str:
        """See `Payments.refund`."""
        refunds = self._client.v1.refunds
        params: Any = {"payment_intent": payment_id, "amount": amount.amount_minor}
        try:
            refund = await _asked(lambda: refunds.create_async(params=params, options={"idempotency_key": key}))
        except PaymentsRefused as refusal:
            if refusal.code != _GONE_BACK:
                raise
            return await self._refund_of(payment_id)  # Stripe forgets keys after some days, not refunds
        return str(refund.id)

    async def _refund_of(self, payment_id: str) -> str:
        refunds = self._client.v1.refunds
        found = await _asked(lambda: refunds.list_async(params={"payment_intent": payment_id, "limit": 1}))
        return str(found.data[0].id)

    def read_webhook(self, body: bytes, signature: str) -> Session | None:
        """See `Payments.read_webhook`."""
        import stripe

        try:  # only the signature is the SDK's work: building its objects costs 0.8 ms, reading the JSON 0.01
            stripe.WebhookSignature.verify_header(
                body.decode(), signature, self._webhook_secret, tolerance=WEBHOOK_TOLERANCE_SECONDS
            )
            event = orjson.loads(body)
        except (stripe.SignatureVerificationError, ValueError) as error:
            raise SignatureRefused(str(error)) from error
        session = event["data"]["object"]
        ours = event["type"] in WEBHOOK_EVENTS and "order_id" in (session["metadata"] or {})
        return _session(session) if ours else None


async def _asked[T](ask: Callable[[], Awaitable[T]]) -> T:
    """What Stripe answers, with its errors in our words: what may pass, and what never will."""
    import aiohttp
    import stripe

    try:
        return await ask()
    except (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError) as error:
        raise PaymentsUnavailable("The payment service does not answer; try again shortly.") from error
    except (aiohttp.ClientError, TimeoutError) as error:  # the SDK translates trouble before the body, not within it
        raise PaymentsUnavailable("The payment service broke off; try again shortly.") from error
    except stripe.IdempotencyError as error:
        raise PaymentsRefused(str(error), "idempotency_error", nothing_done=False) from error
    except stripe.StripeError as error:
        if error.http_status == 409:  # the same key is being worked on this moment
            raise PaymentsUnavailable("The payment service is busy with this order; try again shortly.") from error
        code = str(error.code or type(error).__name__)
        raise PaymentsRefused(str(error), code, nothing_done=isinstance(error, stripe.InvalidRequestError)) from error


def _session(found: Mapping[str, Any]) -> Session:
    """A session from Stripe's JSON (https://docs.stripe.com/api/checkout/sessions/object)."""
    metadata, currency = found["metadata"] or {}, str(found["currency"]).upper()
    return Session(
        session_id=found["id"],
        url=found["url"] or "",
        status=SessionStatus(found["status"]),
        payment_id=found["payment_intent"] or "",
        paid=found["payment_status"] == "paid",
        amount=Money.model_validate({"amount_minor": found["amount_total"], "currency": currency}),
        order_id=metadata.get("order_id", ""),
        organiser_id=metadata.get("organiser_id", ""),
    )
