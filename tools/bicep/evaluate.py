"""Expressions to values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tools.bicep.builtins import BuiltinCall
from tools.bicep.errors import BicepError, Place
from tools.bicep.operators import binary, unary
from tools.bicep.reaching import called, indexed, member, nested
from tools.bicep.syntax import (
    Array,
    Binary,
    Call,
    Expression,
    For,
    If,
    Index,
    Interpolated,
    Lambda,
    Literal,
    Member,
    Name,
    Nested,
    Object,
    Spread,
    Ternary,
    Unary,
)  # fmt: skip
from tools.bicep.values import Function, Scope, Symbol, Value, is_unknown, shown, text_of

_NAMESPACES: Final = frozenset({"az", "sys"})


class Names(Protocol):
    """What a file offers to its expressions."""

    @property
    def folder(self) -> Path: ...

    @property
    def scope(self) -> Scope: ...

    def lookup(self, name: str, place: Place) -> Value:
        """The value of a symbol of the file."""
        ...

    def function(self, name: str) -> Function | None:
        """A function that the file declares or imports."""
        ...


@dataclass(frozen=True)
class Frame:
    """Where an expression is evaluated: its file, and the variables of loops and lambdas around it."""

    names: Names
    local: Mapping[str, Value]

    def having(self, **more: Value) -> "Frame":
        """With more variables."""
        return Frame(self.names, {**self.local, **more})


def evaluate(expression: Expression, frame: Frame) -> Value:
    """The value of an expression.

    :raises BicepError: it has none, or a construct is not known
    """
    evaluator = _EVALUATORS.get(type(expression))
    if evaluator is None:
        raise BicepError(expression.place, f"{type(expression).__name__.lower()} has no place here")
    return evaluator(expression, frame)


def _literal(node: Literal, frame: Frame) -> Value:
    return node.value


def _interpolated(node: Interpolated, frame: Frame) -> Value:
    return text_of((part if isinstance(part, str) else evaluate(part, frame) for part in node.parts), node.place)


def _name(node: Name, frame: Frame) -> Value:
    return frame.local[node.name] if node.name in frame.local else frame.names.lookup(node.name, node.place)


def _member(node: Member, frame: Frame) -> Value:
    return member(evaluate(node.of, frame), node.name, safe=_is_safe(node), place=node.place)


def _index(node: Index, frame: Frame) -> Value:
    of, at = evaluate(node.of, frame), evaluate(node.index, frame)
    return indexed(of, -at if node.from_end else at, safe=_is_safe(node), place=node.place)


def _is_safe(node: Expression) -> bool:
    """Whether nothing is there instead of an error: what follows a `.?` in the same chain is as safe."""
    return isinstance(node, Member | Index) and (node.safe or _is_safe(node.of))


def _nested(node: Nested, frame: Frame) -> Value:
    return nested(evaluate(node.of, frame), node.name, node.place)


def _call(node: Call, frame: Frame) -> Value:
    if node.function == "nameof" and node.of is None:
        (named,) = node.arguments
        return named.name if isinstance(named, Name | Member | Nested) else ""
    arguments = [evaluate(argument, frame) for argument in node.arguments]
    of_namespace = isinstance(node.of, Name) and node.of.name in _NAMESPACES
    if node.of is not None and not of_namespace:
        return called(evaluate(node.of, frame), node.function, arguments, node.place)
    own = None if of_namespace else frame.names.function(node.function)
    if own is not None:
        return own(*arguments)
    return BuiltinCall(node.function, arguments, node.place).value(frame.names)


def _unary(node: Unary, frame: Frame) -> Value:
    return unary(node.operator, evaluate(node.operand, frame), node.place)


def _binary(node: Binary, frame: Frame) -> Value:
    return binary(node.operator, evaluate(node.left, frame), lambda: evaluate(node.right, frame), node.place)


def _ternary(node: Ternary, frame: Frame) -> Value:
    condition = evaluate(node.condition, frame)
    if is_unknown(condition):
        then, otherwise = evaluate(node.then, frame), evaluate(node.otherwise, frame)
        return Symbol(f"{shown(condition)} ? {shown(then)} : {shown(otherwise)}")
    if not isinstance(condition, bool):
        raise BicepError(node.place, f"a condition is true or false, not {shown(condition)}")
    return evaluate(node.then if condition else node.otherwise, frame)


def _array(node: Array, frame: Frame) -> Value:
    found: list[Value] = []
    for item in node.items:
        if isinstance(item, Spread):
            found += _spread(item, frame, list)
        else:
            found.append(evaluate(item, frame))
    return found


def _object(node: Object, frame: Frame) -> dict[str, Value]:
    found: dict[str, Value] = {}
    written: set[str] = set()
    for each in node.properties:
        if isinstance(each, Spread):
            found |= _spread(each, frame, dict)
            continue
        key = str(evaluate(each.key, frame))
        if key in written:
            raise BicepError(each.place, f"'{key}' is there twice")
        written.add(key)
        found[key] = evaluate(each.value, frame)
    return found


def _spread[T](node: Spread, frame: Frame, kind: type[T]) -> T:
    value = evaluate(node.of, frame)
    if not isinstance(value, kind):
        raise BicepError(node.place, f"{shown(value)} cannot be spread into a {kind.__name__}")
    return value


def _lambda(node: Lambda, frame: Frame) -> Function:
    def call(*arguments: Value) -> Value:
        return evaluate(node.body, frame.having(**dict(zip(node.parameters, arguments, strict=False))))

    return call


def _for(node: For, frame: Frame) -> list[Value]:
    return [evaluate(node.body, inner) for inner in turns(node, frame)]


def turns(node: For, frame: Frame) -> list[Frame]:
    """A loop's frames, one for each item.

    :raises BicepError: what it goes through is no list, or one that only Azure knows
    """
    source = evaluate(node.source, frame)
    if not isinstance(source, list):
        raise BicepError(node.source.place, f"a loop goes through a list that is known, not {shown(source)}")
    return [
        frame.having(**{node.item: item, **({node.index: at} if node.index else {})}) for at, item in enumerate(source)
    ]


def holds(node: If, frame: Frame) -> bool:
    """Whether a resource's condition holds.

    :raises BicepError: only Azure knows
    """
    verdict = evaluate(node.condition, frame)
    if not isinstance(verdict, bool):
        raise BicepError(node.place, f"whether something is deployed must be known before, and {shown(verdict)} is not")
    return verdict


_EVALUATORS: Final[dict[type, Callable[..., Value]]] = {
    Literal: _literal, Interpolated: _interpolated, Name: _name, Member: _member, Index: _index, Nested: _nested,
    Call: _call, Unary: _unary, Binary: _binary, Ternary: _ternary, Array: _array, Object: _object, Lambda: _lambda,
    For: _for,
}  # fmt: skip
