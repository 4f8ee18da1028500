"""What an environment costs in a month in which nobody buys: `python -m tools.standing` prints docs/cost.md's table.

Worked out from what infra/main.bicep declares (`make plan`) and list prices. A resource whose type is neither priced
here nor listed as free is an error, so that nobody declares one without asking. What a sale costs: bench/costs.py.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from shared.topology import topology
from tools.bicep.values import Declared
from tools.plan import ENVIRONMENTS, planned

HOURS: Final = 730
DAYS: Final = 30
# US dollars, https://azure.microsoft.com/pricing/, as of 2026; they differ by region and change.
GATEWAY_MONTH: Final[Mapping[str, float]] = {"Developer": 48.0, "StandardV2": 700.0}
BUS_MONTH: Final[Mapping[str, float]] = {"Standard": 9.8, "Premium": 677.0}  # of a unit
SITE_MONTH: Final[Mapping[str, float]] = {"Free": 0.0, "Standard": 9.0}
AUTOSCALE_HOUR: Final = 0.00012  # of one request unit a second, at least a tenth of the maximum
ZONES_FACTOR: Final = 1.25
SERVERLESS_MILLION: Final = 0.25
# Of a gigabyte, kept for a month; and how many gigabytes the store is assumed to hold.
BACKUP_GIGABYTE: Final[Mapping[str, float]] = {"Continuous7Days": 0.0, "Continuous30Days": 0.2}
STORE_GIGABYTES: Final = 10.0
READY_GIGABYTE_SECOND: Final = 0.000004
ENDPOINT_MONTH: Final = 7.3
ZONE_MONTH: Final = 0.5
LOG_GIGABYTE: Final = 2.76
LOG_ALERT_MONTH: Final[Mapping[str, float]] = {"PT5M": 1.5, "PT10M": 1.0, "PT15M": 0.5}  # the more often, the dearer
METRIC_ALERT_MONTH: Final = 0.1  # of one series
VAULT_MONTH: Final = 1.0
STORAGE_MONTH: Final = 1.0  # of an account with packages and locks: less than that

# What is done although nobody buys: each feed asks every five seconds, timers ask the store once a minute, and an app
# without instances that are always ready runs them for a second each.
FEEDS: Final = 8
POLLS_MONTH: Final = FEEDS * DAYS * 86_400 / 5
UNITS_PER_POLL: Final = 2.0
TIMER_UNITS_MINUTE: Final = 40.0
ON_DEMAND_GIGABYTE_SECOND: Final = 0.000026
FREE_GIGABYTE_SECONDS: Final = 100_000
TIMER_SECONDS_MINUTE: Final = 5.0
IDLE_LOG_GIGABYTES: Final[Mapping[str, float]] = {"dev": 2.0, "prod": 8.0}

FREE: Final = frozenset({
    "microsoft.apimanagement/service/apis", "microsoft.apimanagement/service/apis/operations/policies",
    "microsoft.apimanagement/service/backends", "microsoft.apimanagement/service/diagnostics",
    "microsoft.apimanagement/service/loggers", "microsoft.apimanagement/service/namedvalues",
    "microsoft.apimanagement/service/policies", "microsoft.apimanagement/service/products",
    "microsoft.apimanagement/service/products/apis", "microsoft.authorization/roleassignments",
    "microsoft.consumption/budgets",
    "microsoft.documentdb/databaseaccounts/sqlroleassignments",
    "microsoft.documentdb/databaseaccounts/sqlroledefinitions", "microsoft.insights/actiongroups",
    "microsoft.insights/components", "microsoft.insights/diagnosticsettings", "microsoft.insights/workbooks",
    "microsoft.managedidentity/userassignedidentities", "microsoft.network/networksecuritygroups",
    "microsoft.network/privatednszones/virtualnetworklinks", "microsoft.network/privateendpoints/privatednszonegroups",
    "microsoft.network/virtualnetworks", "microsoft.network/virtualnetworks/subnets",
    "microsoft.resources/resourcegroups", "microsoft.servicebus/namespaces/queues",
    "microsoft.servicebus/namespaces/topics", "microsoft.servicebus/namespaces/topics/subscriptions",
    "microsoft.servicebus/namespaces/topics/subscriptions/rules",
    "microsoft.storage/storageaccounts/blobservices", "microsoft.storage/storageaccounts/blobservices/containers",
    "microsoft.storage/storageaccounts/blobservices/containers/immutabilitypolicies",
    "microsoft.storage/storageaccounts/managementpolicies", "microsoft.web/serverfarms",
    "microsoft.web/sites/basicpublishingcredentialspolicies",
})  # fmt: skip


class Unpriced(Exception):
    """A resource of a type that nobody gave a price."""


def standing(environment: str, variables: Mapping[str, str] | None = None) -> dict[str, float]:
    """Part → US dollars a month, of an environment in which nobody buys.

    :param variables: as for `planned`, e.g. `TESSERA_PRIVATE_NETWORKING`

    :raises Unpriced: something is declared whose price is not known here
    """
    files = ("vault.bicepparam", "main.bicepparam")
    declared = [each for file in files for each in planned(environment, file=file, variables=variables).declared()]
    found = {"logs and traces": IDLE_LOG_GIGABYTES[environment] * LOG_GIGABYTE}
    for each in declared:
        priced = _PRICED.get(each.type.lower())
        if priced is None:
            if each.type.lower() not in FREE:
                raise Unpriced(f"{each.place}: {each.type} has no price in {__name__}")
            continue
        part, price = priced
        found[part] = found.get(part, 0.0) + price(each)
    return found | _by_use(declared, found)


def table() -> str:
    """The environments side by side, as Markdown; the last column is what a network of one's own adds."""
    by_environment = {name: standing(name) for name in ENVIRONMENTS}
    private = standing("prod", {"TESSERA_PRIVATE_NETWORKING": "true"})
    parts = sorted({*private, *by_environment["dev"]}, key=lambda part: -private.get(part, 0.0))
    lines = ["| a month | dev | prod | prod in a network of its own |", "|---|---:|---:|---:|"]
    columns = [by_environment["dev"], by_environment["prod"], private]
    lines += [f"| {part} | {' | '.join(_dollars(column.get(part, 0.0)) for column in columns)} |" for part in parts]
    totals = " | ".join(f"**{_dollars(sum(column.values()))}**" for column in columns)
    return "\n".join([*lines, f"| **in all** | {totals} |"])


