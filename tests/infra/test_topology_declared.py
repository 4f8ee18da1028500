"""What the code stands on is what Bicep declares: containers and their indexes, queues, subscriptions, triggers."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from shared.topology import Topology, topology
from tests.infra.checks.queries import filters, unserved
from tests.infra.checks.topology import (
    STRANGER,
    accepted,
    account,
    containers,
    queues,
    subscriptions,
    throughput,
    topic,
    triggers,
    types,
)  # fmt: skip
from tests.infra.conftest import Break
from tests.infra.world import Function, Infra, Seen

type Check = Callable[[Seen], Iterator[str]]
ROOT: Final = Path(__file__).parents[2]
BUS: Final = "modules/servicebus.bicep"
STORE: Final = "modules/cosmos.bicep"
TOPOLOGY: Final = "topology.json"


@pytest.mark.parametrize("check", [containers, account, throughput, queues, topic, subscriptions, types, triggers])
def test_everything_the_code_stands_on_is_declared_as_it_is_used(seen: Seen, check: Check) -> None:
    assert list(check(seen)) == []


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "found"),
    [
        (containers, STORE, "paths: ['/${container.partition_key}']", "paths: ['/id']", "events: partitionKey is"),
        (containers, STORE, "        defaultTtl: -1\n", "", "listings: defaultTtl is None"),
        (containers, STORE, "defaultTtl: -1", "defaultTtl: 3600", "orders: defaultTtl is 3600"),
        (containers, STORE, "              container.?found_by ?? [],\n", "", "orders: indexed is"),
        (containers, STORE, "excludedPaths: [{ path: '/*' }]", "excludedPaths: []", "orders: not indexed is"),
        (containers, STORE, "{ path: '/id', order: 'ascending' }", "{ path: '/id', order: 'descending' }",
         "listings: in order is"),
        (containers, STORE, "for container in topology.containers:", "for container in skip(topology.containers, 1):",
         "organisers is not declared"),
        (containers, STORE, "version: 2", "version: 1", "wallets: partitionKey is"),
        (containers, STORE, "defaultTtl: -1", "defaultTtl: -1\n        uniqueKeyPolicy: { uniqueKeys: [] }",
         "orders: it has unique keys"),
        (account, STORE, "  name: topology.database\n", "  name: 'tickets'\n", "the database is tickets"),
        (account, STORE, "'Strong'", "'Session'", "not strongly consistent"),
        (account, STORE, "enableMultipleWriteLocations: false", "enableMultipleWriteLocations: true", "more than one"),
        (account, STORE, "disableLocalAuth: true", "disableLocalAuth: false", "keys open the account"),
        (account, STORE, "type: 'Continuous', continuousModeProperties: { tier: backupTier }",
         "type: 'Periodic'", "cannot be restored"),
        (throughput, "environments.bicep", "orders: 10000", "orders: 1500", "orders: 1500 request units are no"),
        (throughput, STORE, "serverless ? [{ name: 'EnableServerless' }] : []", "[{ name: 'EnableServerless' }]",
         "tessera: a serverless account takes no autoscaleSettings"),
        (throughput, STORE, "options: serverless ? {} : {", "options: !serverless ? {} : {", "it has no throughput"),
        (queues, BUS, "      maxDeliveryCount: queue.max_delivery_count\n", "", "a message is delivered None"),
        (queues, BUS, "lockDuration: 'PT${queue.lock_seconds}S'", "lockDuration: 'PT${queue.lock_seconds}M'",
         "stock: its lock lasts PT15M"),
        (queues, BUS, "requiresDuplicateDetection: true\n      dup", "requiresDuplicateDetection: false\n      dup",
         "refunds: a message sent twice"),
        (queues, BUS, "deadLetteringOnMessageExpiration: true\n      max", "requiresSession: true\n      max",
         "erasures: it has sessions"),
        (queues, BUS, "lockDuration: 'PT${queue.lock_seconds}S'", "lockDuration: '15 s'", "stock: its lock lasts 15 s"),
        (queues, BUS, "'PT${queue.duplicate_detection_minutes}M'", "'PT1M'", "duplicates are known for PT1M"),
        (queues, BUS, "      maxDeliveryCount:", "      defaultMessageTimeToLive: 'P1D'\n      maxDeliveryCount:",
         "vanish by getting old"),
        (queues, BUS, "      maxDeliveryCount:", "      status: 'ReceiveDisabled'\n      maxDeliveryCount:",
         "payments: it is ReceiveDisabled"),
        (queues, BUS, "      maxDeliveryCount:", "      forwardDeadLetteredMessagesTo: 'x'\n      maxDeliveryCount:",
         "dead letters, are passed on"),
        (topic, BUS, "    requiresDuplicateDetection: true\n    dup",
         "    defaultMessageTimeToLive: 'PT1H'\n    requiresDuplicateDetection: true\n    dup",
         "the topic: messages vanish"),
        (topic, BUS, "    requiresDuplicateDetection: true\n    dup",
         "    status: 'Disabled'\n    requiresDuplicateDetection: true\n    dup", "the topic: it is Disabled"),
        (subscriptions, BUS, "      forwardTo: sub", "      defaultMessageTimeToLive: 'PT5M'\n      forwardTo: sub",
         "refunds: messages vanish"),
        (subscriptions, BUS, "      forwardTo: sub", "      status: 'Disabled'\n      forwardTo: sub",
         "insights: it is Disabled"),
        (topic, BUS, "name: topology.topic.name", "name: 'event'", "the topic is event, not events"),
        (topic, BUS, "name: 'Premium', tier: 'Premium', capacity: 1", "name: 'Basic', tier: 'Basic'", "Basic has no"),
        (topic, BUS, "disableLocalAuth: true", "disableLocalAuth: false", "keys open the namespace"),
        (topic, BUS, "requiresDuplicateDetection: true", "requiresDuplicateDetection: false", "the topic: "),
        (subscriptions, BUS, "name: '$Default'", "name: 'types'", "another than $Default leaves that one"),
        (subscriptions, BUS, "type IN (\\'", "type NOT IN (\\'", "not one that we can read"),
        (subscriptions, BUS, "join(subscription.types, '\\', \\'')", "first(subscription.types)", "stock: it takes"),
        (subscriptions, BUS, "forwardTo: subscription.forward_to", "forwardTo: topology.queues[0].name",
         "refunds: it forwards to payments"),
        (subscriptions, BUS, "      forwardTo: sub", "      requiresSession: true\n      forwardTo: sub",
         "a subscription with sessions cannot forward"),
        (subscriptions, BUS, "filterType: 'SqlFilter'", "filterType: 'CorrelationFilter'", "a CorrelationFilter"),
        (types, TOPOLOGY, '["OrderRefunding"]', '["OrderRefundig"]', "nobody publishes OrderRefundig"),
        (types, TOPOLOGY, '"MemberInvited", "PersonInvited"', '"MemberInvited"', "nobody hears of PersonInvited"),
        (triggers, BUS, "name: queue.name", "name: '${queue.name}s'", "settle_order: the queue payments is not"),
        (triggers, TOPOLOGY, '"name": "leases"', '"name": "lease"', "the container leases is not declared"),
    ],
)  # fmt: skip
def test_what_would_not_work_on_azure_is_found(
    broken: Break, seen_of: Callable[[Infra], Seen], check: Check, file: str, old: str, new: str, found: str
) -> None:
    problems = list(check(seen_of(broken(file, old, new))))
    assert [each for each in problems if found in each] != [], problems


def test_two_feeds_with_the_same_leases_and_one_that_would_make_them_are_found(
    infra: Infra, seen_of: Callable[[Infra], Seen]
) -> None:
    seen = seen_of(infra)
    twin = next(each for each in seen.code["commerce"] if each.trigger == "cosmosDBTrigger")
    copy = Function("another", twin.trigger, {**twin.binding, "createLeaseContainerIfNotExists": True})
    doubled = Seen(seen.plan, infra, {**seen.code, "commerce": [*seen.code["commerce"], copy]})
    assert [each.partition(": ")[2] for each in triggers(doubled)] == [
        f"another feed has its leases, {twin.binding['leaseContainerPrefix']}",
        "no identity may make its leases' container",
    ]


@pytest.mark.parametrize(
    ("expression", "taken"),
    [
        ("type IN ('A', 'B')", {"A", "B"}),
        ("type = 'A' OR type IN ('C')", {"A", "C"}),
        ("type='A'", {"A"}),
        ("type IN ('D')", set()),
        ("1=1", None),
        ("type LIKE 'A%'", None),
        ("type IN ('A', B)", None),
        ("type IN ('A') AND state = 'x'", None),
    ],
)
def test_filters_are_read_for_what_they_take(expression: str, taken: set[str] | None) -> None:
    assert accepted(expression, {"A", "B", "C", STRANGER}) == taken


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    """The modules of `functions/`, by name."""
    paths = sorted((ROOT / "functions").rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text()) for path in paths}


def test_every_query_in_order_or_across_partitions_has_its_index(modules: dict[str, ast.Module]) -> None:
    assert [problem for module, tree in modules.items() for problem in unserved(tree, module)] == []


def test_lists_are_chosen_by_what_has_an_index_and_by_nothing_else(modules: dict[str, ast.Module]) -> None:
    assert list(filters(topology(), modules)) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('"city_key", ', "", "listings: no index for city_key"),
        ('"ends_at"]', '"ends_at", "venue"]', "listings: nobody filters by venue"),
        ('"name_key", ', "", "listings: in order of name_key, or not"),
        ('"filtered_by": ["name"]', '"filtered_by": ["title"]', "insights: nobody filters by title"),
    ],
)
def test_a_list_without_an_index_and_an_index_without_a_list_are_found(
    broken: Break, modules: dict[str, ast.Module], old: str, new: str, found: str
) -> None:
    declared = Topology.model_validate(broken(TOPOLOGY, old, new).json(TOPOLOGY))
    assert list(filters(declared, modules)) == [found]


@pytest.mark.parametrize(
    ("module", "old", "new", "found"),
    [
        (
            "functions.insights.events",
            'OrderBy("created_at"',
            'OrderBy("payload"',
            "insights is not ordered by payload",
        ),
        ("functions.identity.keyring", 'Where("owner"', 'Where("name"', "keys is not found by any of name"),
    ],
)
def test_a_query_without_an_index_is_found(module: str, old: str, new: str, found: str) -> None:
    text = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    assert old in text
    assert f"{module}: {found}" in list(unserved(ast.parse(text.replace(old, new)), module))
