"""Measurements: what is counted is described, and Prometheus reads what is told."""

import ast
import os
import platform
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.telemetry import BUCKETS, charge, count, counters, gauge, gauges, histograms, observe, sent_to, use_case
from shared.telemetry.deltas import Deltas, Measurement
from shared.telemetry.names import COUNTERS, GAUGES, HISTOGRAMS
from shared.telemetry.prometheus import exposition

ROOT: Final = Path(__file__).parents[2]


def named(function: str) -> set[str]:
    """The first arguments of every call of `function` in the product, as far as they are written out."""
    return {
        text
        for module in product()
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function and node.args
        for text in texts(node.args[0], module)
    }


@cache
def product() -> Sequence[ast.Module]:
    """Its modules."""
    return [ast.parse(path.read_text()) for folder in ("shared", "functions") for path in (ROOT / folder).rglob("*.py")]


def texts(node: ast.expr, module: ast.Module) -> Iterator[str]:
    """A text, each of two, or the beginning of one; a name stands for what its module gives it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body, module)
        yield from texts(node.orelse, module)
    elif isinstance(node, ast.JoinedStr):
        yield from texts(node.values[0], module)
    elif isinstance(node, ast.FormattedValue):
        yield from texts(node.value, module)
    elif isinstance(node, ast.BinOp):
        yield from texts(node.left, module)
    elif isinstance(node, ast.Name):
        for each in module.body:
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.target.id == node.id:
                assert each.value is not None
                yield from texts(each.value, module)


def test_everything_that_is_counted_is_described_and_nothing_else() -> None:
    assert named("count") == set(COUNTERS)
    assert named("observe") == set(HISTOGRAMS)
    assert {name.partition(".")[0] for name in named("gauge")} == set(GAUGES)


def families() -> dict[str, dict[tuple[str, ...], float]]:
    """What Prometheus reads: values by sample name and labels, those of the process left out."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(exposition().decode()):
        for sample in family.samples:
            labels = tuple(value for name, value in sorted(sample.labels.items()) if name != "process")
            assert sample.labels["process"] == f"{platform.node()}:{os.getpid()}"
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_prometheus_reads_every_counter_also_those_at_zero() -> None:
    before = families()
    assert {f"tessera_{name}_total" for name in COUNTERS} <= set(before)
    count("late_payments", 3)
    key: tuple[str, ...] = ()
    assert families()["tessera_late_payments_total"][key] == before["tessera_late_payments_total"][key] + 3


def test_prometheus_reads_a_gauge_with_what_it_is_of() -> None:
    gauge("dead_letters.stock", 7)
    assert families()["tessera_dead_letters"][("stock",)] == 7
    assert set(GAUGES) == {"breaker", "dead_letters"}


def test_prometheus_reads_durations_in_growing_buckets() -> None:
    for seconds in (0.001, 0.01, 0.010001, 1_000.0):
        observe("function_seconds", seconds, "a_tested_function", "ok")

    found = families()
    buckets = {
        labels[1]: value
        for labels, value in found["tessera_function_seconds_bucket"].items()
        if labels[0] == "a_tested_function"
    }
    assert buckets["0.0025"] == 1
    assert buckets["0.01"] == 2  # a bound belongs to its bucket
    assert buckets["0.025"] == buckets["300.0"] == 3
    assert buckets["+Inf"] == found["tessera_function_seconds_count"][("a_tested_function", "ok")] == 4
    assert len(buckets) == len(BUCKETS) + 1
    assert found["tessera_function_seconds_sum"][("a_tested_function", "ok")] == pytest.approx(1_000.021001)


def test_what_a_use_case_asks_of_a_container_is_added_up_by_kind() -> None:
    token = use_case.set("a_tested_use_case")
    try:
        charge("orders", "read", 5.5)
        charge("orders", "read", 1.0)
        charge("orders", "write", 9.0)
    finally:
        use_case.reset(token)

    found = families()
    read, written = ("orders", "read", "a_tested_use_case"), ("orders", "write", "a_tested_use_case")
    calls, units = found["tessera_store_calls_total"], found["tessera_request_units_total"]
    assert (calls[read], calls[written]) == (2, 1)
    assert (units[read], units[written]) == (6.5, 9.0)


def test_messages_are_added_up_by_who_sent_them_where() -> None:
    token = use_case.set("a_tested_sender")
    sent_to("events", 2)
    sent_to("events", 3)
    sent_to("stock", 1)
    use_case.reset(token)

    found = families()["tessera_messages_sent_total"]
    assert (found["events", "a_tested_sender"], found["stock", "a_tested_sender"]) == (5, 1)


def test_an_exporter_is_told_what_changed_since_it_looked_last() -> None:
    deltas = Deltas()
    count("refunds_failed")
    deltas.since_last()

    count("refunds_failed", 2)
    observe("settlement_seconds", 0.5)
    observe("settlement_seconds", 1.5)
    token = use_case.set("told_once")
    charge("orders", "query", 2.5)
    use_case.reset(token)
    gauge("breaker.mail", 2)

    told = [summary(each) for each in deltas.since_last()]
    again = [summary(each) for each in deltas.since_last()]

    gauges_ = [each for each in again if each[0] in GAUGES]
    assert again == gauges_
    assert ("breaker", 2.0, 1, {"neighbour": "mail"}) in again
    assert [each for each in told if each not in gauges_] == [
        ("refunds_failed", 2, 1, {}),
        ("settlement_seconds", 2.0, 2, {}),
        ("request_units", 2.5, 1, {"use_case": "told_once", "container": "orders", "kind": "query"}),
    ]


def test_an_odd_name_is_left_out_and_counted_and_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.telemetry.metrics._gauges", {})
    monkeypatch.setattr("shared.telemetry.metrics._histograms", {})
    deltas, before = Deltas(), counters().get("telemetry_left_out", 0)
    deltas.since_last()
    gauge("a_gauge_nobody_described.x", 1)
    observe("a_duration_nobody_described", 0.5)
    observe("function_seconds", 0.5, "without its outcome")
    observe("outbox_seconds", 0.5)
    gauge("dead_letters.stock", 3)
    count("refunds_failed")

    told = [summary(each)[:3] for each in deltas.since_last()]

    assert told == [("refunds_failed", 1, 1), ("outbox_seconds", 0.5, 1), ("dead_letters", 3, 1)]
    assert counters()["telemetry_left_out"] == before + 3


def test_a_gauge_that_nobody_renews_is_told_no_longer() -> None:
    gauge("dead_letters.tested", 3, valid_seconds=60.0)
    assert gauges()["dead_letters.tested"] == 3
    gauge("dead_letters.tested", 3, valid_seconds=0.0)
    assert "dead_letters.tested" not in gauges()


def summary(found: Measurement) -> tuple[str, float, int, dict[str, str]]:
    return found.name, found.value, found.number, dict(found.properties)


def test_a_copy_of_a_histogram_does_not_change() -> None:
    observe("outbox_seconds", 0.1)
    before = histograms()["outbox_seconds",]
    number = before.number
    observe("outbox_seconds", 0.1)
    assert before.number == number
    assert counters() is not counters()
