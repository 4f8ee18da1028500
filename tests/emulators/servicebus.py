"""The Service Bus emulator in the test's own process, with a clock that moves when told to."""

import base64
import hashlib
import hmac
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote_plus

from azure.servicebus.aio import ServiceBusClient

from local.emulators.servicebus.broker import Broker
from local.emulators.servicebus.server import running
from local.emulators.servicebus.tokens import Authority, Tokens
from local.emulators.serving import bind_loopback
from shared.topology import topology
from tests.contract.harness import FakeClock
from tests.contract.servicebus import KEY_NAME, connection_string
from tests.support.amqp import RawClient

HOST = "sb://127.0.0.1"


def signature(key: str, resource: str, *, expires: datetime | None = None, key_name: str = KEY_NAME) -> str:
    """A token as https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas describes it."""
    until = int((expires or datetime.now(UTC) + timedelta(hours=1)).timestamp())
    encoded = quote_plus(resource)
    digest = hmac.new(key.encode(), f"{encoded}\n{until}".encode(), hashlib.sha256).digest()
    signed = quote_plus(base64.b64encode(digest))
    return f"SharedAccessSignature sr={encoded}&sig={signed}&se={until}&skn={key_name}"


@dataclass(frozen=True)
class Namespace:
    """A running emulator."""

    broker: Broker
    port: int
    key: str
    clock: FakeClock

    def sdk(self) -> ServiceBusClient:
        """A client that does not try again by itself."""
        return ServiceBusClient.from_connection_string(
            connection_string(self.port, self.key), keep_alive=0, retry_total=0, socket_timeout=0.05
        )

    async def raw(self, *, max_frame_size: int = 65_536) -> RawClient:
        """A bare client that has put a good token for the whole namespace."""
        client = await RawClient.signed_in(self.port, max_frame_size=max_frame_size)
        assert await client.put_token(signature(self.key, HOST), HOST) == 200
        return client


@asynccontextmanager
async def namespace(
    data: Path, *, authority: Authority | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Namespace]:
    """An emulator with our topology and a key of its own."""
    clock = FakeClock(datetime.now(UTC).replace(microsecond=0))
    listener, key = bind_loopback(0), secrets.token_urlsafe()
    port = listener.getsockname()[1]
    tokens = Tokens(key, authority=authority)
    async with running(listener, data=data, topology=topology(), tokens=tokens, now=clock, tls=tls) as broker:
        yield Namespace(broker, port, key, clock)
