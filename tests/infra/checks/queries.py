"""Queries of the code, as far as they are written there, against the indexes of their containers."""

import ast
import importlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Final

from functions.catalog.filtering import Filters, Sort
from functions.catalog.repository import LISTINGS
from shared.topology import Container, Topology, topology

# Whoever browses by everything there is to browse by.
_EVERYTHING: Final = Filters(
    words=("jazz",), city="Bern", category="concert", begins=datetime(2026, 1, 1, tzinfo=UTC),
    ends=datetime(2027, 1, 1, tzinfo=UTC), price_min=1, price_max=2, currency="EUR", available=True,
)  # fmt: skip


def unserved(tree: ast.Module, module: str) -> Iterator[str]:
    """Queries in order, or across all partitions, that no index of their container serves."""
    for function in ast.walk(tree):
        if isinstance(function, ast.AsyncFunctionDef | ast.FunctionDef):
            for call, container in _queries(function, module):
                yield from (f"{module}: {container.name} {problem}" for problem in _without(function, call, container))


def _queries(function: ast.AST, module: str) -> Iterator[tuple[ast.Call, Container]]:
    names = vars(importlib.import_module(module))
    known = {each.name: each for each in topology().containers}
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "query":
            first = call.args[0]
            container = known.get(str(names.get(first.id))) if isinstance(first, ast.Name) else None
            if container is not None:
                yield call, container


@cache
def _asked(tree: ast.Module, module: str) -> frozenset[str]:
    """The containers that a module asks; a module is looked through once, and not for each container."""
    return frozenset(container.name for _, container in _queries(tree, module))


def _without(function: ast.AST, call: ast.Call, container: Container) -> Iterator[str]:
    if any(each.arg == "order_by" for each in call.keywords):
        for path in _literals(function, "OrderBy"):
            if path not in container.ordered_by:
                yield f"is not ordered by {path}"
    partition = call.args[1]
    if isinstance(partition, ast.Name) and partition.id == "EVERYWHERE":
        asked = _literals(function, "Where")
        # One condition with an index finds the few; the others choose among these.
        if asked and not {*asked} & {*container.looked_up_by, *container.found_by}:
            yield f"is not found by any of {', '.join(asked)}"


def _literals(node: ast.AST, kind: str) -> list[str]:
    """The first arguments of all calls of this kind, as far as they are written there."""
    return [
        str(each.args[0].value)
        for each in ast.walk(node)
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == kind
        and each.args and isinstance(each.args[0], ast.Constant)
    ]  # fmt: skip


def filters(declared: Topology, code: Mapping[str, ast.Module]) -> Iterator[str]:
    """Properties that lists are chosen or sorted by without an index, and indexes by which nobody chooses.

    :param code: the modules of `functions/`, by name
    """
    for container in declared.containers:
        if container.name == LISTINGS:
            yield from _listings(container)
            continue
        asked = set(_chosen_by(container.name, code))
        unasked = sorted({*container.filtered_by} - asked)
        yield from (f"{container.name}: nobody filters by {name}" for name in unasked)


def _listings(container: Container) -> Iterator[str]:
    """Their conditions are made by `Filters`; words are looked for in a text, which no index serves."""
    chosen = {each.path for each in _EVERYTHING.where() if each.operator != "contains"}
    sorted_by = {each.order().path for each in Sort}
    if sorted_by != {*container.ordered_by}:
        yield f"{container.name}: in order of {', '.join(sorted(sorted_by ^ {*container.ordered_by}))}, or not"
    yield from (f"{container.name}: no index for {name}" for name in sorted(chosen - {*container.indexed_paths}))
    unasked = sorted({*container.filtered_by} - chosen)
    yield from (f"{container.name}: nobody filters by {name}" for name in unasked)


def _chosen_by(container: str, code: Mapping[str, ast.Module]) -> Iterator[str]:
    """What is written in a `Where` of a context that asks the container."""
    asking = {module.rpartition(".")[0] for module, tree in code.items() if container in _asked(tree, module)}
    for module, tree in code.items():
        if module.rpartition(".")[0] in asking:
            yield from _literals(tree, "Where")
