"""Microsoft's emulators of Cosmos DB and Service Bus, made to hold what `infra/topology.json` describes.

What they cannot do is adapted to here, and told in docs/containers.md: shorter windows of duplicate detection,
messages that live for an hour.
"""

import asyncio
import json
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.topology import Queue, Topology

if TYPE_CHECKING:
    from azure.cosmos.aio import CosmosClient
    from azure.servicebus.aio import ServiceBusClient

NAMESPACE: Final = "sbemulatorns"  # the only name the emulator takes
DUPLICATES_MINUTES_MAX: Final = 5  # the emulator's bounds, as its published schema says
DELIVERIES_MAX: Final = 10
LIFE: Final = "PT1H"
HOST: Final = "cosmos"  # as containers call it
READY_SECONDS: Final = 180.0
POLL_SECONDS: Final = 2.0
_SECRETS: Final[Mapping[str, Callable[[], str]]] = {
    "COSMOS_KEY": lambda: b64encode(secrets.token_bytes(64)).decode(),
    "COSMOS_CERTIFICATE_PASSWORD": lambda: secrets.token_urlsafe(24),
    # Of all four kinds of characters, or the server does not start.
    "MSSQL_SA_PASSWORD": lambda: f"Aa1-{secrets.token_urlsafe(24)}",
    "TESSERA_SIGNING_SECRET": lambda: secrets.token_urlsafe(32),
    "TESSERA_TICKET_KEY": lambda: urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("="),
    "INSIGHTS_API_KEY": lambda: secrets.token_urlsafe(32),
}


class NotReady(Exception):
    """An emulator did not answer in time, or refused; the message says which."""


def servicebus_config(topology: Topology) -> dict[str, Any]:
    """The emulator's `Config.json`: our queues, the topic, and a filter for each subscription."""
    return {
        "UserConfig": {
            "Namespaces": [
                {
                    "Name": NAMESPACE,
                    "Queues": [_queue(each) for each in topology.queues],
                    "Topics": [_topic(topology)],
                }
            ],
            "Logging": {"Type": "Console"},
        }
    }


def _queue(queue: Queue) -> dict[str, Any]:
    return {
        "Name": queue.name,
        "Properties": {
            "LockDuration": f"PT{queue.lock_seconds}S",
            "MaxDeliveryCount": min(queue.max_delivery_count, DELIVERIES_MAX),
            "RequiresDuplicateDetection": True,
            "DuplicateDetectionHistoryTimeWindow": _window(queue.duplicate_detection_minutes),
            "DefaultMessageTimeToLive": LIFE,
            "DeadLetteringOnMessageExpiration": True,
            "RequiresSession": False,
        },
    }


def _topic(topology: Topology) -> dict[str, Any]:
    topic = topology.topic
    return {
        "Name": topic.name,
        "Properties": {
            "RequiresDuplicateDetection": True,
            "DuplicateDetectionHistoryTimeWindow": _window(topic.duplicate_detection_minutes),
            "DefaultMessageTimeToLive": LIFE,
        },
        "Subscriptions": [
            {
                "Name": each.name,
                "Properties": {
                    "ForwardTo": each.forward_to,
                    "DefaultMessageTimeToLive": LIFE,
                    "DeadLetteringOnMessageExpiration": True,
                    "RequiresSession": False,
                },
                "Rules": [
                    {
                        "Name": "types",
                        "Properties": {
                            "FilterType": "Sql",
                            "SqlFilter": {"SqlExpression": f"type IN ({', '.join(map(_quoted, each.types))})"},
                        },
                    }
                ],
            }
            for each in topology.subscriptions
        ],
    }


def _quoted(text: str) -> str:
    return f"'{text}'"


def _window(minutes: int) -> str:
    return f"PT{min(minutes, DUPLICATES_MINUTES_MAX)}M"


