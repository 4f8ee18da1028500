"""The tree that the reader makes of a Bicep file: expressions, types, statements."""

from dataclasses import dataclass, field
from pathlib import Path

from tools.bicep.errors import Place

type Constant = str | int | bool | None


@dataclass(frozen=True)
class Node:
    """Anything that is written somewhere."""

    place: Place


# Expressions


@dataclass(frozen=True)
class Literal(Node):
    """A number, `true`, `false`, `null`, or a text without interpolation."""

    value: Constant


@dataclass(frozen=True)
class Interpolated(Node):
    """A text with `${…}` in it."""

    parts: tuple["str | Expression", ...]


@dataclass(frozen=True)
class Name(Node):
    """A symbol of the file, of a loop or of a lambda."""

    name: str


@dataclass(frozen=True)
class Member(Node):
    """`of.name`, or `of.?name` where `safe`."""

    of: "Expression"
    name: str
    safe: bool = False


@dataclass(frozen=True)
class Index(Node):
    """`of[index]`, `of[?index]` where `safe`, `of[^index]` where counted `from_end`."""

    of: "Expression"
    index: "Expression"
    safe: bool = False
    from_end: bool = False


@dataclass(frozen=True)
class Nested(Node):
    """`of::name`: a resource declared within another."""

    of: "Expression"
    name: str


@dataclass(frozen=True)
class Call(Node):
    """`function(…)`, or `of.function(…)`."""

    of: "Expression | None"
    function: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True)
class Unary(Node):
    """`!operand`, `-operand`, or `operand!` (named `!!`)."""

    operator: str
    operand: "Expression"


@dataclass(frozen=True)
class Binary(Node):
    """Two operands."""

    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True)
class Ternary(Node):
    """`condition ? then : otherwise`."""

    condition: "Expression"
    then: "Expression"
    otherwise: "Expression"


@dataclass(frozen=True)
class Spread(Node):
    """`...of`, in an array or an object."""

    of: "Expression"


@dataclass(frozen=True)
class Array(Node):
    """`[…]`."""

    items: tuple["Expression | Spread", ...]


@dataclass(frozen=True)
class Property(Node):
    """`key: value` of an object; a key may be interpolated."""

    key: "Expression"
    value: "Expression"


@dataclass(frozen=True)
class Object(Node):
    """`{…}`, with the resources that are declared in a resource's body."""

    properties: tuple[Property | Spread, ...]
    resources: tuple["Resource", ...] = ()


@dataclass(frozen=True)
class If(Node):
    """`if (condition) body`, of a resource or module."""

    condition: "Expression"
    body: "Expression"


@dataclass(frozen=True)
class For(Node):
    """`[for item in source: body]`, with the item's `index` where it has a name."""

    item: str
    index: str | None
    source: "Expression"
    body: "Expression"


@dataclass(frozen=True)
class Lambda(Node):
    """`(a, b) => body`."""

    parameters: tuple[str, ...]
    body: "Expression"


type Expression = (
    Literal | Interpolated | Name | Member | Index | Nested | Call | Unary | Binary | Ternary
    | Array | Object | If | For | Lambda
)  # fmt: skip


# Types


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


# Statements


@dataclass(frozen=True)
class Declaration(Node):
    """What all declarations have."""

    name: str
    decorators: tuple[Call, ...]

    def decorated(self, name: str) -> Call | None:
        """Its decorator of this name, if it has it."""
        return next((call for call in self.decorators if call.function == name), None)


@dataclass(frozen=True)
class Parameter(Declaration):
    """`param name type = default`."""

    type: Type
    default: Expression | None


@dataclass(frozen=True)
class Assignment(Declaration):
    """`param name = value`, in a parameters file."""

    value: Expression


@dataclass(frozen=True)
class Variable(Declaration):
    """`var name = value`."""

    value: Expression


@dataclass(frozen=True)
class TypeDeclaration(Declaration):
    """`type name = …`."""

    type: Type


@dataclass(frozen=True)
class Function(Declaration):
    """`func name(a string) string => …`."""

    parameters: tuple[tuple[str, Type], ...]
    returns: Type
    body: Expression


@dataclass(frozen=True)
class Resource(Declaration):
    """`resource name 'type@version' [existing] = …`."""

    type: str
    existing: bool
    body: Expression


@dataclass(frozen=True)
class Module(Declaration):
    """`module name 'path' = …`."""

    path: str
    body: Expression


@dataclass(frozen=True)
class Output(Declaration):
    """`output name type = value`."""

    type: Type
    value: Expression


@dataclass(frozen=True)
class Import(Node):
    """`import { original as local } from 'path'`; for `import * as local`, the original is `*`."""

    names: tuple[tuple[str, str], ...]
    path: str


@dataclass(frozen=True)
class Source:
    """A Bicep file that was read."""

    path: Path
    target_scope: str = "resourceGroup"
    using: str | None = None
    imports: tuple[Import, ...] = ()
    declarations: tuple[Declaration, ...] = ()
    asserts: tuple[tuple[str, Expression], ...] = ()
    pragmas: tuple[tuple[Place, str], ...] = field(default=())

    def of[D: Declaration](self, kind: type[D]) -> dict[str, D]:
        """Its declarations of one kind, by name, those within resources not among them."""
        return {each.name: each for each in self.declarations if isinstance(each, kind)}
