"""Resources of a file: first what they are called and where they are, which others refer to; then what is in them."""

from dataclasses import dataclass
from typing import Final

from tools.bicep.errors import BicepError, Place
from tools.bicep.evaluate import Frame, evaluate, holds, turns
from tools.bicep.statements import Resource
from tools.bicep.syntax import Expression, For, If, Literal, Object, Property, Spread
from tools.bicep.values import Declared, Scope, Symbol, Text, Value, shown, text_of

# What says where a resource is, and is no property of it.
_SHELL: Final = frozenset({"name", "parent", "scope", "dependsOn"})


@dataclass(frozen=True)
class Made:
    """A resource with the expression of its body, and where that is evaluated."""

    declared: Declared
    body: Object
    frame: Frame

    def fill(self) -> None:
        """Evaluate its body."""
        kept = tuple(each for each in self.body.properties if isinstance(each, Spread) or _key(each) not in _SHELL)
        found: Value = evaluate(Object(self.body.place, kept), self.frame)
        self.declared.body.update(found)


def instances(node: Expression, frame: Frame) -> list[tuple[Object, Frame, bool]]:
    """The bodies of a resource or module, each with its frame and whether it is deployed."""
    frames = [(node.body, each) for each in turns(node, frame)] if isinstance(node, For) else [(node, frame)]
    found: list[tuple[Object, Frame, bool]] = []
    for body, each in frames:
        deployed = holds(body, each) if isinstance(body, If) else True
        inner = body.body if isinstance(body, If) else body
        if not isinstance(inner, Object):
            raise BicepError(inner.place, "the body of a resource or module is an object")
        found.append((inner, each, deployed))
    return found


class ResourceMaker:
    """Makes the resources of one file."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.made: list[Made] = []

    def make(self, node: Resource, frame: Frame, within: Declared | None = None) -> Declared | list[Declared]:
        """The resources that a declaration makes, a list where it is a loop, with those declared in them."""
        found = [
            self._one(node, body, each, within, deployed, at if isinstance(node.body, For) else None)
            for at, (body, each, deployed) in enumerate(instances(node.body, frame))
        ]
        return found if isinstance(node.body, For) else found[0]

    def _one(
        self, node: Resource, body: Object, frame: Frame, within: Declared | None, deployed: bool, at: int | None
    ) -> Declared:
        parent = within or _resource(body, "parent", frame)
        kind, version = _type(node, within)
        declared = Declared(
            type=kind,
            api_version=version,
            name=_name(node, body, frame),
            symbol=node.name if at is None else f"{node.name}[{at}]",
            place=node.place,
            scope=self._scope_of(body, frame, parent),
            parent=parent,
            existing=node.existing,
            deployed=deployed and (parent is None or parent.deployed),
            written=lambda name: property_of(body, name, frame),
        )
        _check_name(declared)
        self.made.append(Made(declared, body, frame))
        for child in body.resources:
            declared.children[child.name] = self.make(child, frame, declared)
        return declared

    def _scope_of(self, body: Object, frame: Frame, parent: Declared | None) -> Scope | Declared:
        if parent is not None:
            return parent.scope
        found = property_of(body, "scope", frame)
        if found is None:
            return self._scope
        if isinstance(found, Scope | Declared):
            return found
        raise BicepError(body.place, f"the scope of a resource is a resource or a group, not {shown(found)}")


def property_of(body: Object, name: str, frame: Frame) -> Value:
    """One property of a body, evaluated; None where it is not written there."""
    for each in body.properties:
        if isinstance(each, Property) and _key(each) == name:
            return evaluate(each.value, frame)
    return None


def _key(each: Property) -> Value:
    return each.key.value if isinstance(each.key, Literal) else None


def _resource(body: Object, name: str, frame: Frame) -> Declared | None:
    found = property_of(body, name, frame)
    if found is None or isinstance(found, Declared):
        return found
    raise BicepError(body.place, f"the {name} of a resource is a resource, not {shown(found)}")


def _type(node: Resource, within: Declared | None) -> tuple[str, str]:
    kind, _, version = node.type.partition("@")
    if within is not None:
        return f"{within.type}/{kind}", version or within.api_version
    if not version or "/" not in kind:
        raise BicepError(node.place, f"'{node.type}' is no resource type with its version")
    return kind, version


def _name(node: Resource, body: Object, frame: Frame) -> Text:
    found = property_of(body, "name", frame)
    if found is None or found == "":
        raise BicepError(node.place, f"resource '{node.name}' has no name")
    return text_of([found], node.place)


def _check_name(declared: Declared) -> None:
    """As many segments in the name as in the type below its provider; a child's type continues its parent's."""
    wanted = declared.type.count("/")
    if declared.parent is not None:
        wanted -= declared.parent.type.count("/")
        if not declared.type.lower().startswith(f"{declared.parent.type.lower()}/") or wanted != 1:
            raise BicepError(declared.place, f"{declared.type} is no child of {declared.parent.type}")
    parts = (declared.name,) if isinstance(declared.name, str) else declared.name.parts
    found = 1 + sum(part.count("/") for part in parts if not isinstance(part, Symbol))
    if found != wanted:
        raise BicepError(declared.place, f"'{declared.name}' has {found} segments, and {declared.type} needs {wanted}")


def no_two(declared: list[Declared]) -> list[tuple[Place, str]]:
    """Resources that are declared more than once."""
    seen: dict[tuple[str, str, str], Declared] = {}
    found: list[tuple[Place, str]] = []
    for each in declared:
        first = seen.setdefault(each.key, each)
        if first is not each:
            found.append((each.place, f"{each} is declared already, at {first.place}"))
    return found
