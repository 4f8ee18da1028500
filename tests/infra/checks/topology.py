"""Containers, queues and subscriptions: as `topology.json` and the triggers have them, and as Bicep declares them."""

import re
from collections.abc import Iterator
from typing import Any, Final

from local.emulators.cosmos.app import definition_of
from shared.events import catalog, identity, sales
from shared.events.envelope import Event
from shared.topology import Queue, Subscription, Topology
from tests.infra.world import Planned, Seen
from tools.bicep.values import Declared

ACCOUNT: Final = "Microsoft.DocumentDB/databaseAccounts"
CONTAINERS: Final = f"{ACCOUNT}/sqlDatabases/containers"
BUS: Final = "Microsoft.ServiceBus/namespaces"
SUBSCRIPTIONS: Final = f"{BUS}/topics/subscriptions"
_SPAN: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_TERM: Final = re.compile(r"type\s+IN\s*\(([^()]*)\)|type\s*=\s*('[^']*')")
_TEXT: Final = re.compile(r"'((?:[^']|'')*)'")
THROUGHPUT_STEP: Final = 1000  # https://learn.microsoft.com/azure/cosmos-db/provision-throughput-autoscale
STRANGER: Final = "SomethingNobodyKnows"
# Commands: sent to the queue that they name, not published.
COMMANDS: Final = frozenset({"ErasePerson", "ExpireOrder", "PaymentReported"})


def topology_of(seen: Seen) -> Topology:
    """The topology of the folder that the deployment comes from."""
    return Topology.model_validate(seen.infra.json("topology.json"))


def containers(seen: Seen) -> Iterator[str]:
    """Containers that are not what the tests ran on: the double of Cosmos DB makes its own from the topology."""
    declared = {str(each.name): each for each in seen.plan.of(CONTAINERS)}
    wanted = {each.name: each for each in topology_of(seen).containers}
    yield from (f"{name} is not declared" for name in sorted(wanted.keys() - declared.keys()))
    yield from (f"{name} is declared for nothing" for name in sorted(declared.keys() - wanted.keys()))
    for name in sorted(wanted.keys() & declared.keys()):
        resource: Any = declared[name].at("properties", "resource")
        for part, value in _comparable(definition_of(wanted[name])).items():
            found = _comparable(resource).get(part)
            if found != value:
                yield f"{name}: {part} is {found}, not {value}"
        if "uniqueKeyPolicy" in resource or resource.get("conflictResolutionPolicy"):
            yield f"{name}: it has unique keys or resolves conflicts, which no double does"


def _comparable(resource: Any) -> dict[str, Any]:
    policy = resource["indexingPolicy"]
    return {
        "id": resource["id"],
        "partitionKey": resource["partitionKey"],
        "defaultTtl": resource.get("defaultTtl"),
        "indexed": sorted(each["path"] for each in policy["includedPaths"]),
        "not indexed": sorted(each["path"] for each in policy["excludedPaths"]),
        "in order": sorted(str(each) for each in policy["compositeIndexes"]),
        "mode": policy.get("indexingMode", "consistent"),
    }


def account(seen: Seen) -> Iterator[str]:
    """An account that Tessera would refuse, or that keys open."""
    plan = seen.plan
    found = plan.one(ACCOUNT).properties
    if found["consistencyPolicy"]["defaultConsistencyLevel"] != "Strong":
        yield "the account is not strongly consistent"
    if found["enableMultipleWriteLocations"] or len(found["locations"]) != 1:
        yield "the account writes in more than one region"
    if not (found["disableLocalAuth"] and found["disableKeyBasedMetadataWriteAccess"]):
        yield "keys open the account"
    if found["backupPolicy"]["type"] != "Continuous":
        yield "the account cannot be restored to a moment"
    database = plan.one(f"{ACCOUNT}/sqlDatabases")
    if database.name != topology_of(seen).database or database.at("properties", "resource", "id") != database.name:
        yield f"the database is {database.name}"