def _dollars(amount: float) -> str:
    return "–" if amount == 0 else f"${amount:,.0f}" if amount >= 1 else "< $1"


def _by_use(declared: Iterable[Declared], found: Mapping[str, float]) -> dict[str, float]:
    """What polls and timers cost, where neither throughput nor instances are provisioned."""
    told: dict[str, float] = {}
    if not found.get("Cosmos DB"):
        units = POLLS_MONTH * UNITS_PER_POLL + DAYS * 1_440 * TIMER_UNITS_MINUTE
        told["Cosmos DB"] = units / 1e6 * SERVERLESS_MILLION
    if not found.get("Functions"):
        seconds = DAYS * 1_440 * TIMER_SECONDS_MINUTE
        memory = max(_memory(each) for each in declared if each.type.lower() == "microsoft.web/sites")
        told["Functions"] = max(0.0, seconds * memory - FREE_GIGABYTE_SECONDS) * ON_DEMAND_GIGABYTE_SECOND
    return told


def _gateway(each: Declared) -> float:
    return GATEWAY_MONTH[str(each.at("sku", "name"))] * int(str(each.at("sku", "capacity")))


def _bus(each: Declared) -> float:
    return BUS_MONTH[str(each.at("sku", "name"))] * int(str(each.at("sku", "capacity") or 1))


def _backup(each: Declared) -> float:
    tier = str(each.at("properties", "backupPolicy", "continuousModeProperties", "tier"))
    return BACKUP_GIGABYTE[tier] * STORE_GIGABYTES


def _throughput(each: Declared) -> float:
    most = each.at("properties", "options", "autoscaleSettings", "maxThroughput")
    return 0.0 if most is None else int(str(most)) / 10 * AUTOSCALE_HOUR * HOURS * ZONES_FACTOR


def _memory(each: Declared) -> float:
    return int(str(each.at("properties", "functionAppConfig", "scaleAndConcurrency", "instanceMemoryMB"))) / 1_024


def _ready(each: Declared) -> float:
    ready = each.at("properties", "functionAppConfig", "scaleAndConcurrency", "alwaysReady")
    instances = sum(int(group["instanceCount"]) for group in ready) if isinstance(ready, list) else 0
    return instances * _memory(each) * HOURS * 3_600 * READY_GIGABYTE_SECOND


def _log_alert(each: Declared) -> float:
    return LOG_ALERT_MONTH[str(each.at("properties", "evaluationFrequency"))]


def _metric_alert(each: Declared) -> float:
    """A rule that is split by queue watches a series for each of them, and for the topic."""
    split = "EntityName" in str(each.body)
    return METRIC_ALERT_MONTH * (len(topology().queues) + 1 if split else 1)


_PRICED: Final[Mapping[str, tuple[str, Callable[[Declared], float]]]] = {
    "microsoft.apimanagement/service": ("API Management", _gateway),
    "microsoft.servicebus/namespaces": ("Service Bus", _bus),
    "microsoft.documentdb/databaseaccounts": ("backups of Cosmos DB", _backup),
    "microsoft.documentdb/databaseaccounts/sqldatabases": ("Cosmos DB", _throughput),
    "microsoft.documentdb/databaseaccounts/sqldatabases/containers": ("Cosmos DB", _throughput),
    "microsoft.web/sites": ("Functions", _ready),
    "microsoft.web/staticsites": ("website", lambda each: SITE_MONTH[str(each.at("sku", "name"))]),
    "microsoft.storage/storageaccounts": ("storage", lambda _: STORAGE_MONTH),
    "microsoft.operationalinsights/workspaces": ("logs and traces", lambda _: 0.0),
    "microsoft.insights/scheduledqueryrules": ("alerts", _log_alert),
    "microsoft.insights/metricalerts": ("alerts", _metric_alert),
    "microsoft.keyvault/vaults": ("Key Vault, by use", lambda _: VAULT_MONTH),
    "microsoft.network/privateendpoints": ("private networking", lambda _: ENDPOINT_MONTH),
    "microsoft.network/privatednszones": ("private networking", lambda _: ZONE_MONTH),
}

if __name__ == "__main__":
    print(table())
