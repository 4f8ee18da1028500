"""A payment provider in memory, with Stripe's rules: one session per key, refunds by key, paid or expired, never both.

Idempotent replays give the first answer again, as Stripe's do, so a session may look open that was paid since
(https://docs.stripe.com/api/idempotent_requests). The wire-level double is `local/emulators/stripe`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import orjson

from shared.kernel.clock import utc_now
from shared.kernel.money import Money
from shared.payments.port import (
    PaymentsRefused,
    PaymentsUnavailable,
    Session,
    SessionRequest,
    SessionStatus,
    SignatureRefused,
)

SIGNATURE = "signed"
_SHORTEST, _LONGEST = timedelta(minutes=30), timedelta(hours=24)


class PaymentDeclined(Exception):
    """The hosted page takes no money for this session any more."""


@dataclass
class _Kept:
    request: SessionRequest
    first_answer: Session
    now: Session


@dataclass
class Provider:
    """The provider: `Payments` for us, `pay` for the buyer, the ledger for the tests.

    :param clock: the provider's own
    :param trouble: consumed one per call: `lost request` and `lost answer` raise `PaymentsUnavailable`, before or after
        the call happened; `refused` raises `PaymentsRefused`; `fine` lets it pass
    :param webhooks: sessions it has told us of and nobody delivered yet
    """

    clock: Callable[[], datetime] = utc_now
    trouble: list[str] = field(default_factory=list)
    webhooks: list[Session] = field(default_factory=list)
    paid: dict[str, Money] = field(default_factory=dict)
    refunds: dict[str, tuple[str, int]] = field(default_factory=dict)
    _sessions: dict[str, _Kept] = field(default_factory=dict)
    _by_key: dict[str, str] = field(default_factory=dict)

    async def open_session(self, request: SessionRequest) -> Session:
        """See `Payments.open_session`."""
        return self._answer(lambda: self._open(request))

    async def session(self, session_id: str) -> Session:
        """See `Payments.session`."""
        return self._answer(lambda: self._look(session_id).now)

    async def expire_session(self, session_id: str) -> Session:
        """See `Payments.expire_session`."""
        return self._answer(lambda: self._expire(session_id))

    async def refund(self, payment_id: str, *, amount: Money, key: str) -> str:
        """See `Payments.refund`."""
        return self._answer(lambda: self._refund(payment_id, amount.amount_minor, key))

    def read_webhook(self, body: bytes, signature: str) -> Session | None:
        """See `Payments.read_webhook`."""
        if signature != SIGNATURE:
            raise SignatureRefused("no signature of ours")
        return self._look(orjson.loads(body)["session_id"]).now

    def pay(self, session_id: str, *, under_way: bool = False) -> Session:
        """The buyer pays on the hosted page.

        :param under_way: the payment had begun when the session expired, and succeeds after that
        :raises PaymentDeclined: the session is paid, expired or over
        """
        kept = self._look(session_id)
        payable = {SessionStatus.OPEN, SessionStatus.EXPIRED} if under_way else {SessionStatus.OPEN}
        if kept.now.status not in payable:
            raise PaymentDeclined(kept.now.status)
        payment_id = f"pi_{session_id}"
        kept.now = replace(kept.now, status=SessionStatus.COMPLETE, url="", payment_id=payment_id, paid=True)
        self.paid[payment_id] = kept.now.amount
        self.webhooks.append(kept.now)
        return kept.now

    def sessions_of(self, order_id: str) -> list[Session]:
        """Every session there is for an order, as it now is."""
        found = [session_id for session_id, kept in self._sessions.items() if kept.request.order_id == order_id]
        return [self._look(session_id).now for session_id in found]

    def balance(self, order_id: str) -> int:
        """Paid less refunded, in minor units."""
        payments = {session.payment_id for session in self.sessions_of(order_id) if session.paid}
        back = sum(amount for payment_id, amount in self.refunds.values() if payment_id in payments)
        return sum(self.paid[payment_id].amount_minor for payment_id in payments) - back

    def _answer[T](self, call: Callable[[], T]) -> T:
        trouble = self.trouble.pop(0) if self.trouble else "fine"
        if trouble == "lost request":
            raise PaymentsUnavailable("the request was lost")
        if trouble == "refused":
            raise PaymentsRefused("the balance does not cover it", "balance_insufficient", nothing_done=True)
        if trouble == "forbidden":
            raise PaymentsRefused("this key may not", "PermissionError", nothing_done=False)
        answer = call()
        if trouble == "lost answer":
            raise PaymentsUnavailable("the answer was lost")
        return answer

    def _open(self, request: SessionRequest) -> Session:
        if request.key in self._by_key:
            kept = self._sessions[self._by_key[request.key]]
            if kept.request != request:
                raise PaymentsRefused("the key was used with other parameters", "idempotency_error", nothing_done=False)
            return kept.first_answer
        if not _SHORTEST <= request.expires_at - self.clock() <= _LONGEST:
            raise PaymentsRefused("expires_at: 30 minutes to 24 hours", "parameter_invalid", nothing_done=True)
        amount = sum(line.unit.amount_minor * line.quantity for line in request.lines)
        session_id = f"cs_{len(self._sessions) + 1}"
        session = Session(
            session_id=session_id,
            url=f"https://provider.example/{session_id}",
            status=SessionStatus.OPEN,
            payment_id="",
            paid=False,
            amount=Money(amount_minor=amount, currency=request.lines[0].unit.currency),
            order_id=request.metadata["order_id"],
            organiser_id=request.metadata["organiser_id"],
            trace_parent=request.metadata.get("trace_parent", ""),
        )
        self._sessions[session_id] = _Kept(request, session, session)
        self._by_key[request.key] = session_id
        return session

    def _look(self, session_id: str) -> _Kept:
        kept = self._sessions.get(session_id)
        if kept is None:
            raise PaymentsRefused(f"no session {session_id}", "resource_missing", nothing_done=True)
        if kept.now.status is SessionStatus.OPEN and self.clock() >= kept.request.expires_at:
            kept.now = replace(kept.now, status=SessionStatus.EXPIRED, url="")
        return kept

    def _expire(self, session_id: str) -> Session:
        kept = self._look(session_id)
        if kept.now.status is SessionStatus.OPEN:
            kept.now = replace(kept.now, status=SessionStatus.EXPIRED, url="")
        return kept.now

    def _refund(self, payment_id: str, amount_minor: int, key: str) -> str:
        refund = (payment_id, amount_minor)
        refund_id = f"re_{key}"
        if self.refunds.setdefault(refund_id, refund) != refund:
            raise PaymentsRefused("the key was used with other parameters", "idempotency_error", nothing_done=False)
        given = sum(amount for paid, amount in self.refunds.values() if paid == payment_id)
        if payment_id not in self.paid or given > self.paid[payment_id].amount_minor:
            del self.refunds[refund_id]
            raise PaymentsRefused("more than was paid", "amount_too_large", nothing_done=True)
        return refund_id