def throughput(seen: Seen) -> Iterator[str]:
    """Request units that Cosmos DB would not take: in thousands where it scales, none at all where it is serverless."""
    serverless = {"name": "EnableServerless"} in seen.plan.one(ACCOUNT).properties["capabilities"]
    shared = False
    for each in (seen.plan.one(f"{ACCOUNT}/sqlDatabases"), *seen.plan.of(CONTAINERS)):
        most = each.at("properties", "options", "autoscaleSettings", "maxThroughput")
        shared = shared or (most is not None and each.type.endswith("sqlDatabases"))
        if serverless and each.at("properties", "options"):
            yield f"{each.name}: a serverless account takes no {', '.join(each.at('properties', 'options'))}"
        elif most is not None and (most < THROUGHPUT_STEP or most % THROUGHPUT_STEP):
            yield f"{each.name}: {most} request units are no thousands"
        elif most is None and not serverless and not shared:
            yield f"{each.name}: it has no throughput of its own and none to share"


def queues(seen: Seen) -> Iterator[str]:
    """Queues that behave otherwise than the topology says."""
    declared = {str(each.name): each for each in seen.plan.of(f"{BUS}/queues")}
    wanted = {each.name: each for each in topology_of(seen).queues}
    yield from (f"{name} is not declared" for name in sorted(wanted.keys() - declared.keys()))
    yield from (f"{name} is declared for nothing" for name in sorted(declared.keys() - wanted.keys()))
    for name in sorted(wanted.keys() & declared.keys()):
        yield from (f"{name}: {problem}" for problem in _queue(declared[name], wanted[name]))


def _queue(declared: Declared, wanted: Queue) -> Iterator[str]:
    found = declared.properties
    if seconds(found.get("lockDuration", "PT1M")) != wanted.lock_seconds:
        yield f"its lock lasts {found.get('lockDuration')}, not {wanted.lock_seconds} s"
    if found.get("maxDeliveryCount") != wanted.max_delivery_count:
        yield f"a message is delivered {found.get('maxDeliveryCount')} times, not {wanted.max_delivery_count}"
    yield from _duplicates(found, wanted.duplicate_detection_minutes)
    if found.get("requiresSession"):
        yield "it has sessions, which no trigger of ours asks for"
    if found.get("forwardTo") or found.get("forwardDeadLetteredMessagesTo"):
        yield "its messages, or its dead letters, are passed on to where nobody looks for them"
    yield from _vanishing(found)
    if not found.get("deadLetteringOnMessageExpiration"):
        yield "a message that expires is gone"


def _vanishing(found: dict[str, Any]) -> Iterator[str]:
    """The same of queues, of the topic and of its subscriptions."""
    if found.get("defaultMessageTimeToLive") or found.get("autoDeleteOnIdle"):
        yield "messages vanish by getting old, or it does itself"
    if found.get("status", "Active") != "Active":
        yield f"it is {found['status']}"


def _duplicates(found: dict[str, Any], minutes: int) -> Iterator[str]:
    if not found.get("requiresDuplicateDetection"):
        yield "a message sent twice is delivered twice"
    elif seconds(found["duplicateDetectionHistoryTimeWindow"]) != minutes * 60:
        yield f"duplicates are known for {found['duplicateDetectionHistoryTimeWindow']}, not {minutes} minutes"


def topic(seen: Seen) -> Iterator[str]:
    """The topic, and the namespace that it is in."""
    wanted = topology_of(seen).topic
    found = seen.plan.one(f"{BUS}/topics")
    if found.name != wanted.name:
        yield f"the topic is {found.name}, not {wanted.name}"
    yield from (
        f"the topic: {problem}" for problem in _duplicates(found.properties, wanted.duplicate_detection_minutes)
    )
    yield from (f"the topic: {problem}" for problem in _vanishing(found.properties))
    namespace = seen.plan.one(BUS)
    if not namespace.properties["disableLocalAuth"]:
        yield "keys open the namespace"
    if namespace.at("sku", "name") not in {"Standard", "Premium"}:
        yield "Basic has no topics"


def subscriptions(seen: Seen) -> Iterator[str]:
    """Subscriptions that forward something else, or elsewhere."""
    topology = topology_of(seen)
    declared = {str(each.name): each for each in seen.plan.of(SUBSCRIPTIONS)}
    wanted = {each.name: each for each in topology.subscriptions}
    yield from (f"{name} is not declared" for name in sorted(wanted.keys() - declared.keys()))
    yield from (f"{name} is declared for nothing" for name in sorted(declared.keys() - wanted.keys()))
    for name in sorted(wanted.keys() & declared.keys()):
        yield from (f"{name}: {problem}" for problem in _subscription(seen.plan, declared[name], wanted[name]))


