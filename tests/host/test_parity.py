"""The native door we use answers as the library's own `invocation_request` does, which is what Azure calls.

`native_invocation` is an inner door of `azure-functions-runtime`; these tests tell when a new version moves it.
"""

import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from azure_functions_runtime import handle_event

from local.host.http import _request
from local.host.messages import many_messages, one_message
from local.host.routes import Routes
from local.host.runtime import Datum, Outcome, Runtime, index
from local.host.settings import HostJson
from local.host.triggers import Function, Functions, read_functions
from shared.bus.port import Delivery, Message
from shared.topology import topology

APP = Path(__file__).parent / "apps" / "parity"
TRACE_PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class TypedData:
    """A stand-in for the protobuf message: one member is set, `WhichOneof` tells which."""

    def __init__(self, **members: Any) -> None:
        assert len(members) <= 1
        self._which = next(iter(members), None)
        vars(self).update(members)

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - protobuf's own name
        return self._which


def typed(datum: Datum) -> TypedData:
    """The message Azure's host would have sent for `datum`."""
    if datum.type == "http":
        parts = datum.value
        texts = {
            name: {key: each.value for key, each in parts[name].items()} for name in ("headers", "params", "query")
        }
        http = {"method": parts["method"].value, "url": parts["url"].value, "body": typed(parts["body"]), **texts}
        return TypedData(http=SimpleNamespace(**http))
    return TypedData(**{datum.type: datum.value})


class Binding:
    def __init__(self, name: str, data: TypedData) -> None:
        self.name = name
        self.data = data

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - protobuf's own name
        return "data"


class StatusResult(SimpleNamespace):
    Success, Failure = 1, 0


PROTOS = SimpleNamespace(
    StatusResult=StatusResult,
    InvocationResponse=SimpleNamespace,
    RpcException=SimpleNamespace,
    RpcHttp=SimpleNamespace,
    ParameterBinding=SimpleNamespace,
    TypedData=TypedData,
)


class Both:
    """Calls a function through both doors."""

    def __init__(self, functions: Functions, seen: list[Any]) -> None:
        every = (*functions.http, *functions.queues, *functions.feeds, *functions.timers)
        self.functions = functions
        self._by_name = {each.name: each for each in every}
        self._seen = seen

    async def call(self, name: str, value: Datum, metadata: dict[str, Datum]) -> tuple[Outcome, Any]:
        """Our outcome and the library's response; asserts that the function was given the same by both."""
        function: Function = self._by_name[name]
        self._seen.clear()
        ours = await Runtime(5.0).invoke(function, value, metadata, trace_parent=TRACE_PARENT)
        theirs = await handle_event.invocation_request(_invocation_request(function, value, metadata))
        first, second = self._seen
        assert first == second
        return ours, theirs


def _invocation_request(function: Function, value: Datum, metadata: dict[str, Datum]) -> SimpleNamespace:
    request = SimpleNamespace(
        invocation_id=str(uuid.uuid4()),
        function_id=function.id,
        input_data=[Binding(function.arg, typed(value))],
        trigger_metadata={name: typed(each) for name, each in metadata.items()},
        trace_context=SimpleNamespace(trace_parent=TRACE_PARENT, trace_state="", attributes={}),
        retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
    )
    return SimpleNamespace(request=SimpleNamespace(invocation_request=request))


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    path, module = list(sys.path), sys.modules.pop("function_app", None)
    functions = read_functions(index(APP), topology())
    mine = sys.modules.pop("function_app")
    sys.path[:] = path
    if module is not None:
        sys.modules["function_app"] = module
    former, handle_event.protos = handle_event.protos, PROTOS
    yield Both(functions, mine.seen)
    handle_event.protos = former
    Runtime(1.0).close()


def http_datum(both: Both, query: bytes, body: bytes) -> Datum:
    routes = Routes(both.functions.http, HostJson(version="2.0").extensions.http.route_prefix)
    scope = {"method": "POST", "scheme": "http", "path": "/api/things/17", "query_string": query}
    headers = {"host": "127.0.0.1:7071", "content-type": "text/plain", "x-two": "a,b"}
    return _request(scope, headers, routes.match("/api/things/17", "POST"), Datum(body, "bytes"))


