"""Bicep's functions of lists and objects, and those that take a lambda."""

import itertools
import json
from collections.abc import Sequence
from functools import cmp_to_key
from typing import Final

from tools.bicep.values import Function, Symbol, Template, Value, is_unknown, reached

type Sized = str | list[Value] | dict[str, Value]


def contains(whole: Sized, part: Value) -> bool | Symbol:
    if isinstance(whole, dict):
        return str(part) in whole
    if isinstance(whole, list) and part not in whole and any(is_unknown(item) for item in (*whole, part)):
        return Symbol(f"contains({whole}, {part})")
    return part in whole


def empty(value: Sized | Template | None) -> bool:
    """A text with something known in it is not empty, whatever else it contains."""
    return not (value.parts if isinstance(value, Template) else value)


def first(values: Sized) -> Value:
    return values[0] if isinstance(values, str | list) and values else "" if isinstance(values, str) else None


def last(values: Sized) -> Value:
    return values[-1] if isinstance(values, str | list) and values else "" if isinstance(values, str) else None


def take(values: str | list[Value], count: int) -> Value:
    return values[: max(0, count)]


def skip(values: str | list[Value], count: int) -> Value:
    return values[max(0, count) :]


def union(*values: Value) -> Value:
    """Of lists: each item once. Of objects: the later ones win, and objects within them are united likewise."""
    if all(isinstance(value, list) for value in values):
        seen: list[Value] = []
        for item in itertools.chain.from_iterable(values):
            seen += [] if item in seen else [item]
        return seen
    found: dict[str, Value] = {}
    for value in values:
        found = _merged(found, value)
    return found


def _merged(one: dict[str, Value], other: dict[str, Value]) -> dict[str, Value]:
    both = {name for name in one if isinstance(one[name], dict) and isinstance(other.get(name), dict)}
    return {**one, **other, **{name: _merged(one[name], other[name]) for name in both}}


def intersection(*values: Value) -> Value:
    if all(isinstance(value, list) for value in values):
        return [item for item in values[0] if all(item in other for other in values[1:])]
    return {name: item for name, item in values[0].items() if all(other.get(name) == item for other in values[1:])}


def shallow_merge(objects: Sequence[dict[str, Value]]) -> dict[str, Value]:
    return {name: value for each in objects for name, value in each.items()}


def index_of(whole: str | list[Value], part: Value) -> int:
    if isinstance(whole, str):
        return whole.lower().find(part.lower())
    return whole.index(part) if part in whole else -1


def last_index_of(whole: str | list[Value], part: Value) -> int:
    if isinstance(whole, str):
        return whole.lower().rfind(part.lower())
    return len(whole) - 1 - whole[::-1].index(part) if part in whole else -1


def items(values: dict[str, Value]) -> list[dict[str, Value]]:
    """Azure orders them by their keys."""
    return [{"key": name, "value": values[name]} for name in sorted(values)]


def flatten(lists: Sequence[list[Value]]) -> list[Value]:
    return [item for each in lists for item in each]


def numbers(start: int, count: int) -> list[int]:
    return list(range(start, start + count))


def coalesce(*values: Value) -> Value:
    return next((value for value in values if value is not None), None)


def each(values: Sequence[Value], made: Function) -> list[Value]:
    return [made(item, at) for at, item in enumerate(values)]


def chosen(values: Sequence[Value], kept: Function) -> list[Value]:
    return [item for at, item in enumerate(values) if known(kept(item, at))]


def folded(values: Sequence[Value], start: Value, step: Function) -> Value:
    for at, item in enumerate(values):
        start = step(start, item, at)
    return start


def in_order(values: Sequence[Value], before: Function) -> list[Value]:
    return sorted(
        values, key=cmp_to_key(lambda one, other: -1 if known(before(one, other)) else int(before(other, one)))
    )


def to_object(values: Sequence[Value], key: Function, value: Function | None = None) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for item in values:
        name = key(item)
        if name in found:
            raise ValueError(f"two items have the key '{name}'")
        found[str(name)] = value(item) if value else item
    return found


def group_by(values: Sequence[Value], key: Function, value: Function | None = None) -> dict[str, list[Value]]:
    found: dict[str, list[Value]] = {}
    for item in values:
        found.setdefault(str(key(item)), []).append(value(item) if value else item)
    return found


def map_values(values: dict[str, Value], made: Function) -> dict[str, Value]:
    return {name: made(value) for name, value in values.items()}


def known(verdict: Value) -> bool:
    """A verdict that a list depends on.

    :raises TypeError: only Azure knows it
    """
    if not isinstance(verdict, bool):
        raise TypeError(f"{verdict} is not known before the deployment")
    return verdict


# Only what they are called with itself must be known, not what is in it.
STRUCTURAL: Final[dict[str, Function]] = {
    "array": lambda value: value if isinstance(value, list) else [value],
    "contains": contains,
    "createArray": lambda *values: list(values),
    "createObject": lambda *values: dict(zip(values[::2], values[1::2], strict=True)),
    "filter": chosen,
    "first": first,
    "flatten": flatten,
    "groupBy": group_by,
    "indexOf": index_of,
    "intersection": intersection,
    "items": items,
    "json": json.loads,
    "last": last,
    "lastIndexOf": last_index_of,
    "length": len,
    "map": each,
    "mapValues": map_values,
    "max": lambda *values: max(values[0] if isinstance(values[0], list) else values),
    "min": lambda *values: min(values[0] if isinstance(values[0], list) else values),
    "objectKeys": sorted,
    "range": numbers,
    "reduce": folded,
    "shallowMerge": shallow_merge,
    "skip": skip,
    "sort": in_order,
    "take": take,
    "toObject": to_object,
    "tryGet": reached,
    "union": union,
}