def _subscription(plan: Planned, declared: Declared, wanted: Subscription) -> Iterator[str]:
    if declared.at("properties", "forwardTo") != wanted.forward_to:
        yield f"it forwards to {declared.at('properties', 'forwardTo')}, not to {wanted.forward_to}"
    yield from _vanishing(declared.properties)
    if declared.at("properties", "requiresSession"):
        yield "a subscription with sessions cannot forward"
    rules = [each for each in plan.of(f"{SUBSCRIPTIONS}/rules") if each.parent is declared]
    if [str(each.name) for each in rules] != ["$Default"]:
        named = [str(each.name) for each in rules]
        yield f"its rules are {named}: another than $Default leaves that one, which takes everything"
        return
    rule = rules[0].properties
    if rule.get("filterType") != "SqlFilter" or rule.get("action"):
        yield f"its rule is a {rule.get('filterType')}"
        return
    taken = accepted(str(rule["sqlFilter"]["sqlExpression"]), {*published(), STRANGER})
    if taken is None:
        yield f"its filter is not one that we can read: {rule['sqlFilter']['sqlExpression']}"
    elif taken != set(wanted.types):
        yield f"it takes {sorted(taken ^ set(wanted.types))} otherwise than the topology says"


def accepted(expression: str, types: set[str]) -> set[str] | None:
    """The types for which a filter on the property `type` holds; None if it is another kind of filter.

    Read without the code that wrote it: `type IN ('A', 'B')` and `type = 'A'`, joined by OR.
    """
    wanted: set[str] = set()
    for term in re.split(r"\s+OR\s+", expression.strip()):
        match = _TERM.fullmatch(term.strip())
        if match is None:
            return None
        inside = match[1] if match[1] is not None else match[2]
        if _TEXT.sub("", inside).replace(",", "").strip():
            return None
        wanted |= {found.replace("''", "'") for found in _TEXT.findall(inside)}
    return wanted & types


def published() -> set[str]:
    """The types of all events and commands that the code knows."""
    found = {
        each.type_name()
        for module in (catalog, identity, sales)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Event) and each is not Event
    }
    return found - {"OrderEvent"}


def types(seen: Seen) -> Iterator[str]:
    """Types that a subscription waits for and nobody publishes, and events that nobody hears of."""
    waited = {name for each in topology_of(seen).subscriptions for name in each.types}
    yield from (f"nobody publishes {name}" for name in sorted(waited - published()))
    yield from (f"nobody hears of {name}" for name in sorted(published() - waited - COMMANDS))


def triggers(seen: Seen) -> Iterator[str]:
    """Triggers whose queue, container or leases nobody declares, and queues that nobody empties."""
    queues = {str(each.name) for each in seen.plan.of(f"{BUS}/queues")}
    containers = {each.full_name.split("/", 1)[1] for each in seen.plan.of(CONTAINERS)}
    leases: set[tuple[str, str]] = set()
    emptied: set[str] = set()
    for function in {each.name: each for service in seen.code.values() for each in service}.values():
        binding = function.binding
        if function.trigger == "serviceBusTrigger":
            emptied.add(binding["queueName"])
            if binding["queueName"] not in queues:
                yield f"{function.name}: the queue {binding['queueName']} is not declared"
        elif function.trigger == "cosmosDBTrigger":
            for part in ("containerName", "leaseContainerName"):
                if f"{binding['databaseName']}/{binding[part]}" not in containers:
                    yield f"{function.name}: the container {binding[part]} is not declared"
            lease = (binding["leaseContainerName"], binding["leaseContainerPrefix"])
            if lease in leases:
                yield f"{function.name}: another feed has its leases, {lease[1]}"
            leases.add(lease)
            if binding.get("createLeaseContainerIfNotExists"):
                yield f"{function.name}: no identity may make its leases' container"
    yield from (f"nobody empties {name}" for name in sorted(queues - emptied))


def seconds(span: str) -> int | None:
    """A span as ISO 8601 writes it, such as `PT15S`; None if it is no such text."""
    match = _SPAN.fullmatch(span)
    if match is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest
