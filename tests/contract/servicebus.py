"""The Service Bus adapter under the contract suites: through the real SDK, against the emulator or a real namespace."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from local.emulators.servicebus.server import running
from local.emulators.servicebus.tokens import Tokens
from local.emulators.serving import bind_loopback
from local.host.servicebus import ServiceBusReceiver
from shared.bus.servicebus import ServiceBus
from shared.kernel.clock import utc_now
from shared.topology import topology
from tests.contract.harness import BusUnderTest, FakeClock

KEY_NAME = "RootManageSharedAccessKey"
_READ_SECONDS = 0.05  # how long the SDK's reads last on loopback; it opens links the sooner


def connection_string(port: int, key: str) -> str:
    """How the SDK reaches an emulator."""
    return (
        f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName={KEY_NAME};SharedAccessKey={key};"
        "UseDevelopmentEmulator=true;"
    )


def bus_at(port: int, key: str) -> ServiceBus:
    """The adapter, connected to an emulator."""
    return ServiceBus.connect(
        topology(),
        connection_string=connection_string(port, key),
        keep_alive_seconds=0,
        socket_timeout=_READ_SECONDS,
    )


@asynccontextmanager
async def servicebus(data: Path) -> AsyncIterator[BusUnderTest]:
    """The adapter against an emulator of its own, whose clock moves when told to."""
    # The SDK compares locks with the real clock, so the emulator's begins there; its stamps have milliseconds.
    clock = FakeClock(datetime.now(UTC).replace(microsecond=0))
    listener, key = bind_loopback(0), secrets.token_urlsafe()
    port = listener.getsockname()[1]
    async with running(listener, data=data, topology=topology(), tokens=Tokens(key), now=clock):
        bus = bus_at(port, key)
        receiver = ServiceBusReceiver(bus.client, topology())
        yield BusUnderTest(bus, receiver, bus, clock.pass_time, clock)
        await receiver.close()
        await bus.close()


@asynccontextmanager
async def real_servicebus() -> AsyncIterator[BusUnderTest]:
    """The adapter against the namespace in `SERVICEBUS_NAMESPACE`, emptied first; time passes as it does.

    With `SERVICEBUS_CONNECTION`, as Microsoft's emulator wants it, or whoever is signed in.
    """
    from azure.identity.aio import DefaultAzureCredential

    async def pass_time(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async with DefaultAzureCredential() as credential:
        connection = os.environ.get("SERVICEBUS_CONNECTION", "")
        namespace = "" if connection else os.environ["SERVICEBUS_NAMESPACE"]
        bus = ServiceBus.connect(
            topology(), connection_string=connection, namespace=namespace, credential=lambda: credential
        )
        receiver = ServiceBusReceiver(bus.client, topology(), arrival_seconds=2.0)
        await _purge(bus, receiver)
        yield BusUnderTest(bus, receiver, bus, pass_time, lambda: utc_now().replace(microsecond=0))
        await receiver.close()
        await bus.close()


async def _purge(bus: ServiceBus, receiver: ServiceBusReceiver) -> None:
    for queue in topology().queues:
        while deliveries := await receiver.receive(queue.name, messages_max=100):
            for delivery in deliveries:
                await receiver.complete(delivery)
        while letters := (await bus.peek_dead_letters(queue.name)).letters:
            await bus.discard(queue.name, [letter.sequence_number for letter in letters])
