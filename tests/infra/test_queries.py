"""Queries of infra/queries: each can be read, and speaks only of what our telemetry says."""

from collections.abc import Mapping

import pytest

from tests.infra.kusto import read
from tests.infra.kusto_expressions import Pipeline, QueryRefused
from tests.infra.vocabulary import unknown, vocabulary
from tests.infra.workspace import QUERIES, TABLES, asked, request


def queries() -> Mapping[str, str]:
    """The text of each, by its name."""
    return {path.stem: path.read_text() for path in sorted(QUERIES.glob("*.kql"))}


def pipelines(text: str) -> list[Pipeline]:
    return read(text, TABLES)


def findings(text: str) -> list[str]:
    return [each for asked in pipelines(text) for each in unknown(asked, vocabulary())]


@pytest.mark.parametrize("name", queries())
def test_a_query_says_what_it_answers_and_speaks_only_of_what_is_sent(name: str) -> None:
    text = queries()[name]
    assert text.startswith("// ")
    assert findings(text) == []


def test_the_vocabulary_is_not_empty() -> None:
    known = vocabulary()
    assert {"orders_paid", "queue_seconds", "dead_letters", "request_units"} <= set(known.metrics)
    assert {"settle_order", "resend_outbox", "audit_inventory"} <= known.functions
    assert {"outbox_parked", "inventory_violations", "refund_refused"} <= known.logged
    assert {"OrderPaid", "EventPublished"} <= known.events


@pytest.mark.parametrize(
    ("name", "was", "becomes", "finding"),
    [
        ("sales", "orders_paid", "orders_payed", "AppMetrics.Name is never 'orders_payed'"),
        ("queues", "Properties.queue", "Properties.entity", "AppMetrics.Properties has no 'entity'"),
        ("queues", '"queue_seconds"', '"outbox_seconds"', "AppMetrics.Properties has no 'queue'"),
        (
            "silence",
            "resend_outbox",
            "resend_everything",
            "AppMetrics.Properties.function is never 'resend_everything'",
        ),
        ("takings", '"OrderPaid"', '"OrderPayed"', "AppEvents.Name is never 'OrderPayed'"),
        ("takings", "Properties.method", "Properties.buyer", "AppEvents.Properties has no 'buyer'"),
        ("takings", "Measurements.quantity", "Measurements.number", "AppEvents.Measurements has no 'number'"),
        ("failures", '"failed"', '"broken"', "AppRequests.Properties.outcome is never 'broken'"),
        ("failures", "Properties.error", "Properties.exception", "AppRequests.Properties has no 'exception'"),
        ("needs-a-person", "erased_person_is_only_owner", "gone", "AppTraces.Message.event is never 'gone'"),
        ("costly-calls", '| where Name == "request_units"\n', "", "AppMetrics is asked for no metric by its name"),
    ],
)
def test_a_query_that_speaks_of_what_is_never_sent_is_found(name: str, was: str, becomes: str, finding: str) -> None:
    text = queries()[name]
    assert was in text
    assert finding in findings(text.replace(was, becomes))


@pytest.mark.parametrize(
    ("was", "becomes", "refusal"),
    [
        ("AppMetrics", "customMetrics", "the table 'customMetrics'"),
        ("where", "filter", "the operator 'filter'"),
        ("sum(Sum)", "total(Sum)", "the function 'total'"),
        ("sum(Sum)", "sum(Sum, 1)", "sum takes"),
        ("sum(Sum)", "sum(valueSum)", "the column 'valueSum'"),
        ("sum(Sum)", "sum(Sum", "stands where ')' should"),
        ("Number = sum(Sum)", "Number = Sum", "adds nothing up"),
        ("Number = sum(Sum)", "sum(Sum)", "has no name"),
        ("bin(TimeGenerated, 1m)", "bin(TimeGenerated, 1m) bin(1)", "where a statement should end"),
        ("TimeGenerated asc", "TimeGenerated", "asc or desc"),
        ("TimeGenerated asc", "Sum asc", "the column 'Sum'"),
        ('"orders_paid"', "'orders_paid", "nothing we know"),
        ("| order by TimeGenerated asc", "|", "ends too early"),
        ("| order by TimeGenerated asc", "| extend Half = Number.of", "a part of what was computed"),
    ],
)
def test_what_is_not_of_the_language_we_use_is_refused(was: str, becomes: str, refusal: str) -> None:
    text = queries()["sales"]
    assert was in text
    with pytest.raises(QueryRefused, match=refusal.replace("(", r"\(").replace(")", r"\)")):
        pipelines(text.replace(was, becomes))


def test_what_the_gateway_tells_of_requests_is_kept_apart_from_what_we_tell() -> None:
    """API Management sends its requests to the same place, without an `outcome`."""
    ours = request(outcome="refused", code="409")
    theirs = {
        **request("tessera - place", outcome="", code="429", times=7),
        "AppRoleName": "x.azure-api.net West Europe",
    }
    rows = {"AppRequests": [{**ours, "AppRoleName": "tessera-prod-commerce"}, theirs]}
    assert [(row["ResultCode"], row["Requests"]) for row in asked("gateway-answers", rows)] == [("429", 7)]
    assert [(row["ResultCode"], row["Requests"]) for row in asked("refusals", rows)] == [("409", 1)]
    assert [row["Requests"] for row in asked("endpoints", rows)] == [1]
