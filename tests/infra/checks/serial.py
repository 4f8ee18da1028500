"""What services take one after the other: a deployment that writes to them all at once is refused now and then."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Final

from tests.infra.world import Infra
from tools.bicep.decorators import batch_size
from tools.bicep.names import within
from tools.bicep.reader import read
from tools.bicep.statements import Declaration, Module, Resource, Variable
from tools.bicep.syntax import For, Name

_ACCOUNT: Final = "Microsoft.DocumentDB/databaseAccounts"
_API: Final = "Microsoft.ApiManagement/service/apis"
# Type → how many of a loop are made at once. Cosmos DB locks the account for each right (412), and makes few containers
# at once (429); API Management writes to an API for each of its policies (409), a network and a subnet take one change
# at a time.
AT_ONCE: Final = {
    f"{_ACCOUNT}/sqlRoleAssignments": 1,
    f"{_ACCOUNT}/sqlDatabases/containers": 4,
    f"{_API}/operations/policies": 5,
    "Microsoft.Network/virtualNetworks/subnets": 1,
    "Microsoft.Network/privateEndpoints": 1,
}
# Types that write to the same thing: of any two declarations in a file, one waits for the other.
ONE_THING: Final = (
    frozenset({
        f"{_ACCOUNT}/sqlDatabases", f"{_ACCOUNT}/sqlDatabases/containers", f"{_ACCOUNT}/sqlRoleAssignments",
        f"{_ACCOUNT}/sqlRoleDefinitions", "Microsoft.Network/privateEndpoints",
    }),
    frozenset({_API, f"{_API}/operations/policies", "Microsoft.ApiManagement/service/products/apis"}),
)  # fmt: skip


def loops(infra: Infra) -> Iterator[str]:
    """Loops that make more at once than is taken."""
    for path in infra.bicep:
        for name, each in _makers(path).items():
            if not isinstance(each, Resource | Module) or not isinstance(each.body, For):
                continue
            limits = [AT_ONCE[kind] for kind in _kinds(each, path) if kind in AT_ONCE]
            # Each module has batches of its own; only what is made one at a time must not be in two of them.
            wanted = min(limits, default=0) if isinstance(each, Resource) or 1 in limits else 0
            size = batch_size(each)
            if wanted and (size is None or size > wanted):
                yield f"{path.name}: '{name}' is made {size or 'all'} at once, not {wanted}"


def order(infra: Infra) -> Iterator[str]:
    """Declarations that write to the same thing, of which neither waits for the other."""
    for path in infra.bicep:
        makers, after = _makers(path), _after(path)
        for together in ONE_THING:
            names = [name for name, each in makers.items() if _kinds(each, path) & together]
            for one, other in combinations(names, 2):
                if one not in after[other] and other not in after[one]:
                    yield f"{path.name}: '{one}' and '{other}' are made at once"


def _makers(path: Path) -> dict[str, Declaration]:
    """The declarations of a file that make something."""
    source = read(path)
    made = {name: each for name, each in source.of(Resource).items() if not each.existing}
    return {**made, **source.of(Module)}


def _kinds(each: Declaration, path: Path) -> frozenset[str]:
    """The types that a declaration makes; a module, all that are in it."""
    if isinstance(each, Resource):
        return frozenset({each.type.partition("@")[0]})
    assert isinstance(each, Module)
    inner = path.parent / each.path
    return frozenset(kind for one in _makers(inner).values() for kind in _kinds(one, inner))


def _after(path: Path) -> dict[str, frozenset[str]]:
    """Declaration → all that it refers to, however indirectly, and so waits for."""
    declared = {each.name: each for each in read(path).declarations if isinstance(each, Resource | Module | Variable)}
    direct = {
        name: {node.name for node in within(each) if isinstance(node, Name) and node.name in declared}
        for name, each in declared.items()
    }
    return {name: _reached(direct, name) for name in declared}


def _reached(direct: Mapping[str, set[str]], name: str) -> frozenset[str]:
    found: set[str] = set()
    new = direct[name]
    while new:
        found |= new
        new = {further for one in new for further in direct[one]} - found
    return frozenset(found)
