"""The exporter on the wire: what the ingestion is sent, and what happens when it does not take it."""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from shared.telemetry import (
    Attribute,
    BusinessEvent,
    Invocation,
    Span,
    SpanKind,
    business_event,
    count,
    counters,
    export_to,
    observe,
    span,
    trace_parent,
)
from shared.telemetry.applicationinsights import BATCH_MAX, ApplicationInsights
from shared.telemetry.connection import Authentication, Connection
from shared.telemetry.scrubbing import REMOVED
from shared.telemetry.waiting import QUEUE_MAX, WAKE_AT
from shared.version import version
from tests.emulators.processes import Emulator

KEY: Final = "7e55e2a0-0000-4000-8000-000000000002"
BEARER: Final = "a token of the managed identity"
ROOT: Final = Path(__file__).parents[2]
PATIENCE_SECONDS: Final = 60.0  # normally well below one


@pytest.fixture(scope="module")
def ingestion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator("applicationinsights", tmp_path_factory.mktemp("applicationinsights")) as running:
        yield running


@pytest.fixture
def fresh(ingestion: Emulator) -> Emulator:
    """The ingestion with nothing in it and no fault."""
    httpx.delete(f"{ingestion.url}/items").raise_for_status()
    httpx.delete(f"{ingestion.url}/_emulator/faults").raise_for_status()
    return ingestion


@pytest.fixture(autouse=True)
def nobody_sends_any_more(ingestion: Emulator) -> Iterator[None]:
    """What a test began to send ends with it, so that no other, nor a double on the same port, sees of it."""
    before = set(threading.enumerate())
    yield
    httpx.delete(f"{ingestion.url}/_emulator/faults").raise_for_status()  # answers that are held back are given
    begun = set(threading.enumerate()) - before
    for thread in begun:
        thread.join(PATIENCE_SECONDS)
    assert [thread.name for thread in begun if thread.is_alive()] == []


@contextmanager
def exporting(
    url: str, *, authentication: Authentication | None = None, close_seconds: float = PATIENCE_SECONDS
) -> Iterator[ApplicationInsights]:
    """An exporter that sends ten times a second, closed at the end."""
    exporter = ApplicationInsights(
        Connection(KEY, url), authentication or Authentication(), role="tested", send_seconds=0.1, metrics_seconds=600.0
    )
    export_to(exporter)
    try:
        yield exporter
    finally:
        export_to(None)
        exporter.close(close_seconds)


