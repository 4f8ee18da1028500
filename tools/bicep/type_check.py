"""Whether a value has the type that a parameter, output or function declares."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tools.bicep.errors import BicepError
from tools.bicep.statements import Source, TypeDeclaration
from tools.bicep.syntax import Call, Literal
from tools.bicep.type_syntax import (
    ArrayType,
    LiteralType,
    NamedType,
    NullableType,
    ObjectType,
    PropertyType,
    ResourceType,
    TupleType,
    Type,
    UnionType,
)  # fmt: skip
from tools.bicep.values import Template, Value, is_unknown, shown

PRIMITIVES: Final[dict[str, type]] = {"string": str, "int": int, "bool": bool, "object": dict, "array": list}
_BOUNDS: Final = ("minLength", "maxLength", "minValue", "maxValue", "allowed")


@dataclass(frozen=True)
class Types:
    """The types that a file knows: its own and imported ones, each with the file that it stands in."""

    own: dict[str, TypeDeclaration]
    imported: "dict[str, tuple[str, Types]]"
    namespaces: "dict[str, Types]"

    def find(self, name: str) -> "tuple[TypeDeclaration, Types] | None":
        """A type by the name it has here."""
        if name in self.own:
            return self.own[name], self
        if name in self.imported:
            original, home = self.imported[name]
            return home.find(original)
        return None

    def resolve(self, named: NamedType) -> "tuple[Type, tuple[Call, ...], Types]":
        """What a name stands for, with its decorators and the types of its file.

        :raises BicepError: there is no such type
        """
        first, *path = named.path
        home: Types = self
        if first in self.namespaces and path:
            home, (first, *path) = self.namespaces[first], path
        found = home.find(first)
        if found is None:
            raise BicepError(named.place, f"unknown type '{'.'.join(named.path)}'")
        declared, home = found
        current, decorators = declared.type, declared.decorators
        for step in path:
            current, decorators, home = home.step(current, step, named)
        return current, decorators, home

    def step(self, current: Type, step: str, named: NamedType) -> "tuple[Type, tuple[Call, ...], Types]":
        """A property (`.name`) or the items (`[*]`) of a type.

        :raises BicepError: it has none
        """
        if isinstance(current, NamedType) and current.path[0] not in PRIMITIVES:
            inner, _, home = self.resolve(current)
            return home.step(inner, step, named)
        if step == "*" and isinstance(current, ArrayType):
            return current.items, (), self
        if isinstance(current, ObjectType):
            for each in current.properties:
                if each.name == step:
                    return each.type, each.decorators, self
        raise BicepError(named.place, f"type '{'.'.join(named.path)}' has no '{step}'")


def problems(value: Value, wanted: Type, types: Types, decorators: tuple[Call, ...] = ()) -> Iterator[str]:
    """What speaks against a value; what only Azure knows is taken for right.

    :raises BicepError: the type itself is unknown
    """
    if isinstance(wanted, NullableType):
        if value is not None:
            yield from problems(value, wanted.of, types, decorators)
        return
    if is_unknown(value):
        if isinstance(value, Template) and not _may_be_text(wanted, types):
            yield f"{shown(value)} is a text"
        return
    found = list(_shape(value, wanted, types))
    yield from found or _bounds(value, decorators)


def _may_be_text(wanted: Type, types: Types) -> bool:
    if isinstance(wanted, NamedType) and wanted.path[0] not in PRIMITIVES and wanted.path != ("any",):
        inner, _, home = types.resolve(wanted)
        return _may_be_text(inner, home)
    if isinstance(wanted, NullableType):
        return _may_be_text(wanted.of, types)
    return isinstance(wanted, NamedType) and wanted.path[0] in {"string", "any"}


def _shape(value: Value, wanted: Type, types: Types) -> Iterator[str]:
    match wanted:
        case NamedType(path=("any",)) | ResourceType():
            return
        case NamedType(path=(name,)) if name in PRIMITIVES:
            if not isinstance(value, PRIMITIVES[name]) or (name == "int" and isinstance(value, bool)):
                yield f"{shown(value)} is no {name}"
        case NamedType():
            inner, decorators, home = types.resolve(wanted)
            yield from problems(value, inner, home, decorators)
        case LiteralType(value=literal):
            if value != literal or isinstance(value, bool) != isinstance(literal, bool):
                yield f"{shown(value)} is not {shown(literal)}"
        case UnionType(members=members):
            if all(any(True for _ in problems(value, member, types)) for member in members):
                yield f"{shown(value)} is none of {', '.join(_named(member) for member in members)}"
        case _:
            yield from _structure(value, wanted, types)


def _structure(value: Value, wanted: Type, types: Types) -> Iterator[str]:
    match wanted:
        case ArrayType(items=items):
            yield from _items(value, (items,) * len(value) if isinstance(value, list) else None, types)
        case TupleType(items=each):
            yield from _items(value, each, types)
        case ObjectType():
            yield from _object(value, wanted, types)
        case _:
            yield from problems(value, wanted, types)


def _items(value: Value, wanted: tuple[Type, ...] | None, types: Types) -> Iterator[str]:
    if not isinstance(value, list) or wanted is None:
        yield f"{shown(value)} is no array"
        return
    if len(value) != len(wanted):
        yield f"it has {len(value)} items, not {len(wanted)}"
        return
    for at, (item, kind) in enumerate(zip(value, wanted, strict=True)):
        yield from (f"[{at}]: {problem}" for problem in problems(item, kind, types))


def _object(value: Value, wanted: ObjectType, types: Types) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{shown(value)} is no object"
        return
    declared = {each.name: each for each in wanted.properties}
    for name, each in declared.items():
        if name not in value:
            if not _optional(each, types):
                yield f"'{name}' is missing"
            continue
        yield from (f".{name}: {problem}" for problem in problems(value[name], each.type, types, each.decorators))
    for name in sorted(value.keys() - declared.keys()):
        if wanted.others is None:
            yield f"'{name}' is not one of its properties, {', '.join(sorted(declared)) or 'none'}"
        else:
            yield from (f".{name}: {problem}" for problem in problems(value[name], wanted.others, types))


def _optional(each: PropertyType, types: Types) -> bool:
    return not any(True for _ in problems(None, each.type, types))


def _bounds(value: Value, decorators: tuple[Call, ...]) -> Iterator[str]:
    for call in decorators:
        if call.function not in _BOUNDS:
            continue
        (bound,) = call.arguments
        if call.function == "allowed":
            allowed = [item.value for item in getattr(bound, "items", ()) if isinstance(item, Literal)]
            if value not in allowed:
                yield f"{shown(value)} is none of {', '.join(map(shown, allowed))}"
            continue
        limit = bound.value if isinstance(bound, Literal) else None
        if not isinstance(limit, int):
            raise BicepError(bound.place, f"@{call.function}() takes a number")
        size = value if call.function.endswith("Value") else len(value)
        if size < limit if call.function.startswith("min") else size > limit:
            yield f"{shown(value)} breaks @{call.function}({limit})"


def _named(wanted: Type) -> str:
    if isinstance(wanted, LiteralType):
        return shown(wanted.value)
    return ".".join(wanted.path) if isinstance(wanted, NamedType) else type(wanted).__name__


def types_of(source: Source, imported: "dict[str, tuple[str, Types]]", namespaces: "dict[str, Types]") -> Types:
    """The types that a file knows."""
    return Types(source.of(TypeDeclaration), imported, namespaces)
