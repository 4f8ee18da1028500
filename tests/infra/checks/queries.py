"""Queries of the code, as far as they are written there, against the indexes of their containers."""

import ast
import importlib
from collections.abc import Iterator

from shared.topology import Container, topology


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
