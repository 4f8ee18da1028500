"""`Where` evaluated two ways that must agree: on a value in Python (patches) and as SQL over stored JSON (queries).

Only like is compared with like, as in Cosmos: a string with a string, a number with a number, a boolean with a boolean;
anything else, a missing property included, satisfies nothing, not even `!=`.
"""

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from shared.store.port import GROUPED_BY_MAX, PAGE_MAX, Everywhere, OrderBy, Value, Where

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "contains": operator.contains,
}
_PROPERTY = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_MISSING = object()


def check_path(path: str) -> str:
    """`path`, if it is a plain top-level property name.

    :raises ValueError: it is not
    """
    if not _PROPERTY.match(path):
        raise ValueError(f"{path!r} is not a top-level property name.")
    return path


def check_where(where: Sequence[Where]) -> None:
    """Accept conditions that can be evaluated.

    :raises ValueError: an unknown operator, a path that is not a property name, or something else than a string to be
        contained
    """
    for condition in where:
        check_path(condition.path)
        if condition.operator not in _COMPARE:
            raise ValueError(f"Unknown operator {condition.operator!r}.")
        if condition.operator == "contains" and not isinstance(condition.value, str):
            raise ValueError(f"Only a string can be contained, not {condition.value!r}.")


def check_query(partition: str | Everywhere, *, where: Sequence[Where], order_by: OrderBy | None, limit: int) -> None:
    """Accept a query that every store can answer and continue.

    :raises ValueError: an unknown operator, an impossible limit, or an order across partitions
    """
    check_where(where)
    if not 1 <= limit <= PAGE_MAX:
        raise ValueError(f"A page has 1 to {PAGE_MAX} documents, not {limit}.")
    if order_by is not None and isinstance(partition, Everywhere):
        raise ValueError("Cosmos cannot continue an ordered query across partitions from Python.")


def check_grouping(by: Sequence[str]) -> None:
    """Accept properties to group by.

    :raises ValueError: none, too many, the same one twice, or one that is not a property name
    """
    for path in by:
        check_path(path)
    if not 1 <= len(by) <= GROUPED_BY_MAX or len(set(by)) < len(by):
        raise ValueError(f"One groups by 1 to {GROUPED_BY_MAX} different properties, not by {list(by)}.")


def holds(value: Value, condition: Where) -> bool:
    """Whether `condition` holds for a document's value."""
    found = value.get(condition.path, _MISSING)
    if _json_kind(found) != _json_kind(condition.value):
        return False
    return _COMPARE[condition.operator](found, condition.value)


def where_sql(condition: Where) -> str:
    """The same condition as SQL over the column `body`, with one parameter: the value."""
    path = f"'$.{check_path(condition.path)}'"
    if isinstance(condition.value, bool):
        kinds = "'true', 'false'"
    elif isinstance(condition.value, int | float):
        kinds = "'integer', 'real'"
    else:
        kinds = "'text'"
    # Not LIKE, which has wildcards and takes "A" for "a".
    found = value_sql(condition.path)
    comparison = f"instr({found}, ?) > 0" if condition.operator == "contains" else f"{found} {condition.operator} ?"
    return f"(json_type(body, {path}) IN ({kinds}) AND {comparison})"


def string_sql(path: str) -> str:
    """SQL that holds where a top-level property is a string."""
    return f"json_type(body, '$.{check_path(path)}') = 'text'"


def value_sql(path: str) -> str:
    """SQL for the value of a top-level property; NULL where it is missing or null."""
    return f"json_extract(body, '$.{check_path(path)}')"


def order_sql(order_by: OrderBy) -> tuple[str, str]:
    """SQL for the two sort columns of a property, the rank of its type and its value, in Cosmos' order of types.

    Missing before null before booleans before numbers before strings before everything else.
    """
    path = f"'$.{check_path(order_by.path)}'"
    rank = (
        f"CASE ifnull(json_type(body, {path}), '') WHEN 'text' THEN 4 WHEN 'integer' THEN 3 WHEN 'real' THEN 3 "
        "WHEN 'true' THEN 2 WHEN 'false' THEN 2 WHEN 'null' THEN 1 WHEN '' THEN 0 ELSE 5 END"
    )
    return rank, f"ifnull(json_extract(body, {path}), 0)"


def _json_kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "other"
