"""What we understand of Stripe's signed events, and what we leave alone."""

import time
from typing import Any

import orjson
import pytest

from local.emulators.stripe.webhooks import sign
from shared.kernel.money import Money
from shared.payments.port import (
    FailedPayment,
    FailedRefund,
    PaymentsRefused,
    Session,
    SessionStatus,
    SignatureRefused,
    Told,
    WebhookUnreadable,
)
from shared.payments.stripe import StripePayments, _refund_id

SECRET = "whsec_of_the_test"
METADATA = {"order_id": "ord_1", "organiser_id": "org_1"}
FIFTY = Money(amount_minor=5_000, currency="EUR")


def told(kind: str, thing: dict[str, Any], *, secret: str = SECRET) -> Told | None:
    """What we read from an event about `thing`."""
    body = orjson.dumps({"id": "evt_1", "object": "event", "type": kind, "data": {"object": thing}})
    payments = StripePayments(api_key="sk_test", api_base="http://127.0.0.1:1", webhook_secret=SECRET)
    return payments.read_webhook(body, sign(body, secret=secret, at=int(time.time())))


def session(**changes: Any) -> dict[str, Any]:
    """A paid session."""
    return {
        "id": "cs_1", "object": "checkout.session", "url": None, "status": "complete", "payment_intent": "pi_1",
        "payment_status": "paid", "amount_total": 5_000, "currency": "eur", "metadata": METADATA, **changes,
    }  # fmt: skip


def intent(**changes: Any) -> dict[str, Any]:
    """A payment intent whose card was declined."""
    error = {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds", "message": "No."}
    return {
        "id": "pi_1", "object": "payment_intent", "amount": 5_000, "currency": "eur", "metadata": METADATA,
        "last_payment_error": error, **changes,
    }  # fmt: skip


def test_a_completed_session_is_a_payment() -> None:
    assert told("checkout.session.completed", session()) == Session(
        session_id="cs_1", url="", status=SessionStatus.COMPLETE, payment_id="pi_1", paid=True, amount=FIFTY,
        order_id="ord_1", organiser_id="org_1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code"),
    [({"code": "card_declined"}, "card_declined"), ({"type": "api_error"}, ""), (None, "")],
)
def test_a_failed_payment_says_why_where_it_can(error: dict[str, str] | None, code: str) -> None:
    assert told("payment_intent.payment_failed", intent(last_payment_error=error)) == FailedPayment(
        payment_id="pi_1", code=code, amount=FIFTY, order_id="ord_1", organiser_id="org_1"
    )


@pytest.mark.parametrize(
    ("kind", "thing"),
    [
        ("payment_intent.succeeded", intent()),
        ("payment_intent.requires_action", intent()),
        ("balance.available", {"object": "balance"}),
        ("payment_intent.payment_failed", intent(metadata={})),
        ("payment_intent.payment_failed", intent(metadata=None)),
        ("checkout.session.completed", session(metadata={"order": "somebody else's"})),
    ],
)
def test_what_is_not_about_our_payments_is_left_alone(kind: str, thing: dict[str, Any]) -> None:
    assert told(kind, thing) is None


def test_what_somebody_else_signed_is_refused() -> None:
    with pytest.raises(SignatureRefused):
        told("payment_intent.payment_failed", intent(), secret="whsec_of_somebody_else")


def test_a_refund_that_failed_after_all_says_whose_it_was() -> None:
    thing = {
        "id": "re_1",
        "object": "refund",
        "payment_intent": "pi_1",
        "metadata": {},
        "failure_reason": "lost_or_stolen_card",
    }
    assert told("refund.failed", thing) == FailedRefund("re_1", "pi_1", "lost_or_stolen_card")


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_fails_at_once_is_a_refusal_after_which_another_may_be_asked_for(status: str) -> None:
    with pytest.raises(PaymentsRefused) as refused:
        _refund_id({"id": "re_1", "status": status})
    assert (refused.value.code, refused.value.nothing_done) == (f"refund_{status}", True)


@pytest.mark.parametrize("status", ["succeeded", "pending", "requires_action"])
def test_a_refund_that_stripe_took_on_is_one(status: str) -> None:
    assert _refund_id({"id": "re_1", "status": status}) == "re_1"


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b"nope", b'"text"', b'{"type": "checkout.session.completed", "data": {"object": []}}',
     b'{"type": "checkout.session.completed", "data": {"object": {"metadata": {"order_id": "ord_1"}}}}'],
)  # fmt: skip
def test_what_is_signed_and_no_event_is_told_apart_from_a_wrong_signature(body: bytes) -> None:
    payments = StripePayments(api_key="sk_test", api_base="http://127.0.0.1:1", webhook_secret=SECRET)
    with pytest.raises(WebhookUnreadable):
        payments.read_webhook(body, sign(body, secret=SECRET, at=int(time.time())))


def test_a_payment_needs_no_page_any_more() -> None:
    found = told("checkout.session.completed", {name: value for name, value in session().items() if name != "url"})
    assert isinstance(found, Session)
    assert found.paid


def test_an_amount_in_a_currency_we_do_not_know_is_unreadable() -> None:
    with pytest.raises(WebhookUnreadable):
        told("checkout.session.completed", session(currency="xxx"))