async def make_containers(
    endpoint: str, key: str, topology: Topology, *, ready_seconds: float = READY_SECONDS
) -> list[str]:
    """Make the database and its containers where they are missing, as soon as the emulator answers; their names.

    :param endpoint: the emulator
    :param ready_seconds: how long it may take to answer
    :raises NotReady: it did not answer in time, or refused
    """
    from azure.core.exceptions import AzureError
    from azure.cosmos.aio import CosmosClient

    give_up = time.monotonic() + ready_seconds
    while True:
        client = CosmosClient(endpoint, key, enable_endpoint_discovery=False)
        try:
            await client.__aenter__()  # what fails here would not be closed by `async with`
            return await _made(client, topology)
        except AzureError as error:
            if time.monotonic() > give_up:
                raise NotReady(f"{endpoint}, for {ready_seconds:.0f} s: {error}") from error
        finally:
            await client.close()
        await asyncio.sleep(POLL_SECONDS)


async def _made(client: "CosmosClient", topology: Topology) -> list[str]:
    from azure.cosmos import PartitionKey

    from local.emulators.cosmos.app import definition_of

    database = await client.create_database_if_not_exists(topology.database)
    for each in topology.containers:
        await database.create_container_if_not_exists(
            each.name,
            PartitionKey(f"/{each.partition_key}"),
            indexing_policy=definition_of(each)["indexingPolicy"],
            default_ttl=-1,
        )
    return [each.name for each in topology.containers]


async def bus_answers(connection: str, topology: Topology, *, ready_seconds: float = READY_SECONDS) -> None:
    """Return as soon as the Service Bus emulator has our queues: it begins to listen a while before.

    :param connection: its connection string
    :param ready_seconds: how long it may take to answer
    :raises NotReady: it did not answer in time
    """
    from azure.servicebus.aio import ServiceBusClient
    from azure.servicebus.exceptions import ServiceBusError

    give_up = time.monotonic() + ready_seconds
    while True:
        try:
            async with ServiceBusClient.from_connection_string(connection, retry_total=0) as client:
                # Side by side: opening a link takes the SDK half a second.
                asked = [_peek(client, queue.name) for queue in topology.queues]
                answers = await asyncio.gather(*asked, return_exceptions=True)
            for refused in filter(None, answers):
                raise refused
            return
        except (ServiceBusError, OSError) as error:
            if time.monotonic() > give_up:
                raise NotReady(f"Service Bus, for {ready_seconds:.0f} s: {error}") from error
        await asyncio.sleep(POLL_SECONDS)


async def _peek(client: "ServiceBusClient", queue: str) -> None:
    async with client.get_queue_receiver(queue) as receiver:
        await receiver.peek_messages(1)


@dataclass(frozen=True, slots=True)
class Folder:
    """What containers are given, in a folder that git does not see: secrets, a certificate, the config."""

    path: Path

    def prepare(self, topology: Topology) -> None:
        """Write what is missing; what is there stays, but for the config, which follows the topology.

        Containers run as users of their own, who can read what is mounted; here nobody else gets into the folder.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.path / "servicebus.json").write_text(json.dumps(servicebus_config(topology), indent=2))
        values = {**{name: make() for name, make in _SECRETS.items()}, **self.secrets()}
        env = self.path / "env"
        env.touch(mode=0o600)
        env.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        (self.path / "cosmos.key").write_text(values["COSMOS_KEY"])
        if not (self.path / "authority.pem").exists():
            self._certify(values["COSMOS_CERTIFICATE_PASSWORD"])

    def secrets(self) -> Mapping[str, str]:
        """The secrets that were made before."""
        env = self.path / "env"
        lines = env.read_text().splitlines() if env.exists() else []
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    def _certify(self, password: str) -> None:
        """A certificate for the Cosmos DB emulator, and the authority that containers trust for it.

        Both the host's .NET SDK and Python's are clients of it, the former by https alone.
        """
        import certifi
        import trustme
        from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12
        from cryptography.x509 import load_pem_x509_certificate

        authority = trustme.CA()
        issued = authority.issue_cert(HOST, "localhost", "127.0.0.1")
        certificate = load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
        key: Any = load_pem_private_key(issued.private_key_pem.bytes(), None)
        packed = pkcs12.serialize_key_and_certificates(
            HOST.encode(), key, certificate, None, BestAvailableEncryption(password.encode())
        )
        (self.path / "cosmos.pfx").write_bytes(packed)
        ours = authority.cert_pem.bytes()
        (self.path / "trusted.pem").write_bytes(Path(certifi.where()).read_bytes() + b"\n" + ours)
        (self.path / "authority.pem").write_bytes(ours)  # last: without it, all of this is made again
