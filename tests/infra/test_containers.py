"""Images and the compose file: linted, and all they name is what Tessera has. What they do was never seen here."""

import re
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any, Final

import pathspec
import pytest
from azure.cosmos.aio import CosmosClient
from cryptography.hazmat.primitives.serialization import pkcs12

from local.emulators.cosmos.app import build
from local.emulators.cosmos.signatures import Gate, MasterKey
from local.emulators.serving import served
from local.package import ROOT, packaged
from shared.kernel.clock import utc_now
from shared.settings import SERVICES, Settings, connection_parts, is_emulator, variable
from shared.topology import Topology, topology
from tests.infra.commands import targets
from tests.infra.yamls import of_file, read, refusals
from tools.delivery.emulators import (
    DUPLICATES_MINUTES_MAX,
    NAMESPACE,
    Folder,
    NotReady,
    make_containers,
    servicebus_config,
)

COMPOSE: Final = ROOT / "compose.yaml"
OF_HOST: Final = frozenset({"AzureWebJobsStorage", "FUNCTIONS_WORKER_RUNTIME", "SSL_CERT_FILE"})
PINNED: Final = re.compile(r"mcr\.microsoft\.com/[\w./-]+:(?!latest$)[\w.-]+")
SECRET_LIKE: Final = re.compile(r"SECRET|PASSWORD|_KEY$|TICKET_KEY")


def dockerfile(service: str) -> Path:
    return ROOT / "containers" / f"{service}.Dockerfile"


def linted(path: Path) -> str:
    """What hadolint has against a Dockerfile."""
    program = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([program, "--no-color", path], check=False, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def test_there_is_an_image_a_service_and_all_are_alike() -> None:
    texts = {service: dockerfile(service).read_text() for service in SERVICES}

    assert {path.stem for path in (ROOT / "containers").iterdir()} == set(SERVICES)
    assert {text.replace(service, "SERVICE") for service, text in texts.items()} == {
        texts["commerce"].replace("commerce", "SERVICE")
    }


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_has_nothing_that_the_linter_minds(service: str) -> None:
    assert linted(dockerfile(service)) == ""


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("python:4-python3.13\n", "python:latest\n", "DL3007"),
        ("python -m pip install --no-cache-dir", "pip install", "DL3042"),
        ("USER 1654", "USER root", "DL3002"),
        ("WORKDIR /home/site/wwwroot", "WORKDIR wwwroot", "DL3000"),
    ],
)
def test_the_linter_minds_what_it_should(old: str, new: str, rule: str, tmp_path: Path) -> None:
    text = dockerfile("commerce").read_text()
    assert old in text
    (tmp_path / "Dockerfile").write_text(text.replace(old, new))

    assert rule in linted(tmp_path / "Dockerfile")


def test_an_image_is_built_of_what_the_package_is_built_of_and_no_secret_gets_near_it() -> None:
    ignored = pathspec.GitIgnoreSpec.from_lines((ROOT / ".dockerignore").read_text().splitlines())
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=30)
    context = {name for name in tracked.stdout.splitlines() if not ignored.match_file(name)}

    assert context == {path.relative_to(ROOT).as_posix() for path in packaged()}
    for secret in (".tessera/secrets.json", ".containers/env", "local.settings.json", ".git/config", ".env"):
        assert ignored.match_file(secret)


def test_an_image_copies_all_of_that() -> None:
    text = dockerfile("commerce").read_text()
    copied = {part for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for part in line.split()}

    tops = {"/".join(path.relative_to(ROOT).parts[:1]) for path in packaged()}
    assert {part.split("/")[0] for part in copied} == tops


def composed() -> Any:
    return of_file(COMPOSE)


