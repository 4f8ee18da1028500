"""The tree that the reader makes of types."""

from dataclasses import dataclass

from tools.bicep.syntax import Call, Constant, Node


@dataclass(frozen=True)
class LiteralType(Node):
    """`'dev'`, `512`, `true`, `null`."""

    value: Constant


@dataclass(frozen=True)
class NamedType(Node):
    """`string`, `int`, `bool`, `object`, `array`, `any`, a type of the file, or one reached through it (`a.b`)."""

    path: tuple[str, ...]


@dataclass(frozen=True)
class ResourceType(Node):
    """`resourceInput<'…'>` and its like: the shape of a resource, which only the compiler knows."""

    argument: str


@dataclass(frozen=True)
class ArrayType(Node):
    """`items[]`."""

    items: "Type"


@dataclass(frozen=True)
class TupleType(Node):
    """`[first, second]`."""

    items: tuple["Type", ...]


@dataclass(frozen=True)
class NullableType(Node):
    """`of?`."""

    of: "Type"


@dataclass(frozen=True)
class UnionType(Node):
    """`a | b`."""

    members: tuple["Type", ...]


@dataclass(frozen=True)
class PropertyType(Node):
    """A property that an object type has."""

    name: str
    type: "Type"
    decorators: tuple[Call, ...]


@dataclass(frozen=True)
class ObjectType(Node):
    """`{ name: string, *: int }`."""

    properties: tuple[PropertyType, ...]
    others: "Type | None"


type Type = (
    LiteralType | NamedType | ResourceType | ArrayType | TupleType | NullableType | UnionType | ObjectType
)  # fmt: skip
