"""Spans and the operation they belong to; without an exporter nothing of it exists."""

import asyncio
import re

import pytest

from shared.telemetry import (
    FAILED,
    POSTPONED,
    REFUSED,
    Invocation,
    SpanKind,
    adopt,
    begin,
    business_event,
    correlation,
    histograms,
    span,
    trace_parent,
    use_case,
)
from tests.doubles.collector import collecting

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TOLD = f"00-{TRACE}-{PARENT}-00"


def test_a_span_within_another_is_its_child_and_both_belong_to_one_operation() -> None:
    with collecting() as collected, span("outer"), span("inner", component="SMTP"):
        assert trace_parent() == f"00-{collected_id(trace_parent())}-{trace_parent()[36:52]}-01"

    outer, inner = collected.named("outer"), collected.named("inner")
    assert (outer.parent_id, inner.parent_id) == ("", outer.span_id)
    assert outer.trace_id == inner.trace_id
    assert re.fullmatch("[0-9a-f]{32}", outer.trace_id)
    assert inner.attributes == {"component": "SMTP"}
    assert outer.started_at <= inner.started_at
    assert outer.seconds >= inner.seconds > 0
    assert trace_parent() == ""


def collected_id(parent: str) -> str:
    return parent.split("-")[1]


def test_an_invocation_continues_the_operation_its_host_tells_of() -> None:
    with collecting() as collected, Invocation("settle_order", SpanKind.CONSUMER, TOLD, {"queue": "payments"}):
        assert use_case.get() == "settle_order"

    found = collected.named("settle_order")
    assert (found.trace_id, found.parent_id) == (TRACE, PARENT)
    assert found.attributes == {"queue": "payments", "outcome": "ok", "correlation_id": ""}
    assert use_case.get() == "none"


@pytest.mark.parametrize(
    "told",
    [
        "", "nonsense", TOLD[:-1], TOLD.upper(), f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01", f" {TOLD}", TOLD + "\n", "0" * 10_000, f"{TOLD}-what-00-forbids", f"{TOLD}-",
    ],
)  # fmt: skip
def test_a_malformed_parent_begins_a_new_operation(told: str) -> None:
    with collecting() as collected, Invocation("relay_orders", SpanKind.CONSUMER, told, {}):
        pass

    found = collected.named("relay_orders")
    assert found.parent_id == ""
    assert found.trace_id not in {TRACE, "0" * 32}


def test_a_parent_of_a_later_version_of_the_standard_is_continued() -> None:
    with collecting() as collected, span("x", parent=f"01-{TRACE}-{PARENT}-01-what-is-to-come"):
        pass
    assert collected.named("x").parent_id == PARENT


def test_a_request_from_outside_begins_an_operation_of_ours_and_names_its_callers() -> None:
    told = {"http.method": "POST", "http.route": "/api/orders"}
    with collecting() as collected:
        for parent in (TOLD, "nonsense", f"01-{TRACE}-{PARENT}-01-{'x' * 9_000}"):
            with Invocation("place_order", SpanKind.SERVER, parent, told):
                pass

    assert [each.parent_id for each in collected.spans] == ["", "", ""]
    assert len({each.trace_id for each in collected.spans} - {TRACE}) == 3
    callers = [each.attributes.get("caller") for each in collected.spans]
    assert callers == [TOLD, None, f"01-{TRACE}-{PARENT}-01"]
    assert "caller" not in told


def test_what_is_handed_on_says_whether_its_operation_is_sampled() -> None:
    for ratio, flags in ((1.0, "01"), (0.0, "00")):
        with collecting(sampling_ratio=ratio), span("x"):
            assert trace_parent().endswith(f"-{flags}")


def test_a_failure_is_told_by_its_class_and_never_by_its_words() -> None:
    with (
        collecting() as collected,
        pytest.raises(ValueError, match="uma@"),
        Invocation("mail_notice", SpanKind.CONSUMER, "", {}),
        span("send mail"),
    ):
        raise ValueError("uma@tessera.example does not exist")

    for found in collected.spans:
        assert (found.ok, found.attributes["error"]) == (False, "ValueError")
        assert "uma" not in repr(found)
    assert collected.named("mail_notice").attributes["outcome"] == FAILED


