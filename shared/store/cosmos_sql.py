"""What the Cosmos DB adapter says in Cosmos' own language: queries with parameters, and conditions of patches.

Properties are written `c["name"]`, so that no name of ours is ever a keyword of theirs
(https://learn.microsoft.com/azure/cosmos-db/nosql/query/).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from shared.store.conditions import check_path
from shared.store.port import Json, OrderBy, Where

_ID_ORDER: Final = OrderBy("id")


@dataclass(frozen=True, slots=True)
class Query:
    """A query and the values of its parameters, as the SDK takes them."""

    text: str
    parameters: list[dict[str, Json]]


def select(where: Sequence[Where], order: OrderBy | None, *, one_partition: bool) -> Query:
    """The documents for which every condition holds.

    Ties are broken by id in the same direction, so that one composite index serves. Within a partition there is always
    an order; across partitions there is none, since Cosmos could not continue it from Python.
    """
    text = f"SELECT * FROM c{_where(where)}"  # noqa: S608 - checked names, and parameters for the values
    if one_partition:
        wanted = order or _ID_ORDER
        direction = "DESC" if wanted.descending else "ASC"
        columns = dict.fromkeys((wanted.path, "id"))
        text += " ORDER BY " + ", ".join(f"{property_of(path)} {direction}" for path in columns)
    return Query(text, _parameters(where))


def counts(by: Sequence[str], where: Sequence[Where]) -> Query:
    """How many documents have each combination of strings; columns `v0`, `v1` … and `n`."""
    paths = [property_of(path) for path in by]
    columns = ", ".join(f"{path} AS v{place}" for place, path in enumerate(paths))
    strings = " AND ".join(f"IS_STRING({path})" for path in paths)
    wanted = _where(where)
    conditions = f"{wanted} AND {strings}" if wanted else f" WHERE {strings}"
    text = f"SELECT {columns}, COUNT(1) AS n FROM c{conditions} GROUP BY {', '.join(paths)}"  # noqa: S608 - likewise
    return Query(text, _parameters(where))


def predicate(conditions: Sequence[Where]) -> str:
    """Conditions of a patch; they take no parameters, so the values are written out as JSON, which is literal there.

    Source: https://learn.microsoft.com/azure/cosmos-db/partial-document-update#conditional-update
    """
    return "FROM c WHERE " + " AND ".join(
        _condition(condition, orjson.dumps(condition.value).decode()) for condition in conditions
    )


def patch_operations(sets: Mapping[str, Json], increments: Mapping[str, int]) -> list[dict[str, Json]]:
    """The operations of a patch; an increment of a missing property sets it, as Cosmos does."""
    return [
        *({"op": "set", "path": f"/{name}", "value": value} for name, value in sets.items()),
        *({"op": "incr", "path": f"/{name}", "value": step} for name, step in increments.items()),
    ]


def property_of(path: str) -> str:
    """A top-level property in a query.

    :raises ValueError: the name is not a plain one
    """
    return f'c["{check_path(path)}"]'


def _where(where: Sequence[Where]) -> str:
    if not where:
        return ""
    return " WHERE " + " AND ".join(_condition(condition, f"@p{place}") for place, condition in enumerate(where))


def _condition(condition: Where, value: str) -> str:
    if condition.operator == "contains":
        return f"CONTAINS({property_of(condition.path)}, {value})"
    return f"{property_of(condition.path)} {condition.operator} {value}"


def _parameters(where: Sequence[Where]) -> list[dict[str, Json]]:
    return [{"name": f"@p{place}", "value": condition.value} for place, condition in enumerate(where)]