async def test_http(both: Both) -> None:
    ours, theirs = await both.call("http", http_datum(both, b"a=1&b=%C3%A4&c=", b"body"), {})

    assert ours.ok
    assert theirs.result.status == StatusResult.Success
    assert ours.value is not None
    mine, other = ours.value.value, theirs.return_value.http
    assert mine["status_code"].value == other.status_code == "201"
    assert {name: each.value for name, each in mine["headers"].items()} == other.headers
    assert mine["body"].value == other.body.bytes == b"\x00made"


async def test_http_that_fails(both: Both) -> None:
    ours, theirs = await both.call("http", http_datum(both, b"fail=1", b""), {})

    assert not ours.ok
    assert theirs.result.status == StatusResult.Failure
    assert "asked to" in ours.error
    assert "asked to" in theirs.result.exception.message


def delivery(number: int, **facts: Any) -> Delivery:
    message = Message(f"m-{number}", "OrderPaid", b'{"n":1}', properties={"attempt": number, "who": "me"}, **facts)
    enqueued = datetime(2026, 3, 5, 10, 0, number, 250_000 * (number % 2), tzinfo=UTC)
    return Delivery(message, "payments", f"token-{number}", number, 40 + number, enqueued, enqueued)


async def test_service_bus_one(both: Both) -> None:
    ours, theirs = await both.call("one", *one_message(delivery(1, correlation_id="corr")))

    assert ours.ok
    assert theirs.result.status == StatusResult.Success
    [told, _] = both._seen
    assert told == {
        "body": b'{"n":1}',
        "message_id": "m-1",
        "delivery_count": 1,
        "sequence_number": 41,
        "enqueued_time_utc": datetime(2026, 3, 5, 10, 0, 1, 250_000),  # noqa: DTZ001 - naive on Azure too
        "expires_at_utc": None,
        "lock_token": "token-1",
        "correlation_id": "corr",
        "content_type": "application/json",
        "subject": "OrderPaid",
        "label": "OrderPaid",
        "application_properties": {"type": "OrderPaid", "attempt": 1, "who": "me"},
        "user_properties": {"type": "OrderPaid", "attempt": 1, "who": "me"},
    }


async def test_service_bus_many(both: Both) -> None:
    deliveries = [delivery(number, correlation_id=f"corr-{number}") for number in (1, 2, 3)]

    ours, theirs = await both.call("many", *many_messages(deliveries))

    assert ours.ok
    assert theirs.result.status == StatusResult.Success
    [told, _] = both._seen
    assert [each["message_id"] for each in told] == ["m-1", "m-2", "m-3"]
    assert [each["delivery_count"] for each in told] == [1, 2, 3]
    assert [each["sequence_number"] for each in told] == [41, 42, 43]
    assert [each["correlation_id"] for each in told] == ["corr-1", "corr-2", "corr-3"]
    assert told[1]["user_properties"] == {"type": "OrderPaid", "attempt": 2, "who": "me"}


async def test_cosmos(both: Both) -> None:
    documents = [{"id": "a", "n": 1, "deep": {"list": [1, None, "ä"]}, "_ts": 17}, {"id": "b"}]

    ours, theirs = await both.call("feed", Datum(orjson.dumps(documents).decode(), "json"), {})

    assert ours.ok
    assert theirs.result.status == StatusResult.Success
    assert both._seen[0] == documents


async def test_timer_in_a_thread(both: Both) -> None:
    info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": {"Last": "x", "Next": "y"}, "IsPastDue": True}

    ours, theirs = await both.call("timer", Datum(orjson.dumps(info).decode(), "json"), {})

    assert ours.ok
    assert theirs.result.status == StatusResult.Success
    assert both._seen[0] == (True, {"AdjustForDST": True}, {"Last": "x", "Next": "y"})
