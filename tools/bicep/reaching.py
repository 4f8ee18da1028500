"""What is reached from a value: members, items, nested resources, methods."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from tools.bicep.errors import BicepError, Place
from tools.bicep.values import Declared, Function, Scope, Symbol, Template, Value, shown

# Said by the declaration itself; everything else of a resource is said by Azure.
_DECLARED: Final = frozenset({"location", "tags", "kind", "sku"})
# Methods that hand out keys. Nothing here may call one of those that begin so.
SECRETS: Final = "list"


class ModuleLike(Protocol):
    """A module that was called."""

    @property
    def name(self) -> Value: ...

    def output(self, name: str, place: Place) -> Value:
        """One of its outputs."""
        ...

    @property
    def deployed(self) -> bool: ...


@dataclass(frozen=True)
class Outputs:
    """A module's outputs."""

    module: ModuleLike


@dataclass(frozen=True)
class Namespace:
    """What `import * as name` gives."""

    values: dict[str, Value]
    functions: dict[str, Function] = field(default_factory=dict)


def member(of: Value, name: str, *, safe: bool, place: Place) -> Value:
    """`of.name`; of what has none, null where `safe`.

    :raises BicepError: it has none
    """
    if isinstance(of, Symbol):
        return of.member(name)
    if isinstance(of, Declared):
        return _of_resource(of, name, place)
    if isinstance(of, Outputs):
        return _of_outputs(of.module, name, safe=safe, place=place)
    if isinstance(of, Scope):
        return _of_scope(of, name)
    values = of.values if isinstance(of, Namespace) else of
    if isinstance(values, dict):
        if name in values:
            return values[name]
        if safe:
            return None
        raise BicepError(place, f"there is no '{name}'; there are {', '.join(sorted(values)) or 'none'}")
    if hasattr(of, "output"):
        return None if safe and not of.deployed else _of_module(of, name, place)
    if of is None and safe:
        return None
    raise BicepError(place, f"{shown(of)} has no '{name}'")


def _of_resource(of: Declared, name: str, place: Place) -> Value:
    if name in {"name", "type", "apiVersion"}:
        return {"name": of.name, "type": of.type, "apiVersion": of.api_version}[name]
    if not of.deployed and name != "id":
        raise BicepError(place, f"'{of.symbol}' is not deployed here, and its '{name}' is asked for")
    said = of.written(name) if name in _DECLARED and not of.existing else None
    if said is not None:
        return said
    return Symbol(f"{of.symbol}.{name}", of, (name,))


def _of_outputs(module: ModuleLike, name: str, *, safe: bool, place: Place) -> Value:
    if module.deployed:
        return module.output(name, place)
    if safe:
        return None
    raise BicepError(place, f"this module is not deployed here, and its output '{name}' is asked for")


def _of_module(of: ModuleLike, name: str, place: Place) -> Value:
    if name == "outputs":
        return Outputs(of)
    if name == "name":
        return of.name
    raise BicepError(place, f"a module has a name and outputs, not '{name}'")


def _of_scope(of: Scope, name: str) -> Value:
    if name == "name" and of.name is not None:
        return of.name
    said = of.group.written(name) if name in {"location", "tags"} and of.group is not None else None
    if said is not None:
        return said
    return Symbol(f"{of.kind}().{name}", of.group, (name,))


def indexed(of: Value, at: Value, *, safe: bool, place: Place) -> Value:
    """`of[at]`, counted from the end where negative.

    :raises BicepError: there is nothing
    """
    if isinstance(at, str):
        return member(of, at, safe=safe, place=place)
    if isinstance(of, Symbol) and isinstance(at, int):
        return of.member(at)
    if isinstance(at, Symbol | Template):
        return Symbol(f"{shown(of)}[{shown(at)}]")
    if not isinstance(at, int) or not isinstance(of, list):
        if of is None and safe:
            return None
        raise BicepError(place, f"{shown(of)} has no item {shown(at)}")
    if -len(of) <= at < len(of):
        return of[at]
    if safe:
        return None
    raise BicepError(place, f"there is no item {at}; there are {len(of)}")


def nested(of: Value, name: str, place: Place) -> Value:
    """`of::name`.

    :raises BicepError: no such resource is declared in it
    """
    if isinstance(of, Declared) and name in of.children:
        return of.children[name]
    raise BicepError(place, f"no resource '{name}' is declared in {shown(of)}")


def called(of: Value, name: str, arguments: Sequence[Value], place: Place) -> Value:
    """`of.name(…)`: an imported function, or a method of a resource, which Azure answers.

    :raises BicepError: it has none
    """
    if isinstance(of, Namespace) and name in of.functions:
        return of.functions[name](*arguments)
    if isinstance(of, Declared) and (name.startswith(SECRETS) or name == "getSecret"):
        return Symbol(f"{of.symbol}.{name}({', '.join(map(shown, arguments))})", of, (f"{name}()",))
    raise BicepError(place, f"{shown(of)} has no function '{name}'")
