"""Images and the compose file: linted, and all they name is what Tessera has. What they do was never seen here."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pathspec
import pytest

from local.package import ROOT, packaged
from shared.settings import SERVICES, Settings, connection_parts, is_emulator, variable
from shared.topology import topology
from tests.infra.commands import targets
from tests.infra.yamls import of_file, read, refusals
from tools.delivery.emulators import (
    Folder,
)

COMPOSE: Final = ROOT / "compose.yaml"
OF_HOST: Final = frozenset({"AzureWebJobsStorage", "FUNCTIONS_WORKER_RUNTIME", "SSL_CERT_FILE"})
PINNED: Final = re.compile(r"mcr\.microsoft\.com/[\w./-]+:(?!latest$)[\w.-]+")
# https://learn.microsoft.com/azure/cosmos-db/emulator-linux: its health probe, which is not the gateway's port.
EMULATOR_READY: Final = r"http://127\.0\.0\.1:8080/ready$"
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


def astray(text: str) -> list[str]:
    """Where an image's host would look for its code, listen and be asked: those have to be one place and one port."""
    [home], [root] = (
        re.findall(r"^WORKDIR (\S+)", text, re.MULTILINE),
        re.findall(r"AzureWebJobsScriptRoot=(\S+)", text),
    )
    [listens], [exposed] = (
        re.findall(r"ASPNETCORE_URLS=http://\+:(\d+)", text),
        re.findall(r"^EXPOSE (\d+)", text, re.MULTILINE),
    )
    [(asked, path)] = re.findall(r'"http://127\.0\.0\.1:(\d+)(/[\w/]+)"\]', text)
    found = [f"the host reads {root}, and the code is in {home}"] if root != home else []
    found += [f"port {each}, not {listens}" for each in (exposed, asked) if each != listens]
    mapped = {each.split(":")[2] for service in composed()["services"].values() if "build" in service
              for each in service["ports"]}  # fmt: skip
    return (
        found
        + [f"compose.yaml maps {each}, not {listens}" for each in mapped - {listens}]
        + ([f"it is asked for {path}"] if path != "/api/health/live" else [])
    )


def test_an_image_is_asked_where_it_listens_and_runs_what_it_has() -> None:
    assert astray(dockerfile("commerce").read_text()) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ScriptRoot=/home/site/wwwroot", "ScriptRoot=/home/site", "the host reads /home/site, and the code is in"),
        ("http://127.0.0.1:8080/api", "http://127.0.0.1:80/api", "port 80, not 8080"),
        ("EXPOSE 8080", "EXPOSE 80", "port 80, not 8080"),
        ("http://+:8080", "http://+:80", "compose.yaml maps 8080, not 80"),
        ("/api/health/live", "/api/health/ready", "it is asked for /api/health/ready"),
    ],
)
def test_an_image_that_is_astray_is_refused(old: str, new: str, said: str) -> None:
    text = dockerfile("commerce").read_text()
    assert old in text

    found = astray(text.replace(old, new, 1))

    assert any(said in each for each in found), found


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
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
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
    bus, own = services["servicebus"]["environment"], services["cosmos"]
    if bus["SQL_SERVER"] not in services["servicebus"]["depends_on"] or bus["SQL_SERVER"] not in services:
        found.append(f"servicebus keeps its messages at {bus['SQL_SERVER']}, which is not there")
    if own["environment"]["GATEWAY_PUBLIC_ENDPOINT"] not in services:
        found.append(f"cosmos says it is {own['environment']['GATEWAY_PUBLIC_ENDPOINT']}, which is not there")
    if not re.search(EMULATOR_READY, " ".join(own.get("healthcheck", {}).get("test", []))):
        found.append("cosmos is not asked where it says that it is ready")
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
        ("SQL_SERVER: sql", "SQL_SERVER: mssql", "servicebus keeps its messages at mssql, which is not there"),
        ("GATEWAY_PUBLIC_ENDPOINT: cosmos", "GATEWAY_PUBLIC_ENDPOINT: db", "cosmos says it is db, which is not there"),
        ("http://127.0.0.1:8080/ready", "http://127.0.0.1:8081/ready", "cosmos is not asked where it says"),
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
