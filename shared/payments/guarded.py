"""A payment provider behind a circuit breaker."""

from collections.abc import Awaitable, Callable

from shared.breaker import OPEN_SECONDS, Breaker, BreakerOpen
from shared.kernel.money import Money
from shared.payments.port import Payments, PaymentsBusy, PaymentsUnavailable, Session, SessionRequest, Told
from shared.telemetry import span


class GuardedPayments:
    """Asks `inner` unless it has not answered lately: then whoever asks is told at once.

    What the provider refuses, or will not do just now, it has answered: only `PaymentsUnavailable` other than
    `PaymentsBusy` opens the breaker. Else one buyer who asks for one order many times at once could close the till for
    everybody; and a provider that throttles us answers at once, serves others meanwhile, and may say for how long.
    """

    def __init__(self, inner: Payments, breaker: Breaker | None = None) -> None:
        self._inner = inner
        self._breaker = breaker or Breaker("payments", failure=PaymentsUnavailable, answer=PaymentsBusy)

    async def open_session(self, request: SessionRequest) -> Session:
        """See `Payments.open_session`."""
        return await self._asked("open session", lambda: self._inner.open_session(request))

    async def session(self, session_id: str) -> Session:
        """See `Payments.session`."""
        return await self._asked("read session", lambda: self._inner.session(session_id))

    async def expire_session(self, session_id: str) -> Session:
        """See `Payments.expire_session`."""
        return await self._asked("expire session", lambda: self._inner.expire_session(session_id))

    async def refund(self, payment_id: str, *, amount: Money, key: str) -> str:
        """See `Payments.refund`."""
        return await self._asked("refund", lambda: self._inner.refund(payment_id, amount=amount, key=key))

    def read_webhook(self, body: bytes, signature: str) -> Told | None:
        """See `Payments.read_webhook`; nobody is asked for it."""
        return self._inner.read_webhook(body, signature)

    async def _asked[T](self, what: str, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            with span(what, component="Payments"):
                return await self._breaker.call(ask)
        except BreakerOpen as closed:
            unavailable = PaymentsUnavailable("The payment service has not answered lately; try again shortly.")
            unavailable.retry_after_seconds = OPEN_SECONDS
            raise unavailable from closed
