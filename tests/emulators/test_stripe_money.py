"""Refunds, idempotency keys and API failures, through the real SDK."""

import asyncio
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from tests.emulators.conftest import API_KEY, Sdk
from tests.emulators.processes import Emulator
from tests.emulators.purchases import open_session, paid, session_params


@pytest.fixture(autouse=True)
async def _no_faults(stripe_emulator: Emulator, web: httpx.AsyncClient) -> None:
    await web.delete(f"{stripe_emulator.url}/_emulator/faults")


async def sessions_known(web: httpx.AsyncClient, emulator: Emulator) -> int:
    return len((await web.get(f"{emulator.url}/_emulator/state")).json()["sessions"])


async def test_money_goes_back_in_parts_but_never_more_than_came(
    client: stripe.StripeClient, stripe_emulator: Emulator, web: httpx.AsyncClient
) -> None:
    session = await paid(client, web, stripe_emulator)
    params: Any = {"payment_intent": session.payment_intent, "amount": 2500, "metadata": {"order_id": "ord_1"}}

    part = await client.v1.refunds.create_async(params=params)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount") as too_much:
        await client.v1.refunds.create_async(params={"payment_intent": session.payment_intent, "amount": 3151})
    rest = await client.v1.refunds.create_async(
        params={"payment_intent": session.payment_intent, "reason": "requested_by_customer"}
    )
    with pytest.raises(stripe.InvalidRequestError) as nothing_left:
        await client.v1.refunds.create_async(params={"payment_intent": session.payment_intent, "amount": 1})

    assert (part.amount, part.status, rest.amount) == (2500, "succeeded", 3150)
    assert too_much.value.param == "amount"
    assert nothing_left.value.code == "charge_already_refunded"
    listed = await client.v1.refunds.list_async(params={"payment_intent": session.payment_intent})
    assert [refund.id for refund in listed.data] == [rest.id, part.id]
    again = await client.v1.refunds.retrieve_async(part.id)
    assert again.metadata is not None
    assert again.metadata.to_dict() == {"order_id": "ord_1"}
    kinds = [event.type for event in (await client.v1.events.list_async(params={"limit": 4})).data]
    assert kinds == ["charge.refunded", "refund.created"] * 2


async def test_refunds_asked_for_all_at_once_give_back_once(
    client: stripe.StripeClient, stripe_emulator: Emulator, web: httpx.AsyncClient
) -> None:
    session = await paid(client, web, stripe_emulator)

    results = await asyncio.gather(
        *(client.v1.refunds.create_async(params={"payment_intent": session.payment_intent}) for _ in range(6)),
        return_exceptions=True,
    )

    assert sum(isinstance(result, stripe.Refund) for result in results) == 1


async def test_what_was_never_paid_cannot_be_refunded(
    client: stripe.StripeClient, stripe_emulator: Emulator, web: httpx.AsyncClient
) -> None:
    session = await open_session(client)
    url = f"{stripe_emulator.url}/_emulator/sessions/{session.id}/pay"
    declined = (await web.post(url, json={"number": "4000000000000002"})).json()

    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        await client.v1.refunds.create_async(params={"payment_intent": declined["payment_intent"]})


async def test_the_same_key_and_parameters_get_the_same_answer_even_after_a_crash(
    tmp_path: Path, web: httpx.AsyncClient, sdk: Sdk
) -> None:
    with Emulator("stripe", tmp_path, "--api-key", API_KEY) as emulator:
        client = sdk(emulator)
        params = session_params()
        options: Any = {"idempotency_key": "order-1-checkout"}
        first = await client.v1.checkout.sessions.create_async(params=params, options=options)
        emulator.kill()
        emulator.restart()

        second = await client.v1.checkout.sessions.create_async(params=params, options=options)

        assert second.id == first.id
        original: Any = first.last_response
        replay: Any = second.last_response
        assert replay.headers["idempotent-replayed"] == "true"
        assert replay.headers["original-request"] == original.request_id
        assert await sessions_known(web, emulator) == 1


async def test_a_key_used_for_something_else_is_refused(client: stripe.StripeClient) -> None:
    key = secrets.token_hex(8)
    session = await open_session(client, key=key)

    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        await open_session(client, key=key, client_reference_id="ord_2")
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        await client.v1.checkout.sessions.expire_async(session.id, options={"idempotency_key": key})
    assert (await client.v1.checkout.sessions.retrieve_async(session.id)).status == "open"


