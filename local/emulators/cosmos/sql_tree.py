"""What a query is made of once it is read, and its text when the plan rewrites it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from local.emulators.cosmos.errors import Refused

DEPTH_MAX: Final = 150  # of an expression


@dataclass(frozen=True, slots=True)
class Path:
    """A property of the item, named from the outside in; no names: the item itself."""

    names: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    value: Any


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value given beside the query's text."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A built-in function."""

    name: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Binary:
    """AND, OR or a comparison."""

    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Array:
    """An array of expressions."""

    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Object:
    """An object of expressions."""

    members: tuple[tuple[str, "Expression"], ...]


@dataclass(frozen=True, slots=True)
class Count:
    """The aggregate COUNT."""

    argument: "Expression"


type Expression = Path | Literal | Parameter | Call | Not | Binary | Array | Object | Count


@dataclass(frozen=True, slots=True)
class Selected:
    """One entry of a select list."""

    expression: Expression
    alias: str


@dataclass(frozen=True, slots=True)
class Ordered:
    """One entry of ORDER BY."""

    path: Path
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A SELECT.

    :param selected: the select list; empty for `*`
    :param value: SELECT VALUE: the one entry itself instead of an object of entries
    """

    alias: str
    selected: Sequence[Selected]
    value: bool
    where: Expression | None
    order_by: Sequence[Ordered]
    group_by: Sequence[Expression]
    top: Expression | None = None
    offset: Expression | None = None
    limit: Expression | None = None
    aggregates: Sequence[Count] = field(default=())

    @property
    def grouped(self) -> bool:
        """Whether rows are answers about many items."""
        return bool(self.group_by or self.aggregates)

    @property
    def plain(self) -> bool:
        """Whether only filters and projections are asked for: what the gateway serves across partitions."""
        return not (self.grouped or self.order_by or self.top or self.limit)


def text_of(expression: Expression, alias: str) -> str:
    """The expression as query text."""
    match expression:
        case Path(names):
            return alias + "".join(f"[{orjson.dumps(name).decode()}]" for name in names)
        case Literal(value):
            return orjson.dumps(value).decode()
        case Parameter(name):
            return name
        case Not(operand):
            return f"(NOT {text_of(operand, alias)})"
        case Binary(operator, left, right):
            return f"({text_of(left, alias)} {operator} {text_of(right, alias)})"
        case Object(members):
            return "{" + ", ".join(f'"{name}": {text_of(part, alias)}' for name, part in members) + "}"
        case _:
            return _listed(expression, alias)


def _listed(expression: Call | Count | Array, alias: str) -> str:
    match expression:
        case Call(name, arguments):
            return f"{name}({', '.join(text_of(part, alias) for part in arguments)})"
        case Count(argument):
            return f"COUNT({text_of(argument, alias)})"
        case Array(items):
            return f"[{', '.join(text_of(part, alias) for part in items)}]"


def counts_in(expression: Expression) -> list[Count]:
    """The aggregates within an expression."""
    if isinstance(expression, Count):
        return [expression]
    return [found for part in _parts(expression) for found in counts_in(part)]


def chained(operator: str, parts: Sequence[Expression]) -> Expression:
    """`a AND b AND c`, or OR, as a tree that is no deeper than it must be: both are associative.

    :param parts: at least one
    """
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return Binary(operator, chained(operator, parts[:half]), chained(operator, parts[half:]))


def check_depth(expression: Expression) -> None:
    """Accept an expression that can be gone through recursively.

    :raises Refused: 400
    """
    level: Sequence[Expression] = [expression]
    for _ in range(DEPTH_MAX):
        level = [part for each in level for part in _parts(each)]
        if not level:
            return
    raise Refused(400, "The query is nested too deeply.")


def _parts(expression: Expression) -> Sequence[Expression]:
    match expression:
        case Call(_, arguments) | Array(arguments):
            return arguments
        case Object(members):
            return [part for _, part in members]
        case Not(operand) | Count(operand):
            return [operand]
        case Binary(_, left, right):
            return [left, right]
        case _:
            return []


def check_grouping(query: Query) -> None:
    """Accept a query whose groups mean something.

    :raises Refused: 400
    """
    if query.grouped and query.order_by:
        # https://learn.microsoft.com/azure/cosmos-db/nosql/query/group-by
        raise Refused(400, "ORDER BY cannot be used together with GROUP BY or an aggregate.")
    if query.group_by and not query.selected:
        raise Refused(400, "SELECT * cannot be used together with GROUP BY.")
    if not query.grouped:
        return
    for entry in query.selected:
        if not counts_in(entry.expression) and entry.expression not in query.group_by:
            raise Refused(
                400,
                'SC2102: "Property reference is invalid in the select list because it is not contained in either an '
                'aggregate function or the GROUP BY clause."',
            )