@pytest.mark.parametrize(("status", "outcome", "ok"), [(201, "ok", True), (409, REFUSED, True), (503, FAILED, False)])
def test_a_refusal_is_an_answer_and_only_ours_is_a_failure(status: int, outcome: str, ok: bool) -> None:
    key = ("function_seconds", f"tested_{status}", outcome)
    assert key not in histograms()
    with (
        collecting() as collected,
        Invocation(f"tested_{status}", SpanKind.SERVER, "", {"http.method": "POST", "http.route": "/x"}) as measured,
    ):
        measured.answered(status)

    found = collected.named(f"tested_{status}")
    assert (found.attributes["outcome"], found.ok, found.attributes["http.status_code"]) == (outcome, ok, status)
    assert histograms()[key].number == 1


def test_a_postponed_message_is_neither_a_success_nor_a_failure() -> None:
    with collecting() as collected, Invocation("refund_order", SpanKind.CONSUMER, "", {}) as measured:
        measured.outcome = POSTPONED
    found = collected.named("refund_order")
    assert (found.ok, found.attributes["outcome"]) == (True, "postponed")


def test_what_turns_out_to_belong_to_an_order_goes_on_with_its_operation() -> None:
    with collecting() as collected, span("webhook"):
        began_in = collected_id(trace_parent())
        adopt("nonsense")
        assert collected_id(trace_parent()) == began_in
        adopt(TOLD)
        with span("send"):
            pass

    webhook, sent = collected.named("webhook"), collected.named("send")
    assert (webhook.trace_id, webhook.parent_id) == (TRACE, PARENT)
    assert (sent.trace_id, sent.parent_id) == (TRACE, webhook.span_id)
    assert webhook.attributes == {"began_in": began_in}


def test_a_span_that_is_in_the_orders_operation_already_stays_where_it_is() -> None:
    with collecting() as collected, span("first"), span("second"):
        adopt(f"00-{collected_id(trace_parent())}-{PARENT}-01")
    assert collected.named("second").parent_id == collected.named("first").span_id


def test_without_an_exporter_nothing_is_traced_and_nothing_travels() -> None:
    with Invocation("place_order", SpanKind.SERVER, TOLD, {}), span("open session"):
        adopt(TOLD)
        business_event("OrderPaid", {"order_id": "ord_x"})
        assert trace_parent() == ""
        assert begin("x", SpanKind.CLIENT, parent=TOLD) is None


def test_a_sampled_operation_is_collected_whole_and_another_not_at_all() -> None:
    with collecting(sampling_ratio=0.5) as collected:
        for number in range(400):
            low = f"{number * 2**32 // 400:08x}"
            with span("outer", parent=f"00-{TRACE[:24]}{low}-{PARENT}-01"), span("inner"):
                business_event("OrderPaid", {})

    counts: dict[str, int] = {}
    for each in collected.spans:
        counts[each.trace_id] = counts.get(each.trace_id, 0) + 1
    assert len(counts) == 200
    assert set(counts.values()) == {2}
    assert len(collected.events) == 400


async def test_operations_at_the_same_time_do_not_mix() -> None:
    async def one(name: str) -> None:
        with Invocation(name, SpanKind.SERVER, "", {"http.method": "GET", "http.route": "/"}):
            await asyncio.sleep(0)
            with span(f"{name} inner"):
                await asyncio.sleep(0)

    with collecting() as collected:
        await asyncio.gather(*(one(f"n{number}") for number in range(20)))

    for number in range(20):
        outer, inner = collected.named(f"n{number}"), collected.named(f"n{number} inner")
        assert (inner.trace_id, inner.parent_id) == (outer.trace_id, outer.span_id)
    assert len({each.trace_id for each in collected.spans}) == 20


def test_a_business_event_belongs_to_the_span_it_is_told_in() -> None:
    with collecting() as collected:
        with span("record_event"):
            business_event("OrderPaid", {"order_id": "ord_x"}, {"quantity": 2.0})
        business_event("Outside", {})

    told, outside = collected.events
    within = collected.named("record_event")
    assert (told.trace_id, told.span_id) == (within.trace_id, within.span_id)
    assert (told.properties, told.measurements) == ({"order_id": "ord_x"}, {"quantity": 2.0})
    assert (outside.trace_id, outside.span_id) == ("", "")


def test_the_correlation_id_is_told_with_the_invocation() -> None:
    token = correlation.set("cor_of_this_request")
    try:
        with collecting() as collected, Invocation("x", SpanKind.CONSUMER, "", {}):
            pass
    finally:
        correlation.reset(token)
    assert collected.named("x").attributes["correlation_id"] == "cor_of_this_request"
