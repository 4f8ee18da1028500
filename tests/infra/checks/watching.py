"""What Azure's own services log, and the budget: that it is what they have, and reaches those who look."""

from collections.abc import Iterator
from typing import Any, Final

from tests.infra.checks.told import given
from tests.infra.world import Seen
from tools.bicep.values import Symbol, Value
from tools.plan import EXAMPLES

WORKSPACE: Final = "Microsoft.OperationalInsights/workspaces"
# https://learn.microsoft.com/azure/azure-monitor/reference/logs-index: what each of them can log.
CATEGORIES: Final = {
    "Microsoft.ApiManagement/service": {"DeveloperPortalAuditLogs", "GatewayLogs", "WebSocketConnectionLogs"},
    "Microsoft.DocumentDB/databaseAccounts": {
        "ControlPlaneRequests", "DataPlaneRequests", "PartitionKeyRUConsumption", "PartitionKeyStatistics",
        "QueryRuntimeStatistics",
    },
    "Microsoft.KeyVault/vaults": {"AuditEvent", "AzurePolicyEvaluationDetails"},
    "Microsoft.ServiceBus/namespaces": {
        "ApplicationMetricsLogs", "DiagnosticErrorLogs", "OperationalLogs", "RuntimeAuditLogs",
        "VNetAndIPFilteringLogs",
    },
}  # fmt: skip
# Who changed what, and who read a secret: these are kept, always.
AUDITED: Final = {
    "Microsoft.DocumentDB/databaseAccounts": "ControlPlaneRequests",
    "Microsoft.KeyVault/vaults": "AuditEvent",
    "Microsoft.ServiceBus/namespaces": "OperationalLogs",
}
USUAL_BUDGET: Final = 150  # as main.bicepparam has it


def logged(seen: Seen) -> Iterator[str]:
    """Logs that a service does not have, that go nowhere, or that an audit would miss."""
    workspace = seen.plan.one(WORKSPACE)
    found: set[tuple[str, str]] = set()
    for each in seen.plan.of("Microsoft.Insights/diagnosticSettings"):
        kind = str(getattr(each.scope, "type", each.scope))
        where = each.at("properties", "workspaceId")
        if not isinstance(where, Symbol) or where.of is None or where.of.key != workspace.key:
            yield f"the logs of {kind} go to {where}"
        logs: Any = each.at("properties", "logs")
        for log in logs:
            if log["category"] not in CATEGORIES.get(kind, ()):
                yield f"{kind} has no {log['category']}"
            elif log["enabled"]:
                found.add((kind, log["category"]))
    yield from (f"{category} of {kind} is not kept" for kind, category in sorted(AUDITED.items() - found))


def budget(seen: Seen) -> Iterator[str]:
    """A budget of another sum than was told, or that tells nobody before it is spent."""
    found = seen.plan.one("Microsoft.Consumption/budgets").properties
    told = int(given(seen).get("TESSERA_BUDGET_MONTHLY", USUAL_BUDGET))
    if (found["amount"], found["category"], found["timeGrain"]) != (told, "Cost", "Monthly"):
        yield f"{found['category']}, {found['timeGrain']}: {found['amount']}, and not {told} a month"
    if found["timePeriod"]["startDate"] != EXAMPLES["TESSERA_BUDGET_FROM"]:
        yield f"it counts from {found['timePeriod']['startDate']}"
    for name, each in found["notifications"].items():
        if not each["enabled"] or each["operator"] not in {"GreaterThan", "GreaterThanOrEqualTo"}:
            yield f"{name} tells nobody"
        if each["contactEmails"] != [EXAMPLES["TESSERA_ALERT_MAIL"]] or not _people(seen, each["contactGroups"]):
            yield f"{name} tells somebody else"
    early = [each["threshold"] for each in found["notifications"].values() if each["thresholdType"] == "Actual"]
    if not early or min(early) >= 100 or 100 not in early:
        yield f"it is told at {', '.join(map(str, sorted(early)))} of a hundred"


def _people(seen: Seen, groups: list[Value]) -> bool:
    known = {each.key for each in seen.plan.of("Microsoft.Insights/actionGroups")}
    return bool(groups) and all(isinstance(each, Symbol) and each.of and each.of.key in known for each in groups)
