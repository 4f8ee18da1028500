"""A Tessera of its own for those who misuse it, so that its log and its counters tell of nobody else."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.layout import Ports
from local.stack import Stack
from tests.support.api import Api


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them share one Tessera."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("misuse"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("misused"), Ports.free()) as running:
        yield running


@pytest.fixture(scope="session")
def api(stack: Stack) -> Iterator[Api]:
    """The client; at the end nothing may have been a bug, and the stock must be as its orders say."""
    with httpx.Client(base_url=stack.url, timeout=30) as http:
        client = Api(stack, http)
        yield client
        assert wrongs(client) == []


def wrongs(api: Api) -> list[str]:
    """What a client must never bring about: bugs, tracebacks in the log, stock that does not add up."""
    admin = api.person("admin")
    counted = admin.get("operations/counters").json()["counters"].get("bugs", 0)
    found = [f"{counted} bugs counted"] if counted else []
    found += admin.post("operations/inventory-audit").json()["violations"]
    host = api.stack.host
    assert host is not None
    found += [str(entry) for entry in host.log_entries() if entry.get("level") in {"ERROR", "CRITICAL"}]
    found += [line for line in host.log_path.read_text(errors="replace").splitlines() if "Traceback" in line]
    return found
