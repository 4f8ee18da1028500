"""What is wrong with the alerts and the workbook of a deployment: what they ask for, what the runbook tells of them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any, Final

from tests.infra.kusto import read
from tests.infra.workspace import TABLES
from tests.infra.world import Planned
from tools.bicep.values import Declared, Symbol

ALERT: Final = "// Alert. "  # begins the query of one
PLATFORM: Final[Mapping[str, Any]] = json.loads((Path(__file__).parents[1] / "platform_metrics.json").read_text())
WINDOWS: Final = {"PT1M": 1, "PT5M": 5, "PT10M": 10, "PT15M": 15, "PT30M": 30, "PT1H": 60}  # of both kinds of rules
# Above how much an alert fires at the latest; what an environment may cost is for its sizes to say.
AT_MOST: Final = {
    "dead-letters": 0, "stuck-queue": 0, "throttled-bus": 0, "throttled-store": 10, "failing-gateway": 10,
    "busy-gateway": 90, "costly-store": inf, "costly-functions": inf,
}  # fmt: skip
LATE_MINUTES: Final = 5  # so late may telemetry arrive
_SECTION: Final = re.compile(r"^### ([a-z-]+)$", re.MULTILINE)
_AGGREGATIONS: Final = {1: "Total", 2: "Minimum", 3: "Maximum", 4: "Average", 7: "Count"}  # as workbooks number them


def queried(plan: Planned) -> Sequence[Declared]:
    """The alerts that ask the workspace."""
    return plan.of("Microsoft.Insights/scheduledQueryRules")


def measured(plan: Planned) -> Sequence[Declared]:
    """The alerts on what Azure measures of itself."""
    return plan.of("Microsoft.Insights/metricAlerts")


def section_of(rule: Declared) -> str:
    """The section of the runbook that a rule's description leads to."""
    return str(rule.at("properties", "description")).rpartition("#")[2]


def sections(runbook: str) -> Sequence[str]:
    """The alerts that a runbook has a section for."""
    return _SECTION.findall(runbook)


