"""The OpenAPI document: valid, whole, and about the functions there are."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import httpx
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.functions.conftest import undocumented_statuses
from tests.support.api import Api, Json


def document_of(api: Api) -> Json:
    """The document, as anybody gets it."""
    answer = api.nobody.get("openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    found: Json = answer.json()
    return found


def references(part: Any) -> Iterator[str]:
    """Every `$ref` in it."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_the_document_is_valid_openapi(api: Api) -> None:
    document = document_of(api)

    assert document["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_reference_leads_somewhere(api: Api) -> None:
    document = document_of(api)

    names = {reference.removeprefix("#/components/schemas/") for reference in references(document)}

    assert names <= document["components"]["schemas"].keys()
    assert {"PlaceOrder", "OrderView", "Problem", "EventView"} <= names


def test_every_http_function_is_an_operation_and_every_operation_a_function(api: Api) -> None:
    functions = api.http.get("/admin/functions").json()
    registered = {function["name"] for function in functions if function["kind"] == "HttpFunction"}
    operations = [
        operation["operationId"] for item in document_of(api)["paths"].values() for operation in item.values()
    ]

    assert set(operations) == registered
    assert len(operations) == len(registered)


def test_every_operation_tells_its_summary_permission_and_parameters(api: Api) -> None:
    document = document_of(api)

    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["summary"].endswith("."), (method, path)
            assert any(told in operation["description"] for told in ("Needs the ", "For everybody")), (method, path)
            named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}
            assert ("requestBody" in operation) <= (method in {"post", "put", "patch"})
            open_to_all = "For everybody" in operation["description"]
            assert (operation["security"] == []) == open_to_all, (method, path)


def test_an_undocumented_status_would_be_noticed(api: Api) -> None:
    document = document_of(api)
    seen = {("GET", "/api/events", 200), ("GET", "/api/events/evt_1", 404), ("GET", "/api/nowhere", 404)}

    assert undocumented_statuses(seen, document) == set()
    for teapot in (("GET", "/api/events", 418), ("POST", "/api/orders/x/cancel", 422), ("GET", "/api/nowhere", 200)):
        assert undocumented_statuses({*seen, teapot}, document) == {teapot}


def rows(html: str, operation: str, header: str) -> dict[str, str]:
    """The first cell → the last cell of an operation's table, as text."""
    part = html.partition(f'id="{operation}"')[2].partition("</details>")[0]
    table = part.partition(f"<th>{header}</th>")[2].partition("</table>")[0]
    cells = [re.findall(r"<td>(.*?)</td>", row) for row in table.split("<tr>")[1:]]
    return {re.sub(r"<.*?>", "", row[0]): unescape(re.sub(r"<.*?>", "", row[-1])) for row in cells}


def test_the_docs_page_tells_each_parameters_rules_as_prose(api: Api) -> None:
    html = api.nobody.get("docs").text

    listed = rows(html, "catalog_list_events", "Parameter")
    assert listed["limit"] == "items a page; at least 1; at most 100; default 20"
    assert listed["available"] == "true: only events that are not sold out; default false"
    assert listed["sort"] == (
        "a leading minus turns it round; by price needs `currency`; "
        "one of date, -date, name, -name, price, -price; default date"
    ).replace("`", "")
    assert "one of AUD, BRL, " in listed["currency"]
    assert "one of paid, cancelled" in rows(html, "sales_checkout_result", "Parameter")["outcome"]


def test_what_a_status_means_is_told_in_whole_sentences(api: Api) -> None:
    html = api.nobody.get("docs").text

    for item in document_of(api)["paths"].values():
        for operation in item.values():
            for told in rows(html, operation["operationId"], "Status").values():
                assert told.endswith("."), told
                assert not any(odd in told for odd in (".;", "..", ".:")), told


def test_the_docs_page_shows_every_operation_and_needs_nothing_from_elsewhere(api: Api) -> None:
    answer: httpx.Response = api.nobody.get("docs")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for item in document_of(api)["paths"].values():
        for operation in item.values():
            assert f'id="{operation["operationId"]}"' in answer.text
    assert "<code>correlation_id</code>" in answer.text
    assert "<script" not in answer.text
    assert "//" not in answer.text.replace("https?://", "").replace("draft-ietf", "").partition("<body>")[0]
