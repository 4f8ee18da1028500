"""What apps, the gateway, the budget and the logs are told: what the installation said, and the same everywhere."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.infra.checks.told import addresses, alike, kept, sampled
from tests.infra.checks.watching import budget, logged
from tests.infra.conftest import Break
from tests.infra.world import Function, Infra, Seen
from tools.delivery.variables import LATER
from tools.plan import planned

type Check = Callable[[Seen], Iterator[str]]
MAIN: Final = "main.bicep"
GATEWAY: Final = "modules/gateway.bicep"
LOGS: Final = "modules/diagnostics.bicep"
BUDGET: Final = "modules/budget.bicep"
TOLD: Final = "prod, with everything"  # so that what is told differs from what is usual


@pytest.mark.parametrize("check", [alike, kept, addresses, sampled, logged, budget])
def test_everybody_is_told_what_the_installation_was(seen: Seen, check: Check) -> None:
    assert list(check(seen)) == []


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "found"),
    [
        (alike, MAIN, "'api-audience': audience", "'api-audience': authorities", "api-audience: it is https://"),
        (alike, MAIN, "anonymousBrowsing ? 'true' : 'false'", "anonymousBrowsing ? 'false' : 'true'",
         "anonymous-browsing: it is false"),
        (alike, MAIN, "authority: first(", "authority: last(", "authority: it is https://former"),
        (alike, MAIN, "'second-authority': last(", "'second-authority': first(", "second-authority: it is https://tick"),
        (alike, GATEWAY, "'gateway-secret': 'gateway-secret', 'insights-key': 'insights-api-key'",
         "'gateway-secret': 'insights-api-key', 'insights-key': 'gateway-secret'", "insights-key: it is gateway"),
        (alike, GATEWAY, "'gateway-secret': 'gateway-secret'", "'gateway-secret': 'gateway-accepted'",
         "gateway-secret: it is gateway-accepted"),
        (alike, "modules/apps.bicep", "'gateway-accepted': 'GATEWAY_SECRET'", "'gateway-accepted': 'OF_NOBODY'",
         "gateway-secret: it is gateway-secret, and GATEWAY_SECRET"),
        (kept, GATEWAY, "'gateway-secret': 'gateway-secret'", "'gateway-secret': 'gateway-password'",
         "nobody puts gateway-password into the vault"),
        (kept, "modules/apps.bicep", "secrets/${secret})'", "secrets/${secret}s)'", "nobody puts signing-secrets into"),
        (addresses, MAIN, "TESSERA_PUBLIC_URL: reachedAt", "TESSERA_PUBLIC_URL: 'https://${prefix}'",
         "people would be sent to https://tessera-prod"),
        (addresses, MAIN, "empty(publicUrl) ?", "!empty(publicUrl) ?", "azure-api.net, not to https://tickets"),
        (addresses, MAIN, "empty(siteOrigin) ? site.outputs.url : siteOrigin", "publicUrl", "where the website is not"),
        (addresses, MAIN, "'private-from': privateFrom", "'private-from': privateTo", "may ask for insights, not"),
        (sampled, "environments.bicep", "traceSampling: '0.2'", "traceSampling: '0.0'", "0.0 of all operations"),
        (sampled, MAIN, "? 20 : 100", "? 0 : 100", "the gateway tells 0 of a hundred"),
        (sampled, GATEWAY, "alwaysLog: 'allErrors'", "alwaysLog: null", "leaves errors out"),
        (logged, LOGS, "'AuditEvent'", "'AuditEvents'", "Microsoft.KeyVault/vaults has no AuditEvents"),
        (logged, LOGS, "category: 'OperationalLogs', enabled: true", "category: 'OperationalLogs', enabled: false",
         "OperationalLogs of Microsoft.ServiceBus/namespaces is not kept"),
        (logged, LOGS, "workspaceId: workspaceId", "workspaceId: store.id", "the logs of Microsoft.DocumentDB"),
        (budget, BUDGET, "amount: monthly", "amount: monthly * 1000", "Monthly: 3000000, and not 3000 a month"),
        (budget, BUDGET, "enabled: true", "enabled: false", "half tells nobody"),
        (budget, BUDGET, "contactEmails: [mail]", "contactEmails: [name]", "spent tells somebody else"),
        (budget, BUDGET, "threshold: 100, thresholdType: 'Actual'", "threshold: 1000, thresholdType: 'Actual'",
         "told at 50, 80, 1000"),
    ],
)  # fmt: skip
def test_what_is_told_otherwise_is_found(
    broken: Break, code: dict[str, list[Function]], check: Check, file: str, old: str, new: str, found: str
) -> None:
    copy = broken(file, old, new)
    problems = list(check(Seen(copy.planned(TOLD), copy, code)))
    assert [each for each in problems if found in each] != [], problems


def test_where_there_can_be_no_budget_yet_all_the_rest_is_declared() -> None:
    with_one, without = planned("dev").declared(), planned("dev", variables={"TESSERA_BUDGET_FROM": LATER}).declared()
    kinds = Counter(each.type for each in with_one) - Counter(each.type for each in without)
    assert kinds == {"Microsoft.Consumption/budgets": 1}


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (
            "'https://${gatewayName}.azure-api.net'",
            "'https://${prefix}.azure-api.net'",
            "not to https://tessera-prod-gate",
        ),
        (
            "empty(siteOrigin) ? site.outputs.url",
            "empty(siteOrigin) ? replace(reachedAt, 'x', 'y')",
            "the website is not",
        ),
    ],
)
def test_an_address_that_nobody_told_and_that_is_not_ours_is_found(
    broken: Break, seen_of: Callable[[Infra], Seen], old: str, new: str, found: str
) -> None:
    problems = list(addresses(seen_of(broken(MAIN, old, new))))
    assert [each for each in problems if found in each] != [], problems
