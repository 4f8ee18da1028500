"""Payments by Stripe Checkout, through Stripe's own SDK; the only file that knows Stripe.

The SDK costs a third of a second to import, so it is imported with the first call. Of its transports we use aiohttp's:
with httpx a request cost 2.1 ms of CPU here, with aiohttp 0.5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.kernel.money import Money
from shared.payments.port import (
    FailedPayment,
    FailedRefund,
    PaymentsBusy,
    PaymentsRefused,
    PaymentsUnavailable,
    Session,
    SessionRequest,
    SessionStatus,
    SignatureRefused,
    Told,
    WebhookUnreadable,
)

if TYPE_CHECKING:
    import stripe

NETWORK_RETRIES_MAX: Final = 1  # by the SDK, half a second apart, with the same idempotency key
WEBHOOK_TOLERANCE_SECONDS: Final = 300  # Stripe's own default: https://docs.stripe.com/webhooks#replay-attacks
SESSION_PAID: Final = "checkout.session.completed"
PAYMENT_FAILED: Final = "payment_intent.payment_failed"
REFUND_FAILED: Final = "refund.failed"
WEBHOOK_EVENTS: Final = (SESSION_PAID, PAYMENT_FAILED, REFUND_FAILED)  # what the endpoint is subscribed to, at Stripe's
PAUSE_SECONDS_MAX: Final = 60.0  # whatever Retry-After says
_NOT_NOW: Final = frozenset({409, 429})  # the same key is being worked on this moment; too many requests
_GONE_BACK: Final = "charge_already_refunded"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long Stripe is waited for.

    :param connect_seconds: for a connection
    :param answer_seconds: for a whole answer, connecting included; then the SDK tries again
    :param call_seconds: for all tries together
    """

    connect_seconds: float = 3.0
    answer_seconds: float = 8.0
    call_seconds: float = 18.0


