"""A role for each connection by identity: none is missing, none is for nothing, and each is where it has to be."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.infra.checks.roles import missing, services, too_many
from tests.infra.conftest import Break
from tests.infra.world import Infra, Seen

type Check = Callable[[Seen], Iterator[str]]
STORE: Final = "modules/access-cosmos.bicep"
BUS: Final = "modules/access-servicebus.bicep"
SECRETS: Final = "modules/access-secrets.bicep"
STORAGE: Final = "modules/access-storage.bicep"
TELEMETRY: Final = "modules/access-telemetry.bicep"
ACCESS: Final = "modules/access.bicep"
SERVICES: Final = "services.json"


@pytest.mark.parametrize("check", [missing, too_many, services])
def test_everybody_may_do_what_they_need_and_nothing_else(seen: Seen, check: Check) -> None:
    assert list(check(seen)) == []


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "found"),
    [
        (missing, STORE, "scope: '${account.id}/dbs/${database}/colls/${container}'",
         "scope: '${account.id}/dbs/${database}/colls/orders'", "colls/inventory"),
        (missing, STORE, "/dbs/${database}/colls/", "/dbs/tickets/colls/", "/dbs/tessera/colls/orders"),
        (missing, STORE, "000000000002'", "000000000001'", "Cosmos DB Built-in Data Contributor on"),
        (missing, STORE, "roleDefinitionId: looksAround.id", "roleDefinitionId: reader", "readMetadata"),
        (missing, BUS, "for (queue, i) in triggers: {\n    scope", "for (queue, i) in skip(triggers, 1): {\n    scope",
         "Azure Service Bus Data Owner on"),
        (missing, BUS, "if (contains(sends, topicName))", "if (contains(sends, 'event'))", "Data Sender on"),
        (missing, SECRETS, "scope: secrets[i]", "scope: secrets[0]", "Key Vault Secrets User on"),
        (missing, STORAGE, "'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'", "'3913510d-42f4-4e42-8a64-420c390055eb'",
         "Storage Blob Data Owner on"),
        (missing, TELEMETRY, "for principalId in principalIds:", "for principalId in take(principalIds, 1):",
         "gateway: Monitoring Metrics Publisher"),
        (missing, ACCESS, "params: { accountName: name, principalId: identities[i].principalId }",
         "params: { accountName: name, principalId: identities[0].principalId }", "Storage Blob Data Owner on"),
        (missing, ACCESS, "secretNames: ['gateway-secret', 'insights-api-key']", "secretNames: ['gateway-secret']",
         "gateway: Key Vault Secrets User on"),
        (too_many, "modules/identities.bicep", "principalId: apps[i].properties.principalId",
         "principalId: apps[i].properties.clientId", "given to a principal, not to"),
        (too_many, STORAGE, "principalType: 'ServicePrincipal'", "principalType: 'User'", "is a ServicePrincipal"),
        (too_many, STORAGE, "'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'", "'8e3af657-a8ff-443c-a75c-2fe8c4bcb635'",
         "an unknown role"),
        (too_many, STORAGE, "  scope: account\n", "", "everything in resourceGroup"),
        (too_many, TELEMETRY, "description: 'Monitoring", "description: 'Monitored", "is called Monitored"),
        (too_many, BUS, "var sends = union(", "var sends = union(['payments'], ", "identity: Azure Service Bus Data"),
        (services, SERVICES, '{\n  "commerce"', '{\n  "kitchen": {},\n  "commerce"', "the services are"),
        (services, SERVICES, '"triggers": ["insights"]', '"triggers": []', "insights: its triggers are on insights"),
        (services, SERVICES, '"sends": ["erasures"]', '"sends": []', "identity: it cannot postpone"),
        (services, SERVICES, '"leases", "mail"', '"mail"', "workers: it follows"),
        (services, SERVICES, '"reads": ["keys", "people"]', '"reads": ["keys", "person"]', "there is no person"),
        (services, SERVICES, '"reads": ["keys", "people"]', '"reads": ["insights", "people"]',
         "insights: who writes reads anyway"),
        (services, SERVICES, '"erasures", "insights"],\n    "sends"', '"erasures"],\n    "sends"',
         "dead letters of insights"),
        (services, SERVICES, '"sends": ["events", ', '"sends": [', "workers: nobody publishes on, or replays"),
        (services, SERVICES, '"invitations", "erasures", "insights"],\n    "secrets"',
         '"invitations", "insights"],\n    "secrets"', "replays dead letters to, erasures"),
        (services, SERVICES, '"sends": ["erasures"]', '"sends": ["erasures", "events"]',
         "identity: it sends to others' queues"),
        (services, SERVICES, '"receives": []', '"receives": ["erasures"]', "commerce: it sends to others' queues, or"),
    ],
)  # fmt: skip
def test_a_role_that_is_missing_wrong_or_for_nothing_is_found(
    broken: Break, seen_of: Callable[[Infra], Seen], check: Check, file: str, old: str, new: str, found: str
) -> None:
    problems = list(check(seen_of(broken(file, old, new))))
    assert [each for each in problems if found in each] != [], problems
