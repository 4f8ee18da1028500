"""One running Tessera a test process for the public surface; tests make their own organisers and people in it."""

import re
from collections.abc import Iterator

import httpx
import pytest

from local.host.process import HostProcess
from local.layout import Ports
from local.stack import ROOT, Stack
from shared.web.entrance import PROOF_HEADER
from tests.support.api import Api, Organiser, Seen
from tests.support.grants import overstepped
from tests.support.leaks import leaks_below

_HOSTS_OWN = {404, 405, 429}  # answered by the host where no function is asked


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), Ports.free()) as running:
        yield running


@pytest.fixture(scope="session")
def api(stack: Stack) -> Iterator[Api]:
    """The client. At the end every status it saw must be one the OpenAPI document tells of, no function may have asked
    a container for more than its service is granted, and no secret may lie about."""
    with httpx.Client(base_url=stack.url, timeout=30) as http:
        client = Api(stack, http)
        yield client
        undocumented = undocumented_statuses(client.seen, http.get("/api/openapi.json").json())
        told = client.insights.get("metrics").text
    assert undocumented == set()
    assert overstepped(told) == []
    assert leaks_below(stack.data) == []


def undocumented_statuses(seen: Seen, document: dict[str, dict[str, dict[str, dict[str, object]]]]) -> Seen:
    """What was answered and is not in the document; a path or method that is not there either is the host's answer."""
    patterns = {re.compile(re.sub(r"{\w+}", "[^/]+", path)): item for path, item in document["paths"].items()}
    found: Seen = set()
    for method, path, status in seen:
        items = [item for pattern, item in patterns.items() if pattern.fullmatch(path)]
        operations = [item[method.lower()] for item in items if method.lower() in item]
        if not operations:
            documented = status in _HOSTS_OWN or method == "HEAD"
        else:
            responses = operations[0]["responses"]
            assert isinstance(responses, dict)
            documented = str(status) in responses
        if not documented:
            found.add((method, path, status))
    return found


@pytest.fixture(scope="session")
def bare(stack: Stack) -> Iterator[HostProcess]:
    """The functions without the gateway, as at their own address on Azure; with a store of their own."""
    with HostProcess.start(
        app=ROOT, data=stack.data / "bare", environment=stack.environment(), arguments=["--no-gateway"]
    ) as host:
        yield host


@pytest.fixture(scope="session")
def direct(stack: Stack, bare: HostProcess) -> Iterator[Api]:
    """A client that knows the gateway's secret, and so sees what the functions themselves refuse."""
    proof = {PROOF_HEADER: stack.environment()["GATEWAY_SECRET"]}
    with httpx.Client(base_url=bare.url, timeout=30, headers=proof) as http:
        yield Api(stack, http)


@pytest.fixture
def house(api: Api) -> Organiser:
    """An organiser of the test's own."""
    return api.organiser()
