"""Alerts and the workbook: what they ask exists, and the runbook says what to do about each."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.infra.checks.alerts import (
    ALERT,
    measured,
    panels,
    queried,
    section_of,
    sections,
    wrong_with_metrics,
    wrong_with_queries,
    wrong_with_runbook,
    wrong_with_workbook,
)
from tests.infra.conftest import Break
from tests.infra.test_queries import queries
from tests.infra.vocabulary import ROOT
from tests.infra.world import Planned

RUNBOOK: Final = (ROOT / "docs" / "runbook.md").read_text()
QUERIED, MEASURED, WORKBOOK = "modules/alerts.bicep", "modules/metric-alerts.bicep", "modules/workbook.bicep"


def test_every_alert_asks_for_something_that_exists(plan: Planned) -> None:
    assert list(wrong_with_queries(plan, queries())) == []
    assert list(wrong_with_metrics(plan)) == []
    assert len(queried(plan)) + len(measured(plan)) > 15


def test_the_runbook_has_a_section_for_every_alert_and_for_no_other(plan: Planned) -> None:
    assert list(wrong_with_runbook(plan, RUNBOOK)) == []
    assert "budget" in sections(RUNBOOK)


def test_every_panel_of_the_workbook_shows_something(plan: Planned) -> None:
    assert list(wrong_with_workbook(plan, queries())) == []
    assert sum(panel["type"] == 3 for panel in panels(plan)) > 15


def test_no_query_is_left_out_alerts_ask_theirs_and_others_are_shown_or_told_of(prod: Planned) -> None:
    asked = {section_of(rule) for rule in queried(prod)}
    assert {name for name, text in queries().items() if text.startswith(ALERT)} == asked
    shown = {panel["content"].get("query") for panel in panels(prod)}
    hidden = {name for name, text in queries().items() if name not in asked and text not in shown}
    assert {name for name in hidden if f"`{name}`" not in RUNBOOK} == set()


def test_what_must_not_happen_unseen_has_an_alert(prod: Planned) -> None:
    severity = {section_of(rule): rule.at("properties", "severity") for rule in [*queried(prod), *measured(prod)]}
    assert severity["oversold"] == 0
    assert {name for name, found in severity.items() if found == 1} >= {
        "failed-requests", "late-messages", "late-events", "dead-letters", "stuck-queue", "throttled-store",
        "failing-gateway", "silence",
    }  # fmt: skip
    assert "slow-requests" in severity
    budget = prod.one("Microsoft.Consumption/budgets").properties["notifications"]
    assert {each["thresholdType"] for each in budget.values()} == {"Actual", "Forecasted"}
    assert all(each["enabled"] and each["contactEmails"] for each in budget.values())


def test_where_nobody_buys_the_workspace_is_asked_less_often(dev: Planned, prod: Planned) -> None:
    assert {rule.at("properties", "evaluationFrequency") for rule in queried(dev)} == {"PT15M"}
    assert {rule.at("properties", "evaluationFrequency") for rule in queried(prod)} == {"PT5M", "PT15M"}


type Check = Callable[[Planned], Iterator[str]]
CHECKS: Final[dict[str, Check]] = {
    QUERIED: lambda plan: wrong_with_queries(plan, queries()),
    MEASURED: wrong_with_metrics,
    WORKBOOK: lambda plan: wrong_with_workbook(plan, queries()),
}


@pytest.mark.parametrize(
    ("file", "was", "becomes", "finding"),
    [
        (QUERIED, "queries/silence.kql", "queries/sales.kql", "silence: its query is none of an alert"),
        (QUERIED, "queries/silence.kql", "queries/oversold.kql", "silence does not ask its own query"),
        (QUERIED, "splitBy: 'Queue'", "splitBy: 'Entity'",
         "late-messages is split by Entity, which its query does not give"),
        (QUERIED, ": each.window", ": 'PT5M'", "silence does not look back as far as telemetry may be late"),
        (QUERIED, "each.ends ? null : 'PT1H'", "'PT1H'",
         "silence: only what does not end by itself can be muted, and has to be"),
        (QUERIED, "actionGroups: [actionGroupId]", "actionGroups: []", "silence is told to nobody"),
        ("queries/silence.kql", "| where Reports == 0", "", "silence: its query gives a row when all is well"),
        (QUERIED, "threshold: 0", "threshold: 1000", "oversold: it fires at Count GreaterThan 1000"),
        (QUERIED, "'GreaterThan'", "'LessThan'", "silence: it fires at Count LessThan 0"),
        (QUERIED, "timeAggregation: 'Count'", "timeAggregation: 'Average'",
         "silence: it fires at Average GreaterThan 0"),
        (QUERIED, "numberOfEvaluationPeriods: 1", "numberOfEvaluationPeriods: 6",
         "oversold: it does not fire at the first look"),
        (QUERIED, "scopes: [workspaceId]", "scopes: [actionGroupId]",
         "oversold looks at Microsoft.Insights/actionGroups, not at one of Microsoft.OperationalInsights/workspaces"),
        (MEASURED, "resourceId: serviceBusId", "resourceId: cosmosId",
         "dead-letters looks at Microsoft.DocumentDB/databaseAccounts, not at one of Microsoft.ServiceBus/namespaces"),
        (MEASURED, "threshold: 0", "threshold: 100", "dead-letters fires when DeadletteredMessages is GreaterThan 100"),
        (MEASURED, "threshold: 75", "threshold: 100", "busy-gateway fires when CpuPercent_Gateway is GreaterThan 100"),
        (MEASURED, "operator: 'GreaterThan'", "operator: 'LessThan'",
         "stuck-queue fires when ActiveMessages is LessThan 0"),
        (MEASURED, "'DeadletteredMessages'", "'DeadLetters'", "dead-letters: there is no DeadLetters"),
        (MEASURED, "aggregation: 'Count'", "aggregation: 'Total'", "throttled-store: TotalRequests has no Total"),
        (MEASURED, "name: 'StatusCode'", "name: 'Code'", "throttled-store: TotalRequests is not split by Code"),
        (MEASURED, "'CpuPercent_Gateway'", "'Cpu'", "busy-gateway: there is no Cpu"),
        (MEASURED, "windowSize: each.window", "windowSize: 'PT5M'",
         "costly-store looks back no further than it pauses"),
        (MEASURED, "enabled: true", "enabled: false", "dead-letters is told to nobody"),
        (WORKBOOK, "query: each.query", "query: 'AppMetrics'", "Mails: its query is none of ours"),
        (WORKBOOK, "queries/money.kql'), shown: 'table'", "queries/money.kql'), shown: 'timechart'",
         "Money: a chart without its time"),
        (WORKBOOK, "-Requests-TotalRequests", "--TotalRequests",
         "Answers of Cosmos DB, by status: there is no microsoft.documentdb/databaseaccounts--TotalRequests"),
        (WORKBOOK, "splitBy: 'EntityName'", "splitBy: 'Queue'",
         "Messages on queues: ActiveMessages is not split by Queue"),
    ],
)  # fmt: skip
def test_what_could_never_fire_and_what_stays_empty_is_found(
    broken: Break, file: str, was: str, becomes: str, finding: str
) -> None:
    plan = broken(file, was, becomes).planned("prod")
    check = CHECKS.get(file, CHECKS[QUERIED])
    assert finding in list(check(plan))


def test_an_alert_and_its_section_are_missed_by_name(prod: Planned) -> None:
    assert "### silence\n" in RUNBOOK
    assert list(wrong_with_runbook(prod, RUNBOOK.replace("### silence\n", "### quiet\n"))) == [
        "silence has no section",
        "there is no alert quiet",
    ]
