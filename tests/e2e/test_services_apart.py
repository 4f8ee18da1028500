"""The four services as four apps, as in prod: told only what Bicep tells, requests led as by the gateway.

What Bicep forgets to tell an app, or a backend that leads to an app without the function, ends the sale here. The names
of settings are Bicep's; their values are this machine's, and are compared in `tests/infra`.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.demo import Demo
from local.emulators.serving import bind_loopback, served
from local.host.process import HostProcess
from local.layout import Ports
from local.package import ROOT
from local.seed.seed import Seeder
from local.stack import Stack
from shared.kernel.clock import utc_now
from shared.web.entrance import PROOF_HEADER
from tests.support.grants import overstepped
from tools.bicep.values import Declared
from tools.plan import planned

# Where the doubles are, which nobody has to tell an app on Azure, and where files lie, of which it has none.
LOCAL_ONLY: Final = frozenset({
    "TESSERA_DATA", "TESSERA_STORE", "TESSERA_BUS", "STRIPE_API_BASE", "DIRECTORY_CA", "DIRECTORY_GRAPH_BASE",
})  # fmt: skip
HOP_BY_HOP: Final = frozenset({"connection", "transfer-encoding", "content-length", "host", "date", "server"})
DIRECTORY: Final = {"DIRECTORY_AUTHORITY": "https://people.ciamlogin.com/1", "SMTP_USERNAME": "tickets"}


@pytest.fixture(scope="module")
def prod() -> list[Declared]:
    return list(planned("prod", variables=DIRECTORY).declared())


def apps(declared: list[Declared]) -> dict[str, dict[str, str]]:
    """Name of an app → the settings that it is given."""
    return {
        str(each.name): {str(setting["name"]): str(setting["value"]) for setting in settings}
        for each in declared
        if each.type == "Microsoft.Web/sites"
        and isinstance(settings := each.at("properties", "siteConfig", "appSettings"), list)
    }


def backends(declared: list[Declared]) -> dict[str, str]:
    """Context → the app that its backend leads to."""
    found = {
        str(each.name): each.at("properties", "url") for each in declared if each.type.endswith("service/backends")
    }
    return {context: str(urlsplit(str(url)).hostname).partition(".")[0] for context, url in found.items()}


class Led:
    """Leads requests as API Management does: by operation, its context, its backend."""

    def __init__(
        self, hosts: Mapping[str, str], contexts: Mapping[str, str], proof: str, http: httpx.AsyncClient
    ) -> None:
        document = orjson.loads((ROOT / "infra" / "openapi.json").read_bytes())
        self._operations = [
            (re.compile("/api" + re.sub(r"{\w+}", "[^/]+", path)), methods)
            for path, methods in document["paths"].items()
        ]
        self._hosts = hosts
        self._contexts = contexts
        self._proof = proof
        self._http = http
        self.asked: set[str] = set()

    async def lead(self, request: Request) -> Response:
        operation = next(
            methods[request.method.lower()]["operationId"]
            for pattern, methods in self._operations
            if pattern.fullmatch(request.url.path) and request.method.lower() in methods
        )
        app = self._contexts[operation.split("-")[0]]
        self.asked.add(app)
        answer = await self._http.request(
            request.method,
            f"{self._hosts[app]}{request.url.path}?{request.url.query}",
            headers=[*((k, v) for k, v in request.headers.items() if k not in HOP_BY_HOP), (PROOF_HEADER, self._proof)],
            content=await request.body(),
        )
        headers = {key: value for key, value in answer.headers.items() if key not in HOP_BY_HOP}
        return Response(answer.content, answer.status_code, headers)


def told(given: Mapping[str, str], have: Mapping[str, str]) -> dict[str, str]:
    """The settings of an app: those that Bicep gives it, with this machine's values."""
    local = LOCAL_ONLY if "DIRECTORY_AUTHORITY" in given else LOCAL_ONLY - {"DIRECTORY_CA"}
    known = {name: value for name, value in have.items() if name in given or name in local}
    return {**known, "TESSERA_SERVICES": given["TESSERA_SERVICES"]}


@asynccontextmanager
async def running(stack: Stack, declared: list[Declared]) -> AsyncIterator[tuple[Led, Mapping[str, str]]]:
    have = stack.environment()
    with ExitStack() as over:
        hosts = {
            name: over.enter_context(started(stack, name, told(given, have))).url
            for name, given in apps(declared).items()
        }
        async with httpx.AsyncClient(timeout=30) as http:
            led = Led(hosts, backends(declared), have["GATEWAY_SECRET"], http)
            routes = [Route("/{rest:path}", led.lead, methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])]
            async with served(Starlette(routes=routes), listener=bind_loopback(stack.ports.host)):
                yield led, hosts


def started(stack: Stack, name: str, settings: Mapping[str, str]) -> HostProcess:
    return HostProcess.start(
        app=ROOT,
        data=stack.data,
        environment=settings,
        arguments=["--no-gateway"],
        log_path=stack.data / f"{name}.log",
    )


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    found = Stack(tmp_path, Ports.free(), pages=None)
    try:
        found.start_emulators()
        yield found
    finally:
        found.stop()


async def test_a_ticket_is_sold_by_four_apps_that_know_only_what_bicep_tells_them(
    stack: Stack, prod: list[Declared]
) -> None:
    async with running(stack, prod) as (led, hosts), httpx.AsyncClient(timeout=30) as http:
        await asyncio.to_thread(Seeder(stack.url, stack.entra_url).seed, utc_now())
        await Demo(stack, http, Console(quiet=True)).run()
        metrics = {name: await metrics_of(stack, url) for name, url in hosts.items()}

    assert len(hosts) == 4
    assert led.asked == {name for name in hosts if "workers" not in name}
    assert {name: overstepped(text) for name, text in metrics.items()} == {name: [] for name in hosts}


async def metrics_of(stack: Stack, url: str) -> str:
    have = stack.environment()
    headers = {PROOF_HEADER: have["GATEWAY_SECRET"], "authorization": f"Bearer {have['INSIGHTS_API_KEY']}"}
    async with httpx.AsyncClient() as http:
        answer: Any = await http.get(f"{url}/api/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.text)
