"""The double of Application Insights by itself: what it takes, and how it lists operations."""

import gzip
import html
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from local.emulators.applicationinsights.web import OPERATIONS_SHOWN
from tests.emulators.processes import Emulator

KEY: Final = "7e55e2a0-0000-4000-8000-000000000003"


@pytest.fixture(scope="module")
def ingestion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator("applicationinsights", tmp_path_factory.mktemp("applicationinsights")) as running:
        yield running


@pytest.fixture
def fresh(ingestion: Emulator) -> Emulator:
    """The ingestion with nothing in it."""
    httpx.delete(f"{ingestion.url}/items").raise_for_status()
    return ingestion


def items(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/items").raise_for_status().json()["items"]
    return found


def envelope(**changes: Any) -> dict[str, Any]:
    data = {"baseType": "EventData", "baseData": {"name": "x"}}
    return {"name": "n", "time": "2026-11-21T20:00:00.000000Z", "iKey": KEY, "tags": {}, "data": data, **changes}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps([envelope(), envelope()]).encode(), {}),
        (b"\n".join(json.dumps(envelope()).encode() for _ in range(2)), {}),
        (gzip.compress(json.dumps([envelope(), envelope()]).encode()), {"content-encoding": "gzip"}),
    ],
)
def test_the_double_takes_arrays_lines_and_gzip(fresh: Emulator, body: bytes, headers: dict[str, str]) -> None:
    answer = httpx.post(f"{fresh.url}/v2.1/track", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"itemsReceived": 2, "itemsAccepted": 2, "errors": []})
    assert len(items(fresh.url)) == 2


def test_the_double_tells_which_items_it_does_not_take(fresh: Emulator) -> None:
    answer = httpx.post(f"{fresh.url}/v2.1/track", json=[envelope(), envelope(iKey=""), {"x": 1}])
    assert (answer.status_code, answer.json()["itemsAccepted"]) == (206, 1)
    assert [each["index"] for each in answer.json()["errors"]] == [1, 2]
    assert httpx.post(f"{fresh.url}/v2.1/track", content=b"no JSON").status_code == 400
    assert httpx.post(f"{fresh.url}/v2.1/track", json=[{}]).status_code == 400
    assert httpx.post(f"{fresh.url}/v2.1/track", json=[envelope(time="yesterday")]).status_code == 400


def told(operation: str, second: int, name: str, type_: str = "RequestData") -> dict[str, Any]:
    """An envelope of an operation, `second` seconds after the hour."""
    moment = f"2026-11-21T20:{second // 60:02}:{second % 60:02}.000000Z"
    data = {"baseType": type_, "baseData": {"id": operation, "name": name, "duration": "0.00:00:00.010"}}
    return envelope(time=moment, tags={"ai.operation.id": operation}, data=data)


def listed(url: str, **query: str) -> list[str]:
    """The operations on a page of the list."""
    page = httpx.get(f"{url}/", params=query).raise_for_status().text
    return re.findall(r'href="/operations/([^"]+)"', page)


def test_operations_are_listed_by_when_they_began_whatever_came_last(fresh: Emulator) -> None:
    sent = [told("early", 10, "POST /a"), told("late", 30, "POST /b"), told("middle", 20, "GET /c")]
    more = [told("late", 5, "send", "RemoteDependencyData"), told("middle", 40, "consume")]
    for each in (*sent, *more):  # `late` turns out to have begun before all others
        httpx.post(f"{fresh.url}/v2.1/track", json=[each]).raise_for_status()

    assert listed(fresh.url) == ["middle", "early", "late"]


def test_the_list_shows_requests_and_on_demand_business_events_or_all(fresh: Emulator) -> None:
    of_each = [
        told("request", 4, "POST /api/orders"),
        told("business", 3, "OrderPaid", "EventData"),
        told("timer", 2, "repair_orders"),
        told("both", 1, "GET /x"),
        told("both", 1, "OrderPaid", "EventData"),
        told("log", 5, "only a message", "MessageData"),
    ]
    httpx.post(f"{fresh.url}/v2.1/track", json=of_each).raise_for_status()

    assert listed(fresh.url) == listed(fresh.url, show="requests") == ["request", "both"]
    assert listed(fresh.url, show="business") == ["business", "both"]
    assert listed(fresh.url, show="all") == ["request", "business", "timer", "both"]
    refused = httpx.get(f"{fresh.url}/", params={"show": "some"})
    assert (refused.status_code, refused.json()) == (400, {"error": "show: one of requests, business, all"})


def test_older_operations_are_reached_page_by_page_each_once(fresh: Emulator) -> None:
    number = 2 * OPERATIONS_SHOWN + 1
    # Two begin in each second, so that pages end between operations of one moment.
    sent = [told(f"op-{index:03}", index // 2, "GET /x") for index in range(number)]
    httpx.post(f"{fresh.url}/v2.1/track", json=sent).raise_for_status()

    pages: list[list[str]] = []
    address = "/"
    while address and len(pages) < number:
        page = httpx.get(f"{fresh.url}{address}").raise_for_status().text
        pages.append(re.findall(r'href="/operations/([^"]+)"', page))
        older = re.search(r'href="([^"]+)">Older<', page)
        address = html.unescape(older[1]) if older else ""

    assert [len(page) for page in pages] == [OPERATIONS_SHOWN, OPERATIONS_SHOWN, 1]
    assert [each for page in pages for each in page] == [f"op-{index:03}" for index in reversed(range(number))]


def test_what_is_forgotten_is_listed_no_more(fresh: Emulator) -> None:
    httpx.post(f"{fresh.url}/v2.1/track", json=[told("gone", 1, "GET /x")]).raise_for_status()
    assert listed(fresh.url) == ["gone"]

    httpx.delete(f"{fresh.url}/items").raise_for_status()

    assert listed(fresh.url) == []