class StripePayments:
    """Stripe.

    :param api_key: secret key
    :param api_base: `https://api.stripe.com`, or the local double
    :param webhook_secret: what webhooks are signed with
    """

    def __init__(self, *, api_key: str, api_base: str, webhook_secret: str, patience: Patience = Patience()) -> None:
        self._patience = patience
        self._api_key = api_key
        self._api_base = api_base
        self._webhook_secret = webhook_secret

    async def close(self) -> None:
        """Give its connections up."""
        await self._transport.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves it bare

    @cached_property
    def _transport(self) -> stripe.AIOHTTPClient:
        import aiohttp
        import stripe

        patience = self._patience
        timeout = aiohttp.ClientTimeout(total=patience.answer_seconds, sock_connect=patience.connect_seconds)
        return stripe.AIOHTTPClient(timeout=timeout)

    @cached_property
    def _client(self) -> stripe.StripeClient:
        import stripe

        return stripe.StripeClient(
            self._api_key,
            base_addresses={"api": self._api_base},
            http_client=self._transport,
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
        return await self._asked(
            lambda: sessions.create_async(params=params, options={"idempotency_key": request.key}), _session
        )

    async def session(self, session_id: str) -> Session:
        """See `Payments.session`."""
        sessions = self._client.v1.checkout.sessions
        return await self._asked(lambda: sessions.retrieve_async(session_id), _session)

    async def expire_session(self, session_id: str) -> Session:
        """See `Payments.expire_session`."""
        sessions = self._client.v1.checkout.sessions
        try:
            return await self._asked(lambda: sessions.expire_async(session_id), _session)
        except PaymentsRefused:  # only an open session can be expired: it is complete or expired already
            return await self.session(session_id)

    async def refund(self, payment_id: str, *, amount: Money, key: str) -> str:
        """See `Payments.refund`."""
        refunds = self._client.v1.refunds
        params: Any = {"payment_intent": payment_id, "amount": amount.amount_minor}
        try:
            return await self._asked(
                lambda: refunds.create_async(params=params, options={"idempotency_key": key}), _refund_id
            )
        except PaymentsRefused as refusal:
            if refusal.code != _GONE_BACK:
                raise
            return await self._refund_of(payment_id)  # Stripe forgets keys after some days, not refunds

    async def _refund_of(self, payment_id: str) -> str:
        refunds = self._client.v1.refunds
        return await self._asked(
            lambda: refunds.list_async(params={"payment_intent": payment_id, "limit": 1}),
            lambda found: _refund_id(found["data"][0]),
        )

    async def _asked[T](
        self, ask: Callable[[], Awaitable[stripe.StripeObject]], read: Callable[[Mapping[str, Any]], T]
    ) -> T:
        """What Stripe answers, with its errors in our words: what may pass, and what never will."""
        import aiohttp
        import stripe

        try:
            async with asyncio.timeout(self._patience.call_seconds):
                answer = await ask()
        except (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError) as error:
            if error.http_status in _NOT_NOW or isinstance(error, stripe.RateLimitError):
                raise _busy(error.headers) from error
            raise PaymentsUnavailable("The payment service does not answer; try again shortly.") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            # The SDK translates trouble before the body, not within it; and our own patience has an end.
            raise PaymentsUnavailable("The payment service broke off; try again shortly.") from error
        except stripe.IdempotencyError as error:
            raise PaymentsRefused(str(error), "idempotency_error", nothing_done=False) from error
        except stripe.StripeError as error:
            code = str(error.code or type(error).__name__)
            raise PaymentsRefused(
                str(error), code, nothing_done=isinstance(error, stripe.InvalidRequestError)
            ) from error
        try:
            return read(answer.to_dict())
        except (LookupError, AttributeError, TypeError, ValueError) as error:  # JSON, but of something else's making
            raise PaymentsUnavailable("The payment service answers garbage; try again shortly.") from error

    def read_webhook(self, body: bytes, signature: str) -> Told | None:
        """See `Payments.read_webhook`."""
        import stripe

        if not signature.isascii():  # which the SDK's comparison in constant time cannot take
            raise SignatureRefused("The signature has characters that no signature has.")
        try:  # only the signature is the SDK's work: building its objects costs 0.8 ms, reading the JSON 0.01
            stripe.WebhookSignature.verify_header(
                body.decode(), signature, self._webhook_secret, tolerance=WEBHOOK_TOLERANCE_SECONDS
            )
        except (stripe.SignatureVerificationError, ValueError) as error:
            raise SignatureRefused(str(error)) from error
        try:
            return _told(orjson.loads(body))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WebhookUnreadable(f"Signed, but no event we can read: {error!r}") from error


def _told(event: Mapping[str, Any]) -> Told | None:
    """From Stripe's JSON (https://docs.stripe.com/api/events/object)."""
    kind, thing = event["type"], event["data"]["object"]
    if kind == REFUND_FAILED:  # refunds do not carry our metadata
        return FailedRefund(thing["id"], thing["payment_intent"] or "", thing.get("failure_reason") or "")
    if kind not in WEBHOOK_EVENTS or "order_id" not in (thing["metadata"] or {}):
        return None
    return _session(thing) if kind == SESSION_PAID else _failed(thing)


def _busy(headers: Mapping[str, str] | None) -> PaymentsBusy:
    """Come again when the provider says, within bounds; it says so in whole seconds, if at all."""
    busy = PaymentsBusy("The payment service is busy with this or too many others; try again shortly.")
    given = next((value for name, value in (headers or {}).items() if name.lower() == "retry-after"), "")
    if given.isascii() and given.isdecimal():
        busy.retry_after_seconds = min(max(float(given), PaymentsBusy.retry_after_seconds), PAUSE_SECONDS_MAX)
    return busy


def _session(found: Mapping[str, Any]) -> Session:
    """A session from Stripe's JSON (https://docs.stripe.com/api/checkout/sessions/object)."""
    metadata = found["metadata"] or {}
    return Session(
        session_id=found["id"],
        url=found.get("url") or "",
        status=SessionStatus(found["status"]),
        payment_id=found["payment_intent"] or "",
        paid=found["payment_status"] == "paid",
        amount=_money(found["amount_total"], found["currency"]),
        order_id=metadata.get("order_id", ""),
        organiser_id=metadata.get("organiser_id", ""),
        trace_parent=str(metadata.get("trace_parent", "")),
    )


def _refund_id(found: Mapping[str, Any]) -> str:
    """The id of a refund that Stripe took on (https://docs.stripe.com/api/refunds/object#refund_object-status).

    :raises PaymentsRefused: it failed at once; another asking is another refund
    """
    if found["status"] in {"failed", "canceled"}:
        raise PaymentsRefused(
            f"The refund {found['id']} came to nothing.", f"refund_{found['status']}", nothing_done=True
        )
    return str(found["id"])


def _failed(intent: Mapping[str, Any]) -> FailedPayment:
    """From Stripe's JSON (https://docs.stripe.com/api/payment_intents/object); its metadata are the session's."""
    return FailedPayment(
        payment_id=intent["id"],
        code=str((intent["last_payment_error"] or {}).get("code") or ""),
        amount=_money(intent["amount"], intent["currency"]),
        order_id=intent["metadata"]["order_id"],
        organiser_id=intent["metadata"].get("organiser_id", ""),
        trace_parent=str(intent["metadata"].get("trace_parent", "")),
    )


def _money(amount_minor: int, currency: str) -> Money:
    return Money.model_validate({"amount_minor": amount_minor, "currency": currency.upper()})
