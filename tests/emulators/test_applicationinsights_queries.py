"""The query API of the double: as much of KQL as picks rows out, and everything else refused by name.

https://learn.microsoft.com/rest/api/application-insights/query/execute
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.emulators.processes import Emulator

BEARER = "a token of who may ask"


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """With a request of two operations, and a business event of the first."""
    with Emulator("applicationinsights", tmp_path_factory.mktemp("queries"), "--bearer", BEARER) as running:
        sent = httpx.post(f"{running.url}/v2.1/track", json=[
            envelope("RequestData", "one", name="POST /api/orders", id="1", properties={"correlation_id": "c-1"}),
            envelope("RequestData", "two", name="GET /api/events", id="2", success=False),
            envelope("EventData", "one", name="OrderPaid", properties={"order_id": "ord_1", "quantity": 2}),
        ], headers=known())  # fmt: skip
        assert sent.json()["itemsAccepted"] == 3
        yield running


def known() -> dict[str, str]:
    return {"authorization": f"Bearer {BEARER}"}


def envelope(kind: str, operation: str, **told: Any) -> dict[str, Any]:
    return {
        "name": "Microsoft.ApplicationInsights", "time": "2026-05-01T12:00:00Z", "iKey": "k",
        "tags": {"ai.operation.id": operation}, "data": {"baseType": kind, "baseData": told},
    }  # fmt: skip


def asked(double: Emulator, query: str, **headers: str) -> httpx.Response:
    body = {"query": query, "timespan": "PT1H"}
    return httpx.post(f"{double.url}/v1/apps/any/query", json=body, headers={**known(), **headers})


def rows(double: Emulator, query: str) -> Any:
    answer = asked(double, query)
    assert answer.status_code == 200, answer.text
    [table] = answer.json()["tables"]
    assert table["name"] == "PrimaryResult"
    names = [column["name"] for column in table["columns"]]
    return [dict(zip(names, row, strict=True)) for row in table["rows"]]


def test_rows_are_picked_by_what_they_say(double: Emulator) -> None:
    assert rows(double, "requests | project name, success") == [
        {"name": "POST /api/orders", "success": "True"}, {"name": "GET /api/events", "success": "False"},
    ]  # fmt: skip
    assert rows(double, 'requests | where operation_Id == "two" | project name') == [{"name": "GET /api/events"}]
    paid = 'customEvents | where name == "OrderPaid" and tostring(customDimensions.order_id) == "ord_1"'
    assert rows(double, f"{paid} | project operation_Id | take 1") == [{"operation_Id": "one"}]
    assert rows(double, 'customEvents | where customDimensions.quantity == "2" | project name') == [
        {"name": "OrderPaid"}
    ]
    assert rows(double, "requests | take 1 | project id") == [{"id": "1"}]
    assert rows(double, 'requests | where name == "nothing" | project id') == []
    assert rows(double, "dependencies | project id") == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("traces | take 1", "'traces' is no table here"),
        ("requests | summarize count()", "does not understand 'summarize count()'"),
        ("requests | where duration > 5", "equalities with a text only"),
        ('requests | where name == "a" or name == "b"', "equalities with a text only"),
        ("requests | project name = id", "does not understand 'project name = id'"),
        ("", "query"),
    ],
)
def test_what_it_does_not_understand_is_refused_by_name(double: Emulator, query: str, said: str) -> None:
    answer = asked(double, query)

    assert (answer.status_code, said in answer.text) == (400, True), answer.text


def test_who_does_not_bear_the_token_is_told_nothing(double: Emulator) -> None:
    answer = asked(double, "requests", authorization="Bearer another")

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "InsufficientAccessError")
