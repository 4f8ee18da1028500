"""What services take one after the other is declared so that it is made one after the other."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.infra.checks.serial import AT_ONCE, loops, order
from tests.infra.conftest import Break
from tests.infra.world import Infra
from tools.bicep.names import within
from tools.bicep.reader import read
from tools.bicep.statements import Resource
from tools.bicep.syntax import For

type Check = Callable[[Infra], Iterator[str]]
STORE: Final = "modules/access-cosmos.bicep"
API: Final = "modules/gateway-api.bicep"


@pytest.mark.parametrize("check", [loops, order])
def test_nothing_is_written_to_by_more_at_once_than_it_takes(infra: Infra, check: Check) -> None:
    assert list(check(infra)) == []


def test_there_is_a_loop_of_each_type_that_is_looked_at(infra: Infra) -> None:
    nodes = (node for path in infra.bicep for each in read(path).declarations for node in (each, *within(each)))
    looped = {node.type for node in nodes if isinstance(node, Resource) and isinstance(node.body, For)}
    assert {each.partition("@")[0] for each in looped} >= AT_ONCE.keys()


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "found"),
    [
        (loops, STORE, "@batchSize(1)\nresource writing", "resource writing", "'writing' is made all at once, not 1"),
        (loops, STORE, "@batchSize(1)\nresource reading", "@batchSize(2)\nresource reading", "'reading' is made 2"),
        (loops, "modules/access.bicep", "@batchSize(1)\n", "", "'documents' is made all at once, not 1"),
        (loops, API, "@batchSize(5)", "@batchSize(50)", "'around' is made 50 at once, not 5"),
        (loops, "modules/cosmos.bicep", "@batchSize(4)\n", "", "'containers' is made all at once, not 4"),
        (loops, "modules/network.bicep", "@batchSize(1)\n", "", "'apps' is made all at once, not 1"),
        (order, STORE, "    dependsOn: [metadata]\n", "", "'metadata' and 'writing'"),
        (order, STORE, "    dependsOn: [writing]\n", "", "'writing' and 'reading'"),
        (order, "modules/cosmos.bicep", "  dependsOn: [containers]\n", "", "'containers' and 'looksAround'"),
        (order, API, "  dependsOn: [around]\n", "", "'around' and 'inProduct'"),
        (loops, "modules/private.bicep", "@batchSize(1)\n", "", "'endpoints' is made all at once, not 1"),
        (order, "modules/stores.bicep", "  dependsOn: [addresses] // the same subnet\n", "",
         "'addresses' and 'addressesOfStorages'"),
        (order, "main.bicep", "id: functionApps.outputs.ids[i]\n        group: 'sites'",
         "id: group.id\n        group: 'sites'", "'access' and 'privateApps'"),
    ],
)  # fmt: skip
def test_what_would_be_made_at_once_is_found(
    broken: Break, check: Check, file: str, old: str, new: str, found: str
) -> None:
    problems = list(check(broken(file, old, new)))
    assert [each for each in problems if found in each] != [], problems
