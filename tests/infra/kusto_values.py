"""What expressions of the Kusto language come to, for the functions and comparisons that our queries use.

A value that is not there (null) equals nothing and is added to nothing, as in Kusto; aggregates leave it out.
https://learn.microsoft.com/kusto/query/
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

type Row = Mapping[str, Any]
type Origin = tuple[str, ...]  # a table, its column, and the keys within it; empty: computed
type Of = Callable[[Row, Sequence[Row]], Any]  # of a row, or, for an aggregate, of the rows of a group

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that was read.

    :param origin: where its value comes from, if it is somebody's as it is
    """

    origin: Origin
    of: Of


def constant(value: object) -> Expression:
    """An expression that is always the same."""
    return Expression((), lambda _, __: value)


def number(text: str) -> object:
    """A number, or a time span such as `5m`."""
    if text[-1] in UNITS:
        return timedelta(seconds=float(text[:-1]) * UNITS[text[-1]])
    return float(text) if "." in text else int(text)


def compared(sign: str, left: Expression, right: Sequence[Expression]) -> Expression:
    """A comparison; with `in`, with any of several."""
    compare = COMPARISONS[sign]

    def of(row: Row, group: Sequence[Row]) -> bool:
        found = left.of(row, group)
        others = [each.of(row, group) for each in right]
        return any(found is not None and other is not None and compare(found, other) for other in others)

    return Expression((), of)


def joined(sign: str, left: Expression, right: Expression) -> Expression:
    """Two expressions with a sign between them."""
    join = SIGNS[sign]

    def of(row: Row, group: Sequence[Row]) -> Any:
        one, other = left.of(row, group), right.of(row, group)
        return None if one is None or other is None else join(one, other)

    return Expression((), of)


def part(whole: Expression, key: str) -> Expression:
    """What a dynamic value has under a key."""

    def of(row: Row, group: Sequence[Row]) -> Any:
        found = whole.of(row, group)
        return found.get(key) if isinstance(found, Mapping) else None

    return Expression((*whole.origin, key), of)


def called(name: str, given: Sequence[Expression]) -> Expression:
    """A call of a function that there is, with as many arguments as it takes."""
    origin = given[0].origin if name in SAME_VALUE else ()
    if name in AGGREGATES:
        aggregate = AGGREGATES[name]
        return Expression(origin, lambda _, group: aggregate([[each.of(row, ()) for each in given] for row in group]))
    scalar = SCALARS[name]
    return Expression(origin, lambda row, group: scalar(*(each.of(row, group) for each in given)))


def _divided(one: Any, other: Any) -> Any:
    return None if other == 0 else one / other


def _bin(value: Any, step: Any) -> Any:
    if isinstance(value, datetime):
        return EPOCH + (value - EPOCH) // step * step
    return value // step * step


def _parsed(text: object) -> Any:
    try:
        return orjson.loads(text) if isinstance(text, str) else text
    except orjson.JSONDecodeError:
        return None


def _text(value: object) -> str:
    if value is None:
        return ""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _there(rows: Sequence[Sequence[Any]]) -> list[Any]:
    return [row[0] for row in rows if row[0] is not None]


def _percentile(rows: Sequence[Sequence[Any]]) -> Any:
    """The smallest value that at least so much of the weight is not above."""
    if not rows:
        return None
    wanted = sum(weight for _, weight, _ in rows) * rows[0][2] / 100
    running = 0.0
    for value, weight, _ in sorted(rows, key=lambda row: row[0]):
        running += weight
        if running >= wanted:
            return value
    raise AssertionError("the weights add up")


SIGNS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": _divided,
    "and": lambda one, other: one and other, "or": lambda one, other: one or other,
}  # fmt: skip
COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "in": operator.eq, "=~": lambda one, other: one.lower() == other.lower(),
    "contains": lambda one, other: other.lower() in one.lower(),
    "startswith": lambda one, other: one.lower().startswith(other.lower()),
    "endswith": lambda one, other: one.lower().endswith(other.lower()),
}  # fmt: skip
SCALARS: Final[Mapping[str, Callable[..., Any]]] = {
    "bin": _bin,
    "iff": lambda condition, one, other: one if condition else other,
    "isnotempty": lambda value: value not in (None, ""),
    "parse_json": _parsed,
    "round": lambda value, digits=0: None if value is None else round(value, digits),
    "todouble": lambda value: None if value is None else float(value),
    "tostring": _text,
}
AGGREGATES: Final[Mapping[str, Callable[[Sequence[Sequence[Any]]], Any]]] = {
    "count": len,
    "countif": lambda rows: sum(bool(row[0]) for row in rows),
    "dcount": lambda rows: len(set(_there(rows))),
    "max": lambda rows: max(_there(rows), default=None),
    "min": lambda rows: min(_there(rows), default=None),
    "percentilew": _percentile,
    "sum": lambda rows: sum(_there(rows)),
    "sumif": lambda rows: sum(row[0] for row in rows if row[1] and row[0] is not None),
}
ARGUMENTS: Final[Mapping[str, tuple[int, ...]]] = {  # how many each takes
    "bin": (2,), "count": (0,), "countif": (1,), "dcount": (1,), "iff": (3,), "isnotempty": (1,), "max": (1,),
    "min": (1,), "parse_json": (1,), "percentilew": (3,), "round": (1, 2), "sum": (1,), "sumif": (2,),
    "todouble": (1,), "tostring": (1,),
}  # fmt: skip
SAME_VALUE: Final = frozenset({"tostring", "todouble", "parse_json", "bin"})  # as far as names go
assert ARGUMENTS.keys() == SCALARS.keys() | AGGREGATES.keys()
