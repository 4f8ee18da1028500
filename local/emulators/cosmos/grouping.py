"""Aggregates over items (https://learn.microsoft.com/azure/cosmos-db/nosql/query/group-by)."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from local.emulators.cosmos.sql_evaluation import compiled
from local.emulators.cosmos.sql_tree import Array, Count, Expression, Object, Query
from local.emulators.cosmos.sql_values import UNDEFINED


def grouped_rows(query: Query, parameters: Mapping[str, Any], items: Sequence[Any]) -> list[Any]:
    """One row for each group, in the order in which they first occur; without GROUP BY all items are one group."""
    keys = [compiled(part, parameters) for part in query.group_by]
    groups: dict[bytes, list[Any]] = {} if query.group_by else {b"": []}
    for item in items:
        values = [key(item) for key in keys]
        name = orjson.dumps([[] if value is UNDEFINED else [value] for value in values]) if keys else b""
        groups.setdefault(name, []).append(item)
    rows = [_row(query, parameters, members) for members in groups.values()]
    return [row for row in rows if row is not UNDEFINED]


def _row(query: Query, parameters: Mapping[str, Any], members: Sequence[Any]) -> Any:
    values = [_aggregated(entry.expression, parameters, members) for entry in query.selected]
    if query.value:
        return values[0]
    row, number = {}, 0
    for entry, value in zip(query.selected, values, strict=True):
        if not entry.alias:
            number += 1
        if value is not UNDEFINED:
            row[entry.alias or f"${number}"] = value
    return row


def _aggregated(expression: Expression, parameters: Mapping[str, Any], members: Sequence[Any]) -> Any:
    """An expression with its aggregates over the group, the rest from its first item, which all of them share."""
    match expression:
        case Count(argument):
            counted = compiled(argument, parameters)
            return sum(counted(item) is not UNDEFINED for item in members)
        case Array(parts):
            values = [_aggregated(part, parameters, members) for part in parts]
            return [value for value in values if value is not UNDEFINED]
        case Object(pairs):
            found = {name: _aggregated(part, parameters, members) for name, part in pairs}
            return {name: value for name, value in found.items() if value is not UNDEFINED}
        case _:
            return compiled(expression, parameters)(members[0]) if members else UNDEFINED
