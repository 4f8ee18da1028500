"""The queries of infra/queries, asked of what a running Tessera really sent: the sale is in them, and no alarm."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from local.layout import Ports
from local.stack import Stack
from shared.topology import topology
from tests.functions.selling import shard, wallet_of
from tests.functions.test_telemetry import items, operation_with
from tests.infra.checks.alerts import ALERT
from tests.infra.kusto_expressions import Rows
from tests.infra.test_queries import queries
from tests.infra.workspace import COLUMNS, TABLES, asked, rows_of
from tests.support.api import Api, Json, soon

pytestmark = pytest.mark.xdist_group("telemetry-queries")  # one stack for all of them


@pytest.fixture(scope="module")
def sold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mapping[str, Rows], Json]]:
    """The rows of an on-sale, with its order: a card order, two desk orders, and one refused for lack of places."""
    stack = Stack(tmp_path_factory.mktemp("asked"), Ports.free(), telemetry=True)
    with stack, httpx.Client(base_url=stack.url, timeout=30) as http:
        api = Api(stack, http)
        house = api.organiser()
        event = house.event(capacity=6)
        desk = [house.operator.paid(event) for _ in range(2)]
        buyer = api.person("user")
        order = buyer.order(event, 3).json()
        api.pay(buyer.post(f"orders/{order['order_id']}/checkout").json()["checkout_url"])
        assert house.operator.order(event, 2, method="desk").status_code == 409
        for each in [*desk, order]:
            operation_with(api, "OrderPaid", order_id=each["order_id"])
        api.mail(order)
        wallet_of(buyer, 3)
        soon(lambda: True if shard(api, event) == {"available": 1, "held": 0, "sold": 5} else None, "sold places")
        assert stack.host is not None
        assert stack.host.stop() == 0  # at its end it sends what it measured
        yield rows_of(items(api)), order


def names(rows: list[dict[str, Any]], column: str) -> set[str]:
    return {row[column] for row in rows}


def test_the_sale_is_in_the_figures(sold: tuple[Mapping[str, Rows], Json]) -> None:
    rows, _ = sold
    sales: dict[str, float] = {}
    for row in asked("sales", rows):
        sales[row["Name"]] = sales.get(row["Name"], 0.0) + row["Number"]
    assert sales == {
        "orders_placed": 3, "orders_paid": 3, "tickets_sold": 5, "orders_refused": 1, "holds_refused": 1,
    }  # fmt: skip
    assert [(row["Method"], row["Orders"], row["Tickets"], row["Currency"]) for row in asked("takings", rows)] == [
        ("card", 1, 3.0, "EUR"),
        ("desk", 2, 2.0, "EUR"),
    ]
    counted, recorded = asked("sold-against-paid", rows)
    assert (counted["Orders"], counted["Tickets"]) == (recorded["Orders"], recorded["Tickets"]) == (3, 5)


def test_no_alarm_is_raised_by_a_sale(sold: tuple[Mapping[str, Rows], Json]) -> None:
    rows, _ = sold
    alerts = [name for name, text in queries().items() if text.startswith(ALERT)]
    # The timers of this process may not have come to their minute yet.
    assert {name: found for name in alerts if (found := asked(name, rows)) and name != "silence"} == {}


def test_what_was_done_is_found_again(sold: tuple[Mapping[str, Rows], Json]) -> None:
    rows, order = sold
    [told] = asked("order", rows, wanted=order["order_id"])
    steps = names(asked("operation", rows, wanted=told["OperationId"]), "Name")
    assert {"POST /api/orders", "open session", "settle_order", "send OrderPaid", "mail_notice", "OrderPaid"} <= steps
    [refused] = [row for row in asked("refusals", rows) if row["ResultCode"] == "409"]
    assert (refused["Name"], refused["Requests"]) == ("POST /api/orders", 1)
    [best] = asked("best-sellers", rows)
    assert (best["Orders"], best["Tickets"]) == (3, 5)


def test_the_machinery_is_in_the_figures(sold: tuple[Mapping[str, Rows], Json]) -> None:
    rows, _ = sold
    containers = {container.name for container in topology().containers}
    assert {"orders", "inventory", "wallets", "mail"} <= names(asked("request-units", rows), "Container") <= containers
    assert {"read", "write"} <= names(asked("costly-calls", rows), "Kind") <= {"read", "write", "query"}
    assert {"payments", "stock", "notifications", "insights"} <= names(asked("queues", rows), "Queue")
    assert names(asked("waits", rows), "Name") == {"settlement_seconds", "outbox_seconds"}
    assert {"Payments", "SMTP", "Queue Message"} <= names(asked("neighbours", rows), "Neighbour")
    assert {row["Instances"] for row in asked("instances", rows)} == {1}
    assert sum(row["Number"] for row in asked("mails", rows) if row["Name"] == "mails_sent") == 1
    endpoints = {row["Endpoint"]: row for row in asked("endpoints", rows)}
    assert endpoints["POST /api/orders"]["Requests"] == 4
    assert all(0 < row["P50"] <= row["P95"] for row in endpoints.values())


def test_the_rows_have_the_columns_that_queries_are_checked_against(sold: tuple[Mapping[str, Rows], Json]) -> None:
    rows, _ = sold
    for table in ("AppRequests", "AppDependencies", "AppEvents", "AppMetrics"):
        assert rows[table]
        unsent = {"Min", "Max", "Measurements"}  # of metrics nobody tells extremes; only events have measurements
        assert set(TABLES[table]) - set(rows[table][0]) <= unsent
        assert set(COLUMNS[table]) == set(TABLES[table])
