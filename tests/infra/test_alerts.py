"""Alerts and the workbook: what they ask exists, and the runbook says what to do about each."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.infra.test_queries import ALERT, pipelines, queries
from tests.infra.watch import RUNBOOK, Fields, alerts, panels, query_of, sections, source

PLATFORM: Final[Mapping[str, Any]] = json.loads((Path(__file__).parent / "platform_metrics.json").read_text())
FREQUENCIES: Final = {"PT1M": 1, "PT5M": 5, "PT10M": 10, "PT15M": 15, "PT30M": 30, "PT1H": 60}  # of both kinds of rules
LATE_MINUTES: Final = 5  # as late as telemetry may be asked for
NAMESPACES: Final = {
    "bus": "Microsoft.ServiceBus/namespaces",
    "store": "Microsoft.DocumentDB/databaseAccounts",
    "gateway": "Microsoft.ApiManagement/service",
    "Microsoft.Web/sites": "Microsoft.Web/sites",
}


def wrong_with_queries(text: str) -> Sequence[str]:
    """What is wrong with the alerts that ask the workspace."""
    found = []
    for alert in alerts(text):
        name, asked = alert["name"], queries().get(query_of(alert), "")
        if query_of(alert) != name:
            found.append(f"{name} asks the query {query_of(alert)}")
        if not asked.startswith(ALERT):
            found.append(f"{name}: its query is none of an alert")
            continue
        if alert["splitBy"] and alert["splitBy"] not in pipelines(asked)[-1].columns:
            found.append(f"{name} is split by {alert['splitBy']}, which its query does not give")
        if not asked.rstrip().splitlines()[-1].startswith("| where "):
            found.append(f"{name}: its query gives a row when all is well")
        if FREQUENCIES[alert["window"]] < FREQUENCIES[alert["every"]] + LATE_MINUTES:
            found.append(f"{name} looks back no further than it pauses")
    return found


def wrong_with_metrics(text: str) -> Sequence[str]:
    """What is wrong with the alerts on platform metrics."""
    found = []
    for alert in alerts(text):
        known = PLATFORM[NAMESPACES[alert["namespace"]]]
        for metric in re.findall(r"\w+", alert["metric"].rpartition("?")[2]):
            about = known.get(metric)
            if about is None:
                found.append(f"{alert['name']}: there is no {metric}")
                continue
            if alert["aggregation"] not in about["aggregations"]:
                found.append(f"{alert['name']}: {metric} has no {alert['aggregation']}")
            split = "EntityName" if alert["dimensions"] == "eachEntity" else alert["dimensions"]
            wanted = re.findall(r"name: '(\w+)'", split) or ([split] if split.isalpha() else [])
            strange = [dimension for dimension in wanted if dimension not in about["dimensions"]]
            found += [f"{alert['name']}: {metric} is not split by {dimension}" for dimension in strange]
        if FREQUENCIES[alert["window"]] < FREQUENCIES[alert["every"]]:
            found.append(f"{alert['name']} looks back no further than it pauses")
    return found


def wrong_with_runbook(runbook: str, all_alerts: Sequence[Fields]) -> Sequence[str]:
    """Alerts nobody is told what to do about, and sections of alerts that there are not."""
    names = [alert["name"] for alert in all_alerts]
    told = sections(runbook)
    return [
        *(f"{name} has no section" for name in names if name not in told),
        *(f"there is no alert {name}" for name in told if name not in [*names, "budget"]),
        *(f"{name} has two sections" for name in set(told) if told.count(name) > 1),
    ]


def every_alert() -> Sequence[Fields]:
    return [*alerts(source("alerts")), *alerts(source("metric-alerts"))]


def test_every_alert_asks_for_something_that_exists() -> None:
    assert wrong_with_queries(source("alerts")) == []
    assert wrong_with_metrics(source("metric-alerts")) == []


def test_every_query_of_an_alert_is_asked_by_one() -> None:
    asked = {query_of(alert) for alert in alerts(source("alerts"))}
    assert {name for name, text in queries().items() if text.startswith(ALERT)} == asked


def test_what_must_not_happen_unseen_has_an_alert() -> None:
    severity = {alert["name"]: int(alert["severity"]) for alert in every_alert()}
    assert severity["oversold"] == 0
    assert {name for name, found in severity.items() if found <= 1} >= {
        "failed-requests", "late-messages", "late-events", "dead-letters", "stuck-queue", "throttled-store",
        "failing-gateway", "silence",
    }  # fmt: skip
    assert "slow-requests" in severity


def test_the_runbook_has_a_section_for_every_alert_and_for_no_other() -> None:
    assert wrong_with_runbook(RUNBOOK.read_text(), every_alert()) == []
    assert "budget" in sections(RUNBOOK.read_text())


def test_every_panel_shows_a_query_and_a_chart_has_its_time() -> None:
    shown = panels(source("workbook"))
    assert len(shown) == source("workbook").count("loadTextContent") > 10
    for query, how in shown:
        columns = pipelines(queries()[query])[-1].columns
        assert ("TimeGenerated" in columns) >= (how == "timechart"), query


def test_every_other_query_is_shown_or_the_runbook_says_when_to_ask_it() -> None:
    shown = {query for query, _ in panels(source("workbook"))}
    runbook = RUNBOOK.read_text()
    hidden = {name for name, text in queries().items() if not text.startswith(ALERT)} - shown
    assert {name for name in hidden if f"`{name}`" not in runbook} == set()


@pytest.mark.parametrize(
    ("was", "becomes", "finding"),
    [
        ("queries/silence.kql", "queries/sales.kql", "silence: its query is none of an alert"),
        ("queries/silence.kql", "queries/oversold.kql", "silence asks the query oversold"),
        ("queries/silence.kql", "queries/gone.kql", "silence: its query is none of an alert"),
        ("splitBy: 'Queue'", "splitBy: 'Entity'", "late-messages is split by Entity, which its query does not give"),
        ("window: 'PT30M'", "window: 'PT15M'", "needs-a-person looks back no further than it pauses"),
    ],
)
def test_an_alert_that_could_never_fire_is_found(was: str, becomes: str, finding: str) -> None:
    assert was in source("alerts")
    assert finding in wrong_with_queries(source("alerts").replace(was, becomes))


@pytest.mark.parametrize(
    ("was", "becomes", "finding"),
    [
        ("'DeadletteredMessages'", "'DeadLetters'", "dead-letters: there is no DeadLetters"),
        ("aggregation: 'Count'", "aggregation: 'Total'", "throttled-store: TotalRequests has no Total"),
        ("name: 'StatusCode'", "name: 'Code'", "throttled-store: TotalRequests is not split by Code"),
        ("'CpuPercent_Gateway'", "'Cpu'", "busy-gateway: there is no Cpu"),
        ("window: 'PT1H'", "window: 'PT5M'", "costly-functions looks back no further than it pauses"),
    ],
)
def test_an_alert_on_a_metric_that_does_not_exist_is_found(was: str, becomes: str, finding: str) -> None:
    assert was in source("metric-alerts")
    assert finding in wrong_with_metrics(source("metric-alerts").replace(was, becomes))


def test_an_alert_without_a_section_and_a_section_without_an_alert_are_found() -> None:
    runbook = RUNBOOK.read_text()
    assert "### silence\n" in runbook
    assert wrong_with_runbook(runbook.replace("### silence\n", "### quiet\n"), every_alert()) == [
        "silence has no section",
        "there is no alert quiet",
    ]