async def test_a_refusal_by_validation_is_forgotten_and_one_by_the_endpoint_is_kept(
    client: stripe.StripeClient, stripe_emulator: Emulator, web: httpx.AsyncClient
) -> None:
    key = secrets.token_hex(8)
    with pytest.raises(stripe.InvalidRequestError):
        await open_session(client, key=key, success_url="nowhere")
    assert (await open_session(client, key=key)).status == "open"

    session = await paid(client, web, stripe_emulator)
    options: Any = {"idempotency_key": secrets.token_hex(8)}
    with pytest.raises(stripe.InvalidRequestError, match="status of complete"):
        await client.v1.checkout.sessions.expire_async(session.id, options=options)
    with pytest.raises(stripe.InvalidRequestError, match="status of complete") as again:
        await client.v1.checkout.sessions.expire_async(session.id, options=options)
    assert again.value.headers is not None
    assert again.value.headers["idempotent-replayed"] == "true"


async def test_a_key_in_use_is_a_conflict_and_makes_one_session(
    client: stripe.StripeClient, stripe_emulator: Emulator, web: httpx.AsyncClient
) -> None:
    key, params = secrets.token_hex(8), session_params()
    options: Any = {"idempotency_key": key}
    before = await sessions_known(web, stripe_emulator)
    fault = {"kind": "slow", "seconds": 2.0, "times": 5, "path": "/v1/checkout/sessions", "method": "POST"}
    await web.post(f"{stripe_emulator.url}/_emulator/faults", json=fault)

    results = await asyncio.gather(
        *(client.v1.checkout.sessions.create_async(params=params, options=options) for _ in range(5)),
        return_exceptions=True,
    )

    conflicts: list[Any] = [result for result in results if isinstance(result, stripe.StripeError)]
    told = [(error.http_status, error.json_body["error"]["code"]) for error in conflicts]
    assert told == [(409, "idempotency_key_in_use")] * 4
    assert await sessions_known(web, stripe_emulator) == before + 1


@pytest.mark.parametrize(
    ("kind", "error", "performed"),
    [
        ("error", stripe.APIError, 0),
        ("reset", stripe.APIConnectionError, 0),
        ("lost", stripe.APIConnectionError, 1),
        ("garbage", stripe.APIError, 1),
    ],
)
async def test_a_failing_api_fails_as_told_and_its_key_makes_the_retry_safe(
    client: stripe.StripeClient,
    stripe_emulator: Emulator,
    web: httpx.AsyncClient,
    kind: str,
    error: type[Exception],
    performed: int,
) -> None:
    before = await sessions_known(web, stripe_emulator)
    fault = {"kind": kind, "times": 1, "path": "/v1/checkout"}
    await web.post(f"{stripe_emulator.url}/_emulator/faults", json=fault)
    params, options = session_params(), {"idempotency_key": secrets.token_hex(8)}

    with pytest.raises(error):
        await client.v1.checkout.sessions.create_async(params=params, options=options)  # type: ignore[arg-type]  # TypedDict
    assert await sessions_known(web, stripe_emulator) == before + performed

    session = await client.v1.checkout.sessions.create_async(params=params, options=options)  # type: ignore[arg-type]
    assert session.status == "open"
    assert await sessions_known(web, stripe_emulator) == before + 1


async def test_the_sdks_own_retries_ride_over_a_short_failure(
    stripe_emulator: Emulator, web: httpx.AsyncClient, sdk: Sdk
) -> None:
    await web.post(f"{stripe_emulator.url}/_emulator/faults", json={"kind": "lost", "times": 1})
    before = await sessions_known(web, stripe_emulator)

    session = await open_session(sdk(stripe_emulator, retries=2))

    assert session.status == "open"
    assert await sessions_known(web, stripe_emulator) == before + 1


def test_a_second_emulator_on_the_same_state_does_not_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local.emulators.stripe", "--port", "0", "--data", str(tmp_path)]
    with Emulator("stripe", tmp_path):
        second = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert second.returncode == 1
    assert second.stderr == f"stripe emulator cannot start: another emulator is using {tmp_path}\n"
