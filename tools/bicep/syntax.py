"""The tree that the reader makes of expressions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.bicep.errors import Place

if TYPE_CHECKING:
    from tools.bicep.statements import Resource

type Constant = str | int | bool | None


@dataclass(frozen=True)
class Node:
    """Anything that is written somewhere."""

    place: Place


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
    """`key: value` of an object; a key may be interpolated, or `quoted` without need."""

    key: "Expression"
    value: "Expression"
    quoted: bool = False


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
