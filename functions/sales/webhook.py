"""The provider's webhook: check the signature, queue what it says, answer. If we are down the provider tries again."""

from datetime import datetime
from typing import Final

from shared.bus.port import Bus, BusUnavailable, Message
from shared.events.sales import PaymentReported
from shared.kernel.errors import DependencyUnavailable, DomainError, Kind
from shared.kernel.ids import OrderId, OrganiserId
from shared.payments.port import (
    FailedPayment,
    FailedRefund,
    Payments,
    Session,
    SignatureRefused,
    Told,
    WebhookUnreadable,
)
from shared.telemetry import Log, adopt, correlation, count

PAYMENTS_QUEUE: Final = "payments"
_log = Log("sales")


class WebhookRefused(DomainError):
    """The webhook is not signed by the provider, was signed too long ago, or is no event that can be read."""

    kind = Kind.MALFORMED


class Webhook:
    """Takes webhooks in."""

    def __init__(self, payments: Payments, bus: Bus) -> None:
        self._payments = payments
        self._bus = bus

    async def take(self, body: bytes, signature: str, *, now: datetime) -> None:
        """Queue the payment, or the failed one, that `body` reports; what it says of anything else is left alone.

        A refund that failed after all is logged and counted (`refunds_failed`).

        :raises WebhookRefused: the signature is wrong or stale, or it is no event that can be read
        :raises DependencyUnavailable: the bus does not answer; the provider will send it again
        """
        told = self._read(body, signature)
        if isinstance(told, FailedRefund):
            # Its order says refunded, and the buyer was told so: for a person, who asks the buyer for another way.
            count("refunds_failed")
            _log.error("refund_failed", refund_id=told.refund_id, payment_id=told.payment_id, code=told.code)
            return
        if told is None or not told.order_id or (isinstance(told, Session) and not told.paid):
            _log.info("webhook_without_use", payment=told.payment_id if told else "")
            return
        if isinstance(told, FailedPayment):
            _log.warning("payment_failed", order_id=told.order_id, payment_id=told.payment_id, code=told.code)
        adopt(told.trace_parent)
        report = _report(told, now)
        message = Message(
            id=report.id,
            type=report.type_name(),
            body=report.model_dump_json().encode(),
            correlation_id=correlation.get(),
        )
        try:
            await self._bus.publish(PAYMENTS_QUEUE, [message])
        except BusUnavailable as error:
            raise DependencyUnavailable("We cannot take this in just now; send it again.") from error

    def _read(self, body: bytes, signature: str) -> Told | None:
        try:
            return self._payments.read_webhook(body, signature)
        except SignatureRefused as error:
            count("webhooks_refused")
            raise WebhookRefused(
                "The signature does not fit the body, or is too old.", field="Stripe-Signature"
            ) from error
        except WebhookUnreadable as error:
            count("webhooks_unreadable")
            _log.error("webhook_unreadable", error=error)
            raise WebhookRefused(
                "Signed, but not an event that can be read here; see the log.", field="body"
            ) from error


def _report(told: Session | FailedPayment, now: datetime) -> PaymentReported:
    """A failure has an id of its own, so that duplicate detection never takes the payment after it for a copy."""
    failed = isinstance(told, FailedPayment)
    return PaymentReported(
        id=f"{told.order_id}.{'payment_failed' if failed else 'payment'}.{told.payment_id}",
        occurred_at=now,
        organiser_id=OrganiserId(told.organiser_id),
        order_id=OrderId(told.order_id),
        session_id="" if isinstance(told, FailedPayment) else told.session_id,
        payment_id=told.payment_id,
        paid=not failed,
        amount=told.amount,
    )