def wrong_with(document: Any) -> list[str]:
    """What is wrong with a compose file, a sentence each."""
    found = refusals("compose-spec", document)
    services = document["services"]
    ours = {name: each for name, each in services.items() if "build" in each}
    settings = {variable(field) for field in Settings.model_fields} | OF_HOST
    if set(ours) != set(SERVICES):
        found.append(f"services are {', '.join(sorted(ours))}")
    for name, service in ours.items():
        environment = service["environment"]
        found += [f"{name} is told {each}, which nobody reads" for each in environment if each not in settings]
        if environment.get("TESSERA_SERVICES") != name:
            found.append(f"{name} runs {environment.get('TESSERA_SERVICES')}")
        if not (ROOT / service["build"]["dockerfile"]).exists():
            found.append(f"{name} is built from {service['build']['dockerfile']}, which is not there")
        found += [
            f"{name} waits for {each}, which is not there" for each in service["depends_on"] if each not in services
        ]
    for name, service in services.items():
        if "build" not in service and not PINNED.fullmatch(service["image"]):
            found.append(f"{name} is {service['image']}, which is not pinned")
        found += [f"{name} listens at {each} for everybody" for each in service.get("ports", [])
                  if not each.startswith("127.0.0.1:")]  # fmt: skip
        found += [
            f"{name} has the secret {each} written out"
            for each, value in service.get("environment", {}).items()
            if SECRET_LIKE.search(each) and not str(value).startswith(("${", "/"))
        ]
    published = [each.split(":")[1] for service in services.values() for each in service.get("ports", [])]
    return found + [f"port {each} is taken twice" for each in {*published} if published.count(each) > 1]


def test_the_compose_file_is_well_formed_and_all_it_names_is_there() -> None:
    assert wrong_with(composed()) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("healthcheck:", "healtcheck:", "$.services"),
        ("TESSERA_STORE: cosmos", "TESSERA_SHOP: cosmos", "is told TESSERA_SHOP, which nobody reads"),
        ("TESSERA_SERVICES: workers", "TESSERA_SERVICES: commerce", "workers runs commerce"),
        ("azurite:3.35.0", "azurite:latest", "which is not pinned"),
        ("127.0.0.1:7072:8080", "7072:8080", "listens at 7072:8080 for everybody"),
        ("127.0.0.1:7072:8080", "127.0.0.1:7071:8080", "port 7071 is taken twice"),
        ("containers/identity.Dockerfile", "containers/people.Dockerfile", "which is not there"),
        ("servicebus: { condition", "bus: { condition", "waits for bus, which is not there"),
        ("${INSIGHTS_API_KEY:?make emulators makes it}", "abc", "has the secret INSIGHTS_API_KEY written out"),
    ],
)
def test_a_compose_file_that_is_broken_in_one_place_is_refused(old: str, new: str, said: str) -> None:
    text = COMPOSE.read_text()
    assert old in text

    found = wrong_with(read(text.replace(old, new, 1)))

    assert any(said in each for each in found), found


def test_the_settings_of_containers_are_ones_that_tessera_starts_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Folder(tmp_path / "containers").prepare(topology())
    made = Folder(tmp_path / "containers").secrets()
    for name, value in composed()["services"]["commerce"]["environment"].items():
        monkeypatch.setenv(name, filled(str(value), made))

    found = Settings.from_environment()

    assert found.services == ("commerce",)
    assert (found.tessera_store, found.tessera_bus) == ("cosmos", "servicebus")
    assert is_emulator(connection_parts(found.cosmos_connection))  # or its account would be refused: it says Session
    assert is_emulator(connection_parts(found.servicebus_connection))  # or the SDK would want TLS


def filled(text: str, values: dict[str, str] | Any) -> str:
    """As compose puts variables in."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        assert name in values or kind == ":-", f"nobody makes {name}"
        return str(values.get(name, rest))

    return re.sub(r"\$\{(\w+)(:-|:\?)([^}]*)\}", value, text)


def test_what_the_compose_file_mounts_and_asks_for_is_what_is_made(tmp_path: Path) -> None:
    Folder(tmp_path).prepare(topology())
    text = COMPOSE.read_text()

    mounted = set(re.findall(r"\./\.containers/([\w.]+):", text))
    assert mounted == {"trusted.pem", "cosmos.key", "cosmos.pfx", "servicebus.json"}
    assert {name for name in mounted if not (tmp_path / name).exists()} == set()
    wanted = set(re.findall(r"\$\{(\w+):\?make emulators", text))
    assert wanted == set(Folder(tmp_path).secrets())
    assert {"emulators", "emulators-end", "containers", "contract"} <= targets()


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
    assert b"cosmos" in certificate.public_bytes(encoding_of_der())
    assert (folder.path / "authority.pem").read_bytes() in (folder.path / "trusted.pem").read_bytes()


def encoding_of_der() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.DER


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


async def test_an_emulator_that_never_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.delivery.emulators.READY_SECONDS", 0.0)

    with pytest.raises(NotReady, match=r"http://127\.0\.0\.1:9, for 0 s: "):
        await make_containers("http://127.0.0.1:9", b64encode(b"x" * 64).decode(), topology())
