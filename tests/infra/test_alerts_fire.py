"""Each alert's query gives a row for what it is about, and none while all is well."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.infra.checks.alerts import ALERT
from tests.infra.kusto_expressions import Rows
from tests.infra.test_queries import queries
from tests.infra.workspace import asked, line, metric, request

type Tables = Mapping[str, Rows]

# An hour in which everything goes as it should: sales, refusals, a slow checkout, one failure among thousands.
WELL: Final[Tables] = {
    "AppRequests": [
        request(times=4_000),
        request("GET /api/events", times=9_000, milliseconds=6.0, code="200"),
        request("POST /api/orders", outcome="refused", times=500, code="409"),
        request("POST /api/orders/{order_id}/checkout", times=900, milliseconds=1_800.0, code="200"),
        request("POST /api/orders", outcome="failed", times=4, milliseconds=8_000.0, code="503"),
        request("settle_order", times=900, milliseconds=5_000.0, code="0"),
    ],
    "AppMetrics": [
        metric("orders_paid", 900.0),
        metric("queue_seconds", 30.0, 100, queue="stock"),
        metric("outbox_seconds", 20.0, 100),
        metric("settlement_seconds", 200.0, 100),
        metric("breaker", 0.0, neighbour="mail"),
        metric("breaker", 2.0, neighbour="payments"),
        metric("function_seconds", 0.1, 10, function="resend_outbox", outcome="ok"),
        metric("telemetry_batches_lost", 2.0),
        metric("holds_refused", 500.0),
    ],
    "AppTraces": [line("order_placed"), line("postponed", queue="refunds")],
    "_LogOperation": [{"Category": "Ingestion", "Detail": "Data collection started"}],
}
# What each is about, beside all that goes well, and what it says then.
WRONG: Final[Mapping[str, tuple[Tables, list[dict[str, Any]]]]] = {
    "failed-requests": (
        {"AppRequests": [request(outcome="failed", times=196, code="500"), request(outcome="", times=300, code="500")]},
        [{"Requests": 14_600, "Failed": 200, "Percent": 1.4}],
    ),
    "slow-requests": (
        {"AppRequests": [request("GET /api/me/orders", times=60, milliseconds=1_200.0)]},
        [{"Endpoint": "GET /api/me/orders", "Requests": 60, "P95": 1_200.0, "Allowed": 1000}],
    ),
    "late-messages": (
        {"AppMetrics": [metric("queue_seconds", 700.0, 10, queue="payments")]},
        [{"Queue": "payments", "Longest": 70.0, "Messages": 10}],
    ),
    "late-events": (
        {"AppMetrics": [metric("outbox_overdue", 3.0)]},
        [{"Longest": 0.2, "Overdue": 3.0}],
    ),
    "slow-settlement": (
        {"AppMetrics": [metric("settlement_seconds", 180.0, 2)]},
        [{"Longest": 90.0, "Orders": 102}],
    ),
    "oversold": ({"AppMetrics": [metric("inventory_violations", 2.0)]}, [{"Violations": 2.0}]),
    "needs-a-person": (
        {"AppMetrics": [metric("refunds_failed")], "AppTraces": [line("directory_certificate_ends")]},
        [{"What": "refunds_failed", "Number": 1.0}, {"What": "directory_certificate_ends", "Number": 1.0}],
    ),
    "open-breakers": (
        {"AppMetrics": [metric("breaker", 2.0, neighbour="payments")]},
        [{"Neighbour": "payments", "Reports": 2}],
    ),
    "lost-telemetry": (
        {"AppMetrics": [metric("telemetry_batches_lost", 19.0)]},
        [{"What": "telemetry_batches_lost", "Number": 21.0}],
    ),
    "full-log": (
        {"_LogOperation": [{"Category": "ingestion", "Detail": "The data collection stopped: OverQuota"}]},
        [{"Times": 1}],
    ),
}


def both(one: Tables, other: Tables) -> Tables:
    return {table: [*one.get(table, []), *other.get(table, [])] for table in {**one, **other}}


def test_every_alert_is_tried() -> None:
    alerts = {name for name, text in queries().items() if text.startswith(ALERT)}
    assert {*WRONG, "silence"} == alerts


@pytest.mark.parametrize("name", [*WRONG, "silence"])
def test_nothing_fires_while_all_is_well(name: str) -> None:
    assert asked(name, WELL) == []


@pytest.mark.parametrize("name", WRONG)
def test_an_alert_fires_for_what_it_is_about(name: str) -> None:
    rows, told = WRONG[name]
    assert asked(name, both(WELL, rows)) == told


def test_nothing_at_all_is_silence() -> None:
    assert asked("silence", {}) == [{"Reports": 0}]
    others = [metric("function_seconds", 1.0, 9, function="settle_order", outcome="ok")]
    assert asked("silence", {"AppMetrics": others}) == [{"Reports": 0}]
