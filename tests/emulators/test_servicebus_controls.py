"""The Service Bus double's controls over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.topology import topology
from tests.emulators.processes import Emulator


@pytest.fixture
def controls(tmp_path: Path) -> Iterator[httpx.Client]:
    with (
        Emulator("servicebus", tmp_path, "--control-port", "0") as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        yield client


def test_locks_of_a_queue_that_is_not_there_are_not_found_and_the_queues_are_named(controls: httpx.Client) -> None:
    unknown = controls.request("DELETE", "/_emulator/locks", json={"queue": "nope"})
    known = [controls.request("DELETE", "/_emulator/locks", json=wanted) for wanted in ({"queue": "payments"}, {})]

    names = ", ".join(queue.name for queue in topology().queues)
    assert (unknown.status_code, unknown.json()) == (404, {"error": f"queue: there is no 'nope', only {names}"})
    assert [(each.status_code, each.json()) for each in known] == [(200, {"expired": 0})] * 2
