"""Values as Cosmos DB's queries compare and order them.

https://learn.microsoft.com/azure/cosmos-db/nosql/query/equality-comparison-operators: what has different types, or is
missing, cannot be compared, and the result is `undefined`, which satisfies nothing, negated or not.
"""

import operator as operators
from collections.abc import Callable, Mapping
from typing import Any, Final


class Undefined:
    """The type of the value that a missing property has."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED: Final = Undefined()

type OrderKey = tuple[int, Any]

_ORDERINGS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
}


def is_true(value: Any) -> bool:
    """Whether a condition is satisfied: by `true` alone."""
    return value is True


def kind_of(value: Any) -> int:
    """The rank of a value's type in Cosmos DB's order of types.

    Undefined, null, false/true, number, string, array, object:
    https://learn.microsoft.com/azure/cosmos-db/nosql/query/order-by
    """
    match value:
        case Undefined():
            return 0
        case None:
            return 1
        case bool():
            return 2
        case int() | float():
            return 3
        case str():
            return 4
        case list():
            return 5
        case _:
            return 6


def compared(operator: str, left: Any, right: Any) -> Any:
    """`left operator right`: true, false or undefined."""
    kind = kind_of(left)
    if kind != kind_of(right) or kind == 0:
        return UNDEFINED
    if operator in {"=", "!="}:
        return (left == right) is (operator == "=")
    if kind > 4:  # arrays and objects have no order
        return UNDEFINED
    if kind == 1:
        return operator in {"<=", ">="}
    return _ORDERINGS[operator](left, right)


def both(left: Any, right: Any) -> Any:
    """`left AND right` of true, false and undefined; anything else is undefined.

    https://learn.microsoft.com/azure/cosmos-db/nosql/query/logical-operators
    """
    if left is False or right is False:
        return False
    return True if left is True and right is True else UNDEFINED


def either(left: Any, right: Any) -> Any:
    """`left OR right`."""
    if left is True or right is True:
        return True
    return False if left is False and right is False else UNDEFINED


def negated(value: Any) -> Any:
    """`NOT value`."""
    return not value if isinstance(value, bool) else UNDEFINED


def order_key(value: Any) -> OrderKey:
    """A key that sorts values of any type; arrays and objects are all alike."""
    kind = kind_of(value)
    return (kind, value) if kind in {2, 3, 4} else (kind, 0)
