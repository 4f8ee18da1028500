"""Stripe's connection fails in every way; what was asked is asked again under its key and exists once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared.breaker import FAILURES_MAX
from shared.kernel.clock import utc_now
from shared.kernel.money import Money
from shared.payments.guarded import GuardedPayments
from shared.payments.port import PaymentsBusy, PaymentsUnavailable, SessionLine, SessionRequest, SessionStatus
from shared.payments.stripe import Patience, StripePayments
from tests.emulators.processes import Emulator
from tests.support.fault_proxy import Fault, FaultProxy, proxied

pytestmark = pytest.mark.xdist_group("stripe-neighbour")  # one double for all

API_KEY = "sk_test_of_the_tests"
EUR_50 = Money(amount_minor=5000, currency="EUR")
IMPATIENT = Patience(connect_seconds=0.2, answer_seconds=0.3, call_seconds=1.0)  # with what never answers
PATIENCE_SECONDS = 120.0  # only a hang takes so long
ACTED_ON = {Fault.LOST, Fault.RESET, Fault.GARBAGE, Fault.WRONG}  # Stripe did it, and we do not know


@pytest.fixture(scope="module")
def stripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator("stripe", tmp_path_factory.mktemp("stripe"), "--api-key", API_KEY) as running:
        yield running


@asynccontextmanager
async def payments_through(stripe: Emulator) -> AsyncIterator[tuple[StripePayments, StripePayments, FaultProxy]]:
    """Payments without patience, payments with the usual one, and the proxy that both go through."""
    async with proxied(int(stripe.url.rpartition(":")[2])) as proxy:
        base = f"http://127.0.0.1:{proxy.port}"
        both = [
            StripePayments(api_key=API_KEY, api_base=base, webhook_secret="whsec_of_the_tests", patience=patience)
            for patience in (IMPATIENT, Patience())
        ]
        try:
            yield both[0], both[1], proxy
        finally:
            for payments in both:
                await payments.close()


def checkout(order_id: str) -> SessionRequest:
    return SessionRequest(
        key=f"checkout:{order_id}:1",
        order_id=order_id,
        lines=[SessionLine("Standing", Money(amount_minor=2500, currency="EUR"), 2)],
        expires_at=utc_now() + timedelta(minutes=45),
        success_url="http://127.0.0.1/ok",
        cancel_url="http://127.0.0.1/no",
        email="uma@tessera.example",
        metadata={"order_id": order_id, "organiser_id": "org_1"},
    )


async def books(stripe: Emulator) -> dict[str, list[dict[str, Any]]]:
    async with httpx.AsyncClient() as http:
        found: dict[str, list[dict[str, Any]]] = (await http.get(f"{stripe.url}/_emulator/state")).json()
        return found


async def sessions_of(stripe: Emulator, order_id: str) -> list[str]:
    return [each["id"] for each in (await books(stripe))["sessions"] if each["metadata"].get("order_id") == order_id]


async def paid(stripe: Emulator, session_id: str) -> str:
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{stripe.url}/_emulator/sessions/{session_id}/pay", json={})
        return str(answer.json()["payment_intent"])


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
async def test_what_was_asked_of_a_failing_provider_happens_once_when_asked_again(
    stripe: Emulator, fault: Fault
) -> None:
    order_id, request = f"ord_{fault}", checkout(f"ord_{fault}")
    async with asyncio.timeout(PATIENCE_SECONDS), payments_through(stripe) as (impatient, patient, proxy):
        await proxy.set(fault)
        with pytest.raises(PaymentsUnavailable):
            await impatient.open_session(request)
        while not (unheard := await sessions_of(stripe, order_id)) and fault in ACTED_ON:  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.05)  # it may act after we gave up
        await proxy.set(Fault.NONE)
        session = await patient.open_session(request)
        assert await sessions_of(stripe, order_id) == [session.session_id]
        assert unheard == ([session.session_id] if fault in ACTED_ON else [])

        payment_id = await paid(stripe, session.session_id)
        await proxy.set(fault)
        with pytest.raises(PaymentsUnavailable):
            await impatient.refund(payment_id, amount=EUR_50, key=f"refund:{order_id}:1")
        await proxy.set(Fault.NONE)
        refund_id = await patient.refund(payment_id, amount=EUR_50, key=f"refund:{order_id}:1")

        refunds = [each for each in (await books(stripe))["refunds"] if each["payment_intent"] == payment_id]
        assert [(each["id"], each["amount"]) for each in refunds] == [(refund_id, 5000)]
        assert (await patient.expire_session(session.session_id)).status is SessionStatus.COMPLETE


@asynccontextmanager
async def guarded(stripe: Emulator, fault: dict[str, object]) -> AsyncIterator[GuardedPayments]:
    """Payments behind their breaker, while Stripe does this."""
    inner = StripePayments(api_key=API_KEY, api_base=stripe.url, webhook_secret="whsec_of_the_tests")
    async with httpx.AsyncClient(base_url=stripe.url) as http:
        (await http.post("/_emulator/faults", json=fault)).raise_for_status()
        try:
            yield GuardedPayments(inner)
        finally:
            await http.delete("/_emulator/faults")
            await inner.close()


async def test_a_buyer_who_asks_many_times_at_once_does_not_close_the_checkout_for_others(stripe: Emulator) -> None:
    slow = {"kind": "slow", "seconds": 3, "times": 1, "path": "/checkout/sessions"}
    async with asyncio.timeout(PATIENCE_SECONDS), guarded(stripe, slow) as payments:
        request = checkout("ord_eager")
        answers = await asyncio.gather(
            *(payments.open_session(request) for _ in range(FAILURES_MAX * 2)), return_exceptions=True
        )
        others = await payments.open_session(checkout("ord_of_others"))

    busy = [answer for answer in answers if isinstance(answer, PaymentsBusy)]
    assert len(busy) == FAILURES_MAX * 2 - 1
    assert {answer.retry_after_seconds for answer in busy} == {1.0}
    assert len(await sessions_of(stripe, "ord_eager")) == 1
    assert await sessions_of(stripe, "ord_of_others") == [others.session_id]


@pytest.mark.parametrize(("seconds", "pause"), [(7, 7.0), (0, 1.0), (600, 60.0)])
async def test_a_provider_that_throttles_us_is_asked_on_when_it_says(
    stripe: Emulator, seconds: int, pause: float
) -> None:
    throttle = {"kind": "throttle", "seconds": seconds, "times": FAILURES_MAX * 2}
    async with asyncio.timeout(PATIENCE_SECONDS), guarded(stripe, throttle) as payments:
        pauses = set()
        for _ in range(FAILURES_MAX * 2):
            with pytest.raises(PaymentsBusy) as told:
                await payments.open_session(checkout(f"ord_throttled_{seconds}"))
            pauses.add(told.value.retry_after_seconds)

        session = await payments.open_session(checkout(f"ord_throttled_{seconds}"))

    assert pauses == {pause}
    assert await sessions_of(stripe, f"ord_throttled_{seconds}") == [session.session_id]