def items(url: str, type_: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/items", params={"type": type_}).raise_for_status().json()["items"]
    return found


def until(condition: Callable[[], bool], what: str) -> None:
    """Return once the condition holds: threads of the exporter make it true."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)


def fault(emulator: Emulator, **told: Any) -> None:
    httpx.post(f"{emulator.url}/_emulator/faults", json=told).raise_for_status()


def lost() -> int:
    return counters().get("telemetry_batches_lost", 0)


def test_a_request_its_dependency_an_event_and_metrics_arrive_as_azure_wants_them(fresh: Emulator) -> None:
    told: dict[str, Attribute] = {"http.method": "POST", "http.route": "/api/orders"}
    with exporting(fresh.url), Invocation("sales_place_order", SpanKind.SERVER, "", told) as invocation:
        root = trace_parent()
        invocation.answered(409)
        with span("send ExpireOrder", SpanKind.PRODUCER, component="Queue Message", target="expiries"):
            business_event("OrderPaid", {"order_id": "ord_x"}, {"quantity": 2.0})
        count("orders_placed")
        observe("function_seconds", 0.25, "sales_place_order", "ok")

    _, trace_id, span_id, _ = root.split("-")
    [request], [dependency], [event] = (
        items(fresh.url, type_) for type_ in ("RequestData", "RemoteDependencyData", "EventData")
    )
    assert {each["tags"]["ai.operation.id"] for each in (request, dependency, event)} == {trace_id}
    assert "ai.operation.parentId" not in request["tags"]
    assert dependency["tags"]["ai.operation.parentId"] == span_id == request["data"]["baseData"]["id"]
    assert event["tags"]["ai.operation.parentId"] == dependency["data"]["baseData"]["id"]
    assert {each["tags"]["ai.cloud.role"] for each in items(fresh.url)} == {"tested"}
    assert {each["tags"]["ai.application.ver"] for each in items(fresh.url)} == {version()}
    assert {each["iKey"] for each in items(fresh.url)} == {KEY}
    data = request["data"]["baseData"]
    assert (data["name"], data["responseCode"], data["success"]) == ("POST /api/orders", "409", True)
    data = dependency["data"]["baseData"]
    assert (data["name"], data["type"], data["target"]) == ("send ExpireOrder", "Queue Message", "expiries")
    data = event["data"]["baseData"]
    assert (data["name"], data["properties"], data["measurements"]) == (
        "OrderPaid", {"order_id": "ord_x"}, {"quantity": 2.0},
    )  # fmt: skip
    metrics = [each["data"]["baseData"] for each in items(fresh.url, "MetricData")]
    points = {each["metrics"][0]["name"]: (each["metrics"][0], each["properties"]) for each in metrics}
    assert points["orders_placed"][0]["value"] >= 1
    duration, of = points["function_seconds"]
    assert duration["kind"] == "Aggregation"  # or its number would not be reckoned with
    assert duration["count"] >= 1
    assert of["function"]


def test_what_a_caller_put_in_by_mistake_does_not_leave(fresh: Emulator) -> None:
    with exporting(fresh.url):
        with span("mail to uma@tessera.example", email="uma@tessera.example", note="card 4242 4242 4242 4242"):
            pass
        business_event("OrderPaid", {"buyer": "Uma User", "text": "x", "order_id": "ord_x"})

    sent = json.dumps(items(fresh.url))
    assert len(items(fresh.url)) >= 2
    assert not any(word in sent for word in ("uma@", "Uma", "4242"))
    assert REMOVED in sent
    assert "ord_x" in sent


def test_telemetry_is_signed_by_the_managed_identity_where_that_is_asked_for(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator("applicationinsights", tmp_path_factory.mktemp("signed"), "--bearer", BEARER) as closed:
        before = lost()
        with exporting(closed.url), span("unsigned"):
            pass
        assert items(closed.url) == []
        assert lost() > before

        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{closed.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "the platform's secret")
        with exporting(closed.url, authentication=Authentication(by_identity=True)), span("signed"):
            pass
        assert [each["data"]["baseData"]["name"] for each in items(closed.url, "RemoteDependencyData")] == ["signed"]


@pytest.mark.parametrize(
    "told",
    [{"status": 429}, {"status": 503}, {"status": 400}, {"status": 206}, {"status": 404}],
)
def test_what_the_ingestion_does_not_take_is_lost_and_counted_and_the_next_batch_is_sent(
    fresh: Emulator, told: dict[str, Any]
) -> None:
    fault(fresh, **told, times=1)
    before = lost()
    with exporting(fresh.url):
        with span("first"), span("second"):
            pass
        until(lambda: lost() > before, "a lost batch")
        with span("third"):
            pass
        until(lambda: "third" in json.dumps(items(fresh.url)), "the next batch")


def test_an_answer_that_is_no_answer_disturbs_nothing(fresh: Emulator) -> None:
    fault(fresh, garbage=True, times=1_000)
    with exporting(fresh.url):
        for name in ("first", "second"):
            with span(name):
                pass
            until(lambda name=name: name in json.dumps(items(fresh.url)), name)  # type: ignore[misc]


def test_while_nobody_listens_the_product_goes_on_and_an_outage_is_told_once(
    fresh: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    before = lost()
    with caplog.at_level(logging.INFO), exporting("http://127.0.0.1:9"):
        for _ in range(3):
            seen = lost()
            with span("lost"):
                pass
            until(lambda seen=seen: lost() > seen, "a lost batch")  # type: ignore[misc]
    with caplog.at_level(logging.INFO), exporting(fresh.url), span("taken"):
        pass

    assert lost() >= before + 3
    told = [json.loads(record.message)["event"] for record in caplog.records if record.name == "tessera.telemetry"]
    assert told == ["telemetry_not_taken", "telemetry_taken_again"]
    assert [record.message for record in caplog.records if record.name.startswith("opencensus")] == []


def test_a_batch_that_is_sent_elsewhere_is_one_batch(fresh: Emulator) -> None:
    fault(fresh, status=307, location=fresh.url, times=1)
    before = counters()
    with exporting(fresh.url):
        with span("moved"):
            pass
        until(lambda: "moved" in json.dumps(items(fresh.url)), "the batch")
        until(lambda: grown("telemetry_batches_sent", before) > 0, "its count")
        assert (grown("telemetry_batches_sent", before), grown("telemetry_batches_lost", before)) == (1, 0)


def grown(name: str, before: Mapping[str, int]) -> int:
    return counters().get(name, 0) - before.get(name, 0)


def test_what_cannot_be_told_or_looked_through_is_left_out_and_its_batch_is_sent(fresh: Emulator) -> None:
    class Unreadable(dict[str, str]):
        """What no scrubber can look through."""

        def __iter__(self) -> Iterator[str]:
            raise RuntimeError("uma@tessera.example")

    before, mistake = counters(), {"note": Unreadable(x="uma@tessera.example")}
    with exporting(fresh.url) as exporter:
        with span("first"), span("odd", **mistake):  # type: ignore[arg-type]
            pass
        wrong: Any = "no moment"
        exporter.span(Span("odd", SpanKind.CLIENT, "0" * 31 + "1", "0" * 15 + "1", "", wrong))
        exporter.event(BusinessEvent("Odd", {}, {}, "", "", wrong))
        with span("last"):
            business_event("Told", {})

    names = {each["data"]["baseData"]["name"] for each in items(fresh.url) if "name" in each["data"]["baseData"]}
    assert names == {"first", "last", "Told"}
    assert (grown("telemetry_left_out", before), grown("telemetry_batches_lost", before)) == (3, 0)
    assert "uma@" not in json.dumps(items(fresh.url))


@contextmanager
def sleeping(url: str) -> Iterator[None]:
    """An exporter that sends every ten minutes."""
    exporter = ApplicationInsights(Connection(KEY, url), Authentication(), send_seconds=600.0)
    export_to(exporter)
    try:
        yield
    finally:
        export_to(None)
        exporter.close(0.2)


def test_much_at_once_is_sent_without_waiting_for_its_time(fresh: Emulator) -> None:
    before = counters()
    with sleeping(fresh.url):
        for _ in range(WAKE_AT + 1):
            with span("many"):
                pass
        until(lambda: grown("telemetry_batches_sent", before) >= WAKE_AT // BATCH_MAX, "all of them")
    assert grown("telemetry_dropped", before) == 0


def test_while_nothing_is_taken_the_sender_sleeps_however_much_waits() -> None:
    before = counters()
    with sleeping("http://127.0.0.1:9"):
        for _ in range(2 * WAKE_AT):
            with span("many"):
                pass
        until(lambda: grown("telemetry_batches_lost", before) > 0, "the first batch, lost")
        for _ in range(20):
            with span("more"):
                pass
            time.sleep(0.02)
        assert grown("telemetry_batches_lost", before) == 1


def test_a_full_queue_drops_and_counts_and_never_waits_or_raises(fresh: Emulator) -> None:
    fault(fresh, seconds=60.0, times=1_000)
    dropped = counters().get("telemetry_dropped", 0)
    with exporting(fresh.url, close_seconds=0.1):
        for _ in range(2 * QUEUE_MAX):
            with span("flood"):
                pass
        assert counters()["telemetry_dropped"] - dropped >= QUEUE_MAX // 2


def test_the_end_does_not_wait_for_an_ingestion_that_does_not_answer(fresh: Emulator) -> None:
    fault(fresh, seconds=60.0, times=1_000)
    with exporting(fresh.url, close_seconds=0.2):
        with span("unanswered"):
            pass
        business_event("Unanswered", {})
    assert items(fresh.url) == []  # it ended, and the answer is still to come
    logging.getLogger("tessera").info("and logging goes on")


def test_a_process_ends_though_the_ingestion_does_not_answer_and_sends_its_last_where_it_does(fresh: Emulator) -> None:
    program = f"""
from shared.telemetry import business_event, export_to, span
from shared.telemetry.applicationinsights import ApplicationInsights
from shared.telemetry.connection import Authentication, Connection
export_to(ApplicationInsights(Connection({KEY!r}, {fresh.url!r}), Authentication(), send_seconds=600.0))
with span("the last"):
    for number in range(300):
        business_event("Last", {{}})
"""

    def run() -> None:
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=2 * PATIENCE_SECONDS)

    run()
    assert (len(items(fresh.url, "EventData")), len(items(fresh.url, "RemoteDependencyData"))) == (300, 1)
    httpx.delete(f"{fresh.url}/items").raise_for_status()
    fault(fresh, seconds=60.0, times=1_000)
    run()
    assert items(fresh.url) == []  # it ended before an answer


def test_events_that_many_threads_tell_at_once_all_arrive(fresh: Emulator) -> None:
    with exporting(fresh.url):
        threads = [threading.Thread(target=business_event, args=("Many", {"n": str(n)})) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    told = [each["data"]["baseData"] for each in items(fresh.url, "EventData")]
    assert {each["properties"]["n"] for each in told if each["name"] == "Many"} == {str(n) for n in range(20)}


def test_every_connection_string_we_accept_the_library_can_read() -> None:
    from opencensus.ext.azure.common import parse_connection_string

    text = f"InstrumentationKey={KEY};IngestionEndpoint=https://a.example.org/;LiveEndpoint=https://b.example.org/"
    assert parse_connection_string(text)["instrumentationkey"] == Connection.parse(text).instrumentation_key
    with pytest.raises(ValueError, match="Invalid connection string"):
        parse_connection_string(f"{text};")


def test_the_double_shows_an_operation_as_a_tree_and_what_is_no_html_as_text(fresh: Emulator) -> None:
    with exporting(fresh.url), span("<script>alert(1)</script>"), span("inner"):
        operation = trace_parent().split("-")[1]
    page = httpx.get(f"{fresh.url}/operations/{operation}")
    assert page.status_code == 200
    assert "<script>" not in page.text
    assert page.text.index("alert(1)") < page.text.index("inner")
    assert f"/operations/{operation}" in httpx.get(f"{fresh.url}/", params={"show": "all"}).text
    assert httpx.get(f"{fresh.url}/operations/{'0' * 32}").status_code == 404
