"""Webhooks: signed, repeated until accepted, durable, and misbehaving when told to."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
import stripe

from local.layout import Ports
from tests.emulators.conftest import API_KEY, WEBHOOK_SECRET, Sdk
from tests.emulators.processes import Emulator
from tests.emulators.purchases import open_session, paid
from tests.emulators.receiver import Receiver

COMPLETED = "checkout.session.completed"


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, int]]:
    """One emulator for the module, and the port its webhooks go to."""
    ports = Ports.free()  # while this is kept, nobody else gets one between two receivers
    data, url = tmp_path_factory.mktemp("sender"), f"http://127.0.0.1:{ports.host}/hook"
    options = ("--api-key", API_KEY, "--webhook-url", url, "--webhook-secret", WEBHOOK_SECRET)
    with Emulator("stripe", data, *options, "--retry-max-seconds", "1") as running:
        yield running, ports.host


@pytest.fixture
async def receiver(sender: tuple[Emulator, int]) -> AsyncIterator[Receiver]:
    listening = Receiver(sender[1])
    await listening.start()
    yield listening
    await listening.stop()


@pytest.fixture
async def emulator(sender: tuple[Emulator, int], receiver: Receiver, web: httpx.AsyncClient) -> AsyncIterator[Emulator]:
    """The emulator on a good day, with nothing left to send when the test is over."""
    yield sender[0]
    await behave(web, sender[0])
    async with asyncio.timeout(60):
        while await pending(web, sender[0]):  # noqa: ASYNC110 - another process makes it false
            await asyncio.sleep(0.02)


async def pending(web: httpx.AsyncClient, emulator: Emulator) -> int:
    return int((await web.get(f"{emulator.url}/_emulator/webhooks")).json()["deliveries"]["pending"])


async def behave(web: httpx.AsyncClient, emulator: Emulator, **behaviour: Any) -> None:
    answer = await web.post(f"{emulator.url}/_emulator/webhooks", json=behaviour)
    assert answer.status_code == 200, answer.text


async def test_events_are_signed_and_tell_the_state_of_their_moment(
    emulator: Emulator, receiver: Receiver, web: httpx.AsyncClient, sdk: Sdk
) -> None:
    session = await paid(sdk(emulator), web, emulator)

    [delivery] = await receiver.wait_for(1, COMPLETED)
    event = stripe.Webhook.construct_event(delivery.body, delivery.signature, WEBHOOK_SECRET)
    assert (event.data.object.id, event.data.object.payment_status) == (session.id, "paid")
    assert (event.object, event.livemode, event.data.object.payment_intent) == ("event", False, session.payment_intent)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(delivery.body + b" ", delivery.signature, WEBHOOK_SECRET)
    await receiver.wait_for(1, "payment_intent.succeeded")
    fetched = await sdk(emulator).v1.events.retrieve_async(event.id)
    assert fetched.to_dict() == event.to_dict()


async def test_an_event_is_repeated_until_the_receiver_accepts_it(
    emulator: Emulator, receiver: Receiver, web: httpx.AsyncClient, sdk: Sdk
) -> None:
    session = await open_session(sdk(emulator))
    receiver.answers = [500, 302]

    await sdk(emulator).v1.checkout.sessions.expire_async(session.id)

    deliveries = await receiver.wait_for(3, "checkout.session.expired")
    assert len({delivery.event["id"] for delivery in deliveries}) == 1
    pauses = [later.at - sooner.at for sooner, later in pairwise(deliveries)]
    assert pauses[0] >= 0.45


async def test_events_wait_for_a_dead_receiver_and_survive_the_emulators_own_death(
    emulator: Emulator, receiver: Receiver, web: httpx.AsyncClient, sdk: Sdk
) -> None:
    await receiver.stop()
    session = await paid(sdk(emulator), web, emulator)
    emulator.kill()
    emulator.restart()
    await receiver.start()

    [delivery] = await receiver.wait_for(1, COMPLETED)

    assert delivery.event["data"]["object"]["id"] == session.id
    again = await sdk(emulator).v1.checkout.sessions.retrieve_async(session.id)
    assert (again.status, again.payment_status) == ("complete", "paid")


async def test_held_events_are_sent_on_release_in_the_order_asked_for(
    emulator: Emulator, receiver: Receiver, web: httpx.AsyncClient, sdk: Sdk
) -> None:
    await behave(web, emulator, hold=True)
    sessions = [await paid(sdk(emulator), web, emulator) for _ in range(3)]
    emulator.kill()
    emulator.restart()
    assert receiver.received == []

    await web.post(f"{emulator.url}/_emulator/webhooks/release", json={"order": "reverse"})

    deliveries = await receiver.wait_for(3, COMPLETED)
    told = [delivery.event["data"]["object"]["id"] for delivery in deliveries]
    assert told == [session.id for session in reversed(sessions)]


async def test_events_come_several_times_and_late_when_told_to(
    emulator: Emulator, receiver: Receiver, web: httpx.AsyncClient, sdk: Sdk
) -> None:
    await behave(web, emulator, duplicates=2, delay_seconds=0.3, types=[COMPLETED])

    began = time.time()
    await paid(sdk(emulator), web, emulator)

    await receiver.wait_for(1, "payment_intent.succeeded")
    copies = await receiver.wait_for(3, COMPLETED)
    assert len({copy.event["id"] for copy in copies}) == 1
    assert copies[0].at - began >= 0.3


async def test_a_dropped_event_never_comes_until_it_is_sent_again(
    emulator: Emulator, receiver: Receiver, web: httpx.AsyncClient, sdk: Sdk
) -> None:
    await behave(web, emulator, drop=1, types=[COMPLETED])
    client = sdk(emulator)

    await paid(client, web, emulator)

    await receiver.wait_for(1, "payment_intent.succeeded")
    counts = (await web.get(f"{emulator.url}/_emulator/webhooks")).json()["deliveries"]
    assert (counts["dropped"], receiver.of(COMPLETED)) == (1, [])
    [event] = (await client.v1.events.list_async(params={"type": COMPLETED, "limit": 1})).data
    await web.post(f"{emulator.url}/_emulator/events/{event.id}/resend", json={})
    await receiver.wait_for(1, COMPLETED)


async def test_only_the_events_the_endpoint_wants_are_sent(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, web: httpx.AsyncClient, sdk: Sdk
) -> None:
    options = ("--api-key", API_KEY, "--webhook-url", receiver.url, "--webhook-event", COMPLETED)
    with Emulator("stripe", tmp_path_factory.mktemp("quiet"), *options) as emulator:
        await paid(sdk(emulator), web, emulator)
        await receiver.wait_for(1, COMPLETED)

        assert await pending(web, emulator) == 0

    assert {delivery.event["type"] for delivery in receiver.received} == {COMPLETED}


async def test_an_unknown_control_is_refused(emulator: Emulator, web: httpx.AsyncClient) -> None:
    answer = await web.post(f"{emulator.url}/_emulator/webhooks", json={"duplicate": 1})

    assert (answer.status_code, "duplicate" in answer.json()["error"]) == (400, True)
