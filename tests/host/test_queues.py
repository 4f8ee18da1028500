"""The queue pump through a real host process, on the embedded bus."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.host.process import HostProcess
from shared.bus.embedded import EmbeddedBus
from shared.bus.port import Message
from shared.topology import topology
from tests.host.apps.recording import records

APP = Path(__file__).parent / "apps" / "bus"
TOPOLOGY = topology(APP / "infra" / "topology.json")


async def eventually(condition: Callable[[], Awaitable[bool] | bool], seconds: float = 60.0) -> None:
    """Return once `condition` holds."""
    async with asyncio.timeout(seconds):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.02)


def message(name: str, body: str, **facts: Any) -> Message:
    return Message(id=name, type="Sample", body=body.encode(), **facts)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bus")


@pytest.fixture(scope="module")
def record(data: Path) -> Path:
    return data / "record"


@pytest.fixture(scope="module")
def host(data: Path, record: Path) -> Iterator[HostProcess]:
    with HostProcess.start(app=APP, data=data, environment={"RECORD": str(record), "SINGLES": "singles"}) as process:
        yield process


@pytest.fixture
async def bus(data: Path) -> AsyncIterator[EmbeddedBus]:
    bus = EmbeddedBus(data / "bus.db", TOPOLOGY)
    yield bus
    bus.close()


async def test_a_message_is_given_to_its_function_and_gone(host: HostProcess, bus: EmbeddedBus, record: Path) -> None:
    await bus.publish("singles", [message("ok-1", "hello")])

    await eventually(lambda: any(each["id"] == "ok-1" for each in records(record, "done")))

    [seen] = [each for each in records(record, "single") if each["id"] == "ok-1"]
    assert (seen["delivery"], seen["body"]) == (1, "hello")
    await eventually(lambda: _is_empty(bus, "singles"))


async def test_a_failed_message_is_delivered_again(host: HostProcess, bus: EmbeddedBus, record: Path) -> None:
    await bus.publish("singles", [message("once-1", "fail once", correlation_id="corr-1")])

    await eventually(lambda: any(each["id"] == "once-1" for each in records(record, "done")))

    assert [each["delivery"] for each in records(record, "single") if each["id"] == "once-1"] == [1, 2]
    [entry] = [entry for entry in host.log_entries() if entry.get("message_id") == "once-1"]
    assert (entry["correlation_id"], entry["function"], entry["delivery_count"]) == ("corr-1", "single", 1)
    assert "only the first time" in entry["traceback"]


async def test_a_message_that_always_fails_ends_as_a_dead_letter(
    host: HostProcess, bus: EmbeddedBus, record: Path
) -> None:
    await bus.publish("singles", [message("bad-1", "fail")])

    async def is_dead() -> bool:
        return (await bus.counts("singles"))["dead"] == 1

    await eventually(is_dead)

    [dead] = (await bus.peek_dead_letters("singles")).letters
    assert (dead.message.id, dead.reason, dead.delivery_count) == ("bad-1", "MaxDeliveryCountExceeded", 3)
    assert [each["delivery"] for each in records(record, "single") if each["id"] == "bad-1"] == [1, 2, 3]


async def test_the_lock_of_a_long_invocation_is_renewed(host: HostProcess, bus: EmbeddedBus, record: Path) -> None:
    await bus.publish("singles", [message("slow-1", "slow 4")])  # the queue's lock lasts three seconds

    await eventually(lambda: any(each["id"] == "slow-1" for each in records(record, "done")))

    assert [each["delivery"] for each in records(record, "single") if each["id"] == "slow-1"] == [1]
    await eventually(lambda: _is_empty(bus, "singles"))


async def test_no_more_calls_run_at_once_than_host_json_allows(
    host: HostProcess, bus: EmbeddedBus, record: Path
) -> None:
    await bus.publish("singles", [message(f"many-{number}", "slow 0.4") for number in range(12)])

    await eventually(lambda: len([e for e in records(record, "done") if e["id"].startswith("many-")]) == 12)

    running = most = 0
    for entry in records(record):
        if str(entry.get("id", "")).startswith("many-"):
            running += 1 if entry["what"] == "single" else -1
            most = max(most, running)
    assert most == 4


async def test_a_batch_is_completed_or_given_back_whole(host: HostProcess, bus: EmbeddedBus, record: Path) -> None:
    await bus.publish("batches", [message("b-1", "good"), message("b-2", "fail"), message("b-3", "good")])

    async def are_dead() -> bool:
        return (await bus.counts("batches"))["dead"] == 3

    await eventually(are_dead)

    batches = [each for each in records(record, "batch") if "b-1" in each["ids"]]
    assert [(each["ids"], each["deliveries"]) for each in batches] == [
        (["b-1", "b-2", "b-3"], [1, 1, 1]),
        (["b-1", "b-2", "b-3"], [2, 2, 2]),
    ]


async def test_a_single_message_hands_its_operation_on_and_a_batch_belongs_to_none(
    host: HostProcess, bus: EmbeddedBus, record: Path
) -> None:
    told = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for queue in ("singles", "batches"):
        await bus.publish(queue, [message(f"traced-{queue}", "traced", properties={"Diagnostic-Id": told})])

    await eventually(lambda: bool(records(record, "traced") and records(record, "traced batch")))

    assert [each["parent"] for each in records(record, "traced")] == [told]
    assert [each["parent"] for each in records(record, "traced batch")] == [""]


async def _is_empty(bus: EmbeddedBus, queue: str) -> bool:
    return (await bus.counts(queue))["active"] == 0
