"""What a payment provider must do for us. Card data never touches us: the buyer types it on the provider's page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import Protocol

from shared.kernel.errors import DependencyUnavailable
from shared.kernel.money import Money


class PaymentsUnavailable(DependencyUnavailable):
    """The provider does not answer, or answers garbage; what we asked for may or may not have happened."""


class PaymentsBusy(PaymentsUnavailable):
    """The provider answers that it will not do this just now: the same is being done already, or we ask too often.

    It is there, so this says nothing of others' requests.
    """

    retry_after_seconds = 1.0


class PaymentsRefused(Exception):
    """The provider will not do this.

    :param code: the provider's own error code
    :param nothing_done: it read the request and found it impossible, so nothing of it exists, under this key or any
        other; otherwise (a wrong credential, a reused key) it says nothing about what exists
    """

    def __init__(self, detail: str, code: str, *, nothing_done: bool) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.nothing_done = nothing_done


class SignatureRefused(Exception):
    """A webhook that the provider did not sign, or signed too long ago."""


class WebhookUnreadable(Exception):
    """The provider signed it, but it is not what we know of its events."""


@unique
class SessionStatus(StrEnum):
    """A checkout session waits, was paid, or can no longer be paid."""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Session:
    """A hosted checkout.

    :param url: where the buyer pays; empty once it is no longer open
    :param payment_id: the provider's payment, once there is one
    :param paid: whether the money is ours
    :param order_id: from our metadata; empty for a session that is not of our making
    :param trace_parent: of the request that placed the order, from our metadata
    """

    session_id: str
    url: str
    status: SessionStatus
    payment_id: str
    paid: bool
    amount: Money
    order_id: str
    organiser_id: str
    trace_parent: str = ""


@dataclass(frozen=True, slots=True)
class FailedPayment:
    """An attempt to pay that came to nothing; its session stays open for another.

    :param code: the provider's word for why, e.g. `card_declined`
    :param order_id: from our metadata, as is `trace_parent`
    """

    payment_id: str
    code: str
    amount: Money
    order_id: str
    organiser_id: str
    trace_parent: str = ""


@dataclass(frozen=True, slots=True)
class FailedRefund:
    """A refund the provider had taken on, and that came to nothing days later: the money is ours again.

    :param code: the provider's word for why, e.g. `expired_or_canceled_card`
    """

    refund_id: str
    payment_id: str
    code: str


type Told = Session | FailedPayment | FailedRefund
"""What a webhook tells."""


@dataclass(frozen=True, slots=True)
class SessionLine:
    """What the hosted page lists."""

    name: str
    unit: Money
    quantity: int


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """A checkout to open; the same request with the same key is the same session.

    :param key: the idempotency key
    :param expires_at: 30 minutes to 24 hours ahead (Stripe's rule)
    :param metadata: carried by session and payment, so that what comes back names its order
    """

    key: str
    order_id: str
    lines: Sequence[SessionLine]
    expires_at: datetime
    success_url: str
    cancel_url: str
    email: str
    metadata: Mapping[str, str]


class Payments(Protocol):
    """A payment provider; `shared/payments/stripe.py` is the one there is."""

    async def open_session(self, request: SessionRequest) -> Session:
        """The session for `request`, new or, for a known key, the one there is.

        :raises PaymentsUnavailable: no answer, or not now (`PaymentsBusy`); ask again with the same key
        :raises PaymentsRefused: the provider will not
        """
        ...

    async def session(self, session_id: str) -> Session:
        """The session as it is now.

        :raises PaymentsUnavailable: no answer, or not now (`PaymentsBusy`)
        """
        ...

    async def expire_session(self, session_id: str) -> Session:
        """The session, no longer payable, or `COMPLETE` when the buyer was faster.

        :raises PaymentsUnavailable: no answer, or not now (`PaymentsBusy`)
        """
        ...

    async def refund(self, payment_id: str, *, amount: Money, key: str) -> str:
        """Give a payment back; the same key again is the same refund. Returns the refund's id.

        :raises PaymentsUnavailable: no answer, or not now (`PaymentsBusy`); ask again with the same key
        :raises PaymentsRefused: the provider will not
        """
        ...

    def read_webhook(self, body: bytes, signature: str) -> Told | None:
        """What a webhook speaks of; None for a kind of event we have no use for.

        :raises SignatureRefused: not signed by the provider, or too long ago
        """
        ...
