"""What Microsoft's emulators are given: the queues and containers of the topology, within the emulators' bounds."""

import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos.aio import CosmosClient
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from local.emulators.cosmos.app import build
from local.emulators.cosmos.signatures import Gate, MasterKey
from local.emulators.servicebus.server import running
from local.emulators.servicebus.tokens import Tokens
from local.emulators.serving import bind_loopback, served
from shared.kernel.clock import utc_now
from shared.topology import Topology, topology
from tests.contract.servicebus import connection_string
from tools.delivery.emulators import (
    DUPLICATES_MINUTES_MAX,
    NAMESPACE,
    Folder,
    NotReady,
    bus_answers,
    make_containers,
    servicebus_config,
)


def test_secrets_and_the_certificate_stay_and_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "containers")
    folder.prepare(topology())
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}

    folder.prepare(topology())

    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before
    assert (folder.path.stat().st_mode & 0o077, (folder.path / "env").stat().st_mode & 0o077) == (0, 0)
    password = folder.secrets()["COSMOS_CERTIFICATE_PASSWORD"].encode()
    _, certificate, _ = pkcs12.load_key_and_certificates((folder.path / "cosmos.pfx").read_bytes(), password)
    assert certificate is not None
    assert b"cosmos" in certificate.public_bytes(Encoding.DER)
    assert (folder.path / "authority.pem").read_bytes() in (folder.path / "trusted.pem").read_bytes()


def entities(config: Any) -> Any:
    [namespace] = config["UserConfig"]["Namespaces"]
    assert namespace["Name"] == NAMESPACE
    return namespace


def lacking(config: Any, wanted: Topology) -> list[str]:
    """Where an emulator's configuration differs from the topology."""
    namespace = entities(config)
    queues = {each["Name"]: each["Properties"] for each in namespace["Queues"]}
    [topic] = namespace["Topics"]
    found = [f"queues: {sorted(queues)}"] if set(queues) != {queue.name for queue in wanted.queues} else []
    for queue in wanted.queues:
        told = queues.get(queue.name, {})
        if (told.get("LockDuration"), told.get("MaxDeliveryCount")) != (
            f"PT{queue.lock_seconds}S", queue.max_delivery_count,
        ):  # fmt: skip
            found.append(f"{queue.name}: {told}")
    filters = {
        (each["Name"], each["Properties"]["ForwardTo"], tuple(re.findall(r"'(\w+)'", rule_of(each))))
        for each in topic["Subscriptions"]
    }
    if filters != {(each.name, each.forward_to, each.types) for each in wanted.subscriptions}:
        found.append(f"subscriptions: {sorted(filters)}")
    return found if topic["Name"] == wanted.topic.name else [*found, f"topic: {topic['Name']}"]


def rule_of(subscription: Any) -> str:
    [rule] = subscription["Rules"]
    expression = rule["Properties"]["SqlFilter"]["SqlExpression"]
    assert expression.startswith("type IN (")
    return str(expression)


def test_the_service_bus_emulator_has_what_the_topology_describes() -> None:
    assert lacking(servicebus_config(topology()), topology()) == []


def test_a_configuration_that_lacks_something_is_seen() -> None:
    wanted = topology()
    fewer = wanted.model_copy(update={"queues": wanted.queues[1:]})
    other = wanted.model_copy(update={"subscriptions": wanted.subscriptions[1:]})
    slower = wanted.queues[0].model_copy(update={"lock_seconds": 30})

    assert "queues: " in lacking(servicebus_config(fewer), wanted)[0]
    assert "subscriptions: " in lacking(servicebus_config(other), wanted)[0]
    assert "payments: " in lacking(
        servicebus_config(wanted.model_copy(update={"queues": (slower, *wanted.queues[1:])})), wanted
    )[0]  # fmt: skip


def test_the_service_bus_emulators_own_bounds_are_kept() -> None:
    """https://github.com/Azure/azure-service-bus-emulator-installer, Schema/Config-schema.json."""
    namespace = entities(servicebus_config(topology()))
    [topic] = namespace["Topics"]
    parts = [*namespace["Queues"], topic, *topic["Subscriptions"]]
    windows = {each["Properties"].get("DuplicateDetectionHistoryTimeWindow") for each in parts} - {None}

    assert windows == {f"PT{DUPLICATES_MINUTES_MAX}M"}
    assert {each["Properties"]["DefaultMessageTimeToLive"] for each in parts} == {"PT1H"}
    assert all(5 <= int(each["Properties"]["LockDuration"][2:-1]) <= 300 for each in namespace["Queues"])
    assert all(1 <= each["Properties"]["MaxDeliveryCount"] <= 10 for each in namespace["Queues"])
    assert len(namespace["Queues"]) + 1 <= 50
    assert all(len(rule_of(each)) <= 1024 for each in topic["Subscriptions"])


async def test_an_empty_account_gets_the_containers_of_the_topology_and_keeps_them(tmp_path: Path) -> None:
    """Through Microsoft's SDK, against our double: their emulator was never there."""
    key = b64encode(b"the account's key of the tests, 64 bytes or so").decode()
    nothing = topology().model_copy(update={"containers": (), "database": "another"})
    app = build(tmp_path / "cosmos.sqlite", Gate(MasterKey(key)), topology=nothing, now=utc_now)
    async with served(app) as endpoint, CosmosClient(endpoint, key, enable_endpoint_discovery=False) as client:
        made = await make_containers(endpoint, key, topology())
        again = await make_containers(endpoint, key, topology())
        found = {each["id"]: each async for each in client.get_database_client("tessera").list_containers()}

    assert made == again == [container.name for container in topology().containers]
    assert {name: (each["partitionKey"]["paths"], each["defaultTtl"]) for name, each in found.items()} == {
        container.name: ([f"/{container.partition_key}"], -1) for container in topology().containers
    }
    paths = {each["path"] for each in found["listings"]["indexingPolicy"]["includedPaths"]}
    assert {"/starts_at/?", "/sold_out/?"} <= paths
    assert "/*" not in paths


async def test_the_bus_is_waited_for_until_it_has_our_queues(tmp_path: Path) -> None:
    listener, key = bind_loopback(0), "a-key-of-the-test"
    fewer = topology().model_copy(update={"queues": topology().queues[1:], "subscriptions": ()})
    connection = connection_string(listener.getsockname()[1], key)

    async with running(listener, data=tmp_path / "bus", topology=fewer, tokens=Tokens(key), now=utc_now):
        await bus_answers(connection, fewer)
        with pytest.raises(NotReady, match="Service Bus, for 0 s: "):
            await bus_answers(connection, topology(), ready_seconds=0)


async def test_an_emulator_that_never_answers_is_told() -> None:
    key = b64encode(b"x" * 64).decode()
    with pytest.raises(NotReady, match=r"http://127\.0\.0\.1:9, for 0 s: "):
        await make_containers("http://127.0.0.1:9", key, topology(), ready_seconds=0)
