"""Who may do what: a role for everything that an app reaches by its identity, of the right kind, in the right place."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.settings import SERVICES
from tests.infra.checks.settings import REFERENCE
from tests.infra.checks.topology import ACCOUNT
from tests.infra.world import Function, Planned, Seen, app_settings, services_of
from tools.bicep.values import Declared, Symbol, Template, Value, symbols

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES: Final = {
    "090c5cfd-751d-490a-894a-3ce6f1109419": "Azure Service Bus Data Owner",
    "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0": "Azure Service Bus Data Receiver",
    "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39": "Azure Service Bus Data Sender",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "43d0d8ad-25c7-4714-9337-8ba259a9fe05": "Monitoring Reader",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "a4417e6f-fecd-4de8-b567-7b0420556985": "Key Vault Certificates Officer",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
}
# https://learn.microsoft.com/azure/cosmos-db/reference-data-plane-security
COSMOS_ROLES: Final = {
    "00000000-0000-0000-0000-000000000001": "Cosmos DB Built-in Data Reader",
    "00000000-0000-0000-0000-000000000002": "Cosmos DB Built-in Data Contributor",
}
OFFICE: Final = "workers"  # relays what others publish, and looks after everybody's dead letters
METADATA: Final = "Microsoft.DocumentDB/databaseAccounts/readMetadata"
# A role that includes another: whoever has it needs not the other.
INCLUDES: Final = {
    "Azure Service Bus Data Owner": {"Azure Service Bus Data Receiver", "Azure Service Bus Data Sender"},
    "Cosmos DB Built-in Data Contributor": {"Cosmos DB Built-in Data Reader"},
}
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, order=True)
class Grant:
    """A role, of somebody, on something: the name of an identity, and names with slashes."""

    who: str
    role: str
    where: str

    def __str__(self) -> str:
        return f"{self.who}: {self.role} on {self.where}"


def granted(plan: Planned) -> tuple[set[Grant], list[str]]:
    """What a deployment grants, and what is wrong with that whoever needs it."""
    found: set[Grant] = set()
    wrong: list[str] = []
    for each in plan.of("Microsoft.Authorization/roleAssignments"):
        where = where_of(each)
        role = ROLES.get(role_of(each.at("properties", "roleDefinitionId")), "")
        if not role:
            wrong.append(f"{where}: an unknown role, {each.at('properties', 'roleDefinitionId')}")
        elif each.at("properties", "description") != role:
            wrong.append(f"{where}: {role} is called {each.at('properties', 'description')}")
        wrong += [f"{where}: {problem}" for problem in _principal(each)]
        found.add(Grant(_who(each.at("properties", "principalId")), role, where))
    for each in plan.of(f"{ACCOUNT}/sqlRoleAssignments"):
        wrong += [f"{each.name}: {problem}" for problem in _principal(each)]
        found.add(_cosmos(each, plan))
    return found, wrong


def _principal(each: Declared) -> Iterator[str]:
    who = each.at("properties", "principalId")
    if not isinstance(who, Symbol) or who.path != ("properties", "principalId"):
        yield f"a role is given to a principal, not to {who}"
    if each.type.startswith("Microsoft.Authorization") and each.at("properties", "principalType") != "ServicePrincipal":
        yield "an identity is a ServicePrincipal; without saying so a new one may not be found yet"


def _who(value: Value) -> str:
    return str(value.of.name) if isinstance(value, Symbol) and value.of is not None else str(value)


def where_of(each: Declared) -> str:
    """On what a role is given: names with slashes."""
    return each.scope.full_name if isinstance(each.scope, Declared) else f"everything in {each.scope}"


def role_of(value: Value) -> str:
    """The id of a role's definition; empty if it is none."""
    found = _GUID.search(str(value))
    return found[0] if found else ""


def _cosmos(each: Declared, plan: Planned) -> Grant:
    scope: Any = each.at("properties", "scope")
    of = next(iter(symbols(scope)), None)
    account = str(of.of.name) if of is not None and of.of is not None else "?"
    inside = scope.parts[-1] if isinstance(scope, Template) and isinstance(scope.parts[-1], str) else ""
    wanted = each.at("properties", "roleDefinitionId")
    own = wanted.of if isinstance(wanted, Symbol) else None
    role = COSMOS_ROLES.get(str(wanted).rpartition("/")[2], "?")
    for definition in plan.of(f"{ACCOUNT}/sqlRoleDefinitions"):
        if own is not None and own.key == definition.key:
            role = ", ".join(definition.at("properties", "permissions", 0, "dataActions"))
    return Grant(_who(each.at("properties", "principalId")), role, f"{account}{inside}")


def needed(seen: Seen) -> set[Grant]:
    """What the apps and the gateway reach, by their settings, their triggers, and `services.json`."""
    return {grant for site in seen.plan.of("Microsoft.Web/sites") for grant in _of_app(site, seen)} | set(
        _of_gateway(seen)
    )


