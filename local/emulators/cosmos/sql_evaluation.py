"""Expressions as functions of an item."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from local.emulators.cosmos.errors import Refused
from local.emulators.cosmos.sql_tree import (
    Array,
    Binary,
    Call,
    Count,
    Expression,
    Literal,
    Not,
    Object,
    Parameter,
    Path,
)
from local.emulators.cosmos.sql_values import UNDEFINED, both, compared, either, negated

type Evaluate = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Function:
    """A built-in function.

    :param arguments: the fewest and the most it takes
    """

    arguments: tuple[int, int]
    of: Callable[..., Any]


def _contains(text: Any, part: Any, ignore_case: Any = False) -> Any:
    if not (isinstance(text, str) and isinstance(part, str) and isinstance(ignore_case, bool)):
        return UNDEFINED
    return part.lower() in text.lower() if ignore_case else part in text


def _starts_with(text: Any, part: Any, ignore_case: Any = False) -> Any:
    if not (isinstance(text, str) and isinstance(part, str) and isinstance(ignore_case, bool)):
        return UNDEFINED
    return text.lower().startswith(part.lower()) if ignore_case else text.startswith(part)


# https://learn.microsoft.com/azure/cosmos-db/nosql/query/type-checking-functions, …/string-functions
FUNCTIONS: Final[Mapping[str, Function]] = {
    "CONTAINS": Function((2, 3), _contains),
    "STARTSWITH": Function((2, 3), _starts_with),
    "IS_DEFINED": Function((1, 1), lambda value: value is not UNDEFINED),
    "IS_NULL": Function((1, 1), lambda value: value is None),
    "IS_BOOL": Function((1, 1), lambda value: isinstance(value, bool)),
    "IS_NUMBER": Function((1, 1), lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "IS_STRING": Function((1, 1), lambda value: isinstance(value, str)),
    "IS_ARRAY": Function((1, 1), lambda value: isinstance(value, list)),
    "IS_OBJECT": Function((1, 1), lambda value: isinstance(value, dict)),
}


def compiled(expression: Expression, parameters: Mapping[str, Any]) -> Evaluate:
    """The expression as a function of an item.

    :param parameters: values by name, the `@` included
    :raises Refused: 400, a parameter has no value
    """
    match expression:
        case Path(names):
            return _path(names)
        case Literal(value):
            return lambda _: value
        case Parameter(name):
            given = value_of(name, parameters)
            return lambda _: given
        case Call(name, arguments):
            function, parts = FUNCTIONS[name].of, [compiled(part, parameters) for part in arguments]
            return lambda item: function(*(part(item) for part in parts))
        case Not(operand):
            inner = compiled(operand, parameters)
            return lambda item: negated(inner(item))
        case Binary(operator, left, right):
            return _binary(operator, compiled(left, parameters), compiled(right, parameters))
        case Array() | Object():
            return _composed(expression, parameters)
        case Count():
            raise Refused(400, "An aggregate is only possible in the select list.")


def value_of(name: str, parameters: Mapping[str, Any]) -> Any:
    """The value of a parameter.

    :raises Refused: 400, there is none
    """
    try:
        return parameters[name]
    except KeyError:
        raise Refused(400, f"The parameter {name} is not specified.") from None


def _path(names: tuple[str | int, ...]) -> Evaluate:
    if len(names) == 1 and isinstance(names[0], str):
        only = names[0]
        return lambda item: item.get(only, UNDEFINED)

    def walk(item: Any) -> Any:
        for name in names:
            holds = isinstance(item, dict) if isinstance(name, str) else isinstance(item, list)
            if not holds or not (name in item if isinstance(name, str) else name < len(item)):
                return UNDEFINED
            item = item[name]
        return item

    return walk


def _binary(operator: str, left: Evaluate, right: Evaluate) -> Evaluate:
    if operator == "AND":
        return lambda item: both(left(item), right(item))
    if operator == "OR":
        return lambda item: either(left(item), right(item))
    return lambda item: compared(operator, left(item), right(item))


def _composed(expression: Array | Object, parameters: Mapping[str, Any]) -> Evaluate:
    """Arrays and objects leave out what is undefined."""
    if isinstance(expression, Array):
        items = [compiled(part, parameters) for part in expression.items]
        return lambda item: [value for part in items if (value := part(item)) is not UNDEFINED]
    members = [(name, compiled(part, parameters)) for name, part in expression.members]
    return lambda item: {name: value for name, part in members if (value := part(item)) is not UNDEFINED}
