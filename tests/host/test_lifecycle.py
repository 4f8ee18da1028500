"""Starting, stopping, dying: what a host does with what it holds."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from local.host.process import HostFailed, HostProcess
from shared.bus.embedded import EmbeddedBus
from shared.bus.port import Message
from shared.topology import topology
from tests.host.apps.recording import records

APPS = Path(__file__).parent / "apps"
PATIENCE_SECONDS = 60.0
BUS_TOPOLOGY = topology(APPS / "bus" / "infra" / "topology.json")


def bus_environment(data: Path) -> dict[str, str]:
    return {"RECORD": str(data / "record"), "SINGLES": "singles"}


def timer_environment(data: Path) -> dict[str, str]:
    return {"RECORD": str(data / "record"), "EVERY_SECOND": "0 0 0 1 1 *"}


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_stop_finishes_the_message_and_the_request_it_holds(tmp_path: Path) -> None:
    record = tmp_path / "record"
    bus = EmbeddedBus(tmp_path / "bus.db", BUS_TOPOLOGY)
    with ThreadPoolExecutor(1) as pool:
        host = HostProcess.start(app=APPS / "bus", data=tmp_path, environment=bus_environment(tmp_path))
        await bus.publish("singles", [Message("held", "Sample", b"slow 0.9")])
        asked = pool.submit(httpx.get, f"{host.url}/api/slow")
        host.wait_until(lambda: bool(records(record, "single") and records(record, "slow request")), "both begun")

        host.ask_to_stop()
        host.wait_for_log("SIGTERM: finishing")
        await bus.publish("singles", [Message("late", "Sample", b"too late")])
        code = host.stop()

    assert code == 0
    assert asked.result().text == "slow and done"
    assert [entry["id"] for entry in records(record, "done")] == ["held"]
    assert await bus.counts("singles") == {"active": 1, "scheduled": 0, "dead": 0}
    bus.close()


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    host = HostProcess.start(app=APPS / "bus", data=tmp_path, environment=bus_environment(tmp_path))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx.get, f"{host.url}/api/slow?seconds=100", timeout=PATIENCE_SECONDS)
        host.wait_until(lambda: bool(records(tmp_path / "record", "slow request")), "the request")
        host.process.send_signal(signal.SIGINT)
        host.wait_for_log("SIGINT: finishing")
        host.process.send_signal(signal.SIGINT)
        assert host.process.wait(PATIENCE_SECONDS) == 130  # and does not wait for the request
        assert isinstance(asked.exception(), httpx.HTTPError)


def test_a_killed_worker_is_started_again_and_the_host_serves_on(tmp_path: Path) -> None:
    with HostProcess.start(
        app=APPS / "timers", data=tmp_path, workers=2, environment=timer_environment(tmp_path)
    ) as host:
        first, second = host.worker_pids()
        os.kill(first, signal.SIGKILL)
        host.wait_for_log("Worker ready", count=3)

        assert [httpx.get(f"{host.url}/api/pid").text for _ in range(5)] == ["here"] * 5
        third = host.worker_pids()[2]
        assert (alive(first), alive(second), alive(third)) == (False, True, True)
        assert host.stop() == 0
        assert not alive(second)
        assert not alive(third)
    # `runOnStartup` belongs to the start of the host, not to a worker's second one.
    assert len(records(tmp_path / "record", "at_startup")) == 1


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    host = HostProcess.start(app=APPS / "timers", data=tmp_path, workers=2, environment=timer_environment(tmp_path))
    workers = host.worker_pids()

    host.kill()

    wait_until(lambda: not any(alive(pid) for pid in workers))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import no_such_module", "function_app.py could not be loaded: ModuleNotFoundError: No module named"),
        ("x = 1", "function_app.py could not be loaded: ValueError: Could not find top level function app"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(0)", "SystemExit"),
        (
            """
@app.service_bus_queue_trigger(arg_name='m', queue_name='nowhere', connection='S')
async def lost(m: func.ServiceBusMessage) -> None: ...
""",
            "Function lost: the queue `nowhere` is not in infra/topology.json",
        ),
        (
            """
@app.cosmos_db_trigger(arg_name='d', container_name='nowhere', database_name='d', connection='S')
async def lost(d: func.DocumentList) -> None: ...
""",
            "Function lost: the container `nowhere` is not in infra/topology.json",
        ),
        (
            """
@app.blob_trigger(arg_name='b', path='x', connection='S')
async def lost(b: func.InputStream) -> None: ...
""",
            "Function lost: the local host has no `blobTrigger`",
        ),
        (
            """
@app.service_bus_queue_output(arg_name='o', queue_name='payments', connection='S')
@app.route(route='x')
async def lost(req: func.HttpRequest, o: func.Out[str]) -> func.HttpResponse: ...
""",
            "Function lost: the local host does not execute `serviceBus` bindings",
        ),
        (
            """
@app.timer_trigger(arg_name='t', schedule='%NOT_SET%')
async def lost(t: func.TimerRequest) -> None: ...
""",
            "Function lost: the setting NOT_SET",
        ),
        (
            """
@app.timer_trigger(arg_name='t', schedule='whenever')
async def lost(t: func.TimerRequest) -> None: ...
""",
            "Function lost: `whenever` is not an NCRONTAB schedule",
        ),
        (
            "@app.route(route='a/{b')\nasync def lost(req: func.HttpRequest) -> func.HttpResponse: ...",
            "Function lost: the route `a/{b` has unbalanced braces",
        ),
        (
            """
@app.route(route='same/{a}')
async def one(req: func.HttpRequest) -> func.HttpResponse: ...
@app.route(route='same/{b}')
async def two(req: func.HttpRequest) -> func.HttpResponse: ...
""",
            "both answer",
        ),
    ],
)
def test_an_app_that_cannot_run_is_refused_with_its_cause(tmp_path: Path, source: str, told: str) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text(
        f"import azure.functions as func\napp = func.FunctionApp()\n{source}\n" if source != "x = 1" else source
    )

    ended = subprocess.run(
        [sys.executable, "-m", "local.host", "--app", str(tmp_path), "--data", str(tmp_path / "data"), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 3
    assert told in ended.stderr
    assert "Cannot start" in ended.stderr


def test_a_bad_app_stops_the_supervisor_instead_of_being_started_again(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text("import no_such_module")

    with pytest.raises(HostFailed, match="ended with 3"):
        HostProcess.start(app=tmp_path, data=tmp_path / "data", workers=2)


@pytest.mark.parametrize(
    ("host_json", "told"),
    [
        (None, "host.json is missing"),
        ("{", "host.json is not JSON"),
        ('{"version": "1.0"}', "version"),
        ('{"version": "2.0", "functionTimeout": "soon"}', "functionTimeout"),
        ('{"version": "2.0", "extensions": {"serviceBus": {"autoCompleteMessages": false}}}', "autoCompleteMessages"),
    ],
)
def test_a_bad_host_json_is_refused(tmp_path: Path, host_json: str | None, told: str) -> None:
    (tmp_path / "function_app.py").write_text("")
    if host_json is not None:
        (tmp_path / "host.json").write_text(host_json)

    with pytest.raises(HostFailed, match=told):
        HostProcess.start(app=tmp_path, data=tmp_path / "data")


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(HostFailed, match=f"port {port} on 127.0.0.1 is not free"):
            HostProcess.start(app=APPS / "http", data=tmp_path, port=port)