def _of_app(site: Declared, seen: Seen) -> Iterator[Grant]:
    settings, services = app_settings(site), services_of(site)
    who = _who(settings["AzureWebJobsStorage__clientId"])
    yield Grant(who, "Storage Blob Data Owner", str(settings["AzureWebJobsStorage__accountName"]))
    yield Grant(who, "Monitoring Metrics Publisher", _who(settings["APPLICATIONINSIGHTS_CONNECTION_STRING"]))
    for value in settings.values():
        if reference := REFERENCE.fullmatch(str(value)):
            yield Grant(who, "Key Vault Secrets User", f"{reference[1]}/{reference[2]}")
    grants = seen.infra.json("services.json")
    store, database = _who(settings["COSMOS__accountEndpoint"]), seen.infra.json("topology.json")["database"]
    yield Grant(who, METADATA, store)
    for service in services:
        for kind, role in (("reads", "Reader"), ("writes", "Contributor")):
            for container in grants[service][kind]:
                yield Grant(who, f"Cosmos DB Built-in Data {role}", f"{store}/dbs/{database}/colls/{container}")
        bus = str(settings["SERVICEBUS__fullyQualifiedNamespace"]).partition(".")[0]
        for kind, role in (("triggers", "Owner"), ("receives", "Receiver"), ("sends", "Sender")):
            for entity in grants[service][kind]:
                yield Grant(who, f"Azure Service Bus Data {role}", f"{bus}/{entity}")


def _of_gateway(seen: Seen) -> Iterator[Grant]:
    for value in seen.plan.of("Microsoft.ApiManagement/service/namedValues"):
        vault = value.at("properties", "keyVault")
        if vault:
            uri = re.fullmatch(r"https://([\w-]+)\.vault\.azure\.net/secrets/([\w-]+)", str(vault["secretIdentifier"]))
            assert uri is not None, f"{vault['secretIdentifier']} is no secret's address"
            yield Grant(_who(vault["identityClientId"]), "Key Vault Secrets User", f"{uri[1]}/{uri[2]}")
    for logger in seen.plan.of("Microsoft.ApiManagement/service/loggers"):
        who = _who(logger.at("properties", "credentials", "identityClientId"))
        yield Grant(who, "Monitoring Metrics Publisher", _who(logger.at("properties", "resourceId")))


def missing(seen: Seen) -> Iterator[str]:
    """Grants that somebody needs and nobody gave them."""
    found, _ = granted(seen.plan)
    covered = found | {Grant(each.who, role, each.where) for each in found for role in INCLUDES.get(each.role, ())}
    yield from sorted(map(str, needed(seen) - covered))


def too_many(seen: Seen) -> Iterator[str]:
    """Grants that nobody needs, and those that are no good whoever needs them."""
    found, wrong = granted(seen.plan)
    yield from sorted(wrong)
    yield from sorted(map(str, found - needed(seen)))


def services(seen: Seen) -> Iterator[str]:
    """What `services.json` says of a service, against its triggers."""
    declared = seen.infra.json("services.json")
    if list(declared) != list(SERVICES):
        yield f"the services are {', '.join(SERVICES)}"
        return
    queues = {each["name"] for each in seen.infra.json("topology.json")["queues"]}
    topic = seen.infra.json("topology.json")["topic"]["name"]
    known = {each["name"] for each in seen.infra.json("topology.json")["containers"]}
    for name, each in declared.items():
        emptied, followed = _triggers(seen.code[name])
        if set(each["triggers"]) != emptied:
            yield f"{name}: its triggers are on {', '.join(sorted(emptied))}"
        if not emptied <= set(each["sends"]):
            yield f"{name}: it cannot postpone messages of {', '.join(sorted(emptied - set(each['sends'])))}"
        if name != OFFICE and (each["receives"] or set(each["sends"]) - emptied):
            yield f"{name}: it sends to others' queues, or receives from them, and only {OFFICE} does"
        if not followed <= {*each["reads"], *each["writes"]} or (followed and "leases" not in each["writes"]):
            yield f"{name}: it follows {', '.join(sorted(followed))} and cannot read them, or write its leases"
        if set(each["reads"]) & set(each["writes"]):
            yield f"{name}: who writes reads anyway"
        unknown = {*each["reads"], *each["writes"]} - known | {*each["receives"], *each["sends"]} - queues - {topic}
        if unknown:
            yield f"{name}: there is no {', '.join(sorted(unknown))}"
    yield from _office(declared[OFFICE], queues, topic)


def _office(office: Any, queues: set[str], topic: str) -> Iterator[str]:
    """It looks at everybody's dead letters, sends them again, and publishes what the outboxes have."""
    if unseen := queues - {*office["triggers"], *office["receives"]}:
        yield f"{OFFICE}: nobody looks at the dead letters of {', '.join(sorted(unseen))}"
    if unsent := {*queues, topic} - set(office["sends"]):
        yield f"{OFFICE}: nobody publishes on, or replays dead letters to, {', '.join(sorted(unsent))}"


def _triggers(functions: Sequence[Function]) -> tuple[set[str], set[str]]:
    queues = {each.binding["queueName"] for each in functions if each.trigger == "serviceBusTrigger"}
    return queues, {each.binding["containerName"] for each in functions if each.trigger == "cosmosDBTrigger"}