def wrong_with_queries(plan: Planned, queries: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the alerts that ask the workspace.

    :param queries: the texts of infra/queries by their names
    """
    for rule in queried(plan):
        name, about = section_of(rule), rule.properties
        [criterion] = about["criteria"]["allOf"]
        text = criterion["query"]
        if text != queries.get(name):
            yield f"{name} does not ask its own query"
        if not text.startswith(ALERT):
            yield f"{name}: its query is none of an alert"
        if not text.rstrip().splitlines()[-1].startswith("| where "):
            yield f"{name}: its query gives a row when all is well"
        for dimension in criterion["dimensions"]:
            if dimension["name"] not in read(text, TABLES)[-1].columns:
                yield f"{name} is split by {dimension['name']}, which its query does not give"
        yield from (f"{name}: {wrong}" for wrong in _late_to_fire(criterion))
        yield from _elsewhere(rule, "Microsoft.OperationalInsights/workspaces")
        if WINDOWS[about["windowSize"]] < WINDOWS[about["evaluationFrequency"]] + LATE_MINUTES:
            yield f"{name} does not look back as far as telemetry may be late"
        if about["autoMitigate"] == bool(about.get("muteActionsDuration")):
            yield f"{name}: only what does not end by itself can be muted, and has to be"
        yield from _untold(rule, about["actions"]["actionGroups"])


def wrong_with_metrics(plan: Planned) -> Iterator[str]:
    """What is wrong with the alerts on platform metrics."""
    for rule in measured(plan):
        name, about = section_of(rule), rule.properties
        [criterion] = about["criteria"]["allOf"]
        dimensions = [each["name"] for each in criterion["dimensions"]]
        metric = (criterion["metricNamespace"], criterion["metricName"], criterion["timeAggregation"])
        yield from (f"{name}: {wrong}" for wrong in _unmeasured(*metric, dimensions))
        yield from _elsewhere(rule, criterion["metricNamespace"])
        if criterion["operator"] != "GreaterThan" or not 0 <= criterion["threshold"] <= AT_MOST.get(name, -1):
            yield f"{name} fires when {criterion['metricName']} is {criterion['operator']} {criterion['threshold']}"
        if WINDOWS[about["windowSize"]] < WINDOWS[about["evaluationFrequency"]]:
            yield f"{name} looks back no further than it pauses"
        yield from _untold(rule, about["actions"])


def wrong_with_runbook(plan: Planned, runbook: str) -> Iterator[str]:
    """Alerts nobody is told what to do about, and sections of alerts that there are not."""
    names = {section_of(rule) for rule in [*queried(plan), *measured(plan)]} | {"budget"}
    told = sections(runbook)
    yield from (f"{name} has no section" for name in sorted(names - set(told)))
    yield from (f"there is no alert {name}" for name in sorted(set(told) - names))
    yield from (f"{name} has two sections" for name in sorted(set(told)) if told.count(name) > 1)


def panels(plan: Planned) -> Sequence[Mapping[str, Any]]:
    """The items of the workbook."""
    found: Sequence[Mapping[str, Any]] = json.loads(
        plan.one("Microsoft.Insights/workbooks").at("properties", "serializedData")
    )["items"]
    return found


def wrong_with_workbook(plan: Planned, queries: Mapping[str, str]) -> Iterator[str]:
    """Panels that would stay empty."""
    for panel in panels(plan):
        about = panel["content"]
        if panel["type"] == 3:
            if about["query"] not in queries.values():
                yield f"{about['title']}: its query is none of ours"
            elif about["visualization"] == "timechart" and "TimeGenerated" not in _columns(about["query"]):
                yield f"{about['title']}: a chart without its time"
        for each in about.get("metrics", []):
            service, category, metric = each["metric"].split("-")
            known = next((name for name in PLATFORM if name.lower() == service), "")
            if PLATFORM.get(known, {}).get(metric, {}).get("category") != category:
                yield f"{about['title']}: there is no {each['metric']}"
                continue
            for wrong in _unmeasured(known, metric, _AGGREGATIONS[each["aggregation"]], [each["splitBy"]]):
                yield f"{about['title']}: {wrong}"


def _columns(query: str) -> Mapping[str, Any]:
    return read(query, TABLES)[-1].columns


def _unmeasured(service: str, metric: str, aggregation: str, dimensions: Sequence[str]) -> Iterator[str]:
    known = PLATFORM[service].get(metric)
    if known is None:
        yield f"there is no {metric}"
        return
    if aggregation not in known["aggregations"]:
        yield f"{metric} has no {aggregation}"
    yield from (f"{metric} is not split by {each}" for each in dimensions if each not in known["dimensions"])


def _late_to_fire(criterion: Mapping[str, Any]) -> Iterator[str]:
    """A query of ours gives a row where something is wrong, so the first row of the first look has to fire."""
    if (criterion["timeAggregation"], criterion["operator"], criterion["threshold"]) != ("Count", "GreaterThan", 0):
        yield f"it fires at {criterion['timeAggregation']} {criterion['operator']} {criterion['threshold']}"
    if criterion["failingPeriods"] != {"numberOfEvaluationPeriods": 1, "minFailingPeriodsToAlert": 1}:
        yield "it does not fire at the first look"


def _elsewhere(rule: Declared, kind: str) -> Iterator[str]:
    """Where a rule looks: at one resource, of the type that has what it asks for."""
    scopes: Any = rule.at("properties", "scopes")
    found = [each.of.type if isinstance(each, Symbol) and each.of is not None else str(each) for each in scopes]
    if [each.lower() for each in found] != [kind.lower()]:
        yield f"{section_of(rule)} looks at {', '.join(found)}, not at one of {kind}"


def _untold(rule: Declared, told: Sequence[object]) -> Iterator[str]:
    if not told or not rule.at("properties", "enabled"):
        yield f"{section_of(rule)} is told to nobody"
