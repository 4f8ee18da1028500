"""Bicep's operators."""

import operator
from collections.abc import Callable
from typing import Final

from tools.bicep.errors import BicepError, Place
from tools.bicep.values import Symbol, Value, is_unknown, shown

_ARITHMETIC: Final[dict[str, Callable[[int, int], int]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    # Azure rounds towards zero, Python downwards.
    "/": lambda one, other: abs(one) // abs(other) * (1 if (one < 0) == (other < 0) else -1),
    "%": lambda one, other: abs(one) % abs(other) * (-1 if one < 0 else 1),
}
_ORDER: Final[dict[str, Callable[[Value, Value], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def unary(sign: str, value: Value, place: Place) -> Value:
    """`!value`, `-value`, `value!`."""
    if sign == "!!":
        return value
    if is_unknown(value):
        return Symbol(f"{sign}{shown(value)}")
    if sign == "!" and isinstance(value, bool):
        return not value
    if sign == "-" and _is_number(value):
        return -value
    raise BicepError(place, f"{sign} does not apply to {shown(value)}")


def binary(sign: str, left: Value, right: Callable[[], Value], place: Place) -> Value:
    """Two operands, the right one only where it decides."""
    if sign == "??":
        return left if left is not None else right()
    if sign in {"&&", "||"}:
        return _logical(sign, left, right, place)
    other = right()
    if sign in {"==", "!=", "=~", "!~"}:
        return _equality(sign, left, other)
    if is_unknown(left) or is_unknown(other):
        return Symbol(f"{shown(left)} {sign} {shown(other)}")
    if sign in _ORDER and (_are_numbers(left, other) or (isinstance(left, str) and isinstance(other, str))):
        return _ORDER[sign](left, other)
    if sign in _ARITHMETIC and _are_numbers(left, other):
        if sign in {"/", "%"} and other == 0:
            raise BicepError(place, "division by zero")
        return _ARITHMETIC[sign](left, other)
    raise BicepError(place, f"{sign} does not apply to {shown(left)} and {shown(other)}")


def _logical(sign: str, left: Value, right: Callable[[], Value], place: Place) -> Value:
    if is_unknown(left):
        return Symbol(f"{shown(left)} {sign} {shown(right())}")
    if not isinstance(left, bool):
        raise BicepError(place, f"{sign} does not apply to {shown(left)}")
    if left == (sign == "||"):
        return left
    other = right()
    if not isinstance(other, bool) and not is_unknown(other):
        raise BicepError(place, f"{sign} does not apply to {shown(other)}")
    return other


def _equality(sign: str, left: Value, right: Value) -> Value:
    if sign in {"=~", "!~"}:
        left, right = (each.casefold() if isinstance(each, str) else each for each in (left, right))
    same = left == right and isinstance(left, bool) == isinstance(right, bool)
    if not same and (is_unknown(left) or is_unknown(right)) and None not in (left, right):
        return Symbol(f"{shown(left)} {sign} {shown(right)}")
    return same == (sign in {"==", "=~"})


def _is_number(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_numbers(*values: Value) -> bool:
    return all(map(_is_number, values))
