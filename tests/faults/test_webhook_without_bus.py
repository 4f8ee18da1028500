"""A webhook we cannot queue is refused, so that the provider sends it again."""

import json
import time
from pathlib import Path

import pytest

from functions.sales.webhook import PAYMENTS_QUEUE, Webhook
from local.emulators.stripe.webhooks import sign
from shared.bus.embedded import EmbeddedBus
from shared.kernel.clock import utc_now
from shared.kernel.errors import DependencyUnavailable
from shared.payments.stripe import StripePayments
from shared.topology import topology

SECRET = "whsec_of_the_tests"


def report() -> bytes:
    """A paid checkout, as Stripe tells of it."""
    session = {
        "id": "cs_1", "object": "checkout.session", "url": None, "status": "complete", "payment_status": "paid",
        "payment_intent": "pi_1", "amount_total": 5000, "currency": "eur",
        "metadata": {"order_id": "ord_1", "organiser_id": "org_1"},
    }  # fmt: skip
    return json.dumps({"type": "checkout.session.completed", "data": {"object": session}}).encode()


async def test_a_webhook_we_cannot_queue_is_refused_for_now_and_queued_once_when_sent_again(tmp_path: Path) -> None:
    payments = StripePayments(api_key="sk_test_x", api_base="http://127.0.0.1:1", webhook_secret=SECRET)
    body = report()
    signature = sign(body, secret=SECRET, at=int(time.time()))
    away = EmbeddedBus(tmp_path / "bus.db", topology())
    away.close()
    with pytest.raises(DependencyUnavailable) as refused:
        await Webhook(payments, away).take(body, signature, now=utc_now())
    assert refused.value.retry_after_seconds == 5.0

    bus = EmbeddedBus(tmp_path / "bus.db", topology())
    for _ in range(3):
        await Webhook(payments, bus).take(body, signature, now=utc_now())
    counts = await bus.counts(PAYMENTS_QUEUE)
    bus.close()
    assert counts == {"active": 1, "scheduled": 0, "dead": 0}
